//! What nginx lets through and what it keeps to itself.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::cluster::{Cluster, INSTANCES};
use crate::listening::TOKEN;
use crate::running::{token, unscheduled, until};

/// Sends a request as it is, and reads until the other side closes or has said this.
fn exchange(address: &str, request: &str, enough: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let (mut answer, mut chunk) = (String::new(), [0; 4_096]);
    while let Ok(length @ 1..) = stream.read(&mut chunk) {
        answer.push_str(&String::from_utf8_lossy(&chunk[..length]));
        if !enough.is_empty() && answer.contains(enough) {
            break;
        }
    }
    answer
}

fn get(address: &str, path: &str, headers: &str) -> String {
    exchange(address, &format!("GET {path} HTTP/1.1\r\nHost: test\r\n{headers}Connection: close\r\n\r\n"), "")
}

fn event(address: &str, more: usize) -> String {
    let body = format!(
        "event=ONCRMDEALUPDATE&data%5BFIELDS%5D%5BID%5D=1&auth%5Bapplication_token%5D={TOKEN}&x={}",
        "y".repeat(more)
    );
    let head = "POST /api/v1/webhooks/bitrix HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\
                Content-Type: application/x-www-form-urlencoded\r\n";
    exchange(address, &format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()), "")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nginx_streams_at_once_limits_bodies_believes_no_client_and_logs_no_token() {
    let Some(mut cluster) = Cluster::start(unscheduled(10).await, &[]).await else { return };
    let (address, viewer) = (cluster.balancer.address.clone(), token(Some("viewer")));

    // Figures are not for strangers, and everything else is passed on.
    assert!(get(&address, "/metrics", "Authorization: Bearer figures-for-the-test\r\n").starts_with("HTTP/1.1 404"));
    assert!(get(&address, "/health/ready", "").contains(r#"{"status":"ready"}"#));

    // An event within the limit, and one above it.
    assert!(event(&address, 10).starts_with("HTTP/1.1 200"));
    assert!(event(&address, 70_000).starts_with("HTTP/1.1 413"));

    // A stream comes as it is written: its beginning is there while it goes on.
    let stream = format!("GET /api/v1/events?access_token={viewer} HTTP/1.1\r\nHost: test\r\n\r\n");
    let begun = exchange(&address, &stream, "\r\n\r\n");
    assert!(begun.starts_with("HTTP/1.1 200") && begun.contains("text/event-stream"), "{begun}");
    let said = exchange(&address, &stream, ":");
    assert!(said.contains("text/event-stream"), "{said}");

    // Refused tokens are counted by the client's address, whatever the client says of it.
    let refused = (0..INSTANCES * 30).filter(|number| {
        let headers = format!("Authorization: Bearer x\r\nX-Forwarded-For: 203.0.113.{number}\r\n");
        let answer = get(&address, "/api/v1/sync/status", &headers);
        answer.starts_with("HTTP/1.1 429") && answer.contains("application/problem+json")
    });
    assert!(refused.count() > 0, "every request seems to come from another client");

    // Nor is a token written down when nothing answers.
    cluster.services.iter_mut().for_each(crate::running::Service::kill);
    until("that nginx knows", || {
        get(&address, &format!("/api/v1/events?access_token={viewer}"), "").starts_with("HTTP/1.1 502")
    });
    let logs = cluster.balancer.logs();
    assert!(logs.contains("/api/v1/events") && !logs.contains(&*viewer), "{logs}");
}
