//! Incidence against R: rates, trends, joinpoints and age–period–cohort models of testicular and lung cancer in Denmark.

use std::{collections::BTreeMap, sync::Arc};

use tributary::{
    cohort::{DeathCell, PersonYears, PopulationCell, SiteTables},
    estimate::{Estimate, Table},
    stats::{
        age_period_cohort::{
            Effect, Extraction, Fit, LexisCell, Reference, Shape, knots, least_squares,
            maximum_likelihood,
        },
        between,
        joinpoint::{Places, Response, Series, by_permutation},
        likelihood::Derivatives,
        negative_binomial,
        newton::{Evaluation, Next, newton},
        poisson::Cell,
        site_counts::{SiteEffect, site_derivatives},
        trend,
    },
};

use crate::pooling::{Frame, close, csv, number, reference};

const TOLERANCE: f64 = 1e-8;

const DICTIONARY: &str = "[dictionary.age]\ntype = \"integer\"\nlabel = \"Age\"\nunit = \"years\"\n\
    [dictionary.year]\ntype = \"integer\"\nlabel = \"Year\"\n\
    [dictionary.cases]\ntype = \"integer\"\nlabel = \"Cases\"\n\
    [dictionary.person_years]\ntype = \"real\"\nlabel = \"Person-years\"\n";

/// Counts of testicular cancer in Denmark, and the population of one of `sites` equal parts of it.
fn testis(sites: usize) -> Frame {
    let mut frame = Frame::read("testisDK.csv", DICTIONARY);
    let number = |column: &str| -> Vec<f64> {
        frame.text(column).iter().map(|x| x.parse().unwrap()).collect()
    };
    let (age, year, time) = (number("age"), number("year"), number("person_years"));
    let cells = (0..frame.rows)
        .map(|i| PopulationCell {
            sex: None,
            year: year[i] as i32,
            from: age[i] as u32,
            to: age[i] as u32 + 1,
            person_years: time[i] / sites as f64,
        })
        .collect();
    frame.tables =
        SiteTables { population: Some(Arc::new(PersonYears { cells })), ..SiteTables::default() };
    frame
}

pub(crate) fn over(sites: usize, options: &str) -> Estimate {
    let frame = testis(sites);
    frame
        .pool(&format!("[[model]]\nid = \"m\"\n{options}"), &frame.deal(sites))
        .remove("m")
        .unwrap()
}

pub(crate) fn row(table: &Table, wanted: &[(&str, &str)]) -> usize {
    let is = |r: &usize| {
        wanted.iter().all(|(column, value)| {
            let shown = table.number(*r, column).map(|x| x.to_string());
            table.text(*r, column) == *value || shown.as_deref() == Some(value)
        })
    };
    (0..table.rows.len()).find(is).unwrap_or_else(|| panic!("{}: no row {wanted:?}", table.name))
}

const CELLS: &str = "incidence = { age = \"age\", year = \"year\", count = \"cases\", years = [1943, 1996], \
    ages = [0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85] }\n";

/// Ages 15 to 49.
pub(crate) const ADULTS: &str = "incidence = { age = \"age\", year = \"year\", count = \"cases\", years = [1943, 1996], \
    ages = [15, 20, 25, 30, 35, 40, 45], age_end = 50 }\n";

#[test]
fn rates_equal_r_whatever_the_split() {
    let wanted = reference("incidence_reference.csv");
    let options = format!(
        "kind = \"incidence_rates\"\nperiods = [[1950, 1954], [1970, 1974], [1990, 1994]]\n{CELLS}\
         truncated = [[0, 75]]\n"
    );
    let whole = options.replace("truncated = [[0, 75]]\n", "");
    for sites in [1, 2, 5] {
        let (cut, all) = (over(sites, &options), over(sites, &whole));
        for period in ["1950-1954", "1970-1974", "1990-1994"] {
            let name = period.replace('-', "–");
            let of = |key: &str| wanted[&format!("{period}/{key}")];
            let rates = all.table("rates").unwrap();
            for (age, key) in [("all", "crude"), ("15–19", "15"), ("30–34", "30"), ("80–84", "80")]
            {
                let r = row(rates, &[("period", &name), ("age", age)]);
                assert_ne!(rates.text(r, "status"), "SUPPRESSED");
                for (column, stat) in [("rate", "rate"), ("conf_low", "low"), ("conf_high", "high")]
                {
                    if let Some(w) = wanted.get(&format!("{period}/{key}/{stat}")) {
                        close(
                            rates.number(r, column).unwrap(),
                            *w,
                            TOLERANCE,
                            &format!("{period} {age} {stat}"),
                        );
                    }
                }
            }
            let standardised = all.table("standardised_rates").unwrap();
            let r = row(standardised, &[("period", &name), ("standard", "world")]);
            for (column, stat) in [
                ("rate", "adj.rate"),
                ("conf_low", "lci"),
                ("conf_high", "uci"),
                ("std_error", "se"),
            ] {
                let found = standardised.number(r, column).unwrap();
                close(found, of(&format!("world/{stat}")), TOLERANCE, &format!("{period} {stat}"));
            }
            let cumulative = cut.table("cumulative").unwrap();
            let r = row(cumulative, &[("period", &name), ("ages", "0–74")]);
            close(
                cumulative.number(r, "cumulative_rate").unwrap(),
                of("cumulative-0-74/rate"),
                TOLERANCE,
                "cr",
            );
            close(
                cumulative.number(r, "risk").unwrap(),
                of("cumulative-0-74/risk"),
                TOLERANCE,
                "risk",
            );
        }
    }
}

#[test]
fn trends_equal_r_by_every_estimator() {
    let wanted = reference("incidence_reference.csv");
    let options = format!("kind = \"rate_trend\"\n{ADULTS}");
    for sites in [1, 5] {
        let estimate = over(sites, &options);
        let table = estimate.table("trends").unwrap();
        for (estimator, key) in
            [("poisson", "poisson"), ("least squares", "ols"), ("weighted least squares", "wls")]
        {
            let r = row(table, &[("estimator", estimator)]);
            let percent = 100.0 * wanted[&format!("trend/{key}/coef")].exp_m1();
            close(table.number(r, "percent").unwrap(), percent, TOLERANCE, estimator);
        }
        let r = row(table, &[("estimator", "quasi-poisson")]);
        close(table.number(r, "dispersion").unwrap(), wanted["trend/quasi/phi"], TOLERANCE, "phi");
        let slope = trend::Slope {
            slope: wanted["trend/poisson/coef"],
            std_error: wanted["trend/quasi/se"],
            df: wanted["trend/quasi/df"],
        };
        close(
            table.number(r, "percent_low").unwrap(),
            slope.limits(0.95)[0],
            TOLERANCE,
            "quasi low",
        );
        let r = row(table, &[("estimator", "poisson")]);
        let slope =
            trend::Slope { std_error: wanted["trend/poisson/se"], df: f64::INFINITY, ..slope };
        close(
            table.number(r, "percent_high").unwrap(),
            slope.limits(0.95)[1],
            TOLERANCE,
            "poisson high",
        );
        let r = row(table, &[("estimator", "least squares")]);
        let slope = trend::Slope {
            slope: wanted["trend/ols/coef"],
            std_error: wanted["trend/ols/se"],
            df: 52.0,
        };
        close(table.number(r, "percent_low").unwrap(), slope.limits(0.95)[0], TOLERANCE, "ols low");
    }
}

