//! Tables of net survival from the pooled sums.

use tributary_core::{
    cohort::ZeroRule,
    estimate::{Beginning, Estimate, Exactness, Notice, Number, Shown, Status, Table},
    model::{EventCounts, Sums},
    rows,
    summary::LayoutError,
};
use tributary_stats::{
    distribution::normal_point,
    net_survival::{GroupSums, Point, compare, crude_probabilities},
};

use super::options::{Interval, Method, Options};
use crate::{kaplan_meier::Followed, log_rank::tested};

rows! {
    /// Net or relative survival to a time that was asked for.
    struct Landmark in "times" {
        group: String,
        estimator: String,
        time_years: Number,
        n_risk: Number,
        n_event: Number,
        estimate: Number as Share,
        std_error: Number as Share,
        conf_low: Number,
        conf_high: Number,
        status: Status,
    }

    /// Age-standardised survival to a time that was asked for.
    struct Standardised in "standardised" {
        group: String,
        estimator: String,
        method: String,
        time_years: Number,
        estimate: Number as Share,
        std_error: Number as Share,
        conf_low: Number,
        conf_high: Number,
        status: Status,
    }

    /// Probability of death from the disease, or from other causes, to a time that was asked for.
    struct Crude in "crude_probability" {
        group: String,
        cause: String,
        time_years: Number,
        estimate: Number as Share,
        std_error: Number as Share,
        conf_low: Number,
        conf_high: Number,
        status: Status,
    }

    /// Net or relative survival after a day.
    struct CurveRow in "curve" {
        group: String,
        estimator: String,
        time: Number,
        n_risk: Number,
        n_event: Number,
        n_censor: Number,
        estimate: Number as Share,
        std_error: Number as Share,
        conf_low: Number,
        conf_high: Number,
        status: Status,
    }
}

/// All tables.
pub(super) fn result(
    options: &Options,
    sums: &Sums,
    sites: usize,
) -> Result<Estimate, LayoutError> {
    let exactness = if options.is_daily() { Exactness::Exact } else { Exactness::Grouped };
    let mut estimate = Estimate::new(exactness, sites);
    card_lines(&mut estimate, options);
    sums.left_out_notices(&mut estimate);
    let outside = sums.one("outside")?;
    if outside > 0.0 {
        let values = [("n", outside.to_string())];
        estimate.notice(Notice::new(Status::Extrapolated, "life-table-outside", &values));
    }
    let counts = sums.read_event_counts()?;
    let bands = options.bands.len();
    let parts = (0..options.groups.len() * bands)
        .map(|g| group_sums(options, sums, &counts, g))
        .collect::<Result<Vec<GroupSums>, LayoutError>>()?;
    let mut tables = Tables::default();
    let mut whole = Vec::new();
    for (g, group) in options.groups.iter().enumerate() {
        let parts = &parts[g * bands..(g + 1) * bands];
        let persons: Vec<f64> = (0..bands).map(|a| counts.persons(g * bands + a)).collect();
        let all = together(parts, &persons);
        let n: f64 = persons.iter().sum();
        let events: f64 = all.deaths.iter().sum();
        let of_bands: Vec<f64> =
            (0..bands).map(|a| counts.followed_to(g * bands + a, &options.grid())).collect();
        let followed = of_bands.iter().copied().fold(0.0, f64::max);
        tables.groups.push(Followed::new(group, n, events, followed));
        for method in &options.estimators {
            let points = all.curve(method.estimator(), options.is_daily(), options.exponential);
            tables.curve(options, group, *method, &points);
            for years in &options.times_years {
                tables.times.push(Landmark {
                    group: group.clone(),
                    estimator: method.word().into(),
                    ..landmark(options, &points, *years, followed, n)
                });
            }
            if options.is_standardised() {
                standardised(options, &mut tables, group, *method, parts, &persons, &of_bands);
            }
        }
        if options.crude_probabilities {
            crude(options, &mut tables, group, &all, followed);
        }
        whole.push(all);
    }
    if tables.collapsed {
        estimate.notice(Notice::new(Status::Collapsed, "age-bands-collapsed", &[]));
    }
    estimate.tables.extend([Table::of(tables.groups), Table::of(tables.times)]);
    if options.is_standardised() {
        estimate.tables.push(Table::of(tables.standardised));
    }
    if options.crude_probabilities {
        estimate.tables.push(Table::of(tables.crude));
    }
    if options.test {
        let found = compare(&whole);
        let status = if found.df > 0 { Status::Ok } else { Status::NoRiskSet };
        estimate.tables.push(Table::of([tested(found, status)]));
    }
    let curve = Table::of(tables.curve).shown(Shown::Figure);
    estimate.tables.push(curve.drawn(&["group", "estimator"], true, Some(Beginning::One)));
    Ok(estimate)
}

