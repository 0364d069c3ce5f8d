//! Tables about the population beside the records: abridged life tables, tables that close with certain death, gaps, coverage of cases
//! and person-years.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;
use tributary::{
    estimate::{Estimate, Table},
    results::Results,
};

use crate::pooling::close;

/// A study of one site, written into a folder of its own.
pub struct Folder {
    folder: TempDir,
}

const POLICY: &str = "[policy]\nmin_cell = 0\ncomplementary = false\nmin_persons = 0\nmin_events = 0\nmax_parameters_per_event = 10.0\nmax_rounds = 200\nmin_sites = 1\n";

/// What came out of a command.
pub struct Outcome {
    pub code: i32,
    pub told: String,
    pub results: Option<Results>,
}

impl Folder {
    /// `dictionary` and `analysis` are TOML; `columns` the variables that the mapping takes over by their names.
    pub fn new(dictionary: &str, columns: &[&str], analysis: &str, cases: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let study = format!(
            "id = \"t\"\ntitle = \"T\"\nsource = \"Invented.\"\nsites = [\"S1\"]\ndata = \"public\"\n{POLICY}{dictionary}"
        );
        let this = Self { folder };
        fs::create_dir_all(this.path("sites/S1")).unwrap();
        this.write("study.toml", &study);
        this.write(
            "a.toml",
            &format!("id = \"a\"\ntitle = \"A\"\nquestion = \"Q?\"\nstudy = \"t\"\n{analysis}"),
        );
        let lines: Vec<String> = columns.iter().map(|c| format!("{c} = \"{c}\"\n")).collect();
        this.write("sites/S1/mapping.toml", &format!("[columns]\n{}", lines.concat()));
        this.write("sites/S1/cases.csv", cases);
        this.site("");
        this
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Writes `site.toml`; `tables` are the tables beside the records and what follows them, `[…]` headers included.
    pub fn site(&self, tables: &str) {
        self.site_with("", tables);
    }

    /// The same with `top` before the first table.
    pub fn site_with(&self, top: &str, tables: &str) {
        let text = format!(
            "code = \"S1\"\nname = \"Site\"\ncountry = \"XA\"\n{top}[tables.tumours]\npath = \"cases.csv\"\nmapping = \"mapping.toml\"\n{tables}"
        );
        self.write("sites/S1/site.toml", &text);
    }

    pub fn run(&self) -> Outcome {
        let out = self.path("results");
        let output = Command::new(env!("CARGO_BIN_EXE_tributary"))
            .args(["run".as_ref(), self.path("a.toml").as_os_str(), "--site".as_ref()])
            .arg(self.path("sites/S1"))
            .arg("--out")
            .arg(&out)
            .output()
            .unwrap();
        let read = |path: &Path| {
            let text = fs::read_to_string(path).ok()?;
            Some(serde_json::from_str(&text).unwrap())
        };
        Outcome {
            code: output.status.code().unwrap(),
            told: String::from_utf8(output.stderr).unwrap()
                + &String::from_utf8(output.stdout).unwrap(),
            results: read(&out.join("results.json")),
        }
    }

    pub fn check(&self) -> (i32, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_tributary"))
            .args(["site", "check"])
            .arg(self.path("sites/S1"))
            .args(["--study".as_ref(), self.path("study.toml").as_os_str()])
            .output()
            .unwrap();
        let told = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(told).unwrap())
    }
}

impl Outcome {
    pub fn estimate(&self, model: &str) -> &Estimate {
        let results = self.results.as_ref().unwrap_or_else(|| panic!("{}", self.told));
        results.models.iter().find(|m| m.id == model).unwrap().estimate().unwrap()
    }

    pub fn table(&self, model: &str, name: &str) -> &Table {
        self.estimate(model).table(name).unwrap()
    }

    /// Value of a notice of a model, if the notice is there.
    pub fn notice(&self, model: &str, key: &str, value: &str) -> Option<String> {
        let notice = self.estimate(model).notices.iter().find(|n| n.key == key)?;
        Some(notice.values[value].clone())
    }
}

