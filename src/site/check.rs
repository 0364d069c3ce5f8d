//! Quality report of a site: what was read, what could not be mapped and why, what the mapped variables hold.

use std::{collections::BTreeMap, fmt};

use super::{
    records::{RowFault, Values},
    table::Registry,
};
use crate::{spec::Dictionary, summary::SiteId};

/// What a registry data manager reads before anything is answered.
#[derive(Debug)]
pub struct QualityReport {
    site: SiteId,
    name: String,
    received: usize,
    mapped: usize,
    faults: Vec<RowFault>,
    filled: Vec<Filled>,
    disagreements: BTreeMap<String, u64>,
    notes: Vec<String>,
}

/// How a variable is filled.
#[derive(Debug)]
struct Filled {
    variable: String,
    known: usize,
    /// Records by code, for variables with codes.
    codes: Vec<(String, usize)>,
}

/// Looks at a registry.
pub fn check(registry: &Registry, dictionary: &Dictionary) -> QualityReport {
    let records = &registry.records;
    let mut filled = Vec::new();
    for (name, values) in &records.values {
        let known = (0..records.rows)
            .filter(|&row| values.scalar(row) != crate::spec::Scalar::Null)
            .count();
        let label =
            |level: &str| dictionary.get(name).map_or(level, |v| v.level_label(level)).to_owned();
        let codes = match values {
            Values::Codes { codes, levels } => levels
                .iter()
                .enumerate()
                .map(|(i, level)| {
                    (label(level), codes.iter().filter(|c| **c == Some(i as u32)).count())
                })
                .collect(),
            Values::Flags(flags) => [("0", false), ("1", true)]
                .iter()
                .map(|(level, flag)| {
                    (label(level), flags.iter().filter(|f| **f == Some(*flag)).count())
                })
                .collect(),
            Values::Days(_) | Values::Numbers(_) | Values::Texts(_) => Vec::new(),
        };
        filled.push(Filled { variable: name.clone(), known, codes });
    }
    QualityReport {
        site: registry.folder.code.clone(),
        name: registry.folder.name.clone(),
        received: records.received,
        mapped: records.rows,
        faults: records.faults.clone(),
        filled,
        disagreements: records.disagreements.clone(),
        notes: registry.notes.clone(),
    }
}

impl QualityReport {
    /// Whether everything was mapped and nothing disagrees.
    pub fn is_clean(&self) -> bool {
        self.faults.is_empty() && self.disagreements.is_empty()
    }
}

impl fmt::Display for QualityReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({})", self.name, self.site)?;
        writeln!(f, "records received  {}", self.received)?;
        writeln!(f, "records mapped    {}", self.mapped)?;
        writeln!(f, "not mapped        {}", self.received - self.mapped)?;
        let mut by_reason: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for fault in &self.faults {
            *by_reason.entry((&fault.variable, &fault.reason)).or_default() += 1;
        }
        for ((variable, reason), n) in by_reason {
            writeln!(f, "  {n} × `{variable}` {reason}")?;
        }
        for fault in &self.faults {
            writeln!(f, "  line {}: `{}` {}", fault.line, fault.variable, fault.reason)?;
        }
        for (variable, n) in &self.disagreements {
            writeln!(f, "`{variable}` as stated differs from the dates in {n} records")?;
        }
        for note in &self.notes {
            writeln!(f, "{note}")?;
        }
        writeln!(f, "\n{:<24} {:>8}  values", "variable", "known")?;
        for Filled { variable, known, codes } in &self.filled {
            let codes: Vec<String> =
                codes.iter().map(|(level, n)| format!("{level}: {n}")).collect();
            writeln!(f, "{variable:<24} {known:>8}  {}", codes.join(", "))?;
        }
        Ok(())
    }
}
