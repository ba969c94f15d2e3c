//! Whose replica it is, and listings by time only where the portal understands them.

use b24sync_domain::error::SyncError;
use b24sync_domain::portal::BoundStyle;
use b24sync_domain::ports::PortalStore;
use b24sync_domain::run::RunKind;
use b24sync_testkit::build::deal;

use crate::stage::Stage;

#[tokio::test]
async fn a_replica_of_another_portal_is_refused_until_the_move_is_confirmed() {
    let stage = Stage::new(10);
    stage.store.claim("old.example", false).await.unwrap();
    let error = stage.sync().await.unwrap_err();
    assert!(matches!(&error, SyncError::AnotherPortal { known, .. } if known == "old.example"), "{error}");
    assert!(stage.ids().is_empty());
    let ports = stage.ports();
    b24sync_application::portal::moved(ports.portals.as_ref(), ports.source.as_ref()).await.unwrap();
    stage.sync().await.unwrap();
    assert_eq!(stage.ids().len(), 10);
}

#[tokio::test]
async fn a_full_sync_probes_and_incremental_ones_need_not() {
    let stage = Stage::new(10);
    stage.sync().await.unwrap();
    assert_eq!(stage.portal.probes(), 1);
    stage.incremental().await;
    stage.incremental().await;
    assert_eq!(stage.portal.probes(), 1);
    let kept = stage.store.probe(deal()).await.unwrap().unwrap();
    assert_eq!(kept.probe.bounds, Some(BoundStyle::WithOffset));
}

#[tokio::test]
async fn a_portal_that_wants_bounds_written_in_another_way_gets_them_so() {
    let stage = Stage::new(10);
    stage.portal.understand_bounds(Some(BoundStyle::PortalClock));
    stage.sync().await.unwrap();
    stage.portal.set_clock(1_000);
    stage.portal.put(3, 1_000, &[("TITLE", "\"changed\"")]);
    assert_eq!(stage.incremental().await.kind, RunKind::Incremental);
    assert_eq!(stage.cell(3, "title").as_deref(), Some("changed"));
}

#[tokio::test]
async fn a_portal_that_does_not_select_by_time_is_read_completely_each_time() {
    let stage = Stage::new(10);
    stage.portal.understand_bounds(None);
    stage.sync().await.unwrap();
    stage.portal.put(3, 1_000, &[("TITLE", "\"changed\"")]);
    assert_eq!(stage.incremental().await.kind, RunKind::Full);
    assert_eq!(stage.cell(3, "title").as_deref(), Some("changed"));
}
