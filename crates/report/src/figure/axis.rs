//! Axes: the one place that chooses round marks, writes their labels and lays both along a side of a plot.

use super::canvas::{Anchor, Canvas, INK, Point, RULE, SMALL, TEXT, WIDTH};

/// Least distance of two labels.
const APART: f64 = 14.0;
/// Every how many labels are kept where all would touch: of numbers, and of ratios at 1, 2 and 5 or 1, 1.5, 2, 3, 5 and 7.
const NUMBERS: &[usize] = &[1, 2, 3, 4, 5, 10, 20, 50];
const RATIOS: &[usize] = &[1, 3, 6, 12];
/// Ratios further from 1 than e to this power would flatten all others.
const FURTHEST: f64 = 7.0;

/// Values from `low` to `high`, laid from one place of the figure to another.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Axis {
    pub low: f64,
    pub high: f64,
    /// Value and label; a mark without a label is drawn all the same.
    pub marks: Vec<(f64, String)>,
    pub from: f64,
    pub to: f64,
    kept: &'static [usize],
}

/// On which side of the axis its labels stand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Side {
    Below,
    Left,
    Right,
}

/// The smallest and largest of the values that are numbers.
pub(super) fn range(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let known = values.into_iter().filter(|x| x.is_finite());
    known.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)))
}

/// The range itself; around one value or none, a range that can be drawn.
fn widened((low, high): (f64, f64)) -> (f64, f64) {
    let size = low.abs().max(high.abs());
    match (low <= high, high - low > 1e-9 * size) {
        (false, _) => (0.0, 1.0),
        (_, true) => (low, high),
        _ if size > 0.0 => (low - 0.1 * size, high + 0.1 * size),
        _ => (-1.0, 1.0),
    }
}

/// Step of 1, 2 or 5 times a power of ten, so that about `count` of them make up the range; whole between whole numbers that
/// do not start at 0, such as years and ages.
fn step((low, high): (f64, f64), count: usize) -> f64 {
    let raw = (high - low) / count.max(1) as f64;
    let power = 10.0_f64.powf(raw.log10().floor());
    let round = [1.0, 2.0, 5.0].map(|m| m * power).into_iter().find(|s| *s >= raw * 0.999);
    let whole = low != 0.0 && low.fract() == 0.0 && high.fract() == 0.0;
    round.unwrap_or(10.0 * power).max(if whole { 1.0 } else { 0.0 })
}

/// Multiples of the step within the range.
fn multiples((low, high): (f64, f64), step: f64) -> Vec<f64> {
    let (first, last) = ((low / step - 1e-6).ceil(), (high / step + 1e-6).floor());
    let n = (last - first).max(-1.0) + 1.0;
    (0..n as usize).map(|i| (first + i as f64) * step).collect()
}

/// A number with the decimals that tell it from its neighbours a step away, and a true minus; zero has none.
fn written(value: f64, step: f64) -> String {
    if value.abs() < 1e-6 * step {
        return "0".into();
    }
    let decimals = (-(step.log10() + 1e-9).floor()).max(0.0) as usize;
    format!("{value:.decimals$}").replace('-', "−")
}

/// Marks of an axis from `first` to `last`, which end it whether or not they have a label.
pub(crate) fn spaced_marks(first: f64, last: f64, count: usize) -> Vec<(f64, String)> {
    let (first, last) = widened((first, last));
    let step = step((first, last), count);
    let mut marks: Vec<(f64, String)> =
        multiples((first, last), step).into_iter().map(|t| (t, written(t, step))).collect();
    // An end so near to a mark needs none of its own.
    let near = |marks: &[(f64, String)], x: f64| {
        marks.iter().any(|(t, _)| (t - x).abs() < 0.003 * (last - first))
    };
    if !near(&marks, first) {
        marks.insert(0, (first, String::new()));
    }
    if !near(&marks, last) {
        marks.push((last, String::new()));
    }
    marks
}

