//! Rows of both dialects say the same as the truth, and every odd form occurs.

use std::collections::{BTreeMap, BTreeSet};

use b24sync_portal_emulator::{Counts, Dialect, Entity, PortalConfig, Truth};
use serde_json::{Value, json};

use crate::client::{Bench, bench};

/// Reads a day or an instant as an epoch second and its offset, without the crate's own calendar.
fn stamp(text: &str) -> (i64, i64) {
    let number = |range: std::ops::Range<usize>| text.get(range).unwrap().parse::<i64>().unwrap();
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    let leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let mut days: i64 = if year >= 1970 {
        (1970..year).map(|year| 365 + i64::from(leap(year))).sum()
    } else {
        -(year..1970).map(|year| 365 + i64::from(leap(year))).sum::<i64>()
    };
    let lengths = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    days += lengths[..usize::try_from(month - 1).unwrap()].iter().sum::<i64>() + day - 1;
    let sign = if text.get(19..20) == Some("-") { -1 } else { 1 };
    let offset = sign * (number(20..22) * 3_600 + number(23..25) * 60);
    (days * 86_400 + number(11..13) * 3_600 + number(14..16) * 60 + number(17..19) - offset, offset)
}

/// The day that a rendered date means by REST.md 8.3: the later of the local and the UTC calendar date.
fn day_number(text: &str) -> i64 {
    let (instant, offset) = stamp(text);
    instant.div_euclid(86_400).max((instant + offset).div_euclid(86_400))
}

fn truth_day(y: i32, m: u8, d: u8) -> i64 {
    stamp(&format!("{y:04}-{m:02}-{d:02}T00:00:00+00:00")).0.div_euclid(86_400)
}

fn scalar_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn is_empty(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(items)) => items.is_empty(),
        _ => false,
    }
}

fn means(value: &Value, truth: &Truth) -> bool {
    match truth {
        Truth::Text(text) => value.as_str() == Some(text),
        Truth::Integer(text) => scalar_text(value) == *text,
        Truth::Decimal(text) => {
            scalar_text(value).parse::<f64>().unwrap().to_bits() == text.parse::<f64>().unwrap().to_bits()
        }
        Truth::Boolean(wanted) => {
            let yes = matches!(scalar_text(value).as_str(), "Y" | "1" | "true");
            let no = matches!(scalar_text(value).as_str(), "N" | "0" | "false");
            (yes, no) == (*wanted, !*wanted)
        }
        Truth::Instant { epoch_seconds } => stamp(value.as_str().unwrap()).0 == *epoch_seconds,
        Truth::Date { y, m, d } => day_number(value.as_str().unwrap()) == truth_day(*y, *m, *d),
        Truth::Reference(id) => scalar_text(value) == id.to_string(),
        Truth::List(items) => {
            let values = value.as_array().unwrap();
            values.len() == items.len() && values.iter().zip(items).all(|(value, truth)| means(value, truth))
        }
        Truth::Money { amount, currency } => {
            let text = value.as_str().unwrap();
            let (shown, code) = text.rsplit_once('|').map_or((text, None), |(shown, code)| (shown, Some(code)));
            shown == amount && code == currency.as_deref()
        }
        Truth::File(id) => value["id"].as_i64() == Some(*id),
        Truth::Multifield(values) => {
            let shown: Vec<(String, &str, &str)> = value
                .as_array()
                .unwrap()
                .iter()
                .map(|entry| {
                    let part = |name: &str| entry[name].as_str().unwrap();
                    (scalar_text(&entry["ID"]), part("VALUE_TYPE"), part("VALUE"))
                })
                .collect();
            let wanted: Vec<(String, &str, &str)> =
                values.iter().map(|entry| (entry.id.to_string(), &*entry.value_type, &*entry.value)).collect();
            shown == wanted
        }
        Truth::Null | Truth::Unstorable { .. } => false,
    }
}

