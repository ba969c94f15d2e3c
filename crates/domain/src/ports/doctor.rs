//! Ports of the self-test: looking at a database and at a project's keys without relying on anything there.

use std::time::Duration;

use async_trait::async_trait;

use crate::doctor::facts::{
    Arrival, BrokenIndex, ConnectionFacts, MigrationFacts, OpenObject, Pooling, RightsFacts, ServerFacts,
};
use crate::error::{BoxError, StoreError};

/// Looks at a database, migrated or not. Each question is answered by itself: one that fails says nothing of the others.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait DatabaseExaminer: Send + Sync {
    /// The server and the login.
    async fn server(&self) -> Result<ServerFacts, StoreError>;

    /// What lies between us and the server. MUST leave nothing behind.
    async fn pooling(&self) -> Result<Pooling, StoreError>;

    /// How many connections there may be.
    async fn connections(&self) -> Result<ConnectionFacts, StoreError>;

    /// What the login may do.
    async fn rights(&self) -> Result<RightsFacts, StoreError>;

    /// Which control tables there are.
    async fn migrations(&self) -> Result<MigrationFacts, StoreError>;

    /// Brings the control tables to this version.
    async fn migrate(&self) -> Result<(), StoreError>;

    /// Objects that are open to others, and tables without row level security. The database has been migrated.
    async fn open_objects(&self) -> Result<Vec<OpenObject>, StoreError>;

    /// Closes what nobody shares: the control schema and all in it, and puts row level security before tables that this
    /// program made. MUST leave grants on replica tables as they are.
    async fn close(&self) -> Result<(), StoreError>;

    /// Indexes of our tables that do not work.
    async fn broken_indexes(&self) -> Result<Vec<BrokenIndex>, StoreError>;
}

/// Knows when events came.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait ArrivalStore: Send + Sync {
    /// When events of each entity came last, and how many records were changed in the portal more than `grace` later, by
    /// their own times; in the catalogue's order. Changes of the last minutes do not count: their events may be under way.
    async fn arrivals(&self, grace: Duration) -> Result<Vec<Arrival>, StoreError>;
}

/// Asks a project for its keys.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait KeySetExaminer: Send + Sync {
    /// Who has to have issued a token.
    fn issuer(&self) -> String;

    /// How many keys the project publishes that verify tokens; asks each time. The error holds no secret.
    async fn published_keys(&self) -> Result<usize, BoxError>;
}
