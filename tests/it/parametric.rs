//! Parametric, Royston–Parmar and cure models against R (tests/reference/parametric.R), split over 1, 2, 5 and 40 sites.

use std::collections::BTreeMap;

use tributary::estimate::Estimate;

use crate::{
    pooling::{Frame, close, number, reference},
    survival_oracles::lung,
};

const FOLLOWUP: &str = "[followup]\ntime = \"time\"\nevent = \"event\"\n";

fn oracle() -> BTreeMap<String, f64> {
    reference("parametric_reference.csv")
}

fn gbsg() -> Frame {
    Frame::read(
        "gbsg.csv",
        "[dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 2700]\n\
         [dictionary.event]\ntype = \"flag\"\nlabel = \"Relapse or death\"\n\
         [dictionary.hormon]\ntype = \"flag\"\nlabel = \"Tamoxifen\"\n\
         [dictionary.age]\ntype = \"real\"\nlabel = \"Age\"\n",
    )
}

fn ovarian() -> Frame {
    Frame::read(
        "ovarian.csv",
        "[dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 1300]\n\
         [dictionary.event]\ntype = \"flag\"\nlabel = \"Death\"\n\
         [dictionary.ecog]\ntype = \"real\"\nlabel = \"ECOG\"\n\
         [dictionary.rx]\ntype = \"real\"\nlabel = \"Treatment\"\n",
    )
}

fn fit(frame: &Frame, options: &str, sites: usize) -> Estimate {
    let model = format!("{FOLLOWUP}[[model]]\nid = \"m\"\n{options}");
    frame.pool(&model, &frame.deal(sites)).remove("m").unwrap()
}

/// Compares all terms in the order of R's.
fn check(estimate: &Estimate, block: &str, order: &[usize], tolerance: f64) {
    let wanted = oracle();
    let terms = estimate.table("terms").unwrap();
    assert_eq!(terms.rows.len(), order.len(), "{block}");
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
    let found = number(estimate, "summary", &[], "log_likelihood");
    close(found, wanted[&format!("{block}/model/loglik")], 1e-9, block);
}

#[test]
fn accelerated_failure_time_equals_survreg_whatever_the_split() {
    for (name, r) in [
        ("weibull", "weibull"),
        ("exponential", "exponential"),
        ("log-normal", "lognormal"),
        ("log-logistic", "loglogistic"),
    ] {
        let order: &[usize] = if r == "exponential" { &[1, 2, 3, 4] } else { &[1, 2, 3, 4, 5] };
        let options = format!(
            "kind = \"parametric\"\ndistribution = \"{name}\"\ncovariates = [\"ecog\", \"age\", \"sex\"]\ntime_unit = \"days\"\n"
        );
        for sites in [1, 2, 5, 40] {
            let estimate = fit(&lung(), &options, sites);
            // survreg codes sex as a number, here it has levels: the intercept moves by one effect.
            let terms = estimate.table("terms").unwrap();
            let wanted = oracle();
            for (row, n) in order.iter().enumerate().skip(1) {
                for (stat, column) in [("coef", "estimate"), ("se", "std_error")] {
                    let found = terms.number(row, column).unwrap();
                    close(
                        found,
                        wanted[&format!("lung_{r}/{n}/{stat}")],
                        1e-7,
                        &format!("{r} {n} {stat}"),
                    );
                }
            }
            let found = number(&estimate, "summary", &[], "log_likelihood");
            close(found, wanted[&format!("lung_{r}/model/loglik")], 1e-9, r);
        }
        let options = format!(
            "kind = \"parametric\"\ndistribution = \"{name}\"\ncovariates = [\"ecog\", \"rx\"]\ntime_unit = \"days\"\n"
        );
        check(
            &fit(&ovarian(), &options, 2),
            &format!("ovarian_{r}"),
            &order[..order.len() - 1],
            1e-6,
        );
    }
}

#[test]
fn gompertz_and_generalised_gamma_equal_their_likelihoods_in_r() {
    let options = |name: &str| {
        format!("kind = \"parametric\"\ndistribution = \"{name}\"\ncovariates = [\"hormon\"]\n")
    };
    for sites in [1, 5, 40] {
        check(&fit(&gbsg(), &options("gompertz"), sites), "gbsg_gompertz", &[1, 2, 3], 1e-6);
        check(
            &fit(&gbsg(), &options("generalized-gamma"), sites),
            "gbsg_gengamma",
            &[1, 2, 3, 4],
            1e-5,
        );
    }
}

