//! The interface as a client sees it, over mocked ports.

mod answers;
mod connections;
mod description;
mod errors;
mod events;
mod limits;
mod roles;
mod server;
mod support;
mod surface;
mod webhook;
