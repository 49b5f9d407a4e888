//! The host and this process's place on it: uname, memory, processors, limits, inherited
//! descriptors.

use std::ffi::CStr;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

use super::check;

/// What uname(2) tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uname {
    /// `6.1.0-18-amd64`
    pub release: String,
    /// `x86_64`, `aarch64`, `armv7l`
    pub machine: String,
    /// Host name.
    pub nodename: String,
}

/// Kernel release, machine and host name. uname(2).
///
/// # Errors
/// None in practice.
pub fn uname() -> io::Result<Uname> {
    // SAFETY: utsname is arrays of characters, for which zero is valid.
    let mut names: libc::utsname = unsafe { std::mem::zeroed() };
    // SAFETY: `names` is a valid utsname that outlives the call.
    check(unsafe { libc::uname(&raw mut names) })?;
    let text = |field: &[libc::c_char]| {
        let bytes: Vec<u8> = field.iter().map(|&c| c.to_ne_bytes()[0]).collect();
        let text = CStr::from_bytes_until_nul(&bytes).unwrap_or_default();
        text.to_string_lossy().into_owned()
    };
    Ok(Uname {
        release: text(&names.release),
        machine: text(&names.machine),
        nodename: text(&names.nodename),
    })
}

/// Bytes of memory of the host. sysinfo(2).
///
/// # Errors
/// None in practice.
pub fn total_memory() -> io::Result<u64> {
    // SAFETY: sysinfo is plain integers, for which zero is valid.
    let mut info: libc::sysinfo = unsafe { std::mem::zeroed() };
    // SAFETY: `info` is a valid sysinfo that outlives the call.
    check(unsafe { libc::sysinfo(&raw mut info) })?;
    #[allow(clippy::useless_conversion)] // 32 bits wide on some architectures
    Ok(u64::from(info.totalram) * u64::from(info.mem_unit))
}

/// Processors that this process may run on.
pub fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get)
}

/// Sets the mode bits that new files do not get; tells the ones of before. umask(2).
///
/// It is one for the whole process.
pub fn set_umask(mask: u32) -> u32 {
    // SAFETY: umask takes an integer and cannot fail.
    unsafe { libc::umask(mask) }
}

/// Whether this process has root's effective user id. geteuid(2).
pub fn is_root() -> bool {
    // SAFETY: geteuid takes nothing and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Lets this process open as many descriptors as it may: the soft limit becomes the hard one.
/// Tells the limit that now holds. setrlimit(2).
///
/// # Errors
/// Those of getrlimit(2) and setrlimit(2).
pub fn raise_open_files() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid rlimit that outlives the call.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    if limit.rlim_cur < limit.rlim_max {
        limit.rlim_cur = limit.rlim_max;
        // SAFETY: `limit` is a valid rlimit that outlives the call.
        check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })?;
    }
    #[allow(clippy::useless_conversion)] // 32 bits wide on some architectures
    Ok(u64::from(limit.rlim_cur))
}

/// The `count` descriptors from 3 on, given to this process at its birth (sd_listen_fds(3)); they
/// are made close-on-exec. Nothing at the second call: a descriptor has one owner.
///
/// # Errors
/// EBADF when one of them is not open; none is taken then.
pub fn take_inherited(count: u16) -> io::Result<Vec<OwnedFd>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    const FIRST: RawFd = 3;
    if count == 0 || TAKEN.swap(true, Ordering::AcqRel) {
        return Ok(Vec::new());
    }
    let all = FIRST..FIRST + RawFd::from(count);
    for fd in all.clone() {
        // SAFETY: fcntl with F_SETFD takes integers; EBADF for what is not open.
        check(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) })?;
    }
    // SAFETY: they are open, as just seen, and nobody else in this process owns them: they came
    // with exec, before any of our code ran, and this is the only call that takes them.
    Ok(all.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_described() {
        let names = uname().unwrap();
        assert!(!names.release.is_empty() && !names.machine.contains('\0'));
        assert!(total_memory().unwrap() > 16 << 20);
        assert!(cpus() > 0);
        assert!(raise_open_files().unwrap() > 8);
    }
}
