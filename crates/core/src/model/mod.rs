//! A model, split at the border: `summarise` runs in each country, `advance` at the hub. Both are pure.
#![deny(clippy::disallowed_methods)]

mod design;
mod event_counts;
mod expected;
mod fitted;
mod likelihood;
mod once;
mod prediction;
mod rates;
mod shared;
mod sums;
mod terms;

pub use design::{Columns, DesignTerm, SplineColumn, columns_of, covariate_faults, needs_of};
pub use event_counts::{EventCounts, GroupCounts};
pub use expected::Background;
pub use fitted::{FitSummary, Fitted, summary_without_fit, tell_dropped};
pub use likelihood::{
    Ascent, Question, RegressionRows, Start, ascend, ascend_with, is_beyond, line, refusal,
    telling_columns,
};
pub use once::{Once, OneRound};
pub use prediction::{Patient, Predicted, patient_faults, predicted, values_of};
pub use rates::{
    Printed, RateCells, Year, cells_fault, incidence_needs, left_out_cases, period_faults,
    period_name, period_width_fault, prepare_cells, prepare_incidence, rate_sums, sex_levels,
    tell_cases, unknown_age_cases, with_printed,
};
pub use sums::Sums;
pub use terms::{Term, Terms};

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value, json};

use crate::{
    cohort::{CohortError, ColumnNeed, Followup, Incidence, SiteData},
    estimate::Estimate,
    limits::{ConfidenceLevel, YearLength},
    spec::{
        DataKind, Dictionary, Fault, MODEL_FIELDS, ModelSpec, VariableKind, followup_faults,
        grain_faults, schema_faults,
    },
    summary::{Draft, LayoutError, Summary, Visibility},
};

/// What a statistician reads about a model before trusting it.
#[derive(Debug, Clone, Copy)]
pub struct ModelCard {
    /// Name in specifications.
    pub kind: &'static str,
    /// Name in reports.
    pub title: &'static str,
    /// What it estimates.
    pub estimates: &'static str,
    /// What a site sends.
    pub sends: &'static str,
    /// How the sums are formed and what the hub does with them.
    pub pools: &'static str,
    /// How the result differs from an analysis of the pooled rows.
    pub differs: &'static str,
    /// What is not done.
    pub not_done: &'static str,
    /// How many rounds it takes.
    pub exchanges: Exchanges,
    /// Sources.
    pub sources: &'static str,
    /// A model table over the dictionary of the Wilms study.
    pub example: &'static str,
}

/// How many rounds a model takes, which by file is how often files go back and forth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exchanges {
    /// One.
    One,
    /// Several: parameters go out, sums come back, until the fit converges.
    Several {
        /// How many are usual.
        usual: &'static str,
        /// What takes one round instead, and at what price.
        instead: &'static str,
    },
    /// One where every covariate has levels, several where one is a quantity.
    OneWithLevels {
        /// How many are usual with a quantity.
        usual: &'static str,
        /// What takes one round instead, and at what price.
        instead: &'static str,
    },
}

impl Exchanges {
    /// In words.
    pub fn words(self) -> String {
        match self {
            Self::One => "one round".into(),
            Self::Several { usual, instead } => {
                format!("{usual} rounds; in one round instead: {instead}")
            }
            Self::OneWithLevels { usual, instead } => format!(
                "one round where every covariate has levels; with a quantity, {}",
                Self::Several { usual, instead }.words()
            ),
        }
    }
}

/// What a model may look up while its options are made ready.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The study's dictionary.
    pub dictionary: &'a Dictionary,
    /// Whose the study's data are.
    pub data: DataKind,
    /// The analysis's follow-up.
    pub followup: Option<&'a Followup>,
    /// The analysis's cells of incidence.
    pub incidence: Option<&'a Incidence>,
    /// The analysis's confidence level.
    pub confidence_level: ConfidenceLevel,
    /// The analysis's length of a year.
    pub year: YearLength,
    /// Models before this one, their options made ready.
    pub earlier: &'a [ModelSpec],
    /// Ids of models before this one that have faults.
    pub faulty: &'a [String],
    /// Names of the model's options that are the analysis's own: there a fault of theirs is shown.
    pub given: &'a [&'static str],
}

