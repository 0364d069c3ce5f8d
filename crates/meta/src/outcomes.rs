//! Several outcomes of each study, pooled together.

use nalgebra::{DMatrix, DVector};
use tributary_core::estimate::{Estimate, Exactness, Notice, Status, Table, Value};
use tributary_stats::{
    distribution::{chi_squared_upper, normal_point, normal_two_sided},
    multivariate_meta::{MultivariateFit, Structure, StudyOutcomes, fit},
    random_effects::{Tau2Estimator, Test, pool, tau2},
};

use super::{DataError, Dataset, Effect, Method, Options, covariance::Covariances};

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
        let columns = [
            "outcome",
            "k",
            "estimate",
            "std_error",
            "conf_low",
            "conf_high",
            "p_value",
            "tau2",
            "alone_estimate",
            "alone_std_error",
            "status",
        ];
        let mut table = Table::new("outcomes", &columns);
        let z = normal_point(level);
        for (j, outcome) in self.outcomes.iter().enumerate() {
            let (y, v) = self.of(j);
            let mut row: Vec<Value> = vec![(*outcome).into(), (y.len() as f64).into()];
            match fitted {
                Some(f) => {
                    let (b, se) = (f.coefficients[j], f.covariance[(j, j)].max(0.0).sqrt());
                    row.extend([b, se, b - z * se, b + z * se].map(Value::number));
                    row.push((se > 0.0).then(|| normal_two_sided(b / se)).into());
                    row.push(f.psi[(j, j)].into());
                }
                None => row.resize(columns.len() - 3, Value::None),
            }
            let by =
                if restricted { Tau2Estimator::Reml } else { Tau2Estimator::MaximumLikelihood };
            let between = if y.len() >= 2 { tau2(&y, &v, by).value } else { 0.0 };
            let alone = pool(&y, &v, between, Test::Z, level);
            row.extend([alone.estimate, alone.std_error].map(Value::number));
            row.push(status.into());
            table.push(row);
        }
        table
    }

    fn between(&self, f: &MultivariateFit) -> Table {
        let columns = ["outcome", "with", "covariance", "correlation"];
        let mut table = Table::new("between_studies", &columns);
        for i in 0..self.outcomes.len() {
            for j in 0..=i {
                let names = [self.outcomes[i], self.outcomes[j]].map(Value::from);
                let numbers = [f.psi[(i, j)].into(), correlation(f, i, j).into()];
                table.push(names.into_iter().chain(numbers).collect());
            }
        }
        table
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
        let columns = ["studies", "log_likelihood", "q", "q_df", "q_p_value"];
        let mut summary = Table::new("fit", &columns);
        let p = chi_squared_upper(f.q.0, f.q.1);
        summary.push([k as f64, f.log_likelihood, f.q.0, f.q.1, p].map(Value::number).into());
        estimate.tables.extend([gathered.between(&f), summary]);
    }
    Ok(estimate)
}
