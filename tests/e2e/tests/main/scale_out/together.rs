//! What three instances do together when nothing is wrong.

use b24sync_portal_emulator::{Counts, Entity, PortalConfig, RateLimit};

use super::cluster::{Cluster, INSTANCES};
use super::load::every_event_had_200;
use crate::control_tables::{log, number, until};
use crate::listening::{QUIET, equal, settled};
use crate::running::figure;
use crate::stage::Stage;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_three_schedules_all_take_events_in_and_the_portal_refuses_none_of_them() {
    let rate = RateLimit { per_second: 10.0, burst: 20.0 };
    let counts = Counts { deals: 900, leads: 200, contacts: 200, companies: 100 };
    let stage = Stage::new(PortalConfig { counts, user_fields: 3, rate: Some(rate), ..PortalConfig::default() }).await;
    stage.run(&["migrate"]).await.expect_success();
    let settings = [("BITRIX_RATE_PER_SECOND", "10"), ("BITRIX_RATE_BURST", "20")];
    let Some(cluster) = Cluster::start(stage, &settings).await else { return };
    let client = cluster.client().await;
    let first = "select count(*) from (select count(distinct entity_type) as n from sync_logs where status = 'completed') c where n = 4";
    until(&client, "the first syncs", first).await;
    until(&client, "rest", QUIET).await;
    assert_eq!(cluster.leaders(), [0], "the one that came first");
    let full = "select count(*) from sync_logs where sync_type = 'full'";
    assert_eq!(number(&client, full).await, 4, "nothing is done twice: {:#?}", log(&client).await);

    cluster.subscribe();
    for round in 0..5 {
        for entity in [Entity::Deal, Entity::Contact, Entity::Lead, Entity::Company] {
            cluster.portal().edit_random(entity, 60, round);
        }
    }
    settled(cluster.portal(), &client).await;
    every_event_had_200(&cluster);
    let taken: Vec<_> = (0..INSTANCES).map(|number| cluster.metric(number, "b24sync_events_total")).collect();
    assert!(taken.iter().all(|events| *events > 100.0), "{taken:?}");
    equal(cluster.portal(), &client).await;
    assert_eq!(cluster.leaders(), [0]);
    let stats = cluster.portal().stats();
    figure(&format!("events by instance: {taken:?}; {} requests, {} refused", stats.http_requests, stats.throttled));
    assert_eq!(stats.throttled, 0);
    assert!(f64::from(u32::try_from(stats.http_requests).unwrap()) > rate.burst, "{stats:?} shows nothing");
}
