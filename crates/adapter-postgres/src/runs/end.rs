//! The end of a run, good or bad, or found out later.

use b24sync_domain::entity::EntityType;
use b24sync_domain::error::StoreError;
use b24sync_domain::lease::Lease;
use b24sync_domain::ports::Standing;
use b24sync_domain::progress::{Cursor, Watermark};
use b24sync_domain::run::{Ending, RunId, RunKind, RunStatus};
use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Nullable, SmallInt, Text, Timestamptz};
use diesel::{OptionalExtension, QueryDsl};
use diesel_async::RunQueryDsl as _;

use crate::connection::Connection;
use crate::error::Trouble;
use crate::leases::{fence, lost};
use crate::records::forget_covered;
use crate::schema::entity_progress;
use crate::sql::sql;
use crate::system_tables::SystemTables;

/// Characters of an error that the log keeps.
const LONGEST_ERROR: usize = 2_000;

pub(super) async fn complete(
    connection: &mut Connection,
    tables: &SystemTables,
    run: RunId,
    watermark: Watermark,
    lease: &Lease,
) -> Result<RunStatus, Trouble> {
    fence(connection, lease).await?;
    let statement = sql("select entity, kind, status, (select count(*) from b24sync.quarantine q where q.run_id = r.run_id) from b24sync.runs r where r.run_id = ")
        .bind::<BigInt, _>(run.0)
        .text(" for update")
        .rows::<(SmallInt, Text, Text, BigInt)>();
    let row: Option<(i16, String, String, i64)> = connection.load_row(statement).await?;
    let (entity, kind, before, quarantined) = row.ok_or_else(|| lost(lease))?;
    let entity =
        EntityType::from_type_id(entity).ok_or(StoreError::Inconsistent { table: "b24sync.runs", column: "entity" })?;
    let kind: RunKind = kind.parse().map_err(|error| inconsistent(&error, "kind"))?;
    let before: RunStatus = before.parse().map_err(|error| inconsistent(&error, "status"))?;
    match before {
        RunStatus::Running => {}
        // The answer to an earlier attempt was lost.
        RunStatus::Completed | RunStatus::CompletedWithQuarantine => return Ok(before),
        RunStatus::Queued | RunStatus::Failed | RunStatus::Cancelled | RunStatus::Interrupted => {
            return Err(lost(lease).into());
        }
    }
    let status = if quarantined == 0 { RunStatus::Completed } else { RunStatus::CompletedWithQuarantine };
    let statement = sql("update b24sync.runs set status = ")
        .bind::<Text, _>(status.as_str())
        .text(", resumable = false, quarantined = ")
        .bind::<BigInt, _>(quarantined)
        .text(", finished_at = clock_timestamp() where run_id = ")
        .bind::<BigInt, _>(run.0);
    connection.perform(statement).await?;
    log(connection, tables, run, status, None).await?;
    if kind == RunKind::Full {
        forget_covered(connection, run).await?;
    }
    serve_others(connection, tables, entity, kind, run, status).await?;
    stand(connection, entity, kind, run, watermark).await?;
    publish(connection, tables, entity).await?;
    Ok(status)
}

/// Ends queued runs whose work this one has done: those that were wished for before it began to read, in whatever process.
async fn serve_others(
    connection: &mut Connection,
    tables: &SystemTables,
    entity: EntityType,
    kind: RunKind,
    run: RunId,
    status: RunStatus,
) -> Result<(), Trouble> {
    let served: Vec<&str> =
        RunKind::ALL.into_iter().filter(|other| *other != kind && kind.serves(*other)).map(RunKind::as_str).collect();
    if served.is_empty() {
        return Ok(());
    }
    let logs = tables.logs();
    let statement =
        sql("with served as (update b24sync.runs set resumable = false, finished_at = clock_timestamp(), status = ")
            .bind::<Text, _>(status.as_str())
            .text(" where status = 'queued' and entity = ")
            .bind::<SmallInt, _>(entity.type_id())
            .text(" and kind = any(")
            .bind::<Array<Text>, _>(served)
            .text(") and wished_at < (select started_at from b24sync.runs where run_id = ")
            .bind::<BigInt, _>(run.0)
            .text(") returning run_id) update ")
            .table(logs)
            .text(" as l set status = ")
            .bind::<Text, _>(status.as_str())
            .text(", error_message = ")
            .bind::<Text, _>(format!("done by run {run}"))
            .text(", completed_at = ")
            .text(tables.now(logs, "completed_at"))
            .text(" from served where l.id = served.run_id");
    connection.perform(statement).await?;
    Ok(())
}

fn inconsistent(error: &b24sync_domain::run::UnknownWord, column: &'static str) -> StoreError {
    tracing::error!(error = %error, column, "a row of b24sync.runs does not make sense");
    StoreError::Inconsistent { table: "b24sync.runs", column }
}

