//! Finding and making directories below the root of a layer's tree.
//!
//! The tree is the root of all paths: symlinks and `..` never lead out of it.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::attributes::make_opaque_dir;
use crate::base::{Error, Result};
use crate::sys::fs;

/// Longest path; the kernel takes no longer one.
const MAX_PATH: usize = 4095;
/// Most components of a path: trees are walked with one descriptor per level.
const MAX_DEPTH: usize = 128;

/// A directory of the tree.
pub(super) struct Dir {
    pub(super) fd: OwnedFd,
    /// Its path from the tree's root, free of symlinks.
    pub(super) path: Vec<u8>,
}

/// The tree, by its root.
pub(super) struct Tree {
    root: OwnedFd,
}

impl Tree {
    /// The tree below `root`, which is open for reading.
    pub(super) fn new(root: OwnedFd) -> Tree {
        Tree { root }
    }

    /// Its root.
    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// The directory at `path`, which is clean; symlinks are followed inside the tree.
    pub(super) fn look_up(&self, path: &[u8]) -> io::Result<Dir> {
        let (root, flags) = (self.root.as_fd(), libc::O_PATH | libc::O_DIRECTORY);
        if path.is_empty() {
            let fd = fs::openat(root, Path::new("."), libc::O_DIRECTORY, 0)?;
            return Ok(Dir { fd, path: Vec::new() });
        }
        let name = Path::new(OsStr::from_bytes(path));
        match fs::openat2(root, name, flags, 0, fs::RESOLVE_NO_SYMLINKS) {
            Ok(fd) => return Ok(Dir { fd, path: path.to_vec() }),
            Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {}
            Err(error) => return Err(error),
        }
        let fd = fs::open_in_root(root, name, flags, 0)?;
        let path = self.real_path(fd.as_fd())?;
        // Symlinks to the deepest directory could be used to go deeper and deeper.
        if path.iter().filter(|b| **b == b'/').count() >= MAX_DEPTH {
            return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
        }
        Ok(Dir { fd, path })
    }

    /// Where in the tree an open directory is.
    fn real_path(&self, fd: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
        let path = |fd: i32| std::fs::read_link(format!("/proc/self/fd/{fd}"));
        let (root, dir) = (path(self.root.as_raw_fd())?, path(fd.as_raw_fd())?);
        let rest = dir.strip_prefix(&root).map_err(|_| io::ErrorKind::NotFound)?;
        Ok(rest.as_os_str().as_bytes().to_vec())
    }

    /// Makes the directories of `path` that are missing.
    pub(super) fn make_parents(&self, path: &[u8]) -> Result<Dir> {
        let mut dir = self.look_up(b"")?;
        let mut end = 0;
        for part in path.split(|b| *b == b'/') {
            end += part.len();
            let name = Path::new(OsStr::from_bytes(part));
            match fs::mkdirat(dir.fd.as_fd(), name, 0o755) {
                Ok(()) => fs::fchmodat(dir.fd.as_fd(), name, 0o755)?,
                Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {
                    // A directory that was deleted below and is there again hides the old one.
                    if fs::statat(dir.fd.as_fd(), name)?.is_whiteout() {
                        fs::unlinkat(dir.fd.as_fd(), name)?;
                        make_opaque_dir(dir.fd.as_fd(), name)?;
                    }
                }
                Err(error) => return Err(error.into()),
            }
            dir = self.look_up(&path[..end])?;
            end += 1;
        }
        Ok(dir)
    }
}

/// The path of an entry from the root of the layer, without leading slash, `.` and `..`; empty
/// for the root.
pub(super) fn clean(path: &[u8]) -> Result<Vec<u8>> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => match parts.pop() {
                None if !path.starts_with(b"/") => {
                    return Err(Error::bad_parameter("the path leads out of the layer"));
                }
                _ => {}
            },
            part => parts.push(part),
        }
    }
    if parts.len() > MAX_DEPTH {
        return Err(Error::bad_parameter("the path has more than 128 components"));
    }
    let path = parts.join(&b'/');
    if path.len() > MAX_PATH {
        return Err(Error::bad_parameter("the path is longer than 4,095 bytes"));
    }
    Ok(path)
}
