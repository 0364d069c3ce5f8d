//! What charts share beside their axes: pens that tell groups apart, legends, labels that do not touch, gaps with a word.

use plotters::style::RGBColor;

use super::canvas::{
    Anchor, Bounds, Canvas, Drawing, Font, GREY, INK, MARGIN, Point, SMALL, TEXT, Text, WIDTH,
};

/// Colours that stay apart in print and for colour-blind readers, dark enough for text on paper (after Okabe & Ito 2008).
pub(super) const SERIES: [RGBColor; 6] = [
    RGBColor(0, 72, 130),
    RGBColor(190, 70, 0),
    RGBColor(0, 122, 95),
    RGBColor(170, 40, 120),
    RGBColor(80, 60, 0),
    RGBColor(90, 100, 200),
];
/// Lengths of strokes and gaps in turn: solid, dashed, dotted, dashed and dotted.
const DASHES: [&[f64]; 4] = [&[], &[18.0, 10.0], &[5.0, 9.0], &[26.0, 9.0, 5.0, 9.0]];

/// Words for what is not there.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Missing {
    /// In a gap: of what is hidden or has no estimate.
    pub gap: String,
    /// In place of a figure without any value.
    pub all: String,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Marker {
    Circle,
    Square,
    Triangle,
    Diamond,
}

const MARKERS: [Marker; 4] = [Marker::Circle, Marker::Square, Marker::Triangle, Marker::Diamond];

/// How a group is drawn. Twelve groups differ in colour or dash, and sixteen without colour in dash or marker.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pen {
    pub colour: RGBColor,
    pub dash: &'static [f64],
    /// On the line, from the fifth group on, and of dots.
    pub marker: Option<Marker>,
}

/// The pen of a group, the so-manieth that is drawn as a line.
pub(super) fn pen(group: usize, line: usize) -> Pen {
    Pen {
        colour: SERIES[group % SERIES.len()],
        dash: DASHES[line % DASHES.len()],
        marker: (line / DASHES.len()).checked_sub(1).map(|i| MARKERS[i % MARKERS.len()]),
    }
}

/// The pen of a group that is drawn as dots.
pub(super) fn dots_pen(group: usize) -> Pen {
    Pen { marker: Some(MARKERS[group % MARKERS.len()]), ..pen(group, 0) }
}

/// A lighter colour.
pub(super) fn tint(RGBColor(r, g, b): RGBColor, share: f64) -> RGBColor {
    let light = |c: u8| (255.0 - share * (255.0 - f64::from(c))) as u8;
    RGBColor(light(r), light(g), light(b))
}

impl Pen {
    pub(super) fn stroke(&self, canvas: &mut Canvas, path: &[Point], width: u32) {
        for piece in dashes(path, self.dash) {
            canvas.line(&piece, self.colour, width);
        }
    }

    /// A line with markers at even distances, each line's a little further on.
    pub(super) fn line(&self, canvas: &mut Canvas, path: &[Point], nth: usize) {
        self.stroke(canvas, path, 5);
        let Some(marker) = self.marker else { return };
        let length: f64 = path.windows(2).map(|w| distance(w[0], w[1])).sum();
        let mut next = 40.0_f64.min(length / 2.0) + 37.0 * (nth % 5) as f64;
        let mut gone = 0.0;
        for ends in path.windows(2) {
            let here = distance(ends[0], ends[1]);
            while next < gone + here {
                mark(canvas, between(ends[0], ends[1], (next - gone) / here), marker, self.colour);
                next += 240.0;
            }
            gone += here;
        }
    }

    /// A point by itself.
    pub(super) fn point(&self, canvas: &mut Canvas, at: Point) {
        mark(canvas, at, self.marker.unwrap_or(Marker::Circle), self.colour);
    }

