//! Tests of the whole way from a tar to an unpacked layer and back. They need root.

mod corpus;
mod fuzz;
mod roots;
mod store;

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Image, ImportSpec, Store};
use crate::base::{Digest, Result};
use crate::model::Reference;

/// A directory of its own for a test, removed at its end.
pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    /// `None`, with a word to the reader, when the test cannot run here.
    pub(super) fn new() -> Option<Scratch> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("skiff-image-{}-{count}", std::process::id()));
        std::fs::create_dir(&dir).unwrap();
        let scratch = Scratch(dir);
        if std::os::unix::fs::chown(&scratch.0, Some(1), Some(1)).is_err() {
            eprintln!("skipped: unpacking needs root");
            return None;
        }
        Some(scratch)
    }

    pub(super) fn store(&self) -> Store {
        Store::open(&self.0.join("data")).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

/// A tar being made, one header at a time, without any check.
#[derive(Default, Clone)]
pub(super) struct Tar(pub(super) Vec<u8>);

impl Tar {
    pub(super) fn header(&mut self, name: &str, flag: u8, edit: impl FnOnce(&mut tar::Header)) {
        let mut header = tar::Header::new_gnu();
        let length = name.len().min(100);
        header.as_old_mut().name[..length].copy_from_slice(&name.as_bytes()[..length]);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        header.set_size(0);
        header.as_old_mut().linkflag = [flag];
        edit(&mut header);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
    }

    pub(super) fn data(&mut self, data: &[u8]) {
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
    }

    pub(super) fn entry(mut self, name: &str, flag: u8, link: &str, data: &[u8]) -> Tar {
        self.header(name, flag, |header| {
            header.set_size(data.len() as u64);
            header.set_link_name_literal(link).unwrap();
        });
        self.data(data);
        self
    }

    pub(super) fn file(self, name: &str, data: &[u8]) -> Tar {
        self.entry(name, b'0', "", data)
    }

    pub(super) fn dir(mut self, name: &str) -> Tar {
        self.header(name, b'5', |header| header.set_mode(0o755));
        self
    }

    pub(super) fn symlink(self, name: &str, says: &str) -> Tar {
        self.entry(name, b'2', says, b"")
    }

    pub(super) fn hard_link(self, name: &str, to: &str) -> Tar {
        self.entry(name, b'1', to, b"")
    }

    pub(super) fn pax(self, records: &[(&str, &[u8])]) -> Tar {
        let mut data = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length != rest + length.to_string().len() {
                length += 1;
            }
            data.extend_from_slice(format!("{length} {key}=").as_bytes());
            data.extend_from_slice(value);
            data.push(b'\n');
        }
        self.entry("pax", b'x', "", &data)
    }

    pub(super) fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

pub(super) fn import(store: &Store, tar: &[u8]) -> Result<Arc<Image>> {
    store.import(&mut &tar[..], &ImportSpec::default(), &|_| {})
}

/// The unpacked tree of an image's topmost layer.
pub(super) fn tree(store: &Store, image: &Image) -> PathBuf {
    store.layers.tree(&image.layers.last().unwrap().diff_id)
}

/// Everything below `dir` that a test can tell apart.
pub(super) fn picture(dir: &Path) -> BTreeMap<PathBuf, String> {
    let mut all = BTreeMap::new();
    let mut left = vec![dir.to_path_buf()];
    while let Some(path) = left.pop() {
        let meta = path.symlink_metadata().unwrap();
        let kind = meta.file_type();
        let content = if kind.is_file() {
            format!("{:?}", Digest::of(&std::fs::read(&path).unwrap()))
        } else if kind.is_symlink() {
            format!("{:?}", std::fs::read_link(&path).unwrap())
        } else {
            format!("{:x}", meta.rdev())
        };
        let times = format!("{}.{}", meta.mtime(), meta.mtime_nsec());
        let mode = meta.permissions().mode();
        let line =
            format!("{mode:o} {} {} {} {times} {content}", meta.uid(), meta.gid(), meta.nlink());
        all.insert(path.strip_prefix(dir).unwrap().to_path_buf(), line);
        if kind.is_dir() {
            left.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    all
}

/// The tar of the image's topmost layer, made again.
pub(super) fn tar_again(store: &Store, image: &Image) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    store.write_tar(&image.layers.last().unwrap().diff_id, &mut out)?;
    Ok(out)
}

pub(super) fn reference(text: &str) -> Reference {
    Reference::parse(text).unwrap()
}

pub(super) fn named(store: &Store, name: &str, content: &str) -> Arc<Image> {
    let tar = Tar::default().file("file", content.as_bytes()).end();
    let spec = ImportSpec { reference: Some(reference(name)), ..ImportSpec::default() };
    store.import(&mut &tar[..], &spec, &|_| {}).unwrap()
}

/// An image of one more layer on top of `base`.
pub(super) fn on_top(store: &Store, base: &Image, tar: Vec<u8>) -> Arc<Image> {
    store.register(Some(base), &mut &tar[..], &ImportSpec::default(), "", &|_| {}).unwrap()
}

pub(super) fn nobody(_: &Digest) -> Option<(String, bool)> {
    None
}

pub(super) fn count(dir: PathBuf) -> usize {
    std::fs::read_dir(dir).unwrap().count()
}
