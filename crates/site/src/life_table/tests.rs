//! Life tables as registries write them.

use super::*;

fn file(format: RateFormat, name: &str) -> RateFile {
    RateFile {
        path: name.to_owned(),
        format,
        delimiter: ',',
        population: None,
        female: None,
        probability_over: ProbabilityOver::Band,
    }
}

fn write(name: &str, text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(name), text).unwrap();
    (folder, name.to_owned())
}

#[test]
fn all_formats_give_the_same_table() {
    let q: f64 = 0.02;
    let rate = -(1.0 - q).ln();
    let long = "sex,year,age,qx\n1,2000,0,0.02\n2,2000,0,0.02\n1,2001,0,0.02\n2,2001,0,0.02\n";
    let nordcan = long.replace("qx", "prob").replace("0.02", "0.98");
    let r = format!(
        "age,year,sex,Freq\n0,2000,male,{x}\n0,2000,female,{x}\n0,2001,male,{x}\n0,2001,female,{x}\n",
        x = rate / AGE_YEAR
    );
    let hmd = format!(
        "Invented, Death rates\n\n  Year  Age  Female  Male  Total\n 2000 0 {rate} {rate} 0.1\n 2001 0 {rate} {rate} .\n"
    );
    let mut tables = Vec::new();
    for (format, text) in [
        (RateFormat::Long, long.to_owned()),
        (RateFormat::Nordcan, nordcan),
        (RateFormat::Ratetable, r),
        (RateFormat::Hmd, hmd),
    ] {
        let (folder, name) = write("t.csv", &text);
        tables.push(read_rates(folder.path(), &file(format, &name)).unwrap().table);
    }
    assert_eq!(tables[0].starts, [10957, 11323]);
    for table in &tables {
        assert_eq!((&table.starts, table.end, &table.ages), (&tables[0].starts, 11688, &vec![0.0]));
        for x in &table.hazard {
            assert!((x - rate / AGE_YEAR).abs() < 1e-15);
        }
    }
}

fn long(column: &str, rows: &[(&str, &str, f64)]) -> Result<RateTable, SiteError> {
    let line = |sex: i32, (year, age, x): &(&str, &str, f64)| format!("{sex},{year},{age},{x}\n");
    let lines: String =
        (1..=2).flat_map(|sex| rows.iter().map(move |row| line(sex, row))).collect();
    let text = format!("sex,year,age,{column}\n{lines}");
    let (folder, name) = write("t.csv", &text);
    read_rates(folder.path(), &file(RateFormat::Long, &name))
}

fn hazards(column: &str, rows: &[(&str, &str, f64)]) -> Vec<f64> {
    let table = long(column, rows).unwrap().table;
    let yearly = |h: &f64| h * AGE_YEAR;
    table.hazard[..table.starts.len() * table.ages.len()].iter().map(yearly).collect()
}

fn near(found: &[f64], wanted: &[f64]) {
    assert_eq!(found.len(), wanted.len());
    assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-14), "{found:?}");
}

/// A hazard of 0.02 a year throughout: n years are survived with probability exp(−0.02 n).
#[test]
fn a_probability_of_an_abridged_table_runs_over_its_band() {
    let q = |n: f64| 1.0 - (-0.02 * n).exp();
    let ages = [("0", 1.0), ("1", 4.0), ("5", 5.0), ("10", 5.0), ("15", 5.0)];
    let plain: Vec<_> = ages.iter().map(|(age, n)| ("2000", *age, q(*n))).collect();
    near(&hazards("qx", &plain), &[0.02; 5]);
    let labels = [("0", 1.0), ("1-4", 4.0), ("5–9", 5.0), ("10-14", 5.0), ("15+", 5.0)];
    let ranges: Vec<_> = labels.iter().map(|(age, n)| ("2000", *age, q(*n))).collect();
    near(&hazards("qx", &ranges), &[0.02; 5]);
    let found = long("qx", &ranges).unwrap();
    assert_eq!(found.table.ages, [0.0, 1.0, 5.0, 10.0, 15.0]);
    assert!(found.notes[0].contains("abridged (ages 0, 1–4, 5–9"), "{:?}", found.notes);
    // A rate is of one year whatever the width of its band.
    let rates: Vec<_> = labels.iter().map(|(age, _)| ("2000", *age, 0.02)).collect();
    near(&hazards("hazard_per_year", &rates), &[0.02; 5]);
    assert!(long("mx", &rates).unwrap().notes.is_empty());
}

#[test]
fn a_probability_may_be_of_one_year_in_every_band() {
    let q = 1.0 - (-0.02_f64).exp();
    let text: String =
        (1..=2).flat_map(|sex| [0, 5, 10].map(|age| format!("{sex},2000,{age},{q}\n"))).collect();
    let (folder, name) = write("t.csv", &format!("sex,year,age,qx\n{text}"));
    let yearly =
        RateFile { probability_over: ProbabilityOver::Year, ..file(RateFormat::Long, &name) };
    let table = read_rates(folder.path(), &yearly).unwrap().table;
    near(&table.hazard[..3].iter().map(|h| h * AGE_YEAR).collect::<Vec<_>>(), &[0.02; 3]);
}

