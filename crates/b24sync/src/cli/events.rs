//! Arguments of what has to do with the portal's events.

use clap::{Args, Subcommand};

use super::{ApplicationArgs, DatabaseArgs, PortalArgs};

/// Arguments of `webhooks`.
#[derive(Debug, Args)]
pub struct WebhooksArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: WebhooksCommand,
}

/// What can be done about the portal's handlers.
#[derive(Debug, Subcommand)]
pub enum WebhooksCommand {
    /// Says what to enter in the portal.
    #[command(after_help = "Example:\n  b24sync webhooks instructions --public-url https://sync.example.com")]
    Instructions {
        /// Address of this service as the portal sees it.
        #[arg(long, env = "PUBLIC_URL")]
        public_url: Option<String>,
        /// Portal.
        #[command(flatten)]
        portal: Box<PortalArgs>,
    },
    /// Binds every event to this service; as an application of the portal only.
    #[command(after_help = "Example:\n  b24sync webhooks register https://sync.example.com")]
    Register(HandlerArgs),
    /// Unbinds the events; as an application of the portal only.
    #[command(after_help = "Example:\n  b24sync webhooks unregister https://sync.example.com")]
    Unregister(HandlerArgs),
    /// Lists the handlers that the portal has; as an application of the portal only.
    #[command(after_help = "Example:\n  b24sync webhooks list")]
    List(ApplicationArgs),
    /// Authorises the application again, with a browser: for tokens that were lost or have lapsed.
    #[command(after_help = "Example:\n  b24sync webhooks authorize")]
    Authorize(ApplicationArgs),
    /// Forgets the application's tokens, so that it can be installed anew.
    #[command(after_help = "Example:\n  b24sync webhooks forget")]
    Forget(ApplicationArgs),
}

/// A handler, and what is needed to speak of it.
#[derive(Debug, Args)]
pub struct HandlerArgs {
    /// Address of this service as the portal sees it.
    #[arg(env = "PUBLIC_URL")]
    pub base_url: String,
    /// The rest.
    #[command(flatten)]
    pub application: ApplicationArgs,
}

/// Arguments of `inbox`.
#[derive(Debug, Args)]
pub struct InboxArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: InboxCommand,
}

/// What can be done about events.
#[derive(Debug, Subcommand)]
pub enum InboxCommand {
    /// Lists events that wait and dead letters, oldest first.
    #[command(after_help = "Example:\n  b24sync inbox list deal --dead")]
    List {
        /// Only this entity.
        entity: Option<String>,
        /// Only dead letters: what could not be applied after many attempts.
        #[arg(long)]
        dead: bool,
        /// At most so many.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
        /// Database.
        #[command(flatten)]
        database: Box<DatabaseArgs>,
    },
    /// Makes dead letters live again; a running service applies them within seconds.
    #[command(after_help = "Examples:\n  b24sync inbox retry\n  b24sync inbox retry deal --id 7405")]
    Retry(ChosenEvents),
    /// Forgets dead letters; the next sync that lists their records sees them all the same.
    #[command(after_help = "Examples:\n  b24sync inbox discard deal --id 7405\n  b24sync inbox discard --all")]
    Discard(ChosenEvents),
}

/// Which events.
#[derive(Debug, Args)]
pub struct ChosenEvents {
    /// Only this entity.
    pub entity: Option<String>,
    /// Only this record.
    #[arg(long, requires = "entity", value_parser = clap::value_parser!(i64).range(1..))]
    pub id: Option<i64>,
    /// Those that wait too, not only dead letters.
    #[arg(long)]
    pub pending: bool,
    /// Those of all entities; discarding asks for it where no entity is named.
    #[arg(long, conflicts_with = "entity")]
    pub all: bool,
    /// Database.
    #[command(flatten)]
    pub database: Box<DatabaseArgs>,
}
