//! The plan of the house: each crate, and each module of `core`, may use those below it only.

use std::{collections::BTreeMap, fs, path::Path};

use crate::pooling::path;

/// Crates from the ground up, with the crates of the house each may use. Cargo keeps the arrows; this keeps the plan.
const CRATES: &[(&str, &[&str])] = &[
    ("stats", &[]),
    ("disclosure", &[]),
    ("core", &["stats"]),
    ("meta", &["stats", "core"]),
    ("models", &["stats", "core", "meta"]),
    ("report", &["stats", "core", "meta", "models"]),
    ("client", &["core"]),
    ("site", &["stats", "core", "models", "client"]),
    ("hub", &["core", "models", "report", "client"]),
];

/// What must not be built into a crate, and why.
const KEPT_OUT: &[(&str, &[&str])] = &[
    // Kernels know nothing of files, networks or wire formats.
    ("stats", &["serde", "serde_json", "tokio", "polars"]),
    ("disclosure", &["serde", "serde_json", "tokio", "polars"]),
    // What both sides share reads no registry and serves nobody.
    ("core", &["polars", "axum", "sqlx", "tokio", "ureq"]),
    ("models", &["polars", "axum", "sqlx", "tokio", "ureq"]),
    // A site connects outwards only.
    ("site", &["axum", "sqlx", "tokio"]),
    // A hub cannot read records.
    ("hub", &["polars"]),
];

/// Modules of `core` from the ground up, with the modules each may use beside itself.
const MODULES: &[(&str, &[&str])] = &[
    ("limits", &[]),
    ("vocabulary", &[]),
    ("estimate", &[]),
    ("summary", &["limits"]),
    ("cohort", &["limits", "summary"]),
    ("spec", &["limits", "summary", "cohort"]),
    ("model", &["limits", "summary", "cohort", "estimate", "spec"]),
    ("run", &["summary", "estimate", "model"]),
    ("seal", &["summary"]),
    ("ledger", &["seal"]),
    ("protocol", &["summary", "seal", "run"]),
];

/// A file over this many lines has two subjects.
const LONGEST: usize = 600;

fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let name = path.strip_prefix(crate::pooling::path(".")).unwrap().display().to_string();
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

/// Every file of tests, by its path.
fn tests() -> Vec<(String, String)> {
    let mut found = Vec::new();
    sources(&path("tests"), &mut found);
    found.sort();
    found
}

/// Every source file of the program, by its path.
fn all() -> Vec<(String, String)> {
    let mut found = Vec::new();
    sources(&path("src"), &mut found);
    for (name, _) in CRATES {
        sources(&path(&format!("crates/{name}/src")), &mut found);
    }
    found.sort();
    found
}

/// Names of the packages that a manifest depends on.
fn dependencies(manifest: &str) -> Vec<String> {
    let text = fs::read_to_string(path(manifest)).unwrap();
    let parsed: toml::Table = toml::from_str(&text).unwrap();
    parsed["dependencies"].as_table().unwrap().keys().cloned().collect()
}

/// Modules that a source text names as `crate::module` or inside `crate::{module::…, module::…}`.
fn named(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let code: String =
        text.lines().filter(|l| !l.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + 7..];
        let Some(group) = rest.strip_prefix('{') else {
            found.push(rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect());
            continue;
        };
        let mut depth = 0;
        let mut word = String::new();
        let mut at_start = true;
        for c in group.chars() {
            match c {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => at_start = true,
                c if depth == 0 && at_start && (c.is_ascii_lowercase() || c == '_') => word.push(c),
                c if depth == 0 && at_start && !c.is_whitespace() => at_start = false,
                _ => {}
            }
            if (!at_start || c == ',') && !word.is_empty() {
                found.push(std::mem::take(&mut word));
            }
        }
        if !word.is_empty() {
            found.push(word);
        }
    }
    found
}

