//! Settings → adapters → services. The only module that names adapter types.
//!
//! - [`portal`](Portal): the portal's client.
//! - [`doctor`]: the same for the self-test, which works with whatever can be used.

mod absent;
pub mod doctor;
mod migration;
mod portal;

use std::sync::Arc;
use std::time::Duration;

use b24sync_adapter_bitrix::BitrixSource;
use b24sync_adapter_http::ApiPorts;
use b24sync_adapter_postgres::{
    DatabaseUrl, MigrateOptions, PgStore, PoolSettings, SchemaName, StoreOptions, migrate as apply,
};
use b24sync_application::Ports;
use b24sync_application::ports::StatusPorts;
use b24sync_application::service::ServicePorts;
use b24sync_application::service::application::{ApplicationOptions, ApplicationPorts, ApplicationService};
use b24sync_application::service::control::{ControlService, InboxService};
use b24sync_application::service::intake::Signals;
use b24sync_application::status::StatusService;
use b24sync_domain::error::{Chain, StoreError};
use b24sync_domain::ports::{
    ApplicationControl, Authenticator, CrmSource, EventInbox, EventIntake, Happenings, MappingQuery, MetricsQuery,
    RunObserver, SchemaStore, StatusStore, WebhookRegistration,
};
use b24sync_embedded_postgres::{EmbeddedPostgres, Settings as EmbeddedSettings, Stop};
use metrics_exporter_prometheus::PrometheusHandle;
use secrecy::ExposeSecret;

use self::absent::NoFigures;
pub use self::absent::{NoPortal, authenticator};
pub use self::migration::migrate;
use self::migration::warn_of_exposed;
pub use self::portal::{Portal, built, source};
use crate::failure::Failure;
use crate::instance::ThisProcess;
use crate::metering::Figures;
use crate::output::Output;
use crate::settings::DatabaseSettings;

/// Time between full syncs, where nobody says otherwise.
const RECONCILE: Duration = Duration::from_secs(24 * 3_600);

/// The database, and the private server below it if there is one.
pub struct Database {
    store: PgStore,
    default_interval_minutes: i32,
    private: Option<Private>,
}

/// What the HTTP interface needs besides the database.
pub struct Outside {
    /// Dry runs of the mapping.
    pub mapping: Arc<dyn MappingQuery>,
    /// What happens.
    pub happenings: Arc<dyn Happenings>,
    /// Who calls.
    pub authenticator: Arc<dyn Authenticator>,
    /// Figures.
    pub metrics: Arc<dyn MetricsQuery>,
    /// Events of the portal.
    pub intake: Arc<dyn EventIntake>,
    /// The service as an application of the portal.
    pub application: Arc<dyn ApplicationControl>,
    /// The portal's handlers.
    pub registration: Arc<dyn WebhookRegistration>,
    /// Time between full syncs.
    pub reconcile: Duration,
}

/// The private server and the database in it.
struct Private {
    server: EmbeddedPostgres,
    database: &'static str,
}

impl Database {
    /// Opens a database that has been migrated; the private one is migrated on the way.
    ///
    /// # Errors
    /// When it cannot be reached, or has not been migrated.
    pub async fn open(settings: &DatabaseSettings, output: Output) -> Result<Database, Failure> {
        let address = Address::resolve(settings, output).await?;
        let migrate = address.private.is_some();
        address.open(settings, migrate, output).await
    }

    /// Opens a database and brings it to this version first.
    ///
    /// # Errors
    /// When it cannot be reached or migrated.
    pub async fn open_migrated(settings: &DatabaseSettings, output: Output) -> Result<Database, Failure> {
        Address::resolve(settings, output).await?.open(settings, true, output).await
    }

