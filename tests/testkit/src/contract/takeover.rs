//! What becomes of a run whose process is gone, whoever looks first: somebody who watches, or somebody who goes on.

use b24sync_domain::entity::EntityType;
use b24sync_domain::lease::{Grant, Scope};
use b24sync_domain::ports::Cancelled;
use b24sync_domain::progress::Watermark;
use b24sync_domain::run::{Ending, Run, RunId, RunKind, RunStatus};

use super::{Scene, Stores, TTL, later};
use crate::build::deal;

/// A full run whose process is gone, and that somebody who watches has closed.
async fn closed(stores: &Stores) -> Run {
    let scene = Scene::new(stores).await;
    stores.leases.release(&scene.lease).await.expect("the release");
    close(stores).await;
    scene.run
}

async fn close(stores: &Stores) {
    assert_eq!(stores.runs.close_abandoned().await.expect("counted"), 1);
}

async fn status(stores: &Stores, run: RunId) -> String {
    stores.runs.find(run).await.expect("the log").expect("the run").status
}

async fn waiting(stores: &Stores) -> Vec<(EntityType, RunKind)> {
    stores.board.waiting().await.expect("the queue")
}

/// I7: looking at a dead run does not keep it dead.
pub(super) async fn a_run_that_was_closed_because_its_process_is_gone_waits_for_another(stores: &Stores) {
    let run = closed(stores).await;
    assert_eq!(status(stores, run.id).await, "interrupted");
    assert_eq!(waiting(stores).await, [(deal(), RunKind::Full)]);
    assert_eq!(status(stores, run.id).await, "queued");
    assert_eq!(stores.runs.close_abandoned().await.expect("counted"), 0, "it waits, as the log says");
    let lease = stores.lease("two").await;
    let again = stores.runs.open(deal(), RunKind::Full, &lease).await.expect("a run");
    assert_eq!((again.id, again.resumed), (run.id, true));
    // Its next process may be gone too.
    stores.leases.release(&lease).await.expect("the release");
    close(stores).await;
    assert_eq!(waiting(stores).await, [(deal(), RunKind::Full)]);
}

/// What is wished for again is the same run, once.
pub(super) async fn a_closed_run_that_is_wished_for_waits_once(stores: &Stores) {
    let run = closed(stores).await;
    assert_eq!(stores.runs.request(deal(), RunKind::Full).await.expect("a wish").run, run.id);
    assert_eq!(waiting(stores).await, [(deal(), RunKind::Full)]);
    stores.runs.withdraw(run.id).await.expect("the withdrawal");
    assert_eq!(waiting(stores).await, []);
    assert_eq!(status(stores, run.id).await, "cancelled");
}

/// A run that was opened again is nobody's to go on with once it has ended.
pub(super) async fn a_closed_run_that_was_opened_and_ended_does_not_come_back(stores: &Stores) {
    let run = closed(stores).await;
    let lease = stores.lease("two").await;
    assert_eq!(stores.runs.open(deal(), RunKind::Full, &lease).await.expect("a run").id, run.id);
    let ending = Ending { status: RunStatus::Failed, error: Some("broken".to_owned()) };
    stores.runs.end(run.id, &ending, &lease).await.expect("the end");
    stores.leases.release(&lease).await.expect("the release");
    assert_eq!(stores.runs.close_abandoned().await.expect("counted"), 0);
    assert_eq!(waiting(stores).await, []);
    assert_eq!(status(stores, run.id).await, "failed");
}

/// Whoever took the entity over has decided what is done.
pub(super) async fn a_closed_run_that_was_overtaken_does_not_come_back(stores: &Stores) {
    let run = closed(stores).await;
    let lease = stores.lease("two").await;
    let other = stores.runs.open(deal(), RunKind::Incremental, &lease).await.expect("a run");
    stores.runs.complete(other.id, Watermark(later()), &lease).await.expect("the end");
    stores.leases.release(&lease).await.expect("the release");
    assert_eq!(waiting(stores).await, []);
    assert_eq!(status(stores, run.id).await, "interrupted");
}

