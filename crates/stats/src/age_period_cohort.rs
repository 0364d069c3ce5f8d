//! Age–period–cohort models of rates: what the data tell (drift, curvature, rates under a stated reference) and what they cannot
//! (which part of the drift is of period and which of cohort).
//!
//! Effects are natural splines (knots at quantiles of the cases) or one level per value; their curvature is what is left after a
//! straight line is taken out, by an inner product weighted with 1, cases or person-time.
//!
//! Sources: Holford (1983); Clayton & Schifflers (1987); Carstensen (2007) for splines, drift extraction and references; Rosenberg &
//! Anderson (2011) and Rosenberg, Check & Anderson (2014) for net and local drifts by least squares.

use nalgebra::{DMatrix, DVector};

use super::{
    distribution::chi_squared_upper,
    matrix::{Inverse, invert, quadratic_form},
    newton::Next,
    poisson::{Cell, Mean, fit},
    spline::harrell,
    sum::neumaier,
};

/// One cell of a Lexis table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LexisCell {
    /// Age, middle of the cell.
    pub age: f64,
    /// Calendar time, middle of the cell.
    pub period: f64,
    /// Events.
    pub events: f64,
    /// Person-time.
    pub time: f64,
}

impl LexisCell {
    fn cohort(&self) -> f64 {
        self.period - self.age
    }
}

/// How an effect bends.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Natural spline with these knots.
    Spline(Vec<f64>),
    /// One level per value.
    Levels(Vec<f64>),
}

impl Shape {
    /// Functions that span the effect beside 1 and x.
    fn bends(&self, x: f64) -> Vec<f64> {
        match self {
            Self::Spline(knots) => harrell(x, knots)[1..].to_vec(),
            Self::Levels(levels) => {
                // A value between levels is read as the nearest one.
                let distance = |i: &usize| (levels[*i] - x).abs();
                let nearest = (0..levels.len()).min_by(|a, b| distance(a).total_cmp(&distance(b)));
                let inner = 1..levels.len().saturating_sub(1);
                inner.map(|i| f64::from(u8::from(Some(i) == nearest))).collect()
            }
        }
    }
}

/// Weights of the inner product that takes the drift out of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extraction {
    /// All cells alike.
    Cells,
    /// Cases.
    Events,
    /// Person-time.
    Time,
}

/// Which effect holds the drift, and so has a reference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Reference {
    /// Rates of a cohort; period effects are what is left.
    Cohort(f64),
    /// Rates of a period; cohort effects are what is left.
    Period(f64),
}

/// An effect at a value: on the log scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effect {
    /// Age, period or cohort.
    pub at: f64,
    /// Log rate of an age; log rate ratio of a period or cohort.
    pub estimate: f64,
    /// Its standard error.
    pub std_error: f64,
}

/// One of the nested models.
#[derive(Debug, Clone, PartialEq)]
pub struct Submodel {
    /// `age`, `age-drift`, `age-cohort`, `age-period-cohort`, `age-period`.
    pub name: &'static str,
    /// Residual deviance.
    pub deviance: f64,
    /// Residual degrees of freedom.
    pub df: f64,
}

/// A fitted model.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// Nested models.
    pub submodels: Vec<Submodel>,
    /// Log change per year and its standard error, from the full model and from the model of age and drift.
    pub drift: [(f64, f64); 2],
    /// Log rates by age.
    pub age: Vec<Effect>,
    /// Period effects.
    pub period: Vec<Effect>,
    /// Cohort effects.
    pub cohort: Vec<Effect>,
}

/// Knots at the (i − ½)/n quantiles (type 7) of `values`, each counted as often as it has events.
pub fn knots(values: &[f64], events: &[f64], n: usize) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).filter(|&i| events[i] > 0.0).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let total: f64 = order.iter().map(|&i| events[i]).sum();
    // The value of the k-th event, k from 0.
    let value = |k: f64| {
        let mut before = 0.0;
        for &i in &order {
            before += events[i];
            if k < before - 1e-9 {
                return values[i];
            }
        }
        order.last().map_or(0.0, |&i| values[i])
    };
    let mut found: Vec<f64> = (0..n)
        .map(|i| {
            let h = (total - 1.0).max(0.0) * (i as f64 + 0.5) / n as f64;
            let (low, share) = (h.floor(), h - h.floor());
            value(low) + share * (value(low + 1.0) - value(low))
        })
        .collect();
    found.dedup_by(|a, b| (*a - *b).abs() < 1e-9);
    found
}

