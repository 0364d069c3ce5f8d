//! The binary as a user sees it.

use std::{
    collections::BTreeMap,
    env, fs,
    path::Path,
    process::{Command, Output},
};

use crate::pooling::path;

fn tributary(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tributary"))
        .args(arguments)
        .current_dir(path(""))
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// All files below a folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().display().to_string();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[test]
fn the_demo_gives_the_same_bytes_for_any_number_of_threads_and_when_rendered_again() {
    let folder = tempfile::tempdir().unwrap();
    let run = |name: &str, threads: &str| {
        let out = folder.path().join(name);
        let output = Command::new(env!("CARGO_BIN_EXE_tributary"))
            .args(["demo", "--date", "2026-01-31", "--out", out.to_str().unwrap()])
            .env("RAYON_NUM_THREADS", threads)
            .current_dir(path(""))
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let said = text(&output.stdout);
        assert!(said.contains("hazard ratio 4.86 (95% CI 4.08 to 5.78; p < 0.001)"), "{said}");
        assert!(said.contains("report.html"), "{said}");
        files(&out)
    };
    let (one, three) = (run("one", "1"), run("three", "3"));
    assert_eq!(one.keys().collect::<Vec<_>>(), three.keys().collect::<Vec<_>>());
    for (name, bytes) in &one {
        assert!(*bytes == three[name], "{name} differs");
    }
    for wanted in [
        "results.json",
        "report.html",
        "report.pdf",
        "ro-crate-metadata.json",
        "tables/cox_central.terms.csv",
        "figures/by_central.curve.png",
        "figures/countries_central.forest.svg",
    ] {
        assert!(one.contains_key(wanted), "{wanted}");
    }

    let results = folder.path().join("one/results.json");
    let again = folder.path().join("again");
    let output = tributary(&[
        "report",
        results.to_str().unwrap(),
        "--format",
        "html,pdf",
        "--out",
        again.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for (name, bytes) in files(&again) {
        assert!(bytes == one[&name], "{name} differs when rendered again");
    }
    contract(&one);
    page(&text(&one["report.html"]));
    print(&folder.path().join("one/report.pdf"));
}

/// Columns that scripts rely on.
fn contract(files: &BTreeMap<String, Vec<u8>>) {
    let head = |name: &str| text(&files[name]).lines().next().unwrap().to_owned();
    assert!(
        head("tables/relapse_free.curve.csv").starts_with(
            "group,time,n_risk,n_event,n_censor,estimate,std_error,conf_low,conf_high"
        )
    );
    assert!(
        head("tables/cox_central.terms.csv")
            .contains("estimate,std_error,statistic,p_value,conf_low,conf_high")
    );
    let pooled = "method,test,k,estimate,std_error,conf_low,conf_high,pred_low,pred_high,tau2,q,q_df,q_p_value,i2,h2";
    assert!(head("tables/countries_central.pooled.csv").starts_with(pooled));
    let results: serde_json::Value = serde_json::from_slice(&files["results.json"]).unwrap();
    assert_eq!(results["results_version"], 2);
    assert_eq!(results["provenance"]["spec_sha256"].as_str().unwrap().len(), 64);
    let crate_file: serde_json::Value =
        serde_json::from_slice(&files["ro-crate-metadata.json"]).unwrap();
    let graph = crate_file["@graph"].as_array().unwrap();
    assert!(
        graph.iter().any(|e| e["@id"] == "report.pdf" && e["sha256"].as_str().unwrap().len() == 64)
    );
}

/// One page, nothing fetched from elsewhere, every figure with a text for those who cannot see it.
fn page(html: &str) {
    assert!(html.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"));
    for outside in ["src=\"http", "href=\"http", "url(http", "@import", "<script", "<link"] {
        assert!(!html.contains(outside), "{outside}");
    }
    assert_eq!(html.matches("<figure>").count(), 9);
    assert_eq!(html.matches("role=\"img\" aria-label=\"").count(), 9);
    assert!(!html.contains("aria-label=\"\""));
    assert_eq!(html.matches("<h1>").count(), 1);
    for unfinished in ["{{", "NaN", "undefined", "inf "] {
        assert!(!html.contains(unfinished), "{unfinished}");
    }
    for words in [
        "Who contributed",
        "Do the countries agree? Central reading",
        "How the two readings of histology change the answer",
        "What was withheld",
        "count below the floor",
        "Where the numbers come from",
    ] {
        assert!(html.contains(words), "{words}");
    }
}

/// Text and pages of the PDF. Needs `pdftotext`; where it is missing, `TRIBUTARY_REQUIRE_TOOLS` makes that a failure.
fn print(pdf: &Path) {
    let Ok(output) =
        Command::new("pdftotext").args(["-layout", pdf.to_str().unwrap(), "-"]).output()
    else {
        assert!(
            env::var_os("TRIBUTARY_REQUIRE_TOOLS").is_none(),
            "pdftotext is missing: run tests/setup"
        );
        eprintln!(
            "pdftotext is missing, the text of the PDF was not read: tests/setup installs it"
        );
        return;
    };
    let said = text(&output.stdout);
    let pages = said.matches('\u{c}').count();
    assert!((9..=14).contains(&pages), "{pages} pages");
    for words in [
        "4.86",
        "4.08 to 5.78",
        "3.74",
        "418.14",
        "Number at risk",
        "One-stage model",
        "Records by site",
        "4,028",
    ] {
        assert!(said.contains(words), "{words} is not in the PDF");
    }
}

#[test]
fn a_preview_shows_every_number_with_the_rule_beside_each_hidden_one() {
    let output = tributary(&[
        "site",
        "preview",
        "analyses/wilms/wilms.toml",
        "--site",
        "analyses/wilms/sites/XE",
    ]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(
        said.contains("== readings_by_country (agreement)\n   visible: the hub and the"),
        "{said}"
    );
    assert!(said.contains("== cox_central (cox)\n   sealed: nobody can read"), "{said}");
    assert!(said.contains("withheld (min_cell and complementary)"), "{said}");
    let events = said.lines().find(|l| l.trim_start().starts_with("analysed, event")).unwrap();
    assert!(events.ends_with(" 29"), "{events}");
}

#[test]
fn a_site_check_counts_what_was_mapped() {
    let output = tributary(&["site", "check", "analyses/wilms/sites/XD"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let said = text(&output.stdout);
    for words in [
        "records received  485",
        "records mapped    485",
        "favourable: 435, unfavourable: 50",
        "I: 201, II: 125, III: 97, IV: 62",
    ] {
        assert!(said.contains(words), "{words}:\n{said}");
    }
}

#[test]
fn schemas_know_every_field_of_the_files_that_are_shipped() {
    let files = [
        ("analysis", vec!["analyses/wilms/wilms.toml"]),
        ("study", vec!["analyses/wilms/study.toml"]),
        ("site", vec!["analyses/wilms/sites/XA/site.toml", "analyses/wilms/sites/XD/site.toml"]),
        (
            "mapping",
            vec![
                "analyses/wilms/sites/XB/mapping.toml",
                "analyses/wilms/sites/XD/mapping.toml",
                "analyses/wilms/sites/XE/mapping.toml",
            ],
        ),
    ];
    for (kind, examples) in files {
        let output = tributary(&["analysis", "schema", kind]);
        let schema: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        for example in examples {
            let value: serde_json::Value =
                toml::from_str(&fs::read_to_string(path(example)).unwrap()).unwrap();
            let errors: Vec<String> =
                validator.iter_errors(&value).map(|e| e.to_string()).collect();
            assert!(errors.is_empty(), "{example}: {errors:?}");
        }
    }
}

#[test]
fn commands_explain_themselves() {
    let said = text(&tributary(&["models"]).stdout);
    for kind in [
        "participation",
        "characteristics",
        "agreement",
        "kaplan_meier",
        "log_rank",
        "cox",
        "meta_analysis",
    ] {
        assert!(said.contains(kind), "{kind}");
        let card = text(&tributary(&["models", kind]).stdout);
        assert!(card.contains("a site sends") && card.contains("[[model]]"), "{card}");
    }
    let unknown = tributary(&["models", "coxx"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("there is no model `coxx`"));
    for command in [
        vec!["demo"],
        vec!["run"],
        vec!["analysis", "check"],
        vec!["analysis", "schema"],
        vec!["site", "check"],
        vec!["site", "preview"],
        vec!["models"],
        vec!["report"],
    ] {
        let help = text(&tributary(&[command, vec!["--help"]].concat()).stdout);
        assert!(help.contains("Example: tributary"), "{help}");
    }
    let check = tributary(&["analysis", "check", "analyses/wilms/wilms.toml"]);
    assert_eq!(check.status.code(), Some(0));
}

/// What the README shows is what happens.
#[test]
fn commands_of_the_readme_exist() {
    let readme = fs::read_to_string(path("README.md")).unwrap();
    let commands: Vec<&str> =
        readme.lines().filter_map(|l| l.trim().strip_prefix("tributary ")).collect();
    assert!(commands.len() >= 6);
    for command in commands {
        let words: Vec<&str> = command
            .split_whitespace()
            .take_while(|w| w.chars().all(|c| c.is_ascii_lowercase()))
            .collect();
        let output = tributary(&[words.clone(), vec!["--help"]].concat());
        assert_eq!(output.status.code(), Some(0), "{words:?}");
    }
}
