//! Every store port in memory, with the rules of the real store: read order, fencing, one run at a time.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::error::StoreError;
use b24sync_domain::field::FieldName;
use b24sync_domain::lease::{Grant, HeldBy, Lease, Scope};
use b24sync_domain::mapping::ColumnName;
use b24sync_domain::mapping::cells::ColumnData;
use b24sync_domain::mapping::rows::{ContentHash, MappedBatch, Rejection, RowBatch};
use b24sync_domain::mapping::schema::{
    ActualType, FieldChange, KnownTable, PendingChange, RereadScope, SchemaPlan, StoredField, TableShape,
};
use b24sync_domain::portal::{EntityProbe, KeptProbe, KnownPortal, PortalProfile};
use b24sync_domain::ports::{
    Claim, Commit, DeletionStore, DriftStore, EntityOverview, LeaseStore, LoggedRun, PortalStore, Quarantined,
    ReadOrder, RecordStore, Requested, RunLog, Standing, StatusStore, Step,
};
use b24sync_domain::progress::{Cursor, Watermark};
use b24sync_domain::reconcile::Fingerprint;
use b24sync_domain::record::ReadToken;
use b24sync_domain::run::{Ending, Run, RunId, RunKind, RunStatus};
use b24sync_domain::settings::EntitySettings;
use chrono::{DateTime, Utc};

/// A row of a fake table: text of each cell by column name; NULLs are left out.
pub type FakeRow = BTreeMap<String, String>;

#[derive(Debug, Clone)]
struct ItemState {
    read: i64,
    write: i64,
    modified: Option<DateTime<Utc>>,
    hash: Option<ContentHash>,
    deleted: bool,
}

#[derive(Debug, Clone)]
struct HeldLease {
    holder: String,
    token: i64,
}

#[derive(Debug, Clone)]
pub(crate) struct RunRow {
    pub(crate) run: Run,
    /// By the store's clock.
    pub(crate) started: DateTime<Utc>,
    pub(crate) status: RunStatus,
    pub(crate) error: Option<String>,
    pub(crate) step: &'static str,
    pub(crate) expected: Option<u64>,
    pub(crate) cancel_requested: bool,
    /// Place in the order of ends; 0 while it has not ended.
    pub(crate) ended: i64,
}

impl RunRow {
    fn new(run: Run, started: DateTime<Utc>, status: RunStatus) -> RunRow {
        RunRow { run, started, status, error: None, step: "", expected: None, cancel_requested: false, ended: 0 }
    }
}

/// Where an entity stands; the floor follows the known ids one overlap behind.
#[derive(Debug, Clone)]
struct FakeStanding {
    watermark: DateTime<Utc>,
    floor: i64,
    next_floor: (i64, DateTime<Utc>),
}

#[derive(Default)]
pub(crate) struct State {
    sequence: i64,
    pub(crate) clock: DateTime<Utc>,
    tables: HashMap<EntityType, KnownTable>,
    rows: BTreeMap<(EntityType, i64), FakeRow>,
    items: HashMap<(EntityType, i64), ItemState>,
    leases: HashMap<Scope, HeldLease>,
    pub(crate) runs: Vec<RunRow>,
    quarantine: BTreeMap<(EntityType, i64), Rejection>,
    /// The read that put a record into quarantine.
    refused_by: HashMap<(EntityType, i64), i64>,
    standings: HashMap<EntityType, FakeStanding>,
    pending: BTreeMap<(EntityType, FieldName), PendingChange>,
    pub(crate) settings: HashMap<EntityType, EntitySettings>,
    pub(crate) audit: Vec<(&'static str, Option<EntityType>, String)>,
    portal: Option<String>,
    profile: Option<PortalProfile>,
    /// Each with the user whose webhook it was made with.
    probes: HashMap<EntityType, (EntityProbe, Option<i64>)>,
    unwidenable: HashSet<ColumnName>,
    refused: HashSet<i64>,
}

/// The store in memory. Leases do not run out by themselves: see [`FakeStore::expire_leases`].
#[derive(Default)]
pub struct FakeStore(Mutex<State>);

impl FakeStore {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics while it holds the lock")
    }

