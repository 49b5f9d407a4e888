//! Locks on files between processes. flock(2).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::check;

/// Takes the exclusive lock of `file`; false when another process holds it. It is held until
/// every duplicate of the descriptor is closed. flock(2).
///
/// # Errors
/// ENOLCK, and EOPNOTSUPP of odd file systems.
pub fn try_exclusive(file: BorrowedFd<'_>) -> io::Result<bool> {
    // SAFETY: flock takes two integers and touches no memory of ours.
    match check(unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }) {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::EWOULDBLOCK) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::os::fd::AsFd;

    #[test]
    fn a_second_open_of_the_file_does_not_get_the_lock() {
        let path = std::env::temp_dir().join(format!("skiff-lock-{}", std::process::id()));
        let first = File::create(&path).unwrap();
        assert!(try_exclusive(first.as_fd()).unwrap());
        let second = File::open(&path).unwrap();
        assert!(!try_exclusive(second.as_fd()).unwrap());
        drop(first);
        assert!(try_exclusive(second.as_fd()).unwrap());
        std::fs::remove_file(&path).unwrap();
    }
}
