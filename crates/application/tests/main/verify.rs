use b24sync_application::verify::verify;
use b24sync_domain::mapping::TimestampStyle;
use b24sync_testkit::build::deal;

use crate::stage::Stage;

async fn differences(stage: &Stage) -> Vec<(i64, &'static str)> {
    let ports = stage.ports();
    let found = verify(&ports, &*stage.store, deal(), TimestampStyle::Timestamp, &stage.stop).await.unwrap();
    assert!(found.complete);
    found.differences.into_iter().map(|difference| (difference.id.get(), difference.kind.as_str())).collect()
}

#[tokio::test]
async fn after_a_sync_nothing_differs_and_every_kind_of_change_is_found() {
    let stage = Stage::new(260);
    stage.portal.put(30, 1, &[("OPPORTUNITY", "\"abc\"")]);
    stage.sync().await.unwrap();
    assert_eq!(differences(&stage).await, [(30, "quarantined")]);
    stage.portal.put(9, 900, &[("TITLE", "\"changed\"")]);
    stage.portal.remove(600);
    stage.portal.put(1_000, 900, &[]);
    let found = differences(&stage).await;
    assert_eq!(found, [(9, "different"), (30, "quarantined"), (600, "extra"), (1_000, "missing")]);
    assert_eq!(stage.ids().len(), 259, "nothing was changed by looking");
}

#[tokio::test]
async fn rows_above_the_last_record_are_extra_and_an_empty_portal_shows_them_all() {
    let stage = Stage::new(3);
    stage.sync().await.unwrap();
    for id in [3, 6, 9] {
        stage.portal.remove(id);
    }
    assert_eq!(differences(&stage).await, [(3, "extra"), (6, "extra"), (9, "extra")]);
}
