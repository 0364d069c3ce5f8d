//! Moderators, subgroups and clusters.

use nalgebra::{DMatrix, DVector};
use tributary_core::estimate::{Estimate, Notice, Status, Table, Value};
use tributary_stats::{
    distribution::{chi_squared_upper, normal_point, student_point},
    meta_regression::{Regression, two_sided},
    random_effects::{Tau2Estimator, Test, heterogeneity, i2_h2, pool, tau2},
};

use super::{DataError, Dataset, Effect, Method, Options, TestRule};

/// The first method that estimates the between-study variance from effects and their errors, REML if none does.
pub(super) fn method_of(methods: &[Method]) -> Method {
    methods.iter().copied().find(|m| m.estimator().is_some()).unwrap_or(Method::Reml)
}

/// Its estimator.
pub(super) fn estimator_of(methods: &[Method]) -> Tau2Estimator {
    method_of(methods).estimator().unwrap_or(Tau2Estimator::Reml)
}

/// Columns of the design with their names: a number as it is, a category by its levels, the first one that occurs as reference.
fn columns(
    data: &Dataset,
    name: &str,
    rows: &[usize],
) -> Result<Vec<(String, Vec<f64>)>, DataError> {
    let cells = data.column(name)?;
    if let Some(&row) = rows.iter().find(|&&r| cells[r].is_empty()) {
        return Err(DataError::Cell {
            line: data.lines[row],
            column: name.to_owned(),
            found: String::new(),
            wanted: "a value for every study that has an effect",
        });
    }
    let numbers: Option<Vec<f64>> = rows.iter().map(|&r| cells[r].parse().ok()).collect();
    if let Some(numbers) = numbers {
        return Ok(vec![(name.to_owned(), numbers)]);
    }
    let mut levels: Vec<&str> = Vec::new();
    for &r in rows {
        if !levels.contains(&cells[r].as_str()) {
            levels.push(&cells[r]);
        }
    }
    let column = |level: &&str| {
        let values = rows.iter().map(|&r| f64::from(u8::from(cells[r] == **level))).collect();
        (format!("{name}={level}"), values)
    };
    Ok(levels[1..].iter().map(column).collect())
}

pub(super) fn add(
    data: &Dataset,
    options: &Options,
    methods: &[Method],
    effects: &[Effect],
    estimate: &mut Estimate,
) -> Result<(), DataError> {
    let rows: Vec<usize> = (0..effects.len()).filter(|&i| effects[i].effect.is_some()).collect();
    let (y, v): (Vec<f64>, Vec<f64>) = effects.iter().filter_map(|e| e.effect).unzip();
    if let Some(name) = &options.subgroup {
        subgroups(data.column(name)?, name, options, methods, &rows, (&y, &v), estimate);
    }
    let mut terms = vec![("(Intercept)".to_owned(), vec![1.0; rows.len()])];
    for name in &options.moderators {
        terms.extend(columns(data, name, &rows)?);
    }
    let clusters = match &options.cluster {
        None => None,
        Some(name) => {
            let cells = data.column(name)?;
            let mut names: Vec<&str> = rows.iter().map(|&r| cells[r].as_str()).collect();
            names.sort_unstable();
            names.dedup();
            let of = |&r: &usize| names.iter().position(|n| *n == cells[r]).unwrap_or(0);
            Some(rows.iter().map(of).collect::<Vec<usize>>())
        }
    };
    if options.moderators.is_empty() && clusters.is_none() && options.permutations == 0 {
        return Ok(());
    }
    let x = DMatrix::from_fn(rows.len(), terms.len(), |i, j| terms[j].1[i]);
    let regression = Regression { y: DVector::from_vec(y.clone()), v: v.clone(), x };
    let rule = options.first_test();
    let estimator = estimator_of(methods);
    let Some(fit) = regression.fit(estimator, rule.test()) else {
        estimate.notice(Notice::new(Status::NotIdentified, "regression-not-fitted", &[]));
        return Ok(());
    };
    let permuted = (options.permutations > 0)
        .then(|| regression.permutation(estimator, rule.test(), options.permutations, options.seed))
        .flatten();
    let robust = clusters.as_ref().and_then(|c| regression.robust(fit.tau2, c, true));
    if clusters.is_some() && robust.is_none() {
        estimate.notice(Notice::new(Status::KTooSmall, "too-few-clusters", &[]));
    }
    let head = [
        "term",
        "estimate",
        "std_error",
        "statistic",
        "p_value",
        "conf_low",
        "conf_high",
        "permutation_p_value",
        "robust_std_error",
        "robust_df",
        "robust_p_value",
        "status",
    ];
    let mut table = Table::new("coefficients", &head);
    let point = if fit.df.is_finite() {
        student_point(options.level, fit.df)
    } else {
        normal_point(options.level)
    };
    for (j, (name, _)) in terms.iter().enumerate() {
        let (b, se) = (fit.coefficients[j], fit.covariance[(j, j)].max(0.0).sqrt());
        let mut row: Vec<Value> = vec![name.into(), b.into(), se.into()];
        row.push((se > 0.0).then(|| b / se).into());
        row.push((se > 0.0).then(|| two_sided(b / se, fit.df)).into());
        let limits = (se > 0.0).then_some([b - point * se, b + point * se]);
        row.extend((0..2).map(|i| Value::from(limits.map(|l| l[i]))));
        row.push(permuted.as_ref().map(|p| p[j]).into());
        let own = robust.as_ref().map(|(v, df)| (v[(j, j)].max(0.0).sqrt(), df[j]));
        row.push(own.map(|o| o.0).into());
        row.push(own.map(|o| o.1).into());
        row.push(own.filter(|o| o.0 > 0.0).map(|(se, df)| two_sided(b / se, df)).into());
        row.push(if se > 0.0 { Status::Ok } else { Status::NotIdentified }.into());
        table.push(row);
    }
    if (0..terms.len()).any(|j| fit.covariance[(j, j)] <= 0.0) {
        estimate.notice(Notice::new(Status::NotIdentified, "identical-effects", &[]));
    }
    estimate.tables.push(table);
    let none = tau2(&y, &v, estimator).value;
    let mut summary = Table::new(
        "regression",
        &[
            "tau2",
            "r2",
            "i2",
            "h2",
            "q",
            "q_df",
            "q_p_value",
            "moderators",
            "moderators_df",
            "moderators_p_value",
            "status",
        ],
    );
    let r2 =
        (none > 0.0 && !options.moderators.is_empty()).then(|| ((none - fit.tau2) / none).max(0.0));
    let mut row: Vec<Value> =
        vec![fit.tau2.into(), r2.into(), fit.i2_h2.0.into(), fit.i2_h2.1.into()];
    row.extend([fit.q_residual.0, fit.q_residual.1, fit.q_residual.2].map(Value::number));
    row.extend((0..3).map(|i| Value::from(fit.moderators.map(|m| [m.0, m.1, m.2][i]))));
    let multimodal = fit.modes.len() > 1;
    row.push(if multimodal { Status::Multimodal } else { Status::Ok }.into());
    summary.push(row);
    estimate.tables.push(summary);
    if rows.len() < 10 * (terms.len() - 1) {
        let values = [("k", rows.len().to_string()), ("terms", (terms.len() - 1).to_string())];
        estimate.notices.push(Notice::new(Status::Ok, "few-studies-per-moderator", &values));
    }
    if !options.moderators.is_empty() {
        estimate.notices.push(Notice::new(Status::Ok, "ecological", &[]));
    }
    Ok(())
}

