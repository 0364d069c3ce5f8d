//! What a dictionary says about how finely a variable may select and group persons, and what holds where it says nothing.

use std::collections::BTreeMap;

use jiff::civil::Date;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::classes_problem;
use crate::{
    limits,
    spec::{
        DataKind, Derivation, Fault,
        condition::day_number,
        dictionary::{Variable, VariableKind},
    },
};

/// How finely a variable may be used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Grain {
    /// In a word.
    Word(GrainWord),
    /// In places at which it may be parted.
    Parts(GrainParts),
}

/// A grain in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GrainWord {
    /// May enter a model as a number, may neither select nor group.
    CovariateOnly,
    /// May not be used.
    Never,
}

/// A grain in places: one of `cuts`, `ages`, `levels` and `unit`, or `missing` alone beside what holds without a grain.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GrainParts {
    /// Values of a quantity, in its own unit, from which another band begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<limits::Quantity>>")]
    pub cuts: Option<Vec<f64>>,
    /// Ages in completed years from which another band begins, of an age in days, months or years.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Vec<limits::Age>>")]
    pub ages: Option<Vec<u32>>,
    /// Levels of a category that are told apart only together; of open text, the values that may be asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub levels: Option<Vec<Vec<String>>>,
    /// Unit of a date, or of a whole number that is a calendar year.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<GrainUnit>,
    /// Whether those of whom it is not known may be selected by IS NULL.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub missing: bool,
}

/// Unit of calendar time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GrainUnit {
    /// Calendar years.
    Year,
    /// Quarters.
    Quarter,
    /// Months.
    Month,
    /// Days; in a study of public data only.
    Day,
}

/// Ages at which bands begin where a dictionary says nothing: five years, with 0 apart.
const AGES: [u32; 19] = {
    let mut ages = [0; 19];
    ages[1] = 1;
    let mut i = 2;
    while i < ages.len() {
        ages[i] = 5 * (i as u32 - 1);
        i += 1;
    }
    ages
};

/// What may be told apart.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Atoms {
    Never,
    Number,
    /// Sets of levels.
    Levels(Vec<Vec<String>>),
    /// Bands of a quantity, in its own unit.
    Cuts(Vec<f64>),
    /// Bands of an age, in completed years.
    Ages(Vec<f64>),
    /// Each whole number, a calendar year.
    Years,
    Dates(GrainUnit),
}

impl Variable {
    /// What may be told apart: what the dictionary says, else what is safe.
    pub(super) fn atoms(&self) -> Atoms {
        use VariableKind::{Category, Date, Days, Flag, Integer, Real, Text};
        let numbers = |ages: &[u32]| ages.iter().map(|age| f64::from(*age)).collect();
        match &self.grain {
            _ if self.identifier => return Atoms::Never,
            Some(Grain::Word(GrainWord::Never)) => return Atoms::Never,
            Some(Grain::Word(GrainWord::CovariateOnly)) => return Atoms::Number,
            Some(Grain::Parts(GrainParts { cuts, ages, levels, unit, .. })) => {
                let is_date = self.kind == Date;
                let found = cuts.clone().map(Atoms::Cuts);
                let found = found.or_else(|| ages.as_deref().map(numbers).map(Atoms::Ages));
                let found = found.or_else(|| levels.clone().map(Atoms::Levels));
                let unit = unit.map(|u| if is_date { Atoms::Dates(u) } else { Atoms::Years });
                if let Some(found) = found.or(unit) {
                    return found;
                }
            }
            None => {}
        }
        match self.kind {
            Category | Flag => {
                Atoms::Levels(self.model_levels().into_iter().map(|level| vec![level]).collect())
            }
            Date => Atoms::Dates(GrainUnit::Year),
            Integer | Real if self.is_age_in_years() => Atoms::Ages(numbers(&AGES)),
            Days | Integer | Real => Atoms::Number,
            Text => Atoms::Levels(Vec::new()),
        }
    }

    /// Whether it is an age, by its unit or by how it is derived.
    fn is_age_in_years(&self) -> bool {
        self.unit.as_deref() == Some("completed years")
            || self.derive.as_ref().is_some_and(Derivation::is_completed_years)
    }

    /// Units of the variable in a year, if they are a whole number.
    pub(super) fn per_year(&self) -> Option<f64> {
        match (self.kind, self.unit.as_deref()) {
            (VariableKind::Days, _) => None,
            (_, Some("months")) => Some(12.0),
            _ => Some(1.0),
        }
    }

    /// Cuts in the variable's own unit, if it has some.
    fn cuts(&self) -> Option<Vec<f64>> {
        match self.atoms() {
            Atoms::Cuts(cuts) => Some(cuts),
            Atoms::Ages(ages) => self.per_year().map(|n| ages.iter().map(|age| n * age).collect()),
            Atoms::Never | Atoms::Number | Atoms::Levels(_) | Atoms::Years | Atoms::Dates(_) => {
                None
            }
        }
    }

