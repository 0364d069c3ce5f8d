//! A mapping: how a national file becomes the study's dictionary. One TOML file per site, written once.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tributary_core::{
    cohort::nearly_whole,
    spec::{Dictionary, Fault, Source, VariableKind, suggestion},
};

use super::{
    folder::{SiteError, read_text},
    format::{AMBIGUOUS_NUMBER, FileFormat, NOT_THE_DATE_FORM, Typed},
    reader::{RawTable, TextFormat},
    records::Widespread,
};

/// File `mapping.toml`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MappingFile {
    /// How the file is written.
    #[serde(default)]
    file: FileFormat,
    /// Where each variable of the dictionary comes from.
    columns: BTreeMap<String, ColumnSource>,
    /// Codes of the file → codes of the dictionary, by variable; `_other` is for all codes not listed.
    #[serde(default)]
    recode: BTreeMap<String, BTreeMap<String, String>>,
    /// Variables that have one value for all records.
    #[serde(default)]
    constants: BTreeMap<String, String>,
}

/// A code that the dictionary does not have.
pub(super) const NOT_A_CODE: &str = "is not a code of the dictionary";

/// Rounding of a computed number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Round {
    /// Towards −∞.
    Down,
    /// To the nearest whole number.
    Nearest,
}

impl Round {
    /// Rounds; a number that is whole but for floating-point noise is that whole number.
    fn of(self, x: f64) -> f64 {
        let half = match self {
            Self::Down => return nearly_whole(x).unwrap_or_else(|| x.floor()),
            // Twice the number is whole at a half, which goes away from zero.
            Self::Nearest => nearly_whole(2.0 * x).map(|twice| twice / 2.0),
        };
        half.unwrap_or(x).round()
    }
}

/// Where a variable comes from: a column as it is, or a column with steps.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum ColumnSource {
    /// A column as it is.
    Column(String),
    /// Several columns joined.
    Join(JoinedColumns),
    /// A column with steps.
    Steps(Box<ColumnSteps>),
}

/// Several columns joined.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct JoinedColumns {
    /// Columns.
    #[schemars(length(min = 1))]
    join: Vec<String>,
    /// Text between them.
    #[serde(default)]
    with: String,
}

/// A column and what is done to it, in the order of these fields.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ColumnSteps {
    /// Column.
    from: String,
    /// Text that is taken out.
    #[serde(default)]
    remove: Option<String>,
    /// Regular expression whose first group is kept.
    #[serde(default, rename = "match")]
    pattern: Option<String>,
    /// Text that is put in front.
    #[serde(default)]
    prefix: Option<String>,
    /// Number it is multiplied by.
    #[serde(default)]
    multiply: Option<f64>,
    /// Number it is divided by.
    #[serde(default)]
    divide: Option<f64>,
    /// Rounding after that.
    #[serde(default)]
    round: Option<Round>,
    /// A date variable to which it is added as days.
    #[serde(default)]
    add_days_to: Option<String>,
}

impl ColumnSource {
    fn inputs(&self) -> Vec<&String> {
        match self {
            Self::Column(name) => vec![name],
            Self::Join(joined) => joined.join.iter().collect(),
            Self::Steps(steps) => vec![&steps.from],
        }
    }

    fn base_date(&self) -> Option<&String> {
        match self {
            Self::Steps(steps) => steps.add_days_to.as_ref(),
            Self::Column(_) | Self::Join(_) => None,
        }
    }
}

/// A checked mapping.
#[derive(Debug, Clone)]
pub struct Mapping {
    source: Source,
    file: MappingFile,
}

/// What a cell became: a text in the dictionary's codes, or why not.
pub(super) type Mapped = Result<Option<String>, &'static str>;

impl Mapping {
    /// JSON schema of the file.
    pub fn schema() -> Value {
        schemars::schema_for!(MappingFile).to_value()
    }

