//! Age weights for standardised survival.

/// Weights of a standard by age at diagnosis.
#[derive(Debug, Clone, PartialEq)]
pub struct AgeStandard {
    /// Lower bound of each age band, completed years, ascending from 0.
    pub from: Vec<f64>,
    /// Weight of each band; they add up to 1.
    pub weights: Vec<f64>,
}

/// Names of the standards.
pub const NAMES: [&str; 4] = ["icss1", "icss2", "icss3", "children"];

/// International Cancer Survival Standards 1 to 3 (Corazziari, Quinn & Capocaccia 2004) in the five bands 15–44, 45–54, 55–64,
/// 65–74 and 75 and over (younger patients fall into the first); for children equal weights of 0–4, 5–9 and 10–14.
pub fn standard(name: &str) -> Option<AgeStandard> {
    let adults = |weights: [f64; 5]| AgeStandard {
        from: vec![0.0, 45.0, 55.0, 65.0, 75.0],
        weights: weights.iter().map(|w| w / 100.0).collect(),
    };
    match name {
        "icss1" => Some(adults([7.0, 12.0, 23.0, 29.0, 29.0])),
        "icss2" => Some(adults([28.0, 17.0, 21.0, 20.0, 14.0])),
        "icss3" => Some(adults([60.0, 10.0, 10.0, 10.0, 10.0])),
        "children" => Some(AgeStandard { from: vec![0.0, 5.0, 10.0], weights: vec![1.0 / 3.0; 3] }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn weights_add_up_to_one() {
        for name in super::NAMES {
            let sum: f64 = super::standard(name).unwrap().weights.iter().sum();
            assert!((sum - 1.0).abs() < 1e-12, "{name}");
        }
    }
}
