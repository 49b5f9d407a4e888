//! Sockets: packets that carry descriptors, peer credentials, bytes without waiting. unix(7).

// Casts here are of sizes of kernel structures and of constants, all far below 2^16.
#![allow(clippy::cast_possible_truncation)]

use std::ffi::c_void;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::check;

/// Who is at the other end of a unix socket, as it was when the connection was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    /// Process, in our pid namespace (0 when it is outside); for the connecting side, the one that
    /// called listen(2).
    pub pid: i32,
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
}

/// A packet that has arrived.
#[derive(Debug)]
pub struct Packet {
    /// Its bytes; never empty.
    pub bytes: Vec<u8>,
    /// The descriptors beside it.
    pub fds: Vec<OwnedFd>,
}

/// At most so many descriptors are taken from one packet; the kernel closes further ones.
const MAX_FDS: usize = 4;

/// Two connected SOCK_SEQPACKET sockets.
///
/// # Errors
/// EMFILE, ENFILE.
pub fn packet_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: socketpair writes two integers to the array given.
    check(unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) })?;
    // SAFETY: the kernel has just given us these descriptors; nobody else owns them.
    Ok(unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) })
}

/// Binds a SOCK_SEQPACKET socket to `path` and listens. A path longer than sun_path is reached
/// through its directory's descriptor.
///
/// # Errors
/// EADDRINUSE when something is at `path`; those of the path.
pub fn packet_listen(path: &Path) -> io::Result<OwnedFd> {
    let socket = packet_socket()?;
    with_address(path, |address, length| {
        // SAFETY: `address` is an initialised sockaddr_un of `length` bytes, alive for the call.
        check(unsafe { libc::bind(socket.as_raw_fd(), address, length) })?;
        // SAFETY: listen takes two integers and touches no memory of ours.
        check(unsafe { libc::listen(socket.as_raw_fd(), 128) }).map(drop)
    })?;
    Ok(socket)
}

/// Connects a SOCK_SEQPACKET socket to the one at `path`.
///
/// Waits while the listener's backlog is full, at most `patience`; so do sends on it. A receive
/// waits for ever.
///
/// # Errors
/// ENOENT, ECONNREFUSED when nobody listens; EAGAIN when patience is at an end.
pub fn packet_connect(path: &Path, patience: Duration) -> io::Result<OwnedFd> {
    let socket = packet_socket()?;
    set_timeout(socket.as_fd(), libc::SO_SNDTIMEO, patience)?;
    with_address(path, |address, length| {
        // SAFETY: `address` is an initialised sockaddr_un of `length` bytes, alive for the call.
        check(unsafe { libc::connect(socket.as_raw_fd(), address, length) }).map(drop)
    })?;
    Ok(socket)
}

