//! Expected mortality: hazards of the general population by sex, attained age and calendar time, and the sums that net
//! survival is made of.
//!
//! Follow-up runs in days; within a day a person's hazard is constant, and it changes at the first whole day at or after a
//! birthday and on the first day of a calendar cell. A table is read with the length of a year of the analysis: of a year of age,
//! and of the year over which yearly figures are spread.
//!
//! Sources: Ederer, Axtell & Cutler (1961) for Ederer I and II; Hakulinen (1982); Pohar Perme, Stare & Estève (2012).

use rayon::prelude::*;

/// Days in a year of R's life tables; yearly figures are kept as hazards per day of such a year.
pub const AGE_YEAR: f64 = 365.241;

/// Position of the mean of both sexes.
pub const BOTH: usize = 2;

/// Hazards per day in cells of calendar time and age, for one population.
#[derive(Debug, Clone, PartialEq)]
pub struct LifeTable {
    /// First day (since 1970-01-01) of each calendar cell, ascending.
    pub starts: Vec<i32>,
    /// First day after the last calendar cell; later days are read from the last cell and counted.
    pub end: i32,
    /// Lower bound of each age cell, completed years, ascending from 0.
    pub ages: Vec<f64>,
    /// Hazard per day, `(sex * starts + cell) * ages + age`; sexes are male, female, and the mean of both.
    pub hazard: Vec<f64>,
    /// Whether the figures were yearly: hazards per day then depend on the length of a year.
    pub is_yearly: bool,
}

/// A life table read with years of a given length.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    table: &'a LifeTable,
    year_days: f64,
    /// Factor of the table's hazards per day.
    scale: f64,
}

/// Somebody whose expected mortality is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Person {
    /// Position of the sex in the table.
    pub sex: usize,
    /// Age at the start of follow-up, days.
    pub age_days: f64,
    /// Day on which follow-up starts, since 1970-01-01.
    pub start: i32,
}

/// A stretch of follow-up days with one hazard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stretch {
    /// First day of follow-up, from 0: the time between `from` and `from + 1` days after the start.
    pub from: i32,
    /// First day no longer in it.
    pub to: i32,
    /// Hazard per day.
    pub hazard: f64,
}

impl LifeTable {
    /// The table read with years of so many days.
    pub fn in_years(&self, year_days: f64) -> Expected<'_> {
        let scale = if self.is_yearly { AGE_YEAR / year_days } else { 1.0 };
        Expected { table: self, year_days, scale }
    }
}

impl Expected<'_> {
    /// Position of the calendar cell of a day; days outside the table are read from its first or last cell.
    fn cell(&self, day: i32) -> usize {
        self.table.starts.partition_point(|&start| start <= day).saturating_sub(1)
    }

    /// Position of the age cell of a person on a day of follow-up.
    fn age(&self, person: Person, day: i32) -> usize {
        let years = (person.age_days + f64::from(day)) / self.year_days;
        self.table.ages.partition_point(|&from| from <= years + 1e-12).saturating_sub(1)
    }

    fn hazard(&self, person: Person, cell: usize, age: usize) -> f64 {
        let LifeTable { starts, ages, hazard, .. } = self.table;
        self.scale * hazard[(person.sex * starts.len() + cell) * ages.len() + age]
    }

    /// Stretches of constant hazard over the follow-up days `0..days`.
    pub fn stretches(&self, person: Person, days: i32) -> Vec<Stretch> {
        let LifeTable { starts, ages, .. } = self.table;
        let mut stretches = Vec::new();
        let mut at = 0;
        while at < days {
            let (cell, age) = (self.cell(person.start + at), self.age(person, at));
            let next_year = starts.get(cell + 1).map_or(days, |start| start - person.start);
            let next_age = ages.get(age + 1).map_or(days, |from| {
                (from * self.year_days - person.age_days - 1e-9).ceil().min(1e9) as i32
            });
            let to = days.min(next_year.max(at + 1)).min(next_age.max(at + 1));
            stretches.push(Stretch { from: at, to, hazard: self.hazard(person, cell, age) });
            at = to;
        }
        stretches
    }

    /// Hazard per day on one day of follow-up.
    pub fn hazard_on(&self, person: Person, day: i32) -> f64 {
        self.hazard(person, self.cell(person.start + day), self.age(person, day))
    }

    /// Whether days of `from..to` lie outside the calendar cells of the table.
    pub fn is_outside(&self, from: i32, to: i32) -> bool {
        self.table.starts.first().is_none_or(|first| from < *first) || to > self.table.end
    }
}

