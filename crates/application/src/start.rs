//! Starts a sync, or joins the one that is on: wishes for the same entity coalesce into one run (CORRECTNESS 4.7).

use std::time::Duration;

use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::error::{Chain, SyncError};
use b24sync_domain::lease::Lease;
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::ports::{LoggedRun, Requested};
use b24sync_domain::run::{RunId, RunKind, RunStatus, RunSummary};
use tokio_util::sync::CancellationToken;

use crate::holding::{acquire, hold};
use crate::pass::Frame;
use crate::ports::Ports;
use crate::{backfill, by_id, incremental, sweep};

/// How often a process that waits for another one's run looks after it.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish<'a> {
    /// Which entity.
    pub entity: EntityType,
    /// What kind of run.
    pub kind: RunKind,
    /// The records of a run over named records; others have none.
    pub ids: &'a [RecordId],
    /// The full run whose deletions an operator has confirmed.
    pub confirmed: Option<RunId>,
    /// Type of new columns for instants.
    pub timestamps: TimestampStyle,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// This process did it.
    Ran(RunSummary),
    /// Another process was at it, and ended it like this.
    Joined(LoggedRun),
    /// It was to stop while another process was at it.
    Left,
}

/// Does what was wished for, here or, if another process is at it already, by waiting for its end. A process that dies
/// meanwhile is replaced by this one. `on_wait` is told once who holds
/// the lease that this process waits for.
///
/// # Errors
/// [`SyncError`] of the sync, if this process did it.
pub async fn sync(
    ports: &Ports,
    wish: Wish<'_>,
    stop: &CancellationToken,
    on_wait: impl Fn(&str),
) -> Result<Outcome, SyncError> {
    let asked = request(ports, wish).await?;
    let mut waiting = false;
    loop {
        let held = match acquire(ports, wish.entity, wish.kind).await {
            Ok(lease) => {
                let ended = ended(ports, wish.entity, asked).await?;
                let work = async |lease| match ended {
                    Some(run) => Ok(Outcome::Joined(run)),
                    None => Ok(Outcome::Ran(run(ports, &lease, wish, stop).await?)),
                };
                let done = hold(ports, wish.entity, lease, work).await;
                if done.is_err() {
                    // One that failed before its run began must not stay in the queue as if somebody wanted it still.
                    withdraw(ports, wish.entity, asked).await;
                }
                return done;
            }
            Err(SyncError::AlreadyRunning { holder, .. }) => holder,
            Err(error) => return Err(error),
        };
        if let Some(run) = ended(ports, wish.entity, asked).await? {
            return Ok(Outcome::Joined(run));
        }
        if !std::mem::replace(&mut waiting, true) {
            on_wait(&held);
        }
        tokio::select! {
            () = stop.cancelled() => {
                withdraw(ports, wish.entity, asked).await;
                return Ok(Outcome::Left);
            }
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// Takes the wish back, if nobody is at it: whoever made it does not want it any more.
async fn withdraw(ports: &Ports, entity: EntityType, asked: Option<Requested>) {
    let Some(asked) = asked.filter(|asked| !asked.coalesced) else { return };
    if let Err(error) = ports.runs.withdraw(asked.run).await {
        tracing::warn!(entity = %entity, run.id = %asked.run, error = %Chain(&error), "could not take the wish for a sync back");
    }
}

/// Does what was wished for, here and now. `None` when another process has brought it to its end meanwhile.
///
/// # Errors
/// [`SyncError::AlreadyRunning`] when another process is at it; those of the sync.
pub async fn now(ports: &Ports, wish: Wish<'_>, stop: &CancellationToken) -> Result<Option<Outcome>, SyncError> {
    let lease = acquire(ports, wish.entity, wish.kind).await?;
    let work = async |lease| {
        let store = |source| SyncError::Store { entity: wish.entity, source };
        // Queued when it was looked at; somebody may have done it or taken it back since.
        let waiting = ports.board.waiting().await.map_err(store)?;
        if !waiting.contains(&(wish.entity, wish.kind)) {
            return Ok(None);
        }
        Ok(Some(Outcome::Ran(run(ports, &lease, wish, stop).await?)))
    };
    hold(ports, wish.entity, lease, work).await
}

/// Puts the wish where other processes see it. Named records are nobody else's wish.
async fn request(ports: &Ports, wish: Wish<'_>) -> Result<Option<Requested>, SyncError> {
    if wish.kind == RunKind::Webhook {
        return Ok(None);
    }
    let requested = ports.runs.request(wish.entity, wish.kind).await;
    let requested = requested.map_err(|source| SyncError::Store { entity: wish.entity, source })?;
    Ok(Some(requested))
}

async fn run(ports: &Ports, lease: &Lease, wish: Wish<'_>, stop: &CancellationToken) -> Result<RunSummary, SyncError> {
    let frame = Frame { ports, entity: wish.entity, lease, timestamps: wish.timestamps, stop };
    match wish.kind {
        RunKind::Incremental => incremental::under(frame).await,
        RunKind::Sweep => sweep::under(frame).await,
        RunKind::Full => backfill::under(frame, wish.confirmed).await,
        RunKind::Webhook => by_id::under(frame, wish.ids).await,
    }
}

/// The run, if another process brought it to its end meanwhile. One whose process died has not ended in this sense: it
/// is gone on with.
async fn ended(ports: &Ports, entity: EntityType, asked: Option<Requested>) -> Result<Option<LoggedRun>, SyncError> {
    let Some(asked) = asked else { return Ok(None) };
    let found = ports.runs.find(asked.run).await.map_err(|source| SyncError::Store { entity, source })?;
    let has_ended = |run: &LoggedRun| {
        run.status.parse().is_ok_and(|status: RunStatus| status.has_ended() && status != RunStatus::Interrupted)
    };
    Ok(found.filter(has_ended))
}