impl Context<'_> {
    /// A fault unless `name` is a variable of one of `kinds`; `path` is its place among the options.
    pub fn check(&self, path: &str, name: &str, kinds: &[VariableKind]) -> Option<Fault> {
        let (message, hint) = self.dictionary.usable(name, kinds).err()?;
        Some(Fault::new(path, message).hint(hint))
    }

    /// A fault unless `name` is a variable with levels; `path` is its place among the options.
    pub fn check_levels(&self, path: &str, name: &str) -> Option<Fault> {
        self.check(path, name, &[VariableKind::Category, VariableKind::Flag])
    }

    /// Levels of a variable; none where it has none.
    pub fn levels(&self, name: &str) -> Vec<String> {
        self.dictionary.get(name).map_or_else(Vec::new, |variable| variable.model_levels())
    }

    /// Groups that a model tells apart: the levels of `by`, or everybody.
    pub fn groups(&self, by: Option<&str>, groups: &mut Vec<String>) -> Option<Fault> {
        *groups = by.map_or_else(|| vec!["all".to_owned()], |by| self.levels(by));
        by.and_then(|by| self.check_levels("/by", by))
    }

    /// Whether the option `name` of the model is the analysis's own.
    pub fn gives(&self, name: &str) -> bool {
        self.given.contains(&name)
    }

    /// Checks a model's follow-up. The length of a year is the analysis's in either case.
    pub fn followup(&self, followup: &mut Followup) -> Vec<Fault> {
        followup.year = self.year;
        followup.shared = self.gives("followup");
        let faults = followup_faults(followup, self.dictionary, "/followup").into_iter();
        if followup.shared { faults.map(Fault::shared).collect() } else { faults.collect() }
    }

    /// Last day of a model's grid, from the dictionary's range of the time where the model names none.
    pub fn horizon(&self, horizon: &mut Option<u32>, followup: &Followup) -> Option<Fault> {
        let range = self.dictionary.get(&followup.time).and_then(|time| time.range);
        let of_range = horizon.is_none();
        if of_range {
            *horizon = range.map(|[_, to]| to.max(0.0) as u32);
        }
        match horizon {
            Some(days) if (1..=60_000).contains(days) => None,
            Some(days) if of_range => {
                let message = format!(
                    "the range of the time variable in the dictionary ends at {days} days, expected 1 to 60000"
                );
                let hint = "write horizon_days here, the last day of follow-up to be analysed";
                Some(Fault::new("", message).hint(hint))
            }
            Some(_) => {
                Some(Fault::new("/horizon_days", "the horizon must lie between 1 and 60000 days"))
            }
            None => {
                let message = "the time grid needs an end that all sites share";
                let hint =
                    "write horizon_days here, or give the time variable a range in the dictionary";
                Some(Fault::new("", message).hint(hint))
            }
        }
    }
}

/// A fault of a model's follow-up, shown in the table that holds it.
pub fn followup_fault(followup: &Followup, field: &str, message: impl Into<String>) -> Fault {
    let fault = Fault::new(format!("/followup/{field}"), message);
    if followup.shared { fault.shared() } else { fault }
}

/// Why the hub cannot make the next step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FitError {
    /// Options of another form.
    #[error("the options cannot be read: {reason}")]
    Options {
        /// What is wrong.
        reason: String,
    },
    /// Nobody answered.
    #[error("no round has been answered")]
    NoRounds,
    /// An answer of another form.
    #[error(transparent)]
    Layout(#[from] LayoutError),
}

