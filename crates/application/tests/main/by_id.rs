use b24sync_application::by_id::sync_by_ids;
use b24sync_domain::error::SyncError;
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::run::{RunKind, RunSummary};
use b24sync_testkit::build::{deal, id};

use crate::stage::Stage;

async fn named(stage: &Stage, ids: &[i64]) -> RunSummary {
    let ids: Vec<_> = ids.iter().map(|number| id(*number)).collect();
    sync_by_ids(&stage.ports(), deal(), &ids, TimestampStyle::Timestamp, &stage.stop).await.unwrap()
}

#[tokio::test]
async fn named_records_are_stored_changed_and_taken_out() {
    let stage = Stage::new(100);
    stage.sync().await.unwrap();
    stage.portal.put(9, 900, &[("TITLE", "\"changed\"")]);
    stage.portal.put(1_000, 900, &[("TITLE", "\"new\"")]);
    stage.portal.remove(30);
    stage.portal.remove(33);
    let summary = named(&stage, &[3, 9, 30, 1_000, 77_777]).await;
    assert_eq!((summary.kind, summary.written, summary.deleted), (RunKind::Webhook, 2, 2), "77,777 gets a tombstone");
    let rows = stage.store.rows(deal());
    assert_eq!((rows[&9]["title"].as_str(), rows[&1_000]["title"].as_str()), ("changed", "new"));
    assert!(!rows.contains_key(&30) && rows.contains_key(&33), "only what was named");
}

#[tokio::test]
async fn a_named_record_that_may_not_be_read_keeps_its_row() {
    let stage = Stage::new(10);
    stage.sync().await.unwrap();
    stage.portal.hide([9]);
    assert_eq!(named(&stage, &[9]).await.deleted, 0);
    assert!(stage.ids().contains(&9));
}

#[tokio::test]
async fn without_a_record_that_proves_the_type_is_there_nothing_is_taken_out() {
    let stage = Stage::new(10);
    stage.sync().await.unwrap();
    stage.portal.remove_type(true);
    let failed = sync_by_ids(&stage.ports(), deal(), &[id(9)], TimestampStyle::Timestamp, &stage.stop).await;
    assert!(matches!(failed, Err(SyncError::NothingVisible { count: 1, .. })), "{failed:?}");
    assert_eq!(stage.ids().len(), 10);
}
