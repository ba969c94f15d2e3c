//! Ports that the service implements and the outside calls: HTTP, the command line, other services.

use async_trait::async_trait;

use super::outbound::{EntityOverview, LoggedRun, Quarantined};
use crate::entity::EntityType;
use crate::error::StoreError;

/// Answers questions about the replica and its syncs.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait StatusQuery: Send + Sync {
    /// How every entity stands, in the catalogue's order. Runs whose process is gone are closed first, so that what is
    /// shown as running runs.
    async fn overview(&self) -> Result<Vec<EntityOverview>, StoreError>;

    /// The last runs, newest first.
    async fn recent_runs(&self, limit: u32) -> Result<Vec<LoggedRun>, StoreError>;

    /// Records in quarantine, of one entity or of all, oldest first.
    async fn quarantine(&self, entity: Option<EntityType>, limit: u32) -> Result<Vec<Quarantined>, StoreError>;
}
