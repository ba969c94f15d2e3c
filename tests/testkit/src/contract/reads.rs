//! Which read of a record counts.

use super::{Scene, Stores};

/// A row is written when its content changed, and only then.
pub(super) async fn equal_content_is_not_written_again(stores: &Stores) {
    let scene = Scene::new(stores).await;
    assert_eq!(scene.title(stores.token().await, 1, "a").await, (1, 0, vec![]));
    assert_eq!(scene.title(stores.token().await, 1, "a").await, (0, 1, vec![]));
    assert_eq!(scene.title(stores.token().await, 2, "b").await, (1, 0, vec![]));
}

/// I2.
pub(super) async fn a_read_that_began_earlier_never_replaces_a_later_one(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let early = stores.token().await;
    let late = stores.token().await;
    assert_eq!(scene.title(late, 5, "late").await, (1, 0, vec![]));
    assert_eq!(scene.title(early, 9, "early").await, (0, 0, vec![]));
}

/// I2, the overlapping case.
pub(super) async fn overlapping_reads_go_by_modified_time_and_are_contested_when_it_goes_back(stores: &Stores) {
    let scene = Scene::new(stores).await;
    let first = stores.token().await;
    let second = stores.token().await;
    let third = stores.token().await;
    // `first` is stored after the other two began: their reads overlap with its write.
    assert_eq!(scene.title(first, 5, "five").await, (1, 0, vec![]));
    assert_eq!(scene.title(second, 4, "four").await, (0, 0, vec![7]));
    assert_eq!(scene.title(third, 5, "five again").await, (1, 0, vec![]));
    // A read that began after everything was stored decides, whatever its time says.
    assert_eq!(scene.title(stores.token().await, 1, "back-dated").await, (1, 0, vec![]));
}
