//! The portal: reading it, and the order of reads.

use std::sync::Arc;

use async_trait::async_trait;

use crate::appraisal::Appraisal;
use crate::entity::{EntityType, RecordId};
use crate::error::{SourceError, StoreError};
use crate::field::FieldDescription;
use crate::portal::{PortalProfile, Probed};
use crate::progress::{Cursor, TimeBound, Window};
use crate::record::{Layout, ReadToken, RecordBatch};

/// What to list.
#[derive(Debug, Clone)]
pub struct ListQuery {
    /// Which entity.
    pub entity: EntityType,
    /// Which fields.
    pub layout: Arc<Layout>,
    /// Which records.
    pub window: Window,
    /// Records above this id only.
    pub cursor: Cursor,
}

/// What an incremental pass asks for first.
#[derive(Debug, Clone)]
pub struct NewsQuery {
    /// Which entity.
    pub entity: EntityType,
    /// Which fields.
    pub layout: Arc<Layout>,
    /// Records changed at or after this instant of the portal's clock, above this id.
    pub changed: (TimeBound, Cursor),
    /// Records above this id, whatever their times say.
    pub created: Cursor,
}

/// The first pages of the two listings of an incremental pass.
#[derive(Debug, Clone)]
pub struct News {
    /// Changed records; `exhausted` when there is none.
    pub changed: RecordBatch,
    /// New records; `exhausted` when there is none.
    pub created: RecordBatch,
}

/// Records asked for one by one at most in one request for evidence: 50 commands, one of them for the control record.
pub const MAX_EVIDENCE: usize = 49;

/// What reading records by their ids, one by one, said about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Drawn before the request was sent.
    pub read: ReadToken,
    /// Whether the control record was found: only then do the others' answers mean anything.
    pub control_found: bool,
    /// Records that are there.
    pub found: Vec<RecordId>,
    /// Records that the portal says it does not have.
    pub missing: Vec<RecordId>,
    /// Records that the user may not read: not deleted.
    pub denied: Vec<RecordId>,
}

/// Reads a Bitrix24 portal. Transient failures are retried inside; what comes out is final for the call.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait CrmSource: Send + Sync {
    /// The portal's host, and its port where it is not the usual one: what tells one portal from another without asking
    /// it. MUST NOT hold the webhook's code.
    fn address(&self) -> String;

    /// Whose webhook this is, what it may do, and the portal's clock.
    async fn profile(&self) -> Result<PortalProfile, SourceError>;

    /// Finds out how the portal understands listings of `entity`; changes nothing there. MUST report a way to write a
    /// bound only when it selected a known record from its own modified time on, and no longer from a second later on.
    async fn probe(&self, entity: EntityType) -> Result<Probed, SourceError>;

    /// Describes every field of `entity` that this source delivers, user fields included, by classic names.
    async fn fields(&self, entity: EntityType) -> Result<Vec<FieldDescription>, SourceError>;

    /// Reads records above the query's cursor, strictly ascending by id, as many as one request brings (at most 2,500:
    /// 50 commands of 50 records). MUST draw a token from `order` before every attempt and report the one of the attempt
    /// that succeeded. MUST set `exhausted` only when a valid empty page followed the last record. MUST NOT use
    /// anything that came after a short or faulty page of the same answer.
    async fn list(&self, query: &ListQuery, order: &Arc<dyn ReadOrder>) -> Result<RecordBatch, SourceError>;

    /// Reads the first page of each listing of an incremental pass, in one request: most passes find nothing, and cost
    /// no more than this. The same rules as for [`CrmSource::list`].
    async fn news(&self, query: &NewsQuery, order: &Arc<dyn ReadOrder>) -> Result<News, SourceError>;

    /// How many ids [`CrmSource::by_ids`] should be given at once, from 50 to 2,500: fewer where records are heavy, or where
    /// the portal did not bear more. May change with each read.
    fn ids_at_once(&self, entity: EntityType) -> usize;

    /// Reads the records with these ids, at most 2,500, ascending by id. A record that is missing from the answer is
    /// deleted or not readable: the caller MUST NOT take its absence as a proof of deletion.
    async fn by_ids(
        &self,
        entity: EntityType,
        layout: &Arc<Layout>,
        ids: &[RecordId],
        order: &Arc<dyn ReadOrder>,
    ) -> Result<RecordBatch, SourceError>;

    /// Reads each of these records, at most [`MAX_EVIDENCE`], and `control`, which is known to exist, by its id. MUST
    /// report a record as missing only when the portal says in so many words that it has none (Bitrix24 REST 9.5:
    /// "not found" is also what it says of a type that is gone, hence the control record).
    async fn evidence(
        &self,
        entity: EntityType,
        ids: &[RecordId],
        control: RecordId,
        order: &Arc<dyn ReadOrder>,
    ) -> Result<Evidence, SourceError>;

    /// What it takes to read all records of `entity` in `window`, found out with a few small requests; `None` when the
    /// portal does not say how many there are.
    async fn appraise(
        &self,
        entity: EntityType,
        layout: &Arc<Layout>,
        window: Window,
    ) -> Result<Option<Appraisal>, SourceError>;

    /// About how many records there are, for showing progress; `None` when the portal does not say.
    async fn count(&self, entity: EntityType) -> Result<Option<u64>, SourceError>;
}

/// Numbers reads of the portal, across all processes that share a database.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait ReadOrder: Send + Sync {
    /// A token greater than every one drawn before it, by anybody.
    async fn next(&self) -> Result<ReadToken, StoreError>;
}
