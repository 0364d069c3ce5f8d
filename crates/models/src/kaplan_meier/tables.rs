//! Further tables from the same event counts: cumulative hazard, actuarial life table, conditional survival, and the bracket of
//! a coarse grid.

use tributary_core::{
    estimate::{Number, Shown, Status, Table},
    model::{EventCounts, GroupCounts},
    rows,
};
use tributary_stats::{
    actuarial::{life_table, usual_bounds},
    beta_product::BetaProduct,
    cumulative_hazard::{cumulative_hazard, log_interval},
    distribution::normal_point,
    event_table::TimeGrid,
    product_limit::{IntervalScale, Step, interval, product_limit},
};

use super::{Options, curve::Curve, options::Intervals};

/// Smallest number at risk from which a curve is started again after its risk set was empty.
const RESTART: f64 = 10.0;

rows! {
    /// The cumulative hazard after an event time.
    struct Hazard in "cumulative_hazard" {
        group: String,
        estimator: String,
        time: Number,
        n_risk: Number,
        n_event: Number,
        estimate: Number,
        std_error: Number,
        conf_low: Number,
        conf_high: Number,
        survival: Number as Share,
        status: Status,
    }

    /// An interval of the actuarial life table, and survival to its end.
    pub struct LifeInterval in "life_table" {
        pub group: String,
        pub from_days: Number,
        pub to_days: Number,
        pub n: Number,
        pub n_entry: Number,
        pub n_event: Number,
        pub n_censor: Number,
        pub effective: Number,
        pub probability: Number as Share,
        pub estimate: Number as Share,
        pub std_error: Number as Share,
        pub conf_low: Number,
        pub conf_high: Number,
        pub hazard_per_year: Number,
        pub status: Status,
    }

    /// Survival to a time of those who have survived to an earlier one.
    pub struct Conditional in "conditional" {
        pub group: String,
        pub given_years: Number,
        pub time_years: Number,
        pub n_risk: Number,
        pub estimate: Number as Share,
        pub std_error: Number as Share,
        pub conf_low: Number,
        pub conf_high: Number,
        pub status: Status,
    }

    /// What survival at a time can be, wherever in the cells of a coarse grid censoring fell.
    pub struct Bracket in "bracket" {
        pub group: String,
        pub time_years: Number,
        pub lowest: Number as Share,
        pub highest: Number as Share,
        pub status: Status,
    }
}

#[derive(Default)]
pub(super) struct Tables {
    hazard: Vec<Hazard>,
    life: Vec<LifeInterval>,
    conditional: Vec<Conditional>,
    bracket: Vec<Bracket>,
}

impl Tables {
    /// Tables that have rows.
    pub(super) fn into_filled(self) -> Vec<Table> {
        let hazard = Table::of(self.hazard).shown(Shown::File);
        let tables =
            [Table::of(self.conditional), Table::of(self.bracket), Table::of(self.life), hazard];
        tables.into_iter().filter(|t| !t.rows.is_empty()).collect()
    }

    pub(super) fn add(
        &mut self,
        options: &Options,
        group: &str,
        fitted: &Curve,
        counts: &EventCounts,
        g: usize,
    ) {
        let grid = options.grid();
        if options.cumulative_hazard {
            self.hazard(options, group, fitted);
        }
        if let Some(intervals) = options.life_table {
            let bounds = match intervals {
                Intervals::Usual => usual_bounds(fitted.followed_to, options.followup.year.days()),
                Intervals::Months => steps(options.followup.year.days() / 12.0, fitted.followed_to),
                Intervals::Years => steps(options.followup.year.days(), fitted.followed_to),
            };
            self.life(options, group, &bounds, counts, g, &grid);
        }
        for &given in &options.conditional_years {
            self.conditional(options, group, given, fitted);
        }
        if let Some(restart) = fitted.restart() {
            self.conditional(options, group, restart / options.followup.year.days(), fitted);
        }
        if !grid.is_daily() {
            self.bracket(options, group, fitted, &counts.group(g), &grid);
        }
    }

    fn hazard(&mut self, options: &Options, group: &str, fitted: &Curve) {
        let z = normal_point(options.confidence_level.share());
        let column = |f: fn(&Step) -> f64| fitted.steps.iter().map(f).collect::<Vec<f64>>();
        let (time, n, d) = (column(|s| s.time), column(|s| s.n_risk), column(|s| s.n_event));
        for h in cumulative_hazard(&time, &n, &d) {
            for (name, found) in
                [("nelson-aalen", h.nelson_aalen), ("fleming-harrington", h.fleming_harrington)]
            {
                let [low, high] = log_interval(found, z);
                self.hazard.push(Hazard {
                    group: group.into(),
                    estimator: name.into(),
                    time: Some(h.time),
                    n_risk: Some(h.n_risk),
                    n_event: Some(h.n_event),
                    estimate: Some(found[0]),
                    std_error: Some(found[1].sqrt()),
                    conf_low: Some(low),
                    conf_high: Some(high),
                    survival: Some((-found[0]).exp()),
                    status: Status::Ok,
                });
            }
        }
    }

