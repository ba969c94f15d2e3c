//! What holds for whoever reads what comes from outside, whatever it is. Panics where it does not.
//!
//! For the fuzz targets in `fuzz/`, and for the tests that replay what they have found. Nothing here is used by the
//! program.
#![allow(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::allow_attributes,
    reason = "a law that is broken panics; not every lint fires in every build of this module"
)]

use std::collections::HashSet;
use std::sync::LazyLock;

use b24sync_domain::entity::EntityType;
use b24sync_domain::error::Chain;
use b24sync_domain::field::{FieldKind, FieldName};
use b24sync_domain::mapping::column::{choose_name, is_reserved};
use b24sync_domain::mapping::value::{Cell, convert};
use b24sync_domain::record::{Layout, ReadToken, RecordBatch};
use chrono::{DateTime, FixedOffset};
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use url::Url;

use crate::body;
use crate::config::Dialect;
use crate::decode::{BatchHead, Slots, decode_batch};
use crate::dialect::EntityDialect;
use crate::envelope::{self, Envelope, Named};
use crate::error;
use crate::fields::{self, Metadata};
use crate::lenient;
use crate::oauth;
use crate::redirect::{self, Redirect};
use crate::webhook::WebhookUrl;

/// Levels of nesting that an answer may have.
const MAX_DEPTH: usize = 64;

/// Bytes of a message that quotes the portal.
const LONGEST_MESSAGE: usize = 4_096;

/// Every kind that a value can be converted as.
const KINDS: [FieldKind; 18] = [
    FieldKind::Text,
    FieldKind::Enumeration,
    FieldKind::Status,
    FieldKind::Url,
    FieldKind::Address,
    FieldKind::Other,
    FieldKind::Integer,
    FieldKind::Category,
    FieldKind::Double,
    FieldKind::Money,
    FieldKind::Boolean,
    FieldKind::DateTime,
    FieldKind::Date,
    FieldKind::Currency,
    FieldKind::Reference,
    FieldKind::File,
    FieldKind::Multifield,
    FieldKind::Object,
];

/// Reads `bytes` as an answer to one call and to a batch of lists, in both dialects.
pub fn of_an_answer(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if !body::is_shallow(text, MAX_DEPTH) {
        return;
    }
    if let Ok(envelope) = serde_json::from_str::<Envelope<'_>>(text) {
        of_an_envelope(&envelope);
    }
    for known in &*KNOWN {
        of_a_batch(text, known);
    }
}

/// Reads `bytes` as a description of fields, in both dialects, and gives each field its column.
pub fn of_fields(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if !body::is_shallow(text, MAX_DEPTH) {
        return;
    }
    let Ok(result) = serde_json::from_str::<&RawValue>(text) else { return };
    for dialect in [Dialect::Item, Dialect::Classic] {
        let dialect = EntityDialect::of(dialect, deal());
        let Some(metadata) = fields::decode(&dialect, result, Some(result)) else { continue };
        let descriptions = metadata.descriptions();
        assert!(!descriptions.is_empty(), "a description without a field is none");
        let mut names = HashSet::new();
        let mut taken = HashSet::new();
        for field in &descriptions {
            assert!(names.insert(field.name.clone()), "{:?} is described twice", field.name);
            of_a_column(field.name.as_str(), &mut taken);
        }
        let layout = Layout::new(descriptions.into_iter().map(|field| field.name).collect());
        let selected = metadata.select(&dialect, &layout);
        assert!(!selected.is_empty(), "a list asks for something");
    }
}

/// Reads `bytes` as a status and what an authorisation server answered with it.
pub fn of_tokens(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    let status = [200, 400, 401, 403, 429, 500, 503][usize::from(first % 7)];
    let Ok(text) = std::str::from_utf8(rest) else { return };
    oauth::laws_of_an_answer(status, text);
}

