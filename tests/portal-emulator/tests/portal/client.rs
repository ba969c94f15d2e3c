//! A raw HTTP client that sees what others hide: cut bodies, resets, headers.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use b24sync_portal_emulator::{Portal, PortalConfig, RunningPortal};
use serde_json::Value;

/// An answer as it came over the wire.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error} in {}", String::from_utf8_lossy(&self.body)))
    }

    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find_map(|(header, value)| header.eq_ignore_ascii_case(name).then_some(value.trim()))
    }

    /// Whether as much came as was promised.
    pub(crate) fn is_complete(&self) -> bool {
        self.header("content-length").is_none_or(|length| length == self.body.len().to_string())
    }
}

/// A portal that runs for one test.
pub(crate) struct Bench {
    pub(crate) running: RunningPortal,
}

pub(crate) fn bench(config: PortalConfig) -> Bench {
    Bench { running: Portal::new(config).start().unwrap() }
}

impl Bench {
    pub(crate) fn portal(&self) -> &Portal {
        self.running.portal()
    }

    pub(crate) fn path(&self, method: &str) -> String {
        format!("{}{method}", self.portal().webhook_path())
    }

    /// Sends any request to any path.
    pub(crate) fn send(&self, verb: &str, path: &str, content_type: &str, body: &str) -> io::Result<Reply> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.running.port()))?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let length = body.len();
        write!(
            stream,
            "{verb} {path} HTTP/1.1\r\nHost: portal\r\nConnection: close\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n{body}"
        )?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        let split = bytes
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .ok_or_else(|| io::Error::new(io::ErrorKind::UnexpectedEof, "no answer"))?;
        let head = String::from_utf8_lossy(&bytes[..split]).into_owned();
        let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        Ok(Reply { status, head, body: bytes[split + 4..].to_vec() })
    }

    /// Calls a method with a JSON body.
    pub(crate) fn call(&self, method: &str, params: &Value) -> Reply {
        self.try_call(method, params).unwrap()
    }

    pub(crate) fn try_call(&self, method: &str, params: &Value) -> io::Result<Reply> {
        self.send("POST", &self.path(method), "application/json", &params.to_string())
    }

    /// Calls a method and returns what a successful answer holds.
    pub(crate) fn answer(&self, method: &str, params: &Value) -> Value {
        let reply = self.call(method, params);
        assert_eq!(reply.status, 200, "{method}: {}", String::from_utf8_lossy(&reply.body));
        reply.json()
    }

    /// The `result` of a successful answer.
    pub(crate) fn result(&self, method: &str, params: &Value) -> Value {
        self.answer(method, params)["result"].take()
    }

    /// Status, code and text of a refused call.
    pub(crate) fn error(&self, method: &str, params: &Value) -> (u16, Value, String) {
        let reply = self.call(method, params);
        let json = reply.json();
        (reply.status, json["error"].clone(), json["error_description"].as_str().unwrap_or_default().to_owned())
    }
}

/// The ids of classic or item rows.
pub(crate) fn ids(rows: &Value) -> Vec<i64> {
    let rows = rows.get("items").unwrap_or(rows).as_array().unwrap();
    rows.iter()
        .map(|row| {
            let id = row.get("ID").unwrap_or(&row["id"]);
            id.as_i64().unwrap_or_else(|| id.as_str().unwrap().parse().unwrap())
        })
        .collect()
}
