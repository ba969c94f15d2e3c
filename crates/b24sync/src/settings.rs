//! Flags and environment → checked settings. All problems are reported at once, each with the variable's name and an
//! example. This is the only module that reads the environment.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use b24sync_adapter_http::{ApiSettings, Network, TokenDigest};
use b24sync_adapter_supabase::SupabaseSettings;
use b24sync_application::service::application::HandlerUrl;
use b24sync_domain::access::Role;
use b24sync_domain::mapping::TimestampStyle;
use b24sync_domain::settings::DeleteMode;
use secrecy::{ExposeSecret, SecretString};

use crate::cli::{DatabaseArgs, PortalArgs, ServiceConfigArgs};
use crate::failure::Failure;

/// Loads a `.env` file of this directory or one above it; what the environment has already goes before it.
///
/// # Errors
/// When the file is there but is not made of `NAME=value` lines.
pub fn load_dotenv() -> Result<(), Failure> {
    match dotenvy::dotenv() {
        Ok(_) => Ok(()),
        Err(error) if error.not_found() => Ok(()),
        // The error's own text repeats the line, which may hold a secret.
        Err(dotenvy::Error::LineParse(_, position)) => Err(Failure::usage(
            format!("the file `.env` has a line that is not NAME=value (its error is at character {position} of it)"),
            "mend the line or remove the file",
        )),
        Err(_) => Err(Failure::usage("the file `.env` cannot be read".to_owned(), "check its permissions")),
    }
}

/// Everything that is wrong with the settings.
#[derive(Debug, Default)]
pub struct Problems(Vec<String>);

impl Problems {
    /// One more problem.
    pub fn add(&mut self, problem: impl fmt::Display) {
        self.0.push(problem.to_string());
    }

    /// Nothing, or a failure that names all of them.
    ///
    /// # Errors
    /// When there is at least one problem.
    pub fn check(self) -> Result<(), Failure> {
        if self.0.is_empty() {
            return Ok(());
        }
        Err(Failure::usage(self.0.join("\n"), "correct the settings above; `b24sync serve --help` lists all of them"))
    }

    /// Each problem by itself.
    pub fn into_list(self) -> Vec<String> {
        self.0
    }

    fn parsed<T>(
        &mut self,
        name: &str,
        text: Option<&str>,
        default: T,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> T {
        match text.map(str::trim).filter(|text| !text.is_empty()) {
            None => default,
            Some(text) => parse(text).unwrap_or_else(|| {
                self.add(format!("{name}: `{text}` is not {expected}"));
                default
            }),
        }
    }
}

/// A secret from `NAME`, or from the file that `NAME_FILE` names. Empty counts as not set.
#[expect(clippy::disallowed_methods, reason = "the one place where secrets are read from the environment")]
pub fn secret(name: &str, problems: &mut Problems) -> Option<SecretString> {
    let file_name = format!("{name}_FILE");
    let value = match (std::env::var(name).ok(), std::env::var(&file_name).ok().filter(|path| !path.is_empty())) {
        (Some(value), _) if !value.trim().is_empty() => Some(value),
        (_, Some(path)) => match std::fs::read_to_string(&path) {
            Ok(value) => Some(value),
            Err(error) => {
                problems.add(format!("{file_name}: the file `{path}` cannot be read ({error})"));
                None
            }
        },
        _ => None,
    };
    value.map(|value| value.trim().to_owned()).filter(|value| !value.is_empty()).map(SecretString::from)
}

/// Where the replica lives.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// Address with password; `None` asks for the private server.
    pub url: Option<SecretString>,
    /// Schema of the replica tables.
    pub schema: String,
    /// Connections kept open.
    pub pool_size: u32,
    /// Connections above that.
    pub max_overflow: u32,
    /// Type of new columns for instants.
    pub timestamps: TimestampStyle,
    /// What becomes of rows of deleted records.
    pub deletes: DeleteMode,
    /// Minutes between incremental syncs of an entity that has no settings of its own.
    pub default_interval_minutes: i32,
    /// Whether the private server is used on purpose, whatever `DATABASE_URL` says.
    pub wants_private: bool,
    /// Name of the database in the private server.
    pub private_database: &'static str,
    /// Data directory of the private server.
    pub data_dir: Option<PathBuf>,
    /// Directory of PostgreSQL's programs.
    pub postgres_bin: Option<PathBuf>,
}

