//! A yearbook of childhood cancer: cases and rates of twelve diagnostic groups.

use std::ops::RangeInclusive;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tributary_disclosure::{Fact, Item, System};

/// Age bands of the yearbook, by their first year; the last ends at 20.
const AGES: [u32; 7] = [0, 1, 3, 5, 10, 15, 18];

/// Cases of each diagnostic group over all ages, and how they lie over the age bands.
const GROUPS: [(f64, [f64; 7]); 12] = [
    (2800.0, [3.0, 14.0, 15.0, 20.0, 16.0, 9.0, 4.0]),
    (1500.0, [0.3, 2.0, 3.0, 12.0, 24.0, 24.0, 18.0]),
    (2300.0, [5.0, 12.0, 10.0, 24.0, 20.0, 12.0, 7.0]),
    (620.0, [33.0, 30.0, 17.0, 12.0, 4.0, 1.0, 0.5]),
    (260.0, [45.0, 40.0, 12.0, 2.0, 0.3, 0.0, 0.0]),
    (480.0, [12.0, 32.0, 26.0, 20.0, 5.0, 2.0, 1.0]),
    (120.0, [20.0, 35.0, 10.0, 7.0, 8.0, 8.0, 6.0]),
    (560.0, [0.2, 1.0, 1.5, 15.0, 38.0, 28.0, 14.0]),
    (640.0, [9.0, 13.0, 10.0, 18.0, 20.0, 16.0, 12.0]),
    (520.0, [10.0, 7.0, 2.0, 6.0, 14.0, 28.0, 26.0]),
    (610.0, [0.3, 0.6, 0.7, 6.0, 24.0, 36.0, 32.0]),
    (55.0, [12.0, 12.0, 8.0, 14.0, 18.0, 18.0, 16.0]),
];

/// A yearbook of twelve countries pooled: cases and rates per million of twelve groups and all groups together, by sex and age, with
/// totals of ages 0–14 and 0–19 and age-standardised rates of both. Floor 5; public person-years.
///
/// `scale` multiplies all cases: below 1 there are more small cells.
pub(crate) fn yearbook(scale: f64, seed: u64) -> System {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let bands = AGES.len();
    let mut counts = Vec::new();
    for (cases, shape) in GROUPS {
        let all: f64 = shape.iter().sum();
        for sex in [0.54, 0.46] {
            for share in shape {
                let expected = scale * cases * sex * share / all;
                let spread = 2.0 * expected.sqrt();
                let drawn: f64 = rng.random_range(-1.0..1.0);
                counts.push((expected + spread * drawn * 0.5).round().max(0.0) as u64);
            }
        }
    }
    let years = |band: usize| f64::from(AGES.get(band + 1).unwrap_or(&20) - AGES[band]);
    // A million children for each sex and year of age.
    let time = |sexes: &[usize], ages: RangeInclusive<usize>| {
        sexes.len() as f64 * 1.02e6 * ages.map(years).sum::<f64>()
    };
    let mut system = System::new(counts.iter().copied());
    let spans: Vec<(String, RangeInclusive<usize>, u64)> = (0..bands)
        .map(|b| (format!("band {b}"), b..=b, 10))
        .chain([("0-14".to_owned(), 0..=4, 500), ("0-19".to_owned(), 0..=6, 500)])
        .collect();
    let groups = (0..GROUPS.len()).map(|g| (format!("group {g:02}"), g..=g, 1));
    for (group, within, dear) in groups.chain([("all groups".to_owned(), 0..=11, 4)]) {
        for (sex, sexes, less) in
            [("both", &[0, 1][..], 1), ("boys", &[0][..], 2), ("girls", &[1][..], 2)]
        {
            for (name, ages, weight) in &spans {
                let cells: Vec<usize> = within
                    .clone()
                    .flat_map(|g| sexes.iter().map(move |s| (g * 2 + s) * bands))
                    .flat_map(|start| ages.clone().map(move |b| start + b))
                    .collect();
                let value: u64 = cells.iter().map(|c| counts[*c]).sum();
                let weight = weight * dear / less;
                let count = Item::count(format!("{group}, {sex}, {name}, cases"), cells.clone());
                system.add(count.floor(5).weight(weight)).unwrap();
                let person_years = time(sexes, ages.clone());
                let rate = Fact::rate(cells.clone(), value, person_years, 1e6, 1);
                let item = Item::count(format!("{group}, {sex}, {name}, rate"), cells.clone());
                system.add(item.telling([rate]).weight(weight)).unwrap();
                if ages.start() == ages.end() {
                    continue;
                }
                // Weights of the world standard, by years of age.
                let weights = [2.4, 2.4, 2.4, 2.0, 1.8, 1.8, 1.6];
                let total: f64 = ages.clone().map(|b| weights[b] * years(b)).sum();
                let terms: Vec<(usize, f64, u64)> = cells
                    .iter()
                    .map(|&c| {
                        let b = c % bands;
                        let share = weights[b] * years(b) / total;
                        (c, 1e6 * share / time(sexes, b..=b), counts[c])
                    })
                    .collect();
                let exact: f64 = terms.iter().map(|t| t.1 * t.2 as f64).sum();
                let printed = (exact * 10.0).round() / 10.0;
                let fact = Fact::weighted(terms, Some(printed - 0.05), Some(printed + 0.05));
                let item = Item::count(format!("{group}, {sex}, {name}, standardised"), cells);
                system.add(item.telling([fact]).weight(weight)).unwrap();
            }
        }
    }
    system
}
