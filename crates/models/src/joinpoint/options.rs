//! Options of `joinpoint`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tributary_core::{
    cohort::Incidence,
    limits::{self, ConfidenceLevel},
    spec::Fault,
};
use tributary_stats::joinpoint::{
    MOST_CONTINUOUS, MOST_RESAMPLED, MOST_YEARS, Places, default_most,
};

/// What is fitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Scale {
    /// Poisson counts, adjusted for age: years without cases are data.
    #[default]
    Count,
    /// Least squares of the log of the standardised rate, weighted by its variance, as NCI's program.
    LogRate,
    /// The same with equal weights.
    LogRateUnweighted,
}

/// Where joinpoints may lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Search {
    /// On observed years.
    #[default]
    Grid,
    /// Anywhere (Hudson).
    Hudson,
}

/// How their number is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Selection {
    /// BIC.
    Bic,
    /// BIC with three parameters per joinpoint.
    Bic3,
    /// BIC between the two, by the size of the changes.
    WeightedBic,
    /// A sequence of permutation tests; least squares on the grid only.
    Permutation,
}

/// Limits of slopes and average changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Interval {
    /// By the standard errors, given the places of the joinpoints.
    #[default]
    Parametric,
    /// By quantiles of refits to resampled series, which carry the doubt about the places; grid search only.
    EmpiricalQuantile,
}

/// Options of `joinpoint`.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Cells, the analysis's own if absent.
    pub(super) incidence: Incidence,
    /// Variable whose levels have trends of their own.
    #[serde(default)]
    pub(super) by: Option<String>,
    /// Whether males and females have trends of their own too.
    #[serde(default)]
    pub(super) each_sex: bool,
    /// Standard population of the yearly rates.
    #[serde(default = "crate::rate_trend::world")]
    pub(super) standard: String,
    /// What is fitted.
    #[serde(default)]
    pub(super) scale: Scale,
    /// Where joinpoints may lie.
    #[serde(default)]
    pub(super) search: Search,
    /// How their number is chosen.
    #[serde(default = "weighted")]
    pub(super) selection: Selection,
    /// The most joinpoints; by the number of years if absent (one from 7 years on, one more for every five, up to five).
    #[serde(default)]
    #[schemars(range(min = 0, max = 9))]
    pub(super) most: Option<usize>,
    /// The number of joinpoints, fixed by the analyst: then none is chosen, and `most` and `selection` have no say.
    #[serde(default)]
    #[schemars(range(min = 0, max = 9))]
    pub(super) joinpoints: Option<usize>,
    /// Years before the first and after the last joinpoint.
    #[serde(default = "two")]
    #[schemars(range(min = 1, max = 100))]
    pub(super) years_at_ends: usize,
    /// Years between two joinpoints.
    #[serde(default = "two")]
    #[schemars(range(min = 0, max = 100))]
    pub(super) years_between: usize,
    /// Adds half a case to years without one, as NCI's program does; log rates only.
    #[serde(default)]
    pub(super) add_half: bool,
    /// Limits of slopes and average changes.
    #[serde(default)]
    pub(super) interval: Interval,
    /// Resampled series of the empirical quantile interval.
    #[serde(default = "draws")]
    #[schemars(range(min = 100, max = 100_000))]
    pub(super) draws: usize,
    /// Permutations of a test.
    #[serde(default = "permutations")]
    #[schemars(range(min = 20, max = 100_000))]
    pub(super) permutations: usize,
    /// Seed of the permutations and resampled series.
    #[serde(default = "seed")]
    #[schemars(with = "limits::Seed")]
    pub(super) seed: u64,
    /// Level of the permutation tests together.
    #[serde(default = "alpha")]
    #[schemars(range(min = 0.0001, max = 0.5))]
    pub(super) alpha: f64,
    /// Spans of years whose average change is told; all years if absent.
    #[serde(default)]
    #[schemars(with = "Vec<[limits::CalendarYear; 2]>")]
    pub(super) averages: Vec<[i32; 2]>,
    /// Confidence level, the analysis's own if absent.
    pub(super) confidence_level: ConfidenceLevel,
    /// Levels of `by`, from the dictionary.
    #[serde(default)]
    #[schemars(skip)]
    pub(super) groups: Vec<String>,
}

