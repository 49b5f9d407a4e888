//! Images: references, configs, the layer store, unpacking, root file systems.
//!
//! - Content-addressed: a layer by its diff id, an image by the digest of its config, which is
//!   kept byte for byte.
//! - Nothing is visible that is not whole: layers are unpacked under `layers/tmp/`, checked,
//!   synced and renamed into place; then the image config; then the reference.
//! - Everything in a tar, a config or a reference is hostile.
//! - Knows no container and no REST.
//!
//! An import passes, in this order: `ingest` (threads, hash), `decompress`, `tarball` (with
//! `header` and `pax`), `unpack` (files, with `tree` and
//! `attributes`) and `recipe` (what gives the tar
//! back), `layers` (the directory gets its name), `config`, `references`. `store` keeps them
//! together, `import` and `remove` change it, `rootfs` and `copy` make roots of it.

mod attributes;
mod config;
mod copy;
mod decompress;
mod header;
mod import;
mod ingest;
mod layers;
mod pax;
mod recipe;
mod references;
mod remove;
mod rootfs;
mod store;
mod tarball;
#[cfg(test)]
mod tests;
mod tree;
mod unpack;

use std::path::PathBuf;

use crate::base::{Digest, Timestamp};
use crate::model::{Reference, RunConfig};
pub use store::Store;

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
        /// Topmost first; begins with the init layer shared by all.
        lowers: Vec<String>,
        /// Mount options known to this kernel.
        options: String,
    },
    /// Copy these directories, base first, applying whiteouts; `engine` asks
    /// [`Store::copy_rootfs`] to do so.
    Copy,
}
