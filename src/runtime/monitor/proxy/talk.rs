//! Datagrams to published ports, and back.
//!
//! - Who sends from one address and port has a conversation: a socket of its own towards the
//!   container. It ends when nothing was said for 90 seconds, in either direction.
//! - Answers come from the address that was spoken to.
//! - A flood of strangers ends the conversations that were silent for longest, and no others.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use super::slab::Slab;
use super::{Listener, TURN, Token, forget};
use crate::sys::poll::{Epoll, Interest};
use crate::sys::{inet, socket};

/// How long a conversation outlives the last datagram.
const SILENCE: Duration = Duration::from_secs(90);
/// Most conversations of a container.
const MOST: usize = 1024;
/// Ends are looked for no more often.
const STEP: Duration = Duration::from_secs(1);
/// The longest datagram.
const LONGEST: usize = 64 * 1024;

/// Who talks: at which port, from where, to which of the host's addresses.
type Key = (u32, SocketAddr, Option<IpAddr>);

struct Talk {
    key: Key,
    socket: OwnedFd,
    /// When something was said last.
    last: Instant,
}

/// All conversations.
#[derive(Default)]
pub(super) struct Talks {
    all: Slab<Talk>,
    by_key: BTreeMap<Key, u32>,
    /// None ends before.
    next_end: Option<Instant>,
    buffer: Vec<u8>,
}

impl Talks {
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.next_end
    }

    /// Passes on what has arrived at port `index` and is for `to`; there is room for so many
    /// conversations.
    pub(super) fn pass_on(
        &mut self,
        epoll: &Epoll,
        (index, port, to): (u32, BorrowedFd<'_>, &SocketAddr),
        room: usize,
    ) {
        let mut buffer = self.take_buffer();
        for _ in 0..TURN {
            let arrived = match inet::receive_from(port, &mut buffer) {
                Ok(arrived) => arrived,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // What earlier ones have met; taking it makes room for the next.
                Err(_) => continue,
            };
            let key = (index, arrived.from, arrived.to);
            let talk = match self.by_key.get(&key) {
                Some(talk) => *talk,
                None => match self.begin(epoll, key, to, room) {
                    Ok(talk) => talk,
                    Err(error) => {
                        crate::debug!("proxy: datagrams to {to}: {error}");
                        continue;
                    }
                },
            };
            if let Some(talk) = self.all.get_mut(talk) {
                talk.last = Instant::now();
                send(talk.socket.as_fd(), &buffer[..arrived.length]);
            }
        }
        self.buffer = buffer;
    }

    /// Passes on what the container answers in conversation `index`.
    pub(super) fn answer(&mut self, listeners: &Slab<Listener>, index: u32) {
        let mut buffer = self.take_buffer();
        if let Some(talk) = self.all.get_mut(index) {
            let (port, client, own) = &talk.key;
            for _ in 0..TURN {
                match socket::receive_now(talk.socket.as_fd(), &mut buffer) {
                    Ok(length) => {
                        talk.last = Instant::now();
                        let Some(port) = listeners.get(*port) else { break };
                        let bytes = &buffer[..length];
                        let sent = inet::send_to(port.socket.as_fd(), bytes, client, *own);
                        if let Err(error) = sent {
                            crate::debug!("proxy: answer to {client}: {error}");
                        }
                    }
                    // The container does not listen; it may some time.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                    Err(_) => break,
                }
            }
        }
        self.buffer = buffer;
    }

    fn take_buffer(&mut self) -> Vec<u8> {
        let mut buffer = std::mem::take(&mut self.buffer);
        // Pages that are not touched do not count.
        buffer.resize(LONGEST, 0);
        buffer
    }

    fn begin(&mut self, epoll: &Epoll, key: Key, to: &SocketAddr, room: usize) -> io::Result<u32> {
        if self.all.len() >= MOST.min(room) {
            let oldest = self.all.iter().min_by_key(|(_, talk)| talk.last).map(|(index, _)| index);
            match oldest {
                Some(index) => self.end(epoll, index),
                None => return Err(io::Error::from_raw_os_error(libc::EMFILE)),
            }
        }
        let socket = inet::datagrams_with(to)?;
        let last = Instant::now();
        let index = self.all.insert(Talk { key, socket, last });
        let token = Token::Talk(index).number();
        epoll.add(self.all[index].socket.as_fd(), Interest::READ, token).inspect_err(|_| {
            self.all.remove(index);
        })?;
        self.by_key.insert(key, index);
        self.next_end.get_or_insert(last + SILENCE);
        Ok(index)
    }

    fn end(&mut self, epoll: &Epoll, index: u32) {
        if let Some(talk) = self.all.remove(index) {
            forget(epoll, talk.socket.as_fd());
            self.by_key.remove(&talk.key);
        }
    }

    /// Ends the conversations at a port that is not served any more.
    pub(super) fn drop_listener(&mut self, epoll: &Epoll, listener: u32) {
        let here = |(index, talk): (u32, &Talk)| (talk.key.0 == listener).then_some(index);
        for index in self.all.iter().filter_map(here).collect::<Vec<_>>() {
            self.end(epoll, index);
        }
    }

    /// Ends what was silent for long enough.
    pub(super) fn settle(&mut self, epoll: &Epoll, now: Instant) {
        if self.next_end.is_none_or(|end| end > now) {
            return;
        }
        let over = |(index, talk): (u32, &Talk)| (talk.last + SILENCE <= now).then_some(index);
        for index in self.all.iter().filter_map(over).collect::<Vec<_>>() {
            self.end(epoll, index);
        }
        self.tidy();
        let first = self.all.iter().map(|(_, talk)| talk.last + SILENCE).min();
        self.next_end = first.map(|first| first.max(now + STEP));
    }

    pub(super) fn tidy(&mut self) {
        self.all.tidy();
        if self.all.is_empty() {
            *self = Talks::default();
        }
    }
}

/// Sends to the container. A datagram that came back earlier is told of by the next one, which is
/// sent again then.
fn send(socket: BorrowedFd<'_>, bytes: &[u8]) {
    let parts = [io::IoSlice::new(bytes)];
    for _ in 0..2 {
        match socket::send_now(socket, &parts) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            _ => return,
        }
    }
}
