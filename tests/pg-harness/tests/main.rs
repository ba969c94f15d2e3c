//! What the tests of other crates rely on.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::{
    env, fs,
    io::{BufRead, BufReader, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use b24sync_pg_harness::{PgServer, TestDatabase};
use tokio_postgres::{Client, NoTls};

async fn number(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

async fn is_there(database: &str) -> bool {
    let other = TestDatabase::create().await;
    let found = other.client().await.query("select from pg_database where datname = $1", &[&database]).await.unwrap();
    !found.is_empty()
}

#[tokio::test]
async fn two_databases_are_isolated() {
    let (one, two) = tokio::join!(TestDatabase::create(), TestDatabase::create());
    assert_ne!(one.name(), two.name());
    let (first, second) = (one.client().await, two.client().await);
    first.batch_execute("create table deals as select 1 as id").await.unwrap();
    assert_eq!(number(&first, "select count(*) from deals").await, 1);
    let absent = second.query("select from deals", &[]).await.unwrap_err();
    assert_eq!(absent.code().unwrap().code(), "42P01");
}

#[tokio::test]
async fn a_dropped_database_is_gone_even_with_a_connection_open() {
    let database = TestDatabase::create().await;
    let (name, client) = (database.name().to_owned(), database.client().await);
    assert!(is_there(&name).await);
    drop(database);
    assert!(!is_there(&name).await);
    assert!(client.query("select 1", &[]).await.is_err());
}

#[tokio::test]
async fn a_panicking_test_loses_its_database() {
    let (tell, told) = std::sync::mpsc::channel();
    let failed = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let database = TestDatabase::create().await;
            tell.send(database.name().to_owned()).unwrap();
            panic!("on purpose");
        });
    });
    assert!(failed.join().is_err());
    assert!(!is_there(&told.recv().unwrap()).await);
}

static BUILT: AtomicU32 = AtomicU32::new(0);

async fn build(url: &str) {
    BUILT.fetch_add(1, Ordering::SeqCst);
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    let work = client.batch_execute(
        "create table deals (id bigint primary key, title text);
         insert into deals select i, 'deal ' || i from generate_series(1, 10000) i;
         create index on deals (title);",
    );
    // The connection is left open on purpose: a pool would be, too.
    tokio::select! {
        done = work => done.unwrap(),
        _ = connection => panic!("the connection ended"),
    }
    std::mem::forget(client);
}

#[tokio::test]
async fn a_template_is_built_once_and_its_clones_are_fast_and_equal() {
    let (one, two) =
        tokio::join!(TestDatabase::from_template("deals", build), TestDatabase::from_template("deals", build));
    assert!(BUILT.load(Ordering::SeqCst) <= 1, "0 when another process was first");
    let started = Instant::now();
    let three = TestDatabase::from_template("deals", async |_: &str| panic!("built again")).await;
    let took = started.elapsed();
    println!("a clone took {took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    let mut sums = Vec::new();
    for database in [&one, &two, &three] {
        let client = database.client().await;
        assert_eq!(number(&client, "select count(*) from pg_indexes where tablename = 'deals'").await, 2);
        sums.push(number(&client, "select sum(hashtext(id || title))::bigint from deals").await);
        client.batch_execute("delete from deals").await.unwrap();
    }
    assert!(sums.iter().all(|sum| *sum == sums[0]), "{sums:?}");
    let four = TestDatabase::from_template("deals", build).await;
    assert_eq!(number(&four.client().await, "select count(*) from deals").await, 10_000);
}

#[tokio::test]
async fn a_template_whose_builder_failed_is_built_by_the_next() {
    let name = format!("fails-first-{}", std::process::id());
    let other = name.clone();
    let failed = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(TestDatabase::from_template(&other, async |_: &str| panic!("on purpose")));
    });
    assert!(failed.join().is_err());
    let database = TestDatabase::from_template(&name, build_one).await;
    assert_eq!(number(&database.client().await, "select count(*) from one").await, 1);
}

