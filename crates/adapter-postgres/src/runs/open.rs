//! Beginning a run, going on with one, and taking one back to its start.

use b24sync_domain::entity::EntityType;
use b24sync_domain::lease::{Lease, Scope};
use b24sync_domain::progress::Cursor;
use b24sync_domain::record::ReadToken;
use b24sync_domain::run::{Run, RunId, RunKind, RunStatus};
use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Bool, Integer, Nullable, SmallInt, Text, Timestamptz};

use crate::connection::Connection;
use crate::error::Trouble;
use crate::leases::{fence, lost};
use crate::order::draw;
use crate::sql::sql;
use crate::system_tables::SystemTables;

type Opened = (i64, i64, i64, Option<DateTime<Utc>>, i64, i64, i32);
type OpenedColumns = (BigInt, BigInt, BigInt, Nullable<Timestamptz>, BigInt, BigInt, Integer);

/// What [`Opened`] is read from.
const OPENED: &str = " returning run_id, cursor, start_seq, source_start, processed, quarantined, opened";

/// What becomes of a run that is opened. One that only waited so far begins now: what was read while it waited was not
/// read by it.
const OPEN: &str = "update b24sync.runs set status = 'running', finished_at = null, start_seq = case when opened = 0 then nextval('b24sync.read_order') else start_seq end, started_at = case when opened = 0 then clock_timestamp() else started_at end, opened = opened + 1, opened_at = clock_timestamp(), processed_before = processed, cancel_requested = false, abandoned = false, step = ''";

pub(super) async fn open(
    connection: &mut Connection,
    tables: &SystemTables,
    entity: EntityType,
    kind: RunKind,
) -> Result<Run, Trouble> {
    let mut waiting = resume(connection, entity, kind).await?;
    if waiting.is_none() {
        waiting = serve(connection, entity, kind).await?;
    }
    if let Some(run) = waiting
        && log_again(connection, tables, &run).await?
    {
        close_others(connection, tables, entity, kind, Some(run.id)).await?;
        return Ok(run);
    }
    // There is none, or the log has lost its row: a run that nobody can see must not be on.
    close_others(connection, tables, entity, kind, None).await?;
    begin(connection, tables, entity, kind, RunStatus::Running).await
}

fn opened(entity: EntityType, kind: RunKind, row: Opened) -> Run {
    let (id, cursor, start, source_start, processed, quarantined, opened) = row;
    Run {
        id: RunId(id),
        entity,
        kind,
        cursor: Cursor::after(cursor),
        start: ReadToken(start),
        source_start,
        processed: u64::try_from(processed).unwrap_or_default(),
        quarantined: u64::try_from(quarantined).unwrap_or_default(),
        resumed: opened > 1,
    }
}

/// The queued run of this kind, or the one that can be gone on with.
async fn resume(connection: &mut Connection, entity: EntityType, kind: RunKind) -> Result<Option<Run>, Trouble> {
    let statement = sql(OPEN)
        .text(" where run_id = (select run_id from b24sync.runs where resumable and entity = ")
        .bind::<SmallInt, _>(entity.type_id())
        .text(" and kind = ")
        .bind::<Text, _>(kind.as_str())
        .text(if kind.is_resumable() { "" } else { " and status = 'queued'" })
        .text(" and started_at > clock_timestamp() - interval '24 hours' order by run_id desc limit 1)")
        .text(OPENED)
        .rows::<OpenedColumns>();
    let row: Option<Opened> = connection.load_row(statement).await?;
    Ok(row.map(|row| opened(entity, kind, row)))
}

/// A run that somebody wished for, of a kind that this one does the work of: it becomes one of this kind.
async fn serve(connection: &mut Connection, entity: EntityType, kind: RunKind) -> Result<Option<Run>, Trouble> {
    let served = served(kind);
    if served.is_empty() {
        return Ok(None);
    }
    let statement = sql(OPEN)
        .text(", kind = ")
        .bind::<Text, _>(kind.as_str())
        .text(" where run_id = (select max(run_id) from b24sync.runs where status = 'queued' and opened = 0 and entity = ")
        .bind::<SmallInt, _>(entity.type_id())
        .text(" and kind = any(")
        .bind::<Array<Text>, _>(served)
        .text("))")
        .text(OPENED)
        .rows::<OpenedColumns>();
    let row: Option<Opened> = connection.load_row(statement).await?;
    Ok(row.map(|row| opened(entity, kind, row)))
}