/// Follow-up of one person for the sums of net survival.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Course {
    /// Who.
    pub person: Person,
    /// Group of the sums, `0..groups`.
    pub group: usize,
    /// Late entry, days; 0 if followed from the start.
    pub entry: i32,
    /// Last day of follow-up.
    pub exit: i32,
    /// Whether the person died then.
    pub event: bool,
    /// Follow-up that was possible had the person not died, for Hakulinen's estimate.
    pub potential: i32,
}

/// Sums by group and cell, `group * cells + cell`; time in days.
#[derive(Debug, Clone, PartialEq)]
pub struct NetSums {
    /// Cells.
    pub cells: usize,
    /// Person-days Y.
    pub time: Vec<f64>,
    /// Σ Y λ_P.
    pub expected: Vec<f64>,
    /// Σ Y w with w = 1 / S_P, averaged over each day.
    pub weighted_time: Vec<f64>,
    /// Σ Y w λ_P.
    pub weighted_expected: Vec<f64>,
    /// Σ w at the end of each day over those at risk on it; on a daily grid only.
    pub weighted_risk: Vec<f64>,
    /// Σ w over the deaths.
    pub weighted_deaths: Vec<f64>,
    /// Σ w² over the deaths.
    pub squared_deaths: Vec<f64>,
    /// Σ S_P at the end of the cell over everybody (Ederer I).
    pub cohort: Vec<f64>,
    /// Σ S_P at the start of each day over those who could still be followed (Hakulinen).
    pub potential: Vec<f64>,
    /// Σ S_P (1 − exp(−λ_P)) over the same.
    pub potential_lost: Vec<f64>,
}

impl NetSums {
    fn zero(size: usize, cells: usize) -> Self {
        let zeros = || vec![0.0; size];
        Self {
            cells,
            time: zeros(),
            expected: zeros(),
            weighted_time: zeros(),
            weighted_expected: zeros(),
            weighted_risk: zeros(),
            weighted_deaths: zeros(),
            squared_deaths: zeros(),
            cohort: zeros(),
            potential: zeros(),
            potential_lost: zeros(),
        }
    }

    fn columns(&mut self) -> [&mut Vec<f64>; 10] {
        [
            &mut self.time,
            &mut self.expected,
            &mut self.weighted_time,
            &mut self.weighted_expected,
            &mut self.weighted_risk,
            &mut self.weighted_deaths,
            &mut self.squared_deaths,
            &mut self.cohort,
            &mut self.potential,
            &mut self.potential_lost,
        ]
    }
}

/// Cells of follow-up days: day *d* (the time from d to d + 1) lies in cell d / width; `days` in all.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DayGrid {
    /// Width of a cell, days; 1 is exact.
    pub width: f64,
    /// Days in the grid.
    pub days: i32,
}

impl DayGrid {
    /// Number of cells.
    pub fn cells(&self) -> usize {
        (f64::from(self.days) / self.width).ceil().max(1.0) as usize
    }

    fn cell(&self, day: i32) -> usize {
        if self.width <= 1.0 { day as usize } else { (f64::from(day) / self.width) as usize }
    }
}

