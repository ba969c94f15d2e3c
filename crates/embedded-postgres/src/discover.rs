//! Finds an installed PostgreSQL.

use std::{
    env::consts::EXE_SUFFIX,
    path::{Path, PathBuf},
    time::Duration,
};

use crate::{EmbeddedError, account::Account, places::Places, tool};

/// Older servers are out of support.
const OLDEST_MAJOR: u32 = 14;
const PROGRAMS: [&str; 3] = ["postgres", "initdb", "pg_ctl"];

/// The programs of one PostgreSQL that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binaries {
    pub(crate) dir: PathBuf,
    pub(crate) version: String,
    pub(crate) major: u32,
}

impl Binaries {
    /// Takes `dir` if the server in it answers when `account` asks for its version, else says why not.
    pub(crate) fn probe(dir: &Path, account: &Account) -> Result<Self, String> {
        if let Some(missing) = PROGRAMS.iter().find(|name| !program(dir, name).is_file()) {
            return Err(format!("`{missing}` is missing"));
        }
        let mut command = account.command(program(dir, "postgres"));
        let answer = match tool::answer(command.arg("--version"), "", Duration::from_secs(20)) {
            Ok(answer) => answer,
            Err(EmbeddedError::Spawn { source, .. }) => return Err(source.to_string()),
            Err(other) => return Err(other.to_string()),
        };
        if !answer.success {
            return Err(tool::last_lines(&answer.stderr, 1));
        }
        let (version, major) = version(&answer.stdout).ok_or("`postgres --version` gave no version")?;
        if major < OLDEST_MAJOR {
            return Err(format!("version {version} is older than {OLDEST_MAJOR}"));
        }
        Ok(Self { dir: dir.to_owned(), version, major })
    }

    /// Takes the directory that was named explicitly, or its `bin`.
    pub(crate) fn named(dir: &Path, account: &Account) -> Result<Self, EmbeddedError> {
        let below = dir.join("bin");
        let bin = if program(&below, "postgres").is_file() { &below } else { dir };
        Self::probe(bin, account).map_err(|reason| EmbeddedError::BinariesUnusable { dir: dir.to_owned(), reason })
    }

    pub(crate) fn program(&self, name: &str) -> PathBuf {
        program(&self.dir, name)
    }
}

/// The first usable PostgreSQL, of version `major` if that is given: on the PATH, in a well-known place, or
/// downloaded earlier to `downloaded`. Otherwise the places that held something, each with why it was refused.
pub(crate) fn first(
    places: &Places,
    downloaded: Option<&Path>,
    major: Option<u32>,
    account: &Account,
) -> Result<Binaries, Vec<String>> {
    let mut refused = Vec::new();
    for dir in places.path.iter().chain(&places.well_known).map(PathBuf::as_path).chain(downloaded) {
        if !program(dir, "postgres").is_file() {
            continue;
        }
        match Binaries::probe(dir, account) {
            Ok(found) if major.is_none_or(|major| major == found.major) => return Ok(found),
            Ok(found) => refused.push(format!("`{}`: version {}", dir.display(), found.version)),
            Err(reason) => refused.push(format!("`{}`: {reason}", dir.display())),
        }
    }
    Err(refused)
}

fn program(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}{EXE_SUFFIX}"))
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian 15.18-0)`.
fn version(answer: &str) -> Option<(String, u32)> {
    let version = answer.split_whitespace().nth(2)?;
    let digits = version.split(|c: char| !c.is_ascii_digit()).next()?;
    Some((version.to_owned(), digits.parse().ok()?))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    /// A folder that every account may enter.
    pub(crate) fn open_folder() -> tempfile::TempDir {
        tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir().unwrap()
    }

    /// Programs that know nothing but their version.
    pub(crate) fn fake(dir: &Path, version: &str) {
        fs::create_dir_all(dir).unwrap();
        for name in PROGRAMS {
            script(&dir.join(name), &format!("echo '{name} (PostgreSQL) {version}'"));
        }
    }

    pub(crate) fn script(path: &Path, body: &str) {
        fs::write(path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn places(path: &[&Path], well_known: &[&Path]) -> Places {
        let owned = |list: &[&Path]| list.iter().map(|place| place.to_path_buf()).collect();
        Places { path: owned(path), well_known: owned(well_known), data: None, cache: None }
    }

    fn account() -> Account {
        Account::choose(Path::new("/nowhere")).unwrap()
    }

    #[test]
    fn versions_are_read() {
        let cases = [
            ("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", Some(("15.18", 15))),
            ("postgres (PostgreSQL) 18beta2", Some(("18beta2", 18))),
            ("postgres", None),
            ("", None),
        ];
        for (answer, expected) in cases {
            assert_eq!(version(answer), expected.map(|(text, major)| (text.to_owned(), major)), "{answer}");
        }
    }

    #[test]
    fn the_path_comes_before_well_known_places_and_those_before_the_cache() {
        let top = open_folder();
        let [path, known, cache] = ["path", "known", "cache"].map(|name| top.path().join(name));
        let places = places(&[&top.path().join("empty"), &path], &[&known]);
        let found = |major| first(&places, Some(&cache), major, &account()).map(|found| found.dir);
        assert_eq!(found(None), Err(vec![]));
        fake(&cache, "17.1");
        assert_eq!(found(None), Ok(cache.clone()));
        fake(&known, "16.1");
        assert_eq!(found(None), Ok(known.clone()));
        fake(&path, "15.1");
        assert_eq!(found(None), Ok(path.clone()));
    }

    #[test]
    fn a_cluster_gets_the_version_that_made_it() {
        let top = open_folder();
        let [path, known] = ["path", "known"].map(|name| top.path().join(name));
        fake(&path, "17.1");
        fake(&known, "15.1");
        let places = places(&[&path], &[&known]);
        assert_eq!(first(&places, None, Some(15), &account()).unwrap().dir, known);
        let refused = first(&places, None, Some(16), &account()).unwrap_err().join(", ");
        assert!(refused.contains("version 17.1") && refused.contains("version 15.1"), "{refused}");
    }

    #[test]
    fn what_does_not_answer_is_passed_over_with_its_reason() {
        let top = open_folder();
        let dirs = ["incomplete", "broken", "old", "good"].map(|name| top.path().join(name));
        let [incomplete, broken, old, good] = &dirs;
        for dir in &dirs {
            fake(dir, "16.2");
        }
        fs::remove_file(incomplete.join("initdb")).unwrap();
        script(&broken.join("postgres"), "echo 'libxml2.so.2: cannot open shared object file' >&2; exit 127");
        fake(old, "9.6.24");
        let places = places(&[incomplete, broken, old], &[]);
        let refused = first(&places, None, None, &account()).unwrap_err();
        assert_eq!(refused.len(), 3, "{refused:?}");
        assert!(refused[0].contains("`initdb` is missing"), "{refused:?}");
        assert!(refused[1].contains("libxml2.so.2"), "{refused:?}");
        assert!(refused[2].contains("9.6.24 is older"), "{refused:?}");
        assert_eq!(first(&places, Some(good), None, &account()).unwrap().major, 16);
    }

    #[test]
    fn a_named_directory_is_used_or_refused_but_never_replaced() {
        let top = open_folder();
        fake(&top.path().join("bin"), "17.4");
        assert_eq!(Binaries::named(top.path(), &account()).unwrap().dir, top.path().join("bin"));
        let refused = Binaries::named(Path::new("/nowhere"), &account()).unwrap_err();
        assert!(refused.to_string().starts_with("`/nowhere` holds no usable PostgreSQL: `postgres` is missing"));
    }
}
