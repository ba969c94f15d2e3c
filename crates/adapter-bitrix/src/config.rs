//! What an operator decides about the connection to the portal.

use std::time::Duration;

use b24sync_domain::error::BoxError;
use b24sync_domain::pacing::RateLimits;

use crate::access::Access;
use crate::oauth::is_permitted;

/// Which of the portal's two sets of CRM methods is used. Both end in the same field names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialect {
    /// `crm.item.*`, the universal methods.
    #[default]
    Item,
    /// `crm.deal.*` and its like, frozen by the vendor; for old portals.
    Classic,
}

/// When and how often a failed request is repeated. Every delay doubles up to its maximum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Attempts for one call, the first included; at least 1.
    pub attempts: u32,
    /// First delay after the portal refused a request for its rate.
    pub rate_limit_first: Duration,
    /// Longest delay after such a refusal.
    pub rate_limit_max: Duration,
    /// First delay after any other passing fault.
    pub other_first: Duration,
    /// Longest delay after such a fault.
    pub other_max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy {
            attempts: 5,
            rate_limit_first: Duration::from_secs(4),
            rate_limit_max: Duration::from_secs(60),
            other_first: Duration::from_millis(500),
            other_max: Duration::from_secs(30),
        }
    }
}

/// How to reach and to treat a portal.
#[derive(Debug, Clone)]
pub struct BitrixConfig {
    /// What lets us in: an incoming webhook (`BITRIX_WEBHOOK_URL`), or an application's tokens.
    pub access: Access,
    /// Set of methods (`BITRIX_CRM_API`).
    pub dialect: Dialect,
    /// Whether `http` and loopback addresses are accepted, for development (`BITRIX_ALLOW_LOOPBACK`).
    pub allow_loopback: bool,
    /// Requests per second that the portal's plan allows (`BITRIX_RATE_PER_SECOND`).
    pub rate_per_second: f64,
    /// Requests that the portal takes at once (`BITRIX_RATE_BURST`).
    pub rate_burst: u32,
    /// Seconds of execution time that a method may use in the portal's window of ten minutes
    /// (`BITRIX_OPERATING_LIMIT_SECONDS`).
    pub operating_limit: f64,
    /// Time for a connection, name look-up and TLS included.
    pub connect_timeout: Duration,
    /// Longest silence of the portal; just above the 60 s after which the cloud cuts a request.
    pub read_timeout: Duration,
    /// Time for a whole request with its answer.
    pub request_timeout: Duration,
    /// Bytes of an answer, after decompression.
    pub max_body: usize,
    /// Levels of nesting in an answer.
    pub max_depth: usize,
    /// Repetition of failed requests.
    pub retry: RetryPolicy,
}

impl BitrixConfig {
    /// The settings for an ordinary cloud portal.
    pub fn new(access: impl Into<Access>) -> BitrixConfig {
        BitrixConfig {
            access: access.into(),
            dialect: Dialect::default(),
            allow_loopback: false,
            rate_per_second: 2.0,
            rate_burst: 50,
            operating_limit: 480.0,
            connect_timeout: Duration::from_secs(3),
            read_timeout: Duration::from_secs(65),
            request_timeout: Duration::from_secs(180),
            max_body: 64 * 1024 * 1024,
            max_depth: 64,
            retry: RetryPolicy::default(),
        }
    }

    /// The limits on the rate of requests.
    pub fn rate_limits(&self) -> RateLimits {
        RateLimits::new(self.rate_per_second, self.rate_burst)
    }

    /// Everything that is wrong with the settings, so that it can be reported at once.
    pub fn problems(&self) -> Vec<ConfigError> {
        let mut problems = Vec::new();
        if let Err(problem) = self.check_address() {
            problems.push(problem);
        }
        if !(self.rate_per_second.is_finite() && self.rate_per_second > 0.0) {
            problems.push(ConfigError::OutOfRange { variable: "BITRIX_RATE_PER_SECOND", expected: "above 0, e.g. 2" });
        }
        if self.rate_burst == 0 {
            problems.push(ConfigError::OutOfRange { variable: "BITRIX_RATE_BURST", expected: "at least 1, e.g. 50" });
        }
        if !(self.operating_limit.is_finite() && self.operating_limit > 0.0) {
            let variable = "BITRIX_OPERATING_LIMIT_SECONDS";
            problems.push(ConfigError::OutOfRange { variable, expected: "above 0, e.g. 480" });
        }
        problems
    }

