//! Poisson and excess hazard regression against R (tests/reference/rates.R, net_survival.R), split over 1, 2, 5 and 40 sites.

use std::collections::BTreeMap;

use tributary::estimate::Estimate;

use crate::{
    net_survival::rdata,
    pooling::{Frame, close, number, reference},
    survival_oracles::lung,
};

fn check(
    estimate: &Estimate,
    wanted: &BTreeMap<String, f64>,
    block: &str,
    order: &[usize],
    tolerance: f64,
) {
    let terms = estimate.table("terms").unwrap();
    for (row, n) in order.iter().enumerate() {
        for (stat, column) in [("coef", "estimate"), ("se", "std_error")] {
            let found = terms.number(row, column).unwrap_or(f64::NAN);
            close(
                found,
                wanted[&format!("{block}/{n}/{stat}")],
                tolerance,
                &format!("{block} {n} {stat}"),
            );
        }
    }
}

fn fit(frame: &Frame, followup: &str, options: &str, sites: usize) -> Estimate {
    let model = format!("[followup]\ntime = \"time\"\n{followup}[[model]]\nid = \"m\"\n{options}");
    frame.pool(&model, &frame.deal(sites)).remove("m").unwrap()
}

/// The year of `relsurv`.
const YEAR: &str = "[pooling]\nyear = \"life-table\"\n";

const RDATA: &str = "background = { sex = \"sex\", age = \"age_days\", date = \"date\" }\ncovariates = [\"sex\", \"agegr\"]\n";

#[test]
fn piecewise_exponential_rates_equal_glm_on_the_split_rows() {
    let wanted = reference("rates_reference.csv");
    for sites in [1, 2, 5, 40] {
        let options =
            "kind = \"poisson\"\nbands_years = [0.5, 1, 1.5, 3]\ncovariates = [\"sex\"]\n";
        check(
            &fit(&lung(), "event = \"event\"\n", options, sites),
            &wanted,
            "lung",
            &[1, 2, 3, 4, 5],
            1e-8,
        );
    }
}

/// One band: the rate model is the exponential one.
#[test]
fn one_band_is_the_exponential_model() {
    let event = "event = \"event\"\n";
    let rate =
        fit(&lung(), event, "kind = \"poisson\"\nbands_years = [4]\ncovariates = [\"sex\"]\n", 5);
    let options = "kind = \"parametric\"\ndistribution = \"exponential\"\ncovariates = [\"sex\"]\n";
    let exponential = fit(&lung(), event, options, 5);
    let likelihood = |m: &Estimate| number(m, "summary", &[], "log_likelihood");
    close(likelihood(&rate), likelihood(&exponential), 1e-9, "log-likelihood");
    for column in ["estimate", "std_error"] {
        let a = number(&rate, "terms", &[("term", "sex=2")], column);
        close(a, number(&exponential, "hazard_ratios", &[("term", "sex=2")], column), 1e-7, column);
    }
}

#[test]
fn excess_and_relative_mortality_equal_their_likelihoods() {
    let wanted = reference("rates_reference.csv");
    let order: Vec<usize> = (1..=9).collect();
    for (outcome, tolerance) in [("excess", 1e-4), ("relative", 1e-6)] {
        for sites in [1, 5] {
            let options = format!(
                "kind = \"poisson\"\noutcome = \"{outcome}\"\nbands_years = [1, 2, 3, 4, 5]\n{RDATA}{YEAR}"
            );
            let estimate = fit(&rdata(), "event = \"dead\"\n", &options, sites);
            check(&estimate, &wanted, outcome, &order, tolerance);
        }
    }
}

#[test]
fn the_full_likelihood_equals_rsadd() {
    let wanted = reference("net_survival_reference.csv");
    for sites in [1, 5, 40] {
        let options =
            format!("kind = \"excess_hazard\"\nbands_years = [1, 2, 3, 4, 5]\n{RDATA}{YEAR}");
        let estimate = fit(&rdata(), "event = \"dead\"\n", &options, sites);
        check(&estimate, &wanted, "rsadd_max.lik", &[1, 2, 3, 4], 1e-5);
        // rsadd takes sex as the number 1 or 2: its baseline is that of sex 0.
        let sex = number(&estimate, "terms", &[("term", "sex=2")], "estimate");
        for n in 5..=9 {
            let found = estimate.table("terms").unwrap().number(n - 1, "estimate").unwrap() - sex;
            close(found, wanted[&format!("rsadd_max.lik/{n}/coef")], 1e-5, "baseline");
        }
    }
}

#[test]
fn a_smooth_baseline_gives_nearly_the_same_effects() {
    let bands = format!("kind = \"excess_hazard\"\nbands_years = [1, 2, 3, 4, 5]\n{RDATA}");
    let spline = format!("kind = \"excess_hazard\"\nspline_years = [0.1, 1, 2.5, 5]\n{RDATA}");
    let sex = |options: &str| {
        let estimate = fit(&rdata(), "event = \"dead\"\n", options, 5);
        number(&estimate, "terms", &[("term", "sex=2")], "estimate")
    };
    assert!((sex(&bands) - sex(&spline)).abs() < 0.05);
}

#[test]
fn a_level_without_deaths_is_monotone_and_firth_is_finite() {
    let time: Vec<f64> = (1..=60).map(|i| f64::from(10 * i)).collect();
    let arm: Vec<f64> = (0..60).map(|i| f64::from(i % 2)).collect();
    let event: Vec<f64> = (0..60).map(|i| f64::from(u8::from(i % 2 == 0 && i % 3 == 0))).collect();
    let frame = Frame::of(
        &[("time", time), ("event", event), ("arm", arm)],
        "[dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 2000]\n\
         [dictionary.event]\ntype = \"flag\"\nlabel = \"Death\"\n\
         [dictionary.arm]\ntype = \"flag\"\nlabel = \"Arm\"\n",
    );
    let options = "kind = \"poisson\"\nbands_years = [5]\ncovariates = [\"arm\"]\n";
    let ml = fit(&frame, "event = \"event\"\n", options, 2);
    assert_eq!(ml.table("terms").unwrap().text(1, "status"), "MONOTONE");
    let firth = fit(&frame, "event = \"event\"\n", &format!("{options}firth = true\n"), 2);
    assert_eq!(firth.table("terms").unwrap().text(1, "status"), "OK");
    // One band, one factor: half an event in each cell.
    let y = |arm: i32| {
        (0..60).filter(|i| i % 2 == arm).map(|i| f64::from(10 * (i + 1)) / 365.25).sum::<f64>()
    };
    let wanted = ((0.5 / y(1)) / (10.5 / y(0))).ln();
    close(number(&firth, "terms", &[("term", "arm=1")], "estimate"), wanted, 1e-6, "Firth");
}