/// The statistic of a model: typed inside, labelled arrays on the way.
pub trait Statistic<Q = ()>: Sized {
    /// Arrays with the persons behind them.
    fn into_draft(self) -> Result<Draft, LayoutError>;
    /// Reads back the pooled arrays that answer `question`.
    fn from_summary(question: &Q, summary: &Summary) -> Result<Self, LayoutError>;
}

/// One round that all sites have answered.
#[derive(Debug)]
pub struct Round<P, S> {
    /// What the hub asked with.
    pub params: P,
    /// The sum of the answers.
    pub pooled: S,
    /// Sites in it.
    pub sites: usize,
}

/// What follows a round.
#[derive(Debug)]
pub enum Step<P> {
    /// Another question.
    Ask(P),
    /// The result.
    Done(Box<Estimate>),
}

/// A model. Adding one is a file in `models/` and a line in the list of `tributary-models`; one that asks once is a [`OneRound`].
pub trait Model: Sync + 'static {
    /// What the analyst chooses.
    type Options: Serialize + DeserializeOwned + JsonSchema;
    /// What the hub asks with; holds no site's data.
    type Params: Serialize + DeserializeOwned;
    /// What a site answers.
    type Statistic: Statistic<Self::Params>;

    /// The card.
    fn card(&self) -> &'static ModelCard;
    /// Checks names against the dictionary and completes the options; what the analysis says for all models is in them.
    fn prepare(&self, options: &mut Self::Options, context: &Context<'_>) -> Vec<Fault>;
    /// Columns each site must provide.
    fn needs(&self, options: &Self::Options) -> Vec<ColumnNeed>;
    /// Terms of its table `terms`, by which a report may name its estimates; none for a model without coefficients.
    fn terms(&self, _: &Self::Options) -> Vec<String> {
        Vec::new()
    }
    /// How many rounds it takes with these options.
    fn exchanges(&self, _: &Self::Options) -> Exchanges {
        self.card().exchanges
    }
    /// Who can read a site's answer: nobody, unless a model shows sites side by side.
    fn visibility(&self, _: &Self::Options) -> Visibility {
        Visibility::SumOnly
    }
    /// The first question.
    fn begin(&self, options: &Self::Options) -> Result<Self::Params, FitError>;
    /// A site's answer.
    fn summarise(
        &self,
        options: &Self::Options,
        params: &Self::Params,
        data: &SiteData,
    ) -> Result<Self::Statistic, CohortError>;
    /// The next question or the result, from all rounds so far.
    fn advance(
        &self,
        options: &Self::Options,
        rounds: &[Round<Self::Params, Self::Statistic>],
    ) -> Result<Step<Self::Params>, FitError>;
}

/// One round as the record keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PooledRound {
    /// What the hub asked with.
    pub params: Value,
    /// The sum of the answers.
    pub pooled: Summary,
    /// Sites in it.
    pub sites: usize,
}

/// [`Model`] with its types erased; options are those made ready by [`AnyModel::prepare`].
pub trait AnyModel: Sync {
    /// The card.
    fn card(&self) -> &'static ModelCard;
    /// JSON schema of the options.
    fn schema(&self) -> Value;
    /// Checks the options and makes them ready; pointers of faults start at the options.
    fn prepare(&self, options: &Value, context: &Context<'_>) -> Result<Value, Vec<Fault>>;
    /// Columns each site must provide.
    fn needs(&self, options: &Value) -> Result<Vec<ColumnNeed>, FitError>;
    /// Terms by which a report may name its estimates.
    fn terms(&self, options: &Value) -> Result<Vec<String>, FitError>;
    /// How many rounds it takes with these options.
    fn exchanges(&self, options: &Value) -> Result<Exchanges, FitError>;
    /// Who can read a site's answer.
    fn visibility(&self, options: &Value) -> Result<Visibility, FitError>;
    /// The first question.
    fn begin(&self, options: &Value) -> Result<Value, FitError>;
    /// A site's answer, before the gate.
    fn summarise(
        &self,
        options: &Value,
        params: &Value,
        data: &SiteData,
    ) -> Result<Draft, CohortError>;
    /// The next question or the result.
    fn advance(
        &self,
        options: &Value,
        rounds: &[Arc<PooledRound>],
    ) -> Result<Step<Value>, FitError>;
}

fn read<T: DeserializeOwned>(value: &Value) -> Result<T, FitError> {
    T::deserialize(value).map_err(|e| FitError::Options { reason: e.to_string() })
}

fn write<T: Serialize>(value: &T) -> Result<Value, FitError> {
    serde_json::to_value(value).map_err(|e| FitError::Options { reason: e.to_string() })
}

impl<M: Model> AnyModel for M {
    fn card(&self) -> &'static ModelCard {
        Model::card(self)
    }

