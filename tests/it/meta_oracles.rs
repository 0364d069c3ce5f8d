//! Random effects against `metafor` (tests/reference/meta.R): the 13 BCG trials.

use tributary::stats::random_effects::{Tau2Estimator, Test, heterogeneity, i2_h2, pool, tau2};

use crate::pooling::{close, csv, reference};

fn bcg() -> (Vec<f64>, Vec<f64>) {
    let (_, rows) = csv("bcg.csv");
    rows.iter().map(|row| (row[1].parse::<f64>().unwrap(), row[2].parse::<f64>().unwrap())).unzip()
}

#[test]
fn every_estimator_and_test_equals_metafor() {
    let (y, v) = bcg();
    let oracle = reference("meta_reference.csv");
    let methods = [
        ("EE", Tau2Estimator::Common),
        ("DL", Tau2Estimator::DerSimonianLaird),
        ("REML", Tau2Estimator::Reml),
        ("PM", Tau2Estimator::PauleMandel),
    ];
    let tests = [("z", Test::Z), ("knha", Test::HartungKnapp), ("adhoc", Test::HartungKnappFloor)];
    for (name, method) in methods {
        // metafor's Fisher scoring and its root finder stop near 1e-10.
        let found = tau2(&y, &v, method);
        for (test_name, test) in tests {
            if name == "EE" && test_name != "z" {
                continue;
            }
            let wanted = |stat: &str| oracle[&format!("{name} {test_name}/{stat}")];
            let pooled = pool(&y, &v, found.value, test, 0.95);
            let numbers = [
                ("tau2", found.value),
                ("estimate", pooled.estimate),
                ("se", pooled.std_error),
                ("low", pooled.confidence.0),
                ("high", pooled.confidence.1),
                ("p", pooled.p_value),
            ];
            for (stat, number) in numbers {
                close(number, wanted(stat), 1e-7, &format!("{name} {test_name} {stat}"));
            }
            if name != "EE" {
                // metafor's I² of DL and REML is from τ².
                close(i2_h2(&v, found.value).0, wanted("I2"), 1e-7, name);
                close(i2_h2(&v, found.value).1, wanted("H2"), 1e-7, name);
            }
        }
    }
    close(
        tau2(&y, &v, Tau2Estimator::Reml).std_error.unwrap(),
        oracle["REML z/se_tau2"],
        1e-7,
        "se of τ²",
    );
    let h = heterogeneity(&y, &v, 0.95);
    close(h.q, oracle["EE z/Q"], 1e-10, "Q");
    close(h.p_value, oracle["EE z/Qp"], 1e-8, "p of Q");
    close(h.tau2_confidence.0, oracle["Qprofile/low"], 1e-8, "Q-profile, lower");
    close(h.tau2_confidence.1, oracle["Qprofile/high"], 1e-8, "Q-profile, upper");
}

/// Leaving out one trial at a time (METHODS of the field: Viechtbauer 2010, influence of the BCG trials).
#[test]
fn leave_one_out_equals_the_published_table() {
    let (y, v) = bcg();
    let wanted = [
        -0.7071, -0.6540, -0.6856, -0.6284, -0.7642, -0.7109, -0.6552, -0.7948, -0.7412, -0.6530,
        -0.7579, -0.7598, -0.7775,
    ];
    for (i, wanted) in wanted.into_iter().enumerate() {
        let without = |x: &[f64]| {
            x.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, x)| *x).collect::<Vec<_>>()
        };
        let (y, v) = (without(&y), without(&v));
        let found = pool(&y, &v, tau2(&y, &v, Tau2Estimator::Reml).value, Test::Z, 0.95).estimate;
        assert!((found - wanted).abs() < 6e-5, "trial {}: {found}", i + 1);
    }
}

#[test]
fn estimates_do_not_depend_on_the_scale_of_the_effects() {
    let (y, v) = bcg();
    for scale in [1e-6_f64, 1e6] {
        let ys: Vec<f64> = y.iter().map(|x| x * scale).collect();
        let vs: Vec<f64> = v.iter().map(|x| x * scale * scale).collect();
        for method in
            [Tau2Estimator::Reml, Tau2Estimator::PauleMandel, Tau2Estimator::DerSimonianLaird]
        {
            let (plain, scaled) =
                (tau2(&y, &v, method).value, tau2(&ys, &vs, method).value / (scale * scale));
            close(scaled, plain, 1e-9, "scaled τ²");
        }
    }
}