/// Sums of one group and age band, in the order of time.
fn group_sums(
    options: &Options,
    sums: &Sums,
    counts: &EventCounts,
    g: usize,
) -> Result<GroupSums, LayoutError> {
    let daily = options.is_daily();
    let (grid, cells) = (options.grid(), options.day_grid().cells());
    let group = counts.group(g);
    // On the daily grid entry 0 is time 0, where nobody has lived a day yet.
    let shift = usize::from(daily);
    let of = |name: &str, at_start: &[f64]| -> Result<Vec<f64>, LayoutError> {
        if !sums.has(name) {
            return Ok(vec![0.0; cells + shift]);
        }
        let cells = &sums.get(name)?[g * cells..(g + 1) * cells];
        Ok(at_start[..shift].iter().chain(cells).copied().collect())
    };
    let entries = cells + shift;
    let zero = [0.0];
    let at_zero = |x: f64| [x];
    let first = [group.n_risk[0]];
    let half_day = options.followup.zero == ZeroRule::HalfDay;
    let time = |j: usize| match (daily, j) {
        (true, 0) if half_day => 0.5,
        (true, j) => grid.boundary(j),
        (false, j) => grid.boundary(j + 1),
    };
    let persons = counts.persons(g);
    let mut cohort = of("cohort", &at_zero(persons))?;
    cohort.iter_mut().for_each(|s| *s /= persons.max(1.0));
    let mut potential = Vec::new();
    let mut survival = 1.0;
    for (at, lost) in of("potential", &zero)?.iter().zip(of("potential_lost", &zero)?) {
        survival *= if *at > 0.0 { 1.0 - lost / at } else { 1.0 };
        potential.push(survival);
    }
    Ok(GroupSums {
        time: (0..entries).map(time).collect(),
        n_risk: group.n_risk[..entries].to_vec(),
        deaths: group.events[..entries].to_vec(),
        censored: group.censored[..entries].to_vec(),
        person_days: of("time", &zero)?,
        expected: of("expected", &zero)?,
        weighted_time: of("weighted_time", &zero)?,
        weighted_expected: of("weighted_expected", &zero)?,
        weighted_risk: of("weighted_risk", &first)?,
        weighted_deaths: of("weighted_deaths", &at_zero(group.events[0]))?,
        squared_deaths: of("squared_deaths", &at_zero(group.events[0]))?,
        cohort,
        potential,
    })
}

/// All age bands in one; expected survival from diagnosis is averaged over the persons.
fn together(parts: &[GroupSums], persons: &[f64]) -> GroupSums {
    if let [one] = parts {
        return one.clone();
    }
    let mut all = GroupSums::default();
    let total: f64 = persons.iter().sum();
    for (part, n) in parts.iter().zip(persons) {
        all.add(part, 1.0);
        let share = if total > 0.0 { n / total } else { 0.0 };
        let pairs = [(&mut all.cohort, &part.cohort), (&mut all.potential, &part.potential)];
        for (ours, theirs) in pairs {
            ours.iter_mut().zip(theirs).for_each(|(a, b)| *a += share * b);
        }
    }
    all
}

#[derive(Default)]
struct Tables {
    groups: Vec<Followed>,
    times: Vec<Landmark>,
    standardised: Vec<Standardised>,
    crude: Vec<Crude>,
    curve: Vec<CurveRow>,
    collapsed: bool,
}

impl Tables {
    fn curve(&mut self, options: &Options, group: &str, method: Method, points: &[Point]) {
        self.curve.extend(points.iter().filter(|p| is_shown(options, p)).map(|p| {
            let ([estimate, std_error, conf_low, conf_high], status) =
                interval(options, p.estimate, p.log_variance);
            CurveRow {
                group: group.into(),
                estimator: method.word().into(),
                time: Some(p.time),
                n_risk: Some(p.n_risk),
                n_event: Some(p.n_event),
                n_censor: Some(p.n_censor),
                estimate,
                std_error,
                conf_low,
                conf_high,
                status,
            }
        }));
    }
}

/// Days between two rows of a curve at most: net survival moves also where nobody leaves.
const ROW_DAYS: f64 = 30.0;

/// Whether a point is a row of the curve: somebody leaves, it was asked for, or the last row is a month ago.
fn is_shown(options: &Options, point: &Point) -> bool {
    let left = point.n_event > 0.0 || point.n_censor > 0.0;
    let asked = || {
        options.times_years.iter().any(|t| (t * options.followup.year.days()).round() == point.time)
    };
    let month = point.time > 0.0 && point.time % ROW_DAYS == 0.0;
    !options.is_daily() || left || month || asked()
}

