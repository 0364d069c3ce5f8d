//! Cases and person-years by sex, group, year and age: the statistic of the models of incidence.

use tributary_stats::{rate::WeightedRate, rate_ratio::Rate};

use super::{Context, Sums};
use crate::{
    cohort::{CohortError, ColumnNeed, Incidence, IncidenceCounts, SiteData, sex_position},
    estimate::{Estimate, Notice, Status},
    spec::{Fault, VariableKind},
    summary::{Axis, LayoutError},
};

/// What the models of incidence share: cells, groups and periods.
#[derive(Debug, Clone, PartialEq)]
pub struct RateCells {
    /// Levels by which cases are split, `all` if they are not.
    pub groups: Vec<String>,
    /// Names of the sexes, `all` if they are not told apart.
    pub sexes: Vec<String>,
    /// Calendar years.
    pub years: Vec<i32>,
    /// Names of the age bands.
    pub bands: Vec<String>,
    /// Cases, `((sex * groups + group) * years + year) * bands + band`.
    cases: Vec<f64>,
    /// Cases of unknown age, `(sex * groups + group) * years + year`.
    unknown_age: Vec<f64>,
    /// Person-years, `(sex * years + year) * bands + band`.
    person_years: Vec<f64>,
}

/// Checks a model's cells, and fills the levels of the variable that splits the cases.
pub fn prepare_cells(
    cells: &mut Incidence,
    by: Option<&str>,
    groups: &mut Vec<String>,
    context: &Context<'_>,
) -> Vec<Fault> {
    let mut faults = prepare_incidence(cells, context);
    faults.extend(context.groups(by, groups));
    faults
}

/// Checks a model's cells against the dictionary and completes them.
pub fn prepare_incidence(cells: &mut Incidence, context: &Context<'_>) -> Vec<Fault> {
    use VariableKind::{Date, Days, Integer, Real};
    cells.shared = context.gives("incidence");
    let mut faults: Vec<Fault> = [
        context.check("/incidence/age", &cells.age, &[Days, Integer, Real]),
        context.check("/incidence/year", &cells.year, &[Date, Integer]),
        cells.count.as_ref().and_then(|c| context.check("/incidence/count", c, &[Integer])),
    ]
    .into_iter()
    .flatten()
    .collect();
    let age = context.dictionary.get(&cells.age);
    cells.age_unit = match age.map(|v| (v.kind, v.unit.as_deref())) {
        Some((Days, _)) => 1.0 / context.year.days(),
        Some((_, Some("months"))) => 1.0 / 12.0,
        _ => 1.0,
    };
    match sex_levels("/incidence", cells.sex.as_deref(), context) {
        Ok(sexes) => cells.sexes = sexes,
        Err(fault) => faults.push(fault),
    }
    let shared = context.incidence.and_then(|shared| shared.count.as_ref());
    if let (None, Some(count)) = (&cells.count, shared) {
        let message = format!("by [incidence] of the analysis a record stands for `{count}` cases");
        let hint = format!("write count = \"{count}\" here too");
        faults.push(Fault::new("/incidence", message).hint(hint));
    }
    let end = cells.age_end.unwrap_or(u32::MAX);
    let ascending = cells.ages.windows(2).all(|w| w[0] < w[1]);
    let beyond = cells.ages.last().is_some_and(|last| *last >= end);
    if cells.ages.is_empty() || !ascending || beyond {
        let message = "ages must be the lower ends of age bands, ascending and below age_end";
        let hint = "ages = [0, 1, 5, 10, 15] and age_end = 20";
        let field = if ascending && beyond { "age_end" } else { "ages" };
        faults.push(Fault::new(format!("/incidence/{field}"), message).hint(hint));
    }
    let [from, to] = cells.years;
    if from > to || to - from > 250 {
        let message = format!("years {from} to {to} is not a valid range of calendar years");
        faults.push(Fault::new("/incidence/years", message).hint("years = [2000, 2019]"));
    }
    let shared = cells.shared;
    faults.into_iter().map(|f| if shared { f.shared() } else { f }).collect()
}

