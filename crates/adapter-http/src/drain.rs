//! Going out of service without dropping a request.

use std::time::Duration;

use actix_web::dev::ServerHandle;
use tokio::sync::watch;

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
}

impl Drain {
    pub(crate) fn new(switch: DrainSwitch, server: ServerHandle, notice: Duration) -> Drain {
        Drain { switch, server, notice }
    }

    /// Readiness says no from now on and event streams end; other requests are still served.
    pub fn begin(&self) {
        self.switch.begin();
    }

    /// Begins, waits for `drain_notice`, stops accepting, and returns when open requests have finished or their time is
    /// up. The server must be polled meanwhile.
    pub async fn stop(&self) {
        self.begin();
        tokio::time::sleep(self.notice).await;
        self.server.stop(true).await;
    }
}
