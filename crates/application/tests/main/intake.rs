use std::sync::Arc;
use std::time::Duration;

use b24sync_application::service::ServicePorts;
use b24sync_application::service::gaps;
use b24sync_application::service::intake::{Signals, intake};
use b24sync_domain::entity::EntityType;
use b24sync_domain::error::StoreError;
use b24sync_domain::event::{Hint, Target};
use b24sync_domain::lease::{Grant, Scope};
use b24sync_domain::ports::{Acceptance, Beat, EventInbox, EventIntake, LeaseStore, MockEventInbox, RunLog};
use b24sync_domain::run::{RunKind, RunStatus};
use b24sync_testkit::build::{deal, id};
use b24sync_testkit::observe::NamedInstance;
use b24sync_testkit::store::FakeStore;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

fn hint(number: i64) -> Hint {
    Hint { entity: deal(), target: Target::Record(id(number)), deleted: false, sent_at: None }
}

#[tokio::test(start_paused = true)]
async fn events_that_come_together_share_a_commit() {
    let mut inbox = MockEventInbox::new();
    inbox.expect_accept().times(1).returning(|hints| {
        assert_eq!(hints.len(), 40);
        Ok(vec![Acceptance::Stored; hints.len()])
    });
    let served = CancellationToken::new();
    let (service, committer) = intake(Arc::new(inbox), Arc::default());
    let clients = (1..=40).map(|number| {
        let service = service.clone();
        async move { service.take(hint(number)).await.unwrap() }
    });
    let all = async {
        let answers = futures_util::future::join_all(clients).await;
        served.cancel();
        answers
    };
    let (answers, ()) = tokio::join!(all, committer.commit(&served));
    assert_eq!(answers, [Acceptance::Stored; 40]);
}

#[tokio::test(start_paused = true)]
async fn i3_a_hint_is_kept_although_whoever_brought_it_is_gone_and_the_service_stops() {
    let store = Arc::new(FakeStore::default());
    let served = CancellationToken::new();
    let (service, committer) = intake(Arc::<FakeStore>::clone(&store), Arc::default());
    // Polled once, then dropped: the client has hung up.
    let take = service.take(hint(7));
    assert!(tokio::time::timeout(Duration::from_millis(1), take).await.is_err());
    served.cancel();
    committer.commit(&served).await;
    assert_eq!(store.backlog().await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_database_that_does_not_answer_is_said_within_two_seconds_and_remembered() {
    let mut inbox = MockEventInbox::new();
    inbox.expect_accept().returning(|_| Err(StoreError::Unavailable { doing: "keeping", source: "gone".into() }));
    let signals = Arc::new(Signals::default());
    let (service, committer) = intake(Arc::new(inbox), Arc::clone(&signals));
    let served = CancellationToken::new();
    let client = async {
        let answer = service.take(hint(7)).await;
        served.cancel();
        answer
    };
    let (answer, ()) = tokio::join!(client, committer.commit(&served));
    assert!(matches!(answer, Err(StoreError::Unavailable { .. })));
    assert!(signals.take_gap() && !signals.take_gap(), "once");
    // Nobody commits at all.
    let began = tokio::time::Instant::now();
    let (service, _committer) = intake(Arc::new(MockEventInbox::new()), Arc::clone(&signals));
    assert!(service.take(hint(7)).await.is_err());
    assert!(began.elapsed() <= Duration::from_millis(2_100) && signals.take_gap());
}

fn service(store: &Arc<FakeStore>, name: &str) -> ServicePorts {
    ServicePorts {
        runs: Arc::<FakeStore>::clone(store),
        board: Arc::<FakeStore>::clone(store),
        settings: Arc::<FakeStore>::clone(store),
        leases: Arc::<FakeStore>::clone(store),
        instances: Arc::new(NamedInstance::new(name)),
    }
}

/// Watches for some time.
async fn watch(store: &Arc<FakeStore>, name: &str, signals: &Signals, seconds: u64) {
    let stop = CancellationToken::new();
    let ports = service(store, name);
    tokio::select! {
        () = gaps::watch(&ports, store.as_ref(), signals, &stop) => {}
        () = sleep(Duration::from_secs(seconds)) => {}
    }
}

async fn wishes(store: &FakeStore) -> usize {
    store.recent(100).await.unwrap().iter().filter(|run| run.status == RunStatus::Queued.as_str()).count()
}

#[tokio::test(start_paused = true)]
async fn whoever_starts_alone_makes_up_for_what_was_missed_and_whoever_joins_does_not() {
    let all = EntityType::all().count() * 2;
    let (store, signals) = (Arc::new(FakeStore::default()), Signals::default());
    watch(&store, "first", &signals, 10).await;
    assert_eq!(wishes(&store).await, all);
    // Restarted at once: what it noted before is no sign of another one.
    let (store, signals) = (Arc::new(FakeStore::default()), Signals::default());
    store.beat("before").await.unwrap();
    watch(&store, "after", &signals, 10).await;
    assert_eq!(wishes(&store).await, all);
    let (store, signals) = (Arc::new(FakeStore::default()), Signals::default());
    let others = async {
        loop {
            store.beat("another").await.unwrap();
            sleep(Duration::from_secs(2)).await;
        }
    };
    tokio::select! {
        () = watch(&store, "second", &signals, 10) => {}
        () = others => {}
    }
    assert_eq!(wishes(&store).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_lost_event_and_a_time_away_are_made_up_for() {
    let all = EntityType::all().count() * 2;
    let (store, signals) = (Arc::new(FakeStore::default()), Signals::default());
    signals.open_gap();
    watch(&store, "me", &signals, 1).await;
    assert_eq!(wishes(&store).await, all);
    // For twenty seconds nothing was heard of this instance; another one ended before.
    let (store, signals) = (Arc::new(FakeStore::default()), Signals::default());
    let mut inbox = MockEventInbox::new();
    let mut beats = 0;
    inbox.expect_beat().returning(move |_| {
        beats += 1;
        let own = Duration::from_secs(if beats == 6 { 20 } else { 2 });
        let others = Duration::from_secs(if beats == 6 { 21 } else { 1 });
        Ok(Beat { own: Some(own), others: Some(others) })
    });
    let (ports, stop) = (service(&store, "me"), CancellationToken::new());
    let watched = async |seconds| {
        tokio::select! {
            () = gaps::watch(&ports, &inbox, &signals, &stop) => {}
            () = sleep(Duration::from_secs(seconds)) => {}
        }
    };
    watched(13).await;
    assert_eq!(wishes(&store).await, all);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_on_before_does_not_make_up_for_a_gap() {
    let (store, signals) = (Arc::new(FakeStore::default()), Signals::default());
    let Grant::Granted(lease) = store.acquire(Scope::Sync(deal()), "another", Duration::from_secs(30)).await.unwrap()
    else {
        unreachable!("nobody holds it");
    };
    let run = store.open(deal(), RunKind::Full, &lease).await.unwrap();
    let of_deals = async || {
        let runs = store.recent(100).await.unwrap();
        runs.iter().filter(|run| run.entity == "deal" && run.status == "queued").count()
    };
    let ending = async {
        sleep(Duration::from_secs(10)).await;
        assert_eq!(of_deals().await, 2, "they wait behind it");
        let watermark = b24sync_domain::progress::Watermark(chrono::DateTime::UNIX_EPOCH);
        store.complete(run.id, watermark, &lease).await.unwrap();
        sleep(Duration::from_secs(5)).await;
        assert_eq!(of_deals().await, 2, "it did nothing of what they are for");
    };
    tokio::join!(watch(&store, "me", &signals, 16), ending);
}
