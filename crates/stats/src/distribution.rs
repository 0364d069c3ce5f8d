//! Tails and quantiles of the distributions that tests and intervals need.
//!
//! Cumulative functions come from `libm` (normal) and `statrs`; quantiles are found here against the cumulative function, to
//! 1e-12 relative, where those of `statrs` stop at about 1e-9. Upper tails are computed as such: 1 − cdf would lose every
//! digit of a small p-value.

use libm::erfc;
use statrs::function::{beta, erf::erfc_inv, gamma};

use super::root::brent;

/// Two-sided 95 % point of the normal distribution, 1.959963984540054.
pub const Z95: f64 = 1.959963984540054;

/// P(Z ≤ x), Z standard normal.
pub fn normal_cdf(x: f64) -> f64 {
    0.5 * erfc(-x / std::f64::consts::SQRT_2)
}

/// P(|Z| ≥ |x|), Z standard normal.
pub fn normal_two_sided(x: f64) -> f64 {
    erfc(x.abs() / std::f64::consts::SQRT_2)
}

/// ln P(Z ≥ x), Z standard normal; by the continued fraction of the Mills ratio where the tail underflows.
pub fn ln_normal_upper(x: f64) -> f64 {
    if x < 20.0 {
        return (0.5 * erfc(x / std::f64::consts::SQRT_2)).ln();
    }
    let mut tail = x;
    for k in (1..60).rev() {
        tail = x + f64::from(k) / tail;
    }
    -0.5 * x * x - 0.5 * (2.0 * std::f64::consts::PI).ln() - tail.ln()
}

