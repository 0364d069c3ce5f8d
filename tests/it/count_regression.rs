//! Regression of counts against R: Poisson and negative binomial, with and without effects of sites.

use tributary::{
    estimate::Estimate,
    stats::{
        likelihood::Derivatives,
        negative_binomial,
        newton::{Evaluation, Next, newton},
        poisson::Cell,
        site_counts::{SiteEffect, site_derivatives},
    },
};

use crate::{
    incidence_data::{ADULTS, DICTIONARY, SMALL, TOLERANCE, over, row, small, testis},
    pooling::{Frame, close, csv, number, reference},
};

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
