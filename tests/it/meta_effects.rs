//! Meta-analysis of published counts and estimates against `metafor` (tests/reference/meta_effects.R).

use nalgebra::{DMatrix, DVector};
use tributary::stats::{
    effect_size::{AddTo, Correction, Measure, StudyData, effect},
    meta_diagnostics::{
        begg, cumulative, egger, harbord, influence, leave_one_out, peters, trim_and_fill,
    },
    meta_regression::{Regression, two_sided},
    random_effects::{Tau2Estimator, Test, generalised_q_tau2, tau2, tau2_profile_limits},
    random_effects_glmm::{Model, Study, fit},
    two_by_two::{self, Cells, Conditional},
};

use crate::pooling::{close, csv, reference};

fn numbers(file: &str, columns: &[&str]) -> Vec<Vec<f64>> {
    let (head, rows) = csv(file);
    let at: Vec<usize> =
        columns.iter().map(|c| head.iter().position(|h| h == c).unwrap()).collect();
    rows.iter().map(|r| at.iter().map(|&i| r[i].parse().unwrap()).collect()).collect()
}

fn tables(file: &str) -> Vec<Cells> {
    let rows = numbers(file, &["events1", "n1", "events2", "n2"]);
    rows.iter().map(|r| [r[0], r[1] - r[0], r[2], r[3] - r[2]]).collect()
}

fn counts(t: &Cells) -> StudyData {
    StudyData::Counts { events1: t[0], n1: t[0] + t[1], events2: t[2], n2: t[2] + t[3] }
}

#[test]
fn effect_measures_equal_escalc() {
    let wanted = reference("meta_effects_reference.csv");
    let check = |name: &str, i: usize, found: Option<(f64, f64)>| {
        let (y, v) = found.unwrap();
        close(y, wanted[&format!("{name}/{i}/yi")], 1e-12, name);
        close(v, wanted[&format!("{name}/{i}/vi")], 1e-12, name);
    };
    let bcg = tables("bcg_counts.csv");
    for (name, measure) in [
        ("OR", Measure::OddsRatio),
        ("RR", Measure::RiskRatio),
        ("RD", Measure::RiskDifference),
        ("PETO", Measure::Peto),
        ("AS", Measure::ArcsineDifference),
    ] {
        for i in [1, 7, 13] {
            check(name, i, effect(measure, &counts(&bcg[i - 1]), Correction::NONE));
        }
    }
    let rates = numbers("nielweise2008.csv", &["events1", "time1", "events2", "time2"]);
    for (name, measure) in [("IRR", Measure::RateRatio), ("IRD", Measure::RateDifference)] {
        for i in [1, 3] {
            let r = &rates[i - 1];
            let data = StudyData::Rates { events1: r[0], time1: r[1], events2: r[2], time2: r[3] };
            check(name, i, effect(measure, &data, Correction::NONE));
        }
    }
    let half = Correction { add: 0.5, to: AddTo::OnlyZero };
    for (name, measure) in [
        ("PR", Measure::Proportion),
        ("PLO", Measure::Logit),
        ("PLN", Measure::LogProportion),
        ("PAS", Measure::Arcsine),
        ("PFT", Measure::DoubleArcsine),
    ] {
        for (i, r) in numbers("pritz.csv", &["events", "n"]).iter().enumerate() {
            let data = StudyData::Events { events: r[0], n: r[1] };
            check(name, i + 1, effect(measure, &data, half));
        }
    }
}

fn bcg() -> (Vec<f64>, Vec<f64>) {
    tables("bcg_counts.csv")
        .iter()
        .map(|t| effect(Measure::RiskRatio, &counts(t), Correction::NONE).unwrap())
        .unzip()
}

