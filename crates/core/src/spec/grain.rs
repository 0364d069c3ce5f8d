//! The grain rule: what an analysis tells apart falls on the grain that the dictionary gives each variable. Every population, group
//! and window is then a union of atoms, the cells of the crossed grains. Conditions are judged where they are parsed, models by
//! the columns that they need.

mod definition;

use serde_json::Value;

use definition::{Atoms, date_of};
pub use definition::{Grain, GrainParts, GrainUnit, GrainWord};

use super::{
    condition::{Condition, Leaf, Operator, Scalar},
    dictionary::{Dictionary, Variable, VariableKind},
    source::{Fault, escape},
};
use crate::cohort::{ColumnNeed, Places, Used};

/// What is wrong with a use, and what to do.
type Problem = (String, String);

/// What a place is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Axis {
    /// The variable's own unit.
    Value,
    /// Completed years of age.
    Age,
    /// Calendar years.
    Year,
    /// Days since 1970-01-01.
    Day,
}

/// Whether a place is on a grain.
enum Verdict {
    On,
    /// The nearest places below and above that are.
    Off([Option<f64>; 2]),
    /// No place is.
    Never,
}

/// Faults of the columns that a model with these options needs; options that are the `given` ones stand at the head of the analysis.
pub fn grain_faults(
    needs: &[ColumnNeed],
    options: &Value,
    given: &[&str],
    dictionary: &Dictionary,
) -> Vec<Fault> {
    let of_need = |need: &ColumnNeed| {
        // A name that is no variable has a fault of its own.
        let variable = dictionary.get(&need.name)?;
        let named = || place_of(&need.name, options, "");
        // What an option does not say, it has from the variable.
        let said = |at: &String| options.pointer(at).map(|_| at.clone());
        let (at, (message, hint)) = match &need.used {
            Used::Number => (named(), number_problem(need, variable)?),
            Used::Cases => (named(), cases_problem(need, variable)?),
            Used::Levels => (named(), levels_problem(need, variable)?),
            Used::Chosen { levels, at } => {
                let problem = chosen_problem(&need.name, variable, levels)?;
                (said(at).or_else(named), problem)
            }
            Used::Parted { places, at } => {
                let (first, problem) = parted_problem(&need.name, variable, places)?;
                // A list is shown by its first member that is off the grain.
                let list = options.pointer(at).and_then(Value::as_array);
                let is_member = list.is_some_and(|list| list.len() == places.len());
                let at = if is_member { format!("{at}/{first}") } else { at.clone() };
                (said(&at).or_else(named), problem)
            }
        };
        let at = at.unwrap_or_default();
        let is_given = given.iter().any(|name| at.split('/').nth(1) == Some(name));
        let fault = Fault::new(at, message).hint(hint);
        Some(if is_given { fault.shared() } else { fault })
    };
    needs.iter().filter_map(of_need).collect()
}

/// Problems of a condition of the population.
pub(super) fn condition_problems(condition: &Condition, dictionary: &Dictionary) -> Vec<Problem> {
    let leaves = condition.leaves().into_iter();
    leaves.flat_map(|leaf| leaf_problems(&leaf, dictionary)).collect()
}

/// Whether the classes that the dictionary gives a variable are on its grain; if not, what is wrong.
pub(super) fn classes_problem(name: &str, variable: &Variable, edges: Vec<f64>) -> Option<String> {
    let (_, (message, _)) = parted_problem(name, variable, &Places::Values(edges))?;
    Some(message)
}

