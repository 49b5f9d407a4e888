//! Pipes, and descriptors that do not block. pipe(2), fcntl(2).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::check;

/// A pipe: the end to read, the end to write.
///
/// # Errors
/// EMFILE, ENFILE.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: pipe2 writes two integers to the array given.
    check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
    // SAFETY: the kernel has just given us these descriptors; nobody else owns them.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// Lets a pipe hold `bytes` if the kernel grants it; a smaller pipe does as well. F_SETPIPE_SZ.
pub fn grow(end: BorrowedFd<'_>, bytes: i32) {
    // SAFETY: fcntl takes three integers here and touches no memory of ours.
    unsafe { libc::fcntl(end.as_raw_fd(), libc::F_SETPIPE_SZ, bytes) };
}

/// Moves bytes between a pipe and a stream without copying them here, at most `most`, and never
/// waits: 0 is the end. Sockets must not block. splice(2).
///
/// # Errors
/// EAGAIN when there is nothing to move or no room for it; those of the stream. No SIGPIPE is
/// sent where that is ignored.
pub fn splice(from: BorrowedFd<'_>, to: BorrowedFd<'_>, most: usize) -> io::Result<usize> {
    let (from, to) = (from.as_raw_fd(), to.as_raw_fd());
    let null = std::ptr::null_mut();
    let flags = libc::SPLICE_F_NONBLOCK | libc::SPLICE_F_MOVE;
    loop {
        // SAFETY: no offsets are given, so no memory of ours is touched.
        match check(unsafe { libc::splice(from, null, to, null, most, flags) }) {
            Ok(moved) => return Ok(moved.unsigned_abs()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Makes reads and writes on `fd` fail with EAGAIN instead of waiting, for everybody who shares
/// this open file. O_NONBLOCK.
///
/// # Errors
/// Those of fcntl(2).
pub fn set_nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: fcntl takes integers here and touches no memory of ours; `fd` is open.
    let flags = check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETFL) })?;
    // SAFETY: as above.
    check(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK) }).map(drop)
}

/// A copy, close-on-exec, of a descriptor that this process was started with. F_DUPFD_CLOEXEC.
///
/// # Errors
/// EBADF when it was not given one.
pub fn inherited(number: i32) -> io::Result<OwnedFd> {
    // SAFETY: fcntl takes three integers here and touches no memory of ours; a number that is
    // not open is refused.
    let fd = check(unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) })?;
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
