//! What a site answers in each kind of round of a Cox model, as labelled arrays.

use tributary_core::{
    model::{EventCounts, Statistic},
    summary::{Array, Axis, Draft, Kind, LayoutError, Rule, Summary, Support},
};
use tributary_stats::cox::{Derivatives, RiskSums, Trend};

use super::Params;

/// Who is in the answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Totals {
    pub(super) persons: f64,
    pub(super) events: f64,
    pub(super) missing: f64,
    pub(super) never_at_risk: f64,
}

/// Answer to one round.
#[derive(Debug)]
pub enum Answer {
    /// Events by day, and sums of the covariates.
    Counts { totals: Totals, counts: EventCounts, terms: Vec<String>, sum_x: Vec<f64> },
    /// Log-likelihood, score, information.
    Derivatives { totals: Totals, terms: Vec<String>, derivatives: Derivatives },
    /// Risk-set sums by event day.
    RiskSums { totals: Totals, terms: Vec<String>, days: usize, sums: RiskSums },
    /// Terms of the proportional-hazards test.
    Trend { totals: Totals, terms: Vec<String>, trend: Trend },
    /// Squared scores.
    Meat { totals: Totals, terms: Vec<String>, meat: Meat },
}

/// Sums of squared scores, packed: over patients, and over sites without and with the CR2 correction.
#[derive(Debug, Clone, PartialEq)]
pub struct Meat {
    pub(super) persons: Vec<f64>,
    pub(super) site: Vec<f64>,
    pub(super) site_corrected: Vec<f64>,
}

impl Answer {
    pub(super) fn totals(&self) -> Totals {
        match self {
            Self::Counts { totals, .. }
            | Self::Derivatives { totals, .. }
            | Self::RiskSums { totals, .. }
            | Self::Meat { totals, .. }
            | Self::Trend { totals, .. } => *totals,
        }
    }

    /// Arrays of sums: name, axes and cells.
    fn sums(&self) -> Vec<(&'static str, Vec<Axis>, Vec<f64>)> {
        let term = |terms: &[String]| Axis::new("term", terms.iter().cloned());
        let pair = |terms: &[String]| Axis::numbered("pair", terms.len() * (terms.len() + 1) / 2);
        match self {
            Self::Counts { terms, sum_x, .. } => vec![("sum_x", vec![term(terms)], sum_x.clone())],
            Self::Derivatives { terms, derivatives: d, .. } => vec![
                ("log_likelihood", vec![], vec![d.log_likelihood]),
                ("score", vec![term(terms)], d.score.clone()),
                ("information", vec![pair(terms)], d.information.clone()),
            ],
            Self::RiskSums { terms, days, sums, .. } => {
                let day = || Axis::numbered("day", *days);
                let mut arrays = vec![
                    ("deaths", vec![day()], sums.deaths.clone()),
                    ("sum_x", vec![day(), term(terms)], sums.sum_x.clone()),
                    ("untold", vec![], vec![sums.untold]),
                ];
                let names = [["s0", "s1", "s2"], ["t0", "t1", "t2"]];
                for (names, moments) in names.into_iter().zip([&sums.s, &sums.t]) {
                    let axes = [vec![day()], vec![day(), term(terms)], vec![day(), pair(terms)]];
                    for ((name, axes), cells) in names.into_iter().zip(axes).zip(moments) {
                        arrays.push((name, axes, cells.clone()));
                    }
                }
                arrays
            }
            Self::Meat { terms, meat, .. } => vec![
                ("meat", vec![pair(terms)], meat.persons.clone()),
                ("meat_site", vec![pair(terms)], meat.site.clone()),
                ("meat_site_corrected", vec![pair(terms)], meat.site_corrected.clone()),
                ("meat_terms", vec![term(terms)], vec![0.0; terms.len()]),
            ],
            Self::Trend { terms, trend, .. } => vec![
                ("trend_score", vec![term(terms)], trend.score.clone()),
                ("trend_cross", vec![pair(terms)], trend.cross.clone()),
                ("trend_information", vec![pair(terms)], trend.information.clone()),
            ],
        }
    }
}

impl Statistic<Params> for Answer {
    fn into_draft(self) -> Result<Draft, LayoutError> {
        let Totals { persons, events, missing, never_at_risk } = self.totals();
        let support = || Support::Whole(persons as u64);
        let axis = Axis::new("total", ["persons", "events", "missing", "never at risk"]);
        let cells = vec![persons, events, missing, never_at_risk];
        let totals = Array::new("totals", vec![axis], Kind::Count, Rule::Add, cells)?;
        let mut draft = Draft::new(persons as u64).with(totals, support());
        for (name, axes, cells) in self.sums() {
            draft = draft.with(Array::new(name, axes, Kind::Sum, Rule::Add, cells)?, support());
        }
        match self {
            Self::Counts { counts, .. } => counts.add_to(draft, persons as u64),
            Self::Derivatives { .. }
            | Self::RiskSums { .. }
            | Self::Meat { .. }
            | Self::Trend { .. } => Ok(draft),
        }
    }

    fn from_summary(question: &Params, summary: &Summary) -> Result<Self, LayoutError> {
        let numbers = |name: &str| summary.numbers(name);
        let cells = numbers("totals")?;
        let total = |i: usize| cells.get(i).copied().unwrap_or(0.0);
        let totals = Totals {
            persons: total(0),
            events: total(1),
            missing: total(2),
            never_at_risk: total(3),
        };
        let terms = |name: &str| Ok::<_, LayoutError>(summary.array(name)?.levels("term"));
        Ok(match question {
            Params::Counts => Self::Counts {
                totals,
                counts: EventCounts::from_summary(summary)?,
                terms: terms("sum_x")?,
                sum_x: numbers("sum_x")?,
            },
            Params::Meat { .. } => {
                let meat = Meat {
                    persons: numbers("meat")?,
                    site: numbers("meat_site")?,
                    site_corrected: numbers("meat_site_corrected")?,
                };
                Self::Meat { totals, terms: terms("meat_terms")?, meat }
            }
            Params::Trend { .. } => {
                let trend = Trend {
                    score: numbers("trend_score")?,
                    cross: numbers("trend_cross")?,
                    information: numbers("trend_information")?,
                };
                Self::Trend { totals, terms: terms("trend_score")?, trend }
            }
            Params::RiskSums { .. } => {
                let terms = terms("sum_x")?;
                let deaths = numbers("deaths")?;
                let sums = RiskSums {
                    p: terms.len(),
                    sum_x: numbers("sum_x")?,
                    s: [numbers("s0")?, numbers("s1")?, numbers("s2")?],
                    t: [numbers("t0")?, numbers("t1")?, numbers("t2")?],
                    untold: numbers("untold")?.iter().sum(),
                    deaths,
                };
                Self::RiskSums { totals, terms, days: sums.deaths.len(), sums }
            }
            Params::Derivatives { .. } => {
                let derivatives = Derivatives {
                    log_likelihood: numbers("log_likelihood")?.iter().sum(),
                    score: numbers("score")?,
                    information: numbers("information")?,
                };
                Self::Derivatives { totals, terms: terms("score")?, derivatives }
            }
        })
    }
}