    /// Rows of an entity by id.
    pub fn rows(&self, entity: EntityType) -> BTreeMap<i64, FakeRow> {
        self.state().rows.iter().filter(|((of, _), _)| *of == entity).map(|((_, id), row)| (*id, row.clone())).collect()
    }

    /// Text of one cell; `None` when there is no such row, or NULL in it.
    pub fn cell(&self, entity: EntityType, id: i64, column: &str) -> Option<String> {
        self.state().rows.get(&(entity, id)).and_then(|row| row.get(column).cloned())
    }

    /// Sets the store's clock; only differences of its times are used.
    pub fn set_clock(&self, now: DateTime<Utc>) {
        self.state().clock = now;
    }

    /// Lets every lease run out.
    pub fn expire_leases(&self) {
        for lease in self.state().leases.values_mut() {
            lease.holder.clear();
        }
    }

    /// Makes the widening of this column fail.
    pub fn refuse_widening(&self, column: &str) {
        self.state().unwidenable.insert(ColumnName::existing(column));
    }

    /// Makes the database refuse the record with this id, as a constraint of the user's would.
    pub fn refuse_record(&self, id: i64) {
        self.state().refused.insert(id);
    }

    /// Applies one record as another process would that read it under this token.
    pub fn apply_as_another(&self, plan: &SchemaPlan, read: ReadToken, sample: crate::build::Sample<'_>) -> Commit {
        let mut state = self.state();
        let batch = crate::build::mapped(plan, read, &[sample]);
        let mut commit = Commit::default();
        state.apply(&batch.rows, &mut commit);
        commit
    }

    /// The watermark of an entity.
    pub fn watermark(&self, entity: EntityType) -> Option<DateTime<Utc>> {
        self.state().standings.get(&entity).map(|standing| standing.watermark)
    }
}

impl State {
    /// Remembers changes of fields where records are stored already.
    fn drift(&mut self, entity: EntityType, changes: &[FieldChange]) {
        if !self.items.keys().any(|(of, _)| *of == entity) {
            return;
        }
        for change in changes {
            let pending = PendingChange { change: change.clone(), cursor: Cursor::START, covered_by: None };
            self.pending.insert((entity, change.field.clone()), pending);
        }
        if changes.iter().any(|change| change.scope == RereadScope::Rewrite) {
            self.items.iter_mut().filter(|((of, _), _)| *of == entity).for_each(|(_, item)| item.hash = None);
        }
    }

    /// The run that somebody who opens this kind next gets, unless a new one must begin.
    fn unfinished(&self, entity: EntityType, kind: RunKind) -> Option<usize> {
        let waits = |row: &RunRow| {
            row.status == RunStatus::Queued
                || kind.is_resumable()
                    && !matches!(row.status, RunStatus::Completed | RunStatus::CompletedWithQuarantine)
        };
        self.runs.iter().rposition(|row| row.run.entity == entity && row.run.kind == kind && waits(row))
    }

    /// Queued runs whose work this one has done.
    fn serve_others(&mut self, run: &Run, status: RunStatus) {
        for row in &mut self.runs {
            let served = run.kind != row.run.kind && run.kind.serves(row.run.kind);
            if row.run.entity == run.entity && row.status == RunStatus::Queued && served {
                row.status = status;
                row.error = Some(format!("done by run {}", run.id));
            }
        }
    }

    pub(crate) fn holder_of(&self, entity: EntityType) -> Option<String> {
        let lease = self.leases.get(&Scope::Sync(entity))?;
        Some(lease.holder.clone()).filter(|holder| !holder.is_empty())
    }

    pub(crate) fn settings_of(&self, entity: EntityType) -> EntitySettings {
        self.settings.get(&entity).cloned().unwrap_or(EntitySettings {
            entity,
            enabled: true,
            sync_interval_minutes: 30,
            webhook_enabled: true,
            last_sync_at: None,
        })
    }

