//! Joinpoint regression: straight lines on the log scale that meet at joinpoints, whose number and places the data choose.
//!
//! The series is least squares of log rates with weights, or Poisson counts with expected counts as offset. Joinpoints lie on
//! observed years (grid search; the first of equal fits, which is the smallest) or anywhere between (Hudson's continuous fit, by
//! complete enumeration of which joinpoints lie on an observation).
//!
//! Sources: Kim, Fay, Feuer & Midthune (2000) for the grid and the permutation test; Hudson (1966); Zhang & Siegmund (2007) and
//! Kim, Chen, Byrne, Wheeler & Feuer (2022) for BIC3 and the weighted BIC; Clegg, Hankey, Tiwari, Feuer & Edwards (2009) for the
//! average change.

mod envelope;
mod permutation;
mod products;
mod resampled;

use std::cmp::Ordering;

use nalgebra::{DMatrix, DVector};
use rayon::prelude::*;

use self::{envelope::Chain, products::Products};
pub use self::{
    permutation::{Comparison, by_permutation},
    resampled::Resampled,
};
use super::{matrix::invert, sum::neumaier, trend::Slope};

/// A yearly series.
#[derive(Debug, Clone)]
pub struct Series {
    /// Years, ascending.
    pub x: Vec<f64>,
    /// What is observed.
    pub response: Response,
}

/// What a series observes each year.
#[derive(Debug, Clone)]
pub enum Response {
    /// Log rates with the weights of least squares.
    LogRate {
        /// Log rates.
        y: Vec<f64>,
        /// Weights: 1, or 1 over the variance of the log rate.
        weights: Vec<f64>,
    },
    /// Counts with the counts expected of a rate without trend.
    Count {
        /// Counts.
        events: Vec<f64>,
        /// Expected counts, all positive.
        expected: Vec<f64>,
    },
}

/// Where joinpoints may lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places {
    /// Observations before the first and after the last joinpoint, the joinpoint not counted.
    pub at_ends: usize,
    /// Observations between two joinpoints, the joinpoints not counted.
    pub between: usize,
}

impl Places {
    /// Number of sets of `k` places in a series of `n` years.
    pub fn sets(self, n: usize, k: usize) -> f64 {
        let taken = 2 * self.at_ends + self.between * k.saturating_sub(1);
        let free = n.saturating_sub(taken);
        (0..k).map(|j| free.saturating_sub(j) as f64 / (j + 1) as f64).product()
    }
}

impl Default for Places {
    fn default() -> Self {
        Self { at_ends: 2, between: 2 }
    }
}

/// A fit with given joinpoints.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// Joinpoints, ascending.
    pub joinpoints: Vec<f64>,
    /// Sum of squares, or deviance.
    pub loss: f64,
    /// Value at the first year and slope of each segment.
    pub intercept: f64,
    /// Slopes of the log rate.
    pub slopes: Vec<f64>,
    /// Covariance of the slopes, given the joinpoints.
    pub covariance: DMatrix<f64>,
    /// Degrees of freedom of the residual: n − 2 (k + 1).
    pub df: f64,
    /// Fitted log rate, or log ratio of the mean to the expected count, by year.
    pub fitted: Vec<f64>,
}

impl Fit {
    /// Slope of a segment; normal where counts are fitted.
    pub fn slope(&self, segment: usize, normal: bool) -> Slope {
        let df = if normal { f64::INFINITY } else { self.df };
        Slope {
            slope: self.slopes[segment],
            std_error: self.covariance[(segment, segment)].max(0.0).sqrt(),
            df,
        }
    }

    /// Average of the slopes over the years `from` to `to`, weighted by the length of each segment in them; t where one segment
    /// covers all and squares are fitted, else normal.
    pub fn average(&self, from: f64, to: f64, normal: bool) -> Slope {
        let lengths: Vec<f64> = (0..self.slopes.len())
            .map(|i| {
                let start = if i == 0 { f64::NEG_INFINITY } else { self.joinpoints[i - 1] };
                let end = self.joinpoints.get(i).copied().unwrap_or(f64::INFINITY);
                (end.min(to) - start.max(from)).max(0.0)
            })
            .collect();
        let total: f64 = lengths.iter().sum();
        if let Some(only) = lengths.iter().position(|l| (l - total).abs() < 1e-12) {
            return self.slope(only, normal);
        }
        let w = DVector::from_iterator(lengths.len(), lengths.iter().map(|l| l / total));
        let slope = w.iter().zip(&self.slopes).map(|(w, b)| w * b).sum();
        let variance = (w.transpose() * &self.covariance * &w)[(0, 0)];
        Slope { slope, std_error: variance.max(0.0).sqrt(), df: f64::INFINITY }
    }
}

