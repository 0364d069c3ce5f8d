//! Dose–response: the slope of each study, pooled as any estimate is, and curves pooled together.

use std::collections::BTreeMap;

use nalgebra::{DMatrix, DVector};
use tributary_core::{
    estimate::{Estimate, Notice, Number, Shown, Status, Table},
    rows,
};
use tributary_stats::{
    distribution::{chi_squared_upper, normal_point, quantile, student_point},
    dose_response::{Design, Group, covariance, gls},
    effect_size::StudyData,
    matrix::invert,
    multivariate_meta::{MultivariateFit, Structure, StudyOutcomes, fit},
    random_effects::{Test, pool, tau2},
    spline::harrell,
};

use super::{
    DataError, Dataset, Kind, Options, outcomes::at_border, regression::estimator_of, sheet::Sheet,
};

rows! {
    /// Slope of a study.
    struct StudySlope in "study_slopes" {
        study: String,
        groups: Number,
        slope: Number,
        std_error: Number,
        q: Number,
        q_df: Number,
    }

    /// Ratio at a dose, along a line or a spline.
    pub struct DoseRatio in "dose_response" {
        pub form: String,
        pub dose: Number,
        pub ratio: Number,
        pub conf_low: Number,
        pub conf_high: Number,
    }

    /// A coefficient of the spline, or the test that it is a line.
    struct SplineTerm in "dose_spline" {
        term: String,
        estimate: Number,
        std_error: Number,
        statistic: Number,
        df: Number,
        p_value: Number,
    }
}

/// A study with its groups.
#[derive(Debug, Clone)]
struct Study {
    name: String,
    reference_dose: f64,
    groups: Vec<Group>,
    covariance: DMatrix<f64>,
}

/// Studies that report ratios by dose.
#[derive(Debug, Clone)]
pub struct Doses {
    studies: Vec<Study>,
}

/// One line of the file.
struct Line {
    number: usize,
    design: Design,
    dose: f64,
    cases: f64,
    total: f64,
    /// Log ratio and its standard error; none for the reference group.
    ratio: Option<(f64, f64)>,
}

impl Doses {
    /// Reads comma-separated text: `study`, the column of doses, `cases`, `n` or `time`, `estimate` and `std_error` (empty or 0 for the
    /// reference group), and `design` (cc, ci or ir) where it is not as the columns say.
    ///
    /// # Errors
    /// If a column is missing, a number cannot be, or a study has no reference group or more than one.
    pub fn parse(text: &str, dose: &str) -> Result<Self, DataError> {
        let sheet = Sheet::read(text)?;
        let place = |name: &str| sheet.column(name);
        let (study, at_dose, cases) = (place("study")?, place(dose)?, place("cases")?);
        let (estimate, std_error) = (place("estimate")?, place("std_error")?);
        let by_time = place("time").is_ok();
        let total = place("time").or_else(|_| place("n"))?;
        let design = place("design").ok();
        let mut order: Vec<String> = Vec::new();
        let mut lines: BTreeMap<String, Vec<Line>> = BTreeMap::new();
        for row in &sheet.rows {
            let cell = |at: usize| row.cell(at);
            let real = |at: usize, wanted: &'static str| sheet.number(row, at, wanted);
            let positive = |at: usize| {
                let wanted = "a number above 0";
                let found = real(at, wanted)?;
                if found > 0.0 { Ok(found) } else { Err(sheet.fault(row, at, wanted)) }
            };
            let reference = matches!(cell(std_error), "" | "0" | "0.0");
            let ratio = if reference {
                None
            } else {
                Some((real(estimate, "a log ratio")?, positive(std_error)?))
            };
            let line = Line {
                number: row.line,
                design: match design.map(cell) {
                    Some("cc") => Design::CaseControl,
                    None if by_time => Design::IncidenceRate,
                    Some("ci") | None => Design::CumulativeIncidence,
                    Some("ir") => Design::IncidenceRate,
                    Some(_) => {
                        return Err(sheet.fault(row, design.unwrap_or(0), "cc, ci or ir"));
                    }
                },
                dose: real(at_dose, "a dose")?,
                cases: positive(cases)?,
                total: positive(total)?,
                ratio,
            };
            let name = cell(study).to_owned();
            if !order.contains(&name) {
                order.push(name.clone());
            }
            lines.entry(name).or_default().push(line);
        }
        if order.is_empty() {
            return Err(DataError::Empty);
        }
        let studies = order.into_iter().map(|name| {
            let own = lines.remove(&name).unwrap_or_default();
            Study::of(name, &own)
        });
        Ok(Self { studies: studies.collect::<Result<_, _>>()? })
    }

