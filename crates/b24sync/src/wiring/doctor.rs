//! What the self-test looks at, put together from whatever can be used of the settings.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use b24sync_adapter_bitrix::{OwnBudget, RetryPolicy};
use b24sync_adapter_postgres::{DatabaseUrl, PgExaminer, PgStore, PoolSettings, StoreOptions};
use b24sync_adapter_supabase::{SupabaseAuthenticator, SupabaseSettings};
use b24sync_application::doctor::{
    ApplicationPremises, DatabasePremises, PortalPremises, Premises, ProjectPremises, Replica, ReplicaOpener,
    ServicePremises, Unusable,
};
use b24sync_application::service::application::ApplicationOptions;
use b24sync_domain::application::Mode;
use b24sync_domain::error::{Chain, StoreError};
use b24sync_domain::ports::CrmSource;

use super::absent::SystemClock;
use super::portal::{Portal, PortalAccess, client, source};
use super::{Address, Private, application, migrate_options, stop, store_options};
use crate::failure::Failure;
use crate::instance::ThisProcess;
use crate::output::Output;
use crate::settings::{DatabaseSettings, PortalSettings, Problems, ServiceSettings};

/// One more attempt, soon: what is wrong has to be said before the time for a check is over.
const RETRY: RetryPolicy = RetryPolicy {
    attempts: 2,
    rate_limit_first: Duration::from_secs(4),
    rate_limit_max: Duration::from_secs(4),
    other_first: Duration::from_millis(500),
    other_max: Duration::from_millis(500),
};

/// The settings of a self-test, as far as they can be read.
pub struct DoctorSettings {
    /// The database.
    pub database: DatabaseSettings,
    /// The portal, if one is set.
    pub portal: Option<PortalSettings>,
    /// The service.
    pub service: ServiceSettings,
    /// Address to listen on.
    pub host: String,
}

/// What is looked at, and the private server below it if there is one.
pub struct Clinic {
    /// What is looked at.
    pub premises: Premises,
    private: Option<Private>,
}

impl Clinic {
    /// Puts everything together; what cannot be used is a finding, not a failure.
    pub async fn open(settings: &DoctorSettings, mut problems: Problems, output: Output) -> Clinic {
        let portal = settings.portal.as_ref().and_then(|portal| source(portal, &mut problems)).map(Arc::new);
        let project = project(settings.service.supabase.as_ref(), &mut problems);
        let webhook = portal.as_deref().and_then(|portal| webhook_source(portal, &mut problems));
        let (database, private) = database(&settings.database, portal.clone(), output).await;
        let premises = Premises {
            problems: problems.into_list(),
            database,
            portal: portal_premises(settings.portal.as_ref(), webhook),
            service: ServicePremises {
                project,
                host: settings.host.clone(),
                metrics_bind: settings.service.metrics_bind,
                metrics_token: settings.service.api.metrics_token.is_some(),
                application_tokens: settings.service.api.application_tokens.len(),
            },
            clock: Arc::new(SystemClock),
        };
        Clinic { premises, private }
    }

    /// Stops the private server, if there is one and it is ours.
    pub async fn close(self, output: Output) {
        drop(self.premises);
        stop(self.private, output).await;
    }
}

fn portal_premises(settings: Option<&PortalSettings>, source: Option<Arc<dyn CrmSource>>) -> PortalPremises {
    let mode = |settings: &PortalSettings| match settings.application {
        Some(_) => Mode::Application,
        None => Mode::Webhook,
    };
    PortalPremises {
        mode: settings.map(mode),
        source,
        rate_per_second: settings.map_or(0.0, |settings| settings.rate_per_second),
        rate_burst: settings.map_or(0, |settings| settings.rate_burst),
    }
}

/// The portal, where it can be called without the database.
fn webhook_source(portal: &Portal, problems: &mut Problems) -> Option<Arc<dyn CrmSource>> {
    let PortalAccess::Webhook(webhook) = &portal.access else { return None };
    match client(portal.config(webhook.clone()), RETRY, Arc::new(OwnBudget::default())) {
        Ok(source) => Some(source),
        Err(failure) => {
            problems.add(failure.message());
            None
        }
    }
}

fn project(settings: Option<&SupabaseSettings>, problems: &mut Problems) -> Option<ProjectPremises> {
    let settings = settings?;
    let wrong = settings.problems();
    if !wrong.is_empty() {
        for problem in wrong {
            problems.add(problem);
        }
        return None;
    }
    match SupabaseAuthenticator::new(settings, Arc::new(SystemClock)) {
        Ok(authenticator) => Some(ProjectPremises {
            keys: Arc::new(authenticator),
            has_secret: settings.jwt_secret.is_some(),
            secret_weakness: settings.secret_weakness(),
            default_role: settings.default_role,
        }),
        Err(error) => {
            problems.add(Chain(&error));
            None
        }
    }
}

async fn database(
    settings: &DatabaseSettings,
    portal: Option<Arc<Portal>>,
    output: Output,
) -> (Result<DatabasePremises, Unusable>, Option<Private>) {
    let address = match Address::resolve(settings, output).await {
        Ok(address) => address,
        Err(failure) => return (Err(unusable(&failure)), None),
    };
    let premises = database_premises(&address, settings, portal);
    (premises.map_err(|failure| unusable(&failure)), address.private)
}

fn unusable(failure: &Failure) -> Unusable {
    let cure = Some(failure.advice()).filter(|advice| !advice.is_empty()).unwrap_or("correct DATABASE_URL");
    Unusable { seen: failure.message().to_owned(), cure: cure.to_owned() }
}

fn database_premises(
    address: &Address,
    settings: &DatabaseSettings,
    portal: Option<Arc<Portal>>,
) -> Result<DatabasePremises, Failure> {
    let examiner = PgExaminer::new(&address.url, migrate_options(settings)?)?;
    let mut options = store_options(settings)?;
    options.pool = PoolSettings { size: 2, max_overflow: 0, acquire_timeout: Duration::from_secs(10) };
    Ok(DatabasePremises {
        examiner: Arc::new(examiner),
        opener: Arc::new(Opener { url: address.url.clone(), options, portal }),
        private: address.private.is_some(),
        connections: settings.pool_size.saturating_add(settings.max_overflow),
    })
}

struct Opener {
    url: DatabaseUrl,
    options: StoreOptions,
    portal: Option<Arc<Portal>>,
}

#[async_trait]
impl ReplicaOpener for Opener {
    async fn open(&self) -> Result<Replica, StoreError> {
        let store = PgStore::connect(&self.url, self.options.clone()).await?;
        let application = self.portal.as_deref().and_then(|portal| application_premises(portal, &store));
        Ok(Replica {
            status: Arc::new(store.clone()),
            portals: Arc::new(store.clone()),
            runs: Arc::new(store.clone()),
            board: Arc::new(store.clone()),
            leases: Arc::new(store.clone()),
            instances: Arc::new(ThisProcess::new()),
            inbox: Arc::new(store.clone()),
            arrivals: Arc::new(store),
            application,
        })
    }
}

/// A client that cannot be set up is told of as a portal that cannot be called.
fn application_premises(portal: &Portal, store: &PgStore) -> Option<ApplicationPremises> {
    if !portal.is_application() {
        return None;
    }
    let source = portal.connect_with(store, RETRY).ok()?;
    let options = ApplicationOptions { allow_loopback: portal.allow_loopback, handler: None };
    let service = application(store, &source, options, Arc::default());
    Some(ApplicationPremises { source, service })
}