#[test]
fn a_negative_binomial_equals_glm_nb() {
    let wanted = reference("incidence_reference.csv");
    let (_, rows) = csv("quine.csv");
    let cells: Vec<Cell> = rows
        .iter()
        .map(|r| {
            let x: Vec<f64> = r.iter().map(|c| c.parse().unwrap()).collect();
            Cell { events: x[0], time: 1.0, expected: 0.0, z: x[1..].to_vec() }
        })
        .collect();
    let start = [3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    let found = negative_binomial::fit(&cells, &start);
    // R stops its alternation of shape and coefficients earlier.
    for (i, b) in found.coefficients.iter().enumerate() {
        close(*b, wanted[&format!("quine/{}/coef", i + 1)], 1e-6, "coefficient");
        let se = found.covariance[(i, i)].sqrt();
        close(se, wanted[&format!("quine/{}/se", i + 1)], 1e-6, "standard error");
    }
    close(found.dispersion, wanted["quine/theta/kappa"], 1e-6, "dispersion");
    close(found.log_likelihood, wanted["quine/model/log_likelihood"], 1e-9, "log-likelihood");
}

/// Two sites by one of the factors: a level of each at its best gives the other coefficients of the pooled fit, dispersion included.
#[test]
fn negative_binomial_counts_with_a_level_per_site_equal_glm_nb() {
    let wanted = reference("incidence_reference.csv");
    let (_, rows) = csv("quine.csv");
    let site = |which: &str| -> Vec<Cell> {
        let of = |r: &&Vec<String>| r[2] == which;
        rows.iter()
            .filter(of)
            .map(|r| {
                let x: Vec<f64> = r.iter().map(|c| c.parse().unwrap()).collect();
                Cell { events: x[0], time: 1.0, expected: 0.0, z: x[3..].to_vec() }
            })
            .collect()
    };
    let sites = [site("0"), site("1")];
    let evaluate = |theta: &[f64]| {
        let mut sum = Derivatives::zero(theta.len());
        for cells in &sites {
            sum.join(&site_derivatives(cells, SiteEffect::Fixed, true, theta, 1));
        }
        Evaluation::new(theta, &sum)
    };
    let mut record = vec![evaluate(&[0.0, 0.0, 0.0, 0.0, 0.0, -1.0])];
    let theta = loop {
        match newton(&record, 100) {
            Next::Try(theta) => record.push(evaluate(&theta)),
            Next::Converged { at, .. } => break record[at].beta.clone(),
            other => panic!("{other:?}"),
        }
    };
    for (i, b) in theta[..5].iter().enumerate() {
        close(*b, wanted[&format!("quine/{}/coef", i + 3)], 1e-6, "coefficient");
    }
    close(theta[5].exp(), wanted["quine/theta/kappa"], 1e-6, "dispersion");
}

/// Derivatives of the integrated likelihood against differences, with and without overdispersion.
#[test]
fn integrated_counts_have_the_derivatives_of_their_likelihood() {
    let cells: Vec<Cell> = (0..6)
        .map(|i| Cell {
            events: f64::from(i % 4),
            time: 3.0 + f64::from(i),
            expected: 0.0,
            z: vec![f64::from(i % 2), f64::from(i) / 5.0],
        })
        .collect();
    for (overdispersed, theta) in
        [(false, vec![-1.0, 0.2, 0.3, -0.7]), (true, vec![-1.0, 0.2, 0.3, -1.5, -0.7])]
    {
        let at = |t: &[f64]| site_derivatives(&cells, SiteEffect::Random, overdispersed, t, 31);
        let found = at(&theta);
        let h = 1e-5;
        for j in 0..theta.len() {
            let moved = |sign: f64| {
                let mut t = theta.clone();
                t[j] += sign * h;
                at(&t)
            };
            let (up, down) = (moved(1.0), moved(-1.0));
            let slope = (up.log_likelihood - down.log_likelihood) / (2.0 * h);
            assert!((found.score[j] - slope).abs() < 1e-6, "{j}: {} {slope}", found.score[j]);
            for k in 0..=j {
                let bend = -(up.score[k] - down.score[k]) / (2.0 * h);
                let packed = found.information[j * (j + 1) / 2 + k];
                assert!((packed - bend).abs() < 1e-5, "{j} {k}: {packed} {bend}");
            }
        }
    }
}

/// The yearly series of ages 15 to 49 as the joinpoint models see it.
fn series(estimate: &Estimate) -> BTreeMap<i32, [f64; 2]> {
    let table = estimate.table("series").unwrap();
    (0..table.rows.len())
        .map(|r| {
            let n = |c: &str| table.number(r, c).unwrap();
            (n("year") as i32, [n("cases"), n("person_years")])
        })
        .collect()
}

#[test]
fn joinpoints_equal_brute_force() {
    let wanted = reference("incidence_reference.csv");
    for (scale, key) in [("log_rate", "wls"), ("count", "poi")] {
        let options = format!(
            "kind = \"joinpoint\"\nscale = \"{scale}\"\nmost = 3\nselection = \"bic3\"\n{ADULTS}"
        );
        let estimate = over(5, &options);
        assert_eq!(series(&estimate).len(), 54);
        let table = estimate.table("selection").unwrap();
        let mut smallest = (f64::INFINITY, 0);
        for k in 0..=3 {
            let r = row(table, &[("joinpoints", &k.to_string())]);
            let of = |stat: &str| wanted[&format!("{key}/{k}/{stat}")];
            close(table.number(r, "loss").unwrap(), of("loss"), 1e-7, "loss");
            close(table.number(r, "bic").unwrap(), of("bic"), 1e-7, "bic");
            close(table.number(r, "bic3").unwrap(), of("bic3"), 1e-7, "bic3");
            if let Some(w) = wanted.get(&format!("{key}/{k}/weighted")) {
                close(table.number(r, "weighted_bic").unwrap(), *w, 1e-7, "weighted bic");
            }
            let places: Vec<String> =
                (1..=k).map(|j| wanted[&format!("{key}/{k}-{j}/at")].to_string()).collect();
            assert_eq!(table.text(r, "years"), places.join(", "), "{key} {k}");
            if of("bic3") < smallest.0 {
                smallest = (of("bic3"), k);
            }
            let chosen = table.text(r, "chosen") == "yes";
            if chosen {
                let segments = estimate.table("segments").unwrap();
                assert_eq!(segments.rows.len(), k + 1);
                for i in 0..=k {
                    let slope = trend::Slope {
                        slope: wanted[&format!("{key}/{k}-{}/slope", i + 1)],
                        std_error: wanted[&format!("{key}/{k}-{}/se", i + 1)],
                        df: if key == "wls" {
                            54.0 - 2.0 * (k as f64 + 1.0)
                        } else {
                            f64::INFINITY
                        },
                    };
                    close(segments.number(i, "percent").unwrap(), slope.percent(), 1e-6, "percent");
                    close(
                        segments.number(i, "percent_low").unwrap(),
                        slope.limits(0.95)[0],
                        1e-6,
                        "low",
                    );
                }
                let averages = estimate.table("averages").unwrap();
                let slope = trend::Slope {
                    slope: of("average"),
                    std_error: of("average-se"),
                    df: if k == 0 && key == "wls" { 52.0 } else { f64::INFINITY },
                };
                close(averages.number(0, "percent").unwrap(), slope.percent(), 1e-7, "average");
                close(
                    averages.number(0, "percent_high").unwrap(),
                    slope.limits(0.95)[1],
                    1e-7,
                    "average high",
                );
            }
        }
        let r = row(table, &[("chosen", "yes")]);
        assert_eq!(table.number(r, "joinpoints"), Some(smallest.1 as f64));
    }
}

#[test]
fn continuous_joinpoints_are_at_least_as_good_as_a_search_in_r() {
    let wanted = reference("incidence_reference.csv");
    let options = format!(
        "kind = \"joinpoint\"\nscale = \"log_rate\"\nsearch = \"hudson\"\nmost = 2\nselection = \"bic\"\n{ADULTS}"
    );
    let estimate = over(1, &options);
    let table = estimate.table("selection").unwrap();
    for k in 1..=2 {
        let r = row(table, &[("joinpoints", &k.to_string())]);
        let found = table.number(r, "loss").unwrap();
        let by_search = wanted[&format!("hudson/{k}/loss")];
        assert!(
            found <= by_search * (1.0 + 1e-8),
            "{k}: {found} {by_search} {}",
            table.text(r, "years")
        );
        close(found, by_search, 1e-6, "loss");
        assert!(found <= wanted[&format!("wls/{k}/loss")] * (1.0 + 1e-12));
    }
    let r = row(table, &[("joinpoints", "1")]);
    let at: f64 = table.text(r, "years").parse().unwrap();
    assert!((at - wanted["hudson/1-1/at"]).abs() < 0.01);
}

#[test]
fn a_permutation_test_finds_a_bend_and_only_a_bend() {
    let x: Vec<f64> = (0..30).map(|i| 1980.0 + f64::from(i)).collect();
    let noise = |i: usize| 0.02 * ((i * 7919 % 31) as f64 / 31.0 - 0.5);
    let of = |bend: f64| {
        let y = x
            .iter()
            .enumerate()
            .map(|(i, x)| 0.01 * (x - 1980.0) + bend * (x - 1995.0).max(0.0) + noise(i));
        Series {
            x: x.clone(),
            response: Response::LogRate { y: y.collect(), weights: vec![1.0; 30] },
        }
    };
    let p = |bend: f64| of(bend).permutation_p_value([0, 1], Places::default(), 499, 7160).unwrap();
    assert!(p(0.0) > 0.05, "{}", p(0.0));
    assert!((p(-0.02) - 1.0 / 500.0).abs() < 1e-12);
    assert_eq!(p(0.0).to_bits(), p(0.0).to_bits());
    assert_eq!(of(-0.02).grid(1, Places::default()).unwrap().joinpoints, [1995.0]);
}

#[test]
fn years_without_cases_are_data() {
    // Ages 0 to 4: a few cases in some years, none in most.
    let cells = "incidence = { age = \"age\", year = \"year\", count = \"cases\", years = [1943, 1996], ages = [0], age_end = 2 }\n";
    let trends =
        over(2, &format!("kind = \"rate_trend\"\n{}", cells.replace("age_end = 2", "age_end = 5")));
    let table = trends.table("trends").unwrap();
    let r = row(table, &[("estimator", "poisson")]);
    assert_eq!(table.text(r, "status"), "OK");
    let r = row(table, &[("estimator", "least squares")]);
    assert_eq!(table.text(r, "status"), "NOT_IDENTIFIED");
    let model = |scale: &str| {
        format!(
            "kind = \"joinpoint\"\nscale = \"{scale}\"\n{}",
            cells.replace("age_end = 2", "age_end = 5")
        )
    };
    let counts = over(2, &model("count"));
    assert_eq!(counts.table("segments").unwrap().text(0, "status"), "OK");
    let rates = over(2, &model("log_rate"));
    assert_eq!(rates.table("segments").unwrap().text(0, "status"), "NOT_IDENTIFIED");
    let filled = over(2, &format!("{}add_half = true\n", model("log_rate")));
    assert_eq!(filled.table("segments").unwrap().text(0, "status"), "OK");
}

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

/// British doctors (Breslow & Day 1987): smokers stand as one sex, non-smokers as the other.
#[test]
fn british_doctors_compare_as_published() {
    let deaths = [[32, 104, 206, 186, 102], [2, 12, 28, 28, 31]];
    let time = [[52407, 43248, 28612, 12663, 5317], [18790, 10673, 5710, 2585, 1462]];
    let ages = [35_u32, 45, 55, 65, 75];
    let cells = |f: &dyn Fn(usize, usize) -> f64| -> Vec<f64> {
        (0..2).flat_map(|s| (0..5).map(move |a| (s, a))).map(|(s, a)| f(s, a)).collect()
    };
    let mut frame = Frame::of(
        &[
            ("sex", cells(&|s, _| s as f64 + 1.0)),
            ("age", cells(&|_, a| f64::from(ages[a]))),
            ("year", vec![1960.0; 10]),
            ("cases", cells(&|s, a| f64::from(deaths[s][a]))),
        ],
        "[dictionary.sex]\ntype = \"category\"\nlabel = \"Smoking\"\nlevels = [\"1\", \"2\"]\n\
         [dictionary.age]\ntype = \"integer\"\nlabel = \"Age\"\n\
         [dictionary.year]\ntype = \"integer\"\nlabel = \"Year\"\n\
         [dictionary.cases]\ntype = \"integer\"\nlabel = \"Deaths\"\n",
    );
    let population =
        (0..2).flat_map(|s| (0..5).map(move |a| (s, a))).map(|(s, a)| PopulationCell {
            sex: Some(s),
            year: 1960,
            from: ages[a],
            to: ages[a] + 10,
            person_years: f64::from(time[s][a]),
        });
    frame.tables.population = Some(Arc::new(PersonYears { cells: population.collect() }));
    let options = "[[model]]\nid = \"m\"\nkind = \"rate_comparison\"\nbetween = \"sexes\"\n\
        incidence = { age = \"age\", year = \"year\", sex = \"sex\", count = \"cases\", \
        ages = [35, 45, 55, 65, 75], years = [1960, 1960] }\n";
    let found = frame.pool(options, &frame.deal(1)).remove("m").unwrap();
    let ratios = found.table("rate_ratios").unwrap();
    // Non-smokers against smokers: the published ratios of smokers upside down.
    for (method, [ratio, low, high]) in [
        ("crude, exact", [1.7198226, 1.3919919, 2.1435295]),
        ("Mantel–Haenszel", [1.424682, 1.1547031, 1.7577842]),
    ] {
        let r = row(ratios, &[("method", method)]);
        close(1.0 / ratios.number(r, "rate_ratio").unwrap(), ratio, 1e-6, method);
        close(1.0 / ratios.number(r, "rate_ratio_high").unwrap(), low, 1e-6, method);
        close(1.0 / ratios.number(r, "rate_ratio_low").unwrap(), high, 1e-6, method);
    }
    let differences = found.table("rate_differences").unwrap();
    let r = row(differences, &[("method", "Mantel–Haenszel")]);
    close(differences.number(r, "difference").unwrap(), -114.39188, 1e-6, "difference");
}

/// Sites of one population each: expected cases at the common rate, χ² by hand, a site without population told and left out.
#[test]
fn sites_side_by_side_have_chi_squared_by_hand() {
    let options = format!("kind = \"site_rates\"\n{ADULTS}draws = 999\n");
    let found = over(3, &options);
    let table = found.table("sites").unwrap();
    let column = |name: &str| -> Vec<f64> {
        (0..table.rows.len()).map(|r| table.number(r, name).unwrap()).collect()
    };
    let (observed, expected) = (column("cases"), column("expected"));
    close(observed.iter().sum(), expected.iter().sum(), 1e-10, "all cases");
    let chi: f64 = observed.iter().zip(&expected).map(|(o, e)| (o - e).powi(2) / e).sum();
    let tests = found.table("heterogeneity").unwrap();
    close(tests.number(row(tests, &[("quantity", "χ²")]), "value").unwrap(), chi, 1e-9, "χ²");
    let mut frame = testis(3);
    frame.tables = SiteTables::default();
    let models = format!(
        "[[model]]\nid = \"sites\"\n{options}[[model]]\nid = \"rates\"\nkind = \"incidence_rates\"\n{CELLS}"
    );
    let none = frame.pool(&models, &frame.deal(3));
    let sites = none["sites"].table("sites").unwrap();
    assert!((0..3).all(|r| sites.text(r, "status") == "NO_RISK_SET"));
    assert!(none["rates"].notices.iter().any(|n| n.key == "cases-without-population"));
}

/// A group with fewer cases than the floor shows no number at all, a hidden age never stands alone.
#[test]
fn small_counts_are_hidden_with_their_rates() {
    let ages: Vec<f64> = (0..60).map(|i| f64::from(i % 20)).collect();
    let mut frame = Frame::of(
        &[
            ("age", ages),
            ("year", vec![2000.0; 60]),
            ("kind", (0..60).map(|i| f64::from(u8::from(i < 3))).collect()),
        ],
        "[dictionary.age]\ntype = \"integer\"\nlabel = \"Age\"\n\
         [dictionary.year]\ntype = \"integer\"\nlabel = \"Year\"\n\
         [dictionary.kind]\ntype = \"category\"\nlabel = \"Kind\"\nlevels = [\"0\", \"1\"]\n",
    );
    frame.tables.population = crate::laws::flat_tables().population;
    frame.study.policy.min_cell = 5;
    let options = "[[model]]\nid = \"m\"\nkind = \"incidence_rates\"\nby = \"kind\"\nincidence = { age = \"age\", \
        year = \"year\", ages = [0, 5, 10, 15], age_end = 20, years = [2000, 2000] }\n\
        [[model]]\nid = \"t\"\nkind = \"quality_indicators\"\nindicators = [{ name = \"k\", variable = \"kind\", levels = [\"1\"] }]\n";
    let found = frame.pool(options, &frame.deal(1));
    let rates = found["m"].table("rates").unwrap();
    for r in 0..rates.rows.len() {
        let hidden = rates.text(r, "status") == "SUPPRESSED";
        if rates.text(r, "group") == "1" {
            assert!(hidden || rates.number(r, "cases") == Some(0.0), "{:?}", rates.rows[r]);
        }
        assert!(
            !hidden || (rates.number(r, "cases").is_none() && rates.number(r, "rate").is_none())
        );
    }
    let standardised = found["m"].table("standardised_rates").unwrap();
    let r = row(standardised, &[("group", "1")]);
    assert!(standardised.number(r, "rate").is_none());
    assert!(found["t"].table("indicators").unwrap().number(0, "n_with").is_none());
    // A few others are all cases less those with: they are hidden as well.
    let others = options.replace("[\"1\"]", "[\"0\"]");
    let found = frame.pool(&others, &frame.deal(1));
    let table = found["t"].table("indicators").unwrap();
    assert_eq!((table.number(0, "cases"), table.number(0, "n_with")), (Some(60.0), None));
}

/// Every number of a comparison of two periods, by its definition in R.
#[test]
fn two_periods_compare_as_in_r() {
    let wanted = reference("incidence_reference.csv");
    let options = format!(
        "kind = \"rate_comparison\"\nbetween = \"periods\"\nperiods = [[1950, 1954], [1990, 1994]]\n{ADULTS}"
    );
    let found = over(5, &options);
    let of = |key: &str| wanted[&format!("compare/{key}")];
    let ratios = found.table("rate_ratios").unwrap();
    for (method, key) in [
        ("crude, exact", "exact"),
        ("crude, mid-P", "midp"),
        ("Mantel–Haenszel", "mh"),
        ("standardised, log-normal", "log"),
        ("standardised, test-based", "test"),
        ("standardised, F (Fay)", "fay"),
        ("standardised, F (Tiwari)", "tiwari"),
    ] {
        let r = row(ratios, &[("method", method)]);
        for (column, stat) in
            [("rate_ratio", "ratio"), ("rate_ratio_low", "low"), ("rate_ratio_high", "high")]
        {
            if let Some(w) = wanted.get(&format!("compare/{key}/{stat}")) {
                close(ratios.number(r, column).unwrap(), *w, 1e-8, &format!("{method} {stat}"));
            }
        }
    }
    let differences = found.table("rate_differences").unwrap();
    let r = row(differences, &[("method", "crude, MOVER")]);
    close(differences.number(r, "difference_low").unwrap(), of("mover/low"), 1e-8, "MOVER");
    close(differences.number(r, "difference_high").unwrap(), of("mover/high"), 1e-8, "MOVER");
    let r = row(differences, &[("method", "standardised")]);
    close(differences.number(r, "difference").unwrap(), of("asr/difference"), 1e-8, "difference");
}

#[test]
fn shrinkage_and_overdispersion_equal_their_definitions_in_r() {
    let wanted = reference("incidence_reference.csv");
    let observed = [3.0, 0.0, 12.0, 7.0, 35.0, 24.0, 9.0, 81.0, 18.0, 15.0, 2.0, 30.0];
    let expected = [2.1, 1.4, 8.8, 9.5, 20.3, 44.1, 5.2, 50.6, 21.7, 8.9, 3.3, 27.0];
    let ratio = observed.iter().sum::<f64>() / expected.iter().sum::<f64>();
    let moments = between::shrink_by_moments(&observed, &expected).unwrap();
    close(moments.variance, wanted["shrink/moments/variance"], 1e-10, "variance");
    let likelihood = between::shrink_by_likelihood(&observed, &expected).unwrap();
    close(likelihood.mean, wanted["shrink/ml/mean"], 1e-5, "mean");
    for i in [1, 2, 8] {
        close(moments.ratios[i - 1], wanted[&format!("shrink/moments{i}/ratio")], 1e-10, "moments");
        close(likelihood.ratios[i - 1], wanted[&format!("shrink/ml{i}/ratio")], 1e-5, "likelihood");
    }
    close(
        between::overdispersion(&observed, &expected, ratio),
        wanted["shrink/phi/phi"],
        1e-10,
        "φ",
    );
    let tests = between::homogeneity(&observed, &expected, 999, 1).unwrap();
    close(tests.chi_squared, wanted["shrink/chi/chi2"], 1e-10, "χ²");
    close(tests.potthoff_whittinghill, wanted["shrink/pw/pw"], 1e-10, "Potthoff–Whittinghill");
    // Five cases over two equal sites: all on one side has probability 2 / 2⁵ for either statistic.
    let two = between::homogeneity(&[0.0, 5.0], &[1.0, 1.0], 100_000, 3).unwrap();
    assert!((two.potthoff_whittinghill_p_value - 1.0 / 16.0).abs() < 0.003);
}

/// Seven years have 5,040 permutations: their exact share against random draws.
#[test]
fn permutation_p_values_are_shares_of_all_permutations() {
    let x: Vec<f64> = (0..7).map(f64::from).collect();
    let series = |y: Vec<f64>| Series {
        x: x.clone(),
        response: Response::LogRate { y, weights: vec![1.0; 7] },
    };
    let observed = series(vec![0.10, 0.24, 0.21, 0.42, 0.38, 0.33, 0.36]);
    let rule = Places::default();
    let fits = |s: &Series| [0, 1].map(|k| s.grid(k, rule).unwrap());
    let [null, bent] = fits(&observed);
    let seen = null.loss / bent.loss;
    let Response::LogRate { y, .. } = &observed.response else { unreachable!() };
    let residuals: Vec<f64> = y.iter().zip(&null.fitted).map(|(y, f)| y - f).collect();
    let (mut as_far, mut all) = (0, 0);
    let mut orders = vec![Vec::new()];
    for _ in 0..7 {
        orders = orders
            .into_iter()
            .flat_map(|o: Vec<usize>| {
                (0..7)
                    .filter(|i| !o.contains(i))
                    .map(|i| [&o[..], &[i]].concat())
                    .collect::<Vec<_>>()
            })
            .collect();
    }
    for order in orders {
        let y = order.iter().zip(&null.fitted).map(|(i, f)| f + residuals[*i]).collect();
        let [a, b] = fits(&series(y));
        as_far += usize::from(a.loss >= seen * b.loss * (1.0 - 1e-9));
        all += 1;
    }
    assert_eq!(all, 5040);
    let exact = f64::from(u32::try_from(as_far).unwrap()) / 5040.0;
    let drawn = observed.permutation_p_value([0, 1], rule, 9999, 7160).unwrap();
    assert!((0.02..0.9).contains(&exact), "{exact}");
    assert!((drawn - exact).abs() < 0.02, "{drawn} {exact}");
    // The sequence of tests stops where the next one is not significant.
    let (k, record) = by_permutation(&observed, 1, rule, 0.05, 9999, 7160).unwrap();
    assert_eq!((k, record.len()), (usize::from(drawn <= 0.05), 1));
}

/// Averages over some of the years are the slopes in them, weighted by their length.
#[test]
fn averages_weigh_the_segments_they_cover() {
    let x: Vec<f64> = (0..20).map(f64::from).collect();
    let y =
        x.iter().map(|x| 0.02 * x + 0.04 * (x - 10.0).max(0.0) + 0.001 * (7.0 * x).sin()).collect();
    let series = Series { x, response: Response::LogRate { y, weights: vec![1.0; 20] } };
    let fit = series.fit(&[10.0]);
    let [a, b] = [0, 1].map(|i| fit.slope(i, false));
    assert_eq!(fit.average(2.0, 8.0, false), a);
    assert_eq!(fit.average(10.0, 19.0, false), b);
    let both = fit.average(5.0, 15.0, false);
    close(both.slope, 0.5 * (a.slope + b.slope), 1e-12, "half and half");
    let variance =
        0.25 * (fit.covariance[(0, 0)] + fit.covariance[(1, 1)]) + 0.5 * fit.covariance[(0, 1)];
    close(both.std_error, variance.sqrt(), 1e-12, "its error");
    assert!(both.df.is_infinite());
}

/// Without an effect of sites the regression is `glm` on all counts; sites that are copies of each other have a variance of 0, told as
/// a border with the other coefficients unharmed.
#[test]
fn counts_regress_with_and_without_effects_of_sites() {
    let wanted = reference("incidence_reference.csv");
    let options = |site: &str| format!("kind = \"count_regression\"\nsite = \"{site}\"\n{ADULTS}");
    let none = over(5, &options("none"));
    let table = none.table("coefficients").unwrap();
    let r = row(table, &[("term", "year")]);
    close(table.number(r, "estimate").unwrap(), wanted["trend/poisson/coef"], TOLERANCE, "year");
    close(
        table.number(r, "std_error").unwrap(),
        wanted["trend/poisson/se"],
        TOLERANCE,
        "its error",
    );
    let mut frame = testis(1);
    let rows: Vec<usize> = (0..frame.rows).collect();
    let model = |site: &str| format!("[[model]]\nid = \"m\"\n{}", options(site));
    frame.study.policy.max_rounds = 200;
    let copies =
        frame.pool(&model("random"), &[rows.clone(), rows.clone(), rows]).remove("m").unwrap();
    let variation = copies.table("variation").unwrap();
    assert_eq!(variation.number(0, "estimate"), Some(0.0));
    assert_eq!(variation.text(0, "status"), "BOUNDARY");
    let table = copies.table("coefficients").unwrap();
    let r = row(table, &[("term", "year")]);
    close(table.number(r, "estimate").unwrap(), wanted["trend/poisson/coef"], 1e-6, "year");
    let thrice = wanted["trend/poisson/se"] / 3.0_f64.sqrt();
    close(table.number(r, "std_error").unwrap(), thrice, 1e-6, "its error");
}

/// Counts that vary no more than Poisson ones have no dispersion, and the coefficients of a Poisson fit.
#[test]
fn poisson_counts_have_no_dispersion() {
    let options = |family: &str| {
        format!("kind = \"count_regression\"\nfamily = \"{family}\"\nsite = \"none\"\n{ADULTS}")
    };
    // Cases rounded from a smooth curve vary less than Poisson counts.
    let mut frame = testis(1);
    let time: Vec<f64> = frame.text("person_years").iter().map(|y| y.parse().unwrap()).collect();
    let smooth = time.iter().map(|y| (1e-4 * y).round()).collect();
    let number = |c: &str| frame.text(c).iter().map(|x| x.parse().unwrap()).collect::<Vec<f64>>();
    let columns = [("age", number("age")), ("year", number("year")), ("cases", smooth)];
    let tables = frame.tables.clone();
    frame = Frame::of(&columns, DICTIONARY.split("[dictionary.person_years]").next().unwrap());
    frame.tables = tables;
    let fit = |family: &str| {
        let model = format!("[[model]]\nid = \"m\"\n{}", options(family));
        frame.pool(&model, &frame.deal(1)).remove("m").unwrap()
    };
    let (poisson, binomial) = (fit("poisson"), fit("negative_binomial"));
    assert_eq!(binomial.table("variation").unwrap().text(0, "status"), "BOUNDARY");
    let of = |e: &Estimate, column: &str| {
        let table = e.table("coefficients").unwrap();
        table.number(row(table, &[("term", "year")]), column).unwrap()
    };
    close(of(&binomial, "estimate"), of(&poisson, "estimate"), 1e-7, "year");
    close(of(&binomial, "std_error"), of(&poisson, "std_error"), 1e-7, "its error");
}

/// Own weights are standards like the others; unknown ages are told where they are left out, and spread where they are not; a
/// population whose ages cross those of the analysis says so.
#[test]
fn own_standards_unknown_ages_and_crossing_bands() {
    let adults = "own_standards = [{ name = \"own\", weights = [9, 8, 8, 6, 6, 6, 6] }]\n";
    let found = over(2, &format!("kind = \"incidence_rates\"\n{ADULTS}{adults}"));
    let table = found.table("standardised_rates").unwrap();
    let rate =
        |standard: &str| table.number(row(table, &[("standard", standard)]), "rate").unwrap();
    close(rate("own"), rate("world"), 1e-12, "own weights");
    let dictionary = "[dictionary.age]\ntype = \"integer\"\nlabel = \"Age\"\n\
        [dictionary.year]\ntype = \"integer\"\nlabel = \"Year\"\n";
    let n = 40;
    let ages = (0..n).map(|i| if i < 8 { f64::NAN } else { f64::from(i % 10) }).collect();
    let years = (0..n).map(|i| 2000.0 + f64::from(i % 4)).collect();
    let mut frame = Frame::of(&[("age", ages), ("year", years)], dictionary);
    frame.tables.population = crate::laws::flat_tables().population;
    let cells = "incidence = { age = \"age\", year = \"year\", ages = [0, 5], age_end = 10, years = [2000, 2003] }\n";
    let models = format!(
        "[[model]]\nid = \"r\"\nkind = \"incidence_rates\"\n{cells}[[model]]\nid = \"t\"\nkind = \"rate_trend\"\n{cells}"
    );
    let both = frame.pool(&models, &frame.deal(2));
    let standardised = both["r"].table("standardised_rates").unwrap();
    // 32 of 40 ages are known; 80,000 person-years at each of the two bands of five years, over two sites with the same table.
    let known = |from: i32| (8..40).filter(|i| (from..from + 5).contains(&(i % 10))).count() as f64;
    let [a, b] = [known(0), known(5)].map(|d| 1e6 * d / 80_000.0);
    close(
        standardised.number(0, "rate").unwrap(),
        40.0 / 32.0 * (12.0 * a + 10.0 * b) / 22.0,
        1e-10,
        "T/K",
    );
    let told = |id: &str| both[id].notices.iter().any(|n| n.key == "cases-unknown-age");
    assert!(told("t") && !told("r"));
    let crossing = PopulationCell { sex: None, year: 2000, from: 3, to: 8, person_years: 1.0 };
    frame.tables.population = Some(Arc::new(PersonYears { cells: vec![crossing] }));
    let plan = crate::pooling::plan(&frame.study, &models);
    let model = tributary::models::find("incidence_rates").unwrap();
    let spec = plan.spec.models.iter().find(|m| m.kind == "incidence_rates").unwrap();
    let error = model
        .summarise(&spec.options, &serde_json::Value::Null, &frame.site(&[0]))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("ages 3–7") && error.contains("match `ages` of the analysis"),
        "{error}"
    );
}

