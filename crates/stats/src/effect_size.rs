//! Effect measures of single studies with their sampling variances.
//!
//! No continuity correction is made unless asked for: a study whose measure or variance does not exist has none. Sources:
//! Yusuf et al. (1985) for Peto's odds ratio; Freeman & Tukey (1950) and Miller (1978) for the double arcsine; Viechtbauer (2010)
//! for the conventions that can be asked for by name.

use super::root::brent;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Log odds ratio.
    OddsRatio,
    /// Log risk ratio.
    RiskRatio,
    /// Risk difference.
    RiskDifference,
    /// Peto's log odds ratio.
    Peto,
    /// Difference of the arcsines of the roots of two risks.
    ArcsineDifference,
    /// Log rate ratio.
    RateRatio,
    /// Rate difference.
    RateDifference,
    /// Proportion.
    Proportion,
    /// Logit of a proportion.
    Logit,
    /// Log of a proportion.
    LogProportion,
    /// Arcsine of the root of a proportion.
    Arcsine,
    /// Freeman–Tukey double arcsine of a proportion.
    DoubleArcsine,
    /// Estimate with its standard error.
    Generic,
    /// Log hazard ratio with its standard error.
    HazardRatio,
}

/// What a study reports.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StudyData {
    /// Events and persons of two arms.
    Counts {
        /// Events in the first arm.
        events1: f64,
        /// Persons in the first arm.
        n1: f64,
        /// Events in the second arm.
        events2: f64,
        /// Persons in the second arm.
        n2: f64,
    },
    /// Events and person-time of two arms.
    Rates {
        /// Events in the first arm.
        events1: f64,
        /// Person-time in the first arm.
        time1: f64,
        /// Events in the second arm.
        events2: f64,
        /// Person-time in the second arm.
        time2: f64,
    },
    /// Events among persons.
    Events {
        /// Events.
        events: f64,
        /// Persons.
        n: f64,
    },
    /// An estimate.
    Estimate {
        /// Estimate, on the scale on which it is normal.
        estimate: f64,
        /// Its variance.
        variance: f64,
    },
}

/// Which cells a continuity correction is added to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddTo {
    /// None.
    None,
    /// Those of studies that have an empty cell.
    OnlyZero,
    /// Those of all studies.
    All,
}

/// A continuity correction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Correction {
    /// What is added to each cell.
    pub add: f64,
    /// To which studies.
    pub to: AddTo,
}

/// An estimate and its variance.
pub type Effect = (f64, f64);

impl Correction {
    /// Nothing is added.
    pub const NONE: Self = Self { add: 0.0, to: AddTo::None };

    fn of(self, cells: &[f64]) -> f64 {
        match self.to {
            AddTo::None => 0.0,
            AddTo::OnlyZero if cells.iter().all(|c| *c > 0.0) => 0.0,
            AddTo::OnlyZero | AddTo::All => self.add,
        }
    }
}

fn finite(effect: Effect) -> Option<Effect> {
    (effect.0.is_finite() && effect.1.is_finite() && effect.1 > 0.0).then_some(effect)
}

/// The effect of one study; `None` where it does not exist (an empty cell without correction, no variance), or where the data are
/// not of the kind that the measure needs.
pub fn effect(measure: Measure, data: &StudyData, correction: Correction) -> Option<Effect> {
    use Measure as M;
    match (measure, *data) {
        (M::Generic | M::HazardRatio, StudyData::Estimate { estimate, variance }) => {
            finite((estimate, variance))
        }
        (
            M::OddsRatio | M::RiskRatio | M::RiskDifference | M::Peto | M::ArcsineDifference,
            StudyData::Counts { events1, n1, events2, n2 },
        ) => two_arms(measure, [events1, n1 - events1, events2, n2 - events2], correction),
        (M::RateRatio | M::RateDifference, StudyData::Rates { events1, time1, events2, time2 }) => {
            let add = correction.of(&[events1, events2]);
            let (a, b) = (events1 + add, events2 + add);
            if time1 <= 0.0 || time2 <= 0.0 {
                return None;
            }
            finite(if measure == M::RateRatio {
                ((a / time1 / (b / time2)).ln(), 1.0 / a + 1.0 / b)
            } else {
                (a / time1 - b / time2, a / (time1 * time1) + b / (time2 * time2))
            })
        }
        (
            M::Proportion | M::Logit | M::LogProportion | M::Arcsine | M::DoubleArcsine,
            StudyData::Events { events, n },
        ) => one_arm(measure, events, n, correction),
        _ => None,
    }
}

