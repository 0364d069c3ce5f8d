//! Every question falls on the grain of the dictionary, whichever model asks it.

use std::{collections::BTreeSet, fs, process::Command};

use serde_json::Value;
use tributary::{
    models::MODELS,
    plan::Plan,
    spec::{DataKind, Grain, GrainWord, Study, VariableKind},
};

use crate::{
    options::{HEAD, all_of, more_of, places, with_here},
    pooling::path,
    wilms::study,
};

const WILMS: &str = "analyses/wilms/study.toml";

fn told(text: &str, study: Study) -> String {
    Plan::check("a.toml", text, study).err().map_or_else(String::new, |faults| faults.to_string())
}

fn of_population(population: &str, study: Study) -> String {
    let model = "[[model]]\nid = \"m\"\nkind = \"participation\"\n";
    told(&format!("{HEAD}[population]\n{population}\n{model}"), study)
}

/// The Wilms study with another text in its file.
fn edited(from: &str, to: &str) -> Result<Study, String> {
    let text = fs::read_to_string(path(WILMS)).unwrap();
    assert!(text.contains(from), "{from}");
    Study::parse("study.toml", &text.replacen(from, to, 1)).map_err(|faults| faults.to_string())
}

/// The Wilms study in which one variable has another grain.
fn with_grain(name: &str, grain: &str) -> Study {
    let text = fs::read_to_string(path(WILMS)).unwrap();
    let mut file: toml::Table = text.parse().unwrap();
    let grain: toml::Table = format!("grain = {grain}").parse().unwrap();
    let variable = file["dictionary"][name].as_table_mut().unwrap();
    variable.insert("grain".into(), grain["grain"].clone());
    Study::parse("study.toml", &file.to_string()).unwrap_or_else(|faults| panic!("{faults}"))
}

#[test]
fn a_condition_off_the_grain_is_told_with_the_nearest_ones() {
    let of =
        |condition: &str, study: Study| of_population(&format!("where = \"{condition}\""), study);
    let off = [
        ("age_years >= 3", "the nearest are `age_years >= 1` and `age_years >= 5`"),
        ("age_years > 3", "the nearest are `age_years > 0` and `age_years > 4`"),
        ("age_years <= 2", "the nearest are `age_years <= 0` and `age_years <= 4`"),
        ("age_years < 2.5", "the nearest are `age_years < 1` and `age_years < 5`"),
        ("age_years = 3", "the nearest is `age_years >= 1 AND age_years < 5`"),
        ("age_years <> 0.5", "the nearest is `age_years >= 0 AND age_years < 5`"),
        ("age_years IN (0, 3)", "`age_years = 3` is not on the grain"),
        ("age_years BETWEEN 1 AND 3", "`age_years <= 3` is not on the grain"),
        ("NOT (age_years < 3 OR stage = '1')", "`age_years < 3` is not on the grain"),
        ("age_years >= 30", "the nearest is `age_years >= 20`"),
        ("age_months < 18", "the nearest are `age_months < 12` and `age_months < 60`"),
        (
            "incidence_date >= '1985-02-01'",
            "`incidence_date >= '1985-01-01'` and `incidence_date >= '1986-01-01'`",
        ),
        (
            "incidence_date <= '1985-06-30'",
            "`incidence_date <= '1984-12-31'` and `incidence_date <= '1985-12-31'`",
        ),
        (
            "incidence_date = '1985-01-01'",
            "`incidence_date >= '1985-01-01' AND incidence_date < '1986-01-01'`",
        ),
        ("followup_days > 1000", "may neither select nor group (its grain is covariate-only)"),
        ("sex IS NULL", "selects the persons of whom it is not known"),
        ("NOT (sex IS NOT NULL)", "selects the persons of whom it is not known"),
        ("topography = 'C641'", "the study lets these be asked for: C649"),
        ("morphology BETWEEN '8960' AND '8969'", "cuts through open text"),
        ("stage_system = 'TNM'", "grain = { levels = [[\"TNM\"]] }"),
    ];
    for (condition, wanted) in off {
        let found = of(condition, study());
        assert!(found.contains(wanted) && found.contains("a.toml:9:9"), "{condition}: {found}");
        // The rule is the grain's, and nothing else's.
        let public = Study { data: DataKind::Public, ..study() };
        assert_eq!(of(condition, public), "", "{condition}");
    }
    for condition in [
        "age_years >= 5 AND age_years < 10",
        "age_years = 0",
        "age_years IN (0) OR age_years > 9",
        "age_years BETWEEN 1 AND 4",
        "age_years <= 120 AND age_months >= 12",
        "incidence_date >= '1985-01-01' AND NOT incidence_date > '1989-12-31'",
        "sex IS NOT NULL AND stage IN ('1', '2') AND NOT relapse = 1",
        "topography = 'C649' AND morphology <> '8960'",
    ] {
        assert_eq!(of(condition, study()), "", "{condition}");
    }
    let missing = with_grain("sex", "{ missing = true }");
    assert_eq!(of("sex IS NULL", missing), "");
    let joined = || with_grain("stage", "{ levels = [[\"1\"], [\"2\", \"3\"], [\"4\"]] }");
    let found = of("stage IN ('1', '2')", joined());
    assert!(found.contains("the nearest is 2 and 3 together"), "{found}");
    assert_eq!(of("stage IN ('2', '3', '4')", joined()), "");
    let months = || with_grain("incidence_date", "{ unit = \"month\" }");
    assert_eq!(of("incidence_date < '1985-02-01'", months()), "");
    let found = of("incidence_date < '1985-02-02'", months());
    assert!(found.contains("'1985-02-01'` and `incidence_date < '1985-03-01'"), "{found}");
}

