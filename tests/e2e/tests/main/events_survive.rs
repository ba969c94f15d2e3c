//! I3: an event that was answered with 200 has an effect, whatever is killed or crashes meanwhile.
//!
//! Every event is of a record of its own, so that none hides behind a later one. No sync but the first runs before the
//! last check: nothing makes up for an event that was lost after its 200.
//!
//! 1. An instance without a worker takes half of the events in. Nothing is applied, so that the inbox must name every
//!    record whose event was answered with 200: pending ∪ dead letters ⊇ answered.
//! 2. An instance that does everything takes the other half, and drains. In the end the inbox is empty but for dead
//!    letters, and whatever differs from the portal had no 200: applied ∪ dead letters ⊇ answered.
//! 3. An incremental sync and a sweep make up for the events that had none: no difference is left.
//!
//! In each of the first two, the process is killed with SIGKILL five times and PostgreSQL is restarted once, while events
//! come. `B24SYNC_EVENTS=5000` makes it smaller.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use b24sync_pg_harness::PgServer;
use b24sync_portal_emulator::{Counts, DeliveryPlan, Entity, Portal, PortalConfig, RunningPortal};
use tokio_postgres::Client;

use crate::compare::deal_differences;
use crate::control_tables::{log, number, until};
use crate::listening::{QUIET, TOKEN, deals_are_equal, subscribe};
use crate::running::{Service, figure};
use crate::scale_out::fixed_port;
use crate::stage::{between, finish};

/// Kills in each half.
const KILLS: usize = 5;

/// Events that may wait in the portal: changes are made as they are sent, so that none is much older than its event.
const WAITING: u64 = 500;

const DATABASE: &str = "replica";

fn events() -> usize {
    std::env::var_os("B24SYNC_EVENTS").map_or(50_000, |text| text.to_str().unwrap().parse().unwrap())
}

/// A portal, a server that may crash, and a service that is always at the same address.
struct Place {
    portal: RunningPortal,
    server: PgServer,
    port: String,
}

impl Place {
    async fn new(deals: usize) -> Place {
        let counts = Counts::deals(u64::try_from(deals).unwrap());
        let config = PortalConfig { counts, user_fields: 1, ..PortalConfig::default() };
        let portal = Portal::new(config).start().expect("the emulator listens");
        let server = PgServer::private().await;
        server.create_database(DATABASE).await;
        let place = Place { portal, server, port: fixed_port().to_string() };
        place.run(&["migrate"]).await;
        for entity in ["company", "contact", "lead", "deal"] {
            // Events are taken all the same.
            place.run(&["config", "set", entity, "--enabled", "false"]).await;
        }
        place.run(&["sync", "deal"]).await;
        place
    }

    async fn run(&self, arguments: &[&str]) {
        finish(between(&self.portal, &self.server.url(DATABASE), arguments)).await.expect_success();
    }

    fn serve(&self, role: &str) -> Service {
        let arguments = ["serve", "--host", "127.0.0.1", "--port", &self.port, "--role", role];
        let mut command = between(&self.portal, &self.server.url(DATABASE), &arguments);
        command.env("BITRIX_APPLICATION_TOKENS", TOKEN);
        Service::launch(command)
    }

    async fn client(&self) -> Client {
        self.server.client(DATABASE).await
    }

    fn portal(&self) -> &Portal {
        self.portal.portal()
    }
}

