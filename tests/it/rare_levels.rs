//! A level that few patients have, whose events come first or last: no regression prints a number where there is none, each gives the
//! one that there is, and what happens to one model costs no other its result. Against R (tests/reference/rare_levels.R).

use std::{collections::BTreeMap, sync::Arc};

use tributary::{
    cohort::SiteTables,
    estimate::{Estimate, Status, Value},
    stats::life_table::LifeTable,
};

use crate::{
    laws::flat_tables,
    pooling::{Frame, close, number, reference},
};

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
            assert!(b.abs() < 50.0 && se < 50.0, "{} {b}", name("coef"));
            let Some(wanted) = oracle.get(&name("coef")) else { continue };
            close(b, *wanted, 1e-7, &name("coef"));
            if let Some(wanted) = oracle.get(&name("se")) {
                close(se, *wanted, 1e-7, &name("se"));
            }
        }
    }
}

/// As `cure` in the script: as many again of the others are followed to day 2,050 and are alive.
#[test]
fn all_of_a_level_have_the_event_and_the_others_are_cured_as_in_the_limit() {
    let oracle = reference("rare_levels_reference.csv");
    let model = "[[model]]\nid = \"m\"\nkind = \"cure\"\ncovariates = [\"g\"]\nwithout_gate = true\n\
        patients = [{ name = \"0\", values = { g = 0 } }, { name = \"1\", values = { g = 1 } }]\n";
    for (k, n, first) in cases().filter(|c| (50..=180).contains(&c.1)) {
        let plain = frame(k, n, first);
        let with = |name: &str, value: f64| {
            let cells = plain.text(name).iter().map(|c| c.parse().unwrap());
            cells.chain(std::iter::repeat_n(value, n)).collect::<Vec<f64>>()
        };
        let columns = [
            ("time", with("time", 2050.0)),
            ("event", with("event", 0.0)),
            ("end", with("end", 0.0)),
            ("g", with("g", 0.0)),
        ];
        let frame = Frame::of(&columns, DICTIONARY);
        let found =
            frame.pool(&format!("{FOLLOWUP}{model}"), &parts(frame.rows)).remove("m").unwrap();
        let case = format!("{k}/{n}/{}", place(first));
        let terms = found.table("terms").unwrap();
        let row = terms.find("term", "g=1").unwrap();
        assert_eq!(terms.text(row, "status"), "MONOTONE", "{case} {:?}", found.notices);
        assert_eq!(terms.cell(row, "estimate"), &Value::None, "{case}");
        for (i, term) in
            ["(Intercept)", "latency: location", "latency: log(scale)"].into_iter().enumerate()
        {
            for (stat, column) in [("coef", "estimate"), ("se", "std_error")] {
                let key = format!("cure/{case}/{stat}{}", i + 1);
                // R's derivatives are numerical ones.
                close(number(&found, "terms", &[("term", term)], column), oracle[&key], 1e-5, &key);
            }
        }
        let share = oracle[&format!("cure/{case}/coef1")];
        let wanted = 1.0 / (1.0 + (-share).exp());
        let cured = found.table("cured").unwrap();
        close(number(&found, "cured", &[("patient", "0")], "estimate"), wanted, 1e-5, &case);
        assert_eq!(cured.text(cured.find("patient", "1").unwrap(), "status"), "MONOTONE");
    }
}

/// One band, over a constant background.
#[test]
fn an_excess_hazard_is_that_of_its_likelihood() {
    let oracle = reference("rare_levels_reference.csv");
    let model = "[[model]]\nid = \"m\"\nkind = \"excess_hazard\"\ncovariates = [\"g\"]\nbands_years = [10]\n\
        background = { age = \"age\", date = \"date\" }\n";
    for (k, n, first) in cases() {
        let plain = frame(k, n, first);
        let cells = |name: &str| plain.text(name).iter().map(|c| c.parse().unwrap()).collect();
        let columns = [
            ("time", cells("time")),
            ("event", cells("event")),
            ("end", cells("end")),
            ("g", cells("g")),
            ("age", vec![20_000.0; plain.rows]),
            ("date", vec![5000.0; plain.rows]),
        ];
        let dictionary = format!(
            "{DICTIONARY}[dictionary.age]\ntype = \"days\"\nlabel = \"Age\"\n\
             [dictionary.date]\ntype = \"date\"\nlabel = \"Diagnosis\"\n"
        );
        let mut frame = Frame::of(&columns, &dictionary);
        let flat = flat_tables().life_table.unwrap();
        let hazard = vec![1e-4; flat.hazard.len()];
        let life_table = Some(Arc::new(LifeTable { hazard, is_yearly: false, ..(*flat).clone() }));
        frame.tables = SiteTables { life_table, ..SiteTables::default() };
        let found =
            frame.pool(&format!("{FOLLOWUP}{model}"), &parts(frame.rows)).remove("m").unwrap();
        let name = |stat| format!("excess_hazard/{k}/{n}/{}/{stat}", place(first));
        let (b, se) = term(&found);
        assert!((b - oracle[&name("coef")]).abs() <= 1e-8 * se, "{} {b}", name("coef"));
        close(se, oracle[&name("se")], 1e-8, &name("se"));
    }
}

