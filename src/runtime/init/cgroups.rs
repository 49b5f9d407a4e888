//! Entering the container's cgroups.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::base::{Context, Result};
use crate::runtime::launch::Launch;
use crate::sys::{lock, node};

/// Says whether the kernel's grace periods are hurried along; one switch for the whole host.
const EXPEDITED: &str = "/sys/kernel/rcu_expedited";

/// How the cgroups are entered.
pub(super) enum Entry {
    /// v1: one `cgroup.procs` for each hierarchy, opened while the host's tree is in sight, and
    /// [`EXPEDITED`] where it can be had.
    Write(Vec<(PathBuf, File)>, Option<File>),
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
    let switch = File::options().read(true).write(true).open(EXPEDITED);
    Ok(Entry::Write(files, switch.ok()))
}

impl Entry {
    /// Moves the calling process into the groups that it was not born in.
    ///
    /// The first write after a rest waits for a grace period of the kernel, about 10 ms, and those
    /// that follow at once do not: all are done together. Hurried along, it takes 0.1 ms; what
    /// that costs the host is a short interrupt of each processor. A host that must not have that
    /// says so in /sys/kernel/rcu_normal, and the kernel obeys it.
    pub(super) fn enter(&mut self) -> Result<()> {
        let Entry::Write(files, switch) = self else { return Ok(()) };
        // Closed at the end, which also gives the lock up.
        let hurried = switch.take().filter(hurry);
        let mut join = || {
            files.iter_mut().try_for_each(|(path, file)| {
                file.write_all(b"0").context(|| format!("join {}", path.display()))
            })
        };
        let joined = join();
        if let Some(switch) = hurried {
            if let Err(error) = switch.write_at(b"0", 0) {
                crate::warn!("write 0 to {EXPEDITED}: {error}");
            }
        }
        joined
    }
}

/// Turns the switch on, if it is off and no other start holds it: whoever has turned it on turns
/// it off again, so nobody may take another's "on" for the host's own. Never waits.
fn hurry(switch: &File) -> bool {
    let mut state = [0; 8];
    lock::try_exclusive(switch.as_fd()).is_ok_and(|locked| locked)
        && switch.read_at(&mut state, 0).is_ok()
        && state.starts_with(b"0\n")
        && switch.write_at(b"1", 0).is_ok()
}
