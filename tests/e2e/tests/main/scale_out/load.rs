//! What goes through nginx while instances come and go: events of the portal, and people who ask.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use b24sync_portal_emulator::{Entity, Portal};

use super::cluster::Cluster;
use crate::kept_alive::KeptAlive;
use crate::running::token_of;

/// Users that ask in turn, because each may ask ten times a second only.
const USERS: usize = 50;

/// Changes one deal after the other, each once, so many a second, until told to stop; each change is an event of its own.
/// Returns how many it changed.
pub(super) fn change(portal: &Portal, deals: &[i64], per_second: u32, enough: &AtomicBool) -> usize {
    let begun = Instant::now();
    for (position, id) in deals.iter().enumerate() {
        let due = Duration::from_secs(1) * u32::try_from(position).unwrap() / per_second;
        thread::sleep(due.saturating_sub(begun.elapsed()));
        if enough.load(Ordering::SeqCst) {
            return position;
        }
        portal.edit(Entity::Deal, *id, [("TITLE", format!("edit of {id}").into())]);
    }
    unreachable!("{} deals are not enough", deals.len());
}

/// Asks for what runs, 20 times a second, until told to stop; what was no 200, and how many were.
pub(super) fn ask(address: &str, enough: &AtomicBool) -> (Vec<String>, usize) {
    let tokens: Vec<String> =
        (0..USERS).map(|user| token_of(&format!("5f1d9a3e-2c1b-4d6e-9f00-{user:012}"), Some("viewer"))).collect();
    let (mut failed, mut answered, mut connection) = (Vec::new(), 0, None);
    for token in tokens.iter().cycle() {
        if enough.load(Ordering::SeqCst) {
            break;
        }
        let mut open: KeptAlive = match connection.take() {
            Some(open) => open,
            None => KeptAlive::open(address).unwrap(),
        };
        match open.send_get("/api/v1/sync/running", token).and_then(|()| open.receive()) {
            Ok(answer) if answer.status == 200 => {
                answered += 1;
                connection = Some(open).filter(|_| !answer.closes);
            }
            Ok(answer) => failed.push(format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body))),
            Err(error) => failed.push(error.to_string()),
        }
        thread::sleep(Duration::from_millis(50));
    }
    (failed, answered)
}

/// Fails unless every event had 200 for its answer.
pub(super) fn every_event_had_200(cluster: &Cluster) {
    let deliveries = cluster.portal().deliveries();
    let only: Vec<u16> = deliveries.answered.keys().copied().collect();
    assert_eq!(
        (only.as_slice(), deliveries.failed),
        (&[200][..], 0),
        "{deliveries:?}\n{}",
        cluster.balancer.log("error.log")
    );
}
