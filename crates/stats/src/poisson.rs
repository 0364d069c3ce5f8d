//! Poisson regression of event counts on person-time, with or without a background: D ~ Poisson(μ).
//!
//! Rates: μ = Y e^η. Excess: μ = E + Y e^η. Relative: μ = E e^η. For grouped survival data D and Y are sufficient, so the fit is
//! that of the piecewise exponential model on the rows. Firth's penalty ½ ln |I| keeps estimates finite where a level had no event.
//!
//! Sources: Holford (1980), Laird & Olivier (1981); Dickman et al. (2004) for excess mortality; Firth (1993).

use nalgebra::{DMatrix, DVector};

use super::{
    jet::Jet,
    likelihood::{Derivatives, Predictor},
    matrix::{independent_columns, invert},
    newton::{Evaluation, Next, newton},
};

/// What multiplies e^η, and what is added to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mean {
    /// Y e^η.
    Rate,
    /// E + Y e^η.
    Excess,
    /// E e^η.
    Relative,
}

/// One cell of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// Events.
    pub events: f64,
    /// Person-time.
    pub time: f64,
    /// Expected events.
    pub expected: f64,
    /// Row of the design.
    pub z: Vec<f64>,
}

/// How a fit ended.
#[derive(Debug, Clone)]
pub struct PoissonFit {
    /// Evaluations, oldest first.
    pub record: Vec<Evaluation>,
    /// How it ended.
    pub next: Next,
}

fn evaluate(cells: &[Cell], mean: Mean, theta: &[f64], firth: bool) -> Evaluation {
    let p = theta.len();
    let mut sum = Derivatives::zero(p);
    for cell in cells {
        let (scale, background) = match mean {
            Mean::Rate => (cell.time, 0.0),
            Mean::Excess => (cell.time, cell.expected),
            Mean::Relative => (cell.expected, 0.0),
        };
        // Nothing can happen where nobody is followed; such a cell says nothing.
        if scale <= 0.0 {
            continue;
        }
        let predictor = Predictor { first: 0, z: &cell.z };
        let eta = Jet::<1>::variable(predictor.at(theta), 0);
        let mu = eta.exp() * scale + background;
        // Per unit of what multiplies e^η: for rates that is the log-likelihood of the piecewise exponential model on the rows.
        let rate = eta.exp() + background / scale;
        let gain = if cell.events > 0.0 { rate.ln() * cell.events } else { Jet::constant(0.0) };
        sum.add(&(gain - mu), 1.0, [predictor]);
    }
    let mut evaluation = Evaluation::new(theta, &sum);
    if firth {
        penalise(&mut evaluation, cells, mean);
    }
    evaluation
}

/// Adds ½ ln |I| of the expected information; its score is ½ Σ h x, with h the leverage of a cell (log link without background).
fn penalise(evaluation: &mut Evaluation, cells: &[Cell], mean: Mean) {
    let inverse = invert(&evaluation.information);
    let Some(cholesky) = evaluation.information.clone().cholesky() else { return };
    evaluation.log_likelihood += cholesky.l().diagonal().iter().map(|x| x.ln()).sum::<f64>();
    for cell in cells {
        let scale = if mean == Mean::Relative { cell.expected } else { cell.time };
        let z = DVector::from_row_slice(&cell.z);
        let eta: f64 = cell.z.iter().zip(&evaluation.beta).map(|(z, b)| z * b).sum();
        let leverage = scale * eta.exp() * (z.transpose() * &inverse.matrix * &z)[(0, 0)];
        evaluation.score += z * (0.5 * leverage);
    }
}

/// Columns that are neither 0 nor a combination of those before them, over the cells that say something.
pub fn identified(cells: &[Cell], mean: Mean) -> Vec<usize> {
    let p = cells.first().map_or(0, |c| c.z.len());
    let mut products = DMatrix::zeros(p, p);
    for cell in cells {
        let scale = if mean == Mean::Relative { cell.expected } else { cell.time };
        if scale > 0.0 {
            let z = DVector::from_row_slice(&cell.z);
            products += &z * z.transpose();
        }
    }
    independent_columns(&products)
}

/// Maximises from `start`.
pub fn fit(cells: &[Cell], mean: Mean, start: &[f64], firth: bool) -> PoissonFit {
    const MOST: usize = 200;
    let mut record = vec![evaluate(cells, mean, start, firth)];
    loop {
        match newton(&record, MOST) {
            Next::Try(theta) => record.push(evaluate(cells, mean, &theta, firth)),
            next => return PoissonFit { record, next },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(events: f64, time: f64, z: &[f64]) -> Cell {
        Cell { events, time, expected: 0.5, z: z.to_vec() }
    }

    fn last(fit: &PoissonFit) -> Vec<f64> {
        match fit.next {
            Next::Converged { at, .. } => fit.record[at].beta.clone(),
            ref other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_saturated_table_gives_its_rates() {
        let cells = [cell(4.0, 10.0, &[1.0, 0.0]), cell(9.0, 12.0, &[1.0, 1.0])];
        let theta = last(&fit(&cells, Mean::Rate, &[0.0, 0.0], false));
        assert!((theta[0] - 0.4_f64.ln()).abs() < 1e-10);
        assert!((theta[1] - (0.75_f64 / 0.4).ln()).abs() < 1e-10);
        let theta = last(&fit(&cells, Mean::Excess, &[-1.0, 0.0], false));
        assert!((theta[0] - 0.35_f64.ln()).abs() < 1e-9);
        let theta =
            last(&fit(&[Cell { z: vec![1.0], ..cells[0].clone() }], Mean::Relative, &[0.0], false));
        assert!((theta[0] - 8.0_f64.ln()).abs() < 1e-10);
    }

    #[test]
    fn a_level_without_events_runs_away_unless_penalised() {
        let cells = [cell(4.0, 10.0, &[1.0, 0.0]), cell(0.0, 12.0, &[1.0, 1.0])];
        assert!(matches!(fit(&cells, Mean::Rate, &[0.0, 0.0], false).next, Next::Monotone { .. }));
        // Saturated: Firth adds half an event to each cell.
        let theta = last(&fit(&cells, Mean::Rate, &[0.0, 0.0], true));
        assert!((theta[0] - 0.45_f64.ln()).abs() < 1e-6, "{theta:?}");
        assert!((theta[1] - ((0.5 / 12.0) / 0.45_f64).ln()).abs() < 1e-5);
    }
}
