//! Reads a life table, or a table of reference rates, into hazards per day by sex, calendar year and age.
//!
//! Formats: `long` (columns sex, year, age and one of hazard_per_day, hazard_per_year, qx), `nordcan` (year, sex, age, prob: the
//! probability to survive the year), `ratetable` (`as.data.frame.table` of an R ratetable: age, year, sex, Freq) and `hmd`
//! (Human Mortality Database: Mx_1x1, or mltper_1x1 with fltper_1x1 beside it).

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    folder::{SiteError, read_text},
    reader::{RawTable, TextFormat, read},
};
use crate::{
    cohort::sex_position,
    stats::life_table::{AGE_YEAR, LifeTable},
};

/// How a table of rates is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RateFormat {
    /// Delimited text with columns sex, year, age and one of hazard_per_day, hazard_per_year, qx.
    #[default]
    Long,
    /// Delimited text with columns year, sex, age, prob (probability to survive the year).
    Nordcan,
    /// Delimited text with columns age, year, sex, Freq (hazard per day), as R writes a ratetable.
    Ratetable,
    /// Human Mortality Database.
    Hmd,
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
}

fn comma() -> char {
    ','
}

/// Rates by (sex, year, age in whole years).
type Rates = BTreeMap<(usize, i32, i32), f64>;

fn fault(path: &Path, reason: impl Into<String>, hint: &str) -> SiteError {
    SiteError::File { path: path.display().to_string(), reason: reason.into(), hint: hint.into() }
}

/// Reads the table of a site folder.
pub(super) fn read_rates(folder: &Path, file: &RateFile) -> Result<LifeTable, SiteError> {
    let path = folder.join(&file.path);
    let rates = match file.format {
        RateFormat::Hmd => {
            let female = file.female.as_ref().map(|female| folder.join(female));
            hmd(&path, female.as_ref())?
        }
        RateFormat::Long | RateFormat::Nordcan | RateFormat::Ratetable => delimited(&path, file)?,
    };
    table(&path, &rates)
}

