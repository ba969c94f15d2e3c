//! How events travel: late, lost, doubled, out of order, and never twice because of a bad answer.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use b24sync_portal_emulator::{Counts, Deliveries, DeliveryPlan, Entity, OutgoingWebhook, Portal, PortalConfig};
use serde_json::{Value, json};

use crate::client::{Bench, bench};
use crate::handler::Handler;

fn webhook(url: String) -> OutgoingWebhook {
    let events = vec!["ONCRMDEALADD".to_owned(), "ONCRMDEALUPDATE".to_owned()];
    OutgoingWebhook { handler_url: url, events, application_token: "t".to_owned() }
}

fn with_plan(plan: DeliveryPlan) -> (Bench, Handler) {
    let bench = bench(PortalConfig { counts: Counts::deals(60), ..PortalConfig::default() });
    let handler = Handler::start();
    bench.portal().add_outgoing_webhook(webhook(handler.url("/")));
    bench.portal().set_delivery_plan(plan);
    (bench, handler)
}

fn touch(portal: &Portal, count: usize) -> Vec<i64> {
    let ids = portal.ids(Entity::Deal)[..count].to_vec();
    portal.bulk_edit_in_one_second(Entity::Deal, &ids);
    ids
}

fn settled(portal: &Portal) -> Deliveries {
    assert!(portal.wait_for_deliveries(Duration::from_secs(20)), "{:?}", portal.deliveries());
    portal.deliveries()
}

fn ids(handler: &Handler) -> Vec<i64> {
    handler.events().into_iter().map(|(_, id)| id).collect()
}

#[test]
fn one_at_a_time_and_without_a_window_the_order_is_that_of_the_changes() {
    let (bench, handler) = with_plan(DeliveryPlan { parallel: 1, ..DeliveryPlan::default() });
    let changed = touch(bench.portal(), 40);
    let numbers = settled(bench.portal());
    assert_eq!(ids(&handler), changed);
    assert_eq!((numbers.sent, numbers.answered), (40, BTreeMap::from([(200, 40)])));
}

#[test]
fn a_window_lets_events_overtake_each_other() {
    let (bench, handler) = with_plan(DeliveryPlan { parallel: 1, reorder_window: 20, ..DeliveryPlan::default() });
    let portal = bench.portal();
    portal.pause_delivery(true);
    let changed = touch(portal, 40);
    assert!(!portal.wait_for_deliveries(Duration::from_millis(50)));
    assert_eq!((portal.deliveries().queued, handler.events().len()), (40, 0));
    portal.pause_delivery(false);
    settled(portal);
    let mut told = ids(&handler);
    assert_ne!(told, changed);
    told.sort_unstable();
    assert_eq!(told, changed);
}

#[test]
fn losses_and_doubles_are_counted() {
    let plan = DeliveryPlan { lost_percent: 30, doubled_percent: 30, ..DeliveryPlan::default() };
    let (bench, handler) = with_plan(plan);
    touch(bench.portal(), 60);
    let numbers = settled(bench.portal());
    let told = ids(&handler);
    let distinct: std::collections::BTreeSet<_> = told.iter().collect();
    assert_eq!(usize::try_from(numbers.lost).unwrap(), 60 - distinct.len());
    assert!(numbers.lost > 5 && told.len() > distinct.len() + 5, "{numbers:?}");
    assert_eq!(numbers.sent, u64::try_from(told.len()).unwrap());
    let records = bench.portal().delivery_records();
    assert_eq!(records.iter().filter(|record| record.lost).count(), 60 - distinct.len());
    assert_eq!(bench.portal().answered_ok().len(), told.len());
}

#[test]
fn a_delivery_that_fails_is_never_repeated() {
    let (bench, handler) = with_plan(DeliveryPlan { timeout_milliseconds: 800, ..DeliveryPlan::default() });
    let portal = bench.portal();
    handler.answer_with(503);
    touch(portal, 1);
    assert_eq!(settled(portal).answered, BTreeMap::from([(503, 1)]));
    handler.answer_with(1);
    touch(portal, 2);
    assert_eq!(settled(portal).failed, 2);
    handler.answer_with(200);
    handler.answer_after(Duration::from_millis(1_200));
    touch(portal, 3);
    assert_eq!(settled(portal).failed, 5);
    // Nobody listens there.
    portal.remove_outgoing_webhooks();
    portal.add_outgoing_webhook(webhook("http://127.0.0.1:1/".to_owned()));
    touch(portal, 4);
    assert_eq!(settled(portal).failed, 9);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(handler.events().len(), 6);
    assert_eq!(portal.answered_ok(), []);
    assert!(portal.delivery_records().iter().all(|record| record.status.is_none_or(|status| status == 503)));
}

