//! One request and its answer.
//!
//! Plain answers are written by `tiny_http`'s `Response::raw_print`; what it cannot write right
//! (streams, 204 and 304, the heads of a hijacked connection) is literal here.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tiny_http::{HTTPVersion, Header, Response, StatusCode};

use super::super::head::{Head, Refusal, Request};
use super::super::input::{Body, Input};
use super::super::socket::Socket;
use super::Peer;
use super::connection::DRAIN_BYTES;
use crate::base::{Error, Kind, Result};

/// What we are called in answers.
const SERVER: &str = concat!("skiff/", env!("CARGO_PKG_VERSION"), " (linux)");
/// The type of a hijacked stream for clients that do not ask to upgrade.
const RAW_STREAM: &str = "application/vnd.docker.raw-stream";

/// Time for a whole body of those that are read into memory.
const BODY_TIMEOUT: Duration = Duration::from_secs(300);
/// Most bytes of a refused body that are read and forgotten, for the sake of the answer.
const FORGOTTEN: usize = 8 << 20;

/// A plain answer.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Content type; empty with an empty body.
    pub content_type: &'static str,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// The body, whole.
    pub body: Vec<u8>,
}

/// How far the answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    None,
    /// A head is out, the body is not finished.
    Begun,
    Done,
    /// It can be finished no more; the connection must end.
    Broken,
}

/// One request and the means to answer it, once.
pub struct Exchange<'a> {
    /// The request's head.
    pub head: Head,
    /// Headers that every answer to this request carries (`Api-Version`, CORS …).
    pub extra: Vec<(String, String)>,
    /// `None` once it was hijacked.
    socket: Option<Arc<Socket>>,
    peer: &'a Peer,
    incoming: Incoming<'a>,
    answer: Answer,
    /// The client would ask again, and nothing has happened that forbids it.
    keep_alive: bool,
    upgrade: bool,
}

/// The request's body.
struct Incoming<'a> {
    input: &'a mut Input,
    body: Body,
    /// The client waits for `100 Continue`.
    expects_continue: bool,
}

