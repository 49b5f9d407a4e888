//! Unpacking a layer: what the entries of a tar make below an open directory.
//!
//! - Nothing outside the directory is ever touched. A parent is resolved by the kernel as if the
//!   directory were the root; the last component is never followed, and what is in its way is
//!   removed or moved aside, never opened.
//! - Owner, mode, times, attributes, links, devices and holes are kept; AUFS whiteouts become
//!   those of overlayfs. A device 0:0 in a tar would forge one and is refused.
//! - Content that a later entry replaces is kept aside: the recipe needs it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufRead, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::attributes::{Dates, set_attributes, set_name_attributes, set_opaque};
use super::tarball::{Content, Entry, Kind, Reader};
use super::tree::{Dir, Tree, clean};
use crate::base::{Context, Error, Result};
use crate::sys::fs::{self, Stat};

/// Most entries of a layer: inodes are scarcer than bytes on small disks, and no real layer comes
/// near (a whole Debian with a desktop has 300,000).
const MAX_ENTRIES: u64 = 1_000_000;
/// Most bytes of all files of a layer, holes included: what a sparse file of a few bytes claims
/// must not fill a disk when it is copied.
pub(super) const MAX_BYTES: u64 = 64 << 30;
/// Name of the tree in a layer's directory.
pub(super) const TREE: &str = "diff";
/// Name of the directory of what was replaced, in a layer's directory.
pub(super) const KEPT: &str = "kept";

/// What a layer came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Summary {
    /// Bytes of all files.
    pub(super) size: u64,
    /// The whole layer hides those below.
    pub(super) opaque: bool,
}

/// Unpacks all entries of `tar` into the tree of the layer directory `stage`, which is empty.
pub(super) fn unpack<R: BufRead, W: Write>(
    tar: &mut Reader<R, W>,
    stage: BorrowedFd<'_>,
) -> Result<Summary> {
    let mut unpacker = Unpacker::new(stage).context(|| "prepare a layer's directory".into())?;
    while let Some(entry) = tar.next()? {
        unpacker
            .entry(&entry, tar)
            .context(|| format!("tar entry \"{}\"", entry.path.escape_ascii()))?;
    }
    let Unpacker { dates, tree, summary, .. } = unpacker;
    dates.apply(tree.root()).context(|| "date the directories of a layer".into())?;
    Ok(summary)
}

struct Unpacker<'a> {
    stage: BorrowedFd<'a>,
    tree: Tree,
    /// The last parent: the path that was asked for, and what it means.
    parent: Option<(Vec<u8>, Dir)>,
    dates: Dates,
    kept: u64,
    entries: u64,
    summary: Summary,
}

impl<'a> Unpacker<'a> {
    fn new(stage: BorrowedFd<'a>) -> io::Result<Unpacker<'a>> {
        let name = Path::new(TREE);
        fs::mkdirat(stage, name, 0o755)?;
        let root = fs::openat(stage, name, libc::O_DIRECTORY | libc::O_NOFOLLOW, 0)?;
        fs::fchmod(root.as_fd(), 0o755)?;
        Ok(Unpacker {
            stage,
            tree: Tree::new(root),
            parent: None,
            dates: Dates::new(stage)?,
            kept: 0,
            entries: 0,
            summary: Summary::default(),
        })
    }

    fn entry<R: BufRead, W: Write>(&mut self, entry: &Entry, tar: &mut Reader<R, W>) -> Result<()> {
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(Error::bad_parameter("the layer has more than 1,000,000 entries"));
        }
        let path = clean(&entry.path)?;
        let Some(name) = path.rsplit(|b| *b == b'/').next().filter(|name| !name.is_empty()) else {
            return self.root_entry(entry);
        };
        let parent = &path[..path.len() - name.len()];
        let parent = parent.strip_suffix(b"/").unwrap_or(parent);
        if parent.split(|b| *b == b'/').any(|part| part.starts_with(b".wh..wh.")) {
            return Ok(()); // Below a directory of AUFS's own.
        }
        if let Some(hidden) = name.strip_prefix(b".wh.") {
            return self.whiteout(parent, hidden, tar);
        }
        self.enter(parent)?;
        let name = Path::new(OsStr::from_bytes(name));
        match entry.kind {
            Kind::Directory => self.directory(name, entry, tar),
            Kind::File => self.file(name, entry, tar),
            Kind::HardLink => self.hard_link(name, entry, tar),
            Kind::Symlink => self.symlink(name, entry, tar),
            Kind::CharDevice | Kind::BlockDevice | Kind::Fifo => self.node(name, entry, tar),
        }
    }

    /// The entry `.`: the root of the layer itself.
    fn root_entry(&mut self, entry: &Entry) -> Result<()> {
        if entry.kind != Kind::Directory {
            return Err(Error::bad_parameter("the root of a layer is a directory"));
        }
        set_attributes(self.tree.root(), entry)?;
        self.dates.note(b"", entry.mtime)?;
        Ok(())
    }

