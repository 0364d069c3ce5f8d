//! Tables of incidence by site.

use tributary_core::{
    estimate::{Number, Status},
    rows,
};

rows! {
    /// Cases of one site against what is expected, with the limits of a funnel and the ratio shrunk towards the mean.
    pub struct SiteRate in "sites" {
        pub site: String,
        pub cases: Number,
        pub person_years: Number,
        pub rate: Number,
        pub conf_low: Number,
        pub conf_high: Number,
        pub expected: Number,
        pub ratio: Number,
        pub ratio_low: Number,
        pub ratio_high: Number,
        pub funnel_low: Number,
        pub funnel_high: Number,
        pub outer_low: Number,
        pub outer_high: Number,
        pub shrunk_moments: Number,
        pub shrunk_likelihood: Number,
        pub status: Status,
    }

    /// All sites that show their cases and have a population, together.
    pub struct AllSites in "all_sites" {
        pub sites: Number,
        pub cases: Number,
        pub person_years: Number,
        pub rate: Number,
        pub conf_low: Number,
        pub conf_high: Number,
        pub expected: Number,
        pub ratio: Number,
        pub ratio_low: Number,
        pub ratio_high: Number,
        pub status: Status,
    }

    /// Line of the comparative table: a site and sex; the cumulative risk is in per cent.
    pub struct Comparative in "comparative" {
        pub site: String,
        pub sex: String,
        pub cases: Number,
        pub person_years: Number,
        pub rate: Number,
        pub standardised_rate: Number,
        pub std_error: Number,
        pub cumulative_risk: Number,
        pub status: Status,
    }

    /// A measure or test of how much the sites differ.
    pub struct Heterogeneity in "heterogeneity" {
        pub quantity: String,
        pub value: Number,
        pub df: Number,
        pub p_value: Number,
        pub status: Status,
    }
}
