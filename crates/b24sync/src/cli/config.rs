//! Arguments of settings that the database holds.

use clap::{Args, Subcommand};

use super::DatabaseArgs;

/// Arguments of `config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What can be done about the schedule.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Lists the settings of every entity.
    #[command(after_help = "Example:\n  b24sync config list")]
    List {
        /// Database.
        #[command(flatten)]
        database: Box<DatabaseArgs>,
    },
    /// Changes settings of one entity.
    #[command(after_help = "Example:\n  b24sync config set lead --enabled false")]
    Set {
        /// Which entity: company, contact, lead, deal.
        entity: String,
        /// Whether it is synced on schedule.
        #[arg(long)]
        enabled: Option<bool>,
        /// Minutes between incremental syncs, 5 to 1440.
        #[arg(long)]
        interval_minutes: Option<i32>,
        /// Whether events of the portal are applied.
        #[arg(long)]
        webhook_enabled: Option<bool>,
        /// Database.
        #[command(flatten)]
        database: Box<DatabaseArgs>,
    },
    /// Prints the settings as YAML, for `apply`.
    #[command(after_help = "Example:\n  b24sync config export > settings.yaml")]
    Export {
        /// Database.
        #[command(flatten)]
        database: Box<DatabaseArgs>,
    },
    /// Brings the settings to those of a file.
    #[command(after_help = "Example:\n  b24sync config apply settings.yaml --dry-run")]
    Apply {
        /// YAML file as `export` prints it; - reads standard input.
        file: String,
        /// Print the differences, and change nothing.
        #[arg(long)]
        dry_run: bool,
        /// Database.
        #[command(flatten)]
        database: Box<DatabaseArgs>,
    },
}
