use b24sync_domain::error::{SourceError, StoreError};
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::ports::{ReadOrder, RunEvent, RunLog, StatusStore};
use b24sync_domain::run::RunStatus;
use b24sync_testkit::build::{Sample, deal, deal_fields, field, portal_time};
use b24sync_testkit::source::FakeSource;

use crate::stage::Stage;

fn unreachable() -> SourceError {
    SourceError::Unavailable { method: "crm.item.list".to_owned(), source: "connection refused".into() }
}

fn every_id(deals: i64) -> Vec<i64> {
    (1..=deals).map(|number| number * 3).collect()
}

#[tokio::test]
async fn every_record_is_in_the_table_and_the_run_is_completed() {
    let stage = Stage::new(230);
    stage.portal.set_clock(1_000);
    let summary = stage.sync().await.unwrap();
    assert_eq!((summary.status, summary.processed, summary.written), (RunStatus::Completed, 230, 230));
    assert_eq!(stage.ids(), every_id(230));
    assert_eq!(stage.store.rows(deal())[&3]["title"], "deal 1");
    // The portal's time at the first page, less the overlap.
    assert_eq!(stage.store.watermark(deal()).unwrap(), portal_time(700));
}

#[tokio::test]
async fn an_empty_portal_completes() {
    let stage = Stage::new(0);
    let summary = stage.sync().await.unwrap();
    assert_eq!((summary.status, summary.processed), (RunStatus::Completed, 0));
}

#[tokio::test]
async fn a_second_sync_writes_only_what_changed() {
    let stage = Stage::new(120);
    stage.sync().await.unwrap();
    stage.portal.put(9, 500, &[("TITLE", "\"renamed\"")]);
    let summary = stage.sync().await.unwrap();
    assert_eq!((summary.processed, summary.written), (120, 1));
    let row = &stage.store.rows(deal())[&9];
    assert_eq!(row["title"], "renamed");
    assert_eq!(row.get("opportunity"), None, "an absent value is NULL");
}

#[tokio::test]
async fn a_failed_sync_goes_on_where_it_stopped() {
    let stage = Stage::new(1_000);
    stage.portal.fail_next([None, None, None, Some(unreachable())]);
    assert_eq!(
        stage.failure().await,
        "reading `deal` from the portal failed: portal unreachable while calling `crm.item.list`: connection refused"
    );
    assert_eq!(stage.ids(), every_id(300));
    let last = stage.store.recent(1).await.unwrap().pop().unwrap();
    assert_eq!((last.status.as_str(), last.processed), ("failed", 300));
    assert!(last.error.unwrap().contains("connection refused"));
    let requests = stage.portal.requests();
    let summary = stage.sync().await.unwrap();
    assert!(summary.resumed);
    assert_eq!((summary.processed, stage.ids()), (1_000, every_id(1_000)));
    assert_eq!(stage.portal.requests() - requests, 8, "700 records by 100, and an empty page");
}

#[tokio::test]
async fn a_stopped_sync_is_logged_as_cancelled_and_goes_on_later() {
    let mut stage = Stage::new(1_000);
    let stop = stage.stop.clone();
    stage.portal.on_list(move |request| {
        if request == 4 {
            stop.cancel();
        }
    });
    let summary = stage.sync().await.unwrap();
    assert_eq!(summary.status, RunStatus::Cancelled);
    assert!(stage.ids().len() < 1_000);
    assert_eq!(stage.store.recent(1).await.unwrap()[0].status, "cancelled");
    stage.stop = tokio_util::sync::CancellationToken::new();
    let summary = stage.sync().await.unwrap();
    assert_eq!((summary.status, summary.resumed), (RunStatus::Completed, true));
    assert_eq!(stage.ids(), every_id(1_000));
}

#[tokio::test]
async fn a_listing_that_ends_without_an_empty_page_is_not_complete() {
    let stage = Stage::new(10);
    // A source that breaks its contract: nothing read, and not exhausted.
    let mut source = b24sync_domain::ports::MockCrmSource::new();
    source.expect_address().returning(|| "portal.example".to_owned());
    source.expect_fields().returning(|_| Ok(deal_fields()));
    source.expect_count().returning(|_| Ok(None));
    source.expect_list().returning(|query, _| {
        let layout = std::sync::Arc::clone(&query.layout);
        let token = b24sync_domain::record::ReadToken(1);
        Ok(b24sync_testkit::build::batch(query.entity, &layout, token, &[]))
    });
    let mut ports = stage.ports();
    ports.source = std::sync::Arc::new(source);
    let stop = &stage.stop;
    let timestamps = TimestampStyle::Timestamp;
    let error = b24sync_application::backfill::backfill(&ports, deal(), timestamps, None, stop).await.unwrap_err();
    assert!(b24sync_domain::error::Chain(&error).to_string().ends_with("ended without an empty last page"));
    assert_eq!(stage.store.watermark(deal()), None);
}

