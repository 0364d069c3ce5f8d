//! Restricted means where Greenwood's variance says nothing: limits by hand, from the beta product interval of Fay & Brittain (2016),
//! which without events is Clopper and Pearson's.

use tributary::estimate::{Estimate, Value};

use crate::pooling::{Frame, close, number};

const DICTIONARY: &str = "[dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 3000]\n\
    [dictionary.event]\ntype = \"flag\"\nlabel = \"Event\"\n\
    [dictionary.arm]\ntype = \"category\"\nlabel = \"Arm\"\nlevels = [\"1\", \"2\"]\n";

const MODEL: &str = "[followup]\ntime = \"time\"\nevent = \"event\"\nzero = \"as_is\"\n\
    [[model]]\nid = \"km\"\nkind = \"kaplan_meier\"\nby = \"arm\"\nrestricted_mean_years = 2\ntimes_years = [2]\n";

const TAU: f64 = 730.5;

/// Groups 1 and 2: time and event of each patient.
fn fit(one: &[(f64, f64)], two: &[(f64, f64)], sites: usize) -> Estimate {
    let all = || one.iter().map(|r| (r, 1.0)).chain(two.iter().map(|r| (r, 2.0)));
    let columns = [
        ("time", all().map(|(r, _)| r.0).collect()),
        ("event", all().map(|(r, _)| r.1).collect()),
        ("arm", all().map(|(_, arm)| arm).collect()),
    ];
    let frame = Frame::of(&columns, DICTIONARY);
    frame.pool(MODEL, &frame.deal(sites)).remove("km").unwrap()
}

/// Estimate, limits and status of a measure.
fn of(km: &Estimate, group: &str, measure: &str) -> ([f64; 3], String) {
    let keys = [("group", group), ("measure", measure)];
    let columns = ["estimate", "conf_low", "conf_high"];
    let numbers = columns.map(|column| number(km, "restricted_mean", &keys, column));
    (numbers, status(km, group, measure))
}

fn status(km: &Estimate, group: &str, measure: &str) -> String {
    let table = km.table("restricted_mean").unwrap();
    let row = (0..table.rows.len())
        .find(|&r| table.text(r, "group") == group && table.text(r, "measure") == measure);
    table.text(row.unwrap(), "status").to_owned()
}

fn all_close(found: [f64; 3], wanted: [f64; 3], what: &str) {
    for (f, w) in found.iter().zip(wanted) {
        close(*f, w, 1e-9, what);
    }
}

#[test]
fn without_events_the_lower_limit_is_that_of_survival_at_the_end_of_the_mean() {
    let none = [(2000.0, 0.0); 50];
    for sites in [1, 2] {
        let km = fit(&none, &none, sites);
        let low = 0.025_f64.powf(1.0 / 50.0) * TAU;
        assert!((low - 678.5).abs() < 0.1);
        let (mean, boundary) = of(&km, "1", "mean");
        all_close(mean, [TAU, low, TAU], "mean");
        assert_eq!(boundary, "BOUNDARY");
        all_close(of(&km, "1", "lost").0, [0.0, 0.0, TAU - low], "lost");
        // Two groups at the border: each limit alone stands for its group.
        let (difference, boundary) = of(&km, "2 − 1", "difference");
        all_close(difference, [0.0, low - TAU, TAU - low], "difference");
        assert_eq!(boundary, "BOUNDARY");
        let (ratio, _) = of(&km, "2 − 1", "ratio");
        all_close(ratio, [1.0, low / TAU, TAU / low], "ratio");
        // Nothing over nothing is no ratio.
        assert_eq!(status(&km, "2 − 1", "ratio of lost"), "BOUNDARY");
    }
}

/// Follow-up that ends where the mean does: all fifty were at risk there.
#[test]
fn a_mean_to_the_end_of_follow_up_rests_on_those_followed_so_far() {
    let km = fit(&[(731.0, 0.0); 50], &[(100.0, 0.0), (800.0, 0.0)], 1);
    let low = |n: f64| 0.025_f64.powf(1.0 / n) * TAU;
    all_close(of(&km, "1", "mean").0, [TAU, low(50.0), TAU], "followed to the end");
    // One of two was lost before: one is at risk.
    all_close(of(&km, "2", "mean").0, [TAU, low(1.0), TAU], "one left");
}

#[test]
fn where_all_die_at_once_both_limits_are_those_of_survival_before_and_after() {
    let km = fit(&[(100.0, 1.0); 8], &[(2000.0, 0.0); 20], 2);
    let edge = 0.025_f64.powf(1.0 / 8.0);
    let wanted = [100.0, edge * 100.0, 100.0 + (1.0 - edge) * (TAU - 100.0)];
    all_close(of(&km, "1", "mean").0, wanted, "all at once");
    // An event on the last day of the mean takes nothing from it.
    let last = fit(&[(730.5_f64.floor(), 1.0), (2000.0, 0.0)], &[(2000.0, 0.0); 20], 1);
    let lost = of(&last, "1", "lost").0[0];
    assert!((lost - 0.25).abs() < 1e-12, "{lost}");
}

/// One group has events, the other none: the limits of the second by themselves, combined as Zou & Donner (2008) do.
#[test]
fn a_difference_from_a_group_without_events_is_not_more_certain_than_that_group() {
    let events: Vec<(f64, f64)> =
        (0..40).map(|i| (100.0 + 40.0 * f64::from(i), f64::from(i % 2))).collect();
    let km = fit(&events, &[(2000.0, 0.0); 30], 1);
    let ([a, a_low, a_high], ok) = of(&km, "1", "mean");
    let ([b, b_low, b_high], _) = of(&km, "2", "mean");
    assert_eq!(ok, "OK");
    let wanted =
        [b - a, b - a - (b - b_low).hypot(a_high - a), b - a + (b_high - b).hypot(a - a_low)];
    let (found, boundary) = of(&km, "2 − 1", "difference");
    all_close(found, wanted, "difference");
    assert_eq!(boundary, "BOUNDARY");
    let table = km.table("restricted_mean").unwrap();
    let row = (0..table.rows.len()).find(|&r| table.text(r, "measure") == "difference").unwrap();
    for column in ["std_error", "statistic", "p_value"] {
        assert_eq!(table.cell(row, column), &Value::None, "{column}");
    }
}

/// survfit's median of (2, 4, 7+, 8+) is 6.
#[test]
fn a_median_on_a_plateau_that_runs_to_the_end_is_its_middle() {
    let rows = [(2.0, 1.0), (4.0, 1.0), (7.0, 0.0), (8.0, 0.0)];
    let km = fit(&rows, &rows, 2);
    close(number(&km, "quantiles", &[("group", "1")], "estimate"), 6.0, 1e-15, "median");
}
