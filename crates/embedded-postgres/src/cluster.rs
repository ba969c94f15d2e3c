//! One cluster on disk and the server that runs on it. Everything here blocks.
//!
//! ```text
//! DATA_DIR/            0700, or 0711 when another account runs the server
//!   cluster/           what initdb made; server.log and server.log.1 are in it
//!   pgpass             the password, 0600, in the format of libpq's password file
//!   port               the port of the last start, used again when it is free
//!   owner              locked by the process that stops the server; its process id
//!   transition.lock    locked while somebody starts or stops the server
//! ```

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{self, Command},
    thread::sleep,
    time::{Duration, Instant},
};

use secrecy::{ExposeSecret, SecretString};

use crate::{EmbeddedError, account::Account, discover::Binaries, download::hex, lock, places, tool};

pub(crate) const HOST: &str = "127.0.0.1";
pub(crate) const SUPERUSER: &str = "postgres";
/// Longest wait for a server that starts (it may have to recover), stops, or is being started by another process.
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(20);

/// A data directory and what is needed to run it.
#[derive(Debug, Clone)]
pub(crate) struct Cluster {
    pub(crate) data_dir: PathBuf,
    pub(crate) binaries: Binaries,
    pub(crate) account: Account,
    pub(crate) port: Option<u16>,
    pub(crate) options: Vec<(String, String)>,
}

/// How a server is asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Sessions are cut, everything is written.
    Fast,
    /// As after a power failure: the next start recovers.
    Immediate,
}

/// A running server as seen by this process.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) cluster: Cluster,
    pub(crate) port: u16,
    pub(crate) password: SecretString,
    /// Whether the server was running already.
    pub(crate) attached: bool,
    /// Held by the one process that stops the server.
    owner: Option<File>,
}

/// The file that a server keeps in its cluster while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PidFile {
    pub(crate) pid: i32,
    pub(crate) port: u16,
    status: String,
}

pub(crate) fn cluster_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("cluster")
}

/// The major version that made the cluster, if there is one.
pub(crate) fn major_of(data_dir: &Path) -> Option<u32> {
    fs::read_to_string(cluster_dir(data_dir).join("PG_VERSION")).ok()?.trim().split('.').next()?.parse().ok()
}

impl Cluster {
    fn dir(&self) -> PathBuf {
        cluster_dir(&self.data_dir)
    }

    pub(crate) fn pgpass(&self) -> PathBuf {
        self.data_dir.join("pgpass")
    }

    fn log(&self) -> PathBuf {
        self.dir().join("server.log")
    }

    fn transition(&self) -> Result<File, EmbeddedError> {
        lock::within(&self.data_dir.join("transition.lock"), PATIENCE)
    }

    fn tool(&self, name: &str) -> Command {
        self.account.command(self.binaries.program(name))
    }

    /// Attaches to the server of this directory, or starts it, making the cluster if need be.
    pub(crate) fn start(mut self) -> Result<Running, EmbeddedError> {
        let options = self.server_options()?;
        self.prepare()?;
        let _transition = self.transition()?;
        let owner = lock::now(&self.data_dir.join("owner"))?;
        if let Some(running) = settled(&self.dir())? {
            tracing::info!("attached to the private server in `{}`", self.data_dir.display());
            let password = self.password()?;
            return Ok(Running { port: running.port, password, attached: true, owner, cluster: self });
        }
        if !self.dir().is_dir() {
            self.init()?;
        }
        let password = self.password()?;
        self.account.give(&self.dir())?;
        let port = self.launch(&options)?;
        tracing::info!("started a private PostgreSQL {} in `{}`", self.binaries.version, self.data_dir.display());
        // From here on a failure stops the server: `Running` does so when it is dropped.
        let running = Running { port, password, attached: false, owner, cluster: self };
        fs::write(running.cluster.data_dir.join("port"), format!("{port}\n"))
            .map_err(EmbeddedError::file("write", running.cluster.data_dir.join("port")))?;
        Ok(running)
    }

