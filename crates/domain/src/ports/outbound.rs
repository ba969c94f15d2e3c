//! Ports that adapters implement and use cases call.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::control::{Actor, Cancelled, History, HistoryFilter, RunningSync};
use crate::appraisal::Appraisal;
use crate::entity::{EntityType, RecordId};
use crate::error::{SourceError, StoreError};
use crate::field::{FieldDescription, FieldName, FieldOption};
use crate::lease::{Grant, HeldBy, Lease, Scope};
use crate::mapping::ColumnName;
use crate::mapping::answer::AnswerHash;
use crate::mapping::rows::{MappedBatch, Rejection, RowBatch};
use crate::mapping::schema::{KnownTable, PendingChange, SchemaPlan};
use crate::portal::{EntityProbe, KeptProbe, KnownPortal, PortalProfile, Probed};
use crate::progress::{Cursor, TimeBound, Watermark, Window};
use crate::reconcile::Fingerprint;
use crate::record::{Layout, ReadToken, RecordBatch};
use crate::run::{Ending, Run, RunId, RunKind, RunStatus};
use crate::schedule::LastRun;
use crate::settings::{Changed, EntitySettings, SettingsChange};

/// What to list.
#[derive(Debug, Clone)]
pub struct ListQuery {
    /// Which entity.
    pub entity: EntityType,
    /// Which fields.
    pub layout: Arc<Layout>,
    /// Which records.
    pub window: Window,
    /// Records above this id only.
    pub cursor: Cursor,
}

/// What an incremental pass asks for first.
#[derive(Debug, Clone)]
pub struct NewsQuery {
    /// Which entity.
    pub entity: EntityType,
    /// Which fields.
    pub layout: Arc<Layout>,
    /// Records changed at or after this instant of the portal's clock, above this id.
    pub changed: (TimeBound, Cursor),
    /// Records above this id, whatever their times say.
    pub created: Cursor,
}

/// The first pages of the two listings of an incremental pass.
#[derive(Debug, Clone)]
pub struct News {
    /// Changed records; `exhausted` when there is none.
    pub changed: RecordBatch,
    /// New records; `exhausted` when there is none.
    pub created: RecordBatch,
}

/// Records asked for one by one at most in one request for evidence: 50 commands, one of them for the control record.
pub const MAX_EVIDENCE: usize = 49;

/// What reading records by their ids, one by one, said about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Drawn before the request was sent.
    pub read: ReadToken,
    /// Whether the control record was found: only then do the others' answers mean anything.
    pub control_found: bool,
    /// Records that are there.
    pub found: Vec<RecordId>,
    /// Records that the portal says it does not have.
    pub missing: Vec<RecordId>,
    /// Records that the user may not read: not deleted.
    pub denied: Vec<RecordId>,
}

