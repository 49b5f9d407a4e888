//! The shapes of versions 1.0 to 1.6, made from those of 1.44.
//!
//! - Fields are named and ordered as there; ids are short where they were short.
//! - What a known field asks for and cannot be served is refused by the field's name.

// The fields are the protocol's own words, explained in its reference.
#![allow(missing_docs)]

pub mod config;
pub mod container;
pub mod image;
pub mod progress;
pub mod status;
pub mod system;

pub use status::{Route, status};

use std::num::{IntErrorKind, ParseIntError};

use crate::base::{Error, Result};

/// The table of what differs between these versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answers {
    /// Progress comes as JSON; before, as text.
    pub json_progress: bool,
    /// The removal of an image tells its steps and takes what nothing needs any more along.
    pub told_removal: bool,
    /// There is a `build`.
    pub build: bool,
    /// There is a `top`.
    pub top: bool,
    /// Ports are a list; before, one text.
    pub port_list: bool,
    /// Streams without a terminal come in frames.
    pub frames: bool,
}

impl Answers {
    /// What version 1.`minor` answers.
    pub fn of(minor: u32) -> Answers {
        Answers {
            json_progress: minor > 0,
            told_removal: minor > 1,
            build: minor >= 3,
            top: minor >= 4,
            port_list: minor >= 5,
            frames: minor >= 6,
        }
    }
}

/// The headers of every answer when browsers are served.
pub const CORS: &[(&str, &str)] = &[
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Headers", "Origin, X-Requested-With, Content-Type, Accept"),
    ("Access-Control-Allow-Methods", "GET, POST, DELETE, PUT, OPTIONS"),
];

/// All that is sent before an attached stream.
pub const RAW_HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n";

/// A failure after the head of an attached stream, on standard output.
pub fn attach_failure(error: &Error, framed: bool) -> Vec<u8> {
    let text = format!("Error: {error}\n");
    let length = u32::try_from(text.len()).expect("a sentence is short").to_be_bytes();
    let head = [[1, 0, 0, 0], length].concat();
    if framed { [&head, text.as_bytes()].concat() } else { text.into_bytes() }
}

/// `value` as Go wrote it: compact, no line end, angle brackets escaped.
pub fn json<T: serde::Serialize + ?Sized>(value: &T) -> Vec<u8> {
    let bytes = serde_json::to_vec(value).expect("our own types are always JSON");
    escape(bytes)
}

/// Escapes the angle brackets of JSON, which occur within strings alone.
fn escape(bytes: Vec<u8>) -> Vec<u8> {
    if !bytes.iter().any(|byte| matches!(byte, b'<' | b'>')) {
        return bytes;
    }
    let mut out = Vec::with_capacity(bytes.len() + 64);
    for byte in bytes {
        match byte {
            b'<' => out.extend_from_slice(b"\\u003c"),
            b'>' => out.extend_from_slice(b"\\u003e"),
            other => out.push(other),
        }
    }
    out
}

/// Type of the body of every error.
pub const TEXT: &str = "text/plain; charset=utf-8";

/// A boolean as Go reads it; absent and empty are false.
///
/// # Errors
/// `Bad parameter`.
pub fn boolean(text: &str) -> Result<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "" | "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(Error::bad_parameter("Bad parameter")),
    }
}

/// A number of a query. What is none is 500 on the routes that ask for one ([`Route::Body`]).
///
/// # Errors
/// `BadParameter`.
pub fn integer(text: &str) -> Result<i64> {
    text.parse().map_err(|error: ParseIntError| {
        let why = match error.kind() {
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => "value out of range",
            _ => "invalid syntax",
        };
        Error::bad_parameter(format!("strconv.ParseInt: parsing {text:?}: {why}"))
    })
}

/// Reads a JSON body. What is wrong with it is 500 on the routes that have one ([`Route::Body`],
/// [`Route::Lifecycle`]).
///
/// # Errors
/// `BadParameter`: `EOF` for an empty body, else a sentence.
pub fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T> {
    if body.trim_ascii().is_empty() {
        return Err(Error::bad_parameter("EOF"));
    }
    super::json::from_request(body)
}

/// The first 12 digits of an id, with or without the name of its algorithm.
pub fn short(id: &str) -> &str {
    let hex = full(id);
    hex.get(..12).unwrap_or(hex)
}

/// An id without the name of its algorithm.
pub fn full(id: &str) -> &str {
    id.strip_prefix("sha256:").unwrap_or(id)
}

/// `REPO` and `TAG` of a name, split where these versions split it.
pub fn split_name(name: &str) -> (&str, &str) {
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (name, ""),
    }
}

