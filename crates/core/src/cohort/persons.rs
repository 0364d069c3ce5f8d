//! Whose records the rows are. Rules on few persons count persons, however many records each has.

use super::Cohort;
use crate::summary::Contributors;

/// The person of each row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Persons {
    /// Number of the person by row, 0, 1, …
    of_row: Vec<u32>,
}

impl Persons {
    /// Rows that share a number are of one person; a row without one is a person of its own.
    pub fn of(rows: impl Iterator<Item = Option<u32>>) -> Self {
        let rows: Vec<Option<u32>> = rows.collect();
        let mut next = rows.iter().flatten().max().map_or(0, |most| most + 1);
        let mut alone = || {
            next += 1;
            next - 1
        };
        Self { of_row: rows.into_iter().map(|row| row.unwrap_or_else(&mut alone)).collect() }
    }

    /// Those of some of the rows.
    #[must_use]
    pub fn pick(&self, rows: &[usize]) -> Self {
        Self { of_row: rows.iter().map(|&row| self.of_row[row]).collect() }
    }

    /// The person of a row.
    pub fn person(&self, row: usize) -> u32 {
        self.of_row[row]
    }

    /// How records spread over persons.
    pub fn contributors(&self) -> Contributors {
        let mut of_row = self.of_row.clone();
        of_row.sort_unstable();
        Contributors::of(of_row.chunk_by(|a, b| a == b).map(|rows| rows.len() as u64))
    }
}

impl Cohort {
    /// The person of a row; every row is a person of its own where nothing tells.
    pub fn person(&self, row: usize) -> u32 {
        self.persons.as_ref().map_or(row as u32, |persons| persons.person(row))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_belong_to_at_least_as_many_persons_as_the_most_recorded_leave() {
        // Five records of person 4, two of 0 and 1 each, and two of nobody known.
        let rows = [4, 4, 4, 4, 4, 0, 0, 1, 1].map(Some).into_iter().chain([None, None]);
        let persons = Persons::of(rows);
        let contributors = persons.contributors();
        assert_eq!(contributors.persons(), 5);
        let found: Vec<u64> = (0..=11).map(|n| contributors.at_least(n)).collect();
        assert_eq!(found, [0, 1, 1, 1, 1, 1, 2, 2, 3, 3, 4, 5]);
        assert_eq!(contributors.at_least(1000), 5);
        assert_eq!(persons.pick(&[0, 1, 9]).contributors().persons(), 2);
        let own = Persons::of([None; 3].into_iter()).contributors();
        assert_eq!([0, 1, 2, 3].map(|n| own.at_least(n)), [0, 1, 2, 3]);
    }
}
