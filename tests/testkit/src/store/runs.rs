//! The run log.

use std::collections::HashSet;

use async_trait::async_trait;
use b24sync_domain::entity::EntityType;
use b24sync_domain::error::StoreError;
use b24sync_domain::lease::{Lease, Scope};
use b24sync_domain::ports::{LoggedRun, Requested, RunLog, Standing};
use b24sync_domain::progress::{Cursor, Watermark};
use b24sync_domain::record::ReadToken;
use b24sync_domain::run::{Ending, Run, RunId, RunKind, RunStatus};

use super::{FakeStore, RunRow, logged};

#[async_trait]
impl RunLog for FakeStore {
    async fn request(&self, entity: EntityType, kind: RunKind) -> Result<Requested, StoreError> {
        let on = {
            let state = self.state();
            let on = state.runs.iter().rev().find(|row| {
                let is_on = row.status == RunStatus::Running && !row.cancel_requested;
                row.run.entity == entity && row.run.kind != RunKind::Webhook && is_on
            });
            on.filter(|row| state.is_held(Scope::Sync(entity)) && row.run.kind.serves(kind)).map(|row| row.run.id)
        };
        if let Some(run) = on {
            return Ok(Requested { run, coalesced: true });
        }
        let mut state = self.state();
        let wished = state.draw();
        let is_held = state.is_held(Scope::Sync(entity));
        let unfinished = state.unfinished(entity, kind);
        if let Some(position) = unfinished.filter(|at| !is_held || state.runs[*at].status != RunStatus::Running) {
            let row = &mut state.runs[position];
            let coalesced = row.status == RunStatus::Queued;
            row.wished = if coalesced { row.wished } else { wished };
            row.status = RunStatus::Queued;
            row.abandoned = false;
            row.cancel_requested = false;
            return Ok(Requested { run: row.run.id, coalesced });
        }
        Ok(Requested { run: state.begin(entity, kind, RunStatus::Queued).id, coalesced: false })
    }

    async fn request_anew(&self, entity: EntityType, kind: RunKind) -> Result<Requested, StoreError> {
        let mut state = self.state();
        let wished = state.draw();
        let unread = |row: &&mut RunRow| {
            let is_kind = row.run.entity == entity && row.run.kind == kind;
            is_kind && row.status == RunStatus::Queued && !row.run.resumed
        };
        if let Some(row) = state.runs.iter_mut().rev().find(unread) {
            row.wished = wished;
            return Ok(Requested { run: row.run.id, coalesced: true });
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
        let hints_are_free = !state.is_held(Scope::Hints(entity));
        let place = state.draw();
        for row in &mut state.runs {
            // Runs over named records have an owner of their own, or none any more.
            let same = Scope::of(row.run.entity, row.run.kind) == Scope::of(entity, kind);
            let left = row.run.entity == entity && row.run.kind == RunKind::Webhook && hints_are_free;
            if (same || left) && row.status == RunStatus::Running {
                row.status = if row.cancel_requested { RunStatus::Cancelled } else { RunStatus::Interrupted };
                row.ended = place;
            }
            row.abandoned &= !same;
        }
        if let Some(position) = state.unfinished(entity, kind) {
            let (started, begun) = (state.clock, ReadToken(state.draw()));
            let row = &mut state.runs[position];
            row.status = RunStatus::Running;
            row.error = None;
            row.cancel_requested = false;
            if !row.run.resumed {
                row.opened = begun.0;
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
            row.opened = begun.0;
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
        let held: HashSet<Scope> = Scope::of_runs().filter(|scope| state.is_held(*scope)).collect();
        let (mut closed, place) = (0, state.draw());
        for row in &mut state.runs {
            if row.status == RunStatus::Running && !held.contains(&Scope::of(row.run.entity, row.run.kind)) {
                row.abandoned = row.run.kind != RunKind::Webhook && !row.cancel_requested;
                row.status = if row.cancel_requested { RunStatus::Cancelled } else { RunStatus::Interrupted };
                row.ended = place;
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
