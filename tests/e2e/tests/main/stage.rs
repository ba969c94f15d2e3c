//! A portal, a database, and the program between them.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use b24sync_pg_harness::TestDatabase;
use b24sync_portal_emulator::{Portal, PortalConfig, RunningPortal};
use tokio_postgres::Client;

/// What a finished program left behind.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// Panics with everything the program printed unless it ended well.
    pub(crate) fn expect_success(self) -> Finished {
        assert_eq!(self.code, Some(0), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

impl From<Output> for Finished {
    fn from(output: Output) -> Finished {
        Finished {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The program under test, with nothing of this process's settings but what starting a process needs.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_b24sync-under-test"));
    command.env_clear().stdin(Stdio::null());
    for name in ["PATH", "HOME", "TMPDIR", "LANG"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    // A `.env` of the developer's must not reach the tests.
    command.current_dir(Path::new(env!("CARGO_TARGET_TMPDIR")));
    command
}

/// Runs the program to its end without blocking the runtime's other tasks.
pub(crate) async fn finish(mut command: Command) -> Finished {
    tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap().into()
}

/// What stands before and after the port in an address on this machine, and the port.
fn around_port(url: &str) -> (&str, u16, &str) {
    let (before, place) = url.split_once("127.0.0.1:").unwrap();
    let (port, after) = place.split_once('/').unwrap();
    (before, port.parse().unwrap(), after)
}

/// The same address with another port, such as that of a proxy before the server.
pub(crate) fn with_port(url: &str, port: u16) -> String {
    let (before, _, after) = around_port(url);
    format!("{before}127.0.0.1:{port}/{after}")
}

/// The port of an address on this machine.
pub(crate) fn port_of(url: &str) -> u16 {
    around_port(url).1
}

/// The program, told where the portal and the database are.
pub(crate) fn between(portal: &RunningPortal, database: &str, arguments: &[&str]) -> Command {
    let mut command = program();
    command
        .env("BITRIX_WEBHOOK_URL", portal.webhook_url())
        .env("DATABASE_URL", database)
        .env("BITRIX_ALLOW_LOOPBACK", "true")
        .env("BITRIX_RATE_PER_SECOND", "10000")
        .env("BITRIX_RATE_BURST", "100000")
        .args(arguments);
    command
}

/// A portal and a database of a test's own.
pub(crate) struct Stage {
    pub(crate) portal: RunningPortal,
    pub(crate) database: TestDatabase,
}

impl Stage {
    /// A portal made as `config` says, and an empty database.
    pub(crate) async fn new(config: PortalConfig) -> Stage {
        let portal = Portal::new(config).start().expect("the emulator listens");
        Stage { portal, database: TestDatabase::create().await }
    }

    /// The program, told where the portal and the database are.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        between(&self.portal, &self.database.url(), arguments)
    }

    /// Runs the program to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Finished {
        finish(self.command(arguments)).await
    }

    /// A connection of the test's own.
    pub(crate) async fn client(&self) -> Client {
        self.database.client().await
    }

    /// The emulated portal.
    pub(crate) fn portal(&self) -> &Portal {
        self.portal.portal()
    }
}
