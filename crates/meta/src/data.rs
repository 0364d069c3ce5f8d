//! The data file: its kind is read from its columns.

use std::collections::BTreeMap;

use tributary_stats::effect_size::{Measure, StudyData};

use super::sheet::Sheet;

/// What a file reports per study.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Events and persons of two arms.
    TwoArms,
    /// Events and person-time of two arms.
    Rates,
    /// Events among persons.
    Proportion,
    /// Estimate and standard error.
    Generic,
}

/// Columns of each kind.
const COLUMNS: [(Kind, &[&str]); 4] = [
    (Kind::TwoArms, &["events1", "n1", "events2", "n2"]),
    (Kind::Rates, &["events1", "time1", "events2", "time2"]),
    (Kind::Generic, &["estimate", "std_error"]),
    (Kind::Proportion, &["events", "n"]),
];

impl Kind {
    /// Measures that fit, the usual one first.
    pub fn measures(self) -> &'static [Measure] {
        use Measure as M;
        match self {
            Self::TwoArms => {
                &[M::OddsRatio, M::RiskRatio, M::RiskDifference, M::Peto, M::ArcsineDifference]
            }
            Self::Rates => &[M::RateRatio, M::RateDifference],
            Self::Proportion => {
                &[M::Logit, M::Proportion, M::LogProportion, M::Arcsine, M::DoubleArcsine]
            }
            Self::Generic => &[M::Generic, M::HazardRatio],
        }
    }

    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::TwoArms => "counts of two arms (events1, n1, events2, n2)",
            Self::Rates => "events and person-time of two arms (events1, time1, events2, time2)",
            Self::Proportion => "events among persons (events, n)",
            Self::Generic => "estimates with standard errors (estimate, std_error)",
        }
    }

    /// Names of the measures that fit.
    pub fn measure_words(self) -> &'static str {
        match self {
            Self::TwoArms => "OR, RR, RD, PETO or AS",
            Self::Rates => "IRR or IRD",
            Self::Proportion => "PLO, PR, PLN, PAS or PFT",
            Self::Generic => "GEN or HR",
        }
    }
}

/// What is wrong with a file or what is asked of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// The file is no text.
    #[error(
        "the file is {found}, expected comma-separated text in UTF-8: export the table as CSV (UTF-8) and give that file"
    )]
    Other {
        /// What it is.
        found: &'static str,
    },
    /// Text in another encoding.
    #[error("line {line} is not UTF-8 text: save the file as CSV (UTF-8)")]
    Encoding {
        /// Line of the file.
        line: usize,
    },
    /// Another delimiter.
    #[error(
        "line 1: the columns are separated by {found}, expected commas: save the file as comma-separated text, with points in decimal numbers such as 0.25"
    )]
    Delimiter {
        /// Delimiter.
        found: &'static str,
    },
    /// A line with more or fewer fields than the header.
    #[error(
        "line {line}: found {found} fields, expected {wanted} as in the header: quote a field that contains a comma, and leave a missing one empty between its commas"
    )]
    Fields {
        /// Line of the file.
        line: usize,
        /// Fields there are.
        found: usize,
        /// Fields of the header.
        wanted: usize,
    },
    /// A field with a line break.
    #[error(
        "line {line}: a field runs over several lines: close its quote on the line, or take the quote away"
    )]
    Quote {
        /// Line of the file.
        line: usize,
    },
    /// A column name that occurs twice.
    #[error("line 1: two columns are called `{name}`: rename one of them")]
    Twice {
        /// Name.
        name: String,
    },
    /// The file is no table.
    #[error("the file cannot be read as comma-separated text: {reason}")]
    Table {
        /// Why.
        reason: String,
    },
    /// No kind has these columns.
    #[error(
        "line 1: the columns are {found}{missing}; expected study and one of: events1, n1, events2, n2 | events1, time1, events2, time2 | events, n | estimate, std_error"
    )]
    Columns {
        /// Columns.
        found: String,
        /// What the nearest kind lacks, in words.
        missing: String,
    },
    /// A cell.
    #[error("line {line}, column `{column}`: found `{found}`, expected {wanted}")]
    Cell {
        /// Line of the file.
        line: usize,
        /// Column.
        column: String,
        /// What stands there.
        found: String,
        /// What should.
        wanted: &'static str,
    },
    /// No study.
    #[error("the file has no studies")]
    Empty,
    /// A column that is asked for.
    #[error("there is no column `{name}`; columns: {known}")]
    Column {
        /// Name.
        name: String,
        /// Columns there are.
        known: String,
    },
    /// A measure of another kind of data.
    #[error("the file has {found}: the measure is {wanted}")]
    Measure {
        /// Kind of data.
        found: &'static str,
        /// Measures that fit.
        wanted: &'static str,
    },
    /// Weights that do not fit the studies.
    #[error(
        "GENQ needs a weight of each study with an effect: found {found}, expected {wanted}; give their column with --weights"
    )]
    Weights {
        /// Weights.
        found: usize,
        /// Studies.
        wanted: usize,
    },
    /// An outcome that a study has twice.
    #[error("study `{study}` has the outcome `{outcome}` twice; expected one line for each")]
    Repeated {
        /// Study.
        study: String,
        /// Outcome.
        outcome: String,
    },
    /// A method or a test that is named twice.
    #[error("the {what} {word} is named twice; name it once")]
    NamedTwice {
        /// Method or test.
        what: &'static str,
        /// Its name.
        word: &'static str,
    },
    /// A study whose doses cannot be used.
    #[error("study `{study}`: {reason}")]
    Doses {
        /// Study.
        study: String,
        /// What is wrong, and what was wanted.
        reason: &'static str,
    },
    /// An option that nothing uses.
    #[error("{option} has no effect here: {reason}")]
    Unused {
        /// Option.
        option: &'static str,
        /// Why, and what to do.
        reason: String,
    },
    /// A covariance of two outcomes of a study that is missing or cannot be.
    #[error("the covariances of study `{study}`{place}: {reason}")]
    Covariance {
        /// Study.
        study: String,
        /// Line of the file, in words; nothing where none is at fault.
        place: String,
        /// What is wrong, and what was wanted.
        reason: String,
    },
    /// A method of another kind of data.
    #[error(
        "method {method} does not apply to {found} with this measure; expected one of {wanted}"
    )]
    Method {
        /// Method.
        method: &'static str,
        /// Kind of data.
        found: &'static str,
        /// Methods that apply.
        wanted: String,
    },
}

