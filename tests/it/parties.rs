//! A study with all its parties: site k holds 8 · 2ᵏ records, so that a total says who was counted and how often. As files on
//! disk, as servers in this process, or as processes of their own.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;
use tributary::{
    client::{Client, ClientError, Identity},
    hub::{
        self, Clock, Hub, HubConfig,
        store::{Role, Store},
    },
    keyholder::{self, Keyholder, KeyholderConfig},
    plan::Plan,
    protocol::{Problem, ProblemKind},
    seal::{
        HubKeys, KeyholderKeys, OpeningKey, Roster, SigningKey, SiteKeys, write_opening,
        write_signing,
    },
    serve,
    site::Agent,
    spec::Study,
    summary::SiteId,
};

pub const ANALYSIS: &str = "id = \"powers\"\ntitle = \"Powers\"\nquestion = \"Who was counted?\"\nstudy = \"powers\"\n\
    [followup]\ntime = \"time\"\nevent = \"event\"\n\
    [[model]]\nid = \"table\"\nkind = \"characteristics\"\nvariables = [\"group\"]\n\
    [[model]]\nid = \"cox\"\nkind = \"cox\"\ncovariates = [\"group\", \"age\"]\n";

/// A study on disk.
pub struct Parties {
    folder: TempDir,
    /// Where the site folders are.
    sites: PathBuf,
    pub roster: Roster,
    pub plan: Plan,
    pub codes: Vec<SiteId>,
}

fn study(sites: usize, min_sites: usize) -> String {
    let codes: Vec<String> = (0..sites).map(|k| format!("\"S{k}\"")).collect();
    format!(
        "id = \"powers\"\ntitle = \"Powers\"\nsource = \"made\"\nsites = [{}]\ndata = \"public\"\n[policy]\nmin_sites = {min_sites}\nmin_persons = 0\nmin_events = 0\nmin_cell = 0\nzero_is_safe = true\ncomplementary = false\nmax_parameters_per_event = 100.0\n\
         [dictionary.patient]\ntype = \"text\"\nlabel = \"Patient\"\nidentifier = true\n\
         [dictionary.time]\ntype = \"days\"\nlabel = \"Time\"\nunit = \"days\"\nrange = [0, 9000]\nrequired = true\n\
         [dictionary.event]\ntype = \"flag\"\nlabel = \"Event\"\nrequired = true\n\
         [dictionary.group]\ntype = \"category\"\nlabel = \"Group\"\nlevels = [\"a\", \"b\"]\n\
         [dictionary.age]\ntype = \"integer\"\nlabel = \"Age\"\nrange = [0, 120]\nclass_width = 1\n",
        codes.join(", ")
    )
}

/// Records of site k.
fn records(k: usize) -> String {
    let mut text = "patient,time,event,group,age\n".to_owned();
    for i in 0..8_usize << k {
        let h = (i * 7919 + k * 104_729) % 9973;
        let (group, event) = (if h.is_multiple_of(3) { "b" } else { "a" }, u8::from(h % 5 < 2));
        text.push_str(&format!("P{k}-{i},{},{event},{group},{}\n", 30 + h % 1900, h % 90));
    }
    text
}

impl Parties {
    pub fn found(sites: usize, min_sites: usize) -> Self {
        Self::with(sites, min_sites, ANALYSIS, &records)
    }