/// Nordpred written out with `glm` in R: every base, drift and scale, ages and periods; standard errors by the delta method.
#[test]
fn projections_equal_nordpred_written_out_in_r() {
    let wanted = reference("projection_reference.csv");
    let seen = "incidence = { age = \"age\", year = \"year\", count = \"cases\", years = [1947, 1991], \
        ages = [0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85] }\n";
    let z = 1.959963984540054;
    for (scale, link) in [("fifth_root", "power5"), ("log", "log")] {
        for base in 4..=6 {
            for drift in ["average", "recent"] {
                let options = format!(
                    "kind = \"projection\"\nscale = \"{scale}\"\nbase_periods = [{base}, {base}]\ndrift = \"{drift}\"\n\
                     model_from_age = 20\npopulation = \"constant\"\n{seen}"
                );
                let case = format!("{link} {base} {drift}");
                let of = |key: &str| wanted[&format!("{case}/{key}")];
                for sites in if base == 4 { vec![1, 5] } else { vec![2] } {
                    let estimate = over(sites, &options);
                    let table = |name: &str| estimate.table(name).unwrap();
                    let fit = table("base");
                    for (column, key) in [
                        ("deviance", "fit/deviance"),
                        ("df", "fit/df"),
                        ("p_value", "fit/p"),
                        ("curvature_p_value", "fit/curvature"),
                    ] {
                        close(fit.number(0, column).unwrap(), of(key), 1e-7, &case);
                    }
                    let periods = ["1992–1996", "1997–2001", "2002–2006", "2007–2011", "2012–2016"];
                    for (j, period) in periods.iter().enumerate() {
                        let r = row(table("projection"), &[("period", period), ("age", "all")]);
                        let number = |column| table("projection").number(r, column).unwrap();
                        let cases = of(&format!("{}/cases", j + 1));
                        let se = of(&format!("{}/se_cases", j + 1));
                        close(number("cases"), cases, TOLERANCE, &case);
                        let around = number("cases_high") - number("cases");
                        close(around, z * (se * se + cases).sqrt(), 1e-7, &case);
                        let r = row(table("standardised_rates"), &[("period", period)]);
                        let number =
                            |column| table("standardised_rates").number(r, column).unwrap();
                        close(number("rate"), of(&format!("{}/asr", j + 1)), TOLERANCE, &case);
                        let around = number("conf_high") - number("rate");
                        close(around, z * of(&format!("{}/se_asr", j + 1)), 1e-7, &case);
                    }
                    for (period, age, key) in
                        [("2012–2016", "30–34", "30/rate"), ("1997–2001", "85+", "85/rate")]
                    {
                        let r = row(table("projection"), &[("period", period), ("age", age)]);
                        close(table("projection").number(r, "rate").unwrap(), of(key), 1e-7, age);
                    }
                }
            }
        }
    }
    // The person-years that the table holds for 1992 to 1996, and what is due to them.
    let options = format!(
        "kind = \"projection\"\nbase_periods = [4, 4]\ndrift = \"average\"\nmodel_from_age = 20\ncut_drift = [0]\n{seen}"
    );
    let estimate = over(3, &options);
    let change = estimate.table("change").unwrap();
    let cases = wanted["power5 4 average/1/true_population_cases"];
    close(change.number(0, "cases").unwrap(), cases, TOLERANCE, "forecast");
    let parts = ["by_risk_percent", "by_population_percent"].map(|c| change.number(0, c).unwrap());
    close(parts[0] + parts[1], change.number(0, "change_percent").unwrap(), 1e-10, "parts");
    // The longest base that fits is taken: six periods, whose trend is curved.
    let auto = over(
        2,
        &format!("kind = \"projection\"\nmodel_from_age = 20\npopulation = \"constant\"\n{seen}"),
    );
    let base = auto.table("base").unwrap();
    assert_eq!((base.number(0, "periods"), base.text(0, "drift")), (Some(6.0), "recent"));
}

