//! The commands for scripts and other processes.

use b24sync_portal_emulator::{DateFilter, Entity, PortalConfig, Times, UnreadableDate};
use serde_json::{Value, json};

use crate::client::{Bench, bench, ids};

fn admin(bench: &Bench, command: &str, body: &Value) -> Value {
    let reply = bench.send("POST", &format!("/__admin/{command}"), "application/json", &body.to_string()).unwrap();
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
    reply.json()
}

fn look(bench: &Bench, command: &str) -> Value {
    bench.send("GET", &format!("/__admin/{command}"), "text/plain", "").unwrap().json()
}

#[test]
fn counters_can_be_read_and_reset() {
    let bench = bench(PortalConfig::default());
    bench.call("batch", &json!({"cmd": {"a": "crm.deal.list", "b": "crm.deal.list"}}));
    let stats = look(&bench, "stats")["rest"].take();
    assert_eq!((&stats["http_requests"], &stats["throttled"]), (&json!(1), &json!(0)));
    assert_eq!((&stats["batch_commands"], &stats["rows_served"]), (&json!(2), &json!(100)));
    assert_eq!(stats["by_method"], json!({"batch": 1, "crm.deal.list": 2}));
    assert_eq!(stats["peak_in_flight"], 1);
    admin(&bench, "reset", &json!({}));
    assert_eq!(look(&bench, "stats")["rest"]["http_requests"], 0);
}

#[test]
fn records_and_fields_can_be_changed_from_outside() {
    let bench = bench(PortalConfig::default());
    let portal = bench.portal();
    let known = look(&bench, "ids?entity=deal");
    assert_eq!(known, json!(portal.ids(Entity::Deal)));
    let id = &known[3];
    admin(&bench, "edit", &json!({"entity": "deal", "id": id, "fields": {"TITLE": "x", "OPPORTUNITY": 5.5}}));
    let row = bench.result("crm.deal.get", &json!({ "id": id }));
    assert_eq!((&row["TITLE"], &row["OPPORTUNITY"]), (&json!("x"), &json!("5.5")));
    assert_eq!(look(&bench, &format!("truth?entity=deal&id={id}"))["fields"]["TITLE"], json!({"text": "x"}));
    let added = admin(&bench, "add", &json!({"entity": "deal", "fields": {"TITLE": "new"}}))["id"].take();
    assert_eq!(admin(&bench, "delete", &json!({"entity": "deal", "id": added})), json!({"ok": true}));
    assert_eq!(admin(&bench, "restore", &json!({"entity": "deal", "id": added})), json!({"ok": true}));
    let edited = admin(&bench, "edit_random", &json!({"entity": "lead", "count": 3, "seed": 9}));
    assert_eq!(edited["ids"].as_array().unwrap().len(), 3);
    admin(&bench, "bulk_edit", &json!({"entity": "deal", "ids": [known[0], known[1]]}));
    let field = json!({"entity": "deal", "action": "add", "user_type": "double", "label": "L", "name": "UF_CRM_X"});
    assert_eq!(admin(&bench, "userfield", &field), json!({"name": "UF_CRM_X"}));
    let fields = look(&bench, "fields?entity=deal");
    assert!(fields.as_array().unwrap().iter().any(|field| field["name"] == "UF_CRM_X"));
    admin(&bench, "userfield", &json!({"entity": "deal", "action": "remove", "name": "UF_CRM_X"}));
    admin(&bench, "hide", &json!({"entity": "deal", "all": true}));
    assert_eq!(bench.answer("crm.deal.list", &json!({}))["total"], 0);
    admin(&bench, "unhide", &json!({"entity": "deal"}));
}

#[test]
fn faults_limits_rights_and_the_clock_can_be_set_from_outside() {
    let bench = bench(PortalConfig::default());
    let rule = json!({"method": "crm.deal.*", "when": {"next": 1}, "faults": [{"kind": "status", "status": 502}]});
    admin(&bench, "faults", &json!({ "rules": [rule] }));
    assert_eq!(bench.call("crm.deal.list", &json!({})).status, 502);
    let rule = json!({"when": "always", "faults": [{"kind": "error_code", "code": "OVERLOAD_LIMIT"}]});
    admin(&bench, "faults", &json!({ "rules": [rule] }));
    assert_eq!(bench.error("profile", &json!({})).0, 503);
    admin(&bench, "faults", &json!({"rules": []}));
    admin(&bench, "access", &json!({"scopes": ["user"], "admin": false}));
    assert_eq!(bench.call("crm.deal.list", &json!({})).status, 403);
    admin(&bench, "access", &json!({"scopes": ["crm"]}));
    admin(&bench, "clock", &json!({"freeze_at": 1_790_000_000}));
    assert_eq!(admin(&bench, "clock", &json!({"advance_milliseconds": 5_000})), json!({"now": 1_790_000_005}));
    admin(&bench, "rate", &json!({"per_second": 1.0, "burst": 1.0}));
    assert_eq!([0; 2].map(|_| bench.call("profile", &json!({})).status), [200, 503]);
    admin(&bench, "rate", &Value::Null);
    assert_eq!(bench.call("profile", &json!({})).status, 200);
    let refused = bench.send("POST", "/__admin/nonsense", "application/json", "{\"entity\":\"deal\"}").unwrap();
    assert_eq!((refused.status, refused.json()["error"].as_str()), (400, Some("unknown command `nonsense`")));
}

#[test]
fn how_moments_are_shown_and_read_can_be_set_from_outside() {
    let bench = bench(PortalConfig::default());
    let portal = bench.portal();
    let before = portal.times();
    admin(&bench, "times", &json!({"date_filter": "space_only", "unreadable_date": "matches_nothing"}));
    let expected =
        Times { date_filter: DateFilter::SpaceOnly, unreadable_date: UnreadableDate::MatchesNothing, ..before };
    assert_eq!(portal.times(), expected);
    let id = portal.ids(Entity::Deal)[0];
    let shown = || bench.result("crm.deal.get", &json!({ "id": id }))["DATE_MODIFY"].as_str().unwrap().to_owned();
    let found = |bound: &str| {
        let filter = json!({"ID": id, ">=DATE_MODIFY": bound});
        ids(&bench.result("crm.deal.list", &json!({ "filter": filter, "select": ["ID"] })))
    };
    let true_time = shown();
    let plain = |stamp: &str| stamp.get(..19).unwrap().replace('T', " ");
    assert_eq!((found(&true_time), found(&plain(&true_time))), (vec![], vec![id]));
    admin(&bench, "times", &json!({"user_zone_shift_seconds": 90, "filter_sees_shift": false}));
    assert_eq!(portal.times(), Times { user_zone_shift_seconds: 90, filter_sees_shift: false, ..expected });
    let shifted = shown();
    assert!(shifted > true_time && shifted.get(19..) == true_time.get(19..), "{shifted} {true_time}");
    assert_eq!((found(&plain(&shifted)), found(&plain(&true_time))), (vec![], vec![id]));
    portal.set_times(before);
    assert_eq!(shown(), true_time);
}
