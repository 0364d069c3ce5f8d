//! Age–period–cohort models of testicular and lung cancer in Denmark against `apc.fit` of Epi, and drifts by least squares.

use std::collections::BTreeMap;

use tributary::stats::age_period_cohort::{
    Effect, Extraction, Fit, LexisCell, Reference, Shape, knots, least_squares, maximum_likelihood,
};

use crate::{
    incidence_data::TOLERANCE,
    pooling::{close, csv, reference},
};

fn lexis(file: &str, columns: [&str; 4], ages: std::ops::Range<f64>) -> Vec<LexisCell> {
    let (head, rows) = csv(file);
    let at = columns.map(|c| head.iter().position(|h| h == c).unwrap());
    rows.iter()
        .map(|r| at.map(|i| r[i].parse::<f64>().unwrap()))
        .filter(|r| ages.contains(&r[0]))
        .map(|[age, period, events, time]| LexisCell { age, period, events, time })
        .collect()
}

fn splines(cells: &[LexisCell], n: [usize; 3]) -> [Shape; 3] {
    let events: Vec<f64> = cells.iter().map(|c| c.events).collect();
    let of = |f: &dyn Fn(&LexisCell) -> f64, n| {
        Shape::Spline(knots(&cells.iter().map(f).collect::<Vec<_>>(), &events, n))
    };
    [of(&|c| c.age, n[0]), of(&|c| c.period, n[1]), of(&|c| c.period - c.age, n[2])]
}

fn compare(wanted: &BTreeMap<String, f64>, name: &str, fit: &Fit) {
    for (submodel, key) in fit.submodels.iter().zip([
        "Age",
        "Age-drift",
        "Age-Cohort",
        "Age-Period-Cohort",
        "Age-Period",
    ]) {
        close(submodel.deviance, wanted[&format!("{name}/{key}/deviance")], 1e-9, key);
        close(submodel.df, wanted[&format!("{name}/{key}/df")], 1e-12, key);
    }
    let limits =
        |e: f64, se: f64| [e, e - 1.959963984540054 * se, e + 1.959963984540054 * se].map(f64::exp);
    let stats = ["est", "low", "high"];
    for (i, (slope, se)) in fit.drift.iter().enumerate() {
        for (found, stat) in limits(*slope, *se).iter().zip(stats) {
            close(*found, wanted[&format!("{name}/drift{}/{stat}", i + 1)], 1e-7, "drift");
        }
    }
    let mut compared = 0;
    for (effects, key) in [(&fit.age, "Age"), (&fit.period, "Per"), (&fit.cohort, "Coh")] {
        for Effect { at, estimate, std_error } in effects {
            for (found, stat) in limits(*estimate, *std_error).iter().zip(stats) {
                // R prints fifteen digits of the places.
                let near = wanted.iter().find(|(k, _)| {
                    let mut parts = k.split('/');
                    parts.next() == Some(name)
                        && parts
                            .next()
                            .and_then(|p| p.strip_prefix(&format!("{key}-"))?.parse::<f64>().ok())
                            .is_some_and(|x| (x - at).abs() < 1e-6)
                        && parts.next() == Some(stat)
                });
                if let Some((_, w)) = near {
                    // R stops at a relative change of the deviance of 1e-8.
                    close(*found, *w, 1e-5, &format!("{name} {key} {at} {stat}"));
                    compared += 1;
                }
            }
        }
    }
    assert!(compared >= 42, "{name}: {compared}");
}

#[test]
fn age_period_cohort_models_equal_apc_fit() {
    let wanted = reference("incidence_reference.csv");
    let testis = lexis("testisDK.csv", ["age", "year", "cases", "person_years"], 15.0..65.0);
    let shapes = splines(&testis, [7, 6, 8]);
    let fit =
        maximum_likelihood(&testis, &shapes, Extraction::Cells, Reference::Cohort(1918.0)).unwrap();
    compare(&wanted, "testis-acp-1", &fit);
    let fit = maximum_likelihood(&testis, &shapes, Extraction::Events, Reference::Period(1970.0))
        .unwrap();
    compare(&wanted, "testis-apc-d", &fit);
    let lung = lexis("lungDK_triangles.csv", ["A", "P", "D", "Y"], 0.0..200.0);
    let shapes = splines(&lung, [7, 7, 7]);
    let fit =
        maximum_likelihood(&lung, &shapes, Extraction::Time, Reference::Cohort(1910.0)).unwrap();
    compare(&wanted, "lung-acp-y", &fit);
}

/// Five-year ages and periods of lung cancer, middles of the cells.
fn lung() -> Vec<LexisCell> {
    let mut cells = lexis("lungDK.csv", ["age", "year", "cases", "person_years"], 0.0..200.0);
    for cell in &mut cells {
        cell.age += 2.5;
        cell.period += 2.5;
    }
    cells
}

#[test]
fn age_period_cohort_models_with_a_level_per_value_equal_apc_fit() {
    let wanted = reference("incidence_reference.csv");
    let cells = lung();
    let levels = |f: fn(&LexisCell) -> f64| {
        let mut values: Vec<f64> = cells.iter().map(f).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        Shape::Levels(values)
    };
    let shapes = [levels(|c| c.age), levels(|c| c.period), levels(|c| c.period - c.age)];
    let fit =
        maximum_likelihood(&cells, &shapes, Extraction::Time, Reference::Cohort(1908.0)).unwrap();
    compare(&wanted, "lung-factor", &fit);
}

#[test]
fn drifts_equal_least_squares_in_r() {
    let wanted = reference("incidence_reference.csv");
    let found = least_squares(&lung()).unwrap();
    close(found.net.0, wanted["nci/net/est"], TOLERANCE, "net drift");
    close(found.net.1, wanted["nci/net/se"], TOLERANCE, "its standard error");
    close(found.longitudinal.0, wanted["nci/lat/est"], TOLERANCE, "longitudinal trend");
    close(found.cross_sectional.0, wanted["nci/cat/est"], TOLERANCE, "cross-sectional trend");
    close(found.scale, wanted["nci/scale/s2"], TOLERANCE, "scale");
    for (i, effect) in found.local.iter().enumerate() {
        close(
            effect.estimate,
            wanted[&format!("nci/local{}/est", i + 1)],
            TOLERANCE,
            "local drift",
        );
        close(effect.std_error, wanted[&format!("nci/local{}/se", i + 1)], TOLERANCE, "its error");
    }
    for test in &found.tests {
        if let Some(w) = wanted.get(&format!("nci/{}/chi2", test.name)) {
            close(test.statistic, *w, TOLERANCE, test.name);
            close(test.df, wanted[&format!("nci/{}/df", test.name)], TOLERANCE, test.name);
        }
    }
    // Ages and periods of different width are refused.
    let mut uneven = lung();
    uneven.iter_mut().filter(|c| c.age > 80.0).for_each(|c| c.age += 1.0);
    assert!(least_squares(&uneven).is_none());
}
