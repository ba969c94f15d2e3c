//! The service as an application of the portal: it is installed and removed, binds its handlers, and fetches what the
//! portal keeps for it.
//!
//! - `control`: what the portal and its users tell the application about itself.
//! - `registration`: binding handlers, and binding again those that vanished.
//! - `offline`: the offline queue, emptied into the inbox.
//! - `upkeep`: the loop that looks after both.
//! - `by_hand`, `instructions`: what there is instead with an incoming webhook.
//! - `handler_url`, `wanted`: where events go, and which.

mod by_hand;
mod control;
mod handler_url;
mod instructions;
mod offline;
mod registration;
mod upkeep;
mod wanted;

use std::sync::Arc;

use b24sync_domain::ports::{
    EventInbox, EventSubscriptions, Instances, LeaseStore, OfflineQueue, PortalGrant, RegistrationStore, RunLog,
};
use tokio::sync::Notify;

use super::intake::Signals;

pub use by_hand::ByHand;
pub use handler_url::HandlerUrl;
pub use instructions::instructions;
pub use wanted::events;

/// The ports that an application needs.
#[derive(Clone)]
pub struct ApplicationPorts {
    /// Its right to call the portal.
    pub grant: Arc<dyn PortalGrant>,
    /// The portal's list of its handlers.
    pub subscriptions: Arc<dyn EventSubscriptions>,
    /// What the portal keeps for it.
    pub queue: Arc<dyn OfflineQueue>,
    /// Where its events go.
    pub registrations: Arc<dyn RegistrationStore>,
    /// Keeps hints.
    pub inbox: Arc<dyn EventInbox>,
    /// The run log.
    pub runs: Arc<dyn RunLog>,
    /// Leases.
    pub leases: Arc<dyn LeaseStore>,
    /// Who this process is, and who is gone.
    pub instances: Arc<dyn Instances>,
}

/// How the application is set up.
#[derive(Debug, Clone, Default)]
pub struct ApplicationOptions {
    /// Whether handlers may be on this machine and without TLS, for development.
    pub allow_loopback: bool,
    /// Where events go after the first installation, if nobody registers a handler by then.
    pub handler: Option<HandlerUrl>,
}

/// Implements [`ApplicationControl`](b24sync_domain::ports::ApplicationControl) and
/// [`WebhookRegistration`](b24sync_domain::ports::WebhookRegistration) for an application; cheap to clone. One of the
/// clones must [`tend`](ApplicationService::tend).
#[derive(Clone)]
pub struct ApplicationService {
    ports: ApplicationPorts,
    options: ApplicationOptions,
    signals: Arc<Signals>,
    calls: Arc<Calls>,
}

/// What was heard and must be looked at soon.
#[derive(Debug, Default)]
struct Calls {
    /// Handlers may be gone.
    handlers: Notify,
    /// There is something in the offline queue.
    queue: Notify,
}

impl ApplicationService {
    /// Over these ports; `signals` are those of the intake.
    pub fn new(ports: ApplicationPorts, options: ApplicationOptions, signals: Arc<Signals>) -> ApplicationService {
        ApplicationService { ports, options, signals, calls: Arc::default() }
    }
}