/// A forecast that the population table does not hold is asked for at the site; nothing is projected of no cases.
#[test]
fn projections_say_what_they_lack() {
    let frame = testis(1);
    let seen = "incidence = { age = \"age\", year = \"year\", count = \"cases\", years = [1947, 1996], ages = [0, 5, 10, 15, 20] }\n";
    let text = format!("[[model]]\nid = \"m\"\nkind = \"projection\"\n{seen}");
    let plan = crate::pooling::plan(&frame.study, &text);
    let spec = plan.spec.models.iter().find(|m| m.id == "m").unwrap();
    let model = tributary::models::find(&spec.kind).unwrap();
    let rows: Vec<usize> = (0..frame.rows).collect();
    let error = model.summarise(&spec.options, &serde_json::Value::Null, &frame.site(&rows));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("no person-years of 1997") && error.contains("constant"), "{error}");
    let none = over(
        1,
        "kind = \"projection\"\npopulation = \"constant\"\nincidence = { age = \"age\", year = \"year\", count = \"cases\", \
         years = [1943, 1957], ages = [5, 10, 15], age_end = 20 }\nbase_periods = [3, 3]\n",
    );
    assert!(none.table("base").unwrap().text(0, "status") != "OK");
    assert_eq!(
        none.table("projection")
            .unwrap()
            .rows
            .iter()
            .flatten()
            .filter(|v| format!("{v:?}").contains("projected"))
            .count(),
        0
    );
}

