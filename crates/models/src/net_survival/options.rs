//! What the analyst chooses for net survival.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::{
    cohort::Followup,
    limits::{self, ConfidenceLevel},
    model::Background,
    spec::Fault,
    vocabulary::survival_standards::{NAMES, standard},
};
use tributary_stats::{event_table::TimeGrid, life_table::DayGrid, net_survival::Estimator};

/// Estimator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Method {
    /// Net survival.
    PoharPerme,
    /// Relative survival, expected over those at risk.
    Ederer2,
    /// Relative survival, expected over everybody at diagnosis.
    Ederer1,
    /// Relative survival, expected over those who could still be followed.
    Hakulinen,
}

impl Method {
    pub(super) fn estimator(self) -> Estimator {
        match self {
            Self::PoharPerme => Estimator::PoharPerme,
            Self::Ederer2 => Estimator::Ederer2,
            Self::Ederer1 => Estimator::Ederer1,
            Self::Hakulinen => Estimator::Hakulinen,
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::PoharPerme => "pohar-perme",
            Self::Ederer2 => "ederer2",
            Self::Ederer1 => "ederer1",
            Self::Hakulinen => "hakulinen",
        }
    }
}

/// Scale of the pointwise interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Interval {
    /// log(−log S); log S where S is 1 or more.
    #[default]
    LogLog,
    /// log S, the default of `relsurv`.
    Log,
    /// S.
    Plain,
}

/// Options of `net_survival`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Follow-up, the analysis's own if absent.
    pub(super) followup: Followup,
    /// Variables with which expected mortality is looked up.
    pub(super) background: Background,
    /// Variable whose levels have a curve each.
    #[serde(default)]
    pub(super) by: Option<String>,
    /// Estimators.
    #[serde(default = "usual")]
    pub(super) estimators: Vec<Method>,
    /// Last day of the grid; from the dictionary's range of the time where absent.
    #[serde(default)]
    #[schemars(with = "Option<limits::Days>")]
    pub(super) horizon_days: Option<u32>,
    /// Width of a cell of the grid, days; 1 is exact.
    #[serde(default = "one_day")]
    #[schemars(with = "limits::CellDays")]
    pub(super) grid_days: f64,
    /// On the daily grid take exp(−Σ hazard) instead of the product.
    #[serde(default)]
    pub(super) exponential: bool,
    /// Scale on which the pointwise interval is symmetric.
    #[serde(default)]
    pub(super) interval: Interval,
    /// Times of the survival table, years.
    #[serde(default)]
    #[schemars(with = "Vec<limits::Years>")]
    pub(super) times_years: Vec<f64>,
    /// Age standard: `icss1`, `icss2`, `icss3`, `children`.
    #[serde(default)]
    pub(super) standard: Option<String>,
    /// Own age bands for standardisation: lower bounds in completed years, from 0.
    #[serde(default)]
    #[schemars(with = "Vec<limits::AgeInYears>")]
    pub(super) age_from: Vec<f64>,
    /// Weights of the own age bands; the study's own age mix where absent.
    #[serde(default)]
    #[schemars(with = "Vec<limits::Weight>")]
    pub(super) age_weights: Vec<f64>,
    /// Crude probabilities of death from the disease and from other causes at `times_years`.
    #[serde(default)]
    pub(super) crude_probabilities: bool,
    /// Log-rank-type test between the groups.
    #[serde(default)]
    pub(super) test: bool,
    /// Day on which follow-up was closed, for Hakulinen's estimate.
    #[serde(default)]
    pub(super) closing_date: Option<String>,
    /// Confidence level, the analysis's own if absent.
    pub(super) confidence_level: ConfidenceLevel,
    /// Levels of `by`, from the dictionary.
    #[serde(default)]
    #[schemars(skip)]
    pub(super) groups: Vec<String>,
    /// Lower bounds of the age bands in use.
    #[serde(default)]
    #[schemars(skip)]
    pub(super) bands: Vec<f64>,
    /// Their weights; none for the study's own mix.
    #[serde(default)]
    #[schemars(skip)]
    pub(super) weights: Vec<f64>,
}

fn usual() -> Vec<Method> {
    vec![Method::PoharPerme, Method::Ederer2]
}

fn one_day() -> f64 {
    1.0
}

impl Options {
    pub(super) fn uses(&self, method: Method) -> bool {
        self.estimators.contains(&method) || (method == Method::PoharPerme && self.test)
    }

    pub(super) fn is_daily(&self) -> bool {
        self.grid_days <= 1.0
    }

    pub(super) fn grid(&self) -> TimeGrid {
        let horizon = self.horizon_days.unwrap_or(0);
        if self.is_daily() {
            TimeGrid::daily(horizon)
        } else {
            TimeGrid::coarse(self.grid_days, horizon)
        }
    }

    pub(super) fn day_grid(&self) -> DayGrid {
        DayGrid { width: self.grid_days, days: self.horizon_days.unwrap_or(0) as i32 }
    }

    pub(super) fn is_standardised(&self) -> bool {
        self.bands.len() > 1
    }

    /// Fills age bands and weights.
    pub(super) fn check_standard(&mut self) -> Vec<Fault> {
        (self.bands, self.weights) = (vec![0.0], Vec::new());
        if let Some(name) = &self.standard {
            let Some(found) = standard(name) else {
                let message = format!("there is no age standard `{name}`");
                let hint =
                    format!("known: {}; or write age_from and age_weights", NAMES.join(", "));
                return vec![Fault::new("/standard", message).hint(hint)];
            };
            (self.bands, self.weights) = (found.from, found.weights);
            return Vec::new();
        }
        if self.age_from.is_empty() {
            return Vec::new();
        }
        let starts = self.age_from.first().is_some_and(|a| *a == 0.0);
        if !starts || !self.age_from.windows(2).all(|w| w[0] < w[1]) {
            let message = "age bands must start at 0 and be ascending";
            return vec![Fault::new("/age_from", message).hint("age_from = [0, 5, 10]")];
        }
        let n = self.age_weights.len();
        let sum: f64 = self.age_weights.iter().sum();
        if n > 0
            && (n != self.age_from.len() || self.age_weights.iter().any(|w| *w < 0.0) || sum <= 0.0)
        {
            let message = format!("{n} weights for {} age bands", self.age_from.len());
            let hint = "give one non-negative weight per band";
            return vec![Fault::new("/age_weights", message).hint(hint)];
        }
        self.bands.clone_from(&self.age_from);
        self.weights = self.age_weights.iter().map(|w| w / sum).collect();
        Vec::new()
    }
}
