//! Connections, kept and lent.

use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::{PoolError, TimeoutType};
use diesel::result::ConnectionError;
use diesel_async::pooled_connection::deadpool::{Object, Pool};
use diesel_async::pooled_connection::{
    AsyncDieselConnectionManager, ManagerConfig, PoolError as Cause, RecyclingMethod,
};
use tokio::runtime::{Builder, Runtime};
use tokio_postgres::config::SslMode;
use tokio_postgres::{Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::config::{DatabaseUrl, Host};
use crate::connection::Connection;
use crate::error::{Failure, Trouble, chain};
use crate::tls;

/// Name under which the server shows our connections.
const APPLICATION_NAME: &str = "b24sync";

/// Time for one attempt to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long what was sent may stay without any sign that it arrived, where the system can tell (Linux). Without a limit, a
/// connection over a way that has gone dark is tried for a quarter of an hour, less and less often, and holds up its
/// statement long after the way is back. As long as a lease: what it would have committed is lost by then.
const UNHEARD: Duration = Duration::from_secs(30);

/// How many connections there may be, and how long one waits for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolSettings {
    /// Connections that are meant to be enough (`DATABASE_POOL_SIZE`).
    pub size: u32,
    /// Connections beyond that, for peaks (`DATABASE_MAX_OVERFLOW`).
    pub max_overflow: u32,
    /// Longest wait for a connection.
    pub acquire_timeout: Duration,
}

impl Default for PoolSettings {
    fn default() -> PoolSettings {
        PoolSettings { size: 5, max_overflow: 10, acquire_timeout: Duration::from_secs(30) }
    }
}

/// Connections of this process, now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolUse {
    /// Open ones.
    pub open: usize,
    /// Those of them that are on loan.
    pub lent: usize,
    /// Callers that wait for one.
    pub waiting: usize,
    /// Open ones at most.
    pub most: usize,
}

/// A connection on loan.
pub(crate) type Lent = Object<Connection>;

/// The way to the database.
#[derive(Clone)]
pub(crate) struct Connections {
    pool: Pool<Connection>,
}

impl Connections {
    /// Prepares a pool; nothing is connected yet.
    pub(crate) fn new(url: &DatabaseUrl, settings: PoolSettings) -> Result<Connections, Failure> {
        let target = Arc::new(Target::new(url)?);
        let drivers = Arc::new(Drivers::start()?);
        let mut config = ManagerConfig::<Connection>::default();
        config.recycling_method = RecyclingMethod::Fast;
        config.custom_setup = Box::new(move |_| {
            let (target, drivers) = (Arc::clone(&target), Arc::clone(&drivers));
            Box::pin(async move {
                drivers
                    .connect(target)
                    .await
                    .map_err(|failure| ConnectionError::CouldntSetupConfiguration(failure.into()))
            })
        });
        // The manager keeps its address for messages: it gets none, because ours has a password.
        let manager = AsyncDieselConnectionManager::new_with_config("", config);
        let most = usize::try_from(settings.size.saturating_add(settings.max_overflow)).unwrap_or(usize::MAX).max(1);
        let pool = Pool::builder(manager)
            .max_size(most)
            .runtime(deadpool::Runtime::Tokio1)
            .wait_timeout(Some(settings.acquire_timeout))
            .create_timeout(Some(CONNECT_TIMEOUT * 2))
            .build()
            .map_err(|error| Failure::ours(error.to_string()))?;
        Ok(Connections { pool })
    }

    pub(crate) fn in_use(&self) -> PoolUse {
        let status = self.pool.status();
        PoolUse {
            open: status.size,
            lent: status.size.saturating_sub(status.available),
            waiting: status.waiting,
            most: status.max_size,
        }
    }

    /// Lends a connection that nobody else uses.
    pub(crate) async fn lend(&self) -> Result<Lent, Trouble> {
        self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(Cause::ConnectionError(ConnectionError::CouldntSetupConfiguration(error))) => {
                error.into()
            }
            PoolError::Timeout(TimeoutType::Wait) => {
                Failure::unreachable("all connections of the pool are in use").into()
            }
            PoolError::Timeout(_) => Failure::unreachable("no answer in time").into(),
            other => Failure::unreachable(other.to_string()).into(),
        })
    }
}

/// A thread on which connections wait for the server. Others decode and map megabytes between two waits: on their
/// threads an answer to a short question would lie for tens of milliseconds before it is passed on.
struct Drivers(Option<Runtime>);

impl Drivers {
    fn start() -> Result<Drivers, Failure> {
        let mut builder = Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).thread_name("database").enable_all().build();
        runtime.map(|runtime| Drivers(Some(runtime))).map_err(|error| Failure::ours(error.to_string()))
    }

    async fn connect(&self, target: Arc<Target>) -> Result<Connection, Failure> {
        let gone = || Failure::ours("the thread of the connections is gone");
        let runtime = self.0.as_ref().ok_or_else(gone)?;
        runtime.spawn(async move { target.connect().await }).await.map_err(|_panicked| gone())?
    }
}

impl Drop for Drivers {
    fn drop(&mut self) {
        // Waiting for the end is forbidden where a store may be dropped; connections end with their clients.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Where and how to connect.
struct Target {
    config: Config,
    tls: Option<MakeRustlsConnect>,
}

impl Target {
    fn new(url: &DatabaseUrl) -> Result<Target, Failure> {
        let mut config = Config::new();
        match &url.host {
            Host::Tcp(name) => config.host(name),
            #[cfg(unix)]
            Host::Unix(directory) => config.host_path(directory),
            #[cfg(not(unix))]
            Host::Unix(_) => return Err(Failure::unreachable("this system has no Unix sockets")),
        };
        config
            .port(url.port)
            .user(&url.user)
            .dbname(&url.database)
            .application_name(APPLICATION_NAME)
            .connect_timeout(CONNECT_TIMEOUT)
            .keepalives_idle(Duration::from_secs(60))
            .tcp_user_timeout(UNHEARD);
        if let Some(password) = url.exposed_password() {
            config.password(password);
        }
        let tls = tls::client_config(url)?.map(MakeRustlsConnect::new);
        config.ssl_mode(if tls.is_some() { SslMode::Require } else { SslMode::Disable });
        Ok(Target { config, tls })
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let failure = |error: tokio_postgres::Error| explained(Failure::new(&error, true), &error);
        if let Some(tls) = &self.tls {
            let (client, driver) = self.config.connect(tls.clone()).await.map_err(failure)?;
            drive(driver);
            Ok(Connection::new(client))
        } else {
            let (client, driver) = self.config.connect(NoTls).await.map_err(failure)?;
            drive(driver);
            Ok(Connection::new(client))
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the task ends by itself when the connection it drives is dropped")]
fn drive(driver: impl Future<Output = Result<(), tokio_postgres::Error>> + Send + 'static) {
    tokio::spawn(async move {
        if let Err(error) = driver.await {
            tracing::debug!(error = %chain(&error), "a database connection ended");
        }
    });
}

/// Adds the cure where the words alone do not lead to it.
fn explained(failure: Failure, error: &tokio_postgres::Error) -> Failure {
    let words = chain(error);
    let cure = if words.contains("invalid peer certificate") {
        "the server's certificate is not trusted: use the host name that it is for, name its authority's file with sslrootcert=FILE (Supabase: Project Settings, Database, SSL), or accept it unseen with sslmode=require"
    } else if words.contains("server does not support TLS") {
        "set sslmode=disable if the way to it is safe"
    } else {
        return failure;
    };
    Failure::unreachable(format!("{}; {cure}", failure.message()))
}
