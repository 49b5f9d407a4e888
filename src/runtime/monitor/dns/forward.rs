//! Questions that others are asked: each by a socket of its own, so that its port is as random as
//! its id and the kernel takes answers from that server alone.
//!
//! A server that does not answer in time, refuses, or fails gives way to the next. What came as a
//! stream is asked by a stream: an answer that was cut is asked for again like that.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use super::{AT_ONCE, From, LONGEST, NameServer, any_like};
use crate::dns::message::{self, Failure, Question};
use crate::runtime::dns::names::Server;
use crate::sys::inet;
use crate::sys::poll::Interest;

/// For a server to answer. Resolvers wait for five seconds.
const ANSWER: Duration = Duration::from_secs(2);
/// The same for a stream, which has to be opened first.
const ANSWER_BY_STREAM: Duration = Duration::from_secs(4);
/// How often a question is sent at least.
const LEAST_TRIES: usize = 2;
/// Codes of an answer that another server may know better: failed, not implemented, refused.
const TRY_ANOTHER: [u8; 3] = [2, 4, 5];

enum Link {
    None,
    Datagram(UdpSocket),
    Stream { stream: TcpStream, output: Vec<u8>, input: Vec<u8> },
}

/// A question under way.
pub(super) struct Asked {
    from: From,
    /// As it came.
    packet: Vec<u8>,
    servers: Vec<Server>,
    tries: usize,
    id: u16,
    link: Link,
    /// An answer for want of a better one.
    poor: Option<Vec<u8>>,
    open: bool,
    /// When the next server is asked.
    pub(super) until: Instant,
}

impl Asked {
    pub(super) fn new(from: From, packet: Vec<u8>, servers: Vec<Server>) -> Asked {
        Asked {
            from,
            packet,
            servers,
            tries: 0,
            id: 0,
            link: Link::None,
            poor: None,
            open: true,
            until: Instant::now(),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open
    }

    pub(super) fn waits_for(&self) -> Option<(BorrowedFd<'_>, Interest)> {
        match &self.link {
            Link::None => None,
            Link::Datagram(socket) => Some((socket.as_fd(), Interest::READ)),
            Link::Stream { stream, output, .. } => {
                let interest = if output.is_empty() { Interest::READ } else { Interest::WRITE };
                Some((stream.as_fd(), interest))
            }
        }
    }

    fn server(&self) -> Option<Server> {
        let at = self.tries.checked_sub(1)? % self.servers.len();
        self.servers.get(at).copied()
    }

    /// The answer when it is there; an error when this server gives none.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<Vec<u8>>> {
        match &mut self.link {
            Link::None => Ok(None),
            Link::Datagram(socket) => {
                let asked =
                    Question::parse(&self.packet).map_err(|_| io::ErrorKind::InvalidData)?;
                for _ in 0..AT_ONCE {
                    let answer = match socket.recv(buffer) {
                        Ok(length) => &buffer[..length],
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                        Err(error) => return Err(error),
                    };
                    // A guess of somebody who would like to answer in its place.
                    if asked.is_answered_by(answer, self.id) {
                        return Ok(Some(answer.to_vec()));
                    }
                }
                Ok(None)
            }
            Link::Stream { stream, output, input } => {
                if let Some(error) = stream.take_error()? {
                    return Err(error);
                }
                if !output.is_empty() {
                    match stream.write(output) {
                        Ok(length) => drop(output.drain(..length)),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                        Err(error) => return Err(error),
                    }
                    return Ok(None);
                }
                match stream.read(buffer) {
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(length) => input.extend_from_slice(&buffer[..length]),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                    Err(error) => return Err(error),
                }
                let Some(length) = input.first_chunk::<2>() else { return Ok(None) };
                let length = usize::from(u16::from_be_bytes(*length)).min(LONGEST);
                let Some(answer) = input.get(2..2 + length) else { return Ok(None) };
                let asked =
                    Question::parse(&self.packet).map_err(|_| io::ErrorKind::InvalidData)?;
                if !asked.is_answered_by(answer, self.id) {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                Ok(Some(answer.to_vec()))
            }
        }
    }
}

fn by_datagram(to: SocketAddr, packet: &[u8]) -> io::Result<Link> {
    let socket = UdpSocket::bind(any_like(to.ip()))?;
    socket.set_nonblocking(true)?;
    socket.connect(to)?;
    socket.send(packet)?;
    Ok(Link::Datagram(socket))
}

fn by_stream(to: SocketAddr, packet: &[u8]) -> io::Result<Link> {
    let stream = TcpStream::from(inet::begin_connect(&to)?);
    let length = u16::try_from(packet.len()).unwrap_or(0);
    let output = [&length.to_be_bytes()[..], packet].concat();
    Ok(Link::Stream { stream, output, input: Vec::new() })
}

impl NameServer {
    /// Asks the next server; when all have been asked, says so.
    pub(super) fn try_next(&mut self, index: usize) {
        loop {
            let asked = &mut self.asked[index];
            asked.link = Link::None;
            if asked.tries >= asked.servers.len().max(LEAST_TRIES) {
                return self.give_up(index);
            }
            asked.tries += 1;
            let mut id = [0; 2];
            if self.random.read_exact(&mut id).is_err() {
                return self.give_up(index);
            }
            asked.id = u16::from_be_bytes(id);
            let Some(server) = asked.server() else { return self.give_up(index) };
            let mut packet = asked.packet.clone();
            message::set_id(&mut packet, asked.id);
            let datagram = matches!(asked.from, From::Datagram(_));
            asked.until = Instant::now() + if datagram { ANSWER } else { ANSWER_BY_STREAM };
            let opened = self.within(server.inside, || match datagram {
                true => by_datagram(server.address, &packet),
                false => by_stream(server.address, &packet),
            });
            match opened {
                Ok(link) => {
                    self.asked[index].link = link;
                    return;
                }
                Err(error) => crate::debug!("ask {}: {error}", server.address),
            }
        }
    }

    fn give_up(&mut self, index: usize) {
        let asked = &mut self.asked[index];
        let answer = asked.poor.take().or_else(|| {
            let asked = Question::parse(&asked.packet).ok()?;
            Some(asked.refuse(Failure::ServerFailed))
        });
        self.finish(index, answer);
    }

    /// Takes what a server says.
    pub(super) fn hear(&mut self, index: usize) {
        let asked = &mut self.asked[index];
        match asked.read(&mut self.buffer) {
            Ok(None) => {}
            Ok(Some(mut answer)) => {
                message::set_id(&mut answer, message::id(&asked.packet).unwrap_or(0));
                if TRY_ANOTHER.contains(&message::code(&answer)) {
                    asked.poor = Some(answer);
                    return self.try_next(index);
                }
                self.good = asked.server().map(|server| (server, Instant::now()));
                self.finish(index, Some(answer));
            }
            Err(error) => {
                crate::debug!("a server gives no answer: {error}");
                self.try_next(index);
            }
        }
    }

    fn finish(&mut self, index: usize, answer: Option<Vec<u8>>) {
        let asked = &mut self.asked[index];
        asked.open = false;
        asked.link = Link::None;
        let from = asked.from;
        if let Some(answer) = answer {
            self.reply(from, answer);
        }
    }
}
