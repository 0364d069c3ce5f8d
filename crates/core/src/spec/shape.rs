//! Holds a value against a JSON schema, and says in words what does not fit.

use jsonschema::{Keyword, ValidationError, error::ValidationErrorKind, paths::Location};
use serde_json::{Map, Value};

use super::source::{Fault, escape, suggestion};

/// Holds a value against a JSON schema; `prefix` is the pointer of the value in its file.
pub fn schema_faults(schema: &Value, value: &Value, prefix: &str) -> Vec<Fault> {
    match jsonschema::options().with_keyword("format", whole_number).build(schema) {
        Ok(validator) => {
            let shape = Shape { schema, prefix };
            validator.iter_errors(value).flat_map(|error| shape.faults(&error)).collect()
        }
        Err(error) => vec![Fault::new(prefix, format!("schema: {error}"))],
    }
}

/// JSON schema takes 2.0 for an integer; a field of a whole number does not.
struct WholeNumber(bool);

#[allow(clippy::unnecessary_wraps, reason = "the validator asks for this signature")]
fn whole_number<'a>(
    _: &'a Map<String, Value>,
    format: &'a Value,
    _: Location,
) -> Result<Box<dyn for<'i> Keyword<'i>>, ValidationError<'a>> {
    let format = format.as_str().unwrap_or_default();
    Ok(Box::new(WholeNumber(format.starts_with("int") || format.starts_with("uint"))))
}

impl<'i> Keyword<'i> for WholeNumber {
    fn validate(&self, instance: &'i Value) -> Result<(), ValidationError<'i>> {
        if self.is_valid(instance) { Ok(()) } else { Err(ValidationError::custom(WHOLE)) }
    }

    fn is_valid(&self, instance: &'i Value) -> bool {
        let is_point = |x: f64| x.fract() == 0.0 && x.abs() < 1e15;
        !(self.0 && instance.is_f64() && instance.as_f64().is_some_and(is_point))
    }
}

const WHOLE: &str = "expected a whole number, without a decimal point";

struct Shape<'a> {
    schema: &'a Value,
    prefix: &'a str,
}

impl Shape<'_> {
    fn faults(&self, error: &ValidationError<'_>) -> Vec<Fault> {
        let pointer = format!("{}{}", self.prefix, error.instance_path().as_str());
        let path = error.schema_path().as_str();
        let found = described(error.instance());
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected }
            | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
                let known = property_names(self.schema, path);
                unexpected.iter().map(|name| unknown_field(&pointer, name, &known)).collect()
            }
            ValidationErrorKind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                vec![Fault::new(pointer, format!("field `{name}` is missing")).at_key()]
            }
            ValidationErrorKind::AnyOf { context }
            | ValidationErrorKind::OneOfNotValid { context } => self
                .of_choices(&pointer, error.instance(), context)
                .unwrap_or_else(|| vec![self.no_choice(pointer, error.instance(), path)]),
            ValidationErrorKind::Enum { .. } | ValidationErrorKind::Constant { .. } => {
                vec![self.no_choice(pointer, error.instance(), path)]
            }
            ValidationErrorKind::Minimum { .. }
            | ValidationErrorKind::Maximum { .. }
            | ValidationErrorKind::ExclusiveMinimum { .. }
            | ValidationErrorKind::ExclusiveMaximum { .. } => {
                let expected = self.limits(path);
                vec![Fault::new(pointer, format!("found {found}, expected {expected}"))]
            }
            ValidationErrorKind::Type { .. } => {
                let expected = self.type_words(path);
                vec![Fault::new(pointer, format!("found {found}, expected {expected}"))]
            }
            ValidationErrorKind::MinItems { limit } => {
                let message = format!("found {found}, expected at least {limit} values");
                vec![Fault::new(pointer, message)]
            }
            ValidationErrorKind::MaxItems { limit } => {
                let message = format!("found {found}, expected at most {limit} values");
                vec![Fault::new(pointer, message)]
            }
            ValidationErrorKind::Custom { message, .. } => {
                vec![Fault::new(pointer, format!("found {found}, {message}"))]
            }
            _ => vec![Fault::new(pointer, error.to_string())],
        }
    }

    /// Whether the value at `pointer` is something else altogether than the form that has this error.
    fn is_other(&self, pointer: &str, error: &ValidationError<'_>) -> bool {
        let is_here = format!("{}{}", self.prefix, error.instance_path().as_str()) == pointer;
        is_here
            && match error.kind() {
                ValidationErrorKind::Type { .. }
                | ValidationErrorKind::Constant { .. }
                | ValidationErrorKind::Enum { .. } => true,
                ValidationErrorKind::AnyOf { context }
                | ValidationErrorKind::OneOfNotValid { context } => {
                    context.iter().all(|form| form.iter().any(|e| self.is_other(pointer, e)))
                }
                _ => false,
            }
    }

    /// Where one of several forms is wanted: what keeps the value from the form that it comes nearest to. Nothing if it comes
    /// near none.
    fn of_choices(
        &self,
        pointer: &str,
        value: &Value,
        context: &[Vec<ValidationError<'static>>],
    ) -> Option<Vec<Fault>> {
        let near: Vec<&Vec<ValidationError<'static>>> = context
            .iter()
            .filter(|errors| !errors.iter().any(|e| self.is_other(pointer, e)))
            .collect();
        if let [only] = near[..] {
            return Some(only.iter().flat_map(|e| self.faults(e)).collect());
        }
        // The only form that knows all of the fields.
        let strange = |e: &ValidationError<'_>| {
            matches!(e.kind(), ValidationErrorKind::AdditionalProperties { .. })
        };
        let knowing: Vec<_> = near.iter().filter(|errors| !errors.iter().any(strange)).collect();
        if let [only] = knowing[..] {
            return Some(only.iter().flat_map(|e| self.faults(e)).collect());
        }
        // Fields that none of the forms knows.
        let known: Vec<String> = near
            .iter()
            .flat_map(|errors| errors.iter())
            .filter(|e| strange(e))
            .flat_map(|e| property_names(self.schema, e.schema_path().as_str()))
            .collect();
        let unknown: Vec<Fault> = value
            .as_object()
            .into_iter()
            .flat_map(Map::keys)
            .filter(|name| !known.is_empty() && !known.contains(name))
            .map(|name| unknown_field(pointer, name, &known))
            .collect();
        if !unknown.is_empty() {
            return Some(unknown);
        }
        let nearest = near.into_iter().min_by_key(|errors| errors.len())?;
        Some(nearest.iter().flat_map(|e| self.faults(e)).collect())
    }

    fn no_choice(&self, pointer: String, value: &Value, path: &str) -> Fault {
        let allowed = constants(self.schema, path);
        let found = described(value);
        let hint = match value.as_str() {
            Some(word) if !allowed.is_empty() => suggestion(word, &allowed),
            _ if allowed.is_empty() => "see `tributary models` for the form of this option".into(),
            _ => format!("allowed: {}", allowed.join(", ")),
        };
        let message = format!("found {found}, which is not an allowed value");
        Fault::new(pointer, message).hint(hint)
    }

    fn limits(&self, path: &str) -> String {
        let of = |name: &str| parent_of(self.schema, path).and_then(|node| node.get(name));
        let is_whole = of("type").is_some_and(|t| t.to_string().contains("integer"));
        let what = if is_whole { "a whole number" } else { "a number" };
        let high = of("maximum").map(|high| format!(" up to {high}"));
        let high = high.or_else(|| of("exclusiveMaximum").map(|high| format!(" below {high}")));
        match (of("minimum"), of("exclusiveMinimum"), of("maximum")) {
            (Some(low), _, Some(high)) => format!("{what} from {low} to {high}"),
            (Some(low), ..) => format!("{what} from {low} on{}", high.unwrap_or_default()),
            (_, Some(low), _) => format!("{what} above {low}{}", high.unwrap_or_default()),
            _ => format!("{what}{}", high.unwrap_or_default()),
        }
    }

    fn type_words(&self, path: &str) -> String {
        let node = parent_of(self.schema, path);
        let types = match node.and_then(|node| node.get("type")) {
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
            Some(one) => one.as_str().into_iter().collect(),
            None => Vec::new(),
        };
        let words: Vec<&str> = types
            .into_iter()
            .filter(|t| *t != "null")
            .map(|t| match t {
                "integer" => "a whole number",
                "number" => "a number",
                "string" => "text in quotes",
                "boolean" => "true or false",
                "array" => "a list",
                "object" => "a table",
                other => other,
            })
            .collect();
        words.join(" or ")
    }
}

