//! The portal's budget in one row, whoever takes from it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use b24sync_adapter_postgres::PgStore;
use b24sync_domain::pacing::{Bucket, RateLimits};
use b24sync_domain::ports::{BudgetStore, Returned, Wish};
use b24sync_testkit::contract::budget;

use crate::support::*;

fn wish(wanted: u32, ahead: u64) -> Wish {
    Wish { wanted, ahead: Duration::from_secs(ahead), returned: None }
}

#[tokio::test]
async fn the_budget_in_the_database_keeps_the_contract() {
    budget::all(|| async {
        let world = World::new().await;
        let other = PgStore::connect(&url(&world.database), options()).await.unwrap();
        let ways: [Arc<dyn BudgetStore>; 2] = [Arc::new(world.store.clone()), Arc::new(other)];
        (ways, world)
    })
    .await;
}

/// Lets time pass for the row.
async fn pass(world: &World, seconds: f64) {
    let sql = "update b24sync.portal_rate set at = at - $1 * interval '1 second', \
               refused_at = refused_at - $1 * interval '1 second', paused_until = paused_until - $1 * interval '1 second'";
    world.sql.execute(sql, &[&seconds]).await.unwrap();
}

#[tokio::test]
async fn its_arithmetic_is_that_of_the_domain() {
    let world = World::new().await;
    let limits = RateLimits::new(2.0, 50);
    let (mut bucket, begun, mut passed) = (Bucket::default(), Instant::now(), 1_000_000.0);
    let mut random = 7_u64;
    let mut slowest = Duration::from_millis(10);
    for step in 0..150 {
        let started = Instant::now();
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let draw = u32::try_from(random >> 40).unwrap();
        let seconds = f64::from(draw % 7_919) / [10_000.0, 1_000.0, 100.0][usize::try_from(draw % 3).unwrap()];
        pass(&world, seconds).await;
        passed += seconds;
        let now = || Duration::from_secs_f64(passed) + begun.elapsed();
        if draw % 37 == 0 {
            let (expected, found) = (bucket.refuse(now(), limits), world.store.refuse(limits).await.unwrap());
            slowest = slowest.max(started.elapsed());
            assert!(expected.abs_diff(found) < 2 * slowest, "step {step}: {expected:?} {found:?}");
            continue;
        }
        let asked = wish(draw % 14, u64::from(draw % 4));
        let expected = bucket.take(now(), limits, &asked, Vec::new());
        let found = world.store.take(limits, &asked).await.unwrap();
        slowest = slowest.max(started.elapsed());
        assert!((expected.per_second - found.per_second).abs() < 1e-3, "step {step}: {expected:?} {found:?}");
        if expected.count != found.count {
            // Some time has passed between the two; the rest is compared from the same level on.
            assert!(expected.count.abs_diff(found.count) <= 1, "step {step}: {expected:?} {found:?}");
            let difference = f64::from(expected.count) - f64::from(found.count);
            world.sql.execute("update b24sync.portal_rate set level = level + $1", &[&difference]).await.unwrap();
            continue;
        }
        assert!(
            expected.first.abs_diff(found.first) < Duration::from_millis(200),
            "step {step}: {expected:?} {found:?}"
        );
        assert_eq!(expected.spacing.as_millis(), found.spacing.as_millis(), "step {step}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_slot_is_granted_twice_to_processes_that_ask_at_once() {
    let world = World::new().await;
    // Next to nothing comes back meanwhile.
    let limits = RateLimits::new(0.01, 200);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let store = PgStore::connect(&url(&world.database), options()).await.unwrap();
        tasks.spawn(async move {
            let mut granted = 0;
            loop {
                let slice = store.take(limits, &wish(3, 0)).await.unwrap();
                if slice.count == 0 || slice.first > Duration::ZERO {
                    return granted;
                }
                granted += slice.count;
            }
        });
    }
    let granted = tasks.join_all().await.into_iter().sum::<u32>();
    assert!((199..=200).contains(&granted), "{granted}");
}

#[tokio::test]
async fn a_new_process_finds_the_budget_as_the_last_one_left_it() {
    let world = World::new().await;
    let limits = RateLimits::new(2.0, 50);
    for _ in 0..5 {
        world.store.take(limits, &wish(10, 1)).await.unwrap();
    }
    let next = PgStore::connect(&url(&world.database), options()).await.unwrap();
    let slice = next.take(limits, &wish(10, 1)).await.unwrap();
    assert!(slice.count <= 6, "{slice:?}");
}

#[tokio::test]
async fn a_row_that_somebody_took_out_is_made_anew() {
    let world = World::new().await;
    world.run_sql("delete from b24sync.portal_rate").await;
    let limits = RateLimits::new(2.0, 50);
    assert_eq!(world.store.take(limits, &wish(4, 1)).await.unwrap().count, 4);
    world.run_sql("delete from b24sync.portal_rate").await;
    assert_eq!(world.store.refuse(limits).await.unwrap(), Duration::from_secs(1));
}

#[tokio::test]
async fn a_clock_that_was_set_back_grants_nothing_twice() {
    let world = World::new().await;
    let limits = RateLimits::new(2.0, 50);
    let slice = world.store.take(limits, &wish(10, 1)).await.unwrap();
    world.run_sql("update b24sync.portal_rate set at = at + interval '1 hour', level = 47.5").await;
    let returned = Some(Returned { version: slice.version, count: 10 });
    let slice = world.store.take(limits, &Wish { returned, ..wish(1, 1) }).await.unwrap();
    assert_eq!(slice.count, 1);
    let level: f64 = world.sql.query_one("select level from b24sync.portal_rate", &[]).await.unwrap().get(0);
    assert!((level - 38.5).abs() < 1e-9, "nothing has drained: {level}");
}
