//! Several outcomes of each study, pooled together.

use nalgebra::{DMatrix, DVector};
use tributary_core::{
    estimate::{Estimate, Exactness, Notice, Number, Status, Table},
    rows,
};
use tributary_stats::{
    distribution::{chi_squared_upper, normal_point, normal_two_sided},
    multivariate_meta::{MultivariateFit, Structure, StudyOutcomes, fit},
    random_effects::{Tau2Estimator, Test, pool, tau2},
};

use super::{DataError, Dataset, Effect, Method, Options, covariance::Covariances};

rows! {
    /// The pooled effect on an outcome, with the others and alone.
    struct Outcome in "outcomes" {
        outcome: String,
        k: Number,
        estimate: Number,
        std_error: Number,
        conf_low: Number,
        conf_high: Number,
        p_value: Number,
        tau2: Number,
        alone_estimate: Number,
        alone_std_error: Number,
        status: Status,
    }

    /// Between-study covariance of two outcomes.
    struct Between in "between_studies" {
        outcome: String,
        with: String,
        covariance: Number,
        correlation: Number,
    }

    /// How good the fit is.
    struct Fit in "fit" {
        studies: Number,
        log_likelihood: Number,
        q: Number,
        q_df: Number,
        q_p_value: Number,
    }
}

/// Outcome, effect and sampling variance.
type Line = (usize, f64, f64);

/// Each outcome's name and each study's effects, in the order of the file.
struct Gathered<'a> {
    outcomes: Vec<&'a str>,
    studies: Vec<(&'a str, Vec<Line>)>,
}

fn gather<'a>(
    data: &'a Dataset,
    name: &str,
    effects: &'a [Effect],
) -> Result<Gathered<'a>, DataError> {
    let cells = data.column(name)?;
    let mut outcomes: Vec<&str> = Vec::new();
    let mut studies: Vec<(&str, Vec<Line>)> = Vec::new();
    for (effect, cell) in effects.iter().zip(cells) {
        let Some((y, v)) = effect.effect else { continue };
        let outcome = outcomes.iter().position(|o| o == cell).unwrap_or_else(|| {
            outcomes.push(cell);
            outcomes.len() - 1
        });
        let at = studies.iter().position(|(s, _)| *s == effect.study).unwrap_or_else(|| {
            studies.push((&effect.study, Vec::new()));
            studies.len() - 1
        });
        let lines = &mut studies[at].1;
        if lines.iter().any(|(o, _, _)| *o == outcome) {
            let (study, outcome) = (effect.study.clone(), cell.clone());
            return Err(DataError::Repeated { study, outcome });
        }
        lines.push((outcome, y, v));
    }
    Ok(Gathered { outcomes, studies })
}

impl Gathered<'_> {
    /// Effects of one outcome and their variances.
    fn of(&self, outcome: usize) -> (Vec<f64>, Vec<f64>) {
        let lines = self.studies.iter().flat_map(|(_, lines)| lines);
        lines.filter(|line| line.0 == outcome).map(|line| (line.1, line.2)).unzip()
    }

    /// The model's data: errors of one study have the covariances of a file, or one correlation, and a mean is estimated for each
    /// outcome.
    fn designed(&self, options: &Options) -> Result<Vec<StudyOutcomes>, DataError> {
        if let Some(covariances) = &options.covariances {
            covariances.check(&|study, outcome| {
                let lines = &self.studies.iter().find(|(s, _)| *s == study)?.1;
                lines.iter().find(|line| self.outcomes[line.0] == outcome).map(|line| line.2)
            })?;
        }
        let design = |(study, lines): &(&str, Vec<Line>)| {
            let n = lines.len();
            let mut s = DMatrix::from_fn(n, n, |i, j| {
                let rho = if i == j { 1.0 } else { options.correlation };
                rho * (lines[i].2 * lines[j].2).sqrt()
            });
            if let Some(covariances) = &options.covariances {
                for i in 0..n {
                    for j in 0..i {
                        let [a, b] = [i, j].map(|i| self.outcomes[lines[i].0]);
                        s[(i, j)] = covariances.of(study, a, b)?;
                        s[(j, i)] = s[(i, j)];
                    }
                }
                if s.clone().cholesky().is_none() {
                    return Err(Covariances::impossible(study));
                }
            }
            Ok(StudyOutcomes {
                outcomes: lines.iter().map(|line| line.0).collect(),
                y: DVector::from_fn(n, |i, _| lines[i].1),
                s,
                x: DMatrix::from_fn(n, self.outcomes.len(), |i, j| {
                    f64::from(u8::from(lines[i].0 == j))
                }),
            })
        };
        self.studies.iter().map(design).collect()
    }

    fn estimates(
        &self,
        fitted: Option<&MultivariateFit>,
        status: Status,
        restricted: bool,
        level: f64,
    ) -> Table {
        let z = normal_point(level);
        let row = |(j, outcome): (usize, &&str)| {
            let (y, v) = self.of(j);
            let of =
                |f: &MultivariateFit| (f.coefficients[j], f.covariance[(j, j)].max(0.0).sqrt());
            let own = fitted.map(of);
            let by =
                if restricted { Tau2Estimator::Reml } else { Tau2Estimator::MaximumLikelihood };
            let between = if y.len() >= 2 { tau2(&y, &v, by).value } else { 0.0 };
            let alone = pool(&y, &v, between, Test::Z, level);
            Outcome {
                outcome: (*outcome).to_owned(),
                k: Some(y.len() as f64),
                estimate: own.map(|(b, _)| b),
                std_error: own.map(|(_, se)| se),
                conf_low: own.map(|(b, se)| b - z * se),
                conf_high: own.map(|(b, se)| b + z * se),
                p_value: own.filter(|(_, se)| *se > 0.0).map(|(b, se)| normal_two_sided(b / se)),
                tau2: fitted.map(|f| f.psi[(j, j)]),
                alone_estimate: Some(alone.estimate),
                alone_std_error: Some(alone.std_error),
                status,
            }
        };
        Table::of(self.outcomes.iter().enumerate().map(row))
    }

    fn between(&self, f: &MultivariateFit) -> Table {
        let pairs = (0..self.outcomes.len()).flat_map(|i| (0..=i).map(move |j| (i, j)));
        Table::of(pairs.map(|(i, j)| Between {
            outcome: self.outcomes[i].to_owned(),
            with: self.outcomes[j].to_owned(),
            covariance: Some(f.psi[(i, j)]),
            correlation: correlation(f, i, j),
        }))
    }
}

