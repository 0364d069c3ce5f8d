//! Reads a life table, or a table of reference rates, into hazards per day by sex, calendar year and age.
//!
//! Formats: `long` (columns sex, year, age and one of hazard_per_day, hazard_per_year, qx, mx), `nordcan` (year, sex, age, prob: the
//! probability to survive), `ratetable` (`as.data.frame.table` of an R ratetable: age, year, sex, Freq) and `hmd`
//! (Human Mortality Database: Mx_1x1, or mltper_1x1 with fltper_1x1 beside it).
//!
//! Ages and years are single (`7`), ranges (`1-4`, `2000-2004`) or open (`110+`); ages 0, 1, 5, 10, … are those of an abridged table. A
//! probability q of a band of n years is a hazard of −ln(1 − q) / n a year. A table that closes with q = 1 has no hazard at its last age:
//! that of the column `mx`, the reciprocal of `ex`, or else the hazard of the age below stands there. Ages that are missing are a fault;
//! calendar years that are missing are kept as gaps, in which no patient may be followed.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::cohort::{DayGap, sex_position};
use tributary_stats::life_table::{AGE_YEAR, LifeTable};

use super::{
    bands::{Label, Span, Unfit, calendar, span_name, spans},
    folder::{SiteError, read_text},
    reader::{RawTable, TextFormat, read},
};

/// How a table of rates is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RateFormat {
    /// Delimited text with columns sex, year, age and one of hazard_per_day, hazard_per_year, qx, mx.
    #[default]
    Long,
    /// Delimited text with columns year, sex, age, prob (probability to survive).
    Nordcan,
    /// Delimited text with columns age, year, sex, Freq (hazard per day), as R writes a ratetable.
    Ratetable,
    /// Human Mortality Database.
    Hmd,
}

/// How long the probabilities of a table run where its ages are bands of several years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProbabilityOver {
    /// Over the whole band, as in an abridged life table.
    #[default]
    Band,
    /// Over one year, the same in every year of the band.
    Year,
}

/// A table of hazards and how it is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateFile {
    /// File.
    pub path: String,
    /// How it is written.
    #[serde(default)]
    pub format: RateFormat,
    /// Field delimiter of delimited text.
    #[serde(default = "comma")]
    pub delimiter: char,
    /// Value of the column `population` whose rows count, where a file holds several.
    #[serde(default)]
    pub population: Option<String>,
    /// File of the females, where `path` holds the males only (HMD life tables).
    #[serde(default)]
    pub female: Option<String>,
    /// How long its probabilities run where ages are bands of several years.
    #[serde(default)]
    pub probability_over: ProbabilityOver,
}

fn comma() -> char {
    ','
}

/// What the number of a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measure {
    HazardPerDay,
    HazardPerYear,
    /// Probability to die.
    Death,
    /// Probability to survive.
    Survival,
}

/// One line of a table.
#[derive(Debug, Clone, Copy)]
struct Line {
    number: usize,
    value: f64,
    /// Death rate a year of an age at which the table closes, where the file gives it.
    closing_rate: Option<f64>,
}

/// Lines by sex, year and age as they are written.
type Lines = BTreeMap<(usize, Label, Label), Line>;

/// A table, and what a data manager should know of how it was read.
#[derive(Debug)]
pub(super) struct RateTable {
    pub(super) table: LifeTable,
    /// Calendar days of which it has no rates, between those of which it has.
    pub(super) gaps: Vec<DayGap>,
    pub(super) notes: Vec<String>,
}

fn fault(path: &Path, reason: impl Into<String>, hint: &str) -> SiteError {
    SiteError::File { path: path.display().to_string(), reason: reason.into(), hint: hint.into() }
}

/// Reads the table of a site folder.
pub(super) fn read_rates(folder: &Path, file: &RateFile) -> Result<RateTable, SiteError> {
    let path = folder.join(&file.path);
    let (lines, measure) = match file.format {
        RateFormat::Hmd => {
            if file.population.is_some() {
                let hint = "remove `population` from site.toml";
                return Err(fault(&path, "an HMD file contains a single population", hint));
            }
            let female = file.female.as_ref().map(|female| folder.join(female));
            (hmd(&path, female.as_ref())?, Measure::HazardPerYear)
        }
        RateFormat::Long | RateFormat::Nordcan | RateFormat::Ratetable => {
            if file.female.is_some() {
                let hint = "remove `female` from site.toml, or write format = \"hmd\"";
                let reason = "a file of the females of its own belongs to the format hmd alone";
                return Err(fault(&path, reason, hint));
            }
            delimited(&path, file)?
        }
    };
    table(&path, &lines, measure, file.probability_over)
}

