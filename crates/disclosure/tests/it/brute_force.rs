//! The attacker who tries every table: small tables in two and three dimensions, with random counts.

use rand::RngExt;
use tributary_disclosure::{Bounds, ItemId, Rules, System, attack, determined, protect};

use crate::tables::{counts, numbers, table};

const FLOOR: u64 = 3;

/// Smallest and largest value of each item over all tables of counts up to `top` that agree with what is shown; `sums` holds the
/// cells of each item.
fn tried(counts: &[u64], sums: &[Vec<usize>], shown: &[bool], top: u64) -> Vec<(u64, u64)> {
    let truth: Vec<u64> = sums.iter().map(|s| s.iter().map(|c| counts[*c]).sum()).collect();
    let mut found: Vec<(u64, u64)> = truth.iter().map(|v| (*v, *v)).collect();
    let mut table = vec![0; counts.len()];
    descend(0, &mut table, top, sums, shown, &truth, &mut found);
    found
}

fn descend(
    cell: usize,
    table: &mut Vec<u64>,
    top: u64,
    sums: &[Vec<usize>],
    shown: &[bool],
    truth: &[u64],
    found: &mut [(u64, u64)],
) {
    for (i, cells) in sums.iter().enumerate().filter(|(i, _)| shown[*i]) {
        let so_far: u64 = cells.iter().filter(|c| **c < cell).map(|c| table[*c]).sum();
        let is_whole = cells.iter().all(|c| *c < cell);
        if so_far > truth[i] || (is_whole && so_far < truth[i]) {
            return;
        }
    }
    if cell == table.len() {
        for (range, cells) in found.iter_mut().zip(sums) {
            let value = cells.iter().map(|c| table[*c]).sum();
            *range = (range.0.min(value), range.1.max(value));
        }
        return;
    }
    for count in 0..=top {
        table[cell] = count;
        descend(cell + 1, table, top, sums, shown, truth, found);
    }
    table[cell] = 0;
}

/// Cells of each item, from its name.
fn sums(system: &System, shape: &[usize]) -> Vec<Vec<usize>> {
    let cells: usize = shape.iter().product();
    let position = |mut cell: usize| {
        let mut at = vec![0; shape.len()];
        for (i, n) in shape.iter().enumerate().rev() {
            at[i] = cell % n;
            cell /= n;
        }
        at
    };
    let of = |id: ItemId| {
        let name: Vec<&str> = system.item(id).name().split(',').collect();
        let agrees = |cell: &usize| {
            name.iter().zip(position(*cell)).all(|(n, at)| *n == "*" || *n == at.to_string())
        };
        (0..cells).filter(agrees).collect()
    };
    system.ids().map(of).collect()
}

fn check(shape: &[usize], seed: u64) {
    let mut rng = numbers(seed);
    let cells: usize = shape.iter().product();
    let counts = counts(cells, FLOOR, 5, &mut rng);
    let system = table(shape, &counts, FLOOR);
    let protection = protect(&system, &Rules::default());
    let shown: Vec<bool> = system.ids().map(|id| protection.shows(id)).collect();
    assert_eq!(protection.breaches().count(), 0, "{shape:?} {seed}");
    if !shown[system.len() - 1] {
        // Nothing bounds the cells: there is no end of tables.
        return;
    }
    let ranges = tried(&counts, &sums(&system, shape), &shown, counts.iter().sum());
    for certificate in protection.certificates() {
        let (low, high) = ranges[certificate.item.index()];
        let name = system.item(certificate.item).name();
        let ours = certificate.bounds;
        assert_eq!(ours.low, low as i64, "{shape:?} {seed} {name}");
        assert_eq!(ours.high, Some(high as i64), "{shape:?} {seed} {name}");
        if (1..FLOOR as i64).contains(&system.value(certificate.item)) {
            assert!(high - low >= FLOOR && high >= FLOOR, "{shape:?} {seed} {name} {low}–{high}");
        }
    }
    let known = determined(&system, |id| protection.shows(id));
    for id in system.ids() {
        let is_unsafe = (1..FLOOR as i64).contains(&system.value(id));
        assert!(!is_unsafe || !known.contains(&id), "{shape:?} {seed}");
    }
}

#[test]
fn he_who_tries_every_table_of_two_dimensions_finds_no_small_cell() {
    (0..40).for_each(|seed| check(&[2, 3], seed));
    (0..25).for_each(|seed| check(&[3, 3], seed));
}

#[test]
fn he_who_tries_every_table_of_three_dimensions_finds_no_small_cell() {
    (0..25).for_each(|seed| check(&[2, 2, 2], seed));
}

#[test]
fn his_bounds_are_ours_for_any_choice_of_what_is_shown() {
    for seed in 0..60 {
        let mut rng = numbers(1000 + seed);
        let shape: &[usize] = if seed % 2 == 0 { &[2, 3] } else { &[2, 2, 2] };
        let cells = shape.iter().product();
        let counts = counts(cells, 3, 5, &mut rng);
        let system = table(shape, &counts, FLOOR);
        let mut shown: Vec<bool> = system.ids().map(|_| rng.random_bool(0.5)).collect();
        // The total bounds every table.
        *shown.last_mut().unwrap() = true;
        let top = counts.iter().sum::<u64>().min(9);
        if counts.iter().sum::<u64>() > 9 {
            continue;
        }
        let ranges = tried(&counts, &sums(&system, shape), &shown, top);
        let bounds = attack(&system, |id| shown[id.index()], &Rules::default());
        for (id, bound) in system.ids().zip(bounds) {
            let (low, high) = ranges[id.index()];
            let name = system.item(id).name();
            assert_eq!(bound, Bounds { low: low as i64, high: Some(high as i64) }, "{seed} {name}");
        }
        // What addition alone determines has one value.
        for id in determined(&system, |id| shown[id.index()]) {
            assert_eq!(ranges[id.index()].0, ranges[id.index()].1);
        }
    }
}
