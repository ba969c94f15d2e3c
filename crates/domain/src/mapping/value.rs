//! One JSON value of a known field → one cell. Lossless, or refused with a reason.
//!
//! The portal writes the same emptiness as `null`, `""`, `[]`, `{}` or `false`, numbers as strings, and booleans in
//! five spellings (Bitrix24 REST, "types and the JSON shape of values"): all of these are understood here, and nothing
//! else is guessed.

use std::borrow::Cow;

use chrono::{DateTime, Datelike, FixedOffset, NaiveDate, NaiveDateTime, TimeZone, Utc};

use super::json::{self, Token};
use crate::field::FieldKind;

/// A value in the shape of its field's kind, before it meets a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'a> {
    /// Nothing there.
    Null,
    /// Text.
    Text(Cow<'a, str>),
    /// Whole number of at most 64 bits.
    Integer(i64),
    /// Decimal number of any size, as PostgreSQL reads it.
    Decimal(Cow<'a, str>),
    /// Yes or no.
    Boolean(bool),
    /// Instant.
    Instant(DateTime<Utc>),
    /// Calendar day.
    Date(NaiveDate),
    /// JSON text.
    Json(Cow<'a, str>),
}

/// A value, and what comes with it in a column of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Converted<'a> {
    /// The value.
    pub cell: Cell<'a>,
    /// Currency of an amount; `None` for every other kind.
    pub currency: Option<Cell<'a>>,
}

/// Why a value cannot be stored. Says nothing of the value itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ValueError {
    /// PostgreSQL has no U+0000 in text.
    #[error("text contains U+0000, which PostgreSQL cannot store")]
    NulCharacter,
    /// Half of a surrogate pair stands for no character.
    #[error("text contains a lone surrogate, which is no character")]
    LoneSurrogate,
    /// The value is not what the field's type promises.
    #[error("not {0}")]
    NotA(&'static str),
    /// Beyond what the type can hold.
    #[error("{0} out of range")]
    OutOfRange(&'static str),
}

/// Converts a value of a field of this kind.
///
/// `offset` is the portal's, for times that come without one (Bitrix24 REST 8.3).
///
/// # Errors
/// [`ValueError`] when the value is not of the kind and is none of the known spellings of emptiness.
pub fn convert(kind: FieldKind, multiple: bool, value: &str, offset: FixedOffset) -> Result<Converted<'_>, ValueError> {
    let token = json::token(value).map_err(|json::BadText| ValueError::LoneSurrogate)?;
    if kind == FieldKind::Multifield {
        return multifield(&token).map(plain);
    }
    if multiple {
        return list(kind, &token, offset).map(plain);
    }
    if kind == FieldKind::Money {
        return money(&token);
    }
    single(kind, token, offset).map(plain)
}

fn plain(cell: Cell<'_>) -> Converted<'_> {
    Converted { cell, currency: None }
}

fn single(kind: FieldKind, token: Token<'_>, offset: FixedOffset) -> Result<Cell<'_>, ValueError> {
    match kind {
        FieldKind::Text | FieldKind::Other => text(token, Empty::IsText),
        FieldKind::Enumeration | FieldKind::Status | FieldKind::Currency | FieldKind::Url | FieldKind::Address => {
            text(token, Empty::IsNull)
        }
        FieldKind::Reference => reference(token),
        FieldKind::Integer | FieldKind::Category => number(token, "a whole number", true),
        FieldKind::Double | FieldKind::Money => number(token, "a number", false),
        FieldKind::Boolean => boolean(&token),
        FieldKind::DateTime => instant(&token, offset),
        FieldKind::Date => date(&token),
        FieldKind::File => file(&token),
        FieldKind::Multifield => multifield(&token),
        FieldKind::Object => object(token),
    }
}

/// What an empty string means.
#[derive(Clone, Copy, PartialEq)]
enum Empty {
    IsText,
    IsNull,
}

/// `null`, `false`, `[]` and `{}` stand for "nothing there" in every kind but Boolean.
fn is_nothing(token: &Token<'_>) -> bool {
    match token {
        Token::Null | Token::Bool(false) => true,
        Token::Array(json) | Token::Object(json) => {
            json.bytes().filter(|byte| !byte.is_ascii_whitespace()).count() == 2
        }
        Token::Bool(true) | Token::Number(_) | Token::Text(_) => false,
    }
}

fn text(token: Token<'_>, empty: Empty) -> Result<Cell<'_>, ValueError> {
    if is_nothing(&token) {
        return Ok(Cell::Null);
    }
    match token {
        Token::Text(text) if text.is_empty() && empty == Empty::IsNull => Ok(Cell::Null),
        // JSON has control characters as escapes only, and a text with escapes is never borrowed.
        Token::Text(Cow::Owned(text)) if text.contains('\0') => Err(ValueError::NulCharacter),
        Token::Text(text) => Ok(Cell::Text(text)),
        Token::Number(number) => Ok(Cell::Text(Cow::Borrowed(number))),
        Token::Bool(_) => Ok(Cell::Text(Cow::Borrowed("true"))),
        Token::Array(json) | Token::Object(json) => stored_json(json).map(Cell::Text),
        Token::Null => Ok(Cell::Null),
    }
}

/// Ids of other records: 0 means none.
fn reference(token: Token<'_>) -> Result<Cell<'_>, ValueError> {
    Ok(match text(token, Empty::IsNull)? {
        Cell::Text(text) if text == "0" => Cell::Null,
        cell => cell,
    })
}

fn number<'a>(token: Token<'a>, expected: &'static str, whole: bool) -> Result<Cell<'a>, ValueError> {
    if is_nothing(&token) {
        return Ok(Cell::Null);
    }
    let text: Cow<'a, str> = match token {
        Token::Number(number) => Cow::Borrowed(number),
        Token::Text(text) if text.trim().is_empty() => return Ok(Cell::Null),
        Token::Text(Cow::Borrowed(text)) => Cow::Borrowed(text.trim()),
        Token::Text(Cow::Owned(text)) => Cow::Owned(text.trim().to_owned()),
        _ => return Err(ValueError::NotA(expected)),
    };
    match decimal_shape(&text) {
        None => Err(ValueError::NotA(expected)),
        Some(shape) if shape.magnitude > 1_000 => Err(ValueError::OutOfRange("number")),
        Some(shape) if shape.integral && whole => Ok(text.parse().map_or(Cell::Decimal(text), Cell::Integer)),
        Some(_) => Ok(Cell::Decimal(text)),
    }
}

struct DecimalShape {
    /// Neither fraction nor exponent.
    integral: bool,
    /// Digits or exponent, whichever is larger: a bound on what PostgreSQL would have to hold.
    magnitude: usize,
}

/// Checks `[+-]digits[.digits][e[+-]digits]` with at least one digit before the exponent, which PostgreSQL's `numeric`
/// reads.
fn decimal_shape(text: &str) -> Option<DecimalShape> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = whole.len() + fraction.map_or(0, str::len);
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if digits == 0 || !all_digits(whole) || !fraction.is_none_or(all_digits) {
        return None;
    }
    let power = match exponent {
        None => 0,
        Some(exponent) => {
            let power = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            if power.is_empty() || !all_digits(power) {
                return None;
            }
            power.parse().unwrap_or(usize::MAX)
        }
    };
    Some(DecimalShape { integral: fraction.is_none() && exponent.is_none(), magnitude: digits.max(power) })
}

fn boolean<'a>(token: &Token<'a>) -> Result<Cell<'a>, ValueError> {
    let yes = match token {
        Token::Null | Token::Array(_) | Token::Object(_) if is_nothing(token) => return Ok(Cell::Null),
        Token::Bool(value) => *value,
        Token::Number("1") => true,
        Token::Number("0") => false,
        Token::Text(text) => match text.as_ref() {
            "" => return Ok(Cell::Null),
            "Y" | "y" | "1" | "true" => true,
            "N" | "n" | "0" | "false" => false,
            _ => return Err(ValueError::NotA("a yes or no")),
        },
        _ => return Err(ValueError::NotA("a yes or no")),
    };
    Ok(Cell::Boolean(yes))
}

/// A time as read: with the offset it came with, or as wall-clock time.
enum Moment {
    Instant(DateTime<FixedOffset>),
    Local(NaiveDateTime),
    Day(NaiveDate),
}

const NOT_A_TIME: ValueError = ValueError::NotA("a date and time");
const NOT_A_DATE: ValueError = ValueError::NotA("a date");

/// The text of a time; `None` when nothing is there. A zero date is one more way to say nothing.
fn time_text<'a>(token: &'a Token<'_>, error: ValueError) -> Result<Option<&'a str>, ValueError> {
    if is_nothing(token) {
        return Ok(None);
    }
    match token {
        Token::Text(text) => {
            let text = text.trim();
            Ok((!text.is_empty() && !text.starts_with("0000-00-00") && !text.starts_with("00.00.0000")).then_some(text))
        }
        _ => Err(error),
    }
}

fn moment(text: &str) -> Option<Moment> {
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Some(Moment::Instant(instant));
    }
    if let Ok(instant) = DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%z") {
        return Some(Moment::Instant(instant));
    }
    // `user.get` and custom fields on old portals write times without an offset (Bitrix24 REST, gotcha 46).
    for format in ["%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%d.%m.%Y %H:%M:%S"] {
        if let Ok(local) = NaiveDateTime::parse_from_str(text, format) {
            return Some(Moment::Local(local));
        }
    }
    for format in ["%Y-%m-%d", "%d.%m.%Y"] {
        if let Ok(day) = NaiveDate::parse_from_str(text, format) {
            return Some(Moment::Day(day));
        }
    }
    None
}

