//! Layers on disk: one directory each, named by the diff id's digits.
//!
//! ```text
//! layers/<64 hex>/diff/         the tree
//!                 recipe        what gives back the tar, see `recipe`
//!                 kept/         content that the tar itself replaced, if any
//!                 layer.json    size and such; written last
//! layers/l/<prefix>             symlink to ../<64 hex>/diff: a name short enough for mount(2)
//! layers/tmp/                   what is being made or deleted; swept at open
//! layers/init/                  see `rootfs`
//! ```
//!
//! - A directory gets its final name when everything in it has reached the disk, in one rename,
//!   and loses it in one rename. Links are made anew from the directories at open.
//! - The callers of [`Layers::place`] and [`Layers::discard`] hold the store's `save` lock.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::recipe;
use super::unpack::{KEPT, Summary, TREE};
use crate::base::digest::Hasher;
use crate::base::{Context, Digest, Error, Result, atomic_file};
use crate::sys::fs;

const RECIPE: &str = "recipe";
const META: &str = "layer.json";
/// Fewest digits of a short name.
const SHORT: usize = 8;

/// What is known of a layer that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Info {
    /// Bytes of its files.
    pub(super) size: u64,
    /// It hides all layers below it.
    pub(super) opaque: bool,
    /// Its name in `layers/l`.
    pub(super) short: String,
}

/// `layer.json`.
#[derive(Serialize, Deserialize)]
struct Meta {
    version: u32,
    size: u64,
    #[serde(default)]
    opaque: bool,
}

/// The directory `layers`.
pub(super) struct Layers {
    dir: PathBuf,
    fd: OwnedFd,
    counter: AtomicU64,
}

/// What is found at open.
pub(super) struct Found {
    /// Whole layers.
    pub(super) whole: HashMap<Digest, Info>,
    /// Directories of layers that are damaged; they stay until nothing names them, or until the
    /// layer comes again.
    pub(super) damaged: Vec<Digest>,
}

/// A directory under `layers/tmp` in which something is being made; removed on drop unless it
/// was moved away.
pub(super) struct Stage {
    pub(super) path: PathBuf,
    pub(super) fd: OwnedFd,
}

impl Drop for Stage {
    fn drop(&mut self) {
        delete(&self.path);
    }
}

/// A layer that has lost its name and is to be deleted.
#[must_use = "the layer is deleted by `delete`"]
pub(super) struct Discarded(PathBuf);

impl Discarded {
    /// Deletes it. A crash or a failure leaves the rest to the sweep of the next open.
    pub(super) fn delete(self) {
        delete(&self.0);
    }
}

fn delete(path: &Path) {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            crate::warn!("remove {}: {error}", path.display());
        }
        _ => {}
    }
}

/// Makes directory `path` if it is missing, for root alone.
pub(super) fn make_dir(path: &Path) -> Result<()> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.context(|| format!("make directory {}", path.display()))
}

impl Layers {
    /// Opens the directory, sweeps what a crash left, mends the links.
    pub(super) fn open(root: &Path) -> Result<(Layers, Found)> {
        let dir = root.join("layers");
        for part in ["tmp", "l"] {
            make_dir(&dir.join(part))?;
        }
        let fd = File::open(&dir).context(|| format!("open {}", dir.display()))?.into();
        let layers = Layers { dir, fd, counter: AtomicU64::new(0) };
        layers.sweep().context(|| format!("sweep {}", layers.dir.join("tmp").display()))?;
        let found = layers.scan().context(|| format!("read {}", layers.dir.display()))?;
        Ok((layers, found))
    }

