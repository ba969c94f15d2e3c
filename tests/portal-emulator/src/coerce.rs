//! Values that come in, from an edit or a write method, made to fit the type of their field.

use crate::civil::{Day, parse_stamp};
use crate::data::recipe::date;
use crate::param::Param;
use crate::schema::{Field, Kind};
use crate::truth::{MultifieldValue, Truth};

/// The empty value of a field.
pub(crate) fn empty(field: &Field) -> Truth {
    match field.kind {
        Kind::Multifield => Truth::Multifield(Vec::new()),
        Kind::Category => Truth::Reference(0),
        Kind::Char => Truth::Boolean(false),
        _ if field.multiple => Truth::List(Vec::new()),
        _ => Truth::Null,
    }
}

/// Makes a value fit its field; text is read as the field's type would be written. What cannot be read is empty.
pub(crate) fn coerce(field: &Field, value: Truth, offset_minutes: i32) -> Truth {
    if matches!(value, Truth::Unstorable { .. } | Truth::Multifield(_)) {
        return value;
    }
    if field.multiple && field.kind != Kind::Multifield {
        let items = match value {
            Truth::List(items) => items,
            Truth::Null => Vec::new(),
            single => vec![single],
        };
        return Truth::List(
            items.into_iter().map(|item| single(field, item, offset_minutes)).filter(|item| !item.is_empty()).collect(),
        );
    }
    match value {
        Truth::List(items) => items.into_iter().next().map_or(Truth::Null, |item| single(field, item, offset_minutes)),
        other => single(field, other, offset_minutes),
    }
}

fn single(field: &Field, value: Truth, offset_minutes: i32) -> Truth {
    let text = match value {
        Truth::Text(text) => text,
        Truth::Integer(number) if field.kind != Kind::Integer => number,
        other => return other,
    };
    parse(field.kind, &text, offset_minutes)
}

/// Reads text as a value of a type; a moment without an offset is read in the portal's.
fn parse(kind: Kind, text: &str, offset_minutes: i32) -> Truth {
    let trimmed = text.trim();
    if trimmed.is_empty() && kind != Kind::Category {
        return Truth::Null;
    }
    match kind {
        Kind::Integer => {
            let digits = trimmed.strip_prefix('-').unwrap_or(trimmed);
            let whole = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            if whole { Truth::Integer(trimmed.to_owned()) } else { Truth::Null }
        }
        Kind::Double => trimmed.parse::<f64>().map_or(Truth::Null, |_| Truth::Decimal(trimmed.to_owned())),
        Kind::Char | Kind::Boolean => Truth::Boolean(matches!(trimmed, "Y" | "y" | "1" | "true")),
        Kind::Date => trimmed.get(..10).and_then(Day::parse).map_or(Truth::Null, date),
        Kind::DateTime => parse_stamp(trimmed, offset_minutes)
            .map_or(Truth::Null, |(epoch_seconds, _)| Truth::Instant { epoch_seconds }),
        Kind::Category => Truth::Reference(trimmed.parse().unwrap_or(0)),
        Kind::File => trimmed.parse().map_or(Truth::Null, Truth::File),
        Kind::Money => money(trimmed),
        Kind::Enumeration | Kind::Employee | Kind::Section | Kind::Element | Kind::Booking => reference(trimmed),
        kind if kind.is_link() => reference(trimmed),
        _ => Truth::Text(text.to_owned()),
    }
}

fn reference(text: &str) -> Truth {
    match text.parse() {
        Ok(0) | Err(_) => Truth::Null,
        Ok(id) => Truth::Reference(id),
    }
}

fn money(text: &str) -> Truth {
    let (amount, currency) = text.rsplit_once('|').unwrap_or((text, ""));
    Truth::Money { amount: amount.to_owned(), currency: (!currency.is_empty()).then(|| currency.to_owned()) }
}

/// Takes a parameter of a write method as text that the edit makes fit.
pub(crate) fn from_param(field: &Field, value: &Param) -> Truth {
    if field.kind == Kind::Multifield {
        let values = value.members().iter().zip(1..).filter_map(|((_, entry), number)| multifield(entry, number));
        return Truth::Multifield(values.collect());
    }
    match value {
        Param::Map(members) => {
            let texts = members.iter().filter_map(|(_, item)| item.text());
            Truth::List(texts.map(|text| Truth::Text(text.into_owned())).collect())
        }
        scalar => scalar.text().map_or(Truth::Null, |text| Truth::Text(text.into_owned())),
    }
}

fn multifield(entry: &Param, number: i64) -> Option<MultifieldValue> {
    let value = entry.get("VALUE")?.text()?.into_owned();
    let value_type = entry.get("VALUE_TYPE").and_then(Param::text).map_or_else(|| "WORK".to_owned(), Into::into);
    let id = entry.get("ID").and_then(Param::integer).unwrap_or(900_000_000 + number);
    (!value.is_empty()).then_some(MultifieldValue { id, value_type, value })
}
