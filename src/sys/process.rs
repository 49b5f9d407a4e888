//! Processes: clone3, exec, credentials, resource limits, descriptors to be closed.
//!
//! The wrappers that change a process are meant for one with a single thread.

use std::convert::Infallible;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use super::check;

/// CLONE_INTO_CGROUP of clone3(2); too large for the flags of clone(2).
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// struct clone_args of clone3(2), up to `cgroup` (Linux 5.7).
#[repr(C, align(8))]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// How [`clone_process`] makes the child.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clone<'a> {
    /// CLONE_NEW… flags of the namespaces that it gets.
    pub namespaces: i32,
    /// Its parent is ours, not we; it tells that parent of its end as we would. Not allowed for
    /// the first process of a pid namespace.
    pub sibling: bool,
    /// A cgroup v2 directory in which it is born; Linux 5.7.
    pub cgroup: Option<BorrowedFd<'a>>,
}

/// Makes a copy of the calling process, which has one thread, and runs `child` in it; the copy
/// never returns from here. Gives the child's pid. clone3(2).
///
/// A panic in `child` ends the copy with status 128: it must not unwind into the caller's code.
///
/// # Errors
/// Those of clone3(2), or of clone(2) where clone3 is missing or forbidden.
pub fn clone_process(how: Clone<'_>, child: impl FnOnce() -> Infallible) -> io::Result<i32> {
    let mut flags = u64::from(how.namespaces as u32);
    let mut exit_signal = libc::SIGCHLD;
    if how.sibling {
        flags |= u64::from(libc::CLONE_PARENT as u32);
        exit_signal = 0;
    }
    let mut args = CloneArgs { flags, exit_signal: exit_signal as u64, ..CloneArgs::default() };
    if let Some(cgroup) = how.cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = u64::from(cgroup.as_raw_fd() as u32);
    }
    // SAFETY: `args` is a struct clone_args of the size given. Without CLONE_VM the child has a
    // copy of our memory and continues on its copy of this stack, as after fork(2); the process
    // has one thread by contract, so no lock is held by a thread that the child lacks.
    let mut pid =
        check(unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) });
    if pid.as_ref().is_err_and(|e| e.raw_os_error() == Some(libc::ENOSYS)) && how.cgroup.is_none() {
        // In range: only flags of the low 32 bits and a signal number.
        let flags = how.namespaces | if how.sibling { libc::CLONE_PARENT } else { 0 } | exit_signal;
        // SAFETY: as above; a null stack continues on the copy of ours, and all other arguments
        // are null, in whatever order this machine takes them.
        pid =
            check(unsafe { libc::syscall(libc::SYS_clone, libc::c_long::from(flags), 0, 0, 0, 0) });
    }
    match pid? {
        0 => {
            let run = std::panic::AssertUnwindSafe(child);
            match std::panic::catch_unwind(run) {
                Ok(never) => match never {},
                Err(_) => exit_now(128),
            }
        }
        pid => i32::try_from(pid).map_err(|_| io::ErrorKind::InvalidData.into()),
    }
}

/// Ends the process without running destructors or exit handlers. _exit(2).
pub fn exit_now(status: i32) -> ! {
    // SAFETY: _exit does not return and touches no memory.
    unsafe { libc::_exit(status) }
}

