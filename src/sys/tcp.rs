//! Options of TCP sockets. tcp(7), socket(7).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use super::check;

/// Lets a dead peer be noticed and small writes go out at once: keep-alive probes after `idle`,
/// an end when what was sent is not acknowledged within `idle`, no Nagle.
///
/// On Linux sockets that a listener accepts inherit all of these from it.
///
/// # Errors
/// Those of setsockopt(2); ENOTSUPP or ENOPROTOOPT for a socket that is not TCP.
pub fn watch_peer(socket: BorrowedFd<'_>, idle: Duration) -> io::Result<()> {
    let seconds = i32::try_from(idle.as_secs()).unwrap_or(i32::MAX).max(3);
    set(socket, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1)?;
    set(socket, libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, seconds)?;
    set(socket, libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, seconds / 3)?;
    set(socket, libc::IPPROTO_TCP, libc::TCP_KEEPCNT, 3)?;
    set(socket, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, seconds.saturating_mul(1000))?;
    set(socket, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)
}

fn set(socket: BorrowedFd<'_>, level: i32, option: i32, value: i32) -> io::Result<()> {
    let size = libc::socklen_t::try_from(size_of::<i32>()).expect("four fits");
    // SAFETY: `value` is an integer of the size told and outlives the call; the socket is
    // borrowed, so it stays open.
    check(unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const value).cast(), size)
    })
    .map(drop)
}