#[test]
fn every_estimator_of_heterogeneity_equals_metafor() {
    let wanted = reference("meta_effects_reference.csv");
    let (y, v) = bcg();
    for (name, estimator) in [
        ("HE", Tau2Estimator::Hedges),
        ("HS", Tau2Estimator::HunterSchmidt),
        ("SJ", Tau2Estimator::SidikJonkman),
        ("ML", Tau2Estimator::MaximumLikelihood),
        ("PMM", Tau2Estimator::MedianPauleMandel),
    ] {
        close(tau2(&y, &v, estimator).value, wanted[&format!("tau2/{name}/tau2")], 1e-7, name);
    }
    // metafor's empirical Bayes iterations stop in the fifth digit of what Paule and Mandel's equation gives.
    let pm = tau2(&y, &v, Tau2Estimator::PauleMandel).value;
    close(pm, wanted["tau2/EB/tau2"], 1e-3, "EB");
    for (name, restricted) in [("ML", false), ("REML", true)] {
        let (low, high) = tau2_profile_limits(&y, &v, restricted, 0.95);
        close(low, wanted[&format!("PL/{name}/low")], 1e-6, name);
        close(high, wanted[&format!("PL/{name}/high")], 1e-6, name);
    }
    // With weights 1/v the generalised Q estimator is DerSimonian and Laird's, with equal weights Hedges'.
    let inverse: Vec<f64> = v.iter().map(|v| 1.0 / v).collect();
    let dl = tau2(&y, &v, Tau2Estimator::DerSimonianLaird).value;
    close(generalised_q_tau2(&y, &v, &inverse), dl, 1e-12, "DL");
    let he = tau2(&y, &v, Tau2Estimator::Hedges).value;
    close(generalised_q_tau2(&y, &v, &vec![1.0; y.len()]), he, 1e-12, "HE");
}

#[test]
fn common_effects_equal_metafor_without_corrections() {
    let wanted = reference("meta_effects_reference.csv");
    let check = |name: &str, found: two_by_two::Common| {
        let of = |stat: &str| wanted.get(&format!("{name}/{stat}")).copied();
        close(found.estimate, of("estimate").unwrap(), 1e-10, name);
        close(found.std_error, of("se").unwrap(), 1e-10, name);
        if let Some(q) = of("q") {
            close(found.q.unwrap().0, q, 1e-9, name);
        }
        if let Some(score) = of("score") {
            close(found.score.unwrap()[1], score, 1e-9, name);
        }
    };
    let bcg = tables("bcg_counts.csv");
    check("bcg OR/mh", two_by_two::odds_ratio(&bcg).unwrap());
    check("bcg RR/mh", two_by_two::risk_ratio(&bcg).unwrap());
    check("bcg RD/mh", two_by_two::risk_difference(&bcg).unwrap());
    check("bcg/peto", two_by_two::peto(&bcg).unwrap());
    let corrected = two_by_two::odds_ratio(&bcg).unwrap().score.unwrap()[0];
    close(corrected, wanted["bcg OR/mh/corrected"], 1e-9, "corrected");
    close(corrected, 135.688944, 1e-8, "published");
    let n7 = tables("nielweise2007.csv");
    check("n7 OR/mh", two_by_two::odds_ratio(&n7).unwrap());
    check("n7/peto", two_by_two::peto(&n7).unwrap());
    let rates = numbers("nielweise2008.csv", &["events1", "time1", "events2", "time2"]);
    let strata: Vec<[tributary::stats::rate_ratio::Rate; 2]> = rates
        .iter()
        .map(|r| {
            [(r[0], r[1]), (r[2], r[3])]
                .map(|(events, time)| tributary::stats::rate_ratio::Rate { events, time })
        })
        .collect();
    let mh = tributary::stats::rate_ratio::mantel_haenszel(&strata).unwrap();
    close(mh.ln_ratio, wanted["n8 IRR/mh/estimate"], 1e-10, "IRR");
    close(mh.ln_ratio_std_error, wanted["n8 IRR/mh/se"], 1e-10, "IRR");
    let exact = Conditional::new(&n7).unwrap();
    close(exact.estimate().exp(), wanted["n7/exact/or"], 1e-4, "exact");
    // R finds its limits to a tolerance of 1e-4.
    let [low, high] = exact.limits(0.95, false).map(f64::exp);
    close(low, wanted["n7/exact/low"], 3e-4, "exact");
    close(high, wanted["n7/exact/high"], 3e-4, "exact");
    let mid = exact.limits(0.95, true).map(f64::exp);
    assert!(mid[0] > low && mid[1] < high);
}

