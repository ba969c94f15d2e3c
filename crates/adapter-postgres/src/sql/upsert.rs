//! The statement that writes rows.

use std::borrow::Cow;

use b24sync_domain::entity::RecordId;
use b24sync_domain::mapping::ColumnType;
use b24sync_domain::mapping::rows::Column;
use diesel::sql_types::{Array, BigInt};

use super::arrays::{CellArray, IdArray};
use super::{Sql, Table, sql};

/// The columns that say when a row was written: whether they know a time zone, which a table of others may or may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_field_names, reason = "each says whether that column knows a zone")]
pub(crate) struct RowTimes {
    pub(crate) created_zoned: bool,
    pub(crate) updated_zoned: bool,
    /// Whether `deleted_at` does, where the table has one of ours.
    pub(crate) deleted_zoned: Option<bool>,
}

/// Now, for a column with or without time zone; the session's own zone must not matter.
pub(crate) fn now(zoned: bool) -> &'static str {
    if zoned { "now()" } else { "timezone('utc', now())" }
}

/// Inserts rows, or overwrites those that are there. `ids` and every column have the same length, `ids` rise.
pub(crate) fn upsert<'a>(table: Table<'a>, times: RowTimes, ids: &'a [RecordId], columns: &'a [Column]) -> Sql<'a> {
    let mut statement = sql("insert into ").table(table).text(" as t (bitrix_id");
    for column in columns {
        statement = statement.text(", ").name(column.name.as_str());
    }
    statement = statement.text(", created_at, updated_at)\nselect u.id::text");
    for (position, column) in columns.iter().enumerate() {
        statement = statement.text(", u.").name(cell_name(position)).text(cast(column.column_type));
    }
    statement = statement
        .text(", ")
        .text(now(times.created_zoned))
        .text(", ")
        .text(now(times.updated_zoned))
        .text("\nfrom unnest(")
        .bind::<Array<BigInt>, _>(IdArray(ids))
        .text("::bigint[]");
    for column in columns {
        statement = statement.text(", ").fragment(CellArray::new(column));
    }
    statement = statement.text(") as u(id");
    for position in 0..columns.len() {
        statement = statement.text(", ").name(cell_name(position));
    }
    statement = statement.text(")\non conflict (bitrix_id) do update set ");
    for column in columns {
        statement = statement.name(column.name.as_str()).text(" = excluded.").name(column.name.as_str()).text(", ");
    }
    // A record that was restored is no deleted one.
    statement.text(match times.deleted_zoned {
        Some(_) => "deleted_at = null, updated_at = excluded.updated_at",
        None => "updated_at = excluded.updated_at",
    })
}

/// Names that do not depend on the portal, and that no longer name can clash with.
pub(crate) fn cell_name<'a>(position: usize) -> Cow<'a, str> {
    let mut name = position.to_string();
    name.insert(0, 'c');
    Cow::Owned(name)
}

/// From what the cells travel as to what the column is. To `varchar(n)` there is none: an explicit cast would cut a
/// text that is too long, an assignment refuses it.
pub(crate) fn cast(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::Text
        | ColumnType::Varchar(_)
        | ColumnType::BigInt
        | ColumnType::Boolean
        | ColumnType::Timestamp
        | ColumnType::TimestampTz
        | ColumnType::Date => "",
        ColumnType::SmallInt => "::smallint",
        ColumnType::Integer => "::integer",
        ColumnType::Numeric => "::numeric",
        ColumnType::Jsonb => "::jsonb",
        ColumnType::Json => "::json",
    }
}
