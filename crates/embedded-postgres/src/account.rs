//! Which account the server runs as: PostgreSQL refuses to run as root.
//!
//! An ordinary user runs it as itself. Root runs every program of the server as `postgres`, else as `nobody`, and
//! gives the data to that account. Where root may not change its user id (a container without `CAP_SETUID`), the
//! programs run in a user namespace in which root is called `nobody`.

use std::{ffi::OsStr, fs, path::Path, process::Command, time::Duration};

use crate::{EmbeddedError, places, tool};

/// The user and group that `unshare` calls root: `nobody` and `nogroup` on every Linux. `initdb` wants the user to
/// have an entry in the password file.
const NOBODY: u32 = 65534;

/// Who runs the programs of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Account {
    /// The user of this process.
    Own,
    /// Another one, to which root switches.
    Other { name: String, uid: u32, gid: u32 },
    /// Root under another name, in a user namespace.
    Mapped,
}

impl Account {
    /// Chooses who runs the cluster in `cluster`, which need not exist yet.
    pub(crate) fn choose(cluster: &Path) -> Result<Self, EmbeddedError> {
        if !is_root() {
            return Ok(Self::Own);
        }
        let candidates = owner_of(cluster)
            .into_iter()
            .chain(["postgres", "nobody"].iter().filter_map(|name| in_passwd(name)))
            .chain([Self::Mapped]);
        let mut reasons = Vec::new();
        for candidate in candidates {
            match candidate.check() {
                Ok(()) => return Ok(candidate),
                Err(reason) => reasons.push(format!("{}: {reason}", candidate.name())),
            }
        }
        Err(EmbeddedError::NoAccount { reason: reasons.join(", ") })
    }

    /// A command that runs as this account, away from the terminal's signals, in `/`, and with a bare environment.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = match self {
            Self::Own | Self::Other { .. } => Command::new(program),
            Self::Mapped => {
                let mut command = Command::new("unshare");
                command.arg("--user").arg(format!("--map-user={NOBODY}")).arg(format!("--map-group={NOBODY}"));
                command.arg(program);
                command
            }
        };
        command.env_clear().envs(places::for_children());
        #[cfg(unix)]
        {
            use std::os::unix::process::CommandExt;
            // Ctrl-C ends our program, which then stops the server in order.
            command.process_group(0).current_dir("/");
            if let Self::Other { uid, gid, .. } = self {
                command.uid(*uid).gid(*gid).env_remove("HOME");
            }
        }
        command
    }

    /// Makes this account the owner of `path` and of all below it.
    pub(crate) fn give(&self, path: &Path) -> Result<(), EmbeddedError> {
        let Self::Other { uid, gid, .. } = self else { return Ok(()) };
        give(path, *uid, *gid)
    }

    /// Checks that this account may enter `directory`, as far as permission bits tell.
    pub(crate) fn may_enter(&self, directory: &Path) -> Result<(), EmbeddedError> {
        let Self::Other { uid, gid, .. } = self else { return Ok(()) };
        let mut ancestors: Vec<&Path> = directory.ancestors().collect();
        ancestors.reverse();
        match ancestors.into_iter().find(|step| !is_open(step, *uid, *gid)) {
            None => Ok(()),
            Some(closed) => Err(EmbeddedError::Unreachable { path: closed.to_owned(), account: self.name() }),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Own => "this user".to_owned(),
            Self::Other { name, .. } => name.clone(),
            Self::Mapped => "nobody in a user namespace".to_owned(),
        }
    }

    fn check(&self) -> Result<(), String> {
        let run = tool::answer(self.command("/bin/sh").args(["-c", ":"]), "", Duration::from_secs(10));
        match run {
            Ok(answer) if answer.success => Ok(()),
            Ok(answer) => Err(tool::last_lines(&answer.stderr, 1)),
            Err(EmbeddedError::Spawn { source, .. }) => Err(source.to_string()),
            Err(other) => Err(other.to_string()),
        }
    }
}