/// Yusuf et al. (1985), tables 6, 9, 10 and 11: Peto's odds ratio as it was published.
#[test]
fn petos_odds_ratios_are_the_published_ones() {
    let wanted = reference("meta_effects_reference.csv");
    let (head, rows) = csv("yusuf.csv");
    let at = |name: &str| head.iter().position(|h| h == name).unwrap();
    for (table, published) in
        [("6", -0.069168), ("9", -0.066781), ("10", -0.260060), ("11", -0.298967)]
    {
        let cells: Vec<Cells> = rows
            .iter()
            .filter(|r| r[at("table")] == table)
            .map(|r| {
                let n = |c: &str| r[at(c)].parse::<f64>().unwrap();
                [n("events1"), n("n1") - n("events1"), n("events2"), n("n2") - n("events2")]
            })
            .collect();
        let found = two_by_two::peto(&cells).unwrap();
        close(found.estimate, wanted[&format!("yusuf {table}/peto/estimate")], 1e-10, table);
        close(found.std_error, wanted[&format!("yusuf {table}/peto/se")], 1e-10, table);
        assert!((found.estimate - published).abs() < 1e-6);
    }
}

#[test]
fn rare_event_models_equal_rma_glmm() {
    let wanted = reference("meta_effects_reference.csv");
    let check = |name: &str, studies: &[Study], model: Model, nodes: usize, tolerance: f64| {
        let found = fit(studies, model, nodes, 0.95).unwrap();
        let of = |stat: &str| wanted[&format!("{name}/glmm/{stat}")];
        close(found.estimate, of("estimate"), tolerance, name);
        close(found.std_error, of("se"), 10.0 * tolerance, name);
        close(found.tau2, of("tau2"), 20.0 * tolerance, name);
        assert!(found.agrees, "{name}: {found:?}");
        found
    };
    let n7: Vec<Study> = tables("nielweise2007.csv").into_iter().map(Study::Table).collect();
    // R's optimiser stops early where each study has a level of its own.
    check("n7 UM.FS", &n7, Model::FixedStudy, 21, 5e-4);
    check("n7 CM.AL", &n7, Model::ConditionalApproximate, 21, 2e-4);
    let rates = numbers("nielweise2008.csv", &["events1", "time1", "events2", "time2"]);
    let n8: Vec<Study> = rates.iter().map(|r| Study::Rates([r[0], r[1], r[2], r[3]])).collect();
    check("n8 UM.FS", &n8, Model::FixedStudy, 21, 2e-4);
    check("n8 CM.EL", &n8, Model::Conditional, 21, 2e-4);
    let pritz = numbers("pritz.csv", &["events", "n"]);
    let pritz: Vec<Study> = pritz.iter().map(|r| Study::Proportion([r[0], r[1] - r[0]])).collect();
    check("pritz PLO", &pritz, Model::Conditional, 21, 2e-4);
    // The exact conditional model of Stijnen et al. (2010) on catheter infections, with its published numbers.
    let exact = fit(&n7, Model::Conditional, 61, 0.95).unwrap();
    close(exact.estimate, -1.353158, 1e-4, "CM.EL");
    close(exact.tau2, 0.6934593, 1e-3, "CM.EL");
    close(exact.std_error, 0.3510682, 2e-3, "CM.EL");
}

