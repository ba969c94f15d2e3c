//! The portal is away, moves, or does not let us in any more.

use std::time::{Duration, Instant};

use b24sync_portal_emulator::{Counts, Fault, FaultPlan, Portal, PortalConfig, RunningPortal};
use b24sync_testkit::proxy::Proxy;

use super::ground::{Ground, viewer};
use super::lasting;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_portal_is_away_for_long() {
    let mut ground = Ground::new().await;
    let (accepted, sent) = (ground.answered(200), ground.portal().deliveries().sent);
    ground.way_to_portal.refuse(true);
    ground.way_to_portal.cut();
    ground.endure(lasting(4, 300)).await;
    assert_eq!(ground.service.ask("GET", "/health/ready", None, None).0, 200, "events can be taken in all the same");
    // It answers again, with the page of a gateway.
    ground.portal().set_faults(FaultPlan::always(Fault::Status { status: 502 }));
    ground.way_to_portal.refuse(false);
    ground.endure(lasting(3, 120)).await;
    let (accepted, sent) = (ground.answered(200) - accepted, ground.portal().deliveries().sent - sent);
    assert!(accepted > 10 && accepted == sent, "{accepted} of {sent} events were taken in while the portal was away");
    ground.portal().set_faults(FaultPlan::none());
    let since = Instant::now();
    ground.back(since).await;
    ground.holds("portal away: refused, then 502", since).await;
}

/// Whoever comes to the old address is sent to the new one.
fn old_address(new: &str) -> RunningPortal {
    let portal = Portal::new(PortalConfig { counts: Counts::deals(1), ..PortalConfig::default() });
    portal.set_faults(FaultPlan::always(Fault::Redirect302 { location: new.to_owned() }));
    portal.start().expect("the emulator listens")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_portal_moves_to_an_address_of_its_own() {
    let mut ground = Ground::new().await;
    let new = Proxy::before(ground.portal.port()).await;
    let old = old_address(&format!("http://127.0.0.1:{}", new.port()));
    ground.way_to_portal.lead_to(old.port());
    let since = Instant::now();
    ground.way_to_portal.cut();
    ground.back(since).await;
    let asked = old.portal().stats().http_requests;
    assert!((1..=5).contains(&asked), "the old address is asked {asked} times");
    ground.events(30).await;
    assert_eq!(old.portal().stats().http_requests, asked, "the new address is remembered");
    // The program that is started anew knows the old address only, and the database the same.
    ground.holds("portal moved to a host that may get the webhook's code", since).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_portal_seems_to_move_to_a_stranger() {
    let mut ground = Ground::new().await;
    let old = old_address("https://portal.stranger.example");
    ground.way_to_portal.lead_to(old.port());
    ground.way_to_portal.cut();
    let (accepted, sent) = (ground.answered(200), ground.portal().deliveries().sent);
    wait_until_told(&ground, "moved to `portal.stranger.example`").await;
    ground.endure(lasting(1, 60)).await;
    let (accepted, sent) = (ground.answered(200) - accepted, ground.portal().deliveries().sent - sent);
    assert_eq!(accepted, sent, "events are taken in all the same");
    // Somebody finds out where it really is, and says so.
    ground.kill();
    let new = Proxy::before(ground.portal.port()).await;
    ground.reach_portal_by(new.port());
    ground.run(&["sync", "deal", "--incremental", "--portal-moved"]).await.expect_success();
    let since = Instant::now();
    ground.start();
    ground.back(since).await;
    ground.holds("portal moved to a stranger, until the address was corrected", since).await;
}

/// Entities whose events wait.
const ENTITIES: u64 = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_webhook_is_revoked() {
    let mut ground = Ground::new().await;
    ground.portal().revoke_webhook();
    let (asked, accepted, sent) =
        (ground.portal().stats().http_requests, ground.answered(200), ground.portal().deliveries().sent);
    wait_until_told(&ground, "refused the credentials").await;
    let lasted = lasting(5, 120);
    ground.endure(lasted).await;
    let asked = ground.portal().stats().http_requests - asked;
    // Pauses of 2, 4, 8, … 60 s for each entity.
    let most = ENTITIES * (u64::from((lasted.as_secs() + 4).ilog2()) + 2);
    assert!((1..=most).contains(&asked), "{asked} requests in {lasted:?} that nothing can come of, {most} at most");
    let (accepted, sent) = (ground.answered(200) - accepted, ground.portal().deliveries().sent - sent);
    assert!(accepted > 10 && accepted == sent, "{accepted} of {sent} events were taken in");
    let doctor = ground.run(&["doctor", "--output", "json"]).await;
    assert_eq!(doctor.code, Some(1), "{}", doctor.stdout);
    ground.kill();
    ground.portal().reinstate_webhook();
    let since = Instant::now();
    ground.start();
    ground.back(since).await;
    ground.holds("webhook revoked, until there was a new one", since).await;
}

/// Waits until the status of the syncs says so.
async fn wait_until_told(ground: &Ground, words: &str) {
    let viewer = viewer();
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let status = ground.service.get("/api/v1/sync/status", &viewer).to_string();
        if status.contains(words) {
            return;
        }
        assert!(Instant::now() < deadline, "the status does not say `{words}`: {status}");
        ground.endure(Duration::from_millis(50)).await;
    }
}
