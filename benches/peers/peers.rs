//! Our side of `benches/peers/run`: writes the rows, then times the kernels on the rows of a file and prints the results.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark talks, and stops when something is wrong"
)]

use std::{env, fs, io::Write, time::Instant};

use tributary::stats::{
    cox::{RiskData, Rows, Ties},
    event_table::{self, TimeGrid, at_risk, event_table},
    newton::{Evaluation, Next, newton},
    product_limit::{IntervalScale, interval, product_limit},
};

const COVARIATES: usize = 10;
const GROUPS: usize = 8;
const HORIZON: u32 = 5476;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["write", rows, file] => write(rows.parse().unwrap(), file),
        ["time", file] => time(file),
        _ => panic!("usage: peers write ROWS FILE | peers time FILE"),
    }
}

fn write(rows: usize, file: &str) {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut uniform = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut out = std::io::BufWriter::new(fs::File::create(file).unwrap());
    let names: Vec<String> = (1..=COVARIATES).map(|j| format!("x{j}")).collect();
    writeln!(out, "time,event,group,{}", names.join(",")).unwrap();
    for row in 0..rows {
        let x: Vec<f64> =
            (0..COVARIATES).map(|_| (uniform() * 2000.0).round() / 1000.0 - 1.0).collect();
        let eta: f64 = x.iter().enumerate().map(|(j, x)| 0.03 * j as f64 * x).sum();
        let death = -(1.0 - uniform()).ln() * 4000.0 / eta.exp();
        let censored = uniform() * 5475.0;
        let x: Vec<String> = x.iter().map(f64::to_string).collect();
        writeln!(
            out,
            "{},{},{},{}",
            death.min(censored) as i32 + 1,
            u8::from(death <= censored),
            row % GROUPS,
            x.join(",")
        )
        .unwrap();
    }
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

fn time(file: &str) {
    let text = fs::read_to_string(file).unwrap();
    let (mut exit, mut event, mut group) = (Vec::new(), Vec::new(), Vec::new());
    let mut covariates = vec![Vec::new(); COVARIATES];
    for line in text.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        exit.push(cells[0].parse::<i32>().unwrap());
        event.push(cells[1] == "1");
        group.push(cells[2].parse::<u32>().unwrap());
        for (column, cell) in covariates.iter_mut().zip(&cells[3..]) {
            column.push(cell.parse::<f64>().unwrap());
        }
    }
    println!("what,value");
    let (seconds, beta) = best(|| {
        let rows = Rows {
            entry: None,
            exit: &exit,
            event: &event,
            stratum: None,
            covariates: &covariates,
        };
        let data = RiskData::new(rows, None);
        let evaluate = |beta: &[f64]| Evaluation::new(beta, &data.derivatives(beta, Ties::Efron));
        let mut record = vec![evaluate(&[0.0; COVARIATES])];
        loop {
            match newton(&record, 30) {
                Next::Try(beta) => record.push(evaluate(&beta)),
                Next::Converged { at, .. } => break record[at].beta.clone(),
                other => panic!("{other:?}"),
            }
        }
    });
    println!("cox_seconds,{seconds}");
    beta.iter().enumerate().for_each(|(j, b)| println!("beta{},{b}", j + 1));

    // Table, curve, Greenwood and log-log intervals of every group, as survfit gives them.
    let grid = TimeGrid::daily(HORIZON);
    let times: Vec<f64> = (0..grid.cells()).map(|j| grid.boundary(j)).collect();
    let (seconds, survival) = best(|| {
        let table = event_table(
            event_table::Rows { entry: None, exit: &exit, event: &event, group: &group },
            GROUPS,
            &grid,
        );
        (0..GROUPS)
            .map(|g| {
                let of = |counts: &[f64]| counts[g * grid.cells()..(g + 1) * grid.cells()].to_vec();
                let (events, censored) = (of(&table.events), of(&table.censored));
                let n = at_risk(table.initial[g], &of(&table.entries), &events, &censored);
                let steps = product_limit(&times, &n, &events, &censored, false);
                let bands =
                    steps.iter().filter_map(|s| interval(s, IntervalScale::LogLog, 0.95)).count();
                assert!(bands > 0);
                steps.iter().rev().find(|s| s.time <= 3650.0).unwrap().survival
            })
            .collect::<Vec<f64>>()
    });
    println!("km_seconds,{seconds}");
    survival.iter().enumerate().for_each(|(g, s)| println!("surv{g},{s}"));
}
