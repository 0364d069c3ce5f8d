//! Words: signed fixed point in Z/2¹²⁸. Counts have no fraction bits, all other numbers 64.
//!
//! Sums of words are exact, so the order of the sites cannot matter, and the pooled number is the exact sum of the sites'
//! numbers, rounded once. A number keeps its whole mantissa down to 2⁻¹¹ in magnitude; below that the error is at most 2⁻⁶⁵.

use crate::summary::{Kind, Layout};

/// Bits behind the binary point.
const FRACTION_BITS: i32 = 64;

/// A number that cannot become a word. Holds no number: it may be shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    /// Larger than a sum over all members could hold.
    #[error(
        "array `{array}` contains a number too large to be summed under the seal; use larger units"
    )]
    Range {
        /// Array.
        array: String,
    },
    /// A count with a fraction.
    #[error("array `{array}` contains a count that is not whole")]
    NotWhole {
        /// Array.
        array: String,
    },
    /// Estimates are not summed.
    #[error("array `{array}` contains estimates, which are not summed")]
    Estimate {
        /// Array.
        array: String,
    },
    /// Hidden cells have no word.
    #[error("array `{array}` has withheld cells, which cannot be summed")]
    Hidden {
        /// Array.
        array: String,
    },
}

/// The word of each cell, such that a sum over `members` sites cannot leave the range.
///
/// # Errors
/// [`WordError`]; numbers are refused, never clipped.
pub fn encode(
    layout: &Layout,
    cells: &[Option<f64>],
    members: usize,
) -> Result<Vec<u128>, WordError> {
    let array = || layout.name.clone();
    let scale = match layout.kind {
        Kind::Count => 1.0,
        Kind::PersonTime | Kind::Sum => 2_f64.powi(FRACTION_BITS),
        Kind::Estimate => return Err(WordError::Estimate { array: array() }),
    };
    let bound = 2_f64.powi(126) / members.max(1) as f64;
    cells
        .iter()
        .map(|cell| {
            let cell = cell.ok_or_else(|| WordError::Hidden { array: array() })?;
            if layout.kind == Kind::Count && cell.fract() != 0.0 {
                return Err(WordError::NotWhole { array: array() });
            }
            // Scaling by a power of two is exact; only digits below 2⁻⁶⁴ are rounded.
            let scaled = (cell * scale).round_ties_even();
            if scaled.is_finite() && scaled.abs() <= bound {
                Ok((scaled as i128).cast_unsigned())
            } else {
                Err(WordError::Range { array: array() })
            }
        })
        .collect()
}

/// The numbers of summed words.
pub fn decode(layout: &Layout, words: &[u128]) -> Vec<f64> {
    let scale = if layout.kind == Kind::Count { 1.0 } else { 2_f64.powi(-FRACTION_BITS) };
    // Adding zero turns −0 into 0.
    words.iter().map(|word| word.cast_signed() as f64 * scale + 0.0).collect()
}

/// Adds `right` to `left`, word by word. The caller sees to equal lengths.
pub fn add(left: &mut [u128], right: &[u128]) {
    debug_assert_eq!(left.len(), right.len());
    for (a, b) in left.iter_mut().zip(right) {
        *a = a.wrapping_add(*b);
    }
}

/// Takes `right` from `left`, word by word. The caller sees to equal lengths.
pub fn subtract(left: &mut [u128], right: &[u128]) {
    debug_assert_eq!(left.len(), right.len());
    for (a, b) in left.iter_mut().zip(right) {
        *a = a.wrapping_sub(*b);
    }
}

/// Words as bytes, 16 each, little-endian.
pub fn to_bytes(words: &[u128]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Words of bytes; none if their number is not a multiple of 16.
pub fn from_bytes(bytes: &[u8]) -> Option<Vec<u128>> {
    let (words, rest) = bytes.as_chunks::<16>();
    rest.is_empty().then(|| words.iter().map(|chunk| u128::from_le_bytes(*chunk)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::{Axis, Rule};

    fn layout(kind: Kind, cells: usize) -> Layout {
        let axes = vec![Axis::numbered("cell", cells)];
        Layout { name: "a".into(), axes, kind, rule: Rule::Add, shown: false }
    }

    fn round_trip(kind: Kind, x: f64) -> f64 {
        let layout = layout(kind, 1);
        decode(&layout, &encode(&layout, &[Some(x)], 5).unwrap())[0]
    }

    #[test]
    fn numbers_come_back_as_they_were() {
        for x in [0.0, 1.0, -1.0, 1e15, 0.1, -1234.5678, f64::from(u32::MAX), 2_f64.powi(-9) / 3.0]
        {
            assert_eq!(round_trip(Kind::Sum, x), x, "{x}");
        }
        for x in [0.0, 1.0, 4028.0, 2_f64.powi(53)] {
            assert_eq!(round_trip(Kind::Count, x), x, "{x}");
        }
        assert!((round_trip(Kind::Sum, 1e-9) - 1e-9).abs() <= 2_f64.powi(-65));
        assert_eq!(round_trip(Kind::Sum, -1e-30).to_bits(), 0);
    }

    #[test]
    fn what_does_not_fit_is_refused_and_not_clipped() {
        let range = |x: f64| encode(&layout(Kind::Sum, 1), &[Some(x)], 40);
        assert!(range(1e17).is_ok());
        for x in [1e18, -1e18, f64::MAX, f64::INFINITY, f64::NAN] {
            assert_eq!(range(x), Err(WordError::Range { array: "a".into() }), "{x}");
        }
        let half = encode(&layout(Kind::Count, 1), &[Some(0.5)], 3);
        assert_eq!(half, Err(WordError::NotWhole { array: "a".into() }));
        let estimate = encode(&layout(Kind::Estimate, 1), &[Some(0.5)], 3);
        assert_eq!(estimate, Err(WordError::Estimate { array: "a".into() }));
        let hidden = encode(&layout(Kind::Count, 1), &[None], 3);
        assert_eq!(hidden, Err(WordError::Hidden { array: "a".into() }));
    }

    #[test]
    fn bytes_are_little_endian() {
        let bytes = to_bytes(&[1, u128::MAX]);
        assert_eq!(bytes[..17], [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255]);
        assert_eq!(from_bytes(&bytes), Some(vec![1, u128::MAX]));
        assert_eq!(from_bytes(&bytes[..31]), None);
    }
}
