//! Own-baseline Cox likelihood with case weights and an offset, and each person's score residual.
//!
//! Tied deaths with weights share the mean of their weights, as in R. Residuals follow the tie rule of the fit.
//! Source: Therneau & Grambsch (2000), 3.3, 4.6 and 7.2; Binder (1992).

use super::{Derivatives, Rows, Ties, packed};

/// Likelihood at β, and the residuals.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightedFit {
    /// ℓ, score, information.
    pub derivatives: Derivatives,
    /// Score residual of each row, weight not included.
    pub residuals: Vec<Vec<f64>>,
}

/// Evaluates at `beta`; rows without weights count 1, without offset 0.
pub fn weighted(
    rows: Rows<'_>,
    weights: Option<&[f64]>,
    offset: Option<&[f64]>,
    beta: &[f64],
    ties: Ties,
) -> WeightedFit {
    let n = rows.exit.len();
    let p = beta.len();
    let mut fit =
        WeightedFit { derivatives: Derivatives::zero(p), residuals: vec![vec![0.0; p]; n] };
    let mut strata: Vec<u32> = rows.stratum.map_or_else(Vec::new, <[u32]>::to_vec);
    strata.sort_unstable();
    strata.dedup();
    // Columns are centred: nothing changes, and digits are saved.
    let x: Vec<Vec<f64>> = rows
        .covariates
        .iter()
        .map(|column| {
            let mean = column.iter().sum::<f64>() / n.max(1) as f64;
            column.iter().map(|x| x - mean).collect()
        })
        .collect();
    let x: Vec<Vec<f64>> = (0..n).map(|i| x.iter().map(|c| c[i]).collect()).collect();
    let of: Vec<Vec<usize>> = match rows.stratum {
        None => vec![(0..n).collect()],
        Some(stratum) => {
            strata.iter().map(|s| (0..n).filter(|&i| stratum[i] == *s).collect()).collect()
        }
    };
    for members in of {
        one_stratum(&mut fit, &members, rows, &x, weights, offset, beta, ties);
    }
    fit
}

/// Sums at one event time: Σ_l w̄ / S, Σ_l w̄ x̄ / S; for the deaths the same with l/d, and the mean of x̄.
struct At {
    time: i32,
    a: f64,
    b: Vec<f64>,
    tied_a: f64,
    tied_b: Vec<f64>,
    mean: Vec<f64>,
}

