//! Moderators, subgroups and clusters.

use nalgebra::{DMatrix, DVector};
use tributary_core::{
    estimate::{Estimate, Notice, Number, Status, Table},
    rows,
};
use tributary_stats::{
    distribution::{chi_squared_upper, normal_point, student_point},
    meta_regression::{Regression, two_sided},
    random_effects::{Tau2Estimator, Test, heterogeneity, i2_h2, pool, tau2},
};

use super::{DataError, Dataset, Effect, Method, Options, TestRule};

rows! {
    /// Coefficient of a moderator.
    struct Coefficient in "coefficients" {
        term: String,
        estimate: Number,
        std_error: Number,
        statistic: Number,
        p_value: Number,
        conf_low: Number,
        conf_high: Number,
        permutation_p_value: Number,
        robust_std_error: Number,
        robust_df: Number,
        robust_p_value: Number,
        status: Status,
    }

    /// What the moderators explain, and what is left.
    struct Explained in "regression" {
        tau2: Number,
        r2: Number,
        i2: Number,
        h2: Number,
        q: Number,
        q_df: Number,
        q_p_value: Number,
        moderators: Number,
        moderators_df: Number,
        moderators_p_value: Number,
        status: Status,
    }

    /// The pooled effect in a subgroup.
    struct Subgroup in "subgroups" {
        subgroup: String,
        k: Number,
        estimate: Number,
        std_error: Number,
        conf_low: Number,
        conf_high: Number,
        tau2: Number,
        i2: Number,
        q: Number,
        q_p_value: Number,
        test: String,
        status: Status,
    }

    /// Test of the difference between subgroups.
    struct Between in "between_subgroups" {
        variable: String,
        statistic: Number,
        df: Number,
        p_value: Number,
    }
}

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
    let point = if fit.df.is_finite() {
        student_point(options.level, fit.df)
    } else {
        normal_point(options.level)
    };
    let coefficient = |(j, (name, _)): (usize, &(String, Vec<f64>))| {
        let (b, se) = (fit.coefficients[j], fit.covariance[(j, j)].max(0.0).sqrt());
        let has_error = se > 0.0;
        let own = robust.as_ref().map(|(v, df)| (v[(j, j)].max(0.0).sqrt(), df[j]));
        Coefficient {
            term: name.clone(),
            estimate: Some(b),
            std_error: Some(se),
            statistic: has_error.then(|| b / se),
            p_value: has_error.then(|| two_sided(b / se, fit.df)),
            conf_low: has_error.then_some(b - point * se),
            conf_high: has_error.then_some(b + point * se),
            permutation_p_value: permuted.as_ref().map(|p| p[j]),
            robust_std_error: own.map(|o| o.0),
            robust_df: own.map(|o| o.1),
            robust_p_value: own.filter(|o| o.0 > 0.0).map(|(se, df)| two_sided(b / se, df)),
            status: if has_error { Status::Ok } else { Status::NotIdentified },
        }
    };
    estimate.tables.push(Table::of(terms.iter().enumerate().map(coefficient)));
    if (0..terms.len()).any(|j| fit.covariance[(j, j)] <= 0.0) {
        estimate.notice(Notice::new(Status::NotIdentified, "identical-effects", &[]));
    }
    let none = tau2(&y, &v, estimator).value;
    let r2 =
        (none > 0.0 && !options.moderators.is_empty()).then(|| ((none - fit.tau2) / none).max(0.0));
    estimate.tables.push(Table::of([Explained {
        tau2: Some(fit.tau2),
        r2,
        i2: Some(fit.i2_h2.0),
        h2: Some(fit.i2_h2.1),
        q: Some(fit.q_residual.0),
        q_df: Some(fit.q_residual.1),
        q_p_value: Some(fit.q_residual.2),
        moderators: fit.moderators.map(|m| m.0),
        moderators_df: fit.moderators.map(|m| m.1),
        moderators_p_value: fit.moderators.map(|m| m.2),
        status: if fit.modes.len() > 1 { Status::Multimodal } else { Status::Ok },
    }]));
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
    let mut levels: Vec<&str> = Vec::new();
    for &r in rows {
        if !levels.contains(&cells[r].as_str()) {
            levels.push(&cells[r]);
        }
    }
    let estimator = estimator_of(methods);
    let (mut found, mut means) = (Vec::new(), Vec::new());
    for level in &levels {
        let inside: Vec<usize> = (0..rows.len()).filter(|&i| cells[rows[i]] == *level).collect();
        let pick = |x: &[f64]| inside.iter().map(|&i| x[i]).collect::<Vec<f64>>();
        let (y, v) = (pick(y), pick(v));
        let k = y.len();
        let between = if k >= 2 { tau2(&y, &v, estimator).value } else { 0.0 };
        // Of one or two effects t says nothing.
        let rule = if k < 3 { TestRule::Z } else { options.first_test() };
        let p = pool(&y, &v, between, rule.test(), options.level);
        let normal = pool(&y, &v, between, Test::Z, options.level).std_error;
        means.push((p.estimate, normal * normal));
        let q = (k >= 2).then(|| heterogeneity(&y, &v, options.level));
        found.push(Subgroup {
            subgroup: (*level).to_owned(),
            k: Some(k as f64),
            estimate: Some(p.estimate),
            std_error: Some(p.std_error),
            conf_low: Some(p.confidence.0),
            conf_high: Some(p.confidence.1),
            tau2: Some(between),
            i2: q.as_ref().map(|_| i2_h2(&v, between).0),
            q: q.as_ref().map(|q| q.q),
            q_p_value: q.as_ref().map(|q| q.p_value),
            test: rule.word().to_owned(),
            status: match k {
                0 | 1 => Status::KTooSmall,
                _ if p.std_error.is_nan() => Status::NotIdentified,
                _ => Status::Ok,
            },
        });
    }
    estimate.tables.push(Table::of(found));
    if means.len() > 1 {
        let (y, v): (Vec<f64>, Vec<f64>) = means.into_iter().unzip();
        let between = heterogeneity(&y, &v, options.level);
        estimate.tables.push(Table::of([Between {
            variable: name.to_owned(),
            statistic: Some(between.q),
            df: Some(between.df),
            p_value: Some(chi_squared_upper(between.q, between.df)),
        }]));
    }
}
