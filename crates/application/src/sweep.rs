//! Compares the ids of the portal's records with those of the table: the cheap way to find what is gone, and what no
//! other pass has seen (CORRECTNESS 4.5).

use std::collections::HashSet;
use std::sync::Arc;

use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::error::SyncError;
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::mapping::schema::SchemaPlan;
use b24sync_domain::ports::ListQuery;
use b24sync_domain::progress::{Cursor, Window};
use b24sync_domain::run::{RunKind, RunSummary};
use tokio_util::sync::CancellationToken;

use crate::deletions::{self, Candidates};
use crate::holding::under_lease;
use crate::pass::{self, Frame, Pass, Reading};
use crate::ports::Ports;
use crate::schema;

/// Records of the listing that may serve as control records.
const CONTROLS: usize = 4;

/// Lists nothing but the ids of `entity`, takes out what is proven to be gone, and reads what the table does not have.
/// Changes of records that both sides have are not looked for: that is what an incremental sync is for.
///
/// # Errors
/// As [`backfill`](crate::backfill::backfill).
pub async fn sweep(
    ports: &Ports,
    entity: EntityType,
    timestamps: TimestampStyle,
    stop: &CancellationToken,
) -> Result<RunSummary, SyncError> {
    under_lease(ports, entity, RunKind::Sweep, |lease| async move {
        under(Frame { ports, entity, lease: &lease, timestamps, stop }).await
    })
    .await
}

/// The same under a lease that is held already.
#[tracing::instrument(name = "sync.sweep", skip_all, fields(entity = %frame.entity))]
pub(crate) async fn under(frame: Frame<'_>) -> Result<RunSummary, SyncError> {
    let read = async |pass: &mut Pass<'_>| compare_ids(pass).await;
    pass::run(frame, RunKind::Sweep, read).await
}

async fn compare_ids(pass: &mut Pass<'_>) -> Result<Reading, SyncError> {
    let mut plan = schema::ensure(pass.ports, pass.entity, pass.timestamps).await?;
    pass.announce(None).await;
    let nothing = plan.mapping.narrowed(&HashSet::new());
    let mut unlisted = Vec::new();
    let mut controls = Vec::new();
    let mut cursor = Cursor::START;
    loop {
        if pass.stop.is_cancelled() {
            return Ok(Reading::Stopped);
        }
        let layout = Arc::clone(&nothing.layout);
        let query = ListQuery { entity: pass.entity, layout, window: Window::Everything, cursor };
        let batch = pass.ports.source.list(&query, &pass.ports.order).await;
        let batch = batch.map_err(|source| pass.source_failed(source))?;
        let end = batch.ids().last().copied();
        if !batch.is_empty() {
            controls = batch.ids().iter().rev().take(CONTROLS).copied().collect();
        }
        let next = end.map(|id| Cursor::after(id.get())).filter(|_| !batch.exhausted);
        let live = pass.live_between(cursor, next).await?;
        let unknown = settle_range(batch.ids(), live, &mut unlisted);
        pass.count(batch.len(), batch.source_time.to_utc(), next).await?;
        drop(batch);
        read_unknown(pass, &mut plan, &unknown).await?;
        match next {
            Some(next) => cursor = next,
            None => break,
        }
    }
    deletions::reconcile(pass, &mut plan, Candidates::Unlisted { ids: unlisted.into_iter(), controls }, None).await
}

/// What of a range of ids the listing did not show goes to `unlisted`; what the table has no row of is returned.
fn settle_range(listed: &[RecordId], live: Vec<(RecordId, bool)>, unlisted: &mut Vec<RecordId>) -> Vec<RecordId> {
    let shown: HashSet<RecordId> = listed.iter().copied().collect();
    let known: HashSet<RecordId> = live.iter().filter(|(_, has_row)| *has_row).map(|(id, _)| *id).collect();
    unlisted.extend(live.into_iter().map(|(id, _)| id).filter(|id| !shown.contains(id)));
    listed.iter().copied().filter(|id| !known.contains(id)).collect()
}

async fn read_unknown(pass: &mut Pass<'_>, plan: &mut SchemaPlan, unknown: &[RecordId]) -> Result<(), SyncError> {
    if unknown.is_empty() {
        return Ok(());
    }
    tracing::info!(entity = %pass.entity, rows = unknown.len(), "reading {} records that the table does not have", unknown.len());
    pass.apply_by_id(plan, unknown).await
}
