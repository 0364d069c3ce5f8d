//! Forest plot: an estimate with its interval per line, squares by weight, diamonds for pooled effects; ratios on a logarithmic axis,
//! differences and proportions on a linear one.

use super::canvas::{Anchor, Canvas, Drawing, GREY, INK, RULE, SERIES, SMALL, TEXT, draw};

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ForestRow {
    /// Label.
    pub label: String,
    /// Estimate and interval, ratios on the logarithmic scale; `None` where there is none.
    pub effect: Option<[f64; 3]>,
    /// Weight, 0 to 1; pooled lines have none.
    pub weight: Option<f64>,
    /// Whether it is a pooled effect, drawn as a diamond.
    pub pooled: bool,
    /// Prediction interval on the logarithmic scale.
    pub prediction: Option<[f64; 2]>,
    /// Text right of the plot.
    pub text: String,
    /// Second text, such as the weight.
    pub second: String,
}

/// Lines and the words around them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ForestPlot {
    /// Lines, pooled ones last.
    pub rows: Vec<ForestRow>,
    /// Headings: lines, effect, second text.
    pub headings: [String; 3],
    /// Label of the axis.
    pub x_label: String,
    /// Words under the axis: what lies left and right of no effect.
    pub sides: [String; 2],
    /// Whether the axis is linear.
    pub linear: bool,
}

const WIDTH: f64 = 1700.0;
const ROW: f64 = 62.0;
/// Height of a line where there are many.
const LOW_ROW: f64 = 32.0;
/// Most lines of full height.
const MANY: usize = 30;
const TOP: f64 = 90.0;

/// Draws a forest plot.
pub(crate) fn forest(plot: &ForestPlot) -> Drawing {
    let gap = if plot.rows.iter().any(|r| r.pooled) { 24.0 } else { 0.0 };
    let many = plot.rows.len() > MANY;
    let (line, size) = if many { (LOW_ROW, SMALL) } else { (ROW, TEXT) };
    let bottom = TOP + line * plot.rows.len() as f64 + gap + 10.0;
    let has_sides = plot.sides.iter().any(|s| !s.is_empty());
    let height = bottom + if has_sides { 170.0 } else { 130.0 };
    draw(WIDTH as u32, height as u32, |canvas| {
        let widest = |texts: &mut dyn Iterator<Item = &String>| {
            texts.map(|t| canvas.width(t, size)).fold(60.0, f64::max)
        };
        let labels = widest(&mut plot.rows.iter().map(|r| &r.label).chain([&plot.headings[0]]));
        let texts = widest(&mut plot.rows.iter().map(|r| &r.text).chain([&plot.headings[1]]));
        let seconds = widest(&mut plot.rows.iter().map(|r| &r.second).chain([&plot.headings[2]]));
        let left = 1.12 * labels + 80.0;
        let text_at = WIDTH - seconds - 50.0;
        let right = text_at - 1.06 * texts - 50.0;
        let scale = Scale::new(plot, left, right);

        canvas.bold(&plot.headings[0], (20.0, 34.0), Anchor::Left, SMALL, INK);
        canvas.bold(&plot.headings[1], (text_at, 34.0), Anchor::Right, SMALL, INK);
        canvas.bold(&plot.headings[2], (WIDTH - 20.0, 34.0), Anchor::Right, SMALL, INK);
        canvas.line(&[(20.0, 62.0), (WIDTH - 20.0, 62.0)], RULE, 3);
        for (place, _) in &scale.ticks {
            let x = scale.x(*place);
            canvas.line(&[(x, 66.0), (x, bottom)], RULE, 1);
        }
        if scale.low <= 0.0 && scale.high >= 0.0 {
            let none = scale.x(0.0);
            canvas.line(&[(none, 66.0), (none, bottom)], GREY, 3);
        }

        let mut y = TOP + 10.0;
        let mut gone = false;
        for row in &plot.rows {
            if row.pooled && !gone {
                y += gap;
                gone = true;
            }
            draw_row(canvas, row, &scale, y, (text_at, WIDTH - 20.0), size);
            y += line;
        }

        canvas.line(&[(left, bottom), (right, bottom)], INK, 3);
        for (place, label) in &scale.ticks {
            let x = scale.x(*place);
            canvas.line(&[(x, bottom), (x, bottom + 10.0)], INK, 3);
            canvas.text(label, (x, bottom + 34.0), Anchor::Middle, TEXT, INK);
        }
        canvas.text(
            &plot.x_label,
            (f64::midpoint(left, right), bottom + 78.0),
            Anchor::Middle,
            TEXT,
            INK,
        );
        if has_sides {
            canvas.text(&plot.sides[0], (left, bottom + 128.0), Anchor::Left, SMALL, GREY);
            canvas.text(&plot.sides[1], (right, bottom + 128.0), Anchor::Right, SMALL, GREY);
        }
    })
}

struct Scale {
    low: f64,
    high: f64,
    left: f64,
    right: f64,
    ticks: Vec<(f64, String)>,
}