/// The value at which half of the events have passed.
pub fn median(values: &[f64], events: &[f64]) -> f64 {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let total: f64 = events.iter().sum();
    let mut before = 0.0;
    for &i in &order {
        before += events[i];
        if before > 0.5 * total {
            return values[i];
        }
    }
    order.last().map_or(0.0, |&i| values[i])
}

fn unique(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut found: Vec<f64> = values.collect();
    found.sort_by(f64::total_cmp);
    found.dedup_by(|a, b| (*a - *b).abs() < 1e-9);
    found
}

/// Functions of x whose weighted product with 1 and x over the cells is 0.
struct Curvature {
    shape: Shape,
    /// Coefficients of 1 and x that are taken from each bend.
    line: Vec<[f64; 2]>,
}

impl Curvature {
    fn new(shape: &Shape, x: &[f64], weights: &[f64]) -> Self {
        let total = neumaier(weights.iter().copied());
        let mean =
            |f: &dyn Fn(usize) -> f64| neumaier((0..x.len()).map(|i| weights[i] * f(i))) / total;
        let mx = mean(&|i| x[i]);
        let sxx = mean(&|i| (x[i] - mx).powi(2));
        let bends: Vec<Vec<f64>> = x.iter().map(|&x| shape.bends(x)).collect();
        let columns = bends.first().map_or(0, Vec::len);
        let line = (0..columns)
            .map(|j| {
                let my = mean(&|i| bends[i][j]);
                let slope = mean(&|i| (x[i] - mx) * (bends[i][j] - my)) / sxx;
                [my - slope * mx, slope]
            })
            .collect();
        Self { shape: shape.clone(), line }
    }

    fn at(&self, x: f64) -> Vec<f64> {
        self.shape.bends(x).iter().zip(&self.line).map(|(b, [a, s])| b - a - s * x).collect()
    }
}

/// Coefficients and covariance of a Poisson fit; `None` if it does not converge.
fn poisson(cells: &[&LexisCell], rows: &[Vec<f64>]) -> Option<(Vec<f64>, DMatrix<f64>, f64)> {
    // Columns on one scale, and the mean rate as intercept, for a good start.
    let p = rows.first()?.len();
    let scale: Vec<f64> = (0..p)
        .map(|j| rows.iter().map(|r| r[j].abs()).fold(0.0, f64::max).max(f64::MIN_POSITIVE))
        .collect();
    let counted: Vec<Cell> = cells
        .iter()
        .zip(rows)
        .map(|(cell, row)| Cell {
            events: cell.events,
            time: cell.time,
            expected: 0.0,
            z: row.iter().zip(&scale).map(|(x, s)| x / s).collect(),
        })
        .collect();
    let sum = |f: &dyn Fn(&Cell) -> f64| neumaier(counted.iter().map(f));
    let mut start = vec![0.0; p];
    start[0] = (sum(&|c| c.events) / sum(&|c| c.time)).ln();
    let found = fit(&counted, Mean::Rate, &start, false);
    let Next::Converged { at, inverse } = found.next else { return None };
    let theta: Vec<f64> = found.record[at].beta.iter().zip(&scale).map(|(b, s)| b / s).collect();
    let covariance = DMatrix::from_fn(p, p, |i, j| inverse.matrix[(i, j)] / (scale[i] * scale[j]));
    let deviance = 2.0
        * neumaier(cells.iter().zip(rows).map(|(cell, row)| {
            let mu = cell.time * row.iter().zip(&theta).map(|(x, b)| x * b).sum::<f64>().exp();
            let gain = if cell.events > 0.0 { cell.events * (cell.events / mu).ln() } else { 0.0 };
            gain - (cell.events - mu)
        }));
    Some((theta, covariance, deviance))
}

