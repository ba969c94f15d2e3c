//! Runs whose process is gone: they are closed, and gone on with.

use b24sync_domain::entity::EntityType;
use b24sync_domain::lease::Scope;
use b24sync_domain::run::RunKind;
use diesel::sql_types::{Array, BigInt, Bool, SmallInt, Text};

use crate::connection::Connection;
use crate::error::Trouble;
use crate::sql::sql;
use crate::system_tables::SystemTables;

/// The lease that run `r` of the entity with the name `e.key` is done under ([`Scope::of`](b24sync_domain::lease::Scope)).
pub(super) const SCOPE_OF_RUN: &str = "case r.kind when 'webhook' then 'hints:' else 'sync:' end || e.key";

/// Kinds that another process can go on with, or do anew.
fn repeatable() -> Vec<&'static str> {
    [RunKind::Full, RunKind::Incremental, RunKind::Sweep].map(RunKind::as_str).to_vec()
}

/// Takes the tokens away of leases that have run out although a run is marked as running under them, so that an owner
/// who was only slow cannot go on. Locks the leases' rows, so that nobody renews them while the runs are closed.
pub(super) async fn take_tokens_of_the_gone(connection: &mut Connection) -> Result<(), Trouble> {
    let statement =
        sql("update b24sync.leases set token = token + 1 where expires_at <= clock_timestamp() and scope in (select ")
            .text(SCOPE_OF_RUN)
            .text(" from ")
            .entities()
            .text(" join b24sync.runs r on r.entity = e.entity and r.status = 'running')");
    connection.perform(statement).await?;
    Ok(())
}

/// Whether there are runs that [`close_abandoned`] would close.
pub(super) async fn some_are_abandoned(connection: &mut Connection) -> Result<bool, Trouble> {
    let statement = sql("select exists (select from b24sync.runs r join ")
        .entities()
        .text(" on r.entity = e.entity where r.status = 'running' and not exists (select from b24sync.leases l where l.scope = ")
        .text(SCOPE_OF_RUN)
        .text(" and l.expires_at > clock_timestamp()))")
        .rows::<(Bool,)>();
    let (some,): (bool,) = connection.load_one(statement).await?;
    Ok(some)
}

/// Marks runs as interrupted whose lease is held by nobody, or as cancelled if that was asked of them, and takes the
/// lease's token away, so that an owner who was only slow cannot go on. [`waiting`] goes on with those that can be gone on
/// with, unless another run of the entity is opened before.
pub(super) async fn close_abandoned(connection: &mut Connection, tables: &SystemTables) -> Result<u64, Trouble> {
    take_tokens_of_the_gone(connection).await?;
    let logs = tables.logs();
    let statement = sql("with closed as (update b24sync.runs as r set status = case when r.cancel_requested then 'cancelled' else 'interrupted' end, finished_at = clock_timestamp(), abandoned = not r.cancel_requested and r.kind = any(")
        .bind::<Array<Text>, _>(repeatable())
        .text(") from ")
        .entities()
        .text(" where r.entity = e.entity and r.status = 'running' and not exists (select from b24sync.leases l where l.scope = ")
        .text(SCOPE_OF_RUN)
        .text(" and l.expires_at > clock_timestamp()) returning r.run_id, r.status), logged as (update ")
        .table(logs)
        .text(" as l set status = closed.status, error_message = coalesce(l.error_message, case closed.status when 'interrupted' then 'its process ended without a word' end), completed_at = ")
        .text(tables.now(logs, "completed_at"))
        .text(" from closed where l.id = closed.run_id returning l.id) select count(*) from closed")
        .rows::<(BigInt,)>();
    let (closed,): (i64,) = connection.load_one(statement).await?;
    if closed > 0 {
        tracing::info!(runs = closed, "closed {closed} abandoned runs");
    }
    Ok(u64::try_from(closed).unwrap_or_default())
}

/// Queues runs again whose process is gone, whether they have been closed since or not, and lists what is queued.
pub(super) async fn waiting(
    connection: &mut Connection,
    tables: &SystemTables,
) -> Result<Vec<(EntityType, RunKind)>, Trouble> {
    take_tokens_of_the_gone(connection).await?;
    let entities: Vec<i16> = EntityType::all().map(EntityType::type_id).collect();
    let scopes: Vec<String> = EntityType::all().map(|entity| Scope::Sync(entity).to_string()).collect();
    let logs = tables.logs();
    let statement = sql("with gone as (update b24sync.runs as r set status = case when r.cancel_requested then 'cancelled' else 'queued' end, finished_at = case when r.cancel_requested then clock_timestamp() end, abandoned = false from unnest(")
        .bind::<Array<SmallInt>, _>(entities)
        .text("::smallint[], ")
        .bind::<Array<Text>, _>(scopes)
        .text("::text[]) as s(entity, scope) where r.entity = s.entity and (r.status = 'running' or r.abandoned) and r.kind = any(")
        .bind::<Array<Text>, _>(repeatable())
        .text(") and not exists (select from b24sync.leases l where l.scope = s.scope and l.expires_at > clock_timestamp()) returning r.run_id, r.status) update ")
        .table(logs)
        .text(" as l set status = gone.status, error_message = null, completed_at = case gone.status when 'cancelled' then ")
        .text(tables.now(logs, "completed_at"))
        .text(" end from gone where l.id = gone.run_id");
    connection.perform(statement).await?;
    let statement = sql("select entity, kind from b24sync.runs where status = 'queued' and kind = any(")
        .bind::<Array<Text>, _>(repeatable())
        .text(") order by run_id")
        .rows::<(SmallInt, Text)>();
    let rows: Vec<(i16, String)> = connection.load_rows(statement).await?;
    let known =
        rows.into_iter().filter_map(|(entity, kind)| Some((EntityType::from_type_id(entity)?, kind.parse().ok()?)));
    Ok(known.collect())
}
