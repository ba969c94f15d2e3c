//! The portal's client, from its settings.

use std::sync::Arc;

use b24sync_adapter_bitrix::{
    Access, ApplicationSettings, BitrixConfig, BitrixSource, BudgetPacer, ConfigError, Dialect, PortalUrl, RetryPolicy,
    TokenKeeper, TokenKey, TokenPorts, WebhookUrl,
};
use b24sync_adapter_postgres::PgStore;
use b24sync_domain::ports::BudgetStore;
use secrecy::ExposeSecret as _;

use super::Database;
use crate::failure::Failure;
use crate::instance::ThisProcess;
use crate::settings::{ApplicationAccess, CrmApi, PortalSettings, Problems};

/// A portal whose settings have been checked.
pub struct Portal {
    pub(super) access: PortalAccess,
    api: Dialect,
    pub(super) allow_loopback: bool,
    rate_per_second: f64,
    rate_burst: u32,
    operating_limit: f64,
}

pub(super) enum PortalAccess {
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

pub(super) fn application_settings(
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
    pub(super) fn problems(&self) -> Vec<ConfigError> {
        match &self.access {
            PortalAccess::Webhook(webhook) => self.config(webhook.clone()).problems(),
            PortalAccess::Application(application) => application.problems(),
        }
    }

    /// Whether the service is an application of this portal.
    pub fn is_application(&self) -> bool {
        matches!(self.access, PortalAccess::Application(_))
    }

    pub(super) fn config(&self, access: impl Into<Access>) -> BitrixConfig {
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
        self.connect_with(database.store(), RetryPolicy::default())
    }

    pub(super) fn connect_with(&self, store: &PgStore, retry: RetryPolicy) -> Result<Arc<BitrixSource>, Failure> {
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
pub(super) fn client(
    mut config: BitrixConfig,
    retry: RetryPolicy,
    budget: Arc<dyn BudgetStore>,
) -> Result<Arc<BitrixSource>, Failure> {
    config.retry = retry;
    let pacer = Arc::new(BudgetPacer::new(config.rate_limits(), config.operating_limit, budget));
    Ok(Arc::new(BitrixSource::new(&config, pacer).map_err(|error| client_failed(&error))?))
}

pub(super) fn client_failed(error: &ConfigError) -> Failure {
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
