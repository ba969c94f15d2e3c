//! The calls of the reader, each an [`Exchange`](crate::transport::Exchange): listings, reads by id, counts,
//! descriptions, the connection check, handlers and the offline queue of an application, and the probe of how listings are understood.

mod by_ids;
mod count;
mod describe;
mod evidence;
mod gauge;
pub(crate) mod handlers;
mod keyset;
mod listing;
mod lists;
mod newest;
mod news;
pub(crate) mod offline;
mod pages;
mod plain;
mod profile;
mod questions;
mod sample;
mod time_bound;

pub(crate) use by_ids::ByIds;
pub(crate) use count::Count;
pub(crate) use describe::Describe;
pub(crate) use evidence::ReadEvidence;
pub(crate) use gauge::Gauge;
pub(crate) use handlers::ChangeHandlers;
pub(crate) use keyset::Keyset;
pub(crate) use listing::Listing;
pub(crate) use newest::ReadNewest;
pub(crate) use news::ReadNews;
pub(crate) use plain::Plain;
pub(crate) use profile::ReadProfile;
pub(crate) use questions::Questions;
pub(crate) use sample::{ReadSample, Sample, requests};

/// The method that carries all others.
const BATCH: &str = "batch";
