//! Rows of a Cox model at one site: follow-up, strata, columns, weights and offset; split into bands of follow-up where effects
//! vary with time.

use tributary_core::{
    cohort::{CohortError, SiteData, Survival, nearly_whole},
    model::columns_of,
};
use tributary_stats::cox::{Derivatives, RiskData, Rows, WeightedFit, weighted};

use super::{
    options::{Options, WeightType},
    statistic::Totals,
};
use crate::log_rank::strata;

/// Rows of the model at one site.
pub(super) struct Design {
    pub(super) survival: Survival,
    stratum: Vec<u32>,
    pub(super) columns: Vec<Vec<f64>>,
    weights: Option<Vec<f64>>,
    offset: Option<Vec<f64>>,
    /// Position of the person of each row; several rows have one where follow-up is split.
    person: Vec<usize>,
    persons: usize,
}

impl Design {
    pub(super) fn new(options: &Options, data: &SiteData) -> Result<Self, CohortError> {
        let mut needed: Vec<&str> =
            options.covariates.iter().chain(&options.strata).map(String::as_str).collect();
        needed.extend(options.offset.iter().chain(&options.weights).map(String::as_str));
        let survival = data.cohort.survival(&options.followup, &needed)?;
        let stratum = strata(data, &options.strata, &survival.rows)?;
        let base = options.base_terms();
        let columns = columns_of(&options.design[..base], data, &survival.rows)?;
        let numbers = |name: &Option<String>| -> Result<Option<Vec<f64>>, CohortError> {
            let Some(name) = name else { return Ok(None) };
            let x = data.cohort.numbers(name)?;
            Ok(Some(survival.rows.iter().map(|&row| x[row]).collect()))
        };
        let (weights, offset) = (numbers(&options.weights)?, numbers(&options.offset)?);
        if let (Some(name), Some(weights)) = (&options.weights, &weights) {
            check_weights(name, options.weight_type, weights)?;
        }
        let persons = survival.rows.len();
        let person = (0..persons).collect();
        let design = Self { survival, stratum, columns, weights, offset, person, persons };
        Ok(if options.time_bands_years.is_empty() { design } else { design.split(options) })
    }

    /// One row per person and band of follow-up; columns of the varying effects are 0 outside their band.
    fn split(self, options: &Options) -> Self {
        let year = options.followup.year.days();
        let starts: Vec<i32> =
            options.time_bands_years.iter().map(|years| (years * year).round() as i32).collect();
        let varying = options.varying();
        let all = options.design.len();
        let mut survival = Survival {
            entry: Some(Vec::new()),
            missing: self.survival.missing,
            never_at_risk: self.survival.never_at_risk,
            ..Survival::default()
        };
        let mut columns = vec![Vec::new(); all];
        let (mut stratum, mut person) = (Vec::new(), Vec::new());
        let mut weights = self.weights.as_ref().map(|_| Vec::new());
        let mut offset = self.offset.as_ref().map(|_| Vec::new());
        for i in 0..self.persons {
            let entry = self.survival.entry.as_ref().map_or(0, |entry| entry[i]);
            for band in 0..=starts.len() {
                let from = if band == 0 { entry } else { entry.max(starts[band - 1]) };
                let end = starts.get(band).copied().unwrap_or(i32::MAX);
                let exit = self.survival.exit[i].min(end);
                if exit <= from && !(band == 0 && exit == 0) {
                    continue;
                }
                survival.rows.push(self.survival.rows[i]);
                survival.exit.push(exit);
                survival.event.push(self.survival.event[i] && exit == self.survival.exit[i]);
                if let Some(entries) = &mut survival.entry {
                    entries.push(from);
                }
                for (j, column) in self.columns.iter().enumerate() {
                    columns[j].push(column[i]);
                }
                for b in 0..starts.len() {
                    for (v, &j) in varying.iter().enumerate() {
                        let at = self.columns.len() + b * varying.len() + v;
                        columns[at].push(if b + 1 == band { self.columns[j][i] } else { 0.0 });
                    }
                }
                stratum.push(self.stratum[i]);
                person.push(i);
                if let (Some(to), Some(from)) = (&mut weights, &self.weights) {
                    to.push(from[i]);
                }
                if let (Some(to), Some(from)) = (&mut offset, &self.offset) {
                    to.push(from[i]);
                }
            }
        }
        Self { survival, stratum, columns, weights, offset, person, persons: self.persons }
    }

    fn rows(&self) -> Rows<'_> {
        Rows {
            entry: self.survival.entry.as_deref(),
            exit: &self.survival.exit,
            event: &self.survival.event,
            stratum: Some(&self.stratum),
            covariates: &self.columns,
        }
    }

    pub(super) fn risk_data(&self, centre: Option<&[f64]>) -> RiskData {
        RiskData::new(self.rows(), centre)
    }

    /// Likelihood at `beta`, each site (and stratum) with its own baseline.
    pub(super) fn derivatives(&self, options: &Options, beta: &[f64]) -> Derivatives {
        if options.is_weighted() {
            self.weighted(options, beta).derivatives
        } else {
            self.risk_data(None).derivatives(beta, options.ties())
        }
    }

    fn weighted(&self, options: &Options, beta: &[f64]) -> WeightedFit {
        let (weights, offset) = (self.weights.as_deref(), self.offset.as_deref());
        weighted(self.rows(), weights, offset, beta, options.ties())
    }

    /// Score residual of each person, weight included.
    pub(super) fn residuals(&self, options: &Options, beta: &[f64]) -> Vec<Vec<f64>> {
        let fit = self.weighted(options, beta);
        let mut of_person = vec![vec![0.0; beta.len()]; self.persons];
        for (row, u) in fit.residuals.iter().enumerate() {
            let w = self.weights.as_ref().map_or(1.0, |w| w[row]);
            of_person[self.person[row]].iter_mut().zip(u).for_each(|(a, b)| *a += w * b);
        }
        of_person
    }

    pub(super) fn totals(&self) -> Totals {
        Totals {
            persons: self.persons as f64,
            events: self.survival.events() as f64,
            missing: self.survival.missing as f64,
            never_at_risk: self.survival.never_at_risk as f64,
        }
    }
}

/// Negative weights are nothing, and fractions no frequencies: with them the inverse information is too small or too large.
fn check_weights(name: &str, kind: WeightType, weights: &[f64]) -> Result<(), CohortError> {
    let name = name.to_owned();
    if weights.iter().any(|w| *w < 0.0) {
        return Err(CohortError::Lookup { name, reason: "a weight is negative".into() });
    }
    let is_whole = |w: &f64| nearly_whole(*w).is_some();
    match kind {
        WeightType::Frequency if !weights.iter().all(is_whole) => {
            Err(CohortError::Frequency { name })
        }
        WeightType::Frequency | WeightType::Sampling => Ok(()),
    }
}
