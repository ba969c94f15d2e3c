//! How one attempt failed, and what a failure means for the next attempt.

use b24sync_domain::error::{BoxError, SourceError};

/// What to do after a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Repeating it would not help.
    Final,
    /// The portal asked for patience: wait long, then repeat.
    Limit,
    /// Something broke: wait a little, then repeat with less work.
    Fault,
}

impl Class {
    /// As figures name it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Class::Final => "refused",
            Class::Limit => "limited",
            Class::Fault => "failed",
        }
    }
}

/// A failed attempt.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) error: SourceError,
    pub(crate) class: Class,
}

impl Failure {
    pub(crate) fn last(error: SourceError) -> Failure {
        Failure { error, class: Class::Final }
    }

    pub(crate) fn fault(error: SourceError) -> Failure {
        Failure { error, class: Class::Fault }
    }

    /// The answer is not what the method returns.
    pub(crate) fn malformed(method: &str, source: impl Into<BoxError>) -> Failure {
        Failure::fault(SourceError::Malformed { method: method.to_owned(), source: source.into() })
    }

    /// No answer, or that of a broken server.
    pub(crate) fn unavailable(method: &str, source: impl Into<BoxError>) -> Failure {
        Failure::fault(SourceError::Unavailable { method: method.to_owned(), source: source.into() })
    }

    /// The answer is not JSON of the expected shape. `serde_json`'s own message may quote values, so it is not kept.
    pub(crate) fn json(method: &str, error: &serde_json::Error) -> Failure {
        let what = match error.classify() {
            serde_json::error::Category::Eof => "the answer is cut short",
            serde_json::error::Category::Data => "the answer has an unexpected shape",
            serde_json::error::Category::Syntax | serde_json::error::Category::Io => "the answer is not JSON",
        };
        Failure::malformed(method, format!("{what} (line {}, column {})", error.line(), error.column()))
    }
}
