//! Secondary suppression: the companions without which hidden counts could be had from what is shown.

use std::collections::{BTreeMap, BTreeSet};

use microlp::{ComparisonOp, OptimizationDirection, Problem, Variable};

use crate::{
    attack::{Aim, Extreme, View, Work, is_broken},
    fact::dot,
    system::{Need, Part, PartItem, Row},
};

/// Why an item of a part is hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hidden {
    /// It is unsafe itself.
    Primary,
    /// For the item at this place.
    Companion(usize),
    /// For the item at this place, when work was at its limit.
    Limit(usize),
}

/// What is hidden of a part, and the witnesses of its unsafe items.
#[derive(Debug)]
pub(crate) struct Pattern<'a> {
    part: &'a Part,
    pub(crate) hidden: Vec<Option<Hidden>>,
    /// Of each unsafe item: farthest witnesses below and above its true value.
    witness: BTreeMap<usize, [Extreme; 2]>,
}

/// Hides what must be hidden in the part.
pub(crate) fn protect<'a>(part: &'a Part, work: &mut Work) -> Pattern<'a> {
    let mut pattern = Pattern::primary(part);
    let mut targets: Vec<usize> = pattern.witness.keys().copied().collect();
    // The widest need first, since its companions serve the others; then by name.
    targets.sort_by_key(|&t| {
        let item = &part.items[t];
        (std::cmp::Reverse(item.need.map_or(0, |n| n.reach - item.value)), t)
    });
    for &target in &targets {
        pattern.secure(target, work);
    }
    // What is dearest is tried first, so that little is lost where this ends early.
    let mut left = Work { pivots: 0, limit: work.limit / 10, ..*work };
    pattern.show_again(&mut left);
    work.pivots += left.pivots;
    pattern
}

impl<'a> Pattern<'a> {
    /// Unsafe items that would be told in full are hidden.
    fn primary(part: &'a Part) -> Self {
        let hides = |item: &PartItem| item.need.is_some() && item.tells_value && !item.is_public;
        Self {
            part,
            hidden: part.items.iter().map(|i| hides(i).then_some(Hidden::Primary)).collect(),
            witness: (0..part.items.len())
                .filter(|&i| part.items[i].need.is_some())
                .map(|i| (i, nowhere(part)))
                .collect(),
        }
    }

    pub(crate) fn is_hidden(&self) -> Vec<bool> {
        self.hidden.iter().map(Option::is_some).collect()
    }

    /// Whether the witnesses keep the item from being known too closely.
    pub(crate) fn holds(&self, target: usize) -> bool {
        let Some(need) = self.part.items[target].need else { return true };
        suffices(self.part.items[target].value, need, &self.witness[&target])
    }

    /// Searches witnesses that keep the target from being known too closely, and lends each to the other unsafe items.
    fn search(&mut self, view: &View<'_>, target: usize, thorough: bool, work: &mut Work) {
        let item = &self.part.items[target];
        let Some(need) = item.need else { return };
        let up = need.reach - item.value;
        for sign in [1, -1] {
            let least = if sign > 0 { up } else { need.width - self.witness[&target][1].distance };
            let reach = if sign > 0 { up.max(need.width) } else { need.width };
            let found = view.extreme(Aim { of: &item.of, sign, reach, least, thorough }, work);
            self.lend(&found.change);
            if self.holds(target) {
                return;
            }
        }
    }

    fn lend(&mut self, change: &[i64]) {
        for (&other, extremes) in &mut self.witness {
            let moved = dot(&self.part.items[other].of, change) as i64;
            for (extreme, distance) in extremes.iter_mut().zip([-moved, moved]) {
                if distance > extreme.distance {
                    *extreme = Extreme { distance, change: change.to_vec() };
                }
            }
        }
    }

