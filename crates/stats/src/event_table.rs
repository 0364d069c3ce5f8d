//! The event table: how many entered late, had the event and were censored in each cell of a time grid, by group.
//!
//! Everything of the Kaplan–Meier and log-rank family is a function of it, and tables of several sites add.

use rayon::prelude::*;

/// Cells of follow-up time. Cell *j* holds the days `boundaries[j] ..< boundaries[j + 1]`; everything at or after the last
/// boundary is censored there.
#[derive(Debug, Clone, PartialEq)]
pub struct TimeGrid {
    width_days: f64,
    cells: usize,
}

impl TimeGrid {
    /// One cell a day, from day 0 to day `horizon_days`.
    pub fn daily(horizon_days: u32) -> Self {
        Self { width_days: 1.0, cells: horizon_days as usize + 1 }
    }

    /// Cells of `width_days` (at least 1), as many as cover `horizon_days`.
    pub fn coarse(width_days: f64, horizon_days: u32) -> Self {
        let width_days = width_days.max(1.0);
        Self { width_days, cells: (f64::from(horizon_days) / width_days).ceil().max(1.0) as usize }
    }

    /// Number of cells.
    pub fn cells(&self) -> usize {
        self.cells
    }

    /// Whether each cell is one day, so that a table on it equals the rows.
    pub fn is_daily(&self) -> bool {
        self.width_days <= 1.0
    }

    /// First day of cell `j`; of the end for `j = cells()`.
    pub fn boundary(&self, j: usize) -> f64 {
        j as f64 * self.width_days
    }

    fn cell(&self, day: i32) -> usize {
        if self.is_daily() {
            day.max(0) as usize
        } else {
            (f64::from(day.max(0)) / self.width_days) as usize
        }
    }
}

/// Counts by group and cell, `group * cells + cell`.
#[derive(Debug, Clone, PartialEq)]
pub struct EventTable {
    /// Number of groups.
    pub groups: usize,
    /// Number of cells of the grid.
    pub cells: usize,
    /// Late entries; those under observation from the start are in `initial`.
    pub entries: Vec<f64>,
    /// Events.
    pub events: Vec<f64>,
    /// Censored; those followed beyond the grid are in `beyond`.
    pub censored: Vec<f64>,
    /// Persons under observation from the start, by group.
    pub initial: Vec<f64>,
    /// Persons still under observation at the end of the grid, by group.
    pub beyond: Vec<f64>,
}

impl EventTable {
    fn empty(groups: usize, cells: usize) -> Self {
        let zeros = || vec![0.0; groups * cells];
        Self {
            groups,
            cells,
            entries: zeros(),
            events: zeros(),
            censored: zeros(),
            initial: vec![0.0; groups],
            beyond: vec![0.0; groups],
        }
    }

    fn add(mut self, other: &Self) -> Self {
        let pairs = [
            (&mut self.entries, &other.entries),
            (&mut self.events, &other.events),
            (&mut self.censored, &other.censored),
            (&mut self.initial, &other.initial),
            (&mut self.beyond, &other.beyond),
        ];
        for (ours, theirs) in pairs {
            ours.iter_mut().zip(theirs).for_each(|(a, b)| *a += b);
        }
        self
    }
}

/// Rows to be counted. All slices have the same length; `entry` is 0 where nobody entered late.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// Day of late entry, or `None` if all are followed from the start.
    pub entry: Option<&'a [i32]>,
    /// Last day of follow-up.
    pub exit: &'a [i32],
    /// Whether the event happened on the last day.
    pub event: &'a [bool],
    /// Group of each row, `0..groups`.
    pub group: &'a [u32],
}

/// Counts `rows` on `grid`. Rows with `entry >= exit` were never at risk and are left out.
pub fn event_table(rows: Rows<'_>, groups: usize, grid: &TimeGrid) -> EventTable {
    const CHUNK: usize = 1 << 18;
    let n = rows.exit.len();
    let cells = grid.cells();
    let count = |from: usize, to: usize| {
        let mut table = EventTable::empty(groups, cells);
        for i in from..to {
            let g = rows.group[i] as usize;
            let entry = rows.entry.map_or(0, |entry| entry[i]);
            if entry > 0 && entry >= rows.exit[i] {
                continue;
            }
            // Someone who enters on day e is at risk from day e + 1: counted in at the end of e's cell.
            let entered = grid.cell(entry);
            if entry <= 0 {
                table.initial[g] += 1.0;
            } else if entered < cells {
                table.entries[g * cells + entered] += 1.0;
            } else {
                continue;
            }
            let left = grid.cell(rows.exit[i]);
            if left >= cells {
                table.beyond[g] += 1.0;
            } else if rows.event[i] {
                table.events[g * cells + left] += 1.0;
            } else {
                table.censored[g * cells + left] += 1.0;
            }
        }
        table
    };
    if n <= CHUNK {
        return count(0, n);
    }
    let parts: Vec<EventTable> = (0..n.div_ceil(CHUNK))
        .into_par_iter()
        .map(|c| count(c * CHUNK, ((c + 1) * CHUNK).min(n)))
        .collect();
    parts.iter().fold(EventTable::empty(groups, cells), EventTable::add)
}

/// Numbers at risk just before each cell for one group, from the counts of that group.
pub fn at_risk(initial: f64, entries: &[f64], events: &[f64], censored: &[f64]) -> Vec<f64> {
    let mut n = initial;
    (0..events.len())
        .map(|j| {
            let at_risk = n;
            n += entries[j] - events[j] - censored[j];
            at_risk
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_at_risk_after_entry_and_up_to_exit() {
        let rows = Rows {
            entry: Some(&[0, 2, 5]),
            exit: &[3, 4, 5],
            event: &[true, false, true],
            group: &[0, 0, 0],
        };
        let table = event_table(rows, 1, &TimeGrid::daily(6));
        assert_eq!(
            at_risk(table.initial[0], &table.entries, &table.events, &table.censored),
            [1.0, 1.0, 1.0, 2.0, 1.0, 0.0, 0.0]
        );
        assert_eq!(
            table.events.iter().sum::<f64>(),
            1.0,
            "entry on the day of the event is no time at risk"
        );
    }

    #[test]
    fn follow_up_past_the_horizon_is_kept_at_risk_to_the_end() {
        let rows = Rows { entry: None, exit: &[2, 9000], event: &[false, true], group: &[0, 0] };
        let table = event_table(rows, 1, &TimeGrid::daily(10));
        assert_eq!(table.beyond, [1.0]);
        assert_eq!(table.events.iter().sum::<f64>(), 0.0);
    }

    #[test]
    fn parallel_parts_give_the_table_of_one_pass() {
        let n = 600_000;
        let exit: Vec<i32> = (0..n).map(|i| (i % 3000 * 7919) % 3000).collect();
        let event: Vec<bool> = exit.iter().map(|t| t % 3 == 0).collect();
        let group: Vec<u32> = (0..n).map(|i| (i % 8) as u32).collect();
        let table = event_table(
            Rows { entry: None, exit: &exit, event: &event, group: &group },
            8,
            &TimeGrid::daily(2999),
        );
        assert_eq!(table.events.iter().chain(&table.censored).sum::<f64>(), f64::from(n));
        let wanted = exit.iter().zip(&group).filter(|&(&t, &g)| t == 1500 && g == 4).count();
        assert_eq!(table.events[4 * 3000 + 1500], wanted as f64);
    }
}
