//! S5: bodies of 100 MB.

use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use crate::running::{Service, figure, token, unscheduled};

const SIZE: usize = 100 * 1000 * 1000;

/// Bytes that may have left before the answer is there: the limit of a body, and what the system's buffers hold.
const EARLY: u64 = 24 * 1024 * 1024;

/// Memory by which the service may grow, in KiB.
const GROWTH: u64 = 16 * 1024;

static CHUNK: [u8; 64 * 1024] = [b'x'; 64 * 1024];

/// Sends a body until it is complete or refused; returns the status, and how much had been sent when it came.
fn send(service: &Service, head: &str, chunked: bool) -> (u16, u64) {
    let mut stream = TcpStream::connect(&service.address).unwrap();
    let framing = if chunked { "Transfer-Encoding: chunked".to_owned() } else { format!("Content-Length: {SIZE}") };
    write!(stream, "{head}Host: test\r\nContent-Type: application/json\r\n{framing}\r\n\r\n").unwrap();
    let (answers, sent) = (stream.try_clone().unwrap(), AtomicU64::new(0));
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut line = String::new();
            BufReader::new(&answers).read_line(&mut line).unwrap();
            let sent = sent.load(Ordering::SeqCst);
            (line.split(' ').nth(1).expect("a status line").parse().unwrap(), sent)
        });
        while sent.load(Ordering::SeqCst) < u64::try_from(SIZE).unwrap() && !reader.is_finished() {
            let begin = if chunked { format!("{:x}\r\n", CHUNK.len()) } else { String::new() };
            let end = if chunked { "\r\n" } else { "" };
            let piece = [begin.as_bytes(), &CHUNK, end.as_bytes()].concat();
            if stream.write_all(&piece).is_err() {
                break;
            }
            sent.fetch_add(u64::try_from(piece.len()).unwrap(), Ordering::SeqCst);
        }
        let seen = reader.join().unwrap();
        let _ = stream.shutdown(Shutdown::Both);
        seen
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_of_100_mb_is_refused_early_and_never_kept() {
    let stage = unscheduled(10).await;
    let service = Service::start(&stage);
    let start = "POST /api/v1/sync/start/deal HTTP/1.1\r\n";
    let known = format!("{start}Authorization: Bearer {}\r\n", token(Some("operator")));
    service.get("/api/v1/sync/status", &token(Some("viewer")));
    let before = service.resident_kib();
    for (head, status) in [(known.as_str(), 413), (start, 401), ("GET /health/live HTTP/1.1\r\n", 200)] {
        for chunked in [false, true] {
            let (answer, sent) = send(&service, head, chunked);
            let grown = service.resident_kib().saturating_sub(before);
            figure(&format!("{status} after {sent} bytes, chunked: {chunked}; grown by {grown} KiB"));
            assert_eq!(answer, status, "chunked: {chunked}, {head}");
            assert!(sent < EARLY, "{status} came after {sent} bytes, chunked: {chunked}");
            assert!(grown < GROWTH, "it grew by {grown} KiB, chunked: {chunked}, {head}");
        }
    }
    assert_eq!(service.get("/api/v1/sync/running", &token(Some("viewer")))["count"], 0);
}