/// Sums over all courses. `cohort_sums` asks for those of Ederer I and Hakulinen as well, which follow everybody to the end.
pub fn net_sums(
    table: &Expected<'_>,
    courses: &[Course],
    groups: usize,
    grid: DayGrid,
    cohort_sums: bool,
) -> NetSums {
    const PIECE: usize = 4096;
    let cells = grid.cells();
    // Day by day without the sums of whole cohorts there is a shorter way.
    let plain = grid.width <= 1.0 && !cohort_sums;
    let pieces: Vec<NetSums> = courses
        .par_chunks(PIECE)
        .map(|chunk| {
            let mut sums = NetSums::zero(groups * cells, cells);
            for course in chunk {
                if plain {
                    add_daily(&mut sums, table, course, grid.days);
                } else {
                    add(&mut sums, table, course, grid, cohort_sums);
                }
            }
            sums
        })
        .collect();
    let mut total = NetSums::zero(groups * cells, cells);
    for mut piece in pieces {
        for (ours, theirs) in total.columns().into_iter().zip(piece.columns()) {
            ours.iter_mut().zip(theirs.iter()).for_each(|(a, b)| *a += b);
        }
    }
    if plain {
        // Person-days and background were noted where they start and end.
        for counts in [&mut total.time, &mut total.expected] {
            for group in counts.chunks_mut(cells) {
                (1..cells).for_each(|j| group[j] += group[j - 1]);
            }
        }
    }
    total
}

/// Days of one person on a daily grid: within a stretch the weight grows by the same factor every day, so that four days are
/// worked on at once; person-days and background are noted at the ends of the stretch.
fn add_daily(sums: &mut NetSums, table: &Expected<'_>, course: &Course, days: i32) {
    let base = course.group * sums.cells;
    let mut weight = 1.0_f64;
    for stretch in table.stretches(course.person, course.exit.min(days)) {
        let lambda = stretch.hazard;
        let from = stretch.from.max(course.entry);
        if from >= stretch.to {
            weight *= (lambda * f64::from(stretch.to - stretch.from)).exp();
            continue;
        }
        weight *= (lambda * f64::from(from - stretch.from)).exp();
        let (start, end) = (base + from as usize, base + stretch.to as usize);
        sums.time[start] += 1.0;
        sums.expected[start] += lambda;
        if stretch.to as usize != sums.cells {
            sums.time[end] -= 1.0;
            sums.expected[end] -= lambda;
        }
        let growth = lambda.exp();
        let mean = 0.5 * (1.0 + growth);
        let background = mean * lambda;
        let time = &mut sums.weighted_time[start..end];
        let expected = &mut sums.weighted_expected[start..end];
        let risk = &mut sums.weighted_risk[start..end];
        let four = growth.powi(4);
        let mut lanes = [1.0, growth, growth * growth, growth.powi(3)].map(|g| weight * g);
        let whole = time.len() / 4 * 4;
        for at in (0..whole).step_by(4) {
            for l in 0..4 {
                time[at + l] += lanes[l] * mean;
                expected[at + l] += lanes[l] * background;
                risk[at + l] += lanes[l] * growth;
                lanes[l] *= four;
            }
        }
        for l in 0..time.len() - whole {
            time[whole + l] += lanes[l] * mean;
            expected[whole + l] += lanes[l] * background;
            risk[whole + l] += lanes[l] * growth;
        }
        weight *= (lambda * f64::from(stretch.to - from)).exp();
    }
    if course.event && course.exit <= days && course.exit > course.entry {
        let at = base + course.exit as usize - 1;
        sums.weighted_deaths[at] += weight;
        sums.squared_deaths[at] += weight * weight;
    }
}