/// Studies of one file.
#[derive(Debug, Clone)]
pub struct Dataset {
    /// What it reports.
    pub kind: Kind,
    /// Names and numbers.
    pub studies: Vec<(String, StudyData)>,
    /// All columns by name, as they are written.
    pub columns: BTreeMap<String, Vec<String>>,
    /// Line of the file of each study.
    pub lines: Vec<usize>,
}

/// What the kind lacks that has most of these columns.
fn missing(head: &[String]) -> String {
    let has = |name: &str| head.iter().any(|h| h == name);
    let lacks = |columns: &[&'static str]| -> Vec<&'static str> {
        std::iter::once("study").chain(columns.iter().copied()).filter(|c| !has(c)).collect()
    };
    let known = |columns: &[&str]| columns.iter().filter(|c| has(c)).count();
    let nearest = COLUMNS.iter().rev().max_by_key(|(_, columns)| known(columns));
    match nearest.filter(|(_, columns)| known(columns) > 0) {
        Some((kind, columns)) => {
            format!("; {} lack {}", kind.words(), lacks(columns).join(", "))
        }
        None => String::new(),
    }
}

impl Dataset {
    /// Reads comma-separated text with a header.
    ///
    /// # Errors
    /// If it has other columns, or a number cannot be.
    pub fn parse(text: &str) -> Result<Self, DataError> {
        let sheet = Sheet::read(text)?;
        let head = &sheet.head;
        let found = COLUMNS.iter().find(|(_, columns)| {
            columns.iter().all(|c| head.iter().any(|h| h == c)) && head.iter().any(|h| h == "study")
        });
        let Some((kind, wanted)) = found else {
            return Err(DataError::Columns { found: head.join(", "), missing: missing(head) });
        };
        let places =
            wanted.iter().map(|name| sheet.column(name)).collect::<Result<Vec<usize>, _>>()?;
        let study = sheet.column("study")?;
        let mut columns: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut studies = Vec::new();
        for row in &sheet.rows {
            let numbers = places
                .iter()
                .map(|&at| sheet.number(row, at, "a number"))
                .collect::<Result<Vec<f64>, _>>()?;
            check(*kind, wanted, &numbers, row.line)?;
            studies.push((row.cell(study).to_owned(), data_of(*kind, &numbers)));
            for (at, name) in head.iter().enumerate() {
                columns.entry(name.clone()).or_default().push(row.cell(at).to_owned());
            }
        }
        if studies.is_empty() {
            return Err(DataError::Empty);
        }
        let lines = sheet.rows.iter().map(|row| row.line).collect();
        Ok(Self { kind: *kind, studies, columns, lines })
    }

    /// A column as it is written.
    ///
    /// # Errors
    /// If there is none.
    pub fn column(&self, name: &str) -> Result<&[String], DataError> {
        let known = || self.columns.keys().cloned().collect::<Vec<_>>().join(", ");
        let missing = || DataError::Column { name: name.to_owned(), known: known() };
        self.columns.get(name).map(Vec::as_slice).ok_or_else(missing)
    }
}

fn data_of(kind: Kind, n: &[f64]) -> StudyData {
    match kind {
        Kind::TwoArms => StudyData::Counts { events1: n[0], n1: n[1], events2: n[2], n2: n[3] },
        Kind::Rates => StudyData::Rates { events1: n[0], time1: n[1], events2: n[2], time2: n[3] },
        Kind::Proportion => StudyData::Events { events: n[0], n: n[1] },
        Kind::Generic => StudyData::Estimate { estimate: n[0], variance: n[1] * n[1] },
    }
}

/// Counts are whole and fit their totals; standard errors and person-time are positive.
fn check(kind: Kind, columns: &[&str], numbers: &[f64], line: usize) -> Result<(), DataError> {
    let fault = |i: usize, wanted: &'static str| DataError::Cell {
        line,
        column: columns[i].to_owned(),
        found: numbers[i].to_string(),
        wanted,
    };
    let whole = |i: usize| {
        let is = numbers[i] >= 0.0 && numbers[i].fract() == 0.0;
        if is { Ok(()) } else { Err(fault(i, "a whole number, 0 or more")) }
    };
    match kind {
        Kind::Generic if numbers[1] <= 0.0 => Err(fault(1, "a standard error above 0")),
        Kind::Generic => Ok(()),
        Kind::TwoArms | Kind::Proportion => {
            for i in (0..numbers.len()).step_by(2) {
                whole(i)?;
                whole(i + 1)?;
                if numbers[i] > numbers[i + 1] {
                    return Err(fault(i, "no more events than persons"));
                }
            }
            Ok(())
        }
        Kind::Rates => {
            for i in [0, 2] {
                whole(i)?;
                if numbers[i + 1] <= 0.0 {
                    return Err(fault(i + 1, "person-time above 0"));
                }
            }
            Ok(())
        }
    }
}
