//! Where this machine keeps things. The only module that reads the environment.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use crate::{EmbeddedError, account};

/// Folders to look in and to write to.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    /// The directories of PATH.
    pub(crate) path: Vec<PathBuf>,
    /// Where packages put PostgreSQL, the newest version of each kind first.
    pub(crate) well_known: Vec<PathBuf>,
    /// Default data directory, when one is known.
    pub(crate) data: Option<PathBuf>,
    /// Default folder of downloaded servers, when one is known.
    pub(crate) cache: Option<PathBuf>,
}

impl Places {
    pub(crate) fn of_this_machine() -> Self {
        let (data, cache) = if account::is_root() {
            // Below `/root` the server's account could reach nothing.
            (Some(PathBuf::from("/var/lib/b24sync/postgres")), Some(PathBuf::from("/var/cache/b24sync/postgres")))
        } else {
            let below = |root: Option<PathBuf>| root.map(|root| root.join("b24sync").join("postgres"));
            (below(data_home()), below(cache_home()))
        };
        let path = variable("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default();
        Self { path, well_known: well_known(), data, cache }
    }

    pub(crate) fn data_dir(&self, wanted: Option<&Path>) -> Result<PathBuf, EmbeddedError> {
        absolute(wanted.or(self.data.as_deref()).ok_or(EmbeddedError::NoHome)?)
    }

    pub(crate) fn cache_dir(&self, wanted: Option<&Path>) -> Result<PathBuf, EmbeddedError> {
        absolute(wanted.or(self.cache.as_deref()).ok_or(EmbeddedError::NoHome)?)
    }
}

/// Makes `path` independent of the working directory: the children run in another one.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, EmbeddedError> {
    std::path::absolute(path).map_err(EmbeddedError::file("resolve", path))
}

/// The variables that a child may see. A server's environment is readable for its account, so nothing of ours
/// (webhook addresses, keys) goes there, and no `PG*` variable redirects the tools.
pub(crate) fn for_children() -> impl Iterator<Item = (&'static str, OsString)> {
    const KEPT: [&str; 9] = [
        "PATH",
        "HOME",
        "LANG",
        "TZ",
        "LD_LIBRARY_PATH",
        "DYLD_LIBRARY_PATH",
        "DYLD_FALLBACK_LIBRARY_PATH",
        "SystemRoot",
        "SystemDrive",
    ];
    KEPT.into_iter().filter_map(|name| Some((name, variable(name)?)))
}

fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

fn home() -> Option<PathBuf> {
    variable("HOME").map(PathBuf::from)
}

fn data_home() -> Option<PathBuf> {
    if cfg!(windows) {
        return variable("LOCALAPPDATA").map(PathBuf::from);
    }
    if cfg!(target_os = "macos") {
        return Some(home()?.join("Library").join("Application Support"));
    }
    variable("XDG_DATA_HOME").map(PathBuf::from).or_else(|| Some(home()?.join(".local").join("share")))
}

fn cache_home() -> Option<PathBuf> {
    if cfg!(windows) {
        return variable("LOCALAPPDATA").map(|data| PathBuf::from(data).join("cache"));
    }
    if cfg!(target_os = "macos") {
        return Some(home()?.join("Library").join("Caches"));
    }
    variable("XDG_CACHE_HOME").map(PathBuf::from).or_else(|| Some(home()?.join(".cache")))
}

fn well_known() -> Vec<PathBuf> {
    const VERSIONED: [(&str, &str); 8] = [
        ("/usr/lib/postgresql", ""),                          // Debian, Ubuntu
        ("/usr", "pgsql-"),                                   // packages of postgresql.org for Red Hat
        ("/usr/libexec", "postgresql"),                       // Alpine
        ("/opt/homebrew/opt", "postgresql@"),                 // Homebrew, Apple silicon
        ("/usr/local/opt", "postgresql@"),                    // Homebrew, Intel
        ("/home/linuxbrew/.linuxbrew/opt", "postgresql@"),    // Homebrew, Linux
        ("/Applications/Postgres.app/Contents/Versions", ""), // Postgres.app
        ("C:\\Program Files\\PostgreSQL", ""),                // the Windows installer
    ];
    let mut places: Vec<PathBuf> =
        VERSIONED.iter().flat_map(|(folder, prefix)| versions_in(Path::new(folder), prefix)).collect();
    places.push(PathBuf::from("/usr/local/pgsql/bin"));
    places
}

/// The program folders of the installations in `folder` whose name is `prefix` and a version; newest first.
fn versions_in(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name();
            let version = name.to_str()?.strip_prefix(prefix)?.split('.').next()?.parse().ok()?;
            let bin = entry.path().join("bin");
            Some((version, if bin.is_dir() { bin } else { entry.path() }))
        })
        .collect();
    found.sort_by(|left, right| right.cmp(left));
    found.into_iter().map(|(_, place)| place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_of_a_folder_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        for version in ["9.6", "15", "17", "common"] {
            fs::create_dir_all(folder.path().join(version).join("bin")).unwrap();
        }
        let names: Vec<PathBuf> = ["17", "15", "9.6"].iter().map(|v| folder.path().join(v).join("bin")).collect();
        assert_eq!(versions_in(folder.path(), ""), names);
    }

    #[test]
    fn children_see_no_variable_of_ours() {
        for (name, _) in for_children() {
            assert!(!name.starts_with("PG") && !name.contains("BITRIX") && !name.contains("DATABASE"), "{name}");
        }
    }
}
