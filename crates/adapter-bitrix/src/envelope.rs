//! The frame of every answer: `result`, `error`, `total`, `time` as sent (Bitrix24 REST 2.3).

use std::borrow::Cow;
use std::fmt;

use b24sync_domain::mapping::json::{self, Key, Token};
use chrono::{DateTime, FixedOffset, Utc};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::Refusal;
use crate::lenient;

/// An answer's frame, borrowed from its text. An `error` counts by its presence: its code may be empty or 0.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Envelope<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    pub(crate) result: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(crate) error: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(crate) error_description: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(crate) total: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(crate) time: Option<&'a RawValue>,
}

/// Keeps `null` apart from absence.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

impl Envelope<'_> {
    /// The portal's refusal, if this is one.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.error.map(|error| refusal(error, self.error_description))
    }

    pub(crate) fn time(&self) -> PortalTime {
        self.time.map(PortalTime::of).unwrap_or_default()
    }
}

/// Reads an `error` key: a string, a number, or an object (REST v3).
pub(crate) fn refusal(error: &RawValue, description: Option<&RawValue>) -> Refusal {
    if let Ok(Token::Object(_)) = json::token(error.get()) {
        let members = Named::of(error);
        let text = |name: &str| members.get(name).and_then(lenient::text).unwrap_or_default();
        return Refusal { code: text("code"), text: text("message") };
    }
    Refusal {
        code: lenient::text(error).unwrap_or_default(),
        text: description.and_then(lenient::text).unwrap_or_default(),
    }
}

/// A refusal inside `result_error`.
pub(crate) fn command_refusal(entry: &RawValue) -> Refusal {
    let members = Named::of(entry);
    match members.get("error") {
        Some(error) => refusal(error, members.get("error_description")),
        None => Refusal { code: lenient::text(entry).unwrap_or_default(), text: String::new() },
    }
}

/// The `time` block. Every part of it may be missing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct PortalTime {
    /// When the portal began to answer, with its offset.
    pub(crate) start: Option<DateTime<FixedOffset>>,
    /// Epoch second at which it had the answer.
    pub(crate) answered: Option<f64>,
    /// Seconds from the beginning to the end of the answer.
    pub(crate) duration: Option<f64>,
    /// Seconds of execution time that the method has used.
    pub(crate) operating: Option<f64>,
    /// When part of it is given back.
    pub(crate) resets_at: Option<DateTime<Utc>>,
}

impl PortalTime {
    pub(crate) fn of(time: &RawValue) -> PortalTime {
        let members = Named::of(time);
        let start = members.get("date_start").and_then(lenient::instant);
        let epoch = || members.get("start").and_then(lenient::epoch).map(|start| start.fixed_offset());
        PortalTime {
            start: start.or_else(epoch),
            answered: members.get("finish").or_else(|| members.get("start")).and_then(lenient::float),
            duration: members.get("duration").and_then(lenient::float),
            operating: members.get("operating").and_then(lenient::float),
            resets_at: members.get("operating_reset_at").and_then(lenient::epoch),
        }
    }
}

/// Members of a PHP map. An empty map arrives as `[]`, one with the keys 0, 1, 2 as an array, "nothing" as `null` or
/// `false` (Bitrix24 REST 6).
#[derive(Debug, Default)]
pub(crate) struct Named<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Named<'a> {
    /// The members, none where the value is no map.
    pub(crate) fn of(raw: &'a RawValue) -> Named<'a> {
        serde_json::from_str(raw.get()).unwrap_or_default()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| *value)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.0.iter().map(|(key, value)| (key.as_ref(), *value))
    }

    pub(crate) fn first(&self) -> Option<&'a RawValue> {
        self.0.first().map(|(_, value)| *value)
    }
}

impl<'de> Deserialize<'de> for Named<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NamedVisitor;
        impl<'de> Visitor<'de> for NamedVisitor {
            type Value = Named<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map or a list")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(Key(key)) = map.next_key::<Key<'de>>()? {
                    members.push((key, map.next_value()?));
                }
                Ok(Named(members))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(value) = seq.next_element()? {
                    members.push((Cow::Owned(members.len().to_string()), value));
                }
                Ok(Named(members))
            }
        }
        deserializer.deserialize_any(NamedVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(json: &str) -> &RawValue {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn presence_of_the_error_key_decides() {
        for (json, code) in [
            (r#"{"error":"","error_description":"Not found"}"#, ""),
            (r#"{"error":0,"error_description":"x"}"#, "0"),
            (r#"{"error":200040300010}"#, "200040300010"),
            (r#"{"error":"Invalid parameters.","result":[]}"#, "Invalid parameters."),
            (r#"{"error":{"code":"V3","message":"m"}}"#, "V3"),
            (r#"{"error":null}"#, ""),
        ] {
            let envelope: Envelope<'_> = serde_json::from_str(json).unwrap();
            assert_eq!(envelope.refusal().unwrap().code, code, "{json}");
        }
        let envelope: Envelope<'_> = serde_json::from_str(r#"{"result":null}"#).unwrap();
        assert!(envelope.refusal().is_none() && envelope.result.is_some());
    }

    #[test]
    fn maps_may_be_lists_and_nothing() {
        let names = |json| Named::of(raw(json)).iter().map(|(key, _)| key.to_owned()).collect::<Vec<_>>();
        assert_eq!(names(r#"{"p00":1,"\u0070":2}"#), ["p00", "p"]);
        assert_eq!(names("[7,8]"), ["0", "1"]);
        for nothing in ["[]", "{}", "null", "false", "\"\""] {
            assert!(names(nothing).is_empty(), "{nothing}");
        }
    }

    #[test]
    fn times_come_as_floats_whole_numbers_and_texts() {
        let expected: DateTime<Utc> = "2024-09-10T20:26:40Z".parse().unwrap();
        for reset in ["1726000000", "1726000000.5", "\"1726000000\"", "\"2024-09-10T23:26:40+03:00\""] {
            let json = format!(r#"{{"start":1726000000.25,"operating":"0.5","operating_reset_at":{reset}}}"#);
            let time = PortalTime::of(raw(&json));
            assert_eq!(time.resets_at, Some(expected), "{reset}");
            assert_eq!((time.start.unwrap().to_utc(), time.operating), (expected, Some(0.5)));
        }
        let time = PortalTime::of(raw(r#"{"start":1,"date_start":"2024-06-13T18:23:54+02:00"}"#));
        assert_eq!(time.start.unwrap().to_rfc3339(), "2024-06-13T18:23:54+02:00");
        assert_eq!(PortalTime::of(raw("[]")), PortalTime::default());
    }
}
