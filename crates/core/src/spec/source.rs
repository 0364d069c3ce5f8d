//! A TOML file with the place of everything in it, and faults that point there.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
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
    /// Whether the pointer starts at the file, though a model found the fault: it lies in what models share.
    pub shared: bool,
}

impl Fault {
    /// A fault of the value at `pointer`.
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            at_key: false,
            message: message.into(),
            hint: None,
            shared: false,
        }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, in a table of the file that models share.
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.shared = true;
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
        let mut faults = Vec::new();
        source.walk("", table.get_ref(), &mut faults);
        if !faults.is_empty() {
            return Err(source.faults(&faults));
        }
        let parsed: Result<Value, _> = toml::from_str(text);
        source.value = parsed.map_err(|e| {
            let span = e.span().unwrap_or(0..0);
            source.places.insert("/0".into(), Place { key: span.clone(), value: span });
            source.faults(&[Fault::new("/0", e.message())])
        })?;
        Ok(source)
    }

    fn walk(&mut self, pointer: &str, table: &DeTable<'_>, faults: &mut Vec<Fault>) {
        for (key, value) in table {
            let at = format!("{pointer}/{}", escape(key.get_ref()));
            self.places.insert(at.clone(), Place { key: key.span(), value: value.span() });
            self.walk_value(&at, value.get_ref(), faults);
        }
    }

    fn walk_value(&mut self, pointer: &str, value: &DeValue<'_>, faults: &mut Vec<Fault>) {
        if let Some(table) = value.as_table() {
            self.walk(pointer, table, faults);
        } else if let Some(array) = value.as_array() {
            for (i, element) in array.iter().enumerate() {
                let at = format!("{pointer}/{i}");
                self.places
                    .insert(at.clone(), Place { key: element.span(), value: element.span() });
                self.walk_value(&at, element.get_ref(), faults);
            }
        } else if let DeValue::Float(number) = value
            && !number.as_str().replace('_', "").parse().is_ok_and(f64::is_finite)
        {
            // JSON has no word for it: it would be read as a field that is not there.
            let message = format!("found {}, expected a finite number", number.as_str());
            faults.push(Fault::new(pointer, message));
        }
    }

    /// The file as a JSON value.
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Deserialises the file, after its shape was checked by `schema`.
    pub fn read<T: serde::de::DeserializeOwned>(&self, schema: &Value) -> Result<T, Faults> {
        let faults = super::shape::schema_faults(schema, &self.value, "");
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
        // What several models share and find at fault is told once.
        let mut told = BTreeSet::new();
        placed.retain(|(span, fault)| told.insert((span.start, &fault.message)));
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
        Faults { rendered, count: placed.len() }
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

pub(super) fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// "did you mean", or the whole list if no name is near.
pub fn suggestion(found: &str, known: &[String]) -> String {
    match nearest(found, known) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("known: {}", known.join(", ")),
    }
}

/// The known name that `found` may be a slip of: at most a third of its letters differ.
pub(super) fn nearest<'a>(found: &str, known: &'a [String]) -> Option<&'a String> {
    let length = |name: &str| name.chars().count().max(found.chars().count());
    known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(found, name), name))
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, name)| 3 * distance <= length(name))
        .map(|(_, name)| name)
}
