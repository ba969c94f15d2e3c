//! S5: clients that send a byte now and then.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::running::{Service, figure, token, unscheduled};

/// Clients of each kind.
const CLIENTS: usize = 40;

/// Time between two bytes.
const PACE: Duration = Duration::from_millis(200);

/// How long a head or a body may take, as docs/api.md says, and what an answer may take on top on a busy machine.
const DOCUMENTED: Duration = Duration::from_secs(10);
const SLACK: Duration = Duration::from_secs(5);

/// A client that will never be done.
struct Dribbling {
    stream: TcpStream,
    begun: Instant,
    answer: Vec<u8>,
    over_after: Option<Duration>,
}

impl Dribbling {
    fn begin(service: &Service, head: &str) -> Dribbling {
        let mut stream = TcpStream::connect(&service.address).unwrap();
        stream.write_all(head.as_bytes()).unwrap();
        stream.set_nonblocking(true).unwrap();
        Dribbling { stream, begun: Instant::now(), answer: Vec::new(), over_after: None }
    }

    /// Sends one more byte, and looks whether the server has had enough.
    fn go_on(&mut self) {
        let mut buffer = [0; 1024];
        let over = self.stream.write(b"x").is_err_and(|error| error.kind() != ErrorKind::WouldBlock)
            || match self.stream.read(&mut buffer) {
                Ok(0) => true,
                Ok(read) => {
                    self.answer.extend_from_slice(&buffer[..read]);
                    true
                }
                Err(error) => error.kind() != ErrorKind::WouldBlock,
            };
        if over {
            self.over_after = Some(self.begun.elapsed());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_and_bodies_that_dribble_are_cut_off_in_time_and_others_are_served() {
    let stage = unscheduled(10).await;
    let service = Service::start(&stage);
    let (viewer, operator) = (token(Some("viewer")), token(Some("operator")));
    let head = "GET /health HTTP/1.1\r\nHost: test\r\nX-Slow: ";
    let body = format!(
        "POST /api/v1/sync/start/deal HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {operator}\r\n\
         Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    );
    let mut heads: Vec<Dribbling> = (0..CLIENTS).map(|_| Dribbling::begin(&service, head)).collect();
    let mut bodies: Vec<Dribbling> = (0..CLIENTS).map(|_| Dribbling::begin(&service, &body)).collect();
    let deadline = Instant::now() + DOCUMENTED + SLACK;
    let mut slowest = Duration::ZERO;
    while heads.iter().chain(&bodies).any(|client| client.over_after.is_none()) {
        assert!(Instant::now() < deadline, "some were not cut off");
        heads.iter_mut().chain(&mut bodies).filter(|client| client.over_after.is_none()).for_each(Dribbling::go_on);
        let asked = Instant::now();
        assert_eq!(service.ask("GET", "/health/live", None, None).0, 200);
        service.get("/api/v1/sync/running", &viewer);
        slowest = slowest.max(asked.elapsed());
        thread::sleep(PACE);
    }
    for client in heads.iter().chain(&bodies) {
        let after = client.over_after.unwrap();
        assert!(after > DOCUMENTED.mul_f32(0.9) && after < DOCUMENTED + SLACK, "cut off after {after:?}");
    }
    for client in &heads {
        assert!(client.answer.is_empty() || client.answer.starts_with(b"HTTP/1.1 408"), "{:?}", client.answer);
    }
    for client in &bodies {
        assert!(client.answer.starts_with(b"HTTP/1.1 408"), "{:?}", String::from_utf8_lossy(&client.answer));
    }
    figure(&format!("others were served; the slowest two answers took {slowest:?}"));
    assert!(slowest < Duration::from_secs(2), "others waited {slowest:?}");
}