/// A fault of a model's cells, shown in the table that holds them.
pub fn cells_fault(cells: &Incidence, field: &str, message: impl Into<String>) -> Fault {
    let fault = Fault::new(format!("/incidence/{field}"), message);
    if cells.shared { fault.shared() } else { fault }
}

/// Levels of the variable of sex, all of them sexes of a population's tables; none without a variable.
pub fn sex_levels(
    at: &str,
    name: Option<&str>,
    context: &Context<'_>,
) -> Result<Vec<String>, Fault> {
    let at = format!("{at}/sex");
    let Some(name) = name else { return Ok(Vec::new()) };
    if let Some(fault) = context.check_levels(&at, name) {
        return Err(fault);
    }
    let levels = context.levels(name);
    match levels.iter().find(|level| sex_position(level).is_none()) {
        Some(level) => {
            let message = format!("level `{level}` is not a sex in population tables");
            let hint = "levels are 1 and 2, m and f, or male and female; exclude others under [population]";
            Err(Fault::new(at, message).hint(hint))
        }
        None => Ok(levels),
    }
}

/// Columns that cells need.
pub fn incidence_needs(cells: &Incidence, by: Option<&str>) -> Vec<ColumnNeed> {
    cells.needs(by)
}

/// Faults of periods: spans of years inside the cells' own.
pub fn period_faults(periods: &mut Vec<[i32; 2]>, cells: &Incidence) -> Vec<Fault> {
    if periods.is_empty() {
        periods.push(cells.years);
    }
    let [first, last] = cells.years;
    let outside = |p: &[i32; 2]| p[0] > p[1] || p[0] < first || p[1] > last;
    let fault = |(i, p): (usize, &[i32; 2])| {
        let message =
            format!("{} to {} is not a range within the years {first} to {last}", p[0], p[1]);
        Fault::new(format!("/periods/{i}"), message)
    };
    periods.iter().enumerate().filter(|(_, p)| outside(p)).map(fault).collect()
}

/// A fault unless the years divide into three or more periods of `width`: of the model's own width, or of the years where the width is
/// the `usual` one, which need not be written.
pub fn period_width_fault(cells: &Incidence, width: u32, usual: u32) -> Option<Fault> {
    let (years, periods) = (cells.len(), cells.len() / width.max(1) as usize);
    if width > 0 && years.is_multiple_of(width as usize) && periods >= 3 {
        return None;
    }
    let message = format!("{years} years do not divide into three or more periods of {width}");
    let hint = "change years under incidence, or period_years of the model";
    let fault = if width == usual {
        cells_fault(cells, "years", message)
    } else {
        Fault::new("/period_years", message)
    };
    Some(fault.hint(hint))
}

/// Name of a period.
pub fn period_name([from, to]: [i32; 2]) -> String {
    if from == to { from.to_string() } else { format!("{from}–{to}") }
}

/// What a site sends, before more is added: its cells, and what was left out.
pub fn rate_sums(
    cells: &Incidence,
    by: Option<&str>,
    groups: &[String],
    data: &SiteData,
) -> Result<(Sums, IncidenceCounts), CohortError> {
    let counts = cells.count(by, groups.len(), data)?;
    let persons = counts.cases.iter().chain(&counts.unknown_age).sum::<f64>() as usize;
    let sex = || Axis::new("sex", cells.sex_names());
    let group = || Axis::new("group", groups.iter().cloned());
    let year = || Axis::new("year", (cells.years[0]..=cells.years[1]).map(|y| y.to_string()));
    let age = || Axis::new("age", cells.band_names());
    let reason = Axis::new("reason", ["missing", "other years or ages", "no population"]);
    let sums = Sums::new(persons)
        .counts("cases", vec![sex(), group(), year(), age()], counts.cases.clone())
        .counts("unknown_age", vec![sex(), group(), year()], counts.unknown_age.clone())
        .person_time("person_years", vec![sex(), year(), age()], counts.person_years.clone())
        .counts("uncovered", vec![sex(), year(), age()], counts.uncovered.clone())
        .shown("left_out", vec![reason], &counts.left_out)
        .shown("of_unknown_age", Vec::new(), &[counts.unknown_age.iter().sum()]);
    Ok((sums, counts))
}

