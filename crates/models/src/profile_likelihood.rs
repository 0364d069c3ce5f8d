//! One hazard ratio from the sites' likelihood curves: for countries with a handful of patients each.
//!
//! *Estimates* one log hazard ratio, common to all sites, and how much it differs between them. *A site sends* its Cox
//! log-likelihood as a curve of that effect on a public grid, nuisance coefficients maximised at the site; and, for
//! heterogeneity, the curve averaged over normal distributions of the effect. *Sums*: point by point; a site without events
//! sends a flat curve, one where all events are in one arm a monotone one, and both count. *The hub* reads maximum and
//! likelihood-ratio interval off the sum. *Differs from pooling rows*: it is the stratified Cox model with nuisance
//! coefficients of each site's own; interpolation between grid points costs less than 1e-6. *Not done*: several effects at
//! once. *Sources*: Cox (1972, 1975); Schuemie et al. (2022); Hardy & Thompson (1996).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::{
    cohort::{CohortError, ColumnNeed, Followup, SiteData},
    estimate::{Estimate, Exactness, Notice, Number, Shown, Status, Table},
    limits::{self, ConfidenceLevel},
    model::{
        Columns, Context, DesignTerm, Exchanges, ModelCard, OneRound, Sums, Term, Terms,
        columns_of, needs_of,
    },
    rows,
    spec::Fault,
    summary::{Axis, LayoutError},
};
use tributary_stats::{
    cox::{RiskData, Rows, Ties},
    distribution::{chi_squared_quantile, chi_squared_upper, normal_two_sided},
    likelihood_curve::{LikelihoodCurve, Reading},
    matrix::{independent_columns, invert},
    newton::Evaluation,
    root::brent,
};

use super::log_rank::strata;

/// The model.
#[derive(Debug)]
pub struct ProfileLikelihood;

rows! {
    /// Who is in the fit.
    struct Summary in "summary" {
        n: Number,
        n_event: Number,
        sites: Number,
        sites_with_events: Number,
        sites_informative: Number,
        status: Status,
    }

    /// Mean effect, or standard deviation between sites.
    struct Heterogeneity in "heterogeneity" {
        quantity: String,
        estimate: Number,
        conf_low: Number,
        conf_high: Number,
        statistic: Number,
        p_value: Number,
        status: Status,
    }

    /// A point of the pooled likelihood of the effect, given the standard deviation between sites.
    pub struct LikelihoodPoint in "likelihood" {
        pub tau: Number,
        pub effect: Number,
        pub log_likelihood: Number,
    }
}

/// Options of `profile_likelihood`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Follow-up, the analysis's own if absent.
    followup: Followup,
    /// Variable whose effect is wanted: a quantity, a flag, or one with two levels.
    effect: String,
    /// Reference levels; the first level of the dictionary where absent.
    #[serde(default)]
    reference: BTreeMap<String, String>,
    /// Covariates whose coefficients each site maximises for itself; at most one coefficient per five events.
    #[serde(default)]
    nuisance: Vec<String>,
    /// Further variables whose levels have a baseline each.
    #[serde(default)]
    strata: Vec<String>,
    /// The effect is that of so many units of a quantity.
    #[serde(default = "one")]
    #[schemars(with = "limits::Quantity")]
    per: f64,
    /// The grid runs from minus to plus this log hazard ratio.
    #[serde(default = "six")]
    #[schemars(range(min = 1, max = 20))]
    reach: f64,
    /// Points of the grid.
    #[serde(default = "points")]
    #[schemars(range(min = 13, max = 401))]
    points: usize,
    /// Whether the effect may differ between sites; adds curves for a grid of between-site standard deviations.
    #[serde(default = "yes")]
    heterogeneity: bool,
    /// Confidence level, the analysis's own if absent.
    confidence_level: ConfidenceLevel,
    /// The effect, then the nuisance terms, from the dictionary.
    #[serde(default)]
    #[schemars(skip)]
    design: Vec<DesignTerm>,
}

fn one() -> f64 {
    1.0
}

fn six() -> f64 {
    6.0
}

fn points() -> usize {
    49
}

fn yes() -> bool {
    true
}