// ---- Life tables -------------------------------------------------------------------------------------------------------------

const NET: &str = "[followup]\ntime = \"time\"\nevent = \"event\"\nzero = \"as_is\"\n\
    [[model]]\nid = \"n\"\nkind = \"net_survival\"\nestimators = [\"ederer2\", \"pohar-perme\"]\ntimes_years = [5, 10]\n\
    background = { sex = \"sex\", age = \"age\", date = \"dx\" }\n";

/// Sixty men and women aged 40 to 70 of whom a third dies, followed for up to eleven years.
fn net(life_table: &str, options: &str) -> Folder {
    let dictionary = "[dictionary.sex]\nlabel = \"Sex\"\ntype = \"category\"\nlevels = [\"1\", \"2\"]\n\
        [dictionary.age]\nlabel = \"Age\"\ntype = \"days\"\n[dictionary.dx]\nlabel = \"Diagnosis\"\ntype = \"date\"\n\
        [dictionary.time]\nlabel = \"Time\"\ntype = \"days\"\nrange = [0, 9000]\n[dictionary.event]\nlabel = \"Death\"\ntype = \"flag\"\n";
    let mut cases = "sex,age,dx,time,event\n".to_owned();
    for i in 0..60 {
        let (age, event) = (40 * 365 + 180 * i, u8::from(i % 3 == 0));
        let time = if event == 1 { 60 * (i + 1) } else { 4017 };
        cases += &format!("{},{age},2000-{:02}-11,{time},{event}\n", 1 + i % 2, 1 + i % 12);
    }
    let columns = ["sex", "age", "dx", "time", "event"];
    let folder = Folder::new(dictionary, &columns, NET, &cases);
    folder.write("sites/S1/life.csv", life_table);
    folder.site(&format!("[tables.life_table]\npath = \"life.csv\"\n{options}"));
    folder
}

/// A table whose lines are written by `cell` for each age as it is written and the years it stands for.
fn life_table(
    column: &str,
    years: &[i32],
    ages: &[(&str, f64)],
    cell: impl Fn(usize, f64) -> f64,
) -> String {
    let mut text = format!("sex,year,age,{column}\n");
    for sex in 1..=2 {
        for year in years {
            for (i, (age, width)) in ages.iter().enumerate() {
                text += &format!("{sex},{year},{age},{}\n", cell(i, *width));
            }
        }
    }
    text
}

const YEARS: [i32; 14] =
    [2000, 2001, 2002, 2003, 2004, 2005, 2006, 2007, 2008, 2009, 2010, 2011, 2012, 2013];

fn single_ages() -> Vec<(String, f64)> {
    (0..=90).map(|age| (age.to_string(), 1.0)).collect()
}

fn net_values(outcome: &Outcome) -> Vec<f64> {
    let table = outcome.table("n", "times");
    (0..table.rows.len()).map(|row| table.number(row, "estimate").unwrap()).collect()
}

