//! Files by descriptor: openat2 and its kin.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Resolve inside the directory as if it were the root: `..` and absolute symlinks stay within.
pub const RESOLVE_IN_ROOT: u64 = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;
/// Refuse to leave the directory (EXDEV) and refuse every symlink (ELOOP).
pub const RESOLVE_NO_SYMLINKS: u64 =
    libc::RESOLVE_BENEATH | libc::RESOLVE_NO_SYMLINKS | libc::RESOLVE_NO_MAGICLINKS;

/// `path` as the kernel takes it.
///
/// # Errors
/// EINVAL when it holds a NUL byte.
pub fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// Opens `path` below `dir` with `flags` (O_CLOEXEC is added) and `resolve`. openat2(2).
///
/// ENOSYS before Linux 5.6. EAGAIN when a rename raced with `..`; it is tried again a few times.
///
/// # Errors
/// Those of openat2(2).
pub fn openat2(
    dir: BorrowedFd<'_>,
    path: &Path,
    flags: i32,
    mode: u32,
    resolve: u64,
) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    // SAFETY: open_how is plain integers, for which zero is valid; it has no public constructor.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = u64::from((flags | libc::O_CLOEXEC).cast_unsigned());
    how.mode = u64::from(mode);
    how.resolve = resolve;
    for _ in 0..16 {
        // SAFETY: `path` is NUL-terminated and `how` is a valid open_how of the size given; both
        // outlive the call. `dir` is borrowed, so it stays open.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_openat2,
                dir.as_raw_fd(),
                path.as_ptr(),
                &raw const how,
                size_of::<libc::open_how>(),
            )
        };
        match super::check(fd) {
            Ok(fd) => {
                let fd = i32::try_from(fd).map_err(|_| io::ErrorKind::InvalidData)?;
                // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
                return Ok(unsafe { OwnedFd::from_raw_fd(fd) });
            }
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::from_raw_os_error(libc::EAGAIN))
}

/// Opens `path` as seen by a process whose root is `root`: symlinks are followed inside it.
///
/// # Errors
/// Those of openat2(2).
pub fn open_in_root(
    root: BorrowedFd<'_>,
    path: &Path,
    flags: i32,
    mode: u32,
) -> io::Result<OwnedFd> {
    openat2(root, path, flags, mode, RESOLVE_IN_ROOT)
}
