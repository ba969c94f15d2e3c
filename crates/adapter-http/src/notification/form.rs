//! `application/x-www-form-urlencoded` with nested keys as PHP writes them: `data[FIELDS][ID]=1`.
//!
//! Strict where the usual parsers repair: a stray `%` and bytes that are not UTF-8 are errors. Bounded: what is
//! allocated are the pairs, of which there are at most [`PAIRS`], and the decoded texts, which are shorter than the
//! body. Keys stay flat, because readers ask for whole names; their brackets are only checked.
//!
//! Not `serde_qs` (1.1): it takes `%` and `%zz` literally, makes what is nested too deep part of the key's name instead
//! of refusing it, lets the last of several equal keys win when one value is asked for, accepts NUL in keys, and limits
//! neither pairs nor the length of keys.

use std::borrow::Cow;
use std::fmt;

use super::error::{KeyName, NotificationError};

/// Bytes of a body at most.
pub const BODY_BYTES: usize = 64 * 1024;
/// Pairs of a body at most.
pub const PAIRS: usize = 256;
/// Bytes of a key at most, once decoded.
pub const KEY_BYTES: usize = 256;
/// Pairs of brackets in a key at most.
pub const NESTING: usize = 4;

/// The pairs of a body in their order. Its `Debug` counts them and shows none.
pub struct Form<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Form<'a> {
    /// Reads a body. Nothing between two `&` is no pair; a pair without `=` has an empty value.
    ///
    /// # Errors
    /// `BodyTooLarge`, `TooManyPairs`, and, about the first bad pair, `Percent`, `NotUtf8`, `KeyTooLong`, `KeyTooDeep`
    /// and `MalformedKey`.
    pub fn parse(body: &'a [u8]) -> Result<Form<'a>, NotificationError> {
        if body.len() > BODY_BYTES {
            return Err(NotificationError::BodyTooLarge);
        }
        let raw = || body.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty());
        let count = raw().take(PAIRS + 1).count();
        if count > PAIRS {
            return Err(NotificationError::TooManyPairs);
        }
        let mut pairs = Vec::with_capacity(count);
        for (pair, raw) in (1..).zip(raw()) {
            let mut halves = raw.splitn(2, |byte| *byte == b'=');
            let key = decode(halves.next().unwrap_or_default(), pair)?;
            check_key(&key, pair)?;
            pairs.push((key, decode(halves.next().unwrap_or_default(), pair)?));
        }
        Ok(Form(pairs))
    }

    /// Keys and values in their order, decoded.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_ref(), value.as_ref()))
    }

    /// The value of this very key.
    ///
    /// # Errors
    /// `Duplicate` if it is given more than once.
    pub fn one(&self, key: &str) -> Result<Option<&str>, NotificationError> {
        let mut values = self.pairs().filter(|(name, _)| *name == key);
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(NotificationError::Duplicate { key: KeyName::of(key) }),
            (first, None) => Ok(first.map(|(_, value)| value)),
        }
    }
}

impl fmt::Debug for Form<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Form({} pairs)", self.0.len())
    }
}

fn decode(raw: &[u8], pair: usize) -> Result<Cow<'_, str>, NotificationError> {
    let not_utf8 = NotificationError::NotUtf8 { pair };
    if !raw.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return str::from_utf8(raw).map(Cow::Borrowed).or(Err(not_utf8));
    }
    let mut decoded = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => match (bytes.next().and_then(hex), bytes.next().and_then(hex)) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return Err(NotificationError::Percent { pair }),
            },
            byte => byte,
        });
    }
    String::from_utf8(decoded).map(Cow::Owned).or(Err(not_utf8))
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// `name`, `name[a]`, `name[a][b]`; nothing between brackets is a name too.
fn check_key(key: &str, pair: usize) -> Result<(), NotificationError> {
    if key.len() > KEY_BYTES {
        return Err(NotificationError::KeyTooLong { pair });
    }
    let malformed = NotificationError::MalformedKey { pair };
    let (name, mut rest) = key.split_at(key.find('[').unwrap_or(key.len()));
    if name.is_empty() || name.contains(']') || key.contains('\0') {
        return Err(malformed);
    }
    let mut levels = 0;
    while !rest.is_empty() {
        match rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            Some((level, after)) if !level.contains('[') => rest = after,
            _ => return Err(malformed),
        }
        levels += 1;
    }
    if levels > NESTING { Err(NotificationError::KeyTooDeep { pair }) } else { Ok(()) }
}
