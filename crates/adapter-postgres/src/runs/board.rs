//! What owners tell of their runs, and what others ask of them.

use std::time::Duration;

use async_trait::async_trait;
use b24sync_domain::entity::EntityType;
use b24sync_domain::error::StoreError;
use b24sync_domain::ports::{Cancelled, History, HistoryFilter, LoggedRun, RunBoard, RunningSync};
use b24sync_domain::run::{RunId, RunKind};
use b24sync_domain::schedule::LastRun;
use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Bool, Double, Nullable, SmallInt, Text, Timestamptz};

use super::gone::{self, SCOPE_OF_RUN};
use super::logged::{Logged, LoggedColumns, logged_columns, logged_run};
use crate::connection::Connection;
use crate::error::{Failure, Trouble};
use crate::sql::{Sql, ddl, sql};
use crate::store::PgStore;
use crate::system_tables::SystemTables;
use crate::transaction::retrying;

type RunningRow = (i64, i16, String, bool, bool, String, i64, Option<i64>, Option<f64>, DateTime<Utc>, Option<String>);
type RunningColumns =
    (BigInt, SmallInt, Text, Bool, Bool, Text, BigInt, Nullable<BigInt>, Nullable<Double>, Timestamptz, Nullable<Text>);

fn running_sync(row: RunningRow) -> Option<RunningSync> {
    let (run, entity, kind, queued, stopping, step, processed, expected, per_second, started_at, holder) = row;
    let processed = u64::try_from(processed).unwrap_or_default();
    let expected = expected.and_then(|expected| u64::try_from(expected).ok());
    let per_second = per_second.filter(|rate| rate.is_finite() && *rate > 0.0);
    let left = expected.map(|expected| expected.saturating_sub(processed)).and_then(|left| u32::try_from(left).ok());
    Some(RunningSync {
        run: RunId(run),
        entity: EntityType::from_type_id(entity)?,
        kind: kind.parse().ok()?,
        queued,
        stopping,
        step,
        processed,
        expected,
        per_second,
        remaining: left
            .zip(per_second)
            .and_then(|(left, rate)| Duration::try_from_secs_f64(f64::from(left) / rate).ok()),
        started_at,
        holder,
    })
}

async fn running(connection: &mut Connection) -> Result<Vec<RunningSync>, Trouble> {
    let statement = sql("select r.run_id, r.entity, r.kind, r.status = 'queued', r.cancel_requested, case when r.status = 'queued' then '' else r.step end, r.processed, r.expected, ((r.processed - r.processed_before) / nullif(extract(epoch from clock_timestamp() - r.opened_at), 0))::float8, r.started_at, l.holder from b24sync.runs r join ")
        .entities()
        .text(" on e.entity = r.entity left join b24sync.leases l on l.scope = ")
        .text(SCOPE_OF_RUN)
        .text(" and l.expires_at > clock_timestamp() and r.status = 'running' where r.status in ('running', 'queued') order by e.place, r.status desc, r.run_id")
        .rows::<RunningColumns>();
    let rows: Vec<RunningRow> = connection.load_rows(statement).await?;
    Ok(rows.into_iter().filter_map(running_sync).collect())
}

async fn cancel(connection: &mut Connection, tables: &SystemTables, entity: EntityType) -> Result<Cancelled, Trouble> {
    connection.perform(ddl::lock_wishes(entity.type_id())).await?;
    let statement = sql(
        "update b24sync.runs set cancel_requested = true where status = 'running' and kind <> 'webhook' and entity = ",
    )
    .bind::<SmallInt, _>(entity.type_id())
    .text(" returning run_id")
    .rows::<(BigInt,)>();
    let asked: Option<(i64,)> = connection.load_row(statement).await?;
    let logs = tables.logs();
    let statement = sql("with gone as (update b24sync.runs set status = 'cancelled', finished_at = clock_timestamp(), abandoned = false, resumable = resumable and opened > 0 where (status = 'queued' or abandoned) and kind <> 'webhook' and entity = ")
        .bind::<SmallInt, _>(entity.type_id())
        .text(" returning run_id), logged as (update ")
        .table(logs)
        .text(" as l set status = 'cancelled', completed_at = ")
        .text(tables.now(logs, "completed_at"))
        .text(" from gone where l.id = gone.run_id) select run_id from gone order by run_id")
        .rows::<(BigInt,)>();
    let gone: Vec<(i64,)> = connection.load_rows(statement).await?;
    let dequeued = gone.into_iter().map(|(run,)| RunId(run)).collect();
    Ok(Cancelled { asked: asked.map(|(run,)| RunId(run)), dequeued })
}

