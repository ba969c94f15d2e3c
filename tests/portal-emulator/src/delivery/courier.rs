//! The threads that send.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use super::post::post;
use super::queue::Parcel;
use crate::events::body;
use crate::inner::Inner;

/// Sends what is due until it is dropped; then it waits for what is in flight.
#[derive(Debug)]
pub(crate) struct Courier {
    inner: Arc<Inner>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Courier {
    pub(crate) fn start(inner: Arc<Inner>) -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let thread = {
            let (inner, stop) = (Arc::clone(&inner), Arc::clone(&stop));
            thread::Builder::new().name("portal-courier".to_owned()).spawn(move || run(&inner, &stop))?
        };
        Ok(Self { inner, stop, thread: Some(thread) })
    }
}

impl Drop for Courier {
    fn drop(&mut self) {
        self.inner.hub.office.stop(&self.stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One short thread per request: handlers are slow, and the plan limits how many requests run at once.
fn run(inner: &Inner, stop: &AtomicBool) {
    thread::scope(|scope| {
        while let Some(parcel) = inner.hub.office.next(stop) {
            let sent = parcel.clone();
            let spawned = thread::Builder::new()
                .name("portal-delivery".to_owned())
                .spawn_scoped(scope, move || deliver(inner, &sent));
            if spawned.is_err() {
                inner.hub.office.settle(&parcel, None, std::time::Duration::ZERO);
            }
        }
    });
}

/// Sends once. Whatever comes of it, there is no second attempt (REST.md 10.3).
fn deliver(inner: &Inner, parcel: &Parcel) {
    let office = &inner.hub.office;
    let start = Instant::now();
    let answered = post(&parcel.url, &body(inner, parcel), office.timeout());
    office.settle(parcel, answered.ok(), start.elapsed());
}
