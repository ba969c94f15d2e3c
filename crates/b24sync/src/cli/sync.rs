//! Arguments of syncs and comparisons.

use clap::Args;

use super::{DatabaseArgs, PortalArgs};

/// Arguments of `sync`.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags of a command line are just that")]
pub struct SyncArgs {
    /// Entities to copy: company, contact, lead, deal.
    #[arg(required_unless_present = "all")]
    pub entities: Vec<String>,
    /// Copy every entity.
    #[arg(long, conflicts_with = "entities")]
    pub all: bool,
    /// Read every record (the default).
    #[arg(long)]
    pub full: bool,
    /// Read only what changed since the last sync, and what is new; an entity that was never synced is read completely.
    #[arg(long, conflicts_with = "full")]
    pub incremental: bool,
    /// Compare ids only: take out what is gone, read what the table does not have.
    #[arg(long, conflicts_with_all = ["full", "incremental"])]
    pub sweep: bool,
    /// Read only the records with these ids, comma-separated, and apply what the portal says of them.
    #[arg(long, value_name = "ID,…", value_delimiter = ',', conflicts_with_all = ["incremental", "full", "sweep", "all", "confirm_deletes"])]
    pub id: Vec<i64>,
    /// Delete the rows of as many records as this run found deleted in the portal; it said so and waits.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["incremental", "sweep", "all"])]
    pub confirm_deletes: Option<i64>,
    /// Show what the sync would do to the tables, how much it would read, and how long that takes at least; do nothing.
    #[arg(long, conflicts_with_all = ["sweep", "id", "confirm_deletes", "portal_moved", "no_migrate"])]
    pub plan: bool,
    /// The portal that this database belongs to has another address now: the one in `BITRIX_WEBHOOK_URL`.
    #[arg(long)]
    pub portal_moved: bool,
    /// Do not create or update the service's own tables first.
    #[arg(long)]
    pub no_migrate: bool,
    /// Database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Portal.
    #[command(flatten)]
    pub portal: PortalArgs,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Entities to compare: company, contact, lead, deal.
    #[arg(required_unless_present = "all")]
    pub entities: Vec<String>,
    /// Compare every entity.
    #[arg(long, conflicts_with = "entities")]
    pub all: bool,
    /// Read the records that differ again, apply what the portal says of them, and compare once more.
    #[arg(long)]
    pub repair: bool,
    /// Database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Portal.
    #[command(flatten)]
    pub portal: PortalArgs,
}
