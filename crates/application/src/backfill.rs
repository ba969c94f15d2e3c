//! Reads every record of an entity into its table: bounded memory, resumable from the stored cursor.

use b24sync_domain::entity::EntityType;
use b24sync_domain::error::{Chain, SourceError, SyncError};
use b24sync_domain::lease::Lease;
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::mapping::schema::SchemaPlan;
use b24sync_domain::ports::{Commit, ListQuery, RunEvent, Step};
use b24sync_domain::progress::{Cursor, Watermark, Window};
use b24sync_domain::record::RecordBatch;
use b24sync_domain::run::{Ending, Run, RunKind, RunStatus, RunSummary};
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::holding::under_lease;
use crate::ports::Ports;
use crate::schema;

/// How far the watermark stays behind the portal's time at the first page: 300 s (CORRECTNESS 4.3).
pub const OVERLAP: TimeDelta = TimeDelta::seconds(300);

/// Batches between reading and writing: the one that is being read or waits to be written. With the one that is being
/// written, two are in memory.
const BATCHES_AHEAD: usize = 1;

/// How often records whose reads overlapped with somebody else's are read again before the run gives up.
const CONTEST_ROUNDS: usize = 5;

/// Replicates every record of `entity`. What was committed before a failure or a stop stays committed; the next run
/// goes on after it.
///
/// # Errors
/// [`SyncError`]; the run log then says `failed` and why, unless the lease or the database itself was lost.
#[tracing::instrument(name = "sync.backfill", skip_all, fields(entity = %entity))]
pub async fn backfill(
    ports: &Ports,
    entity: EntityType,
    timestamps: TimestampStyle,
    stop: &CancellationToken,
) -> Result<RunSummary, SyncError> {
    under_lease(ports, entity, |lease| async move {
        let run = ports
            .runs
            .open(entity, RunKind::Full, &lease)
            .await
            .map_err(|source| SyncError::Store { entity, source })?;
        let id = run.id;
        let mut pass = Pass { ports, entity, lease: &lease, stop, source_start: run.source_start, written: 0, run };
        match pass.go(timestamps).await {
            Ok(summary) => Ok(summary),
            Err(error) => {
                let ending = Ending { status: RunStatus::Failed, error: Some(Chain(&error).to_string()) };
                if let Err(log_error) = ports.runs.end(id, &ending, &lease).await {
                    tracing::warn!(run.id = %id, error = %Chain(&log_error), "could not log the end of run {id}");
                }
                ports.observer.on(&RunEvent::Ended { status: RunStatus::Failed });
                Err(error)
            }
        }
    })
    .await
}

/// One process's part in a run.
struct Pass<'a> {
    ports: &'a Ports,
    entity: EntityType,
    lease: &'a Lease,
    stop: &'a CancellationToken,
    run: Run,
    source_start: Option<DateTime<Utc>>,
    written: u64,
}

