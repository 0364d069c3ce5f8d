//! Results of a run: everything a report needs, typed, with its provenance. Written as `results.json`; a report can be
//! rendered from it again, to the same bytes.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tributary_core::{
    cohort::Followup,
    estimate::Estimate,
    run::{ModelRun, Outcome, Run},
    spec::{DataKind, Dictionary, ReportSpec},
    summary::{Hidden, Policy, SiteId, Visibility},
};
use tributary_models::plan::Plan;

/// Version of the layout of `results.json`.
pub const RESULTS_VERSION: u32 = 2;

/// Results of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Layout of this file.
    pub results_version: u32,
    /// The analysis.
    pub analysis: Heading,
    /// The study.
    pub study: Heading,
    /// Sites whose answers are in the result.
    pub sites: Vec<SiteId>,
    /// Members of the study that were not asked, declined, or were not heard in time.
    pub absent: Vec<String>,
    /// Models in the order of the analysis.
    pub models: Vec<ModelResult>,
    /// What the report says first.
    pub report: ReportSpec,
    /// Names of variables and levels.
    pub dictionary: Dictionary,
    /// Where the numbers come from.
    pub provenance: Provenance,
}

/// What an analysis or a study is called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Heading {
    /// Short name.
    pub id: String,
    /// Title.
    pub title: String,
    /// The question of an analysis, the source of a study.
    pub text: String,
}

/// Result of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelResult {
    /// Name within the analysis.
    pub id: String,
    /// Kind.
    pub kind: String,
    /// Heading in the report, if the analysis gives one.
    pub title: Option<String>,
    /// Options, made ready.
    pub options: serde_json::Value,
    /// Variable whose levels are the groups of the tables, if there is one.
    pub by: Option<String>,
    /// Who read the sites' answers.
    pub visibility: Visibility,
    /// Rounds.
    pub rounds: usize,
    /// How it ended.
    pub outcome: Outcome,
    /// What was held back or hidden.
    pub withheld: Vec<Withheld>,
    /// SHA-256 of every answer.
    pub answers: Vec<tributary_core::run::AnswerHash>,
}

impl ModelResult {
    /// Follow-up, of a model that has one.
    pub fn followup(&self) -> Option<Followup> {
        Followup::deserialize(self.options.get("followup")?).ok()
    }

    /// Days in a year of this model's times.
    pub fn year_days(&self) -> f64 {
        self.followup().map(|followup| followup.year).unwrap_or_default().days()
    }

    /// Options as the model reads them; none if they are another model's.
    pub fn options_as<O: DeserializeOwned>(&self) -> Option<O> {
        O::deserialize(&self.options).ok()
    }

    /// The estimate, if there is one.
    pub fn estimate(&self) -> Option<&Estimate> {
        match &self.outcome {
            Outcome::Estimate(estimate) => Some(estimate),
            Outcome::Failed { .. } => None,
        }
    }
}

/// Something that a rule kept from being shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withheld {
    /// Site whose rule it was; none for the study's floor on pooled cells.
    pub site: Option<SiteId>,
    /// Array, or none for a whole answer.
    pub array: Option<String>,
    /// The rule.
    pub rule: String,
    /// Hidden cells, if cells were hidden.
    pub cells: Option<u64>,
}

/// Where the numbers come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// SHA-256 of study and specification.
    pub spec_sha256: String,
    /// Engine.
    pub engine: String,
    /// Version of the engine.
    pub engine_version: String,
    /// Day of the run.
    pub date: jiff::civil::Date,
    /// Whose the data are: questions about public data were not held against the grain of the dictionary.
    #[serde(default, skip_serializing_if = "DataKind::is_protected")]
    pub data: DataKind,
    /// The study's disclosure rules.
    pub policy: Policy,
}

