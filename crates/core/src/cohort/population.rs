//! Cases in cells of sex, year and age, and the person-years of the population in which they arose.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CohortError, ColumnNeed, Places, SiteData};
use crate::limits;

/// Person-years of one sex, year and range of ages.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PopulationCell {
    /// 0 males, 1 females, `None` where the table does not tell them apart.
    pub sex: Option<usize>,
    /// Calendar year.
    pub year: i32,
    /// First age, completed years.
    pub from: u32,
    /// First age no longer in it; `u32::MAX` where it is open.
    pub to: u32,
    /// Person-years.
    pub person_years: f64,
}

/// Person-years of a population: about nobody in the registry.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PersonYears {
    /// Cells, no two of which overlap.
    pub cells: Vec<PopulationCell>,
}

/// Deaths of the population from the disease, from its statistics of causes of death: about nobody in the registry.
#[derive(Debug, Clone, PartialEq)]
pub struct DeathCell {
    /// Calendar year.
    pub year: i32,
    /// 0 males, 1 females, `None` where the table does not tell them apart.
    pub sex: Option<usize>,
    /// Level of the variable by which cases are grouped, such as the kind of cancer; none where deaths are not told apart.
    pub group: Option<String>,
    /// Deaths.
    pub deaths: f64,
}

/// Names the variables that place a case, and the bands in which cases and person-years are counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Incidence {
    /// Age at diagnosis: days (type `days`), or a number in the dictionary's unit, months or years.
    pub age: String,
    /// Day or calendar year of diagnosis.
    pub year: String,
    /// Sex; males and females are counted together where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sex: Option<String>,
    /// Number of cases that a row stands for, where the file holds counts; one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<String>,
    /// First age of each band, completed years, ascending.
    #[schemars(with = "Vec<limits::Age>")]
    pub ages: Vec<u32>,
    /// First age no longer counted; the last band is open if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<limits::Age>")]
    pub age_end: Option<u32>,
    /// First and last year.
    #[schemars(with = "[limits::CalendarYear; 2]")]
    pub years: [i32; 2],
    /// Years in a unit of age; from the dictionary.
    #[serde(default)]
    #[schemars(skip)]
    pub age_unit: f64,
    /// Whether they are the analysis's own and not the model's: there a fault of theirs is shown.
    #[serde(skip)]
    #[schemars(skip)]
    pub shared: bool,
    /// Levels of `sex`; from the dictionary.
    #[serde(default)]
    #[schemars(skip)]
    pub sexes: Vec<String>,
}

/// Cases and person-years of one site, by sex, year and age band; cases by group too.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct IncidenceCounts {
    /// Cases, `((sex * groups + group) * years + year) * bands + band`.
    pub cases: Vec<f64>,
    /// Cases of unknown age, `(sex * groups + group) * years + year`.
    pub unknown_age: Vec<f64>,
    /// Person-years, `(sex * years + year) * bands + band`.
    pub person_years: Vec<f64>,
    /// Cases left out: without year, sex or group; of other years or ages; where the population table has no person-years.
    pub left_out: [f64; 3],
    /// 1 where the site's population does not cover a cell of person-years whole, else 0.
    pub uncovered: Vec<f64>,
    /// The records behind the cases; they stay at the site.
    pub records: Vec<CountedRecord>,
}

/// A record that is counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CountedRecord {
    /// Sex, group and year, `(sex * groups + group) * years + year`.
    pub line: usize,
    /// Age band, if the age is known.
    pub band: Option<usize>,
    /// Number of the person.
    pub person: u32,
    /// Cases that it stands for.
    pub n: f64,
}

/// Person-years of one site in the cells of an analysis, `(sex * years + year) * bands + band`.
#[derive(Debug, Clone, PartialEq)]
pub struct Covered {
    /// Person-years; 0 where the cell is not covered.
    pub person_years: Vec<f64>,
    /// Whether the site's table covers every age of the cell, of each sex that is in it, and its cases were recorded in that year.
    pub is_covered: Vec<bool>,
}

/// Age from which the last line of a table stands for everybody older, even if it does not say so.
const OLDEST: u32 = 80;

