//! The attacker: what everything shown lets one conclude of a hidden count.
//!
//! He knows every shown number and that cells are integers of 0 or more. For a combination of cells he can find two extremes, each
//! by an integer program. Here an extreme counts only with its *witness*: a table of non-negative integers that agrees with
//! everything shown, checked in integer arithmetic. Tables that agree with everything shown cannot be told from the true one, so
//! what lies between two witnesses is hidden from every attacker, however the floating-point solver erred.

use std::collections::BTreeMap;

use microlp::{ComparisonOp, OptimizationDirection, Problem, SolveOptions, Variable};

use crate::{
    fact::dot,
    system::{Joined, Part, Row},
};

/// Work done and allowed, in pivots of the simplex method: the same on every machine.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    pub(crate) pivots: u64,
    pub(crate) limit: u64,
    /// Nodes of one search for an integer table.
    pub(crate) nodes: u64,
    /// Whether the farthest table of integers is searched for, or any that is far enough.
    pub(crate) to_the_end: bool,
}

impl Work {
    pub(crate) fn is_over(&self) -> bool {
        self.pivots >= self.limit
    }

    /// Solves the program. `None` if it has no solution or the solver failed, which are the same to us: only what is checked counts.
    pub(crate) fn solve(&mut self, problem: &Problem) -> Option<microlp::Solution> {
        let mut options = SolveOptions::default();
        options.node_limit = Some(self.nodes);
        options.presolve = problem.has_integer_vars();
        // Where protection is the question, the first table of integers will do.
        options.mip_gap = if self.to_the_end { 0.0 } else { 1e9 };
        // One for the call: programs without a pivot cost time too.
        self.pivots += 1;
        let outcome = problem.solve_with(options).ok()?;
        self.pivots += outcome.stats().lp_iterations;
        outcome.into_solution().ok()
    }
}

/// What is shown, as an attacker sees it: facts about the columns that are not known.
#[derive(Debug)]
pub(crate) struct View<'a> {
    part: &'a Part,
    rows: Vec<Row>,
    /// Columns that hang together have the same number; `None` is a column whose count is known.
    block: Vec<Option<usize>>,
}

/// How far a combination can be moved from its true value.
#[derive(Debug, Clone)]
pub(crate) struct Extreme {
    /// Distance, 0 or more, that the witness attains.
    pub(crate) distance: i64,
    /// Witness, as a change of the true table.
    pub(crate) change: Vec<i64>,
}

impl Extreme {
    /// The true table itself.
    pub(crate) fn none(part: &Part) -> Self {
        Self { distance: 0, change: vec![0; part.table.len()] }
    }
}

/// What is searched for: how far `of` can move in the direction `sign`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Aim<'a> {
    pub(crate) of: &'a [(usize, i64)],
    pub(crate) sign: i64,
    /// Distance beyond which nothing is looked for.
    pub(crate) reach: i64,
    /// Distance under which a witness is of no use: no integers are searched for where the linear program stays below.
    pub(crate) least: i64,
    /// Whether integers are searched for where the vertex of the linear program is no table of integers.
    pub(crate) thorough: bool,
}

impl<'a> View<'a> {
    pub(crate) fn new(part: &'a Part, is_hidden: &[bool]) -> Self {
        let shown = part.items.iter().zip(is_hidden).filter(|(_, hidden)| !**hidden);
        let mut rows: Vec<Row> = shown.flat_map(|(item, _)| item.rows.iter().cloned()).collect();
        let mut is_known = vec![false; part.table.len()];
        loop {
            for row in &mut rows {
                row.of.retain(|(c, _)| !is_known[*c]);
            }
            rows = tightest(rows);
            let found: Vec<usize> =
                rows.iter().flat_map(|row| known_by(row, &part.table)).collect();
            if found.is_empty() {
                break;
            }
            found.into_iter().for_each(|c| is_known[c] = true);
        }
        let mut joined = Joined::new(part.table.len());
        rows.iter().for_each(|row| joined.join(row.of.iter().map(|t| t.0)));
        let block = is_known.iter().enumerate();
        let block = block.map(|(c, known)| (!known).then(|| joined.root(c))).collect();
        Self { part, rows, block }
    }

    /// Whether the change of the table agrees with everything shown.
    pub(crate) fn admits(&self, change: &[i64]) -> bool {
        let known = self.block.iter().zip(change).all(|(block, d)| block.is_some() || *d == 0);
        let counts = self.part.table.iter().zip(change).all(|(x, d)| x + d >= 0);
        known && counts && self.rows.iter().all(|row| row.admits(change))
    }

