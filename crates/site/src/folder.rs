//! A site folder: `site.toml`, the files it names, nothing else.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use jiff::{ToSpan, civil::Date};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tributary_core::{
    spec::{Fault, Faults, Source, schema_faults},
    summary::{Policy, PolicyError, SiteId, preset, rules_not_applied},
};

use super::{life_table::RateFile, population::PopulationFile};

/// Why a site cannot be used. Never holds a value of a record.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// A file with faults.
    #[error(transparent)]
    Faults(#[from] Faults),
    /// A file that is not there or cannot be read.
    #[error("{path}: {reason}; {hint}")]
    File {
        /// File.
        path: String,
        /// What is wrong.
        reason: String,
        /// What to do.
        hint: String,
    },
    /// Records that cannot be mapped.
    #[error(
        "{path}: {count} of {received} records cannot be mapped, {limit} may be left out\n{listing}\n\
         correct the file or the mapping, or set unmapped_limit under [tables.tumours] of site.toml"
    )]
    Unmapped {
        /// Data file.
        path: String,
        /// Records.
        count: usize,
        /// All records.
        received: usize,
        /// Allowed.
        limit: u64,
        /// Row numbers and reasons.
        listing: String,
    },
    /// A cohort that a model cannot use.
    #[error("site {site}: {error}")]
    Cohort {
        /// Site.
        site: SiteId,
        /// What is wrong.
        error: tributary_core::cohort::CohortError,
    },
    /// A question of another form than the models here expect.
    #[error("site {site}: {error}")]
    Question {
        /// Site.
        site: SiteId,
        /// What is wrong.
        error: tributary_core::model::FitError,
    },
}

/// File `site.toml`.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct SiteFile {
    /// Code of the site in the study.
    code: String,
    /// Name of the registry.
    name: String,
    /// ISO 3166 code of the country.
    country: String,
    /// Language of the registry, such as `en` or `fr`.
    #[serde(default)]
    language: Option<String>,
    /// Last day up to which cases and follow-up are recorded, such as `2022-12-31`: later dates are faults, and later years have no
    /// person-years.
    #[serde(default)]
    closing_date: Option<String>,
    /// Files.
    tables: Tables,
    /// Disclosure rules: a preset, and rules of one's own. They add to the study's.
    #[serde(default)]
    policy: BTreeMap<String, Value>,
}

/// Files of a site.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Tables {
    /// One record per tumour.
    tumours: TableFile,
    /// Mortality of the general population, for net survival.
    #[serde(default)]
    life_table: Option<RateFile>,
    /// Incidence or other rates of the general population, for standardised ratios.
    #[serde(default)]
    rates: Option<RateFile>,
    /// Person-years by sex, year and age, for incidence rates.
    #[serde(default)]
    population: Option<PopulationFile>,
    /// Deaths from the disease by year, sex and group, for the ratio of deaths to cases.
    #[serde(default)]
    deaths: Option<PopulationFile>,
}

/// One file and how it is read.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct TableFile {
    /// Data file: `.parquet`, or delimited text.
    path: String,
    /// Mapping onto the study's dictionary.
    mapping: String,
    /// Records that may stay out because they cannot be mapped.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000_000))]
    unmapped_limit: u64,
}

/// A site folder, opened but not yet read.
#[derive(Debug, Clone)]
pub struct SiteFolder {
    /// Code in the study.
    pub code: SiteId,
    /// Name of the registry.
    pub name: String,
    /// The site's own disclosure rules.
    pub policy: Policy,
    /// The same as written, by name, with the preset.
    rules: BTreeMap<String, Value>,
    /// Data file.
    pub data: PathBuf,
    /// Mapping file.
    pub mapping: PathBuf,
    /// Records that may stay out because they cannot be mapped.
    pub unmapped_limit: u64,
    /// The folder itself.
    pub folder: PathBuf,
    /// Today: later dates are faults.
    pub today: Date,
    /// Last day up to which cases and follow-up are recorded: later dates are faults too.
    pub closing_date: Option<Date>,
    /// Mortality of the general population.
    pub life_table: Option<RateFile>,
    /// Other rates of the general population.
    pub rates: Option<RateFile>,
    /// Person-years.
    pub population: Option<PopulationFile>,
    /// Deaths from the disease.
    pub deaths: Option<PopulationFile>,
}

/// The latest day that it is anywhere: a registry in the far east may be a day ahead.
fn today() -> Date {
    jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date().saturating_add(1.day())
}

fn closing(text: &str, today: Date) -> Result<Date, Fault> {
    let fault =
        |message: &str| Fault::new("/closing_date", message).hint("closing_date = \"2022-12-31\"");
    let date: Date = text.parse().map_err(|_| fault("the closing date is not a valid date"))?;
    if date > today { Err(fault("the closing date is in the future")) } else { Ok(date) }
}

/// Reads a text file, or says which one is missing.
pub(super) fn read_text(path: &Path) -> Result<String, SiteError> {
    fs::read_to_string(path).map_err(|error| SiteError::File {
        path: path.display().to_string(),
        reason: error.to_string(),
        hint: "give its path in site.toml, relative to the site folder".into(),
    })
}

impl SiteFolder {
    /// JSON schema of `site.toml`.
    pub fn schema() -> Value {
        schemars::schema_for!(SiteFile).to_value()
    }

