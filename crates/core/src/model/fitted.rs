//! How a fit by maximum likelihood ended, and what its tables say of it.

use std::ops::Range;

use nalgebra::{DMatrix, DVector};
use tributary_stats::{
    matrix::{Inverse, invert},
    newton::{Evaluation, Next, running},
};

use super::{DesignTerm, Terms};
use crate::{
    estimate::{Estimate, FitRecord, Notice, Number, Status, Table},
    rows,
};

rows! {
    /// Who is in a fit, and how good it is.
    pub struct FitSummary in "summary" {
        pub n: Number,
        pub n_event: Number,
        pub parameters: Number,
        pub log_likelihood: Number,
        pub aic: Number,
        pub status: Status,
    }
}

/// How a fit ended.
#[derive(Debug, Clone)]
pub struct Fitted {
    /// Parameters.
    pub theta: DVector<f64>,
    /// Their covariance.
    pub covariance: DMatrix<f64>,
    /// ℓ there.
    pub log_likelihood: f64,
    /// OK, `Monotone` or `Nonconverged`.
    pub status: Status,
    /// Parameters that run to infinity.
    pub running: Vec<usize>,
    /// Parameters that cannot be estimated: their columns are constant, or combinations of others.
    pub dropped: Vec<usize>,
    /// Record for the estimate.
    pub record: FitRecord,
    /// Where those that run would go next.
    step: DVector<f64>,
    information: DMatrix<f64>,
}

impl Fitted {
    /// From the record and what followed it; not for [`Next::Try`].
    pub fn new(record: &[Evaluation], next: Next, rounds: usize) -> Self {
        let empty =
            |p: usize| Inverse { matrix: DMatrix::zeros(p, p), rank: 0, condition: f64::INFINITY };
        let p = record.first().map_or(0, |e| e.beta.len());
        let step = match &next {
            Next::Monotone { at, coefficients, step, .. } => {
                let (mut step, beta) = (step.clone(), &record[*at].beta);
                let found = running(&step, beta);
                // Where the information is gone it does not tell the length of the step: as far again.
                coefficients.iter().filter(|j| !found.contains(j)).for_each(|&j| step[j] = beta[j]);
                step
            }
            Next::Converged { .. } | Next::NotConverged { .. } | Next::Try(_) => DVector::zeros(p),
        };
        let (at, status, running, inverse) = match next {
            Next::Converged { at, inverse } if inverse.rank == p => {
                (at, Status::Ok, Vec::new(), inverse)
            }
            Next::Converged { at, inverse } => (at, Status::NotIdentified, Vec::new(), inverse),
            Next::Monotone { at, coefficients, inverse, .. } => {
                (at, Status::Monotone, coefficients, inverse)
            }
            Next::NotConverged { at } => (at, Status::Nonconverged, Vec::new(), empty(p)),
            Next::Try(_) => (record.len() - 1, Status::Nonconverged, Vec::new(), empty(p)),
        };
        let condition = inverse.condition.is_finite().then_some(inverse.condition);
        Self {
            theta: DVector::from_row_slice(&record[at].beta),
            covariance: inverse.matrix,
            log_likelihood: record[at].log_likelihood,
            status,
            running,
            dropped: Vec::new(),
            step,
            information: record[at].information.clone(),
            record: FitRecord {
                rounds,
                log_likelihood: record.iter().map(|e| e.log_likelihood).collect(),
                converged: status == Status::Ok,
                condition,
            },
        }
    }

    /// The same as parameters `kept` among all of `begin`; the others stay there.
    #[must_use]
    pub fn among(self, begin: &[f64], kept: &[usize]) -> Self {
        let n = begin.len();
        let place = |m: &DMatrix<f64>| {
            let mut whole = DMatrix::zeros(n, n);
            for (a, &i) in kept.iter().enumerate() {
                for (b, &j) in kept.iter().enumerate() {
                    whole[(i, j)] = m[(a, b)];
                }
            }
            whole
        };
        let mut theta = DVector::from_row_slice(begin);
        let mut step = DVector::zeros(n);
        for (a, &i) in kept.iter().enumerate() {
            (theta[i], step[i]) = (self.theta[a], self.step[a]);
        }
        Self {
            theta,
            step,
            covariance: place(&self.covariance),
            information: place(&self.information),
            running: self.running.iter().map(|&a| kept[a]).collect(),
            dropped: (0..n).filter(|j| !kept.contains(j)).collect(),
            ..self
        }
    }

    /// Undoes the centring: the intercept at position 0 is that of uncentred covariates, which follow it.
    pub fn uncentre(&mut self, centre: &[f64]) {
        self.uncentre_at(0..1, 1, centre);
    }

    /// Undoes the centring of covariates from position `first` on in the `constants` that were kept. Which parameters run to infinity
    /// is a matter of the coordinates: about a mean the intercept runs with a level, about the reference it stays.
    pub fn uncentre_at(&mut self, constants: Range<usize>, first: usize, centre: &[f64]) {
        let p = self.theta.len();
        let moved = |sign: f64| {
            DMatrix::from_fn(p, p, |i, j| {
                let covariate = (first..first + centre.len()).contains(&j);
                let kept = ![i, j].iter().any(|k| self.dropped.contains(k));
                if i == j {
                    1.0
                } else if constants.contains(&i) && covariate && kept {
                    sign * centre[j - first]
                } else {
                    0.0
                }
            })
        };
        let (change, back) = (moved(-1.0), moved(1.0));
        self.theta = &change * &self.theta;
        if self.status != Status::Monotone {
            self.covariance = &change * &self.covariance * change.transpose();
            return;
        }
        self.step = &change * &self.step;
        self.running = running(&self.step, self.theta.as_slice());
        // The huge variances of what runs would cost the rest its digits.
        self.information = back.transpose() * &self.information * back;
        self.covariance = invert(&self.information).matrix;
    }

