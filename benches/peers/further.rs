//! Our side of `benches/peers/further`: net survival, Weibull and Fine–Gray regression on the rows of a file.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark talks, and stops when something is wrong"
)]

use std::{collections::BTreeMap, env, fs, time::Instant};

use tributary::stats::{
    event_table::{self, TimeGrid, at_risk, event_table},
    fine_gray::{self, End},
    life_table::{AGE_YEAR, Course, DayGrid, LifeTable, Person, net_sums},
    likelihood::{Predictor, sum_rows},
    net_survival::{Estimator, GroupSums},
    newton::{Evaluation, Next, newton},
    parametric::{Distribution, contribution},
};

const DAYS: i32 = 3652;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [patients, table, regression, competing] = &arguments[..] else {
        panic!("usage: further PATIENTS LIFE_TABLE REGRESSION COMPETING");
    };
    println!("what,value");
    net_survival(patients, table);
    weibull(regression);
    fine_gray(competing);
}

/// Numbers of a file by column.
fn columns(file: &str) -> BTreeMap<String, Vec<f64>> {
    let text = fs::read_to_string(file).unwrap();
    let mut lines = text.lines();
    let names: Vec<String> = lines.next().unwrap().split(',').map(str::to_owned).collect();
    let mut columns: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for line in lines {
        for (name, cell) in names.iter().zip(line.split(',')) {
            columns.entry(name.clone()).or_default().push(cell.parse().unwrap_or(f64::NAN));
        }
    }
    columns
}

fn best<T>(work: impl Fn() -> T) -> (f64, T) {
    let mut seconds = f64::INFINITY;
    let mut result = None;
    for _ in 0..3 {
        let start = Instant::now();
        result = Some(work());
        seconds = seconds.min(start.elapsed().as_secs_f64());
    }
    (seconds, result.unwrap())
}

fn net_survival(patients: &str, table: &str) {
    let rates = columns(table);
    let mut cells: BTreeMap<(usize, i32, i32), f64> = BTreeMap::new();
    for i in 0..rates["sex"].len() {
        let key = (rates["sex"][i] as usize - 1, rates["year"][i] as i32, rates["age"][i] as i32);
        cells.insert(key, rates["hazard_per_day"][i]);
    }
    let mut years: Vec<i32> = cells.keys().map(|k| k.1).collect();
    years.sort_unstable();
    years.dedup();
    let mut ages: Vec<i32> = cells.keys().map(|k| k.2).collect();
    ages.sort_unstable();
    ages.dedup();
    let first = |y: i32| tributary::cohort::epoch_day(&format!("{y}-01-01")).unwrap();
    let mut hazard = Vec::new();
    for sex in [0, 1, 0] {
        for y in &years {
            hazard.extend(ages.iter().map(|a| cells[&(sex, *y, *a)]));
        }
    }
    let table = LifeTable {
        starts: years.iter().map(|y| first(*y)).collect(),
        end: first(years[years.len() - 1] + 1),
        ages: ages.iter().map(|a| f64::from(*a)).collect(),
        hazard,
        is_yearly: false,
    };
    let table = table.in_years(AGE_YEAR);
    let rows = columns(patients);
    let course = |i: usize| Course {
        person: Person {
            sex: rows["sex"][i] as usize - 1,
            age_days: rows["age_days"][i],
            start: rows["date"][i] as i32,
        },
        group: 0,
        entry: 0,
        exit: rows["time"][i] as i32,
        event: rows["dead"][i] > 0.5,
        potential: rows["time"][i] as i32,
    };
    for (name, n) in [("small", 5971), ("large", rows["time"].len())] {
        let courses: Vec<Course> = (0..n).map(course).collect();
        let (seconds, estimate) = best(|| {
            let grid = DayGrid { width: 1.0, days: DAYS };
            let sums = net_sums(&table, &courses, 1, grid, false);
            let (exit, event): (Vec<i32>, Vec<bool>) =
                courses.iter().map(|c| (c.exit, c.event)).unzip();
            let group = vec![0; n];
            let counted = event_table(
                event_table::Rows { entry: None, exit: &exit, event: &event, group: &group },
                1,
                &TimeGrid::daily(DAYS as u32),
            );
            let risk =
                at_risk(counted.initial[0], &counted.entries, &counted.events, &counted.censored);
            let from_zero = |v: &[f64], zero: f64| [&[zero], v].concat();
            let cells = DAYS as usize + 1;
            let curve = GroupSums {
                time: (0..cells).map(|j| j as f64).collect(),
                n_risk: risk.clone(),
                deaths: counted.events.clone(),
                censored: counted.censored,
                person_days: from_zero(&sums.time, 0.0),
                expected: from_zero(&sums.expected, 0.0),
                weighted_time: from_zero(&sums.weighted_time, 0.0),
                weighted_expected: from_zero(&sums.weighted_expected, 0.0),
                weighted_risk: from_zero(&sums.weighted_risk, risk[0]),
                weighted_deaths: from_zero(&sums.weighted_deaths, 0.0),
                squared_deaths: from_zero(&sums.squared_deaths, 0.0),
                cohort: vec![1.0; cells],
                potential: vec![1.0; cells],
            }
            .curve(Estimator::PoharPerme, true, false);
            curve.iter().rev().find(|p| p.time <= 1826.0).unwrap().estimate
        });
        println!("net_{name}_seconds,{seconds}");
        println!("net_{name}_rows,{n}");
        println!("net_{name},{estimate}");
    }
}

