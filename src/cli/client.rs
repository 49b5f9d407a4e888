//! Requests to the daemon: where it is, paths and queries, answers and errors.

use std::cell::RefCell;
use std::io::{self, BufRead, Read};
use std::os::fd::OwnedFd;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::fail::Failure;
use crate::http::client::{self as http, Connection, Host, Request, RequestBody, Response};
use crate::wire::json;
use crate::wire::system::{API_VERSION, ErrorBody};

/// Where the daemon listens when nobody says otherwise.
pub(crate) const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";

/// A daemon to talk to.
pub(crate) struct Client {
    host: Host,
    version: String,
    headers: Vec<(String, String)>,
    connection: RefCell<Option<Connection>>,
}

/// A connection that has become a stream: the socket, and what came with the head.
pub(crate) type Hijacked = (OwnedFd, Vec<u8>);

impl Client {
    /// A client of the daemon at `host` (`unix:///path`, `tcp://host[:port]`, `host:port`).
    /// No connection is made yet.
    ///
    /// # Errors
    /// An address of a kind that is not served.
    pub(crate) fn new(host: &str, headers: Vec<(String, String)>) -> Result<Client, Failure> {
        let version = match std::env::var("DOCKER_API_VERSION") {
            Ok(version) if !version.is_empty() => version.trim_start_matches('v').to_owned(),
            _ => API_VERSION.to_owned(),
        };
        let connection = RefCell::new(None);
        Ok(Client { host: parse_host(host)?, version, headers, connection })
    }

    /// A client of the same daemon, with a connection of its own.
    pub(crate) fn another(&self) -> Client {
        let Client { host, version, headers, connection: _ } = self;
        Client {
            host: host.clone(),
            version: version.clone(),
            headers: headers.clone(),
            connection: RefCell::new(None),
        }
    }

    /// A connection as bare bytes.
    ///
    /// # Errors
    /// No daemon.
    pub(crate) fn dial(&self) -> Result<OwnedFd, Failure> {
        Ok(http::dial(&self.host)?)
    }

    /// Where the daemon is.
    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// The version of the API that is spoken.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    /// An empty name, as an unset variable of a script gives, would lead to another route.
    fn target(&self, path: &str) -> Result<String, Failure> {
        let (names, _) = path.split_once('?').unwrap_or((path, ""));
        if names.ends_with('/') || names.contains("//") {
            let family = names.split('/').nth(1).unwrap_or_default().trim_end_matches('s');
            let text = format!("invalid {family} name or ID: value is empty");
            return Err(Failure { status: 404, ..Failure::new(text) });
        }
        Ok(format!("/v{}{path}", self.version))
    }

    /// Sends a request and gives the answer whatever its status. Calls share one connection while
    /// their answers are read to the end.
    fn exchange(
        &self,
        method: &str,
        path: &str,
        body: RequestBody<'_>,
    ) -> Result<Response, Failure> {
        let target = self.target(path)?;
        // Taken apart so that the reader may outlive the target.
        let body = match body {
            RequestBody::Empty => RequestBody::Empty,
            RequestBody::Bytes(kind, bytes) => RequestBody::Bytes(kind, bytes),
            RequestBody::Stream(kind, reader) => RequestBody::Stream(kind, &mut *reader),
        };
        let request = Request { method, target: &target, headers: self.headers.clone(), body };
        let mut slot = self.connection.borrow_mut();
        let connection = match slot.take() {
            Some(connection) => slot.insert(connection),
            None => slot.insert(Connection::open(&self.host)?),
        };
        Ok(connection.send(request)?)
    }

    /// Sends a request; the answer's body is read as it comes.
    ///
    /// # Errors
    /// No daemon; what the daemon says in place of success.
    pub(crate) fn stream(
        &self,
        method: &str,
        path: &str,
        body: RequestBody<'_>,
    ) -> Result<Response, Failure> {
        let response = self.exchange(method, path, body)?;
        if response.status >= 400 { Err(refusal(response)) } else { Ok(response) }
    }

    /// Gets `path` whole, as sent.
    ///
    /// # Errors
    /// Those of [`Client::stream`].
    pub(crate) fn get_text(&self, path: &str) -> Result<String, Failure> {
        whole(self.stream("GET", path, RequestBody::Empty)?)
    }