#[test]
fn crates_depend_downwards_only() {
    for (i, (name, uses)) in CRATES.iter().enumerate() {
        let found = dependencies(&format!("crates/{name}/Cargo.toml"));
        let of_the_house: Vec<&str> =
            found.iter().filter_map(|d| d.strip_prefix("tributary-")).collect();
        for used in &of_the_house {
            assert!(uses.contains(used), "{name} depends on {used}, which the plan does not allow");
            let at = CRATES.iter().position(|(other, _)| other == used).unwrap();
            assert!(at < i, "{name} depends on {used}, which stands above it");
        }
    }
    let folders = fs::read_dir(path("crates")).unwrap().count();
    assert_eq!(folders, CRATES.len(), "a crate that the plan does not name");
}

#[test]
fn what_a_crate_must_not_know_is_not_among_its_dependencies() {
    for (name, kept_out) in KEPT_OUT {
        let found = dependencies(&format!("crates/{name}/Cargo.toml"));
        for package in *kept_out {
            assert!(!found.iter().any(|d| d == package), "{name} depends on {package}");
        }
    }
}

#[test]
fn modules_of_core_use_those_below_them_only() {
    let allowed: BTreeMap<&str, &[&str]> = MODULES.iter().copied().collect();
    let mut wrong = Vec::new();
    for (file, text) in all() {
        let Some(inside) = file.strip_prefix("crates/core/src/") else { continue };
        let here = inside.split(['/', '.']).next().unwrap();
        if here == "lib" {
            continue;
        }
        let modules =
            allowed.get(here).unwrap_or_else(|| panic!("{file}: no module `{here}` in the plan"));
        for target in named(&text) {
            let known = allowed.contains_key(target.as_str());
            if known && target != here && !modules.contains(&target.as_str()) {
                wrong.push(format!("{file} uses {target}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for (i, (name, uses)) in MODULES.iter().enumerate() {
        for target in *uses {
            let at = MODULES.iter().position(|(module, _)| module == target).unwrap();
            assert!(at < i, "{name} uses {target}, which stands above it");
        }
    }
}

#[test]
fn rows_are_read_in_one_file_and_polars_is_named_there_alone() {
    for (file, text) in all() {
        let names_polars =
            text.lines().any(|l| !l.trim_start().starts_with("//") && l.contains("polars::"));
        assert!(!names_polars || file == "crates/site/src/reader.rs", "{file} names polars");
        // A summary enters a site by the gate alone, never by JSON.
        let reads_json = file.starts_with("crates/site/") && text.contains("from_str::<Summary>");
        assert!(!reads_json, "{file} reads a summary");
    }
}

#[test]
fn files_have_one_subject() {
    for (file, text) in all().into_iter().chain(tests()) {
        let lines = text.lines().count();
        assert!(lines <= LONGEST, "{file} has {lines} lines");
        assert!(text.starts_with("//!"), "{file} does not open with what it is");
    }
}

/// Calls that end the program where they fail.
const MAY_END_THE_PROGRAM: &[&str] = &[".unwrap()", ".expect(", ".unwrap_err()", ".expect_err("];

/// Each call that may end the program stands below a comment that says why it does not, one comment for each call.
#[test]
fn every_unwrap_has_its_proof() {
    let mut without = Vec::new();
    for (file, text) in all() {
        if file.ends_with("tests.rs") {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap();
        let mut proofs = 0;
        for (i, line) in code.lines().enumerate() {
            if line.trim_start().starts_with("//") {
                proofs += line.matches("Unwrap safety:").count();
                continue;
            }
            for call in MAY_END_THE_PROGRAM.iter().flat_map(|call| line.matches(call)) {
                if proofs == 0 {
                    without.push(format!("{file}:{}: {call}", i + 1));
                }
                proofs = proofs.saturating_sub(1);
            }
        }
        assert_eq!(proofs, 0, "{file}: a proof without a call");
    }
    assert!(without.is_empty(), "{without:#?}");
}

/// The plan in ARCHITECTURE.md names every crate, and every module of `core`.
#[test]
fn the_architecture_page_names_every_crate_and_module() {
    let page = fs::read_to_string(path("ARCHITECTURE.md")).unwrap();
    for (name, _) in CRATES {
        assert!(page.contains(&format!("`crates/{name}/`")), "{name}");
    }
    for (name, _) in MODULES {
        assert!(page.contains(&format!("`{name}")), "{name}");
    }
}
