//! Commands and flags. Secrets have no flags: arguments are visible to every user of the machine.

mod config;
mod connection;
mod events;
mod looking;
mod serve;
mod setup;
mod sync;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

pub use self::config::{ConfigArgs, ConfigCommand};
pub use self::connection::{ApplicationArgs, DatabaseArgs, PortalArgs};
pub use self::events::{ChosenEvents, HandlerArgs, InboxArgs, InboxCommand, WebhooksArgs, WebhooksCommand};
pub use self::looking::{DoctorArgs, HealthArgs, HistoryArgs, QuarantineArgs, QuarantineCommand, StatusArgs};
pub use self::serve::{Role, ServeArgs, ServiceConfigArgs};
pub use self::setup::{DemoArgs, MigrateArgs, SchemaArgs, SchemaCommand};
pub use self::sync::{SyncArgs, VerifyArgs};

/// Keeps a live, exact copy of a Bitrix24 CRM in your own PostgreSQL.
#[derive(Debug, Parser)]
#[command(
    name = "b24sync",
    version,
    about,
    after_help = "Secrets come from the environment, from a file named by NAME_FILE, or from a `.env` file:\n  \
                  BITRIX_WEBHOOK_URL  the portal's incoming webhook, https://portal.bitrix24.com/rest/1/code/\n  \
                  DATABASE_URL        postgresql://user:password@host/database; without it a private PostgreSQL is used\n\n\
                  Try it without a portal:\n  b24sync demo --once\n\n\
                  Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 3 differences found."
)]
pub struct Cli {
    /// How results are printed.
    #[arg(long, global = true, value_enum, default_value_t = Format::Table)]
    pub output: Format,
    /// More of what happens, on standard error: -v the steps, -vv each request. What `RUST_LOG` says goes before it.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs: one JSON document on standard output.
    Json,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Shows everything on a made-up portal: private PostgreSQL, full sync, a live change.
    #[command(after_help = "Example:\n  b24sync demo --once")]
    Demo(DemoArgs),
    /// Creates or updates the service's own tables; takes over a database of the Python service.
    #[command(
        after_help = "Examples:\n  b24sync migrate --plan\n  DATABASE_URL=postgresql://me@localhost/crm b24sync migrate"
    )]
    Migrate(MigrateArgs),
    /// Copies entities from the portal into their tables; Ctrl-C stops cleanly, the next sync goes on from there.
    #[command(
        override_usage = "b24sync sync [OPTIONS] <ENTITY>...\n       b24sync sync [OPTIONS] --all",
        after_help = "Examples:\n  b24sync sync deal\n  b24sync sync --all --incremental\n  b24sync sync --all --sweep\n  b24sync sync deal --id 7405,7406\n  b24sync sync --all --plan\n  b24sync sync --all --output json"
    )]
    Sync(SyncArgs),
    /// Compares the portal with the tables; exit code 3 when they differ. Changes nothing without --repair.
    #[command(
        override_usage = "b24sync verify [OPTIONS] <ENTITY>...\n       b24sync verify [OPTIONS] --all",
        after_help = "Examples:\n  b24sync verify deal\n  b24sync verify --all --output json\n  b24sync verify deal --repair"
    )]
    Verify(VerifyArgs),
    /// Shows how each entity's table stands.
    #[command(after_help = "Example:\n  b24sync status")]
    Status(StatusArgs),
    /// Looks whether everything that the service relies on is as it should be, and says what to do where it is not.
    #[command(after_help = "Examples:\n  b24sync doctor\n  b24sync doctor --fix\n  b24sync doctor --output json")]
    Doctor(Box<DoctorArgs>),
    /// Shows which column each field has, and what a sync would change about a table.
    #[command(after_help = "Examples:\n  b24sync schema show deal\n  b24sync schema plan deal")]
    Schema(SchemaArgs),
    /// Shows records that could not be stored, and why; reads them again.
    #[command(after_help = "Examples:\n  b24sync quarantine list deal\n  b24sync quarantine retry --all")]
    Quarantine(QuarantineArgs),
    /// Says how the portal's events get here, and subscribes to them where the service is an application.
    #[command(
        after_help = "Examples:\n  b24sync webhooks instructions --public-url https://sync.example.com\n  b24sync webhooks register https://sync.example.com\n  b24sync webhooks list"
    )]
    Webhooks(WebhooksArgs),
    /// Shows events of the portal that wait to be applied, and those that could not be.
    #[command(
        after_help = "Examples:\n  b24sync inbox list\n  b24sync inbox retry deal --id 7405\n  b24sync inbox discard deal"
    )]
    Inbox(InboxArgs),
    /// Shows what was done, newest first.
    #[command(after_help = "Examples:\n  b24sync history\n  b24sync history deal --status failed --limit 5")]
    History(HistoryArgs),
    /// Shows and changes the schedule of each entity; a running service follows within seconds.
    #[command(
        after_help = "Examples:\n  b24sync config list\n  b24sync config set deal --interval-minutes 15\n  b24sync config apply settings.yaml --dry-run"
    )]
    Config(ConfigArgs),
    /// Runs the service until it is told to stop: syncs on schedule, and answers the HTTP API.
    #[command(after_help = "Examples:\n  b24sync serve --port 8080\n  b24sync serve --role worker")]
    Serve(ServeArgs),
    /// Asks the service on this machine whether it is ready; exit code 1 when not. For health checks of containers.
    #[command(after_help = "Example:\n  PORT=8080 b24sync health")]
    Health(HealthArgs),
    /// Prints the description of the HTTP interface (OpenAPI 3.1).
    #[command(after_help = "Example:\n  b24sync openapi > openapi.json")]
    Openapi,
    /// Prints a completion script for a shell.
    #[command(after_help = "Example:\n  b24sync completions bash > /etc/bash_completion.d/b24sync")]
    Completions(CompletionsArgs),
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// Which shell.
    pub shell: Shell,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        for command in Cli::command().get_subcommands_mut() {
            let help = command.render_long_help().to_string();
            assert!(help.contains("Example"), "{}", command.get_name());
        }
    }
}