/// Between-site standard deviations of the log hazard ratio for which averaged curves are sent.
const TAUS: [f64; 25] = [
    0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2,
    1.3, 1.4, 1.5, 1.6, 1.75, 1.9, 2.0,
];
/// Events that a site wants for each nuisance coefficient.
const EVENTS_PER_NUISANCE: u64 = 5;
/// Grid points of a site's own curve per point of the public grid, and how far its own goes beyond.
const FINER: usize = 4;
const BEYOND: f64 = 8.0;

static CARD: ModelCard = ModelCard {
    kind: "profile_likelihood",
    title: "Hazard ratio from profile likelihood curves",
    estimates: "one log hazard ratio common to all sites, and its heterogeneity between sites",
    sends: "its Cox profile log-likelihood as a function of the effect, with nuisance coefficients maximised at the site, and its averages over normal distributions of the effect",
    pools: "curves are summed point by point; the hub reads the maximum and the likelihood ratio interval from the sum",
    differs: "the Cox model stratified by site with separate nuisance coefficients at each site; the interpolation error is below 1e-6",
    not_done: "several effects at once",
    exchanges: Exchanges::One,
    sources: "Cox 1972, 1975; Hardy & Thompson 1996; Schuemie et al. 2022",
    example: "id = \"curve\"\nkind = \"profile_likelihood\"\neffect = \"x_hist_central\"\n",
};

impl Options {
    fn taus(&self) -> &'static [f64] {
        if self.heterogeneity { &TAUS } else { &TAUS[..1] }
    }

    fn grid(&self) -> Vec<f64> {
        let step = 2.0 * self.reach / (self.points - 1) as f64;
        (0..self.points).map(|k| -self.reach + step * k as f64).collect()
    }
}

/// The likelihood of one site as a function of the effect.
struct SiteLikelihood {
    rows: RiskData,
    /// Position of the effect's column if it varies, then those of the nuisance columns in use.
    nuisance: Vec<usize>,
    /// Last nuisance coefficients, where the next search starts.
    last: Vec<f64>,
    p: usize,
}

impl SiteLikelihood {
    fn evaluate(&self, effect: f64, nuisance: &[f64]) -> Evaluation {
        let mut beta = vec![0.0; self.p];
        beta[0] = effect;
        self.nuisance.iter().zip(nuisance).for_each(|(&j, b)| beta[j] = *b);
        Evaluation::new(&beta, &self.rows.derivatives(&beta, Ties::Efron))
    }

    /// ℓ, ℓ′ and ℓ″ at `effect`, maximised over the nuisance coefficients.
    fn profile(&mut self, effect: f64) -> [f64; 3] {
        let mut here = self.evaluate(effect, &self.last);
        let chosen = self.nuisance.clone();
        let q = chosen.len();
        for _ in 0..40 {
            if q == 0 {
                break;
            }
            let score = nalgebra::DVector::from_fn(q, |i, _| here.score[chosen[i]]);
            let block =
                nalgebra::DMatrix::from_fn(q, q, |i, k| here.information[(chosen[i], chosen[k])]);
            let step = invert(&block).matrix * &score;
            if score.dot(&step) <= 1e-16 {
                break;
            }
            let mut share = 1.0;
            let next = loop {
                let trial: Vec<f64> = self
                    .last
                    .iter()
                    .zip(step.iter())
                    .map(|(b, s)| (b + share * s).clamp(-50.0, 50.0))
                    .collect();
                let next = self.evaluate(effect, &trial);
                if next.log_likelihood >= here.log_likelihood || share < 1e-6 {
                    self.last = trial;
                    break next;
                }
                share *= 0.5;
            };
            let gained = next.log_likelihood - here.log_likelihood;
            here = next;
            if gained <= 1e-14 * here.log_likelihood.abs() {
                break;
            }
        }
        let block =
            nalgebra::DMatrix::from_fn(q, q, |i, k| here.information[(chosen[i], chosen[k])]);
        let cross = nalgebra::DVector::from_fn(q, |i, _| here.information[(chosen[i], 0)]);
        let explained = (cross.transpose() * invert(&block).matrix * &cross).sum();
        [here.log_likelihood, here.score[0], -(here.information[(0, 0)] - explained)]
    }
}

