//! The best sets of joinpoints on observed years by dynamic programming, with as little memory as the series is long.
//!
//! With its last joinpoint at a given year, the smallest sum of squares of the years up to there is a function of the height of the line
//! at that joinpoint: the lower envelope of parabolas, one for each set of earlier joinpoints that is best for some height. A segment
//! more turns each parabola into one of the next joinpoint's height. What is nowhere lowest can be part of no optimum, so that nothing
//! is lost: the result is the optimum over all sets.
//!
//! Source: the functional pruning of Maidstone, Hocking, Rigaill & Fearnhead (2017), for lines that meet as in Fearnhead, Maidstone &
//! Letchford (2019).

use super::{Places, Series};

/// a h² + b h + c.
#[derive(Debug, Clone, Copy)]
struct Parabola {
    a: f64,
    b: f64,
    c: f64,
}

/// A parabola on an envelope, and the joinpoint before with the place on that one's envelope.
#[derive(Debug, Clone, Copy)]
struct Node {
    parabola: Parabola,
    before: (usize, usize),
}

/// Weighted sums of a run of years: Σw, Σwx, Σwx², Σwy, Σwxy, Σwy².
type Moments = [f64; 6];

/// Running sums of a series, its years from −1 to 1 and its line taken out.
pub(super) struct Chain {
    x: Vec<f64>,
    running: Vec<Moments>,
}

/// Squares left by each kind of segment, as a function of the heights at its ends.
struct Joined {
    from: f64,
    both: f64,
    to: f64,
    from_linear: f64,
    to_linear: f64,
    constant: f64,
}

impl Parabola {
    fn smallest(self) -> f64 {
        if self.a > 0.0 { self.c - self.b * self.b / (4.0 * self.a) } else { self.c }
    }

    fn plus(self, other: Self) -> Self {
        Self { a: self.a + other.a, b: self.b + other.b, c: self.c + other.c }
    }

    /// The smallest height above `h` at which this one falls below `other`.
    fn falls_below(self, other: Self, h: f64) -> Option<f64> {
        let (a, b, c) = (self.a - other.a, self.b - other.b, self.c - other.c);
        let scale = self.a.abs().max(other.a.abs());
        let root = if a.abs() <= 1e-13 * scale {
            if b >= 0.0 {
                return None;
            }
            -c / b
        } else {
            let discriminant = b * b - 4.0 * a * c;
            if discriminant <= 0.0 {
                return None;
            }
            // Opening upwards it is below between its roots, downwards outside them: the first root, or the second.
            let q = -0.5 * (b + discriminant.sqrt().copysign(b));
            let (r, s) = (q / a, c / q);
            if a > 0.0 { r.min(s) } else { r.max(s) }
        };
        (root.is_finite() && root > h).then_some(root)
    }
}

/// Those that are lowest somewhere, from left to right; the first of equal ones.
fn envelope(nodes: &[Node]) -> Vec<Node> {
    let far_left = |n: &Node| (n.parabola.a, -n.parabola.b, n.parabola.c);
    let first = nodes.iter().enumerate().min_by(|x, y| {
        far_left(x.1).partial_cmp(&far_left(y.1)).unwrap_or(std::cmp::Ordering::Equal)
    });
    let Some((mut current, _)) = first else { return Vec::new() };
    let mut kept = vec![current];
    let mut h = f64::NEG_INFINITY;
    // Each parabola comes in once or twice at most.
    for _ in 0..2 * nodes.len() {
        let here = nodes[current].parabola;
        let next = nodes
            .iter()
            .enumerate()
            .filter(|(i, _)| *i != current)
            .filter_map(|(i, n)| Some((n.parabola.falls_below(here, h)?, i)))
            .min_by(|x, y| x.0.total_cmp(&y.0));
        let Some((at, next)) = next else { break };
        (h, current) = (at, next);
        if !kept.contains(&current) {
            kept.push(current);
        }
    }
    kept.sort_unstable();
    kept.into_iter().map(|i| nodes[i]).collect()
}

