//! The handbook in `docs/` works: its files are parsed by the program's own parsers, its commands are run by the program, its
//! links lead somewhere.
//!
//! The words after `toml` say what a block is: `study`, `site`, `policy`, `hub`, `keyholder`, `agent`, `mapping=STUDY`, `analysis=STUDY`
//! (a whole analysis), `models=STUDY` (models for the example analysis of that name), `report=STUDY` (its report). `file=NAME` keeps the block
//! under that name for the commands that follow. Blocks `console` are run, line after line, in a folder of their own; the lines
//! below a command have to begin a line of what it prints, in this order. With `check-options` a command is not run: its subcommand and
//! options have to exist.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use tributary::{
    hub::HubConfig,
    keyholder::KeyholderConfig,
    models::MODELS,
    plan::Plan,
    site::{AgentConfig, Mapping, SiteFolder},
    spec::Study,
};

use crate::pooling::path;

/// A fenced block.
struct Block {
    chapter: String,
    line: usize,
    info: Vec<String>,
    text: String,
}

impl Block {
    fn word(&self, key: &str) -> Option<&str> {
        self.info.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    fn has(&self, word: &str) -> bool {
        self.info.iter().any(|w| w == word)
    }

    fn place(&self) -> String {
        format!("docs/src/{}:{}", self.chapter, self.line)
    }
}

fn chapters() -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = fs::read_dir(path("docs/src"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|file| file.extension().is_some_and(|e| e == "md"))
        .map(|file| {
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(&file).unwrap())
        })
        .collect();
    found.sort();
    found
}

fn blocks(chapter: &str, text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for (i, line) in text.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => {
                let info = info.split([',', ' ']).map(str::to_owned).collect();
                let (chapter, line) = (chapter.to_owned(), i + 1);
                open = Some(Block { chapter, line, info, text: String::new() });
            }
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some(block), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{chapter}: a block is not closed");
    found
}

fn all_blocks() -> Vec<Block> {
    chapters().iter().flat_map(|(name, text)| blocks(name, text)).collect()
}

fn study(name: &str) -> Study {
    let file = format!("analyses/{name}/study.toml");
    let text = fs::read_to_string(path(&file)).unwrap();
    Study::parse(&file, &text).unwrap_or_else(|error| panic!("{error}"))
}

/// The example analysis of a study up to a line that begins with `until`.
fn head(name: &str, until: &str) -> String {
    let text = fs::read_to_string(path(&format!("analyses/{name}/{name}.toml"))).unwrap();
    let lines: Vec<&str> = text.lines().take_while(|line| !line.starts_with(until)).collect();
    format!("{}\n", lines.join("\n"))
}

fn analysis(block: &Block, study_name: &str, text: &str) {
    let checked = Plan::check(&block.place(), text, study(study_name));
    assert!(checked.is_ok(), "{}", checked.unwrap_err());
}

/// Parses a block as what it says it is.
fn parse(block: &Block) {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| {
        let file = folder.path().join(name);
        fs::write(&file, &block.text).unwrap();
        file
    };
    let place = block.place();
    let fail = |error: &dyn std::fmt::Display| -> ! { panic!("{place}: {error}") };
    match block.info[1].as_str() {
        "study" => drop(Study::parse(&place, &block.text).unwrap_or_else(|e| fail(&e))),
        "policy" => {
            let study = head_of_study(&block.text);
            let study = Study::parse(&place, &study).unwrap_or_else(|e| fail(&e));
            assert_eq!(
                study.policy,
                tributary::summary::Policy::default(),
                "{place}: the defaults"
            );
        }
        "site" => {
            file("site.toml");
            SiteFolder::open(folder.path()).unwrap_or_else(|e| fail(&e));
        }
        "hub" => drop(HubConfig::parse(&block.text, folder.path()).unwrap_or_else(|e| fail(&e))),
        "keyholder" => {
            KeyholderConfig::read(&file("keyholder.toml")).unwrap_or_else(|e| fail(&e));
        }
        "agent" => {
            file("agent.toml");
            AgentConfig::open(folder.path()).unwrap_or_else(|e| fail(&e));
        }
        _ => {
            if let Some(name) = block.word("mapping") {
                let dictionary = study(name).dictionary;
                Mapping::open(&file("mapping.toml"), &dictionary).unwrap_or_else(|e| fail(&e));
            } else if let Some(name) = block.word("analysis") {
                analysis(block, name, &block.text);
            } else if let Some(name) = block.word("models") {
                analysis(block, name, &format!("{}{}", head(name, "[[model]]"), block.text));
            } else if let Some(name) = block.word("report") {
                analysis(block, name, &format!("{}{}", head(name, "[report]"), block.text));
            } else {
                panic!("{place}: what kind of file is this? Write it after `toml`");
            }
        }
    }
}

