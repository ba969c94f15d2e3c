//! Scalars of the portal's PHP-shaped JSON: the same number may come as a number or a string, the same yes as `true`,
//! `"Y"` or `1`.

use b24sync_domain::mapping::json::{self, Token};
use chrono::{DateTime, FixedOffset, Utc};
use serde_json::value::RawValue;

/// A string's text, or a number's digits.
pub(crate) fn text(raw: &RawValue) -> Option<String> {
    match json::token(raw.get()).ok()? {
        Token::Text(text) => Some(text.into_owned()),
        Token::Number(number) => Some(number.to_owned()),
        _ => None,
    }
}

pub(crate) fn integer(raw: &RawValue) -> Option<i64> {
    match json::token(raw.get()).ok()? {
        Token::Text(text) => text.trim().parse().ok(),
        Token::Number(number) => number.parse().ok(),
        _ => None,
    }
}

pub(crate) fn float(raw: &RawValue) -> Option<f64> {
    text(raw)?.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

/// `None` where the value is no yes or no.
pub(crate) fn boolean(raw: &RawValue) -> Option<bool> {
    match json::token(raw.get()).ok()? {
        Token::Bool(value) => Some(value),
        Token::Number("1") => Some(true),
        Token::Number("0") => Some(false),
        Token::Text(text) => match text.as_ref() {
            "Y" | "y" | "1" | "true" => Some(true),
            "N" | "n" | "0" | "false" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// A time with an offset.
pub(crate) fn instant(raw: &RawValue) -> Option<DateTime<FixedOffset>> {
    let Token::Text(text) = json::token(raw.get()).ok()? else { return None };
    parse_instant(text.trim())
}

pub(crate) fn parse_instant(text: &str) -> Option<DateTime<FixedOffset>> {
    DateTime::parse_from_rfc3339(text).or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%z")).ok()
}

/// A time as epoch seconds (whole, fractional, or in a string) or with an offset.
pub(crate) fn epoch(raw: &RawValue) -> Option<DateTime<Utc>> {
    if let Some(instant) = instant(raw) {
        return Some(instant.to_utc());
    }
    let text = text(raw)?;
    let seconds = text.split_once('.').map_or(text.as_str(), |(whole, _)| whole);
    DateTime::from_timestamp(seconds.parse().ok()?, 0)
}
