//! The project's public keys: which of them count (`jwk`, `set`), how they are had (`fetch`), how long they count (`cache`).

mod cache;
mod fetch;
mod jwk;
mod set;

pub(crate) use cache::KeyCache;
pub(crate) use fetch::Fetcher;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) use set::KeySet;
