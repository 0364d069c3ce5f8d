//! When nobody is left to have an event, what has been reached stays for ever: nothing is beyond follow-up.

use std::sync::Arc;

use tributary::{cohort::SiteTables, estimate::Estimate, stats::life_table::LifeTable};

use crate::{
    incidence_data::{ALIVE, patients},
    pooling::{Frame, close, number},
};

const TIME: &str = "[dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 800]\n";

fn fit(frame: &Frame, model: &str) -> Estimate {
    let model = format!("[[model]]\nid = \"m\"\n{model}");
    frame.pool(&model, &[(0..frame.rows).collect()]).remove("m").unwrap()
}

fn status(estimate: &Estimate, table: &str, row: usize) -> String {
    estimate.table(table).unwrap().text(row, "status").to_owned()
}

fn causes(last: f64) -> Frame {
    let (time, cause) = (vec![1.0, 2.0, 3.0, 4.0], vec![1.0, 2.0, 0.0, last]);
    let dictionary = format!(
        "{TIME}[dictionary.cause]\ntype = \"category\"\nlabel = \"Event\"\nlevels = [\"0\", \"1\", \"2\"]\n"
    );
    Frame::of(&[("time", time), ("cause", cause)], &dictionary)
}

/// Of four, one has each event on days 1 and 2, one is censored on day 3: the last one carries the half that is left.
#[test]
fn cumulative_incidence_of_every_cause_is_known_once_everybody_has_had_an_event() {
    for (last, wanted) in [(1.0, [0.75, 0.25]), (2.0, [0.25, 0.75])] {
        for variance in ["aalen", "delta", "infinitesimal-jackknife"] {
            let model = format!(
                "kind = \"competing_risks\"\ncauses = [\"1\", \"2\"]\ntimes_years = [1, 2]\nvariance = \"{variance}\"\n\
                 followup = {{ time = \"time\", event = \"cause\" }}\n"
            );
            let found = fit(&causes(last), &model);
            for (cause, wanted) in ["1", "2"].iter().zip(wanted) {
                for years in ["1", "2"] {
                    let keys = [("cause", *cause), ("time_years", years)];
                    close(number(&found, "times", &keys, "estimate"), wanted, 1e-12, cause);
                    assert_eq!(number(&found, "times", &keys, "n_risk"), 0.0);
                }
            }
        }
    }
}

#[test]
fn cumulative_incidence_is_not_known_while_somebody_is_left() {
    let model = "kind = \"competing_risks\"\ncauses = [\"1\", \"2\"]\ntimes_years = [1]\n\
                 followup = { time = \"time\", event = \"cause\" }\n";
    let found = fit(&causes(0.0), model);
    for row in 0..2 {
        assert_eq!(status(&found, "times", row), "BEYOND_FOLLOWUP");
    }
}

/// One falls ill on day 2 and dies on day 4, the other dies on day 3, or is lost on day 5.
fn sojourns(dies: bool) -> Frame {
    let dictionary = format!(
        "{}{TIME}[dictionary.id]\ntype = \"integer\"\nlabel = \"Person\"\n\
         [dictionary.state]\ntype = \"category\"\nlabel = \"State\"\nlevels = [\"0\", \"1\", \"2\", \"3\"]\n\
         [dictionary.nxt]\ntype = \"category\"\nlabel = \"Next\"\nlevels = [\"0\", \"1\", \"2\", \"3\"]\n",
        "[dictionary.start]\ntype = \"days\"\nlabel = \"Start\"\n"
    );
    let columns = [
        ("id", vec![0.0, 0.0, 1.0]),
        ("state", vec![0.0, 1.0, 0.0]),
        ("start", vec![0.0, 2.0, 0.0]),
        ("time", vec![2.0, 4.0, if dies { 3.0 } else { 5.0 }]),
        ("nxt", vec![1.0, 2.0, if dies { 2.0 } else { 3.0 }]),
    ];
    Frame::of(&columns, &dictionary)
}

const FOLLOWUP: &str = "followup = { time = \"time\", entry = \"start\", event = \"nxt\" }\n";

#[test]
fn states_are_known_once_everybody_has_come_to_one_that_nobody_leaves() {
    let model = format!(
        "kind = \"multi_state\"\nstate = \"state\"\nstates = [\"0\", \"1\", \"2\"]\nperson = \"id\"\ntimes_years = [1]\n{FOLLOWUP}"
    );
    let found = fit(&sojourns(true), &model);
    for (state, wanted) in [("0", 0.0), ("1", 0.0), ("2", 1.0)] {
        assert_eq!(number(&found, "times", &[("state", state)], "estimate"), wanted, "{state}");
    }
    assert_eq!(status(&fit(&sojourns(false), &model), "times", 2), "BEYOND_FOLLOWUP");
}

