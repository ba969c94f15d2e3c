//! The address of the database.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// An address as it should look; shown with every refusal.
const EXAMPLE: &str = "postgresql://user:password@host:5432/database";

/// Schemes that are understood; the last one is how the Python service wrote it.
const SCHEMES: &[&str] = &["postgresql", "postgres", "postgresql+asyncpg"];

/// Where the server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    /// Name or address.
    Tcp(String),
    /// Directory of its socket.
    Unix(PathBuf),
}

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protection {
    /// Plain text: this machine only, or by `sslmode=disable`.
    Plain,
    /// Encrypted, the server's certificate is not looked at (`sslmode=require` without `sslrootcert`).
    Encrypted,
    /// Encrypted, the certificate comes from a known authority (`sslmode=verify-ca`).
    KnownAuthority,
    /// Encrypted, and the certificate is this host's (`sslmode=verify-full`; the default).
    KnownHost,
}

/// Address of a PostgreSQL database, with the login. `Debug` and `Display` show no password.
#[derive(Clone)]
pub struct DatabaseUrl {
    pub(crate) host: Host,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) password: Option<SecretString>,
    pub(crate) database: String,
    pub(crate) protection: Protection,
    pub(crate) root_certificates: Option<PathBuf>,
}

/// Why an address is not understood. Never holds the address itself: it has a password in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("DATABASE_URL {problem}; it should look like `{EXAMPLE}`")]
pub struct DatabaseUrlError {
    problem: String,
}

impl DatabaseUrlError {
    fn new(problem: impl Into<String>) -> DatabaseUrlError {
        DatabaseUrlError { problem: problem.into() }
    }
}

impl DatabaseUrl {
    /// Reads `postgresql://`, `postgres://` and `postgresql+asyncpg://` addresses. Of the parameters, `sslmode` (also
    /// written `ssl`), `sslrootcert` and `host` (a socket's directory) count; the others are left to the programs that
    /// they are for.
    ///
    /// # Errors
    /// [`DatabaseUrlError`] names what is wrong, without the address.
    pub fn parse(text: &str) -> Result<DatabaseUrl, DatabaseUrlError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(DatabaseUrlError::new("is empty"));
        }
        let (text, hostless) = with_host(text);
        let url = Url::parse(&text).map_err(|error| {
            DatabaseUrlError::new(format!(
                "is not an address ({error}); write `@`, `:`, `/`, `#`, `?` and `%` inside the password as `%40`, `%3A`, `%2F`, `%23`, `%3F` and `%25`"
            ))
        })?;
        if !SCHEMES.contains(&url.scheme()) {
            return Err(DatabaseUrlError::new("does not begin with `postgresql://`"));
        }
        let mut ssl_mode = None;
        let mut root_certificates = None;
        let mut socket = None;
        for (name, value) in url.query_pairs() {
            match name.as_ref() {
                "sslmode" | "ssl" => ssl_mode = Some(value.into_owned()),
                "sslrootcert" if value != "system" => root_certificates = Some(PathBuf::from(value.as_ref())),
                "host" => socket = Some(value.into_owned()),
                _ => {}
            }
        }
        let host = host(&url, hostless, socket)?;
        let protection = protection(&host, ssl_mode.as_deref(), root_certificates.is_some())?;
        let user = match url.username() {
            "" => "postgres".to_owned(),
            user => decoded(user, "the user")?,
        };
        let password = url.password().map(|password| decoded(password, "the password")).transpose()?;
        if password.as_ref().is_some_and(|password| password.starts_with('[') && password.ends_with(']')) {
            return Err(DatabaseUrlError::new("still has the placeholder in the place of the password"));
        }
        let database = match url.path().trim_start_matches('/') {
            "" => user.clone(),
            database => decoded(database, "the database's name")?,
        };
        Ok(DatabaseUrl {
            host,
            port: url.port().unwrap_or(5432),
            user,
            password: password.map(SecretString::from),
            database,
            protection,
            root_certificates,
        })
    }

    /// Name of the host, or the directory of the socket.
    pub fn host(&self) -> String {
        match &self.host {
            Host::Tcp(name) => name.clone(),
            Host::Unix(directory) => directory.display().to_string(),
        }
    }

    /// Name of the database.
    pub fn database(&self) -> &str {
        &self.database
    }

    pub(crate) fn exposed_password(&self) -> Option<&str> {
        self.password.as_ref().map(ExposeSecret::expose_secret)
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "postgresql://{}@{}:{}/{}", self.user, self.host(), self.port, self.database)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