    /// Slope of each study: a data set of estimates with their standard errors.
    ///
    /// # Errors
    /// If a study's groups all have the reference dose.
    pub fn slopes(&self) -> Result<Dataset, DataError> {
        let mut studies = Vec::new();
        for study in &self.studies {
            let line = study.coefficients(|dose| vec![dose]);
            let Some((slope, variance, _)) = line else {
                return Err(DataError::Doses {
                    study: study.name.clone(),
                    reason: "all its groups have the reference dose",
                });
            };
            let data = StudyData::Estimate { estimate: slope[0], variance: variance[(0, 0)] };
            studies.push((study.name.clone(), data));
        }
        Ok(Dataset { kind: Kind::Generic, studies, columns: BTreeMap::new(), lines: Vec::new() })
    }

    /// Doses of all groups, ascending.
    fn all(&self) -> Vec<f64> {
        let of = |s: &Study| {
            let own: Vec<f64> = s.groups.iter().map(|g| s.reference_dose + g.dose).collect();
            std::iter::once(s.reference_dose).chain(own)
        };
        let mut doses: Vec<f64> = self.studies.iter().flat_map(of).collect();
        doses.sort_by(f64::total_cmp);
        doses
    }
}

impl Study {
    fn of(name: String, lines: &[Line]) -> Result<Self, DataError> {
        let fault = |reason| DataError::Doses { study: name.clone(), reason };
        let references: Vec<&Line> = lines.iter().filter(|l| l.ratio.is_none()).collect();
        let [reference] = references[..] else {
            return Err(fault(
                "expected one reference group, whose std_error is empty or 0, in each study",
            ));
        };
        if lines.iter().any(|l| l.design != reference.design) {
            return Err(fault("its lines have different designs"));
        }
        let group = |line: &Line| {
            let (estimate, std_error) = line.ratio?;
            Some(Group { dose: line.dose - reference.dose, total: line.total, estimate, std_error })
        };
        let groups: Vec<Group> = lines.iter().filter_map(group).collect();
        if groups.is_empty() {
            return Err(fault("it has a reference group only"));
        }
        if let Some(line) =
            lines.iter().find(|l| l.cases > l.total && l.design != Design::IncidenceRate)
        {
            return Err(DataError::Cell {
                line: line.number,
                column: "cases".into(),
                found: line.cases.to_string(),
                wanted: "no more cases than persons",
            });
        }
        let cases = lines.iter().map(|l| l.cases).sum();
        let covariance = covariance(reference.design, cases, reference.total, &groups)
            .ok_or_else(|| fault("no table with its totals is consistent with its ratios"))?;
        Ok(Self { name, reference_dose: reference.dose, groups, covariance })
    }

    /// Coefficients on functions of the dose, less their values at the study's own reference.
    fn coefficients(
        &self,
        basis: impl Fn(f64) -> Vec<f64>,
    ) -> Option<(DVector<f64>, DMatrix<f64>, f64)> {
        let zero = basis(self.reference_dose);
        let rows: Vec<Vec<f64>> =
            self.groups.iter().map(|g| basis(self.reference_dose + g.dose)).collect();
        let design = DMatrix::from_fn(rows.len(), zero.len(), |i, j| rows[i][j] - zero[j]);
        let y = DVector::from_iterator(rows.len(), self.groups.iter().map(|g| g.estimate));
        gls(&design, &y, &self.covariance)
    }
}

/// Harrell's places of 3 to 5 knots among the doses.
fn knots(doses: &[f64], n: usize) -> Vec<f64> {
    let shares: &[f64] = match n {
        3 => &[0.1, 0.5, 0.9],
        4 => &[0.05, 0.35, 0.65, 0.95],
        _ => &[0.05, 0.275, 0.5, 0.725, 0.95],
    };
    let mut found: Vec<f64> = shares.iter().map(|share| quantile(doses, *share)).collect();
    found.dedup_by(|a, b| (*a - *b).abs() < 1e-12);
    found
}

