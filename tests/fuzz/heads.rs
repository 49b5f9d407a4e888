//! Requests, as the server reads them from a connection.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use skiff::http::server::{Exchange, Handler, Limits, Peer, Reply, serve_connection};

use crate::mutate::seeds;

/// Reads the body and answers; what the parser let through must be consistent.
struct Echo;

impl Handler for Echo {
    fn handle(&self, exchange: &mut Exchange<'_>) -> io::Result<()> {
        let body = exchange.body_bytes(1 << 20).map_err(io::Error::other);
        let reply = match body {
            Ok(body) => Reply { status: 200, body, ..Reply::default() },
            Err(_) => Reply { status: 400, ..Reply::default() },
        };
        exchange.reply(reply)
    }
}

#[test]
fn request_heads_and_framing() {
    let seeds = seeds(&[
        "GET /_ping HTTP/1.1\r\nHost: t\r\n\r\n",
        "POST /v1.44/containers/create?name=x%20y HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}GET /version HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n",
        "POST /images/create?fromSrc=- HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
        "HEAD / HTTP/1.0\r\n\r\n",
        "POST /a HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\nearly bytes",
    ]);
    let limits = Limits { head_timeout: Duration::from_millis(500), ..Limits::default() };
    crate::fuzz("request heads", &seeds, |input| {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let bytes = input.to_vec();
        let client = std::thread::spawn(move || {
            // The server may hang up in the middle of it.
            drop(ours.write_all(&bytes));
            drop(ours.shutdown(Shutdown::Write));
            let mut answer = Vec::new();
            drop(ours.read_to_end(&mut answer));
            answer
        });
        serve_connection(theirs.into(), Peer::Unix(0, 0, 0), &limits, &Echo);
        let answer = client.join().unwrap();
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1."), "{answer:?}");
        assert!(!answer.windows(12).any(|w| w == b"HTTP/1.1 500"), "a handler panicked");
    });
}
