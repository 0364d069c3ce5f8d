//! The linked tables: finest cells, and every number of them that somebody may see.

use std::collections::{BTreeMap, BTreeSet};

use crate::fact::{Fact, dot, normal};

/// An item of a [`System`], in the order in which items were added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemId(pub(crate) usize);

impl ItemId {
    /// Position among the items of the system, from 0.
    pub fn index(self) -> usize {
        self.0
    }
}

/// A count that somebody may see or infer: a sum or difference of finest cells, and what its print tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub(crate) name: String,
    pub(crate) of: Vec<(usize, i64)>,
    pub(crate) tells: Told,
    pub(crate) weight: u64,
    pub(crate) is_public: bool,
    pub(crate) floor: u64,
    pub(crate) dominated: Option<u64>,
}

/// What a reader learns where the item is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// Its value.
    Value,
    /// These facts, which may concern other combinations of cells.
    Facts(Vec<Fact>),
}

impl Item {
    /// A printed count: the sum of `cells`. It weighs 1, has no floor and is not public.
    ///
    /// `name` must be unique within its system; it decides among choices of equal cost.
    pub fn count(name: impl Into<String>, cells: impl IntoIterator<Item = usize>) -> Self {
        Self::combination(name, cells.into_iter().map(|cell| (cell, 1)))
    }

    /// A printed count that is a combination of cells, such as the difference of two totals. A cell named twice counts twice.
    pub fn combination(
        name: impl Into<String>,
        terms: impl IntoIterator<Item = (usize, i64)>,
    ) -> Self {
        Self {
            name: name.into(),
            of: normal(terms),
            tells: Told::Value,
            weight: 1,
            is_public: false,
            floor: 0,
            dominated: None,
        }
    }

    /// The number is not printed as it is: its place tells `facts` instead (a rounded rate, a ratio, a standard error).
    #[must_use]
    pub fn telling(self, facts: impl IntoIterator<Item = Fact>) -> Self {
        Self { tells: Told::Facts(facts.into_iter().collect()), ..self }
    }

    /// The count stands nowhere, but must not be inferred: a complement (2 of 60), a cell of a cross that no table prints.
    #[must_use]
    pub fn unprinted(self) -> Self {
        self.telling([])
    }

    /// What a reader loses where it is hidden, in any unit: large for totals, small for detail.
    #[must_use]
    pub fn weight(self, weight: u64) -> Self {
        Self { weight, ..self }
    }

    /// It stands in an earlier edition and cannot be hidden any more.
    #[must_use]
    pub fn public(self) -> Self {
        Self { is_public: true, ..self }
    }

    /// Values of 1 to `floor` − 1 are unsafe.
    #[must_use]
    pub fn floor(self, floor: u64) -> Self {
        Self { floor, ..self }
    }

    /// Unsafe whatever its value is, as when one site holds too large a share of it: nobody may bound it closer than `width`.
    #[must_use]
    pub fn dominated(self, width: u64) -> Self {
        Self { dominated: Some(width), ..self }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The facts that it tells where it is shown.
    pub(crate) fn facts(&self, value: i64) -> Vec<Fact> {
        match &self.tells {
            Told::Value => vec![Fact::new(self.of.iter().copied(), Some(value), Some(value))],
            Told::Facts(facts) => facts.clone(),
        }
    }

    /// Whether it is printed at all.
    pub(crate) fn is_printed(&self) -> bool {
        match &self.tells {
            Told::Value => true,
            Told::Facts(facts) => !facts.is_empty(),
        }
    }
}

/// Why an item does not fit into a system.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SystemError {
    /// A name twice.
    #[error("two items are called `{0}`; names must be unique")]
    Name(String),
    /// A cell that does not exist.
    #[error("`{item}` names cell {cell}, but there are {cells} cells, numbered from 0")]
    Cell {
        /// Item.
        item: String,
        /// Cell that it names.
        cell: usize,
        /// Cells of the system.
        cells: usize,
    },
    /// A fact that the cells contradict.
    #[error("`{0}` tells something that is not true of the cells; check its rounding")]
    Untrue(String),
    /// A sum beyond 62 bits.
    #[error("`{0}` is too large a number: values and coefficients must stay below 2⁶²")]
    TooLarge(String),
}

/// Finest cells with their true counts, and the items that rest on them.
///
/// Cells count persons or events and are never negative. Where the finest cells are not known, any table that agrees with
/// everything known will do: what an attacker can infer depends on the items' values alone, as long as items whose value is not
/// known have no floor.
///
/// A cell that everybody knows to be empty (a cancer of the testis among women) is left out.
#[derive(Debug, Clone, Default)]
pub struct System {
    pub(crate) cells: Vec<i64>,
    pub(crate) items: Vec<Item>,
    pub(crate) values: Vec<i64>,
    names: BTreeSet<String>,
}

