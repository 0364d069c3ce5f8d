//! Rows of one site as plain columns, ready for a model. Neither serialisable nor clonable: rows do not travel.

mod followup;
mod need;
mod persons;
mod population;

use std::{collections::BTreeMap, sync::Arc};

pub use followup::{Followup, Survival, Window, ZeroRule, epoch_day};
pub use need::{ColumnNeed, Places, Used};
pub use persons::Persons;
pub use population::{
    CountedRecord, Covered, DeathCell, Incidence, IncidenceCounts, PersonYears, PopulationCell,
    ages_name, calendar_years, sex_position,
};

use tributary_stats::life_table::LifeTable;

use crate::summary::Contributors;

/// One variable of all rows; missing values are `None`, or NaN in a real column.
pub enum Column {
    /// A quantity.
    Real(Vec<f64>),
    /// Whole days: a calendar day (since 1970-01-01) or a time since the start of follow-up.
    Day(Vec<Option<i32>>),
    /// Yes or no.
    Flag(Vec<Option<bool>>),
    /// One of the dictionary's levels, by position.
    Category {
        /// Position of each row's level.
        codes: Vec<Option<u32>>,
        /// All levels of the dictionary, also those that no row has.
        levels: Vec<String>,
    },
}

impl std::fmt::Debug for Column {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} column of {} rows", self.kind(), self.len())
    }
}

impl Column {
    /// Number of rows.
    pub fn len(&self) -> usize {
        match self {
            Self::Real(values) => values.len(),
            Self::Day(values) => values.len(),
            Self::Flag(values) => values.len(),
            Self::Category { codes, .. } => codes.len(),
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the column holds.
    pub fn kind(&self) -> ColumnKind {
        match self {
            Self::Real(_) => ColumnKind::Real,
            Self::Day(_) => ColumnKind::Day,
            Self::Flag(_) => ColumnKind::Flag,
            Self::Category { .. } => ColumnKind::Category,
        }
    }

    fn is_missing(&self, row: usize) -> bool {
        match self {
            Self::Real(values) => values[row].is_nan(),
            Self::Day(values) => values[row].is_none(),
            Self::Flag(values) => values[row].is_none(),
            Self::Category { codes, .. } => codes[row].is_none(),
        }
    }
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ColumnKind {
    /// A quantity.
    Real,
    /// Whole days.
    Day,
    /// Yes or no.
    Flag,
    /// A level.
    Category,
}

/// A cohort that a model cannot use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CohortError {
    /// Columns of different length.
    #[error("column `{name}` has {found} rows, the others have {wanted}")]
    Length {
        /// Column.
        name: String,
        /// Its rows.
        found: usize,
        /// Rows of the others.
        wanted: usize,
    },
    /// No such column.
    #[error("column `{name}` is not in the cohort")]
    Missing {
        /// Column.
        name: String,
    },
    /// A column of another kind.
    #[error("column `{name}` contains {found:?} values, expected {wanted:?}")]
    Kind {
        /// Column.
        name: String,
        /// What it holds.
        found: ColumnKind,
        /// What was wanted.
        wanted: ColumnKind,
    },
    /// A table that the site does not have.
    #[error(
        "the model needs the table `{table}`: name its file under [tables.{table}] of site.toml"
    )]
    NoTable {
        /// Table.
        table: &'static str,
    },
    /// A table without rates of years in which patients are followed.
    #[error(
        "the table `{table}` has no rates for {years}, in which patients are followed: add these years; if a line covers several years, write the range in the column year, as 1990-1999"
    )]
    NoRates {
        /// Table.
        table: &'static str,
        /// Years.
        years: String,
    },
    /// A table of the population that does not fit the cells of the analysis.
    #[error(
        "the table `population`: {reason}; match `ages` of the analysis to the age bands of the table, or provide the table by single years of age and sex"
    )]
    Population {
        /// What is wrong.
        reason: String,
    },
    /// A table of deaths that does not fit the groups of the analysis.
    #[error(
        "the table `deaths`: {reason}; its groups must be the levels of the variable that groups the cases, and every year of the analysis needs a line"
    )]
    Deaths {
        /// What is wrong.
        reason: String,
    },
    /// A value with which expected mortality cannot be looked up.
    #[error("variable `{name}`: {reason}; correct it, or exclude such records under [population]")]
    Lookup {
        /// Variable.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// Frequency weights that are no frequencies.
    #[error(
        "variable `{name}`: a frequency weight is a whole number (so many patients like this one), and not all of these are: for inverse probabilities of being in the data write weight_type = \"sampling\" and variance = \"robust\" in the model"
    )]
    Frequency {
        /// Variable.
        name: String,
    },
    /// Several records of one person in a model that follows each person once.
    #[error(
        "some persons have several records, and this model follows each person once: keep one record per person under [population] of the analysis, for example by a variable that numbers the tumours of a patient"
    )]
    FollowedTwice,
    /// A statistic that does not fit its labels.
    #[error(transparent)]
    Layout(#[from] crate::summary::LayoutError),
    /// The hub's question does not fit the model.
    #[error("the question of this round cannot be read: {reason}")]
    Question {
        /// What is wrong.
        reason: String,
    },
}

