//! An attached container: the terminal, the two pumps, signals, detach keys.
//!
//! - One loop over poll(2): a program that reads no input cannot hold its output back, nor the
//!   other way round.
//! - The end of our standard input closes the container's, and nothing else.
//! - The keys that detach are recognised by the daemon, to which they are sent; that we see them
//!   too tells a detached stream from an ended one.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::client::{Client, Hijacked, Target};
use super::demux::{Demux, Output};
use super::fail::Failure;
use crate::model::Signal;
use crate::sys::poll::{self, Interest, PollSet};
use crate::sys::signal::{self, SignalFd};
use crate::sys::tty::{self, RawMode};

/// What is to be pumped.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    /// What its path begins with: `containers` or `exec`.
    pub(crate) family: &'static str,
    /// The container or the exec.
    pub(crate) id: String,
    /// It has a terminal: the stream has no frames.
    pub(crate) tty: bool,
    /// Our standard input goes to it.
    pub(crate) stdin: bool,
    /// Signals go to it.
    pub(crate) proxy: bool,
    /// Keys that detach, as the user wrote them.
    pub(crate) detach_keys: Option<String>,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The container closed its output.
    Output,
    /// By the keys.
    Detached,
}

/// Signals that are not passed on: they are about this process, or cannot be caught.
const OURS: [i32; 10] = [4, 5, 7, 8, 9, 11, 13, 17, 19, 23];
const WINCH: i32 = 28;
/// Output is read in pieces of this size.
const CHUNK: usize = 256 << 10;
/// Time for the daemon to detach us after the keys.
const DETACHING: Duration = Duration::from_secs(2);

/// What was set up before the container starts; dropping it restores terminal and signals.
pub(crate) struct Session<'a> {
    client: &'a Client,
    wish: Wish,
    signals: SignalFd,
    blocked: Vec<i32>,
}

impl<'a> Session<'a> {
    /// Takes the signals that the session needs. None is passed on before [`Session::pump`].
    ///
    /// # Errors
    /// Those of the kernel.
    pub(crate) fn new(client: &'a Client, wish: Wish) -> Result<Session<'a>, Failure> {
        let blocked: Vec<i32> = match (wish.tty, wish.proxy) {
            // The terminal is raw: whoever ends us must not leave it so.
            (true, _) => vec![WINCH, 1, 2, 15],
            (false, true) => (1..=31).filter(|signal| !OURS.contains(signal)).collect(),
            (false, false) => Vec::new(),
        };
        let signals = SignalFd::new(&blocked)?;
        Ok(Session { client, wish, signals, blocked })
    }

    /// Tells the container's terminal the size of ours. `redraw` sets another size first, so
    /// that its program draws anew.
    pub(crate) fn resize(&self, redraw: bool) {
        let Ok((rows, columns)) = tty::size(io::stdout().as_fd()) else { return };
        let mut sizes = vec![(rows, columns)];
        if redraw {
            sizes.insert(0, (rows.saturating_add(1), columns.saturating_add(1)));
        }
        for (rows, columns) in sizes {
            let target = Target::new(&[self.wish.family, &self.wish.id, "resize"])
                .query("h", &rows.to_string())
                .query("w", &columns.to_string());
            // A container that has just ended has no terminal, and needs no size.
            drop(self.client.post(target.as_str()));
        }
    }

    /// Pumps until the container closes its output or the user detaches.
    ///
    /// # Errors
    /// A closed standard output; a stream that is none.
    pub(crate) fn pump(&self, (socket, early): Hijacked) -> Result<Ended, Failure> {
        let stdin = io::stdin();
        let raw = self.wish.tty && self.wish.stdin && tty::is_terminal(stdin.as_fd());
        let _raw = if raw { Some(RawMode::enter(stdin.as_fd())?) } else { None };
        let socket = UnixStream::from(socket);
        socket.set_nonblocking(true)?;
        let mut out = Outputs::new(self.wish.tty)?;
        out.write(&early)?;
        let mut input = Input::new(self.wish.stdin, &self.wish)?;
        let mut chunk = vec![0; CHUNK];
        let mut set = PollSet::new();
        loop {
            set.clear();
            let both = Interest::READ.and(Interest::WRITE);
            let stream = set
                .push(socket.as_fd(), if input.pending.is_empty() { Interest::READ } else { both });
            let signals = set.push(self.signals.as_fd(), Interest::READ);
            let keys = (input.open && input.pending.is_empty())
                .then(|| set.push(input.file.as_fd(), Interest::READ));
            set.wait(input.deadline)?;
            if input.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
                return Ok(Ended::Detached);
            }
            if set.ready(signals).readable() {
                self.signal()?;
            }
            if set.ready(stream).writable() {
                input.send(&socket);
            }
            if keys.is_some_and(|keys| set.ready(keys).readable() || set.ready(keys).hung_up()) {
                input.read(&socket);
            }
            if set.ready(stream).readable() {
                match (&socket).read(&mut chunk) {
                    Ok(0) => return Ok(input.ended()),
                    Ok(count) => out.write(&chunk[..count])?,
                    Err(error) if would_block(&error) => {}
                    // The daemon is gone, or the monitor: the exit code tells the rest.
                    Err(_) => return Ok(input.ended()),
                }
            }
        }
    }

