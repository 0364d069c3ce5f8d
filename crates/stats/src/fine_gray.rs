//! Fine & Gray's regression of the subdistribution hazard, with the conventions of `cmprsk::crr`: who had a competing event stays at
//! risk with weight Ĝ(t−) / Ĝ(T−), Ĝ the Kaplan–Meier curve of censoring; ties by Breslow; a variance that knows Ĝ is estimated.
//!
//! All sums add over sites. Source: Fine & Gray (1999).

use super::{
    cox::{RiskSums, packed},
    likelihood::Derivatives,
};

/// How follow-up ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The event of interest.
    Event,
    /// An event that rules it out.
    Competing,
    /// Censored.
    Censored,
}

/// Rows of one site.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// Last day.
    pub exit: &'a [i32],
    /// How it ended.
    pub end: &'a [End],
    /// One column per covariate.
    pub covariates: &'a [Vec<f64>],
}

/// A right-continuous step function of days, read just before a day.
#[derive(Debug, Clone, PartialEq)]
pub struct Steps {
    /// Days of the steps, ascending.
    pub days: Vec<i32>,
    /// Values from each step on; 1 before the first.
    pub values: Vec<f64>,
}

impl Steps {
    /// Value just before `day`.
    pub fn before(&self, day: i32) -> f64 {
        match self.days.partition_point(|&d| d < day) {
            0 => 1.0,
            k => self.values[k - 1],
        }
    }
}

/// Kaplan–Meier curve of censoring from numbers at risk and censored by day. Events at a day come before censorings, as in `crr`.
pub fn censoring(n_risk: &[f64], censored: &[f64]) -> Steps {
    let (mut days, mut values, mut g) = (Vec::new(), Vec::new(), 1.0);
    for (day, (n, c)) in n_risk.iter().zip(censored).enumerate() {
        if *c > 0.0 && *n > 0.0 {
            g *= 1.0 - c / n;
            days.push(day as i32);
            values.push(g);
        }
    }
    Steps { days, values }
}

fn row(rows: &Rows<'_>, i: usize, centre: &[f64]) -> Vec<f64> {
    rows.covariates.iter().zip(centre).map(|(c, m)| c[i] - m).collect()
}

fn risk(x: &[f64], beta: &[f64]) -> f64 {
    x.iter().zip(beta).map(|(x, b)| x * b).sum::<f64>().exp()
}

/// Weighted risk-set sums at the event days, and of the competing part alone, Σ e^η x^m / Ĝ(T−) over those gone before the day.
pub fn sums(rows: Rows<'_>, g: &Steps, beta: &[f64], centre: &[f64], days: &[i32]) -> RiskSums {
    let p = beta.len();
    let q = p * (p + 1) / 2;
    let zeros = |width: usize| vec![0.0; width * days.len()];
    let moments = || [zeros(1), zeros(p), zeros(q)];
    let mut sums =
        RiskSums { p, deaths: zeros(1), sum_x: zeros(p), s: moments(), t: moments(), untold: 0.0 };
    let add = |at: usize, w: f64, x: &[f64], s: &mut [Vec<f64>; 3]| {
        s[0][at] += w;
        for j in 0..p {
            s[1][at * p + j] += w * x[j];
            for k in 0..=j {
                s[2][at * q + packed(j, k)] += w * x[j] * x[k];
            }
        }
    };
    // Differences by day, summed up below: those still followed (backwards), those gone by a competing event (forwards).
    let mut gone = moments();
    for i in 0..rows.exit.len() {
        let x = row(&rows, i, centre);
        let w = risk(&x, beta);
        let after = days.partition_point(|&d| d <= rows.exit[i]);
        if after > 0 {
            add(after - 1, w, &x, &mut sums.s);
            if rows.end[i] == End::Event && days[after - 1] == rows.exit[i] {
                sums.deaths[after - 1] += 1.0;
                for j in 0..p {
                    sums.sum_x[(after - 1) * p + j] += x[j];
                }
            }
        }
        if rows.end[i] == End::Competing && after < days.len() {
            add(after, w / g.before(rows.exit[i]), &x, &mut gone);
        }
    }
    for (width, (s, gone)) in [1, p, q].into_iter().zip(sums.s.iter_mut().zip(&mut gone)) {
        for at in (0..s.len().saturating_sub(width)).rev() {
            s[at] += s[at + width];
        }
        for at in width..gone.len() {
            gone[at] += gone[at - width];
        }
        for (k, &day) in days.iter().enumerate() {
            for at in k * width..(k + 1) * width {
                s[at] += g.before(day) * gone[at];
            }
        }
    }
    sums
}

/// Log-likelihood, score and information from pooled sums.
pub fn derivatives(sums: &RiskSums, beta: &[f64]) -> Derivatives {
    super::cox::derivatives_of_sums(sums, beta, super::cox::Ties::Breslow, |_| 1.0)
}

