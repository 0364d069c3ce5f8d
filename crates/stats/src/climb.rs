//! Maximum of a function of a few numbers without derivatives.

/// Nelder & Mead (1965): the best point of a function to be made large, once the simplex is smaller than `tolerance`.
pub fn climb(f: &dyn Fn(&[f64]) -> f64, start: &[f64], step: f64, tolerance: f64) -> Vec<f64> {
    let n = start.len();
    let mut simplex: Vec<(Vec<f64>, f64)> = (0..=n)
        .map(|i| {
            let mut x = start.to_vec();
            if i > 0 {
                x[i - 1] += step;
            }
            let value = f(&x);
            (x, value)
        })
        .collect();
    for _ in 0..4000 {
        simplex.sort_by(|a, b| b.1.total_cmp(&a.1));
        let size = simplex[1..]
            .iter()
            .flat_map(|(x, _)| x.iter().zip(&simplex[0].0).map(|(a, b)| (a - b).abs()))
            .fold(0.0, f64::max);
        if size < tolerance {
            break;
        }
        let centre: Vec<f64> = (0..n)
            .map(|j| simplex[..n].iter().map(|(x, _)| x[j]).sum::<f64>() / n as f64)
            .collect();
        let along = |t: f64| -> (Vec<f64>, f64) {
            let x: Vec<f64> =
                centre.iter().zip(&simplex[n].0).map(|(c, w)| c + t * (w - c)).collect();
            let value = f(&x);
            (x, value)
        };
        let reflected = along(-1.0);
        let next = if reflected.1 > simplex[0].1 {
            let further = along(-2.0);
            if further.1 > reflected.1 { further } else { reflected }
        } else if reflected.1 > simplex[n - 1].1 {
            reflected
        } else {
            let inside = along(if reflected.1 > simplex[n].1 { -0.5 } else { 0.5 });
            if inside.1 > simplex[n].1 {
                inside
            } else {
                let best = simplex[0].0.clone();
                for (x, value) in &mut simplex[1..] {
                    x.iter_mut().zip(&best).for_each(|(a, b)| *a = 0.5 * (*a + b));
                    *value = f(x);
                }
                continue;
            }
        };
        simplex[n] = next;
    }
    simplex.sort_by(|a, b| b.1.total_cmp(&a.1));
    simplex.swap_remove(0).0
}