/// Becomes another program; returns only when that failed. execve(2).
pub fn exec(path: &CStr, arguments: &[CString], environment: &[CString]) -> io::Error {
    let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings.iter().map(|s| s.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: path and all strings are NUL-terminated, both vectors end with a null pointer, and
    // everything outlives the call.
    unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// Whether the calling process may execute `path`, by its effective ids. faccessat(2).
///
/// # Errors
/// EACCES when it may not; those of path resolution.
pub fn may_execute(path: &CStr) -> io::Result<()> {
    // Real and effective ids are the same here, so the plain call asks the right question; the
    // flag AT_EACCESS would make old C libraries emulate it by stat(2), without capabilities.
    // SAFETY: `path` is NUL-terminated and outlives the call.
    check(unsafe { libc::access(path.as_ptr(), libc::X_OK) }).map(drop)
}

/// Makes the process leader of a new session without a terminal. setsid(2).
///
/// # Errors
/// EPERM when it leads a process group.
pub fn new_session() -> io::Result<()> {
    // SAFETY: setsid takes nothing.
    check(unsafe { libc::setsid() }).map(drop)
}

/// An operation on the process with one argument; the kernel wants the others to be zero, as
/// whole words. prctl(2).
pub(super) fn prctl(operation: libc::c_int, argument: libc::c_ulong) -> io::Result<()> {
    let zero: libc::c_ulong = 0;
    // SAFETY: our callers' operations take integers only and touch no memory of ours.
    check(unsafe { libc::prctl(operation, argument, zero, zero, zero) }).map(drop)
}

/// Whether others may look into the process (ptrace, /proc/PID/fd, core dumps); exec turns it
/// on again. PR_SET_DUMPABLE(2const).
///
/// # Errors
/// Those of prctl(2).
pub fn set_dumpable(dumpable: bool) -> io::Result<()> {
    prctl(libc::PR_SET_DUMPABLE, dumpable.into())
}

/// From now on exec grants nothing: set-user-id bits and file capabilities are ignored, for ever.
/// PR_SET_NO_NEW_PRIVS(2const).
///
/// # Errors
/// Those of prctl(2).
pub fn set_no_new_privileges() -> io::Result<()> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1)
}

// The C library's own functions would change every thread that it believes to exist, by signals;
// after a clone that it does not know of it may wait for threads of another process.
#[cfg(target_pointer_width = "64")]
mod id {
    pub(super) const SET_GROUPS: libc::c_long = libc::SYS_setgroups;
    pub(super) const SET_GID: libc::c_long = libc::SYS_setresgid;
    pub(super) const SET_UID: libc::c_long = libc::SYS_setresuid;
}
#[cfg(target_pointer_width = "32")]
mod id {
    // The ones without 32 take ids of 16 bits.
    pub(super) const SET_GROUPS: libc::c_long = libc::SYS_setgroups32;
    pub(super) const SET_GID: libc::c_long = libc::SYS_setresgid32;
    pub(super) const SET_UID: libc::c_long = libc::SYS_setresuid32;
}

/// Sets the supplementary groups of the calling thread. setgroups(2).
///
/// # Errors
/// EINVAL for more than 65,536, EPERM without CAP_SETGID.
pub fn set_groups(groups: &[u32]) -> io::Result<()> {
    // SAFETY: pointer and length describe `groups`, which outlives the call; gid_t is u32.
    check(unsafe { libc::syscall(id::SET_GROUPS, groups.len(), groups.as_ptr()) }).map(drop)
}

/// Sets real, effective and saved group of the calling thread. setresgid(2).
///
/// # Errors
/// EPERM without CAP_SETGID.
pub fn set_gid(gid: u32) -> io::Result<()> {
    // SAFETY: the call takes integers.
    check(unsafe { libc::syscall(id::SET_GID, gid, gid, gid) }).map(drop)
}

/// Sets real, effective and saved user of the calling thread; the capabilities go as
/// capabilities(7) says. setresuid(2).
///
/// # Errors
/// EPERM without CAP_SETUID.
pub fn set_uid(uid: u32) -> io::Result<()> {
    // SAFETY: the call takes integers.
    check(unsafe { libc::syscall(id::SET_UID, uid, uid, uid) }).map(drop)
}

/// Number of the resource limit that `ulimit` and today's API call `name`.
pub fn resource_by_name(name: &str) -> Option<u32> {
    let resource = match name {
        "as" => libc::RLIMIT_AS,
        "core" => libc::RLIMIT_CORE,
        "cpu" => libc::RLIMIT_CPU,
        "data" => libc::RLIMIT_DATA,
        "fsize" => libc::RLIMIT_FSIZE,
        "locks" => libc::RLIMIT_LOCKS,
        "memlock" => libc::RLIMIT_MEMLOCK,
        "msgqueue" => libc::RLIMIT_MSGQUEUE,
        "nice" => libc::RLIMIT_NICE,
        "nofile" => libc::RLIMIT_NOFILE,
        "nproc" => libc::RLIMIT_NPROC,
        "rss" => libc::RLIMIT_RSS,
        "rtprio" => libc::RLIMIT_RTPRIO,
        "rttime" => libc::RLIMIT_RTTIME,
        "sigpending" => libc::RLIMIT_SIGPENDING,
        "stack" => libc::RLIMIT_STACK,
        _ => return None,
    };
    // The constants are signed with musl and unsigned with glibc.
    #[allow(clippy::cast_sign_loss, clippy::unnecessary_cast)]
    Some(resource as u32)
}

