//! P1: the program behind PgBouncer in transaction mode, where no connection keeps anything between transactions; and
//! what the self-test says of a pooler.

use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use b24sync_portal_emulator::{Counts, Dialect, Entity, PortalConfig, Truth};

use crate::stage::{Stage, finish};

/// PgBouncer, if this machine has it. A machine that runs CI has to.
fn program() -> Option<PathBuf> {
    let places =
        ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/usr/local/bin/pgbouncer", "/opt/homebrew/bin/pgbouncer"];
    let found = places.iter().map(PathBuf::from).find(|path| path.exists());
    assert!(found.is_some() || std::env::var_os("CI").is_none(), "CI needs PgBouncer: install the package `pgbouncer`");
    found
}

/// A pooler. Versions before 1.21 do not keep prepared statements of several connections apart, so that each run of the
/// program gets a pooler of its own, with one connection to the server.
struct Pooler {
    process: Child,
    port: u16,
}

impl Pooler {
    fn start(program: &Path, directory: &Path, server: &Server) -> Pooler {
        Pooler::start_with(program, directory, server, "transaction", 1)
    }

    fn start_with(program: &Path, directory: &Path, server: &Server, mode: &str, size: u32) -> Pooler {
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let settings = format!(
            "[databases]\n{database} = host=127.0.0.1 port={server_port} user={user} password={password}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = {mode}\ndefault_pool_size = {size}\nmax_client_conn = 50\n",
            database = server.database,
            server_port = server.port,
            user = server.user,
            password = server.password,
        );
        let file = directory.join(format!("pgbouncer-{port}.ini"));
        std::fs::write(&file, settings).unwrap();
        let mut command = Command::new(program);
        // It refuses to run as root.
        let root = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) == 0;
        if root {
            command.args(["-u", "nobody"]);
        }
        let process = command.arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let pooler = Pooler { process, port };
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "PgBouncer does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        pooler
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The parts of `postgresql://user:password@host:port/database`.
struct Server {
    user: String,
    password: String,
    port: u16,
    database: String,
}

impl Server {
    fn of(url: &str) -> Server {
        let (login, place) = url.strip_prefix("postgresql://").unwrap().split_once('@').unwrap();
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let (host, database) = place.split_once('/').unwrap();
        Server {
            user: user.to_owned(),
            password: password.to_owned(),
            port: host.rsplit_once(':').unwrap().1.parse().unwrap(),
            database: database.split('?').next().unwrap().to_owned(),
        }
    }
}

#[tokio::test]
async fn everything_works_behind_a_transaction_pooler() {
    let Some(program) = program() else {
        println!("no PgBouncer on this machine: nothing was tested");
        return;
    };
    let config = PortalConfig { counts: Counts::deals(300), ..PortalConfig::default() };
    let stage = Stage::new(config).await;
    let server = Server::of(&stage.database.url());
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let run = async |arguments: &[&str]| {
        let pooler = Pooler::start(&program, directory.path(), &server);
        let mut command = stage.command(arguments);
        let url = format!("postgresql://{}:x@127.0.0.1:{}/{}", server.user, pooler.port, server.database);
        command.env("DATABASE_URL", url).env("DATABASE_POOL_SIZE", "1").env("DATABASE_MAX_OVERFLOW", "0");
        finish(command).await.expect_success()
    };
    run(&["migrate"]).await;
    run(&["sync", "deal"]).await;
    let id = stage.portal().ids(Entity::Deal)[3];
    stage.portal().edit(Entity::Deal, id, [("TITLE", Truth::from("renamed"))]);
    stage.portal().delete(Entity::Deal, stage.portal().ids(Entity::Deal)[5]);
    run(&["sync", "deal", "--incremental"]).await;
    run(&["sync", "deal"]).await;
    run(&["verify", "deal"]).await;
    run(&["status"]).await;
    let mut found = Vec::new();
    let client = stage.client().await;
    let (entity, table) = (Entity::Deal, "crm_deals");
    crate::compare::entity_differences(stage.portal(), &client, Dialect::Item, entity, table, &mut found).await;
    assert!(found.is_empty(), "{:#?}", &found[..found.len().min(10)]);
}

/// Whether this PgBouncer can keep prepared statements apart; then it does so by default.
fn keeps_statements(program: &Path) -> bool {
    let output = Command::new(program).arg("--version").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let version = text.split_whitespace().nth(1).unwrap();
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap());
    // 1.21 can, but only from 1.24 on does it by default.
    (parts.next().unwrap(), parts.next().unwrap()) >= (1, 24)
}

#[tokio::test]
async fn the_self_test_tells_which_pooler_is_on_the_way() {
    let Some(program) = program() else {
        println!("no PgBouncer on this machine: nothing was tested");
        return;
    };
    let stage = Stage::new(PortalConfig { counts: Counts::deals(0), ..PortalConfig::default() }).await;
    stage.run(&["migrate"]).await.expect_success();
    let server = Server::of(&stage.database.url());
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let apart =
        if keeps_statements(&program) { ("ok", "which is fine") } else { ("fail", "keep prepared statements apart") };
    for (mode, size, (verdict, words)) in [
        ("session", 4, ("ok", "none, or one that gives each connection")),
        ("transaction", 1, ("ok", "shares the server's connections among transactions, which is fine")),
        ("transaction", 4, apart),
        ("statement", 1, ("fail", "there are no transactions")),
    ] {
        let pooler = Pooler::start_with(&program, directory.path(), &server, mode, size);
        let mut command = stage.command(&["doctor", "--output", "json"]);
        command.env(
            "DATABASE_URL",
            format!("postgresql://{}:x@127.0.0.1:{}/{}", server.user, pooler.port, server.database),
        );
        let finished = finish(command).await;
        let report: serde_json::Value = serde_json::from_str(&finished.stdout).unwrap();
        let checks = report["checks"].as_array().unwrap();
        let found = checks.iter().find(|line| line["name"] == "database.pooler").unwrap_or_else(|| panic!("{report}"));
        assert_eq!(found["verdict"], verdict, "{mode} {size}: {found}");
        assert!(found["seen"].as_str().unwrap().contains(words), "{mode} {size}: {found}");
        assert!(checks.iter().any(|line| line["name"] == "portal.reachable" && line["verdict"] == "ok"), "{report}");
    }
}
