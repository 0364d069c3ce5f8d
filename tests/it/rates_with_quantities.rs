//! Poisson regression with quantities, by rounds, against R (tests/reference/poisson_quantities.R) and against the one table of levels.

use std::sync::Arc;

use serde_json::json;
use tributary::{
    estimate::{Estimate, Status, Value},
    model::Exchanges,
    models::find,
    stats::life_table::LifeTable,
};

use crate::{
    net_survival::rdata,
    pooling::{Frame, close, number, plan, reference},
    survival_oracles::lung,
};

const LUNG: &str = "[followup]\ntime = \"time\"\nevent = \"event\"\n";
const RDATA: &str =
    "[pooling]\nyear = \"life-table\"\n[followup]\ntime = \"time\"\nevent = \"dead\"\n";

fn fit(frame: &Frame, head: &str, options: &str, parts: &[Vec<usize>]) -> Estimate {
    let model = format!("{head}[[model]]\nid = \"m\"\nkind = \"poisson\"\n{options}");
    frame.pool(&model, parts).remove("m").unwrap()
}

fn against(block: &str, estimate: &Estimate, tolerance: f64) {
    let wanted = reference("poisson_quantities_reference.csv");
    let terms = estimate.table("terms").unwrap();
    assert_eq!(estimate.status, Status::Ok, "{block}");
    for row in 0..terms.rows.len() {
        for (stat, column) in [("coef", "estimate"), ("se", "std_error")] {
            let name = format!("{block}/{}/{stat}", row + 1);
            close(terms.number(row, column).unwrap(), wanted[&name], tolerance, &name);
        }
    }
}

fn statuses(estimate: &Estimate, table: &str) -> Vec<String> {
    let table = estimate.table(table).unwrap();
    (0..table.rows.len()).map(|row| table.text(row, "status").to_owned()).collect()
}

#[test]
fn rates_equal_glm_on_the_split_rows_however_they_are_dealt() {
    let frame = lung();
    for (block, options) in [
        ("rate", "covariates = [\"sex\", \"age\"]\n"),
        ("product", "covariates = [\"sex\", \"age\"]\ninteractions = [[\"sex\", \"age\"]]\n"),
        ("spline", "covariates = [\"age\"]\nsplines = { age = [50, 60, 75] }\n"),
    ] {
        for sites in [1, 2, 5] {
            let options = format!("bands_years = [0.5, 1, 1.5, 3]\n{options}");
            let found = fit(&frame, LUNG, &options, &frame.deal(sites));
            against(block, &found, 1e-8);
            assert!(found.fit.unwrap().rounds <= 8, "{block}");
        }
    }
}

#[test]
fn excess_and_relative_rates_equal_their_likelihoods() {
    let frame = rdata();
    for outcome in ["excess", "relative"] {
        for sites in [1, 2, 5] {
            let options = format!(
                "outcome = \"{outcome}\"\nbands_years = [1, 2, 3, 5]\ncovariates = [\"sex\", \"age_days\"]\n\
                 background = {{ sex = \"sex\", age = \"age_days\", date = \"date\" }}\n"
            );
            against(outcome, &fit(&frame, RDATA, &options, &frame.deal(sites)), 1e-8);
        }
    }
}

/// Nineteen patients: the penalty moves the coefficients, and needs nothing from a site but sums.
#[test]
fn firth_equals_glm_with_half_the_leverage_added_to_the_events() {
    let frame = lung();
    for sites in [1, 2, 5] {
        let mut parts = vec![Vec::new(); sites];
        (0..frame.rows).step_by(12).enumerate().for_each(|(i, row)| parts[i % sites].push(row));
        let options = "firth = true\nbands_years = [1, 3]\ncovariates = [\"sex\", \"age\"]\n";
        let found = fit(&frame, LUNG, options, &parts);
        against("firth", &found, 1e-8);
        assert!(found.fit.unwrap().rounds <= 20);
    }
}

#[test]
fn rates_by_band_are_those_of_a_patient_at_reference_levels_and_means() {
    let wanted = reference("poisson_quantities_reference.csv");
    let frame = lung();
    let options = "bands_years = [0.5, 1, 1.5, 3]\ncovariates = [\"sex\", \"age\"]\n";
    let found = fit(&frame, LUNG, options, &frame.deal(5));
    let rates = found.table("reference_rates").unwrap();
    for row in 0..4 {
        let of = |stat: &str| wanted[&format!("at/{}/{stat}", row + 1)];
        let z = 1.959963984540054;
        for (column, z) in [("rate_per_1000", 0.0), ("conf_low", -z), ("conf_high", z)] {
            let expected = 1000.0 * (of("coef") + z * of("se")).exp();
            close(rates.number(row, column).unwrap(), expected, 1e-8, column);
        }
    }
    let values = found.table("reference_values").unwrap();
    assert_eq!(values.text(0, "level"), "1");
    let ages: Vec<f64> = frame.text("age").iter().map(|a| a.parse().unwrap()).collect();
    close(
        values.number(1, "mean").unwrap(),
        ages.iter().sum::<f64>() / frame.rows as f64,
        1e-12,
        "mean age",
    );
}