fn add(
    sums: &mut NetSums,
    table: &Expected<'_>,
    course: &Course,
    grid: DayGrid,
    cohort_sums: bool,
) {
    let base = course.group * sums.cells;
    if grid.width > 1.0 && course.event && course.exit == 0 {
        // A death on the day of diagnosis lies in the first cell, half a day lived; a daily grid has time 0 for it.
        sums.time[base] += 0.5;
        sums.weighted_time[base] += 0.5;
        sums.weighted_deaths[base] += 1.0;
        sums.squared_deaths[base] += 1.0;
    }
    let last = if cohort_sums { grid.days } else { course.exit.min(grid.days) };
    let mut weight = 1.0_f64;
    for stretch in table.stretches(course.person, last) {
        let (lambda, growth) = (stretch.hazard, stretch.hazard.exp());
        let lost = -(-lambda).exp_m1();
        for day in stretch.from..stretch.to {
            let after = weight * growth;
            let at = base + grid.cell(day);
            if day >= course.entry && day < course.exit {
                sums.time[at] += 1.0;
                sums.expected[at] += lambda;
                let mean = 0.5 * (weight + after);
                sums.weighted_time[at] += mean;
                sums.weighted_expected[at] += mean * lambda;
                if grid.width <= 1.0 {
                    sums.weighted_risk[at] += after;
                }
                if course.event && day + 1 == course.exit {
                    // A death lies in the cell of its time, which is the end of its day.
                    let at = if grid.width > 1.0 {
                        base + grid.cell(course.exit).min(sums.cells - 1)
                    } else {
                        at
                    };
                    sums.weighted_deaths[at] += after;
                    sums.squared_deaths[at] += after * after;
                }
            }
            if cohort_sums {
                if day < course.potential {
                    sums.potential[at] += 1.0 / weight;
                    sums.potential_lost[at] += lost / weight;
                }
                if grid.cell(day + 1) != grid.cell(day) || day + 1 == grid.days {
                    sums.cohort[at] += 1.0 / after;
                }
            }
            weight = after;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> LifeTable {
        LifeTable {
            starts: vec![0, 100],
            end: 200,
            ages: vec![0.0, 1.0],
            hazard: vec![0.01, 0.02, 0.03, 0.04, 0.1, 0.2, 0.3, 0.4, 0.0, 0.0, 0.0, 0.0],
            is_yearly: false,
        }
    }

    #[test]
    fn hazards_change_on_birthdays_and_with_the_calendar() {
        let person = Person { sex: 0, age_days: 300.0, start: 50 };
        let stretches = table().in_years(AGE_YEAR).stretches(person, 120);
        let of = |from, to, hazard| Stretch { from, to, hazard };
        assert_eq!(stretches, [of(0, 50, 0.01), of(50, 66, 0.03), of(66, 120, 0.04)]);
        for stretch in stretches {
            assert_eq!(table().in_years(AGE_YEAR).hazard_on(person, stretch.from), stretch.hazard);
        }
        let table = table();
        let table = table.in_years(AGE_YEAR);
        assert!(!table.is_outside(50, 170) && table.is_outside(150, 201));
    }

    #[test]
    fn the_short_way_gives_the_same_sums() {
        let course = |i: i32| Course {
            person: Person {
                sex: (i % 2) as usize,
                age_days: f64::from(i * 37 % 700),
                start: i * 5 % 90,
            },
            group: (i % 3) as usize,
            entry: if i % 4 == 0 { i % 20 } else { 0 },
            exit: 21 + i * 13 % 60,
            event: i % 2 == 0,
            potential: 0,
        };
        let courses: Vec<Course> = (0..40).map(course).collect();
        let grid = DayGrid { width: 1.0, days: 50 };
        let mut short = net_sums(&table().in_years(AGE_YEAR), &courses, 3, grid, false);
        let mut long = net_sums(&table().in_years(AGE_YEAR), &courses, 3, grid, true);
        for (a, b) in short.columns().into_iter().zip(long.columns()).take(7) {
            for (x, y) in a.iter().zip(b.iter()) {
                assert!((x - y).abs() < 1e-9 * y.abs().max(1.0), "{x} {y}");
            }
        }
    }

    #[test]
    fn sums_of_one_person_have_their_closed_form() {
        let person = Person { sex: 1, age_days: 400.0, start: 0 };
        let course = Course { person, group: 0, entry: 0, exit: 3, event: true, potential: 5 };
        let sums = net_sums(
            &table().in_years(AGE_YEAR),
            &[course],
            1,
            DayGrid { width: 1.0, days: 5 },
            true,
        );
        let w = |t: f64| (0.2 * t).exp();
        assert_eq!(sums.time, [1.0, 1.0, 1.0, 0.0, 0.0]);
        assert!((sums.weighted_deaths[2] - w(3.0)).abs() < 1e-14);
        assert!((sums.squared_deaths[2] - w(6.0)).abs() < 1e-13);
        assert!((sums.cohort[4] - 1.0 / w(5.0)).abs() < 1e-14);
        assert!((sums.weighted_time[1] - 0.5 * (w(1.0) + w(2.0))).abs() < 1e-14);
        assert!((sums.potential[3] - 1.0 / w(3.0)).abs() < 1e-14);
    }
}
