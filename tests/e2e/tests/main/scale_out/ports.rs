//! Ports for servers that have to be at the same address after a restart.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

/// A port that nothing uses and that no other call gets, below those that the system gives to connections: while a server
/// is down, a connection to it must not get the very port and be its own peer.
pub(crate) fn fixed_port() -> u16 {
    // Test processes that run beside each other begin at different places.
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 10_000 + u16::try_from(std::process::id() * 16 % 20_000).unwrap();
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed) % 2_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