/// The client's connection, to be watched while the exchange is in use elsewhere.
#[derive(Clone)]
pub struct Client(Arc<Socket>);

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl<'a> Exchange<'a> {
    pub(super) fn new(
        request: Request,
        socket: Arc<Socket>,
        input: &'a mut Input,
        peer: &'a Peer,
    ) -> Exchange<'a> {
        let Request { head, framing, keep_alive, upgrade, expects_continue } = request;
        let incoming = Incoming { input, body: Body::new(framing), expects_continue };
        let (socket, answer) = (Some(socket), Answer::None);
        Exchange { head, extra: Vec::new(), socket, peer, incoming, answer, keep_alive, upgrade }
    }

    /// Who asks.
    pub fn peer(&self) -> &Peer {
        self.peer
    }

    /// The client's socket, to be watched for its going away while a call waits. Not after
    /// [`Exchange::hijack`].
    pub fn client(&self) -> BorrowedFd<'_> {
        self.socket().as_fd()
    }

    /// The same, independent of the exchange: for watching while a stream is written.
    pub fn watch(&self) -> Client {
        Client(Arc::clone(self.socket()))
    }

    fn socket(&self) -> &Arc<Socket> {
        self.socket.as_ref().expect("a hijacked connection is asked nothing more")
    }

    /// The request's body; sends `100 Continue` at the first read when the client waits for it.
    pub fn body(&mut self) -> impl Read + '_ {
        let socket = self.socket.as_ref().expect("a hijacked connection has no body");
        BodyReader { incoming: &mut self.incoming, socket }
    }

    /// Reads the whole body, at most `limit` bytes.
    ///
    /// # Errors
    /// `BadParameter` when it is longer or malformed, `TimedOut` when it does not come; those of
    /// the connection.
    pub fn body_bytes(&mut self, limit: usize) -> Result<Vec<u8>> {
        let too_long =
            || Error::new(Kind::TooLong, format!("the body is longer than {limit} bytes"));
        let too_late = || Error::new(Kind::TimedOut, "the body did not arrive in time");
        let socket = self.socket.as_ref().expect("a hijacked connection has no body");
        if self.incoming.body.left().is_some_and(|left| left > limit as u64) {
            self.incoming.forget(socket);
            return Err(too_long());
        }
        let (mut all, deadline) = (Vec::new(), Instant::now() + BODY_TIMEOUT);
        loop {
            let mut piece = [0; 2048];
            match self.incoming.read(socket, &mut piece) {
                Ok(0) => return Ok(all),
                Ok(_) if Instant::now() > deadline => return Err(too_late()),
                Ok(count) if all.len() + count > limit => {
                    self.incoming.forget(socket);
                    return Err(too_long());
                }
                Ok(count) => all.extend_from_slice(&piece[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(too_late()),
                Err(error) => {
                    let kind = match error.kind() {
                        ErrorKind::InvalidData | ErrorKind::UnexpectedEof => Kind::BadParameter,
                        _ => Kind::Internal,
                    };
                    return Err(Error::from(error).with_kind(kind));
                }
            }
        }
    }

    /// Whether an answer has been begun.
    pub fn answered(&self) -> bool {
        self.answer != Answer::None
    }

    /// Sends a plain answer. For `HEAD` the body stays away.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn reply(&mut self, reply: Reply) -> io::Result<()> {
        self.begin()?;
        self.keep_alive &= self.incoming.can_be_skipped();
        let head = self.plain_head(&reply);
        let bodiless = self.head.method == "HEAD" || has_no_body(reply.status);
        let body = if bodiless { &[][..] } else { &reply.body };
        tell(self.socket(), &mut [IoSlice::new(&head), IoSlice::new(body)], false)?;
        self.answer = Answer::Done;
        Ok(())
    }

    /// Begins an answer that comes in pieces: chunked, each write is sent at once (with HTTP/1.0:
    /// unchunked, and the connection ends it). Dropping the writer ends the answer; calling
    /// [`Stream::fail`] breaks it off, so that the client sees a broken body.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn stream(&mut self, status: u16, content_type: &str) -> io::Result<Stream<'_>> {
        Ok(self.duplex(status, content_type)?.1)
    }

    /// The same, together with the request's body, for calls that report while they read.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn duplex(
        &mut self,
        status: u16,
        content_type: &str,
    ) -> io::Result<(impl Read + '_, Stream<'_>)> {
        self.begin()?;
        let socket = self.socket.as_ref().expect("a connection is hijacked once");
        self.incoming.proceed(socket)?;
        let pieces = match (&*self.head.method, self.head.minor) {
            ("HEAD", _) => Pieces::Nowhere,
            (_, 0) => Pieces::Raw,
            _ => Pieces::Chunked,
        };
        self.keep_alive &= self.head.minor > 0;
        let mut head = literal_head(self.head.minor, status, &self.extra);
        header(&mut head, "Content-Type", content_type);
        if self.head.minor > 0 {
            header(&mut head, "Transfer-Encoding", "chunked");
        }
        self.end_head(&mut head);
        tell(self.socket(), &mut [IoSlice::new(&head)], true)?;
        let socket = self.socket.as_ref().expect("nobody has hijacked it since");
        let body = BodyReader { incoming: &mut self.incoming, socket };
        Ok((body, Stream { socket, answer: &mut self.answer, pieces }))
    }

    /// Takes the connection over: sends `101 UPGRADED` when the client asked to upgrade to tcp,
    /// else a bare 200 with `Content-Type: application/vnd.docker.raw-stream`, and gives the
    /// socket with the bytes that came after the head. `content_type` is the raw-stream type
    /// the client is told.
    ///
    /// # Errors
    /// Those of the connection; a body that does not end.
    pub fn hijack(&mut self, content_type: &str) -> io::Result<(OwnedFd, Vec<u8>)> {
        let head = if self.upgrade {
            let mut head = b"HTTP/1.1 101 UPGRADED\r\n".to_vec();
            header(&mut head, "Content-Type", content_type);
            header(&mut head, "Connection", "Upgrade");
            header(&mut head, "Upgrade", "tcp");
            self.extra.iter().for_each(|(name, value)| header(&mut head, name, value));
            head.extend_from_slice(b"\r\n");
            head
        } else {
            format!("HTTP/1.1 200 OK\r\nContent-Type: {RAW_STREAM}\r\n\r\n").into_bytes()
        };
        self.take_over(&head)
    }

    /// Takes the connection over, with an answer that is told as it is.
    ///
    /// # Errors
    /// Those of [`Exchange::hijack`].
    pub fn take_over(&mut self, head: &[u8]) -> io::Result<(OwnedFd, Vec<u8>)> {
        self.begin()?;
        let socket = self.socket.as_ref().expect("a connection is hijacked once");
        if !self.incoming.skip(socket, DRAIN_BYTES)? {
            return Err(io::Error::new(ErrorKind::InvalidData, "the body does not end"));
        }
        tell(socket, &mut [IoSlice::new(head)], false)?;
        socket.set_read_timeout(None)?;
        socket.set_write_timeout(None)?;
        self.answer = Answer::Done;
        let socket = self.socket.take().expect("it was there a moment ago");
        // Somebody may be watching it: then the descriptor is doubled, else it is the very one.
        let fd = Arc::try_unwrap(socket)
            .map_or_else(|shared| shared.duplicate(), |socket| Ok(socket.into()))?;
        Ok((fd, self.incoming.input.take()))
    }

    fn begin(&mut self) -> io::Result<()> {
        if self.answered() {
            return Err(io::Error::other("a request is answered once"));
        }
        self.answer = Answer::Begun;
        Ok(())
    }

    /// The head of a plain answer, with the length of its body.
    fn plain_head(&self, reply: &Reply) -> Vec<u8> {
        let Reply { status, content_type, headers, body } = reply;
        let mut head = if has_no_body(*status) {
            let mut head = literal_head(self.head.minor, *status, &self.extra);
            headers.iter().for_each(|(name, value)| header(&mut head, name, value));
            head
        } else {
            let typed = ("Content-Type".to_owned(), (*content_type).to_owned());
            let typed = Some(&typed).filter(|(_, value)| !value.is_empty());
            let server = ("Server".to_owned(), SERVER.to_owned());
            let all = [&server].into_iter().chain(typed).chain(headers).chain(&self.extra);
            let all = all.filter_map(|(name, value)| {
                Header::from_bytes(clean(name).as_bytes(), clean(value).as_bytes()).ok()
            });
            let mut head = Vec::with_capacity(512);
            Response::new(StatusCode(*status), all.collect(), io::empty(), Some(body.len()), None)
                .with_chunked_threshold(usize::MAX)
                .raw_print(&mut head, HTTPVersion(1, self.head.minor), &[], true, None)
                .expect("memory takes what is written");
            head.truncate(head.len() - 2); // the empty line: raw_print lets nobody say Connection
            head
        };
        self.end_head(&mut head);
        head
    }

    /// Says what becomes of the connection, and ends the head.
    fn end_head(&self, head: &mut Vec<u8>) {
        match (self.head.minor, self.keep_alive) {
            (0, true) => header(head, "Connection", "keep-alive"),
            (1, false) => header(head, "Connection", "close"),
            _ => {}
        }
        head.extend_from_slice(b"\r\n");
    }

    /// Answers 500 unless an answer has been begun.
    pub(super) fn fail(&mut self, message: &str) -> io::Result<()> {
        if self.answered() {
            self.answer = Answer::Broken;
            return Ok(());
        }
        self.keep_alive = false;
        self.reply(message_reply(500, message))
    }

    pub(super) fn is_unanswered(&self) -> bool {
        self.answer == Answer::None
    }

    pub(super) fn is_broken(&self) -> bool {
        matches!(self.answer, Answer::Broken | Answer::Begun)
    }

    /// Whether another request may follow; reads what is left of this one's body.
    pub(super) fn can_go_on(&mut self) -> bool {
        let Some(socket) = &self.socket else { return false };
        self.keep_alive
            && self.answer == Answer::Done
            && self.incoming.can_be_skipped()
            && self.incoming.skip(socket, DRAIN_BYTES).unwrap_or(false)
    }

    pub(super) fn into_socket(self) -> Option<Arc<Socket>> {
        self.socket
    }
}

