use std::sync::Arc;
use std::time::Duration;

use b24sync_application::hints::Drainer;
use b24sync_application::service::drain::drain;
use b24sync_domain::error::SourceError;
use b24sync_domain::event::{Hint, Target};
use b24sync_domain::lease::{Grant, Scope};
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::ports::{EventInbox, HintFilter, LeaseStore, RunLog};
use b24sync_testkit::build::{deal, field, id, portal_time};
use b24sync_testkit::store::FakeStore;
use chrono::Utc;
use tokio::time::sleep;

use crate::stage::Stage;

fn hint(number: i64) -> Hint {
    Hint { entity: deal(), target: Target::Record(id(number)), deleted: false, sent_at: None }
}

fn unavailable() -> SourceError {
    SourceError::Unavailable { method: "batch".to_owned(), source: "gone".into() }
}

fn drainer(stage: &Stage) -> Drainer {
    let inbox = Arc::<FakeStore>::clone(&stage.store);
    Drainer::new(stage.ports(), inbox, TimestampStyle::Timestamp)
}

async fn told(stage: &Stage, hints: &[Hint]) {
    stage.store.accept(hints).await.unwrap();
    sleep(Duration::from_millis(1_100)).await;
}

async fn waiting(stage: &Stage) -> Vec<Target> {
    let (entries, _) = stage.store.list(&HintFilter::default(), 0, 1_000).await.unwrap();
    entries.into_iter().map(|entry| entry.target).collect()
}

#[tokio::test(start_paused = true)]
async fn what_events_name_is_applied_in_one_run_however_many_they_are() {
    let stage = Stage::new(100);
    stage.sync().await.unwrap();
    let drainer = drainer(&stage);
    stage.portal.put(9, 900, &[("TITLE", "\"changed\"")]);
    told(&stage, &[hint(9)]).await;
    drainer.drain(deal(), &stage.stop).await.unwrap();
    stage.portal.put(12, 900, &[("TITLE", "\"changed too\"")]);
    let many: Vec<Hint> = (0..1_000).map(|number| hint(12 + number % 2 * 3)).collect();
    told(&stage, &many).await;
    assert_eq!(drainer.drain(deal(), &stage.stop).await.unwrap(), 2);
    assert_eq!(stage.cell(12, "title").as_deref(), Some("changed too"));
    assert_eq!(waiting(&stage).await, []);
    let last = &stage.store.recent(1).await.unwrap()[0];
    assert_eq!((last.kind.as_str(), last.status.as_str(), last.processed), ("webhook", "completed", 2));
}

#[tokio::test(start_paused = true)]
async fn an_event_is_applied_while_a_full_sync_goes_on() {
    let stage = Stage::new(100);
    stage.sync().await.unwrap();
    let Grant::Granted(_lease) =
        stage.store.acquire(Scope::Sync(deal()), "another process", Duration::from_secs(30)).await.unwrap()
    else {
        unreachable!("nobody holds it");
    };
    stage.portal.put(9, 900, &[("TITLE", "\"changed\"")]);
    told(&stage, &[hint(9)]).await;
    drainer(&stage).drain(deal(), &stage.stop).await.unwrap();
    assert_eq!(stage.cell(9, "title").as_deref(), Some("changed"));
}

#[tokio::test(start_paused = true)]
async fn i4_many_deletions_that_events_name_are_done_and_none_without_a_proof() {
    let stage = Stage::new(200);
    stage.sync().await.unwrap();
    let gone: Vec<i64> = (1..=120).map(|number| number * 3).collect();
    let deletions: Vec<Hint> = gone.iter().map(|number| Hint { deleted: true, ..hint(*number) }).collect();
    stage.portal.remove_type(true);
    told(&stage, &deletions).await;
    drainer(&stage).drain(deal(), &stage.stop).await.unwrap();
    assert_eq!(stage.ids().len(), 200, "the type is gone, not the records");
    assert_eq!(waiting(&stage).await.len(), 120, "they are tried again");
    stage.portal.remove_type(false);
    for number in &gone {
        stage.portal.remove(*number);
    }
    sleep(Duration::from_secs(10)).await;
    drainer(&stage).drain(deal(), &stage.stop).await.unwrap();
    assert_eq!((stage.ids().len(), waiting(&stage).await.len()), (80, 0));
}

