//! `b24sync serve`: runs the service until it is told to stop: HTTP, the scheduler, and workers.

use std::net::TcpListener;
use std::process::ExitCode;
use std::sync::Arc;

use b24sync_application::service::scheduler::schedule;
use b24sync_application::service::worker::Worker;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cli::{Role, ServeArgs};
use crate::failure::Failure;
use crate::lifecycle;
use crate::output::Output;
use crate::progress::Quiet;
use crate::settings::{DatabaseSettings, PortalSettings, Problems, ServiceSettings};
use crate::wiring::{self, Database};

/// Listens, says where, and runs until SIGINT or SIGTERM.
///
/// # Errors
/// When the address cannot be listened on or the database cannot be reached.
pub async fn run(args: ServeArgs, output: Output) -> Result<ExitCode, Failure> {
    let mut problems = Problems::default();
    let settings = DatabaseSettings::new(&args.database, &mut problems);
    let service = ServiceSettings::new(&args.service, &mut problems);
    let source = if args.role == Role::Api {
        None
    } else {
        let portal = PortalSettings::new(&args.portal, &mut problems);
        wiring::source(&portal, &mut problems)
    };
    problems.check()?;
    let stop = lifecycle::stop_on_signals();
    let listener = listen(&args.host, args.port)?;
    let database = if args.no_migrate {
        Database::open(&settings, output).await?
    } else {
        Database::open_migrated(&settings, output).await?
    };
    let tasks = TaskTracker::new();
    if let Some(source) = source {
        let worker =
            Worker::new(database.service_ports(), database.ports(source, Arc::new(Quiet)), settings.timestamps);
        let (ports, reconcile) = (database.service_ports(), service.reconcile);
        let (work, lead) = (stop.clone(), stop.clone());
        tasks.spawn(async move { worker.work(&work).await });
        tasks.spawn(async move { schedule(&ports, reconcile, &lead).await });
    }
    tasks.close();
    let result = serve(&database, listener, &stop, output).await;
    // A server that broke takes the rest along.
    stop.cancel();
    tasks.wait().await;
    database.close(output).await;
    result.map(|()| ExitCode::SUCCESS)
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
    listener: TcpListener,
    stop: &CancellationToken,
    output: Output,
) -> Result<(), Failure> {
    let address = listener.local_addr().map_err(|error| Failure::of("could not listen", &error))?;
    let server = b24sync_adapter_http::build(database.api_ports(), listener)
        .map_err(|error| Failure::of("could not start the HTTP server", &error))?;
    let handle = server.handle();
    output.note(&format!("listening on http://{address} (try http://{address}/health)"));
    tokio::pin!(server);
    let broken = tokio::select! {
        result = &mut server => result,
        () = stop.cancelled() => {
            let ((), result) = tokio::join!(handle.stop(true), &mut server);
            result
        }
    };
    broken.map_err(|error| Failure::of("the HTTP server broke", &error))
}