/// Where a variable is named among options.
fn place_of(name: &str, options: &Value, at: &str) -> Option<String> {
    match options {
        Value::String(text) => (text == name).then(|| at.to_owned()),
        Value::Array(list) => {
            let mut members = list.iter().enumerate();
            members.find_map(|(i, one)| place_of(name, one, &format!("{at}/{i}")))
        }
        Value::Object(map) => {
            let mut members = map.iter();
            members.find_map(|(key, one)| place_of(name, one, &format!("{at}/{}", escape(key))))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
    }
}

fn number_problem(need: &ColumnNeed, variable: &Variable) -> Option<Problem> {
    match variable.atoms() {
        Atoms::Never => Some(unfit(&need.name, variable)),
        Atoms::Levels(_) => {
            let message = format!("`{}` has levels and is no number", need.name);
            Some((message, "name a quantity".into()))
        }
        Atoms::Number | Atoms::Cuts(_) | Atoms::Ages(_) | Atoms::Years | Atoms::Dates(_) => None,
    }
}

/// Floors take cases for persons: whatever else is summed in their place passes them with a single person.
fn cases_problem(need: &ColumnNeed, variable: &Variable) -> Option<Problem> {
    let name = &need.name;
    let message = format!("`{name}` is no number of cases by the dictionary");
    let hint = format!(
        "leave `count` out, or write cases = true under [dictionary.{name}] of the study where its records are of so many cases"
    );
    let own = (!variable.cases).then_some((message, hint));
    number_problem(need, variable).or(own)
}

fn levels_problem(need: &ColumnNeed, variable: &Variable) -> Option<Problem> {
    let Atoms::Levels(sets) = variable.atoms() else { return Some(unfit(&need.name, variable)) };
    let joined = sets.iter().find(|set| set.len() > 1)?;
    let message = format!(
        "levels {} of `{}` may be told apart from the others only together",
        joined.join(" and "),
        need.name
    );
    let hint = format!(
        "add a variable to the dictionary whose levels are the sets {}, and map the files to it",
        variable.grain_words(false)
    );
    Some((message, hint))
}

fn chosen_problem(name: &str, variable: &Variable, levels: &[String]) -> Option<Problem> {
    let Atoms::Levels(sets) = variable.atoms() else { return Some(unfit(name, variable)) };
    let is_chosen = |level: &String| levels.contains(level);
    let unknown = levels.iter().find(|level| !sets.iter().any(|set| set.contains(level)));
    if let Some(level) = unknown {
        let known = variable.grain_words(false);
        if known.is_empty() {
            let message = format!(
                "`{name}` is open text, in which any value may be one person's, and has no grain"
            );
            let hint = format!(
                "list what may be asked for under [dictionary.{name}] of the study: grain = {{ levels = [[\"{level}\"]] }}"
            );
            return Some((message, hint));
        }
        let message = format!("`{level}` is not on the grain of `{name}` ({known})");
        return Some((message, format!("the study lets these be asked for: {known}")));
    }
    let part = sets.iter().find(|set| set.iter().any(is_chosen) && !set.iter().all(is_chosen))?;
    let message = format!(
        "{} without the rest of its set is not on the grain of `{name}` ({})",
        part.iter().filter(|level| is_chosen(level)).cloned().collect::<Vec<_>>().join(" and "),
        variable.grain_words(false)
    );
    Some((message, format!("the nearest is {} together", part.join(" and "))))
}

/// The first of several places that is off the grain, and what is wrong with it.
fn parted_problem(name: &str, variable: &Variable, places: &Places) -> Option<(usize, Problem)> {
    let (axis, places): (Axis, Vec<f64>) = match places {
        Places::Values(values) => (Axis::Value, values.clone()),
        Places::Ages(ages) => (Axis::Age, ages.clone()),
        Places::Years(years) => (Axis::Year, years.iter().copied().map(f64::from).collect()),
        Places::Days(days) => (Axis::Day, days.iter().copied().map(f64::from).collect()),
    };
    let off: Vec<(usize, f64, Verdict)> = places
        .into_iter()
        .enumerate()
        .map(|(i, place)| (i, place, verdict(variable, axis, place)))
        .filter(|(_, _, verdict)| !matches!(verdict, Verdict::On))
        .collect();
    let (first, place, verdict) = off.first()?;
    let Verdict::Off(nearest) = verdict else { return Some((*first, unfit(name, variable))) };
    let shown = |x: f64| words_of(axis, x);
    let subject = match off.len() {
        1 if axis == Axis::Age => format!("age {} is", shown(*place)),
        1 => format!("{} is", shown(*place)),
        n if axis == Axis::Age => format!("age {} and {} more are", shown(*place), n - 1),
        n => format!("{} and {} more are", shown(*place), n - 1),
    };
    let grain = variable.grain_words(axis == Axis::Age);
    let message = format!("{subject} not on the grain of `{name}` ({grain})");
    Some((*first, (message, nearest_words(*nearest, shown))))
}

fn leaf_problems(leaf: &Leaf<'_>, dictionary: &Dictionary) -> Vec<Problem> {
    let name = leaf.column();
    let Some(variable) = dictionary.get(name) else { return Vec::new() };
    match leaf {
        Leaf::Missing { .. } if variable.allows_missing() => Vec::new(),
        Leaf::Missing { .. } => {
            let message = format!(
                "`{name} IS NULL` selects the persons of whom it is not known, which the grain of `{name}` does not allow"
            );
            let hint = format!(
                "leave it out, or ask for `{name} IS NOT NULL`; a study may write grain = {{ missing = true }} under [dictionary.{name}]"
            );
            vec![(message, hint)]
        }
        Leaf::In { literals, .. } if literals.iter().all(|l| matches!(l, Scalar::Text(_))) => {
            let levels: Vec<String> = literals.iter().filter_map(text_of).collect();
            chosen_problem(name, variable, &levels).into_iter().collect()
        }
        Leaf::In { literals, .. } => {
            let each = literals.iter();
            each.filter_map(|l| compare_problem(name, variable, Operator::Equal, l)).collect()
        }
        Leaf::Compare { operator, literal, .. } => {
            compare_problem(name, variable, *operator, literal).into_iter().collect()
        }
    }
}

fn text_of(scalar: &Scalar) -> Option<String> {
    match scalar {
        Scalar::Text(text) => Some(text.clone()),
        Scalar::Null | Scalar::Number(_) => None,
    }
}

fn compare_problem(
    name: &str,
    variable: &Variable,
    operator: Operator,
    literal: &Scalar,
) -> Option<Problem> {
    let is_equal = operator == Operator::Equal;
    let x = match literal {
        Scalar::Null => return None,
        Scalar::Text(text) if is_equal => {
            return chosen_problem(name, variable, std::slice::from_ref(text));
        }
        Scalar::Text(text) => {
            let message = format!("`{name} {operator} '{text}'` cuts through open text");
            return Some((message, format!("name the codes: {name} IN ('{text}')")));
        }
        Scalar::Number(x) if variable.kind == VariableKind::Flag => {
            return chosen_problem(name, variable, &[x.to_string()]);
        }
        Scalar::Number(x) => *x,
    };
    let axis = if variable.kind == VariableKind::Date { Axis::Day } else { Axis::Value };
    let quoted = |x: f64| match axis {
        Axis::Day => format!("'{}'", words_of(axis, x)),
        Axis::Value | Axis::Age | Axis::Year => words_of(axis, x),
    };
    let message = || {
        let grain = variable.grain_words(false);
        format!("`{name} {operator} {}` is not on the grain of `{name}` ({grain})", quoted(x))
    };
    // Whole numbers from a place on are all those above the number before it.
    let is_whole = variable.kind != VariableKind::Real;
    let (from, to) = match operator {
        Operator::GreaterOrEqual | Operator::Less if is_whole => (x.ceil(), None),
        Operator::GreaterOrEqual | Operator::Less => (x, None),
        Operator::Greater | Operator::LessOrEqual => (x.floor() + 1.0, None),
        Operator::Equal => (x, Some(x + 1.0)),
    };
    if !is_whole && matches!(operator, Operator::Greater | Operator::LessOrEqual | Operator::Equal)
    {
        if let Verdict::Never = verdict(variable, axis, x) {
            return Some(unfit(name, variable));
        }
        let hint = format!("a number falls on the grain by >= and < only: {name} < {x}");
        return Some((message(), hint));
    }
    let shift =
        if matches!(operator, Operator::Greater | Operator::LessOrEqual) { 1.0 } else { 0.0 };
    match (verdict(variable, axis, from), to.map(|to| verdict(variable, axis, to))) {
        (Verdict::On, None | Some(Verdict::On)) => None,
        (Verdict::Never, _) | (_, Some(Verdict::Never)) => Some(unfit(name, variable)),
        (Verdict::Off(nearest), None) => {
            let shown = |place: f64| format!("`{name} {operator} {}`", quoted(place - shift));
            Some((message(), nearest_words(nearest, shown)))
        }
        (at, Some(end)) => {
            let band = |place: Option<f64>, operator: &str| {
                place.map(|place| format!("{name} {operator} {}", quoted(place)))
            };
            let low = if let Verdict::Off([low, _]) = at { low } else { Some(from) };
            let high = if let Verdict::Off([_, high]) = end { high } else { to };
            let band: Vec<String> =
                [band(low, ">="), band(high, "<")].into_iter().flatten().collect();
            Some((message(), format!("the nearest is `{}`", band.join(" AND "))))
        }
    }
}

/// A use that no place of the grain allows.
fn unfit(name: &str, variable: &Variable) -> Problem {
    match variable.atoms() {
        Atoms::Never => {
            let message = format!("`{name}` may not be used in an analysis (its grain is never)");
            (message, "choose another variable".into())
        }
        Atoms::Ages(_) | Atoms::Cuts(_) => {
            let message = format!(
                "the grain of `{name}` ({}) is not in the unit in which it is parted here",
                variable.grain_words(false)
            );
            let hint = "select by a variable that holds the age in completed years; the grain of an age in days is given as ages";
            (message, hint.into())
        }
        Atoms::Number | Atoms::Levels(_) | Atoms::Years | Atoms::Dates(_) => {
            let message = format!(
                "`{name}` may enter a model as a number, but may neither select nor group (its grain is {})",
                variable.grain_words(false)
            );
            let hint = format!(
                "a study says under [dictionary.{name}] how finely it may be cut: {}",
                Grain::example(variable.kind)
            );
            (message, hint)
        }
    }
}

/// Whether a place is on the grain of a variable.
fn verdict(variable: &Variable, axis: Axis, x: f64) -> Verdict {
    let per_year = variable.per_year();
    let in_unit = |cuts: &[f64], factor: f64| {
        let cuts: Vec<f64> = cuts.iter().map(|cut| cut * factor).collect();
        let range = if axis == Axis::Age {
            // Days of age have no whole number in a year: only birth is sure to be their least.
            per_year.zip(variable.range).map(|(n, [least, most])| [least / n, most / n])
        } else {
            variable.range
        };
        let [least, most] = range.unwrap_or([f64::NEG_INFINITY, f64::INFINITY]);
        let of_all = x <= least || x > most || (axis == Axis::Age && x <= 0.0);
        if of_all || cuts.contains(&x) {
            return Verdict::On;
        }
        let below = cuts.iter().copied().rfind(|cut| *cut < x);
        Verdict::Off([below, cuts.iter().copied().find(|cut| *cut > x)])
    };
    match (variable.atoms(), axis) {
        (Atoms::Cuts(cuts), Axis::Value | Axis::Year) => in_unit(&cuts, 1.0),
        (Atoms::Cuts(cuts), Axis::Age) => {
            per_year.map_or(Verdict::Never, |n| in_unit(&cuts, 1.0 / n))
        }
        (Atoms::Ages(ages), Axis::Age) => in_unit(&ages, 1.0),
        (Atoms::Ages(ages), Axis::Value) => per_year.map_or(Verdict::Never, |n| in_unit(&ages, n)),
        (Atoms::Years, Axis::Value) if x.fract() != 0.0 => {
            Verdict::Off([Some(x.floor()), Some(x.ceil())])
        }
        (Atoms::Years, Axis::Value | Axis::Year) | (Atoms::Dates(_), Axis::Year) => Verdict::On,
        (Atoms::Dates(unit), Axis::Day) => {
            let day = x as i32;
            let start = unit.start(day);
            if start == Some(day) {
                return Verdict::On;
            }
            // The unit after this one holds the day that is the longest unit after its start.
            let next = start.and_then(|start| unit.start(start + unit.longest()));
            Verdict::Off([start, next].map(|day| day.map(f64::from)))
        }
        (Atoms::Never | Atoms::Number | Atoms::Levels(_), _)
        | (Atoms::Cuts(_) | Atoms::Ages(_) | Atoms::Years, Axis::Day)
        | (Atoms::Ages(_), Axis::Year)
        | (Atoms::Years, Axis::Age)
        | (Atoms::Dates(_), Axis::Value | Axis::Age) => Verdict::Never,
    }
}

fn words_of(axis: Axis, x: f64) -> String {
    match axis {
        Axis::Day => date_of(x as i32).map_or_else(|| x.to_string(), |date| date.to_string()),
        Axis::Value | Axis::Age | Axis::Year => x.to_string(),
    }
}

fn nearest_words(nearest: [Option<f64>; 2], shown: impl Fn(f64) -> String) -> String {
    let words: Vec<String> = nearest.into_iter().flatten().map(shown).collect();
    match &words[..] {
        [one] => format!("the nearest is {one}"),
        words => format!("the nearest are {}", words.join(" and ")),
    }
}
