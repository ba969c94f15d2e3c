//! Drains the inbox: looks what is ripe, and applies it, each entity in a task of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use b24sync_domain::entity::EntityType;
use b24sync_domain::error::{Chain, SyncError};
use b24sync_domain::inbox::Backlog;
use b24sync_domain::ports::EventInbox;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::hints::Drainer;

/// How often an instance looks into the inbox: with the rest of a second, events are applied well within two.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How often it looks while there is nothing.
const LOOK_IDLY_EVERY: Duration = Duration::from_millis(500);

/// How long an entity is left alone after the portal or the database failed: the first time, and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(2);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What is known of an entity's last drains.
#[derive(Debug, Default)]
struct Entity {
    busy: bool,
    failures: u32,
    not_before: Option<Instant>,
}

type Entities = Arc<Mutex<HashMap<EntityType, Entity>>>;

/// Drains until it is to stop; what is being applied then stops cleanly, and stays in the inbox.
pub async fn drain(inbox: &dyn EventInbox, drainer: &Arc<Drainer>, stop: &CancellationToken) {
    let (entities, tasks) = (Entities::default(), TaskTracker::new());
    while !stop.is_cancelled() {
        let backlog = match inbox.backlog().await {
            Ok(backlog) => backlog,
            Err(error) => {
                tracing::warn!(error = %Chain(&error), "could not look into the inbox");
                Vec::new()
            }
        };
        for ripe in backlog.iter().filter(|backlog| backlog.is_ripe()) {
            begin(ripe, drainer, &entities, &tasks, stop);
        }
        let wait = if backlog.is_empty() { LOOK_IDLY_EVERY } else { LOOK_EVERY };
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
    tasks.close();
    tasks.wait().await;
}

/// Applies the entity's hints unless it is busy or to be left alone.
fn begin(ripe: &Backlog, drainer: &Arc<Drainer>, entities: &Entities, tasks: &TaskTracker, stop: &CancellationToken) {
    let entity = ripe.entity;
    {
        let mut entities = entities.lock().unwrap_or_else(PoisonError::into_inner);
        let state = entities.entry(entity).or_default();
        if state.busy || state.not_before.is_some_and(|then| Instant::now() < then) {
            return;
        }
        state.busy = true;
    }
    let (drainer, entities, stop) = (Arc::clone(drainer), Arc::clone(entities), stop.clone());
    tasks.spawn(async move {
        let result = drainer.drain(entity, &stop).await;
        let pause = judge(entity, &result);
        let mut entities = entities.lock().unwrap_or_else(PoisonError::into_inner);
        let state = entities.entry(entity).or_default();
        state.busy = false;
        state.failures = if pause { state.failures.saturating_add(1) } else { 0 };
        state.not_before = pause.then(|| Instant::now() + pause_after(state.failures));
    });
}

/// Whether to leave the entity alone for a while.
fn judge(entity: EntityType, result: &Result<usize, SyncError>) -> bool {
    match result {
        Ok(settled) => {
            tracing::debug!(entity = %entity, rows = settled, "drained {settled} hints of {entity}");
            false
        }
        Err(SyncError::AlreadyRunning { .. }) => false,
        Err(error) => {
            tracing::warn!(entity = %entity, error = %Chain(error), advice = error.advice(), "events wait: they could not be applied now");
            true
        }
    }
}

fn pause_after(failures: u32) -> Duration {
    FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(LONGEST_PAUSE)
}
