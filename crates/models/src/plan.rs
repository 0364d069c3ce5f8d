//! A checked analysis: the study, the specification with every model's options made ready, and the hash that an approval
//! covers.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tributary_core::{
    model::{Context, prepare_incidence},
    run::ModelRun,
    spec::{AnalysisSpec, Condition, Fault, Faults, ModelSpec, Source, Study, suggestion},
    summary::Visibility,
};

use crate::{self as models};

/// The model that tells who contributed.
const PARTICIPATION: &str = "participation";

/// Options of models that know of records that stand for several cases.
const COUNTING: [&str; 2] = ["incidence", "count"];

/// Options that name what patients are compared by, or what their risk is adjusted for.
const COMPARING: [&str; 8] =
    ["by", "strata", "covariates", "effect", "nuisance", "offset", "weights", "state"];

/// The model that tells whether sites agree.
const AGREEMENT: &str = "meta_analysis";

/// A checked analysis.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The study.
    pub study: Study,
    /// The analysis, options made ready.
    pub spec: AnalysisSpec,
    /// Conditions that a record must meet, in the order in which exclusions are counted.
    pub conditions: Vec<Condition>,
    /// SHA-256 of study and specification.
    pub hash: String,
    visibility: Vec<Visibility>,
}

impl Plan {
    /// Checks an analysis against its study. All faults are told at once.
    pub fn check(name: &str, text: &str, study: Study) -> Result<Self, Faults> {
        let source = Source::parse(name, text)?;
        let (spec, mut faults) = AnalysisSpec::read(&source, &study);
        let Some(mut spec) = spec else { return Err(source.faults(&faults)) };
        if let Some(cells) = &spec.incidence {
            let context = Context { given: &["incidence"], ..context_of(&spec, &study, &[], &[]) };
            faults.extend(prepare_incidence(&mut cells.clone(), &context));
        }
        let mut visibility = Vec::new();
        let mut ready: Vec<ModelSpec> = Vec::new();
        let mut faulty = Vec::new();
        for (i, model) in spec.models.iter().enumerate() {
            match prepare(i, model, &context_of(&spec, &study, &ready, &faulty)) {
                Ok((prepared, visible)) => {
                    visibility.push(visible);
                    ready.push(prepared);
                }
                Err(found) => {
                    faulty.push(model.id.clone());
                    faults.extend(found);
                }
            }
        }
        faults.extend(report_faults(&spec, &ready));
        if !faults.is_empty() {
            return Err(source.faults(&faults));
        }
        // Every report says who contributed, whether the analysis asks for it or not.
        if !ready.iter().any(|m| m.kind == PARTICIPATION) {
            let model = ModelSpec {
                id: PARTICIPATION.into(),
                kind: PARTICIPATION.into(),
                title: None,
                options: serde_json::json!({}),
            };
            let context = context_of(&spec, &study, &[], &[]);
            let (model, visible) =
                prepare(ready.len(), &model, &context).map_err(|faults| source.faults(&faults))?;
            ready.insert(0, model);
            visibility.insert(0, visible);
        }
        spec.models = ready;
        let conditions =
            spec.population.conditions(&study).map_err(|faults| source.faults(&faults))?;
        let hash = fingerprint(&(&study, &spec));
        Ok(Self { study, spec, conditions, hash, visibility })
    }

    /// The models as a run starts with them.
    pub fn model_runs(&self) -> Result<Vec<ModelRun>, tributary_core::model::FitError> {
        let start = |(model, visibility): (&ModelSpec, &Visibility)| {
            let found =
                models::find(&model.kind).ok_or(tributary_core::model::FitError::NoRounds)?;
            Ok(ModelRun {
                id: model.id.clone(),
                kind: model.kind.clone(),
                options: model.options.clone(),
                visibility: *visibility,
                params: found.begin(&model.options)?,
                rounds: Vec::new(),
                answers: BTreeMap::new(),
                sealed: BTreeMap::new(),
                answer_hashes: Vec::new(),
                refused: BTreeMap::new(),
                hidden: BTreeMap::new(),
                outcome: None,
            })
        };
        self.spec.models.iter().zip(&self.visibility).map(start).collect()
    }

    /// Every model's place in the analysis, and who reads a site's answer to it.
    pub fn parts(&self) -> BTreeMap<String, (u32, Visibility)> {
        let models = self.spec.models.iter().zip(&self.visibility).enumerate();
        models.map(|(i, (m, visibility))| (m.id.clone(), (i as u32, *visibility))).collect()
    }

    /// Who reads a site's answer to the model called `id`.
    pub fn visibility(&self, id: &str) -> Option<Visibility> {
        let at = self.spec.models.iter().position(|m| m.id == id)?;
        self.visibility.get(at).copied()
    }
}

/// What models may look up, after `earlier` ones.
fn context_of<'a>(
    spec: &'a AnalysisSpec,
    study: &'a Study,
    earlier: &'a [ModelSpec],
    faulty: &'a [String],
) -> Context<'a> {
    Context {
        dictionary: &study.dictionary,
        data: study.data,
        followup: spec.followup.as_ref(),
        incidence: spec.incidence.as_ref(),
        confidence_level: spec.pooling.confidence_level,
        year: spec.pooling.year,
        earlier,
        faulty,
        given: &[],
    }
}

