//! What single studies do, and whether small ones differ from large ones.

use tributary_core::estimate::{Estimate, Notice, Shown, Status, Table, Value};
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
        estimate.tables.push(without_table("leave_one_out", &names, &rows));
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
        let names: Vec<&str> = order.iter().map(|&i| names[i]).collect();
        let mut table = without_table("cumulative_analysis", &names, &rows);
        table.columns.push("test".into());
        for (i, row) in table.rows.iter_mut().enumerate() {
            // Of one or two effects t says nothing.
            row.push(if i < 2 { TestRule::Z } else { rule }.word().into());
        }
        estimate.tables.push(table);
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
    let columns = ["method", "side", "missing", "estimate", "std_error", "conf_low", "conf_high"];
    let mut table = Table::new("trim_and_fill", &columns);
    let own = methods.iter().copied().find(|m| m.estimator().is_some()).unwrap_or(Method::Reml);
    let mut about = vec![Method::Common, own];
    about.dedup();
    for method in about {
        let estimator = method.estimator().unwrap_or(Tau2Estimator::Common);
        let Some(found) = trim_and_fill(y, v, estimator, level) else { continue };
        let side = if found.right { "right" } else { "left" };
        let mut row: Vec<Value> =
            vec![method.word().into(), side.into(), (found.missing as f64).into()];
        let f = found.filled;
        row.extend([f.estimate, f.std_error, f.limits.0, f.limits.1].map(Value::number));
        table.push(row);
    }
    table
}

fn without_table(name: &str, studies: &[&str], rows: &[Without]) -> Table {
    let columns = ["study", "estimate", "std_error", "conf_low", "conf_high", "tau2", "i2", "q"];
    let mut table = Table::new(name, &columns);
    for (study, w) in studies.iter().zip(rows) {
        let mut row = vec![Value::from(*study)];
        let finite = |x: f64| if x.is_finite() { Value::number(x) } else { Value::None };
        row.extend(
            [w.estimate, w.std_error, w.limits.0, w.limits.1, w.tau2, w.i2, w.q].map(finite),
        );
        table.push(row);
    }
    table
}

fn influence_table(studies: &[&str], y: &[f64], v: &[f64], estimator: Tau2Estimator) -> Table {
    let columns = ["study", "rstudent", "dffits", "cook", "cov_ratio", "hat", "q_share", "change"];
    let mut table = Table::new("influence", &columns);
    for (study, f) in studies.iter().zip(influence(y, v, estimator)) {
        let mut row = vec![Value::from(*study)];
        let finite = |x: f64| if x.is_finite() { Value::number(x) } else { Value::None };
        row.extend(
            [f.rstudent, f.dffits, f.cook, f.cov_ratio, f.hat, f.q_share, f.change].map(finite),
        );
        table.push(row);
    }
    table
}

/// Quantiles of the pooled effect and I² over all subsets.
fn subsets(y: &[f64], v: &[f64], estimate: &mut Estimate) {
    let found = all_subsets(y, v);
    if found.is_empty() {
        return;
    }
    let mut table = Table::new("all_subsets", &["quantile", "estimate", "i2"]);
    let mut effects: Vec<f64> = found.iter().map(|f| f.0).collect();
    let mut shares: Vec<f64> = found.iter().map(|f| f.1).collect();
    effects.sort_by(f64::total_cmp);
    shares.sort_by(f64::total_cmp);
    for q in [0.0, 0.025, 0.25, 0.5, 0.75, 0.975, 1.0] {
        let at = (q * (effects.len() - 1) as f64).round() as usize;
        table.push([q, effects[at], shares[at]].map(Value::number).into());
    }
    estimate.tables.push(table);
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
    let mut table =
        Table::new("subset_density", &["estimate", "i2", "subsets"]).shown(Shown::Figure);
    for (at, n) in counts.into_iter().enumerate() {
        let estimate = low + width * ((at % ACROSS) as f64 + 0.5);
        let i2 = ((at / ACROSS) as f64 + 0.5) / UP as f64;
        table.push([estimate, i2, f64::from(n)].map(Value::number).into());
    }
    table
}

fn asymmetry(
    effects: &[Effect],
    y: &[f64],
    v: &[f64],
    estimator: Tau2Estimator,
    estimate: &mut Estimate,
) {
    let columns = ["test", "statistic", "df", "p_value", "limit", "limit_std_error"];
    let mut table = Table::new("asymmetry", &columns);
    let mut push = |name: &str, found: Option<Asymmetry>| {
        if let Some(a) = found {
            let df = if a.df.is_finite() { Value::number(a.df) } else { Value::None };
            let mut row: Vec<Value> = vec![name.into(), a.statistic.into(), df, a.p_value.into()];
            row.push(a.limit.map(|l| l.0).into());
            row.push(a.limit.map(|l| l.1).into());
            table.push(row);
        }
    };
    push("Egger", egger(y, v, estimator));
    push("Begg", begg(y, v));
    let tables = two_arm_tables(effects);
    let mut wanted = 2;
    if tables.len() >= FEWEST {
        push("Harbord", harbord(&tables));
        push("Peters", peters(&tables));
        wanted = 4;
    }
    if table.rows.len() < wanted {
        estimate.notices.push(Notice::new(Status::NotIdentified, "asymmetry-same-errors", &[]));
    }
    estimate.tables.push(table);
}