impl DatabaseSettings {
    /// Checks flags and environment.
    pub fn new(args: &DatabaseArgs, problems: &mut Problems) -> DatabaseSettings {
        let schema = args.database_schema.clone().filter(|schema| !schema.is_empty());
        let schema = schema.unwrap_or_else(|| "public".to_owned());
        if schema.len() > 63 || schema == "b24sync" || schema.starts_with("pg_") {
            problems
                .add(format!("DATABASE_SCHEMA: `{schema}` cannot hold the tables; example: DATABASE_SCHEMA=public"));
        }
        DatabaseSettings {
            url: secret("DATABASE_URL", problems),
            schema,
            pool_size: problems.parsed(
                "DATABASE_POOL_SIZE",
                args.database_pool_size.as_deref(),
                5,
                "a number from 1 to 100; example: DATABASE_POOL_SIZE=5",
                |text| text.parse().ok().filter(|size| (1..=100).contains(size)),
            ),
            max_overflow: problems.parsed(
                "DATABASE_MAX_OVERFLOW",
                args.database_max_overflow.as_deref(),
                10,
                "a number from 0 to 100; example: DATABASE_MAX_OVERFLOW=10",
                |text| text.parse().ok().filter(|size| (0..=100).contains(size)),
            ),
            deletes: problems.parsed(
                "DELETE_MODE",
                args.delete_mode.as_deref(),
                DeleteMode::Hard,
                "one of hard, soft; example: DELETE_MODE=hard",
                |text| match text {
                    "hard" => Some(DeleteMode::Hard),
                    "soft" => Some(DeleteMode::Soft),
                    _ => None,
                },
            ),
            timestamps: problems.parsed(
                "TIMESTAMP_TYPE",
                args.timestamp_type.as_deref(),
                TimestampStyle::Timestamp,
                "one of timestamp, timestamptz; example: TIMESTAMP_TYPE=timestamptz",
                |text| match text {
                    "timestamp" => Some(TimestampStyle::Timestamp),
                    "timestamptz" => Some(TimestampStyle::TimestampTz),
                    _ => None,
                },
            ),
            default_interval_minutes: problems.parsed(
                "SYNC_DEFAULT_INTERVAL_MINUTES",
                args.default_interval_minutes.as_deref(),
                30,
                "a number from 5 to 1440; example: SYNC_DEFAULT_INTERVAL_MINUTES=30",
                |text| text.parse().ok().filter(|minutes| (5..=1440).contains(minutes)),
            ),
            wants_private: false,
            private_database: "b24sync",
            data_dir: args.data_dir.clone(),
            postgres_bin: args.postgres_bin.clone(),
        }
    }
}

/// Which of the portal's two sets of methods is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrmApi {
    /// `crm.item.*`.
    Item,
    /// `crm.deal.*` and its like.
    Classic,
}

/// How the service works.
#[derive(Debug, Clone)]
pub struct ServiceSettings {
    /// Time between full syncs of each entity.
    pub reconcile: Duration,
    /// The project whose users may call; `None`: nobody may.
    pub supabase: Option<SupabaseSettings>,
    /// The HTTP interface.
    pub api: ApiSettings,
    /// Where figures are served without a token.
    pub metrics_bind: Option<SocketAddr>,
    /// Where the portal reaches the service.
    pub handler: Option<HandlerUrl>,
}