    /// A piece of the line, or a point, for a legend.
    fn sample(&self, canvas: &mut Canvas, (x, y): Point, dots: bool) {
        if dots {
            return self.point(canvas, (x + SAMPLE / 2.0, y));
        }
        self.stroke(canvas, &[(x, y), (x + SAMPLE, y)], 5);
        if let Some(marker) = self.marker {
            mark(canvas, (x + SAMPLE / 2.0, y), marker, self.colour);
        }
    }
}

fn mark(canvas: &mut Canvas, (x, y): Point, marker: Marker, colour: RGBColor) {
    match marker {
        Marker::Circle => canvas.dot((x, y), 9, colour),
        Marker::Square => {
            canvas.area(
                &[(x - 8.0, y - 8.0), (x + 8.0, y - 8.0), (x + 8.0, y + 8.0), (x - 8.0, y + 8.0)],
                colour,
                1.0,
            );
        }
        Marker::Triangle => {
            canvas.area(&[(x - 10.0, y + 8.0), (x, y - 10.0), (x + 10.0, y + 8.0)], colour, 1.0);
        }
        Marker::Diamond => {
            canvas.area(&[(x - 11.0, y), (x, y - 11.0), (x + 11.0, y), (x, y + 11.0)], colour, 1.0);
        }
    }
}

fn distance(a: Point, b: Point) -> f64 {
    (b.0 - a.0).hypot(b.1 - a.1)
}

fn between(a: Point, b: Point, share: f64) -> Point {
    (a.0 + share * (b.0 - a.0), a.1 + share * (b.1 - a.1))
}

/// Pieces of a path, drawn and left out in turn as the dash says.
fn dashes(path: &[Point], dash: &[f64]) -> Vec<Vec<Point>> {
    if dash.is_empty() || path.len() < 2 {
        return vec![path.to_vec()];
    }
    let (mut pieces, mut piece) = (Vec::new(), vec![path[0]]);
    let (mut turn, mut left) = (0, dash[0]);
    for ends in path.windows(2) {
        let (mut at, mut here) = (ends[0], distance(ends[0], ends[1]));
        while here > left {
            at = between(at, ends[1], left / here);
            here -= left;
            if turn % 2 == 0 {
                piece.push(at);
                pieces.push(std::mem::take(&mut piece));
            } else {
                piece = vec![at];
            }
            turn = (turn + 1) % dash.len();
            left = dash[turn];
        }
        left -= here;
        if turn % 2 == 0 {
            piece.push(ends[1]);
        }
    }
    if piece.len() > 1 {
        pieces.push(piece);
    }
    pieces
}

/// The label over a plot, from the left edge; where the next part starts.
pub(super) fn title(canvas: &mut Canvas, label: &str) -> f64 {
    let lines = TEXT.wrap(label, WIDTH - 2.0 * MARGIN, 2);
    for (i, line) in lines.iter().enumerate() {
        let y = 34.0 + TEXT.leading() * i as f64;
        canvas.text(line, (MARGIN, y), Anchor::Left, TEXT, INK);
    }
    80.0 + TEXT.leading() * (lines.len() as f64 - 1.0)
}

/// A figure of nothing but its label and a word.
pub(super) fn empty(label: &str, missing: &Missing) -> Drawing {
    let mut canvas = Canvas::default();
    let top = title(&mut canvas, label);
    let word = if missing.all.is_empty() { "–" } else { &missing.all };
    canvas.text(word, (WIDTH / 2.0, top + 50.0), Anchor::Middle, TEXT, GREY);
    canvas.finish(top + 100.0)
}

/// A group in a legend.
pub(super) struct Entry<'a> {
    pub label: &'a str,
    pub pen: Pen,
    pub dots: bool,
}

/// Length of a piece of line in a legend.
const SAMPLE: f64 = 64.0;
const LEGEND_ROW: f64 = 46.0;

