//! What is shown, what is hidden, and the certificate of each hidden item.

use crate::{
    attack::{Aim, Extreme, View, Work},
    companions::{self, Hidden, reach, suffices},
    elimination::Span,
    system::{ItemId, System, parts},
};

/// How a system is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Whether 0 may be shown. A 0 can be a companion all the same, so that a hidden cell may always be empty.
    pub zero_is_safe: bool,
    /// Pivots of the simplex method for each set of items that share cells; a pivot takes some 20 µs. Beyond it no search is made and
    /// more is hidden. A tenth as many are allowed for showing again what need not be hidden.
    pub pivots: u64,
    /// Nodes of one search for an integer table.
    pub nodes: u64,
}

impl Default for Rules {
    fn default() -> Self {
        Self { zero_is_safe: true, pivots: 200_000, nodes: 50 }
    }
}

/// Why an item is hidden, or must not be known though it is printed nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Its count is under the floor (primary suppression).
    Floor,
    /// It is unsafe for the share of one contributor (primary suppression).
    Dominance,
    /// It would give away the item named (secondary suppression).
    Companion(ItemId),
    /// It might give away the item named; the limit of work left no time to find a cheaper companion.
    Limit(ItemId),
}

/// What the best attacker finds of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Smallest value of a table found that agrees with everything shown.
    pub low: i64,
    /// Largest such value; `None` where none was met up to 1,000 beyond eleven times the value.
    pub high: Option<i64>,
}

/// A hidden item, or an unsafe one that is printed nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Certificate {
    /// The item.
    pub item: ItemId,
    /// Why it is hidden.
    pub why: Why,
    /// Both ends belong to tables of non-negative integers that agree with everything shown, so that no attacker can exclude them. Of
    /// a companion they may lie inside what he is left with, since integers are not searched for on its behalf.
    pub bounds: Bounds,
    /// Whether the bounds are wide enough for the item's floor. It is false only where numbers that are public already give it away.
    pub holds: bool,
}

/// Outcome of [`protect`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Protection {
    is_shown: Vec<bool>,
    certificates: Vec<Certificate>,
    pivots: u64,
}

impl Protection {
    /// Whether the item is shown. An item that is printed nowhere is not.
    pub fn shows(&self, item: ItemId) -> bool {
        self.is_shown[item.0]
    }

    /// Certificates of all hidden items, and of unsafe items that are printed nowhere or told as an interval, in the order of items.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// Unsafe items that cannot be protected, because earlier editions give them away.
    pub fn breaches(&self) -> impl Iterator<Item = &Certificate> {
        self.certificates.iter().filter(|c| !c.holds)
    }

    /// Pivots of the simplex method that it took.
    pub fn pivots(&self) -> u64 {
        self.pivots
    }

    /// Weight of all that is hidden.
    pub fn loss(&self, system: &System) -> u64 {
        let hidden = system.items.iter().zip(&self.is_shown);
        hidden.filter(|(item, shown)| item.is_printed() && !**shown).map(|(i, _)| i.weight).sum()
    }
}

/// Decides which items are shown.
pub fn protect(system: &System, rules: &Rules) -> Protection {
    let mut is_shown: Vec<bool> = system.items.iter().map(|item| item.is_printed()).collect();
    let mut certificates = Vec::new();
    let mut pivots = 0;
    for part in parts(system, rules.zero_is_safe) {
        let mut work =
            Work { pivots: 0, limit: rules.pivots, nodes: rules.nodes, to_the_end: false };
        let pattern = companions::protect(&part, &mut work);
        let hidden = pattern.hidden.clone();
        // What is hidden is decided: the certificate is not limited, except in each search for integers.
        let mut audit = Work { pivots: 0, limit: u64::MAX, nodes: 20, to_the_end: true };
        let all_extremes = pattern.extremes(&mut audit);
        for (i, item) in part.items.iter().enumerate() {
            let id = ItemId(part.items[i].id);
            let is_unsafe = item.need.is_some();
            let why = match hidden[i] {
                _ if is_unsafe && item.is_dominated => Why::Dominance,
                _ if is_unsafe => Why::Floor,
                Some(Hidden::Companion(of)) => Why::Companion(ItemId(part.items[of].id)),
                Some(Hidden::Limit(of)) => Why::Limit(ItemId(part.items[of].id)),
                Some(Hidden::Primary) | None => continue,
            };
            if hidden[i].is_some() {
                is_shown[id.0] = false;
            }
            let extremes = &all_extremes[&i];
            let holds = item.need.is_none_or(|need| suffices(item.value, need, extremes));
            let bounds = bounds(item.value, extremes, reach(item));
            certificates.push(Certificate { item: id, why, bounds, holds });
        }
        pivots += work.pivots + audit.pivots;
    }
    certificates.sort_by_key(|c| c.item);
    Protection { is_shown, certificates, pivots }
}

fn bounds(value: i64, [below, above]: &[Extreme; 2], reach: i64) -> Bounds {
    let high = (above.distance < reach).then(|| value + above.distance);
    Bounds { low: value - below.distance, high }
}

/// What the best attacker finds of each item where the items for which `is_shown` holds are shown, whoever chose them.
///
/// The ends are those of tables found; with the default of 200 nodes they are the true ones in all but contrived systems.
pub fn attack(system: &System, is_shown: impl Fn(ItemId) -> bool, rules: &Rules) -> Vec<Bounds> {
    let exact = |value: i64| Bounds { low: value, high: Some(value) };
    let mut found: Vec<Bounds> = system.values.iter().map(|v| exact(*v)).collect();
    for part in parts(system, rules.zero_is_safe) {
        let mut work = Work { pivots: 0, limit: u64::MAX, nodes: rules.nodes, to_the_end: true };
        let is_hidden: Vec<bool> = part.items.iter().map(|i| !is_shown(ItemId(i.id))).collect();
        let view = View::new(&part, &is_hidden);
        for item in &part.items {
            let aim =
                |sign| Aim { of: &item.of, sign, reach: reach(item), least: 0, thorough: true };
            let extremes = [-1, 1].map(|sign| view.extreme(aim(sign), &mut work));
            found[item.id] = bounds(item.value, &extremes, reach(item));
        }
    }
    found
}

/// Items whose value follows exactly from the items for which `is_shown` holds, by adding and subtracting alone.
///
/// Integer arithmetic; intervals and signs are not used, so that [`attack`] finds more.
pub fn determined(system: &System, is_shown: impl Fn(ItemId) -> bool) -> Vec<ItemId> {
    let mut span = Span::default();
    for id in system.ids().filter(|id| is_shown(*id)) {
        for fact in system.item(id).facts(system.value(id)) {
            if fact.low.is_some() && fact.low == fact.high {
                span.add(&fact.of);
            }
        }
    }
    system.ids().filter(|id| span.determines(&system.item(*id).of)).collect()
}
