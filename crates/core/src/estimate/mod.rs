//! What a fit says: tables whose columns carry the field's names, a status on every row, a method card and a record of the
//! fit. Reports, CSV files and figures all read these, so that they cannot disagree.

mod field;
mod row;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use field::{Field, Role, Unit};
pub use row::{Cell, Column, Number, Row};

/// How close the result is to the same analysis of the physically pooled rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING-KEBAB-CASE")]
pub enum Exactness {
    /// Equal to it.
    Exact,
    /// Equal to it, stratified by site.
    ExactStratified,
    /// Equal to it for data recorded on the declared time grid.
    Grouped,
    /// Equal to it but for interpolation between the points of a likelihood curve.
    LikelihoodApprox,
    /// Pooled from the sites' own estimates.
    TwoStage,
}

/// What happened to a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// As it should be.
    #[default]
    Ok,
    /// On the border of its range: 0, 1, τ² = 0.
    Boundary,
    /// Bounded on one side only.
    OneSided,
    /// Nothing happened to anybody.
    NoEvents,
    /// Nobody was at risk, or nothing to compare.
    NoRiskSet,
    /// Later than the last follow-up.
    BeyondFollowup,
    /// The likelihood has no finite maximum.
    Monotone,
    /// The iterations were stopped.
    Nonconverged,
    /// The likelihood has several maxima.
    Multimodal,
    /// Too few studies.
    KTooSmall,
    /// Hidden by a disclosure rule.
    Suppressed,
    /// The data say nothing about it.
    NotIdentified,
    /// Read from beyond the range of a table.
    Extrapolated,
    /// Classes were merged.
    Collapsed,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 14] = [
        Self::Ok,
        Self::Boundary,
        Self::OneSided,
        Self::NoEvents,
        Self::NoRiskSet,
        Self::BeyondFollowup,
        Self::Monotone,
        Self::Nonconverged,
        Self::Multimodal,
        Self::KTooSmall,
        Self::Suppressed,
        Self::NotIdentified,
        Self::Extrapolated,
        Self::Collapsed,
    ];

    /// The status word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Boundary => "BOUNDARY",
            Self::OneSided => "ONE_SIDED",
            Self::NoEvents => "NO_EVENTS",
            Self::NoRiskSet => "NO_RISK_SET",
            Self::BeyondFollowup => "BEYOND_FOLLOWUP",
            Self::Monotone => "MONOTONE",
            Self::Nonconverged => "NONCONVERGED",
            Self::Multimodal => "MULTIMODAL",
            Self::KTooSmall => "K_TOO_SMALL",
            Self::Suppressed => "SUPPRESSED",
            Self::NotIdentified => "NOT_IDENTIFIED",
            Self::Extrapolated => "EXTRAPOLATED",
            Self::Collapsed => "COLLAPSED",
        }
    }
}

/// One cell of a result table. A number is finite by construction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// Nothing: hidden, not reached or not defined; the row's status says which.
    None,
    /// A number.
    Number(f64),
    /// A word.
    Text(String),
}

impl Value {
    /// The number, or nothing if it is not finite. A zero has no sign.
    pub fn number(x: f64) -> Self {
        if x.is_finite() { Self::Number(x + 0.0) } else { Self::None }
    }

    /// The number as a float.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(x) => Some(*x),
            Self::None | Self::Text(_) => None,
        }
    }

    /// The text, empty if it is none.
    pub fn as_text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::None | Self::Number(_) => "",
        }
    }
}

impl From<f64> for Value {
    fn from(x: f64) -> Self {
        Self::number(x)
    }
}

impl From<Option<f64>> for Value {
    fn from(x: Option<f64>) -> Self {
        x.map_or(Self::None, Self::number)
    }
}

impl From<u64> for Value {
    fn from(n: u64) -> Self {
        Self::Number(n as f64)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<&String> for Value {
    fn from(text: &String) -> Self {
        Self::Text(text.clone())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Status> for Value {
    fn from(status: Status) -> Self {
        Self::Text(status.word().to_owned())
    }
}

/// Where a table is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    /// On the page of its model.
    #[default]
    Page,
    /// By a figure.
    Figure,
    /// In the table file only.
    File,
}

impl Shown {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
    fn is_page(&self) -> bool {
        *self == Self::Page
    }
}

/// How a figure draws a table: a line for each combination of some columns, `estimate` over its first column of times, with its limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines {
    /// Columns that tell lines apart.
    pub by: Vec<String>,
    /// Whether a value holds until the next time.
    pub steps: bool,
    /// Where a line begins at time 0; it begins at its first point if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Beginning>,
}

/// Where a line begins at time 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Beginning {
    /// At 0.
    Zero,
    /// At 1.
    One,
    /// At 1 for the state in which everybody begins (its first two columns agree), at 0 for the others.
    State,
}

/// A tidy table: one row per term, time or cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Name, unique within the estimate: `terms`, `curve`, `tests`, …
    pub name: String,
    /// Where it is shown.
    #[serde(default, skip_serializing_if = "Shown::is_page")]
    pub shown: Shown,
    /// How a figure draws it, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<Lines>,
    /// Columns, in order.
    pub columns: Vec<Field>,
    /// Rows of as many values.
    pub rows: Vec<Vec<Value>>,
}

