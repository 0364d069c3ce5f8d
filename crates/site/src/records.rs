//! Records of a site in the study's dictionary, and every value that could not be mapped, with place and reason. A record is left
//! out if the value is required; else the value counts as unknown.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::civil::Date;
use tributary_core::{
    cohort::{Persons, nearly_whole},
    spec::{Derivation, Dictionary, Scalar, Variable, VariableKind, day_number},
};

use super::{
    folder::SiteError,
    format::AMBIGUOUS_NUMBER,
    mapping::{Mapped, Mapping, NOT_A_CODE},
    reader::RawTable,
};

/// What is wrong with a value of a record. Holds nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowFault {
    /// Line of the record, or its number in a file without lines.
    pub place: usize,
    /// Variable of the dictionary.
    pub variable: String,
    /// What is wrong.
    pub reason: String,
    /// Whether the record is left out; if not, the value counts as unknown.
    pub loses_record: bool,
}

/// A variable of which most values have the same fault: the mapping is wrong, not the records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Widespread {
    pub variable: String,
    pub reason: &'static str,
    /// Values with the fault.
    pub faults: usize,
    /// Values that are not empty.
    pub known: usize,
    /// Where the first of them stands.
    pub first: String,
}

/// Fewer values than these say nothing about the mapping.
const FEW: usize = 10;

/// More days than these, some 2,700 years, are no time of follow-up and no age.
const MOST_DAYS: f64 = 1e6;

/// Whole numbers above are no longer told apart.
const MOST_EXACT: f64 = 9_007_199_254_740_992.0;

/// Before this year nobody was born who is in a registry: a year of fewer than four digits, as a rule.
const FIRST_YEAR: i16 = 1800;

/// What a patient has once, by the names that dictionaries give it.
const FIXED: [&str; 3] = ["sex", "birth_date", "date_of_birth"];

/// Values of one variable.
#[derive(Debug)]
pub(super) enum Values {
    Codes { codes: Vec<Option<u32>>, levels: Vec<String> },
    Flags(Vec<Option<bool>>),
    Days(Vec<Option<i32>>),
    Numbers(Vec<f64>),
    Texts(Vec<Option<String>>),
}

impl Values {
    pub(super) fn scalar(&self, row: usize) -> Scalar {
        let number = |x: Option<f64>| x.map_or(Scalar::Null, Scalar::Number);
        match self {
            Self::Codes { codes, levels } => {
                codes[row].map_or(Scalar::Null, |c| Scalar::Text(levels[c as usize].clone()))
            }
            Self::Flags(flags) => number(flags[row].map(|f| if f { 1.0 } else { 0.0 })),
            Self::Days(days) => number(days[row].map(f64::from)),
            Self::Numbers(numbers) => number(Some(numbers[row]).filter(|x| !x.is_nan())),
            Self::Texts(texts) => texts[row].clone().map_or(Scalar::Null, Scalar::Text),
        }
    }

    pub(super) fn is_missing(&self, row: usize) -> bool {
        match self {
            Self::Codes { codes, .. } => codes[row].is_none(),
            Self::Flags(flags) => flags[row].is_none(),
            Self::Days(days) => days[row].is_none(),
            Self::Numbers(numbers) => numbers[row].is_nan(),
            Self::Texts(texts) => texts[row].is_none(),
        }
    }

    /// Rows with the same value are of one person; those without one are persons of their own.
    fn persons(&self) -> Persons {
        fn number<T: std::hash::Hash + Eq>(values: impl Iterator<Item = Option<T>>) -> Persons {
            let mut known = HashMap::new();
            Persons::of(values.map(|value| {
                value.map(|value| {
                    let next = known.len() as u32;
                    *known.entry(value).or_insert(next)
                })
            }))
        }
        match self {
            Self::Codes { codes, .. } => number(codes.iter().copied()),
            Self::Flags(flags) => number(flags.iter().copied()),
            Self::Days(days) => number(days.iter().copied()),
            Self::Numbers(numbers) => {
                number(numbers.iter().map(|x| (!x.is_nan()).then_some(x.to_bits())))
            }
            Self::Texts(texts) => number(texts.iter().map(Option::as_deref)),
        }
    }