const DICTIONARY: &str = "[dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 1100]\n\
    [dictionary.entry]\ntype = \"days\"\nlabel = \"Entry\"\n\
    [dictionary.event]\ntype = \"flag\"\nlabel = \"Death\"\n\
    [dictionary.birth]\ntype = \"days\"\nlabel = \"Age\"\n\
    [dictionary.start]\ntype = \"date\"\nlabel = \"Diagnosis\"\n\
    [dictionary.age]\ntype = \"real\"\nlabel = \"Age\"\n\
    [dictionary.months]\ntype = \"real\"\nlabel = \"Age in months\"\n\
    [dictionary.k]\ntype = \"real\"\nlabel = \"Constant\"\n\
    [dictionary.q]\ntype = \"real\"\nlabel = \"Sex as a quantity\"\n\
    [dictionary.f]\ntype = \"flag\"\nlabel = \"Sex as levels\"\n\
    [dictionary.late]\ntype = \"real\"\nlabel = \"Entered after a year\"\n";

/// The lung patients; sex as levels and as a quantity, and so many more of the second sex that are followed without an event.
fn frame(more: usize) -> Frame {
    let lung = lung();
    let with = |name: &str, value: f64| {
        let mut column: Vec<f64> = lung.text(name).iter().map(|c| c.parse().unwrap()).collect();
        column.extend(std::iter::repeat_n(value, more));
        column
    };
    let sex: Vec<f64> = with("sex", 3.0).iter().map(|s| f64::from(u8::from(*s >= 2.0))).collect();
    let age = with("age", 60.0);
    let rows = age.len();
    let columns = [
        ("time", with("time", 1000.0)),
        ("entry", vec![0.0; rows]),
        ("event", with("event", 0.0)),
        ("birth", age.iter().map(|a| (a * 365.25).floor()).collect()),
        ("start", vec![3650.0; rows]),
        ("months", age.iter().map(|a| 12.0 * a).collect()),
        ("k", vec![3.0; rows]),
        ("q", sex.clone()),
        ("f", sex),
        ("late", vec![0.0; rows]),
        ("age", age),
    ];
    let mut frame = Frame::of(&columns, DICTIONARY);
    // Where all have the same background, that of a person and band is that of the band.
    frame.tables.life_table = Some(Arc::new(LifeTable {
        starts: vec![0],
        end: 40_000,
        ages: vec![0.0],
        hazard: vec![2e-4; 3],
        is_yearly: false,
    }));
    frame
}

/// Numbers of the two fits agree, but for the names of the terms.
fn same(found: &Estimate, wanted: &Estimate, tolerance: f64) {
    for (table, columns) in [
        ("terms", &["estimate", "std_error", "conf_low", "conf_high"][..]),
        ("summary", &["n", "n_event", "parameters", "log_likelihood", "aic"]),
        ("rates", &["n_event", "person_years", "rate_per_1000", "conf_low", "conf_high"]),
    ] {
        let (ours, theirs) = (found.table(table).unwrap(), wanted.table(table).unwrap());
        assert_eq!(statuses(found, table), statuses(wanted, table), "{table}");
        assert_eq!(ours.rows.len(), theirs.rows.len());
        for row in 0..ours.rows.len() {
            for column in columns {
                match (ours.number(row, column), theirs.number(row, column)) {
                    (Some(a), Some(b)) => {
                        close(a, b, tolerance, &format!("{table} {row} {column}"));
                    }
                    (a, b) => assert_eq!(a, b, "{table} {row} {column}"),
                }
            }
        }
    }
}

#[test]
fn a_quantity_of_two_values_is_a_covariate_of_two_levels() {
    let frame = frame(0);
    let background = "background = { age = \"birth\", date = \"start\" }\n";
    for (more, tolerance) in [
        (String::new(), 1e-10),
        (format!("outcome = \"relative\"\n{background}"), 1e-10),
        (format!("outcome = \"excess\"\n{background}"), 1e-10),
        // Its steps converge in proportion, not by squares.
        ("firth = true\n".into(), 1e-8),
        (format!("firth = true\noutcome = \"relative\"\n{background}"), 1e-8),
    ] {
        for sites in [1, 5] {
            let of = |name: &str| {
                let options =
                    format!("bands_years = [0.5, 1, 1.5, 3]\ncovariates = [\"{name}\"]\n{more}");
                fit(&frame, LUNG, &options, &frame.deal(sites))
            };
            let (found, wanted) = (of("q"), of("f"));
            same(&found, &wanted, tolerance);
            assert!(found.fit.unwrap().rounds > 3 && wanted.fit.unwrap().rounds == 1);
        }
    }
}

