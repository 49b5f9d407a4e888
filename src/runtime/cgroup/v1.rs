//! Limits in cgroup v1: a group in each hierarchy.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Support, devices, files, make_dirs};
use crate::base::{Context, Error, Result};
use crate::model::HostConfig;

/// A hierarchy of ours.
pub(super) struct Hierarchy {
    pub(super) controllers: Vec<&'static str>,
    /// Where it is mounted.
    pub(super) root: PathBuf,
}

/// The hierarchy of `controller`.
pub(super) fn find<'a>(all: &'a [Hierarchy], controller: &str) -> Option<&'a Hierarchy> {
    all.iter().find(|hierarchy| hierarchy.controllers.contains(&controller))
}

/// Makes `group` in the hierarchies that are needed.
pub(super) fn create(
    all: &[Hierarchy],
    group: &Path,
    host: &HostConfig,
    support: &Support,
    warnings: &mut Vec<String>,
) -> Result<Vec<PathBuf>> {
    super::v2::warn_unsupported(host, support, warnings);
    let mut dirs = Vec::new();
    for hierarchy in all.iter().filter(|hierarchy| is_needed(hierarchy, host)) {
        let dir = hierarchy.root.join(group);
        make_dirs(&dir)?;
        for controller in &hierarchy.controllers {
            match *controller {
                "memory" => limit_memory(&dir, host, support)?,
                "cpu" => limit_cpu(&dir, host, support)?,
                "pids" => limit_pids(&dir, host)?,
                "cpuset" => choose_cpus(hierarchy, &dir, host)?,
                "blkio" => weigh_blkio(&dir, host, support)?,
                "devices" => devices::restrict_v1(&dir, host)?,
                _ => {}
            }
        }
        dirs.push(dir);
    }
    Ok(dirs)
}

fn wants_cpuset(host: &HostConfig) -> bool {
    !host.cpuset_cpus.is_empty() || !host.cpuset_mems.is_empty()
}

/// Whether a container with these limits has a group in `hierarchy`.
fn is_needed(hierarchy: &Hierarchy, host: &HostConfig) -> bool {
    hierarchy.controllers.iter().any(|name| match *name {
        "cpuset" => wants_cpuset(host),
        "blkio" => host.blkio_weight > 0,
        _ => true,
    })
}

/// Changes the limits of `group`, which has processes. A hierarchy that it was in no need of
/// until now is joined by all of them.
pub(super) fn update(
    all: &[Hierarchy],
    group: &Path,
    host: &HostConfig,
    support: &Support,
) -> Result<()> {
    let home = all.iter().map(|hierarchy| hierarchy.root.join(group)).find(|dir| dir.is_dir());
    for hierarchy in all.iter().filter(|hierarchy| is_needed(hierarchy, host)) {
        let dir = hierarchy.root.join(group);
        let is_new = !dir.is_dir();
        make_dirs(&dir)?;
        for controller in &hierarchy.controllers {
            match *controller {
                "memory" => change_memory(&dir, host, support)?,
                "cpu" => limit_cpu(&dir, host, support)?,
                "pids" if host.pids_limit <= 0 => set(&dir, "pids.max", "max")?,
                "pids" => limit_pids(&dir, host)?,
                "cpuset" if wants_cpuset(host) => choose_cpus(hierarchy, &dir, host)?,
                "blkio" => weigh_blkio(&dir, host, support)?,
                _ => {}
            }
        }
        if let Some(home) = home.as_ref().filter(|_| is_new) {
            move_all(home, &dir)?;
        }
    }
    Ok(())
}

/// Puts all processes of one group into another; again until none has been born meanwhile.
fn move_all(from: &Path, to: &Path) -> Result<()> {
    const ROUNDS: usize = 20;
    for _ in 0..ROUNDS {
        let there = files::pids_in_tree(to);
        let mut missing = files::pids_in_tree(from);
        missing.retain(|pid| !there.contains(pid));
        if missing.is_empty() {
            return Ok(());
        }
        for pid in missing {
            match files::write(&to.join("cgroup.procs"), &pid.to_string()) {
                // It has ended.
                Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
                result => result.context(|| format!("move process {pid} to {}", to.display()))?,
            }
        }
    }
    Err(Error::conflict("processes are born faster than they can be moved"))
}

/// Memory never exceeds memory and swap together, at no moment: the one that grows out of the
/// other's way goes first.
fn change_memory(dir: &Path, host: &HostConfig, support: &Support) -> Result<()> {
    if !support.memory || host.memory == 0 || !support.swap {
        return limit_memory(dir, host, support);
    }
    const TOTAL: &str = "memory.memsw.limit_in_bytes";
    let wanted = if host.memory_swap < 0 { u64::MAX } else { total(host) };
    let present = fs::read_to_string(dir.join(TOTAL)).unwrap_or_default();
    let grows = present.trim().parse::<u64>().is_ok_and(|present| present < wanted);
    let write = || match host.memory_swap {
        ..0 => set(dir, TOTAL, -1),
        _ => set(dir, TOTAL, wanted),
    };
    if grows {
        write()?;
    }
    limit_memory(dir, host, support)?;
    if grows { Ok(()) } else { write() }
}