/// Reads a user from the text of a password file.
fn parse_passwd(text: &str, wanted: &str) -> Option<Account> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| *name == wanted)?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Account::Other { name: name.to_owned(), uid, gid })
    })
}

fn in_passwd(name: &str) -> Option<Account> {
    parse_passwd(&fs::read_to_string("/etc/passwd").ok()?, name)
}

#[cfg(unix)]
pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(not(unix))]
pub(crate) fn is_root() -> bool {
    false
}

/// The account that an existing cluster belongs to, unless that is root.
#[cfg(unix)]
fn owner_of(cluster: &Path) -> Option<Account> {
    use std::os::unix::fs::MetadataExt;
    let owner = fs::metadata(cluster).ok()?;
    let (uid, gid) = (owner.uid(), owner.gid());
    (uid != 0).then(|| Account::Other { name: format!("user {uid}"), uid, gid })
}

#[cfg(not(unix))]
fn owner_of(_cluster: &Path) -> Option<Account> {
    None
}

#[cfg(unix)]
fn give(path: &Path, uid: u32, gid: u32) -> Result<(), EmbeddedError> {
    let failed = || EmbeddedError::file("change the owner of", path);
    std::os::unix::fs::lchown(path, Some(uid), Some(gid)).map_err(failed())?;
    if fs::symlink_metadata(path).map_err(failed())?.is_dir() {
        for entry in fs::read_dir(path).map_err(failed())? {
            give(&entry.map_err(failed())?.path(), uid, gid)?;
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn give(_path: &Path, _uid: u32, _gid: u32) -> Result<(), EmbeddedError> {
    Ok(())
}

#[cfg(unix)]
fn is_open(directory: &Path, uid: u32, gid: u32) -> bool {
    use std::os::unix::fs::MetadataExt;
    let Ok(metadata) = fs::metadata(directory) else { return true };
    let needed = match (metadata.uid() == uid, metadata.gid() == gid) {
        (true, _) => 0o100,
        (false, true) => 0o010,
        (false, false) => 0o001,
    };
    metadata.mode() & needed != 0
}

#[cfg(not(unix))]
fn is_open(_directory: &Path, _uid: u32, _gid: u32) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\npostgres:x:101:104:,,,:/var/lib/postgresql:/bin/bash\n";

    #[test]
    fn a_user_is_read_from_the_password_file() {
        let postgres = Account::Other { name: "postgres".to_owned(), uid: 101, gid: 104 };
        assert_eq!(parse_passwd(PASSWD, "postgres"), Some(postgres));
        assert_eq!(parse_passwd(PASSWD, "nobody"), None);
        assert_eq!(parse_passwd("nobody:x:-2:-2::/:/bin/false\n", "nobody"), None);
    }

    #[test]
    fn a_closed_directory_on_the_way_is_named() {
        let top = tempfile::tempdir().unwrap();
        let (closed, inside) = (top.path().join("closed"), top.path().join("closed/inside"));
        fs::create_dir_all(&inside).unwrap();
        fs::set_permissions(top.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        let stranger = Account::Other { name: "stranger".to_owned(), uid: 4_000_000, gid: 4_000_000 };
        let refused = stranger.may_enter(&inside).unwrap_err();
        assert!(matches!(&refused, EmbeddedError::Unreachable { path, .. } if *path == closed), "{refused}");
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o711)).unwrap();
        stranger.may_enter(&inside).unwrap();
    }

    #[test]
    fn the_server_never_runs_as_root() {
        let account = Account::choose(Path::new("/nowhere")).unwrap();
        let answer = tool::answer(account.command("id").arg("-u"), "", Duration::from_secs(10)).unwrap();
        assert_ne!(answer.stdout.trim(), "0");
    }

    #[test]
    fn a_user_namespace_also_hides_root() {
        if !is_root() {
            return;
        }
        let answer = tool::answer(Account::Mapped.command("id").arg("-u"), "", Duration::from_secs(10)).unwrap();
        assert_eq!(answer.stdout.trim(), "65534");
    }
}