/// Random levels: one quadrature point is Laplace's approximation, as R fits them, with levels and effects parametrised otherwise;
/// many equal the likelihood integrated over both in R.
#[test]
fn random_levels_are_integrated_with_the_effects() {
    let wanted = reference("meta_effects_reference.csv");
    let rates = numbers("nielweise2008.csv", &["events1", "time1", "events2", "time2"]);
    let n8: Vec<Study> = rates.iter().map(|r| Study::Rates([r[0], r[1], r[2], r[3]])).collect();
    let found = fit(&n8, Model::RandomStudy, 1, 0.95).unwrap();
    close(found.estimate, wanted["n8 UM.RS/glmm/estimate"], 5e-4, "Laplace");
    close(found.tau2, wanted["n8 UM.RS/glmm/tau2"], 1e-2, "Laplace");
    let found = fit(&n8, Model::RandomStudy, 15, 0.95).unwrap();
    close(found.estimate, wanted["n8 UM.RS exact/glmm/estimate"], 1e-4, "integrated");
    close(found.tau2, wanted["n8 UM.RS exact/glmm/tau2"], 1e-3, "integrated");
}

/// Pre-eclampsia and diuretics: standard errors are the inverse of the whole Hessian of the likelihood written out in R, Laplace's and
/// integrated (tests/reference/glmm.R). `lme4` has 0.21120 where Laplace's is 0.21179.
#[test]
fn standard_errors_of_random_levels_are_those_of_the_likelihood() {
    let wanted = reference("glmm_reference.csv");
    let studies: Vec<Study> = tables("collins.csv").into_iter().map(Study::Table).collect();
    for nodes in [1, 9] {
        let found = fit(&studies, Model::RandomStudy, nodes, 0.95).unwrap();
        let of = |stat: &str| wanted[&format!("collins UM.RS/{nodes}/{stat}")];
        close(found.estimate, of("estimate"), 1e-5, "estimate");
        close(found.std_error, of("std_error"), 5e-5, "standard error");
        close(found.tau2, of("tau2"), 1e-4, "τ²");
    }
}

/// A hundred thousand events do not make the exact likelihood slow, and it is then that of the normal approximation.
#[test]
fn very_large_tables_stay_exact() {
    let table = |a: f64, b: f64| [a, 1e6 - a, b, 1e6 - b];
    let large = [table(60_000.0, 50_000.0), table(58_000.0, 49_000.0), table(30_500.0, 25_000.0)];
    let found = fit(&large.map(Study::Table), Model::Conditional, 7, 0.95).unwrap();
    let (y, v): (Vec<f64>, Vec<f64>) = large
        .iter()
        .map(|t| effect(Measure::OddsRatio, &counts(t), Correction::NONE).unwrap())
        .unzip();
    let t = tau2(&y, &v, Tau2Estimator::MaximumLikelihood).value;
    let normal = tributary::stats::random_effects::pool(&y, &v, t, Test::Z, 0.95);
    close(found.estimate, normal.estimate, 1e-3, "estimate");
    close(found.tau2, t, 2e-2, "τ²");
}

/// 13 events in 4300 person-years without heterogeneity: the pooled rate is their ratio. No events in both arms say nothing.
#[test]
fn rates_without_heterogeneity_are_all_events_over_all_time() {
    let studies = [[4.0, 1300.0], [3.0, 1000.0], [6.0, 2000.0]].map(Study::Rate);
    let found = fit(&studies, Model::Conditional, 21, 0.95).unwrap();
    assert_eq!(found.tau2, 0.0);
    close(found.estimate.exp(), 13.0 / 4300.0, 1e-7, "rate");
    let tables =
        [[4.0, 1.0, 10.0, 30.0], [0.0, 5.0, 0.0, 9.0], [2.0, 8.0, 3.0, 20.0]].map(Study::Table);
    let found = fit(&tables, Model::Conditional, 21, 0.95).unwrap();
    let two = fit(&[tables[0], tables[2]], Model::Conditional, 21, 0.95).unwrap();
    close(found.estimate, two.estimate, 1e-9, "a table without events");
    // All events in one arm: no finite maximum, and no number.
    let apart = [[4.0, 10.0, 0.0, 10.0], [3.0, 10.0, 0.0, 10.0]].map(Study::Table);
    assert!(fit(&apart, Model::Conditional, 21, 0.95).is_none());
}

