//! Websockets, the server's side: the handshake, and pumping between one and a session's socket.
//!
//! - Knows nothing of what is said: bytes of clients go to the session, and back.
//! - Nothing is kept but one piece in each direction.

mod digest;
pub mod frames;

use std::io::{self, IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::head::Head;
use super::socket::Socket;
use crate::sys::poll::{self, Interest};
use frames::{Arrived, Decoder};

/// What a client's key is joined with; RFC 6455, section 1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// One read of the session is one frame.
const PIECE: usize = 32 * 1024;
const STACK_BYTES: usize = 128 * 1024;
/// For a client to end the connection after the last frame.
const LINGER: Duration = Duration::from_secs(2);
/// After the session's end a client that takes nothing for so long is given up.
const STALLED: Duration = Duration::from_secs(30);
/// Normal end.
const NORMAL: u16 = 1000;
/// The peer did what the protocol forbids.
const VIOLATION: u16 = 1002;

/// What a pump has to know.
#[derive(Debug, Clone, Copy)]
pub struct Pump {
    /// What the client sends goes to the session; otherwise it is dropped.
    pub input: bool,
    /// Output that is text goes as such; otherwise all is binary.
    pub text: bool,
}

/// The answer to a request for a websocket, versions 13 and 8: the head with which it begins, or
/// else all that is to be said before the connection ends. With `origin` the client must say of
/// which origin it is.
pub fn handshake(head: &Head, origin: bool) -> Result<Vec<u8>, Vec<u8>> {
    let headers = &head.headers;
    let bad = |text: &str, more: &str| {
        Err(format!("HTTP/1.1 400 Bad Request\r\n{more}\r\n{text}").into_bytes())
    };
    let key = headers.get("Sec-WebSocket-Key").unwrap_or_default();
    let asked = head.minor == 1
        && headers.lists("Connection", "upgrade")
        && headers.lists("Upgrade", "websocket");
    // The drafts before have two keys, and an origin in a place of their own.
    let draft = key.is_empty() && headers.get("Sec-WebSocket-Key1").is_some();
    if asked && draft {
        return Err(b"HTTP/1.1 403 Forbidden\r\n\r\n".into());
    }
    if !asked || key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return bad("not websocket protocol", "");
    }
    let origin_header = match headers.get("Sec-WebSocket-Version").map(str::trim) {
        Some("13") => "Origin",
        Some("8") => "Sec-WebSocket-Origin",
        _ => {
            return bad("missing or bad WebSocket Version", "Sec-WebSocket-Version: 13, 8\r\n");
        }
    };
    if origin && !headers.get(origin_header).is_some_and(is_origin) {
        return Err(b"HTTP/1.1 403 Forbidden\r\n\r\n".into());
    }
    let offered = headers.all("Sec-WebSocket-Protocol").flat_map(|list| list.split(','));
    let offered: Vec<&str> = offered.map(str::trim).collect();
    let protocol = match offered[..] {
        [] => String::new(),
        [one] if one.bytes().all(|byte| byte.is_ascii_graphic()) => {
            format!("Sec-WebSocket-Protocol: {one}\r\n")
        }
        _ => return bad("one subprotocol at most", ""),
    };
    let accept = digest::base64(&digest::sha1(format!("{key}{GUID}").as_bytes()));
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{protocol}\r\n"
    );
    Ok(head.into_bytes())
}

/// Whether it has a scheme and a host; `null` has neither.
fn is_origin(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, host)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
            && !host.is_empty()
            && !host.contains(char::is_whitespace)
    })
}

/// Both ends, for both directions.
struct Pair {
    client: Socket,
    session: UnixStream,
    /// Held while a frame is written; whether the last one has been.
    closed: Mutex<bool>,
}

impl Pair {
    fn send(&self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        let mut closed = self.closed.lock().unwrap_or_else(|torn| torn.into_inner());
        if *closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        *closed = opcode == frames::CLOSE;
        let (head, used) = frames::head(opcode, payload.len());
        let mut parts = [IoSlice::new(&head[..used]), IoSlice::new(payload)];
        // A slow client is waited for as long as there is a session.
        self.client.send_while(&mut parts, &|| !poll::hung_up(self.session.as_fd()))
    }

    fn shut_session(&self, how: Shutdown) {
        // ENOTCONN: the other end was faster.
        drop(self.session.shutdown(how));
    }
}

/// Carries bytes between a client that has got its head and a session, until the session ends or
/// the client goes. `early` came after the client's head. The end of a client's input, by a close
/// frame, shuts the session's; without [`Pump::input`] it is the end of all.
///
/// # Errors
/// When no thread can be had.
pub fn pump(client: OwnedFd, early: Vec<u8>, session: UnixStream, how: Pump) -> io::Result<()> {
    let client = Socket::new(client);
    client.set_write_timeout(Some(STALLED))?;
    let pair = Arc::new(Pair { client, session, closed: Mutex::new(false) });
    let reader = std::thread::Builder::new().name("websocket".into()).stack_size(STACK_BYTES);
    reader.spawn({
        let pair = Arc::clone(&pair);
        move || bring_in(&pair, early, how.input)
    })?;
    // The client may be gone: then there is nobody to be told of the end.
    drop(bring_out(&pair, how.text));
    pair.client.shutdown(Shutdown::Write);
    // What we have not read would turn the end into a reset.
    let ends = Interest::GONE.and(Interest::PEER_ENDED);
    drop(poll::wait(&[(pair.client.as_fd(), ends)], Some(Instant::now() + LINGER)));
    // The reader may wait for the client, or for room in the session.
    pair.client.shutdown(Shutdown::Both);
    pair.shut_session(Shutdown::Both);
    Ok(())
}

