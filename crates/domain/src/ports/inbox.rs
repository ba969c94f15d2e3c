//! Ports of the inbox: taking events in, keeping them as hints, showing and steering them.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::control::Actor;
use crate::entity::EntityType;
use crate::error::StoreError;
use crate::event::{Hint, Target};
use crate::inbox::{Backlog, Claimed, Outcome};

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acceptance {
    /// It is kept, and will be applied.
    Stored,
    /// Events of its entity are switched off.
    SwitchedOff,
}

/// Takes events in.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait EventIntake: Send + Sync {
    /// Keeps the hint that an event left. MUST answer only when it is committed, and within two seconds; MUST keep it even
    /// when nobody waits for the answer any more.
    async fn take(&self, hint: Hint) -> Result<Acceptance, StoreError>;
}

/// Which hints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HintFilter {
    /// Only this entity's.
    pub entity: Option<EntityType>,
    /// Only this one.
    pub target: Option<Target>,
    /// Only dead letters, or only those that still wait.
    pub dead: Option<bool>,
}

/// A hint as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxEntry {
    /// Its entity.
    pub entity: EntityType,
    /// What it is about.
    pub target: Target,
    /// When its first event came that was not looked at yet.
    pub first_at: DateTime<Utc>,
    /// When its last event came.
    pub last_at: DateTime<Utc>,
    /// When it is looked at next.
    pub due_at: DateTime<Utc>,
    /// Failed attempts.
    pub attempts: u32,
    /// Why the last attempt failed.
    pub error: Option<String>,
    /// Since when it is a dead letter.
    pub dead_at: Option<DateTime<Utc>>,
}

/// How full the inbox is, of one entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InboxDepth {
    /// The entity.
    pub entity: EntityType,
    /// Hints that wait.
    pub pending: u64,
    /// Dead letters.
    pub dead: u64,
    /// How long the oldest one that waits has waited.
    pub oldest: Option<Duration>,
}

/// When instances noted last that they take events in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Beat {
    /// How long ago this one did; `None` at its start.
    pub own: Option<Duration>,
    /// How long ago another one did.
    pub others: Option<Duration>,
}

/// Keeps hints until they are applied.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait EventInbox: Send + Sync {
    /// Keeps hints, all in one commit that survives a crash of the database; one that waits already gets a new
    /// generation, and a dead letter lives again. Answers in their order. MUST look at the entity's settings in the same
    /// moment.
    async fn accept(&self, hints: &[Hint]) -> Result<Vec<Acceptance>, StoreError>;

    /// What waits, by entity; entities without hints are left out.
    async fn backlog(&self) -> Result<Vec<Backlog>, StoreError>;

    /// Hints of the entity that are due, those that wait longest first, at most [`AT_ONCE`](crate::inbox::AT_ONCE). They
    /// stay until they are settled: only the holder of the lease for the entity's hints asks.
    async fn due(&self, entity: EntityType) -> Result<Vec<Claimed>, StoreError>;

    /// Settles claimed hints. One that has another generation by now MUST stay, and be due like a new one.
    async fn settle(&self, entity: EntityType, outcomes: &[(Claimed, Outcome)]) -> Result<(), StoreError>;

    /// How full it is, by entity, in the catalogue's order.
    async fn depth(&self) -> Result<Vec<InboxDepth>, StoreError>;

    /// Hints, the oldest first, and how many match the filter in all.
    async fn list(&self, filter: &HintFilter, offset: u64, limit: u32) -> Result<(Vec<InboxEntry>, u64), StoreError>;

    /// Makes hints due now, with no attempts made; dead letters live again. Returns how many.
    async fn retry(&self, filter: &HintFilter, actor: &Actor) -> Result<u64, StoreError>;

    /// Forgets hints, and remembers who did it. Returns how many.
    async fn discard(&self, filter: &HintFilter, actor: &Actor) -> Result<u64, StoreError>;

    /// Notes that this instance takes events in, and tells when it and others did so last.
    async fn beat(&self, holder: &str) -> Result<Beat, StoreError>;
}

/// Shows and steers the inbox.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait InboxControl: Send + Sync {
    /// How full it is, by entity, in the catalogue's order.
    async fn depth(&self) -> Result<Vec<InboxDepth>, StoreError>;

    /// Hints, the oldest first, and how many match the filter in all.
    async fn list(&self, filter: &HintFilter, offset: u64, limit: u32) -> Result<(Vec<InboxEntry>, u64), StoreError>;

    /// Makes hints due now; dead letters live again. Returns how many.
    async fn retry(&self, filter: &HintFilter, actor: &Actor) -> Result<u64, StoreError>;

    /// Forgets hints. Returns how many.
    async fn discard(&self, filter: &HintFilter, actor: &Actor) -> Result<u64, StoreError>;
}
