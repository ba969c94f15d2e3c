//! Locks between processes. The system gives a lock back when its holder ends, however that happens.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Seek, Write},
    path::Path,
    process,
    thread::sleep,
    time::{Duration, Instant},
};

use crate::EmbeddedError;

const POLL: Duration = Duration::from_millis(20);

/// Takes the lock on `path`, waiting `limit` for it. It is held as long as the file that is returned.
pub(crate) fn within(path: &Path, limit: Duration) -> Result<File, EmbeddedError> {
    let deadline = Instant::now() + limit;
    loop {
        match now(path)? {
            Some(file) => return Ok(file),
            None if Instant::now() < deadline => sleep(POLL),
            None => return Err(EmbeddedError::Busy { path: path.to_owned(), waited: limit }),
        }
    }
}

/// Takes the lock on `path` if nobody holds it, and writes this process's id into the file for people.
pub(crate) fn now(path: &Path) -> Result<Option<File>, EmbeddedError> {
    let failed = || EmbeddedError::file("lock", path);
    let mut file =
        OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path).map_err(failed())?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(source)) => return Err(failed()(source)),
    }
    file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", process::id())).map_err(failed())?;
    Ok(Some(file))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_lock_has_one_holder_and_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let held = now(&path).unwrap().unwrap();
        assert!(now(&path).unwrap().is_none());
        assert!(matches!(within(&path, POLL), Err(EmbeddedError::Busy { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap().trim(), process::id().to_string());
        drop(held);
        assert!(now(&path).unwrap().is_some());
    }
}
