//! The offline queue (Bitrix24 REST 11).

use std::collections::BTreeSet;

use b24sync_domain::application::OfflineBatch;
use b24sync_domain::entity::RecordId;
use b24sync_domain::event::{EventMeaning, Hint, Target};
use chrono::Utc;
use serde_json::value::RawValue;

use crate::envelope::Named;
use crate::lenient;

/// Whether the plan includes a feature, from `feature.get`.
pub(crate) fn is_included(result: &RawValue) -> Option<bool> {
    Named::of(result).get("value").and_then(lenient::boolean)
}

/// Reserved rows, from `event.offline.get`; nothing when there are none.
#[expect(clippy::option_option, reason = "the outer one is whether the answer makes sense")]
pub(crate) fn batch(result: &RawValue) -> Option<Option<OfflineBatch>> {
    let members = Named::of(result);
    let rows = members.get("events").map(Named::of)?;
    if rows.first().is_none() {
        return Some(None);
    }
    let process_id = members.get("process_id").and_then(lenient::text).filter(|id| !id.is_empty());
    let mut batch = OfflineBatch { process_id, hints: Vec::new(), blind: Vec::new(), unknown: 0 };
    for (_, row) in rows.iter() {
        note(&mut batch, row)?;
    }
    batch.blind.sort_by_key(|(entity, deleted)| (entity.type_id(), *deleted));
    batch.blind.dedup();
    Some(Some(batch))
}

fn note(batch: &mut OfflineBatch, row: &RawValue) -> Option<()> {
    let row = Named::of(row);
    let name = row.get("EVENT_NAME").and_then(lenient::text)?;
    // When it happened last; like the time of an event's sending it is not before the change.
    let sent_at = row.get("TIMESTAMP_X").and_then(lenient::instant).map(|at| at.with_timezone(&Utc));
    match EventMeaning::of(&name) {
        EventMeaning::Record { entity, deleted } => match row.get("EVENT_DATA").and_then(record) {
            Some(id) => batch.hints.push(Hint { entity, target: Target::Record(id), deleted, sent_at }),
            None => batch.blind.push((entity, deleted)),
        },
        EventMeaning::Fields(entity) => {
            batch.hints.push(Hint { entity, target: Target::Fields, deleted: false, sent_at });
        }
        EventMeaning::Application(_) | EventMeaning::Unknown => batch.unknown += 1,
    }
    Some(())
}

/// The id in the data, which may be `false`.
fn record(data: &RawValue) -> Option<RecordId> {
    let fields = Named::of(data).get("FIELDS").map(Named::of)?;
    RecordId::new(fields.get("ID").and_then(lenient::integer)?)
}

/// What rows are reserved under, from `event.offline.list`.
pub(crate) fn processes(result: &RawValue) -> Vec<String> {
    let process = |row: &RawValue| Named::of(row).get("PROCESS_ID").and_then(lenient::text);
    let processes = Named::of(result).iter().filter_map(|(_, row)| process(row)).collect::<BTreeSet<_>>();
    processes.into_iter().filter(|process| !process.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::Envelope;
    use crate::samples::sample;

    fn raw(json: &str) -> &RawValue {
        serde_json::from_str(json).unwrap()
    }

    fn rows(rows: &str) -> Option<OfflineBatch> {
        batch(raw(&format!(r#"{{"process_id":"p1","events":[{rows}]}}"#))).unwrap()
    }

    #[test]
    fn rows_become_hints_and_what_is_not_named_is_not_lost() {
        let read = rows(
            r#"{"TIMESTAMP_X":"2024-07-18T12:32:31+02:00","EVENT_NAME":"ONCRMDEALUPDATE","EVENT_DATA":{"FIELDS":{"ID":"7"}}},
            {"EVENT_NAME":"onCrmDealDelete","EVENT_DATA":{"FIELDS":{"ID":8}}},
            {"EVENT_NAME":"ONCRMLEADADD","EVENT_DATA":false},
            {"EVENT_NAME":"ONCRMLEADUPDATE","EVENT_DATA":[]},
            {"EVENT_NAME":"ONCRMLEADDELETE","EVENT_DATA":{"FIELDS":{"ID":"0"}}},
            {"EVENT_NAME":"ONCRMCONTACTUSERFIELDADD","EVENT_DATA":{"FIELDS":{"ID":"3"}}},
            {"EVENT_NAME":"ONCRMCURRENCYADD","EVENT_DATA":{"FIELDS":{"ID":"USD"}}}"#,
        );
        let read = read.unwrap();
        let hints: Vec<String> =
            read.hints.iter().map(|hint| format!("{} {} {}", hint.entity, hint.target, hint.deleted)).collect();
        assert_eq!(hints, ["deal 7 false", "deal 8 true", "contact fields false"]);
        assert_eq!(read.hints[0].sent_at, "2024-07-18T10:32:31Z".parse().ok());
        let blind: Vec<String> = read.blind.iter().map(|(entity, deleted)| format!("{entity} {deleted}")).collect();
        assert_eq!(blind, ["lead false", "lead true"]);
        assert_eq!((read.unknown, read.process_id.as_deref()), (1, Some("p1")));
    }

    #[test]
    fn rows_without_a_reservation_are_not_lost_and_no_rows_are_nothing() {
        assert_eq!(rows(""), None);
        assert_eq!(batch(raw(r#"{"process_id":null,"events":[]}"#)), Some(None));
        let text = sample("event.offline.get.json");
        let envelope: Envelope<'_> = serde_json::from_str(&text).unwrap();
        let unreserved = batch(envelope.result.unwrap()).unwrap().unwrap();
        assert_eq!((unreserved.process_id, unreserved.blind.len()), (None, 1));
        assert_eq!(batch(raw(r#"{"process_id":"p"}"#)), None);
        assert_eq!(batch(raw(r#"{"process_id":"p","events":[{"x":1}]}"#)), None);
    }

    #[test]
    fn the_samples_are_understood() {
        let text = sample("event.offline.list.json");
        let envelope: Envelope<'_> = serde_json::from_str(&text).unwrap();
        assert_eq!(processes(envelope.result.unwrap()), Vec::<String>::new());
        let listed = r#"[{"PROCESS_ID":"b"},{"PROCESS_ID":""},{"PROCESS_ID":"a"},{"PROCESS_ID":"b"},{}]"#;
        assert_eq!(processes(raw(listed)), ["a", "b"]);
        assert_eq!((is_included(raw(r#"{"value":"Y"}"#)), is_included(raw("[]"))), (Some(true), None));
    }
}