#[test]
fn events_wait_their_delay() {
    let (bench, handler) = with_plan(DeliveryPlan { delay_milliseconds: (150, 200), ..DeliveryPlan::default() });
    let start = Instant::now();
    touch(bench.portal(), 5);
    settled(bench.portal());
    assert!(handler.received().iter().all(|received| received.at - start >= Duration::from_millis(150)));
}

#[test]
fn slow_handlers_are_called_less_often_and_hold_nobody_up() {
    let plan = DeliveryPlan {
        parallel: 1,
        slow_after_milliseconds: Some(20),
        throttle_milliseconds: 400,
        ..DeliveryPlan::default()
    };
    let (bench, slow) = with_plan(plan);
    let quick = Handler::start();
    bench.portal().add_outgoing_webhook(webhook(quick.url("/")));
    slow.answer_after(Duration::from_millis(40));
    touch(bench.portal(), 3);
    settled(bench.portal());
    let gap = |pair: &[crate::handler::Received]| pair[1].at - pair[0].at;
    assert!(slow.received().windows(2).all(|pair| gap(pair) >= Duration::from_millis(400)));
    assert!(quick.received()[2].at < slow.received()[1].at);
}

#[test]
fn requests_run_side_by_side_as_far_as_the_plan_allows() {
    let (bench, handler) = with_plan(DeliveryPlan { parallel: 8, ..DeliveryPlan::default() });
    handler.answer_after(Duration::from_millis(200));
    let start = Instant::now();
    touch(bench.portal(), 16);
    settled(bench.portal());
    assert!((Duration::from_millis(400)..Duration::from_secs(3)).contains(&start.elapsed()));
}

#[test]
fn events_wait_for_a_portal_that_does_not_run() {
    let portal = Portal::new(PortalConfig { counts: Counts::deals(5), ..PortalConfig::default() });
    let handler = Handler::start();
    portal.add_outgoing_webhook(webhook(handler.url("/")));
    let changed = touch(&portal, 2);
    assert!(!portal.wait_for_deliveries(Duration::from_millis(20)));
    let running = portal.start().unwrap();
    settled(&portal);
    assert_eq!(ids(&handler).len(), changed.len());
    drop(running);
    touch(&portal, 1);
    assert_eq!(portal.deliveries().queued, 1);
    let _again = portal.start().unwrap();
    assert_eq!(settled(&portal).sent, 3);
}

#[test]
fn webhooks_and_deliveries_can_be_driven_from_outside() {
    let bench = bench(PortalConfig { counts: Counts::deals(9), ..PortalConfig::default() });
    let handler = Handler::start();
    let send = |verb: &str, command: &str, body: &Value| {
        let reply = bench.send(verb, &format!("/__admin/{command}"), "application/json", &body.to_string()).unwrap();
        assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&reply.body));
        reply.json()
    };
    let webhook = json!({"handler_url": handler.url("/"), "events": ["ONCRMDEALUPDATE"], "application_token": "t"});
    assert_eq!(send("POST", "outgoing_webhook", &webhook), json!({"event_handler_id": 1}));
    send("POST", "delivery", &json!({"delay_milliseconds": [1, 2], "parallel": 2}));
    send("POST", "pause_delivery", &json!({"paused": true}));
    let id = bench.portal().ids(Entity::Deal)[0];
    send("POST", "edit", &json!({"entity": "deal", "id": id, "fields": {"TITLE": "x"}}));
    assert_eq!(send("GET", "stats", &json!({}))["deliveries"]["queued"], 1);
    send("POST", "pause_delivery", &json!({"paused": false}));
    settled(bench.portal());
    assert_eq!(send("GET", "answered_ok", &json!({})), json!([["ONCRMDEALUPDATE", id]]));
    let record =
        json!({"event": "ONCRMDEALUPDATE", "id": id, "handler": handler.url("/"), "status": 200, "lost": false});
    assert_eq!(send("GET", "deliveries", &json!({})), json!([record]));
    send("POST", "outgoing_webhook", &Value::Null);
    send("POST", "reset", &json!({}));
    send("POST", "edit", &json!({"entity": "deal", "id": id, "fields": {"TITLE": "y"}}));
    settled(bench.portal());
    assert_eq!(send("GET", "answered_ok", &json!({})), json!([]));
}