#[tokio::test]
async fn one_bad_record_goes_into_quarantine_and_all_others_into_the_table() {
    let stage = Stage::new(60);
    stage.portal.put(30, 1, &[("OPPORTUNITY", "\"abc\"")]);
    stage.store.refuse_record(33);
    let summary = stage.sync().await.unwrap();
    assert_eq!((summary.status, summary.quarantined), (RunStatus::CompletedWithQuarantine, 2));
    assert_eq!(stage.ids().len(), 58);
    let reasons: Vec<_> = stage
        .store
        .quarantine(None, 10)
        .await
        .unwrap()
        .into_iter()
        .map(|entry| (entry.rejection.id.get(), entry.rejection.reason))
        .collect();
    assert_eq!(reasons, [(30, "not a number".to_owned()), (33, "refused by a constraint".to_owned())]);
}

#[tokio::test]
async fn a_value_that_is_too_wide_widens_its_column() {
    let stage = Stage::new(60);
    stage.portal.add_field(field("UF_CRM_COUNT", "integer"));
    stage.portal.put(30, 1, &[("UF_CRM_COUNT", "\"99999999999999999999\"")]);
    let summary = stage.sync().await.unwrap();
    assert_eq!(summary.status, RunStatus::Completed);
    assert_eq!(stage.store.rows(deal())[&30]["uf_crm_count"], "99999999999999999999");
}

#[tokio::test]
async fn a_column_that_cannot_be_widened_quarantines_what_does_not_fit() {
    let stage = Stage::new(60);
    stage.portal.add_field(field("UF_CRM_COUNT", "integer"));
    stage.portal.add_field(field("UF_CRM_OTHER", "integer"));
    stage.portal.put(30, 1, &[("UF_CRM_COUNT", "\"3000000000\"")]);
    stage.portal.put(33, 1, &[("UF_CRM_OTHER", "\"3000000000\"")]);
    stage.store.refuse_widening("uf_crm_count");
    let summary = stage.sync().await.unwrap();
    assert_eq!((summary.status, summary.quarantined), (RunStatus::CompletedWithQuarantine, 1));
    assert_eq!(stage.store.rows(deal())[&33]["uf_crm_other"], "3000000000");
}

#[tokio::test]
async fn a_field_that_appears_between_two_parts_of_a_run_starts_it_over() {
    let stage = Stage::new(1_000);
    stage.portal.fail_next([None, None, None, Some(unreachable())]);
    stage.failure().await;
    stage.portal.add_field(field("UF_CRM_NEW", "string"));
    stage.portal.put(3, 2, &[("UF_CRM_NEW", "\"x\"")]);
    stage.sync().await.unwrap();
    assert_eq!(stage.store.rows(deal())[&3]["uf_crm_new"], "x", "it was read before the field was known");
}

#[tokio::test]
async fn a_description_without_the_modification_time_is_refused() {
    let mut stage = Stage::new(3);
    stage.portal = FakeSource::new(vec![field("ID", "integer"), field("TITLE", "string")]);
    assert_eq!(stage.failure().await, "the portal's description of `deal` has no field `DATE_MODIFY`");
    assert_eq!(stage.ids(), Vec::<i64>::new());
}

#[tokio::test]
async fn observers_see_the_run_from_start_to_end() {
    let stage = Stage::new(150);
    stage.sync().await.unwrap();
    let events = stage.observer.events();
    assert!(matches!(&events[0], RunEvent::Started { expected: Some(150), .. }));
    let processed: Vec<u64> = events
        .iter()
        .filter_map(|event| match event {
            RunEvent::Advanced { processed, .. } => Some(*processed),
            _ => None,
        })
        .collect();
    assert_eq!(processed, [100, 150, 150]);
    assert_eq!(events.last(), Some(&RunEvent::Ended { status: RunStatus::Completed }));
}

#[tokio::test]
async fn records_that_another_process_reads_at_the_same_time_are_read_again() {
    let stage = Stage::new(3);
    stage.sync().await.unwrap();
    // Another process began to read before us and stores what it read after we began; then the deal is back-dated.
    let theirs = stage.store.next().await.unwrap();
    let other = stage.ports();
    let ours = stage.portal.clone();
    let raced = std::sync::atomic::AtomicBool::new(false);
    let plan = b24sync_application::schema::plan(&other, deal(), TimestampStyle::Timestamp).await.unwrap();
    let store = std::sync::Arc::clone(&stage.store);
    stage.portal.on_list(move |_| {
        if !raced.swap(true, std::sync::atomic::Ordering::SeqCst) {
            let sample = Sample { id: 6, modified: 900, values: &[("TITLE", "\"by another\"")] };
            store.apply_as_another(&plan, theirs, sample);
            ours.put(6, 2, &[("TITLE", "\"back-dated\"")]);
        }
    });
    stage.sync().await.unwrap();
    assert_eq!(stage.store.rows(deal())[&6]["title"], "back-dated", "the portal's last word");
}

#[tokio::test]
async fn a_lost_lease_ends_the_run_without_a_word_in_the_log() {
    let stage = Stage::new(1_000);
    let store = std::sync::Arc::clone(&stage.store);
    stage.portal.on_list(move |request| {
        if request == 3 {
            store.expire_leases();
        }
    });
    let error = stage.sync().await.unwrap_err();
    assert!(matches!(error, b24sync_domain::error::SyncError::Store { source: StoreError::LeaseLost { .. }, .. }));
    assert_eq!(stage.store.recent(1).await.unwrap()[0].status, "running", "the log belongs to whoever took over");
    assert_eq!(stage.store.close_abandoned().await.unwrap(), 1);
}
