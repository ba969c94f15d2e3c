//! The offline queue as an application reads it.

use std::time::Duration;

use b24sync_portal_emulator::{Application, ApplicationRules, Entity};
use serde_json::{Value, json};

use crate::application::{call_as, refused, result_as, stage};
use crate::client::Bench;
use crate::handler::{Handler, pairs};

struct Queue {
    bench: Bench,
    token: String,
}

impl Queue {
    fn with(rules: ApplicationRules, events: &[&str]) -> Self {
        let bench = stage(rules);
        let token = bench.portal().install_application(Application::default()).access_token;
        let queue = Self { bench, token };
        for event in events {
            queue.call("event.bind", &json!({"event": event, "event_type": "offline"}));
        }
        queue
    }

    fn new() -> Self {
        Self::with(ApplicationRules::default(), &["ONCRMDEALADD", "ONCRMDEALUPDATE", "ONCRMDEALDELETE"])
    }

    fn call(&self, method: &str, params: &Value) -> Value {
        result_as(&self.bench, &self.token, method, params)
    }

    fn refused(&self, method: &str, params: &Value) -> (u16, String) {
        refused(&call_as(&self.bench, &self.token, method, params))
    }

    /// Edits the deals number `numbers`.
    fn edit(&self, numbers: &[usize]) {
        let portal = self.bench.portal();
        let ids = portal.ids(Entity::Deal);
        for number in numbers {
            portal.edit(Entity::Deal, ids[*number], [("TITLE", "x".into())]);
        }
    }

    /// The numbers of the deals in an answer of `event.offline.get`, and its process.
    fn get(&self, params: &Value) -> (Value, Vec<usize>) {
        let mut answer = self.call("event.offline.get", params);
        let ids = self.bench.portal().ids(Entity::Deal);
        let number = |event: &Value| {
            let id: i64 = event["EVENT_DATA"]["FIELDS"]["ID"].as_str().unwrap().parse().unwrap();
            ids.iter().position(|known| *known == id).unwrap()
        };
        let numbers = answer["events"].as_array().unwrap().iter().map(number).collect();
        (answer["process_id"].take(), numbers)
    }
}

#[test]
fn answers_have_the_shapes_of_the_samples() {
    for with_data in [true, false] {
        let rules = ApplicationRules { offline_event_data: with_data, ..ApplicationRules::default() };
        let queue = Queue::with(rules, &["ONCRMDEALUPDATE"]);
        queue.edit(&[0]);
        let sample: Value = serde_json::from_str(include_str!("../../fixtures/event.offline.list.json")).unwrap();
        let listed = call_as(&queue.bench, &queue.token, "event.offline.list", &json!({})).json();
        assert_eq!((&listed["total"], listed.get("next")), (&json!(1), None));
        let mut wanted = sample["result"][1].clone();
        let id = queue.bench.portal().ids(Entity::Deal)[0];
        wanted["TIMESTAMP_X"] = json!("2026-09-21T17:13:20+03:00");
        wanted["EVENT_NAME"] = json!("ONCRMDEALUPDATE");
        wanted["EVENT_DATA"] = if with_data { json!({"FIELDS": {"ID": id.to_string()}}) } else { json!(false) };
        assert_eq!(listed["result"][0], wanted);
        let got = queue.call("event.offline.get", &json!({}));
        for key in ["PROCESS_ID", "ERROR"] {
            wanted.as_object_mut().unwrap().remove(key);
        }
        assert_eq!(got, json!({"process_id": null, "events": [wanted]}));
        assert_eq!(queue.call("event.offline.get", &json!({}))["events"], json!([]));
    }
}

#[test]
fn a_thousand_edits_are_one_row_with_the_last_time() {
    let queue = Queue::new();
    queue.edit(&[3; 500]);
    queue.bench.portal().clock().advance(Duration::from_secs(9));
    queue.edit(&[3; 500]);
    let rows = queue.bench.portal().offline_events();
    assert_eq!((rows.len(), rows[0].at), (1, 1_790_000_009));
    let id = queue.bench.portal().ids(Entity::Deal)[3];
    queue.bench.portal().delete(Entity::Deal, id);
    let events: Vec<_> = queue.bench.portal().offline_events().into_iter().map(|row| (row.event, row.object)).collect();
    assert_eq!(events, [("ONCRMDEALUPDATE".to_owned(), Some(id)), ("ONCRMDEALDELETE".to_owned(), Some(id))]);
}