/// A full pass sets the watermark only where there is none (CORRECTNESS 4.2); an incremental one moves it forward. The
/// floor for new records follows the highest known id one overlap behind: what is known now becomes the floor once a
/// watermark has passed the portal's time of now. That is at most its time at the run's first page and what has gone by
/// since the run began: a run may have lasted for hours, and its first page says nothing of ids that came later.
/// Tombstones do not count: somebody may have asked for an id that the portal has yet to give out.
async fn stand(
    connection: &mut Connection,
    entity: EntityType,
    kind: RunKind,
    run: RunId,
    watermark: Watermark,
) -> Result<(), Trouble> {
    // Records that events named, or ids without content, say nothing of the others.
    if !kind.is_resumable() {
        return Ok(());
    }
    let statement = sql("insert into b24sync.entity_progress as p (entity, watermark, floor_id, next_floor_id, next_floor_at) select r.entity, ")
        .bind::<Timestamptz, _>(watermark.0)
        .text(", k.highest, k.highest, coalesce(r.source_start + (clock_timestamp() - r.started_at), clock_timestamp()) from b24sync.runs r, lateral (select coalesce(max(i.item_id), 0) as highest from b24sync.item_state i where i.entity = r.entity and i.deleted_at is null) k where r.run_id = ")
        .bind::<BigInt, _>(run.0)
        .text(" and r.entity = ")
        .bind::<SmallInt, _>(entity.type_id())
        .text(" on conflict (entity) do update set updated_at = now(), watermark = ")
        .text(match kind {
            RunKind::Incremental => "greatest(p.watermark, excluded.watermark)",
            RunKind::Full | RunKind::Sweep | RunKind::Webhook => "coalesce(p.watermark, excluded.watermark)",
        })
        .text(", floor_id = case when p.next_floor_at <= excluded.watermark then p.next_floor_id when p.next_floor_at is null then excluded.floor_id else p.floor_id end, next_floor_id = case when p.next_floor_at > excluded.watermark then p.next_floor_id else excluded.next_floor_id end, next_floor_at = case when p.next_floor_at > excluded.watermark then p.next_floor_at else excluded.next_floor_at end");
    connection.perform(statement).await?;
    Ok(())
}

/// How far the entity is complete.
pub(super) async fn standing(connection: &mut Connection, entity: EntityType) -> Result<Option<Standing>, Trouble> {
    let row: Option<(Option<DateTime<Utc>>, i64)> = entity_progress::table
        .find(entity.type_id())
        .select((entity_progress::watermark, entity_progress::floor_id))
        .first(connection)
        .await
        .optional()?;
    Ok(row.and_then(|(watermark, floor)| {
        Some(Standing { watermark: Watermark(watermark?), floor: Cursor::after(floor) })
    }))
}

/// `sync_state` and `sync_config.last_sync_at` as the replica stands now.
async fn publish(connection: &mut Connection, tables: &SystemTables, entity: EntityType) -> Result<(), Trouble> {
    let statement =
        sql("select max(modified), count(*) from b24sync.item_state where deleted_at is null and entity = ")
            .bind::<SmallInt, _>(entity.type_id())
            .rows::<(Nullable<Timestamptz>, BigInt)>();
    let (modified, records): (Option<DateTime<Utc>>, i64) = connection.load_one(statement).await?;
    let state = tables.state();
    // In a column without zone, UTC.
    let before = if tables.is_zoned(state, "last_modified_date") { "(" } else { "timezone('utc', " };
    let statement = sql("insert into ")
        .table(state)
        .text(" as s (entity_type, last_modified_date, total_records, created_at, updated_at) values (")
        .bind::<Text, _>(entity.key())
        .text(", ")
        .text(before)
        .bind::<Nullable<Timestamptz>, _>(modified)
        .text("), least(")
        .bind::<BigInt, _>(records)
        .text(", 2147483647), ")
        .text(tables.now(state, "created_at"))
        .text(", ")
        .text(tables.now(state, "updated_at"))
        .text(") on conflict (entity_type) do update set last_modified_date = excluded.last_modified_date, total_records = excluded.total_records, updated_at = excluded.updated_at");
    connection.perform(statement).await?;
    let config = tables.config();
    let statement = sql("update ")
        .table(config)
        .text(" set last_sync_at = ")
        .text(tables.now(config, "last_sync_at"))
        .text(" where entity_type = ")
        .bind::<Text, _>(entity.key());
    connection.perform(statement).await?;
    Ok(())
}

pub(super) async fn end(
    connection: &mut Connection,
    tables: &SystemTables,
    run: RunId,
    ending: &Ending,
    lease: &Lease,
) -> Result<(), Trouble> {
    fence(connection, lease).await?;
    let statement = sql("update b24sync.runs set status = ")
        .bind::<Text, _>(ending.status.as_str())
        .text(", finished_at = clock_timestamp() where status = 'running' and run_id = ")
        .bind::<BigInt, _>(run.0);
    if connection.perform(statement).await? == 0 {
        // It has ended already: the answer to an earlier attempt was lost.
        return Ok(());
    }
    let error = ending
        .error
        .as_deref()
        .map(|error| error.chars().filter(|character| *character != '\0').take(LONGEST_ERROR).collect::<String>());
    log(connection, tables, run, ending.status, error).await
}

async fn log(
    connection: &mut Connection,
    tables: &SystemTables,
    run: RunId,
    status: RunStatus,
    error: Option<String>,
) -> Result<(), Trouble> {
    let logs = tables.logs();
    let statement = sql("update ")
        .table(logs)
        .text(" set status = ")
        .bind::<Text, _>(status.as_str())
        .text(", error_message = coalesce(")
        .bind::<Nullable<Text>, _>(error)
        .text(", error_message), completed_at = ")
        .text(tables.now(logs, "completed_at"))
        .text(" where id = ")
        .bind::<BigInt, _>(run.0);
    connection.perform(statement).await?;
    Ok(())
}
