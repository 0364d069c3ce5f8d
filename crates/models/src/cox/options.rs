//! What the analyst chooses for a Cox model.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::{
    cohort::Followup,
    limits::{self, ConfidenceLevel},
    model::{Context, DesignTerm, covariate_faults},
    spec::{Fault, VariableKind},
};
use tributary_stats::{cox::Ties, event_table::TimeGrid};

/// Name of the bands of follow-up in products.
pub(super) const BAND: &str = "follow-up";

/// Tie rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum TieRule {
    /// Efron, R's default.
    #[default]
    Efron,
    /// Breslow, the default of SAS, Stata and SPSS.
    Breslow,
}

/// Whose baseline hazard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Baseline {
    /// Each site its own; no event time leaves.
    #[default]
    Site,
    /// One for all sites; risk-set sums at the pooled event days are sent.
    Common,
}

/// Time transform of the proportional-hazards test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum TimeTransform {
    /// 1 − S(t−), R's default; needs the pooled event table.
    Km,
    /// Logarithm of time.
    Log,
    /// Time.
    Identity,
    /// No test.
    None,
}

/// What the test of proportional hazards is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum TestBy {
    /// Each variable, all its levels together: `terms = TRUE` of R's `cox.zph`.
    #[default]
    Variable,
    /// Each term: `terms = FALSE`.
    Term,
}

/// What case weights are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum WeightType {
    /// So many patients like this one: whole numbers.
    #[default]
    Frequency,
    /// Inverse probability of being in the data.
    Sampling,
}

/// Variance of the coefficients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Variance {
    /// Inverse of the information.
    #[default]
    Model,
    /// Sandwich over patients (with `baseline = "site"`).
    Robust,
    /// Sandwich over sites, with the CR2 correction and Student's t with one degree of freedom less than sites.
    Site,
}

/// Options of `cox`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Follow-up, the analysis's own if absent.
    pub(super) followup: Followup,
    /// Covariates, in the order of the table.
    pub(super) covariates: Vec<String>,
    /// Reference levels; the first level of the dictionary where absent.
    #[serde(default)]
    pub(super) reference: BTreeMap<String, String>,
    /// Knots of a restricted cubic spline, by covariate: `{ age_years = [2, 5, 10] }`.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Vec<limits::Quantity>>")]
    pub(super) splines: BTreeMap<String, Vec<f64>>,
    /// Pairs of covariates whose products are added.
    #[serde(default)]
    pub(super) interactions: Vec<[String; 2]>,
    /// Variable that is added to the linear predictor with coefficient 1 (with `baseline = "site"`).
    #[serde(default)]
    pub(super) offset: Option<String>,
    /// Variable with case weights (with `baseline = "site"`).
    #[serde(default)]
    pub(super) weights: Option<String>,
    /// What the weights are: `frequency` weights are whole numbers, `sampling` weights want `variance = "robust"`.
    #[serde(default)]
    pub(super) weight_type: WeightType,
    /// Starts of further bands of follow-up, years, in which the effects of `time_varying` may differ from the first.
    #[serde(default)]
    #[schemars(with = "Vec<limits::Years>")]
    pub(super) time_bands_years: Vec<f64>,
    /// Covariates whose effects differ between the bands.
    #[serde(default)]
    pub(super) time_varying: Vec<String>,
    /// Variance of the coefficients, of their intervals and tests, and of each site's own fit (there, with `site`, over its patients).
    #[serde(default)]
    pub(super) variance: Variance,
    /// How tied deaths share their risk set.
    #[serde(default)]
    pub(super) ties: TieRule,
    /// Whose baseline hazard.
    #[serde(default)]
    pub(super) baseline: Baseline,
    /// Further variables whose levels have a baseline each (with `baseline = "site"`).
    #[serde(default)]
    pub(super) strata: Vec<String>,
    /// Time transform of the test of proportional hazards: `km` where the baseline is common, else `log`.
    #[serde(default)]
    pub(super) proportional_hazards: Option<TimeTransform>,
    /// Whether proportional hazards are tested by variable, or for each term.
    #[serde(default)]
    pub(super) proportional_hazards_by: TestBy,
    /// Most evaluations of the likelihood.
    #[serde(default = "thirty")]
    #[schemars(range(min = 2, max = 100))]
    pub(super) max_evaluations: usize,
    /// Last day of the grid on which events are counted, for `km` and a common baseline; from the dictionary where absent.
    /// With a common baseline later events are not counted.
    #[serde(default)]
    #[schemars(with = "Option<limits::Days>")]
    pub(super) horizon_days: Option<u32>,
    /// Confidence level, the analysis's own if absent.
    pub(super) confidence_level: ConfidenceLevel,
    /// Columns of the design, from the dictionary.
    #[serde(default)]
    #[schemars(skip)]
    pub(super) design: Vec<DesignTerm>,
}

