//! What users of the portal do all the time, whatever else happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use b24sync_portal_emulator::{Entity, Portal, Truth};

/// Between two changes.
const PACE: Duration = Duration::from_millis(15);

/// Events that may wait in the portal: changes are made as they are sent, so that none is much older than its event.
const WAITING: u64 = 20;

/// Deletions of an entity: no more than nobody has to confirm, should all of their events be lost.
const DELETIONS: usize = 40;

/// Goes on until it is ended, or dropped.
pub(super) struct Life {
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Life {
    pub(super) fn begin(portal: Portal) -> Life {
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        let thread = thread::spawn(move || {
            let mut turns = 0..;
            while !told.load(Ordering::Relaxed) {
                if portal.deliveries().queued < WAITING
                    && let Some(turn) = turns.next()
                {
                    change(&portal, turn);
                }
                thread::sleep(PACE);
            }
        });
        Life { over, thread: Some(thread) }
    }

    /// Ends it, once the change that is being made is made.
    pub(super) fn end(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

/// Entities take turns, and so do their records.
fn change(portal: &Portal, turn: usize) {
    let entity = [Entity::Deal, Entity::Contact, Entity::Lead, Entity::Company][turn % 4];
    let step = turn / 4;
    let ids = portal.ids(entity);
    let id = ids[step * 7 % ids.len()];
    match step % 20 {
        7 => drop(portal.add(entity, [("COMMENTS", Truth::from("made just now"))])),
        13 if step / 20 < DELETIONS => drop(portal.delete(entity, id)),
        _ => drop(portal.edit(entity, id, [("COMMENTS", Truth::from(format!("change {turn}")))])),
    }
}
