//! One way for all regressions: a term whose column is empty, constant or a combination of others is dropped and named, the rest is
//! that of the model without it; of a level without events that level alone has no number.

use std::sync::Arc;

use tributary::{
    cohort::{PersonYears, PopulationCell, SiteData},
    estimate::{Estimate, Status, Value},
    spec::Study,
    summary::SiteId,
};

use crate::{
    pooling::{Frame, close, csv, estimates, number, plan, reference, run},
    survival_oracles::lung,
};

const DICTIONARY: &str = "[dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 1100]\n\
    [dictionary.event]\ntype = \"flag\"\nlabel = \"Death\"\n\
    [dictionary.end]\ntype = \"category\"\nlabel = \"End\"\nlevels = [\"0\", \"1\", \"2\"]\n\
    [dictionary.age]\ntype = \"real\"\nlabel = \"Age\"\n\
    [dictionary.y]\ntype = \"real\"\nlabel = \"Twice the age\"\n\
    [dictionary.k]\ntype = \"real\"\nlabel = \"Constant\"\n\
    [dictionary.f]\ntype = \"flag\"\nlabel = \"Always\"\n\
    [dictionary.g]\ntype = \"category\"\nlabel = \"g\"\nlevels = [\"1\", \"2\", \"9\"]\n\
    [dictionary.h]\ntype = \"category\"\nlabel = \"h\"\nlevels = [\"1\", \"2\"]\n";

/// The lung patients, and so many more of level 9 that are followed to the end without an event.
fn frame(more: usize) -> Frame {
    let lung = lung();
    let read =
        |name: &str| lung.text(name).iter().map(|c| c.parse::<f64>().unwrap()).collect::<Vec<_>>();
    let with = |mut column: Vec<f64>, value: f64| {
        column.extend(std::iter::repeat_n(value, more));
        column
    };
    let (age, sex) = (with(read("age"), 60.0), with(read("sex"), 9.0));
    let columns = [
        ("time", with(read("time"), 1000.0)),
        ("event", with(read("event"), 0.0)),
        ("end", with(read("event"), 0.0)),
        ("y", age.iter().map(|a| 2.0 * a + 1.0).collect()),
        ("k", vec![3.0; age.len()]),
        ("f", vec![1.0; age.len()]),
        ("h", sex.iter().map(|g| if *g == 9.0 { 1.0 } else { *g }).collect()),
        ("g", sex),
        ("age", age),
    ];
    Frame::of(&columns, DICTIONARY)
}

fn fit(frame: &Frame, options: &str) -> Estimate {
    let model =
        format!("[followup]\ntime = \"time\"\nevent = \"event\"\n[[model]]\nid = \"m\"\n{options}");
    frame.pool(&model, &frame.deal(3)).remove("m").unwrap()
}

const KINDS: [&str; 10] = [
    "kind = \"cox\"\n",
    "kind = \"cox\"\nbaseline = \"common\"\n",
    "kind = \"penalised_cox\"\n",
    "kind = \"penalised_cox\"\npenalty = \"ridge\"\nlambda = 2\n",
    "kind = \"fine_gray\"\ncause = \"1\"\ncompeting = [\"2\"]\nfollowup = { time = \"time\", event = \"end\" }\n",
    "kind = \"parametric\"\ndistribution = \"weibull\"\n",
    "kind = \"parametric\"\ndistribution = \"log-normal\"\n",
    "kind = \"royston_parmar\"\nknots = 1\n",
    "kind = \"cox_patterns\"\n",
    "kind = \"poisson\"\nbands_years = [1, 3]\n",
];