fn prepare(
    i: usize,
    model: &ModelSpec,
    context: &Context<'_>,
) -> Result<(ModelSpec, Visibility), Vec<Fault>> {
    let prefix = format!("/model/{i}");
    let Some(found) = models::find(&model.kind) else {
        let kinds: Vec<String> = models::MODELS.iter().map(|m| m.card().kind.to_owned()).collect();
        let fault =
            Fault::new(format!("{prefix}/kind"), format!("there is no model `{}`", model.kind));
        return Err(vec![fault.hint(suggestion(&model.kind, &kinds))]);
    };
    let at_model = |fault: Fault| {
        let prefix = if fault.shared { "" } else { &prefix };
        Fault { pointer: format!("{prefix}{}", fault.pointer), ..fault }
    };
    let options = found
        .prepare(&model.options, context)
        .map_err(|faults| faults.into_iter().map(at_model).collect::<Vec<_>>())?;
    if let Some(count) = context.incidence.and_then(|cells| cells.count.as_ref())
        && !COUNTING.iter().any(|key| options.get(key).is_some())
    {
        let message = format!(
            "`{}` takes each record for a patient, and a record stands for `{count}` cases",
            model.kind
        );
        let hint = "leave the model out, or `count` under [incidence] where a record is one case";
        return Err(vec![Fault::new(format!("{prefix}/kind"), message).hint(hint)]);
    }
    let outcomes: Vec<Fault> = outcome_faults(&options).into_iter().map(at_model).collect();
    if !outcomes.is_empty() {
        return Err(outcomes);
    }
    let visibility =
        found.visibility(&options).map_err(|error| vec![Fault::new(&prefix, error.to_string())])?;
    Ok((ModelSpec { options, ..model.clone() }, visibility))
}

/// Faults of variables that are the outcome of a model's follow-up and also what it compares patients by. The time of entry may be both:
/// it is known when follow-up starts, and as a covariate it is age on a scale of attained age, and the test of dependent truncation.
fn outcome_faults(options: &Value) -> Vec<Fault> {
    let mut faults = Vec::new();
    for role in ["time", "event"] {
        let Some(outcome) = options["followup"][role].as_str() else { continue };
        for option in COMPARING {
            let at = match &options[option] {
                Value::String(name) if name == outcome => format!("/{option}"),
                Value::Array(names) => match names.iter().position(|name| name == outcome) {
                    Some(i) => format!("/{option}/{i}"),
                    None => continue,
                },
                _ => continue,
            };
            let message = format!("`{outcome}` is the {role} of this model's own follow-up");
            let hint = "name a variable that is known when follow-up starts";
            faults.push(Fault::new(at, message).hint(hint));
        }
    }
    faults
}

/// What is wrong with the estimates that the report names: of models that are ready, terms that they do not have.
fn report_faults(spec: &AnalysisSpec, ready: &[ModelSpec]) -> Vec<Fault> {
    let report = &spec.report;
    let mut named: Vec<(String, &str, &str)> = Vec::new();
    let answer = report.answer.iter().map(|t| ("/report/answer".to_owned(), &*t.model, &*t.term));
    named.extend(answer);
    for (i, comparison) in report.comparison.iter().enumerate() {
        for (j, line) in comparison.estimates.iter().enumerate() {
            let at = format!("/report/comparison/{i}/estimates/{j}");
            named.push((at, &line.model, &line.term));
        }
    }
    let mut faults = Vec::new();
    for (at, id, term) in named {
        let Some(model) = ready.iter().find(|m| m.id == id) else { continue };
        let terms = models::find(&model.kind).and_then(|found| found.terms(&model.options).ok());
        let terms = terms.unwrap_or_default();
        if terms.is_empty() {
            let message = format!("`{id}` is a {} and has no terms", model.kind);
            let hint = "name a regression, such as a model of kind cox";
            faults.push(Fault::new(format!("{at}/model"), message).hint(hint));
        } else if !terms.iter().any(|t| t == term) {
            let message = format!("`{term}` is not a term of `{id}`");
            let hint = suggestion(term, &terms);
            faults.push(Fault::new(format!("{at}/term"), message).hint(hint));
        }
    }
    let agreement = report.agreement_of_sites.as_ref();
    if let Some(model) = agreement.and_then(|id| ready.iter().find(|m| m.id == *id))
        && model.kind != AGREEMENT
    {
        let message = format!("`{}` is a {}, expected a {AGREEMENT}", model.id, model.kind);
        faults.push(Fault::new("/report/agreement_of_sites", message));
    }
    faults
}

/// SHA-256 of the canonical JSON (RFC 8785) of a value, in hexadecimal.
pub fn fingerprint<T: Serialize>(value: &T) -> String {
    // Unwrap safety: what is fingerprinted here has string keys and finite numbers, which always serialise.
    let bytes = serde_json_canonicalizer::to_vec(value).expect("canonical JSON");
    base16ct::lower::encode_string(&Sha256::digest(bytes))
}
