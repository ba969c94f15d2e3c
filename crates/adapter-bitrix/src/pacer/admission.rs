//! [`BudgetPacer`]: who may send when.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use b24sync_domain::error::{Chain, Remedy, StoreError};
use b24sync_domain::pacing::RateLimits;
use b24sync_domain::ports::{BudgetReport, BudgetStore, Lane, Permit, PortalPacer, PortalRequest, Wish};
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::warn;

use super::OwnBudget;
use super::lanes::{LaneQueue, Ticket};
use super::ledger::{Entry, Ledger, Verdict};
use super::slots::Slots;
use crate::metering;

/// Waits between questions to a store that does not answer: the first, and the longest.
const REST_FIRST: Duration = Duration::from_millis(500);
const REST_MOST: Duration = Duration::from_secs(5);

/// How long a store may be silent before requests fail.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pause after a refusal that the store could not be told of.
const PAUSE_UNTOLD: Duration = Duration::from_secs(5);

/// A [`PortalPacer`] over a budget that may be shared with other processes. Cloning it is cheap.
#[derive(Clone)]
pub struct BudgetPacer {
    shared: Arc<Shared>,
}

struct Shared {
    limits: RateLimits,
    store: Arc<dyn BudgetStore>,
    state: Mutex<State>,
    /// Something changed that a waiting request may have waited for.
    changed: Notify,
}

struct State {
    queue: LaneQueue,
    ledger: Ledger,
    slots: Slots,
    /// Somebody is asking the store for slots.
    asking: bool,
    paused_until: Option<Instant>,
    /// Since when the store has not answered, and the last rest.
    silent: Option<(Instant, Duration)>,
}

/// What a waiting request does next.
enum Step {
    Go(usize, Entry),
    Wait(Option<Instant>),
    Ask(Wish),
}

impl fmt::Debug for BudgetPacer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BudgetPacer").field("limits", &self.shared.limits).finish_non_exhaustive()
    }
}

impl BudgetPacer {
    /// Shares `store` with whoever else uses it. `operating_limit`: seconds of execution time that a method may use in the
    /// portal's window of ten minutes (`BITRIX_OPERATING_LIMIT_SECONDS`).
    pub fn new(limits: RateLimits, operating_limit: f64, store: Arc<dyn BudgetStore>) -> BudgetPacer {
        let state = State {
            queue: LaneQueue::default(),
            ledger: Ledger::new(operating_limit),
            slots: Slots::new(limits),
            asking: false,
            paused_until: None,
            silent: None,
        };
        let (state, changed) = (Mutex::new(state), Notify::new());
        BudgetPacer { shared: Arc::new(Shared { limits, store, state, changed }) }
    }

    /// For a program that has the portal for itself.
    pub fn alone(limits: RateLimits, operating_limit: f64) -> BudgetPacer {
        BudgetPacer::new(limits, operating_limit, Arc::new(OwnBudget::default()))
    }

    #[cfg(test)]
    pub(super) fn has_no_queue(&self) -> bool {
        self.shared.state().queue.is_empty()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the store for slots. Whoever is first in the queue asks, for all of its lane.
    async fn ask(&self, lane: Lane, wish: &Wish) -> Result<(), StoreError> {
        let _asking = Asking(self);
        let asked = Instant::now();
        let answer = self.store.take(self.limits, wish).await;
        let now = Instant::now();
        let mut state = self.state();
        match answer {
            Ok(slice) => {
                state.silent = None;
                state.slots.granted(lane, &slice, asked, now);
                for told in &slice.methods {
                    state.ledger.told(told, now);
                }
                metering::slots(slice.count, slice.per_second);
                Ok(())
            }
            Err(error) => {
                let (since, rest) = state.silent.unwrap_or((now, REST_FIRST));
                state.silent = Some((since, (rest * 2).min(REST_MOST)));
                state.slots.rest_until(now + rest);
                let passes = matches!(error.remedy(), Remedy::Retry { .. });
                if passes && now < since + PATIENCE {
                    warn!(error = %Chain(&error), "the portal's budget cannot be asked for; requests wait");
                    return Ok(());
                }
                Err(error)
            }
        }
    }
}

/// Asking ends when it is over or given up.
struct Asking<'a>(&'a Shared);

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.state().asking = false;
        self.0.changed.notify_waiters();
    }
}

