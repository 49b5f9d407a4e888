//! Images: references, configs, the layer store, unpacking, root file systems.
//!
//! - Content-addressed: a layer by its diff id, an image by the digest of its config, which is
//!   kept byte for byte.
//! - Nothing is visible that is not whole: layers are unpacked under `layers/tmp/`, checked,
//!   synced and renamed into place; then the image config; then the reference.
//! - Everything in a tar, a config or a reference is hostile.
//! - Knows no container and no REST.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::{Digest, Id, Result, Timestamp};
use crate::model::{Reference, RunConfig};

/// The store of images and layers below the data root.
pub struct Store {}

/// How root file systems are made on this host; found once, at open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// Overlayfs over the layers.
    Overlay,
    /// A whole copy per container, where overlayfs cannot be mounted.
    Copy,
}

/// An image that is whole.
#[derive(Debug, Clone)]
pub struct Image {
    /// Digest of the config.
    pub id: Digest,
    /// Digest of the parent's config, for images built here.
    pub parent: Option<Digest>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Who made it.
    pub author: String,
    /// Comment of the newest history entry.
    pub comment: String,
    /// `amd64`, `arm64`, `arm`.
    pub architecture: String,
    /// `v7` and the like.
    pub variant: String,
    /// `linux`.
    pub os: String,
    /// What containers of it run.
    pub config: RunConfig,
    /// Layers, base first.
    pub layers: Vec<Layer>,
    /// Base first; entries without a layer are marked.
    pub history: Vec<History>,
    /// Bytes of all layers.
    pub size: u64,
}

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Digest of its uncompressed tar.
    pub diff_id: Digest,
    /// Sum of the sizes of its files in bytes.
    pub size: u64,
}

/// One line of an image's history.
#[derive(Debug, Clone)]
pub struct History {
    /// When it was made.
    pub created: Option<Timestamp>,
    /// The command that made it.
    pub created_by: String,
    /// A comment.
    pub comment: String,
    /// It changed the config alone.
    pub empty_layer: bool,
}

/// What an import is to be called and to say.
#[derive(Debug, Clone, Default)]
pub struct ImportSpec {
    /// Tag of the new image, if any.
    pub reference: Option<Reference>,
    /// Comment; empty is `Imported from -`.
    pub message: String,
    /// Config of the new image.
    pub config: RunConfig,
    /// `os/arch[/variant]` when it is not this host's.
    pub platform: Option<String>,
}

/// What the removal of an image did, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// A reference is gone.
    Untagged(String),
    /// An image or layer is gone.
    Deleted(Digest),
}

/// Root file system of a container, for the launch file.
#[derive(Debug, Clone)]
pub enum Plan {
    /// See `runtime::launch::Rootfs::Overlay`.
    Overlay {
        /// Directory that lower names are relative to.
        lower_base: PathBuf,
        /// Topmost first; ends with the init layer shared by all.
        lowers: Vec<String>,
        /// Mount options known to this kernel.
        options: String,
    },
    /// Copy these directories, base first, applying whiteouts; `engine` asks
    /// [`Store::copy_rootfs`] to do so.
    Copy,
}

impl Store {
    /// Opens the store below `root`, sweeps what a crash left, quarantines what is damaged.
    ///
    /// # Errors
    /// When the directories cannot be made or read. One bad object never fails the whole.
    pub fn open(_root: &Path) -> Result<Store> {
        todo!()
    }

    /// How root file systems are made here, and a sentence why when it is not overlayfs.
    pub fn driver(&self) -> (Driver, Option<String>) {
        todo!()
    }

    /// Makes a one-layer image of a tar: plain, gzip, bzip2, xz or zstd. Durable on return.
    /// `arrived` is told the bytes read so far.
    ///
    /// # Errors
    /// When the tar is short, damaged, hostile, or the disk is full; nothing is left then.
    pub fn import(
        &self,
        _tar: &mut dyn Read,
        _spec: &ImportSpec,
        _arrived: &dyn Fn(u64),
    ) -> Result<Arc<Image>> {
        todo!()
    }

    /// The image that `name` means: an id or unique prefix, with or without `sha256:`, or a
    /// reference (tag `latest` when none is given).
    pub fn find(&self, _name: &str) -> Option<Arc<Image>> {
        todo!()
    }

    /// Like [`Store::find`].
    ///
    /// # Errors
    /// `No such image: NAME:latest`, in Docker's words.
    pub fn get(&self, _name: &str) -> Result<Arc<Image>> {
        todo!()
    }

    /// The image with this id.
    pub fn by_id(&self, _id: &Digest) -> Option<Arc<Image>> {
        todo!()
    }

    /// All images, newest first.
    pub fn list(&self) -> Vec<Arc<Image>> {
        todo!()
    }

    /// `repo:tag` names of an image, sorted.
    pub fn names(&self, _id: &Digest) -> Vec<String> {
        todo!()
    }

    /// Names an image; an existing name is moved. Durable on return.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn tag(&self, _id: &Digest, _reference: &Reference) -> Result<()> {
        todo!()
    }

    /// Removes `name` as `rmi` does: a reference is untagged; the image goes with its last name,
    /// or by id. `in_use` tells the container that keeps an image (its short id, and whether it
    /// runs); `force` removes several names by id and images of stopped containers.
    ///
    /// # Errors
    /// `Conflict` in Docker's words.
    pub fn remove(
        &self,
        _name: &str,
        _force: bool,
        _prune_parents: bool,
        _in_use: &dyn Fn(&Digest) -> Option<(String, bool)>,
    ) -> Result<Vec<Removed>> {
        todo!()
    }

    /// The config of an image, byte for byte.
    ///
    /// # Errors
    /// When it is gone or unreadable.
    pub fn config_bytes(&self, _id: &Digest) -> Result<Vec<u8>> {
        todo!()
    }

    /// How to mount the root file system of `image`.
    ///
    /// # Errors
    /// When a layer is missing, or there are more than the kernel can stack.
    pub fn plan(&self, _image: &Digest) -> Result<Plan> {
        todo!()
    }

    /// Copies the whole root file system of `image` to `target`, which must not exist.
    ///
    /// # Errors
    /// Those of the disk; `target` is then removed.
    pub fn copy_rootfs(&self, _image: &Digest, _target: &Path) -> Result<()> {
        todo!()
    }

    /// Keeps the image of container `container` from being removed while a root is used.
    /// In memory only; `engine` pins anew after a restart.
    pub fn pin(&self, _image: &Digest, _container: &Id) {
        todo!()
    }

    /// Bytes on disk of all layers.
    pub fn layers_size(&self) -> u64 {
        todo!()
    }
}