/// Ages of a population table by sex and year, ascending.
type AgesOf = BTreeMap<(Option<usize>, i32), Vec<[u32; 2]>>;

/// Whether ages that one sex and year has cover those of a band without a gap. An open band reaches to the last age of the table;
/// where one of its years has an open line, each has.
fn cover(ages: &[[u32; 2]], [from, to]: [u32; 2], has_open: bool) -> bool {
    let inside = ages.iter().filter(|a| a[1] > from && a[0] < to);
    let end = inside.copied().try_fold(from, |end, [a, b]| (a == end).then_some(b));
    end.is_some_and(|end| end > from && (end >= to || (to == u32::MAX && !has_open)))
}

impl PersonYears {
    fn ages(&self) -> AgesOf {
        let mut ages = AgesOf::new();
        for cell in &self.cells {
            ages.entry((cell.sex, cell.year)).or_default().push([cell.from, cell.to]);
        }
        ages.values_mut().for_each(|ages| ages.sort_unstable());
        ages
    }

    fn has_open(&self, sex: Option<usize>) -> bool {
        self.cells.iter().any(|c| c.sex == sex && c.to == u32::MAX)
    }

    /// First age that lies beyond the table, if it ends among the young.
    fn end(&self) -> Option<u32> {
        self.cells.iter().map(|c| c.to).max().filter(|end| *end <= OLDEST)
    }

    /// Sexes that the table tells apart.
    fn sexes(&self) -> Vec<Option<usize>> {
        let mut sexes: Vec<Option<usize>> = self.cells.iter().map(|c| c.sex).collect();
        sexes.sort_unstable();
        sexes.dedup();
        sexes
    }
}

impl Incidence {
    /// Number of sexes told apart, 1 if none.
    pub fn sexes(&self) -> usize {
        self.sexes.len().max(1)
    }

    /// Number of years.
    pub fn len(&self) -> usize {
        (self.years[1] - self.years[0] + 1).max(0) as usize
    }

    /// Whether there is no year.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// First age and first age no longer in it of a band; `u32::MAX` where it is open.
    pub fn band(&self, i: usize) -> [u32; 2] {
        let next = self.ages.get(i + 1).copied();
        [self.ages[i], next.or(self.age_end).unwrap_or(u32::MAX)]
    }

    /// Names of the bands, such as `0`, `1–4` or `85+`.
    pub fn band_names(&self) -> Vec<String> {
        (0..self.ages.len()).map(|i| ages_name(self.band(i))).collect()
    }

    /// Names of the sexes told apart, `all` if none.
    pub fn sex_names(&self) -> Vec<String> {
        if self.sexes.is_empty() { vec!["all".to_owned()] } else { self.sexes.clone() }
    }

    /// Whether the cells are of children and adolescents, whose rates are told per million.
    pub fn is_childhood(&self) -> bool {
        self.age_end.is_some_and(|end| end <= 20)
    }

    /// Person-years for which rates are told where the analysis does not say: a million of children, else 100 000.
    pub fn per(&self) -> f64 {
        if self.is_childhood() { 1e6 } else { 1e5 }
    }

    /// Band of an age, completed years.
    pub fn band_of(&self, age: f64) -> Option<usize> {
        let at = self.ages.partition_point(|from| f64::from(*from) <= age).checked_sub(1)?;
        let [_, to] = self.band(at);
        (to == u32::MAX || age < f64::from(to)).then_some(at)
    }

    fn year_of(&self, year: i32) -> Option<usize> {
        (self.years[0]..=self.years[1]).contains(&year).then(|| (year - self.years[0]) as usize)
    }

    /// Columns that are needed; `by` splits the cases.
    pub fn needs(&self, by: Option<&str>) -> Vec<ColumnNeed> {
        let ages = |ages: Vec<u32>| Places::Ages(ages.into_iter().map(f64::from).collect());
        let mut needs = vec![
            ColumnNeed::parted(&self.age, ages(self.ages.clone()), "/incidence/ages"),
            ColumnNeed::years(&self.year, self.years, "/incidence/years"),
        ];
        let end = self.age_end.map(|end| ages(vec![end]));
        needs.extend(end.map(|end| ColumnNeed::parted(&self.age, end, "/incidence/age_end")));
        needs.extend(self.sex.iter().map(ColumnNeed::levels));
        needs.extend(self.count.iter().map(ColumnNeed::cases));
        needs.extend(by.map(ColumnNeed::levels));
        needs
    }

