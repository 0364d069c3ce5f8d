//! Numbers that people write: each has its limits, and whatever is written gives a fault at its line or a right answer.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;
use tributary::{
    cohort::{ColumnNeed, DeathCell, SiteData},
    estimate::Estimate,
    models::{MODELS, find},
    plan::Plan,
    run::Outcome,
    site::Registry,
    spec::{AnalysisSpec, DataKind, Study},
    summary::{Policy, SiteId},
};

use crate::{
    laws::flat_tables,
    pooling::run,
    wilms::{registry, study},
};

pub const HEAD: &str = "id = \"a\"\ntitle = \"A\"\nquestion = \"Q?\"\nstudy = \"wilms\"\n\
                    [followup]\ntime = \"followup_days\"\nevent = \"relapse\"\n";

/// What the examples of the cards leave out, so that every number of a model's options has a place.
const MORE: &[(&str, &str)] = &[
    ("characteristics", "classes.age_years = { from = 5, to = 14, width = 5 }"),
    (
        "survival_lexis",
        "approaches = [{ name = \"period\", diagnosed = [1980, 1999], followed = [1985, 1999], early_years = 1, early_followed = [1986, 1999] }]",
    ),
    ("quality_indicators", "mortality = { year = \"incidence_date\", years = [1990, 1995] }"),
    (
        "incidence_rates",
        "own_standards = [{ name = \"own\", weights = [1, 4, 5, 5] }]\ntruncated = [[0, 15]]",
    ),
    ("rate_trend", "truncated = [[0, 15]]"),
    ("joinpoint", "averages = [[2000, 2009]]\ninterval = \"empirical_quantile\"\ndraws = 100"),
    (
        "cox",
        "splines.age_years = [1, 5, 10]\nproportional_hazards = \"none\"\ntime_bands_years = [1]\ntime_varying = [\"stage\"]",
    ),
    ("prevalence", "population_years = [2008, 2009]"),
    ("net_survival", "age_from = [0, 5]\nage_weights = [1, 1]\nclosing_date = \"2009-12-31\""),
    ("log_rank", "trend = [0, 1]"),
    ("site_rates", "reference = [1e-5, 1e-5, 1e-5, 1e-5]\ndraws = 99"),
    ("age_period_cohort", "reference_cohort = 1995"),
    ("royston_parmar", "time_varying = [\"x_hist_central\"]"),
    (
        "poisson",
        "covariates = [\"x_hist_central\", \"age_years\"]\nsplines.age_years = [1, 5, 10]\nmax_evaluations = 60",
    ),
];

/// Numbers whose upper limit is a matter of minutes in a build for tests.
const LONG: &[&str] = &["/draws", "/permutations"];

/// The example of a model, with what the examples leave out.
pub fn more_of(kind: &str) -> String {
    let example = find(kind).unwrap().card().example;
    let more = MORE.iter().find(|(k, _)| *k == kind).map_or("", |(_, more)| more);
    // What is written here stands in for what the example says under the same name.
    let replaced = |line: &&str| {
        let name = line.split(['=', ' ', '.']).next().unwrap_or_default();
        !more.lines().any(|m| m.split(['=', ' ', '.']).next() == Some(name))
    };
    let kept: Vec<&str> = example.lines().filter(replaced).collect();
    format!("{}\n{more}\n", kept.join("\n"))
}

/// A number in a schema: how one gets to it, and what holds it.
pub struct Number {
    /// Names of fields; `*` for any element or key.
    pub path: Vec<String>,
    pub schema: Value,
}

fn leaves(root: &Value, node: &Value, types: &[&str], path: &[String], found: &mut Vec<Number>) {
    let Some(map) = node.as_object() else { return };
    let target = map.get("$ref").and_then(Value::as_str).and_then(|t| t.strip_prefix('#'));
    if let Some(target) = target.and_then(|t| root.pointer(t)) {
        leaves(root, target, types, path, found);
    }
    let kinds = map.get("type").map_or_else(String::new, Value::to_string);
    if types.iter().any(|t| kinds.contains(t))
        && map.get("enum").is_none()
        && map.get("const").is_none()
    {
        found.push(Number { path: path.to_vec(), schema: node.clone() });
    }
    let below = |name: &str| [path, &[name.to_owned()]].concat();
    for (name, property) in map.get("properties").and_then(Value::as_object).into_iter().flatten() {
        leaves(root, property, types, &below(name), found);
    }
    for key in ["items", "additionalProperties"] {
        leaves(root, map.get(key).unwrap_or(&Value::Null), types, &below("*"), found);
    }
    for key in ["prefixItems", "anyOf", "oneOf", "allOf"] {
        let path = if key == "prefixItems" { below("*") } else { path.to_vec() };
        for choice in map.get(key).and_then(Value::as_array).into_iter().flatten() {
            leaves(root, choice, types, &path, found);
        }
    }
}