    /// Reads a mapping and checks it against the dictionary.
    pub fn open(path: &Path, dictionary: &Dictionary) -> Result<Self, SiteError> {
        let text = read_text(path)?;
        let source = Source::parse(&path.display().to_string(), &text)?;
        let file: MappingFile = source.read(&Self::schema())?;
        let mut faults = Vec::new();
        file.file.check(&mut faults);
        let known: Vec<String> = dictionary.iter().map(|(name, _)| name.to_owned()).collect();
        let tables = [
            ("columns", file.columns.keys().collect::<Vec<_>>()),
            ("recode", file.recode.keys().collect()),
            ("constants", file.constants.keys().collect()),
        ];
        for (table, names) in tables {
            for name in names.into_iter().filter(|name| !known.contains(name)) {
                let fault = Fault::new(
                    format!("/{table}/{name}"),
                    format!("the dictionary has no variable `{name}`"),
                );
                faults.push(fault.at_key().hint(suggestion(name, &known)));
            }
        }
        for (name, column) in &file.columns {
            let at = format!("/columns/{name}");
            if let ColumnSource::Steps(steps) = column {
                let pattern = steps.pattern.as_ref().map(|p| regex::Regex::new(p));
                match pattern {
                    Some(Err(error)) => {
                        faults.push(Fault::new(
                            format!("{at}/match"),
                            format!("not a valid regular expression: {error}"),
                        ));
                    }
                    Some(Ok(pattern)) if pattern.captures_len() < 2 => {
                        let hint = "put the part to be kept in parentheses: \"^([0-9]{4})\"";
                        faults.push(
                            Fault::new(format!("{at}/match"), "the pattern has no group")
                                .hint(hint),
                        );
                    }
                    Some(Ok(_)) | None => {}
                }
                for (step, factor) in [("multiply", steps.multiply), ("divide", steps.divide)] {
                    if factor == Some(0.0) {
                        let message = "found 0, expected a number other than 0";
                        faults.push(Fault::new(format!("{at}/{step}"), message));
                    }
                }
            }
            if let Some(base) = column.base_date() {
                let is_date = dictionary.get(base).is_some_and(|v| v.kind == VariableKind::Date);
                let direct = file.columns.get(base).is_some_and(|c| c.base_date().is_none());
                if !is_date || !direct {
                    let message = format!("`{base}` is not a date variable in this mapping");
                    faults.push(Fault::new(format!("{at}/add_days_to"), message));
                }
            }
        }
        if faults.is_empty() {
            Ok(Self { source, file })
        } else {
            Err(source.faults(&faults).into())
        }
    }

    /// How the file is written.
    pub(super) fn format(&self) -> TextFormat {
        let delimiter = self.file.file.delimiter.as_bytes().first().copied().unwrap_or(b',');
        TextFormat { encoding: self.file.file.encoding.clone(), delimiter }
    }

    /// The mark around fields.
    pub(super) fn quote(&self) -> Option<u8> {
        self.file.file.quote.as_bytes().first().copied()
    }

