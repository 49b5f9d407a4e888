//! What openat2(2) does, step by step, for kernels before Linux 5.6.
//!
//! Every step is one component, never through a symlink, from a directory that is held open.
//! `..` goes back along the directories that were passed, so whatever is renamed or swapped
//! meanwhile, nothing above the start is reached.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use super::fs::{openat, readlinkat, statat};

/// Most symlinks of one path, as in the kernel.
const MAX_LINKS: u32 = 40;

/// Opens `path` below `dir`; symlinks are followed inside it if `follow`, else refused (ELOOP).
pub(super) fn open(
    dir: BorrowedFd<'_>,
    path: &Path,
    flags: i32,
    mode: u32,
    follow: bool,
) -> io::Result<OwnedFd> {
    let error = |number| Err(io::Error::from_raw_os_error(number));
    if path.as_os_str().is_empty() {
        return error(libc::ENOENT);
    }
    if !follow && path.as_os_str().as_bytes().starts_with(b"/") {
        return error(libc::EXDEV);
    }
    let mut todo = Vec::new();
    push(&mut todo, path);
    // Directories passed on the way down.
    let mut passed: Vec<OwnedFd> = Vec::new();
    let mut links = 0;
    while let Some(name) = todo.pop() {
        let here = passed.last().map_or(dir, AsFd::as_fd);
        match name.as_os_str().as_bytes() {
            b"" | b"." => continue,
            b".." => {
                if passed.pop().is_none() && !follow {
                    return error(libc::EXDEV);
                }
                continue;
            }
            _ => {}
        }
        let last = todo.is_empty();
        let is_link = match statat(here, &name) {
            Err(error) if last && error.raw_os_error() == Some(libc::ENOENT) => false,
            stat => stat?.kind() == libc::S_IFLNK,
        };
        if is_link && !(last && flags & libc::O_NOFOLLOW != 0) {
            links += 1;
            if !follow || links > MAX_LINKS {
                return error(libc::ELOOP);
            }
            let target = readlinkat(here, &name)?;
            if target.is_absolute() {
                passed.clear();
            }
            push(&mut todo, &target);
            continue;
        }
        if last {
            return openat(here, &name, flags | libc::O_NOFOLLOW, mode);
        }
        let below = libc::O_PATH | libc::O_DIRECTORY | libc::O_NOFOLLOW;
        passed.push(openat(here, &name, below, 0)?);
    }
    openat(passed.last().map_or(dir, AsFd::as_fd), Path::new("."), flags, mode)
}

/// Puts the components of `path` in front of what is to be done.
fn push(todo: &mut Vec<PathBuf>, path: &Path) {
    let parts = path.as_os_str().as_bytes().split(|b| *b == b'/');
    todo.extend(parts.rev().map(|part| PathBuf::from(OsString::from_vec(part.to_vec()))));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::fs::{self, RESOLVE_IN_ROOT, RESOLVE_NO_SYMLINKS};
    use std::os::unix::fs::symlink;

    #[test]
    fn it_finds_what_the_kernel_finds() {
        let top = std::env::temp_dir().join(format!("skiff-resolve-{}", std::process::id()));
        let root = top.join("root");
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        std::fs::write(root.join("a/b/file"), "").unwrap();
        std::fs::write(top.join("outside"), "").unwrap();
        symlink("a/b", root.join("rel")).unwrap();
        symlink("/a", root.join("abs")).unwrap();
        symlink("../../../outside", root.join("up")).unwrap();
        symlink("loop", root.join("loop")).unwrap();
        symlink("/abs/../rel/./file", root.join("a/chain")).unwrap();
        let dir: OwnedFd = std::fs::File::open(&root).unwrap().into();
        let paths = [
            "a",
            "a/",
            "a/b/file",
            "/a/b",
            "rel/file",
            "abs/b/file",
            "up",
            "loop",
            "a/chain",
            "..",
            "../..",
            "../outside",
            "a/../..",
            "abs/b/../../rel",
            ".",
            "/",
            "",
            "none",
            "a/none/x",
            "a/b/file/x",
            "rel",
            "abs/",
        ];
        for path in paths {
            for flags in [libc::O_PATH, libc::O_PATH | libc::O_NOFOLLOW, libc::O_RDONLY] {
                for resolve in [RESOLVE_IN_ROOT, RESOLVE_NO_SYMLINKS] {
                    let path = Path::new(path);
                    let place = |fd: io::Result<OwnedFd>| {
                        let stat = fd.and_then(|fd| statat(fd.as_fd(), Path::new("")));
                        stat.map(|stat| stat.inode).map_err(|error| error.raw_os_error())
                    };
                    let kernel = fs::openat2(dir.as_fd(), path, flags, 0, resolve);
                    let ours = open(dir.as_fd(), path, flags, 0, resolve == RESOLVE_IN_ROOT);
                    assert_eq!(place(ours), place(kernel), "{path:?} {flags:x} {resolve:x}");
                }
            }
        }
        std::fs::remove_dir_all(&top).unwrap();
    }
}
