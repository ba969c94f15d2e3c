//! Handlers that an application binds: what may be bound, and what they are sent.

use std::time::Duration;

use b24sync_portal_emulator::{Application, ApplicationRules, DeliveryPlan, Entity, Truth};
use serde_json::{Value, json};

use crate::application::{call_as, refused, result_as, stage};
use crate::client::Bench;
use crate::handler::{Handler, pairs};

fn installed() -> (Bench, Handler, String) {
    let bench = stage(ApplicationRules::default());
    let token = bench.portal().install_application(Application::default()).access_token;
    (bench, Handler::start(), token)
}

fn names(form: &[(String, String)]) -> Vec<&str> {
    form.iter().map(|(name, _)| name.as_str()).collect()
}

fn settled(bench: &Bench) {
    assert!(bench.portal().wait_for_deliveries(Duration::from_secs(20)));
}

#[test]
fn a_bound_handler_gets_events_with_a_token_that_works() {
    let (bench, handler, token) = installed();
    let portal = bench.portal();
    let bind = json!({"event": "onCrmDealUpdate", "handler": handler.url("/h")});
    assert_eq!(result_as(&bench, &token, "event.bind", &bind), json!(true));
    let id = portal.ids(Entity::Deal)[0];
    portal.edit(Entity::Deal, id, [("TITLE", "x".into())]);
    settled(&bench);
    let received = handler.received().remove(0);
    let sample = pairs(include_str!("../../fixtures/events/app.ONCRMDEALUPDATE.txt").trim());
    assert_eq!(names(&received.pairs()), names(&sample));
    assert_eq!(received.event(), ("ONCRMDEALUPDATE".to_owned(), id));
    for (name, value) in [
        ("ts", "1790000000"),
        ("auth[expires]", "1790003600"),
        ("auth[expires_in]", "3600"),
        ("auth[user_id]", "1"),
        ("auth[status]", "L"),
        ("auth[scope]", "crm"),
        ("auth[application_token]", &portal.application_tokens().unwrap().application_token),
    ] {
        assert_eq!(received.get(name).as_deref(), Some(value), "{name}");
    }
    let sent = received.get("auth[access_token]").unwrap();
    assert_eq!(result_as(&bench, &sent, "crm.deal.get", &json!({ "id": id }))["TITLE"], "x");
    assert_eq!(portal.answered_ok(), [("ONCRMDEALUPDATE".to_owned(), id)]);
}

#[test]
fn a_robot_brings_no_tokens() {
    let (bench, handler, token) = installed();
    let portal = bench.portal();
    portal.set_delivery_plan(DeliveryPlan { robot_percent: 100, ..DeliveryPlan::default() });
    result_as(&bench, &token, "event.bind", &json!({"event": "ONCRMDEALUPDATE", "handler": handler.url("/h")}));
    portal.edit(Entity::Deal, portal.ids(Entity::Deal)[0], [("TITLE", "x".into())]);
    settled(&bench);
    let received = handler.received().remove(0).pairs();
    let sample = pairs(include_str!("../../fixtures/events/app.ONCRMDEALUPDATE.robot-no-tokens.txt").trim());
    let sorted = |form| {
        let mut names = names(form);
        names.sort_unstable();
        names.join(" ")
    };
    assert_eq!(sorted(&received), sorted(&sample));
}

#[test]
fn a_move_to_another_funnel_is_an_event_of_its_own_and_no_update() {
    let (bench, handler, token) = installed();
    let portal = bench.portal();
    for event in ["ONCRMDEALUPDATE", "ONCRMDEALMOVETOCATEGORY"] {
        result_as(&bench, &token, "event.bind", &json!({"event": event, "handler": handler.url("/h")}));
    }
    let id = portal.ids(Entity::Deal)[0];
    portal.pause_delivery(true);
    portal.edit(Entity::Deal, id, [("CATEGORY_ID", Truth::Reference(9)), ("STAGE_ID", "C9:NEW".into())]);
    let before = portal.deliveries().queued;
    portal.edit(Entity::Deal, id, [("CATEGORY_ID", Truth::Reference(1)), ("STAGE_ID", "C1:NEW".into())]);
    portal.set_delivery_plan(DeliveryPlan { parallel: 1, ..DeliveryPlan::default() });
    portal.pause_delivery(false);
    settled(&bench);
    assert_eq!((before, handler.received().len()), (1, 2));
    let received = handler.received().remove(1);
    let sample = pairs(include_str!("../../fixtures/events/app.ONCRMDEALMOVETOCATEGORY.txt").trim());
    assert_eq!(names(&received.pairs()), names(&sample));
    assert_eq!(received.event(), ("ONCRMDEALMOVETOCATEGORY".to_owned(), id));
    assert_eq!(received.get("data[FIELDS][CATEGORY_ID]").as_deref(), Some("1"));
    assert_eq!(received.get("data[FIELDS][STAGE_ID]").as_deref(), Some("C1:NEW"));
}

