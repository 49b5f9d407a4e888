//! Cgroups of containers: v1, v2 and hybrid behind one small interface.
//!
//! Kernel objects are named after the container: `<parent>/skiff/<id>` in every hierarchy.

use std::path::PathBuf;

use crate::base::{Id, Result};
use crate::model::HostConfig;

/// What this host can do; found once at start.
pub struct Cgroups {}

/// What [`Cgroups::create`] made.
#[derive(Debug, Clone)]
pub struct Created {
    /// For the launch file.
    pub dirs: Vec<PathBuf>,
    /// For the launch file.
    pub v2: bool,
    /// Limits that the kernel could not set, as sentences for the user.
    pub warnings: Vec<String>,
}

impl Cgroups {
    /// Looks at /proc/mounts and /proc/self/cgroup. Never fails: what is missing is in `info`.
    pub fn detect() -> Cgroups {
        todo!()
    }

    /// Makes the cgroups of container `id` with the limits of `host`.
    ///
    /// # Errors
    /// Those of the kernel; nothing is left behind then.
    pub fn create(&self, _id: &Id, _host: &HostConfig) -> Result<Created> {
        todo!()
    }

    /// Kills what is left in them and removes the cgroups of container `id`; may be called twice.
    pub fn release(&self, _id: &Id) {
        todo!()
    }

    /// Starts early, in the background, the grace period that the first cgroup v1 join after a
    /// rest waits for: a join that changes nothing. Does nothing on v2.
    pub fn prewarm(&self) {}
}
