//! What an operator may set for each entity.

use crate::entity::EntityType;

/// What becomes of the row of a record that is proven to be deleted in the portal (`DELETE_MODE`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeleteMode {
    /// It goes.
    #[default]
    Hard,
    /// It stays, with the time of its deletion in `deleted_at`.
    Soft,
}

/// Settings of one entity (`sync_config`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntitySettings {
    /// Whose settings these are.
    pub entity: EntityType,
    /// Whether scheduled syncs run at all.
    pub enabled: bool,
    /// Minutes between scheduled syncs, 5 to 1440.
    pub sync_interval_minutes: i32,
    /// Whether events of the portal are applied.
    pub webhook_enabled: bool,
}
