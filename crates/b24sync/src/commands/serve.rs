//! `b24sync serve`: runs the service until it is told to stop: HTTP, the scheduler, and workers.

use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use b24sync_adapter_http::ApiSettings;
use b24sync_application::service::application::ApplicationOptions;
use b24sync_application::service::feed::Feed;
use b24sync_application::service::intake::Signals;
use b24sync_application::service::mapping::MappingService;
use b24sync_domain::error::Chain;
use b24sync_domain::ports::{Authenticator, EventIntake, MappingQuery, MetricsQuery};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::background::{self, Subscriptions};
use crate::cli::{Role, ServeArgs};
use crate::descriptors;
use crate::failure::Failure;
use crate::lifecycle;
use crate::metering;
use crate::output::Output;
use crate::progress::Quiet;
use crate::settings::{self, DatabaseSettings, PortalSettings, Problems, ServiceSettings};
use crate::wiring::{self, Database, NoPortal, Outside};

/// Listens, says where, and runs until SIGINT or SIGTERM.
///
/// # Errors
/// When the address cannot be listened on or the database cannot be reached.
pub async fn run(args: ServeArgs, output: Output) -> Result<ExitCode, Failure> {
    let mut problems = Problems::default();
    let database_settings = DatabaseSettings::new(&args.database, &mut problems);
    let loopback = PortalSettings::loopback_allowed(&args.portal);
    let service = ServiceSettings::new(&args.service, loopback, &mut problems);
    let portal = match args.role {
        Role::Api => PortalSettings::optional(&args.portal, &mut problems),
        Role::All | Role::Worker => Some(PortalSettings::new(&args.portal, &mut problems)),
    };
    let portal = portal.and_then(|portal| wiring::source(&portal, &mut problems));
    let authenticator = wiring::authenticator(service.supabase.as_ref(), &mut problems);
    problems.check()?;
    if service.supabase.is_none() {
        output.note("SUPABASE_URL is not set: the API lets nobody in, only /health answers");
    }
    let stop = lifecycle::stop_on_signals();
    let listener = listen(&args.host, args.port)?;
    let database = if args.no_migrate {
        Database::open(&database_settings, output).await?
    } else {
        Database::open_migrated(&database_settings, output).await?
    };
    let tasks = TaskTracker::new();
    let keys = Arc::clone(&authenticator);
    tasks.spawn(lifecycle::on_hangup(stop.clone(), move || {
        tracing::info!("the keys of the project are forgotten; the next token makes them be asked for");
        keys.forget_keys();
    }));
    let figures = if service.wants_metrics() { Some(metering::install()?) } else { None };
    if let Some(handle) = figures.clone() {
        tasks.spawn(metering::keep_up(handle, stop.clone()));
    }
    let metrics = database.figures(figures);
    if let Some(address) = service.metrics_bind {
        serve_metrics(Arc::clone(&metrics), listen(&address.ip().to_string(), address.port())?, &tasks, &stop, output)?;
    }
    let source = portal.as_ref().map(|portal| portal.connect(&database)).transpose()?;
    let ports = source.clone().map(|source| database.ports(source, Arc::new(Quiet)));
    if args.role != Role::Api
        && let Some(ports) = ports.clone()
    {
        background::start_work(&database, ports, database_settings.timestamps, service.reconcile, &tasks, &stop);
    }
    let (served, signals) = (CancellationToken::new(), Arc::new(Signals::default()));
    let subscriptions = match source.filter(|_| portal.is_some_and(|portal| portal.is_application())) {
        Some(source) => {
            let options = ApplicationOptions { allow_loopback: loopback, handler: service.handler.clone() };
            let application = database.application(&source, options, Arc::clone(&signals));
            Some(Subscriptions::of_application(application, &tasks, &stop))
        }
        None => None,
    };
    let can_receive = subscriptions.is_some() || !service.api.application_tokens.is_empty();
    let receives = args.role != Role::Worker && can_receive;
    let intake = background::start_intake(&database, signals, receives, &tasks, &stop, &served);
    let subscriptions = subscriptions.unwrap_or_else(|| Subscriptions::by_hand(loopback, service.handler.clone()));
    let mapping: Arc<dyn MappingQuery> = match ports {
        Some(ports) => Arc::new(MappingService::new(ports, database_settings.timestamps)),
        None => Arc::new(NoPortal),
    };
    let max_connections = descriptors::connections(service.api.max_connections, output);
    let member_id = settings::given(args.portal.bitrix_member_id.as_deref());
    let settings = ApiSettings { max_connections, member_id, ..service.api };
    let interface =
        Interface { mapping, authenticator, metrics, intake, subscriptions, reconcile: service.reconcile, settings };
    let result = serve(&database, interface, listener, &stop, output).await;
    // A server that broke takes the rest along.
    stop.cancel();
    // No event can come any more; those that came are kept still.
    served.cancel();
    tasks.close();
    tasks.wait().await;
    database.close(output).await;
    if result.is_ok() {
        tracing::info!("the service has stopped");
    }
    result.map(|()| ExitCode::SUCCESS)
}

