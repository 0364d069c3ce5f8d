//! Poisson regression of rates over bands of follow-up: the piecewise exponential model, excess mortality, relative rates.
//!
//! *Estimates* rate ratios, excess rate ratios or standardised-rate ratios, and rates by band. *A site sends*, once, events,
//! person-time and expected events for every combination of bands and levels. *Sums*: cell by cell. *The hub* fits the
//! model to the pooled table. *Differs from pooling rows*: not at all, the table is sufficient. *Not done*: quantities as
//! covariates; overdispersion, which individual survival data do not have. *Sources*: Holford (1980); Laird & Olivier (1981);
//! Dickman et al. (2004); Firth (1993).

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::{
    cohort::{CohortError, ColumnKind, ColumnNeed, Followup, SiteData},
    estimate::{Estimate, Exactness, Notice, Status, Table, Value},
    limits::{self, ConfidenceLevel},
    model::{
        Background, Columns, Context, DesignTerm, Exchanges, FitError, Fitted, Model, ModelCard,
        Round, Step, Sums, Terms, summary_without_fit, year_of,
    },
    spec::{Fault, VariableKind},
    summary::{Axis, LayoutError, Visibility},
};
use tributary_stats::{
    distribution::garwood,
    poisson::{Cell, Mean, PoissonFit, fit, identified},
};

use super::kaplan_meier::no_followup;

/// The model.
#[derive(Debug)]
pub struct Poisson;

/// What is modelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    /// The rate itself.
    #[default]
    Rate,
    /// The rate above that of the general population (wants a life table).
    Excess,
    /// The rate relative to that of the general population (wants a life table).
    Relative,
}

/// Options of `poisson`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Follow-up, the analysis's own if absent.
    #[serde(default)]
    followup: Option<Followup>,
    /// Ends of the bands of follow-up, years, ascending; follow-up after the last is not counted.
    #[schemars(with = "Vec<limits::Years>")]
    bands_years: Vec<f64>,
    /// Covariates with levels.
    #[serde(default)]
    covariates: Vec<String>,
    /// Reference levels; the first level of the dictionary where absent.
    #[serde(default)]
    reference: BTreeMap<String, String>,
    /// Pairs of covariates whose products are added.
    #[serde(default)]
    interactions: Vec<[String; 2]>,
    /// What is modelled.
    #[serde(default)]
    outcome: Outcome,
    /// Variables with which expected mortality is looked up, for `excess` and `relative`.
    #[serde(default)]
    background: Option<Background>,
    /// Firth's penalty: finite estimates where a level had no event.
    #[serde(default)]
    firth: bool,
    /// Confidence level, the analysis's own if absent.
    #[serde(default)]
    confidence_level: Option<ConfidenceLevel>,
    /// Columns of the design, from the dictionary.
    #[serde(default)]
    #[schemars(skip)]
    design: Vec<DesignTerm>,
    /// Levels of each covariate, from the dictionary.
    #[serde(default)]
    #[schemars(skip)]
    levels: Vec<Vec<String>>,
}

/// Most cells of the table.
const MOST_CELLS: usize = 200_000;

static CARD: ModelCard = ModelCard {
    kind: "poisson",
    title: "Poisson regression of rates",
    estimates: "rate ratios, excess rate ratios or relative rates, and rates by follow-up band",
    sends: "once: events, person-time and expected events for every combination of bands and levels",
    pools: "cells are summed; the hub fits the piecewise exponential model to the pooled table",
    differs: "none: the table is sufficient for the model",
    not_done: "quantities as covariates; overdispersion",
    exchanges: Exchanges::One,
    sources: "Holford 1980; Laird & Olivier 1981; Dickman et al. 2004; Firth 1993",
    example: "id = \"rates\"\nkind = \"poisson\"\nbands_years = [1, 2, 5]\ncovariates = [\"x_hist_central\"]\n",
};

impl Options {
    /// Days in a year.
    fn year_days(&self) -> f64 {
        year_of(self.followup.as_ref()).days()
    }

    fn level(&self) -> f64 {
        self.confidence_level.unwrap_or_default().share()
    }

    fn mean(&self) -> Mean {
        match self.outcome {
            Outcome::Rate => Mean::Rate,
            Outcome::Excess => Mean::Excess,
            Outcome::Relative => Mean::Relative,
        }
    }

    fn patterns(&self) -> usize {
        self.levels.iter().map(|l| l.len().max(1)).product()
    }

