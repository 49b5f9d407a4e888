//! Owners, modes, times and attributes of what is unpacked.

use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::tarball::{Entry, Kind};
use crate::base::{Context, Result};
use crate::sys::fs;
use crate::sys::xattr;

/// Attribute by which overlayfs hides what is below a directory.
pub(super) const OPAQUE: &CStr = c"trusted.overlay.opaque";

/// When directories were last changed. Applied at the end, since making an entry dates its
/// directory; kept in a file without a name, since a hostile tar has a million.
pub(super) struct Dates(BufWriter<File>);

impl Dates {
    /// None yet. `dir` is where the file is made.
    pub(super) fn new(dir: BorrowedFd<'_>) -> io::Result<Dates> {
        let name = Path::new("dates");
        let file = fs::openat(dir, name, libc::O_CREAT | libc::O_EXCL | libc::O_RDWR, 0o600)?;
        fs::unlinkat(dir, name)?;
        Ok(Dates(BufWriter::new(File::from(file))))
    }

    /// The directory at `place` was last changed then.
    pub(super) fn note(&mut self, place: &[u8], (seconds, nanos): (i64, u32)) -> io::Result<()> {
        let length = u16::try_from(place.len()).map_err(io::Error::other)?;
        self.0.write_all(&length.to_le_bytes())?;
        self.0.write_all(&seconds.to_le_bytes())?;
        self.0.write_all(&nanos.to_le_bytes())?;
        self.0.write_all(place)
    }

    /// Dates the directories below `root`.
    pub(super) fn apply(self, root: BorrowedFd<'_>) -> io::Result<()> {
        let mut dates = self.0.into_inner().map_err(io::IntoInnerError::into_error)?;
        dates.rewind()?;
        let mut dates = BufReader::new(dates);
        let (mut length, mut seconds, mut nanos) = ([0; 2], [0; 8], [0; 4]);
        while !dates.fill_buf()?.is_empty() {
            dates.read_exact(&mut length)?;
            dates.read_exact(&mut seconds)?;
            dates.read_exact(&mut nanos)?;
            let mut place = vec![0; usize::from(u16::from_le_bytes(length))];
            dates.read_exact(&mut place)?;
            let time = (i64::from_le_bytes(seconds), u32::from_le_bytes(nanos));
            if place.is_empty() {
                fs::futimens(root, time)?;
                continue;
            }
            // Later entries may have put something else here; that has its own date.
            let name = Path::new(OsStr::from_bytes(&place));
            let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
            match fs::openat2(root, name, flags, 0, fs::RESOLVE_NO_SYMLINKS) {
                Ok(fd) => fs::futimens(fd.as_fd(), time)?,
                Err(error) => match error.raw_os_error() {
                    Some(libc::ENOENT | libc::ENOTDIR | libc::ELOOP) => {}
                    _ => return Err(error),
                },
            }
        }
        Ok(())
    }
}

/// Makes a directory that hides what the layers below have there.
pub(super) fn make_opaque_dir(dir: BorrowedFd<'_>, name: &Path) -> io::Result<()> {
    fs::mkdirat(dir, name, 0o755)?;
    let fd = fs::openat(dir, name, libc::O_DIRECTORY | libc::O_NOFOLLOW, 0)?;
    fs::fchmod(fd.as_fd(), 0o755)?;
    set_opaque(fd.as_fd())
}

/// Makes a directory hide what the layers below have there.
pub(super) fn set_opaque(dir: BorrowedFd<'_>) -> io::Result<()> {
    xattr::set(dir, OPAQUE, b"y")
}

/// Owner, mode and attributes of an open file or directory, in the one order in which none
/// takes another back: a change of owner clears set-id bits and capabilities.
pub(super) fn set_attributes(file: BorrowedFd<'_>, entry: &Entry) -> Result<()> {
    std::os::unix::fs::fchown(file, Some(entry.uid), Some(entry.gid))?;
    fs::fchmod(file, entry.mode)?;
    for (key, value) in &entry.xattrs {
        tolerated(xattr::set(file, key, value), key)?;
    }
    Ok(())
}

/// The same, and the time, for `name` in `dir`, which has just been made and cannot be opened.
pub(super) fn set_name_attributes(dir: BorrowedFd<'_>, name: &Path, entry: &Entry) -> Result<()> {
    fs::fchownat(dir, name, entry.uid, entry.gid)?;
    if entry.kind != Kind::Symlink {
        fs::fchmodat(dir, name, entry.mode)?;
    }
    for (key, value) in &entry.xattrs {
        tolerated(xattr::set_at(dir, name, key, value), key)?;
    }
    fs::utimensat(dir, name, entry.mtime)?;
    Ok(())
}

/// A file system or a kind of file may know no attribute of this sort; other engines go on, too.
fn tolerated(set: io::Result<()>, key: &CStr) -> Result<()> {
    match set {
        Err(error) if matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::EPERM)) => {
            crate::debug!("extended attribute {}: {error}", key.to_string_lossy());
            Ok(())
        }
        set => set.context(|| format!("extended attribute {}", key.to_string_lossy())),
    }
}
