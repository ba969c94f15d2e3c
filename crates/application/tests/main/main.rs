//! Use cases over the fakes of the testkit.
#![expect(clippy::unwrap_used, reason = "test code fails by panicking")]

mod backfill;
mod by_id;
mod deletions;
mod holding;
mod incremental;
mod stage;
mod verify;