/// Reads a Bitrix24 portal. Transient failures are retried inside; what comes out is final for the call.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait CrmSource: Send + Sync {
    /// The portal's host, and its port where it is not the usual one: what tells one portal from another without asking
    /// it. MUST NOT hold the webhook's code.
    fn address(&self) -> String;

    /// Whose webhook this is, what it may do, and the portal's clock.
    async fn profile(&self) -> Result<PortalProfile, SourceError>;

    /// Finds out how the portal understands listings of `entity`; changes nothing there. MUST report a way to write a
    /// bound only when it selected a known record from its own modified time on, and no longer from a second later on.
    async fn probe(&self, entity: EntityType) -> Result<Probed, SourceError>;

    /// Describes every field of `entity` that this source delivers, user fields included, by classic names.
    async fn fields(&self, entity: EntityType) -> Result<Vec<FieldDescription>, SourceError>;

    /// Reads records above the query's cursor, strictly ascending by id, as many as one request brings (at most 2,500:
    /// 50 commands of 50 records). MUST draw a token from `order` before every attempt and report the one of the attempt
    /// that succeeded. MUST set `exhausted` only when a valid empty page followed the last record. MUST NOT use
    /// anything that came after a short or faulty page of the same answer.
    async fn list(&self, query: &ListQuery, order: &Arc<dyn ReadOrder>) -> Result<RecordBatch, SourceError>;

    /// Reads the first page of each listing of an incremental pass, in one request: most passes find nothing, and cost
    /// no more than this. The same rules as for [`CrmSource::list`].
    async fn news(&self, query: &NewsQuery, order: &Arc<dyn ReadOrder>) -> Result<News, SourceError>;

    /// How many ids [`CrmSource::by_ids`] should be given at once, from 50 to 2,500: fewer where records are heavy, or where
    /// the portal did not bear more. May change with each read.
    fn ids_at_once(&self, entity: EntityType) -> usize;

    /// Reads the records with these ids, at most 2,500, ascending by id. A record that is missing from the answer is
    /// deleted or not readable: the caller MUST NOT take its absence as a proof of deletion.
    async fn by_ids(
        &self,
        entity: EntityType,
        layout: &Arc<Layout>,
        ids: &[RecordId],
        order: &Arc<dyn ReadOrder>,
    ) -> Result<RecordBatch, SourceError>;

    /// Reads each of these records, at most [`MAX_EVIDENCE`], and `control`, which is known to exist, by its id. MUST
    /// report a record as missing only when the portal says in so many words that it has none (Bitrix24 REST 9.5:
    /// "not found" is also what it says of a type that is gone, hence the control record).
    async fn evidence(
        &self,
        entity: EntityType,
        ids: &[RecordId],
        control: RecordId,
        order: &Arc<dyn ReadOrder>,
    ) -> Result<Evidence, SourceError>;

    /// What it takes to read all records of `entity` in `window`, found out with a few small requests; `None` when the
    /// portal does not say how many there are.
    async fn appraise(
        &self,
        entity: EntityType,
        layout: &Arc<Layout>,
        window: Window,
    ) -> Result<Option<Appraisal>, SourceError>;

    /// About how many records there are, for showing progress; `None` when the portal does not say.
    async fn count(&self, entity: EntityType) -> Result<Option<u64>, SourceError>;
}

/// Numbers reads of the portal, across all processes that share a database.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait ReadOrder: Send + Sync {
    /// A token greater than every one drawn before it, by anybody.
    async fn next(&self) -> Result<ReadToken, StoreError>;
}

/// Where a run stands once a batch is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which run.
    pub run: RunId,
    /// Its new cursor; `None` leaves it where it is.
    pub cursor: Option<Cursor>,
    /// The portal's time at the run's first page.
    pub source_start: DateTime<Utc>,
    /// Records that the run has processed with this step, all in all: a step that is repeated counts once.
    pub processed: u64,
}

/// What became of a committed batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commit {
    /// Rows inserted or changed.
    pub written: u64,
    /// Rows that were equal already.
    pub unchanged: u64,
    /// Records whose stored version may be newer than the one read, because the reads overlapped: read them again.
    pub contested: Vec<RecordId>,
    /// Records that only the database could refuse (constraints or triggers of the user's, sizes); in quarantine now.
    pub refused: Vec<Rejection>,
}

/// Keeps the replica tables.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait RecordStore: Send + Sync {
    /// What is known of the entity's table.
    async fn known_table(&self, entity: EntityType) -> Result<KnownTable, StoreError>;

    /// Brings the table and the data dictionary to `plan`; idempotent. MUST NOT drop, rename or narrow a column. Where
    /// records are stored already, remembers the plan's changes until [`DriftStore`] is told that they have reached all
    /// of them, and makes every row be written again for those that ask for it. Fails
    /// with [`StoreError::CannotWiden`] for the first column whose widening the database refuses, after everything else
    /// has been done.
    async fn ensure_table(&self, plan: &SchemaPlan) -> Result<(), StoreError>;

    /// Remembers that a column cannot be widened.
    async fn pin_column(&self, entity: EntityType, column: &ColumnName) -> Result<(), StoreError>;

    /// Makes the rows of these records be written again with the next read of them, whatever is remembered of their
    /// content.
    async fn forget(&self, entity: EntityType, ids: &[RecordId]) -> Result<(), StoreError>;

    /// The answers by which these records' rows were written last, as far as they are known and the rows are there. A
    /// store need not remember any; then no batch has records that are the same.
    async fn answers(&self, entity: EntityType, ids: &[RecordId]) -> Result<HashMap<RecordId, AnswerHash>, StoreError> {
        let _ = (entity, ids);
        Ok(HashMap::new())
    }

    /// Upserts `batch`, puts its rejections into quarantine, takes stored records out of it, and records the run's
    /// progress: all in one transaction; idempotent. MUST keep a row that comes from a later read. MUST NOT write a row
    /// whose content is equal. Of the records that are said to be the [`same`](MappedBatch::same) remembers that this read
    /// has seen them; one whose row was written by another answer meanwhile MUST count as contested, unless a later read
    /// wrote it. MUST fail with [`StoreError::LeaseLost`] on a stale lease.
    async fn commit(&self, batch: &MappedBatch, step: &Step, lease: &Lease) -> Result<Commit, StoreError>;
}

