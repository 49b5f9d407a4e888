//! What is mounted into a container: from the several ways to ask for it to one sorted list.

use std::collections::BTreeSet;

use crate::base::order;
use crate::base::{Error, Result};
use crate::model::{HostConfig, MountKind, MountPoint};

/// Mount words that ask for a propagation.
const PROPAGATIONS: &[&str] = &["shared", "slave", "private", "rshared", "rslave", "rprivate"];
/// Flags of a tmpfs; the rest are `key=value`.
const TMPFS_FLAGS: &[&str] = &[
    "ro",
    "rw",
    "suid",
    "nosuid",
    "dev",
    "nodev",
    "exec",
    "noexec",
    "sync",
    "async",
    "dirsync",
    "atime",
    "noatime",
    "diratime",
    "nodiratime",
    "relatime",
    "norelatime",
    "strictatime",
    "nostrictatime",
];
const TMPFS_KEYS: &[&str] = &["size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol"];

fn bad<T>(message: impl Into<String>) -> Result<T> {
    Err(Error::bad_parameter(message))
}

/// All mounts that `host` asks for, parents before children.
///
/// # Errors
/// `BadParameter` for what is malformed or twice there; `NotImplemented` for volumes.
pub fn resolve(host: &HostConfig) -> Result<Vec<MountPoint>> {
    let mut mounts = Vec::new();
    for bind in &host.binds {
        mounts.push(parse_bind(bind)?);
    }
    for mount in &host.mounts {
        mounts.push(check_mount(mount)?);
    }
    for (path, options) in &host.tmpfs {
        check_tmpfs(options)?;
        mounts.push(MountPoint {
            kind: MountKind::Tmpfs { options: options.clone() },
            destination: destination(path, path)?,
            rw: !options.split(',').any(|word| word == "ro"),
            mode: String::new(),
            propagation: String::new(),
        });
    }
    let mut seen = BTreeSet::new();
    for mount in &mounts {
        if !seen.insert(mount.destination.as_str()) {
            return bad(format!("Duplicate mount point: {}", mount.destination));
        }
    }
    order::sort_by(&mut mounts, |a, b| a.destination.cmp(&b.destination));
    Ok(mounts)
}

/// Parses `SRC:DST[:MODE]`.
fn parse_bind(text: &str) -> Result<MountPoint> {
    let invalid = || Error::bad_parameter(format!("invalid volume specification: '{text}'"));
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, mode) = match parts[..] {
        [target] => return Err(no_volumes(target)),
        [source, target] => (source, target, ""),
        [source, target, mode] if !mode.is_empty() => (source, target, mode),
        _ => return Err(invalid()),
    };
    if source.is_empty() || target.is_empty() || text.contains('\0') {
        return Err(invalid());
    }
    let destination = destination(target, text)?;
    if !source.starts_with('/') {
        return Err(no_volumes(source));
    }
    let (mut rw, mut propagation) = (true, String::new());
    let mut seen = BTreeSet::new();
    for word in mode.split(',').filter(|_| !mode.is_empty()) {
        match word {
            "ro" => rw = false,
            "rw" | "z" | "Z" | "delegated" | "cached" | "consistent" => {}
            word if PROPAGATIONS.contains(&word) => propagation = word.to_owned(),
            _ => return bad(format!("invalid mode: {mode}")),
        }
        if !seen.insert(word) {
            return bad(format!("invalid mode: {mode}"));
        }
    }
    Ok(MountPoint {
        kind: MountKind::Bind { source: clean(source), create: true },
        destination,
        rw,
        mode: mode.to_owned(),
        propagation,
    })
}

fn no_volumes(name: &str) -> Error {
    Error::not_implemented(format!("volumes are not served yet: {name}"))
}