    fn band_names(&self) -> Vec<String> {
        let starts = std::iter::once(&0.0).chain(&self.bands_years);
        starts.zip(&self.bands_years).map(|(from, to)| format!("{from}–{to} years")).collect()
    }

    /// Bands first, then the covariates.
    fn all_terms(&self) -> Vec<DesignTerm> {
        self.band_names()
            .iter()
            .map(|name| DesignTerm::parameter(name))
            .chain(self.design.iter().cloned())
            .collect()
    }

    /// Values of the covariates in pattern number `pattern`.
    fn pattern(&self, mut pattern: usize) -> BTreeMap<String, serde_json::Value> {
        let mut values = BTreeMap::new();
        for (name, levels) in self.covariates.iter().zip(&self.levels).rev() {
            let n = levels.len().max(1);
            values.insert(name.clone(), serde_json::Value::from(levels[pattern % n].clone()));
            pattern /= n;
        }
        values
    }

    fn axes(&self) -> Vec<Axis> {
        vec![Axis::numbered("pattern", self.patterns()), Axis::new("band", self.band_names())]
    }
}

impl Model for Poisson {
    type Options = Options;
    type Params = ();
    type Statistic = Sums;

    fn card(&self) -> &'static ModelCard {
        &CARD
    }

    fn prepare(&self, options: &mut Options, context: &Context<'_>) -> Vec<Fault> {
        options.confidence_level.get_or_insert(context.confidence_level);
        let mut faults = context.followup(&mut options.followup);
        if !faults.is_empty() {
            return faults;
        }
        let ascending = options.bands_years.windows(2).all(|w| w[0] < w[1]);
        if options.bands_years.first().is_none_or(|first| *first <= 0.0) || !ascending {
            let message = "the ends of the bands must be positive and ascending";
            faults.push(Fault::new("/bands_years", message).hint("bands_years = [1, 2, 5]"));
        }
        for (i, name) in options.covariates.iter().enumerate() {
            let kinds = [VariableKind::Category, VariableKind::Flag];
            faults.extend(context.check(&format!("/covariates/{i}"), name, &kinds));
        }
        if !faults.is_empty() {
            return faults;
        }
        let columns = Columns {
            covariates: &options.covariates,
            reference: &options.reference,
            splines: &BTreeMap::new(),
            interactions: &options.interactions,
        };
        options.design = columns.terms(context, &mut faults);
        let levels = |name: &String| {
            context.dictionary.get(name).map_or_else(Vec::new, |v| v.model_levels())
        };
        options.levels = options.covariates.iter().map(levels).collect();
        let cells = options.patterns() * options.bands_years.len();
        if cells > MOST_CELLS {
            let message =
                format!("the table would have {cells} cells, at most {MOST_CELLS} are sent");
            faults.push(Fault::new("/covariates", message).hint("use fewer covariates or bands"));
        }
        match (&mut options.background, options.outcome) {
            (Some(background), _) => faults.extend(background.prepare("/background", context)),
            (None, Outcome::Rate) => {}
            (None, Outcome::Excess | Outcome::Relative) => {
                let hint =
                    "background = { sex = \"sex\", age = \"age\", date = \"incidence_date\" }";
                let message = "this outcome requires `background`, the variables of the life table";
                faults.push(Fault::new("/outcome", message).hint(hint));
            }
        }
        if options.firth && options.outcome == Outcome::Excess {
            let message = "Firth's penalty is available for rates and relative rates only";
            faults.push(Fault::new("/firth", message));
        }
        faults
    }

    fn needs(&self, options: &Options) -> Vec<ColumnNeed> {
        let category =
            |name: &String| ColumnNeed { name: name.clone(), kind: ColumnKind::Category };
        let mut needs: Vec<ColumnNeed> =
            options.followup.iter().flat_map(Followup::needs).collect();
        needs.extend(options.covariates.iter().map(category));
        needs.extend(options.background.iter().flat_map(Background::needs));
        needs.sort();
        needs.dedup();
        needs
    }

    fn terms(&self, options: &Options) -> Vec<String> {
        options.design.iter().map(DesignTerm::name).collect()
    }

    fn visibility(&self, _: &Options) -> Visibility {
        Visibility::SumOnly
    }

    fn begin(&self, _: &Options) -> Result<(), FitError> {
        Ok(())
    }

    fn summarise(&self, options: &Options, (): &(), data: &SiteData) -> Result<Sums, CohortError> {
        let followup = options.followup.as_ref().ok_or_else(no_followup)?;
        let mut needed: Vec<&str> = options.covariates.iter().map(String::as_str).collect();
        needed.extend(options.background.iter().flat_map(Background::names));
        let survival = data.cohort.survival(followup, &needed)?;
        let mut pattern = vec![0; survival.rows.len()];
        for (name, levels) in options.covariates.iter().zip(&options.levels) {
            let (codes, _) = data.cohort.levels(name)?;
            for (at, &row) in pattern.iter_mut().zip(&survival.rows) {
                *at = *at * levels.len() + codes[row].unwrap_or(0) as usize;
            }
        }
        let background = match &options.background {
            Some(background) => {
                let missing = || CohortError::NoTable { table: "life_table" };
                let table = data.tables.life_table.as_ref().ok_or_else(missing)?;
                let table = table.in_years(options.year_days());
                Some((table, background.persons(data, &survival, "life_table", Background::WHOLE)?))
            }
            None => None,
        };
        let bands = options.bands_years.len();
        let size = options.patterns() * bands;
        let (mut events, mut time, mut expected) =
            (vec![0.0; size], vec![0.0; size], vec![0.0; size]);
        for i in 0..survival.rows.len() {
            let exit = f64::from(survival.exit[i]).max(0.5);
            let entry = survival.entry.as_ref().map_or(0.0, |entry| f64::from(entry[i]));
            let mut from = 0.0;
            for (band, years) in options.bands_years.iter().enumerate() {
                let to = years * options.year_days();
                let (start, end) = (entry.max(from), exit.min(to));
                let at = pattern[i] * bands + band;
                if end > start {
                    time[at] += (end - start) / options.year_days();
                    if let Some((table, persons)) = &background {
                        for s in table.stretches(persons[i], end.ceil() as i32) {
                            let days = end.min(f64::from(s.to)) - start.max(f64::from(s.from));
                            expected[at] += s.hazard * days.max(0.0);
                        }
                    }
                }
                if survival.event[i] && exit > from && exit <= to {
                    events[at] += 1.0;
                }
                from = to;
            }
        }
        let mut sums = Sums::of(&survival).counts("events", options.axes(), events).person_time(
            "time",
            options.axes(),
            time,
        );
        if background.is_some() {
            sums = sums.sums("expected", options.axes(), expected);
        }
        Ok(sums)
    }

    fn advance(&self, options: &Options, rounds: &[Round<(), Sums>]) -> Result<Step<()>, FitError> {
        let round = rounds.last().ok_or(FitError::NoRounds)?;
        Ok(Step::Done(Box::new(result(options, &round.pooled, round.sites)?)))
    }
}

