//! SQLSTATE → [`StoreError`], and the question whether trying again helps.
//!
//! diesel's errors have no room for a SQLSTATE, so the connection puts a [`Failure`] into
//! `diesel::result::Error::SerializationError`, and [`Trouble`] takes it out again. That is the only use of that
//! variant here.

use std::error::Error;
use std::fmt;

use b24sync_domain::error::{BoxError, StoreError};

// SQLSTATEs, see the PostgreSQL manual, appendix "PostgreSQL Error Codes".
const INSUFFICIENT_PRIVILEGE: &str = "42501";
const CANNOT_CHANGE_RESULT: &str = "0A000";
const TOO_MANY_CONNECTIONS: &str = "53300";
const SERIALIZATION_FAILURE: &str = "40001";
const DEADLOCK: &str = "40P01";
const LOCK_NOT_AVAILABLE: &str = "55P03";
const READ_ONLY: &str = "25006";
const QUERY_CANCELED: &str = "57014";
const NO_SUCH_DATABASE: &str = "3D000";
const NO_SUCH_STATEMENT: &str = "26000";
const STATEMENT_EXISTS: &str = "42P05";
const OBJECT_IN_USE: &str = "55006";
const RAISED: &str = "P0001";
pub(crate) const UNIQUE_VIOLATION: &str = "23505";
pub(crate) const DUPLICATE_OBJECT: &str = "42710";
pub(crate) const DUPLICATE_TABLE: &str = "42P07";
pub(crate) const DUPLICATE_SCHEMA: &str = "42P06";
pub(crate) const INTERNAL_ERROR: &str = "XX000";

/// What the server, or the way to it, answered instead of a result.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    code: Option<String>,
    message: String,
    lost: bool,
}

impl Failure {
    /// `closed`: whether the connection is known to be gone.
    pub(crate) fn new(error: &tokio_postgres::Error, closed: bool) -> Failure {
        if let Some(server) = error.as_db_error() {
            // The detail is left out: it may quote a whole row.
            return Failure {
                code: Some(server.code().code().to_owned()),
                message: server.message().to_owned(),
                lost: false,
            };
        }
        let io = error.source().and_then(|cause| cause.downcast_ref::<std::io::Error>()).is_some();
        Failure { code: None, message: chain(error), lost: closed || io || error.is_closed() }
    }

    /// A fault on this side.
    pub(crate) fn ours(message: impl Into<String>) -> Failure {
        Failure { code: None, message: message.into(), lost: false }
    }

    /// A row that the database took without a word and did not keep.
    pub(crate) fn swallowed(message: impl Into<String>) -> Failure {
        Failure { code: Some(RAISED.to_owned()), message: message.into(), lost: false }
    }

    /// What a transaction goes by was changed by another one meanwhile.
    pub(crate) fn overtaken() -> Failure {
        Failure {
            code: Some(SERIALIZATION_FAILURE.to_owned()),
            message: "another transaction was quicker".to_owned(),
            lost: false,
        }
    }

    /// A value that has another way into its column, but not this one.
    pub(crate) fn not_for_copy() -> Failure {
        Failure { code: Some(RAISED.to_owned()), message: "a value cannot be copied".to_owned(), lost: false }
    }

    /// No connection came about.
    pub(crate) fn unreachable(message: impl Into<String>) -> Failure {
        Failure { code: None, message: message.into(), lost: true }
    }

    pub(crate) fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    fn in_class(&self, class: &str) -> bool {
        self.code.as_deref().is_some_and(|code| code.starts_with(class))
    }

    /// The server's own words.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Whether the same transaction may succeed a moment later (CORRECTNESS P4).
    pub(crate) fn is_transient(&self) -> bool {
        const CODES: &[&str] = &[TOO_MANY_CONNECTIONS, SERIALIZATION_FAILURE, DEADLOCK, LOCK_NOT_AVAILABLE, READ_ONLY];
        self.lost
            || self.in_class("08")
            || self.in_class("57P")
            || CODES.iter().any(|code| self.is(code))
            || self.is_stale_statement()
    }

    /// Whether a prepared statement is out of date, or gone with the server connection behind a pooler.
    pub(crate) fn is_stale_statement(&self) -> bool {
        let replanned = self.is(CANNOT_CHANGE_RESULT) && self.message.contains("cached plan");
        replanned || self.is(NO_SUCH_STATEMENT) || self.is(STATEMENT_EXISTS)
    }

    /// Whether the server at the other end does not write any more: another one has its place.
    pub(crate) fn is_read_only(&self) -> bool {
        self.is(READ_ONLY)
    }

    /// Whether a row is to blame: its values (22), a constraint (23), its size (54), a trigger of the user's (P0).
    pub(crate) fn is_about_data(&self) -> bool {
        ["22", "23", "54", "P0"].iter().any(|class| self.in_class(class))
    }

