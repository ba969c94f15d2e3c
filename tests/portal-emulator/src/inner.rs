//! The shared state of a portal.

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::access::Access;
use crate::address::Address;
use crate::changes::Origin;
use crate::clock::PortalClock;
use crate::config::PortalConfig;
use crate::data::World;
use crate::entity::Entity;
use crate::events::{Event, Hub, Occasion};
use crate::faults::FaultEngine;
use crate::limits::{Bucket, Operating};
use crate::render::kept::Kept;
use crate::stats::Stats;
use crate::store::Store;
use crate::times::Times;
use crate::view::View;

/// Everything a portal is, behind the cheap handle [`crate::Portal`].
#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) config: PortalConfig,
    pub(crate) world: World,
    pub(crate) clock: PortalClock,
    pub(crate) stats: Stats,
    pub(crate) tokens: AtomicU64,
    pub(crate) hub: Hub,
    pub(crate) kept: Kept,
    address: RwLock<Address>,
    stores: RwLock<Stores>,
    access: RwLock<Access>,
    times: RwLock<Times>,
    bucket: Mutex<Bucket>,
    operating: Mutex<Operating>,
    faults: Mutex<FaultEngine>,
}

/// The records of all entities.
#[derive(Debug)]
pub(crate) struct Stores {
    lead: Store,
    deal: Store,
    contact: Store,
    company: Store,
}

impl Stores {
    pub(crate) fn of(&self, entity: Entity) -> &Store {
        match entity {
            Entity::Lead => &self.lead,
            Entity::Deal => &self.deal,
            Entity::Contact => &self.contact,
            Entity::Company => &self.company,
        }
    }

    pub(crate) fn of_mut(&mut self, entity: Entity) -> &mut Store {
        match entity {
            Entity::Lead => &mut self.lead,
            Entity::Deal => &mut self.deal,
            Entity::Contact => &mut self.contact,
            Entity::Company => &mut self.company,
        }
    }
}

impl Inner {
    pub(crate) fn new(config: PortalConfig) -> Self {
        let (from, until) = config.history;
        let world = World {
            seed: config.seed,
            counts: config.counts,
            from,
            until,
            odd_values: config.odd_values,
            huge_integers: config.huge_integers,
        };
        let store = |entity| Store::generate(&world, entity, config.user_fields, config.poison, config.offset_minutes);
        let stores = Stores {
            lead: store(Entity::Lead),
            deal: store(Entity::Deal),
            contact: store(Entity::Contact),
            company: store(Entity::Company),
        };
        Self {
            clock: PortalClock::new(config.clock, config.clock_skew_seconds),
            stats: Stats::default(),
            tokens: AtomicU64::new(1),
            hub: Hub::default(),
            kept: Kept::default(),
            address: RwLock::new(Address::new(config.public_url.as_deref().unwrap_or("http://127.0.0.1"))),
            stores: RwLock::new(stores),
            access: RwLock::new(Access::new(&config)),
            times: RwLock::new(Times::of(&config)),
            bucket: Mutex::new(Bucket::new(config.rate)),
            operating: Mutex::new(Operating::new(config.operating)),
            faults: Mutex::new(FaultEngine::default()),
            world,
            config,
        }
    }

    pub(crate) fn stores(&self) -> RwLockReadGuard<'_, Stores> {
        self.stores.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn stores_mut(&self) -> RwLockWriteGuard<'_, Stores> {
        self.stores.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn access(&self) -> RwLockReadGuard<'_, Access> {
        self.access.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn access_mut(&self) -> RwLockWriteGuard<'_, Access> {
        self.access.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn times(&self) -> Times {
        *self.times.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn set_times(&self, times: Times) {
        *self.times.write().unwrap_or_else(PoisonError::into_inner) = times;
    }

    /// Tells all who listen of an event, which is only made if anybody does.
    pub(crate) fn announce(&self, by: Origin<'_>, event: impl FnOnce() -> Event) {
        if self.hub.is_listening() {
            self.hub.publish(event(), Occasion { now: self.clock.now_seconds(), connector: by.connector });
        }
    }

    /// The address that the portal gives to others.
    pub(crate) fn address(&self) -> Address {
        self.address.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes the port that the portal answers on, unless it was given an address from outside.
    pub(crate) fn listens_on(&self, port: u16) {
        if self.config.public_url.is_none() {
            *self.address.write().unwrap_or_else(PoisonError::into_inner) = Address::local(port);
        }
    }

    pub(crate) fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn operating(&self) -> MutexGuard<'_, Operating> {
        self.operating.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, FaultEngine> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn view<'v>(&'v self, stores: &'v Stores, entity: Entity) -> View<'v> {
        let (store, times) = (stores.of(entity), self.times());
        View { store, world: &self.world, config: &self.config, times, tokens: &self.tokens }
    }
}