#[tokio::test(start_paused = true)]
async fn a_record_that_was_never_stored_and_is_gone_needs_no_proof() {
    let stage = Stage::new(0);
    told(&stage, &[Hint { deleted: true, ..hint(77) }]).await;
    drainer(&stage).drain(deal(), &stage.stop).await.unwrap();
    assert_eq!(waiting(&stage).await, []);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_looks_older_than_its_event_is_asked_for_once_more() {
    let stage = Stage::new(10);
    stage.sync().await.unwrap();
    let sent = Some(portal_time(5_000).with_timezone(&Utc));
    told(&stage, &[Hint { sent_at: sent, ..hint(9) }]).await;
    let drainer = drainer(&stage);
    drainer.drain(deal(), &stage.stop).await.unwrap();
    assert_eq!(waiting(&stage).await, [Target::Record(id(9))]);
    stage.portal.put(9, 4_999, &[("TITLE", "\"late\"")]);
    sleep(Duration::from_secs(11)).await;
    drainer.drain(deal(), &stage.stop).await.unwrap();
    assert_eq!((stage.cell(9, "title").as_deref(), waiting(&stage).await.len()), (Some("late"), 0));
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_portal_costs_no_attempt_and_loses_nothing() {
    let stage = Stage::new(10);
    stage.sync().await.unwrap();
    stage.portal.put(9, 900, &[("TITLE", "\"changed\"")]);
    let inbox = Arc::<FakeStore>::clone(&stage.store);
    let (drainer, stop) = (Arc::new(drainer(&stage)), stage.stop.clone());
    stage.portal.fail_next((0..3).map(|_| Some(unavailable())));
    stage.store.accept(&[hint(9)]).await.unwrap();
    let loop_ = async { drain(inbox.as_ref(), &drainer, &stop).await };
    let watcher = async {
        while !waiting(&stage).await.is_empty() {
            let (entries, _) = stage.store.list(&HintFilter::default(), 0, 1).await.unwrap();
            assert!(entries.iter().all(|entry| entry.attempts == 0));
            sleep(Duration::from_millis(500)).await;
        }
        stop.cancel();
    };
    tokio::join!(loop_, watcher);
    assert_eq!(stage.cell(9, "title").as_deref(), Some("changed"));
}

#[tokio::test(start_paused = true)]
async fn a_long_outage_of_the_portal_leaves_one_failed_run_and_its_end_is_noticed_soon() {
    let stage = Stage::new(10);
    stage.sync().await.unwrap();
    stage.portal.put(9, 900, &[("TITLE", "\"changed\"")]);
    let inbox = Arc::<FakeStore>::clone(&stage.store);
    let (drainer, stop) = (Arc::new(drainer(&stage)), stage.stop.clone());
    stage.portal.go_out(true);
    stage.store.accept(&[hint(9)]).await.unwrap();
    let loop_ = async { drain(inbox.as_ref(), &drainer, &stop).await };
    let watcher = async {
        sleep(Duration::from_secs(3_600)).await;
        stage.portal.go_out(false);
        let back = tokio::time::Instant::now();
        while !waiting(&stage).await.is_empty() {
            sleep(Duration::from_millis(100)).await;
        }
        stop.cancel();
        back.elapsed()
    };
    let ((), took) = tokio::join!(loop_, watcher);
    assert!(took <= Duration::from_secs(6), "{took:?}");
    assert_eq!(stage.cell(9, "title").as_deref(), Some("changed"));
    let runs = stage.store.recent(10).await.unwrap();
    let statuses: Vec<&str> = runs.iter().map(|run| run.status.as_str()).collect();
    assert_eq!(statuses, ["completed", "failed", "completed"], "what knocks in vain is no run");
}

#[tokio::test(start_paused = true)]
async fn an_event_of_a_field_brings_its_column_and_a_sync_for_its_values() {
    let stage = Stage::new(10);
    stage.sync().await.unwrap();
    let drainer = drainer(&stage);
    told(&stage, &[hint(9)]).await;
    drainer.drain(deal(), &stage.stop).await.unwrap();
    stage.portal.add_field(field("UF_CRM_NEW", "string"));
    told(&stage, &[Hint { target: Target::Fields, ..hint(9) }]).await;
    drainer.drain(deal(), &stage.stop).await.unwrap();
    let queued = &stage.store.recent(1).await.unwrap()[0];
    assert_eq!((queued.kind.as_str(), queued.status.as_str()), ("incremental", "queued"));
}

#[tokio::test(start_paused = true)]
async fn i8_a_lease_that_was_lost_on_the_way_costs_no_attempt() {
    let stage = Stage::new(10);
    stage.sync().await.unwrap();
    told(&stage, &[hint(3), hint(9)]).await;
    // Another process takes over while the portal is asked.
    stage.portal.slow_down(Duration::from_secs(2));
    let this = drainer(&stage);
    let overtaken = async {
        sleep(Duration::from_secs(1)).await;
        stage.store.expire_lease(Scope::Hints(deal()));
        stage.store.acquire(Scope::Hints(deal()), "another process", Duration::from_secs(30)).await.unwrap();
    };
    let (outcome, ()) = tokio::join!(this.drain(deal(), &stage.stop), overtaken);
    assert!(outcome.is_err());
    let (entries, _) = stage.store.list(&HintFilter::default(), 0, 10).await.unwrap();
    assert_eq!(entries.iter().map(|entry| entry.attempts).collect::<Vec<_>>(), [0, 0]);
}
