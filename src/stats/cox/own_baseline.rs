//! Each site (and each stratum within it) has its own baseline hazard: what leaves is one number, one vector, one matrix.

use rayon::prelude::*;

use super::{TieSums, Ties, packed, tie_sums};

/// Rows of a Cox model. All slices have the same length.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// Day of late entry; `None` if all are followed from the start.
    pub entry: Option<&'a [i32]>,
    /// Last day of follow-up.
    pub exit: &'a [i32],
    /// Whether the event happened on that day.
    pub event: &'a [bool],
    /// Stratum of each row; `None` for a single one.
    pub stratum: Option<&'a [u32]>,
    /// One column per covariate.
    pub covariates: &'a [Vec<f64>],
}

/// Rows in the order the likelihood is summed: by stratum, then latest exit first.
#[derive(Debug)]
pub struct RiskData {
    pub(super) exit: Vec<i32>,
    pub(super) event: Vec<bool>,
    pub(super) entry: Option<Vec<i32>>,
    /// Columns, centred.
    pub(super) x: Vec<Vec<f64>>,
    /// First row of each stratum, and the number of rows.
    pub(super) strata: Vec<usize>,
    /// Rows of each stratum by latest entry first; empty without late entries.
    pub(super) by_entry: Vec<u32>,
}

impl RiskData {
    /// Orders `rows`. Columns are centred at `centre`, or at their own mean, which changes nothing in a partial likelihood
    /// with its own baseline and saves digits.
    pub fn new(rows: Rows<'_>, centre: Option<&[f64]>) -> Self {
        let n = rows.exit.len();
        let stratum = |i: u32| rows.stratum.map_or(0, |s| s[i as usize]);
        let mut order: Vec<u32> = (0..n as u32).collect();
        order.par_sort_unstable_by_key(|&i| {
            (stratum(i), std::cmp::Reverse(rows.exit[i as usize]), i)
        });
        let mut strata: Vec<usize> =
            (0..n).filter(|&k| k == 0 || stratum(order[k]) != stratum(order[k - 1])).collect();
        strata.push(n);
        let x = rows
            .covariates
            .par_iter()
            .enumerate()
            .map(|(j, column)| {
                let middle =
                    centre.map_or_else(|| column.iter().sum::<f64>() / n.max(1) as f64, |c| c[j]);
                order.iter().map(|&i| column[i as usize] - middle).collect()
            })
            .collect();
        let entry: Option<Vec<i32>> =
            rows.entry.map(|entry| order.iter().map(|&i| entry[i as usize]).collect());
        let by_entry = entry.as_ref().map_or_else(Vec::new, |entry| {
            let mut by_entry: Vec<u32> = (0..n as u32).collect();
            for w in strata.windows(2) {
                by_entry[w[0]..w[1]]
                    .sort_unstable_by_key(|&i| std::cmp::Reverse(entry[i as usize]));
            }
            by_entry
        });
        Self {
            exit: order.iter().map(|&i| rows.exit[i as usize]).collect(),
            event: order.iter().map(|&i| rows.event[i as usize]).collect(),
            entry,
            x,
            strata,
            by_entry,
        }
    }

    pub(super) fn linear_predictor(&self, beta: &[f64]) -> Vec<f64> {
        let mut eta = vec![0.0; self.exit.len()];
        for (column, b) in self.x.iter().zip(beta) {
            eta.par_iter_mut().with_min_len(1 << 16).zip(column).for_each(|(e, x)| *e += b * x);
        }
        eta
    }
}

/// Log partial likelihood and its derivatives at one β, summed over strata.
#[derive(Debug, Clone, PartialEq)]
pub struct Derivatives {
    /// ℓ(β).
    pub log_likelihood: f64,
    /// ∂ℓ/∂β.
    pub score: Vec<f64>,
    /// −∂²ℓ/∂β∂β', lower triangle packed by rows.
    pub information: Vec<f64>,
}

/// Score of g(t)·x and its information, for the test of proportional hazards.
#[derive(Debug, Clone, PartialEq)]
pub struct Trend {
    /// Σ g (x − x̄).
    pub score: Vec<f64>,
    /// Σ g V, packed.
    pub cross: Vec<f64>,
    /// Σ g² V, packed.
    pub information: Vec<f64>,
}

