//! What an analysis says once for all its models: a model that has such an option and does not say it itself gets the analysis's.

use serde::Serialize;
use serde_json::{Value, json};

use super::{Context, FitError, write};
use crate::spec::Fault;

/// Names of these options.
const SHARED: [&str; 3] = ["confidence_level", "followup", "incidence"];

/// Whether options of this schema must have one called `name`.
fn is_required(schema: &Value, name: &str) -> bool {
    schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == name))
}

/// The schema as an analyst meets it, who may leave out what the analysis says.
pub(super) fn for_analysts(mut schema: Value) -> Value {
    for name in SHARED.into_iter().filter(|name| is_required(&schema, name)).collect::<Vec<_>>() {
        let Some(option) = schema["properties"][name].as_object_mut() else { continue };
        if let Some(reference) = option.remove("$ref") {
            option.insert("anyOf".into(), json!([{ "$ref": reference }, { "type": "null" }]));
        } else if let Some(kind) = option.remove("type") {
            option.insert("type".into(), json!([kind, "null"]));
        }
        option.insert("default".into(), Value::Null);
        if let Some(required) = schema["required"].as_array_mut() {
            required.retain(|one| one != name);
        }
    }
    if let Some(whole) = schema.as_object_mut()
        && whole.get("required").is_some_and(|required| *required == json!([]))
    {
        whole.remove("required");
    }
    schema
}

/// Puts what the analysis says into options of this schema, and names what it put in; a fault for each that nobody says.
pub(super) fn fill(
    options: &mut Value,
    schema: &Value,
    context: &Context<'_>,
) -> Result<Vec<&'static str>, Vec<Fault>> {
    let (mut given, mut faults) = (Vec::new(), Vec::new());
    for name in SHARED {
        let is_said = options.get(name).is_some_and(|own| !own.is_null());
        if is_said || schema["properties"].get(name).is_none() {
            continue;
        }
        match shared(name, context) {
            Ok(Some(value)) => {
                options[name] = value;
                given.push(name);
            }
            Ok(None) if is_required(schema, name) => faults.push(lacking(name)),
            Ok(None) => {}
            Err(error) => faults.push(Fault::new("", error.to_string())),
        }
    }
    if faults.is_empty() { Ok(given) } else { Err(faults) }
}

/// What the analysis says.
fn shared(name: &str, context: &Context<'_>) -> Result<Option<Value>, FitError> {
    fn of<T: Serialize>(said: Option<&T>) -> Result<Option<Value>, FitError> {
        said.map(write).transpose()
    }
    match name {
        "followup" => of(context.followup),
        "incidence" => of(context.incidence),
        _ => of(Some(&context.confidence_level)),
    }
}

/// That neither the model nor the analysis says it.
fn lacking(name: &str) -> Fault {
    let (message, hint) = match name {
        "followup" => (
            "a survival model needs follow-up",
            "add a table [followup] with time and event to the analysis",
        ),
        _ => (
            "a model of incidence needs ages and years",
            "add a table [incidence] with age, year, ages and years to the analysis",
        ),
    };
    Fault::new("", message).hint(hint)
}
