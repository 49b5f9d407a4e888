//! Request heads: method, target, query, headers, with limits on all of them.
//!
//! - A head is parsed once, when its end has arrived: sending it byte by byte costs the sender.
//! - Where two readers could disagree about the length of the body, the request is refused.

use std::fmt::Write;

use super::input::Framing;

/// Longest line of a head in bytes.
pub(super) const LINE_BYTES: usize = 8 * 1024;
/// Longest head in bytes.
pub(super) const HEAD_BYTES: usize = 64 * 1024;
/// Most headers.
pub(super) const HEADERS: usize = 100;

/// A parsed request head.
#[derive(Debug, Clone)]
pub struct Head {
    /// `GET`, `POST`, …
    pub method: String,
    /// Path as sent, percent-encoded, without the query.
    pub path: String,
    /// Query parameters, decoded.
    pub query: Query,
    /// 0 or 1.
    pub minor: u8,
    /// All headers.
    pub headers: Headers,
}

/// Headers; names compare without regard to case.
#[derive(Debug, Clone, Default)]
pub struct Headers(pub Vec<(String, String)>);

impl Headers {
    /// The first value of `name`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// All values of `name`.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let all = self.0.iter();
        all.filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// Whether a comma-separated list of that name holds `token`, without regard to case.
    pub fn lists(&self, name: &str, token: &str) -> bool {
        let mut tokens = self.all(name).flat_map(|value| value.split(','));
        tokens.any(|word| word.trim().eq_ignore_ascii_case(token))
    }

    /// The headers that httparse found. Bytes that are no UTF-8 are replaced.
    pub(super) fn from_parsed(parsed: &[httparse::Header<'_>]) -> Headers {
        let text = |header: &httparse::Header<'_>| {
            (header.name.to_owned(), String::from_utf8_lossy(header.value).into_owned())
        };
        Headers(parsed.iter().map(text).collect())
    }
}

/// Decoded query parameters, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(pub Vec<(String, String)>);

impl Query {
    /// The first value of `name`, as Go's `URL.Query().Get` gives it.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// All values of `name`.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// Decodes `a=1&b=x%20y`; `None` for a wrong percent escape. `+` is a blank.
    pub fn parse(text: &str) -> Option<Query> {
        let mut all = Vec::new();
        for pair in text.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            all.push((decode(name, true)?, decode(value, true)?));
        }
        Some(Query(all))
    }
}

/// Undoes percent escapes; `None` for a wrong one. Bytes that are no UTF-8 are replaced.
pub fn percent_decode(text: &str) -> Option<String> {
    decode(text, false)
}

/// Escapes what may not stand in a path segment or a query value.
pub fn percent_encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for &byte in text.as_bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            _ => write!(out, "%{byte:02X}").expect("a string takes what is written"),
        }
    }
    out
}

fn decode(text: &str, plus_is_blank: bool) -> Option<String> {
    let digit =
        |byte: &u8| char::from(*byte).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.as_bytes().iter();
    while let Some(&byte) = bytes.next() {
        out.push(match byte {
            b'%' => digit(bytes.next()?)? << 4 | digit(bytes.next()?)?,
            b'+' if plus_is_blank => b' ',
            _ => byte,
        });
    }
    Some(match String::from_utf8(out) {
        Ok(text) => text,
        Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
    })
}

/// Why a request is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// Status of the answer.
    pub(super) status: u16,
    /// Text of the answer.
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(status: u16, message: impl Into<String>) -> Refusal {
        Refusal { status, message: message.into() }
    }
}

/// A head and what follows from it for the connection.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) head: Head,
    pub(super) framing: Framing,
    /// The client would ask again on this connection.
    pub(super) keep_alive: bool,
    /// The client asks to go on in raw tcp.
    pub(super) upgrade: bool,
    /// The client waits for `100 Continue` before it sends the body.
    pub(super) expects_continue: bool,
}

/// Where the head at the beginning of `bytes` ends: behind the first empty line. `seen` bytes
/// have been looked at before.
pub(super) fn end(bytes: &[u8], seen: usize) -> Option<usize> {
    let from = seen.saturating_sub(2);
    bytes[from..].iter().enumerate().filter(|&(_, &byte)| byte == b'\n').find_map(|(at, _)| {
        let rest = &bytes[from + at + 1..];
        match rest {
            [b'\n', ..] => Some(from + at + 2),
            [b'\r', b'\n', ..] => Some(from + at + 3),
            _ => None,
        }
    })
}