/// Quantile of the standard normal; −∞ and ∞ at 0 and 1.
pub fn normal_quantile(p: f64) -> f64 {
    if p <= 0.0 || p >= 1.0 {
        return if p <= 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    if p > 0.5 {
        return -normal_quantile(1.0 - p);
    }
    let mut x = -std::f64::consts::SQRT_2 * erfc_inv(2.0 * p);
    for _ in 0..2 {
        let density = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
        x -= (normal_cdf(x) - p) / density;
    }
    x
}

/// Two-sided normal point for a confidence level such as 0.95.
pub fn normal_point(level: f64) -> f64 {
    -normal_quantile(0.5 * (1.0 - level))
}

/// P(χ² ≥ x) with `df` degrees of freedom; 1 where `df` is 0.
pub fn chi_squared_upper(x: f64, df: f64) -> f64 {
    if df <= 0.0 || x <= 0.0 {
        return 1.0;
    }
    gamma::gamma_ur(0.5 * df, 0.5 * x)
}

/// Quantile of χ² with `df` degrees of freedom; 0 where `df` is 0.
pub fn chi_squared_quantile(p: f64, df: f64) -> f64 {
    if p <= 0.0 || df <= 0.0 {
        return 0.0;
    }
    let mut high = df.max(1.0);
    while chi_squared_upper(high, df) > 1.0 - p {
        high *= 2.0;
    }
    // In the lower tail P is the accurate side, in the upper tail Q is.
    let distance = |x: f64| {
        if p < 0.5 {
            gamma::gamma_lr(0.5 * df, 0.5 * x.max(f64::MIN_POSITIVE)) - p
        } else {
            (1.0 - p) - chi_squared_upper(x, df)
        }
    };
    brent(distance, 0.0, high).unwrap_or(f64::NAN)
}

/// P(|T| ≥ |t|), Student's t with `df` degrees of freedom.
pub fn student_two_sided(t: f64, df: f64) -> f64 {
    if t == 0.0 {
        return 1.0;
    }
    beta::beta_reg(0.5 * df, 0.5, df / (df + t * t))
}

/// Two-sided t point for a confidence level such as 0.95; infinite without degrees of freedom.
pub fn student_point(level: f64, df: f64) -> f64 {
    if df <= 0.0 {
        return f64::INFINITY;
    }
    let alpha = 1.0 - level;
    // Halley's method from the normal point, corrected to the fourth order in 1/df (Hill 1970).
    let z = std::f64::consts::SQRT_2 * erfc_inv(alpha);
    let (z2, x) = (z * z, 1.0 / df);
    let orders = [
        (z2 + 1.0) / 4.0,
        ((5.0 * z2 + 16.0) * z2 + 3.0) / 96.0,
        (((3.0 * z2 + 19.0) * z2 + 17.0) * z2 - 15.0) / 384.0,
        ((((79.0 * z2 + 776.0) * z2 + 1482.0) * z2 - 1920.0) * z2 - 945.0) / 92160.0,
    ];
    let mut t = z * (1.0 + orders.iter().rev().fold(0.0, |sum, order| (sum + order) * x));
    let scale = (gamma::ln_gamma(0.5 * (df + 1.0)) - gamma::ln_gamma(0.5 * df)).exp()
        / (df * std::f64::consts::PI).sqrt();
    for _ in 0..20 {
        let density = scale * (1.0 + t * t / df).powf(-0.5 * (df + 1.0));
        let newton = (student_two_sided(t, df) - alpha) / (2.0 * density);
        let bend = -(df + 1.0) * t / (df + t * t);
        let step = newton / (1.0 + 0.5 * newton * bend);
        if !(step.is_finite() && t + step > 0.0) {
            break;
        }
        t += step;
        // What is left is of the third order in the step.
        if step.abs() <= 1e-6 * t {
            return t;
        }
    }
    let mut high = 2.0;
    while student_two_sided(high, df) > alpha {
        high *= 2.0;
    }
    brent(|t| alpha - student_two_sided(t, df), 0.0, high).unwrap_or(f64::NAN)
}

/// Quantile of Beta(a, b); the borders where a parameter is 0.
pub fn beta_quantile(p: f64, a: f64, b: f64) -> f64 {
    if a <= 0.0 {
        return 0.0;
    }
    if b <= 0.0 {
        return 1.0;
    }
    brent(|x| beta::beta_reg(a, b, x.clamp(0.0, 1.0)) - p, 0.0, 1.0).unwrap_or(f64::NAN)
}

/// P(F ≥ f) with real degrees of freedom.
pub fn f_upper(f: f64, d1: f64, d2: f64) -> f64 {
    if f <= 0.0 { 1.0 } else { beta::beta_reg(0.5 * d2, 0.5 * d1, d2 / (d2 + d1 * f)) }
}

/// Quantile of F with real degrees of freedom.
pub fn f_quantile(p: f64, d1: f64, d2: f64) -> f64 {
    let x = beta_quantile(p, 0.5 * d1, 0.5 * d2);
    if x >= 1.0 { f64::INFINITY } else { d2 * x / (d1 * (1.0 - x)) }
}

/// Exact interval of a Poisson mean of which `observed` events were seen (Garwood 1936).
pub fn garwood(observed: f64, level: f64) -> [f64; 2] {
    let alpha = 1.0 - level;
    let low = 0.5 * chi_squared_quantile(0.5 * alpha, 2.0 * observed);
    [low, 0.5 * chi_squared_quantile(1.0 - 0.5 * alpha, 2.0 * observed + 2.0)]
}

/// Exact binomial interval of Clopper & Pearson for `x` of `n`.
pub fn clopper_pearson(x: f64, n: f64, level: f64) -> (f64, f64) {
    let alpha = 1.0 - level;
    (beta_quantile(0.5 * alpha, x, n - x + 1.0), beta_quantile(1.0 - 0.5 * alpha, x + 1.0, n - x))
}

/// Quantile of ascending values, interpolated (type 7, R's default); there is at least one.
pub fn quantile(ascending: &[f64], share: f64) -> f64 {
    let at = share * (ascending.len() - 1) as f64;
    let (low, rest) = (at.floor() as usize, at - at.floor());
    let high = (low + 1).min(ascending.len() - 1);
    ascending[low] + rest * (ascending[high] - ascending[low])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, wanted: f64) {
        assert!(
            (found - wanted).abs() <= 1e-12 * wanted.abs(),
            "found {found:e}, expected {wanted:e}"
        );
    }

    /// R 4.2.2: qnorm, qchisq, qt, qbeta, pchisq, pt, pf with digits = 16.
    #[test]
    fn quantiles_and_tails_agree_with_r() {
        close(normal_quantile(0.975), Z95);
        close(normal_quantile(1e-10), -6.361340902404056);
        close(normal_two_sided(5.0), 5.733031437583878e-07);
        close(chi_squared_quantile(0.025, 4.0), 0.4844185570879297);
        close(chi_squared_quantile(0.975, 12.0), 23.336664158645334);
        close(chi_squared_quantile(1e-5, 3.0), 0.001122582580001848);
        close(chi_squared_upper(418.142562948, 1.0), 6.19072502691925e-93);
        close(student_point(0.95, 4.0), 2.776445105197793);
        close(student_point(0.95, 1.0), 12.706204736174694);
        close(student_point(0.99, 2.0), 9.92484320091829);
        close(student_point(0.95, 1000.0), 1.962339080826408);
        close(student_point(0.95, 19.0), 2.093024054408309);
        close(student_point(0.99, 1.0), 63.65674116287153);
        close(student_point(0.9998, 2.0), 70.70007107496818);
        close(student_point(0.5, 5.0), 0.7266868438004229);
        close(student_point(0.95, 0.7), 36.61141503158832);
        close(student_two_sided(2.5, 7.0), 0.04099221858575287);
        close(beta_quantile(0.3, 2.5, 7.25), 0.1717307056343289);
        close(beta_quantile(0.025, 5.0, 1.0), 0.025_f64.powf(0.2));
        close(f_upper(3.5, 2.0, 7.5), 0.08440141532088824);
        close(f_quantile(0.975, 4.2, 9.0), 4.663772434568982);
    }

    #[test]
    fn poisson_limits_have_their_published_values() {
        let [low, high] = garwood(7.0, 0.95);
        assert!((low / 2.1 - 1.3401729).abs() < 1e-7 && (high / 2.1 - 6.8679406).abs() < 1e-7);
        assert_eq!(garwood(0.0, 0.95)[0], 0.0);
        close(garwood(0.0, 0.95)[1], -(0.025_f64).ln());
    }

    #[test]
    fn nobody_dead_among_n_has_the_closed_form() {
        let (low, high) = clopper_pearson(20.0, 20.0, 0.95);
        close(low, 0.025_f64.powf(1.0 / 20.0));
        close(high, 1.0);
    }
}
