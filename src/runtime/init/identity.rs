//! Who runs the program: user and groups, looked up in the image's own files.
//!
//! The files come from strangers: they are read by us, never by the C library, up to a size; a
//! line that does not parse is skipped.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::AsFd;
use std::path::Path;

use super::root::Root;
use crate::base::{Context, Error, Result};
use crate::sys::node;

/// Larger files than this are an attack, or at least no list of users.
const MAX_FILE: u64 = 16 << 20;
/// Larger lines than this end the reading.
const MAX_LINE: u64 = 1 << 20;
/// The kernel takes no more (NGROUPS_MAX).
const MAX_GROUPS: usize = 65_536;
/// The largest number of a user or group; -1 means "keep" to the kernel, and old tools are signed.
const MAX_NUMBER: u64 = i32::MAX as u64;

/// A user with groups, as numbers.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Supplementary groups; the primary one is among them.
    pub(super) groups: Vec<u32>,
    /// Home directory, for the environment.
    pub(super) home: String,
}

/// Resolves `name|uid[:group|gid]` and the additional `groups` in the root's files.
pub(super) fn resolve(root: &Root, user: &str, groups: &[String]) -> Result<Identity> {
    resolve_in(user, groups, &|path| open(root, path))
}

fn open(root: &Root, path: &str) -> io::Result<Option<Box<dyn BufRead>>> {
    let fd = match node::read_in_root(root.fd(), Path::new(path)) {
        // Anything in the way that is no file is as good as no file.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(None);
        }
        fd => fd?,
    };
    if !node::stat(fd.as_fd())?.is_file() {
        return Ok(None);
    }
    Ok(Some(Box::new(BufReader::new(File::from(fd).take(MAX_FILE)))))
}

type Open<'a> = &'a dyn Fn(&str) -> io::Result<Option<Box<dyn BufRead>>>;

/// A number where the text is all digits.
enum Number {
    Of(u32),
    OutOfRange,
    Text,
}

fn number(text: &str) -> Number {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Number::Text;
    }
    let value = text.parse::<u64>().ok().filter(|n| *n <= MAX_NUMBER);
    value.and_then(|n| u32::try_from(n).ok()).map_or(Number::OutOfRange, Number::Of)
}

fn out_of_range(text: &str) -> Error {
    Error::bad_parameter(format!("uid or gid {text} is not in the range 0-{MAX_NUMBER}"))
}

fn resolve_in(user: &str, extra: &[String], open: Open<'_>) -> Result<Identity> {
    let (name, group) = user.split_once(':').unwrap_or((user, ""));
    let mut identity = Identity { uid: 0, gid: 0, groups: Vec::new(), home: "/".into() };
    let mut user_name = None;
    // A number is a user id, also where a user is called like that.
    let wanted = match number(name) {
        Number::Of(uid) => Some(uid),
        Number::OutOfRange => return Err(out_of_range(name)),
        Number::Text if name.is_empty() => Some(0),
        Number::Text => None,
    };
    let found = find(open, "/etc/passwd", |fields: &[&str]| {
        let [entry, _, uid, gid, _, home, ..] = fields else { return None };
        let (Number::Of(uid), Number::Of(gid)) = (number(uid), number(gid)) else {
            return None;
        };
        let matches = wanted.map_or(*entry == name, |wanted| uid == wanted);
        matches.then(|| ((*entry).to_owned(), uid, gid, (*home).to_owned()))
    })?;
    match (found, wanted) {
        (Some((entry, uid, gid, home)), _) => {
            user_name = Some(entry);
            (identity.uid, identity.gid) = (uid, gid);
            if home.starts_with('/') {
                identity.home = home;
            }
        }
        (None, Some(uid)) => identity.uid = uid,
        (None, None) => {
            let text = format!("unable to find user {name}: no matching entries in passwd file");
            return Err(Error::bad_parameter(text));
        }
    }
    if group.is_empty() {
        if let Some(user_name) = user_name {
            identity.groups = memberships(open, &user_name)?;
        }
    } else {
        // With a group of its own the program is in no other, as users of Docker know it.
        identity.gid = group_number(open, group)?;
    }
    for group in extra {
        let gid = group_number(open, group)?;
        identity.groups.push(gid);
    }
    // Some programs ask only the supplementary list whether they are in a group.
    identity.groups.insert(0, identity.gid);
    let mut seen = std::collections::HashSet::new();
    identity.groups.retain(|gid| seen.insert(*gid));
    identity.groups.truncate(MAX_GROUPS);
    Ok(identity)
}

