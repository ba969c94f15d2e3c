//! Each way in which an answer goes wrong, as a raw client sees it.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use b24sync_portal_emulator::{Counts, Entity, Fault, FaultPlan, PortalConfig, When};
use serde_json::{Value, json};

use crate::client::{Bench, bench, ids};

fn spoilt(fault: Fault) -> Bench {
    let bench = bench(PortalConfig { counts: Counts::deals(120), ..PortalConfig::default() });
    bench.portal().set_faults(FaultPlan::next(1, fault));
    bench
}

fn list() -> Value {
    json!({"order": {"ID": "ASC"}, "select": ["ID"], "start": -1})
}

/// The fault hits one answer; the next one is whole again.
fn assert_recovers(bench: &Bench) {
    assert_eq!(bench.result("crm.deal.list", &list()).as_array().unwrap().len(), 50);
    assert_eq!(bench.portal().stats().faults, 1);
}

#[test]
fn gateway_pages_come_with_and_without_an_error_status() {
    for (fault, status) in
        [(Fault::Status { status: 502 }, 502), (Fault::Status { status: 503 }, 503), (Fault::HtmlWith200, 200)]
    {
        let bench = spoilt(fault);
        let reply = bench.call("crm.deal.list", &list());
        assert_eq!(reply.status, status);
        assert_eq!(reply.header("content-type"), Some("text/html"));
        assert!(reply.body.starts_with(b"<html>"));
        assert_recovers(&bench);
    }
}

#[test]
fn a_truncated_body_ends_before_its_length() {
    let bench = spoilt(Fault::TruncatedBody);
    let reply = bench.call("crm.deal.list", &list());
    assert_eq!(reply.status, 200);
    assert!(!reply.is_complete() && !reply.body.is_empty(), "{}", reply.head);
    assert!(reply.body.starts_with(b"{\"result\":[{\"ID\""));
    assert_recovers(&bench);
}

#[test]
fn cut_and_invalid_json_come_in_complete_answers() {
    for fault in [Fault::CutJson, Fault::InvalidJson] {
        let bench = spoilt(fault);
        let reply = bench.call("crm.deal.list", &list());
        assert!(reply.status == 200 && reply.is_complete());
        assert!(serde_json::from_slice::<Value>(&reply.body).is_err());
        assert_recovers(&bench);
    }
}

#[test]
fn a_delayed_answer_comes_late_and_whole() {
    let bench = spoilt(Fault::Delay { milliseconds: 60 });
    let begun = Instant::now();
    assert_eq!(bench.result("crm.deal.list", &list()).as_array().unwrap().len(), 50);
    assert!(begun.elapsed() >= Duration::from_millis(60));
    assert_recovers(&bench);
}

#[test]
fn a_reset_connection_was_not_served() {
    let bench = spoilt(Fault::ConnectionReset);
    let id = bench.portal().ids(Entity::Deal)[0];
    let error = bench.try_call("crm.deal.delete", &json!({ "id": id })).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert!(bench.portal().truth(Entity::Deal, id).is_some());
    assert_recovers(&bench);
}

#[test]
fn a_lost_answer_was_carried_out() {
    let bench = spoilt(Fault::LostAfterExecution);
    let id = bench.portal().ids(Entity::Deal)[0];
    let error = bench.try_call("crm.deal.delete", &json!({ "id": id })).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset), "{error}");
    assert!(bench.portal().truth(Entity::Deal, id).is_none());
    assert_recovers(&bench);
}

#[test]
fn oversized_and_deeply_nested_answers_are_still_json_text() {
    let bench = spoilt(Fault::OversizedBody { bytes: 3_000_000 });
    let reply = bench.call("crm.deal.list", &list());
    assert!(reply.body.len() > 3_000_000);
    assert_eq!(reply.json()["result"].as_array().unwrap().len(), 50);
    let bench = spoilt(Fault::DeepNesting { depth: 50_000 });
    let reply = bench.call("crm.deal.list", &list());
    assert!(reply.is_complete() && serde_json::from_slice::<Value>(&reply.body).is_err());
    assert_eq!(String::from_utf8(reply.body).unwrap().matches('[').count(), 50_000);
}