/// Numbers closer to a whole number than this, relative to their size, differ from it by floating-point noise only.
const NOISE: f64 = 1e-9;

/// The whole number that `x` is, but for floating-point noise.
pub fn nearly_whole(x: f64) -> Option<f64> {
    let noise = (NOISE * x.abs().max(1.0)).min(1e-3);
    ((x - x.round()).abs() <= noise).then(|| x.round())
}

/// Rows of one site.
pub struct Cohort {
    rows: usize,
    columns: BTreeMap<String, Column>,
    persons: Option<Persons>,
}

impl std::fmt::Debug for Cohort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cohort")
            .field("rows", &self.rows)
            .field("columns", &self.columns.len())
            .finish_non_exhaustive()
    }
}

/// What happened to the records of a site on their way into the cohort, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Flow {
    /// Records in the site's file.
    pub received: u64,
    /// Steps by which records were left out, with their numbers; the same steps at every site.
    pub excluded: Vec<(String, u64)>,
}

/// What a model sees at a site.
#[derive(Debug)]
pub struct SiteData {
    /// Rows that meet the population.
    pub cohort: Cohort,
    /// How the rows came about.
    pub flow: Flow,
    /// Tables beside the rows.
    pub tables: SiteTables,
}

/// Tables about the general population that a registry holds beside its rows.
#[derive(Debug, Clone, Default)]
pub struct SiteTables {
    /// Mortality.
    pub life_table: Option<Arc<LifeTable>>,
    /// Incidence, or other rates.
    pub rates: Option<Arc<LifeTable>>,
    /// Person-years.
    pub population: Option<Arc<PersonYears>>,
    /// Deaths from the disease.
    pub deaths: Option<Arc<Vec<DeathCell>>>,
    /// Years between those of the mortality of which it has no rates.
    pub life_table_gaps: Vec<DayGap>,
    /// The same of the other rates.
    pub rates_gaps: Vec<DayGap>,
    /// Last day up to which the site recorded cases and follow-up, since 1970-01-01, if it says so.
    pub closing_day: Option<i32>,
}

/// Calendar years that a table skips.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayGap {
    /// First year, and first year no longer in it.
    pub years: [u32; 2],
    /// The same as days since 1970-01-01.
    pub days: [i32; 2],
}

impl SiteTables {
    /// Whether follow-up over these days, each from its first to the day after its last, needs no rate that the table skips.
    pub fn check_gaps(
        &self,
        table: &'static str,
        mut followed: impl Iterator<Item = [i32; 2]>,
    ) -> Result<(), CohortError> {
        let gaps = if table == "rates" { &self.rates_gaps } else { &self.life_table_gaps };
        if gaps.is_empty() {
            return Ok(());
        }
        let touched = followed
            .find_map(|[from, to]| gaps.iter().find(|gap| from < gap.days[1] && to > gap.days[0]));
        match touched {
            None => Ok(()),
            Some(gap) => Err(CohortError::NoRates { table, years: ages_name(gap.years) }),
        }
    }
}