/// Number of the group that `text` names.
fn group_number(open: Open<'_>, text: &str) -> Result<u32> {
    match number(text) {
        Number::Of(gid) => return Ok(gid),
        Number::OutOfRange => return Err(out_of_range(text)),
        Number::Text => {}
    }
    let found = find(open, "/etc/group", |fields: &[&str]| match fields {
        [name, _, gid, ..] if *name == text => match number(gid) {
            Number::Of(gid) => Some(gid),
            _ => None,
        },
        _ => None,
    })?;
    found.ok_or_else(|| {
        let text = format!("unable to find group {text}: no matching entries in group file");
        Error::bad_parameter(text)
    })
}

/// Numbers of the groups that list `user` as a member.
fn memberships(open: Open<'_>, user: &str) -> Result<Vec<u32>> {
    let mut groups = Vec::new();
    find(open, "/etc/group", |fields: &[&str]| -> Option<()> {
        if let [_, _, gid, members, ..] = fields {
            if members.split(',').any(|member| member == user) {
                if let Number::Of(gid) = number(gid) {
                    groups.push(gid);
                }
            }
        }
        (groups.len() >= MAX_GROUPS).then_some(())
    })?;
    Ok(groups)
}

/// The first answer of `test` to the fields of a line of `path`; none when there is no such file.
fn find<T>(
    open: Open<'_>,
    path: &str,
    mut test: impl FnMut(&[&str]) -> Option<T>,
) -> Result<Option<T>> {
    let mut read = || -> io::Result<Option<T>> {
        let Some(mut file) = open(path)? else { return Ok(None) };
        let mut line = Vec::new();
        loop {
            line.clear();
            let count = (&mut file).take(MAX_LINE).read_until(b'\n', &mut line)?;
            if count == 0 {
                return Ok(None);
            }
            let Ok(text) = std::str::from_utf8(&line) else { continue };
            let text = text.trim();
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let fields: Vec<&str> = text.splitn(8, ':').collect();
            if let Some(answer) = test(&fields) {
                return Ok(Some(answer));
            }
        }
    };
    read().context(|| format!("read {path} of the image"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbad line\nweb:x:1000:33::/srv:/bin/sh\n\
        1000:x:0:0::/evil:/bin/sh\nhuge:x:4294967296:0::/:\nadm:x:7:7::nohome:/bin/sh\n";
    const GROUP: &str =
        "root:x:0:root\nwheel:x:10:root,web\nwww:x:33:\naudio:x:29:web\n1234:x:0:\n";

    fn files(path: &str) -> io::Result<Option<Box<dyn BufRead>>> {
        let text = match path {
            "/etc/passwd" => PASSWD,
            "/etc/group" => GROUP,
            _ => return Ok(None),
        };
        Ok(Some(Box::new(text.as_bytes())))
    }

    #[track_caller]
    fn check(user: &str, extra: &[&str], expected: (u32, u32, &[u32], &str)) {
        let extra: Vec<String> = extra.iter().map(|g| (*g).to_owned()).collect();
        let found = resolve_in(user, &extra, &files).unwrap();
        let (uid, gid, groups, home) = expected;
        assert_eq!(
            found,
            Identity { uid, gid, groups: groups.to_vec(), home: home.into() },
            "{user}"
        );
    }

    #[test]
    fn users_and_groups_are_looked_up() {
        check("", &[], (0, 0, &[0, 10], "/root"));
        check("root", &[], (0, 0, &[0, 10], "/root"));
        check("web", &[], (1000, 33, &[33, 10, 29], "/srv"));
        check("1000", &[], (1000, 33, &[33, 10, 29], "/srv"));
        check("web:audio", &[], (1000, 29, &[29], "/srv"));
        check("web:1234", &[], (1000, 1234, &[1234], "/srv"));
        check("4000", &["audio", "5"], (4000, 0, &[0, 29, 5], "/"));
        check("4000:4001", &[], (4000, 4001, &[4001], "/"));
        check(":www", &[], (0, 33, &[33], "/root"));
        check("adm", &[], (7, 7, &[7], "/"));
        check("007", &[], (7, 7, &[7], "/"));
    }

    #[test]
    fn what_is_no_user_is_an_error() {
        for (user, text) in [
            ("x", "unable to find user x: no matching entries in passwd file"),
            ("-1", "unable to find user -1: no matching entries in passwd file"),
            ("0x0", "unable to find user 0x0: no matching entries in passwd file"),
            ("huge", "unable to find user huge: no matching entries in passwd file"),
            ("web:y", "unable to find group y: no matching entries in group file"),
            ("4294967296", "uid or gid 4294967296 is not in the range 0-2147483647"),
            ("4294967295", "uid or gid 4294967295 is not in the range 0-2147483647"),
            ("1:2147483648", "uid or gid 2147483648 is not in the range 0-2147483647"),
        ] {
            assert_eq!(resolve_in(user, &[], &files).unwrap_err().to_string(), text);
        }
        let none = resolve_in("5", &[], &|_| Ok(None)).unwrap();
        assert_eq!((none.uid, none.gid), (5, 0));
        assert!(resolve_in("web", &[], &|_| Ok(None)).is_err());
    }
}
