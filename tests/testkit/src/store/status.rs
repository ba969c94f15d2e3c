//! How the replica stands.

use async_trait::async_trait;
use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::error::StoreError;
use b24sync_domain::mapping::rows::RowBatch;
use b24sync_domain::ports::{Drift, EntityOverview, Quarantined, StatusStore};
use b24sync_domain::progress::Cursor;
use b24sync_domain::reconcile::Fingerprint;
use chrono::DateTime;

use super::{FakeStore, cell, logged};

#[async_trait]
impl StatusStore for FakeStore {
    async fn overview(&self) -> Result<Vec<EntityOverview>, StoreError> {
        let state = self.state();
        let count = |entity: EntityType| state.rows.keys().filter(|(of, _)| *of == entity).count();
        Ok(EntityType::all()
            .map(|entity| EntityOverview {
                entity,
                settings: state.settings_of(entity),
                rows: state.tables.get(&entity).and_then(|_| i64::try_from(count(entity)).ok()),
                quarantined: i64::try_from(state.quarantine.keys().filter(|(of, _)| *of == entity).count())
                    .unwrap_or(i64::MAX),
                last_run: state.last_run(entity).map(logged),
                watermark: state.standings.get(&entity).map(|standing| standing.watermark),
                lag: None,
                newest_change_age: None,
                drift: state.drifts.get(&entity).copied(),
            })
            .collect())
    }

    async fn tables(&self) -> Result<Vec<EntityType>, StoreError> {
        let state = self.state();
        Ok(EntityType::all().filter(|entity| state.tables.contains_key(entity)).collect())
    }

    async fn quarantine(&self, entity: Option<EntityType>, limit: u32) -> Result<Vec<Quarantined>, StoreError> {
        let state = self.state();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(state
            .quarantine
            .iter()
            .filter(|((of, _), _)| entity.is_none_or(|entity| entity == *of))
            .take(limit)
            .map(|((entity, _), rejection)| Quarantined {
                entity: *entity,
                rejection: rejection.clone(),
                first_seen: DateTime::UNIX_EPOCH,
                last_seen: DateTime::UNIX_EPOCH,
            })
            .collect())
    }

    async fn keep_drift(&self, entity: EntityType, missing: u64, extra: u64, different: u64) -> Result<(), StoreError> {
        let drift = Drift { missing, extra, different, at: DateTime::UNIX_EPOCH };
        self.state().drifts.insert(entity, drift);
        Ok(())
    }

    async fn differing(&self, rows: &RowBatch) -> Result<Vec<RecordId>, StoreError> {
        let state = self.state();
        let differs = |(position, id): &(usize, &RecordId)| {
            state.rows.get(&(rows.entity, id.get())).is_some_and(|row| {
                rows.columns
                    .iter()
                    .any(|column| row.get(column.name.as_str()).cloned() != cell(&column.data, *position))
            })
        };
        Ok(rows.ids.iter().enumerate().filter(differs).map(|(_, id)| *id).collect())
    }

    async fn fingerprints(
        &self,
        entity: EntityType,
        after: Cursor,
        up_to: Option<Cursor>,
        limit: u32,
    ) -> Result<Vec<Fingerprint>, StoreError> {
        let state = self.state();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut prints: Vec<Fingerprint> = state
            .items
            .iter()
            .filter(|((of, id), item)| {
                *of == entity && !item.deleted && *id > after.get() && up_to.is_none_or(|up_to| *id <= up_to.get())
            })
            .map(|(key, item)| Fingerprint {
                id: crate::build::id(key.1),
                hash: item.hash,
                has_row: state.rows.contains_key(key),
                quarantined: state.quarantine.contains_key(key),
            })
            .collect();
        prints.sort_by_key(|print| print.id);
        prints.truncate(limit);
        Ok(prints)
    }
}
