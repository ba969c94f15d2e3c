//! Pages, order, select and filters.

use std::collections::BTreeSet;

use b24sync_portal_emulator::{Counts, DateFilter, DefaultOrder, Entity, PortalConfig, Truth, UnreadableDate};
use serde_json::{Value, json};

use crate::client::{Bench, bench, ids};

/// What a filter should keep, said without the filter.
type Keep<T> = fn(&T) -> bool;

fn deals(count: u64) -> Bench {
    bench(PortalConfig { counts: Counts { deals: count, ..PortalConfig::default().counts }, ..PortalConfig::default() })
}

fn listed(bench: &Bench, params: &Value) -> Vec<i64> {
    ids(&bench.result("crm.deal.list", params))
}

fn truths(bench: &Bench, field: &str) -> Vec<(i64, Truth)> {
    let portal = bench.portal();
    let ids = portal.ids(Entity::Deal);
    ids.into_iter().map(|id| (id, portal.truth(Entity::Deal, id).unwrap().fields[field].clone())).collect()
}

#[test]
fn offsets_walk_through_all_pages() {
    let bench = deals(260);
    let (mut start, mut read) = (json!(0), Vec::new());
    loop {
        let answer = bench.answer("crm.deal.list", &json!({"select": ["ID"], "order": {"ID": "ASC"}, "start": start}));
        assert_eq!(answer["total"], 260);
        read.extend(ids(&answer["result"]));
        match answer.get("next") {
            Some(next) => start = next.clone(),
            None => break,
        }
    }
    assert_eq!(read, bench.portal().ids(Entity::Deal));
}

#[test]
fn every_operator_selects_what_it_says() {
    let bench = deals(45);
    let all = bench.portal().ids(Entity::Deal);
    let (a, b) = (all[10], all[30]);
    for (filter, wanted) in [
        (json!({">ID": a}), all[11..].to_vec()),
        (json!({">=ID": a, "<ID": b}), all[10..30].to_vec()),
        (json!({"<=ID": a}), all[..=10].to_vec()),
        (json!({"ID": [a, b]}), vec![a, b]),
        (json!({"@ID": [b, a, 999_999]}), vec![a, b]),
        (json!({"!@ID": all[1..]}), vec![all[0]]),
        (json!({"!ID": a}), all.iter().copied().filter(|id| *id != a).collect()),
        (json!({"!=ID": a, "<ID": b}), all[..30].iter().copied().filter(|id| *id != a).collect()),
        (json!({">ID": ""}), all.clone()),
        (json!({"NO_SUCH_FIELD": 1}), all.clone()),
        (json!({"CONTACT_IDS": 1}), all.clone()),
    ] {
        assert_eq!(listed(&bench, &json!({"filter": filter, "select": ["ID"]})), wanted, "{filter}");
    }
    let patterns: [(&str, Keep<str>); 3] = [
        ("%TITLE", |title| title.contains('о')),
        ("!%TITLE", |title| !title.contains('о')),
        ("=%TITLE", |title| title.starts_with('м')),
    ];
    for (key, keep) in patterns {
        let operand = if key.starts_with('=') { "М%" } else { "О" };
        let wanted: Vec<i64> = truths(&bench, "TITLE")
            .into_iter()
            .filter(|(_, title)| matches!(title, Truth::Text(title) if keep(&title.to_lowercase())))
            .map(|(id, _)| id)
            .collect();
        assert!(!wanted.is_empty());
        assert_eq!(listed(&bench, &json!({"filter": {key: operand}, "select": ["ID"]})), wanted, "{key}");
    }
}

