//! Attaching by websocket, in old versions and today's: section 8.13.

use serde_json::json;

use super::{Old, assert_exactly, shell};
use crate::harness::{Daemon, SOON, Setup, Wire};

/// A client by hand.
struct Socket(Wire);

impl Socket {
    /// The head of the answer, up to its empty line.
    fn ask(d: &Daemon, path: &str, headers: &[(&str, &str)]) -> (String, Wire) {
        let mut wire = d.wire();
        let mut head = format!("GET {path} HTTP/1.1\r\nHost: t\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        wire.send(head + "\r\n");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.extend(wire.exactly(1));
        }
        (String::from_utf8(answer).unwrap(), wire)
    }

    #[track_caller]
    fn open(d: &Daemon, path: &str) -> Socket {
        let (answer, wire) = Socket::ask(d, path, GOOD);
        assert_eq!(answer, ACCEPTED);
        Socket(wire)
    }

    /// A masked frame.
    fn send(&mut self, first: u8, payload: &[u8]) {
        assert!(payload.len() < 126);
        let mask = [0x12, 0x34, 0x56, 0x78];
        let mut frame = vec![first, 0x80 | payload.len() as u8];
        frame.extend(mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.0.send(frame);
    }

    /// First byte and payload.
    fn frame(&mut self) -> (u8, Vec<u8>) {
        let head = self.0.exactly(2);
        let length = match head[1] {
            126 => u16::from_be_bytes(self.0.exactly(2).try_into().unwrap()).into(),
            127 => u64::from_be_bytes(self.0.exactly(8).try_into().unwrap()) as usize,
            short => usize::from(short),
        };
        (head[0], self.0.exactly(length))
    }

    /// All payloads up to the close frame, whose status is the second.
    fn rest(&mut self) -> (Vec<u8>, u16) {
        let mut all = Vec::new();
        loop {
            match self.frame() {
                (0x88, status) => return (all, u16::from_be_bytes(status.try_into().unwrap())),
                (0x81 | 0x82, data) => all.extend(data),
                other => panic!("{other:?}"),
            }
        }
    }
}

const GOOD: &[(&str, &str)] = &[
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Origin", "http://example.com"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
];
const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

fn cors() -> Daemon {
    Setup::new().flag("-api-enable-cors").start()
}

fn cat(once: bool) -> serde_json::Value {
    json!({"Image": "busybox", "Cmd": ["cat"], "OpenStdin": true, "StdinOnce": once})
}

#[test]
fn a_log_comes_as_text_and_then_the_end() {
    let d = cors();
    for version in super::VERSIONS {
        let old = Old { d: &d, version };
        let id = old.running("echo hey");
        old.wait(&id);
        let path = old.path(&format!("/containers/{id}/attach/ws?logs=1&stdout=1"));
        let mut socket = Socket::open(&d, &path);
        assert_eq!(socket.0.rest(), b"\x81\x04hey\n\x88\x02\x03\xe8", "{version}");
    }
    d.assert_nothing_left_behind();
}

#[test]
fn input_output_pings_and_the_end() {
    let d = cors();
    let old = Old::new(&d);
    let id = old.create(&cat(true));
    let path = old.path(&format!("/containers/{id}/attach/ws?stream=1&stdin=1&stdout=1&stderr=1"));
    let mut socket = Socket::open(&d, &path);
    old.start(&id);
    socket.send(0x81, b"text");
    assert_eq!(socket.frame(), (0x81, b"text".into()));
    // A divided message with a ping inside, then bytes; a pong is ignored.
    socket.send(0x02, b"\xff");
    assert_eq!(socket.frame(), (0x82, b"\xff".into()), "what is no text is binary");
    socket.send(0x89, b"ping");
    assert_eq!(socket.frame(), (0x8a, b"ping".into()));
    socket.send(0x8a, b"");
    socket.send(0x80, b"rest");
    assert_eq!(socket.frame(), (0x81, b"rest".into()));
    // A character in two pieces comes as one.
    socket.send(0x82, &"é".as_bytes()[..1]);
    socket.send(0x82, &"é".as_bytes()[1..]);
    assert_eq!(socket.frame(), (0x81, "é".into()));
    // The client's end is the end of the input, and all comes out before the server's.
    socket.send(0x81, b"last");
    socket.send(0x88, &1000_u16.to_be_bytes());
    assert_eq!(socket.rest(), (b"last".into(), 1000));
    assert_eq!(old.wait(&id), 0);
    d.assert_nothing_left_behind();
}

#[test]
fn much_goes_through_in_both_directions() {
    let d = cors();
    let old = Old::new(&d);
    let id = old.create(&cat(true));
    let path = old.path(&format!("/containers/{id}/attach/ws?stream=1&stdin=1&stdout=1"));
    let mut socket = Socket::open(&d, &path);
    old.start(&id);
    let total = 4 << 20;
    let mut out = socket.0.stream.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        use std::io::Write;
        // One frame, of a mask that changes nothing.
        let mut frame = vec![0x82, 0xff];
        frame.extend((total as u64).to_be_bytes());
        frame.extend([0; 4]);
        frame.resize(frame.len() + total, b'x');
        frame.extend([0x88, 0x80, 0, 0, 0, 0]);
        out.write_all(&frame).unwrap();
    });
    let (all, status) = socket.rest();
    writer.join().unwrap();
    assert_eq!((all.len(), status), (total, 1000));
    assert!(all.iter().all(|byte| *byte == b'x'));
}

