//! A TOML file with the place of everything in it, and faults that point there.

use std::{collections::BTreeMap, ops::Range};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use jsonschema::error::ValidationErrorKind;
use serde_json::Value;
use toml::de::{DeTable, DeValue};

/// A parsed file.
#[derive(Debug, Clone)]
pub struct Source {
    /// Name shown in messages.
    pub name: String,
    text: String,
    value: Value,
    /// Place of key and value by JSON pointer (`/model/0/covariates/1`).
    places: BTreeMap<String, Place>,
}

#[derive(Debug, Clone)]
struct Place {
    key: Range<usize>,
    value: Range<usize>,
}

/// Something wrong in a file: what was found, what was wanted, what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// JSON pointer to the place; the nearest enclosing place that exists is shown.
    pub pointer: String,
    /// Whether the key or the value is meant.
    pub at_key: bool,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Fault {
    /// A fault of the value at `pointer`.
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), at_key: false, message: message.into(), hint: None }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, pointing at the key.
    #[must_use]
    pub fn at_key(mut self) -> Self {
        self.at_key = true;
        self
    }
}

/// All faults of one file, ready to be shown.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{rendered}")]
pub struct Faults {
    rendered: String,
    /// Number of faults.
    pub count: usize,
}

impl Faults {
    /// A file that could not be read.
    pub fn unreadable(name: &str, reason: &str, hint: &str) -> Self {
        let message = format!("{name} cannot be read: {reason}");
        let report =
            [Level::ERROR.primary_title(message).element(Level::HELP.message(hint.to_owned()))];
        Self { rendered: Renderer::plain().render(&report), count: 1 }
    }
}

impl Source {
    /// Parses TOML; every syntax error is told.
    pub fn parse(name: &str, text: &str) -> Result<Self, Faults> {
        let (table, errors) = DeTable::parse_recoverable(text);
        let mut source = Self {
            name: name.to_owned(),
            text: text.to_owned(),
            value: Value::Null,
            places: BTreeMap::new(),
        };
        source.places.insert(String::new(), Place { key: 0..0, value: 0..0 });
        if !errors.is_empty() {
            for (i, error) in errors.iter().enumerate() {
                let span = error.span().unwrap_or(0..0);
                source.places.insert(format!("/{i}"), Place { key: span.clone(), value: span });
            }
            let faults = errors
                .iter()
                .enumerate()
                .map(|(i, e)| Fault::new(format!("/{i}"), format!("not TOML: {}", e.message())))
                .collect::<Vec<_>>();
            return Err(source.faults(&faults));
        }
        source.walk("", table.get_ref());
        let parsed: Result<Value, _> = toml::from_str(text);
        source.value = parsed.map_err(|e| source.faults(&[Fault::new("", e.message())]))?;
        Ok(source)
    }

