//! Builders, fakes and contract suites for the ports of the domain.
//!
//! - [`build`]: fields, batches and ids in one line.
//! - [`bulk`]: many wide records.
//! - [`store`]: [`store::FakeStore`], every store port in memory.
//! - [`source`]: [`source::FakeSource`], a portal in memory that can be told to fail.
//! - [`observe`]: observers and instances for tests.
//! - [`proxy`]: [`proxy::Proxy`], a way to a server that cuts, delays, refuses and loses answers.
//! - [`contract`]: what every implementation of the store ports must do; the fake and PostgreSQL both run it.
//!
//! Test code: it panics where a test should fail.
#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "test code fails by panicking"
)]

pub mod build;
pub mod bulk;
pub mod contract;
pub mod observe;
pub mod proxy;
pub mod source;
pub mod store;
