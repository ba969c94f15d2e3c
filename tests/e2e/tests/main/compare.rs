//! Compares the tables with what the emulated portal truly holds, without any code of the product: values are read as
//! PostgreSQL prints them and held against the emulator's own truth.

use std::collections::BTreeMap;

use b24sync_portal_emulator::{Dialect, Entity, MultifieldValue, Portal, Truth};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio_postgres::{Client, SimpleQueryMessage};

/// One row: column → text, `None` for NULL.
type Row = BTreeMap<String, Option<String>>;

/// Every difference between the portal and the tables; empty when they are equal.
pub(crate) async fn differences(portal: &Portal, client: &Client, dialect: Dialect) -> Vec<String> {
    let mut found = Vec::new();
    for (entity, table) in [
        (Entity::Deal, "crm_deals"),
        (Entity::Lead, "crm_leads"),
        (Entity::Contact, "crm_contacts"),
        (Entity::Company, "crm_companies"),
    ] {
        entity_differences(portal, client, dialect, entity, table, &mut found).await;
    }
    found
}

/// Every difference in deals.
pub(crate) async fn deal_differences(portal: &Portal, client: &Client) -> Vec<String> {
    let mut found = Vec::new();
    entity_differences(portal, client, Dialect::Item, Entity::Deal, "crm_deals", &mut found).await;
    found
}

/// The same for one entity.
pub(crate) async fn entity_differences(
    portal: &Portal,
    client: &Client,
    dialect: Dialect,
    entity: Entity,
    table: &str,
    found: &mut Vec<String>,
) {
    let mut rows = rows(client, table).await;
    let fields = portal.fields_truth(entity);
    for id in portal.ids(entity) {
        let record = portal.truth(entity, id).unwrap();
        let Some(row) = rows.remove(&id) else {
            if !record.poisoned {
                found.push(format!("{table} {id}: no row"));
            }
            continue;
        };
        if record.poisoned {
            found.push(format!("{table} {id}: a row of a record that cannot be stored"));
            continue;
        }
        for field in fields.iter().filter(|field| field.name != "ID" && field.delivered_by(dialect)) {
            let column = field.name.to_ascii_lowercase();
            let truth = record.fields.get(&field.name).unwrap_or(&Truth::Null);
            if !row.contains_key(&column) {
                found.push(format!("{table}: no column `{column}`"));
            } else if let Some(problem) = value_difference(&row, &column, truth) {
                found.push(format!("{table} {id} {column} ({}): {problem}", field.kind));
            }
        }
    }
    found.extend(rows.keys().map(|id| format!("{table} {id}: a row that the portal does not have")));
}

/// All rows of a table by the portal's id, every value as text.
pub(crate) async fn rows(client: &Client, table: &str) -> BTreeMap<i64, Row> {
    let mut rows = BTreeMap::new();
    for message in client.simple_query(&format!("select * from {table}")).await.unwrap() {
        let SimpleQueryMessage::Row(row) = message else { continue };
        let values: Row = row
            .columns()
            .iter()
            .enumerate()
            .map(|(position, column)| (column.name().to_owned(), row.get(position).map(str::to_owned)))
            .collect();
        let id = values["bitrix_id"].as_deref().unwrap().parse().unwrap();
        assert!(rows.insert(id, values).is_none(), "{table} has two rows of {id}");
    }
    rows
}

fn value_difference(row: &Row, column: &str, truth: &Truth) -> Option<String> {
    let stored = row[column].as_deref();
    let equal = match truth {
        // An empty text and NULL mean the same to the portal.
        Truth::Null => stored.is_none_or(str::is_empty),
        Truth::Money { amount, currency } => {
            let code = row.get(&format!("{column}_currency")).cloned().flatten();
            stored.is_some_and(|stored| same_number(stored, amount)) && code == *currency
        }
        truth => match stored {
            None => truth.is_empty(),
            Some(stored) => same_value(stored, truth),
        },
    };
    (!equal).then(|| format!("the table has {stored:?}, the portal {truth:?}"))
}

