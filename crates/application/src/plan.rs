//! What a sync would do, before it does anything.

use b24sync_domain::appraisal::Appraisal;
use b24sync_domain::entity::EntityType;
use b24sync_domain::error::SyncError;
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::mapping::schema::SchemaPlan;
use b24sync_domain::portal::{BoundStyle, Probed};
use b24sync_domain::progress::{TimeBound, Window};
use b24sync_domain::run::RunKind;

use crate::ports::Ports;
use crate::{portal, schema};

/// What a sync of an entity would do.
#[derive(Debug, Clone)]
pub struct SyncPlan {
    /// Which entity.
    pub entity: EntityType,
    /// The kind of run that it would be: an incremental one of what was never read completely is a full one.
    pub kind: RunKind,
    /// What it would do to the table.
    pub schema: SchemaPlan,
    /// What it would take; `None` when the portal does not say how many records there are.
    pub appraisal: Option<Appraisal>,
}

/// Finds out what a full or incremental sync of `entity` would do. Neither the portal nor the replica is changed.
///
/// # Errors
/// [`SyncError`] of the portal or the database, as the sync itself.
pub async fn plan(
    ports: &Ports,
    entity: EntityType,
    kind: RunKind,
    timestamps: TimestampStyle,
) -> Result<SyncPlan, SyncError> {
    portal::check(ports, entity).await?;
    let schema = schema::plan(ports, entity, timestamps).await?;
    let since = if kind == RunKind::Incremental { since(ports, entity).await? } else { None };
    let (kind, window) = match since {
        Some(bound) => (RunKind::Incremental, Window::ModifiedSince(bound)),
        None => (RunKind::Full, Window::Everything),
    };
    let appraisal = ports.source.appraise(entity, &schema.mapping.layout, window).await;
    let appraisal = appraisal.map_err(|source| SyncError::Source { entity, source })?;
    Ok(SyncPlan { entity, kind, schema, appraisal })
}

/// From where on an incremental sync would read; `None` where it would read everything.
async fn since(ports: &Ports, entity: EntityType) -> Result<Option<TimeBound>, SyncError> {
    let standing = ports.runs.standing(entity).await.map_err(|source| SyncError::Store { entity, source })?;
    let Some(standing) = standing else { return Ok(None) };
    let style = style(ports, entity).await?;
    Ok(style.map(|style| TimeBound { at: standing.watermark.0, style }))
}

/// How the portal wants the bound of a time written, as found before or now; nothing is kept: that is for syncs to do.
async fn style(ports: &Ports, entity: EntityType) -> Result<Option<BoundStyle>, SyncError> {
    let kept = ports.portals.probe(entity).await.map_err(|source| SyncError::Store { entity, source })?;
    let probe = match kept {
        Some(kept) if !kept.stale => kept.probe,
        _ => match ports.source.probe(entity).await.map_err(|source| SyncError::Source { entity, source })? {
            Probed::Answered(probe) => probe,
            Probed::Empty => return Ok(Some(BoundStyle::default())),
            Probed::Unsettled => return Ok(None),
        },
    };
    Ok(probe.bounds.filter(|_| probe.allows_incremental()))
}
