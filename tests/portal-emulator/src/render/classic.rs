//! Rows of the classic dialect (REST.md 7.4, column "classic").

use super::{day, empty_form, instant, integer, items, money};
use crate::entity::Entity;
use crate::json::Json;
use crate::schema::{Field, Kind};
use crate::truth::{MultifieldValue, Truth};
use crate::view::Row;

/// Whether the row is part of a list, where some types look different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    List,
    Get,
}

/// Writes one record with the fields at these positions of the schema.
pub(crate) fn record(out: &mut Json, row: &Row<'_>, columns: &[usize], place: Place) {
    out.open_object();
    let schema = row.view.schema();
    for field in columns.iter().filter_map(|at| schema.field(*at)) {
        let truth = row.value(field);
        if is_absent(row, field, &truth) {
            continue;
        }
        out.comma();
        out.raw_bytes(&field.classic_key);
        value(out, row, field, &truth, place);
    }
    out.close_php_map();
}

fn is_absent(row: &Row<'_>, field: &Field, truth: &Truth) -> bool {
    match field.kind {
        Kind::Multifield => truth.is_empty(),
        Kind::File if field.user.is_some() && !field.multiple => truth.is_empty() && empty_form(row, field, 2) == 1,
        _ => false,
    }
}

fn value(out: &mut Json, row: &Row<'_>, field: &Field, truth: &Truth, place: Place) {
    match truth {
        Truth::Unstorable { json } => out.raw(json),
        Truth::Multifield(values) => multifield(out, field, values),
        _ if field.multiple => list(out, row, field, truth),
        Truth::Null => empty(out, row, field),
        single => scalar(out, row, field, single, place),
    }
}

fn empty(out: &mut Json, row: &Row<'_>, field: &Field) {
    let text = match field.kind {
        Kind::Date | Kind::DateTime => "\"\"",
        Kind::File | Kind::Location | Kind::Parent(_) | Kind::Quote | Kind::Integer | Kind::Double
            if field.user.is_none() =>
        {
            "null"
        }
        kind if kind.is_link() && field.user.is_none() => match empty_form(row, field, 4) {
            0 | 1 => "null",
            2 => "\"0\"",
            _ => "\"\"",
        },
        Kind::Booking => "false",
        Kind::File => "null",
        _ => match empty_form(row, field, 3) {
            0 | 1 => "null",
            _ => "\"\"",
        },
    };
    out.raw(text);
}

fn list(out: &mut Json, row: &Row<'_>, field: &Field, truth: &Truth) {
    let values = items(truth);
    if values.is_empty() {
        let form = if field.kind == Kind::File { 0 } else { empty_form(row, field, 6) };
        out.raw(match form {
            0..=2 => "[]",
            3 | 4 => "false",
            _ => "null",
        });
        return;
    }
    let quoted_ids = field.kind == Kind::Enumeration && empty_form(row, field, 7) == 6;
    out.open_array();
    for item in values {
        out.comma();
        match item {
            Truth::Integer(text) => integer(out, text),
            Truth::Decimal(text) => super::number(out, text),
            Truth::Boolean(value) => out.raw(if *value { "1" } else { "0" }),
            Truth::Reference(id) if !quoted_ids => out.integer(*id),
            Truth::Date { y, m, d } => day(out, row, (*y, *m, *d), true),
            other => scalar(out, row, field, other, Place::Get),
        }
    }
    out.close_array();
}

fn scalar(out: &mut Json, row: &Row<'_>, field: &Field, truth: &Truth, place: Place) {
    match truth {
        Truth::Text(text) | Truth::Integer(text) | Truth::Decimal(text) => out.string(text),
        Truth::Boolean(value) => boolean(out, row, field, *value, place),
        Truth::Instant { epoch_seconds } => instant(out, row, *epoch_seconds),
        Truth::Date { y, m, d } => day(out, row, (*y, *m, *d), false),
        Truth::Reference(id) => out.quoted(*id),
        Truth::Money { amount, currency } => money(out, amount, currency.as_deref()),
        Truth::File(id) => file(out, row, field, *id),
        Truth::Unstorable { json } => out.raw(json),
        Truth::Null | Truth::List(_) | Truth::Multifield(_) => out.null(),
    }
}

/// Standard flags are letters; user booleans are digits, but true and false in lists of leads.
fn boolean(out: &mut Json, row: &Row<'_>, field: &Field, value: bool, place: Place) {
    if field.kind == Kind::Char {
        out.raw(if value { "\"Y\"" } else { "\"N\"" });
    } else if place == Place::List && row.subject.entity == Entity::Lead {
        out.boolean(value);
    } else {
        out.raw(if value { "\"1\"" } else { "\"0\"" });
    }
}

fn file(out: &mut Json, row: &Row<'_>, field: &Field, id: i64) {
    let script = format!("/bitrix/components/bitrix/crm.{}.show/show_file.php", row.subject.entity.name());
    let query = format!("ownerId={}&fieldName={}&dynamic=Y&fileId={id}", row.subject.id, field.name);
    out.open_object();
    out.member_integer("id", id);
    out.member_string("showUrl", &format!("{script}?{query}"));
    out.member_string("downloadUrl", &format!("{script}?auth=FAKE{:012x}&{query}", row.view.token()));
    out.close_object();
}

fn multifield(out: &mut Json, field: &Field, values: &[MultifieldValue]) {
    out.open_array();
    for entry in values {
        out.comma();
        out.open_object();
        out.member_quoted("ID", entry.id);
        out.member_string("VALUE_TYPE", &entry.value_type);
        out.member_string("VALUE", &entry.value);
        out.member_string("TYPE_ID", &field.name);
        out.close_object();
    }
    out.close_array();
}
