//! Records that were answered as before: nothing of them is sent to the store again.

use b24sync_domain::entity::RecordId;
use b24sync_domain::mapping::rows::{self, MappedBatch};
use b24sync_domain::ports::Commit;
use b24sync_domain::record::ReadToken;

use super::{Scene, Stores};
use crate::build::{Sample, batch, deal, id};
use crate::store::numbers;

/// Two deals with these titles.
async fn read(scene: &Scene, token: ReadToken, titles: [&str; 2]) -> MappedBatch {
    let remembered = scene.stores.records.answers(deal(), &[id(7), id(8)]).await.expect("what is remembered");
    let [a, b] = titles.map(|title| format!("\"{title}\""));
    let samples = [
        Sample { id: 7, modified: 1, values: &[("TITLE", a.as_str())] },
        Sample { id: 8, modified: 1, values: &[("TITLE", b.as_str())] },
    ];
    let batch = batch(deal(), &scene.plan.mapping.layout, token, &samples);
    rows::map_unless_same(&scene.plan.mapping, &batch, &remembered).expect("the table has all that is needed")
}

async fn commit(scene: &Scene, batch: &MappedBatch) -> Commit {
    scene.stores.records.commit(batch, &scene.step(None, 2), &scene.lease).await.expect("the commit")
}

fn same(batch: &MappedBatch) -> Vec<i64> {
    batch.same.iter().map(|(id, _)| id.get()).collect()
}

/// They count as unchanged and as seen; what changed among them is written.
pub(super) async fn a_record_that_was_answered_as_before_is_seen_and_not_written(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let first = read(&scene, stores.token().await, ["a", "b"]).await;
    assert!(same(&first).is_empty());
    assert_eq!(commit(&scene, &first).await.written, 2);
    let since = stores.token().await;
    let second = read(&scene, stores.token().await, ["a", "c"]).await;
    assert_eq!((same(&second), numbers(&second.rows.ids)), (vec![7], vec![8]));
    let done = commit(&scene, &second).await;
    assert_eq!((done.written, done.unchanged, done.contested.len()), (1, 1, 0));
    assert!(stores.deletions.unseen(deal(), since, super::Cursor::START, 10).await.expect("ids").is_empty());
    let third = read(&scene, stores.token().await, ["a", "c"]).await;
    assert_eq!(same(&third), [7, 8]);
}

/// Whoever goes by what was remembered when another read was stored meanwhile asks again.
pub(super) async fn a_record_that_was_written_meanwhile_is_not_taken_for_the_same(stores: &Stores) {
    let scene = Scene::new(stores).await;
    commit(&scene, &read(&scene, stores.token().await, ["a", "b"]).await).await;
    let early = stores.token().await;
    // Looked at now, committed after the others.
    let late = read(&scene, stores.token().await, ["a", "b"]).await;
    assert_eq!(same(&late), [7, 8]);
    assert_eq!(commit(&scene, &read(&scene, early, ["x", "b"]).await).await.written, 1);
    let done = commit(&scene, &late).await;
    let contested = numbers(&done.contested);
    assert!(done.written == 0 && contested.contains(&7), "{done:?}");
    // A later read of it has been stored: this one says nothing.
    let early = read(&scene, stores.token().await, ["x", "b"]).await;
    assert_eq!(commit(&scene, &read(&scene, stores.token().await, ["y", "b"]).await).await.written, 1);
    let done = commit(&scene, &early).await;
    assert!(done.written == 0 && !numbers(&done.contested).contains(&7), "{done:?}");
}

/// Nothing is remembered of records that are gone, whose rows are to be written anew, or that were never stored.
pub(super) async fn answers_are_remembered_of_rows_that_are_there_and_wanted(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let known = async || {
        let known = stores.records.answers(deal(), &[id(7), id(8), id(9)]).await.expect("what is remembered");
        let mut known: Vec<i64> = known.into_keys().map(RecordId::get).collect();
        known.sort_unstable();
        known
    };
    commit(&scene, &read(&scene, stores.token().await, ["a", "b"]).await).await;
    assert_eq!(known().await, [7, 8]);
    stores.records.forget(deal(), &[id(8)]).await.expect("forgotten");
    assert_eq!(known().await, [7]);
    let again = read(&scene, stores.token().await, ["a", "b"]).await;
    assert_eq!((same(&again), numbers(&again.rows.ids)), (vec![7], vec![8]));
    stores.deletions.bury(deal(), &[id(7)], stores.token().await, &scene.lease).await.expect("buried");
    assert_eq!(known().await, Vec::<i64>::new());
    // It is said to be the same, but it is gone: the next read decides.
    assert_eq!(numbers(&commit(&scene, &again).await.contested), Vec::<i64>::new(), "the evidence came later");
}
