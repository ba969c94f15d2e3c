//! The records: one JSON document each, in memory. What a store of your own has to do is in the implementations of
//! [`RecordStore`] and [`DeletionStore`]; the contract is on the traits.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::error::StoreError;
use b24sync_domain::field::FieldName;
use b24sync_domain::lease::Lease;
use b24sync_domain::mapping::cells::ColumnData;
use b24sync_domain::mapping::rows::{Column, ContentHash, MappedBatch, Rejection, RowBatch};
use b24sync_domain::mapping::schema::{
    ActualType, FieldChange, KnownTable, PendingChange, RereadScope, SchemaPlan, StoredField, TableShape,
};
use b24sync_domain::mapping::{ColumnName, ColumnType};
use b24sync_domain::ports::{Commit, DeletionStore, DriftStore, ReadOrder, RecordStore, Step};
use b24sync_domain::progress::Cursor;
use b24sync_domain::record::ReadToken;
use b24sync_domain::run::RunId;
use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::control::Control;

/// A record as this store keeps it.
pub(crate) type Document = Map<String, Value>;

/// What is known of a record: its guard (docs/CORRECTNESS.md, 4.1), and its document unless it is deleted.
struct Kept {
    read: i64,
    write: i64,
    modified: Option<DateTime<Utc>>,
    /// `None`: to be written whatever comes.
    hash: Option<ContentHash>,
    /// `None`: a tombstone, which keeps stale reads from reviving the record.
    document: Option<Document>,
}

#[derive(Default)]
pub(crate) struct State {
    sequence: i64,
    tables: HashMap<EntityType, KnownTable>,
    records: BTreeMap<(EntityType, RecordId), Kept>,
    quarantine: BTreeMap<(EntityType, RecordId), (ReadToken, Rejection)>,
    pending: BTreeMap<(EntityType, FieldName), PendingChange>,
    /// Leases, runs, and how far each entity is complete.
    pub(crate) control: Control,
}

/// Every store that the engine asks for, for one process, in memory.
#[derive(Default)]
pub(crate) struct Documents(Mutex<State>);

impl Documents {
    /// One step of a store is one atomic step: here the lock does what a transaction does elsewhere.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A record's document.
    pub(crate) fn document(&self, entity: EntityType, id: RecordId) -> Option<Document> {
        self.state().records.get(&(entity, id)).and_then(|kept| kept.document.clone())
    }

    /// How many records there are.
    pub(crate) fn count(&self, entity: EntityType) -> usize {
        self.state().live(entity).count()
    }
}

impl State {
    /// A number above all that were drawn before.
    pub(crate) fn draw(&mut self) -> i64 {
        self.sequence += 1;
        self.sequence
    }

    fn live(&self, entity: EntityType) -> impl Iterator<Item = (RecordId, &Kept)> {
        let of = self.records.iter().filter(move |((of, _), kept)| *of == entity && kept.document.is_some());
        of.map(|((_, id), kept)| (*id, kept))
    }

    /// The highest id of a record that is there.
    pub(crate) fn highest(&self, entity: EntityType) -> i64 {
        self.live(entity).map(|(id, _)| id.get()).max().unwrap_or(0)
    }

    /// Records in quarantine of which no version was ever stored.
    fn never_stored(&self, entity: EntityType) -> impl Iterator<Item = RecordId> {
        let stored = move |id: &RecordId| self.records.get(&(entity, *id)).is_some_and(|kept| kept.document.is_some());
        let of = self.quarantine.keys().filter(move |(of, _)| *of == entity).map(|(_, id)| *id);
        of.filter(move |id| !stored(id))
    }

    /// Whether a read may replace what is kept: the one rule that makes order of arrival harmless.
    fn accepts(&self, key: (EntityType, RecordId), read: ReadToken, modified: Option<DateTime<Utc>>) -> bool {
        let Some(kept) = self.records.get(&key) else { return true };
        let steps_back = kept.modified.zip(modified).is_some_and(|(old, new)| new < old);
        read.0 > kept.read && (read.0 > kept.write || (kept.document.is_some() && !steps_back))
    }

    fn apply(&mut self, rows: &RowBatch) -> Commit {
        let mut commit = Commit::default();
        for (position, ((id, modified), hash)) in rows.ids.iter().zip(&rows.modified).zip(&rows.hashes).enumerate() {
            let key = (rows.entity, *id);
            if !self.accepts(key, rows.read, *modified) {
                // Refused although it began later: the reads overlapped, and only another read can tell.
                if self.records.get(&key).is_some_and(|kept| kept.read < rows.read.0) {
                    commit.contested.push(*id);
                }
                continue;
            }
            let before = self.records.remove(&key);
            let equal = before.as_ref().is_some_and(|kept| kept.hash == Some(*hash) && kept.document.is_some());
            let old = before.and_then(|kept| kept.document);
            let document = if equal { old } else { Some(overlaid(old, &rows.columns, position)) };
            if equal {
                commit.unchanged += 1;
            } else {
                commit.written += 1;
            }
            let write = self.draw();
            self.records
                .insert(key, Kept { read: rows.read.0, write, modified: *modified, hash: Some(*hash), document });
            self.quarantine.remove(&key);
        }
        commit
    }

