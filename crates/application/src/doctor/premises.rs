//! What a self-test looks at.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use b24sync_domain::access::Role;
use b24sync_domain::application::Mode;
use b24sync_domain::error::StoreError;
use b24sync_domain::ports::{
    ArrivalStore, Clock, CrmSource, DatabaseExaminer, EventInbox, Instances, KeySetExaminer, LeaseStore, PortalStore,
    RunBoard, RunLog, StatusStore,
};

use crate::service::application::ApplicationService;

/// Everything that is looked at; whatever is not set or cannot be used is left out.
pub struct Premises {
    /// What is wrong with the settings, each with its variable's name, without secrets.
    pub problems: Vec<String>,
    /// The database.
    pub database: Result<DatabasePremises, Unusable>,
    /// The portal.
    pub portal: PortalPremises,
    /// How the service is set up.
    pub service: ServicePremises,
    /// This machine's clock.
    pub clock: Arc<dyn Clock>,
}

/// Why something cannot be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// What is wrong.
    pub seen: String,
    /// What to do about it.
    pub cure: String,
}

/// A database.
pub struct DatabasePremises {
    /// Looks at it.
    pub examiner: Arc<dyn DatabaseExaminer>,
    /// Opens what is in it.
    pub opener: Arc<dyn ReplicaOpener>,
    /// Whether it is the private one, where the login may be the superuser.
    pub private: bool,
    /// Connections that an instance opens at most.
    pub connections: u32,
}

/// Opens the tables of a database, once they are those of this version.
#[async_trait]
pub trait ReplicaOpener: Send + Sync {
    /// Connects. Called at most once.
    async fn open(&self) -> Result<Replica, StoreError>;
}

/// The tables, and what is known only with their help.
pub struct Replica {
    /// How the replica stands.
    pub status: Arc<dyn StatusStore>,
    /// The portal that it belongs to.
    pub portals: Arc<dyn PortalStore>,
    /// The run log.
    pub runs: Arc<dyn RunLog>,
    /// Runs that are on or wait.
    pub board: Arc<dyn RunBoard>,
    /// Leases.
    pub leases: Arc<dyn LeaseStore>,
    /// Who is gone.
    pub instances: Arc<dyn Instances>,
    /// Events that wait.
    pub inbox: Arc<dyn EventInbox>,
    /// When events came.
    pub arrivals: Arc<dyn ArrivalStore>,
    /// The service as an application of the portal, whose tokens are in the database; `None` with an incoming webhook.
    pub application: Option<ApplicationPremises>,
}

/// The service as an application of the portal.
pub struct ApplicationPremises {
    /// The portal.
    pub source: Arc<dyn CrmSource>,
    /// Knows which handlers are wanted.
    pub service: ApplicationService,
}

/// A portal.
pub struct PortalPremises {
    /// How it is called; `None` when none is set.
    pub mode: Option<Mode>,
    /// The portal behind an incoming webhook. An application's is known with the [`Replica`] only.
    pub source: Option<Arc<dyn CrmSource>>,
    /// Requests a second.
    pub rate_per_second: f64,
    /// Requests at once.
    pub rate_burst: u32,
}

/// How the service is set up.
pub struct ServicePremises {
    /// The project whose users may call.
    pub project: Option<ProjectPremises>,
    /// Address to listen on.
    pub host: String,
    /// Where figures are served without a token.
    pub metrics_bind: Option<SocketAddr>,
    /// Whether figures are served beside the API, with a token.
    pub metrics_token: bool,
    /// How many tokens of outgoing webhooks are known.
    pub application_tokens: usize,
}

/// A project whose users may call.
pub struct ProjectPremises {
    /// Asks for its keys.
    pub keys: Arc<dyn KeySetExaminer>,
    /// Whether tokens may be signed by the shared secret.
    pub has_secret: bool,
    /// Why others may know that secret.
    pub secret_weakness: Option<&'static str>,
    /// Role of users of whom nothing is said.
    pub default_role: Option<Role>,
}
