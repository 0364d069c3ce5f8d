//! Tables of joinpoint regression.

use tributary_core::{
    estimate::{Number, Status},
    rows,
};

rows! {
    /// Change per year of a group and sex between two joinpoints, per cent.
    pub struct Segment in "segments" {
        pub group: String,
        pub sex: String,
        pub from_year: Number,
        pub to_year: Number,
        pub percent: Number,
        pub percent_low: Number,
        pub percent_high: Number,
        pub p_value: Number,
        pub status: Status,
    }

    /// Average change per year of a group and sex over a span of years, per cent.
    pub struct Average in "averages" {
        pub group: String,
        pub sex: String,
        pub years: String,
        pub percent: Number,
        pub percent_low: Number,
        pub percent_high: Number,
        pub p_value: Number,
        pub status: Status,
    }

    /// Fit with a number of joinpoints, which was chosen or not.
    pub struct Candidate in "selection" {
        pub group: String,
        pub sex: String,
        pub joinpoints: Number,
        pub years: String,
        pub loss: Number,
        pub bic: Number,
        pub bic3: Number,
        pub weighted_bic: Number,
        pub chosen: String,
    }

    /// Permutation test of fewer against more joinpoints.
    pub struct PermutationTest in "tests" {
        pub group: String,
        pub sex: String,
        pub test: String,
        pub p_value: Number,
        pub alpha: Number,
    }

    /// Rate of a group and sex in one year, observed and modelled, and the change per year of its segment.
    pub struct SeriesYear in "series" {
        pub group: String,
        pub sex: String,
        pub year: Number,
        pub cases: Number,
        pub person_years: Number,
        pub rate: Number,
        pub conf_low: Number,
        pub conf_high: Number,
        pub std_error: Number,
        pub modelled: Number,
        pub percent: Number,
        pub percent_low: Number,
        pub percent_high: Number,
        pub status: Status,
    }
}
