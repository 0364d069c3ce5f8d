//! The HTTP interface of the hub: roles and tokens, idempotency, problems and their pages, limits.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tributary::{
    client::{Client, Identity},
    protocol::ProblemKind,
    seal::{Roster, SigningKey},
};

use crate::parties::{is, live};

#[test]
fn people_may_do_what_their_role_allows() {
    let live = live(3);
    let root = live.person();
    let mut clients = BTreeMap::new();
    for role in ["reader", "analyst", "steward"] {
        root.text("PUT", &format!("/v1/users/{role}"), &json!({ "role": role }).to_string())
            .unwrap();
        let reply =
            root.text("POST", &format!("/v1/users/{role}/tokens"), "{\"label\": \"t\"}").unwrap();
        let reply: Value = serde_json::from_str(&reply).unwrap();
        let token = reply["token"].as_str().unwrap().to_owned();
        let client = Client::new(&live.url, None, Identity::Token(token)).unwrap();
        assert_eq!(client.get::<Value>("/v1/me").unwrap()["role"], role);
        clients.insert(role, (client, reply["id"].as_str().unwrap().to_owned()));
    }
    let open = "{\"analysis\": \"powers\"}";
    is(clients["reader"].0.text("POST", "/v1/runs", open), ProblemKind::Forbidden);
    let run = clients["analyst"].0.text("POST", "/v1/runs", open).unwrap();
    let run: Value = serde_json::from_str(&run).unwrap();
    let cancel = format!("/v1/runs/{}/cancellation", run["id"].as_str().unwrap());
    is(clients["reader"].0.text("PUT", &cancel, ""), ProblemKind::Forbidden);
    clients["steward"].0.text("PUT", &cancel, "").unwrap();
    is(
        clients["analyst"].0.text("PUT", "/v1/studies/powers", &live.parties.text("study.toml")),
        ProblemKind::Forbidden,
    );
    clients["steward"]
        .0
        .text("PUT", "/v1/studies/powers", &live.parties.text("study.toml"))
        .unwrap();
    for role in ["reader", "analyst", "steward"] {
        is(clients[role].0.get::<Value>("/v1/audit"), ProblemKind::Forbidden);
        is(clients[role].0.get::<Value>("/v1/users"), ProblemKind::Forbidden);
    }
    is(root.text("PUT", "/v1/users/admin", "{\"role\": \"reader\"}"), ProblemKind::Conflict);
    // A withdrawn token and a disabled account count no more, at once.
    let (reader, id) = &clients["reader"];
    root.text("DELETE", &format!("/v1/users/reader/tokens/{id}"), "").unwrap();
    is(reader.get::<Value>("/v1/me"), ProblemKind::Unauthenticated);
    root.text("PUT", "/v1/users/analyst", "{\"role\": \"analyst\", \"disabled\": true}").unwrap();
    is(clients["analyst"].0.get::<Value>("/v1/me"), ProblemKind::Unauthenticated);
    let nobody = Client::new(&live.url, None, Identity::Token("trib_x_y".into())).unwrap();
    is(nobody.get::<Value>("/v1/runs"), ProblemKind::Unauthenticated);
}

