use b24sync_application::incremental::incremental;
use b24sync_domain::error::{SourceError, SyncError};
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::ports::{RunLog, StatusStore};
use b24sync_domain::run::{RunKind, RunStatus, RunSummary};
use b24sync_testkit::build::{deal, portal_time};

use crate::stage::Stage;

async fn pass(stage: &Stage) -> Result<RunSummary, SyncError> {
    incremental(&stage.ports(), deal(), TimestampStyle::Timestamp, &stage.stop).await
}

/// A portal that was read completely at second 10,000 of its clock.
async fn synced(deals: i64) -> Stage {
    let stage = Stage::new(deals);
    stage.portal.set_clock(10_000);
    stage.sync().await.unwrap();
    stage
}

fn titled(title: &str) -> String {
    format!("\"{title}\"")
}

#[tokio::test]
async fn an_entity_that_was_never_read_is_read_completely() {
    let stage = Stage::new(120);
    let summary = pass(&stage).await.unwrap();
    assert_eq!((summary.kind, summary.processed), (RunKind::Full, 120));
}

#[tokio::test]
async fn a_pass_over_nothing_asks_once_and_moves_the_watermark() {
    let stage = synced(120).await;
    let before = stage.portal.requests();
    stage.portal.set_clock(20_000);
    let summary = pass(&stage).await.unwrap();
    assert_eq!((summary.kind, summary.status, summary.processed), (RunKind::Incremental, RunStatus::Completed, 0));
    assert_eq!(stage.portal.requests() - before, 1);
    assert_eq!(stage.store.watermark(deal()).unwrap(), portal_time(19_700));
}

#[tokio::test]
async fn changes_inside_the_overlap_are_seen_although_their_second_has_passed() {
    let stage = synced(120).await;
    // Changed before the full pass began by the portal's clock, but visible only now: the clock of a slow transaction.
    stage.portal.put(9, 9_800, &[("TITLE", &titled("late"))]);
    pass(&stage).await.unwrap();
    assert_eq!(stage.store.rows(deal())[&9]["title"], "late");
}

#[tokio::test]
async fn five_hundred_edits_in_one_second_are_all_seen() {
    let stage = synced(900).await;
    for number in 200..700 {
        stage.portal.put(number * 3, 11_000, &[("TITLE", &titled("bulk"))]);
    }
    stage.portal.set_clock(11_000);
    let summary = pass(&stage).await.unwrap();
    assert_eq!((summary.processed, summary.written), (500, 500));
    assert_eq!(stage.store.rows(deal()).values().filter(|row| row["title"] == "bulk").count(), 500);
}

#[tokio::test]
async fn records_that_were_imported_with_old_times_are_found_by_their_ids() {
    let stage = synced(120).await;
    for id in 1_000..1_130 {
        stage.portal.put(id, 5, &[("TITLE", &titled("imported"))]);
    }
    pass(&stage).await.unwrap();
    assert_eq!(stage.store.rows(deal()).values().filter(|row| row["title"] == "imported").count(), 130);
}

#[tokio::test]
async fn an_edit_during_the_pass_is_seen_by_the_next_one() {
    let stage = synced(300).await;
    for number in 1..=200 {
        stage.portal.put(number * 3, 11_000, &[("TITLE", &titled("first"))]);
    }
    stage.portal.set_clock(11_000);
    let portal = stage.portal.clone();
    let first_request = stage.portal.requests() + 1;
    stage.portal.on_list(move |request| {
        // The first page has been answered; a record of it changes before the second one is.
        if request == first_request + 1 {
            portal.set_clock(11_500);
            portal.put(3, 11_500, &[("TITLE", &titled("second"))]);
        }
    });
    pass(&stage).await.unwrap();
    assert_eq!(stage.store.rows(deal())[&3]["title"], "first");
    assert_eq!(stage.store.watermark(deal()).unwrap(), portal_time(10_700), "the time of the first request counts");
    pass(&stage).await.unwrap();
    assert_eq!(stage.store.rows(deal())[&3]["title"], "second");
}

#[tokio::test]
async fn a_failed_pass_leaves_the_watermark_and_is_resumed_from_its_cursor() {
    let stage = synced(600).await;
    for number in 1..=500 {
        stage.portal.put(number * 3, 11_000, &[("TITLE", &titled("changed"))]);
    }
    stage.portal.set_clock(11_000);
    let unreachable =
        SourceError::Unavailable { method: "crm.item.list".to_owned(), source: "connection refused".into() };
    stage.portal.fail_next([None, None, None, Some(unreachable)]);
    pass(&stage).await.unwrap_err();
    assert_eq!(stage.store.watermark(deal()).unwrap(), portal_time(9_700));
    assert_eq!(stage.store.recent(1).await.unwrap()[0].status, "failed");
    stage.portal.set_clock(12_000);
    let summary = pass(&stage).await.unwrap();
    assert!(summary.resumed);
    assert_eq!(summary.processed, 500, "each record once, over both parts");
    assert_eq!(stage.store.rows(deal()).values().filter(|row| row["title"] == "changed").count(), 500);
    assert_eq!(stage.store.watermark(deal()).unwrap(), portal_time(10_700), "the run's own first request counts");
}

#[tokio::test]
async fn the_watermark_never_moves_back_when_the_portals_clock_does() {
    let stage = synced(30).await;
    stage.portal.set_clock(5_000);
    pass(&stage).await.unwrap();
    assert_eq!(stage.store.watermark(deal()).unwrap(), portal_time(9_700));
}

#[tokio::test]
async fn a_stopped_pass_is_cancelled_and_its_watermark_stays() {
    let stage = synced(600).await;
    for number in 1..=500 {
        stage.portal.put(number * 3, 11_000, &[("TITLE", &titled("changed"))]);
    }
    let stop = stage.stop.clone();
    stage.portal.on_list(move |_| stop.cancel());
    let summary = pass(&stage).await.unwrap();
    assert_eq!(summary.status, RunStatus::Cancelled);
    assert_eq!(stage.store.watermark(deal()).unwrap(), portal_time(9_700));
}

#[tokio::test]
async fn a_record_that_is_mended_leaves_the_quarantine() {
    let stage = Stage::new(60);
    stage.portal.put(30, 1, &[("OPPORTUNITY", "\"abc\"")]);
    stage.portal.set_clock(10_000);
    stage.sync().await.unwrap();
    assert_eq!(stage.store.quarantine(None, 10).await.unwrap().len(), 1);
    stage.portal.put(30, 11_000, &[("OPPORTUNITY", "\"1.5\"")]);
    stage.portal.set_clock(11_000);
    let summary = pass(&stage).await.unwrap();
    assert_eq!(summary.status, RunStatus::Completed);
    assert_eq!(stage.store.quarantine(None, 10).await.unwrap(), []);
    assert_eq!(stage.store.rows(deal())[&30]["opportunity"], "1.5");
}
