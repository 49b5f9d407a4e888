//! The first steps of a process, before all else.

use std::os::fd::RawFd;

/// Makes sure that the standard streams are open, so that no file becomes one of them by accident,
/// and that a closed pipe is an error of write(2) instead of the end.
pub fn begin() {
    for stream in 0..=2 {
        open_if_closed(stream);
    }
    // SAFETY: no handler is installed; ignoring this signal is what Rust's own start does.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

fn open_if_closed(stream: RawFd) {
    // SAFETY: fcntl and open take integers and a static string. open gives the lowest number that
    // is free: `stream`, since those below are open by now.
    unsafe {
        if libc::fcntl(stream, libc::F_GETFD) < 0
            && libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) < 0
        {
            libc::abort();
        }
    }
}
