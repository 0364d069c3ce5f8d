//! Cox regression in one round, for covariates with levels: every tie rule, baseline survival and standardised curves.
//!
//! *Estimates* log hazard ratios with a baseline common to all sites, survival of described patients, and survival standardised to
//! the pooled covariates. *A site sends*, once, its event table by covariate pattern. *Sums*: cell by cell. *The hub* forms all
//! risk sets of any coefficients and maximises. *Differs from pooling rows*: not at all. *Not done*: quantities as covariates.
//! *Sources*: Cox (1972); Efron (1977); Breslow (1974); Gail, Lubin & Rubinstein (1981); Makuch (1982) for standardised curves.

use std::collections::BTreeMap;

use nalgebra::{DMatrix, DVector};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::{
    cohort::{CohortError, ColumnNeed, Followup, SiteData, ZeroRule},
    estimate::{Beginning, Estimate, Exactness, Notice, Number, Shown, Status, Table},
    limits::{self, ConfidenceLevel},
    model::{
        Columns, Context, DesignTerm, EventCounts, Exchanges, Fitted, ModelCard, OneRound, Patient,
        Predicted, Sums, Terms, covariate_faults, patient_faults, summary_without_fit, values_of,
    },
    rows,
    spec::Fault,
    summary::LayoutError,
};
use tributary_stats::{
    cox::{DeathDay, Patterns, TieRule, Ties},
    distribution::normal_point,
    event_table::{Rows, TimeGrid, event_table},
    matrix::{independent_columns, invert, quadratic_form},
    newton::{Evaluation, Next, newton},
};

use super::cox::{BaselineDay, Test};

/// The model.
#[derive(Debug)]
pub struct CoxPatterns;

/// Tie rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Rule {
    /// Efron.
    #[default]
    Efron,
    /// Breslow.
    Breslow,
    /// Exact discrete: `ties = "exact"` of R, `DISCRETE` of SAS; the effects are odds ratios.
    Exact,
}

rows! {
    /// Survival at one time, had all patients the same level of a covariate.
    struct Standardised in "standardised" {
        group: String,
        time_years: Number,
        estimate: Number as Share,
        std_error: Number as Share,
        conf_low: Number,
        conf_high: Number,
        status: Status,
    }
}

/// Options of `cox_patterns`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Follow-up, the analysis's own if absent.
    followup: Followup,
    /// Covariates with levels.
    covariates: Vec<String>,
    /// Reference levels; the first level of the dictionary where absent.
    #[serde(default)]
    reference: BTreeMap<String, String>,
    /// Pairs of covariates whose products are added.
    #[serde(default)]
    interactions: Vec<[String; 2]>,
    /// How tied deaths share their risk set.
    #[serde(default)]
    ties: Rule,
    /// Patients whose survival is predicted at `times_years`.
    #[serde(default)]
    patients: Vec<Patient>,
    /// Covariate whose levels have a standardised curve each: what survival would be had all patients that level.
    #[serde(default)]
    pub standardise: Option<String>,
    /// Times of the predictions, years.
    #[serde(default)]
    #[schemars(with = "Vec<limits::Years>")]
    times_years: Vec<f64>,
    /// Last day of the grid; from the dictionary's range of the time where absent.
    #[serde(default)]
    #[schemars(with = "Option<limits::Days>")]
    horizon_days: Option<u32>,
    /// Confidence level, the analysis's own if absent.
    confidence_level: ConfidenceLevel,
    /// Columns of the design, from the dictionary.
    #[serde(default)]
    #[schemars(skip)]
    design: Vec<DesignTerm>,
    /// Levels of each covariate, from the dictionary.
    #[serde(default)]
    #[schemars(skip)]
    levels: Vec<Vec<String>>,
}

/// Most patterns of covariates.
const MOST_PATTERNS: usize = 500;
const MOST_EVALUATIONS: usize = 60;

