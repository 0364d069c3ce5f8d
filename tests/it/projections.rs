//! Projections against Nordpred written out in R.

use crate::{
    incidence_data::{SMALL, TOLERANCE, over, row, small, testis},
    pooling::{close, reference},
};

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