/// Columns 1, x, (x − τ)₊ … of years.
fn design(x: &[f64], joinpoints: &[f64]) -> DMatrix<f64> {
    DMatrix::from_fn(x.len(), 2 + joinpoints.len(), |i, j| match j {
        0 => 1.0,
        1 => x[i] - x[0],
        _ => (x[i] - joinpoints[j - 2]).max(0.0),
    })
}

/// Deviance of counts, and log-linear coefficients, by iterated least squares.
fn poisson(
    z: &DMatrix<f64>,
    events: &[f64],
    expected: &[f64],
) -> (f64, DVector<f64>, DMatrix<f64>) {
    let n = events.len();
    let mean_ratio = (events.iter().sum::<f64>() + 0.1) / expected.iter().sum::<f64>();
    let mut eta: Vec<f64> = (0..n)
        .map(|i| f64::midpoint(((events[i] + 0.5) / (expected[i] + 0.5)).ln(), mean_ratio.ln()))
        .collect();
    let deviance = |eta: &[f64]| {
        2.0 * neumaier((0..n).map(|i| {
            let mu = expected[i] * eta[i].exp();
            let gain = if events[i] > 0.0 { events[i] * (events[i] / mu).ln() } else { 0.0 };
            gain - (events[i] - mu)
        }))
    };
    let mut coefficients = DVector::zeros(z.ncols());
    let mut inverse = DMatrix::zeros(z.ncols(), z.ncols());
    let mut before = f64::INFINITY;
    for _ in 0..60 {
        let w = DVector::from_iterator(n, (0..n).map(|i| expected[i] * eta[i].exp()));
        let working = DVector::from_iterator(n, (0..n).map(|i| eta[i] + (events[i] - w[i]) / w[i]));
        let weighted = DMatrix::from_fn(n, z.ncols(), |i, j| z[(i, j)] * w[i]);
        inverse = invert(&(z.transpose() * &weighted)).matrix;
        coefficients = &inverse * (weighted.transpose() * working);
        eta = (z * &coefficients).iter().map(|e| e.clamp(-60.0, 60.0)).collect();
        let now = deviance(&eta);
        if (before - now).abs() <= 1e-12 * (now.abs() + 1.0) {
            break;
        }
        before = now;
    }
    (deviance(&eta), coefficients, inverse)
}

/// Sets of squares that are fitted with full precision after all have been ranked.
const FITTED_SQUARES: usize = 16;
/// The same for counts, whose ranking is approximate.
const FITTED_COUNTS: usize = 300;
/// Most rankings of counts.
const MOST_RANKINGS: usize = 10;
/// Most sets of places that are ranked one by one; of more, the best are found without looking at each.
const MOST_SETS: f64 = 100_000.0;
/// The same for each of many responses, which are solved side by side.
const MOST_SETS_TOGETHER: f64 = 5e6;

/// Positions of the `n` smallest values.
fn best(values: &[f64], n: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    if n < order.len() {
        order.select_nth_unstable_by(n, |&a, &b| values[a].total_cmp(&values[b]));
        order.truncate(n);
    }
    order.sort_unstable();
    order
}

/// The smaller loss first; of equal ones the smaller joinpoints.
fn first_of(a: &Fit, b: &Fit) -> Ordering {
    let tie = (a.loss - b.loss).abs() <= 1e-12 * a.loss.abs();
    let places = || a.joinpoints.partial_cmp(&b.joinpoints).unwrap_or(Ordering::Equal);
    if tie { places() } else { a.loss.total_cmp(&b.loss) }
}

