//! A file system that can be filled.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Unmounts and removes the folder when nobody holds the pipe any more, in whatever way the test ends.
const KEEPER: &str = "trap '' INT TERM HUP; read -r _; umount -l \"$1\" && rmdir \"$1\"";

/// A small file system in memory. Gone when it is dropped.
pub(super) struct SmallDisk {
    folder: PathBuf,
    keeper: Child,
}

impl SmallDisk {
    /// Mounts one, which only root may; the reason why not where it cannot.
    pub(super) fn of_megabytes(size: u32) -> Result<SmallDisk, String> {
        let folder = tempfile::Builder::new().prefix("b24sync-small-disk-").tempdir().unwrap().keep();
        let options = format!("size={size}m,mode=0755");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "b24sync-test"]).arg(&folder).output();
        let refused = match mounted {
            Ok(output) if output.status.success() => None,
            Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Some(error.to_string()),
        };
        if let Some(refused) = refused {
            let _ = fs::remove_dir(&folder);
            return Err(refused);
        }
        let mut keeper = Command::new("sh");
        std::os::unix::process::CommandExt::process_group(&mut keeper, 0);
        keeper.args(["-c", KEEPER, "sh"]).arg(&folder).current_dir("/").stdin(Stdio::piped());
        Ok(SmallDisk { keeper: keeper.spawn().unwrap(), folder })
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }

    /// Leaves no room.
    pub(super) fn fill(&self) {
        let mut filler = File::options().create(true).append(true).open(self.filler()).unwrap();
        let (large, small) = (vec![0; 1 << 20], [0; 512]);
        while filler.write_all(&large).is_ok() {}
        while filler.write_all(&small).is_ok() {}
    }

    /// Gives the room back.
    pub(super) fn make_room(&self) {
        fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
    }
}