/// Whether a head that begins with `bytes` is too long already: all of it, or its last line.
pub(super) fn too_long(bytes: &[u8]) -> Option<Refusal> {
    if bytes.len() > HEAD_BYTES {
        return Some(Refusal::new(431, "the request head is too long"));
    }
    let tail = &bytes[bytes.len().saturating_sub(LINE_BYTES + 1)..];
    let endless = tail.len() > LINE_BYTES && !tail.contains(&b'\n');
    endless.then(|| Refusal::new(431, "a line of the request head is too long"))
}

/// Parses one whole head, as [`end`] found it.
pub(super) fn parse(bytes: &[u8]) -> Result<Request, Refusal> {
    let mut lines = bytes.split_inclusive(|&byte| byte == b'\n');
    if bytes.len() > HEAD_BYTES || lines.any(|line| line.len() > LINE_BYTES + 1) {
        return Err(Refusal::new(431, "the request head is too long"));
    }
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(used)) if used == bytes.len() => {}
        Ok(_) => return Err(Refusal::new(400, "malformed request")),
        Err(httparse::Error::TooManyHeaders) => {
            return Err(Refusal::new(431, "the request has too many headers"));
        }
        Err(httparse::Error::Version) => {
            return Err(Refusal::new(505, "only HTTP/1.0 and HTTP/1.1 are served"));
        }
        Err(error) => return Err(Refusal::new(400, format!("malformed request: {error}"))),
    }
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(Refusal::new(400, "malformed request"));
    };
    let mut headers = Headers::from_parsed(parsed.headers);
    let target = origin_form(target, &mut headers)?;
    if minor == 1 && headers.all("Host").count() != 1 {
        return Err(Refusal::new(400, "a request needs exactly one Host header"));
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let query =
        Query::parse(query).ok_or_else(|| Refusal::new(400, "invalid URL escape in the query"))?;
    let expects_continue = match headers.get("Expect") {
        None => false,
        Some(value) if value.eq_ignore_ascii_case("100-continue") => minor == 1,
        Some(_) => return Err(Refusal::new(417, "only 100-continue can be expected")),
    };
    Ok(Request {
        framing: framing(&headers, minor)?,
        keep_alive: match minor {
            0 => headers.lists("Connection", "keep-alive"),
            _ => !headers.lists("Connection", "close"),
        },
        upgrade: headers.lists("Connection", "upgrade") && headers.lists("Upgrade", "tcp"),
        expects_continue,
        head: Head { method: method.into(), path: path.into(), query, minor, headers },
    })
}

/// The target as a path. `http://host/path`, as a proxy is asked, counts as sent to that host.
fn origin_form<'a>(target: &'a str, headers: &mut Headers) -> Result<&'a str, Refusal> {
    if target.starts_with('/') || target == "*" {
        return Ok(target);
    }
    let Some(rest) = target.strip_prefix("http://") else {
        return Err(Refusal::new(400, "the request target is no path"));
    };
    let (host, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    for (name, value) in &mut headers.0 {
        if name.eq_ignore_ascii_case("Host") {
            host.clone_into(value);
        }
    }
    match path.chars().next() {
        Some('/') => Ok(path),
        _ => Err(Refusal::new(400, "the request target has no path")),
    }
}

/// How the body ends; RFC 9112, section 6.3, with everything doubtful refused.
fn framing(headers: &Headers, minor: u8) -> Result<Framing, Refusal> {
    let bad = |why: &str| Err(Refusal::new(400, why));
    let mut lengths = headers.all("Content-Length");
    let mut codings = headers.all("Transfer-Encoding");
    let (length, coding) = (lengths.next(), codings.next());
    if lengths.next().is_some() || codings.next().is_some() {
        return bad("the length of the body is given twice");
    }
    match (length, coding) {
        (None, None) => Ok(Framing::Length(0)),
        (Some(_), Some(_)) => bad("both Content-Length and Transfer-Encoding are given"),
        (None, Some(coding)) if minor == 1 && coding.eq_ignore_ascii_case("chunked") => {
            Ok(Framing::Chunked)
        }
        (None, Some(_)) => bad("only the transfer encoding chunked is served, from HTTP/1.1 on"),
        (Some(length), None) => content_length(length)
            .map_or_else(|| bad("Content-Length is not a number"), |n| Ok(Framing::Length(n))),
    }
}

