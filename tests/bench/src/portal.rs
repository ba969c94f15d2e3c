//! An emulated portal in a process of its own, and how fast it is to somebody who does nothing else than ask.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::process;

/// Ends with this value.
#[derive(Debug)]
pub(crate) struct Portal {
    child: Child,
    port: u16,
    path: String,
}

impl Portal {
    /// A portal of ordinary deals: the Python stack cannot store numbers that do not fit their columns. `keeping` rows,
    /// it is fast from their second reading on.
    pub(crate) fn start(programs: &Path, deals: u32, keeping: bool) -> Result<Self> {
        let mut command = Command::new(programs.join("portal-emulator"));
        command.args(["--port", "0", "--plain", "--print-url", "--deals", &deals.to_string()]);
        if keeping {
            command.arg("--keep-rows");
        }
        let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start the emulated portal")?;
        let mut line = String::new();
        let output = child.stdout.take().context("the emulated portal has no output")?;
        BufReader::new(output).read_line(&mut line)?;
        let address = line.trim().strip_prefix("http://127.0.0.1:").and_then(|rest| rest.split_once('/'));
        let (port, path) = address.with_context(|| format!("the emulated portal said `{line}`"))?;
        Ok(Self { port: port.parse()?, path: format!("/{path}"), child })
    }

    /// The address of the webhook.
    pub(crate) fn url(&self) -> String {
        self.url_at(self.port)
    }

    fn url_at(&self, port: u16) -> String {
        format!("http://127.0.0.1:{port}{}", self.path)
    }

    pub(crate) fn cpu_seconds(&self) -> f64 {
        process::own_cpu_seconds(self.child.id()).unwrap_or(0.0)
    }

    fn admin(&self, command: &str, body: &Value) -> Result<Value> {
        let body = body.to_string();
        let request = format!(
            "POST /__admin/{command} HTTP/1.1\r\nHost: portal\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let answer = Connection::open(self.port)?.exchange(request.as_bytes())?;
        Ok(serde_json::from_slice(&answer)?)
    }

    /// Counts from zero.
    pub(crate) fn reset(&self) -> Result<()> {
        self.admin("reset", &json!({})).map(drop)
    }

    /// Requests since the last reset.
    pub(crate) fn requests(&self) -> Result<u64> {
        let stats = self.admin("stats", &json!({}))?;
        let requests = stats.pointer("/rest/http_requests").and_then(Value::as_u64);
        requests.context("the portal counts no requests")
    }

    /// Changes every tenth deal; returns how many.
    pub(crate) fn change_a_tenth(&self) -> Result<usize> {
        let ids = self.admin("ids?entity=deal", &json!({}))?;
        let ids: Vec<&Value> = ids.as_array().context("no list of ids")?.iter().step_by(10).collect();
        self.admin("bulk_edit", &json!({ "entity": "deal", "ids": ids }))?;
        Ok(ids.len())
    }

    /// An address whose requests go to the portal and are noted.
    pub(crate) fn tap(&self) -> Result<Tap> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = self.url_at(listener.local_addr()?.port());
        let (requests, target) = (Arc::<Mutex<Vec<Vec<u8>>>>::default(), self.port);
        let noted = Arc::clone(&requests);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let noted = Arc::clone(&noted);
                // The connection ends when one of its sides does.
                thread::spawn(move || relay(client, target, &noted));
            }
        });
        Ok(Tap { url, requests })
    }

    /// Sends requests one after the other, as they were noted, and throws the answers away; returns the seconds.
    pub(crate) fn replay(&self, requests: &[Vec<u8>]) -> Result<f64> {
        let mut connection = Connection::open(self.port)?;
        let started = Instant::now();
        for request in requests {
            let answer = connection.exchange(request)?;
            ensure!(answer.starts_with(b"{\"result\""), "the portal refused a request that it had answered");
        }
        Ok(started.elapsed().as_secs_f64())
    }
}

impl Drop for Portal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where requests are noted.
#[derive(Debug)]
pub(crate) struct Tap {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Tap {
    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<Vec<u8>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn relay(client: TcpStream, target: u16, noted: &Mutex<Vec<Vec<u8>>>) -> io::Result<()> {
    let mut portal = Connection::open(target)?;
    client.set_nodelay(true)?;
    let mut client = Connection { stream: BufReader::new(client) };
    loop {
        let request = client.message()?.whole;
        let answer = portal.send(&request)?;
        noted.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        client.stream.get_mut().write_all(&answer.whole)?;
    }
}

/// A connection that stays open from one request to the next.
struct Connection {
    stream: BufReader<TcpStream>,
}

/// A request or an answer.
struct Message {
    whole: Vec<u8>,
    head: usize,
}

impl Connection {
    fn open(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::with_capacity(1 << 16, stream) })
    }

    /// Sends a request and returns the body of the answer.
    fn exchange(&mut self, request: &[u8]) -> io::Result<Vec<u8>> {
        let Message { mut whole, head } = self.send(request)?;
        Ok(whole.split_off(head))
    }

    fn send(&mut self, request: &[u8]) -> io::Result<Message> {
        self.stream.get_mut().write_all(request)?;
        self.message()
    }

    /// Reads a head and as many bytes as it promises.
    fn message(&mut self) -> io::Result<Message> {
        let mut whole = Vec::new();
        let mut length = 0_u64;
        loop {
            let line_start = whole.len();
            if self.stream.read_until(b'\n', &mut whole)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let line = String::from_utf8_lossy(whole.get(line_start..).unwrap_or_default()).to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().map_err(io::Error::other)?;
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let head = whole.len();
        whole.reserve(usize::try_from(length).unwrap_or(0));
        let read = (&mut self.stream).take(length).read_to_end(&mut whole)?;
        if u64::try_from(read) == Ok(length) {
            Ok(Message { whole, head })
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }
}
