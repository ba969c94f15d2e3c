//! Commands and flags. Secrets have no flags: arguments are visible to every user of the machine.

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

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

/// Where the replica lives. Every value may also come from the environment.
#[derive(Debug, Clone, Default, Args)]
pub struct DatabaseArgs {
    /// Schema of the crm_* and sync_* tables [default: public].
    #[arg(long, env = "DATABASE_SCHEMA", help_heading = "Database")]
    pub database_schema: Option<String>,
    /// Connections kept open [default: 5].
    #[arg(long, env = "DATABASE_POOL_SIZE", help_heading = "Database")]
    pub database_pool_size: Option<String>,
    /// Connections above that when needed [default: 10].
    #[arg(long, env = "DATABASE_MAX_OVERFLOW", help_heading = "Database")]
    pub database_max_overflow: Option<String>,
    /// Type of new columns for instants: timestamp (in UTC) or timestamptz [default: timestamp].
    #[arg(long, env = "TIMESTAMP_TYPE", help_heading = "Database")]
    pub timestamp_type: Option<String>,
    /// What becomes of rows of records that are deleted in the portal: hard removes them, soft keeps them with the time in
    /// `deleted_at` [default: hard].
    #[arg(long, env = "DELETE_MODE", help_heading = "Database")]
    pub delete_mode: Option<String>,
    /// Minutes between incremental syncs that an entity without settings of its own gets when the database is migrated
    /// [default: 30].
    #[arg(long, env = "SYNC_DEFAULT_INTERVAL_MINUTES", help_heading = "Database")]
    pub default_interval_minutes: Option<String>,
    /// Where the private PostgreSQL keeps its data without `DATABASE_URL` [default: the user's data folder].
    #[arg(long, env = "B24SYNC_DATA_DIR", help_heading = "Database")]
    pub data_dir: Option<std::path::PathBuf>,
    /// Directory of PostgreSQL's programs for the private server [default: searched for].
    #[arg(long, env = "B24SYNC_POSTGRES_BIN", help_heading = "Database")]
    pub postgres_bin: Option<std::path::PathBuf>,
}

/// How the portal is read. Every value may also come from the environment.
#[derive(Debug, Clone, Default, Args)]
pub struct PortalArgs {
    /// Which methods to call: item (universal) or classic (for old on-premise portals) [default: item].
    #[arg(long, env = "BITRIX_CRM_API", help_heading = "Portal")]
    pub bitrix_crm_api: Option<String>,
    /// The portal's address, for an application: `https://portal.bitrix24.com`.
    #[arg(long, env = "BITRIX_PORTAL_URL", help_heading = "Portal")]
    pub bitrix_portal_url: Option<String>,
    /// Id of the local application, in place of an incoming webhook; `BITRIX_CLIENT_SECRET` and `BITRIX_TOKEN_KEY` are
    /// read from the environment.
    #[arg(long, env = "BITRIX_CLIENT_ID", help_heading = "Portal")]
    pub bitrix_client_id: Option<String>,
    /// Authorisation servers that may see the application's secret, comma-separated [default: Bitrix24's].
    #[arg(long, env = "BITRIX_OAUTH_SERVERS", help_heading = "Portal")]
    pub bitrix_oauth_servers: Option<String>,
    /// The portal whose events are taken, by its `member_id`; without it, that of whoever has the token
    /// (`BITRIX_APPLICATION_TOKENS` in the environment).
    #[arg(long, env = "BITRIX_MEMBER_ID", help_heading = "Portal")]
    pub bitrix_member_id: Option<String>,
    /// Requests a second that the portal's plan allows [default: 2].
    #[arg(long, env = "BITRIX_RATE_PER_SECOND", help_heading = "Portal")]
    pub bitrix_rate_per_second: Option<String>,
    /// Requests at once that the portal's plan allows [default: 50].
    #[arg(long, env = "BITRIX_RATE_BURST", help_heading = "Portal")]
    pub bitrix_rate_burst: Option<String>,
    /// Seconds of execution time that a method may use in ten minutes before the portal refuses it [default: 480].
    #[arg(long, env = "BITRIX_OPERATING_LIMIT_SECONDS", help_heading = "Portal")]
    pub bitrix_operating_limit_seconds: Option<String>,
    /// Development only: allow http and addresses of this machine [default: false].
    #[arg(long, env = "BITRIX_ALLOW_LOOPBACK", help_heading = "Portal", num_args = 0..=1, default_missing_value = "true")]
    pub bitrix_allow_loopback: Option<String>,
}

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

