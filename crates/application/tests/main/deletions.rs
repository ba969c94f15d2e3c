//! I4, I5: no row goes without evidence, and the brake holds what is hard to believe.

use b24sync_application::backfill::backfill;
use b24sync_domain::error::SyncError;
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::ports::RunLog;
use b24sync_domain::run::{RunId, RunStatus};
use b24sync_testkit::build::deal;

use crate::stage::Stage;

async fn synced(deals: i64) -> Stage {
    let stage = Stage::new(deals);
    stage.sync().await.unwrap();
    stage
}

fn without(deals: i64, gone: &[i64]) -> Vec<i64> {
    (1..=deals).map(|number| number * 3).filter(|id| !gone.contains(id)).collect()
}

#[tokio::test]
async fn deleted_records_lose_their_rows_and_restored_ones_get_them_back() {
    let stage = synced(200).await;
    for id in [3, 30, 300] {
        stage.portal.remove(id);
    }
    let summary = stage.sync().await.unwrap();
    assert_eq!((summary.status, summary.deleted), (RunStatus::Completed, 3));
    assert_eq!(stage.ids(), without(200, &[3, 30, 300]));
    stage.portal.put(30, 1, &[("TITLE", "\"restored with its old time\"")]);
    let summary = stage.sync().await.unwrap();
    assert_eq!((summary.written, summary.deleted), (1, 0));
    assert_eq!(stage.ids(), without(200, &[3, 300]));
}

#[tokio::test]
async fn records_that_may_not_be_read_any_more_keep_their_rows() {
    for share in [2, 100, 199] {
        let stage = synced(200).await;
        stage.portal.hide((1..=share).map(|number| number * 3));
        let summary = stage.sync().await.unwrap();
        assert_eq!((summary.status, summary.deleted), (RunStatus::Completed, 0), "{share}");
        assert_eq!(stage.ids().len(), 200);
    }
}

#[tokio::test]
async fn control_records_that_were_deleted_after_they_were_read_do_not_stop_full_syncs_for_good() {
    let stage = synced(10).await;
    stage.portal.remove(30);
    let portal = stage.portal.clone();
    let last_page = stage.portal.requests() + 2;
    stage.portal.on_list(move |number| {
        if number == last_page {
            // As many as are tried; with one left, the sync would not even fail.
            for id in [3, 6, 9, 12] {
                portal.remove(id);
            }
        }
    });
    let error = stage.sync().await.unwrap_err();
    assert!(matches!(error, SyncError::NothingVisible { .. }), "{error}");
    let summary = stage.sync().await.unwrap();
    assert_eq!((summary.status, summary.deleted), (RunStatus::Completed, 5));
    assert_eq!(stage.ids(), without(10, &[3, 6, 9, 12, 30]));
}

#[tokio::test]
async fn when_nothing_can_be_read_any_more_nothing_is_deleted_and_the_run_says_why() {
    for lie in ["hidden", "removed"] {
        let stage = synced(200).await;
        match lie {
            "hidden" => stage.portal.hide((1..=200).map(|number| number * 3)),
            _ => stage.portal.remove_type(true),
        }
        let error = stage.sync().await.unwrap_err();
        assert!(matches!(error, SyncError::NothingVisible { .. }), "{lie}: {error}");
        assert_eq!(stage.ids().len(), 200, "{lie}");
        let last = stage.store.recent(1).await.unwrap().pop().unwrap();
        assert_eq!(last.status, "failed");
        assert!(last.error.unwrap().contains("nothing was deleted"));
    }
}

#[tokio::test]
async fn a_listing_that_leaves_records_out_costs_no_row() {
    let stage = synced(200).await;
    stage.portal.omit([3, 6, 9]);
    stage.portal.put(6, 900, &[("TITLE", "\"changed behind the listing's back\"")]);
    let summary = stage.sync().await.unwrap();
    assert_eq!((summary.status, summary.deleted), (RunStatus::Completed, 0));
    assert_eq!(stage.ids().len(), 200);
    assert_eq!(stage.store.rows(deal())[&6]["title"], "changed behind the listing's back", "found and applied");
}

#[tokio::test]
async fn a_mass_deletion_waits_for_the_confirmation_of_exactly_this_run() {
    let stage = synced(300).await;
    for number in 1..=51 {
        stage.portal.remove(number * 3);
    }
    let error = stage.sync().await.unwrap_err();
    let SyncError::DeletionsHeld { run, count, live, .. } = error else { panic!("{error}") };
    assert_eq!((count, live), (51, 300));
    assert_eq!(stage.ids().len(), 300);
    let confirm =
        async |run: RunId| backfill(&stage.ports(), deal(), TimestampStyle::Timestamp, Some(run), &stage.stop).await;
    assert!(matches!(confirm(RunId(run.0 + 1)).await, Err(SyncError::DeletionsHeld { .. })));
    let summary = confirm(run).await.unwrap();
    assert_eq!((summary.run, summary.status, summary.deleted), (run, RunStatus::Completed, 51));
    assert_eq!(stage.ids().len(), 249);
}

#[tokio::test]
async fn fifty_deletions_need_no_confirmation() {
    let stage = synced(300).await;
    for number in 1..=50 {
        stage.portal.remove(number * 3);
    }
    assert_eq!(stage.sync().await.unwrap().deleted, 50);
}