#[test]
fn a_session_without_stdin_once_ends_alone() {
    let d = cors();
    let old = Old::new(&d);
    let id = old.create(&cat(false));
    old.start(&id);
    let ends: [(&str, u8, &[u8]); 3] = [
        ("stream=1&stdin=1&stdout=1", 0x88, &[3, 232]),
        ("stream=1&stdout=1", 0x88, &[]), // even where no input is taken
        ("stream=1&stdin=1&stdout=1", 0x83, b"no such frame"),
    ];
    for (query, first, payload) in ends {
        let path = old.path(&format!("/containers/{id}/attach/ws?{query}"));
        let mut socket = Socket::open(&d, &path);
        socket.send(first, payload);
        let status = if first == 0x83 { 1002 } else { 1000 };
        assert_eq!(socket.rest(), (Vec::new(), status), "{query}");
        assert_eq!(old.inspect(&id)["State"]["Running"], true);
    }
    let path = old.path(&format!("/containers/{id}/attach/ws?stream=1&stdin=1&stdout=1"));
    let mut unmasked = Socket::open(&d, &path);
    unmasked.0.send(b"\x81\x02hi");
    assert_eq!(unmasked.rest(), (Vec::new(), 1002));
    for _ in 0..crate::harness::count(30, 300) {
        drop(Socket::open(&d, &path));
    }
    assert_exactly(&old.ask("POST", &format!("/containers/{id}/kill")), 204, "");
    d.assert_nothing_left_behind();
}

#[test]
fn what_is_no_websocket_is_refused() {
    let d = cors();
    let old = Old::new(&d);
    let id = old.create(&shell("true"));
    let path = old.path(&format!("/containers/{id}/attach/ws?logs=1&stdout=1"));
    let refused = |change: (&str, &str)| {
        let mut headers: Vec<_> = GOOD.iter().copied().filter(|(n, _)| *n != change.0).collect();
        if !change.1.is_empty() {
            headers.push(change);
        }
        let (answer, mut wire) = Socket::ask(&d, &path, &headers);
        wire.rest(); // it closes
        answer
    };
    let check = |change: (&str, &str), status: &str| {
        let answer = refused(change);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{change:?}: {answer}");
    };
    check(("Upgrade", ""), "400 Bad Request");
    check(("Connection", "close"), "400 Bad Request");
    check(("Sec-WebSocket-Key", ""), "400 Bad Request");
    check(("Sec-WebSocket-Protocol", "a, b"), "400 Bad Request");
    check(("Sec-WebSocket-Version", "12"), "400 Bad Request");
    assert!(
        refused(("Sec-WebSocket-Version", "")).contains("\r\nSec-WebSocket-Version: 13, 8\r\n")
    );
    check(("Origin", ""), "403 Forbidden");
    check(("Origin", "null"), "403 Forbidden");
    check(("Origin", "example.com"), "403 Forbidden");
    check(("Sec-WebSocket-Version", "8"), "403 Forbidden");

    let mut one = GOOD.to_vec();
    one.push(("Sec-WebSocket-Protocol", "chat"));
    let (answer, _) = Socket::ask(&d, &path, &one);
    assert!(answer.contains("\r\nSec-WebSocket-Protocol: chat\r\n"), "{answer}");
    let mut eight: Vec<_> = GOOD.iter().copied().filter(|(n, _)| !n.ends_with("ersion")).collect();
    eight.extend([("Sec-WebSocket-Version", "8"), ("Sec-WebSocket-Origin", "http://x")]);
    assert!(Socket::ask(&d, &path, &eight).0.starts_with("HTTP/1.1 101 "));

    let nothing = old.get("/containers/nothing/attach/ws");
    assert_exactly(&nothing, 404, "No such container: nothing\n");
    // Without the flag no page gets in.
    let closed = Daemon::start();
    let id = Old::new(&closed).create(&shell("true"));
    let path = format!("/v1.6/containers/{id}/attach/ws?logs=1&stdout=1");
    assert!(Socket::ask(&closed, &path, GOOD).0.starts_with("HTTP/1.1 403 Forbidden\r\n"));
}

#[test]
fn todays_versions_have_it_too() {
    let d = Daemon::start();
    let without_origin: Vec<_> = GOOD.iter().copied().filter(|(n, _)| *n != "Origin").collect();
    let id = d.create(&json!({"Image": "busybox", "Cmd": ["cat"], "OpenStdin": true}));
    d.api("POST", &format!("/containers/{id}/start")).expect(204);
    for (version, kind) in [("v1.24", 0x81), ("v1.44", 0x82)] {
        let path = format!("/{version}/containers/{id}/attach/ws?stream=1&stdin=1&stdout=1");
        let (answer, wire) = Socket::ask(&d, &path, &without_origin);
        assert_eq!(answer, ACCEPTED);
        let mut socket = Socket(wire);
        socket.send(0x81, b"hi");
        assert_eq!(socket.frame(), (kind, b"hi".into()));
        socket.send(0x88, b"");
        assert_eq!(socket.rest(), (Vec::new(), 1000));
    }
    d.ok(["kill", &id]);
    d.assert_nothing_left_behind();
}

#[test]
fn a_client_that_vanishes_is_let_go() {
    let d = cors();
    let old = Old::new(&d);
    let id = old.running("while :; do echo line; sleep 0.01; done");
    let path = old.path(&format!("/containers/{id}/attach/ws?stream=1&stdout=1"));
    for _ in 0..10 {
        let mut socket = Socket::open(&d, &path);
        assert_eq!(socket.frame().0, 0x81);
    }
    let mut slow = Socket::open(&d, &path);
    assert_eq!(slow.frame().0, 0x81);
    slow.0.stream.set_read_timeout(Some(SOON)).unwrap();
    assert_exactly(&old.ask("POST", &format!("/containers/{id}/kill")), 204, "");
    assert_eq!(slow.rest().1, 1000);
    d.assert_nothing_left_behind();
}
