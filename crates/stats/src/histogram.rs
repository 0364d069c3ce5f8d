//! Quantiles from a histogram: exact where each bin holds one possible value, interpolated where bins are wider.

/// Quantile `p` of `counts` in bins; `edge(i)` is the left edge of bin `i` and the right edge of the bin before.
///
/// With `discrete`, a bin is one value (its left edge) and the result is R's `quantile(type = 2)`: the inverse of the
/// empirical distribution, averaged over the jump. Otherwise a bin's cases lie evenly in it. `None` if there is nobody.
pub fn quantile(
    counts: &[f64],
    edge: impl Fn(usize) -> f64,
    discrete: bool,
    p: f64,
) -> Option<f64> {
    let n: f64 = counts.iter().sum();
    if n <= 0.0 {
        return None;
    }
    let target = p * n;
    let mut below = 0.0;
    for (bin, &count) in counts.iter().enumerate() {
        if count <= 0.0 {
            continue;
        }
        let above = below + count;
        if discrete && (above - target).abs() < 1e-9 * n {
            let next = (bin + 1..counts.len()).find(|&j| counts[j] > 0.0).unwrap_or(bin);
            return Some(f64::midpoint(edge(bin), edge(next)));
        }
        if above >= target {
            return Some(if discrete {
                edge(bin)
            } else {
                edge(bin) + (edge(bin + 1) - edge(bin)) * (target - below) / count
            });
        }
        below = above;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::quantile;

    #[test]
    fn whole_numbers_give_the_quantiles_of_the_rows() {
        // R: quantile(c(0,1,1,3), c(.25,.5,.75), type = 2) is 0.5 1.0 2.0
        let counts = [1.0, 2.0, 0.0, 1.0];
        let at = |p| quantile(&counts, |bin| bin as f64, true, p);
        assert_eq!([at(0.25), at(0.5), at(0.75)], [Some(0.5), Some(1.0), Some(2.0)]);
        assert_eq!(quantile(&[0.0], |bin| bin as f64, true, 0.5), None);
    }

    #[test]
    fn wide_bins_are_interpolated() {
        let tens = |bin: usize| 10.0 * bin as f64;
        assert_eq!(quantile(&[2.0, 2.0], tens, false, 0.75), Some(15.0));
        let cuts = [0.0, 1.0, 5.0];
        assert_eq!(quantile(&[2.0, 2.0], |bin| cuts[bin], false, 0.75), Some(3.0));
    }
}