static CARD: ModelCard = ModelCard {
    kind: "cox_patterns",
    title: "Cox regression from covariate patterns",
    estimates: "log hazard ratios with a common baseline, survival predictions for given patients, standardised survival",
    sends: "once: late entries, events and censorings by day for every pattern of the covariates",
    pools: "cells are summed; the hub computes the risk sets for any coefficients and maximises by Newton's method",
    differs: "none: it equals coxph(…) on the pooled records",
    not_done: "quantities as covariates",
    exchanges: Exchanges::One,
    sources: "Cox 1972; Efron 1977; Breslow 1974; Gail, Lubin & Rubinstein 1981; Makuch 1982",
    example: "id = \"patterns\"\nkind = \"cox_patterns\"\ncovariates = [\"x_hist_central\", \"stage\"]\ntimes_years = [1, 5]\nstandardise = \"x_hist_central\"\n",
};

impl Options {
    fn ties(&self) -> TieRule {
        match self.ties {
            Rule::Efron => TieRule::Approximate(Ties::Efron),
            Rule::Breslow => TieRule::Approximate(Ties::Breslow),
            Rule::Exact => TieRule::Exact,
        }
    }

    fn patterns(&self) -> usize {
        self.levels.iter().map(Vec::len).product()
    }

    /// Levels in pattern number `pattern`, the last covariate fastest.
    fn pattern(&self, mut pattern: usize) -> BTreeMap<String, serde_json::Value> {
        let mut values = BTreeMap::new();
        for (name, levels) in self.covariates.iter().zip(&self.levels).rev() {
            values.insert(
                name.clone(),
                serde_json::Value::from(levels[pattern % levels.len()].clone()),
            );
            pattern /= levels.len();
        }
        values
    }

    fn row(&self, values: &BTreeMap<String, serde_json::Value>) -> Vec<f64> {
        self.design.iter().map(|term| term.value(values).unwrap_or(0.0)).collect()
    }
}

impl OneRound for CoxPatterns {
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
        faults.extend(context.horizon(&mut options.horizon_days, &options.followup));
        if options.covariates.is_empty() {
            faults.push(Fault::new("/covariates", "name at least one covariate"));
        }
        for (i, name) in options.covariates.iter().enumerate() {
            faults.extend(context.check_levels(&format!("/covariates/{i}"), name));
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
        options.levels = options.covariates.iter().map(|name| context.levels(name)).collect();
        if options.patterns() > MOST_PATTERNS {
            let n = options.patterns();
            let message =
                format!("the covariates have {n} patterns, at most {MOST_PATTERNS} are sent");
            faults.push(
                Fault::new("/covariates", message).hint("use `cox`, which takes several rounds"),
            );
        }
        let standardise = options.standardise.iter().map(|name| ("/standardise".to_owned(), name));
        faults.extend(covariate_faults(standardise, &options.covariates, context));
        faults.extend(patient_faults(&options.patients, &options.covariates, context));
        faults
    }

    fn needs(&self, options: &Options) -> Vec<ColumnNeed> {
        let mut needs = options.followup.needs();
        needs.extend(options.covariates.iter().map(ColumnNeed::levels));
        needs
    }

    fn terms(&self, options: &Options) -> Vec<String> {
        options.design.iter().map(DesignTerm::name).collect()
    }

    fn summarise(&self, options: &Options, data: &SiteData) -> Result<Sums, CohortError> {
        let needed: Vec<&str> = options.covariates.iter().map(String::as_str).collect();
        let survival = data.cohort.survival(&options.followup, &needed)?;
        let mut pattern = vec![0_u32; survival.rows.len()];
        for (name, levels) in options.covariates.iter().zip(&options.levels) {
            let (codes, _) = data.cohort.levels(name)?;
            for (at, &row) in pattern.iter_mut().zip(&survival.rows) {
                *at = *at * levels.len() as u32 + codes[row].unwrap_or(0);
            }
        }
        let rows = Rows {
            entry: survival.entry.as_deref(),
            exit: &survival.exit,
            event: &survival.event,
            group: &pattern,
        };
        let n = options.patterns();
        let table = event_table(rows, n, &TimeGrid::daily(options.horizon_days.unwrap_or(0)));
        let groups = (0..n).map(|k| k.to_string()).collect();
        Ok(Sums::of(&survival).event_counts(&EventCounts { groups, table }))
    }

