//! What the engine remembers besides records: leases, runs, how far each entity is complete, and the portal. For one
//! process: leases never run out, and a run that did not end is begun anew.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use b24sync_domain::entity::EntityType;
use b24sync_domain::error::StoreError;
use b24sync_domain::lease::{Grant, HeldBy, Lease, Scope};
use b24sync_domain::portal::{EntityProbe, KeptProbe, KnownPortal, PortalProfile};
use b24sync_domain::ports::{
    Cancelled, Claim, History, HistoryFilter, Instances, LeaseStore, LoggedRun, PortalStore, Requested, RunBoard,
    RunEvent, RunLog, RunObserver, RunningSync, Standing, Step,
};
use b24sync_domain::progress::{Cursor, Watermark};
use b24sync_domain::record::ReadToken;
use b24sync_domain::run::{Ending, Run, RunId, RunKind, RunStatus};
use b24sync_domain::schedule::LastRun;
use chrono::{DateTime, TimeDelta, Utc};

use crate::documents::{Documents, State};

struct HeldLease {
    /// `None`: it was given back.
    holder: Option<String>,
    token: i64,
}

struct RunRow {
    run: Run,
    status: RunStatus,
    error: Option<String>,
    opened: Instant,
    cancel_requested: bool,
}

/// How far an entity is complete; the floor follows the ids that are known one pass behind.
struct Progress {
    standing: Standing,
    next_floor: (Cursor, DateTime<Utc>),
}

#[derive(Default)]
pub(crate) struct Control {
    leases: HashMap<Scope, HeldLease>,
    runs: Vec<RunRow>,
    progress: HashMap<EntityType, Progress>,
    portal: Option<KnownPortal>,
    probes: HashMap<EntityType, EntityProbe>,
}

impl Control {
    /// Refuses whoever lost the lease meanwhile.
    pub(crate) fn fence(&self, lease: &Lease) -> Result<(), StoreError> {
        match self.leases.get(&lease.scope) {
            Some(held) if held.token == lease.token && held.holder.is_some() => Ok(()),
            _ => Err(StoreError::LeaseLost { scope: lease.scope.to_string() }),
        }
    }

    /// The run has come this far.
    pub(crate) fn advance(&mut self, step: &Step, quarantined: u64) -> Result<(), StoreError> {
        let run = &mut self.row(step.run)?.run;
        run.cursor = step.cursor.map_or(run.cursor, |cursor| run.cursor.max(cursor));
        run.source_start.get_or_insert(step.source_start);
        run.processed = run.processed.max(step.processed);
        run.quarantined += quarantined;
        Ok(())
    }

    fn row(&mut self, run: RunId) -> Result<&mut RunRow, StoreError> {
        let found = self.runs.iter_mut().find(|row| row.run.id == run);
        found.ok_or(StoreError::Inconsistent { table: "runs", column: "id" })
    }
}

impl State {
    fn begin(&mut self, entity: EntityType, kind: RunKind) -> Run {
        let run = Run {
            id: RunId(i64::try_from(self.control.runs.len()).unwrap_or(i64::MAX) + 1),
            entity,
            kind,
            cursor: Cursor::START,
            start: ReadToken(self.draw()),
            source_start: None,
            processed: 0,
            quarantined: 0,
            resumed: false,
        };
        let (status, opened) = (RunStatus::Running, Instant::now());
        self.control.runs.push(RunRow { run: run.clone(), status, error: None, opened, cancel_requested: false });
        run
    }