/// Everything of one of these types in a schema.
pub fn all_of(schema: &Value, types: &[&str]) -> Vec<Number> {
    let mut found = Vec::new();
    leaves(schema, schema, types, &[], &mut found);
    found
}

fn all_numbers(schema: &Value) -> Vec<Number> {
    all_of(schema, &["integer", "number"])
}

fn limits(schema: &Value) -> [Option<&Value>; 2] {
    let of = |name: &str| {
        schema
            .get(name)
            .or_else(|| schema.get(format!("exclusive{}", &name[..1].to_uppercase()) + &name[1..]))
    };
    [of("minimum"), of("maximum")]
}

fn is_within(schema: &Value, literal: &str) -> bool {
    let whole = schema["type"].to_string().contains("integer");
    let Ok(x) = literal.parse::<f64>() else { return false };
    let [low, high] = limits(schema).map(|x| x.and_then(Value::as_f64).unwrap());
    x >= low && x <= high && (!whole || x.fract() == 0.0)
}

#[test]
fn every_number_that_people_write_has_a_lower_and_an_upper_limit() {
    let mut files: Vec<(&str, Value)> =
        MODELS.iter().map(|m| (m.card().kind, m.schema())).collect();
    files.push(("analysis", AnalysisSpec::schema()));
    files.push(("study", Study::schema()));
    files.push(("site", tributary::site::SiteFolder::schema()));
    let mut without = Vec::new();
    for (file, schema) in &files {
        for number in all_numbers(schema) {
            if limits(&number.schema).iter().any(Option::is_none) {
                without.push(format!("{file}: {}: {}", number.path.join("."), number.schema));
            }
        }
    }
    assert!(without.is_empty(), "{}", without.join("\n"));
}

/// Places of a number in a table of options, made where the table leaves it out.
pub fn places(table: &mut Value, path: &[String], at: &str) -> Vec<String> {
    let Some((name, rest)) = path.split_first() else { return vec![at.to_owned()] };
    if name == "*" {
        if table.is_null() {
            *table = if at.ends_with("splines") {
                serde_json::json!({ "age_years": [1, 5, 10] })
            } else {
                serde_json::json!([1])
            };
        }
        match table {
            Value::Array(list) => {
                let each = list.iter_mut().enumerate();
                each.flat_map(|(i, v)| places(v, rest, &format!("{at}/{i}"))).collect()
            }
            Value::Object(map) => {
                map.iter_mut().flat_map(|(k, v)| places(v, rest, &format!("{at}/{k}"))).collect()
            }
            _ => Vec::new(),
        }
    } else {
        let Some(map) = table.as_object_mut() else { return Vec::new() };
        places(map.entry(name).or_insert(Value::Null), rest, &format!("{at}/{name}"))
    }
}

const HERE: &str = "@here@";

/// The line on which `found` stands.
pub fn line_of(text: &str, found: &str) -> usize {
    text.lines().position(|line| line.contains(found)).unwrap() + 1
}

/// An analysis of one model with `literal` at one place of its options, and the line on which it stands.
pub fn with_here(kind: &str, options: &Value, at: &str, literal: &str) -> (String, usize) {
    let mut table = options.clone();
    *table.pointer_mut(at).unwrap() = HERE.into();
    without_null(&mut table);
    let model = toml::Value::try_from(serde_json::json!({ "model": [table] })).unwrap();
    let earlier = match kind {
        "meta_analysis" => format!("[[model]]\n{}\n", find("cox").unwrap().card().example),
        _ => String::new(),
    };
    let text = format!("{HEAD}{earlier}{}", toml::to_string(&model).unwrap());
    let line = line_of(&text, HERE);
    (text.replace(&format!("\"{HERE}\""), literal), line)
}

fn without_null(value: &mut Value) {
    if let Value::Object(map) = value {
        map.retain(|_, v| !v.is_null());
        map.values_mut().for_each(without_null);
    }
}

fn open_study() -> Study {
    let policy = Policy { min_sites: 1, ..Policy::open() };
    Study { policy, data: DataKind::Public, ..study() }
}

fn deaths() -> Vec<DeathCell> {
    let of = |year| DeathCell { year, sex: None, group: None, deaths: 3.0 };
    (1500..=3000).map(of).collect()
}

