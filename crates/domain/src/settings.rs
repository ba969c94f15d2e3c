//! What an operator may set for each entity.

use chrono::{DateTime, Utc};

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
    /// When its last sync ended.
    pub last_sync_at: Option<DateTime<Utc>>,
}

/// Minutes between scheduled syncs, the bounds of what may be set.
pub const INTERVAL_MINUTES: std::ops::RangeInclusive<i32> = 5..=1440;

/// What is to be changed of an entity's settings; `None` leaves it as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsChange {
    /// Whose settings.
    pub entity: EntityType,
    /// Whether scheduled syncs run.
    pub enabled: Option<bool>,
    /// Minutes between scheduled syncs, within [`INTERVAL_MINUTES`].
    pub sync_interval_minutes: Option<i32>,
    /// Whether events of the portal are applied.
    pub webhook_enabled: Option<bool>,
}

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// The settings as they are now.
    pub settings: EntitySettings,
    /// What has changed; nothing, where all was so already.
    pub what: SettingsChange,
}

impl SettingsChange {
    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.enabled.is_none() && self.sync_interval_minutes.is_none() && self.webhook_enabled.is_none()
    }

    /// What of it is not so already.
    #[must_use]
    pub fn beyond(&self, settings: &EntitySettings) -> SettingsChange {
        SettingsChange {
            entity: self.entity,
            enabled: self.enabled.filter(|wanted| *wanted != settings.enabled),
            sync_interval_minutes: self
                .sync_interval_minutes
                .filter(|wanted| *wanted != settings.sync_interval_minutes),
            webhook_enabled: self.webhook_enabled.filter(|wanted| *wanted != settings.webhook_enabled),
        }
    }

    /// What is wrong with it, in words for whoever asked for it.
    ///
    /// # Errors
    /// When the interval is out of bounds, or nothing is to be changed.
    pub fn check(&self) -> Result<(), String> {
        if self.is_empty() {
            return Err("nothing to change: give enabled, sync_interval_minutes or webhook_enabled".to_owned());
        }
        match self.sync_interval_minutes {
            Some(minutes) if !INTERVAL_MINUTES.contains(&minutes) => {
                Err(format!("sync_interval_minutes is {minutes}, but must be from 5 to 1440"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_so_already_is_no_change() {
        let entity: EntityType = "deal".parse().unwrap();
        let settings = EntitySettings {
            entity,
            enabled: true,
            sync_interval_minutes: 30,
            webhook_enabled: false,
            last_sync_at: None,
        };
        let wanted = |enabled, sync_interval_minutes, webhook_enabled| SettingsChange {
            entity,
            enabled,
            sync_interval_minutes,
            webhook_enabled,
        };
        assert!(wanted(Some(true), Some(30), Some(false)).beyond(&settings).is_empty());
        assert_eq!(wanted(Some(true), Some(15), Some(true)).beyond(&settings), wanted(None, Some(15), Some(true)));
    }
}