#[test]
fn other_units_only_rescale() {
    let frame = frame(0);
    let of = |name: &str| {
        let options = format!("bands_years = [1, 3]\ncovariates = [\"f\", \"{name}\"]\n");
        fit(&frame, LUNG, &options, &frame.deal(3))
    };
    let (years, months) = (of("age"), of("months"));
    for term in ["0–1 years", "1–3 years", "f=1", "age"] {
        let (ours, scale) = if term == "age" { ("months", 12.0) } else { (term, 1.0) };
        for column in ["estimate", "std_error"] {
            let found = scale * number(&months, "terms", &[("term", ours)], column);
            close(found, number(&years, "terms", &[("term", term)], column), 1e-10, term);
        }
    }
    let likelihood = |m: &Estimate| number(m, "summary", &[], "log_likelihood");
    close(likelihood(&months), likelihood(&years), 1e-12, "log-likelihood");
    let rates =
        |m: &Estimate, row| m.table("reference_rates").unwrap().number(row, "conf_low").unwrap();
    (0..2).for_each(|row| close(rates(&months, row), rates(&years, row), 1e-9, "rate"));
}

#[test]
fn a_term_that_says_nothing_new_is_dropped_by_name() {
    let frame = frame(0);
    let of = |names: &str, more: &str| {
        let options = format!("bands_years = [1, 3, 5]\ncovariates = [{names}]\n{more}");
        fit(&frame, LUNG, &options, &frame.deal(3))
    };
    for more in ["", "firth = true\n"] {
        let wanted = of("\"f\", \"age\"", more);
        let found = of("\"k\", \"f\", \"age\", \"months\", \"q\"", more);
        assert_eq!(found.status, Status::NotIdentified);
        let told: Vec<&str> = found.notices.iter().map(|n| n.values["terms"].as_str()).collect();
        assert_eq!(told, ["k, months, q"]);
        // Nobody was followed for three years.
        let expected = [
            "OK",
            "OK",
            "NO_RISK_SET",
            "NOT_IDENTIFIED",
            "OK",
            "OK",
            "NOT_IDENTIFIED",
            "NOT_IDENTIFIED",
        ];
        assert_eq!(statuses(&found, "terms"), expected);
        for term in ["0–1 years", "1–3 years", "f=1", "age"] {
            for column in ["estimate", "std_error"] {
                let of = |m| number(m, "terms", &[("term", term)], column);
                close(of(&found), of(&wanted), 1e-8, term);
            }
        }
        assert_eq!(statuses(&wanted, "reference_rates"), ["OK", "OK", "NO_RISK_SET"]);
    }
}

/// Whoever entered after a year has x = 1, and only they were followed in the second band: the bands tell x.
#[test]
fn a_quantity_that_the_bands_tell_is_dropped() {
    let n = 40;
    let late = |i: usize| i % 2 == 1;
    let of = |f: &dyn Fn(usize) -> f64| (0..n).map(f).collect::<Vec<f64>>();
    let columns = [
        ("time", of(&|i| if late(i) { 400.0 + 5.0 * i as f64 } else { 100.0 + 5.0 * i as f64 })),
        ("entry", of(&|i| if late(i) { 380.0 } else { 0.0 })),
        ("event", of(&|i| f64::from(u8::from(i % 3 == 0)))),
        ("birth", vec![20_000.0; n]),
        ("start", vec![3650.0; n]),
        ("age", of(&|i| 50.0 + (i * i % 17) as f64)),
        ("months", vec![0.0; n]),
        ("k", vec![0.0; n]),
        ("q", vec![0.0; n]),
        ("f", vec![0.0; n]),
        ("late", of(&|i| f64::from(u8::from(late(i))))),
    ];
    let frame = Frame::of(&columns, DICTIONARY);
    let head = "[followup]\ntime = \"time\"\nevent = \"event\"\nentry = \"entry\"\n";
    let of = |names: &str| {
        let options = format!("bands_years = [1, 2]\ncovariates = [{names}]\n");
        fit(&frame, head, &options, &frame.deal(2))
    };
    let (found, wanted) = (of("\"late\", \"age\""), of("\"age\""));
    assert_eq!(statuses(&found, "terms"), ["OK", "OK", "NOT_IDENTIFIED", "OK"]);
    let of = |m| number(m, "terms", &[("term", "age")], "estimate");
    close(of(&found), of(&wanted), 1e-8, "age");
}

