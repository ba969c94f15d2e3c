//! [`BitrixSource`]: the domain's [`CrmSource`] on a Bitrix24 portal.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use async_trait::async_trait;
use b24sync_domain::appraisal::Appraisal;
use b24sync_domain::entity::{EntityType, RecordId};
use b24sync_domain::error::SourceError;
use b24sync_domain::field::FieldDescription;
use b24sync_domain::pacing::RateLimits;
use b24sync_domain::portal::{EntityProbe, PortalProfile, Probed};
use b24sync_domain::ports::{CrmSource, Evidence, ListQuery, MAX_EVIDENCE, News, NewsQuery, PortalPacer, ReadOrder};
use b24sync_domain::progress::{PAGE_SIZE, Window};
use b24sync_domain::record::{Layout, RecordBatch, RecordBatchBuilder};
use chrono::{DateTime, FixedOffset, Offset, TimeDelta, Utc};

use crate::command::MAX_COMMANDS;
use crate::config::{BitrixConfig, ConfigError};
use crate::decode::Slots;
use crate::dialect::EntityDialect;
use crate::fields::Metadata;
use crate::reader::{
    ByIds, Count, Describe, Gauge, Keyset, Listing, Questions, ReadEvidence, ReadNewest, ReadNews, ReadProfile,
    ReadSample, Sample, requests,
};
use crate::transport::Transport;

/// How often a probe is begun anew because the record that was asked for changed meanwhile.
const PROBE_ATTEMPTS: usize = 3;

/// Reads one portal, through an incoming webhook or as an application.
pub struct BitrixSource {
    /// As configured: a portal that has moved is still the same one.
    address: String,
    pub(crate) transport: Transport,
    entities: HashMap<EntityType, Entity>,
    /// The portal's offset from UTC in seconds, as last heard.
    offset: AtomicI32,
    /// The portal's limits as configured.
    limits: RateLimits,
    operating_limit: f64,
}

/// What is known of an entity.
struct Entity {
    dialect: EntityDialect,
    gauge: Gauge,
    /// The same for lists that bring a few fields only: they weigh next to nothing.
    narrow_gauge: Gauge,
    /// The same for records that are asked for by their ids.
    named_gauge: Gauge,
    /// As described last.
    metadata: RwLock<Option<Arc<Metadata>>>,
}

impl fmt::Debug for BitrixSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BitrixSource").finish_non_exhaustive()
    }
}

impl BitrixSource {
    /// Prepares the connection; sends nothing yet.
    ///
    /// # Errors
    /// The first of [`BitrixConfig::problems`], or [`ConfigError::Client`].
    pub fn new(config: &BitrixConfig, pacer: Arc<dyn PortalPacer>) -> Result<BitrixSource, ConfigError> {
        if let Some(problem) = config.problems().into_iter().next() {
            return Err(problem);
        }
        let entity = |entity| Entity {
            dialect: EntityDialect::of(config.dialect, entity),
            gauge: Gauge::default(),
            narrow_gauge: Gauge::default(),
            named_gauge: Gauge::for_named(),
            metadata: RwLock::default(),
        };
        Ok(BitrixSource {
            address: config.access.host(),
            transport: Transport::new(config, pacer)?,
            entities: EntityType::all().map(|kind| (kind, entity(kind))).collect(),
            offset: AtomicI32::new(0),
            limits: config.rate_limits(),
            operating_limit: config.operating_limit,
        })
    }

    fn heard(&self, offset: FixedOffset) {
        self.offset.store(offset.local_minus_utc(), Ordering::Relaxed);
    }

    fn portal_offset(&self) -> FixedOffset {
        FixedOffset::east_opt(self.offset.load(Ordering::Relaxed)).unwrap_or_else(|| Utc.fix())
    }

    fn entity(&self, entity: EntityType) -> Result<&Entity, SourceError> {
        self.entities.get(&entity).ok_or_else(|| SourceError::Unsupported { method: format!("crm.{entity}.list") })
    }

    async fn count_in(&self, entity: EntityType, window: Window) -> Result<Option<u64>, SourceError> {
        let count = Count { dialect: &self.entity(entity)?.dialect, window: (window, self.portal_offset()) };
        self.transport.call(&count, None).await
    }

    /// Describes the fields anew.
    async fn describe(&self, entity: EntityType) -> Result<Arc<Metadata>, SourceError> {
        let known = self.entity(entity)?;
        let (metadata, time) = self.transport.call(&Describe { dialect: &known.dialect }, None).await?;
        if let Some(start) = time.start {
            self.heard(*start.offset());
        }
        let metadata = Arc::new(metadata);
        *known.metadata.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&metadata));
        Ok(metadata)
    }

    /// The names of the fields, as described last; without them a record's keys cannot be told.
    async fn metadata(&self, entity: EntityType) -> Result<Arc<Metadata>, SourceError> {
        let known = self.entity(entity)?.metadata.read().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some(metadata) => Ok(metadata),
            None => self.describe(entity).await,
        }
    }
}

#[async_trait]
impl CrmSource for BitrixSource {
    fn address(&self) -> String {
        self.address.clone()
    }

    async fn profile(&self) -> Result<PortalProfile, SourceError> {
        let profile = self.transport.call(&ReadProfile, None).await?;
        self.heard(*profile.server_time.offset());
        Ok(profile)
    }

