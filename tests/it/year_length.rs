//! One length of a year for a whole analysis: 365.25 days, or 365.241 as in R's life tables, stated once.

use std::{collections::BTreeMap, sync::Arc};

use tributary::{cohort::SiteTables, estimate::Estimate, plan::Plan, stats::life_table::LifeTable};

use crate::pooling::{Frame, close, number};

const LENGTHS: [(&str, f64); 2] = [("julian", 365.25), ("life-table", 365.241)];
const RATE: f64 = 0.02;

const DICTIONARY: &str = "[dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 4000]\n\
    [dictionary.event]\ntype = \"flag\"\nlabel = \"Death\"\n\
    [dictionary.age]\ntype = \"real\"\nlabel = \"Age\"\nunit = \"years\"\n\
    [dictionary.date]\ntype = \"date\"\nlabel = \"Diagnosis\"\n\
    [dictionary.x]\ntype = \"flag\"\nlabel = \"x\"\n";

/// Forty patients; one dies on day 1,461, which is four years of 365.25 days and a little more than four of 365.241.
fn frame(is_yearly: bool) -> Frame {
    let n = 40;
    let time: Vec<f64> =
        (0..n).map(|i| if i == 0 { 1461.0 } else { f64::from(40 * i + 20) }).collect();
    let columns = [
        ("time", time),
        ("event", (0..n).map(|i| f64::from(u8::from(i % 3 == 0 || i % 7 == 0))).collect()),
        ("age", (0..n).map(|i| f64::from(50 + i % 9)).collect()),
        ("date", vec![9_000.0; 40]),
        ("x", (0..n).map(|i| f64::from(i / 2 % 2)).collect()),
    ];
    let mut frame = Frame::of(&columns, DICTIONARY);
    let table = LifeTable {
        starts: vec![0],
        end: 40_000,
        ages: vec![0.0],
        // A yearly table is kept per day of R's year.
        hazard: vec![RATE / 365.241; 3],
        is_yearly,
    };
    frame.tables = SiteTables { life_table: Some(Arc::new(table)), ..SiteTables::default() };
    frame
}

const MODELS: &str = "[followup]\ntime = \"time\"\nevent = \"event\"\n\
    [[model]]\nid = \"km\"\nkind = \"kaplan_meier\"\ntimes_years = [4]\nrestricted_mean_years = 2\n\
    [[model]]\nid = \"incidence\"\nkind = \"competing_risks\"\ncauses = [\"1\"]\ntimes_years = [4]\n\
    [[model]]\nid = \"states\"\nkind = \"multi_state\"\nstates = [\"0\", \"1\"]\ntimes_years = [4]\n\
    [[model]]\nid = \"count\"\nkind = \"mean_cumulative_count\"\nrecurrent = [\"1\"]\ntimes_years = [4]\n\
    [[model]]\nid = \"weibull\"\nkind = \"parametric\"\ndistribution = \"weibull\"\ncovariates = [\"x\"]\n\
    [[model]]\nid = \"flexible\"\nkind = \"royston_parmar\"\nknots = 0\ncovariates = [\"x\"]\n\
    [[model]]\nid = \"cure\"\nkind = \"cure\"\n\
    [[model]]\nid = \"patterns\"\nkind = \"cox_patterns\"\ncovariates = [\"x\"]\n\
    [[model]]\nid = \"rates\"\nkind = \"poisson\"\nbands_years = [1, 5]\ncovariates = [\"x\"]\n\
    [[model]]\nid = \"ratio\"\nkind = \"standardised_ratio\"\nsource = \"life_table\"\nbands_years = [1, 5]\nbackground = { age = \"age\", date = \"date\" }\n\
    [[model]]\nid = \"excess\"\nkind = \"excess_hazard\"\nbands_years = [5]\ncovariates = [\"x\"]\nbackground = { age = \"age\", date = \"date\" }\n\
    [[model]]\nid = \"net\"\nkind = \"net_survival\"\ntimes_years = [4]\nbackground = { age = \"age\", date = \"date\" }\n\
    [[model]]\nid = \"lexis\"\nkind = \"survival_lexis\"\ndate = \"date\"\nyears = [1990, 1999]\nfollowup_years = 4\n\
    approaches = [{ name = \"all\", diagnosed = [1990, 1999] }]\nbackground = { age = \"age\", date = \"date\" }\n\
    followup = { time = \"time\", event = \"event\" }\n";