    /// Makes the data directory, and names it by its one path without links: processes compare it.
    fn prepare(&mut self) -> Result<(), EmbeddedError> {
        let failed = || EmbeddedError::file("create", &self.data_dir);
        fs::create_dir_all(&self.data_dir).map_err(failed())?;
        let mode = if matches!(self.account, Account::Other { .. }) { 0o711 } else { 0o700 };
        restrict(&self.data_dir, mode).map_err(failed())?;
        if !cfg!(windows) {
            self.data_dir = fs::canonicalize(&self.data_dir).map_err(failed())?;
        }
        self.account.may_enter(&self.data_dir)
    }

    /// Makes the cluster beside its place and moves it there: a start that was cut off leaves no half cluster.
    fn init(&self) -> Result<(), EmbeddedError> {
        const PARTIAL: &str = "partial-";
        let entries = fs::read_dir(&self.data_dir).map_err(EmbeddedError::file("read", &self.data_dir))?;
        for left in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(PARTIAL)) {
            let _ = fs::remove_dir_all(left.path());
        }
        let partial = self.data_dir.join(format!("{PARTIAL}{}", process::id()));
        let (made, pwfile) = (partial.join("cluster"), partial.join("pwfile"));
        fs::create_dir_all(&made).map_err(EmbeddedError::file("create", &made))?;
        let password = hex(&random().map_err(EmbeddedError::file("read", "/dev/urandom"))?);
        write_secret(&pwfile, &password).map_err(EmbeddedError::file("write", &pwfile))?;
        self.account.give(&partial)?;
        let mut initdb = self.tool("initdb");
        initdb.args(["-U", SUPERUSER, "-E", "UTF8", "--no-locale", "--auth=scram-sha-256"]);
        if self.options.iter().any(|(name, value)| name == "fsync" && value == "off") {
            initdb.arg("--no-sync");
        }
        initdb.arg("--pwfile").arg(&pwfile).arg("-D").arg(&made);
        let done = tool::succeed(&mut initdb, "", PATIENCE);
        let removed = fs::remove_file(&pwfile);
        if let Err(error) = done {
            let _ = fs::remove_dir_all(&partial);
            return Err(error);
        }
        removed.map_err(EmbeddedError::file("remove", &pwfile))?;
        write_secret(&self.pgpass(), &format!("*:*:*:{SUPERUSER}:{password}\n"))
            .map_err(EmbeddedError::file("write", self.pgpass()))?;
        fs::rename(&made, self.dir()).map_err(EmbeddedError::file("create", self.dir()))?;
        let _ = fs::remove_dir_all(&partial);
        Ok(())
    }

    fn password(&self) -> Result<SecretString, EmbeddedError> {
        let file = fs::read_to_string(self.pgpass()).unwrap_or_default();
        match file.trim().rsplit_once(':') {
            Some((_, password)) if !password.is_empty() => Ok(SecretString::from(password.to_owned())),
            _ => Err(EmbeddedError::NoPassword { path: self.pgpass() }),
        }
    }

    /// Starts the server and returns its port.
    fn launch(&self, options: &str) -> Result<u16, EmbeddedError> {
        const ATTEMPTS: u32 = 20;
        let log = self.log();
        let _ = fs::rename(&log, self.dir().join("server.log.1"));
        let mut attempt = 0;
        loop {
            attempt += 1;
            let port = self.choose_port(attempt)?;
            let mut command = self.tool("pg_ctl");
            command.args(["start", "-w", "-t"]).arg(PATIENCE.as_secs().to_string());
            command.arg("-D").arg(self.dir()).arg("-l").arg(&log).arg("-o").arg(format!("-p {port} {options}"));
            // No pipe: the server would inherit it, and reading it would not end before the server.
            if tool::silently(&mut command, PATIENCE + Duration::from_secs(10))? {
                return Ok(port);
            }
            let said = fs::read_to_string(&log).unwrap_or_default();
            let detail = tool::last_lines(&said, 4);
            // Another program may have taken the port since it was chosen, and what a killed server left behind
            // needs a moment to go.
            let port_lost = detail.contains("could not bind") || detail.contains("could not create any TCP/IP sockets");
            let leftovers = detail.contains("shared memory block");
            if attempt >= ATTEMPTS || !(port_lost && self.port.is_none() || leftovers) {
                return Err(match self.port {
                    Some(port) if port_lost => EmbeddedError::PortTaken { port },
                    _ => EmbeddedError::NotStarted { detail, log },
                });
            }
            sleep(Duration::from_millis(250));
        }
    }

    fn choose_port(&self, attempt: u32) -> Result<u16, EmbeddedError> {
        let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
        if let Some(port) = self.port {
            return Some(port).filter(is_free).ok_or(EmbeddedError::PortTaken { port });
        }
        let last = fs::read_to_string(self.data_dir.join("port")).ok().and_then(|text| text.trim().parse().ok());
        if let Some(port) = last.filter(|port| attempt == 1 && is_free(port)) {
            return Ok(port);
        }
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .and_then(|listener| listener.local_addr())
            .map(|address| address.port())
            .map_err(EmbeddedError::file("find a free port on", HOST))
    }

    /// The options as `pg_ctl` hands them to a shell.
    fn server_options(&self) -> Result<String, EmbeddedError> {
        let mut line = format!("-c listen_addresses={HOST} -c unix_socket_directories=''");
        for (name, value) in &self.options {
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
            if name.is_empty() || !name.chars().all(fits) {
                return Err(EmbeddedError::InvalidOption { name: name.clone() });
            }
            line.push_str(" -c ");
            line.push_str(&quoted(&format!("{name}={value}")));
        }
        Ok(line)
    }

    /// `psql` beside the server, else one of the PATH.
    fn psql(&self) -> Result<PathBuf, EmbeddedError> {
        let beside = self.binaries.program("psql");
        if beside.is_file() {
            return Ok(beside);
        }
        let places = places::Places::of_this_machine();
        let mut found = places.path.iter().chain(&places.well_known).map(|dir| dir.join("psql"));
        found.find(|psql| psql.is_file()).ok_or_else(|| EmbeddedError::NoClient { dir: self.binaries.dir.clone() })
    }
}

