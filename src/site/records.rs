//! Records of a site in the study's dictionary, and every record that could not be mapped, with row and reason.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::civil::Date;

use super::{
    mapping::{Mapped, Mapping},
    reader::RawTable,
};
use crate::spec::{Derivation, Dictionary, Scalar, Variable, VariableKind, day_number};

/// Why a record cannot be mapped. Holds no value of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowFault {
    /// Line of the record in a file with one header line, or its place in a Parquet file plus one.
    pub line: usize,
    /// Variable of the dictionary.
    pub variable: String,
    /// What is wrong.
    pub reason: String,
}

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
    /// Everything that kept a record out; a record may have several.
    pub faults: Vec<RowFault>,
    /// Records whose value differs from the one that follows from other variables, by variable.
    pub disagreements: BTreeMap<String, u64>,
    pub(super) values: BTreeMap<String, Values>,
}

impl Records {
    /// Maps all rows of a file.
    pub fn map(table: &RawTable, mapping: &Mapping, dictionary: &Dictionary) -> Self {
        let mut faults = Vec::new();
        let mut values = BTreeMap::new();
        for (name, variable) in dictionary.iter() {
            let cells = mapping.map(name, variable.kind, table);
            let column = Column { name, variable, faults: &mut faults };
            values.insert(name.to_owned(), column.read(cells));
        }
        let mut disagreements = BTreeMap::new();
        for (name, variable) in dictionary.iter() {
            if let Some(derivation) = &variable.derive {
                derive(
                    name,
                    variable,
                    derivation,
                    mapping,
                    &mut values,
                    &mut disagreements,
                    &mut faults,
                );
            }
            if variable.required {
                let missing =
                    (0..table.rows).filter(|&row| values[name].scalar(row) == Scalar::Null);
                let told: BTreeSet<usize> =
                    faults.iter().filter(|f| f.variable == name).map(|f| f.line).collect();
                let new: Vec<RowFault> = missing
                    .filter(|row| !told.contains(&line(*row)))
                    .map(|row| RowFault {
                        line: line(row),
                        variable: name.into(),
                        reason: "is missing".into(),
                    })
                    .collect();
                faults.extend(new);
            }
        }
        faults.sort();
        let broken: BTreeSet<usize> = faults.iter().map(|f| f.line).collect();
        let keep: Vec<bool> = (0..table.rows).map(|row| !broken.contains(&line(row))).collect();
        values.values_mut().for_each(|column| column.keep(&keep));
        let rows = keep.iter().filter(|k| **k).count();
        Self { received: table.rows, rows, faults, disagreements, values }
    }

    /// Records that could not be mapped.
    pub fn unmapped(&self) -> usize {
        self.received - self.rows
    }
}

/// Line of a row in a file with one header line.
fn line(row: usize) -> usize {
    row + 2
}

struct Column<'a> {
    name: &'a str,
    variable: &'a Variable,
    faults: &'a mut Vec<RowFault>,
}

