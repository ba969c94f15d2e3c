//! Records that are gone: which may be, and how their rows go (CORRECTNESS 4.1 and 4.5).

use async_trait::async_trait;
use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::error::StoreError;
use b24sync_domain::lease::Lease;
use b24sync_domain::ports::DeletionStore;
use b24sync_domain::progress::Cursor;
use b24sync_domain::record::ReadToken;
use b24sync_domain::settings::DeleteMode;
use diesel::sql_types::{BigInt, SmallInt};

use crate::error::Trouble;
use crate::leases::fence;
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
    ) -> Result<Vec<RecordId>, StoreError> {
        retrying("reading which records there are", || async {
            let mut connection = self.connections().lend().await?;
            let statement = sql("select item_id from b24sync.item_state where deleted_at is null and entity = ")
                .bind::<SmallInt, _>(entity.type_id())
                .text(" and item_id > ")
                .bind::<BigInt, _>(after.get())
                .text(" and item_id <= ")
                .bind::<BigInt, _>(up_to.map_or(i64::MAX, Cursor::get))
                .text(" order by item_id")
                .rows::<(BigInt,)>();
            Ok(ids(connection.load_rows(statement).await?))
        })
        .await
    }

    async fn control(&self, entity: EntityType, since: ReadToken) -> Result<Option<RecordId>, StoreError> {
        retrying("looking for a record that was seen", || async {
            let mut connection = self.connections().lend().await?;
            let statement = sql("select item_id from b24sync.item_state where deleted_at is null and entity = ")
                .bind::<SmallInt, _>(entity.type_id())
                .text(" and read_seq >= ")
                .bind::<BigInt, _>(since.0)
                .text(" order by read_seq desc, item_id limit 1")
                .rows::<(BigInt,)>();
            let row: Option<(i64,)> = connection.load_row(statement).await?;
            Ok(row.and_then(|(id,)| RecordId::new(id)))
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
    let buried: Vec<(i64,)> =
        transaction.load_rows(deletions::tombstones(entity.type_id(), read.0, ids_to_bury)).await?;
    let buried = ids(buried);
    if !buried.is_empty() {
        let table = store.table(entity);
        let times = catalog::row_times(transaction, table, entity).await?;
        transaction
            .perform(match (store.deletes(), times.deleted_zoned) {
                (DeleteMode::Soft, Some(zoned)) => deletions::mark_rows(table, times, zoned, &buried),
                _ => deletions::delete_rows(table, &buried),
            })
            .await?;
        transaction.perform(deletions::leave_quarantine(entity.type_id(), &buried)).await?;
    }
    Ok(buried)
}

fn ids(rows: Vec<(i64,)>) -> Vec<RecordId> {
    rows.into_iter().filter_map(|(id,)| RecordId::new(id)).collect()
}
