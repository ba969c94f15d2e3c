//! The running service over the fakes: who schedules, who works, and what is told of it.

use std::sync::Arc;
use std::time::Duration;

use b24sync_application::service::control::ControlService;
use b24sync_application::service::feed::Feed;
use b24sync_application::service::scheduler::schedule;
use b24sync_application::service::worker::Worker;
use b24sync_application::service::{ServicePorts, mapping::MappingService};
use b24sync_domain::lease::Scope;
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::ports::{
    Actor, Cancelled, Happening, Happenings, LeaseStore, MappingQuery, RunBoard, RunLog, SchedulerQuery,
    SettingsControl, SyncControl,
};
use b24sync_domain::run::RunKind;
use b24sync_domain::settings::SettingsChange;
use b24sync_testkit::build::deal;
use b24sync_testkit::observe::NamedInstance;
use b24sync_testkit::store::FakeStore;
use futures_util::StreamExt as _;
use tokio_util::sync::CancellationToken;

use crate::stage::Stage;

const DAY: Duration = Duration::from_secs(86_400);

fn service(stage: &Stage, name: &str) -> ServicePorts {
    ServicePorts {
        runs: Arc::<FakeStore>::clone(&stage.store),
        board: Arc::<FakeStore>::clone(&stage.store),
        settings: Arc::<FakeStore>::clone(&stage.store),
        leases: Arc::<FakeStore>::clone(&stage.store),
        instances: Arc::new(NamedInstance::new(name)),
    }
}

fn control(stage: &Stage) -> ControlService {
    ControlService::new(service(stage, "api"), DAY, 30)
}

fn actor() -> Actor {
    Actor { subject: "somebody".to_owned(), request: None }
}

/// Switches every other entity off, whose portal the fake is not.
async fn only_deals(stage: &Stage) {
    for entity in b24sync_domain::entity::EntityType::all().filter(|entity| *entity != deal()) {
        let change =
            SettingsChange { entity, enabled: Some(false), sync_interval_minutes: None, webhook_enabled: None };
        control(stage).change(&change, &actor()).await.unwrap();
    }
}

/// Waits, in virtual time, until something is so.
async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    for _ in 0..600 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    unreachable!("{what} did not happen");
}