/// A hazard of 0.02 a year throughout: in single years of age and in the bands of an abridged table the background is the same.
#[test]
fn an_abridged_life_table_gives_the_net_survival_of_single_years() {
    let q = |_: usize, width: f64| 1.0 - (-0.02 * width).exp();
    let singles = single_ages();
    let singles: Vec<(&str, f64)> = singles.iter().map(|(a, w)| (a.as_str(), *w)).collect();
    let firsts: Vec<(String, f64)> = [("0".to_owned(), 1.0), ("1".to_owned(), 4.0)]
        .into_iter()
        .chain((1..=18).map(|k| ((5 * k).to_string(), 5.0)))
        .collect();
    let firsts: Vec<(&str, f64)> = firsts.iter().map(|(a, w)| (a.as_str(), *w)).collect();
    let wanted = net_values(&net(&life_table("qx", &YEARS, &singles, q), "").run());
    assert_eq!(wanted.len(), 4);
    let found = net_values(&net(&life_table("qx", &YEARS, &firsts, q), "").run());
    wanted.iter().zip(&found).for_each(|(w, f)| close(*f, *w, 1e-12, "abridged"));
    let labels: Vec<(String, f64)> = [("0".to_owned(), 1.0), ("1-4".to_owned(), 4.0)]
        .into_iter()
        .chain((1..=17).map(|k| (format!("{}-{}", 5 * k, 5 * k + 4), 5.0)))
        .chain([("90+".to_owned(), 5.0)])
        .collect();
    let labels: Vec<(&str, f64)> = labels.iter().map(|(a, w)| (a.as_str(), *w)).collect();
    let folder = net(&life_table("qx", &YEARS, &labels, q), "");
    let found = net_values(&folder.run());
    wanted.iter().zip(&found).for_each(|(w, f)| close(*f, *w, 1e-12, "labels"));
    let (_, told) = folder.check();
    assert!(
        told.contains("\n  abridged (ages 0, 1–4, 5–9, 10–14, …): a probability q of a band"),
        "{told}"
    );
    // Of one year, the same probabilities are another table: five times the hazard of a band of five years.
    let yearly = |_: usize, _: f64| 1.0 - (-0.02_f64).exp();
    let folder = net(&life_table("qx", &YEARS, &labels, yearly), "probability_over = \"year\"\n");
    let found = net_values(&folder.run());
    wanted.iter().zip(&found).for_each(|(w, f)| close(*f, *w, 1e-12, "of one year"));
}

#[test]
fn a_life_table_with_years_or_ages_missing_is_refused() {
    let q = |_: usize, _: f64| 0.02;
    let all = single_ages();
    let all: Vec<(&str, f64)> = all.iter().map(|(a, w)| (a.as_str(), *w)).collect();
    let years: Vec<i32> = (1990..2020).filter(|y| !(2000..=2011).contains(y)).collect();
    let outcome = net(&life_table("qx", &years, &all, q), "").run();
    assert_eq!(outcome.code, 2);
    assert!(outcome.told.contains("has no rates for 2000–2011, in which"), "{}", outcome.told);
    // Years that nobody of the study has lived through as a patient may be missing, as in the tables of long ago.
    let years: Vec<i32> = [1930, 1948, 1952].into_iter().chain(2000..2014).collect();
    let folder = net(&life_table("qx", &years, &all, q), "");
    assert_eq!(
        net_values(&folder.run()),
        net_values(&net(&life_table("qx", &YEARS, &all, q), "").run())
    );
    assert!(folder.check().1.contains("has no lines of 1931–1947, 1949–1951, 1953–1999"));
    let ages: Vec<(&str, f64)> = all.iter().filter(|(a, _)| *a != "57").copied().collect();
    let outcome = net(&life_table("qx", &YEARS, &ages, q), "").run();
    assert_eq!(outcome.code, 2);
    assert!(outcome.told.contains("life.csv: ages 57 are missing"), "{}", outcome.told);
}

/// The last age of a complete life table closes it: nobody of this study is so old, and the numbers are those without that age.
#[test]
fn a_life_table_that_closes_with_certain_death_is_read() {
    let all = single_ages();
    let all: Vec<(&str, f64)> = all.iter().map(|(a, w)| (a.as_str(), *w)).collect();
    let open = life_table("qx", &YEARS, &all, |_, _| 0.02);
    let closed = life_table("qx", &YEARS, &all, |i, _| if i == 90 { 1.0 } else { 0.02 });
    let survival = life_table("prob", &YEARS, &all, |i, _| if i == 90 { 0.0 } else { 0.98 });
    let wanted = net_values(&net(&open, "").run());
    let folder = net(&closed, "");
    let found = net_values(&folder.run());
    assert_eq!(found, wanted);
    assert!(folder.check().1.contains("closes with a probability of death of 1 from age 90"));
    let found = net_values(&net(&survival, "format = \"nordcan\"\n").run());
    wanted.iter().zip(&found).for_each(|(w, f)| close(*f, *w, 1e-12, "survival of 0"));
}

