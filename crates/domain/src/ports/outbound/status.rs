//! How the replica stands.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::LoggedRun;
use crate::entity::{EntityType, RecordId};
use crate::error::StoreError;
use crate::mapping::rows::{Rejection, RowBatch};
use crate::progress::Cursor;
use crate::reconcile::Fingerprint;
use crate::settings::EntitySettings;

/// A record in quarantine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Its entity.
    pub entity: EntityType,
    /// Which record, and why.
    pub rejection: Rejection,
    /// When it was first refused.
    pub first_seen: DateTime<Utc>,
    /// When it was last refused.
    pub last_seen: DateTime<Utc>,
}

/// How an entity's replica stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntityOverview {
    /// The entity.
    pub entity: EntityType,
    /// Its settings.
    pub settings: EntitySettings,
    /// Rows of the table, of a large one as they were some seconds ago; `None` when there is no table yet.
    pub rows: Option<i64>,
    /// Records in quarantine.
    pub quarantined: i64,
    /// The run that is on or to be gone on with, else its last one.
    pub last_run: Option<LoggedRun>,
    /// Portal time up to which it is complete.
    pub watermark: Option<DateTime<Utc>>,
    /// How long ago that is, by the store's clock.
    pub lag: Option<Duration>,
    /// How long ago the newest change was made that was applied, by the store's clock and as of the last run.
    pub newest_change_age: Option<Duration>,
    /// What the last comparison with the portal found.
    pub drift: Option<Drift>,
}

/// What a complete comparison of portal and replica found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drift {
    /// Records that the table lacks.
    pub missing: u64,
    /// Rows that the portal does not show.
    pub extra: u64,
    /// Records whose content differs, or whose rows somebody changed.
    pub different: u64,
    /// When, by the store's clock.
    pub at: DateTime<Utc>,
}

/// Answers questions about the replica.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait StatusStore: Send + Sync {
    /// How every entity stands, in the catalogue's order.
    async fn overview(&self) -> Result<Vec<EntityOverview>, StoreError>;

    /// Entities that have a replica table, in the catalogue's order.
    async fn tables(&self) -> Result<Vec<EntityType>, StoreError>;

    /// Records in quarantine, of one entity or of all, oldest first.
    async fn quarantine(&self, entity: Option<EntityType>, limit: u32) -> Result<Vec<Quarantined>, StoreError>;

    /// Remembers what a complete comparison found: records missing, extra, and different.
    async fn keep_drift(&self, entity: EntityType, missing: u64, extra: u64, different: u64) -> Result<(), StoreError>;

    /// Of these rows, those that the table has with other content. Rows that it does not have do not count.
    async fn differing(&self, rows: &RowBatch) -> Result<Vec<RecordId>, StoreError>;

    /// What the replica has of the records above `after` and up to `up_to`, or of all above `after`, ascending by id; at
    /// most `limit` of them. Rows that were never read by this program are among them, with an unknown hash.
    async fn fingerprints(
        &self,
        entity: EntityType,
        after: Cursor,
        up_to: Option<Cursor>,
        limit: u32,
    ) -> Result<Vec<Fingerprint>, StoreError>;
}
