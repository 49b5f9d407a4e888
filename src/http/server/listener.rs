//! Bound sockets: made here, or inherited.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use super::super::socket::{Socket, short_path};
use super::{Peer, unix_peer};
use crate::base::{Context, Error, Kind, Result};
use crate::dns::lookup;
use crate::sys;

/// A tcp peer that acknowledges nothing for so long is gone.
const PEER_TIMEOUT: Duration = Duration::from_secs(30);
/// Mode of a unix socket: owner and group.
const SOCKET_MODE: u32 = 0o660;

/// A bound socket.
#[derive(Debug)]
pub enum Listener {
    /// Unix.
    Unix(UnixListener),
    /// Tcp.
    Tcp(TcpListener),
}

impl Listener {
    /// Binds a unix socket: a stale file is unlinked first, mode 0660, group as given.
    ///
    /// # Errors
    /// When it cannot be bound; `Conflict` when somebody answers there.
    pub fn unix(path: &Path, group: Option<u32>) -> Result<Listener> {
        let (short, _directory) =
            short_path(path).context(|| format!("listen on {}", path.display()))?;
        unlink_stale(path, &short)?;
        let bound = UnixListener::bind(&short)
            .and_then(|listener| {
                std::os::unix::fs::chown(&short, Some(0), group).or_else(not_root)?;
                // Last: with the group in place nobody gets in who may not.
                fs::set_permissions(&short, fs::Permissions::from_mode(SOCKET_MODE))?;
                Ok(listener)
            })
            .context(|| format!("listen on {}", path.display()))?;
        Ok(Listener::Unix(bound))
    }

    /// Binds `HOST:PORT`; the unspecified address is that of both families.
    ///
    /// # Errors
    /// When it cannot be bound.
    pub fn tcp(address: &str) -> Result<Listener> {
        let addresses: Vec<SocketAddr> = lookup::resolve(address, PEER_TIMEOUT)
            .context(|| format!("listen on {address}"))?
            .into_iter()
            .flat_map(|address| {
                let any = address.ip() == Ipv4Addr::UNSPECIFIED;
                let both = any.then(|| SocketAddr::from((Ipv6Addr::UNSPECIFIED, address.port())));
                both.into_iter().chain([address])
            })
            .collect();
        let bound = TcpListener::bind(&addresses[..]).and_then(|listener| {
            sys::tcp::watch_peer(listener.as_fd(), PEER_TIMEOUT)?;
            Ok(listener)
        });
        bound.map(Listener::Tcp).context(|| format!("listen on {address}"))
    }

    /// The sockets that the service manager opened for this process (`LISTEN_FDS`), once.
    ///
    /// # Errors
    /// When one of them is no listening socket that can be served.
    pub fn inherited() -> Result<Vec<Listener>> {
        let number = |name| std::env::var(name).ok().and_then(|value| value.parse::<u32>().ok());
        if number("LISTEN_PID") != Some(std::process::id()) {
            return Ok(Vec::new());
        }
        let count = number("LISTEN_FDS").and_then(|count| u16::try_from(count).ok()).unwrap_or(0);
        let all = sys::host::take_inherited(count).context(|| "take LISTEN_FDS".into())?;
        all.into_iter().map(Listener::adopt).collect()
    }

    /// Takes over a listening socket.
    fn adopt(socket: OwnedFd) -> Result<Listener> {
        let unix = UnixListener::from(socket);
        let listener = if unix.local_addr().is_ok() {
            unix.set_nonblocking(false).map(|()| Listener::Unix(unix))
        } else {
            let tcp = TcpListener::from(OwnedFd::from(unix));
            let watched = tcp.local_addr().map(drop);
            watched
                .and_then(|()| sys::tcp::watch_peer(tcp.as_fd(), PEER_TIMEOUT))
                .and_then(|()| tcp.set_nonblocking(false))
                .map(|()| Listener::Tcp(tcp))
        };
        listener.context(|| "an inherited socket is neither unix nor tcp".into())
    }

    /// Waits for the next connection.
    pub(super) fn accept(&self) -> io::Result<(Socket, Peer)> {
        match self {
            Listener::Unix(listener) => {
                let socket = Socket::new(listener.accept()?.0);
                let peer = unix_peer(&socket)?;
                Ok((socket, peer))
            }
            Listener::Tcp(listener) => {
                let (stream, address) = listener.accept()?;
                // A client of the socket of both families is told by its own.
                let address = SocketAddr::new(address.ip().to_canonical(), address.port());
                Ok((Socket::new(stream), Peer::Tcp(address)))
            }
        }
    }
}

/// Without privileges a socket stays our own.
fn not_root(error: io::Error) -> io::Result<()> {
    if error.kind() == ErrorKind::PermissionDenied { Ok(()) } else { Err(error) }
}

/// Removes a socket that a daemon which is no more has left.
fn unlink_stale(path: &Path, short: &Path) -> Result<()> {
    let found = match fs::symlink_metadata(short) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).context(|| format!("listen on {}", path.display())),
    };
    let name = path.display();
    if !found.file_type().is_socket() {
        return Err(Error::conflict(format!(
            "listen on {name}: a file that is no socket is there"
        )));
    }
    if UnixStream::connect(short).is_ok() {
        let text = format!("listen on {name}: another process answers there");
        return Err(Error::new(Kind::Conflict, text));
    }
    fs::remove_file(short).context(|| format!("remove the stale socket {name}"))
}