#[test]
fn ages_and_years_of_the_population_are_judged_at_their_own_lines() {
    let population =
        "[population.ages]\nfrom = 3\nto = 9\n[population.years]\nfrom = 1985\nto = 1990";
    let found = of_population(population, study());
    assert!(found.contains("a.toml:10:8") && !found.contains("a.toml:11"), "{found}");
    let never = with_grain("incidence_date", "\"never\"");
    let found = of_population("years = { from = 1985 }", never);
    assert!(found.contains("its grain is never"), "{found}");
}

#[test]
fn a_grain_that_does_not_fit_its_variable_is_a_fault_at_its_line() {
    let age = "grain = { cuts = [0, 1, 5, 10, 15, 20] }";
    let stage = "level_labels = [\"I\", \"II\", \"III\", \"IV\"]";
    let staged = |grain: &str| format!("{stage}\ngrain = {grain}");
    let dated = |grain: &str| format!("label = \"Date of incidence\"\ngrain = {grain}");
    let date = "label = \"Date of incidence\"";
    for (from, to, wanted) in [
        (age, "grain = { cuts = [0, 5, 1] }".to_owned(), "numbers in ascending order"),
        (age, "grain = { cuts = [] }".into(), "numbers in ascending order"),
        (age, "grain = { cuts = [0.5] }".into(), "cuts of a whole number are whole numbers"),
        (
            age,
            "grain = { levels = [[\"1\"]] }".into(),
            "`levels` is no grain of a variable of type integer",
        ),
        (age, "grain = { cuts = [0], ages = [0] }".into(), "a grain is either `cuts` or `ages`"),
        (age, "grain = { cutz = [0] }".into(), "did you mean `cuts`?"),
        (age, "grain = \"nevre\"".into(), "never"),
        (age, "grain = { unit = \"month\" }".into(), "can be a calendar year, not a shorter time"),
        (age, format!("class_width = 1\n{age}"), "leave class_width out"),
        (stage, staged("{ cuts = [1] }"), "`cuts` is no grain of a variable of type category"),
        (
            stage,
            staged("{ levels = [[\"1\", \"2\"], [\"3\"]] }"),
            "level `4` is in none of the sets",
        ),
        (
            stage,
            staged("{ levels = [[\"1\", \"2\"], [\"2\", \"3\", \"4\"]] }"),
            "`2` is listed twice",
        ),
        (
            stage,
            staged("{ levels = [[\"1\", \"2\", \"5\"], [\"3\", \"4\"]] }"),
            "there is no level `5`",
        ),
        (stage, staged("\"covariate-only\""), "only a quantity or a date can be covariate-only"),
        (date, dated("{ unit = \"day\" }"), "an exact day is as good as a name"),
        (date, dated("{ levels = [[\"1\"]] }"), "`levels` is no grain of a variable of type date"),
        (
            "label = \"Tumour\"",
            "label = \"Tumour\"\ngrain = { levels = [[\"1\"]] }".into(),
            "an identifier is never used",
        ),
    ] {
        let found = edited(from, &to).err().unwrap_or_default();
        let line = fs::read_to_string(path(WILMS)).unwrap();
        let line = 1 + line.lines().position(|l| from.starts_with(l) && !l.is_empty()).unwrap();
        let near = (line..line + 2).any(|line| found.contains(&format!("study.toml:{line}:")));
        assert!(found.contains(wanted) && near, "{to}: {found}");
    }
    for grain in ["{ unit = \"quarter\" }", "{ missing = true }", "\"covariate-only\"", "\"never\""]
    {
        assert!(edited(date, &dated(grain)).is_ok(), "{grain}");
    }
    let public = edited("sites = [", "data = \"public\"\nsites = [").unwrap();
    assert_eq!(public.data, DataKind::Public);
}

