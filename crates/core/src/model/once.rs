//! Models of one round: each site answers once, and the pooled sum gives the result.

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

use super::{Context, Exchanges, FitError, Model, ModelCard, Round, Statistic, Step};
use crate::{
    cohort::{CohortError, ColumnNeed, SiteData},
    estimate::Estimate,
    spec::Fault,
    summary::{LayoutError, Visibility},
};

/// A model of one round; [`Once`] makes a [`Model`] of it.
pub trait OneRound: Sync + 'static {
    /// What the analyst chooses.
    type Options: Serialize + DeserializeOwned + JsonSchema;
    /// What a site answers.
    type Statistic: Statistic;

    /// The card.
    fn card(&self) -> &'static ModelCard;
    /// Checks names against the dictionary and completes the options; what the analysis says for all models is in them.
    fn prepare(&self, options: &mut Self::Options, context: &Context<'_>) -> Vec<Fault>;
    /// Columns each site must provide.
    fn needs(&self, options: &Self::Options) -> Vec<ColumnNeed>;
    /// Terms of its table `terms`, by which a report may name its estimates; none for a model without coefficients.
    fn terms(&self, _: &Self::Options) -> Vec<String> {
        Vec::new()
    }
    /// Who can read a site's answer: nobody, unless a model shows sites side by side.
    fn visibility(&self, _: &Self::Options) -> Visibility {
        Visibility::SumOnly
    }
    /// A site's answer.
    fn summarise(
        &self,
        options: &Self::Options,
        data: &SiteData,
    ) -> Result<Self::Statistic, CohortError>;
    /// The result, from the sum of the answers of so many sites.
    fn estimate(
        &self,
        options: &Self::Options,
        pooled: &Self::Statistic,
        sites: usize,
    ) -> Result<Estimate, LayoutError>;
}

/// A model that asks once, with an empty question.
#[derive(Debug)]
pub struct Once<M>(pub M);

impl<M: OneRound> Model for Once<M> {
    type Options = M::Options;
    type Params = ();
    type Statistic = M::Statistic;

    fn card(&self) -> &'static ModelCard {
        self.0.card()
    }

    fn prepare(&self, options: &mut M::Options, context: &Context<'_>) -> Vec<Fault> {
        self.0.prepare(options, context)
    }

    fn needs(&self, options: &M::Options) -> Vec<ColumnNeed> {
        self.0.needs(options)
    }

    fn terms(&self, options: &M::Options) -> Vec<String> {
        self.0.terms(options)
    }

    fn exchanges(&self, _: &M::Options) -> Exchanges {
        Exchanges::One
    }

    fn visibility(&self, options: &M::Options) -> Visibility {
        self.0.visibility(options)
    }

    fn begin(&self, _: &M::Options) -> Result<(), FitError> {
        Ok(())
    }

    fn summarise(
        &self,
        options: &M::Options,
        (): &(),
        data: &SiteData,
    ) -> Result<M::Statistic, CohortError> {
        self.0.summarise(options, data)
    }

    fn advance(
        &self,
        options: &M::Options,
        rounds: &[Round<(), M::Statistic>],
    ) -> Result<Step<()>, FitError> {
        let round = rounds.last().ok_or(FitError::NoRounds)?;
        let estimate = self.0.estimate(options, &round.pooled, round.sites)?;
        Ok(Step::Done(Box::new(estimate)))
    }
}
