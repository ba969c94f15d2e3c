//! Two instances on one database take events in, in turn; one of them is killed.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use b24sync_portal_emulator::{Counts, DeliveryPlan, Dialect, Entity, Portal, PortalConfig};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_postgres::Client;

use crate::compare::differences;
use crate::control_tables::{log, number};
use crate::listening::{TOKEN, at_rest, equal, settled, subscribe};
use crate::running::{Service, figure};
use crate::stage::Stage;

/// Events that may wait in the portal.
const WAITING: u64 = 200;

/// Events that the portal sends at once.
const SENDERS: u64 = 8;

/// How long after the last event everything must be applied: a hint rests 5 s at most, and a lease of a process that is
/// gone is found within 5 s on the same machine.
const SETTLED_WITHIN: Duration = Duration::from_secs(20);

/// Passes connections on to each of the two in turn, or to the other one where one takes none.
async fn balance(addresses: [String; 2]) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        for turn in 0.. {
            let (mut from, _) = listener.accept().await.unwrap();
            let [one, other] = [turn % 2, (turn + 1) % 2].map(|side: usize| addresses[side].clone());
            connections.spawn(async move {
                let to = match TcpStream::connect(one).await {
                    Ok(to) => Ok(to),
                    Err(_) => TcpStream::connect(other).await,
                };
                if let Ok(mut to) = to {
                    let _ = copy_bidirectional(&mut from, &mut to).await;
                }
            });
        }
    });
    (address, tasks)
}

/// Changes of all entities, made as their events are sent.
fn change(portal: &Portal) {
    for round in 0..200 {
        for entity in [Entity::Deal, Entity::Contact, Entity::Lead, Entity::Company] {
            portal.edit_random(entity, 8, round);
            if round % 8 == 5 {
                portal.add(entity, [("TITLE", "made just now".into()), ("NAME", "new".into())]);
                let ids = portal.ids(entity);
                portal.delete(entity, ids[usize::try_from(round).unwrap() % ids.len()]);
            }
        }
        while portal.deliveries().queued > WAITING {
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Which of the two drains deals at this moment.
async fn drains(client: &Client, services: &[Service; 2]) -> usize {
    let sql = "select split_part(holder, '/', 2) from b24sync.leases where scope = 'hints:deal' and expires_at > clock_timestamp()";
    loop {
        if let Some(row) = client.query_opt(sql, &[]).await.unwrap() {
            let process: String = row.get(0);
            if let Some(position) = services.iter().position(|service| service.id().to_string() == process) {
                return position;
            }
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

const OVERLAPS: &str = "select count(*) from sync_logs a join sync_logs b on a.entity_type = b.entity_type and a.id < b.id \
    where a.sync_type = 'webhook' and b.sync_type = 'webhook' \
    and tsrange(a.started_at, a.completed_at, '[)') && tsrange(b.started_at, b.completed_at, '[)')";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_instances_is_killed_and_every_200_is_applied_in_time_by_one_drain_at_a_time() {
    let counts = Counts { deals: 600, leads: 200, contacts: 200, companies: 100 };
    let stage = Stage::new(PortalConfig { counts, user_fields: 3, ..PortalConfig::default() }).await;
    let (portal, client) = (stage.portal(), stage.client().await);
    let settings = [("BITRIX_APPLICATION_TOKENS", TOKEN)];
    let first = Service::start_with(&stage, &settings);
    at_rest(&client).await;
    let mut services = [first, Service::start_with(&stage, &settings)];
    let syncs = "select count(*) from sync_logs where sync_type <> 'webhook'";
    let before = number(&client, syncs).await;
    let (address, _tasks) = balance([services[0].address.clone(), services[1].address.clone()]).await;
    subscribe(portal, &address);
    portal.set_delivery_plan(DeliveryPlan {
        delay_milliseconds: (0, 50),
        reorder_window: 20,
        doubled_percent: 5,
        parallel: SENDERS.try_into().unwrap(),
        ..DeliveryPlan::default()
    });
    let changing = portal.clone();
    let changes = tokio::task::spawn_blocking(move || change(&changing));
    while portal.deliveries().sent < 2_000 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let victim = drains(&client, &services).await;
    services[victim].kill();
    let left = portal.deliveries();
    changes.await.unwrap();
    assert!(portal.wait_for_deliveries(Duration::from_secs(60)), "{:?}", portal.deliveries());
    let last = Instant::now();
    settled(portal, &client).await;
    let took = last.elapsed();

    let deliveries = portal.deliveries();
    figure(&format!("killed after {} of {} events; applied {took:?} after the last one", left.sent, deliveries.sent));
    assert!(left.sent < deliveries.sent - 1_000, "it was killed too late: {left:?}, {deliveries:?}");
    assert!(took < SETTLED_WITHIN, "{took:?}");
    assert_eq!(deliveries.answered.keys().copied().collect::<Vec<_>>(), [200], "{deliveries:?}");
    // Of each of the portal's senders: what was on its way, and once more what the listener of a process took that was
    // about to be gone.
    assert!(deliveries.failed <= 2 * SENDERS, "only what was on its way has no answer: {deliveries:?}");
    assert_eq!(number(&client, syncs).await, before, "nothing but events brought it: {:#?}", log(&client).await);
    assert_eq!(number(&client, OVERLAPS).await, 0, "{:#?}", log(&client).await);
    assert_eq!(number(&client, "select count(*) from sync_logs where status in ('running', 'queued')").await, 0);
    // Events that had no answer: the portal does not send them again, and nobody knows of them.
    let unanswered: BTreeSet<String> = portal
        .delivery_records()
        .into_iter()
        .filter(|record| record.status.is_none())
        .filter_map(|record| Some(record.id?.to_string()))
        .collect();
    let found = differences(portal, &client, Dialect::Item).await;
    let unexplained: Vec<&String> =
        found.iter().filter(|line| line.split([' ', ':']).nth(1).is_none_or(|id| !unanswered.contains(id))).collect();
    assert!(unexplained.is_empty(), "{unexplained:#?}");
    stage.run(&["sync", "--all", "--incremental"]).await.expect_success();
    stage.run(&["sync", "--all", "--sweep"]).await.expect_success();
    equal(portal, &client).await;
}
