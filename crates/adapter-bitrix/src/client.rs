//! How a client for requests to others is made: no proxies, no redirects, public addresses only (CORRECTNESS S7).

use std::time::Duration;

use b24sync_public_address::GuardedResolver;
use reqwest::{Client, ClientBuilder, redirect::Policy};

/// Time for a connection, name look-up and TLS included.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// What all clients have in common.
pub(crate) fn builder(allow_loopback: bool) -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("b24sync/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        // A proxy would look the name up itself, past the address check.
        .no_proxy()
        .dns_resolver(GuardedResolver { allow_loopback })
        .connect_timeout(CONNECT_TIMEOUT)
}
