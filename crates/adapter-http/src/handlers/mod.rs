//! One module per group of paths: parse, call the port, render.

pub(crate) mod config;
pub(crate) mod docs;
pub(crate) mod events;
pub(crate) mod health;
pub(crate) mod history;
pub(crate) mod inbox;
pub(crate) mod metrics;
pub(crate) mod registration;
pub(crate) mod scheduler;
pub(crate) mod status;
pub(crate) mod sync;
pub(crate) mod validate;
pub(crate) mod webhook;
