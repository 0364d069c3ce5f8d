//! Joinpoints: the search finds what going through every set finds, without holding the sets; and what the analyst may fix.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tributary::stats::joinpoint::{Places, Response, Series};

use crate::{
    incidence::{ADULTS, over, row},
    pooling::close,
};

/// Years with two changes of slope and noise; years may be missing.
fn drawn(n: usize, counts: bool, seed: u64) -> Series {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let x: Vec<f64> = (0..n).map(|i| 1950.0 + i as f64 + f64::from(u8::from(i > n / 2))).collect();
    let line = |i: usize| {
        let at = i as f64 / n as f64;
        0.8 * at - 2.5 * (at - 0.3).max(0.0) + 3.0 * (at - 0.7).max(0.0)
    };
    let mut noise = || random.random::<f64>() + random.random::<f64>() - 1.0;
    let response = if counts {
        let expected: Vec<f64> = (0..n).map(|i| 20.0 + i as f64).collect();
        let events = (0..n).map(|i| (expected[i] * (line(i) + 0.4 * noise()).exp()).round());
        Response::Count { events: events.collect(), expected }
    } else {
        let y: Vec<f64> = (0..n).map(|i| 3.0 + line(i) + 0.3 * noise()).collect();
        let weights = (0..n).map(|i| 10.0 + (i * 7 % 5) as f64).collect();
        Response::LogRate { y, weights }
    };
    Series { x, response }
}

/// The best loss and places of all sets of `k` years.
fn brute(series: &Series, k: usize, rule: Places) -> Option<(f64, Vec<f64>)> {
    let n = series.x.len();
    let mut sets: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..k {
        sets = sets
            .into_iter()
            .flat_map(|set| {
                let from = set.last().map_or(rule.at_ends, |l| l + rule.between + 1);
                (from..n.saturating_sub(rule.at_ends))
                    .map(|at| [&set[..], &[at]].concat())
                    .collect::<Vec<_>>()
            })
            .collect();
    }
    let fits = sets.iter().map(|set| {
        let at: Vec<f64> = set.iter().map(|&i| series.x[i]).collect();
        (series.fit(&at).loss, at)
    });
    fits.min_by(|a, b| a.0.total_cmp(&b.0))
}

#[test]
fn the_search_finds_what_going_through_every_set_finds() {
    for counts in [false, true] {
        for seed in 0..3 {
            for (at_ends, between) in [(2, 2), (1, 0), (3, 1)] {
                let (series, rule) = (drawn(15, counts, seed), Places { at_ends, between });
                for k in 0..=3 {
                    let (loss, at) = brute(&series, k, rule).unwrap();
                    let found = series.grid(k, rule).unwrap();
                    let what = format!("{counts} {seed} {at_ends} {between} {k}");
                    close(found.loss, loss, 1e-10, &what);
                    assert_eq!(found.joinpoints, at, "{what}");
                }
            }
        }
    }
    // Five joinpoints with two years before, between and after them need 17 years.
    assert!(drawn(16, false, 1).grid(5, Places::default()).is_none());
    assert_eq!(drawn(17, false, 1).grid(5, Places::default()).unwrap().joinpoints.len(), 5);
}

#[test]
fn log_rates_on_a_line_leave_nothing_to_a_joinpoint() {
    let x: Vec<f64> = (0..14).map(|i| 2000.0 + f64::from(i)).collect();
    let y = x.iter().map(|x| 0.03 * (x - 2000.0) + 1.0).collect();
    let series = Series { x, response: Response::LogRate { y, weights: vec![1.0; 14] } };
    let found = series.grid(1, Places::default()).unwrap();
    assert!(found.loss < 1e-25, "{}", found.loss);
}

/// 33 million sets of five joinpoints in a hundred years, none of which is kept.
#[test]
fn a_century_with_five_joinpoints_is_searched() {
    for counts in [false, true] {
        let found = drawn(100, counts, 4).grid(5, Places::default()).unwrap();
        assert_eq!(found.joinpoints.len(), 5);
        assert!(found.joinpoints.windows(2).all(|w| w[1] - w[0] >= 3.0));
    }
}

#[test]
fn the_number_of_joinpoints_may_be_fixed() {
    let fixed = over(1, &format!("kind = \"joinpoint\"\njoinpoints = 2\n{ADULTS}"));
    let table = fixed.table("selection").unwrap();
    let chosen = row(table, &[("chosen", "yes")]);
    assert_eq!(table.number(chosen, "joinpoints"), Some(2.0));
    assert_eq!(table.rows.len(), 3);
    assert_eq!(fixed.table("segments").unwrap().rows.len(), 3);
    let line = fixed.card.iter().find(|l| l.term == "joinpoint-selection").unwrap();
    assert_eq!(line.choice, "fixed");
    assert_eq!(line.values["joinpoints"], "2");
}

/// Observed over expected cases of all sites, with the exact limits of a Poisson count.
#[test]
fn all_sites_together_have_a_ratio_to_stated_rates() {
    let reference = "[1e-5, 2e-5, 3e-5, 3e-5, 3e-5, 2e-5, 1e-5]";
    let found =
        over(3, &format!("kind = \"site_rates\"\nreference = {reference}\n{ADULTS}draws = 99\n"));
    let sites = found.table("sites").unwrap();
    let sum =
        |name: &str| -> f64 { (0..sites.rows.len()).map(|r| sites.number(r, name).unwrap()).sum() };
    let all = found.table("all_sites").unwrap();
    let of = |name: &str| all.number(0, name).unwrap();
    close(of("cases"), sum("cases"), 1e-12, "cases");
    close(of("expected"), sum("expected"), 1e-12, "expected");
    close(of("ratio"), sum("cases") / sum("expected"), 1e-12, "ratio");
    let [low, high] = tributary::stats::distribution::garwood(sum("cases"), 0.95);
    close(of("ratio_low"), low / sum("expected"), 1e-12, "low");
    close(of("ratio_high"), high / sum("expected"), 1e-12, "high");
    // Without stated rates the ratio is one by construction, and is not told.
    let found = over(3, &format!("kind = \"site_rates\"\n{ADULTS}draws = 99\n"));
    assert_eq!(found.table("all_sites").unwrap().number(0, "ratio"), None);
}
