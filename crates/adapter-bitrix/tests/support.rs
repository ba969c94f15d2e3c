//! What the tests share.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use b24sync_adapter_bitrix::{BitrixConfig, BitrixSource, Dialect, RetryPolicy, WebhookUrl};
use b24sync_domain::entity::EntityType;
use b24sync_domain::error::{SourceError, StoreError};
use b24sync_domain::field::FieldDescription;
use b24sync_domain::ports::{BudgetReport, CrmSource, Lane, ListQuery, Permit, PortalPacer, PortalRequest, ReadOrder};
use b24sync_domain::progress::{Cursor, Window};
use b24sync_domain::record::{Layout, ReadToken, RecordBatch};
use b24sync_portal_emulator::{Counts, Portal, PortalConfig, RunningPortal};

/// Numbers reads, and remembers how many it numbered.
#[derive(Default)]
pub(crate) struct Numbers(AtomicI64);

#[async_trait]
impl ReadOrder for Numbers {
    async fn next(&self) -> Result<ReadToken, StoreError> {
        Ok(ReadToken(self.0.fetch_add(1, Ordering::Relaxed) + 1))
    }
}

/// Lets everything through and remembers what it was told.
#[derive(Default)]
pub(crate) struct Witness {
    pub(crate) admitted: Mutex<Vec<(Lane, Vec<String>)>>,
    pub(crate) reports: Mutex<Vec<BudgetReport>>,
}

#[async_trait]
impl PortalPacer for Witness {
    async fn admit(&self, request: &PortalRequest) -> Result<Permit, StoreError> {
        self.admitted.lock().unwrap().push((request.lane, request.methods.clone()));
        Ok(Permit::new(*request.commands.end(), ()))
    }

    async fn report(&self, reports: &[BudgetReport]) {
        self.reports.lock().unwrap().extend_from_slice(reports);
    }
}

/// A source, and what it does beside reading.
pub(crate) struct Rig {
    pub(crate) source: BitrixSource,
    pub(crate) pacer: Arc<Witness>,
    pub(crate) order: Arc<dyn ReadOrder>,
}

pub(crate) fn config(address: &str, dialect: Dialect) -> BitrixConfig {
    BitrixConfig {
        dialect,
        allow_loopback: true,
        read_timeout: Duration::from_secs(5),
        retry: RetryPolicy {
            attempts: 5,
            rate_limit_first: Duration::from_millis(2),
            rate_limit_max: Duration::from_millis(10),
            other_first: Duration::from_millis(1),
            other_max: Duration::from_millis(5),
        },
        ..BitrixConfig::new(WebhookUrl::parse(address).unwrap())
    }
}

impl Rig {
    pub(crate) fn with(config: &BitrixConfig) -> Rig {
        let pacer = Arc::new(Witness::default());
        let shared: Arc<dyn PortalPacer> = Arc::<Witness>::clone(&pacer);
        let source = BitrixSource::new(config, shared).unwrap();
        Rig { source, pacer, order: Arc::new(Numbers::default()) }
    }

    pub(crate) fn on(portal: &RunningPortal, dialect: Dialect) -> Rig {
        Rig::with(&config(&portal.webhook_url(), dialect))
    }

    pub(crate) async fn page(&self, query: &ListQuery) -> Result<RecordBatch, SourceError> {
        self.source.list(query, &self.order).await
    }

    /// Reads everything as a full pass does.
    pub(crate) async fn read_all(&self, entity: EntityType) -> Result<Table, SourceError> {
        self.read(entity, Window::Everything).await
    }

    pub(crate) async fn read(&self, entity: EntityType, window: Window) -> Result<Table, SourceError> {
        let fields = self.source.fields(entity).await?;
        let mut query = query(entity, &fields, window);
        let mut batches = Vec::new();
        for _ in 0..1_000 {
            let batch = self.page(&query).await?;
            if let Some(last) = batch.ids().last() {
                assert!(batch.ids().first().unwrap().get() > query.cursor.get());
                query.cursor = Cursor::after(last.get());
            }
            let exhausted = batch.exhausted;
            batches.push(batch);
            if exhausted {
                return Ok(Table { fields, batches });
            }
        }
        panic!("the listing does not end");
    }
}

pub(crate) fn query(entity: EntityType, fields: &[FieldDescription], window: Window) -> ListQuery {
    let layout = Layout::new(fields.iter().map(|field| field.name.clone()).collect());
    ListQuery { entity, layout, window, cursor: Cursor::START }
}

/// Everything that was read of an entity.
pub(crate) struct Table {
    pub(crate) fields: Vec<FieldDescription>,
    pub(crate) batches: Vec<RecordBatch>,
}

impl Table {
    pub(crate) fn ids(&self) -> Vec<i64> {
        self.batches.iter().flat_map(|batch| batch.ids().iter().map(|id| id.get())).collect()
    }

    pub(crate) fn strays(&self) -> BTreeMap<String, String> {
        let strays = self.batches.iter().flat_map(RecordBatch::strays);
        strays.map(|(stray, json)| (stray.name.clone(), json.to_owned())).collect()
    }

    /// Records by id, values by field.
    pub(crate) fn rows(&self) -> BTreeMap<i64, BTreeMap<&str, &str>> {
        let mut rows = BTreeMap::new();
        for batch in &self.batches {
            for (row, id) in batch.ids().iter().enumerate() {
                let values = self.fields.iter().enumerate();
                let values = values.filter_map(|(at, field)| Some((field.name.as_str(), batch.value(row, at)?)));
                rows.insert(id.get(), values.collect());
            }
        }
        rows
    }
}

pub(crate) fn entity(key: &str) -> EntityType {
    key.parse().unwrap()
}

pub(crate) fn portal(change: impl FnOnce(&mut PortalConfig)) -> (Portal, RunningPortal) {
    let mut config = PortalConfig::default();
    change(&mut config);
    let portal = Portal::new(config);
    let running = portal.start().unwrap();
    (portal, running)
}

/// Only deals.
pub(crate) fn deals(count: u64) -> (Portal, RunningPortal) {
    portal(|config| config.counts = Counts::deals(count))
}
