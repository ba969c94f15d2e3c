//! Rows of a table against what they should be.

use b24sync_domain::entity::RecordId;
use b24sync_domain::mapping::ColumnType;
use b24sync_domain::mapping::rows::Column;
use diesel::sql_types::{Array, BigInt};

use super::arrays::{CellArray, IdArray};
use super::upsert::{cast, cell_name};
use super::{Sql, Table, sql};

/// Ids of rows that differ from these cells in any of these columns; `ids` and every column have the same length. Rows
/// that are not there do not count.
pub(crate) fn differing<'a>(table: Table<'a>, ids: &'a [RecordId], columns: &'a [Column]) -> Sql<'a, (BigInt,)> {
    let mut statement = sql("select u.id from unnest(").bind::<Array<BigInt>, _>(IdArray(ids)).text("::bigint[]");
    for column in columns {
        statement = statement.text(", ").fragment(CellArray::new(column));
    }
    statement = statement.text(") as u(id");
    for position in 0..columns.len() {
        statement = statement.text(", ").name(cell_name(position));
    }
    statement = statement.text(") join ").table(table).text(" as t on t.bitrix_id = u.id::text where false");
    for (position, column) in columns.iter().enumerate() {
        // `json` has no equality of its own.
        let (ours, theirs) = match column.column_type {
            ColumnType::Json | ColumnType::Jsonb => ("::jsonb is distinct from u.", "::jsonb"),
            other => (" is distinct from u.", cast(other)),
        };
        statement =
            statement.text(" or t.").name(column.name.as_str()).text(ours).name(cell_name(position)).text(theirs);
    }
    statement.text(" order by u.id").rows()
}
