//! The store: connects, checks, and holds what all ports need.

use std::fmt;
use std::sync::Arc;

use b24sync_domain::entity::EntityType;
use b24sync_domain::error::StoreError;
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::settings::DeleteMode;

use crate::config::DatabaseUrl;
use crate::error::Trouble;
use crate::migrate;
use crate::pool::{Connections, PoolSettings, PoolUse};
use crate::row_counts::RowCounts;
use crate::sql::Table;
use crate::system_tables::SystemTables;
use crate::transaction::Transaction;

/// Name of the schema that the replica lives in.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SchemaName(String);

/// A name that cannot be the replica's schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("DATABASE_SCHEMA `{name}` {problem}; an example is `public`")]
pub struct SchemaNameError {
    name: String,
    problem: &'static str,
}

impl SchemaName {
    /// Takes any name that PostgreSQL takes, as it stands, but for those that are taken.
    ///
    /// # Errors
    /// [`SchemaNameError`] for names that are empty, longer than 63 bytes, PostgreSQL's own, or `b24sync`.
    pub fn new(name: impl Into<String>) -> Result<SchemaName, SchemaNameError> {
        let name = name.into();
        let problem = if name.is_empty() || name.contains('\0') {
            "is no name"
        } else if name.len() > 63 {
            "is longer than 63 bytes"
        } else if name.starts_with("pg_") || name == "information_schema" {
            "belongs to PostgreSQL"
        } else if name == "b24sync" {
            "is kept for the control tables"
        } else {
            return Ok(SchemaName(name));
        };
        Err(SchemaNameError { name, problem })
    }

    /// The name, not quoted.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for SchemaName {
    fn default() -> SchemaName {
        SchemaName("public".to_owned())
    }
}

impl fmt::Display for SchemaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for SchemaName {
    type Err = SchemaNameError;

    fn from_str(name: &str) -> Result<SchemaName, SchemaNameError> {
        SchemaName::new(name)
    }
}

/// How to use a database.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StoreOptions {
    /// Where the replica lives (`DATABASE_SCHEMA`).
    pub schema: SchemaName,
    /// Type of new columns for instants (`TIMESTAMP_TYPE`).
    pub timestamps: TimestampStyle,
    /// What becomes of rows of deleted records (`DELETE_MODE`).
    pub deletes: DeleteMode,
    /// Connections.
    pub pool: PoolSettings,
}

/// The replica and its control tables in PostgreSQL: implements every port that stores. Cloning it is cheap.
#[derive(Clone)]
pub struct PgStore {
    inner: Arc<Inner>,
}

struct Inner {
    connections: Connections,
    tables: SystemTables,
    timestamps: TimestampStyle,
    deletes: DeleteMode,
    row_counts: RowCounts,
}

impl PgStore {
    /// Connects, and checks that the database fits this version.
    ///
    /// # Errors
    /// [`StoreError::NotMigrated`] or [`StoreError::TooNew`] when it does not fit; [`StoreError::Unavailable`],
    /// [`StoreError::LoginRefused`] or [`StoreError::Forbidden`] when it cannot be reached or used. Nothing is tried
    /// twice here.
    pub async fn connect(url: &DatabaseUrl, options: StoreOptions) -> Result<PgStore, StoreError> {
        let doing = "connecting";
        let StoreOptions { schema, timestamps, deletes, pool } = options;
        let connections = Connections::new(url, pool).map_err(|failure| failure.into_store(doing))?;
        let tables = checked(&connections, schema.as_str()).await.map_err(|trouble| trouble.into_store(doing))?;
        Ok(PgStore {
            inner: Arc::new(Inner { connections, tables, timestamps, deletes, row_counts: RowCounts::default() }),
        })
    }

    /// How many connections are in use.
    pub fn pool_use(&self) -> PoolUse {
        self.inner.connections.in_use()
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.inner.connections
    }

    pub(crate) fn tables(&self) -> &SystemTables {
        &self.inner.tables
    }

    pub(crate) fn timestamps(&self) -> TimestampStyle {
        self.inner.timestamps
    }

    pub(crate) fn deletes(&self) -> DeleteMode {
        self.inner.deletes
    }

    pub(crate) fn row_counts(&self) -> &RowCounts {
        &self.inner.row_counts
    }

    pub(crate) fn table(&self, entity: EntityType) -> Table<'_> {
        Table::new(self.inner.tables.schema(), entity.table())
    }

    pub(crate) async fn begin(&self) -> Result<Transaction, Trouble> {
        Transaction::begin(&self.inner.connections).await
    }
}

impl fmt::Debug for PgStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgStore").field("schema", &self.inner.tables.schema()).finish_non_exhaustive()
    }
}

async fn checked(connections: &Connections, schema: &str) -> Result<SystemTables, Trouble> {
    let mut connection = connections.lend().await?;
    migrate::check(&mut connection).await?;
    let tables = SystemTables::load(&mut connection, schema).await?;
    drop(connection);
    let mut transaction = Transaction::begin(connections).await?;
    let raised = migrate::raise_read_order(&mut transaction).await;
    transaction.finish(raised).await?;
    Ok(tables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_but_those_that_are_taken() {
        assert!(["public", "CRM данные", "a\"b"].into_iter().all(|name| SchemaName::new(name).is_ok()));
        for name in ["", "pg_toast", "information_schema", "b24sync", &"x".repeat(64)] {
            assert!(SchemaName::new(name).is_err(), "{name}");
        }
    }
}
