//! The portal as its clients see it, over HTTP.

#![cfg(test)]

mod access;
mod admin;
mod batches;
mod changes;
mod client;
mod deliveries;
mod faults;
mod handler;
mod limits;
mod lists;
mod shapes;
mod values;
mod webhooks;
