//! What an operator enters about the application.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::seal::TokenKey;
use crate::config::{ConfigError, RetryPolicy};
use crate::webhook::{host_and_port, is_loopback};
use b24sync_public_address as address;

/// The authorisation servers that the documentation names: the English one first, then the Russian one (Bitrix24 REST
/// 12.2).
const SERVERS: [&str; 2] = ["oauth.bitrix.info", "oauth.bitrix24.tech"];

/// Address of a portal: `https://portal.bitrix24.com`. No secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalUrl(Url);

impl FromStr for PortalUrl {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let full = if text.contains("://") { text.to_owned() } else { format!("https://{text}") };
        let url = Url::parse(&full).map_err(|_parse| ConfigError::Portal("is not a web address"))?;
        let problem = if !matches!(url.scheme(), "https" | "http") {
            Some("does not start with `https://`")
        } else if !url.username().is_empty() || url.password().is_some() {
            Some("has a user name or password before the host")
        } else if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            Some("goes on after the host")
        } else {
            None
        };
        problem.map_or(Ok(PortalUrl(url)), |problem| Err(ConfigError::Portal(problem)))
    }
}

impl PortalUrl {
    /// Host, and port where it is not the usual one.
    pub fn host(&self) -> String {
        host_and_port(&self.0)
    }

    pub(crate) fn as_url(&self) -> &Url {
        &self.0
    }

    /// Where methods are called.
    pub(crate) fn endpoint(&self) -> Url {
        let mut base = self.0.clone();
        base.set_path("/rest/");
        base
    }
}

/// How the service is an application of a portal.
#[derive(Clone)]
pub struct ApplicationSettings {
    /// The portal (`BITRIX_PORTAL_URL`).
    pub portal: PortalUrl,
    /// Id on the application's card (`BITRIX_CLIENT_ID`).
    pub client_id: String,
    /// Key on the application's card (`BITRIX_CLIENT_SECRET`).
    pub client_secret: SecretString,
    /// Seals the tokens (`BITRIX_TOKEN_KEY`).
    pub token_key: TokenKey,
    /// The portal's member id, where it is known (`BITRIX_MEMBER_ID`).
    pub member_id: Option<String>,
    /// Hosts that may be asked for tokens, the one that is asked first at the top (`BITRIX_OAUTH_SERVERS`).
    pub servers: Vec<String>,
    /// Whether `http` and loopback addresses are accepted, for development (`BITRIX_ALLOW_LOOPBACK`).
    pub allow_loopback: bool,
    /// Time for one request to the authorisation server; all attempts together must fit into a lease of a minute.
    pub timeout: Duration,
    /// Repetition of requests that got no answer; `attempts` and the scale for other faults count.
    pub retry: RetryPolicy,
}

impl fmt::Debug for ApplicationSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApplicationSettings")
            .field("portal", &self.portal.host())
            .field("client_id", &self.client_id)
            .field("servers", &self.servers)
            .finish_non_exhaustive()
    }
}

impl ApplicationSettings {
    /// The settings for an ordinary cloud portal.
    pub fn new(portal: PortalUrl, client_id: String, client_secret: SecretString, token_key: TokenKey) -> Self {
        ApplicationSettings {
            portal,
            client_id,
            client_secret,
            token_key,
            member_id: None,
            servers: SERVERS.map(str::to_owned).to_vec(),
            allow_loopback: false,
            timeout: Duration::from_secs(10),
            retry: RetryPolicy { attempts: 3, other_max: Duration::from_secs(5), ..RetryPolicy::default() },
        }
    }

    /// Everything that is wrong with the settings, so that it can be reported at once.
    pub fn problems(&self) -> Vec<ConfigError> {
        let mut problems = Vec::new();
        if !is_permitted(self.portal.as_url(), self.allow_loopback) {
            problems.push(ConfigError::PortalNotPublic);
        }
        if self.client_id.trim().is_empty() {
            problems.push(ConfigError::Missing { variable: "BITRIX_CLIENT_ID" });
        }
        if self.client_secret.expose_secret().trim().is_empty() {
            problems.push(ConfigError::Missing { variable: "BITRIX_CLIENT_SECRET" });
        }
        if self.servers.is_empty() {
            problems.push(ConfigError::Missing { variable: "BITRIX_OAUTH_SERVERS" });
        }
        problems
    }

    /// The authorisation server that somebody named, by host or by address, or the first of the list; `Err` with its
    /// host when the secret must not go there (CORRECTNESS S7).
    pub(crate) fn server(&self, named: Option<&str>) -> Result<Url, String> {
        let Some(named) = named.map(str::trim).filter(|named| !named.is_empty()) else {
            let first = self.servers.first().map(String::as_str).unwrap_or_default();
            return Url::parse(&format!("https://{first}/")).map_err(|_parse| first.to_owned());
        };
        let secure = if named.contains("://") { named.to_owned() } else { format!("https://{named}") };
        let Ok(mut url) = Url::parse(&secure) else { return Err("?".to_owned()) };
        let host = host_and_port(&url);
        if !url.username().is_empty() || url.password().is_some() {
            return Err(host);
        }
        if self.allow_loopback && is_loopback(&url) {
            // A server on this machine speaks HTTP, whether its scheme was named or not.
            let open = named.strip_prefix("https://").unwrap_or(named);
            let open = if open.contains("://") { open.to_owned() } else { format!("http://{open}") };
            url = Url::parse(&open).map_err(|_parse| host.clone())?;
        } else if url.scheme() != "https" || !self.servers.iter().any(|known| known.eq_ignore_ascii_case(&host)) {
            return Err(host);
        }
        url.set_path("/");
        url.set_query(None);
        url.set_fragment(None);
        Ok(url)
    }
}