fn result(options: &Options, sums: &Sums, sites: usize) -> Result<Estimate, LayoutError> {
    let bands = options.bands_years.len();
    let (events, time) = (sums.get("events")?, sums.get("time")?);
    let none = vec![0.0; events.len()];
    let expected = if sums.has("expected") { sums.get("expected")? } else { &none };
    let cells: Vec<Cell> = (0..events.len())
        .map(|i| {
            let values = options.pattern(i / bands);
            let mut z: Vec<f64> = (0..bands).map(|b| f64::from(u8::from(b == i % bands))).collect();
            z.extend(options.design.iter().map(|term| term.value(&values).unwrap_or(0.0)));
            Cell { events: events[i], time: time[i], expected: expected[i], z }
        })
        .collect();
    let mut estimate = Estimate::new(Exactness::Exact, sites);
    card_lines(&mut estimate, options);
    sums.left_out_notices(&mut estimate);
    let (persons, total): (f64, f64) = (sums.one("persons")?, events.iter().sum());
    let all = options.all_terms();
    let ratio = match options.outcome {
        Outcome::Rate => "rate_ratio",
        Outcome::Excess => "excess_rate_ratio",
        Outcome::Relative => "relative_rate_ratio",
    };
    let mut terms = Terms::new(&all, ratio, options.level());
    if total <= 0.0 {
        terms.all(Status::NoEvents);
        estimate.notice(Notice::new(Status::NoEvents, "no-events", &[]));
        estimate.tables.push(terms.table);
        estimate.tables.push(summary_without_fit(persons, total, Status::NoEvents));
        estimate.tables.push(rates(options, &cells));
        return Ok(estimate);
    }
    // Terms that no cell with person-time tells apart are found from the information at the start.
    let start: Vec<f64> = (0..all.len())
        .map(|j| if j < bands { band_rate(options, &cells, j).ln() } else { 0.0 })
        .collect();
    let active = identified(&cells, options.mean());
    let dropped: Vec<String> =
        (bands..all.len()).filter(|j| !active.contains(j)).map(|j| all[j].name()).collect();
    if !dropped.is_empty() {
        let values = [("terms", dropped.join(", "))];
        estimate.notice(Notice::new(Status::NotIdentified, "terms-dropped", &values));
    }
    let pick = |v: &[f64]| active.iter().map(|&j| v[j]).collect::<Vec<f64>>();
    let reduced: Vec<Cell> = cells.iter().map(|c| Cell { z: pick(&c.z), ..c.clone() }).collect();
    let PoissonFit { record, next } = fit(&reduced, options.mean(), &pick(&start), options.firth);
    let fitted = Fitted::new(&record, next, 1);
    let names: Vec<String> = active.iter().map(|&j| all[j].name()).collect();
    fitted.tell_end(&mut estimate, &names);
    let usable = matches!(fitted.status, Status::Ok | Status::Monotone);
    for j in 0..all.len() {
        match active.iter().position(|&k| k == j) {
            Some(i) if usable && !fitted.running.contains(&i) => {
                terms.wald(j, fitted.theta[i], fitted.std_error(i));
            }
            Some(_) => terms.push(j, &[], fitted.status),
            None if j < bands => terms.push(j, &[], Status::NoRiskSet),
            None => terms.push(j, &[], Status::NotIdentified),
        }
    }
    let short = cells.iter().filter(|c| c.time > 0.0 && c.events < c.expected).count();
    if options.outcome == Outcome::Excess && short > 0 {
        let values = [("n", short.to_string())];
        estimate.notices.push(Notice::new(Status::Ok, "fewer-than-expected", &values));
    }
    estimate.tables.push(terms.table);
    estimate.tables.push(fitted.summary(persons, total));
    estimate.tables.push(rates(options, &cells));
    estimate.fit = Some(fitted.record);
    Ok(estimate)
}

