//! Outgoing webhooks: which changes make which events, and what their bodies look like.

use std::time::Duration;

use b24sync_portal_emulator::{
    ClockSource, Counts, Entity, OutgoingWebhook, Portal, PortalConfig, Truth, UserFieldSpec, UserType,
};
use serde_json::json;

use crate::client::{Bench, bench};
use crate::handler::{Handler, pairs};

const TOKEN: &str = "0000000000000000000000000000beef";

fn every_event() -> Vec<String> {
    let mut events = vec!["ONCRMDEALMOVETOCATEGORY".to_owned(), "ONAPPTEST".to_owned()];
    for entity in ["DEAL", "LEAD", "CONTACT", "COMPANY"] {
        for verb in ["ADD", "UPDATE", "DELETE", "USERFIELDADD", "USERFIELDUPDATE", "USERFIELDDELETE"] {
            events.push(format!("ONCRM{entity}{verb}"));
        }
        events.push(format!("onCrm{entity}UserFieldSetEnumValues"));
    }
    events
}

fn webhook(handler: &Handler) -> OutgoingWebhook {
    OutgoingWebhook {
        handler_url: handler.url("/hook?a=b"),
        events: every_event(),
        application_token: TOKEN.to_owned(),
    }
}

fn small() -> (Bench, Handler) {
    let counts = Counts { deals: 20, leads: 5, contacts: 5, companies: 5 };
    let bench = bench(PortalConfig { counts, ..PortalConfig::default() });
    let handler = Handler::start();
    bench.portal().add_outgoing_webhook(webhook(&handler));
    (bench, handler)
}

fn settled(portal: &Portal) {
    assert!(portal.wait_for_deliveries(Duration::from_secs(20)), "{:?}", portal.deliveries());
}

fn named(name: &str, id: i64) -> (String, i64) {
    (name.to_owned(), id)
}

#[test]
fn a_body_has_the_shape_of_the_sample() {
    let handler = Handler::start();
    let counts = Counts::deals(3);
    let bench = bench(PortalConfig { counts, clock: ClockSource::Fixed(1_790_000_000), ..PortalConfig::default() });
    let portal = bench.portal();
    let handler_id = portal.add_outgoing_webhook(webhook(&handler));
    let id = portal.ids(Entity::Deal)[0];
    portal.pause_delivery(true);
    portal.edit(Entity::Deal, id, [("TITLE", "x".into())]);
    portal.clock().advance(Duration::from_secs(60));
    portal.pause_delivery(false);
    settled(portal);
    let received = handler.received().remove(0);
    assert!(received.head.starts_with("POST /hook?a=b HTTP/1.1\r\n"), "{}", received.head);
    assert!(received.head.contains("Content-Type: application/x-www-form-urlencoded\r\n"));
    let sample = include_str!("../../fixtures/events/webhook.ONCRMDEALUPDATE.txt").trim();
    let names = |form: &str| form.split('&').map(|pair| pair.split_once('=').unwrap().0.to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&received.body), names(sample));
    let domain = format!("127.0.0.1:{}", bench.running.port());
    let endpoint = format!("http://{domain}/rest/");
    let wanted = [
        ("event", "ONCRMDEALUPDATE"),
        ("event_handler_id", &handler_id.to_string()),
        ("data[FIELDS][ID]", &id.to_string()),
        // The moment of sending, not that of the change.
        ("ts", "1790000060"),
        ("auth[domain]", &domain),
        ("auth[client_endpoint]", &endpoint),
        ("auth[server_endpoint]", &endpoint),
        ("auth[member_id]", portal.member_id()),
        ("auth[application_token]", TOKEN),
    ];
    assert_eq!(received.pairs(), wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(pairs(sample).len(), wanted.len());
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(portal.member_id().len() == 32 && is_hex(portal.member_id()));
}