// ---- Coverage of cases and person-years --------------------------------------------------------------------------------------

/// Cases by year and age, and a thousand person-years at each age for which `is_there` holds.
fn incidence(years: [i32; 2], cases: &str, is_there: impl Fn(i32, i32) -> bool) -> Folder {
    let dictionary = "[dictionary.age]\nlabel = \"Age\"\ntype = \"integer\"\nrange = [0, 120]\nrequired = true\n\
        [dictionary.year]\nlabel = \"Year\"\ntype = \"integer\"\nrange = [1900, 2100]\nrequired = true\n\
        [dictionary.cases]\nlabel = \"Cases\"\ntype = \"integer\"\nrange = [0, 100000]\nrequired = true\n";
    let [from, to] = years;
    let analysis = format!(
        "[incidence]\nage = \"age\"\nyear = \"year\"\ncount = \"cases\"\nages = [0, 5, 10]\nage_end = 15\nyears = [{from}, {to}]\n\
         [[model]]\nid = \"r\"\nkind = \"incidence_rates\"\n"
    );
    let cases = format!("age,year,cases\n{cases}");
    let folder = Folder::new(dictionary, &["age", "year", "cases"], &analysis, &cases);
    folder.site("[tables.population]\npath = \"population.csv\"\n");
    let mut text = "year,age,person_years\n".to_owned();
    for year in 2000..=2003 {
        for age in (0..15).filter(|age| is_there(year, *age)) {
            text += &format!("{year},{age},1000\n");
        }
    }
    folder.write("sites/S1/population.csv", &text);
    folder
}

fn rate(outcome: &Outcome) -> (f64, f64) {
    let table = outcome.table("r", "rates");
    (table.number(0, "cases").unwrap(), table.number(0, "person_years").unwrap())
}

#[test]
fn a_whole_population_is_counted_whole() {
    let outcome = incidence([2000, 2003], "3,2001,2\n7,2002,3\n", |_, _| true).run();
    assert_eq!(outcome.code, 0, "{}", outcome.told);
    assert_eq!(rate(&outcome), (5.0, 60_000.0));
    assert_eq!(outcome.notice("r", "population-gaps", "cells"), None);
}

/// A record of a table of counts stands for several cases, and none of them is called a patient.
#[test]
fn records_of_counts_are_told_apart_from_the_cases_that_they_stand_for() {
    let folder = incidence([2000, 2003], "3,2001,2\n7,2002,3\n8,2002,0\n", |_, _| true);
    let outcome = folder.run();
    let flow = outcome.table("participation", "flow");
    let of = |step: &str| {
        let row = (0..flow.rows.len())
            .find(|row| flow.text(*row, "site") == "all" && flow.text(*row, "step") == step);
        row.and_then(|row| flow.number(row, "n"))
    };
    let steps = ["received", "not mapped", "analysed", "cases", "events"];
    assert_eq!(steps.map(of), [Some(3.0), Some(0.0), Some(3.0), Some(5.0), None]);
    let page = fs::read_to_string(folder.path("results/report.html")).unwrap();
    for (words, is_there) in [("cases they represent", true), ("patients", false)] {
        let at = page.find(words);
        let around = at.map_or(&page[..0], |at| &page[at.saturating_sub(80)..at + 40]);
        assert_eq!(at.is_some(), is_there, "{words}: {around}");
    }
}

#[test]
fn an_age_that_one_year_of_the_population_lacks_refuses_the_cell_and_is_told() {
    let lacks = |year, age| (year, age) != (2001, 3);
    let outcome = incidence([2000, 2003], "3,2001,2\n7,2002,3\n", lacks).run();
    assert_eq!(outcome.code, 1, "{}", outcome.told);
    assert_eq!(rate(&outcome), (3.0, 55_000.0));
    assert_eq!(outcome.notice("r", "population-gaps", "cells").unwrap(), "2001: 0–4");
    assert_eq!(outcome.notice("r", "cases-without-population", "n").unwrap(), "2");
}