/// Marks of an axis of follow-up from 0 to `last`: "1" and "1.5".
pub(crate) fn marks(last: f64) -> Vec<(f64, String)> {
    let mut marks = spaced_marks(0.0, last, 10);
    for (_, label) in marks.iter_mut().filter(|m| m.1.contains('.')) {
        label.truncate(label.trim_end_matches('0').trim_end_matches('.').len());
    }
    marks
}

/// Marks of ratios within logarithms: at 1, 2 and 5, else closer, else at even steps, so that no part of the axis is bare.
fn ratio_marks((low, high): (f64, f64)) -> Vec<f64> {
    let decades = (-4..=4).map(|d| 10.0_f64.powi(d));
    let at = |steps: &[f64]| -> Vec<f64> {
        let all = decades.clone().flat_map(|d| steps.iter().map(move |s| (d * s).ln()));
        all.filter(|v| (low..=high).contains(v)).collect()
    };
    let enough = |marks: &Vec<f64>| {
        let ends = [low].into_iter().chain(marks.iter().copied()).chain([high]);
        let ends: Vec<f64> = ends.collect();
        marks.len() >= 4 && ends.windows(2).all(|w| w[1] - w[0] < 0.4 * (high - low))
    };
    let choices = [at(&[1.0, 2.0, 5.0]), at(&[1.0, 1.5, 2.0, 3.0, 5.0, 7.0])];
    choices.into_iter().find(enough).unwrap_or_else(|| {
        let ends = (low.exp(), high.exp());
        multiples(ends, step(ends, 6)).into_iter().filter(|v| *v > 0.0).map(f64::ln).collect()
    })
}

impl Axis {
    fn new((low, high): (f64, f64), marks: Vec<(f64, String)>) -> Self {
        Self { low, high, marks, from: 0.0, to: 1.0, kept: NUMBERS }
    }

    /// Marks at about `count` round numbers.
    pub(super) fn numbers(range: (f64, f64), count: usize) -> Self {
        let range = widened(range);
        let step = step(range, count);
        let marks = multiples(range, step).into_iter().map(|v| (v, written(v, step))).collect();
        Self::new(range, marks)
    }

    /// The same of proportions, written in per cent.
    pub(super) fn shares((low, high): (f64, f64), count: usize) -> Self {
        let mut axis = Self::numbers((100.0 * low, 100.0 * high), count);
        (axis.low, axis.high) = (axis.low / 100.0, axis.high / 100.0);
        axis.marks = axis.marks.into_iter().map(|(v, l)| (v / 100.0, format!("{l}%"))).collect();
        axis
    }

    /// Ratios by their logarithms.
    pub(super) fn ratios((low, high): (f64, f64)) -> Self {
        let low = if low.is_finite() { low.max(-FURTHEST) } else { 0.0 };
        let high = if high.is_finite() { high.min(FURTHEST) } else { 0.0 };
        let range = (low - 0.08, high + 0.08);
        // Ratios have the decimals they need; 1 has none.
        let label = |v: f64| ((v.exp() * 1e6).round() / 1e6).to_string();
        let marks = ratio_marks(range).into_iter().map(|v| (v, label(v))).collect();
        Self { kept: RATIOS, ..Self::new(range, marks) }
    }

    /// Marks that come with the plot; the axis reaches over all values as well.
    pub(super) fn marked(marks: &[(f64, String)], values: impl Iterator<Item = f64>) -> Self {
        let all = range(marks.iter().map(|m| m.0).chain(values));
        Self::new(widened(all), marks.to_vec())
    }

    /// Lays the axis.
    pub(super) fn along(mut self, from: f64, to: f64) -> Self {
        (self.from, self.to) = (from, to);
        self
    }