pub(super) fn unknown_field(pointer: &str, name: &str, known: &[String]) -> Fault {
    let fault =
        Fault::new(format!("{pointer}/{}", escape(name)), format!("unknown field `{name}`"));
    fault.at_key().hint(suggestion(name, known))
}

/// A value in a message: tables and lists by what they are, the rest as written.
fn described(value: &Value) -> String {
    match value {
        Value::Object(map) if map.is_empty() => "an empty table".to_owned(),
        Value::Object(map) => {
            let names: Vec<String> = map.keys().map(|name| format!("`{name}`")).collect();
            format!("a table with {}", names.join(", "))
        }
        Value::Array(list) => format!("a list of {}", list.len()),
        _ => value.to_string(),
    }
}

/// Schema node that holds the failed keyword, `$ref`s followed.
fn parent_of<'a>(schema: &'a Value, schema_path: &str) -> Option<&'a Value> {
    let mut node = schema;
    let segments: Vec<&str> = schema_path.split('/').skip(1).collect();
    for segment in &segments[..segments.len().saturating_sub(1)] {
        let segment = segment.replace("~1", "/").replace("~0", "~");
        node = match node {
            Value::Object(map) if segment == "$ref" => {
                let target = map.get("$ref")?.as_str()?.strip_prefix('#')?;
                schema.pointer(target)?
            }
            Value::Object(map) => map.get(&segment)?,
            Value::Array(list) => list.get(segment.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    Some(node)
}

fn property_names(schema: &Value, schema_path: &str) -> Vec<String> {
    parent_of(schema, schema_path)
        .and_then(|node| node.get("properties"))
        .and_then(Value::as_object)
        .map_or_else(Vec::new, |properties| properties.keys().cloned().collect())
}

fn constants(schema: &Value, schema_path: &str) -> Vec<String> {
    let Some(node) = parent_of(schema, schema_path) else { return Vec::new() };
    let mut found = Vec::new();
    collect_constants(schema, node, &mut found, 8);
    found
}

fn collect_constants(schema: &Value, node: &Value, found: &mut Vec<String>, depth: u8) {
    if depth == 0 {
        return;
    }
    let Some(map) = node.as_object() else { return };
    let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned);
    found.extend(map.get("const").map(text));
    found.extend(map.get("enum").and_then(Value::as_array).into_iter().flatten().map(text));
    let target = map.get("$ref").and_then(Value::as_str).and_then(|t| t.strip_prefix('#'));
    if let Some(target) = target.and_then(|t| schema.pointer(t)) {
        collect_constants(schema, target, found, depth - 1);
    }
    for key in ["oneOf", "anyOf"] {
        for choice in map.get(key).and_then(Value::as_array).into_iter().flatten() {
            collect_constants(schema, choice, found, depth - 1);
        }
    }
}
