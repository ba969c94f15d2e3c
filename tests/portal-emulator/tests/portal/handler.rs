//! A handler of events: a small HTTP server that remembers what it was sent.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// One event as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) head: String,
    /// The body as it came over the wire.
    pub(crate) body: String,
    pub(crate) at: Instant,
}

impl Received {
    /// The decoded pairs of the form, in order.
    pub(crate) fn pairs(&self) -> Vec<(String, String)> {
        pairs(&self.body)
    }

    /// The value of a decoded name like `auth[domain]`.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        self.pairs().into_iter().find_map(|(key, value)| (key == name).then_some(value))
    }

    /// Name and id of the event.
    pub(crate) fn event(&self) -> (String, i64) {
        let id = self.get("data[FIELDS][ID]").map_or(0, |id| id.parse().unwrap());
        (self.get("event").unwrap(), id)
    }
}

/// The decoded pairs of a form.
pub(crate) fn pairs(form: &str) -> Vec<(String, String)> {
    let split = |pair: &str| pair.split_once('=').map(|(name, value)| (decoded(name), decoded(value))).unwrap();
    form.split('&').map(split).collect()
}

fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let hex = [bytes.next().unwrap(), bytes.next().unwrap()];
                out.push(u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap());
            }
            other => out.push(other),
        }
    }
    String::from_utf8(out).unwrap()
}

#[derive(Debug, Default)]
struct State {
    received: Mutex<Vec<Received>>,
    delay_milliseconds: AtomicU64,
    /// 0 answers 200.
    status: AtomicU64,
}

/// A handler that listens until the test ends.
#[derive(Clone, Debug)]
pub(crate) struct Handler {
    port: u16,
    state: Arc<State>,
}

impl Handler {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, state) = (stream.unwrap(), Arc::clone(&shared));
                std::thread::spawn(move || serve(stream, &state));
            }
        });
        Self { port, state }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn answer_after(&self, delay: Duration) {
        self.state.delay_milliseconds.store(u64::try_from(delay.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// Answers with this status from now on; 1 closes the connection without an answer.
    pub(crate) fn answer_with(&self, status: u16) {
        self.state.status.store(status.into(), Ordering::SeqCst);
    }

    /// Everything that arrived, in order.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.state.received.lock().unwrap().clone()
    }

    /// Name and id of everything that arrived, in order.
    pub(crate) fn events(&self) -> Vec<(String, i64)> {
        self.received().iter().map(Received::event).collect()
    }
}

fn serve(stream: TcpStream, state: &State) {
    // A portal that stops in the middle of a request is no failure of the handler.
    let _ = try_serve(stream, state);
}

fn try_serve(stream: TcpStream, state: &State) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap().parse().unwrap();
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let received = Received { head, body: String::from_utf8(body).unwrap(), at: Instant::now() };
    state.received.lock().unwrap().push(received);
    std::thread::sleep(Duration::from_millis(state.delay_milliseconds.load(Ordering::SeqCst)));
    let status = match state.status.load(Ordering::SeqCst) {
        0 => 200,
        1 => return Ok(()),
        status => status,
    };
    write!(reader.get_mut(), "HTTP/1.1 {status} OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
}
