//! References to images: `repo:tag`, `host:5000/repo@sha256:…`.
//!
//! The grammar is Docker's: an optional host, path components in lower case, an optional tag, an
//! optional digest. Familiar and full names differ in `docker.io/library/` alone; references are
//! stored and shown in the familiar form.

use std::fmt;

use crate::base::Digest;

/// A name with a tag or a digest or both; without either the tag is `latest`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// Familiar repository: `busybox`, `me/app`, `host:5000/app`.
    pub repository: String,
    /// `latest` when neither a tag nor a digest was given; `None` with a digest alone.
    pub tag: Option<String>,
    /// Digest of the manifest.
    pub digest: Option<Digest>,
}

impl Reference {
    /// Parses what a user typed.
    ///
    /// # Errors
    /// A sentence as Docker says it, e.g. `invalid reference format`.
    pub fn parse(text: &str) -> Result<Reference, String> {
        let invalid = || "invalid reference format".to_owned();
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(Digest::parse(digest).ok_or_else(invalid)?)),
            None => (text, None),
        };
        let (name, tag) = match rest.rfind(':') {
            Some(at) if !rest[at..].contains('/') => (&rest[..at], Some(&rest[at + 1..])),
            _ => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(invalid());
        }
        if name.len() > 255 {
            return Err("repository name must not be more than 255 characters".into());
        }
        if Digest::parse_hex(name).is_some() {
            return Err(format!(
                "invalid repository name ({name}), cannot specify 64-byte hexadecimal strings"
            ));
        }
        let (host, path) = split_host(name);
        if path.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err("invalid reference format: repository name (".to_owned()
                + name
                + ") must be lowercase");
        }
        if !host.is_none_or(is_host) || !path.split('/').all(is_component) {
            return Err(invalid());
        }
        let tag = match (tag, &digest) {
            (Some(tag), _) => Some(tag.to_owned()),
            (None, Some(_)) => None,
            (None, None) => Some("latest".to_owned()),
        };
        Ok(Reference { repository: familiar(host, path), tag, digest })
    }

    /// Host of the registry and the path there: (`docker.io`, `library/busybox`).
    pub fn registry(&self) -> (&str, String) {
        match split_host(&self.repository) {
            (Some(host), path) => (host, path.to_owned()),
            (None, path) if path.contains('/') => ("docker.io", path.to_owned()),
            (None, path) => ("docker.io", format!("library/{path}")),
        }
    }
}

/// Whether `text` is a legal tag: at most 128 of `[A-Za-z0-9_.-]`, the first no `.` or `-`.
pub fn is_tag(text: &str) -> bool {
    let first = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let rest = |b: u8| first(b) || b == b'.' || b == b'-';
    text.len() <= 128 && text.bytes().next().is_some_and(first) && text.bytes().all(rest)
}

fn split_host(name: &str) -> (Option<&str>, &str) {
    match name.split_once('/') {
        Some((host, path))
            if host.contains(['.', ':'])
                || host == "localhost"
                || host.bytes().any(|b| b.is_ascii_uppercase()) =>
        {
            (Some(host), path)
        }
        _ => (None, name),
    }
}

fn familiar(host: Option<&str>, path: &str) -> String {
    match host {
        Some("docker.io" | "index.docker.io") => {
            path.strip_prefix("library/").unwrap_or(path).to_owned()
        }
        Some(host) => format!("{host}/{path}"),
        None => path.strip_prefix("library/").unwrap_or(path).to_owned(),
    }
}

fn is_host(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) if address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':') => {
            return !address.is_empty()
                && (rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port));
        }
        Some(_) => return false,
        None => host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
    };
    let label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.split('.').all(label) && port.is_none_or(is_port)
}

fn is_port(port: &str) -> bool {
    !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit())
}

/// One component of a path: runs of `[a-z0-9]` joined by `.`, `_`, `__` or dashes.
fn is_component(text: &str) -> bool {
    let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    if !bytes.first().copied().is_some_and(word) || !bytes.last().copied().is_some_and(word) {
        return false;
    }
    bytes.split(|b| word(*b)).all(|between| {
        matches!(between, b"" | b"." | b"_" | b"__") || between.iter().all(|b| *b == b'-')
    })
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_parse_to_their_familiar_form() {
        let check = |text: &str, expected: &str| {
            let parsed = Reference::parse(text).map(|reference| reference.to_string());
            assert_eq!(parsed.as_deref(), Ok(expected), "{text}");
        };
        check("busybox", "busybox:latest");
        check("busybox:1.36", "busybox:1.36");
        check("docker.io/library/busybox", "busybox:latest");
        check("docker.io/me/app:x", "me/app:x");
        check("localhost:5000/app", "localhost:5000/app:latest");
        check("a/b/c__d-e.f:V1", "a/b/c__d-e.f:V1");
        check("[::1]:5000/app", "[::1]:5000/app:latest");
        let hex = "a".repeat(64);
        check(&format!("app@sha256:{hex}"), &format!("app@sha256:{hex}"));
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        let hex = "a".repeat(64);
        for bad in [
            "",
            ":",
            "a:",
            "A",
            "a//b",
            "/a",
            "a/",
            "a:b/c:",
            "../x",
            "a b",
            "-a",
            "a-",
            "a..b",
            "a@sha256:12",
            "a:.x",
            &hex,
            "ex ample.com/a",
            &"a".repeat(300),
            "a:\u{e9}",
        ] {
            assert!(Reference::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_registry_of_a_short_name_is_the_hub() {
        let registry = |text| {
            let reference = Reference::parse(text).unwrap();
            let (host, path) = reference.registry();
            format!("{host} {path}")
        };
        assert_eq!(registry("busybox"), "docker.io library/busybox");
        assert_eq!(registry("me/app"), "docker.io me/app");
        assert_eq!(registry("host:1/app"), "host:1 app");
    }
}
