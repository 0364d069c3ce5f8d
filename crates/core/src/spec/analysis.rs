//! One question as data: population, follow-up, models, rules, and what the report should say first.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    condition::Condition,
    dictionary::{Dictionary, VariableKind},
    grain::condition_problems,
    shape::unknown_field,
    source::{Fault, Faults, Source, nearest, suggestion},
    study::Study,
};
use crate::{
    cohort::{Followup, Incidence},
    limits::{ConfidenceLevel, YearLength},
};

/// Lower and upper bound, both included; either may be left open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// Smallest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3000))]
    pub from: Option<i32>,
    /// Largest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 3000))]
    pub to: Option<i32>,
}

/// Who is analysed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Population {
    /// SQL condition over dictionary names.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// Age at diagnosis in completed years (variable `age_years`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ages: Option<Range>,
    /// Calendar year of diagnosis (variable `incidence_date`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub years: Option<Range>,
    /// Codes of the variable `sex`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub sex: Vec<String>,
}

impl Population {
    /// All conditions a record must meet, in the order in which exclusions are counted.
    pub fn conditions(&self, study: &Study) -> Result<Vec<Condition>, Vec<Fault>> {
        let dictionary = &study.dictionary;
        let mut texts: Vec<(&str, String)> = Vec::new();
        if let Some(Range { from, to }) = &self.ages {
            texts.extend(from.map(|from| ("ages/from", format!("age_years >= {from}"))));
            texts.extend(to.map(|to| ("ages/to", format!("age_years <= {to}"))));
        }
        if let Some(Range { from, to }) = &self.years {
            let first = |from: i32| format!("incidence_date >= '{from:04}-01-01'");
            let last = |to: i32| format!("incidence_date <= '{to:04}-12-31'");
            texts.extend(from.map(|from| ("years/from", first(from))));
            texts.extend(to.map(|to| ("years/to", last(to))));
        }
        if !self.sex.is_empty() {
            let codes: Vec<String> =
                self.sex.iter().map(|s| format!("'{}'", s.replace('\'', "''"))).collect();
            texts.push(("sex", format!("sex IN ({})", codes.join(", "))));
        }
        texts.extend(self.condition.iter().map(|text| ("where", text.clone())));
        let mut conditions = Vec::new();
        let reversed = [("ages", &self.ages), ("years", &self.years)].into_iter().filter_map(
            |(field, range)| match range {
                Some(Range { from: Some(from), to: Some(to) }) if from > to => {
                    let message = format!("{field} from {from} to {to}: nobody is in them");
                    Some(Fault::new(format!("/population/{field}"), message))
                }
                _ => None,
            },
        );
        let mut faults: Vec<Fault> = reversed.collect();
        for (field, text) in texts {
            let parsed = Condition::parse(&text, dictionary);
            let problems = match &parsed {
                Err(problems) => problems.clone(),
                Ok(parsed) if study.data.is_protected() => {
                    parsed.iter().flat_map(|one| condition_problems(one, dictionary)).collect()
                }
                Ok(_) => Vec::new(),
            };
            conditions.extend(parsed.unwrap_or_default());
            faults.extend(problems.into_iter().map(|(message, hint)| {
                Fault::new(format!("/population/{field}"), message).hint(hint)
            }));
        }
        if faults.is_empty() { Ok(conditions) } else { Err(faults) }
    }
}

/// One model of the analysis.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelSpec {
    /// Name within the analysis; names its files.
    pub id: String,
    /// Kind, as `tributary models` lists it.
    pub kind: String,
    /// Heading in the report; the kind's own title if absent.
    pub title: Option<String>,
    /// The kind's options.
    pub options: Value,
}

/// How answers are pooled.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pooling {
    /// Confidence level of all intervals.
    pub confidence_level: ConfidenceLevel,
    /// Length of a year wherever days become years: `julian` is 365.25 days, `life-table` 365.241 as in `relsurv`.
    #[serde(skip_serializing_if = "YearLength::is_julian")]
    pub year: YearLength,
}

/// A term of one of the models.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TermRef {
    /// Model id.
    pub model: String,
    /// Term as the model names it, such as `stage=3`.
    pub term: String,
}

/// One line of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ComparedEstimate {
    /// Model id.
    pub model: String,
    /// Term as the model names it.
    pub term: String,
    /// Name of the line.
    pub label: String,
}

