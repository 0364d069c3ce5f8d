//! Second-order forward differentiation in a few variables: value, gradient and Hessian of a formula as it is written.
//!
//! A log-likelihood contribution depends on its parameters through a few linear predictors; a [`Jet`] over those gives score
//! and information without derivatives by hand, hence without their mistakes.

use std::ops::{Add, Div, Mul, Neg, Sub};

/// Value, gradient and Hessian in `N` variables.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Jet<const N: usize> {
    /// Value.
    pub value: f64,
    /// ∂/∂η_k.
    pub gradient: [f64; N],
    /// ∂²/∂η_k∂η_l.
    pub hessian: [[f64; N]; N],
}

impl<const N: usize> Jet<N> {
    /// A constant.
    pub const fn constant(value: f64) -> Self {
        Self { value, gradient: [0.0; N], hessian: [[0.0; N]; N] }
    }

    /// The variable at position `k`.
    pub fn variable(value: f64, k: usize) -> Self {
        let mut jet = Self::constant(value);
        jet.gradient[k] = 1.0;
        jet
    }

    /// f(self) with f, f′ and f″ at the value.
    #[must_use]
    pub fn chain(self, f: f64, first: f64, second: f64) -> Self {
        let mut jet = Self::constant(f);
        for k in 0..N {
            jet.gradient[k] = first * self.gradient[k];
            for l in 0..N {
                jet.hessian[k][l] =
                    second * self.gradient[k] * self.gradient[l] + first * self.hessian[k][l];
            }
        }
        jet
    }

    /// eˣ.
    #[must_use]
    pub fn exp(self) -> Self {
        let e = self.value.exp();
        self.chain(e, e, e)
    }

    /// ln x.
    #[must_use]
    pub fn ln(self) -> Self {
        let x = self.value;
        self.chain(x.ln(), 1.0 / x, -1.0 / (x * x))
    }

    /// ln(1 + eˣ), without overflow.
    #[must_use]
    pub fn softplus(self) -> Self {
        let x = self.value;
        let p = 1.0 / (1.0 + (-x).exp());
        let value = if x > 0.0 { x + (-x).exp().ln_1p() } else { x.exp().ln_1p() };
        self.chain(value, p, p * (1.0 - p))
    }

    /// ln(1 − e⁻ˣ) for x > 0.
    #[must_use]
    pub fn ln_one_minus_exp(self) -> Self {
        let x = self.value;
        let q = 1.0 / x.exp_m1();
        self.chain((-(-x).exp_m1()).ln(), q, -q * (1.0 + q))
    }

    /// ln(eˣ + eʸ).
    #[must_use]
    pub fn log_add_exp(self, other: Self) -> Self {
        if self.value == f64::NEG_INFINITY {
            return other;
        }
        other + (self - other).softplus()
    }

    /// Logarithm of the upper tail of the standard normal, accurate far out.
    #[must_use]
    pub fn ln_normal_upper(self) -> Self {
        let x = self.value;
        let value = super::distribution::ln_normal_upper(x);
        // Inverse Mills ratio φ(x) / Φ(−x).
        let mills = (-0.5 * x * x - 0.5 * (2.0 * std::f64::consts::PI).ln() - value).exp();
        self.chain(value, -mills, -mills * (mills - x))
    }
}

impl<const N: usize> Add for Jet<N> {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        let mut jet = Self::constant(self.value + other.value);
        for k in 0..N {
            jet.gradient[k] = self.gradient[k] + other.gradient[k];
            for l in 0..N {
                jet.hessian[k][l] = self.hessian[k][l] + other.hessian[k][l];
            }
        }
        jet
    }
}

impl<const N: usize> Neg for Jet<N> {
    type Output = Self;
    fn neg(self) -> Self {
        self * -1.0
    }
}

impl<const N: usize> Sub for Jet<N> {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        self + other * -1.0
    }
}

impl<const N: usize> Mul for Jet<N> {
    type Output = Self;
    fn mul(self, other: Self) -> Self {
        let (a, b) = (self.value, other.value);
        let mut jet = Self::constant(a * b);
        for k in 0..N {
            jet.gradient[k] = a * other.gradient[k] + b * self.gradient[k];
            for l in 0..N {
                jet.hessian[k][l] = a * other.hessian[k][l]
                    + b * self.hessian[k][l]
                    + self.gradient[k] * other.gradient[l]
                    + other.gradient[k] * self.gradient[l];
            }
        }
        jet
    }
}

impl<const N: usize> Div for Jet<N> {
    type Output = Self;
    fn div(self, other: Self) -> Self {
        let x = other.value;
        self * other.chain(1.0 / x, -1.0 / (x * x), 2.0 / (x * x * x))
    }
}

impl<const N: usize> Add<f64> for Jet<N> {
    type Output = Self;
    fn add(mut self, x: f64) -> Self {
        self.value += x;
        self
    }
}

impl<const N: usize> Sub<f64> for Jet<N> {
    type Output = Self;
    fn sub(self, x: f64) -> Self {
        self + -x
    }
}

impl<const N: usize> Mul<f64> for Jet<N> {
    type Output = Self;
    fn mul(mut self, x: f64) -> Self {
        self.value *= x;
        for k in 0..N {
            self.gradient[k] *= x;
            for l in 0..N {
                self.hessian[k][l] *= x;
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formula(a: f64, b: f64) -> Jet<2> {
        let (x, y) = (Jet::variable(a, 0), Jet::variable(b, 1));
        (x * y).exp() / (y + 2.0) - (x * 3.0).softplus()
            + x.ln_normal_upper() * y.ln()
            + x.log_add_exp(y)
            + y.ln_one_minus_exp()
    }

    #[test]
    fn derivatives_equal_differences() {
        for (a, b) in [(0.3, 0.9), (-1.2, 2.0), (2.5, 0.4)] {
            let h = 1e-5;
            let jet = formula(a, b);
            let dx = (formula(a + h, b).value - formula(a - h, b).value) / (2.0 * h);
            let dxy = (formula(a, b + h).gradient[0] - formula(a, b - h).gradient[0]) / (2.0 * h);
            let dyy = (formula(a, b + h).gradient[1] - formula(a, b - h).gradient[1]) / (2.0 * h);
            for (found, wanted) in
                [(jet.gradient[0], dx), (jet.hessian[0][1], dxy), (jet.hessian[1][1], dyy)]
            {
                assert!((found - wanted).abs() < 1e-7 * wanted.abs().max(1.0), "{found} {wanted}");
            }
        }
    }

    #[test]
    fn nothing_overflows_far_out() {
        let x = Jet::<1>::variable(800.0, 0);
        assert!(x.softplus().value.is_finite() && x.softplus().gradient[0].is_finite());
        let far = Jet::<1>::variable(40.0, 0).ln_normal_upper();
        assert!(far.value.is_finite() && far.hessian[0][0].is_finite());
    }
}
