//! Hard cases of charts, told by where lines and words stand.

use super::{
    Curve, CurvePoint, FlowBox, ForestPlot, ForestRow, HeatMap, LinePlot, LinePoint, Pyramid,
    Series, SurvivalPlot,
};
use super::{
    axis::{Axis, marks, spaced_marks},
    canvas::{Bounds, Canvas, Drawing, Item, Text, WIDTH},
    chart::{EndLabels, Missing, Pen, SERIES, pen},
    flow, forest, heat, lines, pyramid, survival,
};

const LONG: &str = "adenocarcinoma of the upper and middle third of the rectum with an unusually long description of its extent, \
    as registries write them";

fn texts(canvas: &Canvas) -> Vec<&Text> {
    let texts = canvas.items.iter().filter_map(|item| match item {
        Item::Text(text) => Some(text),
        _ => None,
    });
    texts.collect()
}

fn words(canvas: &Canvas) -> Vec<&str> {
    texts(canvas).into_iter().map(|t| t.words.as_str()).collect()
}

/// No word runs into another or off the figure; the figure itself.
fn tidy((canvas, height): (Canvas, f64)) -> Canvas {
    let all = Bounds { left: 0.0, top: 0.0, right: WIDTH, bottom: height };
    let texts = texts(&canvas);
    for (i, text) in texts.iter().enumerate() {
        let bounds = text.bounds();
        assert!(all.holds(&bounds), "{} at {:?} is cut", text.words, text.at);
        for other in &texts[..i] {
            assert!(!bounds.touches(&other.bounds()), "{} on {}", text.words, other.words);
        }
    }
    for item in &canvas.items {
        if let Item::Line(points, ..) | Item::Area(points, ..) = item {
            assert!(points.iter().all(|p| p.0.is_finite() && p.1.is_finite()), "{points:?}");
        }
    }
    canvas
}

fn labels(axis: &Axis) -> Vec<&str> {
    axis.marks.iter().map(|m| m.1.as_str()).filter(|l| !l.is_empty()).collect()
}

fn missing() -> Missing {
    Missing { gap: "not shown".into(), all: "No value can be shown.".into() }
}

fn series(label: &str, points: Vec<LinePoint>) -> Series {
    Series { label: label.into(), points, numbers: Vec::new(), dots: false }
}

fn plot(series: Vec<Series>, y: (f64, f64)) -> LinePlot {
    let last = series.iter().flat_map(|s| &s.points).map(|p| p.0).fold(0.0, f64::max);
    LinePlot {
        series,
        x_marks: marks(last),
        y,
        x_label: "Years since diagnosis".into(),
        y_label: "Net survival".into(),
        missing: missing(),
        ..LinePlot::default()
    }
}

/// A line from 1 down to `end` in ten years.
fn falling(label: &str, end: f64) -> Series {
    let point = |i: u32| {
        let y = 1.0 - (1.0 - end) * f64::from(i) / 10.0;
        (f64::from(i), y, Some((y - 0.05, (y + 0.05).min(1.0))))
    };
    series(label, (0..=10).map(point).collect())
}

fn colliding() -> LinePlot {
    plot(vec![falling("surgery", 0.50), falling("radiation", 0.505)], (0.0, 1.0))
}

fn crowded() -> LinePlot {
    let groups = ["surgery", "radiation", "both", "neither", "unknown"];
    let falling = groups.iter().enumerate().map(|(i, g)| falling(g, 0.5 + 0.001 * i as f64));
    plot(falling.collect(), (0.0, 1.0))
}

fn twelve() -> LinePlot {
    let numbered = |i: u32| Series {
        numbers: marks(10.0).iter().map(|_| format!("{},{:03}", 90 - i, i)).collect(),
        ..falling(&format!("registry {i}"), 0.95 - 0.07 * f64::from(i))
    };
    LinePlot {
        percent: true,
        numbers_label: "Number at risk".into(),
        ..plot((1..=12).map(numbered).collect(), (0.0, 1.0))
    }
}

fn hidden() -> LinePlot {
    let rate = |i: u32| if matches!(i, 4 | 5) { f64::NAN } else { 20.0 + f64::from(i * i) };
    let point = |i: u32| (f64::from(i), rate(i), Some((rate(i) - 5.0, rate(i) + 5.0)));
    let alone = |i: u32| (f64::from(i), if i == 5 { 80.0 } else { f64::NAN }, None);
    let all = vec![
        series("women", (0..=10).map(point).collect()),
        series("men", (0..=10).map(alone).collect()),
    ];
    plot(all, (0.0, 130.0))
}

