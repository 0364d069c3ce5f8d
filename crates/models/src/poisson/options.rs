//! What the analyst chooses for a Poisson regression of rates.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tributary_core::{
    cohort::Followup,
    estimate::Estimate,
    limits::{self, ConfidenceLevel},
    model::{Background, Columns, Context, DesignTerm, Sums},
    spec::Fault,
    summary::Axis,
};
use tributary_stats::poisson::Mean;

use super::Counts;

/// What is modelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
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
    pub(super) followup: Followup,
    /// Ends of the bands of follow-up, years, ascending; follow-up after the last is not counted.
    #[schemars(with = "Vec<limits::Years>")]
    pub(super) bands_years: Vec<f64>,
    /// Covariates: with levels, which take one round, or quantities, which take several.
    #[serde(default)]
    pub(super) covariates: Vec<String>,
    /// Reference levels; the first level of the dictionary where absent.
    #[serde(default)]
    pub(super) reference: BTreeMap<String, String>,
    /// Knots of restricted cubic splines, by covariate.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, Vec<limits::Quantity>>")]
    splines: BTreeMap<String, Vec<f64>>,
    /// Pairs of covariates whose products are added.
    #[serde(default)]
    interactions: Vec<[String; 2]>,
    /// What is modelled.
    #[serde(default)]
    pub(super) outcome: Outcome,
    /// Variables with which expected mortality is looked up, for `excess` and `relative`.
    #[serde(default)]
    pub(super) background: Option<Background>,
    /// Firth's penalty: finite estimates where a level had no event.
    #[serde(default)]
    pub(super) firth: bool,
    /// Most evaluations of the likelihood where a covariate is a quantity; 60 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 2, max = 200))]
    max_evaluations: Option<usize>,
    /// Confidence level, the analysis's own if absent.
    pub(super) confidence_level: ConfidenceLevel,
    /// Columns of the design, from the dictionary.
    #[serde(default)]
    #[schemars(skip)]
    pub(super) design: Vec<DesignTerm>,
    /// Levels of each covariate, from the dictionary; none of a quantity.
    #[serde(default)]
    #[schemars(skip)]
    pub(super) levels: Vec<Vec<String>>,
}

/// Most cells of the table.
const MOST_CELLS: usize = 200_000;
/// Most evaluations of the likelihood unless the analyst says otherwise.
const MOST_EVALUATIONS: usize = 60;

impl Options {
    /// Fills what the analysis says for all models and checks names against the dictionary.
    pub(super) fn prepare(&mut self, context: &Context<'_>) -> Vec<Fault> {
        let mut faults = context.followup(&mut self.followup);
        if !faults.is_empty() {
            return faults;
        }
        let ascending = self.bands_years.windows(2).all(|w| w[0] < w[1]);
        if self.bands_years.first().is_none_or(|first| *first <= 0.0) || !ascending {
            let message = "the ends of the bands must be positive and ascending";
            faults.push(Fault::new("/bands_years", message).hint("bands_years = [1, 2, 5]"));
        }
        let columns = Columns {
            covariates: &self.covariates,
            reference: &self.reference,
            splines: &self.splines,
            interactions: &self.interactions,
        };
        self.design = columns.terms(context, &mut faults);
        self.levels = self.covariates.iter().map(|name| context.levels(name)).collect();
        if !self.has_quantity() {
            faults.extend(self.one_round_faults());
        }
        match (&mut self.background, self.outcome) {
            (Some(background), _) => faults.extend(background.prepare("/background", context)),
            (None, Outcome::Rate) => {}
            (None, Outcome::Excess | Outcome::Relative) => {
                let hint =
                    "background = { sex = \"sex\", age = \"age\", date = \"incidence_date\" }";
                let message = "this outcome requires `background`, the variables of the life table";
                faults.push(Fault::new("/outcome", message).hint(hint));
            }
        }
        if self.firth && self.outcome == Outcome::Excess {
            let message = "Firth's penalty is available for rates and relative rates only";
            faults.push(Fault::new("/firth", message));
        }
        faults
    }

