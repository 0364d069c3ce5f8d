//! Completions, manual pages and units name commands that exist.

use std::{fs, process::Command};

use crate::pooling::path;

fn tributary(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tributary")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn shells_learn_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let text = tributary(&["completions", shell]);
        assert!(text.contains("keyholder") && text.contains("preview"), "{shell}");
    }
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let said = tributary(&["manual", folder.path().to_str().unwrap()]);
    let pages = fs::read_dir(folder.path()).unwrap().count();
    assert!(pages > 20 && said.starts_with(&pages.to_string()), "{said}");
    let page = fs::read_to_string(folder.path().join("tributary-site-preview.1")).unwrap();
    assert!(page.contains("rule"), "{page}");
}

/// The command that each unit of systemd starts is one of the program's.
#[test]
fn units_start_commands_that_exist() {
    let mut found = 0;
    for entry in fs::read_dir(path("deploy")).unwrap() {
        let file = entry.unwrap().path();
        if file.extension().is_none_or(|e| e != "service") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let line = text.lines().find_map(|l| l.strip_prefix("ExecStart=/usr/local/bin/tributary "));
        let mut words: Vec<&str> = line.unwrap().split(' ').collect();
        words.pop();
        words.push("--help");
        assert!(tributary(&words).contains("Usage: tributary"), "{}", file.display());
        found += 1;
    }
    assert_eq!(found, 3);
}
