//! The protocol by file: the same analysis in several exchanges, answered, opened and pooled by commands.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use serde_json::Value;

use crate::parties::{Parties, agents, counted, finish, outcomes, results};

fn tributary(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tributary")).args(arguments).output().unwrap()
}

fn run(arguments: &[&str], code: i32) -> String {
    let output = tributary(arguments);
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{said}");
    said
}

#[test]
fn an_iterative_analysis_by_file_gives_the_numbers_of_the_live_run() {
    let parties = Parties::found(3, 3);
    let at = |part: &str| parties.path(part).display().to_string();
    let (spec, roster, out) = (at("powers.toml"), at("roster.toml"), at("pooled"));
    parties.keyholder_file("127.0.0.1:0");
    let said = run(&["analysis", "check", &spec], 0);
    assert!(said.contains("several rounds") && said.contains("meta_analysis"), "{said}");
    let mut exchanges = 0;
    let mut question: Option<PathBuf> = None;
    loop {
        exchanges += 1;
        assert!(exchanges < 15);
        let mut answers = Vec::new();
        for code in &parties.codes {
            let file = at(&format!("{code}-{exchanges}.txt"));
            let (site, keys) = (at(&format!("sites/{code}")), at(&format!("agents/{code}")));
            let mut arguments = vec![
                "site", "answer", &spec, "--site", &site, "--keys", &keys, "--roster", &roster,
                "-o", &file,
            ];
            let asked = question.as_ref().map(|q| q.display().to_string());
            if let Some(asked) = &asked {
                arguments.extend(["--question", asked]);
            }
            let said = run(&arguments, 0);
            assert!(said.contains("signed"), "{said}");
            // Asked again, the same answer comes again: the ledger knows it.
            let again = at(&format!("{code}-{exchanges}-again.txt"));
            let at_o = arguments.iter().position(|a| *a == "-o").unwrap() + 1;
            arguments[at_o] = &again;
            run(&arguments, 0);
            let text = fs::read_to_string(&file).unwrap();
            assert_eq!(text, fs::read_to_string(&again).unwrap());
            // A registry can read what it sends: the header is JSON, the form of every array in it.
            assert!(
                text.starts_with("tributary answer 1\n{\n  \"about\": \"What site"),
                "{}",
                &text[..200]
            );
            assert!(text.contains("\"site\": \""));
            answers.push(file);
        }
        let (keys, request) =
            (at("hub"), at(&format!("pooled.exchange/opening-request-{exchanges}.txt")));
        let mut pool = vec!["hub", "pool", &spec];
        pool.extend(answers.iter().map(String::as_str));
        pool.extend(["--keys", &keys, "--roster", &roster, "--out", &out]);
        let said = run(&pool, 1);
        assert!(said.contains("send") && said.contains("keyholder"), "{said}");
        let (config, opening) =
            (at("keyholder/keyholder.toml"), at(&format!("opening-{exchanges}.txt")));
        let said = run(&["keyholder", "open", &config, &request, "-o", &opening], 0);
        assert!(said.contains("opened for S0, S1, S2"), "{said}");
        // What the keyholder got holds no answer: no words follow its header.
        assert!(fs::read_to_string(&request).unwrap().contains("\npayload 0\n"));
        pool.extend(["--opening", &opening]);
        let output = tributary(&pool);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if parties.path("pooled/results.json").is_file() {
            break;
        }
        assert_eq!(
            output.status.code(),
            Some(1),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(said.contains("need another round: cox") && said.contains("--question"), "{said}");
        question = Some(parties.path(&format!("pooled.exchange/question-{}.txt", exchanges + 1)));
    }
    assert!(exchanges > 3);
    let found: Value = serde_json::from_str(&parties.text("pooled/results.json")).unwrap();
    assert_eq!(counted(&found), [0, 1, 2]);

    // Ledgers and fingerprints, as an auditor sees them.
    let said = run(&["audit", "verify", &at("agents/S0/ledger.jsonl")], 0);
    assert!(said.contains("chain intact"), "{said}");
    run(&["audit", "verify", &at("keyholder/ledger.jsonl")], 0);
    let said = run(&["roster", "show", &roster], 0);
    assert!(said.contains(&parties.roster.hash()), "{said}");
    let ledger = parties.text("agents/S0/ledger.jsonl");
    fs::write(parties.path("broken.jsonl"), ledger.replacen("\"round\":0", "\"round\":5", 1))
        .unwrap();
    let said = run(&["audit", "verify", &at("broken.jsonl")], 2);
    assert!(said.contains("line 1") && said.contains("altered"), "{said}");

    // An answer of another specification is refused by name and file.
    let other = parties.text("powers.toml").replace("\"group\", \"age\"", "\"group\"");
    fs::write(parties.path("other.toml"), other).unwrap();
    let said = run(
        &[
            "hub",
            "pool",
            &at("other.toml"),
            &at("S0-1.txt"),
            &at("S1-1.txt"),
            &at("S2-1.txt"),
            "--keys",
            &at("hub"),
            "--roster",
            &roster,
            "--out",
            &at("other"),
        ],
        2,
    );
    assert!(said.contains("S0-1.txt") && said.contains("specification"), "{said}");

    // The same study live.
    let database = parties.sqlite();
    for part in ["agents/S0", "agents/S1", "agents/S2"] {
        fs::remove_dir_all(parties.path(part).join("answers")).unwrap();
    }
    let live = parties.live(&database);
    let id = live.open_run();
    assert_eq!(finish(&live, &mut agents(&live), &id)["state"], "done");
    assert_eq!(outcomes(&found), outcomes(&results(&live, &id)));
}

#[test]
fn a_registry_lists_shows_previews_and_decides() {
    let parties = Parties::found(3, 3);
    let database = parties.sqlite();
    let live = parties.live(&database);
    let id = live.open_run();
    let code = &live.parties.codes[0];
    let folder = live.parties.agent_file(code, &live.url, false);
    agents(&live)[0].once(0).unwrap();
    let agent = folder.display().to_string();
    let said = run(&["site", "pending", &agent], 0);
    assert!(said.contains(&id) && said.contains("undecided"), "{said}");
    let said = run(&["site", "show", &agent, &id], 0);
    assert!(
        said.contains("Who was counted?")
            && said.contains(&live.parties.plan.hash)
            && said.contains("nobody: only the sum"),
        "{said}"
    );
    let said = run(&["site", "preview", &id, "--agent", &agent], 0);
    // Every number of S0: 8 records.
    assert!(
        said.contains("persons")
            && said.contains(" 8\n")
            && said.contains("sealed: nobody can read"),
        "{said}"
    );
    let said = run(&["site", "approve", &agent, &id, "--by", "Dr Martin"], 0);
    assert!(said.contains("approved") && said.contains(&live.parties.plan.hash), "{said}");
    let said = run(&["site", "decline", &agent, &id, "--by", "Dr Martin"], 2);
    assert!(said.contains("a decision cannot be changed"), "{said}");
    let said = run(&["site", "pending", &agent], 0);
    assert!(said.contains("approved by Dr Martin"), "{said}");
    let mut all = agents(&live);
    assert_eq!(finish(&live, &mut all, &id)["state"], "done");
    drop(all);
    assert!(fs::read_to_string(folder.join("ledger.jsonl")).unwrap().contains("Dr Martin"));
    let said = run(&["audit", "verify", "--database", &database], 0);
    assert!(said.contains("chain intact"), "{said}");
}

#[test]
fn keys_are_made_once_and_for_their_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let at = |part: &str| folder.path().join(part).display().to_string();
    for (party, code, wanted) in [
        ("site", &["--code", "XA"][..], "[sites.XA]"),
        ("hub", &[], "[hub]"),
        ("keyholder", &[], "sealing_key = \"x25519:"),
    ] {
        let folder = at(party);
        let command = [&[party, "keygen", &folder], code].concat();
        let said = run(&command, 0);
        assert!(said.contains(wanted), "{said}");
        let said = run(&command, 2);
        assert!(said.contains("signing.key"), "{said}");
    }
    let said = run(&["site", "keygen", &at("other"), "--code", "X A"], 2);
    assert!(said.contains("site code `X A`: expected 1 to 16 letters"), "{said}");
}
