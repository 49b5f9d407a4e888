//! TCP sockets: their options, and connections without waiting. tcp(7), socket(7).

// Casts here are of constants and of sizes of kernel structures.
#![allow(clippy::cast_possible_truncation)]

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
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

/// Begins to connect, without waiting; the stream never waits. Once it takes bytes,
/// [`TcpStream::take_error`] tells whether it has come to be. connect(2).
///
/// # Errors
/// Those of socket(2) and connect(2), but for EINPROGRESS.
pub fn begin_connect(to: SocketAddr) -> io::Result<TcpStream> {
    let family = if to.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: socket takes three integers and touches no memory of ours.
    let fd = check(unsafe { libc::socket(family, kind, 0) })?;
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: this kind of address is plain integers, for which zero is valid.
    let mut v4: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    let mut v6: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
    let (name, length): (*const libc::sockaddr, usize) = match to {
        SocketAddr::V4(to) => {
            v4.sin_family = family as _;
            v4.sin_port = to.port().to_be();
            v4.sin_addr.s_addr = u32::from(*to.ip()).to_be();
            ((&raw const v4).cast(), size_of_val(&v4))
        }
        SocketAddr::V6(to) => {
            v6.sin6_family = family as _;
            v6.sin6_port = to.port().to_be();
            v6.sin6_addr.s6_addr = to.ip().octets();
            v6.sin6_scope_id = to.scope_id();
            ((&raw const v6).cast(), size_of_val(&v6))
        }
    };
    // SAFETY: `name` is one of the initialised addresses above, of `length` bytes, alive for the
    // call.
    match check(unsafe { libc::connect(fd.as_raw_fd(), name, length as _) }) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(fd.into()),
    }
}

fn set(socket: BorrowedFd<'_>, level: i32, option: i32, value: i32) -> io::Result<()> {
    super::socket::set_option(socket, level, option, &value)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::os::fd::AsFd;
    use std::time::Instant;

    use super::*;
    use crate::sys::poll::{self, Interest};

    #[test]
    fn a_connection_comes_to_be_or_tells_why_not() {
        for at in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(at) else { continue };
            let to = listener.local_addr().unwrap();
            let begin = || {
                let stream = begin_connect(to)?;
                let deadline = Some(Instant::now() + Duration::from_secs(10));
                poll::wait(&[(stream.as_fd(), Interest::WRITE)], deadline)?;
                stream.take_error()?.map_or(Ok(stream), Err)
            };
            let mut stream = begin().unwrap();
            stream.write_all(b"x").unwrap();
            let mut got = [0];
            listener.accept().unwrap().0.read_exact(&mut got).unwrap();
            assert_eq!(&got, b"x");
            drop(listener);
            assert_eq!(begin().unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        }
    }
}
