use b24sync_domain::record::{Layout, RecordBatch};
use serde_json::json;

use super::*;
use crate::config::Dialect;
use crate::dialect::EntityDialect;
use crate::fields::Metadata;
use crate::samples::{metadata, records, sample};

fn lead() -> (EntityDialect, Metadata) {
    let dialect = EntityDialect::of(Dialect::Item, "lead".parse().unwrap());
    let metadata = metadata(&dialect, "crm.item.fields.json", None);
    (dialect, metadata)
}

fn value<'a>(batch: &'a RecordBatch, row: usize, name: &str) -> Option<&'a str> {
    let field = batch.layout.fields().iter().position(|field| field.as_str() == name).unwrap();
    batch.value(row, field)
}

#[test]
fn an_item_record_becomes_a_classic_one() {
    let (dialect, metadata) = lead();
    let text: serde_json::Value = serde_json::from_str(&sample("crm.item.get.lead.json")).unwrap();
    let batch = records(&dialect, "lead", &metadata, &json!({ "items": [text["result"]["item"]] }));
    assert_eq!(value(&batch, 0, "STATUS_ID"), Some("\"IN_PROCESS\""));
    assert_eq!(value(&batch, 0, "DATE_MODIFY"), Some("\"2024-07-22T18:00:08+02:00\""));
    assert_eq!(batch.modified(0).unwrap().to_rfc3339(), "2024-07-22T16:00:08+00:00");
    assert_eq!(
        value(&batch, 0, "PHONE"),
        Some(r#"[{"ID":"101","VALUE_TYPE":"WORK","VALUE":"+15559999871","TYPE_ID":"PHONE"}]"#)
    );
    assert_eq!(value(&batch, 0, "WEB"), None);
    let strays: Vec<&str> = batch.strays().map(|(stray, _)| stray.name.as_str()).collect();
    assert!(strays.contains(&"ufCrm_1720019876534") && !strays.contains(&"isConvert"), "{strays:?}");
}

#[test]
fn an_unreadable_modified_time_is_none_and_the_value_is_kept() {
    let (dialect, metadata) = lead();
    let page = json!({ "items": [{ "id": "7", "updatedTime": "yesterday" }, { "id": 8, "updatedTime": null }] });
    let batch = records(&dialect, "lead", &metadata, &page);
    assert_eq!(batch.ids().iter().map(|id| id.get()).collect::<Vec<_>>(), [7, 8]);
    assert_eq!((batch.modified(0), batch.modified(1)), (None, None));
    assert_eq!(value(&batch, 0, "DATE_MODIFY"), Some("\"yesterday\""));
}

#[test]
fn legacy_keys_that_hold_something_and_odd_multi_fields_are_strays() {
    let (dialect, metadata) = lead();
    let page = json!({ "items": [{ "id": 7, "isConvert": "Y", "login": null, "fm": [{ "typeId": "PIGEON" }] }] });
    let batch = records(&dialect, "lead", &metadata, &page);
    let strays: Vec<_> = batch.strays().map(|(stray, json)| (stray.name.as_str(), json)).collect();
    // `json!` orders keys by name.
    assert_eq!(strays, [("fm", r#"[{"typeId":"PIGEON"}]"#), ("isConvert", "\"Y\"")]);
}

#[test]
fn a_value_that_is_nested_too_deeply_makes_its_page_faulty() {
    let (dialect, metadata) = lead();
    let slots = Slots::new(&dialect, &metadata, &Layout::new(Vec::new()));
    let fault = |depth: usize| {
        let value = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let text = format!(r#"{{"result":{{"result":{{"c0":{{"items":[{{"id":1,"odd":{value}}}]}}}}}}}}"#);
        decode_batch(&text, &slots).unwrap().records.pages.first().unwrap().fault
    };
    assert_eq!(fault(60), None);
    assert_eq!(fault(61), Some("a value is nested deeper than 60"));
    assert_eq!(fault(100_000), Some("a value is nested deeper than 60"));
}

#[test]
fn keys_may_change_from_record_to_record() {
    let (dialect, metadata) = lead();
    let page = json!({ "items": [
        { "id": 1, "title": "a", "opened": "Y" },
        { "id": 2, "opened": "N" },
        { "id": 3, "extra": 1, "title": "c" },
        { "id": 4, "title": "d", "opened": "Y" },
    ] });
    let batch = records(&dialect, "lead", &metadata, &page);
    let titles: Vec<_> = (0..4).map(|row| value(&batch, row, "TITLE")).collect();
    assert_eq!(titles, [Some("\"a\""), None, Some("\"c\""), Some("\"d\"")]);
    let opened: Vec<_> = (0..4).map(|row| value(&batch, row, "OPENED")).collect();
    assert_eq!(opened, [Some("\"Y\""), Some("\"N\""), None, Some("\"Y\"")]);
}

#[test]
fn faults_stay_with_their_page() {
    let (dialect, metadata) = lead();
    let layout = Layout::new(Vec::new());
    let slots = Slots::new(&dialect, &metadata, &layout);
    for (page, fault) in [
        (r#"{"items":[{"id":1}]}"#, None),
        (r#"{"items":[]}"#, None),
        (r#"{"items":{"0":{"id":1},"2":{"id":2}}}"#, None),
        (r#"{"items":[{"id":0}]}"#, Some("a record came without a valid id")),
        (r#"{"items":[{"id":"1x"}]}"#, Some("a record came without a valid id")),
        (r#"{"items":[{"title":"a"}]}"#, Some("a record came without a valid id")),
        (r#"{"items":[7]}"#, Some("an element of a list is no record")),
        (r#"{"items":[[]]}"#, Some("an element of a list is no record")),
        (r#"{"items":null}"#, Some("the result of a list is no list")),
        (r#"{"rows":[]}"#, Some("the result of a list is no list")),
        ("[]", Some("the result of a list is no list")),
        ("null", Some("the result of a list is no list")),
        ("true", Some("the result of a list is no list")),
    ] {
        let text = format!(r#"{{"result":{{"result":{{"p00":{{"items":[{{"id":1}}]}},"p01":{page}}}}}}}"#);
        let answer = decode_batch(&text, &slots).unwrap();
        assert_eq!(answer.records.page("p00").unwrap().fault, None, "{page}");
        assert_eq!(answer.records.page("p01").unwrap().fault, fault, "{page}");
    }
    for broken in ["", "{", r#"{"result":{"result":{"p00":{"items":[{"id":1}"#, r#"{"result":{}} x"#] {
        assert!(decode_batch(broken, &slots).is_err(), "{broken}");
    }
}