    /// A study whose sites hold other records; the columns are those above.
    pub fn with(
        sites: usize,
        min_sites: usize,
        analysis: &str,
        records: &dyn Fn(usize) -> String,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let study_file = study(sites, min_sites);
        fs::write(root.join("study.toml"), &study_file).unwrap();
        fs::write(root.join("powers.toml"), analysis).unwrap();
        let study = Study::parse("study.toml", &study_file).unwrap_or_else(|e| panic!("{e}"));
        let plan = Plan::check("powers.toml", analysis, study).unwrap_or_else(|e| panic!("{e}"));
        let codes: Vec<SiteId> =
            (0..sites).map(|k| SiteId::new(&format!("S{k}")).unwrap()).collect();
        for (k, code) in codes.iter().enumerate() {
            let site = root.join("sites").join(code.as_str());
            fs::create_dir_all(&site).unwrap();
            let file = format!(
                "code = \"{code}\"\nname = \"Site {k}\"\ncountry = \"XA\"\n[tables.tumours]\npath = \"data.csv\"\nmapping = \"mapping.toml\"\n"
            );
            fs::write(site.join("site.toml"), file).unwrap();
            fs::write(site.join("mapping.toml"), "[file]\npath = \"data.csv\"\nencoding = \"utf-8\"\ndelimiter = \",\"\ndate_format = \"%Y-%m-%d\"\n[columns]\npatient = \"patient\"\ntime = \"time\"\nevent = \"event\"\ngroup = \"group\"\nage = \"age\"\n").unwrap();
            fs::write(site.join("data.csv"), records(k)).unwrap();
        }
        let sites = root.join("sites");
        Self::enrol(folder, sites, plan, codes, min_sites)
    }

    /// The Wilms study as it is shipped.
    pub fn wilms() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let shipped = crate::pooling::path("analyses/wilms");
        for file in ["study.toml", "wilms.toml"] {
            fs::copy(shipped.join(file), folder.path().join(file)).unwrap();
        }
        let codes = crate::wilms::SITES.map(|c| SiteId::new(c).unwrap()).to_vec();
        Self::enrol(folder, shipped.join("sites"), crate::wilms::wilms_plan(), codes, 3)
    }

    /// Gives every party its keys and writes the roster.
    fn enrol(
        folder: TempDir,
        sites: PathBuf,
        plan: Plan,
        codes: Vec<SiteId>,
        min_sites: usize,
    ) -> Self {
        let root = folder.path();
        let keys = |party: &str| {
            let folder = root.join(party);
            fs::create_dir_all(&folder).unwrap();
            let key = SigningKey::generate().unwrap();
            write_signing(&folder, &key).unwrap();
            key
        };
        let opening = OpeningKey::generate().unwrap();
        let (hub, holder) = (keys("hub"), keys("keyholder"));
        write_opening(&root.join("keyholder"), &opening).unwrap();
        let member = |code: &SiteId| {
            let key = keys(&format!("agents/{code}"));
            (code.clone(), SiteKeys { signing_key: key.public() })
        };
        let roster = Roster {
            study: plan.study.id.clone(),
            min_sites,
            hub: HubKeys { signing_key: hub.public() },
            keyholder: KeyholderKeys {
                signing_key: holder.public(),
                sealing_key: opening.public(),
            },
            sites: codes.iter().map(member).collect(),
        };
        fs::write(root.join("roster.toml"), roster.to_toml()).unwrap();
        Self { folder, sites, roster, plan, codes }
    }

    pub fn path(&self, part: &str) -> PathBuf {
        self.folder.path().join(part)
    }

    pub fn text(&self, part: &str) -> String {
        fs::read_to_string(self.path(part)).unwrap()
    }

    /// Key of a party, by its folder.
    pub fn key(&self, party: &str) -> SigningKey {
        tributary::seal::read_signing(&self.path(party)).unwrap()
    }

    pub fn sqlite(&self) -> String {
        format!("sqlite:{}", self.path("hub/hub.db").display())
    }

    pub fn keyholder_file(&self, address: &str) -> PathBuf {
        let path = self.path("keyholder/keyholder.toml");
        let text = format!(
            "listen = \"{address}\"\nkeys = \".\"\nrosters = [\"../roster.toml\"]\nmin_sites = 2\n"
        );
        fs::write(&path, text).unwrap();
        path
    }

    pub fn keyholder(&self) -> Keyholder {
        KeyholderConfig::read(&self.keyholder_file("127.0.0.1:0")).unwrap().keyholder().unwrap()
    }

    pub fn hub_file(
        &self,
        name: &str,
        address: &str,
        keyholder: &str,
        database: &str,
        more: &str,
    ) -> PathBuf {
        let path = self.path("hub").join(name);
        let text = format!(
            "listen = \"{address}\"\ndatabase = \"{database}\"\nkeys = \".\"\n{more}\n[keyholder]\nurl = \"{keyholder}\"\n[limits]\nrequests_per_second = 100000\n"
        );
        fs::write(&path, text).unwrap();
        path
    }

    pub fn hub_config(&self, keyholder: &str, database: &str) -> HubConfig {
        let path = self.hub_file("hub.toml", "127.0.0.1:0", keyholder, database, "");
        // An absolute path stays as it is.
        HubConfig::parse(&fs::read_to_string(&path).unwrap(), Path::new("/"))
            .map(|mut config| {
                config.keys = self.path("hub");
                config
            })
            .unwrap()
    }

    pub fn agent_file(&self, code: &SiteId, hub: &str, approved: bool) -> PathBuf {
        let folder = self.path("agents").join(code.as_str());
        let (study, analysis) = (&self.plan.study.id, &self.plan.spec.id);
        let approval = if approved {
            let specification = &self.plan.hash;
            format!(
                "[[auto_approve]]\nanalysis = \"{analysis}\"\nspecification = \"{specification}\"\n"
            )
        } else {
            String::new()
        };
        let site = self.sites.join(code.as_str()).display().to_string();
        let text = format!(
            "study = \"{study}\"\nsite = \"{site}\"\nkeys = \".\"\nroster = \"../../roster.toml\"\n[hub]\nurl = \"{hub}\"\n{approval}"
        );
        fs::write(folder.join("agent.toml"), text).unwrap();
        folder
    }

    /// Hub and keyholder as servers of this process; all agents' files are written.
    pub fn live(self, database: &str) -> Live {
        Live::start(self, database, Clock::default())
    }
}