fn pool(year: &str, is_yearly: bool) -> BTreeMap<String, Estimate> {
    let frame = frame(is_yearly);
    frame.pool(&format!("[pooling]\nyear = \"{year}\"\n{MODELS}"), &frame.deal(2))
}

#[test]
fn every_model_states_and_takes_the_year_of_the_analysis() {
    for (year, days) in LENGTHS {
        let found = pool(year, true);
        let ids: Vec<&str> =
            MODELS.split("id = \"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        assert_eq!(ids.len(), 13);
        for id in ids {
            let estimate = &found[id];
            let lines: Vec<&str> = estimate
                .card
                .iter()
                .filter(|l| l.term == "year")
                .map(|l| l.choice.as_str())
                .collect();
            assert_eq!(lines, [year], "{id}");
        }
        // The death of day 1,461 is within four years if a year has 365.25 days.
        let within = f64::from(u8::from(4.0 * days >= 1461.0));
        let deaths =
            |id: &str, group: &[(&str, &str)]| number(&found[id], "times", group, "n_event");
        let before =
            (0..40).filter(|i| i % 3 == 0 || i % 7 == 0).filter(|i| 40 * i + 20 < 1461 && *i > 0);
        let before = before.count() as f64;
        close(deaths("km", &[]), before + within, 1e-12, "Kaplan–Meier");
        close(deaths("incidence", &[]), before + within, 1e-12, "cumulative incidence");
    }
}

#[test]
fn expected_deaths_are_the_yearly_rate_times_person_years_of_either_length() {
    let ratios = LENGTHS.map(|(year, days)| {
        let found = &pool(year, true)["ratio"];
        let all = |column: &str| {
            let table = found.table("ratios").unwrap();
            let row = (0..table.rows.len()).find(|&r| table.text(r, "band") == "all").unwrap();
            table.number(row, column).unwrap()
        };
        close(all("expected"), RATE * all("person_years"), 1e-12, year);
        all("person_years") * days
    });
    close(ratios[0], ratios[1], 1e-3, "days of follow-up");
    // Where a table gives hazards per day, the length of a year does not touch them.
    let [a, b] = LENGTHS.map(|(year, days)| {
        let found = &pool(year, false)["ratio"];
        let table = found.table("ratios").unwrap();
        let row = (0..table.rows.len()).find(|&r| table.text(r, "band") == "all").unwrap();
        table.number(row, "expected").unwrap() / (table.number(row, "person_years").unwrap() * days)
    });
    close(a, b, 1e-12, "hazard per day");
}

/// Person-years are days over the length of a year: rates differ by the ratio of the two.
#[test]
fn rates_are_per_year_of_the_length_that_is_stated() {
    let [julian, table] = LENGTHS.map(|(year, _)| {
        let found = pool(year, true);
        number(&found["rates"], "rates", &[], "person_years")
    });
    // The first band ends at one year: days 0 to 365 and a fraction, so that the person-time of whole days follows.
    assert!((table / julian - 1.0).abs() < 1e-3 && table > julian, "{julian} {table}");
    let scale = |year: &str| {
        let found = pool(year, true);
        number(&found["weibull"], "terms", &[("term", "(Intercept)")], "estimate")
    };
    close(scale("life-table") - scale("julian"), (365.25_f64 / 365.241).ln(), 1e-7, "log time");
}

#[test]
fn a_year_of_another_length_is_refused_at_its_line() {
    let text = format!(
        "id = \"t\"\ntitle = \"T\"\nquestion = \"?\"\nstudy = \"test\"\n[pooling]\nyear = \"gregorian\"\n{MODELS}"
    );
    let faults = Plan::check("a.toml", &text, frame(true).study).unwrap_err().to_string();
    assert!(faults.contains("a.toml:6") && faults.contains("life-table"), "{faults}");
}
