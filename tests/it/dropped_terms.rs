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
    competing::mgus2,
    net_survival::rdata,
    pooling::{Frame, close, csv, estimates, number, plan, reference, run},
    survival_oracles::lung,
};

const DICTIONARY: &str = "[dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 9000]\n\
    [dictionary.event]\ntype = \"flag\"\nlabel = \"Death\"\n\
    [dictionary.end]\ntype = \"category\"\nlabel = \"End\"\nlevels = [\"0\", \"1\", \"2\"]\n\
    [dictionary.age]\ntype = \"real\"\nlabel = \"Age\"\n\
    [dictionary.days]\ntype = \"days\"\nlabel = \"Age, days\"\n\
    [dictionary.date]\ntype = \"date\"\nlabel = \"Diagnosis\"\n\
    [dictionary.y]\ntype = \"real\"\nlabel = \"Twice the age\"\n\
    [dictionary.k]\ntype = \"real\"\nlabel = \"Constant\"\n\
    [dictionary.f]\ntype = \"flag\"\nlabel = \"Always\"\n\
    [dictionary.g]\ntype = \"category\"\nlabel = \"g\"\nlevels = [\"1\", \"2\", \"9\"]\n\
    [dictionary.h]\ntype = \"category\"\nlabel = \"h\"\nlevels = [\"1\", \"2\"]\n";

const FLAG: &str = "[dictionary.event]\ntype = \"flag\"\nlabel = \"Relapse or death\"\n";

/// The lung patients, for a model of cure those of `gbsg`, for one of excess hazards those of `rdata`; and so many more of level 9 that
/// are followed for a thousand days without an event.
fn frame(kind: &str, more: usize) -> Frame {
    let (source, [event, group]) = match () {
        () if kind.contains("cure") => (Frame::read("gbsg.csv", FLAG), ["event", "hormon"]),
        () if kind.contains("excess_hazard") => (rdata(), ["dead", "sex"]),
        () => (lung(), ["event", "sex"]),
    };
    let read = |name: &str, beside: f64| {
        let cells = source.text(name).iter().map(|c| c.parse().unwrap());
        cells.chain(std::iter::repeat_n(beside, more)).collect::<Vec<f64>>()
    };
    let group = read(group, 9.0);
    let first = group.iter().copied().fold(f64::INFINITY, f64::min);
    let group: Vec<f64> =
        group.iter().map(|g| if *g == 9.0 { 9.0 } else { g - first + 1.0 }).collect();
    let days = if kind.contains("excess_hazard") {
        read("age_days", 22_000.0)
    } else {
        vec![0.0; group.len()]
    };
    let date = if kind.contains("excess_hazard") { read("date", 4500.0) } else { days.clone() };
    let age = if kind.contains("excess_hazard") {
        days.iter().map(|d| (d / 365.25).floor()).collect()
    } else {
        read("age", 60.0)
    };
    let columns = [
        ("time", read("time", 1000.0)),
        ("event", read(event, 0.0)),
        ("end", read(event, 0.0)),
        ("y", age.iter().map(|a| 2.0 * a + 1.0).collect()),
        ("k", vec![3.0; age.len()]),
        ("f", vec![1.0; age.len()]),
        ("h", group.iter().map(|g| if *g == 9.0 { 1.0 } else { *g }).collect()),
        ("g", group),
        ("age", age),
        ("days", days),
        ("date", date),
    ];
    let mut frame = Frame::of(&columns, DICTIONARY);
    frame.tables = source.tables;
    frame
}

fn fit(frame: &Frame, options: &str) -> Estimate {
    let model =
        format!("[followup]\ntime = \"time\"\nevent = \"event\"\n[[model]]\nid = \"m\"\n{options}");
    frame.pool(&model, &frame.deal(3)).remove("m").unwrap()
}

