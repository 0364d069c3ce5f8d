//! Each site (and each stratum within it) has its own baseline hazard: what leaves is one number, one vector, one matrix.

use rayon::prelude::*;

use super::{Derivatives, TieSums, Ties, packed, tie_sums};

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
    strata: Vec<usize>,
    /// Rows of each stratum by latest entry first; empty without late entries.
    by_entry: Vec<u32>,
    /// First row of each run of rows with one stratum and exit, and the number of rows.
    ties: Vec<usize>,
    /// Deaths of each run, and Σ x over them, `run * p + covariate`.
    deaths: Vec<f64>,
    sum_x: Vec<f64>,
    /// 1 for a death, 0 for a censored row.
    dead: Vec<f64>,
}

impl RiskData {
    /// Orders `rows`. Columns are centred at `centre`, or at their own mean, which changes nothing in a partial likelihood
    /// with its own baseline and saves digits.
    pub fn new(rows: Rows<'_>, centre: Option<&[f64]>) -> Self {
        let n = rows.exit.len();
        let stratum = |i: u32| rows.stratum.map_or(0, |s| s[i as usize]);
        let order = order(&rows);
        let boundaries = |same: &dyn Fn(u32, u32) -> bool| {
            let mut found: Vec<usize> =
                (0..n).filter(|&k| k == 0 || !same(order[k], order[k - 1])).collect();
            found.push(n);
            found
        };
        let strata = boundaries(&|a, b| stratum(a) == stratum(b));
        let exit_of = |i: u32| rows.exit[i as usize];
        let ties = boundaries(&|a, b| stratum(a) == stratum(b) && exit_of(a) == exit_of(b));
        let x: Vec<Vec<f64>> = rows
            .covariates
            .par_iter()
            .enumerate()
            .map(|(j, column)| {
                let mean = || column.iter().sum::<f64>() / n.max(1) as f64;
                let middle = centre.map_or_else(mean, |c| c[j]);
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
        let event: Vec<bool> = order.iter().map(|&i| rows.event[i as usize]).collect();
        let dead: Vec<f64> = event.iter().map(|&e| f64::from(u8::from(e))).collect();
        let deaths: Vec<f64> = ties.windows(2).map(|w| dead[w[0]..w[1]].iter().sum()).collect();
        let mut sum_x = Vec::with_capacity(deaths.len() * x.len());
        for w in ties.windows(2) {
            sum_x.extend(x.iter().map(|column| dot(&dead[w[0]..w[1]], &column[w[0]..w[1]])));
        }
        let exit = order.iter().map(|&i| exit_of(i)).collect();
        Self { exit, event, entry, x, strata, by_entry, ties, deaths, sum_x, dead }
    }

    pub(super) fn linear_predictor(&self, beta: &[f64]) -> Vec<f64> {
        let mut eta = vec![0.0; self.exit.len()];
        eta.par_chunks_mut(PIECE).enumerate().for_each(|(block, eta)| {
            let start = block * PIECE;
            for (column, b) in self.x.iter().zip(beta) {
                for (e, x) in eta.iter_mut().zip(&column[start..]) {
                    *e += b * x;
                }
            }
        });
        eta
    }
}

/// Rows that are worked on together, so that what they need stays in the cache.
const BLOCK: usize = 256;
/// Rows of one parallel piece of work.
const PIECE: usize = 32 * BLOCK;

/// Positions of the rows by stratum, then latest exit first, then as given. Days are few: one counting pass each for day
/// and stratum is faster than comparing.
fn order(rows: &Rows<'_>) -> Vec<u32> {
    let n = rows.exit.len();
    let (low, high) =
        rows.exit.iter().fold((i32::MAX, i32::MIN), |(l, h), &t| (l.min(t), h.max(t)));
    let days = if n == 0 { 0 } else { (i64::from(high) - i64::from(low)) as usize + 1 };
    if days > 8 * n + 1024 {
        let stratum = |i: u32| rows.stratum.map_or(0, |s| s[i as usize]);
        let mut order: Vec<u32> = (0..n as u32).collect();
        order.par_sort_unstable_by_key(|&i| {
            (stratum(i), std::cmp::Reverse(rows.exit[i as usize]), i)
        });
        return order;
    }
    let as_given: Vec<u32> = (0..n as u32).collect();
    let by_day = counting_sort(&as_given, days, |i| (high - rows.exit[i as usize]) as usize);
    match rows.stratum {
        None => by_day,
        Some(stratum) => {
            let strata = stratum.iter().max().map_or(0, |s| *s as usize + 1);
            counting_sort(&by_day, strata, |i| stratum[i as usize] as usize)
        }
    }
}

/// Stable sort of positions by a small key.
fn counting_sort(positions: &[u32], keys: usize, key: impl Fn(u32) -> usize) -> Vec<u32> {
    let mut next = vec![0_usize; keys + 1];
    for &i in positions {
        next[key(i) + 1] += 1;
    }
    for k in 1..next.len() {
        next[k] += next[k - 1];
    }
    let mut sorted = vec![0; positions.len()];
    for &i in positions {
        let k = key(i);
        sorted[next[k]] = i;
        next[k] += 1;
    }
    sorted
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
    /// Position of its run of tied rows.
    run: usize,
    ties: TieSums,
}

/// What one evaluation needs before it looks at the covariates again: risk weights and the sums of them.
struct Weights {
    /// exp(x'β), each stratum scaled by its largest.
    weight: Vec<f64>,
    /// Event times by stratum, latest first.
    times: Vec<Vec<AtTime>>,
    log_likelihood: f64,
}

/// Σ w x over the rows of each run of ties, the same over its deaths, and weighted products of the covariates.
struct Moments {
    /// `run * 2p`: p sums over all rows, p over the deaths.
    runs: Vec<f64>,
    /// One packed product per set of row weights.
    products: Vec<Vec<f64>>,
}

impl RiskData {
    /// ℓ, score and information at `beta`.
    pub fn derivatives(&self, beta: &[f64], ties: Ties) -> Derivatives {
        let weights = self.weights(beta, ties);
        let [(score, information)] = self.weighted_by(&weights, [&|_| 1.0]);
        Derivatives { log_likelihood: weights.log_likelihood, score, information }
    }

    /// Terms of the proportional-hazards score test at the maximum `beta`, with the time transform `g`.
    pub fn trend(&self, beta: &[f64], ties: Ties, g: impl Fn(i32) -> f64 + Sync) -> Trend {
        let weights = self.weights(beta, ties);
        let square = |t: i32| g(t) * g(t);
        let [(score, cross), (_, information)] = self.weighted_by(&weights, [&g, &square]);
        Trend { score, cross, information }
    }

    fn weights(&self, beta: &[f64], ties: Ties) -> Weights {
        let mut eta = self.linear_predictor(beta);
        for w in self.strata.windows(2) {
            let eta = &mut eta[w[0]..w[1]];
            let largest = eta.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            eta.iter_mut().for_each(|e| *e -= largest);
        }
        let weight: Vec<f64> = eta.par_iter().with_min_len(PIECE).map(|e| e.exp()).collect();
        let mut log_likelihood = 0.0;
        let mut times = Vec::with_capacity(self.strata.len() - 1);
        self.each_stratum(|runs, start, end| {
            let mut stratum = Vec::new();
            let (mut s0, mut left) = (0.0, start);
            for run in runs {
                let rows = self.ties[run]..self.ties[run + 1];
                let time = self.exit[rows.start];
                s0 += weight[rows.clone()].iter().sum::<f64>();
                self.enter_after(time, end, &mut left, |r| s0 -= weight[r]);
                let d = self.deaths[run];
                if d > 0.0 {
                    let dead = &self.dead[rows.clone()];
                    let tie = tie_sums(d, s0, dot(dead, &weight[rows.clone()]), ties);
                    log_likelihood += dot(dead, &eta[rows]) - tie.log;
                    stratum.push(AtTime { time, run, ties: tie });
                }
            }
            times.push(stratum);
        });
        Weights { weight, times, log_likelihood }
    }

    /// Calls `work` with the runs of ties, the first row and the end of each stratum.
    fn each_stratum(&self, mut work: impl FnMut(std::ops::Range<usize>, usize, usize)) {
        let mut run = 0;
        for w in self.strata.windows(2) {
            let first = run;
            while run + 1 < self.ties.len() && self.ties[run] < w[1] {
                run += 1;
            }
            work(first..run, w[0], w[1]);
        }
    }

    /// Calls `take` for every row that enters at `time` or later, once; times come latest first. Entry 0 is the start of
    /// follow-up, at risk from the first day on.
    fn enter_after(&self, time: i32, end: usize, left: &mut usize, mut take: impl FnMut(usize)) {
        let Some(entry) = &self.entry else { return };
        while *left < end {
            let r = self.by_entry[*left] as usize;
            if entry[r] <= 0 || entry[r] < time {
                return;
            }
            take(r);
            *left += 1;
        }
    }

    /// Σ h(t) U(t) and Σ h(t) V(t) for each `h`. The sum of S⁽²⁾ over event times is turned around: row *i* carries x x' as
    /// often as it was at risk at a death, so one weighted product of the covariates replaces a running p×p sum.
    fn weighted_by<const N: usize>(
        &self,
        weights: &Weights,
        transforms: [&(dyn Fn(i32) -> f64 + Sync); N],
    ) -> [(Vec<f64>, Vec<f64>); N] {
        let p = self.x.len();
        let row_weights = transforms.map(|h| self.row_weights(weights, h));
        let Moments { runs, products } = self.moments(&weights.weight, &row_weights);
        let mut products = products.into_iter();
        let mut sums = transforms
            .map(|_| (vec![0.0; p], products.next().unwrap_or_else(|| vec![0.0; p * (p + 1) / 2])));
        let mut stratum = 0;
        self.each_stratum(|range, start, end| {
            let mut at_risk = vec![0.0; p];
            let mut left = start;
            let mut events = weights.times[stratum].iter().peekable();
            stratum += 1;
            for run in range {
                let time = self.exit[self.ties[run]];
                let moments = &runs[run * 2 * p..(run + 1) * 2 * p];
                at_risk.iter_mut().zip(moments).for_each(|(s, x)| *s += x);
                self.enter_after(time, end, &mut left, |r| {
                    at_risk
                        .iter_mut()
                        .zip(&self.x)
                        .for_each(|(s, x)| *s -= weights.weight[r] * x[r]);
                });
                let Some(at) = events.next_if(|at| at.run == run) else { continue };
                let (s1, t1) = (&at_risk, &moments[p..]);
                let sum_x = &self.sum_x[run * p..(run + 1) * p];
                let tie = at.ties;
                for ((score, information), h) in sums.iter_mut().zip(transforms) {
                    let h = h(time);
                    for j in 0..p {
                        score[j] += h * (sum_x[j] - (tie.a * s1[j] - tie.ca * t1[j]));
                        for k in 0..=j {
                            let zz = tie.aa * s1[j] * s1[k]
                                - tie.caa * (s1[j] * t1[k] + t1[j] * s1[k])
                                + tie.ccaa * t1[j] * t1[k];
                            information[packed(j, k)] -= h * zz;
                        }
                    }
                }
            }
        });
        sums
    }

    /// How often each row was at risk at a death, times its risk weight: w (Σ_{entry < t ≤ exit} h Σa − h Σca if it died).
    fn row_weights(&self, weights: &Weights, h: &(dyn Fn(i32) -> f64 + Sync)) -> Vec<f64> {
        let mut row_weight = vec![0.0; weights.weight.len()];
        let mut stratum = 0;
        self.each_stratum(|range, _, _| {
            // Ascending event times with Σ_{t' ≤ t} h Σa.
            let mut cumulative = 0.0;
            let ascending: Vec<(i32, f64)> = weights.times[stratum]
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
            let mut events = weights.times[stratum].iter().peekable();
            stratum += 1;
            for run in range {
                let rows = self.ties[run]..self.ties[run + 1];
                let time = self.exit[rows.start];
                let at_death =
                    events.next_if(|at| at.run == run).map_or(0.0, |at| h(time) * at.ties.ca);
                let at_risk = up_to(time);
                for r in rows {
                    let late = self
                        .entry
                        .as_ref()
                        .map_or(0.0, |entry| if entry[r] > 0 { up_to(entry[r]) } else { 0.0 });
                    row_weight[r] = weights.weight[r] * (at_risk - late - self.dead[r] * at_death);
                }
            }
        });
        row_weight
    }

    /// One pass over the covariates: whole runs of ties in pieces that stay in the cache, pieces in parallel, added in row
    /// order so that the number of threads changes nothing.
    fn moments(&self, weight: &[f64], row_weights: &[Vec<f64>]) -> Moments {
        let p = self.x.len();
        let mut pieces = Vec::new();
        let mut first = 0;
        for run in 0..self.deaths.len() {
            let rows = self.ties[run + 1] - self.ties[first];
            if rows >= PIECE || run + 1 == self.deaths.len() {
                pieces.push(first..run + 1);
                first = run + 1;
            }
        }
        let empty = || vec![vec![0.0; p * (p + 1) / 2]; row_weights.len()];
        let parts: Vec<(Vec<f64>, Vec<Vec<f64>>)> = pieces
            .into_par_iter()
            .map(|piece| {
                let mut runs = Vec::with_capacity(2 * p * piece.len());
                let mut products = empty();
                // Runs are gathered into blocks of at least BLOCK rows, a long run is cut.
                let mut from = self.ties[piece.start];
                for run in piece.clone() {
                    self.run_moments(run, weight, &mut runs);
                    let to = self.ties[run + 1];
                    if to - from >= BLOCK || run + 1 == piece.end {
                        for start in (from..to).step_by(BLOCK) {
                            let rows = start..(start + BLOCK).min(to);
                            for (product, a) in products.iter_mut().zip(row_weights) {
                                self.add_product(product, a, rows.clone());
                            }
                        }
                        from = to;
                    }
                }
                (runs, products)
            })
            .collect();
        let mut moments =
            Moments { runs: Vec::with_capacity(2 * p * self.deaths.len()), products: empty() };
        for (runs, products) in parts {
            moments.runs.extend(runs);
            for (sum, product) in moments.products.iter_mut().zip(products) {
                sum.iter_mut().zip(product).for_each(|(s, x)| *s += x);
            }
        }
        moments
    }

    /// Appends Σ w x over the rows of a run, and over its deaths.
    fn run_moments(&self, run: usize, weight: &[f64], runs: &mut Vec<f64>) {
        let rows = self.ties[run]..self.ties[run + 1];
        let w = &weight[rows.clone()];
        runs.extend(self.x.iter().map(|column| dot(w, &column[rows.clone()])));
        if self.deaths[run] > 0.0 {
            let dying: Vec<f64> =
                w.iter().zip(&self.dead[rows.clone()]).map(|(w, d)| w * d).collect();
            runs.extend(self.x.iter().map(|column| dot(&dying, &column[rows.clone()])));
        } else {
            runs.extend(self.x.iter().map(|_| 0.0));
        }
    }

    /// Adds X' diag(a) X over at most BLOCK rows, packed.
    fn add_product(&self, product: &mut [f64], a: &[f64], rows: std::ops::Range<usize>) {
        let mut ax = [0.0; BLOCK];
        let ax = &mut ax[..rows.len()];
        for j in 0..self.x.len() {
            for ((v, x), a) in ax.iter_mut().zip(&self.x[j][rows.clone()]).zip(&a[rows.clone()]) {
                *v = x * a;
            }
            for k in 0..=j {
                product[packed(j, k)] += dot(ax, &self.x[k][rows.clone()]);
            }
        }
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