/// Calls `found` with each set of `k` codes that begins with `chosen`, whose last joinpoint lies in the gap `gap`.
fn each_code(
    k: usize,
    [last, between]: [usize; 2],
    chosen: &mut Vec<usize>,
    gap: usize,
    found: &mut dyn FnMut(&[usize]),
) {
    if chosen.len() == k {
        found(chosen);
        return;
    }
    let least = gap + between;
    for code in 2 * least..=last {
        let at = code / 2;
        let own = if code % 2 == 1 { at } else { least.max(at.saturating_sub(1)) };
        if own >= least && own <= at {
            chosen.push(code);
            each_code(k, [last, between], chosen, own, found);
            chosen.pop();
        }
    }
}

impl Series {
    fn len(&self) -> usize {
        self.x.len()
    }

    /// Fits with given joinpoints.
    pub fn fit(&self, joinpoints: &[f64]) -> Fit {
        let z = design(&self.x, joinpoints);
        let (n, p) = (self.len(), z.ncols());
        let df = n as f64 - 2.0 * (joinpoints.len() as f64 + 1.0);
        let (loss, coefficients, covariance) = match &self.response {
            Response::LogRate { y, weights } => {
                let weighted = DMatrix::from_fn(n, p, |i, j| z[(i, j)] * weights[i]);
                let inverse = invert(&(z.transpose() * &weighted)).matrix;
                let coefficients = &inverse * (weighted.transpose() * DVector::from_row_slice(y));
                let fitted = &z * &coefficients;
                let loss = neumaier((0..n).map(|i| weights[i] * (y[i] - fitted[i]).powi(2)));
                let scale = if df > 0.0 { loss / df } else { 0.0 };
                (loss, coefficients, inverse * scale)
            }
            Response::Count { events, expected } => poisson(&z, events, expected),
        };
        // Slopes are running sums of the coefficients of x and its hinges.
        let sums = DMatrix::from_fn(p - 1, p, |i, j| f64::from(u8::from(j >= 1 && j <= i + 1)));
        let slopes = &sums * &coefficients;
        Fit {
            joinpoints: joinpoints.to_vec(),
            loss,
            intercept: coefficients[0],
            slopes: slopes.iter().copied().collect(),
            covariance: &sums * covariance * sums.transpose(),
            df,
            fitted: (z * coefficients).iter().copied().collect(),
        }
    }

    /// Sets of `k` positions at which joinpoints may lie, in order.
    fn places(&self, k: usize, rule: Places) -> Vec<Vec<usize>> {
        let mut found = Vec::new();
        self.each_place(k, rule, &mut Vec::new(), &mut |set| found.push(set.to_vec()));
        found
    }

    /// Calls `found` with each set of `k` positions that begins with `chosen`, in order.
    fn each_place(
        &self,
        k: usize,
        rule: Places,
        chosen: &mut Vec<usize>,
        found: &mut dyn FnMut(&[usize]),
    ) {
        if chosen.len() == k {
            found(chosen);
            return;
        }
        let from = chosen.last().map_or(rule.at_ends, |last| last + rule.between + 1);
        for at in from..self.len().saturating_sub(rule.at_ends) {
            chosen.push(at);
            self.each_place(k, rule, chosen, found);
            chosen.pop();
        }
    }

    /// The sets of `k` places with the smallest sums of squares, up to `most`, in the order of their places where each set is looked
    /// at.
    fn best_sets(
        &self,
        k: usize,
        rule: Places,
        y: &[f64],
        weights: &[f64],
        most: usize,
    ) -> Vec<Vec<usize>> {
        if rule.sets(self.len(), k) > MOST_SETS {
            return Chain::new(self, y, weights).best(k, rule, most);
        }
        let places = self.places(k, rule);
        let losses = self.losses(&places, y, weights);
        best(&losses, most).into_iter().map(|i| places[i].clone()).collect()
    }

