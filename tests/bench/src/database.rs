//! A PostgreSQL of its own, with the same settings for all.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use b24sync_pg_harness::PgServer;

use crate::process;

/// Durability is as it comes: `fsync` and `synchronous_commit` are on. The rest keeps checkpoints, which would hit one and
/// spare the other, out of what is measured, and the tables in memory, as those of a real server are.
const SETTINGS: [(&str, &str); 4] =
    [("shared_buffers", "512MB"), ("max_wal_size", "8GB"), ("checkpoint_timeout", "1h"), ("max_connections", "50")];

/// A server that is gone when this is dropped.
pub(crate) struct Server(PgServer);

/// Row versions that were written to a table since it was made: inserted, updated, deleted.
pub(crate) type RowVersions = [i64; 3];

impl Server {
    pub(crate) async fn start() -> Self {
        Self(PgServer::on_disk_with(&SETTINGS).await)
    }

    pub(crate) fn url(&self, database: &str) -> String {
        self.0.url(database)
    }

    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.0.pid().and_then(process::family_cpu_seconds).unwrap_or(0.0)
    }

    /// An empty database of this name, in place of one that there was.
    pub(crate) async fn fresh(&self, database: &str) -> Result<()> {
        self.drop_database(database).await?;
        self.0.create_database(database).await;
        Ok(())
    }

    pub(crate) async fn drop_database(&self, database: &str) -> Result<()> {
        let sql = format!("drop database if exists {database} with (force)");
        self.0.client("postgres").await.batch_execute(&sql).await.context("cannot drop a database")
    }

    /// Writes what is waiting to be written, so that nobody pays for who came before.
    pub(crate) async fn settle(&self) -> Result<()> {
        self.0.client("postgres").await.batch_execute("checkpoint").await.context("no checkpoint")
    }

    pub(crate) async fn row_versions(&self, database: &str) -> Result<RowVersions> {
        const SQL: &str = "select n_tup_ins, n_tup_upd, n_tup_del from pg_stat_user_tables where relname = 'crm_deals'";
        // A backend that ends tells its counts, which takes a moment.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let row = self.0.client(database).await.query_one(SQL, &[]).await?;
        Ok([row.get(0), row.get(1), row.get(2)])
    }

    pub(crate) async fn columns(&self, database: &str) -> Result<i64> {
        const SQL: &str = "select count(*) from information_schema.columns where table_name = 'crm_deals'";
        Ok(self.0.client(database).await.query_one(SQL, &[]).await?.get(0))
    }

    /// Seconds in which the rows of `crm_deals` go by binary COPY, from a file of the server, into an empty table with
    /// the same columns, defaults, constraints and indexes, and are committed; and PostgreSQL's processor time for that.
    pub(crate) async fn copy_seconds(&self, database: &str) -> Result<(f64, f64)> {
        let client = self.0.client(database).await;
        let row = client.query_one("select current_setting('data_directory')", &[]).await?;
        let file = format!("{}/crm_deals.copy", row.get::<_, String>(0));
        client.batch_execute(&format!("copy crm_deals to '{file}' (format binary)")).await?;
        client.batch_execute("create table crm_deals_copied (like crm_deals including all)").await?;
        self.settle().await?;
        let (started, cpu_before) = (Instant::now(), self.cpu_seconds());
        client.batch_execute(&format!("copy crm_deals_copied from '{file}' (format binary)")).await?;
        let (seconds, cpu_seconds) = (started.elapsed().as_secs_f64(), self.cpu_seconds() - cpu_before);
        client.batch_execute("drop table crm_deals_copied").await?;
        Ok((seconds, cpu_seconds))
    }
}
