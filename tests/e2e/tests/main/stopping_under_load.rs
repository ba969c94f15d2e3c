//! P5: SIGTERM while clients ask without a pause. No request that was sent stays without its answer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use b24sync_portal_emulator::{Fault, FaultPlan};

use crate::kept_alive::KeptAlive;
use crate::running::{Service, figure, token, token_of, unscheduled, until};

/// Clients of each kind.
const CLIENTS: usize = 6;

/// Users that a client asks for in turn, because each may ask a hundred times at once and ten times a second.
const USERS: usize = 100;

const PATHS: [&str; 4] =
    ["/health/live", "/api/v1/sync/running", "/api/v1/status/history?per_page=5", "/api/v1/sync/status"];

/// What the clients know.
#[derive(Default)]
struct Signs {
    /// SIGTERM is on its way.
    terminating: AtomicBool,
    /// Readiness has said no.
    not_ready: AtomicBool,
}

/// How a client takes its leave.
#[derive(Clone, Copy)]
enum Leaves {
    /// As balancers do: once readiness says no.
    WhenNotReady,
    /// As clients without a balancer do: once it is refused.
    WhenRefused,
}

/// What a client saw.
#[derive(Debug, Default)]
struct Seen {
    before: usize,
    /// Answers to requests that were sent after the signal.
    after: usize,
    /// Answers that said that the connection closes.
    last_on_connection: usize,
    /// Requests without an answer, or with one that is no success.
    failed: Vec<String>,
}

/// Asks without a pause, each time on the same connection unless the server closes it.
///
/// A server may close an idle connection at any time. Whether it did so before a request was written, or instead of
/// answering it, is told apart thus: a connection whose end can be read before anything is written is opened anew, as is
/// one that takes no byte of the request. From the first byte that was taken an end without an answer is a failure, even
/// if the server's own end was on its way: with connections that are never idle for longer than it takes to write the
/// next request, and with answers that announce the end, nothing excuses it.
fn ask_on_and_on(address: &str, number: usize, leaves: Leaves, signs: &Signs) -> Seen {
    let tokens: Vec<String> = (0..USERS)
        .map(|user| token_of(&format!("5f1d9a3e-2c1b-4d6e-9f00-{:012}", number * USERS + user), Some("viewer")))
        .collect();
    let mut seen = Seen::default();
    let mut connection: Option<KeptAlive> = None;
    for (path, token) in PATHS.iter().cycle().zip(tokens.iter().cycle()) {
        if matches!(leaves, Leaves::WhenNotReady) && signs.not_ready.load(Ordering::SeqCst) {
            return seen;
        }
        let mut open = match connection.take().filter(|open| !open.is_closed()) {
            Some(open) => open,
            None => match KeptAlive::open(address) {
                Ok(open) => open,
                Err(_) if signs.terminating.load(Ordering::SeqCst) => return seen,
                Err(error) => {
                    seen.failed.push(format!("no connection: {error}"));
                    return seen;
                }
            },
        };
        let terminating = signs.terminating.load(Ordering::SeqCst);
        if open.send_get(path, token).is_err() {
            continue;
        }
        match open.receive() {
            Ok(answer) if answer.status == 200 => {
                *(if terminating { &mut seen.after } else { &mut seen.before }) += 1;
                if answer.closes {
                    seen.last_on_connection += 1;
                } else {
                    connection = Some(open);
                }
            }
            Ok(answer) => seen.failed.push(format!("{path}: {}", answer.status)),
            Err(error) => seen.failed.push(format!("{path}: {error}")),
        }
    }
    unreachable!("there is always a next path")
}

/// Asks `/health/ready` as a balancer does, every 50 ms, until it says no; what it says is written down.
fn watch_readiness(service: &Service, signs: &Signs) -> BTreeMap<String, usize> {
    let mut said = BTreeMap::new();
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        let (status, body) = service.ask("GET", "/health/ready", None, None);
        *said.entry(format!("{status} {}", body["status"])).or_default() += 1;
        if status != 200 {
            signs.not_ready.store(true, Ordering::SeqCst);
            return said;
        }
        thread::sleep(Duration::from_millis(50));
    }
    said
}