fn two_arms(measure: Measure, cells: [f64; 4], correction: Correction) -> Option<Effect> {
    let add = correction.of(&cells);
    let [a, b, c, d] = cells.map(|x| x + add);
    let (n1, n2, n) = (a + b, c + d, a + b + c + d);
    finite(match measure {
        Measure::OddsRatio => ((a * d / (b * c)).ln(), 1.0 / a + 1.0 / b + 1.0 / c + 1.0 / d),
        Measure::RiskRatio => ((a / n1 / (c / n2)).ln(), 1.0 / a - 1.0 / n1 + 1.0 / c - 1.0 / n2),
        Measure::Peto => {
            let variance = n1 * n2 * (a + c) * (b + d) / (n * n * (n - 1.0));
            ((a - n1 * (a + c) / n) / variance, 1.0 / variance)
        }
        Measure::RiskDifference => (a / n1 - c / n2, a * b / n1.powi(3) + c * d / n2.powi(3)),
        _ => {
            let arcsine = |x: f64, n: f64| (x / n).sqrt().asin();
            (arcsine(a, n1) - arcsine(c, n2), 0.25 / n1 + 0.25 / n2)
        }
    })
}

fn one_arm(measure: Measure, events: f64, n: f64, correction: Correction) -> Option<Effect> {
    let add = correction.of(&[events, n - events]);
    let (x, m) = (events + add, n - events + add);
    let total = x + m;
    let p = x / total;
    finite(match measure {
        Measure::Proportion => (p, p * (1.0 - p) / total),
        Measure::Logit => ((x / m).ln(), 1.0 / x + 1.0 / m),
        Measure::LogProportion => (p.ln(), 1.0 / x - 1.0 / total),
        Measure::Arcsine => (p.sqrt().asin(), 0.25 / total),
        _ => {
            let t = (x / (total + 1.0)).sqrt().asin() + ((x + 1.0) / (total + 1.0)).sqrt().asin();
            (0.5 * t, 1.0 / (4.0 * total + 2.0))
        }
    })
}

/// Back from the scale on which a measure is normal: ratios, proportions, or as it is. `harmonic_n` is the harmonic mean of the
/// sample sizes, which the double arcsine needs (Miller 1978).
pub fn back(measure: Measure, x: f64, harmonic_n: Option<f64>) -> f64 {
    match measure {
        Measure::OddsRatio
        | Measure::RiskRatio
        | Measure::Peto
        | Measure::RateRatio
        | Measure::HazardRatio
        | Measure::LogProportion => x.exp(),
        Measure::Logit => 1.0 / (1.0 + (-x).exp()),
        Measure::Arcsine => x.clamp(0.0, std::f64::consts::FRAC_PI_2).sin().powi(2),
        Measure::DoubleArcsine => harmonic_n.map_or(f64::NAN, |n| miller(x, n)),
        Measure::RiskDifference
        | Measure::ArcsineDifference
        | Measure::RateDifference
        | Measure::Proportion
        | Measure::Generic => x,
    }
}

/// Inverse of the double arcsine by its definition; 0 and 1 beyond its range.
fn miller(t: f64, n: f64) -> f64 {
    let forward = |p: f64| {
        0.5 * ((n * p / (n + 1.0)).sqrt().asin()
            + ((n * p + 1.0) / (n + 1.0)).sqrt().min(1.0).asin())
    };
    if t <= forward(0.0) {
        0.0
    } else if t >= forward(1.0) {
        1.0
    } else {
        brent(|p| forward(p) - t, 0.0, 1.0).unwrap_or(f64::NAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_cells_have_no_ratio_unless_corrected() {
        let data = StudyData::Counts { events1: 0.0, n1: 10.0, events2: 3.0, n2: 10.0 };
        assert!(effect(Measure::OddsRatio, &data, Correction::NONE).is_none());
        let half = Correction { add: 0.5, to: AddTo::OnlyZero };
        let (y, v) = effect(Measure::OddsRatio, &data, half).unwrap();
        assert!((y - (0.5 * 7.5 / (10.5 * 3.5_f64)).ln()).abs() < 1e-12);
        assert!((v - (2.0 + 1.0 / 10.5 + 1.0 / 3.5 + 1.0 / 7.5)).abs() < 1e-12);
        // No events at all: Peto's variance is 0, and the arcsine difference exists.
        let none = StudyData::Counts { events1: 0.0, n1: 10.0, events2: 0.0, n2: 9.0 };
        assert!(effect(Measure::Peto, &none, Correction::NONE).is_none());
        assert!(effect(Measure::ArcsineDifference, &none, Correction::NONE).is_some());
        assert!(effect(Measure::RateRatio, &none, Correction::NONE).is_none());
    }

    #[test]
    fn the_double_arcsine_comes_back() {
        for p in [0.05, 0.3, 0.9] {
            let (t, _) = effect(
                Measure::DoubleArcsine,
                &StudyData::Events { events: 200.0 * p, n: 200.0 },
                Correction::NONE,
            )
            .unwrap();
            assert!((back(Measure::DoubleArcsine, t, Some(200.0)) - p).abs() < 1e-12);
        }
        assert!(back(Measure::DoubleArcsine, 0.0, Some(10.0)) == 0.0);
    }
}
