//! A connection that is used for request after request, as clients and balancers do it.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What is of interest about an answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Whether the server says that this was the last one on this connection.
    pub(crate) closes: bool,
    pub(crate) body: Vec<u8>,
}

/// An open connection.
pub(crate) struct KeptAlive(BufReader<TcpStream>);

impl KeptAlive {
    pub(crate) fn open(address: &str) -> io::Result<KeptAlive> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(40)))?;
        Ok(KeptAlive(BufReader::new(stream)))
    }

    /// Whether the server has closed it already.
    pub(crate) fn is_closed(&self) -> bool {
        let stream = self.0.get_ref();
        stream.set_nonblocking(true).unwrap();
        let seen = stream.peek(&mut [0]);
        stream.set_nonblocking(false).unwrap();
        !matches!(seen, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    /// Sends these bytes; an error means that none of them was taken.
    pub(crate) fn send(&mut self, text: &str) -> io::Result<()> {
        let sent = self.0.get_mut().write(text.as_bytes())?;
        assert_eq!(sent, text.len(), "a request is small enough to be taken at once");
        Ok(())
    }

    /// Sends a request without a body.
    pub(crate) fn send_get(&mut self, path: &str, token: &str) -> io::Result<()> {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {token}\r\n\r\n"))
    }

    /// The answer to what was sent; an error when the connection ends before it is complete.
    pub(crate) fn receive(&mut self) -> io::Result<Answer> {
        let line = self.line()?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status line");
        let (mut closes, mut length) = (false, 0);
        loop {
            let line = self.line()?.to_ascii_lowercase();
            let Some((name, value)) = line.split_once(": ") else { break };
            match name {
                "connection" => closes = value == "close",
                "content-length" => length = value.parse().unwrap(),
                _ => assert_ne!(name, "transfer-encoding", "answers that are asked for here have a length"),
            }
        }
        let mut body = vec![0; length];
        self.0.read_exact(&mut body)?;
        Ok(Answer { status, closes, body })
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(line.trim_end().to_owned()),
        }
    }
}