    /// Points at every column that the file lacks, and at those that are no text. Names of the file are shown only if at least half of
    /// the columns asked for are there: else its first line may be no header, but a record.
    pub(super) fn check_columns(&self, data: &Path, table: &RawTable) -> Result<(), SiteError> {
        let file = data.file_name().map_or_else(String::new, |f| f.to_string_lossy().into_owned());
        let asked: BTreeSet<&String> =
            self.file.columns.values().flat_map(ColumnSource::inputs).collect();
        let is_there =
            |name: &String| table.columns.contains_key(name) || table.unreadable(name).is_some();
        let absent: Vec<&str> =
            asked.iter().filter(|name| !is_there(name)).map(|name| name.as_str()).collect();
        if 2 * absent.len() > asked.len() {
            let message = format!(
                "{file} has {} of the {} columns that the mapping asks for in its first line; {} missing: `{}`",
                asked.len() - absent.len(),
                asked.len(),
                absent.len(),
                absent.join("`, `")
            );
            let delimiter = &self.file.file.delimiter;
            let hint = format!(
                "the first line must name the columns; with delimiter {delimiter:?} it has {} of them",
                table.columns.len()
            );
            let fault = Fault::new("/columns", message).at_key().hint(hint);
            return Err(self.source.faults(&[fault]).into());
        }
        let known: Vec<String> = table.columns.keys().cloned().collect();
        let mut faults = Vec::new();
        for (name, column) in &self.file.columns {
            for input in column.inputs() {
                let at = format!("/columns/{name}");
                if let Some(holds) = table.unreadable(input) {
                    let message = format!(
                        "column `{input}` of {file} contains {holds}, not text, numbers or dates"
                    );
                    faults.push(Fault::new(at, message).hint("store plain values"));
                } else if !table.columns.contains_key(input) {
                    let message = format!("{file} has no column `{input}`");
                    faults.push(Fault::new(at, message).hint(suggestion(input, &known)));
                }
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(self.source.faults(&faults).into()) }
    }

    /// Points at what in the mapping makes most values of a variable wrong. One wrong form of dates is one fault.
    pub(super) fn widespread(&self, found: &[Widespread], dictionary: &Dictionary) -> SiteError {
        let mut faults = Vec::new();
        let count = |w: &Widespread| {
            format!("{} of {} values of `{}` (first: {})", w.faults, w.known, w.variable, w.first)
        };
        let (dates, rest): (Vec<&Widespread>, Vec<&Widespread>) =
            found.iter().partition(|w| w.reason == NOT_THE_DATE_FORM);
        let (numbers, rest): (Vec<&Widespread>, Vec<&Widespread>) =
            rest.into_iter().partition(|w| w.reason == AMBIGUOUS_NUMBER);
        let list = |of: &[&Widespread]| of.iter().map(|w| count(w)).collect::<Vec<_>>().join(", ");
        if !dates.is_empty() {
            let form = &self.file.file.date_format;
            let message = format!("{} do not have the form {form:?}", list(&dates));
            let hint = "give the form of dates in date_format under [file], such as \"%d.%m.%Y\" for 31.12.1999";
            faults.push(Fault::new("/file/date_format", message).hint(hint));
        }
        if !numbers.is_empty() {
            let message = format!(
                "{} contain a point, which may be a decimal point or a thousands separator",
                list(&numbers)
            );
            let hint = "write thousands = \".\" beside decimal = \",\" if points are thousands separators, and decimal = \".\" if they are \
                        decimal signs";
            faults.push(Fault::new("/file/decimal", message).hint(hint));
        }
        for w in rest {
            let table = if self.is_constant(&w.variable) { "constants" } else { "columns" };
            let message = format!(
                "`{}` {} in {} of {} records with a value, first in {}",
                w.variable, w.reason, w.faults, w.known, w.first
            );
            let hint = match dictionary.get(&w.variable) {
                Some(variable) if w.reason == NOT_A_CODE => format!(
                    "give the codes of the file under [recode.{}]; the dictionary has {}; `_other = \"\"` treats all other codes as unknown",
                    w.variable,
                    variable.levels.join(", ")
                ),
                _ => "the mapping may read the wrong column, or need a further step".into(),
            };
            faults.push(Fault::new(format!("/{table}/{}", w.variable), message).hint(hint));
        }
        self.source.faults(&faults).into()
    }

    /// Whether a variable has one value for all records.
    pub(super) fn is_constant(&self, variable: &str) -> bool {
        self.file.constants.contains_key(variable)
    }

    /// Whether the mapping gives this variable.
    pub(super) fn gives(&self, variable: &str) -> bool {
        self.file.columns.contains_key(variable) || self.file.constants.contains_key(variable)
    }

    /// All cells of one variable. Dates come out in ISO form.
    pub(super) fn map(&self, variable: &str, kind: VariableKind, table: &RawTable) -> Vec<Mapped> {
        if let Some(constant) = self.file.constants.get(variable) {
            return vec![Ok(Some(constant.clone())); table.rows];
        }
        let Some(source) = self.file.columns.get(variable) else {
            return vec![Ok(None); table.rows];
        };
        let recode = self.file.recode.get(variable);
        let recoded = |cell: String| match recode {
            Some(codes) => {
                codes.get(&cell).or_else(|| codes.get("_other")).cloned().unwrap_or(cell)
            }
            None => cell,
        };
        let column = |name: &String| &table.columns[name];
        let known =
            |cell: &Option<String>| cell.clone().filter(|c| !self.file.file.missing.contains(c));
        // A code that is recoded to nothing is unknown.
        let finish = |cell: Option<String>, typed: Typed| -> Mapped {
            match cell.map(recoded).filter(|text| !text.is_empty()) {
                Some(text) if kind == VariableKind::Date => {
                    self.file.file.date(&text, typed).map(|d| Some(d.to_string()))
                }
                Some(text) if is_number(kind) => self.file.file.number(text, typed).map(Some),
                other => Ok(other),
            }
        };
        match source {
            ColumnSource::Column(name) => {
                let typed = Typed::of(table, name);
                column(name).iter().map(|cell| finish(known(cell), typed)).collect()
            }
            ColumnSource::Join(JoinedColumns { join, with }) => (0..table.rows)
                .map(|row| {
                    let parts: Option<Vec<String>> =
                        join.iter().map(|name| known(&column(name)[row])).collect();
                    finish(parts.map(|parts| parts.join(with)), Typed::default())
                })
                .collect(),
            ColumnSource::Steps(steps) => {
                let base = steps
                    .add_days_to
                    .as_ref()
                    .map(|base| self.map(base, VariableKind::Date, table));
                let pattern = steps.pattern.as_ref().and_then(|p| regex::Regex::new(p).ok());
                let cells = column(&steps.from);
                let typed = Typed::of(table, &steps.from);
                (0..table.rows)
                    .map(|row| {
                        let Some(cell) = known(&cells[row]) else { return Ok(None) };
                        let (cell, typed) = self.steps(steps, pattern.as_ref(), cell, typed)?;
                        let Some(base) = &base else { return finish(Some(cell), typed) };
                        // A start that cannot be read is told at its own variable.
                        let Ok(Some(start)) = &base[row] else { return Ok(None) };
                        let days = self.file.file.number(cell, typed)?.parse().ok();
                        let days =
                            days.and_then(nearly_whole).ok_or("is not a whole number of days")?;
                        let start: Date = start.parse().map_err(|_| "is not a date")?;
                        let far = "is outside the calendar";
                        let span = jiff::Span::new().try_days(days as i64).map_err(|_| far)?;
                        Ok(Some(start.checked_add(span).map_err(|_| far)?.to_string()))
                    })
                    .collect()
            }
        }
    }

    fn steps(
        &self,
        steps: &ColumnSteps,
        pattern: Option<&regex::Regex>,
        cell: String,
        typed: Typed,
    ) -> Result<(String, Typed), &'static str> {
        let (mut cell, mut typed) = (cell, typed);
        if let Some(remove) = &steps.remove {
            cell = cell.replace(remove, "");
        }
        if let Some(pattern) = pattern {
            let found = pattern.captures(&cell).and_then(|c| c.get(1));
            let kept = found.ok_or("does not match the pattern in `match`")?;
            cell = String::from(kept.as_str());
            // Part of an ISO date, such as its year, is no date any more.
            typed.is_date = false;
        }
        if let Some(prefix) = &steps.prefix {
            cell.insert_str(0, prefix);
        }
        if steps.multiply.is_some() || steps.divide.is_some() || steps.round.is_some() {
            let number = self.file.file.number(cell, typed)?;
            let number: f64 = number.parse().map_err(|_| "is not a number")?;
            let number = number * steps.multiply.unwrap_or(1.0) / steps.divide.unwrap_or(1.0);
            cell = steps.round.map_or(number, |round| round.of(number)).to_string();
            typed = Typed { is_number: true, is_date: false };
        }
        Ok((cell, typed))
    }
}

fn is_number(kind: VariableKind) -> bool {
    match kind {
        VariableKind::Days | VariableKind::Integer | VariableKind::Real => true,
        VariableKind::Category | VariableKind::Flag | VariableKind::Date | VariableKind::Text => {
            false
        }
    }
}
