//! One rule for the day of diagnosis in every model that follows patients: of sixty, ten die on that day, ten after 400 days.

use crate::{
    net_survival::life_table,
    pooling::{Frame, close, number},
};
use tributary::{cohort::SiteTables, estimate::Estimate};

const DICTIONARY: &str = "[dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 1000]\n\
    [dictionary.event]\ntype = \"flag\"\nlabel = \"Event\"\n\
    [dictionary.cause]\ntype = \"category\"\nlabel = \"Cause\"\nlevels = [\"0\", \"1\"]\n\
    [dictionary.x]\ntype = \"category\"\nlabel = \"X\"\nlevels = [\"0\", \"1\"]\n\
    [dictionary.sex]\ntype = \"category\"\nlabel = \"Sex\"\nlevels = [\"1\", \"2\"]\n\
    [dictionary.age]\ntype = \"days\"\nlabel = \"Age\"\n\
    [dictionary.date]\ntype = \"date\"\nlabel = \"Diagnosis\"\n";

/// Kind and options, the table and column in which events are counted, and whether its first row alone counts or all rows.
const MODELS: [(&str, &str, &str, bool); 16] = [
    ("kind = \"kaplan_meier\"", "groups", "n_event", false),
    ("kind = \"log_rank\"\nby = \"x\"", "groups", "observed", true),
    ("kind = \"log_rank\"\nby = \"x\"\nstratify_by_site = false", "groups", "observed", true),
    ("kind = \"cox\"\ncovariates = [\"x\"]", "summary", "n_event", false),
    ("kind = \"cox\"\ncovariates = [\"x\"]\nbaseline = \"common\"", "summary", "n_event", false),
    ("kind = \"cox_patterns\"\ncovariates = [\"x\"]", "summary", "n_event", false),
    ("kind = \"penalised_cox\"\ncovariates = [\"x\"]", "summary", "n_event", false),
    ("kind = \"poisson\"\nbands_years = [3]\ncovariates = [\"x\"]", "summary", "n_event", false),
    (
        "kind = \"parametric\"\ndistribution = \"weibull\"\ncovariates = [\"x\"]",
        "summary",
        "n_event",
        false,
    ),
    ("kind = \"royston_parmar\"\nknots = 0\ncovariates = [\"x\"]", "summary", "n_event", false),
    ("kind = \"cure\"\nwithout_gate = true\ncovariates = []", "summary", "n_event", false),
    (
        "kind = \"excess_hazard\"\nbands_years = [3]\ncovariates = [\"x\"]\nBACKGROUND",
        "summary",
        "n_event",
        false,
    ),
    ("kind = \"net_survival\"\nBACKGROUND", "groups", "n_event", false),
    (
        "kind = \"standardised_ratio\"\nsource = \"life_table\"\nbands_years = [3]\nBACKGROUND",
        "ratios",
        "observed",
        false,
    ),
    (
        "kind = \"survival_lexis\"\ndate = \"date\"\nyears = [1995, 1999]\nfollowup_years = 2\napproaches = [{ name = \"complete\", diagnosed = [1995, 1999] }]\nBACKGROUND",
        "groups",
        "n_event",
        false,
    ),
    ("kind = \"competing_risks\"\ncauses = [\"1\"]\nCAUSES", "groups", "n_event", false),
];

fn frame() -> Frame {
    let time = |i: usize| [0.0, 400.0, 900.0, 900.0, 901.0, 902.0][i % 6];
    let of = |f: &dyn Fn(usize) -> f64| (0..60).map(f).collect::<Vec<f64>>();
    let died = |i: usize| f64::from(u8::from(i % 6 < 2));
    let day = f64::from(tributary::cohort::epoch_day("1995-06-01").unwrap());
    let columns = [
        ("time", of(&time)),
        ("event", of(&died)),
        ("cause", of(&died)),
        ("x", of(&|i| f64::from(u8::from(i % 4 < 2)))),
        ("sex", vec![1.0; 60]),
        ("age", vec![20_000.0; 60]),
        ("date", vec![day; 60]),
    ];
    let mut frame = Frame::of(&columns, DICTIONARY);
    frame.tables =
        SiteTables { life_table: Some(life_table("slopop.csv")), ..SiteTables::default() };
    frame
}

fn fit(model: &str, zero: &str, sites: usize) -> Estimate {
    let followup = |event: &str| format!("time = \"time\", event = \"{event}\", zero = \"{zero}\"");
    let model = model
        .replace("BACKGROUND", "background = { sex = \"sex\", age = \"age\", date = \"date\" }")
        .replace("CAUSES", &format!("followup = {{ {} }}", followup("cause")));
    let followup = followup("event").replace(", ", "\n");
    let frame = frame();
    let models = format!("[followup]\n{followup}\n[[model]]\nid = \"m\"\n{model}\n");
    frame.pool(&models, &frame.deal(sites)).remove("m").unwrap()
}

#[test]
fn a_death_on_the_day_of_diagnosis_counts_in_every_model_or_in_none() {
    for (model, table, column, all) in MODELS {
        for (zero, wanted) in [("half_day", 20.0), ("as_is", 20.0), ("exclude", 10.0)] {
            for sites in [1, 3] {
                let found = fit(model, zero, sites);
                let table = found.table(table).unwrap_or_else(|| panic!("{model}: {found:?}"));
                let rows = if all { table.rows.len() } else { 1 };
                let events: f64 = (0..rows).map(|r| table.number(r, column).unwrap()).sum();
                close(events, wanted, 1e-12, &format!("{model}, {zero}"));
            }
        }
    }
}

/// Half a day of ten men at the hazard of their first day, beside the days of the others.
#[test]
fn observed_and_expected_deaths_begin_on_the_same_day() {
    let model = MODELS.iter().find(|m| m.0.contains("standardised_ratio")).unwrap().0;
    let of = |zero: &str, column: &str| {
        number(&fit(model, zero, 2), "ratios", &[("group", "all")], column)
    };
    let years = |zero: &str| of(zero, "person_years");
    close(years("half_day") - years("exclude"), 5.0 / 365.25, 1e-9, "person-years");
    let table = life_table("slopop.csv");
    let day = tributary::cohort::epoch_day("1995-06-01").unwrap();
    let person = tributary::stats::life_table::Person { sex: 0, age_days: 20_000.0, start: day };
    let added = of("half_day", "expected") - of("exclude", "expected");
    close(added, 5.0 * table.in_years(365.25).hazard_on(person, 0), 1e-9, "expected");
    assert!(of("half_day", "ratio") > 1.9 * of("exclude", "ratio"));
}

/// What has no count of events of its own: incidences and states by one year hold the ten of the first day.
#[test]
fn incidences_and_states_hold_the_deaths_of_the_first_day() {
    let causes = "CAUSES\ntimes_years = [1]";
    let cases = [
        (format!("kind = \"competing_risks\"\ncauses = [\"1\"]\n{causes}"), "times", "estimate"),
        (
            format!("kind = \"mean_cumulative_count\"\nrecurrent = [\"1\"]\n{causes}"),
            "times",
            "estimate",
        ),
    ];
    for (model, table, column) in cases {
        for (zero, wanted) in [("half_day", 10.0 / 60.0), ("as_is", 10.0 / 60.0), ("exclude", 0.0)]
        {
            let found = fit(&model, zero, 2);
            let estimate = found.table(table).unwrap().number(0, column).unwrap();
            close(estimate, wanted, 1e-12, &format!("{model}, {zero}"));
        }
    }
}
