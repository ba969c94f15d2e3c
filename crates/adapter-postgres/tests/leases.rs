//! CORRECTNESS 4.7.

use std::time::Duration;

use b24sync_domain::error::StoreError;
use b24sync_domain::lease::{Grant, HeldBy, Scope};
use b24sync_domain::ports::{LeaseStore, RunLog};
use b24sync_domain::progress::Watermark;
use b24sync_domain::run::{Ending, RunKind, RunStatus};

use crate::support::*;

const MINUTE: Duration = Duration::from_secs(60);

fn scope() -> Scope {
    Scope::Sync(deal())
}

async fn held(world: &World, holder: &str) -> HeldBy {
    match world.store.acquire(scope(), holder, MINUTE).await.unwrap() {
        Grant::Held(by) => by,
        Grant::Granted(lease) => panic!("was free: {lease:?}"),
    }
}

async fn expire(world: &World) {
    world.run_sql("update b24sync.leases set expires_at = clock_timestamp() - interval '1 second'").await;
}

#[tokio::test]
async fn a_lease_is_held_until_it_is_given_back_or_runs_out() {
    let world = World::new().await;
    let first = world.lease().await;
    assert_eq!(held(&world, "other").await.holder, "test");
    world.store.release(&first).await.unwrap();
    let second = world.lease().await;
    assert!(second.token > first.token);
    expire(&world).await;
    let third = world.lease().await;
    assert!(third.token > second.token);
    // Neither of the former holders can do anything with what they had.
    for gone in [&first, &second] {
        assert!(matches!(world.store.renew(gone, MINUTE).await, Err(StoreError::LeaseLost { .. })));
        world.store.release(gone).await.unwrap();
    }
    world.store.renew(&third, MINUTE).await.unwrap();
}

#[tokio::test]
async fn a_lease_of_a_dead_holder_is_taken_over_once() {
    let world = World::new().await;
    let dead = world.lease().await;
    let seen = held(&world, "a").await;
    let taken = world.store.take_over(scope(), "a", &seen, MINUTE).await.unwrap().unwrap();
    assert!(taken.token > dead.token);
    assert_eq!(world.store.take_over(scope(), "b", &seen, MINUTE).await.unwrap(), None);
}

#[tokio::test]
async fn a_holder_who_renews_is_not_taken_over() {
    let world = World::new().await;
    let lease = world.lease().await;
    let seen = held(&world, "a").await;
    world.store.renew(&lease, MINUTE).await.unwrap();
    assert_eq!(world.store.take_over(scope(), "a", &seen, MINUTE).await.unwrap(), None);
}

#[tokio::test]
async fn a_stale_lease_cannot_commit() {
    let mut running = Running::with(&[("TITLE", "string")]).await;
    running.read_and_commit(&[(1, None, &["\"a\""])]).await;
    expire(&running.world).await;
    let read = running.world.token().await;
    let late = running.try_commit(read, &[(2, None, &["\"b\""])]).await;
    assert!(matches!(late, Err(StoreError::LeaseLost { .. })), "{late:?}");
    let new = running.world.lease().await;
    let late = running.try_commit(read, &[(2, None, &["\"b\""])]).await;
    assert!(matches!(late, Err(StoreError::LeaseLost { .. })), "{late:?}");
    let store = &running.world.store;
    let watermark = Watermark(at("2026-01-01T00:00:00Z"));
    let ending = Ending { status: RunStatus::Failed, error: None };
    let (run, lease) = (running.run.id, &running.lease);
    assert!(matches!(store.complete(run, watermark, lease).await, Err(StoreError::LeaseLost { .. })));
    assert!(matches!(store.end(run, &ending, lease).await, Err(StoreError::LeaseLost { .. })));
    assert!(matches!(store.rewind(run, lease).await, Err(StoreError::LeaseLost { .. })));
    assert!(matches!(store.open(deal(), RunKind::Full, lease).await, Err(StoreError::LeaseLost { .. })));
    assert_eq!(running.world.ask("select count(*) from crm_deals").await.unwrap(), "1");
    running.lease = new;
    running.commit(read, &[(2, None, &["\"b\""])]).await;
}

#[tokio::test]
async fn only_one_of_many_gets_a_lease() {
    let world = World::new().await;
    for _ in 0..10 {
        let attempts = (0..4).map(|_| world.store.acquire(scope(), "x", MINUTE));
        let grants = futures_util::future::join_all(attempts).await;
        let granted = grants.iter().filter(|grant| matches!(grant, Ok(Grant::Granted(_)))).count();
        assert_eq!(granted, 1, "{grants:?}");
        expire(&world).await;
    }
}
