//! The right side of a comparison, read once in every way in which it could be meant.

use std::cmp::Ordering;

use crate::civil::{Day, StampForm, parse_stamp};
use crate::schema::Kind;
use crate::truth::Truth;

/// What an operand looks like to a date field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Empty,
    NoDate,
    Date(StampForm),
}

/// One value of a condition.
#[derive(Clone, Debug)]
pub(super) struct Operand {
    lower: String,
    number: Option<f64>,
    instant: Option<i64>,
    form: Form,
    day: Option<Day>,
    boolean: Option<bool>,
}

impl Operand {
    pub(super) fn read(text: &str, offset_minutes: i32) -> Self {
        let trimmed = text.trim();
        let stamp = parse_stamp(trimmed, offset_minutes);
        Self {
            lower: text.to_lowercase(),
            number: trimmed.parse().ok(),
            instant: stamp.map(|(instant, _)| instant),
            form: match stamp {
                Some((_, form)) => Form::Date(form),
                None if trimmed.is_empty() => Form::Empty,
                None => Form::NoDate,
            },
            day: trimmed.get(..10).and_then(Day::parse),
            boolean: match trimmed {
                "1" | "Y" | "y" | "true" => Some(true),
                "0" | "N" | "n" | "false" => Some(false),
                _ => None,
            },
        }
    }

    pub(super) fn form(&self) -> Form {
        self.form
    }

    pub(super) fn instant(&self) -> Option<i64> {
        self.instant
    }

    /// The operand as an id, cast as PHP casts: no number is 0.
    pub(super) fn id(&self) -> i64 {
        self.lower.trim().parse().unwrap_or(0)
    }

    /// Takes the operand from the shifted clock of the rows back to the true one.
    pub(super) fn shift_back(&mut self, seconds: i64) {
        self.instant = self.instant.map(|instant| instant - seconds);
    }

    /// User booleans of item lists are compared with `1` and `0` only.
    pub(super) fn only_digits_are_booleans(&mut self) {
        if !matches!(self.lower.as_str(), "0" | "1") {
            self.boolean = None;
        }
    }

    pub(super) fn is_text(&self, text: &str) -> bool {
        text.to_lowercase() == self.lower
    }

    /// Whether a value equals the operand; an empty operand equals every empty form.
    pub(super) fn equals(&self, truth: &Truth, kind: Kind) -> bool {
        if truth.is_empty() {
            return self.lower.is_empty() || (kind.is_link() && self.number == Some(0.0));
        }
        match truth {
            Truth::Boolean(value) => self.boolean == Some(*value),
            Truth::Integer(text) | Truth::Decimal(text) if *text == self.lower => true,
            other => self.order(other, kind) == Some(Ordering::Equal),
        }
    }

    /// How a value compares with the operand; `None` if it does not.
    pub(super) fn order(&self, truth: &Truth, kind: Kind) -> Option<Ordering> {
        match truth {
            Truth::Integer(text) | Truth::Decimal(text) => {
                text.parse::<f64>().ok()?.partial_cmp(&self.number.unwrap_or(0.0))
            }
            Truth::Reference(id) | Truth::File(id) => Some(id.cmp(&self.id())),
            Truth::Instant { epoch_seconds } => Some(epoch_seconds.cmp(&self.instant?)),
            Truth::Date { y, m, d } => {
                let day = Day { year: i64::from(*y), month: i64::from(*m), date: i64::from(*d) };
                Some(day.cmp(&self.day?))
            }
            Truth::Text(text) => Some(text.to_lowercase().as_str().cmp(self.lower.as_str())),
            Truth::Money { amount, currency } => {
                let text = format!("{amount}|{}", currency.as_deref().unwrap_or_default());
                Some(text.to_lowercase().as_str().cmp(self.lower.as_str()))
            }
            Truth::Boolean(value) if kind == Kind::Char => Some(value.cmp(&self.boolean?)),
            _ => None,
        }
    }

    /// Whether the operand is a part of the text.
    pub(super) fn is_inside(&self, truth: &Truth) -> bool {
        text_of(truth).is_some_and(|text| text.to_lowercase().contains(&self.lower))
    }

    /// Whether the text matches the operand as a pattern in which `%` stands for anything.
    pub(super) fn is_pattern_of(&self, truth: &Truth) -> bool {
        text_of(truth).is_some_and(|text| like(&text.to_lowercase(), &self.lower))
    }
}

fn text_of(truth: &Truth) -> Option<&str> {
    match truth {
        Truth::Text(text) | Truth::Integer(text) | Truth::Decimal(text) => Some(text),
        _ => None,
    }
}

fn like(text: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('%');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut last = "";
    let parts: Vec<&str> = parts.collect();
    if parts.is_empty() {
        return rest.is_empty();
    }
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        last = part;
        rest = if part.is_empty() { rest } else { after };
    }
    last.is_empty() || text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_like_sql() {
        for (text, pattern, matches) in [
            ("abc", "abc", true),
            ("abc", "ab", false),
            ("abc", "ab%", true),
            ("abc", "%bc", true),
            ("abcb", "%b", true),
            ("abc", "%b%", true),
            ("abc", "a%c", true),
            ("abc", "%x%", false),
        ] {
            assert_eq!(like(text, pattern), matches, "{text} like {pattern}");
        }
    }

    #[test]
    fn an_empty_operand_equals_every_empty_form() {
        let empty = Operand::read("", 0);
        assert!(empty.equals(&Truth::Null, Kind::Text));
        assert!(empty.equals(&Truth::List(Vec::new()), Kind::Enumeration));
        assert!(!empty.equals(&Truth::from("x"), Kind::Text));
        assert!(Operand::read("0", 0).equals(&Truth::Null, Kind::Quote));
        assert!(Operand::read("12.50", 0).equals(&Truth::Decimal("12.5".to_owned()), Kind::Double));
    }
}