    /// Whether two processes have created the same thing at the same time.
    pub(crate) fn is_creation_race(&self) -> bool {
        [UNIQUE_VIOLATION, DUPLICATE_OBJECT, DUPLICATE_TABLE, DUPLICATE_SCHEMA].iter().any(|code| self.is(code))
            || (self.is(INTERNAL_ERROR) && self.message.contains("concurrently updated"))
    }

    pub(crate) fn is_forbidden(&self) -> bool {
        self.is(INSUFFICIENT_PRIVILEGE)
    }

    pub(crate) fn into_store(self, doing: &'static str) -> StoreError {
        if self.is(NO_SUCH_STATEMENT) || self.is(STATEMENT_EXISTS) {
            const CURE: &str = "the pooler in front of the database does not keep prepared statements apart: use the direct or the session endpoint, or PgBouncer 1.21 or newer with max_prepared_statements above 0";
            return StoreError::Unavailable { doing, source: CURE.into() };
        }
        let unavailable = self.is_transient()
            || self.in_class("53")
            || [NO_SUCH_DATABASE, QUERY_CANCELED, OBJECT_IN_USE].iter().any(|code| self.is(code));
        let source: BoxError = Box::new(self.clone());
        if self.in_class("28") {
            StoreError::LoginRefused { source }
        } else if self.is_forbidden() {
            StoreError::Forbidden { doing, source }
        } else if unavailable {
            StoreError::Unavailable { doing, source }
        } else {
            StoreError::Database { doing, source }
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.code {
            Some(code) => write!(f, " (SQLSTATE {code})"),
            None => Ok(()),
        }
    }
}

impl Error for Failure {}

impl From<Failure> for diesel::result::Error {
    fn from(failure: Failure) -> Self {
        diesel::result::Error::SerializationError(Box::new(failure))
    }
}

/// Why a transaction came to nothing.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The answer is known already, and trying again does not change it.
    Known(StoreError),
    /// The database failed.
    Failed(Failure),
}

impl Trouble {
    pub(crate) fn failure(&self) -> Option<&Failure> {
        match self {
            Trouble::Known(_) => None,
            Trouble::Failed(failure) => Some(failure),
        }
    }

    pub(crate) fn is_transient(&self) -> bool {
        self.failure().is_some_and(Failure::is_transient)
    }

    pub(crate) fn is_about_data(&self) -> bool {
        self.failure().is_some_and(Failure::is_about_data)
    }

    /// Whether another transaction was quicker.
    pub(crate) fn is_overtaken(&self) -> bool {
        self.failure().is_some_and(|failure| failure.is(SERIALIZATION_FAILURE))
    }

    pub(crate) fn into_store(self, doing: &'static str) -> StoreError {
        match self {
            Trouble::Known(error) => error,
            Trouble::Failed(failure) => failure.into_store(doing),
        }
    }
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Trouble {
        Trouble::Known(error)
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble::Failed(failure)
    }
}

impl From<diesel::result::Error> for Trouble {
    fn from(error: diesel::result::Error) -> Trouble {
        Trouble::Failed(match error {
            diesel::result::Error::SerializationError(inner) => match inner.downcast::<Failure>() {
                Ok(failure) => *failure,
                Err(other) => Failure::ours(other.to_string()),
            },
            other => Failure::ours(other.to_string()),
        })
    }
}

/// An error and its causes, joined by `: `.
pub(crate) fn chain(error: &(dyn Error + 'static)) -> String {
    b24sync_domain::error::Chain(error).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(code: &str) -> Failure {
        Failure { code: Some(code.to_owned()), message: "words".to_owned(), lost: false }
    }

    #[test]
    fn every_sqlstate_has_its_variant() {
        let variant = |code: &str| match with(code).into_store("testing") {
            StoreError::Unavailable { .. } => "unavailable",
            StoreError::LoginRefused { .. } => "login",
            StoreError::Forbidden { .. } => "forbidden",
            StoreError::Database { .. } => "database",
            _ => "other",
        };
        let cases = [
            ("28P01", "login"),
            ("28000", "login"),
            ("3D000", "unavailable"),
            ("42501", "forbidden"),
            ("08006", "unavailable"),
            ("57P01", "unavailable"),
            ("53300", "unavailable"),
            ("53100", "unavailable"),
            ("25006", "unavailable"),
            ("57014", "unavailable"),
            ("26000", "unavailable"),
            ("42P01", "database"),
        ];
        for (code, expected) in cases {
            assert_eq!(variant(code), expected, "{code}");
        }
    }

    #[test]
    fn only_rows_are_blamed_for_data() {
        assert!(["22003", "23514", "54000", "P0001"].iter().all(|code| with(code).is_about_data()));
        assert!(!["42703", "40001", "53100"].iter().any(|code| with(code).is_about_data()));
    }

    #[test]
    fn a_failure_passes_through_diesel_unchanged() {
        let trouble = Trouble::from(diesel::result::Error::from(with("40P01")));
        assert!(trouble.is_transient());
    }
}