impl Running {
    /// Whether this process stops the server.
    pub(crate) fn is_owner(&self) -> bool {
        self.owner.is_some()
    }

    pub(crate) fn url(&self, database: &str) -> SecretString {
        let (password, database) = (self.password.expose_secret(), percent_encoded(database));
        SecretString::from(format!("postgresql://{SUPERUSER}:{password}@{HOST}:{}/{database}", self.port))
    }

    /// A line for a person's shell. It names the password file and not the password.
    pub(crate) fn psql_command(&self, database: &str) -> String {
        let psql = self.cluster.psql().map_or_else(|_| "psql".to_owned(), |path| path.display().to_string());
        format!(
            "PGPASSFILE={} {} -h {HOST} -p {} -U {SUPERUSER} -d {}",
            quoted(&self.cluster.pgpass().display().to_string()),
            quoted(&psql),
            self.port,
            quoted(database)
        )
    }

    /// What it takes to run a statement on this server.
    pub(crate) fn client(&self) -> Result<Client, EmbeddedError> {
        Ok(Client { psql: self.cluster.psql()?, pgpass: self.cluster.pgpass(), port: self.port })
    }

    /// Stops the server if that is up to this process; returns whether it did.
    pub(crate) fn stop(&mut self, mode: Mode) -> Result<bool, EmbeddedError> {
        // Taken first: after a failure the drop does not try and wait again.
        let Some(owner) = self.owner.take() else { return Ok(false) };
        let _transition = self.cluster.transition()?;
        let mut command = self.cluster.tool("pg_ctl");
        let mode = if mode == Mode::Fast { "fast" } else { "immediate" };
        command.args(["stop", "-w", "-m", mode, "-t"]).arg(PATIENCE.as_secs().to_string());
        command.arg("-D").arg(self.cluster.dir());
        let stopped = tool::succeed(&mut command, "", PATIENCE + Duration::from_secs(10));
        // The server is gone before somebody else may become the owner, and that before the transition ends.
        drop(owner);
        match stopped {
            Err(_) if settled(&self.cluster.dir())?.is_none() => Ok(true),
            other => other.map(|_| true),
        }
    }

