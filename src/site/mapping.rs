//! A mapping: how a national file becomes the study's dictionary. One TOML file per site, written once.

use std::{collections::BTreeMap, path::Path};

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    folder::{SiteError, read_text},
    reader::{RawTable, TextFormat},
};
use crate::spec::{Dictionary, Fault, Source, VariableKind, suggestion};

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

/// How the file is written.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct FileFormat {
    /// Name of the file the mapping was written for; `site.toml` says which one is read.
    path: Option<String>,
    /// Encoding of delimited text.
    encoding: String,
    /// Field delimiter.
    delimiter: String,
    /// Decimal sign of numbers.
    decimal: String,
    /// Form of dates (strftime).
    date_format: String,
    /// Cells that mean "not known".
    missing: Vec<String>,
}

impl Default for FileFormat {
    fn default() -> Self {
        Self {
            path: None,
            encoding: "utf-8".into(),
            delimiter: ",".into(),
            decimal: ".".into(),
            date_format: "%Y-%m-%d".into(),
            missing: vec![String::new()],
        }
    }
}

/// Rounding of a computed number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Round {
    /// Towards −∞.
    Down,
    /// To the nearest whole number.
    Nearest,
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
        if file.file.delimiter.len() != 1 {
            faults.push(Fault::new(
                "/file/delimiter",
                "the delimiter is one character, such as \";\" or \"\\t\"",
            ));
        }
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
                            format!("no regular expression: {error}"),
                        ));
                    }
                    Some(Ok(pattern)) if pattern.captures_len() < 2 => {
                        let hint = "put what is to be kept in parentheses: \"^([0-9]{4})\"";
                        faults.push(
                            Fault::new(format!("{at}/match"), "the pattern has no group")
                                .hint(hint),
                        );
                    }
                    Some(Ok(_)) | None => {}
                }
            }
            if let Some(base) = column.base_date() {
                let is_date = dictionary.get(base).is_some_and(|v| v.kind == VariableKind::Date);
                let direct = file.columns.get(base).is_some_and(|c| c.base_date().is_none());
                if !is_date || !direct {
                    let message =
                        format!("`{base}` is not a date that this mapping reads from the file");
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

    /// Points at every column that the file lacks.
    pub(super) fn check_columns(&self, data: &Path, table: &RawTable) -> Result<(), SiteError> {
        let known: Vec<String> = table.columns.keys().cloned().collect();
        let mut faults = Vec::new();
        for (name, column) in &self.file.columns {
            for input in
                column.inputs().into_iter().filter(|input| !table.columns.contains_key(*input))
            {
                let file =
                    data.file_name().map_or_else(String::new, |f| f.to_string_lossy().into_owned());
                let message = format!("{file} has no column `{input}`");
                faults.push(
                    Fault::new(format!("/columns/{name}"), message).hint(suggestion(input, &known)),
                );
            }
        }
        if faults.is_empty() { Ok(()) } else { Err(self.source.faults(&faults).into()) }
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
        let finish = |cell: Option<String>| -> Mapped {
            match cell.map(recoded) {
                Some(text) if kind == VariableKind::Date => {
                    self.date(&text).map(|d| Some(d.to_string()))
                }
                Some(text) if is_number(kind) => Ok(Some(self.number_text(text))),
                other => Ok(other),
            }
        };
        match source {
            ColumnSource::Column(name) => {
                column(name).iter().map(|cell| finish(known(cell))).collect()
            }
            ColumnSource::Join(JoinedColumns { join, with }) => (0..table.rows)
                .map(|row| {
                    let parts: Option<Vec<String>> =
                        join.iter().map(|name| known(&column(name)[row])).collect();
                    finish(parts.map(|parts| parts.join(with)))
                })
                .collect(),
            ColumnSource::Steps(steps) => {
                let base = steps
                    .add_days_to
                    .as_ref()
                    .map(|base| self.map(base, VariableKind::Date, table));
                let pattern = steps.pattern.as_ref().and_then(|p| regex::Regex::new(p).ok());
                let cells = column(&steps.from);
                (0..table.rows)
                    .map(|row| {
                        let Some(cell) = known(&cells[row]) else { return Ok(None) };
                        let cell = self.steps(steps, pattern.as_ref(), cell)?;
                        let Some(base) = &base else { return finish(Some(cell)) };
                        let Some(start) = base[row].clone()? else { return Ok(None) };
                        let days: i64 = cell.parse().map_err(|_| "not a whole number of days")?;
                        let start: Date = start.parse().map_err(|_| "not a date")?;
                        let end = start.checked_add(
                            jiff::Span::new().try_days(days).map_err(|_| "too many days")?,
                        );
                        Ok(Some(end.map_err(|_| "too many days")?.to_string()))
                    })
                    .collect()
            }
        }
    }

    fn date(&self, text: &str) -> Result<Date, &'static str> {
        let format = &self.file.file.date_format;
        Date::strptime(format, text)
            .map_err(|_| "not a date in the form that [file] date_format gives")
    }

    fn number_text(&self, text: String) -> String {
        if self.file.file.decimal == "," { text.replace(',', ".") } else { text }
    }

    fn steps(
        &self,
        steps: &ColumnSteps,
        pattern: Option<&regex::Regex>,
        cell: String,
    ) -> Result<String, &'static str> {
        let mut cell = cell;
        if let Some(remove) = &steps.remove {
            cell = cell.replace(remove, "");
        }
        if let Some(pattern) = pattern {
            let found = pattern.captures(&cell).and_then(|c| c.get(1));
            let kept = found.ok_or("does not have the form that `match` asks for")?;
            cell = String::from(kept.as_str());
        }
        if let Some(prefix) = &steps.prefix {
            cell.insert_str(0, prefix);
        }
        if steps.multiply.is_some() || steps.divide.is_some() || steps.round.is_some() {
            let number: f64 = self.number_text(cell).parse().map_err(|_| "not a number")?;
            let number = number * steps.multiply.unwrap_or(1.0) / steps.divide.unwrap_or(1.0);
            let number = match steps.round {
                Some(Round::Down) => number.floor(),
                Some(Round::Nearest) => number.round(),
                None => number,
            };
            cell = number.to_string();
        }
        Ok(cell)
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