async fn build_one(url: &str) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    let work = async {
        client.batch_execute("create table one as select 1 as id").await.unwrap();
        drop(client);
    };
    let _ = tokio::join!(work, connection);
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_create_at_once() {
    let started = Instant::now();
    let threads: Vec<_> = (0..20)
        .map(|number| {
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let database = if number % 2 == 0 {
                        TestDatabase::create().await
                    } else {
                        TestDatabase::from_template("one", build_one).await
                    };
                    database.client().await.batch_execute("create table mine (id bigint)").await.unwrap();
                    database.name().to_owned()
                })
            })
        })
        .collect();
    let mut names: Vec<String> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    println!("twenty databases took {:?}", started.elapsed());
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 20);
}

#[tokio::test]
async fn the_roles_of_supabase_exist_however_many_ask() {
    let databases = [TestDatabase::create().await, TestDatabase::create().await, TestDatabase::create().await];
    tokio::join!(databases[0].supabase_roles(), databases[1].supabase_roles(), databases[2].supabase_roles());
    let client = databases[0].client().await;
    client
        .batch_execute(
            "create table deals as select 1 as id; alter table deals enable row level security;
             grant select on deals to anon, service_role;",
        )
        .await
        .unwrap();
    for (role, rows) in [("anon", 0), ("service_role", 1)] {
        client.batch_execute(&format!("set role {role}")).await.unwrap();
        assert_eq!(number(&client, "select count(*) from deals").await, rows, "{role}");
        client.batch_execute("reset role").await.unwrap();
    }
}

#[tokio::test]
async fn another_role_logs_in_with_its_own_address() {
    let database = TestDatabase::create().await;
    let role = format!("reader_{}", database.name());
    let client = database.client().await;
    client.batch_execute(&format!("create role {role} login password 'secret'")).await.unwrap();
    let (reader, connection) = tokio_postgres::connect(&database.role_url(&role, "secret"), NoTls).await.unwrap();
    let asked = async {
        let user: String = reader.query_one("select current_user::text", &[]).await.unwrap().get(0);
        drop(reader);
        user
    };
    assert_eq!(tokio::join!(asked, connection).0, role);
    client.batch_execute(&format!("drop role {role}")).await.unwrap();
}

#[tokio::test]
async fn connections_to_one_database_are_cut() {
    let (database, other) = (TestDatabase::create().await, TestDatabase::create().await);
    let (cut, left) = (database.client().await, other.client().await);
    assert_eq!(database.terminate_backends().await, 1);
    assert!(cut.query("select 1", &[]).await.is_err());
    assert_eq!(number(&left, "select 1::bigint").await, 1);
}

#[tokio::test]
async fn a_private_server_is_stopped_crashed_and_started() {
    let mut server = PgServer::private().await;
    let (port, url) = (server.port(), server.create_database("crm").await);
    let client = server.client("crm").await;
    let fsync: String = client.query_one("show fsync", &[]).await.unwrap().get(0);
    assert_eq!(fsync, "on");
    client.batch_execute("create table deals as select 1 as id").await.unwrap();
    client.batch_execute("begin; insert into deals values (2)").await.unwrap();
    server.restart_immediate().await;
    assert!(client.query("select 1", &[]).await.is_err());
    assert_eq!((server.port(), server.url("crm")), (port, url.clone()));
    assert_eq!(number(&server.client("crm").await, "select count(*) from deals").await, 1);

    server.stop_fast().await;
    assert!(!server.is_running());
    assert!(tokio_postgres::connect(&url, NoTls).await.is_err());
    server.stop_fast().await;
    server.start().await;
    server.start().await;
    let client = server.client("crm").await;
    assert_eq!(number(&client, "select count(*) from deals").await, 1);
    assert_eq!(server.terminate_backends("crm").await, 1);
    assert!(client.query("select 1", &[]).await.is_err());
}

#[tokio::test]
async fn a_dropped_private_server_is_gone() {
    let server = PgServer::private_with(&[("max_connections", "7")]).await;
    let client = server.client("postgres").await;
    let connections: String = client.query_one("show max_connections", &[]).await.unwrap().get(0);
    assert_eq!(connections, "7");
    let data: String = client.query_one("show data_directory", &[]).await.unwrap().get(0);
    let url = server.url("postgres");
    drop(server);
    assert!(tokio_postgres::connect(&url, NoTls).await.is_err());
    assert!(!Path::new(&data).exists());
}