fn long() -> LinePlot {
    let mut both = twelve();
    both.series.truncate(3);
    for (i, s) in both.series.iter_mut().enumerate() {
        s.label = format!("{i} {LONG}");
    }
    LinePlot { x_label: LONG.repeat(2), y_label: LONG.repeat(3), ..both }
}

fn studies() -> LinePlot {
    let dots = |i: u32| (1.0 + 0.02 * f64::from(i), 1.0 + 0.5 * f64::from(i % 3), None);
    let points: Vec<LinePoint> = (0..20).map(dots).collect();
    let name = |(i, p): (usize, &LinePoint)| (p.0, p.1, format!("Study {i}"));
    let labels = points.iter().enumerate().map(name).collect();
    LinePlot { labels, ..plot(vec![Series { dots: true, ..series("", points) }], (0.0, 3.0)) }
}

fn count(n: f64) -> String {
    format!("{n:.0}")
}

fn curve(label: &str, steps: &[(f64, f64, f64)]) -> Curve {
    let point = |&(time, estimate, n_risk): &(f64, f64, f64)| {
        let band = Some((0.9 * estimate, (1.1 * estimate).min(1.0)));
        CurvePoint { time, estimate, band, n_risk, left: 1.0 }
    };
    let persons = steps.first().map_or(0.0, |s| s.2);
    Curve { label: label.into(), persons, points: steps.iter().map(point).collect() }
}

fn curves(curves: Vec<Curve>) -> SurvivalPlot {
    SurvivalPlot {
        curves,
        y_label: "Overall survival".into(),
        x_label: "Years since diagnosis".into(),
        risk_label: "Number at risk".into(),
        marks: [(0.02, "1 week"), (0.25, "3 months"), (0.5, "6 months"), (1.0, "1"), (2.0, "2")]
            .map(|(t, l)| (t, l.to_owned()))
            .to_vec(),
        missing: missing(),
    }
}

fn few() -> SurvivalPlot {
    curves(vec![
        curve("one step", &[(2.0, 0.6, 40.0)]),
        curve("nobody", &[]),
        curve("none at risk later", &[(0.3, 0.9, 30.0), (0.6, 0.8, 29.0), (2.5, 0.0, 11.0)]),
    ])
}

fn row(label: &str, effect: [f64; 3]) -> ForestRow {
    let [r, low, high] = effect;
    ForestRow {
        label: label.into(),
        effect: Some(effect.map(f64::ln)),
        weight: Some(0.2),
        pooled: false,
        prediction: None,
        text: format!("{r} ({low} to {high})"),
        second: "20.0%".into(),
    }
}

fn ratios(effects: &[[f64; 3]]) -> ForestPlot {
    let name = |(i, e): (usize, &[f64; 3])| row(&format!("Site {i}"), *e);
    ForestPlot {
        rows: effects.iter().enumerate().map(name).collect(),
        headings: ["Site", "Hazard ratio", "Weight"].map(String::from),
        x_label: "Hazard ratio (logarithmic scale)".into(),
        sides: ["lower hazard", "higher hazard"].map(String::from),
        linear: false,
    }
}

fn long_forest() -> ForestPlot {
    let mut plot = ratios(&[[0.2, 0.1, 0.5], [0.9, 0.3, 2.0], [1.0, 0.9, 1.1]]);
    plot.rows[1].label = LONG.into();
    plot.rows[1].text = LONG.into();
    plot.rows[2].pooled = true;
    plot.headings = [LONG; 3].map(String::from);
    plot.sides = [LONG; 2].map(String::from);
    ForestPlot { x_label: LONG.into(), ..plot }
}

fn map() -> HeatMap {
    let year = |i: u32| f64::from(2008 + i % 5);
    let cell = |i: u32| {
        (year(i), f64::from(40 + i / 5), (!i.is_multiple_of(7)).then(|| f64::from(i) * 1e-3))
    };
    HeatMap {
        cells: (0..40).map(cell).collect(),
        x_label: "Year".into(),
        y_label: "Age".into(),
        scale_label: "Rate".into(),
        missing: missing(),
    }
}

fn people() -> Pyramid {
    let bar = |i: u32| (format!("{}–{}", 5 * i, 5 * i + 4), 9e6 - 4e5 * f64::from(i), 9e6);
    let mark = |(x, l): (f64, String)| (x, if l.is_empty() { l } else { format!("{x:.0}") });
    Pyramid {
        bars: (0..18).map(bar).collect(),
        sides: ["men", LONG].map(String::from),
        marks: spaced_marks(0.0, 9e6, 10).into_iter().map(mark).collect(),
        x_label: LONG.into(),
        y_label: "Age".into(),
    }
}

