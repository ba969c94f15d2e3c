//! A dry run of the mapping on a sample: what would become of the values of each field.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use b24sync_domain::entity::EntityType;
use b24sync_domain::error::SyncError;
use b24sync_domain::mapping::{TimestampStyle, rows};
use b24sync_domain::ports::{FieldCheck, ListQuery, MappingCheck, MappingQuery};
use b24sync_domain::progress::{Cursor, Window};

use crate::ports::Ports;
use crate::schema;

/// Implements [`MappingQuery`] over the portal and what is known of the table.
#[derive(Clone)]
pub struct MappingService {
    ports: Ports,
    timestamps: TimestampStyle,
}

impl MappingService {
    /// Over these ports.
    pub fn new(ports: Ports, timestamps: TimestampStyle) -> MappingService {
        MappingService { ports, timestamps }
    }
}

#[async_trait]
impl MappingQuery for MappingService {
    async fn check(&self, entity: EntityType) -> Result<MappingCheck, SyncError> {
        let plan = schema::plan(&self.ports, entity, self.timestamps).await?;
        let layout = Arc::clone(&plan.mapping.layout);
        let query = ListQuery { entity, layout, window: Window::Everything, cursor: Cursor::START };
        let batch = self.ports.source.list(&query, &self.ports.order).await;
        let batch = batch.map_err(|source| SyncError::Source { entity, source })?;
        let mut fields: BTreeMap<String, FieldCheck> = BTreeMap::new();
        for checked in rows::check_fields(&plan.mapping, &batch) {
            fields.insert(checked.column.clone(), checked);
        }
        let records = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        Ok(MappingCheck { entity, records, fields: fields.into_values().collect() })
    }
}