    pub(crate) fn is_held(&self, entity: EntityType) -> bool {
        self.leases.get(&Scope::Sync(entity)).is_some_and(|lease| !lease.holder.is_empty())
    }

    fn begin(&mut self, entity: EntityType, kind: RunKind, status: RunStatus) -> Run {
        let start = ReadToken(self.draw());
        let run = Run {
            id: RunId(i64::try_from(self.runs.len()).unwrap_or(i64::MAX) + 1),
            entity,
            kind,
            cursor: Cursor::START,
            start,
            source_start: None,
            processed: 0,
            quarantined: 0,
            resumed: false,
        };
        let started = self.clock;
        self.runs.push(RunRow::new(run.clone(), started, status));
        run
    }

    /// Records in quarantine of which nothing was ever stored.
    fn never_stored(&self, entity: EntityType) -> Vec<i64> {
        let known = |id: i64| self.items.get(&(entity, id)).is_some_and(|item| !item.deleted);
        self.quarantine.keys().filter(|(of, id)| *of == entity && !known(*id)).map(|(_, id)| *id).collect()
    }

    fn draw(&mut self) -> i64 {
        self.sequence += 1;
        self.sequence
    }

    fn fence(&self, lease: &Lease) -> Result<(), StoreError> {
        match self.leases.get(&lease.scope) {
            Some(held) if held.token == lease.token && !held.holder.is_empty() => Ok(()),
            _ => Err(StoreError::LeaseLost { scope: lease.scope.to_string() }),
        }
    }

    pub(crate) fn run(&mut self, run: RunId) -> Result<&mut RunRow, StoreError> {
        self.runs
            .iter_mut()
            .find(|row| row.run.id == run)
            .ok_or(StoreError::Inconsistent { table: "runs", column: "run_id" })
    }

    /// Whether a read may replace what is stored (the rule of CORRECTNESS 4.1).
    fn accepts(&self, key: (EntityType, i64), read: i64, modified: Option<DateTime<Utc>>) -> bool {
        let Some(stored) = self.items.get(&key) else { return true };
        let not_back = match (stored.modified, modified) {
            (Some(stored), Some(new)) => new >= stored,
            _ => true,
        };
        read > stored.read && (read > stored.write || (!stored.deleted && not_back))
    }

    fn stand(&mut self, run: &Run, started: DateTime<Utc>, watermark: DateTime<Utc>) {
        // Records that events named, or ids without content, say nothing of the others.
        if !run.kind.is_resumable() {
            return;
        }
        // Of live records only: a tombstone may be of an id that the portal has yet to give out.
        let live = self.items.iter().filter(|((of, _), item)| *of == run.entity && !item.deleted);
        let highest = live.map(|((_, id), _)| *id).max().unwrap_or(0);
        // The portal's time now, or later: when the ids that are known now were known at the latest.
        let known_at = run.source_start.unwrap_or(watermark) + (self.clock - started);
        let standing = self.standings.entry(run.entity).or_insert(FakeStanding {
            watermark,
            floor: highest,
            next_floor: (highest, known_at),
        });
        if run.kind == RunKind::Incremental {
            standing.watermark = standing.watermark.max(watermark);
        }
        if standing.next_floor.1 <= watermark {
            standing.floor = standing.next_floor.0;
            standing.next_floor = (highest, known_at);
        }
    }

