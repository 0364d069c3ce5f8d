//! Raw names in a reader's words: terms of models, conditions of the population, arrays that sites send, choices of analysts.

use tributary_core::{estimate::Notice, model::Term};

use super::{Composed, Composer};
use crate::results::ModelResult;

/// Texts of tables that are words of the language, not names of the study; they begin a cell in capitals.
const WORDED: [&str; 5] = ["quantity", "test", "estimator", "model", "method"];

impl Composer<'_> {
    /// A term of a table: a covariate with its level and reference, anything else by its name.
    pub(super) fn term_words(&self, model: &ModelResult, term: &Term) -> Composed<String> {
        let is_covariate = self.results.dictionary.get(&term.variable).is_some();
        if is_covariate && !term.term.ends_with('\'') {
            return self.term(term);
        }
        self.named_term(model, &term.term)
    }

    /// `grade=2:log(time)` as "Grade: 2 × log time".
    pub(super) fn named_term(&self, model: &ModelResult, name: &str) -> Composed<String> {
        let is_variable = self.results.dictionary.get(name).is_some();
        if let Ok(word) = self.word(&format!("value.{name}"))
            && !is_variable
        {
            return Ok(word);
        }
        let factors: Composed<Vec<String>> =
            name.split(':').map(|factor| self.factor(model, factor)).collect();
        Ok(factors?.join(" × "))
    }

    fn factor(&self, model: &ModelResult, factor: &str) -> Composed<String> {
        let stem = factor.trim_end_matches('\'');
        let n = (factor.len() - stem.len() + 1).to_string();
        if let Some(knot) = stem.strip_prefix("gamma").and_then(|n| n.parse::<u32>().ok()) {
            let n = knot.to_string();
            return match knot {
                0 => self.word("table.baseline_intercept"),
                _ => self.say("table.baseline_spline", &[("n", &n)]),
            };
        }
        if stem.ends_with(" years") && stem.starts_with(|c: char| c.is_ascii_digit()) {
            return self.say("table.baseline_band", &[("band", stem)]);
        }
        let (variable, level) = match stem.split_once('=') {
            Some((variable, level)) => (variable, Some(level)),
            None => (stem, None),
        };
        let label = self.variable_words(model, variable);
        Ok(match level {
            Some(level) => format!("{label}: {}", self.level_words_of(model, variable, level)?),
            None if stem.len() < factor.len() => {
                self.say("table.spline", &[("variable", &label), ("n", &n)])?
            }
            None => label,
        })
    }

    /// A variable by its label in the dictionary; the axes of incidence by what they stand for.
    fn variable_words(&self, model: &ModelResult, variable: &str) -> String {
        let dictionary = &self.results.dictionary;
        let axis = match variable {
            "sex" => Self::sex_variable(model),
            "group" => model.by.as_deref(),
            _ => None,
        };
        match axis.or(Some(variable)).and_then(|name| dictionary.get(name)) {
            Some(found) => found.label.clone(),
            None => self
                .word(&format!("value.{variable}"))
                .or_else(|_| self.word(&format!("head.{variable}")))
                .unwrap_or_else(|_| variable.to_owned()),
        }
    }

    fn level_words_of(&self, model: &ModelResult, variable: &str, level: &str) -> Composed<String> {
        match self.results.dictionary.get(variable) {
            Some(found) => Ok(found.level_label(level).to_owned()),
            None if variable == "sex" => Ok(self.sex_label(model, level)),
            None if variable == "group" => self.group(model, model.by.as_deref(), level),
            None => Ok(level.to_owned()),
        }
    }

    /// A condition of the population as it was written, with labels for variables and codes.
    pub(super) fn condition_words(&self, condition: &str) -> Composed<String> {
        let dictionary = &self.results.dictionary;
        let mut variable = None;
        let mut words: Vec<String> = Vec::new();
        for token in tokens(condition) {
            let last = words.last().map(String::as_str);
            let word = match token.as_str() {
                // What follows decides how NOT and IS read.
                "=" | "<" | ">" | "(" | ")" | "," | "NOT" | "IS" => token,
                "<=" => "≤".into(),
                ">=" => "≥".into(),
                "<>" => "≠".into(),
                "NULL" if last == Some("NOT") => {
                    words.truncate(words.len() - 2);
                    self.word("condition.known")?
                }
                "NULL" => {
                    words.pop();
                    self.word("condition.unknown")?
                }
                "IN" | "BETWEEN" if last == Some("NOT") => {
                    words.pop();
                    self.word(&format!("condition.NOT {token}"))?
                }
                "IN" | "BETWEEN" | "AND" | "OR" => self.word(&format!("condition.{token}"))?,
                name if dictionary.get(name).is_some() => {
                    variable = dictionary.get(name);
                    dictionary.label(name).to_owned()
                }
                literal => {
                    let code = literal.trim_matches('\'');
                    let level = match code.to_ascii_lowercase().as_str() {
                        "true" => "1".to_owned(),
                        "false" => "0".to_owned(),
                        _ => code.to_owned(),
                    };
                    let named = variable.map(|v| v.level_label(&level)).filter(|l| *l != level);
                    named.unwrap_or(code).to_owned()
                }
            };
            words.push(word);
        }
        let not = self.word("condition.NOT")?;
        let words: Vec<&str> =
            words.iter().map(|w| if w == "NOT" { not.as_str() } else { w }).collect();
        Ok(words.join(" ").replace("( ", "(").replace(" )", ")").replace(" ,", ","))
    }

    /// What an array of counts holds.
    pub(super) fn array_words(&self, array: &str) -> Composed<String> {
        let numbered = array.trim_end_matches(|c: char| c.is_ascii_digit());
        self.word(&format!("array.{numbered}")).or_else(|_| self.word("array.other"))
    }

    /// Names that a method card lists: variables by their labels, choices by their words.
    pub(super) fn choice_words(&self, value: &str) -> String {
        let word = |name: &str| {
            if self.results.dictionary.get(name).is_some() {
                return self.lower(name);
            }
            self.word(&format!("choice.{name}"))
                .or_else(|_| self.word(&format!("value.{name}")))
                .unwrap_or_else(|_| name.to_owned())
        };
        value.split(", ").map(word).collect::<Vec<_>>().join(", ")
    }

    /// A value that a notice names: terms and groups of its model in words.
    pub(super) fn notice_words(
        &self,
        model: &ModelResult,
        notice: &Notice,
    ) -> Composed<Vec<(String, String)>> {
        let each = |list: &str, words: &dyn Fn(&str) -> Composed<String>| {
            let words: Composed<Vec<String>> = list.split(", ").map(words).collect();
            words.map(|words| words.join(", "))
        };
        let shown = |key: &str, value: &str| match key {
            "terms" if value.parse::<f64>().is_err() => {
                each(value, &|term| self.named_term(model, term))
            }
            "group" | "groups" => {
                each(value, &|group| self.group(model, model.by.as_deref(), group))
            }
            "sex" => self.who(model, value),
            _ => Ok(value.to_owned()),
        };
        notice.values.iter().map(|(k, v)| Ok((k.clone(), shown(k, v)?))).collect()
    }

    /// A text of a table that is a word of the language.
    pub(super) fn worded(&self, column: &str, text: &str) -> String {
        if let Ok(word) = self.word(&format!("value.{text}")) {
            return word;
        }
        if WORDED.contains(&column) { capital(text) } else { text.to_owned() }
    }

    /// Title of a model, or what it is; a kind without a word of its own is called as on its card.
    pub(super) fn title(&self, model: &ModelResult) -> Composed<String> {
        if let Some(title) = &model.title {
            return Ok(title.clone());
        }
        self.word(&format!("kind.{}", model.kind)).or_else(|missing| {
            tributary_models::find(&model.kind).map(|m| m.card().title.to_owned()).ok_or(missing)
        })
    }
}

