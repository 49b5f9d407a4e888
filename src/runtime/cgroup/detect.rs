//! What this host's kernel offers, and where it is mounted.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Layout, Support, v1};
use crate::base::order::Ordered;

/// v1 controllers that containers are put under, if they are there.
const CONTROLLERS: [&str; 8] =
    ["memory", "cpu", "cpuacct", "pids", "freezer", "devices", "cpuset", "blkio"];

pub(super) fn detect() -> (Layout, Support) {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let layout = layout(&read("/proc/self/mountinfo"));
    let mut support = match &layout {
        Layout::None => Support::default(),
        Layout::V1(all) => support_v1(all),
        Layout::V2(root) => support_v2(root),
    };
    warn(&mut support, &read("/proc/cgroups"));
    (layout, support)
}

/// Finds the trees by /proc/self/mountinfo.
fn layout(mountinfo: &str) -> Layout {
    let mut unified = None;
    let mut hierarchies: Vec<v1::Hierarchy> = Vec::new();
    for Mounted { v2, at: root, options, .. } in mounted(mountinfo).filter(|m| !m.readonly) {
        if v2 {
            unified.get_or_insert(root);
            continue;
        }
        let named = options.split(',').into_set();
        let controllers: Vec<&'static str> =
            CONTROLLERS.into_iter().filter(|name| named.contains(name)).collect();
        let known = |name| hierarchies.iter().any(|h| h.controllers.contains(name));
        if let Some(first) = controllers.first() {
            if !known(first) {
                hierarchies.push(v1::Hierarchy { controllers, root });
            }
        }
    }
    match (hierarchies.is_empty(), unified) {
        (false, _) => Layout::V1(hierarchies),
        (true, Some(root)) => Layout::V2(root),
        (true, None) => Layout::None,
    }
}

/// A tree of cgroups that is mounted somewhere.
pub(super) struct Mounted<'a> {
    pub(super) v2: bool,
    /// Which group of the tree.
    pub(super) root: &'a str,
    /// Where.
    pub(super) at: PathBuf,
    /// Those of the file system: the controllers of a v1 hierarchy, or its name, are among them.
    pub(super) options: &'a str,
    pub(super) readonly: bool,
}

/// The trees in /proc/self/mountinfo.
pub(super) fn mounted(mountinfo: &str) -> impl Iterator<Item = Mounted<'_>> {
    mountinfo.lines().filter_map(|line| {
        let (mount, fs) = line.split_once(" - ")?;
        let mut of_fs = fs.split(' ');
        let v2 = match of_fs.next()? {
            "cgroup2" => true,
            "cgroup" => false,
            _ => return None,
        };
        let options = of_fs.nth(1).unwrap_or_default();
        let mut of_mount = mount.split(' ').skip(3);
        let (root, at) = (of_mount.next()?, PathBuf::from(unescaped(of_mount.next()?)));
        let readonly = of_mount.next()?.split(',').any(|option| option == "ro");
        Some(Mounted { v2, root, at, options, readonly })
    })
}

/// A path of mountinfo: blanks and backslashes are octal there.
fn unescaped(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        match after.get(..3).and_then(|octal| u8::from_str_radix(octal, 8).ok()) {
            Some(byte) => {
                out.push(char::from(byte));
                rest = &after[3..];
            }
            None => {
                out.push('\\');
                rest = after;
            }
        }
    }
    out + rest
}

fn support_v1(all: &[v1::Hierarchy]) -> Support {
    let has = |controller, file: &str| {
        v1::find(all, controller).is_some_and(|hierarchy| hierarchy.root.join(file).exists())
    };
    let there = |controller| v1::find(all, controller).is_some();
    Support {
        version: "1",
        memory: has("memory", "memory.limit_in_bytes"),
        swap: has("memory", "memory.memsw.limit_in_bytes"),
        cpu_shares: has("cpu", "cpu.shares"),
        cpu_quota: has("cpu", "cpu.cfs_quota_us"),
        cpuset: there("cpuset"),
        pids: there("pids"),
        blkio_weight: has("blkio", "blkio.weight") || has("blkio", "blkio.bfq.weight"),
        devices: there("devices"),
        freezer: there("freezer"),
        warnings: Vec::new(),
    }
}

fn support_v2(root: &Path) -> Support {
    let controllers = fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
    let there = |name| controllers.split_whitespace().any(|controller| controller == name);
    Support {
        version: "2",
        memory: there("memory"),
        // The file exists in groups other than the root only; /proc/swaps exists with the code.
        swap: there("memory") && Path::new("/proc/swaps").exists(),
        cpu_shares: there("cpu"),
        cpu_quota: there("cpu"),
        cpuset: there("cpuset"),
        pids: there("pids"),
        blkio_weight: there("io"),
        devices: super::devices::program_works(),
        freezer: true,
        warnings: Vec::new(),
    }
}

/// Says what is missing. `known` is /proc/cgroups: a controller may be there and turned off.
fn warn(support: &mut Support, known: &str) {
    let Support { version, memory, swap, cpu_shares, cpu_quota, cpuset, pids, devices, .. } =
        support.clone();
    let mut say = |text: String| support.warnings.push(text);
    if version.is_empty() {
        say("no cgroups are mounted: containers run without limits".into());
        return;
    }
    let off = known.lines().any(|line| {
        let mut fields = line.split_whitespace();
        fields.next() == Some("memory") && fields.last() == Some("0")
    });
    if !memory {
        let hint = if off { "; boot with cgroup_enable=memory" } else { "" };
        say(format!("No memory limit support{hint}"));
    } else if !swap {
        say("No swap limit support; boot with swapaccount=1".into());
    }
    for (works, what) in [
        (cpu_shares, "cpu shares"),
        (cpu_quota, "cpu cfs quota"),
        (cpuset, "cpuset"),
        (pids, "pids limit"),
    ] {
        if !works {
            say(format!("No {what} support"));
        }
    }
    if !devices {
        say("Access to devices is not restricted: no devices controller, no BPF for it".into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
25 24 0:22 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
26 25 0:23 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
27 25 0:24 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
28 25 0:25 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
29 25 0:26 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
30 24 0:24 / /mnt/again rw,relatime - cgroup cgroup rw,memory
";

    #[test]
    fn a_hybrid_host_is_v1_with_the_controllers_that_it_has() {
        let Layout::V1(all) = layout(HYBRID) else { panic!("not v1") };
        let roots: Vec<_> = all.iter().map(|h| h.root.to_str().unwrap()).collect();
        assert_eq!(roots, ["/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/memory"]);
        assert_eq!(all[0].controllers, ["cpu", "cpuacct"]);
    }

    #[test]
    fn a_tree_alone_is_v2_and_nothing_is_none() {
        let line = "29 25 0:26 / /sys/fs/cg\\040x rw,relatime - cgroup2 cgroup2 rw\n";
        assert!(matches!(layout(line), Layout::V2(root) if root == Path::new("/sys/fs/cg x")));
        assert!(matches!(layout("1 1 0:1 / /proc rw - proc proc rw\n"), Layout::None));
        assert!(matches!(layout(&line.replace(" rw,", " ro,")), Layout::None));
    }

    #[test]
    fn a_memory_controller_that_is_turned_off_is_named_with_its_flag() {
        let mut support = Support { version: "2", ..Support::default() };
        warn(&mut support, "#subsys_name\thierarchy\tnum_cgroups\tenabled\nmemory\t0\t1\t0\n");
        assert_eq!(support.warnings[0], "No memory limit support; boot with cgroup_enable=memory");
    }
}