    /// Edges of the bands into which its grain divides its range.
    pub fn bands(&self) -> Option<Vec<f64>> {
        let mut edges = self.cuts()?;
        if let Some([least, most]) = self.range {
            // An edge outside the range has nobody beyond it.
            edges.retain(|edge| (least..=most).contains(edge));
            if edges.first().is_none_or(|first| *first > least) {
                edges.insert(0, least);
            }
            edges.push(most + 1.0);
        }
        (edges.len() > 1).then_some(edges)
    }

    pub(super) fn allows_missing(&self) -> bool {
        matches!(&self.grain, Some(Grain::Parts(GrainParts { missing: true, .. })))
    }

    /// The grain in words, in completed years of age if so asked.
    pub(super) fn grain_words(&self, in_ages: bool) -> String {
        fn list<T: ToString>(all: &[T]) -> String {
            let words: Vec<String> = all.iter().map(T::to_string).collect();
            match words.len() {
                0..=9 => words.join(", "),
                n => format!("{}, …, {}", words[..6].join(", "), words[n - 1]),
            }
        }
        match self.atoms() {
            Atoms::Never => "never".into(),
            Atoms::Number => "covariate-only".into(),
            Atoms::Cuts(cuts) if in_ages => {
                let ages: Vec<f64> =
                    cuts.iter().map(|cut| cut / self.per_year().unwrap_or(1.0)).collect();
                format!("ages {}", list(&ages))
            }
            Atoms::Cuts(cuts) => list(&cuts),
            Atoms::Ages(ages) if self.per_year() == Some(1.0) => list(&ages),
            Atoms::Ages(ages) => format!("ages {}", list(&ages)),
            Atoms::Years => "calendar years".into(),
            Atoms::Dates(unit) => unit.words().into(),
            Atoms::Levels(sets) => {
                let sets: Vec<String> = sets.iter().map(|set| set.join(" + ")).collect();
                sets.join(", ")
            }
        }
    }

    /// Faults of the grain itself; `at` is the variable's place.
    pub(in crate::spec) fn grain_faults(&self, name: &str, at: &str, data: DataKind) -> Vec<Fault> {
        let parts = match &self.grain {
            None => return self.class_faults(name, at, data),
            Some(Grain::Word(GrainWord::Never)) => return Vec::new(),
            Some(_) if self.identifier => {
                let message = "an identifier is never used in an analysis";
                return vec![
                    Fault::new(format!("{at}/grain"), message).hint("leave the grain out"),
                ];
            }
            Some(Grain::Word(GrainWord::CovariateOnly)) => {
                use VariableKind::{Category, Flag, Text};
                if matches!(self.kind, Category | Flag | Text) {
                    let message = "only a quantity or a date can be covariate-only";
                    let hint = "grain = { levels = [[\"1\"], [\"2\", \"3\"]] }, or \"never\"";
                    return vec![Fault::new(format!("{at}/grain"), message).hint(hint)];
                }
                return self.class_faults(name, at, data);
            }
            Some(Grain::Parts(parts)) => parts,
        };
        let mut faults = parts.shape_faults(self, &format!("{at}/grain"), data);
        if faults.is_empty() {
            faults.extend(self.class_faults(name, at, data));
        }
        faults
    }

    /// Classes in which the distribution is shown fall on the grain too.
    fn class_faults(&self, name: &str, at: &str, data: DataKind) -> Vec<Fault> {
        let (Some([from, to]), Some(width)) = (self.range, self.class_width) else {
            return Vec::new();
        };
        if data == DataKind::Public || width <= 0.0 || (to - from) / width > 1e5 {
            return Vec::new();
        }
        let edges = (0..=((to - from) / width) as usize).map(|i| from + i as f64 * width).collect();
        let hint = "leave class_width out: the classes are then the bands of the grain";
        let problem = classes_problem(name, self, edges);
        let fault = |message| Fault::new(format!("{at}/class_width"), message).hint(hint);
        problem.map(fault).into_iter().collect()
    }
}

impl Grain {
    /// A grain that fits a kind of variable.
    pub(super) fn example(kind: VariableKind) -> &'static str {
        match kind {
            VariableKind::Category | VariableKind::Flag => {
                "grain = { levels = [[\"1\"], [\"2\", \"3\"]] }"
            }
            VariableKind::Text => "grain = { levels = [[\"C649\"]] }",
            VariableKind::Date => "grain = { unit = \"year\" }",
            VariableKind::Days => "grain = { ages = [0, 1, 5, 10, 15] }, where it is an age",
            VariableKind::Integer => {
                "grain = { cuts = [0, 1, 5, 10, 15, 20] }, or { unit = \"year\" } for a calendar year"
            }
            VariableKind::Real => "grain = { cuts = [0, 1, 5, 10, 15, 20] }",
        }
    }
}