fn exclusions() -> Vec<FlowBox> {
    let step = |label: &str, n: &str| FlowBox {
        label: label.into(),
        n: n.into(),
        left_out: vec![
            ("12".into(), format!("did not meet: {LONG}")),
            ("7".into(), "short".into()),
        ],
    };
    vec![step("records received", "1,234"), step(LONG, "1,215"), step("patients", "1,196")]
}

#[test]
fn labels_that_collide_at_the_right_end_are_moved_apart_or_stand_in_a_legend() {
    let ends = EndLabels::of(&[("a", 100.0), ("b", 100.0), ("c", 300.0)], 0.0, 700.0).unwrap();
    let [a, b, c] = ends.places[..] else { panic!() };
    assert!(b - a > 30.0 && (a + b - 200.0).abs() < 1e-9 && c == 300.0, "{:?}", ends.places);
    // At the edge of the plot they stay within it.
    let ends = EndLabels::of(&[("a", 5.0), ("b", 40.0)], 0.0, 700.0).unwrap();
    assert!(ends.places[0] > 10.0 && ends.places[1] > ends.places[0] + 30.0);
    // Moved apart: both right of the plot, near to where the lines end.
    let canvas = tidy(lines::paint(&colliding()));
    let of = |word: &str| texts(&canvas).into_iter().find(|t| t.words == word).unwrap().at;
    let [surgery, radiation] = ["surgery", "radiation"].map(of);
    assert!(surgery.0 == radiation.0 && surgery.0 > 1400.0 && surgery.1 - radiation.1 > 30.0);
    // Five at one place: a legend over the plot.
    let canvas = tidy(lines::paint(&crowded()));
    let over = texts(&canvas).into_iter().filter(|t| t.at.1 < 120.0).count();
    assert_eq!(over, 6, "five groups and the label of the axis");
}

#[test]
fn ratios_have_marks_on_both_sides_of_one() {
    let axis = |low: f64, high: f64, width: f64| {
        Axis::ratios((low.ln(), high.ln())).across(0.0, width, &[])
    };
    assert_eq!(labels(&axis(0.15, 1.1, 800.0)), ["0.15", "0.2", "0.3", "0.5", "0.7", "1"]);
    assert_eq!(labels(&axis(0.65, 1.4, 800.0)), ["0.8", "1", "1.2", "1.4"]);
    assert_eq!(labels(&axis(0.4, 12.0, 800.0)), ["0.5", "1", "2", "5", "10"]);
    // Marks that come with the plot: 1 is kept, and 0.9 only where it has room.
    let given = [0.2, 0.5, 0.9, 1.0_f64].map(|r| (r.ln(), r.to_string()));
    let given = |width| Axis::marked(&given, [].into_iter()).across(0.0, width, &[]);
    assert_eq!(labels(&given(1200.0)), ["0.2", "0.5", "0.9", "1"]);
    assert_eq!(labels(&given(400.0)), ["0.2", "0.5", "1"]);
    // Five decades: 1, 2 and 5 of each are marked, and those labelled that have room.
    let wide = axis(0.01, 1000.0, 800.0);
    assert_eq!(wide.marks.len(), 16);
    assert_eq!(labels(&wide), ["0.01", "0.1", "1", "10", "100", "1000"]);
    assert_eq!(labels(&axis(0.01, 1000.0, 1600.0)).len(), 16);
    tidy(forest::paint(&ratios(&[[0.2, 0.01, 3.0], [40.0, 2.0, 1000.0], [1.0, 0.0, 1.2e9]])));
}

#[test]
fn a_value_holds_until_the_next_step_and_smooth_lines_go_straight() {
    let points = vec![(0.0, 1.0, None), (10.0, 0.5, None)];
    let path = |steps: bool| {
        let plot = LinePlot { steps, ..plot(vec![series("", points.clone())], (0.0, 1.0)) };
        let canvas = tidy(lines::paint(&plot));
        let line = |item: &Item| match item {
            Item::Line(points, colour, 5) if *colour == SERIES[0] => Some(points.clone()),
            _ => None,
        };
        canvas.items.iter().find_map(line).unwrap()
    };
    assert_eq!(path(false).len(), 2);
    let [a, corner, b] = path(true)[..] else { panic!() };
    assert_eq!((corner.0, corner.1), (b.0, a.1));
}

