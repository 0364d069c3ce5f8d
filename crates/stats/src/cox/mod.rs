//! Cox partial likelihood: log-likelihood, score and information, for a stratified or a common baseline.
//!
//! Notation: S⁽⁰⁾, S⁽¹⁾, S⁽²⁾ are the weighted sums of 1, x, xx' over the risk set, T⁽⁰⁾, T⁽¹⁾, T⁽²⁾ the same over the deaths
//! at one time; d deaths. Efron (1977) spreads tied deaths: the l-th of them sees S − (l/d) T; Breslow (1974) sees S.
//!
//! Sources: Cox (1972, 1975); Therneau & Grambsch (2000), appendix E for closed forms; Grambsch & Therneau (1994) for the
//! test of proportional hazards, computed as the exact score test of `survival` 3.0 and later.

mod own_baseline;
mod patterns;
mod shared_baseline;
#[cfg(test)]
mod tests;
mod weighted;

pub use super::likelihood::{Derivatives, packed};
pub use own_baseline::{RiskData, Rows, Trend};
pub use patterns::{DeathDay, Patterns, TieRule};
pub use shared_baseline::{RiskSums, baseline_of_sums, derivatives_of_sums, risk_sums};
pub use weighted::{WeightedFit, meat, weighted};

/// How tied deaths share their risk set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ties {
    /// Efron's approximation.
    Efron,
    /// Breslow's approximation.
    Breslow,
}

/// What the tie rule makes of one event time: sums over l of powers of a_l = 1 / (S⁽⁰⁾ − c_l T⁽⁰⁾), c_l = l/d (0 for Breslow).
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct TieSums {
    /// Σ ln(S⁽⁰⁾ − c T⁽⁰⁾)
    log: f64,
    /// Σ a
    a: f64,
    /// Σ c a
    ca: f64,
    /// Σ a²
    aa: f64,
    /// Σ c a²
    caa: f64,
    /// Σ c² a²
    ccaa: f64,
}

fn tie_sums(d: f64, s0: f64, t0: f64, ties: Ties) -> TieSums {
    let mut sums = TieSums::default();
    match ties {
        Ties::Breslow => {
            let a = 1.0 / s0;
            sums = TieSums { log: d * s0.ln(), a: d * a, aa: d * a * a, ..sums };
        }
        Ties::Efron => {
            for l in 0..d.round() as u64 {
                let c = l as f64 / d;
                let left = s0 - c * t0;
                let a = 1.0 / left;
                sums.log += left.ln();
                sums.a += a;
                sums.ca += c * a;
                sums.aa += a * a;
                sums.caa += c * a * a;
                sums.ccaa += c * c * a * a;
            }
        }
    }
    sums
}
