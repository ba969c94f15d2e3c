//! The instance that schedules is killed, and one that schedules and syncs stands still beyond its leases.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use b24sync_portal_emulator::{Entity, Fault, FaultPlan};
use tokio_postgres::Client;

use super::cluster::Cluster;
use super::load::{change, every_event_had_200};
use crate::control_tables::{log, number, until};
use crate::listening::{deals_are_equal, settled};
use crate::running::{figure, token, unscheduled, until as until_so};

/// A lease's 30 s, and the time between two questions of those who want it.
const TAKEOVER: Duration = Duration::from_secs(35);

/// Waits until another instance than these schedules; returns which, and how long it took.
async fn taken_over(cluster: &Cluster, client: &Client, from: &[usize]) -> (usize, Duration) {
    let lost = Instant::now();
    loop {
        if let Some(leader) = cluster.holder(client, "scheduler").await.filter(|leader| !from.contains(leader)) {
            return (leader, lost.elapsed());
        }
        assert!(lost.elapsed() < 2 * TAKEOVER, "nobody takes over");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How far the syncs of deals have come, which nobody may change who has lost the lease.
async fn standing(client: &Client) -> String {
    let sql = "select concat((select jsonb_agg(to_jsonb(r) order by r.run_id) from b24sync.runs r where r.kind <> 'webhook'), \
               (select jsonb_build_array(watermark, floor_id, next_floor_id) from b24sync.entity_progress where entity = 2))";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// Stops whoever syncs deals and whoever schedules, in the middle of a sync; which instances these are, the first one being
/// that which syncs.
async fn in_the_middle(cluster: &Cluster, client: &Client, leader: usize) -> Vec<usize> {
    cluster.portal().set_faults(FaultPlan::always(Fault::Delay { milliseconds: 1_000 }));
    let operator = token(Some("operator"));
    let (status, _) = cluster.services[leader].ask("POST", "/api/v1/sync/start/deal", Some(&operator), None);
    assert_eq!(status, 202);
    until(
        client,
        "a sync of deals",
        "select count(*) from sync_logs where status = 'running' and records_processed > 0",
    )
    .await;
    let worker = cluster.holder(client, "sync:deal").await.expect("it is on");
    let still: Vec<usize> = [worker].into_iter().chain(Some(leader).filter(|leader| *leader != worker)).collect();
    for number in &still {
        cluster.services[*number].pause();
    }
    cluster.portal().set_faults(FaultPlan::none());
    still
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_instance_schedules_within_35_seconds_and_who_stood_still_changes_nothing_any_more() {
    let stage = unscheduled(10_000).await;
    let Some(mut cluster) = Cluster::start(stage, &[]).await else { return };
    let (portal, client) = (cluster.portal().clone(), cluster.client().await);
    assert_eq!(cluster.leaders(), [0]);

    cluster.services[0].kill();
    let (leader, killed) = taken_over(&cluster, &client, &[0]).await;
    cluster.start_again(0);
    cluster.until_ready(0);
    assert_eq!(cluster.leaders(), [leader]);

    let still = in_the_middle(&cluster, &client, leader).await;
    cluster.subscribe();
    let enough = Arc::new(AtomicBool::new(false));
    let (clone, deals, told) = (portal.clone(), portal.ids(Entity::Deal), Arc::clone(&enough));
    let changes = tokio::task::spawn_blocking(move || change(&clone, &deals, 20, &told));
    let (next, paused) = taken_over(&cluster, &client, &still).await;
    until(
        &client,
        "the end of the run",
        "select count(*) from sync_logs where sync_type = 'full' and status = 'completed'",
    )
    .await;
    enough.store(true, Ordering::SeqCst);
    let count = changes.await.unwrap();

    let before = standing(&client).await;
    for number in &still {
        cluster.services[*number].resume();
    }
    let knows = || cluster.services[still[0]].complaints().iter().any(|line| line.contains("lease"));
    until_so("that who stood still knows of it", || knows() && cluster.leaders() == [next]);
    settled(&portal, &client).await;
    figure(&format!(
        "another one schedules {killed:?} after kill -9, and {paused:?} after {} stood still; {count} events meanwhile",
        still.len(),
    ));
    assert!(killed < TAKEOVER && paused < TAKEOVER, "{killed:?}, {paused:?}");
    every_event_had_200(&cluster);
    assert_eq!(standing(&client).await, before, "who stood still has written");
    let syncs = "select count(*) from sync_logs where sync_type <> 'webhook'";
    assert_eq!(number(&client, syncs).await, 1, "{:#?}", log(&client).await);
    deals_are_equal(&portal, &client).await;
}