#[test]
fn where_a_dictionary_says_nothing_the_safe_grain_holds() {
    let head = "id = \"wilms\"\ntitle = \"T\"\nsource = \"-\"\nsites = []\n";
    let dictionary = "[dictionary.followup_days]\ntype = \"days\"\nlabel = \"T\"\nrange = [0, 900]\n\
        [dictionary.relapse]\ntype = \"flag\"\nlabel = \"E\"\n\
        [dictionary.day]\ntype = \"date\"\nlabel = \"D\"\n\
        [dictionary.age]\ntype = \"integer\"\nlabel = \"A\"\nunit = \"completed years\"\n\
        [dictionary.derived]\ntype = \"integer\"\nlabel = \"A\"\nderive = { completed_years = [\"day\", \"day\"] }\n\
        [dictionary.size]\ntype = \"real\"\nlabel = \"S\"\nunit = \"mm\"\n\
        [dictionary.kind]\ntype = \"category\"\nlabel = \"K\"\nlevels = [\"a\", \"b\"]\n\
        [dictionary.code]\ntype = \"text\"\nlabel = \"C\"\n";
    let study = || Study::parse("study.toml", &format!("{head}{dictionary}")).unwrap();
    for (condition, is_allowed) in [
        ("age < 1", true),
        ("age >= 85", true),
        ("age < 2", false),
        ("age < 86", false),
        ("derived < 5", true),
        ("derived < 6", false),
        ("size < 10", false),
        ("followup_days < 10", false),
        ("day < '2001-01-01'", true),
        ("day < '2001-02-01'", false),
        ("kind = 'a' OR relapse = 1", true),
        ("kind IS NULL", false),
        ("code = 'x'", false),
    ] {
        let found = of_population(&format!("where = \"{condition}\""), study());
        assert_eq!(found.is_empty(), is_allowed, "{condition}: {found}");
    }
    let cox = |covariate: &str, more: &str| {
        let model =
            format!("[[model]]\nid = \"m\"\nkind = \"cox\"\ncovariates = [\"{covariate}\"]\n");
        told(&format!("{HEAD}{model}{more}"), study())
    };
    // As a covariate a quantity is used as it is; a knot is a place.
    assert_eq!(cox("size", ""), "");
    let found = cox("size", "splines = { size = [1, 2, 3] }");
    assert!(found.contains("its grain is covariate-only"), "{found}");
    assert_eq!(cox("age", "splines = { age = [1, 5, 10] }"), "");
    let found = cox("age", "splines = { age = [1, 5, 11] }");
    assert!(found.contains("11 is not on the grain") && found.contains("10 and 15"), "{found}");
}

