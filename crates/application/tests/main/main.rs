//! Use cases over the fakes of the testkit.
#![expect(clippy::unwrap_used, reason = "test code fails by panicking")]

mod application;
mod backfill;
mod by_id;
mod deletions;
mod doctor;
mod drift;
mod hints;
mod holding;
mod incremental;
mod intake;
mod plan;
mod portal;
mod service;
mod stage;
mod start;
mod sweep;
mod verify;