/// A study that has only rules.
fn head_of_study(rules: &str) -> String {
    format!("id = \"s\"\ntitle = \"S\"\nsource = \"\"\nsites = [\"A\"]\n{rules}[dictionary]\n")
}

#[test]
fn every_file_of_the_handbook_is_accepted_by_its_own_parser() {
    let files: Vec<Block> = all_blocks().into_iter().filter(|b| b.info[0] == "toml").collect();
    assert!(files.len() >= 15, "{}", files.len());
    files.iter().for_each(parse);
}

/// Commands of a block with the lines that follow each.
fn commands(block: &Block) -> Vec<(String, Vec<String>)> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for line in block.text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            found.push((command.to_owned(), Vec::new()));
        } else if !line.trim().is_empty() {
            let place = block.place();
            found.last_mut().unwrap_or_else(|| panic!("{place}: no command")).1.push(line.into());
        }
    }
    found
}

/// Runs a command in `folder` as a shell would, with the program that was built in its path.
fn run(block: &Block, folder: &Path, command: &str, wanted: &[String]) {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_tributary"));
    let paths = format!("{}:{}", program.parent().unwrap().display(), env::var("PATH").unwrap());
    let output = Command::new("sh")
        .args(["-c", command])
        .current_dir(folder)
        .env("PATH", paths)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let told = String::from_utf8_lossy(&output.stderr);
    let exit = block.word("exit").map_or(0, |code| code.parse().unwrap());
    assert_eq!(output.status.code(), Some(exit), "{}: {command}\n{said}\n{told}", block.place());
    let mut lines = said.lines();
    for line in wanted {
        let begins = |l: &str| l.trim_start().starts_with(line.trim_start());
        assert!(lines.any(begins), "{}: {command} does not print `{line}`:\n{said}", block.place());
    }
}

/// A command that is not run: its subcommand and its options exist.
fn exists(block: &Block, command: &str) {
    let mut words = command.split_whitespace();
    assert_eq!(words.next(), Some("tributary"), "{}: {command}", block.place());
    let is_subcommand = |w: &&str| w.chars().all(|c| c.is_ascii_lowercase());
    let groups = ["analysis", "site", "hub", "keyholder", "roster", "audit"];
    let words: Vec<&str> = words.take_while(is_subcommand).collect();
    let depth = if groups.contains(&words[0]) { 2 } else { 1 };
    let output = Command::new(env!("CARGO_BIN_EXE_tributary"))
        .args(&words[..depth])
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8_lossy(&output.stdout);
    let usage = format!("tributary {}", words[..depth].join(" "));
    assert!(help.contains(&usage), "{}: there is no `{usage}`", block.place());
    for option in command.split_whitespace().filter(|w| w.starts_with("--")) {
        assert!(help.contains(option), "{}: `{usage}` has no {option}", block.place());
    }
}

/// Runs or checks the commands of a chapter, one after the other, in a folder of their own: how many were run and checked.
fn play(name: &str, text: &str) -> [usize; 2] {
    let folder = tempfile::tempdir().unwrap();
    for shared in ["analyses", "tests"] {
        std::os::unix::fs::symlink(path(shared), folder.path().join(shared)).unwrap();
    }
    let [mut ran, mut checked] = [0, 0];
    for block in blocks(name, text) {
        if let Some(file) = block.word("file") {
            fs::write(folder.path().join(file), &block.text).unwrap();
        }
        if block.info[0] != "console" {
            continue;
        }
        for (command, wanted) in commands(&block) {
            if block.has("check-options") {
                exists(&block, &command);
                checked += 1;
            } else {
                run(&block, folder.path(), &command, &wanted);
                ran += 1;
            }
        }
    }
    [ran, checked]
}