impl State {
    fn step(&mut self, ticket: Ticket, now: Instant) -> Step {
        if let Some(until) = self.paused_until.filter(|until| *until > now) {
            return Step::Wait(Some(until));
        }
        let Some(request) = self.queue.get(ticket) else { return Step::Wait(None) };
        let commands = match self.ledger.verdict(request, now) {
            Verdict::Go(commands) => commands,
            Verdict::Wait(until) => return Step::Wait(until),
        };
        let could_go = |request: &PortalRequest| matches!(self.ledger.verdict(request, now), Verdict::Go(_));
        if self.queue.first(could_go) != Some(ticket) {
            return Step::Wait(None);
        }
        match self.slots.next(now) {
            Some(due) if due > now => Step::Wait(Some(due)),
            Some(_) => {
                self.slots.take(now);
                Step::Go(commands, self.ledger.begin(request, commands))
            }
            None if self.asking => Step::Wait(None),
            None => {
                let lane = ticket.0;
                if let Some(until) = self.slots.nothing_until(lane, now) {
                    return Step::Wait(Some(until));
                }
                self.asking = true;
                Step::Ask(self.slots.wish(lane, self.queue.count(lane), now))
            }
        }
    }
}

/// Takes the ticket back when its request is let through or given up.
struct Turn<'a> {
    shared: &'a Shared,
    ticket: Ticket,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.shared.state().queue.leave(self.ticket);
        self.shared.changed.notify_waiters();
    }
}

/// Ends the accounting of a request that is over.
struct OnItsWay {
    shared: Arc<Shared>,
    entry: Entry,
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        self.shared.state().ledger.end(&self.entry);
        self.shared.changed.notify_waiters();
    }
}

#[async_trait]
impl PortalPacer for BudgetPacer {
    async fn admit(&self, request: &PortalRequest) -> Result<Permit, StoreError> {
        let shared = &self.shared;
        let ticket = shared.state().queue.join(request.clone());
        let _turn = Turn { shared, ticket };
        loop {
            let changed = shared.changed.notified();
            tokio::pin!(changed);
            // Before looking, or a change between looking and waiting would be missed.
            changed.as_mut().enable();
            let step = shared.state().step(ticket, Instant::now());
            match step {
                Step::Go(commands, entry) => {
                    return Ok(Permit::new(commands, OnItsWay { shared: Arc::clone(shared), entry }));
                }
                Step::Ask(wish) => shared.ask(request.lane, &wish).await?,
                Step::Wait(None) => changed.await,
                Step::Wait(Some(until)) => {
                    // Whatever ends the wait, the next look decides.
                    let _ = tokio::time::timeout_at(until, changed).await;
                }
            }
        }
    }

    async fn report(&self, reports: &[BudgetReport]) {
        let now = Instant::now();
        let mut refused = Vec::new();
        {
            let mut state = self.shared.state();
            for report in reports {
                refused.extend(state.ledger.hear(report, now));
                if let Some(ratio) = state.ledger.used_ratio(&report.method, now) {
                    metering::operating(&report.method, ratio);
                }
            }
        }
        for pause in &refused {
            let seconds = pause.pause.as_secs();
            warn!(method = %pause.method, seconds, "the method has used up its execution time and pauses");
            if let Err(error) = self.shared.store.pause_method(pause).await {
                warn!(error = %Chain(&error), "other processes could not be told that a method pauses");
            }
        }
        if let Some(report) = reports.iter().find(|report| report.rate_refused) {
            // At once, whatever the store has to say.
            self.pause(PAUSE_UNTOLD);
            let told = self.shared.store.refuse(self.shared.limits).await;
            let pause = told.unwrap_or_else(|error| {
                warn!(error = %Chain(&error), "other processes could not be told that all requests pause");
                PAUSE_UNTOLD
            });
            self.pause(pause);
            let seconds = pause.as_secs_f64();
            warn!(method = %report.method, seconds, "the portal refused a request for its rate; all requests pause");
        }
        self.shared.changed.notify_waiters();
    }
}

impl BudgetPacer {
    fn pause(&self, pause: Duration) {
        self.shared.state().paused_until = Some(Instant::now() + pause);
    }
}
