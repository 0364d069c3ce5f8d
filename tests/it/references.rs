//! What one part of an analysis says of another exists, or is a fault at its line; what only the run can tell is told in words.

use std::fs;

use tributary::{
    models::{MODELS, find},
    plan::Plan,
};

use crate::{
    options::{HEAD, all_of, line_of, more_of, places, with_here},
    pooling::path,
    wilms::study,
};

/// Text that names nothing: names given here, and dates, which have a test of their own.
const FREE: &[&str] = &["name", "icd10"];

fn counted(text: &str) -> (String, usize) {
    match Plan::check("a.toml", text, study()) {
        Ok(_) => (String::new(), 0),
        Err(faults) => (faults.to_string(), faults.count),
    }
}

fn faults(text: &str) -> String {
    counted(text).0
}

#[test]
fn a_name_of_nothing_is_one_fault_at_its_line_wherever_a_model_takes_a_name() {
    let mut tried = 0;
    let mut taken = Vec::new();
    for model in MODELS {
        let kind = model.card().kind;
        let base: serde_json::Value = toml::from_str(&more_of(kind)).unwrap();
        for word in all_of(&model.schema(), &["string"]) {
            if word.path.iter().any(|name| FREE.contains(&name.as_str())) {
                continue;
            }
            let mut whole = base.clone();
            for at in places(&mut whole, &word.path, "") {
                let (text, line) = with_here(kind, &whole, &at, "\"stagee\"");
                let (told, count) = counted(&text);
                if count != 1 || !told.contains(&format!("a.toml:{line}:")) {
                    taken.push(format!("{kind}{at}, {count} faults: {told}\n{text}"));
                }
                tried += 1;
            }
        }
    }
    assert!(taken.is_empty() && tried > 120, "{tried}: {}", taken.join("\n\n"));
}

#[test]
fn a_report_names_terms_that_its_models_have() {
    let cox = find("cox").unwrap().card().example;
    let curves = "[[model]]\nid = \"km\"\nkind = \"kaplan_meier\"\n";
    let of = |report: &str| format!("{HEAD}[[model]]\n{cox}{curves}{report}");
    assert_eq!(faults(&of("[report]\nanswer = { model = \"cox\", term = \"stage=3\" }\n")), "");
    for (report, found, words) in [
        (
            "[report]\nanswer = { model = \"cox\", term = \"stage=5\" }\n",
            "stage=5",
            "`stage=5` is not a term of `cox`",
        ),
        (
            "[report]\nanswer = { model = \"km\", term = \"stage=3\" }\n",
            "\"km\", term",
            "`km` is a kaplan_meier and has no terms",
        ),
        (
            "[report]\nagreement_of_sites = \"km\"\n",
            "agreement_of_sites",
            "`km` is a kaplan_meier, expected a meta_analysis",
        ),
        (
            "[[report.comparison]]\ntitle = \"t\"\nestimates = [{ model = \"cox\", term = \"mycn=amplified\", label = \"l\" }]\n",
            "mycn",
            "`mycn=amplified` is not a term of `cox`",
        ),
    ] {
        let text = of(report);
        let (told, line) = (faults(&text), line_of(&text, found));
        assert!(told.contains(words) && told.contains(&format!("a.toml:{line}:")), "{told}");
    }
}

#[test]
fn records_that_stand_for_several_cases_are_not_taken_for_patients() {
    let cells = "[incidence]\nage = \"age_months\"\nyear = \"incidence_date\"\ncount = \"age_years\"\nages = [0, 5, 10]\n\
                 age_end = 15\nyears = [2000, 2009]\n";
    let of = |kind: &str, more: &str| {
        format!("{HEAD}{cells}[[model]]\nid = \"m\"\nkind = \"{kind}\"\n{more}")
    };
    let text = of("characteristics", "variables = [\"stage\"]\n");
    let (told, line) = (faults(&text), line_of(&text, "kind ="));
    let wanted = "`characteristics` takes each record for a patient, and a record stands for `age_years` cases";
    assert!(told.contains(wanted) && told.contains(&format!("a.toml:{line}:")), "{told}");
    let own = "incidence = { age = \"age_months\", year = \"incidence_date\", ages = [0, 5, 10], age_end = 15, years = [2000, 2009] }\n";
    let told = faults(&of("count_regression", own));
    assert!(told.contains("write count = \"age_years\" here too"), "{told}");
    let quality =
        "indicators = [{ name = \"n\", variable = \"x_hist_central\", levels = [\"FH\"] }]\n";
    assert!(!faults(&of("quality_indicators", quality)).contains("stands for"));
}