#[test]
fn a_column_that_says_nothing_new_is_dropped_by_name_and_the_rest_stays() {
    let frame = frame(0);
    let poisson = KINDS[KINDS.len() - 1];
    let each = KINDS.map(|kind| (kind, kind.contains("patterns"))).into_iter();
    // Where every covariate has levels, rates are fitted in one round.
    for (kind, levels_only) in each.chain([(poisson, true)]) {
        let (all, few, dropped): (_, _, &[&str]) = if levels_only {
            ("[\"g\", \"f\"]", "[\"h\"]", &["g=9", "f=1"])
        } else {
            ("[\"g\", \"k\", \"age\", \"y\"]", "[\"h\", \"age\"]", &["g=9", "k", "y"])
        };
        let wanted = fit(&frame, &format!("{kind}covariates = {few}\n"));
        let found = fit(&frame, &format!("{kind}covariates = {all}\n"));
        let terms: &[(&str, &str)] =
            if levels_only { &[("g=2", "h=2")] } else { &[("g=2", "h=2"), ("age", "age")] };
        for (ours, theirs) in terms {
            for column in ["estimate", "std_error"] {
                let wanted = number(&wanted, "terms", &[("term", theirs)], column);
                let found = number(&found, "terms", &[("term", ours)], column);
                close(found, wanted, 1e-7, &format!("{kind} {ours} {column}"));
            }
        }
        assert_eq!(found.status, Status::NotIdentified, "{kind}");
        let notice = found.notices.iter().find(|n| n.key == "terms-dropped").unwrap();
        let told = format!("{notice:?}");
        for name in dropped {
            let table = found.table("terms").unwrap();
            let row = table.find("term", name).unwrap();
            assert_eq!(table.text(row, "status"), "NOT_IDENTIFIED", "{kind} {name}");
            assert!(told.contains(name), "{kind} {told}");
        }
    }
}

/// A level without events has rate 0: the other terms are those of the patients without that level.
#[test]
fn of_a_level_without_events_that_level_alone_has_no_number() {
    let (plain, more) = (frame(0), frame(20));
    for (kind, intercept) in [
        ("kind = \"parametric\"\ndistribution = \"weibull\"\n", "(Intercept)"),
        ("kind = \"parametric\"\ndistribution = \"exponential\"\n", "(Intercept)"),
        ("kind = \"royston_parmar\"\nknots = 1\n", "gamma0"),
        ("kind = \"poisson\"\nbands_years = [1, 3]\n", "1–3 years"),
    ] {
        let wanted = fit(&plain, &format!("{kind}covariates = [\"h\", \"age\"]\n"));
        let found = fit(&more, &format!("{kind}covariates = [\"g\", \"age\"]\n"));
        assert_eq!(found.status, Status::Monotone, "{kind}");
        for (ours, theirs) in [("g=2", "h=2"), ("age", "age"), (intercept, intercept)] {
            for column in ["estimate", "std_error"] {
                let wanted = number(&wanted, "terms", &[("term", theirs)], column);
                let found = number(&found, "terms", &[("term", ours)], column);
                close(found, wanted, 1e-5, &format!("{kind} {ours} {column}"));
            }
        }
        let table = found.table("terms").unwrap();
        let row = table.find("term", "g=9").unwrap();
        assert_eq!(table.cell(row, "estimate"), &Value::None, "{kind}");
        let monotone: Vec<_> =
            (0..table.rows.len()).filter(|&r| table.text(r, "status") == "MONOTONE").collect();
        assert_eq!(monotone, [row], "{kind}");
    }
}

/// Counts of three sites in cells that leave a column empty, constant or a combination of others; each site has its own population.
fn counts(case: &str) -> (Study, Vec<(SiteId, SiteData)>) {
    let (head, rows) = csv("dropped_counts.csv");
    let dictionary = "[dictionary.age]\ntype = \"integer\"\nlabel = \"Age\"\n\
        [dictionary.year]\ntype = \"integer\"\nlabel = \"Year\"\n\
        [dictionary.cases]\ntype = \"integer\"\nlabel = \"Cases\"\n\
        [dictionary.sex]\ntype = \"category\"\nlabel = \"Sex\"\nlevels = [\"1\", \"2\"]\n";
    let place = |name: &str| head.iter().position(|h| h == name).unwrap();
    let of = |row: &[String], name: &str| row[place(name)].parse::<f64>().unwrap();
    let frame_of = |site: &str| {
        let own = rows.iter().filter(|r| r[place("case")] == case && r[place("site")] == site);
        let own: Vec<&Vec<String>> = own.collect();
        let column = |name: &'static str| (name, own.iter().map(|r| of(r, name)).collect());
        let mut frame = Frame::of(&["age", "year", "sex", "cases"].map(column), dictionary);
        let cell = |row: &&Vec<String>| PopulationCell {
            sex: Some(of(row, "sex") as usize - 1),
            year: of(row, "year") as i32,
            from: of(row, "age") as u32,
            to: of(row, "age") as u32 + 5,
            person_years: of(row, "person_years"),
        };
        let cells = own.iter().map(cell).collect();
        frame.tables.population = Some(Arc::new(PersonYears { cells }));
        frame
    };
    let frames =
        ["1", "2", "3"].map(|site| (SiteId::new(&format!("S{site}")).unwrap(), frame_of(site)));
    let data = |(id, frame): &(SiteId, Frame)| {
        (id.clone(), frame.site(&(0..frame.rows).collect::<Vec<_>>()))
    };
    (frames[0].1.study.clone(), frames.iter().map(data).collect())
}

