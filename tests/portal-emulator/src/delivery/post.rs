//! As much of an HTTP client as a delivery needs: one POST over plain TCP, one status back.

use std::io::{self, Error, ErrorKind, Read as _, Write as _};
use std::net::{TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

/// Longest head of an answer that is read.
const HEAD_LIMIT: usize = 64 << 10;
/// Longest body of an answer that is read.
const BODY_LIMIT: u64 = 1 << 20;

/// Where a request goes.
#[derive(Debug, PartialEq, Eq)]
struct Target<'u> {
    /// Host and port as in the address.
    authority: &'u str,
    path: String,
}

impl<'u> Target<'u> {
    /// Reads an address; only `http` is known.
    fn parse(url: &'u str) -> Option<Self> {
        let rest = url.split('#').next()?.strip_prefix("http://")?;
        let split = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(split)?;
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        (!authority.is_empty()).then_some(Self { authority, path })
    }

    fn connect(&self, timeout: Duration) -> io::Result<TcpStream> {
        let has_port = self.authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        let address = if has_port { self.authority.to_owned() } else { format!("{}:80", self.authority) };
        let first = address.to_socket_addrs()?.next();
        TcpStream::connect_timeout(&first.ok_or_else(|| Error::from(ErrorKind::NotFound))?, timeout)
    }
}

/// Sends a form and returns the status of the answer.
pub(super) fn post(url: &str, form: &str, timeout: Duration) -> io::Result<u16> {
    let deadline = Instant::now() + timeout;
    let target = Target::parse(url).ok_or_else(|| Error::from(ErrorKind::Unsupported))?;
    let mut stream = target.connect(timeout)?;
    stream.set_nodelay(true)?;
    stream.set_write_timeout(Some(timeout))?;
    let (Target { authority, path }, length) = (&target, form.len());
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\nAccept: */*\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{form}"
    );
    stream.write_all(request.as_bytes())?;
    let status = status(&mut stream, deadline)?;
    // The status counts even if the rest does not come.
    let _ = io::copy(&mut stream.take(BODY_LIMIT), &mut io::sink());
    Ok(status)
}

/// Reads the head of an answer.
fn status(stream: &mut TcpStream, deadline: Instant) -> io::Result<u16> {
    let mut head = Vec::new();
    let mut chunk = [0; 1_024];
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        let count = stream.read(&mut chunk)?;
        if count == 0 || head.len() > HEAD_LIMIT {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(chunk.get(..count).unwrap_or_default());
    }
    let text = String::from_utf8_lossy(&head);
    let status = text.split_ascii_whitespace().nth(1).and_then(|status| status.parse().ok());
    status.filter(|_| text.starts_with("HTTP/1.")).ok_or_else(|| ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart() {
        let target = |url| Target::parse(url).map(|target| (target.authority, target.path));
        assert_eq!(target("http://127.0.0.1:80/a?b=c#d"), Some(("127.0.0.1:80", "/a?b=c".to_owned())));
        assert_eq!(target("http://host?b"), Some(("host", "/?b".to_owned())));
        assert_eq!(target("http://host"), Some(("host", "/".to_owned())));
        assert_eq!(target("https://host/"), None);
        assert_eq!(target("http:///path"), None);
    }
}
