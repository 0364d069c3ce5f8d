//! Tables of prevalence: people by time since diagnosis, sex and attained age.

use tributary_core::{
    estimate::{Number, Status, Table},
    rows,
};
use tributary_stats::rate::{RateInterval, WeightedRate};

/// Everybody: all ages, or both sexes.
pub const ALL: &str = "all";

rows! {
    /// People of a group, sex and attained age, or of [`ALL`] ages, who were diagnosed at most so many years ago.
    pub struct Prevalent in "prevalence" {
        pub group: String,
        pub sex: String,
        pub duration: Number,
        pub age: String,
        pub alive: Number,
        pub lost: Number,
        pub lost_alive: Number,
        pub prevalent: Number,
        pub prevalent_low: Number,
        pub prevalent_high: Number,
        pub population: Number,
        pub rate: Number,
        pub rate_low: Number,
        pub rate_high: Number,
        pub status: Status,
    }

    /// Prevalence of a group and sex, standardised.
    pub struct StandardisedPrevalence in "standardised_prevalence" {
        pub group: String,
        pub sex: String,
        pub duration: Number,
        pub rate: Number,
        pub conf_low: Number,
        pub conf_high: Number,
        pub status: Status,
    }
}

/// People of one sex, group, duration and age band.
pub(super) struct Cell {
    /// Known to be alive.
    pub(super) alive: f64,
    /// Lost before the index day.
    pub(super) lost: f64,
    /// Sum of the chances of those lost to have lived on.
    pub(super) chance: f64,
    /// Sum of their squares.
    pub(super) square: f64,
    /// Population.
    pub(super) population: f64,
    /// Whether the study hides the count.
    pub(super) hidden: bool,
    /// Whether it hides how many of them were lost.
    pub(super) hidden_lost: bool,
}

impl Cell {
    /// Prevalent people, and the Poisson variance of their number: each counts with the square of its weight.
    fn people(&self) -> (f64, f64) {
        (self.alive + self.chance, self.alive + self.square)
    }
}

pub(super) struct Tables {
    per: f64,
    level: f64,
    prevalence: Vec<Prevalent>,
    standardised: Vec<StandardisedPrevalence>,
}

/// Σ weight × people with gamma limits.
fn weighted(cells: &[&Cell], weights: &[f64]) -> WeightedRate {
    let of = |f: &dyn Fn(&Cell, f64) -> f64| cells.iter().zip(weights).map(|(c, w)| f(c, *w)).sum();
    let n = cells.len().max(1) as f64;
    WeightedRate {
        rate: of(&|c, w| w * c.people().0),
        variance: of(&|c, w| w * w * c.people().1),
        events: of(&|c, _| c.people().0),
        largest: weights.iter().copied().fold(0.0, f64::max),
        mean: of(&|_, w| w) / n,
        mean_square: of(&|_, w| w * w) / n,
    }
}

impl Tables {
    pub(super) fn new(per: f64, level: f64) -> Self {
        Self { per, level, prevalence: Vec::new(), standardised: Vec::new() }
    }

    /// Rows of all ages together and of each age.
    pub(super) fn add(
        &mut self,
        head: [&str; 2],
        years: u32,
        names: &[String],
        cells: &[Cell],
        hidden_total: [bool; 2],
    ) {
        let mut one = |age: &str, of: &[&Cell], [hidden, hidden_lost]: [bool; 2]| {
            let sum = |f: &dyn Fn(&Cell) -> f64| of.iter().map(|c| f(c)).sum::<f64>();
            let population = sum(&|c| c.population);
            let people = weighted(of, &vec![1.0; of.len()]);
            let limits = people.interval(self.level, RateInterval::FayFeuer);
            let status = match (hidden, population > 0.0, people.rate > 0.0) {
                (true, ..) => Status::Suppressed,
                (_, false, _) => Status::NoRiskSet,
                (.., false) => Status::OneSided,
                _ => Status::Ok,
            };
            let per = |x: Number| x.filter(|_| population > 0.0).map(|x| self.per * x / population);
            let shown = |x: f64| (!hidden).then_some(x);
            // Where the number of those lost is hidden, so is that of the others, which would give it away.
            let each = |x: f64| shown(x).filter(|_| !hidden_lost);
            let [low, high] = limits.map_or([None; 2], |l| l.map(shown));
            self.prevalence.push(Prevalent {
                group: head[0].to_owned(),
                sex: head[1].to_owned(),
                duration: Some(f64::from(years)),
                age: age.to_owned(),
                alive: each(sum(&|c| c.alive)),
                lost: each(sum(&|c| c.lost)),
                lost_alive: each(sum(&|c| c.chance)),
                prevalent: shown(people.rate),
                prevalent_low: low,
                prevalent_high: high,
                population: Some(population),
                rate: per(shown(people.rate)),
                rate_low: per(low),
                rate_high: per(high),
                status,
            });
        };
        one(ALL, &cells.iter().collect::<Vec<_>>(), hidden_total);
        for (name, cell) in names.iter().zip(cells) {
            one(name, &[cell], [cell.hidden, cell.hidden_lost]);
        }
    }

    pub(super) fn add_standardised(
        &mut self,
        head: [&str; 2],
        years: u32,
        weights: &[f64],
        cells: &[Cell],
        hidden: bool,
    ) {
        let used: Vec<(&Cell, f64)> =
            cells.iter().zip(weights).filter(|(_, w)| **w > 0.0).map(|(c, w)| (c, *w)).collect();
        let known = !used.is_empty() && used.iter().all(|(c, _)| c.population > 0.0);
        let (of, w): (Vec<&Cell>, Vec<f64>) =
            used.iter().map(|(c, w)| (*c, self.per * w / c.population)).unzip();
        let rate = (known && !hidden).then(|| weighted(&of, &w));
        let limits = rate.and_then(|r| r.interval(self.level, RateInterval::FayFeuer));
        let status = match (hidden, known) {
            (true, _) => Status::Suppressed,
            (_, false) => Status::NoRiskSet,
            _ => Status::Ok,
        };
        let [conf_low, conf_high] = limits.map_or([None; 2], |l| l.map(Some));
        self.standardised.push(StandardisedPrevalence {
            group: head[0].to_owned(),
            sex: head[1].to_owned(),
            duration: Some(f64::from(years)),
            rate: rate.map(|r| r.rate),
            conf_low,
            conf_high,
            status,
        });
    }

    pub(super) fn finish(self) -> [Table; 2] {
        [Table::of(self.prevalence), Table::of(self.standardised)]
    }
}
