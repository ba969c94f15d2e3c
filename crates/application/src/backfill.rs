//! Reads every record of an entity into its table, and takes out what is gone: bounded memory, resumable from the stored
//! cursor.

use std::sync::Arc;

use b24sync_domain::entity::EntityType;
use b24sync_domain::error::{Chain, SourceError, SyncError};
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::mapping::schema::SchemaPlan;
use b24sync_domain::ports::ListQuery;
use b24sync_domain::progress::{Cursor, Window};
use b24sync_domain::record::RecordBatch;
use b24sync_domain::run::{RunId, RunKind, RunSummary};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::deletions::{self, Candidates};
use crate::holding::under_lease;
use crate::pass::{self, Frame, Pass, Reading};
use crate::ports::Ports;
use crate::{drift, portal, schema};

/// Batches between reading and writing: the one that is being read or waits to be written. With the one that is being
/// written, two are in memory.
const BATCHES_AHEAD: usize = 1;

/// Replicates every record of `entity`, and deletes rows whose records are proven to be gone. If these are more than
/// [`unconfirmed_deletions`](b24sync_domain::reconcile::unconfirmed_deletions), an operator has to confirm the run by its
/// number. What was committed before a failure or a stop stays committed; the next run
/// goes on after it.
///
/// # Errors
/// [`SyncError`]; the run log then says `failed` and why, unless the lease or the database itself was lost.
pub async fn backfill(
    ports: &Ports,
    entity: EntityType,
    timestamps: TimestampStyle,
    confirmed: Option<RunId>,
    stop: &CancellationToken,
) -> Result<RunSummary, SyncError> {
    under_lease(ports, entity, RunKind::Full, |lease| async move {
        under(Frame { ports, entity, lease: &lease, timestamps, stop }, confirmed).await
    })
    .await
}

/// The same under a lease that is held already.
#[tracing::instrument(name = "sync.backfill", skip_all, fields(entity = %frame.entity))]
pub(crate) async fn under(frame: Frame<'_>, confirmed: Option<RunId>) -> Result<RunSummary, SyncError> {
    let read = async |pass: &mut Pass<'_>| read_everything(pass, confirmed).await;
    pass::run(frame, RunKind::Full, read).await
}

async fn read_everything(pass: &mut Pass<'_>, confirmed: Option<RunId>) -> Result<Reading, SyncError> {
    let mut plan = schema::ensure(pass.ports, pass.entity, pass.timestamps).await?;
    begin_with_these_fields(pass, &plan).await?;
    let expected = pass.ports.source.count(pass.entity).await.unwrap_or_else(|error| {
        tracing::debug!(entity = %pass.entity, error = %Chain(&error), "the portal does not say how many records there are");
        None
    });
    pass.announce(expected).await;
    // Dropping the reader's set, for whatever reason, ends the reader.
    let (mut batches, _reader) = start_reader(pass, &plan);
    let mut complete = false;
    while let Some(batch) = next(pass, &mut batches).await? {
        complete = batch.exhausted;
        let cursor = batch.ids().last().map(|id| Cursor::after(id.get()));
        pass.store(&mut plan, batch, cursor).await?;
    }
    if complete {
        let reading = deletions::reconcile(pass, &mut plan, Candidates::unseen(), confirmed).await?;
        portal::probe_if_stale(pass.ports, pass.entity).await;
        Ok(reading)
    } else if pass.stop.is_cancelled() {
        Ok(Reading::Stopped)
    } else {
        // No source should end like this; taking it for the end would lose what comes after.
        let source = "the listing ended without an empty last page".into();
        Err(pass.source_failed(SourceError::Malformed { method: "list".to_owned(), source }))
    }
}

/// Records that an earlier process of this run read without knowing the fields as they are now are read again; then the
/// run covers every change of the fields so far.
async fn begin_with_these_fields(pass: &mut Pass<'_>, plan: &SchemaPlan) -> Result<(), SyncError> {
    let pending = drift::pending(pass).await?;
    let uncovered = pending.iter().any(|change| change.covered_by != Some(pass.run.id));
    if pass.run.cursor > Cursor::START && (plan.create || uncovered) {
        pass.rewind().await?;
    }
    if uncovered {
        let covered = pass.ports.drift.cover(pass.entity, pass.run.id, pass.lease).await;
        covered.map_err(|source| pass.store_failed(source))?;
    }
    Ok(())
}

type Batches = mpsc::Receiver<Result<RecordBatch, SourceError>>;

fn start_reader(pass: &Pass<'_>, plan: &SchemaPlan) -> (Batches, JoinSet<()>) {
    let (sender, receiver) = mpsc::channel(BATCHES_AHEAD);
    let query = ListQuery {
        entity: pass.entity,
        layout: Arc::clone(&plan.mapping.layout),
        window: Window::Everything,
        cursor: pass.run.cursor,
    };
    let mut tasks = JoinSet::new();
    tasks.spawn(read_ahead(pass.ports.clone(), query, sender, pass.stop.clone()));
    (receiver, tasks)
}

/// The next batch; `None` after the last one, or when the run is to stop.
async fn next(pass: &Pass<'_>, batches: &mut Batches) -> Result<Option<RecordBatch>, SyncError> {
    tokio::select! {
        biased;
        () = pass.stop.cancelled() => Ok(None),
        batch = batches.recv() => batch.transpose().map_err(|source| pass.source_failed(source)),
    }
}

/// Reads ahead of the writer until the listing is exhausted, fails, or nobody wants more.
async fn read_ahead(
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
