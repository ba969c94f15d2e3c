//! Drains the inbox: looks what is ripe, and applies it, each entity in a task of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use b24sync_domain::entity::EntityType;
use b24sync_domain::error::{Chain, SourceError, StoreError, SyncError};
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

/// The same while the portal or the database is out of reach: what waits is applied within ten seconds once it is back.
const LONGEST_PAUSE_OUT: Duration = Duration::from_secs(5);

/// What is known of an entity's last drains.
#[derive(Debug, Default)]
struct Entity {
    busy: bool,
    failures: u32,
    not_before: Option<Instant>,
    /// Whether the portal was out of reach the last time.
    portal_out: bool,
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
    let portal_out = {
        let mut entities = entities.lock().unwrap_or_else(PoisonError::into_inner);
        let state = entities.entry(entity).or_default();
        if state.busy || state.not_before.is_some_and(|then| Instant::now() < then) {
            return;
        }
        state.busy = true;
        state.portal_out
    };
    let (drainer, entities, stop) = (Arc::clone(drainer), Arc::clone(entities), stop.clone());
    tasks.spawn(async move {
        let answers = if portal_out {
            tokio::select! {
                () = stop.cancelled() => return,
                knocked = drainer.knock(entity) => knocked,
            }
        } else {
            Ok(())
        };
        let result = match answers {
            Ok(()) => drainer.drain(entity, &stop).await,
            Err(error) => Err(error),
        };
        let trouble = judge(entity, &result);
        let mut entities = entities.lock().unwrap_or_else(PoisonError::into_inner);
        let state = entities.entry(entity).or_default();
        state.busy = false;
        state.portal_out = trouble == Some(Trouble::PortalOut);
        state.failures = if trouble.is_some() { state.failures.saturating_add(1) } else { 0 };
        state.not_before = trouble.map(|trouble| Instant::now() + pause_after(trouble, state.failures));
    });
}

/// Why an entity is left alone for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// The portal is out of reach.
    PortalOut,
    /// The database is out of reach, or out of room.
    DatabaseOut,
    /// The portal answers, and refuses; or somebody has to do something first.
    Other,
}

impl Trouble {
    fn of(error: &SyncError) -> Trouble {
        use SourceError::{Budget, ReadOrder};
        match error {
            SyncError::Source { source: SourceError::Unavailable { .. }, .. } => Trouble::PortalOut,
            SyncError::Source { source: ReadOrder(source) | Budget(source), .. } | SyncError::Store { source, .. }
                if matches!(source, StoreError::Unavailable { .. }) =>
            {
                Trouble::DatabaseOut
            }
            _ => Trouble::Other,
        }
    }
}

/// Why to leave the entity alone for a while, if at all.
fn judge(entity: EntityType, result: &Result<usize, SyncError>) -> Option<Trouble> {
    match result {
        Ok(settled) => {
            tracing::debug!(entity = %entity, rows = settled, "drained {settled} hints of {entity}");
            None
        }
        Err(SyncError::AlreadyRunning { .. }) => None,
        Err(error) => {
            tracing::warn!(entity = %entity, error = %Chain(error), advice = error.advice(), "events wait: they could not be applied now");
            Some(Trouble::of(error))
        }
    }
}

fn pause_after(trouble: Trouble, failures: u32) -> Duration {
    let longest = if trouble == Trouble::Other { LONGEST_PAUSE } else { LONGEST_PAUSE_OUT };
    FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1))).min(longest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pauses(error: &SyncError) -> Vec<u64> {
        (1..=7).map(|failures| pause_after(Trouble::of(error), failures).as_secs()).collect()
    }

    #[test]
    fn who_is_out_of_reach_is_looked_for_often_and_who_refuses_is_left_alone() {
        let entity = EntityType::all().next().unwrap();
        let from_portal = |source| SyncError::Source { entity, source };
        let from_database = |source| SyncError::Store { entity, source };
        let no_database = || StoreError::Unavailable { doing: "testing", source: "gone".into() };
        for error in [
            from_portal(SourceError::Unavailable { method: "batch".to_owned(), source: "gone".into() }),
            from_portal(SourceError::Budget(no_database())),
            from_portal(SourceError::ReadOrder(no_database())),
            from_database(no_database()),
        ] {
            assert_eq!(pauses(&error), [2, 4, 5, 5, 5, 5, 5], "{error}");
        }
        for error in [
            from_portal(SourceError::Unauthorized { code: "NO_AUTH_FOUND".to_owned() }),
            from_portal(SourceError::Malformed { method: "batch".to_owned(), source: "odd".into() }),
            from_database(StoreError::NotMigrated),
        ] {
            assert_eq!(pauses(&error), [2, 4, 8, 16, 32, 60, 60], "{error}");
        }
    }
}
