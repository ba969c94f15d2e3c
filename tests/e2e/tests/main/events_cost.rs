//! What events cost: requests to the portal, and memory.

use std::time::{Duration, Instant};

use b24sync_portal_emulator::{Counts, DeliveryPlan, Entity, PortalConfig, RateLimit};

use crate::listening::{TOKEN, deals_are_equal, settled, subscribe};
use crate::running::{Service, figure, unscheduled_of};
use crate::stage::Stage;

/// Memory that the service may occupy while it applies them, in KiB.
const MOST_MEMORY: u64 = 100 * 1024;

/// How long an event waits for others of its record at most.
const LONGEST_DEBOUNCE: Duration = Duration::from_secs(5);

/// A portal whose deals are in the replica, and a service that does nothing but apply its events.
async fn stage(deals: u64, user_fields: usize) -> (Stage, Service) {
    stage_with(deals, user_fields, &[]).await
}

/// The same with further settings of the service.
async fn stage_with(deals: u64, user_fields: usize, settings: &[(&str, &str)]) -> (Stage, Service) {
    let counts = Counts::deals(deals);
    let stage = unscheduled_of(PortalConfig { counts, user_fields, ..PortalConfig::default() }).await;
    stage.run(&["sync", "deal"]).await.expect_success();
    let service = Service::start_with(&stage, &[&[("BITRIX_APPLICATION_TOKENS", TOKEN)], settings].concat());
    subscribe(stage.portal(), &service.address);
    stage.portal().set_delivery_plan(DeliveryPlan { parallel: 16, ..DeliveryPlan::default() });
    stage.portal().reset_stats();
    (stage, service)
}

/// All of these events were answered with 200.
fn all_accepted(stage: &Stage, events: u64) {
    let deliveries = stage.portal().deliveries();
    assert_eq!(deliveries.answered, [(200, events)].into(), "{deliveries:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_events_on_ten_thousand_deals_cost_at_most_ten_requests() {
    let (stage, service) = stage(10_000, 38).await;
    let (portal, client) = (stage.portal(), stage.client().await);
    portal.bulk_edit_in_one_second(Entity::Deal, &portal.ids(Entity::Deal));
    settled(portal, &client).await;
    let stats = portal.stats();
    all_accepted(&stage, 10_000);
    deals_are_equal(portal, &client).await;
    figure(&format!("{} requests, {} KiB at most, {:?}", stats.http_requests, service.peak_kib(), stats.by_method));
    assert!(stats.http_requests <= 10, "{stats:?}");
    assert!(service.peak_kib() < MOST_MEMORY, "{} KiB", service.peak_kib());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_events_are_fresh_within_seconds_at_a_rate_of_two_requests_a_second() {
    let settings = [("BITRIX_RATE_PER_SECOND", "2"), ("BITRIX_RATE_BURST", "2")];
    let (stage, _service) = stage_with(10_000, 3, &settings).await;
    let (portal, client) = (stage.portal(), stage.client().await);
    // Next to no burst, so that the bucket is at its steady rate from the first request on.
    portal.set_rate(Some(RateLimit { per_second: 2.0, burst: 2.0 }));
    let begun = Instant::now();
    portal.bulk_edit_in_one_second(Entity::Deal, &portal.ids(Entity::Deal));
    assert!(portal.wait_for_deliveries(Duration::from_secs(120)), "{:?}", portal.deliveries());
    let last_event = Instant::now();
    settled(portal, &client).await;
    let (fresh, stats) = (last_event.elapsed(), portal.stats());
    let sending = last_event - begun;
    all_accepted(&stage, 10_000);
    deals_are_equal(portal, &client).await;
    figure(&format!("fresh {fresh:?} after the last event of {sending:?}, {} requests", stats.http_requests));
    assert!(fresh <= Duration::from_secs(6), "{fresh:?}");
    // No event waits for longer than the longest debounce; on a busy machine they come for longer than that.
    let allowed = 8 + sending.saturating_sub(LONGEST_DEBOUNCE).as_secs();
    assert!(stats.http_requests <= allowed && stats.throttled == 0, "{sending:?}: {stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_three_hundred_user_fields_come_in_requests_that_fit_into_memory() {
    let (stage, service) = stage(2_500, 300).await;
    let (portal, client) = (stage.portal(), stage.client().await);
    portal.bulk_edit_in_one_second(Entity::Deal, &portal.ids(Entity::Deal));
    settled(portal, &client).await;
    let stats = portal.stats();
    all_accepted(&stage, 2_500);
    deals_are_equal(portal, &client).await;
    figure(&format!("{} requests, {} KiB at most", stats.http_requests, service.peak_kib()));
    assert!(service.peak_kib() < MOST_MEMORY, "{} KiB", service.peak_kib());
    assert!(stats.http_requests <= 6, "{stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_events_on_one_deal_cost_at_most_three_reads() {
    let (stage, _service) = stage(300, 38).await;
    let (portal, client) = (stage.portal(), stage.client().await);
    let deal = portal.ids(Entity::Deal)[7];
    for edit in 0..1_000 {
        portal.edit(Entity::Deal, deal, [("TITLE", format!("edit {edit}").into())]);
    }
    settled(portal, &client).await;
    let stats = portal.stats();
    all_accepted(&stage, 1_000);
    deals_are_equal(portal, &client).await;
    figure(&format!("{} requests, {:?}", stats.http_requests, stats.by_method));
    let reads = stats.by_method["crm.item.list"] + stats.by_method.get("crm.item.get").copied().unwrap_or_default();
    assert!(reads <= 3, "{stats:?}");
}