impl Scale {
    fn new(plot: &ForestPlot, left: f64, right: f64) -> Self {
        let ends = plot.rows.iter().flat_map(|r| {
            let interval = r.effect.into_iter().flat_map(|[_, low, high]| [low, high]);
            interval.chain(r.prediction.into_iter().flatten())
        });
        if plot.linear {
            return Self::linear(ends, left, right);
        }
        let (low, high) = ends.fold((0.0_f64, 0.0_f64), |(low, high), x| (low.min(x), high.max(x)));
        // An interval of many orders of magnitude would flatten all others.
        let (low, high) = (low.max(-7.0) - 0.08, high.min(7.0) + 0.08);
        let decades = [0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0];
        let within = |steps: &[f64]| -> Vec<f64> {
            let all = decades.iter().flat_map(|d| steps.iter().map(move |s| d * s));
            all.filter(|v| v.ln() >= low && v.ln() <= high).collect()
        };
        // The coarsest marks of which there are enough; 1 is always among them.
        let choices: [&[f64]; 4] = [
            &[1.0],
            &[1.0, 2.0, 5.0],
            &[1.0, 1.5, 2.0, 3.0, 5.0, 7.0],
            &[1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 2.0, 9.0],
        ];
        let enough = choices.into_iter().map(within).find(|values| values.len() >= 4);
        let values = enough.unwrap_or_else(|| within(choices[3]));
        let ticks =
            values.into_iter().map(|v| (v.ln(), ((v * 1e6).round() / 1e6).to_string())).collect();
        Self { low, high, left, right, ticks }
    }

    /// Marks at multiples of 1, 2 or 5 times a power of ten, four to eight of them.
    fn linear(ends: impl Iterator<Item = f64>, left: f64, right: f64) -> Self {
        let (low, high) = ends
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        let (low, high) = if low < high { (low, high) } else { (-1.0, 1.0) };
        let margin = 0.04 * (high - low);
        let (low, high) = (low - margin, high + margin);
        let power = 10.0_f64.powf(((high - low) / 8.0).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .into_iter()
            .map(|s| s * power)
            .find(|s| (high - low) / s <= 8.0)
            .unwrap_or(10.0 * power);
        let first = (low / step).ceil() as i64;
        let last = (high / step).floor() as i64;
        let decimals = (-step.log10().floor()).max(0.0) as usize;
        let ticks = (first..=last)
            .map(|i| (i as f64 * step, format!("{:.decimals$}", i as f64 * step).replace('-', "−")))
            .collect();
        Self { low, high, left, right, ticks }
    }

    fn x(&self, log: f64) -> f64 {
        let share = (log.clamp(self.low, self.high) - self.low) / (self.high - self.low);
        self.left + share * (self.right - self.left)
    }
}

fn draw_row(
    canvas: &Canvas<'_>,
    row: &ForestRow,
    scale: &Scale,
    y: f64,
    (text_at, second_at): (f64, f64),
    size: f64,
) {
    let colour = if row.pooled { SERIES[1] } else { SERIES[0] };
    let write = if row.pooled { Canvas::bold } else { Canvas::text };
    write(canvas, &row.label, (20.0, y), Anchor::Left, size, INK);
    write(canvas, &row.text, (text_at, y), Anchor::Right, size, INK);
    canvas.text(&row.second, (second_at, y), Anchor::Right, size, INK);
    let Some([estimate, low, high]) = row.effect else { return };
    if let Some([low, high]) = row.prediction {
        canvas.line(&[(scale.x(low), y), (scale.x(high), y)], colour, 3);
        for end in [low, high] {
            canvas.line(&[(scale.x(end), y - 9.0), (scale.x(end), y + 9.0)], colour, 3);
        }
    }
    if row.pooled {
        let tip = if size < TEXT { 11.0 } else { 15.0 };
        let corners = [
            (scale.x(low), y),
            (scale.x(estimate), y - tip),
            (scale.x(high), y),
            (scale.x(estimate), y + tip),
        ];
        canvas.area(&corners, colour, 1.0);
        return;
    }
    canvas.line(&[(scale.x(low), y), (scale.x(high), y)], colour, 4);
    for (end, bound, direction) in [(low, scale.low, -1.0), (high, scale.high, 1.0)] {
        // An interval that leaves the axis ends in an arrow.
        let outside = (end - bound) * direction > 0.0;
        let x = scale.x(end);
        if outside {
            canvas.line(
                &[(x - 14.0 * direction, y - 10.0), (x, y), (x - 14.0 * direction, y + 10.0)],
                colour,
                4,
            );
        }
    }
    match row.weight {
        Some(weight) => {
            let most = if size < TEXT { 22.0 } else { 30.0 };
            canvas.square((scale.x(estimate), y), 10.0 + most * weight.max(0.0).sqrt(), colour);
        }
        None => canvas.dot((scale.x(estimate), y), 11, colour),
    }
}