/// Whether requests may go there: `https` to a public host, or loopback where that is permitted.
pub(crate) fn is_permitted(url: &Url, allow_loopback: bool) -> bool {
    if is_loopback(url) {
        return allow_loopback;
    }
    url.scheme() == "https" && address::literal(url).is_none_or(address::is_global)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(portal: &str, allow_loopback: bool) -> ApplicationSettings {
        let key = TokenKey::generate().unwrap().parse().unwrap();
        let secret = SecretString::from("s3cr3t");
        let settings = ApplicationSettings::new(portal.parse().unwrap(), "local.1".to_owned(), secret, key);
        ApplicationSettings { allow_loopback, ..settings }
    }

    #[test]
    fn only_servers_of_the_list_get_the_secret() {
        let strict = settings("portal.bitrix24.com", false);
        for (named, expected) in [
            (None, Ok("https://oauth.bitrix.info/")),
            (Some(""), Ok("https://oauth.bitrix.info/")),
            (Some("oauth.bitrix24.tech"), Ok("https://oauth.bitrix24.tech/")),
            (Some("https://OAuth.bitrix.info/rest/?a#b"), Ok("https://oauth.bitrix.info/")),
            (Some("http://oauth.bitrix.info/rest/"), Err("oauth.bitrix.info")),
            (Some("https://oauth.bitrix.info:8443/"), Err("oauth.bitrix.info:8443")),
            (Some("https://oauth.bitrix.info@evil.example/"), Err("evil.example")),
            (Some("https://me:pw@oauth.bitrix.info/"), Err("oauth.bitrix.info")),
            (Some("oauth.bitrix.info.evil.example"), Err("oauth.bitrix.info.evil.example")),
            (Some("127.0.0.1:80"), Err("127.0.0.1:80")),
            (Some("http://169.254.169.254/"), Err("169.254.169.254")),
            (Some("::"), Err("?")),
        ] {
            let got = strict.server(named);
            assert_eq!(got.as_ref().map(Url::as_str).map_err(String::as_str), expected, "{named:?}");
        }
        let open = settings("http://127.0.0.1:80", true);
        for named in ["127.0.0.1:81", "http://127.0.0.1:81/rest/"] {
            assert_eq!(open.server(Some(named)).unwrap().as_str(), "http://127.0.0.1:81/");
        }
        assert_eq!(open.server(Some("http://10.0.0.7/")).unwrap_err(), "10.0.0.7");
    }

    #[test]
    fn every_problem_is_reported_at_once() {
        assert!(settings("https://portal.bitrix24.com/", false).problems().is_empty());
        let mut wrong = settings("http://portal.bitrix24.com", true);
        wrong.client_id.clear();
        wrong.client_secret = SecretString::from(" ");
        wrong.servers.clear();
        let problems: Vec<String> = wrong.problems().iter().map(ToString::to_string).collect();
        let names = ["BITRIX_PORTAL_URL", "BITRIX_CLIENT_ID", "BITRIX_CLIENT_SECRET", "BITRIX_OAUTH_SERVERS"];
        assert_eq!(problems.len(), names.len());
        for (problem, name) in problems.iter().zip(names) {
            assert!(problem.contains(name), "{problem}");
        }
        for (portal, strict, permitted) in [
            ("http://127.0.0.1:80", false, true),
            ("https://10.0.0.7", false, false),
            ("https://a.example", true, true),
        ] {
            assert_eq!(settings(portal, false).problems().is_empty(), strict, "{portal}");
            assert_eq!(settings(portal, true).problems().is_empty(), permitted, "{portal}");
        }
    }

    #[test]
    fn a_portal_is_a_host_and_nothing_else() {
        for (text, host) in [
            ("portal.bitrix24.com", "portal.bitrix24.com"),
            (" https://Portal.Bitrix24.com:443/ ", "portal.bitrix24.com"),
            ("https://crm.example.com:8443", "crm.example.com:8443"),
        ] {
            assert_eq!(text.parse::<PortalUrl>().unwrap().host(), host);
        }
        for text in ["", "ftp://a.example", "https://a.example/rest/", "https://a.example/?x", "https://me@a.example"] {
            let error = text.parse::<PortalUrl>().unwrap_err().to_string();
            assert!(error.contains("BITRIX_PORTAL_URL"), "{error}");
        }
        let shown = format!("{:?}", settings("portal.bitrix24.com", false));
        assert!(shown.contains("portal.bitrix24.com") && !shown.contains("s3cr3t"), "{shown}");
    }
}