/// Digits only: no sign, no list, nothing that another reader could take otherwise.
pub(super) fn content_length(text: &str) -> Option<u64> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(text: &str) -> u16 {
        parse(text.as_bytes()).map_or_else(|refusal| refusal.status, |_| 200)
    }

    #[test]
    fn a_head_is_taken_apart() {
        let request = parse(
            b"POST /v1.44/containers/a%2Fb/x?a=1&b=x%20y+z&a=2&&c HTTP/1.1\r\nhost: d\r\n\
              Connection: keep-alive, Upgrade\r\nUpgrade: TCP\r\nX-A:  b \r\n\
              Transfer-Encoding: Chunked\r\nExpect: 100-Continue\r\n\r\n",
        )
        .unwrap();
        let head = &request.head;
        assert_eq!((&*head.method, &*head.path), ("POST", "/v1.44/containers/a%2Fb/x"));
        assert_eq!(head.query.get("b"), Some("x y z"));
        assert_eq!(head.query.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(head.query.get("c"), Some(""));
        assert_eq!(head.headers.get("X-a"), Some("b"));
        assert_eq!(request.framing, Framing::Chunked);
        assert!(request.keep_alive && request.upgrade && request.expects_continue);
    }

    #[test]
    fn what_two_readers_could_take_differently_is_refused() {
        let with = |headers: &str| status(&format!("POST / HTTP/1.1\r\nHost: d\r\n{headers}\r\n"));
        assert_eq!(with("Content-Length: 5\r\n"), 200);
        assert_eq!(with("Content-Length: 18446744073709551615\r\n"), 200);
        assert_eq!(with("Transfer-Encoding: chunked\r\n"), 200);
        for bad in [
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\ncontent-length: 6\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: -5\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length: 5 5\r\n",
            "Content-Length:\r\n",
            "Content-Length: 18446744073709551616\r\n",
            "Content-Length : 5\r\n",
            " Content-Length: 5\r\n",
            "X: a\r\n Content-Length: 5\r\n",
            "Content\x0bLength: 5\r\n",
            "X: a\rContent-Length: 5\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked, identity\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: \"chunked\"\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding:\r\n",
            "Host: e\r\n",
        ] {
            assert_eq!(with(bad), 400, "{bad:?}");
        }
        assert_eq!(status("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
    }

    #[test]
    fn targets_versions_and_limits() {
        let target = |target: &str| status(&format!("GET {target} HTTP/1.1\r\nHost: d\r\n\r\n"));
        assert_eq!([target("/"), target("*"), target("http://x/a?b=%41")], [200; 3]);
        for bad in ["a", "http://x", "https://x/", "/a?b=%4", "/a?b=%zz", "//\x01"] {
            assert_eq!(target(bad), 400, "{bad:?}");
        }
        assert_eq!(target("/a b"), 505, "what follows the second blank is the version");
        let proxied = parse(b"GET http://x:1/a HTTP/1.1\r\nHost: d\r\n\r\n").unwrap().head;
        assert_eq!((&*proxied.path, proxied.headers.get("host")), ("/a", Some("x:1")));
        assert_eq!(status("GET / HTTP/1.1\r\n\r\n"), 400);
        assert_eq!(status("GET / HTTP/1.0\r\n\r\n"), 200);
        assert_eq!(status("GET / HTTP/2.0\r\n\r\n"), 505);
        assert_eq!(status("GET /\r\n\r\n"), 400);
        assert_eq!(status("GET / HTTP/1.1\r\nHost: d\r\nExpect: x\r\n\r\n"), 417);
        assert_eq!(status(&format!("GET /{} HTTP/1.0\r\n\r\n", "a".repeat(LINE_BYTES))), 431);
        let many = "A: b\r\n".repeat(HEADERS + 1);
        assert_eq!(status(&format!("GET / HTTP/1.0\r\n{many}\r\n")), 431);
        let long = |bytes: usize| format!("GET / HTTP/1.0\r\nA: {}\r\n\r\n", "b".repeat(bytes));
        assert_eq!([status(&long(LINE_BYTES - 10)), status(&long(LINE_BYTES))], [200, 431]);
        let large = format!("A: {}\r\n", "b".repeat(LINE_BYTES - 10)).repeat(9);
        assert_eq!(status(&format!("GET / HTTP/1.0\r\n{large}\r\n")), 431);
    }

    #[test]
    fn the_end_is_found_however_it_arrives() {
        for (text, expected) in [
            ("GET / HTTP/1.0\r\n\r\nrest", Some(18)),
            ("GET / HTTP/1.0\n\nrest", Some(16)),
            ("GET / HTTP/1.0\r\nA: b\n\r\nrest", Some(23)),
            ("GET / HTTP/1.0\r\nA: b\r\n\r", None),
        ] {
            assert_eq!(end(text.as_bytes(), 0), expected, "{text:?}");
            let found = (1..=text.len()).find_map(|n| end(&text.as_bytes()[..n], n - 1));
            assert_eq!(found, expected, "{text:?} byte by byte");
        }
    }

    #[test]
    fn escapes_go_both_ways() {
        assert_eq!(percent_encode("a b/c+ä"), "a%20b%2Fc%2B%C3%A4");
        assert_eq!(percent_decode("a%20b%2Fc+%C3%A4").as_deref(), Some("a b/c+ä"));
        assert_eq!(percent_decode("%"), None);
    }
}
