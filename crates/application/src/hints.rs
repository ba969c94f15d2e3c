//! Applies what events hinted at: one batch of an entity's hints, from the inbox to the replica (CORRECTNESS 4.4).

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::error::{Chain, Remedy, StoreError, SyncError};
use b24sync_domain::event::Target;
use b24sync_domain::field::FieldDescription;
use b24sync_domain::inbox::{self, Claimed, Outcome};
use b24sync_domain::lease::Lease;
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::ports::EventInbox;
use b24sync_domain::progress::Cursor;
use b24sync_domain::run::{RunKind, RunStatus};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::by_id::{self, Named};
use crate::deletions;
use crate::holding::under_lease;
use crate::pass::{self, Frame, Pass, Reading};
use crate::ports::Ports;
use crate::schema;

/// How long a description of the fields is good for: an event tells of changed ones, and so does the next sync.
const DESCRIBED_FOR: Duration = Duration::from_secs(60);

/// Why a hint could not be applied that nothing was proven about.
const UNPROVEN: &str = "the portal does not show the record, and no other record proved that this means anything";

/// What draining needs. One for the whole process, so that descriptions of fields are shared.
pub struct Drainer {
    ports: Ports,
    inbox: Arc<dyn EventInbox>,
    timestamps: TimestampStyle,
    described: Mutex<HashMap<EntityType, Described>>,
}

/// An entity's fields as the portal described them then.
type Described = (Instant, Arc<[FieldDescription]>);

impl Drainer {
    /// Over these ports.
    pub fn new(ports: Ports, inbox: Arc<dyn EventInbox>, timestamps: TimestampStyle) -> Drainer {
        Drainer { ports, inbox, timestamps, described: Mutex::default() }
    }

    /// Applies the hints of `entity` that are due, at most [`inbox::AT_ONCE`]; how many were settled.
    ///
    /// # Errors
    /// [`SyncError::AlreadyRunning`] when another process is at it. Failures of the portal or the database as a whole:
    /// the hints stay as they are.
    #[tracing::instrument(name = "inbox.drain", skip_all, fields(entity = %entity))]
    pub async fn drain(&self, entity: EntityType, stop: &CancellationToken) -> Result<usize, SyncError> {
        under_lease(
            &self.ports,
            entity,
            RunKind::Webhook,
            |lease| async move { self.under(entity, &lease, stop).await },
        )
        .await
    }

    /// Asks the portal for next to nothing: what only learns that it is still out of reach needs no run in the log.
    ///
    /// # Errors
    /// [`SyncError::Source`] when it does not answer.
    pub async fn knock(&self, entity: EntityType) -> Result<(), SyncError> {
        let answered = self.ports.source.profile().await;
        answered.map(drop).map_err(|source| SyncError::Source { entity, source })
    }

    async fn under(&self, entity: EntityType, lease: &Lease, stop: &CancellationToken) -> Result<usize, SyncError> {
        let store = |source| SyncError::Store { entity, source };
        let due = self.inbox.due(entity).await.map_err(store)?;
        let fields_changed = due.iter().any(|claimed| claimed.target == Target::Fields);
        if fields_changed {
            self.described.lock().unwrap_or_else(PoisonError::into_inner).remove(&entity);
        }
        let frame = Frame { ports: &self.ports, entity, lease, timestamps: self.timestamps, stop };
        let mut settled = 0;
        let mut parts = if due.is_empty() { Vec::new() } else { vec![due.as_slice()] };
        while let Some(part) = parts.pop() {
            let outcomes = match self.apply(frame, part).await {
                Ok(Some(outcomes)) => outcomes,
                Ok(None) => break,
                Err(error) if !is_of_a_record(&error) => return Err(error),
                Err(error) => match part.split_at(part.len() / 2) {
                    // One of them is the cause: the others must not wait for it.
                    (first, second) if !first.is_empty() => {
                        parts.extend([second, first]);
                        continue;
                    }
                    _ => part.iter().map(|claimed| (*claimed, failed(claimed, Chain(&error).to_string()))).collect(),
                },
            };
            settled += outcomes.len();
            self.inbox.settle(entity, &outcomes).await.map_err(store)?;
        }
        if fields_changed && settled > 0 {
            self.fill_new_fields(entity).await.map_err(store)?;
        }
        Ok(settled)
    }

