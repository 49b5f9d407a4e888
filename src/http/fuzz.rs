//! What strangers send, mutated from what they should: nothing panics, nothing hangs, memory stays
//! bounded, and how the bytes are cut into reads changes nothing.
//!
//! Deterministic; `SKIFF_FUZZ_SECONDS` lets it run for longer.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use super::head;
use super::input::{Body, Input};
use super::server::{Exchange, Handler, Limits, Peer, Reply, serve_connection};

const SEEDS: &[&str] = &[
    "GET /v1.44/containers/json?all=1&filters=%7B%7D HTTP/1.1\r\nHost: d\r\n\r\n",
    "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.0\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n1a\r\n\
     abcdefghijklmnopqrstuvwxyz\r\n0\r\nT: v\r\n\r\nGET / HTTP/1.1\r\nHost: d\r\n\r\n",
    "POST /hijack HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\nearly",
    "PUT http://d/x HTTP/1.1\r\nHost: d\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhi",
    "HEAD /_ping HTTP/1.0\r\nConnection: keep-alive\r\n\r\nHEAD /_ping HTTP/1.0\r\n\r\n",
];

const WORDS: &[&str] = &[
    "\r\n",
    "\n",
    "\r",
    "\r\n\r\n",
    " ",
    "\t",
    ":",
    ";",
    ",",
    "0",
    "00",
    "-1",
    "+5",
    "0x1",
    "\0",
    "Content-Length: 5\r\n",
    "Content-Length: 99999999999999999999\r\n",
    "18446744073709551615",
    "Transfer-Encoding: chunked\r\n",
    "Transfer-Encoding : chunked\r\n",
    "chunked",
    "identity",
    "Expect: 100-continue\r\n",
    "Connection: close\r\n",
    "Host: e\r\n",
    "HTTP/1.1",
    "HTTP/2.0",
    "ffffffffffffffff\r\n",
    "10000000000000000\r\n",
    "%",
    "%zz",
    "%00",
    "?",
    "é",
    "\u{feff}",
];

/// xorshift: the same mutations on every machine.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound.max(1) as u64).unwrap()
    }

    fn mutated(&mut self) -> Vec<u8> {
        let mut bytes = SEEDS[self.below(SEEDS.len())].as_bytes().to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len() + 1);
            match self.below(6) {
                0 if at < bytes.len() => bytes[at] = u8::try_from(self.below(256)).unwrap(),
                1 if at < bytes.len() => drop(bytes.remove(at)),
                2 => bytes.truncate(at),
                3 => {
                    let other = SEEDS[self.below(SEEDS.len())].as_bytes();
                    bytes.truncate(at);
                    bytes.extend_from_slice(&other[self.below(other.len())..]);
                }
                4 => {
                    let again = bytes[at..].to_vec();
                    bytes.extend_from_slice(&again);
                }
                _ => {
                    let word = WORDS[self.below(WORDS.len())].bytes();
                    drop(bytes.splice(at..at, word));
                }
            }
        }
        bytes
    }
}

/// Runs `check` on mutated inputs: `rounds` times, or for as long as the environment says.
fn each(rounds: usize, mut check: impl FnMut(&[u8])) {
    let seconds = std::env::var("SKIFF_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok());
    let time = seconds.map(Duration::from_secs);
    let (mut dice, began) = (Dice(0x5EED_0F5C), Instant::now());
    for round in 0.. {
        if time.map_or(round >= rounds, |time| began.elapsed() >= time) {
            break;
        }
        check(&dice.mutated());
    }
}

/// Gives bytes in pieces.
struct Cut<'a>(&'a [u8], usize);

impl Read for Cut<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.1.min(out.len()).min(self.0.len());
        out[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
}

/// All that one connection's bytes mean: heads, bodies, and where it went wrong.
fn meaning(bytes: &[u8], step: usize, room: usize) -> Vec<String> {
    let (mut input, mut from) = (Input::new(room), Cut(bytes, step));
    let mut said = Vec::new();
    loop {
        let mut seen = 0;
        let end = loop {
            if let Some(end) = head::end(input.unread(), seen) {
                break end;
            }
            seen = input.unread().len();
            if input.fill(&mut from).unwrap() == 0 {
                said.push(format!("{} left", input.unread().len()));
                return said;
            }
        };
        let request = match head::parse(&input.unread()[..end]) {
            Ok(request) => request,
            Err(refusal) => {
                said.push(format!("{refusal:?}"));
                return said;
            }
        };
        input.consume(end);
        let (mut body, mut all, mut piece) = (Body::new(request.framing), Vec::new(), [0; 5]);
        said.push(format!("{:?}", request.head));
        loop {
            match body.read(&mut input, &mut from, &mut piece) {
                Ok(0) => break,
                Ok(count) => all.extend_from_slice(&piece[..count]),
                Err(error) => {
                    said.push(format!("{all:?} {error}"));
                    return said;
                }
            }
        }
        assert!(all.len() <= bytes.len());
        said.push(format!("{all:?}"));
    }
}

#[test]
fn the_cut_of_the_bytes_changes_nothing() {
    each(3000, |bytes| {
        let whole = meaning(bytes, usize::MAX, 4096);
        for (step, room) in [(1, 1), (1, 64), (3, 7), (usize::MAX, 2)] {
            assert_eq!(meaning(bytes, step, room), whole, "{:?}", String::from_utf8_lossy(bytes));
        }
    });
}

/// Reads, answers, takes over.
struct Every;

impl Handler for Every {
    fn handle(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        if exchange.head.path == "/hijack" {
            return exchange.hijack("application/vnd.docker.raw-stream").map(drop);
        }
        let body = exchange.body_bytes(1 << 16).unwrap_or_default();
        let path = exchange.head.path.clone();
        exchange.reply(Reply {
            headers: vec![("X-Path".into(), path)],
            status: 200,
            body,
            ..Reply::default()
        })
    }
}

#[test]
fn a_connection_ends_whatever_is_sent() {
    let limits = Limits { connections: 1, head_timeout: Duration::from_secs(2) };
    each(500, |bytes| {
        let (near, far) = UnixStream::pair().unwrap();
        let limits = limits.clone();
        let server = std::thread::spawn(move || {
            serve_connection(far.into(), Peer::Unix(1, 0, 0), &limits, &Every);
        });
        near.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // It may be sent away before all is said.
        drop((&near).write_all(bytes));
        near.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        let read = (&near).read_to_end(&mut answer);
        let text = String::from_utf8_lossy(bytes);
        assert!(
            !matches!(&read, Err(error) if error.kind() == io::ErrorKind::WouldBlock),
            "{text:?}"
        );
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{text:?}");
        server.join().unwrap();
    });
}
