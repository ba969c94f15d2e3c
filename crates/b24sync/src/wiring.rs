//! Settings → adapters → services. The only module that names adapter types.
//!
//! - [`doctor`]: the same for the self-test, which works with whatever can be used.

pub mod doctor;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use b24sync_adapter_bitrix::{
    Access, ApplicationSettings, BitrixConfig, BitrixSource, BudgetPacer, ConfigError, Dialect, PortalUrl, RetryPolicy,
    TokenKeeper, TokenKey, TokenPorts, WebhookUrl,
};
use b24sync_adapter_http::ApiPorts;
use b24sync_adapter_postgres::{
    DatabaseUrl, MigrateOptions, MigrationReport, PgStore, PoolSettings, SchemaName, StoreOptions, migrate as apply,
    plan as plan_migration,
};
use b24sync_adapter_supabase::{SupabaseAuthenticator, SupabaseSettings};
use b24sync_application::Ports;
use b24sync_application::ports::StatusPorts;
use b24sync_application::service::ServicePorts;
use b24sync_application::service::application::{ApplicationOptions, ApplicationPorts, ApplicationService};
use b24sync_application::service::control::{ControlService, InboxService};
use b24sync_application::service::intake::Signals;
use b24sync_application::status::StatusService;
use b24sync_domain::access::{Identity, Refusal};
use b24sync_domain::entity::EntityType;
use b24sync_domain::error::{Chain, SourceError, StoreError, SyncError};
use b24sync_domain::ports::{
    ApplicationControl, Authenticator, BudgetStore, Clock, CrmSource, EventInbox, EventIntake, Happenings,
    MappingCheck, MappingQuery, MetricsQuery, RunObserver, SchemaStore, StatusStore, WebhookRegistration,
};
use b24sync_embedded_postgres::{EmbeddedPostgres, Settings as EmbeddedSettings, Stop};
use chrono::{DateTime, Utc};
use metrics_exporter_prometheus::PrometheusHandle;
use secrecy::ExposeSecret;

use crate::failure::Failure;
use crate::instance::ThisProcess;
use crate::metering::Figures;
use crate::output::Output;
use crate::settings::{ApplicationAccess, CrmApi, DatabaseSettings, PortalSettings, Problems};

/// A portal whose settings have been checked.
pub struct Portal {
    access: PortalAccess,
    api: Dialect,
    allow_loopback: bool,
    rate_per_second: f64,
    rate_burst: u32,
    operating_limit: f64,
}

enum PortalAccess {
    Webhook(WebhookUrl),
    Application(Box<ApplicationSettings>),
}

/// The portal; problems of its settings are added to `problems`, and there is none then.
pub fn source(settings: &PortalSettings, problems: &mut Problems) -> Option<Portal> {
    let access = match &settings.application {
        Some(application) => {
            PortalAccess::Application(Box::new(application_settings(application, settings, problems)?))
        }
        None if settings.has_webhook() => match WebhookUrl::parse(settings.webhook.expose_secret()) {
            Ok(webhook) => PortalAccess::Webhook(webhook),
            Err(error) => {
                problems.add(error);
                return None;
            }
        },
        None => return None,
    };
    let portal = Portal {
        access,
        api: match settings.api {
            CrmApi::Item => Dialect::Item,
            CrmApi::Classic => Dialect::Classic,
        },
        allow_loopback: settings.allow_loopback,
        rate_per_second: settings.rate_per_second,
        rate_burst: settings.rate_burst,
        operating_limit: settings.operating_limit,
    };
    let wrong = portal.problems();
    let is_right = wrong.is_empty();
    for problem in wrong {
        problems.add(problem);
    }
    is_right.then_some(portal)
}

