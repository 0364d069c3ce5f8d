//! The study's data dictionary: what each variable is called, holds and means, the same for all sites.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    grain::Grain,
    source::{Fault, suggestion},
    study::DataKind,
};
use crate::{cohort::ColumnKind, limits};

/// What a variable holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum VariableKind {
    /// One of the levels listed.
    Category,
    /// Yes (`1`) or no (`0`).
    Flag,
    /// A calendar day.
    Date,
    /// Whole days since the start of follow-up.
    Days,
    /// A whole number.
    Integer,
    /// A number.
    Real,
    /// Free text or an open code list; usable in population conditions only.
    Text,
}

/// How a variable follows from others where the file does not give it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Derivation {
    /// Days from the first date to the second.
    DaysBetween([String; 2]),
    /// Completed years from the first date to the second.
    CompletedYears([String; 2]),
    /// Completed months from the first date to the second.
    CompletedMonths([String; 2]),
}

impl Derivation {
    /// Whether it is completed years.
    pub(super) fn is_completed_years(&self) -> bool {
        matches!(self, Self::CompletedYears(_))
    }

    /// The two dates.
    pub fn dates(&self) -> &[String; 2] {
        match self {
            Self::DaysBetween(dates)
            | Self::CompletedYears(dates)
            | Self::CompletedMonths(dates) => dates,
        }
    }
}

/// One variable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own in study.toml")]
pub struct Variable {
    /// What it holds.
    #[serde(rename = "type")]
    pub kind: VariableKind,
    /// Name in reports.
    pub label: String,
    /// Codes allowed, in order; the first one is the reference level of a model.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub levels: Vec<String>,
    /// Names of the levels in reports, in the same order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub level_labels: Vec<String>,
    /// Codes that mean "not known".
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Form that the code must have (regular expression).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Smallest and largest value allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<[limits::Quantity; 2]>")]
    pub range: Option<[f64; 2]>,
    /// Width of the classes in which the distribution may be shown; 1 keeps whole numbers apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<limits::Units>")]
    pub class_width: Option<f64>,
    /// How finely it may select and group: `{ cuts = [0, 1, 5, 10] }`, `{ ages = [0, 1, 5, 10] }`, `{ levels = [["1"], ["2", "3"]] }`,
    /// `{ unit = "year" }`, `"covariate-only"` or `"never"`. Where absent: identifiers never, dates by year, ages in completed years in
    /// five-year bands with 0 apart, other quantities covariate-only, categories and flags by level, open text not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grain: Option<Grain>,
    /// Unit in reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Number of cases that a record stands for, where a file holds counts: only such a variable is taken for `count`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cases: bool,
    /// A record without it cannot be mapped.
    #[serde(default)]
    pub required: bool,
    /// Identifies a person: read to check the file, never part of a cohort.
    #[serde(default)]
    pub identifier: bool,
    /// Names the patient: records that share it are of one person. Where a dictionary has one identifier that is no date and is not
    /// required of every record, it is this one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub patient: bool,
    /// How it follows from other variables where a file does not give it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub derive: Option<Derivation>,
}

impl Variable {
    /// The column a cohort holds for it; `None` for text and identifiers.
    pub fn column_kind(&self) -> Option<ColumnKind> {
        if self.identifier {
            return None;
        }
        match self.kind {
            VariableKind::Category => Some(ColumnKind::Category),
            VariableKind::Flag => Some(ColumnKind::Flag),
            VariableKind::Date | VariableKind::Days => Some(ColumnKind::Day),
            VariableKind::Integer | VariableKind::Real => Some(ColumnKind::Real),
            VariableKind::Text => None,
        }
    }

    /// Whether it is an identifier that could be a patient's or a record's.
    fn names_records(&self) -> bool {
        let can = matches!(self.kind, VariableKind::Text | VariableKind::Integer);
        self.identifier && can
    }

    /// Levels as a model sees them.
    pub fn model_levels(&self) -> Vec<String> {
        match self.kind {
            VariableKind::Flag => vec!["0".to_owned(), "1".to_owned()],
            VariableKind::Category
            | VariableKind::Date
            | VariableKind::Days
            | VariableKind::Integer
            | VariableKind::Real
            | VariableKind::Text => self.levels.clone(),
        }
    }

    /// Name of a level in reports.
    pub fn level_label<'a>(&'a self, level: &'a str) -> &'a str {
        let at = self.model_levels().iter().position(|l| l == level);
        at.and_then(|i| self.level_labels.get(i)).map_or(level, String::as_str)
    }