#[test]
fn every_way_to_change_a_record_makes_its_event() {
    let (bench, handler) = small();
    let portal = bench.portal();
    let [first, second, third] = portal.ids(Entity::Deal)[..3] else { panic!("too few deals") };
    portal.edit(Entity::Deal, first, [("TITLE", "x".into())]);
    portal.bulk_edit_in_one_second(Entity::Deal, &[second, third, 999_999]);
    let added = portal.add(Entity::Contact, [("NAME", "Anna".into())]);
    let imported = portal.import_with_old_dates(Entity::Lead, [], 1_500_000_000, 1_500_000_000);
    let random = portal.edit_random(Entity::Company, 1, 5);
    portal.delete(Entity::Contact, added);
    portal.restore(Entity::Contact, added);
    // Nothing changes, nothing is told.
    portal.edit(Entity::Deal, 999_999, [("TITLE", "x".into())]);
    portal.delete(Entity::Deal, 999_999);
    portal.restore(Entity::Deal, first);
    portal.hide(Entity::Deal, &[first]);
    portal.unhide(Entity::Deal);
    settled(portal);
    let mut told = handler.events();
    let mut wanted = vec![
        named("ONCRMDEALUPDATE", first),
        named("ONCRMDEALUPDATE", second),
        named("ONCRMDEALUPDATE", third),
        named("ONCRMCONTACTADD", added),
        named("ONCRMLEADADD", imported),
        named("ONCRMCOMPANYUPDATE", random[0]),
        named("ONCRMCONTACTDELETE", added),
        named("ONCRMCONTACTADD", added),
    ];
    let mut ok = portal.answered_ok();
    for list in [&mut told, &mut wanted, &mut ok] {
        list.sort();
    }
    assert_eq!(told, wanted);
    assert_eq!(ok, wanted);
}

#[test]
fn writes_through_the_api_make_events_too() {
    let (bench, handler) = small();
    bench.portal().set_delivery_plan(b24sync_portal_emulator::DeliveryPlan { parallel: 1, ..Default::default() });
    let deal = bench.result("crm.deal.add", &json!({"fields": {"TITLE": "x"}})).as_i64().unwrap();
    bench.result("crm.deal.update", &json!({"id": deal, "fields": {"TITLE": "y"}}));
    bench.result("crm.deal.delete", &json!({ "id": deal }));
    let item = bench.result("crm.item.add", &json!({"entityTypeId": 4, "fields": {"title": "Item"}}));
    let company = item["item"]["id"].as_i64().unwrap();
    let commands = json!({
        "a": format!("crm.item.update?entityTypeId=4&id={company}&fields[title]=z"),
        "b": format!("crm.item.delete?entityTypeId=4&id={company}"),
        "c": "crm.item.delete?entityTypeId=4&id=999999",
    });
    bench.result("batch", &json!({ "cmd": commands }));
    settled(bench.portal());
    let wanted = [
        named("ONCRMDEALADD", deal),
        named("ONCRMDEALUPDATE", deal),
        named("ONCRMDEALDELETE", deal),
        named("ONCRMCOMPANYADD", company),
        named("ONCRMCOMPANYUPDATE", company),
        named("ONCRMCOMPANYDELETE", company),
    ];
    assert_eq!(handler.events(), wanted);
}

#[test]
fn a_deal_that_changes_its_funnel_is_not_told_to_webhooks() {
    let (bench, handler) = small();
    let portal = bench.portal();
    let id = portal.ids(Entity::Deal)[0];
    portal.edit(Entity::Deal, id, [("CATEGORY_ID", Truth::Reference(0)), ("STAGE_ID", "NEW".into())]);
    portal.edit(Entity::Deal, id, [("CATEGORY_ID", Truth::Reference(0)), ("STAGE_ID", "WON".into())]);
    settled(portal);
    let before = handler.events();
    portal.edit(Entity::Deal, id, [("CATEGORY_ID", Truth::Reference(9)), ("STAGE_ID", "C9:NEW".into())]);
    bench.result("crm.item.update", &json!({"entityTypeId": 2, "id": id, "fields": {"categoryId": 1}}));
    settled(portal);
    assert_eq!(handler.events(), before);
    assert_eq!(before.last(), Some(&named("ONCRMDEALUPDATE", id)));
    assert_eq!(portal.truth(Entity::Deal, id).unwrap().fields["CATEGORY_ID"], Truth::Reference(1));
}

