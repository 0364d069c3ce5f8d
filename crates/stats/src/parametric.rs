//! Log-likelihood contributions of parametric survival models, left truncation included.
//!
//! Accelerated failure time: ln T = μ + σ ε, with ε of the extreme value (exponential, Weibull), normal, logistic or Prentice's
//! generalised gamma distribution. Gompertz: hazard exp(η + b t). All likelihoods are those of T itself, not of its logarithm.
//!
//! Sources: Kalbfleisch & Prentice (2002), chapter 2; Prentice (1974) for the generalised gamma in (μ, σ, Q).

use statrs::function::gamma::{gamma_lr, gamma_ur, ln_gamma};

use super::jet::Jet;

/// Distribution of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distribution {
    /// Constant hazard; σ is 1.
    Exponential,
    /// Weibull.
    Weibull,
    /// Gompertz: the first parameter is the log rate, the second the shape b.
    Gompertz,
    /// Log-normal.
    LogNormal,
    /// Log-logistic.
    LogLogistic,
    /// Generalised gamma; the third parameter is Q.
    GeneralizedGamma,
}

impl Distribution {
    /// Parameters beside the linear predictor: none, ln σ (or b), and Q.
    pub fn ancillary(self) -> usize {
        match self {
            Self::Exponential => 0,
            Self::Weibull | Self::Gompertz | Self::LogNormal | Self::LogLogistic => 1,
            Self::GeneralizedGamma => 2,
        }
    }

    /// Names of those parameters.
    pub fn ancillary_names(self) -> &'static [&'static str] {
        match self {
            Self::Exponential => &[],
            Self::Weibull | Self::LogNormal | Self::LogLogistic => &["log(scale)"],
            Self::Gompertz => &["shape"],
            Self::GeneralizedGamma => &["log(scale)", "Q"],
        }
    }
}

/// ln S(t) and ln f(t), as functions of the linear predictor, the first ancillary parameter (0 where there is none) and Q.
#[derive(Debug, Clone, Copy)]
pub struct LogCurves {
    /// ln S.
    pub survival: Jet<3>,
    /// ln f.
    pub density: Jet<3>,
}

/// Both curves at time `t` > 0.
pub fn log_curves(distribution: Distribution, t: f64, theta: [f64; 3]) -> LogCurves {
    if distribution == Distribution::GeneralizedGamma {
        return generalized_gamma(t, theta);
    }
    let eta = Jet::<3>::variable(theta[0], 0);
    let a = Jet::<3>::variable(theta[1], 1);
    if distribution == Distribution::Gompertz {
        let hazard = eta + a * t;
        // (e^{bt} − 1) / b, by its series where b t is small.
        let bt = theta[1] * t;
        let integral = if bt.abs() < 1e-5 {
            a.chain(t * (1.0 + bt / 2.0), t * t * (0.5 + bt / 3.0), t * t * t / 3.0)
        } else {
            ((a * t).exp() - 1.0) / a
        };
        let survival = -(eta.exp() * integral);
        return LogCurves { survival, density: hazard + survival };
    }
    let (scale, log_scale) = match distribution {
        Distribution::Exponential => (Jet::constant(1.0), Jet::constant(0.0)),
        _ => ((-a).exp(), a),
    };
    let z = (-eta + t.ln()) * scale;
    let jacobian = -log_scale - t.ln();
    match distribution {
        Distribution::LogNormal => {
            let half = 0.5 * (2.0 * std::f64::consts::PI).ln();
            LogCurves { survival: z.ln_normal_upper(), density: z * z * -0.5 - half + jacobian }
        }
        Distribution::LogLogistic => {
            let survival = -z.softplus();
            LogCurves { survival, density: z + survival * 2.0 + jacobian }
        }
        _ => {
            let survival = -z.exp();
            LogCurves { survival, density: z + survival + jacobian }
        }
    }
}

/// |Q| below which the curves are interpolated through the log-normal at Q = 0, where the gamma function overflows.
const NEAR_LOG_NORMAL: f64 = 0.02;

/// ln S(w) and ln f(w) of the standardised generalised gamma as functions of w, with two derivatives.
fn standard_gamma(w: f64, q: f64) -> ([f64; 3], [f64; 3]) {
    if q == 0.0 {
        let z = Jet::<1>::variable(w, 0);
        let s = z.ln_normal_upper();
        let half = 0.5 * (2.0 * std::f64::consts::PI).ln();
        let survival = [s.value, s.gradient[0], s.hessian[0][0]];
        return (survival, [-0.5 * w * w - half, -w, -1.0]);
    }
    let k = 1.0 / (q * q);
    let e = (q * w).exp();
    let density = [q.abs().ln() + k * k.ln() - ln_gamma(k) + k * (q * w - e), (1.0 - e) / q, -e];
    let u = (k * e).clamp(f64::MIN_POSITIVE, 1e300);
    let tail = if q > 0.0 { gamma_ur(k, u) } else { gamma_lr(k, u) };
    let log = tail.max(f64::MIN_POSITIVE).ln();
    let ratio = (density[0] - log).exp();
    (([log, -ratio, -ratio * (density[1] + ratio)]), density)
}