fn same_value(stored: &str, truth: &Truth) -> bool {
    match truth {
        Truth::Text(text) => stored == text,
        Truth::Integer(number) | Truth::Decimal(number) => same_number(stored, number),
        // In a column that became a text because its field changed its type, values are written out.
        Truth::Boolean(value) => (if *value { ["t", "true"] } else { ["f", "false"] }).contains(&stored),
        Truth::Instant { epoch_seconds } => {
            let time = utc(*epoch_seconds);
            stored == time || stored == format!("{}Z", time.replace(' ', "T"))
        }
        Truth::Date { y, m, d } => stored == format!("{y:04}-{m:02}-{d:02}"),
        Truth::Reference(id) => stored == id.to_string(),
        Truth::File(id) => serde_json::from_str::<Value>(stored).is_ok_and(|json| json == file(*id)),
        Truth::List(items) => {
            // Raw texts: a number may have more digits than any number type of this test.
            let Ok(stored) = serde_json::from_str::<Vec<&RawValue>>(stored) else { return false };
            stored.len() == items.len() && stored.iter().zip(items).all(|(json, truth)| same_json(json.get(), truth))
        }
        Truth::Multifield(values) => {
            let Ok(Value::Array(stored)) = serde_json::from_str(stored) else { return false };
            stored.len() == values.len() && stored.iter().zip(values).all(|(json, value)| same_contact(json, value))
        }
        Truth::Null | Truth::Money { .. } | Truth::Unstorable { .. } => false,
    }
}

/// One element of a list, as JSON text.
fn same_json(json: &str, truth: &Truth) -> bool {
    let value: Value = serde_json::from_str(json).unwrap();
    let text = value.as_str().unwrap_or(json);
    match truth {
        Truth::Null => value.is_null() || value == "",
        Truth::Text(expected) => value.as_str() == Some(expected),
        Truth::Integer(number) | Truth::Decimal(number) => same_number(text, number),
        Truth::Boolean(expected) => value.as_bool() == Some(*expected),
        Truth::Instant { epoch_seconds } => text == format!("{}Z", utc(*epoch_seconds).replace(' ', "T")),
        Truth::Date { y, m, d } => text == format!("{y:04}-{m:02}-{d:02}"),
        Truth::Reference(id) => text == id.to_string(),
        Truth::File(id) => value == file(*id),
        Truth::Money { amount, currency } => {
            let members: BTreeMap<&str, &RawValue> = serde_json::from_str(json).unwrap();
            same_number(members["amount"].get(), amount) && value["currency"].as_str() == currency.as_deref()
        }
        Truth::List(_) | Truth::Multifield(_) | Truth::Unstorable { .. } => false,
    }
}

fn same_contact(json: &Value, value: &MultifieldValue) -> bool {
    json["ID"] == value.id.to_string().as_str()
        && json["VALUE_TYPE"] == value.value_type.as_str()
        && json["VALUE"] == value.value.as_str()
}

fn file(id: i64) -> Value {
    serde_json::json!({ "id": id })
}

/// Whether two decimal texts are one number: sign, leading and trailing zeros aside.
fn same_number(left: &str, right: &str) -> bool {
    canonical(left) == canonical(right)
}

fn canonical(number: &str) -> String {
    let (sign, digits) = match number.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", number.strip_prefix('+').unwrap_or(number)),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = whole.trim_start_matches('0');
    let fraction = fraction.trim_end_matches('0');
    let number = format!("{}.{fraction}", if whole.is_empty() { "0" } else { whole });
    if number == "0." { number } else { format!("{sign}{number}") }
}

/// `2026-01-31 09:30:00` in UTC, by the civil-from-days algorithm (<https://howardhinnant.github.io/date_algorithms.html>).
fn utc(epoch_seconds: i64) -> String {
    let (days, second) = (epoch_seconds.div_euclid(86_400), epoch_seconds.rem_euclid(86_400));
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60)
}

#[test]
fn the_comparison_knows_its_own_calendar_and_numbers() {
    assert_eq!(utc(0), "1970-01-01 00:00:00");
    assert_eq!(utc(1_709_208_001), "2024-02-29 12:00:01");
    assert_eq!(utc(-1), "1969-12-31 23:59:59");
    assert!(same_number("007.50", "7.5") && same_number("-0.00", "0") && !same_number("-1", "1"));
}