impl OneRound for ProfileLikelihood {
    type Options = Options;
    type Statistic = Sums;

    fn card(&self) -> &'static ModelCard {
        &CARD
    }

    fn prepare(&self, options: &mut Options, context: &Context<'_>) -> Vec<Fault> {
        let mut faults = context.followup(&mut options.followup);
        if !faults.is_empty() {
            return faults;
        }
        for (i, name) in options.strata.iter().enumerate() {
            faults.extend(context.check_levels(&format!("/strata/{i}"), name));
        }
        let mut covariates = vec![options.effect.clone()];
        covariates.extend(options.nuisance.iter().cloned());
        let none = BTreeMap::new();
        let columns = Columns {
            covariates: &covariates,
            reference: &options.reference,
            splines: &none,
            interactions: &[],
        };
        let mut found = Vec::new();
        options.design = columns.terms(context, &mut found);
        // The effect is the first name here, but has a field of its own in the file.
        faults.extend(found.into_iter().map(|mut fault| {
            if let Some(i) = fault.pointer.strip_prefix("/covariates/") {
                fault.pointer = match i.parse::<usize>() {
                    Ok(0) | Err(_) => "/effect".to_owned(),
                    Ok(i) => format!("/nuisance/{}", i - 1),
                };
            }
            fault
        }));
        let of_effect = options.design.iter().filter(|t| t.variable == options.effect).count();
        if of_effect > 1 {
            let message = format!("`{}` has more than two levels", options.effect);
            let hint =
                "the curve describes one effect: use a variable with two levels or a quantity";
            faults.push(Fault::new("/effect", message).hint(hint));
        }
        if options.per == 0.0 || !options.per.is_finite() {
            faults.push(Fault::new("/per", "per must not be 0"));
        }
        faults
    }

    fn needs(&self, options: &Options) -> Vec<ColumnNeed> {
        let mut needs = options.followup.needs();
        needs.extend(needs_of(&options.design));
        needs.extend(options.strata.iter().map(ColumnNeed::levels));
        needs
    }

    fn terms(&self, options: &Options) -> Vec<String> {
        options.design[..1].iter().map(DesignTerm::name).collect()
    }

    fn summarise(&self, options: &Options, data: &SiteData) -> Result<Sums, CohortError> {
        let mut needed: Vec<&str> = vec![&options.effect];
        needed.extend(options.nuisance.iter().chain(&options.strata).map(String::as_str));
        let survival = data.cohort.survival(&options.followup, &needed)?;
        let stratum = strata(data, &options.strata, &survival.rows)?;
        let mut columns = columns_of(&options.design, data, &survival.rows)?;
        if let Some(effect) = columns.first_mut() {
            effect.iter_mut().for_each(|x| *x /= options.per);
        }
        let rows = Rows {
            entry: survival.entry.as_deref(),
            exit: &survival.exit,
            event: &survival.event,
            stratum: Some(&stratum),
            covariates: &columns,
        };
        let mut site = SiteLikelihood {
            rows: RiskData::new(rows, None),
            nuisance: Vec::new(),
            last: Vec::new(),
            p: options.design.len(),
        };
        let start = site.evaluate(0.0, &[]);
        let events = survival.events();
        let allowed = (events / EVENTS_PER_NUISANCE) as usize;
        let usable: Vec<usize> =
            independent_columns(&start.information).into_iter().filter(|j| *j > 0).collect();
        let dropped = usable.len() > allowed;
        site.nuisance = usable.into_iter().take(allowed).collect();
        site.last = vec![0.0; site.nuisance.len()];
        let grid = options.grid();
        let step = grid[1] - grid[0];
        let fine = step / FINER as f64;
        let beyond = if options.heterogeneity { (BEYOND / fine).ceil() as usize } else { 0 };
        let finer = if options.heterogeneity { FINER } else { 1 };
        let width = step / finer as f64;
        let n = (grid.len() - 1) * finer + 1 + 2 * beyond;
        let from = grid[0] - width * beyond as f64;
        // From the middle outwards, so that each search of nuisance coefficients starts near its end.
        let mut own = vec![[0.0; 3]; n];
        let middle = n / 2;
        let at_rest = site.last.clone();
        for k in middle..n {
            own[k] = site.profile(from + width * k as f64);
        }
        site.last = at_rest;
        for k in (0..middle).rev() {
            own[k] = site.profile(from + width * k as f64);
        }
        let curve = LikelihoodCurve { from, step: width, points: own };
        let mut cells: [Vec<f64>; 3] = Default::default();
        for tau in options.taus() {
            for x in &grid {
                let values = curve.marginal(*x, *tau);
                cells.iter_mut().zip(values).for_each(|(cells, v)| cells.push(v));
            }
        }
        let informative = start.information[(0, 0)] > 0.0;
        let flags = [
            1.0,
            f64::from(u8::from(events > 0)),
            f64::from(u8::from(informative)),
            f64::from(u8::from(dropped)),
        ];
        let axes = || {
            vec![Axis::numbered("tau", options.taus().len()), Axis::numbered("point", grid.len())]
        };
        let [value, slope, curvature] = cells;
        Ok(Sums::of(&survival)
            .counts("events", Vec::new(), vec![events as f64])
            .counts(
                "sites",
                vec![Axis::new("sites", ["all", "with events", "informative", "fewer nuisances"])],
                flags.to_vec(),
            )
            .sums("log_likelihood", axes(), value)
            .sums("slope", axes(), slope)
            .sums("curvature", axes(), curvature))
    }

    fn estimate(
        &self,
        options: &Options,
        pooled: &Sums,
        sites: usize,
    ) -> Result<Estimate, LayoutError> {
        let sums = pooled;
        let grid = options.grid();
        let cells = [sums.get("log_likelihood")?, sums.get("slope")?, sums.get("curvature")?];
        let curve = |t: usize| LikelihoodCurve {
            from: grid[0],
            step: grid[1] - grid[0],
            points: (0..grid.len()).map(|k| cells.map(|c| c[t * grid.len() + k])).collect(),
        };
        let curves: Vec<LikelihoodCurve> = (0..options.taus().len()).map(curve).collect();
        let mut estimate = Estimate::new(Exactness::LikelihoodApprox, sites);
        card_lines(&mut estimate, options);
        sums.left_out_notices(&mut estimate);
        let (persons, events) = (sums.one("persons")?, sums.one("events")?);
        let sites = sums.get("sites")?;
        if sites[3] > 0.0 {
            let values = [("n", sites[3].to_string())];
            estimate.notices.push(Notice::new(Status::Ok, "fewer-nuisances", &values));
        }
        let reading = curves[0].read(options.confidence_level.share());
        let status = match (events, sites[2], reading.estimate) {
            (d, _, _) if d <= 0.0 => Status::NoEvents,
            (_, n, _) if n <= 0.0 => Status::NotIdentified,
            (_, _, None) => Status::Monotone,
            _ => Status::Ok,
        };
        if status != Status::Ok {
            let key = match status {
                Status::NoEvents => "no-events",
                Status::Monotone => "curve-monotone",
                _ => "curve-flat",
            };
            estimate.notice(Notice::new(status, key, &[]));
        }
        estimate.tables.push(terms(options, &curves[0], &reading, status));
        estimate.tables.push(Table::of([Summary {
            n: Some(persons),
            n_event: Some(events),
            sites: Some(sites[0]),
            sites_with_events: Some(sites[1]),
            sites_informative: Some(sites[2]),
            status,
        }]));
        if options.heterogeneity && status == Status::Ok {
            estimate.tables.push(heterogeneity(options, &curves));
        }
        let mut points = Vec::new();
        for (tau, curve) in options.taus().iter().zip(&curves) {
            for (x, point) in grid.iter().zip(&curve.points) {
                points.push(LikelihoodPoint::new(*tau, *x, point[0] - reading.maximum));
            }
        }
        let curve = Table::of(points).shown(Shown::Figure);
        estimate.tables.push(Table { name: "curve".into(), ..curve });
        estimate.tables.push(fine(options, &curves, &reading));
        Ok(estimate)
    }
}

