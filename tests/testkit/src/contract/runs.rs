//! Runs: resumed, ended, abandoned.

use b24sync_domain::error::StoreError;
use b24sync_domain::lease::{Grant, Scope};
use b24sync_domain::progress::{Cursor, Watermark};
use b24sync_domain::run::{Ending, RunKind, RunStatus};
use chrono::Utc;

use super::{Scene, Stores, TTL, later};
use crate::build::{Sample, deal, mapped, portal_time};

/// I8.
pub(super) async fn a_stale_lease_cannot_commit_or_end_a_run(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let Grant::Held(held) = stores.leases.acquire(Scope::Sync(deal()), "two", TTL).await.expect("an answer") else {
        panic!("two holders of one lease")
    };
    let taken =
        stores.leases.take_over(Scope::Sync(deal()), "two", &held, TTL).await.expect("an answer").expect("a lease");
    assert!(taken.token > scene.lease.token);
    let batch = mapped(&scene.plan, stores.token().await, &[Sample { id: 7, modified: 1, values: &[] }]);
    let lost = |result: Result<(), StoreError>| matches!(result, Err(StoreError::LeaseLost { .. }));
    assert!(lost(stores.records.commit(&batch, &scene.step(Some(7), 1), &scene.lease).await.map(|_| ())));
    let ending = Ending { status: RunStatus::Failed, error: None };
    assert!(lost(stores.runs.end(scene.run.id, &ending, &scene.lease).await));
    let watermark = Watermark(later());
    assert!(lost(stores.runs.complete(scene.run.id, watermark, &scene.lease).await.map(|_| ())));
    assert!(lost(stores.leases.renew(&scene.lease, TTL).await));
    let overview = stores.status.overview().await.expect("an overview");
    assert!(overview.iter().all(|entity| entity.rows.unwrap_or_default() == 0));
}

/// I7.
pub(super) async fn a_run_is_resumed_from_its_cursor(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let batch = mapped(&scene.plan, stores.token().await, &[Sample { id: 7, modified: 1, values: &[] }]);
    stores.records.commit(&batch, &scene.step(Some(7), 1), &scene.lease).await.expect("the commit");
    // The process is gone: another takes the lease and opens the run.
    stores.leases.release(&scene.lease).await.expect("released");
    let lease = stores.lease("two").await;
    let run = stores.runs.open(deal(), RunKind::Full, &lease).await.expect("a run");
    assert_eq!((run.cursor, run.processed, run.resumed), (Cursor::after(7), 1, true));
    assert_eq!(run.start, scene.run.start);
    assert_eq!(run.source_start, Some(portal_time(0).with_timezone(&Utc)));
}

/// A failure or a stop costs nothing that was committed.
pub(super) async fn a_stopped_run_is_resumed_too(stores: &Stores) {
    for status in [RunStatus::Failed, RunStatus::Cancelled] {
        let scene = Scene::new(stores).await;
        stores
            .records
            .commit(
                &mapped(&scene.plan, stores.token().await, &[Sample { id: 9, modified: 1, values: &[] }]),
                &scene.step(Some(9), 1),
                &scene.lease,
            )
            .await
            .expect("the commit");
        stores
            .runs
            .end(scene.run.id, &Ending { status, error: Some("why".to_owned()) }, &scene.lease)
            .await
            .expect("ended");
        let run = stores.runs.open(deal(), RunKind::Full, &scene.lease).await.expect("a run");
        assert_eq!((run.cursor, run.resumed), (Cursor::after(9), true), "{status}");
        stores.leases.release(&scene.lease).await.expect("released");
    }
}

/// I7: an incremental pass, or records that somebody named, between two parts of a full run cost it nothing.
pub(super) async fn an_unfinished_full_run_survives_other_runs(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let batch = mapped(&scene.plan, stores.token().await, &[Sample { id: 9, modified: 1, values: &[] }]);
    stores.records.commit(&batch, &scene.step(Some(9), 1), &scene.lease).await.expect("the commit");
    stores
        .runs
        .end(scene.run.id, &Ending { status: RunStatus::Cancelled, error: None }, &scene.lease)
        .await
        .expect("ended");
    for kind in [RunKind::Webhook, RunKind::Incremental] {
        let other = stores.runs.open(deal(), kind, &scene.lease).await.expect("a run");
        assert!(!other.resumed);
        stores.runs.complete(other.id, Watermark(later()), &scene.lease).await.expect("completed");
    }
    let run = stores.runs.open(deal(), RunKind::Full, &scene.lease).await.expect("a run");
    assert_eq!((run.id, run.cursor, run.resumed), (scene.run.id, Cursor::after(9), true));
}

/// The next full sync reads everything again.
pub(super) async fn a_completed_run_is_not_resumed(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let status = stores.runs.complete(scene.run.id, Watermark(later()), &scene.lease).await;
    assert_eq!(status.expect("completed"), RunStatus::Completed);
    let run = stores.runs.open(deal(), RunKind::Full, &scene.lease).await.expect("a run");
    assert_eq!((run.cursor, run.resumed), (Cursor::START, false));
    assert_ne!(run.id, scene.run.id);
}

/// New columns on a half-read table: the run starts over.
pub(super) async fn a_rewound_run_begins_again(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let batch = mapped(&scene.plan, stores.token().await, &[Sample { id: 7, modified: 1, values: &[] }]);
    stores.records.commit(&batch, &scene.step(Some(7), 1), &scene.lease).await.expect("the commit");
    let start = stores.runs.rewind(scene.run.id, &scene.lease).await.expect("rewound");
    assert!(start > scene.run.start);
    let run = stores.runs.open(deal(), RunKind::Full, &scene.lease).await.expect("a run");
    assert_eq!((run.cursor, run.processed, run.start), (Cursor::START, 0, start));
}

/// `sync_logs` is true at every moment.
pub(super) async fn an_abandoned_run_does_not_stay_running(stores: &Stores) {
    let scene = Scene::new(stores).await;
    assert_eq!(stores.runs.close_abandoned().await.expect("counted"), 0, "its owner is alive");
    stores.leases.release(&scene.lease).await.expect("released");
    assert_eq!(stores.runs.close_abandoned().await.expect("counted"), 1);
    let last = stores.runs.recent(1).await.expect("the log").pop().expect("a run");
    assert_eq!(last.status, "interrupted");
    let lease = stores.lease("two").await;
    assert!(stores.runs.open(deal(), RunKind::Full, &lease).await.expect("a run").resumed);
}

/// What was odd about a run that ended well stands in the log.
pub(super) async fn a_remark_outlives_its_run(stores: &Stores) {
    let scene = Scene::new(stores).await;
    stores.runs.remark(scene.run.id, "3 records may not be read").await.expect("the remark");
    stores.runs.complete(scene.run.id, Watermark(later()), &scene.lease).await.expect("completed");
    let logged = stores.runs.find(scene.run.id).await.expect("the log").expect("the run");
    assert_eq!((logged.status.as_str(), logged.error.as_deref()), ("completed", Some("3 records may not be read")));
}