    fn one_round_faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let cells = self.patterns() * self.bands_years.len();
        if cells > MOST_CELLS {
            let message =
                format!("the table would have {cells} cells, at most {MOST_CELLS} are sent");
            faults.push(Fault::new("/covariates", message).hint("use fewer covariates or bands"));
        }
        if self.max_evaluations.is_some() {
            let message = "every covariate has levels: the model takes one round, and the hub evaluates the likelihood itself";
            let fault = Fault::new("/max_evaluations", message);
            faults.push(fault.hint("leave the line out"));
        }
        faults
    }

    pub(super) fn most_evaluations(&self) -> usize {
        self.max_evaluations.unwrap_or(MOST_EVALUATIONS)
    }

    pub(super) fn mean(&self) -> Mean {
        match self.outcome {
            Outcome::Rate => Mean::Rate,
            Outcome::Excess => Mean::Excess,
            Outcome::Relative => Mean::Relative,
        }
    }

    /// Whether a covariate is a quantity: no table of patterns then holds what is needed.
    pub(super) fn has_quantity(&self) -> bool {
        self.levels.iter().any(Vec::is_empty)
    }

    /// Variables that may not be missing in a row.
    pub(super) fn needed(&self) -> Vec<&str> {
        let covariates = self.covariates.iter().map(String::as_str);
        covariates.chain(self.background.iter().flat_map(Background::names)).collect()
    }

    pub(super) fn patterns(&self) -> usize {
        self.levels.iter().map(|l| l.len().max(1)).product()
    }

    pub(super) fn band_names(&self) -> Vec<String> {
        let starts = std::iter::once(&0.0).chain(&self.bands_years);
        starts.zip(&self.bands_years).map(|(from, to)| format!("{from}–{to} years")).collect()
    }

    /// Bands first, then the covariates.
    pub(super) fn all_terms(&self) -> Vec<DesignTerm> {
        self.band_names()
            .iter()
            .map(|name| DesignTerm::parameter(name))
            .chain(self.design.iter().cloned())
            .collect()
    }

    /// Values of the covariates in pattern number `pattern`.
    pub(super) fn pattern(&self, mut pattern: usize) -> BTreeMap<String, Value> {
        let mut values = BTreeMap::new();
        for (name, levels) in self.covariates.iter().zip(&self.levels).rev() {
            let n = levels.len().max(1);
            values.insert(name.clone(), Value::from(levels[pattern % n].clone()));
            pattern /= n;
        }
        values
    }

    /// The reference levels, and of quantities their means in `centre`.
    pub(super) fn reference_values(&self, centre: &[f64]) -> BTreeMap<String, Value> {
        let value = |name: &String, levels: &[String]| match levels.first() {
            Some(first) => Value::from(self.reference.get(name).unwrap_or(first).clone()),
            // The first column of a spline is the quantity itself.
            None => {
                let own = |t: &DesignTerm| t.product.is_empty() && t.variable == *name;
                Value::from(self.design.iter().position(own).map(|j| centre[j]))
            }
        };
        let named = self.covariates.iter().zip(&self.levels);
        named.map(|(name, levels)| (name.clone(), value(name, levels))).collect()
    }

    pub(super) fn band_axis(&self) -> Axis {
        Axis::new("band", self.band_names())
    }

    pub(super) fn axes(&self) -> [Axis; 2] {
        [Axis::numbered("pattern", self.patterns()), self.band_axis()]
    }

    /// Adds counts, with expected events where a life table says them.
    pub(super) fn with_counts(&self, sums: Sums, axes: &[Axis], counts: &[Counts]) -> Sums {
        let of = |f: fn(&Counts) -> f64| counts.iter().map(f).collect();
        let sums = sums.counts("events", axes.to_vec(), of(|c| c.events)).person_time(
            "time",
            axes.to_vec(),
            of(|c| c.time),
        );
        if self.background.is_none() {
            return sums;
        }
        sums.sums("expected", axes.to_vec(), of(|c| c.expected))
    }

    /// Where the ascent begins: crude levels of the bands, and no effect.
    pub(super) fn start(&self, by_band: &[Counts]) -> Vec<f64> {
        let rate = |c: &Counts| {
            // Half an event more, so that a band without events has a logarithm.
            let events = c.events + 0.5;
            match self.outcome {
                Outcome::Rate => events / c.time.max(1e-9),
                Outcome::Excess => (events - c.expected).max(0.1 * events) / c.time.max(1e-9),
                Outcome::Relative => events / c.expected.max(1e-9),
            }
        };
        let mut start: Vec<f64> = by_band.iter().map(|c| rate(c).ln()).collect();
        start.resize(by_band.len() + self.design.len(), 0.0);
        start
    }

    pub(super) fn card_lines(&self, estimate: &mut Estimate) {
        let estimator = if self.firth { "firth" } else { "maximum-likelihood" };
        estimate.line("estimator", estimator, &[]);
        let outcome = match self.outcome {
            Outcome::Rate => "rate",
            Outcome::Excess => "excess",
            Outcome::Relative => "relative",
        };
        estimate.line("outcome", outcome, &[]);
        let bands: Vec<String> = self.bands_years.iter().map(f64::to_string).collect();
        estimate.line("bands", "of-followup", &[("bands", bands.join(", "))]);
        let level = 100.0 * self.confidence_level.share();
        estimate.line("interval", "wald", &[("level", level.to_string())]);
        estimate.line("variance", "observed-information", &[]);
        estimate.line("year", self.followup.year.name(), &[]);
    }
}