impl GrainParts {
    fn shape_faults(&self, variable: &Variable, at: &str, data: DataKind) -> Vec<Fault> {
        use VariableKind::{Category, Date, Days, Flag, Integer, Real, Text};
        let said = [
            ("cuts", self.cuts.is_some(), &[Integer, Real, Days][..]),
            ("ages", self.ages.is_some(), &[Integer, Real, Days]),
            ("levels", self.levels.is_some(), &[Category, Flag, Text]),
            ("unit", self.unit.is_some(), &[Date, Integer]),
        ];
        let said: Vec<_> = said.into_iter().filter(|(_, is_said, _)| *is_said).collect();
        if said.len() > 1 {
            let message = format!("a grain is either `{}` or `{}`", said[0].0, said[1].0);
            return vec![Fault::new(at, message).hint(Grain::example(variable.kind))];
        }
        let kind = format!("{:?}", variable.kind).to_lowercase();
        if let Some((field, _, kinds)) = said.first()
            && !kinds.contains(&variable.kind)
        {
            let message = format!("`{field}` is no grain of a variable of type {kind}");
            let fault = Fault::new(format!("{at}/{field}"), message);
            return vec![fault.hint(Grain::example(variable.kind))];
        }
        let mut faults = Vec::new();
        let ages = self.ages.as_ref().map(|a| a.iter().map(|age| f64::from(*age)).collect());
        for (field, places) in [("cuts", self.cuts.clone()), ("ages", ages)] {
            let Some(places): Option<Vec<f64>> = places else { continue };
            if places.is_empty() || !places.windows(2).all(|w| w[0] < w[1]) {
                let message = format!("the {field} of a grain are numbers in ascending order");
                let fault = Fault::new(format!("{at}/{field}"), message);
                faults.push(fault.hint(format!("{field} = [0, 1, 5, 10, 15, 20]")));
            }
            let is_whole = variable.kind != Real;
            for (i, _) in places.iter().enumerate().filter(|(_, x)| is_whole && x.fract() != 0.0) {
                let message = "the cuts of a whole number are whole numbers";
                faults.push(Fault::new(format!("{at}/{field}/{i}"), message));
            }
        }
        if let Some(unit) = self.unit {
            if variable.kind == Integer && unit != GrainUnit::Year {
                let message = "a whole number can be a calendar year, not a shorter time";
                faults.push(Fault::new(format!("{at}/unit"), message).hint("unit = \"year\""));
            }
            if unit == GrainUnit::Day && data != DataKind::Public {
                let message = "an exact day is as good as a name";
                let hint = "unit = \"month\" at the finest; data = \"public\" at the head of the study lifts this rule, for data that anybody may read";
                faults.push(Fault::new(format!("{at}/unit"), message).hint(hint));
            }
        }
        faults.extend(self.level_faults(variable, at));
        faults
    }

    fn level_faults(&self, variable: &Variable, at: &str) -> Vec<Fault> {
        let Some(sets) = &self.levels else { return Vec::new() };
        let (mut faults, mut seen) = (Vec::new(), BTreeMap::new());
        let known = variable.model_levels();
        let is_text = variable.kind == VariableKind::Text;
        for (i, set) in sets.iter().enumerate() {
            for (j, level) in set.iter().enumerate() {
                let at = format!("{at}/levels/{i}/{j}");
                if !is_text && !known.contains(level) {
                    let hint = format!("levels: {}", known.join(", "));
                    faults.push(Fault::new(&at, format!("there is no level `{level}`")).hint(hint));
                }
                if seen.insert(level.clone(), i).is_some() {
                    faults.push(Fault::new(&at, format!("`{level}` is listed twice")));
                }
            }
        }
        if let Some(level) = known.iter().find(|level| !seen.contains_key(*level)) {
            let message = format!("level `{level}` is in none of the sets");
            faults.push(
                Fault::new(format!("{at}/levels"), message).hint("put each level in one set"),
            );
        }
        faults
    }
}

impl GrainUnit {
    fn words(self) -> &'static str {
        match self {
            Self::Year => "calendar years",
            Self::Quarter => "quarters",
            Self::Month => "months",
            Self::Day => "days",
        }
    }

    /// Days of the longest one.
    pub(super) const fn longest(self) -> i32 {
        match self {
            Self::Day => 1,
            Self::Month => 31,
            Self::Quarter => 92,
            Self::Year => 366,
        }
    }

    /// First day of the unit that holds a day, since 1970-01-01.
    pub(super) fn start(self, day: i32) -> Option<i32> {
        let date = date_of(day)?;
        let month = match self {
            Self::Day => return Some(day),
            Self::Month => date.month(),
            Self::Quarter => (date.month() - 1) / 3 * 3 + 1,
            Self::Year => 1,
        };
        Some(day_number(Date::new(date.year(), month, 1).ok()?))
    }
}

/// The date of a day since 1970-01-01.
pub(super) fn date_of(day: i32) -> Option<Date> {
    let epoch = jiff::civil::date(1970, 1, 1);
    epoch.checked_add(jiff::Span::new().try_days(i64::from(day)).ok()?).ok()
}