/// Every row of one entity by id, read with every field named.
fn rows(bench: &Bench, entity: Entity, dialect: Dialect) -> BTreeMap<i64, Value> {
    let names: Vec<String> = bench.portal().fields_truth(entity).into_iter().map(|field| field.name).collect();
    let mut found = BTreeMap::new();
    let mut last = 0;
    loop {
        let (answer, key) = match dialect {
            Dialect::Classic => {
                let params = json!({"filter": {">ID": last}, "order": {"ID": "ASC"}, "select": names, "start": -1});
                (bench.result(&format!("crm.{}.list", entity.name()), &params), "ID")
            }
            Dialect::Item => {
                let type_id = entity.type_id();
                let params = json!({"entityTypeId": type_id, "filter": {">id": last}, "order": {"id": "ASC"},
                    "select": ["*"], "start": -1});
                (bench.result("crm.item.list", &params)["items"].take(), "id")
            }
        };
        let page = answer.as_array().unwrap().clone();
        if page.is_empty() {
            return found;
        }
        for row in page {
            last = scalar_text(&row[key]).parse().unwrap();
            found.insert(last, row);
        }
    }
}

fn check(bench: &Bench, entity: Entity, dialect: Dialect) -> usize {
    let fields = bench.portal().fields_truth(entity);
    let rows = rows(bench, entity, dialect);
    assert_eq!(rows.keys().copied().collect::<Vec<_>>(), bench.portal().ids(entity));
    let mut compared = 0;
    for (id, row) in &rows {
        let truth = bench.portal().truth(entity, *id).unwrap();
        for field in &fields {
            let key = match dialect {
                Dialect::Classic => Some(field.name.as_str()),
                Dialect::Item => field.item_name.as_deref().filter(|name| *name != "fm"),
            };
            let Some(key) = key else { continue };
            let shown = row.get(key);
            if !field.delivered_by(dialect) {
                assert!(shown.is_none(), "{entity:?} {id} {key}");
                continue;
            }
            let wanted = &truth.fields[&field.name];
            let link_zero = *wanted == Truth::Null && matches!(shown.map(scalar_text).as_deref(), Some("0"));
            let fits = if wanted.is_empty() { is_empty(shown) || link_zero } else { means(shown.unwrap(), wanted) };
            assert!(fits, "{entity:?} {id} {key}: {shown:?} for {wanted:?}");
            compared += 1;
        }
    }
    compared
}

#[test]
fn both_dialects_say_what_is_true() {
    for offset_minutes in [180, -330, 0] {
        let counts = Counts { deals: 70, leads: 60, contacts: 60, companies: 55 };
        let bench = bench(PortalConfig { counts, offset_minutes, ..PortalConfig::default() });
        let compared: usize = Entity::ALL
            .into_iter()
            .flat_map(|entity| [(entity, Dialect::Classic), (entity, Dialect::Item)])
            .map(|(entity, dialect)| check(&bench, entity, dialect))
            .sum();
        assert!(compared > 30_000, "{compared}");
    }
}

#[test]
fn fm_holds_all_multifields_and_the_aliases_their_first() {
    let bench = bench(PortalConfig::default());
    let mut values = 0;
    for (id, row) in rows(&bench, Entity::Contact, Dialect::Item) {
        let truth = bench.portal().truth(Entity::Contact, id).unwrap();
        let mut wanted = Vec::new();
        for code in ["PHONE", "EMAIL", "WEB", "IM", "LINK"] {
            let Truth::Multifield(entries) = &truth.fields[code] else { panic!("{code}") };
            for entry in entries {
                let (value_type, value) = (&entry.value_type, &entry.value);
                wanted.push(json!({"id": entry.id, "valueType": value_type, "value": value, "typeId": code}));
            }
        }
        let phone =
            wanted.iter().find(|entry| entry["typeId"] == "PHONE").map_or(json!(""), |entry| entry["value"].clone());
        assert_eq!((&row["fm"], &row["phone"]), (&Value::Array(wanted.clone()), &phone));
        assert_eq!(row["hasPhone"] == "Y", phone != "");
        values += wanted.len();
    }
    assert!(values > 200, "{values}");
}

#[test]
fn php_escapes_change_the_text_but_not_its_meaning() {
    let counts = Counts { deals: 60, leads: 55, contacts: 0, companies: 0 };
    let bench = bench(PortalConfig { counts, php_escapes: true, ..PortalConfig::default() });
    assert!(check(&bench, Entity::Deal, Dialect::Classic) > 1_000);
    let reply = bench.call("crm.deal.list", &json!({}));
    assert!(reply.body.is_ascii());
    assert!(String::from_utf8(reply.body).unwrap().contains("\\u04"));
}

