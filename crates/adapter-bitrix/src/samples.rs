//! Every response sample of the reference is decoded or classified. The samples are in `tests/fixtures`, whose README in
//! the reference says where each comes from.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use b24sync_domain::record::{Layout, ReadToken, RecordBatch};
use serde_json::Value;

use crate::config::Dialect;
use crate::decode::{BatchHead, Slots, decode_batch};
use crate::dialect::EntityDialect;
use crate::envelope::{self, Envelope, Named, PortalTime};
use crate::error::{self, Meaning};
use crate::failure::Class;
use crate::fields::{self, Metadata};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

pub(crate) fn sample(name: &str) -> String {
    std::fs::read_to_string(directory().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn names(below: &str) -> BTreeSet<String> {
    let entries = std::fs::read_dir(directory().join(below)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    // Those of the authorisation server have another frame; `oauth::server` reads them.
    names.filter(|name| name != "blanks.gz" && name != "errors" && !name.starts_with("oauth.")).collect()
}

/// The metadata in a fields sample.
pub(crate) fn metadata(dialect: &EntityDialect, name: &str, user_fields: Option<&str>) -> Metadata {
    let text = sample(name);
    let envelope: Envelope<'_> = serde_json::from_str(&text).unwrap();
    let user_fields = user_fields.map(sample);
    let user_fields: Option<Envelope<'_>> = user_fields.as_deref().map(|text| serde_json::from_str(text).unwrap());
    fields::decode(dialect, envelope.result.unwrap(), user_fields.and_then(|envelope| envelope.result)).unwrap()
}

/// Decodes `page` as the only page of a batch, by all described fields.
pub(crate) fn records(dialect: &EntityDialect, entity: &str, metadata: &Metadata, page: &Value) -> RecordBatch {
    let layout = Layout::new(metadata.descriptions().into_iter().map(|field| field.name).collect());
    let slots = Slots::new(dialect, metadata, &layout);
    let text = serde_json::json!({ "result": { "result": { "p00": page }, "result_error": [] } }).to_string();
    let answer = decode_batch(&text, &slots).unwrap();
    assert!(answer.complete);
    let page = answer.records.page("p00").unwrap();
    assert_eq!(page.fault, None, "{text}");
    let rows = page.rows.end;
    let records = answer.records;
    let head = BatchHead {
        entity: entity.parse().unwrap(),
        layout,
        token: ReadToken(1),
        source_time: chrono::DateTime::UNIX_EPOCH.fixed_offset(),
        text,
    };
    records.into_batch(0..rows, false, head)
}

fn result(name: &str) -> Value {
    serde_json::from_str::<Value>(&sample(name)).unwrap()["result"].take()
}

#[test]
fn every_error_sample_has_its_class() {
    let expected = [
        ("400.ERROR_BATCH_LENGTH_EXCEEDED.json", Meaning::Rejected),
        ("400.INVALID_REQUEST.json", Meaning::Rejected),
        ("400.crm.item.get.NOT_FOUND.json", Meaning::Rejected),
        ("400.crm.item.list.INVALID_ARG_VALUE.json", Meaning::Rejected),
        ("400.crm.type.list.ACCESS_DENIED.json", Meaning::Forbidden),
        ("400.empty-code.access-denied.json", Meaning::Forbidden),
        ("400.empty-code.not-found.json", Meaning::Rejected),
        ("400.event.bind.ERROR_EVENT_NOT_FOUND.json", Meaning::Rejected),
        ("400.numeric-code.json", Meaning::Rejected),
        ("400.numeric-zero-code.json", Meaning::Rejected),
        ("400.rest-v3.validation.json", Meaning::Rejected),
        ("400.sentence-as-code.json", Meaning::Rejected),
        ("400.string-zero-code.json", Meaning::Rejected),
        ("401.NO_AUTH_FOUND.json", Meaning::Unauthorized),
        ("401.expired_token.json", Meaning::Unauthorized),
        ("403.ACCESS_DENIED.commercial.json", Meaning::Blocked),
        ("403.INVALID_CREDENTIALS.json", Meaning::Forbidden),
        ("403.event.offline.ACCESS_DENIED.json", Meaning::Forbidden),
        ("403.insufficient_scope.json", Meaning::MissingScope),
        ("403.user_access_error.json", Meaning::Forbidden),
        ("405.ERROR_BATCH_METHOD_NOT_ALLOWED.json", Meaning::Rejected),
        ("429.OPERATION_TIME_LIMIT.json", Meaning::MethodExhausted),
        ("500.ERROR_UNEXPECTED_ANSWER.json", Meaning::Fault),
        ("500.INTERNAL_SERVER_ERROR.json", Meaning::Fault),
        ("500.PORTAL_DELETED.json", Meaning::Blocked),
        ("503.OVERLOAD_LIMIT.json", Meaning::Blocked),
        ("503.QUERY_LIMIT_EXCEEDED.json", Meaning::RateLimited),
    ];
    let mut left = names("errors");
    for (name, meaning) in expected {
        assert!(left.remove(name), "{name}");
        let text = sample(&format!("errors/{name}"));
        let envelope: Envelope<'_> = serde_json::from_str(&text).unwrap();
        let refusal = envelope.refusal().unwrap_or_else(|| panic!("{name} is an error"));
        let status = name.get(..3).and_then(|status| status.parse().ok());
        assert_eq!(error::meaning(status, &refusal), meaning, "{name}");
        assert_eq!(error::meaning(None, &refusal), meaning, "the status makes no difference: {name}");
    }
    assert!(left.remove("html-instead-of-json.txt"));
    assert_eq!(error::not_json("batch", 503, &sample("errors/html-instead-of-json.txt")).class, Class::Fault);
    assert_eq!(left, BTreeSet::new(), "samples without an expectation");
}

#[test]
fn the_frame_of_every_answer_is_read() {
    for name in names("") {
        let text = sample(&name);
        let envelope: Envelope<'_> = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        // A fragment of an answer, and two pages of the manual that leave `time` out.
        if name == "crm.item.fields.userfields-spa.json" {
            continue;
        }
        assert!(envelope.result.is_some() && envelope.refusal().is_none(), "{name}");
        let time = envelope.time();
        assert_eq!(time.start.is_some(), text.contains("date_start"), "{name}");
        assert_eq!(
            time.operating.is_some(),
            envelope.time.is_some_and(|time| time.get().contains("\"operating\"")),
            "{name}"
        );
    }
}

#[test]
fn every_batch_sample_is_read_command_by_command() {
    let dialect = EntityDialect::of(Dialect::Classic, "deal".parse().unwrap());
    let metadata = metadata(&dialect, "crm.deal.fields.json", None);
    let layout = Layout::new(Vec::new());
    let slots = Slots::new(&dialect, &metadata, &layout);
    let mut seen = 0;
    for name in names("").into_iter().filter(|name| name.starts_with("batch.") || name.contains(".batch.")) {
        let text = sample(&name);
        let answer = decode_batch(&text, &slots).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(answer.complete && answer.error.is_none(), "{name}");
        let value: Value = serde_json::from_str(&text).unwrap();
        let errors = answer.errors.map(Named::of).unwrap();
        let count = |value: &Value| {
            value.as_object().map_or_else(|| value.as_array().map_or(0, Vec::len), serde_json::Map::len)
        };
        assert_eq!(errors.iter().count(), count(&value["result"]["result_error"]), "{name}");
        for (_, entry) in errors.iter() {
            assert_ne!(envelope::command_refusal(entry), error::Refusal::default(), "{name}");
        }
        for (_, time) in answer.times.map(Named::of).unwrap().iter() {
            assert!(PortalTime::of(time).start.is_some(), "{name}");
        }
        if let Value::Object(commands) = &value["result"]["result"] {
            assert_eq!(answer.records.pages.len(), commands.len(), "{name}");
        }
        seen += 1;
    }
    assert_eq!(seen, 17);
}

#[test]
fn records_of_every_classic_sample_are_read() {
    for (entity, fields, name, rows) in [
        ("deal", "crm.deal.fields.json", "crm.deal.list.json", 6),
        ("deal", "crm.deal.fields.json", "crm.deal.list.start-minus-1.no-total.json", 2),
        ("deal", "crm.deal.fields.json", "crm.deal.get.json", 1),
        ("deal", "crm.deal.fields.json", "uf-values.classic.synthetic.json", 1),
        ("lead", "crm.lead.fields.json", "crm.lead.list.json", 2),
        ("lead", "crm.lead.fields.real.json", "crm.lead.list.page1.real.json", 50),
        ("lead", "crm.lead.fields.json", "crm.lead.get.json", 1),
        ("lead", "crm.lead.fields.json", "uf-values.file.lead.json", 1),
        ("contact", "crm.contact.fields.json", "crm.contact.list.json", 5),
        ("contact", "crm.contact.fields.json", "crm.contact.get.json", 1),
        ("company", "crm.company.fields.json", "crm.company.list.json", 1),
        ("company", "crm.company.fields.json", "crm.company.get.json", 1),
        ("company", "crm.company.fields.json", "uf-values.address.json", 1),
    ] {
        let dialect = EntityDialect::of(Dialect::Classic, entity.parse().unwrap());
        let metadata = metadata(&dialect, fields, None);
        let page = match result(name) {
            list @ Value::Array(_) => list,
            record => Value::from(vec![record]),
        };
        let batch = records(&dialect, entity, &metadata, &page);
        assert_eq!(batch.len(), rows, "{name}");
        assert_every_value_is_kept(&batch, page.as_array().unwrap(), name);
    }
}

/// Every value of a classic record is in its field or a stray.
fn assert_every_value_is_kept(batch: &RecordBatch, page: &[Value], name: &str) {
    for (row, record) in page.iter().enumerate() {
        for (key, value) in record.as_object().unwrap() {
            let field = batch.layout.fields().iter().position(|field| field.as_str() == key);
            let stray = || batch.strays().find(|(stray, _)| stray.row == row && stray.name == *key);
            let kept = match field {
                Some(field) => batch.value(row, field),
                None => stray().map(|(_, json)| json).or(value.is_null().then_some("null")),
            };
            let kept: Value = serde_json::from_str(kept.unwrap_or_else(|| panic!("{name}: {key} is lost"))).unwrap();
            assert_eq!(kept, *value, "{name} {key}");
        }
    }
}

#[test]
fn records_of_every_item_sample_are_read() {
    for (entity, name, ids) in [
        ("lead", "crm.item.list.json", vec![253, 255, 252, 254]),
        ("deal", "crm.item.list.spa-dateuf.real.json", vec![1, 2, 3]),
        ("deal", "crm.item.list.start-minus-1.total-zero.json", vec![101, 102]),
        ("deal", "crm.item.get.deal.json", vec![342]),
        ("lead", "crm.item.get.lead.json", vec![250]),
        ("deal", "crm.item.update.deal.json", vec![351]),
        ("deal", "uf-values.item.synthetic.json", vec![501]),
    ] {
        let dialect = EntityDialect::of(Dialect::Item, entity.parse().unwrap());
        let metadata = metadata(&dialect, "crm.item.fields.json", None);
        let result = result(name);
        let page = match result.get("item") {
            Some(item) => serde_json::json!({ "items": [item] }),
            None => result,
        };
        let batch = records(&dialect, entity, &metadata, &page);
        assert_eq!(batch.ids().iter().map(|id| id.get()).collect::<Vec<_>>(), ids, "{name}");
        for (stray, json) in batch.strays() {
            let noise = ["searchContent", "phone", "phoneWork", "emailWork", "entityTypeId", "fm", "contacts"];
            assert!(json != "null" && !noise.contains(&stray.name.as_str()), "{name}: {}", stray.name);
        }
    }
}

#[test]
fn a_record_without_an_id_is_no_record() {
    let dialect = EntityDialect::of(Dialect::Item, "deal".parse().unwrap());
    let metadata = metadata(&dialect, "crm.item.fields.json", None);
    let layout = Layout::new(Vec::new());
    let slots = Slots::new(&dialect, &metadata, &layout);
    let text = format!(r#"{{"result":{{"result":{{"p00":{}}}}}}}"#, result("crm.item.file-userfield.json"));
    let answer = decode_batch(&text, &slots).unwrap();
    assert_eq!(answer.records.page("p00").unwrap().fault, Some("a record came without a valid id"));
}
