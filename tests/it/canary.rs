//! The hub alone learns no site's number, the keyholder no number at all. A rare count is planted in one country and searched
//! for in every file, database page, log line and packet of hub and keyholder; with the mask left out, the same search finds
//! it. Sentinel values planted in a registry are searched for in the same places.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use base64ct::{Base64, Encoding};
use tributary::{
    client::{Client, Identity},
    protocol::{AnswerFile, Document, Payload},
    seal::words,
};

use crate::parties::{Parties, Service, administrator, free_port};

/// The number of a site's records in group b: 7919 occurs in no other place.
const CANARY: u64 = 7919;
/// Cells of the registry that must never leave it, in any form.
const SENTINELS: [&str; 3] = ["Zyxwvut-Quorsum", "8764", "117"];

fn records(k: usize) -> String {
    let mut text = "patient,time,event,group,age\n".to_owned();
    let (a, b) = if k == 1 { (5000, CANARY as usize) } else { (400 + k, 300 + 7 * k) };
    for i in 0..a + b {
        let (group, event) = (if i < a { "a" } else { "b" }, u8::from(i % 3 == 0));
        // One record of S1 carries the sentinels: its name, its time, its age.
        if k == 1 && i == 77 {
            text.push_str(&format!(
                "{},{},1,{group},{}\n",
                SENTINELS[0], SENTINELS[1], SENTINELS[2]
            ));
        } else {
            text.push_str(&format!("P{k}x{i},{},{event},{group},{}\n", 30 + i % 1900, i % 90));
        }
    }
    text
}

const ANALYSIS: &str = "id = \"powers\"\ntitle = \"Canary\"\nquestion = \"Who sings?\"\nstudy = \"powers\"\n\
    [[model]]\nid = \"table\"\nkind = \"characteristics\"\nvariables = [\"group\"]\n";