    /// Gets `path` as a `T`.
    ///
    /// # Errors
    /// Those of [`Client::stream`]; an answer that is no `T`.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        read(&self.get_text(path)?)
    }

    /// Posts to `path` without a body.
    ///
    /// # Errors
    /// Those of [`Client::stream`].
    pub(crate) fn post(&self, path: &str) -> Result<(), Failure> {
        whole(self.stream("POST", path, RequestBody::Empty)?).map(drop)
    }

    /// Posts `body` to `path` and reads the answer.
    ///
    /// # Errors
    /// Those of [`Client::stream`]; an answer that is no `T`.
    pub(crate) fn post_json<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        let bytes = serde_json::to_vec(body).expect("requests have keys of text");
        let body = RequestBody::Bytes("application/json", bytes);
        read(&whole(self.stream("POST", path, body)?)?)
    }

    /// Deletes `path` and gives the answer.
    ///
    /// # Errors
    /// Those of [`Client::stream`].
    pub(crate) fn delete(&self, path: &str) -> Result<String, Failure> {
        whole(self.stream("DELETE", path, RequestBody::Empty)?)
    }

    /// Posts JSON, or nothing, to `path` and takes the connection over.
    ///
    /// # Errors
    /// Those of [`Client::stream`].
    pub(crate) fn hijack(&self, path: &str, json: Option<Vec<u8>>) -> Result<Hijacked, Failure> {
        let target = self.target(path)?;
        let headers = self.headers.clone();
        let body = match json {
            Some(bytes) => RequestBody::Bytes("application/json", bytes),
            None => RequestBody::Empty,
        };
        let request = Request { method: "POST", target: &target, headers, body };
        match http::hijack(&self.host, request)? {
            Ok(hijacked) => Ok(hijacked),
            Err(response) => Err(refusal(response)),
        }
    }
}

/// Reads an answer to its end.
///
/// # Errors
/// Those of the connection.
pub(crate) fn whole(mut response: Response) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    response.read_to_end(&mut bytes).map_err(broken)?;
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// Reads a `T` from an answer.
///
/// # Errors
/// An answer that is none.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Failure> {
    json::from_answer(text.as_bytes())
        .map_err(|error| Failure::new(format!("the daemon's answer is not understood: {error}")))
}

/// Reads the objects of a stream as they come. A daemon ends each with a line's end, and writes
/// none in between.
pub(crate) fn objects<T: DeserializeOwned>(
    response: Response,
) -> impl Iterator<Item = Result<T, Failure>> {
    let lines = io::BufReader::new(response).split(b'\n');
    let texts =
        lines.filter(|line| line.as_ref().map_or(true, |line| !line.trim_ascii().is_empty()));
    texts.map(|line| {
        let line = line.map_err(broken)?;
        serde_json::from_slice(&line).map_err(|error| broken(error.into()))
    })
}

/// A connection that broke while an answer came.
pub(crate) fn broken(error: io::Error) -> Failure {
    Failure::new(format!("the connection to the daemon broke: {error}"))
}

/// What the daemon said in place of success.
fn refusal(response: Response) -> Failure {
    let status = response.status;
    let text = match whole(response) {
        Ok(text) => text,
        Err(failure) => return failure,
    };
    let message = match json::from_answer::<ErrorBody>(text.as_bytes()) {
        Ok(body) if !body.message.is_empty() => body.message,
        _ if text.trim().is_empty() => format!("status {status} without a message"),
        _ => text,
    };
    Failure { status, ..Failure::new(format!("Error response from daemon: {}", message.trim())) }
}

/// Where `text` points to.
///
/// # Errors
/// A kind of address that is not served.
pub(crate) fn parse_host(text: &str) -> Result<Host, Failure> {
    if let Some(path) = text.strip_prefix("unix://") {
        return Ok(Host::Unix(path.into()));
    }
    let address = match text.split_once("://") {
        Some(("tcp" | "http", address)) => address.trim_end_matches('/'),
        Some(("ssh", address)) => return ssh(address, text),
        Some(_) => return Err(Failure::new(format!("unable to parse docker host `{text}`"))),
        None => text,
    };
    let has_port = address.rsplit_once(':').is_some_and(|(_, port)| !port.contains(']'));
    Ok(Host::Tcp(match address {
        "" => "127.0.0.1:2375".to_owned(),
        _ if address.starts_with(':') => format!("127.0.0.1{address}"),
        _ if address.ends_with(':') => format!("{address}2375"),
        _ if has_port => address.to_owned(),
        _ => format!("{address}:2375"),
    }))
}