/// Adds what the study's floor is held against where counts are printed: the persons of all ages together and, if asked, of each age
/// band and of unknown age, which the others would give away, by sex, group and span of years. A person with several records in a
/// cell is one.
#[must_use]
pub fn with_printed(
    sums: Sums,
    cells: &Incidence,
    groups: &[String],
    spans: &[[i32; 2]],
    by_age: bool,
    counts: &IncidenceCounts,
) -> Sums {
    let (years, bands) = (cells.len(), cells.ages.len());
    let width = if by_age { bands + 2 } else { 1 };
    let mut contributions = Vec::new();
    for record in &counts.records {
        let year = cells.years[0] + (record.line % years) as i32;
        for (p, _) in spans.iter().enumerate().filter(|(_, p)| (p[0]..=p[1]).contains(&year)) {
            let at = (record.line / years * spans.len() + p) * width;
            contributions.push((at, record.person, record.n));
            if by_age {
                let age = record.band.map_or(width - 1, |band| band + 1);
                contributions.push((at + age, record.person, record.n));
            }
        }
    }
    contributions.sort_unstable_by_key(|(at, person, _)| (*at, *person));
    let mut printed = vec![0.0; cells.sexes() * groups.len() * spans.len() * width];
    for of_person in contributions.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
        // A line that stands for several cases stands for as many persons.
        printed[of_person[0].0] += of_person.iter().map(|(_, _, n)| *n).fold(0.0, f64::max);
    }
    let all = || vec!["all".to_owned()];
    let unknown = vec!["unknown".to_owned()];
    let ages = if by_age { [all(), cells.band_names(), unknown].concat() } else { all() };
    let axes = vec![
        Axis::new("sex", cells.sex_names()),
        Axis::new("group", groups.iter().cloned()),
        Axis::new("period", spans.iter().map(|p| period_name(*p))),
        Axis::new("age", ages),
    ];
    sums.shown("printed", axes, &printed)
}

/// Which of the printed counts the study's floor hides.
#[derive(Debug, Clone, PartialEq)]
pub struct Printed {
    cells: Vec<f64>,
    sexes: usize,
    groups: usize,
    spans: usize,
    width: usize,
}

impl Printed {
    /// Reads the pooled counts.
    pub fn read(
        cells: &Incidence,
        groups: usize,
        spans: usize,
        sums: &Sums,
    ) -> Result<Self, LayoutError> {
        let printed = sums.get("printed")?.to_vec();
        let sexes = cells.sexes();
        let width = printed.len() / (sexes * groups * spans).max(1);
        Ok(Self { cells: printed, sexes, groups, spans, width })
    }

    /// Whether a count is hidden; `None` for both sexes, of which neither may be, and for all ages.
    pub fn hides(
        &self,
        sex: Option<usize>,
        group: usize,
        span: usize,
        band: Option<usize>,
    ) -> bool {
        let mut sexes = sex.map_or(0..self.sexes, |s| s..s + 1);
        let age = band.map_or(0, |b| b + 1);
        sexes.any(|s| {
            let at = ((s * self.groups + group) * self.spans + span) * self.width + age;
            self.cells[at].is_nan()
        })
    }
}

impl RateCells {
    /// Reads the pooled cells.
    pub fn read(cells: &Incidence, groups: &[String], sums: &Sums) -> Result<Self, LayoutError> {
        Ok(Self {
            groups: groups.to_vec(),
            sexes: cells.sex_names(),
            years: (cells.years[0]..=cells.years[1]).collect(),
            bands: cells.band_names(),
            cases: sums.get("cases")?.to_vec(),
            unknown_age: sums.get("unknown_age")?.to_vec(),
            person_years: sums.get("person_years")?.to_vec(),
        })
    }

    fn sexes_of(&self, sex: Option<usize>) -> std::ops::Range<usize> {
        sex.map_or(0..self.sexes.len(), |s| s..s + 1)
    }