/// Adds the pooled ratio by dose: along the average slope, and with `n_knots` along a spline.
pub fn add(doses: &Doses, options: &Options, n_knots: Option<usize>, estimate: &mut Estimate) {
    let all = doses.all();
    let (reference, last) = (all[0], all[all.len() - 1]);
    let fits = doses.studies.iter().map(|s| (s, s.coefficients(|d| vec![d])));
    estimate.tables.push(Table::of(fits.clone().filter_map(|(study, found)| {
        let (slope, variance, q) = found?;
        Some(StudySlope {
            study: study.name.clone(),
            groups: Some(study.groups.len() as f64),
            slope: Some(slope[0]),
            std_error: Some(variance[(0, 0)].sqrt()),
            q: Some(q),
            q_df: Some(study.groups.len() as f64 - 1.0),
        })
    })));
    let mut rows = Vec::new();
    let grid: Vec<f64> =
        (0..=20).map(|i| reference + (last - reference) * f64::from(i) / 20.0).collect();
    let z = normal_point(options.level);
    let mut push = |form: &str, dose: f64, value: f64, (point, variance): (f64, f64)| {
        let around = point * variance.max(0.0).sqrt();
        let [ratio, conf_low, conf_high] =
            [value, value - around, value + around].map(|x| Some(x.exp()));
        rows.push(DoseRatio {
            form: form.to_owned(),
            dose: Some(dose),
            ratio,
            conf_low,
            conf_high,
        });
    };
    let (y, v): (Vec<f64>, Vec<f64>) =
        fits.filter_map(|(_, f)| f.map(|(b, v, _)| (b[0], v[(0, 0)]))).unzip();
    let estimator = estimator_of(&options.methods);
    let between = if y.len() >= 2 { tau2(&y, &v, estimator).value } else { 0.0 };
    let test = options.tests.first().map_or(Test::Z, |rule| rule.test());
    let line = pool(&y, &v, between, test, options.level);
    let line_point = if line.df.is_finite() { student_point(options.level, line.df) } else { z };
    for &dose in &grid {
        let d = dose - reference;
        push("line", dose, line.estimate * d, (line_point, (line.std_error * d).powi(2)));
    }
    if let Some(n) = n_knots {
        let places = knots(&all, n);
        match spline(doses, &places) {
            Some(found) => {
                let zero = harrell(reference, &places);
                for &dose in &grid {
                    let row = DVector::from_iterator(
                        zero.len(),
                        harrell(dose, &places).iter().zip(&zero).map(|(a, b)| a - b),
                    );
                    let variance = (row.transpose() * &found.covariance * &row)[(0, 0)];
                    push("spline", dose, row.dot(&found.coefficients), (z, variance));
                }
                if at_border(&found, v.iter().copied().fold(f64::INFINITY, f64::min)) {
                    let notice = Notice::new(Status::Boundary, "dose-at-border", &[]);
                    estimate.notices.push(notice);
                }
                estimate.tables.push(spline_table(&found, &places));
            }
            None => {
                let values = [("knots", n.to_string())];
                estimate.notices.push(Notice::new(Status::KTooSmall, "no-dose-spline", &values));
            }
        }
    }
    let values = [("dose", reference.to_string())];
    estimate.line("dose-reference", "lowest", &values);
    estimate.line("dose-covariance", "greenland-longnecker", &[]);
    estimate.tables.push(Table::of(rows).shown(Shown::Figure));
}

/// Curves of the studies that have enough groups, pooled by REML with unstructured variation.
fn spline(doses: &Doses, places: &[f64]) -> Option<MultivariateFit> {
    let q = places.len().checked_sub(1).filter(|q| *q >= 2)?;
    let studies: Vec<StudyOutcomes> = doses
        .studies
        .iter()
        .filter_map(|study| {
            let (y, s, _) = study.coefficients(|d| harrell(d, places))?;
            let x = DMatrix::identity(q, q);
            Some(StudyOutcomes { outcomes: (0..q).collect(), y, s, x })
        })
        .collect();
    if studies.len() <= q {
        return None;
    }
    fit(&studies, q, Structure::Unstructured, true)
}

/// Coefficients of the spline, and the test that it is a line.
fn spline_table(found: &MultivariateFit, places: &[f64]) -> Table {
    let q = found.coefficients.len();
    let bends = DVector::from_iterator(q - 1, found.coefficients.iter().skip(1).copied());
    let variance = found.covariance.view((1, 1), (q - 1, q - 1)).into_owned();
    let inverse = invert(&variance);
    let statistic = (bends.transpose() * inverse.matrix * &bends)[(0, 0)];
    let coefficient = |j: usize| {
        let (b, v) = (found.coefficients[j], found.covariance[(j, j)]);
        let term =
            if j == 0 { "dose".to_owned() } else { format!("spline term at {}", places[j - 1]) };
        let (estimate, std_error) = (Some(b), Some(v.max(0.0).sqrt()));
        SplineTerm { term, estimate, std_error, ..SplineTerm::default() }
    };
    let df = (q - 1) as f64;
    let linear = SplineTerm {
        term: "linear".into(),
        statistic: Some(statistic),
        df: Some(df),
        p_value: Some(chi_squared_upper(statistic, df)),
        ..SplineTerm::default()
    };
    Table::of((0..q).map(coefficient).chain([linear]))
}