/// Where a path with `//`, `.` or `..` segments is sent to; `None` for a clean one.
pub fn cleaned(path: &str) -> Option<String> {
    let unclean = |segment: &str| matches!(segment, "" | "." | "..");
    let inner = path.strip_prefix('/').unwrap_or(path);
    let (inner, slash) = inner.strip_suffix('/').map_or((inner, ""), |inner| (inner, "/"));
    if inner.is_empty() && slash.is_empty() || !inner.split('/').any(unclean) {
        return None;
    }
    let mut kept = Vec::new();
    for segment in inner.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            other => kept.push(other),
        }
    }
    let slash = if kept.is_empty() { "" } else { slash };
    // It goes into a header.
    let mut clean = String::from("/");
    for byte in format!("{}{slash}", kept.join("/")).bytes() {
        match byte {
            b'!'..=b'~' if !b"%?#".contains(&byte) => clean.push(char::from(byte)),
            _ => clean.push_str(&format!("%{byte:02X}")),
        }
    }
    Some(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn booleans_are_gos() {
        for (text, expected) in [("", false), ("0", false), ("f", false), ("1", true), ("T", true)]
        {
            assert_eq!(boolean(text).unwrap(), expected, "{text}");
        }
        for bad in ["maybe", "yes", "2", " 1"] {
            assert_eq!(boolean(bad).unwrap_err().to_string(), "Bad parameter");
        }
    }

    #[test]
    fn numbers_are_gos() {
        assert_eq!(integer("-7").unwrap(), -7);
        for (bad, why) in [
            ("", "invalid syntax"),
            ("1x", "invalid syntax"),
            ("9223372036854775808", "value out of range"),
            ("-9223372036854775809", "value out of range"),
        ] {
            let text = format!("strconv.ParseInt: parsing {bad:?}: {why}");
            assert_eq!(integer(bad).unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn bodies_fail_with_500() {
        for (body, text) in [("", "EOF"), ("\n", "EOF")] {
            let error = read::<config::Config>(body.as_bytes()).unwrap_err();
            assert_eq!((status(error.kind(), Route::Body), &*error.to_string()), (500, text));
        }
        for bad in ["{", "[]", r#"{"Cmd":{}}"#, r#"{"Memory":1.5}"#, r#"{"Volumes":{"/v":"x"}}"#] {
            let error = read::<config::Config>(bad.as_bytes()).expect_err(bad);
            assert_eq!(status(error.kind(), Route::Lifecycle), 500, "{bad}");
        }
    }

    #[test]
    fn each_answer_changes_at_its_version() {
        let at = Answers::of;
        assert!(!at(0).json_progress && at(1).json_progress);
        assert!(!at(1).told_removal && at(2).told_removal);
        assert!(!at(2).build && at(3).build);
        assert!(!at(3).top && at(4).top);
        assert!(!at(4).port_list && at(5).port_list);
        assert!(!at(5).frames && at(6).frames);
    }

    #[test]
    fn failures_within_a_stream_are_framed_like_it() {
        let error = Error::internal("no");
        assert_eq!(attach_failure(&error, false), b"Error: no\n");
        assert_eq!(attach_failure(&error, true), b"\x01\0\0\0\0\0\0\x0aError: no\n");
    }

    #[test]
    fn json_is_as_go_wrote_it() {
        assert_eq!(json(&["a<b>", "&\""]), br#"["a\u003cb\u003e","&\""]"#);
    }

    #[test]
    fn ids_and_names_are_cut_as_then() {
        assert_eq!(short(&format!("sha256:{}", "ab".repeat(32))), "abababababab");
        assert_eq!(full("sha256:ab"), "ab");
        assert_eq!(split_name("host:5000/app"), ("host:5000/app", ""));
        assert_eq!(split_name("host:5000/app:x"), ("host:5000/app", "x"));
        assert_eq!(split_name("app"), ("app", ""));
    }

    #[test]
    fn unclean_paths_have_a_clean_one() {
        for clean in ["/", "/info", "/containers/", "/images/a:5000/b/json", "/a...b"] {
            assert_eq!(cleaned(clean), None, "{clean}");
        }
        let check = |path: &str, expected: &str| assert_eq!(cleaned(path).unwrap(), expected);
        check("//info", "/info");
        check("/v1.6//info", "/v1.6/info");
        check("/a/./b/../c", "/a/c");
        check("/..", "/");
        check("//", "/");
        check("/a//", "/a/");
        check("//a b\r\né?", "/a%20b%0D%0A%C3%A9%3F");
    }
}