    fn secure(&mut self, target: usize, work: &mut Work) {
        let item = &self.part.items[target];
        let Some(need) = item.need else { return };
        while !self.holds(target) {
            self.search(&View::new(self.part, &self.is_hidden()), target, false, work);
            if self.holds(target) {
                return;
            }
            if work.is_over() {
                return self.star(target, need, Hidden::Limit(target), work);
            }
            // Where companions are enough for tables of fractions but none of integers is found, intervals are hidden too.
            if self.hide_companions(target, need, true, work) {
                continue;
            }
            self.search(&View::new(self.part, &self.is_hidden()), target, true, work);
            if !self.holds(target) && !self.hide_companions(target, need, false, work) {
                return self.star(target, need, Hidden::Companion(target), work);
            }
        }
    }

    /// Hides the cheapest companions that bring the target nearer to its need; whether they do.
    fn hide_companions(
        &mut self,
        target: usize,
        need: Need,
        keeps_intervals: bool,
        work: &mut Work,
    ) -> bool {
        let [below, above] = self.witness[&target].each_ref().map(|extreme| extreme.distance);
        let up = need.reach - self.part.items[target].value;
        let distances =
            if above < up { vec![up] } else { vec![need.width - below, above - need.width] };
        let tried = distances
            .into_iter()
            .filter_map(|distance| self.cheapest(target, distance, keeps_intervals, work));
        let Some(choice) = tried.min_by_key(|choice| (choice.cost, choice.items.clone())) else {
            return false;
        };
        choice.items.iter().for_each(|&i| self.hidden[i] = Some(Hidden::Companion(target)));
        self.lend_if_whole(&choice.values);
        let now = self.witness[&target].each_ref().map(|extreme| extreme.distance);
        !choice.items.is_empty() || now != [below, above]
    }

    /// Lends the table that was found with the companions, if it is one of integers.
    fn lend_if_whole(&mut self, values: &[f64]) {
        let change: Vec<i64> = values.iter().map(|d| d.round() as i64).collect();
        if View::new(self.part, &self.is_hidden()).admits(&change) {
            self.lend(&change);
        }
    }

    /// The cheapest items to hide so that the target can move by `distance` (up if positive, else down), by a linear program: of the
    /// tables that move so far, the one for which shown items pay least, each its weight for each person by which it changes. Items
    /// that do not agree with this table are the companions. `None` if no table moves so far.
    ///
    /// Intervals pay too where `keeps_intervals`; else they are left out, and hidden where they do not agree.
    fn cheapest(
        &self,
        target: usize,
        distance: i64,
        keeps_intervals: bool,
        work: &mut Work,
    ) -> Option<Choice> {
        let part = self.part;
        let shown: Vec<usize> =
            (0..part.items.len()).filter(|&i| self.hidden[i].is_none()).collect();
        // A combination that several items tell, such as a count and its rate, is one row, for which all of them pay.
        let mut told: BTreeMap<Teller<'_>, Told> = BTreeMap::new();
        for item in shown.iter().map(|&i| &part.items[i]) {
            for row in &item.rows {
                let known = told.entry((&row.of, item.is_public)).or_insert_with(|| Told {
                    row: Row { of: row.of.clone(), low: None, high: None },
                    price: (!item.is_public).then_some(0),
                });
                known.row.tighten(row);
                known.price = known.price.map(|price| price + item.weight);
            }
        }
        let is_active = |told: &Told| told.row.is_equation() || told.price.is_none();
        let (mut active, mut intervals): (Vec<Told>, Vec<Told>) =
            told.into_values().partition(is_active);
        loop {
            let values = self.deviations(target, distance, &active, work)?;
            let (broken, kept): (Vec<Told>, Vec<Told>) =
                intervals.into_iter().partition(|told| is_broken(&told.row, &values));
            if broken.is_empty() || !keeps_intervals || work.is_over() {
                let differs = |&i: &usize| {
                    let item = &part.items[i];
                    !item.is_public && item.rows.iter().any(|row| is_broken(row, &values))
                };
                let items: Vec<usize> = shown.into_iter().filter(differs).collect();
                let cost = items.iter().map(|&i| part.items[i].weight).sum();
                return Some(Choice { items, cost, values });
            }
            intervals = kept;
            active.extend(broken);
        }
    }

