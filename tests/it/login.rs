//! Login by a provider (OpenID Connect, authorization code with PKCE), against a small provider of the test's own; and TLS.

use std::{
    collections::HashMap,
    fs,
    sync::{Arc, Mutex},
};

use axum::{
    Form, Json, Router,
    extract::{Query, State},
    response::Redirect,
    routing::{get, post},
};
use openidconnect::PrivateSigningKey as _;
use openidconnect::{
    Audience, EmptyAdditionalClaims, IssuerUrl, JsonWebKeyId, Nonce, PkceCodeChallenge,
    PkceCodeVerifier, StandardClaims, SubjectIdentifier,
    core::{CoreEdDsaPrivateSigningKey, CoreIdToken, CoreIdTokenClaims, CoreJwsSigningAlgorithm},
};
use serde_json::{Value, json};
use tributary::{
    client::{Client, Identity},
    hub::{self, Clock, Hub, OidcConfig},
    serve,
};

use crate::parties::{Parties, administrator};

/// RFC 8410's example of an Ed25519 private key.
const KEY: &str = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";

/// What a small provider remembers: codes it gave, with challenge and nonce.
#[derive(Clone)]
struct Provider {
    issuer: String,
    codes: Arc<Mutex<HashMap<String, (String, String)>>>,
    subject: Arc<Mutex<String>>,
}

fn key() -> CoreEdDsaPrivateSigningKey {
    CoreEdDsaPrivateSigningKey::from_ed25519_pem(KEY, Some(JsonWebKeyId::new("k".into()))).unwrap()
}

async fn authorize(
    State(provider): State<Provider>,
    Query(asked): Query<HashMap<String, String>>,
) -> Redirect {
    assert_eq!(asked["code_challenge_method"], "S256");
    assert_eq!(asked["response_type"], "code");
    let code = format!("code-{}", provider.codes.lock().unwrap().len());
    let kept = (asked["code_challenge"].clone(), asked["nonce"].clone());
    provider.codes.lock().unwrap().insert(code.clone(), kept);
    Redirect::to(&format!("{}?code={code}&state={}", asked["redirect_uri"], asked["state"]))
}

async fn token(
    State(provider): State<Provider>,
    Form(asked): Form<HashMap<String, String>>,
) -> Json<Value> {
    let Some((challenge, nonce)) = provider.codes.lock().unwrap().remove(&asked["code"]) else {
        return Json(json!({ "error": "invalid_grant" }));
    };
    let verifier = PkceCodeVerifier::new(asked["code_verifier"].clone());
    assert_eq!(PkceCodeChallenge::from_code_verifier_sha256(&verifier).as_str(), challenge);
    let now = chrono_now();
    let claims = CoreIdTokenClaims::new(
        IssuerUrl::new(provider.issuer.clone()).unwrap(),
        vec![Audience::new("hub".into())],
        now + std::time::Duration::from_mins(5),
        now,
        StandardClaims::new(SubjectIdentifier::new(provider.subject.lock().unwrap().clone())),
        EmptyAdditionalClaims {},
    )
    .set_nonce(Some(Nonce::new(nonce)));
    let token =
        CoreIdToken::new(claims, &key(), CoreJwsSigningAlgorithm::EdDsa, None, None).unwrap();
    Json(json!({ "access_token": "x", "token_type": "bearer", "id_token": token.to_string() }))
}

fn chrono_now() -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from(std::time::SystemTime::now())
}

fn provider(issuer: &str) -> (Router, Provider) {
    let provider = Provider {
        issuer: issuer.to_owned(),
        codes: Arc::default(),
        subject: Arc::new(Mutex::new("anna".into())),
    };
    let discovery = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA"],
    });
    let keys = json!({ "keys": [key().as_verification_key()] });
    let router = Router::new()
        .route("/.well-known/openid-configuration", get(async move || Json(discovery)))
        .route("/keys", get(async move || Json(keys)))
        .route("/authorize", get(authorize))
        .route("/token", post(token))
        .with_state(provider.clone());
    (router, provider)
}

/// A browser: follows redirects by hand and keeps cookies.
struct Browser {
    agent: ureq::Agent,
    cookies: HashMap<String, String>,
}

impl Browser {
    fn new() -> Self {
        let config =
            ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).build();
        Self { agent: config.into(), cookies: HashMap::new() }
    }

    /// Status, place to go, body.
    fn get(&mut self, url: &str) -> (u16, Option<String>, String) {
        let cookies: Vec<String> = self.cookies.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let mut response = self.agent.get(url).header("cookie", cookies.join("; ")).call().unwrap();
        for cookie in response.headers().get_all("set-cookie") {
            let text = cookie.to_str().unwrap();
            assert!(text.contains("HttpOnly") && text.contains("SameSite=Lax"), "{text}");
            let (name, value) = text.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.into(), value.into());
        }
        let place = response.headers().get("location").map(|v| v.to_str().unwrap().to_owned());
        (response.status().as_u16(), place, response.body_mut().read_to_string().unwrap())
    }
}

