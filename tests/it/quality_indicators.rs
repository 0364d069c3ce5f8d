//! Indicators of data quality, and deaths over cases.

use std::sync::Arc;

use tributary::cohort::DeathCell;

use crate::pooling::{Frame, close};

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
