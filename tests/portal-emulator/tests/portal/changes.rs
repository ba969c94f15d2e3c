//! Changes while the portal runs are visible in the next answer.

use b24sync_portal_emulator::{Counts, Dialect, Entity, Portal, PortalConfig, Truth, UserFieldSpec, UserType};
use serde_json::{Value, json};

use crate::client::{Bench, bench, ids};

fn deals() -> Bench {
    bench(PortalConfig { counts: Counts::deals(60), ..PortalConfig::default() })
}

fn get(bench: &Bench, id: i64) -> Value {
    bench.result("crm.deal.get", &json!({ "id": id }))
}

#[test]
fn the_same_seed_makes_the_same_portal() {
    let config = PortalConfig { counts: Counts::deals(300), ..PortalConfig::default() };
    let (one, other) = (Portal::new(config.clone()), Portal::new(config.clone()));
    let different = Portal::new(PortalConfig { seed: 25, ..config });
    assert_eq!(one.ids(Entity::Deal), other.ids(Entity::Deal));
    for id in one.ids(Entity::Deal) {
        assert_eq!(one.truth(Entity::Deal, id), other.truth(Entity::Deal, id));
    }
    assert_ne!(one.ids(Entity::Deal), different.ids(Entity::Deal));
}

#[test]
fn edits_are_seen_in_both_dialects() {
    let bench = deals();
    let portal = bench.portal();
    let id = portal.ids(Entity::Deal)[7];
    let before = portal.truth(Entity::Deal, id).unwrap();
    let changes = [
        ("TITLE", "Новое".into()),
        ("OPPORTUNITY", "12.50".into()),
        ("STAGE_ID", "WON".into()),
        ("COMPANY_ID", Truth::Null),
        ("CLOSEDATE", "2024-02-29".into()),
        ("NOPE", "x".into()),
    ];
    assert!(portal.edit(Entity::Deal, id, changes));
    assert!(!portal.edit(Entity::Deal, 1_000_000, [("TITLE", "x".into())]));
    let row = get(&bench, id);
    assert_eq!(row["TITLE"], "Новое");
    assert_eq!(row["OPPORTUNITY"], "12.50");
    assert_eq!((&row["STAGE_SEMANTIC_ID"], &row["CLOSED"]), (&json!("S"), &json!("Y")));
    assert_eq!(row["CLOSEDATE"], "2024-02-29T03:00:00+03:00");
    let item = bench.result("crm.item.get", &json!({"entityTypeId": 2, "id": id}))["item"].take();
    assert_eq!(item["opportunity"], json!(12.5));
    assert_eq!(item["stageId"], "WON");
    let after = portal.truth(Entity::Deal, id).unwrap();
    assert_eq!(after.fields["CLOSEDATE"], Truth::Date { y: 2024, m: 2, d: 29 });
    assert_ne!(before.fields["DATE_MODIFY"], after.fields["DATE_MODIFY"]);
    assert_eq!(before.fields["DATE_CREATE"], after.fields["DATE_CREATE"]);
}

#[test]
fn records_are_added_imported_deleted_and_restored() {
    let bench = deals();
    let portal = bench.portal();
    let last = *portal.ids(Entity::Deal).last().unwrap();
    let added = portal.add(Entity::Deal, [("TITLE", "added".into())]);
    let imported = portal.import_with_old_dates(Entity::Deal, [("TITLE", "old".into())], 1_500_000_000, 1_500_000_100);
    assert!(last < added && added < imported);
    let found =
        bench.result("crm.deal.list", &json!({"filter": {">ID": last}, "select": ["ID", "TITLE", "DATE_MODIFY"]}));
    assert_eq!(ids(&found), [added, imported]);
    assert_eq!(found[1]["DATE_MODIFY"], "2017-07-14T05:41:40+03:00");
    let stamp = &found[0]["DATE_MODIFY"];
    let window = bench.result("crm.deal.list", &json!({"filter": {">=DATE_MODIFY": stamp}, "select": ["ID"]}));
    assert_eq!(ids(&window), [added]);
    assert!(portal.delete(Entity::Deal, added) && !portal.delete(Entity::Deal, added));
    assert_eq!(bench.error("crm.deal.get", &json!({ "id": added })), (400, json!(""), "Not found".to_owned()));
    assert_eq!(bench.error("crm.item.get", &json!({"entityTypeId": 2, "id": added})).1, "NOT_FOUND");
    assert!(portal.restore(Entity::Deal, added) && !portal.restore(Entity::Deal, added));
    assert_eq!(get(&bench, added)["DATE_MODIFY"], *stamp);
    assert_eq!(portal.edit_random(Entity::Deal, 5, 1).len(), 5);
}

