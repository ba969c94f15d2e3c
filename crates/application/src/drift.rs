//! Brings changes of fields to the records that were stored before (CORRECTNESS 4.6).

use std::collections::HashSet;
use std::sync::Arc;

use b24sync_domain::entity::EntityType;
use b24sync_domain::error::SyncError;
use b24sync_domain::field::FieldName;
use b24sync_domain::mapping::rows;
use b24sync_domain::mapping::schema::{PendingChange, RereadScope, SchemaPlan};
use b24sync_domain::ports::ListQuery;
use b24sync_domain::progress::{Cursor, Window};

use crate::pass::{Pass, Reading};
use crate::ports::Ports;

/// Changes that have not reached all records of the pass's entity.
pub(crate) async fn pending(pass: &Pass<'_>) -> Result<Vec<PendingChange>, SyncError> {
    pass.ports.drift.pending(pass.entity).await.map_err(|source| pass.store_failed(source))
}

/// Whether a change asks for more than the values of new fields, so that only a full pass can bring it.
pub(crate) async fn needs_everything(ports: &Ports, entity: EntityType) -> Result<bool, SyncError> {
    let pending = ports.drift.pending(entity).await.map_err(|source| SyncError::Store { entity, source })?;
    Ok(pending.iter().any(|pending| pending.change.scope != RereadScope::Values))
}

/// Gives the stored records the values of new fields: lists nothing but these fields of every record, and reads those
/// that have a value again, whole. A new field has few values as a rule, so that this costs a small part of a full pass;
/// and rows are still written from whole records only, under the read-order guard.
pub(crate) async fn fill(pass: &mut Pass<'_>, plan: &mut SchemaPlan) -> Result<Reading, SyncError> {
    let pending = pending(pass).await?;
    let new: Vec<&PendingChange> =
        pending.iter().filter(|pending| pending.change.scope == RereadScope::Values).collect();
    let Some(mut cursor) = new.iter().map(|pending| pending.cursor).min() else { return Ok(Reading::Complete) };
    let fields: Vec<FieldName> = new.iter().map(|pending| pending.change.field.clone()).collect();
    tracing::info!(entity = %pass.entity, columns = fields.len(), "reading the values of {} new fields", fields.len());
    pass.step("new fields", None).await;
    let wanted: HashSet<FieldName> = fields.iter().cloned().collect();
    loop {
        if pass.stop.is_cancelled() {
            return Ok(Reading::Stopped);
        }
        let narrow = plan.mapping.narrowed(&wanted);
        let layout = Arc::clone(&narrow.layout);
        let query = ListQuery { entity: pass.entity, layout, window: Window::Everything, cursor };
        let batch = pass.ports.source.list(&query, &pass.ports.order).await;
        let batch = batch.map_err(|source| pass.source_failed(source))?;
        pass.apply_by_id(plan, &rows::with_values(&narrow, &batch)).await?;
        let next = batch.ids().last().map(|id| Cursor::after(id.get())).filter(|_| !batch.exhausted);
        let advanced = pass.ports.drift.advance(pass.entity, &fields, next, pass.lease).await;
        advanced.map_err(|source| pass.store_failed(source))?;
        let Some(next) = next else { return Ok(Reading::Complete) };
        cursor = next;
    }
}