    fn estimate(
        &self,
        options: &Options,
        pooled: &Sums,
        sites: usize,
    ) -> Result<Estimate, LayoutError> {
        result(options, pooled, sites)
    }
}

/// Risk sets and deaths by day over the patterns, and the persons of each.
fn patterns(options: &Options, counts: &EventCounts) -> (Patterns, Vec<f64>) {
    let n = options.patterns();
    let groups: Vec<_> = (0..n).map(|g| counts.group(g)).collect();
    let half_day = options.followup.zero == ZeroRule::HalfDay;
    let mut days = Vec::new();
    for j in 0..counts.table.cells {
        let deaths: Vec<f64> = groups.iter().map(|g| g.events[j]).collect();
        if deaths.iter().sum::<f64>() > 0.0 {
            let at_risk = groups.iter().map(|g| g.n_risk[j]).collect();
            let day = if j == 0 && half_day { 0.5 } else { j as f64 };
            days.push(DeathDay { day, at_risk, deaths });
        }
    }
    let x = (0..n).map(|k| options.row(&options.pattern(k))).collect();
    (Patterns { x, days }, (0..n).map(|g| counts.persons(g)).collect())
}

fn result(options: &Options, sums: &Sums, sites: usize) -> Result<Estimate, LayoutError> {
    let counts = sums.read_event_counts()?;
    let (patterns, persons) = patterns(options, &counts);
    let events: f64 = patterns.days.iter().flat_map(|d| &d.deaths).sum();
    let mut estimate = Estimate::new(Exactness::Exact, sites);
    card_lines(&mut estimate, options);
    sums.left_out_notices(&mut estimate);
    let p = options.design.len();
    let mut terms = Terms::new(&options.design, "hazard_ratio", options.confidence_level.share());
    let total: f64 = persons.iter().sum();
    let refused = if events <= 0.0 {
        Some((Status::NoEvents, "no-events"))
    } else if 3.0 * p as f64 > events {
        Some((Status::NotIdentified, "too-few-events"))
    } else {
        None
    };
    if let Some((status, key)) = refused {
        let values = [("parameters", p.to_string()), ("events", events.to_string())];
        estimate.notice(Notice::new(status, key, &values));
        estimate.tables.push(terms.all_empty(status).table());
        estimate.tables.push(summary_without_fit(total, events, status));
        return Ok(estimate);
    }
    let start =
        Evaluation::new(&vec![0.0; p], &patterns.derivatives(&vec![0.0; p], options.ties()));
    // Of a column that is the same for everybody, rounding may leave a trace of information.
    let columns: Vec<Vec<f64>> =
        patterns.x.iter().map(|x| [&[1.0], x.as_slice()].concat()).collect();
    let people = columns.iter().zip(&persons).filter(|(_, n)| **n > 0.0);
    let products = people.fold(DMatrix::zeros(p + 1, p + 1), |sum, (z, n)| {
        let z = DVector::from_row_slice(z);
        sum + &z * z.transpose() * *n
    });
    let varied = independent_columns(&products);
    let mut active = independent_columns(&start.information);
    active.retain(|j| varied.contains(&(j + 1)));
    let pick = |x: &Vec<f64>| active.iter().map(|&j| x[j]).collect::<Vec<f64>>();
    let reduced =
        Patterns { x: patterns.x.iter().map(pick).collect(), days: patterns.days.clone() };
    let evaluate = |beta: &[f64]| Evaluation::new(beta, &reduced.derivatives(beta, options.ties()));
    let mut record = vec![evaluate(&vec![0.0; active.len()])];
    let next = loop {
        match newton(&record, MOST_EVALUATIONS) {
            Next::Try(beta) => record.push(evaluate(&beta)),
            next => break next,
        }
    };
    let null = record[0].clone();
    let fitted = Fitted::new(&record, next, 1);
    let names: Vec<String> = active.iter().map(|&j| options.design[j].name()).collect();
    fitted.tell_end(&mut estimate, &names);
    if active.len() < p {
        let dropped = (0..p).filter(|j| !active.contains(j)).map(|j| options.design[j].name());
        let values = [("terms", dropped.collect::<Vec<_>>().join(", "))];
        estimate.notice(Notice::new(Status::NotIdentified, "terms-dropped", &values));
    }
    let usable = matches!(fitted.status, Status::Ok | Status::Monotone);
    for j in 0..p {
        match active.iter().position(|&k| k == j) {
            Some(i) if usable && !fitted.running.contains(&i) => {
                terms.wald(j, fitted.theta[i], fitted.std_error(i));
            }
            Some(_) => terms.empty(j, fitted.status),
            None => terms.empty(j, Status::NotIdentified),
        }
    }
    estimate.tables.push(terms.table());
    estimate.tables.push(fitted.summary(total, events));
    estimate.tables.push(Table::of(tests(&null, &fitted)));
    if fitted.status == Status::Ok && options.ties != Rule::Exact {
        let curves = Curves { options, patterns: &reduced, fitted: &fitted, active: &active };
        if !options.patients.is_empty() {
            estimate.tables.push(curves.patients());
        }
        if let Some(name) = &options.standardise {
            estimate.tables.push(curves.standardised(name, &persons));
        }
        estimate.tables.push(curves.baseline());
    }
    estimate.fit = Some(fitted.record);
    Ok(estimate)
}

