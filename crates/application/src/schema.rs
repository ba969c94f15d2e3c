//! Describe the fields, plan the table, bring it there; and widen it when records show that it is too narrow.

use b24sync_domain::entity::EntityType;
use b24sync_domain::error::{StoreError, SyncError};
use b24sync_domain::field::FieldDescription;
use b24sync_domain::mapping::rows::{self, MappedBatch};
use b24sync_domain::mapping::schema::{self, PlanError, SchemaNeed, SchemaPlan};
use b24sync_domain::mapping::{ColumnName, TimestampStyle};
use b24sync_domain::record::RecordBatch;

use crate::ports::Ports;

/// Asks the portal for the entity's fields and brings the entity's table to them.
///
/// # Errors
/// [`SyncError`] of the portal or the database; [`SyncError::MissingField`] when the description lacks what a sync
/// cannot do without.
pub async fn ensure(ports: &Ports, entity: EntityType, timestamps: TimestampStyle) -> Result<SchemaPlan, SyncError> {
    let described = describe(ports, entity).await?;
    ensure_described(ports, entity, &described, timestamps).await
}

/// Brings the entity's table to fields that the portal has described.
///
/// # Errors
/// [`SyncError::Store`].
pub(crate) async fn ensure_described(
    ports: &Ports,
    entity: EntityType,
    described: &[FieldDescription],
    timestamps: TimestampStyle,
) -> Result<SchemaPlan, SyncError> {
    let plan = loop {
        let plan = plan_described(ports, entity, described, timestamps).await?;
        match ports.records.ensure_table(&plan).await {
            Ok(()) => break plan,
            Err(StoreError::CannotWiden { column, source }) if !plan.mapping.is_pinned(&column) => {
                tracing::warn!(entity = %entity, column = %column, error = %source, "column `{column}` cannot be given the type that its field has now; records that do not fit go into quarantine");
                let pinned = ports.records.pin_column(entity, &column).await;
                pinned.map_err(|source| SyncError::Store { entity, source })?;
            }
            Err(source) => return Err(SyncError::Store { entity, source }),
        }
    };
    if plan.changes_table() {
        tracing::info!(entity = %entity, columns = plan.add.len(), created = plan.create, "changed the table of {entity}");
    }
    Ok(plan)
}

/// What [`ensure`] would do.
///
/// # Errors
/// As [`ensure`].
pub async fn plan(ports: &Ports, entity: EntityType, timestamps: TimestampStyle) -> Result<SchemaPlan, SyncError> {
    let described = describe(ports, entity).await?;
    plan_described(ports, entity, &described, timestamps).await
}

/// Asks the portal for the entity's fields.
///
/// # Errors
/// [`SyncError::Source`]; [`SyncError::MissingField`] when the description lacks what a sync cannot do without.
pub(crate) async fn describe(ports: &Ports, entity: EntityType) -> Result<Vec<FieldDescription>, SyncError> {
    let described = ports.source.fields(entity).await.map_err(|source| SyncError::Source { entity, source })?;
    check_description(entity, &described)?;
    Ok(described)
}

async fn plan_described(
    ports: &Ports,
    entity: EntityType,
    described: &[FieldDescription],
    timestamps: TimestampStyle,
) -> Result<SchemaPlan, SyncError> {
    let known = ports.records.known_table(entity).await.map_err(|source| SyncError::Store { entity, source })?;
    schema::plan(entity, described, &known, timestamps).map_err(|PlanError::UnsupportedColumn { column, found }| {
        let source = StoreError::UnsupportedColumn {
            table: entity.table().to_owned(),
            column: column.as_str().to_owned(),
            found,
        };
        SyncError::Store { entity, source }
    })
}

/// A portal that describes next to nothing hides the entity from the webhook's user; a table of two columns would be
/// an answer that looks like success.
fn check_description(entity: EntityType, described: &[FieldDescription]) -> Result<(), SyncError> {
    for field in ["ID", entity.modified_field()] {
        if !described.iter().any(|description| description.name.as_str() == field) {
            return Err(SyncError::MissingField { entity, field });
        }
    }
    Ok(())
}

/// Maps a batch, widening the table as often as the records ask for it.
///
/// # Errors
/// [`SyncError::Store`] when the table cannot be changed for another reason than a column that refuses to be widened:
/// such a column is remembered as pinned, and records that do not fit it are rejected.
pub async fn fit(ports: &Ports, plan: &mut SchemaPlan, batch: &RecordBatch) -> Result<MappedBatch, SyncError> {
    loop {
        let needs = match rows::map(&plan.mapping, batch) {
            Ok(mapped) => return Ok(mapped),
            Err(needs) => needs,
        };
        widen(ports, plan, &needs).await.map_err(|source| SyncError::Store { entity: batch.entity, source })?;
    }
}

async fn widen(ports: &Ports, plan: &mut SchemaPlan, needs: &[SchemaNeed]) -> Result<(), StoreError> {
    let wider = plan.clone().with_needs(needs);
    match ports.records.ensure_table(&wider).await {
        Ok(()) => {
            tracing::info!(entity = %plan.entity, needs = ?needs, "widened the table of {}", plan.entity);
            *plan = wider;
            Ok(())
        }
        Err(StoreError::CannotWiden { column, source }) => {
            tracing::warn!(entity = %plan.entity, column = %column, error = %source, "column `{column}` cannot be widened; records that do not fit go into quarantine");
            pin(ports, plan, &column).await
        }
        Err(error) => Err(error),
    }
}

/// The needs of other columns show up again when the batch is mapped the next time.
async fn pin(ports: &Ports, plan: &mut SchemaPlan, column: &ColumnName) -> Result<(), StoreError> {
    ports.records.pin_column(plan.entity, column).await?;
    if let Some(kept) = plan.mapping.column_type(column) {
        plan.mapping.pin(column, kept);
    }
    Ok(())
}