#[test]
fn definitions_of_user_fields_make_events() {
    let (bench, handler) = small();
    let portal = bench.portal();
    portal.set_delivery_plan(b24sync_portal_emulator::DeliveryPlan { parallel: 1, ..Default::default() });
    let spec = UserFieldSpec::new(UserType::Enumeration, "Отрасль").named("UF_CRM_NEW");
    portal.add_user_field(Entity::Deal, &spec);
    portal.add_user_field(Entity::Deal, &spec);
    portal.rename_label(Entity::Deal, "UF_CRM_NEW", "Сфера");
    portal.rename_label(Entity::Deal, "UF_CRM_OTHER", "nothing");
    portal.make_multiple(Entity::Deal, "UF_CRM_NEW", true);
    portal.retype_user_field(Entity::Deal, "UF_CRM_NEW", UserType::String);
    portal.remove_user_field(Entity::Deal, "UF_CRM_NEW");
    settled(portal);
    let names: Vec<_> = handler.events().into_iter().map(|(name, _)| name).collect();
    let wanted = ["ADD", "SETENUMVALUES", "UPDATE", "UPDATE", "DELETE", "ADD", "DELETE"];
    assert_eq!(names, wanted.map(|verb| format!("ONCRMDEALUSERFIELD{verb}")));
    let received = handler.received().remove(0);
    assert_eq!(received.get("data[FIELDS][ENTITY_ID]").as_deref(), Some("CRM_DEAL"));
    assert_eq!(received.get("data[FIELDS][FIELD_NAME]").as_deref(), Some("UF_CRM_NEW"));
    assert!(received.event().1 > 0);
}

#[test]
fn a_webhook_gets_only_the_events_it_names_until_it_is_removed() {
    let (bench, everything) = small();
    let (portal, picky) = (bench.portal(), Handler::start());
    let events = vec!["onCrmLeadUpdate".to_owned()];
    portal.add_outgoing_webhook(OutgoingWebhook { events, ..webhook(&picky) });
    let (deal, lead) = (portal.ids(Entity::Deal)[0], portal.ids(Entity::Lead)[0]);
    portal.edit(Entity::Deal, deal, [("TITLE", "x".into())]);
    portal.edit(Entity::Lead, lead, [("TITLE", "x".into())]);
    settled(portal);
    assert_eq!(picky.events(), [named("ONCRMLEADUPDATE", lead)]);
    assert_eq!(everything.events().len(), 2);
    portal.remove_outgoing_webhooks();
    portal.edit(Entity::Lead, lead, [("TITLE", "y".into())]);
    settled(portal);
    assert_eq!((picky.events().len(), everything.events().len()), (1, 2));
}

#[test]
fn an_address_for_others_can_be_given() {
    let handler = Handler::start();
    let public_url = Some("https://proxy.example:8443/".to_owned());
    let config = PortalConfig { counts: Counts::deals(1), public_url, ..PortalConfig::default() };
    let bench = bench(PortalConfig { member_id: "f".repeat(32), ..config });
    let portal = bench.portal();
    portal.add_outgoing_webhook(webhook(&handler));
    portal.edit(Entity::Deal, portal.ids(Entity::Deal)[0], [("TITLE", "x".into())]);
    settled(portal);
    let received = handler.received().remove(0);
    assert_eq!(received.get("auth[domain]").as_deref(), Some("proxy.example:8443"));
    assert_eq!(received.get("auth[client_endpoint]").as_deref(), Some("https://proxy.example:8443/rest/"));
    assert_eq!(received.get("auth[member_id]").as_deref(), Some("ffffffffffffffffffffffffffffffff"));
}
