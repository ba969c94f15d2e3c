//! Wishes for runs, which coalesce.

use b24sync_domain::entity::EntityType;
use b24sync_domain::lease::Scope;
use b24sync_domain::ports::Requested;
use b24sync_domain::run::{RunId, RunKind, RunStatus};
use diesel::sql_types::{BigInt, SmallInt, Text};

use super::open;
use crate::connection::Connection;
use crate::error::Trouble;
use crate::sql::{ddl, sql};
use crate::system_tables::SystemTables;

/// Whether somebody holds the lease with the name that follows, and a parenthesis.
const IS_HELD: &str = "exists (select from b24sync.leases l where l.expires_at > clock_timestamp() and l.scope = ";

/// `anew`: no run that has read anything will do.
pub(super) async fn request(
    connection: &mut Connection,
    tables: &SystemTables,
    (entity, kind): (EntityType, RunKind),
    anew: bool,
) -> Result<Requested, Trouble> {
    connection.perform(ddl::lock_wishes(entity.type_id())).await?;
    if !anew
        && let Some((run, on)) = running(connection, entity).await?
        && on.parse().is_ok_and(|on: RunKind| on.serves(kind))
    {
        return Ok(Requested { run, coalesced: true });
    }
    if let Some(run) = queued(connection, entity, kind, anew).await? {
        return Ok(Requested { run, coalesced: true });
    }
    if !anew && let Some(run) = queue_again(connection, tables, entity, kind).await? {
        return Ok(Requested { run, coalesced: false });
    }
    let run = open::begin(connection, tables, entity, kind, RunStatus::Queued).await?;
    Ok(Requested { run: run.id, coalesced: false })
}

/// The run that is on: one whose lease nobody holds has ended without a word, and one that was asked to stop does not do
/// what somebody wishes for now.
async fn running(connection: &mut Connection, entity: EntityType) -> Result<Option<(RunId, String)>, Trouble> {
    let statement = sql("select r.run_id, r.kind from b24sync.runs r where r.status = 'running' and not r.cancel_requested and r.kind <> 'webhook' and r.entity = ")
        .bind::<SmallInt, _>(entity.type_id())
        .text(" and ")
        .text(IS_HELD)
        .bind::<Text, _>(Scope::Sync(entity).to_string())
        .text(") order by r.run_id desc limit 1")
        .rows::<(BigInt, Text)>();
    let row: Option<(i64, String)> = connection.load_row(statement).await?;
    Ok(row.map(|(run, kind)| (RunId(run), kind)))
}

/// `anew`: it must have read nothing yet, and is wished for now.
async fn queued(
    connection: &mut Connection,
    entity: EntityType,
    kind: RunKind,
    anew: bool,
) -> Result<Option<RunId>, Trouble> {
    let statement = sql("update b24sync.runs set wished_at = ")
        .text(if anew { "clock_timestamp()" } else { "wished_at" })
        .text(" where run_id = (select run_id from b24sync.runs where status = 'queued' and resumable and entity = ")
        .bind::<SmallInt, _>(entity.type_id())
        .text(" and kind = ")
        .bind::<Text, _>(kind.as_str())
        .text(if anew { " and opened = 0" } else { "" })
        .text(
            " and started_at > clock_timestamp() - interval '24 hours' order by run_id desc limit 1) returning run_id",
        )
        .rows::<(BigInt,)>();
    let row: Option<(i64,)> = connection.load_row(statement).await?;
    Ok(row.map(|(run,)| RunId(run)))
}

/// Queues the unfinished run of this kind that can be gone on with. One that the log does not have any more would be a
/// run that nobody can see; one that its owner is about to stop ends as it was asked to.
async fn queue_again(
    connection: &mut Connection,
    tables: &SystemTables,
    entity: EntityType,
    kind: RunKind,
) -> Result<Option<RunId>, Trouble> {
    if !kind.is_resumable() {
        return Ok(None);
    }
    let statement = sql("update b24sync.runs as r set status = 'queued', wished_at = clock_timestamp(), finished_at = null, abandoned = false, cancel_requested = false where r.run_id = (select max(run_id) from b24sync.runs where resumable and entity = ")
        .bind::<SmallInt, _>(entity.type_id())
        .text(" and kind = ")
        .bind::<Text, _>(kind.as_str())
        .text(" and started_at > clock_timestamp() - interval '24 hours') and not (r.status = 'running' and ")
        .text(IS_HELD)
        .bind::<Text, _>(Scope::Sync(entity).to_string())
        .text(")) and exists (select from ")
        .table(tables.logs())
        .text(" as l where l.id = r.run_id) returning r.run_id")
        .rows::<(BigInt,)>();
    let row: Option<(i64,)> = connection.load_row(statement).await?;
    let Some((run,)) = row else { return Ok(None) };
    let statement = sql("update ")
        .table(tables.logs())
        .text(" set status = 'queued', completed_at = null, error_message = null where id = ")
        .bind::<BigInt, _>(run);
    connection.perform(statement).await?;
    Ok(Some(RunId(run)))
}

/// Takes a wish back that nobody has begun to fulfil.
pub(super) async fn withdraw(connection: &mut Connection, tables: &SystemTables, run: RunId) -> Result<(), Trouble> {
    let logs = tables.logs();
    let statement = sql("with gone as (update b24sync.runs set status = 'cancelled', finished_at = clock_timestamp(), resumable = resumable and opened > 0 where status = 'queued' and run_id = ")
        .bind::<BigInt, _>(run.0)
        .text(" returning run_id) update ")
        .table(logs)
        .text(" as l set status = 'cancelled', completed_at = ")
        .text(tables.now(logs, "completed_at"))
        .text(" from gone where l.id = gone.run_id");
    connection.perform(statement).await?;
    Ok(())
}