/// The database's time, entity, kind, and the beginning of the last such run.
type LastRunRow = (DateTime<Utc>, i16, String, Option<DateTime<Utc>>);
type LastRunColumns = (Timestamptz, SmallInt, Text, Nullable<Timestamptz>);

async fn last_runs(connection: &mut Connection) -> Result<(DateTime<Utc>, Vec<LastRun>), Trouble> {
    // A look into the index for each: there are as many runs as there were batches of events. What was cancelled before it
    // began has not been.
    let statement = sql("select clock_timestamp(), e.entity, k.kind, (select max(r.started_at) from b24sync.runs r where r.entity = e.entity and r.kind = k.kind and not (r.status = 'cancelled' and r.opened = 0)) from ")
        .entities()
        .text(", (values ");
    let kinds = (0..).zip(RunKind::ALL).fold(statement, |statement, (position, kind)| {
        statement.text(if position == 0 { "(" } else { ", (" }).literal(kind.as_str()).text("::text)")
    });
    let statement = kinds.text(") as k(kind)").rows::<LastRunColumns>();
    let rows: Vec<LastRunRow> = connection.load_rows(statement).await?;
    let now = rows.first().map(|row| row.0).ok_or_else(|| Failure::ours("the database does not tell the time"))?;
    let known = rows.into_iter().filter_map(|(_, entity, kind, at)| {
        Some(LastRun { entity: EntityType::from_type_id(entity)?, kind: kind.parse().ok()?, at: at? })
    });
    Ok((now, known.collect()))
}

/// ` from … where …` of a history.
fn filtered<'a>(statement: Sql<'a>, tables: &'a SystemTables, filter: &'a HistoryFilter) -> Sql<'a> {
    let logs = tables.logs();
    let zoned = tables.is_zoned(logs, "started_at");
    let (before, after) = if zoned { ("", "::timestamptz)") } else { ("timezone('utc', ", "::timestamptz))") };
    statement
        .text(" from ")
        .table(logs)
        .text(" as l where (")
        .bind::<Nullable<Text>, _>(filter.entity.as_deref())
        .text("::text is null or l.entity_type = ")
        .bind::<Nullable<Text>, _>(filter.entity.as_deref())
        .text(") and (")
        .bind::<Nullable<Text>, _>(filter.status.as_deref())
        .text("::text is null or l.status = ")
        .bind::<Nullable<Text>, _>(filter.status.as_deref())
        .text(") and (")
        .bind::<Nullable<Text>, _>(filter.kind.as_deref())
        .text("::text is null or l.sync_type = ")
        .bind::<Nullable<Text>, _>(filter.kind.as_deref())
        .text(") and (")
        .bind::<Nullable<Timestamptz>, _>(filter.from)
        .text("::timestamptz is null or l.started_at >= ")
        .text(before)
        .bind::<Nullable<Timestamptz>, _>(filter.from)
        .text(after)
        .text(" and (")
        .bind::<Nullable<Timestamptz>, _>(filter.to)
        .text("::timestamptz is null or l.started_at <= ")
        .text(before)
        .bind::<Nullable<Timestamptz>, _>(filter.to)
        .text(after)
}

async fn history(
    connection: &mut Connection,
    tables: &SystemTables,
    filter: &HistoryFilter,
) -> Result<History, Trouble> {
    let statement = filtered(sql("select count(*)"), tables, filter).rows::<(BigInt,)>();
    let (total,): (i64,) = connection.load_one(statement).await?;
    let statement = filtered(sql("select ").text(logged_columns()), tables, filter)
        .text(" order by l.id desc offset ")
        .bind::<BigInt, _>(i64::try_from(filter.offset).unwrap_or(i64::MAX))
        .text(" limit ")
        .bind::<BigInt, _>(i64::from(filter.limit))
        .rows::<LoggedColumns>();
    let rows: Vec<Logged> = connection.load_rows(statement).await?;
    Ok(History { runs: rows.into_iter().map(logged_run).collect(), total: u64::try_from(total).unwrap_or_default() })
}

