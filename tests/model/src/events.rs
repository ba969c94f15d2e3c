//! Events of the portal on their way: late, doubled, out of order, or lost.

use std::sync::Arc;

use b24sync_domain::event::{Hint, Target};
use b24sync_domain::ports::EventInbox;
use b24sync_testkit::build::{deal, id, portal_time};
use chrono::Utc;
use tokio::time::Instant;

use crate::chance::millis_of;
use crate::portal::Portal;
use crate::world::World;

/// Takes events to the inbox until the end of the random phase, and what is on its way then.
pub async fn carry(world: Arc<World>, end: Instant) {
    let mut on_the_way: Vec<(Instant, Hint)> = Vec::new();
    while Instant::now() < end {
        world.chance.wait(200..=3_000).await;
        for (number, deleted) in world.portal(Portal::take_events) {
            // Three of ten are lost, one of ten comes twice.
            let copies = match world.chance.between(0..=9) {
                0..=2 => 0,
                3 => 2,
                _ => 1,
            };
            for _ in 0..copies {
                on_the_way.push(send(&world, number, deleted));
            }
        }
        let now = Instant::now();
        let due: Vec<Hint> = on_the_way.extract_if(.., |(at, _)| *at <= now).map(|(_, hint)| hint).collect();
        arrive(&world, due).await;
    }
    arrive(&world, on_the_way.into_iter().map(|(_, hint)| hint).collect()).await;
}

fn send(world: &World, number: i64, deleted: bool) -> (Instant, Hint) {
    let delay = if world.chance.one_in(8) { 20_000..=200_000 } else { 0..=10_000 };
    let at = Instant::now() + millis_of(world.chance.between(delay));
    let sent_at =
        world.chance.one_in(2).then(|| portal_time(world.portal(|portal| portal.second())).with_timezone(&Utc));
    (at, Hint { entity: deal(), target: Target::Record(id(number)), deleted, sent_at })
}

async fn arrive(world: &World, mut hints: Vec<Hint>) {
    while let Some(position) = pick(world, hints.len()) {
        let hint = hints.swap_remove(position);
        let Target::Record(number) = hint.target else { continue };
        // Kept and told in one moment: nothing happens in between.
        if world.store.accept(&[hint]).await.is_ok() {
            world.portal(|portal| portal.tell(number.get()));
            world.audit(|audit| {
                audit.count("events");
                audit.note("inbox", || format!("keeps an event of {number}, deleted: {}", hint.deleted));
            });
        }
    }
}

fn pick(world: &World, count: usize) -> Option<usize> {
    let last = i64::try_from(count).ok()?.checked_sub(1).filter(|last| *last >= 0)?;
    usize::try_from(world.chance.between(0..=last)).ok()
}