    /// Ports for use cases that read this portal.
    pub fn ports(&self, source: Arc<dyn CrmSource>, observer: Arc<dyn RunObserver>) -> Ports {
        Ports {
            source,
            order: Arc::new(self.store.clone()),
            records: Arc::new(self.store.clone()),
            deletions: Arc::new(self.store.clone()),
            drift: Arc::new(self.store.clone()),
            portals: Arc::new(self.store.clone()),
            runs: Arc::new(self.store.clone()),
            board: Arc::new(self.store.clone()),
            leases: Arc::new(self.store.clone()),
            instances: Arc::new(ThisProcess::new()),
            observer,
        }
    }

    /// Ports for the scheduler and the workers.
    pub fn service_ports(&self) -> ServicePorts {
        ServicePorts {
            runs: Arc::new(self.store.clone()),
            board: Arc::new(self.store.clone()),
            settings: Arc::new(self.store.clone()),
            leases: Arc::new(self.store.clone()),
            instances: Arc::new(ThisProcess::new()),
        }
    }

    /// Starts, stops and watches syncs; settings and history.
    pub fn control(&self) -> ControlService {
        ControlService::new(self.service_ports(), RECONCILE, self.default_interval_minutes)
    }

    /// Answers about the replica.
    pub fn status_service(&self) -> StatusService {
        StatusService::new(StatusPorts {
            status: Arc::new(self.store.clone()),
            portals: Arc::new(self.store.clone()),
            runs: Arc::new(self.store.clone()),
            board: Arc::new(self.store.clone()),
            leases: Arc::new(self.store.clone()),
            instances: Arc::new(ThisProcess::new()),
        })
    }

    /// How the replica stands, record by record.
    pub fn status_store(&self) -> Arc<dyn StatusStore> {
        Arc::new(self.store.clone())
    }

    /// What replica tables are and what would become of them.
    pub fn schema_store(&self) -> Arc<dyn SchemaStore> {
        Arc::new(self.store.clone())
    }

    /// The service as an application of the portal behind `source`; `signals` are those of the intake.
    pub fn application(
        &self,
        source: &Arc<BitrixSource>,
        options: ApplicationOptions,
        signals: Arc<Signals>,
    ) -> ApplicationService {
        application(&self.store, source, options, signals)
    }

    /// The inbox of events.
    pub fn inbox(&self) -> Arc<dyn EventInbox> {
        Arc::new(self.store.clone())
    }

    /// Shows and steers the inbox.
    pub fn inbox_control(&self) -> InboxService {
        InboxService::new(self.inbox())
    }

    /// Ports for the HTTP interface.
    pub fn api_ports(&self, outside: Outside) -> ApiPorts {
        let control = ControlService::new(self.service_ports(), outside.reconcile, self.default_interval_minutes);
        ApiPorts {
            syncs: Arc::new(control.clone()),
            status: Arc::new(self.status_service()),
            history: Arc::new(control.clone()),
            scheduler: Arc::new(control.clone()),
            settings: Arc::new(control.clone()),
            health: Arc::new(control),
            mapping: outside.mapping,
            happenings: outside.happenings,
            authenticator: outside.authenticator,
            metrics: outside.metrics,
            intake: outside.intake,
            inbox: Arc::new(self.inbox_control()),
            application: outside.application,
            registration: outside.registration,
        }
    }

    /// Figures: those that are recorded while `handle` is there, and those that the database knows.
    pub fn figures(&self, handle: Option<PrometheusHandle>) -> Arc<dyn MetricsQuery> {
        match handle {
            Some(handle) => Arc::new(Figures::new(handle, Arc::new(self.status_service()), self.store.clone())),
            None => Arc::new(NoFigures),
        }
    }

    /// The store itself, for the demo's look at its rows.
    pub fn store(&self) -> &PgStore {
        &self.store
    }

    /// A line that opens the private database with `psql`.
    pub fn psql_command(&self) -> Option<String> {
        self.private.as_ref().map(|private| private.server.psql_command(private.database))
    }

    /// Stops the private server, if there is one and it is ours.
    pub async fn close(self, output: Output) {
        drop(self.store);
        stop(self.private, output).await;
    }
}