impl Chain {
    pub(super) fn new(series: &Series, y: &[f64], weights: &[f64]) -> Self {
        let (first, last) = (series.x[0], series.x[series.x.len() - 1]);
        let (middle, half) = (f64::midpoint(first, last), 0.5 * (last - first));
        let x: Vec<f64> = series.x.iter().map(|x| (x - middle) / half).collect();
        // Every set of joinpoints holds the line: without it sums lose no digits.
        let line = moments(&x, y, weights);
        let [w, wx, wxx, wy, wxy, _] = line[line.len() - 1];
        let determinant = w * wxx - wx * wx;
        let slope = if determinant > 0.0 { (w * wxy - wx * wy) / determinant } else { 0.0 };
        let level = (wy - slope * wx) / w;
        let rest: Vec<f64> = x.iter().zip(y).map(|(x, y)| y - level - slope * x).collect();
        Self { running: moments(&x, &rest, weights), x }
    }

    /// Sums over the years `from..to`, years counted from that of `at` in units of `unit`.
    fn about(&self, from: usize, to: usize, at: f64, unit: f64) -> Moments {
        let (end, start) = (&self.running[to], &self.running[from]);
        let [w, wx, wxx, wy, wxy, wyy] = std::array::from_fn(|i| end[i] - start[i]);
        [
            w,
            (wx - at * w) / unit,
            (wxx - 2.0 * at * wx + at * at * w) / (unit * unit),
            wy,
            (wxy - at * wy) / unit,
            wyy,
        ]
    }

    /// Squares of the years `from..to` about a line of any slope through height h at year `at`.
    fn free(&self, from: usize, to: usize, at: usize) -> Parabola {
        let [w, wt, wtt, wy, wty, wyy] = self.about(from, to, self.x[at], 1.0);
        if wtt <= 1e-14 * w {
            return Parabola { a: w, b: -2.0 * wy, c: wyy };
        }
        Parabola {
            a: (w - wt * wt / wtt).max(0.0),
            b: -2.0 * (wy - wty * wt / wtt),
            c: (wyy - wty * wty / wtt).max(0.0),
        }
    }

    /// Squares of the years after `from` up to `to` about the line between the heights at both.
    fn joined(&self, from: usize, to: usize) -> Joined {
        let unit = self.x[to] - self.x[from];
        let [w, wt, wtt, wy, wty, wyy] = self.about(from + 1, to + 1, self.x[from], unit);
        Joined {
            from: w - 2.0 * wt + wtt,
            both: wt - wtt,
            to: wtt,
            from_linear: wty - wy,
            to_linear: -wty,
            constant: wyy,
        }
    }

    /// Envelopes by joinpoint (1 to k) and year.
    fn layers(&self, k: usize, rule: Places) -> Vec<Vec<Vec<Node>>> {
        let n = self.x.len();
        let places = rule.at_ends..n.saturating_sub(rule.at_ends);
        let mut layers: Vec<Vec<Vec<Node>>> = Vec::with_capacity(k);
        for layer in 0..k {
            let mut envelopes = vec![Vec::new(); n];
            for to in places.clone() {
                let mut nodes = Vec::new();
                if layer == 0 {
                    let parabola = self.free(0, to + 1, to);
                    nodes.push(Node { parabola, before: (0, 0) });
                } else {
                    let last = to.saturating_sub(rule.between + 1);
                    for from in places.clone().filter(|from| *from <= last && *from < to) {
                        let segment = self.joined(from, to);
                        for (i, node) in layers[layer - 1][from].iter().enumerate() {
                            let parabola = segment.after(node.parabola);
                            nodes.push(Node { parabola, before: (from, i) });
                        }
                    }
                    nodes = envelope(&nodes);
                }
                envelopes[to] = nodes;
            }
            layers.push(envelopes);
        }
        layers
    }

    /// The sets of `k` places with the smallest sums of squares among those that are best for some height of their last joinpoint:
    /// up to `most`, the best one first.
    pub(super) fn best(&self, k: usize, rule: Places, most: usize) -> Vec<Vec<usize>> {
        let layers = self.layers(k, rule);
        let Some(last) = layers.last() else { return vec![Vec::new()] };
        let mut ends: Vec<(f64, Vec<usize>)> = self
            .ends(last)
            .map(|(loss, at, i)| {
                let mut path = vec![at];
                let mut node = last[at][i];
                for layer in layers[..k - 1].iter().rev() {
                    let (from, i) = node.before;
                    path.push(from);
                    node = layer[from][i];
                }
                path.reverse();
                (loss, path)
            })
            .collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
        ends.truncate(most);
        ends.into_iter().map(|(_, path)| path).collect()
    }