fn packet_socket() -> io::Result<OwnedFd> {
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: socket takes three integers and touches no memory of ours.
    let fd = check(unsafe { libc::socket(libc::AF_UNIX, kind, 0) })?;
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn with_address<T>(
    path: &Path,
    call: impl FnOnce(*const libc::sockaddr, libc::socklen_t) -> io::Result<T>,
) -> io::Result<T> {
    // SAFETY: sockaddr_un is plain integers, for which zero is valid.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    let room = address.sun_path.len() - 1;
    // Held open until the call is made.
    let mut dir = None;
    let mut short = PathBuf::from(path);
    if path.as_os_str().len() > room {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let parent = std::fs::File::open(parent)?;
        short = PathBuf::from(format!("/proc/self/fd/{}", parent.as_raw_fd())).join(name);
        dir = Some(parent);
    }
    let bytes = short.as_os_str().as_bytes();
    if bytes.is_empty() || bytes.len() > room || bytes.contains(&0) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    for (place, byte) in address.sun_path.iter_mut().zip(bytes) {
        *place = *byte as libc::c_char;
    }
    let length = size_of::<libc::sockaddr_un>() as libc::socklen_t;
    let result = call((&raw const address).cast(), length);
    drop(dir);
    result
}

/// Takes a waiting connection. accept4(2).
///
/// # Errors
/// EAGAIN when none waits and the listener does not block; EMFILE.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let null = std::ptr::null_mut();
    // SAFETY: no address is asked for, so no memory of ours is touched.
    let fd = check(unsafe {
        libc::accept4(listener.as_raw_fd(), null, null.cast(), libc::SOCK_CLOEXEC)
    })?;
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Who is at the other end. SO_PEERCRED.
///
/// # Errors
/// Those of getsockopt(2).
pub fn peer_credentials(socket: BorrowedFd<'_>) -> io::Result<Credentials> {
    let nobody = libc::ucred { pid: 0, uid: u32::MAX, gid: u32::MAX };
    let peer = get_option(socket, libc::SOL_SOCKET, libc::SO_PEERCRED, nobody)?;
    Ok(Credentials { pid: peer.pid, uid: peer.uid, gid: peer.gid })
}

/// Whether `socket` is a tcp connection.
pub fn is_tcp(socket: BorrowedFd<'_>) -> bool {
    get_option(socket, libc::SOL_SOCKET, libc::SO_PROTOCOL, 0)
        .is_ok_and(|protocol: libc::c_int| protocol == libc::IPPROTO_TCP)
}

/// Whether a socket could be bound to this address and port now: a stream, else datagrams.
/// bind(2). What remains of closed connections is in nobody's way. The unspecified address of IPv6
/// is that family's alone.
///
/// # Errors
/// EADDRINUSE when another socket has it; EADDRNOTAVAIL when the host lacks the address.
pub fn try_bind(address: std::net::IpAddr, port: u16, stream: bool) -> io::Result<()> {
    let kind = if stream { libc::SOCK_STREAM } else { libc::SOCK_DGRAM };
    let family = if address.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
    // SAFETY: socket takes three integers and touches no memory of ours.
    let fd = check(unsafe { libc::socket(family, kind | libc::SOCK_CLOEXEC, 0) })?;
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let on: libc::c_int = 1;
    if stream {
        set_option(fd.as_fd(), libc::SOL_SOCKET, libc::SO_REUSEADDR, &on)?;
    }
    // SAFETY: sockaddr_in and sockaddr_in6 are plain integers, for which zero is valid.
    let mut name: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
    name.sin6_family = libc::AF_INET6 as libc::sa_family_t;
    name.sin6_port = port.to_be();
    // SAFETY: as above.
    let mut old: libc::sockaddr_in = unsafe { std::mem::zeroed() };
    old.sin_family = libc::AF_INET as libc::sa_family_t;
    old.sin_port = port.to_be();
    let (name, length): (*const libc::sockaddr, usize) = match address {
        std::net::IpAddr::V6(address) => {
            set_option(fd.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, &on)?;
            name.sin6_addr.s6_addr = address.octets();
            ((&raw const name).cast(), size_of::<libc::sockaddr_in6>())
        }
        std::net::IpAddr::V4(address) => {
            old.sin_addr.s_addr = u32::from(address).to_be();
            ((&raw const old).cast(), size_of::<libc::sockaddr_in>())
        }
    };
    // SAFETY: `name` is one of the two initialised addresses of `length` bytes, alive for the call.
    check(unsafe { libc::bind(fd.as_raw_fd(), name, length as libc::socklen_t) }).map(drop)
}

/// Whether the kernel knows IPv6: not when it was booted with `ipv6.disable=1`, or lacks it.
pub fn has_ipv6() -> bool {
    // SAFETY: socket takes three integers and touches no memory of ours.
    let fd = unsafe { libc::socket(libc::AF_INET6, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    check(fd).map(|fd| drop(unsafe { OwnedFd::from_raw_fd(fd) })).is_ok()
}

/// Bounds how long a connect, a send or a receive on this socket waits; EAGAIN then.
/// SO_RCVTIMEO, SO_SNDTIMEO. Zero is for ever.
///
/// # Errors
/// Those of setsockopt(2).
pub fn set_timeouts(socket: BorrowedFd<'_>, limit: Duration) -> io::Result<()> {
    set_timeout(socket, libc::SO_RCVTIMEO, limit)?;
    set_timeout(socket, libc::SO_SNDTIMEO, limit)
}

fn set_timeout(socket: BorrowedFd<'_>, option: i32, limit: Duration) -> io::Result<()> {
    // SAFETY: timeval is plain integers, for which zero is valid; its fields' types differ
    // between platforms, and it has no other constructor.
    let mut time: libc::timeval = unsafe { std::mem::zeroed() };
    time.tv_sec = limit.as_secs().try_into().unwrap_or(i32::MAX.into());
    time.tv_usec = limit.subsec_micros() as _;
    set_option(socket, libc::SOL_SOCKET, option, &time)
}

fn get_option<T: Copy>(
    socket: BorrowedFd<'_>,
    level: i32,
    name: i32,
    mut value: T,
) -> io::Result<T> {
    let mut length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes, the size of the initialised `value`; the
    // callers above ask for options of just this type, plain integers all.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw mut value).cast::<c_void>(),
            &raw mut length,
        )
    })?;
    Ok(value)
}

