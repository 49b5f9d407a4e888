//! The few kernel calls that the standard library lacks.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Sends a signal; whether the process was there.
pub fn send_signal(pid: i32, signal: i32) -> bool {
    // SAFETY: kill takes two integers and touches no memory.
    pid > 1 && unsafe { libc::kill(pid, signal) } == 0
}

/// The child is killed when the thread that spawns it ends: nothing outlives a failed test.
pub fn die_with_parent(command: &mut Command) {
    // SAFETY: prctl with these arguments is async-signal-safe and touches no memory.
    unsafe {
        command.pre_exec(|| check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL)).map(drop));
    }
}

/// The child inherits `fd` as descriptor 3.
pub fn pass_as_third(command: &mut Command, fd: RawFd) {
    // SAFETY: fcntl and dup2 are async-signal-safe and take integers.
    unsafe {
        command.pre_exec(move || match fd {
            3 => check(libc::fcntl(3, libc::F_SETFD, 0)).map(drop),
            fd => check(libc::dup2(fd, 3)).map(drop),
        });
    }
}

/// Runs `work` in a thread that has entered the network namespace of process `pid`.
pub fn in_netns<T: Send + 'static>(pid: i32, work: impl FnOnce() -> T + Send + 'static) -> T {
    let namespace = File::open(format!("/proc/{pid}/ns/net")).unwrap();
    std::thread::spawn(move || {
        // SAFETY: setns takes two integers; the descriptor is open during the call.
        check(unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) }).unwrap();
        work()
    })
    .join()
    .unwrap()
}

/// A pseudo-terminal: our side, and the path of the program's side.
pub fn open_pty() -> (OwnedFd, String) {
    // SAFETY: these calls take integers; ptsname_r writes at most the length that it is given.
    unsafe {
        let fd =
            check(libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC)).unwrap();
        let master = OwnedFd::from_raw_fd(fd);
        check(libc::grantpt(fd)).unwrap();
        check(libc::unlockpt(fd)).unwrap();
        let mut name = [0; 64];
        assert_eq!(libc::ptsname_r(fd, name.as_mut_ptr(), name.len()), 0);
        let name = std::ffi::CStr::from_ptr(name.as_ptr()).to_str().unwrap().to_owned();
        (master, name)
    }
}

/// Sets the size of a terminal; the foreground process group is told by SIGWINCH.
pub fn set_size(terminal: RawFd, rows: u16, columns: u16) {
    let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCSWINSZ reads one winsize, which lives during the call.
    check(unsafe { libc::ioctl(terminal, libc::TIOCSWINSZ, &size) }).unwrap();
}

/// Whether a terminal is in raw mode: neither lines nor echo.
pub fn is_raw(terminal: RawFd) -> bool {
    // SAFETY: tcgetattr fills one termios, which is plain data.
    unsafe {
        let mut state: libc::termios = std::mem::zeroed();
        check(libc::tcgetattr(terminal, &mut state)).unwrap();
        state.c_lflag & (libc::ICANON | libc::ECHO) == 0
    }
}

/// The child leads a session whose controlling terminal is its standard input.
pub fn with_terminal(command: &mut Command) {
    // SAFETY: both calls are async-signal-safe and touch no memory.
    unsafe {
        command.pre_exec(|| {
            check(libc::setsid())?;
            check(libc::ioctl(0, libc::TIOCSCTTY, 0)).map(drop)
        });
    }
}

/// A connection that keeps packets apart.
pub struct Seqpacket(OwnedFd);

impl Seqpacket {
    /// Connects to the socket `name` in `dir`, whose path may be too long for an address.
    pub fn connect(dir: &Path, name: &str) -> Seqpacket {
        let dir = File::open(dir).unwrap();
        let path = format!("/proc/self/fd/{}/{name}", dir.as_raw_fd());
        // SAFETY: sockaddr_un is plain data; the address and its length belong together, and the
        // descriptor is owned as soon as it is there.
        unsafe {
            let mut address: libc::sockaddr_un = std::mem::zeroed();
            address.sun_family = libc::AF_UNIX as libc::sa_family_t;
            for (to, from) in address.sun_path.iter_mut().zip(path.bytes()) {
                *to = from as libc::c_char;
            }
            let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
            let socket = OwnedFd::from_raw_fd(check(libc::socket(libc::AF_UNIX, kind, 0)).unwrap());
            let length = size_of::<libc::sockaddr_un>() as libc::socklen_t;
            let pointer = std::ptr::from_ref(&address).cast();
            check(libc::connect(socket.as_raw_fd(), pointer, length)).unwrap();
            Seqpacket(socket)
        }
    }

    /// Sends one packet; the other side may hang up at any time.
    pub fn send(&self, packet: &[u8]) -> bool {
        // SAFETY: pointer and length are those of one slice, which send only reads.
        let sent = unsafe {
            libc::send(self.0.as_raw_fd(), packet.as_ptr().cast(), packet.len(), libc::MSG_NOSIGNAL)
        };
        sent >= 0
    }
}