/// Remembers changes of fields until they have reached the records that were stored before.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait DriftStore: Send + Sync {
    /// Changes that have not reached all stored records yet, by field.
    async fn pending(&self, entity: EntityType) -> Result<Vec<PendingChange>, StoreError>;

    /// A full run that is at its start reads every record with the fields as they are now: once it is complete, the
    /// changes that are pending now have reached all of them. MUST fail with [`StoreError::LeaseLost`] on a stale lease.
    async fn cover(&self, entity: EntityType, run: RunId, lease: &Lease) -> Result<(), StoreError>;

    /// Records up to the cursor have been read again for the sake of these fields; `None`: all have, and the changes are
    /// forgotten. MUST fail with [`StoreError::LeaseLost`] on a stale lease.
    async fn advance(
        &self,
        entity: EntityType,
        fields: &[FieldName],
        cursor: Option<Cursor>,
        lease: &Lease,
    ) -> Result<(), StoreError>;
}

/// Takes deleted records out of the replica.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait DeletionStore: Send + Sync {
    /// Live records that no read since `since` has seen, above `after`, ascending by id; rows of an adopted table that
    /// were never read, and records in quarantine that were never stored, are among them.
    async fn unseen(
        &self,
        entity: EntityType,
        since: ReadToken,
        after: Cursor,
        limit: u32,
    ) -> Result<Vec<RecordId>, StoreError>;

    /// Live records above `after` and up to `up_to`, or all above `after`, ascending by id, and whether the table has their
    /// row; records in quarantine that were never stored among them, rows that were never read not.
    async fn live_ids(
        &self,
        entity: EntityType,
        after: Cursor,
        up_to: Option<Cursor>,
    ) -> Result<Vec<(RecordId, bool)>, StoreError>;

    /// Live records that reads since `since` have seen, the one that was seen last first; at most `limit`. Those of which an
    /// event in the inbox says that they are gone come after all others.
    async fn controls(&self, entity: EntityType, since: ReadToken, limit: u32) -> Result<Vec<RecordId>, StoreError>;

    /// How many live records there are.
    async fn live(&self, entity: EntityType) -> Result<u64, StoreError>;

    /// Leaves tombstones for these records and deletes their rows, in one transaction. Returns those that were buried:
    /// MUST leave out a record whose stored version was written after `read` was drawn, and one whose row the database
    /// does not let go: that one is put into quarantine. MUST fail with
    /// [`StoreError::LeaseLost`] on a stale lease.
    async fn bury(
        &self,
        entity: EntityType,
        ids: &[RecordId],
        read: ReadToken,
        lease: &Lease,
    ) -> Result<Vec<RecordId>, StoreError>;
}

/// What came of the claim that a replica belongs to a portal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// It does, from now on if not before.
    Ours,
    /// It belongs to the portal with this address.
    Another(String),
}

/// Remembers the portal behind the replica, and how it understands what it is asked.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait PortalStore: Send + Sync {
    /// Claims the replica for the portal with this address: granted when it has none yet, or this one. With `moved`, the
    /// portal that it had is known to have this address now.
    async fn claim(&self, address: &str, moved: bool) -> Result<Claim, StoreError>;

    /// The portal that the replica belongs to; `None` before its first sync.
    async fn portal(&self) -> Result<Option<KnownPortal>, StoreError>;

    /// The last probe of an entity.
    async fn probe(&self, entity: EntityType) -> Result<Option<KeptProbe>, StoreError>;

    /// Keeps what was found out about the user behind the webhook.
    async fn keep_profile(&self, profile: &PortalProfile) -> Result<(), StoreError>;

    /// Keeps a probe, as made by the user whose profile was kept last.
    async fn keep_probe(&self, probe: &EntityProbe) -> Result<(), StoreError>;
}

