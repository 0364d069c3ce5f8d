//! Trends of rates against R, by every estimator.

use tributary::stats::trend;

use crate::{
    incidence_data::{ADULTS, SMALL, TOLERANCE, over, row, small},
    pooling::{close, reference},
};

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
