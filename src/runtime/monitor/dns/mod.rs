//! The name server of a container on networks that users have made: 127.0.0.11 inside of it.
//!
//! - There is none, and it costs nothing, unless the daemon hands its two sockets over. They were
//!   opened in the container's network namespace; others cannot reach them.
//! - Names are in files that the daemon writes; they are looked at with each question. All else is
//!   passed on, as the bytes that it came as, to servers that are chosen anew for each question.
//! - What the container sends costs bounded memory, descriptors and time, whatever it is.

mod clients;
mod forward;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use clients::Client;
use forward::Asked;

use crate::base::Result;
use crate::dns::message::{self, Failure, Kind, Question, Record};
use crate::runtime::dns::names::{Names, Server};
use crate::sys::ns::{self, NsKind};
use crate::sys::poll::{Interest, PollSet, Ready};

/// Longest message.
const LONGEST: usize = 65_535;
/// Longest question; resolvers ask in a few hundred bytes.
const LONGEST_QUESTION: usize = 4096;
/// Most questions that are passed on at once; further ones fail at once.
const MOST_ASKED: usize = 96;
/// Most streams of the container at once: the one that is idle for the longest gives way.
const MOST_CLIENTS: usize = 16;
/// Most datagrams that are read before others have their turn.
const AT_ONCE: usize = 32;
/// Pause after a stream that could not be taken.
const DEAF: Duration = Duration::from_millis(200);
/// For so long the server that has answered last is asked first.
const MEMORY: Duration = Duration::from_secs(60);

/// What a descriptor in the poll set stands for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    Datagrams,
    Streams,
    Client(usize),
    Asked(usize),
}

/// Who has asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    Datagram(SocketAddr),
    /// The stream with this number.
    Stream(u64),
}

/// The sockets that a server needs.
pub(super) struct Sockets {
    datagrams: UdpSocket,
    streams: TcpListener,
    /// The container's network namespace.
    inside: OwnedFd,
}

impl Sockets {
    /// Datagrams, streams, the container's network namespace, in this order.
    pub(super) fn from(fds: Vec<OwnedFd>) -> Option<Sockets> {
        let mut fds = fds.into_iter();
        let (datagrams, streams, inside) = (fds.next()?, fds.next()?, fds.next()?);
        Some(Sockets { datagrams: datagrams.into(), streams: streams.into(), inside })
    }
}

/// A name server.
pub(super) struct NameServer {
    sockets: Sockets,
    /// Our own network namespace.
    outside: OwnedFd,
    random: File,
    names: Names,
    clients: Vec<Client>,
    asked: Vec<Asked>,
    /// Numbers of streams.
    next: u64,
    /// Turns the addresses of a name.
    turn: usize,
    deaf_until: Option<Instant>,
    /// Who answered last, and when.
    good: Option<(Server, Instant)>,
    buffer: Vec<u8>,
}

impl NameServer {
    /// Serves what the files in `run_dir` and, of networks, in `dir` say.
    pub(super) fn new(sockets: Sockets, run_dir: &Path, dir: &Path) -> Result<NameServer> {
        sockets.datagrams.set_nonblocking(true)?;
        sockets.streams.set_nonblocking(true)?;
        Ok(NameServer {
            sockets,
            outside: File::open("/proc/thread-self/ns/net")?.into(),
            random: File::open("/dev/urandom")?,
            names: Names::new(run_dir, dir),
            clients: Vec::new(),
            asked: Vec::new(),
            next: 0,
            turn: 0,
            deaf_until: None,
            good: None,
            buffer: Vec::new(),
        })
    }

    pub(super) fn watch(&self, set: &mut PollSet, mut add: impl FnMut(Part)) {
        set.push(self.sockets.datagrams.as_fd(), Interest::READ);
        add(Part::Datagrams);
        if self.deaf_until.is_none() {
            set.push(self.sockets.streams.as_fd(), Interest::READ);
            add(Part::Streams);
        }
        for (index, client) in self.clients.iter().enumerate() {
            set.push(client.as_fd(), client.interest());
            add(Part::Client(index));
        }
        for (index, asked) in self.asked.iter().enumerate() {
            if let Some((fd, interest)) = asked.waits_for() {
                set.push(fd, interest);
                add(Part::Asked(index));
            }
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        let clients = self.clients.iter().map(|client| client.until);
        let asked = self.asked.iter().map(|asked| asked.until);
        clients.chain(asked).chain(self.deaf_until).min()
    }

    pub(super) fn handle(&mut self, part: Part, ready: Ready) {
        self.buffer.resize(LONGEST, 0);
        match part {
            Part::Datagrams => self.read_datagrams(),
            Part::Streams => self.accept(),
            Part::Client(index) => self.serve_client(index, ready),
            Part::Asked(index) => self.hear(index),
        }
    }

    /// Does what is due. Indices change only here.
    pub(super) fn settle(&mut self, now: Instant) {
        self.deaf_until.take_if(|end| *end <= now);
        for index in 0..self.asked.len() {
            if self.asked[index].until <= now && self.asked[index].is_open() {
                self.try_next(index);
            }
        }
        // Those that had to wait for the answer to the one before.
        for index in 0..self.clients.len() {
            self.next_of(index);
        }
        self.asked.retain(Asked::is_open);
        self.clients.retain(|client| client.is_open() && client.until > now);
        if self.asked.is_empty() && self.clients.is_empty() {
            // An idle one keeps nothing.
            self.buffer = Vec::new();
        }
    }

    fn read_datagrams(&mut self) {
        for _ in 0..AT_ONCE {
            let buffer = &mut self.buffer[..LONGEST_QUESTION + 1];
            let Ok((length, from)) = self.sockets.datagrams.recv_from(buffer) else { return };
            if length > LONGEST_QUESTION {
                continue;
            }
            let packet = buffer[..length].to_vec();
            self.question(From::Datagram(from), packet);
        }
    }

    fn accept(&mut self) {
        for _ in 0..AT_ONCE {
            let stream = match self.sockets.streams.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return,
                // Out of descriptors: the listener would be ready all the time.
                Err(_) => {
                    self.deaf_until = Some(Instant::now() + DEAF);
                    return;
                }
            };
            let open = self.clients.iter().filter(|client| client.is_open()).count();
            if open >= MOST_CLIENTS {
                let idle = self.clients.iter_mut().filter(|client| client.is_open());
                if let Some(oldest) = idle.min_by_key(|client| client.until) {
                    oldest.close();
                }
            }
            if let Ok(client) = Client::new(stream, self.next) {
                self.next += 1;
                self.clients.push(client);
            }
        }
    }

