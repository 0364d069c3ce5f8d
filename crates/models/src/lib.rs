//! One file per model; this one lists them.
#![deny(clippy::disallowed_methods)]

pub mod age_period_cohort;
pub mod agreement;
pub mod characteristics;
pub mod competing_risks;
pub mod count_regression;
pub mod cox;
pub mod cox_patterns;
pub mod cure;
pub mod excess_hazard;
pub mod fine_gray;
pub mod incidence_rates;
pub mod joinpoint;
pub mod kaplan_meier;
pub mod log_rank;
pub mod mean_cumulative_count;
pub mod meta_analysis;
pub mod multi_state;
pub mod net_survival;
pub mod parametric;
pub mod participation;
pub mod penalised_cox;
pub mod plan;
pub mod poisson;
pub mod prevalence;
pub mod profile_likelihood;
pub mod projection;
pub mod quality_indicators;
pub mod rate_comparison;
pub mod rate_trend;
pub mod royston_parmar;
pub mod site_rates;
pub mod standardised_ratio;
pub mod survival_lexis;

use tributary_core::model::{AnyModel, Once};

/// All models, by kind.
pub static MODELS: &[&dyn AnyModel] = &[
    &Once(participation::Participation),
    &Once(characteristics::Characteristics),
    &Once(agreement::Agreement),
    &Once(kaplan_meier::KaplanMeier),
    &Once(log_rank::LogRank),
    &cox::Cox,
    &Once(meta_analysis::MetaAnalysis),
    &Once(net_survival::NetSurvival),
    &Once(profile_likelihood::ProfileLikelihood),
    &Once(competing_risks::CompetingRisks),
    &parametric::Parametric,
    &royston_parmar::RoystonParmar,
    &cure::Cure,
    &poisson::Poisson,
    &penalised_cox::PenalisedCox,
    &Once(cox_patterns::CoxPatterns),
    &fine_gray::FineGray,
    &Once(multi_state::MultiState),
    &Once(standardised_ratio::StandardisedRatio),
    &Once(survival_lexis::SurvivalLexis),
    &mean_cumulative_count::MeanCumulativeCount,
    &excess_hazard::ExcessHazard,
    &Once(incidence_rates::IncidenceRates),
    &Once(rate_trend::RateTrend),
    &Once(rate_comparison::RateComparison),
    &Once(site_rates::SiteRates),
    &Once(joinpoint::Joinpoint),
    &count_regression::CountRegression,
    &Once(quality_indicators::QualityIndicators),
    &Once(age_period_cohort::AgePeriodCohort),
    &Once(projection::Projection),
    &prevalence::Prevalence,
];

/// The model of this kind.
pub fn find(kind: &str) -> Option<&'static dyn AnyModel> {
    MODELS.iter().copied().find(|model| model.card().kind == kind)
}