    /// Puts records aside that could not be mapped; an older version of their document stays. Returns how many.
    fn reject(&mut self, entity: EntityType, read: ReadToken, rejected: &[Rejection]) -> u64 {
        let mut count = 0;
        for rejection in rejected {
            let key = (entity, rejection.id);
            if self.records.get(&key).is_none_or(|kept| read.0 > kept.read) {
                self.quarantine.insert(key, (read, rejection.clone()));
                count += 1;
            }
        }
        count
    }

    /// Records that are already there lack what changed about the fields; an empty store needs to remember nothing.
    fn note_changes(&mut self, entity: EntityType, changes: &[FieldChange]) {
        if self.live(entity).next().is_none() {
            return;
        }
        for change in changes {
            let pending = PendingChange { change: change.clone(), cursor: Cursor::START, covered_by: None };
            self.pending.insert((entity, change.field.clone()), pending);
        }
        if changes.iter().any(|change| change.scope == RereadScope::Rewrite) {
            self.records.iter_mut().filter(|((of, _), _)| *of == entity).for_each(|(_, kept)| kept.hash = None);
        }
    }

    /// A full run is complete: the changes that it covers have reached every record.
    pub(crate) fn settle_changes(&mut self, run: RunId) {
        self.pending.retain(|_, pending| pending.covered_by != Some(run));
    }
}

/// The row at this position over what was there: a column that the batch does not have keeps its value.
fn overlaid(old: Option<Document>, columns: &[Column], position: usize) -> Document {
    let mut document = old.unwrap_or_default();
    for column in columns {
        match value(column, position) {
            Some(value) => document.insert(column.name.as_str().to_owned(), value),
            None => document.remove(column.name.as_str()),
        };
    }
    document
}

fn value(column: &Column, position: usize) -> Option<Value> {
    match &column.data {
        // Numbers stay text: JSON's would lose digits of large amounts.
        ColumnData::Texts(texts) => texts.get(position).map(|text| match column.column_type {
            ColumnType::Jsonb | ColumnType::Json => serde_json::from_str(text).unwrap_or_else(|_no_json| text.into()),
            _ => text.into(),
        }),
        ColumnData::Integers(values) => values.get(position).copied().flatten().map(Value::from),
        ColumnData::Booleans(values) => values.get(position).copied().flatten().map(Value::from),
        ColumnData::Instants(values) => values.get(position).copied().flatten().map(|at| at.to_rfc3339().into()),
        ColumnData::Dates(values) => values.get(position).copied().flatten().map(|day| day.to_string().into()),
    }
}

fn stored_fields(plan: &SchemaPlan) -> Vec<StoredField> {
    let entries = plan.dictionary.iter().map(|entry| StoredField {
        field: entry.description.name.clone(),
        column: entry.column.clone(),
        currency: entry.currency.clone(),
        type_name: entry.description.type_name.clone(),
        multiple: entry.description.multiple,
        retired: false,
    });
    entries.collect()
}

#[async_trait]
impl ReadOrder for Documents {
    async fn next(&self) -> Result<ReadToken, StoreError> {
        Ok(ReadToken(self.state().draw()))
    }
}

#[async_trait]
impl RecordStore for Documents {
    async fn known_table(&self, entity: EntityType) -> Result<KnownTable, StoreError> {
        Ok(self.state().tables.get(&entity).cloned().unwrap_or_default())
    }

    async fn ensure_table(&self, plan: &SchemaPlan) -> Result<(), StoreError> {
        let mut state = self.state();
        let table = state.tables.entry(plan.entity).or_default();
        let shape = table.shape.get_or_insert_with(TableShape::default);
        for new in &plan.add {
            if !shape.columns.iter().any(|(name, _)| *name == new.name) {
                shape.columns.push((new.name.clone(), ActualType::Known(new.column_type)));
            }
        }
        // A document's values have no declared type: every widening succeeds.
        for widening in &plan.widen {
            let widened = shape.columns.iter_mut().filter(|(name, _)| *name == widening.column);
            widened.for_each(|(_, actual)| *actual = ActualType::Known(widening.to));
        }
        let fields = stored_fields(plan);
        table.fields.retain(|stored| !fields.iter().any(|field| field.field == stored.field));
        // What the portal does not have any more keeps its place.
        for stored in &mut table.fields {
            stored.retired = true;
        }
        table.fields.extend(fields);
        state.note_changes(plan.entity, &plan.changes);
        Ok(())
    }