/// The whole number that a cell starts with: `110+` is 110.
fn leading(text: &str) -> Option<i32> {
    let digits: String = text.trim().chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

fn hazard_of_survival(p: f64) -> Option<f64> {
    (p > 0.0 && p <= 1.0).then(|| -p.ln() / AGE_YEAR)
}

/// Column of rates and what makes it a hazard per day.
type Reading = (&'static str, fn(f64) -> Option<f64>);

const LONG: [Reading; 3] = [
    ("hazard_per_day", |x| (x >= 0.0).then_some(x)),
    ("hazard_per_year", |x| (x >= 0.0).then_some(x / AGE_YEAR)),
    ("qx", |q| hazard_of_survival(1.0 - q)),
];

fn delimited(path: &Path, file: &RateFile) -> Result<Rates, SiteError> {
    let delimiter = u8::try_from(file.delimiter)
        .map_err(|_| fault(path, "the delimiter is not one byte", "write delimiter = \",\""))?;
    let raw = read(path, &TextFormat { encoding: "utf-8".into(), delimiter })?;
    let readings: &[Reading] = match file.format {
        RateFormat::Nordcan => &[("prob", hazard_of_survival)],
        RateFormat::Ratetable => &[("Freq", |x| (x >= 0.0).then_some(x))],
        RateFormat::Long | RateFormat::Hmd => &LONG,
    };
    let column = |name: &str| {
        raw.columns.get(name).ok_or_else(|| {
            let known: Vec<&str> = raw.columns.keys().map(String::as_str).collect();
            let reason = format!("there is no column `{name}`; found: {}", known.join(", "));
            fault(path, reason, "name the format of the table in site.toml")
        })
    };
    let (sexes, years, ages) = (column("sex")?, column("year")?, column("age")?);
    let found = readings.iter().find(|(name, _)| raw.columns.contains_key(*name));
    let (name, convert) = found.ok_or_else(|| {
        let names: Vec<&str> = readings.iter().map(|(name, _)| *name).collect();
        let reason = format!("there is none of the columns {}", names.join(", "));
        fault(path, reason, "name the format of the table in site.toml")
    })?;
    let values = column(name)?;
    let mut rates = Rates::new();
    for row in 0..raw.rows {
        if !of_population(&raw, file.population.as_deref(), row) {
            continue;
        }
        let cell = |column: &[Option<String>]| column[row].clone().unwrap_or_default();
        let value = cell(values).parse().ok().and_then(convert);
        let key = (sex_position(&cell(sexes)), leading(&cell(years)), leading(&cell(ages)));
        let ((Some(sex), Some(year), Some(age)), Some(rate)) = (key, value) else {
            let reason = format!("line {}: sex, year, age or {name} cannot be read", row + 2);
            let hint = "sex is 1 or 2 (male, female), year and age are whole numbers, rates are not negative";
            return Err(fault(path, reason, hint));
        };
        if rates.insert((sex, year, age), rate).is_some() {
            let reason = format!("line {}: this sex, year and age were given before", row + 2);
            let hint = "name the population in site.toml if the file holds several";
            return Err(fault(path, reason, hint));
        }
    }
    Ok(rates)
}

fn of_population(raw: &RawTable, wanted: Option<&str>, row: usize) -> bool {
    match (wanted, raw.columns.get("population")) {
        (Some(wanted), Some(column)) => column[row].as_deref() == Some(wanted),
        _ => true,
    }
}

/// HMD text: a title, an empty line, a line of column names, then numbers; `.` where there is none.
fn hmd(path: &Path, female: Option<&PathBuf>) -> Result<Rates, SiteError> {
    let mut rates = Rates::new();
    hmd_file(path, 0, &mut rates)?;
    if let Some(female) = female {
        hmd_file(female, 1, &mut rates)?;
    }
    Ok(rates)
}

fn hmd_file(path: &Path, of: usize, rates: &mut Rates) -> Result<(), SiteError> {
    let text = read_text(path)?;
    let wanted = "a file of the Human Mortality Database as it was downloaded is wanted";
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
    let mut before = BTreeMap::new();
    for (line, text) in lines.filter(|(_, l)| !l.trim().is_empty()) {
        let cells: Vec<&str> = text.split_whitespace().collect();
        let key = cells.first().and_then(|c| leading(c)).zip(cells.get(1).and_then(|c| leading(c)));
        let Some((year, age)) = key else {
            return Err(fault(
                path,
                format!("line {}: year or age cannot be read", line + 1),
                wanted,
            ));
        };
        for &(sex, at) in &columns {
            let rate = match cells.get(at) {
                // At the highest ages nobody may have lived: the rate of the age below stands in.
                Some(&".") => before.get(&sex).copied(),
                Some(cell) => cell.parse::<f64>().ok().filter(|x| *x >= 0.0),
                None => None,
            };
            let Some(rate) = rate else {
                return Err(fault(
                    path,
                    format!("line {}: a rate cannot be read", line + 1),
                    wanted,
                ));
            };
            before.insert(sex, rate);
            rates.insert((sex, year, age), rate / AGE_YEAR);
        }
    }
    Ok(())
}

/// The rectangle of sexes, years and ages; every cell must be there.
fn table(path: &Path, rates: &Rates) -> Result<LifeTable, SiteError> {
    let years: BTreeSet<i32> = rates.keys().map(|k| k.1).collect();
    let ages: BTreeSet<i32> = rates.keys().map(|k| k.2).collect();
    let first_day = |year: i32| {
        let date = i16::try_from(year).ok().and_then(|y| jiff::civil::Date::new(y, 1, 1).ok());
        let day = date.and_then(|d| d.since(jiff::civil::date(1970, 1, 1)).ok());
        day.map(|span| span.get_days()).ok_or_else(|| {
            fault(path, format!("{year} is no calendar year"), "years have four digits")
        })
    };
    let (Some(last), Some(0)) = (years.last(), ages.first()) else {
        return Err(fault(path, "the table does not start at age 0", "ages run from 0 upwards"));
    };
    let starts = years.iter().map(|y| first_day(*y)).collect::<Result<Vec<i32>, _>>()?;
    let mut hazard = Vec::new();
    for sex in 0..2 {
        for year in &years {
            for age in &ages {
                let Some(rate) = rates.get(&(sex, *year, *age)) else {
                    let word = ["males", "females"][sex];
                    let reason = format!("{word} of age {age} in {year} are missing");
                    return Err(fault(path, reason, "every sex, year and age needs a rate"));
                };
                hazard.push(*rate);
            }
        }
    }
    let half = hazard.len() / 2;
    hazard
        .extend((0..half).map(|i| f64::midpoint(hazard[i], hazard[half + i])).collect::<Vec<_>>());
    let end = first_day(last + 1)?;
    Ok(LifeTable { starts, end, ages: ages.into_iter().map(f64::from).collect(), hazard })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(format: RateFormat, name: &str) -> RateFile {
        let (path, population, female) = (name.to_owned(), None, None);
        RateFile { path, format, delimiter: ',', population, female }
    }

    fn write(name: &str, text: &str) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(name), text).unwrap();
        (folder, name.to_owned())
    }

    #[test]
    fn all_formats_give_the_same_table() {
        let q: f64 = 0.02;
        let rate = -(1.0 - q).ln();
        let long = "sex,year,age,qx\n1,2000,0,0.02\n2,2000,0,0.02\n1,2001,0,0.02\n2,2001,0,0.02\n";
        let nordcan = long.replace("qx", "prob").replace("0.02", "0.98");
        let r = format!(
            "age,year,sex,Freq\n0,2000,male,{x}\n0,2000,female,{x}\n0,2001,male,{x}\n0,2001,female,{x}\n",
            x = rate / AGE_YEAR
        );
        let hmd = format!(
            "Invented, Death rates\n\n  Year  Age  Female  Male  Total\n 2000 0 {rate} {rate} 0.1\n 2001 0 {rate} {rate} .\n"
        );
        let mut tables = Vec::new();
        for (format, text) in [
            (RateFormat::Long, long.to_owned()),
            (RateFormat::Nordcan, nordcan),
            (RateFormat::Ratetable, r),
            (RateFormat::Hmd, hmd),
        ] {
            let (folder, name) = write("t.csv", &text);
            tables.push(read_rates(folder.path(), &file(format, &name)).unwrap());
        }
        assert_eq!(tables[0].starts, [10957, 11323]);
        for table in &tables {
            assert_eq!(
                (&table.starts, table.end, &table.ages),
                (&tables[0].starts, 11688, &vec![0.0])
            );
            for x in &table.hazard {
                assert!((x - rate / AGE_YEAR).abs() < 1e-15);
            }
        }
    }

    #[test]
    fn faults_name_the_line_and_what_is_wanted() {
        for (text, wanted) in [
            ("sex,year,age,qx\n1,2000,0,0.02\n3,2000,0,0.02\n", "line 3"),
            ("sex,year,age,qx\n1,2000,0,0.02\n1,2000,0,0.02\n", "given before"),
            ("sex,year,age,qx\n1,2000,0,0.02\n", "females of age 0 in 2000 are missing"),
            ("sex,year,age,rate\n1,2000,0,0.02\n", "none of the columns"),
            ("sex,year,age,qx\n1,2000,5,0.02\n", "age 0"),
        ] {
            let (folder, name) = write("t.csv", text);
            let error = read_rates(folder.path(), &file(RateFormat::Long, &name)).unwrap_err();
            assert!(error.to_string().contains(wanted), "{error}");
        }
    }
}
