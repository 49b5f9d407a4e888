//! One connection: request after request until either side ends it.
//!
//! ```text
//! silent --head--> handler --answered, body read--> silent
//!   |                 |
//!   | end, time-out   +--hijacked--> the socket is somebody else's
//!   v                 +--else------> linger, close
//! closed
//! ```

use std::io::{self, ErrorKind, Read};
use std::net::Shutdown;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::head::{self, Refusal, Request};
use super::super::input::Input;
use super::super::socket::Socket;
use super::crowd::Crowd;
use super::exchange::{Exchange, refuse};
use super::{Handler, Limits, Peer};

/// Buffer of an idle connection, and least size of a read.
const ROOM: usize = 4096;
/// What a client may still send of a body that nobody read before the connection is closed.
pub(super) const DRAIN_BYTES: usize = 256 * 1024;
/// How long a client that is being sent away may take to read why.
const LINGER: Duration = Duration::from_secs(1);

/// A connection's state between two requests.
pub(super) struct Connection<'a> {
    /// `None` once it has been given away.
    socket: Option<Arc<Socket>>,
    input: Input,
    peer: Peer,
    crowd: &'a Crowd,
    limits: &'a Limits,
}

impl<'a> Connection<'a> {
    /// A connection that has just been accepted.
    pub(super) fn new(
        socket: Arc<Socket>,
        peer: Peer,
        crowd: &'a Crowd,
        limits: &'a Limits,
    ) -> Connection<'a> {
        Connection { socket: Some(socket), input: Input::new(ROOM), peer, crowd, limits }
    }

    /// Serves it to its end.
    pub(super) fn serve(mut self, handler: &dyn Handler) {
        // A failure here is the client's going away: there is nobody to tell.
        if let Err(error) = self.serve_all(handler) {
            crate::debug!("a connection ended: {error}");
        }
    }

    fn serve_all(&mut self, handler: &dyn Handler) -> io::Result<()> {
        if let Some(socket) = &self.socket {
            socket.set_read_timeout(Some(self.limits.head_timeout))?;
            socket.set_write_timeout(Some(self.limits.head_timeout))?;
        }
        while let Some(socket) = self.socket.take() {
            let silence = self.crowd.silence(&socket);
            let request = self.read_head(&socket);
            drop(silence);
            match request? {
                Ok(Some(request)) => self.answer(socket, request, handler)?,
                Ok(None) => {}
                Err(refusal) => {
                    refuse(&socket, &refusal)?;
                    self.linger(&socket);
                }
            }
        }
        Ok(())
    }

    /// Reads up to the end of the next head. `None` when the client ended the connection, or said
    /// nothing for too long.
    fn read_head(&mut self, socket: &Socket) -> io::Result<Result<Option<Request>, Refusal>> {
        let deadline = Instant::now() + self.limits.head_timeout;
        let (mut seen, mut shortened) = (0, false);
        let found = loop {
            if seen == 0 {
                self.skip_empty_lines();
            }
            let unread = self.input.unread();
            if let Some(end) = head::end(unread, seen) {
                break head::parse(&unread[..end]).map(|request| (request, end));
            }
            if let Some(refusal) = head::too_long(unread) {
                break Err(refusal);
            }
            seen = unread.len();
            if seen > 0 {
                // However slowly the bytes drip in, the whole head has one deadline.
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    break Err(Refusal::new(408, "the request head did not arrive in time"));
                }
                socket.set_read_timeout(Some(left))?;
                shortened = true;
            }
            match self.input.fill(&mut &*socket) {
                Ok(0) => return Ok(Ok(None)),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock && seen == 0 => {
                    return Ok(Ok(None));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        };
        if shortened {
            socket.set_read_timeout(Some(self.limits.head_timeout))?;
        }
        Ok(found.map(|(request, end)| {
            self.input.consume(end);
            Some(request)
        }))
    }

    /// Some clients send a line end too much after a body.
    fn skip_empty_lines(&mut self) {
        let blank = |byte: &&u8| matches!(byte, b'\r' | b'\n');
        let count = self.input.unread().iter().take_while(blank).count();
        self.input.consume(count);
    }

    /// Lets the handler answer; keeps the socket when another request may follow.
    fn answer(
        &mut self,
        socket: Arc<Socket>,
        request: Request,
        handler: &dyn Handler,
    ) -> io::Result<()> {
        let began = Instant::now();
        let line = crate::base::log::debug()
            .then(|| format!("{} {}", request.head.method, request.head.path));
        let mut exchange = Exchange::new(request, socket, &mut self.input, &self.peer);
        let result = catch_unwind(AssertUnwindSafe(|| handler.handle(&mut exchange)));
        if let Some(line) = line {
            crate::debug!("{line} took {:?}", began.elapsed());
        }
        let result = result.unwrap_or_else(|_| {
            exchange.fail("internal error: the request could not be finished")?;
            Err(io::Error::other("a handler panicked"))
        });
        if result.is_ok() && exchange.is_unanswered() {
            exchange.fail("internal error: the request was not answered")?;
        }
        let again = result.is_ok() && exchange.can_go_on();
        let broken = exchange.is_broken();
        let Some(socket) = exchange.into_socket() else { return Ok(()) };
        if again {
            self.socket = Some(socket);
        } else if !broken {
            self.linger(&socket);
        }
        result
    }

    /// Lets the client read the answer: closing with bytes unread would reset the connection.
    fn linger(&mut self, socket: &Socket) {
        socket.shutdown(Shutdown::Write);
        let deadline = Instant::now() + LINGER;
        let (mut from, mut left, mut sink) = (socket, DRAIN_BYTES, [0; ROOM]);
        while left > 0 && Instant::now() < deadline {
            if socket.set_read_timeout(Some(LINGER)).is_err() {
                return;
            }
            match from.read(&mut sink) {
                Ok(0) | Err(_) => return,
                Ok(count) => left = left.saturating_sub(count),
            }
        }
    }
}
