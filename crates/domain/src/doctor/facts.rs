//! What is found out about a database, before anybody judges it.

use chrono::{DateTime, Utc};

use crate::entity::EntityType;

/// The server and the login.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each of which is one")]
pub struct ServerFacts {
    /// As the server writes its version: `15.8 (Debian 15.8-0+deb12u1)`.
    pub version: String,
    /// The same as a number: `150008`.
    pub version_number: i32,
    /// Encoding of the database: `UTF8`.
    pub encoding: String,
    /// Its time zone. Nothing depends on it.
    pub time_zone: String,
    /// Its clock.
    pub clock: DateTime<Utc>,
    /// Name of the database.
    pub database: String,
    /// Name of the login role.
    pub role: String,
    /// Whether that role may do everything.
    pub superuser: bool,
    /// Whether row level security does not hold for it.
    pub bypasses_row_security: bool,
    /// Whether it takes no changes: a standby, or set so.
    pub read_only: bool,
    /// Whether a crash may lose what was committed long ago (`fsync` or `full_page_writes` is off).
    pub fragile: bool,
}

/// Which control tables the database has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MigrationFacts {
    /// Versions that this program would apply, the oldest first.
    pub pending: Vec<String>,
    /// Whether none was ever applied.
    pub untouched: bool,
    /// The newest version, if this program does not know it.
    pub newer: Option<String>,
}

/// What the login may do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RightsFacts {
    /// Whether it may create schemas in the database.
    pub creates_schemas: bool,
    /// Whether it may create tables in the control schema; `None` when that is not there yet.
    pub control_schema: Option<bool>,
    /// Whether it may create tables in the replica's schema; `None` when that is not there yet.
    pub replica_schema: Option<bool>,
    /// Our tables that it does not own, so that it cannot change their columns.
    pub foreign: Vec<String>,
    /// Our tables that it may not read or write.
    pub closed: Vec<String>,
}

/// What lies between us and the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// A connection is one of the server's as long as it lasts.
    Direct,
    /// A transaction is on one connection of the server's.
    Transaction {
        /// Whether a prepared statement finds its way to another connection of the server's; `None`: it has only one.
        keeps_statements: Option<bool>,
    },
    /// Each statement may be on another one, so that there are no transactions.
    Statement,
}

/// How many connections there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionFacts {
    /// Connections that the server has room for, by all its limits.
    pub free: i64,
    /// Connections of this program's that are open.
    pub ours: i64,
}

/// What an open object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectKind {
    /// A table.
    Table,
    /// A view, which shows what its owner may see.
    View,
    /// A sequence.
    Sequence,
    /// A schema.
    Schema,
}

/// An object that others may use, or a table without row level security.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenObject {
    /// Its full name, quoted where it needs it.
    pub name: String,
    /// What it is.
    pub kind: ObjectKind,
    /// Whether it is one of the control schema, which nobody shares.
    pub control: bool,
    /// Whether this program made it.
    pub ours: bool,
    /// Which of `public`, `anon` and `authenticated` have some right on it.
    pub grantees: Vec<String>,
    /// Whether row level security is on; always for what is no table.
    pub row_security: bool,
    /// Policies that let rows through.
    pub policies: i64,
}

/// An index that does not work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokenIndex {
    /// Its full name, quoted where it needs it.
    pub name: String,
    /// Its table's.
    pub table: String,
}

/// When events of an entity came last, and what changed since without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// The entity.
    pub entity: EntityType,
    /// When the last event was taken in, to about a minute; `None` when none ever was.
    pub last_event: Option<DateTime<Utc>>,
    /// Since when changes are counted: some time after the last event, or after the replica's first record.
    pub counted_from: Option<DateTime<Utc>>,
    /// Records that were changed in the portal since, but not just now.
    pub changed: u64,
    /// When the newest of these changes was made.
    pub newest_change: Option<DateTime<Utc>>,
}