fn instant<'a>(token: &Token<'a>, offset: FixedOffset) -> Result<Cell<'a>, ValueError> {
    let Some(text) = time_text(token, NOT_A_TIME)? else { return Ok(Cell::Null) };
    let in_portal_zone = |local: NaiveDateTime| offset.from_local_datetime(&local).single();
    let instant = match moment(text) {
        Some(Moment::Instant(instant)) => Some(instant),
        Some(Moment::Local(local)) => in_portal_zone(local),
        Some(Moment::Day(day)) => day.and_hms_opt(0, 0, 0).and_then(in_portal_zone),
        None => None,
    };
    let instant = instant.ok_or(NOT_A_TIME)?.with_timezone(&Utc);
    storable_year(instant.year())?;
    if instant.timestamp_subsec_nanos() % 1_000 != 0 {
        return Err(ValueError::OutOfRange("fraction of a second"));
    }
    Ok(Cell::Instant(instant))
}

/// A day is written as an instant: UTC midnight seen from the portal's offset, or local midnight. The later of the
/// local and the UTC calendar day is right in both cases (Bitrix24 REST 8.3).
fn date<'a>(token: &Token<'a>) -> Result<Cell<'a>, ValueError> {
    let Some(text) = time_text(token, NOT_A_DATE)? else { return Ok(Cell::Null) };
    let day = match moment(text).ok_or(NOT_A_DATE)? {
        Moment::Day(day) => day,
        Moment::Local(local) => local.date(),
        Moment::Instant(instant) => instant.date_naive().max(instant.naive_utc().date()),
    };
    storable_year(day.year())?;
    Ok(Cell::Date(day))
}

