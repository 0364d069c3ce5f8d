//! Competing risks against cmprsk and survival on mgus2 (tests/reference/competing.R), split over 1, 2, 5 and 40 sites.

use std::collections::BTreeMap;

use crate::pooling::{Frame, close, number, reference, tol};

fn oracle() -> BTreeMap<String, f64> {
    reference("competing_reference.csv")
}

pub fn mgus2() -> Frame {
    Frame::read(
        "mgus2.csv",
        "[dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 430]\n\
         [dictionary.cause]\ntype = \"category\"\nlabel = \"Event\"\nlevels = [\"0\", \"1\", \"2\"]\n\
         [dictionary.sex]\ntype = \"category\"\nlabel = \"Sex\"\nlevels = [\"F\", \"M\"]\n\
         [dictionary.age]\ntype = \"real\"\nlabel = \"Age\"\n",
    )
}

const FOLLOWUP: &str = "followup = { time = \"time\", event = \"cause\", zero = \"as_is\" }\n";

/// Times of the data are months; the table wants years of days.
fn years(time: f64) -> f64 {
    time / 365.25
}

#[test]
fn cumulative_incidence_equals_cuminc_and_survfit_whatever_the_split() {
    let frame = mgus2();
    for (variance, block) in [("aalen", "cuminc"), ("infinitesimal-jackknife", "survfit")] {
        let model = format!(
            "[[model]]\nid = \"c\"\nkind = \"competing_risks\"\ncauses = [\"1\", \"2\"]\nvariance = \"{variance}\"\ntimes_years = [{}, {}, {}]\n{FOLLOWUP}",
            years(60.0),
            years(120.0),
            years(240.0)
        );
        for sites in [1, 2, 5, 40] {
            let c = &frame.pool(&model, &frame.deal(sites))["c"];
            for time in [60.0, 120.0, 240.0] {
                for cause in ["1", "2"] {
                    let at = years(time).to_string();
                    let keys = [("cause", cause), ("time_years", at.as_str())];
                    let wanted = |stat: &str| {
                        oracle().get(&format!("{block}/{cause}_{time}/{stat}")).copied()
                    };
                    if let Some(est) = wanted("est") {
                        close(number(c, "times", &keys, "estimate"), est, tol::CLOSED, "incidence");
                    }
                    let se = number(c, "times", &keys, "std_error");
                    let variance = wanted("var").unwrap_or_else(|| wanted("se").unwrap().powi(2));
                    close(se * se, variance, 1e-8, &format!("{block} {cause} {time}"));
                }
            }
        }
    }
}

/// Causes as absorbing states: the Aalen–Johansen estimator and its Greenwood variance are those of survfit's other form.
#[test]
fn states_that_absorb_are_causes() {
    let frame = mgus2();
    let times = format!("times_years = [{}, {}]\n{FOLLOWUP}", years(60.0), years(240.0));
    let model = format!(
        "[[model]]\nid = \"m\"\nkind = \"multi_state\"\nstates = [\"0\", \"1\", \"2\"]\n{times}\
         [[model]]\nid = \"c\"\nkind = \"competing_risks\"\ncauses = [\"1\", \"2\"]\n{times}"
    );
    let all = frame.pool(&model, &frame.deal(5));
    for time in [60.0, 240.0] {
        let at = years(time).to_string();
        for cause in ["1", "2"] {
            let of = |model: &str, key: &str, column: &str| {
                number(&all[model], "times", &[(key, cause), ("time_years", &at)], column)
            };
            let (state, incidence) = (of("m", "state", "estimate"), of("c", "cause", "estimate"));
            close(state, incidence, tol::CLOSED, "incidence");
            let (se, aalen) = (of("m", "state", "std_error"), of("c", "cause", "std_error"));
            close(se, aalen, 5e-3, "standard error");
        }
    }
}

#[test]
fn grays_test_equals_cuminc() {
    let frame = mgus2();
    let fit = |options: &str, parts: &[Vec<usize>]| {
        let model = format!(
            "[[model]]\nid = \"c\"\nkind = \"competing_risks\"\ncauses = [\"1\", \"2\"]\nby = \"sex\"\n{options}{FOLLOWUP}"
        );
        frame.pool(&model, parts).remove("c").unwrap()
    };
    for (options, block, parts) in [
        ("", "gray", frame.deal(5)),
        ("rho = 1\n", "gray_rho1", frame.deal(2)),
        ("stratify_by_site = true\n", "gray_strata", frame.split_by("site")),
    ] {
        let c = fit(options, &parts);
        for cause in ["1", "2"] {
            let found = number(&c, "test", &[("cause", cause)], "statistic");
            close(
                found,
                oracle()[&format!("{block}/{cause}/stat")],
                1e-8,
                &format!("{block} {cause}"),
            );
        }
    }
}

