//! Extended attributes. xattr(7).

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Sets attribute `key` of an open file. fsetxattr(2).
///
/// # Errors
/// Those of fsetxattr(2); EBADF for a descriptor opened with O_PATH.
pub fn set(file: BorrowedFd<'_>, key: &CStr, value: &[u8]) -> io::Result<()> {
    // SAFETY: `key` is NUL-terminated, `value` has the length given; both outlive the call.
    super::check(unsafe {
        libc::fsetxattr(file.as_raw_fd(), key.as_ptr(), value.as_ptr().cast(), value.len(), 0)
    })
    .map(drop)
}

/// Sets attribute `key` of `name` in `dir`; a symlink's own. Needs /proc. lsetxattr(2).
///
/// # Errors
/// Those of lsetxattr(2).
pub fn set_at(dir: BorrowedFd<'_>, name: &Path, key: &CStr, value: &[u8]) -> io::Result<()> {
    let path = proc_path(dir, name)?;
    // SAFETY: both strings are NUL-terminated, `value` has the length given; all outlive the call.
    super::check(unsafe {
        libc::lsetxattr(path.as_ptr(), key.as_ptr(), value.as_ptr().cast(), value.len(), 0)
    })
    .map(drop)
}

/// All attributes of `name` in `dir` with their values; a symlink's own. Empty where the file
/// system has none. Needs /proc. llistxattr(2), lgetxattr(2).
///
/// # Errors
/// Those of the two calls.
pub fn list_at(dir: BorrowedFd<'_>, name: &Path) -> io::Result<Vec<(CString, Vec<u8>)>> {
    let path = proc_path(dir, name)?;
    let names = sized(|buffer| {
        // SAFETY: `path` is NUL-terminated; at most `buffer.len()` bytes are written to it.
        unsafe { libc::llistxattr(path.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) }
    });
    let names = match names {
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => return Ok(Vec::new()),
        names => names?,
    };
    let mut attributes = Vec::new();
    for key in names.split(|b| *b == 0).filter(|key| !key.is_empty()) {
        let key = CString::new(key).map_err(|_| io::ErrorKind::InvalidData)?;
        let value = sized(|buffer| {
            // SAFETY: both strings are NUL-terminated; at most `buffer.len()` bytes are written.
            unsafe {
                libc::lgetxattr(
                    path.as_ptr(),
                    key.as_ptr(),
                    buffer.as_mut_ptr().cast(),
                    buffer.len(),
                )
            }
        })?;
        attributes.push((key, value));
    }
    Ok(attributes)
}

/// Calls `read` with a buffer, a larger one as long as it is too small. The kernel's limit for a
/// list and for a value is 64 KiB each.
fn sized(read: impl Fn(&mut [u8]) -> isize) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0u8; 256];
    loop {
        match super::check(read(&mut buffer)) {
            Ok(length) => {
                buffer.truncate(length.unsigned_abs());
                return Ok(buffer);
            }
            Err(error) if error.raw_os_error() == Some(libc::ERANGE) && buffer.len() < 1 << 16 => {
                buffer.resize(1 << 16, 0);
            }
            Err(error) => return Err(error),
        }
    }
}

/// A path to `name` in `dir` for the calls that take no directory descriptor; `dir` itself when
/// `name` is empty.
fn proc_path(dir: BorrowedFd<'_>, name: &Path) -> io::Result<CString> {
    let mut path = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
    path.extend_from_slice(match name.as_os_str().as_bytes() {
        b"" => b".",
        name => name,
    });
    CString::new(path).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}
