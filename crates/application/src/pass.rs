//! What a full and an incremental pass have in common: one process's part in a run, from its lease to its end.

use std::time::Duration;

use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::error::{Chain, SyncError};
use b24sync_domain::lease::{Lease, Scope};
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::mapping::rows::MappedBatch;
use b24sync_domain::mapping::schema::SchemaPlan;
use b24sync_domain::ports::{Commit, RunEvent, Step};
use b24sync_domain::progress::{Cursor, Watermark};
use b24sync_domain::record::{ReadToken, RecordBatch};
use b24sync_domain::run::{Ending, Run, RunId, RunKind, RunStatus, RunSummary};
use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::deletions;
use crate::metering;
use crate::pipeline::Ready;
use crate::portal;
use crate::ports::Ports;
use crate::schema;
use crate::status;

/// How far the watermark stays behind the portal's time at the first page: 300 s (CORRECTNESS 4.3).
pub const OVERLAP: TimeDelta = TimeDelta::seconds(300);

/// How often records whose reads overlapped with somebody else's are read again before the run gives up.
const CONTEST_ROUNDS: usize = 5;

/// How often a run looks whether somebody asked it to stop.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long a run that is to stop may finish what it is at.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// One process's part in a run.
pub(crate) struct Pass<'a> {
    pub(crate) ports: &'a Ports,
    pub(crate) entity: EntityType,
    pub(crate) lease: &'a Lease,
    pub(crate) stop: &'a CancellationToken,
    pub(crate) run: Run,
    pub(crate) timestamps: TimestampStyle,
    /// Records that may not be read any more, as far as they were asked for.
    pub(crate) denied: usize,
    written: u64,
    deleted: u64,
    began: Instant,
}

/// How the listings of a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// With their valid empty pages.
    Complete,
    /// Because the run is to stop.
    Stopped,
}

/// What every sync is told.
#[derive(Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) ports: &'a Ports,
    pub(crate) entity: EntityType,
    /// The entity's.
    pub(crate) lease: &'a Lease,
    pub(crate) timestamps: TimestampStyle,
    pub(crate) stop: &'a CancellationToken,
}

