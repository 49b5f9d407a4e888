//! A connected stream socket of any family, and addresses of unix sockets.

use std::fs::File;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::sys;

/// A connected stream socket, unix or tcp. std's type is only the name under which recv, send,
/// shutdown and the time-outs are found; none of them asks for the family.
pub(super) struct Socket(TcpStream);

impl Socket {
    /// Takes over a connected socket.
    pub(super) fn new(fd: impl Into<OwnedFd>) -> Socket {
        Socket(TcpStream::from(fd.into()))
    }

    /// Sends all of `parts`. With `patient` a peer that reads nothing is waited for; otherwise
    /// the socket's time-out for sending ends it.
    pub(super) fn send(&self, parts: &mut [IoSlice<'_>], patient: bool) -> io::Result<()> {
        self.send_while(parts, &|| patient)
    }

    /// The same; when the time-out for sending has passed, `patient` is asked whether to go on.
    pub(super) fn send_while(
        &self,
        mut parts: &mut [IoSlice<'_>],
        patient: &dyn Fn() -> bool,
    ) -> io::Result<()> {
        // Empty parts at the front would look like a write of nothing.
        IoSlice::advance_slices(&mut parts, 0);
        while !parts.is_empty() {
            match sys::socket::send_parts(self.as_fd(), parts) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(sent) => IoSlice::advance_slices(&mut parts, sent),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if !patient() {
                        return Err(ErrorKind::TimedOut.into());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Bounds each read (`None`: for ever). A read that takes longer fails with `WouldBlock`.
    pub(super) fn set_read_timeout(&self, time: Option<Duration>) -> io::Result<()> {
        self.0.set_read_timeout(time)
    }

    /// Bounds each send, likewise.
    pub(super) fn set_write_timeout(&self, time: Option<Duration>) -> io::Result<()> {
        self.0.set_write_timeout(time)
    }

    /// Ends the connection in one direction or both, whoever else holds it.
    pub(super) fn shutdown(&self, how: Shutdown) {
        // ENOTCONN: the peer was faster.
        drop(self.0.shutdown(how));
    }

    /// Whether the peer is still there and has sent nothing that nobody asked for.
    pub(super) fn is_quiet(&self) -> bool {
        if self.0.set_nonblocking(true).is_err() {
            return false;
        }
        let seen = self.0.peek(&mut [0]);
        let quiet = matches!(seen, Err(error) if error.kind() == ErrorKind::WouldBlock);
        quiet && self.0.set_nonblocking(false).is_ok()
    }

    /// Another descriptor of the same socket.
    pub(super) fn duplicate(&self) -> io::Result<OwnedFd> {
        self.0.as_fd().try_clone_to_owned()
    }
}

impl Read for &Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&self.0).read(buffer)
    }
}

impl Write for &Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl From<Socket> for OwnedFd {
    fn from(socket: Socket) -> OwnedFd {
        socket.0.into()
    }
}

/// A path by which a unix socket can be bound or connected however long `path` is (an address
/// takes about a hundred bytes): a long one goes through the open directory, which must be kept
/// until then.
pub(super) fn short_path(path: &Path) -> io::Result<(PathBuf, Option<File>)> {
    const LONGEST: usize = 107;
    if path.as_os_str().len() <= LONGEST {
        return Ok((path.to_path_buf(), None));
    }
    let name = path.file_name().ok_or(ErrorKind::InvalidInput)?;
    let directory = File::open(path.parent().ok_or(ErrorKind::InvalidInput)?)?;
    let mut short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
    short.push(name);
    Ok((short, Some(directory)))
}