/// `glm`, `MASS::glm.nb` and `lme4::glmer` on the columns that `glm` keeps.
#[test]
fn counts_drop_the_columns_that_glm_drops() {
    let oracle = reference("dropped_counts_reference.csv");
    let terms = [
        ("(Intercept)", "(Intercept)"),
        ("age=5–9", "age5"),
        ("age=10–14", "age10"),
        ("age=15–19", "age15"),
        ("sex=2", "sex2"),
        ("year", "year"),
    ];
    for case in ["empty", "reference", "constant", "collinear", "sites"] {
        let (study, sites) = counts(case);
        for (family, site) in [
            ("poisson", "none"),
            ("poisson", "fixed"),
            ("poisson", "random"),
            ("negative_binomial", "none"),
            ("negative_binomial", "fixed"),
        ] {
            let model = format!("{family}-{site}");
            let key = |term: &str, stat: &str| format!("{case}/{model}/{term}/{stat}");
            if !oracle.keys().any(|k| k.starts_with(&format!("{case}/{model}/"))) {
                continue;
            }
            let options = format!(
                "[[model]]\nid = \"m\"\nkind = \"count_regression\"\nfamily = \"{family}\"\nsite = \"{site}\"\nincidence = {{ age = \"age\", \
                 year = \"year\", count = \"cases\", sex = \"sex\", ages = [0, 5, 10, 15], age_end = 20, years = [2000, 2003] }}\n"
            );
            let plan = plan(&study, &options);
            let found = estimates(&run(&plan, &sites, &plan.study.policy).0).remove("m").unwrap();
            let table = found.table("coefficients").unwrap();
            let told = format!("{:?}", found.notices.iter().find(|n| n.key == "terms-dropped"));
            for (term, name) in terms {
                let Some(row) = table.find("term", term) else { continue };
                let drops = if site == "fixed" { "fixed" } else { "none" };
                if oracle.contains_key(&format!("{case}/{drops}/{name}/dropped")) {
                    assert_eq!(table.text(row, "status"), "NOT_IDENTIFIED", "{}", key(name, ""));
                    assert_eq!(table.cell(row, "estimate"), &Value::None, "{}", key(name, ""));
                    assert!(told.contains(term), "{} {told}", key(name, ""));
                    continue;
                }
                for (column, stat) in [("estimate", "coef"), ("std_error", "se")] {
                    // `glm.nb` has standard errors of the expected information, `glmer` numerical derivatives.
                    let tolerance = match (family, site, stat) {
                        ("poisson", "none" | "fixed", _) => 1e-8,
                        ("poisson", _, _) => 2e-3,
                        (_, _, "coef") => 1e-5,
                        _ => 0.2,
                    };
                    let value = number(&found, "coefficients", &[("term", term)], column);
                    close(value, oracle[&key(name, stat)], tolerance, &key(name, stat));
                }
            }
            if site != "random" {
                let value = number(&found, "summary", &[], "log_likelihood");
                let wanted = key("model", "log_likelihood");
                close(value, oracle[&wanted], 1e-9, &wanted);
            }
            if family == "negative_binomial" {
                let kappa = number(&found, "variation", &[], "estimate");
                close(kappa, oracle[&key("model", "kappa")], 1e-5, &key("model", "kappa"));
            }
        }
    }
}