/// Numbers of options that are no places at which persons are told apart, by what they are.
const NO_PLACES: [(&str, &[&str]); 6] = [
    (
        "calendar years, which a date's own test judges, and spans of them",
        &[
            "approaches.*.diagnosed.*",
            "approaches.*.early_followed.*",
            "approaches.*.followed.*",
            "averages.*.*",
            "incidence.years.*",
            "mortality.years.*",
            "period_years",
            "periods.*.*",
            "population_years.*",
            "reference_cohort",
            "reference_period",
            "years.*",
        ],
    ),
    (
        "choices among bands, classes and numbers that are judged",
        &[
            "age_weights.*",
            "classes.*.cuts.*",
            "classes.*.to",
            "durations_years.*",
            "model_from_age",
            "own_standards.*.weights.*",
            "reference.*",
            "trend.*",
            "truncated.*.*",
        ],
    ),
    (
        "times since the start of follow-up",
        &[
            "approaches.*.early_years",
            "bands_years.*",
            "conditional_years.*",
            "followup_years",
            "grid_days",
            "horizon_days",
            "intervals_per_year",
            "latency_years",
            "restricted_mean_years",
            "spline_years.*",
            "time_bands_years.*",
            "times_years.*",
        ],
    ),
    (
        "numbers of something",
        &[
            "base_periods.*",
            "draws",
            "joinpoints",
            "knots",
            "knots.*",
            "max_evaluations",
            "most",
            "nodes",
            "permutations",
            "points",
            "seed",
            "time_varying_knots",
            "years_at_ends",
            "years_between",
        ],
    ),
    ("units of results", &["per", "per_person_years"]),
    (
        "powers, shares and levels",
        &[
            "alpha",
            "confidence_level",
            "cut_drift.*",
            "gamma",
            "lambda",
            "quantiles.*",
            "reach",
            "rho",
        ],
    ),
];

/// A number of a model's options is a place on the grain, or stands in the list above: a new option does not pass unseen.
#[test]
fn every_number_of_every_model_is_held_against_the_grain_or_is_no_place() {
    let (mut judged, mut others) = (BTreeSet::new(), BTreeSet::new());
    for model in MODELS {
        let kind = model.card().kind;
        let base: Value = toml::from_str(&more_of(kind)).unwrap();
        for number in all_of(&model.schema(), &["integer", "number"]) {
            let mut whole = base.clone();
            let is_judged = places(&mut whole, &number.path, "").iter().any(|at| {
                let value = whole.pointer(at).and_then(Value::as_f64).unwrap_or(1.0);
                [1.0, 2.0, 3.0, -1.0, 0.5].iter().any(|step| {
                    let (text, line) = with_here(kind, &whole, at, &(value + step).to_string());
                    let found = told(&text, study());
                    let lines: Vec<&str> = text.lines().collect();
                    let mut head = line;
                    while !lines[head - 1].starts_with('[') {
                        head -= 1;
                    }
                    let is_here =
                        (head..=line).any(|line| found.contains(&format!("a.toml:{line}:")));
                    is_here && found.contains("on the grain of")
                })
            });
            let name = number.path.join(".");
            if is_judged {
                judged.insert(name)
            } else {
                others.insert(name)
            };
        }
    }
    let listed: BTreeSet<String> =
        NO_PLACES.iter().flat_map(|(_, all)| *all).map(|name| (*name).to_owned()).collect();
    let never: BTreeSet<String> = others.difference(&judged).cloned().collect();
    assert_eq!(never, listed, "judged: {judged:?}");
}

