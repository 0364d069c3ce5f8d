//! Flow of records from those received to those analysed, as STROBE asks.

use super::canvas::{Anchor, Canvas, Drawing, GREY, INK, MARGIN, RULE, SMALL, TEXT, WIDTH};

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

const BOX: f64 = 560.0;
const HEIGHT: f64 = 92.0;

/// Height of a line of those left out.
const LINE: f64 = 40.0;
/// Where the boxes and those left out begin.
const LEFT: f64 = 60.0;
const ASIDE: f64 = LEFT + BOX + 60.0;

/// Draws the boxes from top to bottom, those left out beside them.
pub(crate) fn flow(steps: &[FlowBox]) -> Drawing {
    let (canvas, height) = paint(steps);
    canvas.finish(height)
}

pub(super) fn paint(steps: &[FlowBox]) -> (Canvas, f64) {
    let mut canvas = Canvas::default();
    let middle = LEFT + BOX / 2.0;
    let mut y = MARGIN;
    for (i, step) in steps.iter().enumerate() {
        let label = SMALL.wrap(&step.label, BOX - 2.0 * MARGIN, 2);
        let height = HEIGHT + SMALL.leading() * (label.len() as f64 - 1.0);
        canvas.frame((LEFT, y), (LEFT + BOX, y + height), INK, 2);
        canvas.text(&step.n, (middle, y + 30.0), Anchor::Middle, TEXT.bold(), INK);
        let centre = y + 66.0 + 0.5 * (height - HEIGHT);
        canvas.block(&label, (middle, centre), Anchor::Middle, SMALL, INK);
        y += height;
        if i + 1 == steps.len() {
            break;
        }
        let widest = SMALL.widest(step.left_out.iter().map(|l| l.0.as_str()));
        let reasons_at = ASIDE + widest + 34.0;
        let reasons: Vec<Vec<String>> = step
            .left_out
            .iter()
            .map(|l| SMALL.wrap(&l.1, WIDTH - 2.0 * MARGIN - reasons_at, 2))
            .collect();
        let lines: usize = reasons.iter().map(Vec::len).sum();
        let below = y + 56.0_f64.max(30.0 + LINE * lines as f64);
        let centre = f64::midpoint(y, below);
        canvas.line(&[(middle, y), (middle, below)], INK, 3);
        let tip = [(middle - 9.0, below - 13.0), (middle, below), (middle + 9.0, below - 13.0)];
        canvas.line(&tip, INK, 3);
        if lines > 0 {
            canvas.line(&[(middle, centre), (ASIDE, centre)], INK, 3);
            let half = 0.5 * LINE * lines as f64;
            let (from, to) = ((ASIDE, centre - half - 8.0), (WIDTH - MARGIN, centre + half + 8.0));
            canvas.frame(from, to, RULE, 3);
            let mut at = centre - half + 0.5 * LINE;
            for ((n, _), reason) in step.left_out.iter().zip(&reasons) {
                canvas.text(n, (ASIDE + 20.0 + widest, at), Anchor::Right, SMALL, INK);
                for line in reason {
                    canvas.text(line, (reasons_at, at), Anchor::Left, SMALL, GREY);
                    at += LINE;
                }
            }
        }
        y = below;
    }
    (canvas, y + MARGIN)
}
