//! How the replica stands.

use std::time::Duration;

use async_trait::async_trait;
use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::error::StoreError;
use b24sync_domain::mapping::rows::{ContentHash, Rejection, RowBatch};
use b24sync_domain::ports::{Drift, EntityOverview, Quarantined, StatusStore};
use b24sync_domain::progress::Cursor;
use b24sync_domain::reconcile::Fingerprint;
use chrono::{DateTime, Utc};
use diesel::dsl::count_star;
use diesel::sql_types::{BigInt, Double, Nullable, SmallInt, Text, Timestamptz};
use diesel::{ExpressionMethods, OptionalExtension, QueryDsl};
use diesel_async::RunQueryDsl as _;

use crate::connection::Connection;
use crate::error::Trouble;
use crate::runs::{Logged, LoggedColumns, logged_columns, logged_run};
use crate::schema::{quarantine, replicas};
use crate::sql::{catalog, compare, fingerprints, sql};
use crate::store::PgStore;
use crate::transaction::retrying;

/// Rows that one comparison carries.
const ROWS_AT_ONCE: usize = 500;

#[async_trait]
impl StatusStore for PgStore {
    async fn overview(&self) -> Result<Vec<EntityOverview>, StoreError> {
        retrying("reading the status", || async {
            let mut connection = self.connections().lend().await?;
            let mut overviews = Vec::new();
            for entity in EntityType::all() {
                overviews.push(Box::pin(overview(&mut connection, self, entity)).await?);
            }
            Ok(overviews)
        })
        .await
    }

    async fn quarantine(&self, entity: Option<EntityType>, limit: u32) -> Result<Vec<Quarantined>, StoreError> {
        retrying("reading the quarantine", || async {
            let mut connection = self.connections().lend().await?;
            list(&mut connection, entity, limit).await
        })
        .await
    }

    async fn keep_drift(&self, entity: EntityType, missing: u64, extra: u64, different: u64) -> Result<(), StoreError> {
        retrying("remembering a comparison", || async {
            let mut connection = self.connections().lend().await?;
            keep_drift(&mut connection, entity, [missing, extra, different]).await
        })
        .await
    }

    async fn differing(&self, rows: &RowBatch) -> Result<Vec<RecordId>, StoreError> {
        retrying("comparing rows", || async {
            let mut connection = self.connections().lend().await?;
            let table = self.table(rows.entity);
            if rows.is_empty() || catalog::relation(&mut connection, table).await?.is_none() {
                return Ok(Vec::new());
            }
            let mut differing = Vec::new();
            for first in (0..rows.len()).step_by(ROWS_AT_ONCE) {
                let chosen: Vec<bool> =
                    (0..rows.len()).map(|position| (first..first + ROWS_AT_ONCE).contains(&position)).collect();
                let part = rows.select(&chosen);
                let found: Vec<(i64,)> =
                    connection.load_rows(compare::differing(table, &part.ids, &part.columns)).await?;
                differing.extend(found.into_iter().filter_map(|(id,)| RecordId::new(id)));
            }
            Ok(differing)
        })
        .await
    }

    async fn fingerprints(
        &self,
        entity: EntityType,
        after: Cursor,
        up_to: Option<Cursor>,
        limit: u32,
    ) -> Result<Vec<Fingerprint>, StoreError> {
        retrying("comparing the replica", || async {
            let mut connection = self.connections().lend().await?;
            let relation = catalog::relation(&mut connection, self.table(entity)).await?;
            let table = relation.map(|_| self.table(entity));
            let keeps_deleted = keeps_deleted(&mut connection, entity).await?;
            let statement = fingerprints::range(
                table,
                keeps_deleted,
                entity.type_id(),
                after.get(),
                up_to.map_or(i64::MAX, Cursor::get),
                i64::from(limit),
            );
            let rows: Vec<(i64, Option<Vec<u8>>, bool, bool)> = connection.load_rows(statement).await?;
            Ok(rows.into_iter().filter_map(fingerprint).collect())
        })
        .await
    }
}

fn fingerprint(row: (i64, Option<Vec<u8>>, bool, bool)) -> Option<Fingerprint> {
    let (id, hash, has_row, quarantined) = row;
    let hash = hash.and_then(|bytes| <[u8; 16]>::try_from(bytes).ok()).map(ContentHash);
    Some(Fingerprint { id: RecordId::new(id)?, hash, has_row, quarantined })
}

async fn overview(connection: &mut Connection, store: &PgStore, entity: EntityType) -> Result<EntityOverview, Trouble> {
    let quarantined = quarantine::table
        .filter(quarantine::entity.eq(entity.type_id()))
        .select(count_star())
        .first(connection)
        .await?;
    let progress = progress(connection, entity).await?;
    Ok(EntityOverview {
        entity,
        settings: crate::settings::of_entity(connection, store, entity).await?,
        rows: rows(connection, store, entity).await?,
        quarantined,
        last_run: last_run(connection, store, entity).await?,
        watermark: progress.watermark,
        lag: progress.lag,
        newest_change_age: newest_change_age(connection, store, entity).await?,
        drift: progress.drift,
    })
}

/// `sync_state.last_modified_date`; in a column without zone it is UTC.
async fn newest_change_age(
    connection: &mut Connection,
    store: &PgStore,
    entity: EntityType,
) -> Result<Option<Duration>, Trouble> {
    // Of a time without zone, `extract` gives the seconds as if it were UTC, which it is.
    let statement = sql("select greatest(extract(epoch from clock_timestamp()) - extract(epoch from last_modified_date), 0)::float8 from ")
        .table(store.tables().state())
        .text(" where entity_type = ")
        .bind::<Text, _>(entity.key())
        .rows::<(Nullable<Double>,)>();
    let row: Option<(Option<f64>,)> = connection.load_row(statement).await?;
    Ok(row.and_then(|(age,)| age).and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()))
}