    /// The best fit of `k` joinpoints on observed years; `None` if the series is too short for them. Sets are ranked by their squares:
    /// each of them, or the best by dynamic programming where they are many. Counts are ranked by one Newton step from the
    /// best fit so far, the best few hundred sets fitted, and ranked again until the best one stays.
    pub fn grid(&self, k: usize, rule: Places) -> Option<Fit> {
        let at = |set: Vec<usize>| set.into_iter().map(|i| self.x[i]).collect::<Vec<f64>>();
        match &self.response {
            Response::LogRate { y, weights } => {
                let sets = self.best_sets(k, rule, y, weights, FITTED_SQUARES);
                self.best_of(sets.into_iter().map(at))
            }
            Response::Count { .. } => {
                let first: Vec<usize> =
                    (0..k).map(|j| rule.at_ends + j * (rule.between + 1)).collect();
                if first.last().is_some_and(|last| last + rule.at_ends >= self.len()) {
                    return None;
                }
                let mut found = self.fit(&at(first));
                for _ in 0..MOST_RANKINGS {
                    let (y, weights) = self.working(&found);
                    let sets = self.best_sets(k, rule, &y, &weights, FITTED_COUNTS);
                    let next = self.best_of(sets.into_iter().map(at))?;
                    let stays = next.joinpoints == found.joinpoints;
                    found = if next.loss <= found.loss { next } else { return Some(found) };
                    if stays {
                        break;
                    }
                }
                Some(found)
            }
        }
    }

    /// The fit of smallest loss; the first of equal ones.
    fn best_of(&self, sets: impl Iterator<Item = Vec<f64>>) -> Option<Fit> {
        let sets: Vec<Vec<f64>> = sets.collect();
        let fits: Vec<Fit> = sets.par_iter().map(|joinpoints| self.fit(joinpoints)).collect();
        fits.into_iter().min_by(first_of)
    }

    /// Working response and weights of counts at a fit.
    fn working(&self, fit: &Fit) -> (Vec<f64>, Vec<f64>) {
        match &self.response {
            Response::LogRate { y, weights } => (y.clone(), weights.clone()),
            Response::Count { events, expected } => {
                let mu: Vec<f64> =
                    expected.iter().zip(&fit.fitted).map(|(e, f)| e * f.exp()).collect();
                let y =
                    (0..self.len()).map(|i| fit.fitted[i] + (events[i] - mu[i]) / mu[i]).collect();
                (y, mu)
            }
        }
    }

    /// Sums of squares for each set of places.
    fn losses(&self, places: &[Vec<usize>], y: &[f64], weights: &[f64]) -> Vec<f64> {
        let products = Products::new(self, weights);
        let right = products.right(&DMatrix::from_column_slice(y.len(), 1, y));
        let total = products.total(y);
        places
            .par_iter()
            .map(|at| {
                let mut largest = [0.0];
                products.explained(at, &right, &mut largest);
                total - largest[0]
            })
            .collect()
    }

    /// The best fit of `k` joinpoints anywhere between the years that [`Places`] allows: each lies on an observation, or inside a
    /// gap where the lines of its two sides meet. An observation on which a joinpoint lies counts on one of its sides. `None` if
    /// the series is too short.
    pub fn hudson(&self, k: usize, rule: Places) -> Option<Fit> {
        let first = rule.at_ends;
        let last = self.len().saturating_sub(rule.at_ends + 1);
        if first > last && k > 0 {
            return None;
        }
        if k == 0 {
            return Some(self.fit(&[]));
        }
        // A code 2i is observation i, 2i + 1 the gap after it. Sets go by their first code, so that none but the best is kept.
        let codes: Vec<usize> = (2 * first..=2 * last).collect();
        let fits: Vec<Fit> = codes
            .par_iter()
            .filter_map(|&code| {
                let mut best: Option<Fit> = None;
                let gap = if code % 2 == 1 { code / 2 } else { (code / 2).saturating_sub(1) };
                each_code(k, [2 * last, rule.between], &mut vec![code], gap, &mut |set| {
                    let Some(joinpoints) = self.meeting_points(set) else { return };
                    let fit = self.fit(&joinpoints);
                    if best.as_ref().is_none_or(|best| first_of(&fit, best).is_lt()) {
                        best = Some(fit);
                    }
                });
                best
            })
            .collect();
        fits.into_iter().min_by(first_of)
    }

