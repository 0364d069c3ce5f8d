//! What the analyst chooses for Kaplan–Meier curves.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::{
    cohort::Followup,
    limits::{self, ConfidenceLevel},
};
use tributary_stats::{event_table::TimeGrid, product_limit::IntervalScale};

/// Scale of the pointwise interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Interval {
    /// log(−log S).
    #[default]
    LogLog,
    /// log S.
    Log,
    /// S.
    Plain,
    /// logit S.
    Logit,
    /// arcsin √S.
    Arcsine,
}

/// Intervals of the actuarial life table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Intervals {
    /// Months to one year, quarters to two, half-years to five, years after that.
    Usual,
    /// Months.
    Months,
    /// Years.
    Years,
}

impl Interval {
    pub(super) fn scale(self) -> IntervalScale {
        match self {
            Self::LogLog => IntervalScale::LogLog,
            Self::Log => IntervalScale::Log,
            Self::Plain => IntervalScale::Plain,
            Self::Logit => IntervalScale::Logit,
            Self::Arcsine => IntervalScale::Arcsine,
        }
    }
}

/// Options of `kaplan_meier`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Follow-up, the analysis's own if absent.
    pub(super) followup: Followup,
    /// Variable whose levels have a curve each.
    #[serde(default)]
    pub(super) by: Option<String>,
    /// Last day of the grid; from the dictionary's range of the time where absent. Later follow-up counts as at risk to it.
    #[serde(default)]
    #[schemars(with = "Option<limits::Days>")]
    pub(super) horizon_days: Option<u32>,
    /// Width of a cell of the grid, days; 1 is exact.
    #[serde(default = "one_day")]
    #[schemars(with = "limits::CellDays")]
    pub(super) grid_days: f64,
    /// Scale on which the pointwise interval is symmetric.
    #[serde(default)]
    pub(super) interval: Interval,
    /// Times of the survival table, years.
    #[serde(default)]
    #[schemars(with = "Vec<limits::Years>")]
    pub(super) times_years: Vec<f64>,
    /// Quantiles of survival time; 0.5 is the median.
    #[serde(default = "median")]
    #[schemars(with = "Vec<limits::Share>")]
    pub(super) quantiles: Vec<f64>,
    /// End of the restricted mean, years.
    #[serde(default)]
    #[schemars(with = "Option<limits::Years>")]
    pub(super) restricted_mean_years: Option<f64>,
    /// Survival to `times_years` of those who have survived so many years.
    #[serde(default)]
    #[schemars(with = "Vec<limits::Years>")]
    pub(super) conditional_years: Vec<f64>,
    /// Actuarial life table.
    #[serde(default)]
    pub(super) life_table: Option<Intervals>,
    /// Nelson–Aalen and Fleming–Harrington estimates of the cumulative hazard.
    #[serde(default)]
    pub(super) cumulative_hazard: bool,
    /// Confidence level, the analysis's own if absent.
    pub(super) confidence_level: ConfidenceLevel,
    /// Levels of `by`, from the dictionary.
    #[serde(default)]
    #[schemars(skip)]
    pub(super) groups: Vec<String>,
}

fn one_day() -> f64 {
    1.0
}

fn median() -> Vec<f64> {
    vec![0.5]
}

impl Options {
    pub(super) fn grid(&self) -> TimeGrid {
        let horizon = self.horizon_days.unwrap_or(0);
        if self.grid_days > 1.0 {
            TimeGrid::coarse(self.grid_days, horizon)
        } else {
            TimeGrid::daily(horizon)
        }
    }
}