impl LikelihoodPoint {
    fn new(tau: f64, effect: f64, log_likelihood: f64) -> Self {
        let [tau, effect, log_likelihood] = [tau, effect, log_likelihood].map(Some);
        Self { tau, effect, log_likelihood }
    }
}

/// The curves around their top, finely enough to be drawn.
fn fine(options: &Options, curves: &[LikelihoodCurve], reading: &Reading) -> Table {
    const DEPTH: f64 = 6.0;
    const POINTS: usize = 2000;
    let mut points = Vec::new();
    for (tau, curve) in options.taus().iter().zip(curves) {
        if ![0.0, 0.3, 0.6].contains(tau) {
            continue;
        }
        let at = |k: usize| curve.from + (curve.to() - curve.from) * k as f64 / POINTS as f64;
        let value = |k: usize| curve.at(at(k))[0] - reading.maximum;
        let high: Vec<usize> = (0..=POINTS).filter(|&k| value(k) > -DEPTH).collect();
        let stride = (high.len() / 200).max(1);
        for k in high.into_iter().step_by(stride) {
            points.push(LikelihoodPoint::new(*tau, at(k), value(k)));
        }
    }
    Table::of(points).shown(Shown::Figure)
}

/// Whether an interval has both its limits.
fn bounded(low: Option<f64>, high: Option<f64>) -> Status {
    if low.is_some() && high.is_some() { Status::Ok } else { Status::OneSided }
}

