//! Compares portal and replica, and changes nothing.

use std::collections::HashSet;
use std::sync::Arc;

use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::error::SyncError;
use b24sync_domain::mapping::rows::{self, MappedBatch};
use b24sync_domain::mapping::schema::SchemaPlan;
use b24sync_domain::mapping::{ColumnName, TimestampStyle};
use b24sync_domain::ports::{ListQuery, StatusStore};
use b24sync_domain::progress::{Cursor, Window};
use b24sync_domain::reconcile::{self, Difference, DifferenceKind};
use b24sync_domain::record::RecordBatch;
use tokio_util::sync::CancellationToken;

use crate::ports::Ports;
use crate::{portal, schema};

/// Fingerprints that are asked for at once.
const PRINTS_AT_ONCE: u32 = 5_000;

/// What a comparison found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Records that the portal shows.
    pub records: u64,
    /// Records that are equal on both sides.
    pub equal: u64,
    /// Records that the table lacks.
    pub missing: u64,
    /// Rows that the portal does not show.
    pub extra: u64,
    /// Records whose content differs.
    pub different: u64,
    /// Records whose rows were changed by somebody else.
    pub altered: u64,
    /// Records that cannot be stored.
    pub quarantined: u64,
    /// The differences, ascending by id.
    pub differences: Vec<Difference>,
    /// Whether the whole listing was compared.
    pub complete: bool,
}

impl Comparison {
    /// Whether both sides are equal, quarantined records aside.
    pub fn is_equal(&self) -> bool {
        self.complete && self.missing + self.extra + self.different + self.altered == 0
    }

    /// Records that reading them again may bring together; those in quarantine it would not.
    pub fn repairable(&self) -> Vec<RecordId> {
        let differences = self.differences.iter();
        let repairable = differences.filter(|difference| difference.kind != DifferenceKind::Quarantined);
        repairable.map(|difference| difference.id).collect()
    }

    fn add(&mut self, shown: usize, differences: Vec<Difference>) {
        let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        self.records += number(shown);
        let of = |kind| number(differences.iter().filter(|difference| difference.kind == kind).count());
        let extra = of(DifferenceKind::Extra);
        self.missing += of(DifferenceKind::Missing);
        self.extra += extra;
        self.different += of(DifferenceKind::Different);
        self.altered += of(DifferenceKind::Altered);
        self.quarantined += of(DifferenceKind::Quarantined);
        self.equal += number(shown) - (number(differences.len()) - extra);
        self.differences.extend(differences);
    }
}

/// Reads every record of `entity` and holds it against the replica: ids, content by hash, and the rows
/// themselves. Takes no lease and writes
/// nothing; what changes meanwhile shows up as a difference.
///
/// # Errors
/// [`SyncError`] of the portal or the database.
#[tracing::instrument(name = "sync.verify", skip_all, fields(entity = %entity))]
pub async fn verify(
    ports: &Ports,
    status: &dyn StatusStore,
    entity: EntityType,
    timestamps: TimestampStyle,
    stop: &CancellationToken,
) -> Result<Comparison, SyncError> {
    portal::check(ports, entity).await?;
    let mut plan = schema::plan(ports, entity, timestamps).await?;
    let to_add: HashSet<ColumnName> = plan.add.iter().map(|column| column.name.clone()).collect();
    let mut comparison = Comparison::default();
    let mut cursor = Cursor::START;
    while !stop.is_cancelled() {
        let layout = Arc::clone(&plan.mapping.layout);
        let query = ListQuery { entity, layout, window: Window::Everything, cursor };
        let batch = ports.source.list(&query, &ports.order).await;
        let batch = batch.map_err(|source| SyncError::Source { entity, source })?;
        let (exhausted, end) = (batch.exhausted, batch.ids().last().map(|id| Cursor::after(id.get())));
        let mut shown = map(&mut plan, &batch);
        // What the table does not have yet cannot be compared; a value there shows up in the hash.
        shown.rows.columns.retain(|column| !to_add.contains(&column.name));
        drop(batch);
        let up_to = if exhausted { None } else { end };
        compare_range(status, entity, (cursor, up_to), &shown, &mut comparison).await?;
        match end {
            Some(end) if !exhausted => cursor = end,
            _ => {
                comparison.complete = exhausted;
                return Ok(comparison);
            }
        }
    }
    Ok(comparison)
}

/// Maps without touching the table: a wider column changes no hash.
fn map(plan: &mut SchemaPlan, batch: &RecordBatch) -> MappedBatch {
    loop {
        match rows::map(&plan.mapping, batch) {
            Ok(mapped) => return mapped,
            Err(needs) => *plan = plan.clone().with_needs(&needs),
        }
    }
}

async fn compare_range(
    status: &dyn StatusStore,
    entity: EntityType,
    (after, up_to): (Cursor, Option<Cursor>),
    shown: &MappedBatch,
    comparison: &mut Comparison,
) -> Result<(), SyncError> {
    let mut stored = Vec::new();
    let mut from = after;
    loop {
        let part = status.fingerprints(entity, from, up_to, PRINTS_AT_ONCE).await;
        let part = part.map_err(|source| SyncError::Store { entity, source })?;
        let Some(last) = part.last() else { break };
        from = Cursor::after(last.id.get());
        stored.extend(part);
    }
    let mut differences = reconcile::compare(shown, &stored);
    let known: HashSet<RecordId> = differences.iter().map(|difference| difference.id).collect();
    let altered = status.differing(&shown.rows).await.map_err(|source| SyncError::Store { entity, source })?;
    let altered = altered.into_iter().filter(|id| !known.contains(id));
    differences.extend(altered.map(|id| Difference { id, kind: DifferenceKind::Altered }));
    differences.sort_by_key(|difference| difference.id);
    comparison.add(shown.rows.len() + shown.rejected.len(), differences);
    Ok(())
}