impl Incoming<'_> {
    /// Lets a client that waits for it send the body.
    fn proceed(&mut self, socket: &Socket) -> io::Result<()> {
        if std::mem::take(&mut self.expects_continue) && !self.body.is_done() {
            tell(socket, &mut [IoSlice::new(b"HTTP/1.1 100 Continue\r\n\r\n")], false)?;
        }
        Ok(())
    }

    fn read(&mut self, socket: &Socket, out: &mut [u8]) -> io::Result<usize> {
        self.proceed(socket)?;
        self.body.read(self.input, &mut &*socket, out)
    }

    /// Whether what is left of the body is little enough to be read and forgotten. A client that
    /// waits for `100 Continue` may send the body or not: nobody can know where it ends.
    fn can_be_skipped(&self) -> bool {
        let little = |left| left <= DRAIN_BYTES as u64;
        self.body.is_done() || (!self.expects_continue && self.body.left().is_none_or(little))
    }

    /// Reads and forgets what is left of a body that is refused, unless that is out of all
    /// proportion: many clients look for the answer only when they have sent it all.
    fn forget(&mut self, socket: &Socket) {
        if !self.expects_continue && self.body.left().is_none_or(|left| left <= FORGOTTEN as u64) {
            // Who breaks off meanwhile wants no answer.
            drop(self.skip(socket, FORGOTTEN));
        }
    }

    /// Reads and forgets what is left of the body. False when that is more than `left` bytes.
    fn skip(&mut self, socket: &Socket, mut left: usize) -> io::Result<bool> {
        let deadline = Instant::now() + BODY_TIMEOUT;
        while !self.body.is_done() {
            match self.read(socket, &mut [0; 2048])? {
                0 => {}
                _ if Instant::now() > deadline => return Ok(false),
                count if count > left => return Ok(false),
                count => left -= count,
            }
        }
        Ok(true)
    }
}

