//! `b24sync serve`: runs the service until it is told to stop: HTTP, the scheduler, and workers.

use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use b24sync_adapter_http::ApiSettings;
use b24sync_application::service::feed::Feed;
use b24sync_application::service::mapping::MappingService;
use b24sync_application::service::scheduler::schedule;
use b24sync_application::service::worker::Worker;
use b24sync_domain::ports::{Authenticator, MappingQuery};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cli::{Role, ServeArgs};
use crate::descriptors;
use crate::failure::Failure;
use crate::lifecycle;
use crate::output::Output;
use crate::progress::Quiet;
use crate::settings::{DatabaseSettings, PortalSettings, Problems, ServiceSettings};
use crate::wiring::{self, Database, NoPortal};

/// Listens, says where, and runs until SIGINT or SIGTERM.
///
/// # Errors
/// When the address cannot be listened on or the database cannot be reached.
pub async fn run(args: ServeArgs, output: Output) -> Result<ExitCode, Failure> {
    let mut problems = Problems::default();
    let settings = DatabaseSettings::new(&args.database, &mut problems);
    let loopback = PortalSettings::loopback_allowed(&args.portal);
    let service = ServiceSettings::new(&args.service, loopback, &mut problems);
    let portal = match args.role {
        Role::Api => PortalSettings::optional(&args.portal, &mut problems),
        Role::All | Role::Worker => Some(PortalSettings::new(&args.portal, &mut problems)),
    };
    let source = portal.and_then(|portal| wiring::source(&portal, &mut problems));
    let authenticator = wiring::authenticator(service.supabase.as_ref(), &mut problems);
    problems.check()?;
    if service.supabase.is_none() {
        output.note("SUPABASE_URL is not set: the API lets nobody in, only /health answers");
    }
    let stop = lifecycle::stop_on_signals();
    let listener = listen(&args.host, args.port)?;
    let database = if args.no_migrate {
        Database::open(&settings, output).await?
    } else {
        Database::open_migrated(&settings, output).await?
    };
    let tasks = TaskTracker::new();
    let ports = source.map(|source| database.ports(source, Arc::new(Quiet)));
    if args.role != Role::Api
        && let Some(ports) = ports.clone()
    {
        let worker = Worker::new(database.service_ports(), ports, settings.timestamps);
        let (service_ports, reconcile) = (database.service_ports(), service.reconcile);
        let (work, lead) = (stop.clone(), stop.clone());
        tasks.spawn(async move { worker.work(&work).await });
        tasks.spawn(async move { schedule(&service_ports, reconcile, &lead).await });
    }
    let mapping: Arc<dyn MappingQuery> = match ports {
        Some(ports) => Arc::new(MappingService::new(ports, settings.timestamps)),
        None => Arc::new(NoPortal),
    };
    let max_connections = descriptors::connections(service.api.max_connections, output);
    let settings = ApiSettings { max_connections, ..service.api };
    let interface = Interface { mapping, authenticator, reconcile: service.reconcile, settings };
    let result = serve(&database, interface, listener, &stop, output).await;
    // A server that broke takes the rest along.
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    database.close(output).await;
    result.map(|()| ExitCode::SUCCESS)
}

/// What the HTTP interface needs besides the database.
pub struct Interface {
    /// Dry runs of the mapping.
    pub mapping: Arc<dyn MappingQuery>,
    /// Who calls.
    pub authenticator: Arc<dyn Authenticator>,
    /// Time between full syncs.
    pub reconcile: Duration,
    /// Its settings.
    pub settings: ApiSettings,
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
    let Interface { mapping, authenticator, reconcile, settings } = interface;
    let address = listener.local_addr().map_err(|error| Failure::of("could not listen", &error))?;
    let feed = Feed::new(stop.clone());
    let ports = database.api_ports(mapping, Arc::new(feed.clone()), authenticator, reconcile);
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