/// Makes one change of each of these deals, and some new ones.
fn change(portal: &Portal, deals: &[i64]) {
    for (position, id) in deals.iter().enumerate() {
        match position % 20 {
            7 => drop(portal.delete(Entity::Deal, *id)),
            _ => drop(portal.edit(Entity::Deal, *id, [("TITLE", format!("edit of {id}").into())])),
        }
        if position % 20 == 13 {
            portal.add(Entity::Deal, [("TITLE", "made just now".into())]);
        }
        while position % 50 == 0 && portal.deliveries().queued > WAITING {
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Waits until so many events have been sent, well or badly.
async fn sent(portal: &Portal, count: usize) {
    let deadline = Instant::now() + Duration::from_secs(180);
    while portal.deliveries().sent < u64::try_from(count).unwrap() {
        assert!(Instant::now() < deadline, "{count} events are not sent: {:?}", portal.deliveries());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Events come, of each of these deals and more, while the process is killed and the server restarted.
async fn siege(place: &mut Place, role: &str, deals: &[i64], crash: bool) -> Service {
    let mut service = place.serve(role);
    let (portal, clone, owned) = (place.portal().clone(), place.portal().clone(), deals.to_vec());
    let before = usize::try_from(portal.deliveries().sent).unwrap();
    let changer = tokio::task::spawn_blocking(move || change(&clone, &owned));
    for kill in 0..KILLS {
        sent(&portal, before + deals.len() * (2 * kill + 1) / (2 * KILLS)).await;
        service.kill();
        // What is sent to nobody is never sent again: that shall not be all of it.
        portal.pause_delivery(true);
        service = place.serve(role);
        portal.pause_delivery(false);
        if kill == KILLS / 2 {
            sent(&portal, before + deals.len() * (kill + 1) / KILLS).await;
            if crash {
                place.server.restart_immediate().await;
            } else {
                place.server.stop_fast().await;
                place.server.start().await;
            }
        }
    }
    changer.await.unwrap();
    assert!(portal.wait_for_deliveries(Duration::from_secs(120)), "{:?}", portal.deliveries());
    service
}

fn answered(portal: &Portal) -> BTreeSet<i64> {
    portal.answered_ok().into_iter().map(|(_, id)| id).collect()
}

async fn hints(client: &Client, condition: &str) -> BTreeSet<i64> {
    let sql = format!("select item_id from b24sync.hints where {condition}");
    client.query(&sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

/// Ids of deals that differ.
async fn differing(portal: &Portal, client: &Client) -> BTreeSet<i64> {
    let found = deal_differences(portal, client).await;
    found.iter().map(|line| line.split([' ', ':']).nth(1).unwrap().parse().unwrap()).collect()
}

fn sample(ids: &BTreeSet<i64>) -> Vec<&i64> {
    ids.iter().take(10).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn i3_every_200_has_an_effect_although_the_process_is_killed_ten_times_and_the_database_restarted_twice() {
    let (begun, events) = (Instant::now(), events());
    // One event in 21 is of a new deal.
    let mut place = Place::new(events * 20 / 21 + 1).await;
    figure(&format!("{:?}: the replica is filled", begun.elapsed()));
    let portal = place.portal().clone();
    let deals = portal.ids(Entity::Deal);
    let (first, second) = deals.split_at(deals.len() / 2);
    subscribe(&portal, &format!("127.0.0.1:{}", place.port));
    portal.set_delivery_plan(DeliveryPlan {
        delay_milliseconds: (0, 200),
        reorder_window: 100,
        parallel: 16,
        timeout_milliseconds: 5_000,
        ..DeliveryPlan::default()
    });

    let mut service = siege(&mut place, "api", first, true).await;
    let client = place.client().await;
    let (taken, kept) = (answered(&portal), hints(&client, "true").await);
    figure(&format!("{:?}: {:?}, {} kept", begun.elapsed(), portal.deliveries(), kept.len()));
    assert_eq!(number(&client, "select count(*) from sync_logs").await, 1, "{:#?}", log(&client).await);
    let lost: BTreeSet<i64> = taken.difference(&kept).copied().collect();
    assert!(lost.is_empty(), "{} events were answered with 200 and are not kept: {:?}", lost.len(), sample(&lost));
    service.kill();
    drop((client, service));

    let service = siege(&mut place, "all", second, false).await;
    let client = place.client().await;
    figure(&format!("{:?}: {:?}", begun.elapsed(), portal.deliveries()));
    until(&client, "an empty inbox", QUIET).await;
    let taken = answered(&portal);
    let (dead, differing) = (hints(&client, "true").await, differing(&portal, &client).await);
    let syncs = "select count(*) from sync_logs where sync_type <> 'webhook'";
    assert_eq!(number(&client, syncs).await, 1, "{:#?}", log(&client).await);
    let lost: BTreeSet<i64> = taken.intersection(&differing).filter(|id| !dead.contains(id)).copied().collect();
    assert!(lost.is_empty(), "{} events were answered with 200 and not applied: {:?}", lost.len(), sample(&lost));
    figure(&format!(
        "{:?}: {} answered, {} dead letters, {} deals differ",
        begun.elapsed(),
        taken.len(),
        dead.len(),
        differing.len()
    ));
    let sent = portal.deliveries().sent;
    assert!(
        sent >= u64::try_from(events).unwrap() && taken.len() * 10 > events * 6,
        "too few: {sent}, {}",
        taken.len()
    );
    assert!(!differing.is_empty(), "no kill hit an event on its way, which proves little");

    place.run(&["sync", "deal", "--incremental"]).await;
    place.run(&["sync", "deal", "--sweep"]).await;
    deals_are_equal(&portal, &client).await;
    figure(&format!("{:?}: equal", begun.elapsed()));
    drop(service);
}