/// A column of numbers and what it holds.
type Reading = (&'static str, Measure);

const LONG: [Reading; 4] = [
    ("hazard_per_day", Measure::HazardPerDay),
    ("hazard_per_year", Measure::HazardPerYear),
    ("qx", Measure::Death),
    ("mx", Measure::HazardPerYear),
];

fn delimited(path: &Path, file: &RateFile) -> Result<(Lines, Measure), SiteError> {
    let delimiter = u8::try_from(file.delimiter).map_err(|_| {
        fault(path, "the delimiter is not a single-byte character", "write delimiter = \",\"")
    })?;
    let raw = read(path, &TextFormat { encoding: "utf-8".into(), delimiter })?;
    let readings: &[Reading] = match file.format {
        RateFormat::Nordcan => &[("prob", Measure::Survival)],
        RateFormat::Ratetable => &[("Freq", Measure::HazardPerDay)],
        RateFormat::Long | RateFormat::Hmd => &LONG,
    };
    let column = |name: &str| {
        raw.columns.get(name).ok_or_else(|| {
            let reason =
                format!("there is no column `{name}`; {}", raw.names(&["sex", "year", "age"]));
            fault(path, reason, "name the format of the table in site.toml")
        })
    };
    let (sexes, years, ages) = (column("sex")?, column("year")?, column("age")?);
    let found = readings.iter().find(|(name, _)| raw.columns.contains_key(*name));
    let (name, measure) = *found.ok_or_else(|| {
        let names: Vec<&str> = readings.iter().map(|(name, _)| *name).collect();
        let reason = format!("there is none of the columns {}", names.join(", "));
        fault(path, reason, "name the format of the table in site.toml")
    })?;
    let values = column(name)?;
    let of_population = population(path, &raw, file.population.as_deref())?;
    let number = |name: &str, row: usize| -> Option<f64> {
        let cell = raw.columns.get(name)?[row].as_deref()?;
        cell.trim().parse::<f64>().ok().filter(|x| x.is_finite() && *x > 0.0)
    };
    let mut lines = Lines::new();
    for row in (0..raw.rows).filter(|row| of_population(*row)) {
        let cell = |column: &[Option<String>]| column[row].clone().unwrap_or_default();
        let value = cell(values).trim().parse::<f64>().ok();
        let key = (sex_position(&cell(sexes)), Label::read(&cell(years)), Label::read(&cell(ages)));
        let ((Some(sex), Some(year), Some(age)), Some(value)) = (key, value) else {
            let reason =
                format!("line {}: sex, year, age or {name} cannot be read", raw.place(row));
            let hint = "sex is 1 or 2 (male, female), year is 2000 or 2000-2004, age is 7, 1-4 or 85+; \
                        take lines of both sexes together out";
            return Err(fault(path, reason, hint));
        };
        let closing_rate = number("mx", row).or_else(|| number("ex", row).map(|years| 1.0 / years));
        let line = Line { number: raw.place(row), value, closing_rate };
        if lines.insert((sex, year, age), line).is_some() {
            let reason =
                format!("line {}: this sex, year and age occur in an earlier line", raw.place(row));
            let hint = "name the population in site.toml if the file contains several";
            return Err(fault(path, reason, hint));
        }
    }
    Ok((lines, measure))
}

/// Which rows are of the population that site.toml names; all of them where it names none.
fn population<'a>(
    path: &Path,
    raw: &'a RawTable,
    wanted: Option<&'a str>,
) -> Result<impl Fn(usize) -> bool + 'a, SiteError> {
    let column = match wanted {
        None => None,
        Some(wanted) => {
            let column = raw.columns.get("population").ok_or_else(|| {
                let reason =
                    "site.toml names a population, and the file has no column `population`";
                fault(path, reason, "remove `population` from site.toml, or add the column")
            })?;
            if !column.iter().any(|cell| cell.as_deref() == Some(wanted)) {
                let known: BTreeSet<&str> = column.iter().flatten().map(String::as_str).collect();
                let known: Vec<&str> = known.into_iter().take(20).collect();
                let reason = format!("no line belongs to the population `{wanted}`");
                let hint = format!("the file contains: {}", known.join(", "));
                return Err(fault(path, reason, &hint));
            }
            Some((column, wanted))
        }
    };
    Ok(move |row: usize| {
        column.is_none_or(|(column, wanted)| column[row].as_deref() == Some(wanted))
    })
}

/// HMD text: a title, an empty line, a line of column names, then numbers; `.` where there is none.
fn hmd(path: &Path, female: Option<&PathBuf>) -> Result<Lines, SiteError> {
    let mut lines = Lines::new();
    hmd_file(path, 0, &mut lines)?;
    if let Some(female) = female {
        hmd_file(female, 1, &mut lines)?;
    }
    Ok(lines)
}