fn tests(null: &Evaluation, fitted: &Fitted) -> [Test; 3] {
    let start = invert(&null.information);
    let df = start.rank as f64;
    let likelihood_ratio = 2.0 * (fitted.log_likelihood - null.log_likelihood);
    let wald = quadratic_form(&fitted.theta, &invert(&fitted.covariance));
    let wald = if fitted.status == Status::Ok { Ok(wald) } else { Err(fitted.status) };
    [
        Test::new("likelihood ratio", Ok(likelihood_ratio), df),
        Test::new("Wald", wald, df),
        Test::new("score", Ok(quadratic_form(&null.score, &start)), df),
    ]
}

impl From<Standardised> for Predicted {
    fn from(found: Standardised) -> Self {
        let Standardised {
            group: patient,
            time_years,
            estimate,
            std_error,
            conf_low,
            conf_high,
            status,
        } = found;
        Self { patient, time_years, estimate, std_error, conf_low, conf_high, status }
    }
}

struct Curves<'a> {
    options: &'a Options,
    patterns: &'a Patterns,
    fitted: &'a Fitted,
    active: &'a [usize],
}

impl Curves<'_> {
    fn tie_rule(&self) -> Ties {
        if self.options.ties == Rule::Breslow { Ties::Breslow } else { Ties::Efron }
    }

    /// Cumulative baseline hazard at `days`, and the sum of the squared parts of its increments.
    fn cumulative(&self, beta: &[f64], days: f64) -> (f64, f64) {
        let steps = self.patterns.baseline(beta, self.tie_rule());
        let within = steps.iter().filter(|s| s[0] <= days);
        within.fold((0.0, 0.0), |(h, v), s| (h + s[1], v + s[2]))
    }

    /// Weighted mean of survival over rows of covariates, with its standard error: that of the baseline's increments, and that of
    /// the coefficients, on which the increments depend too.
    fn mean_survival(&self, rows: &[(Vec<f64>, f64)], days: f64) -> (f64, f64) {
        let eta = |x: &[f64], beta: &[f64]| x.iter().zip(beta).map(|(x, b)| x * b).sum::<f64>();
        let at = |beta: &[f64]| {
            let (hazard, _) = self.cumulative(beta, days);
            rows.iter().map(|(x, w)| w * (-hazard * eta(x, beta).exp()).exp()).sum::<f64>()
        };
        let (estimate, of_beta) = self.fitted.delta(at);
        let beta: Vec<f64> = self.fitted.theta.iter().copied().collect();
        let (hazard, squares) = self.cumulative(&beta, days);
        let slope: f64 = rows
            .iter()
            .map(|(x, w)| {
                let risk = eta(x, &beta).exp();
                w * risk * (-hazard * risk).exp()
            })
            .sum();
        (estimate, (of_beta * of_beta + slope * slope * squares).sqrt())
    }

    fn pick(&self, x: &[f64]) -> Vec<f64> {
        self.active.iter().map(|&j| x[j]).collect()
    }

    /// Survival of a group with an interval symmetric in log(−log S).
    fn survival(&self, group: &str, rows: &[(Vec<f64>, f64)], years: f64) -> Standardised {
        let (s, se) = self.mean_survival(rows, years * self.options.followup.year.days());
        let z = normal_point(self.options.confidence_level.share());
        let inside = s > 0.0 && s < 1.0;
        let half = z * se / (s * s.ln().abs());
        Standardised {
            group: group.to_owned(),
            time_years: Some(years),
            estimate: Some(s),
            std_error: Some(if inside { se } else { 0.0 }),
            conf_low: inside.then(|| s.powf(half.exp())),
            conf_high: inside.then(|| s.powf((-half).exp())),
            status: if inside { Status::Ok } else { Status::OneSided },
        }
    }

    fn patients(&self) -> Table {
        let mut rows: Vec<Predicted> = Vec::new();
        for patient in &self.options.patients {
            let x = self.pick(&values_of(patient, &self.options.design));
            for &years in &self.options.times_years {
                rows.push(self.survival(&patient.name, &[(x.clone(), 1.0)], years).into());
            }
        }
        Table::of(rows).drawn(&["patient"], false, Some(Beginning::One))
    }

    /// What survival would be had all patients the same level of one covariate and the others their own.
    fn standardised(&self, name: &str, persons: &[f64]) -> Table {
        let mut standardised = Vec::new();
        let at = self.options.covariates.iter().position(|c| c == name).unwrap_or(0);
        let total: f64 = persons.iter().sum();
        for level in &self.options.levels[at] {
            let rows: Vec<(Vec<f64>, f64)> = (0..persons.len())
                .filter(|&k| persons[k] > 0.0)
                .map(|k| {
                    let mut values = self.options.pattern(k);
                    values.insert(name.to_owned(), serde_json::Value::from(level.clone()));
                    (self.pick(&self.options.row(&values)), persons[k] / total)
                })
                .collect();
            for &years in &self.options.times_years {
                standardised.push(self.survival(level, &rows, years));
            }
        }
        Table::of(standardised)
    }

    /// Baseline of a patient with all covariates at their reference.
    fn baseline(&self) -> Table {
        let beta: Vec<f64> = self.fitted.theta.iter().copied().collect();
        let mut hazard = 0.0;
        let days = self.patterns.baseline(&beta, self.tie_rule()).into_iter();
        let days = days.map(|[day, increment, _]| {
            hazard += increment;
            BaselineDay::new(day, hazard)
        });
        Table::of(days).shown(Shown::File)
    }
}

fn card_lines(estimate: &mut Estimate, options: &Options) {
    estimate.line("estimator", "partial-likelihood", &[]);
    let ties = match options.ties {
        Rule::Efron => "efron",
        Rule::Breslow => "breslow",
        Rule::Exact => "exact",
    };
    estimate.line("ties", ties, &[]);
    estimate.line("baseline", "common", &[]);
    estimate.line("zero", options.followup.zero.name(), &[]);
    let level = 100.0 * options.confidence_level.share();
    estimate.line("interval", "wald", &[("level", level.to_string())]);
    estimate.line("variance", "observed-information", &[]);
    estimate.line("year", options.followup.year.name(), &[]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_number_gives_its_levels_back() {
        let options: Options = serde_json::from_value(serde_json::json!({
            "followup": { "time": "time", "event": "event" },
            "confidence_level": 0.95,
            "covariates": ["a", "b"],
            "levels": [["x", "y"], ["1", "2", "3"]],
        }))
        .unwrap();
        let values = options.pattern(4);
        assert_eq!((values["a"].as_str(), values["b"].as_str()), (Some("y"), Some("2")));
    }
}
