//! What single studies do, and whether small ones differ from large ones.

use tributary_core::{
    estimate::{Estimate, Notice, Number, Shown, Status, Table},
    rows,
};
use tributary_stats::{
    meta_diagnostics::{
        Asymmetry, Without, all_subsets, begg, cumulative, egger, harbord, influence,
        leave_one_out, peters, trim_and_fill,
    },
    random_effects::Tau2Estimator,
};

use super::{
    DataError, Dataset, Effect, Method, Options, TestRule, regression::estimator_of, two_arm_tables,
};

rows! {
    /// The average effect without one study, or with the studies up to one.
    struct Average in "leave_one_out" {
        study: String,
        estimate: Number,
        std_error: Number,
        conf_low: Number,
        conf_high: Number,
        tau2: Number,
        i2: Number,
        q: Number,
        test: String,
    }

    /// What one study does to the average effect.
    pub struct Influence in "influence" {
        pub study: String,
        pub rstudent: Number,
        pub dffits: Number,
        pub cook: Number,
        pub cov_ratio: Number,
        pub hat: Number,
        pub q_share: Number,
        pub change: Number,
    }

    /// A quantile over all subsets of the studies.
    struct SubsetQuantile in "all_subsets" {
        quantile: Number,
        estimate: Number,
        i2: Number,
    }

    /// How many subsets of the studies have about this effect and I².
    pub struct SubsetCell in "subset_density" {
        pub estimate: Number,
        pub i2: Number,
        pub subsets: Number,
    }

    /// A test of asymmetry.
    struct AsymmetryTest in "asymmetry" {
        test: String,
        statistic: Number,
        df: Number,
        p_value: Number,
        limit: Number,
        limit_std_error: Number,
    }

    /// The effect with the studies that seem to be missing.
    struct Filled in "trim_and_fill" {
        method: String,
        side: String,
        missing: Number,
        estimate: Number,
        std_error: Number,
        conf_low: Number,
        conf_high: Number,
    }
}

/// Fewest studies for a test of asymmetry.
const FEWEST: usize = 10;

pub(super) fn add(
    data: &Dataset,
    options: &Options,
    methods: &[Method],
    effects: &[Effect],
    estimate: &mut Estimate,
) -> Result<(), DataError> {
    let own: Vec<usize> = (0..effects.len()).filter(|&i| effects[i].effect.is_some()).collect();
    let (y, v): (Vec<f64>, Vec<f64>) = effects.iter().filter_map(|e| e.effect).unzip();
    let names: Vec<&str> = own.iter().map(|&i| effects[i].study.as_str()).collect();
    let estimator = estimator_of(methods);
    let rule = options.first_test();
    if own.len() >= 3 {
        let rows = leave_one_out(&y, &v, estimator, rule.test(), options.level);
        let rows = names.iter().zip(&rows).map(|(study, w)| Average::new(study, w, rule));
        estimate.tables.push(Table::of(rows).without(&["test"]));
        estimate.tables.push(influence_table(&names, &y, &v, estimator));
    }
    if let Some(column) = &options.order {
        let cells = data.column(column)?;
        let mut order: Vec<usize> = (0..own.len()).collect();
        let key = |i: usize| cells[own[i]].parse::<f64>().unwrap_or(f64::INFINITY);
        order.sort_by(|&a, &b| {
            key(a).total_cmp(&key(b)).then_with(|| cells[own[a]].cmp(&cells[own[b]]))
        });
        let pick = |x: &[f64]| order.iter().map(|&i| x[i]).collect::<Vec<f64>>();
        let rows = cumulative(&pick(&y), &pick(&v), estimator, rule.test(), options.level);
        let rows = order.iter().zip(&rows).enumerate().map(|(i, (&study, w))| {
            // Of one or two effects t says nothing.
            Average::new(names[study], w, if i < 2 { TestRule::Z } else { rule })
        });
        estimate.tables.push(Table { name: "cumulative_analysis".into(), ..Table::of(rows) });
    }
    if own.len() >= 4 {
        subsets(&y, &v, estimate);
    }
    if own.len() >= FEWEST {
        asymmetry(effects, &y, &v, estimator, estimate);
        estimate.tables.push(filled(&y, &v, methods, options.level));
    } else if own.len() >= 3 {
        let values = [("k", own.len().to_string()), ("fewest", FEWEST.to_string())];
        estimate.notices.push(Notice::new(Status::Ok, "asymmetry-not-tested", &values));
    }
    Ok(())
}

