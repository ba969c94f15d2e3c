//! Connections on which nothing goes on: they make room, and they end.

use std::time::{Duration, Instant};

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::server::{SOON, get, read_all, read_until, run};
use super::support::Mocks;
use crate::ApiSettings;

/// Settings under which the server's own timers end nothing while a test runs.
fn patient(max_connections: usize) -> ApiSettings {
    let long = Duration::from_secs(600);
    ApiSettings { max_connections, head_timeout: long, keep_alive: long, ..ApiSettings::default() }
}

#[actix_web::test]
async fn idle_connections_make_room_for_new_ones_and_those_that_asked_stay_longest() {
    let running = run(Mocks::willing().ports(), patient(16));
    let mut asked = running.send(&get("/health/live", "keep-alive")).await;
    read_until(&mut asked, "alive\"}").await;
    let mut listening = running.send(&get("/api/v1/events", "keep-alive")).await;
    read_until(&mut listening, "event: ended").await;
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(TcpStream::connect(running.address).await.unwrap());
    }
    let begun = Instant::now();
    let mut new = running.send(&get("/health/live", "close")).await;
    assert!(read_all(&mut new).await.starts_with("HTTP/1.1 200"));
    assert!(begun.elapsed() < SOON);
    assert_eq!(read_all(&mut idle[0]).await, "", "the first to come is the first to go");
    asked.write_all(get("/health/live", "close").as_bytes()).await.unwrap();
    assert!(read_all(&mut asked).await.starts_with("HTTP/1.1 200"));
    listening.write_all(b"x").await.unwrap();
    assert!(timeout(Duration::from_millis(50), read_all(&mut listening)).await.is_err(), "a listener is not idle");
    running.stop().await;
}

#[actix_web::test]
async fn a_second_head_that_does_not_come_is_given_up() {
    let short = Duration::from_millis(100);
    let settings = ApiSettings { head_timeout: short, keep_alive: short, ..ApiSettings::default() };
    let running = run(Mocks::willing().ports(), settings);
    let mut stream = running.send(&get("/health/live", "keep-alive")).await;
    read_until(&mut stream, "alive\"}").await;
    stream.write_all(b"GET /health/live HTTP/1.1\r\nX-Slow: ").await.unwrap();
    assert_eq!(read_all(&mut stream).await, "");
    running.stop().await;
}

#[actix_web::test]
async fn a_body_without_an_end_that_nobody_reads_is_given_up() {
    let short = Duration::from_millis(100);
    let settings = ApiSettings { head_timeout: short, keep_alive: short, ..ApiSettings::default() };
    let running = run(Mocks::willing().ports(), settings);
    let head = "GET /health/live HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut stream = running.send(head).await;
    read_until(&mut stream, "alive\"}").await;
    let deadline = Instant::now() + SOON;
    while stream.write_all(b"1\r\nx\r\n").await.is_ok() {
        assert!(Instant::now() < deadline, "it goes on for ever");
        sleep(Duration::from_millis(10)).await;
    }
    running.stop().await;
}