/// A change whose body is half sent.
fn half_a_change(service: &Service) -> (KeptAlive, &'static str) {
    let (first, rest) = (r#"{"entity_type": "lead", "#, r#""sync_interval_minutes": 15}"#);
    let mut connection = KeptAlive::open(&service.address).unwrap();
    let head = format!(
        "PUT /api/v1/sync/config HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{first}",
        token(Some("admin")),
        first.len() + rest.len()
    );
    connection.send(&head).unwrap();
    (connection, rest)
}

/// The notice that the service gives, and whether its clients see it.
async fn stop_under_load(notice: &str) {
    let stage = unscheduled(9_000).await;
    stage.portal().set_faults(FaultPlan::always(Fault::Delay { milliseconds: 100 }));
    let mut service = Service::start_with(&stage, &[("SHUTDOWN_NOTICE_SECONDS", notice)]);
    let (status, _) = service.ask("POST", "/api/v1/sync/start/deal", Some(&token(Some("operator"))), None);
    assert_eq!(status, 202);
    let viewer = token(Some("viewer"));
    until("a sync", || service.get("/api/v1/sync/status", &viewer)["overall_status"] == "running");

    let signs = Signs::default();
    let (seen, said) = thread::scope(|scope| {
        let clients: Vec<_> = [Leaves::WhenNotReady, Leaves::WhenRefused]
            .into_iter()
            .cycle()
            .take(2 * CLIENTS)
            .enumerate()
            .map(|(number, leaves)| {
                let (address, signs) = (&service.address, &signs);
                scope.spawn(move || ask_on_and_on(address, number, leaves, signs))
            })
            .collect();
        let balancer = (notice != "0").then(|| scope.spawn(|| watch_readiness(&service, &signs)));
        let (mut change, rest) = half_a_change(&service);
        // As many requests as it takes for the load to be a load.
        until("load", || service.get("/api/v1/status/history", &viewer)["history"][0]["records_processed"] != 0);
        signs.terminating.store(true, Ordering::SeqCst);
        service.terminate();
        let said = balancer.map(|balancer| balancer.join().unwrap());
        if notice == "0" {
            signs.not_ready.store(true, Ordering::SeqCst);
        }
        change.send(rest).unwrap();
        let answer = change.receive().unwrap();
        assert_eq!((answer.status, answer.closes), (200, true), "{}", String::from_utf8_lossy(&answer.body));
        let seen: Vec<Seen> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        (seen, said)
    });
    assert_eq!(service.exit_code(), Some(0));
    assert!(KeptAlive::open(&service.address).is_err(), "it still listens");

    let failed: Vec<&String> = seen.iter().flat_map(|client| &client.failed).collect();
    assert!(failed.is_empty(), "{} of them, {:?}", failed.len(), &failed[..failed.len().min(10)]);
    let sum = |count: fn(&Seen) -> usize| seen.iter().map(count).sum::<usize>();
    let (before, after, last) = (sum(|seen| seen.before), sum(|seen| seen.after), sum(|seen| seen.last_on_connection));
    figure(&format!(
        "{before} answers before the signal, {after} after it, {last} of them the last on their connection"
    ));
    assert!(before > 100 && last > 0, "that was no load");
    if let Some(said) = said {
        assert!(after > 100, "it served {after} requests while it said that it would stop");
        assert_eq!(said.get("503 \"draining\""), Some(&1), "{said:?}");
        assert!(said.len() == 2 && said.contains_key("200 \"ready\""), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_when_a_service_stops_under_load_after_a_notice() {
    stop_under_load("2").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_when_a_service_stops_under_load_at_once() {
    stop_under_load("0").await;
}
