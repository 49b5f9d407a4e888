//! Entering the container's cgroups.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use crate::base::{Context, Result};
use crate::runtime::launch::Launch;
use crate::sys::node;

/// How the cgroups are entered.
pub(super) enum Entry {
    /// v1: one `cgroup.procs` for each hierarchy, opened while the host's tree is in sight.
    Write(Vec<(PathBuf, File)>),
    /// v2: the group is entered at birth.
    Birth(Option<OwnedFd>),
}

/// Opens what is needed to enter them later, when the host's tree is out of sight.
pub(super) fn open(launch: &Launch) -> Result<Entry> {
    if launch.cgroup_v2 {
        if let Some(dir) = launch.cgroup_dirs.first() {
            let fd = node::find_on_host(dir).context(|| format!("open {}", dir.display()))?;
            return Ok(Entry::Birth(Some(fd)));
        }
    }
    let mut files = Vec::with_capacity(launch.cgroup_dirs.len());
    for dir in &launch.cgroup_dirs {
        let path = dir.join("cgroup.procs");
        let file = File::options()
            .write(true)
            .open(&path)
            .context(|| format!("open {}", path.display()))?;
        files.push((path, file));
    }
    Ok(Entry::Write(files))
}

impl Entry {
    /// Moves the calling process into the groups that it was not born in.
    ///
    /// The first write may wait for a grace period of the kernel (about 10 ms); those that follow
    /// at once do not, so all are done together.
    pub(super) fn enter(&mut self) -> Result<()> {
        if let Entry::Write(files) = self {
            for (path, file) in files {
                file.write_all(b"0").context(|| format!("join {}", path.display()))?;
            }
        }
        Ok(())
    }
}
