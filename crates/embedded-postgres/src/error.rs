//! What can go wrong, and what to do about it.

use std::{error::Error, io, path::PathBuf, time::Duration};

/// Why the private server cannot be had. Every message names the cure; none holds a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// The platform names no folder for the user's data or cache.
    #[error("no home directory is known for this user; name a directory with `--data-dir`")]
    NoHome,
    /// No usable installation, and none may or can be downloaded.
    #[error("no usable PostgreSQL was found ({tried}); {cure}")]
    NoBinaries {
        /// The places that held something, each with why it was refused.
        tried: String,
        /// What to do.
        cure: String,
    },
    /// The directory that was named explicitly does not work.
    #[error("`{dir}` holds no usable PostgreSQL: {reason}; name the directory of `postgres`, `initdb` and `pg_ctl`")]
    BinariesUnusable {
        /// The directory as it was named.
        dir: PathBuf,
        /// What was missing or how it failed.
        reason: String,
    },
    /// The downloaded server lacks a library of this system.
    #[error("the downloaded PostgreSQL in `{dir}` does not run here: {reason}; {cure}")]
    MissingLibrary {
        /// Where the downloaded server lies; it is used as soon as the library is there.
        dir: PathBuf,
        /// What the system said.
        reason: String,
        /// The package to install.
        cure: String,
    },
    /// The data was written by another major version than the ones at hand.
    #[error(
        "`{dir}` was made by PostgreSQL {major} and no such version was found ({tried}); install PostgreSQL {major}, \
         or choose another directory with `--data-dir`"
    )]
    OtherMajor {
        /// The data directory.
        dir: PathBuf,
        /// The major version in its `PG_VERSION`.
        major: u32,
        /// The places that held something, each with why it was refused.
        tried: String,
    },
    /// Running as root, and there is no way to run the server as somebody else.
    #[error(
        "PostgreSQL refuses to run as root and no other account can be used ({reason}); create a `postgres` account, \
         or run this program as an ordinary user"
    )]
    NoAccount {
        /// What was tried.
        reason: String,
    },
    /// The server's account cannot reach its data.
    #[error(
        "the account `{account}` that runs the server may not enter `{path}`; choose a directory below `/var/lib` with \
         `--data-dir`, or allow it with `chmod o+x`"
    )]
    Unreachable {
        /// The first directory on the way that is closed.
        path: PathBuf,
        /// The account that runs the server.
        account: String,
    },
    /// A file or directory could not be read or written.
    #[error("could not {doing} `{path}`; check its permissions and the free space, or choose another `--data-dir`")]
    File {
        /// What was being done.
        doing: &'static str,
        /// To which path.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A program could not be started at all.
    #[error("could not run `{tool}`; is it installed completely?")]
    Spawn {
        /// The program.
        tool: String,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A program ran and failed.
    #[error("`{tool}` failed: {detail}")]
    Tool {
        /// The program.
        tool: String,
        /// The end of what it printed.
        detail: String,
    },
    /// A program did not finish in time and was ended.
    #[error("`{tool}` did not finish within {} s and was ended; is the machine overloaded?", limit.as_secs())]
    ToolTimeout {
        /// The program.
        tool: String,
        /// How long it was waited for.
        limit: Duration,
    },
    /// The server did not come up.
    #[error("the server did not start: {detail}; the whole story is in `{log}`")]
    NotStarted {
        /// The end of its log.
        detail: String,
        /// Its log.
        log: PathBuf,
    },
    /// The wanted port is in use.
    #[error("port {port} is in use by another program; choose another, or none to have a free one chosen")]
    PortTaken {
        /// The wanted port.
        port: u16,
    },
    /// The data is there and the password file is not.
    #[error(
        "the password file `{path}` is missing or unreadable although the data exists; restore it, or choose another \
         directory with `--data-dir`"
    )]
    NoPassword {
        /// Where it belongs.
        path: PathBuf,
    },
    /// Another process holds the directory for too long.
    #[error("another process has been busy with `{path}` for {} s; wait for it or end it", waited.as_secs())]
    Busy {
        /// The lock or directory.
        path: PathBuf,
        /// How long it was waited for.
        waited: Duration,
    },
    /// No archive is known for this kind of machine.
    #[error("no PostgreSQL can be downloaded for this platform; install PostgreSQL 14 or later")]
    NoArchive,
    /// The archive could not be fetched.
    #[error("could not download `{url}`; check the connection or the download address, or install PostgreSQL")]
    Download {
        /// The address, without user and password.
        url: String,
        /// What happened.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The archive is not the one that was pinned.
    #[error("`{url}` has SHA-256 `{actual}` instead of `{expected}` and was discarded; do not trust that address")]
    WrongDigest {
        /// The address, without user and password.
        url: String,
        /// The pinned digest.
        expected: String,
        /// The digest of what came.
        actual: String,
    },
    /// A server option cannot be passed on.
    #[error("`{name}` is no name of a server option; use letters, digits, `_` and `.`")]
    InvalidOption {
        /// The option as it was named.
        name: String,
    },
    /// A database cannot have this name.
    #[error("a database name has 1 to 63 bytes and no control characters")]
    InvalidDatabaseName,
    /// `psql` is neither beside the server nor on the PATH.
    #[error("`psql` was found neither in `{dir}` nor on the PATH; install the PostgreSQL client programs")]
    NoClient {
        /// Where the server's programs lie.
        dir: PathBuf,
    },
    /// The work was cut off because the runtime is shutting down.
    #[error("interrupted while working on the private server; start again")]
    Interrupted,
}

impl EmbeddedError {
    /// Wraps an error of the file system with what was being done to which path.
    pub(crate) fn file(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { doing, path, source }
    }
}
