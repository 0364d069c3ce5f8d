//! Numbers as people read them, after the SAMPL guidelines: as many digits as the data carry, p-values to two or three.

use super::locale::Locale;

impl Locale {
    /// `x` with `digits` decimals; a minus sign, not a hyphen.
    pub(super) fn decimals(&self, x: f64, digits: usize) -> String {
        let rounded = format!("{:.digits$}", x.abs());
        let (whole, fraction) = rounded.split_once('.').unwrap_or((&rounded, ""));
        let mut grouped = String::new();
        for (i, digit) in whole.chars().enumerate() {
            if i > 0 && (whole.len() - i) % 3 == 0 && whole.len() > 3 {
                grouped.push_str(&self.thousands);
            }
            grouped.push(digit);
        }
        if !fraction.is_empty() {
            grouped.push_str(&self.decimal);
            grouped.push_str(fraction);
        }
        let is_zero = !rounded.contains(|c: char| ('1'..='9').contains(&c));
        if x < 0.0 && !is_zero { format!("−{grouped}") } else { grouped }
    }

    /// A count.
    pub(super) fn count(&self, n: f64) -> String {
        self.decimals(n, 0)
    }

    /// A proportion as a percentage with one decimal.
    pub(super) fn percent(&self, share: f64) -> String {
        format!("{}%", self.decimals(100.0 * share, 1))
    }

    /// A ratio: three significant digits, at most two decimals for those above 1.
    pub(super) fn ratio(&self, x: f64) -> String {
        match x.abs() {
            a if a >= 1000.0 => format!("{x:.1e}"),
            a if a >= 100.0 => self.decimals(x, 0),
            a if a >= 10.0 => self.decimals(x, 1),
            a if a >= 0.1 || a == 0.0 => self.decimals(x, 2),
            a if a >= 0.001 => self.decimals(x, 4),
            _ => format!("{x:.1e}"),
        }
    }

    /// "p = 0.67", "p = 0.003", "p < 0.001".
    pub(super) fn p_sentence(&self, p: f64) -> String {
        let value = self.p_value(p);
        if value.starts_with('<') || value.starts_with('>') {
            let (sign, number) = value.split_at(1);
            format!("p {sign} {}", number.trim())
        } else {
            format!("p = {value}")
        }
    }

    /// "0.67", "0.003", "< 0.001".
    pub(super) fn p_value(&self, p: f64) -> String {
        match p {
            p if p < 0.001 => format!("< {}", self.decimals(0.001, 3)),
            p if p > 0.99 => format!("> {}", self.decimals(0.99, 2)),
            p if p < 0.1 => self.decimals(p, 3),
            p => self.decimals(p, 2),
        }
    }

    /// "4.08 to 5.78".
    pub(super) fn span(&self, low: &str, high: &str) -> String {
        format!("{low} {} {high}", self.to)
    }

    /// "a, b and c".
    pub(super) fn enumerate(&self, words: &[String]) -> String {
        match words {
            [] => String::new(),
            [one] => one.clone(),
            [first @ .., last] => format!("{} {} {last}", first.join(", "), self.and),
        }
    }

    /// "4.86 (4.08 to 5.78)".
    pub(super) fn with_interval(&self, [estimate, low, high]: [f64; 3]) -> String {
        format!("{} ({})", self.ratio(estimate), self.span(&self.ratio(low), &self.ratio(high)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_in_print() {
        let en = Locale::english().unwrap();
        assert_eq!(en.decimals(-1234567.891, 1), "−1,234,567.9");
        assert_eq!(en.decimals(-0.0001, 2), "0.00");
        assert_eq!(en.decimals(-0.5, 0), "0", "halves go to even, and zero has no sign");
        assert_eq!(
            [en.p_value(0.0004), en.p_value(0.0312), en.p_value(0.6659)],
            ["< 0.001", "0.031", "0.67"]
        );
        assert_eq!(en.p_sentence(1e-20), "p < 0.001");
        assert_eq!(en.with_interval([4.8561, 4.08, 5.7799]), "4.86 (4.08 to 5.78)");
        assert_eq!(
            [en.ratio(0.0123), en.ratio(15.234), en.ratio(123.4)],
            ["0.0123", "15.2", "123"]
        );
    }
}