    /// A complete pass moves the watermark, and only forward; the floor lags behind, for imports may commit late.
    fn stand(&mut self, run: &Run, elapsed: Duration, watermark: Watermark) {
        if !run.kind.is_resumable() {
            return;
        }
        let highest = Cursor::after(self.highest(run.entity));
        let elapsed = TimeDelta::from_std(elapsed).unwrap_or_default();
        let known_at = run.source_start.unwrap_or(watermark.0) + elapsed;
        let first = Progress { standing: Standing { watermark, floor: highest }, next_floor: (highest, known_at) };
        let progress = self.control.progress.entry(run.entity).or_insert(first);
        if run.kind == RunKind::Incremental {
            progress.standing.watermark = progress.standing.watermark.max(watermark);
        }
        if progress.next_floor.1 <= watermark.0 {
            progress.standing.floor = progress.next_floor.0;
            progress.next_floor = (highest, known_at);
        }
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

#[async_trait]
impl LeaseStore for Documents {
    async fn acquire(&self, scope: Scope, holder: &str, _ttl: Duration) -> Result<Grant, StoreError> {
        let mut state = self.state();
        let lease = state.control.leases.entry(scope).or_insert(HeldLease { holder: None, token: 0 });
        if let Some(holder) = &lease.holder {
            let never = DateTime::<Utc>::MAX_UTC;
            return Ok(Grant::Held(HeldBy { holder: holder.clone(), expires_at: never }));
        }
        lease.holder = Some(holder.to_owned());
        lease.token += 1;
        Ok(Grant::Granted(Lease { scope, token: lease.token }))
    }

    async fn take_over(
        &self,
        _scope: Scope,
        _holder: &str,
        _gone: &HeldBy,
        _ttl: Duration,
    ) -> Result<Option<Lease>, StoreError> {
        Ok(None)
    }

    async fn renew(&self, lease: &Lease, _ttl: Duration) -> Result<(), StoreError> {
        self.state().control.fence(lease)
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let mut state = self.state();
        if let Some(held) = state.control.leases.get_mut(&lease.scope).filter(|held| held.token == lease.token) {
            held.holder = None;
        }
        Ok(())
    }

    async fn holder(&self, scope: Scope) -> Result<Option<HeldBy>, StoreError> {
        let state = self.state();
        let holder = state.control.leases.get(&scope).and_then(|held| held.holder.clone());
        Ok(holder.map(|holder| HeldBy { holder, expires_at: DateTime::<Utc>::MAX_UTC }))
    }
}

#[async_trait]
impl RunLog for Documents {
    // Wishes are for processes that share a store; here whoever wants a sync does it.
    async fn request(&self, entity: EntityType, kind: RunKind) -> Result<Requested, StoreError> {
        let mut state = self.state();
        let run = state.begin(entity, kind);
        state.control.row(run.id)?.status = RunStatus::Queued;
        Ok(Requested { run: run.id, coalesced: false })
    }

    async fn request_anew(&self, entity: EntityType, kind: RunKind) -> Result<Requested, StoreError> {
        self.request(entity, kind).await
    }

    async fn withdraw(&self, run: RunId) -> Result<(), StoreError> {
        let mut state = self.state();
        let row = state.control.row(run)?;
        if row.status == RunStatus::Queued {
            row.status = RunStatus::Cancelled;
        }
        Ok(())
    }

    async fn remark(&self, run: RunId, remark: &str) -> Result<(), StoreError> {
        self.state().control.row(run)?.error = Some(remark.to_owned());
        Ok(())
    }

    async fn find(&self, run: RunId) -> Result<Option<LoggedRun>, StoreError> {
        Ok(self.state().control.runs.iter().find(|row| row.run.id == run).map(logged))
    }

    async fn open(&self, entity: EntityType, kind: RunKind, lease: &Lease) -> Result<Run, StoreError> {
        let mut state = self.state();
        state.control.fence(lease)?;
        let start = ReadToken(state.draw());
        let queued =
            |row: &&mut RunRow| row.run.entity == entity && row.run.kind == kind && row.status == RunStatus::Queued;
        if let Some(row) = state.control.runs.iter_mut().find(queued) {
            row.status = RunStatus::Running;
            // What was read while it only waited was not read by it.
            row.run.start = start;
            row.opened = Instant::now();
            return Ok(row.run.clone());
        }
        Ok(state.begin(entity, kind))
    }

    async fn rewind(&self, run: RunId, lease: &Lease) -> Result<ReadToken, StoreError> {
        let mut state = self.state();
        state.control.fence(lease)?;
        let start = ReadToken(state.draw());
        let run = &mut state.control.row(run)?.run;
        (run.cursor, run.start, run.source_start) = (Cursor::START, start, None);
        (run.processed, run.quarantined) = (0, 0);
        Ok(start)
    }

    async fn standing(&self, entity: EntityType) -> Result<Option<Standing>, StoreError> {
        Ok(self.state().control.progress.get(&entity).map(|progress| progress.standing))
    }

    async fn complete(&self, run: RunId, watermark: Watermark, lease: &Lease) -> Result<RunStatus, StoreError> {
        let mut state = self.state();
        state.control.fence(lease)?;
        let row = state.control.row(run)?;
        row.status = if row.run.quarantined == 0 { RunStatus::Completed } else { RunStatus::CompletedWithQuarantine };
        let (run, status, elapsed) = (row.run.clone(), row.status, row.opened.elapsed());
        if run.kind == RunKind::Full {
            state.settle_changes(run.id);
        }
        state.stand(&run, elapsed, watermark);
        Ok(status)
    }

    async fn end(&self, run: RunId, ending: &Ending, lease: &Lease) -> Result<(), StoreError> {
        let mut state = self.state();
        state.control.fence(lease)?;
        let row = state.control.row(run)?;
        row.status = ending.status;
        row.error.clone_from(&ending.error);
        Ok(())
    }

    async fn close_abandoned(&self) -> Result<u64, StoreError> {
        Ok(0)
    }

    async fn recent(&self, limit: u32) -> Result<Vec<LoggedRun>, StoreError> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Ok(self.state().control.runs.iter().rev().take(limit).map(logged).collect())
    }
}

#[async_trait]
impl RunBoard for Documents {
    async fn note(&self, _run: RunId, _step: &'static str, _expected: Option<u64>) -> Result<(), StoreError> {
        Ok(())
    }