impl Table {
    /// An empty table. The names of its columns tell their units, where [`Self::unit`] does not.
    pub fn new(name: &str, columns: &[&str]) -> Self {
        let columns = field::resolved(columns.iter().map(|name| Field::from(*name)).collect());
        Self { name: name.to_owned(), shown: Shown::Page, lines: None, columns, rows: Vec::new() }
    }

    /// The same with another unit of a column, and of its limits.
    #[must_use]
    pub fn unit(mut self, column: &str, unit: Unit) -> Self {
        if let Some(at) = self.position(column) {
            self.columns[at] = Field::new(column, unit);
            self.columns = field::resolved(self.columns);
        }
        self
    }

    /// The same with words in these columns, as far as it has them.
    #[must_use]
    pub fn worded(self, columns: &[&str]) -> Self {
        columns.iter().fold(self, |table, column| table.unit(column, Unit::Text))
    }

    /// The same, shown elsewhere.
    #[must_use]
    pub fn shown(self, shown: Shown) -> Self {
        Self { shown, ..self }
    }

    /// The same, drawn as lines told apart by these columns.
    #[must_use]
    pub fn drawn(mut self, by: &[&str], steps: bool, start: Option<Beginning>) -> Self {
        let by = by.iter().map(|c| (*c).to_owned()).collect();
        self.lines = Some(Lines { by, steps, start });
        self
    }

    /// The same, its numbers of no other unit being proportions or probabilities.
    #[must_use]
    pub fn of_shares(mut self) -> Self {
        for field in &mut self.columns {
            if field.unit == Unit::Number {
                field.unit = Unit::Share;
            }
        }
        self
    }

    /// Adds a row of as many values as there are columns.
    pub fn push(&mut self, row: Vec<Value>) {
        debug_assert_eq!(row.len(), self.columns.len(), "table {} has other columns", self.name);
        self.rows.push(row);
    }

    /// Position of a column.
    pub fn position(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|c| c.name == column)
    }

    /// A cell; nothing where row or column is not there.
    pub fn cell(&self, row: usize, column: &str) -> &Value {
        let at = self.position(column);
        self.rows.get(row).zip(at).and_then(|(row, at)| row.get(at)).unwrap_or(&Value::None)
    }

    /// A number.
    pub fn number(&self, row: usize, column: &str) -> Option<f64> {
        self.cell(row, column).as_number()
    }

    /// A word.
    pub fn text(&self, row: usize, column: &str) -> &str {
        self.cell(row, column).as_text()
    }

    /// First row in which the column holds this word.
    pub fn find(&self, column: &str, word: &str) -> Option<usize> {
        (0..self.rows.len()).find(|&row| self.text(row, column) == word)
    }
}

/// How the iterations went.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FitRecord {
    /// Rounds in which the sites were asked.
    pub rounds: usize,
    /// Log-likelihood after each evaluation of the parameters.
    pub log_likelihood: Vec<f64>,
    /// Whether the maximum was found.
    pub converged: bool,
    /// Condition number of the information, scaled to unit diagonal.
    pub condition: Option<f64>,
}

/// Something a reader should know, with what can be done about it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// Status that the notice explains.
    pub status: Status,
    /// Key of the sentence in the locale file.
    pub key: String,
    /// Values for the sentence.
    pub values: BTreeMap<String, String>,
}

impl Notice {
    /// A notice with the values of its sentence.
    pub fn new(status: Status, key: &str, values: &[(&str, String)]) -> Self {
        let values = values.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        Self { status, key: key.to_owned(), values }
    }
}

/// A line of a method card, as keys of the locale file: what was to be chosen, and what was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CardLine {
    /// What was to be chosen: `estimator`, `ties`, `interval`, …
    pub term: String,
    /// What was chosen.
    pub choice: String,
    /// Values for its sentence.
    pub values: BTreeMap<String, String>,
}

/// The result of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// How it compares with the same analysis of pooled rows.
    pub exactness: Exactness,
    /// Worst that happened.
    pub status: Status,
    /// Sites whose answers are in it.
    pub sites: usize,
    /// Method card: what was chosen, in order of reading.
    pub card: Vec<CardLine>,
    /// Results.
    pub tables: Vec<Table>,
    /// Record of an iterative fit.
    pub fit: Option<FitRecord>,
    /// What a reader should know.
    pub notices: Vec<Notice>,
}

impl Estimate {
    /// An estimate without tables yet.
    pub fn new(exactness: Exactness, sites: usize) -> Self {
        let (card, tables, notices) = Default::default();
        Self { exactness, status: Status::Ok, sites, card, tables, fit: None, notices }
    }

    /// Adds a line to the method card.
    pub fn line(&mut self, term: &str, choice: &str, values: &[(&str, String)]) {
        let values = values.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        self.card.push(CardLine { term: term.to_owned(), choice: choice.to_owned(), values });
    }

    /// Adds a notice; the first one that is not OK becomes the status of the whole.
    pub fn notice(&mut self, notice: Notice) {
        if self.status == Status::Ok {
            self.status = notice.status;
        }
        self.notices.push(notice);
    }

    /// The table called `name`.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|t| t.name == name)
    }
}