    fn signal(&self) -> Result<(), Failure> {
        while let Some(number) = self.signals.next() {
            if self.wish.tty {
                if number != WINCH {
                    return Err(Failure::silent(u8::try_from(128 + number).unwrap_or(1)));
                }
                self.resize(false);
            } else if let Some(signal) = Signal::from_number(number) {
                let target = Target::new(&[self.wish.family, &self.wish.id, "kill"])
                    .query("signal", &signal.number().to_string());
                // It may have ended by itself in this very moment.
                drop(self.client.post(target.as_str()));
            }
        }
        Ok(())
    }
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        // What waits for the exit code can be interrupted again.
        drop(signal::unblock(&self.blocked));
    }
}

fn would_block(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Our standard input on its way to the container.
struct Input {
    file: File,
    open: bool,
    /// Read and not yet sent.
    pending: Vec<u8>,
    /// The end is to be told once all is sent.
    closing: bool,
    keys: Vec<u8>,
    matched: usize,
    /// Set by the keys.
    deadline: Option<Instant>,
}

impl Input {
    fn new(open: bool, wish: &Wish) -> Result<Input, Failure> {
        let keys = match &wish.detach_keys {
            _ if !wish.tty => Vec::new(),
            Some(text) => detach_keys(text)?,
            None => vec![16, 17],
        };
        let file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let (pending, deadline) = (Vec::new(), None);
        Ok(Input { file, open, pending, closing: false, keys, matched: 0, deadline })
    }

    fn read(&mut self, socket: &UnixStream) {
        let mut buffer = vec![0; 64 << 10];
        match self.file.read(&mut buffer) {
            Ok(count) if count > 0 => {
                buffer.truncate(count);
                self.pending = buffer;
                self.look_for_keys();
            }
            Err(error) if would_block(&error) => {}
            // The end, or a terminal that is no more: both end the container's input.
            Ok(_) | Err(_) => {
                self.open = false;
                self.closing = true;
            }
        }
        self.send(socket);
    }

    /// Sends what is pending as far as the socket takes it; then the end, if it has come.
    fn send(&mut self, mut socket: &UnixStream) {
        while !self.pending.is_empty() {
            match socket.write(&self.pending) {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    // Nobody reads it any more; the output may go on.
                    self.pending.clear();
                    self.open = false;
                    self.closing = false;
                }
            }
        }
        if self.closing {
            self.closing = false;
            drop(socket.shutdown(Shutdown::Write));
        }
    }

    fn look_for_keys(&mut self) {
        if self.keys.is_empty() {
            return;
        }
        for (at, &byte) in self.pending.iter().enumerate() {
            if byte == self.keys[self.matched] {
                self.matched += 1;
            } else {
                self.matched = usize::from(byte == self.keys[0]);
            }
            if self.matched == self.keys.len() {
                self.pending.truncate(at + 1);
                self.open = false;
                self.deadline = Some(Instant::now() + DETACHING);
                return;
            }
        }
    }

    fn ended(&self) -> Ended {
        if self.deadline.is_some() { Ended::Detached } else { Ended::Output }
    }
}