async fn statuses(stage: &Stage) -> Vec<String> {
    stage.store.recent(10).await.unwrap().into_iter().map(|run| format!("{} {}", run.kind, run.status)).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_due_is_done_and_a_second_instance_takes_over() {
    let stage = Stage::new(120);
    only_deals(&stage).await;
    let (first, second) = (CancellationToken::new(), CancellationToken::new());
    let (one, two) = (service(&stage, "one"), service(&stage, "two"));
    let worker = Worker::new(service(&stage, "worker"), stage.ports(), TimestampStyle::Timestamp);
    let script = async {
        until("the first sync", async || statuses(&stage).await == ["full completed"]).await;
        assert_eq!(stage.ids().len(), 120);
        let leader = control(&stage).scheduler().await.unwrap();
        assert!(leader.running && leader.jobs.iter().any(|job| job.entity == deal() && job.next_run.is_some()));
        let before = leader.leader.unwrap();
        first.cancel();
        until("the takeover", async || {
            stage.store.holder(Scope::Scheduler).await.unwrap().is_some_and(|held| held.holder != before)
        })
        .await;
        stage.store.set_clock(chrono::DateTime::UNIX_EPOCH + chrono::TimeDelta::minutes(40));
        until("the next sync", async || statuses(&stage).await.contains(&"incremental completed".to_owned())).await;
        second.cancel();
    };
    tokio::join!(
        schedule(&one, DAY, &first),
        async {
            // It asks a moment later, so that the first one leads.
            tokio::time::sleep(Duration::from_millis(10)).await;
            schedule(&two, DAY, &second).await;
        },
        worker.work(&second),
        script
    );
}

#[tokio::test]
async fn events_that_are_switched_on_are_made_up_for_and_those_that_were_on_are_not() {
    let stage = Stage::new(1);
    let switch = async |on: bool| {
        let events =
            SettingsChange { entity: deal(), enabled: None, sync_interval_minutes: None, webhook_enabled: Some(on) };
        control(&stage).change(&events, &actor()).await.unwrap();
    };
    switch(true).await;
    assert!(statuses(&stage).await.is_empty(), "they were on");
    switch(false).await;
    assert!(statuses(&stage).await.is_empty());
    switch(true).await;
    assert_eq!(statuses(&stage).await, ["sweep queued", "incremental queued"]);
    switch(true).await;
    assert_eq!(statuses(&stage).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_stops_queues_what_it_was_at_and_another_goes_on_with_it() {
    let stage = Stage::new(1_000);
    let stop = CancellationToken::new();
    let at = stop.clone();
    stage.portal.on_list(move |request| {
        if request == 4 {
            at.cancel();
        }
    });
    let started = control(&stage).start(deal(), RunKind::Full).await.unwrap();
    Worker::new(service(&stage, "one"), stage.ports(), TimestampStyle::Timestamp).work(&stop).await;
    assert_eq!(statuses(&stage).await, ["full queued"]);
    let next = CancellationToken::new();
    let worker = Worker::new(service(&stage, "two"), stage.ports(), TimestampStyle::Timestamp);
    let script = async {
        until("the end", async || statuses(&stage).await == ["full completed"]).await;
        next.cancel();
    };
    tokio::join!(worker.work(&next), script);
    let run = stage.store.find(started.run).await.unwrap().unwrap();
    assert_eq!((run.status.as_str(), run.processed), ("completed", 1_000));
}

#[tokio::test(start_paused = true)]
async fn a_sync_stops_when_somebody_asks_it_to_and_the_next_one_goes_on() {
    let stage = Stage::new(1_000);
    let control = control(&stage);
    assert_eq!(control.cancel(deal()).await.unwrap(), Cancelled::default());
    let started = control.start(deal(), RunKind::Full).await.unwrap();
    assert!(control.start(deal(), RunKind::Full).await.unwrap().already_running);
    assert_eq!(
        control.cancel(deal()).await.unwrap(),
        Cancelled { dequeued: vec![started.run], ..Cancelled::default() }
    );
    let started = control.start(deal(), RunKind::Full).await.unwrap();
    stage.portal.slow_down(Duration::from_secs(1));
    let stop = CancellationToken::new();
    let worker = Worker::new(service(&stage, "one"), stage.ports(), TimestampStyle::Timestamp);
    let script = async {
        until("progress", async || control.running().await.unwrap().iter().any(|sync| sync.processed > 200)).await;
        let running = control.running().await.unwrap();
        assert_eq!((running[0].step.as_str(), running[0].expected), ("reading", Some(1_000)));
        assert_eq!(
            control.cancel(deal()).await.unwrap(),
            Cancelled { asked: Some(started.run), ..Cancelled::default() }
        );
        // The one that never began is another one.
        until("the end", async || statuses(&stage).await == ["full cancelled", "full cancelled"]).await;
        stop.cancel();
    };
    tokio::join!(worker.work(&stop), script);
    assert!(stage.ids().len() < 1_000);
    assert!(stage.sync().await.unwrap().resumed);
}

#[tokio::test(start_paused = true)]
async fn listeners_hear_of_progress_and_ends_until_the_service_stops() {
    let stage = Stage::new(300);
    stage.portal.slow_down(Duration::from_secs(2));
    let stop = CancellationToken::new();
    let feed = Feed::new(stop.clone());
    let board: Arc<dyn RunBoard> = Arc::<FakeStore>::clone(&stage.store);
    let mut listener = feed.listen();
    control(&stage).start(deal(), RunKind::Full).await.unwrap();
    let worker = Worker::new(service(&stage, "one"), stage.ports(), TimestampStyle::Timestamp);
    // An earlier run, so that the feed has seen an end before.
    let script = async {
        let mut processed = Vec::new();
        while let Some(happening) = listener.next().await {
            match happening {
                Happening::Running(running) => processed.extend(running.iter().map(|sync| sync.processed)),
                Happening::Ended(run) => {
                    assert_eq!(run.status, "completed");
                    break;
                }
            }
        }
        assert!(processed.iter().any(|count| (1..300).contains(count)), "{processed:?}");
        stop.cancel();
        assert!(listener.next().await.is_none_or(|happening| matches!(happening, Happening::Running(_))));
    };
    tokio::join!(feed.watch(board), worker.work(&stop), script);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_shows_shapes_and_reasons_and_stores_nothing() {
    let stage = Stage::new(3);
    stage.portal.put(100, 1, &[("TITLE", "\"Ivan 42\""), ("OPPORTUNITY", "\"a lot\"")]);
    let mapping = MappingService::new(stage.ports(), TimestampStyle::Timestamp);
    let check = mapping.check(deal()).await.unwrap();
    assert_eq!(check.records, 4);
    // The portal is not asked for each that asks.
    stage.portal.put(101, 1, &[("TITLE", "\"b\"")]);
    assert_eq!(mapping.check(deal()).await.unwrap(), check);
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(mapping.check(deal()).await.unwrap().records, 5);
    let amount = check.fields.iter().find(|field| field.column == "opportunity").unwrap();
    assert_eq!((amount.valid, amount.invalid, amount.errors.len()), (3, 1, 1));
    let title = check.fields.iter().find(|field| field.column == "title").unwrap();
    assert!(title.samples.iter().all(|sample| !sample.contains("deal")), "{title:?}");
    assert!(stage.ids().is_empty());
}
