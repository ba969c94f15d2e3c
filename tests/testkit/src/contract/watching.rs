//! What is told of runs, and asked of them.

use b24sync_domain::run::{Ending, RunKind, RunStatus};

use super::{Scene, Stores};
use crate::build::deal;

/// What is asked of a run and told of it.
pub(super) async fn a_run_is_watched_and_asked_to_stop(stores: &Stores) {
    use b24sync_domain::ports::Cancelled;
    assert_eq!(stores.board.cancel(deal()).await.expect("an answer"), Cancelled::default());
    let wished = stores.runs.request(deal(), RunKind::Full).await.expect("a wish");
    let also = stores.runs.request(deal(), RunKind::Sweep).await.expect("a wish");
    let both = [(deal(), RunKind::Full), (deal(), RunKind::Sweep)];
    assert_eq!(stores.board.waiting().await.expect("the queue"), both);
    let cancelled = stores.board.cancel(deal()).await.expect("an answer");
    assert_eq!(cancelled, Cancelled { asked: None, dequeued: vec![wished.run, also.run] });
    assert_eq!(stores.board.waiting().await.expect("the queue"), []);
    // What was cancelled before it began is over: the next wish is another run.
    let next = stores.runs.request(deal(), RunKind::Full).await.expect("a wish");
    assert!(next.run > also.run && !next.coalesced, "{next:?}");
    stores.runs.withdraw(next.run).await.expect("taken back");
    let (_, last) = stores.board.last_runs().await.expect("the last runs");
    assert_eq!(last, [], "none of them ever began");
    let scene = Scene::new(stores).await;
    assert!(scene.run.id > next.run);
    stores.board.note(scene.run.id, "reading", Some(40)).await.expect("the note");
    scene.title(stores.token().await, 1, "a").await;
    let running = stores.board.running().await.expect("what is on");
    let [sync] = running.as_slice() else { panic!("{running:?}") };
    assert_eq!((sync.run, sync.step.as_str(), sync.expected, sync.processed), (scene.run.id, "reading", Some(40), 1));
    assert_eq!((sync.queued, sync.stopping, sync.holder.as_deref()), (false, false, Some("one")));
    assert!(!stores.board.is_cancelled(scene.run.id).await.expect("an answer"));
    let behind = stores.runs.request(deal(), RunKind::Incremental).await.expect("a wish");
    assert_eq!(behind.run, scene.run.id, "it does what is wished for");
    let asked = async || stores.board.cancel(deal()).await.expect("an answer");
    assert_eq!(asked().await, Cancelled { asked: Some(scene.run.id), dequeued: Vec::new() });
    assert!(stores.board.is_cancelled(scene.run.id).await.expect("an answer"));
    // One that stops fulfils no wish any more; what waits behind it is cancelled with it.
    let behind = stores.runs.request(deal(), RunKind::Full).await.expect("a wish");
    assert!(behind.run != scene.run.id && !behind.coalesced, "{behind:?}");
    assert_eq!(asked().await, Cancelled { asked: Some(scene.run.id), dequeued: vec![behind.run] });
    let logged = stores.runs.find(scene.run.id).await.expect("the log").expect("the run");
    assert_eq!(logged.status, "running", "until its owner ends it");
    let ending = Ending { status: RunStatus::Cancelled, error: None };
    stores.runs.end(scene.run.id, &ending, &scene.lease).await.expect("the end");
    assert_eq!(stores.board.running().await.expect("what is on"), []);
    // Whoever wishes for it again does not want it stopped, and neither is the next owner asked to.
    stores.runs.request(deal(), RunKind::Full).await.expect("a wish");
    let queued = stores.board.running().await.expect("what is on");
    assert_eq!(queued.iter().map(|sync| (sync.queued, sync.stopping)).collect::<Vec<_>>(), [(true, false)]);
    let again = stores.runs.open(deal(), RunKind::Full, &scene.lease).await.expect("a run");
    assert!(!stores.board.is_cancelled(again.id).await.expect("an answer"));
}

/// I7, I8: what a dead process was at is queued again, and its owner cannot go on.
pub(super) async fn a_run_whose_process_is_gone_waits_for_another(stores: &Stores) {
    let scene = Scene::new(stores).await;
    assert_eq!(stores.board.waiting().await.expect("the queue"), [], "its owner is alive");
    stores.leases.release(&scene.lease).await.expect("the release");
    assert_eq!(stores.board.waiting().await.expect("the queue"), [(deal(), RunKind::Full)]);
    let logged = stores.runs.find(scene.run.id).await.expect("the log").expect("the run");
    assert_eq!(logged.status, "queued");
    let lease = stores.lease("two").await;
    let run = stores.runs.open(deal(), RunKind::Full, &lease).await.expect("a run");
    assert_eq!((run.id, run.resumed), (scene.run.id, true));
}

/// What the outside reads of runs that have ended.
pub(super) async fn ends_are_told_in_their_order_and_the_log_is_searched(stores: &Stores) {
    use b24sync_domain::ports::HistoryFilter;
    let lease = stores.lease("one").await;
    assert_eq!(stores.board.ended_since(None).await.expect("the ends"), []);
    let ending = Ending { status: RunStatus::Failed, error: Some("broken".to_owned()) };
    for kind in [RunKind::Sweep, RunKind::Webhook, RunKind::Sweep] {
        let run = stores.runs.open(deal(), kind, &lease).await.expect("a run");
        stores.runs.end(run.id, &ending, &lease).await.expect("the end");
    }
    let newest = stores.board.ended_since(None).await.expect("the ends");
    assert_eq!(newest.iter().map(|(_, run)| run.id.0).collect::<Vec<_>>(), [3]);
    let all = stores.board.ended_since(Some(0)).await.expect("the ends");
    assert_eq!(all.iter().map(|(_, run)| run.id.0).collect::<Vec<_>>(), [1, 2, 3]);
    let after = stores.board.ended_since(Some(all[1].0)).await.expect("the ends");
    assert_eq!(after.iter().map(|(_, run)| run.id.0).collect::<Vec<_>>(), [3]);
    let filter = HistoryFilter { kind: Some("sweep".to_owned()), limit: 1, ..HistoryFilter::default() };
    let found = stores.board.history(&filter).await.expect("the history");
    assert_eq!((found.total, found.runs.len(), found.runs[0].id.0), (2, 1, 3));
    let (first, last) = (chrono::NaiveDate::from_ymd_opt(1, 1, 1), chrono::NaiveDate::from_ymd_opt(9999, 12, 31));
    let midnight = |day: Option<chrono::NaiveDate>| day.map(|day| day.and_time(chrono::NaiveTime::MIN).and_utc());
    let ever = HistoryFilter { from: midnight(first), to: midnight(last), limit: 10, ..HistoryFilter::default() };
    assert_eq!(stores.board.history(&ever).await.expect("the history").total, 3);
    let none = HistoryFilter { status: Some("completed".to_owned()), limit: 10, ..HistoryFilter::default() };
    assert_eq!(stores.board.history(&none).await.expect("the history").total, 0);
    let (_, last) = stores.board.last_runs().await.expect("the last runs");
    assert!(last.iter().any(|run| run.kind == RunKind::Webhook && run.entity == deal()), "{last:?}");
}