#[test]
fn a_person_logs_in_by_the_provider_and_reads_by_session() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let serve_at = |router: Router, listener: std::net::TcpListener| {
        runtime.spawn(serve::listen(listener, None, router, std::future::pending()));
    };
    let listener = serve::bind("127.0.0.1:0").unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    let (router, provider) = provider(&issuer);
    serve_at(router, listener);

    let parties = Parties::found(3, 3);
    let listener = serve::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut config = parties.hub_config("http://127.0.0.1:1", &parties.sqlite());
    config.oidc = Some(OidcConfig {
        issuer,
        client_id: "hub".into(),
        client_secret_file: None,
        public_url: url.clone(),
    });
    let hub = runtime.block_on(async { Hub::start(&config, Clock::default()).await.unwrap() });
    let token = runtime.block_on(administrator(hub.store()));
    serve_at(hub::api::router(hub, &config.limits), listener);

    let login = |browser: &mut Browser| {
        let (status, to_provider, _) = browser.get(&format!("{url}/login"));
        assert_eq!(status, 303);
        let (status, back, _) = browser.get(&to_provider.unwrap());
        assert_eq!(status, 303);
        (back.clone().unwrap(), browser.get(&back.unwrap()))
    };
    // Known to the provider, but nobody here.
    let (_, (status, _, body)) = login(&mut Browser::new());
    assert_eq!(status, 403, "{body}");
    assert!(body.contains("ask an administrator"), "{body}");
    let root = Client::new(&url, None, Identity::Token(token)).unwrap();
    root.text("PUT", "/v1/users/anna", "{\"role\": \"analyst\", \"subject\": \"anna\"}").unwrap();
    let mut browser = Browser::new();
    let (callback, (status, place, body)) = login(&mut browser);
    assert_eq!((status, place.as_deref()), (303, Some("/v1/me")), "{body}");
    let (status, _, body) = browser.get(&format!("{url}/v1/me"));
    assert_eq!(status, 200);
    assert!(body.contains("\"anna\"") && body.contains("analyst"), "{body}");
    // A callback counts once, and only in the browser that began.
    assert_eq!(browser.get(&callback).0, 401);
    let mut other = Browser::new();
    let (_, to_provider, _) = other.get(&format!("{url}/login"));
    let (_, back, _) = other.get(&to_provider.unwrap());
    assert_eq!(Browser::new().get(&back.unwrap()).0, 401);
    // A session reads; changes need a token.
    let cookie = format!("tributary_session={}", browser.cookies["tributary_session"]);
    let changed = browser
        .agent
        .put(format!("{url}/v1/runs/x/cancellation"))
        .header("cookie", &cookie)
        .send("")
        .unwrap();
    assert_eq!(changed.status(), 403);
    browser.get(&format!("{url}/logout"));
    browser.cookies.insert("tributary_session".into(), cookie["tributary_session=".len()..].into());
    assert_eq!(browser.get(&format!("{url}/v1/me")).0, 401);
    // Somebody else's subject at the provider is somebody else here.
    *provider.subject.lock().unwrap() = "eve".into();
    assert_eq!(login(&mut Browser::new()).1.0, 403);
}

#[test]
fn a_hub_with_a_certificate_is_reached_by_those_who_trust_its_authority() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let parties = Parties::found(3, 3);
    let folder = parties.path("hub");
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_key = rcgen::KeyPair::generate().unwrap();
    let authority_certificate = authority.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(authority, authority_key);
    let own_key = rcgen::KeyPair::generate().unwrap();
    let own = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
    let own = own.signed_by(&own_key, &issuer).unwrap();
    fs::write(folder.join("ca.pem"), authority_certificate.pem()).unwrap();
    fs::write(folder.join("hub.pem"), own.pem()).unwrap();
    fs::write(folder.join("hub-key.pem"), own_key.serialize_pem()).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut config = parties.hub_config("http://127.0.0.1:1", &parties.sqlite());
    let tls =
        serve::TlsFiles { certificate: folder.join("hub.pem"), key: folder.join("hub-key.pem") };
    config.tls = Some(tls);
    let listener = serve::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let served = runtime.spawn(async move {
        hub::serve_hub(&config, listener, async { drop(stopped.await) }).await
    });
    let client = |ca: Option<&std::path::PathBuf>| {
        Client::new(&url, ca, Identity::Token("x".into())).unwrap()
    };
    let ready: Value = {
        let trusting = client(Some(&folder.join("ca.pem")));
        let begun = std::time::Instant::now();
        loop {
            match trusting.get("/ready") {
                Ok(ready) => break ready,
                Err(error) => assert!(begun.elapsed().as_secs() < 20, "{error}"),
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    };
    assert_eq!(ready["status"], "ready");
    assert!(client(None).get::<Value>("/ready").unwrap_err().to_string().contains("ertificate"));
    // Asked to stop, it stops.
    stop.send(()).unwrap();
    runtime.block_on(served).unwrap().unwrap();
    assert!(client(Some(&folder.join("ca.pem"))).get::<Value>("/ready").is_err());
}
