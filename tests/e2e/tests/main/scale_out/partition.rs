//! An instance that does not reach the database says so, others do its work, and it comes back by itself.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use b24sync_portal_emulator::Entity;

use super::cluster::Cluster;
use super::load::{change, every_event_had_200};
use crate::listening::{deals_are_equal, settled};
use crate::running::{figure, unscheduled, until};

/// How soon it must be back.
const BACK_WITHIN: Duration = Duration::from_secs(10);

/// How long an instance is cut off.
const CUT_OFF: Duration = Duration::from_secs(6);

/// What becomes of the way to the database.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// Whoever connects is refused, and what is open is reset.
    Refused,
    /// Nothing comes through, and nobody is told.
    Silent,
}

/// Cuts an instance off for a while; returns how long it took to say that it is not ready, and to be back afterwards.
fn cut_off(cluster: &Cluster, number: usize, cut: Cut) -> (Duration, Duration) {
    let (way, begun) = (&cluster.ways[number], Instant::now());
    match cut {
        Cut::Refused => {
            way.refuse(true);
            way.cut();
        }
        Cut::Silent => way.delay(Duration::from_secs(3_600)),
    }
    until("that it says so", || !cluster.is_ready(number));
    let said = begun.elapsed();
    std::thread::sleep(CUT_OFF.saturating_sub(begun.elapsed()));
    assert!(!cluster.is_ready(number));
    way.heal();
    way.cut();
    let healed = Instant::now();
    cluster.until_ready(number);
    (said, healed.elapsed())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_event_fails_while_an_instance_does_not_reach_the_database_and_it_comes_back() {
    let stage = unscheduled(6_000).await;
    stage.run(&["sync", "deal"]).await.expect_success();
    let Some(cluster) = Cluster::start(stage, &[]).await else { return };
    let (portal, client) = (cluster.portal().clone(), cluster.client().await);
    cluster.subscribe();
    let (deals, enough) = (portal.ids(Entity::Deal), AtomicBool::new(false));
    let (changed, [refused, silent]) = std::thread::scope(|scope| {
        let changes = scope.spawn(|| change(&portal, &deals, 100, &enough));
        // The one that schedules first.
        let cuts = [cut_off(&cluster, 0, Cut::Refused), cut_off(&cluster, 1, Cut::Silent)];
        enough.store(true, Ordering::SeqCst);
        (changes.join().unwrap(), cuts)
    });
    settled(&portal, &client).await;
    figure(&format!(
        "not ready after {:?} (refused) and {:?} (silent), back after {:?} and {:?}; {changed} events, {} passed on",
        refused.0,
        silent.0,
        refused.1,
        silent.1,
        cluster.balancer.asked_again()
    ));
    every_event_had_200(&cluster);
    assert!(refused.1 < BACK_WITHIN && silent.1 < BACK_WITHIN, "{refused:?}, {silent:?}");
    until("one that schedules", || cluster.leaders().len() == 1);
    deals_are_equal(&portal, &client).await;
    for number in 0..super::cluster::INSTANCES {
        assert!(cluster.balancer.went_to(cluster.ports[number]) > 50, "nobody asks instance {number}");
    }
}