    /// Person-years of a site. A cell that its table does not cover whole has none: a rate over a part of the population and all
    /// of the cases would be too high. Years that end after the site's closing date are not covered either.
    pub fn covered(&self, data: &SiteData) -> Result<Covered, CohortError> {
        let size = self.sexes() * self.len() * self.ages.len();
        let mut covered = Covered { person_years: vec![0.0; size], is_covered: vec![false; size] };
        let Some(population) = &data.tables.population else { return Ok(covered) };
        for cell in &population.cells {
            if let Some(at) = self.place(cell)? {
                covered.person_years[at] += cell.person_years;
            }
        }
        let (all, ages) = (population.sexes(), population.ages());
        for (s, name) in self.sex_names().iter().enumerate() {
            let sexes = if self.sexes.is_empty() { all.clone() } else { vec![sex_position(name)] };
            let sexes: Vec<_> = sexes.iter().map(|sex| (*sex, population.has_open(*sex))).collect();
            for y in 0..self.len() {
                let year = self.years[0] + y as i32;
                let is_recorded = data.tables.closing_day.is_none_or(|day| last_day(year) <= day);
                for b in 0..self.ages.len() {
                    let at = (s * self.len() + y) * self.ages.len() + b;
                    covered.is_covered[at] = is_recorded
                        && sexes.iter().all(|(sex, has_open)| {
                            let of = ages.get(&(*sex, year));
                            of.is_some_and(|ages| cover(ages, self.band(b), *has_open))
                        });
                    if !covered.is_covered[at] {
                        covered.person_years[at] = 0.0;
                    }
                }
            }
        }
        Ok(covered)
    }

    /// Counts the cases and person-years of a site.
    pub fn count(
        &self,
        by: Option<&str>,
        groups: usize,
        data: &SiteData,
    ) -> Result<IncidenceCounts, CohortError> {
        let (sexes, years, bands) = (self.sexes(), self.len(), self.ages.len());
        // A site without the table has no person-years: its cases are counted as such, and told.
        let covered = self.covered(data)?;
        let table_end = data.tables.population.as_ref().and_then(|population| population.end());
        let mut counts = IncidenceCounts {
            cases: vec![0.0; sexes * groups * years * bands],
            unknown_age: vec![0.0; sexes * groups * years],
            person_years: covered.person_years,
            left_out: [0.0; 3],
            records: Vec::new(),
            uncovered: covered.is_covered.iter().map(|is| f64::from(u8::from(!is))).collect(),
        };
        let cohort = &data.cohort;
        let age = cohort.numbers(&self.age)?;
        let year = calendar_years(data, &self.year)?;
        let sex = self.sex.as_ref().map(|name| cohort.levels(name)).transpose()?;
        let group = by.map(|name| cohort.levels(name)).transpose()?;
        let count = cohort.case_counts(self.count.as_deref())?;
        for (row, &n) in count.iter().enumerate() {
            let code = |column: &Option<(Vec<Option<u32>>, Vec<String>)>| match column {
                None => Some(0),
                Some((codes, _)) => codes[row].map(|c| c as usize),
            };
            let (Some(sex), Some(group), Some(year)) = (code(&sex), code(&group), year[row]) else {
                counts.left_out[0] += n;
                continue;
            };
            let Some(year) = self.year_of(year) else {
                counts.left_out[1] += n;
                continue;
            };
            let line = (sex * groups + group) * years + year;
            let of_year = (sex * years + year) * bands;
            if age[row].is_nan() {
                if counts.person_years[of_year..of_year + bands].iter().all(|y| *y <= 0.0) {
                    counts.left_out[2] += n;
                } else {
                    counts.unknown_age[line] += n;
                    let person = cohort.person(row);
                    counts.records.push(CountedRecord { line, band: None, person, n });
                }
                continue;
            }
            // Whole years: an age in months is turned into years and cut.
            let age = (age[row] * self.age_unit + 1e-9).floor();
            let Some(band) = self.band_of(age) else {
                counts.left_out[1] += n;
                continue;
            };
            let beyond = table_end.is_some_and(|end| age >= f64::from(end));
            if counts.person_years[of_year + band] <= 0.0 || beyond {
                counts.left_out[2] += n;
                continue;
            }
            counts.cases[line * bands + band] += n;
            let person = cohort.person(row);
            counts.records.push(CountedRecord { line, band: Some(band), person, n });
        }
        Ok(counts)
    }

