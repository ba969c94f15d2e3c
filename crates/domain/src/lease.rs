//! The right to work on a scope for a limited time.

use chrono::{DateTime, Utc};

use crate::entity::EntityType;
use crate::run::RunKind;

/// What a lease is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One entity's cursor.
    Sync(EntityType),
    /// Reading the records of an entity that somebody named.
    Hints(EntityType),
    /// Deciding which syncs are due.
    Scheduler,
    /// Renewing the application's tokens.
    Tokens,
    /// Looking after the application's handlers and emptying its offline queue.
    Application,
}

impl Scope {
    /// What a run of this kind is done under. Named records do not wait for a sync that lists them all.
    pub fn of(entity: EntityType, kind: RunKind) -> Scope {
        match kind {
            RunKind::Webhook => Scope::Hints(entity),
            RunKind::Full | RunKind::Incremental | RunKind::Sweep => Scope::Sync(entity),
        }
    }

    /// Every scope that runs are done under.
    pub fn of_runs() -> impl Iterator<Item = Scope> {
        EntityType::all().flat_map(|entity| [Scope::Sync(entity), Scope::Hints(entity)])
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scope::Sync(entity) => write!(f, "sync:{entity}"),
            Scope::Hints(entity) => write!(f, "hints:{entity}"),
            Scope::Scheduler => f.write_str("scheduler"),
            Scope::Tokens => f.write_str("tokens"),
            Scope::Application => f.write_str("application"),
        }
    }
}

/// A granted lease. The token rises with every change of holder, so that the store can refuse a holder whose lease
/// was taken over (fencing).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What it is about.
    pub scope: Scope,
    /// Rises with each change of holder.
    pub token: i64,
}

/// Somebody else has the lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBy {
    /// Identity that the holder gave itself.
    pub holder: String,
    /// When the lease ends unless it is renewed, by the database's clock.
    pub expires_at: DateTime<Utc>,
}

/// Answer to a request for a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// It is ours.
    Granted(Lease),
    /// It is somebody else's.
    Held(HeldBy),
}