    /// Lays a horizontal axis with columns of these widths under its labels: of those that would touch, every second or third
    /// is kept, counted from 0 or the ratio 1.
    pub(super) fn across(self, from: f64, to: f64, columns: &[f64]) -> Self {
        let mut axis = self.along(from, to);
        let half = |i: usize| {
            let column = columns.get(i).copied().unwrap_or(0.0);
            0.5 * (TEXT.width(&axis.marks[i].1).max(column) + APART)
        };
        let labelled: Vec<usize> =
            (0..axis.marks.len()).filter(|&i| !axis.marks[i].1.is_empty()).collect();
        let touch = |i: usize, j: usize| {
            let distance = (axis.at(axis.marks[i].0) - axis.at(axis.marks[j].0)).abs();
            distance < half(i) + half(j)
        };
        let fits = |kept: &[usize]| kept.windows(2).all(|w| !touch(w[0], w[1]));
        let first = labelled.iter().position(|&i| axis.marks[i].0.abs() < 1e-9).unwrap_or(0);
        let gaps = || labelled.windows(2).map(|w| axis.marks[w[1]].0 - axis.marks[w[0]].0);
        let even = gaps().fold(0.0, f64::max) < 1.7 * gaps().fold(f64::INFINITY, f64::min);
        let every = |k: usize| -> Vec<usize> {
            let with = labelled.iter().enumerate().filter(|(n, _)| n.abs_diff(first) % k == 0);
            with.map(|(_, &i)| i).collect()
        };
        let kept = axis.kept.iter().filter(|&&k| even || k == 1).map(|&k| every(k));
        let kept = kept.into_iter().find(|kept| fits(kept)).unwrap_or_else(|| {
            // Outwards from the first, each that has room.
            let mut kept: Vec<usize> = Vec::new();
            let outwards = labelled[first..].iter().chain(labelled[..first].iter().rev());
            for &i in outwards {
                if kept.iter().all(|&j| !touch(i, j)) {
                    kept.push(i);
                }
            }
            kept
        });
        for (i, (_, label)) in axis.marks.iter_mut().enumerate() {
            if !kept.contains(&i) {
                label.clear();
            }
        }
        axis
    }

    /// Where a value lies; at the nearer end if outside.
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = (value.clamp(self.low, self.high) - self.low) / (self.high - self.low);
        self.from + share * (self.to - self.from)
    }

    /// Width of the widest label.
    pub(super) fn label_width(&self) -> f64 {
        TEXT.widest(self.marks.iter().map(|m| m.1.as_str()))
    }

    /// Draws marks and labels on the side of a line at `edge`, and rules from there to `rules`.
    pub(super) fn draw(&self, canvas: &mut Canvas, side: Side, edge: f64, rules: Option<f64>) {
        let at = |along: f64, off: f64| -> Point {
            match side {
                Side::Below => (along, edge + off),
                Side::Left => (edge - off, along),
                Side::Right => (edge + off, along),
            }
        };
        let (anchor, off) = match side {
            Side::Below => (Anchor::Middle, 34.0),
            Side::Left => (Anchor::Right, 18.0),
            Side::Right => (Anchor::Left, 18.0),
        };
        for (value, label) in &self.marks {
            let along = self.at(*value);
            if let Some(far) = rules {
                let end = if side == Side::Below { (along, far) } else { (far, along) };
                canvas.line(&[at(along, 0.0), end], RULE, 2);
            }
            if rules.is_none() || side == Side::Below {
                canvas.line(&[at(along, 0.0), at(along, 10.0)], INK, 3);
            }
            canvas.text(label, at(along, off), anchor, TEXT, INK);
        }
    }

    /// The axis under a plot, with what it shows.
    pub(super) fn under(&self, canvas: &mut Canvas, bottom: f64, rules: Option<f64>, label: &str) {
        self.draw(canvas, Side::Below, bottom, rules);
        canvas.line(&[(self.from, bottom), (self.to, bottom)], INK, 3);
        let font = if TEXT.width(label) < self.to - self.from { TEXT } else { SMALL };
        let label = font.shorten(label, WIDTH - 40.0);
        let half = 0.5 * font.width(&label);
        let middle = f64::midpoint(self.from, self.to).clamp(half + 20.0, WIDTH - half - 20.0);
        canvas.text(&label, (middle, bottom + 80.0), Anchor::Middle, font, INK);
    }
}
