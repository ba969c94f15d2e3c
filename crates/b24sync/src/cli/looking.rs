//! Arguments of looks at how everything stands.

use clap::{Args, Subcommand};

use super::{DatabaseArgs, PortalArgs, ServiceConfigArgs};

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Mend what can be mended without asking: migrate, take back rights on the service's own tables, switch row level
    /// security on again, close runs whose process is gone.
    #[arg(long)]
    pub fix: bool,
    /// Address that the service listens on.
    #[arg(long, env = "HOST", default_value = "0.0.0.0")]
    pub host: String,
    /// Service.
    #[command(flatten)]
    pub service: ServiceConfigArgs,
    /// Database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Portal.
    #[command(flatten)]
    pub portal: PortalArgs,
}

/// Arguments of `quarantine`.
#[derive(Debug, Args)]
pub struct QuarantineArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: QuarantineCommand,
}

/// What can be done about the quarantine.
#[derive(Debug, Subcommand)]
pub enum QuarantineCommand {
    /// Lists records that could not be stored, oldest first.
    #[command(after_help = "Example:\n  b24sync quarantine list deal --limit 20")]
    List {
        /// Only this entity.
        entity: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
        /// Database.
        #[command(flatten)]
        database: Box<DatabaseArgs>,
    },
    /// Reads records in quarantine again and stores those that can be stored now.
    #[command(
        override_usage = "b24sync quarantine retry [OPTIONS] <ENTITY>...\n       b24sync quarantine retry [OPTIONS] --all",
        after_help = "Example:\n  b24sync quarantine retry deal"
    )]
    Retry {
        /// Entities: company, contact, lead, deal.
        #[arg(required_unless_present = "all")]
        entities: Vec<String>,
        /// Every entity.
        #[arg(long, conflicts_with = "entities")]
        all: bool,
        /// Database.
        #[command(flatten)]
        database: Box<DatabaseArgs>,
        /// Portal.
        #[command(flatten)]
        portal: Box<PortalArgs>,
    },
}

/// Arguments of `history`.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Only this entity.
    pub entity: Option<String>,
    /// Only this status: queued, running, completed, `completed_with_quarantine`, failed, cancelled, interrupted.
    #[arg(long)]
    pub status: Option<String>,
    /// Only this type: full, incremental, sweep, webhook.
    #[arg(long = "type")]
    pub kind: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
    /// Database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// Arguments of `health`.
#[derive(Debug, Args)]
pub struct HealthArgs {
    /// Address that the service listens on.
    #[arg(long, env = "HOST", default_value = "0.0.0.0")]
    pub host: String,
    /// Port that the service listens on.
    #[arg(long, env = "PORT", default_value_t = 8080)]
    pub port: u16,
}
