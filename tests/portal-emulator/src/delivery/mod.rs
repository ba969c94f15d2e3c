//! The queue between a change and a handler (REST.md 10.3): late, lost, doubled, out of order, never repeated.
//!
//! `queue` decides what is sent when and is pure; `office` puts a lock around it; `courier` sends on threads of its own
//! with the client in `post`; `tally` counts what became of everything.

mod courier;
mod office;
mod plan;
mod post;
mod queue;
mod tally;

pub(crate) use courier::Courier;
pub(crate) use office::Office;
pub use plan::DeliveryPlan;
pub(crate) use queue::Parcel;
pub use tally::{Deliveries, DeliveryRecord};
