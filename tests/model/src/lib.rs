//! The sync core against a model of the portal, on a virtual clock: what a seed decides is replayed exactly.
//!
//! Real: the use cases of `b24sync-application`, and through them the domain. Model: the portal, the network, the
//! database's answers, processes. Every call takes random time before and after its effect, so that an answer can be old
//! when it is used. [`audit`] checks the invariants of docs/CORRECTNESS.md while it goes on; [`history`] checks the
//! promise at the end.
//!
//! - [`history`]: one seed from beginning to end.
//! - [`world`]: what all share; how bad the times are.
//! - [`portal`], [`people`]: records and their users; [`source`]: the portal as a client sees it.
//! - [`store`]: the database as a process sees it; [`owner`]: processes that sync, stop, stand still and die.
//! - [`audit`]: the invariants. One more invariant goes there, under its number.
//!
//! `tests/model.rs` runs many seeds; `mutants.sh` shows that faults are found.
#![expect(clippy::expect_used, reason = "test code fails by panicking")]

pub mod audit;
pub mod chance;
pub mod events;
pub mod history;
pub mod owner;
pub mod people;
pub mod portal;
pub mod source;
pub mod store;
pub mod world;
