//! Sites side by side: expected cases, heterogeneity, shrinkage, and the comparative table.

use tributary::{cohort::SiteTables, estimate::Table, stats::between};

use crate::{
    incidence_data::{ADULTS, CELLS, SMALL, over, row, small, testis},
    pooling::{Frame, close, reference},
};

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