    fn apply(&mut self, rows: &RowBatch, commit: &mut Commit) {
        for (position, id) in rows.ids.iter().enumerate() {
            let key = (rows.entity, id.get());
            let modified = rows.modified[position];
            if !self.accepts(key, rows.read.0, modified) {
                if self.items.get(&key).is_some_and(|stored| stored.read < rows.read.0) {
                    commit.contested.push(*id);
                }
                continue;
            }
            if self.refused.contains(&id.get()) {
                commit.refused.push(Rejection {
                    id: *id,
                    field: None,
                    reason: "refused by a constraint".to_owned(),
                    excerpt: None,
                });
                continue;
            }
            let hash = rows.hashes[position];
            let equal =
                self.items.get(&key).is_some_and(|stored| stored.hash == Some(hash)) && self.rows.contains_key(&key);
            let write = self.draw();
            let state = ItemState { read: rows.read.0, write, modified, hash: Some(hash), deleted: false };
            self.items.insert(key, state);
            self.quarantine.remove(&key);
            if equal {
                commit.unchanged += 1;
            } else {
                commit.written += 1;
                let row = rows
                    .columns
                    .iter()
                    .filter_map(|column| Some((column.name.as_str().to_owned(), cell(&column.data, position)?)));
                self.rows.entry(key).or_default().clear();
                self.rows.entry(key).or_default().extend(row);
            }
        }
    }
}

fn cell(data: &ColumnData, position: usize) -> Option<String> {
    match data {
        ColumnData::Texts(texts) => texts.iter().nth(position).flatten().map(str::to_owned),
        ColumnData::Integers(values) => values[position].map(|value| value.to_string()),
        ColumnData::Booleans(values) => values[position].map(|value| value.to_string()),
        ColumnData::Instants(values) => values[position].map(|value| value.to_rfc3339()),
        ColumnData::Dates(values) => values[position].map(|value| value.to_string()),
    }
}

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

    async fn commit(&self, batch: &MappedBatch, step: &Step, lease: &Lease) -> Result<Commit, StoreError> {
        let mut state = self.state();
        state.fence(lease)?;
        let mut commit = Commit::default();
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

#[async_trait]
impl PortalStore for FakeStore {
    async fn claim(&self, address: &str, moved: bool) -> Result<Claim, StoreError> {
        let mut state = self.state();
        match &state.portal {
            Some(known) if known != address && !moved => Ok(Claim::Another(known.clone())),
            _ => {
                state.portal = Some(address.to_owned());
                Ok(Claim::Ours)
            }
        }
    }

    async fn portal(&self) -> Result<Option<KnownPortal>, StoreError> {
        let state = self.state();
        let known = |address: &String| KnownPortal {
            address: address.clone(),
            profile: state.profile.clone(),
            checked_at: state.profile.as_ref().map(|_| DateTime::UNIX_EPOCH),
        };
        Ok(state.portal.as_ref().map(known))
    }

    async fn probe(&self, entity: EntityType) -> Result<Option<KeptProbe>, StoreError> {
        let state = self.state();
        let user = state.profile.as_ref().map(|profile| profile.user_id);
        Ok(state.probes.get(&entity).map(|(probe, of)| KeptProbe {
            probe: probe.clone(),
            checked_at: DateTime::UNIX_EPOCH,
            stale: *of != user,
        }))
    }

    async fn keep_profile(&self, profile: &PortalProfile) -> Result<(), StoreError> {
        self.state().profile = Some(profile.clone());
        Ok(())
    }

    async fn keep_probe(&self, probe: &EntityProbe) -> Result<(), StoreError> {
        let mut state = self.state();
        let user = state.profile.as_ref().map(|profile| profile.user_id);
        state.probes.insert(probe.entity, (probe.clone(), user));
        Ok(())
    }
}

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
            state.items.insert(key, ItemState { read: read.0, write, modified: None, hash: None, deleted: true });
            state.rows.remove(&key);
            state.quarantine.remove(&key);
            buried.push(*id);
        }
        Ok(buried)
    }
}

#[async_trait]
impl RunLog for FakeStore {
    async fn request(&self, entity: EntityType, kind: RunKind) -> Result<Requested, StoreError> {
        let mut state = self.state();
        let on = state.runs.iter().rev().find(|row| row.run.entity == entity && row.status == RunStatus::Running);
        if let Some(row) = on.filter(|row| state.is_held(entity) && row.run.kind.serves(kind)) {
            return Ok(Requested { run: row.run.id, coalesced: true });
        }
        if let Some(position) = state.unfinished(entity, kind) {
            let row = &mut state.runs[position];
            let coalesced = row.status == RunStatus::Queued;
            row.status = RunStatus::Queued;
            return Ok(Requested { run: row.run.id, coalesced });
        }
        Ok(Requested { run: state.begin(entity, kind, RunStatus::Queued).id, coalesced: false })
    }