#[expect(clippy::too_many_arguments, reason = "one stratum of what the caller holds")]
fn one_stratum(
    fit: &mut WeightedFit,
    members: &[usize],
    rows: Rows<'_>,
    x: &[Vec<f64>],
    weights: Option<&[f64]>,
    offset: Option<&[f64]>,
    beta: &[f64],
    ties: Ties,
) {
    let p = beta.len();
    let q = p * (p + 1) / 2;
    let weight = |i: usize| weights.map_or(1.0, |w| w[i]);
    let eta: Vec<f64> = members
        .iter()
        .map(|&i| {
            let linear: f64 = x[i].iter().zip(beta).map(|(x, b)| x * b).sum();
            linear + offset.map_or(0.0, |o| o[i])
        })
        .collect();
    let shift = eta.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let risk: Vec<f64> = eta.iter().map(|e| (e - shift).exp()).collect();
    let entry = |i: usize| rows.entry.map_or(0, |entry| entry[i]);
    let mut times: Vec<i32> =
        members.iter().filter(|&&i| rows.event[i]).map(|&i| rows.exit[i]).collect();
    times.sort_unstable();
    times.dedup();
    let mut by_exit: Vec<usize> = (0..members.len()).collect();
    by_exit.sort_by_key(|&m| std::cmp::Reverse(rows.exit[members[m]]));
    let mut by_entry: Vec<usize> = (0..members.len()).filter(|&m| entry(members[m]) > 0).collect();
    by_entry.sort_by_key(|&m| std::cmp::Reverse(entry(members[m])));
    let (mut s0, mut s1, mut s2) = (0.0, vec![0.0; p], vec![0.0; q]);
    let (mut joined, mut left) = (0, 0);
    let mut found: Vec<At> = Vec::new();
    let add = |sign: f64, m: usize, s0: &mut f64, s1: &mut [f64], s2: &mut [f64]| {
        let w = sign * weight(members[m]) * risk[m];
        *s0 += w;
        let x = &x[members[m]];
        for j in 0..p {
            s1[j] += w * x[j];
            for k in 0..=j {
                s2[packed(j, k)] += w * x[j] * x[k];
            }
        }
    };
    for &time in times.iter().rev() {
        while joined < by_exit.len() && rows.exit[members[by_exit[joined]]] >= time {
            add(1.0, by_exit[joined], &mut s0, &mut s1, &mut s2);
            joined += 1;
        }
        while left < by_entry.len() && entry(members[by_entry[left]]) >= time {
            add(-1.0, by_entry[left], &mut s0, &mut s1, &mut s2);
            left += 1;
        }
        let dead: Vec<usize> = (0..members.len())
            .filter(|&m| rows.event[members[m]] && rows.exit[members[m]] == time)
            .collect();
        let d = dead.len() as f64;
        let (mut t0, mut t1, mut t2) = (0.0, vec![0.0; p], vec![0.0; q]);
        let mut total = 0.0;
        for &m in &dead {
            add(1.0, m, &mut t0, &mut t1, &mut t2);
            let w = weight(members[m]);
            total += w;
            fit.derivatives.log_likelihood += w * (eta[m] - shift);
            for j in 0..p {
                fit.derivatives.score[j] += w * x[members[m]][j];
            }
        }
        let mean_weight = total / d;
        let zeros = || vec![0.0; p];
        let mut at = At { time, a: 0.0, b: zeros(), tied_a: 0.0, tied_b: zeros(), mean: zeros() };
        for l in 0..dead.len() {
            let c = if ties == Ties::Efron { l as f64 / d } else { 0.0 };
            let denominator = s0 - c * t0;
            let mean: Vec<f64> = (0..p).map(|j| (s1[j] - c * t1[j]) / denominator).collect();
            fit.derivatives.log_likelihood -= mean_weight * denominator.ln();
            let a = mean_weight / denominator;
            at.a += a;
            at.tied_a += c * a;
            for j in 0..p {
                at.b[j] += a * mean[j];
                at.tied_b[j] += c * a * mean[j];
                at.mean[j] += mean[j] / d;
                fit.derivatives.score[j] -= mean_weight * mean[j];
                for k in 0..=j {
                    let i = packed(j, k);
                    let second = (s2[i] - c * t2[i]) / denominator - mean[j] * mean[k];
                    fit.derivatives.information[i] += mean_weight * second;
                }
            }
        }
        for &m in &dead {
            let i = members[m];
            for j in 0..p {
                fit.residuals[i][j] +=
                    x[i][j] - at.mean[j] + risk[m] * (x[i][j] * at.tied_a - at.tied_b[j]);
            }
        }
        found.push(at);
    }
    // Compensators: over the event times in (entry, exit].
    found.reverse();
    let mut cumulative = vec![(0.0, vec![0.0; p])];
    for at in &found {
        let (a, b) = &cumulative[cumulative.len() - 1];
        cumulative.push((a + at.a, b.iter().zip(&at.b).map(|(x, y)| x + y).collect()));
    }
    for (m, &i) in members.iter().enumerate() {
        let to = found.partition_point(|at| at.time <= rows.exit[i]);
        let from = if entry(i) > 0 { found.partition_point(|at| at.time <= entry(i)) } else { 0 };
        for j in 0..p {
            let a = cumulative[to].0 - cumulative[from].0;
            let b = cumulative[to].1[j] - cumulative[from].1[j];
            fit.residuals[i][j] -= risk[m] * (x[i][j] * a - b);
        }
    }
}

/// Σ w² u u' over rows, packed.
pub fn meat(residuals: &[Vec<f64>], weights: Option<&[f64]>) -> Vec<f64> {
    let p = residuals.first().map_or(0, Vec::len);
    let mut sum = vec![0.0; p * (p + 1) / 2];
    for (i, u) in residuals.iter().enumerate() {
        let w = weights.map_or(1.0, |w| w[i]);
        for j in 0..p {
            for k in 0..=j {
                sum[packed(j, k)] += w * w * u[j] * u[k];
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cox::RiskData;

    #[test]
    fn without_weights_it_is_the_fast_sum_and_residuals_add_up_to_the_score() {
        let exit = [5, 8, 8, 8, 12, 12, 20, 3];
        let event = [true, true, true, false, true, false, true, true];
        let entry = [0, 2, 0, 4, 9, 0, 0, 0];
        let stratum = [0, 0, 0, 0, 0, 0, 0, 1];
        let x = vec![
            vec![1.0, 0.0, 2.0, 1.5, 0.3, 0.7, 1.1, 0.4],
            vec![3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0],
        ];
        let rows = Rows {
            entry: Some(&entry),
            exit: &exit,
            event: &event,
            stratum: Some(&stratum),
            covariates: &x,
        };
        for ties in [Ties::Efron, Ties::Breslow] {
            let beta = [0.4, -0.2];
            let fit = weighted(rows, None, None, &beta, ties);
            let fast = RiskData::new(rows, None).derivatives(&beta, ties);
            assert!((fit.derivatives.log_likelihood - fast.log_likelihood).abs() < 1e-12);
            for j in 0..2 {
                assert!((fit.derivatives.score[j] - fast.score[j]).abs() < 1e-12);
                let sum: f64 = fit.residuals.iter().map(|u| u[j]).sum();
                assert!((sum - fast.score[j]).abs() < 1e-12, "{ties:?} {sum} {}", fast.score[j]);
            }
            for (a, b) in fit.derivatives.information.iter().zip(&fast.information) {
                assert!((a - b).abs() < 1e-12);
            }
        }
    }
}