pub(super) fn set_option<T>(
    socket: BorrowedFd<'_>,
    level: i32,
    name: i32,
    value: &T,
) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    let value = std::ptr::from_ref(value).cast::<c_void>();
    // SAFETY: the kernel reads `length` bytes, the size of the initialised `value`.
    check(unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value, length) }).map(drop)
}

/// Ends one direction or both of a connection, for everybody who shares the socket. shutdown(2).
/// One that is gone already is fine.
pub fn shutdown(socket: BorrowedFd<'_>, how: std::net::Shutdown) {
    let how = match how {
        std::net::Shutdown::Read => libc::SHUT_RD,
        std::net::Shutdown::Write => libc::SHUT_WR,
        std::net::Shutdown::Both => libc::SHUT_RDWR,
    };
    // SAFETY: shutdown takes two integers and touches no memory of ours.
    unsafe { libc::shutdown(socket.as_raw_fd(), how) };
}

/// Sends what the socket takes of `parts` at once, without waiting and without SIGPIPE, whatever
/// its flags say (they may be shared). sendmsg(2).
///
/// # Errors
/// EAGAIN when it takes nothing now; EPIPE and its like when the peer is gone.
pub fn send_now(socket: BorrowedFd<'_>, parts: &[IoSlice<'_>]) -> io::Result<usize> {
    send(socket, parts, &[], libc::MSG_DONTWAIT)
}

/// Sends what fits of `parts` and tells how much; waits for room as the socket's flags and
/// timeouts say. No SIGPIPE. sendmsg(2).
///
/// # Errors
/// EAGAIN when a timeout passed; EPIPE and its like when the peer is gone.
pub fn send_parts(socket: BorrowedFd<'_>, parts: &[IoSlice<'_>]) -> io::Result<usize> {
    send(socket, parts, &[], 0)
}

/// Receives what is there, without waiting, whatever the socket's flags say. 0 is the end.
/// recv(2).
///
/// # Errors
/// EAGAIN when nothing is there; ECONNRESET and its like.
pub fn receive_now(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the kernel writes at most the length of `buffer` to it; it is borrowed for the call.
    let read = check(unsafe {
        libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), libc::MSG_DONTWAIT)
    })?;
    Ok(read.unsigned_abs())
}

