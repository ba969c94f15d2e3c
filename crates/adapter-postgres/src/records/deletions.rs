//! Records that are gone: which may be, and how their rows go (CORRECTNESS 4.1 and 4.5).

use async_trait::async_trait;
use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::error::StoreError;
use b24sync_domain::lease::Lease;
use b24sync_domain::mapping::rows::Rejection;
use b24sync_domain::ports::DeletionStore;
use b24sync_domain::progress::Cursor;
use b24sync_domain::record::ReadToken;
use b24sync_domain::run::RunId;
use b24sync_domain::settings::DeleteMode;
use diesel::sql_types::{BigInt, SmallInt};

use super::quarantine;
use crate::error::Trouble;
use crate::leases::fence;
use crate::sql::upsert::RowTimes;
use crate::sql::{catalog, deletions, sql};
use crate::store::PgStore;
use crate::transaction::{Transaction, retrying};

#[async_trait]
impl DeletionStore for PgStore {
    async fn unseen(
        &self,
        entity: EntityType,
        since: ReadToken,
        after: Cursor,
        limit: u32,
    ) -> Result<Vec<RecordId>, StoreError> {
        retrying("looking for records that were not seen", || async {
            let mut connection = self.connections().lend().await?;
            let statement =
                deletions::unseen(self.table(entity), entity.type_id(), since.0, after.get(), i64::from(limit));
            let rows: Vec<(i64,)> = connection.load_rows(statement).await?;
            Ok(ids(rows))
        })
        .await
    }

    async fn live_ids(
        &self,
        entity: EntityType,
        after: Cursor,
        up_to: Option<Cursor>,
    ) -> Result<Vec<(RecordId, bool)>, StoreError> {
        retrying("reading which records there are", || async {
            let mut connection = self.connections().lend().await?;
            let up_to = up_to.map_or(i64::MAX, Cursor::get);
            let statement = deletions::live_ids(self.table(entity), entity.type_id(), after.get(), up_to);
            let rows: Vec<(i64, bool)> = connection.load_rows(statement).await?;
            Ok(rows.into_iter().filter_map(|(id, has_row)| Some((RecordId::new(id)?, has_row))).collect())
        })
        .await
    }

    async fn controls(&self, entity: EntityType, since: ReadToken, limit: u32) -> Result<Vec<RecordId>, StoreError> {
        retrying("looking for records that were seen", || async {
            let mut connection = self.connections().lend().await?;
            // Of those of one answer, neighbours would be deleted together more often than others.
            let statement = sql("select s.item_id from b24sync.item_state s left join b24sync.hints h on h.entity = s.entity and h.item_id = s.item_id where s.deleted_at is null and s.entity = ")
                .bind::<SmallInt, _>(entity.type_id())
                .text(" and s.read_seq >= ")
                .bind::<BigInt, _>(since.0)
                .text(" order by coalesce(h.deleted, false), s.read_seq desc, pg_catalog.hashint8(s.item_id) limit ")
                .bind::<BigInt, _>(i64::from(limit))
                .rows::<(BigInt,)>();
            Ok(ids(connection.load_rows(statement).await?))
        })
        .await
    }

    async fn live(&self, entity: EntityType) -> Result<u64, StoreError> {
        retrying("counting live records", || async {
            let mut connection = self.connections().lend().await?;
            let statement = sql("select count(*) from b24sync.item_state where deleted_at is null and entity = ")
                .bind::<SmallInt, _>(entity.type_id())
                .rows::<(BigInt,)>();
            let (count,): (i64,) = connection.load_one(statement).await?;
            Ok(u64::try_from(count).unwrap_or_default())
        })
        .await
    }

    async fn bury(
        &self,
        entity: EntityType,
        ids: &[RecordId],
        read: ReadToken,
        lease: &Lease,
    ) -> Result<Vec<RecordId>, StoreError> {
        retrying("deleting rows of records that are gone", || async {
            let mut transaction = self.begin().await?;
            let work = bury(&mut transaction, self, entity, ids, read, lease).await;
            transaction.finish(work).await
        })
        .await
    }
}

async fn bury(
    transaction: &mut Transaction,
    store: &PgStore,
    entity: EntityType,
    ids_to_bury: &[RecordId],
    read: ReadToken,
    lease: &Lease,
) -> Result<Vec<RecordId>, Trouble> {
    fence(transaction, lease).await?;
    let times = catalog::row_times(transaction, store.table(entity), entity).await?;
    match bury_or_undo(transaction, store, entity, ids_to_bury, read, times).await {
        Err(Trouble::Failed(failure)) if failure.is_about_data() => {}
        other => return other,
    }
    // A row that something of the user's holds fast must not hold the others.
    let mut buried = Vec::new();
    let mut held = Vec::new();
    for id in ids_to_bury {
        match bury_or_undo(transaction, store, entity, &[*id], read, times).await {
            Ok(one) => buried.extend(one),
            Err(Trouble::Failed(failure)) if failure.is_about_data() => {
                let reason = format!("deleted in the portal, but its row cannot be deleted: {failure}");
                held.push(Rejection { id: *id, field: None, reason, excerpt: None });
            }
            Err(trouble) => return Err(trouble),
        }
    }
    let running: Option<(i64,)> = transaction
        .load_row(
            sql("select run_id from b24sync.runs where status = 'running' and entity = ")
                .bind::<SmallInt, _>(entity.type_id())
                .rows::<(BigInt,)>(),
        )
        .await?;
    if let Some((run,)) = running {
        quarantine::put(transaction, entity, read, RunId(run), &held.iter().collect::<Vec<_>>()).await?;
    }
    Ok(buried)
}

/// Buries all of these records or none.
async fn bury_or_undo(
    transaction: &mut Transaction,
    store: &PgStore,
    entity: EntityType,
    ids_to_bury: &[RecordId],
    read: ReadToken,
    times: RowTimes,
) -> Result<Vec<RecordId>, Trouble> {
    transaction.savepoint().await?;
    let work = async {
        let buried: Vec<(i64,)> =
            transaction.load_rows(deletions::tombstones(entity.type_id(), read.0, ids_to_bury)).await?;
        let buried = ids(buried);
        if !buried.is_empty() {
            let table = store.table(entity);
            transaction
                .perform(match (store.deletes(), times.deleted_zoned) {
                    (DeleteMode::Soft, Some(zoned)) => deletions::mark_rows(table, times, zoned, &buried),
                    _ => deletions::delete_rows(table, &buried),
                })
                .await?;
            transaction.perform(deletions::leave_quarantine(entity.type_id(), &buried)).await?;
        }
        Ok(buried)
    };
    match work.await {
        Ok(buried) => {
            transaction.release().await?;
            Ok(buried)
        }
        Err(trouble) => {
            transaction.undo().await?;
            Err(trouble)
        }
    }
}

fn ids(rows: Vec<(i64,)>) -> Vec<RecordId> {
    rows.into_iter().filter_map(|(id,)| RecordId::new(id)).collect()
}