#[test]
fn years_that_the_population_lacks_are_told_with_and_without_cases() {
    let outcome = incidence([2000, 2005], "3,2001,2\n7,2002,3\n3,2005,9\n", |_, _| true).run();
    assert_eq!((outcome.code, rate(&outcome)), (1, (5.0, 60_000.0)));
    assert_eq!(outcome.notice("r", "population-gaps", "cells").unwrap(), "2004–2005");
    let outcome = incidence([2000, 2005], "3,2001,2\n", |_, _| true).run();
    assert_eq!((outcome.code, rate(&outcome)), (1, (2.0, 60_000.0)));
    assert_eq!(outcome.notice("r", "population-gaps", "cells").unwrap(), "2004–2005");
}

/// A registry whose cases are complete to the end of 2001 has no person-years of 2002 and 2003.
#[test]
fn years_after_the_closing_date_have_no_person_years() {
    let folder = incidence([2000, 2003], "3,2001,2\n7,2002,3\n", |_, _| true);
    let table = "[tables.population]\npath = \"population.csv\"\n";
    folder.site_with("closing_date = \"2001-12-31\"\n", table);
    let outcome = folder.run();
    assert_eq!((outcome.code, rate(&outcome)), (1, (2.0, 30_000.0)), "{}", outcome.told);
    assert_eq!(outcome.notice("r", "population-gaps", "cells").unwrap(), "2002–2003");
    assert_eq!(outcome.notice("r", "cases-without-population", "n").unwrap(), "3");
    for (date, said) in [("2001-31-12", "is not a valid date"), ("2999-12-31", "is in the future")]
    {
        folder.site_with(&format!("closing_date = \"{date}\"\n"), table);
        let outcome = folder.run();
        assert_eq!(outcome.code, 2);
        assert!(
            outcome.told.contains(said) && outcome.told.contains("site.toml:4"),
            "{}",
            outcome.told
        );
    }
}

#[test]
fn dates_after_the_closing_date_are_faults() {
    let dictionary = "[dictionary.diagnosis]\ntype = \"date\"\nlabel = \"D\"\nrequired = true\n";
    let cases = "diagnosis\n2001-12-31\n2002-01-01\n2001-01-01\n";
    let folder = Folder::new(dictionary, &["diagnosis"], "", cases);
    folder.site_with("closing_date = \"2001-12-31\"\n", "");
    let (code, told) = folder.check();
    assert_eq!(code, 1, "{told}");
    assert!(told.contains("line 3: `diagnosis` is after the closing date in site.toml"), "{told}");
}

/// Both sexes together: a year that has one of them only is not covered.
#[test]
fn a_year_with_one_sex_alone_is_not_covered() {
    let folder = incidence([2000, 2001], "3,2001,2\n7,2000,3\n", |_, _| true);
    let mut text = "sex,year,age,person_years\n".to_owned();
    for (year, sex) in [(2000, 1), (2000, 2), (2001, 1)] {
        for age in ["0-4", "5-9", "10-14"] {
            text += &format!("{sex},{year},{age},1000\n");
        }
    }
    folder.write("sites/S1/population.csv", &text);
    let outcome = folder.run();
    assert_eq!((outcome.code, rate(&outcome)), (1, (3.0, 6_000.0)));
    assert_eq!(outcome.notice("r", "population-gaps", "cells").unwrap(), "2001");
}

/// The open band begins where the table ends: cases older than its last age are none of its population.
#[test]
fn cases_older_than_the_population_are_left_out_and_told() {
    let folder = incidence([2000, 2003], "12,2001,2\n40,2002,3\n", |_, _| true);
    let analysis = fs::read_to_string(folder.path("a.toml")).unwrap();
    folder.write("a.toml", &analysis.replace("age_end = 15\n", ""));
    let outcome = folder.run();
    assert_eq!((outcome.code, rate(&outcome)), (1, (2.0, 60_000.0)));
    assert_eq!(outcome.notice("r", "cases-without-population", "n").unwrap(), "3");
}
