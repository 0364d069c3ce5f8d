//! A statistic before the gate. Not serialisable: nothing here can be sent.

use super::{array::Array, contributors::Contributors};

/// Persons behind the cells of an array. Never leaves the site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Support {
    /// The cells are counts of persons themselves.
    OwnCounts,
    /// Persons behind each cell.
    PerCell(Vec<u64>),
    /// Persons behind the array as a whole.
    Whole(u64),
    /// About nobody in the registry: census person-years, labels of the specification.
    Public,
}

/// Arrays with the persons, events and parameters behind them.
#[derive(Debug, PartialEq)]
pub struct Draft {
    pub(super) arrays: Vec<(Array, Support)>,
    pub(super) persons: u64,
    pub(super) fitted: Option<Fitted>,
}

/// Size of a model that was fitted at the site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fitted {
    pub(super) parameters: u64,
    pub(super) events: u64,
}

impl Draft {
    /// An empty draft that rests on `persons` rows of the site.
    pub fn new(persons: u64) -> Self {
        Self { arrays: Vec::new(), persons, fitted: None }
    }

    /// Adds an array.
    #[must_use]
    pub fn with(mut self, array: Array, support: Support) -> Self {
        self.arrays.push((array, support));
        self
    }

    /// Holds it against persons where records were counted: of each number of records, the fewest persons they can belong to.
    #[must_use]
    pub fn of_contributors(mut self, contributors: &Contributors) -> Self {
        self.persons = contributors.at_least(self.persons);
        for (array, support) in &mut self.arrays {
            match support {
                Support::OwnCounts => {
                    let records = array.cells().iter().map(|c| c.unwrap_or(0.0) as u64);
                    *support =
                        Support::PerCell(records.map(|n| contributors.at_least(n)).collect());
                }
                Support::PerCell(cells) => {
                    cells.iter_mut().for_each(|n| *n = contributors.at_least(*n));
                }
                Support::Whole(n) => *n = contributors.at_least(*n),
                Support::Public => {}
            }
        }
        self
    }

    /// Says that estimates rest on a fit of `parameters` to `events` at the site.
    #[must_use]
    pub fn fitted(mut self, parameters: u64, events: u64) -> Self {
        self.fitted = Some(Fitted { parameters, events });
        self
    }

    /// Arrays, for a preview at the site.
    pub fn arrays(&self) -> impl Iterator<Item = &Array> {
        self.arrays.iter().map(|(array, _)| array)
    }

    pub(super) fn into_arrays(self) -> Vec<Array> {
        self.arrays.into_iter().map(|(array, _)| array).collect()
    }
}