/// A row of the run log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedRun {
    /// Its number.
    pub id: RunId,
    /// Its entity, as written in the log; logs may name entities that this version does not know.
    pub entity: String,
    /// What it did, as written in the log.
    pub kind: String,
    /// How it stands, as written in the log.
    pub status: String,
    /// Records processed.
    pub processed: i64,
    /// What went wrong.
    pub error: Option<String>,
    /// When it began.
    pub started_at: Option<DateTime<Utc>>,
    /// When it ended.
    pub completed_at: Option<DateTime<Utc>>,
}

/// How far an entity's replica is known to be complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Portal time up to which all changes are applied.
    pub watermark: Watermark,
    /// Ids up to this one were known a while before the watermark's pass: new records are looked for above it.
    pub floor: Cursor,
}

/// Answer to the wish for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Requested {
    /// The run that fulfils the wish.
    pub run: RunId,
    /// Whether somebody had wished for it before, or is at it.
    pub coalesced: bool,
}

/// Remembers runs: `sync_logs` and the state that a run needs to go on.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait RunLog: Send + Sync {
    /// Asks for a run: whoever opens a run of this kind next gets it. Wishes coalesce: while a run that
    /// [serves](RunKind::serves) the kind is on, or one of the kind is queued, the answer names that one. An unfinished run
    /// that can be resumed is queued again under its number.
    async fn request(&self, entity: EntityType, kind: RunKind) -> Result<Requested, StoreError>;

    /// Takes a wish back that nobody has begun to fulfil; harmless otherwise.
    async fn withdraw(&self, run: RunId) -> Result<(), StoreError>;

    /// Leaves a remark in the log on a run that is on, for whoever reads how it ended.
    async fn remark(&self, run: RunId, remark: &str) -> Result<(), StoreError>;

    /// A run by its number.
    async fn find(&self, run: RunId) -> Result<Option<LoggedRun>, StoreError>;

    /// Opens the entity's queued run of this kind, or resumes its unfinished run of this kind if it is younger than 24
    /// hours, else begins a new one; a run that cannot be resumed always begins anew. Other runs that are marked as running are closed as interrupted; one of another
    /// kind can still be resumed. MUST fail with
    /// [`StoreError::LeaseLost`] on a stale lease.
    async fn open(&self, entity: EntityType, kind: RunKind, lease: &Lease) -> Result<Run, StoreError>;

    /// Moves the run's cursor back to the start and draws a new start token, because the table got columns that records
    /// already read do not fill.
    async fn rewind(&self, run: RunId, lease: &Lease) -> Result<ReadToken, StoreError>;

    /// How far the entity is complete; `None` before its first complete pass.
    async fn standing(&self, entity: EntityType) -> Result<Option<Standing>, StoreError>;

    /// Ends a run whose listings are complete: its status, `sync_state`, and the standing, in one transaction. A full
    /// run sets the watermark only where there is none; an incremental one moves it, and only forward; others leave it. A
    /// full run forgets the field changes that it [covers](DriftStore::cover). Returns the
    /// status: completed, with or without quarantine.
    async fn complete(&self, run: RunId, watermark: Watermark, lease: &Lease) -> Result<RunStatus, StoreError>;

    /// Ends a run that did not complete.
    async fn end(&self, run: RunId, ending: &Ending, lease: &Lease) -> Result<(), StoreError>;

    /// Closes runs that are marked as running although nobody holds their lease any more: as interrupted, or as cancelled
    /// where that was asked of them. Those that can be gone on with are [waiting](RunBoard::waiting) all the same, until
    /// another run of their entity is opened or somebody cancels them. Returns how many.
    async fn close_abandoned(&self) -> Result<u64, StoreError>;

    /// The last runs, newest first.
    async fn recent(&self, limit: u32) -> Result<Vec<LoggedRun>, StoreError>;
}

