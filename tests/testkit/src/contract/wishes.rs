//! Wishes for runs.

use b24sync_domain::progress::Watermark;
use b24sync_domain::run::{Ending, RunKind, RunStatus};
use chrono::Utc;

use super::Stores;
use crate::build::{deal, portal_time};

/// I8: same answer, same run id (CORRECTNESS 4.7).
pub(super) async fn wishes_for_the_same_run_coalesce(stores: &Stores) {
    let wish = async |kind| stores.runs.request(deal(), kind).await.expect("a wish");
    let first = wish(RunKind::Incremental).await;
    assert!(!first.coalesced);
    assert_eq!(stores.runs.find(first.run).await.expect("the log").expect("the run").status, "queued");
    let second = wish(RunKind::Incremental).await;
    assert_eq!((second.run, second.coalesced), (first.run, true));
    let lease = stores.lease("one").await;
    let run = stores.runs.open(deal(), RunKind::Incremental, &lease).await.expect("a run");
    assert_eq!((run.id, run.resumed), (first.run, false));
    let third = wish(RunKind::Incremental).await;
    assert_eq!((third.run, third.coalesced), (first.run, true));
    // What is on does not do what is wished for: that waits under a number of its own.
    let full = wish(RunKind::Full).await;
    assert!(full.run != first.run && !full.coalesced);
    stores.runs.complete(run.id, Watermark(portal_time(0).with_timezone(&Utc)), &lease).await.expect("the end");
    let fourth = wish(RunKind::Incremental).await;
    assert!(fourth.run != first.run && fourth.run != full.run && !fourth.coalesced);
    let run = stores.runs.open(deal(), RunKind::Full, &lease).await.expect("a run");
    assert_eq!(run.id, full.run);
    let ending = Ending { status: RunStatus::Failed, error: Some("broken".to_owned()) };
    stores.runs.end(run.id, &ending, &lease).await.expect("the end");
    // An unfinished run is asked for again under its number.
    let again = wish(RunKind::Full).await;
    assert_eq!((again.run, again.coalesced), (full.run, false));
    assert!(stores.runs.open(deal(), RunKind::Full, &lease).await.expect("a run").resumed);
}

/// A wish for less keeps its number when a full run is what comes of it, and does not wait for ever beside one.
pub(super) async fn a_full_run_does_what_smaller_wishes_wanted(stores: &Stores) {
    let lease = stores.lease("one").await;
    let wished = stores.runs.request(deal(), RunKind::Incremental).await.expect("a wish");
    let run = stores.runs.open(deal(), RunKind::Full, &lease).await.expect("a run");
    assert_eq!((run.id, run.kind), (wished.run, RunKind::Full));
    let logged = stores.runs.find(run.id).await.expect("the log").expect("the run");
    assert_eq!((logged.kind.as_str(), logged.status.as_str()), ("full", "running"));
    let ending = Ending { status: RunStatus::Cancelled, error: None };
    stores.runs.end(run.id, &ending, &lease).await.expect("the end");
    let wished = stores.runs.request(deal(), RunKind::Sweep).await.expect("a wish");
    assert!(wished.run != run.id);
    assert_eq!(stores.runs.open(deal(), RunKind::Full, &lease).await.expect("a run").id, run.id);
    let status = async || stores.runs.find(wished.run).await.expect("the log").expect("the run").status;
    assert_eq!(status().await, "queued", "it is not done yet");
    stores.runs.complete(run.id, Watermark(portal_time(0).with_timezone(&Utc)), &lease).await.expect("the end");
    assert_eq!(status().await, "queued", "what was read before the wish is not what it is for");
    let behind = stores.runs.request(deal(), RunKind::Full).await.expect("a wish");
    let run = stores.runs.open(deal(), RunKind::Full, &lease).await.expect("a run");
    assert_eq!(run.id, behind.run);
    stores.runs.complete(run.id, Watermark(portal_time(0).with_timezone(&Utc)), &lease).await.expect("the end");
    assert_eq!(status().await, "completed");
    let taken_back = stores.runs.request(deal(), RunKind::Full).await.expect("a wish");
    stores.runs.withdraw(taken_back.run).await.expect("the withdrawal");
    let logged = stores.runs.find(taken_back.run).await.expect("the log").expect("the run");
    assert_eq!(logged.status, "cancelled");
}

/// What a run read before somebody wished for another one may have changed since.
pub(super) async fn a_wish_that_a_run_does_not_fulfil_outlives_it(stores: &Stores) {
    let at = Watermark(portal_time(0).with_timezone(&Utc));
    let status = async |run| stores.runs.find(run).await.expect("the log").expect("the run").status;
    let lease = stores.lease("one").await;
    let run = stores.runs.open(deal(), RunKind::Full, &lease).await.expect("a run");
    let anew = async || stores.runs.request_anew(deal(), RunKind::Incremental).await.expect("a wish");
    let wished = anew().await;
    assert!(wished.run != run.id && !wished.coalesced);
    let same = anew().await;
    assert_eq!((same.run, same.coalesced), (wished.run, true));
    stores.runs.complete(run.id, at, &lease).await.expect("the end");
    assert_eq!((status(run.id).await, status(wished.run).await), ("completed".to_owned(), "queued".to_owned()));
    let opened = stores.runs.open(deal(), RunKind::Incremental, &lease).await.expect("a run");
    assert_eq!(opened.id, wished.run);
    stores.runs.complete(opened.id, at, &lease).await.expect("the end");
    // One that has read something is not begun anew: another one is.
    let run = stores.runs.open(deal(), RunKind::Incremental, &lease).await.expect("a run");
    let ending = Ending { status: RunStatus::Cancelled, error: None };
    stores.runs.end(run.id, &ending, &lease).await.expect("the end");
    let other = anew().await;
    assert!(other.run != run.id && !other.coalesced);
    assert_eq!(stores.runs.open(deal(), RunKind::Incremental, &lease).await.expect("a run").id, other.run);
    stores.runs.complete(other.run, at, &lease).await.expect("the end");
    // One that was asked to stop, and was done before it heard of it.
    let run = stores.runs.open(deal(), RunKind::Full, &lease).await.expect("a run");
    stores.board.cancel(deal()).await.expect("an answer");
    let wished = stores.runs.request(deal(), RunKind::Incremental).await.expect("a wish");
    assert!(wished.run != run.id && !wished.coalesced);
    stores.runs.complete(run.id, at, &lease).await.expect("the end");
    assert_eq!(status(wished.run).await, "queued");
}

/// A sweep draws its conclusions from one listing, and says nothing about the content of records.
pub(super) async fn a_sweep_is_never_resumed_and_stands_for_nothing(stores: &Stores) {
    let lease = stores.lease("one").await;
    let run = stores.runs.open(deal(), RunKind::Sweep, &lease).await.expect("a run");
    let ending = Ending { status: RunStatus::Failed, error: None };
    stores.runs.end(run.id, &ending, &lease).await.expect("the end");
    let next = stores.runs.open(deal(), RunKind::Sweep, &lease).await.expect("a run");
    assert!(next.id != run.id && !next.resumed);
    stores.runs.complete(next.id, Watermark(portal_time(0).with_timezone(&Utc)), &lease).await.expect("the end");
    assert_eq!(stores.runs.standing(deal()).await.expect("the standing"), None);
}