/// The effect: likelihood-ratio interval and test; the standard error is that of the curvature.
fn terms(options: &Options, curve: &LikelihoodCurve, reading: &Reading, status: Status) -> Table {
    let mut terms =
        Terms::new(&options.design[..1], "hazard_ratio", options.confidence_level.share());
    let [conf_low, conf_high] = reading.limits;
    let ratio = 2.0 * (reading.maximum - curve.at(0.0)[0]);
    let p = chi_squared_upper(ratio.max(0.0), 1.0);
    match (reading.estimate, status) {
        (Some(b), Status::Ok) => {
            let z = ratio.max(0.0).sqrt().copysign(b);
            let p = if z == 0.0 { 1.0 } else { normal_two_sided(z) };
            let numbers = Term {
                estimate: Some(b),
                std_error: reading.std_error,
                statistic: Some(z),
                p_value: Some(p),
                conf_low,
                conf_high,
                status: bounded(conf_low, conf_high),
                ..Term::default()
            };
            terms.push(0, numbers);
        }
        (_, Status::Monotone) => {
            let (statistic, p_value) = (Some(ratio.max(0.0).sqrt()), Some(p));
            let numbers =
                Term { statistic, p_value, conf_low, conf_high, status, ..Term::default() };
            terms.push(0, numbers);
        }
        _ => terms.empty(0, status),
    }
    terms.table()
}

