//! The working directory of the program.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use super::root::{Make, Root};
use crate::base::{Context, Error, Kind, Result};
use crate::sys::{self, node};

/// The working directory, found inside the root before the host is out of sight. It is entered by
/// descriptor, and no magic link leads to it: `/proc/self/fd/N` could be one of ours.
pub(super) struct WorkingDirectory<'a> {
    fd: OwnedFd,
    path: &'a str,
}

impl<'a> WorkingDirectory<'a> {
    /// Finds it; makes it when it is missing.
    pub(super) fn ensure(root: &Root, path: &'a str) -> Result<WorkingDirectory<'a>> {
        let path = if path.is_empty() { "/" } else { path };
        sys::host::set_umask(0o022);
        let fd = root.ensure(Path::new(path), Make::Dir);
        let fd = fd.context(|| format!("make working directory {path}"))?;
        Ok(WorkingDirectory { fd, path })
    }

    /// Finds it; it has to be there.
    pub(super) fn find(root: &Root, path: &'a str) -> Result<WorkingDirectory<'a>> {
        let path = if path.is_empty() { "/" } else { path };
        let fd = root.find(Path::new(path)).context(|| format!("chdir to {path}"));
        let fd = fd.map_err(|error| error.with_kind(Kind::ProgramNotExecutable))?;
        Ok(WorkingDirectory { fd, path })
    }

    pub(super) fn enter(&self) -> Result<()> {
        node::enter_directory(self.fd.as_fd()).context(|| format!("chdir to {}", self.path))
    }

    /// The kernel knows no path from our root to a directory outside of it.
    pub(super) fn check(&self) -> Result<()> {
        match std::env::current_dir() {
            Ok(path) if path.starts_with("/") => Ok(()),
            _ => Err(Error::internal(format!(
                "working directory {} is outside of the container",
                self.path
            ))),
        }
    }
}
