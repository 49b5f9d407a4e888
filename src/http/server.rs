//! The server: accept loop, a thread per connection, plain replies, streams, hijacking.

use std::io::{self, Read, Write};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::Head;
use crate::base::Result;

/// Bounds on what clients may ask of the server.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections served at once; more wait in the backlog.
    pub connections: usize,
    /// Time for a head to arrive, and for an idle connection to ask again.
    pub head_timeout: Duration,
}

/// A bound socket.
pub enum Listener {
    /// Unix.
    Unix(std::os::unix::net::UnixListener),
    /// Tcp.
    Tcp(std::net::TcpListener),
}

impl Listener {
    /// Binds a unix socket: a stale file is unlinked first, mode 0660, group as given.
    ///
    /// # Errors
    /// When it cannot be bound.
    pub fn unix(_path: &Path, _group: Option<u32>) -> Result<Listener> {
        todo!()
    }

    /// Binds `HOST:PORT`.
    ///
    /// # Errors
    /// When it cannot be bound.
    pub fn tcp(_address: &str) -> Result<Listener> {
        todo!()
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
pub fn serve(_listener: Listener, _limits: &Limits, _handler: Arc<dyn Handler>) -> ! {
    todo!()
}

/// A plain answer.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Content type; empty with an empty body.
    pub content_type: &'static str,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// The body, whole.
    pub body: Vec<u8>,
}

/// One request and the means to answer it, once.
pub struct Exchange<'a> {
    /// The request's head.
    pub head: Head,
    /// Headers that every answer to this request carries (`Api-Version`, CORS …).
    pub extra: Vec<(String, String)>,
    _connection: std::marker::PhantomData<&'a ()>,
}

impl Exchange<'_> {
    /// Who asks.
    pub fn peer(&self) -> &Peer {
        todo!()
    }

    /// The client's socket, to be watched for its going away while a call waits.
    pub fn client(&self) -> BorrowedFd<'_> {
        todo!()
    }

    /// The request's body; sends `100 Continue` at the first read when the client waits for it.
    pub fn body(&mut self) -> impl Read + '_ {
        io::empty()
    }

    /// Reads the whole body, at most `limit` bytes.
    ///
    /// # Errors
    /// `BadParameter` when it is longer; those of the connection.
    pub fn body_bytes(&mut self, _limit: usize) -> Result<Vec<u8>> {
        todo!()
    }

    /// Whether an answer has been begun.
    pub fn answered(&self) -> bool {
        todo!()
    }

    /// Sends a plain answer. For `HEAD` the body stays away.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn reply(&mut self, _reply: Reply) -> io::Result<()> {
        todo!()
    }

    /// Begins an answer that comes in pieces: chunked, each write is sent at once (with HTTP/1.0:
    /// unchunked, and the connection ends it). Dropping the writer ends the answer; calling
    /// [`Stream::fail`] breaks it off, so that the client sees a broken body.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn stream(&mut self, _status: u16, _content_type: &str) -> io::Result<Stream<'_>> {
        todo!()
    }

    /// Takes the connection over: sends `101 UPGRADED` when the client asked to upgrade to tcp,
    /// else a bare 200 with `Content-Type: application/vnd.docker.raw-stream`, and gives the
    /// socket with the bytes that came after the head. `content_type` is the raw-stream type
    /// the client is told.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn hijack(&mut self, _content_type: &str) -> io::Result<(OwnedFd, Vec<u8>)> {
        todo!()
    }
}

/// An answer that comes in pieces.
pub struct Stream<'a> {
    _exchange: std::marker::PhantomData<&'a ()>,
}

impl Stream<'_> {
    /// Breaks the answer off.
    pub fn fail(self) {
        todo!()
    }
}

impl Write for Stream<'_> {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        todo!()
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
