//! Entering the container's cgroups.

use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use crate::base::{Context, Result};
use crate::runtime::cgroup::Hurry;
use crate::runtime::launch::Launch;
use crate::sys::node;

/// How the cgroups are entered.
pub(super) enum Entry {
    /// v1: one `cgroup.procs` for each hierarchy, opened while the host's tree is in sight, and
    /// what hurries the joins along.
    Write(Vec<(PathBuf, File)>, Option<Hurry>),
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
    Ok(Entry::Write(files, Hurry::open()))
}

impl Entry {
    /// Moves the calling process into the groups that it was not born in.
    ///
    /// The first write after a rest waits for a grace period of the kernel, and those that follow
    /// at once do not: all are done together, and hurried along.
    pub(super) fn enter(&mut self) -> Result<()> {
        let Entry::Write(files, hurry) = self else { return Ok(()) };
        let _hurried = hurry.take().and_then(Hurry::begin);
        files.iter_mut().try_for_each(|(path, file)| {
            file.write_all(b"0").context(|| format!("join {}", path.display()))
        })
    }
}
