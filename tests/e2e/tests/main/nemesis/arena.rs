//! A portal, a database, the proxies before both, and the processes between them.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use b24sync_pg_harness::PgServer;
use b24sync_portal_emulator::{Dialect, FaultPlan, Portal, RunningPortal};
use b24sync_testkit::proxy::Proxy;
use tokio_postgres::Client;

use super::change::ENTITIES;
use super::plan::{Plan, Way};
use crate::stage::{program, with_port};

/// Time for a process with nothing in its way.
const PLENTY: Duration = Duration::from_secs(60);

/// Where a seed is fought out.
pub(super) struct Arena<'s> {
    pub(super) server: &'s mut PgServer,
    pub(super) database: String,
    pub(super) portal: RunningPortal,
    pub(super) way_to_portal: Proxy,
    pub(super) way_to_database: Proxy,
    dialect: Dialect,
    words: PathBuf,
    started: usize,
}

/// A process of the program.
pub(super) struct Process {
    child: Child,
    pub(super) what: String,
    words: PathBuf,
    ended: Option<ExitStatus>,
    /// The lease that another process has taken and worked under while this one was held.
    pub(super) overtaken: Option<String>,
}

/// What a process left behind.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) what: String,
    /// `None` when a signal ended it.
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
    pub(super) overtaken: Option<String>,
}

impl Ended {
    fn fail_if_panicked(self) -> Ended {
        assert!(!self.stderr.contains("panicked"), "`{}` panicked:\n{}", self.what, self.stderr);
        self
    }

    /// Panics unless it ended well.
    pub(super) fn expect_success(self) -> Ended {
        assert_eq!(self.code, Some(0), "`{}`:\n{}\n{}", self.what, self.stdout, self.stderr);
        self
    }
}

impl<'s> Arena<'s> {
    pub(super) async fn new(plan: &Plan, server: &'s mut PgServer, words: &Path) -> Arena<'s> {
        let database = format!("seed_{}", plan.seed);
        server.create_database(&database).await;
        let portal = Portal::new(plan.portal.clone()).start().expect("the emulator listens");
        let way_to_portal = Proxy::before(portal.port()).await;
        let way_to_database = Proxy::before(server.port()).await;
        let (dialect, words) = (plan.dialect, words.to_owned());
        Arena { server, database, portal, way_to_portal, way_to_database, dialect, words, started: 0 }
    }

    pub(super) fn portal(&self) -> &Portal {
        self.portal.portal()
    }

    /// The scope of the lease that a process holds, and its token.
    pub(super) async fn lease_of(&self, process: &Process) -> Option<(String, i64)> {
        // Identities are `host/pid/…`; before the first migration there is no such table.
        let sql = "select scope, token from b24sync.leases \
                   where expires_at > clock_timestamp() and split_part(holder, '/', 2) = $1";
        let row = self.client().await.query_opt(sql, &[&process.child.id().to_string()]).await.ok()??;
        Some((row.get(0), row.get(1)))
    }

    /// The token of a lease.
    pub(super) async fn token(&self, scope: &str) -> i64 {
        let sql = "select token from b24sync.leases where scope = $1";
        self.client().await.query_one(sql, &[&scope]).await.unwrap().get(0)
    }

    /// A connection of the witness's own, past the proxy.
    pub(super) async fn client(&self) -> Client {
        self.server.client(&self.database).await
    }

    /// The proxy before one or the other.
    pub(super) fn way(&self, to: Way) -> &Proxy {
        match to {
            Way::Database => &self.way_to_database,
            Way::Portal => &self.way_to_portal,
        }
    }

    fn command(&self, arguments: &[String]) -> Command {
        let api = if self.dialect == Dialect::Item { "item" } else { "classic" };
        let mut command = program();
        command
            .env("BITRIX_WEBHOOK_URL", with_port(&self.portal.webhook_url(), self.way_to_portal.port()))
            .env("DATABASE_URL", with_port(&self.server.url(&self.database), self.way_to_database.port()))
            .env("BITRIX_CRM_API", api)
            .env("BITRIX_ALLOW_LOOPBACK", "true")
            .env("BITRIX_RATE_PER_SECOND", "10000")
            .env("BITRIX_RATE_BURST", "100000")
            .args(arguments)
            .args(["--output", "json"]);
        command
    }

    /// Starts the program.
    pub(super) fn start(&mut self, arguments: &[String]) -> Process {
        self.started += 1;
        let what = arguments.join(" ");
        let words = self.words.join(format!("{:02}-{}", self.started, what.replace([' ', ','], "_")));
        let words = PathBuf::from(words.to_string_lossy().chars().take(200).collect::<String>());
        let mut command = self.command(arguments);
        command
            .stdout(File::create(words.with_extension("stdout")).unwrap())
            .stderr(File::create(words.with_extension("stderr")).unwrap());
        Process { child: command.spawn().unwrap(), what, words, ended: None, overtaken: None }
    }

    /// Runs the program to its end, which must come.
    pub(super) async fn run(&mut self, arguments: &[&str]) -> Ended {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        self.start(&arguments).ended().await
    }

    /// Makes everything well again.
    pub(super) async fn heal(&mut self) {
        self.way_to_database.heal();
        self.way_to_portal.heal();
        let portal = self.portal();
        portal.set_faults(FaultPlan::none());
        portal.set_rate(None);
        portal.reinstate_webhook();
        portal.set_crm_rights(true);
        portal.set_admin(true);
        for entity in ENTITIES {
            portal.unhide(entity);
            portal.remove_entity_type(entity, false);
        }
        self.server.start().await;
    }

    /// Frees the server of this seed's database.
    pub(super) async fn leave(self) {
        let drop = format!("drop database {} with (force)", self.database);
        self.server.client("postgres").await.batch_execute(&drop).await.unwrap();
    }
}

impl Process {
    pub(super) fn signal(&mut self, name: &str) {
        if !self.has_ended() {
            // It may end at this moment.
            let _ = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        }
    }

    pub(super) fn has_ended(&mut self) -> bool {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().unwrap();
        }
        self.ended.is_some()
    }

    pub(super) async fn ends_within(&mut self, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        while !self.has_ended() {
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
        true
    }

    /// Waits for the end, which must come.
    pub(super) async fn ended(mut self) -> Ended {
        assert!(self.ends_within(PLENTY).await, "`{}` does not end although nothing is wrong", self.what);
        self.end()
    }

    /// Kills it if it has not ended, and looks at what it left behind.
    pub(super) fn end(mut self) -> Ended {
        if !self.has_ended() {
            self.child.kill().unwrap();
        }
        let status = self.child.wait().unwrap();
        let read = |extension| {
            String::from_utf8_lossy(&std::fs::read(self.words.with_extension(extension)).unwrap()).into_owned()
        };
        let (stdout, stderr) = (read("stdout"), read("stderr"));
        let (what, overtaken) = (self.what.clone(), self.overtaken.take());
        Ended { what, code: status.code(), stdout, stderr, overtaken }.fail_if_panicked()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
