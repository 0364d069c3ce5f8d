//! Incidence rates against R: crude, by age, standardised, cumulative; what is hidden, and cases of unknown age.

use std::sync::Arc;

use tributary::cohort::{PersonYears, PopulationCell};

use crate::{
    incidence_data::{ADULTS, CELLS, TOLERANCE, over, row},
    pooling::{Frame, close, reference},
};

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
