//! Reads what changed since the watermark, and what is new whatever its times say (CORRECTNESS 4.3).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use b24sync_domain::entity::EntityType;
use b24sync_domain::error::SyncError;
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::mapping::schema::SchemaPlan;
use b24sync_domain::portal::BoundStyle;
use b24sync_domain::ports::{ListQuery, NewsQuery, Standing};
use b24sync_domain::progress::{Cursor, TimeBound, Window};
use b24sync_domain::record::RecordBatch;
use b24sync_domain::run::{RunKind, RunSummary};
use tokio_util::sync::CancellationToken;

use crate::holding::under_lease;
use crate::pass::{self, Frame, Pass, Reading};
use crate::ports::Ports;
use crate::{backfill, drift, portal, schema};

/// Replicates every record of `entity` that changed since its watermark, and every new one; then gives the stored records
/// the values of fields that are new. An entity that has never been read completely, or whose portal does not select by
/// time as it should, is read completely instead; one whose fields mean something else now is read completely as well.
///
/// The window's lower bound is fixed for the whole pass and pages go by id, so that neither records that share a second
/// nor edits during the pass are skipped. The watermark moves only when both listings have ended, and only to the
/// portal's own time at the pass's first request, less the overlap: an edit made during the pass is newer, so that the
/// next pass sees it.
///
/// # Errors
/// As [`backfill`](crate::backfill::backfill).
pub async fn incremental(
    ports: &Ports,
    entity: EntityType,
    timestamps: TimestampStyle,
    stop: &CancellationToken,
) -> Result<RunSummary, SyncError> {
    under_lease(ports, entity, RunKind::Incremental, |lease| async move {
        under(Frame { ports, entity, lease: &lease, timestamps, stop }).await
    })
    .await
}

/// The same under a lease that is held already.
#[tracing::instrument(name = "sync.incremental", skip_all, fields(entity = %frame.entity))]
pub(crate) async fn under(frame: Frame<'_>) -> Result<RunSummary, SyncError> {
    let (ports, entity) = (frame.ports, frame.entity);
    let standing = ports.runs.standing(entity).await.map_err(|source| SyncError::Store { entity, source })?;
    let Some(standing) = standing else { return Box::pin(backfill::under(frame, None)).await };
    portal::claim(ports, entity).await?;
    let live = ports.deletions.live(entity).await.map_err(|source| SyncError::Store { entity, source })?;
    // Where there is nothing, nothing can have changed: what is new is found by its id.
    let known = if live == 0 { Some(BoundStyle::default()) } else { portal::bounds(ports, entity).await? };
    let Some(style) = known else { return Box::pin(backfill::under(frame, None)).await };
    let clock_went_back = AtomicBool::new(false);
    let read = async |pass: &mut Pass<'_>| read_news(pass, standing, style, &clock_went_back).await;
    let summary = pass::run(frame, RunKind::Incremental, read).await?;
    if !summary.status.has_ended_well() {
        return Ok(summary);
    }
    if clock_went_back.load(Ordering::Relaxed) {
        tracing::warn!(entity = %entity, "the portal's clock is behind the time up to which its changes are applied: every record is read until it has caught up");
        return Box::pin(backfill::under(frame, None)).await;
    }
    if drift::needs_everything(ports, entity).await? {
        tracing::info!(entity = %entity, "fields have changed so that every record must be read again");
        return Box::pin(backfill::under(frame, None)).await;
    }
    Ok(summary)
}

async fn read_news(
    pass: &mut Pass<'_>,
    standing: Standing,
    style: BoundStyle,
    clock_went_back: &AtomicBool,
) -> Result<Reading, SyncError> {
    let mut plan = schema::ensure(pass.ports, pass.entity, pass.timestamps).await?;
    pass.announce(None).await;
    let since = TimeBound { at: standing.watermark.0, style };
    let query = NewsQuery {
        entity: pass.entity,
        layout: Arc::clone(&plan.mapping.layout),
        changed: (since, pass.run.cursor),
        created: standing.floor,
    };
    let news = pass.ports.source.news(&query, &pass.ports.order).await;
    let news = news.map_err(|source| pass.source_failed(source))?;
    // Changes of now would be stamped before the watermark, where no incremental sync looks for them.
    clock_went_back.store(news.changed.source_time < standing.watermark.0, Ordering::Relaxed);
    let window = Window::ModifiedSince(since);
    let changed = follow(pass, &mut plan, window, news.changed, Progress::Kept).await?;
    if changed == Reading::Stopped {
        return Ok(changed);
    }
    pass.step("new records", None).await;
    let created = follow(pass, &mut plan, Window::Everything, news.created, Progress::NotKept).await?;
    if created == Reading::Stopped {
        return Ok(created);
    }
    drift::fill(pass, &mut plan).await
}

/// Whether a listing's position is the run's cursor. One run has one; the listing of new records begins anew when the
/// run is resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    Kept,
    NotKept,
}

/// Stores a listing's first page and everything after it.
async fn follow(
    pass: &mut Pass<'_>,
    plan: &mut SchemaPlan,
    window: Window,
    first: RecordBatch,
    progress: Progress,
) -> Result<Reading, SyncError> {
    let mut batch = first;
    loop {
        let exhausted = batch.exhausted;
        let end = batch.ids().last().map(|id| Cursor::after(id.get()));
        pass.store(plan, batch, end.filter(|_| progress == Progress::Kept)).await?;
        let Some(cursor) = end.filter(|_| !exhausted) else { return Ok(Reading::Complete) };
        if pass.stop.is_cancelled() {
            return Ok(Reading::Stopped);
        }
        let layout = Arc::clone(&plan.mapping.layout);
        let query = ListQuery { entity: pass.entity, layout, window, cursor };
        let next = pass.ports.source.list(&query, &pass.ports.order).await;
        batch = next.map_err(|source| pass.source_failed(source))?;
    }
}
