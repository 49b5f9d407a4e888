//! The mounts inside the container besides the root and /dev, and what is hidden or read-only.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::devices::{Dev, attached};
use super::root::{Make, Root};
use crate::base::{Context, Error, Result};
use crate::runtime::launch::{Launch, Mount, MountSource};
use crate::sys::mount::{self, FsContext, Propagation, attr};
use crate::sys::{fs, node};

const QUIET: u64 = attr::NOSUID | attr::NODEV | attr::NOEXEC;

/// Files of the run directory that are bound over those of the image.
const ETC: [&str; 3] = ["hosts", "hostname", "resolv.conf"];

/// Clones of the host's mounts, attached nowhere yet.
pub(super) struct Sources {
    /// One for each of the launch file's mounts that is a bind, in order.
    binds: Vec<Option<OwnedFd>>,
    /// Those of the run directory that are there.
    etc: Vec<(&'static str, OwnedFd)>,
}

/// Takes the sources of all binds from the host. Before anything is made private: a bind may
/// stay a peer or a slave of the host's mounts.
pub(super) fn open_sources(launch: &Launch) -> Result<Sources> {
    let mut binds = Vec::with_capacity(launch.mounts.len());
    for mount in &launch.mounts {
        binds.push(match &mount.source {
            MountSource::Bind(source) => Some(
                open_bind(source, mount)
                    .context(|| format!("mount {} at {}", source.display(), mount.destination))?,
            ),
            MountSource::Tmpfs(_) => None,
        });
    }
    let mut etc = Vec::with_capacity(ETC.len());
    for name in ETC {
        let path = launch.run_dir.join(name);
        match mount::clone_host_tree(&path, false) {
            Ok(source) => etc.push((name, source)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).context(|| format!("bind {}", path.display())),
        }
    }
    Ok(Sources { binds, etc })
}

fn open_bind(source: &Path, mount: &Mount) -> Result<OwnedFd> {
    let (_, recursive) = propagation(&mount.propagation)?;
    Ok(mount::clone_host_tree(source, recursive)?)
}

/// The meaning of a propagation word: how events travel, and whether mounts below come along.
fn propagation(word: &str) -> Result<(Propagation, bool)> {
    Ok(match word {
        "" | "rprivate" => (Propagation::Private, true),
        "private" => (Propagation::Private, false),
        "rslave" => (Propagation::Slave, true),
        "slave" => (Propagation::Slave, false),
        "rshared" => (Propagation::Shared, true),
        "shared" => (Propagation::Shared, false),
        _ => return Err(Error::bad_parameter(format!("unknown propagation {word}"))),
    })
}

/// Mounts /sys and the container's own cgroups below it.
pub(super) fn mount_sys(launch: &Launch, root: &Root) -> Result<()> {
    let readonly = if launch.privileged { 0 } else { attr::RDONLY };
    let target = root.fixed("sys")?;
    let sys = attached("sysfs", "", QUIET | readonly, target.as_fd(), "/sys")?;
    let Some(first) = launch.cgroup_dirs.first() else { return Ok(()) };
    let at = "/sys/fs/cgroup";
    // Without cgroups in its sysfs the kernel has none either.
    let Ok(target) = node::find_below(sys.as_fd(), Path::new("fs/cgroup")) else { return Ok(()) };
    if launch.cgroup_v2 {
        return bind_cgroup(first, &target, readonly).context(|| format!("mount cgroup2 at {at}"));
    }
    let tmpfs = attached("tmpfs", "mode=755,size=1m", QUIET, target.as_fd(), at)?;
    for dir in &launch.cgroup_dirs {
        let Some(name) = hierarchy(dir) else { continue };
        let mounted = || {
            fs::mkdirat(tmpfs.as_fd(), Path::new(name), 0o755)?;
            bind_cgroup(dir, &node::find_below(tmpfs.as_fd(), Path::new(name))?, readonly)
        };
        mounted().context(|| format!("mount cgroup at {at}/{name}"))?;
        // Controllers that share a hierarchy are found by each one's name too.
        for alias in name.split(',').filter(|alias| *alias != name) {
            fs::symlinkat(Path::new(name), tmpfs.as_fd(), Path::new(alias))
                .context(|| format!("make {at}/{alias}"))?;
        }
    }
    if !launch.privileged {
        mount::set_readonly(tmpfs.as_fd(), false).context(|| format!("make {at} read-only"))?;
    }
    Ok(())
}

/// Binds the container's own group: with the cgroup namespace it looks like the whole tree.
fn bind_cgroup(dir: &Path, target: &OwnedFd, readonly: u64) -> io::Result<()> {
    let group = mount::clone_host_tree(dir, false)?;
    mount::attach(group.as_fd(), target.as_fd())?;
    match mount::set_attributes(group.as_fd(), QUIET | readonly, false) {
        // Before Linux 5.12 it keeps what the host's mount has, but for the one that matters.
        Err(error) if error.kind() == io::ErrorKind::Unsupported => {
            if readonly == 0 {
                Ok(())
            } else {
                mount::set_readonly(group.as_fd(), false)
            }
        }
        result => result,
    }
}

/// Name of the v1 hierarchy that `dir` lies in: where it is mounted below /sys/fs/cgroup.
fn hierarchy(dir: &Path) -> Option<&str> {
    dir.strip_prefix("/sys/fs/cgroup").ok()?.components().next()?.as_os_str().to_str()
}

/// Mounts /proc; only a process of the new pid namespace can.
pub(super) fn mount_proc(root: &Root) -> Result<OwnedFd> {
    attached("proc", "", QUIET, root.fixed("proc")?.as_fd(), "/proc")
}

/// Mounts what the user asked for, and the files of the run directory.
pub(super) fn mount_extra(launch: &Launch, root: &Root, sources: Sources) -> Result<()> {
    for (name, source) in &sources.etc {
        let path = PathBuf::from(format!("/etc/{name}"));
        root.ensure(&path, Make::File)
            .and_then(|target| mount::attach(source.as_fd(), target.as_fd()))
            .and_then(|()| mount::set_propagation_of(source.as_fd(), Propagation::Private, false))
            .context(|| format!("mount {}", path.display()))?;
    }
    for (mount, source) in launch.mounts.iter().zip(&sources.binds) {
        let at = &mount.destination;
        match (&mount.source, source) {
            (MountSource::Bind(from), Some(source)) => attach_bind(root, mount, source)
                .context(|| format!("mount {} at {at}", from.display()))?,
            (MountSource::Tmpfs(options), _) => mount_tmpfs(root, mount, options)?,
            (MountSource::Bind(_), None) => {}
        }
    }
    Ok(())
}

fn attach_bind(root: &Root, mount: &Mount, source: &OwnedFd) -> Result<()> {
    let make = if node::stat(source.as_fd())?.is_dir() { Make::Dir } else { Make::File };
    let target = root.ensure(Path::new(&mount.destination), make)?;
    let is_dir = node::stat(target.as_fd())?.is_dir();
    if is_dir != (make == Make::Dir) {
        let what = if is_dir { "a file onto a directory" } else { "a directory onto a file" };
        return Err(Error::bad_parameter(format!("cannot mount {what}")));
    }
    mount::attach(source.as_fd(), target.as_fd())?;
    let (kind, recursive) = propagation(&mount.propagation)?;
    // What is shared on the host was cloned as a peer and stays one.
    if kind != Propagation::Shared {
        mount::set_propagation_of(source.as_fd(), kind, recursive)?;
    }
    if mount.readonly {
        mount::set_readonly(source.as_fd(), true)?;
    }
    Ok(())
}

fn mount_tmpfs(root: &Root, mount: &Mount, options: &str) -> Result<()> {
    let at = &mount.destination;
    let mut attributes = QUIET;
    let mut of_fs = Vec::new();
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "ro" => attributes |= attr::RDONLY,
            "rw" => attributes &= !attr::RDONLY,
            "nosuid" => attributes |= attr::NOSUID,
            "suid" => attributes &= !attr::NOSUID,
            "nodev" => attributes |= attr::NODEV,
            "dev" => attributes &= !attr::NODEV,
            "noexec" => attributes |= attr::NOEXEC,
            "exec" => attributes &= !attr::NOEXEC,
            other => of_fs.push(other),
        }
    }
    if mount.readonly {
        attributes |= attr::RDONLY;
    }
    let target =
        root.ensure(Path::new(at), Make::Dir).context(|| format!("mount tmpfs at {at}"))?;
    attached("tmpfs", &of_fs.join(","), attributes, target.as_fd(), at).map(drop)
}

