//! Builds the actix server; the binary runs it and takes it out of service.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::available_parallelism;

use actix_web::body::MessageBody;
use actix_web::dev::{Server, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Compress, Next, from_fn};
use actix_web::{App, Error, HttpServer, web};
use b24sync_domain::ports::{
    ApplicationControl, Authenticator, EventIntake, Happenings, HealthQuery, HistoryQuery, InboxControl, MappingQuery,
    MetricsQuery, SchedulerQuery, SettingsControl, StatusQuery, SyncControl, WebhookRegistration,
};
use socket2::SockRef;

use crate::connections::Connections;
use crate::door::Door;
use crate::drain::{Drain, DrainSwitch, Draining};
use crate::gate::Gate;
use crate::handlers::docs::Description;
use crate::handlers::metrics;
use crate::limits::Limits;
use crate::observe::observe;
use crate::places::Places;
use crate::settings::ApiSettings;
use crate::{headers, openapi, routes};

/// How long a connection may take to close, in seconds.
const DISCONNECT: std::time::Duration = std::time::Duration::from_secs(5);

/// Connections of watchers at once.
const METRICS_CONNECTIONS: usize = 64;
/// Connections that may wait to be accepted.
const BACKLOG: std::ffi::c_int = 2048;

/// The inbound ports that handlers call.
#[derive(Clone)]
pub struct ApiPorts {
    /// Starting, stopping and watching syncs.
    pub syncs: Arc<dyn SyncControl>,
    /// How the replica stands.
    pub status: Arc<dyn StatusQuery>,
    /// The run log.
    pub history: Arc<dyn HistoryQuery>,
    /// What runs when.
    pub scheduler: Arc<dyn SchedulerQuery>,
    /// Settings, and the audit.
    pub settings: Arc<dyn SettingsControl>,
    /// Dry runs of the mapping.
    pub mapping: Arc<dyn MappingQuery>,
    /// What happens.
    pub happenings: Arc<dyn Happenings>,
    /// Health.
    pub health: Arc<dyn HealthQuery>,
    /// Events of the portal.
    pub intake: Arc<dyn EventIntake>,
    /// Events that wait.
    pub inbox: Arc<dyn InboxControl>,
    /// The service as an application of the portal.
    pub application: Arc<dyn ApplicationControl>,
    /// The portal's handlers.
    pub registration: Arc<dyn WebhookRegistration>,
    /// Figures.
    pub metrics: Arc<dyn MetricsQuery>,
    /// Who calls.
    pub authenticator: Arc<dyn Authenticator>,
}

/// Ports, limits and state that all threads of a server share.
#[derive(Clone)]
pub struct Api {
    ports: ApiPorts,
    pub(crate) gate: Arc<Gate>,
    settings: web::Data<ApiSettings>,
    places: web::Data<Places>,
    description: web::Data<Description>,
    draining: Draining,
}

impl Api {
    /// What [`configure`](routes::configure) mounts, and the switch that ends event streams and readiness.
    pub fn new(ports: ApiPorts, settings: ApiSettings) -> (Api, DrainSwitch) {
        let (switch, draining) = Draining::channel();
        let gate = Gate {
            authenticator: Arc::clone(&ports.authenticator),
            limits: Arc::new(Limits::new(&settings)),
            settings: settings.clone(),
        };
        let api = Api {
            ports,
            gate: Arc::new(gate),
            places: web::Data::new(Places::new(&settings)),
            settings: web::Data::new(settings),
            description: web::Data::new(Description(openapi::openapi())),
            draining,
        };
        (api, switch)
    }

