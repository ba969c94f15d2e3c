//! Reads every record of an entity into its table, and takes out what is gone: bounded memory, resumable from the stored
//! cursor.

use std::sync::Arc;

use b24sync_domain::entity::EntityType;
use b24sync_domain::error::{Chain, SourceError, SyncError};
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::mapping::schema::SchemaPlan;
use b24sync_domain::ports::ListQuery;
use b24sync_domain::progress::{Cursor, Window};
use b24sync_domain::run::{RunId, RunKind, RunSummary};
use tokio_util::sync::CancellationToken;

use crate::deletions::{self, Candidates};
use crate::holding::under_lease;
use crate::pass::{self, Frame, Pass, Reading};
use crate::pipeline::{Pipeline, Ready};
use crate::ports::Ports;
use crate::{drift, portal, schema};

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
    let mut pipeline = start_reading(pass, &plan);
    let mut complete = false;
    while let Some(ready) = next(pass, &mut pipeline).await? {
        complete = ready.batch.exhausted;
        let cursor = ready.batch.ids().last().map(|id| Cursor::after(id.get()));
        pass.store_ready(&mut plan, ready, cursor).await?;
        pipeline.map_by(&plan.mapping);
    }
    drop(pipeline);
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

fn start_reading(pass: &Pass<'_>, plan: &SchemaPlan) -> Pipeline {
    let query = ListQuery {
        entity: pass.entity,
        layout: Arc::clone(&plan.mapping.layout),
        window: Window::Everything,
        cursor: pass.run.cursor,
    };
    Pipeline::start(pass.ports.clone(), query, &plan.mapping, plan.create, pass.stop.clone())
}

/// The next batch; `None` after the last one, or when the run is to stop.
async fn next(pass: &Pass<'_>, pipeline: &mut Pipeline) -> Result<Option<Ready>, SyncError> {
    tokio::select! {
        biased;
        () = pass.stop.cancelled() => Ok(None),
        batch = pipeline.next() => batch.transpose().map_err(|source| pass.source_failed(source)),
    }
}