/// Fits by maximum likelihood; `shapes` are of age, period and cohort. `None` without events, or if a fit has no finite maximum.
pub fn maximum_likelihood(
    cells: &[LexisCell],
    shapes: &[Shape; 3],
    extraction: Extraction,
    reference: Reference,
) -> Option<Fit> {
    let used: Vec<&LexisCell> = cells.iter().filter(|c| c.time > 0.0).collect();
    if used.iter().map(|c| c.events).sum::<f64>() <= 0.0 {
        return None;
    }
    let weights: Vec<f64> = used
        .iter()
        .map(|c| match extraction {
            Extraction::Cells => 1.0,
            Extraction::Events => c.events,
            Extraction::Time => c.time,
        })
        .collect();
    let column = |f: fn(&LexisCell) -> f64| used.iter().map(|c| f(c)).collect::<Vec<f64>>();
    let (periods, cohorts) = (column(|c| c.period), column(LexisCell::cohort));
    let period_bends = Curvature::new(&shapes[1], &periods, &weights);
    let cohort_bends = Curvature::new(&shapes[2], &cohorts, &weights);
    // Ages are measured from their middle, so that the intercept is near the data.
    let middle = neumaier(used.iter().map(|c| c.age)) / used.len() as f64;
    let age_part = |age: f64| {
        let mut row = vec![1.0, age - middle];
        row.extend(shapes[0].bends(age));
        row
    };
    let by_cohort = matches!(reference, Reference::Cohort(_));
    let (Reference::Cohort(origin) | Reference::Period(origin)) = reference;
    // The effect with the reference is 0 there.
    let less =
        |at: Vec<f64>, zero: &[f64]| at.iter().zip(zero).map(|(a, z)| a - z).collect::<Vec<f64>>();
    let cohort_zero =
        if by_cohort { cohort_bends.at(origin) } else { vec![0.0; cohort_bends.line.len()] };
    let period_zero =
        if by_cohort { vec![0.0; period_bends.line.len()] } else { period_bends.at(origin) };
    let drift_of = |c: &LexisCell| if by_cohort { c.cohort() } else { c.period } - origin;
    let rows = |period: bool, cohort: bool, drift: bool| -> Vec<Vec<f64>> {
        used.iter()
            .map(|c| {
                let mut row = age_part(c.age);
                if drift {
                    row.push(drift_of(c));
                }
                if period {
                    row.extend(less(period_bends.at(c.period), &period_zero));
                }
                if cohort {
                    row.extend(less(cohort_bends.at(c.cohort()), &cohort_zero));
                }
                row
            })
            .collect()
    };
    let n = used.len() as f64;
    let mut submodels = Vec::new();
    let mut fits = Vec::new();
    for (name, period, cohort, drift) in [
        ("age", false, false, false),
        ("age-drift", false, false, true),
        ("age-cohort", false, true, true),
        ("age-period-cohort", true, true, true),
        ("age-period", true, false, true),
    ] {
        let found = poisson(&used, &rows(period, cohort, drift))?;
        submodels.push(Submodel { name, deviance: found.2, df: n - found.0.len() as f64 });
        fits.push(found);
    }
    let ages = age_part(0.0).len();
    let (theta, covariance, _) = &fits[3];
    let p = theta.len();
    let effect = |at: f64, places: &[(usize, f64)]| {
        let mut row = DVector::zeros(p);
        for (j, x) in places {
            row[*j] = *x;
        }
        let estimate = places.iter().map(|(j, x)| x * theta[*j]).sum();
        let variance = (row.transpose() * covariance * &row)[(0, 0)];
        Effect { at, estimate, std_error: variance.max(0.0).sqrt() }
    };
    let placed = |from: usize, values: Vec<f64>| {
        values.into_iter().enumerate().map(move |(i, x)| (from + i, x))
    };
    let first_cohort = ages + 1 + period_bends.line.len();
    let age = unique(used.iter().map(|c| c.age))
        .into_iter()
        .map(|a| effect(a, &placed(0, age_part(a)).collect::<Vec<_>>()))
        .collect();
    let period = unique(periods.iter().copied())
        .into_iter()
        .map(|t| {
            let mut places: Vec<(usize, f64)> =
                placed(ages + 1, less(period_bends.at(t), &period_zero)).collect();
            if !by_cohort {
                places.push((ages, t - origin));
            }
            effect(t, &places)
        })
        .collect();
    let cohort = unique(cohorts.iter().copied())
        .into_iter()
        .map(|t| {
            let mut places: Vec<(usize, f64)> =
                placed(first_cohort, less(cohort_bends.at(t), &cohort_zero)).collect();
            if by_cohort {
                places.push((ages, t - origin));
            }
            effect(t, &places)
        })
        .collect();
    let drift = [&fits[3], &fits[1]]
        .map(|(theta, covariance, _)| (theta[ages], covariance[(ages, ages)].max(0.0).sqrt()));
    Some(Fit { submodels, drift, age, period, cohort })
}

