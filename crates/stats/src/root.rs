//! One-dimensional roots and maxima. Every optimum in the engine that has one parameter is found by a scan over the
//! whole range and then refined, so that a second mode is seen instead of missed.

/// Root of a continuous `f` in `[low, high]` by bisection with secant steps (Dekker–Brent); `None` unless the signs differ.
pub fn brent(f: impl Fn(f64) -> f64, low: f64, high: f64) -> Option<f64> {
    let (mut a, mut b) = (low, high);
    let (mut fa, mut fb) = (f(a), f(b));
    if fa == 0.0 {
        return Some(a);
    }
    if fb == 0.0 {
        return Some(b);
    }
    if !fa.is_finite() || !fb.is_finite() || fa.signum() == fb.signum() {
        return None;
    }
    let (mut c, mut fc) = (a, fa);
    let mut last = b - a;
    let mut before_last = last;
    for _ in 0..500 {
        if fb.signum() == fc.signum() {
            (c, fc) = (a, fa);
            last = b - a;
            before_last = last;
        }
        if fc.abs() < fb.abs() {
            (a, b, c) = (b, c, b);
            (fa, fb, fc) = (fb, fc, fb);
        }
        let tolerance = 2.0 * f64::EPSILON * b.abs() + f64::MIN_POSITIVE;
        let middle = 0.5 * (c - b);
        if middle.abs() <= tolerance || fb == 0.0 {
            return Some(b);
        }
        let mut step = middle;
        if before_last.abs() >= tolerance && fa.abs() > fb.abs() {
            let s = fb / fa;
            let (mut p, mut q) = if a.to_bits() == c.to_bits() {
                (2.0 * middle * s, 1.0 - s)
            } else {
                let (q, r) = (fa / fc, fb / fc);
                (
                    s * (2.0 * middle * q * (q - r) - (b - a) * (r - 1.0)),
                    (q - 1.0) * (r - 1.0) * (s - 1.0),
                )
            };
            if p > 0.0 {
                q = -q;
            }
            p = p.abs();
            if 2.0 * p < (3.0 * middle * q - (tolerance * q).abs()).min((before_last * q).abs()) {
                before_last = last;
                step = p / q;
            } else {
                before_last = middle;
            }
        } else {
            before_last = middle;
        }
        last = step;
        (a, fa) = (b, fb);
        b += if step.abs() > tolerance { step } else { tolerance.copysign(middle) };
        fb = f(b);
    }
    Some(b)
}

const GOLDEN: f64 = 0.618_033_988_749_895;

/// Where a one-peaked function is largest between two points, by golden sections.
pub fn golden(f: impl Fn(f64) -> f64, low: f64, high: f64, tolerance: f64) -> f64 {
    let (mut a, mut b) = (low, high);
    let (mut c, mut d) = (b - GOLDEN * (b - a), a + GOLDEN * (b - a));
    let (mut fc, mut fd) = (f(c), f(d));
    while (b - a).abs() > tolerance {
        if fc > fd {
            (b, d, fd) = (d, c, fc);
            c = b - GOLDEN * (b - a);
            fc = f(c);
        } else {
            (a, c, fc) = (c, d, fd);
            d = a + GOLDEN * (b - a);
            fd = f(d);
        }
    }
    f64::midpoint(a, b)
}

/// All local maxima of `f` over the points `grid` (ascending), as positions in the grid, borders included.
pub fn local_maxima(f: impl Fn(f64) -> f64, grid: &[f64]) -> Vec<usize> {
    let values: Vec<f64> = grid.iter().map(|&x| f(x)).collect();
    let rises = |i: usize| i == 0 || values[i] > values[i - 1];
    let falls = |i: usize| i + 1 == values.len() || values[i] >= values[i + 1];
    (0..values.len()).filter(|&i| rises(i) && falls(i)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brent_finds_the_golden_root_and_refuses_equal_signs() {
        let root = brent(|x| x * x - x - 1.0, 0.0, 5.0).unwrap();
        assert!((root - f64::midpoint(1.0, 5.0_f64.sqrt())).abs() < 1e-14);
        assert!(brent(|x| x * x + 1.0, -1.0, 1.0).is_none());
    }

    #[test]
    fn golden_sections_close_in_on_the_peak() {
        let at = golden(|x| -(x - 0.3).powi(2), -1.0, 2.0, 1e-9);
        assert!((at - 0.3).abs() < 1e-7, "{at}");
        assert!(golden(|x| x, 0.0, 1.0, 1e-9) > 1.0 - 1e-8);
    }

    #[test]
    fn every_mode_is_reported() {
        let grid: Vec<f64> = (0..=100).map(|i| f64::from(i) / 10.0).collect();
        let two_modes = |x: f64| (-(x - 2.0).powi(2)).exp() + 0.5 * (-(x - 8.0).powi(2)).exp();
        assert_eq!(local_maxima(two_modes, &grid), [20, 80]);
    }
}