    /// The farthest witness found. The distance is 0 if there is none.
    pub(crate) fn extreme(&self, aim: Aim<'_>, work: &mut Work) -> Extreme {
        let none = Extreme::none(self.part);
        let blocks: Vec<usize> = aim.of.iter().filter_map(|(c, _)| self.block[*c]).collect();
        if blocks.is_empty() || work.is_over() {
            return none;
        }
        let columns: Vec<usize> = (0..self.block.len())
            .filter(|c| self.block[*c].is_some_and(|b| blocks.contains(&b)))
            .collect();
        let in_blocks = |row: &&Row| self.block[row.of[0].0].is_some_and(|b| blocks.contains(&b));
        let (mut rows, mut intervals): (Vec<&Row>, Vec<&Row>) =
            self.rows.iter().filter(in_blocks).partition(|row| row.is_equation());
        let checked = |values: &[f64]| {
            let change: Vec<i64> = values.iter().map(|d| d.round() as i64).collect();
            let distance = aim.sign * dot(aim.of, &change) as i64;
            (distance > 0 && self.admits(&change)).then_some(Extreme { distance, change })
        };
        // Intervals seldom bind: each is added when a solution breaks it.
        loop {
            let Some(values) = self.program(aim, &columns, &rows, false, work) else { return none };
            if let Some(found) = checked(&values) {
                return found;
            }
            let moved: f64 = aim.of.iter().map(|&(c, a)| (aim.sign * a) as f64 * values[c]).sum();
            if moved + 1e-6 < aim.least.max(1) as f64 {
                return none;
            }
            let (broken, kept): (Vec<&Row>, Vec<&Row>) =
                intervals.into_iter().partition(|row| is_broken(row, &values));
            intervals = kept;
            if broken.is_empty() || work.is_over() {
                break;
            }
            rows.extend(broken);
        }
        if !aim.thorough {
            return none;
        }
        rows.extend(intervals);
        let values = self.program(aim, &columns, &rows, true, work);
        values.and_then(|values| checked(&values)).unwrap_or(none)
    }

    /// Solves the linear or integer program over the columns: a change of every column of the part.
    fn program(
        &self,
        aim: Aim<'_>,
        columns: &[usize],
        rows: &[&Row],
        integers: bool,
        work: &mut Work,
    ) -> Option<Vec<f64>> {
        let mut problem = Problem::new(OptimizationDirection::Maximize);
        let gains: BTreeMap<usize, f64> =
            aim.of.iter().map(|&(c, a)| (c, (aim.sign * a) as f64)).collect();
        // A change is a rise less a fall, so that the solver begins at the true table.
        let mut variables: BTreeMap<usize, [Variable; 2]> = BTreeMap::new();
        for &c in columns {
            let gain = gains.get(&c).copied().unwrap_or(0.0);
            let most = self.part.table[c];
            let both = if integers {
                let most = most.min(i64::from(i32::MAX)) as i32;
                let rise = problem.add_integer_var(gain, (0, i32::MAX));
                [rise, problem.add_integer_var(-gain, (0, most))]
            } else {
                let rise = problem.add_var(gain, (0.0, f64::INFINITY));
                [rise, problem.add_var(-gain, (0.0, most as f64))]
            };
            variables.insert(c, both);
        }
        let terms = |of: &[(usize, i64)], scale: f64| -> Vec<(Variable, f64)> {
            let free = of.iter().filter_map(|(c, a)| Some((variables.get(c)?, *a as f64 / scale)));
            free.flat_map(|([rise, fall], a)| [(*rise, a), (*fall, -a)]).collect()
        };
        let goal = terms(aim.of, aim.sign as f64);
        problem.add_constraint(&goal[..], ComparisonOp::Le, aim.reach as f64);
        if integers {
            problem.add_constraint(&goal[..], ComparisonOp::Ge, aim.least as f64);
        }
        for row in rows {
            let scale = row.scale();
            let terms = terms(&row.of, scale);
            if row.is_equation() {
                problem.add_constraint(terms, ComparisonOp::Eq, 0.0);
                continue;
            }
            if let Some(low) = row.low {
                problem.add_constraint(&terms[..], ComparisonOp::Ge, low as f64 / scale);
            }
            if let Some(high) = row.high {
                problem.add_constraint(&terms[..], ComparisonOp::Le, high as f64 / scale);
            }
        }
        let solution = work.solve(&problem)?;
        let mut change = vec![0.0; self.part.table.len()];
        for (&c, [rise, fall]) in &variables {
            change[c] = solution.var_value(*rise) - solution.var_value(*fall);
        }
        Some(change)
    }
}

/// Whether real changes lie outside the bounds of the row, by more than the solver's own tolerance.
pub(crate) fn is_broken(row: &Row, values: &[f64]) -> bool {
    let sum: f64 = row.of.iter().map(|&(c, a)| a as f64 * values[c]).sum();
    let margin = 1e-6 * row.scale();
    row.low.is_some_and(|low| sum < low as f64 - margin)
        || row.high.is_some_and(|high| sum > high as f64 + margin)
}

/// One row for each combination, with the tightest of its bounds.
fn tightest(rows: Vec<Row>) -> Vec<Row> {
    let mut found: BTreeMap<Vec<(usize, i64)>, Row> = BTreeMap::new();
    for row in rows.into_iter().filter(|row| !row.of.is_empty()) {
        match found.get_mut(&row.of) {
            Some(known) => known.tighten(&row),
            None => {
                found.insert(row.of.clone(), row);
            }
        }
    }
    found.into_values().collect()
}

/// Columns that a single row makes known: the only one of an equation, or those that would have to be raised from 0 by less than 1.
fn known_by(row: &Row, table: &[i64]) -> Vec<usize> {
    if row.is_equation() && row.of.len() == 1 {
        return vec![row.of[0].0];
    }
    let lowest_possible = row.of.iter().all(|&(c, a)| a > 0 && table[c] == 0);
    let Some(high) = row.high.filter(|_| lowest_possible) else { return Vec::new() };
    row.of.iter().filter(|(_, a)| *a > high).map(|(c, _)| *c).collect()
}