/// Makes an administrator called `admin` and gives the token.
pub async fn administrator(store: &Store) -> String {
    let now = jiff::Timestamp::now();
    store.put_account("admin", Role::Administrator, None, false, "test", now).await.unwrap();
    store.give_token("admin", "test", 7, "test", now).await.unwrap().token
}

/// Hub and keyholder as servers of this process.
pub struct Live {
    pub parties: Parties,
    pub runtime: tokio::runtime::Runtime,
    pub hub: Hub,
    pub url: String,
    pub keyholder_url: String,
    pub token: String,
}

impl Live {
    pub fn start(parties: Parties, database: &str, clock: Clock) -> Self {
        // Several tests come here; the first one installs the provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let listener = serve::bind("127.0.0.1:0").unwrap();
        let keyholder_url = format!("http://{}", listener.local_addr().unwrap());
        let router = keyholder::router(
            parties.keyholder(),
            &serve::Limits { requests_per_second: 100_000, ..serve::Limits::default() },
        );
        runtime.spawn(serve::listen(listener, None, router, std::future::pending()));
        let config = parties.hub_config(&keyholder_url, database);
        let listener = serve::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (hub, token) = runtime.block_on(async {
            let hub = Hub::start(&config, clock).await.unwrap();
            let token = administrator(hub.store()).await;
            (hub, token)
        });
        let router = hub::api::router(hub.clone(), &config.limits);
        runtime.spawn(serve::listen(listener, None, router, std::future::pending()));
        for code in &parties.codes {
            parties.agent_file(code, &url, true);
        }
        let live = Self { parties, runtime, hub, url, keyholder_url, token };
        live.put_all();
        live
    }

    fn put_all(&self) {
        let root = self.person();
        root.text("PUT", "/v1/studies/powers", &self.parties.text("study.toml")).unwrap();
        root.text("PUT", "/v1/studies/powers/roster", &self.parties.text("roster.toml")).unwrap();
        root.text("PUT", "/v1/analyses/powers", &self.parties.text("powers.toml")).unwrap();
    }

    /// The administrator's client.
    pub fn person(&self) -> Client {
        Client::new(&self.url, None, Identity::Token(self.token.clone())).unwrap()
    }

    /// A site's client.
    pub fn site(&self, code: &SiteId) -> Client {
        let key = self.parties.key(&format!("agents/{code}"));
        Client::new(&self.url, None, Identity::Party { name: code.to_string(), key: Box::new(key) })
            .unwrap()
    }

    pub fn open_run(&self) -> String {
        let reply = self.person().text("POST", "/v1/runs", "{\"analysis\": \"powers\"}").unwrap();
        let reply: Value = serde_json::from_str(&reply).unwrap();
        reply["id"].as_str().unwrap().to_owned()
    }