    async fn cancel(&self, entity: EntityType) -> Result<Cancelled, StoreError> {
        let mut state = self.state();
        let on = |row: &&mut RunRow| row.run.entity == entity && row.status == RunStatus::Running;
        let asked = state.control.runs.iter_mut().find(on).map(|row| {
            row.cancel_requested = true;
            row.run.id
        });
        Ok(Cancelled { asked, dequeued: Vec::new() })
    }

    async fn is_cancelled(&self, run: RunId) -> Result<bool, StoreError> {
        Ok(self.state().control.row(run)?.cancel_requested)
    }

    // The rest is for the running service (scheduler, workers, API), which this store is not made for.

    async fn running(&self) -> Result<Vec<RunningSync>, StoreError> {
        Ok(Vec::new())
    }

    async fn waiting(&self) -> Result<Vec<(EntityType, RunKind)>, StoreError> {
        Ok(Vec::new())
    }

    async fn last_runs(&self) -> Result<(DateTime<Utc>, Vec<LastRun>), StoreError> {
        Ok((DateTime::UNIX_EPOCH, Vec::new()))
    }

    async fn history(&self, _filter: &HistoryFilter) -> Result<History, StoreError> {
        Ok(History::default())
    }

    async fn ended_since(&self, _place: Option<i64>) -> Result<Vec<(i64, LoggedRun)>, StoreError> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl PortalStore for Documents {
    async fn claim(&self, address: &str, moved: bool) -> Result<Claim, StoreError> {
        let mut state = self.state();
        match &mut state.control.portal {
            Some(known) if known.address != address && !moved => Ok(Claim::Another(known.address.clone())),
            Some(known) => {
                address.clone_into(&mut known.address);
                Ok(Claim::Ours)
            }
            none => {
                *none = Some(KnownPortal { address: address.to_owned(), profile: None, checked_at: None });
                Ok(Claim::Ours)
            }
        }
    }

    async fn portal(&self) -> Result<Option<KnownPortal>, StoreError> {
        Ok(self.state().control.portal.clone())
    }

    async fn probe(&self, entity: EntityType) -> Result<Option<KeptProbe>, StoreError> {
        let probe = self.state().control.probes.get(&entity).cloned();
        Ok(probe.map(|probe| KeptProbe { probe, checked_at: DateTime::UNIX_EPOCH, stale: false }))
    }

    async fn keep_profile(&self, profile: &PortalProfile) -> Result<(), StoreError> {
        let mut state = self.state();
        let control = &mut state.control;
        if let Some(known) = &mut control.portal {
            // Another user may be shown times of another zone.
            if known.profile.as_ref().is_some_and(|before| before.user_id != profile.user_id) {
                control.probes.clear();
            }
            known.profile = Some(profile.clone());
        }
        Ok(())
    }

    async fn keep_probe(&self, probe: &EntityProbe) -> Result<(), StoreError> {
        self.state().control.probes.insert(probe.entity, probe.clone());
        Ok(())
    }
}

/// The one process that there is.
pub(crate) struct ThisProcess;

impl Instances for ThisProcess {
    fn me(&self) -> String {
        "own_store".to_owned()
    }

    fn is_gone(&self, _holder: &str) -> bool {
        false
    }
}

/// Nobody watches.
pub(crate) struct Nobody;

impl RunObserver for Nobody {
    fn on(&self, _event: &RunEvent) {}
}
