//! A portal, a store and the ports over them.

use std::sync::Arc;

use b24sync_application::Ports;
use b24sync_application::backfill::backfill;
use b24sync_application::incremental::incremental;
use b24sync_domain::error::{Chain, SyncError};
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::run::RunSummary;
use b24sync_testkit::build::{deal, deal_fields};
use b24sync_testkit::observe::{NamedInstance, RecordingObserver};
use b24sync_testkit::source::FakeSource;
use b24sync_testkit::store::FakeStore;
use tokio_util::sync::CancellationToken;

pub(crate) struct Stage {
    pub(crate) portal: FakeSource,
    pub(crate) store: Arc<FakeStore>,
    pub(crate) instance: Arc<NamedInstance>,
    pub(crate) observer: Arc<RecordingObserver>,
    pub(crate) stop: CancellationToken,
}

impl Stage {
    /// A portal with this many deals, whose ids have gaps, and an empty store.
    pub(crate) fn new(deals: i64) -> Stage {
        let portal = FakeSource::new(deal_fields());
        for number in 1..=deals {
            portal.put(number * 3, number, &[("TITLE", &format!("\"deal {number}\"")), ("OPPORTUNITY", "\"1.50\"")]);
        }
        Stage {
            portal,
            store: Arc::default(),
            instance: Arc::new(NamedInstance::new("me")),
            observer: Arc::default(),
            stop: CancellationToken::new(),
        }
    }

    pub(crate) fn ports(&self) -> Ports {
        Ports {
            source: Arc::new(self.portal.clone()),
            order: Arc::<FakeStore>::clone(&self.store),
            records: Arc::<FakeStore>::clone(&self.store),
            deletions: Arc::<FakeStore>::clone(&self.store),
            drift: Arc::<FakeStore>::clone(&self.store),
            portals: Arc::<FakeStore>::clone(&self.store),
            runs: Arc::<FakeStore>::clone(&self.store),
            board: Arc::<FakeStore>::clone(&self.store),
            leases: Arc::<FakeStore>::clone(&self.store),
            instances: Arc::<NamedInstance>::clone(&self.instance),
            observer: Arc::<RecordingObserver>::clone(&self.observer),
        }
    }

    pub(crate) async fn sync(&self) -> Result<RunSummary, SyncError> {
        backfill(&self.ports(), deal(), TimestampStyle::Timestamp, None, &self.stop).await
    }

    pub(crate) async fn incremental(&self) -> RunSummary {
        self.try_incremental().await.unwrap()
    }

    pub(crate) async fn try_incremental(&self) -> Result<RunSummary, SyncError> {
        incremental(&self.ports(), deal(), TimestampStyle::Timestamp, &self.stop).await
    }

    /// A cell of a row.
    pub(crate) fn cell(&self, id: i64, column: &str) -> Option<String> {
        self.store.rows(deal()).get(&id).and_then(|row| row.get(column).cloned())
    }

    /// The error's chain, of a sync that has to fail.
    pub(crate) async fn failure(&self) -> String {
        Chain(&self.sync().await.unwrap_err()).to_string()
    }

    pub(crate) fn ids(&self) -> Vec<i64> {
        self.store.rows(deal()).into_keys().collect()
    }
}
