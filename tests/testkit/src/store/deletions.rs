//! Deleted records.

use async_trait::async_trait;
use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::error::StoreError;
use b24sync_domain::lease::Lease;
use b24sync_domain::ports::DeletionStore;
use b24sync_domain::progress::Cursor;
use b24sync_domain::record::ReadToken;

use super::{FakeStore, ItemState};

#[async_trait]
impl DeletionStore for FakeStore {
    async fn unseen(
        &self,
        entity: EntityType,
        since: ReadToken,
        after: Cursor,
        limit: u32,
    ) -> Result<Vec<RecordId>, StoreError> {
        let state = self.state();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let live = state.items.iter().filter(|((of, _), item)| *of == entity && !item.deleted && item.read < since.0);
        let seen_in_quarantine = |id: i64| {
            state.quarantine.contains_key(&(entity, id))
                && state.refused_by.get(&(entity, id)).is_some_and(|read| *read >= since.0)
        };
        let mut ids: std::collections::BTreeSet<i64> = live.map(|((_, id), _)| *id).collect();
        ids.extend(state.never_stored(entity));
        ids.retain(|id| *id > after.get() && !seen_in_quarantine(*id));
        Ok(ids.into_iter().take(limit).map(crate::build::id).collect())
    }

    async fn live_ids(
        &self,
        entity: EntityType,
        after: Cursor,
        up_to: Option<Cursor>,
    ) -> Result<Vec<(RecordId, bool)>, StoreError> {
        let state = self.state();
        let live = state.items.iter().filter(|((of, _), item)| *of == entity && !item.deleted).map(|((_, id), _)| *id);
        let mut ids: std::collections::BTreeSet<i64> = live.collect();
        ids.extend(state.never_stored(entity));
        ids.retain(|id| *id > after.get() && up_to.is_none_or(|up_to| *id <= up_to.get()));
        let has_row = |id: i64| state.rows.contains_key(&(entity, id));
        Ok(ids.into_iter().map(|id| (crate::build::id(id), has_row(id))).collect())
    }

    async fn controls(&self, entity: EntityType, since: ReadToken, limit: u32) -> Result<Vec<RecordId>, StoreError> {
        let state = self.state();
        let live = state.items.iter().filter(|((of, _), item)| *of == entity && !item.deleted && item.read >= since.0);
        // The latest read first: what was seen long ago may be gone by now.
        let mut seen: Vec<_> = live.map(|((_, id), item)| (std::cmp::Reverse(item.read), *id)).collect();
        seen.sort_unstable();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(seen.into_iter().take(limit).map(|(_, id)| crate::build::id(id)).collect())
    }

    async fn live(&self, entity: EntityType) -> Result<u64, StoreError> {
        let live = self.state().items.iter().filter(|((of, _), item)| *of == entity && !item.deleted).count();
        Ok(u64::try_from(live).unwrap_or(u64::MAX))
    }

    async fn bury(
        &self,
        entity: EntityType,
        ids: &[RecordId],
        read: ReadToken,
        lease: &Lease,
    ) -> Result<Vec<RecordId>, StoreError> {
        let mut state = self.state();
        state.fence(lease)?;
        let mut buried = Vec::new();
        for id in ids {
            let key = (entity, id.get());
            let stands = state
                .items
                .get(&key)
                .is_some_and(|stored| !(read.0 > stored.read && (read.0 > stored.write || stored.deleted)));
            if stands {
                continue;
            }
            let write = state.draw();
            state.items.insert(
                key,
                ItemState { read: read.0, write, modified: None, hash: None, answer: None, deleted: true },
            );
            state.rows.remove(&key);
            state.quarantine.remove(&key);
            buried.push(*id);
        }
        Ok(buried)
    }
}
