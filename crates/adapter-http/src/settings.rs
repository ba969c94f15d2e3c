//! Settings of the HTTP interface; the binary fills them.

use std::num::NonZeroU32;
use std::time::Duration;

use actix_web::http::Uri;

use crate::client::Network;
use crate::token_digest::TokenDigest;

/// Requests that one caller may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests a minute in the long run.
    pub per_minute: NonZeroU32,
    /// Requests at once.
    pub burst: NonZeroU32,
}

/// Settings of the HTTP interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiSettings {
    /// Web pages that may call: exact origins such as `https://crm.example.com`.
    pub allowed_origins: Vec<String>,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// Connections at once, over all threads. Near it, connections on which nothing goes on make room for new ones.
    pub max_connections: usize,
    /// Listeners of `/api/v1/events` at once.
    pub max_listeners: usize,
    /// Listeners of one user at once.
    pub max_listeners_per_subject: usize,
    /// Refused tokens per address.
    pub failed_auth: RateLimit,
    /// Requests per user.
    pub per_subject: RateLimit,
    /// Requests per address on paths that need no token.
    pub public: RateLimit,
    /// Bytes of a body at most.
    pub body_limit: usize,
    /// How long a body may take to arrive.
    pub body_timeout: Duration,
    /// How long an answer may take, a body's arrival included; a listener's stream is no part of it.
    pub handler_timeout: Duration,
    /// How long the head of a request may take to arrive.
    pub head_timeout: Duration,
    /// How long a connection without requests stays open.
    pub keep_alive: Duration,
    /// Time between two signs of life for listeners.
    pub event_keep_alive: Duration,
    /// After how long a listener has to come again, with a token that is still good.
    pub listener_lifetime: Duration,
    /// How long readiness says no before the server stops accepting, so that balancers see it.
    pub drain_notice: Duration,
    /// How long open requests may take to finish when the server stops; whole seconds.
    pub shutdown_timeout: Duration,
    /// What `/metrics` asks for as a bearer token; `None` keeps it closed.
    pub metrics_token: Option<TokenDigest>,
    /// What events of the portal must show (`BITRIX_APPLICATION_TOKENS`); with none, the portal is not let in, unless the
    /// application is installed.
    pub application_tokens: Vec<TokenDigest>,
    /// The portal whose events are taken (`BITRIX_MEMBER_ID`); `None`: that of whoever has the token.
    pub member_id: Option<String>,
    /// Threads that serve requests; `None`: one for each processor.
    pub workers: Option<usize>,
}

const fn limit(per_minute: u32, burst: u32) -> RateLimit {
    RateLimit { per_minute: at_least_one(per_minute), burst: at_least_one(burst) }
}

const fn at_least_one(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

impl Default for ApiSettings {
    fn default() -> ApiSettings {
        ApiSettings {
            allowed_origins: Vec::new(),
            trusted_proxies: Vec::new(),
            max_connections: 2_000,
            max_listeners: 100,
            max_listeners_per_subject: 10,
            failed_auth: limit(20, 20),
            per_subject: limit(600, 100),
            public: limit(600, 100),
            body_limit: 1024 * 1024,
            body_timeout: Duration::from_secs(10),
            handler_timeout: Duration::from_secs(30),
            head_timeout: Duration::from_secs(10),
            keep_alive: Duration::from_secs(30),
            event_keep_alive: Duration::from_secs(5),
            listener_lifetime: Duration::from_secs(15 * 60),
            drain_notice: Duration::ZERO,
            shutdown_timeout: Duration::from_secs(25),
            metrics_token: None,
            application_tokens: Vec::new(),
            member_id: None,
            workers: None,
        }
    }
}

impl ApiSettings {
    /// So many connections may stay without making room for others. The rest of `max_connections` is for those that are
    /// closing, and for threads that have more than their share.
    pub(crate) fn room(&self) -> usize {
        (self.max_connections - self.max_connections / 8).max(1)
    }

    /// How long nothing may go on on a connection, whatever the client sends or does not read meanwhile.
    pub(crate) fn patience(&self) -> Duration {
        self.keep_alive + self.head_timeout
    }

    /// What is wrong with them, in sentences for whoever set them; empty when nothing is.
    pub fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> = self
            .allowed_origins
            .iter()
            .filter(|origin| !is_exact_origin(origin))
            .map(|origin| {
                format!("`{origin}` is not an exact origin; an example is `https://crm.example.com`, without a path")
            })
            .collect();
        if self.max_connections == 0 {
            problems.push("at least one connection must be allowed".to_owned());
        }
        problems
    }
}

/// Whether this is scheme, host and perhaps port, as browsers write it, and nothing else.
fn is_exact_origin(origin: &str) -> bool {
    let Ok(uri) = origin.parse::<Uri>() else { return false };
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return false };
    matches!(scheme, "http" | "https")
        && !authority.as_str().contains(['@', '*'])
        && origin == format!("{scheme}://{authority}").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_exact_origins_are_accepted() {
        for origin in ["https://crm.example.com", "http://localhost:5173", "http://[::1]:3000"] {
            assert!(is_exact_origin(origin), "{origin}");
        }
        for origin in [
            "*",
            "null",
            "",
            "https://*.example.com",
            "https://a.example/",
            "https://u@a.example",
            "a.example",
            "file:///x",
            "https://A.example",
        ] {
            assert!(!is_exact_origin(origin), "{origin}");
        }
        assert_eq!(ApiSettings::default().problems(), Vec::<String>::new());
    }
}
