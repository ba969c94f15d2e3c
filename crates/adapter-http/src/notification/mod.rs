//! Event notifications of the portal: what its `POST` says, strictly and within bounds.
//!
//! [`check_content_type`] looks at the header, [`Notification::parse`] reads the body. Both look at form only: whether
//! the application token is one of ours, the event one that we replicate, and the record needed, is the caller's
//! business. Everything in `auth` is a secret or the business of the portal's owner, so `Debug` shows none of it and no
//! error repeats it.
//!
//! Keys are matched exactly, their case included; keys that are not listed here are ignored. A key that is listed, and
//! any key in `auth`, may be given once. An empty value counts as none.
//!
//! Source: Bitrix24 REST, events; real bodies are in `tests/fixtures/events`. Its fuzz target is in `fuzz`.

mod error;
pub mod form;

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use b24sync_domain::entity::RecordId;
use secrecy::SecretString;

pub use self::error::{KeyName, NotificationError};
use self::form::Form;

/// Bytes of an event's name at most.
pub const EVENT_BYTES: usize = 100;
/// Bytes of any other text that is kept at most, a token included.
pub const TEXT_BYTES: usize = 2_048;
/// The last second of the year 9999.
pub const LAST_SECOND: i64 = 253_402_300_799;

const EVENT: &str = "event";
/// What an installation is called.
const INSTALLED: &str = "ONAPPINSTALL";
const TS: &str = "ts";
const RECORD: &str = "data[FIELDS][ID]";
const BARE_RECORD: &str = "data[ID]";
const ENTITY: &str = "data[FIELDS][ENTITY_ID]";
const FIELD: &str = "data[FIELDS][FIELD_NAME]";
const CLEAN: &str = "data[CLEAN]";
const AUTH: &str = "auth[";
const APPLICATION_TOKEN: &str = "auth[application_token]";
const MEMBER: &str = "auth[member_id]";
const ACCESS_TOKEN: &str = "auth[access_token]";
const REFRESH_TOKEN: &str = "auth[refresh_token]";
const EXPIRES_IN: &str = "auth[expires_in]";
const CLIENT_ENDPOINT: &str = "auth[client_endpoint]";
const SERVER_ENDPOINT: &str = "auth[server_endpoint]";
const DOMAIN: &str = "auth[domain]";
const SCOPE: &str = "auth[scope]";

/// One notification. `Debug` shows nothing of `auth`.
#[non_exhaustive]
pub struct Notification {
    /// The event's name in upper case: 1 to [`EVENT_BYTES`] of `A-Z`, `0-9`, `_` and `.`.
    pub event: String,
    /// Which record it is about.
    pub record: Record,
    /// `data[FIELDS][ENTITY_ID]`: whose user field it is about (`CRM_DEAL`), or whose address (a number).
    pub entity_id: Option<String>,
    /// `data[FIELDS][FIELD_NAME]`: the user field it is about.
    pub field: Option<String>,
    /// When the portal sent it, not when the change happened: seconds since 1970, up to [`LAST_SECOND`].
    pub sent_at: Option<i64>,
    /// Proves that the portal sent it; not empty, not compared with anything yet.
    pub application_token: SecretString,
    /// Which portal says it sent it.
    pub member_id: Option<String>,
    /// Whether whoever removed the application asked for its data to be deleted: `data[CLEAN]` is `1`.
    pub clean: bool,
    /// Tokens to keep; only where there is a refresh token.
    pub install: Option<InstallTokens>,
}

/// The record that a notification is about: `data[FIELDS][ID]`, or `data[ID]` as timeline comments have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Record {
    /// None: removals of the application, offline queues, tasks, calls, addresses.
    Absent,
    /// Something that is no record's id: a currency has a code. An error only where a record is needed.
    Malformed,
    /// This one.
    Id(RecordId),
}

/// What an application is given to call the portal with. `Debug` shows nothing of it.
///
/// The addresses are whatever the sender wrote: believe them only once the application token has been compared, and
/// check them like any address before calling them.
#[non_exhaustive]
pub struct InstallTokens {
    /// For calls.
    pub access_token: SecretString,
    /// For new access tokens.
    pub refresh_token: SecretString,
    /// How long the access token is good for after it was sent.
    pub expires_in: Option<Duration>,
    /// Where the portal's REST is.
    pub client_endpoint: Option<String>,
    /// Where the authorisation server's REST is.
    pub server_endpoint: Option<String>,
    /// The portal's host.
    pub domain: Option<String>,
    /// What the tokens are good for, with commas between.
    pub scope: Option<String>,
}

impl Notification {
    /// Reads a body.
    ///
    /// # Errors
    /// Those of [`Form::parse`] and of [`Notification::from_form`].
    pub fn parse(body: &[u8]) -> Result<Notification, NotificationError> {
        Notification::from_form(&Form::parse(body)?)
    }

    /// Reads a form.
    ///
    /// # Errors
    /// `Duplicate` for a key that may be given once, and for both `data[FIELDS][ID]` and `data[ID]`; `Missing` without
    /// `event`, without `auth[application_token]`, or with a refresh token and no access token; `Event`; `NotANumber`
    /// for `ts` and `auth[expires_in]`; `Text` for the others. Never for what the record's id is.
    pub fn from_form(form: &Form<'_>) -> Result<Notification, NotificationError> {
        refuse_duplicates(form)?;
        let token = text(form, APPLICATION_TOKEN)?.ok_or(NotificationError::Missing { key: APPLICATION_TOKEN })?;
        Ok(Notification {
            event: event(form)?,
            record: record(form)?,
            entity_id: text(form, ENTITY)?,
            field: text(form, FIELD)?,
            sent_at: number(form, TS, 1, LAST_SECOND)?,
            application_token: token.into(),
            member_id: text(form, MEMBER)?,
            clean: form.one(CLEAN)? == Some("1"),
            install: install(form)?,
        })
    }

