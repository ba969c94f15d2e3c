//! The limits of a cloud portal, on a clock that the tests move.

use std::time::Duration;

use b24sync_portal_emulator::{
    Accounting, ClockSource, Counts, OperatingInTime, OperatingLimit, PortalConfig, RateLimit,
};
use serde_json::{Value, json};

use crate::client::bench;

const NOW: i64 = 1_790_000_000;

fn config() -> PortalConfig {
    PortalConfig { clock: ClockSource::Fixed(NOW), counts: Counts::deals(120), ..PortalConfig::default() }
}

#[test]
fn a_full_bucket_answers_503_until_it_drains() {
    let bench = bench(PortalConfig { rate: Some(RateLimit { per_second: 2.0, burst: 3.0 }), ..config() });
    let time = || bench.call("server.time", &json!({}));
    assert!((0..3).all(|_| time().status == 200));
    let refused = time();
    assert_eq!(refused.status, 503);
    assert_eq!(refused.json(), json!({"error": "QUERY_LIMIT_EXCEEDED", "error_description": "Too many requests"}));
    assert_eq!(refused.header("retry-after"), None);
    bench.portal().clock().advance(Duration::from_millis(500));
    assert_eq!((time().status, time().status), (200, 503));
    bench.portal().clock().advance(Duration::from_secs(60));
    let commands: Vec<(String, &str)> = (0..50).map(|at| (format!("c{at}"), "server.time")).collect();
    let cmd: serde_json::Map<String, Value> = commands.into_iter().map(|(name, call)| (name, json!(call))).collect();
    // A batch is one request, whatever it holds.
    assert!((0..3).all(|_| bench.call("batch", &json!({ "cmd": cmd })).status == 200));
    assert_eq!(bench.call("batch", &json!({ "cmd": cmd })).status, 503);
    let stats = bench.portal().stats();
    assert_eq!((stats.http_requests, stats.throttled, stats.batch_commands), (10, 3, 150));
}

fn operating(accounting: Accounting) -> OperatingLimit {
    OperatingLimit {
        limit_seconds: 1.0,
        window_seconds: 600.0,
        cost_per_page: 0.4,
        cost_per_count: 0.6,
        cost_per_call: 0.0,
        takes_time: false,
        accounting,
    }
}

#[test]
fn a_method_out_of_operating_time_answers_429_and_others_go_on() {
    let bench = bench(PortalConfig { operating: Some(operating(Accounting::PerMethod)), ..config() });
    let list = |start: i64| bench.call("crm.deal.list", &json!({"select": ["ID"], "start": start}));
    // 0.4 + 0.4, then the call that crosses the limit finishes.
    for spent in [0.4, 0.8, 1.8] {
        let reply = list(if spent > 1.0 { 0 } else { -1 });
        let reported = reply.json()["time"]["operating"].as_f64().unwrap();
        assert!((reported - spent).abs() < 1e-9, "{reported}");
    }
    let refused = list(-1);
    assert_eq!((refused.status, &refused.json()["error"]), (429, &json!("OPERATION_TIME_LIMIT")));
    let leads = bench.answer("crm.lead.list", &json!({"start": -1}));
    let reset_at = leads["time"]["operating_reset_at"].as_i64().unwrap();
    assert!(reset_at > NOW + 540 && reset_at <= NOW + 600, "{reset_at}");
    let cmd = json!({"c0": "crm.lead.list?start=-1", "c1": "crm.deal.list?start=-1"});
    let inside = bench.result("batch", &json!({ "cmd": cmd }));
    assert_eq!(inside["result"]["c0"], json!([]));
    assert_eq!(inside["result_error"]["c1"]["error"], "OPERATION_TIME_LIMIT");
    bench.portal().clock().advance(Duration::from_secs(601));
    assert_eq!(list(-1).status, 200);
    let stats = bench.portal().stats();
    assert_eq!(stats.operation_blocked, 2);
    assert_eq!(stats.blocked_by_method, [("crm.deal.list".to_owned(), 2)].into());
}

#[test]
fn batches_are_charged_in_either_of_the_two_ways() {
    let bench_documented = bench(PortalConfig { operating: Some(operating(Accounting::PerMethod)), ..config() });
    let cmd =
        json!({"cmd": {"a": "crm.deal.list?start=-1", "b": "crm.deal.list?start=-1", "c": "crm.lead.list?start=-1"}});
    let read = |answer: &Value| -> Vec<f64> {
        let times = &answer["result"]["result_time"];
        let mut values: Vec<f64> =
            ["a", "b", "c"].iter().map(|name| times[name]["operating"].as_f64().unwrap()).collect();
        values.push(answer["time"]["operating"].as_f64().unwrap());
        values
    };
    let close = |left: Vec<f64>, right: [f64; 4]| {
        assert!(left.iter().zip(right).all(|(left, right)| (left - right).abs() < 1e-9), "{left:?} {right:?}");
    };
    close(read(&bench_documented.answer("batch", &cmd)), [0.4, 0.8, 0.4, 0.0]);
    let bench_measured = bench(PortalConfig { operating: Some(operating(Accounting::Batch)), ..config() });
    close(read(&bench_measured.answer("batch", &cmd)), [0.4, 0.0, 0.0, 1.2]);
    assert_eq!(bench_measured.call("batch", &cmd).status, 429);
    assert_eq!(bench_measured.call("crm.deal.list", &json!({"start": -1})).status, 200);
    assert_eq!(bench_measured.portal().stats().blocked_by_method, [("batch".to_owned(), 1)].into());
}

#[test]
fn the_time_block_can_be_silent_about_operating_time() {
    for (setting, value, reset) in [
        (OperatingInTime::Full, true, true),
        (OperatingInTime::ValueOnly, true, false),
        (OperatingInTime::Absent, false, false),
    ] {
        let bench = bench(PortalConfig { operating_in_time: setting, ..config() });
        let time = bench.answer("server.time", &json!({}))["time"].take();
        assert_eq!(time.get("operating").is_some(), value);
        assert_eq!(time.get("operating_reset_at").is_some(), reset);
        assert_eq!(time["start"], json!(NOW));
        assert_eq!(time["date_start"], "2026-09-21T17:13:20+03:00");
    }
}

#[test]
fn the_clock_of_the_portal_stamps_edits() {
    use b24sync_portal_emulator::{Entity, Truth};
    let bench = bench(PortalConfig { clock_skew_seconds: 90, ..config() });
    let id = bench.portal().ids(Entity::Deal)[0];
    bench.portal().clock().advance(Duration::from_secs(10));
    bench.portal().edit(Entity::Deal, id, [("TITLE", "x".into())]);
    let truth = bench.portal().truth(Entity::Deal, id).unwrap();
    assert_eq!(truth.fields["DATE_MODIFY"], Truth::Instant { epoch_seconds: NOW + 100 });
    assert_eq!(bench.result("server.time", &json!({})), json!("2026-09-21T17:15:00+03:00"));
}
