//! Makes the seed's tables, or takes over those that the Python service made: nothing is dropped, types are respected,
//! what is missing is added.

use b24sync_domain::error::StoreError;
use b24sync_domain::mapping::ColumnType;
use b24sync_domain::mapping::schema::ActualType;

use super::definition::{Family, SystemColumn, SystemTable};
use crate::connection::Connection;
use crate::error::Trouble;
use crate::migrate::AdoptedTable;
use crate::sql::catalog::{self, CatalogColumn};
use crate::sql::{Table, access, ddl, sql};

/// Brings one table there. Returns what was done to a table that was there already.
pub(super) async fn bring(
    connection: &mut Connection,
    schema: &str,
    definition: &SystemTable,
) -> Result<Option<AdoptedTable>, Trouble> {
    let table = Table::new(schema, definition.name);
    match catalog::relation(connection, table).await? {
        None => create(connection, table, definition).await.map(|()| None),
        Some(relation) if relation.is_table() => {
            let changes = adopt(connection, table, relation.oid, definition).await?;
            Ok(Some(AdoptedTable { table: definition.name.to_owned(), changes }))
        }
        Some(_) => Err(cannot(definition.name, "it is not a table".to_owned())),
    }
}

fn cannot(table: &str, reason: String) -> Trouble {
    StoreError::CannotAdopt { table: table.to_owned(), reason }.into()
}

async fn create(connection: &mut Connection, table: Table<'_>, definition: &SystemTable) -> Result<(), Trouble> {
    let mut statement = sql("create table ").table(table).text(" (");
    for (position, column) in definition.columns.iter().enumerate() {
        statement = statement
            .text(if position == 0 { "\n  " } else { ",\n  " })
            .name(column.name)
            .text(" ")
            .text(column.definition);
    }
    connection.change(&statement.text("\n)")).await?;
    if let Some(relation) = catalog::relation(connection, table).await? {
        access::close_table(connection, table, relation.oid).await?;
    }
    Ok(())
}

async fn adopt(
    connection: &mut Connection,
    table: Table<'_>,
    relation: u32,
    definition: &SystemTable,
) -> Result<Vec<String>, Trouble> {
    let existing = catalog::columns(connection, relation).await?;
    let sequences = access::sequences(connection, relation).await?;
    refuse_demanding_columns(table, definition, &existing)?;
    let mut changes = Vec::new();
    for wanted in definition.columns {
        match existing.iter().find(|column| column.name == wanted.name) {
            Some(found) => changes.extend(fit(connection, table, wanted, found).await?),
            None if wanted.name == "entity_type" => {
                return Err(cannot(table.name, "it has no column `entity_type`".to_owned()));
            }
            None => {
                let statement = sql("alter table ").table(table).text(" add column if not exists ").name(wanted.name);
                connection.change(&statement.text(" ").text(wanted.added.unwrap_or(wanted.definition))).await?;
                changes.push(format!("added the column `{}`", wanted.name));
            }
        }
    }
    // The table keeps its rights; a sequence that came with a column of ours has none to keep.
    access::close_new_sequences(connection, table, relation, &sequences).await?;
    if definition.per_entity && !catalog::is_unique(connection, relation, "entity_type").await? {
        let duplicates = catalog::duplicates(connection, table, "entity_type").await?;
        if !duplicates.is_empty() {
            let reason = format!("`entity_type` holds values more than once: {}", duplicates.join(", "));
            return Err(cannot(table.name, reason));
        }
        connection.change(&ddl::unique_index(table, "entity_type")).await?;
        changes.push("made `entity_type` unique".to_owned());
    }
    Ok(changes)
}

/// A column that every insert would have to fill, but that nobody told us how to.
fn refuse_demanding_columns(
    table: Table<'_>,
    definition: &SystemTable,
    existing: &[CatalogColumn],
) -> Result<(), Trouble> {
    let ours = |name: &str| definition.columns.iter().any(|column| column.name == name && name != "id");
    match existing.iter().find(|column| column.not_null && !column.has_default && !ours(&column.name)) {
        Some(column) => Err(cannot(table.name, format!("its column `{}` is not null and has no default", column.name))),
        None => Ok(()),
    }
}

async fn fit(
    connection: &mut Connection,
    table: Table<'_>,
    wanted: &SystemColumn,
    found: &CatalogColumn,
) -> Result<Option<String>, Trouble> {
    if !wanted.family.accepts(&found.actual) {
        let reason = format!("its column `{}` has the type `{}`", found.name, found.written);
        return Err(cannot(table.name, reason));
    }
    match (wanted.family, &found.actual) {
        (Family::Words(Some(least)), ActualType::Known(ColumnType::Varchar(length))) if *length < least => {
            connection.change(&ddl::widen(table, wanted.name, ColumnType::Varchar(least))).await?;
            Ok(Some(format!("widened the column `{}` to varchar({least})", wanted.name)))
        }
        _ => Ok(None),
    }
}