/// Estimates set side by side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// Heading.
    pub title: String,
    /// The estimates; the first one is what the others are compared with.
    pub estimates: Vec<ComparedEstimate>,
}

/// What the report says first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReportSpec {
    /// The estimate that answers the question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<TermRef>,
    /// The meta-analysis that says whether the sites agree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement_of_sites: Option<String>,
    /// Estimates set side by side.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub comparison: Vec<Comparison>,
}

/// A checked analysis. The options of its models are checked by the models themselves.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnalysisSpec {
    /// Short name.
    pub id: String,
    /// Title of the report.
    pub title: String,
    /// The question, in one sentence.
    pub question: String,
    /// The study's id.
    pub study: String,
    /// Who is analysed.
    pub population: Population,
    /// Follow-up that survival models use unless they name their own.
    pub followup: Option<Followup>,
    /// Cells in which models of incidence count, unless they name their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incidence: Option<Incidence>,
    /// Models, in the order of the report.
    pub models: Vec<ModelSpec>,
    /// How answers are pooled.
    pub pooling: Pooling,
    /// What the report says first.
    pub report: ReportSpec,
}

/// The file as written: a model's options stand beside its `id` and `kind`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Analysis")]
struct AnalysisFile {
    /// Short name.
    id: String,
    /// Title of the report.
    title: String,
    /// The question, in one sentence.
    question: String,
    /// Id of the study; its `study.toml` stands beside this file.
    study: String,
    /// Who is analysed.
    #[serde(default)]
    population: Population,
    /// Follow-up that survival models use unless they name their own.
    #[serde(default)]
    followup: Option<Followup>,
    /// Cells in which models of incidence count, unless they name their own.
    #[serde(default)]
    incidence: Option<Incidence>,
    /// Models, in the order of the report.
    model: Vec<Map<String, Value>>,
    /// How answers are pooled.
    #[serde(default)]
    pooling: Pooling,
    /// What the report says first.
    #[serde(default)]
    report: ReportSpec,
}

/// Fields of a model table that are not options.
pub(crate) const MODEL_FIELDS: [&str; 3] = ["id", "kind", "title"];

impl AnalysisSpec {
    /// JSON schema of the file, the models' tables left open.
    pub fn schema() -> Value {
        schemars::schema_for!(AnalysisFile).to_value()
    }

    /// Reads the file and checks all but the models' options.
    pub fn read(source: &Source, study: &Study) -> (Option<Self>, Vec<Fault>) {
        let mut faults = super::shape::schema_faults(&Self::schema(), source.value(), "");
        if !faults.is_empty() {
            return (None, faults);
        }
        let file: AnalysisFile = match serde_json::from_value(source.value().clone()) {
            Ok(file) => file,
            Err(error) => return (None, vec![Fault::new("", error.to_string())]),
        };
        if file.study != study.id {
            let message = format!("the study.toml in this folder is for study `{}`", study.id);
            faults.push(
                Fault::new("/study", message).hint(format!("write study = \"{}\"", study.id)),
            );
        }
        faults.extend(file.population.conditions(study).err().unwrap_or_default());
        if let Some(followup) = &file.followup {
            faults.extend(followup_faults(followup, &study.dictionary, "/followup"));
        }
        let mut models: Vec<ModelSpec> = Vec::new();
        for (i, mut table) in file.model.into_iter().enumerate() {
            // What is no text stays, and is a fault of the options.
            let mut take = |field: &str| match table.get(field)? {
                Value::String(text) => {
                    let text = text.clone();
                    table.remove(field);
                    Some(text)
                }
                _ => None,
            };
            let [id, kind, title] = MODEL_FIELDS.map(&mut take);
            let pointer = format!("/model/{i}");
            let Some((id, kind)) = id.zip(kind) else {
                faults.extend(nameless(&pointer, &table));
                continue;
            };
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if id.is_empty() || !id.chars().all(plain) {
                let message =
                    format!("`{id}` is used in file names: use letters, digits, `-` and `_` only");
                faults.push(Fault::new(format!("{pointer}/id"), message));
            }
            if models.iter().any(|m| m.id == id) {
                faults.push(Fault::new(
                    format!("{pointer}/id"),
                    format!("two models are called `{id}`"),
                ));
            }
            models.push(ModelSpec { id, kind, title, options: Value::Object(table) });
        }
        faults.extend(report_faults(&file.report, &models));
        let AnalysisFile {
            id,
            title,
            question,
            study,
            population,
            followup,
            incidence,
            pooling,
            report,
            ..
        } = file;
        let spec = Self {
            id,
            title,
            question,
            study,
            population,
            followup,
            incidence,
            models,
            pooling,
            report,
        };
        (Some(spec), faults)
    }