    pub fn run(&self, id: &str) -> Value {
        self.person().get(&format!("/v1/runs/{id}")).unwrap()
    }

    /// The hub's own work, until nothing is left to do.
    pub fn drive(&self) {
        self.runtime.block_on(async { while hub::drive_once(&self.hub, "test").await {} });
    }
}

/// Who is in a total of the study: the records of site k are 8 · 2ᵏ.
pub fn counted(results: &Value) -> Vec<usize> {
    let table = results["models"].as_array().unwrap().iter().find(|m| m["id"] == "table").unwrap();
    let text = table["outcome"]["estimate"].to_string();
    let estimate: tributary::estimate::Estimate = serde_json::from_str(&text).unwrap();
    let rows = &estimate.tables[0];
    let row = (0..rows.rows.len()).find(|&i| rows.text(i, "variable") == "persons").unwrap();
    let total = rows.number(row, "n").unwrap() as usize;
    assert_eq!(total % 8, 0);
    (0..20).filter(|k| (total / 8) >> k & 1 == 1).collect()
}

/// A service in a process of its own, to be killed and started again.
pub struct Service {
    arguments: Vec<String>,
    log: PathBuf,
    pub child: Child,
}

impl Service {
    /// Starts it and waits until it says that it is there.
    pub fn start(arguments: &[&str], log: &Path) -> Self {
        let arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
        let child = spawn(&arguments, log);
        Self { arguments, log: log.to_owned(), child }
    }

    /// `kill -9`, then the same again.
    pub fn kill_and_restart(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.child = spawn(&self.arguments, &self.log);
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(arguments: &[String], log: &Path) -> Child {
    let begun = Instant::now();
    loop {
        let file = fs::File::options().create(true).append(true).open(log).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_tributary"))
            .args(arguments)
            .arg("--with-parent")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if !line.is_empty() {
            return child;
        }
        // The address of a killed process may be taken for a moment.
        child.wait().unwrap();
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "{arguments:?} does not start: see {}",
            log.display()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A port that is free now.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// The outcome of every model, without what differs from run to run.
pub fn outcomes(results: &Value) -> Value {
    let models = results["models"].as_array().unwrap();
    json!(
        models
            .iter()
            .map(|m| json!([m["id"], m["outcome"], m["rounds"], m["withheld"]]))
            .collect::<Vec<_>>()
    )
}

/// A study of `sites` sites, whose hub and keyholder serve in this process.
pub fn live(sites: usize) -> Live {
    let parties = Parties::found(sites, 3);
    let database = parties.sqlite();
    parties.live(&database)
}

/// The agents of all sites, started from their folders.
pub fn agents(live: &Live) -> Vec<Agent> {
    let folder = |code: &SiteId| live.parties.path("agents").join(code.as_str());
    live.parties.codes.iter().map(|code| Agent::start(&folder(code)).unwrap()).collect()
}

/// Lets agents and hub work in turn until the run is over.
pub fn finish(live: &Live, agents: &mut [Agent], run: &str) -> Value {
    for _ in 0..200 {
        for agent in agents.iter_mut() {
            agent.once(0).unwrap();
        }
        live.drive();
        let found = live.run(run);
        if ["done", "failed", "cancelled"].contains(&found["state"].as_str().unwrap()) {
            return found;
        }
    }
    panic!("the run does not end: {}", live.run(run));
}

/// The results of a run, as the administrator gets them.
pub fn results(live: &Live, run: &str) -> Value {
    live.person().get(&format!("/v1/runs/{run}/results")).unwrap()
}

/// The problem that a request ends in.
pub fn problem<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Problem {
    match result {
        Err(ClientError::Problem(problem)) => problem,
        other => panic!("no problem: {other:?}"),
    }
}

/// The problem that a request ends in, which must be of this kind.
pub fn is<T: std::fmt::Debug>(result: Result<T, ClientError>, kind: ProblemKind) -> Problem {
    let found = problem(result);
    assert!(found.is(kind), "{found:?}, expected {}", kind.slug());
    assert_eq!(found.status, kind.status());
    assert!(found.request_id.is_some());
    found
}