/// A level that nobody has is a term of the model, and has no estimate.
#[test]
fn an_answer_that_the_run_does_not_give_is_told_with_its_reason() {
    let folder = tempfile::tempdir().unwrap();
    let analysis = folder.path().join("a.toml");
    fs::copy(path("analyses/wilms/study.toml"), folder.path().join("study.toml")).unwrap();
    let cox = find("cox").unwrap().card().example;
    let report = "[report]\nanswer = { model = \"cox\", term = \"stage=4\" }\n";
    let population = "[population]\nwhere = \"stage <> '4'\"\n";
    fs::write(&analysis, format!("{HEAD}{population}[[model]]\n{cox}{report}")).unwrap();
    let sites = ["XA", "XB", "XC"].map(|s| path("analyses/wilms/sites").join(s));
    let done = std::process::Command::new(env!("CARGO_BIN_EXE_tributary"))
        .arg("run")
        .arg(&analysis)
        .arg("--site")
        .args(sites)
        .arg("--out")
        .arg(folder.path().join("results"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&done.stderr);
    assert!(matches!(done.status.code(), Some(0 | 1)), "{:?} {told}", done.status);
    let page = fs::read_to_string(folder.path().join("results/report.html")).unwrap();
    let wanted = "is not available: not estimable (Cox regression, Stage";
    let at = page.find("The estimate that would").unwrap_or_default();
    assert!(page.contains(wanted), "{}", &page[at..page.len().min(at + 300)]);
}

/// Two models of a kind that take the tables `followup` and `incidence` of the analysis, and one of these tables changed.
fn sharing(kind: &str, table: &str, field: &str, value: serde_json::Value) -> String {
    let mut model: serde_json::Value = toml::from_str(&more_of(kind)).unwrap();
    let mut whole: serde_json::Value = toml::from_str(HEAD).unwrap();
    whole["population"] = serde_json::json!({ "where": "stage = '1'" });
    for shared in ["followup", "incidence"] {
        if let Some(own) = model.as_object_mut().unwrap().remove(shared) {
            whole[shared] = own;
        }
    }
    whole[table][field] = value;
    let mut models = Vec::new();
    if kind == "meta_analysis" {
        models.push(toml::from_str(find("cox").unwrap().card().example).unwrap());
    }
    for id in ["first", "second"] {
        model["id"] = id.into();
        models.push(model.clone());
    }
    whole["model"] = models.into();
    toml::to_string(&toml::Value::try_from(whole).unwrap()).unwrap()
}

/// The lines at which faults are shown, from 1.
fn lines_told(told: &str) -> Vec<usize> {
    let at = told.split("a.toml:").skip(1);
    at.map(|place| place.split(':').next().unwrap().parse().unwrap()).collect()
}

#[test]
fn a_mistake_in_a_table_that_models_share_is_told_once_and_in_that_table() {
    use serde_json::json;
    let window = |from: &str, to: &str| json!({ "date": "incidence_date", "from": from, "to": to });
    let mistakes = [
        ("followup", "time", json!("stagee")),
        ("followup", "time", json!("stage")),
        ("followup", "event", json!("stagee")),
        ("followup", "entry", json!("stagee")),
        ("followup", "timee", json!("followup_days")),
        ("followup", "window", window("1990-01-01", "1980-01-01")),
        ("followup", "zero", json!("half")),
        ("incidence", "age", json!("stagee")),
        ("incidence", "year", json!("stage")),
        ("incidence", "sex", json!("stage")),
        ("incidence", "ages", json!([5, 0])),
        ("incidence", "age_end", json!(1)),
        ("incidence", "years", json!([2009, 2000])),
        ("population", "where", json!("stagee = '1'")),
        ("population", "ages", json!({ "from": 5, "to": 4 })),
        ("population", "agess", json!({ "to": 2 })),
    ];
    // What some models cannot use is shown in the table as well, and never at the head of a model.
    let limits = [
        ("followup", "entry", json!("followup_days")),
        ("followup", "window", window("1980-01-01", "1989-12-31")),
        ("incidence", "ages", json!([0])),
        ("incidence", "years", json!([2000, 2000])),
        ("incidence", "year", json!("age_months")),
    ];
    let (mut tried, mut limited) = (0, 0);
    let mut wrong = Vec::new();
    for model in MODELS {
        let kind = model.card().kind;
        let takes_cells = more_of(kind).contains("incidence = ");
        for (table, field, value) in &mistakes {
            if *table == "incidence" && !takes_cells {
                continue;
            }
            let text = sharing(kind, table, field, value.clone());
            let (told, count) = counted(&text);
            let before = text.lines().take(lines_told(&told)[0]);
            let head = before.filter(|line| line.starts_with('[')).last().unwrap_or_default();
            if count != 1 || !head.starts_with(&format!("[{table}")) {
                wrong.push(format!("{kind} {table}.{field} = {value}, {count} at {head}: {told}"));
            }
            tried += 1;
        }
        for (table, field, value) in &limits {
            if *table == "incidence" && !takes_cells {
                continue;
            }
            let text = sharing(kind, table, field, value.clone());
            let told = faults(&text);
            limited += usize::from(!told.is_empty());
            let lines: Vec<&str> = text.lines().collect();
            if lines_told(&told).iter().any(|line| lines[line - 1].starts_with("[[model")) {
                wrong.push(format!("{kind} {table}.{field} = {value}: {told}"));
            }
        }
    }
    assert!(
        wrong.is_empty() && tried > 250 && limited > 5,
        "{tried} {limited} {}",
        wrong.join("\n\n")
    );
}