/// Sums at one event time of one stratum.
struct AtTime {
    time: i32,
    s1: Vec<f64>,
    t1: Vec<f64>,
    sum_x: Vec<f64>,
    log_likelihood: f64,
    ties: TieSums,
}

impl RiskData {
    /// ℓ, score and information at `beta`.
    pub fn derivatives(&self, beta: &[f64], ties: Ties) -> Derivatives {
        let (weight, times) = self.sums_by_time(beta, ties);
        let mut log_likelihood = 0.0;
        for at in times.iter().flatten() {
            log_likelihood += at.log_likelihood;
        }
        Derivatives {
            log_likelihood,
            score: self.score(&times, |_| 1.0),
            information: self.information(&weight, &times, |_| 1.0),
        }
    }

    /// Terms of the proportional-hazards score test at the maximum `beta`, with the time transform `g`.
    pub fn trend(&self, beta: &[f64], ties: Ties, g: impl Fn(i32) -> f64 + Sync) -> Trend {
        let (weight, times) = self.sums_by_time(beta, ties);
        Trend {
            score: self.score(&times, &g),
            cross: self.information(&weight, &times, &g),
            information: self.information(&weight, &times, |t| g(t) * g(t)),
        }
    }

    /// Risk weights exp(x'β), each stratum scaled by its largest, and the sums at its event times, latest first.
    fn sums_by_time(&self, beta: &[f64], ties: Ties) -> (Vec<f64>, Vec<Vec<AtTime>>) {
        let p = self.x.len();
        let eta = self.linear_predictor(beta);
        let mut weight = vec![0.0; eta.len()];
        let mut times = Vec::with_capacity(self.strata.len() - 1);
        for w in self.strata.windows(2) {
            let (start, end) = (w[0], w[1]);
            let shift = eta[start..end].iter().copied().fold(f64::NEG_INFINITY, f64::max);
            weight[start..end]
                .par_iter_mut()
                .with_min_len(1 << 16)
                .zip(&eta[start..end])
                .for_each(|(w, e)| *w = (e - shift).exp());
            let mut stratum = Vec::new();
            let (mut s0, mut s1) = (0.0, vec![0.0; p]);
            let (mut i, mut left) = (start, start);
            while i < end {
                let time = self.exit[i];
                let tied =
                    i..end.min(i + self.exit[i..end].iter().take_while(|&&t| t == time).count());
                let (mut d, mut t0, mut sum_eta) = (0.0, 0.0, 0.0);
                for r in tied.clone() {
                    s0 += weight[r];
                    if self.event[r] {
                        d += 1.0;
                        t0 += weight[r];
                        sum_eta += eta[r] - shift;
                    }
                }
                for (s, column) in s1.iter_mut().zip(&self.x) {
                    for r in tied.clone() {
                        *s += weight[r] * column[r];
                    }
                }
                if let Some(entry) = &self.entry {
                    // Entry 0 is the start of follow-up, at risk from the first day on.
                    let enters_later = |r: u32| entry[r as usize] > 0 && entry[r as usize] >= time;
                    while left < end && enters_later(self.by_entry[left]) {
                        let r = self.by_entry[left] as usize;
                        s0 -= weight[r];
                        s1.iter_mut()
                            .zip(&self.x)
                            .for_each(|(s, column)| *s -= weight[r] * column[r]);
                        left += 1;
                    }
                }
                if d > 0.0 {
                    let dead = || tied.clone().filter(|&r| self.event[r]);
                    let sum = |f: &dyn Fn(usize) -> f64| dead().map(f).sum::<f64>();
                    let tie = tie_sums(d, s0, t0, ties);
                    stratum.push(AtTime {
                        time,
                        s1: s1.clone(),
                        t1: self.x.iter().map(|column| sum(&|r| weight[r] * column[r])).collect(),
                        sum_x: self.x.iter().map(|column| sum(&|r| column[r])).collect(),
                        log_likelihood: sum_eta - tie.log,
                        ties: tie,
                    });
                }
                i = tied.end;
            }
            times.push(stratum);
        }
        (weight, times)
    }

    fn score(&self, times: &[Vec<AtTime>], h: impl Fn(i32) -> f64) -> Vec<f64> {
        let mut score = vec![0.0; self.x.len()];
        for at in times.iter().flatten() {
            let h = h(at.time);
            for (j, u) in score.iter_mut().enumerate() {
                *u += h * (at.sum_x[j] - (at.ties.a * at.s1[j] - at.ties.ca * at.t1[j]));
            }
        }
        score
    }

