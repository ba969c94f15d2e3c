//! The one server of all test processes.

use std::{
    env,
    hash::{DefaultHasher, Hash, Hasher},
    path::PathBuf,
    sync::{Mutex, OnceLock, PoisonError},
};

use b24sync_embedded_postgres::{EmbeddedPostgres, Settings};
use secrecy::ExposeSecret;

use crate::{admin::Admin, supervisor::Use};

/// How long the server waits for the next test process: `cargo test` runs the binaries one after another.
/// The variable `PG_HARNESS_LINGER_SECONDS` overrides it.
const LINGER_SECONDS: u32 = 10;

const FAST: [(&str, &str); 6] = [
    ("fsync", "off"),
    ("synchronous_commit", "off"),
    ("full_page_writes", "off"),
    ("max_connections", "300"),
    ("shared_buffers", "64MB"),
    ("max_wal_size", "256MB"),
];

/// The shared server as this process sees it.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) admin: Admin,
    _use: Use,
}

/// Starts the server or joins those who use it; once per process.
pub(crate) async fn server() -> &'static Shared {
    static SERVER: OnceLock<Shared> = OnceLock::new();
    static STARTING: Mutex<()> = Mutex::new(());
    if let Some(server) = SERVER.get() {
        return server;
    }
    let started = tokio::task::spawn_blocking(|| {
        let _one_at_a_time = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        SERVER.get_or_init(start)
    });
    started.await.unwrap_or_else(|error| panic!("the test server did not start: {error}"))
}

fn start() -> Shared {
    let using = Use::of(&base());
    let url = using.exclusively(|| block_on(start_or_join(&using)));
    Shared { admin: Admin::connect(url), _use: using }
}

async fn start_or_join(using: &Use) -> String {
    let data_dir = using.server();
    let running = EmbeddedPostgres::status(&data_dir).await.unwrap_or_else(|error| panic!("{error}"));
    if running.is_none() {
        // Without durability, data of an earlier run is not to be trusted.
        let _ = std::fs::remove_dir_all(&data_dir);
        // First, so that nobody can end between the start of the server and that of its supervisor.
        using.supervise(linger_seconds());
    } else if !using.is_supervised() {
        using.supervise(linger_seconds());
    }
    let server_options = FAST.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let settings = Settings { data_dir: Some(data_dir), server_options, ..Settings::default() };
    let server = EmbeddedPostgres::start(settings).await.unwrap_or_else(|error| panic!("{error}"));
    let url = server.url("postgres").expose_secret().to_owned();
    server.leave_running();
    url
}

fn linger_seconds() -> u32 {
    let wanted = env::var_os("PG_HARNESS_LINGER_SECONDS").and_then(|seconds| seconds.to_str()?.parse().ok());
    // 0 would mean a server of one process.
    wanted.unwrap_or(LINGER_SECONDS).max(1)
}

/// Runs `work` on a runtime of its own, on this thread, which blocks.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap_or_else(|error| panic!("no runtime: {error}"))
        .block_on(work)
}

/// Where servers lie: in memory when there is plenty (a database is then created in 12 ms instead of 230 ms on ext4),
/// else in the folder for temporary files. An explicit `TMPDIR` is respected.
pub(crate) fn temporary() -> PathBuf {
    const PLENTY: u64 = 2 << 30;
    let memory = PathBuf::from("/dev/shm");
    let free = rustix::fs::statvfs(&memory).map_or(0, |fs| fs.f_bavail.saturating_mul(fs.f_frsize));
    if env::var_os("TMPDIR").is_none() && free >= PLENTY { memory } else { env::temp_dir() }
}

/// One for each user and checkout: other versions of this crate may do things differently.
fn base() -> PathBuf {
    use std::os::unix::fs::MetadataExt;
    let user = std::fs::metadata("/proc/self").map_or(0, |process| process.uid());
    let mut hasher = DefaultHasher::new();
    (env!("CARGO_MANIFEST_DIR"), user, include_str!("supervise.sh")).hash(&mut hasher);
    temporary().join(format!("b24sync-pg-{user}-{:016x}", hasher.finish()))
}
