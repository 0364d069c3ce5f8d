//! Joinpoints: what R finds, and what going through every set finds without holding the sets; tests by permutation; and what the analyst may fix.

use std::collections::BTreeMap;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tributary::{
    estimate::Estimate,
    stats::{
        joinpoint::{Places, Response, Series, by_permutation},
        trend,
    },
};

use crate::{
    incidence_data::{ADULTS, over, row},
    pooling::{close, reference},
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

/// The yearly series of ages 15 to 49 as the joinpoint models see it.
fn series(estimate: &Estimate) -> BTreeMap<i32, [f64; 2]> {
    let table = estimate.table("series").unwrap();
    (0..table.rows.len())
        .map(|r| {
            let n = |c: &str| table.number(r, c).unwrap();
            (n("year") as i32, [n("cases"), n("person_years")])
        })
        .collect()
}

#[test]
fn joinpoints_equal_brute_force() {
    let wanted = reference("incidence_reference.csv");
    for (scale, key) in [("log_rate", "wls"), ("count", "poi")] {
        let options = format!(
            "kind = \"joinpoint\"\nscale = \"{scale}\"\nmost = 3\nselection = \"bic3\"\n{ADULTS}"
        );
        let estimate = over(5, &options);
        assert_eq!(series(&estimate).len(), 54);
        let table = estimate.table("selection").unwrap();
        let mut smallest = (f64::INFINITY, 0);
        for k in 0..=3 {
            let r = row(table, &[("joinpoints", &k.to_string())]);
            let of = |stat: &str| wanted[&format!("{key}/{k}/{stat}")];
            close(table.number(r, "loss").unwrap(), of("loss"), 1e-7, "loss");
            close(table.number(r, "bic").unwrap(), of("bic"), 1e-7, "bic");
            close(table.number(r, "bic3").unwrap(), of("bic3"), 1e-7, "bic3");
            if let Some(w) = wanted.get(&format!("{key}/{k}/weighted")) {
                close(table.number(r, "weighted_bic").unwrap(), *w, 1e-7, "weighted bic");
            }
            let places: Vec<String> =
                (1..=k).map(|j| wanted[&format!("{key}/{k}-{j}/at")].to_string()).collect();
            assert_eq!(table.text(r, "years"), places.join(", "), "{key} {k}");
            if of("bic3") < smallest.0 {
                smallest = (of("bic3"), k);
            }
            let chosen = table.text(r, "chosen") == "yes";
            if chosen {
                let segments = estimate.table("segments").unwrap();
                assert_eq!(segments.rows.len(), k + 1);
                for i in 0..=k {
                    let slope = trend::Slope {
                        slope: wanted[&format!("{key}/{k}-{}/slope", i + 1)],
                        std_error: wanted[&format!("{key}/{k}-{}/se", i + 1)],
                        df: if key == "wls" {
                            54.0 - 2.0 * (k as f64 + 1.0)
                        } else {
                            f64::INFINITY
                        },
                    };
                    close(segments.number(i, "percent").unwrap(), slope.percent(), 1e-6, "percent");
                    close(
                        segments.number(i, "percent_low").unwrap(),
                        slope.limits(0.95)[0],
                        1e-6,
                        "low",
                    );
                }
                let averages = estimate.table("averages").unwrap();
                let slope = trend::Slope {
                    slope: of("average"),
                    std_error: of("average-se"),
                    df: if k == 0 && key == "wls" { 52.0 } else { f64::INFINITY },
                };
                close(averages.number(0, "percent").unwrap(), slope.percent(), 1e-7, "average");
                close(
                    averages.number(0, "percent_high").unwrap(),
                    slope.limits(0.95)[1],
                    1e-7,
                    "average high",
                );
            }
        }
        let r = row(table, &[("chosen", "yes")]);
        assert_eq!(table.number(r, "joinpoints"), Some(smallest.1 as f64));
    }
}

#[test]
fn continuous_joinpoints_are_at_least_as_good_as_a_search_in_r() {
    let wanted = reference("incidence_reference.csv");
    let options = format!(
        "kind = \"joinpoint\"\nscale = \"log_rate\"\nsearch = \"hudson\"\nmost = 2\nselection = \"bic\"\n{ADULTS}"
    );
    let estimate = over(1, &options);
    let table = estimate.table("selection").unwrap();
    for k in 1..=2 {
        let r = row(table, &[("joinpoints", &k.to_string())]);
        let found = table.number(r, "loss").unwrap();
        let by_search = wanted[&format!("hudson/{k}/loss")];
        assert!(
            found <= by_search * (1.0 + 1e-8),
            "{k}: {found} {by_search} {}",
            table.text(r, "years")
        );
        close(found, by_search, 1e-6, "loss");
        assert!(found <= wanted[&format!("wls/{k}/loss")] * (1.0 + 1e-12));
    }
    let r = row(table, &[("joinpoints", "1")]);
    let at: f64 = table.text(r, "years").parse().unwrap();
    assert!((at - wanted["hudson/1-1/at"]).abs() < 0.01);
}

#[test]
fn a_permutation_test_finds_a_bend_and_only_a_bend() {
    let x: Vec<f64> = (0..30).map(|i| 1980.0 + f64::from(i)).collect();
    let noise = |i: usize| 0.02 * ((i * 7919 % 31) as f64 / 31.0 - 0.5);
    let of = |bend: f64| {
        let y = x
            .iter()
            .enumerate()
            .map(|(i, x)| 0.01 * (x - 1980.0) + bend * (x - 1995.0).max(0.0) + noise(i));
        Series {
            x: x.clone(),
            response: Response::LogRate { y: y.collect(), weights: vec![1.0; 30] },
        }
    };
    let p = |bend: f64| of(bend).permutation_p_value([0, 1], Places::default(), 499, 7160).unwrap();
    assert!(p(0.0) > 0.05, "{}", p(0.0));
    assert!((p(-0.02) - 1.0 / 500.0).abs() < 1e-12);
    assert_eq!(p(0.0).to_bits(), p(0.0).to_bits());
    assert_eq!(of(-0.02).grid(1, Places::default()).unwrap().joinpoints, [1995.0]);
}

/// Seven years have 5,040 permutations: their exact share against random draws.
#[test]
fn permutation_p_values_are_shares_of_all_permutations() {
    let x: Vec<f64> = (0..7).map(f64::from).collect();
    let series = |y: Vec<f64>| Series {
        x: x.clone(),
        response: Response::LogRate { y, weights: vec![1.0; 7] },
    };
    let observed = series(vec![0.10, 0.24, 0.21, 0.42, 0.38, 0.33, 0.36]);
    let rule = Places::default();
    let fits = |s: &Series| [0, 1].map(|k| s.grid(k, rule).unwrap());
    let [null, bent] = fits(&observed);
    let seen = null.loss / bent.loss;
    let Response::LogRate { y, .. } = &observed.response else { unreachable!() };
    let residuals: Vec<f64> = y.iter().zip(&null.fitted).map(|(y, f)| y - f).collect();
    let (mut as_far, mut all) = (0, 0);
    let mut orders = vec![Vec::new()];
    for _ in 0..7 {
        orders = orders
            .into_iter()
            .flat_map(|o: Vec<usize>| {
                (0..7)
                    .filter(|i| !o.contains(i))
                    .map(|i| [&o[..], &[i]].concat())
                    .collect::<Vec<_>>()
            })
            .collect();
    }
    for order in orders {
        let y = order.iter().zip(&null.fitted).map(|(i, f)| f + residuals[*i]).collect();
        let [a, b] = fits(&series(y));
        as_far += usize::from(a.loss >= seen * b.loss * (1.0 - 1e-9));
        all += 1;
    }
    assert_eq!(all, 5040);
    let exact = f64::from(u32::try_from(as_far).unwrap()) / 5040.0;
    let drawn = observed.permutation_p_value([0, 1], rule, 9999, 7160).unwrap();
    assert!((0.02..0.9).contains(&exact), "{exact}");
    assert!((drawn - exact).abs() < 0.02, "{drawn} {exact}");
    // The sequence of tests stops where the next one is not significant.
    let (k, record) = by_permutation(&observed, 1, rule, 0.05, 9999, 7160).unwrap();
    assert_eq!((k, record.len()), (usize::from(drawn <= 0.05), 1));
}

/// Averages over some of the years are the slopes in them, weighted by their length.
#[test]
fn averages_weigh_the_segments_they_cover() {
    let x: Vec<f64> = (0..20).map(f64::from).collect();
    let y =
        x.iter().map(|x| 0.02 * x + 0.04 * (x - 10.0).max(0.0) + 0.001 * (7.0 * x).sin()).collect();
    let series = Series { x, response: Response::LogRate { y, weights: vec![1.0; 20] } };
    let fit = series.fit(&[10.0]);
    let [a, b] = [0, 1].map(|i| fit.slope(i, false));
    assert_eq!(fit.average(2.0, 8.0, false), a);
    assert_eq!(fit.average(10.0, 19.0, false), b);
    let both = fit.average(5.0, 15.0, false);
    close(both.slope, 0.5 * (a.slope + b.slope), 1e-12, "half and half");
    let variance =
        0.25 * (fit.covariance[(0, 0)] + fit.covariance[(1, 1)]) + 0.5 * fit.covariance[(0, 1)];
    close(both.std_error, variance.sqrt(), 1e-12, "its error");
    assert!(both.df.is_infinite());
}

/// Empirical quantile limits: brute force in R with its own random numbers, so equal to within the noise of the draws.
#[test]
fn empirical_quantile_limits_equal_brute_force_within_their_noise() {
    let wanted = reference("incidence_reference.csv");
    let of = |key: &str| 100.0 * wanted[&format!("quantile/{key}")].exp_m1();
    let options = |more: &str| {
        format!(
            "kind = \"joinpoint\"\nscale = \"log_rate\"\nmost = 1\nselection = \"bic\"\naverages = [[1943, 1996]]\n{more}{ADULTS}"
        )
    };
    let estimate = over(2, &options("interval = \"empirical_quantile\"\ndraws = 6000\n"));
    let segments = estimate.table("segments").unwrap();
    assert_eq!(segments.rows.len(), 2, "one joinpoint is chosen");
    let averages = estimate.table("averages").unwrap();
    for (table, row, key) in
        [(segments, 0, "first"), (segments, 1, "second"), (averages, 0, "average")]
    {
        let (low, high) = (of(&format!("{key}/low")), of(&format!("{key}/high")));
        for (column, limit) in [("percent_low", low), ("percent_high", high)] {
            let found = table.number(row, column).unwrap();
            // Both limits are quantiles of 6,000 draws: their noise is a few hundredths of the width.
            assert!(
                (found - limit).abs() < 0.08 * (high - low),
                "{key} {column}: {found}, {limit}"
            );
        }
    }
    // The same seed gives the same limits; counts have them too.
    let again = over(5, &options("interval = \"empirical_quantile\"\ndraws = 6000\n"));
    let low = |e: &Estimate| e.table("averages").unwrap().number(0, "percent_low").unwrap();
    close(low(&again), low(&estimate), 1e-9, "seed");
    let counts = over(
        1,
        &format!(
            "kind = \"joinpoint\"\nmost = 1\ninterval = \"empirical_quantile\"\ndraws = 200\n{ADULTS}"
        ),
    );
    let table = counts.table("averages").unwrap();
    let number = |c: &str| table.number(0, c).unwrap();
    assert!(
        number("percent_low") < number("percent") && number("percent") < number("percent_high")
    );
}
