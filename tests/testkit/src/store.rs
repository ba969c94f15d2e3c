//! Every store port in memory, with the rules of the real store: read order, fencing, one run at a time.

mod application;
mod board;
mod deletions;
mod inbox;
mod leases;
mod portal;
mod records;
mod runs;
mod status;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};

use self::inbox::FakeInbox;
use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::error::StoreError;
use b24sync_domain::field::FieldName;
use b24sync_domain::lease::{Lease, Scope};
use b24sync_domain::mapping::ColumnName;
use b24sync_domain::mapping::answer::AnswerHash;
use b24sync_domain::mapping::cells::ColumnData;
use b24sync_domain::mapping::rows::{ContentHash, Rejection, RowBatch};
use b24sync_domain::mapping::schema::{FieldChange, KnownTable, PendingChange, RereadScope, SchemaPlan};
use b24sync_domain::portal::{EntityProbe, PortalProfile};
use b24sync_domain::ports::{Commit, Drift, LoggedRun};
use b24sync_domain::progress::Cursor;
use b24sync_domain::record::ReadToken;
use b24sync_domain::run::{Run, RunId, RunKind, RunStatus};
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
    answer: Option<AnswerHash>,
    deleted: bool,
}

#[derive(Debug, Clone)]
struct HeldLease {
    holder: String,
    token: i64,
}

#[derive(Debug, Clone)]
struct RunRow {
    run: Run,
    /// By the store's clock.
    started: DateTime<Utc>,
    status: RunStatus,
    error: Option<String>,
    step: &'static str,
    expected: Option<u64>,
    cancel_requested: bool,
    /// Whether it was closed because its process is gone, and is to be gone on with.
    abandoned: bool,
    /// Place in the order of ends; 0 while it has not ended.
    ended: i64,
    /// Place in the same order of when it was wished for last, and of when it was opened first.
    wished: i64,
    opened: i64,
}

impl RunRow {
    fn new(run: Run, started: DateTime<Utc>, status: RunStatus) -> RunRow {
        RunRow {
            run,
            started,
            status,
            error: None,
            step: "",
            expected: None,
            cancel_requested: false,
            abandoned: false,
            ended: 0,
            wished: 0,
            opened: 0,
        }
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
struct State {
    sequence: i64,
    clock: DateTime<Utc>,
    tables: HashMap<EntityType, KnownTable>,
    rows: BTreeMap<(EntityType, i64), FakeRow>,
    items: HashMap<(EntityType, i64), ItemState>,
    leases: HashMap<Scope, HeldLease>,
    runs: Vec<RunRow>,
    quarantine: BTreeMap<(EntityType, i64), Rejection>,
    /// The read that put a record into quarantine.
    refused_by: HashMap<(EntityType, i64), i64>,
    standings: HashMap<EntityType, FakeStanding>,
    drifts: HashMap<EntityType, Drift>,
    pending: BTreeMap<(EntityType, FieldName), PendingChange>,
    settings: HashMap<EntityType, EntitySettings>,
    inbox: FakeInbox,
    audit: Vec<(&'static str, Option<EntityType>, String)>,
    vault: (i64, Option<Vec<u8>>),
    handler: Option<String>,
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
    fn state(&self) -> MutexGuard<'_, State> {
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

    /// Lets one lease run out.
    pub fn expire_lease(&self, scope: Scope) {
        if let Some(lease) = self.state().leases.get_mut(&scope) {
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
            let never_begun = row.status == RunStatus::Cancelled && !row.run.resumed;
            row.status == RunStatus::Queued
                || kind.is_resumable()
                    && !matches!(row.status, RunStatus::Completed | RunStatus::CompletedWithQuarantine)
                    && !never_begun
        };
        self.runs.iter().rposition(|row| row.run.entity == entity && row.run.kind == kind && waits(row))
    }

    /// The run of an entity that is on or to be gone on with, else the pass that ended last, if one did.
    fn last_run(&self, entity: EntityType) -> Option<&RunRow> {
        let on = |row: &&RunRow| {
            let queued_again = row.status == RunStatus::Queued && row.run.resumed;
            row.run.kind != RunKind::Webhook && (row.status == RunStatus::Running || row.abandoned || queued_again)
        };
        let of_entity = || self.runs.iter().filter(|row| row.run.entity == entity);
        let ended = of_entity().filter(|row| row.run.kind != RunKind::Webhook && row.run.resumed && row.ended > 0);
        of_entity().find(on).or_else(|| ended.max_by_key(|row| row.ended)).or_else(|| of_entity().next_back())
    }

    /// Queued runs whose work this one has done.
    fn serve_others(&mut self, run: &Run, status: RunStatus) {
        let opened = self.run(run.id).map_or(0, |row| row.opened);
        for row in &mut self.runs {
            let served = run.kind != row.run.kind && run.kind.serves(row.run.kind) && row.wished < opened;
            if row.run.entity == run.entity && row.status == RunStatus::Queued && served {
                row.status = status;
                row.error = Some(format!("done by run {}", run.id));
            }
        }
    }

    fn holder_of(&self, run: &Run) -> Option<String> {
        let lease = self.leases.get(&Scope::of(run.entity, run.kind))?;
        Some(lease.holder.clone()).filter(|holder| !holder.is_empty())
    }

    fn settings_of(&self, entity: EntityType) -> EntitySettings {
        self.settings.get(&entity).cloned().unwrap_or(EntitySettings {
            entity,
            enabled: true,
            sync_interval_minutes: 30,
            webhook_enabled: true,
            last_sync_at: None,
        })
    }

    fn is_held(&self, scope: Scope) -> bool {
        self.leases.get(&scope).is_some_and(|lease| !lease.holder.is_empty())
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
        let mut row = RunRow::new(run.clone(), self.clock, status);
        row.wished = self.draw();
        row.opened = if status == RunStatus::Running { row.wished } else { 0 };
        self.runs.push(row);
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

    fn run(&mut self, run: RunId) -> Result<&mut RunRow, StoreError> {
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

    /// The answer by which a record's row was written, where the row is there.
    fn answer(&self, key: (EntityType, i64)) -> Option<AnswerHash> {
        let item = self.items.get(&key).filter(|item| !item.deleted && item.hash.is_some())?;
        item.answer.filter(|_| self.rows.contains_key(&key))
    }

    /// Remembers that a read has seen a record whose answer is said to be the known one.
    fn see(&mut self, key: (EntityType, i64), read: ReadToken, answer: AnswerHash, commit: &mut Commit) {
        let Some(id) = RecordId::new(key.1) else { return };
        let same = self.answer(key) == Some(answer);
        let write = self.draw();
        match self.items.get_mut(&key) {
            Some(item) if item.read >= read.0 => {}
            Some(item) if same => {
                (item.read, item.write) = (read.0, write);
                self.quarantine.remove(&key);
                commit.unchanged += 1;
            }
            _ => commit.contested.push(id),
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
            let answer = Some(rows.answers[position]);
            let state = ItemState { read: rows.read.0, write, modified, hash: Some(hash), answer, deleted: false };
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

fn logged(row: &RunRow) -> LoggedRun {
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

/// Ids in an order that tests can compare.
pub fn numbers(ids: &[RecordId]) -> Vec<i64> {
    ids.iter().map(|id| id.get()).collect()
}