    /// Values of new fields in records that were stored before come with the next incremental sync: now.
    async fn fill_new_fields(&self, entity: EntityType) -> Result<(), StoreError> {
        if !self.ports.drift.pending(entity).await?.is_empty() {
            self.ports.runs.request(entity, RunKind::Incremental).await?;
        }
        Ok(())
    }

    /// One run over these hints. `None` when it was stopped.
    async fn apply(&self, frame: Frame<'_>, hints: &[Claimed]) -> Result<Option<Vec<(Claimed, Outcome)>>, SyncError> {
        let mut outcomes = Vec::new();
        let read = async |pass: &mut Pass<'_>| {
            let described = self.describe(frame.entity).await?;
            let mut plan = schema::ensure_described(pass.ports, pass.entity, &described, pass.timestamps).await?;
            let Some(named) = by_id::apply(pass, &mut plan, &records(hints)).await? else {
                return Ok(Reading::Stopped);
            };
            let live = live_among(pass, &named.unproven).await?;
            outcomes = hints.iter().map(|hint| (*hint, outcome(hint, &named, &live))).collect();
            deletions::bury(pass, named.gone, true).await?;
            Ok(Reading::Complete)
        };
        let summary = pass::run(frame, RunKind::Webhook, read).await?;
        Ok((summary.status != RunStatus::Cancelled).then_some(outcomes))
    }

    async fn describe(&self, entity: EntityType) -> Result<Arc<[FieldDescription]>, SyncError> {
        let known = self.described.lock().unwrap_or_else(PoisonError::into_inner).get(&entity).cloned();
        if let Some((_, described)) = known.filter(|(at, _)| at.elapsed() < DESCRIBED_FOR) {
            return Ok(described);
        }
        let described: Arc<[FieldDescription]> = schema::describe(&self.ports, entity).await?.into();
        let kept = (Instant::now(), Arc::clone(&described));
        self.described.lock().unwrap_or_else(PoisonError::into_inner).insert(entity, kept);
        Ok(described)
    }
}

/// Whether a record may be the cause. Of what another process or the portal as a whole is the cause, hints know nothing:
/// it costs them no attempt.
fn is_of_a_record(error: &SyncError) -> bool {
    let lease_lost = matches!(error, SyncError::Store { source: StoreError::LeaseLost { .. }, .. });
    error.remedy() == Remedy::GiveUp && !lease_lost
}

/// Ids in their order, so that ranges of them are read together.
fn records(hints: &[Claimed]) -> Vec<RecordId> {
    let mut ids: Vec<RecordId> = hints
        .iter()
        .filter_map(|hint| match hint.target {
            Target::Record(id) => Some(id),
            Target::Fields => None,
        })
        .collect();
    ids.sort_unstable();
    ids
}

/// Of these records, those that the replica has: the others need no proof to be gone.
async fn live_among(pass: &Pass<'_>, ids: &[RecordId]) -> Result<HashSet<RecordId>, SyncError> {
    let mut live = HashSet::new();
    for id in ids {
        let (before, this) = (Cursor::after(id.get() - 1), Cursor::after(id.get()));
        live.extend(pass.live_between(before, Some(this)).await?.into_iter().map(|(id, _)| id));
    }
    Ok(live)
}

fn outcome(hint: &Claimed, named: &Named, live: &HashSet<RecordId>) -> Outcome {
    let Target::Record(id) = hint.target else { return Outcome::Applied };
    if live.contains(&id) {
        return failed(hint, UNPROVEN.to_owned());
    }
    let modified = named.shown.get(&id).copied();
    let is_there = modified.is_some() || named.found.contains(&id);
    let again = is_there && inbox::looks_older(modified.flatten(), hint.deleted, hint.sent_at) && !hint.second_look;
    if again { Outcome::LookAgain } else { Outcome::Applied }
}

fn failed(hint: &Claimed, reason: String) -> Outcome {
    Outcome::Failed { reason, next: inbox::after_failure(hint.attempts.saturating_add(1), spread()) }
}

/// A number from 0 to 1.
fn spread() -> f64 {
    f64::from(u16::try_from(RandomState::new().hash_one(()) & 0xffff).unwrap_or_default()) / f64::from(u16::MAX)
}
