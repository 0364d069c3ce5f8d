//! Net survival against R: relsurv and survexp on colrec and rdata with the Slovene life table, popEpi on sire with the Finnish
//! one (tests/reference/net_survival.R); split over 1, 2, 5 and 40 sites.

use std::{collections::BTreeMap, sync::Arc};

use tributary::{cohort::SiteTables, estimate::Estimate, stats::life_table::LifeTable};

use crate::pooling::{Frame, close, csv, number, reference};

fn oracle() -> BTreeMap<String, f64> {
    reference("net_survival_reference.csv")
}

/// A life table of the reference folder.
pub fn life_table(file: &str) -> Arc<LifeTable> {
    let (head, rows) = csv(file);
    let unit = if head[3] == "hazard_per_year" { 365.242_199 } else { 1.0 };
    let mut cells: BTreeMap<(usize, i32, i32), f64> = BTreeMap::new();
    for row in &rows {
        let at = |name: &str| row[head.iter().position(|h| h == name).unwrap()].clone();
        let key = (
            at("sex").parse::<usize>().unwrap() - 1,
            at("year").parse().unwrap(),
            at("age").parse().unwrap(),
        );
        cells.insert(key, row[3].parse::<f64>().unwrap() / unit);
    }
    let mut years: Vec<i32> = cells.keys().map(|k| k.1).collect();
    years.sort_unstable();
    years.dedup();
    let mut ages: Vec<i32> = cells.keys().map(|k| k.2).collect();
    ages.sort_unstable();
    ages.dedup();
    let first_day = |y: i32| tributary::cohort::epoch_day(&format!("{y}-01-01")).unwrap();
    let mut hazard = Vec::new();
    for sex in [0, 1, 0] {
        for y in &years {
            for a in &ages {
                hazard.push(cells[&(sex, *y, *a)]);
            }
        }
    }
    Arc::new(LifeTable {
        starts: years.iter().map(|y| first_day(*y)).collect(),
        end: first_day(years.last().unwrap() + 1),
        ages: ages.into_iter().map(f64::from).collect(),
        hazard,
        is_yearly: false,
    })
}

const DICTIONARY: &str = "[dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 9000]\n\
     [dictionary.dead]\ntype = \"flag\"\nlabel = \"Death\"\n\
     [dictionary.age_days]\ntype = \"days\"\nlabel = \"Age\"\n\
     [dictionary.date]\ntype = \"date\"\nlabel = \"Diagnosis\"\n\
     [dictionary.sex]\ntype = \"category\"\nlabel = \"Sex\"\nlevels = [\"1\", \"2\"]\n";

const MODEL: &str = "[pooling]\nyear = \"life-table\"\n[followup]\ntime = \"time\"\nevent = \"dead\"\nzero = \"as_is\"\n\
     [[model]]\nid = \"net\"\nkind = \"net_survival\"\ninterval = \"log\"\n\
     background = { sex = \"sex\", age = \"age_days\", date = \"date\" }\n";

fn frame(file: &str, table: &str, more: &str) -> Frame {
    let mut frame = Frame::read(file, &format!("{DICTIONARY}{more}"));
    frame.tables =
        SiteTables { life_table: Some(life_table(table)), rates: None, ..SiteTables::default() };
    frame
}

pub fn colrec() -> Frame {
    frame("colrec.csv", "slopop.csv", "")
}

pub fn rdata() -> Frame {
    let agegr = "[dictionary.agegr]\ntype = \"category\"\nlabel = \"Age\"\nlevels = [\"<54\", \"54-61\", \"62-70\", \"71-95\"]\n";
    frame("rdata.csv", "slopop.csv", agegr)
}

/// The row at the last step at or before `day`.
fn at(net: &Estimate, estimator: &str, day: &str, column: &str) -> f64 {
    let table = net.table("curve").unwrap();
    let day: f64 = day.parse().unwrap();
    let row = (0..table.rows.len()).rfind(|&r| {
        table.text(r, "estimator") == estimator && table.number(r, "time").unwrap() <= day
    });
    table.number(row.unwrap(), column).unwrap()
}

/// The row of the last day up to `day` on which somebody left: relsurv's rows are these.
fn at_exit(net: &Estimate, estimator: &str, day: &str, column: &str) -> f64 {
    let table = net.table("curve").unwrap();
    let of = |r: usize, name: &str| table.number(r, name).unwrap();
    let row = (0..table.rows.len()).rfind(|&r| {
        table.text(r, "estimator") == estimator
            && of(r, "time") <= day.parse().unwrap()
            && of(r, "n_event") + of(r, "n_censor") > 0.0
    });
    of(row.unwrap(), column)
}

