//! The address of an incoming webhook, which is a password at the same time.

use std::fmt;
use std::str::FromStr;

use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use crate::config::ConfigError;

/// Address of an incoming webhook: `https://host/rest/{user}/{code}/`. The code in it is a password, so neither
/// `Debug` nor an error shows more than the host.
#[derive(Clone)]
pub struct WebhookUrl {
    /// With a slash at the end.
    base: SecretString,
    host: String,
}

impl WebhookUrl {
    /// Checks the shape of an address.
    ///
    /// # Errors
    /// [`ConfigError::Webhook`] with what is wrong; the address itself is not repeated.
    pub fn parse(text: &str) -> Result<WebhookUrl, ConfigError> {
        let url = Url::parse(text.trim()).map_err(|_parse| ConfigError::Webhook("is not a web address"))?;
        if let Some(problem) = problem(&url) {
            return Err(ConfigError::Webhook(problem));
        }
        let mut base = url;
        if !base.path().ends_with('/') {
            let path = format!("{}/", base.path());
            base.set_path(&path);
        }
        Ok(WebhookUrl { host: host_and_port(&base), base: SecretString::from(String::from(base)) })
    }

    /// The portal's host, for people; with the port where it is not the usual one.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The whole address, secret included.
    pub(crate) fn expose(&self) -> Result<Url, ConfigError> {
        Url::parse(self.base.expose_secret()).map_err(|_parse| ConfigError::Webhook("is not a web address"))
    }
}

impl FromStr for WebhookUrl {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        WebhookUrl::parse(text)
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookUrl({}, code redacted)", self.host)
    }
}

/// Host and, where it is unusual, port.
pub(crate) fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Whether the address names this machine without asking a name server.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

/// The last part of the path, which is the password.
pub(crate) fn code(base: &Url) -> Option<&str> {
    base.path().trim_end_matches('/').rsplit('/').next()
}

fn problem(url: &Url) -> Option<&'static str> {
    if !matches!(url.scheme(), "https" | "http") {
        return Some("does not start with `https://`");
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Some("has no host");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Some("has a user name or password before the host");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Some("has something after `?` or `#`");
    }
    let segments: Vec<&str> = url.path().trim_matches('/').split('/').collect();
    match segments.as_slice() {
        ["rest", user, code]
            if is_number(user) && !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_alphanumeric()) =>
        {
            None
        }
        ["rest", _, _, _, ..] => Some("goes on after the webhook's code; leave out the method name"),
        _ => Some("does not end with `/rest/`, a user number and the webhook's code"),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_accepted_with_and_without_its_last_slash() {
        for text in ["https://p.bitrix24.com/rest/1/s3cr3t/", " https://p.bitrix24.com/rest/1/s3cr3t "] {
            let url = WebhookUrl::parse(text).unwrap();
            assert_eq!(url.host(), "p.bitrix24.com");
            assert_eq!(url.expose().unwrap().as_str(), "https://p.bitrix24.com/rest/1/s3cr3t/");
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_the_secret() {
        for (text, expected) in [
            ("p.bitrix24.com/rest/1/s3cr3t/", "is not a web address"),
            ("ftp://p.bitrix24.com/rest/1/s3cr3t/", "`https://`"),
            ("https://me:pw@p.bitrix24.com/rest/1/s3cr3t/", "user name"),
            ("https://p.bitrix24.com/rest/1/s3cr3t/?a=s3cr3t", "after `?`"),
            ("https://p.bitrix24.com/rest/1/s3cr3t/#s3cr3t", "after `?`"),
            ("https://p.bitrix24.com/rest/1/s3cr3t/profile.json", "leave out the method name"),
            ("https://p.bitrix24.com/rest/s3cr3t/", "user number"),
            ("https://p.bitrix24.com/rest/x/s3cr3t/", "user number"),
            ("https://p.bitrix24.com/", "user number"),
        ] {
            let error = WebhookUrl::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
            assert!(error.contains("BITRIX_WEBHOOK_URL") && error.contains("https://"), "{error}");
            assert!(!error.contains("s3cr3t"), "{error}");
        }
    }

    #[test]
    fn debug_shows_the_host_only() {
        let url = WebhookUrl::parse("https://p.bitrix24.com:8443/rest/1/s3cr3t/").unwrap();
        assert_eq!(format!("{url:?}"), "WebhookUrl(p.bitrix24.com:8443, code redacted)");
    }
}
