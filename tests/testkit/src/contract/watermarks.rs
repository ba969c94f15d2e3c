//! How far an entity is complete.

use b24sync_domain::ports::Step;
use b24sync_domain::progress::{Cursor, Watermark};
use b24sync_domain::run::RunKind;
use chrono::Utc;

use super::{Scene, Stores, later};
use crate::build::{Sample, deal, id, mapped, portal_time};

/// I6: a later full sync does not move a watermark that incremental passes rely on.
pub(super) async fn the_first_watermark_stays(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let first = portal_time(100).with_timezone(&Utc);
    stores.runs.complete(scene.run.id, Watermark(first), &scene.lease).await.expect("completed");
    let run = stores.runs.open(deal(), RunKind::Full, &scene.lease).await.expect("a run");
    let second = portal_time(900).with_timezone(&Utc);
    stores.runs.complete(run.id, Watermark(second), &scene.lease).await.expect("completed");
    let overview = stores.status.overview().await.expect("an overview");
    let entity = overview.iter().find(|entity| entity.entity == deal()).expect("deals");
    assert_eq!(entity.watermark, Some(first));
}

/// I6.
pub(super) async fn an_incremental_run_moves_the_watermark_and_only_forward(stores: &Stores) {
    let scene = Scene::new(stores).await;
    assert_eq!(stores.runs.standing(deal()).await.expect("an answer"), None);
    let at = |second| portal_time(second).with_timezone(&Utc);
    stores.runs.complete(scene.run.id, Watermark(at(100)), &scene.lease).await.expect("completed");
    for (second, expected) in [(400, 400), (200, 400), (500, 500)] {
        let run = stores.runs.open(deal(), RunKind::Incremental, &scene.lease).await.expect("a run");
        stores.runs.complete(run.id, Watermark(at(second)), &scene.lease).await.expect("completed");
        let standing = stores.runs.standing(deal()).await.expect("an answer").expect("a standing");
        assert_eq!(standing.watermark, Watermark(at(expected)));
    }
}

/// A lower id may become visible after a higher one: what is known becomes the floor only an overlap later.
pub(super) async fn the_floor_for_new_records_stays_one_overlap_behind(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let overlap = 300;
    let mut run = scene.run.clone();
    let mut floors = Vec::new();
    for (start, id) in [(1_000, 10), (1_100, 20), (1_200, 30), (1_400, 40), (1_600, 50), (1_800, 60)] {
        let batch = mapped(&scene.plan, stores.token().await, &[Sample { id, modified: 1, values: &[] }]);
        let source_start = portal_time(start).with_timezone(&Utc);
        let step = Step { run: run.id, cursor: Some(Cursor::after(id)), source_start, processed: 1 };
        stores.records.commit(&batch, &step, &scene.lease).await.expect("the commit");
        let watermark = Watermark(portal_time(start - overlap).with_timezone(&Utc));
        stores.runs.complete(run.id, watermark, &scene.lease).await.expect("completed");
        floors.push(stores.runs.standing(deal()).await.expect("an answer").expect("a standing").floor.get());
        run = stores.runs.open(deal(), RunKind::Incremental, &scene.lease).await.expect("a run");
    }
    assert_eq!(floors, [10, 10, 10, 10, 10, 40]);
}

/// Somebody asked for an id that the portal has yet to give out: the record that gets it must not lie below the floor.
pub(super) async fn a_tombstone_does_not_raise_the_floor(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let batch = mapped(&scene.plan, stores.token().await, &[Sample { id: 10, modified: 1, values: &[] }]);
    stores.records.commit(&batch, &scene.step(Some(10), 1), &scene.lease).await.expect("the commit");
    let evidence = stores.token().await;
    stores.deletions.bury(deal(), &[id(1_000)], evidence, &scene.lease).await.expect("an answer");
    stores.runs.complete(scene.run.id, Watermark(later()), &scene.lease).await.expect("completed");
    let standing = stores.runs.standing(deal()).await.expect("an answer").expect("a standing");
    assert_eq!(standing.floor, Cursor::after(10));
}