impl ServiceSettings {
    /// Checks flags and environment.
    pub fn new(args: &ServiceConfigArgs, allow_loopback: bool, problems: &mut Problems) -> ServiceSettings {
        let hours: u32 = problems.parsed(
            "SYNC_RECONCILE_INTERVAL_HOURS",
            args.reconcile_interval_hours.as_deref(),
            24,
            "a number from 1 to 8760; example: SYNC_RECONCILE_INTERVAL_HOURS=24",
            |text| text.parse().ok().filter(|hours| (1..=8_760).contains(hours)),
        );
        ServiceSettings {
            reconcile: Duration::from_secs(u64::from(hours) * 3_600),
            supabase: supabase(args, allow_loopback, problems),
            api: api(args, problems),
            handler: handler(args.public_url.as_deref(), allow_loopback, problems),
            metrics_bind: problems.parsed(
                "METRICS_BIND",
                args.metrics_bind.as_deref(),
                None,
                "an address and a port; example: METRICS_BIND=127.0.0.1:9464",
                |text| text.parse().ok().map(Some),
            ),
        }
    }

    /// Whether anybody may ask for figures.
    pub fn wants_metrics(&self) -> bool {
        self.metrics_bind.is_some() || self.api.metrics_token.is_some()
    }
}

/// Where the portal sends events, by the address that the service has from outside.
pub fn handler(public_url: Option<&str>, allow_loopback: bool, problems: &mut Problems) -> Option<HandlerUrl> {
    let base = given(public_url)?;
    HandlerUrl::below(&base, allow_loopback)
        .map_err(|error| problems.add(format!("PUBLIC_URL: {error}; example: PUBLIC_URL=https://sync.example.com")))
        .ok()
}

fn supabase(args: &ServiceConfigArgs, allow_loopback: bool, problems: &mut Problems) -> Option<SupabaseSettings> {
    let url = args.supabase_url.clone().map(|url| url.trim().to_owned()).filter(|url| !url.is_empty())?;
    let mut settings = SupabaseSettings::new(url);
    settings.jwt_secret = secret("SUPABASE_JWT_SECRET", problems);
    settings.allow_loopback = allow_loopback;
    if let Some(claim) = args.auth_role_claim.clone().filter(|claim| !claim.trim().is_empty()) {
        settings.role_claim = claim;
    }
    settings.default_role = problems.parsed(
        "AUTH_DEFAULT_ROLE",
        args.auth_default_role.as_deref(),
        None,
        "one of none, viewer, operator, admin; example: AUTH_DEFAULT_ROLE=viewer",
        |text| if text == "none" { Some(None) } else { text.parse::<Role>().ok().map(Some) },
    );
    for (role, ids) in
        [(Role::Viewer, &args.auth_viewers), (Role::Operator, &args.auth_operators), (Role::Admin, &args.auth_admins)]
    {
        let ids = listed(ids.as_deref());
        if !ids.is_empty() {
            settings.role_users.insert(role, ids);
        }
    }
    Some(settings)
}

fn api(args: &ServiceConfigArgs, problems: &mut Problems) -> ApiSettings {
    let mut settings =
        ApiSettings { allowed_origins: listed(args.api_allowed_origins.as_deref()), ..ApiSettings::default() };
    for proxy in listed(args.api_trusted_proxies.as_deref()) {
        match proxy.parse::<Network>() {
            Ok(network) => settings.trusted_proxies.push(network),
            Err(error) => {
                problems.add(format!("API_TRUSTED_PROXIES: {error}; example: API_TRUSTED_PROXIES=10.0.0.0/8"));
            }
        }
    }
    settings.metrics_token = secret("METRICS_TOKEN", problems).map(|token| TokenDigest::of(token.expose_secret()));
    settings.drain_notice = Duration::from_secs(problems.parsed(
        "SHUTDOWN_NOTICE_SECONDS",
        args.shutdown_notice_seconds.as_deref(),
        0,
        "a number from 0 to 60; example: SHUTDOWN_NOTICE_SECONDS=5",
        |text| text.parse().ok().filter(|seconds| (0..=60).contains(seconds)),
    ));
    settings.application_tokens = secret("BITRIX_APPLICATION_TOKENS", problems)
        .map(|tokens| listed(Some(tokens.expose_secret())).iter().map(|token| TokenDigest::of(token)).collect())
        .unwrap_or_default();
    for problem in settings.problems() {
        problems.add(format!("API_ALLOWED_ORIGINS: {problem}"));
    }
    settings
}

