//! Going out of service without dropping a request.

use std::time::Duration;

use actix_web::dev::ServerHandle;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::connections::Connections;
use crate::door::Door;

/// How long connections may stay open at least, once no new ones come: their next answer tells clients that it is the
/// last one, and what lies between the system and the threads of the server is taken up.
const LAST_ANSWERS: Duration = Duration::from_millis(250);

/// How long the server waits at most for the first request of a connection.
const FIRST_REQUESTS: Duration = Duration::from_secs(1);

/// Time between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Whether the service is going out of service; every part that waits listens to it.
#[derive(Debug, Clone)]
pub(crate) struct Draining(watch::Receiver<bool>);

/// Says that the service is going out of service. Without it, event streams end at once.
#[derive(Debug)]
pub struct DrainSwitch(watch::Sender<bool>);

impl DrainSwitch {
    /// Readiness says no from now on and event streams end; other requests are still served.
    pub fn begin(&self) {
        self.0.send_replace(true);
    }
}

impl Draining {
    /// A pair of who says it and who hears it.
    pub(crate) fn channel() -> (DrainSwitch, Draining) {
        let (sender, receiver) = watch::channel(false);
        (DrainSwitch(sender), Draining(receiver))
    }

    /// Whether it has begun.
    pub(crate) fn has_begun(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns once it has begun, or once nobody is left who could say so.
    pub(crate) async fn begun(&mut self) {
        // An error means that the sender is gone: the server is, too.
        let _ = self.0.wait_for(|begun| *begun).await;
    }
}

/// Takes a server out of service. To be kept while the server runs: event streams end without it.
pub struct Drain {
    switch: DrainSwitch,
    server: ServerHandle,
    notice: Duration,
    door: Door,
    connections: Connections,
}

impl Drain {
    pub(crate) fn new(
        switch: DrainSwitch,
        server: ServerHandle,
        notice: Duration,
        door: Door,
        connections: Connections,
    ) -> Drain {
        Drain { switch, server, notice, door, connections }
    }

    /// Readiness says no from now on and event streams end; other requests are still served.
    pub fn begin(&self) {
        self.switch.begin();
    }

    /// Begins, waits for `drain_notice`, lets no new connection in, and returns when open requests have finished or their
    /// time is up. The server must be polled meanwhile.
    ///
    /// A server that stops drops what it has accepted but not read, and the system resets what the server has not
    /// accepted: to clients both look like requests that failed. So the door is shut first, and what is inside is served.
    pub async fn stop(self) {
        self.begin();
        sleep(self.notice).await;
        self.door.shut();
        let shut = Instant::now();
        while shut.elapsed() < LAST_ANSWERS
            || (self.connections.some_have_not_asked() && shut.elapsed() < FIRST_REQUESTS)
        {
            sleep(LOOK_EVERY).await;
        }
        // The listener is closed with the last of its owners; until then clients that it does not hear wait for it.
        drop(self.door);
        self.server.stop(true).await;
    }
}
