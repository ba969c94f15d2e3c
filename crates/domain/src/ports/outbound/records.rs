//! The replica tables: rows, changes of fields, deletions.

use std::collections::HashMap;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use crate::entity::{EntityType, RecordId};
use crate::error::StoreError;
use crate::field::FieldName;
use crate::lease::Lease;
use crate::mapping::ColumnName;
use crate::mapping::answer::AnswerHash;
use crate::mapping::rows::{MappedBatch, Rejection};
use crate::mapping::schema::{KnownTable, PendingChange, SchemaPlan};
use crate::progress::Cursor;
use crate::record::ReadToken;
use crate::run::RunId;

/// Where a run stands once a batch is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Which run.
    pub run: RunId,
    /// Its new cursor; `None` leaves it where it is.
    pub cursor: Option<Cursor>,
    /// The portal's time at the run's first page.
    pub source_start: DateTime<Utc>,
    /// Records that the run has processed with this step, all in all: a step that is repeated counts once.
    pub processed: u64,
}

/// What became of a committed batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commit {
    /// Rows inserted or changed.
    pub written: u64,
    /// Rows that were equal already.
    pub unchanged: u64,
    /// Records whose stored version may be newer than the one read, because the reads overlapped: read them again.
    pub contested: Vec<RecordId>,
    /// Records that only the database could refuse (constraints or triggers of the user's, sizes); in quarantine now.
    pub refused: Vec<Rejection>,
}

/// Keeps the replica tables.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait RecordStore: Send + Sync {
    /// What is known of the entity's table.
    async fn known_table(&self, entity: EntityType) -> Result<KnownTable, StoreError>;

    /// Brings the table and the data dictionary to `plan`; idempotent. MUST NOT drop, rename or narrow a column. Where
    /// records are stored already, remembers the plan's changes until [`DriftStore`] is told that they have reached all
    /// of them, and makes every row be written again for those that ask for it. Fails
    /// with [`StoreError::CannotWiden`] for the first column whose widening the database refuses, after everything else
    /// has been done.
    async fn ensure_table(&self, plan: &SchemaPlan) -> Result<(), StoreError>;

    /// Remembers that a column cannot be widened.
    async fn pin_column(&self, entity: EntityType, column: &ColumnName) -> Result<(), StoreError>;

    /// Makes the rows of these records be written again with the next read of them, whatever is remembered of their
    /// content.
    async fn forget(&self, entity: EntityType, ids: &[RecordId]) -> Result<(), StoreError>;

    /// The answers by which these records' rows were written last, as far as they are known and the rows are there. A
    /// store need not remember any; then no batch has records that are the same.
    async fn answers(&self, entity: EntityType, ids: &[RecordId]) -> Result<HashMap<RecordId, AnswerHash>, StoreError> {
        let _ = (entity, ids);
        Ok(HashMap::new())
    }

    /// Upserts `batch`, puts its rejections into quarantine, takes stored records out of it, and records the run's
    /// progress: all in one transaction; idempotent. MUST keep a row that comes from a later read. MUST NOT write a row
    /// whose content is equal. Of the records that are said to be the [`same`](MappedBatch::same) remembers that this read
    /// has seen them; one whose row was written by another answer meanwhile MUST count as contested, unless a later read
    /// wrote it. MUST fail with [`StoreError::LeaseLost`] on a stale lease.
    async fn commit(&self, batch: &MappedBatch, step: &Step, lease: &Lease) -> Result<Commit, StoreError>;
}

/// Remembers changes of fields until they have reached the records that were stored before.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait DriftStore: Send + Sync {
    /// Changes that have not reached all stored records yet, by field.
    async fn pending(&self, entity: EntityType) -> Result<Vec<PendingChange>, StoreError>;

    /// A full run that is at its start reads every record with the fields as they are now: once it is complete, the
    /// changes that are pending now have reached all of them. MUST fail with [`StoreError::LeaseLost`] on a stale lease.
    async fn cover(&self, entity: EntityType, run: RunId, lease: &Lease) -> Result<(), StoreError>;

    /// Records up to the cursor have been read again for the sake of these fields; `None`: all have, and the changes are
    /// forgotten. MUST fail with [`StoreError::LeaseLost`] on a stale lease.
    async fn advance(
        &self,
        entity: EntityType,
        fields: &[FieldName],
        cursor: Option<Cursor>,
        lease: &Lease,
    ) -> Result<(), StoreError>;
}

/// Takes deleted records out of the replica.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait DeletionStore: Send + Sync {
    /// Live records that no read since `since` has seen, above `after`, ascending by id; rows of an adopted table that
    /// were never read, and records in quarantine that were never stored, are among them.
    async fn unseen(
        &self,
        entity: EntityType,
        since: ReadToken,
        after: Cursor,
        limit: u32,
    ) -> Result<Vec<RecordId>, StoreError>;

    /// Live records above `after` and up to `up_to`, or all above `after`, ascending by id, and whether the table has their
    /// row; records in quarantine that were never stored among them, rows that were never read not.
    async fn live_ids(
        &self,
        entity: EntityType,
        after: Cursor,
        up_to: Option<Cursor>,
    ) -> Result<Vec<(RecordId, bool)>, StoreError>;

    /// Live records that reads since `since` have seen, the one that was seen last first; at most `limit`. Those of which an
    /// event in the inbox says that they are gone come after all others.
    async fn controls(&self, entity: EntityType, since: ReadToken, limit: u32) -> Result<Vec<RecordId>, StoreError>;

    /// How many live records there are.
    async fn live(&self, entity: EntityType) -> Result<u64, StoreError>;

    /// Leaves tombstones for these records and deletes their rows, in one transaction. Returns those that were buried:
    /// MUST leave out a record whose stored version was written after `read` was drawn, and one whose row the database
    /// does not let go: that one is put into quarantine. MUST fail with
    /// [`StoreError::LeaseLost`] on a stale lease.
    async fn bury(
        &self,
        entity: EntityType,
        ids: &[RecordId],
        read: ReadToken,
        lease: &Lease,
    ) -> Result<Vec<RecordId>, StoreError>;
}
