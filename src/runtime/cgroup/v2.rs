//! Limits in cgroup v2: one group in one tree.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::v1::{quota, set, total};
use super::{Support, devices, files, make_dirs};
use crate::base::order::Ordered;
use crate::base::{Context, Result};
use crate::model::HostConfig;

/// Where processes go that are in the way: in a group that has controllers for groups below it,
/// no process may be, except in the root of the host.
const LEAF: &str = "skiff-host";

/// Makes `group` below `root`.
pub(super) fn create(
    root: &Path,
    group: &Path,
    host: &HostConfig,
    support: &Support,
    warnings: &mut Vec<String>,
) -> Result<PathBuf> {
    warn_unsupported(host, support, warnings);
    enable_controllers(root, group, host, support)?;
    let dir = root.join(group);
    make_dirs(&dir)?;
    limit(&dir, host, support)?;
    if support.devices {
        devices::restrict_v2(&dir, host)?;
    }
    Ok(dir)
}

/// Changes the limits of `group`, which has processes.
pub(super) fn update(
    root: &Path,
    group: &Path,
    host: &HostConfig,
    support: &Support,
) -> Result<()> {
    enable_controllers(root, group, host, support)?;
    let dir = root.join(group);
    limit(&dir, host, support)?;
    if support.pids && host.pids_limit <= 0 {
        set(&dir, "pids.max", "max")?;
    }
    let unlimited = host.memory > 0 && host.memory_swap < 0;
    if support.memory && unlimited && dir.join("memory.swap.max").exists() {
        set(&dir, "memory.swap.max", "max")?;
    }
    Ok(())
}

fn limit(dir: &Path, host: &HostConfig, support: &Support) -> Result<()> {
    limit_memory(dir, host, support)?;
    if support.cpu_shares && host.cpu_shares > 0 {
        set(dir, "cpu.weight", weight(host.cpu_shares))?;
    }
    if let Some((quota, period)) = quota(host).filter(|_| support.cpu_quota) {
        let quota = u64::try_from(quota).map_or("max".into(), |quota| quota.to_string());
        set(dir, "cpu.max", format_args!("{quota} {period}"))?;
    }
    if support.pids && host.pids_limit > 0 {
        set(dir, "pids.max", host.pids_limit)?;
    }
    if support.cpuset && !host.cpuset_cpus.is_empty() {
        set(dir, "cpuset.cpus", &host.cpuset_cpus)?;
    }
    if support.cpuset && !host.cpuset_mems.is_empty() {
        set(dir, "cpuset.mems", &host.cpuset_mems)?;
    }
    if support.blkio_weight && host.blkio_weight > 0 {
        let bfq = dir.join("io.bfq.weight").exists();
        let (file, weight) = if bfq {
            ("io.bfq.weight", u64::from(host.blkio_weight))
        } else {
            ("io.weight", io_weight(host.blkio_weight))
        };
        set(dir, file, weight)?;
    }
    Ok(())
}

/// Says which limits that were asked for are not there; for v1 as well.
pub(super) fn warn_unsupported(host: &HostConfig, support: &Support, warnings: &mut Vec<String>) {
    let gone = "or the cgroup is not mounted.";
    let v2 = support.version == "2";
    let mut say = |missing: bool, what: &str, outcome: &str| {
        if missing {
            warnings.push(format!("Your kernel does not support {what} {gone} {outcome}"));
        }
    };
    say(host.memory > 0 && !support.memory, "memory limit capabilities", "Limitation discarded.");
    say(
        host.memory > 0 && support.memory && !support.swap && host.memory_swap >= 0,
        "swap limit capabilities",
        "Memory limited without swap.",
    );
    for (missing, what) in [
        (host.memory_reservation > 0 && !support.memory, "memory soft limit capabilities"),
        (host.memory_swappiness.is_some() && (v2 || !support.memory), "memory swappiness"),
        (host.oom_kill_disable && (v2 || !support.memory), "OomKillDisable"),
        (host.cpu_shares > 0 && !support.cpu_shares, "cpu shares"),
        (quota(host).is_some() && !support.cpu_quota, "CPU CFS quota"),
        (host.pids_limit > 0 && !support.pids, "PIDs limit"),
        (!host.cpuset_cpus.is_empty() && !support.cpuset, "cpuset"),
        (host.blkio_weight > 0 && !support.blkio_weight, "Block I/O weight"),
    ] {
        say(missing, what, "Limitation discarded.");
    }
}