    /// Gives up the ownership without stopping the server.
    pub(crate) fn let_go(&mut self) {
        self.owner = None;
    }
}

/// Runs statements as the superuser, by `psql`.
#[derive(Debug)]
pub(crate) struct Client {
    psql: PathBuf,
    pgpass: PathBuf,
    port: u16,
}

impl Client {
    pub(crate) fn create_database(&self, name: &str) -> Result<(), EmbeddedError> {
        const FIND: &str = "select 1 from pg_catalog.pg_database where datname = :'name'";
        if name.is_empty() || name.len() > 63 || name.chars().any(char::is_control) {
            return Err(EmbeddedError::InvalidDatabaseName);
        }
        if self.sql(FIND, name)?.trim() == "1" {
            return Ok(());
        }
        let created = self.sql("create database :\"name\"", name);
        // Another process may have been faster.
        match created {
            Err(_) if self.sql(FIND, name)?.trim() == "1" => Ok(()),
            other => other.map(drop),
        }
    }

    /// Runs one statement in which `:'name'` and `:"name"` stand for `name`.
    fn sql(&self, statement: &str, name: &str) -> Result<String, EmbeddedError> {
        // The client may run as this user, who can read the password file.
        let mut psql = Account::Own.command(&self.psql);
        psql.args(["-X", "-q", "-A", "-t", "-w", "-v", "ON_ERROR_STOP=1", "-v"]).arg(format!("name={name}"));
        psql.args(["-h", HOST, "-U", SUPERUSER, "-d", "postgres", "-p"]).arg(self.port.to_string());
        psql.env("PGPASSFILE", &self.pgpass).env("PGCONNECT_TIMEOUT", "10");
        tool::succeed(&mut psql, statement, PATIENCE)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Err(error) = self.stop(Mode::Fast) {
            tracing::warn!(error = %error, "the private server was not stopped");
        }
    }
}

/// The server that runs on `cluster`, once it neither starts nor stops any more. Clears the process id file of a
/// server that is gone if it would hinder the next start.
pub(crate) fn settled(cluster: &Path) -> Result<Option<PidFile>, EmbeddedError> {
    let path = cluster.join("postmaster.pid");
    let deadline = Instant::now() + PATIENCE;
    let unreadable_until = Instant::now() + Duration::from_millis(500);
    loop {
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(EmbeddedError::file("read", &path)(error)),
        };
        match parse(&text) {
            Some(found) if !is_alive(&found) => return Ok(None),
            Some(found) if !is_server_of(&found, cluster) => {
                tracing::warn!(pid = found.pid, "removing `{}`: its process is another program", path.display());
                return remove(&path).map(|()| None);
            }
            Some(found) if found.status == "ready" => return Ok(Some(found)),
            // Half written, by a server that starts just now or by a machine that lost power.
            None if Instant::now() > unreadable_until => return remove(&path).map(|()| None),
            _ if Instant::now() > deadline => {
                return Err(EmbeddedError::Busy { path: cluster.to_owned(), waited: PATIENCE });
            }
            _ => sleep(POLL),
        }
    }
}

fn remove(path: &Path) -> Result<(), EmbeddedError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(EmbeddedError::file("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Reads `postmaster.pid`: line 1 is the process id, 4 the port, 8 the status (PostgreSQL, `miscadmin.h`).
fn parse(text: &str) -> Option<PidFile> {
    let mut lines = text.lines().map(str::trim);
    let pid = lines.next()?.parse().ok().filter(|pid| *pid > 0)?;
    let port = lines.nth(2)?.parse().ok()?;
    Some(PidFile { pid, port, status: lines.nth(3).unwrap_or_default().to_owned() })
}

#[cfg(unix)]
fn is_alive(found: &PidFile) -> bool {
    use rustix::{io::Errno, process};
    // A process that may not be signalled exists all the same.
    process::Pid::from_raw(found.pid)
        .is_some_and(|pid| !matches!(process::test_kill_process(pid), Err(error) if error != Errno::PERM))
}

#[cfg(not(unix))]
fn is_alive(found: &PidFile) -> bool {
    std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, found.port)).is_ok()
}