fn application_settings(
    application: &ApplicationAccess,
    settings: &PortalSettings,
    problems: &mut Problems,
) -> Option<ApplicationSettings> {
    let portal = application.portal.parse::<PortalUrl>().map_err(|error| problems.add(error)).ok();
    let key = application.token_key.expose_secret().parse::<TokenKey>().map_err(|error| problems.add(error)).ok();
    let (id, secret) = (application.client_id.clone(), application.client_secret.clone());
    let mut made = ApplicationSettings::new(portal?, id, secret, key?);
    made.member_id.clone_from(&application.member_id);
    made.allow_loopback = settings.allow_loopback;
    if !application.servers.is_empty() {
        made.servers.clone_from(&application.servers);
    }
    Some(made)
}

impl Portal {
    fn problems(&self) -> Vec<ConfigError> {
        match &self.access {
            PortalAccess::Webhook(webhook) => self.config(webhook.clone()).problems(),
            PortalAccess::Application(application) => application.problems(),
        }
    }

    /// Whether the service is an application of this portal.
    pub fn is_application(&self) -> bool {
        matches!(self.access, PortalAccess::Application(_))
    }

    fn config(&self, access: impl Into<Access>) -> BitrixConfig {
        let mut config = BitrixConfig::new(access);
        config.dialect = self.api;
        config.allow_loopback = self.allow_loopback;
        config.rate_per_second = self.rate_per_second;
        config.rate_burst = self.rate_burst;
        config.operating_limit = self.operating_limit;
        config
    }

    /// The portal's client. An application's tokens are in the database, and so is what all processes together may ask of
    /// the portal.
    ///
    /// # Errors
    /// When it cannot be set up.
    pub fn connect(&self, database: &Database) -> Result<Arc<BitrixSource>, Failure> {
        self.connect_with(&database.store, RetryPolicy::default())
    }

    fn connect_with(&self, store: &PgStore, retry: RetryPolicy) -> Result<Arc<BitrixSource>, Failure> {
        let config = match &self.access {
            PortalAccess::Webhook(webhook) => self.config(webhook.clone()),
            PortalAccess::Application(settings) => {
                let ports = TokenPorts {
                    vault: Arc::new(store.clone()),
                    leases: Arc::new(store.clone()),
                    instances: Arc::new(ThisProcess::new()),
                };
                let keeper = TokenKeeper::new((**settings).clone(), ports).map_err(|error| client_failed(&error))?;
                self.config(Arc::new(keeper))
            }
        };
        client(config, retry, Arc::new(store.clone()))
    }
}

/// A client whose requests come out of this budget.
fn client(
    mut config: BitrixConfig,
    retry: RetryPolicy,
    budget: Arc<dyn BudgetStore>,
) -> Result<Arc<BitrixSource>, Failure> {
    config.retry = retry;
    let pacer = Arc::new(BudgetPacer::new(config.rate_limits(), config.operating_limit, budget));
    Ok(Arc::new(BitrixSource::new(&config, pacer).map_err(|error| client_failed(&error))?))
}

fn client_failed(error: &ConfigError) -> Failure {
    Failure::of("the portal's client could not be set up", error)
}

/// The portal that [`source`] checked, once its problems have been reported.
///
/// # Errors
/// When there is none although no problem was reported.
pub fn built(portal: Option<Portal>) -> Result<Portal, Failure> {
    portal
        .ok_or_else(|| Failure::usage("the portal's settings could not be used".to_owned(), "check BITRIX_WEBHOOK_URL"))
}

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
struct Address {
    url: DatabaseUrl,
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

/// Who verifies tokens; nobody gets in where no project is configured. Problems of its settings are added to `problems`.
pub fn authenticator(settings: Option<&SupabaseSettings>, problems: &mut Problems) -> Arc<dyn Authenticator> {
    let Some(settings) = settings else { return Arc::new(NobodyEnters) };
    let wrong = settings.problems();
    if !wrong.is_empty() {
        for problem in wrong {
            problems.add(problem);
        }
        return Arc::new(NobodyEnters);
    }
    match SupabaseAuthenticator::new(settings, Arc::new(SystemClock)) {
        Ok(authenticator) => Arc::new(authenticator),
        Err(error) => {
            problems.add(Chain(&error));
            Arc::new(NobodyEnters)
        }
    }
}

/// No project is configured, so that no token can be good.
struct NobodyEnters;

#[async_trait]
impl Authenticator for NobodyEnters {
    async fn identify(&self, _token: &str) -> Result<Identity, Refusal> {
        Err(Refusal::UnknownKey)
    }