#[test]
fn a_moved_portal_redirects() {
    let bench = spoilt(Fault::Redirect302 { location: "https://new.example".to_owned() });
    let reply = bench.call("crm.deal.list", &list());
    assert_eq!(reply.status, 302);
    assert_eq!(reply.header("location").unwrap(), format!("https://new.example{}", bench.path("crm.deal.list")));
    assert_recovers(&bench);
}

#[test]
fn pages_can_lie() {
    let all = |bench: &Bench| bench.portal().ids(Entity::Deal);
    let bench = spoilt(Fault::ShortPage);
    assert_eq!(ids(&bench.result("crm.deal.list", &list())), all(&bench)[..30]);
    assert_recovers(&bench);
    let bench = spoilt(Fault::ShortPage);
    let last = all(&bench)[119];
    let params = json!({"filter": {"ID": last}, "select": ["ID"]});
    assert_eq!(ids(&bench.result("crm.deal.list", &params)), [last], "an empty page would be the end");
    let bench = spoilt(Fault::WrongOrder);
    assert!(ids(&bench.result("crm.deal.list", &list())).is_sorted_by(|left, right| left > right));
    let bench = spoilt(Fault::IgnoredFilter);
    let bound = all(&bench)[60];
    let params = json!({"filter": {">ID": bound}, "order": {"ID": "ASC"}, "select": ["ID"], "start": -1});
    assert_eq!(ids(&bench.result("crm.deal.list", &params)), all(&bench)[..50]);
    assert_eq!(ids(&bench.result("crm.deal.list", &params)), all(&bench)[61..111]);
}

#[test]
fn a_lie_in_a_batch_hits_its_first_list() {
    let bench = spoilt(Fault::ShortPage);
    let list = "crm.deal.list?order[ID]=ASC&select[]=ID&start=-1";
    let result = bench.result("batch", &json!({"cmd": {"a": "server.time", "b": list, "c": list}}));
    let lengths = ["b", "c"].map(|name| result["result"][name].as_array().unwrap().len());
    assert_eq!(lengths, [30, 50]);
}

#[test]
fn rules_hit_their_method_and_their_turn() {
    let bench = bench(PortalConfig::default());
    let plan = FaultPlan::every(3, Fault::Status { status: 500 }).on("crm.deal.*").and(
        Some("profile"),
        When::After(1),
        vec![Fault::error("expired_token")],
    );
    bench.portal().set_faults(plan);
    let statuses = |method: &str| [0; 6].map(|_| bench.call(method, &json!({})).status);
    assert_eq!(statuses("crm.deal.list"), [200, 200, 500, 200, 200, 500]);
    assert_eq!(statuses("profile"), [200, 401, 200, 200, 200, 200]);
    assert_eq!(statuses("crm.lead.list"), [200; 6]);
    bench.portal().set_faults(FaultPlan::none());
    assert_eq!(statuses("crm.deal.list"), [200; 6]);
}

#[test]
fn a_rotating_plan_spoils_every_seventh_answer_differently() {
    let bench = bench(PortalConfig { counts: Counts::deals(120), ..PortalConfig::default() });
    bench.portal().set_faults(FaultPlan::rotating(7));
    let mut outcomes = BTreeSet::new();
    for number in 1..=7 * 14 {
        let batch = json!({"cmd": {"a": "crm.deal.list?order[ID]=ASC&select[]=ID&start=-1", "b": "server.time"}});
        let reply = bench.try_call("batch", &batch);
        let whole = reply.as_ref().is_ok_and(|reply| {
            reply.status == 200
                && serde_json::from_slice::<Value>(&reply.body).is_ok_and(|answer| {
                    answer["result"]["result_error"] == json!([])
                        && answer["result"]["result"]["a"].as_array().is_some_and(|rows| rows.len() == 50)
                })
        });
        // A delay is the one kind that leaves the answer whole.
        assert!(whole || number % 7 == 0, "{number}");
        if number % 7 == 0 {
            outcomes.insert(format!("{:?}", reply.map(|reply| (reply.status, reply.body.len()))));
        }
    }
    assert_eq!(bench.portal().stats().faults, 14);
    assert!(outcomes.len() >= 9, "{outcomes:?}");
}
