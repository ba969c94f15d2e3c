//! How long keys count (CORRECTNESS S2). At most one request is under way, everybody waits for the same one, and it
//! goes on when those who wait have gone.
//!
//! The set is its own negative cache: a key that is not in it is unknown until the project may be asked again.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use b24sync_domain::access::Refusal;
use b24sync_domain::error::Chain;
use b24sync_domain::ports::Clock;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use super::fetch::{FetchError, Fetcher};
use super::set::KeySet;
use crate::algorithm::VerifyingKey;

/// From this age on newer keys are asked for, while the old ones are used.
const SOFT_AGE: TimeDelta = TimeDelta::minutes(5);
/// From this age on keys are not used.
const HARD_AGE: TimeDelta = TimeDelta::minutes(30);
/// Between two requests while there are keys, whatever tokens name.
const ASK_AGAIN: TimeDelta = TimeDelta::seconds(30);
/// Between two requests while there are none.
const ASK_AGAIN_WITHOUT: TimeDelta = TimeDelta::seconds(5);

/// The keys of one project.
pub(crate) struct KeyCache {
    fetcher: Fetcher,
    clock: Arc<dyn Clock>,
    tasks: TaskTracker,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: Option<Known>,
    /// When the last request was begun.
    asked_at: Option<DateTime<Utc>>,
    /// Whether the last request that has ended brought nothing.
    failed: bool,
    /// The request that is under way; closed when it has ended.
    flight: Option<watch::Receiver<()>>,
    /// Rises when everything is forgotten: what was asked for before does not count any more.
    generation: u64,
}

struct Known {
    set: Arc<KeySet>,
    /// When it was asked for: it cannot be younger than that.
    asked_at: DateTime<Utc>,
}

impl State {
    /// Keys that may be used, and whether newer ones should be asked for.
    fn usable(&self, now: DateTime<Utc>) -> Option<(Arc<KeySet>, bool)> {
        let known = self.known.as_ref()?;
        let age = apart(now, known.asked_at);
        (age < HARD_AGE).then(|| (Arc::clone(&known.set), age >= SOFT_AGE))
    }

    fn may_ask(&self, now: DateTime<Utc>, interval: TimeDelta) -> bool {
        self.asked_at.is_none_or(|asked_at| apart(now, asked_at) >= interval)
    }

    fn under_way(&self) -> Option<watch::Receiver<()>> {
        self.flight.clone().filter(|flight| flight.has_changed().is_ok())
    }
}

/// A clock that was put back makes keys old as well, or they would live longer than they may.
fn apart(now: DateTime<Utc>, then: DateTime<Utc>) -> TimeDelta {
    now.signed_duration_since(then).abs()
}

impl KeyCache {
    pub(crate) fn new(fetcher: Fetcher, clock: Arc<dyn Clock>, tasks: TaskTracker) -> KeyCache {
        KeyCache { fetcher, clock, tasks, state: Mutex::default() }
    }

    /// The key with this id; without an id, the key of a project that has no other.
    pub(crate) async fn find(self: &Arc<Self>, kid: Option<&str>) -> Result<Arc<VerifyingKey>, Refusal> {
        let set = self.set().await?;
        if let Some(key) = set.find(kid) {
            return Ok(key);
        }
        if kid.is_some()
            && let Some(flight) = self.ask_for_newer()
        {
            landed(flight).await;
        }
        let state = self.lock();
        let (set, _) = state.usable(self.clock.now()).ok_or(Refusal::KeysUnavailable)?;
        // While the project cannot be asked, a key that is not known may be a new one.
        let unknown = if state.failed && kid.is_some() { Refusal::KeysUnavailable } else { Refusal::UnknownKey };
        set.find(kid).ok_or(unknown)
    }

    /// The keys that may be used now.
    pub(crate) async fn set(self: &Arc<Self>) -> Result<Arc<KeySet>, Refusal> {
        let flight = {
            let now = self.clock.now();
            let mut state = self.lock();
            match state.usable(now) {
                Some((set, is_old)) => {
                    if is_old && state.may_ask(now, ASK_AGAIN) {
                        self.ask(&mut state, now);
                    }
                    return Ok(set);
                }
                None if state.under_way().is_some() || state.may_ask(now, ASK_AGAIN_WITHOUT) => {
                    self.ask(&mut state, now)
                }
                None => return Err(Refusal::KeysUnavailable),
            }
        };
        landed(flight).await;
        self.lock().usable(self.clock.now()).map(|(set, _)| set).ok_or(Refusal::KeysUnavailable)
    }

    /// Asks now, whatever is known, and keeps nothing: for whoever wants to know why it fails.
    pub(crate) async fn ask_now(&self) -> Result<KeySet, FetchError> {
        self.fetcher.fetch().await
    }

    /// Forgets everything, and what is under way as well.
    pub(crate) fn purge(&self) {
        let mut state = self.lock();
        *state = State { generation: state.generation + 1, ..State::default() };
    }

    /// Asks for the sake of a key that is not known; `None` where it is too early to ask again.
    fn ask_for_newer(self: &Arc<Self>) -> Option<watch::Receiver<()>> {
        let now = self.clock.now();
        let mut state = self.lock();
        if state.under_way().is_none() && !state.may_ask(now, ASK_AGAIN) {
            return None;
        }
        Some(self.ask(&mut state, now))
    }

    /// The request that is under way, or a new one.
    fn ask(self: &Arc<Self>, state: &mut State, now: DateTime<Utc>) -> watch::Receiver<()> {
        if let Some(flight) = state.under_way() {
            return flight;
        }
        let (sender, flight) = watch::channel(());
        state.asked_at = Some(now);
        state.flight = Some(flight.clone());
        let generation = state.generation;
        let cache = Arc::clone(self);
        self.tasks.spawn(async move {
            let fetched = cache.fetcher.fetch().await;
            cache.keep(fetched, now, generation);
            // Closed only now, also where this task is dropped half-way.
            drop(sender);
        });
        flight
    }

    fn keep(&self, fetched: Result<KeySet, FetchError>, asked_at: DateTime<Utc>, generation: u64) {
        let mut state = self.lock();
        if state.generation != generation {
            return;
        }
        state.failed = fetched.is_err();
        match fetched {
            Ok(set) => {
                debug!(keys = set.len(), "the project's keys were fetched");
                state.known = Some(Known { set: Arc::new(set), asked_at });
            }
            Err(error) => warn!(error = %Chain(&error), "the project's keys could not be fetched"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for KeyCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyCache").finish_non_exhaustive()
    }
}

/// Waits until a request has ended, however it did.
async fn landed(mut flight: watch::Receiver<()>) {
    while flight.changed().await.is_ok() {}
}