    /// Gives handlers what they ask for.
    pub(crate) fn provide(&self, config: &mut web::ServiceConfig) {
        config
            .app_data(web::Data::from(Arc::clone(&self.ports.syncs)))
            .app_data(web::Data::from(Arc::clone(&self.ports.status)))
            .app_data(web::Data::from(Arc::clone(&self.ports.history)))
            .app_data(web::Data::from(Arc::clone(&self.ports.scheduler)))
            .app_data(web::Data::from(Arc::clone(&self.ports.settings)))
            .app_data(web::Data::from(Arc::clone(&self.ports.mapping)))
            .app_data(web::Data::from(Arc::clone(&self.ports.happenings)))
            .app_data(web::Data::from(Arc::clone(&self.ports.health)))
            .app_data(web::Data::from(Arc::clone(&self.ports.metrics)))
            .app_data(web::Data::from(Arc::clone(&self.ports.intake)))
            .app_data(web::Data::from(Arc::clone(&self.ports.inbox)))
            .app_data(web::Data::from(Arc::clone(&self.ports.application)))
            .app_data(web::Data::from(Arc::clone(&self.ports.registration)))
            .app_data(web::Data::from(Arc::clone(&self.gate.limits)))
            .app_data(web::Data::new(self.draining.clone()))
            .app_data(self.settings.clone())
            .app_data(self.places.clone())
            .app_data(self.description.clone());
    }
}

/// The application of one thread: the endpoints and all that is around them.
pub(crate) fn app(
    api: &Api,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody + use<>>,
        Error = Error,
        InitError = (),
    > + use<>,
> {
    let draining = api.draining.clone();
    App::new()
        .configure(|config| routes::configure(config, api))
        .default_service(web::to(routes::not_found))
        .wrap(Compress::default())
        .wrap(from_fn(headers::plain_if_nothing_else))
        .wrap(headers::cors(&api.settings))
        .wrap(headers::security())
        .wrap(from_fn(move |request: ServiceRequest, next: Next<_>| observe(draining.clone(), request, next)))
}

/// A server on this listener, which runs when awaited, and the handle that takes it out of service. Signals are left to
/// the caller.
///
/// # Errors
/// When the settings have [problems](ApiSettings::problems) or the listener cannot be used.
pub fn build(ports: ApiPorts, settings: ApiSettings, listener: TcpListener) -> io::Result<(Server, Drain)> {
    let problems = settings.problems();
    if !problems.is_empty() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, problems.join("; ")));
    }
    let workers = settings.workers.unwrap_or_else(|| available_parallelism().map_or(1, usize::from)).max(1);
    let (api, switch) = Api::new(ports, settings);
    let settings = api.settings.clone();
    let connections = Connections::new(settings.room(), settings.patience());
    let (watched, accepting) = (connections.clone(), connections.clone());
    // What was bound by the standard library has room for 128, and a client that finds no room waits for a second.
    SockRef::from(&listener).listen(BACKLOG)?;
    let door = Door::of(&listener)?;
    let factory = move || {
        // On each thread, because there is no other place for it: looking twice as often does no harm.
        actix_web::rt::spawn(watched.clone().watch());
        app(&api)
    };
    let server = HttpServer::new(factory)
        .on_connect(move |stream, extensions| accepting.accepted(stream, extensions))
        .workers(workers)
        .max_connections(settings.max_connections.div_ceil(workers))
        .client_request_timeout(settings.head_timeout)
        .client_disconnect_timeout(DISCONNECT)
        .keep_alive(settings.keep_alive)
        .shutdown_timeout(settings.shutdown_timeout.as_secs())
        .disable_signals()
        .listen(listener)?
        .run();
    let drain = Drain::new(switch, server.handle(), settings.drain_notice, door, connections);
    Ok((server, drain))
}

/// A server that answers `/metrics` and nothing else, without a token: for a listener that only the watchers reach.
///
/// # Errors
/// When the listener cannot be used.
pub fn build_metrics(query: Arc<dyn MetricsQuery>, listener: TcpListener) -> io::Result<Server> {
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::from(Arc::clone(&query)))
            .route("/metrics", web::get().to(metrics::metrics))
            .wrap(headers::security())
    });
    Ok(server.workers(1).max_connections(METRICS_CONNECTIONS).disable_signals().listen(listener)?.run())
}
