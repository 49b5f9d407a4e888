//! Unix sockets that carry descriptors; peer credentials. unix(7).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::check;

/// Who connected a unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    /// Process, in our pid namespace; 0 when it is outside.
    pub pid: i32,
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
}

/// Credentials of the peer at the time it connected. SO_PEERCRED of unix(7).
///
/// # Errors
/// Those of getsockopt(2).
pub fn peer_credentials(socket: BorrowedFd<'_>) -> io::Result<Credentials> {
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut size = libc::socklen_t::try_from(size_of::<libc::ucred>()).expect("twelve fits");
    // SAFETY: `peer` is a ucred of the size told, and both it and `size` outlive the call; the
    // socket is borrowed, so it stays open.
    check(unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut peer).cast(),
            &raw mut size,
        )
    })?;
    Ok(Credentials { pid: peer.pid, uid: peer.uid, gid: peer.gid })
}
