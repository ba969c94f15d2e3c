//! One seed's history: a random phase, then quiet, and what must be true then.

use std::sync::Arc;
use std::time::Duration;

use b24sync_application::verify::verify;
use b24sync_domain::error::Chain;
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::ports::{EventInbox, RunLog};
use b24sync_domain::run::{RunKind, RunStatus};
use b24sync_testkit::build::deal;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::chance::millis_of;
use crate::owner::{Owner, Task};
use crate::portal::Portal;
use crate::world::World;
use crate::{events, people};

/// Longer than any history can last, by its own clock.
const LONGEST: Duration = Duration::from_secs(24 * 3_600);

/// Syncs of a kind that may go on with what an earlier one left before one begins anew; and those that the portal may
/// spoil by what it did before it became quiet.
const TRIES: usize = 3;

/// Drains, a minute apart, until every hint must have come again.
const DRAINS: usize = 200;

/// What a history has shown.
#[derive(Debug)]
pub struct Outcome {
    /// The invariant that was violated, and how.
    pub violation: Option<String>,
    /// What happened, in order; empty unless asked for.
    pub trace: Vec<String>,
    /// How often things happened.
    pub counts: std::collections::BTreeMap<&'static str, u64>,
}

/// Runs the history of a seed.
///
/// # Panics
/// When no runtime can be made.
pub fn run(seed: u64, traced: bool) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without I/O").block_on(async {
        let world = Arc::new(World::new(seed, traced));
        if timeout(LONGEST, Box::pin(live(&world))).await.is_err() {
            world.audit(|audit| audit.violated("I1: the history does not come to an end".to_owned()));
        }
        world.audit(|audit| Outcome {
            violation: audit.violation().map(str::to_owned),
            trace: audit.trace().to_vec(),
            counts: audit.counts.clone(),
        })
    })
}

async fn live(world: &Arc<World>) {
    Box::pin(random_phase(world)).await;
    if world.audit(|audit| audit.violation().is_some()) {
        return;
    }
    if let Err(violation) = quiet_phase(world).await {
        world.audit(|audit| audit.violated(violation));
    }
}

async fn random_phase(world: &Arc<World>) {
    let end = Instant::now() + millis_of(world.chance.between(400_000..=2_000_000));
    people::settle(world);
    let events = async {
        if world.events {
            tokio::join!(people::follow_events(Arc::clone(world), end), people::follow_events(Arc::clone(world), end));
        }
    };
    let carried = async {
        if world.hints {
            events::carry(Arc::clone(world), end).await;
        }
    };
    tokio::join!(
        people::work(Arc::clone(world), end),
        events,
        carried,
        Owner::new(world, "A").live(end),
        Owner::new(world, "B").live(end),
    );
}

/// No more changes, no more faults, and everything late has become visible: one incremental pass brings what it
/// promises, one full pass brings everything else.
async fn quiet_phase(world: &Arc<World>) -> Result<(), String> {
    world.calm();
    // Late changes become visible, and leases of the dead run out.
    sleep(Duration::from_secs(400)).await;
    world.portal(Portal::show_all);
    world.audit(|audit| audit.note("", || "all is quiet now".to_owned()));
    let owner = Owner::new(world, "Z");
    if world.hints {
        drain(world, &owner).await?;
        check_told(world)?;
    }
    if world.chance.one_in(4) {
        // A full pass has to come to its end without the help of an incremental one.
        anew(&owner, &Task::Full).await?;
    }
    anew(&owner, &Task::Incremental).await?;
    check_promise(world)?;
    if world.chance.one_in(2) {
        anew(&owner, &Task::Sweep).await?;
        check_promise(world)?;
        check_ids(world)?;
    }
    anew(&owner, &Task::Full).await?;
    check_equal(world)?;
    check_verify(world, &owner).await?;
    check_log(world).await
}

/// Hints that failed before come again within hours.
async fn drain(world: &World, owner: &Owner) -> Result<(), String> {
    for _ in 0..DRAINS {
        let backlog = world.store.backlog().await.map_err(|error| format!("the fake failed: {error}"))?;
        if backlog.is_empty() {
            return Ok(());
        }
        sleep(Duration::from_secs(60)).await;
        let drained = owner.sync(&Task::Drain, &CancellationToken::new()).await;
        drained.map_err(|error| format!("I3: a drain fails in a healthy world: {}", Chain(&error)))?;
    }
    Err("I3: the inbox is not empty after hours of health".to_owned())
}