/// Where the application's tokens are, and which portal it is of.
#[derive(Debug, Args)]
pub struct ApplicationArgs {
    /// Database.
    #[command(flatten)]
    pub database: Box<DatabaseArgs>,
    /// Portal.
    #[command(flatten)]
    pub portal: Box<PortalArgs>,
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

/// What an instance does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Everything.
    All,
    /// Answers requests only; other instances do the syncs.
    Api,
    /// Schedules and does syncs, as one of several; put the API's load on others.
    Worker,
}

/// How the service works. Every value may also come from the environment.
#[derive(Debug, Clone, Default, Args)]
pub struct ServiceConfigArgs {
    /// Hours between full syncs of each entity [default: 24].
    #[arg(long, env = "SYNC_RECONCILE_INTERVAL_HOURS", help_heading = "Service")]
    pub reconcile_interval_hours: Option<String>,
    /// Supabase project whose users may call the API, `https://xyz.supabase.co`; without it nobody may.
    #[arg(long, env = "SUPABASE_URL", help_heading = "Service")]
    pub supabase_url: Option<String>,
    /// Claim that holds a user's role: viewer, operator or admin [default: `app_metadata.b24sync_role`].
    #[arg(long, env = "AUTH_ROLE_CLAIM", help_heading = "Service")]
    pub auth_role_claim: Option<String>,
    /// Role of users of whom nothing is said: none, viewer, operator or admin [default: none].
    #[arg(long, env = "AUTH_DEFAULT_ROLE", help_heading = "Service")]
    pub auth_default_role: Option<String>,
    /// Ids of users who are viewers, comma-separated.
    #[arg(long, env = "AUTH_VIEWERS", help_heading = "Service")]
    pub auth_viewers: Option<String>,
    /// Ids of users who are operators, comma-separated.
    #[arg(long, env = "AUTH_OPERATORS", help_heading = "Service")]
    pub auth_operators: Option<String>,
    /// Ids of users who are admins, comma-separated.
    #[arg(long, env = "AUTH_ADMINS", help_heading = "Service")]
    pub auth_admins: Option<String>,
    /// Web pages that may call the API: exact origins, comma-separated.
    #[arg(long, env = "API_ALLOWED_ORIGINS", help_heading = "Service")]
    pub api_allowed_origins: Option<String>,
    /// Address of this service as the portal sees it, `https://sync.example.com`: where its events go.
    #[arg(long, env = "PUBLIC_URL", help_heading = "Service")]
    pub public_url: Option<String>,
    /// Address and port that `/metrics` is served at without a token, `127.0.0.1:9464`; with `METRICS_TOKEN` in the
    /// environment it is served beside the API too.
    #[arg(long, env = "METRICS_BIND", help_heading = "Service")]
    pub metrics_bind: Option<String>,
    /// Proxies whose X-Forwarded-For is believed: addresses or networks, comma-separated.
    #[arg(long, env = "API_TRUSTED_PROXIES", help_heading = "Service")]
    pub api_trusted_proxies: Option<String>,
    /// Seconds for which /health/ready says no before the service stops to accept connections, so that balancers see it
    /// [default: 0].
    #[arg(long, env = "SHUTDOWN_NOTICE_SECONDS", help_heading = "Service")]
    pub shutdown_notice_seconds: Option<String>,
}

/// Arguments of `serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// What this instance does.
    #[arg(long, value_enum, default_value_t = Role::All)]
    pub role: Role,
    /// Address to listen on.
    #[arg(long, env = "HOST", default_value = "0.0.0.0")]
    pub host: String,
    /// Port to listen on.
    #[arg(long, env = "PORT", default_value_t = 8080)]
    pub port: u16,
    /// Do not create or update the service's own tables first.
    #[arg(long)]
    pub no_migrate: bool,
    /// Service.
    #[command(flatten)]
    pub service: Box<ServiceConfigArgs>,
    /// Database.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Portal.
    #[command(flatten)]
    pub portal: PortalArgs,
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