    /// Reads a file whose models need no checking beyond their form, for tests and tools.
    pub fn parse(name: &str, text: &str, study: &Study) -> Result<Self, Faults> {
        let source = Source::parse(name, text)?;
        match Self::read(&source, study) {
            (Some(spec), faults) if faults.is_empty() => Ok(spec),
            (_, faults) => Err(source.faults(&faults)),
        }
    }
}

/// What is wrong with the variables of a follow-up.
pub fn followup_faults(followup: &Followup, dictionary: &Dictionary, pointer: &str) -> Vec<Fault> {
    let mut wanted = vec![
        ("time", &followup.time, VariableKind::Days),
        (
            "event",
            &followup.event,
            if followup.event_is.is_empty() { VariableKind::Flag } else { VariableKind::Category },
        ),
    ];
    wanted.extend(followup.entry.as_ref().map(|entry| ("entry", entry, VariableKind::Days)));
    let mut faults = Vec::new();
    let levels = dictionary.get(&followup.event).map_or_else(Vec::new, |v| v.model_levels());
    for (i, level) in followup.event_is.iter().enumerate().filter(|(_, l)| !levels.contains(l)) {
        let message = format!("`{level}` is not a level of `{}`", followup.event);
        let fault = Fault::new(format!("{pointer}/event_is/{i}"), message);
        faults.push(fault.hint(suggestion(level, &levels)));
    }
    if let Some(window) = &followup.window {
        wanted.push(("window/date", &window.date, VariableKind::Date));
        if window.days().is_none_or(|[from, end]| from >= end) {
            let message = "the window must run from one date to a later date";
            let hint = "write from = \"2008-01-01\" and to = \"2012-12-31\"";
            faults.push(Fault::new(format!("{pointer}/window"), message).hint(hint));
        }
    }
    faults.extend(wanted.into_iter().filter_map(|(field, name, kind)| {
        let kinds = match kind {
            VariableKind::Category => vec![kind, VariableKind::Flag],
            _ => vec![kind],
        };
        let (message, hint) = dictionary.usable(name, &kinds).err()?;
        Some(Fault::new(format!("{pointer}/{field}"), message).hint(hint))
    }));
    faults
}

/// What is wrong with a model that has no `id` or no `kind`: they are misspelt, or not there.
fn nameless(pointer: &str, table: &Map<String, Value>) -> Vec<Fault> {
    let known = MODEL_FIELDS.map(str::to_owned);
    let misspelt: Vec<Fault> = table
        .keys()
        .filter(|name| !known.contains(name) && nearest(name, &known).is_some())
        .map(|name| unknown_field(pointer, name, &known))
        .collect();
    if misspelt.is_empty() {
        vec![Fault::new(pointer, "a model needs `id` and `kind`, both as text").at_key()]
    } else {
        misspelt
    }
}

fn report_faults(report: &ReportSpec, models: &[ModelSpec]) -> Vec<Fault> {
    let ids: Vec<String> = models.iter().map(|m| m.id.clone()).collect();
    let mut named: Vec<(String, &String)> = Vec::new();
    named.extend(report.answer.as_ref().map(|t| ("/report/answer/model".to_owned(), &t.model)));
    named.extend(
        report.agreement_of_sites.as_ref().map(|m| ("/report/agreement_of_sites".to_owned(), m)),
    );
    for (i, comparison) in report.comparison.iter().enumerate() {
        for (j, line) in comparison.estimates.iter().enumerate() {
            named.push((format!("/report/comparison/{i}/estimates/{j}/model"), &line.model));
        }
    }
    named
        .into_iter()
        .filter(|(_, name)| !ids.contains(name))
        .map(|(at, name)| {
            Fault::new(at, format!("there is no model called `{name}`"))
                .hint(suggestion(name, &ids))
        })
        .collect()
}