    /// Standard error of parameter `j`.
    pub fn std_error(&self, j: usize) -> f64 {
        self.covariance[(j, j)].max(0.0).sqrt()
    }

    /// Whether there are estimates, of parameters that do not run at least.
    pub fn is_usable(&self) -> bool {
        matches!(self.status, Status::Ok | Status::Monotone)
    }

    /// Whether a function of the parameters, on the scale of a log hazard, runs to infinity with some of them.
    pub fn runs(&self, f: impl Fn(&[f64]) -> f64) -> bool {
        /// Along a likelihood that levels off a step is about 1 long on that scale.
        const MOVES: f64 = 0.01;
        if self.running.is_empty() {
            return false;
        }
        let moved: Vec<f64> = self.theta.iter().zip(self.step.iter()).map(|(b, s)| b + s).collect();
        let distance = (f(&moved) - f(self.theta.as_slice())).abs();
        distance.is_nan() || distance > MOVES
    }

    /// Value and standard error of a function of the parameters, by the delta method with differences.
    pub fn delta(&self, f: impl Fn(&[f64]) -> f64) -> (f64, f64) {
        let theta: Vec<f64> = self.theta.iter().copied().collect();
        let gradient = DVector::from_fn(theta.len(), |j, _| {
            // The standard error of what runs is no scale.
            let own =
                if self.running.contains(&j) { self.step[j].abs() } else { self.std_error(j) };
            let scale = own.max(1e-8 * theta[j].abs()).max(1e-12);
            let h = 1e-4 * scale;
            let at = |x: f64| {
                let mut moved = theta.clone();
                moved[j] += x;
                f(&moved)
            };
            (at(h) - at(-h)) / (2.0 * h)
        });
        let variance = (gradient.transpose() * &self.covariance * &gradient)[(0, 0)];
        (f(&theta), variance.max(0.0).sqrt())
    }

    /// Says in the estimate how the fit ended, and adds its terms, each with the estimate and standard error that `of` gives: none
    /// for those that run to infinity or were not found.
    pub fn tell(
        &self,
        estimate: &mut Estimate,
        all: &[DesignTerm],
        mut terms: Terms<'_>,
        of: impl Fn(usize) -> (f64, f64),
    ) {
        let names: Vec<String> = all.iter().map(DesignTerm::name).collect();
        self.tell_end(estimate, &names);
        for j in 0..all.len() {
            if self.dropped.contains(&j) {
                terms.empty(j, Status::NotIdentified);
            } else if !self.is_usable() || self.running.contains(&j) {
                terms.empty(j, self.status);
            } else {
                let (b, se) = of(j);
                terms.wald(j, b, se);
            }
        }
        estimate.tables.push(terms.table());
    }

    /// Says in the estimate how the fit ended, and which terms were dropped.
    pub fn tell_end(&self, estimate: &mut Estimate, names: &[String]) {
        self.tell_status(estimate, names);
        tell_dropped(estimate, names, &self.dropped);
    }

    /// Says in the estimate how the fit ended.
    pub fn tell_status(&self, estimate: &mut Estimate, names: &[String]) {
        let (key, values) = match self.status {
            Status::Monotone => ("monotone", listed(names, &self.running)),
            Status::Nonconverged => ("nonconverged", Vec::new()),
            Status::NotIdentified => ("likelihood-flat", Vec::new()),
            _ => return,
        };
        estimate.notice(Notice::new(self.status, key, &values));
    }

    /// Table `summary` of a fit.
    pub fn summary(&self, persons: f64, events: f64) -> Table {
        self.summary_with(persons, events, 0)
    }

    /// The same where sites have so many parameters of their own together, at their best for the common ones.
    pub fn summary_with(&self, persons: f64, events: f64, besides: usize) -> Table {
        let p = (self.theta.len() - self.dropped.len() + besides) as f64;
        Table::of([FitSummary {
            n: Some(persons),
            n_event: Some(events),
            parameters: Some(p),
            log_likelihood: Some(self.log_likelihood),
            aic: Some(2.0 * p - 2.0 * self.log_likelihood),
            status: self.status,
        }])
    }
}

fn listed(names: &[String], positions: &[usize]) -> Vec<(&'static str, String)> {
    let told: Vec<&str> = positions.iter().map(|&j| names[j].as_str()).collect();
    vec![("terms", told.join(", "))]
}

/// Says in the estimate which terms were dropped, if any.
pub fn tell_dropped(estimate: &mut Estimate, names: &[String], dropped: &[usize]) {
    if !dropped.is_empty() {
        let values = listed(names, dropped);
        estimate.notice(Notice::new(Status::NotIdentified, "terms-dropped", &values));
    }
}

/// Table `summary` where nothing was fitted.
pub fn summary_without_fit(persons: f64, events: f64, status: Status) -> Table {
    let (n, n_event) = (Some(persons), Some(events));
    Table::of([FitSummary { n, n_event, status, ..FitSummary::default() }])
}