#[test]
fn pohar_perme_and_ederer_equal_relsurv_whatever_the_split() {
    let frame = colrec();
    let wanted = oracle();
    let model = format!(
        "{MODEL}horizon_days = 1826\nestimators = [\"pohar-perme\", \"ederer2\", \"ederer1\", \"hakulinen\"]\nclosing_date = \"2017-12-06\"\ntimes_years = [1, 3, 5]\n"
    );
    let mut first: Option<Estimate> = None;
    for sites in [1, 2, 5, 40] {
        let net = frame.pool(&model, &frame.deal(sites)).remove("net").unwrap();
        for day in ["365", "1096", "1826"] {
            let of = |block: &str, stat: &str| wanted[&format!("colrec_{block}/{day}/{stat}")];
            for (stat, column) in
                [("surv", "estimate"), ("lower", "conf_low"), ("upper", "conf_high")]
            {
                let found = at_exit(&net, "ederer2", day, column);
                // relsurv takes one step over the days between two exits; ours go on day by day.
                close(found, of("ederer2", stat), 5e-5, &format!("ederer2 {day} {stat}"));
                // relsurv holds weights and hazards over the days between two exits; ours go on day by day.
                let found = at_exit(&net, "pohar-perme", day, column);
                close(found, of("pohar-perme", stat), 5e-5, &format!("pohar-perme {day} {stat}"));
            }
            let found = at_exit(&net, "pohar-perme", day, "std_error")
                / at_exit(&net, "pohar-perme", day, "estimate");
            close(found, of("pohar-perme", "se_log"), 1e-10, &format!("standard error {day}"));
            // survexp splits the day on which a birthday falls; here it has the hazard of its start.
            let km = at_exit(&net, "ederer1", day, "estimate");
            close(
                km,
                wanted[&format!("colrec_ederer1/{day}/surv")],
                3e-5,
                &format!("ederer1 {day}"),
            );
            if day != "1096" {
                let hakulinen = wanted[&format!("colrec_survexp/{day}/hakulinen")];
                close(
                    at_exit(&net, "hakulinen", day, "estimate"),
                    hakulinen,
                    3e-5,
                    &format!("hakulinen {day}"),
                );
            }
        }
        match &first {
            None => first = Some(net),
            Some(first) => {
                for (a, b) in first.tables.iter().zip(&net.tables) {
                    for (x, y) in a.rows.iter().flatten().zip(b.rows.iter().flatten()) {
                        if let (Some(x), Some(y)) = (x.as_number(), y.as_number()) {
                            close(y, x, 1e-10, &a.name);
                        }
                    }
                }
            }
        }
    }
}

/// Expected hazard counts to the time asked for, also where nobody leaves for years: by definition, a step every day, in R
/// (net_survival_daily.R). relsurv's own default stands still in between.
#[test]
fn net_survival_at_a_time_is_that_of_the_time_and_not_of_the_last_exit() {
    let wanted = reference("net_survival_daily_reference.csv");
    let all = "estimators = [\"pohar-perme\", \"ederer2\", \"ederer1\", \"hakulinen\"]\nclosing_date = \"2000-12-31\"\ncrude_probabilities = true\n";
    let model = format!("{MODEL}{all}horizon_days = 3000\ntimes_years = [1, 2, 3, 4, 5]\n");
    for (block, frame) in [("colrec", colrec()), ("two", two_men())] {
        for sites in [1, 3] {
            // The first 150 patients, dealt out.
            let first = frame.rows.min(150);
            let parts: Vec<Vec<usize>> =
                (0..sites).map(|s| (s..first).step_by(sites).collect()).collect();
            let net = &frame.pool(&model, &parts)["net"];
            let mut tried = 0;
            for (key, value) in wanted.iter().filter(|(key, _)| key.starts_with(block)) {
                let [_, day, stat] = key.split('/').collect::<Vec<_>>()[..] else {
                    panic!("{key}")
                };
                let years = (day.parse::<f64>().unwrap() / 365.241).round().to_string();
                let found = match stat {
                    "disease" | "other" => {
                        let keys = [("cause", stat), ("time_years", &years)];
                        number(net, "crude_probability", &keys, "estimate")
                    }
                    _ => {
                        // The row of the curve on the day asked for is the same number.
                        let found = number(
                            net,
                            "times",
                            &[("estimator", stat), ("time_years", &years)],
                            "estimate",
                        );
                        assert_eq!(found, at(net, stat, day, "estimate"), "{key}");
                        found
                    }
                };
                close(found, *value, 1e-8, key);
                tried += 1;
            }
            assert_eq!(tried, 30, "{block}");
        }
    }
}