/// Hides paths: an empty read-only directory over directories, /dev/null over all else. Those
/// that are not there need no hiding.
pub(super) fn mask(launch: &Launch, root: &Root, dev: &Dev) -> Result<()> {
    let mut empty: Option<OwnedFd> = None;
    for path in &launch.masked_paths {
        let mut hide = || {
            let target = match root.find(Path::new(path)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                found => found?,
            };
            if !node::stat(target.as_fd())?.is_dir() {
                return mount::attach(dev.null()?.as_fd(), target.as_fd());
            }
            // One file system for all; a mount can be cloned once it is attached.
            if let Some(first) = &empty {
                let clone = mount::clone_tree(first.as_fd(), Path::new(""), false)?;
                return mount::attach(clone.as_fd(), target.as_fd());
            }
            let context = FsContext::open("tmpfs")?;
            context.set_all("size=4k,mode=755")?;
            let first = context.mount(QUIET | attr::RDONLY)?;
            mount::attach(first.as_fd(), target.as_fd())?;
            empty = Some(first);
            Ok(())
        };
        hide().context(|| format!("mask {path}"))?;
    }
    Ok(())
}

/// Makes paths read-only, by a read-only bind of each onto itself.
pub(super) fn protect(launch: &Launch, root: &Root) -> Result<()> {
    for path in &launch.readonly_paths {
        let bind = || {
            let target = match root.find(Path::new(path)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                found => found?,
            };
            let bind = mount::clone_tree(target.as_fd(), Path::new(""), true)?;
            mount::attach(bind.as_fd(), target.as_fd())?;
            mount::set_readonly(bind.as_fd(), true)
        };
        bind().context(|| format!("make {path} read-only"))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hierarchy_is_named_after_its_mount_point() {
        let check = |dir, expected| assert_eq!(hierarchy(Path::new(dir)), expected, "{dir}");
        check("/sys/fs/cgroup/cpu,cpuacct/skiff/abc", Some("cpu,cpuacct"));
        check("/sys/fs/cgroup/memory/a/skiff/abc", Some("memory"));
        check("/cgroup/memory/skiff", None);
    }
}
