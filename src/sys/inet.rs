//! Sockets with internet addresses that never wait. ip(7), ipv6(7), tcp(7), udp(7).

// Casts here are of sizes of kernel structures and of constants, all far below 2^16.
#![allow(clippy::cast_possible_truncation)]

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::check;
use super::socket::set_option;

/// Connections that may wait to be taken.
const BACKLOG: i32 = 1024;

/// An address as the kernel takes it.
struct Name {
    storage: libc::sockaddr_storage,
    length: libc::socklen_t,
}

impl Name {
    fn empty() -> Name {
        // SAFETY: sockaddr_storage is plain integers, for which zero is valid.
        let storage: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
        Name { storage, length: size_of::<libc::sockaddr_storage>() as libc::socklen_t }
    }

    fn of(address: &SocketAddr) -> Name {
        let mut name = Name::empty();
        match address {
            SocketAddr::V4(v4) => {
                // SAFETY: sockaddr_in is plain integers, for which zero is valid.
                let mut own: libc::sockaddr_in = unsafe { std::mem::zeroed() };
                own.sin_family = libc::AF_INET as libc::sa_family_t;
                own.sin_port = v4.port().to_be();
                own.sin_addr.s_addr = u32::from_ne_bytes(v4.ip().octets());
                name.length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
                // SAFETY: sockaddr_storage is larger than any address and aligned for each.
                unsafe { (&raw mut name.storage).cast::<libc::sockaddr_in>().write(own) };
            }
            SocketAddr::V6(v6) => {
                // SAFETY: sockaddr_in6 is plain integers, for which zero is valid.
                let mut own: libc::sockaddr_in6 = unsafe { std::mem::zeroed() };
                own.sin6_family = libc::AF_INET6 as libc::sa_family_t;
                own.sin6_port = v6.port().to_be();
                own.sin6_addr.s6_addr = v6.ip().octets();
                own.sin6_scope_id = v6.scope_id();
                name.length = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
                // SAFETY: as above.
                unsafe { (&raw mut name.storage).cast::<libc::sockaddr_in6>().write(own) };
            }
        }
        name
    }

    fn address(&self) -> Option<SocketAddr> {
        match i32::from(self.storage.ss_family) {
            libc::AF_INET => {
                // SAFETY: the family says that this is what the kernel has written there.
                let own = unsafe { (&raw const self.storage).cast::<libc::sockaddr_in>().read() };
                let ip = Ipv4Addr::from(own.sin_addr.s_addr.to_ne_bytes());
                Some(SocketAddrV4::new(ip, u16::from_be(own.sin_port)).into())
            }
            libc::AF_INET6 => {
                // SAFETY: as above.
                let own = unsafe { (&raw const self.storage).cast::<libc::sockaddr_in6>().read() };
                let ip = Ipv6Addr::from(own.sin6_addr.s6_addr);
                let port = u16::from_be(own.sin6_port);
                Some(SocketAddrV6::new(ip, port, 0, own.sin6_scope_id).into())
            }
            _ => None,
        }
    }

    fn pointer(&self) -> *const libc::sockaddr {
        (&raw const self.storage).cast()
    }
}

fn socket(address: &SocketAddr, kind: i32) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    let kind = kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: socket takes three integers and touches no memory of ours.
    let fd = check(unsafe { libc::socket(family, kind, 0) })?;
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn set(socket: BorrowedFd<'_>, level: i32, option: i32) -> io::Result<()> {
    set_option(socket, level, option, &1_i32)
}

/// Binds a socket. An address that the host does not have yet is fine: what comes for it arrives
/// once it has. Of the wildcards each takes its own family alone.
fn bind(socket: BorrowedFd<'_>, address: &SocketAddr) -> io::Result<()> {
    if address.is_ipv6() {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_V6ONLY)?;
    }
    if !address.ip().is_unspecified() {
        set(socket, libc::IPPROTO_IP, libc::IP_FREEBIND)?;
    }
    let name = Name::of(address);
    // SAFETY: `name` is an initialised address of that length, alive for the call.
    check(unsafe { libc::bind(socket.as_raw_fd(), name.pointer(), name.length) }).map(drop)
}

