//! Reads the person-years of a registry's population.
//!
//! Delimited text with columns `sex` (absent where males and females are not told apart), `year`, `age` and one of
//! `person_years` and `population` (inhabitants at mid-year). An age is a single year (`7`), a range (`5-9`) or open (`85+`); where
//! single numbers stand further apart than one year, each is the first age of a band that ends where the next one starts.

use std::{collections::BTreeMap, path::Path};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    folder::SiteError,
    reader::{TextFormat, read},
};
use crate::cohort::{PersonYears, PopulationCell, sex_position};

/// The table of person-years and how it is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PopulationFile {
    /// File.
    pub path: String,
    /// Field delimiter.
    #[serde(default = "comma")]
    pub delimiter: char,
}

fn comma() -> char {
    ','
}

pub(super) fn fault(path: &Path, reason: impl Into<String>, hint: &str) -> SiteError {
    SiteError::File { path: path.display().to_string(), reason: reason.into(), hint: hint.into() }
}

/// An age as it is written: its first year, and the first year no longer in it if the cell says so.
fn ages(text: &str) -> Option<(u32, Option<u32>)> {
    let text = text.trim().replace('–', "-");
    if let Some(from) = text.strip_suffix('+') {
        return Some((from.trim().parse().ok()?, Some(u32::MAX)));
    }
    match text.split_once('-') {
        Some((from, to)) => {
            let (from, to): (u32, u32) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
            (from <= to && to < 200).then_some((from, Some(to + 1)))
        }
        None => Some((text.parse().ok().filter(|a| *a < 200)?, None)),
    }
}

/// First age, end if it is written, line and person-years.
type AgeLine = (u32, Option<u32>, usize, f64);

/// Reads the table of a site folder.
pub(super) fn read_population(
    folder: &Path,
    file: &PopulationFile,
) -> Result<PersonYears, SiteError> {
    let path = &folder.join(&file.path);
    let delimiter = u8::try_from(file.delimiter)
        .map_err(|_| fault(path, "the delimiter is not one byte", "write delimiter = \",\""))?;
    let raw = read(path, &TextFormat { encoding: "utf-8".into(), delimiter })?;
    let wanted = "columns are sex, year, age and person_years (or population)";
    let column = |name: &str| {
        raw.columns.get(name).ok_or_else(|| {
            let known: Vec<&str> = raw.columns.keys().map(String::as_str).collect();
            fault(path, format!("there is no column `{name}`; found: {}", known.join(", ")), wanted)
        })
    };
    let sexes = raw.columns.get("sex");
    let (years, age_cells) = (column("year")?, column("age")?);
    let values = match raw.columns.get("population") {
        Some(values) if !raw.columns.contains_key("person_years") => values,
        _ => column("person_years")?,
    };
    let mut lines: BTreeMap<(Option<usize>, i32), Vec<AgeLine>> = BTreeMap::new();
    for row in 0..raw.rows {
        let cell = |column: &[Option<String>]| column[row].clone().unwrap_or_default();
        let sex = match sexes.map(|s| cell(s)) {
            None => Some(None),
            Some(text) => sex_position(&text).map(Some),
        };
        let value = cell(values).parse::<f64>().ok().filter(|v| v.is_finite() && *v >= 0.0);
        let key = (sex, cell(years).trim().parse::<i32>().ok(), ages(&cell(age_cells)), value);
        let (Some(sex), Some(year), Some((from, to)), Some(value)) = key else {
            let reason = format!("line {}: sex, year, age or person-years cannot be read", row + 2);
            let hint =
                "sex is 1 or 2 (male, female), age is 7, 5-9 or 85+, person-years are not negative";
            return Err(fault(path, reason, hint));
        };
        lines.entry((sex, year)).or_default().push((from, to, row + 2, value));
    }
    let mut cells = Vec::new();
    for ((sex, year), mut ages) in lines {
        ages.sort_by_key(|a| a.0);
        let mut width = 1;
        for i in 0..ages.len() {
            let (from, to, line, person_years) = ages[i];
            let next = ages.get(i + 1).map(|a| a.0);
            if next == Some(from) || to.zip(next).is_some_and(|(to, next)| next < to) {
                let reason = format!("line {line}: ages of {year} overlap those of another line");
                return Err(fault(path, reason, "every sex, year and age stands in one line"));
            }
            // The last band without an end is as wide as the one before.
            let to = to.or(next).unwrap_or(from + width);
            width = to.saturating_sub(from);
            cells.push(PopulationCell { sex, year, from, to, person_years });
        }
    }
    Ok(PersonYears { cells })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<PersonYears, SiteError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("p.csv"), text).unwrap();
        read_population(folder.path(), &PopulationFile { path: "p.csv".into(), delimiter: ',' })
    }

    #[test]
    fn ages_are_years_bands_or_open() {
        let of = |text: &str| -> Vec<[u32; 2]> {
            read_text(text).unwrap().cells.iter().map(|c| [c.from, c.to]).collect()
        };
        assert_eq!(
            of("year,age,person_years\n2000,0,5\n2000,1-4,5\n2000,5+,5\n"),
            [[0, 1], [1, 5], [5, u32::MAX]]
        );
        assert_eq!(
            of("year,age,population\n2000,0,5\n2000,5,5\n2000,10,5\n"),
            [[0, 5], [5, 10], [10, 15]]
        );
        assert_eq!(of("sex,year,age,population\n1,2000,0,5\n2,2000,0,5\n").len(), 2);
    }

    #[test]
    fn faults_name_the_line() {
        for (text, wanted) in [
            ("year,age,person_years\n2000,x,5\n", "line 2"),
            ("year,age,person_years\n2000,0,-5\n", "line 2"),
            ("year,age,person_years\n2000,0-4,5\n2000,3,5\n", "overlap"),
            ("year,age,cases\n2000,0,5\n", "no column `person_years`"),
            ("sex,year,age,person_years\n3,2000,0,5\n", "line 2"),
        ] {
            let error = read_text(text).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