/// The colorectal patients of relsurv, every seventh lost half-way, in an invented population.
pub fn patients() -> Frame {
    let dictionary = "[dictionary.age_days]\ntype = \"days\"\nlabel = \"Age\"\n\
        [dictionary.date]\ntype = \"date\"\nlabel = \"Diagnosis\"\n\
        [dictionary.sex]\ntype = \"category\"\nlabel = \"Sex\"\nlevels = [\"1\", \"2\"]\n\
        [dictionary.site]\ntype = \"category\"\nlabel = \"Site\"\nlevels = [\"colon\", \"rectum\"]\n";
    let mut frame = Frame::read("colrec.csv", dictionary);
    frame.add("time", |cell| cell("time"), "days");
    frame.add("dead", |cell| cell("dead"), "flag");
    let row = std::cell::Cell::new(0);
    let lost = || {
        row.set(row.get() + 1);
        (row.get() - 1) % 7 == 3
    };
    let half = |cell: &dyn Fn(&str) -> String| {
        let time: i32 = cell("time").parse().unwrap();
        if lost() { (time / 2).to_string() } else { time.to_string() }
    };
    frame.add("followed", half, "days");
    row.set(0);
    frame.add("died", |cell| if lost() { "0".into() } else { cell("dead") }, "flag");
    let people = [[50000.0, 9000.0, 7000.0, 2000.0], [52000.0, 9500.0, 8000.0, 3000.0]];
    let ages = [0, 50, 65, 80, u32::MAX];
    let mut cells = Vec::new();
    for (sex, people) in people.iter().enumerate() {
        for (age, n) in people.iter().enumerate() {
            let (from, to) = (ages[age], ages[age + 1]);
            // Before and after the index day; their mean is the population.
            for (year, share) in [(2000, 0.9), (2001, 1.1)] {
                let person_years = share * n;
                cells.push(PopulationCell { sex: Some(sex), year, from, to, person_years });
            }
        }
    }
    frame.tables =
        SiteTables { population: Some(Arc::new(PersonYears { cells })), ..SiteTables::default() };
    frame
}

pub const ALIVE: &str = "[followup]\ntime = \"followed\"\nevent = \"died\"\nzero = \"as_is\"\n\
    [[model]]\nid = \"m\"\nkind = \"prevalence\"\non = \"2001-07-01\"\ndurations_years = [2, 5]\nby = \"site\"\n\
    population_years = [2000, 2001]\nhorizon_days = 9000\n\
    incidence = { age = \"age_days\", year = \"date\", sex = \"sex\", ages = [0, 50, 65, 80], years = [1994, 2001] }\n";