/// Crude level of a band, as the start of its parameter.
fn band_rate(options: &Options, cells: &[Cell], band: usize) -> f64 {
    let of_band = cells.iter().filter(|c| c.z[band] > 0.0);
    let (mut events, mut time, mut expected) = (0.5, 0.0, 0.0);
    for c in of_band {
        events += c.events;
        time += c.time;
        expected += c.expected;
    }
    match options.outcome {
        Outcome::Rate => events / time.max(1e-9),
        Outcome::Excess => (events - expected).max(0.1 * events) / time.max(1e-9),
        Outcome::Relative => events / expected.max(1e-9),
    }
}

/// Events, person-years and rate of each band, with exact limits.
fn rates(options: &Options, cells: &[Cell]) -> Table {
    let columns = [
        "band",
        "n_event",
        "person_years",
        "expected",
        "rate_per_1000",
        "conf_low",
        "conf_high",
        "status",
    ];
    let mut table = Table::new("rates", &columns);
    for (b, name) in options.band_names().iter().enumerate() {
        let sum = |f: fn(&Cell) -> f64| cells.iter().filter(|c| c.z[b] > 0.0).map(f).sum::<f64>();
        let (d, y, e) = (sum(|c| c.events), sum(|c| c.time), sum(|c| c.expected));
        let [low, high] = garwood(d, options.level());
        let per = |x: f64| if y > 0.0 { Value::number(1000.0 * x / y) } else { Value::None };
        let status = match (y > 0.0, d > 0.0) {
            (false, _) => Status::NoRiskSet,
            (true, false) => Status::NoEvents,
            _ => Status::Ok,
        };
        let expected = if options.background.is_some() { e.into() } else { Value::None };
        table.push(vec![
            name.into(),
            d.into(),
            y.into(),
            expected,
            per(d),
            per(low),
            per(high),
            status.into(),
        ]);
    }
    table
}

fn card_lines(estimate: &mut Estimate, options: &Options) {
    let estimator = if options.firth { "firth" } else { "maximum-likelihood" };
    estimate.line("estimator", estimator, &[]);
    let outcome = match options.outcome {
        Outcome::Rate => "rate",
        Outcome::Excess => "excess",
        Outcome::Relative => "relative",
    };
    estimate.line("outcome", outcome, &[]);
    let bands: Vec<String> = options.bands_years.iter().map(f64::to_string).collect();
    estimate.line("bands", "of-followup", &[("bands", bands.join(", "))]);
    let level = 100.0 * options.level();
    estimate.line("interval", "wald", &[("level", level.to_string())]);
    estimate.line("variance", "observed-information", &[]);
    estimate.line("year", year_of(options.followup.as_ref()).name(), &[]);
}