/// What the hub broadcasts for the variance: from pooled sums at the maximum.
#[derive(Debug, Clone, PartialEq)]
pub struct Broadcast {
    /// Event days with the increments of the baseline subdistribution hazard and the means x̄, `day * p + j`.
    pub days: Vec<i32>,
    /// Increments.
    pub hazard: Vec<f64>,
    /// Means of the covariates over the weighted risk set.
    pub mean: Vec<f64>,
}

/// From pooled sums.
pub fn broadcast(sums: &RiskSums, days: &[i32]) -> Broadcast {
    let p = sums.p;
    Broadcast {
        days: days.to_vec(),
        hazard: sums.deaths.iter().zip(&sums.s[0]).map(|(d, s)| d / s).collect(),
        mean: (0..days.len() * p).map(|i| sums.s[1][i] / sums.s[0][i / p]).collect(),
    }
}

/// Σ over those gone by a competing event before each censoring day of their compensator's weight after it: what makes q(u).
pub fn censoring_score(
    rows: Rows<'_>,
    g: &Steps,
    beta: &[f64],
    centre: &[f64],
    told: &Broadcast,
) -> Vec<f64> {
    let p = beta.len();
    // Σ_{s ≥ u} Ĝ(s−) dΛ and Σ Ĝ(s−) x̄ dΛ, from each event day to the end.
    let (a, b) = tails(g, told, p);
    let mut q = vec![0.0; g.days.len() * p];
    for i in 0..rows.exit.len() {
        if rows.end[i] != End::Competing {
            continue;
        }
        let x = row(&rows, i, centre);
        let w = risk(&x, beta) / g.before(rows.exit[i]);
        for (u, &day) in g.days.iter().enumerate() {
            if rows.exit[i] < day {
                let from = told.days.partition_point(|&d| d < day);
                for j in 0..p {
                    q[u * p + j] += w * (x[j] * a[from] - b[from * p + j]);
                }
            }
        }
    }
    q
}

fn tails(g: &Steps, told: &Broadcast, p: usize) -> (Vec<f64>, Vec<f64>) {
    let n = told.days.len();
    let (mut a, mut b) = (vec![0.0; n + 1], vec![0.0; (n + 1) * p]);
    for k in (0..n).rev() {
        let w = g.before(told.days[k]) * told.hazard[k];
        a[k] = a[k + 1] + w;
        for j in 0..p {
            b[k * p + j] = b[(k + 1) * p + j] + w * told.mean[k * p + j];
        }
    }
    (a, b)
}

/// Censoring as the hub tells it for the last round: days, increments of its hazard, and q(u) / π(u), `day * p + j`.
#[derive(Debug, Clone, PartialEq)]
pub struct CensoringTold {
    /// Increments of the cumulative hazard of censoring.
    pub hazard: Vec<f64>,
    /// q(u) / π(u).
    pub ratio: Vec<f64>,
}

/// Σ (η + ψ)(η + ψ)' over the rows, packed.
pub fn meat(
    rows: Rows<'_>,
    g: &Steps,
    beta: &[f64],
    centre: &[f64],
    told: &Broadcast,
    censoring: &CensoringTold,
) -> Vec<f64> {
    let p = beta.len();
    let mut sum = vec![0.0; p * (p + 1) / 2];
    let n = told.days.len();
    // Σ_{s ≤ t} dΛ and x̄ dΛ; the tails weighted by Ĝ for those gone.
    let (mut a, mut b) = (vec![0.0; n + 1], vec![0.0; (n + 1) * p]);
    for k in 0..n {
        a[k + 1] = a[k] + told.hazard[k];
        for j in 0..p {
            b[(k + 1) * p + j] = b[k * p + j] + told.mean[k * p + j] * told.hazard[k];
        }
    }
    let (tail_a, tail_b) = tails(g, told, p);
    let m = g.days.len();
    let mut ratio = vec![0.0; (m + 1) * p];
    for u in 0..m {
        for j in 0..p {
            ratio[(u + 1) * p + j] =
                ratio[u * p + j] + censoring.ratio[u * p + j] * censoring.hazard[u];
        }
    }
    for i in 0..rows.exit.len() {
        let x = row(&rows, i, centre);
        let w = risk(&x, beta);
        let to = told.days.partition_point(|&d| d <= rows.exit[i]);
        let gone = (rows.end[i] == End::Competing).then(|| w / g.before(rows.exit[i]));
        let followed = g.days.partition_point(|&d| d <= rows.exit[i]);
        let mut u = vec![0.0; p];
        for j in 0..p {
            u[j] -= w * (x[j] * a[to] - b[to * p + j]);
            if rows.end[i] == End::Event && to > 0 {
                u[j] += x[j] - told.mean[(to - 1) * p + j];
            }
            if let Some(weight) = gone {
                u[j] -= weight * (x[j] * tail_a[to] - tail_b[to * p + j]);
            }
            u[j] -= ratio[followed * p + j];
            if rows.end[i] == End::Censored && followed > 0 && g.days[followed - 1] == rows.exit[i]
            {
                u[j] += censoring.ratio[(followed - 1) * p + j];
            }
        }
        for j in 0..p {
            for k in 0..=j {
                sum[packed(j, k)] += u[j] * u[k];
            }
        }
    }
    sum
}
