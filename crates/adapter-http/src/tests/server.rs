//! The real server on a real socket: slow clients and going out of service.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use b24sync_domain::entity::EntityType;
use b24sync_domain::error::StoreError;
use b24sync_domain::ports::{Cancelled, RunningSync, Started, SyncControl};
use b24sync_domain::run::RunKind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::support::Mocks;
use crate::{ApiPorts, ApiSettings, Drain, build};

pub(super) const SOON: Duration = Duration::from_secs(10);

pub(super) struct Running {
    pub(super) address: SocketAddr,
    pub(super) drain: Drain,
    server: actix_web::rt::task::JoinHandle<std::io::Result<()>>,
}

pub(super) fn run(ports: ApiPorts, settings: ApiSettings) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let settings = ApiSettings { workers: Some(1), ..settings };
    let (server, drain) = build(ports, settings, listener).unwrap();
    Running { address, drain, server: actix_web::rt::spawn(server) }
}

impl Running {
    pub(super) async fn stop(self) {
        timeout(SOON, self.drain.stop()).await.unwrap();
        timeout(SOON, self.server).await.unwrap().unwrap().unwrap();
    }

    /// A connection on which this was sent.
    pub(super) async fn send(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }
}

/// All that comes until the connection is closed.
pub(super) async fn read_all(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    timeout(SOON, stream.read_to_end(&mut bytes)).await.unwrap().unwrap();
    String::from_utf8(bytes).unwrap()
}

/// All that comes until this has come.
pub(super) async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut bytes = Vec::new();
    while !String::from_utf8_lossy(&bytes).contains(end) {
        assert_ne!(timeout(SOON, stream.read_buf(&mut bytes)).await.unwrap().unwrap(), 0, "closed before {end}");
    }
    String::from_utf8(bytes).unwrap()
}

#[actix_web::test]
async fn a_body_that_does_not_come_is_given_up() {
    let settings = ApiSettings { body_timeout: Duration::from_millis(100), ..ApiSettings::default() };
    let running = run(Mocks::willing().ports(), settings);
    let head = "POST /api/v1/sync/start/deal HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer operator\r\n\
                Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{";
    let mut stream = running.send(head).await;
    let answer = read_until(&mut stream, "body-timeout").await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    drop(stream);
    running.stop().await;
}

#[actix_web::test]
async fn a_body_that_nobody_reads_does_not_keep_the_connection() {
    let settings = ApiSettings { keep_alive: Duration::from_millis(100), ..ApiSettings::default() };
    let running = run(Mocks::willing().ports(), settings);
    let mut stream = running.send("GET /health/live HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n{").await;
    let answer = read_all(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    running.stop().await;
}

#[actix_web::test]
async fn head_is_answered_like_get_but_without_a_body() {
    let running = run(Mocks::willing().ports(), ApiSettings::default());
    let mut stream = running.send("HEAD /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let answer = read_all(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\n"), "{answer}");
    assert_eq!(answer.matches("\r\n\r\n").count(), 1, "{answer}");
    running.stop().await;
}

#[actix_web::test]
async fn a_head_that_does_not_come_is_given_up() {
    let settings = ApiSettings { head_timeout: Duration::from_millis(100), ..ApiSettings::default() };
    let running = run(Mocks::willing().ports(), settings);
    let mut stream = running.send("GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ").await;
    let answer = read_all(&mut stream).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    running.stop().await;
}

#[actix_web::test]
async fn a_handler_that_hangs_is_given_up() {
    let gate = Arc::new(Semaphore::new(0));
    let ports = ApiPorts { syncs: Arc::new(Waiting(gate)), ..Mocks::willing().ports() };
    let running = run(ports, ApiSettings { handler_timeout: Duration::from_millis(100), ..ApiSettings::default() });
    let mut stream = running.send(&get("/api/v1/sync/running", "close")).await;
    let answer = read_all(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 5"), "{answer}");
    running.stop().await;
}

#[actix_web::test]
async fn draining_lets_open_requests_finish_ends_streams_and_closes_idle_connections() {
    let gate = Arc::new(Semaphore::new(0));
    let ports = ApiPorts { syncs: Arc::new(Waiting(Arc::clone(&gate))), ..Mocks::willing().ports() };
    let running = run(ports, ApiSettings::default());
    let mut idle = running.send(&get("/health/live", "keep-alive")).await;
    read_until(&mut idle, "alive\"}").await;
    let mut listening = running.send(&get("/api/v1/events", "keep-alive")).await;
    read_until(&mut listening, "event: ended").await;
    let mut open = running.send(&get("/api/v1/sync/running", "keep-alive")).await;
    // Proves that the open request has been taken up: the one thread serves in order of arrival.
    read_until(&mut running.send(&get("/health/live", "close")).await, "alive\"}").await;

    let begun = Instant::now();
    let finish = async {
        read_all(&mut listening).await;
        gate.add_permits(1);
        let answer = read_until(&mut open, "running_syncs").await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
    };
    let ((), ()) = tokio::join!(running.drain.stop(), finish);
    timeout(SOON, running.server).await.unwrap().unwrap().unwrap();
    assert!(begun.elapsed() < SOON, "an idle connection held the server up");
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[actix_web::test]
async fn settings_with_problems_are_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let settings = ApiSettings { allowed_origins: vec!["*".to_owned()], ..ApiSettings::default() };
    let error = build(Mocks::default().ports(), settings, listener).err().unwrap();
    assert!(error.to_string().contains("`*`"), "{error}");
}

pub(super) fn get(path: &str, connection: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer viewer\r\nConnection: {connection}\r\n\r\n")
}

/// Does not answer before it is let.
struct Waiting(Arc<Semaphore>);

#[async_trait]
impl SyncControl for Waiting {
    async fn start(&self, _: EntityType, _: RunKind) -> Result<Started, StoreError> {
        unreachable!("nothing is started here")
    }

    async fn cancel(&self, _: EntityType) -> Result<Cancelled, StoreError> {
        unreachable!("nothing is cancelled here")
    }

    async fn running(&self) -> Result<Vec<RunningSync>, StoreError> {
        let _permit = self.0.acquire().await.unwrap();
        Ok(Vec::new())
    }
}
