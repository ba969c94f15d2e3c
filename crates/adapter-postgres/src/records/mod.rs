//! The replica tables: what is known of them, how they change, and how records get into them.

mod apply;
mod commit;
mod copy;
mod deletions;
mod dictionary;
mod drift;
mod ensure;
mod known;
mod preview;
mod quarantine;
mod same;
mod show;
mod widen;

pub(crate) use drift::forget_covered;

use std::collections::HashMap;

use async_trait::async_trait;
use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::error::StoreError;
use b24sync_domain::lease::Lease;
use b24sync_domain::mapping::ColumnName;
use b24sync_domain::mapping::answer::AnswerHash;
use b24sync_domain::mapping::rows::MappedBatch;
use b24sync_domain::mapping::schema::{KnownTable, SchemaPlan};
use b24sync_domain::ports::{Commit, RecordStore, Step};

use crate::sql::guard;
use crate::store::PgStore;
use crate::transaction::retrying;

#[async_trait]
impl RecordStore for PgStore {
    async fn known_table(&self, entity: EntityType) -> Result<KnownTable, StoreError> {
        retrying("looking at a table", || async {
            let mut connection = self.connections().lend().await?;
            known::load(&mut connection, entity, self.table(entity)).await
        })
        .await
    }

    async fn ensure_table(&self, plan: &SchemaPlan) -> Result<(), StoreError> {
        Box::pin(ensure::ensure(self, plan)).await
    }

    async fn pin_column(&self, entity: EntityType, column: &ColumnName) -> Result<(), StoreError> {
        retrying("remembering a column that cannot be widened", || async {
            let mut connection = self.connections().lend().await?;
            widen::pin(&mut connection, entity, column.as_str()).await
        })
        .await
    }

    async fn forget(&self, entity: EntityType, ids: &[RecordId]) -> Result<(), StoreError> {
        retrying("forgetting the content of records", || async {
            let mut connection = self.connections().lend().await?;
            connection.perform(guard::forget(entity.type_id(), ids)).await?;
            Ok(())
        })
        .await
    }

    async fn answers(&self, entity: EntityType, ids: &[RecordId]) -> Result<HashMap<RecordId, AnswerHash>, StoreError> {
        retrying("looking what is remembered of records", || async {
            let mut connection = self.connections().lend().await?;
            same::answers(&mut connection, self.table(entity), entity, ids).await
        })
        .await
    }

    async fn commit(&self, batch: &MappedBatch, step: &Step, lease: &Lease) -> Result<Commit, StoreError> {
        Box::pin(commit::commit(self, batch, step, lease)).await
    }
}