/// Four-digit years only: what lies outside is a mistake, and not all of it fits PostgreSQL's types.
fn storable_year(year: i32) -> Result<(), ValueError> {
    if (1..=9_999).contains(&year) { Ok(()) } else { Err(ValueError::OutOfRange("year")) }
}

/// `"300|USD"`: amount and currency, split at the last bar; either may be missing.
fn money<'a>(token: &Token<'a>) -> Result<Converted<'a>, ValueError> {
    let nothing = Converted { cell: Cell::Null, currency: Some(Cell::Null) };
    let text: &str = match token {
        token if is_nothing(token) => return Ok(nothing),
        Token::Number(number) => number,
        Token::Text(text) => text.trim(),
        _ => return Err(ValueError::NotA("an amount of money")),
    };
    let (amount, currency) = text.rsplit_once('|').unwrap_or((text, ""));
    if currency.contains('\0') {
        return Err(ValueError::NulCharacter);
    }
    let cell = match number(Token::Text(Cow::Owned(amount.to_owned())), "an amount of money", false)? {
        Cell::Decimal(text) => Cell::Decimal(Cow::Owned(text.into_owned())),
        _ => Cell::Null,
    };
    let currency = if currency.is_empty() { Cell::Null } else { Cell::Text(Cow::Owned(currency.to_owned())) };
    Ok(Converted { cell, currency: Some(currency) })
}

/// Only the id of a file is kept: its links change with every answer and carry tokens (Bitrix24 REST, gotcha 25).
fn file<'a>(token: &Token<'a>) -> Result<Cell<'a>, ValueError> {
    let mut out = String::new();
    Ok(if push_file(&mut out, token)? { Cell::Json(Cow::Owned(out)) } else { Cell::Null })
}

