//! `b24sync health`: asks the service on this machine whether it is ready, for images that have no shell and no curl.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::process::ExitCode;
use std::time::Duration;

use crate::cli::HealthArgs;
use crate::failure::Failure;
use crate::output::Output;

/// How long each step may take: whoever asks has a limit of its own, and looks again soon.
const PATIENCE: Duration = Duration::from_secs(3);

/// Bytes of an answer that are read: a probe's has fewer.
const ANSWER_LIMIT: u64 = 8 * 1024;

const PATH: &str = "/health/ready";

/// Prints what the service says; fails unless it is ready.
///
/// # Errors
/// When nothing answers, or the answer is not 200.
pub fn run(args: &HealthArgs, output: Output) -> Result<ExitCode, Failure> {
    let answer = address(&args.host, args.port).and_then(ask).map_err(|error| {
        Failure::of(&format!("no service answers on port {}", args.port), &error)
            .advise("start it with `b24sync serve`, or say where it listens with HOST and PORT")
    })?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    match status(head) {
        Some(200) => {
            output.document(body);
            Ok(ExitCode::SUCCESS)
        }
        Some(status) => Err(Failure::failed(
            format!("the service is not ready: {status} {body}"),
            "its log and `b24sync doctor` say why",
        )),
        None => Err(Failure::failed(
            format!("what listens on port {} does not speak HTTP", args.port),
            "say where the service listens with HOST and PORT",
        )),
    }
}

/// Where a service that was started with these settings is reached from its own machine.
fn address(host: &str, port: u16) -> io::Result<SocketAddr> {
    let found = (host, port).to_socket_addrs()?.next();
    let mut address = found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the host has no address"))?;
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
        });
    }
    Ok(address)
}

fn ask(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // In one piece: whoever answers after the first of several and closes resets the connection.
    stream.write_all(format!("GET {PATH} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_LIMIT).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The number in `HTTP/1.1 200 OK`.
fn status(head: &str) -> Option<u16> {
    head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// A service that gives this answer to one request, and its port.
    fn answering(answer: &'static str) -> u16 {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let read = stream.read(&mut [0; 1_024]).unwrap();
            assert!(read > 0);
            stream.write_all(answer.as_bytes()).unwrap();
        });
        port
    }

    fn of(port: u16) -> Result<ExitCode, Failure> {
        run(&HealthArgs { host: "0.0.0.0".to_owned(), port }, Output::default())
    }

    #[test]
    fn a_service_that_is_ready_is_healthy() {
        assert!(of(answering("HTTP/1.1 200 OK\r\ncontent-length: 18\r\n\r\n{\"status\":\"ready\"}")).is_ok());
    }

    #[test]
    fn a_service_that_is_not_ready_is_not_and_says_why() {
        let port = answering("HTTP/1.1 503 Service Unavailable\r\n\r\n{\"status\":\"draining\"}");
        assert_eq!(of(port).unwrap_err().message(), "the service is not ready: 503 {\"status\":\"draining\"}");
    }

    #[test]
    fn what_speaks_something_else_is_not_the_service() {
        let failure = of(answering("220 mail ready\r\n")).unwrap_err();
        assert!(failure.message().ends_with("does not speak HTTP"), "{failure:?}");
    }

    #[test]
    fn where_nothing_listens_nothing_is_healthy() {
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let failure = of(port).unwrap_err();
        assert!(failure.message().starts_with(&format!("no service answers on port {port}: ")), "{failure:?}");
    }

    #[test]
    fn a_service_on_all_addresses_is_asked_on_this_machine() {
        for (host, expected) in [("0.0.0.0", "127.0.0.1:80"), ("::", "[::1]:80"), ("10.1.2.3", "10.1.2.3:80")] {
            assert_eq!(address(host, 80).unwrap().to_string(), expected);
        }
    }
}