    /// Where a cell of the population belongs, if it is of these years and ages.
    fn place(&self, cell: &PopulationCell) -> Result<Option<usize>, CohortError> {
        let fault = |reason: String| CohortError::Population { reason };
        let Some(year) = self.year_of(cell.year) else { return Ok(None) };
        let outside = cell.to <= self.ages.first().copied().unwrap_or(0)
            || self.age_end.is_some_and(|end| cell.from >= end);
        if outside {
            return Ok(None);
        }
        let band = self.band_of(f64::from(cell.from)).filter(|&i| cell.to <= self.band(i)[1]);
        let Some(band) = band else {
            let to =
                if cell.to == u32::MAX { "+".to_owned() } else { format!("–{}", cell.to - 1) };
            let reason = format!("its ages {}{to} lie in no single age band", cell.from);
            return Err(fault(reason));
        };
        let sex = match (self.sexes.is_empty(), cell.sex) {
            (true, _) => 0,
            (false, Some(sex)) => {
                self.sexes.iter().position(|level| sex_position(level) == Some(sex)).ok_or_else(
                    || {
                        fault(
                            "it has a sex that is not among the levels of the analysis's variable"
                                .into(),
                        )
                    },
                )?
            }
            (false, None) => {
                return Err(fault("it does not distinguish males and females".into()));
            }
        };
        Ok(Some((sex * self.len() + year) * self.ages.len() + band))
    }
}

/// Name of a span of ages, its first age and the first no longer in it: `0`, `1–4` or `85+`.
pub fn ages_name([from, to]: [u32; 2]) -> String {
    match to {
        u32::MAX => format!("{from}+"),
        to if to == from + 1 => from.to_string(),
        to => format!("{from}–{}", to - 1),
    }
}

/// Last day of a calendar year, since 1970-01-01.
fn last_day(year: i32) -> i32 {
    let date = i16::try_from(year).ok().and_then(|y| jiff::civil::Date::new(y, 12, 31).ok());
    let days = date.and_then(|d| d.since(jiff::civil::date(1970, 1, 1)).ok());
    days.map_or(i32::MAX, |span| span.get_days())
}

/// Calendar year of each row from a column of days or years.
pub fn calendar_years(data: &SiteData, name: &str) -> Result<Vec<Option<i32>>, CohortError> {
    let epoch = jiff::civil::date(1970, 1, 1);
    Ok(match data.cohort.column(name)? {
        super::Column::Day(days) => days
            .iter()
            .map(|day| {
                let day = jiff::Span::new().try_days(i64::from((*day)?)).ok()?;
                epoch.checked_add(day).ok().map(|date| i32::from(date.year()))
            })
            .collect(),
        super::Column::Real(_) | super::Column::Flag(_) | super::Column::Category { .. } => data
            .cohort
            .numbers(name)?
            .iter()
            .map(|year| (!year.is_nan()).then_some(*year as i32))
            .collect(),
    })
}

/// Position of a sex in tables about the population: 0 males, 1 females.
pub fn sex_position(level: &str) -> Option<usize> {
    match level.trim().to_ascii_lowercase().as_str() {
        "1" | "m" | "male" | "males" | "men" | "boy" | "boys" => Some(0),
        "2" | "f" | "female" | "females" | "women" | "girl" | "girls" => Some(1),
        _ => None,
    }
}
