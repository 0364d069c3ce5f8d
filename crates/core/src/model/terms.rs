//! Table of the coefficients of a regression.

use tributary_stats::{
    distribution::{normal_point, normal_two_sided},
    matrix::Inverse,
};

use super::DesignTerm;
use crate::estimate::{Status, Table, Value};

/// Table of coefficients under construction.
#[derive(Debug)]
pub struct Terms<'a> {
    /// The table.
    pub table: Table,
    design: &'a [DesignTerm],
    level: f64,
}

impl<'a> Terms<'a> {
    /// An empty table; `ratio` names the columns of exp(estimate), such as `hazard_ratio`; they are empty for terms without a ratio.
    pub fn new(design: &'a [DesignTerm], ratio: &str, level: f64) -> Self {
        let (low, high) = (format!("{ratio}_low"), format!("{ratio}_high"));
        let columns = [
            "term",
            "variable",
            "level",
            "reference",
            "estimate",
            "std_error",
            "statistic",
            "p_value",
            "conf_low",
            "conf_high",
            ratio,
            &low,
            &high,
            "status",
        ];
        Self { table: Table::new("terms", &columns), design, level }
    }

    /// A row: estimate, standard error, statistic, p-value, limits, ratio with limits, which terms without a ratio do not
    /// show; as many as there are.
    pub fn push(&mut self, j: usize, numbers: &[f64], status: Status) {
        let term = &self.design[j];
        let text = |t: &Option<String>| t.as_ref().map_or(Value::None, Value::from);
        let mut row = vec![
            term.name().into(),
            (&term.variable).into(),
            text(&term.level),
            text(&term.reference),
        ];
        let shown = if term.has_ratio() { 9 } else { 6 };
        row.extend(numbers.iter().take(shown).map(|&x| Value::number(x)));
        row.resize(self.table.columns.len() - 1, Value::None);
        row.push(status.into());
        self.table.push(row);
    }

    /// All rows without numbers.
    pub fn all(&mut self, status: Status) {
        (0..self.design.len()).for_each(|j| self.push(j, &[], status));
    }

    /// A row from an estimate with its standard error.
    pub fn wald(&mut self, j: usize, estimate: f64, std_error: f64) {
        let z = normal_point(self.level);
        self.limits(j, estimate, std_error, [estimate - z * std_error, estimate + z * std_error]);
    }

    /// A row from an estimate with its standard error and limits.
    pub fn limits(&mut self, j: usize, b: f64, se: f64, [low, high]: [f64; 2]) {
        let statistic = b / se;
        let p = normal_two_sided(statistic);
        let numbers = [b, se, statistic, p, low, high, b.exp(), low.exp(), high.exp()];
        self.push(j, &numbers, Status::Ok);
    }

    /// Coefficients at the maximum; those that run to infinity have no Wald interval. `active` are the positions of the terms
    /// that carry information, in the order of `beta` and `inverse`.
    pub fn fitted(&mut self, active: &[usize], beta: &[f64], inverse: &Inverse, running: &[usize]) {
        for j in 0..self.design.len() {
            match active.iter().position(|&k| k == j) {
                None => self.push(j, &[], Status::NotIdentified),
                Some(i) if running.contains(&i) => self.push(j, &[], Status::Monotone),
                Some(i) => self.wald(j, beta[i], inverse.matrix[(i, i)].max(0.0).sqrt()),
            }
        }
    }
}
