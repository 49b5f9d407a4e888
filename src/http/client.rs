//! The client of our own API, over a unix socket or tcp.
//!
//! - A call is one write of head and body, and as few reads as the kernel allows.
//! - Nothing is sent twice: a call whose connection breaks has failed.
//! - An answer has no time-out: `wait` may take days. A tcp peer that is gone is noticed by the
//!   kernel.

use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read};
use std::net::TcpStream;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use super::Headers;
use super::head::{self, HEAD_BYTES, HEADERS};
use super::input::{Body, Framing, Input};
use super::socket::{Socket, short_path};
use crate::base::{Context, Error, Kind, Lock, Result};
use crate::dns::lookup;
use crate::sys;

/// Least size of a read.
const ROOM: usize = 16 * 1024;
/// Size of the chunks of a body that is sent as it is read.
const CHUNK_BYTES: usize = 128 * 1024;
/// Time for one address to answer, and for a silent tcp peer to be given up.
const PEER_TIMEOUT: Duration = Duration::from_secs(30);

/// Where a daemon listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// `unix:///path`
    Unix(PathBuf),
    /// `tcp://host:port`
    Tcp(String),
    /// A program that passes the bytes on from its standard streams, and how to show it.
    Program(Vec<String>, String),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Unix(path) => write!(f, "unix://{}", path.display()),
            Host::Tcp(address) => write!(f, "tcp://{address}"),
            Host::Program(_, shown) => f.write_str(shown),
        }
    }
}

/// A request to be sent.
pub struct Request<'a> {
    /// `GET`, …
    pub method: &'a str,
    /// Path and query, encoded.
    pub target: &'a str,
    /// Further headers.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: RequestBody<'a>,
}

/// A request's body.
pub enum RequestBody<'a> {
    /// None.
    Empty,
    /// Whole, with its content type.
    Bytes(&'static str, Vec<u8>),
    /// Sent chunked as it is read, with its content type.
    Stream(&'static str, &'a mut dyn Read),
}

/// Sends `request` on a connection of its own and reads the answer's head.
///
/// # Errors
/// `Unavailable` when no daemon listens there; those of the connection.
pub fn send(host: &Host, request: Request<'_>) -> Result<Response> {
    Connection::open(host)?.send(request)
}

