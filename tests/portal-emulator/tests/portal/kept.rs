//! A portal that keeps rows answers as one that does not.

use b24sync_portal_emulator::{Counts, Entity, PortalConfig, Truth, UserFieldSpec, UserType};
use serde_json::{Value, json};

use crate::client::{Bench, bench};

fn portal(keep_rows: bool) -> Bench {
    let counts = Counts { deals: 120, contacts: 70, leads: 70, companies: 0 };
    bench(PortalConfig { counts, keep_rows, ..PortalConfig::default() })
}

/// The answers to lists of all kinds, as text: a difference in order counts.
fn lists(bench: &Bench) -> Vec<String> {
    let mut answers = Vec::new();
    for start in [-1, 0, 50] {
        for entity in ["deal", "contact", "lead"] {
            let method = format!("crm.{entity}.list");
            for select in [json!([]), json!(["*", "UF_*"]), json!(["ID", "TITLE", "NAME"])] {
                answers.push((method.clone(), json!({ "select": select, "start": start })));
            }
        }
        for type_id in [1, 2, 3] {
            let item = |params: Value| ("crm.item.list".to_owned(), params);
            answers.push(item(json!({ "entityTypeId": type_id, "start": start })));
            answers.push(item(json!({ "entityTypeId": type_id, "start": start, "useOriginalUfNames": "Y" })));
            let select = json!(["*", "UF_*"]);
            answers.push(item(
                json!({ "entityTypeId": type_id, "start": start, "select": select, "useOriginalUfNames": "Y" }),
            ));
            answers.push(item(json!({ "entityTypeId": type_id, "start": start, "select": ["id", "title"] })));
        }
    }
    answers.iter().map(|(method, params)| bench.result(method, params).to_string()).collect()
}

/// Replaces the tokens of files, which no two answers share.
fn without_tokens(text: &str) -> String {
    let mut parts = text.split("FAKE");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| format!("{text}FAKE{}", part.split_at(12).1))
}

#[test]
fn no_answer_shows_whether_rows_are_kept() {
    let (plain, keeping) = (portal(false), portal(true));
    let same = |what: &str| {
        let (expected, found) = (lists(&plain), lists(&keeping));
        for (expected, found) in expected.iter().zip(&found) {
            assert_eq!(without_tokens(expected), without_tokens(found), "{what}");
        }
    };
    same("at first");
    same("from what is kept");
    let now = 1_770_000_000;
    for portal in [plain.portal(), keeping.portal()] {
        portal.clock().freeze_at(now);
        let ids = portal.ids(Entity::Deal);
        portal.edit(Entity::Deal, ids[3], [("TITLE", "новое название".into())]);
        portal.delete(Entity::Deal, ids[7]);
        portal.add(Entity::Deal, [("TITLE", Truth::from("added"))]);
    }
    same("after edits");
    for portal in [plain.portal(), keeping.portal()] {
        let ids = portal.ids(Entity::Deal);
        portal.edit(Entity::Deal, ids[3], [("TITLE", "и ещё одно".into())]);
        let name = Some("UF_CRM_LATER".to_owned());
        let spec = UserFieldSpec {
            user_type: UserType::Enumeration,
            multiple: false,
            label: "Later".to_owned(),
            name,
            filled: true,
        };
        portal.add_user_field(Entity::Deal, &spec);
    }
    same("with another field");
    for portal in [plain.portal(), keeping.portal()] {
        portal.set_times(b24sync_portal_emulator::Times { user_zone_shift_seconds: 3_600, ..portal.times() });
    }
    same("in another zone");
}

#[test]
fn tokens_of_files_are_new_in_each_answer() {
    let bench = portal(true);
    let tokens = || -> Vec<String> {
        let answers = lists(&bench).concat();
        answers.split("auth=FAKE").skip(1).map(|part| part.split_at(12).0.to_owned()).collect()
    };
    let (first, second) = (tokens(), tokens());
    assert!(!first.is_empty());
    assert!(first.iter().all(|token| !second.contains(token)));
}