#[test]
fn every_command_of_the_handbook_works() {
    let chapters = chapters();
    let counts: Vec<[usize; 2]> = std::thread::scope(|scope| {
        let played: Vec<_> =
            chapters.iter().map(|(name, text)| scope.spawn(|| play(name, text))).collect();
        let joined = played.into_iter().map(|thread| thread.join());
        joined.map(|counts| counts.unwrap_or_else(|e| std::panic::resume_unwind(e))).collect()
    });
    let [ran, checked] = [0, 1].map(|i| counts.iter().map(|c| c[i]).sum::<usize>());
    assert!(ran >= 25 && checked >= 10, "{ran} run, {checked} checked");
}

/// Shell commands shown for people, in blocks `sh`, that begin with the program's name.
#[test]
fn commands_shown_for_a_shell_exist() {
    let mut found = 0;
    for block in all_blocks().iter().filter(|b| b.info[0] == "sh") {
        for line in block.text.lines() {
            let line = line.trim().replace("cargo run --release -- ", "tributary ");
            if line.starts_with("tributary ") {
                exists(block, &line);
                found += 1;
            }
        }
    }
    assert!(found >= 3);
}

/// The anchor that mdBook and GitHub make of a heading.
fn anchor(heading: &str) -> String {
    let plain: String =
        heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_')).collect();
    plain.trim().to_lowercase().replace(' ', "-")
}

fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|l| l.starts_with('#'));
    headings.map(|l| anchor(l.trim_start_matches('#'))).collect()
}

/// Targets of the links of a page, outside blocks and code.
fn links(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut in_block = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        }
        let rest = if in_block { "" } else { line };
        let targets = rest.split("](").skip(1).filter_map(|part| part.split_once(')'));
        found.extend(targets.map(|(target, _)| target.to_owned()));
    }
    found
}

fn follow(page: &Path, text: &str) -> usize {
    let targets = links(text);
    for target in &targets {
        if target.starts_with("https://") {
            continue;
        }
        let (file, heading) = target.split_once('#').unwrap_or((target, ""));
        let place = page.parent().unwrap().join(file);
        let found = if file.is_empty() { page.to_owned() } else { place };
        assert!(found.exists(), "{}: {target} leads nowhere", page.display());
        if !heading.is_empty() {
            let known = anchors(&fs::read_to_string(&found).unwrap());
            assert!(known.contains(heading), "{}: no heading {target}", page.display());
        }
    }
    targets.len()
}

#[test]
fn every_link_of_the_handbook_and_the_front_pages_leads_somewhere() {
    let mut followed = 0;
    for (name, text) in chapters() {
        followed += follow(&path("docs/src").join(name), &text);
    }
    for page in ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "tests/reference/README.md"] {
        followed += follow(&path(page), &fs::read_to_string(path(page)).unwrap());
    }
    assert!(followed > 50, "{followed}");
}

#[test]
fn the_summary_names_every_chapter_once_and_the_readme_leads_to_it() {
    let summary = fs::read_to_string(path("docs/src/SUMMARY.md")).unwrap();
    let mut named = links(&summary);
    let mut files: Vec<String> = chapters().into_iter().map(|(name, _)| name).collect();
    files.retain(|name| name != "SUMMARY.md");
    named.sort();
    assert_eq!(named, files);
    for (name, text) in chapters().iter().filter(|(name, _)| name != "SUMMARY.md") {
        assert!(text.starts_with("# "), "{name} begins with its title");
    }
    let book: toml::Table = fs::read_to_string(path("docs/book.toml")).unwrap().parse().unwrap();
    assert_eq!(book["book"]["src"].as_str(), Some("src"));
    let readme = fs::read_to_string(path("README.md")).unwrap();
    assert!(links(&readme).iter().any(|l| l == "docs/src/SUMMARY.md"));
    assert!(readme.contains(&format!("[{} models]", MODELS.len())));
}

#[test]
fn the_tables_of_models_have_a_line_for_each() {
    for chapter in ["models.md", "checked.md"] {
        let text = fs::read_to_string(path("docs/src").join(chapter)).unwrap();
        for model in MODELS {
            let line = format!("| `{}` |", model.card().kind);
            assert_eq!(text.matches(&line).count(), 1, "{chapter}: {line}");
        }
    }
}