    fn keep(&mut self, rows: &[bool]) {
        fn filter<T>(cells: &mut Vec<T>, rows: &[bool]) {
            let mut row = 0;
            cells.retain(|_| {
                row += 1;
                rows[row - 1]
            });
        }
        match self {
            Self::Codes { codes, .. } => filter(codes, rows),
            Self::Flags(flags) => filter(flags, rows),
            Self::Days(days) => filter(days, rows),
            Self::Numbers(numbers) => filter(numbers, rows),
            Self::Texts(texts) => filter(texts, rows),
        }
    }
}

/// Records that could be mapped.
#[derive(Debug)]
pub struct Records {
    /// Records in the file.
    pub received: usize,
    /// Records mapped.
    pub rows: usize,
    /// Every value that could not be mapped; a record may have several. Sorted by place.
    pub faults: Vec<RowFault>,
    /// Where the value differs from the one that follows from other variables, by variable.
    pub disagreements: BTreeMap<String, Vec<usize>>,
    /// What places count: lines or records.
    pub unit: &'static str,
    /// Lines in which nothing stands.
    pub blank: usize,
    /// First lines of records of which a field goes over several lines.
    pub spread: Vec<usize>,
    /// The patient of each record, if the dictionary has an identifier of patients.
    pub(super) persons: Option<Persons>,
    /// Variables in which records of one patient differ that cannot differ, with the places.
    pub patients_differ: BTreeMap<String, Vec<usize>>,
    pub(super) values: BTreeMap<String, Values>,
}

impl Records {
    /// Maps all rows of a file. Dates after the closing date and after today are faults.
    ///
    /// # Errors
    /// If the values of a variable show that the mapping is wrong.
    pub(super) fn map(
        table: &RawTable,
        mapping: &Mapping,
        dictionary: &Dictionary,
        last: [Option<Date>; 2],
    ) -> Result<Self, SiteError> {
        let mut faults = Found { table, all: Vec::new() };
        let mut widespread = Vec::new();
        let mut values = BTreeMap::new();
        for (name, variable) in dictionary.iter() {
            let cells = mapping.map(name, variable.kind, table);
            let column = Column { name, variable, last, faults: &mut faults };
            let few = if mapping.is_constant(name) { 1 } else { FEW };
            let read = column.read(cells, few, &mut widespread);
            values.insert(name.to_owned(), read);
        }
        if !widespread.is_empty() {
            return Err(mapping.widespread(&widespread, dictionary));
        }
        let mut disagreements = BTreeMap::new();
        for (name, variable) in dictionary.iter() {
            if let Some(derivation) = &variable.derive {
                if mapping.gives(name) {
                    let rows = disagreeing(&values, name, derivation);
                    if !rows.is_empty() {
                        let places = rows.into_iter().map(|row| table.place(row)).collect();
                        disagreements.insert(name.to_owned(), places);
                    }
                } else if let Some(derived) =
                    derive(name, variable, derivation, &values, &mut faults)
                {
                    values.insert(name.to_owned(), derived);
                }
            }
        }
        faults.missing(dictionary, mapping, &values);
        let lost: BTreeSet<usize> =
            faults.all.iter().filter(|(_, f)| f.loses_record).map(|(row, _)| *row).collect();
        let keep: Vec<bool> = (0..table.rows).map(|row| !lost.contains(&row)).collect();
        values.values_mut().for_each(|column| column.keep(&keep));
        let places: Vec<usize> =
            (0..table.rows).filter(|row| keep[*row]).map(|row| table.place(row)).collect();
        let persons = dictionary.patient().map(|name| values[name].persons());
        let patients_differ = persons.as_ref().map_or_else(BTreeMap::new, |persons| {
            let differ = |name: &str| Some(differing(persons, values.get(name)?, &places));
            let names = FIXED.iter().filter_map(|name| Some(((*name).to_owned(), differ(name)?)));
            names.filter(|(_, places)| !places.is_empty()).collect()
        });
        let mut faults: Vec<RowFault> = faults.all.into_iter().map(|(_, fault)| fault).collect();
        faults.sort();
        Ok(Self {
            received: table.rows,
            rows: table.rows - lost.len(),
            faults,
            disagreements,
            unit: table.unit(),
            blank: table.blank,
            spread: table.spread.clone(),
            persons,
            patients_differ,
            values,
        })
    }

