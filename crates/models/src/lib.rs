//! One file per model; this one lists them.

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

use tributary_core::model::AnyModel;

/// All models, by kind.
pub static MODELS: &[&dyn AnyModel] = &[
    &participation::Participation,
    &characteristics::Characteristics,
    &agreement::Agreement,
    &kaplan_meier::KaplanMeier,
    &log_rank::LogRank,
    &cox::Cox,
    &meta_analysis::MetaAnalysis,
    &net_survival::NetSurvival,
    &profile_likelihood::ProfileLikelihood,
    &competing_risks::CompetingRisks,
    &parametric::Parametric,
    &royston_parmar::RoystonParmar,
    &cure::Cure,
    &poisson::Poisson,
    &penalised_cox::PenalisedCox,
    &cox_patterns::CoxPatterns,
    &fine_gray::FineGray,
    &multi_state::MultiState,
    &standardised_ratio::StandardisedRatio,
    &survival_lexis::SurvivalLexis,
    &mean_cumulative_count::MeanCumulativeCount,
    &excess_hazard::ExcessHazard,
    &incidence_rates::IncidenceRates,
    &rate_trend::RateTrend,
    &rate_comparison::RateComparison,
    &site_rates::SiteRates,
    &joinpoint::Joinpoint,
    &count_regression::CountRegression,
    &quality_indicators::QualityIndicators,
    &age_period_cohort::AgePeriodCohort,
    &projection::Projection,
    &prevalence::Prevalence,
];

/// The model of this kind.
pub fn find(kind: &str) -> Option<&'static dyn AnyModel> {
    MODELS.iter().copied().find(|model| model.card().kind == kind)
}