    fn faults(&self, pointer: &str, all: &BTreeMap<String, Self>) -> Vec<Fault> {
        let mut faults = Vec::new();
        let levels = self.model_levels().len();
        if self.kind == VariableKind::Category && levels < 2 {
            let message = format!("a category needs at least two levels, found {levels}");
            faults
                .push(Fault::new(pointer, message).hint("list the codes: levels = [\"1\", \"2\"]"));
        }
        if !self.level_labels.is_empty() && self.level_labels.len() != levels {
            let found = self.level_labels.len();
            let message = format!("{found} level_labels for {levels} levels");
            faults.push(Fault::new(format!("{pointer}/level_labels"), message));
        }
        if self.patient && !self.names_records() {
            let message = "the patient must be an identifier of type text or integer";
            let fault = Fault::new(format!("{pointer}/patient"), message);
            faults.push(fault.hint("type = \"text\", identifier = true"));
        }
        if self.cases && self.kind != VariableKind::Integer {
            let message = "a number of cases is of type integer";
            faults.push(Fault::new(format!("{pointer}/cases"), message));
        }
        if let Some([least, most]) = self.range.filter(|[least, most]| least > most) {
            let message = format!("no value lies between {least} and {most}");
            faults.push(Fault::new(format!("{pointer}/range"), message));
        }
        if let Some(pattern) = &self.pattern
            && let Err(error) = regex::Regex::new(pattern)
        {
            let message = format!("the pattern is not a valid regular expression: {error}");
            faults.push(Fault::new(format!("{pointer}/pattern"), message));
        }
        for name in self.derive.iter().flat_map(|d| d.dates()) {
            let is_date = all.get(name).is_some_and(|v| v.kind == VariableKind::Date);
            if !is_date {
                let message = format!("`{name}` is not a date of the dictionary");
                faults.push(Fault::new(format!("{pointer}/derive"), message));
            }
        }
        faults
    }
}

/// All variables of a study by name.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Dictionary {
    variables: BTreeMap<String, Variable>,
}

impl Dictionary {
    /// The variable called `name`.
    pub fn get(&self, name: &str) -> Option<&Variable> {
        self.variables.get(name)
    }

    /// All variables in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Variable)> {
        self.variables.iter().map(|(name, variable)| (name.as_str(), variable))
    }

    /// The variable that names the patient, if there is one. An identifier that is required without being marked as the patient's is
    /// the record's own.
    pub fn patient(&self) -> Option<&str> {
        let marked = self.iter().find(|(_, v)| v.patient);
        let found = marked.or_else(|| {
            let mut names = self.iter().filter(|(_, v)| v.names_records());
            let only = names.next().filter(|_| names.next().is_none());
            only.filter(|(_, v)| !v.required)
        });
        found.map(|(name, _)| name)
    }

    /// Name of a variable in reports.
    pub fn label<'a>(&'a self, name: &'a str) -> &'a str {
        self.get(name).map_or(name, |v| v.label.as_str())
    }

    /// The variable called `name` if a model may use it as one of `kinds`; else what is wrong with that.
    pub fn usable(
        &self,
        name: &str,
        kinds: &[VariableKind],
    ) -> Result<&Variable, (String, String)> {
        let Some(variable) = self.get(name) else {
            let known: Vec<String> = self.variables.keys().cloned().collect();
            let message = format!("the dictionary has no variable `{name}`");
            return Err((message, suggestion(name, &known)));
        };
        if variable.identifier {
            let message = format!("`{name}` identifies a person and cannot be used in an analysis");
            return Err((message, "choose a variable that is not an identifier".into()));
        }
        if kinds.contains(&variable.kind) {
            return Ok(variable);
        }
        let wanted: Vec<String> = kinds.iter().map(|k| format!("{k:?}").to_lowercase()).collect();
        let found = format!("{:?}", variable.kind).to_lowercase();
        let message = format!("`{name}` is of type {found}, expected {}", wanted.join(" or "));
        let fits = self.iter().filter(|(_, v)| kinds.contains(&v.kind) && !v.identifier);
        let names: Vec<&str> = fits.map(|(name, _)| name).collect();
        Err((message, format!("variables that fit: {}", names.join(", "))))
    }

    pub(super) fn faults(&self, pointer: &str, data: DataKind) -> Vec<Fault> {
        let of = |(name, variable): (&String, &Variable)| {
            let at = format!("{pointer}/{name}");
            let mut faults = variable.faults(&at, &self.variables);
            if faults.is_empty() {
                faults.extend(variable.grain_faults(name, &at, data));
            }
            faults
        };
        let mut faults: Vec<Fault> = self.variables.iter().flat_map(of).collect();
        let marked: Vec<&str> = self.iter().filter(|(_, v)| v.patient).map(|(n, _)| n).collect();
        let name: Vec<&str> =
            self.iter().filter(|(_, v)| v.names_records()).map(|(n, _)| n).collect();
        if marked.len() > 1 {
            let message = format!("{} are all marked as the patient's", marked.join(" and "));
            faults.push(Fault::new(format!("{pointer}/{}/patient", marked[1]), message));
        } else if marked.is_empty() && name.len() > 1 {
            let message = format!(
                "{} are identifiers, but none is marked as the patient's",
                name.join(" and ")
            );
            let hint = "write patient = true under the right one: disclosure rules count patients, not records";
            faults.push(Fault::new(format!("{pointer}/{}", name[0]), message).hint(hint));
        }
        faults
    }
}
