//! Actuarial life table: survival by intervals, half of those who enter late or are censored in an interval counting as at risk.
//!
//! Sources: Berkson & Gage (1950); Cutler & Ederer (1958); Gehan (1969) for the hazard.

/// One interval of a life table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Start and end, days.
    pub from: f64,
    /// End.
    pub to: f64,
    /// Under observation at the start.
    pub n: f64,
    /// Late entries.
    pub entries: f64,
    /// Events.
    pub events: f64,
    /// Censored.
    pub censored: f64,
    /// Effective number at risk, n + (entries − censored) / 2.
    pub effective: f64,
    /// Probability of the event in the interval.
    pub probability: f64,
    /// S at the end.
    pub survival: f64,
    /// Variance of log S, Greenwood's sum.
    pub log_variance: f64,
    /// Hazard at the middle, 2 q / (h (2 − q)) per day.
    pub hazard: f64,
}

/// Intervals of numbers per interval, in the order of time; ends where nobody is left.
pub fn life_table(
    bounds: &[f64],
    initial: f64,
    entries: &[f64],
    events: &[f64],
    censored: &[f64],
) -> Vec<Interval> {
    let (mut n, mut survival, mut log_variance) = (initial, 1.0, 0.0);
    let mut table = Vec::new();
    for j in 0..bounds.len().saturating_sub(1) {
        let effective = n + 0.5 * (entries[j] - censored[j]);
        if effective <= 0.0 {
            break;
        }
        let q = (events[j] / effective).min(1.0);
        survival *= 1.0 - q;
        log_variance += if q < 1.0 { q / (effective * (1.0 - q)) } else { f64::INFINITY };
        let width = bounds[j + 1] - bounds[j];
        table.push(Interval {
            from: bounds[j],
            to: bounds[j + 1],
            n,
            entries: entries[j],
            events: events[j],
            censored: censored[j],
            effective,
            probability: q,
            survival,
            log_variance,
            hazard: 2.0 * q / (width * (2.0 - q)),
        });
        n += entries[j] - events[j] - censored[j];
    }
    table
}

/// Bounds that survival reports use: months to one year, quarters to two, half-years to five, years after that; days.
pub fn usual_bounds(to_days: f64, year_days: f64) -> Vec<f64> {
    let mut bounds = vec![0.0];
    let mut at = 0.0;
    while at * year_days < to_days - 1e-6 && bounds.len() < 400 {
        at += match at {
            a if a < 1.0 - 1e-9 => 1.0 / 12.0,
            a if a < 2.0 - 1e-9 => 0.25,
            a if a < 5.0 - 1e-9 => 0.5,
            _ => 1.0,
        };
        bounds.push(at * year_days);
    }
    bounds
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cutler & Ederer (1958): 126 patients, first year 47 deaths and 19 lost or withdrawn.
    #[test]
    fn the_first_published_table_comes_out() {
        let bounds = [0.0, 1.0, 2.0];
        let table = life_table(&bounds, 126.0, &[0.0, 0.0], &[47.0, 5.0], &[19.0, 17.0]);
        assert!((table[0].effective - 116.5).abs() < 1e-12);
        assert!((table[0].survival - (1.0 - 47.0 / 116.5)).abs() < 1e-12);
        assert!((table[1].survival - (1.0 - 47.0 / 116.5) * (1.0 - 5.0 / 51.5)).abs() < 1e-12);
    }

    #[test]
    fn bounds_widen_with_time() {
        let bounds = usual_bounds(7.0 * 365.25, 365.25);
        assert_eq!(bounds.len(), 1 + 12 + 4 + 6 + 2);
        assert!((bounds[12] - 365.25).abs() < 1e-9 && (bounds[16] - 730.5).abs() < 1e-9);
    }
}