/// The bytes of `ctrl-p,ctrl-q`, `a,b`, `ctrl-\`.
///
/// # Errors
/// A key that has no name.
pub(crate) fn detach_keys(text: &str) -> Result<Vec<u8>, Failure> {
    let key = |key: &str| match (key.as_bytes(), key.strip_prefix("ctrl-").map(str::as_bytes)) {
        ([byte], _) => Some(*byte),
        (_, Some([letter])) => match letter.to_ascii_lowercase() {
            letter @ b'a'..=b'z' => Some(letter - b'a' + 1),
            sign @ (b'@' | b'['..=b'_') => Some(sign - b'@'),
            _ => None,
        },
        _ => None,
    };
    text.split(',')
        .map(|name| key(name).ok_or_else(|| Failure::new(format!("Unknown character: '{name}'"))))
        .collect()
}

/// Standard output and error, raw or taken from frames.
pub(crate) struct Outputs {
    stdout: File,
    stderr: File,
    demux: Option<Demux>,
}

impl Outputs {
    /// `raw`: all goes to standard output as it comes.
    ///
    /// # Errors
    /// Standard streams that are not open.
    pub(crate) fn new(raw: bool) -> Result<Outputs, Failure> {
        Ok(Outputs {
            stdout: File::from(io::stdout().as_fd().try_clone_to_owned()?),
            stderr: File::from(io::stderr().as_fd().try_clone_to_owned()?),
            demux: (!raw).then(Demux::default),
        })
    }

    /// Writes the next bytes of the stream.
    ///
    /// # Errors
    /// A closed pipe, a full disk; frames that are none.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let out = |payload: &[u8]| {
            write_all(&self.stdout, payload).map_err(|error| Failure::output("output", error))
        };
        let Some(demux) = &mut self.demux else { return out(bytes) };
        demux.feed(bytes, &mut |output, payload| match output {
            Output::Stdout => out(payload),
            Output::Stderr => {
                write_all(&self.stderr, payload).map_err(|error| Failure::output("error", error))
            }
        })
    }
}

/// Writes all of `bytes`, also to a pipe that somebody else made non-blocking.
fn write_all(mut file: &File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let fd: BorrowedFd<'_> = file.as_fd();
                poll::wait(&[(fd, Interest::WRITE)], None)?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_names() {
        let keys = |text| detach_keys(text).map_err(|failure| failure.text);
        assert_eq!(keys("ctrl-p,ctrl-q"), Ok(vec![16, 17]));
        assert_eq!(keys("a,ctrl-[,ctrl-@"), Ok(vec![b'a', 27, 0]));
        assert_eq!(keys("foo"), Err("Unknown character: 'foo'".into()));
        assert!(keys("").is_err() && keys("ctrl-1").is_err());
    }

    #[test]
    fn keys_are_seen_split_and_joined() {
        let wish = Wish {
            family: "containers",
            id: String::new(),
            tty: true,
            stdin: true,
            proxy: false,
            detach_keys: None,
        };
        let seen = |pieces: &[&[u8]]| {
            let mut input = Input::new(true, &wish).unwrap();
            for piece in pieces {
                input.pending = piece.to_vec();
                input.look_for_keys();
            }
            (input.ended() == Ended::Detached, input.pending)
        };
        assert_eq!(seen(&[b"ab\x10\x11rest"]), (true, b"ab\x10\x11".to_vec()));
        assert!(seen(&[b"\x10", b"\x11"]).0);
        assert!(seen(&[b"\x10\x10\x11"]).0);
        assert!(!seen(&[b"\x10", b"x", b"\x11"]).0);
    }
}
