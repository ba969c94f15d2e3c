//! Answers about the replica.

use std::time::Duration;

use async_trait::async_trait;
use b24sync_domain::entity::EntityType;
use b24sync_domain::error::StoreError;
use b24sync_domain::ports::{EntityOverview, Health, HealthQuery, LoggedRun, Quarantined, StatusQuery};

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

#[async_trait]
impl StatusQuery for StatusService {
    async fn overview(&self) -> Result<Vec<EntityOverview>, StoreError> {
        self.ports.runs.close_abandoned().await?;
        self.ports.status.overview().await
    }

    async fn recent_runs(&self, limit: u32) -> Result<Vec<LoggedRun>, StoreError> {
        self.ports.runs.close_abandoned().await?;
        self.ports.runs.recent(limit).await
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
