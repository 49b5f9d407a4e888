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

/// What this host can limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Support {
    /// `1` (also for a hybrid) or `2`.
    pub version: u8,
    /// Memory.
    pub memory: bool,
    /// Swap.
    pub swap: bool,
    /// CPU shares and quota.
    pub cpu: bool,
    /// Sets of processors.
    pub cpuset: bool,
    /// Number of processes.
    pub pids: bool,
    /// Access to devices.
    pub devices: bool,
}

impl Cgroups {
    /// What this host can limit.
    pub fn support(&self) -> Support {
        todo!()
    }

    /// Containers that have cgroups here, whoever made them; for the clean-up at start.
    pub fn ids(&self) -> Vec<Id> {
        todo!()
    }

    /// Host pids of all processes in the cgroups of container `id`.
    pub fn pids(&self, _id: &Id) -> Vec<i32> {
        todo!()
    }

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
