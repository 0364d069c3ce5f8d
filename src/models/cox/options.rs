//! What the analyst chooses for a Cox model.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    cohort::Followup,
    model::DesignTerm,
    stats::{cox::Ties, event_table::TimeGrid},
};

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

/// Options of `cox`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Follow-up, the analysis's own if absent.
    #[serde(default)]
    pub(super) followup: Option<Followup>,
    /// Covariates, in the order of the table.
    pub(super) covariates: Vec<String>,
    /// Reference levels; the first level of the dictionary where absent.
    #[serde(default)]
    pub(super) reference: BTreeMap<String, String>,
    /// Knots of a restricted cubic spline, by covariate: `{ age_years = [2, 5, 10] }`.
    #[serde(default)]
    pub(super) splines: BTreeMap<String, Vec<f64>>,
    /// Pairs of covariates whose products are added.
    #[serde(default)]
    pub(super) interactions: Vec<[String; 2]>,
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
    /// Most evaluations of the likelihood.
    #[serde(default = "thirty")]
    #[schemars(range(min = 2, max = 100))]
    pub(super) max_evaluations: usize,
    /// Last day of the grid on which events are counted, for `km` and a common baseline; from the dictionary where absent.
    /// With a common baseline later events are not counted.
    #[serde(default)]
    pub(super) horizon_days: Option<u32>,
    /// Confidence level, the analysis's own if absent.
    #[serde(default)]
    pub(super) confidence_level: Option<f64>,
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

    /// Position of a term by its name, for models that build on this one.
    pub(in crate::models) fn term(&self, name: &str) -> Option<usize> {
        self.design.iter().position(|t| t.name() == name)
    }

    pub(in crate::models) fn term_names(&self) -> Vec<String> {
        self.design.iter().map(DesignTerm::name).collect()
    }
}