/// What the HTTP interface needs besides the database.
pub struct Interface {
    /// Dry runs of the mapping.
    pub mapping: Arc<dyn MappingQuery>,
    /// Who calls.
    pub authenticator: Arc<dyn Authenticator>,
    /// Figures.
    pub metrics: Arc<dyn MetricsQuery>,
    /// Events of the portal.
    pub intake: Arc<dyn EventIntake>,
    /// The portal's handlers.
    pub subscriptions: Subscriptions,
    /// Time between full syncs.
    pub reconcile: Duration,
    /// Its settings.
    pub settings: ApiSettings,
}

/// Serves figures at an address of their own until `stop` is cancelled.
fn serve_metrics(
    metrics: Arc<dyn MetricsQuery>,
    listener: TcpListener,
    tasks: &TaskTracker,
    stop: &CancellationToken,
    output: Output,
) -> Result<(), Failure> {
    if let Ok(address) = listener.local_addr() {
        output.note(&format!("metrics on http://{address}/metrics"));
    }
    let server = b24sync_adapter_http::build_metrics(metrics, listener)
        .map_err(|error| Failure::of("could not start the server of the metrics", &error))?;
    let (handle, stop) = (server.handle(), stop.clone());
    tasks.spawn(async move {
        tokio::pin!(server);
        tokio::select! {
            result = &mut server => {
                if let Err(error) = result {
                    tracing::error!(error = %Chain(&error), "the server of the metrics broke");
                }
            }
            () = stop.cancelled() => {
                let ((), _) = tokio::join!(handle.stop(true), &mut server);
            }
        }
    });
    Ok(())
}

/// A listener on this address.
///
/// # Errors
/// When the address is taken or is not one of this machine.
pub fn listen(host: &str, port: u16) -> Result<TcpListener, Failure> {
    TcpListener::bind((host, port)).map_err(|error| {
        Failure::of(&format!("could not listen on {host}:{port}"), &error)
            .advise("choose another port with --port, or end the program that uses it")
    })
}

/// Serves until `stop` is cancelled, then lets open requests finish.
///
/// # Errors
/// When the server cannot be started or breaks.
pub async fn serve(
    database: &Database,
    interface: Interface,
    listener: TcpListener,
    stop: &CancellationToken,
    output: Output,
) -> Result<(), Failure> {
    let Interface { mapping, authenticator, metrics, intake, subscriptions, reconcile, settings } = interface;
    let address = listener.local_addr().map_err(|error| Failure::of("could not listen", &error))?;
    let feed = Feed::new(stop.clone());
    let ports = database.api_ports(Outside {
        mapping,
        happenings: Arc::new(feed.clone()),
        authenticator,
        metrics,
        intake,
        application: subscriptions.application,
        registration: subscriptions.registration,
        reconcile,
    });
    let (server, drain) = b24sync_adapter_http::build(ports, settings, listener)
        .map_err(|error| Failure::of("could not start the HTTP server", &error))?;
    output.note(&format!("listening on http://{address} (try http://{address}/health)"));
    tokio::pin!(server);
    let serving = async {
        tokio::select! {
            result = &mut server => result,
            () = stop.cancelled() => {
                let ((), result) = tokio::join!(drain.stop(), &mut server);
                result
            }
        }
    };
    let board = database.service_ports().board;
    let broken = tokio::select! {
        result = serving => result,
        () = async { feed.watch(board).await; std::future::pending().await } => Ok(()),
    };
    broken.map_err(|error| Failure::of("the HTTP server broke", &error))
}
