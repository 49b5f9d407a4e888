//! The server: accept loop, a thread per connection, plain replies, streams, hijacking.
//!
//! - An accept error is never final, and never spins.
//! - Who is silent makes room for who speaks: at the cap, or out of descriptors, the connection
//!   that has waited longest for its next request is closed.
//! - A panic of a handler ends its connection, not the daemon.

mod connection;
mod crowd;
mod exchange;
mod listener;
#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

pub use exchange::{Client, Exchange, Reply, Stream};
pub use listener::Listener;

use super::socket::Socket;
use crate::sys;
use connection::Connection;
use crowd::Crowd;

/// Stack of a connection's thread; what is not touched costs no memory.
const STACK_BYTES: usize = 512 * 1024;

/// Bounds on what clients may ask of the server.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections served at once; more wait in the backlog.
    pub connections: usize,
    /// Time for a head to arrive, and for an idle connection to ask again.
    pub head_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { connections: 1024, head_timeout: Duration::from_secs(60) }
    }
}

/// Who is at the other end.
#[derive(Debug, Clone)]
pub enum Peer {
    /// A process on this host: pid, uid, gid.
    Unix(i32, u32, u32),
    /// An address.
    Tcp(std::net::SocketAddr),
}

/// Answers requests; one call at a time per connection, many at once over all.
pub trait Handler: Send + Sync + 'static {
    /// Answers one request. An error ends the connection; a panic answers 500 if it can.
    ///
    /// # Errors
    /// Those of the connection.
    fn handle(&self, exchange: &mut Exchange<'_>) -> io::Result<()>;
}

/// Serves `listener` until the process ends. Accept errors are never final.
pub fn serve(listener: Listener, limits: &Limits, handler: Arc<dyn Handler>) -> ! {
    let crowd = Arc::new(Crowd::new(limits.connections));
    let limits = Arc::new(limits.clone());
    let mut troubled = false;
    loop {
        let seat = Crowd::seat(&crowd);
        let trouble = match listener.accept() {
            Ok((socket, peer)) => {
                let (limits, handler) = (Arc::clone(&limits), Arc::clone(&handler));
                let serve = move || {
                    let crowd = seat.crowd();
                    Connection::new(Arc::new(socket), peer, crowd, &limits).serve(&*handler);
                };
                let thread = std::thread::Builder::new().name("http".into());
                thread.stack_size(STACK_BYTES).spawn(serve).err()
            }
            Err(error) if is_of_one_connection(&error) => None,
            Err(error) => Some(error),
        };
        if let Some(error) = &trouble {
            if !troubled {
                crate::warn!("new connections must wait: {error}");
            }
            crowd.make_room();
        }
        troubled = trouble.is_some();
    }
}

/// Serves one connection that is already there, in this thread, until it ends.
pub fn serve_connection(socket: OwnedFd, peer: Peer, limits: &Limits, handler: &dyn Handler) {
    let crowd = Crowd::new(limits.connections);
    Connection::new(Arc::new(Socket::new(socket)), peer, &crowd, limits).serve(handler);
}

/// Whether accept(2) failed for the connection that it would have given, not for all.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted)
}

/// Who connected a unix socket.
fn unix_peer(socket: &Socket) -> io::Result<Peer> {
    use std::os::fd::AsFd;
    let peer = sys::socket::peer_credentials(socket.as_fd())?;
    Ok(Peer::Unix(peer.pid, peer.uid, peer.gid))
}