/// A Wald test.
#[derive(Debug, Clone, PartialEq)]
pub struct WaldTest {
    /// What is tested to be 0.
    pub name: &'static str,
    /// χ².
    pub statistic: f64,
    /// Degrees of freedom.
    pub df: f64,
    /// P-value.
    pub p_value: f64,
}

/// Drifts by least squares of log rates.
#[derive(Debug, Clone, PartialEq)]
pub struct Drifts {
    /// Log change per year over all, with standard error.
    pub net: (f64, f64),
    /// Log slope along age within cohorts (longitudinal age trend).
    pub longitudinal: (f64, f64),
    /// Log slope along age within periods (cross-sectional age trend).
    pub cross_sectional: (f64, f64),
    /// Log change per year by age.
    pub local: Vec<Effect>,
    /// Wald tests.
    pub tests: Vec<WaldTest>,
    /// Scale of the variance: 1 or the residual mean square.
    pub scale: f64,
    /// Cells whose 0 events were read as a tenth of one.
    pub filled: usize,
}

/// Least squares of ln(events / time) with the events as weights, as the tool of the US National Cancer Institute: cells without
/// events count as a tenth of one. Ages and periods are equally wide; `None` if they are not, or fewer than three.
pub fn least_squares(cells: &[LexisCell]) -> Option<Drifts> {
    let (ages, periods) =
        (unique(cells.iter().map(|c| c.age)), unique(cells.iter().map(|c| c.period)));
    let (a, p) = (ages.len(), periods.len());
    let width = periods.get(1)? - periods[0];
    let even = |v: &[f64]| v.windows(2).all(|w| (w[1] - w[0] - width).abs() < 1e-6);
    if a < 3 || p < 3 || !even(&ages) || !even(&periods) || cells.len() != a * p {
        return None;
    }
    if cells.iter().any(|c| c.time <= 0.0) {
        return None;
    }
    let n = a + p - 1;
    let centre = |count: usize, i: usize| i as f64 - 0.5 * (count as f64 - 1.0);
    // Deviations: orthogonal to 1 and x over the levels, each a sum over the inner levels.
    let deviations = |count: usize| -> DMatrix<f64> {
        let sxx: f64 = (0..count).map(|i| centre(count, i).powi(2)).sum();
        DMatrix::from_fn(count, count - 2, |i, j| {
            let level = j + 1;
            let own = f64::from(u8::from(i == level));
            own - 1.0 / count as f64 - centre(count, i) * centre(count, level) / sxx
        })
    };
    let (da, dp, dc) = (deviations(a), deviations(p), deviations(n));
    let columns = 3 + da.ncols() + dp.ncols() + dc.ncols();
    let mut z = DMatrix::zeros(cells.len(), columns);
    let (mut y, mut w) = (DVector::zeros(cells.len()), DVector::zeros(cells.len()));
    let mut filled = 0;
    for (row, cell) in cells.iter().enumerate() {
        let i = ages.iter().position(|x| (x - cell.age).abs() < 1e-9)?;
        let t = periods.iter().position(|x| (x - cell.period).abs() < 1e-9)?;
        let c = t + a - 1 - i;
        z[(row, 0)] = 1.0;
        z[(row, 1)] = centre(a, i) * width;
        z[(row, 2)] = centre(n, c) * width;
        let mut at = 3;
        for (matrix, level) in [(&da, i), (&dp, t), (&dc, c)] {
            for j in 0..matrix.ncols() {
                z[(row, at + j)] = matrix[(level, j)];
            }
            at += matrix.ncols();
        }
        filled += usize::from(cell.events <= 0.0);
        w[row] = if cell.events > 0.0 { cell.events } else { 0.1 };
        y[row] = (w[row] / cell.time).ln();
    }
    let weighted = DMatrix::from_fn(z.nrows(), columns, |i, j| z[(i, j)] * w[i]);
    let inverse = invert(&(z.transpose() * &weighted));
    if inverse.rank < columns {
        return None;
    }
    let theta = &inverse.matrix * (weighted.transpose() * &y);
    let residual = &y - &z * &theta;
    let df = (cells.len() - columns) as f64;
    let square = neumaier(residual.iter().zip(w.iter()).map(|(r, w)| w * r * r));
    let scale = if df > 0.0 { (square / df).max(1.0) } else { 1.0 };
    let covariance = inverse.matrix * scale;
    let se = |contrast: &DVector<f64>| {
        (contrast.transpose() * &covariance * contrast)[(0, 0)].max(0.0).sqrt()
    };
    let unit = |j: usize| DVector::from_fn(columns, |i, _| f64::from(u8::from(i == j)));
    let of = |contrast: &DVector<f64>| (contrast.dot(&theta), se(contrast));
    // A slope of the cohort deviations over the cohorts that an age group passes through.
    let first_cohort = 3 + da.ncols() + dp.ncols();
    let spp: f64 = (0..p).map(|t| centre(p, t).powi(2)).sum();
    let bend = |i: usize| {
        let mut contrast = DVector::zeros(columns);
        for t in 0..p {
            for j in 0..dc.ncols() {
                contrast[first_cohort + j] += centre(p, t) / (spp * width) * dc[(t + a - 1 - i, j)];
            }
        }
        contrast
    };
    let local = (0..a)
        .map(|i| {
            let (estimate, std_error) = of(&(unit(2) + bend(i)));
            Effect { at: ages[i], estimate, std_error }
        })
        .collect();
    let wald = |name: &'static str, contrasts: &[DVector<f64>]| {
        let matrix = DMatrix::from_columns(contrasts);
        let value = matrix.transpose() * &theta;
        let v: Inverse = invert(&(matrix.transpose() * &covariance * &matrix));
        let statistic = quadratic_form(&value, &v);
        let df = v.rank as f64;
        WaldTest { name, statistic, df, p_value: chi_squared_upper(statistic, df) }
    };
    let span = |from: usize, count: usize| (from..from + count).map(unit).collect::<Vec<_>>();
    let (period_dev, cohort_dev) = (span(3 + da.ncols(), p - 2), span(first_cohort, n - 2));
    let with_drift = |mut v: Vec<DVector<f64>>| {
        v.push(unit(2));
        v
    };
    let tests = vec![
        wald("net drift", &[unit(2)]),
        wald("age deviations", &span(3, a - 2)),
        wald("period deviations", &period_dev),
        wald("cohort deviations", &cohort_dev),
        wald("period rate ratios", &with_drift(period_dev.clone())),
        wald("cohort rate ratios", &with_drift(cohort_dev.clone())),
        wald("local drifts", &(0..a).map(bend).collect::<Vec<_>>()),
    ];
    Some(Drifts {
        net: of(&unit(2)),
        longitudinal: of(&unit(1)),
        cross_sectional: of(&(unit(1) - unit(2))),
        local,
        tests,
        scale,
        filled,
    })
}