#[test]
fn readers_get_disjoint_rows_that_stay_until_they_are_cleared() {
    let queue = Queue::new();
    queue.edit(&[0, 1, 2, 3, 4]);
    let (first, numbers) = queue.get(&json!({"clear": 0, "limit": 2}));
    assert_eq!(numbers, [0, 1]);
    let (second, numbers) = queue.get(&json!({"clear": 0}));
    assert_eq!(numbers, [2, 3, 4]);
    assert_ne!(first, second);
    assert_eq!(queue.get(&json!({"clear": 0})).1, [0; 0]);
    // An edit meanwhile makes a new row.
    queue.edit(&[1]);
    assert_eq!(queue.get(&json!({"clear": 0, "process_id": first})).1, [0, 1]);
    let reserved = queue.bench.portal().offline_events();
    assert_eq!(json!(reserved[0].process_id), first);
    let one = json!({"process_id": first, "message_id": [reserved[0].id]});
    assert_eq!(queue.call("event.offline.clear", &one), json!(true));
    assert_eq!(queue.get(&json!({"clear": 0, "process_id": first})).1, [1]);
    queue.call("event.offline.clear", &json!({"process_id": first}));
    queue.call("event.offline.clear", &json!({"process_id": second}));
    assert_eq!(queue.get(&json!({})).1, [1]);
    assert_eq!(queue.bench.portal().offline_events(), []);
}

#[test]
fn failed_rows_are_read_again_with_error() {
    let queue = Queue::new();
    queue.edit(&[0, 1]);
    let (process, _) = queue.get(&json!({"clear": 0}));
    let rows = queue.bench.portal().offline_events();
    let failed = json!({"process_id": process, "message_id": [rows[1].id.to_string()]});
    assert_eq!(queue.call("event.offline.error", &failed), json!(true));
    queue.call("event.offline.clear", &json!({"process_id": process}));
    assert_eq!(queue.get(&json!({"clear": 0})).1, [0; 0]);
    let listed = queue.call("event.offline.list", &json!({"filter": {"ERROR": 1}}));
    assert_eq!((&listed[0]["ERROR"], &listed[0]["PROCESS_ID"]), (&json!("1"), &json!("")));
    let (process, numbers) = queue.get(&json!({"clear": 0, "error": 1}));
    assert_eq!(numbers, [1]);
    queue.call("event.offline.clear", &json!({"process_id": process}));
    assert_eq!(queue.bench.portal().offline_events(), []);
}

#[test]
fn rows_can_be_filtered_ordered_and_paged() {
    let queue = Queue::with(ApplicationRules::default(), &["ONCRMLEADADD", "ONCRMDEALUPDATE"]);
    let portal = queue.bench.portal();
    for _ in 0..60 {
        portal.add(Entity::Lead, []);
    }
    portal.clock().advance(Duration::from_secs(60));
    queue.edit(&[5]);
    let ids = |params: Value| {
        let rows = queue.call("event.offline.list", &params);
        rows.as_array().unwrap().iter().map(|row| row["ID"].as_str().unwrap().parse().unwrap()).collect::<Vec<i64>>()
    };
    let page = call_as(&queue.bench, &queue.token, "event.offline.list", &json!({})).json();
    assert_eq!((&page["total"], &page["next"]), (&json!(61), &json!(50)));
    assert_eq!(ids(json!({"start": 50})), (51..=61).collect::<Vec<_>>());
    assert_eq!(ids(json!({"order": {"ID": "DESC"}}))[..2], [61, 60]);
    assert_eq!(ids(json!({"filter": {"=EVENT_NAME": "ONCRMDEALUPDATE"}})), [61]);
    assert_eq!(ids(json!({"filter": {">=ID": 59, "<ID": 61, "!MESSAGE_ID": "60"}})), [59]);
    assert_eq!(ids(json!({"filter": {">TIMESTAMP_X": "2026-09-21T17:13:20+03:00"}})), [61]);
    assert_eq!(queue.get(&json!({"filter": {"=EVENT_NAME": "ONCRMDEALUPDATE"}})).1, [5]);
    assert_eq!(portal.offline_events().len(), 60);
}