fn listed(text: Option<&str>) -> Vec<String> {
    let items = text.unwrap_or_default().split(',').map(str::trim).filter(|item| !item.is_empty());
    items.map(str::to_owned).collect()
}

/// What makes the service an application of the portal.
#[derive(Debug, Clone)]
pub struct ApplicationAccess {
    /// The portal's address; no secret.
    pub portal: String,
    /// Id on the application's card.
    pub client_id: String,
    /// Key on the application's card.
    pub client_secret: SecretString,
    /// Seals the tokens.
    pub token_key: SecretString,
    /// The portal's member id, where it is known.
    pub member_id: Option<String>,
    /// Hosts that may be asked for tokens; empty: those that are known.
    pub servers: Vec<String>,
}

impl ApplicationAccess {
    fn new(client_id: String, args: &PortalArgs, problems: &mut Problems) -> ApplicationAccess {
        let mut needed = |name: &str, example: &str| {
            secret(name, problems).unwrap_or_else(|| {
                problems.add(format!("{name} is not set, but BITRIX_CLIENT_ID is; example: {name}={example}"));
                SecretString::from(String::new())
            })
        };
        let client_secret = needed("BITRIX_CLIENT_SECRET", "the key on the application's card");
        let token_key = needed("BITRIX_TOKEN_KEY", "the output of `openssl rand -base64 32`");
        let portal = given(args.bitrix_portal_url.as_deref()).unwrap_or_else(|| {
            problems.add("BITRIX_PORTAL_URL is not set, but BITRIX_CLIENT_ID is; example: BITRIX_PORTAL_URL=https://portal.bitrix24.com");
            String::new()
        });
        ApplicationAccess {
            portal,
            client_id,
            client_secret,
            token_key,
            member_id: given(args.bitrix_member_id.as_deref()),
            servers: listed(args.bitrix_oauth_servers.as_deref()),
        }
    }
}

