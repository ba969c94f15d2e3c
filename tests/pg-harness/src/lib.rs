//! A PostgreSQL database per test.
//!
//! ```no_run
//! # async fn example() {
//! use b24sync_pg_harness::TestDatabase;
//!
//! let empty = TestDatabase::create().await;
//! let migrated = TestDatabase::from_template("control", async |url| migrate(url).await).await;
//! let client = migrated.client().await;
//! # }
//! # async fn migrate(_url: &str) {}
//! ```
//!
//! [`TestDatabase`]s live on one server that all test processes of a user and a checkout share, one after another or
//! side by side. The first starts it, with durability off; a small shell script stops it and removes its data ten
//! seconds after the last process that used it has ended, in whatever way. A run may thus kill its tests: nothing is
//! left for ever but a folder with empty lock files. [`PgServer::private`] is a server of one test, with default
//! durability, to be stopped and crashed.
//!
//! The servers lie in `/dev/shm` when that has 2 GiB free and `TMPDIR` is not set, else in the folder for temporary
//! files, in `b24sync-pg-…`; `server/cluster/server.log` is the log. Everything panics with a message when something
//! fails: this crate is for tests.
#![expect(
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test has no better answer to a missing server than to fail"
)]

mod admin;
mod database;
mod private;
mod shared;
mod supervisor;

pub use crate::{database::TestDatabase, private::PgServer};
