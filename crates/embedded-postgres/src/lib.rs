//! Finds or fetches PostgreSQL binaries and supervises a private server.
//!
//! For the demo, for development without `DATABASE_URL`, and for tests; not for production. The server listens on
//! 127.0.0.1 only, wants a password, and has no socket file.
//!
//! ```no_run
//! # async fn example() -> Result<(), b24sync_embedded_postgres::EmbeddedError> {
//! use b24sync_embedded_postgres::{EmbeddedPostgres, Settings};
//!
//! let server = EmbeddedPostgres::start(Settings::default()).await?;
//! server.create_database_if_missing("b24sync").await?;
//! println!("{}", server.psql_command("b24sync"));
//! server.stop().await?;
//! # Ok(()) }
//! ```
//!
//! # Who stops the server
//! The process that holds the lock on the file `owner` in the data directory: the one that started the server. A
//! second program with the same directory attaches, and leaves the server running when it ends. When the owner ends
//! first, the attached program loses its server. When the owner is killed, its lock goes with it and the server runs
//! on; the next program that attaches gets the lock and stops the server when it ends. A program that was attached
//! at that moment does not. The lock is the system's, the process id in the file is for people: an id that was
//! reused cannot confuse anybody.
//!
//! # How it works
//! `discover` looks in the explicit directory, on the PATH, in well-known places and in the cache; `download` is the
//! last resort. `account` decides as whom the server runs. `cluster` makes, starts, attaches and stops; it blocks,
//! and `EmbeddedPostgres` calls it away from the runtime's threads, which also means that a start whose future is
//! dropped is finished in the background and then stopped. `places` alone reads the environment. To offer another
//! PostgreSQL for download, change the version and the digests in `download`; `MAJOR` must fit.
//!
//! Linux is what the tests run on. macOS shares its code; for Windows there is code that nobody has run.

mod account;
mod cluster;
mod discover;
mod download;
mod error;
mod lock;
mod places;
mod tool;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use secrecy::SecretString;

pub use crate::error::EmbeddedError;
use crate::{
    account::Account,
    cluster::{Cluster, Mode, Running},
    discover::Binaries,
    download::Release,
    places::Places,
};

/// What can be chosen about the private server. `Settings::default()` chooses nothing and allows the download.
#[derive(Clone)]
pub struct Settings {
    /// Where the data is kept between starts. Default: `b24sync/postgres` in the user's data folder, or
    /// `/var/lib/b24sync/postgres` for root.
    pub data_dir: Option<PathBuf>,
    /// The directory of `postgres`, `initdb` and `pg_ctl`, or the one above it. Nothing else is tried then.
    pub binaries_dir: Option<PathBuf>,
    /// The port. Default: the one of the last start if it is free, else any free one. Ignored when attaching.
    pub port: Option<u16>,
    /// The address below which `VERSION/postgresql-VERSION-TARGET.tar.gz` lies: a mirror of the GitHub releases.
    pub download_base: Option<String>,
    /// Where downloaded servers are kept. Default: `b24sync/postgres` in the user's cache folder, or
    /// `/var/cache/b24sync/postgres` for root.
    pub cache_dir: Option<PathBuf>,
    /// Whether a server may be downloaded when none is installed.
    pub allow_download: bool,
    /// Options such as `("fsync", "off")`, which is for tests only. Ignored when attaching.
    pub server_options: Vec<(String, String)>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data_dir: None,
            binaries_dir: None,
            port: None,
            download_base: None,
            cache_dir: None,
            allow_download: true,
            server_options: Vec::new(),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("data_dir", &self.data_dir)
            .field("binaries_dir", &self.binaries_dir)
            .field("port", &self.port)
            .field("download_base", &self.download_base.as_deref().map(download::without_credentials))
            .field("cache_dir", &self.cache_dir)
            .field("allow_download", &self.allow_download)
            .field("server_options", &self.server_options)
            .finish()
    }
}

/// A server that runs on a data directory.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The process id of the server.
    pub pid: i32,
    /// The port on 127.0.0.1 that it listens on.
    pub port: u16,
}

/// What [`EmbeddedPostgres::stop`] did.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The server was ours and is stopped.
    Stopped,
    /// Another program started the server and stops it.
    LeftRunning,
}

/// A private server. Dropping it stops the server if [`EmbeddedPostgres::stop`] did not, and blocks meanwhile.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    running: Running,
}

impl EmbeddedPostgres {
    /// Attaches to the server that runs on the data directory, or starts one, making the cluster if need be.
    /// 2 to 3 s the first time, 0.2 s later, and the download where nothing is installed.
    ///
    /// # Errors
    /// Each names its cure; see [`EmbeddedError`].
    pub async fn start(settings: Settings) -> Result<Self, EmbeddedError> {
        Self::start_at(settings, Places::of_this_machine(), Release::of_this_machine()).await
    }

