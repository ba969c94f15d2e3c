//! `b24sync serve`: runs the service until it is told to stop.

use std::net::TcpListener;
use std::process::ExitCode;

use crate::cli::ServeArgs;
use crate::failure::Failure;
use crate::lifecycle;
use crate::output::Output;
use crate::settings::{DatabaseSettings, Problems};
use crate::wiring::Database;

/// Listens, says where, and runs until SIGINT or SIGTERM.
///
/// # Errors
/// When the address cannot be listened on or the database cannot be reached.
pub async fn run(args: ServeArgs, output: Output) -> Result<ExitCode, Failure> {
    let mut problems = Problems::default();
    let settings = DatabaseSettings::new(&args.database, &mut problems);
    problems.check()?;
    let stop = lifecycle::stop_on_signals();
    let listener = listen(&args.host, args.port)?;
    let database = if args.no_migrate {
        Database::open(&settings, output).await?
    } else {
        Database::open_migrated(&settings, output).await?
    };
    let result = serve(&database, listener, &stop, output).await;
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
    stop: &tokio_util::sync::CancellationToken,
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