/// Sends one packet with descriptors beside it. Waits for room as the socket's flags and
/// timeouts say; `now` never waits.
///
/// # Errors
/// EMSGSIZE when it is too long; EPIPE when the peer is gone; EAGAIN.
pub fn send_packet(
    socket: BorrowedFd<'_>,
    parts: &[IoSlice<'_>],
    fds: &[BorrowedFd<'_>],
    now: bool,
) -> io::Result<()> {
    send(socket, parts, fds, if now { libc::MSG_DONTWAIT } else { 0 }).map(drop)
}

/// Room for the control message of `MAX_FDS` descriptors, aligned as cmsghdr asks.
#[repr(C, align(8))]
struct Control([u8; 64]);

const _: () = {
    // SAFETY: CMSG_SPACE is arithmetic.
    let needed = unsafe { libc::CMSG_SPACE((MAX_FDS * size_of::<i32>()) as u32) };
    assert!(needed as usize <= size_of::<Control>());
};

fn send(
    socket: BorrowedFd<'_>,
    parts: &[IoSlice<'_>],
    fds: &[BorrowedFd<'_>],
    flags: i32,
) -> io::Result<usize> {
    if fds.len() > MAX_FDS {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut control = Control([0; 64]);
    // SAFETY: msghdr is pointers and integers, for which zero is valid; it has padding on some
    // platforms and thus no other constructor.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    // IoSlice has the layout of iovec; sendmsg only reads what they point at.
    message.msg_iov = parts.as_ptr().cast::<libc::iovec>().cast_mut();
    message.msg_iovlen = parts.len() as _;
    if !fds.is_empty() {
        let bytes = size_of_val(fds) as u32;
        message.msg_control = (&raw mut control).cast();
        // SAFETY: CMSG_SPACE is arithmetic.
        message.msg_controllen = unsafe { libc::CMSG_SPACE(bytes) } as _;
        // SAFETY: msg_control points at aligned room of msg_controllen bytes, checked above to be
        // enough, so the first header and its data lie inside. BorrowedFd has the layout of the
        // descriptor's number.
        unsafe {
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(bytes) as _;
            std::ptr::copy_nonoverlapping(
                fds.as_ptr().cast::<u8>(),
                libc::CMSG_DATA(header),
                bytes as usize,
            );
        }
    }
    loop {
        // SAFETY: `message` points at `parts` and `control`, which outlive the call.
        let sent = unsafe {
            libc::sendmsg(socket.as_raw_fd(), &raw const message, flags | libc::MSG_NOSIGNAL)
        };
        match check(sent) {
            Ok(sent) => return Ok(sent.unsigned_abs()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Receives one packet of at most `limit` bytes (the rest of a longer one is cut off) with its
/// descriptors; `None` at the end. Waits as the socket's flags and timeouts say; `now` never
/// waits. Allocates just what the packet needs.
///
/// A peer that has closed its end without having read all that we sent is told of once, by
/// ECONNRESET, and before what it had said itself: that is passed over, for the end tells as much.
///
/// # Errors
/// EAGAIN when nothing is there.
pub fn receive_packet(
    socket: BorrowedFd<'_>,
    limit: usize,
    now: bool,
) -> io::Result<Option<Packet>> {
    let flags = if now { libc::MSG_DONTWAIT } else { 0 };
    let length = again(|| {
        // SAFETY: no byte is asked for: with MSG_PEEK and MSG_TRUNC the length is told.
        check(unsafe {
            libc::recv(
                socket.as_raw_fd(),
                std::ptr::null_mut(),
                0,
                flags | libc::MSG_PEEK | libc::MSG_TRUNC,
            )
        })
    })?;
    let length = length.unsigned_abs();
    if length == 0 {
        return Ok(None);
    }
    let mut bytes = vec![0; length.min(limit)];
    let mut control = Control([0; 64]);
    let mut part = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    // SAFETY: as in `send`.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = size_of::<Control>() as _;
    let read = again(|| {
        // SAFETY: `message` points at `part`, whose room is `bytes`, and at `control`; all of
        // them outlive the call.
        check(unsafe {
            libc::recvmsg(socket.as_raw_fd(), &raw mut message, flags | libc::MSG_CMSG_CLOEXEC)
        })
    })?;
    bytes.truncate(read.unsigned_abs());
    let fds = take_fds(&message);
    Ok((!bytes.is_empty()).then_some(Packet { bytes, fds }))
}

/// Repeats a receive that was interrupted, or that told of a peer which had not read all.
fn again(mut receive: impl FnMut() -> io::Result<isize>) -> io::Result<isize> {
    loop {
        match receive() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
            done => return done,
        }
    }
}

fn take_fds(message: &libc::msghdr) -> Vec<OwnedFd> {
    let mut fds = Vec::new();
    // SAFETY: the kernel has filled msg_control with whole control messages and set
    // msg_controllen; the CMSG functions stay inside. Each number in a SCM_RIGHTS message is a
    // new descriptor that is ours alone; read_unaligned asks for no alignment.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(message);
        while !header.is_null() {
            if (*header).cmsg_level == libc::SOL_SOCKET && (*header).cmsg_type == libc::SCM_RIGHTS {
                let data = libc::CMSG_DATA(header).cast::<i32>();
                let bytes = (*header).cmsg_len as usize - libc::CMSG_LEN(0) as usize;
                for index in 0..bytes / size_of::<i32>() {
                    fds.push(OwnedFd::from_raw_fd(data.add(index).read_unaligned()));
                }
            }
            header = libc::CMSG_NXTHDR(message, header);
        }
    }
    fds
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn what_was_said_by_a_peer_that_has_not_read_all_is_received() {
        let (a, b) = packet_pair().unwrap();
        send_packet(a.as_fd(), &[IoSlice::new(b"never read")], &[], false).unwrap();
        for text in [b"one", b"two"] {
            send_packet(b.as_fd(), &[IoSlice::new(text)], &[], false).unwrap();
        }
        drop(b);
        for text in [b"one", b"two"] {
            assert_eq!(receive_packet(a.as_fd(), 100, true).unwrap().unwrap().bytes, text);
        }
        assert!(receive_packet(a.as_fd(), 100, true).unwrap().is_none());
    }

    #[test]
    fn a_packet_carries_descriptors() {
        let (a, b) = packet_pair().unwrap();
        let (mut near, far) = UnixStream::pair().unwrap();
        let parts = [IoSlice::new(b"hel"), IoSlice::new(b"lo")];
        send_packet(a.as_fd(), &parts, &[far.as_fd(), a.as_fd()], false).unwrap();
        drop(far);
        let packet = receive_packet(b.as_fd(), 100, false).unwrap().unwrap();
        assert_eq!(packet.bytes, b"hello");
        assert_eq!(packet.fds.len(), 2);
        let mut fds = packet.fds.into_iter();
        UnixStream::from(fds.next().unwrap()).write_all(b"x").unwrap();
        let mut got = [0];
        near.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"x");
        assert_eq!(peer_credentials(b.as_fd()).unwrap().pid as u32, std::process::id());
    }

    #[test]
    fn a_long_packet_is_cut_and_the_next_is_whole() {
        let (a, b) = packet_pair().unwrap();
        for _ in 0..2 {
            send_packet(a.as_fd(), &[IoSlice::new(&[7; 50])], &[], true).unwrap();
        }
        assert_eq!(receive_packet(b.as_fd(), 10, true).unwrap().unwrap().bytes, [7; 10]);
        assert_eq!(receive_packet(b.as_fd(), 99, true).unwrap().unwrap().bytes, [7; 50]);
        let empty = receive_packet(b.as_fd(), 99, true).unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::WouldBlock);
        drop(a);
        assert!(receive_packet(b.as_fd(), 99, false).unwrap().is_none());
    }

    #[test]
    fn long_paths_can_be_listened_at() {
        let dir = std::env::temp_dir().join(format!(
            "skiff-socket-{}-{}",
            std::process::id(),
            "x".repeat(120)
        ));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("monitor.sock");
        let patience = Duration::from_secs(5);
        assert!(packet_connect(&path, patience).is_err());
        let listener = packet_listen(&path).unwrap();
        let near = packet_connect(&path, patience).unwrap();
        let far = accept(listener.as_fd()).unwrap();
        send_packet(near.as_fd(), &[IoSlice::new(b"hi")], &[], false).unwrap();
        assert_eq!(receive_packet(far.as_fd(), 9, false).unwrap().unwrap().bytes, b"hi");
        std::fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_receive_outlasts_the_patience_of_the_connect() {
        let path = std::env::temp_dir().join(format!("skiff-patient-{}", std::process::id()));
        let listener = packet_listen(&path).unwrap();
        let near = packet_connect(&path, Duration::from_millis(20)).unwrap();
        let far = accept(listener.as_fd()).unwrap();
        let receiver =
            std::thread::spawn(move || receive_packet(near.as_fd(), 9, false).unwrap().unwrap());
        std::thread::sleep(Duration::from_millis(60));
        send_packet(far.as_fd(), &[IoSlice::new(b"late")], &[], false).unwrap();
        assert_eq!(receiver.join().unwrap().bytes, b"late");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn bytes_are_sent_and_received_without_waiting() {
        let (near, far) = UnixStream::pair().unwrap();
        let mut buffer = [0; 1 << 16];
        let nothing = receive_now(far.as_fd(), &mut buffer).unwrap_err();
        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        while send_now(near.as_fd(), &[IoSlice::new(&[1; 1 << 16])]).is_ok() {}
        assert!(receive_now(far.as_fd(), &mut buffer).unwrap() > 0);
        drop(far);
        let gone = send_now(near.as_fd(), &[IoSlice::new(b"x")]).unwrap_err();
        assert_eq!(gone.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn only_tcp_counts_as_tcp() {
        let (near, _far) = UnixStream::pair().unwrap();
        assert!(!is_tcp(near.as_fd()));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let tcp = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert!(is_tcp(tcp.as_fd()));
    }
}
