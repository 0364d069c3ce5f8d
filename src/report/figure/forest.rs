//! Forest plot: an estimate with its interval per line, squares by weight, diamonds for pooled effects.

use super::canvas::{Anchor, Canvas, Drawing, GREY, INK, RULE, SERIES, SMALL, TEXT, draw};

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ForestRow {
    /// Label.
    pub label: String,
    /// Estimate and interval on the logarithmic scale; `None` where there is none.
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
    /// Words under the axis: what lies left and right of 1.
    pub sides: [String; 2],
}

const WIDTH: f64 = 1700.0;
const ROW: f64 = 62.0;
const TOP: f64 = 90.0;

/// Draws a forest plot of ratios on a logarithmic axis.
pub(crate) fn forest(plot: &ForestPlot) -> Drawing {
    let gap = if plot.rows.iter().any(|r| r.pooled) { 24.0 } else { 0.0 };
    let bottom = TOP + ROW * plot.rows.len() as f64 + gap + 10.0;
    let has_sides = plot.sides.iter().any(|s| !s.is_empty());
    let height = bottom + if has_sides { 170.0 } else { 130.0 };
    draw(WIDTH as u32, height as u32, |canvas| {
        let widest = |texts: &mut dyn Iterator<Item = &String>| {
            texts.map(|t| canvas.width(t, TEXT)).fold(60.0, f64::max)
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
        for (value, _) in &scale.ticks {
            let x = scale.x(value.ln());
            canvas.line(&[(x, 66.0), (x, bottom)], RULE, 1);
        }
        let one = scale.x(0.0);
        canvas.line(&[(one, 66.0), (one, bottom)], GREY, 3);

        let mut y = TOP + 10.0;
        let mut gone = false;
        for row in &plot.rows {
            if row.pooled && !gone {
                y += gap;
                gone = true;
            }
            draw_row(canvas, row, &scale, y, (text_at, WIDTH - 20.0));
            y += ROW;
        }

        canvas.line(&[(left, bottom), (right, bottom)], INK, 3);
        for (value, label) in &scale.ticks {
            let x = scale.x(value.ln());
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
            values.into_iter().map(|v| (v, ((v * 1e6).round() / 1e6).to_string())).collect();
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
) {
    let colour = if row.pooled { SERIES[1] } else { SERIES[0] };
    let write = if row.pooled { Canvas::bold } else { Canvas::text };
    write(canvas, &row.label, (20.0, y), Anchor::Left, TEXT, INK);
    write(canvas, &row.text, (text_at, y), Anchor::Right, TEXT, INK);
    canvas.text(&row.second, (second_at, y), Anchor::Right, TEXT, INK);
    let Some([estimate, low, high]) = row.effect else { return };
    if let Some([low, high]) = row.prediction {
        canvas.line(&[(scale.x(low), y), (scale.x(high), y)], colour, 3);
        for end in [low, high] {
            canvas.line(&[(scale.x(end), y - 9.0), (scale.x(end), y + 9.0)], colour, 3);
        }
    }
    if row.pooled {
        let tip = 15.0;
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
            canvas.square((scale.x(estimate), y), 14.0 + 30.0 * weight.max(0.0).sqrt(), colour);
        }
        None => canvas.dot((scale.x(estimate), y), 11, colour),
    }
}
