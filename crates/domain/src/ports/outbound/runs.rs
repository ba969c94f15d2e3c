//! Runs and leases: who is at what, and how it ended.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::super::control::{Cancelled, History, HistoryFilter, RunningSync};
use crate::entity::EntityType;
use crate::error::StoreError;
use crate::lease::{Grant, HeldBy, Lease, Scope};
use crate::progress::{Cursor, Watermark};
use crate::record::ReadToken;
use crate::run::{Ending, Run, RunId, RunKind, RunStatus};
use crate::schedule::LastRun;

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

    /// The same, but for a run that reads nothing before this call: one that is on, or that was, may have read what the wish
    /// is about before it changed. It coalesces with a queued one that nobody has begun.
    async fn request_anew(&self, entity: EntityType, kind: RunKind) -> Result<Requested, StoreError>;

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

    /// Ends a run whose listings are complete: its status, `sync_state`, and the standing, in one transaction. Queued runs
    /// that it [serves](RunKind::serves) end with it if they were wished for before it was opened
    /// for the first time. A full
    /// run sets the watermark only where there is none; an incremental one moves it, and only forward; others leave it. A
    /// full run forgets the field changes that it [covers](super::DriftStore::cover). Returns the
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
