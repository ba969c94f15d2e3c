//! Looks at a database for the self-test, whether it has been migrated or not.
//!
//! - `server`: the server, its room, and the login.
//! - `rights`: what the login may do.
//! - `pooling`: what lies between us and the server.
//! - `exposure`: who else may use what is ours, and closing it.
//! - `indexes`: indexes that do not work.
//! - `arrivals`: what changed in the portal without an event; asked of the store, for it needs its tables.

mod arrivals;
mod exposure;
mod indexes;
mod pooling;
mod rights;
mod server;

use std::time::Duration;

use async_trait::async_trait;
use b24sync_domain::doctor::facts::{
    BrokenIndex, ConnectionFacts, MigrationFacts, OpenObject, Pooling, RightsFacts, ServerFacts,
};
use b24sync_domain::entity::EntityType;
use b24sync_domain::error::StoreError;
use b24sync_domain::ports::DatabaseExaminer;

use crate::config::DatabaseUrl;
use crate::error::Trouble;
use crate::migrate::{self, MigrateOptions};
use crate::pool::{Connections, Lent, PoolSettings};
use crate::system_tables;
use crate::transaction::Transaction;

/// Connections of an examiner: two clients tell what a pooler does with them.
const POOL: PoolSettings = PoolSettings { size: 2, max_overflow: 0, acquire_timeout: Duration::from_secs(10) };

/// Implements [`DatabaseExaminer`] on connections of its own.
pub struct PgExaminer {
    connections: Connections,
    url: DatabaseUrl,
    options: MigrateOptions,
}

impl PgExaminer {
    /// Connects when it is asked the first question. `options` are those that a migration would have.
    ///
    /// # Errors
    /// When the settings of TLS cannot be used.
    pub fn new(url: &DatabaseUrl, options: MigrateOptions) -> Result<PgExaminer, StoreError> {
        let connections = Connections::new(url, POOL).map_err(|failure| failure.into_store("connecting"))?;
        Ok(PgExaminer { connections, url: url.clone(), options })
    }

    fn schema(&self) -> &str {
        self.options.schema.as_str()
    }

    /// Asks one question. Nothing is tried twice: whoever looks wants to see what happens.
    async fn ask<T>(
        &self,
        doing: &'static str,
        question: impl AsyncFnOnce(&mut Lent) -> Result<T, Trouble>,
    ) -> Result<T, StoreError> {
        let asked = async {
            let mut connection = self.connections.lend().await?;
            question(&mut connection).await
        };
        asked.await.map_err(|trouble: Trouble| trouble.into_store(doing))
    }
}

/// Names of the tables that we make, or take over, in the replica's schema.
fn our_names() -> Vec<&'static str> {
    EntityType::all().map(EntityType::table).chain(system_tables::names()).collect()
}

#[async_trait]
impl DatabaseExaminer for PgExaminer {
    async fn server(&self) -> Result<ServerFacts, StoreError> {
        self.ask("looking at the server", async |connection| server::facts(connection).await).await
    }

    async fn pooling(&self) -> Result<Pooling, StoreError> {
        let found = pooling::find(&self.connections).await;
        found.map_err(|trouble| trouble.into_store("looking for a pooler"))
    }

    async fn connections(&self) -> Result<ConnectionFacts, StoreError> {
        self.ask("counting connections", async |connection| server::connections(connection).await).await
    }

    async fn rights(&self) -> Result<RightsFacts, StoreError> {
        self.ask("looking at rights", async |connection| rights::facts(connection, self.schema()).await).await
    }

    async fn migrations(&self) -> Result<MigrationFacts, StoreError> {
        self.ask("reading the list of migrations", async |connection| migrate::facts(connection).await).await
    }

    async fn migrate(&self) -> Result<(), StoreError> {
        migrate::migrate(&self.url, &self.options).await.map(drop)
    }

    async fn open_objects(&self) -> Result<Vec<OpenObject>, StoreError> {
        self.ask("looking at grants", async |connection| exposure::open(connection, self.schema()).await).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        let work = async {
            let mut transaction = Transaction::begin_change(&self.connections).await?;
            let closed = exposure::close(&mut transaction, self.schema()).await;
            transaction.finish(closed).await
        };
        work.await.map_err(|trouble: Trouble| trouble.into_store("closing what is open"))
    }

    async fn broken_indexes(&self) -> Result<Vec<BrokenIndex>, StoreError> {
        self.ask("looking at indexes", async |connection| indexes::broken(connection, self.schema()).await).await
    }
}