    /// Records that could not be mapped.
    pub fn unmapped(&self) -> usize {
        self.received - self.rows
    }

    /// Values of records that were mapped which could not be read and count as unknown, by variable and reason.
    pub fn unknown(&self) -> BTreeMap<(&str, &str), usize> {
        let lost: BTreeSet<usize> =
            self.faults.iter().filter(|f| f.loses_record).map(|f| f.place).collect();
        let mut counts = BTreeMap::new();
        for fault in self.faults.iter().filter(|f| !lost.contains(&f.place)) {
            *counts.entry((fault.variable.as_str(), fault.reason.as_str())).or_default() += 1;
        }
        counts
    }
}

/// Faults as they are found, with the rows they are in.
struct Found<'a> {
    table: &'a RawTable,
    all: Vec<(usize, RowFault)>,
}

impl Found<'_> {
    fn add(&mut self, row: usize, variable: &str, reason: impl Into<String>, loses_record: bool) {
        let place = self.table.place(row);
        let fault =
            RowFault { place, variable: variable.into(), reason: reason.into(), loses_record };
        self.all.push((row, fault));
    }

    /// Required values that are missing. Where one follows from dates, the date is told, and not the value once more.
    fn missing(
        &mut self,
        dictionary: &Dictionary,
        mapping: &Mapping,
        values: &BTreeMap<String, Values>,
    ) {
        let required = || dictionary.iter().filter(|(_, variable)| variable.required);
        let derived = |name: &str, variable: &Variable| {
            variable
                .derive
                .as_ref()
                .filter(|_| !mapping.gives(name))
                .map(Derivation::dates)
                .cloned()
        };
        let mut told: BTreeMap<(usize, String), usize> = self
            .all
            .iter()
            .enumerate()
            .map(|(i, (row, fault))| ((*row, fault.variable.clone()), i))
            .collect();
        // Values that the file gives come first, so that those which follow from them find their faults.
        let (given, following): (Vec<_>, Vec<_>) =
            required().partition(|(name, variable)| derived(name, variable).is_none());
        for (name, variable) in given.into_iter().chain(following) {
            let dates = derived(name, variable);
            for row in (0..self.table.rows).filter(|row| values[name].is_missing(*row)) {
                let key = (row, name.to_owned());
                if told.contains_key(&key) {
                    continue;
                }
                let cause =
                    dates.iter().flatten().find_map(|date| told.get(&(row, date.clone())).copied());
                if let Some(cause) = cause {
                    self.all[cause].1.loses_record = true;
                    continue;
                }
                let reason = match &dates {
                    Some([from, to]) => {
                        format!(
                            "is missing, because `{from}` or `{to}`, from which it is derived, is missing"
                        )
                    }
                    None => "is missing".to_owned(),
                };
                told.insert(key, self.all.len());
                self.add(row, name, reason, true);
            }
        }
    }
}

struct Column<'a, 'b> {
    name: &'a str,
    variable: &'a Variable,
    /// Closing date and today.
    last: [Option<Date>; 2],
    faults: &'a mut Found<'b>,
}

