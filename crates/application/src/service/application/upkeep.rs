//! Looks after handlers and the offline queue. Every instance follows the calls that it gets itself; one of them leads,
//! and looks without being called: events that tell of handlers and queues can be lost like all others.

use std::collections::BTreeMap;
use std::time::Duration;

use b24sync_domain::application::ApplicationError;
use b24sync_domain::error::{Chain, StoreError};
use b24sync_domain::lease::{Grant, Lease, Scope};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ApplicationService;
use crate::holding::{LEASE_TTL, RENEW_EVERY};

/// How often the leader looks into the offline queue.
const FETCH_EVERY: Duration = Duration::from_secs(60);

/// How often the leader looks whether handlers are still there, and whether there is a queue (Bitrix24 REST 18.15).
const CHECK_EVERY: Duration = Duration::from_secs(3_600);

/// When handlers that may be gone are looked after once more: the portal tells of a new version before it removes them.
const LATER_CHECKS: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(600)];

const HANDLERS: &str = "could not look after the handlers of events";
const QUEUE: &str = "could not fetch events from the portal's queue";
const INTERRUPTED: &str = "could not look for events whose fetch was interrupted";

impl ApplicationService {
    /// Looks after the application until it is to stop. Without tokens it waits for them.
    #[tracing::instrument(name = "application", skip_all)]
    pub async fn tend(&self, stop: &CancellationToken) {
        let mut agenda = Agenda::new(Instant::now());
        while !stop.is_cancelled() {
            self.lead(&mut agenda).await;
            if agenda.is_check_due(Instant::now()) {
                self.check(&mut agenda).await;
            }
            if agenda.is_fetch_due(Instant::now()) {
                self.fetch_all(&mut agenda).await;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = self.calls.handlers.notified() => agenda.call_for_checks(Instant::now()),
                () = self.calls.queue.notified() => self.fetch_free(&mut agenda).await,
                () = tokio::time::sleep_until(agenda.next(Instant::now())) => {}
            }
        }
        if let Some((lease, _)) = agenda.lead
            && let Err(error) = self.ports.leases.release(&lease).await
        {
            tracing::warn!(error = %Chain(&error), "could not give the application's lease back; it runs out by itself");
        }
    }

    /// Takes the lead when nobody has it, and keeps it.
    async fn lead(&self, agenda: &mut Agenda) {
        let lead = match agenda.lead.take() {
            None => self.take_lead().await.map(|lease| lease.map(|lease| (lease, Instant::now()))),
            Some((lease, renewed)) if renewed.elapsed() < RENEW_EVERY => Ok(Some((lease, renewed))),
            Some((lease, renewed)) => match self.ports.leases.renew(&lease, LEASE_TTL).await {
                Ok(()) => Ok(Some((lease, Instant::now()))),
                Err(StoreError::LeaseLost { .. }) => Ok(None),
                // Not renewed and not lost either; two that lead do no harm.
                Err(_) if renewed.elapsed() < LEASE_TTL => Ok(Some((lease, renewed))),
                Err(error) => Err(error),
            },
        };
        agenda.lead = lead.unwrap_or_else(|error| {
            tracing::warn!(error = %Chain(&error), "could not ask for the application's lease yet");
            None
        });
    }

    async fn take_lead(&self) -> Result<Option<Lease>, StoreError> {
        let me = self.ports.instances.me();
        match self.ports.leases.acquire(Scope::Application, &me, LEASE_TTL).await? {
            Grant::Granted(lease) => Ok(Some(lease)),
            Grant::Held(held) if self.ports.instances.is_gone(&held.holder) => {
                self.ports.leases.take_over(Scope::Application, &me, &held, LEASE_TTL).await
            }
            Grant::Held(_) => Ok(None),
        }
    }

    async fn check(&self, agenda: &mut Agenda) {
        agenda.checked(Instant::now());
        let outcome = self.repair().await.map(drop);
        agenda.note(HANDLERS, outcome);
    }

    /// What is free, and then what nobody cleared: the portal lists both together, so that only that is left.
    async fn fetch_all(&self, agenda: &mut Agenda) {
        agenda.fetch_at = Instant::now() + FETCH_EVERY;
        self.fetch_free(agenda).await;
        if agenda.queue == Some(true) {
            let outcome = self.fetch_interrupted().await;
            agenda.note(INTERRUPTED, outcome);
        }
    }

    async fn fetch_free(&self, agenda: &mut Agenda) {
        let outcome = async {
            let is_open = match agenda.queue {
                Some(is_open) => is_open,
                None => self.ports.queue.is_available().await?,
            };
            agenda.queue = Some(is_open);
            if is_open && self.fetch().await? {
                // There may be more; other things first.
                self.calls.queue.notify_one();
            }
            Ok(())
        };
        let outcome = outcome.await;
        agenda.note(QUEUE, outcome);
    }
}

/// What is due, and when.
struct Agenda {
    /// The lease of who leads, and when it was renewed last.
    lead: Option<(Lease, Instant)>,
    fetch_at: Instant,
    check_at: Instant,
    /// Checks that this instance was called for.
    called: Vec<Instant>,
    /// Whether the portal has a queue for us, as far as it was asked since the last check.
    queue: Option<bool>,
    /// What is wrong, so that it is said once.
    troubles: BTreeMap<&'static str, String>,
}

impl Agenda {
    fn new(now: Instant) -> Agenda {
        Agenda { lead: None, fetch_at: now, check_at: now, called: Vec::new(), queue: None, troubles: BTreeMap::new() }
    }

    fn is_check_due(&self, now: Instant) -> bool {
        self.lead.is_some() && now >= self.check_at || self.called.iter().any(|at| now >= *at)
    }

    fn is_fetch_due(&self, now: Instant) -> bool {
        self.lead.is_some() && now >= self.fetch_at
    }

    fn checked(&mut self, now: Instant) {
        self.check_at = now + CHECK_EVERY;
        self.called.retain(|at| *at > now);
        self.queue = None;
    }

    fn call_for_checks(&mut self, now: Instant) {
        self.called = LATER_CHECKS.iter().map(|later| now + *later).chain([now]).collect();
    }

    /// When there is something to do next, the lead among it.
    fn next(&self, now: Instant) -> Instant {
        let led = self.lead.iter().flat_map(|_| [self.fetch_at, self.check_at]);
        led.chain(self.called.iter().copied()).fold(now + RENEW_EVERY, Instant::min)
    }

    fn note(&mut self, what: &'static str, outcome: Result<(), ApplicationError>) {
        let Err(error) = outcome else {
            if self.troubles.remove(what).is_some() {
                tracing::info!("what failed works again: {what}");
            }
            return;
        };
        let said = Chain(&error).to_string();
        if self.troubles.get(what) == Some(&said) {
            tracing::debug!(error = said, "{what}");
            return;
        }
        tracing::warn!(error = said, advice = error.advice(), "{what}");
        self.troubles.insert(what, said);
    }
}
