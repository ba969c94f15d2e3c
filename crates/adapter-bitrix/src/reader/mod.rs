//! The calls of the reader, each an [`Exchange`](crate::transport::Exchange): listings, reads by id, counts,
//! descriptions, and the connection check.

mod by_ids;
mod count;
mod describe;
mod evidence;
mod gauge;
mod keyset;
mod listing;
mod news;
mod pages;
mod probe;

pub(crate) use by_ids::ByIds;
pub(crate) use count::Count;
pub(crate) use describe::Describe;
pub(crate) use evidence::ReadEvidence;
pub(crate) use gauge::Gauge;
pub(crate) use keyset::Keyset;
pub(crate) use listing::Listing;
pub(crate) use news::ReadNews;
pub use probe::PortalProfile;
pub(crate) use probe::Probe;

/// The method that carries all others.
const BATCH: &str = "batch";