#[test]
fn values_of_every_kind_can_be_filtered() {
    let bench = deals(48);
    let cases: [(&str, Value, Keep<Truth>); 7] = [
        ("CLOSED", json!({"CLOSED": "Y"}), |value| *value == Truth::Boolean(true)),
        (
            "OPPORTUNITY",
            json!({">OPPORTUNITY": "500000"}),
            |value| matches!(value, Truth::Decimal(text) if text.parse::<f64>().unwrap() > 500_000.0),
        ),
        ("CATEGORY_ID", json!({"CATEGORY_ID": 0}), |value| *value == Truth::Reference(0)),
        ("COMPANY_ID", json!({"!COMPANY_ID": ""}), |value| *value != Truth::Null),
        ("COMPANY_ID", json!({"COMPANY_ID": "0"}), |value| *value == Truth::Null),
        (
            "STAGE_ID",
            json!({"@STAGE_ID": ["NEW", "C1:NEW"]}),
            |value| matches!(value, Truth::Text(code) if code == "NEW" || code == "C1:NEW"),
        ),
        ("STAGE_ID", json!({"%STAGE_ID": "NEW"}), |_| false),
    ];
    for (field, filter, keep) in cases {
        let wanted: Vec<i64> =
            truths(&bench, field).into_iter().filter(|(_, value)| keep(value)).map(|(id, _)| id).collect();
        assert_eq!(listed(&bench, &json!({"filter": filter, "select": ["ID"]})), wanted, "{filter}");
    }
}

#[test]
fn item_lists_nest_conditions_and_refuse_unknown_fields() {
    let bench = deals(40);
    let all = bench.portal().ids(Entity::Deal);
    let filter = json!({"logic": "OR", "0": {"<id": all[2]}, "1": {">=id": all[35], "<id": all[37]}});
    let found = bench.result("crm.item.list", &json!({"entityTypeId": 2, "filter": filter, "select": ["id"]}));
    assert_eq!(ids(&found), [all[0], all[1], all[35], all[36]]);
    let filter = json!({">id": all[5], "0": {"logic": "OR", "0": {"id": all[3]}, "1": {"id": all[7]}}});
    let found = bench.result("crm.item.list", &json!({"entityTypeId": 2, "filter": filter, "select": ["id"]}));
    assert_eq!(ids(&found), [all[7]]);
    let error = bench.error("crm.item.list", &json!({"entityTypeId": 2, "filter": {">NO_SUCH": 1}}));
    assert_eq!(
        error,
        (400, json!("INVALID_ARG_VALUE"), "Invalid filter: field 'NO_SUCH' is not allowed in filter".to_owned())
    );
    let error = bench.error("crm.deal.list", &json!({"filter": "ID"}));
    assert_eq!(error, (400, json!(""), "Parameter 'filter' must be array.".to_owned()));
    // The classic lists know no logic: the condition on an unknown field has no effect.
    assert_eq!(listed(&bench, &json!({"filter": {"logic": "OR", "0": {"ID": 1}}, "select": ["ID"]})), all);
}

#[test]
fn item_lists_compare_user_booleans_with_digits_only() {
    let bench = deals(48);
    let fields = bench.portal().fields_truth(Entity::Deal);
    let field = fields.iter().find(|field| field.user && field.kind == "boolean" && !field.multiple).unwrap();
    let name = field.item_name.clone().unwrap();
    let wanted: Vec<i64> = truths(&bench, &field.name)
        .into_iter()
        .filter(|(_, value)| *value == Truth::Boolean(true))
        .map(|(id, _)| id)
        .collect();
    for (operand, wanted) in [("1", wanted), ("Y", Vec::new())] {
        let params = json!({"entityTypeId": 2, "filter": {&name: operand}, "select": ["id", &name]});
        let rows = bench.result("crm.item.list", &params);
        assert_eq!(ids(&rows), wanted, "{operand}");
        assert!(rows["items"].as_array().unwrap().iter().all(|row| row[&name] == "Y"));
    }
}

