//! The one integration binary: a list of what is tested. Each further file here would link everything again.

#![allow(unreachable_pub, reason = "modules of one test binary use each other")]
#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::print_stderr,
    clippy::format_push_string,
    reason = "tests say exactly what they want, and stop where it is not so"
)]
#![allow(clippy::approx_constant, reason = "a published estimate happens to lie near a constant")]

mod age_period_cohort;
mod analyses; // the example analyses give their expected answers
mod anything; // parsers given anything
mod architecture; // the house plan is kept
mod attacks; // what nobody finds out by ordinary questions
mod bad_input; // what users get wrong is told clearly, and nothing is half-written
mod by_file; // the protocol by file, and what a registry decides
mod canary; // a number planted in one country is nowhere at hub and keyholder
mod commands; // the binary as a user sees it
mod competing;
mod count_regression;
mod cox_further;
mod day_of_diagnosis; // one rule for all models
mod dropped_terms; // empty levels, constant and collinear columns, in every regression
mod edge_cases; // no events, one patient, separation, collinearity, huge scales
mod exhausted; // what is reached stays when nobody is left
mod fail_closed; // spoilt, forged and late answers; swapped keys
mod federation; // hub, keyholder and agents over HTTP, from consent to report
mod files; // what the files of registries hold
mod gate; // policies only tighten; rows cannot be sent
mod grain; // no model tells apart what the dictionary does not
mod handbook; // the examples of the handbook work
mod hub_api; // roles and tokens, idempotency, problems, limits
mod incidence_data; // helper: cases and populations of the models of incidence and prevalence
mod incidence_rates; // crude, standardised, cumulative; what is hidden
mod joinpoints;
mod killing; // kill -9 at random moments
mod laws; // what holds for every model of the registry
mod likelihood;
mod login; // login by a provider; TLS
mod meta_effects;
mod meta_options; // what its options do
mod meta_oracles; // random effects against metafor
mod net_survival;
mod options; // every number that people write
mod parametric;
mod parquet; // every type of column
mod parties; // helper: a study with all its parties, as files, servers and processes
mod patients; // persons are counted, not their records
mod pooling; // helper: a data set split over sites, pooled through the real path
mod postgres; // helper: a PostgreSQL server of the tests' own
mod prevalence;
mod profile_likelihood;
mod projections;
mod published;
mod quality_indicators;
mod rare_levels; // a level of few patients whose events come first or last
mod rate_comparisons;
mod rate_trends;
mod rates;
mod rates_with_quantities; // Poisson models by rounds
mod references; // what one part of an analysis says of another exists
mod reports; // every status and choice has its words
mod restricted_means; // at their borders
mod results_folder; // results replace results, and nothing else
mod sealed; // sealed sums equal plain sums
mod shell; // completions, manual pages, units
mod simulation; // random operations, crashes, lost and repeated messages
mod site_rates; // sites side by side
mod states;
mod store; // the contract of the store, on both databases
mod survival_oracles; // survival models against R
mod tables; // tables about the population beside the records
mod tutorial; // the model of the tutorial is what its chapter says
mod vectors; // known answers of the protocol
mod wilms; // the flagship study against R, and its mappings
mod words; // a reader meets labels, not raw names
mod year_length; // one length of a year for a whole analysis