impl Column<'_, '_> {
    /// Turns texts into values, noting what does not fit.
    fn each<T>(
        &mut self,
        cells: Vec<Mapped>,
        few: usize,
        widespread: &mut Vec<Widespread>,
        read: impl Fn(&str) -> Result<T, &'static str>,
    ) -> Vec<Option<T>> {
        let mut known = 0;
        let mut reasons: BTreeMap<&'static str, (usize, usize)> = BTreeMap::new();
        let mut values = Vec::with_capacity(cells.len());
        for (row, cell) in cells.into_iter().enumerate() {
            let cell = cell.map(|c| c.filter(|c| !self.variable.missing.contains(c)));
            known += usize::from(cell != Ok(None));
            let value = match cell.and_then(|text| text.map(|text| read(&text)).transpose()) {
                Ok(value) => value,
                Err(reason) => {
                    reasons.entry(reason).or_insert((0, row)).0 += 1;
                    self.faults.add(row, self.name, reason, self.variable.required);
                    None
                }
            };
            values.push(value);
        }
        for (reason, (faults, row)) in reasons {
            let most = known >= few && 2 * faults > known;
            if most || reason == AMBIGUOUS_NUMBER {
                let table = self.faults.table;
                let first = format!("{} {}", table.unit(), table.place(row));
                let variable = self.name.to_owned();
                widespread.push(Widespread { variable, reason, faults, known, first });
            }
        }
        values
    }

    fn read(mut self, cells: Vec<Mapped>, few: usize, wide: &mut Vec<Widespread>) -> Values {
        let range = self.variable.range;
        let in_range = move |x: f64| match range {
            Some([low, high]) if x < low || x > high => {
                Err("is outside the range in the dictionary")
            }
            _ => Ok(x),
        };
        let number = |text: &str| {
            let x: f64 = text.parse().map_err(|_| "is not a number")?;
            if x.is_finite() { Ok(x) } else { Err("is not a number") }
        };
        let whole = |text: &str| {
            let x = nearly_whole(number(text)?).ok_or("is not a whole number")?;
            if x.abs() > MOST_EXACT {
                return Err("has too many digits for a number; declare it as text");
            }
            in_range(x)
        };
        let days = |text: &str| match whole(text)? {
            x if x.abs() > MOST_DAYS => Err("exceeds one million days"),
            x => Ok(x as i32),
        };
        let variable = self.variable;
        let [closing, today] = self.last;
        match variable.kind {
            VariableKind::Category => {
                let levels = variable.levels.clone();
                let position = |text: &str| {
                    let at = levels.iter().position(|l| l == text);
                    at.map(|i| i as u32).ok_or(NOT_A_CODE)
                };
                let codes = self.each(cells, few, wide, position);
                Values::Codes { codes, levels }
            }
            VariableKind::Flag => Values::Flags(self.each(cells, few, wide, |text| match text {
                "0" | "false" | "False" | "FALSE" => Ok(false),
                "1" | "true" | "True" | "TRUE" => Ok(true),
                _ => Err("is neither 0 nor 1"),
            })),
            VariableKind::Date => Values::Days(self.each(cells, few, wide, |text| {
                let date: Date = text.parse().map_err(|_| "is not a date")?;
                if date.year() < FIRST_YEAR {
                    return Err("has a year before 1800; write years with four digits");
                }
                if today.is_some_and(|today| date > today) {
                    return Err("is in the future");
                }
                if closing.is_some_and(|closing| date > closing) {
                    return Err("is after the closing date in site.toml");
                }
                Ok(day_number(date))
            })),
            VariableKind::Days => Values::Days(self.each(cells, few, wide, days)),
            VariableKind::Integer => numbers(self.each(cells, few, wide, whole)),
            VariableKind::Real => {
                numbers(self.each(cells, few, wide, |text| in_range(number(text)?)))
            }
            VariableKind::Text => {
                let pattern = variable.pattern.as_ref().and_then(|p| regex::Regex::new(p).ok());
                let texts = self.each(cells, few, wide, |text| match &pattern {
                    Some(pattern) if !pattern.is_match(text) => {
                        Err("does not match the pattern in the dictionary")
                    }
                    _ => Ok(text.to_owned()),
                });
                if variable.identifier && variable.required && !variable.patient {
                    self.unique(&texts);
                }
                Values::Texts(texts)
            }
        }
    }