/// A legend from `top` on, in as many rows as it needs; where the plot can start.
pub(super) fn legend(canvas: &mut Canvas, entries: &[Entry<'_>], top: f64) -> f64 {
    let (mut x, mut y) = (MARGIN, top + 6.0);
    for entry in entries {
        let label = TEXT.shorten(entry.label, WIDTH - 2.0 * MARGIN - SAMPLE - 14.0);
        let width = SAMPLE + 14.0 + TEXT.width(&label);
        if x + width > WIDTH - MARGIN && x > MARGIN {
            (x, y) = (MARGIN, y + LEGEND_ROW);
        }
        entry.pen.sample(canvas, (x, y), entry.dots);
        canvas.text(&label, (x + SAMPLE + 14.0, y), Anchor::Left, TEXT, entry.pen.colour);
        x += width + 46.0;
    }
    y + LEGEND_ROW
}

/// Widest label at the end of a line, most lines of such labels, and how far one may stand from its line.
const END_LABEL: f64 = 300.0;
const END_LABELS: usize = 6;
const ASTRAY: f64 = 30.0;
const END_FONT: Font = TEXT.bold();

/// Labels right of a plot at the heights where lines end.
#[derive(Debug)]
pub(super) struct EndLabels {
    labels: Vec<Vec<String>>,
    /// Where each stands.
    pub places: Vec<f64>,
}

impl EndLabels {
    /// The labels of lines that end at these heights, moved apart between `top` and `bottom`; `None` where one would stand
    /// too far from its line, so that a legend is clearer.
    pub(super) fn of(lines: &[(&str, f64)], top: f64, bottom: f64) -> Option<Self> {
        if lines.len() > END_LABELS {
            return None;
        }
        let labels: Vec<_> = lines.iter().map(|l| END_FONT.wrap(l.0, END_LABEL, 2)).collect();
        let height = |i: usize| END_FONT.leading() * labels[i].len() as f64 + 4.0;
        let wanted: Vec<(f64, f64)> =
            lines.iter().enumerate().map(|(i, l)| (l.1, height(i))).collect();
        let places = apart(&wanted, top, bottom)?;
        let near = places.iter().zip(lines).all(|(place, line)| (place - line.1).abs() <= ASTRAY);
        near.then_some(Self { labels, places })
    }

    /// Room that they need right of the plot.
    pub(super) fn room(&self) -> f64 {
        LEADER + END_FONT.widest(self.labels.iter().flatten().map(String::as_str)) + MARGIN
    }

    /// Draws the labels in the pens of their lines, which end here.
    pub(super) fn draw(&self, canvas: &mut Canvas, right: f64, ends: &[(Point, Pen)]) {
        for ((lines, place), (end, pen)) in self.labels.iter().zip(&self.places).zip(ends) {
            let x = right + LEADER;
            if end.0 < right - 20.0 || (place - end.1).abs() > 12.0 {
                let bend = (right + 6.0, end.1);
                let leader = Pen { colour: tint(pen.colour, 0.6), dash: &[3.0, 7.0], ..*pen };
                leader.stroke(canvas, &[*end, bend, (x - 8.0, *place)], 2);
            }
            canvas.block(lines, (x, *place), Anchor::Left, END_FONT, pen.colour);
        }
    }
}

/// From the plot to the labels right of it.
const LEADER: f64 = 44.0;

/// Centres of blocks of these heights, as near to the wanted ones as can be without touching, within the limits; `None` if
/// they are too high together.
fn apart(wanted: &[(f64, f64)], top: f64, bottom: f64) -> Option<Vec<f64>> {
    if wanted.iter().map(|w| w.1).sum::<f64>() > bottom - top {
        return None;
    }
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|&a, &b| wanted[a].0.total_cmp(&wanted[b].0));
    // Stacks of blocks that touch: how many, their height, and the sum of where each wants the stack to begin.
    let mut stacks: Vec<(usize, f64, f64)> = Vec::new();
    let start = |&(n, height, sum): &(usize, f64, f64)| {
        (sum / n as f64).clamp(top, (bottom - height).max(top))
    };
    for &i in &order {
        let (centre, height) = wanted[i];
        let mut stack = (1, height, centre - height / 2.0);
        while let Some(above) = stacks.pop_if(|above| start(above) + above.1 > start(&stack)) {
            let sum = above.2 + stack.2 - stack.0 as f64 * above.1;
            stack = (above.0 + stack.0, above.1 + stack.1, sum);
        }
        stacks.push(stack);
    }
    let mut places = vec![0.0; wanted.len()];
    let mut order = order.into_iter();
    for stack in &stacks {
        let mut y = start(stack);
        for i in order.by_ref().take(stack.0) {
            places[i] = y + wanted[i].1 / 2.0;
            y += wanted[i].1;
        }
    }
    Some(places)
}