/// The daemon of another host, by `ssh [-l USER] [-p PORT] HOST`, whose program there passes the
/// bytes on. `address` is `[user@]host[:port][/path of the socket]`.
///
/// # Errors
/// No host; a password, which ssh asks for itself.
fn ssh(address: &str, whole: &str) -> Result<Host, Failure> {
    let wrong =
        |why: &str| Failure::new(format!("ssh host connection is not valid: {why}: {whole}"));
    let (address, socket) = address.split_once('/').unwrap_or((address, ""));
    let (user, address) = address.rsplit_once('@').unwrap_or(("", address));
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port),
        _ => (address, ""),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    if user.contains(':') {
        return Err(wrong("plain-text password is not supported"));
    }
    let odd = |word: &str| word.starts_with('-') || word.contains(char::is_whitespace);
    if host.is_empty() || odd(host) || odd(user) || !port.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong("no host specified"));
    }
    let mut words: Vec<&str> = vec!["ssh", "-o", "ConnectTimeout=30", "-T"];
    for (flag, value) in [("-l", user), ("-p", port)] {
        if !value.is_empty() {
            words.extend([flag, value]);
        }
    }
    let socket = match socket {
        "" => String::new(),
        path => format!(" --host 'unix:///{}'", path.replace('\'', "'\\''")),
    };
    let there = format!("exec $(command -v skiff || command -v docker){socket} system dial-stdio");
    words.extend(["--", host, &there]);
    Ok(Host::Program(words.into_iter().map(str::to_owned).collect(), whole.to_owned()))
}

/// A path or a query that is being put together, percent-encoded.
#[derive(Debug, Default)]
pub(crate) struct Target {
    text: String,
    asked: bool,
}

impl Target {
    /// `/containers/` and the like, then each of `parts` as one segment after the other.
    pub(crate) fn new(parts: &[&str]) -> Target {
        let mut target = Target::default();
        for part in parts {
            target.text.push('/');
            encode(part, b"-_.~:@/", &mut target.text);
        }
        target
    }

    /// Adds `name=value` to the query.
    pub(crate) fn query(mut self, name: &str, value: &str) -> Target {
        self.text.push(if self.asked { '&' } else { '?' });
        self.asked = true;
        self.text.push_str(name);
        self.text.push('=');
        encode(value, b"-_.~:/", &mut self.text);
        self
    }

    /// Adds `name=1` when `on`.
    pub(crate) fn flag(self, name: &str, on: bool) -> Target {
        if on { self.query(name, "1") } else { self }
    }

    /// Adds `name=value` when there is one.
    pub(crate) fn maybe(self, name: &str, value: Option<&str>) -> Target {
        match value {
            Some(value) => self.query(name, value),
            None => self,
        }
    }

    /// The text.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

fn encode(text: &str, safe: &[u8], out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || safe.contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

/// The `filters` of a query: an object of lists, keys sorted.
pub(crate) fn filters(pairs: &[(String, String)]) -> Option<String> {
    let mut map: std::collections::BTreeMap<&str, Vec<&str>> = std::collections::BTreeMap::new();
    for (name, value) in pairs {
        map.entry(name).or_default().push(value);
    }
    (!map.is_empty()).then(|| serde_json::to_string(&map).expect("keys are text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read_in_every_form() {
        let check = |text: &str, expected: Host| assert_eq!(parse_host(text), Ok(expected));
        let tcp = |address: &str| Host::Tcp(address.to_owned());
        check("unix:///run/x.sock", Host::Unix("/run/x.sock".into()));
        check("tcp://h:1", tcp("h:1"));
        check("tcp://h", tcp("h:2375"));
        check("h:4243", tcp("h:4243"));
        check(":4243", tcp("127.0.0.1:4243"));
        check("tcp://[::1]:2375", tcp("[::1]:2375"));
        check("tcp://[::1]", tcp("[::1]:2375"));
        check("tcp://h:1/", tcp("h:1"));
        let ssh = |text: &str| match parse_host(text) {
            Ok(Host::Program(words, shown)) => {
                assert_eq!(shown, text);
                words[4..].join(" ")
            }
            Ok(other) => panic!("{other}"),
            Err(failure) => failure.text,
        };
        let there = "exec $(command -v skiff || command -v docker)";
        assert_eq!(ssh("ssh://h"), format!("-- h {there} system dial-stdio"));
        assert_eq!(
            ssh("ssh://me@[::1]:22/run/x.sock"),
            format!("-l me -p 22 -- ::1 {there} --host 'unix:///run/x.sock' system dial-stdio")
        );
        for bad in ["ssh://", "ssh://u:p@h", "ssh://-oX", "ssh://h:x"] {
            assert!(ssh(bad).starts_with("ssh host connection is not valid: "), "{bad}");
        }
        assert!(parse_host("npipe://x").is_err());
    }

    #[test]
    fn targets_are_encoded() {
        let target =
            Target::new(&["containers", "a b", "json"]).query("x", "{\"a\"}").flag("y", true);
        assert_eq!(target.as_str(), "/containers/a%20b/json?x=%7B%22a%22%7D&y=1");
        let none = Target::new(&["images", "host:5000/a", "json"]).flag("y", false);
        assert_eq!(none.as_str(), "/images/host:5000/a/json");
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        let text = filters(&[pair("b", "1"), pair("a", "x"), pair("b", "2")]);
        assert_eq!(text.as_deref(), Some(r#"{"a":["x"],"b":["1","2"]}"#));
        assert_eq!(filters(&[]), None);
    }
}