/// Other kinds whose work a run of this kind does.
fn served(kind: RunKind) -> Vec<&'static str> {
    RunKind::ALL.into_iter().filter(|other| *other != kind && kind.serves(*other)).map(RunKind::as_str).collect()
}

/// Of the runs under the same lease, and of those over named records whose lease nobody holds, gives up the entity's other unfinished runs of this kind; those of other kinds can be gone on with later. Of those
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
        .text("), status = case when status = 'running' and cancel_requested then 'cancelled' when status = 'running' or status = 'queued' and kind = ")
        .bind::<Text, _>(kind.as_str())
        .text(" then 'interrupted' else status end, finished_at = case when status = 'queued' and kind <> ")
        .bind::<Text, _>(kind.as_str())
        .text(" then null else coalesce(finished_at, clock_timestamp()) end, abandoned = false where resumable and entity = ")
        .bind::<SmallInt, _>(entity.type_id())
        .text(if kind == RunKind::Webhook { " and kind = 'webhook'" } else { "" })
        .text(" and (kind <> 'webhook' or ")
        .bind::<Bool, _>(kind == RunKind::Webhook)
        .text(" or not exists (select from b24sync.leases l where l.expires_at > clock_timestamp() and l.scope = ")
        .bind::<Text, _>(Scope::Hints(entity).to_string())
        .text("))")
        .text(" and run_id <> ")
        .bind::<BigInt, _>(keep.map_or(-1, |run| run.0))
        .text(" returning run_id, status) update ")
        .table(logs)
        .text(" as l set status = closed.status, completed_at = ")
        .text(tables.now(logs, "completed_at"))
        .text(" from closed where l.id = closed.run_id and closed.status in ('interrupted', 'cancelled') and l.status in ('running', 'queued')");
    connection.perform(statement).await?;
    Ok(())
}

async fn log_again(connection: &mut Connection, tables: &SystemTables, run: &Run) -> Result<bool, Trouble> {
    let logs = tables.logs();
    let mut statement = sql("update ")
        .table(logs)
        .text(" set status = 'running', completed_at = null, error_message = null, sync_type = ")
        .bind::<Text, _>(run.kind.as_str());
    if !run.resumed {
        statement = statement.text(", started_at = ").text(tables.now(logs, "started_at"));
    }
    let statement = statement.text(" where id = ").bind::<BigInt, _>(run.id.0);
    Ok(connection.perform(statement).await? > 0)
}

/// Logs a new run, which is on at once or waits for somebody to do it.
pub(super) async fn begin(
    connection: &mut Connection,
    tables: &SystemTables,
    entity: EntityType,
    kind: RunKind,
    status: RunStatus,
) -> Result<Run, Trouble> {
    let start = draw(connection).await?;
    let logs = tables.logs();
    let statement = sql("insert into ")
        .table(logs)
        .text(" (entity_type, sync_type, status, records_processed, started_at) values (")
        .bind::<Text, _>(entity.key())
        .text(", ")
        .bind::<Text, _>(kind.as_str())
        .text(", ")
        .bind::<Text, _>(status.as_str())
        .text(", 0, ")
        .text(tables.now(logs, "started_at"))
        .text(") returning id::bigint");
    let (id,): (i64,) = connection.load_one(statement.rows::<(BigInt,)>()).await?;
    // A log that was emptied begins to count anew: what is remembered under the number belongs to nobody.
    let statement = sql("insert into b24sync.runs (run_id, entity, kind, status, start_seq, opened, opened_at) values (")
        .bind::<BigInt, _>(id)
        .text(", ")
        .bind::<SmallInt, _>(entity.type_id())
        .text(", ")
        .bind::<Text, _>(kind.as_str())
        .text(", ")
        .bind::<Text, _>(status.as_str())
        .text(", ")
        .bind::<BigInt, _>(start)
        .text(", ")
        .bind::<Integer, _>(i32::from(status == RunStatus::Running))
        .text(", clock_timestamp()) on conflict (run_id) do update set entity = excluded.entity, kind = excluded.kind, status = excluded.status, start_seq = excluded.start_seq, opened = excluded.opened, opened_at = excluded.opened_at, processed_before = 0, cancel_requested = false, abandoned = false, step = '', expected = null, resumable = true, cursor = 0, source_start = null, processed = 0, quarantined = 0, started_at = clock_timestamp(), wished_at = clock_timestamp(), finished_at = null");
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
    let statement = sql("update b24sync.runs set cursor = 0, processed = 0, processed_before = 0, opened_at = clock_timestamp(), source_start = null, start_seq = ")
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
