//! Reads, rows, and changes of fields.

use std::collections::HashMap;

use async_trait::async_trait;
use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::error::StoreError;
use b24sync_domain::field::FieldName;
use b24sync_domain::lease::Lease;
use b24sync_domain::mapping::ColumnName;
use b24sync_domain::mapping::answer::AnswerHash;
use b24sync_domain::mapping::rows::MappedBatch;
use b24sync_domain::mapping::schema::{ActualType, KnownTable, PendingChange, SchemaPlan, StoredField, TableShape};
use b24sync_domain::ports::{Commit, DriftStore, ReadOrder, RecordStore, Step};
use b24sync_domain::progress::Cursor;
use b24sync_domain::record::ReadToken;
use b24sync_domain::run::RunId;

use super::FakeStore;

#[async_trait]
impl ReadOrder for FakeStore {
    async fn next(&self) -> Result<ReadToken, StoreError> {
        Ok(ReadToken(self.state().draw()))
    }
}

#[async_trait]
impl RecordStore for FakeStore {
    async fn known_table(&self, entity: EntityType) -> Result<KnownTable, StoreError> {
        Ok(self.state().tables.get(&entity).cloned().unwrap_or_default())
    }

    async fn ensure_table(&self, plan: &SchemaPlan) -> Result<(), StoreError> {
        let mut state = self.state();
        let unwidenable = state.unwidenable.clone();
        let table = state.tables.entry(plan.entity).or_default();
        let shape = table.shape.get_or_insert_with(TableShape::default);
        for added in &plan.add {
            if !shape.columns.iter().any(|(name, _)| *name == added.name) {
                shape.columns.push((added.name.clone(), ActualType::Known(added.column_type)));
            }
        }
        let mut refused = None;
        for widening in &plan.widen {
            if unwidenable.contains(&widening.column) {
                refused.get_or_insert(widening.column.clone());
                continue;
            }
            for (name, actual) in &mut shape.columns {
                if *name == widening.column {
                    *actual = ActualType::Known(widening.to);
                }
            }
        }
        for entry in &plan.dictionary {
            table.fields.retain(|stored| stored.field != entry.description.name);
            table.fields.push(StoredField {
                field: entry.description.name.clone(),
                column: entry.column.clone(),
                currency: entry.currency.clone(),
                type_name: entry.description.type_name.clone(),
                multiple: entry.description.multiple,
                retired: false,
            });
        }
        for stored in &mut table.fields {
            stored.retired = !plan.dictionary.iter().any(|entry| entry.description.name == stored.field);
        }
        state.drift(plan.entity, &plan.changes);
        match refused {
            Some(column) => Err(StoreError::CannotWiden { column, source: "a view depends on it".into() }),
            None => Ok(()),
        }
    }

    async fn pin_column(&self, entity: EntityType, column: &ColumnName) -> Result<(), StoreError> {
        self.state().tables.entry(entity).or_default().pinned.insert(column.clone());
        Ok(())
    }

    async fn forget(&self, entity: EntityType, ids: &[RecordId]) -> Result<(), StoreError> {
        let mut state = self.state();
        for id in ids {
            if let Some(item) = state.items.get_mut(&(entity, id.get())) {
                item.hash = None;
            }
        }
        Ok(())
    }

    async fn answers(&self, entity: EntityType, ids: &[RecordId]) -> Result<HashMap<RecordId, AnswerHash>, StoreError> {
        let state = self.state();
        Ok(ids.iter().filter_map(|id| Some((*id, state.answer((entity, id.get()))?))).collect())
    }

    async fn commit(&self, batch: &MappedBatch, step: &Step, lease: &Lease) -> Result<Commit, StoreError> {
        let mut state = self.state();
        state.fence(lease)?;
        let mut commit = Commit::default();
        for (id, answer) in &batch.same {
            state.see((batch.rows.entity, id.get()), batch.rows.read, *answer, &mut commit);
        }
        state.apply(&batch.rows, &mut commit);
        let mut quarantined = 0;
        for rejection in batch.rejected.iter().chain(&commit.refused) {
            let key = (batch.rows.entity, rejection.id.get());
            if state.items.get(&key).is_none_or(|stored| batch.rows.read.0 > stored.read) {
                state.quarantine.insert(key, rejection.clone());
                state.refused_by.insert(key, batch.rows.read.0);
                quarantined += 1;
            }
        }
        let row = state.run(step.run)?;
        if let Some(cursor) = step.cursor {
            row.run.cursor = row.run.cursor.max(cursor);
        }
        row.run.source_start.get_or_insert(step.source_start);
        row.run.processed = row.run.processed.max(step.processed);
        row.run.quarantined += quarantined;
        Ok(commit)
    }
}

#[async_trait]
impl DriftStore for FakeStore {
    async fn pending(&self, entity: EntityType) -> Result<Vec<PendingChange>, StoreError> {
        let state = self.state();
        Ok(state.pending.iter().filter(|((of, _), _)| *of == entity).map(|(_, pending)| pending.clone()).collect())
    }

    async fn cover(&self, entity: EntityType, run: RunId, lease: &Lease) -> Result<(), StoreError> {
        let mut state = self.state();
        state.fence(lease)?;
        let pending = state.pending.iter_mut().filter(|((of, _), _)| *of == entity);
        pending.for_each(|(_, pending)| pending.covered_by = Some(run));
        Ok(())
    }

    async fn advance(
        &self,
        entity: EntityType,
        fields: &[FieldName],
        cursor: Option<Cursor>,
        lease: &Lease,
    ) -> Result<(), StoreError> {
        let mut state = self.state();
        state.fence(lease)?;
        for field in fields {
            let key = (entity, field.clone());
            match cursor {
                Some(cursor) => {
                    if let Some(pending) = state.pending.get_mut(&key) {
                        pending.cursor = cursor;
                    }
                }
                None => {
                    state.pending.remove(&key);
                }
            }
        }
        Ok(())
    }
}
