//! Rate ratios and differences of two groups or periods, against R and a published table.

use std::sync::Arc;

use tributary::cohort::{PersonYears, PopulationCell};

use crate::{
    incidence_data::{ADULTS, over, row},
    pooling::{Frame, close, reference},
};

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
