//! I4: a sweep finds what is gone and what nobody saw, by ids alone.

use b24sync_application::sweep::sweep;
use b24sync_domain::error::SyncError;
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::run::{RunKind, RunStatus, RunSummary};
use b24sync_testkit::build::deal;

use crate::stage::Stage;

async fn swept(stage: &Stage) -> Result<RunSummary, SyncError> {
    sweep(&stage.ports(), deal(), TimestampStyle::Timestamp, &stage.stop).await
}

#[tokio::test]
async fn i4_what_is_gone_goes_and_what_was_never_seen_comes() {
    let stage = Stage::new(400);
    stage.sync().await.unwrap();
    for id in [3, 600, 1_200] {
        stage.portal.remove(id);
    }
    // Below the floor, with an old time: no incremental pass looks for it.
    stage.portal.put(4, 1, &[("TITLE", "\"imported\"")]);
    let summary = swept(&stage).await.unwrap();
    assert_eq!((summary.kind, summary.status), (RunKind::Sweep, RunStatus::Completed));
    assert_eq!((summary.deleted, summary.written), (3, 1));
    assert_eq!(stage.cell(4, "title").as_deref(), Some("imported"));
    assert_eq!(stage.ids().len(), 398);
    let summary = swept(&stage).await.unwrap();
    assert_eq!((summary.deleted, summary.written, summary.processed), (0, 0, 398));
}

#[tokio::test]
async fn i4_a_sweep_deletes_nothing_that_is_hidden_or_left_out_or_of_a_type_that_is_gone() {
    let stage = Stage::new(100);
    stage.sync().await.unwrap();
    stage.portal.hide([3, 6, 9]);
    stage.portal.omit([12, 15]);
    assert_eq!(swept(&stage).await.unwrap().deleted, 0);
    stage.portal.remove_type(true);
    assert!(matches!(swept(&stage).await, Err(SyncError::NothingVisible { .. })));
    assert_eq!(stage.ids().len(), 100);
}

#[tokio::test]
async fn i4_too_many_deletions_wait_for_a_full_run_to_be_confirmed() {
    let stage = Stage::new(200);
    stage.sync().await.unwrap();
    (1..=51).for_each(|number| stage.portal.remove(number * 3));
    let held = swept(&stage).await.unwrap_err();
    assert!(matches!(held, SyncError::DeletionsHeld { kind: RunKind::Sweep, .. }), "{held}");
    assert!(held.advice().contains("b24sync sync ENTITY"));
    assert_eq!(stage.ids().len(), 200);
}

#[tokio::test]
async fn a_sweep_moves_no_watermark_and_leaves_an_unfinished_full_run_alone() {
    let stage = Stage::new(400);
    let cut = b24sync_domain::error::SourceError::Unavailable { method: "list".to_owned(), source: "cut".into() };
    stage.portal.fail_next([None, Some(cut)]);
    stage.sync().await.unwrap_err();
    swept(&stage).await.unwrap();
    assert_eq!(stage.store.watermark(deal()), None);
    assert!(stage.sync().await.unwrap().resumed);
}
