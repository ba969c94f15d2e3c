//! Whose replica this is, and how its portal understands what it is asked.

use b24sync_domain::entity::EntityType;
use b24sync_domain::error::{Chain, StoreError, SyncError};
use b24sync_domain::portal::{BoundStyle, EntityProbe, Probed};
use b24sync_domain::ports::{Claim, CrmSource, PortalStore};
use chrono::TimeDelta;

use crate::pass::OVERLAP;
use crate::ports::Ports;

/// Claims the replica for the portal that the ports lead to.
pub(crate) async fn claim(ports: &Ports, entity: EntityType) -> Result<(), SyncError> {
    let address = ports.source.address();
    match ports.portals.claim(&address, false).await.map_err(|source| SyncError::Store { entity, source })? {
        Claim::Ours => Ok(()),
        Claim::Another(known) => Err(SyncError::AnotherPortal { known, given: address }),
    }
}

/// The same as [`claim`], without claiming a replica that has no portal yet.
pub(crate) async fn check(ports: &Ports, entity: EntityType) -> Result<(), SyncError> {
    let known = ports.portals.portal().await.map_err(|source| SyncError::Store { entity, source })?;
    let given = ports.source.address();
    match known.map(|portal| portal.address) {
        Some(known) if known != given => Err(SyncError::AnotherPortal { known, given }),
        _ => Ok(()),
    }
}

/// Tells the replica that its portal has the address of `source` now.
///
/// # Errors
/// Whatever the store fails with.
pub async fn moved(portals: &dyn PortalStore, source: &dyn CrmSource) -> Result<(), StoreError> {
    portals.claim(&source.address(), true).await.map(|_| ())
}

/// How the portal wants the bound of a time written; `None` when a listing by time cannot be trusted, or when it is not
/// known whether it can.
pub(crate) async fn bounds(ports: &Ports, entity: EntityType) -> Result<Option<BoundStyle>, SyncError> {
    let kept = ports.portals.probe(entity).await.map_err(|source| SyncError::Store { entity, source })?;
    let probe = match kept {
        Some(kept) if !kept.stale => Some(kept.probe),
        _ => probe(ports, entity).await?,
    };
    let Some(probe) = probe else { return Ok(None) };
    warn(&probe);
    Ok(probe.bounds.filter(|_| probe.allows_incremental()))
}

/// How far a watermark must stay behind the portal's clock: the overlap, and as much more as times may be shown behind it.
pub(crate) async fn overlap(ports: &Ports, entity: EntityType) -> Result<TimeDelta, SyncError> {
    let known = ports.portals.portal().await.map_err(|source| SyncError::Store { entity, source })?;
    Ok(OVERLAP + known.and_then(|portal| portal.profile).map_or(TimeDelta::zero(), |profile| profile.behind))
}

/// Probes at the end of a full pass, so that the incremental ones after it need not. Nothing depends on it here.
pub(crate) async fn probe_if_stale(ports: &Ports, entity: EntityType) {
    let fresh = match ports.portals.probe(entity).await {
        Ok(kept) => kept.is_some_and(|kept| !kept.stale),
        Err(_) => true,
    };
    if !fresh && let Err(error) = probe(ports, entity).await {
        tracing::debug!(entity = %entity, error = %Chain(&error), "could not probe the portal; the next incremental sync does it");
    }
}

async fn probe(ports: &Ports, entity: EntityType) -> Result<Option<EntityProbe>, SyncError> {
    let store = |source| SyncError::Store { entity, source };
    let profile = ports.source.profile().await.map_err(|source| SyncError::Source { entity, source })?;
    ports.portals.keep_profile(&profile).await.map_err(store)?;
    match ports.source.probe(entity).await.map_err(|source| SyncError::Source { entity, source })? {
        Probed::Answered(probe) => {
            ports.portals.keep_probe(&probe).await.map_err(store)?;
            Ok(Some(probe))
        }
        Probed::Empty => Ok(None),
        Probed::Unsettled => {
            tracing::info!(entity = %entity, "the record to probe the portal with changes all the time");
            Ok(None)
        }
    }
}

fn warn(probe: &EntityProbe) {
    if !probe.allows_incremental() {
        tracing::warn!(entity = %probe.entity, "the portal does not select records of {} by time as it should: every sync reads all of them; give the webhook's owner the portal's own time zone", probe.entity);
    } else if probe.ahead > OVERLAP / 2 {
        tracing::warn!(entity = %probe.entity, seconds = probe.ahead.num_seconds(), "modified times lie ahead of the portal's clock: the webhook's owner seems to have another time zone than the portal");
    }
}