    fn check_address(&self) -> Result<(), ConfigError> {
        let permitted = is_permitted(&self.access.endpoint()?, self.allow_loopback);
        match &self.access {
            _ if permitted => Ok(()),
            Access::Webhook(_) => Err(ConfigError::NotPublic),
            Access::Application(_) => Err(ConfigError::PortalNotPublic),
        }
    }
}

/// Settings that cannot work. Messages name the variable and never repeat a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The webhook's address has the wrong shape.
    #[error("BITRIX_WEBHOOK_URL {0}; it must look like `https://portal.bitrix24.com/rest/1/abcdefgh12345678/`")]
    Webhook(&'static str),
    /// The webhook's address is not one of the public Internet over TLS.
    #[error(
        "BITRIX_WEBHOOK_URL must be an `https` address of a public host, like `https://portal.bitrix24.com/rest/1/abcdefgh12345678/`; for a test portal on this machine set BITRIX_ALLOW_LOOPBACK=true"
    )]
    NotPublic,
    /// The portal's address has the wrong shape.
    #[error("BITRIX_PORTAL_URL {0}; it must look like `https://portal.bitrix24.com`")]
    Portal(&'static str),
    /// The portal's address is not one of the public Internet over TLS.
    #[error(
        "BITRIX_PORTAL_URL must be an `https` address of a public host, like `https://portal.bitrix24.com`; for a test portal on this machine set BITRIX_ALLOW_LOOPBACK=true"
    )]
    PortalNotPublic,
    /// The key for tokens is none.
    #[error(
        "BITRIX_TOKEN_KEY {0}; make one with `openssl rand -base64 32` and keep it: without it the tokens are lost"
    )]
    TokenKey(&'static str),
    /// Something that an application needs is not there.
    #[error("{variable} is missing; the application's card in the portal has the id and the key")]
    Missing {
        /// Name of the setting.
        variable: &'static str,
    },
    /// A number makes no sense.
    #[error("{variable} must be {expected}")]
    OutOfRange {
        /// Name of the setting.
        variable: &'static str,
        /// What it must be, with an example.
        expected: &'static str,
    },
    /// The HTTP client could not be built, for example because the system has no root certificates.
    #[error("the HTTP client could not be set up")]
    Client(#[source] BoxError),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::WebhookUrl;

    fn config(address: &str, allow_loopback: bool) -> BitrixConfig {
        BitrixConfig { allow_loopback, ..BitrixConfig::new(WebhookUrl::parse(address).unwrap()) }
    }

    #[test]
    fn http_and_inner_addresses_need_permission_and_only_loopback_gets_it() {
        for (address, strict, permitted) in [
            ("https://p.bitrix24.com/rest/1/c/", true, true),
            ("http://p.bitrix24.com/rest/1/c/", false, false),
            ("http://127.0.0.1:8080/rest/1/c/", false, true),
            ("http://[::1]:8080/rest/1/c/", false, true),
            ("https://localhost/rest/1/c/", false, true),
            ("https://10.0.0.7/rest/1/c/", false, false),
            ("https://169.254.169.254/rest/1/c/", false, false),
            ("https://[::ffff:10.0.0.7]/rest/1/c/", false, false),
            ("http://0x7f.1/rest/1/c/", false, true),
        ] {
            assert_eq!(config(address, false).problems().is_empty(), strict, "{address}");
            assert_eq!(config(address, true).problems().is_empty(), permitted, "{address}");
        }
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        let mut config = config("http://p.bitrix24.com/rest/1/c/", false);
        config.rate_per_second = f64::NAN;
        config.rate_burst = 0;
        config.operating_limit = 0.0;
        let problems: Vec<String> = config.problems().iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), 4);
        let names =
            ["BITRIX_ALLOW_LOOPBACK", "BITRIX_RATE_PER_SECOND", "BITRIX_RATE_BURST", "BITRIX_OPERATING_LIMIT_SECONDS"];
        for (problem, name) in problems.iter().zip(names) {
            assert!(problem.contains(name), "{problem}");
        }
    }
}