#[test]
fn a_table_that_closes_with_certain_death_keeps_the_hazard_below() {
    let rows = [("2000", "0", 0.02), ("2000", "1", 0.3), ("2000", "2", 1.0), ("2000", "3", 1.0)];
    let (low, high) = (-(0.98_f64).ln(), -(0.7_f64).ln());
    near(&hazards("qx", &rows), &[low, high, high, high]);
    assert!(long("qx", &rows).unwrap().notes[0].contains("from age 2"));
    let survival = "year,sex,age,prob\n2000,1,0,0.98\n2000,1,1,0\n2000,2,0,0.98\n2000,2,1,0\n";
    let (folder, name) = write("t.csv", survival);
    let table = read_rates(folder.path(), &file(RateFormat::Nordcan, &name)).unwrap().table;
    near(&table.hazard[..2].iter().map(|h| h * AGE_YEAR).collect::<Vec<_>>(), &[low; 2]);
    // The rate of an open age is the reciprocal of its life expectancy.
    let text = "sex,year,age,qx,ex\n1,2000,0,0.02,9\n1,2000,1,1,4\n2,2000,0,0.02,9\n2,2000,1,1,5\n";
    let (folder, name) = write("t.csv", text);
    let table = read_rates(folder.path(), &file(RateFormat::Long, &name)).unwrap().table;
    near(
        &table.hazard[..4].iter().map(|h| h * AGE_YEAR).collect::<Vec<_>>(),
        &[low, 0.25, low, 0.2],
    );
}

#[test]
fn calendar_periods_hold_over_their_years() {
    let rows = [("2000-2004", "0", 0.02), ("2005-2009", "0", 0.03)];
    let table = long("hazard_per_year", &rows).unwrap().table;
    assert_eq!((&table.starts[..], table.end), (&[10957, 12784][..], 14610));
}

#[test]
fn gaps_in_years_are_kept_and_gaps_in_ages_refused() {
    let of = |rows: &[(&str, &str, f64)]| long("qx", rows).unwrap_err().to_string();
    let years: Vec<_> = ["1998", "1999", "2012", "2013"].iter().map(|y| (*y, "0", 0.02)).collect();
    let found = long("qx", &years).unwrap();
    assert_eq!(found.gaps, [DayGap { years: [2000, 2012], days: [10957, 15340] }]);
    assert!(found.notes[0].contains("has no lines of 2000–2011"), "{:?}", found.notes);
    let decades: Vec<_> = ["1950", "1960", "1970"].iter().map(|y| (*y, "0", 0.02)).collect();
    assert_eq!(long("qx", &decades).unwrap().gaps.len(), 2);
    let ages: Vec<_> = ["0", "1", "2", "4", "5"].iter().map(|a| ("2000", *a, 0.02)).collect();
    assert!(of(&ages).contains("ages 3 are missing"), "{}", of(&ages));
    let bands: Vec<_> = ["0", "1-4", "10-14"].iter().map(|a| ("2000", *a, 0.02)).collect();
    assert!(of(&bands).contains("ages 5–9 are missing"), "{}", of(&bands));
    let twice: Vec<_> = ["0-4", "3"].iter().map(|a| ("2000", *a, 0.02)).collect();
    assert!(of(&twice).contains("overlap at 3"), "{}", of(&twice));
}

#[test]
fn a_year_without_rates_of_the_hmd_takes_none_from_the_year_before() {
    let text = "Belgium\n\n Year Age Female Male Total\n 1913 0 0.1 0.1 0.1\n 1913 1+ 0.4 0.4 0.4\n\
                1914 0 . . .\n 1914 1+ . . .\n";
    let (folder, name) = write("t.txt", text);
    let error = read_rates(folder.path(), &file(RateFormat::Hmd, &name)).unwrap_err();
    assert!(error.to_string().contains("line 6: this year has no rate"), "{error}");
}

#[test]
fn a_population_that_the_file_does_not_hold_is_a_fault() {
    let text = "population,sex,year,age,qx\nSVN,1,2000,0,0.02\nSVN,2,2000,0,0.02\n";
    let (folder, name) = write("t.csv", text);
    let of = |population: &str| RateFile {
        population: Some(population.into()),
        ..file(RateFormat::Long, &name)
    };
    assert!(read_rates(folder.path(), &of("SVN")).is_ok());
    let error = read_rates(folder.path(), &of("SLO")).unwrap_err().to_string();
    assert!(error.contains("population `SLO`; the file contains: SVN"), "{error}");
    let (folder, name) = write("u.csv", "sex,year,age,qx\n1,2000,0,0.02\n2,2000,0,0.02\n");
    let error = read_rates(folder.path(), &RateFile { path: name, ..of("SVN") }).unwrap_err();
    assert!(error.to_string().contains("no column `population`"), "{error}");
}

#[test]
fn faults_name_the_line_and_what_is_wanted() {
    for (text, wanted) in [
        ("sex,year,age,qx\n1,2000,0,0.02\n3,2000,0,0.02\n", "line 3"),
        ("sex,year,age,qx\n1,2000,0,0.02\n1,2000,0,0.02\n", "occur in an earlier line"),
        ("sex,year,age,qx\n1,2000,0,0.02\n", "females of age 0 in 2000 are missing"),
        ("sex,year,age,rate\n1,2000,0,0.02\n", "none of the columns"),
        ("sex,year,age,qx\n1,2000,5,0.02\n", "age 0"),
        ("sex,year,age,qx\n1,2000,0,2.0\n2,2000,0,0.02\n", "line 2: there is no probability"),
        ("sex,year,age,mx\n1,2000,0,-2\n2,2000,0,0.02\n", "line 2: there is no rate"),
        ("sex,year,age,mx\n1,2000,0,inf\n2,2000,0,0.02\n", "line 2: there is no rate"),
        (
            "sex,year,age,qx\n1,2000,0,0.1\n1,2000,1,1\n1,2000,2,0.1\n2,2000,0,0.1\n2,2000,1,0.1\n2,2000,2,0.1\n",
            "line 3: nobody survives this age, but the table continues in line 4",
        ),
    ] {
        let (folder, name) = write("t.csv", text);
        let error = read_rates(folder.path(), &file(RateFormat::Long, &name)).unwrap_err();
        assert!(error.to_string().contains(wanted), "{error}");
    }
}