    fn groups_of(&self, group: Option<usize>) -> std::ops::Range<usize> {
        group.map_or(0..self.groups.len(), |g| g..g + 1)
    }

    fn years_of(&self, [from, to]: [i32; 2]) -> impl Iterator<Item = usize> + '_ {
        (0..self.years.len()).filter(move |&i| (from..=to).contains(&self.years[i]))
    }

    /// Cases by age band; `None` sums over sexes or groups.
    pub fn cases(&self, sex: Option<usize>, group: Option<usize>, period: [i32; 2]) -> Vec<f64> {
        let bands = self.bands.len();
        let mut sum = vec![0.0; bands];
        for s in self.sexes_of(sex) {
            for g in self.groups_of(group) {
                for y in self.years_of(period) {
                    let at = ((s * self.groups.len() + g) * self.years.len() + y) * bands;
                    sum.iter_mut().zip(&self.cases[at..at + bands]).for_each(|(a, b)| *a += b);
                }
            }
        }
        sum
    }

    /// Cases of unknown age.
    pub fn unknown_age(&self, sex: Option<usize>, group: Option<usize>, period: [i32; 2]) -> f64 {
        let mut sum = 0.0;
        for s in self.sexes_of(sex) {
            for g in self.groups_of(group) {
                let at = (s * self.groups.len() + g) * self.years.len();
                sum += self.years_of(period).map(|y| self.unknown_age[at + y]).sum::<f64>();
            }
        }
        sum
    }

    /// Person-years by age band.
    pub fn person_years(&self, sex: Option<usize>, period: [i32; 2]) -> Vec<f64> {
        let bands = self.bands.len();
        let mut sum = vec![0.0; bands];
        for s in self.sexes_of(sex) {
            for y in self.years_of(period) {
                let at = (s * self.years.len() + y) * bands;
                sum.iter_mut().zip(&self.person_years[at..at + bands]).for_each(|(a, b)| *a += b);
            }
        }
        sum
    }

    /// Sexes told apart, each with its position, and both together as `None` first.
    pub fn each_sex(&self) -> Vec<(String, Option<usize>)> {
        let mut each = vec![("all".to_owned(), None)];
        if self.sexes.len() > 1 {
            each.extend(self.sexes.iter().enumerate().map(|(i, s)| (s.clone(), Some(i))));
        }
        each
    }
}