/// Two men of 80 years, one of whom dies after ten days; the other is followed for 3,000.
fn two_men() -> Frame {
    let day = f64::from(tributary::cohort::epoch_day("1995-01-01").unwrap());
    let columns = [
        ("sex", vec![1.0; 2]),
        ("age_days", vec![29_220.0; 2]),
        ("date", vec![day; 2]),
        ("time", vec![10.0, 3000.0]),
        ("dead", vec![1.0, 0.0]),
    ];
    let mut frame = Frame::of(&columns, DICTIONARY);
    frame.tables = colrec().tables;
    frame
}

/// On a coarse grid there is no value between the ends of two cells.
#[test]
fn times_between_the_cells_of_a_coarse_grid_are_refused() {
    let model = format!("{MODEL}horizon_days = 1826\ngrid_days = 30\ntimes_years = [1, 5]\n");
    let text = format!("id = \"t\"\ntitle = \"T\"\nquestion = \"?\"\nstudy = \"test\"\n{model}");
    let faults =
        tributary::plan::Plan::check("a.toml", &text, colrec().study).unwrap_err().to_string();
    assert!(faults.contains("1826 days, which is not the end of a cell of 30 days"), "{faults}");
    assert!(faults.contains("report 5.0104 years"), "{faults}");
}

/// With a step on every day and exp(−Σ), relsurv's integral is the one here.
#[test]
fn pohar_perme_equals_relsurv_where_the_steps_are_the_same() {
    let frame = colrec();
    let model = format!(
        "{MODEL}horizon_days = 1826\nestimators = [\"pohar-perme\"]\nexponential = true\ntimes_years = [1, 3, 5]\n"
    );
    let net = &frame.pool(&model, &frame.deal(5))["net"];
    for day in ["365", "1096", "1826"] {
        let wanted = oracle()[&format!("colrec_pohar-perme_daily/{day}/surv")];
        close(at(net, "pohar-perme", day, "estimate"), wanted, 1e-8, day);
    }
}

#[test]
fn crude_probabilities_and_the_test_equal_relsurv() {
    let frame = rdata();
    let wanted = oracle();
    let model = format!(
        "{MODEL}horizon_days = 3652\ncrude_probabilities = true\ntimes_years = [1, 3, 5, 9.999]\n"
    );
    let net = &frame.pool(&model, &frame.deal(5))["net"];
    for (years, day) in [("1", "365"), ("3", "1096"), ("5", "1826"), ("9.999", "3652")] {
        for (cause, name) in [("disease", "causeSpec"), ("other", "population")] {
            let keys = [("cause", cause), ("time_years", years)];
            let p = number(net, "crude_probability", &keys, "estimate");
            // cmp.rel takes the survival inside the day for the background, here it is that of the day's start.
            close(
                p,
                wanted[&format!("rdata_cmprel/{day}/{name}_est")],
                2e-4,
                &format!("{cause} {day}"),
            );
            if cause == "disease" {
                // Both are delta-method variances; terms of order 1/n differ.
                let se = number(net, "crude_probability", &keys, "std_error");
                close(se * se, wanted[&format!("rdata_cmprel/{day}/{name}_var")], 1e-2, "variance");
            }
        }
    }
    let model = format!("{MODEL}by = \"sex\"\ntest = true\nhorizon_days = 9000\n");
    let net = &frame.pool(&model, &frame.deal(2))["net"];
    let statistic = number(net, "test", &[], "statistic");
    // rs.diff weights the background of a day as at its end, here it is averaged over the day.
    close(statistic, wanted["rdata_rsdiff/sex/statistic"], 2e-3, "log-rank-type test");
    for sex in ["1", "2"] {
        let table = net.table("curve").unwrap();
        let row = (0..table.rows.len())
            .rfind(|&r| {
                table.text(r, "group") == sex
                    && table.text(r, "estimator") == "pohar-perme"
                    && table.number(r, "time").unwrap() <= 1826.0
            })
            .unwrap();
        let wanted = wanted[&format!("rdata_pohar-perme_sex{sex}/1826/surv")];
        // Few patients, long gaps between exits: here relsurv differs most.
        close(table.number(row, "estimate").unwrap(), wanted, 5e-4, sex);
    }
}

