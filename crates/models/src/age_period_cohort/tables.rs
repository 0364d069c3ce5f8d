//! Tables of an age–period–cohort analysis.

use tributary_core::{
    estimate::{Number, Status},
    rows,
};

rows! {
    /// A nested model of a group and sex, and its test against a smaller one that it contains.
    pub struct Submodel in "models" {
        pub group: String,
        pub sex: String,
        pub model: String,
        pub deviance: Number,
        pub df: Number,
        pub compared_with: String,
        pub statistic: Number,
        pub test_df: Number,
        pub p_value: Number,
    }

    /// Linear change per year of a group and sex, per cent, by one estimator.
    pub struct LinearChange in "drift" {
        pub group: String,
        pub sex: String,
        pub estimator: String,
        pub percent: Number,
        pub percent_low: Number,
        pub percent_high: Number,
        pub p_value: Number,
        pub status: Status,
    }

    /// Rate of a group and sex at an age, in the reference cohort or period.
    pub struct AgeEffect in "age_effects" {
        pub group: String,
        pub sex: String,
        pub age: Number,
        pub rate: Number,
        pub conf_low: Number,
        pub conf_high: Number,
    }

    /// Ratio of rates of a group and sex in a period.
    pub struct PeriodEffect in "period_effects" {
        pub group: String,
        pub sex: String,
        pub period: Number,
        pub rate_ratio: Number,
        pub conf_low: Number,
        pub conf_high: Number,
    }

    /// Ratio of rates of a group and sex in a cohort.
    pub struct CohortEffect in "cohort_effects" {
        pub group: String,
        pub sex: String,
        pub cohort: Number,
        pub rate_ratio: Number,
        pub conf_low: Number,
        pub conf_high: Number,
    }

    /// Change per year of a group and sex at an age, per cent.
    pub struct LocalDrift in "local_drifts" {
        pub group: String,
        pub sex: String,
        pub age: Number,
        pub percent: Number,
        pub percent_low: Number,
        pub percent_high: Number,
    }

    /// Test of a part of the least-squares model of a group and sex.
    pub struct EffectTest in "tests" {
        pub group: String,
        pub sex: String,
        pub test: String,
        pub statistic: Number,
        pub df: Number,
        pub p_value: Number,
    }

    /// Observed rate of a group and sex, at the middles of an age band and a period.
    pub struct LexisRate in "lexis" {
        pub group: String,
        pub sex: String,
        pub age: Number,
        pub period: Number,
        pub cases: Number,
        pub person_years: Number,
        pub rate: Number,
        pub status: Status,
    }
}
