//! Ages and calendar years as tables about the population write them: single numbers, ranges such as `5-9`, open ends such as `85+`.
//!
//! A number alone is a single year where the numbers follow each other, and the first year of a band where they stand apart as in an
//! abridged life table (0, 1, 5, 10, …) or in steps of one width (0, 5, 10, …). Anything else that is missing between two numbers is a gap.

use std::collections::{BTreeMap, BTreeSet};

/// How a span of ages or calendar years is written, in whole years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Label {
    /// A number alone.
    Single(u32),
    /// First year, and first year no longer in it.
    Range(u32, u32),
    /// First year of an open span.
    Open(u32),
}

/// First year, and first year no longer in it; [`u32::MAX`] where it is open.
pub(super) type Span = [u32; 2];

/// What is wrong with a set of labels, in words that follow the name of the axis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unfit {
    /// Years between two spans that no label names.
    Gap(Span),
    /// Two labels that share this year.
    Overlap(u32),
}

impl Label {
    /// Reads `7`, `5-9`, `85+` or `<1`.
    pub(super) fn read(text: &str) -> Option<Self> {
        let text = text.trim().replace(['–', '—'], "-");
        let number = |text: &str| -> Option<u32> {
            let text = text.trim();
            text.strip_suffix(".0").unwrap_or(text).parse().ok().filter(|n| *n < 10_000)
        };
        if let Some(from) = text.strip_suffix('+') {
            return Some(Self::Open(number(from)?));
        }
        if let Some(end) = text.strip_prefix('<') {
            return Some(Self::Range(0, number(end).filter(|end| *end > 0)?));
        }
        match text.split_once('-') {
            Some((from, to)) => {
                let (from, to) = (number(from)?, number(to)?);
                (from <= to).then_some(Self::Range(from, to + 1))
            }
            None => number(&text).map(Self::Single),
        }
    }

    /// First year.
    pub(super) fn first(self) -> u32 {
        match self {
            Self::Single(first) | Self::Range(first, _) | Self::Open(first) => first,
        }
    }
}

/// Whether numbers that stand so far apart are single years, an abridged table, or bands of one width.
fn is_regular(first: u32, widths: &[u32]) -> bool {
    let singles = widths.iter().take_while(|w| **w == 1).count();
    let rest = &widths[singles..];
    let abridged = first == 0 && singles == 1 && rest.first() == Some(&4);
    let rest = if abridged { &rest[1..] } else { rest };
    let Some(&width) = rest.first() else { return true };
    if rest.iter().any(|w| *w != width) || width == 1 {
        return false;
    }
    // One wide step at the end of single years is a gap rather than a band.
    let start = first + widths[..widths.len() - rest.len()].iter().sum::<u32>();
    singles == 0 || abridged || (rest.len() > 1 && start.is_multiple_of(width))
}

/// Where numbers that are irregular leave their most common step.
fn first_gap(firsts: &[u32], widths: &[u32]) -> Option<Unfit> {
    let count = |w: u32| widths.iter().filter(|other| **other == w).count();
    let usual = *widths.iter().max_by_key(|w| (count(**w), std::cmp::Reverse(**w)))?;
    let at = widths.iter().position(|w| *w > usual)?;
    Some(Unfit::Gap([firsts[at] + usual, firsts[at + 1]]))
}

/// The span of each label. A number alone that comes last is as wide as the span before it.
pub(super) fn spans(labels: &BTreeSet<Label>) -> Result<BTreeMap<Label, Span>, Unfit> {
    let mut sorted: Vec<Label> = labels.iter().copied().collect();
    sorted.sort_by_key(|label| label.first());
    let firsts: Vec<u32> = sorted.iter().map(|label| label.first()).collect();
    if let Some(pair) = firsts.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Unfit::Overlap(pair[0]));
    }
    let ranged = sorted.iter().any(|label| matches!(label, Label::Range(..)));
    let widths: Vec<u32> = firsts.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let regular = is_regular(firsts.first().copied().unwrap_or(0), &widths);
    let as_bands = !ranged && regular;
    if let Some(gap) = first_gap(&firsts, &widths).filter(|_| !ranged && !regular) {
        return Err(gap);
    }
    let mut found = BTreeMap::new();
    for (i, label) in sorted.iter().enumerate() {
        let next = firsts.get(i + 1).copied();
        let to = match *label {
            Label::Open(_) => u32::MAX,
            Label::Range(_, to) => to,
            Label::Single(from) if as_bands => {
                let before = i.checked_sub(1).map_or(1, |i| widths[i]);
                next.unwrap_or(from + before)
            }
            Label::Single(from) => from + 1,
        };
        match next {
            Some(next) if next < to => return Err(Unfit::Overlap(next)),
            Some(next) if next > to => return Err(Unfit::Gap([to, next])),
            _ => {}
        }
        found.insert(*label, [label.first(), to]);
    }
    Ok(found)
}