    fn serve_client(&mut self, index: usize, ready: Ready) {
        self.clients[index].serve(ready, &mut self.buffer);
        self.next_of(index);
    }

    /// Answers the next question of a stream, if one is there whole.
    fn next_of(&mut self, index: usize) {
        while let Some(packet) = self.clients[index].take_question() {
            let from = From::Stream(self.clients[index].number);
            self.question(from, packet);
        }
    }

    /// Answers a question, or passes it on.
    fn question(&mut self, from: From, packet: Vec<u8>) {
        let asked = match Question::parse(&packet) {
            Ok(asked) => asked,
            Err(None) => return self.drop_question(from),
            Err(Some(failure)) => return self.reply(from, message::refusal(&packet, failure)),
        };
        self.names.refresh();
        let limit = match from {
            From::Datagram(_) => asked.datagram(),
            From::Stream(_) => LONGEST,
        };
        if let Some(records) = self.look_up(&asked) {
            let answer = asked.answer(&records, limit);
            return self.reply(from, answer);
        }
        let servers = self.servers();
        let busy = self.asked.iter().filter(|asked| asked.is_open()).count() >= MOST_ASKED;
        if servers.is_empty() || busy {
            let answer = asked.refuse(Failure::ServerFailed);
            return self.reply(from, answer);
        }
        self.asked.push(Asked::new(from, packet, servers));
        self.try_next(self.asked.len() - 1);
    }

    /// What is known here of what is asked; `None` when others are to be asked.
    fn look_up(&mut self, asked: &Question<'_>) -> Option<Vec<Record>> {
        if !asked.is_of_internet() || asked.name.is_empty() {
            return None;
        }
        if let Some(address) = asked.pointed_at() {
            return Some(vec![Record::Name(self.names.name_of(address)?)]);
        }
        let mut addresses = self.names.addresses(&asked.name)?;
        addresses.retain(|address| match asked.kind {
            Kind::V4 => address.is_ipv4(),
            Kind::V6 => address.is_ipv6(),
            Kind::Any => true,
            Kind::Pointer | Kind::Other => false,
        });
        if addresses.len() > 1 {
            self.turn = self.turn.wrapping_add(1);
            let turn = self.turn % addresses.len();
            addresses.rotate_left(turn);
        }
        Some(addresses.into_iter().map(Record::Address).collect())
    }

    /// Whom to ask: who has answered last comes first.
    fn servers(&mut self) -> Vec<Server> {
        let mut servers = self.names.servers();
        if let Some((good, when)) = self.good {
            if when.elapsed() < MEMORY {
                if let Some(at) = servers.iter().position(|server| *server == good) {
                    servers[..=at].rotate_right(1);
                }
            }
        }
        servers
    }

    /// Gives an answer to who has asked; nobody is told when it cannot be delivered.
    fn reply(&mut self, from: From, answer: Vec<u8>) {
        match from {
            From::Datagram(address) => {
                drop(self.sockets.datagrams.send_to(&answer, address));
            }
            From::Stream(number) => {
                if let Some(client) = self.clients.iter_mut().find(|c| c.number == number) {
                    client.reply(&answer);
                }
            }
        }
    }

    /// What deserves no answer ends its stream.
    fn drop_question(&mut self, from: From) {
        if let From::Stream(number) = from {
            if let Some(client) = self.clients.iter_mut().find(|c| c.number == number) {
                client.close();
            }
        }
    }

    /// Runs `work`, which opens a socket, in the container's network namespace or in ours.
    fn within<T>(
        &self,
        inside: bool,
        work: impl FnOnce() -> std::io::Result<T>,
    ) -> std::io::Result<T> {
        if !inside {
            return work();
        }
        ns::enter(self.sockets.inside.as_fd(), NsKind::Net)?;
        let result = work();
        if let Err(error) = ns::enter(self.outside.as_fd(), NsKind::Net) {
            crate::error!("return to the host's network: {error}");
        }
        result
    }
}

/// Any address of the family of `peer`.
fn any_like(peer: IpAddr) -> SocketAddr {
    match peer {
        IpAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        IpAddr::V6(_) => ([0_u16; 8], 0).into(),
    }
}