impl System {
    /// A system of the finest cells with the given counts.
    ///
    /// # Panics
    /// If a count is 2⁶² or more.
    pub fn new(cells: impl IntoIterator<Item = u64>) -> Self {
        let signed = |count: u64| {
            assert!(count < 1 << 62, "a count of 2⁶² or more");
            count as i64
        };
        Self { cells: cells.into_iter().map(signed).collect(), ..Self::default() }
    }

    /// Adds what somebody may see.
    ///
    /// # Errors
    /// If the name is taken, a cell does not exist, or a fact contradicts the cells.
    pub fn add(&mut self, item: Item) -> Result<ItemId, SystemError> {
        let no_such = |cell: usize| SystemError::Cell {
            item: item.name.clone(),
            cell,
            cells: self.cells.len(),
        };
        let facts: &[Fact] = match &item.tells {
            Told::Value => &[],
            Told::Facts(facts) => facts,
        };
        for of in facts.iter().map(|f| &f.of).chain([&item.of]) {
            if let Some((cell, _)) = of.iter().find(|(cell, _)| *cell >= self.cells.len()) {
                return Err(no_such(*cell));
            }
        }
        let too_large = || SystemError::TooLarge(item.name.clone());
        let within = |of: &[(usize, i64)]| {
            let value = dot(of, &self.cells);
            (value.abs() < 1 << 62).then_some(value as i64).ok_or_else(too_large)
        };
        let value = within(&item.of)?;
        for fact in facts {
            let found = within(&fact.of)?;
            if fact.low.is_some_and(|low| found < low) || fact.high.is_some_and(|high| found > high)
            {
                return Err(SystemError::Untrue(item.name));
            }
        }
        if !self.names.insert(item.name.clone()) {
            return Err(SystemError::Name(item.name));
        }
        self.items.push(item);
        self.values.push(value);
        Ok(ItemId(self.items.len() - 1))
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether nothing rests on the cells.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// The item.
    pub fn item(&self, id: ItemId) -> &Item {
        &self.items[id.0]
    }

    /// True value of the item.
    pub fn value(&self, id: ItemId) -> i64 {
        self.values[id.0]
    }

    /// The item with this name.
    pub fn find(&self, name: &str) -> Option<ItemId> {
        self.items.iter().position(|item| item.name == name).map(ItemId)
    }

    /// All items.
    pub fn ids(&self) -> impl Iterator<Item = ItemId> + use<> {
        (0..self.items.len()).map(ItemId)
    }
}

/// How closely nobody may know an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Need {
    /// Least width of what an attacker finds.
    pub(crate) width: i64,
    /// Least upper end of it.
    pub(crate) reach: i64,
}

/// An item within its part.
#[derive(Debug, Clone)]
pub(crate) struct PartItem {
    pub(crate) id: usize,
    pub(crate) of: Vec<(usize, i64)>,
    pub(crate) value: i64,
    /// What it tells, as bounds on changes of the table.
    pub(crate) rows: Vec<Row>,
    pub(crate) weight: u64,
    pub(crate) is_public: bool,
    /// Told in full, so that it is hidden where it is unsafe.
    pub(crate) tells_value: bool,
    pub(crate) need: Option<Need>,
    pub(crate) is_dominated: bool,
}

/// A fact about a change d of the true table: low ≤ Σ a d ≤ high, where low ≤ 0 ≤ high.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Row {
    pub(crate) of: Vec<(usize, i64)>,
    pub(crate) low: Option<i64>,
    pub(crate) high: Option<i64>,
}

impl Row {
    pub(crate) fn is_equation(&self) -> bool {
        self.low == Some(0) && self.high == Some(0)
    }

    /// Takes over the bounds of another row of the same combination where they are tighter.
    pub(crate) fn tighten(&mut self, other: &Self) {
        self.low = self.low.max(other.low);
        self.high = match (self.high, other.high) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
    }

    /// Its largest coefficient: solvers want coefficients near 1.
    pub(crate) fn scale(&self) -> f64 {
        self.of.iter().map(|t| t.1.abs()).max().unwrap_or(1) as f64
    }

    /// Whether the change of the table agrees with the fact.
    pub(crate) fn admits(&self, change: &[i64]) -> bool {
        let sum = dot(&self.of, change);
        self.low.is_none_or(|low| sum >= i128::from(low))
            && self.high.is_none_or(|high| sum <= i128::from(high))
    }
}

/// Items that share no cell with those of other parts. Cells that no item tells apart are one column.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    /// True counts.
    pub(crate) table: Vec<i64>,
    /// By name.
    pub(crate) items: Vec<PartItem>,
}