/// Lets the groups above `group` hand down the controllers that it needs.
fn enable_controllers(
    root: &Path,
    group: &Path,
    host: &HostConfig,
    support: &Support,
) -> Result<()> {
    let wanted = [
        ("memory", support.memory),
        ("cpu", support.cpu_shares),
        ("pids", support.pids),
        ("cpuset", support.cpuset && !(host.cpuset_cpus.is_empty() && host.cpuset_mems.is_empty())),
        ("io", support.blkio_weight && host.blkio_weight > 0),
    ];
    let mut dir = root.to_owned();
    for part in group.components() {
        let path = dir.join("cgroup.subtree_control");
        let enabled = fs::read_to_string(&path).context(|| format!("read {}", path.display()))?;
        let enabled = enabled.split_whitespace().into_set();
        let missing: Vec<String> = wanted
            .iter()
            .filter(|(name, needed)| *needed && !enabled.contains(name))
            .map(|(name, _)| format!("+{name}"))
            .collect();
        if !missing.is_empty() {
            let missing = missing.join(" ");
            hand_down(&dir, &path, &missing)
                .context(|| format!("write {missing} to {}", path.display()))?;
        }
        dir.push(part);
        if dir != root.join(group) {
            make_dirs(&dir)?;
        }
    }
    Ok(())
}

fn hand_down(dir: &Path, control: &Path, controllers: &str) -> io::Result<()> {
    match files::write(control, controllers) {
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {}
        result => return result,
    }
    // There are processes in `dir`, we among them: a delegated group, or one that only looks like
    // the root from inside a container. They go into a leaf; one that ends meanwhile is fine.
    let leaf = dir.join(LEAF);
    match fs::create_dir(&leaf) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    for pid in fs::read_to_string(dir.join("cgroup.procs"))?.lines() {
        if let Err(error) = files::write(&leaf.join("cgroup.procs"), pid) {
            crate::debug!("move process {pid} to {}: {error}", leaf.display());
        }
    }
    files::write(control, controllers)
}

fn limit_memory(dir: &Path, host: &HostConfig, support: &Support) -> Result<()> {
    if !support.memory {
        return Ok(());
    }
    if host.memory > 0 {
        set(dir, "memory.max", host.memory)?;
        // v2 counts swap alone. Without swap in the kernel there is no such file.
        if host.memory_swap >= 0 && dir.join("memory.swap.max").exists() {
            set(dir, "memory.swap.max", total(host).saturating_sub(host.memory))?;
        }
    }
    if host.memory_reservation > 0 {
        set(dir, "memory.low", host.memory_reservation)?;
    }
    Ok(())
}

/// Shares of v1, 2 to 262144, as a weight of v2, 1 to 10000.
fn weight(shares: u64) -> u64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142
}

/// Weights of v1, 10 to 1000, as one of v2, 1 to 10000.
fn io_weight(weight: u16) -> u64 {
    1 + (u64::from(weight.clamp(10, 1000)) - 10) * 9999 / 990
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_keep_their_ends() {
        assert_eq!([2, 1024, 262_144, u64::MAX].map(weight), [1, 39, 10_000, 10_000]);
        assert_eq!([10, 1000].map(io_weight), [1, 10_000]);
    }

    #[test]
    fn what_is_missing_is_said_once_and_only_if_asked_for() {
        let mut warnings = Vec::new();
        warn_unsupported(&HostConfig::default(), &Support::default(), &mut warnings);
        assert_eq!(warnings, [] as [&str; 0]);
        let host = HostConfig { memory: 1 << 20, cpu_shares: 5, ..HostConfig::default() };
        warn_unsupported(&host, &Support::default(), &mut warnings);
        assert_eq!(
            warnings[0],
            "Your kernel does not support memory limit capabilities or the cgroup is not \
             mounted. Limitation discarded."
        );
        assert_eq!(warnings.len(), 2);
    }
}
