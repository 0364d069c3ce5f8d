//! The event table as a statistic: what the Kaplan–Meier and log-rank models and the Cox model's time transform share.

use tributary_stats::event_table::{EventTable, TimeGrid, at_risk};

use crate::summary::{Array, Axis, Draft, Kind, LayoutError, Rule, Summary, Support};

/// Event table of one site or of all, with the labels of its groups.
#[derive(Debug, Clone, PartialEq)]
pub struct EventCounts {
    /// Labels of the groups, in the order of the table.
    pub groups: Vec<String>,
    /// The counts.
    pub table: EventTable,
}

/// One group of the table, in the order of time.
#[derive(Debug)]
pub struct GroupCounts {
    /// Number at risk just before each cell.
    pub n_risk: Vec<f64>,
    /// Events in each cell.
    pub events: Vec<f64>,
    /// Censored in each cell.
    pub censored: Vec<f64>,
}

impl EventCounts {
    /// Adds the counts to a draft, as arrays over group and cell.
    pub fn add_to(&self, draft: Draft, persons: u64) -> Result<Draft, LayoutError> {
        let table = &self.table;
        let group = || Axis::new("group", self.groups.iter().cloned());
        let by_cell =
            [("events", &table.events), ("censored", &table.censored), ("entries", &table.entries)];
        let by_group = [("initial", &table.initial), ("beyond", &table.beyond)];
        let mut draft = draft;
        for (name, cells) in by_cell {
            let axes = vec![group(), Axis::numbered("cell", table.cells)];
            let array = Array::new(name, axes, Kind::Count, Rule::Add, cells.clone())?;
            draft = draft.with(array, Support::Whole(persons));
        }
        for (name, cells) in by_group {
            let array = Array::new(name, vec![group()], Kind::Count, Rule::Add, cells.clone())?;
            draft = draft.with(array, Support::Whole(persons));
        }
        Ok(draft)
    }

    /// Reads the counts back.
    pub fn from_summary(summary: &Summary) -> Result<Self, LayoutError> {
        let groups = summary.array("initial")?.levels("group");
        let cells = summary.array("events")?.levels("cell").len();
        let table = EventTable {
            groups: groups.len(),
            cells,
            entries: summary.numbers("entries")?,
            events: summary.numbers("events")?,
            censored: summary.numbers("censored")?,
            initial: summary.numbers("initial")?,
            beyond: summary.numbers("beyond")?,
        };
        Ok(Self { groups, table })
    }

    /// Counts of group `g`.
    pub fn group(&self, g: usize) -> GroupCounts {
        let range = g * self.table.cells..(g + 1) * self.table.cells;
        let [events, censored, entries] =
            [&self.table.events, &self.table.censored, &self.table.entries]
                .map(|counts| counts[range.clone()].to_vec());
        let n_risk = at_risk(self.table.initial[g], &entries, &events, &censored);
        GroupCounts { n_risk, events, censored }
    }

    /// Persons of group `g`, late entries included.
    pub fn persons(&self, g: usize) -> f64 {
        let range = g * self.table.cells..(g + 1) * self.table.cells;
        self.table.initial[g] + self.table.entries[range].iter().sum::<f64>()
    }

    /// Last time, days, up to which somebody of group `g` was followed.
    pub fn followed_to(&self, g: usize, grid: &TimeGrid) -> f64 {
        if self.table.beyond[g] > 0.0 {
            return grid.boundary(self.table.cells);
        }
        let counts = self.group(g);
        let last =
            (0..self.table.cells).rev().find(|&j| counts.events[j] + counts.censored[j] > 0.0);
        last.map_or(0.0, |j| grid.boundary(if grid.is_daily() { j } else { j + 1 }))
    }
}