/// Estimate, standard error, limits and status.
fn interval(options: &Options, s: f64, log_variance: f64) -> ([Number; 4], Status) {
    let (z, sigma) = (normal_point(options.confidence_level.share()), log_variance.sqrt());
    let (low, high) = match options.interval {
        Interval::LogLog if s > 0.0 && s < 1.0 => {
            let half = z * sigma / s.ln().abs();
            (s.powf(half.exp()), s.powf((-half).exp()))
        }
        Interval::LogLog | Interval::Log => (s * (-z * sigma).exp(), s * (z * sigma).exp()),
        Interval::Plain => (s - z * s * sigma, s + z * s * sigma),
    };
    let status = if s <= 0.0 {
        Status::Boundary
    } else if log_variance <= 0.0 {
        Status::OneSided
    } else {
        Status::Ok
    };
    let [low, high] = [low, high].map(|limit| (status == Status::Ok).then_some(limit));
    ([Some(s), Some(s * sigma), low, high], status)
}

fn landmark(
    options: &Options,
    points: &[Point],
    years: f64,
    followed: f64,
    persons: f64,
) -> Landmark {
    let days = (years * options.followup.year.days()).round();
    let last = points.iter().rposition(|p| p.time <= days + 0.5);
    let n_risk = points.iter().find(|p| p.time >= days - 0.5).map_or(0.0, |p| p.n_risk);
    let events: f64 = points[..last.map_or(0, |i| i + 1)].iter().map(|p| p.n_event).sum();
    let ([estimate, std_error, conf_low, conf_high], status) = if persons <= 0.0 {
        ([None; 4], Status::NoRiskSet)
    } else if days > followed + 0.5 {
        ([None; 4], Status::BeyondFollowup)
    } else {
        let (estimate, variance) =
            last.map_or((1.0, 0.0), |i| (points[i].estimate, points[i].log_variance));
        interval(options, estimate, variance)
    };
    Landmark {
        time_years: Some(years),
        n_risk: Some(n_risk),
        n_event: Some(events),
        estimate,
        std_error,
        conf_low,
        conf_high,
        status,
        ..Landmark::default()
    }
}

/// Direct standardisation of age-specific survival, and Brenner's weighted patients, from the same sums.
fn standardised(
    options: &Options,
    tables: &mut Tables,
    group: &str,
    method: Method,
    parts: &[GroupSums],
    persons: &[f64],
    followed: &[f64],
) {
    let total: f64 = persons.iter().sum();
    let weights: Vec<f64> = if options.weights.is_empty() {
        persons.iter().map(|n| n / total.max(1.0)).collect()
    } else {
        options.weights.clone()
    };
    // A band without patients joins its neighbour.
    let mut merged: Vec<(GroupSums, f64, f64)> = Vec::new();
    let mut waiting = 0.0;
    for ((part, n), w) in parts.iter().zip(persons).zip(&weights) {
        match merged.last_mut() {
            _ if *n > 0.0 => {
                merged.push((part.clone(), *n, *w + waiting));
                waiting = 0.0;
            }
            Some(last) => last.2 += w,
            None => waiting += w,
        }
    }
    let collapsed = merged.len() < parts.len();
    tables.collapsed |= collapsed;
    let (daily, exponential) = (options.is_daily(), options.exponential);
    let curves: Vec<Vec<Point>> =
        merged.iter().map(|m| m.0.curve(method.estimator(), daily, exponential)).collect();
    let brenner = (matches!(method, Method::PoharPerme | Method::Ederer2)).then(|| {
        let mut all = GroupSums::default();
        for (part, n, w) in &merged {
            all.add(part, w / (n / total));
        }
        // The weighted variance has squared weights over deaths; their own sum stands in for Ederer's too.
        if method == Method::Ederer2 {
            all.squared_deaths = weighted_squares(&merged, total);
        }
        brenner_curve(&all, method, options)
    });
    for years in &options.times_years {
        let days = (years * options.followup.year.days()).round();
        let at = |curve: &[Point]| {
            let last = curve.iter().rposition(|p| p.time <= days + 0.5);
            last.map_or((1.0, 0.0), |i| (curve[i].estimate, curve[i].log_variance))
        };
        let mut push = |name: &str, found: Option<(f64, f64)>| {
            let ([estimate, std_error, conf_low, conf_high], found) = match found {
                Some((s, v)) => interval(options, s, v),
                None => ([None; 4], Status::BeyondFollowup),
            };
            tables.standardised.push(Standardised {
                group: group.into(),
                estimator: method.word().into(),
                method: name.into(),
                time_years: Some(*years),
                estimate,
                std_error,
                conf_low,
                conf_high,
                status: if collapsed && estimate.is_some() { Status::Collapsed } else { found },
            });
        };
        // Every band must have been followed that far, or its weight would be lost.
        let all_died = |part: &GroupSums| {
            part.deaths.iter().sum::<f64>() > 0.0 && part.censored.iter().sum::<f64>() <= 0.0
        };
        let mut bands = parts.iter().zip(persons).zip(followed);
        let reached = !merged.is_empty()
            && bands.all(|((part, n), last)| *n <= 0.0 || days <= last + 0.5 || all_died(part));
        let direct = reached.then(|| {
            let (mut s, mut v) = (0.0, 0.0);
            for (curve, (_, _, w)) in curves.iter().zip(&merged) {
                let (estimate, log_variance) = at(curve);
                s += w * estimate;
                v += w * w * estimate * estimate * log_variance;
            }
            (s, v / (s * s))
        });
        push("direct", direct);
        if let Some(curve) = &brenner {
            push("brenner", reached.then(|| at(curve)));
        }
    }
}

