//! Rows of the tables of Cox models.

use tributary_core::{
    estimate::{Number, Status},
    rows,
};
use tributary_stats::distribution::chi_squared_upper;

/// Stands for all variables in the test of proportional hazards.
pub const ALL_TOGETHER: &str = "all together";

rows! {
    /// Who is in the fit, and how good it is.
    pub struct Summary in "summary" {
        pub n: Number,
        pub n_event: Number,
        pub log_likelihood_null: Number,
        pub log_likelihood: Number,
        pub status: Status,
    }

    /// Test of all terms together.
    pub struct Test in "tests" {
        pub test: String,
        pub statistic: Number,
        pub df: Number,
        pub p_value: Number,
        pub status: Status,
    }

    /// Test of proportional hazards of a variable, a term, or [`ALL_TOGETHER`].
    pub struct HazardsTest in "proportional_hazards" {
        pub variable: String,
        pub statistic: Number,
        pub df: Number,
        pub p_value: Number,
        pub status: Status,
    }

    /// A coefficient by one of the sandwich variances.
    pub struct RobustTerm in "robust" {
        pub term: String,
        pub variance: String,
        pub estimate: Number,
        pub std_error: Number,
        pub statistic: Number,
        pub df: Number,
        pub p_value: Number,
        pub conf_low: Number,
        pub conf_high: Number,
        pub status: Status,
    }

    /// Baseline after a day with events.
    pub struct BaselineDay in "baseline" {
        pub time: Number,
        pub cumulative_hazard: Number,
        pub survival: Number as Share,
    }
}

impl Test {
    /// A test by the distribution of χ², or why there is none.
    pub fn new(test: &str, statistic: Result<f64, Status>, df: f64) -> Self {
        Self {
            test: test.to_owned(),
            statistic: statistic.ok(),
            df: Some(df),
            p_value: statistic.ok().map(|x| chi_squared_upper(x, df)),
            status: statistic.err().unwrap_or_default(),
        }
    }
}

impl From<Test> for HazardsTest {
    fn from(Test { test: variable, statistic, df, p_value, status }: Test) -> Self {
        Self { variable, statistic, df, p_value, status }
    }
}

impl From<HazardsTest> for Test {
    fn from(HazardsTest { variable: test, statistic, df, p_value, status }: HazardsTest) -> Self {
        Self { test, statistic, df, p_value, status }
    }
}

impl BaselineDay {
    /// From the cumulative hazard.
    pub fn new(day: f64, hazard: f64) -> Self {
        let survival = Some((-hazard).exp());
        Self { time: Some(day), cumulative_hazard: Some(hazard), survival }
    }
}