/// From the session to the client.
fn bring_out(pair: &Pair, text: bool) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    let mut kept = 0; // the beginning of a character
    loop {
        let length = match (&pair.session).read(&mut piece[kept..]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Ok(0) | Err(_) => break,
            Ok(length) => kept + length,
        };
        let (kind, cut) =
            if text { frames::kind(&piece[..length]) } else { (frames::BINARY, length) };
        if cut > 0 {
            pair.send(kind, &piece[..cut])?;
        }
        piece.copy_within(cut..length, 0);
        kept = length - cut;
    }
    if kept > 0 {
        pair.send(frames::BINARY, &piece[..kept])?;
    }
    pair.send(frames::CLOSE, &NORMAL.to_be_bytes())
}

/// From the client to the session, until the connection ends.
fn bring_in(pair: &Pair, mut early: Vec<u8>, input: bool) {
    let mut decoder = Decoder::default();
    let mut take = |arrived: Arrived<'_>| -> io::Result<()> {
        match arrived {
            Arrived::Data(data) if input => {
                // A session that takes no more has ended, or has no use for it.
                drop((&pair.session).write_all(data));
            }
            Arrived::Data(_) => {}
            Arrived::Ping(payload) => pair.send(frames::PONG, payload)?,
            Arrived::Close => {
                pair.shut_session(if input { Shutdown::Write } else { Shutdown::Both });
            }
        }
        Ok(())
    };
    let mut fed = decoder.feed(&mut early, &mut take);
    let mut piece = vec![0; PIECE];
    while fed.is_ok() {
        fed = match (&pair.client).read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(()),
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(length) => decoder.feed(&mut piece[..length], &mut take),
            Err(error) => Err(error),
        };
    }
    if fed.is_err_and(|error| error.kind() == io::ErrorKind::InvalidData) {
        // If it does not get there, the client is gone.
        drop(pair.send(frames::CLOSE, &VIOLATION.to_be_bytes()));
    }
    pair.shut_session(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::super::head::{Headers, Query};
    use super::*;

    fn head(headers: &[(&str, &str)]) -> Head {
        let usual = [("Connection", "keep-alive, Upgrade"), ("Upgrade", "websocket")];
        let all = usual.iter().chain(headers).map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        Head {
            method: "GET".into(),
            path: "/".into(),
            query: Query::default(),
            minor: 1,
            headers: Headers(all.collect()),
        }
    }

    const KEY: (&str, &str) = ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
    const V13: (&str, &str) = ("Sec-WebSocket-Version", "13");
    const V8: (&str, &str) = ("Sec-WebSocket-Version", "8");
    const ORIGIN: (&str, &str) = ("Origin", "http://example.com:8000");

    fn text(answer: Result<Vec<u8>, Vec<u8>>) -> String {
        String::from_utf8(answer.unwrap_or_else(|refused| refused)).unwrap()
    }

    #[test]
    fn the_example_of_the_rfc() {
        let answer = text(handshake(&head(&[KEY, V13, ORIGIN]), true));
        assert_eq!(
            answer,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        );
        let one = head(&[KEY, V13, ORIGIN, ("Sec-WebSocket-Protocol", "chat")]);
        assert!(text(handshake(&one, true)).contains("\r\nSec-WebSocket-Protocol: chat\r\n"));
    }

    #[test]
    fn what_is_no_websocket_is_refused() {
        let check = |headers: &[(&str, &str)], status: &str| {
            let refused = handshake(&head(headers), true).unwrap_err();
            let refused = String::from_utf8(refused).unwrap();
            assert!(refused.starts_with(&format!("HTTP/1.1 {status}\r\n")), "{headers:?}");
            refused
        };
        let (bad, forbidden) = ("400 Bad Request", "403 Forbidden");
        check(&[V13, ORIGIN], bad);
        check(&[KEY, ORIGIN], bad);
        let versions = check(&[KEY, ("Sec-WebSocket-Version", "7"), ORIGIN], bad);
        assert!(versions.contains("\r\nSec-WebSocket-Version: 13, 8\r\n"), "{versions}");
        check(&[KEY, V13, ORIGIN, ("Sec-WebSocket-Protocol", "a, b")], bad);
        check(&[KEY, V13], forbidden);
        check(&[KEY, V8, ORIGIN], forbidden);
        for origin in ["null", "", "example.com", "://x", "http://", "1://x"] {
            check(&[KEY, V13, ("Origin", origin)], forbidden);
        }
        check(&[("Sec-WebSocket-Key1", "1 2"), ORIGIN], forbidden);
        handshake(&head(&[KEY, V8, ("Sec-WebSocket-Origin", "http://x")]), true).unwrap();
        handshake(&head(&[KEY, V13]), false).unwrap();
        let mut plain = head(&[KEY, V13, ORIGIN]);
        plain.headers.0.retain(|(name, _)| name != "Upgrade");
        assert!(handshake(&plain, true).is_err());
    }
}