fn weighted() -> Selection {
    Selection::WeightedBic
}

fn two() -> usize {
    2
}

fn draws() -> usize {
    2000
}

fn permutations() -> usize {
    4499
}

fn seed() -> u64 {
    7160
}

fn alpha() -> f64 {
    0.05
}

impl Options {
    pub(super) fn places(&self) -> Places {
        Places { at_ends: self.years_at_ends, between: self.years_between }
    }

    /// The most joinpoints of a series of `years`.
    pub(super) fn most(&self, years: usize) -> usize {
        let usual = default_most(years);
        self.joinpoints.or(self.most).unwrap_or(if self.search == Search::Hudson {
            usual.min(3)
        } else {
            usual
        })
    }

    /// Searches that would not end in a minute or so.
    pub(super) fn too_much(&self, years: usize) -> Vec<Fault> {
        let most = self.most(years);
        let mut faults = Vec::new();
        if years > MOST_YEARS {
            let message =
                format!("joinpoints are sought in {MOST_YEARS} years at most, found {years}");
            faults.push(Fault::new("", message).hint("take fewer years under [incidence]"));
        }
        let sets = |n: usize| self.places().sets(n, most);
        if self.search == Search::Hudson {
            // Each gap is a place beside each year.
            let codes = (2 * years).saturating_sub(2 * self.years_at_ends);
            let sets = Places { at_ends: self.years_at_ends, between: 2 * self.years_between }
                .sets(codes, most);
            if sets > MOST_CONTINUOUS {
                let message = format!(
                    "a continuous search of {most} joinpoints in {years} years fits {sets:.0} sets, more than {MOST_CONTINUOUS}"
                );
                let hint = "write a smaller `most`, or search = \"grid\"";
                faults.push(Fault::new("/search", message).hint(hint));
            }
        }
        let work = sets(years) * self.permutations as f64;
        let permutes = self.selection == Selection::Permutation && self.joinpoints.is_none();
        if permutes && work > MOST_RESAMPLED {
            let message = format!(
                "{} permutations of {years} years, with {:.0} sets of {most} joinpoints each, take too long",
                self.permutations,
                sets(years)
            );
            let hint =
                "write a smaller `most`, fewer permutations, or selection = \"weighted_bic\"";
            faults.push(Fault::new("/permutations", message).hint(hint));
        }
        faults
    }

    pub(super) fn is_normal(&self) -> bool {
        self.scale == Scale::Count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_that_would_not_end_is_refused_with_what_to_do() {
        let faults = |mut json: serde_json::Value, years: usize| {
            json["confidence_level"] = 0.95.into();
            json["incidence"] = serde_json::json!({
                "age": "age", "year": "year", "ages": [0], "years": [2000, 2001],
            });
            let options: Options = serde_json::from_value(json).unwrap();
            let faults = options.too_much(years);
            faults.iter().map(|f| format!("{}: {}", f.pointer, f.message)).collect::<Vec<_>>()
        };
        let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        for (text, years) in [
            ("{}", 81),
            ("{\"most\": 9}", 100),
            ("{\"most\": 5, \"selection\": \"permutation\"}", 40),
            ("{\"most\": 3, \"search\": \"hudson\"}", 40),
            ("{\"search\": \"hudson\", \"most\": 2}", 100),
        ] {
            assert_eq!(faults(json(text), years), Vec::<String>::new(), "{text} {years}");
        }
        let one = |text: &str, years: usize, at: &str| {
            let found = faults(json(text), years);
            assert!(found.len() == 1 && found[0].starts_with(at), "{found:?}");
        };
        one("{}", 300, ": joinpoints are sought in 200 years at most, found 300");
        one("{\"most\": 3, \"search\": \"hudson\"}", 100, "/search: a continuous search of 3");
        one(
            "{\"most\": 5, \"selection\": \"permutation\"}",
            100,
            "/permutations: 4499 permutations",
        );
    }
}