/// The same, smooth in Q through 0.
fn smooth_gamma(w: f64, q: f64) -> ([f64; 3], [f64; 3]) {
    if q.abs() >= NEAR_LOG_NORMAL {
        return standard_gamma(w, q);
    }
    let nodes = [-2.0, -1.0, 0.0, 1.0, 2.0].map(|i| i * NEAR_LOG_NORMAL);
    let (mut survival, mut density) = ([0.0; 3], [0.0; 3]);
    for (i, node) in nodes.iter().enumerate() {
        let others = nodes.iter().enumerate().filter(|(j, _)| *j != i);
        let weight: f64 = others.map(|(_, other)| (q - other) / (node - other)).product();
        let (s, d) = standard_gamma(w, *node);
        for m in 0..3 {
            survival[m] += weight * s[m];
            density[m] += weight * d[m];
        }
    }
    (survival, density)
}

/// Derivatives with respect to μ and ln σ in closed form, with respect to Q by differences of the fourth order.
fn generalized_gamma(t: f64, theta: [f64; 3]) -> LogCurves {
    const H: f64 = 4e-3;
    let mu = Jet::<3>::variable(theta[0], 0);
    let a = Jet::<3>::variable(theta[1], 1);
    let w = (-mu + t.ln()) * (-a).exp();
    let jacobian = -a - t.ln();
    let at = |q: f64| {
        let (s, d) = smooth_gamma(w.value, q);
        (w.chain(s[0], s[1], s[2]), w.chain(d[0], d[1], d[2]) + jacobian)
    };
    let q = theta[2];
    let [m2, m1, p0, p1, p2] = [-2.0, -1.0, 0.0, 1.0, 2.0].map(|i| at(q + i * H));
    let join = |f: [Jet<3>; 5]| {
        let first = |g: &dyn Fn(&Jet<3>) -> f64| {
            (8.0 * (g(&f[3]) - g(&f[1])) - (g(&f[4]) - g(&f[0]))) / (12.0 * H)
        };
        let mut jet = f[2];
        jet.gradient[2] = first(&|j| j.value);
        for k in 0..2 {
            let mixed = first(&|j| j.gradient[k]);
            jet.hessian[k][2] = mixed;
            jet.hessian[2][k] = mixed;
        }
        let v = f.map(|j| j.value);
        jet.hessian[2][2] =
            (-v[4] + 16.0 * v[3] - 30.0 * v[2] + 16.0 * v[1] - v[0]) / (12.0 * H * H);
        jet
    };
    LogCurves {
        survival: join([m2.0, m1.0, p0.0, p1.0, p2.0]),
        density: join([m2.1, m1.1, p0.1, p1.1, p2.1]),
    }
}

/// Contribution of one person: ln f or ln S at the end of follow-up, less ln S at late entry.
pub fn contribution(
    distribution: Distribution,
    entry: f64,
    exit: f64,
    event: bool,
    theta: [f64; 3],
) -> Jet<3> {
    let curves = log_curves(distribution, exit, theta);
    let end = if event { curves.density } else { curves.survival };
    if entry > 0.0 { end - log_curves(distribution, entry, theta).survival } else { end }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Distribution; 6] = [
        Distribution::Exponential,
        Distribution::Weibull,
        Distribution::Gompertz,
        Distribution::LogNormal,
        Distribution::LogLogistic,
        Distribution::GeneralizedGamma,
    ];

    #[test]
    fn the_density_is_the_slope_of_survival() {
        for distribution in ALL {
            for theta in [[0.4, -0.3, 0.7], [1.2, 0.2, -0.9], [0.1, 0.05, 0.005]] {
                let (t, h) = (1.7, 1e-6);
                let s = |t: f64| log_curves(distribution, t, theta).survival.value.exp();
                let slope = (s(t - h) - s(t + h)) / (2.0 * h);
                let density = log_curves(distribution, t, theta).density.value.exp();
                assert!(
                    (slope - density).abs() < 2e-6 * density.max(1e-3),
                    "{distribution:?} {theta:?}"
                );
            }
        }
    }

    #[test]
    fn derivatives_equal_differences() {
        for distribution in ALL {
            for theta in [[0.4, -0.3, 0.7], [0.2, 0.2, -0.9], [0.3, 0.1, 0.001]] {
                let f = |theta| contribution(distribution, 0.3, 2.1, false, theta);
                let h = 1e-5;
                for k in 0..3 {
                    let move_by = |x: f64| {
                        let mut moved = theta;
                        moved[k] += x;
                        f(moved)
                    };
                    let (up, down) = (move_by(h), move_by(-h));
                    let wanted = (up.value - down.value) / (2.0 * h);
                    let found = f(theta).gradient[k];
                    assert!(
                        (found - wanted).abs() < 1e-6,
                        "{distribution:?} {k}: {found} {wanted}"
                    );
                    let wanted = (up.gradient[0] - down.gradient[0]) / (2.0 * h);
                    assert!((f(theta).hessian[0][k] - wanted).abs() < 1e-5, "{distribution:?} {k}");
                }
            }
        }
    }

    #[test]
    fn the_generalised_gamma_holds_weibull_and_log_normal() {
        let theta = [0.4, -0.3, 1.0];
        let a = log_curves(Distribution::GeneralizedGamma, 1.3, theta);
        let b = log_curves(Distribution::Weibull, 1.3, theta);
        assert!((a.survival.value - b.survival.value).abs() < 1e-12);
        let theta = [0.4, -0.3, 0.0];
        let a = log_curves(Distribution::GeneralizedGamma, 1.3, theta);
        let b = log_curves(Distribution::LogNormal, 1.3, theta);
        assert!((a.density.value - b.density.value).abs() < 1e-12);
    }
}
