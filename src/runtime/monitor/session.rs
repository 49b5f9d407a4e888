//! One session: the standard streams of a process, its log, and the clients attached to it.
//!
//! Output goes to the log first and to the clients second, one read at a time; the next read is
//! made when every client has taken the last. "Replay the log, then stream" needs no lock and
//! loses or doubles nothing: while a client replays, nothing is read, and what the log does not
//! hold yet is known byte by byte.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::client::{self, Client, Piece};
use super::input::{Input, Queue};
use crate::base::Result;
use crate::model::{LogConfig, LogDriver};
use crate::runtime::handle::Attacher;
use crate::runtime::init::{Exec, Stdio};
use crate::runtime::launch::Launch;
use crate::runtime::log::{Query, Reader, Stream, Writer};
use crate::sys::poll::{Interest, PollSet, Ready};
use crate::sys::{pipe, socket, tty};

/// Most bytes of one read. As long as the C library's allocator needs to take them from mmap(2),
/// so that pages are touched only as output fills them.
const READ: usize = 128 * 1024;
/// What a pipe is grown to once a read has found so much in it.
const PIPE: i32 = 1 << 20;
const MUCH: usize = 32 * 1024;
/// A line without an end is recorded as far as it has come when the output rests so long.
const PAUSE: Duration = Duration::from_millis(200);
/// After the program's end a client that takes nothing for so long is given up.
const STALLED: Duration = Duration::from_secs(30);
/// For a tcp client to end its direction after we have ended ours.
const LINGER: Duration = Duration::from_secs(2);
/// When clients keep more than this after the program's end, the sources wait again.
const KEPT: usize = 4 << 20;

/// Something of a session that was waited for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Event {
    /// Output.
    Source(Stream),
    /// Room in the program's input.
    Input,
    /// An attached client.
    Client(usize),
    /// A client that is on its way out.
    Lingering(usize),
}

/// The streams of one process.
pub(super) struct Session {
    tty: bool,
    stdin_once: bool,
    sources: [Option<File>; 2],
    /// The terminal's master.
    terminal: Option<OwnedFd>,
    /// Asked for before there was a terminal.
    size: Option<(u16, u16)>,
    input: Input,
    log: Option<Writer>,
    log_dir: PathBuf,
    buffer: Vec<u8>,
    /// What is in the buffer and has not reached every client.
    piece: Option<(Stream, usize)>,
    clients: Vec<Client>,
    lingering: Vec<(OwnedFd, Instant)>,
    /// When an unfinished line is recorded.
    pause_ends: Option<Instant>,
    /// How many clients have asked to go since somebody wanted to know.
    detached: usize,
    /// The process has ended: clients keep what they have not taken.
    ended: bool,
    /// Nothing comes any more.
    over: bool,
}

impl Session {
    /// The session of a container's main process, and what its init needs of it.
    ///
    /// # Errors
    /// When no pipe can be made.
    pub(super) fn new(launch: &Launch) -> Result<(Session, Option<Stdio>)> {
        let LogConfig { driver, .. } = launch.log;
        let log = match driver {
            LogDriver::JsonFile => Some(Writer::new(&launch.io_dir, &launch.log)),
            LogDriver::None => None,
        };
        let Launch { tty, open_stdin, stdin_once, .. } = *launch;
        Session::with(tty, open_stdin, stdin_once, log, launch.io_dir.clone())
    }

    /// The session of an exec: without a log, and its input ends with its client's.
    ///
    /// # Errors
    /// When no pipe can be made.
    pub(super) fn of_exec(exec: &Exec) -> Result<(Session, Option<Stdio>)> {
        Session::with(exec.tty, exec.open_stdin, true, None, PathBuf::new())
    }