#[test]
fn handlers_are_listed_bound_once_and_unbound() {
    let (bench, _, token) = installed();
    let call = |method: &str, params: Value| result_as(&bench, &token, method, &params);
    let url = "https://handler.example/h";
    call("event.bind", json!({"event": "onCrmLeadAdd", "handler": url}));
    call("event.bind", json!({"event": "ONCRMLEADADD", "handler": url, "auth_type": 15}));
    call("event.bind", json!({"event": "ONCRMLEADADD", "event_type": "offline"}));
    let sample: Value = serde_json::from_str(include_str!("../../fixtures/event.get.json")).unwrap();
    let listed = call("event.get", json!({}));
    let offline = json!({"event": "ONCRMLEADADD", "handler": "", "auth_type": "0", "offline": 1});
    let online =
        |auth_type: &str| json!({"event": "ONCRMLEADADD", "handler": url, "auth_type": auth_type, "offline": 0});
    assert_eq!(listed, json!([online("0"), online("15"), offline]));
    assert_eq!(sample["result"][0].as_object().unwrap().len(), listed[0].as_object().unwrap().len());
    let again = call_as(&bench, &token, "event.bind", &json!({"event": "ONCRMLEADADD", "handler": url}));
    assert_eq!(refused(&again), (400, "ERROR_CORE".into()));
    let text = again.json()["error_description"].take();
    assert_eq!(text, "Unable to set event handler: Handler already binded");
    let unbind = json!({"event": "onCrmLeadAdd", "handler": url, "auth_type": 15});
    assert_eq!(call("event.unbind", unbind.clone()), json!({"count": 1}));
    assert_eq!(call("event.unbind", unbind), json!({"count": 0}));
    assert_eq!(call("event.unbind", json!({"event": "ONCRMLEADADD"})), json!({"count": 1}));
    assert_eq!(call("event.unbind", json!({"event": "ONCRMLEADADD", "event_type": "offline"})), json!({"count": 1}));
    assert_eq!(call("event.get", json!({})), json!([]));
}

#[test]
fn what_cannot_be_bound_is_refused_with_its_code() {
    let (bench, _, token) = installed();
    let url = "https://handler.example/h";
    let cases = [
        (json!({"handler": url}), 400, "ERROR_ARGUMENT"),
        (json!({"event": "ONCRMDEALADD"}), 400, "ERROR_ARGUMENT"),
        (json!({"event": "ONCRMDEALADD", "handler": url, "event_type": "x"}), 400, "ERROR_ARGUMENT"),
        (json!({"event": "ONCRMNOTHING", "handler": url}), 400, "ERROR_EVENT_NOT_FOUND"),
        (json!({"event": "ONCRMDEALADD", "handler": "http://localhost/"}), 400, "ERROR_WRONG_HANDLER_URL"),
        (json!({"event": "ONCRMDEALADD", "handler": "ftp://a.b/"}), 400, "ERROR_UNSUPPORTED_PROTOCOL"),
        (json!({"event": "ONOFFLINEEVENT", "event_type": "offline"}), 400, "ERROR_ARGUMENT"),
    ];
    for (params, status, code) in cases {
        let reply = call_as(&bench, &token, "event.bind", &params);
        assert_eq!(refused(&reply), (status, code.to_owned()), "{params}");
    }
    let sample: Value =
        serde_json::from_str(include_str!("../../fixtures/errors/400.event.bind.ERROR_EVENT_NOT_FOUND.json")).unwrap();
    assert_eq!(call_as(&bench, &token, "event.bind", &json!({"event": "X", "handler": url})).json(), sample);
    bench.portal().set_admin(false);
    for params in [
        json!({"event": "ONCRMDEALADD", "event_type": "offline"}),
        json!({"event": "ONCRMDEALADD", "handler": url, "auth_type": 15}),
    ] {
        let reply = call_as(&bench, &token, "event.bind", &params);
        assert_eq!(refused(&reply), (403, "ACCESS_DENIED".into()), "{params}");
    }
    let own = json!({"event": "ONCRMDEALADD", "handler": url, "auth_type": 1});
    assert_eq!(call_as(&bench, &token, "event.bind", &own).status, 200);
}

#[test]
fn names_of_events_depend_on_the_scope() {
    let (bench, _, token) = installed();
    let events = |params: Value| {
        let names = result_as(&bench, &token, "events", &params);
        names.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let own = events(json!({}));
    assert!(own.contains(&"ONAPPTEST".to_owned()) && own.contains(&"ONCRMDEALMOVETOCATEGORY".to_owned()));
    assert!(!own.contains(&"ONTASKADD".to_owned()));
    assert!(events(json!({"FULL": true})).contains(&"ONTASKADD".to_owned()));
    assert!(events(json!({"SCOPE": "crm"})).iter().all(|name| name.starts_with("ONCRM")));
}

#[test]
fn a_test_event_brings_back_what_was_sent() {
    let (bench, handler, token) = installed();
    result_as(&bench, &token, "event.bind", &json!({"event": "ONAPPTEST", "handler": handler.url("/h")}));
    assert_eq!(result_as(&bench, &token, "event.test", &json!({"any": "data"})), json!(true));
    settled(&bench);
    let received = handler.received().remove(0).pairs();
    let sample = pairs(include_str!("../../fixtures/events/app.ONAPPTEST.txt").trim());
    assert_eq!(names(&received), names(&sample));
    assert!(received.contains(&("data[QUERY][any]".to_owned(), "data".to_owned())));
}
