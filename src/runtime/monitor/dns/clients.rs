//! Streams of the container's resolvers: a length before each message. RFC 7766.
//!
//! One question at a time: the next is read when the answer is gone.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use super::LONGEST_QUESTION;
use crate::sys::poll::{Interest, Ready};

/// A stream without a word for so long is closed; an answer may take as long.
const IDLE: Duration = Duration::from_secs(20);

/// A stream.
pub(super) struct Client {
    stream: TcpStream,
    /// What tells it from others.
    pub(super) number: u64,
    input: Vec<u8>,
    output: Vec<u8>,
    /// Its question is under way.
    waits: bool,
    ended: bool,
    open: bool,
    /// When it is closed.
    pub(super) until: Instant,
}

impl Client {
    pub(super) fn new(stream: TcpStream, number: u64) -> io::Result<Client> {
        stream.set_nonblocking(true)?;
        Ok(Client {
            stream,
            number,
            input: Vec::new(),
            output: Vec::new(),
            waits: false,
            ended: false,
            open: true,
            until: Instant::now() + IDLE,
        })
    }

    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    pub(super) fn close(&mut self) {
        self.open = false;
    }

    pub(super) fn interest(&self) -> Interest {
        match (self.output.is_empty(), self.waits || self.ended) {
            (false, _) => Interest::WRITE,
            (true, false) => Interest::READ,
            (true, true) => Interest::GONE,
        }
    }

    /// Writes and reads what can be.
    pub(super) fn serve(&mut self, ready: Ready, buffer: &mut [u8]) {
        if !self.output.is_empty() && ready.writable() {
            self.flush();
        }
        if self.waits || self.ended || !self.output.is_empty() {
            // It is gone: nothing can be written any more.
            self.open &= !ready.hung_up();
            return;
        }
        if !ready.readable() {
            return;
        }
        match self.stream.read(&mut buffer[..LONGEST_QUESTION]) {
            Ok(0) => self.ended = true,
            Ok(length) => {
                self.input.extend_from_slice(&buffer[..length]);
                self.until = Instant::now() + IDLE;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.open = false,
        }
        self.open &= !self.ended || self.has_question();
    }

    fn length(&self) -> Option<usize> {
        let length = self.input.first_chunk::<2>()?;
        Some(usize::from(u16::from_be_bytes(*length)))
    }

    fn has_question(&self) -> bool {
        self.length().is_some_and(|length| self.input.len() >= 2 + length)
    }

    /// The next question, when it is there whole and the one before is answered.
    pub(super) fn take_question(&mut self) -> Option<Vec<u8>> {
        if !self.open || self.waits || !self.output.is_empty() {
            return None;
        }
        if self.length().is_some_and(|length| length > LONGEST_QUESTION) {
            self.open = false;
        }
        if !self.has_question() {
            return None;
        }
        let rest = self.input.split_off(2 + self.length()?);
        let question = std::mem::replace(&mut self.input, rest).split_off(2);
        self.waits = true;
        self.until = Instant::now() + IDLE;
        Some(question)
    }

    /// Sends an answer.
    pub(super) fn reply(&mut self, answer: &[u8]) {
        let Ok(length) = u16::try_from(answer.len()) else { return self.close() };
        self.output.extend_from_slice(&length.to_be_bytes());
        self.output.extend_from_slice(answer);
        self.waits = false;
        self.flush();
    }

    fn flush(&mut self) {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(0) => return self.close(),
                Ok(length) => {
                    self.output.drain(..length);
                    self.until = Instant::now() + IDLE;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => return self.close(),
            }
        }
        self.open &= !self.ended || self.has_question();
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
