//! Who is refused, and with which code.

use b24sync_portal_emulator::{Entity, Fault, FaultPlan, KNOWN_ERRORS, PortalConfig};
use serde_json::{Value, json};

use crate::client::{Bench, bench, ids};

fn code(bench: &Bench, method: &str, params: &Value) -> (u16, Value) {
    let (status, code, _) = bench.error(method, params);
    (status, code)
}

#[test]
fn a_wrong_or_revoked_webhook_is_401() {
    let bench = bench(PortalConfig::default());
    let wanted = json!({"error": "NO_AUTH_FOUND", "error_description": "Wrong authorization data"});
    for path in ["/rest/1/wrong/crm.deal.list", "/rest/2/f4k3w3bh00kc0d3x/crm.deal.list"] {
        let reply = bench.send("POST", path, "application/json", "{}").unwrap();
        assert_eq!((reply.status, reply.json()), (401, wanted.clone()));
    }
    bench.portal().revoke_webhook();
    assert_eq!(code(&bench, "profile", &json!({})), (401, json!("NO_AUTH_FOUND")));
    bench.portal().reinstate_webhook();
    assert_eq!(bench.call("profile", &json!({})).status, 200);
    assert_eq!(bench.send("GET", "/", "text/plain", "").unwrap().status, 404);
}

#[test]
fn methods_without_their_scope_application_or_existence_are_refused() {
    let bench = bench(PortalConfig::default());
    assert_eq!(code(&bench, "crm.nope.list", &json!({})), (404, json!("ERROR_METHOD_NOT_FOUND")));
    assert_eq!(code(&bench, "crm.deal.explode", &json!({})), (404, json!("ERROR_METHOD_NOT_FOUND")));
    for method in ["event.bind", "event.get", "event.unbind", "app.info"] {
        assert_eq!(code(&bench, method, &json!({})), (403, json!("WRONG_AUTH_TYPE")), "{method}");
    }
    bench.portal().set_scopes(["user"]);
    assert_eq!(code(&bench, "crm.deal.list", &json!({})), (403, json!("insufficient_scope")));
    assert_eq!(bench.result("scope", &json!({})), json!(["user"]));
    let method = bench.result("method.get", &json!({"name": "crm.deal.list"}));
    assert_eq!(method, json!({"isExisting": true, "isAvailable": false}));
    let known = bench.result("methods", &json!({}));
    assert!(known.as_array().unwrap().contains(&json!("crm.company.userfield.list")));
}

#[test]
fn a_user_without_rights_sees_nothing() {
    let bench = bench(PortalConfig::default());
    let portal = bench.portal();
    let all = portal.ids(Entity::Deal);
    portal.hide(Entity::Deal, &all[..10]);
    let visible = bench.answer("crm.deal.list", &json!({"select": ["ID"]}));
    assert_eq!((ids(&visible["result"])[0], &visible["total"]), (all[10], &json!(all.len() - 10)));
    assert_eq!(bench.error("crm.deal.get", &json!({"id": all[0]})), (400, json!(""), "Access denied.".to_owned()));
    assert_eq!(code(&bench, "crm.item.get", &json!({"entityTypeId": 2, "id": all[0]})), (400, json!("ACCESS_DENIED")));
    portal.hide_all(Entity::Deal);
    assert_eq!(bench.result("crm.item.list", &json!({"entityTypeId": 2})), json!({"items": []}));
    portal.unhide(Entity::Deal);
    assert_eq!(bench.answer("crm.deal.list", &json!({}))["total"], all.len());
    portal.set_crm_rights(false);
    assert_eq!(bench.error("crm.deal.list", &json!({})).2, "Access denied.");
    assert_eq!(code(&bench, "crm.item.list", &json!({"entityTypeId": 2})), (400, json!("ACCESS_DENIED")));
    portal.set_admin(false);
    assert_eq!(code(&bench, "crm.type.list", &json!({})), (400, json!("ACCESS_DENIED")));
    assert_eq!(bench.result("user.admin", &json!({})), json!(false));
}

#[test]
fn entity_types_can_be_absent_or_unsupported() {
    let bench = bench(PortalConfig::default());
    for (type_id, wanted) in [(5, "ENTITY_TYPE_NOT_SUPPORTED"), (1220, "NOT_FOUND"), (128, "NOT_FOUND")] {
        assert_eq!(code(&bench, "crm.item.list", &json!({"entityTypeId": type_id})), (400, json!(wanted)));
    }
    assert_eq!(code(&bench, "crm.item.list", &json!({})), (400, json!("100")));
    bench.portal().remove_entity_type(Entity::Lead, true);
    assert_eq!(code(&bench, "crm.item.list", &json!({"entityTypeId": 1})), (400, json!("NOT_FOUND")));
    assert_eq!(code(&bench, "crm.lead.list", &json!({})), (400, json!("NOT_FOUND")));
    assert_eq!(bench.call("crm.deal.list", &json!({})).status, 200);
    bench.portal().remove_entity_type(Entity::Lead, false);
    assert_eq!(bench.call("crm.lead.list", &json!({})).status, 200);
}

#[test]
fn every_known_code_can_be_injected_by_its_name() {
    let bench = bench(PortalConfig::default());
    assert!(KNOWN_ERRORS.len() >= 30);
    for known in KNOWN_ERRORS {
        bench.portal().set_faults(FaultPlan::next(1, Fault::error(known.code)));
        assert_eq!(code(&bench, "crm.deal.list", &json!({})), (known.status, json!(known.code)));
    }
}