/// The counting method written out with `survfit`. Each of several sites has its own population.
#[test]
fn prevalence_equals_the_counting_method_in_r() {
    let wanted = reference("prevalence_reference.csv");
    let frame = patients();
    for sites in [1, 2, 5] {
        let estimate = frame.pool(ALIVE, &frame.deal(sites)).remove("m").unwrap();
        let table = estimate.table("prevalence").unwrap();
        let standardised = estimate.table("standardised_prevalence").unwrap();
        let share = sites as f64;
        for site in ["colon", "rectum"] {
            for sex in ["all", "1", "2"] {
                for years in ["2", "5"] {
                    let keys = [("group", site), ("sex", sex), ("duration", years)];
                    for (i, age) in ["all", "0–49", "50–64", "65–79", "80+"].iter().enumerate()
                    {
                        let r = row(table, &[&keys[..], &[("age", *age)]].concat());
                        let of =
                            |stat: &str| wanted.get(&format!("{site} {sex} {years}/{i}/{stat}"));
                        let what = format!("{site} {sex} {years} {age}");
                        assert_eq!(table.text(r, "status"), "OK", "{what}");
                        let number = |column| table.number(r, column).unwrap();
                        close(number("lost"), *of("lost").unwrap(), 1e-12, &what);
                        close(number("prevalent"), *of("prevalent").unwrap(), TOLERANCE, &what);
                        close(number("prevalent_low"), *of("low").unwrap(), TOLERANCE, &what);
                        close(
                            share * number("rate_high"),
                            *of("rate_high").unwrap(),
                            TOLERANCE,
                            &what,
                        );
                    }
                    let r = row(standardised, &keys);
                    let of = |stat: &str| wanted[&format!("{site} {sex} {years}/0/{stat}")];
                    let number = |column| share * standardised.number(r, column).unwrap();
                    close(number("rate"), of("standardised"), TOLERANCE, "standardised");
                    close(number("conf_high"), of("standardised_high"), TOLERANCE, "standardised");
                }
            }
        }
    }
}

/// Nobody lost: limits are Garwood's. Hidden ages are hidden with their shares, and longer durations that hold them too.
#[test]
fn prevalence_of_few_is_hidden_and_without_losses_exact() {
    let mut frame = patients();
    let complete = ALIVE.replace("followed", "time").replace("died", "dead");
    let mut under = |floor: u64| {
        frame.study.policy.min_cell = floor;
        frame.pool(&complete, &frame.deal(2))
    };
    let (open, hidden) = (under(0), under(60));
    let table = open["m"].table("prevalence").unwrap();
    let mut complete = 0;
    for r in 0..table.rows.len() {
        let number = |column| table.number(r, column).unwrap();
        if number("lost") > 0.0 {
            continue;
        }
        complete += 1;
        let wanted = tributary::stats::distribution::garwood(number("prevalent"), 0.95);
        close(number("prevalent_low"), wanted[0], 1e-10, "low");
        close(number("prevalent_high"), wanted[1], 1e-10, "high");
    }
    assert!(complete > 10);
    let found = hidden["m"].table("prevalence").unwrap();
    let mut bullets = 0;
    for r in 0..found.rows.len() {
        let n = table.number(r, "alive").unwrap() + table.number(r, "lost").unwrap();
        if found.text(r, "status") == "SUPPRESSED" {
            bullets += 1;
            assert!(found.number(r, "prevalent").is_none() && found.number(r, "rate").is_none());
        } else {
            assert!(n == 0.0 || n >= 60.0, "{:?} {:?}", found.rows[r], table.rows[r]);
            // A few who were lost are no more told than a few who are there.
            let lost = table.number(r, "lost").unwrap();
            let few = lost > 0.0 && lost < 60.0;
            assert!(
                !few || (found.number(r, "lost").is_none() && found.number(r, "alive").is_none())
            );
        }
    }
    assert!(bullets > 0);
}

/// The Cancer Statistics Review's table by `lm` in R, and the columns of the explorer's table beside each year.
#[test]
fn halves_and_explorer_columns_equal_r() {
    let wanted = reference("incidence_reference.csv");
    let of = |key: &str| wanted[&format!("halves/{key}")];
    let estimate = over(2, &format!("kind = \"rate_trend\"\nhalves = true\n{ADULTS}"));
    let table = estimate.table("halves").unwrap();
    let number = |column| table.number(0, column).unwrap();
    close(number("change_percent"), of("ends/change"), TOLERANCE, "ends");
    for (column, key) in [("percent", "all"), ("first_half", "first"), ("second_half", "second")] {
        let percent = 100.0 * of(&format!("{key}/coef")).exp_m1();
        close(number(column), percent, TOLERANCE, key);
        let star = table.text(0, &format!("{column}_flag")).contains('*');
        assert_eq!(star, of(&format!("{key}/p")) < 0.05, "{key}");
    }
    close(number("halves_p_value"), of("differ/p"), 1e-7, "differ");
    let hash = table.text(0, "second_half_flag").contains('#');
    assert_eq!(hash, of("differ/p") < 0.05);
    let estimate = over(2, &format!("kind = \"joinpoint\"\nscale = \"log_rate\"\n{ADULTS}"));
    let (series, segments) =
        (estimate.table("series").unwrap(), estimate.table("segments").unwrap());
    for r in 0..series.rows.len() {
        let year = series.number(r, "year").unwrap();
        let is = |s: &usize| {
            let from = segments.number(*s, "from_year").unwrap();
            (*s == 0 || from < year) && year <= segments.number(*s, "to_year").unwrap()
        };
        let segment = (0..segments.rows.len()).find(is).unwrap();
        for column in ["percent", "percent_low", "percent_high"] {
            assert_eq!(series.number(r, column), segments.number(segment, column), "{year}");
        }
        assert!(series.number(r, "std_error").unwrap() > 0.0);
    }
}

/// Deaths over cases by group: exact limits as `poisson.test` gives them; no case, no ratio; kinds that no level names are refused.
#[test]
fn deaths_over_cases_have_exact_limits() {
    let kind = |i: usize| if i < 40 { 0.0 } else { 1.0 };
    let mut frame = Frame::of(
        &[
            ("year", (0..50).map(|i| 2000.0 + f64::from(i % 2)).collect()),
            ("kind", (0..50).map(kind).collect()),
        ],
        "[dictionary.year]\ntype = \"integer\"\nlabel = \"Year\"\n\
         [dictionary.kind]\ntype = \"category\"\nlabel = \"Kind\"\nlevels = [\"0\", \"1\", \"2\"]\n",
    );
    let death = |group: &str, deaths: f64, year: i32| DeathCell {
        year,
        sex: None,
        group: Some(group.into()),
        deaths,
    };
    let cells = vec![
        death("0", 12.0, 2000),
        death("0", 3.0, 2001),
        death("1", 0.0, 2000),
        death("2", 2.0, 2000),
        death("0", 99.0, 1999),
    ];
    frame.tables.deaths = Some(Arc::new(cells));
    let options = "[[model]]\nid = \"m\"\nkind = \"quality_indicators\"\nby = \"kind\"\n\
        indicators = [{ name = \"zero\", variable = \"kind\", levels = [\"0\"] }]\nmortality = { year = \"year\", years = [2000, 2001] }\n";
    let found = frame.pool(options, &frame.deal(1));
    let table = found["m"].table("mortality").unwrap();
    close(table.number(0, "mi_ratio").unwrap(), 15.0 / 40.0, 1e-12, "M:I");
    // poisson.test(c(15, 40))$conf.int
    close(table.number(0, "mi_ratio_low").unwrap(), 0.192_434_680_448, 1e-9, "low");
    close(table.number(0, "mi_ratio_high").unwrap(), 0.693_822_839_976, 1e-9, "high");
    assert_eq!(table.text(1, "status"), "ONE_SIDED");
    assert_eq!((table.text(2, "status"), table.number(2, "mi_ratio")), ("NO_EVENTS", None));
    // Every site has its own deaths.
    let twice = frame.pool(options, &frame.deal(2));
    assert_eq!(twice["m"].table("mortality").unwrap().number(0, "deaths"), Some(30.0));
    let plan = crate::pooling::plan(&frame.study, options);
    let spec = plan.spec.models.iter().find(|m| m.id == "m").unwrap();
    let model = tributary::models::find(&spec.kind).unwrap();
    let rows: Vec<usize> = (0..50).collect();
    let unknown = vec![death("9", 1.0, 2000), death("9", 1.0, 2001)];
    let short = vec![death("0", 1.0, 2000)];
    for (cells, wanted) in
        [(Some(unknown), "`9`"), (Some(short), "no line of 2001"), (None, "[tables.deaths]")]
    {
        frame.tables.deaths = cells.map(Arc::new);
        let error = model.summarise(&spec.options, &serde_json::Value::Null, &frame.site(&rows));
        let error = error.unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}");
    }
}

