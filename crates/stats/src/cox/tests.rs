//! Closed forms of Therneau & Grambsch (2000), appendix E.1: seven patients, one covariate, r = exp(β).

use super::*;
use crate::newton::{Evaluation, Next, newton};

// time, status, x
const EXIT: [i32; 6] = [1, 1, 6, 6, 8, 9];
const EVENT: [bool; 6] = [true, false, true, true, false, true];
const X: [f64; 6] = [1.0, 1.0, 1.0, 0.0, 0.0, 0.0];

fn data() -> RiskData {
    RiskData::new(
        Rows { entry: None, exit: &EXIT, event: &EVENT, stratum: None, covariates: &[X.to_vec()] },
        None,
    )
}

fn close(found: f64, wanted: f64) {
    assert!(
        (found - wanted).abs() <= 1e-12 * wanted.abs().max(1.0),
        "found {found}, expected {wanted}"
    );
}

#[test]
fn breslow_derivatives_equal_the_closed_forms() {
    for beta in [0.0, 1.6, 1.4752849100] {
        let r = f64::exp(beta);
        let d = data().derivatives(&[beta], Ties::Breslow);
        close(d.log_likelihood, 2.0 * beta - (3.0 * r + 3.0).ln() - 2.0 * (r + 3.0).ln());
        close(d.score[0], 2.0 - 3.0 * r / (3.0 * r + 3.0) - 2.0 * r / (r + 3.0));
        close(d.information[0], r / (r + 1.0).powi(2) + 6.0 * r / (r + 3.0).powi(2));
    }
    // β = 0: U = 1, I = 5/8, so the first Newton step is 8/5.
    let d = data().derivatives(&[0.0], Ties::Breslow);
    close(d.score[0] / d.information[0], 1.6);
    // U(r) = 0 where r² − 3r − 6 = 0, so exp(β̂) = (3 + √33)/2.
    let beta = f64::midpoint(3.0, 33.0_f64.sqrt()).ln();
    close(data().derivatives(&[beta], Ties::Breslow).score[0], 0.0);
}

#[test]
fn efron_derivatives_equal_the_closed_forms() {
    for beta in [0.0, 0.7, 1.676857] {
        let r = f64::exp(beta);
        let d = data().derivatives(&[beta], Ties::Efron);
        close(
            d.log_likelihood,
            2.0 * beta - (3.0 * r + 3.0).ln() - (r + 3.0).ln() - (0.5 * r + 2.5).ln(),
        );
        close(d.score[0], 2.0 - (3.0 * r / (3.0 * r + 3.0) + r / (r + 3.0) + r / (r + 5.0)));
        close(
            d.information[0],
            3.0 * r / (3.0 * (r + 1.0).powi(2))
                + 3.0 * r / (r + 3.0).powi(2)
                + 5.0 * r / (r + 5.0).powi(2),
        );
    }
    close(data().derivatives(&[0.0], Ties::Efron).score[0], 52.0 / 48.0);
}

/// Slow and obvious: every risk set by its definition.
fn by_definition(
    rows: Rows<'_>,
    beta: &[f64],
    g: impl Fn(i32) -> f64,
) -> (f64, Vec<f64>, Vec<f64>) {
    let p = beta.len();
    let n = rows.exit.len();
    let x = |i: usize, j: usize| rows.covariates[j][i];
    let w = |i: usize| (0..p).map(|j| beta[j] * x(i, j)).sum::<f64>().exp();
    let stratum = |i: usize| rows.stratum.map_or(0, |s| s[i]);
    let mut events: Vec<(u32, i32)> =
        (0..n).filter(|&i| rows.event[i]).map(|i| (stratum(i), rows.exit[i])).collect();
    events.sort_unstable();
    events.dedup();
    let (mut log_likelihood, mut score, mut information) =
        (0.0, vec![0.0; p], vec![0.0; p * (p + 1) / 2]);
    for (s, t) in events {
        let risk: Vec<usize> = (0..n)
            .filter(|&i| {
                stratum(i) == s
                    && rows.exit[i] >= t
                    && rows.entry.is_none_or(|entry| entry[i] <= 0 || entry[i] < t)
            })
            .collect();
        let dead: Vec<usize> =
            risk.iter().copied().filter(|&i| rows.exit[i] == t && rows.event[i]).collect();
        for l in 0..dead.len() {
            let c = l as f64 / dead.len() as f64;
            let share = |i: usize| if dead.contains(&i) { w(i) * (1.0 - c) } else { w(i) };
            let s0: f64 = risk.iter().map(|&i| share(i)).sum();
            let mean = |j: usize| risk.iter().map(|&i| share(i) * x(i, j)).sum::<f64>() / s0;
            log_likelihood += w(dead[l]).ln() - s0.ln();
            for j in 0..p {
                score[j] += g(t) * (x(dead[l], j) - mean(j));
                for k in 0..=j {
                    let second: f64 =
                        risk.iter().map(|&i| share(i) * x(i, j) * x(i, k)).sum::<f64>() / s0;
                    information[packed(j, k)] += g(t) * (second - mean(j) * mean(k));
                }
            }
        }
    }
    (log_likelihood, score, information)
}

/// A registry-like mixture of ties, late entries, strata, and covariates on very different scales.
type Mixture = (Vec<i32>, Vec<i32>, Vec<bool>, Vec<u32>, Vec<Vec<f64>>);

