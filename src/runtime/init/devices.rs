//! /dev: a file system in memory with the default nodes, terminals and what was asked for.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::root::{Make, Root};
use crate::base::{Context, Error, Result};
use crate::runtime::launch::{DeviceNode, Launch};
use crate::sys::mount::{self, FsContext, attr};
use crate::sys::{fs, node, process};

/// Nodes that every container has: name, major, minor.
const NODES: [(&str, (u32, u32)); 6] = [
    ("null", (1, 3)),
    ("zero", (1, 5)),
    ("full", (1, 7)),
    ("random", (1, 8)),
    ("urandom", (1, 9)),
    ("tty", (5, 0)),
];

const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];

/// Names in the host's /dev that are no devices of the host, or are made for each container.
const NOT_COPIED: [&str; 7] = ["pts", "shm", "mqueue", "fd", "console", "ptmx", ".udev"];

/// How deep the host's /dev is copied.
const MAX_DEPTH: u32 = 8;

/// The mounted /dev.
pub(super) struct Dev {
    fd: OwnedFd,
    pts: OwnedFd,
}

/// Mounts /dev and what belongs below it.
pub(super) fn mount(launch: &Launch, root: &Root) -> Result<Dev> {
    let target = root.fixed("dev")?;
    let fd = attached("tmpfs", "mode=755,size=64m", attr::NOSUID, target.as_fd(), "/dev")?;
    let dev = fd.as_fd();
    for (name, device) in NODES {
        make_default(dev, name, device).context(|| format!("make /dev/{name}"))?;
    }
    for (name, target) in LINKS {
        fs::symlinkat(Path::new(target), dev, Path::new(name))
            .context(|| format!("make /dev/{name}"))?;
    }
    let quiet = attr::NOSUID | attr::NOEXEC;
    let pts = "newinstance,ptmxmode=0666,mode=0620,gid=5";
    let pts = mount_below(dev, "pts", "devpts", pts, quiet)?;
    let shm = format!("mode=1777,size={}", launch.shm_size);
    mount_below(dev, "shm", "tmpfs", &shm, quiet | attr::NODEV)?;
    match mount_below(dev, "mqueue", "mqueue", "", quiet | attr::NODEV) {
        // A small kernel may have no queues; what needs them will say so.
        Err(error) if error.os_error().is_some_and(mount::is_unknown_type) => {}
        result => drop(result?),
    }
    if launch.privileged {
        copy_all(Path::new("/dev"), dev, MAX_DEPTH).context(|| "copy the host's /dev".into())?;
    }
    for device in &launch.devices {
        make_extra(root, device).context(|| format!("make device {}", device.path))?;
    }
    Ok(Dev { fd, pts })
}

impl Dev {
    /// A mount of /dev/null that is attached nowhere.
    pub(super) fn null(&self) -> io::Result<OwnedFd> {
        mount::clone_tree(self.fd.as_fd(), Path::new("null"), false)
    }

    /// A new terminal of this container, also as /dev/console: the end for the program and the
    /// one for the monitor.
    pub(super) fn terminal(&self) -> Result<(OwnedFd, OwnedFd)> {
        self.open_terminal().context(|| "make a terminal".into())
    }

    fn open_terminal(&self) -> io::Result<(OwnedFd, OwnedFd)> {
        let master = node::terminal_below(self.pts.as_fd(), Path::new("ptmx"))?;
        let name = PathBuf::from(process::unlock_terminal(master.as_fd())?.to_string());
        let slave = node::terminal_below(self.pts.as_fd(), &name)?;
        let console = node::make_file(self.fd.as_fd(), Path::new("console"), 0o600)?;
        let bind = mount::clone_tree(self.pts.as_fd(), &name, false)?;
        mount::attach(bind.as_fd(), console.as_fd())?;
        Ok((slave, master))
    }
}

/// Makes a file system of type `fstype` and attaches it on top of `target`, which is called `at`.
pub(super) fn attached(
    fstype: &str,
    options: &str,
    attributes: u64,
    target: BorrowedFd<'_>,
    at: &str,
) -> Result<OwnedFd> {
    let mounted = || {
        let context = FsContext::open(fstype)?;
        context.set("source", fstype)?; // what /proc/mounts shows first
        context.set_all(options)?;
        let mount = context.mount(attributes)?;
        mount::attach(mount.as_fd(), target)?;
        Ok(mount)
    };
    let result: io::Result<OwnedFd> = mounted();
    result.context(|| format!("mount {fstype} at {at}"))
}

/// Makes directory `name` in /dev and mounts on it.
fn mount_below(
    dev: BorrowedFd<'_>,
    name: &str,
    fstype: &str,
    options: &str,
    attributes: u64,
) -> Result<OwnedFd> {
    let path = Path::new(name);
    let target = fs::mkdirat(dev, path, 0o755)
        .and_then(|()| node::find_below(dev, path))
        .context(|| format!("make /dev/{name}"))?;
    attached(fstype, options, attributes, target.as_fd(), &format!("/dev/{name}"))
}

/// Makes one of the default nodes; where devices cannot be made, it is bound from the host.
fn make_default(dev: BorrowedFd<'_>, name: &str, device: (u32, u32)) -> io::Result<()> {
    let path = Path::new(name);
    match node::make_device(dev, path, 'c', device, 0o666) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        result => return result,
    }
    let host = mount::clone_host_tree(&Path::new("/dev").join(name), false)?;
    let found = node::stat(host.as_fd())?;
    if found.device_kind() != Some('c') || found.rdev != device {
        return Err(io::Error::other("the host's node is another device"));
    }
    let target = node::make_file(dev, path, 0o666)?;
    mount::attach(host.as_fd(), target.as_fd())
}

/// Makes a device that was asked for; one of the default ones may be replaced.
fn make_extra(root: &Root, device: &DeviceNode) -> Result<()> {
    let path = Path::new(&device.path);
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Error::bad_parameter("not the path of a file"));
    };
    let dir = root.ensure(parent, Make::Dir)?;
    let (dir, name) = (dir.as_fd(), Path::new(name));
    let make =
        || node::make_device(dir, name, device.kind, (device.major, device.minor), device.mode);
    match make() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::unlinkat(dir, name)?;
            make()?;
        }
        result => result?,
    }
    Ok(fs::fchownat(dir, name, device.uid, device.gid)?)
}

/// Makes in `to` every device node and directory of the host's directory `from`.
fn copy_all(from: &Path, to: BorrowedFd<'_>, depth: u32) -> io::Result<()> {
    let host = node::find_on_host(from)?;
    for entry in std::fs::read_dir(from)? {
        let name = entry?.file_name();
        let path = Path::new(&name);
        if depth == MAX_DEPTH && NOT_COPIED.iter().any(|skipped| *skipped == name) {
            continue;
        }
        // A device that is unplugged right now is no reason to fail.
        let Ok(stat) = node::find_below(host.as_fd(), path).and_then(|fd| node::stat(fd.as_fd()))
        else {
            continue;
        };
        let made = match stat.device_kind() {
            Some(kind) => node::make_device(to, path, kind, stat.rdev, stat.mode)
                .and_then(|()| fs::fchownat(to, path, stat.uid, stat.gid)),
            None if stat.is_dir() && depth > 0 => fs::mkdirat(to, path, 0o755)
                .and_then(|()| node::find_below(to, path))
                .and_then(|dir| copy_all(&from.join(path), dir.as_fd(), depth - 1)),
            None => continue,
        };
        match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => result?,
        }
    }
    Ok(())
}
