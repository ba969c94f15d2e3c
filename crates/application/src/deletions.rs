//! Finds records that are gone from the portal, and proves it before a row goes (CORRECTNESS 4.5).

use std::vec::IntoIter;

use b24sync_domain::entity::RecordId;
use b24sync_domain::error::SyncError;
use b24sync_domain::mapping::schema::SchemaPlan;
use b24sync_domain::ports::MAX_EVIDENCE;
use b24sync_domain::progress::Cursor;
use b24sync_domain::reconcile::unconfirmed_deletions;
use b24sync_domain::record::ReadToken;
use b24sync_domain::run::RunId;

use crate::pass::{Pass, Reading};

/// Records that the portal says it does not have, by the read that said so.
type Proven = Vec<(ReadToken, Vec<RecordId>)>;

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
        /// A record that it showed.
        control: Option<RecordId>,
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

    /// A record that was seen a moment ago: asked for together with the others, it shows that their absence means
    /// something.
    async fn control(&self, pass: &Pass<'_>) -> Result<Option<RecordId>, SyncError> {
        match self {
            Candidates::Unseen { .. } => pass.control().await,
            Candidates::Unlisted { control, .. } => Ok(*control),
        }
    }
}

/// Asks for each candidate by id, one by one, together with a record that was just seen. Only what is missing then is
/// deleted, and only so much of it as is believable, unless an operator confirmed exactly this run.
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
        let control = candidates.control(pass).await?;
        question(pass, plan, &asked, control, &mut proven).await?;
        let limit = match believable {
            Some(limit) => limit,
            None => *believable.insert(unconfirmed_deletions(pass.live().await?)),
        };
        if count(&proven) > limit && confirmed != Some(pass.run.id) {
            // More evidence would not make it more believable.
            break;
        }
    }
    bury(pass, proven, confirmed).await?;
    Ok(Reading::Complete)
}

/// Asks the portal for records that the listing did not show.
async fn question(
    pass: &mut Pass<'_>,
    plan: &mut SchemaPlan,
    asked: &[RecordId],
    control: Option<RecordId>,
    proven: &mut Proven,
) -> Result<(), SyncError> {
    let nothing_visible = SyncError::NothingVisible { entity: pass.entity, count: asked.len() };
    let Some(control) = control else {
        pass.rewind().await?;
        return Err(nothing_visible);
    };
    let evidence = pass.ports.source.evidence(pass.entity, asked, control, &pass.ports.order).await;
    let evidence = evidence.map_err(|source| pass.source_failed(source))?;
    if !evidence.control_found {
        // Type or rights are gone: "not found" means nothing now. Or that one record is gone by now, and no other would
        // ever be chosen while this run goes on: it begins again.
        pass.rewind().await?;
        return Err(nothing_visible);
    }
    if !evidence.denied.is_empty() {
        tracing::warn!(entity = %pass.entity, rows = evidence.denied.len(), "the webhook's user may not read {} records any more; their rows stay as they are", evidence.denied.len());
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

async fn bury(pass: &mut Pass<'_>, proven: Proven, confirmed: Option<RunId>) -> Result<(), SyncError> {
    let count = count(&proven);
    if count == 0 {
        return Ok(());
    }
    let live = pass.live().await?;
    if count > unconfirmed_deletions(live) && confirmed != Some(pass.run.id) {
        return Err(SyncError::DeletionsHeld {
            entity: pass.entity,
            run: pass.run.id,
            kind: pass.run.kind,
            count,
            live,
        });
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