/// Another process of this test binary that uses a server, with a folder of its own for temporary files.
struct Other {
    child: Child,
    /// Kept open: the process still prints.
    _stdout: BufReader<ChildStdout>,
    data: PathBuf,
    pid: u32,
}

const USE: &str = "B24SYNC_TEST_USE";

impl Other {
    fn using(kind: &str, temporary: &Path) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "a_process_that_uses_a_server", "--nocapture"])
            .env(USE, kind)
            .env("TMPDIR", temporary)
            .env("PG_HARNESS_LINGER_SECONDS", "2")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let line = stdout.by_ref().lines().map_while(Result::ok).find(|line| line.starts_with("USES ")).unwrap();
        let data = PathBuf::from(line.strip_prefix("USES ").unwrap());
        let pid = fs::read_to_string(data.join("postmaster.pid")).unwrap().lines().next().unwrap().parse().unwrap();
        Self { child, _stdout: stdout, data, pid }
    }

    fn kill(mut self) -> (PathBuf, u32) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        (self.data, self.pid)
    }

    fn finish(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

/// No test of its own: the other process of the tests below.
#[tokio::test]
async fn a_process_that_uses_a_server() {
    let Some(kind) = env::var_os(USE) else { return };
    let (mut database, mut server) = (None, None);
    let client = if kind == "shared" {
        database.insert(TestDatabase::create().await).client().await
    } else {
        server.insert(PgServer::private().await).client("postgres").await
    };
    let data: String = client.query_one("show data_directory", &[]).await.unwrap().get(0);
    println!("\nUSES {data}");
    let _ = std::io::stdin().read_line(&mut String::new());
}

fn temporary() -> tempfile::TempDir {
    tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir().unwrap()
}

fn runs(pid: u32) -> bool {
    // A zombie that nobody collects is gone all the same.
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

async fn gone(data: &Path, pid: u32) -> bool {
    let deadline = Instant::now() + Duration::from_secs(40);
    while Instant::now() < deadline {
        if !data.exists() && !runs(pid) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    false
}

#[tokio::test]
async fn processes_share_a_server_and_killed_ones_leave_nothing_for_ever() {
    let folder = temporary();
    let (one, two) = (Other::using("shared", folder.path()), Other::using("shared", folder.path()));
    assert_eq!((&one.data, one.pid), (&two.data, two.pid));
    assert_eq!(
        fs::read_dir(format!("/proc/{}/fd", one.pid))
            .unwrap()
            .flatten()
            .filter(|fd| { fs::read_link(fd.path()).is_ok_and(|file| file.ends_with("users")) })
            .count(),
        0
    );
    one.kill();
    assert!(runs(two.pid));
    let three = Other::using("shared", folder.path());
    assert_eq!(three.pid, two.pid);
    three.finish();
    let (data, pid) = two.kill();
    assert!(gone(&data, pid).await, "`{}` is still there", data.display());
    // The next run starts anew.
    let next = Other::using("shared", folder.path());
    assert_ne!(next.pid, pid);
    let (data, pid) = next.kill();
    assert!(gone(&data, pid).await, "`{}` is still there", data.display());
}

#[tokio::test]
async fn a_killed_process_leaves_no_private_server() {
    let folder = temporary();
    let (data, pid) = Other::using("private", folder.path()).kill();
    assert!(gone(&data, pid).await, "`{}` is still there", data.display());
    Other::using("private", folder.path()).finish();
    let deadline = Instant::now() + Duration::from_secs(20);
    while fs::read_dir(folder.path()).unwrap().next().is_some() {
        assert!(Instant::now() < deadline, "something is left in `{}`", folder.path().display());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_killed_supervisor_is_replaced() {
    let folder = temporary();
    let one = Other::using("shared", folder.path());
    let name = folder.path().to_str().unwrap();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command);
        if command.contains("supervise.sh") && command.contains(name) {
            let pid = process.file_name();
            assert!(Command::new("kill").arg("-9").arg(pid).status().unwrap().success());
        }
    }
    let two = Other::using("shared", folder.path());
    assert_eq!(one.pid, two.pid);
    one.kill();
    let (data, pid) = two.kill();
    assert!(gone(&data, pid).await, "`{}` is still there", data.display());
}
