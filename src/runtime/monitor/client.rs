//! One attached client: what it still has to be sent, and whether it may still send.
//!
//! - Its socket's flags are never touched: the descriptor is shared with the daemon. Bytes go
//!   with MSG_DONTWAIT.
//! - It holds at most one piece of output. While it does, the sources are not read, so that a
//!   slow client slows the program as a pipe would; after the end of the program the rest of the
//!   output (what the pipes held) is kept here instead, for the exit must not wait for clients.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use super::detach::Detacher;
use crate::runtime::handle::AttachOptions;
use crate::runtime::log::{Reader, Stream};
use crate::sys::poll::Interest;
use crate::sys::{socket, tcp};

/// A tcp peer that acknowledges nothing for so long is dead.
const DEAD_PEER: Duration = Duration::from_secs(30);

/// Output that every attached client gets: one read from a source.
#[derive(Clone, Copy)]
pub(super) struct Piece<'a> {
    pub(super) stream: Stream,
    pub(super) bytes: &'a [u8],
}

/// What a client has to be sent.
enum Pending {
    Nothing,
    /// The session's current piece, from this byte on (of its frame, when framed).
    Piece(usize),
    /// Bytes of its own, from this byte on, as they go on the wire.
    Own(Vec<u8>, usize),
}

/// An attached client.
pub(super) struct Client {
    socket: OwnedFd,
    tcp: bool,
    options: AttachOptions,
    pub(super) detacher: Detacher,
    /// Its input has not ended.
    pub(super) reads: bool,
    /// Output can reach it.
    pub(super) writes: bool,
    pending: Pending,
    /// The log that it gets before the live stream.
    replay: Option<Box<Reader>>,
    /// It goes as soon as it has got what is pending.
    pub(super) leaves: bool,
    /// When it last took something.
    pub(super) progress: Instant,
}

impl Client {
    /// A client that gets `replay` first.
    pub(super) fn new(
        socket: OwnedFd,
        options: AttachOptions,
        detach_keys: Vec<u8>,
        replay: Option<Reader>,
    ) -> Client {
        let tcp = socket::is_tcp(socket.as_fd());
        if tcp {
            if let Err(error) = tcp::watch_peer(socket.as_fd(), DEAD_PEER) {
                crate::warn!("watch a client's connection: {error}");
            }
        }
        Client {
            socket,
            tcp,
            options,
            detacher: Detacher::new(detach_keys),
            reads: options.stdin && options.stream,
            writes: true,
            pending: Pending::Nothing,
            replay: replay.map(Box::new),
            leaves: false,
            progress: Instant::now(),
        }
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Whether its session ends with its input.
    pub(super) fn once(&self) -> bool {
        self.options.once
    }

    /// Whether it must take something before the sources are read again.
    pub(super) fn is_behind(&self) -> bool {
        self.writes && (self.replay.is_some() || !matches!(self.pending, Pending::Nothing))
    }

    /// Whether the session's current piece is still needed.
    pub(super) fn holds_piece(&self) -> bool {
        self.writes && matches!(self.pending, Pending::Piece(_))
    }

    /// Bytes that it keeps.
    pub(super) fn kept(&self) -> usize {
        match &self.pending {
            Pending::Own(bytes, _) => bytes.len(),
            _ => 0,
        }
    }

    /// What it is polled for. `None` for one that has gone and whose last input has to wait: it
    /// would be ready all the time.
    pub(super) fn interest(&self, input_has_room: bool) -> Option<Interest> {
        let reads = self.reads && input_has_room;
        let mut interest = Interest::GONE;
        if reads {
            interest = interest.and(Interest::READ);
        }
        if self.is_behind() {
            interest = interest.and(Interest::WRITE);
        }
        (self.writes || reads).then_some(interest)
    }

    /// `stream`, or standard output for a client that does not hear it.
    pub(super) fn heard(&self, stream: Stream) -> Stream {
        if self.wants(stream) { stream } else { Stream::Stdout }
    }

    fn wants(&self, stream: Stream) -> bool {
        self.writes
            && self.options.stream
            && match stream {
                Stream::Stdout => self.options.stdout,
                Stream::Stderr => self.options.stderr,
            }
    }

    /// Offers it a new piece; it takes what it can. Only for one that is not behind.
    pub(super) fn offer(&mut self, piece: Piece<'_>) {
        if self.wants(piece.stream) {
            self.pending = Pending::Piece(0);
            self.send(Some(piece));
        }
    }

    /// Gives it a piece to keep, the program having ended. One that still gets the log finds the
    /// piece there.
    pub(super) fn keep(&mut self, piece: Piece<'_>) {
        if self.wants(piece.stream) && self.replay.is_none() {
            let mut bytes = match std::mem::replace(&mut self.pending, Pending::Nothing) {
                Pending::Own(mut bytes, sent) => {
                    bytes.drain(..sent);
                    bytes
                }
                _ => Vec::new(),
            };
            append(&mut bytes, self.options.framed, piece);
            self.pending = Pending::Own(bytes, 0);
            self.send(None);
        }
    }

    /// Makes what it still has to get of `piece` its own.
    pub(super) fn keep_rest(&mut self, piece: Piece<'_>) {
        if let Pending::Piece(sent) = self.pending {
            let mut bytes = Vec::new();
            append(&mut bytes, self.options.framed, piece);
            self.pending = Pending::Own(bytes, sent);
        }
    }

    /// Sends on. `unfinished` gives the lines that are in no record yet, for the step from the
    /// log to the live stream.
    pub(super) fn go_on<'a>(
        &mut self,
        piece: Option<Piece<'_>>,
        unfinished: impl Fn(Stream) -> &'a [u8],
    ) {
        self.send(piece);
        while self.writes && self.replay.is_some() && matches!(self.pending, Pending::Nothing) {
            let mut bytes = self.next_of_log();
            if bytes.is_empty() {
                self.replay = None;
                for stream in [Stream::Stdout, Stream::Stderr] {
                    let rest = Piece { stream, bytes: unfinished(stream) };
                    if self.wants(stream) && !rest.bytes.is_empty() {
                        append(&mut bytes, self.options.framed, rest);
                    }
                }
                self.leaves |= !self.options.stream;
            }
            if !bytes.is_empty() {
                self.pending = Pending::Own(bytes, 0);
                self.send(None);
            }
        }
    }