/// How far an entity is complete, and what the last comparison found.
#[derive(Default)]
struct Progress {
    watermark: Option<DateTime<Utc>>,
    lag: Option<Duration>,
    drift: Option<Drift>,
}

type ProgressRow = (Option<DateTime<Utc>>, Option<f64>, Option<i64>, Option<i64>, Option<i64>, Option<DateTime<Utc>>);
type ProgressColumns = (
    Nullable<Timestamptz>,
    Nullable<Double>,
    Nullable<BigInt>,
    Nullable<BigInt>,
    Nullable<BigInt>,
    Nullable<Timestamptz>,
);

async fn progress(connection: &mut Connection, entity: EntityType) -> Result<Progress, Trouble> {
    let statement = sql("select watermark, greatest(extract(epoch from clock_timestamp() - watermark), 0)::float8, drift_missing, drift_extra, drift_different, drift_at from b24sync.entity_progress where entity = ")
        .bind::<SmallInt, _>(entity.type_id())
        .rows::<ProgressColumns>();
    let row: Option<ProgressRow> = connection.load_row(statement).await?;
    let Some((watermark, lag, missing, extra, different, at)) = row else { return Ok(Progress::default()) };
    let number = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default();
    let drift = at.map(|at| Drift { missing: number(missing), extra: number(extra), different: number(different), at });
    Ok(Progress { watermark, lag: lag.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()), drift })
}

async fn keep_drift(connection: &mut Connection, entity: EntityType, counts: [u64; 3]) -> Result<(), Trouble> {
    let [missing, extra, different] = counts.map(|count| i64::try_from(count).unwrap_or(i64::MAX));
    let statement = sql("insert into b24sync.entity_progress as p (entity, drift_missing, drift_extra, drift_different, drift_at) values (")
        .bind::<SmallInt, _>(entity.type_id())
        .text(", ")
        .bind::<BigInt, _>(missing)
        .text(", ")
        .bind::<BigInt, _>(extra)
        .text(", ")
        .bind::<BigInt, _>(different)
        .text(", clock_timestamp()) on conflict (entity) do update set drift_missing = excluded.drift_missing, drift_extra = excluded.drift_extra, drift_different = excluded.drift_different, drift_at = excluded.drift_at");
    connection.perform(statement).await?;
    Ok(())
}

/// An estimate would be wrong just when somebody looks closely, so the rows are counted.
async fn rows(connection: &mut Connection, store: &PgStore, entity: EntityType) -> Result<Option<i64>, Trouble> {
    let table = store.table(entity);
    if catalog::relation(connection, table).await?.is_none() {
        return Ok(None);
    }
    let live = if keeps_deleted(connection, entity).await? { " where deleted_at is null" } else { "" };
    let statement = sql("select count(*) from ").table(table).text(live).rows::<(BigInt,)>();
    let (rows,): (i64,) = connection.load_one(statement).await?;
    Ok(Some(rows))
}

/// Whether the table has rows of deleted records, and the column that tells them from the others.
async fn keeps_deleted(connection: &mut Connection, entity: EntityType) -> Result<bool, Trouble> {
    let keeps: Option<bool> =
        replicas::table.find(entity.type_id()).select(replicas::keeps_deleted).first(connection).await.optional()?;
    Ok(keeps.unwrap_or_default())
}

async fn last_run(
    connection: &mut Connection,
    store: &PgStore,
    entity: EntityType,
) -> Result<Option<b24sync_domain::ports::LoggedRun>, Trouble> {
    let statement = sql("select ")
        .text(logged_columns())
        .text(" from ")
        .table(store.tables().logs())
        .text(" as l where l.entity_type = ")
        .bind::<Text, _>(entity.key())
        .text(" order by l.id desc limit 1")
        .rows::<LoggedColumns>();
    let row: Option<Logged> = connection.load_row(statement).await?;
    Ok(row.map(logged_run))
}

type QuarantineRow = (i16, i64, Option<String>, String, Option<String>, DateTime<Utc>, DateTime<Utc>);

async fn list(
    connection: &mut Connection,
    entity: Option<EntityType>,
    limit: u32,
) -> Result<Vec<Quarantined>, Trouble> {
    let entities: Vec<i16> = match entity {
        Some(entity) => vec![entity.type_id()],
        None => EntityType::all().map(EntityType::type_id).collect(),
    };
    let rows: Vec<QuarantineRow> = quarantine::table
        .filter(quarantine::entity.eq_any(entities))
        .order((quarantine::first_seen, quarantine::entity, quarantine::item_id))
        .limit(i64::from(limit))
        .select((
            quarantine::entity,
            quarantine::item_id,
            quarantine::field,
            quarantine::reason,
            quarantine::excerpt,
            quarantine::first_seen,
            quarantine::last_seen,
        ))
        .load(connection)
        .await?;
    rows.into_iter().map(quarantined).collect()
}

fn quarantined(row: QuarantineRow) -> Result<Quarantined, Trouble> {
    let (entity, id, field, reason, excerpt, first_seen, last_seen) = row;
    let fault = |column| StoreError::Inconsistent { table: "b24sync.quarantine", column };
    let entity = EntityType::from_type_id(entity).ok_or_else(|| fault("entity"))?;
    let id = RecordId::new(id).ok_or_else(|| fault("item_id"))?;
    Ok(Quarantined { entity, rejection: Rejection { id, field, reason, excerpt }, first_seen, last_seen })
}
