//! Where the database and the portal are.

use clap::Args;

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
