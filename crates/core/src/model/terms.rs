//! Table of the coefficients of a regression.

use tributary_stats::{
    distribution::{normal_point, normal_two_sided},
    matrix::Inverse,
};

use super::DesignTerm;
use crate::{
    estimate::{Number, Role, Status, Table},
    rows,
};

rows! {
    /// A coefficient, with exp of it where the term has a ratio. In the table the columns of the ratio are called by its kind, such
    /// as `hazard_ratio`.
    pub struct Term in "terms" {
        pub term: String,
        pub variable: String,
        pub level: Option<String>,
        pub reference: Option<String>,
        pub estimate: Number,
        pub std_error: Number,
        pub statistic: Number,
        pub p_value: Number,
        pub conf_low: Number,
        pub conf_high: Number,
        pub ratio: Number,
        pub ratio_low: Number,
        pub ratio_high: Number,
        pub status: Status,
    }
}

impl Term {
    /// What the table calls the ratio: the last of its columns that have limits.
    pub fn ratio_of(table: &Table) -> &str {
        let upper = table.columns.iter().rfind(|c| c.role == Role::Upper);
        upper.and_then(|c| c.of.as_deref()).unwrap_or("ratio")
    }

    /// Rows of a table of coefficients, whatever it calls their ratio.
    pub fn read(table: &Table) -> Vec<Self> {
        table.clone().renamed(Self::ratio_of(table), "ratio").rows_of()
    }

    /// A row of numbers from an estimate and its standard error; the limits lie `point` standard errors around it.
    pub fn wald(estimate: f64, std_error: f64, point: f64, p_value: impl Fn(f64) -> f64) -> Self {
        let statistic = estimate / std_error;
        Self {
            estimate: Some(estimate),
            std_error: Some(std_error),
            statistic: Some(statistic),
            p_value: Some(p_value(statistic)),
            conf_low: Some(estimate - point * std_error),
            conf_high: Some(estimate + point * std_error),
            ..Self::default()
        }
    }
}

/// Table of coefficients under construction.
#[derive(Debug)]
pub struct Terms<'a> {
    rows: Vec<Term>,
    design: &'a [DesignTerm],
    ratio: &'a str,
    level: f64,
}

impl<'a> Terms<'a> {
    /// No rows yet; `ratio` names the columns of exp(estimate), such as `hazard_ratio`.
    pub fn new(design: &'a [DesignTerm], ratio: &'a str, level: f64) -> Self {
        Self { rows: Vec::new(), design, ratio, level }
    }

    /// The table.
    pub fn table(self) -> Table {
        Table::of(self.rows).renamed("ratio", self.ratio)
    }

    /// Adds the row of term `j`: these numbers, and their ratio where the term has one.
    pub fn push(&mut self, j: usize, mut row: Term) {
        let term = &self.design[j];
        row.term = term.name();
        row.variable.clone_from(&term.variable);
        row.level.clone_from(&term.level);
        row.reference.clone_from(&term.reference);
        if term.has_ratio() {
            row.ratio = row.estimate.map(f64::exp);
            row.ratio_low = row.conf_low.map(f64::exp);
            row.ratio_high = row.conf_high.map(f64::exp);
        }
        self.rows.push(row);
    }

    /// Adds the row of term `j` without numbers.
    pub fn empty(&mut self, j: usize, status: Status) {
        self.push(j, Term { status, ..Term::default() });
    }

    /// The same with rows of all terms, without numbers.
    #[must_use]
    pub fn all_empty(mut self, status: Status) -> Self {
        (0..self.design.len()).for_each(|j| self.empty(j, status));
        self
    }

    /// Adds the row of term `j` from an estimate with its standard error.
    pub fn wald(&mut self, j: usize, estimate: f64, std_error: f64) {
        self.push(j, Term::wald(estimate, std_error, normal_point(self.level), normal_two_sided));
    }

    /// Coefficients at the maximum; those that run to infinity have no Wald interval. `active` are the positions of the terms
    /// that carry information, in the order of `beta` and `inverse`.
    pub fn fitted(&mut self, active: &[usize], beta: &[f64], inverse: &Inverse, running: &[usize]) {
        for j in 0..self.design.len() {
            match active.iter().position(|&k| k == j) {
                None => self.empty(j, Status::NotIdentified),
                Some(i) if running.contains(&i) => self.empty(j, Status::Monotone),
                Some(i) => self.wald(j, beta[i], inverse.matrix[(i, i)].max(0.0).sqrt()),
            }
        }
    }
}
