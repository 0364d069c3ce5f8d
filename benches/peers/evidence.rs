//! Our side of `benches/peers/evidence`: meta-analysis, joinpoint and age–period–cohort models on the numbers of a file.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark talks, and stops when something is wrong"
)]

use std::{env, fs, time::Instant};

use tributary::stats::{
    age_period_cohort::{Extraction, LexisCell, Reference, Shape, knots, maximum_likelihood},
    joinpoint::{Places, Response, Series},
    random_effects::{Tau2Estimator, Test, pool, tau2},
    random_effects_glmm::{Model, Study, fit},
};

fn rows(path: &str) -> Vec<Vec<f64>> {
    let text = fs::read_to_string(path).unwrap();
    let line = |l: &str| l.split(',').map(|c| c.parse().unwrap()).collect();
    text.lines().skip(1).map(line).collect()
}

/// Seconds of the fastest of some runs, and what it gave.
fn timed<T>(runs: usize, work: impl Fn() -> T) -> (f64, T) {
    let mut best = f64::INFINITY;
    let mut result = None;
    for _ in 0..runs {
        let start = Instant::now();
        result = Some(work());
        best = best.min(start.elapsed().as_secs_f64());
    }
    (best, result.unwrap())
}

fn main() {
    let files: Vec<String> = env::args().skip(1).collect();
    println!("what,value");
    let studies = rows(&files[0]);
    let sets: Vec<(Vec<f64>, Vec<f64>)> =
        studies.chunks(20).map(|c| c.iter().map(|r| (r[1], r[2])).unzip()).collect();
    let (seconds, means) = timed(3, || {
        let one = |(y, v): &(Vec<f64>, Vec<f64>)| {
            let t = tau2(y, v, Tau2Estimator::Reml).value;
            pool(y, v, t, Test::Z, 0.95).estimate
        };
        sets.iter().map(one).collect::<Vec<f64>>()
    });
    println!("reml_seconds,{seconds}");
    for (i, mean) in means.iter().take(400).enumerate() {
        println!("mean{},{mean}", i + 1);
    }
    let tables: Vec<Study> =
        rows(&files[1]).iter().map(|r| Study::Table([r[0], r[1], r[2], r[3]])).collect();
    let (seconds, found) = timed(3, || fit(&tables, Model::FixedStudy, 21, 0.95).unwrap());
    println!("glmm_seconds,{seconds}\nglmm,{}", found.estimate);
    let series = rows(&files[2]);
    let (x, y): (Vec<f64>, Vec<f64>) = series.iter().map(|r| (r[0], r[1])).unzip();
    let weights = vec![1.0; x.len()];
    let series = Series { x, response: Response::LogRate { y, weights } };
    let (seconds, _) = timed(5, || series.grid(3, Places::default()).unwrap());
    println!("joinpoint_seconds,{seconds}");
    let (seconds, _) =
        timed(3, || series.permutation_p_value([0, 3], Places::default(), 4499, 7160).unwrap());
    println!("permutation_seconds,{seconds}");
    let cells: Vec<LexisCell> = rows(&files[3])
        .iter()
        .map(|r| LexisCell { age: r[0], period: r[1], events: r[3], time: r[2] })
        .collect();
    let (seconds, fitted) = timed(3, || {
        let events: Vec<f64> = cells.iter().map(|c| c.events).collect();
        let of = |f: fn(&LexisCell) -> f64| {
            Shape::Spline(knots(&cells.iter().map(f).collect::<Vec<_>>(), &events, 7))
        };
        let shapes = [of(|c| c.age), of(|c| c.period), of(|c| c.period - c.age)];
        maximum_likelihood(&cells, &shapes, Extraction::Events, Reference::Cohort(1950.0)).unwrap()
    });
    println!("apc_seconds,{seconds}\ndrift,{}", fitted.drift[0].0);
}