async fn ended_since(
    connection: &mut Connection,
    tables: &SystemTables,
    place: Option<i64>,
) -> Result<Vec<(i64, LoggedRun)>, Trouble> {
    let statement = sql("select (extract(epoch from r.finished_at) * 1000000)::bigint, r.run_id from b24sync.runs r where r.finished_at is not null and r.finished_at > coalesce(to_timestamp(")
        .bind::<Nullable<Double>, _>(place.map(seconds))
        .text("::float8), '-infinity') order by r.finished_at ")
        .text(if place.is_some() { "limit 100" } else { "desc limit 1" })
        .rows::<(BigInt, BigInt)>();
    let ended: Vec<(i64, i64)> = connection.load_rows(statement).await?;
    let mut found = Vec::new();
    // A double cannot tell neighbouring microseconds apart.
    for (at, run) in ended.into_iter().filter(|(at, _)| place.is_none_or(|place| *at > place)) {
        if let Some(run) = super::logged::find(connection, tables, RunId(run)).await? {
            found.push((at, run));
        }
    }
    Ok(found)
}

#[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "what is lost is looked at again")]
fn seconds(micros: i64) -> f64 {
    (micros as f64) / 1_000_000.0
}

#[async_trait]
impl RunBoard for PgStore {
    async fn note(&self, run: RunId, step: &'static str, expected: Option<u64>) -> Result<(), StoreError> {
        retrying("noting what a run is at", || async {
            let mut connection = self.connections().lend().await?;
            let statement = sql("update b24sync.runs set step = ")
                .bind::<Text, _>(step)
                .text(", expected = coalesce(")
                .bind::<Nullable<BigInt>, _>(expected.and_then(|expected| i64::try_from(expected).ok()))
                .text(", expected) where status = 'running' and run_id = ")
                .bind::<BigInt, _>(run.0);
            connection.perform(statement).await?;
            Ok(())
        })
        .await
    }

    async fn cancel(&self, entity: EntityType) -> Result<Cancelled, StoreError> {
        retrying("cancelling a sync", || async {
            let mut transaction = self.begin().await?;
            let work = Box::pin(cancel(&mut transaction, self.tables(), entity)).await;
            transaction.finish(work).await
        })
        .await
    }

    async fn is_cancelled(&self, run: RunId) -> Result<bool, StoreError> {
        retrying("looking whether a sync is to stop", || async {
            let mut connection = self.connections().lend().await?;
            let statement = sql("select cancel_requested from b24sync.runs where run_id = ")
                .bind::<BigInt, _>(run.0)
                .rows::<(Bool,)>();
            let row: Option<(bool,)> = connection.load_row(statement).await?;
            Ok(row.is_some_and(|(cancelled,)| cancelled))
        })
        .await
    }

    async fn running(&self) -> Result<Vec<RunningSync>, StoreError> {
        retrying("looking which syncs are on", || async {
            let mut connection = self.connections().lend().await?;
            running(&mut connection).await
        })
        .await
    }

    async fn waiting(&self) -> Result<Vec<(EntityType, RunKind)>, StoreError> {
        retrying("looking for syncs to do", || async {
            let mut transaction = self.begin().await?;
            let work = Box::pin(gone::waiting(&mut transaction, self.tables())).await;
            transaction.finish(work).await
        })
        .await
    }

    async fn last_runs(&self) -> Result<(DateTime<Utc>, Vec<LastRun>), StoreError> {
        retrying("looking when syncs were begun", || async {
            let mut connection = self.connections().lend().await?;
            last_runs(&mut connection).await
        })
        .await
    }

    async fn history(&self, filter: &HistoryFilter) -> Result<History, StoreError> {
        retrying("reading the run log", || async {
            let mut connection = self.connections().lend().await?;
            history(&mut connection, self.tables(), filter).await
        })
        .await
    }

    async fn ended_since(&self, place: Option<i64>) -> Result<Vec<(i64, LoggedRun)>, StoreError> {
        retrying("looking which syncs have ended", || async {
            let mut connection = self.connections().lend().await?;
            ended_since(&mut connection, self.tables(), place).await
        })
        .await
    }
}