    /// Reads `site.toml` of a folder.
    pub fn open(folder: &Path) -> Result<Self, SiteError> {
        let path = folder.join("site.toml");
        let text = fs::read_to_string(&path).map_err(|error| SiteError::File {
            path: path.display().to_string(),
            reason: error.to_string(),
            hint: "a site folder contains site.toml and the files named in it".into(),
        })?;
        let source = Source::parse(&path.display().to_string(), &text)?;
        let file: SiteFile = source.read(&Self::schema())?;
        let mut faults = Vec::new();
        let code = SiteId::new(&file.code);
        if let Err(error) = &code {
            faults.push(Fault::new("/code", error.to_string()));
        }
        let is_iso =
            file.country.len() == 2 && file.country.chars().all(|c| c.is_ascii_uppercase());
        if !is_iso {
            let message = format!("`{}` is not a two-letter ISO 3166 code", file.country);
            faults.push(Fault::new("/country", message).hint("country = \"FR\""));
        }
        let closing_date = file.closing_date.as_deref().map(|text| closing(text, today()));
        let closing_date = closing_date.transpose().unwrap_or_else(|fault| {
            faults.push(fault);
            None
        });
        let policy = own_policy(&file.policy, &mut faults);
        match (code, policy) {
            (Ok(code), Some(policy)) if faults.is_empty() => Ok(Self {
                code,
                name: file.name,
                policy,
                rules: file.policy,
                data: folder.join(&file.tables.tumours.path),
                mapping: folder.join(&file.tables.tumours.mapping),
                unmapped_limit: file.tables.tumours.unmapped_limit,
                folder: folder.to_owned(),
                today: today(),
                closing_date,
                life_table: file.tables.life_table,
                rates: file.tables.rates,
                population: file.tables.population,
                deaths: file.tables.deaths,
            }),
            _ => Err(source.faults(&faults).into()),
        }
    }
}

impl SiteFolder {
    /// What `[policy]` of `site.toml` asks for without effect: rules looser than those that apply, by the study or by the preset
    /// beside them, and rules of the preset that are not applied.
    pub fn without_effect(&self, study: &Policy) -> Vec<String> {
        let value = |policy: &Policy| serde_json::to_value(policy).unwrap_or_default();
        let applied = value(&study.stricter(&self.policy));
        let written = self.rules.iter().filter(|(rule, _)| *rule != "preset");
        let mut lines: Vec<String> = written
            .filter(|(rule, own)| own.as_f64() != applied[rule].as_f64() || own.as_bool() != applied[rule].as_bool())
            .map(|(rule, own)| {
                let applied = &applied[rule];
                format!("{rule} = {own} under [policy] has no effect: {rule} = {applied} is stricter and applies")
            })
            .collect();
        let name = self.rules.get("preset").and_then(Value::as_str).unwrap_or_default();
        let ours = preset(name).map_or_else(|_| Value::Null, |found| value(&found));
        let open = value(&Policy::open());
        for (rule, asked) in ours.as_object().into_iter().flatten() {
            if *asked != open[rule] && *asked != applied[rule] && !self.rules.contains_key(rule) {
                let applied = &applied[rule];
                lines.push(format!("{rule} = {asked} of preset {name} has no effect: {rule} = {applied} is stricter and applies"));
            }
        }
        let left = rules_not_applied(name);
        if !left.is_empty() {
            let left = left.join(", ");
            lines.push(format!("preset {name} has rules that this program does not apply, so you see to them: {left}"));
        }
        lines
    }

    /// All files that an answer comes from, as `site.toml` names them: itself, records, mapping, and the tables beside the records.
    pub fn files(&self) -> Vec<(String, PathBuf)> {
        let rates = [&self.life_table, &self.rates].into_iter().flatten();
        let rates = rates.flat_map(|file| [Some(&file.path), file.female.as_ref()]).flatten();
        let counts = [&self.population, &self.deaths].into_iter().flatten().map(|file| &file.path);
        let beside = rates.chain(counts).map(|path| self.folder.join(path));
        let own = [self.folder.join("site.toml"), self.data.clone(), self.mapping.clone()];
        let name =
            |path: &Path| path.strip_prefix(&self.folder).unwrap_or(path).display().to_string();
        own.into_iter().chain(beside).map(|path| (name(&path), path)).collect()
    }
}

/// The preset, tightened by the rules written beside it.
fn own_policy(table: &BTreeMap<String, Value>, faults: &mut Vec<Fault>) -> Option<Policy> {
    let mut own = serde_json::to_value(Policy::open()).ok()?;
    let mut policy = Policy::open();
    let schema = schemars::schema_for!(Policy).to_value();
    for (rule, value) in table {
        let at = format!("/policy/{rule}");
        if rule == "preset" {
            match preset(value.as_str().unwrap_or_default()) {
                Ok(found) => policy = found,
                Err(error @ (PolicyError::Unknown { .. } | PolicyError::NotApplied { .. })) => {
                    faults.push(Fault::new(at, error.to_string()));
                }
            }
        } else if own.get(rule).is_some() {
            own[rule] = value.clone();
            let alone = Value::Object([(rule.clone(), value.clone())].into_iter().collect());
            faults.extend(schema_faults(&schema, &alone, "/policy"));
        } else {
            let known: Vec<String> =
                own.as_object().map_or_else(Vec::new, |rules| rules.keys().cloned().collect());
            let hint = tributary_core::spec::suggestion(rule, &known);
            faults.push(Fault::new(at, format!("there is no rule `{rule}`")).at_key().hint(hint));
        }
    }
    // What cannot be read has its fault above.
    serde_json::from_value::<Policy>(own).ok().map(|own| policy.stricter(&own))
}
