//! Tables of a Poisson regression of rates: terms, crude rates, and, with quantities, rates of a patient at the reference.

use tributary_core::{
    estimate::{Estimate, Notice, Number, Status, Table},
    model::{DesignTerm, Fitted, Terms, is_beyond, summary_without_fit, tell_dropped},
    rows,
};
use tributary_stats::distribution::{garwood, normal_point};

use super::{Counts, Options, options::Outcome, rounds::Start};

rows! {
    /// Crude rate of a band of follow-up.
    struct Rate in "rates" {
        band: String,
        n_event: Number,
        person_years: Number,
        expected: Number,
        rate_per_1000: Number,
        conf_low: Number,
        conf_high: Number,
        status: Status,
    }

    /// Rate of a band for a patient at the reference; its column is called by the outcome.
    struct ReferenceRate in "reference_rates" {
        band: String,
        rate: Number,
        conf_low: Number,
        conf_high: Number,
        status: Status,
    }

    /// Value of a covariate at the reference: a level, or the mean of a quantity.
    struct ReferenceValue in "reference_values" {
        variable: String,
        level: Option<String>,
        mean: Number,
    }
}

/// What the tables are of.
pub(super) struct Shown<'a> {
    pub(super) options: &'a Options,
    pub(super) by_band: &'a [Counts],
    pub(super) persons: f64,
}

/// Says why nothing was fitted; the terms have no numbers.
pub(super) fn refuse(
    shown: &Shown<'_>,
    estimate: &mut Estimate,
    (status, key): (Status, &str),
    values: &[(&str, String)],
) {
    let all = shown.options.all_terms();
    estimate.notice(Notice::new(status, key, values));
    estimate.tables.push(shown.terms(&all).all_empty(status).table());
    estimate.tables.push(summary_without_fit(shown.persons, shown.events(), status));
    estimate.tables.push(shown.rates());
}

impl Shown<'_> {
    pub(super) fn events(&self) -> f64 {
        self.by_band.iter().map(|c| c.events).sum()
    }

    fn terms<'a>(&self, all: &'a [DesignTerm]) -> Terms<'a> {
        let ratio = match self.options.outcome {
            Outcome::Rate => "rate_ratio",
            Outcome::Excess => "excess_rate_ratio",
            Outcome::Relative => "relative_rate_ratio",
        };
        Terms::new(all, ratio, self.options.confidence_level.share())
    }

    /// Says how a fit ended, with its tables; in `short` cells fewer events were observed than expected.
    pub(super) fn fit(&self, estimate: &mut Estimate, fitted: &Fitted, short: usize) {
        let (all, bands) = (self.options.all_terms(), self.by_band.len());
        let names: Vec<String> = all.iter().map(DesignTerm::name).collect();
        // A band in which nobody was followed says so itself.
        let dropped: Vec<usize> = fitted.dropped.iter().copied().filter(|&j| j >= bands).collect();
        tell_dropped(estimate, &names, &dropped);
        fitted.tell_status(estimate, &names);
        let mut terms = self.terms(&all);
        for j in 0..all.len() {
            match self.status(fitted, j) {
                Status::Ok => terms.wald(j, fitted.theta[j], fitted.std_error(j)),
                status => terms.empty(j, status),
            }
        }
        if self.options.outcome == Outcome::Excess && short > 0 {
            let values = [("n", short.to_string())];
            estimate.notices.push(Notice::new(Status::Ok, "fewer-than-expected", &values));
        }
        estimate.tables.push(terms.table());
        estimate.tables.push(fitted.summary(self.persons, self.events()));
        estimate.tables.push(self.rates());
        estimate.fit = Some(fitted.record.clone());
    }

    /// Whether parameter `j` has a number, or why not.
    fn status(&self, fitted: &Fitted, j: usize) -> Status {
        let usable = matches!(fitted.status, Status::Ok | Status::Monotone);
        if fitted.dropped.contains(&j) {
            if j < self.by_band.len() { Status::NoRiskSet } else { Status::NotIdentified }
        } else if !usable || fitted.running.contains(&j) {
            fitted.status
        } else {
            Status::Ok
        }
    }

    /// Events, person-years and rate of each band, with exact limits.
    fn rates(&self) -> Table {
        let rate = |(band, counts): (String, &Counts)| {
            let Counts { events: d, time: y, expected } = *counts;
            let [low, high] = garwood(d, self.options.confidence_level.share());
            let per = |x: f64| (y > 0.0).then(|| 1000.0 * x / y);
            let status = match (y > 0.0, d > 0.0) {
                (false, _) => Status::NoRiskSet,
                (true, false) => Status::NoEvents,
                _ => Status::Ok,
            };
            Rate {
                band,
                n_event: Some(d),
                person_years: Some(y),
                expected: self.options.background.is_some().then_some(expected),
                rate_per_1000: per(d),
                conf_low: per(low),
                conf_high: per(high),
                status,
            }
        };
        Table::of(self.options.band_names().into_iter().zip(self.by_band).map(rate))
    }

    /// Rates of the bands that the model gives a patient at the reference levels and the means of the quantities, and a table of
    /// those values.
    pub(super) fn reference_rates(&self, fitted: &Fitted, start: &Start) -> [Table; 2] {
        let (column, per) = match self.options.outcome {
            Outcome::Rate => ("rate_per_1000", 1000.0),
            Outcome::Excess => ("excess_rate_per_1000", 1000.0),
            Outcome::Relative => ("relative_rate", 1.0),
        };
        let values = self.options.reference_values(&start.centre);
        let at = self.options.covariates.iter().map(|name| ReferenceValue {
            variable: name.clone(),
            level: values[name].as_str().map(str::to_owned),
            mean: values[name].as_f64(),
        });
        let design = &self.options.design;
        let x: Vec<f64> = design.iter().map(|term| term.value(&values).unwrap_or(0.0)).collect();
        let bands = self.by_band.len();
        let beyond = is_beyond(&x, &start.centre, &start.kept);
        let z = normal_point(self.options.confidence_level.share());
        let rate = |(band, name): (usize, String)| {
            // What multiplies the parameters of this band and of the covariates that were kept.
            let of = |j: usize| match j.checked_sub(bands) {
                None => f64::from(u8::from(j == band)),
                Some(j) if start.kept.contains(&j) => x[j],
                Some(_) => 0.0,
            };
            let parts: Vec<(usize, f64)> =
                (0..bands + x.len()).map(|j| (j, of(j))).filter(|(_, z)| *z != 0.0).collect();
            let status = if beyond { Status::NotIdentified } else { Status::Ok };
            let status = parts
                .iter()
                .map(|(j, _)| self.status(fitted, *j))
                .find(|status| *status != Status::Ok)
                .unwrap_or(status);
            if status != Status::Ok {
                return ReferenceRate { band: name, status, ..ReferenceRate::default() };
            }
            let log: f64 = parts.iter().map(|(j, z)| z * fitted.theta[*j]).sum();
            let mut variance = 0.0_f64;
            for (j, a) in &parts {
                for (k, b) in &parts {
                    variance += a * b * fitted.covariance[(*j, *k)];
                }
            }
            let half = z * variance.max(0.0).sqrt();
            let [rate, conf_low, conf_high] =
                [log, log - half, log + half].map(|log| Some(per * log.exp()));
            ReferenceRate { band: name, rate, conf_low, conf_high, status }
        };
        let rates = Table::of(self.options.band_names().into_iter().enumerate().map(rate));
        [rates.renamed("rate", column), Table::of(at)]
    }
}