/// A mount of today's API.
fn check_mount(mount: &MountPoint) -> Result<MountPoint> {
    let destination = destination(&mount.destination, &mount.destination)?;
    let kind = match &mount.kind {
        MountKind::Volume { name, .. } if name.is_empty() => {
            return Err(no_volumes(&mount.destination));
        }
        MountKind::Volume { name, .. } => return Err(no_volumes(name)),
        MountKind::Bind { source, create } => {
            let wrong = |why: &str| {
                Error::bad_parameter(format!("invalid mount config for type \"bind\": {why}"))
            };
            if !source.starts_with('/') || source.contains('\0') {
                return Err(wrong(&format!(
                    "invalid mount path: '{source}' mount path must be absolute"
                )));
            }
            if !create && !std::path::Path::new(source).exists() {
                return Err(wrong(&format!("bind source path does not exist: {source}")));
            }
            MountKind::Bind { source: clean(source), create: *create }
        }
        MountKind::Tmpfs { options } => {
            check_tmpfs(options)?;
            MountKind::Tmpfs { options: options.clone() }
        }
    };
    if !mount.propagation.is_empty() && !PROPAGATIONS.contains(&mount.propagation.as_str()) {
        return bad(format!("invalid propagation mode: {}", mount.propagation));
    }
    Ok(MountPoint { kind, destination, ..mount.clone() })
}

fn check_tmpfs(options: &str) -> Result<()> {
    for word in options.split(',').filter(|word| !word.is_empty()) {
        let known = match word.split_once('=') {
            Some((key, value)) => {
                let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'%' | b':' | b'-');
                TMPFS_KEYS.contains(&key) && value.bytes().all(plain)
            }
            None => TMPFS_FLAGS.contains(&word) || PROPAGATIONS.contains(&word),
        };
        if !known {
            return bad(format!("invalid tmpfs option [{word:?}]"));
        }
    }
    Ok(())
}

fn destination(path: &str, whole: &str) -> Result<String> {
    if !path.starts_with('/') || path.contains('\0') {
        return bad(format!("invalid mount path: '{path}' mount path must be absolute"));
    }
    let path = clean(path);
    if path == "/" {
        return bad(format!("invalid volume specification: '{whole}': destination can't be '/'"));
    }
    Ok(path)
}

/// An absolute path without `.`, `..` and doubled slashes; `..` of the root is the root.
pub fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binds_are_parsed_and_sorted() {
        let host = HostConfig {
            binds: vec!["/b:/data/sub/:ro".into(), "/a/../a:/data:rw,rslave".into()],
            tmpfs: [("/tmp".to_owned(), "size=64m,mode=1777".to_owned())].into(),
            ..HostConfig::default()
        };
        let mounts = resolve(&host).unwrap();
        let seen: Vec<_> = mounts.iter().map(|m| (m.destination.as_str(), m.rw)).collect();
        assert_eq!(seen, [("/data", true), ("/data/sub", false), ("/tmp", true)]);
        assert_eq!(mounts[0].kind, MountKind::Bind { source: "/a".into(), create: true });
        assert_eq!(mounts[0].propagation, "rslave");
    }

    #[test]
    fn what_cannot_be_mounted_is_refused_by_name() {
        let check = |bind: &str, expected: &str| {
            let host = HostConfig { binds: vec![bind.into()], ..HostConfig::default() };
            assert_eq!(resolve(&host).unwrap_err().to_string(), expected);
        };
        check("/a:/b:wx", "invalid mode: wx");
        check("/a:/b:ro,ro", "invalid mode: ro,ro");
        check("/a:/b:", "invalid volume specification: '/a:/b:'");
        check("/a:b", "invalid mount path: 'b' mount path must be absolute");
        check("/a:/x/..", "invalid volume specification: '/a:/x/..': destination can't be '/'");
        check("data:/b", "volumes are not served yet: data");
        check("/b", "volumes are not served yet: /b");
        let twice =
            HostConfig { binds: vec!["/a:/b".into(), "/c:/b/".into()], ..HostConfig::default() };
        assert_eq!(resolve(&twice).unwrap_err().to_string(), "Duplicate mount point: /b");
        let tmpfs = HostConfig {
            tmpfs: [("/t".to_owned(), "size=1m,evil".to_owned())].into(),
            ..HostConfig::default()
        };
        assert_eq!(resolve(&tmpfs).unwrap_err().to_string(), "invalid tmpfs option [\"evil\"]");
    }

    #[test]
    fn a_clean_path_stays_below_the_root() {
        for (path, expected) in [("/", "/"), ("//a/./b/../c/", "/a/c"), ("/../../x", "/x")] {
            assert_eq!(clean(path), expected);
        }
    }
}