impl Pass<'_> {
    async fn go(&mut self, timestamps: TimestampStyle) -> Result<RunSummary, SyncError> {
        let mut plan = schema::ensure(self.ports, self.entity, timestamps).await?;
        self.rewind_if_widened(&plan).await?;
        let expected = self.ports.source.count(self.entity).await.unwrap_or_else(|error| {
            tracing::debug!(entity = %self.entity, error = %Chain(&error), "the portal does not say how many records there are");
            None
        });
        self.ports.observer.on(&RunEvent::Started { run: self.run.clone(), expected });
        // Dropping the reader's set, for whatever reason, ends the reader.
        let (mut batches, _reader) = self.start_reader(&plan);
        let mut complete = false;
        while let Some(batch) = self.next(&mut batches).await? {
            complete = batch.exhausted;
            self.store(&mut plan, batch).await?;
        }
        if complete {
            self.complete().await
        } else if self.stop.is_cancelled() {
            self.cancel().await
        } else {
            // No source should end like this; taking it for the end would lose what comes after.
            let source = SourceError::Malformed {
                method: "list".to_owned(),
                source: "the listing ended without an empty last page".into(),
            };
            Err(SyncError::Source { entity: self.entity, source })
        }
    }

    /// Records that an earlier process of this run read did not bring values for columns that exist only now.
    async fn rewind_if_widened(&mut self, plan: &SchemaPlan) -> Result<(), SyncError> {
        if self.run.cursor > Cursor::START && (plan.create || !plan.add.is_empty()) {
            let rewound = self.ports.runs.rewind(self.run.id, self.lease).await;
            self.run.start = rewound.map_err(|source| SyncError::Store { entity: self.entity, source })?;
            self.run.cursor = Cursor::START;
            self.run.processed = 0;
            self.run.quarantined = 0;
            self.run.source_start = None;
            self.source_start = None;
        }
        Ok(())
    }

    fn start_reader(&self, plan: &SchemaPlan) -> (mpsc::Receiver<Result<RecordBatch, SourceError>>, JoinSet<()>) {
        let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
        let query = ListQuery {
            entity: self.entity,
            layout: std::sync::Arc::clone(&plan.mapping.layout),
            window: Window::Everything,
            cursor: self.run.cursor,
        };
        let mut tasks = JoinSet::new();
        tasks.spawn(read(self.ports.clone(), query, sender, self.stop.clone()));
        (receiver, tasks)
    }

    /// The next batch; `None` after the last one, or when the run is to stop.
    async fn next(
        &self,
        batches: &mut mpsc::Receiver<Result<RecordBatch, SourceError>>,
    ) -> Result<Option<RecordBatch>, SyncError> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Ok(None),
            batch = batches.recv() => {
                batch.transpose().map_err(|source| SyncError::Source { entity: self.entity, source })
            }
        }
    }

    async fn store(&mut self, plan: &mut SchemaPlan, batch: RecordBatch) -> Result<(), SyncError> {
        let source_start = *self.source_start.get_or_insert(batch.source_time.with_timezone(&Utc));
        let step = Step {
            run: self.run.id,
            cursor: batch.ids().last().map(|id| Cursor::after(id.get())),
            source_start,
            processed: u64::try_from(batch.len()).unwrap_or(u64::MAX),
        };
        let commit = self.commit(plan, batch, &step).await?;
        self.run.processed += step.processed;
        self.settle_contest(plan, commit.contested, source_start).await?;
        self.ports
            .observer
            .on(&RunEvent::Advanced { processed: self.run.processed, quarantined: self.run.quarantined });
        Ok(())
    }

    async fn commit(&mut self, plan: &mut SchemaPlan, batch: RecordBatch, step: &Step) -> Result<Commit, SyncError> {
        let mapped = schema::fit(self.ports, plan, &batch).await?;
        // The answer's text is not needed any more, and it is the largest thing in memory.
        drop(batch);
        let commit = self
            .ports
            .records
            .commit(&mapped, step, self.lease)
            .await
            .map_err(|source| SyncError::Store { entity: self.entity, source })?;
        let refused = mapped.rejected.iter().chain(&commit.refused);
        for rejection in refused.clone() {
            tracing::warn!(entity = %self.entity, record.id = %rejection.id, field = rejection.field, reason = rejection.reason, "a record cannot be stored");
        }
        self.written += commit.written;
        self.run.quarantined += u64::try_from(refused.count()).unwrap_or(u64::MAX);
        Ok(commit)
    }

    /// Reads records again whose read overlapped with another process's: the next read decides (CORRECTNESS 4.1).
    async fn settle_contest(
        &mut self,
        plan: &mut SchemaPlan,
        mut contested: Vec<b24sync_domain::entity::RecordId>,
        source_start: DateTime<Utc>,
    ) -> Result<(), SyncError> {
        for _ in 0..CONTEST_ROUNDS {
            if contested.is_empty() {
                return Ok(());
            }
            let layout = std::sync::Arc::clone(&plan.mapping.layout);
            let batch = self
                .ports
                .source
                .by_ids(self.entity, &layout, &contested, &self.ports.order)
                .await
                .map_err(|source| SyncError::Source { entity: self.entity, source })?;
            let step = Step { run: self.run.id, cursor: None, source_start, processed: 0 };
            contested = self.commit(plan, batch, &step).await?.contested;
        }
        if contested.is_empty() {
            return Ok(());
        }
        Err(SyncError::Contested { entity: self.entity, count: contested.len() })
    }

    async fn complete(&self) -> Result<RunSummary, SyncError> {
        // A complete listing has at least its empty last page, and that page has a time.
        let started = self.source_start.or(self.run.source_start).unwrap_or(DateTime::UNIX_EPOCH + OVERLAP);
        let status = self
            .ports
            .runs
            .complete(self.run.id, Watermark(started - OVERLAP), self.lease)
            .await
            .map_err(|source| SyncError::Store { entity: self.entity, source })?;
        tracing::info!(entity_type = %self.entity, run.id = %self.run.id, records_processed = self.run.processed, rows = self.written, "sync completed");
        self.ports.observer.on(&RunEvent::Ended { status });
        Ok(self.summary(status))
    }

    async fn cancel(&self) -> Result<RunSummary, SyncError> {
        let ending = Ending { status: RunStatus::Cancelled, error: None };
        self.ports
            .runs
            .end(self.run.id, &ending, self.lease)
            .await
            .map_err(|source| SyncError::Store { entity: self.entity, source })?;
        tracing::info!(entity = %self.entity, run.id = %self.run.id, "sync stopped; the next one goes on from here");
        self.ports.observer.on(&RunEvent::Ended { status: RunStatus::Cancelled });
        Ok(self.summary(RunStatus::Cancelled))
    }

    fn summary(&self, status: RunStatus) -> RunSummary {
        RunSummary {
            run: self.run.id,
            entity: self.entity,
            status,
            processed: self.run.processed,
            written: self.written,
            quarantined: self.run.quarantined,
            resumed: self.run.resumed,
        }
    }
}

/// Reads ahead of the writer until the listing is exhausted, fails, or nobody wants more.
async fn read(
    ports: Ports,
    mut query: ListQuery,
    batches: mpsc::Sender<Result<RecordBatch, SourceError>>,
    stop: CancellationToken,
) {
    loop {
        // The place for a batch is taken before it is asked for.
        let Ok(place) = batches.reserve().await else { return };
        let answer = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            answer = ports.source.list(&query, &ports.order) => answer,
        };
        let last = match &answer {
            Ok(batch) if !batch.exhausted => batch.ids().last().copied(),
            _ => None,
        };
        place.send(answer);
        let Some(last) = last else { return };
        query.cursor = Cursor::after(last.get());
    }
}