fn weighted_squares(merged: &[(GroupSums, f64, f64)], total: f64) -> Vec<f64> {
    let mut squares = vec![0.0; merged.first().map_or(0, |m| m.0.time.len())];
    for (part, n, w) in merged {
        let c = w / (n / total);
        squares.iter_mut().zip(&part.deaths).for_each(|(s, d)| *s += c * c * d);
    }
    squares
}

/// Curve of weighted patients; the variance of Ederer II uses the squared weights kept in `squared_deaths`.
fn brenner_curve(all: &GroupSums, method: Method, options: &Options) -> Vec<Point> {
    let mut points = all.curve(method.estimator(), options.is_daily(), options.exponential);
    if method == Method::Ederer2 {
        let mut variance = 0.0;
        let mut next = 0;
        for j in 0..all.time.len() {
            let risk = if options.is_daily() {
                all.n_risk[j]
            } else {
                all.person_days[j] / options.grid_days
            };
            if risk > 0.0 {
                variance += all.squared_deaths[j] / (risk * risk);
            }
            if points.get(next).is_some_and(|p| p.time == all.time[j]) {
                points[next].log_variance = variance;
                next += 1;
            }
        }
    }
    points
}

fn crude(options: &Options, tables: &mut Tables, group: &str, all: &GroupSums, followed: f64) {
    let days: Vec<f64> =
        options.times_years.iter().map(|t| (t * options.followup.year.days()).round()).collect();
    let z = normal_point(options.confidence_level.share());
    for (years, found) in options.times_years.iter().zip(crude_probabilities(all, &days)) {
        for (cause, [p, variance]) in [("disease", found.disease), ("other", found.other)] {
            let is_known = found.time <= followed + 1e-6 || all.is_exhausted();
            let se = variance.max(0.0).sqrt();
            let [estimate, std_error, conf_low, conf_high] =
                [p, se, p - z * se, p + z * se].map(|x| is_known.then_some(x));
            tables.crude.push(Crude {
                group: group.into(),
                cause: cause.into(),
                time_years: Some(*years),
                estimate,
                std_error,
                conf_low,
                conf_high,
                status: if is_known { Status::Ok } else { Status::BeyondFollowup },
            });
        }
    }
}

fn card_lines(estimate: &mut Estimate, options: &Options) {
    let words: Vec<&str> = options.estimators.iter().map(|m| m.word()).collect();
    estimate.line("estimator", "net-survival", &[("estimators", words.join(", "))]);
    let horizon = options.horizon_days.unwrap_or(0).to_string();
    let cells = if options.is_daily() { "daily" } else { "coarse" };
    estimate.line("grid", cells, &[("width", options.grid_days.to_string()), ("horizon", horizon)]);
    let form = match (options.is_daily(), options.exponential) {
        (true, false) => "product",
        (true, true) => "exponential",
        (false, _) => "hazard",
    };
    estimate.line("form", form, &[]);
    estimate.line("life-table", "own", &[]);
    let scale = match options.interval {
        Interval::LogLog => "log-log",
        Interval::Log => "log",
        Interval::Plain => "plain",
    };
    let level = (100.0 * options.confidence_level.share()).to_string();
    estimate.line("interval", "pointwise", &[("level", level), ("scale", scale.to_owned())]);
    if options.is_standardised() {
        let name = options.standard.clone();
        let choice = match (&name, options.weights.is_empty()) {
            (Some(_), _) => "named",
            (None, false) => "own-weights",
            (None, true) => "own-mix",
        };
        let values = [("name", name.unwrap_or_default())];
        estimate.line("standard", choice, &values);
    }
    estimate.line("year", options.followup.year.name(), &[]);
}
