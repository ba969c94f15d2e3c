//! A rolling restart while events come without a pause.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use b24sync_portal_emulator::Entity;

use super::cluster::{Cluster, INSTANCES};
use super::load::{ask, change, every_event_had_200};
use crate::control_tables::{log, number};
use crate::listening::{deals_are_equal, settled};
use crate::running::{figure, unscheduled};

/// Events a second.
const RATE: u32 = 300;

/// How long events come before the first restart and after the last one.
const AROUND: Duration = Duration::from_secs(2);

/// How long an instance is ready before the next one is restarted: twice as long as nginx waits for a connection, so that
/// a request which waited for one that was stopping finds one that is not.
const BETWEEN: Duration = Duration::from_millis(1_400);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_event_fails_in_a_rolling_restart_at_300_a_second_and_each_200_has_its_effect() {
    let stage = unscheduled(12_000).await;
    stage.run(&["sync", "deal"]).await.expect_success();
    let Some(mut cluster) = Cluster::start(stage, &[]).await else { return };
    let (portal, client) = (cluster.portal().clone(), cluster.client().await);
    cluster.subscribe();
    let deals = portal.ids(Entity::Deal);
    let (enough, address) = (AtomicBool::new(false), cluster.balancer.address.clone());
    let begun = Instant::now();
    let (changed, (failed, answered)) = std::thread::scope(|scope| {
        let changes = scope.spawn(|| change(&portal, &deals, RATE, &enough));
        let people = scope.spawn(|| ask(&address, &enough));
        std::thread::sleep(AROUND);
        for number in 0..INSTANCES {
            cluster.restart(number);
            std::thread::sleep(BETWEEN);
        }
        std::thread::sleep(AROUND.saturating_sub(BETWEEN));
        enough.store(true, Ordering::SeqCst);
        (changes.join().unwrap(), people.join().unwrap())
    });
    let took = begun.elapsed();
    settled(&portal, &client).await;
    let deliveries = portal.deliveries();
    let lost = deliveries.sent - deliveries.answered.get(&200).copied().unwrap_or_default();
    let rate = f64::from(u32::try_from(changed).unwrap()) / took.as_secs_f64();
    figure(&format!(
        "{changed} events in {took:?} ({rate:.0} a second) and {answered} requests of people: {lost} events and {} requests lost; \
         {} were passed on to a second instance",
        failed.len(),
        cluster.balancer.asked_again()
    ));
    every_event_had_200(&cluster);
    assert!(failed.is_empty(), "{:?}\n{}", &failed[..failed.len().min(10)], cluster.balancer.log("error.log"));
    assert!(rate > f64::from(RATE) * 0.9, "that were no {RATE} a second");
    // Each record had one event, and nothing but events brought it.
    let syncs = "select count(*) from sync_logs where sync_type <> 'webhook'";
    assert_eq!(number(&client, syncs).await, 1, "{:#?}", log(&client).await);
    deals_are_equal(&portal, &client).await;
    assert_eq!(cluster.leaders().len(), 1);
}