    fn forget_keys(&self) {}
}

/// An instance without a portal tries no mapping.
pub struct NoPortal;

#[async_trait]
impl MappingQuery for NoPortal {
    async fn check(&self, entity: EntityType) -> Result<MappingCheck, SyncError> {
        let source = "this instance has no portal: set BITRIX_WEBHOOK_URL, or ask another one".into();
        Err(SyncError::Source { entity, source: SourceError::Unavailable { method: "crm".to_owned(), source } })
    }
}

/// Nobody asked for figures, and the interface lets nobody ask.
struct NoFigures;

#[async_trait]
impl MetricsQuery for NoFigures {
    async fn exposition(&self) -> String {
        String::new()
    }
}

/// This machine's clock.
struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place where this machine's clock is read")]
    fn now(&self) -> DateTime<Utc> {
        Utc::now()
    }
}

/// Migrates, or says what that would do.
///
/// # Errors
/// When the database cannot be reached or migrated.
pub async fn migrate(settings: &DatabaseSettings, plan: bool, output: Output) -> Result<(), Failure> {
    let address = Address::resolve(settings, output).await?;
    let result =
        if plan { show_plan(&address.url, settings, output).await } else { act(&address.url, settings, output).await };
    stop(address.private, output).await;
    result
}

async fn show_plan(url: &DatabaseUrl, settings: &DatabaseSettings, output: Output) -> Result<(), Failure> {
    let report = plan_migration(url, &migrate_options(settings)?).await?;
    if output.is_json() {
        output.result(&report_json(&report, "pending"), &[], Vec::new());
        return Ok(());
    }
    let steps = steps(&report);
    if steps.is_empty() {
        output.good("the database is up to date");
    } else {
        output.say("`b24sync migrate` would do this; nothing is changed yet:");
        for step in &steps {
            output.say(&format!("  {step}"));
        }
    }
    warn_of_exposed(&report, output);
    Ok(())
}

/// What was done, or would be, a line each.
fn steps(report: &MigrationReport) -> Vec<String> {
    let applied = report.applied.iter().map(|version| format!("applied {version}"));
    let adopted = report.adopted.iter().map(|table| {
        let changes = if table.changes.is_empty() { "as it is".to_owned() } else { table.changes.join("; ") };
        format!("took over {}: {changes}", table.table)
    });
    applied.chain(adopted).collect()
}

/// The report for programs; `versions` is what the list of versions is called.
fn report_json(report: &MigrationReport, versions: &str) -> serde_json::Value {
    let adopted: Vec<_> = report
        .adopted
        .iter()
        .map(|table| serde_json::json!({ "table": table.table, "changes": table.changes }))
        .collect();
    let exposed: Vec<_> = report
        .exposed
        .iter()
        .map(|table| serde_json::json!({ "table": table.table, "readers": table.readers }))
        .collect();
    serde_json::json!({ versions: report.applied, "adopted": adopted, "exposed": exposed })
}

async fn act(url: &DatabaseUrl, settings: &DatabaseSettings, output: Output) -> Result<(), Failure> {
    let report = apply(url, &migrate_options(settings)?).await?;
    if output.is_json() {
        output.result(&report_json(&report, "applied"), &[], Vec::new());
        return Ok(());
    }
    let steps = steps(&report);
    for step in &steps {
        output.good(step);
    }
    if steps.is_empty() {
        output.good("the database is up to date");
    }
    warn_of_exposed(&report, output);
    Ok(())
}

fn warn_of_exposed(report: &MigrationReport, output: Output) {
    for table in &report.exposed {
        output.warn(&format!(
            "{0} was there before and is open to {1}; close it with `revoke all on {0} from {1}`, or leave it so on purpose",
            table.table,
            table.readers.join(", "),
        ));
    }
}