#[test]
fn a_cause_nobody_had_is_zero_with_an_upper_limit() {
    let frame = Frame::of(
        &[("time", vec![3.0, 5.0, 9.0]), ("cause", vec![1.0, 0.0, 1.0])],
        "[dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 20]\n\
         [dictionary.cause]\ntype = \"category\"\nlabel = \"Event\"\nlevels = [\"0\", \"1\", \"2\"]\n",
    );
    let model = format!(
        "[[model]]\nid = \"c\"\nkind = \"competing_risks\"\ncauses = [\"1\", \"2\"]\ntimes_years = [{}]\n{FOLLOWUP}",
        years(4.0)
    );
    let c = &frame.pool(&model, &frame.deal(1))["c"];
    let times = c.table("times").unwrap();
    assert_eq!((times.number(1, "estimate"), times.text(1, "status")), (Some(0.0), "ONE_SIDED"));
    assert!(times.number(1, "conf_high").unwrap() > 0.5);
}

/// The event of a follow-up may be one level of several: the cause-specific hazard.
#[test]
fn cause_specific_cox_equals_coxph() {
    let frame = mgus2();
    let model = "[[model]]\nid = \"c\"\nkind = \"cox\"\ncovariates = [\"age\", \"sex\"]\nbaseline = \"common\"\nproportional_hazards = \"none\"\n\
                 followup = { time = \"time\", event = \"cause\", event_is = [\"1\"], zero = \"as_is\" }\n";
    let c = &frame.pool(model, &frame.deal(5))["c"];
    for (n, term) in [("1", "age"), ("2", "sex=M")] {
        for (stat, column) in [("coef", "estimate"), ("se", "std_error")] {
            let found = number(c, "terms", &[("term", term)], column);
            close(found, oracle()[&format!("cause_cox/{n}/{stat}")], tol::LIKELIHOOD, term);
        }
    }
}

#[test]
fn fine_and_gray_equal_crr_whatever_the_split() {
    let frame = mgus2();
    for (cause, competing) in [("1", "2"), ("2", "1")] {
        let model = format!(
            "[[model]]\nid = \"f\"\nkind = \"fine_gray\"\ncause = \"{cause}\"\ncompeting = [\"{competing}\"]\ncovariates = [\"age\", \"sex\"]\n{FOLLOWUP}"
        );
        for sites in [1, 5, 40] {
            let f = &frame.pool(&model, &frame.deal(sites))["f"];
            for (r, term) in [("age", "age"), ("male", "sex=M")] {
                for (stat, column) in [("coef", "estimate"), ("se", "std_error")] {
                    let wanted = oracle()[&format!("crr_{cause}/{r}/{stat}")];
                    close(
                        number(f, "terms", &[("term", term)], column),
                        wanted,
                        1e-7,
                        &format!("{cause} {r} {stat}"),
                    );
                }
            }
            for (r, column) in
                [("loglik", "log_likelihood"), ("loglik_null", "log_likelihood_null")]
            {
                close(
                    number(f, "summary", &[], column),
                    oracle()[&format!("crr_{cause}/model/{r}")],
                    1e-9,
                    r,
                );
            }
        }
    }
}

/// The last patient leaves by the second cause: from then on the incidence of both is known for ever.
#[test]
fn after_everybody_has_had_an_event_the_incidence_of_every_cause_is_known() {
    let columns = [("time", vec![100.0, 200.0, 300.0, 400.0]), ("cause", vec![1.0, 2.0, 1.0, 2.0])];
    let dictionary = "[dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 4000]\n\
        [dictionary.cause]\ntype = \"category\"\nlabel = \"Cause\"\nlevels = [\"0\", \"1\", \"2\"]\n";
    let frame = Frame::of(&columns, dictionary);
    let model = format!(
        "[[model]]\nid = \"cif\"\nkind = \"competing_risks\"\ncauses = [\"1\", \"2\"]\ntimes_years = [5]\n{FOLLOWUP}"
    );
    for sites in [1, 2] {
        let found = &frame.pool(&model, &frame.deal(sites))["cif"];
        for cause in ["1", "2"] {
            let f = number(found, "times", &[("cause", cause)], "estimate");
            close(f, 0.5, 1e-15, cause);
        }
    }
}