#[test]
fn date_filters_understand_what_the_portal_is_told() {
    for (date_filter, atom, space) in [
        (DateFilter::Both, true, true),
        (DateFilter::AtomOnly, true, false),
        (DateFilter::SpaceOnly, false, true),
        (DateFilter::Ignored, false, false),
    ] {
        for unreadable_date in [UnreadableDate::Ignored, UnreadableDate::MatchesNothing] {
            let counts = Counts::deals(30);
            let bench = bench(PortalConfig { counts, date_filter, unreadable_date, ..PortalConfig::default() });
            let id = bench.portal().ids(Entity::Deal)[4];
            let value = bench.result("crm.deal.get", &json!({ "id": id }))["DATE_MODIFY"].as_str().unwrap().to_owned();
            for (text, understood) in [(value.clone(), atom), (value.get(..19).unwrap().replace('T', " "), space)] {
                let probe = |key: &str| listed(&bench, &json!({"filter": {"ID": id, key: text}, "select": ["ID"]}));
                let (inclusive, exclusive) = (probe(">=DATE_MODIFY"), probe(">DATE_MODIFY"));
                match (understood, unreadable_date) {
                    (true, _) => assert_eq!((inclusive, exclusive), (vec![id], vec![])),
                    (false, UnreadableDate::Ignored) => assert_eq!((inclusive, exclusive), (vec![id], vec![id])),
                    (false, UnreadableDate::MatchesNothing) => assert_eq!((inclusive, exclusive), (vec![], vec![])),
                }
            }
        }
    }
}

#[test]
fn a_window_by_modified_time_finds_edits_and_ties() {
    let bench = deals(400);
    let all = bench.portal().ids(Entity::Deal);
    let second = bench.portal().bulk_edit_in_one_second(Entity::Deal, &all[50..180]);
    let stamp = bench.result("crm.deal.get", &json!({"id": all[50]}))["DATE_MODIFY"].clone();
    let mut read: Vec<i64> = Vec::new();
    let mut last = 0;
    loop {
        let filter = json!({">=DATE_MODIFY": stamp, ">ID": last});
        let page = listed(&bench, &json!({"filter": filter, "order": {"ID": "ASC"}, "select": ["ID"], "start": -1}));
        read.extend(&page);
        match page.last() {
            Some(id) => last = *id,
            None => break,
        }
    }
    assert_eq!(read, all[50..180]);
    let modified = &bench.portal().truth(Entity::Deal, all[51]).unwrap().fields["DATE_MODIFY"];
    assert_eq!(*modified, Truth::Instant { epoch_seconds: second });
}

#[test]
fn order_sorts_by_any_field_in_both_directions() {
    let bench = deals(49);
    let by = |order: Value| listed(&bench, &json!({"order": order, "select": ["ID"]}));
    let mut wanted = bench.portal().ids(Entity::Deal);
    wanted.reverse();
    assert_eq!(by(json!({"ID": "DESC"})), wanted);
    let mut wanted: Vec<(i64, i64)> = truths(&bench, "DATE_CREATE")
        .into_iter()
        .map(|(id, value)| match value {
            Truth::Instant { epoch_seconds } => (-epoch_seconds, id),
            other => panic!("{other:?}"),
        })
        .collect();
    wanted.sort_unstable();
    assert_eq!(by(json!({"DATE_CREATE": "desc", "ID": "ASC"})), wanted.iter().map(|(_, id)| *id).collect::<Vec<_>>());
    let items = bench.result("crm.item.list", &json!({"entityTypeId": 2, "order": {"ID": "DESC"}, "select": ["id"]}));
    assert!(ids(&items).is_sorted_by(|left, right| left > right));
    assert_eq!(bench.error("crm.item.list", &json!({"entityTypeId": 2, "order": {"nope": "ASC"}})).0, 400);
}

#[test]
fn without_an_order_pages_can_repeat_and_skip_rows() {
    let counts = Counts::deals(150);
    let bench = bench(PortalConfig { counts, default_order: DefaultOrder::Shuffled, ..PortalConfig::default() });
    let pages: Vec<i64> =
        [0, 50, 100].iter().flat_map(|start| listed(&bench, &json!({"select": ["ID"], "start": start}))).collect();
    assert_eq!(pages.len(), 150);
    assert!(pages.iter().collect::<BTreeSet<_>>().len() < 150);
}