impl Column<'_> {
    fn fault(&mut self, row: usize, reason: &str) {
        self.faults.push(RowFault {
            line: line(row),
            variable: self.name.into(),
            reason: reason.into(),
        });
    }

    /// Turns texts into values, noting what does not fit.
    fn each<T>(
        &mut self,
        cells: Vec<Mapped>,
        read: impl Fn(&str) -> Result<T, &'static str>,
    ) -> Vec<Option<T>> {
        cells
            .into_iter()
            .enumerate()
            .map(|(row, cell)| {
                let known = cell.map(|c| c.filter(|c| !self.variable.missing.contains(c)));
                match known.and_then(|text| text.map(|text| read(&text)).transpose()) {
                    Ok(value) => value,
                    Err(reason) => {
                        self.fault(row, reason);
                        None
                    }
                }
            })
            .collect()
    }

    fn read(mut self, cells: Vec<Mapped>) -> Values {
        let range = self.variable.range;
        let in_range = move |x: f64| match range {
            Some([low, high]) if x < low || x > high => Err("lies outside the dictionary's range"),
            _ => Ok(x),
        };
        let number = |text: &str| {
            let x: f64 = text.parse().map_err(|_| "is not a number")?;
            if x.is_finite() { in_range(x) } else { Err("is not a number") }
        };
        let whole = |text: &str| {
            let x = number(text)?;
            if x.fract() == 0.0 { Ok(x) } else { Err("is not a whole number") }
        };
        let variable = self.variable;
        match variable.kind {
            VariableKind::Category => {
                let levels = variable.levels.clone();
                let position = |text: &str| {
                    let at = levels.iter().position(|l| l == text);
                    at.map(|i| i as u32).ok_or("is not a code of the dictionary")
                };
                let codes = self.each(cells, position);
                Values::Codes { codes, levels }
            }
            VariableKind::Flag => Values::Flags(self.each(cells, |text| match text {
                "0" => Ok(false),
                "1" => Ok(true),
                _ => Err("is neither 0 nor 1"),
            })),
            VariableKind::Date => Values::Days(self.each(cells, |text| {
                text.parse::<Date>().map(day_number).map_err(|_| "is not a date")
            })),
            VariableKind::Days => {
                Values::Days(self.each(cells, |text| whole(text).map(|x| x as i32)))
            }
            VariableKind::Integer => numbers(self.each(cells, whole)),
            VariableKind::Real => numbers(self.each(cells, number)),
            VariableKind::Text => {
                let pattern = variable.pattern.as_ref().and_then(|p| regex::Regex::new(p).ok());
                let texts = self.each(cells, |text| match &pattern {
                    Some(pattern) if !pattern.is_match(text) => {
                        Err("does not have the form of the dictionary's pattern")
                    }
                    _ => Ok(text.to_owned()),
                });
                if variable.identifier && variable.required {
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
                self.fault(row, "is the same as in an earlier record");
            }
        }
    }
}

fn numbers(values: Vec<Option<f64>>) -> Values {
    Values::Numbers(values.into_iter().map(|x| x.unwrap_or(f64::NAN)).collect())
}

/// Fills a variable from two dates where the file does not give it, and counts where file and dates disagree.
fn derive(
    name: &str,
    variable: &Variable,
    derivation: &Derivation,
    mapping: &Mapping,
    values: &mut BTreeMap<String, Values>,
    disagreements: &mut BTreeMap<String, u64>,
    faults: &mut Vec<RowFault>,
) {
    let [from, to] = derivation.dates();
    let (Some(Values::Days(from)), Some(Values::Days(to))) = (values.get(from), values.get(to))
    else {
        return;
    };
    let derived: Vec<Option<f64>> = from
        .iter()
        .zip(to)
        .map(|(from, to)| from.zip(*to).map(|(from, to)| between(derivation, from, to)))
        .collect();
    if mapping.gives(name) {
        let stated = &values[name];
        let differs = |(row, derived): (usize, &Option<f64>)| match (stated.scalar(row), derived) {
            (Scalar::Number(stated), Some(derived)) => (stated - derived).abs() > 0.5,
            _ => false,
        };
        let n = derived.iter().enumerate().filter(|pair| differs(*pair)).count() as u64;
        if n > 0 {
            disagreements.insert(name.to_owned(), n);
        }
        return;
    }
    for (row, x) in derived.iter().enumerate() {
        let outside = |[low, high]: [f64; 2]| x.is_some_and(|x| x < low || x > high);
        if variable.range.is_some_and(outside) {
            let reason = "follows from two dates and lies outside the dictionary's range".into();
            faults.push(RowFault { line: line(row), variable: name.into(), reason });
        }
    }
    let filled = match variable.kind {
        VariableKind::Days => {
            Values::Days(derived.into_iter().map(|x| x.map(|x| x as i32)).collect())
        }
        _ => numbers(derived),
    };
    values.insert(name.to_owned(), filled);
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
