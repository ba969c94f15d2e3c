//! S5: ten thousand connections on which nothing is asked.

use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::running::{Service, figure, token, unscheduled, until};

/// Connections that are opened, where this process may have so many.
const CROWD: u64 = 10_000;

/// Threads that open them.
const OPENERS: u64 = 8;

/// Fewer than these would find room beside each other, which proves nothing.
const CROWD_AT_LEAST: u64 = 3_000;

/// Memory by which the service may grow, in KiB.
const GROWTH: u64 = 48 * 1024;

/// How long another client waits at most: a second is what a packet that got lost costs.
const PATIENCE: Duration = Duration::from_secs(2);

/// Connections that this process may have, after its limit has been raised as far as it goes.
fn crowd() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    // What else the test has open: the emulator, the database, other tests.
    let possible = limit.maximum.map_or(CROWD, |most| most.saturating_sub(500).min(CROWD));
    assert!(possible >= CROWD_AT_LEAST, "this needs {CROWD_AT_LEAST} open files and more; raise `ulimit -Hn`");
    if possible < CROWD {
        figure(&format!("only {possible} connections: `ulimit -Hn` is {:?}", limit.maximum));
    }
    possible
}

/// Asks on new connections until told to stop, and returns how many answers came and how long the slowest took.
fn others(service: &Service, token: &str, enough: &AtomicBool) -> (usize, Duration) {
    let (mut answers, mut slowest) = (0, Duration::ZERO);
    while !enough.load(Ordering::SeqCst) {
        let begun = Instant::now();
        assert_eq!(service.ask("GET", "/health/live", None, None).0, 200);
        slowest = slowest.max(begun.elapsed());
        answers += 1;
        if answers % 10 == 0 {
            service.get("/api/v1/sync/running", token);
        }
        thread::sleep(Duration::from_millis(20));
    }
    (answers, slowest)
}

/// Opens so many connections and counts those that are refused.
fn open_idle(address: SocketAddr, count: u64) -> (Vec<TcpStream>, usize) {
    let (mut open, mut refused) = (Vec::new(), 0);
    for _ in 0..count {
        match TcpStream::connect_timeout(&address, Duration::from_secs(5)) {
            Ok(stream) => {
                stream.set_nonblocking(true).unwrap();
                open.push(stream);
            }
            Err(_) => refused += 1,
        }
    }
    (open, refused)
}

fn is_over(mut stream: &TcpStream) -> bool {
    match stream.read(&mut [0; 512]) {
        Ok(0) => true,
        Ok(_) => false,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_idle_connections_keep_nobody_out_and_cost_little_memory() {
    let stage = unscheduled(10).await;
    let service = Service::start(&stage);
    let viewer = token(Some("viewer"));
    service.get("/api/v1/sync/status", &viewer);
    let crowd = crowd();
    let address = service.address.to_socket_addrs().unwrap().next().unwrap();
    let before = service.resident_kib();
    let (enough, mut open, mut refused, mut most) = (AtomicBool::new(false), Vec::new(), 0, before);
    let begun = Instant::now();
    let (answers, slowest) = thread::scope(|scope| {
        let others = scope.spawn(|| others(&service, &viewer, &enough));
        let openers: Vec<_> = (0..OPENERS).map(|_| scope.spawn(move || open_idle(address, crowd / OPENERS))).collect();
        for opener in openers {
            let (mut opened, not) = opener.join().unwrap();
            open.append(&mut opened);
            refused += not;
            most = most.max(service.resident_kib());
        }
        figure(&format!("{} connections after {:?}, {refused} refused", open.len(), begun.elapsed()));
        until("the end of all idle connections", || {
            most = most.max(service.resident_kib());
            open.retain(|stream| !is_over(stream));
            open.is_empty()
        });
        figure(&format!("all of them ended after {:?}", begun.elapsed()));
        enough.store(true, Ordering::SeqCst);
        others.join().unwrap()
    });
    figure(&format!("{before} KiB before, {most} KiB at most; {answers} others served, the slowest in {slowest:?}"));
    assert!(most - before < GROWTH, "it grew by {} KiB", most - before);
    assert!(answers > 10 && slowest < PATIENCE, "another client waited {slowest:?}");
}