    fn sweep(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(self.dir.join("tmp"))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                delete(&entry.path());
            } else if let Err(error) = std::fs::remove_file(entry.path()) {
                crate::warn!("remove {}: {error}", entry.path().display());
            }
        }
        Ok(())
    }

    fn scan(&self) -> io::Result<Found> {
        let mut shorts = self.links()?;
        let mut found = Found { whole: HashMap::new(), damaged: Vec::new() };
        for entry in std::fs::read_dir(&self.dir)? {
            let name = entry?.file_name();
            let Some(id) = name.to_str().and_then(Digest::parse_hex) else { continue };
            let meta = match self.meta(&id) {
                Ok(meta) => meta,
                Err(error) => {
                    let dir = self.layer_dir(&id);
                    crate::warn!("layer {} is damaged and not used: {error}", dir.display());
                    found.damaged.push(id);
                    continue;
                }
            };
            let short = match shorts.remove(&id) {
                Some(short) => short,
                None => self.link(&id)?,
            };
            found.whole.insert(id, Info { size: meta.size, opaque: meta.opaque, short });
        }
        for short in shorts.into_values() {
            std::fs::remove_file(self.link_dir().join(short))?;
        }
        Ok(found)
    }

    fn meta(&self, id: &Digest) -> Result<Meta> {
        let dir = self.layer_dir(id);
        let bytes = std::fs::read(dir.join(META)).context(|| META.into())?;
        let meta: Meta =
            serde_json::from_slice(&bytes).map_err(io::Error::from).context(|| META.into())?;
        if meta.version != 1 {
            return Err(Error::internal(format!("{META}: version {} is not known", meta.version)));
        }
        for part in [TREE, RECIPE] {
            std::fs::symlink_metadata(dir.join(part)).context(|| part.into())?;
        }
        Ok(meta)
    }

    /// Directory that short names are relative to.
    pub(super) fn link_dir(&self) -> PathBuf {
        self.dir.join("l")
    }

    /// The directory `layers`.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    fn layer_dir(&self, id: &Digest) -> PathBuf {
        self.dir.join(id.hex())
    }

    /// The tree of a layer.
    pub(super) fn tree(&self, id: &Digest) -> PathBuf {
        self.layer_dir(id).join(TREE)
    }

    /// Links by the layer that they name; others are removed.
    fn links(&self) -> io::Result<HashMap<Digest, String>> {
        let mut shorts = HashMap::new();
        for entry in std::fs::read_dir(self.link_dir())? {
            let entry = entry?;
            let target = std::fs::read_link(entry.path()).unwrap_or_default();
            let id = target.to_str().and_then(|target| {
                let hex = target.strip_prefix("../")?.strip_suffix(TREE)?.strip_suffix('/')?;
                Digest::parse_hex(hex)
            });
            match (id, entry.file_name().into_string()) {
                (Some(id), Ok(short)) if !shorts.contains_key(&id) => {
                    shorts.insert(id, short);
                }
                _ => std::fs::remove_file(entry.path())?,
            }
        }
        Ok(shorts)
    }

    /// Gives layer `id` a short name: as many digits of its id as no other layer has.
    fn link(&self, id: &Digest) -> io::Result<String> {
        let hex = id.hex();
        let target = format!("../{hex}/{TREE}");
        for length in SHORT..=hex.len() {
            let path = self.link_dir().join(&hex[..length]);
            match std::os::unix::fs::symlink(&target, &path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    if std::fs::read_link(&path)? != Path::new(&target) {
                        continue;
                    }
                }
                made => made?,
            }
            return Ok(hex[..length].to_owned());
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// A new empty directory to make something in.
    pub(super) fn stage(&self) -> Result<Stage> {
        let count = self.counter.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join("tmp").join(format!("{}-{count}", std::process::id()));
        let make = || -> io::Result<OwnedFd> {
            std::fs::DirBuilder::new().mode(0o700).create(&path)?;
            Ok(File::open(&path)?.into())
        };
        let fd = make().context(|| format!("make {}", path.display()))?;
        Ok(Stage { path, fd })
    }

    /// Where the recipe of a staged layer is written.
    pub(super) fn recipe(stage: &Stage) -> Result<recipe::Writer<BufWriter<File>>> {
        let path = stage.path.join(RECIPE);
        let file = File::create_new(&path).context(|| format!("make {}", path.display()))?;
        Ok(recipe::Writer::new(BufWriter::with_capacity(32 << 10, file))?)
    }

    /// Completes a staged layer and waits until all of it is on disk.
    pub(super) fn seal(&self, stage: &Stage, summary: Summary) -> Result<()> {
        let meta = Meta { version: 1, size: summary.size, opaque: summary.opaque };
        let meta = serde_json::to_vec(&meta).map_err(io::Error::from)?;
        let path = stage.path.join(META);
        std::fs::write(&path, meta).context(|| format!("write {}", path.display()))?;
        fs::syncfs(stage.fd.as_fd()).context(|| format!("sync {}", stage.path.display()))
    }

    /// Gives a sealed layer its name. A damaged one of this name makes way.
    pub(super) fn place(&self, stage: &Stage, id: &Digest, summary: Summary) -> Result<Info> {
        let dir = self.layer_dir(id);
        if std::fs::symlink_metadata(&dir).is_ok() {
            self.discard(id, None)?.delete();
        }
        let placed = std::fs::rename(&stage.path, &dir).and_then(|()| self.sync());
        placed.context(|| format!("place layer {}", dir.display()))?;
        let short = self.link(id).context(|| format!("link layer {}", dir.display()))?;
        Ok(Info { size: summary.size, opaque: summary.opaque, short })
    }

    fn sync(&self) -> io::Result<()> {
        atomic_file::sync_dir(&self.dir)
    }

    /// Takes the name of layer `id` away, and the short one.
    pub(super) fn discard(&self, id: &Digest, short: Option<&str>) -> Result<Discarded> {
        let count = self.counter.fetch_add(1, Ordering::Relaxed);
        let dead = self.dir.join("tmp").join(format!("{}-{count}", std::process::id()));
        let dir = self.layer_dir(id);
        std::fs::rename(&dir, &dead).context(|| format!("remove layer {}", dir.display()))?;
        if let Some(short) = short {
            let link = self.link_dir().join(short);
            std::fs::remove_file(&link).context(|| format!("remove {}", link.display()))?;
        }
        Ok(Discarded(dead))
    }

    /// Writes the tar that layer `id` was unpacked from.
    pub(super) fn write_tar(&self, id: &Digest, out: &mut dyn Write) -> Result<()> {
        let dir = self.layer_dir(id);
        let context = || format!("tar of layer {id}");
        let written = fs::openat(self.fd.as_fd(), Path::new(&id.hex()), libc::O_DIRECTORY, 0)
            .and_then(|layer| write_tar(layer.as_fd(), &dir.join(RECIPE), out));
        let digest = written.context(context)?;
        if digest != *id {
            return Err(Error::internal("its files were changed")).context(context);
        }
        Ok(())
    }
}