#[test]
fn royston_parmar_equals_its_likelihood_in_r() {
    for (k, order) in [(0, vec![1, 2, 3]), (1, vec![1, 2, 3, 4]), (2, vec![1, 2, 3, 4, 5])] {
        let options =
            format!("kind = \"royston_parmar\"\nknots = {k}\ncovariates = [\"hormon\"]\n");
        for sites in [1, 5, 40] {
            let estimate = fit(&gbsg(), &options, sites);
            check(&estimate, &format!("gbsg_rp{k}"), &order, 1e-5);
            for j in 1..=k + 2 {
                let found = number(&estimate, "knots", &[("knot", &j.to_string())], "log_years");
                close(found, oracle()[&format!("gbsg_rp{k}/{j}/knot")], 1e-12, "knot");
            }
        }
    }
    // rstpm2::stpm2(Surv(rectime/365, censrec) ~ hormon, df = 3): −0.361403 (0.1248805).
    let estimate =
        fit(&gbsg(), "kind = \"royston_parmar\"\nknots = 2\ncovariates = [\"hormon\"]\n", 2);
    let found = number(&estimate, "terms", &[("term", "hormon=1")], "estimate");
    assert!((found + 0.361403).abs() < 2e-4, "{found}");
}

#[test]
fn a_varying_effect_of_nothing_is_nothing_new() {
    let options = "kind = \"royston_parmar\"\nknots = 1\ncovariates = [\"hormon\"]\ntime_varying = [\"hormon\"]\ntimes_years = [1, 5]\n\
                   patients = [{ name = \"treated\", values = { hormon = 1 } }]\n";
    let estimate = fit(&gbsg(), options, 5);
    assert_eq!(estimate.table("summary").unwrap().text(0, "status"), "OK");
    assert_eq!(estimate.table("time_varying").unwrap().rows.len(), 2);
    let s = |years: &str| number(&estimate, "predicted", &[("time_years", years)], "estimate");
    assert!(s("1") > s("5") && s("5") > 0.3);
}

#[test]
fn cure_models_equal_their_likelihoods_in_r() {
    for (form, block) in [("mixture", "gbsg_mixture"), ("non-mixture", "gbsg_nonmixture")] {
        let options = format!(
            "kind = \"cure\"\nform = \"{form}\"\ncovariates = [\"hormon\"]\nwithout_gate = true\n"
        );
        for sites in [1, 5, 40] {
            check(&fit(&gbsg(), &options, sites), block, &[1, 2, 3, 4], 1e-5);
        }
    }
}

/// By hand: 20 of 100 relapse on days 10 to 200, the others are followed to day 1000. All relapses are in (2·200 − 1000, 200]: α is
/// (1 − 20/100)^100.
#[test]
fn the_gate_has_its_definition() {
    let relapse = |i: i32| i < 20;
    let time = (0..100).map(|i| f64::from(if relapse(i) { 10 * (i + 1) } else { 1000 })).collect();
    let event = (0..100).map(|i| f64::from(u8::from(relapse(i)))).collect();
    let frame = Frame::of(
        &[("time", time), ("event", event)],
        "[dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 2000]\n\
         [dictionary.event]\ntype = \"flag\"\nlabel = \"Relapse\"\n",
    );
    let estimate = fit(&frame, "kind = \"cure\"\n", 4);
    for (column, wanted) in [
        ("last_event_days", 200.0),
        ("followed_to_days", 1000.0),
        ("plateau", 0.8),
        ("n_risk", 80.0),
        ("alpha", 0.8_f64.powi(100)),
    ] {
        close(number(&estimate, "gate", &[], column), wanted, 1e-9, column);
    }
    assert_eq!(estimate.table("gate").unwrap().text(0, "status"), "OK");
}

/// Relapses go on to the end of follow-up: nobody can say who is cured.
#[test]
fn without_a_plateau_no_cure_is_claimed() {
    let estimate = fit(&gbsg(), "kind = \"cure\"\n", 2);
    assert_eq!(estimate.table("summary").unwrap().text(0, "status"), "NOT_IDENTIFIED");
    assert!(estimate.table("cured").is_none());
}

