//! The binary that monitors are started from: ours, but nobody can write to the host's file
//! through it.
//!
//! A container can reach the binary of its init by /proc/1/exe, or by executing a script that
//! begins with `#!/proc/self/exe`, and open it for writing once init has become something else
//! (CVE-2019-5736). So monitors, and init with them, are executed from a read-only bind mount of
//! the binary that is attached nowhere: opening it for writing is EROFS for everybody. Pages and
//! page cache are shared with the host's file, so it costs nothing. Where the kernel cannot do
//! that (before Linux 5.12), it is a sealed copy in memory.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::base::{Context, Result};
use crate::sys;

const OURSELVES: &str = "/proc/self/exe";

struct Exe {
    /// Kept open for as long as the daemon lives.
    _file: OwnedFd,
    path: PathBuf,
}

/// A path that executes our own binary, read-only for ever; the same for the life of the
/// process. Valid in this process and in its children until they exec.
///
/// # Errors
/// When neither the mount nor the copy in memory could be made.
pub fn monitor_exe() -> Result<&'static Path> {
    static EXE: OnceLock<Exe> = OnceLock::new();
    if let Some(exe) = EXE.get() {
        return Ok(&exe.path);
    }
    let file = readonly_mount()
        .or_else(|_| sealed_copy())
        .context(|| format!("make a read-only copy of {OURSELVES}"))?;
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    Ok(&EXE.get_or_init(|| Exe { _file: file, path }).path)
}

fn readonly_mount() -> std::io::Result<OwnedFd> {
    let mount = sys::mount::clone_host_tree(Path::new(OURSELVES), false)?;
    sys::mount::set_attributes(mount.as_fd(), sys::mount::attr::RDONLY, false)?;
    Ok(mount)
}

fn sealed_copy() -> std::io::Result<OwnedFd> {
    sys::process::sealed_memory_file(c"skiff", std::fs::File::open(OURSELVES)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refuses_to_be_written(path: &Path) {
        let output =
            std::process::Command::new(path).arg("--list").output().expect("it can be executed");
        assert!(output.status.success());
        let error = std::fs::OpenOptions::new().write(true).open(path).unwrap_err();
        // EROFS from the mount, ETXTBSY or EPERM from the sealed copy.
        let number = error.raw_os_error().unwrap_or(0);
        assert!([30, 26, 1, 13].contains(&number), "{error}");
    }

    #[test]
    fn the_copy_in_memory_runs_and_cannot_be_written() {
        let file = sealed_copy().unwrap();
        let mut writable = std::fs::OpenOptions::new()
            .write(true)
            .open(format!("/proc/self/fd/{}", file.as_raw_fd()));
        if let Ok(file) = &mut writable {
            assert!(std::io::Write::write_all(file, b"x").is_err());
        }
    }

    #[test]
    fn the_binary_runs_and_cannot_be_written() {
        refuses_to_be_written(monitor_exe().unwrap());
    }
}
