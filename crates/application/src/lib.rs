//! Use cases of the Bitrix24 sync service: short functions over [`Ports`] that fetch, decide and commit.
//! Decisions live in the domain; what is here puts them in order, overlaps reading with writing, and holds the lease.
//!
//! - [`ports`]: the way every use case reaches the outside.
//! - [`holding`]: work under a lease that is renewed while it lasts.
//! - [`schema`]: describe the fields, plan the table, bring it there.
//! - [`backfill`]: read every record of an entity, resumable from its cursor.
//! - [`by_id`]: read the records that somebody named.
//! - [`doctor`]: the self-test.
//! - [`hints`]: apply what events hinted at.
//! - [`incremental`]: read what changed since the watermark, and what is new.
//! - [`plan`]: what a sync would do, before it does anything.
//! - [`sweep`]: compare ids, to find what is gone and what nobody saw.
//! - [`start`]: start one of these, or join the one that is on.
//! - [`portal`]: whose replica this is.
//! - [`status`]: answers about the replica.
//! - [`service`]: the running service: scheduler, workers, control.
//! - [`verify`]: portal against replica, read-only.
//!
//! May use the domain and tokio; knows no HTTP and no SQL.

pub mod backfill;
pub mod by_id;
mod deletions;
pub mod doctor;
mod drift;
pub mod hints;
pub mod holding;
pub mod incremental;
mod metering;
mod pass;
mod pipeline;
pub mod plan;
pub mod portal;
pub mod ports;
pub mod schema;
pub mod service;
pub mod start;
pub mod status;
pub mod sweep;
pub mod verify;

pub use pass::OVERLAP;
pub use ports::Ports;