    /// Makes `path` the current directory; missing ones are made, as other engines do.
    fn enter(&mut self, path: &[u8]) -> Result<()> {
        if self.parent.as_ref().is_some_and(|(asked, _)| asked == path) {
            return Ok(());
        }
        let dir = match self.tree.look_up(path) {
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => {
                self.tree.make_parents(path)?
            }
            dir => dir?,
        };
        self.parent = Some((path.to_vec(), dir));
        Ok(())
    }

    /// The current directory.
    fn dir(&self) -> &Dir {
        &self.parent.as_ref().expect("enter() comes first").1
    }

    /// Path of `name` in the current directory.
    fn place(&self, name: &Path) -> Vec<u8> {
        let mut place = self.dir().path.clone();
        if !place.is_empty() {
            place.push(b'/');
        }
        place.extend_from_slice(name.as_os_str().as_bytes());
        place
    }

    /// Makes something called `name` in the current directory; what is there already goes.
    /// `Some` says that there was something.
    fn make<R: BufRead, W: Write, T>(
        &mut self,
        name: &Path,
        tar: &mut Reader<R, W>,
        make: impl Fn(BorrowedFd<'_>) -> io::Result<T>,
    ) -> Result<(T, bool)> {
        match make(self.dir().fd.as_fd()) {
            Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {}
            made => return Ok((made?, false)),
        }
        let asked = self.parent.as_ref().map(|(asked, _)| asked.clone()).unwrap_or_default();
        self.clear(name, tar)?;
        // What was cleared may have been on the way to the current directory.
        self.enter(&asked)?;
        Ok((make(self.dir().fd.as_fd())?, true))
    }

    /// Removes `name` from the current directory, or moves it aside when it has content that the
    /// recipe speaks of.
    fn clear<R: BufRead, W: Write>(&mut self, name: &Path, tar: &mut Reader<R, W>) -> Result<()> {
        let dir = self.dir().fd.as_fd();
        let stat = fs::statat(dir, name)?;
        let keep = match stat.kind() {
            libc::S_IFDIR => match fs::rmdirat(dir, name) {
                Err(error) if error.raw_os_error() == Some(libc::ENOTEMPTY) => true,
                removed => {
                    removed?;
                    false
                }
            },
            libc::S_IFREG if stat.size > 0 => true,
            _ => {
                fs::unlinkat(dir, name)?;
                false
            }
        };
        if keep {
            self.keep(name, tar)?;
        }
        self.parent = None;
        Ok(())
    }

    fn keep<R: BufRead, W: Write>(&mut self, name: &Path, tar: &mut Reader<R, W>) -> Result<()> {
        let kept = Path::new(KEPT);
        if self.kept == 0 {
            fs::mkdirat(self.stage, kept, 0o700)?;
        }
        let to = PathBuf::from(KEPT).join(self.kept.to_string());
        fs::renameat(self.dir().fd.as_fd(), name, self.stage, &to)?;
        tar.recipe().moved(&self.place(name), self.kept)?;
        self.kept += 1;
        Ok(())
    }

    fn directory<R: BufRead, W: Write>(
        &mut self,
        name: &Path,
        entry: &Entry,
        tar: &mut Reader<R, W>,
    ) -> Result<()> {
        let (_, replaced) = self.make(name, tar, |dir| {
            match fs::mkdirat(dir, name, 0o700) {
                Err(error) if error.raw_os_error() == Some(libc::EEXIST) => {
                    // A directory that is there already is only given new attributes.
                    if fs::statat(dir, name)?.kind() == libc::S_IFDIR { Ok(()) } else { Err(error) }
                }
                made => made,
            }
        })?;
        let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
        let fd = fs::openat(self.dir().fd.as_fd(), name, flags, 0)?;
        if replaced {
            // Something else was here, which hid a directory of the layers below.
            set_opaque(fd.as_fd())?;
        }
        set_attributes(fd.as_fd(), entry)?;
        self.dates.note(&self.place(name), entry.mtime)?;
        Ok(())
    }

    fn file<R: BufRead, W: Write>(
        &mut self,
        name: &Path,
        entry: &Entry,
        tar: &mut Reader<R, W>,
    ) -> Result<()> {
        self.summary.size = self.summary.size.saturating_add(entry.content.size());
        if self.summary.size > MAX_BYTES {
            return Err(Error::bad_parameter("the files of the layer are larger than 64 GiB"));
        }
        let flags = libc::O_WRONLY | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW;
        let (fd, _) = self.make(name, tar, |dir| fs::openat(dir, name, flags, 0o600))?;
        let mut file = File::from(fd);
        match &entry.content {
            Content::Whole(0) => {}
            Content::Whole(size) => {
                tar.recipe().content(&self.place(name), *size)?;
                while tar.content(*size, &mut file)? > 0 {}
            }
            Content::Sparse { size, runs } => {
                tar.recipe().runs(&self.place(name), runs)?;
                file.set_len(*size)?;
                for (offset, length) in runs {
                    let mut run = Run { file: &file, at: *offset };
                    let mut left = *length;
                    while left > 0 {
                        left -= tar.content(left, &mut run)?;
                    }
                }
            }
        }
        set_attributes(file.as_fd(), entry)?;
        fs::futimens(file.as_fd(), entry.mtime)?;
        Ok(())
    }

    fn hard_link<R: BufRead, W: Write>(
        &mut self,
        name: &Path,
        entry: &Entry,
        tar: &mut Reader<R, W>,
    ) -> Result<()> {
        let target = clean(&entry.link)?;
        let there = |dir: &Dir, name: &Path| fs::statat(dir.fd.as_fd(), name);
        let (dir, target) = self.target(&target)?;
        let stat = there(&dir, &target)
            .context(|| format!("hard link to \"{}\"", entry.link.escape_ascii()))?;
        if same(&stat, there(self.dir(), name)) {
            return Ok(()); // A link to itself, or the same link again.
        }
        // If the target lies below what has to be cleared first, it is gone, and the link fails.
        self.make(name, tar, |new| fs::linkat(dir.fd.as_fd(), &target, new, name))?;
        Ok(())
    }

    /// The directory and the name of an existing path.
    fn target(&self, path: &[u8]) -> Result<(Dir, PathBuf)> {
        let name = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
        let parent = &path[..path.len() - name.len()];
        let dir = self
            .tree
            .look_up(parent.strip_suffix(b"/").unwrap_or(parent))
            .context(|| format!("hard link to \"{}\"", path.escape_ascii()))?;
        Ok((dir, PathBuf::from(OsStr::from_bytes(name))))
    }

    fn symlink<R: BufRead, W: Write>(
        &mut self,
        name: &Path,
        entry: &Entry,
        tar: &mut Reader<R, W>,
    ) -> Result<()> {
        let says = Path::new(OsStr::from_bytes(&entry.link));
        self.make(name, tar, |dir| fs::symlinkat(says, dir, name))?;
        set_name_attributes(self.dir().fd.as_fd(), name, entry)
    }

    fn node<R: BufRead, W: Write>(
        &mut self,
        name: &Path,
        entry: &Entry,
        tar: &mut Reader<R, W>,
    ) -> Result<()> {
        let kind = match entry.kind {
            Kind::CharDevice if entry.device == (0, 0) => {
                return Err(Error::bad_parameter("a device 0:0 would delete a name; refused"));
            }
            Kind::CharDevice => libc::S_IFCHR,
            Kind::BlockDevice => libc::S_IFBLK,
            _ => libc::S_IFIFO,
        };
        self.make(name, tar, |dir| fs::mknodat(dir, name, kind | 0o600, entry.device))?;
        // Just made and no symlink, in a tree that nobody else can reach.
        set_name_attributes(self.dir().fd.as_fd(), name, entry)
    }

    /// `.wh.NAME` and its kin in directory `parent`; `hidden` is what follows the `.wh.`.
    fn whiteout<R: BufRead, W: Write>(
        &mut self,
        parent: &[u8],
        hidden: &[u8],
        tar: &mut Reader<R, W>,
    ) -> Result<()> {
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(Error::bad_parameter("a whiteout of no name"));
        }
        if hidden == b".wh..opq" {
            self.enter(parent)?;
            self.summary.opaque |= self.dir().path.is_empty();
            // The descriptor may be a mere path; attributes want an open directory.
            let flags = libc::O_DIRECTORY;
            let fd = fs::openat(self.dir().fd.as_fd(), Path::new("."), flags, 0)?;
            return set_opaque(fd.as_fd()).map_err(Error::from);
        }
        if hidden.starts_with(b".wh.") {
            return Ok(()); // AUFS's own: `.wh..wh.aufs` and such.
        }
        self.enter(parent)?;
        let name = Path::new(OsStr::from_bytes(hidden));
        let dir = self.dir().fd.as_fd();
        // A whiteout hides what is in the layers below, never what its own layer brings. A
        // directory of this layer loses what it would be merged with.
        match fs::statat(dir, name) {
            Ok(stat) if stat.kind() == libc::S_IFDIR => {
                let fd = fs::openat(dir, name, libc::O_DIRECTORY | libc::O_NOFOLLOW, 0)?;
                set_opaque(fd.as_fd())?;
            }
            Ok(_) => {}
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                self.make(name, tar, |dir| fs::mknodat(dir, name, libc::S_IFCHR, (0, 0)))?;
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// A run of a sparse file being written.
struct Run<'a> {
    file: &'a File,
    at: u64,
}

impl Write for Run<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write_at(bytes, self.at)?;
        self.at += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn same(stat: &Stat, other: io::Result<Stat>) -> bool {
    other.is_ok_and(|other| (other.device, other.inode) == (stat.device, stat.inode))
}
