//! Poisson regression of rates over bands of follow-up: the piecewise exponential model, excess mortality, relative rates.
//!
//! *Estimates* rate ratios, excess rate ratios or standardised-rate ratios, and rates by band. *A site sends*, where every covariate has
//! levels, once, events, person-time and expected events for every combination of bands and levels; where one is a quantity, the same by
//! band and sums of the covariates, then log-likelihood, score and information at the broadcast parameters. *Sums*: cell by cell. *The
//! hub* fits the model to the pooled table, or maximises by Newton's method in a few rounds. *Differs from pooling rows*: not at all.
//! For rates and relative rates table and rows are the same model; for excess rates the cells of the table are bands and levels,
//! with a quantity they are person and band, each with its own expected events. *Not done*: overdispersion, which individual survival
//! data do not have; Firth's penalty on excess rates. *Sources*: Holford (1980); Laird & Olivier (1981); Dickman et al. (2004); Firth
//! (1993).

mod bands;
mod options;
mod result;
mod rounds;

use bands::{Counts, Followed};
pub use options::Options;
use result::{Shown, refuse};
use tributary_core::{
    cohort::{CohortError, ColumnNeed, SiteData},
    estimate::{Estimate, Exactness, Status},
    model::{
        Background, Context, DesignTerm, Exchanges, FitError, Fitted, Model, ModelCard, Question,
        Round, Step, Sums, needs_of,
    },
    spec::Fault,
    summary::LayoutError,
};
use tributary_stats::poisson::{Cell, PoissonFit, fit, identified};

/// The model.
#[derive(Debug)]
pub struct Poisson;

/// Rounds that are usual with a quantity, and what takes one round.
const WITH_QUANTITY: [&str; 2] = ["6 to 12", "the quantity as a covariate with levels"];

static CARD: ModelCard = ModelCard {
    kind: "poisson",
    title: "Poisson regression of rates",
    estimates: "rate ratios, excess rate ratios or relative rates, and rates by follow-up band",
    sends: "where every covariate has levels, once: events, person-time and expected events for every combination of bands and levels; where one is a quantity: the same by band and sums of the covariates once, then log-likelihood, score and information at the broadcast parameters (with Firth's penalty the derivative of the information as well)",
    pools: "cells are summed; the hub fits the piecewise exponential model to the pooled table, or, with a quantity, maximises by Newton's method over a few rounds",
    differs: "none: it equals the model on the pooled records; for excess rates the cells are bands and levels, with a quantity person and band",
    not_done: "overdispersion; Firth's penalty on excess rates",
    exchanges: Exchanges::OneWithLevels { usual: WITH_QUANTITY[0], instead: WITH_QUANTITY[1] },
    sources: "Holford 1980; Laird & Olivier 1981; Dickman et al. 2004; Firth 1993",
    example: "id = \"rates\"\nkind = \"poisson\"\nbands_years = [1, 2, 5]\ncovariates = [\"x_hist_central\"]\n",
};

impl Model for Poisson {
    type Options = Options;
    /// Nothing is asked of the one table.
    type Params = Option<Question>;
    type Statistic = Sums;