const CURE: &str = "kind = \"cure\"\nwithout_gate = true\n";
const EXCESS: &str = "kind = \"excess_hazard\"\nbands_years = [1, 3, 5]\nbackground = { sex = \"h\", age = \"days\", date = \"date\" }\n";

const KINDS: [&str; 12] = [
    "kind = \"cox\"\n",
    "kind = \"cox\"\nbaseline = \"common\"\n",
    "kind = \"penalised_cox\"\n",
    "kind = \"penalised_cox\"\npenalty = \"ridge\"\nlambda = 2\n",
    "kind = \"fine_gray\"\ncause = \"1\"\ncompeting = [\"2\"]\nfollowup = { time = \"time\", event = \"end\" }\n",
    "kind = \"parametric\"\ndistribution = \"weibull\"\n",
    "kind = \"parametric\"\ndistribution = \"log-normal\"\n",
    "kind = \"royston_parmar\"\nknots = 1\n",
    CURE,
    EXCESS,
    "kind = \"cox_patterns\"\n",
    "kind = \"poisson\"\nbands_years = [1, 3]\n",
];

#[test]
fn a_column_that_says_nothing_new_is_dropped_by_name_and_the_rest_stays() {
    let poisson = KINDS[KINDS.len() - 1];
    let each = KINDS.map(|kind| (kind, kind.contains("patterns"))).into_iter();
    // Where every covariate has levels, rates are fitted in one round.
    for (kind, levels_only) in each.chain([(poisson, true)]) {
        let (all, few, dropped): (_, _, &[&str]) = if levels_only {
            ("[\"g\", \"f\"]", "[\"h\"]", &["g=9", "f=1"])
        } else {
            ("[\"g\", \"k\", \"age\", \"y\"]", "[\"h\", \"age\"]", &["g=9", "k", "y"])
        };
        let frame = frame(kind, 0);
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

/// A level without events has rate 0, and all of it are cured: the other terms, and what is predicted of patients of other levels, are
/// those of the patients without that level. Which level is the reference changes no prediction.
#[test]
fn of_a_level_without_events_that_level_alone_has_no_number() {
    for (kind, intercept) in [
        ("kind = \"parametric\"\ndistribution = \"weibull\"\n", "(Intercept)"),
        ("kind = \"parametric\"\ndistribution = \"exponential\"\n", "(Intercept)"),
        ("kind = \"parametric\"\ndistribution = \"log-normal\"\n", "(Intercept)"),
        ("kind = \"royston_parmar\"\nknots = 1\n", "gamma0"),
        (CURE, "latency: location"),
        (EXCESS, "1–3 years"),
        ("kind = \"poisson\"\nbands_years = [1, 3]\n", "1–3 years"),
    ] {
        let predicts = !kind.contains("poisson") && !kind.contains("excess");
        let model = |level: &str, others: &str| {
            let patient = |value: &str| {
                format!("{{ name = \"{value}\", values = {{ {level} = \"{value}\", age = 60 }} }}")
            };
            let patients = [["1", "2"].map(patient).join(", "), others.to_owned()].join(", ");
            let predicted = format!("times_years = [1, 2]\npatients = [{patients}]\n");
            let predicted = if predicts { predicted } else { String::new() };
            format!("{kind}covariates = [\"{level}\", \"age\"]\n{predicted}")
        };
        let nine = "{ name = \"9\", values = { g = \"9\", age = 60 } }";
        let wanted = fit(&frame(kind, 0), &model("h", ""));
        let more = frame(kind, 20);
        let found = fit(&more, &model("g", nine));
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
        let other = fit(&more, &format!("{}reference = {{ g = \"9\" }}\n", model("g", nine)));
        for (found, reference) in [(&found, "1"), (&other, "9")] {
            same_predictions(found, &wanted, &format!("{kind} against {reference}"), reference);
        }
    }
}

/// Tables of predictions: rows of level 9 have none, the others are those wanted. The curve at covariates of 0 is of the reference.
fn same_predictions(found: &Estimate, wanted: &Estimate, what: &str, reference: &str) {
    for name in ["predicted", "cured", "excess_hazard"] {
        let Some(table) = found.table(name) else {
            assert!(wanted.table(name).is_none(), "{what} {name}");
            continue;
        };
        let mut at = 0;
        for row in 0..table.rows.len() {
            let is_of_nine = if name == "excess_hazard" {
                reference == "9"
            } else {
                table.text(row, "patient") == "9"
            };
            if is_of_nine {
                assert_eq!(table.text(row, "status"), "MONOTONE", "{what} {name}");
                assert_eq!(table.number(row, "estimate"), None, "{what} {name}");
                assert_eq!(table.number(row, "conf_low"), None, "{what} {name}");
                continue;
            }
            for column in ["estimate", "std_error", "conf_low", "conf_high"] {
                let wanted = wanted.table(name).unwrap().number(at, column).unwrap();
                let told = format!("{what} {name} {row} {column}");
                close(table.number(row, column).expect(&told), wanted, 1e-5, &told);
            }
            at += 1;
        }
    }
}

/// Against the limit of the partial likelihood (tests/reference/monotone.R): thirty patients of a level of whom none has the event, some
/// have the competing one and some are censored, or of whom all have it before everybody else.
#[test]
fn of_a_monotone_level_fine_and_gray_keep_the_other_terms() {
    let oracle = reference("monotone_reference.csv");
    let m = mgus2();
    let read = |name: &str| m.text(name).iter().map(|c| c.parse::<f64>().unwrap());
    let sexes = || m.text("sex").iter().map(|s| if s == "M" { 2.0 } else { 1.0 });
    let rare = || (1..=30).map(f64::from);
    for place in ["never", "first"] {
        let never = place == "never";
        let time = rare().map(|i| if never { 10.0 * i } else { i });
        let end = rare().map(|i| match (never, i % 2.0 == 0.0) {
            (false, _) => 1.0,
            (true, is_even) => {
                if is_even {
                    2.0
                } else {
                    0.0
                }
            }
        });
        let frame = Frame::of(
            &[
                ("time", read("time").map(|t| t + 30.0).chain(time).collect()),
                ("end", read("cause").chain(end).collect()),
                ("age", read("age").chain(rare().map(|i| 60.0 + i % 7.0)).collect()),
                ("g", sexes().chain(rare().map(|_| 9.0)).collect()),
            ],
            "[dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nrange = [0, 460]\n\
             [dictionary.end]\ntype = \"category\"\nlabel = \"End\"\nlevels = [\"0\", \"1\", \"2\"]\n\
             [dictionary.age]\ntype = \"real\"\nlabel = \"Age\"\n\
             [dictionary.g]\ntype = \"category\"\nlabel = \"g\"\nlevels = [\"1\", \"2\", \"9\"]\n",
        );
        let model = "[[model]]\nid = \"m\"\nkind = \"fine_gray\"\ncause = \"1\"\ncompeting = [\"2\"]\ncovariates = [\"age\", \"g\"]\n\
            followup = { time = \"time\", event = \"end\", zero = \"as_is\" }\n";
        for sites in [1, 4] {
            let found = frame.pool(model, &frame.deal(sites)).remove("m").unwrap();
            assert_eq!(found.status, Status::Monotone, "{place}");
            let table = found.table("terms").unwrap();
            let row = table.find("term", "g=9").unwrap();
            assert_eq!(table.text(row, "status"), "MONOTONE", "{place}");
            assert_eq!(table.cell(row, "estimate"), &Value::None, "{place}");
            for (term, name) in [("age", "age"), ("g=2", "male")] {
                for (column, stat, tolerance) in
                    [("estimate", "coef", 1e-5), ("std_error", "se", 1e-5)]
                {
                    let key = format!("{place}/{name}/{stat}");
                    let value = number(&found, "terms", &[("term", term)], column);
                    close(value, oracle[&key], tolerance, &key);
                }
            }
        }
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