/// Writes a limit and names it in the error.
pub(super) fn set(dir: &Path, file: &str, value: impl std::fmt::Display) -> Result<()> {
    let value = value.to_string();
    files::write(&dir.join(file), &value).context(|| format!("set {file} to {value}"))
}

fn limit_memory(dir: &Path, host: &HostConfig, support: &Support) -> Result<()> {
    if !support.memory {
        return Ok(());
    }
    if host.memory > 0 {
        set(dir, "memory.limit_in_bytes", host.memory)?;
        // The soft limit is the hard one unless told otherwise: that is what clients have always
        // been shown.
        if host.memory_reservation == 0 {
            set(dir, "memory.soft_limit_in_bytes", host.memory)?;
        }
        if support.swap && host.memory_swap >= 0 {
            set(dir, "memory.memsw.limit_in_bytes", total(host))?;
        }
    }
    if host.memory_reservation > 0 {
        set(dir, "memory.soft_limit_in_bytes", host.memory_reservation)?;
    }
    if let Some(swappiness) = host.memory_swappiness {
        set(dir, "memory.swappiness", swappiness)?;
    }
    if host.oom_kill_disable {
        set(dir, "memory.oom_control", 1)?;
    }
    Ok(())
}

/// Limit of memory and swap together: what was asked for, else twice the memory.
pub(super) fn total(host: &HostConfig) -> u64 {
    u64::try_from(host.memory_swap)
        .ok()
        .filter(|total| *total > 0)
        .unwrap_or(host.memory.saturating_mul(2))
}

/// CPU time per period in microseconds, and the period; `None` where there is no limit.
pub(super) fn quota(host: &HostConfig) -> Option<(i64, u64)> {
    const PERIOD: u64 = 100_000;
    if host.nano_cpus > 0 {
        let quota = u128::from(host.nano_cpus) * u128::from(PERIOD) / 1_000_000_000;
        return Some((i64::try_from(quota).unwrap_or(i64::MAX), PERIOD));
    }
    if host.cpu_quota == 0 && host.cpu_period == 0 {
        return None;
    }
    let period = if host.cpu_period == 0 { PERIOD } else { host.cpu_period };
    Some((if host.cpu_quota == 0 { -1 } else { host.cpu_quota }, period))
}

fn limit_cpu(dir: &Path, host: &HostConfig, support: &Support) -> Result<()> {
    if support.cpu_shares && host.cpu_shares > 0 {
        set(dir, "cpu.shares", host.cpu_shares)?;
    }
    if let Some((quota, period)) = quota(host).filter(|_| support.cpu_quota) {
        set(dir, "cpu.cfs_period_us", period)?;
        set(dir, "cpu.cfs_quota_us", quota)?;
    }
    Ok(())
}

fn limit_pids(dir: &Path, host: &HostConfig) -> Result<()> {
    if host.pids_limit > 0 { set(dir, "pids.max", host.pids_limit) } else { Ok(()) }
}

/// A new cpuset is empty, and a process cannot join it until it has CPUs and memory nodes; they
/// come from the group above, which is one of ours and empty at first too.
fn choose_cpus(hierarchy: &Hierarchy, dir: &Path, host: &HostConfig) -> Result<()> {
    let mut above: Vec<&Path> =
        dir.ancestors().skip(1).take_while(|group| *group != hierarchy.root).collect();
    above.reverse();
    for (file, wanted) in [("cpuset.cpus", &host.cpuset_cpus), ("cpuset.mems", &host.cpuset_mems)] {
        let read = |group: &Path| {
            let path = group.join(file);
            fs::read_to_string(&path).context(|| format!("read {}", path.display()))
        };
        let mut inherited = read(&hierarchy.root)?;
        for group in &above {
            let own = read(group)?;
            if own.trim().is_empty() {
                set(group, file, inherited.trim())?;
            } else {
                inherited = own;
            }
        }
        set(dir, file, if wanted.is_empty() { inherited.trim() } else { wanted })?;
    }
    Ok(())
}

fn weigh_blkio(dir: &Path, host: &HostConfig, support: &Support) -> Result<()> {
    if host.blkio_weight == 0 || !support.blkio_weight {
        return Ok(());
    }
    let bfq = dir.join("blkio.bfq.weight").exists();
    set(dir, if bfq { "blkio.bfq.weight" } else { "blkio.weight" }, host.blkio_weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_limits_become_quota_and_period() {
        let check = |nano_cpus, cpu_quota, cpu_period, expected| {
            let host = HostConfig { nano_cpus, cpu_quota, cpu_period, ..HostConfig::default() };
            assert_eq!(quota(&host), expected);
        };
        check(0, 0, 0, None);
        check(1_500_000_000, 0, 0, Some((150_000, 100_000)));
        check(0, 50_000, 0, Some((50_000, 100_000)));
        check(0, 50_000, 20_000, Some((50_000, 20_000)));
        check(0, 0, 20_000, Some((-1, 20_000)));
        check(0, -1, 0, Some((-1, 100_000)));
    }

    #[test]
    fn memory_and_swap_are_twice_the_memory_unless_told() {
        let check = |memory, memory_swap, expected| {
            let host = HostConfig { memory, memory_swap, ..HostConfig::default() };
            assert_eq!(total(&host), expected);
        };
        check(100, 0, 200);
        check(100, 150, 150);
        check(u64::MAX, 0, u64::MAX);
    }
}
