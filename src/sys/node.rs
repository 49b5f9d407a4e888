//! Finding files without opening them, and making files and device nodes, below a descriptor.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use super::check;
use super::fs::{
    RESOLVE_NO_SYMLINKS, Stat, c_path, mknodat, open_in_root, openat, openat2, statat,
};

/// Finds the host's `path` without opening it for anything: an O_PATH descriptor. open(2).
///
/// # Errors
/// Those of open(2).
pub fn find_on_host(path: &Path) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    // SAFETY: `path` is NUL-terminated and outlives the call.
    let fd = check(unsafe { libc::open(path.as_ptr(), libc::O_PATH | libc::O_CLOEXEC) })?;
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Finds `path` as a process with the root `root` sees it; no magic links. openat2(2).
///
/// # Errors
/// Those of openat2(2).
pub fn find_in_root(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    open_in_root(root, path, libc::O_PATH, 0)
}

/// Finds `path` below `dir`; ELOOP when any part of it is a symlink. openat2(2).
///
/// # Errors
/// Those of openat2(2).
pub fn find_below(dir: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    openat2(dir, path, libc::O_PATH | libc::O_NOFOLLOW, 0, RESOLVE_NO_SYMLINKS)
}

/// Opens `path` for reading as a process with the root `root` sees it. Does not wait for the
/// writer of a pipe, and takes no terminal.
///
/// # Errors
/// Those of openat2(2).
pub fn read_in_root(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    open_in_root(root, path, libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY, 0)
}

/// Opens the existing `path` below `dir` for writing; ELOOP when any part of it is a symlink.
///
/// # Errors
/// Those of openat2(2).
pub fn write_below(dir: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    openat2(dir, path, libc::O_WRONLY | libc::O_NOCTTY, 0, RESOLVE_NO_SYMLINKS)
}

/// Opens the terminal `path` below `dir` both ways, without becoming controlled by it.
///
/// # Errors
/// Those of openat2(2).
pub fn terminal_below(dir: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    openat2(dir, path, libc::O_RDWR | libc::O_NOCTTY, 0, RESOLVE_NO_SYMLINKS)
}

/// What `fd` is; it may be an O_PATH descriptor. statx(2).
///
/// # Errors
/// Those of statx(2).
pub fn stat(fd: BorrowedFd<'_>) -> io::Result<Stat> {
    statat(fd, Path::new(""))
}

/// Makes the empty file `name`, which must not exist, and opens it. openat(2).
///
/// # Errors
/// EEXIST when there is anything of that name; those of openat(2).
pub fn make_file(dir: BorrowedFd<'_>, name: &Path, mode: u32) -> io::Result<OwnedFd> {
    openat(dir, name, libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL, mode)
}

/// Makes device node `name`, `kind` being `c` or `b`; the umask applies. mknodat(2).
///
/// # Errors
/// EPERM without CAP_MKNOD or in a user namespace; EINVAL for another kind.
pub fn make_device(
    dir: BorrowedFd<'_>,
    name: &Path,
    kind: char,
    device: (u32, u32),
    mode: u32,
) -> io::Result<()> {
    let kind = match kind {
        'c' => libc::S_IFCHR,
        'b' => libc::S_IFBLK,
        _ => return Err(io::ErrorKind::InvalidInput.into()),
    };
    mknodat(dir, name, kind | (mode & 0o7777), device)
}

/// Gives the file behind `fd`, which may be an O_PATH descriptor, to `uid` and `gid`; `None`
/// keeps. fchownat(2).
///
/// # Errors
/// Those of fchownat(2).
pub fn set_owner(fd: BorrowedFd<'_>, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
    let (uid, gid) = (uid.unwrap_or(u32::MAX), gid.unwrap_or(u32::MAX));
    // SAFETY: the path is the empty NUL-terminated string; `fd` is borrowed.
    let result =
        unsafe { libc::fchownat(fd.as_raw_fd(), c"".as_ptr(), uid, gid, libc::AT_EMPTY_PATH) };
    check(result).map(drop)
}

/// Makes the directory `fd` the working directory; it may be an O_PATH descriptor. fchdir(2).
///
/// # Errors
/// EACCES when the directory may not be searched; ENOTDIR.
pub fn enter_directory(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: fchdir takes an integer; the descriptor is borrowed.
    check(unsafe { libc::fchdir(fd.as_raw_fd()) }).map(drop)
}