/// Sets a resource limit; `None` is none. prlimit(2).
///
/// # Errors
/// EPERM when the hard limit is to rise without CAP_SYS_RESOURCE; EINVAL when soft exceeds hard.
pub fn set_resource_limit(resource: u32, soft: Option<u64>, hard: Option<u64>) -> io::Result<()> {
    let value = |limit: Option<u64>| limit.unwrap_or(u64::MAX);
    let limit = libc::rlimit64 { rlim_cur: value(soft), rlim_max: value(hard) };
    // SAFETY: `limit` is a valid rlimit64 (RLIM64_INFINITY is all ones) and outlives the call;
    // no old limit is asked for.
    let result = unsafe {
        libc::syscall(
            libc::SYS_prlimit64,
            0,
            resource,
            &raw const limit,
            std::ptr::null_mut::<libc::rlimit64>(),
        )
    };
    check(result).map(drop)
}

/// Closes every descriptor from 3 on but those in `keep`. close_range(2), or one by one where it
/// is missing (before Linux 5.9).
///
/// Descriptors that an owner still holds are closed too: such owners must be forgotten, or the
/// process must end in exec or exit without dropping them.
pub fn close_all_but(keep: &[RawFd]) {
    let mut keep: Vec<u32> = keep.iter().map(|fd| *fd as u32).filter(|fd| *fd >= 3).collect();
    keep.sort_unstable();
    let mut first = 3;
    for kept in keep {
        close_between(first, kept - 1);
        first = kept + 1;
    }
    close_between(first, u32::MAX);
}

/// Closes the descriptors from `first` to `last`; see [`close_all_but`] for owners.
fn close_between(first: u32, last: u32) {
    if first > last {
        return;
    }
    // SAFETY: close_range takes integers; the contract of the caller covers owners.
    if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } == 0 {
        return;
    }
    // The table of descriptors is listed before anything is closed: the listing itself is one.
    let listed = std::fs::read_dir("/proc/self/fd").map(|entries| {
        entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse::<i32>().ok()).collect()
    });
    for fd in listed.unwrap_or_else(|_| (3..1024).collect::<Vec<i32>>()) {
        if (first..=last).contains(&(fd as u32)) {
            // SAFETY: close takes an integer; the contract of the caller covers owners.
            unsafe { libc::close(fd) };
        }
    }
}

/// Makes `fd` also descriptor `number`, which stays open over exec. dup2(2).
///
/// # Errors
/// Those of dup2(2).
pub fn duplicate_onto(fd: BorrowedFd<'_>, number: RawFd) -> io::Result<()> {
    // dup2 of a descriptor onto itself does nothing, so close-on-exec would stay.
    if fd.as_raw_fd() == number {
        // SAFETY: F_SETFD takes an integer; the descriptor is borrowed.
        return check(unsafe { libc::fcntl(number, libc::F_SETFD, 0) }).map(drop);
    }
    // SAFETY: dup2 takes integers. What was `number` before is closed: by contract a standard
    // stream, which nobody owns as an OwnedFd.
    check(unsafe { libc::dup2(fd.as_raw_fd(), number) }).map(drop)
}

/// Closes every descriptor, the standard streams as well. close_range(2).
///
/// By contract nothing is opened or written afterwards: a file would become a standard stream.
pub fn close_all() {
    close_all_but(&[]);
    for number in 0..3 {
        // SAFETY: close takes an integer; nobody owns a standard stream as an OwnedFd.
        unsafe { libc::close(number) };
    }
}