#[test]
fn a_key_makes_a_queue_of_its_own_without_the_applications_own_changes() {
    let queue = Queue::new();
    let key = json!({"event": "ONCRMDEALUPDATE", "event_type": "offline", "auth_connector": "sync"});
    queue.call("event.bind", &key);
    let ids = queue.bench.portal().ids(Entity::Deal);
    let own = |number: usize, connector: Value| {
        let params = json!({"id": ids[number], "fields": {"TITLE": "own"}, "auth_connector": connector});
        queue.call("crm.deal.update", &params);
    };
    own(0, json!("sync"));
    own(1, json!("other"));
    queue.edit(&[2]);
    assert_eq!(queue.get(&json!({"auth_connector": "sync"})).1, [1, 2]);
    assert_eq!(queue.get(&json!({})).1, [0, 1, 2]);
    assert_eq!(queue.call("event.offline.list", &json!({"auth_connector": "sync"})), json!([]));
}

#[test]
fn the_queue_is_for_administrators_and_partly_for_better_plans() {
    let queue = Queue::with(
        ApplicationRules { features: std::collections::BTreeSet::new(), ..ApplicationRules::default() },
        &["ONCRMDEALUPDATE"],
    );
    queue.edit(&[0]);
    assert_eq!(queue.refused("event.offline.get", &json!({"clear": 0})), (403, "WRONG_LICENSE".into()));
    let key = json!({"event": "ONCRMDEALUPDATE", "event_type": "offline", "auth_connector": "k"});
    assert_eq!(queue.refused("event.bind", &key), (403, "WRONG_LICENSE".into()));
    assert_eq!(queue.refused("event.offline.clear", &json!({})), (400, "ERROR_ARGUMENT".into()));
    assert_eq!(queue.get(&json!({})).1, [0]);
    queue.bench.portal().set_admin(false);
    let sample: Value =
        serde_json::from_str(include_str!("../../fixtures/errors/403.event.offline.ACCESS_DENIED.json")).unwrap();
    for method in ["get", "list", "clear", "error"] {
        let reply = call_as(&queue.bench, &queue.token, &format!("event.offline.{method}"), &json!({}));
        assert_eq!((reply.status, reply.json()), (403, sample.clone()), "{method}");
    }
}

#[test]
fn an_online_event_wakes_the_reader_up_and_keeps_its_distance() {
    let (queue, handler) = (Queue::new(), Handler::start());
    let wake_up = json!({"event": "ONOFFLINEEVENT", "handler": handler.url("/h"), "options": {"minTimeout": 1}});
    queue.call("event.bind", &wake_up);
    queue.edit(&[0, 1, 2, 3, 0, 1]);
    assert!(queue.bench.portal().wait_for_deliveries(Duration::from_secs(20)));
    let received = handler.received();
    assert_eq!(received.len(), 2, "the first at once, one more for all that came after it");
    assert!(received[1].at - received[0].at >= Duration::from_millis(900));
    let sample = pairs(include_str!("../../fixtures/events/app.ONOFFLINEEVENT.txt").trim());
    let names = |form: &[(String, String)]| {
        let names = form.iter().map(|(name, _)| name.clone());
        names.filter(|name| name != "event_handler_id").collect::<Vec<_>>()
    };
    assert_eq!(names(&received[0].pairs()), names(&sample));
    let refresh_token = queue.bench.portal().application_tokens().unwrap().refresh_token;
    assert_eq!(received[0].get("auth[refresh_token]"), Some(refresh_token));
    assert_eq!(queue.bench.portal().offline_events().len(), 4);
}

#[test]
fn the_queue_survives_while_nobody_reads_and_ends_with_the_application() {
    let queue = Queue::new();
    queue.edit(&[0]);
    queue.bench.portal().clock().advance(Duration::from_secs(40 * 86_400));
    assert_eq!(queue.bench.portal().offline_events().len(), 1);
    queue.bench.portal().uninstall_application(false);
    assert_eq!(queue.bench.portal().offline_events(), []);
}