/// A rule's word.
fn word<T: Serialize>(rule: &T) -> String {
    // Rules are plain enums, which serialise to strings.
    serde_json::to_value(rule).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

fn model_result(plan: &Plan, model: &ModelRun) -> ModelResult {
    let spec = plan.spec.models.iter().find(|m| m.id == model.id);
    let mut withheld: Vec<Withheld> = model
        .refused
        .iter()
        .map(|(site, refusal)| Withheld {
            site: Some(site.clone()),
            array: None,
            rule: word(&refusal.rule),
            cells: None,
        })
        .collect();
    let by_site =
        model.hidden.iter().flat_map(|(site, hidden)| hidden.iter().map(move |h| (Some(site), h)));
    // Rounds that iterate send the same arrays: each is told once.
    let mut told: Vec<&Hidden> = Vec::new();
    for hidden in model.rounds.iter().flat_map(|r| r.pooled.hidden()) {
        if !told.iter().any(|h| h.array == hidden.array && h.rule == hidden.rule) {
            told.push(hidden);
        }
    }
    let pooled = told.into_iter().map(|h| (None, h));
    withheld.extend(by_site.chain(pooled).map(|(site, hidden)| Withheld {
        site: site.cloned(),
        array: Some(hidden.array.clone()),
        rule: word(&hidden.rule),
        cells: Some(hidden.cells),
    }));
    let by = model.options.get("by").and_then(serde_json::Value::as_str).map(str::to_owned);
    let nothing = || Outcome::Failed { reason: "the run ended before this model".into() };
    ModelResult {
        id: model.id.clone(),
        kind: model.kind.clone(),
        title: spec.and_then(|s| s.title.clone()),
        options: model.options.clone(),
        by,
        visibility: model.visibility,
        rounds: model.rounds.len(),
        outcome: model.outcome.clone().unwrap_or_else(nothing),
        withheld,
        answers: model.answer_hashes.clone(),
    }
}

impl Results {
    /// Results of a run that has ended.
    pub fn of(plan: &Plan, run: &Run, date: jiff::civil::Date) -> Self {
        let heading = |id: &str, title: &str, text: &str| Heading {
            id: id.into(),
            title: title.into(),
            text: text.into(),
        };
        Self {
            results_version: RESULTS_VERSION,
            analysis: heading(&plan.spec.id, &plan.spec.title, &plan.spec.question),
            study: heading(&plan.study.id, &plan.study.title, &plan.study.source),
            sites: run.contributors().cloned().collect(),
            absent: plan
                .study
                .sites
                .iter()
                .filter(|member| !run.contributors().any(|site| site.as_str() == member.as_str()))
                .cloned()
                .collect(),
            models: run.models.iter().map(|m| model_result(plan, m)).collect(),
            report: plan.spec.report.clone(),
            dictionary: plan.study.dictionary.clone(),
            provenance: Provenance {
                spec_sha256: plan.hash.clone(),
                engine: "tributary".into(),
                engine_version: env!("CARGO_PKG_VERSION").into(),
                date,
                data: plan.study.data,
                policy: plan.study.policy.clone(),
            },
        }
    }

    /// Results of published studies: no site took part and no rule applied. `found` is the kind, the options and the estimate.
    pub fn of_published(
        name: &str,
        question: &str,
        source: &str,
        fingerprint: &str,
        (kind, options, estimate): (&str, serde_json::Value, Estimate),
        date: jiff::civil::Date,
    ) -> Self {
        let heading = |title: &str, text: &str| Heading {
            id: name.into(),
            title: title.into(),
            text: text.into(),
        };
        let model = ModelResult {
            id: kind.into(),
            kind: kind.into(),
            title: None,
            options,
            by: None,
            visibility: Visibility::EachSite,
            rounds: 0,
            outcome: Outcome::Estimate(std::sync::Arc::new(estimate)),
            withheld: Vec::new(),
            answers: Vec::new(),
        };
        Self {
            results_version: RESULTS_VERSION,
            analysis: heading(name, question),
            study: heading(source, source),
            sites: Vec::new(),
            absent: Vec::new(),
            models: vec![model],
            report: ReportSpec::default(),
            dictionary: Dictionary::default(),
            provenance: Provenance {
                spec_sha256: fingerprint.into(),
                engine: "tributary".into(),
                engine_version: env!("CARGO_PKG_VERSION").into(),
                date,
                data: DataKind::Public,
                policy: Policy::open(),
            },
        }
    }

    /// Whether these are published studies, without sites.
    pub fn is_published(&self) -> bool {
        self.sites.is_empty() && self.models.iter().all(|m| m.rounds == 0)
    }

    /// The model called `id`.
    pub fn model(&self, id: &str) -> Option<&ModelResult> {
        self.models.iter().find(|m| m.id == id)
    }

    /// Whether a reader should look before using the numbers: something was refused, failed, or is not OK.
    pub fn needs_a_look(&self) -> bool {
        self.models.iter().any(|model| {
            let refused = model.withheld.iter().any(|w| w.array.is_none());
            let troubled =
                model.estimate().is_none_or(|e| e.status != tributary_core::estimate::Status::Ok);
            refused || troubled
        })
    }
}
