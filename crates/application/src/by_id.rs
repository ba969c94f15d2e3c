//! Reads records by their ids and applies what the portal says of them: stored if they are there, taken out if they are
//! proven to be gone.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::error::SyncError;
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::mapping::schema::SchemaPlan;
use b24sync_domain::ports::MAX_EVIDENCE;
use b24sync_domain::record::ReadToken;
use b24sync_domain::run::{RunKind, RunSummary};
use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use crate::deletions::{self, Proven};
use crate::holding::under_lease;
use crate::pass::{self, Frame, Pass, Reading};
use crate::ports::Ports;
use crate::schema;

/// Control records that are asked for besides those that may have to be left out.
const SPARE_CONTROLS: usize = 4;

/// Control records at most that are taken from those that were shown just now.
const SHOWN_CONTROLS: usize = 2;

/// Applies these records of `entity`, whatever happened to them.
///
/// # Errors
/// As for every sync; [`SyncError::DeletionsHeld`] when more of them are gone than is believable, and
/// [`SyncError::NothingVisible`] when nothing proves that the others are gone: rows stay then.
pub async fn sync_by_ids(
    ports: &Ports,
    entity: EntityType,
    ids: &[RecordId],
    timestamps: TimestampStyle,
    stop: &CancellationToken,
) -> Result<RunSummary, SyncError> {
    under_lease(ports, entity, RunKind::Webhook, |lease| async move {
        under(Frame { ports, entity, lease: &lease, timestamps, stop }, ids).await
    })
    .await
}

/// The same under a lease that is held already.
#[tracing::instrument(name = "sync.by_id", skip_all, fields(entity = %frame.entity, records = ids.len()))]
pub(crate) async fn under(frame: Frame<'_>, ids: &[RecordId]) -> Result<RunSummary, SyncError> {
    let read = async |pass: &mut Pass<'_>| read_named(pass, ids).await;
    pass::run(frame, RunKind::Webhook, read).await
}

async fn read_named(pass: &mut Pass<'_>, ids: &[RecordId]) -> Result<Reading, SyncError> {
    let mut plan = schema::ensure(pass.ports, pass.entity, pass.timestamps).await?;
    let Some(named) = apply(pass, &mut plan, ids).await? else { return Ok(Reading::Stopped) };
    if !named.unproven.is_empty() {
        let (run, kind) = (pass.run.id, pass.run.kind);
        return Err(SyncError::NothingVisible { entity: pass.entity, run, kind, count: named.unproven.len() });
    }
    deletions::bury(pass, named.gone, false).await?;
    Ok(Reading::Complete)
}

/// What the portal said of records that somebody named.
#[derive(Default)]
pub(crate) struct Named {
    /// Those that it showed, and when they were changed last; they are stored.
    pub(crate) shown: HashMap<RecordId, Option<DateTime<Utc>>>,
    /// Those that are there although the list did not show them; they are stored.
    pub(crate) found: HashSet<RecordId>,
    /// Those that are proven to be gone; their rows are still there.
    pub(crate) gone: Proven,
    /// Those that it did not show, while nothing proved that this means anything.
    pub(crate) unproven: Vec<RecordId>,
}

/// Reads these records and stores those that are there. `None` when the run is to stop.
pub(crate) async fn apply(
    pass: &mut Pass<'_>,
    plan: &mut SchemaPlan,
    ids: &[RecordId],
) -> Result<Option<Named>, SyncError> {
    pass.announce(u64::try_from(ids.len()).ok()).await;
    let mut named = Named::default();
    let mut rest = ids;
    while !rest.is_empty() {
        let part;
        (part, rest) = rest.split_at(pass.ports.source.ids_at_once(pass.entity).clamp(1, rest.len()));
        if pass.stop.is_cancelled() {
            return Ok(None);
        }
        let layout = Arc::clone(&plan.mapping.layout);
        let batch = pass.ports.source.by_ids(pass.entity, &layout, part, &pass.ports.order).await;
        let batch = batch.map_err(|source| pass.source_failed(source))?;
        named.shown.extend(batch.ids().iter().enumerate().map(|(row, id)| (*id, batch.modified(row))));
        pass.store(plan, batch, None).await?;
        let absent: Vec<RecordId> = part.iter().copied().filter(|id| !named.shown.contains_key(id)).collect();
        if !absent.is_empty() {
            let controls = controls(pass, ids, &named).await?;
            settle_absent(pass, plan, &absent, &controls, &mut named).await?;
        }
    }
    Ok(Some(named))
}

/// Records that probably exist: some that were shown just now, then others of the replica, none of which is asked for
/// itself. What came last is often deleted together, such as a wrong import.
async fn controls(pass: &Pass<'_>, ids: &[RecordId], named: &Named) -> Result<Vec<RecordId>, SyncError> {
    let mut controls: Vec<RecordId> = named.shown.keys().copied().take(SHOWN_CONTROLS).collect();
    let known = pass.controls(ReadToken(0), ids.len() + SPARE_CONTROLS).await?;
    let asked: HashSet<&RecordId> = ids.iter().collect();
    controls.extend(known.into_iter().filter(|known| !asked.contains(known)));
    Ok(controls)
}

/// Records that a list by ids left out are deleted or not readable: only reading them one by one tells.
async fn settle_absent(
    pass: &mut Pass<'_>,
    plan: &mut SchemaPlan,
    absent: &[RecordId],
    controls: &[RecordId],
    named: &mut Named,
) -> Result<(), SyncError> {
    for asked in absent.chunks(MAX_EVIDENCE) {
        let Some(evidence) = deletions::question(pass, asked, controls, false).await? else {
            named.unproven.extend(asked);
            continue;
        };
        named.found.extend(&evidence.found);
        deletions::settle(pass, plan, evidence, &mut named.gone).await?;
    }
    Ok(())
}