    /// Two records with one identifier are one record counted twice.
    fn unique(&mut self, texts: &[Option<String>]) {
        let mut seen = HashSet::new();
        for (row, text) in texts.iter().enumerate() {
            if let Some(text) = text
                && !seen.insert(text.as_str())
            {
                self.faults.add(row, self.name, "repeats the value of an earlier record", true);
            }
        }
    }
}

fn numbers(values: Vec<Option<f64>>) -> Values {
    Values::Numbers(values.into_iter().map(|x| x.unwrap_or(f64::NAN)).collect())
}

/// Places of records whose value differs from that of an earlier record of the same patient.
fn differing(persons: &Persons, values: &Values, places: &[usize]) -> Vec<usize> {
    let mut first: HashMap<u32, usize> = HashMap::new();
    let known = (0..places.len()).filter(|row| !values.is_missing(*row));
    let differs = known.filter(|&row| {
        let earlier = *first.entry(persons.person(row)).or_insert(row);
        values.scalar(earlier) != values.scalar(row)
    });
    differs.map(|row| places[row]).collect()
}

/// What follows from the two dates of each record.
fn follows(values: &BTreeMap<String, Values>, derivation: &Derivation) -> Vec<Option<f64>> {
    let [from, to] = derivation.dates();
    let (Some(Values::Days(from)), Some(Values::Days(to))) = (values.get(from), values.get(to))
    else {
        return Vec::new();
    };
    let pairs = from.iter().zip(to);
    pairs.map(|(from, to)| from.zip(*to).map(|(from, to)| between(derivation, from, to))).collect()
}

/// Rows in which the file's own value differs from the one that follows from two dates.
fn disagreeing(
    values: &BTreeMap<String, Values>,
    name: &str,
    derivation: &Derivation,
) -> Vec<usize> {
    let stated = &values[name];
    let derived = follows(values, derivation);
    let differs = |row: &usize| match (stated.scalar(*row), derived[*row]) {
        (Scalar::Number(stated), Some(derived)) => (stated - derived).abs() > 0.5,
        _ => false,
    };
    (0..derived.len()).filter(differs).collect()
}

/// A variable from two dates, where the file does not give it.
fn derive(
    name: &str,
    variable: &Variable,
    derivation: &Derivation,
    values: &BTreeMap<String, Values>,
    faults: &mut Found<'_>,
) -> Option<Values> {
    let mut derived = follows(values, derivation);
    if derived.is_empty() {
        return None;
    }
    for (row, x) in derived.iter_mut().enumerate() {
        let outside = |[low, high]: [f64; 2]| x.is_some_and(|x| x < low || x > high);
        if variable.range.is_some_and(outside) {
            let reason = "follows from two dates and is outside the range in the dictionary";
            faults.add(row, name, reason, variable.required);
            *x = None;
        }
    }
    Some(match variable.kind {
        VariableKind::Days => {
            Values::Days(derived.into_iter().map(|x| x.map(|x| x as i32)).collect())
        }
        _ => numbers(derived),
    })
}

fn between(derivation: &Derivation, from: i32, to: i32) -> f64 {
    let epoch = jiff::civil::date(1970, 1, 1);
    let date = |day: i32| epoch.saturating_add(jiff::Span::new().days(day));
    let months = |from: Date, to: Date| {
        let months = i32::from(to.year() - from.year()) * 12 + i32::from(to.month() - from.month());
        months - i32::from(to.day() < from.day())
    };
    match derivation {
        Derivation::DaysBetween(_) => f64::from(to - from),
        Derivation::CompletedMonths(_) => f64::from(months(date(from), date(to))),
        Derivation::CompletedYears(_) => f64::from(months(date(from), date(to)).div_euclid(12)),
    }
}
