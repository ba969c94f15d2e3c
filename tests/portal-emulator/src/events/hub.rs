//! Who listens to what, and how an event finds its way from a change to the queue of the deliveries.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::Event;
use crate::delivery::{Office, Parcel};

/// An outgoing webhook as a person makes it in the user interface (REST.md 10.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutgoingWebhook {
    /// Where events are sent.
    pub handler_url: String,
    /// Names of events, in any case. Those that only applications get are never sent.
    pub events: Vec<String>,
    /// Sent as `auth[application_token]`.
    pub application_token: String,
}

/// What the `auth` block of a body is made of.
#[derive(Clone, Debug)]
pub(crate) enum Auth {
    /// The short block of an outgoing webhook.
    Webhook { application_token: Arc<str> },
}

#[derive(Debug)]
struct Webhook {
    handler_id: i64,
    url: Arc<str>,
    events: Vec<String>,
    application_token: Arc<str>,
}

#[derive(Debug, Default)]
struct Listeners {
    webhooks: Vec<Webhook>,
    handlers: i64,
}

impl Listeners {
    fn next_handler_id(&mut self) -> i64 {
        self.handlers += 1;
        self.handlers
    }
}

/// Knows the listeners and passes events on to the [`Office`].
///
/// Events are announced under the lock of the records, so that they are queued in the order of the changes; nothing
/// here takes that lock.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    /// Whether anybody listens: without listeners a change costs one load.
    listening: AtomicBool,
    listeners: Mutex<Listeners>,
    pub(crate) office: Office,
}

impl Hub {
    fn listeners(&self) -> MutexGuard<'_, Listeners> {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_listening(&self) -> bool {
        self.listening.load(Ordering::Acquire)
    }

    fn changed(&self, listeners: &Listeners) {
        self.listening.store(!listeners.webhooks.is_empty(), Ordering::Release);
    }

    /// Adds an outgoing webhook; returns its `event_handler_id`.
    pub(crate) fn add_webhook(&self, webhook: OutgoingWebhook) -> i64 {
        let mut listeners = self.listeners();
        let handler_id = listeners.next_handler_id();
        listeners.webhooks.push(Webhook {
            handler_id,
            url: webhook.handler_url.into(),
            events: webhook.events.iter().map(|name| name.to_ascii_uppercase()).collect(),
            application_token: webhook.application_token.into(),
        });
        self.changed(&listeners);
        handler_id
    }

    pub(crate) fn remove_webhooks(&self) {
        let mut listeners = self.listeners();
        listeners.webhooks.clear();
        self.changed(&listeners);
    }

    /// Tells all who listen of an event, which is only made if anybody listens at all.
    pub(crate) fn announce(&self, event: impl FnOnce() -> Event) {
        if self.is_listening() {
            self.publish(event());
        }
    }

    fn publish(&self, event: Event) {
        let listeners = self.listeners();
        let event = Arc::new(event);
        let offered = event.is_for_webhooks();
        for webhook in listeners.webhooks.iter().filter(|webhook| offered && webhook.events.contains(&event.name)) {
            self.office.put(Parcel {
                handler_id: Some(webhook.handler_id),
                url: Arc::clone(&webhook.url),
                event: Arc::clone(&event),
                auth: Auth::Webhook { application_token: Arc::clone(&webhook.application_token) },
            });
        }
    }
}
