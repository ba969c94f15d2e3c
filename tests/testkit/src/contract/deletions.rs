//! Rows that no read has shown, and what is buried.

use b24sync_domain::mapping::rows::Rejection;
use b24sync_domain::progress::Cursor;

use super::{Scene, Stores};
use crate::build::{Sample, deal, id, mapped};
use crate::store::numbers;

/// I4: only what no read of the run has shown comes into question.
pub(super) async fn what_a_run_did_not_see_is_unseen(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let samples = |ids: &[i64]| ids.iter().map(|id| Sample { id: *id, modified: 1, values: &[] }).collect::<Vec<_>>();
    let first = mapped(&scene.plan, stores.token().await, &samples(&[1, 2, 3, 4]));
    stores.records.commit(&first, &scene.step(None, 4), &scene.lease).await.expect("the commit");
    let start = stores.token().await;
    assert_eq!(stores.deletions.controls(deal(), start, 5).await.expect("an answer"), []);
    let second = mapped(&scene.plan, stores.token().await, &samples(&[2]));
    stores.records.commit(&second, &scene.step(None, 1), &scene.lease).await.expect("the commit");
    let unseen = stores.deletions.unseen(deal(), start, Cursor::START, 10).await.expect("an answer");
    assert_eq!(numbers(&unseen), [1, 3, 4]);
    let after = stores.deletions.unseen(deal(), start, Cursor::after(1), 1).await.expect("an answer");
    assert_eq!(numbers(&after), [3]);
    assert_eq!(stores.deletions.controls(deal(), start, 5).await.expect("an answer"), [id(2)]);
    assert_eq!(stores.deletions.live(deal()).await.expect("an answer"), 4);
}

/// I4: evidence that was asked for while the stored version was on its way proves nothing against it.
pub(super) async fn evidence_that_overlaps_with_the_stored_read_buries_nothing(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let read = stores.token().await;
    let evidence = stores.token().await;
    assert_eq!(scene.title(read, 1, "a").await, (1, 0, vec![]));
    let buried = stores.deletions.bury(deal(), &[id(7)], evidence, &scene.lease).await.expect("an answer");
    assert!(buried.is_empty(), "{buried:?}");
    assert_eq!(stores.deletions.live(deal()).await.expect("an answer"), 1);
}

/// I5.
pub(super) async fn a_buried_record_stays_buried_until_a_later_read(stores: &Stores) {
    let scene = Scene::new(stores).await;
    assert_eq!(scene.title(stores.token().await, 1, "a").await, (1, 0, vec![]));
    let stale = stores.token().await;
    let evidence = stores.token().await;
    let buried = stores.deletions.bury(deal(), &[id(7)], evidence, &scene.lease).await.expect("buried");
    assert_eq!(numbers(&buried), [7]);
    assert_eq!(stores.deletions.live(deal()).await.expect("an answer"), 0);
    assert_eq!(scene.title(stale, 9, "stale").await, (0, 0, vec![]), "a stale read revives nothing");
    assert_eq!(scene.title(stores.token().await, 1, "restored").await, (1, 0, vec![]));
    assert_eq!(stores.deletions.live(deal()).await.expect("an answer"), 1);
}

/// I4: evidence is as old as its request.
pub(super) async fn a_record_that_was_stored_after_the_evidence_was_asked_for_is_not_buried(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let evidence = stores.token().await;
    assert_eq!(scene.title(stores.token().await, 1, "restored meanwhile").await, (1, 0, vec![]));
    let buried = stores.deletions.bury(deal(), &[id(7)], evidence, &scene.lease).await.expect("an answer");
    assert_eq!(numbers(&buried), Vec::<i64>::new());
    assert_eq!(stores.deletions.live(deal()).await.expect("an answer"), 1);
}

/// What a sweep compares a listing of ids with.
pub(super) async fn live_records_are_listed_by_range(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let samples: Vec<Sample<'_>> = [3, 5, 7, 9].map(|id| Sample { id, modified: 1, values: &[] }).into_iter().collect();
    let batch = mapped(&scene.plan, stores.token().await, &samples);
    stores.records.commit(&batch, &scene.step(None, 4), &scene.lease).await.expect("the commit");
    let evidence = stores.token().await;
    stores.deletions.bury(deal(), &[id(5)], evidence, &scene.lease).await.expect("the burial");
    let live = async |after, up_to: Option<i64>| {
        let live = stores.deletions.live_ids(deal(), Cursor::after(after), up_to.map(Cursor::after)).await;
        live.expect("the ids").into_iter().map(|(id, has_row)| (id.get(), has_row)).collect::<Vec<_>>()
    };
    assert_eq!(live(0, None).await, [(3, true), (7, true), (9, true)]);
    assert_eq!(live(3, Some(7)).await, [(7, true)]);
    // A record that was never stored is none of the table's, and yet one to ask for.
    let mut refused = mapped(&scene.plan, stores.token().await, &[]);
    refused.rejected = vec![Rejection { id: id(8), field: None, reason: "odd".to_owned(), excerpt: None }];
    stores.records.commit(&refused, &scene.step(None, 4), &scene.lease).await.expect("the commit");
    assert_eq!(live(3, None).await, [(7, true), (8, false), (9, true)]);
    let later = stores.token().await;
    let unseen = stores.deletions.unseen(deal(), later, Cursor::START, 10).await.expect("an answer");
    assert_eq!(numbers(&unseen), [3, 7, 8, 9]);
    let evidence = stores.token().await;
    let buried = stores.deletions.bury(deal(), &[id(8)], evidence, &scene.lease).await.expect("the burial");
    assert_eq!(numbers(&buried), [8]);
    assert_eq!(live(3, None).await, [(7, true), (9, true)]);
    assert_eq!(stores.status.quarantine(None, 10).await.expect("the quarantine"), []);
}
