//! The portal as its clients see it, over HTTP.

#![cfg(test)]

mod access;
mod admin;
mod application;
mod batches;
mod changes;
mod client;
mod deliveries;
mod faults;
mod handler;
mod handlers;
mod kept;
mod limits;
mod lists;
mod offline;
mod shapes;
mod values;
mod webhooks;