/// Years, and ages where not all of them are concerned, whose person-years a site lacks: `2001: 0–4, 5–9; 2015–2019`.
fn uncovered_cells(sums: &Sums) -> Option<String> {
    let axes = sums.axes("uncovered").ok()?;
    let [_, years, ages] = axes else { return None };
    let (years, ages) = (years.levels(), ages.levels());
    let cells = sums.get("uncovered").ok()?;
    let of_year = |y: usize| -> Vec<bool> {
        let lacks = |b: usize| {
            let lines = cells.chunks(years.len() * ages.len());
            lines.map(|sex| sex[y * ages.len() + b]).any(|n| n > 0.0)
        };
        (0..ages.len()).map(lacks).collect()
    };
    let lacking: Vec<Vec<bool>> = (0..years.len()).map(of_year).collect();
    let mut parts = Vec::new();
    let mut y = 0;
    while y < years.len() {
        let run = lacking[y..].iter().take_while(|l| **l == lacking[y]).count();
        if lacking[y].iter().any(|l| *l) {
            let mut part = years[y].clone();
            if run > 1 {
                part = format!("{part}–{}", years[y + run - 1]);
            }
            if lacking[y].iter().any(|l| !l) {
                let which = ages.iter().zip(&lacking[y]).filter(|(_, l)| **l);
                let names: Vec<&str> = which.map(|(age, _)| age.as_str()).collect();
                part = format!("{part}: {}", names.join(", "));
            }
            parts.push(part);
        }
        y += run;
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// Says how many cases were left out, and why, and which cells have no person-years at some site.
pub fn left_out_cases(sums: &Sums, estimate: &mut Estimate) {
    if let Some(cells) = uncovered_cells(sums) {
        estimate.notice(Notice::new(Status::NotIdentified, "population-gaps", &[("cells", cells)]));
    }
    let keys = ["cases-missing", "cases-outside", "cases-without-population"];
    for (key, n) in keys.into_iter().zip(sums.get("left_out").unwrap_or_default()) {
        let status =
            if key == "cases-without-population" { Status::NotIdentified } else { Status::Ok };
        tell_cases(estimate, status, key, *n);
    }
}

/// Says how many cases of unknown age a model that needs the age leaves out.
pub fn unknown_age_cases(sums: &Sums, estimate: &mut Estimate) {
    for n in sums.get("of_unknown_age").unwrap_or_default() {
        tell_cases(estimate, Status::Ok, "cases-unknown-age", *n);
    }
}

/// Says how many are left out; a number that the study hides is told as a few.
pub fn tell_cases(estimate: &mut Estimate, status: Status, key: &str, n: f64) {
    if n == 0.0 {
        return;
    }
    let shown = if n.is_nan() { "A few".to_owned() } else { n.to_string() };
    let notice = Notice::new(status, key, &[("n", shown)]);
    if status == Status::Ok {
        estimate.notices.push(notice);
    } else {
        estimate.notice(notice);
    }
}

/// One year of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Year {
    /// Calendar year.
    pub year: i32,
    /// Cases, and person-years.
    pub rate: Rate,
    /// Cases expected of the age-specific rates of all years together.
    pub expected: f64,
    /// Standardised rate; `None` where a band has no person-years.
    pub standardised: Option<WeightedRate>,
}

impl RateCells {
    /// The series of years of a sex and group, standardised with `weights` of the age bands.
    pub fn series(&self, sex: Option<usize>, group: Option<usize>, weights: &[f64]) -> Vec<Year> {
        let whole = [self.years[0], self.years[self.years.len() - 1]];
        let (cases, time) = (self.cases(sex, group, whole), self.person_years(sex, whole));
        let overall: Vec<f64> =
            cases.iter().zip(&time).map(|(d, y)| if *y > 0.0 { d / y } else { 0.0 }).collect();
        let one = |&year: &i32| {
            let (d, y) = (self.cases(sex, group, [year; 2]), self.person_years(sex, [year; 2]));
            Year {
                year,
                rate: Rate { events: d.iter().sum(), time: y.iter().sum() },
                expected: y.iter().zip(&overall).map(|(y, r)| y * r).sum(),
                standardised: WeightedRate::new(&d, &y, weights),
            }
        };
        self.years.iter().map(one).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cohort::CountedRecord;

    #[test]
    fn a_person_with_several_tumours_counts_once_against_the_floor() {
        let cells: Incidence = serde_json::from_value(serde_json::json!({
            "age": "age", "year": "year", "ages": [0, 5], "age_end": 10, "years": [2000, 2001],
        }))
        .unwrap();
        let record = |line, band, person, n| CountedRecord { line, band, person, n };
        let counts = IncidenceCounts {
            records: vec![
                record(0, Some(0), 1, 1.0),
                record(0, Some(0), 1, 1.0),
                record(1, Some(0), 1, 1.0),
                record(0, Some(0), 2, 1.0),
                record(1, Some(1), 1, 1.0),
                record(1, None, 3, 1.0),
                record(1, Some(1), 4, 7.0),
            ],
            ..IncidenceCounts::default()
        };
        let printed = |spans: &[[i32; 2]]| {
            let groups = ["all".to_owned()];
            with_printed(Sums::new(0), &cells, &groups, spans, true, &counts)
                .get("printed")
                .unwrap()
                .to_vec()
        };
        // All ages, 0–4, 5–9, unknown. A line that stands for seven cases stands for seven persons.
        assert_eq!(printed(&[[2000, 2001]]), [10.0, 2.0, 8.0, 1.0]);
        assert_eq!(
            printed(&[[2000, 2000], [2001, 2001]]),
            [2.0, 2.0, 0.0, 0.0, 9.0, 1.0, 8.0, 1.0]
        );
    }
}