/// Both sexes have a death a year; a case of unknown sex is among all of them.
#[test]
fn indicators_of_each_sex_stand_beside_those_of_both() {
    let sex = |i: i32| if i == 49 { f64::NAN } else { f64::from(1 + i % 2) };
    let mut frame = Frame::of(
        &[
            ("year", (0..50).map(|i| 2000.0 + f64::from(i % 2)).collect()),
            ("sex", (0..50).map(sex).collect()),
            ("kind", (0..50).map(|i| f64::from(u8::from(i < 10))).collect()),
        ],
        "[dictionary.year]\ntype = \"integer\"\nlabel = \"Year\"\n\
         [dictionary.sex]\ntype = \"category\"\nlabel = \"Sex\"\nlevels = [\"1\", \"2\"]\n\
         [dictionary.kind]\ntype = \"category\"\nlabel = \"Kind\"\nlevels = [\"0\", \"1\"]\n",
    );
    let deaths = |sex| [2000, 2001].map(|year| DeathCell { year, sex, group: None, deaths: 1.0 });
    frame.tables.deaths = Some(Arc::new([deaths(Some(0)), deaths(Some(1))].concat()));
    let options = "[[model]]\nid = \"m\"\nkind = \"quality_indicators\"\nsex = \"sex\"\n\
        indicators = [{ name = \"one\", variable = \"kind\", levels = [\"1\"] }]\nmortality = { year = \"year\", years = [2000, 2001] }\n";
    let found = frame.pool(options, &frame.deal(1));
    for (table, columns, wanted) in [
        ("mortality", ["deaths", "cases"], [[4.0, 50.0], [2.0, 25.0], [2.0, 24.0]]),
        ("indicators", ["n_with", "cases"], [[10.0, 50.0], [5.0, 25.0], [5.0, 24.0]]),
    ] {
        let table = found["m"].table(table).unwrap();
        let of = |r: usize| columns.map(|c| table.number(r, c).unwrap());
        assert_eq!([of(0), of(1), of(2)], wanted);
        assert_eq!([0, 1, 2].map(|r| table.text(r, "sex")), ["all", "1", "2"]);
    }
    // The one of unknown sex is not given away by the others.
    frame.study.policy.min_cell = 2;
    let found = frame.pool(options, &frame.deal(1)).remove("m").unwrap();
    let table = found.table("indicators").unwrap();
    let shown = (0..3).filter(|&r| table.number(r, "cases").is_some()).count();
    assert!(shown < 3, "{:?}", table.rows);
    frame.tables.deaths = Some(Arc::new(deaths(None).to_vec()));
    let plan = crate::pooling::plan(&frame.study, options);
    let spec = plan.spec.models.iter().find(|m| m.id == "m").unwrap();
    let model = tributary::models::find(&spec.kind).unwrap();
    let rows: Vec<usize> = (0..50).collect();
    let error = model.summarise(&spec.options, &serde_json::Value::Null, &frame.site(&rows));
    let error = error.unwrap_err().to_string();
    assert!(error.contains("no column `sex`"), "{error}");
}

/// A few cases of unknown age are hidden with one more band, so that the total does not give them away.
#[test]
fn a_few_cases_of_unknown_age_are_not_given_away() {
    let ages = (0..63).map(|i| if i < 60 { f64::from(i % 20) } else { f64::NAN });
    let mut frame = Frame::of(
        &[("age", ages.collect()), ("year", vec![2000.0; 63])],
        "[dictionary.age]\ntype = \"integer\"\nlabel = \"Age\"\n\
         [dictionary.year]\ntype = \"integer\"\nlabel = \"Year\"\n",
    );
    frame.tables.population = crate::laws::flat_tables().population;
    frame.study.policy.min_cell = 5;
    let options = "[[model]]\nid = \"m\"\nkind = \"incidence_rates\"\nincidence = { age = \"age\", year = \"year\", \
        ages = [0, 5, 10, 15], age_end = 20, years = [2000, 2000] }\n";
    let found = frame.pool(options, &frame.deal(1)).remove("m").unwrap();
    assert!(found.table("unknown_age").is_none());
    let rates = found.table("rates").unwrap();
    let shown: f64 = (1..5).filter_map(|r| rates.number(r, "cases")).sum();
    assert!(rates.number(0, "cases").is_none_or(|all| all - shown != 3.0), "{:?}", rates.rows);
    frame.study.policy.min_cell = 3;
    let found = frame.pool(options, &frame.deal(1)).remove("m").unwrap();
    assert_eq!(found.table("unknown_age").unwrap().number(0, "cases"), Some(3.0));
}

/// Empirical quantile limits: brute force in R with its own random numbers, so equal to within the noise of the draws.
#[test]
fn empirical_quantile_limits_equal_brute_force_within_their_noise() {
    let wanted = reference("incidence_reference.csv");
    let of = |key: &str| 100.0 * wanted[&format!("quantile/{key}")].exp_m1();
    let options = |more: &str| {
        format!(
            "kind = \"joinpoint\"\nscale = \"log_rate\"\nmost = 1\nselection = \"bic\"\naverages = [[1943, 1996]]\n{more}{ADULTS}"
        )
    };
    let estimate = over(2, &options("interval = \"empirical_quantile\"\ndraws = 6000\n"));
    let segments = estimate.table("segments").unwrap();
    assert_eq!(segments.rows.len(), 2, "one joinpoint is chosen");
    let averages = estimate.table("averages").unwrap();
    for (table, row, key) in
        [(segments, 0, "first"), (segments, 1, "second"), (averages, 0, "average")]
    {
        let (low, high) = (of(&format!("{key}/low")), of(&format!("{key}/high")));
        for (column, limit) in [("percent_low", low), ("percent_high", high)] {
            let found = table.number(row, column).unwrap();
            // Both limits are quantiles of 6,000 draws: their noise is a few hundredths of the width.
            assert!(
                (found - limit).abs() < 0.08 * (high - low),
                "{key} {column}: {found}, {limit}"
            );
        }
    }
    // The same seed gives the same limits; counts have them too.
    let again = over(5, &options("interval = \"empirical_quantile\"\ndraws = 6000\n"));
    let low = |e: &Estimate| e.table("averages").unwrap().number(0, "percent_low").unwrap();
    close(low(&again), low(&estimate), 1e-9, "seed");
    let counts = over(
        1,
        &format!(
            "kind = \"joinpoint\"\nmost = 1\ninterval = \"empirical_quantile\"\ndraws = 200\n{ADULTS}"
        ),
    );
    let table = counts.table("averages").unwrap();
    let number = |c: &str| table.number(0, c).unwrap();
    assert!(
        number("percent_low") < number("percent") && number("percent") < number("percent_high")
    );
}

/// The comparative table has the numbers of the rates' own model, rounded; where one sex has few cases, no sex is told.
#[test]
fn sites_compare_by_sex_with_rounded_rates() {
    let side = over(1, &format!("kind = \"site_rates\"\ncomparative = true\n{CELLS}"));
    let rates = over(
        1,
        &format!(
            "kind = \"incidence_rates\"\ntruncated = [[0, 85]]\nstandards = [\"world\"]\n{CELLS}"
        ),
    );
    let all = over(1, &format!("kind = \"incidence_rates\"\n{CELLS}"));
    let (table, asr) =
        (side.table("comparative").unwrap(), all.table("standardised_rates").unwrap());
    let row_of = |t: &Table| (0..t.rows.len()).find(|&r| t.text(r, "ages") == "0+").unwrap();
    let wanted = asr.number(row_of(asr), "rate").unwrap();
    assert_eq!(table.number(0, "standardised_rate").unwrap(), (10.0 * wanted).round() / 10.0);
    let error = asr.number(row_of(asr), "std_error").unwrap();
    assert_eq!(table.number(0, "std_error").unwrap(), (100.0 * error).round() / 100.0);
    let risk = rates.table("cumulative").unwrap().number(0, "risk").unwrap();
    assert_eq!(table.number(0, "cumulative_risk").unwrap(), (100.0 * risk).round() / 100.0);
    let mut frame = Frame::of(
        &[
            ("age", (0..63).map(|i| f64::from(i % 20)).collect()),
            ("year", vec![2000.0; 63]),
            ("sex", (0..63).map(|i| if i < 60 { 1.0 } else { 2.0 }).collect()),
        ],
        "[dictionary.age]\ntype = \"integer\"\nlabel = \"Age\"\n\
         [dictionary.year]\ntype = \"integer\"\nlabel = \"Year\"\n\
         [dictionary.sex]\ntype = \"category\"\nlabel = \"Sex\"\nlevels = [\"1\", \"2\"]\n",
    );
    frame.tables.population = crate::laws::flat_tables().population;
    let options = "[[model]]\nid = \"m\"\nkind = \"site_rates\"\ncomparative = true\nincidence = { age = \"age\", year = \"year\", \
        sex = \"sex\", ages = [0, 5, 10, 15], age_end = 20, years = [2000, 2000] }\n";
    for (floor, status) in [(3, "OK"), (5, "SUPPRESSED")] {
        frame.study.policy.min_cell = floor;
        let found = frame.pool(options, &frame.deal(1)).remove("m").unwrap();
        let table = found.table("comparative").unwrap();
        for r in 0..3 {
            assert_eq!(table.text(r, "status"), status, "{floor}");
            assert_eq!(table.number(r, "standardised_rate").is_some(), status == "OK");
        }
    }
}