    async fn probe(&self, entity: EntityType) -> Result<Probed, SourceError> {
        let dialect = &self.entity(entity)?.dialect;
        for _ in 0..PROBE_ATTEMPTS {
            let newest = self.transport.call(&ReadNewest { dialect }, None).await?;
            self.heard(*newest.source_time.offset());
            let Some(record) = newest.record else { return Ok(Probed::Empty) };
            let questions = Questions { dialect, record, offset: self.portal_offset() };
            if let Some(understood) = self.transport.call(&questions, None).await? {
                let ahead = record.modified.map(|modified| modified - newest.source_time).unwrap_or_default();
                return Ok(Probed::Answered(EntityProbe {
                    entity,
                    bounds: understood.bounds,
                    keyset: understood.keyset,
                    ahead: ahead.max(TimeDelta::zero()),
                }));
            }
        }
        Ok(Probed::Unsettled)
    }

    async fn fields(&self, entity: EntityType) -> Result<Vec<FieldDescription>, SourceError> {
        Ok(self.describe(entity).await?.descriptions())
    }

    async fn list(&self, query: &ListQuery, order: &Arc<dyn ReadOrder>) -> Result<RecordBatch, SourceError> {
        let metadata = self.metadata(query.entity).await?;
        let Entity { dialect, gauge, narrow_gauge, .. } = self.entity(query.entity)?;
        let gauge = if metadata.is_narrow(dialect, &query.layout) { narrow_gauge } else { gauge };
        let listing = Listing {
            query,
            keyset: Keyset { dialect, metadata: &metadata, layout: &query.layout, offset: self.portal_offset() },
            slots: Slots::new(dialect, &metadata, &query.layout),
            gauge,
            asked: AtomicUsize::new(1),
        };
        let batch = self.transport.call(&listing, Some(order.as_ref())).await?;
        self.heard(*batch.source_time.offset());
        Ok(batch)
    }

    async fn news(&self, query: &NewsQuery, order: &Arc<dyn ReadOrder>) -> Result<News, SourceError> {
        let metadata = self.metadata(query.entity).await?;
        let dialect = &self.entity(query.entity)?.dialect;
        let read = ReadNews {
            query,
            keyset: Keyset { dialect, metadata: &metadata, layout: &query.layout, offset: self.portal_offset() },
            slots: Slots::new(dialect, &metadata, &query.layout),
        };
        let news = self.transport.call(&read, Some(order.as_ref())).await?;
        self.heard(*news.changed.source_time.offset());
        Ok(news)
    }

    fn ids_at_once(&self, entity: EntityType) -> usize {
        let commands = self.entity(entity).map_or(MAX_COMMANDS, |entity| entity.named_gauge.independent());
        commands * PAGE_SIZE
    }

    async fn by_ids(
        &self,
        entity: EntityType,
        layout: &Arc<Layout>,
        ids: &[RecordId],
        order: &Arc<dyn ReadOrder>,
    ) -> Result<RecordBatch, SourceError> {
        let metadata = self.metadata(entity).await?;
        let Entity { dialect, named_gauge: gauge, .. } = self.entity(entity)?;
        let mut ids = ids.to_vec();
        ids.sort_unstable();
        ids.dedup();
        if ids.len() > PAGE_SIZE * MAX_COMMANDS {
            return Err(SourceError::Rejected {
                method: dialect.list_method.clone(),
                code: String::new(),
                description: format!("{} records asked for at once", ids.len()),
            });
        }
        if ids.is_empty() {
            // A list without ids would be one of everything.
            let token = order.next().await.map_err(SourceError::ReadOrder)?;
            let time = DateTime::UNIX_EPOCH.with_timezone(&self.portal_offset());
            let builder = RecordBatchBuilder::new(entity, Arc::clone(layout), token, time, String::new());
            return Ok(builder.finish(false));
        }
        let slots = Slots::new(dialect, &metadata, layout);
        let by_ids = ByIds { entity, layout, ids: &ids, dialect, metadata: &metadata, slots, gauge };
        self.transport.call(&by_ids, Some(order.as_ref())).await
    }

    async fn evidence(
        &self,
        entity: EntityType,
        ids: &[RecordId],
        control: RecordId,
        order: &Arc<dyn ReadOrder>,
    ) -> Result<Evidence, SourceError> {
        if ids.len() > MAX_EVIDENCE {
            let description = format!("{} records asked for at once", ids.len());
            return Err(SourceError::Rejected { method: "batch".to_owned(), code: String::new(), description });
        }
        let read = ReadEvidence { type_id: entity.type_id(), ids, control };
        self.transport.call(&read, Some(order.as_ref())).await
    }

    async fn appraise(
        &self,
        entity: EntityType,
        layout: &Arc<Layout>,
        window: Window,
    ) -> Result<Option<Appraisal>, SourceError> {
        let metadata = self.metadata(entity).await?;
        let Some(records) = self.count_in(entity, window).await? else { return Ok(None) };
        let dialect = &self.entity(entity)?.dialect;
        let sample = async || {
            let keyset = Keyset { dialect, metadata: &metadata, layout, offset: self.portal_offset() };
            self.transport
                .call(&ReadSample { keyset, window, slots: Slots::new(dialect, &metadata, layout) }, None)
                .await
        };
        // What one costs shows in how the account differs between two.
        let before: Sample = sample().await?;
        let after: Sample = sample().await?;
        let cost = before.operating.zip(after.operating).map(|(before, after)| (after - before).max(0.0));
        let pages = records.div_ceil(u64::try_from(PAGE_SIZE).unwrap_or(u64::MAX));
        let seconds = before.seconds.into_iter().chain(after.seconds).fold(f64::INFINITY, f64::min);
        let page = if seconds.is_finite() { seconds } else { 0.0 };
        Ok(Some(Appraisal {
            records,
            requests: requests(pages, after.bytes),
            pages,
            page: Duration::try_from_secs_f64(page).unwrap_or_default(),
            page_operating: cost,
            limits: self.limits,
            operating_limit: self.operating_limit,
        }))
    }

    async fn count(&self, entity: EntityType) -> Result<Option<u64>, SourceError> {
        self.count_in(entity, Window::Everything).await
    }
}