    fn next_of_log(&mut self) -> Vec<u8> {
        let Some(replay) = &mut self.replay else { return Vec::new() };
        replay.next_piece().map(<[u8]>::to_vec).unwrap_or_else(|error| {
            crate::warn!("replay to a client: {error}");
            Vec::new()
        })
    }

    fn send(&mut self, piece: Option<Piece<'_>>) {
        while self.writes {
            let sent = match (&self.pending, piece) {
                (Pending::Piece(sent), Some(piece)) => {
                    send_piece(self.socket.as_fd(), self.options.framed, piece, *sent)
                }
                (Pending::Own(bytes, sent), _) if *sent < bytes.len() => {
                    socket::send_now(self.socket.as_fd(), &[IoSlice::new(&bytes[*sent..])])
                }
                _ => return,
            };
            match sent {
                Ok(count) => {
                    self.progress = Instant::now();
                    self.advance(count, piece);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.writes = false,
            }
        }
    }

    fn advance(&mut self, count: usize, piece: Option<Piece<'_>>) {
        let (sent, length) = match &mut self.pending {
            Pending::Nothing => return,
            Pending::Piece(sent) => {
                let header = if self.options.framed { 8 } else { 0 };
                (sent, header + piece.map_or(0, |piece| piece.bytes.len()))
            }
            Pending::Own(bytes, sent) => (sent, bytes.len()),
        };
        *sent += count;
        if *sent >= length {
            self.pending = Pending::Nothing;
        }
    }

    /// Whether nothing is left to be done for it: it has gone, or it leaves and has got all.
    pub(super) fn is_done(&self) -> bool {
        if self.leaves { !self.is_behind() } else { !self.writes && !self.reads }
    }

    /// Ends the connection so that what was sent reaches the client: input that nobody will read
    /// must not turn the end into a reset. Gives the socket back when that takes a while.
    pub(super) fn close(self) -> Option<OwnedFd> {
        // Over tcp the client's direction stays open: what still comes would be answered by a
        // reset, which can overtake the output.
        let how = if self.tcp { Shutdown::Write } else { Shutdown::Both };
        socket::shutdown(self.socket.as_fd(), how);
        let ended = drain(self.socket.as_fd());
        (self.tcp && !ended).then_some(self.socket)
    }
}

/// Drops what has arrived; true at the end of the connection.
pub(super) fn drain(socket: BorrowedFd<'_>) -> bool {
    let mut scratch = [0; 4096];
    loop {
        match socket::receive_now(socket, &mut scratch) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return error.kind() != io::ErrorKind::WouldBlock,
        }
    }
}

/// Appends a piece as it goes on the wire.
fn append(bytes: &mut Vec<u8>, framed: bool, piece: Piece<'_>) {
    if framed {
        bytes.extend_from_slice(&header(piece));
    }
    bytes.extend_from_slice(piece.bytes);
}

fn header(piece: Piece<'_>) -> [u8; 8] {
    let length = u32::try_from(piece.bytes.len()).expect("pieces are as long as one read");
    piece.stream.frame_header(length)
}

fn send_piece(
    socket: BorrowedFd<'_>,
    framed: bool,
    piece: Piece<'_>,
    sent: usize,
) -> io::Result<usize> {
    if !framed {
        return socket::send_now(socket, &[IoSlice::new(&piece.bytes[sent..])]);
    }
    let header = header(piece);
    let parts = [
        IoSlice::new(&header[sent.min(header.len())..]),
        IoSlice::new(&piece.bytes[sent.saturating_sub(header.len())..]),
    ];
    socket::send_now(socket, &parts)
}
