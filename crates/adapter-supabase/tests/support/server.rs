//! The key endpoint, as a server on this machine that can be told how to answer.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

const PATH: &str = "/auth/v1/.well-known/jwks.json";

#[derive(Clone)]
pub(crate) enum Answer {
    /// Exactly these bytes.
    Bytes(Vec<u8>),
    /// The same, after a while.
    After(Duration, Vec<u8>),
    /// The beginning of an answer, then nothing.
    Stalled,
    /// The connection is closed at once.
    Closed,
}

impl Answer {
    pub(crate) fn keys(keys: &[Value]) -> Answer {
        Answer::ok("application/json", json!({ "keys": keys }).to_string())
    }

    pub(crate) fn ok(kind: &str, body: impl AsRef<[u8]>) -> Answer {
        Answer::status("200 OK", &format!("content-type: {kind}\r\n"), body)
    }

    pub(crate) fn status(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Answer {
        let body = body.as_ref();
        let head = format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
        Answer::Bytes([head.as_bytes(), body].concat())
    }

    pub(crate) fn after(self, delay: Duration) -> Answer {
        match self {
            Answer::Bytes(bytes) => Answer::After(delay, bytes),
            other => other,
        }
    }
}

pub(crate) struct KeyServer {
    address: SocketAddr,
    answer: Arc<Mutex<Answer>>,
    requests: Arc<AtomicUsize>,
}

impl KeyServer {
    /// The thread ends with the test's process.
    pub(crate) fn start(answer: Answer) -> KeyServer {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answer = Arc::new(Mutex::new(answer));
        let requests = Arc::new(AtomicUsize::new(0));
        let (told, counted) = (Arc::clone(&answer), Arc::clone(&requests));
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::SeqCst);
                let answer = told.lock().unwrap().clone();
                thread::spawn(move || serve(connection, answer));
            }
        });
        KeyServer { address, answer, requests }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn answer(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    pub(crate) fn publish(&self, keys: &[Value]) {
        self.answer(Answer::keys(keys));
    }

    /// Requests so far.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn serve(mut connection: TcpStream, answer: Answer) {
    if matches!(answer, Answer::Closed) {
        return;
    }
    let mut lines = BufReader::new(connection.try_clone().unwrap()).lines().map_while(Result::ok);
    let first = lines.next().unwrap_or_default();
    let _headers = lines.take_while(|line| !line.is_empty()).count();
    let bytes = match answer {
        _ if !first.starts_with(&format!("GET {PATH} ")) => b"HTTP/1.1 404 Not Found\r\n\r\n".to_vec(),
        Answer::Bytes(bytes) => bytes,
        Answer::After(delay, bytes) => {
            thread::sleep(delay);
            bytes
        }
        Answer::Stalled => {
            let _sent = connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"keys\":");
            thread::sleep(Duration::from_secs(60));
            return;
        }
        Answer::Closed => return,
    };
    // The client may have gone.
    let _sent = connection.write_all(&bytes);
}