/// Whether the process is a server of `cluster` and not one that got its id later. A server names its directory on
/// its command line and works in it.
fn is_server_of(found: &PidFile, cluster: &Path) -> bool {
    if cfg!(windows) {
        return true;
    }
    let here = fs::canonicalize(cluster).unwrap_or_else(|_| cluster.to_owned());
    let is_here = |path: &Path| path.is_absolute() && fs::canonicalize(path).is_ok_and(|path| path == here);
    let process = Path::new("/proc").join(found.pid.to_string());
    if Path::new("/proc/self").exists() {
        let command = fs::read(process.join("cmdline")).unwrap_or_default();
        let named = String::from_utf8_lossy(&command).split('\0').any(|argument| is_here(Path::new(argument)));
        return named || fs::read_link(process.join("cwd")).is_ok_and(|cwd| is_here(&cwd));
    }
    let mut ps = Account::Own.command("ps");
    ps.args(["-ww", "-o", "args=", "-p"]).arg(found.pid.to_string());
    // Without any means to tell, the process id is believed, as `pg_ctl` does.
    tool::answer(&mut ps, "", Duration::from_secs(10))
        .map_or(true, |answer| answer.stdout.contains(&here.display().to_string()))
}

fn write_secret(path: &Path, text: &str) -> io::Result<()> {
    let _ = fs::remove_file(path);
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(unix)]
fn restrict(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))
}

#[cfg(not(unix))]
fn restrict(_path: &Path, _mode: u32) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn random() -> io::Result<[u8; 24]> {
    let mut bytes = [0; 24];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The standard library's hash keys come from the system's random numbers.
#[cfg(not(unix))]
fn random() -> io::Result<[u8; 24]> {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let mut bytes = [0; 24];
    for part in bytes.chunks_mut(8) {
        let key = std::thread::spawn(|| RandomState::new().build_hasher().finish()).join().unwrap_or_default();
        part.copy_from_slice(&key.to_ne_bytes());
    }
    Ok(bytes)
}

/// Quotes for a POSIX shell, where that is needed.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-=:@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

fn percent_encoded(text: &str) -> String {
    let unreserved = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    let encode = |byte| if unreserved(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_id_file_is_read_or_not_believed() {
        let whole = "4711\n/data/cluster\n1790000000\n5433\n\n127.0.0.1\n  5432001 65538\nready   \n";
        assert_eq!(parse(whole), Some(PidFile { pid: 4711, port: 5433, status: "ready".to_owned() }));
        assert_eq!(
            parse("4711\n/data\n1790000000\n5433\n\n"),
            Some(PidFile { pid: 4711, port: 5433, status: String::new() })
        );
        for broken in ["", "4711\n", "0\na\nb\n5433\n", "-1\na\nb\n5433\n", "x\na\nb\n5433\n", "1\na\nb\nnone\n"] {
            assert_eq!(parse(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn a_process_that_lives_but_is_no_server_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("postmaster.pid");
        fs::write(&path, format!("{}\n{}\n1\n5433\n\n\n\nready\n", process::id(), folder.path().display())).unwrap();
        assert_eq!(settled(folder.path()).unwrap(), None);
        assert!(!path.exists());
        fs::write(&path, "").unwrap();
        assert_eq!(settled(folder.path()).unwrap(), None);
        assert!(!path.exists());
    }

    #[test]
    fn what_goes_through_a_shell_is_quoted() {
        assert_eq!(quoted("/var/lib/b24sync"), "/var/lib/b24sync");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quoted(""), "''");
        assert_eq!(percent_encoded("crm copy/ü"), "crm%20copy%2F%C3%BC");
    }
}