    /// The smallest sum of squares over all sets of `k` places; infinite if there is none.
    pub(super) fn smallest(&self, k: usize, rule: Places) -> f64 {
        let layers = self.layers(k, rule);
        match layers.last() {
            None => self.free(0, self.x.len(), 0).smallest(),
            Some(last) => self.ends(last).map(|end| end.0).fold(f64::INFINITY, f64::min),
        }
        .max(0.0)
    }

    /// Sum of squares, last place and place on its envelope of each set that is left.
    fn ends<'a>(&'a self, last: &'a [Vec<Node>]) -> impl Iterator<Item = (f64, usize, usize)> + 'a {
        let n = self.x.len();
        last.iter().enumerate().flat_map(move |(at, nodes)| {
            let tail = self.free((at + 1).min(n), n, at);
            let loss = move |node: &Node| node.parabola.plus(tail).smallest();
            nodes.iter().enumerate().map(move |(i, node)| (loss(node), at, i))
        })
    }
}

impl Joined {
    /// The smallest sum with this segment after `before`, as a function of the height at its end.
    fn after(&self, before: Parabola) -> Parabola {
        let a = before.a + self.from;
        let linear = before.b + 2.0 * self.from_linear;
        if a <= 0.0 {
            return Parabola { a: self.to, b: 2.0 * self.to_linear, c: before.c + self.constant };
        }
        Parabola {
            a: (self.to - self.both * self.both / a).max(0.0),
            b: 2.0 * self.to_linear - self.both * linear / a,
            c: before.c + self.constant - linear * linear / (4.0 * a),
        }
    }
}

fn moments(x: &[f64], y: &[f64], weights: &[f64]) -> Vec<Moments> {
    let mut sum = [0.0; 6];
    let mut running = vec![sum];
    for ((x, y), w) in x.iter().zip(y).zip(weights) {
        let add = [*w, w * x, w * x * x, w * y, w * x * y, w * y * y];
        sum.iter_mut().zip(add).for_each(|(s, a)| *s += a);
        running.push(sum);
    }
    running
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::joinpoint::Response;

    /// A series without pattern, of any length and weights.
    fn series(n: usize, seed: u64) -> Series {
        let mut state = seed;
        let mut random = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / f64::from(1_u32 << 31)
        };
        let x: Vec<f64> = (0..n).map(|i| 1950.0 + i as f64).collect();
        let y = x.iter().map(|x| -8.0 + 0.01 * (x - 1950.0) + random()).collect();
        let weights = x.iter().map(|_| 1.0 + 400.0 * random()).collect();
        Series { x, response: Response::LogRate { y, weights } }
    }

    #[test]
    fn the_best_set_is_that_of_all_sets() {
        for seed in 1..=6 {
            let series = series(15 + seed as usize % 3, seed);
            let Response::LogRate { y, weights } = &series.response else { unreachable!() };
            let chain = Chain::new(&series, y, weights);
            for (at_ends, between) in [(2, 2), (1, 0), (3, 1)] {
                let rule = Places { at_ends, between };
                for k in 0..=4 {
                    let all = series.places(k, rule);
                    let at = |set: &[usize]| set.iter().map(|&i| series.x[i]).collect::<Vec<_>>();
                    let losses: Vec<f64> =
                        all.iter().map(|set| series.fit(&at(set)).loss).collect();
                    let smallest = losses.iter().copied().fold(f64::INFINITY, f64::min);
                    if k > 0 {
                        let best = &chain.best(k, rule, 1)[0];
                        let loss = series.fit(&at(best)).loss;
                        assert!((loss / smallest - 1.0).abs() < 1e-9, "{seed} {k} {rule:?}");
                    }
                    let found = chain.smallest(k, rule);
                    assert!(
                        (found / smallest - 1.0).abs() < 1e-9,
                        "{seed} {k}: {found} {smallest}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_series_too_short_has_no_set() {
        let series = series(6, 3);
        let Response::LogRate { y, weights } = &series.response else { unreachable!() };
        assert!(Chain::new(&series, y, weights).best(3, Places::default(), 5).is_empty());
    }

    #[test]
    fn a_hundred_years_and_nine_joinpoints_are_few_parabolas() {
        let series = series(100, 5);
        let Response::LogRate { y, weights } = &series.response else { unreachable!() };
        let layers = Chain::new(&series, y, weights).layers(9, Places::default());
        let nodes: usize = layers.iter().flatten().map(Vec::len).sum();
        assert!(nodes < 200_000, "{nodes}");
    }
}