fn hmd_file(path: &Path, of: usize, found: &mut Lines) -> Result<(), SiteError> {
    let text = read_text(path)?;
    let wanted = "use a file of the Human Mortality Database exactly as downloaded";
    let mut lines = text.lines().enumerate().skip_while(|(_, l)| !l.trim().starts_with("Year"));
    let (_, head) =
        lines.next().ok_or_else(|| fault(path, "no line starts with `Year`", wanted))?;
    let names: Vec<&str> = head.split_whitespace().collect();
    let position = |name: &str| names.iter().position(|n| *n == name);
    let columns: Vec<(usize, usize)> = match (position("Male"), position("Female"), position("mx"))
    {
        (Some(male), Some(female), _) => vec![(0, male), (1, female)],
        (_, _, Some(mx)) => vec![(of, mx)],
        _ => return Err(fault(path, "there are neither columns Male and Female nor mx", wanted)),
    };
    let mut before: BTreeMap<usize, (Label, f64)> = BTreeMap::new();
    for (i, text) in lines.filter(|(_, l)| !l.trim().is_empty()) {
        let number = i + 1;
        let cells: Vec<&str> = text.split_whitespace().collect();
        let label = |at: usize| cells.get(at).and_then(|cell| Label::read(cell));
        let Some((year, age)) = label(0).zip(label(1)) else {
            let reason = format!("line {number}: year or age cannot be read");
            return Err(fault(path, reason, wanted));
        };
        for &(sex, at) in &columns {
            let value = match cells.get(at) {
                // At the highest ages nobody may have lived: the rate of the age below stands in, of the same year.
                Some(&".") => match before.get(&sex) {
                    Some((of, rate)) if *of == year => Some(*rate),
                    _ => {
                        let reason =
                            format!("line {number}: this year has no rate at its first age");
                        let hint = "remove the years up to the last one without rates";
                        return Err(fault(path, reason, hint));
                    }
                },
                Some(cell) => cell.parse::<f64>().ok(),
                None => None,
            };
            let Some(value) = value else {
                return Err(fault(path, format!("line {number}: a rate cannot be read"), wanted));
            };
            before.insert(sex, (year, value));
            let line = Line { number, value, closing_rate: None };
            if found.insert((sex, year, age), line).is_some() {
                let reason =
                    format!("line {number}: this sex, year and age occur in an earlier line");
                return Err(fault(path, reason, wanted));
            }
        }
    }
    Ok(())
}

/// What a line says about mortality.
enum Hazard {
    /// Per day.
    Of(f64),
    /// Nobody lives on: there is no finite hazard.
    Closes,
}

impl Measure {
    /// Hazard of a number that, if it is a probability, runs over `years`; none if it is no such number.
    fn hazard(self, value: f64, years: f64) -> Option<Hazard> {
        let rate = |x: f64| (x.is_finite() && x >= 0.0).then_some(Hazard::Of(x));
        let probability = |q: f64| (0.0..=1.0).contains(&q);
        match self {
            Self::HazardPerDay => rate(value),
            Self::HazardPerYear => rate(value / AGE_YEAR),
            Self::Death | Self::Survival if !probability(value) => None,
            Self::Death if value == 1.0 => Some(Hazard::Closes),
            Self::Survival if value == 0.0 => Some(Hazard::Closes),
            Self::Death => rate(-(-value).ln_1p() / (years * AGE_YEAR)),
            Self::Survival => rate(-value.ln() / (years * AGE_YEAR)),
        }
    }

    fn is_probability(self) -> bool {
        matches!(self, Self::Death | Self::Survival)
    }
}

fn unfit(path: &Path, name: &str, unfit: &Unfit) -> SiteError {
    match unfit {
        Unfit::Gap(span) => {
            let hint = "add the missing lines; write ages that cover several years as 1-4";
            fault(path, format!("{name} {} are missing", span_name(*span)), hint)
        }
        Unfit::Overlap(at) => {
            let hint = "each age and calendar year must be in one line only for each sex";
            fault(path, format!("{name} of two lines overlap at {at}"), hint)
        }
    }
}

