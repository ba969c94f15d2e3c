//! The portal's budget in one row, whoever takes from it.

use std::sync::Arc;
use std::time::Duration;

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

/// The moment that the row was computed for.
async fn computed_at(world: &World) -> f64 {
    let sql = "select extract(epoch from at)::double precision from b24sync.portal_rate";
    world.sql.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test]
async fn its_arithmetic_is_that_of_the_domain() {
    let world = World::new().await;
    let limits = RateLimits::new(2.0, 50);
    let (mut bucket, mut passed, mut random) = (Bucket::default(), 0.0, 7_u64);
    let (mut slots, mut refusals) = (0, 0);
    let close = |one: Duration, other: Duration| one.abs_diff(other) < Duration::from_millis(1);
    for step in 0..120 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let draw = u32::try_from(random >> 40).unwrap();
        let seconds = f64::from(draw % 7_919) / [10_000.0, 1_000.0, 100.0][usize::try_from(draw % 3).unwrap()];
        pass(&world, seconds).await;
        passed += seconds;
        if draw % 17 == 0 {
            let before = computed_at(&world).await;
            let found = world.store.refuse(limits).await.unwrap();
            let at = computed_at(&world).await;
            if at > before {
                let expected = bucket.refuse(Duration::from_secs_f64(at + passed), limits);
                assert!(close(expected, found), "step {step}: {expected:?} {found:?}");
                refusals += 1;
            }
            continue;
        }
        let asked = wish(draw % 14, u64::from(draw % 4));
        let found = world.store.take(limits, &asked).await.unwrap();
        let now = Duration::from_secs_f64(computed_at(&world).await + passed);
        let expected = bucket.take(now, limits, &asked, Vec::new());
        let same = expected.count == found.count
            && close(expected.first, found.first)
            && close(expected.spacing, found.spacing)
            && (expected.per_second - found.per_second).abs() < 1e-6;
        assert!(same, "step {step}: {expected:?} {found:?}");
        slots += found.count;
    }
    assert!(slots > 60 && refusals > 2, "{slots} slots and {refusals} refusals show little");
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