    async fn start_at(settings: Settings, places: Places, release: Option<Release>) -> Result<Self, EmbeddedError> {
        let data_dir = places.data_dir(settings.data_dir.as_deref())?;
        let (account, binaries) = find(&settings, places, &data_dir, release).await?;
        let (port, options) = (settings.port, settings.server_options);
        let cluster = Cluster { data_dir, binaries, account, port, options };
        Ok(Self { running: blocking(move || cluster.start()).await? })
    }

    /// The server that runs on `data_dir`, if one does. Waits while it is starting or stopping.
    ///
    /// # Errors
    /// [`EmbeddedError::File`] when the directory may not be read, [`EmbeddedError::Busy`] after two minutes.
    pub async fn status(data_dir: &Path) -> Result<Option<Status>, EmbeddedError> {
        let cluster = cluster::cluster_dir(&places::absolute(data_dir)?);
        let found = blocking(move || cluster::settled(&cluster)).await?;
        Ok(found.map(|file| Status { pid: file.pid, port: file.port }))
    }

    /// The address of `database` for the superuser, password included.
    pub fn url(&self, database: &str) -> SecretString {
        self.running.url(database)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.running.port
    }

    /// Where the data lies.
    pub fn data_dir(&self) -> &Path {
        &self.running.cluster.data_dir
    }

    /// The version of the programs that were found, such as `15.18`.
    pub fn version(&self) -> &str {
        &self.running.cluster.binaries.version
    }

    /// Where the programs that were found lie.
    pub fn binaries_dir(&self) -> &Path {
        &self.running.cluster.binaries.dir
    }

    /// Whether the server was running already.
    pub fn is_attached(&self) -> bool {
        self.running.attached
    }

    /// Whether this process stops the server; see the crate's documentation.
    pub fn is_owner(&self) -> bool {
        self.running.is_owner()
    }

    /// A line for a person's shell that opens `database` with `psql`. It names the password file, not the password.
    pub fn psql_command(&self, database: &str) -> String {
        self.running.psql_command(database)
    }

    /// Creates an empty database `name` unless there is one. Several processes may do so at once.
    ///
    /// # Errors
    /// [`EmbeddedError::InvalidDatabaseName`], [`EmbeddedError::NoClient`] without `psql`, [`EmbeddedError::Tool`]
    /// with what it said.
    pub async fn create_database_if_missing(&self, name: &str) -> Result<(), EmbeddedError> {
        let (client, name) = (self.running.client()?, name.to_owned());
        blocking(move || client.create_database(&name)).await
    }

    /// Stops the server, cutting its sessions, if that is up to this process.
    ///
    /// # Errors
    /// [`EmbeddedError::Busy`] or [`EmbeddedError::Tool`] when the server still runs.
    pub async fn stop(self) -> Result<Stop, EmbeddedError> {
        self.stop_as(Mode::Fast).await
    }

    /// Like [`EmbeddedPostgres::stop`], but as a power failure would: the next start recovers. For tests.
    ///
    /// # Errors
    /// As for [`EmbeddedPostgres::stop`].
    pub async fn stop_immediately(self) -> Result<Stop, EmbeddedError> {
        self.stop_as(Mode::Immediate).await
    }

    async fn stop_as(self, mode: Mode) -> Result<Stop, EmbeddedError> {
        let mut running = self.running;
        let stopped = blocking(move || running.stop(mode)).await?;
        Ok(if stopped { Stop::Stopped } else { Stop::LeftRunning })
    }

    /// Leaves the server running. Nobody stops it until another program attaches and ends.
    pub fn leave_running(mut self) {
        self.running.let_go();
    }
}

/// Decides as whom the server runs and finds its programs, downloading them if that is allowed and needed.
async fn find(
    settings: &Settings,
    places: Places,
    data_dir: &Path,
    release: Option<Release>,
) -> Result<(Account, Binaries), EmbeddedError> {
    let (dir, named) = (data_dir.to_owned(), settings.binaries_dir.as_deref().map(places::absolute).transpose()?);
    let cache = places.cache_dir(settings.cache_dir.as_deref());
    let downloaded = cache.as_ref().ok().zip(release.as_ref()).map(|(cache, release)| release.bin(cache));
    let (account, major, found) = blocking(move || {
        let (account, major) = (Account::choose(&cluster::cluster_dir(&dir))?, cluster::major_of(&dir));
        let found = match named {
            Some(named) => Ok(Binaries::named(&named, &account)?),
            None => discover::first(&places, downloaded.as_deref(), major, &account),
        };
        Ok((account, major, found))
    })
    .await?;
    let refused = match found {
        Ok(found) if major.is_none_or(|major| major == found.major) => return Ok((account, found)),
        Ok(found) => vec![format!("`{}`: version {}", found.dir.display(), found.version)],
        Err(refused) => refused,
    };
    let tried = if refused.is_empty() { "none is installed".to_owned() } else { refused.join(", ") };
    let named = settings.binaries_dir.is_some();
    match major {
        Some(major) if named || major != download::MAJOR => {
            return Err(EmbeddedError::OtherMajor { dir: data_dir.to_owned(), major, tried });
        }
        _ if !settings.allow_download => {
            let cure = "install PostgreSQL 14 or later, name its directory, or allow the download".to_owned();
            return Err(EmbeddedError::NoBinaries { tried, cure });
        }
        _ => {}
    }
    let release = release.ok_or(EmbeddedError::NoArchive)?;
    let base = settings.download_base.as_deref().unwrap_or(download::DEFAULT_BASE);
    let bin = download::fetch(&release, base, &cache?).await?;
    blocking(move || match Binaries::probe(&bin, &account) {
        Ok(found) => Ok((account, found)),
        Err(reason) => Err(EmbeddedError::MissingLibrary { cure: download::cure(&reason), dir: bin, reason }),
    })
    .await
}