/// The rectangle of sexes, years and ages; every cell must be there.
fn table(
    path: &Path,
    lines: &Lines,
    measure: Measure,
    over: ProbabilityOver,
) -> Result<RateTable, SiteError> {
    let (years, gaps) = calendar(&lines.keys().map(|k| k.1).collect())
        .map_err(|error| unfit(path, "years", &error))?;
    let mut ages: Vec<(Label, Span)> = spans(&lines.keys().map(|k| k.2).collect())
        .map_err(|error| unfit(path, "ages", &error))?
        .into_iter()
        .collect();
    ages.sort_by_key(|(_, span)| span[0]);
    let first_day = |year: u32| {
        let date = i16::try_from(year).ok().and_then(|y| jiff::civil::Date::new(y, 1, 1).ok());
        let day = date.and_then(|d| d.since(jiff::civil::date(1970, 1, 1)).ok());
        day.map(|span| span.get_days()).ok_or_else(|| {
            fault(path, format!("{year} is not a calendar year"), "write years with four digits")
        })
    };
    let (Some((_, last)), Some((_, [0, _]))) = (years.last(), ages.first()) else {
        return Err(fault(path, "the table does not start at age 0", "ages must start at 0"));
    };
    let end = first_day(last[1])?;
    let starts =
        years.iter().map(|(_, span)| first_day(span[0])).collect::<Result<Vec<i32>, _>>()?;
    let width = |i: usize| -> f64 {
        let at = |[from, to]: Span| (to != u32::MAX).then(|| f64::from(to - from));
        let below = i.checked_sub(1).and_then(|below| at(ages[below].1));
        at(ages[i].1).or(below).unwrap_or(1.0)
    };
    let widths: Vec<f64> = match over {
        ProbabilityOver::Band => (0..ages.len()).map(width).collect(),
        ProbabilityOver::Year => vec![1.0; ages.len()],
    };
    let mut hazard = Vec::new();
    let mut closing: BTreeSet<u32> = BTreeSet::new();
    for sex in 0..2 {
        for (year, year_span) in &years {
            let mut closed: Option<usize> = None;
            for ((age, age_span), width) in ages.iter().zip(&widths) {
                let Some(line) = lines.get(&(sex, *year, *age)) else {
                    let word = ["males", "females"][sex];
                    let (age, year) = (span_name(*age_span), span_name(*year_span));
                    let reason = format!("{word} of age {age} in {year} are missing");
                    return Err(fault(path, reason, "each sex, year and age needs a rate"));
                };
                let Line { number, value, closing_rate } = *line;
                let found = measure.hazard(value, *width).ok_or_else(|| {
                    let (what, hint) = if measure.is_probability() {
                        ("probability", "a probability must be between 0 and 1: not in per cent, nor per 1,000 or 100,000")
                    } else {
                        ("rate", "a rate must be a non-negative number")
                    };
                    fault(path, format!("line {number}: there is no {what}"), hint)
                })?;
                match (found, closed) {
                    (Hazard::Of(rate), None) => hazard.push(rate),
                    (Hazard::Of(_), Some(before)) => {
                        let reason = format!(
                            "line {before}: nobody survives this age, but the table continues in line {number}"
                        );
                        let hint = "a probability of death of 1 is allowed at the last ages of a table only";
                        return Err(fault(path, reason, hint));
                    }
                    (Hazard::Closes, _) => {
                        closed = Some(number);
                        closing.insert(age_span[0]);
                        let below = (age_span[0] > 0).then(|| hazard.last().copied()).flatten();
                        let known = closing_rate.map(|rate| rate / AGE_YEAR).or(below);
                        hazard.push(known.ok_or_else(|| {
                            let reason = format!("line {number}: nobody survives the first age");
                            fault(
                                path,
                                reason,
                                "a life table needs finite rates below its last age",
                            )
                        })?);
                    }
                }
            }
        }
    }
    let half = hazard.len() / 2;
    hazard
        .extend((0..half).map(|i| f64::midpoint(hazard[i], hazard[half + i])).collect::<Vec<_>>());
    let mut notes = Vec::new();
    if measure.is_probability() && widths.iter().any(|w| *w > 1.0) {
        let names: Vec<String> = ages.iter().map(|(_, span)| span_name(*span)).take(4).collect();
        notes.push(format!(
            "abridged (ages {}, …): a probability q of a band of n years is a hazard of −ln(1 − q) / n a year; \
             write probability_over = \"year\" if it is of one year",
            names.join(", ")
        ));
    }
    if let Some(age) = closing.first() {
        notes.push(format!(
            "closes with a probability of death of 1 from age {age}: the rate `mx`, 1 / `ex` or, failing these, the hazard of the age below is used there"
        ));
    }
    if !gaps.is_empty() {
        let names: Vec<String> = gaps.iter().map(|gap| span_name(*gap)).collect();
        notes.push(format!(
            "has no lines of {}: a model that follows patients in these years is refused; where a line stands for several years, \
             write them, as 1990-1999",
            names.join(", ")
        ));
    }
    let gaps = gaps
        .into_iter()
        .map(|years| Ok(DayGap { years, days: [first_day(years[0])?, first_day(years[1])?] }))
        .collect::<Result<_, SiteError>>()?;
    let ages = ages.into_iter().map(|(_, span)| f64::from(span[0])).collect();
    let is_yearly = !matches!(measure, Measure::HazardPerDay);
    Ok(RateTable { table: LifeTable { starts, end, ages, hazard, is_yearly }, gaps, notes })
}

#[cfg(test)]
mod tests;
