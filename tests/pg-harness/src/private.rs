//! A server of one test.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use b24sync_embedded_postgres::{EmbeddedPostgres, Settings};
use secrecy::ExposeSecret;
use tokio_postgres::Client;

use crate::{
    admin::{connect, text},
    database::terminate_backends,
    shared::temporary,
    supervisor::Use,
};

/// A server with default durability that one test may stop, start and crash. It keeps its port and data until it is
/// dropped, which blocks for the stop; if its process is killed, a supervisor removes it within seconds.
#[derive(Debug)]
pub struct PgServer {
    running: Option<EmbeddedPostgres>,
    settings: Settings,
    url: String,
    base: PathBuf,
    _use: Use,
}

impl PgServer {
    /// Starts a server with default settings; 1 to 2 s.
    pub async fn private() -> Self {
        Self::private_with(&[]).await
    }

    /// Starts a server with the given options, such as `("max_connections", "20")`.
    pub async fn private_with(options: &[(&str, &str)]) -> Self {
        Self::below(&temporary(), options).await
    }

    /// The same in the folder for temporary files, wherever memory would be: what it writes is written.
    pub async fn on_disk_with(options: &[(&str, &str)]) -> Self {
        Self::below(&env::temp_dir(), options).await
    }

    /// The same in this folder, such as one on a small file system. Everybody must be able to enter it.
    pub async fn private_in(folder: &Path, options: &[(&str, &str)]) -> Self {
        Self::below(folder, options).await
    }

    async fn below(folder: &Path, options: &[(&str, &str)]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let base = folder.join(format!("b24sync-pg-private-{}-{now:x}-{number}", process::id()));
        let using = Use::of(&base);
        using.supervise(0);
        let mut settings = Settings {
            data_dir: Some(using.server()),
            server_options: options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            ..Settings::default()
        };
        let running = start(&settings).await;
        settings.port = Some(running.port());
        let url = running.url("postgres").expose_secret().to_owned();
        Self { running: Some(running), settings, url, base, _use: using }
    }

    /// The address of `database` for the superuser. The name must need no escaping in an address.
    pub fn url(&self, database: &str) -> String {
        crate::admin::with_database(&self.url, database)
    }

    /// The port on 127.0.0.1, the same after each start.
    pub fn port(&self) -> u16 {
        self.settings.port.unwrap_or_default()
    }

    /// Whether the server runs, as far as this test stopped and started it.
    pub fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// The process id of the server.
    pub fn pid(&self) -> Option<u32> {
        let file = fs::read_to_string(self.base.join("server/cluster/postmaster.pid")).ok()?;
        file.lines().next()?.trim().parse().ok()
    }

    /// What the server has written down since it was started last.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.base.join("server/cluster/server.log")).unwrap_or_default()).into_owned()
    }

    /// A connection to `database` as the superuser.
    pub async fn client(&self, database: &str) -> Client {
        connect(&self.url(database)).await
    }

    /// Creates an empty database and returns its address.
    pub async fn create_database(&self, name: &str) -> String {
        let created = self.client("postgres").await.batch_execute(&format!("create database \"{name}\"")).await;
        created.unwrap_or_else(|error| panic!("cannot create the database `{name}`: {}", text(&error)));
        self.url(name)
    }

    /// Stops the server: sessions are cut, everything is written. Nothing happens when it is stopped.
    pub async fn stop_fast(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop().await.unwrap_or_else(|error| panic!("{error}"));
        }
    }

    /// Stops the server as a power failure would. Nothing happens when it is stopped.
    pub async fn stop_immediate(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop_immediately().await.unwrap_or_else(|error| panic!("{error}"));
        }
    }

    /// Starts the server on its port, recovering if need be. Nothing happens when it runs.
    pub async fn start(&mut self) {
        if self.running.is_none() {
            self.running = Some(start(&self.settings).await);
        }
    }

    /// Crashes the server and starts it again: what was not committed is gone, and what was is there.
    pub async fn restart_immediate(&mut self) {
        self.stop_immediate().await;
        self.start().await;
    }

    /// Cuts every connection to `database`; returns how many.
    pub async fn terminate_backends(&self, database: &str) -> u64 {
        terminate_backends(&self.client("postgres").await, database).await
    }
}

impl Drop for PgServer {
    fn drop(&mut self) {
        drop(self.running.take());
        let _ = fs::remove_dir_all(&self.base);
    }
}

async fn start(settings: &Settings) -> EmbeddedPostgres {
    EmbeddedPostgres::start(settings.clone()).await.unwrap_or_else(|error| panic!("no private server: {error}"))
}
