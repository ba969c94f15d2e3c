//! The right to work on a scope for a limited time.

use chrono::{DateTime, Utc};

use crate::entity::EntityType;

/// What a lease is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One entity's cursor.
    Sync(EntityType),
    /// Deciding which syncs are due.
    Scheduler,
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scope::Sync(entity) => write!(f, "sync:{entity}"),
            Scope::Scheduler => f.write_str("scheduler"),
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