/// Mean effect and between-site standard deviation by maximum likelihood over the grid of τ, refined by a parabola through its
/// best three points; profile-likelihood intervals for both.
fn heterogeneity(options: &Options, curves: &[LikelihoodCurve]) -> Table {
    let level = options.confidence_level.share();
    let taus = options.taus();
    let readings: Vec<Reading> = curves.iter().map(|c| c.read(level)).collect();
    let profile: Vec<f64> = readings.iter().map(|r| r.maximum).collect();
    let at_tau = |tau: f64| interpolate(taus, &profile, tau);
    let best = (0..taus.len()).max_by(|a, b| profile[*a].total_cmp(&profile[*b])).unwrap_or(0);
    let (low, high) = (taus[best.saturating_sub(1)], taus[(best + 1).min(taus.len() - 1)]);
    let tau = if best == 0 && at_tau(0.01) <= profile[0] { 0.0 } else { golden(at_tau, low, high) };
    let top = at_tau(tau);
    let half = 0.5 * chi_squared_quantile(level, 1.0);
    let falls = |t: f64| at_tau(t) - (top - half);
    let last = taus[taus.len() - 1];
    let tau_low = if falls(0.0) < 0.0 { brent(falls, 0.0, tau) } else { Some(0.0) };
    let tau_high = if falls(last) < 0.0 { brent(falls, tau, last) } else { None };
    // The mean's curve, profiled over τ: at each effect the largest over the grid of τ.
    let over = |x: f64| {
        let values: Vec<f64> = curves.iter().map(|c| c.at(x)[0]).collect();
        let top = (0..values.len()).max_by(|a, b| values[*a].total_cmp(&values[*b])).unwrap_or(0);
        let (low, high) = (taus[top.saturating_sub(1)], taus[(top + 1).min(taus.len() - 1)]);
        let at = |t: f64| interpolate(taus, &values, t);
        at(golden(at, low, high)).max(values[top])
    };
    let at_mu = |x: f64| {
        let values: Vec<f64> = curves.iter().map(|c| c.at(x)[0]).collect();
        interpolate(taus, &values, tau)
    };
    let centre = readings[best].estimate.unwrap_or(0.0);
    let mu = golden(at_mu, centre - 1.0, centre + 1.0);
    let edge = options.reach;
    let drop = |x: f64| over(x) - (top - half);
    let mu_low = (drop(-edge) < 0.0).then(|| brent(drop, -edge, mu)).flatten();
    let mu_high = (drop(edge) < 0.0).then(|| brent(drop, mu, edge)).flatten();
    let ratio = 2.0 * (top - profile[0]).max(0.0);
    // τ = 0 is on the border: half the mass of the null distribution is at 0.
    let p = if ratio > 0.0 { 0.5 * chi_squared_upper(ratio, 1.0) } else { 1.0 };
    let mean = Heterogeneity {
        quantity: "mean".into(),
        estimate: Some(mu),
        conf_low: mu_low,
        conf_high: mu_high,
        status: bounded(mu_low, mu_high),
        ..Heterogeneity::default()
    };
    let between = Heterogeneity {
        quantity: "tau".into(),
        estimate: Some(tau),
        conf_low: tau_low,
        conf_high: tau_high,
        statistic: Some(ratio),
        p_value: Some(p),
        status: if tau <= 1e-6 { Status::Boundary } else { bounded(tau_low, tau_high) },
    };
    Table::of([mean, between])
}

/// Piecewise parabola in τ² through three neighbouring grid points: log-likelihoods are smooth in τ².
fn interpolate(taus: &[f64], values: &[f64], tau: f64) -> f64 {
    if taus.len() < 3 {
        return values[0];
    }
    let k = taus.partition_point(|t| *t <= tau).clamp(1, taus.len() - 1);
    let i = if k + 1 < taus.len() && (tau - taus[k - 1]) > (taus[k] - tau) { k } else { k - 1 };
    let i = i.clamp(1, taus.len() - 2);
    let [a, b, c] = [i - 1, i, i + 1].map(|j| (taus[j] * taus[j], values[j]));
    let x = tau * tau;
    a.1 * (x - b.0) * (x - c.0) / ((a.0 - b.0) * (a.0 - c.0))
        + b.1 * (x - a.0) * (x - c.0) / ((b.0 - a.0) * (b.0 - c.0))
        + c.1 * (x - a.0) * (x - b.0) / ((c.0 - a.0) * (c.0 - b.0))
}

/// Maximum of a function with one maximum in `[low, high]`, by golden section.
fn golden(f: impl Fn(f64) -> f64, low: f64, high: f64) -> f64 {
    const RATIO: f64 = 0.618_033_988_749_894_9;
    let (mut a, mut b) = (low, high);
    for _ in 0..90 {
        let (x, y) = (b - RATIO * (b - a), a + RATIO * (b - a));
        if f(x) < f(y) { a = x } else { b = y }
    }
    f64::midpoint(a, b)
}

fn card_lines(estimate: &mut Estimate, options: &Options) {
    estimate.line("estimator", "likelihood-curve", &[]);
    estimate.line("ties", "efron", &[]);
    let strata = [("strata", options.strata.join(", "))];
    let baseline = if options.strata.is_empty() { "per-site" } else { "per-site-and-stratum" };
    estimate.line("baseline", baseline, &strata);
    let nuisance = if options.nuisance.is_empty() { "none" } else { "per-site" };
    estimate.line("nuisance", nuisance, &[("names", options.nuisance.join(", "))]);
    let values = [("points", options.points.to_string()), ("reach", options.reach.to_string())];
    estimate.line("curve", "grid", &values);
    let level = (100.0 * options.confidence_level.share()).to_string();
    estimate.line("interval", "likelihood-ratio", &[("level", level)]);
}
