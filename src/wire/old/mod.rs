//! The shapes of versions 1.0 to 1.6, made from those of 1.44.
//!
//! - Fields are named and ordered as there; ids are short where they were short.
//! - What a known field asks for and cannot be served is refused by the field's name.

// The fields are the protocol's own words, explained in its reference.
#![allow(missing_docs)]

pub mod config;
pub mod container;
pub mod image;
pub mod status;
pub mod system;

pub use status::{Route, status};

use crate::base::{Error, Kind, Result};

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

/// Reads a JSON body. What is wrong with it is 500 in these versions.
///
/// # Errors
/// `Internal`: `EOF` for an empty body, else a sentence.
pub fn read<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T> {
    if body.trim_ascii().is_empty() {
        return Err(Error::internal("EOF"));
    }
    super::json::from_request(body).map_err(|error| error.with_kind(Kind::Internal))
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
    Some(format!("/{}{slash}", kept.join("/")))
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
    fn bodies_fail_with_500() {
        for (body, text) in [("", "EOF"), ("\n", "EOF")] {
            let error = read::<config::Config>(body.as_bytes()).unwrap_err();
            assert_eq!((error.kind(), &*error.to_string()), (Kind::Internal, text));
        }
        for bad in ["{", "[]", r#"{"Cmd":{}}"#, r#"{"Memory":1.5}"#, r#"{"Volumes":{"/v":"x"}}"#] {
            let error = read::<config::Config>(bad.as_bytes()).expect_err(bad);
            assert_eq!(error.kind(), Kind::Internal, "{bad}");
        }
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
    }
}
