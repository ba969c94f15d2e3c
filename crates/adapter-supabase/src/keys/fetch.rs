//! Asks the project for its keys: one address, no redirect, little time, few bytes (CORRECTNESS S2, S7). The only place
//! that sends a request.

use std::time::Duration;

use reqwest::header::ACCEPT;
use reqwest::{Client, StatusCode, redirect::Policy};
use url::Url;

use super::set::{KeySet, NotAKeySet};
use b24sync_public_address::GuardedResolver;

/// Bytes of an answer, after decompression.
const MAX_BODY: usize = 64 * 1024;
/// Time for everything: name look-up, connection, TLS and the whole answer.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why there are no new keys.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("no complete answer came")]
    Lost(#[source] reqwest::Error),
    #[error("the answer has the status {0}")]
    Status(StatusCode),
    #[error("the answer is longer than {MAX_BODY} bytes")]
    TooLong,
    #[error(transparent)]
    NotAKeySet(#[from] NotAKeySet),
}

/// Where one project's keys are.
#[derive(Debug)]
pub(crate) struct Fetcher {
    client: Client,
    url: Url,
}

impl Fetcher {
    pub(crate) fn new(url: Url, allow_loopback: bool) -> Result<Fetcher, reqwest::Error> {
        let client = Client::builder()
            .user_agent(concat!("b24sync/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            // A proxy would look the name up itself, past the address check.
            .no_proxy()
            .dns_resolver(GuardedResolver { allow_loopback })
            // Requests are minutes apart; a connection that is kept would outlive the runtime that made it.
            .pool_max_idle_per_host(0)
            .connect_timeout(TIMEOUT)
            .timeout(TIMEOUT)
            .build()
            .map_err(reqwest::Error::without_url)?;
        Ok(Fetcher { client, url })
    }

    pub(crate) async fn fetch(&self) -> Result<KeySet, FetchError> {
        let lost = |error: reqwest::Error| FetchError::Lost(error.without_url());
        let request = self.client.get(self.url.clone()).header(ACCEPT, "application/json");
        #[expect(clippy::disallowed_methods, reason = "this crate's only request, with limits and without redirects")]
        let mut response = request.send().await.map_err(lost)?;
        if response.status() != StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if body.len() + chunk.len() > MAX_BODY {
                return Err(FetchError::TooLong);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(KeySet::parse(&body)?)
    }
}