/// Puts the calling process into a group of its own, and that into the foreground of the terminal
/// of its standard input, if that is one. setpgid(2), tcsetpgrp(3).
///
/// By contract SIGTTOU is blocked: it stops whoever does this from the background. A process
/// without a terminal has only its group.
pub fn lead_foreground_group() {
    // SAFETY: all three take and give integers.
    unsafe {
        libc::setpgid(0, 0);
        libc::tcsetpgrp(0, libc::getpgrp());
    }
}

/// Makes the calling process the parent of those among its descendants who lose theirs. prctl(2).
///
/// # Errors
/// None in practice.
pub fn become_subreaper() -> io::Result<()> {
    let (on, none): (libc::c_ulong, libc::c_ulong) = (1, 0);
    // SAFETY: PR_SET_CHILD_SUBREAPER takes an integer.
    check(unsafe { libc::prctl(libc::PR_SET_CHILD_SUBREAPER, on, none, none, none) }).map(drop)
}

/// Sets every signal's disposition to the default and unblocks all. sigaction(2).
pub fn reset_signals() {
    // SAFETY: sigset_t and sigaction are plain integers, for which zero is valid (SIG_DFL, no
    // flags, empty mask); the pointers outlive the calls. Numbers that cannot be set (SIGKILL,
    // the C library's own) are refused with EINVAL and nothing else happens.
    unsafe {
        let action: libc::sigaction = std::mem::zeroed();
        for signal in 1..=64 {
            libc::sigaction(signal, &raw const action, std::ptr::null_mut());
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// A file in memory with `content` that nobody can ever change, opened for reading only: it can
/// be executed. memfd_create(2).
///
/// # Errors
/// Those of memfd_create(2), write(2) and fcntl(2).
pub fn sealed_memory_file(name: &CStr, mut content: impl io::Read) -> io::Result<OwnedFd> {
    // Linux 6.3 wants to be told that it will be executed; older kernels do not know the flag.
    const MFD_EXEC: libc::c_uint = 0x10;
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // SAFETY: `name` is NUL-terminated and outlives the call.
    let create = |flags| check(unsafe { libc::memfd_create(name.as_ptr(), flags) });
    let fd = create(flags | MFD_EXEC).or_else(|_| create(flags))?;
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    let mut file = std::fs::File::from(unsafe { OwnedFd::from_raw_fd(fd) });
    io::copy(&mut content, &mut file)?;
    let seals = libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    // SAFETY: F_ADD_SEALS takes an integer.
    check(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) })?;
    // Opened again for reading: exec refuses a file that somebody has open for writing.
    let again = std::fs::File::open(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
    Ok(OwnedFd::from(again))
}

/// Makes terminal `fd` the controlling one of the session that the process leads.
/// TIOCSCTTY(2const).
///
/// # Errors
/// EPERM when the process leads no session or the terminal controls another.
pub fn set_controlling_terminal(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: TIOCSCTTY takes an integer; the descriptor is borrowed.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCSCTTY as _, 0) }).map(drop)
}

/// Lets the other end of the pseudo-terminal `master` be opened, and gives its number: its name
/// in the devpts that `master` came from. TIOCSPTLCK, TIOCGPTN: ioctl_tty(2).
///
/// # Errors
/// ENOTTY when it is no master.
pub fn unlock_terminal(master: BorrowedFd<'_>) -> io::Result<u32> {
    let (unlocked, mut number): (libc::c_int, libc::c_uint) = (0, 0);
    // SAFETY: both requests take a pointer to an int, which outlives the call.
    unsafe {
        check(libc::ioctl(master.as_raw_fd(), libc::TIOCSPTLCK as _, &raw const unlocked))?;
        check(libc::ioctl(master.as_raw_fd(), libc::TIOCGPTN as _, &raw mut number))?;
    }
    Ok(number)
}

/// Opens the other end of the pseudo-terminal `master` without looking for its name, and without
/// becoming controlled by it. TIOCGPTPEER: ioctl_tty(2), Linux 4.13.
///
/// # Errors
/// ENOTTY when it is no master; EIO while it is locked.
pub fn peer_terminal(master: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: TIOCGPTPEER takes an integer; the descriptor is borrowed.
    let fd = check(unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER as _, flags) })?;
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Whether exec failed because the file is no program that this machine knows (ENOEXEC).
pub fn is_no_program(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ENOEXEC)
}
