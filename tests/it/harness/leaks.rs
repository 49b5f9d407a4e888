//! The search for anything left behind.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Daemon, send_signal, wait_for};
use std::time::Duration;

/// What there was before a test's containers.
pub struct Baseline {
    fds: usize,
    threads: usize,
    mounts: usize,
}

impl Baseline {
    pub fn of(daemon: &Daemon) -> Baseline {
        let pid = daemon.pid();
        // The connection that imported the fixture may be on its way out still.
        let mut seen = (descriptors(pid).len(), threads(pid));
        wait_for(Duration::from_millis(500), || {
            let now = (descriptors(pid).len(), threads(pid));
            let still = now == seen;
            seen = now;
            still && threads(pid) <= 3
        });
        Baseline { fds: seen.0, threads: seen.1, mounts: mounts(daemon.keeper_pid()).len() }
    }
}

/// A check to be repeated until it finds nothing, or the time is up.
pub struct Leaks<'a> {
    find: Box<dyn Fn() -> Vec<String> + 'a>,
}

impl<'a> Leaks<'a> {
    /// What is left of a container that has ended but is not removed.
    pub fn of_ended(daemon: &'a Daemon, id: &str) -> Leaks<'a> {
        let id = id.to_owned();
        let find = move || {
            let mut left = cgroups_named(&id);
            let here = daemon.root().join("containers").join(&id);
            for path in [here.join("work"), daemon.run_root().join(&id)] {
                if path.exists() {
                    left.push(format!("{} is still there", path.display()));
                }
            }
            left
        };
        Leaks { find: Box::new(find) }
    }

    /// What is left when all containers are gone.
    pub fn of_daemon(daemon: &'a Daemon, before: &'a Baseline, ids: &[String]) -> Leaks<'a> {
        let ids = ids.to_vec();
        let find = move || {
            let mut left: Vec<String> = ids.iter().flat_map(|id| cgroups_named(id)).collect();
            for pid in processes_of(daemon) {
                left.push(format!("process {pid}: {}", command_line(pid)));
            }
            for (whose, pid) in
                [("the host", std::process::id() as i32), ("us", daemon.keeper_pid())]
            {
                let ours = mounts(pid).into_iter().filter(|m| m.contains(dir_text(daemon)));
                left.extend(ours.map(|mount| format!("mount seen by {whose}: {mount}")));
            }
            let now = mounts(daemon.keeper_pid()).len();
            if now != before.mounts {
                left.push(format!("{now} mounts instead of {}", before.mounts));
            }
            let links = links(daemon.keeper_pid());
            // The bridge stays, and a test may have laid cables of its own.
            if links.iter().any(|link| link.starts_with("veth")) {
                left.push(format!("network links {links:?}"));
            }
            left.extend(files_left(daemon));
            let pid = daemon.pid();
            let fds = descriptors(pid);
            if fds.len() > before.fds {
                left.push(format!("{} descriptors instead of {}: {fds:?}", fds.len(), before.fds));
            }
            if threads(pid) > before.threads {
                left.push(format!("{} threads instead of {}", threads(pid), before.threads));
            }
            left
        };
        Leaks { find: Box::new(find) }
    }

    #[track_caller]
    pub fn assert_none(&self) {
        let mut left = Vec::new();
        let clean = wait_for(Duration::from_secs(10), || {
            left = (self.find)();
            left.is_empty()
        });
        assert!(clean, "left behind:\n  {}", left.join("\n  "));
    }
}

fn dir_text(daemon: &Daemon) -> &str {
    daemon.dir().to_str().unwrap()
}

/// Directories of containers, layers in the making, run-time directories.
fn files_left(daemon: &Daemon) -> Vec<String> {
    let root = daemon.root();
    let mut left = Vec::new();
    for dir in [root.join("containers"), root.join("layers/tmp"), daemon.run_root()] {
        for entry in names(&dir) {
            let is_container = entry.len() == 64 || dir != daemon.run_root();
            if is_container {
                left.push(format!("file {}/{entry}", dir.display()));
            }
        }
    }
    left
}

fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries.flatten().map(|e| e.file_name().to_string_lossy().into_owned()).collect()
}

/// All cgroups whose name contains `id`, in all hierarchies.
pub fn cgroups_named(id: &str) -> Vec<String> {
    fn search(dir: &Path, depth: usize, id: &str, found: &mut Vec<String>) {
        for name in names(dir) {
            let path = dir.join(&name);
            if !path.is_dir() || path.is_symlink() {
                continue;
            }
            if name.contains(id) {
                found.push(format!("cgroup {}", path.display()));
            } else if depth < 5 {
                search(&path, depth + 1, id, found);
            }
        }
    }
    let mut found = Vec::new();
    search(Path::new("/sys/fs/cgroup"), 0, id, &mut found);
    found
}

/// Monitors (by their command line) and container processes (by what they have mounted).
pub fn processes_of(daemon: &Daemon) -> Vec<i32> {
    let dir = dir_text(daemon);
    let daemon_pid = daemon_pid_if_alive(daemon);
    let mut foreign_namespaces = BTreeSet::new();
    let mut found = Vec::new();
    for pid in names(Path::new("/proc")).iter().filter_map(|name| name.parse::<i32>().ok()) {
        if Some(pid) == daemon_pid || pid == daemon.keeper_pid() || is_zombie(pid) {
            continue;
        }
        let line = command_line(pid);
        if line.contains("skiff-monitor") && line.contains(dir) {
            found.push(pid);
            continue;
        }
        let Ok(namespace) = fs::read_link(format!("/proc/{pid}/ns/mnt")) else { continue };
        if foreign_namespaces.contains(&namespace) {
            continue;
        }
        if mounts(pid).iter().any(|mount| mount.contains(dir)) {
            found.push(pid);
        } else {
            foreign_namespaces.insert(namespace);
        }
    }
    found
}

fn daemon_pid_if_alive(daemon: &Daemon) -> Option<i32> {
    fs::read_to_string(daemon.dir().join("pid")).ok()?.trim().parse().ok()
}

fn is_zombie(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with('Z'))
}

fn command_line(pid: i32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).replace('\0', " ")
}

fn mounts(pid: i32) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Names of the links in the network namespace of a process.
fn links(pid: i32) -> Vec<String> {
    let text = fs::read_to_string(format!("/proc/{pid}/net/dev")).unwrap_or_default();
    let names = text.lines().skip(2).filter_map(|line| line.split(':').next());
    names.map(|name| name.trim().to_owned()).collect()
}

/// What each open descriptor of a process refers to, but for what it opens once, at first use.
pub fn descriptors(pid: i32) -> Vec<String> {
    let dir = format!("/proc/{pid}/fd");
    let mut found: Vec<String> = names(Path::new(&dir))
        .iter()
        .filter_map(|name| fs::read_link(format!("{dir}/{name}")).ok())
        .map(|target| target.to_string_lossy().into_owned())
        .collect();
    // The read-only mount of its own binary, which monitors are run from.
    if let Some(at) = found.iter().position(|target| target == "/") {
        found.remove(at);
    }
    found
}

pub fn threads(pid: i32) -> usize {
    names(Path::new(&format!("/proc/{pid}/task"))).len()
}

/// After a failed test: kills what still runs and removes its cgroups.
pub fn clean_up(daemon: &Daemon) {
    let ids = names(&daemon.root().join("containers"));
    for _ in 0..5 {
        let pids = processes_of(daemon);
        if pids.is_empty() {
            break;
        }
        for pid in pids {
            send_signal(pid, libc::SIGKILL);
        }
        wait_for(Duration::from_millis(300), || processes_of(daemon).is_empty());
    }
    for id in ids.iter().filter(|id| id.len() == 64) {
        for cgroup in cgroups_named(id) {
            let path = PathBuf::from(cgroup.trim_start_matches("cgroup "));
            // Busy while a killed process is on its way out; it is empty soon.
            wait_for(Duration::from_secs(2), || fs::remove_dir(&path).is_ok() || !path.exists());
        }
    }
}
