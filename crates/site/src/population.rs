//! Reads the person-years of a registry's population.
//!
//! Delimited text with columns `sex` (absent where males and females are not told apart), `year`, `age` and one of
//! `person_years` and `population` (inhabitants at mid-year). An age is a single year (`7`), a range (`5-9`) or open (`85+`); where
//! single numbers stand apart in steps of one width (0, 5, 10, …, or 0, 1, 5, 10, …), each is the first age of a band that ends where
//! the next one starts. A year that lacks ages which other years have is read as far as it goes: the cells that it does not cover have
//! no person-years, and the analysis says so.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::cohort::{PersonYears, PopulationCell, sex_position};

use super::{
    bands::{Label, Span, Unfit, span_name, spans},
    folder::SiteError,
    reader::{TextFormat, read},
};

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

/// Line and person-years by age, as it is written.
type Ages = BTreeMap<Label, (usize, f64)>;

/// The spans of the ages of one sex and year; those of all years together where its own leave a gap.
fn ages_of(
    path: &Path,
    year: i32,
    ages: &Ages,
    all: &BTreeSet<Label>,
) -> Result<BTreeMap<Label, Span>, SiteError> {
    let own: BTreeSet<Label> = ages.keys().copied().collect();
    let gap = match spans(&own) {
        Ok(found) => return Ok(found),
        Err(Unfit::Gap(gap)) => gap,
        Err(Unfit::Overlap(at)) => {
            let line = ages.iter().filter(|(label, _)| label.first() == at).map(|(_, l)| l.0).max();
            let line = line.unwrap_or_default();
            let reason = format!("line {line}: ages of {year} overlap those of another line");
            return Err(fault(
                path,
                reason,
                "each combination of sex, year and age must be in one line only",
            ));
        }
    };
    let ranged = own.iter().any(|label| matches!(label, Label::Range(..)));
    match spans(all) {
        Ok(found) => Ok(found.into_iter().filter(|(label, _)| own.contains(label)).collect()),
        // Ranges say themselves how far they go.
        Err(_) if ranged => Ok(own
            .into_iter()
            .map(|label| match label {
                Label::Single(from) => (label, [from, from + 1]),
                Label::Range(from, to) => (label, [from, to]),
                Label::Open(from) => (label, [from, u32::MAX]),
            })
            .collect()),
        Err(_) => {
            let reason = format!("ages {} of {year} are missing", span_name(gap));
            let hint = "add the missing lines; write ages that cover several years as 5-9";
            Err(fault(path, reason, hint))
        }
    }
}

/// Reads the table of a site folder.
pub(super) fn read_population(
    folder: &Path,
    file: &PopulationFile,
) -> Result<PersonYears, SiteError> {
    let path = &folder.join(&file.path);
    let delimiter = u8::try_from(file.delimiter).map_err(|_| {
        fault(path, "the delimiter is not a single-byte character", "write delimiter = \",\"")
    })?;
    let raw = read(path, &TextFormat { encoding: "utf-8".into(), delimiter })?;
    let wanted = "the columns are sex, year, age and person_years (or population)";
    let column = |name: &str| {
        raw.columns.get(name).ok_or_else(|| {
            let names = raw.names(&["sex", "year", "age", "person_years", "population"]);
            fault(path, format!("there is no column `{name}`; {names}"), wanted)
        })
    };
    let sexes = raw.columns.get("sex");
    let (years, age_cells) = (column("year")?, column("age")?);
    let values = match raw.columns.get("population") {
        Some(values) if !raw.columns.contains_key("person_years") => values,
        _ => column("person_years")?,
    };
    let mut lines: BTreeMap<(Option<usize>, i32), Ages> = BTreeMap::new();
    for row in 0..raw.rows {
        let cell = |column: &[Option<String>]| column[row].clone().unwrap_or_default();
        let sex = match sexes.map(|s| cell(s)) {
            None => Some(None),
            Some(text) => sex_position(&text).map(Some),
        };
        let value = cell(values).parse::<f64>().ok().filter(|v| v.is_finite() && *v >= 0.0);
        let age = Label::read(&cell(age_cells)).filter(|age| age.first() < 200);
        let key = (sex, cell(years).trim().parse::<i32>().ok(), age, value);
        let (Some(sex), Some(year), Some(age), Some(value)) = key else {
            let reason =
                format!("line {}: sex, year, age or person-years cannot be read", raw.place(row));
            let hint = "sex must be 1 or 2 (male, female), age such as 7, 5-9 or 85+, and person-years not negative";
            return Err(fault(path, reason, hint));
        };
        if lines.entry((sex, year)).or_default().insert(age, (raw.place(row), value)).is_some() {
            let reason =
                format!("line {}: ages of {year} overlap those of another line", raw.place(row));
            return Err(fault(
                path,
                reason,
                "each combination of sex, year and age must be in one line only",
            ));
        }
    }
    let all: BTreeSet<Label> = lines.values().flat_map(|ages| ages.keys().copied()).collect();
    let mut cells = Vec::new();
    for ((sex, year), ages) in lines {
        let spans = ages_of(path, year, &ages, &all)?;
        let mut found: Vec<PopulationCell> = ages
            .iter()
            .map(|(label, (_, person_years))| {
                let [from, to] = spans[label];
                PopulationCell { sex, year, from, to, person_years: *person_years }
            })
            .collect();
        found.sort_by_key(|cell| cell.from);
        if let Some(pair) = found.windows(2).find(|pair| pair[0].to > pair[1].from) {
            let line = ages.iter().find(|(label, _)| label.first() == pair[1].from);
            let line = line.map_or(0, |(_, (line, _))| *line);
            let reason = format!("line {line}: ages of {year} overlap those of another line");
            return Err(fault(
                path,
                reason,
                "each combination of sex, year and age must be in one line only",
            ));
        }
        cells.extend(found);
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
    fn a_year_without_an_age_that_others_have_keeps_its_other_ages_as_they_are() {
        let text = "year,age,population\n2000,0,5\n2000,1,5\n2000,2,5\n2000,3,5\n2001,0,5\n2001,1,5\n2001,3,5\n";
        let cells = read_text(text).unwrap().cells;
        let of_2001: Vec<[u32; 2]> =
            cells.iter().filter(|c| c.year == 2001).map(|c| [c.from, c.to]).collect();
        assert_eq!(of_2001, [[0, 1], [1, 2], [3, 4]]);
        let ranges =
            "year,age,population\n2000,0-4,5\n2000,5-9,5\n2000,10+,5\n2001,0-4,5\n2001,10+,5\n";
        assert_eq!(read_text(ranges).unwrap().cells.len(), 5);
        // Years may be told in other widths.
        let mixed =
            "year,age,population\n2000,0,5\n2000,5,5\n2000,10,5\n2001,0,5\n2001,1,5\n2001,2,5\n";
        assert_eq!(read_text(mixed).unwrap().cells[0].to, 5);
    }

    #[test]
    fn an_age_that_all_years_lack_is_a_fault() {
        let text = "year,age,population\n2000,0,5\n2000,1,5\n2000,2,5\n2000,4,5\n2000,5,5\n";
        let error = read_text(text).unwrap_err().to_string();
        assert!(error.contains("ages 3 of 2000 are missing"), "{error}");
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
