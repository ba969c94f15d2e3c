//! Servers that do not outlive those who use them.

use std::{
    fs::{self, File, OpenOptions},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

const SCRIPT: &str = include_str!("supervise.sh");

/// The right to use the server below a base directory: a shared lock, which the system takes back from a process
/// that ends. While one exists the supervisor does not stop the server.
#[derive(Debug)]
pub(crate) struct Use {
    base: PathBuf,
    _users: File,
}

impl Use {
    /// Makes `base` if need be, and waits while a supervisor is removing the server in it.
    pub(crate) fn of(base: &Path) -> Self {
        fs::create_dir_all(base).unwrap_or_else(|error| panic!("cannot create `{}`: {error}", base.display()));
        open_to_all(base);
        check_owner(base);
        let users = lock_file(&base.join("users"));
        users.lock_shared().unwrap_or_else(|error| panic!("cannot lock `{}`: {error}", base.display()));
        Self { base: base.to_owned(), _users: users }
    }

    /// Where the server's data belongs.
    pub(crate) fn server(&self) -> PathBuf {
        self.base.join("server")
    }

    /// Only one process at a time looks after the server and its supervisor.
    pub(crate) fn exclusively<T>(&self, work: impl FnOnce() -> T) -> T {
        let setup = lock_file(&self.base.join("setup"));
        setup.lock().unwrap_or_else(|error| panic!("cannot lock `{}`: {error}", self.base.display()));
        work()
    }

    /// Whether a supervisor watches; it was perhaps killed.
    pub(crate) fn is_supervised(&self) -> bool {
        lock_file(&self.base.join("supervisor")).try_lock().is_err()
    }

    /// Starts a supervisor that stops the server when nobody used it for `linger_seconds`. It is no child of this
    /// process, in no process group of the tests, and holds none of their pipes.
    pub(crate) fn supervise(&self, linger_seconds: u32) {
        let script = self.base.join("supervise.sh");
        drop(lock_file(&self.base.join("supervisor")));
        write_once(&script);
        let mut shell = Command::new("sh");
        std::os::unix::process::CommandExt::process_group(&mut shell, 0);
        let started = shell
            .args(["-c", r#"sh "$@" &"#, "sh"])
            .arg(&script)
            .arg(&self.base)
            .arg(linger_seconds.to_string())
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        assert!(started.is_ok_and(|status| status.success()), "cannot start the supervisor of the test server");
    }
}

/// Writes the script, unless it is there: a shell may be reading it.
fn write_once(script: &Path) {
    if fs::read_to_string(script).is_ok_and(|text| text == SCRIPT) {
        return;
    }
    let beside = script.with_extension("new");
    let written = fs::write(&beside, SCRIPT).and_then(|()| fs::rename(&beside, script));
    written.unwrap_or_else(|error| panic!("cannot write `{}`: {error}", script.display()));
}

fn lock_file(path: &Path) -> File {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
        .unwrap_or_else(|error| panic!("cannot open `{}`: {error}", path.display()))
}

/// Root runs the server as another account, which must get to its data.
fn open_to_all(base: &Path) {
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o711);
    // Only its owner may do this; whether that is us is checked next.
    let _ = fs::set_permissions(base, open);
}

/// The name is known beforehand and the folder open to all: somebody else's directory is not used.
fn check_owner(base: &Path) {
    use std::os::unix::fs::MetadataExt;
    let probe = base.join(format!("probe-{}", std::process::id()));
    let ours = File::create(&probe).and_then(|file| file.metadata()).map(|metadata| metadata.uid());
    let theirs = fs::symlink_metadata(base).map(|metadata| metadata.uid());
    let _ = fs::remove_file(&probe);
    match (ours, theirs) {
        (Ok(ours), Ok(theirs)) if ours == theirs => {}
        other => panic!("`{}` does not belong to this user ({other:?}); remove it or set TMPDIR", base.display()),
    }
}