#[test]
fn select_brings_what_the_documentation_says() {
    let bench = bench(PortalConfig::default());
    let keys = |method: &str, params: Value| -> BTreeSet<String> {
        let rows = bench.result(method, &params);
        let rows = rows.get("items").unwrap_or(&rows);
        rows.as_array().unwrap().iter().flat_map(|row| row.as_object().unwrap().keys().cloned()).collect()
    };
    let default = keys("crm.contact.list", json!({}));
    assert_eq!(default, keys("crm.contact.list", json!({"select": ["*", "UF_*"]})));
    for absent in ["PHONE", "EMAIL", "WEB", "IM", "LINK", "COMPANY_IDS", "FACE_ID", "OBSERVERS"] {
        assert!(!default.contains(absent), "{absent}");
    }
    assert!(default.iter().any(|key| key.starts_with("UF_")));
    let star = keys("crm.contact.list", json!({"select": ["*"]}));
    assert!(star.contains("ADDRESS_CITY") && !star.iter().any(|key| key.starts_with("UF_")));
    let named = keys("crm.contact.list", json!({"select": ["*", "PHONE", "COMPANY_IDS", "NOPE"]}));
    assert!(named.contains("PHONE") && !named.contains("COMPANY_IDS") && !named.contains("NOPE"));
    let user = keys("crm.contact.list", json!({"select": ["UF_*"]}));
    assert!(user.iter().all(|key| key.starts_with("UF_")) && user.len() == 38);

    let star = keys("crm.item.list", json!({"entityTypeId": 3, "select": ["*"]}));
    for present in ["fm", "companyIds", "observers", "searchContent", "phoneWork", "shortName", "entityTypeId"] {
        assert!(star.contains(present), "{present}");
    }
    assert!(star.iter().any(|key| key.starts_with("ufCrm")));
    let named = keys("crm.item.list", json!({"entityTypeId": 3, "select": ["id", "fm", "name"]}));
    assert_eq!(named, BTreeSet::from(["id".to_owned(), "name".to_owned()]));
    let original = keys("crm.item.list", json!({"entityTypeId": 3, "useOriginalUfNames": "Y"}));
    assert!(original.iter().any(|key| key.starts_with("UF_CRM")) && original.contains("createdTime"));
    let rows =
        bench.result("crm.item.list", &json!({"entityTypeId": 3, "useOriginalUfNames": "Y", "select": ["id", "name"]}));
    assert_eq!(rows["items"][0], json!({"id": [], "name": []}));
}

#[test]
fn query_strings_and_forms_mean_the_same_as_json() {
    let bench = deals(40);
    let all = bench.portal().ids(Entity::Deal);
    let query = format!("filter%5B%3EID%5D={}&select%5B%5D=ID&order%5BID%5D=desc&start=0", all[36]);
    let wanted = [all[39], all[38], all[37]];
    let get = bench.send("GET", &format!("{}?{query}", bench.path("crm.deal.list.json")), "text/plain", "").unwrap();
    assert_eq!(ids(&get.json()["result"]), wanted);
    let path = bench.path("CRM.Deal.List");
    let form = bench.send("POST", &path, "application/x-www-form-urlencoded", &query).unwrap();
    assert_eq!(ids(&form.json()["result"]), wanted);
}

#[test]
fn answers_are_compressed_for_those_who_ask() {
    let counts = Counts::deals(120);
    let bench = bench(PortalConfig { counts, gzip: true, ..PortalConfig::default() });
    let path = bench.path("crm.deal.list");
    let plain = bench.send("GET", &path, "text/plain", "").unwrap();
    assert_eq!(plain.header("content-encoding"), None);
    // One more header rides on the content type.
    let packed = bench.send("GET", &path, "text/plain\r\nAccept-Encoding: gzip", "").unwrap();
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert!(packed.body.len() * 3 < plain.body.len());
}