/// Without censoring the count is the mean over persons, its variance that of a mean: 1/2, and 2 · (1/4)².
#[test]
fn a_mean_count_is_known_once_everybody_has_died() {
    let model = format!(
        "kind = \"mean_cumulative_count\"\nrecurrent = [\"1\"]\nterminal = [\"2\"]\nperson = \"id\"\ntimes_years = [1]\n{FOLLOWUP}"
    );
    let found = fit(&sojourns(true), &model);
    close(number(&found, "times", &[], "estimate"), 0.5, 1e-12, "count");
    close(number(&found, "times", &[], "std_error"), 0.125_f64.sqrt(), 1e-12, "standard error");
    assert_eq!(status(&fit(&sojourns(false), &model), "times", 0), "BEYOND_FOLLOWUP");
}

fn deaths(last: f64) -> Frame {
    let dictionary = format!(
        "{TIME}[dictionary.dead]\ntype = \"flag\"\nlabel = \"Death\"\n\
         [dictionary.age]\ntype = \"days\"\nlabel = \"Age\"\n[dictionary.date]\ntype = \"date\"\nlabel = \"Diagnosis\"\n"
    );
    let columns = [
        ("time", vec![10.0, 20.0]),
        ("dead", vec![1.0, last]),
        ("age", vec![29_220.0; 2]),
        ("date", vec![10_000.0; 2]),
    ];
    let mut frame = Frame::of(&columns, &dictionary);
    let table = LifeTable {
        starts: vec![0],
        end: 40_000,
        ages: vec![0.0],
        hazard: vec![HAZARD; 3],
        is_yearly: false,
    };
    frame.tables = SiteTables { life_table: Some(Arc::new(table)), ..SiteTables::default() };
    frame
}

const HAZARD: f64 = 0.001;

/// Ten days of both and ten of one of them: Σ S(u−) λ = 15 λ from other causes, the rest of 1 from the disease.
#[test]
fn crude_probabilities_are_known_once_everybody_has_died() {
    let model = "kind = \"net_survival\"\ncrude_probabilities = true\ntimes_years = [1, 2]\n\
                 background = { age = \"age\", date = \"date\" }\nfollowup = { time = \"time\", event = \"dead\" }\n";
    let found = fit(&deaths(1.0), model);
    for years in ["1", "2"] {
        for (cause, wanted) in [("other", 15.0 * HAZARD), ("disease", 1.0 - 15.0 * HAZARD)] {
            let keys = [("cause", cause), ("time_years", years)];
            close(number(&found, "crude_probability", &keys, "estimate"), wanted, 1e-12, cause);
        }
    }
    let left = fit(&deaths(0.0), model);
    assert_eq!(status(&left, "crude_probability", 0), "BEYOND_FOLLOWUP");
}

/// Where in its cell somebody is censored does not matter once nobody is left.
#[test]
fn the_bracket_of_a_coarse_grid_closes_once_everybody_has_died() {
    let model = "kind = \"kaplan_meier\"\ngrid_days = 30.4375\ntimes_years = [1]\nfollowup = { time = \"time\", event = \"dead\" }\n";
    let found = fit(&deaths(1.0), model);
    let table = found.table("bracket").unwrap();
    assert_eq!((table.number(0, "lowest"), table.number(0, "highest")), (Some(0.0), Some(0.0)));
    let left = fit(&deaths(0.0), model);
    assert_eq!(status(&left, "bracket", 0), "BEYOND_FOLLOWUP");
}

/// Half are lost on day 1, all others die on day 5: nobody lost is alive years later, and nothing is extrapolated.
#[test]
fn people_lost_from_a_cohort_that_died_out_are_dead_without_extrapolation() {
    let mut frame = patients();
    let row = std::cell::Cell::new(0);
    let is_lost = || {
        row.set(row.get() + 1);
        row.get() % 2 == 0
    };
    frame.add("until", |_| if is_lost() { "1".into() } else { "5".into() }, "days");
    row.set(0);
    frame.add("dies", |_| if is_lost() { "0".into() } else { "1".into() }, "flag");
    let model = ALIVE.replace("followed", "until").replace("died", "dies");
    let found = frame.pool(&model, &frame.deal(2)).remove("m").unwrap();
    assert!(found.notices.iter().all(|n| n.key != "people-beyond-followup"));
    let table = found.table("prevalence").unwrap();
    assert!(table.number(0, "lost").unwrap() > 0.0);
    assert_eq!(table.number(0, "prevalent"), Some(0.0));
}
