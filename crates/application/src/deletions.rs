//! Finds records that are gone from the portal, and proves it before a row goes (CORRECTNESS 4.5).

use std::vec::IntoIter;

use b24sync_domain::entity::RecordId;
use b24sync_domain::error::SyncError;
use b24sync_domain::mapping::schema::SchemaPlan;
use b24sync_domain::ports::{Evidence, MAX_EVIDENCE};
use b24sync_domain::progress::Cursor;
use b24sync_domain::reconcile::unconfirmed_deletions;
use b24sync_domain::record::ReadToken;
use b24sync_domain::run::RunId;

use crate::pass::{Pass, Reading};

/// Control records that are tried before it counts as proven that nothing can be read: the one that was seen last may
/// just have been deleted itself.
const CONTROLS: usize = 4;

/// Records that the portal says it does not have, by the read that said so.
pub(crate) type Proven = Vec<(ReadToken, Vec<RecordId>)>;

/// Records that a complete listing did not show.
pub(crate) enum Candidates {
    /// Those of the table that no read of this run has seen.
    Unseen {
        /// Where to go on.
        after: Cursor,
    },
    /// Those that a listing of ids left out.
    Unlisted {
        /// Which.
        ids: IntoIter<RecordId>,
        /// Records that it showed, the last ones.
        controls: Vec<RecordId>,
    },
}

impl Candidates {
    /// Those that a full pass did not see.
    pub(crate) fn unseen() -> Candidates {
        Candidates::Unseen { after: Cursor::START }
    }

    /// The next ones to ask for, as many as one request can.
    async fn next(&mut self, pass: &Pass<'_>) -> Result<Vec<RecordId>, SyncError> {
        match self {
            Candidates::Unseen { after } => {
                let unseen = pass.unseen(*after).await?;
                if let Some(last) = unseen.last() {
                    *after = Cursor::after(last.get());
                }
                Ok(unseen)
            }
            Candidates::Unlisted { ids, .. } => Ok(ids.take(MAX_EVIDENCE).collect()),
        }
    }

    /// Records that were seen a moment ago: asked for together with the others, one of them shows that their absence
    /// means something.
    async fn controls(&self, pass: &Pass<'_>) -> Result<Vec<RecordId>, SyncError> {
        match self {
            Candidates::Unseen { .. } => pass.controls(pass.run.start, CONTROLS).await,
            Candidates::Unlisted { controls, .. } => Ok(controls.clone()),
        }
    }
}

/// Asks for each candidate by id, one by one, together with a record that was just seen. Only what is missing then is
/// deleted, and only so much of it as is believable, unless an operator confirmed exactly this run: a person who has
/// looked stands in for a control record too, where the portal has none left.
///
/// # Errors
/// [`SyncError::NothingVisible`] and [`SyncError::DeletionsHeld`] with nothing deleted.
pub(crate) async fn reconcile(
    pass: &mut Pass<'_>,
    plan: &mut SchemaPlan,
    mut candidates: Candidates,
    confirmed: Option<RunId>,
) -> Result<Reading, SyncError> {
    pass.step("deletions", None).await;
    let confirmed = confirmed == Some(pass.run.id);
    let mut proven = Proven::new();
    let mut believable = None;
    loop {
        if pass.stop.is_cancelled() {
            return Ok(Reading::Stopped);
        }
        let asked = candidates.next(pass).await?;
        if asked.is_empty() {
            break;
        }
        let controls = candidates.controls(pass).await?;
        let Some(evidence) = question(pass, &asked, &controls, confirmed).await? else {
            return Err(nothing_visible(pass, asked.len()).await?);
        };
        settle(pass, plan, evidence, &mut proven).await?;
        let limit = match believable {
            Some(limit) => limit,
            None => *believable.insert(unconfirmed_deletions(pass.live().await?)),
        };
        if count(&proven) > limit && !confirmed {
            // More evidence would not make it more believable.
            break;
        }
    }
    bury(pass, proven, confirmed).await?;
    Ok(Reading::Complete)
}

/// Type or rights are gone: "not found" means nothing now. Or just the records that could prove the opposite are gone,
/// and no others would ever be chosen while this run goes on: it begins again.
async fn nothing_visible(pass: &mut Pass<'_>, count: usize) -> Result<SyncError, SyncError> {
    pass.rewind().await?;
    Ok(SyncError::NothingVisible { entity: pass.entity, run: pass.run.id, kind: pass.run.kind, count })
}

/// Asks the portal for records that it did not show, together with one of `controls` that is none of them. `None`: no
/// control record was found, so that nothing is proven. Without need of proof, any record will do.
pub(crate) async fn question(
    pass: &Pass<'_>,
    asked: &[RecordId],
    controls: &[RecordId],
    without_proof: bool,
) -> Result<Option<Evidence>, SyncError> {
    let mut others: Vec<RecordId> = controls.iter().copied().filter(|control| !asked.contains(control)).collect();
    others.truncate(CONTROLS);
    if without_proof {
        others.extend(asked.first());
    }
    for control in others {
        let evidence = pass.ports.source.evidence(pass.entity, asked, control, &pass.ports.order).await;
        let evidence = evidence.map_err(|source| pass.source_failed(source))?;
        if evidence.control_found || without_proof {
            return Ok(Some(evidence));
        }
    }
    Ok(None)
}

/// Stores what was found after all, and adds what is missing to what is proven.
pub(crate) async fn settle(
    pass: &mut Pass<'_>,
    plan: &mut SchemaPlan,
    evidence: Evidence,
    proven: &mut Proven,
) -> Result<(), SyncError> {
    if !evidence.denied.is_empty() {
        tracing::warn!(entity = %pass.entity, rows = evidence.denied.len(), "the webhook's user may not read {} records any more; their rows stay as they are", evidence.denied.len());
        pass.denied += evidence.denied.len();
    }
    if !evidence.missing.is_empty() {
        proven.push((evidence.read, evidence.missing));
    }
    if !evidence.found.is_empty() {
        tracing::warn!(entity = %pass.entity, rows = evidence.found.len(), "the listing left out {} records that are there", evidence.found.len());
        pass.apply_by_id(plan, &evidence.found).await?;
    }
    Ok(())
}

fn count(proven: &Proven) -> u64 {
    u64::try_from(proven.iter().map(|(_, ids)| ids.len()).sum::<usize>()).unwrap_or(u64::MAX)
}

/// Deletes what is proven, if it is believable or an operator confirmed it.
///
/// # Errors
/// [`SyncError::DeletionsHeld`] with nothing deleted.
pub(crate) async fn bury(pass: &mut Pass<'_>, proven: Proven, confirmed: bool) -> Result<(), SyncError> {
    let count = count(&proven);
    if count == 0 {
        return Ok(());
    }
    if !confirmed {
        let live = pass.live().await?;
        if count > unconfirmed_deletions(live) {
            let (run, kind) = (pass.run.id, pass.run.kind);
            return Err(SyncError::DeletionsHeld { entity: pass.entity, run, kind, count, live });
        }
    }
    for (read, ids) in proven {
        pass.bury(&ids, read).await?;
    }
    Ok(())
}

/// Unseen records that are asked for in one request.
pub(crate) fn at_once() -> u32 {
    u32::try_from(MAX_EVIDENCE).unwrap_or(1)
}