    fn with(
        tty: bool,
        open_stdin: bool,
        stdin_once: bool,
        log: Option<Writer>,
        log_dir: PathBuf,
    ) -> Result<(Session, Option<Stdio>)> {
        let input = if open_stdin { Input::Coming(Queue::default()) } else { Input::Closed };
        let mut session = Session {
            tty,
            stdin_once,
            sources: [None, None],
            terminal: None,
            size: None,
            input,
            log,
            log_dir,
            buffer: Vec::new(),
            piece: None,
            clients: Vec::new(),
            lingering: Vec::new(),
            pause_ends: None,
            detached: 0,
            ended: false,
            over: false,
        };
        if tty {
            return Ok((session, None));
        }
        let stdin = if open_stdin {
            let (theirs, ours) = pipe::pipe()?;
            pipe::set_nonblocking(ours.as_fd())?;
            session.input.open(ours);
            theirs
        } else {
            File::open("/dev/null")?.into()
        };
        let mut output = |stream: Stream| -> io::Result<OwnedFd> {
            let (ours, theirs) = pipe::pipe()?;
            pipe::set_nonblocking(ours.as_fd())?;
            session.sources[stream.index()] = Some(ours.into());
            Ok(theirs)
        };
        let (stdout, stderr) = (output(Stream::Stdout)?, output(Stream::Stderr)?);
        Ok((session, Some(Stdio { stdin, stdout, stderr })))
    }