#[test]
fn twelve_groups_differ_in_colour_and_without_it() {
    let contrast = |plotters::style::RGBColor(r, g, b)| {
        let linear = |c: u8| (f64::from(c) / 255.0).powf(2.2);
        1.05 / (0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b) + 0.05)
    };
    let pens: Vec<Pen> = (0..12).map(|i| pen(i, i)).collect();
    for (i, a) in pens.iter().enumerate() {
        assert!(contrast(a.colour) > 4.5, "{:?} is too pale for text", a.colour);
        for b in &pens[..i] {
            assert!((a.colour, a.dash) != (b.colour, b.dash), "{a:?}");
            assert!((a.dash, a.marker) != (b.dash, b.marker), "{a:?} in grey");
        }
    }
    let canvas = tidy(lines::paint(&twelve()));
    for i in 1..=12 {
        let label = format!("registry {i}");
        // Once in the legend, once beside its numbers.
        assert_eq!(words(&canvas).into_iter().filter(|w| *w == label).count(), 2);
    }
}

#[test]
fn hidden_values_are_gaps_with_a_word() {
    let canvas = tidy(lines::paint(&hidden()));
    let said = words(&canvas).into_iter().filter(|w| *w == "not shown").count();
    assert_eq!(said, 3, "one gap of women, two of men");
    let solid = |item: &&Item| matches!(item, Item::Line(_, c, 5) if *c == SERIES[0]);
    // Two pieces of the line, and one in the legend.
    assert_eq!(canvas.items.iter().filter(solid).count(), 3);
    let canvas = tidy(heat::paint(&map()));
    assert!(words(&canvas).contains(&"not shown"));
}

#[test]
fn one_point_is_a_dot() {
    let one = plot(vec![series("", vec![(3.0, 0.4, Some((0.2, 0.6)))])], (0.0, 1.0));
    let canvas = tidy(lines::paint(&one));
    assert!(canvas.items.iter().any(|item| matches!(item, Item::Dot(..))));
    tidy(forest::paint(&ratios(&[[2.0, 1.5, 3.0]])));
    tidy(heat::paint(&HeatMap { cells: vec![(2010.0, 50.0, Some(1.0))], ..map() }));
}

#[test]
fn equal_values_have_an_axis() {
    for value in [0.0, 1.0, -3.0, 1e-9, 7e8] {
        let axis = Axis::numbers((value, value), 6);
        assert!(axis.low < value && value < axis.high, "{axis:?}");
        assert!(axis.marks.len() > 1, "{axis:?}");
        let flat = series("", vec![(5.0, value, None), (5.0, value, None)]);
        tidy(lines::paint(&plot(vec![flat], (value, value))));
    }
    tidy(forest::paint(&ratios(&[[1.0, 1.0, 1.0]; 3])));
    tidy(forest::paint(&ForestPlot { linear: true, ..ratios(&[[1.0, 1.0, 1.0]; 3]) }));
}

#[test]
fn labels_of_a_tiny_range_differ() {
    let range = (0.9990, 0.9999);
    assert_eq!(
        labels(&Axis::numbers(range, 6)),
        ["0.9990", "0.9992", "0.9994", "0.9996", "0.9998"]
    );
    let shares = Axis::shares(range, 6);
    assert_eq!(labels(&shares), ["99.90%", "99.92%", "99.94%", "99.96%", "99.98%"]);
    assert_eq!(labels(&Axis::numbers((-6.0, 0.0), 6))[0], "−6");
    assert_eq!(labels(&Axis::shares((0.0, 1.0), 6)), ["0%", "20%", "40%", "60%", "80%", "100%"]);
    for low in [-1e-7, 0.0, 3.0, 1e5] {
        for width in [1e-6, 0.03, 0.7, 1.0, 12.0, 4e7] {
            let axis = Axis::numbers((low, low + width), 8);
            let mut said = labels(&axis);
            said.dedup();
            assert!(said.len() == axis.marks.len() && said.len() > 1, "{axis:?}");
        }
    }
}

