//! Cgroups of containers: v1, v2 and hybrid behind one small interface.
//!
//! - Kernel objects are named after the container: `<parent>/skiff/<id>` in every hierarchy; the
//!   parent is the root of the tree unless the user asked for another. There a restart of the
//!   daemon's service touches none of them. Monitors are beside them, see `outside`.
//! - On a hybrid host the controllers are in the v1 hierarchies, so these are used and the v2
//!   tree is left alone.
//! - A controller that is in neither is a warning, never a failure and never a wait.

mod detect;
mod devices;
mod files;
mod hurry;
mod outside;
pub mod usage;
mod v1;
mod v2;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use hurry::Hurry;
pub use outside::enter as enter_outside;

use crate::base::order::Ordered;
use crate::base::{Context, Error, Id, Lock, Result};
use crate::model::HostConfig;
use crate::sys;

/// SIGKILL, the same on every machine.
const KILL: i32 = 9;

/// The group above all containers.
const OURS: &str = "skiff";

/// How long killed processes get to leave their groups, before these are left to the next start.
const PATIENCE: Duration = Duration::from_secs(5);

/// What this host can do; found once at start.
pub struct Cgroups {
    layout: Layout,
    support: Support,
    /// Parents other than the root that containers were put below.
    parents: Lock<BTreeSet<PathBuf>>,
    /// Groups that monitors go to.
    outside: Vec<PathBuf>,
}

/// Where the groups are.
enum Layout {
    /// No cgroups at all.
    None,
    /// One tree for each hierarchy.
    V1(Vec<v1::Hierarchy>),
    /// One tree, mounted there.
    V2(PathBuf),
}

