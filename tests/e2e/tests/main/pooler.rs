//! P1: the program behind PgBouncer in transaction mode, where no connection keeps anything between transactions.

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

/// A pooler with one connection to the server. Versions before 1.21 do not keep prepared statements of several
/// connections apart, so that each run of the program gets a pooler of its own.
struct Pooler {
    process: Child,
    port: u16,
}

impl Pooler {
    fn start(program: &Path, directory: &Path, server: &Server) -> Pooler {
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let settings = format!(
            "[databases]\n{database} = host=127.0.0.1 port={server_port} user={user} password={password}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n\
             pool_mode = transaction\ndefault_pool_size = 1\nmax_client_conn = 50\n",
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