fn pooled(plan: &Plan, registries: &[(SiteId, Registry)]) -> Vec<(String, Estimate)> {
    let needs: Vec<ColumnNeed> = plan
        .spec
        .models
        .iter()
        .flat_map(|m| find(&m.kind).unwrap().needs(&m.options).unwrap())
        .collect();
    let data: Vec<(SiteId, SiteData)> = registries
        .iter()
        .map(|(code, registry)| {
            let mut data = registry.cohort(&plan.conditions, &needs).unwrap();
            data.tables = flat_tables();
            data.tables.deaths = Some(Arc::new(deaths()));
            (code.clone(), data)
        })
        .collect();
    let (run, _) = run(plan, &data, &plan.study.policy);
    run.models
        .into_iter()
        .filter_map(|model| match model.outcome {
            Some(Outcome::Estimate(estimate)) => Some((model.kind, (*estimate).clone())),
            Some(Outcome::Failed { reason }) => {
                // A model may have nothing to say, but not break.
                assert!(!reason.contains("has a fault"), "{}: {}", model.kind, model.options);
                None
            }
            None => None,
        })
        .collect()
}

/// Limits enclose their estimate, shares are shares, standard errors are not negative, and no zero has a sign.
fn nonsense(estimate: &Estimate) -> Option<String> {
    for table in &estimate.tables {
        for row in 0..table.rows.len() {
            let of = |column: &str| table.number(row, column);
            let around = [of("conf_low"), of("estimate"), of("conf_high")];
            let known: Vec<f64> = around.into_iter().flatten().collect();
            if !known.is_sorted_by(|a, b| a <= &(b + 1e-9 * b.abs())) {
                return Some(format!("{}: {known:?}", table.name));
            }
            if of("std_error").is_some_and(|se| se < 0.0) {
                return Some(format!("{}: a negative standard error", table.name));
            }
            let cells = table.columns.iter().map(|c| (&c.name, of(&c.name)));
            let signed = |x: Option<f64>| x.is_some_and(|x| x == 0.0 && x.is_sign_negative());
            if let Some((column, _)) = cells.clone().find(|(_, x)| signed(*x)) {
                return Some(format!("{}.{column}: -0", table.name));
            }
        }
    }
    None
}

/// One part of the models, so that parts run side by side.
fn extremes(part: usize) {
    let study = open_study();
    let registries: Vec<(SiteId, Registry)> = ["XC", "XD"]
        .iter()
        .map(|code| (SiteId::new(code).unwrap(), registry(&study, code)))
        .collect();
    let mut wrong = Vec::new();
    let mut tried = BTreeMap::new();
    for model in MODELS.iter().skip(part).step_by(2) {
        let kind = model.card().kind;
        let base: Value = toml::from_str(&more_of(kind)).unwrap();
        for number in all_numbers(&model.schema()) {
            let mut whole = base.clone();
            let [low, high] = limits(&number.schema).map(|x| x.unwrap().to_string());
            for at in places(&mut whole, &number.path, "") {
                let mut told = 0;
                let more = ["-1", "0", "1e308", "nan", "inf", "18446744073709551615", "0.5"];
                let most = if LONG.contains(&at.as_str()) { "-9223372036854775808" } else { &high };
                for literal in more.into_iter().chain([low.as_str(), most]) {
                    let (text, line) = with_here(kind, &whole, &at, literal);
                    let started = std::time::Instant::now();
                    match Plan::check("a.toml", &text, study.clone()) {
                        Err(faults) if faults.to_string().contains(&format!("a.toml:{line}:")) => {
                            told += 1;
                        }
                        // What is within its limits may not go with another field, which is then shown.
                        Err(faults) if is_within(&number.schema, literal) => {
                            let told = faults.to_string();
                            let head =
                                text.lines().rev().position(|line| line == "[[model]]").unwrap();
                            let head = text.lines().count() - head;
                            if told.contains(&format!("a.toml:{head}:")) {
                                wrong.push(format!("{kind}{at} = {literal}: {told}"));
                            }
                        }
                        Err(faults) => wrong.push(format!("{kind}{at} = {literal}: {faults}")),
                        Ok(plan) => {
                            for (kind, estimate) in pooled(&plan, &registries) {
                                let found = nonsense(&estimate);
                                wrong.extend(found.map(|f| format!("{kind}{at} = {literal}: {f}")));
                            }
                        }
                    }
                    let seconds = started.elapsed().as_secs();
                    if seconds > 60 {
                        wrong.push(format!("{kind}{at} = {literal}: {seconds} s"));
                    }
                }
                tried.insert(format!("{kind}{at}"), told);
            }
        }
    }
    assert!(wrong.is_empty(), "{}: {}", wrong.len(), wrong.join("\n\n"));
    // A word that is no number is refused everywhere, and so is what is beyond any limit.
    let untold: Vec<_> = tried.iter().filter(|(_, told)| **told < 4).collect();
    assert!(untold.is_empty() && tried.len() > 50, "{}: {untold:?}", tried.len());
}

#[test]
fn every_number_at_its_extremes_gives_a_fault_at_its_line_or_an_answer() {
    extremes(0);
}

#[test]
fn every_number_at_its_extremes_gives_a_fault_at_its_line_or_an_answer_too() {
    extremes(1);
}
