//! The `b24sync` program: command line, configuration, wiring.
//!
//! - [`cli`]: commands and flags.
//! - [`settings`]: flags and environment → checked settings, all problems at once.
//! - [`wiring`]: settings → adapters → services; the only module that names adapter types.
//! - [`commands`]: one file a command, ten to forty lines each.
//! - [`descriptors`]: how many connections the system lets the service have.
//! - [`priority`]: answers before syncs.
//! - [`failure`]: what went wrong, what to do, and the exit code.
//!
//! To add a command: a variant in [`cli`], a file in [`commands`], a line in `run`.

pub mod background;
pub mod cli;
pub mod commands;
pub mod descriptors;
pub mod failure;
pub mod instance;
pub mod lifecycle;
pub mod metering;
pub mod output;
pub mod priority;
pub mod progress;
pub mod settings;
pub mod telemetry;
pub mod wiring;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};
use crate::failure::Failure;
use crate::output::Output;

/// Worker threads at most: the work waits for the portal and the database, and memory grows with every thread.
const MOST_THREADS: usize = 4;

/// Parses the command line, runs the command, and returns its exit code.
pub fn main() -> ExitCode {
    b24sync_heap::settle();
    if let Err(failure) = settings::load_dotenv() {
        return failure.report(Output::default());
    }
    let cli = Cli::parse();
    let output = Output::new(cli.output);
    telemetry::install(&cli);
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(threads).enable_all();
    if matches!(cli.command, Command::Serve(_)) {
        // The server answers on threads of its own.
        builder.on_thread_start(priority::go_behind);
    }
    let runtime = match builder.build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::of("could not start the runtime", &error).report(output),
    };
    match runtime.block_on(run(cli, output)) {
        Ok(code) => code,
        Err(failure) => failure.report(output),
    }
}

async fn run(cli: Cli, output: Output) -> Result<ExitCode, Failure> {
    match cli.command {
        Command::Demo(args) => Box::pin(commands::demo::run(args, output)).await,
        Command::Migrate(args) => commands::migrate::run(args, output).await,
        Command::Sync(args) => Box::pin(commands::sync::run(args, output)).await,
        Command::Verify(args) => Box::pin(commands::verify::run(args, output)).await,
        Command::Status(args) => commands::status::run(args, output).await,
        Command::Doctor(args) => Box::pin(commands::doctor::run(*args, output)).await,
        Command::Schema(args) => Box::pin(commands::schema::run(args, output)).await,
        Command::Quarantine(args) => Box::pin(commands::quarantine::run(args, output)).await,
        Command::Webhooks(args) => Box::pin(commands::webhooks::run(args, output)).await,
        Command::Inbox(args) => Box::pin(commands::inbox::run(args, output)).await,
        Command::History(args) => Box::pin(commands::history::run(args, output)).await,
        Command::Config(args) => Box::pin(commands::config::run(args, output)).await,
        Command::Serve(args) => Box::pin(commands::serve::run(args, output)).await,
        Command::Health(args) => commands::health::run(&args, output),
        Command::Openapi => {
            output.document(&b24sync_adapter_http::openapi());
            Ok(ExitCode::SUCCESS)
        }
        Command::Completions(args) => commands::completions::run(&args),
    }
}