/// Somebody does not want it any more, and said so before or after it was closed.
pub(super) async fn a_closed_run_that_was_cancelled_does_not_come_back(stores: &Stores) {
    let run = closed(stores).await;
    let taken_back = Cancelled { asked: None, dequeued: vec![run.id] };
    assert_eq!(stores.board.cancel(deal()).await.expect("an answer"), taken_back);
    assert_eq!(waiting(stores).await, []);
    assert_eq!(status(stores, run.id).await, "cancelled");
    let lease = stores.lease("two").await;
    stores.runs.open(deal(), RunKind::Full, &lease).await.expect("a run");
    let asked = Cancelled { asked: Some(run.id), ..Cancelled::default() };
    assert_eq!(stores.board.cancel(deal()).await.expect("an answer"), asked);
    stores.leases.release(&lease).await.expect("the release");
    close(stores).await;
    assert_eq!(status(stores, run.id).await, "cancelled", "that is what its process would have said");
    assert_eq!(waiting(stores).await, []);
}

/// Named records are read again for the sake of their hints, by a run of its own.
pub(super) async fn a_closed_run_over_named_records_does_not_come_back(stores: &Stores) {
    let granted = stores.leases.acquire(Scope::Hints(deal()), "one", TTL).await.expect("a lease");
    let Grant::Granted(lease) = granted else { panic!("it is held") };
    let run = stores.runs.open(deal(), RunKind::Webhook, &lease).await.expect("a run");
    stores.leases.release(&lease).await.expect("the release");
    close(stores).await;
    assert_eq!(waiting(stores).await, []);
    assert_eq!(status(stores, run.id).await, "interrupted");
}

/// The log is read from its end: a run that is to be gone on with must not be out of sight behind a later one.
pub(super) async fn the_status_shows_the_run_that_is_to_be_gone_on_with(stores: &Stores) {
    let shown = async || {
        let overview = stores.status.overview().await.expect("the status");
        let deals = overview.into_iter().find(|overview| overview.entity == deal()).expect("the deals");
        deals.last_run.map(|run| (run.id, run.status)).expect("a run")
    };
    let granted = stores.leases.acquire(Scope::Hints(deal()), "one", TTL).await.expect("a lease");
    let Grant::Granted(hints) = granted else { panic!("it is held") };
    let events = async |status| {
        let run = stores.runs.open(deal(), RunKind::Webhook, &hints).await.expect("a run");
        let ending = Ending { status, error: None };
        stores.runs.end(run.id, &ending, &hints).await.expect("the end");
        run.id
    };
    let only = events(RunStatus::Cancelled).await;
    assert_eq!(shown().await, (only, "cancelled".to_owned()), "there is no other");
    let run = closed(stores).await;
    events(RunStatus::Cancelled).await;
    assert_eq!(shown().await, (run.id, "interrupted".to_owned()));
    assert_eq!(waiting(stores).await, [(deal(), RunKind::Full)]);
    assert_eq!(shown().await, (run.id, "queued".to_owned()));
    let lease = stores.lease("two").await;
    stores.runs.open(deal(), RunKind::Full, &lease).await.expect("a run");
    assert_eq!(shown().await, (run.id, "running".to_owned()));
    let ending = Ending { status: RunStatus::Failed, error: None };
    stores.runs.end(run.id, &ending, &lease).await.expect("the end");
    events(RunStatus::Cancelled).await;
    assert_eq!(shown().await, (run.id, "failed".to_owned()), "a batch of events makes up for no pass over the records");
    let next = stores.runs.open(deal(), RunKind::Incremental, &lease).await.expect("a run");
    stores.runs.complete(next.id, Watermark(later()), &lease).await.expect("the end");
    assert_eq!(shown().await, (next.id, "completed".to_owned()), "nobody goes on with the other unless somebody asks");
    // It keeps its number, and ends last.
    let again = stores.runs.open(deal(), RunKind::Full, &lease).await.expect("a run");
    assert_eq!(again.id, run.id);
    stores.runs.end(run.id, &ending, &lease).await.expect("the end");
    assert_eq!(shown().await, (run.id, "failed".to_owned()));
    let wished = stores.runs.request(deal(), RunKind::Sweep).await.expect("a wish");
    stores.runs.withdraw(wished.run).await.expect("the withdrawal");
    assert_eq!(shown().await, (run.id, "failed".to_owned()), "what never began says nothing");
}
