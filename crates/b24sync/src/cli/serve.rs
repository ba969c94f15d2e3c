//! Arguments of the service.

use clap::{Args, ValueEnum};

use super::{DatabaseArgs, PortalArgs};

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