/// Correlation of the outcomes i and j between studies; none where one of them does not vary.
fn correlation(f: &MultivariateFit, i: usize, j: usize) -> Option<f64> {
    let product = (f.psi[(i, i)] * f.psi[(j, j)]).sqrt();
    (product > 0.0).then(|| f.psi[(i, j)] / product)
}

/// Whether the fit ended where a variance is zero or a correlation is one.
pub(super) fn at_border(f: &MultivariateFit, typical: f64) -> bool {
    let q = f.psi.nrows();
    let flat = (0..q).any(|j| f.psi[(j, j)] <= 1e-8 * typical);
    let tied = |i, j| correlation(f, i, j).is_some_and(|rho| rho.abs() > 0.9999);
    flat || (0..q).any(|i| (0..i).any(|j| tied(i, j)))
}

/// Analyses the outcomes in the column `name`; estimates of one outcome alone stand beside.
pub(super) fn analyse(
    data: &Dataset,
    options: &Options,
    name: &str,
    effects: &[Effect],
) -> Result<Estimate, DataError> {
    super::applies::check_outcomes(data, options)?;
    let gathered = gather(data, name, effects)?;
    let (k, q) = (gathered.studies.len(), gathered.outcomes.len());
    let mut estimate = Estimate::new(Exactness::TwoStage, 0);
    let structure = match options.structure {
        Structure::Unstructured => "unstructured",
        Structure::CompoundSymmetric => "compound-symmetric",
        Structure::Diagonal => "diagonal",
        Structure::Common => "none",
    };
    let restricted = options.methods.first() != Some(&Method::MaximumLikelihood);
    let method = if restricted { Method::Reml } else { Method::MaximumLikelihood };
    estimate.line("outcomes", structure, &[("method", method.word().into())]);
    let (errors, rho) = match &options.covariances {
        Some(_) => ("file", String::new()),
        None => ("one-correlation", options.correlation.to_string()),
    };
    estimate.line("within-study", errors, &[("correlation", rho)]);
    super::tell_without_effect(effects, true, &mut estimate);
    let counts = [("k", k.to_string()), ("outcomes", q.to_string())];
    if q > 2 && k <= 10 && options.structure == Structure::Unstructured {
        estimate.notices.push(Notice::new(Status::Ok, "many-outcomes", &counts));
    }
    let enough = q >= 2 && k > q;
    let designed = gathered.designed(options)?;
    let fitted = enough.then(|| fit(&designed, q, options.structure, restricted)).flatten();
    let variances = effects.iter().filter_map(|e| e.effect.map(|(_, v)| v));
    let typical = variances.fold(f64::INFINITY, f64::min);
    let status = match &fitted {
        Some(f) if options.structure != Structure::Common && at_border(f, typical) => {
            estimate.notice(Notice::new(Status::Boundary, "outcomes-at-border", &[]));
            Status::Boundary
        }
        Some(_) => Status::Ok,
        None if enough => {
            estimate.notice(Notice::new(Status::NotIdentified, "outcomes-not-apart", &counts));
            Status::NotIdentified
        }
        None => {
            estimate.notice(Notice::new(Status::KTooSmall, "too-few-for-outcomes", &counts));
            Status::KTooSmall
        }
    };
    estimate.tables.push(gathered.estimates(fitted.as_ref(), status, restricted, options.level));
    if let Some(f) = fitted {
        let summary = Fit {
            studies: Some(k as f64),
            log_likelihood: Some(f.log_likelihood),
            q: Some(f.q.0),
            q_df: Some(f.q.1),
            q_p_value: Some(chi_squared_upper(f.q.0, f.q.1)),
        };
        estimate.tables.extend([gathered.between(&f), Table::of([summary])]);
    }
    Ok(estimate)
}
