//! How the replica stands.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::error::StoreError;
use b24sync_domain::mapping::rows::{ContentHash, Rejection, RowBatch};
use b24sync_domain::ports::{Drift, EntityOverview, LoggedRun, Quarantined, StatusStore};
use b24sync_domain::progress::Cursor;
use b24sync_domain::reconcile::Fingerprint;
use chrono::{DateTime, Utc};
use diesel::sql_types::{Array, BigInt, Bool, Double, Nullable, SmallInt, Text, Timestamptz};
use diesel::{ExpressionMethods, OptionalExtension, QueryDsl};
use diesel_async::RunQueryDsl as _;

use crate::connection::Connection;
use crate::error::Trouble;
use crate::runs::{Logged, LoggedColumns, logged_columns, logged_run};
use crate::schema::{quarantine, replicas};
use crate::sql::{catalog, compare, fingerprints, sql};
use crate::store::PgStore;
use crate::transaction::retrying;
use crate::{row_counts, settings};

/// Rows that one comparison carries.
const ROWS_AT_ONCE: usize = 500;

#[async_trait]
impl StatusStore for PgStore {
    async fn overview(&self) -> Result<Vec<EntityOverview>, StoreError> {
        retrying("reading the status", || async {
            let mut connection = self.connections().lend().await?;
            overview(&mut connection, self).await
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

async fn overview(connection: &mut Connection, store: &PgStore) -> Result<Vec<EntityOverview>, Trouble> {
    let settings = settings::of_all(connection, store).await?;
    let mut standings = standings(connection, store).await?;
    let mut last_runs = last_runs(connection, store).await?;
    let mut overviews = Vec::new();
    for settings in settings {
        let entity = settings.entity;
        let standing = standings.remove(&entity.type_id()).unwrap_or_default();
        let rows = match standing.table {
            Some(Table { keeps_deleted }) => Some(row_counts::rows(connection, store, entity, keeps_deleted).await?),
            None => None,
        };
        overviews.push(EntityOverview {
            entity,
            settings,
            rows,
            quarantined: standing.quarantined,
            last_run: last_runs.remove(entity.key()),
            watermark: standing.watermark,
            lag: standing.lag,
            newest_change_age: standing.newest_change_age,
            drift: standing.drift,
        });
    }
    Ok(overviews)
}

/// The table of an entity.
struct Table {
    /// Whether it has rows of deleted records.
    keeps_deleted: bool,
}

/// How far an entity is complete, and what the last comparison found.
#[derive(Default)]
struct Standing {
    table: Option<Table>,
    quarantined: i64,
    watermark: Option<DateTime<Utc>>,
    lag: Option<Duration>,
    newest_change_age: Option<Duration>,
    drift: Option<Drift>,
}

type StandingRow = (
    (i16, bool, bool, i64),
    (Option<DateTime<Utc>>, Option<f64>, Option<f64>),
    (Option<i64>, Option<i64>, Option<i64>, Option<DateTime<Utc>>),
);
type StandingColumns = (
    (SmallInt, Bool, Bool, BigInt),
    (Nullable<Timestamptz>, Nullable<Double>, Nullable<Double>),
    (Nullable<BigInt>, Nullable<BigInt>, Nullable<BigInt>, Nullable<Timestamptz>),
);

/// By the entities' numbers. Of a time without zone, `extract` gives the seconds as if it were UTC, which it is.
async fn standings(connection: &mut Connection, store: &PgStore) -> Result<HashMap<i16, Standing>, Trouble> {
    let type_ids: Vec<i16> = EntityType::all().map(EntityType::type_id).collect();
    let keys: Vec<&str> = EntityType::all().map(EntityType::key).collect();
    let tables: Vec<&str> = EntityType::all().map(EntityType::table).collect();
    let statement = sql("select e.entity, exists (select from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.relname = e.name and n.nspname = ")
        .bind::<Text, _>(store.tables().schema())
        .text("), coalesce(r.keeps_deleted, false), (select count(*) from b24sync.quarantine q where q.entity = e.entity), p.watermark, extract(epoch from clock_timestamp() - p.watermark)::float8, (extract(epoch from clock_timestamp()) - extract(epoch from s.last_modified_date))::float8, p.drift_missing, p.drift_extra, p.drift_different, p.drift_at from unnest(")
        .bind::<Array<SmallInt>, _>(type_ids)
        .text("::smallint[], ")
        .bind::<Array<Text>, _>(keys)
        .text("::text[], ")
        .bind::<Array<Text>, _>(tables)
        .text("::text[]) as e(entity, key, name) left join b24sync.replicas r on r.entity = e.entity left join b24sync.entity_progress p on p.entity = e.entity left join ")
        .table(store.tables().state())
        .text(" as s on s.entity_type = e.key")
        .rows::<StandingColumns>();
    let rows: Vec<StandingRow> = connection.load_rows(statement).await?;
    Ok(rows.into_iter().map(standing).collect())
}

fn standing(row: StandingRow) -> (i16, Standing) {
    let ((entity, exists, keeps_deleted, quarantined), (watermark, lag, age), (missing, extra, different, at)) = row;
    let ago = |seconds: Option<f64>| seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok());
    let number = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default();
    let drift = at.map(|at| Drift { missing: number(missing), extra: number(extra), different: number(different), at });
    let standing = Standing {
        table: exists.then_some(Table { keeps_deleted }),
        quarantined,
        watermark,
        lag: ago(lag),
        newest_change_age: ago(age),
        drift,
    };
    (entity, standing)
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

/// The newest run of each entity, by its key, but the one that is on or to be gone on with before any later one.
async fn last_runs(connection: &mut Connection, store: &PgStore) -> Result<HashMap<String, LoggedRun>, Trouble> {
    let entities: Vec<i16> = EntityType::all().map(EntityType::type_id).collect();
    let keys: Vec<&str> = EntityType::all().map(EntityType::key).collect();
    let logs = store.tables().logs();
    let statement = sql("select ")
        .text(logged_columns())
        .text(" from unnest(")
        .bind::<Array<SmallInt>, _>(entities)
        .text("::smallint[], ")
        .bind::<Array<Text>, _>(keys)
        .text("::text[]) as e(entity, key) join ")
        .table(logs)
        .text(" as l on l.id = coalesce((select r.run_id from b24sync.runs r where r.resumable and r.entity = e.entity and r.kind <> 'webhook' and (r.status = 'running' or r.abandoned or r.status = 'queued' and r.opened > 0) and exists (select from ")
        .table(logs)
        .text(" as known where known.id = r.run_id) order by r.status = 'running' desc, r.run_id limit 1), (select log.id from ")
        .table(logs)
        .text(" as log where log.entity_type = e.key order by log.id desc limit 1))")
        .rows::<LoggedColumns>();
    let rows: Vec<Logged> = connection.load_rows(statement).await?;
    Ok(rows.into_iter().map(logged_run).map(|run| (run.entity.clone(), run)).collect())
}

/// Whether the table has rows of deleted records, and the column that tells them from the others.
async fn keeps_deleted(connection: &mut Connection, entity: EntityType) -> Result<bool, Trouble> {
    let keeps: Option<bool> =
        replicas::table.find(entity.type_id()).select(replicas::keeps_deleted).first(connection).await.optional()?;
    Ok(keeps.unwrap_or_default())
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
