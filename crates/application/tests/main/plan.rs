//! What a sync would do, told without doing it.

use b24sync_application::plan::plan;
use b24sync_domain::appraisal::Bottleneck;
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::ports::{PortalStore, RunLog};
use b24sync_domain::run::RunKind;
use b24sync_testkit::build::deal;

use crate::stage::Stage;

#[tokio::test]
async fn a_plan_tells_what_would_be_read_and_leaves_everything_as_it_is() {
    let stage = Stage::new(120);
    let planned = plan(&stage.ports(), deal(), RunKind::Incremental, TimestampStyle::Timestamp).await.unwrap();
    let appraisal = planned.appraisal.unwrap();
    assert!(planned.schema.create && planned.kind == RunKind::Full, "what was never read is read completely");
    assert_eq!((appraisal.records, appraisal.pages), (120, 3));
    assert_eq!(appraisal.at_least().1, Bottleneck::Portal);
    assert!(stage.ids().is_empty() && stage.store.recent(10).await.unwrap().is_empty());
    assert_eq!(stage.store.portal().await.unwrap(), None, "nobody has claimed the replica");
}

#[tokio::test]
async fn an_incremental_plan_counts_what_changed_since_the_watermark() {
    let stage = Stage::new(120);
    stage.portal.set_clock(10_000);
    stage.sync().await.unwrap();
    let before = stage.store.watermark(deal());
    stage.portal.put(9, 100_000, &[("TITLE", "\"changed\"")]);
    let planned = plan(&stage.ports(), deal(), RunKind::Incremental, TimestampStyle::Timestamp).await.unwrap();
    assert_eq!((planned.kind, planned.schema.changes_table()), (RunKind::Incremental, false));
    assert_eq!(planned.appraisal.unwrap().records, 1);
    let full = plan(&stage.ports(), deal(), RunKind::Full, TimestampStyle::Timestamp).await.unwrap();
    assert_eq!((full.kind, full.appraisal.unwrap().records), (RunKind::Full, 120));
    assert_eq!((stage.store.watermark(deal()), stage.store.recent(10).await.unwrap().len()), (before, 1));
}

#[tokio::test]
async fn another_portal_than_the_replicas_is_refused() {
    let stage = Stage::new(3);
    stage.store.claim("another.example", false).await.unwrap();
    let refused = plan(&stage.ports(), deal(), RunKind::Full, TimestampStyle::Timestamp).await.unwrap_err();
    assert!(refused.to_string().contains("another.example"), "{refused}");
}
