//! Arguments of what is done before syncs: a try, migrations, a look at tables.

use clap::{Args, Subcommand};

use super::{DatabaseArgs, PortalArgs};

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Sync, show the tables and one live change, and end.
    #[arg(long)]
    pub once: bool,
    /// Deals in the made-up portal; leads, contacts and companies follow.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub deals: u32,
    /// Port of the service's HTTP interface; 0 takes any free one.
    #[arg(long, default_value_t = 0)]
    pub port: u16,
    /// Where the private PostgreSQL keeps its data [default: the user's data folder].
    #[arg(long, env = "B24SYNC_DATA_DIR")]
    pub data_dir: Option<std::path::PathBuf>,
    /// Directory of PostgreSQL's programs [default: searched for].
    #[arg(long, env = "B24SYNC_POSTGRES_BIN")]
    pub postgres_bin: Option<std::path::PathBuf>,
}

/// Arguments of `migrate`.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// Print what would be done, and leave everything as it is.
    #[arg(long)]
    pub plan: bool,
    /// Database.
    #[command(flatten)]
    pub database: DatabaseArgs,
}

/// Arguments of `schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: SchemaCommand,
}

/// What can be asked about replica tables.
#[derive(Debug, Subcommand)]
pub enum SchemaCommand {
    /// Prints the statements that the next sync would run on the table, and what it would read again; changes nothing.
    #[command(after_help = "Example:\n  b24sync schema plan deal")]
    Plan {
        /// Which entity: company, contact, lead, deal.
        entity: String,
        /// Database.
        #[command(flatten)]
        database: Box<DatabaseArgs>,
        /// Portal.
        #[command(flatten)]
        portal: Box<PortalArgs>,
    },
    /// Prints the data dictionary: fields, their columns, types and labels.
    #[command(after_help = "Example:\n  b24sync schema show deal --output json")]
    Show {
        /// Which entity: company, contact, lead, deal.
        entity: String,
        /// Database.
        #[command(flatten)]
        database: Box<DatabaseArgs>,
    },
}
