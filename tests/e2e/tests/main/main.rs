//! The real program against the emulated portal and PostgreSQL, from outside.
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "test code fails by panicking")]

mod api;
mod arrows;
mod bad_input;
mod big_bodies;
mod clocks;
mod compare;
mod crowd;
mod deletions;
mod demo;
mod drift;
mod events;
mod faults;
mod full_sync;
mod incremental;
mod kept_alive;
mod kill;
mod lies;
mod lost_answers;
mod nemesis;
mod overtaken;
mod owners;
mod pooler;
mod readout;
mod running;
mod serve;
mod service;
mod slow_clients;
mod stage;
mod stopping_under_load;
mod watching;