/// The text without the space around it; `None` when nothing is left.
pub fn given(text: Option<&str>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// How the portal is read.
#[derive(Debug, Clone)]
pub struct PortalSettings {
    /// The incoming webhook: a credential. Empty when there is none.
    pub webhook: SecretString,
    /// How the service is an application of the portal; `None`: it has an incoming webhook.
    pub application: Option<ApplicationAccess>,
    /// Which methods.
    pub api: CrmApi,
    /// Requests a second.
    pub rate_per_second: f64,
    /// Requests at once.
    pub rate_burst: u32,
    /// Seconds of execution time that a method may use in ten minutes.
    pub operating_limit: f64,
    /// Whether http and addresses of this machine are allowed.
    pub allow_loopback: bool,
}

impl PortalSettings {
    /// Checks flags and environment, for a process that may do without a portal.
    pub fn optional(args: &PortalArgs, problems: &mut Problems) -> Option<PortalSettings> {
        let webhook = secret("BITRIX_WEBHOOK_URL", &mut Problems::default());
        let is_set = webhook.is_some() || given(args.bitrix_client_id.as_deref()).is_some();
        is_set.then(|| PortalSettings::new(args, problems))
    }

    /// Whether development settings allow http and addresses of this machine.
    pub fn loopback_allowed(args: &PortalArgs) -> bool {
        args.bitrix_allow_loopback
            .as_deref()
            .is_some_and(|text| matches!(text.trim().to_ascii_lowercase().as_str(), "true" | "1" | "yes" | "on"))
    }

    /// Checks flags and environment.
    pub fn new(args: &PortalArgs, problems: &mut Problems) -> PortalSettings {
        let application = given(args.bitrix_client_id.as_deref());
        let application = application.map(|id| ApplicationAccess::new(id, args, problems));
        let webhook = secret("BITRIX_WEBHOOK_URL", problems);
        if webhook.is_some() && application.is_some() {
            problems.add(
                "BITRIX_WEBHOOK_URL and BITRIX_CLIENT_ID are both set: use the incoming webhook or the application, not both",
            );
        }
        let webhook = webhook.filter(|_| application.is_none()).unwrap_or_else(|| {
            if application.is_some() {
                return SecretString::from(String::new());
            }
            problems.add(
                "BITRIX_WEBHOOK_URL is not set; example: BITRIX_WEBHOOK_URL=https://portal.bitrix24.com/rest/1/code/ \
                 (make one in the portal: Developer resources → Other → Incoming webhook, scope `crm`)",
            );
            SecretString::from(String::new())
        });
        PortalSettings {
            webhook,
            application,
            api: problems.parsed(
                "BITRIX_CRM_API",
                args.bitrix_crm_api.as_deref(),
                CrmApi::Item,
                "one of item, classic; example: BITRIX_CRM_API=item",
                |text| match text {
                    "item" => Some(CrmApi::Item),
                    "classic" => Some(CrmApi::Classic),
                    _ => None,
                },
            ),
            rate_per_second: problems.parsed(
                "BITRIX_RATE_PER_SECOND",
                args.bitrix_rate_per_second.as_deref(),
                2.0,
                "a number above 0 and up to 10000; example: BITRIX_RATE_PER_SECOND=2",
                |text| text.parse().ok().filter(|rate: &f64| *rate > 0.0 && *rate <= 10_000.0),
            ),
            rate_burst: problems.parsed(
                "BITRIX_RATE_BURST",
                args.bitrix_rate_burst.as_deref(),
                50,
                "a number from 1 to 100000; example: BITRIX_RATE_BURST=50",
                |text| text.parse().ok().filter(|burst| (1..=100_000).contains(burst)),
            ),
            operating_limit: problems.parsed(
                "BITRIX_OPERATING_LIMIT_SECONDS",
                args.bitrix_operating_limit_seconds.as_deref(),
                480.0,
                "a number above 0 and up to 1000000; example: BITRIX_OPERATING_LIMIT_SECONDS=480",
                |text| text.parse().ok().filter(|limit: &f64| *limit > 0.0 && *limit <= 1_000_000.0),
            ),
            allow_loopback: problems.parsed(
                "BITRIX_ALLOW_LOOPBACK",
                args.bitrix_allow_loopback.as_deref(),
                false,
                "one of true, false; example: BITRIX_ALLOW_LOOPBACK=false",
                |text| match text.to_ascii_lowercase().as_str() {
                    "true" | "1" | "yes" | "on" => Some(true),
                    "false" | "0" | "no" | "off" => Some(false),
                    _ => None,
                },
            ),
        }
    }

    /// Whether a webhook was given at all.
    pub fn has_webhook(&self) -> bool {
        !self.webhook.expose_secret().is_empty()
    }
}

#[cfg(test)]
mod reference;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_are_reported_at_once() {
        let database = DatabaseArgs {
            database_schema: Some("b24sync".to_owned()),
            database_pool_size: Some("many".to_owned()),
            timestamp_type: Some("instant".to_owned()),
            ..DatabaseArgs::default()
        };
        let portal = PortalArgs { bitrix_rate_burst: Some("0".to_owned()), ..PortalArgs::default() };
        let mut problems = Problems::default();
        DatabaseSettings::new(&database, &mut problems);
        PortalSettings::new(&portal, &mut problems);
        let problems: Vec<_> = problems.0.into_iter().filter(|problem| !problem.contains("WEBHOOK")).collect();
        insta::assert_snapshot!(problems.join("\n"), @r"
        DATABASE_SCHEMA: `b24sync` cannot hold the tables; example: DATABASE_SCHEMA=public
        DATABASE_POOL_SIZE: `many` is not a number from 1 to 100; example: DATABASE_POOL_SIZE=5
        TIMESTAMP_TYPE: `instant` is not one of timestamp, timestamptz; example: TIMESTAMP_TYPE=timestamptz
        BITRIX_RATE_BURST: `0` is not a number from 1 to 100000; example: BITRIX_RATE_BURST=50
        ");
    }

    #[test]
    fn empty_values_count_as_not_set() {
        let mut problems = Problems::default();
        let args = DatabaseArgs { database_pool_size: Some(" ".to_owned()), ..DatabaseArgs::default() };
        let settings = DatabaseSettings::new(&args, &mut problems);
        assert_eq!(settings.pool_size, 5);
        assert!(problems.check().is_ok());
    }
}
