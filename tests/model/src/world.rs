//! What everybody in a history shares: the clock, chance, the portal, the store, the weather and the audit.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard};

use b24sync_domain::lease::Scope;
use b24sync_domain::mapping::schema::SchemaPlan;
use b24sync_testkit::build::{deal, deal_fields, plan};
use b24sync_testkit::store::FakeStore;
use tokio::time::Instant;

use crate::audit::Audit;
use crate::chance::Chance;
use crate::portal::{Millis, Portal};

/// How bad the times are: each number is "once in so many", 0 is never. A seed has its own weather, so that rare faults
/// also come without the others.
#[derive(Debug, Clone, Copy, Default)]
pub struct Weather {
    /// A call does not reach the other side.
    pub fails: u32,
    /// A call does its work, and its answer is lost.
    pub loses: u32,
    /// A call takes long.
    pub slow: u32,
    /// A sync's process dies in the middle of it.
    pub crashes: u32,
    /// A sync's process stands still for longer than its lease lasts.
    pub pauses: u32,
    /// A sync is asked to stop.
    pub stops: u32,
    /// A page has fewer records than it could have.
    pub short_pages: u32,
    /// A change becomes visible at the worst moment, see [`Portal::surprise`].
    pub surprises: u32,
}

impl Weather {
    fn of(chance: &Chance, events: bool) -> Weather {
        let maybe = |n: u32| if chance.one_in(2) { n } else { 0 };
        Weather {
            fails: maybe(25),
            loses: maybe(25),
            slow: maybe(10),
            crashes: maybe(4),
            pauses: maybe(5),
            stops: maybe(8),
            short_pages: maybe(3),
            surprises: if events { 0 } else { 4 },
        }
    }
}

/// Everything that is shared.
pub struct World {
    /// What the seed decides.
    pub chance: Chance,
    /// The store; leases run out by the virtual clock, see [`crate::store`].
    pub store: FakeStore,
    /// The table.
    pub plan: SchemaPlan,
    /// Records in a page.
    pub page_size: usize,
    /// Whether somebody follows events, see [`crate::people::follow_events`].
    pub events: bool,
    /// Whether the portal sends events, see [`crate::events`].
    pub hints: bool,
    start: Instant,
    portal: Mutex<Portal>,
    audit: Mutex<Audit>,
    weather: Mutex<Weather>,
    /// When the lease runs out that is held now.
    pub(crate) lease_until: Mutex<HashMap<Scope, Instant>>,
    /// Processes that are gone, as far as others on their machine can tell.
    pub(crate) gone: Mutex<BTreeSet<String>>,
}

impl World {
    /// The world of a seed, at its beginning.
    pub fn new(seed: u64, traced: bool) -> World {
        let chance = Chance::new(seed);
        let events = chance.one_in(2);
        World {
            store: FakeStore::default(),
            plan: plan(deal(), &deal_fields()),
            page_size: usize::try_from(chance.between(2..=6)).unwrap_or(2),
            events,
            hints: chance.one_in(2),
            start: Instant::now(),
            portal: Mutex::new(Portal::new(chance.between(0..=3_600_000), events)),
            audit: Mutex::new(Audit::new(traced)),
            weather: Mutex::new(Weather::of(&chance, events)),
            lease_until: Mutex::default(),
            gone: Mutex::default(),
            chance,
        }
    }

    /// Milliseconds since the beginning.
    pub fn now(&self) -> Millis {
        Millis::try_from(self.start.elapsed().as_millis()).unwrap_or(Millis::MAX)
    }

    /// The portal as it is now.
    pub fn portal<T>(&self, look: impl FnOnce(&mut Portal) -> T) -> T {
        look(lock(&self.portal).at(self.now()))
    }

    /// The audit.
    pub fn audit<T>(&self, tell: impl FnOnce(&mut Audit) -> T) -> T {
        tell(lock(&self.audit).at(self.now()))
    }

    /// The audit, and the portal that it judges by.
    pub fn judge<T>(&self, tell: impl FnOnce(&mut Audit, &Portal) -> T) -> T {
        self.portal(|portal| self.audit(|audit| tell(audit, portal)))
    }

    /// How bad the times are.
    pub fn weather(&self) -> Weather {
        *lock(&self.weather)
    }

    /// Ends all faults.
    pub fn calm(&self) {
        *lock(&self.weather) = Weather::default();
    }

    /// Time that a call takes on its way, or on its way back.
    pub async fn travel(&self) {
        if self.chance.one_in(self.weather().slow) {
            self.chance.wait(1_000..=45_000).await;
        } else {
            self.chance.wait(1..=400).await;
        }
    }
}

/// Nothing is left half-done by a panic that matters here.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no test panics while it holds the lock")
}
