//! The plan of the house: each room may use rooms below it only. Held against every `crate::` path in the sources.

use std::{collections::BTreeMap, fs, path::Path};

use crate::pooling::path;

/// Rooms from the ground up, with the rooms each may use beside itself.
const ROOMS: &[(&str, &[&str])] = &[
    ("stats", &[]),
    ("limits", &[]),
    ("summary", &["stats", "limits"]),
    ("vocabulary", &[]),
    ("seal", &["summary"]),
    ("ledger", &["seal"]),
    ("cohort", &["stats", "limits", "summary"]),
    ("estimate", &[]),
    ("spec", &["limits", "summary", "cohort"]),
    ("meta", &["stats", "limits", "estimate"]),
    ("model", &["stats", "limits", "summary", "cohort", "estimate", "spec"]),
    (
        "models",
        &[
            "stats",
            "limits",
            "summary",
            "cohort",
            "estimate",
            "meta",
            "spec",
            "model",
            "vocabulary",
        ],
    ),
    ("run", &["summary", "estimate", "model"]),
    ("plan", &["summary", "spec", "model", "models", "run"]),
    ("protocol", &["summary", "seal", "run"]),
    ("client", &["seal", "protocol"]),
    ("serve", &["protocol"]),
    ("results", &["limits", "summary", "estimate", "spec", "run", "plan"]),
    ("report", &["stats", "summary", "estimate", "spec", "run", "results"]),
    (
        "site",
        &[
            "stats", "summary", "cohort", "spec", "model", "models", "run", "plan", "seal",
            "ledger", "protocol", "client",
        ],
    ),
    ("keyholder", &["summary", "seal", "ledger", "protocol", "serve"]),
    (
        "hub",
        &[
            "summary", "spec", "model", "models", "run", "plan", "results", "report", "seal",
            "ledger", "protocol", "client", "serve",
        ],
    ),
    (
        "cli",
        &[
            "stats",
            "limits",
            "summary",
            "estimate",
            "meta",
            "spec",
            "model",
            "models",
            "run",
            "plan",
            "results",
            "report",
            "site",
            "hub",
            "keyholder",
            "seal",
            "ledger",
            "protocol",
            "client",
            "serve",
        ],
    ),
];

/// A file over this many lines has two subjects.
const LONGEST: usize = 600;

fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let name =
                path.strip_prefix(crate::pooling::path("src")).unwrap().display().to_string();
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
}

fn all() -> Vec<(String, String)> {
    let mut found = Vec::new();
    sources(&path("src"), &mut found);
    found.sort();
    found
}

fn room(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap()
}

/// Rooms that a source text names as `crate::room` or inside `crate::{room::…, room::…}`.
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
fn arrows_point_down() {
    let allowed: BTreeMap<&str, &[&str]> = ROOMS.iter().copied().collect();
    let mut wrong = Vec::new();
    for (file, text) in all() {
        let here = room(&file).to_owned();
        if here == "lib" || here == "main" {
            continue;
        }
        let rooms = allowed
            .get(here.as_str())
            .unwrap_or_else(|| panic!("{file}: no room `{here}` in the plan"));
        for target in named(&text) {
            let known = allowed.contains_key(target.as_str());
            if known && target != here && !rooms.contains(&target.as_str()) {
                wrong.push(format!("{file} uses {target}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_plan_itself_has_no_circle() {
    for (i, (name, uses)) in ROOMS.iter().enumerate() {
        for target in *uses {
            let at = ROOMS.iter().position(|(room, _)| room == target).unwrap();
            assert!(at < i, "{name} uses {target}, which stands above it");
        }
    }
}

#[test]
fn rows_are_read_in_one_file_and_polars_is_named_there_alone() {
    for (file, text) in all() {
        let names_polars =
            text.lines().any(|l| !l.trim_start().starts_with("//") && l.contains("polars::"));
        assert!(!names_polars || file == "site/reader.rs", "{file} names polars");
        // A summary enters the site's room by the gate alone, never by JSON.
        let reads_json = room(&file) == "site" && text.contains("from_str::<Summary>");
        assert!(!reads_json, "{file} reads a summary");
    }
}

#[test]
fn files_have_one_subject() {
    for (file, text) in all() {
        let lines = text.lines().count();
        assert!(lines <= LONGEST, "{file} has {lines} lines");
        assert!(text.starts_with("//!"), "{file} does not open with what it is");
    }
}

#[test]
fn every_unwrap_has_its_proof() {
    for (file, text) in all() {
        if file.ends_with("tests.rs") {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap();
        let unwraps = code
            .lines()
            .filter(|l| !l.trim_start().starts_with("//"))
            .filter(|l| l.contains(".unwrap()"))
            .count();
        let proofs = code.matches("Unwrap safety:").count();
        assert!(unwraps <= proofs, "{file}: {unwraps} unwraps, {proofs} with their proof");
    }
}

/// The house plan in ARCHITECTURE.md names every room.
#[test]
fn the_architecture_page_names_every_room() {
    let page = fs::read_to_string(path("ARCHITECTURE.md")).unwrap();
    for (name, _) in ROOMS {
        assert!(page.contains(&format!("`{name}")), "{name}");
    }
}