/// Pooled within each subgroup with a τ² of its own, and Q between them.
fn subgroups(
    cells: &[String],
    name: &str,
    options: &Options,
    methods: &[Method],
    rows: &[usize],
    (y, v): (&[f64], &[f64]),
    estimate: &mut Estimate,
) {
    let head = [
        "subgroup",
        "k",
        "estimate",
        "std_error",
        "conf_low",
        "conf_high",
        "tau2",
        "i2",
        "q",
        "q_p_value",
        "test",
        "status",
    ];
    let mut table = Table::new("subgroups", &head);
    let mut levels: Vec<&str> = Vec::new();
    for &r in rows {
        if !levels.contains(&cells[r].as_str()) {
            levels.push(&cells[r]);
        }
    }
    let estimator = estimator_of(methods);
    let mut means = Vec::new();
    for level in &levels {
        let inside: Vec<usize> = (0..rows.len()).filter(|&i| cells[rows[i]] == *level).collect();
        let pick = |x: &[f64]| inside.iter().map(|&i| x[i]).collect::<Vec<f64>>();
        let (y, v) = (pick(y), pick(v));
        let k = y.len();
        let found = if k >= 2 { tau2(&y, &v, estimator).value } else { 0.0 };
        // Of one or two effects t says nothing.
        let rule = if k < 3 { TestRule::Z } else { options.first_test() };
        let p = pool(&y, &v, found, rule.test(), options.level);
        let normal = pool(&y, &v, found, Test::Z, options.level).std_error;
        means.push((p.estimate, normal * normal));
        let q = (k >= 2).then(|| heterogeneity(&y, &v, options.level));
        let mut row: Vec<Value> = vec![(*level).into(), (k as f64).into()];
        row.extend(
            [p.estimate, p.std_error, p.confidence.0, p.confidence.1, found].map(Value::number),
        );
        row.push(q.as_ref().map(|_| i2_h2(&v, found).0).into());
        row.push(q.as_ref().map(|q| q.q).into());
        row.push(q.as_ref().map(|q| q.p_value).into());
        row.push(rule.word().into());
        let status = match k {
            0 | 1 => Status::KTooSmall,
            _ if p.std_error.is_nan() => Status::NotIdentified,
            _ => Status::Ok,
        };
        row.push(status.into());
        table.push(row);
    }
    estimate.tables.push(table);
    if means.len() > 1 {
        let (y, v): (Vec<f64>, Vec<f64>) = means.into_iter().unzip();
        let between = heterogeneity(&y, &v, options.level);
        let mut test = Table::new("between_subgroups", &["variable", "statistic", "df", "p_value"]);
        let p = chi_squared_upper(between.q, between.df);
        test.push(vec![name.into(), between.q.into(), between.df.into(), p.into()]);
        estimate.tables.push(test);
    }
}
