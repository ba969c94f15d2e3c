//! Keeps the requests of this process inside the portal's rate.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use b24sync_domain::ports::{BudgetReport, Lane, PortalPacer};
use chrono::{DateTime, Utc};
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::sync::Notify;
use tokio::time::Instant;
use tracing::warn;

/// Requests that the burst is kept below, for what else uses the portal.
const SAFETY: u32 = 2;

/// Pauses of all requests after refusals for the rate: the first, and the longest.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// Pause of a method whose execution time is used up: when the portal does not say how long, and at most. The portal
/// lifts the block by itself after ten minutes.
const METHOD_PAUSE: Duration = Duration::from_secs(600);
const METHOD_PAUSE_MIN: Duration = Duration::from_secs(1);

/// A [`PortalPacer`] for one process: a leaky bucket, in front of which the more important request goes first.
pub struct LocalPacer {
    limiter: RateLimiter<NotKeyed, InMemoryState, RuntimeClock, NoOpMiddleware<Nanos>>,
    clock: RuntimeClock,
    state: Mutex<State>,
    /// Something changed that a waiting request may have waited for.
    changed: Notify,
}

#[derive(Default)]
struct State {
    /// Who waits, in the order in which they go, and for which methods.
    waiting: BTreeMap<Ticket, Vec<String>>,
    tickets: u64,
    paused_until: Option<Instant>,
    /// Refusals without a success in between.
    refusals: u32,
    methods: HashMap<String, Instant>,
}

/// The lower goes first: by lane, then by arrival.
type Ticket = (Lane, u64);

/// The runtime's clock, so that tests can turn it.
#[derive(Debug, Clone)]
struct RuntimeClock {
    start: Instant,
}

impl Clock for RuntimeClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.start.elapsed().into()
    }
}

impl fmt::Debug for LocalPacer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalPacer").finish_non_exhaustive()
    }
}

impl LocalPacer {
    /// Lets `rate` requests a second through, and up to `burst` at once after a rest. Nonsense is brought to the nearest
    /// sense: at least one request an hour, at least one at once.
    pub fn new(rate: f64, burst: u32) -> LocalPacer {
        let rate = if rate.is_finite() { rate.clamp(1.0 / 3_600.0, 1_000_000.0) } else { 1.0 };
        let burst = if burst > 10 { burst - SAFETY } else { burst.max(1) };
        let clock = RuntimeClock { start: Instant::now() };
        let quota = Quota::with_period(Duration::from_secs_f64(1.0 / rate))
            .unwrap_or_else(|| Quota::per_second(std::num::NonZeroU32::MIN))
            .allow_burst(std::num::NonZeroU32::new(burst).unwrap_or(std::num::NonZeroU32::MIN));
        LocalPacer {
            limiter: RateLimiter::direct_with_clock(quota, clock.clone()),
            clock,
            state: Mutex::default(),
            changed: Notify::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets `ticket` through if it is its turn and the bucket has room; else says how long to wait at most.
    fn try_pass(&self, ticket: Ticket) -> Result<(), Option<Duration>> {
        let mut state = self.state();
        let now = Instant::now();
        if let Some(until) = state.paused_until.filter(|until| *until > now) {
            return Err(Some(until - now));
        }
        state.methods.retain(|_, until| *until > now);
        match state.waiting.iter().find(|(_, methods)| !state.is_paused(methods)) {
            Some((first, _)) if *first == ticket => {}
            // Its methods may be what pauses it.
            _ => return Err(state.methods.values().min().map(|until| *until - now)),
        }
        self.limiter.check().map_err(|refused| Some(refused.wait_time_from(self.clock.now())))?;
        state.waiting.remove(&ticket);
        Ok(())
    }
}

impl State {
    fn is_paused(&self, methods: &[String]) -> bool {
        methods.iter().any(|method| self.methods.contains_key(method))
    }
}

/// Takes the ticket back when its request is let through or given up.
struct Turn<'a> {
    pacer: &'a LocalPacer,
    ticket: Ticket,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.pacer.state().waiting.remove(&self.ticket);
        self.pacer.changed.notify_waiters();
    }
}

#[async_trait]
impl PortalPacer for LocalPacer {
    async fn admit(&self, lane: Lane, methods: &[String]) {
        let ticket = {
            let mut state = self.state();
            state.tickets += 1;
            let ticket = (lane, state.tickets);
            state.waiting.insert(ticket, methods.to_vec());
            ticket
        };
        let _turn = Turn { pacer: self, ticket };
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Before looking, or a change between looking and waiting would be missed.
            changed.as_mut().enable();
            match self.try_pass(ticket) {
                Ok(()) => return,
                Err(None) => changed.await,
                Err(Some(wait)) => {
                    // Whatever ends the wait, the next look decides.
                    let _ = tokio::time::timeout(wait, changed).await;
                }
            }
        }
    }

    fn report(&self, report: &BudgetReport) {
        let mut state = self.state();
        if report.rate_refused {
            let pause = PAUSE_FIRST.saturating_mul(2_u32.saturating_pow(state.refusals)).min(PAUSE_MAX);
            state.refusals = state.refusals.saturating_add(1);
            state.paused_until = state.paused_until.max(Some(Instant::now() + pause));
            warn!(method = %report.method, seconds = pause.as_secs(), "the portal refused a request for its rate; all requests pause");
        } else if !report.method_refused {
            state.refusals = 0;
        }
        if report.method_refused {
            let pause = until(report.resets_at);
            state.methods.insert(report.method.clone(), Instant::now() + pause);
            warn!(method = %report.method, seconds = pause.as_secs(), "the method has used up its execution time and pauses");
        }
        drop(state);
        self.changed.notify_waiters();
    }
}

/// How long until then. The instant is the portal's and the clock is ours, so the answer is only trusted within bounds.
fn until(resets_at: Option<DateTime<Utc>>) -> Duration {
    let left = resets_at.and_then(|at| SystemTime::from(at).duration_since(SystemTime::now()).ok());
    match (resets_at, left) {
        (None, _) => METHOD_PAUSE,
        (Some(_), None) => METHOD_PAUSE_MIN,
        (Some(_), Some(left)) => left.clamp(METHOD_PAUSE_MIN, METHOD_PAUSE),
    }
}

#[cfg(test)]
#[path = "pacer_tests.rs"]
mod tests;
