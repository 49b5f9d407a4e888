//! The client of our own API: a connection per call over a unix socket or tcp.

use std::io::{self, Read};
use std::os::fd::OwnedFd;

use super::Headers;
use crate::base::Result;

/// Where a daemon listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// `unix:///path`
    Unix(std::path::PathBuf),
    /// `tcp://host:port`
    Tcp(String),
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

/// An answer whose body is read as it comes.
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Headers.
    pub headers: Headers,
}

impl Read for Response {
    fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        todo!()
    }
}

/// Sends `request` on a connection of its own and reads the answer's head.
///
/// # Errors
/// `Unavailable` when no daemon listens there; those of the connection.
pub fn send(_host: &Host, _request: Request<'_>) -> Result<Response> {
    todo!()
}

/// Sends `request` with `Upgrade: tcp` and takes the connection over: the socket, and the bytes
/// that came after the head. A refusal is given back as the answer.
///
/// # Errors
/// As [`send`].
pub fn hijack(_host: &Host, _request: Request<'_>) -> Result<Result<(OwnedFd, Vec<u8>), Response>> {
    todo!()
}
