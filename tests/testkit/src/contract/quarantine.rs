//! Records that could not be stored.

use b24sync_domain::ports::Step;
use b24sync_domain::progress::Watermark;
use b24sync_domain::run::{RunKind, RunStatus};

use super::{Scene, Stores, later};
use crate::build::{Sample, deal, id, mapped};

/// I9, I11.
pub(super) async fn quarantine_is_counted_and_heals(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let bad = Sample { id: 7, modified: 1, values: &[("OPPORTUNITY", "\"abc\"")] };
    let good = Sample { id: 8, modified: 1, values: &[] };
    let batch = mapped(&scene.plan, stores.token().await, &[bad, good]);
    let commit = stores.records.commit(&batch, &scene.step(Some(8), 2), &scene.lease).await.expect("the commit");
    assert_eq!(commit.written, 1);
    let held = stores.status.quarantine(Some(deal()), 10).await.expect("the quarantine");
    assert_eq!(held.iter().map(|entry| entry.rejection.id).collect::<Vec<_>>(), [id(7)]);
    assert_eq!(held[0].rejection.reason, "not a number");
    let status = stores.runs.complete(scene.run.id, Watermark(later()), &scene.lease).await;
    assert_eq!(status.expect("completed"), RunStatus::CompletedWithQuarantine);
    let run = stores.runs.open(deal(), RunKind::Full, &scene.lease).await.expect("a run");
    let step = Step { run: run.id, ..scene.step(None, 1) };
    let mended = Sample { id: 7, modified: 2, values: &[("OPPORTUNITY", "\"1.5\"")] };
    let batch = mapped(&scene.plan, stores.token().await, &[mended]);
    stores.records.commit(&batch, &step, &scene.lease).await.expect("the commit");
    assert_eq!(stores.status.quarantine(None, 10).await.expect("the quarantine"), []);
}

/// A record that was mended meanwhile stays out of quarantine.
pub(super) async fn a_stale_rejection_does_not_quarantine_a_newer_version(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let early = stores.token().await;
    assert_eq!(scene.title(stores.token().await, 5, "fine").await, (1, 0, vec![]));
    let bad = Sample { id: 7, modified: 1, values: &[("OPPORTUNITY", "\"abc\"")] };
    let batch = mapped(&scene.plan, early, &[bad]);
    stores.records.commit(&batch, &scene.step(None, 1), &scene.lease).await.expect("the commit");
    assert_eq!(stores.status.quarantine(None, 10).await.expect("the quarantine"), []);
}
