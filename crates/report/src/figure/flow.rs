//! Flow of records from those received to those analysed, as STROBE asks.

use super::canvas::{Anchor, Drawing, GREY, INK, RULE, SMALL, TEXT, draw};

/// One box of the flow.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FlowBox {
    /// What it holds.
    pub label: String,
    /// How many.
    pub n: String,
    /// Who left before the next box: number and reason.
    pub left_out: Vec<(String, String)>,
}

const WIDTH: f64 = 1700.0;
const BOX: f64 = 560.0;
const HEIGHT: f64 = 92.0;

/// Draws the boxes from top to bottom, those left out beside them.
pub(crate) fn flow(steps: &[FlowBox]) -> Drawing {
    let gap = |step: &FlowBox| 56.0_f64.max(30.0 + 40.0 * step.left_out.len() as f64);
    let gaps: f64 = steps.iter().take(steps.len().saturating_sub(1)).map(gap).sum();
    let height = 20.0 + HEIGHT * steps.len() as f64 + gaps + 20.0;
    draw(WIDTH as u32, height as u32, |canvas| {
        let left = 60.0;
        let middle = left + BOX / 2.0;
        let mut y = 20.0;
        for (i, step) in steps.iter().enumerate() {
            canvas.frame((left, y), (left + BOX, y + HEIGHT), INK, 3);
            canvas.bold(&step.n, (middle, y + 30.0), Anchor::Middle, TEXT, INK);
            canvas.text(&step.label, (middle, y + 66.0), Anchor::Middle, SMALL, INK);
            y += HEIGHT;
            if i + 1 == steps.len() {
                break;
            }
            let below = y + gap(step);
            canvas.line(&[(middle, y), (middle, below)], INK, 3);
            canvas.line(
                &[(middle - 9.0, below - 13.0), (middle, below), (middle + 9.0, below - 13.0)],
                INK,
                3,
            );
            if !step.left_out.is_empty() {
                let centre = f64::midpoint(y, below);
                let aside = left + BOX + 60.0;
                canvas.line(&[(middle, centre), (aside, centre)], INK, 3);
                let half = 20.0 * step.left_out.len() as f64;
                canvas.frame(
                    (aside, centre - half - 8.0),
                    (WIDTH - 20.0, centre + half + 8.0),
                    RULE,
                    3,
                );
                let widest =
                    step.left_out.iter().map(|(n, _)| canvas.width(n, SMALL)).fold(0.0, f64::max);
                for (k, (n, reason)) in step.left_out.iter().enumerate() {
                    let at = centre - half + 20.0 + 40.0 * k as f64;
                    canvas.text(n, (aside + 20.0 + widest, at), Anchor::Right, SMALL, INK);
                    canvas.text(reason, (aside + 34.0 + widest, at), Anchor::Left, SMALL, GREY);
                }
            }
            y = below;
        }
    })
}