fn ablat() -> Regression {
    let (y, v) = bcg();
    let x = numbers("bcg_counts.csv", &["ablat"]);
    let x = DMatrix::from_fn(13, 2, |i, j| if j == 0 { 1.0 } else { x[i][0] });
    Regression { y: DVector::from_vec(y), v, x }
}

fn intercept() -> Regression {
    let (y, v) = bcg();
    Regression { y: DVector::from_vec(y), v, x: DMatrix::from_element(13, 1, 1.0) }
}

#[test]
fn meta_regression_equals_rma() {
    let wanted = reference("meta_effects_reference.csv");
    let none = tau2(&bcg().0, &bcg().1, Tau2Estimator::Reml).value;
    for (name, test) in [("z", Test::Z), ("knha", Test::HartungKnapp)] {
        let found = ablat().fit(Tau2Estimator::Reml, test).unwrap();
        let of = |key: &str| wanted[&format!("ablat {name}/{key}")];
        for j in 0..2 {
            let se = found.covariance[(j, j)].sqrt();
            close(found.coefficients[j], of(&format!("{}/coef", j + 1)), 1e-7, name);
            close(se, of(&format!("{}/se", j + 1)), 1e-7, name);
            close(
                two_sided(found.coefficients[j] / se, found.df),
                of(&format!("{}/p", j + 1)),
                1e-5,
                name,
            );
        }
        close(found.tau2, of("all/tau2"), 1e-7, name);
        close(100.0 * (none - found.tau2) / none, of("all/r2"), 1e-6, name);
        close(found.moderators.unwrap().0, of("all/qm"), 1e-6, name);
        close(found.moderators.unwrap().2, of("all/qmp"), 1e-5, name);
        close(found.q_residual.0, of("all/qe"), 1e-9, name);
        close(100.0 * found.i2_h2.0, of("all/i2"), 1e-6, name);
    }
    for (name, estimator) in [
        ("DL", Tau2Estimator::DerSimonianLaird),
        ("ML", Tau2Estimator::MaximumLikelihood),
        ("PM", Tau2Estimator::PauleMandel),
        ("HE", Tau2Estimator::Hedges),
        ("SJ", Tau2Estimator::SidikJonkman),
        ("HS", Tau2Estimator::HunterSchmidt),
    ] {
        close(ablat().tau2(estimator).0, wanted[&format!("ablat/{name}/tau2")], 1e-7, name);
    }
    // Moderators that do not differ, or as many as studies, give nothing.
    let mut constant = ablat();
    constant.x.set_column(1, &DVector::from_element(13, 3.0));
    assert!(constant.fit(Tau2Estimator::Reml, Test::Z).is_none());
}

#[test]
fn permutation_and_robust_variance_equal_their_definitions() {
    let wanted = reference("meta_effects_reference.csv");
    let p = intercept().permutation(Tau2Estimator::Reml, Test::Z, 0, 1).unwrap()[0];
    close(p, wanted["permutation/exact/p"], 1e-12, "permutation");
    let tau2 = intercept().tau2(Tau2Estimator::Reml).0;
    let trials: Vec<usize> = (0..13).collect();
    let (v, df) = intercept().robust(tau2, &trials, false).unwrap();
    close(v[(0, 0)].sqrt(), wanted["robust/trial/se"], 1e-7, "CR1");
    close(df[0], wanted["robust/trial/df"], 1e-12, "CR1");
    let (_, rows) = csv("bcg_counts.csv");
    let mut names: Vec<&str> = rows.iter().map(|r| r[7].as_str()).collect();
    let own = names.clone();
    names.sort_unstable();
    names.dedup();
    let clusters: Vec<usize> =
        own.iter().map(|n| names.iter().position(|m| m == n).unwrap()).collect();
    let (v, _) = intercept().robust(tau2, &clusters, false).unwrap();
    close(v[(0, 0)].sqrt(), wanted["robust/alloc/se"], 1e-7, "CR1 by allocation");
    let (v, df) = intercept().robust(tau2, &clusters, true).unwrap();
    close(v[(0, 0)].sqrt(), wanted["robust/cr2/se"], 1e-6, "CR2");
    close(df[0], wanted["robust/cr2/df"], 1e-6, "CR2");
}

