//! What a printed number tells of the cells behind it: bounds on a combination of them.

use std::collections::BTreeMap;

/// low ≤ Σ a x ≤ high, for counts x of finest cells and integers a. Both ends are included; `None` is no bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fact {
    pub(crate) of: Vec<(usize, i64)>,
    pub(crate) low: Option<i64>,
    pub(crate) high: Option<i64>,
}

/// Bits of the largest coefficient where weights are not integers.
const COEFFICIENT: f64 = (1u64 << 30) as f64;

impl Fact {
    /// Bounds on a combination of cells. A cell named twice counts twice.
    pub fn new(
        terms: impl IntoIterator<Item = (usize, i64)>,
        low: Option<i64>,
        high: Option<i64>,
    ) -> Self {
        Self { of: normal(terms), low, high }
    }

    /// A rate of the sum of `cells` per `per` person-years, printed as `printed` with `decimals` digits after the point, beside
    /// public `person_years`.
    ///
    /// The interval is that of counts which print so; `value`, the true count, always belongs to it.
    pub fn rate(
        cells: impl IntoIterator<Item = usize>,
        value: u64,
        person_years: f64,
        per: f64,
        decimals: u32,
    ) -> Self {
        let unit = 10f64.powi(-(decimals as i32));
        let printed = (value as f64 / person_years * per / unit).round() * unit;
        let count = |rate: f64| rate * person_years / per;
        let (low, high) = (count(printed - unit / 2.0).ceil(), count(printed + unit / 2.0).floor());
        let (low, high) =
            ((low.max(0.0) as i64).min(value as i64), (high as i64).max(value as i64));
        Self::new(cells.into_iter().map(|cell| (cell, 1)), Some(low), Some(high))
    }

    /// A ratio of two sums of cells that lies in [`low`, `high`]: two facts, Σ numerator − low Σ denominator ≥ 0 and
    /// Σ numerator − high Σ denominator ≤ 0.
    ///
    /// `numerator` and `denominator` are cells with their true counts.
    pub fn ratio(
        numerator: &[(usize, u64)],
        denominator: &[(usize, u64)],
        low: f64,
        high: f64,
    ) -> [Self; 2] {
        let side = |bound: f64, low: Option<f64>, high: Option<f64>| {
            let above = numerator.iter().map(|&(cell, x)| (cell, 1.0, x));
            let below = denominator.iter().map(|&(cell, x)| (cell, -bound, x));
            Self::weighted(above.chain(below), low, high)
        };
        [side(low, Some(0.0), None), side(high, None, Some(0.0))]
    }

    /// low ≤ Σ w x ≤ high with real weights, as a standardised rate or the square of its standard error tells. `terms` holds cells,
    /// weights and true counts.
    ///
    /// Weights are scaled to integers of 30 bits. What this rounds is taken off the interval, for tables up to four times as large as
    /// the true one, so that an attacker is thought to know rather too much than too little; the true table always belongs to it.
    pub fn weighted(
        terms: impl IntoIterator<Item = (usize, f64, u64)>,
        low: Option<f64>,
        high: Option<f64>,
    ) -> Self {
        let terms: Vec<(usize, f64, u64)> = terms.into_iter().collect();
        let largest = terms.iter().map(|t| t.1.abs()).fold(0.0, f64::max);
        let scale = if largest > 0.0 { COEFFICIENT / largest } else { 1.0 };
        let of = normal(terms.iter().map(|t| (t.0, (t.1 * scale).round() as i64)));
        let counts: BTreeMap<usize, u64> = terms.iter().map(|t| (t.0, t.2)).collect();
        let total: u64 = counts.values().sum();
        let slack = 2.0 * total as f64 + 1024.0;
        let now: i128 = of.iter().map(|&(cell, a)| i128::from(a) * i128::from(counts[&cell])).sum();
        let now = now as i64;
        let low = low.map(|low| ((low * scale + slack).ceil() as i64).min(now));
        let high = high.map(|high| ((high * scale - slack).floor() as i64).max(now));
        Self { of, low, high }
    }
}

/// Terms by cell, each cell once, without zeros.
pub(crate) fn normal(terms: impl IntoIterator<Item = (usize, i64)>) -> Vec<(usize, i64)> {
    let mut sums: BTreeMap<usize, i64> = BTreeMap::new();
    for (cell, a) in terms {
        *sums.entry(cell).or_default() += a;
    }
    sums.into_iter().filter(|(_, a)| *a != 0).collect()
}

/// Σ a x.
pub(crate) fn dot(of: &[(usize, i64)], table: &[i64]) -> i128 {
    of.iter().map(|&(cell, a)| i128::from(a) * i128::from(table[cell])).sum()
}
