//! What is known of a table before a sync.

use b24sync_domain::entity::EntityType;
use b24sync_domain::field::FieldName;
use b24sync_domain::mapping::ColumnName;
use b24sync_domain::mapping::schema::{KnownTable, StoredField, TableShape};
use diesel::{ExpressionMethods, QueryDsl};
use diesel_async::RunQueryDsl as _;

use crate::connection::Connection;
use crate::error::Trouble;
use crate::schema::{fields, pinned_columns};
use crate::sql::{Table, catalog};

pub(super) async fn load(
    connection: &mut Connection,
    entity: EntityType,
    table: Table<'_>,
) -> Result<KnownTable, Trouble> {
    let shape = match catalog::relation(connection, table).await? {
        Some(relation) => {
            let columns = catalog::columns(connection, relation.oid).await?;
            let columns = columns.into_iter().map(|column| (ColumnName::existing(column.name), column.actual));
            Some(TableShape { columns: columns.collect() })
        }
        None => None,
    };
    let pinned: Vec<String> = pinned_columns::table
        .filter(pinned_columns::entity.eq(entity.type_id()))
        .select(pinned_columns::column_name)
        .load(connection)
        .await?;
    Ok(KnownTable {
        shape,
        fields: stored_fields(connection, entity).await?,
        pinned: pinned.into_iter().map(ColumnName::existing).collect(),
    })
}

/// Field, column, currency's column, type in the portal, whether multiple, whether retired.
type StoredRow = (String, Option<String>, Option<String>, String, bool, bool);

/// The data dictionary's columns, those of retired fields included: nobody else may get them.
pub(super) async fn stored_fields(
    connection: &mut Connection,
    entity: EntityType,
) -> Result<Vec<StoredField>, Trouble> {
    let rows: Vec<StoredRow> = fields::table
        .filter(fields::entity.eq(entity.type_id()))
        .order(fields::field)
        .select((
            fields::field,
            fields::column_name,
            fields::currency_column,
            fields::bitrix_type,
            fields::multiple,
            fields::retired,
        ))
        .load(connection)
        .await?;
    let stored = rows.into_iter().map(|(field, column, currency, type_name, multiple, retired)| StoredField {
        field: FieldName::new(field),
        column: column.map(ColumnName::existing),
        currency: currency.map(ColumnName::existing),
        type_name,
        multiple,
        retired,
    });
    Ok(stored.collect())
}