    /// Σ h(t) V(t), packed. The sum of S⁽²⁾ over event times is turned around: row *i* carries x x' as often as it was at
    /// risk at a death, so one weighted product of the covariates replaces a running p×p sum.
    fn information(
        &self,
        weight: &[f64],
        times: &[Vec<AtTime>],
        h: impl Fn(i32) -> f64,
    ) -> Vec<f64> {
        let p = self.x.len();
        let mut row_weight = vec![0.0; weight.len()];
        let mut between = vec![0.0; p * (p + 1) / 2];
        for (w, stratum) in self.strata.windows(2).zip(times) {
            let (start, end) = (w[0], w[1]);
            // Ascending event times with Σ_{t' ≤ t} h Σ a.
            let mut cumulative = 0.0;
            let ascending: Vec<(i32, f64)> = stratum
                .iter()
                .rev()
                .map(|at| {
                    cumulative += h(at.time) * at.ties.a;
                    (at.time, cumulative)
                })
                .collect();
            let up_to = |t: i32| match ascending.partition_point(|&(time, _)| time <= t) {
                0 => 0.0,
                k => ascending[k - 1].1,
            };
            let mut k = ascending.len();
            for r in start..end {
                while k > 0 && ascending[k - 1].0 > self.exit[r] {
                    k -= 1;
                }
                let mut at_risk = if k > 0 { ascending[k - 1].1 } else { 0.0 };
                if let Some(entry) = &self.entry
                    && entry[r] > 0
                {
                    at_risk -= up_to(entry[r]);
                }
                if self.event[r] {
                    let at = &stratum[ascending.len() - k];
                    at_risk -= h(at.time) * at.ties.ca;
                }
                row_weight[r] = weight[r] * at_risk;
            }
            for at in stratum {
                let h = h(at.time);
                for j in 0..p {
                    for k in 0..=j {
                        let zz = at.ties.aa * at.s1[j] * at.s1[k]
                            - at.ties.caa * (at.s1[j] * at.t1[k] + at.t1[j] * at.s1[k])
                            + at.ties.ccaa * at.t1[j] * at.t1[k];
                        between[packed(j, k)] += h * zz;
                    }
                }
            }
        }
        let mut information = self.weighted_product(&row_weight);
        information.iter_mut().zip(between).for_each(|(v, zz)| *v -= zz);
        information
    }

    /// X' diag(a) X, packed; blocks of rows in parallel, added in row order.
    fn weighted_product(&self, a: &[f64]) -> Vec<f64> {
        const BLOCK: usize = 1024;
        const PART: usize = 64 * BLOCK;
        let p = self.x.len();
        let n = a.len();
        let part = |from: usize, to: usize| {
            let mut product = vec![0.0; p * (p + 1) / 2];
            let mut ax = [0.0; BLOCK];
            for start in (from..to).step_by(BLOCK) {
                let rows = start..(start + BLOCK).min(to);
                let ax = &mut ax[..rows.len()];
                for j in 0..p {
                    for ((v, x), a) in
                        ax.iter_mut().zip(&self.x[j][rows.clone()]).zip(&a[rows.clone()])
                    {
                        *v = x * a;
                    }
                    for k in 0..=j {
                        product[packed(j, k)] += dot(ax, &self.x[k][rows.clone()]);
                    }
                }
            }
            product
        };
        let parts: Vec<Vec<f64>> = (0..n.div_ceil(PART))
            .into_par_iter()
            .map(|c| part(c * PART, ((c + 1) * PART).min(n)))
            .collect();
        parts.into_iter().fold(vec![0.0; p * (p + 1) / 2], |mut sum, part| {
            sum.iter_mut().zip(part).for_each(|(s, x)| *s += x);
            sum
        })
    }
}

/// Eight running sums, so that the compiler may use vector registers without changing the order of additions.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a8, b8) = (a.chunks_exact(8), b.chunks_exact(8));
    let tail: f64 = a8.remainder().iter().zip(b8.remainder()).map(|(x, y)| x * y).sum();
    for (x, y) in a8.zip(b8) {
        for i in 0..8 {
            sums[i] += x[i] * y[i];
        }
    }
    sums.iter().sum::<f64>() + tail
}
