//! Parameters of a call as PHP sees them: an ordered tree, from JSON, a query string or a form body.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// One parameter. PHP has one kind of container, the ordered map; a JSON array becomes a map with keys 0, 1, 2….
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Param {
    Null,
    Bool(bool),
    /// Text, and numbers in the notation they were sent in.
    Text(String),
    Map(Vec<(String, Param)>),
}

impl Default for Param {
    fn default() -> Self {
        Self::Map(Vec::new())
    }
}

impl Param {
    /// Finds a member whatever the case of its name. The lower-case spelling wins when both are there, as measured
    /// with `FILTER` and `filter` (REST.md 2.2).
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        let members = self.members();
        members
            .iter()
            .find(|(key, _)| key == name)
            .or_else(|| members.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)))
            .map(|(_, value)| value)
    }

    pub(crate) fn members(&self) -> &[(String, Self)] {
        match self {
            Self::Map(members) => members,
            _ => &[],
        }
    }

    /// The value as PHP converts it to a string; `None` for containers.
    pub(crate) fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Null | Self::Bool(false) => Some(Cow::Borrowed("")),
            Self::Bool(true) => Some(Cow::Borrowed("1")),
            Self::Text(text) => Some(Cow::Borrowed(text)),
            Self::Map(_) => None,
        }
    }

    pub(crate) fn integer(&self) -> Option<i64> {
        self.text()?.trim().parse().ok()
    }

    /// Whether it means yes: `1`, `Y`, `true`.
    pub(crate) fn truthy(&self) -> bool {
        self.text().is_some_and(|text| matches!(&*text, "1" | "Y" | "y" | "true"))
    }

    /// The texts of a list, or the one text of a scalar.
    pub(crate) fn texts(&self) -> Vec<String> {
        match self {
            Self::Map(members) => members.iter().filter_map(|(_, value)| value.text().map(Cow::into_owned)).collect(),
            scalar => scalar.text().map(Cow::into_owned).into_iter().collect(),
        }
    }

    /// Reads a query string or a form body.
    pub(crate) fn from_query(query: &str) -> Self {
        let mut root = Self::default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            root.put(&path_of(&percent_decode(name)), Self::Text(percent_decode(value)));
        }
        root
    }

    /// Adds the members of `other`, which win over those already there.
    pub(crate) fn absorb(&mut self, other: Self) {
        if let Self::Map(members) = other {
            for (key, value) in members {
                self.put(&[key], value);
            }
        }
    }

    /// Places a value at a bracket path; an empty segment appends under the next free number.
    fn put(&mut self, path: &[String], value: Self) {
        let Some((segment, rest)) = path.split_first() else {
            *self = value;
            return;
        };
        if !matches!(self, Self::Map(_)) {
            *self = Self::default();
        }
        let Self::Map(members) = self else { return };
        let key = if segment.is_empty() { next_number(members) } else { segment.clone() };
        if let Some((_, slot)) = members.iter_mut().find(|(name, _)| *name == key) {
            slot.put(rest, value);
        } else {
            let mut slot = Self::default();
            slot.put(rest, value);
            members.push((key, slot));
        }
    }
}

fn next_number(members: &[(String, Param)]) -> String {
    members.iter().filter_map(|(key, _)| key.parse::<u64>().ok()).max().map_or(0, |last| last + 1).to_string()
}

/// Splits `a[b][]` into `a`, `b` and an empty segment.
fn path_of(name: &str) -> Vec<String> {
    let Some((first, rest)) = name.split_once('[') else {
        return vec![name.to_owned()];
    };
    let mut path = vec![first.to_owned()];
    let mut rest = rest;
    while let Some((segment, tail)) = rest.split_once(']') {
        path.push(segment.to_owned());
        match tail.strip_prefix('[') {
            Some(next) => rest = next,
            None => break,
        }
    }
    path
}

/// Decodes `%xx` and `+`; bytes that are not UTF-8 afterwards become replacement characters.
pub(crate) fn percent_decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let ahead = bytes.as_slice_pair();
                if let Some(decoded) = ahead.and_then(hex_pair) {
                    out.push(decoded);
                    bytes.next();
                    bytes.next();
                } else {
                    out.push(b'%');
                }
            }
            other => out.push(other),
        }
    }
    String::from_utf8(out).unwrap_or_else(|broken| String::from_utf8_lossy(broken.as_bytes()).into_owned())
}

/// Looks two bytes ahead without consuming them.
trait Ahead {
    fn as_slice_pair(&self) -> Option<(u8, u8)>;
}

impl Ahead for std::str::Bytes<'_> {
    fn as_slice_pair(&self) -> Option<(u8, u8)> {
        let mut copy = self.clone();
        Some((copy.next()?, copy.next()?))
    }
}

fn hex_pair((high, low): (u8, u8)) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    u8::try_from(digit(high)? * 16 + digit(low)?).ok()
}

impl<'de> Deserialize<'de> for Param {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ParamVisitor)
    }
}

struct ParamVisitor;

impl<'de> Visitor<'de> for ParamVisitor {
    type Value = Param;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Param, E> {
        Ok(Param::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Param, E> {
        Ok(Param::Text(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Param, E> {
        Ok(Param::Text(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Param, E> {
        Ok(Param::Text(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Param, E> {
        Ok(Param::Text(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Param, E> {
        Ok(Param::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Param, A::Error> {
        let mut members = Vec::new();
        while let Some(value) = items.next_element()? {
            members.push((members.len().to_string(), value));
        }
        Ok(Param::Map(members))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Param, A::Error> {
        let mut members = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            members.push(entry);
        }
        Ok(Param::Map(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at<'p>(param: &'p Param, path: &[&str]) -> &'p Param {
        path.iter().fold(param, |param, key| param.get(key).unwrap())
    }

    #[test]
    fn bracket_nesting_becomes_a_tree() {
        let params =
            Param::from_query("filter[%3E%3DID]=10&select[]=ID&select[]=TITLE&order[ID]=ASC&start=-1&e=a%2Bb+c");
        assert_eq!(at(&params, &["filter", ">=ID"]).text().unwrap(), "10");
        assert_eq!(at(&params, &["select"]).texts(), ["ID", "TITLE"]);
        assert_eq!(at(&params, &["start"]).integer(), Some(-1));
        assert_eq!(at(&params, &["e"]).text().unwrap(), "a+b c");
    }

    #[test]
    fn json_keeps_the_order_of_its_members() {
        let params: Param = serde_json::from_str(r#"{"cmd":{"z":"1","a":"2"},"halt":1,"list":[7,null,true]}"#).unwrap();
        let names: Vec<_> = at(&params, &["cmd"]).members().iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["z", "a"]);
        assert_eq!(at(&params, &["list"]).texts(), ["7", "", "1"]);
        assert!(at(&params, &["halt"]).truthy());
    }

    #[test]
    fn the_lower_case_spelling_of_a_parameter_wins() {
        let params = Param::from_query("FILTER[ID]=1&filter[ID]=2&SELECT[]=X");
        assert_eq!(at(&params, &["filter", "ID"]).text().unwrap(), "2");
        assert_eq!(at(&params, &["select"]).texts(), ["X"]);
    }

    #[test]
    fn broken_percent_signs_stay_as_they_are() {
        assert_eq!(percent_decode("100%&%zz%d0%9f"), "100%&%zzП");
    }
}