/// Labels with their spans, and gaps between them.
type Calendar = (Vec<(Label, Span)>, Vec<Span>);

/// The span of each calendar year or period, ascending, and the spans between them that no line names. A number alone is one year.
pub(super) fn calendar(labels: &BTreeSet<Label>) -> Result<Calendar, Unfit> {
    let span = |label: &Label| match *label {
        Label::Single(year) => [year, year + 1],
        Label::Range(from, to) => [from, to],
        Label::Open(from) => [from, u32::MAX],
    };
    let mut found: Vec<(Label, Span)> = labels.iter().map(|label| (*label, span(label))).collect();
    found.sort_by_key(|(_, span)| span[0]);
    let mut gaps = Vec::new();
    for pair in found.windows(2) {
        let ([_, to], [next, _]) = (pair[0].1, pair[1].1);
        if next < to {
            return Err(Unfit::Overlap(next));
        }
        if next > to {
            gaps.push([to, next]);
        }
    }
    Ok((found, gaps))
}

/// Name of a span in a message: `7`, `5–9` or `85+`.
pub(super) fn span_name(span: Span) -> String {
    tributary_core::cohort::ages_name(span)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[&str]) -> Result<Vec<Span>, Unfit> {
        let labels: BTreeSet<Label> = texts.iter().map(|t| Label::read(t).unwrap()).collect();
        let mut spans: Vec<Span> = spans(&labels)?.into_values().collect();
        spans.sort_unstable();
        Ok(spans)
    }

    #[test]
    fn labels_are_numbers_ranges_and_open_ends() {
        assert_eq!(Label::read(" 05–09"), Some(Label::Range(5, 10)));
        assert_eq!(Label::read("<1"), Some(Label::Range(0, 1)));
        assert_eq!(Label::read("85 +"), Some(Label::Open(85)));
        assert_eq!(Label::read("2000.0"), Some(Label::Single(2000)));
        for text in ["", "x", "9-5", "-1", "7.5", "<0", "both"] {
            assert_eq!(Label::read(text), None, "{text}");
        }
    }

    #[test]
    fn numbers_alone_are_single_years_or_the_bands_of_an_abridged_table() {
        assert_eq!(of(&["0", "1", "2"]).unwrap(), [[0, 1], [1, 2], [2, 3]]);
        assert_eq!(of(&["0", "1", "5", "10"]).unwrap(), [[0, 1], [1, 5], [5, 10], [10, 15]]);
        assert_eq!(of(&["0", "5", "10+"]).unwrap(), [[0, 5], [5, 10], [10, u32::MAX]]);
        let singles_then_bands = of(&["0", "1", "2", "3", "4", "5", "10", "15"]).unwrap();
        assert_eq!(singles_then_bands[5..], [[5, 10], [10, 15], [15, 20]]);
        assert_eq!(of(&["0", "1-4", "5+"]).unwrap(), [[0, 1], [1, 5], [5, u32::MAX]]);
    }

    #[test]
    fn gaps_and_overlaps_are_found() {
        assert_eq!(of(&["0", "1", "2", "4", "5"]), Err(Unfit::Gap([3, 4])));
        assert_eq!(of(&["0", "1", "2", "4"]), Err(Unfit::Gap([3, 4])));
        assert_eq!(of(&["0", "5", "10", "20", "25"]), Err(Unfit::Gap([15, 20])));
        assert_eq!(of(&["0", "1", "5", "10", "20", "25"]), Err(Unfit::Gap([15, 20])));
        assert_eq!(of(&["0", "1-4", "10-14"]), Err(Unfit::Gap([5, 10])));
        assert_eq!(of(&["0", "0-4"]), Err(Unfit::Overlap(0)));
        assert_eq!(of(&["0-4", "3"]), Err(Unfit::Overlap(3)));
        assert_eq!(of(&["0", "5+", "10"]), Err(Unfit::Overlap(10)));
    }

    #[test]
    fn calendar_years_are_single_and_gaps_between_them_are_told() {
        let of = |texts: &[&str]| {
            let labels = texts.iter().map(|t| Label::read(t).unwrap()).collect();
            let (found, gaps) = calendar(&labels)?;
            Ok((found.into_iter().map(|(_, span)| span).collect::<Vec<Span>>(), gaps))
        };
        let (years, gaps) = of(&["1950", "1960", "1961-1965"]).unwrap();
        assert_eq!(years, [[1950, 1951], [1960, 1961], [1961, 1966]]);
        assert_eq!(gaps, [[1951, 1960]]);
        assert_eq!(of(&["1950-1959", "1955"]), Err(Unfit::Overlap(1955)));
    }
}