/// Every place among options in which a variable is named, and the variable.
fn names(options: &Value, at: &str, study: &Study, found: &mut Vec<(String, String)>) {
    match options {
        Value::String(name) if study.dictionary.get(name).is_some() => {
            found.push((at.to_owned(), name.clone()));
        }
        Value::Array(list) => {
            for (i, one) in list.iter().enumerate() {
                names(one, &format!("{at}/{i}"), study, found);
            }
        }
        Value::Object(map) => {
            for (key, one) in map {
                names(one, &format!("{at}/{key}"), study, found);
            }
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Whatever option names a variable with levels tells its levels apart; where they may not be, no model takes it. What is `never`
/// goes into no model at all.
#[test]
fn no_model_tells_apart_what_the_dictionary_joins_or_uses_what_is_never_used() {
    let (mut joined, mut never) = (0, 0);
    for model in MODELS {
        let kind = model.card().kind;
        let options: Value = toml::from_str(&more_of(kind)).unwrap();
        let study = study();
        let mut found = Vec::new();
        names(&options, "", &study, &mut found);
        for (at, name) in found {
            let variable = study.dictionary.get(&name).unwrap();
            let levels = variable.model_levels();
            let check = |grain: &str, wanted: &str| {
                let (text, _) = with_here(kind, &options, &at, &format!("\"{name}\""));
                let found = told(&text, with_grain(&name, grain));
                assert!(found.contains(wanted), "{kind}{at} {name}: {found}");
            };
            check("\"never\"", "its grain is never");
            never += 1;
            // An indicator of all levels tells none apart.
            if !levels.is_empty() && !at.starts_with("/indicators") {
                check(&format!("{{ levels = [{levels:?}] }}"), "only together");
                joined += 1;
            }
        }
        // The event of the analysis's follow-up, and its causes.
        if model.schema()["properties"].get("followup").is_some() {
            let (text, _) = with_here(kind, &options, "/kind", &format!("\"{kind}\""));
            let found = told(&text, with_grain("relapse", "{ levels = [[\"0\", \"1\"]] }"));
            let is_refused = ["1 without the rest of its set", "only together"]
                .iter()
                .any(|wanted| found.contains(wanted));
            assert!(is_refused, "{kind}: {found}");
            joined += 1;
        }
    }
    assert!(joined > 40 && never > 50, "{joined} {never}");
    let quality = |levels: &str| {
        let options: Value = toml::from_str(&more_of("quality_indicators")).unwrap();
        let (text, line) =
            with_here("quality_indicators", &options, "/indicators/0/levels", levels);
        let study = with_grain("x_hist_central", "{ levels = [[\"FH\", \"UH\"]] }");
        (told(&text, study), line)
    };
    assert_eq!(quality("[\"FH\", \"UH\"]").0, "");
    let (found, line) = quality("[\"UH\"]");
    assert!(found.contains("the nearest is FH and UH together"), "{found}");
    assert!(found.contains(&format!("a.toml:{line}:")), "{found}");
}

/// A quantity or a date that is covariate-only parts nobody: models of incidence have no ages and years of it, and a life table is
/// looked up with it all the same.
#[test]
fn no_model_parts_what_is_covariate_only() {
    let mut parted = BTreeSet::new();
    for model in MODELS {
        let kind = model.card().kind;
        let options: Value = toml::from_str(&more_of(kind)).unwrap();
        let (text, _) = with_here(kind, &options, "/kind", &format!("\"{kind}\""));
        for name in ["age_months", "incidence_date"] {
            let found = told(&text, with_grain(name, "\"covariate-only\""));
            let is_parted = found.contains(&format!("`{name}` may enter a model as a number"));
            if is_parted {
                parted.insert((kind, name));
            }
            let mut words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            let takes_years = words.any(|word| word == "years");
            assert!(found.is_empty() || is_parted, "{kind}: {found}");
            assert!(is_parted || !takes_years || name == "age_months", "{kind}: {name}");
        }
    }
    for kind in ["incidence_rates", "site_rates", "prevalence", "net_survival"] {
        assert!(parted.contains(&(kind, "age_months")), "{kind}");
    }
    for kind in ["excess_hazard", "standardised_ratio"] {
        assert!(!parted.iter().any(|(k, _)| *k == kind), "{kind}");
    }
}

#[test]
fn days_that_an_analysis_names_fall_on_the_grain() {
    let window = |from: &str, to: &str| {
        let window =
            format!("window = {{ date = \"incidence_date\", from = \"{from}\", to = \"{to}\" }}\n");
        told(&format!("{HEAD}{window}[[model]]\nid = \"m\"\nkind = \"participation\"\n"), study())
    };
    assert_eq!(window("1980-01-01", "1989-12-31"), "");
    let found = window("1980-01-01", "1980-01-31");
    assert!(
        found.contains("1980-02-01 is not on the grain") && found.contains("a.toml:8"),
        "{found}"
    );
    assert!(window("1980-02-01", "1989-12-31").contains("1980-01-01 and 1981-01-01"));
    for (kind, at, day) in
        [("prevalence", "/on", "2009-01-02"), ("net_survival", "/closing_date", "2009-06-30")]
    {
        let options: Value = toml::from_str(&more_of(kind)).unwrap();
        let (text, line) = with_here(kind, &options, at, &format!("\"{day}\""));
        let found = told(&text, study());
        assert!(found.contains("is not on the grain of `incidence_date`"), "{kind}: {found}");
        assert!(found.contains(&format!("a.toml:{line}:")), "{kind}: {found}");
    }
}

/// Ages in days have cuts in completed years only.
#[test]
fn an_age_in_days_is_parted_by_completed_years() {
    let text = fs::read_to_string(path("analyses/rectal/study.toml")).unwrap();
    let study = || Study::parse("study.toml", &text).unwrap();
    let of = |ages: &str| {
        let head = "id = \"a\"\ntitle = \"A\"\nquestion = \"Q?\"\nstudy = \"rectal\"\n";
        let cells = format!(
            "[incidence]\nage = \"age_days\"\nyear = \"diagnosis\"\nages = {ages}\nyears = [1993, 2012]\n"
        );
        told(&format!("{head}{cells}[[model]]\nid = \"m\"\nkind = \"count_regression\"\n"), study())
    };
    assert_eq!(of("[0, 50, 60]"), "");
    let found = of("[0, 50, 61]");
    assert!(found.contains("age 61 is not on the grain of `age_days`"), "{found}");
    assert!(
        found.contains("the nearest are 60 and 65") && found.contains("a.toml:8:16"),
        "{found}"
    );
    let condition = "id = \"a\"\ntitle = \"A\"\nquestion = \"Q?\"\nstudy = \"rectal\"\n[population]\nwhere = \"age_days < 18262\"\n";
    let model = "[[model]]\nid = \"m\"\nkind = \"participation\"\n";
    let found = told(&format!("{condition}{model}"), study());
    assert!(
        found.contains("select by a variable that holds the age in completed years"),
        "{found}"
    );
}

/// Where an analysis names no classes, a quantity is shown in the bands of its grain.
#[test]
fn classes_come_from_the_grain() {
    let of = |more: &str, study: Study| {
        let model = format!(
            "[[model]]\nid = \"m\"\nkind = \"characteristics\"\nvariables = [\"age_years\"]\n{more}"
        );
        Plan::check("a.toml", &format!("{HEAD}{model}"), study)
    };
    let plan = of("", study()).unwrap();
    let cuts = &plan.spec.models[1].options["classes"]["age_years"]["cuts"];
    assert_eq!(*cuts, serde_json::json!([0.0, 1.0, 5.0, 10.0, 15.0, 20.0, 121.0]));
    for (classes, wanted) in [
        ("{ from = 0, to = 19, width = 1 }", "2 and 14 more are not on the grain"),
        ("{ from = 3, to = 3.5, width = 1 }", "3 and 1 more are not on the grain"),
        ("{ cuts = [0, 5, 7] }", "7 is not on the grain"),
        ("{ cuts = [5, 0] }", "in ascending order"),
    ] {
        let found =
            of(&format!("classes.age_years = {classes}\n"), study()).unwrap_err().to_string();
        assert!(found.contains(wanted) && found.contains("a.toml:12:"), "{classes}: {found}");
    }
    assert!(
        of(
            "classes.age_years = { from = 0, to = 19, width = 5 }\n",
            with_grain("age_years", "{ cuts = [0, 5, 10, 15, 20] }")
        )
        .is_ok()
    );
    let only = with_grain("age_years", "\"covariate-only\"");
    assert!(of("", only).unwrap_err().to_string().contains("its distribution needs classes"));
}

#[test]
fn an_example_of_each_model_is_on_the_grain_of_the_flagship_study() {
    for model in MODELS {
        let kind = model.card().kind;
        let options: Value = toml::from_str(&more_of(kind)).unwrap();
        let (text, _) = with_here(kind, &options, "/kind", &format!("\"{kind}\""));
        assert_eq!(told(&text, study()), "", "{kind}");
    }
    let is_set = |v: &&tributary::spec::Variable| v.grain.is_some();
    let dictionary = study().dictionary;
    assert!(dictionary.iter().map(|(_, v)| v).filter(is_set).count() >= 4);
    assert!(!dictionary.iter().any(
        |(_, v)| v.kind == VariableKind::Date && v.grain == Some(Grain::Word(GrainWord::Never))
    ));
}

#[test]
fn a_check_says_where_the_grain_is_lifted() {
    let check = |file: &str| {
        let done = Command::new(env!("CARGO_BIN_EXE_tributary"))
            .args(["analysis", "check"])
            .arg(path(file))
            .output()
            .unwrap();
        assert!(done.status.success());
        String::from_utf8(done.stdout).unwrap()
    };
    let wanted = "the study declares its data public: the grain of the dictionary is not applied";
    assert!(check("analyses/testis/testis.toml").contains(wanted));
    assert!(!check("analyses/wilms/wilms.toml").contains(wanted));
}
