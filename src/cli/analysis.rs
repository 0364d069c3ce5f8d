//! `tributary analysis`: checks and schemas.

use std::path::Path;

use clap::ValueEnum;
use serde_json::{Map, Value, json};

use super::{Ending, read};
#[cfg(feature = "site")]
use crate::site::{Mapping, SiteFolder};
use crate::{
    model::Exchanges,
    models::{self, MODELS},
    plan::Plan,
    spec::{AnalysisSpec, DataKind, Study},
};

/// Files that people write.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum SchemaFile {
    /// The analysis.
    Analysis,
    /// `study.toml`
    Study,
    /// `site.toml`
    #[cfg(feature = "site")]
    Site,
    /// `mapping.toml`
    #[cfg(feature = "site")]
    Mapping,
}

pub(super) fn check(spec: &Path) -> anyhow::Result<Ending> {
    let plan = read::plan(spec)?;
    say!("{}: {} models, specification {}", spec.display(), plan.spec.models.len(), plan.hash);
    if plan.study.data == DataKind::Public {
        say!(
            "the study declares its data public: the grain of the dictionary is not applied to this analysis"
        );
    }
    say_exchanges(&plan);
    Ok(Ending::Done)
}

/// How many exchanges an analysis needs, and which models could do with one.
pub(super) fn say_exchanges(plan: &Plan) {
    let several = plan.spec.models.iter().filter_map(|m| {
        match models::find(&m.kind)?.exchanges(&m.options).ok()? {
            Exchanges::One => None,
            several => Some((m.id.as_str(), several.words())),
        }
    });
    let several: Vec<(&str, String)> = several.collect();
    if several.is_empty() {
        say!("one round: every model needs a single exchange of files");
        return;
    }
    say!("several rounds are needed, because of:");
    for (model, words) in several {
        say!("  {model}: {words}");
    }
}

pub(super) fn schema(file: SchemaFile) -> anyhow::Result<Ending> {
    let schema = match file {
        SchemaFile::Analysis => analysis_schema(),
        SchemaFile::Study => Study::schema(),
        #[cfg(feature = "site")]
        SchemaFile::Site => SiteFolder::schema(),
        #[cfg(feature = "site")]
        SchemaFile::Mapping => Mapping::schema(),
    };
    say!("{}", serde_json::to_string_pretty(&schema)?);
    Ok(Ending::Done)
}

fn name_references(schema: &mut Value, kind: &str) {
    match schema {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(text) if key == "$ref" => {
                        *text = text.replace("#/$defs/", &format!("#/$defs/{kind}."));
                    }
                    value => name_references(value, kind),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| name_references(item, kind)),
        _ => {}
    }
}

/// The schema of the analysis with the options of every model in place.
fn analysis_schema() -> Value {
    let mut schema = AnalysisSpec::schema();
    let mut definitions = Map::new();
    let choices: Vec<Value> = MODELS
        .iter()
        .map(|model| {
            let card = model.card();
            let mut options = model.schema();
            // Types of two models may have one name: each model's own bear its kind.
            name_references(&mut options, card.kind);
            if let Some(Value::Object(own)) = options.get_mut("$defs").map(Value::take) {
                let named = own.into_iter().map(|(name, of)| (format!("{}.{name}", card.kind), of));
                definitions.extend(named);
            }
            let fields = ["id", "kind", "title"];
            if let Some(map) = options.as_object_mut() {
                for drop in ["$defs", "$schema"] {
                    map.remove(drop);
                }
                map.insert("title".into(), card.title.into());
                map.insert("description".into(), format!("Estimates {}.", card.estimates).into());
                let properties = map.entry("properties").or_insert_with(|| json!({}));
                for field in fields {
                    properties[field] = json!({ "type": "string" });
                }
                properties["kind"] = json!({ "const": card.kind });
                let required = map.entry("required").or_insert_with(|| json!([]));
                if let Some(required) = required.as_array_mut() {
                    required.extend(["id", "kind"].map(Value::from));
                }
            }
            options
        })
        .collect();
    schema["properties"]["model"]["items"] = json!({ "oneOf": choices });
    if let Some(own) = schema.get_mut("$defs").and_then(Value::as_object_mut) {
        own.extend(definitions);
    }
    schema
}
