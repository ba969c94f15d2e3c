//! Why a notification is refused.

use std::fmt;

use super::form::{BODY_BYTES, KEY_BYTES, NESTING, PAIRS};
use super::{EVENT_BYTES, TEXT_BYTES};

/// Characters of a key's name in a message at most.
const NAME_CHARS: usize = 64;

/// Why a notification is refused. No message repeats a value of the body; `pair` counts from 1, empty ones aside.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotificationError {
    /// The header is missing, or names another type or character set.
    #[error("the body must be `application/x-www-form-urlencoded` in UTF-8")]
    ContentType,
    /// More than [`BODY_BYTES`].
    #[error("the body must have at most {BODY_BYTES} bytes")]
    BodyTooLarge,
    /// More than [`PAIRS`].
    #[error("the body must have at most {PAIRS} pairs")]
    TooManyPairs,
    /// A `%` that two hexadecimal digits do not follow.
    #[error("pair {pair} is not percent-encoded correctly")]
    Percent {
        /// Which pair.
        pair: usize,
    },
    /// A key or a value, once decoded.
    #[error("pair {pair} is not UTF-8")]
    NotUtf8 {
        /// Which pair.
        pair: usize,
    },
    /// Longer than [`KEY_BYTES`], once decoded.
    #[error("the key of pair {pair} must have at most {KEY_BYTES} bytes")]
    KeyTooLong {
        /// Which pair.
        pair: usize,
    },
    /// More than [`NESTING`] pairs of brackets.
    #[error("the key of pair {pair} must not be nested deeper than {NESTING} levels")]
    KeyTooDeep {
        /// Which pair.
        pair: usize,
    },
    /// Nothing before the brackets, brackets that do not match, text after them, or a NUL.
    #[error("the key of pair {pair} is malformed")]
    MalformedKey {
        /// Which pair.
        pair: usize,
    },
    /// A key that may be given once, or the second of two of which one may be given.
    #[error("`{key}` is given more than once")]
    Duplicate {
        /// Which key.
        key: KeyName,
    },
    /// A key that must be given, and not be empty.
    #[error("`{key}` is missing")]
    Missing {
        /// Which key.
        key: &'static str,
    },
    /// The event's name.
    #[error("`event` must have 1 to {EVENT_BYTES} letters, digits, underscores and dots")]
    Event,
    /// A number.
    #[error("`{key}` must be a number from {least} to {most}")]
    NotANumber {
        /// Which key.
        key: &'static str,
        /// The least number.
        least: i64,
        /// The greatest number.
        most: i64,
    },
    /// A text, a token included.
    #[error("`{key}` must have at most {TEXT_BYTES} bytes and no control characters")]
    Text {
        /// Which key.
        key: &'static str,
    },
}

/// A key's name for messages: 64 characters at most, with `?` for what is not printable ASCII.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyName(String);

impl KeyName {
    pub(super) fn of(key: &str) -> KeyName {
        let printable = |char: char| if matches!(char, ' '..='~') { char } else { '?' };
        KeyName(key.chars().take(NAME_CHARS).map(printable).collect())
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