/// Parts of the system, by the first name in each; `zero_is_safe` says whether a value of 0 has no need of protection.
pub(crate) fn parts(system: &System, zero_is_safe: bool) -> Vec<Part> {
    let mut order: Vec<usize> = (0..system.items.len()).collect();
    order.sort_by(|&a, &b| system.items[a].name.cmp(&system.items[b].name));
    let facts: Vec<Vec<Fact>> =
        system.items.iter().zip(&system.values).map(|(item, value)| item.facts(*value)).collect();
    // What each cell does in each item and each fact: cells that do the same everywhere are one column.
    let mut roles: Vec<Vec<(usize, usize, i64)>> = vec![Vec::new(); system.cells.len()];
    for (rank, &i) in order.iter().enumerate() {
        let all = [&system.items[i].of].into_iter().chain(facts[i].iter().map(|f| &f.of));
        for (k, of) in all.enumerate() {
            for &(cell, a) in of {
                roles[cell].push((rank, k, a));
            }
        }
    }
    let mut column_of = vec![usize::MAX; system.cells.len()];
    let mut counts: Vec<i64> = Vec::new();
    let mut known: BTreeMap<&[(usize, usize, i64)], usize> = BTreeMap::new();
    for (cell, role) in roles.iter().enumerate().filter(|(_, role)| !role.is_empty()) {
        let column = *known.entry(role).or_insert_with(|| {
            counts.push(0);
            counts.len() - 1
        });
        column_of[cell] = column;
        counts[column] += system.cells[cell];
    }
    let in_columns = |of: &[(usize, i64)]| -> Vec<(usize, i64)> {
        let columns: BTreeMap<usize, i64> =
            of.iter().map(|&(cell, a)| (column_of[cell], a)).collect();
        columns.into_iter().collect()
    };
    let mut joined = Joined::new(counts.len());
    for (i, item) in system.items.iter().enumerate() {
        let cells = facts[i].iter().flat_map(|f| &f.of).chain(&item.of).map(|t| column_of[t.0]);
        joined.join(cells);
    }
    let mut found: Vec<Part> = Vec::new();
    let mut part_of: BTreeMap<usize, usize> = BTreeMap::new();
    let mut place: Vec<usize> = vec![0; counts.len()];
    let mut columns: Vec<Vec<usize>> = Vec::new();
    for &i in &order {
        let item = &system.items[i];
        let mut cells = facts[i].iter().flat_map(|f| &f.of).chain(&item.of);
        let Some(&(cell, _)) = cells.next() else { continue };
        let root = joined.root(column_of[cell]);
        let part = *part_of.entry(root).or_insert_with(|| {
            let own: Vec<usize> = (0..counts.len()).filter(|&c| joined.root(c) == root).collect();
            own.iter().enumerate().for_each(|(at, &c)| place[c] = at);
            let table = own.iter().map(|&c| counts[c]).collect();
            columns.push(own);
            found.push(Part { table, items: Vec::new() });
            found.len() - 1
        });
        let local = |of: &[(usize, i64)]| -> Vec<(usize, i64)> {
            in_columns(of).into_iter().map(|(c, a)| (place[c], a)).collect()
        };
        let value = system.values[i];
        let rows = facts[i].iter().map(|fact| {
            let now = dot(&fact.of, &system.cells) as i64;
            let change = |bound: Option<i64>| bound.map(|b| b.saturating_sub(now));
            Row { of: local(&fact.of), low: change(fact.low), high: change(fact.high) }
        });
        found[part].items.push(PartItem {
            id: i,
            of: local(&item.of),
            value,
            rows: rows.collect(),
            weight: item.weight,
            is_public: item.is_public,
            tells_value: matches!(item.tells, Told::Value),
            need: need(item, value, zero_is_safe),
            is_dominated: item.dominated.is_some(),
        });
    }
    found
}

fn need(item: &Item, value: i64, zero_is_safe: bool) -> Option<Need> {
    let floor = item.floor as i64;
    let below = value < floor && (value > 0 || (value == 0 && !zero_is_safe));
    let by_floor = below.then_some(Need { width: floor, reach: floor });
    let by_share = item.dominated.map(|width| Need { width: width as i64, reach: value });
    match (by_floor, by_share) {
        (Some(a), Some(b)) => {
            Some(Need { width: a.width.max(b.width), reach: a.reach.max(b.reach) })
        }
        (a, b) => a.or(b),
    }
}

/// Sets of columns that hang together.
pub(crate) struct Joined(Vec<usize>);

impl Joined {
    pub(crate) fn new(n: usize) -> Self {
        Self((0..n).collect())
    }

    pub(crate) fn root(&self, mut i: usize) -> usize {
        while self.0[i] != i {
            i = self.0[i];
        }
        i
    }

    pub(crate) fn join(&mut self, all: impl IntoIterator<Item = usize>) {
        let mut first = None;
        for i in all {
            let here = self.root(i);
            let root = *first.get_or_insert(here);
            let (low, high) = (root.min(here), root.max(here));
            self.0[high] = low;
            first = Some(low);
        }
    }
}
