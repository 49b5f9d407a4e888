//! Published ports where no packet rules can be had: the monitor leads them on to its container.
//!
//! - One thread and no process more: all sockets are in an epoll set of their own, which is one
//!   descriptor among those that the monitor waits for. Without ports there is nothing at all.
//! - A port that somebody else listens at is found when it is bound, and named.
//! - An address that the host does not have yet is bound all the same: what comes for it arrives
//!   once it has.
//! - What is short of descriptors waits in the backlog; nobody is turned away.

mod slab;
mod stream;
mod talk;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use slab::Slab;
use stream::{Side, Streams};
use talk::Talks;

use crate::base::{Context, Error, Kind, Result};
use crate::model::{Forward, Protocol};
use crate::sys::poll::{Epoll, Events, Interest};
use crate::sys::{host, inet, tcp};

/// Pause after a connection that could not be taken.
const DEAF: Duration = Duration::from_millis(200);
/// Most connections taken, and datagrams passed on, before others get their turn.
const TURN: usize = 32;
/// Descriptors that are left to the rest of the monitor.
const LEFT: usize = 128;
/// Descriptors that a stream may need.
const PER_STREAM: usize = 4;

/// The proxies of a container.
#[derive(Default)]
pub(super) struct Proxy {
    open: Option<Open>,
}

struct Open {
    epoll: Epoll,
    listeners: Slab<Listener>,
    streams: Streams,
    talks: Talks,
    /// Connections are not taken before.
    deaf_until: Option<Instant>,
    /// Most descriptors.
    most: usize,
}

/// A socket at a published port.
struct Listener {
    socket: OwnedFd,
    way: Way,
}

/// From a published port to the container's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Way {
    stream: bool,
    at: SocketAddr,
    to: SocketAddr,
}

impl Way {
    /// Whether both begin at the same port.
    fn is_at(&self, other: &Way) -> bool {
        self.stream == other.stream && self.at == other.at
    }
}

/// What a descriptor in the set stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Listener(u32),
    Stream(u32, Side),
    Talk(u32),
}

impl Token {
    fn number(self) -> u64 {
        let (kind, index) = match self {
            Token::Listener(index) => (0, index),
            Token::Stream(index, Side::Client) => (1, index),
            Token::Stream(index, Side::Server) => (2, index),
            Token::Talk(index) => (3, index),
        };
        kind << 32 | u64::from(index)
    }

    fn of(number: u64) -> Token {
        let index = u32::try_from(number & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        match number >> 32 {
            0 => Token::Listener(index),
            1 => Token::Stream(index, Side::Client),
            2 => Token::Stream(index, Side::Server),
            _ => Token::Talk(index),
        }
    }
}

impl Proxy {
    /// Serves these ports from now on, and no others. Connections go on while their container's
    /// address is served.
    ///
    /// # Errors
    /// The first port that cannot be had; then all is as before.
    pub(super) fn set(&mut self, forwards: &[Forward]) -> Result<()> {
        if forwards.is_empty() {
            self.close();
            return Ok(());
        }
        if self.open.is_none() {
            self.open = Some(Open::new()?);
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        let result = open.set(&ways(forwards));
        if open.listeners.is_empty() {
            self.close();
        }
        result
    }

    /// Ends all connections and leaves all ports.
    pub(super) fn close(&mut self) {
        self.open = None;
    }

    /// Readable while there is something to do.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.open.as_ref().map(|open| open.epoll.as_fd())
    }

    /// When [`Proxy::settle`] has something to do.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let open = self.open.as_ref()?;
        open.deaf_until.into_iter().chain(open.talks.deadline()).min()
    }

    /// Does what is due by the clock.
    pub(super) fn settle(&mut self, now: Instant) {
        let Some(open) = &mut self.open else { return };
        if open.deaf_until.take_if(|end| *end <= now).is_some() {
            open.hear();
        }
        open.talks.settle(&open.epoll, now);
    }

    /// Does some of what can be done.
    pub(super) fn serve(&mut self) {
        let Some(open) = &mut self.open else { return };
        let mut events = Events::default();
        if let Err(error) = open.epoll.ready(&mut events) {
            crate::warn!("proxy: {error}");
            return;
        }
        for (number, ready) in events.iter() {
            match Token::of(number) {
                Token::Listener(index) => open.arrive(index),
                Token::Stream(index, side) => open.streams.serve(&open.epoll, index, side, ready),
                Token::Talk(index) => open.talks.answer(&open.listeners, index),
            }
        }
        // Not before all of these events are dealt with: none may be taken for another's.
        open.streams.tidy();
        open.talks.tidy();
    }
}

/// Each port of these.
fn ways(forwards: &[Forward]) -> Vec<Way> {
    let mut ways = Vec::new();
    for Forward { listen, first, to, ports } in forwards {
        for (at, port) in (*first..).zip(ports.ports()) {
            ways.push(Way {
                stream: ports.protocol == Protocol::Tcp,
                at: SocketAddr::new(*listen, at),
                to: SocketAddr::new(*to, port.port),
            });
        }
    }
    ways
}