/// Runs `work` on a thread that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, EmbeddedError> + Send + 'static,
) -> Result<T, EmbeddedError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(stopped) => match stopped.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(EmbeddedError::Interrupted),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        discover::tests::{fake, open_folder},
        download::tests::{archive, release, whole},
    };

    fn nothing_installed() -> Places {
        Places { path: Vec::new(), well_known: Vec::new(), data: None, cache: None }
    }

    fn settings(folder: &Path, base: &str) -> Settings {
        Settings {
            data_dir: Some(folder.join("data")),
            cache_dir: Some(folder.join("cache")),
            download_base: Some(base.to_owned()),
            ..Settings::default()
        }
    }

    #[tokio::test]
    async fn without_an_installation_the_download_is_used() {
        let (folder, archive) = (open_folder(), archive("echo 'postgres (PostgreSQL) 17.11'"));
        let (release, served) = (release(&archive), whole(archive));
        let settings = settings(folder.path(), &served.base);
        let data = folder.path().join("data");
        let (_, found) = find(&settings, nothing_installed(), &data, Some(release.clone())).await.unwrap();
        assert_eq!(found.dir, release.bin(&folder.path().join("cache")));
        // The next time it is found in the cache, with the mirror gone and downloads forbidden.
        let offline = Settings { download_base: None, allow_download: false, ..settings };
        assert_eq!(find(&offline, nothing_installed(), &data, Some(release)).await.unwrap().1, found);
    }

    #[tokio::test]
    async fn a_download_that_lacks_a_library_names_the_package() {
        let archive = archive("echo 'libxml2.so.2: cannot open shared object file' >&2; exit 127");
        let (folder, release) = (open_folder(), release(&archive));
        let served = whole(archive);
        for _ in 0..2 {
            let settings = settings(folder.path(), &served.base);
            let started = EmbeddedPostgres::start_at(settings, nothing_installed(), Some(release.clone())).await;
            let refused = started.unwrap_err();
            assert!(matches!(refused, EmbeddedError::MissingLibrary { .. }), "{refused}");
            assert!(refused.to_string().contains("install the system package libxml2"), "{refused}");
        }
    }

    #[tokio::test]
    async fn without_any_way_to_a_server_the_reasons_are_given() {
        let folder = open_folder();
        let forbidden = Settings { allow_download: false, ..settings(folder.path(), "http://127.0.0.1:9") };
        let refused = EmbeddedPostgres::start_at(forbidden.clone(), nothing_installed(), None).await.unwrap_err();
        assert!(matches!(refused, EmbeddedError::NoBinaries { .. }), "{refused}");
        let allowed = settings(folder.path(), "http://127.0.0.1:9");
        let refused = EmbeddedPostgres::start_at(allowed.clone(), nothing_installed(), None).await.unwrap_err();
        assert!(matches!(refused, EmbeddedError::NoArchive), "{refused}");
        let release = Release::of_this_machine();
        let refused = EmbeddedPostgres::start_at(allowed, nothing_installed(), release.clone()).await.unwrap_err();
        assert!(matches!(refused, EmbeddedError::Download { .. }), "{refused}");

        let old = folder.path().join("old");
        fake(&old, "16.1");
        fs::create_dir_all(folder.path().join("data/cluster")).unwrap();
        fs::write(folder.path().join("data/cluster/PG_VERSION"), "15\n").unwrap();
        let places = Places { path: vec![old], ..nothing_installed() };
        let refused = EmbeddedPostgres::start_at(forbidden, places, release).await.unwrap_err();
        assert!(matches!(&refused, EmbeddedError::OtherMajor { major: 15, tried, .. } if tried.contains("16.1")));
    }

    #[test]
    fn settings_hide_the_credentials_of_a_mirror() {
        let shown = format!("{:?}", settings(Path::new("/data"), "https://me:hunter2@mirror.test/pg"));
        assert!(shown.contains("mirror.test/pg") && !shown.contains("hunter2"), "{shown}");
    }
}