#[test]
fn units_do_not_matter() {
    let hazard = |unit: &str| {
        let options = format!(
            "kind = \"parametric\"\ndistribution = \"weibull\"\ncovariates = [\"age\", \"hormon\"]\ntime_unit = \"{unit}\"\n"
        );
        let estimate = fit(&gbsg(), &options, 2);
        number(&estimate, "hazard_ratios", &[("term", "hormon=1")], "hazard_ratio")
    };
    close(hazard("days"), hazard("years"), 1e-9, "hazard ratio");
}

/// Log-likelihoods that the vignette of flexsurv prints for these patients without covariates, time in years of 365 days.
#[test]
fn published_log_likelihoods_of_the_german_patients_come_out() {
    for (name, wanted) in [
        ("exponential", -883.7308),
        ("weibull", -873.2071),
        ("gompertz", -882.4022),
        ("log-normal", -854.8157),
        ("log-logistic", -863.8779),
        ("generalized-gamma", -850.0093),
    ] {
        let estimate =
            fit(&gbsg(), &format!("kind = \"parametric\"\ndistribution = \"{name}\"\n"), 5);
        // 299 relapses, each of density per year of 365.25 days here.
        let found =
            number(&estimate, "summary", &[], "log_likelihood") - 299.0 * (365.25_f64 / 365.0).ln();
        assert!((found - wanted).abs() < 2e-4, "{name}: {found}");
    }
}

/// Coefficients of the spline and of the distribution have limits, and no hazard ratio: it was 1.2e94.
#[test]
fn parameters_of_a_baseline_have_no_ratio() {
    let models = "[followup]\ntime = \"time\"\nevent = \"event\"\n\
        [[model]]\nid = \"spline\"\nkind = \"royston_parmar\"\nknots = 1\ncovariates = [\"age\"]\n\
        [[model]]\nid = \"weibull\"\nkind = \"parametric\"\ndistribution = \"weibull\"\ncovariates = [\"age\"]\n\
        [[model]]\nid = \"rates\"\nkind = \"poisson\"\nbands_years = [1]\ncovariates = [\"sex\"]\n";
    let frame = crate::survival_oracles::lung();
    for (id, ratio, covariate) in [
        ("spline", "hazard_ratio", "age"),
        ("weibull", "time_ratio", "age"),
        ("rates", "rate_ratio", "sex"),
    ] {
        let found = &frame.pool(models, &frame.deal(2))[id];
        let table = found.table("terms").unwrap();
        for row in 0..table.rows.len() {
            let is_covariate = table.text(row, "variable") == covariate;
            assert_eq!(table.number(row, ratio).is_some(), is_covariate, "{id} {row}");
            assert!(table.number(row, "conf_low").is_some(), "{id} {row}");
        }
    }
}

/// Nor has a ratio what is only told together with other terms: an effect that varies with time, a column of a spline.
#[test]
fn effects_along_a_spline_have_no_ratio_of_their_own() {
    let frame = gbsg();
    let with_ratio = |options: &str, ratio: &str| {
        let found = fit(&frame, options, 2);
        let table = found.table("terms").unwrap();
        assert_eq!(table.text(0, "status"), "OK", "{options}");
        let rows = 0..table.rows.len();
        assert!(rows.clone().all(|row| table.number(row, "conf_low").is_some()), "{options}");
        rows.filter(|&row| table.number(row, ratio).is_some())
            .map(|row| table.text(row, "term").to_owned())
            .collect::<Vec<_>>()
    };
    let varying = "kind = \"royston_parmar\"\nknots = 1\ncovariates = [\"age\", \"hormon\"]\ntime_varying = [\"hormon\"]\n";
    assert_eq!(with_ratio(varying, "hazard_ratio"), ["age"]);
    let splines = "kind = \"cox\"\ncovariates = [\"hormon\", \"age\"]\nsplines = { age = [40, 50, 65] }\nproportional_hazards = \"none\"\n";
    assert_eq!(with_ratio(splines, "hazard_ratio"), ["hormon=1"]);
    let cure = "kind = \"cure\"\nwithout_gate = true\ncovariates = [\"hormon\"]\n";
    assert_eq!(with_ratio(cure, "odds_ratio"), ["hormon=1"]);
}