    fn walk(&mut self, pointer: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let at = format!("{pointer}/{}", escape(key.get_ref()));
            self.places.insert(at.clone(), Place { key: key.span(), value: value.span() });
            self.walk_value(&at, value.get_ref());
        }
    }

    fn walk_value(&mut self, pointer: &str, value: &DeValue<'_>) {
        if let Some(table) = value.as_table() {
            self.walk(pointer, table);
        } else if let Some(array) = value.as_array() {
            for (i, element) in array.iter().enumerate() {
                let at = format!("{pointer}/{i}");
                self.places
                    .insert(at.clone(), Place { key: element.span(), value: element.span() });
                self.walk_value(&at, element.get_ref());
            }
        }
    }

    /// The file as a JSON value.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Deserialises the file, after its shape was checked by `schema`.
    pub fn read<T: serde::de::DeserializeOwned>(&self, schema: &Value) -> Result<T, Faults> {
        let faults = schema_faults(schema, &self.value, "");
        if !faults.is_empty() {
            return Err(self.faults(&faults));
        }
        serde_json::from_value(self.value.clone())
            .map_err(|e| self.faults(&[Fault::new("", e.to_string())]))
    }

    /// Shows faults at their places, in the order of the file.
    pub fn faults(&self, faults: &[Fault]) -> Faults {
        let mut placed: Vec<(Range<usize>, &Fault)> =
            faults.iter().map(|fault| (self.place(fault), fault)).collect();
        placed.sort_by_key(|(span, _)| span.start);
        let renderer = Renderer::plain();
        let rendered = placed
            .iter()
            .map(|(span, fault)| {
                let annotation = AnnotationKind::Primary.span(span.clone());
                let snippet = Snippet::source(self.text.as_str())
                    .path(self.name.as_str())
                    .annotation(annotation);
                let mut group: Group<'_> =
                    Level::ERROR.primary_title(fault.message.as_str()).element(snippet);
                if let Some(hint) = &fault.hint {
                    group = group.element(Level::HELP.message(hint.as_str()));
                }
                renderer.render(&[group])
            })
            .collect::<Vec<_>>()
            .join("\n\n");
        Faults { rendered, count: faults.len() }
    }

    fn place(&self, fault: &Fault) -> Range<usize> {
        let mut pointer = fault.pointer.as_str();
        let mut at_key = fault.at_key;
        loop {
            if let Some(place) = self.places.get(pointer) {
                let span = if at_key { &place.key } else { &place.value };
                // A whole table is shown by its header, not by all its lines.
                let line_end = self.text[span.start..]
                    .find('\n')
                    .map_or(self.text.len(), |offset| span.start + offset);
                return span.start..span.end.min(line_end).max(span.start);
            }
            pointer = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
            at_key = true;
        }
    }
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Holds a value against a JSON schema; `prefix` is the pointer of the value in its file.
pub fn schema_faults(schema: &Value, value: &Value, prefix: &str) -> Vec<Fault> {
    let validator = match jsonschema::validator_for(schema) {
        Ok(validator) => validator,
        Err(error) => return vec![Fault::new(prefix, format!("schema: {error}"))],
    };
    let mut faults = Vec::new();
    for error in validator.iter_errors(value) {
        let pointer = format!("{prefix}{}", error.instance_path().as_str());
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected }
            | ValidationErrorKind::UnevaluatedProperties { unexpected } => {
                let known = property_names(schema, error.schema_path().as_str());
                for name in unexpected {
                    let fault = Fault::new(
                        format!("{pointer}/{}", escape(name)),
                        format!("unknown field `{name}`"),
                    );
                    faults.push(fault.at_key().hint(suggestion(name, &known)));
                }
            }
            ValidationErrorKind::Required { property } => {
                let name = property.as_str().unwrap_or_default();
                faults.push(Fault::new(pointer, format!("field `{name}` is missing")).at_key());
            }
            ValidationErrorKind::Enum { .. }
            | ValidationErrorKind::OneOfNotValid { .. }
            | ValidationErrorKind::Constant { .. }
            | ValidationErrorKind::AnyOf { .. } => {
                let allowed = constants(schema, error.schema_path().as_str());
                let found = error.instance();
                let message = format!("found {found}, which is not one of the values allowed here");
                let hint = match found.as_str() {
                    Some(word) if !allowed.is_empty() => suggestion(word, &allowed),
                    _ if allowed.is_empty() => {
                        "see `tributary models` for the shape of this option".into()
                    }
                    _ => format!("allowed: {}", allowed.join(", ")),
                };
                faults.push(Fault::new(pointer, message).hint(hint));
            }
            _ => faults.push(Fault::new(pointer, error.to_string())),
        }
    }
    faults
}

/// "did you mean", or the whole list if nothing is near.
pub(crate) fn suggestion(found: &str, known: &[String]) -> String {
    let nearest = known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(found, name), name))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, name)| *distance <= 1 + name.len() / 3);
    match nearest {
        Some((_, name)) => format!("did you mean `{name}`?"),
        None => format!("known: {}", known.join(", ")),
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
    collect_constants(schema, node, &mut found, 4);
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
