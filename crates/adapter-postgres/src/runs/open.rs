//! Beginning a run, going on with one, and taking one back to its start.

use b24sync_domain::entity::EntityType;
use b24sync_domain::lease::Lease;
use b24sync_domain::progress::Cursor;
use b24sync_domain::record::ReadToken;
use b24sync_domain::run::{Run, RunId, RunKind};
use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Nullable, SmallInt, Text, Timestamptz};

use crate::connection::Connection;
use crate::error::Trouble;
use crate::leases::{fence, lost};
use crate::order::draw;
use crate::sql::sql;
use crate::system_tables::SystemTables;

type Resumed = (i64, i64, i64, Option<DateTime<Utc>>, i64, i64);
type ResumedColumns = (BigInt, BigInt, BigInt, Nullable<Timestamptz>, BigInt, BigInt);

pub(super) async fn open(
    connection: &mut Connection,
    tables: &SystemTables,
    entity: EntityType,
    kind: RunKind,
) -> Result<Run, Trouble> {
    let resumed = resume(connection, entity, kind).await?;
    if let Some(run) = resumed
        && log_again(connection, tables, run.id).await?
    {
        close_others(connection, tables, entity, kind, Some(run.id)).await?;
        return Ok(run);
    }
    // There is none, or the log has lost its row: a run that nobody can see must not be on.
    close_others(connection, tables, entity, kind, None).await?;
    begin(connection, tables, entity, kind).await
}

async fn resume(connection: &mut Connection, entity: EntityType, kind: RunKind) -> Result<Option<Run>, Trouble> {
    // Records that somebody named are named anew each time.
    if kind == RunKind::Webhook {
        return Ok(None);
    }
    let statement = sql("update b24sync.runs set status = 'running', finished_at = null where run_id = (select run_id from b24sync.runs where resumable and entity = ")
        .bind::<SmallInt, _>(entity.type_id())
        .text(" and kind = ")
        .bind::<Text, _>(kind.as_str())
        .text(" and started_at > clock_timestamp() - interval '24 hours' order by run_id desc limit 1) returning run_id, cursor, start_seq, source_start, processed, quarantined")
        .rows::<ResumedColumns>();
    let row: Option<Resumed> = connection.load_row(statement).await?;
    Ok(row.map(|(id, cursor, start, source_start, processed, quarantined)| Run {
        id: RunId(id),
        entity,
        kind,
        cursor: Cursor::after(cursor),
        start: ReadToken(start),
        source_start,
        processed: u64::try_from(processed).unwrap_or_default(),
        quarantined: u64::try_from(quarantined).unwrap_or_default(),
        resumed: true,
    }))
}

/// Gives up the entity's other unfinished runs of this kind; those of other kinds can be gone on with later. Of those
/// that are marked as running, the log says that they are not.
async fn close_others(
    connection: &mut Connection,
    tables: &SystemTables,
    entity: EntityType,
    kind: RunKind,
    keep: Option<RunId>,
) -> Result<(), Trouble> {
    let logs = tables.logs();
    let statement = sql("with closed as (update b24sync.runs set resumable = (kind <> ")
        .bind::<Text, _>(kind.as_str())
        .text("), status = case when status = 'running' then 'interrupted' else status end, finished_at = coalesce(finished_at, clock_timestamp()) where resumable and entity = ")
        .bind::<SmallInt, _>(entity.type_id())
        .text(" and run_id <> ")
        .bind::<BigInt, _>(keep.map_or(-1, |run| run.0))
        .text(" returning run_id) update ")
        .table(logs)
        .text(" as l set status = 'interrupted', completed_at = ")
        .text(tables.now(logs, "completed_at"))
        .text(" from closed where l.id = closed.run_id and l.status = 'running'");
    connection.perform(statement).await?;
    Ok(())
}

async fn log_again(connection: &mut Connection, tables: &SystemTables, run: RunId) -> Result<bool, Trouble> {
    let statement = sql("update ")
        .table(tables.logs())
        .text(" set status = 'running', completed_at = null, error_message = null where id = ")
        .bind::<BigInt, _>(run.0);
    Ok(connection.perform(statement).await? > 0)
}

async fn begin(
    connection: &mut Connection,
    tables: &SystemTables,
    entity: EntityType,
    kind: RunKind,
) -> Result<Run, Trouble> {
    let start = draw(connection).await?;
    let logs = tables.logs();
    let statement = sql("insert into ")
        .table(logs)
        .text(" (entity_type, sync_type, status, records_processed, started_at) values (")
        .bind::<Text, _>(entity.key())
        .text(", ")
        .bind::<Text, _>(kind.as_str())
        .text(", 'running', 0, ")
        .text(tables.now(logs, "started_at"))
        .text(") returning id::bigint");
    let (id,): (i64,) = connection.load_one(statement.rows::<(BigInt,)>()).await?;
    // A log that was emptied begins to count anew: what is remembered under the number belongs to nobody.
    let statement = sql("insert into b24sync.runs (run_id, entity, kind, status, start_seq) values (")
        .bind::<BigInt, _>(id)
        .text(", ")
        .bind::<SmallInt, _>(entity.type_id())
        .text(", ")
        .bind::<Text, _>(kind.as_str())
        .text(", 'running', ")
        .bind::<BigInt, _>(start)
        .text(") on conflict (run_id) do update set entity = excluded.entity, kind = excluded.kind, status = excluded.status, start_seq = excluded.start_seq, resumable = true, cursor = 0, source_start = null, processed = 0, quarantined = 0, started_at = clock_timestamp(), finished_at = null");
    connection.perform(statement).await?;
    Ok(Run {
        id: RunId(id),
        entity,
        kind,
        cursor: Cursor::START,
        start: ReadToken(start),
        source_start: None,
        processed: 0,
        quarantined: 0,
        resumed: false,
    })
}

/// Everything is read again, so that it is counted again too.
pub(super) async fn rewind(
    connection: &mut Connection,
    tables: &SystemTables,
    run: RunId,
    lease: &Lease,
) -> Result<ReadToken, Trouble> {
    fence(connection, lease).await?;
    let start = draw(connection).await?;
    let statement = sql("update b24sync.runs set cursor = 0, processed = 0, start_seq = ")
        .bind::<BigInt, _>(start)
        .text(" where status = 'running' and run_id = ")
        .bind::<BigInt, _>(run.0);
    if connection.perform(statement).await? != 1 {
        return Err(lost(lease).into());
    }
    let statement =
        sql("update ").table(tables.logs()).text(" set records_processed = 0 where id = ").bind::<BigInt, _>(run.0);
    connection.perform(statement).await?;
    Ok(ReadToken(start))
}