/// What an owner tells of its run, and what others ask of it.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait RunBoard: Send + Sync {
    /// Notes what a run is at, and about how many records there are if that is known now. For people only: MUST NOT fail a
    /// run, and needs no lease.
    async fn note(&self, run: RunId, step: &'static str, expected: Option<u64>) -> Result<(), StoreError>;

    /// Asks the entity's run that is on to stop, or takes back what is queued or to be gone on with.
    async fn cancel(&self, entity: EntityType) -> Result<Cancelled, StoreError>;

    /// Whether somebody asked this run to stop.
    async fn is_cancelled(&self, run: RunId) -> Result<bool, StoreError>;

    /// Runs that are on or queued, in the catalogue's order, the one that is on first.
    async fn running(&self) -> Result<Vec<RunningSync>, StoreError>;

    /// Runs that were queued before or are to be gone on with because the process that was at them is gone, oldest
    /// first. Those of the gone are queued again on the way, also where the log says already that they were interrupted.
    async fn waiting(&self) -> Result<Vec<(EntityType, RunKind)>, StoreError>;

    /// When each kind of run of each entity was begun or asked for last, and the time now, both by the store's clock.
    async fn last_runs(&self) -> Result<(DateTime<Utc>, Vec<LastRun>), StoreError>;

    /// A part of the run log.
    async fn history(&self, filter: &HistoryFilter) -> Result<History, StoreError>;

    /// Runs that ended after the one with this number in the order of their ends, oldest first, each with its place in
    /// that order; with `None` just the newest one.
    async fn ended_since(&self, place: Option<i64>) -> Result<Vec<(i64, LoggedRun)>, StoreError>;
}

/// Keeps what an operator may set, and who did what.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SettingsStore: Send + Sync {
    /// Settings of every entity, in the catalogue's order.
    async fn settings(&self) -> Result<Vec<EntitySettings>, StoreError>;

    /// Changes settings and remembers who changed what, in one transaction. What is so already is not written, and not
    /// remembered.
    async fn change(&self, change: &SettingsChange, actor: &Actor) -> Result<Changed, StoreError>;

    /// Remembers who did something.
    async fn audit(&self, action: &'static str, entity: Option<EntityType>, actor: &Actor) -> Result<(), StoreError>;
}

/// Hands out leases. Only the database's clock counts.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait LeaseStore: Send + Sync {
    /// Takes a lease that nobody holds, or whose time is over.
    async fn acquire(&self, scope: Scope, holder: &str, ttl: Duration) -> Result<Grant, StoreError>;

    /// Takes a lease from a holder that is known to be gone, before its time is over. `None` when the lease has changed
    /// hands since `gone` was seen.
    async fn take_over(
        &self,
        scope: Scope,
        holder: &str,
        gone: &HeldBy,
        ttl: Duration,
    ) -> Result<Option<Lease>, StoreError>;

    /// Prolongs a lease. Fails with [`StoreError::LeaseLost`] when it is not ours any more.
    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<(), StoreError>;

    /// Gives a lease back; harmless when it is not ours any more.
    async fn release(&self, lease: &Lease) -> Result<(), StoreError>;

    /// Who has a lease now.
    async fn holder(&self, scope: Scope) -> Result<Option<HeldBy>, StoreError>;

    /// Who has leases of these scopes now; scopes that nobody holds are left out.
    async fn holders(&self, scopes: &[Scope]) -> Result<Vec<(Scope, HeldBy)>, StoreError> {
        let mut held = Vec::new();
        for scope in scopes {
            held.extend(self.holder(*scope).await?.map(|holder| (*scope, holder)));
        }
        Ok(held)
    }
}

/// A field of the data dictionary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownField {
    /// The field.
    pub field: FieldName,
    /// Its column; `None` when its values are in the overflow column.
    pub column: Option<ColumnName>,
    /// Column of its currency, for amounts.
    pub currency: Option<ColumnName>,
    /// Its type as the portal calls it.
    pub bitrix_type: String,
    /// Its column's type as PostgreSQL calls it.
    pub column_type: Option<String>,
    /// Whether a value is a list.
    pub multiple: bool,
    /// What people call it.
    pub label: Option<String>,
    /// Its options, for lists to choose from.
    pub options: Vec<FieldOption>,
    /// When it was first seen.
    pub first_seen: DateTime<Utc>,
    /// When it was last seen.
    pub last_seen: DateTime<Utc>,
    /// Whether the portal does not have it any more; the column and its values stay.
    pub retired: bool,
    /// Whether its change has still to reach records that were stored before.
    pub pending: bool,
}

