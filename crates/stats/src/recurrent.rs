//! Mean cumulative count of recurrent events where a terminal event ends them.
//!
//! Sources: Nelson (1988); Ghosh & Lin (2000); Dong et al. (2015) for the use with childhood cancer survivors.

/// Counts by time.
#[derive(Debug, Clone, PartialEq)]
pub struct Counts {
    /// Times, days, ascending.
    pub time: Vec<f64>,
    /// Under observation just before.
    pub n_risk: Vec<f64>,
    /// Recurrent events.
    pub events: Vec<f64>,
    /// Terminal events.
    pub terminal: Vec<f64>,
}

/// The curve with what its variance needs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MeanCount {
    /// Times with events of either kind.
    pub time: Vec<f64>,
    /// At risk.
    pub n_risk: Vec<f64>,
    /// Mean cumulative count.
    pub count: Vec<f64>,
    /// Survival just before.
    pub before: Vec<f64>,
    /// Increment of the recurrent events' hazard.
    pub rate: Vec<f64>,
    /// Increment of the terminal event's hazard.
    pub terminal: Vec<f64>,
}

impl MeanCount {
    /// Whether everybody has had the terminal event in the end: no count changes after it.
    pub fn is_exhausted(&self) -> bool {
        self.terminal.iter().any(|rate| *rate >= 1.0)
    }
}

/// ∫ S(u−) dN / Y.
pub fn mean_count(counts: &Counts) -> MeanCount {
    let (mut survival, mut total) = (1.0, 0.0);
    let mut curve = MeanCount::default();
    for j in 0..counts.time.len() {
        let n = counts.n_risk[j];
        if n <= 0.0 || counts.events[j] + counts.terminal[j] <= 0.0 {
            continue;
        }
        let (rate, terminal) = (counts.events[j] / n, counts.terminal[j] / n);
        total += survival * rate;
        curve.time.push(counts.time[j]);
        curve.n_risk.push(n);
        curve.count.push(total);
        curve.before.push(survival);
        curve.rate.push(rate);
        curve.terminal.push(terminal);
        survival *= 1.0 - terminal;
    }
    curve
}

/// One stretch of observation: who is at risk in (entry, exit].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stretch {
    /// Person, `0..persons`.
    pub person: usize,
    /// Start.
    pub entry: f64,
    /// End.
    pub exit: f64,
    /// Recurrent event at the end.
    pub event: bool,
    /// Terminal event at the end.
    pub terminal: bool,
}

/// Σ ψ² over persons at each of `times`: the variance of the mean cumulative count.
pub fn variance(
    curve: &MeanCount,
    stretches: &[Stretch],
    persons: usize,
    times: &[f64],
) -> Vec<f64> {
    times
        .iter()
        .map(|&t| {
            let end = curve.time.partition_point(|u| *u <= t);
            let last = if end == 0 { 0.0 } else { curve.count[end - 1] };
            // Weights of the two martingales at each time, and their cumulative compensator.
            let of_event = |j: usize| curve.before[j] / curve.n_risk[j];
            let of_terminal = |j: usize| {
                let later = last - curve.count[j];
                if curve.terminal[j] < 1.0 {
                    -later / (1.0 - curve.terminal[j]) / curve.n_risk[j]
                } else {
                    0.0
                }
            };
            let mut compensator = vec![0.0];
            for j in 0..end {
                let step = of_event(j) * curve.rate[j] + of_terminal(j) * curve.terminal[j];
                compensator.push(compensator[j] + step);
            }
            let mut influence = vec![0.0; persons];
            for s in stretches {
                let from = curve.time[..end].partition_point(|u| *u <= s.entry);
                let to = curve.time[..end].partition_point(|u| *u <= s.exit);
                let psi = &mut influence[s.person];
                *psi -= compensator[to] - compensator[from.min(to)];
                if to > 0 && (curve.time[to - 1] - s.exit).abs() < 1e-9 {
                    if s.event {
                        *psi += of_event(to - 1);
                    }
                    if s.terminal {
                        *psi += of_terminal(to - 1);
                    }
                }
            }
            influence.iter().map(|x| x * x).sum()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_event_thins_what_comes_after() {
        let counts = Counts {
            time: vec![1.0, 2.0, 3.0],
            n_risk: vec![4.0, 4.0, 3.0],
            events: vec![2.0, 0.0, 3.0],
            terminal: vec![0.0, 1.0, 0.0],
        };
        let curve = mean_count(&counts);
        assert_eq!(curve.count, [0.5, 0.5, 0.5 + 0.75]);
    }

    /// Without repetition and with everybody followed to the end, the variance is that of a mean.
    #[test]
    fn the_variance_of_a_plain_mean_comes_out() {
        let stretches: Vec<Stretch> = [(5.0, true), (9.0, false), (9.0, false), (9.0, false)]
            .iter()
            .enumerate()
            .flat_map(|(person, &(exit, event))| {
                let first = Stretch { person, entry: 0.0, exit, event, terminal: false };
                let rest =
                    Stretch { person, entry: exit, exit: 9.0, event: false, terminal: false };
                if event { vec![first, rest] } else { vec![first] }
            })
            .collect();
        let counts =
            Counts { time: vec![5.0], n_risk: vec![4.0], events: vec![1.0], terminal: vec![0.0] };
        let found = variance(&mean_count(&counts), &stretches, 4, &[8.0]);
        // Σ (x − x̄)² / n² with x̄ = 1/4.
        assert!((found[0] - 0.75 / 16.0).abs() < 1e-15, "{found:?}");
    }
}
