//! Rows of `sync_logs` as they stand.

use b24sync_domain::ports::LoggedRun;
use b24sync_domain::run::RunId;
use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Nullable, Text};

use crate::connection::Connection;
use crate::error::Trouble;
use crate::sql::sql;
use crate::system_tables::SystemTables;

/// A row of `sync_logs` in the order of [`logged_columns`].
pub(crate) type Logged = (i64, String, String, String, Option<i64>, Option<String>, Option<i64>, Option<i64>);

/// The SQL types of [`logged_columns`].
pub(crate) type LoggedColumns =
    (BigInt, Text, Text, Text, Nullable<BigInt>, Nullable<Text>, Nullable<BigInt>, Nullable<BigInt>);

/// Columns of `sync_logs` under the name `l`. `extract(epoch …)` reads a timestamp without zone as UTC, whatever the
/// session's zone is, so that both kinds of column come out right.
pub(crate) fn logged_columns() -> &'static str {
    "l.id::bigint, l.entity_type::text, l.sync_type::text, l.status::text, l.records_processed::bigint, l.error_message::text, (extract(epoch from l.started_at) * 1000000)::bigint, (extract(epoch from l.completed_at) * 1000000)::bigint"
}

pub(super) async fn recent(
    connection: &mut Connection,
    tables: &SystemTables,
    limit: u32,
) -> Result<Vec<LoggedRun>, Trouble> {
    let statement = sql("select ")
        .text(logged_columns())
        .text(" from ")
        .table(tables.logs())
        .text(" as l order by l.id desc limit ")
        .bind::<BigInt, _>(i64::from(limit))
        .rows::<LoggedColumns>();
    let rows: Vec<Logged> = connection.load_rows(statement).await?;
    Ok(rows.into_iter().map(logged_run).collect())
}

pub(super) async fn find(
    connection: &mut Connection,
    tables: &SystemTables,
    run: RunId,
) -> Result<Option<LoggedRun>, Trouble> {
    let statement = sql("select ")
        .text(logged_columns())
        .text(" from ")
        .table(tables.logs())
        .text(" as l where l.id = ")
        .bind::<BigInt, _>(run.0)
        .rows::<LoggedColumns>();
    let row: Option<Logged> = connection.load_row(statement).await?;
    Ok(row.map(logged_run))
}

pub(super) async fn remark(
    connection: &mut Connection,
    tables: &SystemTables,
    run: RunId,
    remark: &str,
) -> Result<(), Trouble> {
    let statement = sql("update ")
        .table(tables.logs())
        .text(" set error_message = ")
        .bind::<Text, _>(remark.replace('\0', ""))
        .text(" where status = 'running' and id = ")
        .bind::<BigInt, _>(run.0);
    connection.perform(statement).await?;
    Ok(())
}

pub(crate) fn logged_run(row: Logged) -> LoggedRun {
    let (id, entity, kind, status, processed, error, started_at, completed_at) = row;
    let instant = |micros: Option<i64>| micros.and_then(DateTime::<Utc>::from_timestamp_micros);
    LoggedRun {
        id: RunId(id),
        entity,
        kind,
        status,
        processed: processed.unwrap_or_default(),
        error,
        started_at: instant(started_at),
        completed_at: instant(completed_at),
    }
}