#[test]
fn years_have_no_decimals() {
    for (first, last) in [(2008.0, 2014.0), (2010.0, 2011.0), (1943.0, 1996.0), (2009.0, 2012.0)] {
        let marks = spaced_marks(first, last, 8);
        assert!(marks.iter().all(|m| !m.1.contains('.')), "{marks:?}");
        assert!((marks[0].0, marks[marks.len() - 1].0) == (first, last));
    }
    let canvas = tidy(heat::paint(&map()));
    assert!(words(&canvas).contains(&"2010") && !words(&canvas).contains(&"2010.0"));
    // Follow-up has halves where it is short, and whole years otherwise.
    let said = |last| marks(last).into_iter().map(|m| m.1).collect::<Vec<_>>();
    assert_eq!(said(2.4), ["0", "0.5", "1", "1.5", "2", ""]);
    assert_eq!(said(10.0)[..3], ["0", "1", "2"]);
}

#[test]
fn long_labels_are_broken_or_cut() {
    let canvas = tidy(lines::paint(&long()));
    let cut = words(&canvas).into_iter().filter(|w| w.ends_with('…')).count();
    assert!(cut >= 3, "{:?}", words(&canvas));
    tidy(forest::paint(&long_forest()));
    tidy(pyramid::paint(&people()));
    tidy(flow::paint(&exclusions()));
    let axis = [(0.0, "nought"), (1.0, "one"), (2.0, "two"), (3.0, "three")];
    let axis = axis.map(|(x, l)| (x, l.to_owned()));
    let axis = Axis::marked(&axis, [].into_iter()).across(0.0, 180.0, &[]);
    assert_eq!(labels(&axis), ["nought", "two"]);
}

#[test]
fn words_beside_points_do_not_touch() {
    let canvas = tidy(lines::paint(&studies()));
    assert!(words(&canvas).into_iter().filter(|w| w.starts_with("Study")).count() > 9);
}

#[test]
fn curves_of_one_step_and_of_nobody_are_drawn() {
    let plot = few();
    let lines_of = survival::survival_lines(&plot, &count);
    let ends = lines_of.series.iter().map(|s| s.points.len()).collect::<Vec<_>>();
    assert_eq!(ends, [2, 0, 4]);
    assert_eq!(lines_of.series[1].numbers[0], "0");
    let canvas = tidy(lines::paint(&lines_of));
    // The label, beside the numbers, of a curve that is not drawn as well.
    assert!(words(&canvas).contains(&"nobody"));
    tidy(lines::paint(&survival::log_minus_log_lines(&plot)));
}

#[test]
fn bands_that_overlap_have_edges() {
    let edges = |n: usize| {
        let mut plot = twelve();
        plot.series.truncate(n);
        let canvas = tidy(lines::paint(&plot));
        canvas.items.iter().filter(|item| matches!(item, Item::Line(_, _, 1))).count()
    };
    assert_eq!([edges(1), edges(2), edges(12)], [0, 4, 24]);
}

#[test]
fn a_line_is_cut_where_it_leaves_the_plot() {
    let steep = series("", vec![(0.0, 5.0, None), (1.0, 0.0, None), (2.0, 5.0, None)]);
    let canvas = tidy(lines::paint(&plot(vec![steep], (0.0, 1.0))));
    let pieces: Vec<_> = canvas
        .items
        .iter()
        .filter_map(|item| match item {
            Item::Line(points, _, 5) => Some(points.len()),
            _ => None,
        })
        .collect();
    assert_eq!(pieces, [3], "down into the plot and up again");
}

#[test]
fn without_values_there_is_a_word() {
    let says = |drawing: Drawing, word: &str| {
        assert!(drawing.svg.contains(word), "{}", drawing.svg);
    };
    let word = "No value can be shown.";
    says(super::lines(&plot(Vec::new(), (0.0, 1.0))), word);
    says(super::lines(&plot(vec![series("a", vec![(1.0, f64::NAN, None)])], (0.0, 0.0))), word);
    says(super::survival(&curves(Vec::new()), &count), word);
    says(super::survival(&curves(vec![curve("a", &[(1.0, 0.5, 3.0)])]), &count), word);
    says(super::log_minus_log(&curves(vec![curve("a", &[(1.0, 1.0, 30.0)])])), word);
    says(super::heat(&HeatMap { cells: vec![(1.0, 1.0, None)], ..map() }), word);
    says(super::heat(&HeatMap { cells: Vec::new(), ..map() }), word);
    says(super::forest(&ratios(&[])), "–");
    says(super::pyramid(&Pyramid { bars: Vec::new(), ..people() }), "–");
    super::flow(&[]);
    let withheld = ForestRow { effect: None, text: "withheld".into(), ..row("A", [1.0; 3]) };
    says(super::forest(&ForestPlot { rows: vec![withheld], ..ratios(&[]) }), "withheld");
}
