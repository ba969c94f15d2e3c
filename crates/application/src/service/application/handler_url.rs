//! Where the portal sends events.

use std::fmt;

use b24sync_domain::application::{ApplicationError, HANDLER_PATH};
use url::{Host, Url};

/// Address of the handler: what the service has from outside, and [`HANDLER_PATH`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandlerUrl(String);

impl HandlerUrl {
    /// Below this base.
    ///
    /// # Errors
    /// [`ApplicationError::Handler`] with what is wrong: the portal sends to `https` with a valid certificate only, and
    /// gets nothing secret with the address.
    pub fn below(base: &str, allow_loopback: bool) -> Result<HandlerUrl, ApplicationError> {
        let wrong = |problem| Err(ApplicationError::Handler { problem });
        let Ok(mut url) = Url::parse(base.trim()) else { return wrong("is not a web address") };
        if !matches!(url.scheme(), "https" | "http") || url.host_str().is_none_or(str::is_empty) {
            return wrong("does not start with `https://` and a host");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return wrong("has a user name or password before the host");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return wrong("has something after `?` or `#`");
        }
        let loopback = is_loopback(&url);
        if loopback && !allow_loopback {
            return wrong("is one of this machine, where the portal does not reach it");
        }
        if url.scheme() == "http" && !loopback {
            return wrong("does not start with `https://`");
        }
        let path = url.path().trim_end_matches('/').to_owned();
        let base = path.strip_suffix(HANDLER_PATH).unwrap_or(&path);
        url.set_path(&format!("{base}{HANDLER_PATH}"));
        Ok(HandlerUrl(url.into()))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HandlerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback() || ip.is_unspecified(),
        Some(Host::Ipv6(ip)) => ip.to_canonical().is_loopback() || ip.is_unspecified(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_is_put_below_the_base_once() {
        for (base, expected) in [
            ("https://sync.example.com", "https://sync.example.com/api/v1/webhooks/bitrix"),
            (" https://sync.example.com/ ", "https://sync.example.com/api/v1/webhooks/bitrix"),
            ("https://example.com:8443/b24/", "https://example.com:8443/b24/api/v1/webhooks/bitrix"),
            ("https://a.example/api/v1/webhooks/bitrix", "https://a.example/api/v1/webhooks/bitrix"),
        ] {
            assert_eq!(HandlerUrl::below(base, false).unwrap().as_str(), expected, "{base}");
        }
        assert!(HandlerUrl::below("http://127.0.0.1:8080", true).is_ok());
    }

    #[test]
    fn what_the_portal_cannot_reach_safely_is_refused() {
        for (base, allow_loopback, problem) in [
            ("sync.example.com", false, "is not a web address"),
            ("ftp://sync.example.com", false, "`https://`"),
            ("http://sync.example.com", true, "`https://`"),
            ("https://me:pw@sync.example.com", true, "user name"),
            ("https://sync.example.com/?a=1", true, "after `?`"),
            ("https://sync.example.com/#a", true, "after `?`"),
            ("http://127.0.0.1:8080", false, "this machine"),
            ("https://localhost", false, "this machine"),
            ("https://[::ffff:127.0.0.1]", false, "this machine"),
            ("https://0.0.0.0", false, "this machine"),
        ] {
            let error = HandlerUrl::below(base, allow_loopback).unwrap_err();
            assert!(error.to_string().contains(problem), "{base}: {error}");
            assert!(error.advice().contains("https://sync.example.com"));
        }
    }
}
