//! Answers about the replica.

use async_trait::async_trait;
use b24sync_domain::entity::EntityType;
use b24sync_domain::error::StoreError;
use b24sync_domain::lease::Scope;
use b24sync_domain::ports::{
    EntityOverview, Instances, LeaseStore, LoggedRun, PortalOverview, Quarantined, RunBoard, RunLog, RunningSync,
    StatusQuery,
};

use crate::holding::LEASE_TTL;
use crate::ports::StatusPorts;
use crate::service::ServicePorts;

/// Implements [`StatusQuery`] over the stores.
#[derive(Clone)]
pub struct StatusService {
    ports: StatusPorts,
}

impl StatusService {
    /// Over these ports.
    pub fn new(ports: StatusPorts) -> StatusService {
        StatusService { ports }
    }
}

/// What is on or queued. Where a process is gone, its lease is freed and its run closed before: it is no running sync until
/// somebody goes on with it.
pub(crate) async fn running(
    board: &dyn RunBoard,
    runs: &dyn RunLog,
    leases: &dyn LeaseStore,
    instances: &dyn Instances,
) -> Result<Vec<RunningSync>, StoreError> {
    let running = board.running().await?;
    let is_gone =
        |sync: &RunningSync| !sync.queued && sync.holder.as_deref().is_none_or(|holder| instances.is_gone(holder));
    if !running.iter().any(is_gone) {
        return Ok(running);
    }
    free(leases, instances).await?;
    runs.close_abandoned().await?;
    board.running().await
}

/// Frees leases under which a run is marked as running although its process is certainly gone: they need not run out
/// first.
pub(crate) async fn free_leases_of_the_gone(ports: &ServicePorts) -> Result<(), StoreError> {
    free(ports.leases.as_ref(), ports.instances.as_ref()).await
}

async fn free(leases: &dyn LeaseStore, instances: &dyn Instances) -> Result<(), StoreError> {
    let scopes: Vec<Scope> = Scope::of_runs().collect();
    free_gone(leases, instances, &scopes).await
}

/// Frees those of these leases whose holder is certainly gone.
pub(crate) async fn free_gone(
    leases: &dyn LeaseStore,
    instances: &dyn Instances,
    scopes: &[Scope],
) -> Result<(), StoreError> {
    let me = instances.me();
    for (scope, held) in leases.holders(scopes).await? {
        if instances.is_gone(&held.holder)
            && let Some(lease) = leases.take_over(scope, &me, &held, LEASE_TTL).await?
        {
            leases.release(&lease).await?;
        }
    }
    Ok(())
}

#[async_trait]
impl StatusQuery for StatusService {
    async fn overview(&self) -> Result<Vec<EntityOverview>, StoreError> {
        let StatusPorts { runs, board, leases, instances, .. } = &self.ports;
        running(board.as_ref(), runs.as_ref(), leases.as_ref(), instances.as_ref()).await?;
        self.ports.status.overview().await
    }

    async fn tables(&self) -> Result<Vec<EntityType>, StoreError> {
        self.ports.status.tables().await
    }

    async fn recent_runs(&self, limit: u32) -> Result<Vec<LoggedRun>, StoreError> {
        self.ports.runs.close_abandoned().await?;
        self.ports.runs.recent(limit).await
    }

    async fn portal(&self) -> Result<Option<PortalOverview>, StoreError> {
        let Some(portal) = self.ports.portals.portal().await? else { return Ok(None) };
        let mut probes = Vec::new();
        for entity in EntityType::all() {
            probes.extend(self.ports.portals.probe(entity).await?);
        }
        Ok(Some(PortalOverview { portal, probes }))
    }

    async fn quarantine(&self, entity: Option<EntityType>, limit: u32) -> Result<Vec<Quarantined>, StoreError> {
        self.ports.status.quarantine(entity, limit).await
    }
}