/// The same with a capital at its beginning.
pub(super) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + letters.as_str()
    })
}

/// Words, literals and operators of a condition.
fn tokens(condition: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut letters = condition.chars().peekable();
    while let Some(letter) = letters.next() {
        let mut token = String::from(letter);
        let mut take_while = |token: &mut String, keep: &dyn Fn(char) -> bool| {
            while let Some(next) = letters.next_if(|c| keep(*c)) {
                token.push(next);
            }
        };
        match letter {
            ' ' => continue,
            '\'' => {
                take_while(&mut token, &|c| c != '\'');
                token.extend(letters.next());
            }
            '<' | '>' => take_while(&mut token, &|c| c == '=' || c == '>'),
            '=' | '(' | ')' | ',' => {}
            _ => take_while(&mut token, &|c| !" '<>=(),".contains(c)),
        }
        found.push(token);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::tokens;

    #[test]
    fn a_condition_falls_into_words_literals_and_operators() {
        let found = tokens("stage NOT IN ('I a', 'II') OR (age_years<=19 AND sex IS NOT NULL)");
        let wanted = "stage|NOT|IN|(|'I a'|,|'II'|)|OR|(|age_years|<=|19|AND|sex|IS|NOT|NULL|)";
        assert_eq!(found.join("|"), wanted);
    }
}
