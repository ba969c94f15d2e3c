//! The HTTP interface from outside: tokens, roles, and syncs that are started, watched and stopped through it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use b24sync_portal_emulator::{Fault, FaultPlan};
use serde_json::{Value, json};

use crate::running::{SUBJECT, Service, token, unscheduled, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_is_started_watched_and_stopped_and_the_log_and_the_audit_tell_of_it() {
    let stage = unscheduled(9_000).await;
    stage.portal().set_faults(FaultPlan::always(Fault::Delay { milliseconds: 150 }));
    let service = Service::start(&stage);
    let (viewer, operator, admin) = (token(Some("viewer")), token(Some("operator")), token(Some("admin")));
    assert_eq!(service.ask("POST", "/api/v1/sync/start/deal", None, None).0, 401);
    assert_eq!(service.ask("POST", "/api/v1/sync/start/deal", Some("nonsense"), None).0, 401);
    assert_eq!(service.ask("GET", "/api/v1/sync/status", Some(&token(None)), None).0, 403);
    assert_eq!(service.ask("POST", "/api/v1/sync/start/deal", Some(&viewer), None).0, 403);
    let (status, problem) = service.ask("POST", "/api/v1/sync/start/invoice", Some(&operator), None);
    assert_eq!((status, problem["status"].as_i64()), (404, Some(404)));
    assert!(problem["message"].as_str().unwrap().contains("deal"), "{problem}");
    let full = json!({ "sync_type": "full" });
    let (status, started) = service.ask("POST", "/api/v1/sync/start/deal", Some(&operator), Some(&full));
    assert_eq!((status, started["status"].as_str()), (202, Some("started")), "{started}");
    let run = started["run_id"].as_i64().unwrap();
    let (_, again) = service.ask("POST", "/api/v1/sync/start/deal", Some(&operator), Some(&full));
    assert_eq!((again["status"].as_str(), again["run_id"].as_i64()), (Some("already_running"), Some(run)));
    until("progress", || {
        service.get("/api/v1/sync/running", &viewer)["runs"][0]["records_processed"].as_i64().unwrap_or_default() > 0
    });
    assert_eq!(service.get("/api/v1/sync/status", &viewer)["overall_status"], "running");
    assert_eq!(service.ask("POST", "/api/v1/sync/cancel/deal", Some(&operator), None).0, 200);
    until("the end", || service.get("/api/v1/sync/running", &viewer)["count"] == 0);
    let history = service.get("/api/v1/status/history?entity_type=deal&per_page=5", &viewer);
    assert_eq!((history["total"].as_i64(), history["history"][0]["status"].as_str()), (Some(1), Some("cancelled")));
    stage.portal().set_faults(FaultPlan::none());
    let (_, resumed) = service.ask("POST", "/api/v1/sync/start/deal", Some(&operator), Some(&full));
    assert_eq!(resumed["run_id"].as_i64(), Some(run), "it goes on under its number");
    until("the end", || {
        service.get("/api/v1/status/stats", &viewer)["entities"]["deal"]["count"] == 9_000
            && service.get("/api/v1/sync/running", &viewer)["count"] == 0
    });
    let change = json!({ "entity_type": "lead", "sync_interval_minutes": 15 });
    assert_eq!(service.ask("PUT", "/api/v1/sync/config", Some(&operator), Some(&change)).0, 403);
    let (status, changed) = service.ask("PUT", "/api/v1/sync/config", Some(&admin), Some(&change));
    assert_eq!((status, changed["sync_interval_minutes"].as_i64()), (200, Some(15)), "{changed}");
    let scheduler = service.get("/api/v1/status/scheduler", &viewer);
    assert_eq!(scheduler["running"], true, "{scheduler}");
    let checked = service.get("/api/v1/sync/validate/deal", &viewer);
    assert!(checked["records_tested"].as_i64().unwrap() > 0, "{checked}");
    let audit = "select count(*) from b24sync.audit where subject = $1";
    let audited: i64 = stage.client().await.query_one(audit, &[&SUBJECT]).await.unwrap().get(0);
    assert_eq!(audited, 5, "three starts, one cancellation, one change");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_hears_of_syncs_and_the_description_is_that_of_the_command() {
    let stage = unscheduled(300).await;
    let service = Service::start(&stage);
    let operator = token(Some("operator"));
    let mut stream = TcpStream::connect(&service.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    write!(stream, "GET /api/v1/events HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {operator}\r\n\r\n").unwrap();
    let (status, _) = service.ask("POST", "/api/v1/sync/start/deal", Some(&operator), None);
    assert_eq!(status, 202);
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("event: ended")), "the stream ended before the sync");
    let data = lines.find(|line| line.starts_with("data:")).unwrap();
    assert!(data.contains("\"completed\"") && data.contains("\"deal\""), "{data}");
    let served = service.get("/api/v1/openapi.json", &operator);
    let printed = stage.run(&["openapi"]).await.expect_success().stdout;
    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), served);
}