    fn life(
        &mut self,
        options: &Options,
        group: &str,
        bounds: &[f64],
        counts: &EventCounts,
        g: usize,
        grid: &TimeGrid,
    ) {
        let cells = counts.group(g);
        let range = g * counts.table.cells..(g + 1) * counts.table.cells;
        let entries = &counts.table.entries[range];
        // A cell of the grid belongs to the interval in which it starts.
        let within = |values: &[f64]| -> Vec<f64> {
            let mut sums = vec![0.0; bounds.len() - 1];
            for (j, x) in values.iter().enumerate() {
                let at = bounds.partition_point(|b| *b <= grid.boundary(j) + 1e-9);
                if let Some(sum) = sums.get_mut(at.saturating_sub(1)) {
                    *sum += x;
                }
            }
            sums
        };
        let initial = counts.table.initial[g];
        let table = life_table(
            bounds,
            initial,
            &within(entries),
            &within(&cells.events),
            &within(&cells.censored),
        );
        for row in table {
            let step = Step {
                time: row.to,
                n_risk: row.n,
                n_event: row.events,
                n_censor: row.censored,
                survival: row.survival,
                log_variance: row.log_variance,
            };
            let limits =
                interval(&step, options.interval.scale(), options.confidence_level.share());
            let status = if row.survival <= 0.0 { Status::Boundary } else { Status::Ok };
            self.life.push(LifeInterval {
                group: group.into(),
                from_days: Some(row.from),
                to_days: Some(row.to),
                n: Some(row.n),
                n_entry: Some(row.entries),
                n_event: Some(row.events),
                n_censor: Some(row.censored),
                effective: Some(row.effective),
                probability: Some(row.probability),
                estimate: Some(row.survival),
                std_error: Some(step.std_error()),
                conf_low: limits.map(|l| l.0),
                conf_high: limits.map(|l| l.1),
                hazard_per_year: Some(row.hazard * options.followup.year.days()),
                status,
            });
        }
    }

    /// S(t | s) = S(t) / S(s) from the steps after s alone, for every reporting time after s.
    fn conditional(&mut self, options: &Options, group: &str, given: f64, fitted: &Curve) {
        let start = given * options.followup.year.days();
        let n = fitted.at_risk_after(start);
        for &years in options.times_years.iter().filter(|t| **t > given + 1e-9) {
            let days = years * options.followup.year.days();
            let row = Conditional {
                group: group.into(),
                given_years: Some(given),
                time_years: Some(years),
                n_risk: Some(n),
                ..Conditional::default()
            };
            let beyond =
                days > fitted.followed_to && fitted.steps.last().is_some_and(|s| s.survival > 0.0);
            if n <= 0.0 || beyond {
                let status = if n <= 0.0 { Status::NoRiskSet } else { Status::BeyondFollowup };
                self.conditional.push(Conditional { status, ..row });
                continue;
            }
            let after: Vec<&Step> =
                fitted.steps.iter().filter(|s| s.time > start && s.time <= days).collect();
            let column = |f: fn(&Step) -> f64| after.iter().map(|s| f(s)).collect::<Vec<f64>>();
            let (time, risk) = (column(|s| s.time), column(|s| s.n_risk));
            let (events, censored) = (column(|s| s.n_event), column(|s| s.n_censor));
            let steps = product_limit(&time, &risk, &events, &censored, !options.grid().is_daily());
            let mut product = BetaProduct::default();
            steps.iter().for_each(|s| product.observe(s.n_risk, s.n_event));
            let last = steps.last().copied().unwrap_or(Step {
                time: start,
                n_risk: n,
                n_event: 0.0,
                n_censor: 0.0,
                survival: 1.0,
                log_variance: 0.0,
            });
            let left = last.n_risk - last.n_event - last.n_censor;
            let (limits, status) = match last.survival {
                s if s <= 0.0 => (
                    Some(product.interval(left, options.confidence_level.share())),
                    Status::Boundary,
                ),
                s if s >= 1.0 => (
                    Some(product.interval(left, options.confidence_level.share())),
                    Status::OneSided,
                ),
                _ => (
                    interval(&last, IntervalScale::LogLog, options.confidence_level.share()),
                    Status::Ok,
                ),
            };
            self.conditional.push(Conditional {
                estimate: Some(last.survival),
                std_error: Some(last.std_error()),
                conf_low: limits.map(|l| l.0),
                conf_high: limits.map(|l| l.1),
                status,
                ..row
            });
        }
    }

    /// Where in a cell somebody is censored is not known: all at its start gives the lowest curve, all at its end the highest.
    fn bracket(
        &mut self,
        options: &Options,
        group: &str,
        fitted: &Curve,
        counts: &GroupCounts,
        grid: &TimeGrid,
    ) {
        for &years in &options.times_years {
            let days = years * options.followup.year.days();
            let (mut lowest, mut highest) = (1.0, 1.0);
            for j in (0..grid.cells()).take_while(|&j| grid.boundary(j + 1) <= days + 1e-6) {
                let (n, d, c) = (counts.n_risk[j], counts.events[j], counts.censored[j]);
                if d > 0.0 {
                    lowest *= 1.0 - d / (n - c).max(d);
                    highest *= 1.0 - d / n;
                }
            }
            let is_known = days <= fitted.followed_to || highest <= 0.0;
            self.bracket.push(Bracket {
                group: group.into(),
                time_years: Some(years),
                lowest: is_known.then_some(lowest),
                highest: is_known.then_some(highest),
                status: if is_known { Status::Ok } else { Status::BeyondFollowup },
            });
        }
    }
}

fn steps(width: f64, to: f64) -> Vec<f64> {
    let n = (to / width).ceil().max(1.0) as usize;
    (0..=n).map(|i| width * i as f64).collect()
}

impl Curve {
    /// At risk just after `days`.
    fn at_risk_after(&self, days: f64) -> f64 {
        match self.steps.iter().find(|s| s.time > days) {
            Some(next) => next.n_risk,
            None => self.steps.last().map_or(self.persons, |s| s.n_risk - s.n_event - s.n_censor),
        }
    }

    /// Where a curve whose risk set was empty can be started again: the first time after it with enough at risk.
    pub(super) fn restart(&self) -> Option<f64> {
        let zero = self.steps.iter().position(|s| s.survival <= 0.0)?;
        self.steps[zero + 1..].iter().find(|s| s.n_risk >= RESTART).map(|s| s.time - 1.0)
    }
}