fn weibull(file: &str) {
    let rows = columns(file);
    let n = rows["time"].len();
    let x: Vec<Vec<f64>> = (0..n)
        .map(|i| std::iter::once(1.0).chain((1..=5).map(|j| rows[&format!("x{j}")][i])).collect())
        .collect();
    let (seconds, theta) = best(|| {
        let evaluate = |theta: &[f64]| {
            let sum = sum_rows(n, 7, |i, sum| {
                let z = Predictor { first: 0, z: &x[i] };
                let parameters = [z.at(theta), theta[6], 0.0];
                let event = rows["event"][i] > 0.5;
                let jet =
                    contribution(Distribution::Weibull, 0.0, rows["time"][i], event, parameters);
                let none = Predictor { first: 0, z: &[] };
                sum.add(&jet, 1.0, [z, Predictor { first: 6, z: &[1.0] }, none]);
            });
            Evaluation::new(theta, &sum)
        };
        let mut record = vec![evaluate(&[8.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])];
        loop {
            match newton(&record, 60) {
                Next::Try(theta) => record.push(evaluate(&theta)),
                Next::Converged { at, .. } => break record[at].beta.clone(),
                other => panic!("{other:?}"),
            }
        }
    });
    println!("weibull_seconds,{seconds}");
    theta.iter().enumerate().for_each(|(j, b)| println!("weibull{j},{b}"));
}

/// Coefficients and variance, as `crr` gives them.
fn fine_gray(file: &str) {
    let rows = columns(file);
    let exit: Vec<i32> = rows["time"].iter().map(|t| *t as i32).collect();
    let end: Vec<End> = rows["cause"]
        .iter()
        .map(|c| match *c as i32 {
            1 => End::Event,
            2 => End::Competing,
            _ => End::Censored,
        })
        .collect();
    let covariates = vec![rows["x1"].clone(), rows["x2"].clone()];
    let (seconds, beta) = best(|| {
        let data = fine_gray::Rows { exit: &exit, end: &end, covariates: &covariates };
        let last = exit.iter().copied().max().unwrap() as usize;
        let mut left = vec![[0.0; 2]; last + 1];
        for (t, e) in exit.iter().zip(&end) {
            left[*t as usize][usize::from(*e == End::Censored)] += 1.0;
        }
        let mut at = exit.len() as f64;
        let mut n_risk = Vec::new();
        for l in &left {
            n_risk.push(at);
            at -= l[0] + l[1];
        }
        let censored: Vec<f64> = left.iter().map(|l| l[1]).collect();
        let g = fine_gray::censoring(&n_risk, &censored);
        let mut days: Vec<i32> =
            exit.iter().zip(&end).filter(|(_, e)| **e == End::Event).map(|(t, _)| *t).collect();
        days.sort_unstable();
        days.dedup();
        let centre = [0.0, 0.0];
        let sums = |beta: &[f64]| fine_gray::sums(data, &g, beta, &centre, &days);
        let mut record = vec![Evaluation::new(
            &[0.0, 0.0],
            &fine_gray::derivatives(&sums(&[0.0, 0.0]), &[0.0, 0.0]),
        )];
        let beta = loop {
            match newton(&record, 30) {
                Next::Try(b) => {
                    record.push(Evaluation::new(&b, &fine_gray::derivatives(&sums(&b), &b)));
                }
                Next::Converged { at, .. } => break record[at].beta.clone(),
                other => panic!("{other:?}"),
            }
        };
        let told = fine_gray::broadcast(&sums(&beta), &days);
        let q = fine_gray::censoring_score(data, &g, &beta, &centre, &told);
        let hazard: Vec<f64> =
            g.days.iter().map(|&d| censored[d as usize] / n_risk[d as usize]).collect();
        let ratio = (0..q.len()).map(|i| q[i] / n_risk[g.days[i / 2] as usize]).collect();
        let told_censoring = fine_gray::CensoringTold { hazard, ratio };
        let meat = fine_gray::meat(data, &g, &beta, &centre, &told, &told_censoring);
        assert!(meat[0] > 0.0);
        beta
    });
    println!("crr_seconds,{seconds}");
    beta.iter().enumerate().for_each(|(j, b)| println!("crr{j},{b}"));
}
