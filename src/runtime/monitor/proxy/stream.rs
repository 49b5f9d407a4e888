//! Connections to published ports, each with one to the container.
//!
//! ```text
//!             out: read from client ─▶ pipe ─▶ write to server
//!   client ◀────────────────────────────────────────────────────▶ server, in the container
//!             back: write to client ◀─ pipe ◀─ read from server
//! ```
//!
//! - Bytes are moved by the kernel, through a pipe, which is empty before anything is read: so one
//!   pipe does for all, and only who is not read from fast enough holds one of his own.
//! - Each direction ends by itself: its end is passed on, the other one goes on.
//! - What breaks is not passed on as an end: the other side sees a reset.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::slab::Slab;
use super::{Token, forget};
use crate::sys::poll::{Epoll, Interest, Ready};
use crate::sys::{inet, pipe, socket, tcp};

/// What a pipe may hold, in bytes; and thus what one who reads slowly is ahead of.
const PIPE: usize = 256 * 1024;
/// Times a pipe is filled before others get their turn.
const ROUNDS: usize = 4;

/// One of the two ends of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// Who has connected to the port.
    Client,
    /// The container.
    Server,
}

impl Side {
    fn other(self) -> Side {
        match self {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        }
    }
}

/// A pipe: the end to read, the end to write.
type Pipe = (OwnedFd, OwnedFd);

/// One direction.
#[derive(Default)]
struct Direction {
    /// Holds bytes that were read and not taken yet.
    pipe: Option<Pipe>,
    held: usize,
    /// Nothing more is read.
    ended: bool,
}

struct Stream {
    client: OwnedFd,
    server: OwnedFd,
    to: SocketAddr,
    connected: bool,
    /// From client to server.
    out: Direction,
    /// From server to client.
    back: Direction,
    /// Something has broken: all ends with a reset.
    broken: bool,
    /// What client and server are waited for.
    waits: [Interest; 2],
}

/// All streams.
#[derive(Default)]
pub(super) struct Streams {
    all: Slab<Stream>,
    spare: Option<Pipe>,
}

impl Streams {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Leads a new client on. One that the container does not take is reset.
    pub(super) fn begin(&mut self, epoll: &Epoll, client: OwnedFd, to: &SocketAddr) {
        let server = match inet::begin_connect(to) {
            Ok(server) => server,
            Err(error) => {
                crate::debug!("proxy: connect to {to}: {error}");
                inet::reset_at_close(client.as_fd());
                return;
            }
        };
        let index = self.all.insert(Stream {
            client,
            server,
            to: *to,
            connected: false,
            out: Direction::default(),
            back: Direction::default(),
            broken: false,
            waits: [Interest::GONE; 2],
        });
        self.wait(epoll, index);
    }

    /// Goes on with a stream of which one side is ready.
    pub(super) fn serve(&mut self, epoll: &Epoll, index: u32, side: Side, ready: Ready) {
        let Some(stream) = self.all.get_mut(index) else { return };
        let done = if stream.connected {
            stream.go_on(side, ready, &mut self.spare)
        } else {
            stream.connect()
        };
        match done {
            Ok(()) if !stream.is_over() => self.wait(epoll, index),
            Ok(()) => self.end(epoll, index),
            Err(error) => {
                crate::debug!("proxy: {}: {error}", stream.to);
                stream.broken = true;
                self.end(epoll, index);
            }
        }
    }

    /// Keeps those to addresses that are served.
    pub(super) fn retain(&mut self, epoll: &Epoll, served: impl Fn(&SocketAddr) -> bool) {
        let gone = |(index, stream): (u32, &Stream)| (!served(&stream.to)).then_some(index);
        for index in self.all.iter().filter_map(gone).collect::<Vec<_>>() {
            self.end(epoll, index);
        }
    }

    pub(super) fn tidy(&mut self) {
        self.all.tidy();
        if self.all.is_empty() {
            self.spare = None;
        }
    }

    fn end(&mut self, epoll: &Epoll, index: u32) {
        let Some(stream) = self.all.remove(index) else { return };
        for end in [&stream.client, &stream.server] {
            forget(epoll, end.as_fd());
            if stream.broken {
                inet::reset_at_close(end.as_fd());
            }
        }
    }