/// Appends `{"id": n}`, or a list of these; returns whether there was a file.
fn push_file(out: &mut String, token: &Token<'_>) -> Result<bool, ValueError> {
    const NOT_A_FILE: ValueError = ValueError::NotA("a file");
    if is_nothing(token) {
        return Ok(false);
    }
    let id = match token {
        Token::Number(number) => (*number).to_owned(),
        Token::Text(text) => text.trim().to_owned(),
        Token::Array(json) => {
            out.push('[');
            for (position, element) in json::elements(json).ok_or(NOT_A_FILE)?.into_iter().enumerate() {
                if position > 0 {
                    out.push_str(", ");
                }
                let element = json::token(element.get()).map_err(|json::BadText| ValueError::LoneSurrogate)?;
                if !push_file(out, &element)? {
                    out.push_str("null");
                }
            }
            out.push(']');
            return Ok(true);
        }
        Token::Object(json) => json::members(json)
            .ok_or(NOT_A_FILE)?
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("id"))
            .map(|(_, value)| value.get().trim_matches('"').to_owned())
            .ok_or(NOT_A_FILE)?,
        _ => return Err(NOT_A_FILE),
    };
    if id.is_empty() || id == "0" || id == "null" {
        return Ok(false);
    }
    if !id.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NOT_A_FILE);
    }
    out.push_str("{\"id\": ");
    out.push_str(id.trim_start_matches('0'));
    out.push('}');
    Ok(true)
}

/// Phones, e-mails and links: objects, kept as the portal wrote them.
fn multifield<'a>(token: &Token<'a>) -> Result<Cell<'a>, ValueError> {
    if is_nothing(token) {
        return Ok(Cell::Null);
    }
    match token {
        Token::Text(text) if text.is_empty() => Ok(Cell::Null),
        Token::Array(json) => stored_json(json).map(Cell::Json),
        Token::Object(json) => {
            let mut out = String::from("[");
            for (position, element) in json::elements(json).ok_or(ValueError::NotA("a list"))?.iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                out.push_str(&stored_json(element.get())?);
            }
            out.push(']');
            Ok(Cell::Json(Cow::Owned(out)))
        }
        _ => Err(ValueError::NotA("a list")),
    }
}

/// Objects without a fixed shape. A bare scalar is kept as JSON too.
fn object(token: Token<'_>) -> Result<Cell<'_>, ValueError> {
    if is_nothing(&token) {
        return Ok(Cell::Null);
    }
    match token {
        Token::Text(text) if text.is_empty() => Ok(Cell::Null),
        Token::Text(text) if text.contains('\0') => Err(ValueError::NulCharacter),
        Token::Text(text) => {
            let mut out = String::new();
            json::push_string(&mut out, &text);
            Ok(Cell::Json(Cow::Owned(out)))
        }
        Token::Number(number) => Ok(Cell::Json(Cow::Borrowed(number))),
        Token::Bool(_) => Ok(Cell::Json(Cow::Borrowed("true"))),
        Token::Array(json) | Token::Object(json) => stored_json(json).map(Cell::Json),
        Token::Null => Ok(Cell::Null),
    }
}

/// JSON as `jsonb` accepts it: no escaped U+0000, no lone surrogate, and no link that carries a token.
fn stored_json(json: &str) -> Result<Cow<'_, str>, ValueError> {
    if !json.as_bytes().contains(&b'\\') && !mentions_token(json) {
        return Ok(Cow::Borrowed(json));
    }
    let value: serde_json::Value = serde_json::from_str(json).map_err(|error| {
        debug_assert!(!error.is_io());
        ValueError::LoneSurrogate
    })?;
    if has_nul(&value) {
        return Err(ValueError::NulCharacter);
    }
    if !mentions_token(json) {
        return Ok(Cow::Borrowed(json));
    }
    let mut value = value;
    drop_token_links(&mut value);
    Ok(Cow::Owned(value.to_string()))
}

/// Whether a text may hold a link with an access token.
pub fn mentions_token(text: &str) -> bool {
    ["auth=", "token="].iter().any(|needle| text.contains(needle))
}

fn has_nul(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::String(text) => text.contains('\0'),
        serde_json::Value::Array(items) => items.iter().any(has_nul),
        serde_json::Value::Object(members) => members.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        _ => false,
    }
}

fn drop_token_links(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Array(items) => items.iter_mut().for_each(drop_token_links),
        serde_json::Value::Object(members) => {
            members.retain(|_, value| !value.as_str().is_some_and(is_token_link));
            members.values_mut().for_each(drop_token_links);
        }
        _ => {}
    }
}

fn is_token_link(text: &str) -> bool {
    mentions_token(text) && (text.starts_with("http") || text.starts_with('/'))
}

/// A value that no field describes, as JSON for the overflow column; `None` when nothing is there.
///
/// # Errors
/// [`ValueError`] when PostgreSQL cannot store it.
pub fn undescribed(value: &str) -> Result<Option<Cow<'_, str>>, ValueError> {
    let token = json::token(value).map_err(|json::BadText| ValueError::LoneSurrogate)?;
    if is_nothing(&token) || matches!(&token, Token::Text(text) if text.is_empty() || is_token_link(text)) {
        return Ok(None);
    }
    stored_json(value).map(Some)
}

