//! A look at one JSON text without building a tree: what kind of value it is, and its text.
//! The texts come from a JSON parser, so they are well formed; only escapes can still be bad (a lone surrogate passes
//! a parser that skips over strings).

use std::borrow::Cow;

use serde_json::value::RawValue;

/// One JSON value, as far as conversion needs to look into it.
#[derive(Debug, Clone, PartialEq)]
pub enum Token<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, as it stands.
    Number(&'a str),
    /// A string, without quotes and escapes.
    Text(Cow<'a, str>),
    /// An array, as it stands.
    Array(&'a str),
    /// An object, as it stands.
    Object(&'a str),
}

/// A string whose escapes stand for no text (a lone half of a surrogate pair).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadText;

/// Classifies a JSON text.
///
/// # Errors
/// [`BadText`] when it is a string that stands for no text.
pub fn token(json: &str) -> Result<Token<'_>, BadText> {
    let json = json.trim_ascii();
    match json.bytes().next() {
        Some(b'"') => text(json).map(Token::Text),
        Some(b'[') => Ok(Token::Array(json)),
        Some(b'{') => Ok(Token::Object(json)),
        Some(b't') => Ok(Token::Bool(true)),
        Some(b'f') => Ok(Token::Bool(false)),
        Some(b'-' | b'0'..=b'9') => Ok(Token::Number(json)),
        _ => Ok(Token::Null),
    }
}

fn text(json: &str) -> Result<Cow<'_, str>, BadText> {
    let inner = json.get(1..json.len().saturating_sub(1)).unwrap_or_default();
    if !inner.as_bytes().contains(&b'\\') {
        return Ok(Cow::Borrowed(inner));
    }
    serde_json::from_str::<String>(json).map(Cow::Owned).map_err(|error| {
        debug_assert!(error.is_syntax() || error.is_data());
        BadText
    })
}

/// The elements of an array, or the values of an object: PHP writes a list with gaps in its keys as an object.
pub fn elements(json: &str) -> Option<Vec<&RawValue>> {
    if json.starts_with('[') {
        return serde_json::from_str(json).ok();
    }
    members(json).map(|members| members.into_iter().map(|(_, value)| value).collect())
}

/// The members of an object, in order.
pub fn members(json: &str) -> Option<Vec<(Cow<'_, str>, &RawValue)>> {
    struct Members;
    impl<'de> serde::de::Visitor<'de> for Members {
        type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(key) = map.next_key::<Key<'de>>()? {
                members.push((key.0, map.next_value()?));
            }
            Ok(members)
        }
    }
    let mut deserializer = serde_json::Deserializer::from_str(json);
    serde::Deserializer::deserialize_map(&mut deserializer, Members).ok()
}

/// A member's name, borrowed unless it has escapes.
pub struct Key<'a>(pub Cow<'a, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> serde::de::Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a member's name")
            }

            fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Borrowed(text)))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Key(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// Appends a string as JSON.
pub fn push_string(out: &mut String, text: &str) {
    if text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
        out.push('"');
        out.push_str(text);
        out.push('"');
        return;
    }
    // Serialising a `str` cannot fail.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_without_escapes_are_borrowed() {
        assert!(matches!(token(r#""abc""#), Ok(Token::Text(Cow::Borrowed("abc")))));
        assert!(matches!(token(r#""a\nb""#), Ok(Token::Text(Cow::Owned(_)))));
    }

    #[test]
    fn a_lone_surrogate_is_bad_text() {
        assert_eq!(token(r#""\ud800""#), Err(BadText));
    }

    #[test]
    fn a_list_with_gaps_is_an_object_of_values() {
        let values: Vec<_> = elements(r#"{"1":"a","3":"b"}"#).unwrap().iter().map(|v| v.get().to_owned()).collect();
        assert_eq!(values, [r#""a""#, r#""b""#]);
    }
}