    /// The record's id, for an event that needs one.
    ///
    /// # Errors
    /// `Missing` or `NotANumber`.
    pub fn record_id(&self) -> Result<RecordId, NotificationError> {
        match self.record {
            Record::Id(id) => Ok(id),
            Record::Absent => Err(NotificationError::Missing { key: RECORD }),
            Record::Malformed => Err(NotificationError::NotANumber { key: RECORD, least: 1, most: i64::MAX }),
        }
    }
}

impl fmt::Debug for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notification")
            .field("event", &self.event)
            .field("record", &self.record)
            .field("entity_id", &self.entity_id)
            .field("field", &self.field)
            .field("sent_at", &self.sent_at)
            .field("clean", &self.clean)
            .field("install", &self.install)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for InstallTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InstallTokens(…)")
    }
}

/// Checks the header `Content-Type`: `application/x-www-form-urlencoded`, with `charset=utf-8` or nothing after it.
///
/// # Errors
/// `ContentType`, also if there is no header.
pub fn check_content_type(header: Option<&[u8]>) -> Result<(), NotificationError> {
    let header = header.and_then(|header| str::from_utf8(header).ok()).ok_or(NotificationError::ContentType)?;
    let (media, parameters) = header.split_once(';').unwrap_or((header, "charset=utf-8"));
    let is_utf8 = |charset: &str| charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("\"utf-8\"");
    let right = blanks_off(media).eq_ignore_ascii_case("application/x-www-form-urlencoded")
        && blanks_off(parameters)
            .split_once('=')
            .is_some_and(|(name, charset)| name.eq_ignore_ascii_case("charset") && is_utf8(charset));
    if right { Ok(()) } else { Err(NotificationError::ContentType) }
}

fn blanks_off(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

fn refuse_duplicates(form: &Form<'_>) -> Result<(), NotificationError> {
    let mut seen = BTreeSet::new();
    match form.pairs().find(|(key, _)| key.starts_with(AUTH) && !seen.insert(*key)) {
        Some((key, _)) => Err(NotificationError::Duplicate { key: KeyName::of(key) }),
        None => Ok(()),
    }
}

/// The installation callback need not name an event; its tokens tell what it is (Bitrix24 REST 12.1).
fn event(form: &Form<'_>) -> Result<String, NotificationError> {
    let Some(name) = form.one(EVENT)? else {
        let installs = form.one(REFRESH_TOKEN)?.is_some_and(|token| !token.is_empty());
        return if installs { Ok(INSTALLED.to_owned()) } else { Err(NotificationError::Missing { key: EVENT }) };
    };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.');
    if (1..=EVENT_BYTES).contains(&name.len()) && name.bytes().all(allowed) {
        Ok(name.to_ascii_uppercase())
    } else {
        Err(NotificationError::Event)
    }
}

fn record(form: &Form<'_>) -> Result<Record, NotificationError> {
    let value = match (form.one(RECORD)?, form.one(BARE_RECORD)?) {
        (Some(_), Some(_)) => return Err(NotificationError::Duplicate { key: KeyName::of(BARE_RECORD) }),
        (value, bare) => value.or(bare),
    };
    Ok(match value {
        None | Some("") => Record::Absent,
        Some(digits) => plain(digits).and_then(RecordId::new).map_or(Record::Malformed, Record::Id),
    })
}

fn install(form: &Form<'_>) -> Result<Option<InstallTokens>, NotificationError> {
    let Some(refresh_token) = text(form, REFRESH_TOKEN)? else { return Ok(None) };
    let access_token = text(form, ACCESS_TOKEN)?.ok_or(NotificationError::Missing { key: ACCESS_TOKEN })?;
    let seconds = number(form, EXPIRES_IN, 0, u32::MAX.into())?;
    Ok(Some(InstallTokens {
        access_token: access_token.into(),
        refresh_token: refresh_token.into(),
        expires_in: seconds.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs),
        client_endpoint: text(form, CLIENT_ENDPOINT)?,
        server_endpoint: text(form, SERVER_ENDPOINT)?,
        domain: text(form, DOMAIN)?,
        scope: text(form, SCOPE)?,
    }))
}

fn text(form: &Form<'_>, key: &'static str) -> Result<Option<String>, NotificationError> {
    match form.one(key)? {
        None | Some("") => Ok(None),
        Some(text) if text.len() > TEXT_BYTES || text.contains(char::is_control) => {
            Err(NotificationError::Text { key })
        }
        Some(text) => Ok(Some(text.to_owned())),
    }
}

fn number(form: &Form<'_>, key: &'static str, least: i64, most: i64) -> Result<Option<i64>, NotificationError> {
    match form.one(key)? {
        None | Some("") => Ok(None),
        Some(digits) => match plain(digits).filter(|number| (least..=most).contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(NotificationError::NotANumber { key, least, most }),
        },
    }
}

/// A number as the portal writes it: digits only, no sign, no zeros in front.
fn plain(digits: &str) -> Option<i64> {
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    is_plain.then(|| digits.parse().ok()).flatten()
}