/// A socket that listens for connections there.
///
/// # Errors
/// EADDRINUSE when another socket does.
pub fn listen(address: &SocketAddr) -> io::Result<OwnedFd> {
    let socket = socket(address, libc::SOCK_STREAM)?;
    // What remains of closed connections is in nobody's way.
    set(socket.as_fd(), libc::SOL_SOCKET, libc::SO_REUSEADDR)?;
    bind(socket.as_fd(), address)?;
    // SAFETY: listen takes two integers and touches no memory of ours.
    check(unsafe { libc::listen(socket.as_raw_fd(), BACKLOG) })?;
    Ok(socket)
}

/// Takes a waiting connection.
///
/// # Errors
/// EAGAIN when none waits; EMFILE; those of a connection that broke while it waited.
pub fn accept(listener: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    let null = std::ptr::null_mut();
    // SAFETY: no address is asked for, so no memory of ours is touched.
    let fd = check(unsafe { libc::accept4(listener.as_raw_fd(), null, null.cast(), flags) })?;
    // SAFETY: the kernel has just given us this descriptor; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Begins to connect to `address`. The socket becomes writable when that is decided, and
/// [`error`] tells how.
///
/// # Errors
/// What is decided at once: ENETUNREACH and its like, EMFILE.
pub fn begin_connect(address: &SocketAddr) -> io::Result<OwnedFd> {
    let socket = socket(address, libc::SOCK_STREAM)?;
    match connect(socket.as_fd(), address) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => Err(error),
        _ => Ok(socket),
    }
}

fn connect(socket: BorrowedFd<'_>, address: &SocketAddr) -> io::Result<()> {
    let name = Name::of(address);
    // SAFETY: `name` is an initialised address of that length, alive for the call.
    check(unsafe { libc::connect(socket.as_raw_fd(), name.pointer(), name.length) }).map(drop)
}

/// What a socket has come to, once: the error that it holds, if it holds one. SO_ERROR.
///
/// # Errors
/// That error.
pub fn error(socket: BorrowedFd<'_>) -> io::Result<()> {
    let mut code: libc::c_int = 0;
    let mut length = size_of::<libc::c_int>() as libc::socklen_t;
    let (level, option) = (libc::SOL_SOCKET, libc::SO_ERROR);
    let value = (&raw mut code).cast();
    // SAFETY: the kernel writes at most `length` bytes, the size of `code`.
    check(unsafe { libc::getsockopt(socket.as_raw_fd(), level, option, value, &raw mut length) })?;
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}

/// Lets the close of a connection be a reset, so that its peer does not take what it has got for
/// all there was. SO_LINGER.
pub fn reset_at_close(socket: BorrowedFd<'_>) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    // A socket that is gone resets nothing.
    drop(set_option(socket, libc::SOL_SOCKET, libc::SO_LINGER, &linger));
}

/// A socket that receives datagrams there.
///
/// # Errors
/// EADDRINUSE when another socket does.
pub fn receive_at(address: &SocketAddr) -> io::Result<OwnedFd> {
    let socket = socket(address, libc::SOCK_DGRAM)?;
    if address.is_ipv4() {
        set(socket.as_fd(), libc::IPPROTO_IP, libc::IP_PKTINFO)?;
    } else {
        set(socket.as_fd(), libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)?;
    }
    bind(socket.as_fd(), address)?;
    Ok(socket)
}

/// A socket for datagrams to and from `address` alone.
///
/// # Errors
/// ENETUNREACH and its like, EMFILE.
pub fn datagrams_with(address: &SocketAddr) -> io::Result<OwnedFd> {
    let socket = socket(address, libc::SOCK_DGRAM)?;
    connect(socket.as_fd(), address)?;
    Ok(socket)
}