fn thirty() -> usize {
    30
}

impl Options {
    pub(super) fn ties(&self) -> Ties {
        match self.ties {
            TieRule::Efron => Ties::Efron,
            TieRule::Breslow => Ties::Breslow,
        }
    }

    pub(super) fn transform(&self) -> TimeTransform {
        self.proportional_hazards.unwrap_or(TimeTransform::None)
    }

    /// Whether the first round counts events by day and sums the covariates.
    pub(super) fn counts_first(&self) -> bool {
        self.baseline == Baseline::Common || self.transform() == TimeTransform::Km
    }

    pub(super) fn grid(&self) -> TimeGrid {
        TimeGrid::daily(self.horizon_days.unwrap_or(0))
    }

    /// Faults of offset, weights, bands and variance.
    pub(super) fn check_further(&self, context: &Context<'_>) -> Vec<Fault> {
        use VariableKind::{Days, Integer, Real};
        let mut faults = Vec::new();
        for (at, name) in [("/offset", &self.offset), ("/weights", &self.weights)] {
            let found = name.as_ref().and_then(|n| context.check(at, n, &[Integer, Real, Days]));
            faults.extend(found);
        }
        let common = self.baseline == Baseline::Common;
        if common && self.is_weighted() {
            let hint = "write baseline = \"site\"";
            let message = "weights and an offset require a separate baseline for each site";
            faults.push(Fault::new("/baseline", message).hint(hint));
        }
        if common && self.variance != Variance::Model {
            let message = "this variance requires a separate baseline for each site";
            faults.push(Fault::new("/variance", message).hint("write baseline = \"site\""));
        }
        if self.weights.is_some()
            && self.weight_type == WeightType::Sampling
            && self.variance == Variance::Model
        {
            let message = "the inverse information is not a valid variance under sampling weights";
            faults.push(Fault::new("/variance", message).hint("write variance = \"robust\""));
        }
        if self.is_weighted() && self.transform() != TimeTransform::None {
            let message =
                "the test of proportional hazards is not available with weights or an offset";
            let hint = "write proportional_hazards = \"none\"";
            faults.push(Fault::new("/proportional_hazards", message).hint(hint));
        }
        if self.variance != Variance::Model && self.transform() != TimeTransform::None {
            let message = "the test of proportional hazards rests on the model's own variance";
            let hint = "write proportional_hazards = \"none\", or leave it out";
            faults.push(Fault::new("/proportional_hazards", message).hint(hint));
        }
        let bands = &self.time_bands_years;
        if bands.is_empty() != self.time_varying.is_empty() {
            let message = "time_bands_years and time_varying must be given together";
            let hint = "time_bands_years = [1], time_varying = [\"age_years\"]";
            faults.push(Fault::new("/time_bands_years", message).hint(hint));
        }
        if bands.first().is_some_and(|b| *b <= 0.0) || !bands.windows(2).all(|w| w[0] < w[1]) {
            let message = "the starts of the bands must be positive and ascending";
            faults.push(Fault::new("/time_bands_years", message));
        }
        let varying = self.time_varying.iter().enumerate();
        let varying = varying.map(|(i, name)| (format!("/time_varying/{i}"), name));
        faults.extend(covariate_faults(varying, &self.covariates, context));
        faults
    }

    /// Whether the rows go through the evaluation that knows weights, offset and residuals.
    pub(super) fn is_weighted(&self) -> bool {
        self.offset.is_some() || self.weights.is_some()
    }

    /// Columns of the design that vary with the bands; theirs come after all others, band by band.
    pub(super) fn varying(&self) -> Vec<usize> {
        (0..self.base_terms())
            .filter(|&j| self.time_varying.contains(&self.design[j].variable))
            .collect()
    }

    /// Terms without those of the bands.
    pub(super) fn base_terms(&self) -> usize {
        self.design.iter().filter(|t| t.product.first().is_none_or(|f| f.variable != BAND)).count()
    }

    /// Adds a term per varying column and band.
    pub(super) fn add_bands(&mut self) {
        let varying: Vec<DesignTerm> =
            self.varying().iter().map(|&j| self.design[j].clone()).collect();
        for years in self.time_bands_years.clone() {
            for term in &varying {
                let level = Some(format!("from {years} years"));
                let band = DesignTerm { level, ..DesignTerm::of(BAND) };
                let name = format!("{BAND}:{}", term.variable);
                let product = vec![band, term.clone()];
                self.design.push(DesignTerm { product, ..DesignTerm::of(&name) });
            }
        }
    }

    /// Position of a term by its name, for models that build on this one.
    pub(crate) fn term(&self, name: &str) -> Option<usize> {
        self.design.iter().position(|t| t.name() == name)
    }

    pub(crate) fn term_names(&self) -> Vec<String> {
        self.design.iter().map(DesignTerm::name).collect()
    }
}
