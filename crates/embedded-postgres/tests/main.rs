//! Runs real servers, as whoever runs the tests.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests fail like tests")]

use std::{
    env, fs,
    io::{BufRead, BufReader, Read},
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use b24sync_embedded_postgres::{EmbeddedError, EmbeddedPostgres, Settings, Status, Stop};
use secrecy::ExposeSecret;
use tempfile::TempDir;
use tokio_postgres::NoTls;

/// A directory that the server's account may enter, also when root runs the tests.
fn folder() -> TempDir {
    tempfile::Builder::new()
        .prefix("b24sync-embedded-")
        .permissions(fs::Permissions::from_mode(0o755))
        .tempdir()
        .unwrap()
}

fn settings(folder: &Path) -> Settings {
    Settings {
        data_dir: Some(folder.join("data")),
        cache_dir: Some(folder.join("cache")),
        allow_download: false,
        server_options: vec![
            ("fsync".to_owned(), "off".to_owned()),
            ("shared_buffers".to_owned(), "16MB".to_owned()),
            ("application_name".to_owned(), "it's; a $TEST".to_owned()),
        ],
        ..Settings::default()
    }
}

async fn start(folder: &Path) -> EmbeddedPostgres {
    EmbeddedPostgres::start(settings(folder)).await.unwrap()
}

async fn ask(server: &EmbeddedPostgres, sql: &str) -> Vec<String> {
    let (client, connection) =
        tokio_postgres::connect(server.url("postgres").expose_secret(), NoTls).await.expect("connect");
    let asking = async {
        let messages = client.simple_query(sql).await.unwrap();
        drop(client);
        messages
    };
    let (messages, _) = tokio::join!(asking, connection);
    let rows = messages.into_iter().filter_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    rows.collect()
}

async fn status(folder: &Path) -> Option<Status> {
    EmbeddedPostgres::status(&folder.join("data")).await.unwrap()
}

/// Another process of this test binary that starts a server and holds it.
struct Holder {
    child: Child,
    /// Kept open: the process still prints.
    _stdout: BufReader<ChildStdout>,
    port: u16,
    is_owner: bool,
}

const HOLD: &str = "B24SYNC_TEST_HOLD";

impl Holder {
    fn of(folder: &Path) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "a_process_that_holds_a_server", "--nocapture"])
            .env(HOLD, folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let line =
            stdout.by_ref().lines().map_while(Result::ok).find_map(|line| Some(line.split_once("HELD ")?.1.to_owned()));
        let line = line.expect("the other process holds a server");
        let (port, is_owner) = line.split_once(' ').unwrap();
        Self { child, _stdout: stdout, port: port.parse().unwrap(), is_owner: is_owner == "true" }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn finish(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

/// No test of its own: the other process of the tests below.
#[tokio::test]
async fn a_process_that_holds_a_server() {
    let Some(folder) = env::var_os(HOLD).map(PathBuf::from) else { return };
    let server = start(&folder).await;
    println!("\nHELD {} {}", server.port(), server.is_owner());
    let _ = std::io::stdin().read_line(&mut String::new());
    server.stop().await.unwrap();
}

#[tokio::test]
async fn data_port_and_password_survive_a_restart() {
    let folder = folder();
    let server = start(folder.path()).await;
    assert!(server.is_owner() && !server.is_attached());
    assert_eq!(server.data_dir(), folder.path().join("data"));
    server.create_database_if_missing("crm \"copy\"").await.unwrap();
    server.create_database_if_missing("crm \"copy\"").await.unwrap();
    ask(&server, "create table kept as select 42 as answer").await;
    let (url, port) = (server.url("postgres"), server.port());
    assert_eq!(server.stop().await.unwrap(), Stop::Stopped);
    assert_eq!(status(folder.path()).await, None);

    let again = Instant::now();
    let server = start(folder.path()).await;
    println!("the second start took {:?}", again.elapsed());
    assert_eq!(server.url("postgres").expose_secret(), url.expose_secret());
    assert_eq!(server.port(), port);
    assert_eq!(ask(&server, "select answer from kept").await, ["42"]);
    assert_eq!(ask(&server, "select count(*) from pg_database where datname = 'crm \"copy\"'").await, ["1"]);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_server_is_private() {
    let folder = folder();
    let server = start(folder.path()).await;
    let shown = |name: &'static str| format!("show {name}");
    assert_eq!(ask(&server, &shown("listen_addresses")).await, ["127.0.0.1"]);
    assert_eq!(ask(&server, &shown("unix_socket_directories")).await, [""]);
    assert_eq!(ask(&server, &shown("fsync")).await, ["off"]);
    assert_eq!(ask(&server, &shown("server_encoding")).await, ["UTF8"]);
    let mode = |name: &str| fs::metadata(folder.path().join("data").join(name)).unwrap().mode() & 0o777;
    assert_eq!((mode("pgpass"), mode("cluster")), (0o600, 0o700));

    let url = server.url("postgres");
    let password = url.expose_secret().split([':', '@']).nth(2).unwrap().to_owned();
    assert_eq!(password.len(), 48);
    assert!(!format!("{server:?} {url:?} {}", server.psql_command("postgres")).contains(&password));
    let refused = tokio_postgres::connect(&url.expose_secret().replace(&password, "guess"), NoTls).await;
    assert_eq!(refused.err().unwrap().code().unwrap().code(), "28P01");
    let mine = fs::read("/proc/self/environ").unwrap_or_default();
    if !mine.is_empty() {
        let pid = status(folder.path()).await.unwrap().pid;
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap();
        assert!(!String::from_utf8_lossy(&environment).contains("CARGO"));
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_psql_line_works_in_a_shell() {
    let folder = folder();
    let server = start(folder.path()).await;
    server.create_database_if_missing("crm copy").await.unwrap();
    let line = format!("{} -X -A -t -c 'select current_database()'", server.psql_command("crm copy"));
    let said = Command::new("sh").args(["-c", &line]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), "crm copy", "{said:?}");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn the_second_program_attaches_and_leaves_the_server_running() {
    let folder = folder();
    let first = Holder::of(folder.path());
    assert!(first.is_owner);
    let second = start(folder.path()).await;
    assert!(second.is_attached() && !second.is_owner());
    assert_eq!(second.port(), first.port);
    assert_eq!(second.stop().await.unwrap(), Stop::LeftRunning);
    assert!(status(folder.path()).await.is_some());
    drop(start(folder.path()).await);
    assert!(status(folder.path()).await.is_some());
    first.finish();
    assert_eq!(status(folder.path()).await, None);
}

#[tokio::test]
async fn two_starters_at_once_share_one_server() {
    let folder = folder();
    let (one, two) = tokio::join!(start(folder.path()), start(folder.path()));
    assert_eq!(one.port(), two.port());
    assert_ne!(one.is_owner(), two.is_owner());
    assert_ne!(one.is_attached(), two.is_attached());
    let (owner, guest) = if one.is_owner() { (one, two) } else { (two, one) };
    assert_eq!(guest.stop().await.unwrap(), Stop::LeftRunning);
    assert_eq!(owner.stop().await.unwrap(), Stop::Stopped);
}

#[tokio::test]
async fn the_next_program_owns_the_server_of_a_killed_one() {
    let folder = folder();
    let first = Holder::of(folder.path());
    let (port, running) = (first.port, status(folder.path()).await.unwrap());
    first.kill();
    assert_eq!(status(folder.path()).await, Some(running));
    let next = start(folder.path()).await;
    assert!(next.is_attached() && next.is_owner());
    assert_eq!((next.port(), status(folder.path()).await), (port, Some(running)));
    assert_eq!(next.stop().await.unwrap(), Stop::Stopped);
    assert_eq!(status(folder.path()).await, None);
}

#[tokio::test]
async fn a_program_killed_while_it_starts_does_not_hinder_the_next() {
    let folder = folder();
    for delay in [30, 300, 900] {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "a_process_that_holds_a_server"])
            .env(HOLD, folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        sleep(Duration::from_millis(delay));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let server = start(folder.path()).await;
    assert_eq!(ask(&server, "select 1").await, ["1"]);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_dropped_server_is_stopped() {
    let folder = folder();
    drop(start(folder.path()).await);
    assert_eq!(status(folder.path()).await, None);
}

#[tokio::test]
async fn a_server_that_was_left_is_found_again() {
    let folder = folder();
    start(folder.path()).await.leave_running();
    let running = status(folder.path()).await.unwrap();
    let server = start(folder.path()).await;
    assert!(server.is_attached() && server.is_owner());
    assert_eq!(server.port(), running.port);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_path_with_links_means_the_same_server() {
    let (folder, other) = (folder(), folder());
    let first = start(folder.path()).await;
    symlink(folder.path(), other.path().join("link")).unwrap();
    let second = start(&other.path().join("link")).await;
    assert!(second.is_attached());
    assert_eq!(second.port(), first.port());
    drop(second);
    first.stop().await.unwrap();
}

#[tokio::test]
async fn a_stale_process_id_file_does_not_break_the_start() {
    let folder = folder();
    let server = start(folder.path()).await;
    ask(&server, "create table kept as select 42 as answer").await;
    let pid_file = folder.path().join("data/cluster/postmaster.pid");
    let text = fs::read_to_string(&pid_file).unwrap();
    let owner = fs::metadata(&pid_file).unwrap();
    server.stop().await.unwrap();
    let (_, rest) = text.split_once('\n').unwrap();
    // One that runs as the server's account is what PostgreSQL itself would trip over.
    let mut sleeper = Command::new("sleep");
    if is_root() {
        std::os::unix::process::CommandExt::uid(&mut sleeper, owner.uid());
    }
    let mut sleeper = sleeper.arg("60").spawn().unwrap();
    let gone = 4_000_000;
    for stale in [
        format!("{}\n{rest}", sleeper.id()),
        format!("{}\n{rest}", std::process::id()),
        format!("{gone}\n{rest}"),
        String::new(),
        "rubbish\n".to_owned(),
    ] {
        fs::write(&pid_file, &stale).unwrap();
        std::os::unix::fs::chown(&pid_file, Some(owner.uid()), Some(owner.gid())).unwrap();
        let server = start(folder.path()).await;
        assert!(!server.is_attached(), "{stale}");
        assert_eq!(ask(&server, "select answer from kept").await, ["42"]);
        server.stop().await.unwrap();
    }
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

#[tokio::test]
async fn a_crash_of_the_server_is_recovered_from() {
    let folder = folder();
    let server = start(folder.path()).await;
    ask(&server, "create table kept as select 42 as answer").await;
    ask(&server, "checkpoint").await;
    let pid = status(folder.path()).await.unwrap().pid;
    assert!(Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap().success());
    // The port may stay taken by the backends for a moment; the stop of a server that is gone is no error.
    assert_eq!(server.stop().await.unwrap(), Stop::Stopped);
    let server = start(folder.path()).await;
    assert_eq!(ask(&server, "select answer from kept").await, ["42"]);
    assert_eq!(server.stop_immediately().await.unwrap(), Stop::Stopped);
    let server = start(folder.path()).await;
    assert_eq!(ask(&server, "select answer from kept").await, ["42"]);
    server.stop().await.unwrap();
}

#[tokio::test]
async fn root_hands_the_server_to_another_account() {
    let folder = folder();
    let server = start(folder.path()).await;
    let pid = status(folder.path()).await.unwrap().pid;
    let account = fs::metadata(format!("/proc/{pid}")).unwrap().uid();
    assert_ne!(account, 0);
    assert_eq!(fs::metadata(folder.path().join("data/cluster")).unwrap().uid(), account);
    if is_root() {
        assert_eq!(fs::metadata(folder.path().join("data/pgpass")).unwrap().uid(), 0);
        server.stop().await.unwrap();
        // Data that root copied back is given to the account again.
        let cluster = folder.path().join("data/cluster");
        assert!(Command::new("chown").args(["-R", "0:0"]).arg(&cluster).status().unwrap().success());
        start(folder.path()).await.stop().await.unwrap();
        let closed = folder.path().join("closed");
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        let refused = EmbeddedPostgres::start(settings(&closed)).await.unwrap_err();
        assert!(matches!(&refused, EmbeddedError::Unreachable { path, .. } if *path == closed), "{refused}");
    } else {
        server.stop().await.unwrap();
    }
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_its_cure() {
    let folder = folder();
    let server = start(folder.path()).await;
    for name in ["", "a\nb", &"x".repeat(64)] {
        let refused = server.create_database_if_missing(name).await.unwrap_err();
        assert!(matches!(refused, EmbeddedError::InvalidDatabaseName), "{refused}");
    }
    let taken = server.port();
    let other = self::folder();
    let refused = EmbeddedPostgres::start(Settings { port: Some(taken), ..settings(other.path()) }).await.unwrap_err();
    assert!(matches!(refused, EmbeddedError::PortTaken { port } if port == taken), "{refused}");
    let options = vec![("fsync=off -c x".to_owned(), String::new())];
    let refused =
        EmbeddedPostgres::start(Settings { server_options: options, ..settings(other.path()) }).await.unwrap_err();
    assert!(matches!(refused, EmbeddedError::InvalidOption { .. }), "{refused}");
    let options = vec![("no_such_option".to_owned(), "1".to_owned())];
    let refused =
        EmbeddedPostgres::start(Settings { server_options: options, ..settings(other.path()) }).await.unwrap_err();
    assert!(refused.to_string().contains("no_such_option"), "{refused}");
    server.stop().await.unwrap();

    fs::remove_file(folder.path().join("data/pgpass")).unwrap();
    let refused = EmbeddedPostgres::start(settings(folder.path())).await.unwrap_err();
    assert!(matches!(refused, EmbeddedError::NoPassword { .. }), "{refused}");
    let version = folder.path().join("data/cluster/PG_VERSION");
    fs::write(version, "11\n").unwrap();
    let refused = EmbeddedPostgres::start(settings(folder.path())).await.unwrap_err();
    assert!(matches!(refused, EmbeddedError::OtherMajor { major: 11, .. }), "{refused}");
    let nowhere = Settings { binaries_dir: Some(PathBuf::from("/nowhere")), ..settings(folder.path()) };
    let refused = EmbeddedPostgres::start(nowhere).await.unwrap_err();
    assert!(matches!(refused, EmbeddedError::BinariesUnusable { .. }), "{refused}");
}