    /// Has both sides waited for as the stream needs it now. A side of which nothing is wanted is
    /// not waited for at all: that it has hung up would be told again and again.
    fn wait(&mut self, epoll: &Epoll, index: u32) {
        let Some(stream) = self.all.get_mut(index) else { return };
        let mut failed = None;
        for (place, side) in [Side::Client, Side::Server].into_iter().enumerate() {
            let (before, wanted) = (stream.waits[place], stream.wanted(side));
            let (fd, token) = (stream.end(side), Token::Stream(index, side).number());
            let done = match (before == Interest::GONE, wanted == Interest::GONE) {
                _ if before == wanted => Ok(()),
                (true, _) => epoll.add(fd, wanted, token),
                (false, true) => epoll.remove(fd),
                (false, false) => epoll.change(fd, wanted, token),
            };
            failed = failed.or(done.err());
            stream.waits[place] = wanted;
        }
        if let Some(error) = failed {
            crate::warn!("proxy: wait for {}: {error}", stream.to);
            stream.broken = true;
            self.end(epoll, index);
        }
    }
}

impl Stream {
    fn end(&self, side: Side) -> BorrowedFd<'_> {
        match side {
            Side::Client => self.client.as_fd(),
            Side::Server => self.server.as_fd(),
        }
    }

    /// The direction that comes from a side.
    fn from(&self, side: Side) -> &Direction {
        match side {
            Side::Client => &self.out,
            Side::Server => &self.back,
        }
    }

    fn wanted(&self, side: Side) -> Interest {
        if !self.connected {
            return if side == Side::Server { Interest::WRITE } else { Interest::GONE };
        }
        let (from, to) = (self.from(side), self.from(side.other()));
        let mut wanted = Interest::GONE;
        if !from.ended && from.held == 0 {
            wanted = wanted.and(Interest::READ);
        }
        if to.held > 0 {
            wanted = wanted.and(Interest::WRITE);
        }
        wanted
    }

    fn is_over(&self) -> bool {
        let over = |direction: &Direction| direction.ended && direction.held == 0;
        over(&self.out) && over(&self.back)
    }

    /// The container has taken the connection, or has not.
    fn connect(&mut self) -> io::Result<()> {
        inet::error(self.server.as_fd())?;
        tcp::keep_alive(self.server.as_fd())?;
        self.connected = true;
        Ok(())
    }

    fn go_on(&mut self, side: Side, ready: Ready, spare: &mut Option<Pipe>) -> io::Result<()> {
        if ready.writable() {
            self.pump(side.other(), spare)?;
        }
        if ready.readable() {
            self.pump(side, spare)?;
        }
        Ok(())
    }

    /// Moves what comes from `side`. An error means that `side` is gone.
    fn pump(&mut self, side: Side, spare: &mut Option<Pipe>) -> io::Result<()> {
        let (direction, from, to) = match side {
            Side::Client => (&mut self.out, self.client.as_fd(), self.server.as_fd()),
            Side::Server => (&mut self.back, self.server.as_fd(), self.client.as_fd()),
        };
        match direction.pump(from, to, spare)? {
            Moved::Some => {}
            Moved::All => socket::shutdown(to, Shutdown::Write),
            // What the other side has sent before it went is still to come.
            Moved::Nowhere => self.broken = true,
        }
        Ok(())
    }
}

/// What has come of moving bytes.
enum Moved {
    Some,
    /// There is nothing more to come, and all is delivered.
    All,
    /// Nobody takes them any more.
    Nowhere,
}

impl Direction {
    fn pump(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        spare: &mut Option<Pipe>,
    ) -> io::Result<Moved> {
        for _ in 0..ROUNDS {
            if self.held == 0 {
                if self.ended {
                    return Ok(Moved::Some);
                }
                let pipe = match spare.take() {
                    Some(pipe) => pipe,
                    None => make_pipe()?,
                };
                match pipe::splice(from, pipe.1.as_fd(), PIPE) {
                    Ok(0) => {
                        *spare = Some(pipe);
                        self.ended = true;
                        return Ok(Moved::All);
                    }
                    Ok(count) => self.held = count,
                    Err(error) => {
                        *spare = Some(pipe);
                        return if error.kind() == io::ErrorKind::WouldBlock {
                            Ok(Moved::Some)
                        } else {
                            Err(error)
                        };
                    }
                }
                self.pipe = Some(pipe);
            }
            let Some(pipe) = &self.pipe else { return Ok(Moved::Some) };
            match pipe::splice(pipe.0.as_fd(), to, self.held) {
                Ok(count) => self.held -= count.min(self.held),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Moved::Some),
                Err(_) => {
                    *self = Direction { ended: true, ..Direction::default() };
                    return Ok(Moved::Nowhere);
                }
            }
            if self.held == 0 {
                // One is enough.
                *spare = self.pipe.take();
            }
        }
        Ok(Moved::Some)
    }
}

fn make_pipe() -> io::Result<Pipe> {
    let pipe = pipe::pipe()?;
    pipe::grow(pipe.0.as_fd(), i32::try_from(PIPE).unwrap_or(i32::MAX));
    Ok(pipe)
}
