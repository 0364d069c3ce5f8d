//! A level that few patients have, whose events come first or last: no regression prints a number where there is none, each gives the
//! one that there is, and what happens to one model costs no other its result. Against R (tests/reference/rare_levels.R).

use std::collections::BTreeMap;

use tributary::estimate::{Estimate, Status, Value};

use crate::pooling::{Frame, close, number, reference};

const DICTIONARY: &str = "[dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 2100]\n\
    [dictionary.event]\ntype = \"flag\"\nlabel = \"Death\"\n\
    [dictionary.end]\ntype = \"category\"\nlabel = \"End\"\nlevels = [\"0\", \"1\", \"2\"]\n\
    [dictionary.g]\ntype = \"flag\"\nlabel = \"g\"\n";

const FOLLOWUP: &str = "[followup]\ntime = \"time\"\nevent = \"event\"\nzero = \"as_is\"\n";

/// Models that have no finite maximum here, in one run with those that have one.
const MODELS: &str = "[[model]]\nid = \"cox\"\nkind = \"cox\"\ncovariates = [\"g\"]\nmax_evaluations = 60\n\
    [[model]]\nid = \"common\"\nkind = \"cox\"\ncovariates = [\"g\"]\nbaseline = \"common\"\nmax_evaluations = 60\n\
    [[model]]\nid = \"patterns\"\nkind = \"cox_patterns\"\ncovariates = [\"g\"]\n\
    [[model]]\nid = \"exact\"\nkind = \"cox_patterns\"\ncovariates = [\"g\"]\nties = \"exact\"\n\
    [[model]]\nid = \"firth\"\nkind = \"penalised_cox\"\ncovariates = [\"g\"]\n\
    [[model]]\nid = \"ridge\"\nkind = \"penalised_cox\"\ncovariates = [\"g\"]\npenalty = \"ridge\"\n\
    [[model]]\nid = \"fine_gray\"\nkind = \"fine_gray\"\ncovariates = [\"g\"]\ncause = \"1\"\ncompeting = [\"2\"]\nfollowup = { time = \"time\", event = \"end\", zero = \"as_is\" }\n\
    [[model]]\nid = \"poisson\"\nkind = \"poisson\"\ncovariates = [\"g\"]\nbands_years = [0.1, 1, 10]\n";

fn parametric() -> String {
    let mut models = String::new();
    for name in
        ["exponential", "weibull", "gompertz", "log-normal", "log-logistic", "generalized-gamma"]
    {
        models += &format!(
            "[[model]]\nid = \"{name}\"\nkind = \"parametric\"\ndistribution = \"{name}\"\ncovariates = [\"g\"]\ntime_unit = \"days\"\n"
        );
    }
    models
        + "[[model]]\nid = \"royston_parmar\"\nkind = \"royston_parmar\"\nknots = 0\ncovariates = [\"g\"]\n"
}

/// As `frame` in the script: every second of n patients without the level dies, all k with it die before or after them.
fn frame(k: usize, n: usize, first: bool) -> Frame {
    let start = if first { 0 } else { 10 + n };
    let rare = (1..=k).map(|i| ((start + i) as f64, 1.0, 1.0));
    let plain = (1..=n).map(|i| ((10 + i) as f64, f64::from(u8::from(i % 2 == 0)), 0.0));
    let rows: Vec<(f64, f64, f64)> = rare.chain(plain).collect();
    Frame::of(
        &[
            ("time", rows.iter().map(|r| r.0).collect()),
            ("event", rows.iter().map(|r| r.1).collect()),
            ("end", rows.iter().map(|r| r.1).collect()),
            ("g", rows.iter().map(|r| r.2).collect()),
        ],
        DICTIONARY,
    )
}

fn term(estimate: &Estimate) -> (f64, f64) {
    let of = |column| number(estimate, "terms", &[("term", "g=1")], column);
    (of("estimate"), of("std_error"))
}

fn parts(rows: usize) -> Vec<Vec<usize>> {
    (0..3).map(|site| (site..rows).step_by(3).collect()).collect()
}

fn cases() -> impl Iterator<Item = (usize, usize, bool)> {
    let of = |k: usize| [10, 50, 180].into_iter().map(move |n| (k, n));
    [1, 2, 5]
        .into_iter()
        .flat_map(of)
        .chain([(1, 2000)])
        .flat_map(|(k, n)| [(k, n, true), (k, n, false)])
}

fn place(first: bool) -> &'static str {
    if first { "first" } else { "last" }
}

fn fit(models: &str, (k, n, first): (usize, usize, bool)) -> BTreeMap<String, Estimate> {
    let frame = frame(k, n, first);
    frame.pool(&format!("{FOLLOWUP}{models}"), &parts(frame.rows))
}

#[test]
fn no_cox_model_prints_a_number_where_the_maximum_is_infinite() {
    for case in cases() {
        let found = fit(MODELS, case);
        for id in ["cox", "common", "patterns", "exact", "fine_gray"] {
            let estimate = &found[id];
            let terms = estimate.table("terms").unwrap();
            assert_eq!(terms.cell(0, "estimate"), &Value::None, "{id} {case:?}");
            assert!(
                [Status::Monotone, Status::NotIdentified].contains(&estimate.status),
                "{id} {case:?}: {:?}",
                estimate.status
            );
        }
    }
}

#[test]
fn penalties_and_rates_give_the_finite_answer_beside_models_without_one() {
    let oracle = reference("rare_levels_reference.csv");
    for case @ (k, n, first) in cases() {
        let found = fit(MODELS, case);
        for (id, tolerance) in [("firth", 1e-7), ("ridge", 1e-8), ("poisson", 1e-8)] {
            let name = |stat| format!("{id}/{k}/{n}/{}/{stat}", place(first));
            let Some(wanted) = oracle.get(&name("coef")) else { continue };
            if found[id].status == Status::NotIdentified {
                continue;
            }
            let (b, se) = term(&found[id]);
            close(b, *wanted, tolerance, &name("coef"));
            close(se, oracle[&name("se")], tolerance, &name("se"));
        }
    }
}

#[test]
fn parametric_models_give_what_survreg_gives() {
    let oracle = reference("rare_levels_reference.csv");
    for case @ (k, n, first) in cases() {
        for (id, estimate) in fit(&parametric(), case) {
            let name = |stat| format!("{id}/{k}/{n}/{}/{stat}", place(first));
            if id == "participation" {
                continue;
            }
            if estimate.status != Status::Ok {
                // The generalised gamma has no finite maximum on times this even; ten patients are too few for two parameters.
                assert!(
                    id == "generalized-gamma" || n == 10,
                    "{} {:?}",
                    name("coef"),
                    estimate.status
                );
                continue;
            }
            let (b, se) = term(&estimate);
            assert!(b.abs() < 50.0 && se < 50.0, "{} {b} {se}", name("coef"));
            let Some(wanted) = oracle.get(&name("coef")) else { continue };
            close(b, *wanted, 1e-7, &name("coef"));
            if let Some(wanted) = oracle.get(&name("se")) {
                close(se, *wanted, 1e-7, &name("se"));
            }
        }
    }
}