    async fn withdraw(&self, run: RunId) -> Result<(), StoreError> {
        let mut state = self.state();
        if let Ok(row) = state.run(run)
            && row.status == RunStatus::Queued
        {
            row.status = RunStatus::Cancelled;
        }
        Ok(())
    }

    async fn remark(&self, run: RunId, remark: &str) -> Result<(), StoreError> {
        if let Ok(row) = self.state().run(run) {
            row.error = Some(remark.to_owned());
        }
        Ok(())
    }

    async fn find(&self, run: RunId) -> Result<Option<LoggedRun>, StoreError> {
        Ok(self.state().runs.iter().find(|row| row.run.id == run).map(logged))
    }

    async fn open(&self, entity: EntityType, kind: RunKind, lease: &Lease) -> Result<Run, StoreError> {
        let mut state = self.state();
        state.fence(lease)?;
        for row in &mut state.runs {
            if row.run.entity == entity && row.status == RunStatus::Running {
                row.status = RunStatus::Interrupted;
            }
        }
        if let Some(position) = state.unfinished(entity, kind) {
            let (started, begun) = (state.clock, ReadToken(state.draw()));
            let row = &mut state.runs[position];
            row.status = RunStatus::Running;
            row.error = None;
            row.cancel_requested = false;
            if !row.run.resumed {
                // It only waited so far: what was read meanwhile was not read by it.
                row.started = started;
                row.run.start = begun;
            }
            let run = row.run.clone();
            // The next process that goes on with it resumes it.
            row.run.resumed = true;
            return Ok(run);
        }
        let (started, begun) = (state.clock, ReadToken(state.draw()));
        if let Some(row) = state.runs.iter_mut().rev().find(|row| {
            row.run.entity == entity && row.status == RunStatus::Queued && !row.run.resumed && kind.serves(row.run.kind)
        }) {
            row.status = RunStatus::Running;
            row.run.kind = kind;
            row.run.start = begun;
            row.started = started;
            let run = row.run.clone();
            row.run.resumed = true;
            return Ok(run);
        }
        let run = state.begin(entity, kind, RunStatus::Running);
        if let Some(row) = state.runs.last_mut() {
            row.run.resumed = true;
        }
        Ok(run)
    }

    async fn rewind(&self, run: RunId, lease: &Lease) -> Result<ReadToken, StoreError> {
        let mut state = self.state();
        state.fence(lease)?;
        let start = ReadToken(state.draw());
        let row = state.run(run)?;
        row.run.cursor = Cursor::START;
        row.run.start = start;
        row.run.source_start = None;
        row.run.processed = 0;
        row.run.quarantined = 0;
        Ok(start)
    }

    async fn standing(&self, entity: EntityType) -> Result<Option<Standing>, StoreError> {
        Ok(self.state().standings.get(&entity).map(|standing| Standing {
            watermark: Watermark(standing.watermark),
            floor: Cursor::after(standing.floor),
        }))
    }

    async fn complete(&self, run: RunId, watermark: Watermark, lease: &Lease) -> Result<RunStatus, StoreError> {
        let mut state = self.state();
        state.fence(lease)?;
        let place = state.draw();
        let row = state.run(run)?;
        match row.status {
            RunStatus::Running => {}
            // The answer to an earlier attempt was lost.
            RunStatus::Completed | RunStatus::CompletedWithQuarantine => return Ok(row.status),
            RunStatus::Queued | RunStatus::Failed | RunStatus::Cancelled | RunStatus::Interrupted => {
                return Err(StoreError::LeaseLost { scope: lease.scope.to_string() });
            }
        }
        row.status = if row.run.quarantined == 0 { RunStatus::Completed } else { RunStatus::CompletedWithQuarantine };
        row.ended = place;
        let run = row.run.clone();
        let (status, started) = (row.status, row.started);
        state.serve_others(&run, status);
        if run.kind == RunKind::Full {
            state.pending.retain(|_, pending| pending.covered_by != Some(run.id));
        }
        state.stand(&run, started, watermark.0);
        Ok(status)
    }

