//! A PostgreSQL server of the tests' own: started once, on a free port of this machine, in a folder of its own, and stopped
//! when the test process ends, however it ends.

use std::{
    env, fs,
    io::{BufRead as _, BufReader},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

struct Server {
    port: u16,
    next: std::sync::atomic::AtomicU32,
    psql: PathBuf,
}

static SERVER: OnceLock<Option<Server>> = OnceLock::new();

/// Address of a new, empty database; none if this machine has no PostgreSQL and nobody insists on it.
pub fn database() -> Option<String> {
    let server = SERVER.get_or_init(start).as_ref();
    if server.is_none() {
        assert!(
            env::var_os("TRIBUTARY_REQUIRE_TOOLS").is_none(),
            "PostgreSQL is missing: tests/setup installs it"
        );
        eprintln!("PostgreSQL is not installed: this test looked at SQLite only");
    }
    let server = server?;
    let n = server.next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let name = format!("t{n}");
    let made = Command::new(&server.psql)
        .args(["-h", "127.0.0.1", "-p", &server.port.to_string(), "-U", "postgres", "-qc"])
        .arg(format!("create database {name}"))
        .status()
        .unwrap();
    assert!(made.success());
    Some(format!("postgres://postgres@127.0.0.1:{}/{name}", server.port))
}

/// Folder with initdb and postgres.
fn programs() -> Option<PathBuf> {
    let beside = |root: &str| {
        let mut found: Vec<PathBuf> =
            fs::read_dir(root).ok()?.filter_map(|e| Some(e.ok()?.path().join("bin"))).collect();
        found.sort();
        found
            .into_iter()
            .rev()
            .find(|bin| bin.join("initdb").is_file() && bin.join("postgres").is_file())
    };
    let on_path = env::var_os("PATH").and_then(|path| {
        env::split_paths(&path)
            .find(|bin| bin.join("initdb").is_file() && bin.join("postgres").is_file())
    });
    beside("/usr/lib/postgresql").or(on_path)
}

fn start() -> Option<Server> {
    let bin = programs()?;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let folder = env::temp_dir().join(format!("tributary-postgres-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let root = Command::new("id").arg("-u").output().is_ok_and(|o| o.stdout.starts_with(b"0"));
    if root {
        // PostgreSQL does not run as root: its own user does.
        assert!(Command::new("chown").arg("postgres").arg(&folder).status().unwrap().success());
    }
    let program = |name: &str| {
        let path = bin.join(name).display().to_string();
        if root { format!("runuser -u postgres -- {path}") } else { path }
    };
    let data = folder.join("data");
    // The shell stops the server when its standard input ends, hence when this process does.
    let script = format!(
        "set -e; cd {folder}\n\
         {initdb} -D {data} -U postgres -A trust --no-sync -E UTF8 --locale=C > {folder}/initdb.log 2>&1\n\
         {postgres} -D {data} -p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off -c max_connections=200 > {folder}/log 2>&1 < /dev/null &\n\
         server=$!\n\
         for i in $(seq 200); do {ready} -q -h 127.0.0.1 -p {port} && break; sleep 0.05; done\n\
         echo ready; cat > /dev/null; kill -INT $(head -1 {data}/postmaster.pid); wait $server || true; rm -rf {folder}",
        folder = folder.display(),
        initdb = program("initdb"),
        data = data.display(),
        postgres = program("postgres"),
        ready = bin.join("pg_isready").display(),
    );
    let mut shell = Command::new("bash")
        .args(["-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line.trim(), "ready", "PostgreSQL did not start: see {}", folder.display());
    // The pipe stays open for as long as this process lives.
    std::mem::forget(shell);
    let psql = Path::new("psql").to_owned();
    Some(Server { port, next: 0.into(), psql })
}