#[test]
fn every_empty_and_odd_form_occurs() {
    let bench = bench(PortalConfig { counts: Counts::deals(900), ..PortalConfig::default() });
    let rows = rows(&bench, Entity::Deal, Dialect::Classic);
    let values: BTreeSet<String> =
        rows.values().flat_map(|row| row.as_object().unwrap()).map(|(_, value)| value.to_string()).collect();
    let links: BTreeSet<String> = rows.values().map(|row| row["COMPANY_ID"].to_string()).collect();
    for form in ["null", "\"\"", "\"0\""] {
        assert!(links.contains(form), "{form}");
    }
    for form in ["null", "\"\"", "[]", "false", "\"0|RUB\"", "\"null\""] {
        assert!(values.contains(form), "{form}");
    }
    let everything = values.iter().cloned().collect::<String>();
    for part in ["🎉", "\\\\", "\\\"", "\u{200b}", "\u{202e}", "[/LIST]", "\\r\\n", "\\u0001", "שלום"] {
        assert!(everything.contains(part), "{part:?}");
    }
    assert!(!everything.contains("\\u0000"));
    let integers: Vec<&String> =
        values.iter().filter(|value| value.trim_matches(['"', '-']).parse::<u128>().is_ok()).collect();
    assert!(integers.iter().any(|value| value.len() > 12 && value.len() < 21));
    assert!(integers.iter().any(|value| value.len() > 22));
    assert!(values.iter().any(|value| value.len() > 20_000));
}

#[test]
fn a_plain_portal_has_only_ordinary_forms() {
    let config = PortalConfig { counts: Counts::deals(300), odd_values: false, ..PortalConfig::default() };
    let bench = bench(config);
    for row in rows(&bench, Entity::Deal, Dialect::Classic).values() {
        for (key, value) in row.as_object().unwrap() {
            assert!(*value != json!(false) || key.starts_with("UF_"), "{key}");
            let text = scalar_text(value);
            assert!(!text.contains(['\u{200b}', '\u{202e}', '\u{1}']) && text.len() < 5_000);
        }
    }
}

#[test]
fn poisoned_records_hold_what_cannot_be_stored() {
    let bench = bench(PortalConfig { counts: Counts::deals(10), poison: 4, ..PortalConfig::default() });
    let portal = bench.portal();
    let poisoned: Vec<i64> =
        portal.ids(Entity::Deal).into_iter().filter(|id| portal.truth(Entity::Deal, *id).unwrap().poisoned).collect();
    assert_eq!(poisoned.len(), 4);
    let reply = bench.call("crm.deal.list", &json!({"filter": {"@ID": poisoned}}));
    let text = String::from_utf8(reply.body).unwrap();
    for part in [r#""before\u0000after""#, r"\ud800", r#":"not-a-date""#, r#":"abc""#] {
        assert!(text.contains(part), "{part}");
    }
    assert!(portal.ids(Entity::Lead).is_empty());
}

#[test]
fn addresses_of_files_change_with_every_answer() {
    let bench = bench(PortalConfig::default());
    for (method, params) in [("crm.deal.list", json!({})), ("crm.item.list", json!({"entityTypeId": 2}))] {
        let urls = || -> BTreeSet<String> {
            let text = bench.result(method, &params).to_string();
            text.split('"').filter(|part| part.contains("auth=FAKE")).map(str::to_owned).collect()
        };
        let (first, second) = (urls(), urls());
        assert!(!first.is_empty() && first.len() == second.len());
        assert!(first.is_disjoint(&second));
    }
}

#[test]
fn a_user_in_another_zone_sees_shifted_instants_with_the_wrong_offset() {
    let config = PortalConfig { user_zone_shift_minutes: 60, counts: Counts::deals(20), ..PortalConfig::default() };
    for filter_sees_shift in [true, false] {
        let bench = bench(PortalConfig { filter_sees_shift, ..config.clone() });
        let id = bench.portal().ids(Entity::Deal)[3];
        let shown = bench.result("crm.deal.get", &json!({ "id": id }))["DATE_MODIFY"].clone();
        let truth = bench.portal().truth(Entity::Deal, id).unwrap().fields["DATE_MODIFY"].clone();
        assert_eq!(truth, Truth::Instant { epoch_seconds: stamp(shown.as_str().unwrap()).0 - 3_600 });
        let found = bench.result("crm.deal.list", &json!({"filter": {"ID": id, ">=DATE_MODIFY": shown}}));
        assert_eq!(found.as_array().unwrap().len(), usize::from(filter_sees_shift));
    }
}
