//! HTTP interface of the Bitrix24 sync service.
//!
//! - [`routes`]: the one table of paths and methods.
//! - [`handlers`]: parse, call one port method, render.
//! - [`server`]: builds the actix server and leaves running it to the binary.
//!
//! Handlers see inbound ports of the domain only. To add a route: a handler, a line in [`routes::configure`], a test
//! with a mocked port.

pub mod handlers;
pub mod routes;
pub mod server;

pub use server::{ApiPorts, build};