/// Room within a plot, some of it taken by points and words.
pub(super) struct Room {
    pub within: Bounds,
    pub taken: Vec<Bounds>,
}

impl Room {
    /// Writes the words at the first of these places that is free; nothing where none is.
    pub(super) fn write(
        &mut self,
        canvas: &mut Canvas,
        words: &str,
        places: &[(Point, Anchor)],
        colour: RGBColor,
    ) {
        let texts = places.iter().map(|(at, anchor)| Text {
            words: words.to_owned(),
            at: *at,
            anchor: *anchor,
            font: SMALL,
            colour,
        });
        let free = |text: &Text| {
            let bounds = text.bounds();
            self.within.holds(&bounds) && !self.taken.iter().any(|t| t.touches(&bounds))
        };
        if let Some(text) = texts.into_iter().find(free) {
            self.taken.push(text.bounds());
            canvas.plate(text);
        }
    }
}

/// Columns of numbers under a plot.
pub(super) struct Numbers<'a> {
    pub heading: &'a str,
    /// Label, its colour, and a number per mark.
    pub rows: Vec<(&'a str, RGBColor, &'a [String])>,
}

/// Widest label left of numbers.
const ROW_LABEL: f64 = 420.0;

impl Numbers<'_> {
    fn label(label: &str) -> Vec<String> {
        SMALL.wrap(label, ROW_LABEL, 2)
    }

    /// Room that the labels need left of the plot, and the width of the widest number of each mark.
    pub(super) fn room(&self) -> (f64, Vec<f64>) {
        if self.rows.is_empty() {
            return (0.0, Vec::new());
        }
        let labels: Vec<_> = self.rows.iter().flat_map(|r| Self::label(r.0)).collect();
        let most = self.rows.iter().map(|r| r.2.len()).max().unwrap_or(0);
        let column =
            |i: usize| SMALL.widest(self.rows.iter().filter_map(|r| Some(r.2.get(i)?.as_str())));
        let columns: Vec<f64> = (0..most).map(column).collect();
        let first = columns.first().copied().unwrap_or(0.0);
        (MARGIN + SMALL.widest(labels.iter().map(String::as_str)) + 24.0 + 0.5 * first, columns)
    }

    /// Draws them at the marks that have a label, from `top` on; where they end.
    pub(super) fn draw(&self, canvas: &mut Canvas, marks: &[(f64, bool)], top: f64) -> f64 {
        canvas.text(self.heading, (MARGIN, top), Anchor::Left, SMALL.bold(), INK);
        let mut y = top + 44.0;
        for (label, colour, numbers) in &self.rows {
            let label = Self::label(label);
            y += 0.5 * SMALL.leading() * (label.len() as f64 - 1.0);
            canvas.block(&label, (MARGIN, y), Anchor::Left, SMALL, *colour);
            for ((x, _), number) in marks.iter().zip(*numbers).filter(|((_, shown), _)| *shown) {
                canvas.text(number, (*x, y), Anchor::Middle, SMALL, INK);
            }
            y += 44.0 + 0.5 * SMALL.leading() * (label.len() as f64 - 1.0);
        }
        y
    }
}
