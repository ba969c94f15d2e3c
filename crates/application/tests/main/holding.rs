use std::time::Duration;

use b24sync_application::holding::{LEASE_TTL, under_lease};
use b24sync_domain::error::SyncError;
use b24sync_domain::lease::{Grant, Scope};
use b24sync_domain::ports::LeaseStore;
use b24sync_domain::run::RunKind;
use b24sync_testkit::build::deal;

use crate::stage::Stage;

async fn hold_as_other(stage: &Stage) {
    let grant = stage.store.acquire(Scope::Sync(deal()), "other", LEASE_TTL).await.unwrap();
    assert!(matches!(grant, Grant::Granted(_)));
}

#[tokio::test]
async fn a_live_holder_is_named_and_left_alone() {
    let stage = Stage::new(1);
    hold_as_other(&stage).await;
    let error = stage.sync().await.unwrap_err();
    assert_eq!(error.to_string(), "a sync of `deal` is already running (held by other)");
    assert_eq!(stage.portal.requests(), 0);
}

#[tokio::test]
async fn the_lease_of_a_process_that_is_gone_is_taken_over_at_once() {
    let stage = Stage::new(1);
    hold_as_other(&stage).await;
    stage.instance.bury("other");
    stage.sync().await.unwrap();
    assert_eq!(stage.ids(), [3]);
}

#[tokio::test]
async fn the_lease_is_given_back_after_success_and_after_failure() {
    let stage = Stage::new(1);
    for outcome in [Ok(()), Err(SyncError::Contested { entity: deal(), count: 1 })] {
        let failed = outcome.is_err();
        let result = under_lease(&stage.ports(), deal(), RunKind::Full, |_| async { outcome }).await;
        assert_eq!(result.is_err(), failed);
        hold_as_other(&stage).await;
        stage.store.expire_leases();
    }
}

#[tokio::test(start_paused = true)]
async fn work_is_dropped_when_the_lease_is_lost() {
    let stage = Stage::new(1);
    let store = std::sync::Arc::clone(&stage.store);
    let ports = stage.ports();
    let work = under_lease(&ports, deal(), RunKind::Full, |_| async move {
        store.expire_leases();
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        Ok(())
    });
    assert!(work.await.unwrap_err().to_string().contains("storing `deal` failed"));
}
