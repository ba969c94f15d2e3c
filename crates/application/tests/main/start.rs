//! I8: wishes for the same entity become one run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use b24sync_application::Ports;
use b24sync_application::start::{Outcome, Wish, sync};
use b24sync_domain::lease::{Grant, Scope};
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::ports::{LeaseStore, RunLog};
use b24sync_domain::run::{RunId, RunKind, RunStatus};
use b24sync_testkit::build::deal;
use b24sync_testkit::observe::NamedInstance;

use crate::stage::Stage;

fn wish(kind: RunKind) -> Wish<'static> {
    Wish { entity: deal(), kind, ids: &[], confirmed: None, timestamps: TimestampStyle::Timestamp }
}

fn as_another(stage: &Stage, name: &str) -> Ports {
    Ports { instances: Arc::new(NamedInstance::new(name)), ..stage.ports() }
}

fn run_of(outcome: &Outcome) -> Option<RunId> {
    match outcome {
        Outcome::Ran(summary) => Some(summary.run),
        Outcome::Joined(run) => Some(run.id),
        Outcome::Left => None,
    }
}

#[tokio::test(start_paused = true)]
async fn i8_two_processes_asked_for_the_same_entity_make_one_run_with_one_number() {
    let stage = Stage::new(500);
    let (one, two) = (stage.ports(), as_another(&stage, "two"));
    let waited = AtomicU64::new(0);
    let on_wait = |_: &str| {
        waited.fetch_add(1, Ordering::Relaxed);
    };
    let (first, second) = tokio::join!(
        sync(&one, wish(RunKind::Full), &stage.stop, on_wait),
        sync(&two, wish(RunKind::Full), &stage.stop, on_wait),
    );
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(run_of(&first), run_of(&second));
    assert_eq!(stage.store.recent(10).await.unwrap().len(), 1);
    let ran = [&first, &second].into_iter().filter(|outcome| matches!(outcome, Outcome::Ran(_))).count();
    assert_eq!(ran, 1, "{first:?} {second:?}");
}

#[tokio::test(start_paused = true)]
async fn i8_a_process_that_waits_takes_over_when_the_other_dies() {
    let stage = Stage::new(500);
    let Grant::Granted(lease) =
        stage.store.acquire(Scope::Sync(deal()), "other", std::time::Duration::from_secs(30)).await.unwrap()
    else {
        panic!("the lease is free")
    };
    let run = stage.store.open(deal(), RunKind::Full, &lease).await.unwrap();
    let instance = Arc::clone(&stage.instance);
    let on_wait = move |holder: &str| {
        assert_eq!(holder, "other");
        instance.bury("other");
    };
    let outcome = sync(&stage.ports(), wish(RunKind::Full), &stage.stop, on_wait).await.unwrap();
    let Outcome::Ran(summary) = outcome else { panic!("{outcome:?}") };
    assert_eq!((summary.run, summary.resumed), (run.id, true));
}

#[tokio::test(start_paused = true)]
async fn a_wish_for_more_than_what_is_on_waits_and_then_runs() {
    let stage = Stage::new(100);
    stage.sync().await.unwrap();
    let (one, two) = (stage.ports(), as_another(&stage, "two"));
    let (first, second) = tokio::join!(
        sync(&one, wish(RunKind::Incremental), &stage.stop, |_| {}),
        sync(&two, wish(RunKind::Full), &stage.stop, |_| {}),
    );
    let (Outcome::Ran(first), Outcome::Ran(second)) = (first.unwrap(), second.unwrap()) else { panic!() };
    assert_eq!((first.kind, second.kind), (RunKind::Incremental, RunKind::Full));
}

#[tokio::test(start_paused = true)]
async fn an_incremental_wish_that_becomes_a_full_run_keeps_its_number() {
    let stage = Stage::new(100);
    let asked = stage.store.request(deal(), RunKind::Incremental).await.unwrap();
    let outcome = sync(&stage.ports(), wish(RunKind::Incremental), &stage.stop, |_| {}).await.unwrap();
    let Outcome::Ran(summary) = outcome else { panic!("{outcome:?}") };
    assert_eq!((summary.run, summary.kind), (asked.run, RunKind::Full));
    let runs = stage.store.recent(10).await.unwrap();
    assert!(runs.iter().all(|run| run.status == RunStatus::Completed.as_str()), "{runs:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_can_leave() {
    let stage = Stage::new(100);
    let held = stage.store.acquire(Scope::Sync(deal()), "other", std::time::Duration::from_secs(30)).await.unwrap();
    assert!(matches!(held, Grant::Granted(_)));
    let stop = stage.stop.clone();
    let outcome = sync(&stage.ports(), wish(RunKind::Full), &stage.stop, move |_| stop.cancel()).await.unwrap();
    assert!(matches!(outcome, Outcome::Left));
}