#[test]
fn without_events_or_with_one_person_there_is_a_status_and_no_number() {
    let frame = frame(3);
    let last: Vec<Vec<usize>> = vec![vec![frame.rows - 1, frame.rows - 2], vec![frame.rows - 3]];
    let options = "bands_years = [1, 3]\ncovariates = [\"age\"]\n";
    let found = fit(&frame, LUNG, options, &last);
    assert_eq!(found.status, Status::NoEvents);
    assert_eq!(statuses(&found, "terms"), ["NO_EVENTS"; 3]);
    assert_eq!(statuses(&found, "rates"), ["NO_EVENTS"; 2]);
    let found = fit(&frame, LUNG, options, &[vec![0]]);
    assert_eq!(found.status, Status::NotIdentified);
    assert_eq!(found.notices[0].key, "too-few-events");
    assert_eq!(statuses(&found, "terms"), ["NOT_IDENTIFIED"; 3]);
    // Firth's penalty has an answer for one person who dies: the rate of the one band, half an event more.
    let firth = "firth = true\nbands_years = [3]\ncovariates = [\"age\"]\n";
    let found = fit(&frame, LUNG, firth, &[vec![0]]);
    assert_eq!(statuses(&found, "terms"), ["OK", "NOT_IDENTIFIED"]);
    let years = frame.text("time")[0].parse::<f64>().unwrap() / 365.25;
    let rate = number(&found, "terms", &[("term", "0–3 years")], "estimate");
    close(rate, (1.5 / years).ln(), 1e-8, "one person");
    // Nobody at all at one of the sites.
    let all: Vec<usize> = (0..frame.rows - 3).collect();
    let one = fit(&frame, LUNG, options, std::slice::from_ref(&all));
    same(&fit(&frame, LUNG, options, &[all, Vec::new()]), &one, 1e-12);
}

/// No event at q = 1 beside age: q alone has no number, as in the table of levels; the penalty gives it one.
#[test]
fn separation_is_monotone_and_firth_is_finite() {
    let (patients, frame) = (lung().rows, frame(20));
    let rows: Vec<usize> =
        (0..frame.rows).filter(|&r| r >= patients || frame.text("q")[r] == "0").collect();
    let parts = [rows[..60].to_vec(), rows[60..].to_vec()];
    let of = |options: &str| {
        fit(&frame, LUNG, &format!("bands_years = [1, 3]\ncovariates = [{options}"), &parts)
    };
    for [quantity, levels] in [["\"q\"]\n", "\"f\"]\n"], ["\"q\", \"age\"]\n", "\"f\", \"age\"]\n"]]
    {
        let (found, wanted) = (of(quantity), of(levels));
        assert_eq!(found.status, Status::Monotone);
        let terms = found.table("terms").unwrap();
        assert_eq!(terms.text(2, "status"), "MONOTONE");
        assert_eq!(terms.cell(2, "estimate"), &Value::None);
        same(&found, &wanted, 1e-7);
        // At the mean of q the rates are 0, at its lowest level they are what they were.
        assert_eq!(statuses(&found, "reference_rates"), ["MONOTONE"; 2]);
    }
    let of = |options: &str| of(&format!("{options}firth = true\n"));
    let (found, wanted) = (of("\"q\"]\n"), of("\"f\"]\n"));
    assert_eq!(found.status, Status::Ok);
    same(&found, &wanted, 1e-7);
    assert_eq!(of("\"q\", \"age\"]\n").status, Status::Ok);
}

/// What has levels only goes as before: nothing is asked, nothing new stands in the options, and one round is enough.
#[test]
fn levels_alone_take_one_round_and_nothing_new() {
    let frame = frame(0);
    let poisson = find("poisson").unwrap();
    let prepared = |options: &str| {
        let text = format!(
            "{LUNG}[[model]]\nid = \"m\"\nkind = \"poisson\"\nbands_years = [1, 3]\n{options}"
        );
        plan(&frame.study, &text).spec.models.into_iter().find(|m| m.id == "m").unwrap().options
    };
    let levels = prepared("covariates = [\"f\"]\n");
    assert_eq!(poisson.begin(&levels).unwrap(), json!(null));
    assert_eq!(poisson.exchanges(&levels).unwrap(), Exchanges::One);
    assert!(levels.get("splines").is_none() && levels.get("max_evaluations").is_none());
    let quantity = prepared("covariates = [\"f\", \"age\"]\n");
    assert_eq!(poisson.begin(&quantity).unwrap(), json!("start"));
    assert!(matches!(poisson.exchanges(&quantity).unwrap(), Exchanges::Several { .. }));
    // A question of the other kind is refused at the site.
    let data = frame.site(&[0, 1, 2]);
    assert!(poisson.summarise(&quantity, &json!(null), &data).is_err());
    assert!(poisson.summarise(&levels, &json!("start"), &data).is_err());
}