/// Trim and fill about the common effect, and about the average effect of the analysis.
fn filled(y: &[f64], v: &[f64], methods: &[Method], level: f64) -> Table {
    let own = methods.iter().copied().find(|m| m.estimator().is_some()).unwrap_or(Method::Reml);
    let mut about = vec![Method::Common, own];
    about.dedup();
    let row = |method: Method| {
        let estimator = method.estimator().unwrap_or(Tau2Estimator::Common);
        let found = trim_and_fill(y, v, estimator, level)?;
        let side = if found.right { "right" } else { "left" };
        Some(Filled {
            method: method.word().to_owned(),
            side: side.to_owned(),
            missing: Some(found.missing as f64),
            estimate: Some(found.filled.estimate),
            std_error: Some(found.filled.std_error),
            conf_low: Some(found.filled.limits.0),
            conf_high: Some(found.filled.limits.1),
        })
    };
    Table::of(about.into_iter().filter_map(row))
}

impl Average {
    fn new(study: &str, w: &Without, rule: TestRule) -> Self {
        Self {
            study: study.to_owned(),
            estimate: Some(w.estimate),
            std_error: Some(w.std_error),
            conf_low: Some(w.limits.0),
            conf_high: Some(w.limits.1),
            tau2: Some(w.tau2),
            i2: Some(w.i2),
            q: Some(w.q),
            test: rule.word().to_owned(),
        }
    }
}

fn influence_table(studies: &[&str], y: &[f64], v: &[f64], estimator: Tau2Estimator) -> Table {
    Table::of(studies.iter().zip(influence(y, v, estimator)).map(|(study, f)| Influence {
        study: (*study).to_owned(),
        rstudent: Some(f.rstudent),
        dffits: Some(f.dffits),
        cook: Some(f.cook),
        cov_ratio: Some(f.cov_ratio),
        hat: Some(f.hat),
        q_share: Some(f.q_share),
        change: Some(f.change),
    }))
}

/// Quantiles of the pooled effect and I² over all subsets.
fn subsets(y: &[f64], v: &[f64], estimate: &mut Estimate) {
    let found = all_subsets(y, v);
    if found.is_empty() {
        return;
    }
    let mut effects: Vec<f64> = found.iter().map(|f| f.0).collect();
    let mut shares: Vec<f64> = found.iter().map(|f| f.1).collect();
    effects.sort_by(f64::total_cmp);
    shares.sort_by(f64::total_cmp);
    let quantile = |q: f64| {
        let at = (q * (effects.len() - 1) as f64).round() as usize;
        let [quantile, estimate, i2] = [q, effects[at], shares[at]].map(Some);
        SubsetQuantile { quantile, estimate, i2 }
    };
    estimate.tables.push(Table::of([0.0, 0.025, 0.25, 0.5, 0.75, 0.975, 1.0].map(quantile)));
    estimate.tables.push(density(&found));
}

/// How many subsets have an effect and I² in each cell of a grid: the picture of Olkin, Dahabreh & Trikalinos (2012).
fn density(subsets: &[(f64, f64)]) -> Table {
    const ACROSS: usize = 48;
    const UP: usize = 25;
    let (low, high) = subsets
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), s| (a.min(s.0), b.max(s.0)));
    let width = ((high - low) / ACROSS as f64).max(1e-12);
    let mut counts = vec![0_u32; ACROSS * UP];
    for (effect, i2) in subsets {
        let across = (((effect - low) / width) as usize).min(ACROSS - 1);
        let up = ((i2 * UP as f64) as usize).min(UP - 1);
        counts[up * ACROSS + across] += 1;
    }
    let cells = counts.into_iter().enumerate().map(|(at, n)| SubsetCell {
        estimate: Some(low + width * ((at % ACROSS) as f64 + 0.5)),
        i2: Some(((at / ACROSS) as f64 + 0.5) / UP as f64),
        subsets: Some(f64::from(n)),
    });
    Table::of(cells).shown(Shown::Figure)
}

fn asymmetry(
    effects: &[Effect],
    y: &[f64],
    v: &[f64],
    estimator: Tau2Estimator,
    estimate: &mut Estimate,
) {
    let mut found = vec![("Egger", egger(y, v, estimator)), ("Begg", begg(y, v))];
    let tables = two_arm_tables(effects);
    if tables.len() >= FEWEST {
        found.extend([("Harbord", harbord(&tables)), ("Peters", peters(&tables))]);
    }
    if found.iter().any(|(_, test)| test.is_none()) {
        estimate.notices.push(Notice::new(Status::NotIdentified, "asymmetry-same-errors", &[]));
    }
    let row = |(test, found): (&str, Option<Asymmetry>)| {
        let found = found?;
        Some(AsymmetryTest {
            test: test.to_owned(),
            statistic: Some(found.statistic),
            df: Some(found.df),
            p_value: Some(found.p_value),
            limit: found.limit.map(|l| l.0),
            limit_std_error: found.limit.map(|l| l.1),
        })
    };
    estimate.tables.push(Table::of(found.into_iter().filter_map(row)));
}