pub fn sire() -> Frame {
    let mut frame = Frame::read(
        "sire.csv",
        "[dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 9000]\n\
         [dictionary.status]\ntype = \"category\"\nlabel = \"Death\"\nlevels = [\"0\", \"1\", \"2\"]\n\
         [dictionary.age]\ntype = \"real\"\nlabel = \"Age\"\nunit = \"years\"\n\
         [dictionary.date]\ntype = \"date\"\nlabel = \"Diagnosis\"\n\
         [dictionary.sex]\ntype = \"category\"\nlabel = \"Sex\"\nlevels = [\"1\", \"2\"]\n",
    );
    frame.tables = SiteTables {
        life_table: Some(life_table("popmort.csv")),
        rates: None,
        ..SiteTables::default()
    };
    frame
}

const SIRE: &str = "[pooling]\nyear = \"life-table\"\n[[model]]\nid = \"net\"\nkind = \"net_survival\"\ngrid_days = 30.4368\nhorizon_days = 1826\n\
     times_years = [1, 3, 5]\nbackground = { sex = \"sex\", age = \"age\", date = \"date\" }\n";
const SIRE_FOLLOWUP: &str =
    "[followup]\ntime = \"time\"\nevent = \"status\"\nevent_is = [\"1\", \"2\"]\n";

/// Weights of the study's own mix are all one: Brenner's weighted patients are the patients.
#[test]
fn weighting_to_the_own_mix_changes_nothing() {
    let model = format!(
        "{MODEL}horizon_days = 1826\nestimators = [\"pohar-perme\", \"ederer2\"]\nage_from = [0, 60, 70]\ntimes_years = [1, 5]\n"
    );
    let frame = colrec();
    let net = &frame.pool(&model, &frame.deal(5))["net"];
    for estimator in ["pohar-perme", "ederer2"] {
        for years in ["1", "5"] {
            let keys = [("estimator", estimator), ("time_years", years), ("method", "brenner")];
            for column in ["estimate", "std_error"] {
                let found = number(net, "standardised", &keys, column);
                close(found, number(net, "times", &keys[..2], column), 1e-9, column);
            }
        }
    }
}

/// Days against fractions of years, in age, calendar and interval: agreement is to the day, not to the digit.
#[test]
fn monthly_relative_survival_equals_popepi_to_the_day() {
    let frame = sire();
    let wanted = oracle();
    let model = format!("{SIRE_FOLLOWUP}{SIRE}standard = \"icss1\"\n");
    let net = &frame.pool(&model, &frame.deal(5))["net"];
    for year in ["1", "3", "5"] {
        for (estimator, name) in [("ederer2", "e2"), ("pohar-perme", "pp")] {
            let keys = [("estimator", estimator), ("time_years", year)];
            for (stat, column) in [("", "estimate"), (".lo", "conf_low"), (".hi", "conf_high")] {
                let found = number(net, "times", &keys, column);
                close(
                    found,
                    wanted[&format!("sire_{name}/{year}/r{stat}")],
                    1e-3,
                    &format!("{name} {year} {stat}"),
                );
            }
        }
        let keys = [("estimator", "ederer2"), ("time_years", year), ("method", "direct")];
        for (stat, column) in [("", "estimate"), (".lo", "conf_low"), (".hi", "conf_high")] {
            let found = number(net, "standardised", &keys, column);
            close(
                found,
                wanted[&format!("sire_e2_icss1/{year}/r{stat}")],
                1e-3,
                &format!("icss1 {year} {stat}"),
            );
        }
    }
    let window = "window = { date = \"date\", from = \"2008-01-01\", to = \"2012-12-31\" }\n";
    let net = &frame.pool(&format!("{SIRE_FOLLOWUP}{window}{SIRE}"), &frame.deal(2))["net"];
    for year in ["1", "3", "5"] {
        let keys = [("estimator", "ederer2"), ("time_years", year)];
        let found = number(net, "times", &keys, "estimate");
        close(found, wanted[&format!("sire_e2_period/{year}/r")], 1e-3, &format!("period {year}"));
    }
}
