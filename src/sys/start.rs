//! The first steps of a process, before all else.
//!
//! With glibc the C library calls `main` itself, and what Rust's own start adds is done here, but for
//! the handler that names a thread whose stack is full: that reads /proc/self/maps at each start,
//! gives each thread a second stack, and brings the C library's reader of numbers along, 0.1 MB. A
//! full stack still ends the process, by SIGSEGV.

use std::os::fd::RawFd;

/// Defines the `main` that glibc calls: it plays `role`, which gives the exit code. For a binary
/// with `no_main`, and only one such.
#[macro_export]
macro_rules! main_for_glibc {
    ($role:path) => {
        #[allow(unsafe_code)] // No other `main` is linked: a second one would not.
        #[unsafe(no_mangle)]
        extern "C" fn main() -> ::std::ffi::c_int {
            $crate::sys::start::play($role)
        }
    };
}

/// Plays `role` and ends the process with its exit code. The C library has told Rust of the
/// arguments already.
pub fn play(role: fn() -> u8) -> ! {
    begin();
    // Ends as a thread of Rust's does; its words are out already.
    let code = std::panic::catch_unwind(role).unwrap_or(101);
    // Writes what standard output holds back.
    std::process::exit(code.into())
}

/// Makes sure that the standard streams are open, so that no file becomes one of them by accident,
/// and that a closed pipe is an error of write(2) instead of the end.
fn begin() {
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