/// The curve of the likelihood has no top, and a limit on one side.
#[test]
fn a_curve_without_a_top_has_the_limit_of_its_supremum() {
    let oracle = reference("rare_levels_reference.csv");
    let model = "[[model]]\nid = \"m\"\nkind = \"profile_likelihood\"\neffect = \"g\"\nreach = 20\npoints = 401\nheterogeneity = false\n";
    for case @ (k, n, first) in cases() {
        let found = &fit(model, case)["m"];
        let terms = found.table("terms").unwrap();
        assert_eq!(terms.cell(0, "estimate"), &Value::None, "{case:?}");
        let name = |stat| format!("profile_likelihood/{k}/{n}/{}/{stat}", place(first));
        let Some(wanted) = oracle.get(&name("limit")) else {
            assert_eq!(found.status, Status::NotIdentified, "{case:?}");
            continue;
        };
        assert_eq!(found.status, Status::Monotone, "{case:?}");
        let rises = oracle[&name("sign")] > 0.0;
        let (side, other) =
            if rises { ("conf_low", "conf_high") } else { ("conf_high", "conf_low") };
        close(terms.number(0, side).unwrap(), *wanted, 1e-6, &name("limit"));
        assert_eq!(terms.number(0, other), None, "{case:?}");
    }
}

/// The cases of the level are all of the first or of the last of two years. A dispersion at its border of 0 leaves the coefficients of
/// Poisson counts, and so does a variance of sites that are alike.
#[test]
fn counts_of_a_rare_group_are_what_glm_gives() {
    let oracle = reference("rare_levels_reference.csv");
    let dictionary = "[dictionary.age]\ntype = \"integer\"\nlabel = \"Age\"\n\
        [dictionary.year]\ntype = \"integer\"\nlabel = \"Year\"\n\
        [dictionary.g]\ntype = \"flag\"\nlabel = \"g\"\n";
    let mut models = String::new();
    for (family, site) in [
        ("poisson", "none"),
        ("poisson", "fixed"),
        ("poisson", "random"),
        ("negative_binomial", "none"),
    ] {
        models += &format!(
            "[[model]]\nid = \"{family}-{site}\"\nkind = \"count_regression\"\nfamily = \"{family}\"\nsite = \"{site}\"\nby = \"g\"\n\
             incidence = {{ age = \"age\", year = \"year\", ages = [0], age_end = 5, years = [2000, 2001] }}\n"
        );
    }
    for (k, n, first) in cases() {
        let rare = (0..k).map(|_| (if first { 2000.0 } else { 2001.0 }, 1.0));
        let plain = (0..n).map(|i| (2000.0 + (i % 2) as f64, 0.0));
        let rows: Vec<(f64, f64)> = rare.chain(plain).collect();
        let columns = [
            ("age", vec![3.0; rows.len()]),
            ("year", rows.iter().map(|r| r.0).collect()),
            ("g", rows.iter().map(|r| r.1).collect()),
        ];
        let mut frame = Frame::of(&columns, dictionary);
        frame.tables.population = flat_tables().population;
        for (id, found) in frame.pool(&models, &parts(frame.rows)) {
            let Some(table) = found.table("coefficients") else {
                assert!(id == "participation" || n == 10, "{id} {k} {n}");
                continue;
            };
            let is_plain = id == "poisson-none" || id == "poisson-fixed";
            let wanted = if is_plain { Status::Ok } else { Status::Boundary };
            assert_eq!(found.status, wanted, "{id} {k} {n} {first} {:?}", table.rows);
            for (term, stat) in [("group=1", "g"), ("year", "year")] {
                for (column, suffix) in [("estimate", ""), ("std_error", "_se")] {
                    let key = format!("counts/{k}/{n}/{}/{stat}{suffix}", place(first));
                    let value = number(&found, "coefficients", &[("term", term)], column);
                    // Years that balance have a slope of 0.
                    let distance = (value - oracle[&key]).abs();
                    assert!(distance <= 1e-6 * oracle[&key].abs().max(1e-3), "{id} {key} {value}");
                }
            }
        }
    }
}