fn application(
    store: &PgStore,
    source: &Arc<BitrixSource>,
    options: ApplicationOptions,
    signals: Arc<Signals>,
) -> ApplicationService {
    let ports = ApplicationPorts {
        grant: Arc::<BitrixSource>::clone(source),
        subscriptions: Arc::<BitrixSource>::clone(source),
        queue: Arc::<BitrixSource>::clone(source),
        registrations: Arc::new(store.clone()),
        inbox: Arc::new(store.clone()),
        runs: Arc::new(store.clone()),
        leases: Arc::new(store.clone()),
        instances: Arc::new(ThisProcess::new()),
    };
    ApplicationService::new(ports, options, signals)
}

async fn stop(private: Option<Private>, output: Output) {
    let Some(private) = private else { return };
    match private.server.stop().await {
        Ok(Stop::Stopped | Stop::LeftRunning) => {}
        Err(error) => output.warn(&Chain(&error).to_string()),
    }
}

/// Where the database is, before anything has been asked of it.
pub(super) struct Address {
    pub(super) url: DatabaseUrl,
    private: Option<Private>,
}

impl Address {
    async fn resolve(settings: &DatabaseSettings, output: Output) -> Result<Address, Failure> {
        if let Some(url) = &settings.url {
            return Ok(Address { url: parse(url.expose_secret())?, private: None });
        }
        let server = EmbeddedPostgres::start(EmbeddedSettings {
            data_dir: settings.data_dir.clone(),
            binaries_dir: settings.postgres_bin.clone(),
            ..EmbeddedSettings::default()
        })
        .await?;
        output.note(&format!(
            "{}using a private PostgreSQL {} in {}",
            if settings.wants_private { "" } else { "DATABASE_URL is not set: " },
            server.version(),
            server.data_dir().display()
        ));
        let database = settings.private_database;
        server.create_database_if_missing(database).await?;
        let url = parse(server.url(database).expose_secret())?;
        Ok(Address { url, private: Some(Private { server, database }) })
    }

    async fn open(self, settings: &DatabaseSettings, migrate: bool, output: Output) -> Result<Database, Failure> {
        match connect(&self.url, settings, migrate, output).await {
            Ok(store) => {
                let default_interval_minutes = settings.default_interval_minutes;
                Ok(Database { store, private: self.private, default_interval_minutes })
            }
            Err(failure) => {
                stop(self.private, output).await;
                Err(failure)
            }
        }
    }
}

async fn connect(
    url: &DatabaseUrl,
    settings: &DatabaseSettings,
    migrate: bool,
    output: Output,
) -> Result<PgStore, Failure> {
    let options = store_options(settings)?;
    match PgStore::connect(url, options.clone()).await {
        Err(StoreError::NotMigrated) if migrate => {
            let report = apply(url, &migrate_options(settings)?).await?;
            warn_of_exposed(&report, output);
            Ok(PgStore::connect(url, options).await?)
        }
        result => Ok(result?),
    }
}

fn store_options(settings: &DatabaseSettings) -> Result<StoreOptions, Failure> {
    Ok(StoreOptions {
        schema: schema(settings)?,
        timestamps: settings.timestamps,
        deletes: settings.deletes,
        pool: PoolSettings {
            size: settings.pool_size,
            max_overflow: settings.max_overflow,
            acquire_timeout: Duration::from_secs(30),
        },
    })
}

fn parse(url: &str) -> Result<DatabaseUrl, Failure> {
    DatabaseUrl::parse(url).map_err(|error| Failure::usage(error.to_string(), "correct DATABASE_URL"))
}

fn schema(settings: &DatabaseSettings) -> Result<SchemaName, Failure> {
    SchemaName::new(settings.schema.clone())
        .map_err(|error| Failure::usage(error.to_string(), "correct DATABASE_SCHEMA"))
}

fn migrate_options(settings: &DatabaseSettings) -> Result<MigrateOptions, Failure> {
    let default_interval_minutes = settings.default_interval_minutes;
    Ok(MigrateOptions { schema: schema(settings)?, default_interval_minutes })
}
