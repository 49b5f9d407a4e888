//! The pid file: decimal, no newline, and refused while the process that it names lives.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use crate::base::{Context, Error, Kind, Result};

/// A pid file that names this process.
#[derive(Debug, Clone)]
pub(super) struct PidFile(PathBuf);

/// Writes the pid file; one whose process is no more is overwritten.
pub(super) fn write(path: &Path) -> Result<PidFile> {
    let us = std::process::id();
    let name = path.display();
    match fs::read_to_string(path) {
        Ok(text) => {
            // After a restart of the host our own number may stand there.
            let other = text.parse::<u32>().ok().filter(|&pid| pid != us);
            if other.is_some_and(lives) {
                let text = format!("pid file found, ensure docker is not running or delete {name}");
                return Err(Error::new(Kind::Conflict, text));
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent).context(|| format!("make {}", parent.display()))?;
            }
        }
        // Not text: nothing that we wrote, so nobody's claim.
        Err(error) if error.kind() == ErrorKind::InvalidData => {}
        Err(error) => return Err(error).context(|| format!("read the pid file {name}")),
    }
    // Not synced: it means nothing after a power cut.
    fs::write(path, us.to_string()).context(|| format!("write the pid file {name}"))?;
    Ok(PidFile(path.to_path_buf()))
}

/// Whether process `pid` runs; one that has ended and was not reaped yet does not.
fn lives(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // The name of the program stands in parentheses and may hold any byte; the state follows.
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest.as_bytes().first().copied());
    !matches!(state.flatten(), Some(b'Z' | b'X'))
}

impl PidFile {
    /// Removes it.
    pub(super) fn remove(self) {
        if let Err(error) = fs::remove_file(&self.0) {
            crate::warn!("remove the pid file {}: {error}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_live_owner_is_respected_and_a_dead_one_replaced() {
        let directory = std::env::temp_dir().join(format!("skiff-pid-{}", std::process::id()));
        let path = directory.join("deep/docker.pid");
        let file = write(&path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), std::process::id().to_string());
        fs::write(&path, "1").unwrap();
        let error = write(&path).unwrap_err().to_string();
        let expected =
            format!("pid file found, ensure docker is not running or delete {}", path.display());
        assert_eq!(error, expected);
        let mut ended = std::process::Command::new("/bin/true").spawn().unwrap();
        let zombie = ended.id();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while lives(zombie) {
            assert!(std::time::Instant::now() < deadline, "the child has not ended");
            std::thread::yield_now();
        }
        assert!(Path::new(&format!("/proc/{zombie}")).exists());
        ended.wait().unwrap();
        for stale in [&b"1\n"[..], b"", b"4294967295", b"-1", b"\xff\xfe", b"x"] {
            fs::write(&path, stale).unwrap();
            write(&path).unwrap();
        }
        file.remove();
        assert!(!path.exists());
        fs::remove_dir_all(&directory).unwrap();
    }
}
