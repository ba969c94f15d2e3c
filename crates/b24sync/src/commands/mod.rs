//! One file a command.

pub mod completions;
pub mod config;
pub mod demo;
pub mod doctor;
pub mod health;
pub mod history;
pub mod inbox;
pub mod migrate;
pub mod quarantine;
pub mod schema;
pub mod serve;
pub mod status;
pub mod sync;
pub mod verify;
pub mod webhooks;
