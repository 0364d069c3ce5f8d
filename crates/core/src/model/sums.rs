//! The statistic of most models: named arrays of counts, person-time and sums that add up over the sites.

use super::{EventCounts, Statistic};
use crate::{
    cohort::Survival,
    estimate::{Estimate, Notice, Status},
    summary::{Array, Axis, Draft, Kind, LayoutError, Rule, Summary, Support},
};

/// Arrays by name, with the number of persons behind them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sums {
    persons: u64,
    arrays: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    name: String,
    axes: Vec<Axis>,
    kind: Kind,
    shown: bool,
    cells: Vec<f64>,
}

impl Sums {
    /// No arrays yet; what will be added rests on the rows of `survival`, whose left-out rows are counted.
    pub fn of(survival: &Survival) -> Self {
        Self::of_persons(survival, survival.rows.len())
    }

    /// The same where several rows are of one person: the gate counts persons.
    pub fn of_persons(survival: &Survival, persons: usize) -> Self {
        let left_out = [survival.missing as f64, survival.never_at_risk as f64];
        Self::new(persons).counts("persons", Vec::new(), vec![persons as f64]).shown(
            "left_out",
            vec![Axis::new("reason", ["missing", "never at risk"])],
            &left_out,
        )
    }

    /// No arrays yet; what will be added rests on `persons` rows.
    pub fn new(persons: usize) -> Self {
        Self { persons: persons as u64, arrays: Vec::new() }
    }

    fn with(mut self, name: &str, axes: Vec<Axis>, kind: Kind, cells: Vec<f64>) -> Self {
        self.arrays.push(Entry { name: name.to_owned(), axes, kind, shown: false, cells });
        self
    }

    /// Adds whole counts of persons or events.
    #[must_use]
    pub fn counts(self, name: &str, axes: Vec<Axis>, cells: Vec<f64>) -> Self {
        self.with(name, axes, Kind::Count, cells)
    }

    /// Adds whole counts whose pooled cells are printed as they are.
    #[must_use]
    pub fn shown(mut self, name: &str, axes: Vec<Axis>, cells: &[f64]) -> Self {
        self = self.with(name, axes, Kind::Count, cells.to_vec());
        if let Some(entry) = self.arrays.last_mut() {
            entry.shown = true;
        }
        self
    }

    /// Adds person-time.
    #[must_use]
    pub fn person_time(self, name: &str, axes: Vec<Axis>, cells: Vec<f64>) -> Self {
        self.with(name, axes, Kind::PersonTime, cells)
    }

    /// Adds sums of any quantity.
    #[must_use]
    pub fn sums(self, name: &str, axes: Vec<Axis>, cells: Vec<f64>) -> Self {
        self.with(name, axes, Kind::Sum, cells)
    }

    /// Adds an event table.
    #[must_use]
    pub fn event_counts(self, counts: &EventCounts) -> Self {
        let table = &counts.table;
        let group = || Axis::new("group", counts.groups.iter().cloned());
        let by_cell = || vec![group(), Axis::numbered("cell", table.cells)];
        self.counts("events", by_cell(), table.events.clone())
            .counts("censored", by_cell(), table.censored.clone())
            .counts("entries", by_cell(), table.entries.clone())
            .counts("initial", vec![group()], table.initial.clone())
            .counts("beyond", vec![group()], table.beyond.clone())
    }

    fn entry(&self, name: &str) -> Result<&Entry, LayoutError> {
        let missing = || LayoutError::Missing { array: name.to_owned() };
        self.arrays.iter().find(|entry| entry.name == name).ok_or_else(missing)
    }

    /// Whether there is an array of this name.
    pub fn has(&self, name: &str) -> bool {
        self.entry(name).is_ok()
    }

    /// Cells of an array.
    pub fn get(&self, name: &str) -> Result<&[f64], LayoutError> {
        Ok(&self.entry(name)?.cells)
    }

    /// Axes of an array.
    pub fn axes(&self, name: &str) -> Result<&[Axis], LayoutError> {
        Ok(&self.entry(name)?.axes)
    }

    /// The cell of an array that has one.
    pub fn one(&self, name: &str) -> Result<f64, LayoutError> {
        Ok(self.entry(name)?.cells.first().copied().unwrap_or(0.0))
    }

    /// Reads an event table back.
    pub fn read_event_counts(&self) -> Result<EventCounts, LayoutError> {
        let initial = self.entry("initial")?;
        let groups = initial.axes.first().map_or_else(Vec::new, Axis::levels);
        let events = self.entry("events")?;
        let table = tributary_stats::event_table::EventTable {
            groups: groups.len(),
            cells: events.axes.get(1).map_or(0, |axis| axis.len()),
            entries: self.get("entries")?.to_vec(),
            events: events.cells.clone(),
            censored: self.get("censored")?.to_vec(),
            initial: initial.cells.clone(),
            beyond: self.get("beyond")?.to_vec(),
        };
        Ok(EventCounts { groups, table })
    }

    /// Says how many rows were left out, and why; nothing where the study's rules hide the numbers.
    pub fn left_out_notices(&self, estimate: &mut Estimate) {
        let Ok(left_out) = self.get("left_out") else { return };
        for (key, n) in ["rows-missing", "rows-never-at-risk"].into_iter().zip(left_out) {
            if *n > 0.0 {
                let values = [("n", n.to_string())];
                estimate.notices.push(Notice::new(Status::Ok, key, &values));
            }
        }
    }
}

impl<Q> Statistic<Q> for Sums {
    fn into_draft(self) -> Result<Draft, LayoutError> {
        let mut draft = Draft::new(self.persons);
        for entry in self.arrays {
            let array = Array::new(&entry.name, entry.axes, entry.kind, Rule::Add, entry.cells)?;
            draft = if entry.shown {
                draft.with(array.shown(), Support::OwnCounts)
            } else {
                draft.with(array, Support::Whole(self.persons))
            };
        }
        Ok(draft)
    }

    fn from_summary(_: &Q, summary: &Summary) -> Result<Self, LayoutError> {
        let mut sums = Self::default();
        for array in summary.arrays() {
            // Only arrays that are printed as they are can have hidden cells; those are read as "not a number".
            let cells = if array.is_shown() {
                array.cells().iter().map(|cell| cell.unwrap_or(f64::NAN)).collect()
            } else {
                array.numbers()?
            };
            sums.arrays.push(Entry {
                name: array.name().to_owned(),
                axes: array.axes().to_vec(),
                kind: array.kind(),
                shown: array.is_shown(),
                cells,
            });
        }
        sums.persons = sums.one("persons").unwrap_or(0.0) as u64;
        Ok(sums)
    }
}