/// The body as a reader that waits for as long as the client is there.
struct BodyReader<'a, 'i> {
    incoming: &'a mut Incoming<'i>,
    socket: &'a Socket,
}

impl Read for BodyReader<'_, '_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.incoming.read(self.socket, out) {
                // The time-out of heads: what a user types into `import -` may take longer.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }
}

enum Pieces {
    Chunked,
    Raw,
    /// The answer to a `HEAD`.
    Nowhere,
}

/// An answer that comes in pieces.
pub struct Stream<'a> {
    socket: &'a Socket,
    answer: &'a mut Answer,
    pieces: Pieces,
}

impl Stream<'_> {
    /// Breaks the answer off.
    pub fn fail(self) {
        *self.answer = Answer::Broken;
    }
}

impl Write for Stream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0); // an empty chunk would be the end
        }
        if *self.answer == Answer::Broken {
            return Err(ErrorKind::ConnectionAborted.into());
        }
        let size;
        let sent = match self.pieces {
            Pieces::Chunked => {
                size = format!("{:x}\r\n", bytes.len());
                let [size, bytes, end] = [size.as_bytes(), bytes, b"\r\n"].map(IoSlice::new);
                tell(self.socket, &mut [size, bytes, end], true)
            }
            Pieces::Raw => tell(self.socket, &mut [IoSlice::new(bytes)], true),
            Pieces::Nowhere => Ok(()),
        };
        if let Err(error) = sent {
            *self.answer = Answer::Broken;
            return Err(error);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        if *self.answer == Answer::Broken || std::thread::panicking() {
            *self.answer = Answer::Broken;
            return;
        }
        let end: &[u8] = if let Pieces::Chunked = self.pieces { b"0\r\n\r\n" } else { b"" };
        let sent = self.socket.send(&mut [IoSlice::new(end)], true);
        *self.answer = if sent.is_ok() { Answer::Done } else { Answer::Broken };
    }
}

/// Sends to the client. That it has gone is `ConnectionAborted`, which becomes `ClientGone`: no
/// fault of ours, and told from a pipe that breaks elsewhere.
fn tell(socket: &Socket, parts: &mut [IoSlice<'_>], patient: bool) -> io::Result<()> {
    socket.send(parts, patient).map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => ErrorKind::ConnectionAborted.into(),
        _ => error,
    })
}

/// Answers a request that could not be parsed.
pub(super) fn refuse(socket: &Socket, refusal: &Refusal) -> io::Result<()> {
    let Reply { status, content_type, headers: _, body } =
        message_reply(refusal.status, &refusal.message);
    let mut head = literal_head(1, status, &[]);
    header(&mut head, "Content-Type", content_type);
    header(&mut head, "Content-Length", &body.len().to_string());
    header(&mut head, "Connection", "close");
    head.extend_from_slice(b"\r\n");
    socket.send(&mut [IoSlice::new(&head), IoSlice::new(&body)], false)
}

fn message_reply(status: u16, message: &str) -> Reply {
    let body = serde_json::json!({ "message": message }).to_string().into_bytes();
    Reply { status, content_type: "application/json", headers: Vec::new(), body }
}

fn has_no_body(status: u16) -> bool {
    matches!(status, 204 | 304)
}

/// Status line, server and the headers of every answer; the head is not ended.
fn literal_head(minor: u8, status: u16, extra: &[(String, String)]) -> Vec<u8> {
    let reason = StatusCode(status).default_reason_phrase();
    let mut head = format!("HTTP/1.{minor} {status} {reason}\r\n").into_bytes();
    header(&mut head, "Server", SERVER);
    extra.iter().for_each(|(name, value)| header(&mut head, name, value));
    head
}

fn header(head: &mut Vec<u8>, name: &str, value: &str) {
    head.extend_from_slice(format!("{}: {}\r\n", clean(name), clean(value)).as_bytes());
}

/// No header may smuggle in another: what is no printable ASCII is replaced.
fn clean(text: &str) -> String {
    text.chars().map(|c| if (' '..='~').contains(&c) { c } else { '?' }).collect()
}
