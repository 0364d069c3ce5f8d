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
    let is_stock =
        raw.columns.contains_key("population") && !raw.columns.contains_key("person_years");
    let of_value = if is_stock { "population" } else { "person_years" };
    let values = column(of_value)?;
    let mut lines: BTreeMap<(Option<usize>, i32), Ages> = BTreeMap::new();
    for row in 0..raw.rows {
        let cell = |column: &[Option<String>]| column[row].clone().unwrap_or_default();
        let sex = match sexes.map(|s| cell(s)) {
            None => Some(None),
            Some(text) => sex_position(&text).map(Some),
        };
        let unread = |field: &str, wanted: &str| {
            let reason = format!("line {}: {field} cannot be read", raw.place(row));
            fault(path, reason, wanted)
        };
        let sex = sex.ok_or_else(|| unread("sex", "sex must be 1 or 2 (male, female)"))?;
        let year = cell(years).trim().parse::<i32>().ok().filter(|y| (1500..=3000).contains(y));
        let year =
            year.ok_or_else(|| unread("year", "year must be a calendar year such as 2012"))?;
        let age = Label::read(&cell(age_cells)).filter(|age| age.first() < 200);
        let age = age.ok_or_else(|| unread("age", "age must be such as 7, 5-9 or 85+"))?;
        let value = cell(values).parse::<f64>().ok().filter(|v| v.is_finite() && *v >= 0.0);
        let value = value.ok_or_else(|| unread(of_value, "it must be a number of 0 or more"))?;
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

/// What the table lacks within its own years, sexes and ages, in words: the analysis has no person-years there.
pub(super) fn missing_lines(table: &PersonYears) -> Vec<String> {
    let mut spans: BTreeMap<(Option<usize>, i32), Vec<Span>> = BTreeMap::new();
    for cell in &table.cells {
        spans.entry((cell.sex, cell.year)).or_default().push([cell.from, cell.to]);
    }
    let ends = |of: fn(&PopulationCell) -> u32| table.cells.iter().map(of);
    let (from, to) = (ends(|c| c.from).min(), ends(|c| c.to).max());
    let [from, to] = [from, to].map(Option::unwrap_or_default);
    let sexes: BTreeSet<Option<usize>> = spans.keys().map(|(sex, _)| *sex).collect();
    let years = || spans.keys().map(|(_, year)| *year);
    let (first, last) = (years().min().unwrap_or_default(), years().max().unwrap_or_default());
    let mut words = Vec::new();
    for sex in sexes {
        let sex_name = match sex {
            None => "",
            Some(0) => "males ",
            Some(_) => "females ",
        };
        for year in first..=last {
            let Some(found) = spans.get(&(sex, year)) else {
                words.push(format!("{sex_name}{year}, all ages"));
                continue;
            };
            let mut reached = from;
            for span in found.iter().copied().chain([[to, to]]) {
                if span[0] > reached {
                    words.push(format!("{sex_name}{year}, ages {}", span_name([reached, span[0]])));
                }
                reached = reached.max(span[1]);
            }
        }
    }
    words
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
            ("year,age,person_years\n2000,x,5\n", "line 2: age cannot be read"),
            ("year,age,person_years\n2000,0,-5\n", "line 2: person_years cannot be read"),
            ("year,age,population\n2000,0,5\n2000,1,\n", "line 3: population cannot be read"),
            ("year,age,population\nlast,0,5\n", "line 2: year cannot be read"),
            ("year,age,population\n20122013,0,5\n", "line 2: year cannot be read"),
            ("year;age;population\n2000;0;5,5\n", "write delimiter = \";\""),
            ("year,age,person_years\n2000,0-4,5\n2000,3,5\n", "overlap"),
            ("year,age,cases\n2000,0,5\n", "no column `person_years`"),
            ("sex,year,age,person_years\n3,2000,0,5\n", "line 2: sex cannot be read"),
        ] {
            let error = read_text(text).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn lines_that_the_tables_own_ranges_imply_are_missed() {
        let missing = |text: &str| missing_lines(&read_text(text).unwrap());
        let whole = "sex,year,age,population\n1,2000,0-4,5\n1,2000,5+,5\n2,2000,0-4,5\n2,2000,5+,5\n\
                     1,2002,0,5\n1,2002,1-4,5\n1,2002,5+,5\n2,2002,0-4,5\n2,2002,5+,5\n";
        assert_eq!(missing(whole), ["males 2001, all ages", "females 2001, all ages"]);
        let without = |line: &str| missing(&whole.replace("2002", "2001").replacen(line, "", 1));
        assert_eq!(without("nothing"), [""; 0]);
        assert_eq!(without("1,2001,0,5\n"), ["males 2001, ages 0"]);
        assert_eq!(without("2,2001,5+,5\n"), ["females 2001, ages 5+"]);
        assert_eq!(without("2,2000,0-4,5\n"), ["females 2000, ages 0–4"]);
        let together = "year,age,population\n2000,0,5\n2000,1,5\n2000,2,5\n2000,3,5\n2001,0,5\n2001,1,5\n2001,3,5\n";
        assert_eq!(missing(together), ["2001, ages 2"]);
    }
}
