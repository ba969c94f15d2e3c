//! How the replica stands.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::error::StoreError;
use b24sync_domain::mapping::rows::{ContentHash, Rejection, RowBatch};
use b24sync_domain::ports::{Drift, EntityOverview, Quarantined, StatusStore};
use b24sync_domain::progress::Cursor;
use b24sync_domain::reconcile::Fingerprint;
use chrono::{DateTime, Utc};
use diesel::sql_types::{BigInt, Bool, Double, Nullable, SmallInt, Timestamptz};
use diesel::{ExpressionMethods, OptionalExtension, QueryDsl};
use diesel_async::RunQueryDsl as _;

use crate::connection::Connection;
use crate::error::Trouble;
use crate::row_counts;
use crate::runs::{Logged, LoggedColumns, logged_columns, logged_run};
use crate::schema::{quarantine, replicas};
use crate::settings::{Settings, SettingsColumns, entity_settings, settings_columns};
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
            overview(&mut connection, self).await
        })
        .await
    }

    async fn tables(&self) -> Result<Vec<EntityType>, StoreError> {
        retrying("looking which tables there are", || async {
            let mut connection = self.connections().lend().await?;
            tables(&mut connection, self).await
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
    let standings = standings(connection, store).await?;
    let tables: Vec<(EntityType, bool)> = standings.iter().filter_map(Standing::table).collect();
    let rows = row_counts::rows(connection, store, &tables).await?;
    Ok(standings.into_iter().map(|standing| standing.overview(&rows)).collect())
}

/// What an entity's rows in our tables say.
struct Standing {
    entity: EntityType,
    /// Whether it has a table, and whether rows of deleted records are kept in it.
    table: (bool, bool),
    quarantined: i64,
    /// Its watermark, the watermark's age, and the age of the newest change in the portal that it has.
    progress: (Option<DateTime<Utc>>, Option<f64>, Option<f64>),
    /// Records missing, extra and different, and when that was found.
    drift: (Option<i64>, Option<i64>, Option<i64>, Option<DateTime<Utc>>),
    settings: Settings,
    last_run: Option<Logged>,
}

type StandingRow = (
    (i16, bool, bool, i64),
    (Option<DateTime<Utc>>, Option<f64>, Option<f64>),
    (Option<i64>, Option<i64>, Option<i64>, Option<DateTime<Utc>>),
    Settings,
    Option<Logged>,
);
type StandingColumns = (
    (SmallInt, Bool, Bool, BigInt),
    (Nullable<Timestamptz>, Nullable<Double>, Nullable<Double>),
    (Nullable<BigInt>, Nullable<BigInt>, Nullable<BigInt>, Nullable<Timestamptz>),
    SettingsColumns,
    Nullable<LoggedColumns>,
);

/// In the catalogue's order. Of a time without zone, `extract` gives the seconds as if it were UTC, which it is.
///
/// The last run of an entity is the one that is on or to be gone on with, else the pass over its records that ended last: a
/// batch of events makes up for no pass that failed. Only where none is known, it is the newest of the log.
async fn standings(connection: &mut Connection, store: &PgStore) -> Result<Vec<Standing>, Trouble> {
    let tables = store.tables();
    let statement = sql("select e.entity, exists (select from pg_catalog.pg_class t join pg_catalog.pg_namespace n on n.oid = t.relnamespace where t.relname = e.name and n.nspname = ")
        .literal(tables.schema())
        .text("), coalesce(r.keeps_deleted, false), (select count(*) from b24sync.quarantine q where q.entity = e.entity), p.watermark, extract(epoch from clock_timestamp() - p.watermark)::float8, (extract(epoch from clock_timestamp()) - extract(epoch from s.last_modified_date))::float8, p.drift_missing, p.drift_extra, p.drift_different, p.drift_at, ")
        .text(settings_columns())
        .text(", ")
        .text(logged_columns())
        .text(" from ")
        .entities()
        .text(" left join b24sync.replicas r on r.entity = e.entity left join b24sync.entity_progress p on p.entity = e.entity left join ")
        .table(tables.state())
        .text(" as s on s.entity_type = e.key left join ")
        .table(tables.config())
        .text(" as c on c.entity_type = e.key left join ")
        .table(tables.logs())
        .text(" as l on l.id = coalesce((select r.run_id from b24sync.runs r where r.resumable and r.entity = e.entity and r.kind <> 'webhook' and (r.status = 'running' or r.abandoned or r.status = 'queued' and r.opened > 0) and exists (select from ")
        .table(tables.logs())
        .text(" as known where known.id = r.run_id) order by r.status = 'running' desc, r.run_id limit 1), (select r.run_id from b24sync.runs r where r.entity = e.entity and r.finished_at is not null and r.kind <> 'webhook' and r.opened > 0 and exists (select from ")
        .table(tables.logs())
        .text(" as known where known.id = r.run_id) order by r.finished_at desc limit 1), (select log.id from ")
        .table(tables.logs())
        .text(" as log where log.entity_type = e.key order by log.id desc limit 1)) order by e.place")
        .rows::<StandingColumns>();
    let rows: Vec<StandingRow> = connection.load_rows(statement).await?;
    Ok(rows.into_iter().filter_map(Standing::read).collect())
}

impl Standing {
    fn read(row: StandingRow) -> Option<Standing> {
        let ((entity, exists, keeps_deleted, quarantined), progress, drift, settings, last_run) = row;
        let entity = EntityType::from_type_id(entity)?;
        Some(Standing { entity, table: (exists, keeps_deleted), quarantined, progress, drift, settings, last_run })
    }

    /// The entity if it has a table, and whether rows of deleted records are kept in it.
    fn table(&self) -> Option<(EntityType, bool)> {
        let (exists, keeps_deleted) = self.table;
        exists.then_some((self.entity, keeps_deleted))
    }

    fn overview(self, rows: &HashMap<EntityType, i64>) -> EntityOverview {
        let ago = |seconds: Option<f64>| seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok());
        let number = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok()).unwrap_or_default();
        let (watermark, lag, newest_change_age) = self.progress;
        let (missing, extra, different, at) = self.drift;
        let found = |at| Drift { missing: number(missing), extra: number(extra), different: number(different), at };
        EntityOverview {
            entity: self.entity,
            settings: entity_settings(self.entity, self.settings),
            rows: rows.get(&self.entity).copied(),
            quarantined: self.quarantined,
            last_run: self.last_run.map(logged_run),
            watermark,
            lag: ago(lag),
            newest_change_age: ago(newest_change_age),
            drift: at.map(found),
        }
    }
}

async fn tables(connection: &mut Connection, store: &PgStore) -> Result<Vec<EntityType>, Trouble> {
    let statement = sql("select e.entity from ")
        .entities()
        .text(" where exists (select from pg_catalog.pg_class t join pg_catalog.pg_namespace n on n.oid = t.relnamespace where t.relname = e.name and n.nspname = ")
        .literal(store.tables().schema())
        .text(") order by e.place")
        .rows::<(SmallInt,)>();
    let found: Vec<(i16,)> = connection.load_rows(statement).await?;
    Ok(found.into_iter().filter_map(|(entity,)| EntityType::from_type_id(entity)).collect())
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