    /// The table that moves the target by `distance` at the least payment, as a real change of every column.
    fn deviations(
        &self,
        target: usize,
        distance: i64,
        told: &[Told],
        work: &mut Work,
    ) -> Option<Vec<f64>> {
        let mut problem = Problem::new(OptimizationDirection::Minimize);
        // A change is a rise less a fall, so that the solver begins at the true table.
        let columns: Vec<[Variable; 2]> = self
            .part
            .table
            .iter()
            .map(|&x| {
                let rise = problem.add_var(MOVE, (0.0, f64::INFINITY));
                [rise, problem.add_var(MOVE, (0.0, x as f64))]
            })
            .collect();
        let change = |of: &[(usize, i64)], scale: f64| -> Vec<(Variable, f64)> {
            let both = |&(c, a): &(usize, i64)| {
                let a = a as f64 / scale;
                [(columns[c][0], a), (columns[c][1], -a)]
            };
            of.iter().flat_map(both).collect()
        };
        let goal = change(&self.part.items[target].of, distance.signum() as f64);
        problem.add_constraint(goal, ComparisonOp::Ge, distance.abs() as f64);
        for Told { row, price } in told {
            let scale = row.scale();
            let mut side = |signs: &[f64], comparison, bound: i64| {
                let mut terms = change(&row.of, scale);
                if let Some(price) = price {
                    for sign in signs {
                        let slack = problem.add_var(*price as f64, (0.0, f64::INFINITY));
                        terms.push((slack, *sign));
                    }
                }
                problem.add_constraint(terms, comparison, bound as f64 / scale);
            };
            if row.is_equation() {
                side(&[1.0, -1.0], ComparisonOp::Eq, 0);
                continue;
            }
            row.low.into_iter().for_each(|low| side(&[1.0], ComparisonOp::Ge, low));
            row.high.into_iter().for_each(|high| side(&[-1.0], ComparisonOp::Le, high));
        }
        let solution = work.solve(&problem)?;
        let values =
            |[rise, fall]: &[Variable; 2]| solution.var_value(*rise) - solution.var_value(*fall);
        Some(columns.iter().map(values).collect())
    }

    /// Where no program helps: all that rests on one cell of the target is hidden, so that this cell may be anything above its true
    /// count. The cell is the one that costs least.
    fn star(&mut self, target: usize, need: Need, why: Hidden, work: &Work) {
        let part = self.part;
        let touches =
            |item: &PartItem, c: usize| item.rows.iter().any(|row| row.of.iter().any(|t| t.0 == c));
        let of = part.items[target].of.iter().filter(|(_, a)| *a > 0);
        let cost = |c: usize| {
            let all = part.items.iter().enumerate().filter(|(_, item)| touches(item, c));
            all.fold((0u64, 0u64), |(public, paid), (i, item)| match self.hidden[i] {
                Some(_) => (public, paid),
                None if item.is_public => (public + 1, paid),
                None => (public, paid + item.weight),
            })
        };
        let Some(&(cell, a)) = of.min_by_key(|(c, _)| (cost(*c), *c)) else { return };
        for (i, item) in part.items.iter().enumerate() {
            if touches(item, cell) && !item.is_public && self.hidden[i].is_none() {
                self.hidden[i] = Some(why);
            }
        }
        let mut change = vec![0; part.table.len()];
        let distance = need.width.max(need.reach - part.items[target].value);
        change[cell] = (distance + a - 1) / a;
        if View::new(part, &self.is_hidden()).admits(&change) {
            return self.lend(&change);
        }
        // What is public stands in the way: nothing else of the part is shown, which is all that can be done.
        for (item, hidden) in part.items.iter().zip(&mut self.hidden) {
            if !item.is_public && hidden.is_none() {
                *hidden = Some(why);
            }
        }
        let mut last = Work { pivots: 0, limit: u64::MAX, ..*work };
        self.search(&View::new(part, &self.is_hidden()), target, true, &mut last);
    }

