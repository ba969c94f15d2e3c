//! Answers about the replica.

use std::time::Duration;

use async_trait::async_trait;
use b24sync_domain::entity::EntityType;
use b24sync_domain::error::StoreError;
use b24sync_domain::lease::{Grant, Scope};
use b24sync_domain::ports::{EntityOverview, Health, HealthQuery, LoggedRun, PortalOverview, Quarantined, StatusQuery};
use b24sync_domain::run::RunStatus;

use crate::holding::LEASE_TTL;
use crate::ports::StatusPorts;

/// How long the database may take to answer before it counts as gone.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// Implements [`StatusQuery`] and [`HealthQuery`] over the stores.
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

impl StatusService {
    /// Frees leases under which a run is marked as running although its process is certainly gone: they need not run
    /// out first.
    async fn free_leases_of_the_gone(&self, overview: &[EntityOverview]) -> Result<(), StoreError> {
        let running = |entity: &&EntityOverview| {
            entity.last_run.as_ref().is_some_and(|run| run.status == RunStatus::Running.as_str())
        };
        let me = self.ports.instances.me();
        for entity in overview.iter().filter(running) {
            let scope = Scope(entity.entity);
            let lease = match self.ports.leases.acquire(scope, &me, LEASE_TTL).await? {
                Grant::Granted(lease) => Some(lease),
                Grant::Held(held) if self.ports.instances.is_gone(&held.holder) => {
                    self.ports.leases.take_over(scope, &me, &held, LEASE_TTL).await?
                }
                Grant::Held(_) => None,
            };
            if let Some(lease) = lease {
                self.ports.leases.release(&lease).await?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl StatusQuery for StatusService {
    async fn overview(&self) -> Result<Vec<EntityOverview>, StoreError> {
        let mut overview = self.ports.status.overview().await?;
        self.free_leases_of_the_gone(&overview).await?;
        if self.ports.runs.close_abandoned().await? > 0 {
            overview = self.ports.status.overview().await?;
        }
        Ok(overview)
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

#[async_trait]
impl HealthQuery for StatusService {
    async fn health(&self) -> Health {
        let answer = tokio::time::timeout(HEALTH_TIMEOUT, self.ports.runs.recent(1)).await;
        Health { database: matches!(answer, Ok(Ok(_))), scheduler_running: false, jobs: 0 }
    }
}
