//! Kernels on a million rows: the event table on a daily grid with 8 groups, Cox with 10 covariates from sorting to the
//! maximum, and the pooled hub part of both; joinpoints of a hundred years. `cargo bench`.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use tributary_stats::{
    cox::{RiskData, Rows, Ties},
    event_table::{self, TimeGrid, event_table},
    joinpoint::{Places, Response, Series},
    life_table::{Course, DayGrid, LifeTable, Person, net_sums},
    likelihood::{Predictor, sum_rows},
    newton::{Evaluation, Next, newton},
    parametric::{Distribution, contribution},
    random_effects::{Tau2Estimator, tau2},
};

const ROWS: usize = 1_000_000;
const COVARIATES: usize = 10;

struct Data {
    exit: Vec<i32>,
    event: Vec<bool>,
    group: Vec<u32>,
    covariates: Vec<Vec<f64>>,
}

/// Exponential times over 15 years, about 40 % events, covariates with effects from 0 to 0.3.
fn data() -> Data {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let covariates: Vec<Vec<f64>> =
        (0..COVARIATES).map(|_| (0..ROWS).map(|_| uniform() * 2.0 - 1.0).collect()).collect();
    let (mut exit, mut event) = (Vec::with_capacity(ROWS), Vec::with_capacity(ROWS));
    for row in 0..ROWS {
        let eta: f64 = covariates.iter().enumerate().map(|(j, x)| 0.03 * j as f64 * x[row]).sum();
        let death = -(1.0 - uniform()).ln() * 4000.0 / eta.exp();
        let censored = uniform() * 5475.0;
        exit.push(death.min(censored) as i32 + 1);
        event.push(death <= censored);
    }
    let group = (0..ROWS).map(|row| (row % 8) as u32).collect();
    Data { exit, event, group, covariates }
}

fn fit(rows: Rows<'_>) -> Vec<f64> {
    let data = RiskData::new(rows, None);
    let evaluate = |beta: &[f64]| Evaluation::new(beta, &data.derivatives(beta, Ties::Efron));
    let mut record = vec![evaluate(&[0.0; COVARIATES])];
    loop {
        match newton(&record, 30) {
            Next::Try(beta) => record.push(evaluate(&beta)),
            Next::Converged { at, .. } => return record[at].beta.clone(),
            other => panic!("{other:?}"),
        }
    }
}

fn kernels(criterion: &mut Criterion) {
    let data = data();
    let mut group = criterion.benchmark_group("one million rows");
    group.sample_size(10);
    group.bench_function("event table, daily grid, 8 groups", |bench| {
        let grid = TimeGrid::daily(5475);
        let rows = event_table::Rows {
            entry: None,
            exit: &data.exit,
            event: &data.event,
            group: &data.group,
        };
        bench.iter(|| event_table(black_box(rows), 8, &grid));
    });
    group.bench_function("Cox, Efron, 10 covariates, sort to convergence", |bench| {
        let rows = Rows {
            entry: None,
            exit: &data.exit,
            event: &data.event,
            stratum: None,
            covariates: &data.covariates,
        };
        bench.iter(|| fit(black_box(rows)));
    });
    group.bench_function("Cox, one evaluation", |bench| {
        let rows = Rows {
            entry: None,
            exit: &data.exit,
            event: &data.event,
            stratum: None,
            covariates: &data.covariates,
        };
        let sorted = RiskData::new(rows, None);
        bench.iter(|| sorted.derivatives(black_box(&[0.1; COVARIATES]), Ties::Efron));
    });
    group.finish();

    criterion.bench_function("net survival sums, 100,000 patients, daily to 10 years", |bench| {
        let table = LifeTable {
            starts: (0..60).map(|y| y * 365).collect(),
            end: 60 * 365,
            ages: (0..105).map(f64::from).collect(),
            hazard: (0..3 * 60 * 105).map(|i| 1e-6 * 1.09_f64.powi(i % 105)).collect(),
            is_yearly: false,
        };
        let table = table.in_years(365.241);
        let course = |i: usize| Course {
            person: Person {
                sex: i % 2,
                age_days: 20_000.0 + (i % 9000) as f64,
                start: (i * 7 % 7000) as i32,
            },
            group: 0,
            entry: 0,
            exit: data.exit[i],
            event: data.event[i],
            potential: 0,
        };
        let courses: Vec<Course> = (0..100_000).map(course).collect();
        let grid = DayGrid { width: 1.0, days: 3652 };
        bench.iter(|| net_sums(black_box(&table), black_box(&courses), 1, grid, false));
    });

    criterion.bench_function("Weibull, one evaluation, 100,000 rows, 5 covariates", |bench| {
        let theta = [8.0, 0.1, 0.1, 0.1, 0.1, 0.1, 0.0];
        let row = |i: usize| -> Vec<f64> {
            std::iter::once(1.0).chain((0..5).map(|j| data.covariates[j][i])).collect()
        };
        let x: Vec<Vec<f64>> = (0..100_000).map(row).collect();
        bench.iter(|| {
            sum_rows(100_000, 7, |i, sum| {
                let z = Predictor { first: 0, z: &x[i] };
                let parameters = [z.at(&theta), theta[6], 0.0];
                let time = f64::from(data.exit[i]);
                let jet = contribution(Distribution::Weibull, 0.0, time, data.event[i], parameters);
                let (scale, none) =
                    (Predictor { first: 6, z: &[1.0] }, Predictor { first: 0, z: &[] });
                sum.add(&jet, 1.0, [z, scale, none]);
            })
        });
    });

    let mut group = criterion.benchmark_group("five joinpoints in 100 years");
    group.sample_size(10);
    let years: Vec<f64> = (0..100).map(f64::from).collect();
    let change = |i: f64| 0.02 * i - 0.045 * (i - 30.0).max(0.0) + 0.05 * (i - 60.0).max(0.0);
    let jitter = |i: f64| ((i * 7919.0 + 13.0) % 101.0) / 101.0 - 0.5;
    let trend: Vec<f64> = years.iter().map(|&i| change(i) + 0.08 * jitter(i)).collect();
    group.bench_function("log rates", |bench| {
        let response = Response::LogRate { y: trend.clone(), weights: vec![1.0; 100] };
        let series = Series { x: years.clone(), response };
        bench.iter(|| black_box(&series).grid(5, Places::default()));
    });
    group.bench_function("counts", |bench| {
        let expected: Vec<f64> = years.iter().map(|i| 40.0 + i).collect();
        let events = expected.iter().zip(&trend).map(|(e, t)| (e * t.exp()).round()).collect();
        let response = Response::Count { events, expected };
        let series = Series { x: years.clone(), response };
        bench.iter(|| black_box(&series).grid(5, Places::default()));
    });
    group.finish();

    criterion.bench_function("REML, 20 studies", |bench| {
        let y: Vec<f64> = (0..20).map(|i| (f64::from(i) * 0.7).sin()).collect();
        let v: Vec<f64> = (0..20).map(|i| 0.05 + 0.01 * f64::from(i)).collect();
        bench.iter_batched(
            || (y.clone(), v.clone()),
            |(y, v)| tau2(&y, &v, Tau2Estimator::Reml),
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, kernels);
criterion_main!(benches);
