//! A dry run of the mapping on a sample: what would become of the values of each field.
//!
//! Each costs the portal requests, of which it grants few: however many ask, an entity is tried once in some seconds.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use b24sync_domain::entity::EntityType;
use b24sync_domain::error::{SourceError, SyncError};
use b24sync_domain::mapping::{TimestampStyle, rows};
use b24sync_domain::portal::BoundStyle;
use b24sync_domain::ports::{FieldCheck, MappingCheck, MappingQuery, NewsQuery};
use b24sync_domain::progress::{Cursor, TimeBound};
use chrono::DateTime;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::ports::Ports;
use crate::schema;

/// The year 2100, in seconds since 1970.
const FAR: i64 = 4_102_444_800;

/// How long an answer is given again.
const KEPT_FOR: Duration = Duration::from_secs(5);

/// What came of the last attempt with an entity. Whoever asks meanwhile waits for it.
#[derive(Default)]
struct Kept {
    /// The last answer, and when it was found.
    answer: Option<(Instant, MappingCheck)>,
    /// When there was none.
    failed: Option<Instant>,
}

/// Implements [`MappingQuery`] over the portal and what is known of the table.
pub struct MappingService {
    ports: Ports,
    timestamps: TimestampStyle,
    kept: HashMap<EntityType, Mutex<Kept>>,
}

impl MappingService {
    /// Over these ports.
    pub fn new(ports: Ports, timestamps: TimestampStyle) -> MappingService {
        let kept = EntityType::all().map(|entity| (entity, Mutex::default())).collect();
        MappingService { ports, timestamps, kept }
    }

    async fn try_now(&self, entity: EntityType) -> Result<MappingCheck, SyncError> {
        let plan = schema::plan(&self.ports, entity, self.timestamps).await?;
        let layout = Arc::clone(&plan.mapping.layout);
        // A listing brings as many records as an answer can hold, of which a sample needs a page: the first one of what
        // an incremental sync would take for new. Nothing was changed in a year that has yet to come.
        let never =
            TimeBound { at: DateTime::from_timestamp(FAR, 0).unwrap_or_default(), style: BoundStyle::default() };
        let query = NewsQuery { entity, layout, changed: (never, Cursor::START), created: Cursor::START };
        let news = self.ports.source.news(&query, &self.ports.order).await;
        let batch = news.map_err(|source| SyncError::Source { entity, source })?.created;
        let mut fields: BTreeMap<String, FieldCheck> = BTreeMap::new();
        for checked in rows::check_fields(&plan.mapping, &batch) {
            fields.insert(checked.column.clone(), checked);
        }
        let records = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        Ok(MappingCheck { entity, records, fields: fields.into_values().collect() })
    }
}

#[async_trait]
impl MappingQuery for MappingService {
    async fn check(&self, entity: EntityType) -> Result<MappingCheck, SyncError> {
        let asked = Instant::now();
        let Some(kept) = self.kept.get(&entity) else { return self.try_now(entity).await };
        let mut kept = kept.lock().await;
        if let Some((at, answer)) = &kept.answer
            && at.elapsed() < KEPT_FOR
        {
            return Ok(answer.clone());
        }
        if kept.failed.is_some_and(|failed| failed >= asked) {
            // All that waited would fail one after the other.
            let source = "an attempt that was under way has failed".into();
            let source = SourceError::Unavailable { method: format!("crm.{entity}.list"), source };
            return Err(SyncError::Source { entity, source });
        }
        let found = self.try_now(entity).await;
        match &found {
            Ok(answer) => kept.answer = Some((Instant::now(), answer.clone())),
            Err(_) => kept.failed = Some(Instant::now()),
        }
        found
    }
}