#[test]
fn write_methods_change_records() {
    let bench = deals();
    let fields = json!({"TITLE": "Via API", "OPPORTUNITY": "10.5", "ID": 5, "CONTACT_IDS": [7, 9]});
    let id = bench.result("crm.deal.add", &json!({ "fields": fields })).as_i64().unwrap();
    let row = get(&bench, id);
    assert_eq!((&row["TITLE"], &row["STAGE_ID"], &row["CONTACT_ID"]), (&json!("Via API"), &json!("NEW"), &json!("7")));
    assert!(["", "null"].contains(&row["COMMENTS"].as_str().unwrap_or("null")));
    let changed = bench.result("crm.deal.update", &json!({"id": id, "fields": {"TITLE": "Again"}}));
    assert_eq!((changed, get(&bench, id)["TITLE"].clone()), (json!(true), json!("Again")));
    let item = bench.result("crm.item.add", &json!({"entityTypeId": 2, "fields": {"title": "Item", "opportunity": 5}}));
    let item_id = item["item"]["id"].as_i64().unwrap();
    let params = json!({"entityTypeId": 2, "id": item_id, "fields": {"stageId": "LOSE", "contactIds": [3]}});
    let item = bench.result("crm.item.update", &params)["item"].take();
    assert_eq!((&item["closed"], &item["contactIds"], &item["title"]), (&json!("Y"), &json!([3]), &json!("Item")));
    assert_eq!(bench.result("crm.item.delete", &json!({"entityTypeId": 2, "id": item_id})), json!([]));
    assert_eq!(bench.result("crm.deal.delete", &json!({ "id": id })), json!(true));
    assert_eq!(bench.error("crm.deal.delete", &json!({ "id": id })).2, "Not found");
    let phone = json!({"NAME": "Anna", "PHONE": [{"VALUE": "+100", "VALUE_TYPE": "HOME"}]});
    let contact = bench.result("crm.contact.add", &json!({ "fields": phone }));
    let row = bench.result("crm.contact.get", &json!({ "id": contact }));
    assert_eq!((&row["PHONE"][0]["VALUE"], &row["HAS_PHONE"]), (&json!("+100"), &json!("Y")));
}

#[test]
fn user_fields_come_go_and_change() {
    let bench = deals();
    let portal = bench.portal();
    let id = portal.ids(Entity::Deal)[0];
    let spec = UserFieldSpec::new(UserType::Money, "Бюджет").named("UF_CRM_3_DIGIT");
    let name = portal.add_user_field(Entity::Deal, &spec);
    assert_eq!(name, "UF_CRM_3_DIGIT");
    let described = bench.result("crm.deal.fields", &json!({}))[&name].take();
    assert_eq!((&described["type"], &described["listLabel"]), (&json!("money"), &json!("Бюджет")));
    let item_fields = bench.result("crm.item.fields", &json!({"entityTypeId": 2}));
    assert_eq!(item_fields["fields"]["ufCrm3Digit"]["upperName"], name.as_str());
    portal.edit(Entity::Deal, id, [(name.as_str(), "10.50|EUR".into())]);
    assert_eq!(get(&bench, id)[&name], "10.50|EUR");
    let money = Truth::Money { amount: "10.50".to_owned(), currency: Some("EUR".to_owned()) };
    assert_eq!(portal.truth(Entity::Deal, id).unwrap().fields[&name], money);
    assert!(portal.rename_label(Entity::Deal, &name, "Смета"));
    assert!(portal.make_multiple(Entity::Deal, &name, true));
    assert!(portal.retype_user_field(Entity::Deal, &name, UserType::Enumeration));
    let described = bench.result("crm.deal.fields", &json!({}))[&name].take();
    assert_eq!((&described["type"], &described["isMultiple"]), (&json!("enumeration"), &json!(true)));
    assert_eq!((&described["listLabel"], described["items"].as_array().unwrap().len()), (&json!("Смета"), 5));
    assert_eq!(portal.truth(Entity::Deal, id).unwrap().fields[&name], Truth::List(Vec::new()));
    assert!(portal.remove_user_field(Entity::Deal, &name) && !portal.remove_user_field(Entity::Deal, &name));
    assert!(get(&bench, id).get(&name).is_none());
    assert!(!portal.remove_user_field(Entity::Deal, "TITLE"));
    let filled = UserFieldSpec::new(UserType::Integer, "N").multiple().filled();
    let name = portal.add_user_field(Entity::Deal, &filled);
    let full = portal
        .ids(Entity::Deal)
        .into_iter()
        .filter(|id| !portal.truth(Entity::Deal, *id).unwrap().fields[&name].is_empty());
    assert!(full.count() > 5);
}

#[test]
fn the_first_user_fields_cover_every_type_both_ways() {
    let portal = Portal::new(PortalConfig::default());
    for entity in Entity::ALL {
        let fields = portal.fields_truth(entity);
        for user_type in UserType::ALL {
            for multiple in [false, true] {
                let covers = |field: &b24sync_portal_emulator::TrueField| {
                    field.user && field.kind == user_type.name() && field.multiple == multiple
                };
                assert!(fields.iter().any(covers), "{entity:?} {user_type:?} {multiple}");
            }
        }
        let undelivered = fields.iter().filter(|field| !field.delivered_by(Dialect::Classic)).count();
        assert!(undelivered > 0);
    }
}

#[test]
fn readers_and_writers_do_not_block_each_other() {
    let bench = deals();
    let portal = bench.portal();
    let id = portal.ids(Entity::Deal)[0];
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..40 {
                    let result = bench.result("batch", &json!({"cmd": {"a": "crm.deal.list", "b": "scope"}}));
                    assert_eq!(result["result_error"], json!([]));
                }
            });
        }
        for step in 0..400_i64 {
            portal.edit(Entity::Deal, id, [("TITLE", step.to_string().into())]);
            portal.set_scopes(["crm"]);
            portal.add_user_field(Entity::Deal, &UserFieldSpec::new(UserType::String, "more").named("UF_CRM_MORE"));
            portal.remove_user_field(Entity::Deal, "UF_CRM_MORE");
        }
    });
    assert_eq!(get(&bench, id)["TITLE"], "399");
    assert!(portal.stats().peak_in_flight >= 1);
}
