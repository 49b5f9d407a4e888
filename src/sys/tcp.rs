//! Options of TCP sockets. tcp(7), socket(7).

use std::io;
use std::os::fd::BorrowedFd;
use std::time::Duration;

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

/// Lets a peer that has vanished be noticed in the end, and small writes go out at once. A peer that
/// takes nothing for long is fine. Accepted sockets inherit that.
///
/// # Errors
/// Those of setsockopt(2).
pub fn keep_alive(socket: BorrowedFd<'_>) -> io::Result<()> {
    set(socket, libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1)?;
    set(socket, libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, 60)?;
    set(socket, libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, 20)?;
    set(socket, libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)
}

fn set(socket: BorrowedFd<'_>, level: i32, option: i32, value: i32) -> io::Result<()> {
    super::socket::set_option(socket, level, option, &value)
}