#[test]
fn an_idempotency_key_opens_one_run() {
    let live = live(3);
    let send = |key: &str, body: &str| {
        let config = ureq::Agent::config_builder().http_status_as_error(false).build();
        let agent: ureq::Agent = config.into();
        let mut response = agent
            .post(format!("{}/v1/runs", live.url))
            .header("authorization", format!("Bearer {}", live.token))
            .header("content-type", "application/json")
            .header("idempotency-key", key)
            .send(body)
            .unwrap();
        let value: Value =
            serde_json::from_str(&response.body_mut().read_to_string().unwrap()).unwrap();
        (response.status().as_u16(), value)
    };
    let body = "{\"analysis\": \"powers\"}";
    let (first, again, other) = (send("k1", body), send("k1", body), send("k2", body));
    assert_eq!((first.0, again.0, other.0), (201, 201, 201));
    assert_eq!(first.1["id"], again.1["id"]);
    assert_ne!(first.1["id"], other.1["id"]);
    let reused = send("k1", "{\"analysis\": \"powers\", \"round_s\": 60}");
    assert_eq!((reused.0, &reused.1["type"]), (409, &json!("/problems/idempotency-key-reuse")));
    let opened = std::thread::scope(|scope| {
        let sent: Vec<_> = (0..6).map(|_| scope.spawn(|| send("k3", body))).collect();
        sent.into_iter().map(|s| s.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(opened.iter().all(|(status, run)| *status == 201 && run["id"] == opened[0].1["id"]));
    let runs: Value = live.person().get("/v1/runs?limit=1").unwrap();
    assert_eq!(runs["items"][0]["id"], opened[0].1["id"]);
    let next = runs["next"].as_str().unwrap();
    let rest: Value = live.person().get(&format!("/v1/runs?after={next}")).unwrap();
    assert_eq!(rest["items"].as_array().unwrap().len(), 2);
}

#[test]
fn faults_of_files_are_told_all_at_once_at_their_lines() {
    let live = live(3);
    let root = live.person();
    let spoilt = live
        .parties
        .text("powers.toml")
        .replace("\"group\", \"age\"", "\"grup\", \"age\"")
        .replace("kind = \"characteristics\"", "kind = \"charcteristics\"");
    let found =
        is(root.text("PUT", "/v1/analyses/powers", &spoilt), ProblemKind::InvalidSpecification);
    let detail = found.detail.unwrap();
    assert!(
        detail.contains("grup")
            && detail.contains("charcteristics")
            && detail.contains("analysis.toml:"),
        "{detail}"
    );
    let mut roster = live.parties.roster.clone();
    roster.hub.signing_key = SigningKey::generate().unwrap().public();
    let found = is(
        root.text("PUT", "/v1/studies/powers/roster", &roster.to_toml()),
        ProblemKind::InvalidSpecification,
    );
    assert!(found.detail.unwrap().contains("not the key of this hub"));
    assert!(Roster::parse("r", &live.parties.text("roster.toml")).is_ok());
    is(
        root.text("PUT", "/v1/studies/other", &live.parties.text("study.toml")),
        ProblemKind::WrongAddress,
    );
    is(root.get::<Value>("/v1/studies/other"), ProblemKind::NotFound);
    is(root.get::<Value>("/v1/nothing"), ProblemKind::NotFound);
    is(root.text("PUT", "/health", ""), ProblemKind::MethodNotAllowed);
    is(root.text("POST", "/v1/runs", "{\"analysis\": 5}"), ProblemKind::BadRequest);
    is(root.get::<Value>("/v1/runs?limit=0"), ProblemKind::BadRequest);
}

#[test]
fn every_problem_type_and_every_route_has_its_page() {
    let live = live(3);
    let person = live.person();
    for kind in ProblemKind::ALL {
        let page = person.text("GET", &format!("/problems/{}", kind.slug()), "").unwrap();
        assert!(page.contains(&kind.title().replace('\'', "&#x27;")), "{page}");
    }
    let docs = person.text("GET", "/docs", "").unwrap();
    let description: Value = person.get("/openapi.json").unwrap();
    let paths = description["paths"].as_object().unwrap();
    assert!(paths.len() > 25, "{}", paths.len());
    for path in paths.keys() {
        assert!(docs.contains(&format!("<code>{}</code>", path.replace('/', "&#x2f;"))), "{path}");
    }
}

#[test]
fn who_asks_too_often_is_told_to_wait() {
    let live = live(3);
    let limits =
        tributary::serve::Limits { requests_per_second: 1, ..tributary::serve::Limits::default() };
    let listener = tributary::serve::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = tributary::hub::api::router(live.hub.clone(), &limits);
    live.runtime.spawn(tributary::serve::listen(listener, None, router, std::future::pending()));
    let client = Client::new(&url, None, Identity::Token(live.token)).unwrap();
    let replies: Vec<_> = (0..30).map(|_| client.get::<Value>("/health")).collect();
    let (served, refused): (Vec<_>, Vec<_>) = replies.into_iter().partition(Result::is_ok);
    assert!((10..20).contains(&served.len()), "{}", served.len());
    for refusal in refused {
        let found = is(refusal, ProblemKind::RateLimited);
        assert!(found.detail.unwrap().starts_with("wait"));
    }
}
