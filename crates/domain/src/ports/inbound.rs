//! Ports that the service implements and the outside calls: HTTP, the command line, other services.

use async_trait::async_trait;

use super::outbound::{EntityOverview, LoggedRun, Quarantined};
use crate::access::{Identity, Refusal};
use crate::entity::EntityType;
use crate::error::StoreError;
use crate::portal::{KeptProbe, KnownPortal};

/// The portal of a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalOverview {
    /// Who it is and what its webhook's owner may do.
    pub portal: KnownPortal,
    /// How it understands listings, for entities that were probed, in the catalogue's order.
    pub probes: Vec<KeptProbe>,
}

/// Answers questions about the replica and its syncs.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait StatusQuery: Send + Sync {
    /// How every entity stands, in the catalogue's order. Runs whose process is gone are closed first, so that what is
    /// shown as running runs.
    async fn overview(&self) -> Result<Vec<EntityOverview>, StoreError>;

    /// Entities that have a replica table, in the catalogue's order.
    async fn tables(&self) -> Result<Vec<EntityType>, StoreError>;

    /// The last runs, newest first.
    async fn recent_runs(&self, limit: u32) -> Result<Vec<LoggedRun>, StoreError>;

    /// The portal that the replica belongs to and how it understands what it is asked; `None` before the first sync.
    async fn portal(&self) -> Result<Option<PortalOverview>, StoreError>;

    /// Records in quarantine, of one entity or of all, oldest first.
    async fn quarantine(&self, entity: Option<EntityType>, limit: u32) -> Result<Vec<Quarantined>, StoreError>;
}

/// Whether the service can do its work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Whether the database answers.
    pub database: bool,
    /// Whether a scheduler runs in this process.
    pub scheduler_running: bool,
    /// Jobs that the scheduler knows.
    pub jobs: usize,
}

impl Health {
    /// Whether requests can be served.
    pub fn is_healthy(&self) -> bool {
        self.database
    }
}

/// Says whether the service can do its work.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait HealthQuery: Send + Sync {
    /// Asks what the service depends on; answers within two seconds.
    async fn health(&self) -> Health;
}

/// Figures for whoever watches the service.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait MetricsQuery: Send + Sync {
    /// All figures in the text format of Prometheus (version 0.0.4). Those of the database are left out while it does not
    /// answer.
    async fn exposition(&self) -> String;
}

/// Tells who calls.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Authenticator: Send + Sync {
    /// The caller that a bearer token speaks for; without `Bearer `. MUST fail where it is in doubt, and MUST NOT wait
    /// longer than a few seconds.
    async fn identify(&self, token: &str) -> Result<Identity, Refusal>;

    /// Forgets what is remembered of keys, for example because one was revoked: the next token makes them be asked for.
    fn forget_keys(&self);
}