/// A datagram that has arrived, beside its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrived {
    /// How long it is.
    pub length: usize,
    /// Who has sent it.
    pub from: SocketAddr,
    /// The address of this host that it was sent to.
    pub to: Option<IpAddr>,
}

/// Room for the control message with an address of this host, aligned as cmsghdr asks.
#[repr(C, align(8))]
struct Control([u8; 64]);

const _: () = {
    // SAFETY: CMSG_SPACE is arithmetic.
    let needed = unsafe { libc::CMSG_SPACE(size_of::<libc::in6_pktinfo>() as u32) };
    assert!(needed as usize <= size_of::<Control>());
};

/// Receives a datagram into `buffer` from a socket of [`receive_at`]; the rest of a longer one is
/// cut off. recvmsg(2).
///
/// # Errors
/// EAGAIN when none is there; what earlier ones have met, ECONNREFUSED and its like.
pub fn receive_from(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Arrived> {
    let mut name = Name::empty();
    let mut control = Control([0; 64]);
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: msghdr is pointers and integers, for which zero is valid; it has padding on some
    // platforms and thus no other constructor.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = (&raw mut name.storage).cast();
    message.msg_namelen = name.length;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = (&raw mut control).cast();
    message.msg_controllen = size_of::<Control>() as _;
    // SAFETY: `message` points at `name`, at `part`, whose room is `buffer`, and at `control`; all
    // of them outlive the call.
    let read =
        check(unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_DONTWAIT) })?;
    let from = name.address().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
    Ok(Arrived { length: read.unsigned_abs(), from, to: local_address(&message) })
}

fn local_address(message: &libc::msghdr) -> Option<IpAddr> {
    // SAFETY: the kernel has filled msg_control with whole control messages and set
    // msg_controllen; the CMSG functions stay inside. The type of a message tells what its data
    // is; read_unaligned asks for no alignment.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(message);
        while !header.is_null() {
            let data = libc::CMSG_DATA(header);
            match ((*header).cmsg_level, (*header).cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info = data.cast::<libc::in_pktinfo>().read_unaligned();
                    return Some(Ipv4Addr::from(info.ipi_spec_dst.s_addr.to_ne_bytes()).into());
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                    return Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
                }
                _ => header = libc::CMSG_NXTHDR(message, header),
            }
        }
    }
    None
}

/// Sends a datagram to `to`, as coming from `from` where that is told, an address of this host.
/// sendmsg(2).
///
/// # Errors
/// EAGAIN when there is no room; EINVAL when the host has lost that address; EPERM where a packet
/// rule drops it.
pub fn send_to(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    to: &SocketAddr,
    from: Option<IpAddr>,
) -> io::Result<()> {
    let mut name = Name::of(to);
    let mut control = Control([0; 64]);
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    // SAFETY: as in `receive_from`.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = (&raw mut name.storage).cast();
    message.msg_namelen = name.length;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    match from {
        None => {}
        Some(IpAddr::V4(address)) => {
            // SAFETY: in_pktinfo is plain integers, for which zero is valid.
            let mut info: libc::in_pktinfo = unsafe { std::mem::zeroed() };
            info.ipi_spec_dst.s_addr = u32::from_ne_bytes(address.octets());
            put(&mut message, &mut control, (libc::IPPROTO_IP, libc::IP_PKTINFO), info);
        }
        Some(IpAddr::V6(address)) => {
            // SAFETY: in6_pktinfo is plain integers, for which zero is valid.
            let mut info: libc::in6_pktinfo = unsafe { std::mem::zeroed() };
            info.ipi6_addr.s6_addr = address.octets();
            put(&mut message, &mut control, (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO), info);
        }
    }
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: `message` points at `name`, `part` and `control`, which outlive the call; sendmsg
    // only reads them.
    check(unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, flags) }).map(drop)
}

