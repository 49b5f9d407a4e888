//! Where monitors live: outside of the cgroups that the daemon was started in.
//!
//! - A service manager takes all that is in its service's groups for the service: it counts their
//!   memory, shows them, and may end them with it. So whatever is to outlive the daemon leaves.
//! - In each hierarchy where the daemon is not in the root, monitors are in one group for all,
//!   beside those of the containers: in the one tree of v2, in the hierarchies of v1, and also in
//!   the one that only keeps the service manager's books (`name=systemd`, or v2 on a hybrid host).
//!   What a monitor clones begins there, and goes on to the container's groups where it has some.

use std::path::{Path, PathBuf};

use super::detect::{self, Mounted};
use super::{Hurry, OURS, files, make_dirs};

/// The monitors' group, below ours.
const MONITORS: &str = "monitors";

/// The groups that monitors go to, by /proc/self/mountinfo and /proc/self/cgroup of the daemon.
pub(super) fn find(mountinfo: &str, own: &str) -> Vec<PathBuf> {
    let mounted: Vec<Mounted<'_>> = detect::mounted(mountinfo).filter(|m| !m.readonly).collect();
    let group = |line: &str| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (names, path) = (fields.next()?, fields.next()?);
        // A new group there takes no process before it has CPUs, and no service manager uses it.
        if names.split(',').any(|name| name == "cpuset") {
            return None;
        }
        let tree = mounted.iter().find(|mounted| {
            let has = |name| mounted.options.split(',').any(|option| option == name);
            if names.is_empty() { mounted.v2 } else { !mounted.v2 && names.split(',').all(has) }
        })?;
        (path != tree.root).then(|| tree.at.join(OURS).join(MONITORS))
    };
    own.lines().filter_map(group).collect()
}

/// Moves the calling process, which has one thread, into `groups`. What cannot be entered is told
/// and left.
pub fn enter(groups: &[PathBuf]) {
    if groups.is_empty() {
        return;
    }
    let _hurried = Hurry::open().and_then(Hurry::begin);
    for group in groups {
        if let Err(error) = enter_one(group) {
            crate::warn!("leave the cgroup of the daemon for {}: {error}", group.display());
        }
    }
}

fn enter_one(group: &Path) -> crate::base::Result<()> {
    let procs = group.join("cgroup.procs");
    match files::write(&procs, "0") {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            make_dirs(group)?;
            Ok(files::write(&procs, "0")?)
        }
        result => Ok(result?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "\
26 25 0:23 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
27 25 0:24 /box /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
28 25 0:25 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
29 25 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
30 25 0:27 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset
31 25 0:28 / /sys/fs/cgroup/pids ro - cgroup cgroup rw,pids
";
    const V2: &str = "29 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";

    #[test]
    fn monitors_leave_where_the_daemon_is_not_in_the_root() {
        let check = |mounts: &str, own: &str, expected: &[&str]| {
            let found = find(mounts, own);
            let found: Vec<&str> = found.iter().map(|path| path.to_str().unwrap()).collect();
            assert_eq!(found, expected, "{own}");
        };
        let service = "/system.slice/skiff.service";
        check(V2, &format!("0::{service}\n"), &["/sys/fs/cgroup/skiff/monitors"]);
        check(V2, "0::/\n", &[]);
        check("", &format!("0::{service}\n"), &[]);
        let own =
            format!("9:name=systemd:{service}\n4:cpu,cpuacct:/\n3:memory:/box\n0::{service}\n");
        let expected =
            ["/sys/fs/cgroup/systemd/skiff/monitors", "/sys/fs/cgroup/unified/skiff/monitors"];
        check(V1, &own, &expected);
        check(V1, "4:cpu,cpuacct:/a:b\n", &["/sys/fs/cgroup/cpu,cpuacct/skiff/monitors"]);
        check(V1, "3:memory:/box/inner\n", &["/sys/fs/cgroup/memory/skiff/monitors"]);
        check(V1, "3:cpuset:/a\n2:pids:/a\n1:net_cls:/a\n", &[]);
    }
}