/// Sends `request` with `Upgrade: tcp` and takes the connection over: the socket, and the bytes
/// that came after the head. A refusal is given back as the answer.
///
/// # Errors
/// As [`send`].
pub fn hijack(
    host: &Host,
    mut request: Request<'_>,
) -> Result<Result<(OwnedFd, Vec<u8>), Response>> {
    let wanted = [("Connection", "Upgrade"), ("Upgrade", "tcp")];
    request.headers.extend(wanted.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let mut response = send(host, request)?;
    // Servers that know no upgrade answer a bare 200, whose body ends with the connection.
    let taken_over = response.status == 101
        || (response.status == 200 && response.until_close && is_raw(&response.headers));
    Ok(match response.wire.take_if(|_| taken_over) {
        Some(mut wire) => Ok((wire.socket.into(), wire.input.take())),
        None => Err(response),
    })
}

fn is_raw(headers: &Headers) -> bool {
    let kind = headers.get("Content-Type").unwrap_or_default();
    kind.starts_with("application/vnd.docker.") && kind.ends_with("-stream")
}

/// A connection that serves several calls, one after the other. It is opened anew when the
/// daemon has closed it, or when an answer was not read to its end.
pub struct Connection {
    host: Host,
    /// Where an answer that was read to its end leaves the connection.
    idle: Slot,
}

type Slot = Arc<Lock<Option<Wire>>>;

/// A connected socket and what has arrived on it.
struct Wire {
    socket: Socket,
    input: Input,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// `Unavailable` when no daemon listens there.
    pub fn open(host: &Host) -> Result<Connection> {
        let wire = connect(host)?;
        Ok(Connection { host: host.clone(), idle: Arc::new(Lock::new(Some(wire))) })
    }

    /// Sends `request` and reads the answer's head.
    ///
    /// # Errors
    /// `Unavailable` when no daemon listens there any more; those of the connection.
    pub fn send(&mut self, request: Request<'_>) -> Result<Response> {
        let idle = self.idle.lock().take();
        let mut wire = match idle.filter(|wire| wire.socket.is_quiet()) {
            Some(wire) => wire,
            None => connect(&self.host)?,
        };
        let bodiless = request.method == "HEAD";
        let written = wire.write(&self.host, request)?;
        // A daemon that refuses a body says why before it closes: worth more than EPIPE.
        let head = match (wire.read_head(), written) {
            (Ok(head), _) => head,
            (Err(_), Err(error)) | (Err(error), Ok(())) => {
                let lost = format!("lost the connection to the Docker daemon at {}", self.host);
                return Err(error).context(|| lost);
            }
        };
        Ok(Response::new(head, bodiless, wire, Arc::clone(&self.idle)))
    }
}

fn connect(host: &Host) -> Result<Wire> {
    let socket = match host {
        Host::Unix(path) => short_path(path)
            .and_then(|(short, _directory)| UnixStream::connect(short))
            .map(Socket::new),
        Host::Tcp(address) => connect_tcp(address).map(Socket::new),
        Host::Program(words, _) => connect_program(words).map(Socket::new),
    };
    match socket {
        Ok(socket) => Ok(Wire { socket, input: Input::new(ROOM) }),
        Err(error) => Err(unavailable(host, error)),
    }
}

fn connect_tcp(address: &str) -> io::Result<TcpStream> {
    let mut last = io::Error::from(ErrorKind::NotFound);
    for address in lookup::resolve(address, PEER_TIMEOUT)? {
        match TcpStream::connect_timeout(&address, PEER_TIMEOUT) {
            Ok(stream) => {
                sys::tcp::watch_peer(stream.as_fd(), PEER_TIMEOUT)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Starts a program and gives our end of what are its standard streams. It ends with them.
fn connect_program(words: &[String]) -> io::Result<UnixStream> {
    let (program, arguments) = words.split_first().ok_or(ErrorKind::InvalidInput)?;
    let (ours, theirs) = UnixStream::pair()?;
    let input = OwnedFd::from(theirs.try_clone()?);
    Command::new(program)
        .args(arguments)
        .stdin(input)
        .stdout(OwnedFd::from(theirs))
        .spawn()
        .map_err(|error| io::Error::new(error.kind(), format!("{program}: {error}")))?;
    Ok(ours)
}

/// A connection as bare bytes.
///
/// # Errors
/// `Unavailable` when no daemon listens there.
pub fn dial(host: &Host) -> Result<OwnedFd> {
    connect(host).map(|wire| wire.socket.into())
}

fn unavailable(host: &Host, error: io::Error) -> Error {
    let text = match error.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused
            if !matches!(host, Host::Program(..)) =>
        {
            let text = format!(
                "Cannot connect to the Docker daemon at {host}. Is the docker daemon running?"
            );
            return Error::new(Kind::Unavailable, text);
        }
        ErrorKind::PermissionDenied => format!(
            "permission denied while trying to connect to the Docker daemon socket at {host}"
        ),
        _ => format!("connect to the Docker daemon at {host}"),
    };
    let failed = Err::<(), _>(error).context(|| text);
    failed.expect_err("it was made one").with_kind(Kind::Unavailable)
}

/// Head of an answer.
struct ResponseHead {
    status: u16,
    minor: u8,
    headers: Headers,
}

impl Wire {
    /// Sends the request. The inner error is the connection's, the outer that of the body's
    /// source.
    fn write(&self, host: &Host, request: Request<'_>) -> Result<io::Result<()>> {
        let Request { method, target, headers, body } = request;
        let name = match host {
            Host::Unix(_) | Host::Program(..) => "localhost",
            Host::Tcp(address) => address,
        };
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: {name}\r\n");
        let mut add = |name: &str, value: &str| {
            for part in [name, ": ", value, "\r\n"] {
                head.push_str(part);
            }
        };
        add("User-Agent", concat!("skiff/", env!("CARGO_PKG_VERSION"), " (linux)"));
        headers.iter().for_each(|(name, value)| add(name, value));
        match body {
            RequestBody::Empty => {
                if !matches!(method, "GET" | "HEAD" | "DELETE") {
                    add("Content-Length", "0");
                }
                Ok(self.send(&[&head, "\r\n"].map(str::as_bytes)))
            }
            RequestBody::Bytes(content_type, bytes) => {
                add("Content-Type", content_type);
                add("Content-Length", &bytes.len().to_string());
                Ok(self.send(&[head.as_bytes(), b"\r\n", &bytes]))
            }
            RequestBody::Stream(content_type, source) => {
                add("Content-Type", content_type);
                add("Transfer-Encoding", "chunked");
                match self.send(&[&head, "\r\n"].map(str::as_bytes)) {
                    Ok(()) => self.send_chunks(source),
                    failed => Ok(failed),
                }
            }
        }
    }

    fn send_chunks(&self, source: &mut dyn Read) -> Result<io::Result<()>> {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let count = match source.read(&mut chunk) {
                Ok(0) => return Ok(self.send(&[b"0\r\n\r\n"])),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context(|| "read what is to be sent".into()),
            };
            let size = format!("{count:x}\r\n");
            if let Err(error) = self.send(&[size.as_bytes(), &chunk[..count], b"\r\n"]) {
                return Ok(Err(error));
            }
        }
    }

    fn send(&self, parts: &[&[u8]]) -> io::Result<()> {
        let mut parts: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
        self.socket.send(&mut parts, true)
    }

    /// Reads the head of the final answer; those before it (`100 Continue`) are passed over.
    fn read_head(&mut self) -> io::Result<ResponseHead> {
        loop {
            let head = self.read_one_head()?;
            if head.status >= 200 || head.status == 101 {
                return Ok(head);
            }
        }
    }

    fn read_one_head(&mut self) -> io::Result<ResponseHead> {
        let bad = |why: &str| io::Error::new(ErrorKind::InvalidData, why.to_owned());
        let mut seen = 0;
        let end = loop {
            let unread = self.input.unread();
            if let Some(end) = head::end(unread, seen) {
                break end;
            }
            seen = unread.len();
            if seen > HEAD_BYTES {
                return Err(bad("the answer's head is too long"));
            }
            if self.input.fill(&mut &self.socket)? == 0 {
                return Err(io::Error::new(ErrorKind::UnexpectedEof, "no answer came"));
            }
        };
        let mut headers = [httparse::EMPTY_HEADER; HEADERS];
        let mut parsed = httparse::Response::new(&mut headers);
        match parsed.parse(&self.input.unread()[..end]) {
            Ok(httparse::Status::Complete(used)) if used == end => {}
            _ => return Err(bad("the answer is no HTTP")),
        }
        let (Some(status), Some(minor)) = (parsed.code, parsed.version) else {
            return Err(bad("the answer is no HTTP"));
        };
        let headers = Headers::from_parsed(parsed.headers);
        self.input.consume(end);
        Ok(ResponseHead { status, minor, headers })
    }
}

/// An answer whose body is read as it comes.
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Headers.
    pub headers: Headers,
    body: Body,
    /// The body ends with the connection.
    until_close: bool,
    /// `None` once the body has been read.
    wire: Option<Wire>,
    /// Where the connection goes then, if it can be used again.
    idle: Option<Slot>,
}

impl Response {
    fn new(head: ResponseHead, bodiless: bool, wire: Wire, idle: Slot) -> Response {
        let ResponseHead { status, minor, headers } = head;
        let framing = match headers.get("Content-Length").and_then(head::content_length) {
            _ if bodiless || matches!(status, 204 | 304) => Framing::Length(0),
            _ if headers.lists("Transfer-Encoding", "chunked") => Framing::Chunked,
            Some(length) => Framing::Length(length),
            None => Framing::UntilClose,
        };
        let until_close = framing == Framing::UntilClose;
        let again = minor > 0 && !until_close && !headers.lists("Connection", "close");
        let (body, idle) = (Body::new(framing), again.then_some(idle));
        let mut response = Response { status, headers, body, until_close, wire: Some(wire), idle };
        response.settle();
        response
    }

    /// Reads the whole body, at most `limit` bytes of it.
    ///
    /// # Errors
    /// Those of the connection; `BadParameter` when it is longer.
    pub fn body_bytes(&mut self, limit: usize) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        self.by_ref()
            .take(limit as u64 + 1)
            .read_to_end(&mut all)
            .context(|| "read the daemon's answer".into())?;
        if all.len() > limit {
            return Err(Error::bad_parameter("the daemon's answer is too long"));
        }
        Ok(all)
    }

    /// Gives the connection back when the body has been read.
    fn settle(&mut self) {
        if self.body.is_done() {
            let wire = self.wire.take();
            if let Some(idle) = &self.idle {
                *idle.lock() = wire;
            }
        }
    }
}

impl Read for Response {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(wire) = &mut self.wire else { return Ok(0) };
        let result = self.body.read(&mut wire.input, &mut &wire.socket, buffer);
        self.settle();
        result
    }
}
