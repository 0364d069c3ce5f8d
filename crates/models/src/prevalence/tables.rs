//! Tables of prevalence: people by time since diagnosis, sex and attained age.

use tributary_core::estimate::{Status, Table, Value};
use tributary_stats::rate::{RateInterval, WeightedRate};

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
    prevalence: Table,
    standardised: Table,
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
        let columns = [
            "group",
            "sex",
            "duration",
            "age",
            "alive",
            "lost",
            "lost_alive",
            "prevalent",
            "prevalent_low",
            "prevalent_high",
            "population",
            "rate",
            "rate_low",
            "rate_high",
            "status",
        ];
        let prevalence = Table::new("prevalence", &columns).worded(&["age"]);
        let columns = ["group", "sex", "duration", "rate", "conf_low", "conf_high", "status"];
        Self {
            per,
            level,
            prevalence,
            standardised: Table::new("standardised_prevalence", &columns),
        }
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
            let mut row: Vec<Value> = head.map(Value::from).into();
            row.extend([f64::from(years).into(), age.into()]);
            let numbers = [sum(&|c| c.alive), sum(&|c| c.lost), sum(&|c| c.chance), people.rate];
            let bounds = [0, 1].map(|i| limits.map(|l| l[i]));
            let per =
                |x: Option<f64>| x.filter(|_| population > 0.0).map(|x| self.per * x / population);
            let rates = [per(Some(people.rate)), per(bounds[0]), per(bounds[1])];
            let shown = |x: Option<f64>| Value::from(x.filter(|_| !hidden));
            // Where the number of those lost is hidden, so is that of the others, which would give it away.
            row.extend(numbers[..3].iter().map(|x| shown(Some(*x).filter(|_| !hidden_lost))));
            row.push(shown(Some(numbers[3])));
            row.extend(bounds.map(shown));
            row.push(population.into());
            row.extend(rates.map(shown));
            row.push(status.into());
            self.prevalence.push(row);
        };
        one("all", &cells.iter().collect::<Vec<_>>(), hidden_total);
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
        let mut row: Vec<Value> = head.map(Value::from).into();
        row.extend([f64::from(years).into(), rate.map(|r| r.rate).into()]);
        row.extend([0, 1].map(|i| Value::from(limits.map(|l| l[i]))));
        row.push(status.into());
        self.standardised.push(row);
    }

    pub(super) fn finish(self) -> [Table; 2] {
        [self.prevalence, self.standardised]
    }
}