impl Open {
    fn new() -> Result<Open> {
        let epoll = Epoll::new().context(|| "make an epoll set".into())?;
        let limit = host::raise_open_files().unwrap_or(0);
        let most = usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(LEFT);
        Ok(Open {
            epoll,
            listeners: Slab::default(),
            streams: Streams::default(),
            talks: Talks::default(),
            deaf_until: None,
            most,
        })
    }

    fn set(&mut self, ways: &[Way]) -> Result<()> {
        let mut new = Vec::new();
        for way in ways {
            if self.listeners.iter().any(|(_, listener)| listener.way.is_at(way)) {
                continue;
            }
            match self.bind(*way) {
                Ok(index) => new.push(index),
                Err(error) => {
                    for index in new {
                        self.drop_listener(index);
                    }
                    return Err(refused(way, &error));
                }
            }
        }
        let indexes: Vec<u32> = self.listeners.iter().map(|(index, _)| index).collect();
        for index in indexes {
            let Some(listener) = self.listeners.get_mut(index) else { continue };
            match ways.iter().find(|way| listener.way.is_at(way)) {
                Some(way) if way.to == listener.way.to => {}
                Some(way) => {
                    listener.way = *way;
                    self.talks.drop_listener(&self.epoll, index);
                }
                None => self.drop_listener(index),
            }
        }
        self.listeners.tidy();
        let served = |to: &SocketAddr| ways.iter().any(|way| way.to.ip() == to.ip());
        self.streams.retain(&self.epoll, served);
        self.streams.tidy();
        self.talks.tidy();
        Ok(())
    }

    fn bind(&mut self, way: Way) -> io::Result<u32> {
        let socket = if way.stream { inet::listen(&way.at)? } else { inet::receive_at(&way.at)? };
        if way.stream {
            // What it accepts inherits that.
            tcp::keep_alive(socket.as_fd())?;
        }
        let index = self.listeners.insert(Listener { socket, way });
        let listener = &self.listeners[index];
        let token = Token::Listener(index).number();
        self.epoll.add(listener.socket.as_fd(), Interest::READ, token).inspect_err(|_| {
            self.listeners.remove(index);
        })?;
        Ok(index)
    }

    fn drop_listener(&mut self, index: u32) {
        if let Some(listener) = self.listeners.remove(index) {
            forget(&self.epoll, listener.socket.as_fd());
        }
        self.talks.drop_listener(&self.epoll, index);
    }

    /// Somebody knocks at a port.
    fn arrive(&mut self, index: u32) {
        let Some(Listener { socket, way }) = self.listeners.get(index) else { return };
        if !way.stream {
            let room = self.most.saturating_sub(PER_STREAM * self.streams.len());
            self.talks.pass_on(&self.epoll, (index, socket.as_fd(), &way.to), room);
            return;
        }
        for _ in 0..TURN {
            let room = PER_STREAM * self.streams.len() + self.talks.len() < self.most;
            let accepted = if room {
                inet::accept(socket.as_fd())
            } else {
                Err(io::Error::from_raw_os_error(libc::EMFILE))
            };
            match accepted {
                Ok(client) => self.streams.begin(&self.epoll, client, &way.to),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // It has broken while it waited.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                // Out of descriptors or memory: the port would be ready all the time.
                Err(_) => return self.turn_deaf(),
            }
        }
    }

    fn turn_deaf(&mut self) {
        if self.deaf_until.is_none() {
            self.deaf_until = Some(Instant::now() + DEAF);
            for (_, listener) in self.listeners.iter().filter(|(_, l)| l.way.stream) {
                forget(&self.epoll, listener.socket.as_fd());
            }
        }
    }

    fn hear(&mut self) {
        for (index, listener) in self.listeners.iter().filter(|(_, l)| l.way.stream) {
            let token = Token::Listener(index).number();
            let added = self.epoll.add(listener.socket.as_fd(), Interest::READ, token);
            match added {
                // Bound in the meantime.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => {
                    crate::debug!("proxy: {error}");
                    self.deaf_until = Some(Instant::now() + DEAF);
                }
                Ok(()) => {}
            }
        }
    }
}

/// Takes a descriptor out of the set, which may not know it. Closing is not enough: a process that
/// is about to be somebody's program may share the open file.
fn forget(epoll: &Epoll, fd: BorrowedFd<'_>) {
    drop(epoll.remove(fd));
}

fn refused(way: &Way, error: &io::Error) -> Error {
    let at = way.at;
    match error.kind() {
        io::ErrorKind::AddrInUse => Error::internal(format!(
            "Bind for {at} failed: address already in use: a program of the host listens there"
        )),
        _ => Error::new(Kind::Internal, format!("Bind for {at} failed: {error}")),
    }
}