    async fn pin_column(&self, entity: EntityType, column: &ColumnName) -> Result<(), StoreError> {
        self.state().tables.entry(entity).or_default().pinned.insert(column.clone());
        Ok(())
    }

    async fn forget(&self, entity: EntityType, ids: &[RecordId]) -> Result<(), StoreError> {
        let mut state = self.state();
        for id in ids {
            if let Some(kept) = state.records.get_mut(&(entity, *id)) {
                kept.hash = None;
            }
        }
        Ok(())
    }

    async fn commit(&self, batch: &MappedBatch, step: &Step, lease: &Lease) -> Result<Commit, StoreError> {
        let mut state = self.state();
        state.control.fence(lease)?;
        let commit = state.apply(&batch.rows);
        let quarantined = state.reject(batch.rows.entity, batch.rows.read, &batch.rejected);
        state.control.advance(step, quarantined)?;
        Ok(commit)
    }
}

#[async_trait]
impl DeletionStore for Documents {
    async fn unseen(
        &self,
        entity: EntityType,
        since: ReadToken,
        after: Cursor,
        limit: u32,
    ) -> Result<Vec<RecordId>, StoreError> {
        let state = self.state();
        let unread = state.live(entity).filter(|(_, kept)| kept.read < since.0).map(|(id, _)| id);
        let mut ids: BTreeSet<RecordId> = unread.chain(state.never_stored(entity)).collect();
        let refused_since =
            |id: &RecordId| state.quarantine.get(&(entity, *id)).is_some_and(|(read, _)| *read >= since);
        ids.retain(|id| id.get() > after.get() && !refused_since(id));
        Ok(ids.into_iter().take(usize::try_from(limit).unwrap_or(usize::MAX)).collect())
    }

    async fn live_ids(
        &self,
        entity: EntityType,
        after: Cursor,
        up_to: Option<Cursor>,
    ) -> Result<Vec<(RecordId, bool)>, StoreError> {
        let state = self.state();
        let stored = state.live(entity).map(|(id, _)| (id, true));
        let ids: BTreeMap<RecordId, bool> = stored.chain(state.never_stored(entity).map(|id| (id, false))).collect();
        let inside = |id: RecordId| id.get() > after.get() && up_to.is_none_or(|up_to| id.get() <= up_to.get());
        Ok(ids.into_iter().filter(|(id, _)| inside(*id)).collect())
    }

    async fn controls(&self, entity: EntityType, since: ReadToken, limit: u32) -> Result<Vec<RecordId>, StoreError> {
        let state = self.state();
        let mut seen: Vec<_> = state.live(entity).filter(|(_, kept)| kept.read >= since.0).collect();
        seen.sort_by_key(|(id, kept)| (std::cmp::Reverse(kept.read), *id));
        Ok(seen.into_iter().take(usize::try_from(limit).unwrap_or(usize::MAX)).map(|(id, _)| id).collect())
    }

    async fn live(&self, entity: EntityType) -> Result<u64, StoreError> {
        Ok(u64::try_from(self.count(entity)).unwrap_or(u64::MAX))
    }

    async fn bury(
        &self,
        entity: EntityType,
        ids: &[RecordId],
        read: ReadToken,
        lease: &Lease,
    ) -> Result<Vec<RecordId>, StoreError> {
        let mut state = self.state();
        state.control.fence(lease)?;
        let mut buried = Vec::new();
        for id in ids {
            let key = (entity, *id);
            let later = |kept: &Kept| read.0 > kept.read && (read.0 > kept.write || kept.document.is_none());
            if !state.records.get(&key).is_none_or(later) {
                continue;
            }
            let write = state.draw();
            state.records.insert(key, Kept { read: read.0, write, modified: None, hash: None, document: None });
            state.quarantine.remove(&key);
            buried.push(*id);
        }
        Ok(buried)
    }
}

#[async_trait]
impl DriftStore for Documents {
    async fn pending(&self, entity: EntityType) -> Result<Vec<PendingChange>, StoreError> {
        let state = self.state();
        Ok(state.pending.iter().filter(|((of, _), _)| *of == entity).map(|(_, pending)| pending.clone()).collect())
    }

    async fn cover(&self, entity: EntityType, run: RunId, lease: &Lease) -> Result<(), StoreError> {
        let mut state = self.state();
        state.control.fence(lease)?;
        let of = state.pending.iter_mut().filter(|((of, _), _)| *of == entity);
        of.for_each(|(_, pending)| pending.covered_by = Some(run));
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
        state.control.fence(lease)?;
        for field in fields {
            let key = (entity, field.clone());
            match cursor {
                Some(cursor) => {
                    if let Some(pending) = state.pending.get_mut(&key) {
                        pending.cursor = cursor;
                    }
                }
                None => drop(state.pending.remove(&key)),
            }
        }
        Ok(())
    }
}
