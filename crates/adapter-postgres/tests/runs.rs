//! The run log.

use b24sync_domain::ports::{LeaseStore, ReadOrder, RunLog, StatusStore};
use b24sync_domain::progress::{Cursor, Watermark};
use b24sync_domain::run::{Ending, RunKind, RunStatus};

use crate::support::*;

const LOG: &str =
    "select id, sync_type, status, records_processed, error_message, completed_at is null from sync_logs order by id";

async fn expire(world: &World) {
    world.run_sql("update b24sync.leases set expires_at = clock_timestamp() - interval '1 second'").await;
}

#[tokio::test]
async fn a_run_whose_process_died_goes_on_from_its_cursor() {
    let mut running = Running::with(&[("TITLE", "string")]).await;
    running.read_and_commit(&[(1, None, &["\"a\""]), (7, None, &["\"b\""])]).await;
    assert_eq!(running.world.rows(LOG).await, ["1|full|running|7|∅|t"]);
    expire(&running.world).await;
    assert_eq!(running.world.store.close_abandoned().await.unwrap(), 1);
    assert_eq!(running.world.store.close_abandoned().await.unwrap(), 0);
    assert_eq!(running.world.rows(LOG).await, ["1|full|interrupted|7|its process ended without a word|f"]);
    running.lease = running.world.lease().await;
    let again = running.world.run(&running.lease).await;
    assert!(again.resumed);
    assert_eq!((again.id, again.cursor, again.processed), (running.run.id, Cursor::after(7), 7));
    assert_eq!((again.start, again.source_start), (running.run.start, Some(at("2026-01-01T00:00:00Z"))));
    assert_eq!(running.world.rows(LOG).await, ["1|full|running|7|∅|t"]);
}

#[tokio::test]
async fn an_owner_who_was_only_slow_cannot_go_on_after_its_run_was_closed() {
    let running = Running::with(&[("TITLE", "string")]).await;
    expire(&running.world).await;
    running.world.store.close_abandoned().await.unwrap();
    assert!(running.world.store.renew(&running.lease, std::time::Duration::from_secs(60)).await.is_err());
}

#[tokio::test]
async fn a_run_that_is_on_is_not_abandoned() {
    let running = Running::with(&[("TITLE", "string")]).await;
    assert_eq!(running.world.store.close_abandoned().await.unwrap(), 0);
}

#[tokio::test]
async fn failed_and_cancelled_runs_are_resumed_and_completed_ones_are_not() {
    let world = World::new().await;
    let lease = world.lease().await;
    let first = world.run(&lease).await;
    for (status, error) in [(RunStatus::Failed, Some("the portal is down")), (RunStatus::Cancelled, None)] {
        let ending = Ending { status, error: error.map(str::to_owned) };
        world.store.end(first.id, &ending, &lease).await.unwrap();
        world.store.end(first.id, &ending, &lease).await.unwrap();
        let expected = format!("1|full|{status}|0|{}|f", error.unwrap_or("∅"));
        assert_eq!(world.rows(LOG).await, [expected]);
        assert_eq!(world.run(&lease).await.id, first.id);
    }
    let mark = Watermark(at("2026-01-01T00:00:00Z"));
    assert_eq!(world.store.complete(first.id, mark, &lease).await.unwrap(), RunStatus::Completed);
    // The answer may have been lost.
    assert_eq!(world.store.complete(first.id, mark, &lease).await.unwrap(), RunStatus::Completed);
    let second = world.run(&lease).await;
    assert!(!second.resumed && second.id > first.id);
}

#[tokio::test]
async fn old_runs_and_runs_of_another_kind_are_given_up() {
    let world = World::new().await;
    let lease = world.lease().await;
    let first = world.run(&lease).await;
    world.run_sql("update b24sync.runs set started_at = started_at - interval '25 hours'").await;
    let second = world.run(&lease).await;
    assert_ne!(first.id, second.id);
    let third = world.store.open(deal(), RunKind::Incremental, &lease).await.unwrap();
    let statuses = ["1|full|interrupted|0|∅|f", "2|full|interrupted|0|∅|f", "3|incremental|running|0|∅|t"];
    assert_eq!(world.rows(LOG).await, statuses);
    assert_eq!(third.id.0, 3);
    assert_eq!(world.store.open(deal(), RunKind::Incremental, &lease).await.unwrap().id, third.id);
}