impl std::str::FromStr for DatabaseUrl {
    type Err = DatabaseUrlError;

    fn from_str(text: &str) -> Result<DatabaseUrl, DatabaseUrlError> {
        DatabaseUrl::parse(text)
    }
}

/// Gives an address like `postgresql://user@/database?host=/run/postgresql` a host, without which it cannot be read
/// with a user in it. Returns whether it had none.
fn with_host(text: &str) -> (Cow<'_, str>, bool) {
    let Some((scheme, rest)) = text.split_once("://") else { return (Cow::Borrowed(text), false) };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest.split_at_checked(end) {
        Some((authority, path)) if authority.ends_with('@') => {
            (Cow::Owned(format!("{scheme}://{authority}socket{path}")), true)
        }
        _ => (Cow::Borrowed(text), false),
    }
}

fn host(url: &Url, hostless: bool, socket: Option<String>) -> Result<Host, DatabaseUrlError> {
    let named = url.host_str().filter(|host| !host.is_empty() && !hostless);
    match (named, socket) {
        (None, Some(directory)) if directory.starts_with('/') => Ok(Host::Unix(PathBuf::from(directory))),
        (None, Some(name)) if !name.is_empty() => Ok(Host::Tcp(name)),
        (Some(name), _) if name.contains(',') => Err(DatabaseUrlError::new("names several hosts; name one")),
        (Some(name), _) => decoded(name.trim_start_matches('[').trim_end_matches(']'), "the host")
            .map(|name| if name.starts_with('/') { Host::Unix(PathBuf::from(name)) } else { Host::Tcp(name) }),
        (None, _) => Err(DatabaseUrlError::new("has no host")),
    }
}

fn protection(host: &Host, mode: Option<&str>, has_roots: bool) -> Result<Protection, DatabaseUrlError> {
    let unset = if is_here(host) { Protection::Plain } else { Protection::KnownHost };
    match mode {
        None | Some("prefer" | "allow") => Ok(unset),
        Some("disable") => Ok(Protection::Plain),
        Some("require") if has_roots => Ok(Protection::KnownAuthority),
        Some("require" | "true") => Ok(Protection::Encrypted),
        Some("verify-ca") => Ok(Protection::KnownAuthority),
        Some("verify-full") => Ok(Protection::KnownHost),
        Some(_) => Err(DatabaseUrlError::new(
            "has an unknown sslmode; known are `disable`, `prefer`, `require`, `verify-ca` and `verify-full`",
        )),
    }
}

/// Whether nothing leaves this machine.
fn is_here(host: &Host) -> bool {
    match host {
        Host::Unix(_) => true,
        Host::Tcp(name) => {
            name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        }
    }
}

/// Decodes `%41`. Not as a form does: a `+` is a plus.
fn decoded(text: &str, what: &str) -> Result<String, DatabaseUrlError> {
    let fault =
        || DatabaseUrlError::new(format!("has a `%` in {what} that is not followed by two hex digits of UTF-8"));
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16)).ok_or_else(fault);
        let value = digit()? * 16 + digit()?;
        bytes.push(u8::try_from(value).unwrap_or_default());
    }
    String::from_utf8(bytes).map_err(|error| {
        debug_assert!(error.utf8_error().valid_up_to() < text.len());
        fault()
    })
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
