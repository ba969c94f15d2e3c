//! What an operator may set, and who did what.

use async_trait::async_trait;

use super::super::control::Actor;
use crate::entity::EntityType;
use crate::error::StoreError;
use crate::settings::{Changed, EntitySettings, SettingsChange};

/// Keeps what an operator may set, and who did what.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SettingsStore: Send + Sync {
    /// Settings of every entity, in the catalogue's order.
    async fn settings(&self) -> Result<Vec<EntitySettings>, StoreError>;

    /// Changes settings and remembers who changed what, in one transaction. What is so already is not written, and not
    /// remembered.
    async fn change(&self, change: &SettingsChange, actor: &Actor) -> Result<Changed, StoreError>;

    /// Remembers who did something.
    async fn audit(&self, action: &'static str, entity: Option<EntityType>, actor: &Actor) -> Result<(), StoreError>;
}