/// A list field: each element in its kind's shape, as JSON. No elements, or any other emptiness, is NULL.
fn list<'a>(kind: FieldKind, token: &Token<'a>, offset: FixedOffset) -> Result<Cell<'a>, ValueError> {
    if is_nothing(token) || matches!(token, Token::Text(text) if text.is_empty()) {
        return Ok(Cell::Null);
    }
    let mut out = String::from("[");
    match token {
        Token::Array(json) => {
            for (position, element) in json::elements(json).ok_or(ValueError::NotA("a list"))?.iter().enumerate() {
                push_element(&mut out, position, kind, element.get(), offset)?;
            }
        }
        Token::Object(json) if !is_single_object(kind, json) => {
            for (position, element) in json::elements(json).ok_or(ValueError::NotA("a list"))?.iter().enumerate() {
                push_element(&mut out, position, kind, element.get(), offset)?;
            }
        }
        // One value where a list was promised: a list of one.
        Token::Object(json) | Token::Number(json) => push_element(&mut out, 0, kind, json, offset)?,
        Token::Text(text) => {
            let mut quoted = String::new();
            json::push_string(&mut quoted, text);
            push_element(&mut out, 0, kind, &quoted, offset)?;
        }
        Token::Bool(_) => push_element(&mut out, 0, kind, "true", offset)?,
        Token::Null => return Ok(Cell::Null),
    }
    out.push(']');
    Ok(Cell::Json(Cow::Owned(out)))
}

/// Whether an object is one value of the kind rather than a list with gaps in its keys.
fn is_single_object(kind: FieldKind, json: &str) -> bool {
    let has_id = || {
        json::members(json)
            .is_some_and(|members| members.iter().any(|(name, _)| !name.bytes().all(|byte| byte.is_ascii_digit())))
    };
    matches!(kind, FieldKind::File | FieldKind::Object) && has_id()
}

fn push_element(
    out: &mut String,
    position: usize,
    kind: FieldKind,
    element: &str,
    offset: FixedOffset,
) -> Result<(), ValueError> {
    if position > 0 {
        out.push_str(", ");
    }
    if kind == FieldKind::Money {
        return push_money(out, element);
    }
    let token = json::token(element).map_err(|json::BadText| ValueError::LoneSurrogate)?;
    match single(kind, token, offset)? {
        Cell::Null => out.push_str("null"),
        Cell::Text(text) => json::push_string(out, &text),
        Cell::Integer(number) => out.push_str(&number.to_string()),
        Cell::Decimal(number) => push_json_number(out, &number),
        Cell::Boolean(true) => out.push_str("true"),
        Cell::Boolean(false) => out.push_str("false"),
        Cell::Instant(instant) => {
            json::push_string(out, &instant.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true));
        }
        Cell::Date(day) => json::push_string(out, &day.to_string()),
        Cell::Json(json) => out.push_str(&json),
    }
    Ok(())
}

fn push_money(out: &mut String, element: &str) -> Result<(), ValueError> {
    let token = json::token(element).map_err(|json::BadText| ValueError::LoneSurrogate)?;
    let converted = money(&token)?;
    if converted.cell == Cell::Null && converted.currency == Some(Cell::Null) {
        out.push_str("null");
        return Ok(());
    }
    out.push_str("{\"amount\": ");
    match &converted.cell {
        Cell::Decimal(amount) => push_json_number(out, amount),
        _ => out.push_str("null"),
    }
    out.push_str(", \"currency\": ");
    match &converted.currency {
        Some(Cell::Text(currency)) => json::push_string(out, currency),
        _ => out.push_str("null"),
    }
    out.push('}');
    Ok(())
}

/// JSON allows neither a plus sign, nor leading zeros, nor a bare point, all of which `numeric` reads.
fn push_json_number(out: &mut String, decimal: &str) {
    let (sign, unsigned) = match decimal.strip_prefix('-') {
        Some(unsigned) => ("-", unsigned),
        None => ("", decimal.strip_prefix('+').unwrap_or(decimal)),
    };
    let unsigned = unsigned.trim_start_matches('0');
    out.push_str(sign);
    if !unsigned.starts_with(|first: char| first.is_ascii_digit()) {
        out.push('0');
    }
    out.push_str(unsigned.replace(".e", "e").replace(".E", "E").trim_end_matches('.'));
}

#[cfg(test)]
#[path = "value_tests.rs"]
mod tests;