#[tokio::test]
async fn a_rewound_run_begins_again_with_a_new_start() {
    let running = Running::with(&[("TITLE", "string")]).await;
    running.read_and_commit(&[(5, None, &["\"a\""])]).await;
    let start = running.world.store.rewind(running.run.id, &running.lease).await.unwrap();
    assert!(start > running.run.start);
    let again = running.world.run(&running.lease).await;
    assert_eq!((again.cursor, again.processed, again.start), (Cursor::START, 0, start));
}

#[tokio::test]
async fn a_full_run_sets_the_watermark_once_and_an_incremental_one_moves_it_forward() {
    let world = World::new().await;
    let lease = world.lease().await;
    let steps = [
        (RunKind::Full, "2026-01-02T00:00:00Z", "2026-01-02T00:00:00Z"),
        (RunKind::Full, "2026-01-05T00:00:00Z", "2026-01-02T00:00:00Z"),
        (RunKind::Incremental, "2026-01-04T00:00:00Z", "2026-01-04T00:00:00Z"),
        (RunKind::Incremental, "2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z"),
        (RunKind::Webhook, "2026-01-09T00:00:00Z", "2026-01-04T00:00:00Z"),
    ];
    for (kind, proposed, expected) in steps {
        let run = world.store.open(deal(), kind, &lease).await.unwrap();
        world.store.complete(run.id, Watermark(at(proposed)), &lease).await.unwrap();
        let overview = world.store.overview().await.unwrap();
        let deal = overview.into_iter().find(|overview| overview.entity == deal()).unwrap();
        assert_eq!(deal.watermark, Some(at(expected)), "{kind} {proposed}");
        assert!(deal.rows.is_none());
    }
    assert_eq!(
        world.ask("select last_sync_at is not null from sync_config where entity_type = 'deal'").await.unwrap(),
        "t"
    );
}

#[tokio::test]
async fn the_log_is_read_newest_first_with_strangers_rows() {
    let world = World::new().await;
    let lease = world.lease().await;
    world.run(&lease).await;
    world
        .run_sql("insert into sync_logs (entity_type, sync_type, status, started_at) values ('invoice', 'manual', 'done', '2020-01-01 00:00:00')")
        .await;
    let runs = world.store.recent(10).await.unwrap();
    assert_eq!(runs.iter().map(|run| run.entity.as_str()).collect::<Vec<_>>(), ["invoice", "deal"]);
    assert_eq!(runs[0].started_at, Some(at("2020-01-01T00:00:00Z")));
    assert_eq!(world.store.recent(1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_log_that_was_emptied_counts_anew() {
    let world = World::new().await;
    let lease = world.lease().await;
    let first = world.run(&lease).await;
    world.store.complete(first.id, Watermark(at("2026-01-01T00:00:00Z")), &lease).await.unwrap();
    world.run_sql("truncate sync_logs restart identity").await;
    let second = world.run(&lease).await;
    assert_eq!((second.id, second.resumed), (first.id, false));
}

#[tokio::test]
async fn the_order_of_reads_is_raised_above_what_a_backup_brought_back() {
    let running = Running::with(&[("TITLE", "string")]).await;
    running.read_and_commit(&[(1, None, &["\"a\""])]).await;
    running
        .world
        .run_sql("update b24sync.item_state set write_seq = 5000; select setval('b24sync.read_order', 10)")
        .await;
    let store = b24sync_adapter_postgres::PgStore::connect(&url(&running.world.database), options()).await.unwrap();
    assert!(store.next().await.unwrap().0 > 5000);
}

#[tokio::test]
async fn a_run_whose_log_row_is_gone_is_not_resumed() {
    let world = World::new().await;
    let lease = world.lease().await;
    let first = world.run(&lease).await;
    world.run_sql("delete from sync_logs").await;
    let second = world.run(&lease).await;
    assert!(!second.resumed && second.id != first.id);
    assert_eq!(world.rows("select status from sync_logs").await, ["running"]);
}
