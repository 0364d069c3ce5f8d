//! Cases and populations that the models of incidence and prevalence are tested on: testicular cancer in Denmark, colorectal cancer in
//! an invented population, and tables written out by hand.

use std::sync::Arc;

use tributary::{
    cohort::{PersonYears, PopulationCell, SiteTables},
    estimate::{Estimate, Table},
};

use crate::pooling::Frame;

pub const TOLERANCE: f64 = 1e-8;

pub const DICTIONARY: &str = "[dictionary.age]\ntype = \"integer\"\nlabel = \"Age\"\nunit = \"years\"\n\
    [dictionary.year]\ntype = \"integer\"\nlabel = \"Year\"\n\
    [dictionary.cases]\ntype = \"integer\"\nlabel = \"Cases\"\n\
    [dictionary.person_years]\ntype = \"real\"\nlabel = \"Person-years\"\n";

/// Counts of testicular cancer in Denmark, and the population of one of `sites` equal parts of it.
pub fn testis(sites: usize) -> Frame {
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

pub fn over(sites: usize, options: &str) -> Estimate {
    let frame = testis(sites);
    frame
        .pool(&format!("[[model]]\nid = \"m\"\n{options}"), &frame.deal(sites))
        .remove("m")
        .unwrap()
}

pub fn row(table: &Table, wanted: &[(&str, &str)]) -> usize {
    let is = |r: &usize| {
        wanted.iter().all(|(column, value)| {
            let shown = table.number(*r, column).map(|x| x.to_string());
            table.text(*r, column) == *value || shown.as_deref() == Some(value)
        })
    };
    (0..table.rows.len()).find(is).unwrap_or_else(|| panic!("{}: no row {wanted:?}", table.name))
}

pub const CELLS: &str = "incidence = { age = \"age\", year = \"year\", count = \"cases\", years = [1943, 1996], \
    ages = [0, 5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60, 65, 70, 75, 80, 85] }\n";

/// Ages 15 to 49.
pub const ADULTS: &str = "incidence = { age = \"age\", year = \"year\", count = \"cases\", years = [1943, 1996], \
    ages = [15, 20, 25, 30, 35, 40, 45], age_end = 50 }\n";

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
