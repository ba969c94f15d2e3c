//! nginx with the configuration of `deploy/nginx`. Only where the instances are, where to listen and where to log is the
//! test's own, in the two files that are every machine's own.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::ports::fixed_port;
use crate::running::until;

/// nginx, where this machine has it.
pub(super) fn program() -> Option<PathBuf> {
    let places = ["/usr/sbin/nginx", "/usr/bin/nginx", "/usr/local/bin/nginx", "/opt/homebrew/bin/nginx"];
    places.iter().map(PathBuf::from).find(|path| path.exists())
}

/// The repository's `deploy` folder.
pub(super) fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

/// A folder that other users may look into: nginx and PgBouncer give up root's rights.
pub(super) fn open_folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    folder
}

/// A running nginx.
pub(super) struct Balancer {
    process: Child,
    folder: TempDir,
    pub(super) address: String,
}

impl Balancer {
    /// Before instances on these ports of this machine.
    pub(super) fn start(program: &Path, instances: &[u16]) -> Balancer {
        let folder = open_folder();
        let (ours, theirs) = (folder.path(), deploy().join("nginx"));
        fs::create_dir(ours.join("b24sync")).unwrap();
        for file in ["nginx.conf", "b24sync/site.conf"] {
            fs::copy(theirs.join(file), ours.join(file)).unwrap();
        }
        let mut servers = String::new();
        for port in instances {
            // As in the repository's own file.
            writeln!(servers, "server 127.0.0.1:{port} max_fails=0;").unwrap();
        }
        fs::write(ours.join("b24sync/instances.conf"), servers).unwrap();
        let address = format!("127.0.0.1:{}", fixed_port());
        let here = format!("listen {address};\naccess_log access.log b24sync;\nerror_log error.log warn;\n");
        fs::write(ours.join("b24sync/here.conf"), here).unwrap();
        let process = Command::new(program)
            .arg("-p")
            .arg(ours)
            .args(["-e", "start.log", "-c"])
            .arg(ours.join("nginx.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(ours.join("stderr.log")).unwrap())
            .spawn()
            .unwrap();
        let mut balancer = Balancer { process, folder, address };
        until("the start of nginx", || {
            assert_eq!(
                balancer.process.try_wait().unwrap(),
                None,
                "nginx does not start: {}",
                balancer.log("stderr.log")
            );
            TcpStream::connect(&balancer.address).is_ok()
        });
        balancer
    }

    /// What it has written into this file.
    pub(super) fn log(&self, name: &str) -> String {
        fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }

    /// Everything that it has written.
    pub(super) fn logs(&self) -> String {
        ["access.log", "error.log", "start.log", "stderr.log"].map(|name| self.log(name)).concat()
    }

    /// Requests that went to more than one instance, and those that went to this one: from the access log.
    pub(super) fn went_to(&self, instance: u16) -> usize {
        let port = format!(":{instance}");
        self.log("access.log").lines().filter(|line| field(line, "instances").contains(&port)).count()
    }

    /// Requests for which a second instance was asked.
    pub(super) fn asked_again(&self) -> usize {
        self.log("access.log").lines().filter(|line| field(line, "instances").contains(", ")).count()
    }
}

fn field(line: &str, name: &str) -> String {
    let line: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
    line[name].as_str().unwrap_or_default().to_owned()
}

impl Drop for Balancer {
    fn drop(&mut self) {
        // The master takes its workers along, which nobody else would.
        let _ = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
        let _ = self.process.wait();
    }
}