/// I3: whatever was taken in has its effect.
fn check_told(world: &World) -> Result<(), String> {
    world.portal(|portal| {
        for (id, entry) in portal.told() {
            let (row, wanted) = (world.row_version(id), entry.exists.then_some(entry.version.number));
            if row != wanted {
                return Err(format!("I3: an event of record {id} was taken in; its row is {row:?}: {entry:?}"));
            }
        }
        Ok(())
    })
}

/// A pass that began in the quiet: one that goes on with an earlier run does not count.
async fn anew(owner: &Owner, task: &Task) -> Result<(), String> {
    let mut last = String::new();
    for _ in 0..TRIES {
        match owner.sync(task, &CancellationToken::new()).await {
            Ok(None) => return Err(format!("I9: {task:?} was no run")),
            Ok(Some(summary)) if summary.status != RunStatus::Completed => {
                return Err(format!("I9: {task:?} ends as {} in a healthy world", summary.status));
            }
            // The first incremental pass of an entity is a full one.
            Ok(Some(summary)) if summary.resumed => {}
            Ok(Some(summary)) if summary.kind == RunKind::Full || !matches!(task, Task::Full) => return Ok(()),
            Ok(Some(summary)) => return Err(format!("I9: {task:?} was a {} run", summary.kind)),
            Err(error) => last = Chain(&error).to_string(),
        }
    }
    Err(format!("I1: {task:?} does not complete in a healthy and quiet world: {last}"))
}

/// I1, what one incremental pass owes: every change of a record that could be listed, whatever its times say, unless
/// they went back.
fn check_promise(world: &World) -> Result<(), String> {
    world.portal(|portal| {
        for (id, entry) in portal.existing().filter(|(_, entry)| entry.promised) {
            let row = world.row_version(id);
            if row != Some(entry.version.number) {
                return Err(format!(
                    "I1: after an incremental pass the replica has {row:?} of record {id}, the portal {:?}, visible since {}",
                    entry.version, entry.visible_at
                ));
            }
        }
        Ok(())
    })
}

/// I1, I4, I5, what one sweep owes: just the records that there are.
fn check_ids(world: &World) -> Result<(), String> {
    let rows: Vec<i64> = world.store.rows(deal()).into_keys().collect();
    let ids: Vec<i64> = world.portal(|portal| portal.existing().map(|(id, _)| id).collect());
    if rows == ids { Ok(()) } else { Err(format!("I1: after a sweep the replica has {rows:?}, the portal {ids:?}")) }
}

/// I1: after a full pass both are equal.
fn check_equal(world: &World) -> Result<(), String> {
    let rows: Vec<i64> = world.store.rows(deal()).into_keys().collect();
    world.portal(|portal| {
        let ids: Vec<i64> = portal.existing().map(|(id, _)| id).collect();
        if rows != ids {
            return Err(format!("I1: after a full pass the replica has {rows:?}, the portal {ids:?}"));
        }
        for (id, entry) in portal.existing() {
            let row = world.row_version(id);
            if row != Some(entry.version.number) {
                return Err(format!("I1: after a full pass the replica has {row:?} of record {id}: {entry:?}"));
            }
        }
        Ok(())
    })
}

async fn check_verify(world: &World, owner: &Owner) -> Result<(), String> {
    let stop = CancellationToken::new();
    let found = verify(owner.ports(), &world.store, deal(), TimestampStyle::Timestamp, &stop).await;
    match found {
        Ok(found) if found.is_equal() => Ok(()),
        found => Err(format!("I1: verify finds {found:?}")),
    }
}

/// I9: nothing is left running, and every run is logged as it ended.
async fn check_log(world: &World) -> Result<(), String> {
    world.store.expire_leases();
    let store = |error| format!("the fake failed: {error}");
    world.store.close_abandoned().await.map_err(store)?;
    let runs = world.store.recent(u32::MAX).await.map_err(store)?;
    world.audit(|audit| runs.iter().for_each(|run| audit.check_log(run.id.0, &run.status)));
    Ok(())
}
