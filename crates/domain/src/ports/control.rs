//! Inbound ports of the running service: starting and stopping syncs, watching them, settings and the run log.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_core::Stream;

use super::outbound::LoggedRun;
use crate::entity::EntityType;
use crate::error::{StoreError, SyncError};
use crate::run::{RunId, RunKind};
use crate::settings::{EntitySettings, SettingsChange};

/// Answer to the wish for a sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Started {
    /// The run that fulfils the wish.
    pub run: RunId,
    /// Whether it was on or queued before.
    pub already_running: bool,
}

/// A run that is on, or waits for somebody to do it.
#[derive(Debug, Clone, PartialEq)]
pub struct RunningSync {
    /// Its number.
    pub run: RunId,
    /// Its entity.
    pub entity: EntityType,
    /// What it does.
    pub kind: RunKind,
    /// Whether nobody is at it yet.
    pub queued: bool,
    /// Whether somebody asked it to stop.
    pub stopping: bool,
    /// What it is at: `schema`, `reading`, `new records`, `new fields`, `deletions`; empty while it is queued.
    pub step: String,
    /// Records processed so far.
    pub processed: u64,
    /// About how many there are in all, if the portal said so.
    pub expected: Option<u64>,
    /// Records a second since it was opened last.
    pub per_second: Option<f64>,
    /// About how long it will take from now on.
    pub remaining: Option<Duration>,
    /// When it began.
    pub started_at: DateTime<Utc>,
    /// Who is at it.
    pub holder: Option<String>,
}

/// What became of the wish to stop an entity's syncs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cancelled {
    /// The one that is on: it ends as `cancelled` within seconds.
    pub asked: Option<RunId>,
    /// Those that were queued, the oldest first, and are no more.
    pub dequeued: Vec<RunId>,
}

/// Starts, stops and watches syncs, whichever instance does them.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SyncControl: Send + Sync {
    /// Queues a sync, unless one that serves the wish is on or queued.
    async fn start(&self, entity: EntityType, kind: RunKind) -> Result<Started, StoreError>;

    /// Asks the entity's running sync to stop, and takes those that are queued out of the queue. What was committed stays,
    /// and the next one goes on from there, unless it is started before the one that is on has ended: then it begins anew.
    async fn cancel(&self, entity: EntityType) -> Result<Cancelled, StoreError>;

    /// Syncs that are on or queued, in the catalogue's order.
    async fn running(&self) -> Result<Vec<RunningSync>, StoreError>;
}

/// Which runs of the log, newest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryFilter {
    /// Only this entity, as written in the log.
    pub entity: Option<String>,
    /// Only this status, as written in the log.
    pub status: Option<String>,
    /// Only this kind, as written in the log.
    pub kind: Option<String>,
    /// Begun at or after.
    pub from: Option<DateTime<Utc>>,
    /// Begun at or before.
    pub to: Option<DateTime<Utc>>,
    /// Runs to leave out.
    pub offset: u64,
    /// Runs at most, up to 100.
    pub limit: u32,
}

/// A part of the run log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// The runs.
    pub runs: Vec<LoggedRun>,
    /// How many match the filter in all.
    pub total: u64,
}

/// Answers questions about what was done.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait HistoryQuery: Send + Sync {
    /// A part of the run log.
    async fn history(&self, filter: &HistoryFilter) -> Result<History, StoreError>;
}

/// A job of the scheduler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its entity.
    pub entity: EntityType,
    /// What it starts: an incremental sync, or a sweep.
    pub kind: RunKind,
    /// When it is due next; `None` when the entity is switched off.
    pub next_run: Option<DateTime<Utc>>,
}

/// How the scheduler stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SchedulerState {
    /// Whether some instance schedules.
    pub running: bool,
    /// Which one, by the identity that it gave itself.
    pub leader: Option<String>,
    /// Its jobs.
    pub jobs: Vec<Job>,
}

/// Answers questions about the scheduler.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SchedulerQuery: Send + Sync {
    /// How it stands, whichever instance leads.
    async fn scheduler(&self) -> Result<SchedulerState, StoreError>;
}

/// Somebody who changes something: for the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Who: a user's id, or `cli`.
    pub subject: String,
    /// The request's number, if there was one.
    pub request: Option<String>,
}

/// Reads and changes what an operator may set.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait SettingsControl: Send + Sync {
    /// Settings of every entity, in the catalogue's order.
    async fn settings(&self) -> Result<Vec<EntitySettings>, StoreError>;

    /// Minutes between scheduled syncs of an entity that has none of its own.
    fn default_interval_minutes(&self) -> i32;

    /// Changes settings, and remembers who did; what is so already stays without a word. Effective on every instance within seconds.
    async fn change(&self, change: &SettingsChange, actor: &Actor) -> Result<EntitySettings, StoreError>;

    /// Remembers that somebody did something else that changes the service's course (`sync.start`, `sync.cancel`).
    async fn audit(&self, action: &'static str, entity: Option<EntityType>, actor: &Actor) -> Result<(), StoreError>;
}

/// How well the values of one field fit, from a sample.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldCheck {
    /// Its column.
    pub column: String,
    /// Its name in the portal.
    pub field: String,
    /// Shapes of up to three values, masked: `aaa 000`.
    pub samples: Vec<String>,
    /// Values that fit, empty ones among them.
    pub valid: u64,
    /// Values that do not.
    pub invalid: u64,
    /// Why, each reason once.
    pub errors: Vec<String>,
}

/// A dry run of the mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingCheck {
    /// Whose fields.
    pub entity: EntityType,
    /// Records in the sample.
    pub records: u64,
    /// Each field, by column.
    pub fields: Vec<FieldCheck>,
}

/// Tries the mapping on a sample of the portal's records; stores nothing.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait MappingQuery: Send + Sync {
    /// Reads one page of records and maps it; the answer may be some seconds old.
    async fn check(&self, entity: EntityType) -> Result<MappingCheck, SyncError>;
}

/// A change that somebody may want to see at once.
#[derive(Debug, Clone, PartialEq)]
pub enum Happening {
    /// Syncs that are on or queued, as they stand.
    Running(Arc<[RunningSync]>),
    /// A run that has ended.
    Ended(LoggedRun),
}

/// What [`Happenings::listen`] gives.
pub type Listener = Pin<Box<dyn Stream<Item = Happening> + Send>>;

/// Tells what happens, on whichever instance.
#[cfg_attr(feature = "mock", mockall::automock)]
pub trait Happenings: Send + Sync {
    /// What happens from now on, the state as it is first; a listener that is too slow loses the oldest ones. Ends with
    /// the service.
    fn listen(&self) -> Listener;
}