/// Which limits work here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Support {
    /// `1` or `2`; empty without cgroups.
    pub version: &'static str,
    /// Memory.
    pub memory: bool,
    /// Memory and swap together.
    pub swap: bool,
    /// Relative weight of CPU.
    pub cpu_shares: bool,
    /// CPU time per period.
    pub cpu_quota: bool,
    /// Choice of CPUs.
    pub cpuset: bool,
    /// Number of processes.
    pub pids: bool,
    /// Weight of block I/O.
    pub blkio_weight: bool,
    /// Access to devices is restricted to those that were granted.
    pub devices: bool,
    /// Processes can be frozen.
    pub freezer: bool,
    /// Sentences about what is missing, for `info` and the log.
    pub warnings: Vec<String>,
}

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
    /// Looks at /proc/self/mountinfo. Never fails: what is missing is in `info`.
    pub fn detect() -> Cgroups {
        hurry::heal();
        let (layout, support) = detect::detect();
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let outside = outside::find(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"));
        Cgroups { layout, support, parents: Lock::new(BTreeSet::new()), outside }
    }

    /// The groups that monitors go to, out of those of the daemon's service.
    pub fn outside(&self) -> &[PathBuf] {
        &self.outside
    }

    /// Which limits work here.
    pub fn support(&self) -> &Support {
        &self.support
    }

    /// Makes the cgroups of container `id` with the limits of `host`.
    ///
    /// # Errors
    /// Those of the kernel; nothing is left behind then.
    pub fn create(&self, id: &Id, host: &HostConfig) -> Result<Created> {
        self.remember_parent(&host.cgroup_parent)?;
        let group = parent(&host.cgroup_parent)?.join(OURS).join(id.as_str());
        let mut warnings = Vec::new();
        let made = match &self.layout {
            Layout::None => Ok(Vec::new()),
            Layout::V1(all) => v1::create(all, &group, host, &self.support, &mut warnings),
            Layout::V2(root) => {
                v2::create(root, &group, host, &self.support, &mut warnings).map(|dir| vec![dir])
            }
        };
        let v2 = matches!(self.layout, Layout::V2(_));
        match made {
            Ok(dirs) => Ok(Created { dirs, v2, warnings }),
            Err(error) => {
                self.release(id);
                Err(error)
            }
        }
    }

    /// Gives the running container `id` the limits of `host`; what has no value there and had none
    /// stays as it is. Returns its groups, of which there may be more than before.
    ///
    /// # Errors
    /// Those of the kernel; some limits may have been changed then.
    pub fn update(&self, id: &Id, host: &HostConfig) -> Result<Vec<PathBuf>> {
        let group = parent(&host.cgroup_parent)?.join(OURS).join(id.as_str());
        match &self.layout {
            Layout::None => {}
            Layout::V1(all) => v1::update(all, &group, host, &self.support)?,
            Layout::V2(root) => v2::update(root, &group, host, &self.support)?,
        }
        Ok(self.groups_of(id))
    }

    /// Makes [`release`](Cgroups::release) look below `parent` too; for containers that an earlier
    /// daemon made. The empty text is the root.
    ///
    /// # Errors
    /// When it is no path of a cgroup.
    pub fn remember_parent(&self, name: &str) -> Result<()> {
        let parent = parent(name)?;
        if !parent.as_os_str().is_empty() {
            self.parents.lock().insert(parent);
        }
        Ok(())
    }

    /// Kills what is left in them and removes the cgroups of container `id`; may be called twice.
    pub fn release(&self, id: &Id) {
        let groups = self.groups_of(id);
        if groups.is_empty() {
            return;
        }
        let deadline = Instant::now() + PATIENCE;
        let mut pause = Duration::from_micros(500);
        // Usually nothing is left in them and the first attempt does it.
        while !groups.iter().all(|group| files::remove_tree(group)) {
            if Instant::now() >= deadline {
                let id = id.short();
                crate::warn!("the cgroups of container {id} are still in use and were left");
                return;
            }
            self.kill_in(&groups);
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    fn kill_in(&self, groups: &[PathBuf]) {
        if groups.iter().any(|group| files::write(&group.join("cgroup.kill"), "1").is_ok()) {
            return;
        }
        // Nothing that is frozen forks while it is being killed; it dies when it is thawed.
        self.set_frozen(groups, true);
        for group in groups {
            for pid in files::pids_in_tree(group) {
                if let Err(error) = sys::signal::kill(pid, KILL) {
                    crate::debug!("kill process {pid} of {}: {error}", group.display());
                }
            }
        }
        self.set_frozen(groups, false);
    }

    /// Asks for it and tells whether there was a freezer to ask.
    fn set_frozen(&self, groups: &[PathBuf], frozen: bool) -> bool {
        let (file, text) = match (&self.layout, frozen) {
            (Layout::V2(_), true) => ("cgroup.freeze", "1"),
            (Layout::V2(_), false) => ("cgroup.freeze", "0"),
            (_, true) => ("freezer.state", "FROZEN"),
            (_, false) => ("freezer.state", "THAWED"),
        };
        groups.iter().any(|group| files::write(&group.join(file), text).is_ok())
    }

    /// Stops every process of container `id` where it stands, or lets all go on; returns when it
    /// is done.
    ///
    /// # Errors
    /// `NotImplemented` without a freezer; `TimedOut` when a process does not stop.
    pub fn freeze(&self, id: &Id, frozen: bool) -> Result<()> {
        let groups = self.groups_of(id);
        if !self.set_frozen(&groups, frozen) {
            return Err(Error::not_implemented("this kernel has no freezer"));
        }
        let deadline = Instant::now() + PATIENCE;
        while groups.iter().filter_map(|group| files::is_frozen(group)).any(|is| is != frozen) {
            if Instant::now() >= deadline {
                self.set_frozen(&groups, false);
                let text = format!("freeze container {}: it does not stop", id.short());
                return Err(Error::new(crate::base::Kind::TimedOut, text));
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }

    /// The processes of container `id`, as the host sees them, in ascending order.
    pub fn pids(&self, id: &Id) -> Vec<i32> {
        let groups = self.groups_of(id);
        let pids = groups.iter().flat_map(|dir| files::pids_in_tree(dir)).into_set();
        pids.into_iter().collect()
    }

    /// The containers that have cgroups of ours.
    pub fn ids(&self) -> Vec<Id> {
        let mut ids = BTreeSet::new();
        for parent in self.parents_of_all() {
            let entries = std::fs::read_dir(parent).into_iter().flatten().filter_map(|e| e.ok());
            ids.extend(entries.filter_map(|entry| Id::parse(entry.file_name().to_str()?)));
        }
        ids.into_iter().collect()
    }

    /// The directories `…/skiff` of all hierarchies and parents.
    fn parents_of_all(&self) -> Vec<PathBuf> {
        let roots: Vec<&Path> = match &self.layout {
            Layout::None => Vec::new(),
            Layout::V1(all) => all.iter().map(|hierarchy| hierarchy.root.as_path()).collect(),
            Layout::V2(root) => vec![root],
        };
        let parents = self.parents.lock().clone();
        let parents = parents.iter().map(PathBuf::as_path).chain([Path::new("")]);
        parents.flat_map(|parent| roots.iter().map(move |r| r.join(parent).join(OURS))).collect()
    }

    /// The directories of container `id` that are there.
    fn groups_of(&self, id: &Id) -> Vec<PathBuf> {
        let groups = self.parents_of_all().into_iter().map(|dir| dir.join(id.as_str()));
        groups.filter(|group| group.is_dir()).collect()
    }
}

/// The user's parent as a path relative to the root of a tree.
fn parent(name: &str) -> Result<PathBuf> {
    let path = Path::new(name.trim_matches('/'));
    let plain = |part| matches!(part, std::path::Component::Normal(_));
    if !path.components().all(plain) || name.contains('\0') {
        return Err(Error::bad_parameter(format!("invalid cgroup parent: {name}")));
    }
    Ok(path.to_owned())
}

/// Makes `dir` and those above it that are missing.
fn make_dirs(dir: &Path) -> Result<()> {
    match std::fs::create_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(()),
        result => return result.context(|| format!("make {}", dir.display())),
    }
    std::fs::create_dir_all(dir).context(|| format!("make {}", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_stays_below_the_root() {
        let check = |name, expected: Option<&str>| {
            assert_eq!(parent(name).ok(), expected.map(PathBuf::from), "{name}");
        };
        check("", Some(""));
        check("/a/b/", Some("a/b"));
        check("system.slice", Some("system.slice"));
        check("../a", None);
        check("a/../../b", None);
    }

    #[test]
    fn groups_are_made_with_limits_and_removed_with_what_runs_in_them() {
        let cgroups = Cgroups::detect();
        if !sys::caps::permitted().unwrap().has(21) || !cgroups.support().memory {
            eprintln!("skipped: needs root and a memory controller");
            return;
        }
        let id = Id::random();
        let host = HostConfig { memory: 8 << 20, pids_limit: 20, ..HostConfig::default() };
        let created = cgroups.create(&id, &host).unwrap();
        assert!(cgroups.ids().contains(&id));
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        for dir in &created.dirs {
            files::write(&dir.join("cgroup.procs"), &child.id().to_string()).unwrap();
        }
        assert_eq!(cgroups.pids(&id), [i32::try_from(child.id()).unwrap()]);
        cgroups.freeze(&id, true).unwrap();
        cgroups.freeze(&id, false).unwrap();
        cgroups.release(&id);
        assert!(created.dirs.iter().all(|dir| !dir.exists()));
        assert_eq!(child.wait().unwrap().code(), None);
        cgroups.release(&id);
        assert!(!cgroups.ids().contains(&id));
    }
}