/// Forwards a port and keeps every byte that passes, both ways.
fn tap(to: u16) -> (u16, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = Arc::new(Mutex::new(Vec::new()));
    let kept = heard.clone();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (Ok(client), Ok(server)) = (client, TcpStream::connect(("127.0.0.1", to))) else {
                continue;
            };
            for (mut from, mut to) in
                [(client.try_clone().unwrap(), server.try_clone().unwrap()), (server, client)]
            {
                let kept = kept.clone();
                std::thread::spawn(move || {
                    let mut buffer = vec![0; 65536];
                    while let Ok(n @ 1..) = from.read(&mut buffer) {
                        kept.lock().unwrap().extend_from_slice(&buffer[..n]);
                        if to.write_all(&buffer[..n]).is_err() {
                            break;
                        }
                    }
                    let _ = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
    (port, heard)
}

/// Forms in which a count may stand somewhere.
fn forms(count: u64) -> Vec<Vec<u8>> {
    let word = words::to_bytes(&[u128::from(count)]);
    let mut forms = vec![count.to_string().into_bytes(), format!("{count}.0").into_bytes()];
    // A whole word, and the same within base64 at each of its three alignments. Words stand between zeros in a table of
    // small counts, so their neighbours are tried as 0.
    forms.push(word.clone());
    for before in 0..3 {
        let mut bytes = vec![0; before];
        bytes.extend_from_slice(&word);
        let text = Base64::encode_string(&bytes);
        // Without the characters that also hold bits of a neighbour, but with those that hold the count.
        forms.push(text.as_bytes()[[0, 2, 3][before]..text.len() - 4].to_vec());
    }
    forms
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    needle.len() <= haystack.len() && haystack.windows(needle.len()).any(|w| w == needle)
}

/// A decimal number that stands alone, not inside a longer one, a hash or base64.
fn contains_number(haystack: &[u8], digits: &str) -> bool {
    place_of_number(haystack, digits).is_some()
}

fn place_of_number(haystack: &[u8], digits: &str) -> Option<usize> {
    let plain = |b: Option<&u8>| {
        b.is_none_or(|b| {
            !b.is_ascii_alphanumeric()
                && *b != b'+'
                && *b != b'/'
                && *b != b'.'
                && *b != b'-'
                && *b != b'='
        })
    };
    let alone = |i: usize| {
        plain(i.checked_sub(1).and_then(|i| haystack.get(i)))
            && plain(haystack.get(i + digits.len()))
    };
    let mut at = haystack.windows(digits.len()).enumerate();
    at.find(|(i, window)| *window == digits.as_bytes() && alone(*i)).map(|(i, _)| i)
}

/// Where the canary was found.
fn search(places: &[(String, Vec<u8>)], count: u64) -> Vec<String> {
    let digits = count.to_string();
    let mut found = Vec::new();
    for (name, bytes) in places {
        let in_words = forms(count)[2..].iter().any(|form| contains(bytes, form));
        if let Some(at) = place_of_number(bytes, &digits) {
            let around = &bytes[at.saturating_sub(60)..(at + 40).min(bytes.len())];
            found.push(format!("{name}: {}", String::from_utf8_lossy(around)));
        } else if in_words {
            found.push(format!("{name}, as a word"));
        }
        // Line breaks of base64 may fall inside a word: payloads are also read as what they are.
        let text = String::from_utf8_lossy(bytes);
        for part in text.split("tributary answer 1\n").skip(1) {
            let document = format!("tributary answer 1\n{part}");
            let end = document.find("\nend\n").map_or(document.len(), |i| i + 5);
            if let Ok(answer) = Document::parse(&document[..end]) {
                let answer: AnswerFile = answer;
                if answer.words.contains(&u128::from(count)) {
                    found.push(format!("{name}, payload of {}", answer.header.site));
                }
            }
        }
    }
    found
}

fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            found.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    found
}

#[test]
fn the_number_of_one_country_is_nowhere_at_hub_and_keyholder_and_would_be_found() {
    let parties = Parties::with(4, 3, ANALYSIS, &records);
    let [hub_port, keyholder_port] = [free_port(), free_port()];
    let (hub_tap, at_hub) = tap(hub_port);
    let (keyholder_tap, at_keyholder) = tap(keyholder_port);
    let keyholder_file = parties.keyholder_file(&format!("127.0.0.1:{keyholder_port}"));
    let hub_file = parties.hub_file(
        "hub.toml",
        &format!("127.0.0.1:{hub_port}"),
        &format!("http://127.0.0.1:{keyholder_tap}"),
        "sqlite:hub.db",
        "",
    );
    let token = tokio::runtime::Runtime::new().unwrap().block_on(async {
        administrator(&tributary::hub::store::Store::connect(&parties.sqlite()).await.unwrap())
            .await
    });
    let text = |path: &Path| path.display().to_string();
    let _keyholder = Service::start(
        &["keyholder", "serve", &text(&keyholder_file)],
        &parties.path("keyholder/log.jsonl"),
    );
    let _hub = Service::start(&["hub", "serve", &text(&hub_file)], &parties.path("hub/log.jsonl"));
    let url = format!("http://127.0.0.1:{hub_tap}");
    let root = Client::new(&url, None, Identity::Token(token)).unwrap();
    let begun = Instant::now();
    while root.get::<serde_json::Value>("/ready").is_err() {
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(50));
    }
    root.text("PUT", "/v1/studies/powers", &parties.text("study.toml")).unwrap();
    root.text("PUT", "/v1/studies/powers/roster", &parties.text("roster.toml")).unwrap();
    root.text("PUT", "/v1/analyses/powers", &parties.text("powers.toml")).unwrap();
    let mut agents = Vec::new();
    for code in &parties.codes {
        let folder = parties.agent_file(code, &url, true);
        agents.push(Service::start(&["site", "agent", &text(&folder)], &folder.join("log.jsonl")));
    }
    let run: serde_json::Value =
        serde_json::from_str(&root.text("POST", "/v1/runs", "{\"analysis\": \"powers\"}").unwrap())
            .unwrap();
    let id = run["id"].as_str().unwrap();
    let state = || root.get::<serde_json::Value>(&format!("/v1/runs/{id}")).unwrap();
    while state()["state"] != "done" {
        assert!(begun.elapsed() < Duration::from_mins(1), "{}", state());
        std::thread::sleep(Duration::from_millis(50));
    }
    let results: serde_json::Value = root.get(&format!("/v1/runs/{id}/results")).unwrap();
    // The pooled number is there: 300 + 7919 + 314 + 321.
    let pooled = results.to_string();
    assert!(pooled.contains("8854.0"), "{pooled}");
    for page in ["report.html", "events", ""] {
        root.text("GET", format!("/v1/runs/{id}/{page}").trim_end_matches('/'), "").unwrap();
    }
    for page in ["/metrics", "/docs", "/v1/audit", "/openapi.json"] {
        root.text("GET", page, "").unwrap();
    }

    let mut places = files(&parties.path("hub"));
    places.extend(files(&parties.path("keyholder")));
    places.push(("packets of the hub".into(), at_hub.lock().unwrap().clone()));
    places.push(("packets of the keyholder".into(), at_keyholder.lock().unwrap().clone()));
    assert!(places.iter().any(|(name, bytes)| name.ends_with("hub.db") && bytes.len() > 50_000));
    assert!(places.iter().any(|(name, bytes)| name.ends_with("log.jsonl") && bytes.len() > 1000));
    assert!(places.iter().all(|(name, bytes)| !name.starts_with("packets") || bytes.len() > 1000));
    let nothing: Vec<String> = Vec::new();
    assert_eq!(search(&places, CANARY), nothing);

    // Sentinels: in no place of hub or keyholder, and not in what the agent writes for others.
    let mut everywhere = places.clone();
    for code in &parties.codes {
        let folder = parties.path("agents").join(code.as_str());
        everywhere.extend(files(&folder));
        everywhere.extend(files(&folder.join("answers")));
    }
    for sentinel in SENTINELS {
        let found: Vec<&String> = everywhere
            .iter()
            .filter(|(_, bytes)| {
                contains_number(bytes, sentinel)
                    || (sentinel.len() > 6 && contains(bytes, sentinel.as_bytes()))
            })
            .map(|(name, _)| name)
            .collect();
        // The hub's database and packets hold the study's own ranges, never these numbers.
        assert!(found.is_empty(), "{sentinel} in {found:?}");
    }
    drop(agents);

    // The negative control: the same answer with its mask taken off, at the same places.
    let path = parties.path("agents/S1/answers").join(format!("{id}.0.txt"));
    let sealed: AnswerFile = Document::parse(&fs::read_to_string(path).unwrap()).unwrap();
    let opening = tributary::seal::read_opening(&parties.path("keyholder")).unwrap();
    let envelope = sealed.header.envelope.clone().unwrap();
    let seed = envelope.open(&opening).unwrap();
    let mut open = sealed.words.clone();
    for part in &envelope.binding.parts {
        words::subtract(&mut open, &seed.mask(part.part, part.words));
    }
    assert!(open.contains(&u128::from(CANARY)));
    let mut header = sealed.header;
    header.payload = Payload::of(&open);
    let unsealed: AnswerFile = Document::sign(header, open, &parties.key("agents/S1"));
    let exposed = vec![
        ("as a document".to_owned(), unsealed.to_text().into_bytes()),
        ("as bytes".to_owned(), words::to_bytes(&unsealed.words)),
        ("as JSON".to_owned(), format!("{{\"cells\":[{CANARY},0]}}").into_bytes()),
    ];
    for place in &exposed {
        assert_eq!(search(std::slice::from_ref(place), CANARY).len().min(1), 1, "{}", place.0);
    }
}