    /// Takes the master of the terminal that init has opened.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub(super) fn set_terminal(&mut self, master: OwnedFd) -> io::Result<()> {
        pipe::set_nonblocking(master.as_fd())?;
        self.sources[Stream::Stdout.index()] = Some(master.try_clone()?.into());
        if let Some((rows, columns)) = self.size {
            tty::set_size(master.as_fd(), rows, columns)?;
        }
        self.terminal = Some(master);
        Ok(())
    }

    /// The program runs: a terminal takes input from now on. Earlier, it would be echoed before
    /// the program could say that it wants no echo.
    pub(super) fn started(&mut self) {
        if let Some(master) = &self.terminal {
            match master.try_clone() {
                Ok(sink) => self.input.open(sink),
                Err(error) => crate::warn!("no input for the terminal: {error}"),
            }
        }
    }

    /// Sets the terminal's size, at once or when there is one. False for a session without.
    pub(super) fn resize(&mut self, rows: u16, columns: u16) -> io::Result<bool> {
        self.size = Some((rows, columns));
        match &self.terminal {
            Some(master) => tty::set_size(master.as_fd(), rows, columns).map(|()| true),
            None => Ok(self.tty),
        }
    }

    /// Attaches a client.
    pub(super) fn attach(&mut self, attacher: Attacher) {
        let Attacher { socket, early, options, detach_keys } = attacher;
        let query = Query {
            stdout: options.stdout,
            stderr: options.stderr,
            framed: options.framed,
            ..Query::default()
        };
        let replay = (options.logs && self.log.is_some()).then(|| {
            Reader::open(&self.log_dir, &query)
                .inspect_err(|error| crate::warn!("replay to a client: {error}"))
                .ok()
        });
        let keys = if self.tty { detach_keys } else { Vec::new() };
        let mut client = Client::new(socket, options, keys, replay.flatten());
        // One that wants none of the streams ends at once.
        let idle = !(options.stdin || options.stdout || options.stderr);
        client.leaves = !options.stream && !client.is_behind() || idle || self.over;
        client.reads &= !self.over;
        self.clients.push(client);
        let index = self.clients.len() - 1;
        if !early.is_empty() && self.clients[index].reads {
            self.typed(index, &early);
        }
        // Who is done at once is let go by the next `settle`: events of this round name clients
        // by index.
        self.go_on(index);
    }

    /// Adds what is to be waited for.
    pub(super) fn watch(&self, set: &mut PollSet, events: &mut Vec<Event>) {
        let mut add = |fd, interest, event| {
            set.push(fd, interest);
            events.push(event);
        };
        if self.may_read() {
            for stream in [Stream::Stdout, Stream::Stderr] {
                if let Some(source) = &self.sources[stream.index()] {
                    add(source.as_fd(), Interest::READ, Event::Source(stream));
                }
            }
        }
        if let Some(sink) = self.input.waits_for() {
            add(sink, Interest::WRITE, Event::Input);
        }
        let room = self.input.room() > 0;
        for (index, client) in self.clients.iter().enumerate() {
            if let Some(interest) = client.interest(room) {
                add(client.socket(), interest, Event::Client(index));
            }
        }
        for (index, (socket, _)) in self.lingering.iter().enumerate() {
            add(socket.as_fd(), Interest::READ, Event::Lingering(index));
        }
    }

    /// Deals with what has become ready. The indices of clients stay valid until
    /// [`Session::settle`].
    pub(super) fn handle(&mut self, event: Event, ready: Ready) {
        match event {
            Event::Source(stream) => {
                self.read(stream);
            }
            Event::Input => self.input.write(),
            Event::Client(index) => {
                if ready.hung_up() {
                    self.clients[index].writes = false;
                }
                if ready.writable() {
                    self.go_on(index);
                }
                if ready.readable() && self.clients[index].reads {
                    self.receive(index);
                }
            }
            Event::Lingering(index) => {
                if client::drain(self.lingering[index].0.as_fd()) {
                    // Removed by the next `settle`.
                    self.lingering[index].1 = Instant::now();
                }
            }
        }
    }

    /// To be called after each round of events: lets go who is done, and does what is due.
    pub(super) fn settle(&mut self, now: Instant) {
        if self.pause_ends.is_some_and(|end| end <= now) {
            self.pause_ends = None;
            if let Some(log) = &mut self.log {
                log.flush();
            }
        }
        if self.over {
            for client in &mut self.clients {
                client.writes &= now < client.progress + STALLED;
            }
        }
        self.lingering.retain(|(_, end)| now < *end);
        self.sweep();
    }

    /// When `settle` is due without any event.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let stalled = self.clients.iter().filter(|_| self.over).map(|c| c.progress + STALLED);
        let lingering = self.lingering.iter().map(|(_, end)| *end);
        stalled.chain(lingering).chain(self.pause_ends).min()
    }

    /// The process has ended: from now on its output, as far as it is in the pipes, is read
    /// without regard to slow clients, who keep what they have not taken.
    pub(super) fn process_ended(&mut self) {
        self.ended = true;
        if let Some((stream, length)) = self.piece.take() {
            let piece = Piece { stream, bytes: &self.buffer[..length] };
            self.clients.iter_mut().for_each(|client| client.keep_rest(piece));
        }
    }

    /// Gives the clients words of our own, the program having failed; on the other stream where
    /// they do not hear this one.
    pub(super) fn say(&mut self, stream: Stream, bytes: &[u8]) {
        for client in &mut self.clients {
            client.keep(Piece { stream: client.heard(stream), bytes });
        }
    }

    /// Whether all output has been read.
    pub(super) fn is_drained(&self) -> bool {
        self.sources.iter().all(Option::is_none)
    }

    /// Reads what is there, closes the sources, and completes the log. Processes outside that
    /// hold the other ends can write no more.
    pub(super) fn finish_output(&mut self) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            // A writer that never rests must not keep us: no pipe holds more than that.
            let mut reads = 2 * PIPE.unsigned_abs() as usize / READ;
            while reads > 0 && self.read(stream) {
                reads -= 1;
            }
        }
        self.sources = [None, None];
        self.input = Input::Closed;
        self.pause_ends = None;
        if let Some(log) = &mut self.log {
            log.flush();
        }
    }

    /// The exit has been published: clients leave when they have got all.
    pub(super) fn close(&mut self) {
        self.over = true;
        for client in &mut self.clients {
            client.reads = false;
            client.leaves = true;
            client.progress = Instant::now();
        }
        self.sweep();
    }

    /// Whether nobody is left.
    pub(super) fn is_empty(&self) -> bool {
        self.clients.is_empty() && self.lingering.is_empty()
    }

    fn may_read(&self) -> bool {
        if self.ended {
            return self.clients.iter().all(|client| client.kept() < KEPT);
        }
        self.piece.is_none() && !self.clients.iter().any(Client::is_behind)
    }

    /// Reads once from a source; false when there is nothing now.
    fn read(&mut self, stream: Stream) -> bool {
        // An event of this round may have been overtaken by a client that fell behind in it.
        if !self.ended && !self.may_read() {
            return false;
        }
        let Some(source) = &mut self.sources[stream.index()] else { return false };
        if self.buffer.is_empty() {
            self.buffer = vec![0; READ];
        }
        let length = match source.read(&mut self.buffer) {
            Ok(length) if length > 0 => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return true,
            // The end; for a terminal it is EIO, when the last process has closed it.
            _ => {
                self.sources[stream.index()] = None;
                return false;
            }
        };
        if length >= MUCH && self.terminal.is_none() {
            pipe::grow(source.as_fd(), PIPE);
        }
        let bytes = &self.buffer[..length];
        if let Some(log) = &mut self.log {
            log.write(stream, bytes);
            let unfinished = [Stream::Stdout, Stream::Stderr].map(|s| log.unfinished(s).is_empty());
            self.pause_ends = (unfinished != [true; 2]).then(|| Instant::now() + PAUSE);
        }
        let piece = Piece { stream, bytes };
        for client in &mut self.clients {
            if self.ended { client.keep(piece) } else { client.offer(piece) }
        }
        if self.clients.iter().any(Client::holds_piece) {
            self.piece = Some((stream, length));
        }
        true
    }

    fn go_on(&mut self, index: usize) {
        let piece = self.piece.map(|(stream, n)| Piece { stream, bytes: &self.buffer[..n] });
        let log = self.log.as_ref();
        let unfinished = |stream| log.map_or(&[][..], |log| log.unfinished(stream));
        self.clients[index].go_on(piece, unfinished);
        if !self.clients.iter().any(Client::holds_piece) {
            self.piece = None;
        }
    }

    /// Reads input of a client.
    fn receive(&mut self, index: usize) {
        // The buffer is free, unless a client lags behind.
        let mut small = [0; 4096];
        let mut large = Vec::new();
        let buffer = if self.piece.is_none() {
            large = std::mem::take(&mut self.buffer);
            if large.is_empty() {
                large = vec![0; READ];
            }
            &mut large[..]
        } else {
            &mut small[..]
        };
        let length = buffer.len().min(self.input.room());
        if length > 0 {
            match socket::receive_now(self.clients[index].socket(), &mut buffer[..length]) {
                Ok(0) => self.input_ended(index),
                Ok(length) => self.typed(index, &buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => {
                    self.clients[index].writes = false;
                    self.input_ended(index);
                }
            }
        }
        if !large.is_empty() {
            self.buffer = large;
        }
    }

    /// Forwards what a client has sent.
    fn typed(&mut self, index: usize, bytes: &[u8]) {
        let client = &mut self.clients[index];
        let mut filter = |queue: &mut Vec<u8>| client.detacher.filter(bytes, queue);
        let detached = self.input.add(&mut filter);
        if detached.unwrap_or_else(|| filter(&mut Vec::new())) {
            // It asked to go; what it has not taken is not wanted.
            client.reads = false;
            client.writes = false;
            client.leaves = true;
            self.detached += 1;
        }
    }

    /// How many clients have asked to go by their detach keys since the last call.
    pub(super) fn take_detached(&mut self) -> usize {
        std::mem::take(&mut self.detached)
    }

    fn input_ended(&mut self, index: usize) {
        let client = &mut self.clients[index];
        client.reads = false;
        let ends_input = self.stdin_once && !self.tty;
        client.leaves |= client.once() && !ends_input;
        self.input.add(|queue| queue.extend_from_slice(client.detacher.rest()));
        if ends_input {
            self.input.end();
        }
    }

    fn sweep(&mut self) {
        let mut index = 0;
        while let Some(client) = self.clients.get(index) {
            if client.is_done() {
                let linger = self.clients.swap_remove(index).close();
                self.lingering.extend(linger.map(|socket| (socket, Instant::now() + LINGER)));
            } else {
                index += 1;
            }
        }
        if !self.clients.iter().any(Client::holds_piece) {
            self.piece = None;
        }
    }
}
