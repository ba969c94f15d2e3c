//! HTTP interface of the Bitrix24 sync service.
//!
//! - [`routes`]: the one table of paths, methods and roles.
//! - `handlers`: parse, call a port, render.
//! - `gate`: what stands before every handler: limits, token, role, deadline.
//! - `problem`: how errors are answered.
//! - [`notification`]: what the portal's event notifications say; strict and bounded, and fuzzed.
//! - [`server`]: builds the actix server and leaves running it to the binary.
//! - [`mod@openapi`]: the description of all this, made from the code.
//!
//! Handlers see inbound ports of the domain only. To add an endpoint: a handler with `#[utoipa::path]`, a line in the
//! table, the handler's name in `openapi`, a test with a mocked port. The matrix of roles and the description's errors
//! follow from the table.

mod auth;
mod body;
mod client;
mod connections;
mod door;
mod drain;
mod gate;
mod handlers;
mod headers;
mod limits;
pub mod notification;
mod observe;
pub mod openapi;
mod params;
mod places;
mod problem;
mod request_id;
pub mod routes;
pub mod server;
mod settings;
mod token_digest;

#[cfg(test)]
mod tests;

pub use client::{Network, NotANetwork};
pub use drain::{Drain, DrainSwitch};
pub use openapi::openapi;
pub use server::{Api, ApiPorts, build, build_metrics};
pub use settings::{ApiSettings, RateLimit};
pub use token_digest::TokenDigest;
