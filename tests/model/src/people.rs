//! The portal's users, and a reader that takes no lease.

use std::sync::Arc;

use b24sync_domain::ports::ReadOrder;
use b24sync_testkit::build::{Sample, deal};
use tokio::time::Instant;

use crate::portal::{ANCHOR, Change, Portal};
use crate::world::World;

/// Records at the beginning: some pages.
const AT_FIRST: i64 = 14;

/// Records at most, so that no history needs a confirmation of its deletions.
const AT_MOST: i64 = 45;

/// Puts the first records into the portal, some of them old.
pub fn settle(world: &World) {
    world.portal(|portal| {
        for _ in ANCHOR..=AT_FIRST {
            let id = portal.new_id();
            let second = portal.second() - world.chance.between(0..=5_000);
            portal.apply(Change::Write(id, second));
        }
    });
}

/// Users change the portal until the end of the random phase: busy and quiet seeds, bursts and pauses.
pub async fn work(world: Arc<World>, end: Instant) {
    let longest = world.chance.between(1_000..=40_000);
    while Instant::now() < end {
        world.chance.wait(1..=longest).await;
        let happened = world.portal(|portal| act(portal, &world));
        world.audit(|audit| audit.note("user", || happened));
    }
}

fn act(portal: &mut Portal, world: &World) -> String {
    let chance = &world.chance;
    let now = portal.second();
    let existing = portal.changeable(true);
    let removable = portal.removable();
    let Some(any) = chance.pick(&existing) else { return "nobody finds anything to do".to_owned() };
    let other = chance.pick(&removable);
    let full = portal.last_id() >= AT_MOST;
    match chance.between(0..=19) {
        0..=3 => make(portal, world, Change::Write(any, now)),
        4 | 5 => {
            let some: Vec<i64> = existing.iter().copied().filter(|_| chance.one_in(2)).collect();
            for id in &some {
                portal.apply(Change::Write(*id, now));
            }
            format!("changes {some:?} in second {now}")
        }
        6 | 7 if !full => {
            let id = portal.new_id();
            make(portal, world, Change::Write(id, now))
        }
        8..=10 if !full => {
            let id = portal.new_id();
            make(portal, world, Change::Write(id, now - chance.between(1..=100_000)))
        }
        11 | 12 => match other {
            Some(id) => make(portal, world, Change::Delete(id)),
            None => "deletes nothing".to_owned(),
        },
        13 | 14 => match chance.pick(&portal.changeable(false)) {
            Some(id) => {
                let second = chance.one_in(2).then_some(now);
                make(portal, world, Change::Restore(id, second))
            }
            None => "restores nothing".to_owned(),
        },
        15 => make(portal, world, Change::SetBack(any, now - chance.between(1..=1_000))),
        16 => restrict(portal, world, other, Portal::hide, "hidden"),
        17 => restrict(portal, world, other, Portal::omit, "omitted"),
        18 if chance.one_in(4) => {
            let removed = chance.one_in(2);
            portal.remove_type(removed);
            format!("type removed: {removed}")
        }
        _ => {
            portal.remove_type(false);
            "the type is there".to_owned()
        }
    }
}

/// A change that is visible at once, within a minute, or as late as can be.
fn make(portal: &mut Portal, world: &World, change: Change) -> String {
    let delay = match world.chance.between(0..=5) {
        0 => world.chance.between(1..=60_000),
        1 => portal.latest - world.chance.between(0..=1_000),
        _ => 0,
    };
    if delay == 0 {
        portal.apply(change);
    } else {
        portal.apply_late(change, delay);
    }
    format!("{change:?}, visible after {delay} ms")
}

fn restrict(
    portal: &mut Portal,
    world: &World,
    id: Option<i64>,
    how: impl Fn(&mut Portal, i64, bool),
    what: &str,
) -> String {
    let Some(id) = id else { return format!("nothing can be {what}") };
    let on = world.chance.one_in(2);
    how(portal, id, on);
    format!("{id} {what}: {on}")
}

/// Reads single records and applies them without a lease, as one that follows events does: rows are safe by the order of
/// reads alone (CORRECTNESS 4.7).
pub async fn follow_events(world: Arc<World>, end: Instant) {
    let longest = world.chance.between(1_000..=60_000);
    while Instant::now() < end {
        world.chance.wait(500..=longest).await;
        let mut again = Some(world.chance.between(1..=world.portal(|portal| portal.last_id()).max(1)));
        while let Some(id) = again {
            again = follow(&world, id).await;
        }
    }
}

/// Applies one record; again if another read overlapped.
async fn follow(world: &World, id: i64) -> Option<i64> {
    let Ok(token) = world.store.next().await else { return None };
    world.audit(|audit| audit.token(token.0));
    world.travel().await;
    let version = world.portal(|portal| portal.read(id))?;
    world.audit(|audit| audit.read(token.0, &[(id, version)]));
    world.travel().await;
    let amount = format!("\"{}\"", version.number);
    let values = [("OPPORTUNITY", amount.as_str())];
    let commit =
        world.store.apply_as_another(&world.plan, token, Sample { id, modified: version.modified, values: &values });
    let row = world.store.cell(deal(), id, "opportunity").and_then(|text| text.parse().ok());
    world.judge(|audit, portal| {
        audit.note("hint", || format!("applies {id}={version:?} of read {}: {commit:?}", token.0));
        audit.applied(portal, id, token.0, row);
    });
    commit.contested.first().map(|id| id.get())
}