    async fn end(&self, run: RunId, ending: &Ending, lease: &Lease) -> Result<(), StoreError> {
        let mut state = self.state();
        state.fence(lease)?;
        let place = state.draw();
        let row = state.run(run)?;
        if row.status != RunStatus::Running {
            // It has ended already: the answer to an earlier attempt was lost.
            return Ok(());
        }
        row.status = ending.status;
        row.ended = place;
        row.error.clone_from(&ending.error);
        Ok(())
    }

    async fn close_abandoned(&self) -> Result<u64, StoreError> {
        let mut state = self.state();
        let held: HashSet<EntityType> = EntityType::all().filter(|entity| state.is_held(*entity)).collect();
        let mut closed = 0;
        for row in &mut state.runs {
            if row.status == RunStatus::Running && !held.contains(&row.run.entity) {
                row.status = RunStatus::Interrupted;
                closed += 1;
            }
        }
        Ok(closed)
    }

    async fn recent(&self, limit: u32) -> Result<Vec<LoggedRun>, StoreError> {
        let state = self.state();
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(state.runs.iter().rev().take(limit).map(logged).collect())
    }
}

pub(crate) fn logged(row: &RunRow) -> LoggedRun {
    LoggedRun {
        id: row.run.id,
        entity: row.run.entity.key().to_owned(),
        kind: row.run.kind.as_str().to_owned(),
        status: row.status.as_str().to_owned(),
        processed: i64::try_from(row.run.processed).unwrap_or(i64::MAX),
        error: row.error.clone(),
        started_at: None,
        completed_at: None,
    }
}

#[async_trait]
impl LeaseStore for FakeStore {
    async fn acquire(&self, scope: Scope, holder: &str, _ttl: Duration) -> Result<Grant, StoreError> {
        let mut state = self.state();
        let lease = state.leases.entry(scope).or_insert_with(|| HeldLease { holder: String::new(), token: 0 });
        if !lease.holder.is_empty() && lease.holder != holder {
            return Ok(Grant::Held(HeldBy { holder: lease.holder.clone(), expires_at: DateTime::UNIX_EPOCH }));
        }
        holder.clone_into(&mut lease.holder);
        lease.token += 1;
        Ok(Grant::Granted(Lease { scope, token: lease.token }))
    }

    async fn take_over(
        &self,
        scope: Scope,
        holder: &str,
        gone: &HeldBy,
        _ttl: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        let mut state = self.state();
        let Some(lease) = state.leases.get_mut(&scope).filter(|lease| lease.holder == gone.holder) else {
            return Ok(None);
        };
        holder.clone_into(&mut lease.holder);
        lease.token += 1;
        Ok(Some(Lease { scope, token: lease.token }))
    }

    async fn renew(&self, lease: &Lease, _ttl: Duration) -> Result<(), StoreError> {
        self.state().fence(lease)
    }

    async fn holder(&self, scope: Scope) -> Result<Option<HeldBy>, StoreError> {
        let state = self.state();
        let held = state.leases.get(&scope).filter(|lease| !lease.holder.is_empty());
        Ok(held.map(|lease| HeldBy { holder: lease.holder.clone(), expires_at: DateTime::UNIX_EPOCH }))
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let mut state = self.state();
        if let Some(held) = state.leases.get_mut(&lease.scope).filter(|held| held.token == lease.token) {
            held.holder.clear();
        }
        Ok(())
    }
}

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
                last_run: state.runs.iter().rev().find(|row| row.run.entity == entity).map(logged),
                watermark: state.standings.get(&entity).map(|standing| standing.watermark),
            })
            .collect())
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

/// Ids in an order that tests can compare.
pub fn numbers(ids: &[RecordId]) -> Vec<i64> {
    ids.iter().map(|id| id.get()).collect()
}
