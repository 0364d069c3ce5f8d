//! The registry of one site, read and mapped, and the cohorts it gives.

use std::{collections::BTreeMap, sync::Arc};

use tributary_core::{
    cohort::{Cohort, Column, ColumnNeed, Flow, SiteData, SiteTables},
    spec::{Condition, Dictionary, Scalar, day_number},
};

use super::{
    deaths::read_deaths,
    folder::{SiteError, SiteFolder},
    life_table::{RateFile, RateTable, read_rates},
    mapping::Mapping,
    population::read_population,
    reader::read_quoted,
    records::{Records, RowFault, Values},
};

/// Rows listed in a message; the quality report lists more.
const LISTED: usize = 10;

/// Records of a site that could be mapped, and the folder they come from.
#[derive(Debug)]
pub struct Registry {
    /// Where they come from.
    pub folder: SiteFolder,
    /// The records.
    pub records: Records,
    /// What a data manager should know of how the tables beside the records were read.
    pub notes: Vec<String>,
    tables: SiteTables,
}

impl Registry {
    /// Reads and maps the site's file, whatever it holds.
    pub fn read(folder: SiteFolder, dictionary: &Dictionary) -> Result<Self, SiteError> {
        let records = read_records(&folder, dictionary)?;
        let rates = |file: &Option<RateFile>| {
            let read = |file: &RateFile| read_rates(&folder.folder, file);
            file.as_ref().map(read).transpose()
        };
        let (life_table, rates) = (rates(&folder.life_table)?, rates(&folder.rates)?);
        let mut notes = Vec::new();
        for (name, table) in [("life_table", &life_table), ("rates", &rates)] {
            let lines = table.iter().flat_map(|t| &t.notes);
            notes.extend(lines.map(|note| format!("table `{name}`: {note}")));
        }
        let population = folder.population.as_ref();
        let population =
            population.map(|file| read_population(&folder.folder, file)).transpose()?;
        let deaths = folder.deaths.as_ref();
        let deaths = deaths.map(|file| read_deaths(&folder.folder, file)).transpose()?;
        let gaps = |table: &Option<RateTable>| {
            table.as_ref().map_or_else(Vec::new, |table| table.gaps.clone())
        };
        let tables = SiteTables {
            life_table_gaps: gaps(&life_table),
            rates_gaps: gaps(&rates),
            life_table: life_table.map(|t| Arc::new(t.table)),
            rates: rates.map(|t| Arc::new(t.table)),
            population: population.map(Arc::new),
            deaths: deaths.map(Arc::new),
            closing_day: folder.closing_date.map(day_number),
        };
        Ok(Self { folder, records, notes, tables })
    }

    /// Reads and maps the site's file; more unmapped records than the site allows are an error.
    pub fn open(folder: SiteFolder, dictionary: &Dictionary) -> Result<Self, SiteError> {
        let registry = Self::read(folder, dictionary)?;
        let count = registry.records.unmapped();
        if count as u64 <= registry.folder.unmapped_limit {
            return Ok(registry);
        }
        let faults: Vec<&RowFault> =
            registry.records.faults.iter().filter(|f| f.loses_record).collect();
        let unit = registry.records.unit;
        let mut listing: Vec<String> = faults
            .iter()
            .take(LISTED)
            .map(|f| format!("  {unit} {}: `{}` {}", f.place, f.variable, f.reason))
            .collect();
        if faults.len() > LISTED {
            listing.push(format!(
                "  … and {} more; `tributary site check` lists the first hundred of each kind",
                faults.len() - LISTED
            ));
        }
        Err(SiteError::Unmapped {
            path: registry.folder.data.display().to_string(),
            count,
            received: registry.records.received,
            limit: registry.folder.unmapped_limit,
            listing: listing.join("\n"),
        })
    }

    /// What the mapping left out or could not read, as lines for the site's own eyes.
    pub fn left_out(&self) -> Vec<String> {
        let records = &self.records;
        let mut lines = Vec::new();
        if records.unmapped() > 0 {
            lines.push(format!(
                "{} of {} records could not be mapped and are excluded from all results",
                records.unmapped(),
                records.received
            ));
        }
        for ((variable, reason), n) in records.unknown() {
            lines.push(format!("{n} values of `{variable}` are treated as unknown: each {reason}"));
        }
        lines
    }

    /// The cohort of the records that meet all conditions, with the columns that models need.
    pub fn cohort(
        &self,
        conditions: &[Condition],
        needs: &[ColumnNeed],
    ) -> Result<SiteData, SiteError> {
        let records = &self.records;
        let mut excluded = vec![("not mapped".to_owned(), records.unmapped() as u64)];
        let mut rows: Vec<usize> = (0..records.rows).collect();
        for condition in conditions {
            let before = rows.len();
            rows.retain(|&row| {
                condition
                    .holds(&|name| records.values.get(name).map_or(Scalar::Null, |v| v.scalar(row)))
            });
            excluded.push((condition.text.clone(), (before - rows.len()) as u64));
        }
        let columns: BTreeMap<String, Column> = needs
            .iter()
            .filter_map(|need| {
                Some((need.name.clone(), column(records.values.get(&need.name)?, &rows)))
            })
            .collect();
        let site = || self.folder.code.clone();
        let cohort = Cohort::new(rows.len(), columns);
        let cohort = cohort.map_err(|error| SiteError::Cohort { site: site(), error })?;
        let cohort = cohort.of_persons(records.persons.as_ref().map(|p| p.pick(&rows)));
        debug_assert!(
            needs.iter().all(|need| cohort.column(&need.name).is_ok()),
            "models use variables of the dictionary"
        );
        let flow = Flow { received: records.received as u64, excluded };
        Ok(SiteData { cohort, flow, tables: self.tables.clone() })
    }
}

/// Reads and maps the records of a site folder.
pub(super) fn read_records(
    folder: &SiteFolder,
    dictionary: &Dictionary,
) -> Result<Records, SiteError> {
    let mapping = Mapping::open(&folder.mapping, dictionary)?;
    let table = read_quoted(&folder.data, &mapping.format(), mapping.quote())?;
    mapping.check_columns(&folder.data, &table)?;
    Records::map(&table, &mapping, dictionary, [folder.closing_date, Some(folder.today)])
}

fn column(values: &Values, rows: &[usize]) -> Column {
    fn pick<T: Clone>(cells: &[T], rows: &[usize]) -> Vec<T> {
        rows.iter().map(|&row| cells[row].clone()).collect()
    }
    match values {
        Values::Codes { codes, levels } => {
            Column::Category { codes: pick(codes, rows), levels: levels.clone() }
        }
        Values::Flags(flags) => Column::Flag(pick(flags, rows)),
        Values::Days(days) => Column::Day(pick(days, rows)),
        Values::Numbers(numbers) => Column::Real(pick(numbers, rows)),
        // Models never ask for open text: the dictionary gives it no column.
        Values::Texts(texts) => Column::Real(vec![f64::NAN; pick(texts, rows).len()]),
    }
}
