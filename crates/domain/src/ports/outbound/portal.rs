//! Whose replica this is, and how its portal understands what it is asked.

use async_trait::async_trait;

use crate::entity::EntityType;
use crate::error::StoreError;
use crate::portal::{EntityProbe, KeptProbe, KnownPortal, PortalProfile};

/// What came of the claim that a replica belongs to a portal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// It does, from now on if not before.
    Ours,
    /// It belongs to the portal with this address.
    Another(String),
}

/// Remembers the portal behind the replica, and how it understands what it is asked.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait PortalStore: Send + Sync {
    /// Claims the replica for the portal with this address: granted when it has none yet, or this one. With `moved`, the
    /// portal that it had is known to have this address now.
    async fn claim(&self, address: &str, moved: bool) -> Result<Claim, StoreError>;

    /// The portal that the replica belongs to; `None` before its first sync.
    async fn portal(&self) -> Result<Option<KnownPortal>, StoreError>;

    /// The last probe of an entity.
    async fn probe(&self, entity: EntityType) -> Result<Option<KeptProbe>, StoreError>;

    /// Keeps what was found out about the user behind the webhook.
    async fn keep_profile(&self, profile: &PortalProfile) -> Result<(), StoreError>;

    /// Keeps a probe, as made by the user whose profile was kept last.
    async fn keep_probe(&self, probe: &EntityProbe) -> Result<(), StoreError>;
}