fn mixture() -> Mixture {
    let mut state = 88172645463325252_u64;
    let mut next = |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let n = 120;
    let exit: Vec<i32> = (0..n).map(|_| next(40) as i32).collect();
    let entry =
        exit.iter().map(|&t| if next(3) == 0 { next(t.max(1) as u64) as i32 } else { 0 }).collect();
    let event = (0..n).map(|_| next(2) == 0).collect();
    let stratum = (0..n).map(|_| next(3) as u32).collect();
    let x =
        vec![(0..n).map(|_| next(2) as f64).collect(), (0..n).map(|_| next(7000) as f64).collect()];
    (entry, exit, event, stratum, x)
}

#[test]
fn fast_sums_equal_the_definition_with_late_entry_ties_and_strata() {
    let (entry, exit, event, stratum, x) = mixture();
    let beta = [0.4, -2e-4];
    let g = |t: i32| f64::from(t).sqrt();
    for (entry, stratum) in
        [(None, None), (Some(&entry[..]), None), (Some(&entry[..]), Some(&stratum[..]))]
    {
        let rows = Rows { entry, exit: &exit, event: &event, stratum, covariates: &x };
        let data = RiskData::new(rows, None);
        let fast = data.derivatives(&beta, Ties::Efron);
        let (log_likelihood, score, information) = by_definition(rows, &beta, |_| 1.0);
        close(fast.log_likelihood, log_likelihood);
        let near = |a: &[f64], b: &[f64]| {
            a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-9 * b.abs().max(1e-3))
        };
        assert!(
            near(&fast.score, &score) && near(&fast.information, &information),
            "{fast:?} {score:?} {information:?}"
        );

        let trend = data.trend(&beta, Ties::Efron, g);
        let (_, score, cross) = by_definition(rows, &beta, g);
        let (_, _, information) = by_definition(rows, &beta, |t| g(t) * g(t));
        assert!(
            near(&trend.score, &score)
                && near(&trend.cross, &cross)
                && near(&trend.information, &information)
        );
    }
}

#[test]
fn pooled_risk_set_sums_give_the_derivatives_of_the_pooled_rows() {
    let (entry, exit, event, _, x) = mixture();
    let rows =
        Rows { entry: Some(&entry), exit: &exit, event: &event, stratum: None, covariates: &x };
    let centre = [0.5, 3500.0];
    let mut times: Vec<i32> =
        exit.iter().zip(&event).filter(|(_, e)| **e).map(|(t, _)| *t).collect();
    times.sort_unstable();
    times.dedup();
    let beta = [0.4, -2e-4];
    for ties in [Ties::Efron, Ties::Breslow] {
        let whole = RiskData::new(rows, Some(&centre)).derivatives(&beta, ties);
        let half = |from: usize, to: usize| {
            let covariates: Vec<Vec<f64>> = x.iter().map(|c| c[from..to].to_vec()).collect();
            let rows = Rows {
                entry: Some(&entry[from..to]),
                exit: &exit[from..to],
                event: &event[from..to],
                stratum: None,
                covariates: &covariates,
            };
            risk_sums(&RiskData::new(rows, Some(&centre)), &beta, &times)
        };
        let (mut a, b) = (half(0, 70), half(70, 120));
        let add = |a: &mut Vec<f64>, b: &[f64]| a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
        add(&mut a.deaths, &b.deaths);
        add(&mut a.sum_x, &b.sum_x);
        for m in 0..3 {
            add(&mut a.s[m], &b.s[m]);
            add(&mut a.t[m], &b.t[m]);
        }
        let pooled = derivatives_of_sums(&a, &beta, ties, |_| 1.0);
        assert!((pooled.log_likelihood - whole.log_likelihood).abs() < 1e-9);
        let near = |a: &[f64], b: &[f64]| {
            a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-8 * b.abs().max(1e-2))
        };
        assert!(near(&pooled.score, &whole.score) && near(&pooled.information, &whole.information));
    }
}

#[test]
fn all_deaths_in_one_arm_are_called_monotone() {
    let exit: Vec<i32> = (1..=8).collect();
    let event: Vec<bool> = (1..=8).map(|i| i <= 3).collect();
    let x = vec![(1..=8).map(|i| if i <= 4 { 1.0 } else { 0.0 }).collect()];
    let data = RiskData::new(
        Rows { entry: None, exit: &exit, event: &event, stratum: None, covariates: &x },
        None,
    );
    let mut record = vec![Evaluation::new(&[0.0], &data.derivatives(&[0.0], Ties::Efron))];
    loop {
        match newton(&record, 60) {
            Next::Try(beta) => {
                record.push(Evaluation::new(&beta, &data.derivatives(&beta, Ties::Efron)));
            }
            Next::Monotone { coefficients, .. } => {
                assert_eq!(coefficients, [0]);
                return;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn no_events_is_zero_everywhere() {
    let event = [false; 6];
    let data = RiskData::new(
        Rows { entry: None, exit: &EXIT, event: &event, stratum: None, covariates: &[X.to_vec()] },
        None,
    );
    let d = data.derivatives(&[0.3], Ties::Efron);
    assert_eq!((d.log_likelihood, d.score[0], d.information[0]), (0.0, 0.0, 0.0));
}
