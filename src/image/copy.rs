//! Copying layers into one tree, for hosts without overlayfs.
//!
//! Whiteouts and opaque directories are applied; owners, modes, times, attributes, hard links,
//! devices and holes are kept. Both sides are walked by descriptor.

use std::collections::HashMap;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::attributes::OPAQUE;
use crate::sys::fs::{self, Stat};
use crate::sys::xattr;

/// Size of the copy buffer.
const BUFFER: usize = 128 << 10;

/// Copies the trees, base first, into directory `target`, which is empty, and waits until all
/// of it is on disk.
pub(super) fn layers(trees: &[PathBuf], target: &Path) -> io::Result<()> {
    let root: OwnedFd = File::open(target)?.into();
    for tree in trees {
        let source: OwnedFd = File::open(tree)?.into();
        let mut copy = Copy { root: root.as_fd(), links: HashMap::new(), buffer: vec![0; BUFFER] };
        copy.dir(source.as_fd(), root.as_fd(), Path::new(""))?;
    }
    fs::syncfs(root.as_fd())
}

struct Copy<'a> {
    root: BorrowedFd<'a>,
    /// Where files of several names have been copied to, by device and inode.
    links: HashMap<((u32, u32), u64), PathBuf>,
    buffer: Vec<u8>,
}

impl Copy<'_> {
    /// Copies what is in `from` to `to`, which is at `place` below the root.
    fn dir(&mut self, from: BorrowedFd<'_>, to: BorrowedFd<'_>, place: &Path) -> io::Result<()> {
        for entry in std::fs::read_dir(format!("/proc/self/fd/{}", from.as_raw_fd()))? {
            let name = PathBuf::from(entry?.file_name());
            let stat = fs::statat(from, &name)?;
            if stat.is_whiteout() {
                remove(to, &name)?;
            } else if stat.kind() == libc::S_IFDIR {
                self.sub_dir(from, to, place, &name, &stat)?;
            } else {
                remove(to, &name)?;
                self.leaf(from, to, place, &name, &stat)?;
            }
        }
        Ok(())
    }

    fn sub_dir(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        place: &Path,
        name: &Path,
        stat: &Stat,
    ) -> io::Result<()> {
        let attributes = xattr::list_at(from, name)?;
        let opaque = attributes.iter().any(|(key, value)| **key == *OPAQUE && value == b"y");
        let is_dir = |stat: Stat| stat.kind() == libc::S_IFDIR;
        if opaque || !fs::statat(to, name).is_ok_and(is_dir) {
            remove(to, name)?;
            fs::mkdirat(to, name, 0o700)?;
        }
        let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
        let below = fs::openat(from, name, flags, 0)?;
        let made = fs::openat(to, name, flags, 0)?;
        self.dir(below.as_fd(), made.as_fd(), &place.join(name))?;
        attributes_to(to, name, stat, attributes)
    }

    fn leaf(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        place: &Path,
        name: &Path,
        stat: &Stat,
    ) -> io::Result<()> {
        let key = (stat.device, stat.inode);
        if stat.links > 1 {
            if let Some(first) = self.links.get(&key) {
                return fs::linkat(self.root, first, to, name);
            }
            self.links.insert(key, place.join(name));
        }
        match stat.kind() {
            libc::S_IFREG => self.file(from, to, name, stat.size)?,
            libc::S_IFLNK => fs::symlinkat(&fs::readlinkat(from, name)?, to, name)?,
            kind => fs::mknodat(to, name, kind | 0o600, stat.rdev)?,
        }
        attributes_to(to, name, stat, xattr::list_at(from, name)?)
    }

    fn file(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &Path,
        size: u64,
    ) -> io::Result<()> {
        let from = File::from(fs::openat(from, name, libc::O_NOFOLLOW, 0)?);
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
        let to = File::from(fs::openat(to, name, flags, 0o600)?);
        to.set_len(size)?;
        let mut at = 0;
        while let Some((start, end)) = fs::next_data(from.as_fd(), at)? {
            at = start;
            while at < end {
                let wanted = usize::try_from(end - at).unwrap_or(BUFFER).min(BUFFER);
                let length = from.read_at(&mut self.buffer[..wanted], at)?;
                if length == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                to.write_all_at(&self.buffer[..length], at)?;
                at += length as u64;
            }
        }
        Ok(())
    }
}

/// Owner, mode, attributes and time of what has just been made, in this order: a change of owner
/// takes set-id bits and capabilities away.
fn attributes_to(
    to: BorrowedFd<'_>,
    name: &Path,
    stat: &Stat,
    attributes: Vec<(CString, Vec<u8>)>,
) -> io::Result<()> {
    fs::fchownat(to, name, stat.uid, stat.gid)?;
    if stat.kind() != libc::S_IFLNK {
        fs::fchmodat(to, name, stat.mode & 0o7777)?;
    }
    for (key, value) in attributes {
        if !key.to_bytes().starts_with(b"trusted.overlay.") {
            xattr::set_at(to, name, &key, &value)?;
        }
    }
    fs::utimensat(to, name, stat.mtime)
}

/// Removes `name` from `dir` with all that is in it; it may be missing.
fn remove(dir: BorrowedFd<'_>, name: &Path) -> io::Result<()> {
    match fs::statat(dir, name) {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        Err(error) => Err(error),
        Ok(stat) if stat.kind() == libc::S_IFDIR => {
            let parent = format!("/proc/self/fd/{}", dir.as_raw_fd());
            std::fs::remove_dir_all(Path::new(&parent).join(name))
        }
        Ok(_) => fs::unlinkat(dir, name),
    }
}