#[test]
fn diagnostics_equal_metafor() {
    let wanted = reference("meta_effects_reference.csv");
    let (y, v) = bcg();
    for (i, w) in leave_one_out(&y, &v, Tau2Estimator::Reml, Test::Z, 0.95).iter().enumerate() {
        let of = |stat: &str| wanted[&format!("leave1out/{}/{stat}", i + 1)];
        close(w.estimate, of("estimate"), 1e-5, "leave one out");
        close(w.tau2, of("tau2"), 1e-4, "leave one out");
        close(100.0 * w.i2, of("i2"), 1e-5, "leave one out");
    }
    for (i, f) in influence(&y, &v, Tau2Estimator::Reml).iter().enumerate() {
        let of = |stat: &str| wanted[&format!("influence/{}/{stat}", i + 1)];
        close(f.rstudent, of("rstudent"), 1e-4, "rstudent");
        close(f.cook, of("cook"), 1e-3, "cook");
        close(f.dffits, of("dffits"), 1e-3, "dffits");
        close(f.cov_ratio, of("cov_ratio"), 1e-4, "covariance ratio");
        close(f.hat, of("hat"), 1e-5, "hat");
    }
    let years = numbers("bcg_counts.csv", &["year"]);
    let mut order: Vec<usize> = (0..13).collect();
    order.sort_by(|&a, &b| years[a][0].total_cmp(&years[b][0]));
    let pick = |x: &[f64]| order.iter().map(|&i| x[i]).collect::<Vec<f64>>();
    for (i, c) in cumulative(&pick(&y), &pick(&v), Tau2Estimator::Reml, Test::Z, 0.95)
        .iter()
        .enumerate()
        .skip(1)
    {
        let of = |stat: &str| wanted[&format!("cumulative/{}/{stat}", i + 1)];
        close(c.estimate, of("estimate"), 1e-4, "cumulative");
    }
    let e = egger(&y, &v, Tau2Estimator::Reml).unwrap();
    close(e.statistic, wanted["egger/sei/z"], 1e-6, "egger");
    close(e.p_value, wanted["egger/sei/p"], 1e-6, "egger");
    close(e.limit.unwrap().0, wanted["egger/sei/limit"], 1e-6, "egger");
    let b = begg(&y, &v).unwrap();
    close(b.statistic, wanted["begg/tau/tau"], 1e-10, "begg");
    close(b.p_value, wanted["begg/tau/p"], 1e-10, "begg");
    // `trimfill` fits REML to its default tolerance.
    for (name, estimator, tolerance) in
        [("EE", Tau2Estimator::Common, 1e-10), ("REML", Tau2Estimator::Reml, 1e-6)]
    {
        let t = trim_and_fill(&y, &v, estimator, 0.95).unwrap();
        let of = |stat: &str| wanted[&format!("trimfill/{name}/{stat}")];
        assert_eq!(t.missing as f64, of("k0"));
        assert!(t.right);
        close(t.filled.estimate, of("estimate"), tolerance, "trim and fill");
        close(t.filled.std_error, of("se"), tolerance, "trim and fill");
    }
    let h = harbord(&tables("bcg_counts.csv")).unwrap();
    close(h.statistic, wanted["harbord/t/t"], 1e-9, "harbord");
    close(h.p_value, wanted["harbord/t/p"], 1e-9, "harbord");
    let p = peters(&tables("bcg_counts.csv")).unwrap();
    close(p.statistic, wanted["peters/t/t"], 1e-9, "peters");
    close(p.p_value, wanted["peters/t/p"], 1e-9, "peters");
}