/// Rows by age, year and sex, with person-years of `sexes` and ages below `top`, a thousand a cell.
pub fn small(rows: &[(f64, f64, f64, f64)], top: u32) -> Frame {
    let column = |f: fn(&(f64, f64, f64, f64)) -> f64| rows.iter().map(f).collect::<Vec<f64>>();
    let mut frame = Frame::of(
        &[
            ("age", column(|r| r.0)),
            ("year", column(|r| r.1)),
            ("sex", column(|r| r.2)),
            ("cases", column(|r| r.3)),
        ],
        "[dictionary.age]\ntype = \"integer\"\nlabel = \"Age\"\n\
         [dictionary.year]\ntype = \"integer\"\nlabel = \"Year\"\n\
         [dictionary.cases]\ntype = \"integer\"\nlabel = \"Cases\"\n\
         [dictionary.sex]\ntype = \"category\"\nlabel = \"Sex\"\nlevels = [\"1\", \"2\"]\n",
    );
    let of = |sex: usize, year: i32| {
        (0..top).map(move |from| PopulationCell {
            sex: Some(sex),
            year,
            from,
            to: from + 1,
            person_years: 1e3,
        })
    };
    let cells = (1990..2010).flat_map(|year| [0, 1].into_iter().flat_map(move |s| of(s, year)));
    frame.tables.population = Some(Arc::new(PersonYears { cells: cells.collect() }));
    frame
}

pub const SMALL: &str =
    "age = \"age\", year = \"year\", count = \"cases\", ages = [0, 5, 10, 15], age_end = 20";

/// A step that goes too far is taken back, and the fit begins near: rates that rise 450-fold over the ages, overdispersed.
#[test]
fn steep_overdispersed_counts_converge_in_few_rounds() {
    let wanted = reference("incidence_reference.csv");
    let mut rows = Vec::new();
    for year in 0..20 {
        for (age, base) in [2.0, 15.0, 120.0, 900.0].into_iter().enumerate() {
            let (age, year) = (age as f64, f64::from(year));
            let cases: f64 = base * (1.5 + (1.7 * year + age).sin());
            rows.push((5.0 * age + 2.0, 1990.0 + year, 1.0, cases.floor()));
        }
    }
    let frame = small(&rows, 20);
    for site in ["fixed", "none"] {
        let options = format!(
            "[[model]]\nid = \"m\"\nkind = \"count_regression\"\nfamily = \"negative_binomial\"\nsite = \"{site}\"\n\
             incidence = {{ {SMALL}, years = [1990, 2009] }}\n"
        );
        let found = frame.pool(&options, &frame.deal(1)).remove("m").unwrap();
        assert_eq!(found.status.word(), "OK");
        for (term, key) in [("age=5–9", "a1"), ("age=15–19", "a3"), ("year", "y")] {
            for (column, stat) in [("estimate", "coef"), ("std_error", "se")] {
                let value = number(&found, "coefficients", &[("term", term)], column);
                // `glm.nb` has standard errors of the expected information, ours are of the observed one.
                let tolerance = if stat == "se" { 2e-2 } else { 1e-6 };
                close(value, wanted[&format!("steep/{key}/{stat}")], tolerance, key);
            }
        }
        let kappa = number(&found, "variation", &[], "estimate");
        close(kappa, wanted["steep/theta/kappa"], 1e-5, "dispersion");
        for stat in ["log_likelihood", "aic"] {
            let value = number(&found, "summary", &[], stat);
            close(value, wanted[&format!("steep/model/{stat}")], 1e-9, stat);
        }
        assert!(found.fit.unwrap().log_likelihood.len() <= 10);
    }
}

#[test]
fn sites_compare_without_cases_of_one_sex_and_without_a_band() {
    let options = format!(
        "[[model]]\nid = \"m\"\nkind = \"site_rates\"\ncomparative = true\nincidence = {{ {SMALL}, sex = \"sex\", years = [2000, 2000] }}\n"
    );
    // Three boys and no girl: the boys are too few, alone and together; that there is no girl may be told.
    let mut frame = small(&[(3.0, 2000.0, 1.0, 3.0)], 20);
    frame.study.policy.min_cell = 5;
    let found = frame.pool(&options, &frame.deal(1)).remove("m").unwrap();
    let table = found.table("comparative").unwrap();
    let status: Vec<&str> = (0..3).map(|r| table.text(r, "status")).collect();
    assert_eq!(status, ["SUPPRESSED", "SUPPRESSED", "OK"]);
    assert_eq!(table.number(2, "standardised_rate"), Some(0.0));
    // Nobody lives at 15 to 19: there is no standardised rate and no risk to 19, but a number of cases.
    let frame = small(&[(3.0, 2000.0, 1.0, 30.0), (4.0, 2000.0, 2.0, 20.0)], 15);
    let found = frame.pool(&options, &frame.deal(1)).remove("m").unwrap();
    let table = found.table("comparative").unwrap();
    assert_eq!((table.text(0, "status"), table.number(0, "cases")), ("NOT_IDENTIFIED", Some(50.0)));
    assert!(table.number(0, "standardised_rate").is_none());
    assert!(table.number(0, "cumulative_risk").is_none());
}

/// Two cases in the first year of an age range are hidden with the change since then.
#[test]
fn a_change_since_a_year_of_few_cases_is_hidden() {
    let years = (1990..2010).map(f64::from);
    let of = |y: f64| {
        let few = if y < 1990.5 { 2.0 } else { 9.0 };
        [(3.0, y, 1.0, few), (17.0, y, 1.0, 40.0)]
    };
    let mut frame = small(&years.flat_map(of).collect::<Vec<_>>(), 20);
    let options = format!(
        "[[model]]\nid = \"m\"\nkind = \"rate_trend\"\nhalves = true\ntruncated = [[0, 15], [0, 20]]\n\
         incidence = {{ {SMALL}, years = [1990, 2009] }}\n"
    );
    frame.study.policy.min_cell = 5;
    let found = frame.pool(&options, &frame.deal(1)).remove("m").unwrap();
    let table = found.table("halves").unwrap();
    assert_eq!(table.text(0, "status"), "SUPPRESSED");
    assert!(table.number(0, "change_percent").is_none() && table.number(0, "percent").is_none());
    frame.study.policy.min_cell = 2;
    let found = frame.pool(&options, &frame.deal(1)).remove("m").unwrap();
    let table = found.table("halves").unwrap();
    close(table.number(0, "change_percent").unwrap(), 350.0, 1e-10, "two to nine");
}

/// A falling trend that goes through zero is projected as none, on the border of what can be said.
#[test]
fn a_projection_through_zero_is_on_the_border() {
    let mut rows = Vec::new();
    for (b, age) in [2.0, 7.0, 12.0, 17.0].into_iter().enumerate() {
        for (p, year) in [1990.0, 1995.0, 2000.0, 2005.0].into_iter().enumerate() {
            let root: f64 = 0.42 + 0.02 * b as f64 - 0.07 * p as f64;
            rows.push((age, year, 1.0, (5e4 * root.powi(5)).round()));
        }
    }
    let frame = small(&rows, 20);
    let options = format!(
        "[[model]]\nid = \"m\"\nkind = \"projection\"\nbase_periods = [4, 4]\nmodel_from_age = 0\npopulation = \"constant\"\n\
         drift = \"average\"\ncut_drift = [0, 0, 0, 0, 0, 0, 0, 0]\nincidence = {{ {SMALL}, years = [1990, 2009] }}\n"
    );
    let found = frame.pool(&options, &frame.deal(1)).remove("m").unwrap();
    let table = found.table("standardised_rates").unwrap();
    let status = |r: usize| table.text(r, "status");
    assert_eq!((status(4), status(table.rows.len() - 1)), ("OK", "BOUNDARY"), "{:?}", table.rows);
}

/// A site without a population has no share to add to; people lost who would outlive all follow-up are told.
#[test]
fn prevalence_tells_whom_it_leaves_out_and_whom_it_extrapolates() {
    let mut frame = patients();
    let parts = frame.deal(2);
    let alone = frame.pool(ALIVE, &parts[..1]).remove("m").unwrap();
    let plan = crate::pooling::plan(&frame.study, ALIVE);
    let site = |i: usize| tributary::summary::SiteId::new(&format!("S{i}")).unwrap();
    let first = (site(0), frame.site(&parts[0]));
    frame.tables = SiteTables::default();
    let second = (site(1), frame.site(&parts[1]));
    let open = tributary::summary::Policy::open();
    let run = crate::pooling::run(&plan, &[first, second], &open).0;
    let found = &crate::pooling::estimates(&run)["m"];
    let key = |key: &str| found.notices.iter().any(|n| n.key == key);
    assert!(key("people-without-population") && !key("people-beyond-followup"));
    // Only the survival of those lost is that of both sites.
    let (a, b) = (alone.table("prevalence").unwrap(), found.table("prevalence").unwrap());
    for r in 0..a.rows.len() {
        for column in ["alive", "lost", "population"] {
            assert_eq!(a.number(r, column), b.number(r, column), "{column}");
        }
    }
    // Everybody lost on the first day: nobody tells how the others went on.
    let mut frame = patients();
    frame.add("gone", |_| "1".into(), "days");
    frame.add("dies", |_| "0".into(), "flag");
    let gone = ALIVE.replace("followed", "gone").replace("died", "dies");
    let found = frame.pool(&gone, &frame.deal(2)).remove("m").unwrap();
    assert!(found.notices.iter().any(|n| n.key == "people-beyond-followup"));
    assert_eq!(found.status.word(), "EXTRAPOLATED");
}
