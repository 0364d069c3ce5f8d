//! Cumulative hazard: Nelson–Aalen, and the tie-corrected sum of Fleming & Harrington.
//!
//! Sources: Nelson (1969); Aalen (1978); Fleming & Harrington (1984).

/// Cumulative hazard just after one time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hazard {
    /// Time, days.
    pub time: f64,
    /// At risk just before.
    pub n_risk: f64,
    /// Events.
    pub n_event: f64,
    /// Σ d / n and its variance Σ d / n².
    pub nelson_aalen: [f64; 2],
    /// Σ Σ 1 / (n − l) over the tied events and its variance Σ Σ 1 / (n − l)².
    pub fleming_harrington: [f64; 2],
}

/// Cumulative hazards at every time with an event.
pub fn cumulative_hazard(time: &[f64], n_risk: &[f64], n_event: &[f64]) -> Vec<Hazard> {
    let (mut aalen, mut harrington) = ([0.0; 2], [0.0; 2]);
    let mut hazards = Vec::new();
    for j in 0..time.len() {
        let (n, d) = (n_risk[j], n_event[j]);
        if d <= 0.0 || n <= 0.0 {
            continue;
        }
        aalen[0] += d / n;
        aalen[1] += d / (n * n);
        for l in 0..d.round() as u64 {
            let left = n - l as f64;
            harrington[0] += 1.0 / left;
            harrington[1] += 1.0 / (left * left);
        }
        hazards.push(Hazard {
            time: time[j],
            n_risk: n,
            n_event: d,
            nelson_aalen: aalen,
            fleming_harrington: harrington,
        });
    }
    hazards
}

/// Interval of a cumulative hazard on the log scale.
pub fn log_interval([hazard, variance]: [f64; 2], z: f64) -> [f64; 2] {
    let half = (z * variance.sqrt() / hazard).exp();
    [hazard / half, hazard * half]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tied_events_share_the_hazard_as_if_one_came_after_the_other() {
        let h = cumulative_hazard(&[5.0, 8.0], &[23.0, 21.0], &[2.0, 2.0]);
        assert!((h[0].nelson_aalen[0] - 2.0 / 23.0).abs() < 1e-15);
        assert!((h[0].fleming_harrington[0] - (1.0 / 23.0 + 1.0 / 22.0)).abs() < 1e-15);
        assert!((h[1].nelson_aalen[0] - (2.0 / 23.0 + 2.0 / 21.0)).abs() < 1e-15);
    }
}
