//! Rows of the item dialect (REST.md 7.4, column "item").

use super::{day, empty_form, instant, integer, items, money, number};
use crate::json::Json;
use crate::schema::{Field, ItemColumn, ItemContent, Kind};
use crate::truth::Truth;
use crate::view::Row;

/// Which columns to write, and under which names.
#[derive(Clone, Debug)]
pub(crate) struct ItemShape<'s> {
    /// With their positions among those of the entity.
    pub(crate) columns: Vec<(usize, &'s ItemColumn)>,
    /// User fields carry their original upper-case names.
    pub(crate) original_names: bool,
    /// The reported bug: system fields are `[]`.
    pub(crate) spoilt: bool,
}

/// Writes one record.
pub(crate) fn record(out: &mut Json, row: &Row<'_>, shape: &ItemShape<'_>) {
    out.open_object();
    for (_, column) in &shape.columns {
        match column.content {
            ItemContent::UserField(at) => user_field(out, row, at, column, shape.original_names),
            content => {
                out.comma();
                out.raw_bytes(&column.key);
                if shape.spoilt {
                    out.raw("[]");
                } else {
                    system(out, row, content);
                }
            }
        }
    }
    out.close_php_map();
}

fn user_field(out: &mut Json, row: &Row<'_>, at: usize, column: &ItemColumn, original_names: bool) {
    let Some(field) = row.view.schema().field(at) else { return };
    let truth = row.value(field);
    if field.kind == Kind::File && !field.multiple && truth.is_empty() && empty_form(row, field, 2) == 1 {
        return;
    }
    out.comma();
    out.raw_bytes(if original_names { &field.classic_key } else { &column.key });
    value(out, row, field, &truth);
}

fn system(out: &mut Json, row: &Row<'_>, content: ItemContent) {
    match content {
        ItemContent::Field(at) | ItemContent::UserField(at) => match row.view.schema().field(at) {
            Some(field) => value(out, row, field, &row.value(field)),
            None => out.null(),
        },
        ItemContent::Legacy => out.null(),
        ItemContent::SearchContent => search_content(out, row),
        ItemContent::Alias(code, value_type) => alias(out, row, code, value_type),
        ItemContent::Multifields => multifields(out, row),
        ItemContent::EntityTypeId => out.integer(row.subject.entity.type_id()),
    }
}

/// The search index: the words of a record, and different after every edit.
fn search_content(out: &mut Json, row: &Row<'_>) {
    let words: Vec<String> = ["TITLE", "NAME", "LAST_NAME"]
        .into_iter()
        .filter_map(|name| match row.named(name) {
            Truth::Text(text) => Some(text),
            _ => None,
        })
        .collect();
    let Truth::Instant { epoch_seconds } = row.named("DATE_MODIFY") else { return out.null() };
    out.string(&format!("{} {} {} ...", row.subject.id, words.join(" "), epoch_seconds % 100_000));
}

fn alias(out: &mut Json, row: &Row<'_>, code: &str, value_type: &str) {
    let Truth::Multifield(values) = row.named(code) else { return out.string("") };
    let first = values.iter().find(|entry| value_type.is_empty() || entry.value_type == value_type);
    out.string(first.map_or("", |entry| &entry.value));
}

fn multifields(out: &mut Json, row: &Row<'_>) {
    out.open_array();
    for code in ["PHONE", "EMAIL", "WEB", "IM", "LINK"] {
        let Truth::Multifield(values) = row.named(code) else { continue };
        for entry in values {
            out.comma();
            out.open_object();
            out.member_integer("id", entry.id);
            out.member_string("valueType", &entry.value_type);
            out.member_string("value", &entry.value);
            out.member_string("typeId", code);
            out.close_object();
        }
    }
    out.close_array();
}

fn value(out: &mut Json, row: &Row<'_>, field: &Field, truth: &Truth) {
    match truth {
        Truth::Unstorable { json } => out.raw(json),
        _ if field.multiple => {
            out.open_array();
            for item in items(truth) {
                out.comma();
                scalar(out, row, field, item);
            }
            out.close_array();
        }
        Truth::Null => empty(out, row, field),
        single => scalar(out, row, field, single),
    }
}

fn empty(out: &mut Json, row: &Row<'_>, field: &Field) {
    let form = if field.user.is_none() { empty_form(row, field, 3) } else { 0 };
    out.raw(match field.kind {
        kind if kind.is_link() && !matches!(kind, Kind::Parent(_) | Kind::Location) && form == 2 => "0",
        Kind::Text | Kind::LongText | Kind::Status(_) | Kind::Currency if form == 2 => "\"\"",
        _ => "null",
    });
}

fn scalar(out: &mut Json, row: &Row<'_>, field: &Field, truth: &Truth) {
    match truth {
        Truth::Text(text) => out.string(text),
        Truth::Integer(text) => integer(out, text),
        Truth::Decimal(text) => number(out, text),
        Truth::Boolean(value) => out.raw(if *value { "\"Y\"" } else { "\"N\"" }),
        Truth::Instant { epoch_seconds } => instant(out, row, *epoch_seconds),
        Truth::Date { y, m, d } => day(out, row, (*y, *m, *d), false),
        Truth::Reference(id) => out.integer(*id),
        Truth::Money { amount, currency } => money(out, amount, currency.as_deref()),
        Truth::File(id) => file(out, row, field, *id),
        Truth::Unstorable { json } => out.raw(json),
        Truth::Null | Truth::List(_) | Truth::Multifield(_) => out.null(),
    }
}

fn file(out: &mut Json, row: &Row<'_>, field: &Field, id: i64) {
    let query = format!(
        "SITE_ID=s1&entityTypeId={}&id={}&fieldName={}&fileId={id}",
        row.subject.entity.type_id(),
        row.subject.id,
        field.name
    );
    out.open_object();
    out.member_integer("id", id);
    let site = "https://portal.bitrix24.example";
    let action = "action=crm.controller.item.getFile";
    out.member_string("url", &format!("{site}/bitrix/services/main/ajax.php?{action}&{query}"));
    let token = row.view.token();
    out.member_string(
        "urlMachine",
        &format!("{site}/rest/crm.controller.item.getFile.json?auth=FAKE{token:012x}&token=crm%7CFAKE{token:012x}"),
    );
    out.close_object();
}
