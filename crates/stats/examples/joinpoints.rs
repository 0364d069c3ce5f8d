//! Fits none to five joinpoints to a hundred years of rates, or of counts, and prints where they lie.
//!
//! `cargo run --release --example joinpoints` or `… -- counts`
#![allow(clippy::print_stdout, reason = "an example prints what it finds")]

use tributary_stats::joinpoint::{Places, Response, Series};

/// A made-up cancer: rates rise until 1955, fall until 1985 and rise again, with a wave and a jitter about the lines.
fn log_rate(i: usize) -> f64 {
    let at = i as f64;
    let line = 3.0 + 0.02 * at - 0.045 * (at - 30.0).max(0.0) + 0.05 * (at - 60.0).max(0.0);
    let jitter = ((i * 7919 + 13) % 101) as f64 / 101.0 - 0.5;
    line + 0.03 * (at / 4.0).sin() + 0.08 * jitter
}

fn main() {
    let counts = std::env::args().nth(1).is_some_and(|kind| kind == "counts");
    let years = 100;
    let x: Vec<f64> = (0..years).map(|i| 1925.0 + i as f64).collect();
    let response = if counts {
        let expected: Vec<f64> = (0..years).map(|i| 40.0 + i as f64).collect();
        let events = (0..years).map(|i| (expected[i] * (log_rate(i) - 3.0).exp()).round());
        Response::Count { events: events.collect(), expected }
    } else {
        Response::LogRate { y: (0..years).map(log_rate).collect(), weights: vec![1.0; years] }
    };
    let series = Series { x, response };
    for k in 0..=5 {
        if let Some(fit) = series.grid(k, Places::default()) {
            let change: Vec<String> =
                fit.slopes.iter().map(|slope| format!("{:+.2}%", 100.0 * slope.exp_m1())).collect();
            println!(
                "{k} joinpoints at {:?}: yearly changes {}",
                fit.joinpoints,
                change.join(", ")
            );
        }
    }
}
