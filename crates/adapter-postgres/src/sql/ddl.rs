//! Statements that make and widen replica tables. None drops, renames or narrows anything.

use std::borrow::Cow;

use b24sync_domain::entity::EntityType;
use b24sync_domain::mapping::schema::NewColumn;
use b24sync_domain::mapping::{ColumnName, ColumnType, TimestampStyle};
use diesel::sql_types::{Integer, SmallInt};

use super::{Sql, Table, sql};

/// First half of the advisory locks on entities: "b24" and a number, so that no other program's lock is met.
const TABLES: i32 = 0x6232_3401;

/// The same for wishes for runs.
const WISHES: i32 = 0x6232_3402;

/// Keeps other processes from changing the tables of this entity until the transaction ends.
pub(crate) fn lock_entity<'a>(entity: i16) -> Sql<'a> {
    lock(TABLES, entity)
}

/// Keeps other processes from wishing for a run of this entity, or from opening one, until the transaction ends.
pub(crate) fn lock_wishes<'a>(entity: i16) -> Sql<'a> {
    lock(WISHES, entity)
}

fn lock<'a>(space: i32, entity: i16) -> Sql<'a> {
    sql("select pg_advisory_xact_lock(")
        .bind::<Integer, _>(space)
        .text(", ")
        .bind::<SmallInt, _>(entity)
        .text("::integer)")
}

/// Makes the table with all its columns.
pub(crate) fn create_table<'a>(table: Table<'a>, columns: &'a [NewColumn], style: TimestampStyle) -> Sql<'a> {
    let mut statement =
        sql("create table ").table(table).text(" (\n  id serial primary key,\n  bitrix_id varchar(50) unique not null");
    for column in columns {
        statement = statement.text(",\n  ").name(column.name.as_str()).text(" ").column_type(column.column_type);
    }
    let times = match style {
        TimestampStyle::Timestamp => {
            ",\n  created_at timestamp default now(),\n  updated_at timestamp default now()\n)"
        }
        TimestampStyle::TimestampTz => {
            ",\n  created_at timestamptz default now(),\n  updated_at timestamptz default now()\n)"
        }
    };
    statement.text(times)
}

/// Adds columns, if they are not there.
pub(crate) fn add_columns<'a>(table: Table<'a>, columns: impl Iterator<Item = &'a NewColumn>) -> Sql<'a> {
    let mut statement = sql("alter table ").table(table);
    for (position, column) in columns.enumerate() {
        statement = statement
            .text(if position == 0 { "\n  add column if not exists " } else { ",\n  add column if not exists " })
            .name(column.name.as_str())
            .text(" ")
            .column_type(column.column_type);
    }
    statement
}

/// Adds a column that says when a row was written.
pub(crate) fn add_time<'a>(table: Table<'a>, column: &'a str, style: TimestampStyle) -> Sql<'a> {
    sql("alter table ").table(table).text(" add column if not exists ").name(column).text(match style {
        TimestampStyle::Timestamp => " timestamp default now()",
        TimestampStyle::TimestampTz => " timestamptz default now()",
    })
}

/// Adds the column that says when a record was deleted in the portal.
pub(crate) fn add_deleted_at(table: Table<'_>, style: TimestampStyle) -> Sql<'_> {
    sql("alter table ").table(table).text(" add column if not exists deleted_at ").text(match style {
        TimestampStyle::Timestamp => "timestamp",
        TimestampStyle::TimestampTz => "timestamptz",
    })
}

/// Gives a column a wider type.
pub(crate) fn widen<'a>(table: Table<'a>, column: &'a str, to: ColumnType) -> Sql<'a> {
    sql("alter table ").table(table).text(" alter column ").name(column).text(" type ").column_type(to)
}

/// Makes ids unique in a table of others.
pub(crate) fn unique_index<'a>(table: Table<'a>, column: &'a str) -> Sql<'a> {
    sql("create unique index on ").table(table).text(" (").name(column).text(")")
}

/// Index for questions by time of change.
pub(crate) fn modified_index<'a>(entity: EntityType, table: Table<'a>, column: &'a ColumnName) -> Sql<'a> {
    sql("create index if not exists ")
        .name(index_name(&["idx", entity.table(), column.as_str()]))
        .text(" on ")
        .table(table)
        .text(" (")
        .name(column.as_str())
        .text(")")
}

fn index_name<'a>(parts: &[&str]) -> Cow<'a, str> {
    Cow::Owned(parts.join("_"))
}

/// Puts a field's label where database tools show it.
pub(crate) fn comment<'a>(table: Table<'a>, column: &'a str, label: &'a str) -> Sql<'a> {
    sql("comment on column ").table(table).text(".").name(column).text(" is ").literal(label)
}
