//! PgBouncer in transaction mode, with the settings of `deploy/pgbouncer`.

use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::balancer::{deploy, open_folder};
use super::ports::fixed_port;
use crate::running::until;

/// A PgBouncer that keeps the prepared statements of several connections apart, where there is one: what `PGBOUNCER` names,
/// or this machine's.
pub(super) fn program() -> Option<PathBuf> {
    let named = std::env::var_os("PGBOUNCER").map(PathBuf::from);
    let places =
        ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer", "/usr/local/bin/pgbouncer", "/opt/homebrew/bin/pgbouncer"];
    named.into_iter().chain(places.iter().map(PathBuf::from)).find(|path| path.exists() && version(path) >= (1, 21))
}

fn version(program: &Path) -> (u32, u32) {
    let output = Command::new(program).arg("--version").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut parts = text.split_whitespace().nth(1).unwrap().split('.').map(|part| part.parse().unwrap());
    (parts.next().unwrap(), parts.next().unwrap())
}

/// A running PgBouncer.
pub(super) struct Pooler {
    process: Child,
    folder: TempDir,
    pub(super) port: u16,
}

impl Pooler {
    /// Before the server and the database of this address, for its user.
    pub(super) fn start(program: &Path, url: &str) -> Pooler {
        let (login, place) = url.strip_prefix("postgresql://").unwrap().split_once('@').unwrap();
        let (user, password) = login.split_once(':').unwrap();
        let (server, database) = place.split_once('/').unwrap();
        let folder = open_folder();
        fs::copy(deploy().join("pgbouncer/pgbouncer.ini"), folder.path().join("pgbouncer.ini")).unwrap();
        fs::write(folder.path().join("users"), format!("\"{user}\" \"{password}\"\n")).unwrap();
        let port = fixed_port();
        let here = format!(
            "listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = scram-sha-256\nauth_file = users\n\
             [databases]\n{database} = host=127.0.0.1 port={} dbname={database}\n",
            server.rsplit_once(':').unwrap().1
        );
        fs::write(folder.path().join("here.ini"), here).unwrap();
        let mut command = Command::new(program);
        // It refuses to run as root.
        if std::os::unix::fs::MetadataExt::uid(&fs::metadata("/proc/self").unwrap()) == 0 {
            command.args(["-u", "nobody"]);
        }
        let said = fs::File::create(folder.path().join("log")).unwrap();
        command.current_dir(folder.path()).arg("pgbouncer.ini").stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
        let mut pooler = Pooler { process: command.spawn().unwrap(), folder, port };
        until("the start of PgBouncer", || {
            let log = || fs::read_to_string(pooler.folder.path().join("log")).unwrap();
            assert_eq!(pooler.process.try_wait().unwrap(), None, "PgBouncer does not start: {}", log());
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        pooler
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