/// Opens a run, lets `read` do its reading, and ends the run with what came of it.
pub(crate) async fn run(
    frame: Frame<'_>,
    kind: RunKind,
    read: impl AsyncFnOnce(&mut Pass<'_>) -> Result<Reading, SyncError>,
) -> Result<RunSummary, SyncError> {
    let Frame { ports, entity, lease, timestamps, stop } = frame;
    portal::claim(ports, entity).await?;
    // A run over named records whose process is gone ends with this one's beginning, so that the log tells the truth.
    let freed = status::free_gone(ports.leases.as_ref(), ports.instances.as_ref(), &[Scope::Hints(entity)]).await;
    freed.map_err(|source| SyncError::Store { entity, source })?;
    let run = ports.runs.open(entity, kind, lease).await.map_err(|source| SyncError::Store { entity, source })?;
    let (id, stop) = (run.id, &stop.child_token());
    let mut pass =
        Pass { ports, entity, lease, stop, run, timestamps, denied: 0, written: 0, deleted: 0, began: Instant::now() };
    let reading = tokio::select! {
        biased;
        reading = read(&mut pass) => reading,
        // A call that waits for the portal's limits may wait for minutes.
        () = async { tokio::join!(stop_when_asked_to(ports, id, stop), stopped_for_long(stop)); } => Ok(Reading::Stopped),
    };
    let ended = match reading {
        Ok(Reading::Complete) => pass.complete().await,
        Ok(Reading::Stopped) => pass.cancel().await,
        Err(error) => Err(error),
    };
    if let Err(error) = &ended {
        pass.fail(error).await;
    }
    ended
}

/// Stops the run when somebody asks for that in the store.
async fn stop_when_asked_to(ports: &Ports, run: RunId, stop: &CancellationToken) {
    while !stop.is_cancelled() {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        // A store that does not answer now is met by the run itself.
        if ports.board.is_cancelled(run).await.unwrap_or_default() {
            tracing::info!(run.id = %run, "somebody asked the sync to stop");
            stop.cancel();
        }
    }
}

/// Ready some time after the run was asked to stop. What is dropped then was not committed, and is read again.
async fn stopped_for_long(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(STOP_GRACE).await;
}

impl Pass<'_> {
    pub(crate) fn store_failed(&self, source: b24sync_domain::error::StoreError) -> SyncError {
        SyncError::Store { entity: self.entity, source }
    }

    pub(crate) fn source_failed(&self, source: b24sync_domain::error::SourceError) -> SyncError {
        SyncError::Source { entity: self.entity, source }
    }

    /// Tells whoever watches what the run is at; nothing depends on it.
    pub(crate) async fn step(&self, step: &'static str, expected: Option<u64>) {
        if let Err(error) = self.ports.board.note(self.run.id, step, expected).await {
            tracing::debug!(run.id = %self.run.id, error = %Chain(&error), "could not note what the run is at");
        }
    }

    /// Tells whoever watches that reading begins.
    pub(crate) async fn announce(&self, expected: Option<u64>) {
        self.step("reading", expected).await;
        self.ports.observer.on(&RunEvent::Started { run: self.run.clone(), expected });
    }

    /// Takes the run back to its start: what it has read so far counts for nothing.
    pub(crate) async fn rewind(&mut self) -> Result<(), SyncError> {
        let rewound = self.ports.runs.rewind(self.run.id, self.lease).await;
        self.run.start = rewound.map_err(|source| self.store_failed(source))?;
        self.run.cursor = Cursor::START;
        self.run.processed = 0;
        self.run.quarantined = 0;
        self.run.source_start = None;
        Ok(())
    }

    /// Commits a batch; the run's cursor moves to `cursor` with it.
    pub(crate) async fn store(
        &mut self,
        plan: &mut SchemaPlan,
        batch: RecordBatch,
        cursor: Option<Cursor>,
    ) -> Result<(), SyncError> {
        self.store_mapped(plan, (batch, None), cursor).await
    }

    /// The same for a batch that may be mapped already.
    pub(crate) async fn store_ready(
        &mut self,
        plan: &mut SchemaPlan,
        ready: Ready,
        cursor: Option<Cursor>,
    ) -> Result<(), SyncError> {
        let batch = ready.for_table(&plan.mapping);
        self.store_mapped(plan, batch, cursor).await
    }

    async fn store_mapped(
        &mut self,
        plan: &mut SchemaPlan,
        batch: (RecordBatch, Option<MappedBatch>),
        cursor: Option<Cursor>,
    ) -> Result<(), SyncError> {
        let source_start = *self.run.source_start.get_or_insert(batch.0.source_time.with_timezone(&Utc));
        let processed = self.run.processed + u64::try_from(batch.0.len()).unwrap_or(u64::MAX);
        let step = Step { run: self.run.id, cursor, source_start, processed };
        let commit = self.commit(plan, batch, &step).await?;
        self.run.processed = processed;
        self.settle_contest(plan, commit.contested, source_start).await?;
        self.ports
            .observer
            .on(&RunEvent::Advanced { processed: self.run.processed, quarantined: self.run.quarantined });
        Ok(())
    }

    async fn commit(
        &mut self,
        plan: &mut SchemaPlan,
        (batch, mapped): (RecordBatch, Option<MappedBatch>),
        step: &Step,
    ) -> Result<Commit, SyncError> {
        let mapped = match mapped {
            Some(mapped) => mapped,
            None => schema::fit(self.ports, plan, &batch).await?,
        };
        // The answer's text is not needed any more, and it is the largest thing in memory.
        drop(batch);
        let commit = self.ports.records.commit(&mapped, step, self.lease).await;
        let commit = commit.map_err(|source| self.store_failed(source))?;
        let refused = mapped.rejected.iter().chain(&commit.refused);
        for rejection in refused.clone() {
            // The summary counts them, and the quarantine lists them.
            tracing::info!(entity = %self.entity, record.id = %rejection.id, field = rejection.field, reason = rejection.reason, "a record cannot be stored");
        }
        let quarantined = u64::try_from(refused.count()).unwrap_or(u64::MAX);
        self.written += commit.written;
        self.run.quarantined += quarantined;
        metering::records(self.entity, "written", commit.written);
        metering::records(self.entity, "unchanged", commit.unchanged);
        metering::records(self.entity, "quarantined", quarantined);
        Ok(commit)
    }

    /// Counts records that were looked at and need not be stored.
    pub(crate) async fn count(
        &mut self,
        records: usize,
        source_time: DateTime<Utc>,
        cursor: Option<Cursor>,
    ) -> Result<(), SyncError> {
        let source_start = *self.run.source_start.get_or_insert(source_time);
        let processed = self.run.processed + u64::try_from(records).unwrap_or(u64::MAX);
        let step = Step { run: self.run.id, cursor, source_start, processed };
        let counted = self.ports.records.commit(&MappedBatch::empty(self.entity), &step, self.lease).await;
        counted.map_err(|source| self.store_failed(source))?;
        self.run.processed = processed;
        self.ports
            .observer
            .on(&RunEvent::Advanced { processed: self.run.processed, quarantined: self.run.quarantined });
        Ok(())
    }

    /// Records of a range of ids that are to be there, and whether their rows are.
    pub(crate) async fn live_between(
        &self,
        after: Cursor,
        up_to: Option<Cursor>,
    ) -> Result<Vec<(RecordId, bool)>, SyncError> {
        let live = self.ports.deletions.live_ids(self.entity, after, up_to).await;
        live.map_err(|source| self.store_failed(source))
    }

    /// Records of the table that this run has not seen, above `after`.
    pub(crate) async fn unseen(&self, after: Cursor) -> Result<Vec<RecordId>, SyncError> {
        let unseen = self.ports.deletions.unseen(self.entity, self.run.start, after, deletions::at_once()).await;
        unseen.map_err(|source| self.store_failed(source))
    }

    /// Live records that reads since `since` have seen, the latest first.
    pub(crate) async fn controls(&self, since: ReadToken, limit: usize) -> Result<Vec<RecordId>, SyncError> {
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let controls = self.ports.deletions.controls(self.entity, since, limit).await;
        controls.map_err(|source| self.store_failed(source))
    }

    /// Live records of the table.
    pub(crate) async fn live(&self) -> Result<u64, SyncError> {
        self.ports.deletions.live(self.entity).await.map_err(|source| self.store_failed(source))
    }

    /// Deletes rows whose records are proven to be gone.
    pub(crate) async fn bury(&mut self, ids: &[RecordId], read: ReadToken) -> Result<(), SyncError> {
        let buried = self.ports.deletions.bury(self.entity, ids, read, self.lease).await;
        let buried = buried.map_err(|source| self.store_failed(source))?;
        let buried = u64::try_from(buried.len()).unwrap_or(u64::MAX);
        self.deleted += buried;
        metering::records(self.entity, "deleted", buried);
        Ok(())
    }

    /// Reads records by their ids and stores what comes.
    pub(crate) async fn apply_by_id(&mut self, plan: &mut SchemaPlan, ids: &[RecordId]) -> Result<(), SyncError> {
        let source_start = self.run.source_start.unwrap_or(DateTime::UNIX_EPOCH);
        self.settle_contest(plan, ids.to_vec(), source_start).await
    }

    /// Reads records again whose read overlapped with another process's: the next read decides (CORRECTNESS 4.1).
    async fn settle_contest(
        &mut self,
        plan: &mut SchemaPlan,
        mut contested: Vec<RecordId>,
        source_start: DateTime<Utc>,
    ) -> Result<(), SyncError> {
        for _ in 0..CONTEST_ROUNDS {
            if contested.is_empty() {
                return Ok(());
            }
            let layout = std::sync::Arc::clone(&plan.mapping.layout);
            let batch = self.ports.source.by_ids(self.entity, &layout, &contested, &self.ports.order).await;
            let batch = batch.map_err(|source| self.source_failed(source))?;
            let step = Step { run: self.run.id, cursor: None, source_start, processed: self.run.processed };
            contested = self.commit(plan, (batch, None), &step).await?.contested;
        }
        if contested.is_empty() {
            return Ok(());
        }
        Err(SyncError::Contested { entity: self.entity, count: contested.len() })
    }

    async fn complete(&self) -> Result<RunSummary, SyncError> {
        if self.denied > 0 {
            let remark = format!(
                "{} records may not be read by the webhook's user any more; their rows stay as they are",
                self.denied
            );
            let remarked = self.ports.runs.remark(self.run.id, &remark).await;
            remarked.map_err(|source| self.store_failed(source))?;
        }
        // A complete listing has at least its empty last page, and that page has a time.
        let overlap = portal::overlap(self.ports, self.entity).await?;
        let started = self.run.source_start.unwrap_or(DateTime::UNIX_EPOCH + overlap);
        let watermark = Watermark(started - overlap);
        let status = self.ports.runs.complete(self.run.id, watermark, self.lease).await;
        let status = status.map_err(|source| self.store_failed(source))?;
        let duration_seconds = self.began.elapsed().as_secs_f64();
        tracing::info!(entity_type = %self.entity, run.id = %self.run.id, run.kind = %self.run.kind, records_processed = self.run.processed, duration_seconds, rows = self.written, deleted = self.deleted, "sync completed");
        self.ended(status);
        Ok(self.summary(status))
    }

    async fn cancel(&self) -> Result<RunSummary, SyncError> {
        let ending = Ending { status: RunStatus::Cancelled, error: None };
        let ended = self.ports.runs.end(self.run.id, &ending, self.lease).await;
        ended.map_err(|source| self.store_failed(source))?;
        tracing::info!(entity = %self.entity, run.id = %self.run.id, "sync stopped; the next one goes on from here");
        self.ended(RunStatus::Cancelled);
        Ok(self.summary(RunStatus::Cancelled))
    }

    async fn fail(&self, error: &SyncError) {
        let ending = Ending { status: RunStatus::Failed, error: Some(Chain(error).to_string()) };
        if let Err(log_error) = self.ports.runs.end(self.run.id, &ending, self.lease).await {
            tracing::warn!(run.id = %self.run.id, error = %Chain(&log_error), "could not log the end of run {}", self.run.id);
        }
        self.ended(RunStatus::Failed);
    }

    /// Tells whoever watches that the run has ended.
    fn ended(&self, status: RunStatus) {
        metering::run_ended(self.entity, self.run.kind, status, self.began.elapsed());
        self.ports.observer.on(&RunEvent::Ended { status });
    }

    fn summary(&self, status: RunStatus) -> RunSummary {
        RunSummary {
            run: self.run.id,
            entity: self.entity,
            kind: self.run.kind,
            status,
            processed: self.run.processed,
            written: self.written,
            deleted: self.deleted,
            quarantined: self.run.quarantined,
            resumed: self.run.resumed,
        }
    }
}
