//! Does the syncs that are queued, whoever queued them, and goes on with those whose process is gone.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use b24sync_domain::entity::EntityType;
use b24sync_domain::error::{Chain, Remedy, SyncError};
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::run::{RunKind, RunStatus};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::ServicePorts;
use crate::ports::Ports;
use crate::start::{self, Outcome, Wish};
use crate::status::free_leases_of_the_gone;

/// How often an instance looks for syncs to do.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How long an entity is left alone after a sync of it failed.
const AFTER_FAILURE: Duration = Duration::from_secs(30);

/// The same after a failure that passes by itself: what is wanted to make up for it must not wait long.
const AFTER_PASSING_FAILURE: Duration = Duration::from_secs(5);

/// How often it looks after leases of processes that are gone.
const LOOKS_BETWEEN_CLEANING: u32 = 5;

/// A process that does queued syncs, each entity's in a task of its own.
pub struct Worker {
    service: ServicePorts,
    ports: Ports,
    timestamps: TimestampStyle,
    busy: Arc<Mutex<HashSet<EntityType>>>,
}

impl Worker {
    /// Over these ports.
    pub fn new(service: ServicePorts, ports: Ports, timestamps: TimestampStyle) -> Worker {
        Worker { service, ports, timestamps, busy: Arc::default() }
    }

    /// Works until it is to stop, then lets what is on stop cleanly and queues it again, so that another instance goes on
    /// with it.
    pub async fn work(&self, stop: &CancellationToken) {
        let tasks = TaskTracker::new();
        let mut looks = 0_u32;
        while !stop.is_cancelled() {
            self.look(looks.is_multiple_of(LOOKS_BETWEEN_CLEANING), &tasks, stop).await;
            looks = looks.wrapping_add(1);
            pause(LOOK_EVERY, stop).await;
        }
        tasks.close();
        tasks.wait().await;
    }

    async fn look(&self, clean: bool, tasks: &TaskTracker, stop: &CancellationToken) {
        if clean && let Err(error) = free_leases_of_the_gone(&self.service).await {
            tracing::warn!(error = %Chain(&error), "could not look after leases of processes that are gone");
        }
        let waiting = match self.service.board.waiting().await {
            Ok(waiting) => waiting,
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "could not look for syncs to do");
                return;
            }
        };
        for (entity, kind) in waiting {
            if let Some(busy) = Busy::begin(&self.busy, entity) {
                let (ports, service, timestamps) = (self.ports.clone(), self.service.clone(), self.timestamps);
                let stop = stop.clone();
                tasks.spawn(async move {
                    if let Some(rest) = run(&ports, &service, entity, kind, timestamps, &stop).await {
                        // What failed a moment ago fails again; the entity counts as busy meanwhile.
                        pause(rest, &stop).await;
                    }
                    drop(busy);
                });
            }
        }
    }
}

/// An entity that this process works on.
struct Busy {
    all: Arc<Mutex<HashSet<EntityType>>>,
    entity: EntityType,
}

impl Busy {
    fn begin(all: &Arc<Mutex<HashSet<EntityType>>>, entity: EntityType) -> Option<Busy> {
        let free = all.lock().unwrap_or_else(PoisonError::into_inner).insert(entity);
        free.then(|| Busy { all: Arc::clone(all), entity })
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.entity);
    }
}

async fn pause(time: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = tokio::time::sleep(time) => {}
    }
}

/// Does a queued sync; how long to wait before the next one of this entity, if at all.
async fn run(
    ports: &Ports,
    service: &ServicePorts,
    entity: EntityType,
    kind: RunKind,
    timestamps: TimestampStyle,
    stop: &CancellationToken,
) -> Option<Duration> {
    let wish = Wish { entity, kind, ids: &[], confirmed: None, timestamps };
    match start::now(ports, wish, stop).await {
        Ok(Some(Outcome::Ran(summary))) if summary.status == RunStatus::Cancelled && stop.is_cancelled() => {
            // The service stops, not the sync, unless somebody wants that as well.
            if service.board.is_cancelled(summary.run).await.unwrap_or_default() {
                return None;
            }
            if let Err(error) = service.runs.request(entity, summary.kind).await {
                tracing::warn!(entity = %entity, error = %Chain(&error), "could not queue the sync again; the schedule does");
            }
            None
        }
        Ok(_) => None,
        // The run log says it too.
        Err(error @ SyncError::AlreadyRunning { .. }) => {
            tracing::debug!(entity = %entity, error = %Chain(&error), "another instance was faster");
            None
        }
        Err(error) => {
            tracing::error!(entity = %entity, run.kind = %kind, error = %Chain(&error), advice = error.advice(), "sync failed");
            let passes = matches!(error.remedy(), Remedy::Retry { .. });
            Some(if passes { AFTER_PASSING_FAILURE } else { AFTER_FAILURE })
        }
    }
}
