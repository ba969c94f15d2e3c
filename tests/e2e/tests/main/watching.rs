//! Figures and log lines of the running service, as those who watch it read them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use b24sync_portal_emulator::{Counts, PortalConfig};
use serde_json::Value;

use crate::stage::Stage;

const TOKEN: &str = "a-token-for-the-watchers";

/// A service whose lines are kept.
struct Watched {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Watched {
    fn start(stage: &Stage) -> Watched {
        let mut command = stage.command(&["serve", "--host", "127.0.0.1", "--port", "0"]);
        command.env("METRICS_BIND", "127.0.0.1:0").env("METRICS_TOKEN", TOKEN);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (lines, said) = (Arc::default(), BufReader::new(child.stderr.take().unwrap()).lines());
        let kept: Arc<Mutex<Vec<String>>> = Arc::clone(&lines);
        std::thread::spawn(move || said.map_while(Result::ok).for_each(|line| kept.lock().unwrap().push(line)));
        Watched { child, lines }
    }

    /// The first line that `is` it.
    fn line(&self, what: &str, is: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(line) = self.lines.lock().unwrap().iter().find(|line| is(line)) {
                return line.clone();
            }
            assert!(Instant::now() < deadline, "{what} was not said: {:#?}", self.lines.lock().unwrap());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends SIGTERM.
    fn terminate(&self) {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    fn address(&self, before: &str) -> String {
        let line = self.line(before, |line| line.contains(before));
        line.split(before).nth(1).unwrap().split([' ', '/']).next().unwrap().to_owned()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The whole answer, head and body.
fn ask(address: &str, path: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\nHost: test\r\n{headers}\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_and_lines_tell_what_was_done_to_those_who_may_know() {
    let counts = Counts { deals: 300, leads: 20, contacts: 20, companies: 20 };
    let stage = Stage::new(PortalConfig { counts, user_fields: 1, ..PortalConfig::default() }).await;
    let service = Watched::start(&stage);
    let (api, figures) = (service.address("listening on http://"), service.address("metrics on http://"));
    let completed = service.line("a completed sync", |line| {
        line.contains("\"sync completed\"") && line.contains("\"entity_type\":\"deal\"")
    });
    let completed: Value = serde_json::from_str(&completed).unwrap();
    assert_eq!(completed["fields"]["records_processed"], 300, "{completed}");
    assert!(completed["fields"]["duration_seconds"].as_f64().unwrap() > 0.0, "{completed}");
    assert!(completed["spans"].to_string().contains("sync.backfill"), "{completed}");
    let text = ask(&figures, "/metrics", "");
    for figure in [
        "b24sync_records_total{entity=\"deal\",outcome=\"written\"} 300",
        "b24sync_runs_total{entity=\"deal\",kind=\"full\",status=\"completed\"} 1",
        "b24sync_run_duration_seconds_bucket{entity=\"deal\",kind=\"full\",le=\"+Inf\"} 1",
        "b24sync_table_rows{entity=\"deal\"} 300",
        "b24sync_quarantined_records{entity=\"deal\"} 0",
        "b24sync_portal_requests_total{method=\"batch\",outcome=\"ok\"}",
        "b24sync_pacer_wait_seconds_count{lane=\"full\"}",
        "b24sync_scheduler_leader 1",
        "b24sync_database_up 1",
        "b24sync_database_connections{state=\"most\"} 15",
        "b24sync_complete_lag_seconds{entity=\"deal\"} 3",
        "# HELP b24sync_freshness_lag_seconds ",
        "b24sync_records_total{entity=\"lead\",outcome=\"quarantined\"} 0",
        "b24sync_runs_total{entity=\"contact\",kind=\"sweep\",status=\"failed\"} 0",
        "b24sync_events_total{outcome=\"accepted\"} 0",
        "b24sync_portal_limit_answers_total{limit=\"operating\"} 0",
    ] {
        assert!(text.contains(figure), "no {figure} in\n{text}");
    }
    assert!(ask(&figures, "/health", "").starts_with("HTTP/1.0 404"), "figures and nothing else");
    assert!(ask(&api, "/health", "").starts_with("HTTP/1.0 200"));
    let with_token = format!("Authorization: Bearer {TOKEN}\r\n");
    assert!(ask(&api, "/metrics", &with_token).contains("b24sync_http_requests_total"));
    assert!(ask(&api, "/metrics", "").starts_with("HTTP/1.0 401"));
    assert!(ask(&api, "/metrics", "Authorization: Bearer another\r\n").starts_with("HTTP/1.0 401"));
    assert!(!service.lines.lock().unwrap().iter().any(|line| line.contains(TOKEN)), "the token was logged");
    service.terminate();
    let last = service.line("the end", |line| line.contains("\"the service has stopped\""));
    assert!(last.contains("INFO"), "{last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_talks_nonsense_does_not_fill_the_log() {
    let stage = Stage::new(PortalConfig { counts: Counts::deals(0), user_fields: 1, ..PortalConfig::default() }).await;
    let service = Watched::start(&stage);
    let api = service.address("listening on http://");
    for nonsense in ["nonsense\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n"] {
        let mut stream = TcpStream::connect(&api).unwrap();
        stream.write_all(nonsense.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400") && body.is_empty(), "{answer}");
    }
    service.terminate();
    service.line("the end", |line| line.contains("\"the service has stopped\""));
    let said = service.lines.lock().unwrap().iter().filter(|line| line.contains("actix")).cloned().collect::<Vec<_>>();
    assert!(said.is_empty(), "{said:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_tells_how_far_behind_a_table_is_and_what_verify_found() {
    let stage = Stage::new(PortalConfig { counts: Counts::deals(30), user_fields: 1, ..PortalConfig::default() }).await;
    stage.run(&["migrate"]).await.expect_success();
    stage.run(&["sync", "deal"]).await.expect_success();
    let client = stage.client().await;
    client
        .batch_execute(
            "update crm_deals set title = 'by hand' where bitrix_id in (select bitrix_id from crm_deals limit 2)",
        )
        .await
        .unwrap();
    assert_eq!(stage.run(&["verify", "deal"]).await.code, Some(3));
    let status = stage.run(&["status", "--output", "json"]).await.expect_success().stdout;
    let status: Value = serde_json::from_str(&status).unwrap();
    let deal = status["entities"].as_array().unwrap().iter().find(|entity| entity["entity"] == "deal").unwrap();
    assert_eq!((&deal["drift"]["different"], &deal["drift"]["missing"]), (&Value::from(2), &Value::from(0)), "{deal}");
    // The watermark stays 300 s behind the portal's time.
    assert!((300..400).contains(&deal["complete_lag_seconds"].as_i64().unwrap()), "{deal}");
    assert!(deal["freshness_lag_seconds"].as_i64().is_some(), "{deal}");
    let table = stage.run(&["status"]).await.expect_success().stdout;
    assert!(table.contains("5 minutes ago"), "{table}");
}