    fn schema(&self) -> Value {
        shared::for_analysts(schemars::schema_for!(M::Options).to_value())
    }

    fn prepare(&self, options: &Value, context: &Context<'_>) -> Result<Value, Vec<Fault>> {
        // Beside the options stand fields that every model has.
        let mut schema = self.schema();
        if let Some(Value::Object(properties)) = schema.get_mut("properties") {
            properties.extend(MODEL_FIELDS.map(|name| (name.into(), json!({ "type": "string" }))));
        }
        let faults = schema_faults(&schema, options, "");
        if !faults.is_empty() {
            return Err(faults);
        }
        let whole = |error: FitError| vec![Fault::new("", error.to_string())];
        let mut options = options.clone();
        let schema = schemars::schema_for!(M::Options).to_value();
        let given = shared::fill(&mut options, &schema, context)?;
        let mut typed: M::Options = read(&options).map_err(whole)?;
        let mut faults = Model::prepare(self, &mut typed, &Context { given: &given, ..*context });
        if faults.is_empty() && context.data.is_protected() {
            let needs = Model::needs(self, &typed);
            faults.extend(grain_faults(&needs, &options, &given, context.dictionary));
        }
        if faults.is_empty() { write(&typed).map_err(whole) } else { Err(faults) }
    }

    fn needs(&self, options: &Value) -> Result<Vec<ColumnNeed>, FitError> {
        Ok(Model::needs(self, &read(options)?))
    }

    fn terms(&self, options: &Value) -> Result<Vec<String>, FitError> {
        Ok(Model::terms(self, &read(options)?))
    }

    fn exchanges(&self, options: &Value) -> Result<Exchanges, FitError> {
        Ok(Model::exchanges(self, &read(options)?))
    }

    fn visibility(&self, options: &Value) -> Result<Visibility, FitError> {
        Ok(Model::visibility(self, &read(options)?))
    }

    fn begin(&self, options: &Value) -> Result<Value, FitError> {
        write(&Model::begin(self, &read(options)?)?)
    }

    fn summarise(
        &self,
        options: &Value,
        params: &Value,
        data: &SiteData,
    ) -> Result<Draft, CohortError> {
        let question = |e: FitError| CohortError::Question { reason: e.to_string() };
        let options: M::Options = read(options).map_err(question)?;
        let params: M::Params = read(params).map_err(question)?;
        Ok(Model::summarise(self, &options, &params, data)?.into_draft()?)
    }

    fn advance(
        &self,
        options: &Value,
        rounds: &[Arc<PooledRound>],
    ) -> Result<Step<Value>, FitError> {
        let options: M::Options = read(options)?;
        let rounds = rounds
            .iter()
            .map(|round| {
                let params = read(&round.params)?;
                let pooled = M::Statistic::from_summary(&params, &round.pooled)?;
                Ok(Round { params, pooled, sites: round.sites })
            })
            .collect::<Result<Vec<_>, FitError>>()?;
        match Model::advance(self, &options, &rounds)? {
            Step::Ask(params) => Ok(Step::Ask(write(&params)?)),
            Step::Done(estimate) => Ok(Step::Done(estimate)),
        }
    }
}