    /// Shows again what need not be hidden, the dearest first.
    fn show_again(&mut self, work: &mut Work) {
        let mut companions: Vec<usize> = (0..self.hidden.len())
            .filter(|&i| matches!(self.hidden[i], Some(Hidden::Companion(_) | Hidden::Limit(_))))
            .collect();
        companions.sort_by_key(|&i| (std::cmp::Reverse(self.part.items[i].weight), i));
        // Integers are searched for on behalf of what is dearer than others.
        let average = self.part.items.iter().map(|item| item.weight).sum::<u64>()
            / (self.part.items.len() as u64).max(1);
        let held: Vec<usize> =
            self.witness.keys().copied().filter(|&target| self.holds(target)).collect();
        for i in companions {
            if work.is_over() {
                return;
            }
            // First the item for which it is hidden: if any fails, this does.
            let own = match self.hidden[i] {
                Some(Hidden::Companion(of) | Hidden::Limit(of)) => Some(of),
                Some(Hidden::Primary) | None => None,
            };
            let order = own.into_iter().chain(held.iter().copied()).filter(|t| held.contains(t));
            let order: Vec<usize> = order.collect();
            let before = (self.hidden[i].take(), self.witness.clone());
            let rows = &self.part.items[i].rows;
            for extreme in self.witness.values_mut().flatten() {
                if !rows.iter().all(|row| row.admits(&extreme.change)) {
                    *extreme = Extreme::none(self.part);
                }
            }
            let thorough = self.part.items[i].weight > average;
            let view = View::new(self.part, &self.is_hidden());
            let still = order.into_iter().all(|target| {
                if !self.holds(target) {
                    self.search(&view, target, thorough, work);
                }
                self.holds(target)
            });
            if !still {
                (self.hidden[i], self.witness) = before;
            }
        }
    }

    /// The extremes of all hidden and of all unsafe items.
    pub(crate) fn extremes(mut self, work: &mut Work) -> BTreeMap<usize, [Extreme; 2]> {
        let view = View::new(self.part, &self.is_hidden());
        let hidden = (0..self.hidden.len()).filter(|i| self.hidden[*i].is_some());
        for i in hidden {
            self.witness.entry(i).or_insert_with(|| nowhere(self.part));
        }
        let known: Vec<Extreme> = self.witness.values().flatten().cloned().collect();
        known.iter().for_each(|found| self.lend(&found.change));
        // A count and its rate are one combination.
        let mut done: BTreeSet<&[(usize, i64)]> = BTreeSet::new();
        let items: Vec<usize> = self.witness.keys().copied().collect();
        for i in items {
            let item = &self.part.items[i];
            if !done.insert(&item.of) {
                continue;
            }
            for (side, sign) in [(0, -1), (1, 1)] {
                let least = self.witness[&i][side].distance + 1;
                // The ends of a companion are told, but nothing depends on them.
                let thorough = item.need.is_some();
                let aim = Aim { of: &item.of, sign, reach: reach(item), least, thorough };
                let found = view.extreme(aim, work);
                self.lend(&found.change);
            }
        }
        self.witness
    }
}

/// A combination of cells, and whether it is told by what is public.
type Teller<'a> = (&'a [(usize, i64)], bool);

/// What shown items tell of one combination of cells: the tightest bounds, and the weight of all who tell them; without a price where
/// they are public.
#[derive(Debug)]
struct Told {
    row: Row,
    price: Option<u64>,
}

/// Items to hide, and the table that this makes possible, as a real change of every column.
#[derive(Debug)]
struct Choice {
    items: Vec<usize>,
    cost: u64,
    values: Vec<f64>,
}

/// Price of moving one person between cells that nobody sees: small, so that tables change no more than they must.
const MOVE: f64 = 1e-4;

fn nowhere(part: &Part) -> [Extreme; 2] {
    [Extreme::none(part), Extreme::none(part)]
}

/// Whether tables so far apart keep the value from being known too closely.
pub(crate) fn suffices(value: i64, need: Need, [below, above]: &[Extreme; 2]) -> bool {
    below.distance + above.distance >= need.width && value + above.distance >= need.reach
}

/// Distance beyond which no bound is looked for.
pub(crate) fn reach(item: &PartItem) -> i64 {
    10 * item.value.abs() + 1000
}
