//! Who listens to what, and how an event finds its way from a change to the queue of the deliveries.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::{Auth, Event, Grant};
use crate::application::{Binding, Installed, IssuedTokens, OauthStats};
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
    application: Option<Installed>,
    installations: u64,
    handlers: i64,
    oauth: OauthStats,
}

/// When and why an event happens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Occasion<'o> {
    /// The second of the portal's clock.
    pub(crate) now: i64,
    /// The `auth_connector` of the application's own request that made the change; it hides the event from the
    /// offline queue of that key (RU `api-reference/events/event-bind.md`).
    pub(crate) connector: Option<&'o str>,
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

    fn change<T>(&self, change: impl FnOnce(&mut Listeners) -> T) -> T {
        let mut listeners = self.listeners();
        let result = change(&mut listeners);
        let bound = listeners.application.as_ref().is_some_and(|installed| !installed.bindings.is_empty());
        self.listening.store(bound || !listeners.webhooks.is_empty(), Ordering::Release);
        result
    }

    /// A number for a handler that no other handler of the portal has.
    pub(crate) fn next_handler_id(&self) -> i64 {
        self.change(|listeners| {
            listeners.handlers += 1;
            listeners.handlers
        })
    }

    /// Adds an outgoing webhook; returns its `event_handler_id`.
    pub(crate) fn add_webhook(&self, webhook: OutgoingWebhook) -> i64 {
        let handler_id = self.next_handler_id();
        let webhook = Webhook {
            handler_id,
            url: webhook.handler_url.into(),
            events: webhook.events.iter().map(|name| name.to_ascii_uppercase()).collect(),
            application_token: webhook.application_token.into(),
        };
        self.change(|listeners| listeners.webhooks.push(webhook));
        handler_id
    }

    pub(crate) fn remove_webhooks(&self) {
        self.change(|listeners| listeners.webhooks.clear());
    }

    /// Puts an application in the place of the one before; `make` gets the number of the installation.
    pub(crate) fn install(&self, make: impl FnOnce(u64) -> Installed) -> IssuedTokens {
        self.change(|listeners| {
            listeners.installations += 1;
            let installed = make(listeners.installations);
            let issued = installed.issued();
            listeners.application = Some(installed);
            issued
        })
    }

    /// Takes the application away; returns whether there was one.
    pub(crate) fn uninstall(&self) -> bool {
        self.change(|listeners| listeners.application.take().is_some())
    }

    /// Whether there was an application that is gone.
    pub(crate) fn is_uninstalled(&self) -> bool {
        let listeners = self.listeners();
        listeners.application.is_none() && listeners.installations > 0
    }

    /// Looks at the application or changes it; `None` if there is none.
    pub(crate) fn with_application<T>(&self, action: impl FnOnce(&mut Installed) -> T) -> Option<T> {
        self.change(|listeners| listeners.application.as_mut().map(action))
    }

    pub(crate) fn count_oauth(&self, count: impl FnOnce(&mut OauthStats)) {
        count(&mut self.listeners().oauth);
    }

    pub(crate) fn oauth_stats(&self) -> OauthStats {
        self.listeners().oauth
    }

    /// Tells all who listen of an event.
    pub(crate) fn publish(&self, event: Event, occasion: Occasion<'_>) {
        let mut listeners = self.listeners();
        let event = Arc::new(event);
        if event.is_for_webhooks() {
            for webhook in listeners.webhooks.iter().filter(|webhook| webhook.events.contains(&event.name)) {
                self.office.put(webhook.parcel(&event), Instant::now());
            }
        }
        if let Some(installed) = &mut listeners.application {
            self.tell_application(installed, &event);
            self.queue_offline(installed, &event, occasion);
        }
    }

    fn tell_application(&self, installed: &Installed, event: &Arc<Event>) {
        let mut bindings = installed.bindings.online(&event.name).peekable();
        if bindings.peek().is_some() {
            let grant = if self.office.is_by_robot() { Grant::Nothing } else { event.grant() };
            for binding in bindings {
                self.office.put(parcel(installed, binding, event, grant), Instant::now());
            }
        }
    }

    /// Notes an event in the offline queues of its name and wakes the application up.
    fn queue_offline(&self, installed: &mut Installed, event: &Arc<Event>, occasion: Occasion<'_>) {
        let connectors = installed.bindings.offline(&event.name);
        // The queue without a key hides nothing.
        let hidden = |key: &str| !key.is_empty() && occasion.connector == Some(key);
        let connectors: Vec<String> = connectors.filter(|key| !hidden(key)).map(str::to_owned).collect();
        for connector in &connectors {
            installed.offline.note(event, connector, occasion.now);
        }
        if connectors.is_empty() {
            return;
        }
        let wake_up = Arc::new(Event::wake_up());
        let now = Instant::now();
        let due: Vec<(i64, Instant)> = installed
            .bindings
            .online_mut(&wake_up.name)
            .filter_map(|binding| Some((binding.id, binding.wake(now)?)))
            .collect();
        for (id, earliest) in due {
            for binding in installed.bindings.online(&wake_up.name).filter(|binding| binding.id == id) {
                self.office.put(parcel(installed, binding, &wake_up, wake_up.grant()), earliest);
            }
        }
    }
}

impl Webhook {
    fn parcel(&self, event: &Arc<Event>) -> Parcel {
        Parcel {
            handler_id: Some(self.handler_id),
            url: Arc::clone(&self.url),
            event: Arc::clone(event),
            auth: Auth { application_token: Arc::clone(&self.application_token), grant: Grant::Nothing },
        }
    }
}

fn parcel(installed: &Installed, binding: &Binding, event: &Arc<Event>, grant: Grant) -> Parcel {
    Parcel {
        handler_id: Some(binding.id),
        url: Arc::clone(&binding.url),
        event: Arc::clone(event),
        auth: Auth { application_token: Arc::clone(&installed.application_token), grant },
    }
}
