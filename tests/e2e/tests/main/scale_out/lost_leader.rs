//! The instance that schedules is killed, and one that schedules and syncs stands still beyond its leases.

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

/// What is remembered of deals, which nobody may change who has lost the lease.
async fn standing(client: &Client) -> String {
    let sql = "select concat((select jsonb_agg(to_jsonb(r) order by r.id) from b24sync.runs r where r.kind <> 'webhook'), \
               (select to_jsonb(p) from b24sync.entity_progress p where p.entity = 2))";
    client.query_one(sql, &[]).await.unwrap().get(0)
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

    // A sync that takes a while, and in the middle of it whoever does it stands still, and whoever schedules.
    portal.set_faults(FaultPlan::always(Fault::Delay { milliseconds: 1_000 }));
    let operator = token(Some("operator"));
    let (status, _) = cluster.services[0].ask("POST", "/api/v1/sync/start/deal", Some(&operator), None);
    assert_eq!(status, 202);
    let middle = "select count(*) from sync_logs where status = 'running' and records_processed > 0";
    until(&client, "a sync of deals", middle).await;
    let worker = cluster.holder(&client, "sync:deal").await.expect("it is on");
    let still: Vec<usize> = [worker].into_iter().chain(Some(leader).filter(|leader| *leader != worker)).collect();
    still.iter().for_each(|number| cluster.services[*number].pause());
    portal.set_faults(FaultPlan::none());
    cluster.subscribe();
    let (deals, enough) = (portal.ids(Entity::Deal), AtomicBool::new(false));
    let (next, paused, changed) = tokio::task::block_in_place(|| {
        std::thread::scope(|scope| {
            let changes = scope.spawn(|| change(&portal, &deals, 20, &enough));
            let (next, paused) = tokio::runtime::Handle::current().block_on(async {
                let taken = taken_over(&cluster, &client, &still).await;
                until(
                    &client,
                    "the end of the run",
                    "select count(*) from sync_logs where sync_type = 'full' and status = 'completed'",
                )
                .await;
                taken
            });
            enough.store(true, Ordering::SeqCst);
            (next, paused, changes.join().unwrap())
        })
    });
    let before = standing(&client).await;
    still.iter().for_each(|number| cluster.services[*number].resume());
    until_so("that who stood still knows of it", || {
        cluster.leaders() == [next] && cluster.services[worker].complaints().iter().any(|line| line.contains("lease"))
    });
    settled(&portal, &client).await;
    figure(&format!(
        "takeover after kill -9: {killed:?}, from {} that stood still: {paused:?}; {changed} events meanwhile, {:?}",
        still.len(),
        portal.deliveries()
    ));
    assert!(killed < TAKEOVER && paused < TAKEOVER, "{killed:?}, {paused:?}");
    every_event_had_200(&cluster);
    assert_eq!(standing(&client).await, before, "who stood still has written");
    assert_eq!(
        number(&client, "select count(*) from sync_logs where sync_type <> 'webhook'").await,
        1,
        "{:#?}",
        log(&client).await
    );
    deals_are_equal(&portal, &client).await;
}
