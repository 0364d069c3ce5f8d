//! Words of a report, from one file per language.

use minijinja::{Environment, UndefinedBehavior, Value};

use super::ReportError;

const ENGLISH: &str = include_str!("../../../reports/locales/en.toml");

/// The sentences of one language, with names to be filled in.
#[derive(Debug)]
pub(super) struct Locale {
    sentences: Environment<'static>,
    pub(super) language: String,
    pub(super) decimal: String,
    pub(super) thousands: String,
    pub(super) to: String,
    pub(super) and: String,
}

impl Locale {
    pub(super) fn english() -> Result<Self, ReportError> {
        let error = |key: &str, reason: String| ReportError::Text { key: key.to_owned(), reason };
        let words: toml::Table =
            ENGLISH.parse().map_err(|e: toml::de::Error| error("en.toml", e.to_string()))?;
        let mut sentences = Environment::new();
        sentences.set_undefined_behavior(UndefinedBehavior::Strict);
        sentences.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        let plain =
            |key: &str| words.get(key).and_then(toml::Value::as_str).unwrap_or_default().to_owned();
        for (section, table) in
            words.iter().filter_map(|(section, value)| Some((section, value.as_table()?)))
        {
            for (name, text) in table {
                let key = format!("{section}.{name}");
                let text = text.as_str().unwrap_or_default().to_owned();
                sentences
                    .add_template_owned(key.clone(), text)
                    .map_err(|e| error(&key, e.to_string()))?;
            }
        }
        Ok(Self {
            language: plain("language"),
            decimal: plain("decimal"),
            thousands: plain("thousands"),
            to: plain("to"),
            and: plain("and"),
            sentences,
        })
    }

    /// The sentence called `key`, its names filled in.
    pub(super) fn say(&self, key: &str, values: &[(&str, &str)]) -> Result<String, ReportError> {
        let error =
            |e: minijinja::Error| ReportError::Text { key: key.to_owned(), reason: e.to_string() };
        let context = Value::from_pairs(values.iter().map(|(name, value)| (*name, *value)));
        self.sentences.get_template(key).map_err(error)?.render(context).map_err(error)
    }

    /// The words called `key`.
    pub(super) fn word(&self, key: &str) -> Result<String, ReportError> {
        self.say(key, &[])
    }
}
