//! The program's standard input: bytes of clients, in the order in which they came.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// So much is taken from clients before the program has read it.
const LIMIT: usize = 64 * 1024;

/// The way in.
pub(super) enum Input {
    /// The program has none, or has closed it: what clients send is dropped.
    Closed,
    /// There will be one.
    Coming(Queue),
    /// A pipe, or a terminal's master; ours does not block.
    Open(File, Queue),
}

/// Bytes on their way in.
#[derive(Default)]
pub(super) struct Queue {
    bytes: Vec<u8>,
    written: usize,
    /// Close the pipe when all is written.
    ends: bool,
}

impl Input {
    /// The pipe or the terminal is there.
    pub(super) fn open(&mut self, sink: OwnedFd) {
        if let Input::Coming(queue) = self {
            *self = Input::Open(File::from(sink), std::mem::take(queue));
            self.write();
        }
    }

    fn queue(&mut self) -> Option<&mut Queue> {
        match self {
            Input::Closed => None,
            Input::Coming(queue) | Input::Open(_, queue) => Some(queue),
        }
    }

    /// How many bytes may be taken from clients now; those for a closed input are dropped.
    pub(super) fn room(&self) -> usize {
        match self {
            Input::Closed => LIMIT,
            Input::Coming(queue) | Input::Open(_, queue) => LIMIT.saturating_sub(queue.bytes.len()),
        }
    }

    /// Takes bytes of a client in by way of `fill`; gives what that gives, `None` when nobody
    /// will read them.
    pub(super) fn add<T>(&mut self, fill: impl FnOnce(&mut Vec<u8>) -> T) -> Option<T> {
        let queue = self.queue()?;
        let ends = queue.ends;
        let before = queue.bytes.len();
        let result = fill(&mut queue.bytes);
        if ends {
            // The client that ended the input was the last to be heard.
            queue.bytes.truncate(before);
        }
        self.write();
        Some(result)
    }

    /// Ends the program's input once it has got all that came before.
    pub(super) fn end(&mut self) {
        if let Some(queue) = self.queue() {
            queue.ends = true;
        }
        self.write();
    }

    /// What to wait for room in, if anything is waiting.
    pub(super) fn waits_for(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Input::Open(sink, queue) if !queue.bytes.is_empty() => Some(sink.as_fd()),
            _ => None,
        }
    }

    /// Writes what the program takes now.
    pub(super) fn write(&mut self) {
        let Input::Open(sink, queue) = self else { return };
        while queue.written < queue.bytes.len() {
            match sink.write(&queue.bytes[queue.written..]) {
                Ok(count) => queue.written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The program has closed it, or is gone.
                Err(_) => {
                    *self = Input::Closed;
                    return;
                }
            }
        }
        queue.bytes.clear();
        queue.written = 0;
        if queue.ends {
            *self = Input::Closed;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::sys::pipe;

    #[test]
    fn input_waits_for_the_pipe_and_for_the_reader() {
        let (mut reader, sink) = {
            let (reader, sink) = pipe::pipe().unwrap();
            pipe::set_nonblocking(sink.as_fd()).unwrap();
            (File::from(reader), sink)
        };
        let mut input = Input::Coming(Queue::default());
        input.add(|bytes| bytes.extend_from_slice(b"early ")).unwrap();
        assert!(input.waits_for().is_none());
        input.open(sink);
        let mut total = 6;
        while input.waits_for().is_none() {
            let room = input.room();
            input.add(|bytes| bytes.resize(bytes.len() + room, b'x')).unwrap();
            total += room;
        }
        input.end();
        let mut got = Vec::new();
        while input.waits_for().is_some() {
            let mut piece = [0; 10_000];
            let count = reader.read(&mut piece).unwrap();
            got.extend_from_slice(&piece[..count]);
            input.write();
        }
        reader.read_to_end(&mut got).unwrap();
        assert_eq!(got.len(), total);
        assert!(got.starts_with(b"early x"));
        assert!(input.add(|_| ()).is_none());
    }

    #[test]
    fn nothing_is_kept_for_a_reader_that_is_gone() {
        let (reader, sink) = pipe::pipe().unwrap();
        let mut input = Input::Coming(Queue::default());
        input.open(sink);
        drop(reader);
        crate::sys::signal::ignore(13).unwrap();
        input.add(|bytes| bytes.push(1)).unwrap();
        assert!(matches!(input, Input::Closed));
    }
}