impl Cohort {
    /// A cohort of columns of one length.
    pub fn new(rows: usize, columns: BTreeMap<String, Column>) -> Result<Self, CohortError> {
        for (name, column) in &columns {
            if column.len() != rows {
                let name = name.clone();
                return Err(CohortError::Length { name, found: column.len(), wanted: rows });
            }
        }
        Ok(Self { rows, columns, persons: None })
    }

    /// The same, where several rows may be of one person.
    #[must_use]
    pub fn of_persons(self, persons: Option<Persons>) -> Self {
        Self { persons, ..self }
    }

    /// How the rows spread over persons; `None` where every row is taken for a person of its own.
    pub fn contributors(&self) -> Option<Contributors> {
        self.persons.as_ref().map(Persons::contributors)
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The column called `name`.
    pub fn column(&self, name: &str) -> Result<&Column, CohortError> {
        self.columns.get(name).ok_or_else(|| CohortError::Missing { name: name.to_owned() })
    }

    fn of_kind(&self, name: &str, wanted: ColumnKind) -> Result<&Column, CohortError> {
        let column = self.column(name)?;
        if column.kind() == wanted {
            Ok(column)
        } else {
            Err(CohortError::Kind { name: name.to_owned(), found: column.kind(), wanted })
        }
    }

    /// Days of the column called `name`.
    pub fn days(&self, name: &str) -> Result<&[Option<i32>], CohortError> {
        match self.of_kind(name, ColumnKind::Day)? {
            Column::Day(days) => Ok(days),
            Column::Real(_) | Column::Flag(_) | Column::Category { .. } => {
                unreachable!("kind was checked")
            }
        }
    }

    /// Flags of the column called `name`.
    pub fn flags(&self, name: &str) -> Result<&[Option<bool>], CohortError> {
        match self.of_kind(name, ColumnKind::Flag)? {
            Column::Flag(flags) => Ok(flags),
            Column::Real(_) | Column::Day(_) | Column::Category { .. } => {
                unreachable!("kind was checked")
            }
        }
    }

    /// Level positions and levels of the column called `name`; a flag has the levels `0` and `1`.
    pub fn levels(&self, name: &str) -> Result<(Vec<Option<u32>>, Vec<String>), CohortError> {
        match self.column(name)? {
            Column::Category { codes, levels } => Ok((codes.clone(), levels.clone())),
            Column::Flag(flags) => {
                let codes = flags.iter().map(|f| f.map(u32::from)).collect();
                Ok((codes, vec!["0".to_owned(), "1".to_owned()]))
            }
            other @ (Column::Real(_) | Column::Day(_)) => Err(CohortError::Kind {
                name: name.to_owned(),
                found: other.kind(),
                wanted: ColumnKind::Category,
            }),
        }
    }

    /// Which rows are of one person: a number for each of `rows`, 0, 1, … in the order in which the persons come, by the column
    /// called `name`; every row is a person of its own where there is none. And the number of persons.
    pub fn persons(
        &self,
        name: Option<&str>,
        rows: &[usize],
    ) -> Result<(Vec<usize>, usize), CohortError> {
        let Some(name) = name else { return Ok(((0..rows.len()).collect(), rows.len())) };
        let values = self.numbers(name)?;
        let mut numbers: BTreeMap<u64, usize> = BTreeMap::new();
        let mut of_row = Vec::with_capacity(rows.len());
        for &row in rows {
            let next = numbers.len();
            of_row.push(*numbers.entry(values[row].to_bits()).or_insert(next));
        }
        Ok((of_row, numbers.len()))
    }

    /// How many cases each row stands for: one, or the whole number in the column called `name`.
    pub fn case_counts(&self, name: Option<&str>) -> Result<Vec<f64>, CohortError> {
        let Some(name) = name else { return Ok(vec![1.0; self.rows]) };
        let counts = self.numbers(name)?;
        let whole = counts.iter().map(|n| nearly_whole(*n).filter(|n| *n >= 0.0));
        whole.collect::<Option<Vec<f64>>>().ok_or_else(|| {
            let reason = "a number of cases is missing, negative or not whole".into();
            CohortError::Lookup { name: name.to_owned(), reason }
        })
    }

    /// Numbers of the column called `name`: real values as they are, days as numbers; NaN where missing.
    pub fn numbers(&self, name: &str) -> Result<Vec<f64>, CohortError> {
        match self.column(name)? {
            Column::Real(values) => Ok(values.clone()),
            Column::Day(days) => Ok(days.iter().map(|d| d.map_or(f64::NAN, f64::from)).collect()),
            other @ (Column::Flag(_) | Column::Category { .. }) => Err(CohortError::Kind {
                name: name.to_owned(),
                found: other.kind(),
                wanted: ColumnKind::Real,
            }),
        }
    }

    /// Whether each row had the event of a follow-up.
    fn events(&self, followup: &Followup) -> Result<Vec<Option<bool>>, CohortError> {
        if followup.event_is.is_empty() {
            return Ok(self.flags(&followup.event)?.to_vec());
        }
        let (codes, levels) = self.levels(&followup.event)?;
        let is: Vec<bool> = levels.iter().map(|l| followup.event_is.contains(l)).collect();
        Ok(codes.iter().map(|c| c.and_then(|c| is.get(c as usize).copied())).collect())
    }

    /// Follow-up of the rows in which nothing of `also` is missing either, for a model that follows each person once. Stretches of one
    /// person that follow each other, by late entry, are one follow-up.
    pub fn survival(&self, followup: &Followup, also: &[&str]) -> Result<Survival, CohortError> {
        let survival = self.stretches(followup, also)?;
        match &self.persons {
            Some(persons) if is_followed_twice(persons, followup, &survival) => {
                Err(CohortError::FollowedTwice)
            }
            _ => Ok(survival),
        }
    }

    /// The same for a model in which several rows may be of one person.
    pub fn stretches(&self, followup: &Followup, also: &[&str]) -> Result<Survival, CohortError> {
        let time = self.days(&followup.time)?;
        let event = self.events(followup)?;
        let entry = followup.entry.as_ref().map(|name| self.days(name)).transpose()?;
        let window = match &followup.window {
            None => None,
            Some(window) => {
                let bad = || CohortError::Lookup {
                    name: window.date.clone(),
                    reason: "the window's dates cannot be read".into(),
                };
                Some((self.days(&window.date)?, window.days().ok_or_else(bad)?))
            }
        };
        let others = also.iter().map(|name| self.column(name)).collect::<Result<Vec<_>, _>>()?;
        let late = entry.is_some() || window.is_some();
        let mut result = Survival { entry: late.then(Vec::new), ..Survival::default() };
        for row in 0..self.rows {
            let entered = entry.map_or(Some(0), |entry| entry[row]);
            let (Some(mut exit), Some(mut died), Some(mut entered)) =
                (time[row], event[row], entered)
            else {
                result.missing += 1;
                continue;
            };
            if let Some((start, [from, end])) = window {
                let Some(start) = start[row] else {
                    result.missing += 1;
                    continue;
                };
                entered = entered.max(from - start);
                if exit > end - start {
                    (exit, died) = (end - start, false);
                }
            }
            if others.iter().any(|column| column.is_missing(row)) {
                result.missing += 1;
                continue;
            }
            let no_time = exit < 0 || (exit == 0 && followup.zero == ZeroRule::Exclude);
            if no_time || (entered > 0 && entered >= exit) {
                result.never_at_risk += 1;
                continue;
            }
            result.rows.push(row);
            result.exit.push(exit);
            result.event.push(died);
            if let Some(entries) = &mut result.entry {
                entries.push(entered.max(0));
            }
        }
        Ok(result)
    }
}

/// Whether two follow-ups of one person overlap.
fn is_followed_twice(persons: &Persons, followup: &Followup, survival: &Survival) -> bool {
    let entry = |i: usize| survival.entry.as_ref().map_or(0, |entry| entry[i]);
    let stretch = |(i, row): (usize, &usize)| (persons.person(*row), entry(i), survival.exit[i]);
    let mut stretches: Vec<(u32, i32, i32)> =
        survival.rows.iter().enumerate().map(stretch).collect();
    stretches.sort_unstable();
    // Without late entry every follow-up begins on its own day 0.
    let has_entry = followup.entry.is_some();
    stretches.windows(2).any(|w| w[0].0 == w[1].0 && (!has_entry || w[1].1 < w[0].2))
}
