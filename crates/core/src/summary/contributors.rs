//! How records spread over persons: rules on few persons hold for persons, however many records each has.

/// The fewest persons to whom a number of records of a cohort can belong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contributors {
    /// Records of the k + 1 persons with the most records.
    records: Vec<u64>,
}

impl Contributors {
    /// From the number of records of each person.
    pub fn of(records: impl Iterator<Item = u64>) -> Self {
        let mut records: Vec<u64> = records.collect();
        records.sort_unstable_by(|a, b| b.cmp(a));
        let mut sum = 0;
        records.iter_mut().for_each(|n| {
            sum += *n;
            *n = sum;
        });
        Self { records }
    }

    /// Number of persons.
    pub fn persons(&self) -> u64 {
        self.records.len() as u64
    }

    /// The fewest persons that `records` records can belong to: those with the most records may be among them.
    pub fn at_least(&self, records: u64) -> u64 {
        let persons = self.records.partition_point(|sum| *sum < records) as u64;
        if records == 0 { 0 } else { (persons + 1).min(self.persons()) }
    }
}
