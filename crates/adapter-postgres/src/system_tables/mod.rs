//! `sync_config`, `sync_state` and `sync_logs`: the tables that the world outside knows. They live in a schema that is
//! a setting, so that they are made by code.

mod adopt;
mod definition;

use std::collections::HashSet;

use b24sync_domain::entity::EntityType;
use b24sync_domain::error::StoreError;
use b24sync_domain::mapping::ColumnType;
use b24sync_domain::mapping::schema::ActualType;
use diesel::sql_types::{Integer, Text};

use crate::connection::Connection;
use crate::error::Trouble;
use crate::migrate::AdoptedTable;
use crate::sql::upsert::now;
use crate::sql::{Table, catalog, sql};

/// Makes what is missing and takes over what is there; idempotent. Returns what was there.
pub(crate) async fn bring(
    connection: &mut Connection,
    schema: &str,
    default_interval_minutes: i32,
) -> Result<Vec<AdoptedTable>, Trouble> {
    let mut found = Vec::new();
    for table in definition::ALL {
        found.extend(adopt::bring(connection, schema, table).await?);
    }
    let tables = SystemTables::load(connection, schema).await?;
    for entity in EntityType::all() {
        tables.configure(connection, entity, default_interval_minutes).await?;
    }
    let closed = tables.close_strangers(connection).await?;
    if closed > 0
        && let Some(logs) = found.iter_mut().find(|adopted| adopted.table == definition::SYNC_LOGS.name)
    {
        logs.changes.push(format!("closed {closed} runs that were marked as running"));
    }
    Ok(found)
}

/// Names of the tables, without their schema.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    definition::ALL.into_iter().map(|table| table.name)
}

/// Names of the tables, and which of their times know a time zone: in tables of the Python service either may be.
#[derive(Debug, Clone)]
pub(crate) struct SystemTables {
    schema: String,
    zoned: HashSet<(&'static str, String)>,
}

impl SystemTables {
    /// Looks at the tables as they are.
    pub(crate) async fn load(connection: &mut Connection, schema: &str) -> Result<SystemTables, Trouble> {
        let mut zoned = HashSet::new();
        for definition in definition::ALL {
            let relation = catalog::relation(connection, Table::new(schema, definition.name)).await?;
            let relation = relation.ok_or(StoreError::NotMigrated)?;
            for column in catalog::columns(connection, relation.oid).await? {
                if column.actual == ActualType::Known(ColumnType::TimestampTz) {
                    zoned.insert((definition.name, column.name));
                }
            }
        }
        Ok(SystemTables { schema: schema.to_owned(), zoned })
    }

    /// Schema of the replica.
    pub(crate) fn schema(&self) -> &str {
        &self.schema
    }

    pub(crate) fn config(&self) -> Table<'_> {
        Table::new(&self.schema, definition::SYNC_CONFIG.name)
    }

    pub(crate) fn state(&self) -> Table<'_> {
        Table::new(&self.schema, definition::SYNC_STATE.name)
    }

    pub(crate) fn logs(&self) -> Table<'_> {
        Table::new(&self.schema, definition::SYNC_LOGS.name)
    }

    pub(crate) fn is_zoned(&self, table: Table<'_>, column: &str) -> bool {
        self.zoned.iter().any(|(name, zoned)| *name == table.name && zoned == column)
    }

    /// Now, as this column wants it.
    pub(crate) fn now(&self, table: Table<'_>, column: &str) -> &'static str {
        now(self.is_zoned(table, column))
    }

    async fn configure(
        &self,
        connection: &mut Connection,
        entity: EntityType,
        interval_minutes: i32,
    ) -> Result<(), Trouble> {
        let config = self.config();
        // Every column is given: in a table of SQLAlchemy's, defaults live in Python.
        let statement = sql("insert into ")
            .table(config)
            .text(" (entity_type, enabled, sync_interval_minutes, webhook_enabled, created_at, updated_at) values (")
            .bind::<Text, _>(entity.key())
            .text(", true, ")
            .bind::<Integer, _>(interval_minutes)
            .text(", true, ")
            .text(self.now(config, "created_at"))
            .text(", ")
            .text(self.now(config, "updated_at"))
            .text(") on conflict (entity_type) do nothing");
        connection.perform(statement).await?;
        Ok(())
    }

    /// Closes runs that another program left as running.
    async fn close_strangers(&self, connection: &mut Connection) -> Result<usize, Trouble> {
        let logs = self.logs();
        let statement = sql("update ")
            .table(logs)
            .text(" as l set status = 'interrupted', completed_at = ")
            .text(self.now(logs, "completed_at"))
            .text(", error_message = coalesce(l.error_message, 'its process ended without a word') where l.status = 'running' and not exists (select from b24sync.runs r where r.run_id = l.id)");
        connection.perform(statement).await
    }
}