fn write_tar(layer: BorrowedFd<'_>, recipe: &Path, out: &mut dyn Write) -> io::Result<Digest> {
    let moves = recipe::Moves::read(recipe::Reader::new(File::open(recipe)?)?)?;
    let mut recipe = recipe::Reader::new(File::open(recipe)?)?;
    let mut out = Hashed { out, hasher: Hasher::new() };
    let mut at = 0;
    while let Some(step) = recipe.next()? {
        match step {
            recipe::Step::Literal(bytes) => out.write_all(&bytes)?,
            recipe::Step::Moved { .. } => {}
            recipe::Step::Content { path, runs } => {
                let (dir, rest) = match moves.find(&path, at) {
                    None => (TREE.to_owned(), &path[..]),
                    Some((number, rest)) => (format!("{KEPT}/{number}"), rest),
                };
                let place = [dir.as_bytes(), rest].join(&b'/');
                // What was moved itself, and not a file below it, has no rest.
                let place = place.strip_suffix(b"/").unwrap_or(&place);
                let place = Path::new(std::ffi::OsStr::from_bytes(place));
                let flags = libc::O_RDONLY | libc::O_NOFOLLOW;
                let file = fs::openat2(layer, place, flags, 0, fs::RESOLVE_NO_SYMLINKS)?;
                copy_runs(&File::from(file), &runs, &mut out)?;
            }
        }
        at += 1;
    }
    Ok(out.hasher.finish())
}

fn copy_runs(file: &File, runs: &[(u64, u64)], out: &mut dyn Write) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    for (offset, length) in runs {
        let (mut offset, end) = (*offset, offset.saturating_add(*length));
        while offset < end {
            let wanted = usize::try_from(end - offset).unwrap_or(usize::MAX).min(buffer.len());
            let piece = &mut buffer[..wanted];
            file.read_exact_at(piece, offset)?;
            out.write_all(piece)?;
            offset += wanted as u64;
        }
    }
    Ok(())
}

struct Hashed<'a> {
    out: &'a mut dyn Write,
    hasher: Hasher,
}

impl Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.out.write(bytes)?;
        self.hasher.update(&bytes[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