/// Reads `bytes` as the address that a redirect leads to, and as the address of a webhook.
pub fn of_an_address(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for old in ["https://old.bitrix24.com/rest/1/c0de/", "https://crm.example.com/rest/1/c0de/"] {
        let base = Url::parse(old).unwrap();
        if let Redirect::Follow(new) = redirect::judge(&base, "batch", text, false) {
            of_a_move(&base, &new);
        }
    }
    if let Ok(webhook) = WebhookUrl::parse(text) {
        let address = webhook.expose().unwrap();
        let code = crate::webhook::code(&address).unwrap();
        assert!(!code.is_empty() && code.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert!(address.path().starts_with("/rest/") && address.path().ends_with('/'));
        assert!(address.username().is_empty() && address.password().is_none() && address.query().is_none());
        let path = address.path().to_owned();
        assert!(!format!("{webhook:?} {}", webhook.host()).contains(&path), "the address shows");
    }
}

/// A portal that has moved is itself under another name: the same path, https, and a host of Bitrix24 or of the same
/// owner.
fn of_a_move(base: &Url, new: &Url) {
    assert_eq!((new.scheme(), new.path()), ("https", base.path()), "{new}");
    assert!(new.username().is_empty() && new.password().is_none() && new.query().is_none(), "{new}");
    assert!(b24sync_public_address::literal(new).is_none(), "{new} is an address");
    let host = new.host_str().unwrap();
    let of_bitrix = host.split('.').any(|label| label == "bitrix24");
    let of_the_same =
        base.host_str().unwrap().ends_with("example.com") && (host == "example.com" || host.ends_with(".example.com"));
    assert!(of_bitrix || of_the_same || Some(host) == base.host_str(), "{new} is a stranger");
    assert!(!crate::webhook::is_loopback(new), "{new} is this machine");
}

/// An entity as it is described in the samples.
struct Known {
    dialect: EntityDialect,
    metadata: Metadata,
}

static KNOWN: LazyLock<[Known; 2]> = LazyLock::new(|| {
    [
        (Dialect::Item, include_str!("../tests/fixtures/crm.item.fields.json")),
        (Dialect::Classic, include_str!("../tests/fixtures/crm.deal.fields.json")),
    ]
    .map(|(dialect, sample)| {
        let dialect = EntityDialect::of(dialect, deal());
        let envelope: Envelope<'_> = serde_json::from_str(sample).unwrap();
        let metadata = fields::decode(&dialect, envelope.result.unwrap(), None).unwrap();
        Known { dialect, metadata }
    })
});

fn deal() -> EntityType {
    "deal".parse().unwrap()
}

fn of_an_envelope(envelope: &Envelope<'_>) {
    let time = envelope.time();
    for number in [time.operating, time.answered].into_iter().flatten() {
        assert!(number.is_finite());
    }
    if let Some(refusal) = envelope.refusal() {
        for status in [None, Some(200), Some(400), Some(401), Some(503)] {
            let failure = error::classify("batch", status, &refusal, time.resets_at);
            let message = format!("{} {}", Chain(&failure.error), error::say(&refusal));
            assert!(message.len() <= LONGEST_MESSAGE, "{} bytes of a message", message.len());
            assert!(!message.contains(char::is_control), "a message that can forge a line of the log");
        }
    }
    if let Some(result) = envelope.result {
        for (_, entry) in Named::of(result).iter() {
            let refusal = envelope::command_refusal(entry);
            error::classify("batch", None, &refusal, None);
            lenient::boolean(entry);
            lenient::epoch(entry);
        }
    }
}

fn of_a_batch(text: &str, known: &Known) {
    let fields: Vec<FieldName> = known.metadata.descriptions().into_iter().map(|field| field.name).collect();
    let layout = Layout::new(fields);
    let slots = Slots::new(&known.dialect, &known.metadata, &layout);
    let Ok(answer) = decode_batch(text, &slots) else { return };
    let rows = answer.records.ids.len();
    let mut last = 0;
    for page in &answer.records.pages {
        assert!(page.rows.start == last && page.rows.end >= last, "pages follow each other");
        last = page.rows.end;
        assert_eq!(answer.records.page_ids(page).len(), page.rows.len());
    }
    assert!(last <= rows, "a page has rows that are there");
    let head = BatchHead {
        entity: deal(),
        layout,
        token: ReadToken(1),
        source_time: DateTime::UNIX_EPOCH.fixed_offset(),
        text: text.to_owned(),
    };
    let batch = answer.records.into_batch(0..rows, false, head);
    assert_eq!(batch.len(), rows);
    of_records(&batch, known.metadata.fields.len());
}

fn of_records(batch: &RecordBatch, fields: usize) {
    for (row, id) in batch.ids().iter().enumerate() {
        assert!(id.get() > 0);
        let _ = batch.modified(row);
        for field in 0..fields {
            if let Some(value) = batch.value(row, field) {
                of_a_value(value);
            }
        }
    }
    for (stray, value) in batch.strays() {
        of_a_value(value);
        assert!(stray.row < batch.len(), "a value belongs to a record");
    }
}

/// A value is JSON, and whatever its field's kind, what comes of it can be stored.
fn of_a_value(value: &str) {
    assert!(serde_json::from_str::<IgnoredAny>(value).is_ok(), "{value:?} is no value");
    let offset = FixedOffset::east_opt(3 * 3_600).unwrap();
    for kind in KINDS {
        for multiple in [false, true] {
            let Ok(converted) = convert(kind, multiple, value, offset) else { continue };
            for cell in [Some(converted.cell), converted.currency].into_iter().flatten() {
                of_a_cell(&cell);
            }
        }
    }
}

fn of_a_cell(cell: &Cell<'_>) {
    match cell {
        Cell::Text(text) => assert!(!text.contains('\0'), "U+0000 cannot be stored"),
        Cell::Json(json) => {
            assert!(serde_json::from_str::<IgnoredAny>(json).is_ok(), "{json:?} is no JSON");
            // Neither as it is nor escaped; a backslash that is escaped itself escapes nothing.
            assert!(!json.contains('\0') && !json.replace(r"\\", "").contains(r"\u0000"), "{json:?} cannot be stored");
        }
        Cell::Decimal(number) => {
            let plain = |byte: u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E');
            assert!(!number.is_empty() && number.bytes().all(plain), "{number:?} is no number");
        }
        Cell::Null | Cell::Integer(_) | Cell::Boolean(_) | Cell::Instant(_) | Cell::Date(_) => {}
    }
}

/// A field's column is an identifier of its own, whatever the field is called.
fn of_a_column(field: &str, taken: &mut HashSet<String>) {
    let name = choose_name(field, taken);
    let text = name.as_str();
    assert!((1..=63).contains(&text.len()) && text.starts_with(|first: char| first.is_ascii_lowercase()), "{text:?}");
    assert!(text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'), "{text:?}");
    assert!(!is_reserved(text), "{text:?} is not to be given away");
    assert!(taken.insert(text.to_owned()), "{text:?} is given twice");
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    fn files(directory: &str) -> Vec<Vec<u8>> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
        let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        let files: Vec<_> = entries.filter(|path| path.is_file()).map(|path| fs::read(path).unwrap()).collect();
        assert!(!files.is_empty());
        files
    }

    #[test]
    fn the_laws_hold_for_what_was_found_by_fuzzing() {
        type Law = fn(&[u8]);
        let laws: [(&str, Law); 4] =
            [("answer", of_an_answer), ("fields", of_fields), ("tokens", of_tokens), ("address", of_an_address)];
        for (corpus, law) in laws {
            for bytes in files(&format!("../../fuzz/corpus/{corpus}")) {
                law(&bytes);
            }
        }
    }

    #[test]
    fn the_laws_hold_for_real_answers_and_for_those_that_are_cut() {
        for bytes in files("tests/fixtures") {
            of_an_answer(&bytes);
            of_fields(&bytes);
            for part in 1..20 {
                of_an_answer(&bytes[..bytes.len() * part / 20]);
            }
        }
    }
}