/// Shows what a replica table is and what would become of it. Changes nothing.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SchemaStore: Send + Sync {
    /// The data dictionary of an entity, by field; empty before its first sync.
    async fn dictionary(&self, entity: EntityType) -> Result<Vec<KnownField>, StoreError>;

    /// The statements that would bring the table to `plan`, as text; none when there is nothing to change.
    async fn statements(&self, plan: &SchemaPlan) -> Result<Vec<String>, StoreError>;
}

/// A record in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Its entity.
    pub entity: EntityType,
    /// Which record, and why.
    pub rejection: Rejection,
    /// When it was first refused.
    pub first_seen: DateTime<Utc>,
    /// When it was last refused.
    pub last_seen: DateTime<Utc>,
}

/// How an entity's replica stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityOverview {
    /// The entity.
    pub entity: EntityType,
    /// Its settings.
    pub settings: EntitySettings,
    /// Rows of the table, of a large one as they were some seconds ago; `None` when there is no table yet.
    pub rows: Option<i64>,
    /// Records in quarantine.
    pub quarantined: i64,
    /// The run that is on or to be gone on with, else its last one.
    pub last_run: Option<LoggedRun>,
    /// Portal time up to which it is complete.
    pub watermark: Option<DateTime<Utc>>,
    /// How long ago that is, by the store's clock.
    pub lag: Option<Duration>,
    /// How long ago the newest change was made that was applied, by the store's clock and as of the last run.
    pub newest_change_age: Option<Duration>,
    /// What the last comparison with the portal found.
    pub drift: Option<Drift>,
}

/// What a complete comparison of portal and replica found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drift {
    /// Records that the table lacks.
    pub missing: u64,
    /// Rows that the portal does not show.
    pub extra: u64,
    /// Records whose content differs, or whose rows somebody changed.
    pub different: u64,
    /// When, by the store's clock.
    pub at: DateTime<Utc>,
}

/// Answers questions about the replica.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait StatusStore: Send + Sync {
    /// How every entity stands, in the catalogue's order.
    async fn overview(&self) -> Result<Vec<EntityOverview>, StoreError>;

    /// Entities that have a replica table, in the catalogue's order.
    async fn tables(&self) -> Result<Vec<EntityType>, StoreError>;

    /// Records in quarantine, of one entity or of all, oldest first.
    async fn quarantine(&self, entity: Option<EntityType>, limit: u32) -> Result<Vec<Quarantined>, StoreError>;

    /// Remembers what a complete comparison found: records missing, extra, and different.
    async fn keep_drift(&self, entity: EntityType, missing: u64, extra: u64, different: u64) -> Result<(), StoreError>;

    /// Of these rows, those that the table has with other content. Rows that it does not have do not count.
    async fn differing(&self, rows: &RowBatch) -> Result<Vec<RecordId>, StoreError>;

    /// What the replica has of the records above `after` and up to `up_to`, or of all above `after`, ascending by id; at
    /// most `limit` of them. Rows that were never read by this program are among them, with an unknown hash.
    async fn fingerprints(
        &self,
        entity: EntityType,
        after: Cursor,
        up_to: Option<Cursor>,
        limit: u32,
    ) -> Result<Vec<Fingerprint>, StoreError>;
}

/// Tells the time.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait Clock: Send + Sync {
    /// Now, by this machine's clock. Compared with the portal's or the database's by the self-test only.
    fn now(&self) -> DateTime<Utc>;
}

/// Knows this process among others, so that a lease of a process that is gone need not run out.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait Instances: Send + Sync {
    /// Identity of this process.
    fn me(&self) -> String;

    /// Whether the process with this identity is certainly gone. `false` when in doubt.
    fn is_gone(&self, holder: &str) -> bool;
}

/// What happens in a run, for people who watch it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEvent {
    /// It began, or went on.
    Started {
        /// The run as it starts.
        run: Run,
        /// About how many records there are.
        expected: Option<u64>,
    },
    /// It committed something.
    Advanced {
        /// Records processed so far.
        processed: u64,
        /// Records in quarantine so far.
        quarantined: u64,
    },
    /// It ended.
    Ended {
        /// How.
        status: RunStatus,
    },
}

/// Watches a run.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait RunObserver: Send + Sync {
    /// Something happened. MUST return at once.
    fn on(&self, event: &RunEvent);
}