    /// Joinpoints of a set of codes, if the lines on both sides of each free one meet inside its gap.
    fn meeting_points(&self, set: &[usize]) -> Option<Vec<f64>> {
        let n = self.len();
        // Runs of observations between free joinpoints are fitted on their own.
        let mut joinpoints = vec![f64::NAN; set.len()];
        let mut start = 0;
        let mut left: Option<[f64; 2]> = None;
        let mut fixed = Vec::new();
        let mut free_before = None;
        for j in 0..=set.len() {
            if let Some(code) = set.get(j).filter(|c| *c % 2 == 0) {
                fixed.push(self.x[code / 2]);
                joinpoints[j] = self.x[code / 2];
                continue;
            }
            let end = set.get(j).map_or(n, |code| code / 2 + 1);
            let run = self.part(start, end);
            if run.len() < 2 + fixed.len() {
                return None;
            }
            let fit = run.fit(&fixed);
            // Lines at the two ends of the run, as value at x = 0 of the series and slope.
            let line = |at: f64, value: f64, slope: f64| [value - slope * (at - self.x[0]), slope];
            let head = line(run.x[0], fit.intercept, fit.slopes[0]);
            if let Some(before) = left {
                let gap: usize = free_before?;
                let slope = head[1] - before[1];
                let meet = self.x[0] + (before[0] - head[0]) / slope;
                if !(meet > self.x[gap] && meet < self.x[gap + 1]) {
                    return None;
                }
                joinpoints[set.iter().position(|c| *c == 2 * gap + 1)?] = meet;
            }
            let slope = *fit.slopes.last()?;
            left = Some(line(*run.x.last()?, *fit.fitted.last()?, slope));
            free_before = set.get(j).map(|code| code / 2);
            start = end;
            fixed.clear();
        }
        Some(joinpoints)
    }

    fn part(&self, start: usize, end: usize) -> Self {
        let cut = |v: &[f64]| v[start..end].to_vec();
        let response = match &self.response {
            Response::LogRate { y, weights } => {
                Response::LogRate { y: cut(y), weights: cut(weights) }
            }
            Response::Count { events, expected } => {
                Response::Count { events: cut(events), expected: cut(expected) }
            }
        };
        Self { x: cut(&self.x), response }
    }

    /// The largest share of squares that one change of slope explains in its two segments, as the weighted BIC has it: 0 without
    /// joinpoints.
    pub fn largest_partial_r2(&self, fit: &Fit) -> f64 {
        let (y, weights) = self.working(fit);
        let mut ends = vec![f64::NEG_INFINITY];
        ends.extend(&fit.joinpoints);
        ends.push(f64::INFINITY);
        let partial = |j: usize| {
            let inside: Vec<usize> = (0..self.len())
                .filter(|&i| self.x[i] >= ends[j] && self.x[i] <= ends[j + 2])
                .collect();
            let pick = |v: &[f64]| inside.iter().map(|&i| v[i]).collect::<Vec<f64>>();
            let part = Self {
                x: pick(&self.x),
                response: Response::LogRate { y: pick(&y), weights: pick(&weights) },
            };
            let (line, bent) = (part.fit(&[]).loss, part.fit(&[ends[j + 1]]).loss);
            if line > 0.0 { ((line - bent) / line).clamp(0.0, 1.0) } else { 0.0 }
        };
        (0..fit.joinpoints.len()).map(partial).fold(0.0, f64::max)
    }

    /// BIC with `penalty` parameters per joinpoint: ln(SSE / n) + (penalty k + 2) ln n / n; for counts deviance / n in place of the
    /// logarithm.
    pub fn bic(&self, fit: &Fit, penalty: f64) -> f64 {
        let n = self.len() as f64;
        let loss = match self.response {
            Response::LogRate { .. } => (fit.loss.max(f64::MIN_POSITIVE) / n).ln(),
            Response::Count { .. } => fit.loss / n,
        };
        loss + (penalty * fit.joinpoints.len() as f64 + 2.0) * n.ln() / n
    }
}

/// Longest series that is searched.
pub const MOST_YEARS: usize = 200;
/// Most sets of a continuous search, each of which is fitted.
pub const MOST_CONTINUOUS: f64 = 400_000.0;
/// Most sets, times resampled or permuted series, of one test.
pub const MOST_RESAMPLED: f64 = 2e10;

/// The most joinpoints that are looked for, by length of the series: 7–11 years one, then one more for every five years, up to
/// five.
pub fn default_most(years: usize) -> usize {
    if years < 7 { 0 } else { (years.saturating_sub(2) / 5).clamp(1, 5) }
}
