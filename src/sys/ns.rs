//! Namespaces. namespaces(7).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::check;

/// Kinds of namespaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NsKind {
    /// Mounts.
    Mount,
    /// Network.
    Net,
    /// Process ids.
    Pid,
    /// System V IPC and POSIX queues.
    Ipc,
    /// Host name.
    Uts,
    /// Cgroup root.
    Cgroup,
}

impl NsKind {
    /// The CLONE_NEW… flag.
    pub fn flag(self) -> i32 {
        match self {
            NsKind::Mount => libc::CLONE_NEWNS,
            NsKind::Net => libc::CLONE_NEWNET,
            NsKind::Pid => libc::CLONE_NEWPID,
            NsKind::Ipc => libc::CLONE_NEWIPC,
            NsKind::Uts => libc::CLONE_NEWUTS,
            NsKind::Cgroup => libc::CLONE_NEWCGROUP,
        }
    }

    /// Name of the file under /proc/PID/ns.
    pub fn file(self) -> &'static str {
        match self {
            NsKind::Mount => "mnt",
            NsKind::Net => "net",
            NsKind::Pid => "pid",
            NsKind::Ipc => "ipc",
            NsKind::Uts => "uts",
            NsKind::Cgroup => "cgroup",
        }
    }
}

/// Moves the calling thread into namespace `ns`; for [`NsKind::Pid`] only its later children.
/// setns(2).
///
/// EINVAL for a mount namespace if another thread shares our working directory (CLONE_FS), so
/// enter those while the process has one thread.
///
/// # Errors
/// Those of setns(2).
pub fn enter(ns: BorrowedFd<'_>, kind: NsKind) -> io::Result<()> {
    // SAFETY: setns takes two integers and touches no memory of ours; `ns` is borrowed, so it
    // stays open for the whole call.
    check(unsafe { libc::setns(ns.as_raw_fd(), kind.flag()) }).map(drop)
}

/// Gives the calling thread a new namespace of `kind`. unshare(2).
///
/// # Errors
/// Those of unshare(2); EINVAL when the kernel was built without this kind.
pub fn unshare(kind: NsKind) -> io::Result<()> {
    // SAFETY: unshare takes an integer; a namespace flag alone touches no memory of ours.
    check(unsafe { libc::unshare(kind.flag()) }).map(drop)
}

/// Sets the host name of the UTS namespace. sethostname(2).
///
/// # Errors
/// EINVAL for more than 64 bytes.
pub fn set_hostname(name: &str) -> io::Result<()> {
    // SAFETY: pointer and length describe `name`, which outlives the call.
    check(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) }).map(drop)
}

/// Sets the NIS domain name of the UTS namespace. setdomainname(2).
///
/// # Errors
/// EINVAL for more than 64 bytes.
pub fn set_domainname(name: &str) -> io::Result<()> {
    // SAFETY: pointer and length describe `name`, which outlives the call.
    check(unsafe { libc::setdomainname(name.as_ptr().cast(), name.len()) }).map(drop)
}

/// Brings the loopback interface of the network namespace up. netdevice(7).
///
/// # Errors
/// Those of socket(2) and ioctl(2).
pub fn loopback_up() -> io::Result<()> {
    use std::os::fd::{FromRawFd, OwnedFd};
    // SAFETY: socket takes three integers.
    let fd =
        check(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: ifreq is plain bytes and integers, for which zero is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as _;
    }
    // The flags of a loopback in a new namespace are known: setting them needs no reading first.
    #[allow(clippy::cast_possible_truncation)] // both flags are among the low 16 bits
    {
        request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    }
    // SAFETY: `request` is a valid ifreq and outlives the call; the socket is ours.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) })
        .map(drop)
}