    fn card(&self) -> &'static ModelCard {
        &CARD
    }

    fn prepare(&self, options: &mut Options, context: &Context<'_>) -> Vec<Fault> {
        options.prepare(context)
    }

    fn needs(&self, options: &Options) -> Vec<ColumnNeed> {
        let with_levels = options.covariates.iter().zip(&options.levels);
        let with_levels = with_levels.filter(|(_, levels)| !levels.is_empty());
        let mut needs = options.followup.needs();
        needs.extend(with_levels.map(|(name, _)| ColumnNeed::levels(name)));
        needs.extend(needs_of(&options.design));
        needs.extend(options.background.iter().flat_map(Background::needs));
        needs
    }

    fn terms(&self, options: &Options) -> Vec<String> {
        options.design.iter().map(DesignTerm::name).collect()
    }

    fn exchanges(&self, options: &Options) -> Exchanges {
        let [usual, instead] = WITH_QUANTITY;
        if options.has_quantity() { Exchanges::Several { usual, instead } } else { Exchanges::One }
    }

    fn begin(&self, options: &Options) -> Result<Option<Question>, FitError> {
        Ok(options.has_quantity().then_some(Question::Start))
    }

    fn summarise(
        &self,
        options: &Options,
        question: &Option<Question>,
        data: &SiteData,
    ) -> Result<Sums, CohortError> {
        match question {
            Some(question) if options.has_quantity() => rounds::answer(options, question, data),
            None if !options.has_quantity() => table(options, data),
            _ => {
                let reason = "a table is asked for where a covariate is a quantity, or parameters are sent where none is".into();
                Err(CohortError::Question { reason })
            }
        }
    }

    fn advance(
        &self,
        options: &Options,
        rounds: &[Round<Option<Question>, Sums>],
    ) -> Result<Step<Option<Question>>, FitError> {
        if options.has_quantity() {
            return rounds::advance(options, rounds);
        }
        let round = rounds.last().ok_or(FitError::NoRounds)?;
        Ok(Step::Done(Box::new(of_table(options, &round.pooled, round.sites)?)))
    }
}

/// Counts for every combination of bands and levels.
fn table(options: &Options, data: &SiteData) -> Result<Sums, CohortError> {
    let survival = data.cohort.survival(&options.followup, &options.needed())?;
    let mut pattern = vec![0; survival.rows.len()];
    for (name, levels) in options.covariates.iter().zip(&options.levels) {
        let (codes, _) = data.cohort.levels(name)?;
        for (at, &row) in pattern.iter_mut().zip(&survival.rows) {
            *at = *at * levels.len() + codes[row].unwrap_or(0) as usize;
        }
    }
    let followed = Followed::new(options, &survival, data)?;
    let bands = options.bands_years.len();
    let mut cells = vec![Counts::default(); options.patterns() * bands];
    for (i, pattern) in pattern.iter().enumerate() {
        for band in 0..bands {
            followed.add(i, band, &mut cells[pattern * bands + band]);
        }
    }
    Ok(options.with_counts(Sums::of(&survival), &options.axes(), &cells))
}

/// The model of the pooled table.
fn of_table(options: &Options, sums: &Sums, sites: usize) -> Result<Estimate, LayoutError> {
    let bands = options.bands_years.len();
    let counts = Counts::read(sums)?;
    let cells: Vec<Cell> = counts
        .iter()
        .enumerate()
        .map(|(i, &Counts { events, time, expected })| {
            let values = options.pattern(i / bands);
            let mut z: Vec<f64> = (0..bands).map(|b| f64::from(u8::from(b == i % bands))).collect();
            z.extend(options.design.iter().map(|term| term.value(&values).unwrap_or(0.0)));
            Cell { events, time, expected, z }
        })
        .collect();
    let mut by_band = vec![Counts::default(); bands];
    for (i, cell) in counts.iter().enumerate() {
        by_band[i % bands].join(cell);
    }
    let mut estimate = Estimate::new(Exactness::Exact, sites);
    options.card_lines(&mut estimate);
    sums.left_out_notices(&mut estimate);
    let shown = Shown { options, by_band: &by_band, persons: sums.one("persons")? };
    if shown.events() <= 0.0 {
        refuse(&shown, &mut estimate, (Status::NoEvents, "no-events"), &[]);
        return Ok(estimate);
    }
    let start = options.start(&by_band);
    // Terms that no cell with person-time tells apart are found from the information at the start.
    let active = identified(&cells, options.mean());
    let pick = |v: &[f64]| active.iter().map(|&j| v[j]).collect::<Vec<f64>>();
    let reduced: Vec<Cell> = cells.iter().map(|c| Cell { z: pick(&c.z), ..c.clone() }).collect();
    let PoissonFit { record, next } = fit(&reduced, options.mean(), &pick(&start), options.firth);
    let fitted = Fitted::new(&record, next, 1).among(&start, &active);
    let short = counts.iter().filter(|c| c.time > 0.0 && c.events < c.expected).count();
    shown.fit(&mut estimate, &fitted, short);
    Ok(estimate)
}
