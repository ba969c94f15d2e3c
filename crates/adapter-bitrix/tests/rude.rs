//! Servers that no portal would be.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use b24sync_adapter_bitrix::Dialect;
use b24sync_domain::error::{Chain, SourceError};
use b24sync_domain::ports::CrmSource;

use crate::support::{Rig, config, entity};

/// Answers every request with the same bytes, then closes.
struct Parrot {
    address: String,
    requests: Arc<AtomicUsize>,
}

fn parrot(answer: impl Into<Vec<u8>>) -> Parrot {
    let answer = answer.into();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/rest/1/c0dec0de/", listener.local_addr().unwrap());
    let requests = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&requests);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            if read_request(&mut stream) {
                counter.fetch_add(1, Ordering::Relaxed);
                let _ = stream.write_all(&answer);
                let _ = stream.shutdown(Shutdown::Write);
            }
        }
    });
    Parrot { address, requests }
}

/// Reads until the body is complete.
fn read_request(stream: &mut TcpStream) -> bool {
    let mut request = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let Ok(length) = stream.read(&mut chunk) else { return false };
        if length == 0 {
            return false;
        }
        request.extend_from_slice(&chunk[..length]);
        let text = String::from_utf8_lossy(&request);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let announced = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
            });
            if body.len() >= announced.unwrap_or(0) {
                return true;
            }
        }
    }
}

fn answer(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()).into_bytes()
}

async fn error_of(parrot: &Parrot) -> SourceError {
    Rig::with(&config(&parrot.address, Dialect::Item)).source.fields(entity("deal")).await.unwrap_err()
}

#[tokio::test]
async fn a_wrong_address_is_recognised_by_its_web_page() {
    let parrot = parrot(answer("404 Not Found", "<html>no such page</html>"));
    let error = error_of(&parrot).await;
    let chain = Chain(&error).to_string();
    assert!(chain.contains("answered with a web page instead of JSON (HTTP 404)"), "{chain}");
    assert_eq!(parrot.requests.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_gateway_page_is_asked_again_five_times() {
    let parrot = parrot(answer("502 Bad Gateway", "<html>"));
    assert!(matches!(error_of(&parrot).await, SourceError::Unavailable { .. }));
    assert_eq!(parrot.requests.load(Ordering::Relaxed), 5);
}

#[tokio::test]
async fn nonsense_with_200_is_malformed() {
    for body in [
        "",
        "{",
        "null",
        "[]",
        "{}",
        r#"{"result":[]}"#,
        r#"{"result":{"result":{"fields":7}}}"#,
        r#"{"result":{"result":[],"result_error":[]}}"#,
        "\u{feff}{}",
    ] {
        let parrot = parrot(answer("200 OK", body));
        let error = error_of(&parrot).await;
        assert!(matches!(error, SourceError::Malformed { .. }), "{body}: {error:?}");
        assert_eq!(parrot.requests.load(Ordering::Relaxed), 5, "{body}");
    }
}

#[tokio::test]
async fn an_error_counts_whatever_the_status() {
    for status in ["200 OK", "400 Bad Request", "401 Unauthorized"] {
        let parrot =
            parrot(answer(status, r#"{"error":"no_auth_found","error_description":"Wrong authorization data"}"#));
        assert!(matches!(error_of(&parrot).await, SourceError::Unauthorized { .. }), "{status}");
        assert_eq!(parrot.requests.load(Ordering::Relaxed), 1);
    }
}

#[tokio::test]
async fn text_that_is_not_utf_8_is_malformed() {
    let mut bytes = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\nConnection: close\r\n\r\n".to_vec();
    bytes.extend_from_slice(b"{\"result\":\xff}");
    assert!(matches!(error_of(&parrot(bytes)).await, SourceError::Malformed { .. }));
}

#[tokio::test]
async fn an_endless_body_is_cut_off_at_the_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/rest/1/c0dec0de/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            if read_request(&mut stream) {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{");
                while stream.write_all(&[b' '; 4096]).is_ok() {}
            }
        }
    });
    let mut config = config(&address, Dialect::Item);
    config.max_body = 1_000_000;
    config.retry.attempts = 2;
    let error = Rig::with(&config).source.profile().await.unwrap_err();
    assert!(Chain(&error).to_string().contains("longer than 1000000 bytes"), "{}", Chain(&error));
}

#[tokio::test]
async fn silence_ends_with_the_time_limit() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/rest/1/c0dec0de/", listener.local_addr().unwrap());
    let mut config = config(&address, Dialect::Item);
    config.read_timeout = Duration::from_millis(50);
    config.retry.attempts = 2;
    let error = Rig::with(&config).source.profile().await.unwrap_err();
    let chain = Chain(&error).to_string();
    assert!(matches!(error, SourceError::Unavailable { .. }) && chain.contains("timed out"), "{chain}");
}

#[tokio::test]
async fn a_compressed_bomb_is_measured_after_decompression() {
    // 20 MB of blanks, compressed by hand into stored-free gzip would need a library; the emulator's gzip is used in
    // the reading tests, and here a run-length block made by `gzip -9` of 1,000,000 blanks.
    let bomb = include_bytes!("fixtures/blanks.gz");
    let mut bytes = format!(
        "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        bomb.len()
    )
    .into_bytes();
    bytes.extend_from_slice(bomb);
    let mut config = config(&parrot(bytes).address, Dialect::Item);
    config.max_body = 100_000;
    config.retry.attempts = 1;
    let error = Rig::with(&config).source.profile().await.unwrap_err();
    assert!(Chain(&error).to_string().contains("longer than 100000 bytes"), "{}", Chain(&error));
}
