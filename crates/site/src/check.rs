//! Quality report of a site: what was read, what could not be mapped and why, what the mapped variables hold, and what the tables
//! beside the records hold.

use std::{collections::BTreeMap, fmt};

use jiff::ToSpan;
use tributary_core::{
    cohort::{DeathCell, PersonYears},
    spec::Dictionary,
    summary::SiteId,
};

use super::{
    deaths::read_deaths,
    folder::{SiteError, SiteFolder},
    life_table::{RateFile, RateTable, read_rates},
    population::{missing_lines, read_population},
    records::{Records, RowFault, Values},
    table::read_records,
};

/// Places listed of each kind of fault; the rest are counted.
const LISTED: usize = 100;

/// What a registry data manager reads before anything is answered.
#[derive(Debug)]
pub struct QualityReport {
    site: SiteId,
    name: String,
    records: Result<Checked, SiteError>,
    /// Tables beside the records, and what each holds.
    tables: Vec<(&'static str, Result<String, SiteError>)>,
    /// What the table of the population lacks within its own ranges.
    without_population: Vec<String>,
}

/// Records that were read.
#[derive(Debug)]
struct Checked {
    records: Records,
    filled: Vec<Filled>,
}

/// How a variable is filled.
#[derive(Debug)]
struct Filled {
    variable: String,
    known: usize,
    /// Records by code, for variables with codes.
    codes: Vec<(String, usize)>,
}

/// Looks at all files of a site folder; one that cannot be read does not hide the others.
pub fn check(folder: &SiteFolder, dictionary: &Dictionary) -> QualityReport {
    let records = read_records(folder, dictionary).map(|records| {
        let filled = filled(&records, dictionary);
        Checked { records, filled }
    });
    let at = folder.folder.as_path();
    let rates = |file: &RateFile| read_rates(at, file).map(|found| of_rates(&found));
    let mut tables = Vec::new();
    tables.extend(folder.life_table.as_ref().map(|file| ("life_table", rates(file))));
    tables.extend(folder.rates.as_ref().map(|file| ("rates", rates(file))));
    let population = folder.population.as_ref().map(|file| read_population(at, file));
    let without_population = population.iter().flatten().flat_map(missing_lines).collect();
    tables.extend(population.map(|table| ("population", table.map(|table| of_population(&table)))));
    tables.extend(
        folder
            .deaths
            .as_ref()
            .map(|file| ("deaths", read_deaths(at, file).map(|cells| of_deaths(&cells)))),
    );
    let (site, name) = (folder.code.clone(), folder.name.clone());
    QualityReport { site, name, records, tables, without_population }
}

fn filled(records: &Records, dictionary: &Dictionary) -> Vec<Filled> {
    let mut filled = Vec::new();
    for (name, values) in &records.values {
        let known = (0..records.rows).filter(|&row| !values.is_missing(row)).count();
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
    filled
}

/// Years and ages of a table of rates, and on further lines what should be known of how it was read.
fn of_rates(found: &RateTable) -> String {
    let table = &found.table;
    let epoch = jiff::civil::date(1970, 1, 1);
    let year = |day: i32| epoch.saturating_add(day.days()).year();
    let first = table.starts.first().map_or(0, |day| year(*day));
    let ages = |age: Option<&f64>| age.map_or(0.0, |a| *a);
    let (from, to) = (ages(table.ages.first()), ages(table.ages.last()));
    let last = year(table.end - 1);
    let mut words = format!("males and females, {first} to {last}, ages {from} to {to} years");
    for note in &found.notes {
        words = format!("{words}\n  {note}");
    }
    words
}

fn of_population(table: &PersonYears) -> String {
    let cells = &table.cells;
    let sexes = if cells.iter().any(|c| c.sex.is_some()) { "by sex" } else { "sexes together" };
    let years = years(cells.iter().map(|c| c.year));
    let from = cells.iter().map(|c| c.from).min().unwrap_or_default();
    let to = match cells.iter().map(|c| c.to).max() {
        None | Some(u32::MAX) => "over".to_owned(),
        Some(to) => format!("below {to}"),
    };
    let total: f64 = cells.iter().map(|c| c.person_years).sum();
    format!("{sexes}, {years}, ages {from} and {to}, {total:.0} person-years in all")
}

fn of_deaths(cells: &[DeathCell]) -> String {
    let total: f64 = cells.iter().map(|c| c.deaths).sum();
    format!("{}, {total} deaths in all", years(cells.iter().map(|c| c.year)))
}

fn years(all: impl Iterator<Item = i32> + Clone) -> String {
    let (first, last) = (all.clone().min(), all.max());
    format!("{} to {}", first.unwrap_or_default(), last.unwrap_or_default())
}

impl QualityReport {
    /// Whether everything was mapped, nothing disagrees and the population has no gaps.
    pub fn is_clean(&self) -> bool {
        let clean = |c: &Checked| {
            let records = &c.records;
            records.faults.is_empty()
                && records.disagreements.is_empty()
                && records.patients_differ.is_empty()
        };
        self.records.as_ref().is_ok_and(clean)
            && self.tables.iter().all(|(_, t)| t.is_ok())
            && self.without_population.is_empty()
    }

    /// Files that could not be read, and why.
    pub fn errors(&self) -> Vec<&SiteError> {
        let tables = self.tables.iter().filter_map(|(_, table)| table.as_ref().err());
        self.records.as_ref().err().into_iter().chain(tables).collect()
    }
}

impl fmt::Display for QualityReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({})", self.name, self.site)?;
        for (name, table) in &self.tables {
            let words = table.as_ref().map_or("cannot be read", String::as_str);
            writeln!(f, "table `{name}`: {words}")?;
        }
        let missing = &self.without_population;
        if !missing.is_empty() {
            writeln!(
                f,
                "the population lacks lines that its own sexes, years and ages imply; cases there are left out of rates"
            )?;
        }
        for place in missing.iter().take(LISTED) {
            writeln!(f, "  missing: {place}")?;
        }
        if missing.len() > LISTED {
            writeln!(f, "  … and {} more", missing.len() - LISTED)?;
        }
        match &self.records {
            Ok(checked) => checked.fmt(f),
            Err(_) => writeln!(f, "records cannot be read"),
        }
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { records, filled } = self;
        let unit = records.unit;
        writeln!(f, "records received  {}", records.received)?;
        writeln!(f, "records mapped    {}", records.rows)?;
        writeln!(f, "not mapped        {}", records.unmapped())?;
        if let Some(persons) = &records.persons {
            writeln!(f, "patients          {}", persons.contributors().persons())?;
        }
        if records.blank > 0 {
            writeln!(f, "blank lines       {}", records.blank)?;
        }
        if let Some(first) = records.spread.first() {
            let n = records.spread.len();
            writeln!(
                f,
                "{n} records have a field that spans several lines, the first on line {first}"
            )?;
        }
        let mut kinds: BTreeMap<(bool, &str, &str), Vec<&RowFault>> = BTreeMap::new();
        for fault in &records.faults {
            let kind = (!fault.loses_record, fault.variable.as_str(), fault.reason.as_str());
            kinds.entry(kind).or_default().push(fault);
        }
        for ((is_kept, variable, reason), faults) in &kinds {
            let so =
                if *is_kept { "the value is treated as unknown" } else { "the record is excluded" };
            writeln!(f, "  {} × `{variable}` {reason}: {so}", faults.len())?;
        }
        for ((_, variable, reason), faults) in &kinds {
            for fault in faults.iter().take(LISTED) {
                writeln!(f, "  {unit} {}: `{variable}` {reason}", fault.place)?;
            }
            if faults.len() > LISTED {
                writeln!(f, "  … and {} more: `{variable}` {reason}", faults.len() - LISTED)?;
            }
        }
        for (variable, places) in &records.disagreements {
            let n = places.len();
            writeln!(
                f,
                "`{variable}` as recorded differs from the value derived from the dates in {n} records"
            )?;
            for place in places.iter().take(LISTED) {
                writeln!(
                    f,
                    "  {unit} {place}: `{variable}` differs from the value derived from the dates"
                )?;
            }
            if n > LISTED {
                writeln!(f, "  … and {} more", n - LISTED)?;
            }
        }
        for (variable, places) in &records.patients_differ {
            let n = places.len();
            writeln!(f, "`{variable}` differs between records of one patient, {n} times")?;
            for place in places.iter().take(LISTED) {
                writeln!(
                    f,
                    "  {unit} {place}: `{variable}` differs from an earlier record of the patient"
                )?;
            }
            if n > LISTED {
                writeln!(f, "  … and {} more", n - LISTED)?;
            }
        }
        writeln!(f, "\n{:<24} {:>8}  values", "variable", "known")?;
        for Filled { variable, known, codes } in filled {
            let codes: Vec<String> =
                codes.iter().map(|(level, n)| format!("{level}: {n}")).collect();
            writeln!(f, "{variable:<24} {known:>8}  {}", codes.join(", "))?;
        }
        Ok(())
    }
}