/// Puts a control message of plain integers beside `message`.
fn put<T: Copy>(
    message: &mut libc::msghdr,
    control: &mut Control,
    (level, kind): (i32, i32),
    value: T,
) {
    let bytes = size_of::<T>() as u32;
    message.msg_control = std::ptr::from_mut(control).cast();
    // SAFETY: CMSG_SPACE is arithmetic.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(bytes) } as _;
    // SAFETY: msg_control points at aligned room of msg_controllen bytes, checked above to be
    // enough for the largest of these values, so the first header and its data lie inside.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(std::ptr::from_ref(message));
        (*header).cmsg_level = level;
        (*header).cmsg_type = kind;
        (*header).cmsg_len = libc::CMSG_LEN(bytes) as _;
        libc::CMSG_DATA(header).cast::<T>().write_unaligned(value);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::sys::poll::{self, Interest};

    fn ready(socket: &OwnedFd, interest: Interest) {
        let deadline = Some(Instant::now() + Duration::from_secs(10));
        assert!(poll::wait(&[(socket.as_fd(), interest)], deadline).unwrap()[0].any());
    }

    #[test]
    fn connections_are_made_and_refused_without_waiting() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        let client = begin_connect(&address).unwrap();
        ready(&client, Interest::WRITE);
        error(client.as_fd()).unwrap();
        let (mut far, _) = server.accept().unwrap();
        TcpStream::from(client).write_all(b"hi").unwrap();
        let mut got = [0; 2];
        far.read_exact(&mut got).unwrap();
        drop(server);
        let client = begin_connect(&address).unwrap();
        ready(&client, Interest::WRITE);
        assert_eq!(error(client.as_fd()).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[test]
    fn a_port_is_listened_at_once_and_by_an_address_to_come() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = server.local_addr().unwrap();
        assert_eq!(listen(&address).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(server);
        let listener = listen(&address).unwrap();
        let nobody = accept(listener.as_fd()).unwrap_err();
        assert_eq!(nobody.kind(), io::ErrorKind::WouldBlock);
        let client = TcpStream::connect(address).unwrap();
        ready(&listener, Interest::READ);
        let far = accept(listener.as_fd()).unwrap();
        reset_at_close(far.as_fd());
        drop(far);
        let reset = (&client).read(&mut [0]).unwrap_err();
        assert_eq!(reset.kind(), io::ErrorKind::ConnectionReset);
        listen(&"192.0.2.77:0".parse().unwrap()).unwrap();
        receive_at(&"192.0.2.77:0".parse().unwrap()).unwrap();
    }

    #[test]
    fn a_datagram_is_answered_from_the_address_that_it_was_sent_to() {
        for (wildcard, own) in [("0.0.0.0", "127.0.0.5"), ("[::]", "[::1]")] {
            let Ok(server) = receive_at(&format!("{wildcard}:0").parse().unwrap()) else {
                eprintln!("skipped: no sockets of {wildcard} here");
                continue;
            };
            let port = UdpSocket::from(server.try_clone().unwrap()).local_addr().unwrap().port();
            let nothing = receive_from(server.as_fd(), &mut [0; 9]).unwrap_err();
            assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
            let to: SocketAddr = format!("{own}:{port}").parse().unwrap();
            let client = UdpSocket::bind(format!("{wildcard}:0")).unwrap();
            if client.connect(to).is_err() {
                eprintln!("skipped: no way to {to} here");
                continue;
            }
            client.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            client.send(b"hello").unwrap();
            ready(&server, Interest::READ);
            let mut buffer = [0; 3];
            let arrived = receive_from(server.as_fd(), &mut buffer).unwrap();
            assert_eq!((&buffer, arrived.length), (b"hel", 3));
            assert_eq!(arrived.from, client.local_addr().unwrap());
            assert_eq!(arrived.to, Some(to.ip()));
            send_to(server.as_fd(), b"yes", &arrived.from, arrived.to).unwrap();
            assert_eq!(client.recv(&mut buffer).unwrap(), 3);
            let near = datagrams_with(&to).unwrap();
            send_to(server.as_fd(), b"no", &arrived.from, None).unwrap();
            drop(near);
        }
    }
}
