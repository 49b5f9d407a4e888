//! The store: what images there are, and how they come, are named and go.
//!
//! - All questions are answered from memory; the disk is read at open and written by changes.
//! - Two locks. `save` orders changes and is held while they are written; no reader takes it.
//!   `index` is what readers see and is held for memory work alone. `save` comes first.
//! - Order on disk: layers, then the image's config, then its name. Away they go with the config
//!   first. So a config on disk means an image that is whole, whenever the power goes.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::config;
use super::layers::{self, Info, Layers};
use super::references::References;
use super::rootfs::{self, Overlay};
use super::{Driver, Image, Plan, copy};
use crate::base::order;
use crate::base::{
    Context, Digest, Error, Id, Kind, Lock, Result, atomic_file, guard, state_file, step,
};
use crate::model::Reference;

/// The store of images and layers below the data root.
pub struct Store {
    pub(super) images: PathBuf,
    pub(super) layers: Layers,
    pub(super) index: Lock<Index>,
    pub(super) save: Lock<()>,
    /// How overlayfs is mounted here, or why it is not.
    overlay: Result<Overlay, String>,
}

/// What is in the store.
pub(super) struct Index {
    pub(super) images: HashMap<Digest, Arc<Image>>,
    pub(super) layers: HashMap<Digest, Info>,
    pub(super) references: References,
    /// Images in use, by container.
    pub(super) pins: HashMap<Id, Digest>,
}

/// How a name meant its image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Meaning {
    /// An id, or the beginning of one.
    Id,
    /// This reference.
    Reference(String),
}

impl Index {
    /// The image that `name` means, and how.
    pub(super) fn resolve(&self, name: &str) -> Option<(Arc<Image>, Meaning)> {
        let digits = name.strip_prefix("sha256:").unwrap_or(name);
        if let Some(id) = Digest::parse_hex(digits) {
            return self.images.get(&id).map(|image| (Arc::clone(image), Meaning::Id));
        }
        for key in keys(name) {
            let image = self.references.get(&key).and_then(|id| self.images.get(&id));
            if let Some(image) = image {
                let is_id = image.id.hex().starts_with(digits);
                let meaning = if is_id { Meaning::Id } else { Meaning::Reference(key) };
                return Some((Arc::clone(image), meaning));
            }
        }
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if digits.is_empty() || !digits.bytes().all(hex) {
            return None;
        }
        let mut matches = self.images.values().filter(|image| image.id.hex().starts_with(digits));
        match (matches.next(), matches.next()) {
            (Some(image), None) => Some((Arc::clone(image), Meaning::Id)),
            _ => None,
        }
    }

    /// Adds an image whose layers are all here.
    pub(super) fn add(&mut self, mut image: Image) -> Option<Arc<Image>> {
        for layer in &mut image.layers {
            layer.size = self.layers.get(&layer.diff_id)?.size;
        }
        image.size = image.layers.iter().map(|layer| layer.size).sum();
        image.parent = self.references.parent(&image.id);
        let image = Arc::new(image);
        self.images.insert(image.id, Arc::clone(&image));
        Some(image)
    }
}

/// Keys under which a reference may be stored: with its digest if it has one, else with its tag.
fn keys(name: &str) -> Vec<String> {
    let Ok(mut reference) = Reference::parse(name) else { return Vec::new() };
    if reference.digest.is_some() {
        reference.tag = None;
    }
    vec![reference.to_string()]
}

impl Store {
    /// Opens the store below `root`, sweeps what a crash left, quarantines what is damaged.
    ///
    /// # Errors
    /// When the directories cannot be made or read. One bad object never fails the whole.
    pub fn open(root: &Path) -> Result<Store> {
        let images = root.join("images");
        layers::make_dir(&images)?;
        atomic_file::sweep(&images).context(|| format!("sweep {}", images.display()))?;
        let (layers, found) = Layers::open(root)?;
        let references = References::read(&images)?;
        let index =
            Index { images: HashMap::new(), layers: found.whole, references, pins: HashMap::new() };
        let mut store = Store {
            images,
            layers,
            index: Lock::new(index),
            save: Lock::new(()),
            overlay: Err(String::new()),
        };
        let needed = store.load()?;
        store.collect(&needed, found.damaged);
        rootfs::make_init_layer(&store.layers)?;
        store.overlay = rootfs::detect(&store.layers);
        Ok(store)
    }

    /// Reads all configs; returns the layers that they name, present or not.
    fn load(&self) -> Result<HashSet<Digest>> {
        let mut needed = HashSet::new();
        let context = || format!("read {}", self.images.display());
        for entry in std::fs::read_dir(&self.images).context(context)? {
            let path = entry.context(context)?.path();
            let id = path
                .file_name()
                .and_then(|name| name.to_str())
                .and_then(|name| Digest::parse_hex(name.strip_suffix(".json")?));
            let Some(id) = id else { continue };
            let image = match self.read_config(&id).and_then(|bytes| config::parse(&bytes)) {
                Ok(image) => image,
                Err(error) => {
                    quarantine(&path, &error);
                    continue;
                }
            };
            needed.extend(image.layers.iter().map(|layer| layer.diff_id));
            if self.index.lock().add(image).is_none() {
                crate::error!("image {id} is not shown: a layer of it is missing or damaged");
            }
        }
        Ok(needed)
    }

    /// Removes layers that no image names: an import that was cut short, or a removal.
    fn collect(&self, needed: &HashSet<Digest>, damaged: Vec<Digest>) {
        let whole: Vec<Digest> = self.index.lock().layers.keys().copied().collect();
        for id in whole.into_iter().chain(damaged).filter(|id| !needed.contains(id)) {
            let short = self.index.lock().layers.remove(&id).map(|info| info.short);
            match self.layers.discard(&id, short.as_deref()) {
                Ok(discarded) => discarded.delete(),
                Err(error) => crate::warn!("{error}"),
            }
        }
    }

    pub(super) fn config_path(&self, id: &Digest) -> PathBuf {
        self.images.join(format!("{}.json", id.hex()))
    }

    fn read_config(&self, id: &Digest) -> Result<Vec<u8>> {
        let path = self.config_path(id);
        let context = || format!("read {}", path.display());
        let mut bytes = Vec::new();
        let file = std::fs::File::open(&path).context(context)?;
        file.take(config::MAX_BYTES + 1).read_to_end(&mut bytes).context(context)?;
        if Digest::of(&bytes) != *id {
            return Err(Error::internal("its digest is not its name")).context(context);
        }
        Ok(bytes)
    }

    /// How root file systems are made here, and a sentence why when it is not overlayfs.
    pub fn driver(&self) -> (Driver, Option<String>) {
        match &self.overlay {
            Ok(_) => (Driver::Overlay, None),
            Err(why) => (Driver::Copy, Some(why.clone())),
        }
    }

    /// Forgets and deletes layers. The caller holds `save` and has made sure that no image needs
    /// them.
    pub(super) fn drop_layers(&self, ids: &[Digest]) {
        for discarded in self.discard_layers(ids) {
            discarded.delete();
        }
    }

    /// Forgets layers and takes their names away.
    pub(super) fn discard_layers(&self, ids: &[Digest]) -> Vec<layers::Discarded> {
        let discard = |id: &Digest| {
            let short = self.index.lock().layers.remove(id).map(|info| info.short);
            // What cannot be removed is in no image, so the next open removes it.
            let discarded = self.layers.discard(id, short.as_deref());
            discarded.map_err(|error| crate::warn!("{error}")).ok()
        };
        ids.iter().filter_map(discard).collect()
    }

    /// The image that `name` means: an id or unique prefix, with or without `sha256:`, or a
    /// reference (tag `latest` when none is given).
    pub fn find(&self, name: &str) -> Option<Arc<Image>> {
        self.index.lock().resolve(name).map(|(image, _)| image)
    }

    /// Like [`Store::find`].
    ///
    /// # Errors
    /// `No such image: NAME:latest`, in Docker's words; `BadParameter` when it can be no name.
    pub fn get(&self, name: &str) -> Result<Arc<Image>> {
        self.find(name).ok_or_else(|| no_such(name))
    }

    /// The image with this id.
    pub fn by_id(&self, id: &Digest) -> Option<Arc<Image>> {
        self.index.lock().images.get(id).cloned()
    }

    /// All images, newest first.
    pub fn list(&self) -> Vec<Arc<Image>> {
        let mut images: Vec<_> = self.index.lock().images.values().cloned().collect();
        order::sort_by(&mut images, |a, b| (b.created, a.id).cmp(&(a.created, b.id)));
        images
    }

    /// `repo:tag` names of an image, sorted.
    pub fn names(&self, id: &Digest) -> Vec<String> {
        let index = self.index.lock();
        index.references.names(id).filter(|name| !name.contains('@')).cloned().collect()
    }

    /// Names an image; an existing name is moved. Durable on return.
    ///
    /// # Errors
    /// Those of the disk; `NotFound` when the image is gone; `BadParameter` for a digest.
    pub fn tag(&self, id: &Digest, reference: &Reference) -> Result<()> {
        let name = tag_key(reference)?;
        let _save = self.save.lock();
        let mut references = {
            let index = self.index.lock();
            if !index.images.contains_key(id) {
                return Err(Error::no_such("image", id));
            }
            index.references.clone()
        };
        references.set(&name, *id);
        references.write(&self.images)?;
        // Dying here: the name is there.
        step::done("tag.reference-written");
        self.index.lock().references = references;
        Ok(())
    }

    /// Takes the name `key`, as [`Store::names`] gives it, away. Durable on return.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn untag(&self, key: &str) -> Result<()> {
        let _save = self.save.lock();
        let mut references = self.index.lock().references.clone();
        references.remove(key);
        references.write(&self.images)?;
        // Dying here: the name is gone.
        step::done("untag.reference-written");
        self.index.lock().references = references;
        Ok(())
    }

    /// The config of an image, byte for byte.
    ///
    /// # Errors
    /// When it is gone or unreadable.
    pub fn config_bytes(&self, id: &Digest) -> Result<Vec<u8>> {
        self.read_config(id)
    }

    /// Writes the tar that a layer was unpacked from, byte for byte.
    ///
    /// # Errors
    /// Those of `out`; when the layer is missing or its files were changed.
    pub fn write_tar(&self, diff_id: &Digest, out: &mut dyn std::io::Write) -> Result<()> {
        self.layers.write_tar(diff_id, out)
    }

    /// The layers of `image` that show, topmost first: none below one that hides all others, and
    /// of one that comes several times only the topmost, which repeats all that the others do
    /// (overlayfs refuses to stack a directory twice).
    fn visible(&self, image: &Digest) -> Result<Vec<(Digest, Info)>> {
        let index = self.index.lock();
        let image = index.images.get(image).ok_or_else(|| Error::no_such("image", image))?;
        let (mut visible, mut seen) = (Vec::new(), HashSet::new());
        for layer in image.layers.iter().rev().filter(|layer| seen.insert(layer.diff_id)) {
            let id = layer.diff_id;
            let info = index.layers.get(&id).ok_or_else(|| {
                Error::internal(format!("layer {id} of image {} is missing", image.id))
            })?;
            visible.push((id, info.clone()));
            if info.opaque {
                // Overlayfs heeds the mark on every directory but the root.
                break;
            }
        }
        Ok(visible)
    }

    /// How to mount the root file system of `image`.
    ///
    /// # Errors
    /// When a layer is missing, or there are more than the kernel can stack.
    pub fn plan(&self, image: &Digest) -> Result<Plan> {
        let Ok(overlay) = &self.overlay else { return Ok(Plan::Copy) };
        let visible = self.visible(image)?;
        let shorts = visible.iter().map(|(_, info)| info.short.as_str());
        rootfs::plan(&self.layers, overlay, shorts)
    }

    /// Makes directory `upper`, a container's writable layer over `image`: the root of a mounted
    /// overlay has the owner and the mode of its upper directory, and should have the image's.
    ///
    /// # Errors
    /// Those of the disk; when the directory exists.
    pub fn make_upper(&self, image: &Digest, upper: &Path) -> Result<()> {
        let image = self.by_id(image).ok_or_else(|| Error::no_such("image", image))?;
        let top = image.layers.last().map(|layer| self.layers.tree(&layer.diff_id));
        rootfs::make_upper(top.as_deref(), upper)
            .context(|| format!("make directory {}", upper.display()))
    }

    /// Copies the whole root file system of `image` to `target`, which must not exist.
    ///
    /// # Errors
    /// Those of the disk; `target` is then removed.
    pub fn copy_rootfs(&self, image: &Digest, target: &Path) -> Result<()> {
        let visible = self.visible(image)?;
        let mut trees: Vec<PathBuf> =
            visible.iter().rev().map(|(id, _)| self.layers.tree(id)).collect();
        trees.push(rootfs::init_tree(&self.layers));
        self.make_upper(image, target)?;
        let copied = guard((), |()| {
            if let Err(error) = std::fs::remove_dir_all(target) {
                crate::warn!("remove {}: {error}", target.display());
            }
        });
        copy::layers(&trees, target).context(|| format!("copy image {image}"))?;
        copied.keep();
        Ok(())
    }

    /// Notes that `container` is of `image`, so that a removal that has begun and does not know
    /// of it fails; the caller looks with [`Store::by_id`] afterwards. In memory only; `engine`
    /// pins anew after a restart.
    pub fn pin(&self, image: &Digest, container: &Id) {
        self.index.lock().pins.insert(container.clone(), *image);
    }

    /// Undoes [`Store::pin`]; may be called twice.
    pub fn unpin(&self, container: &Id) {
        self.index.lock().pins.remove(container);
    }

    /// Bytes of the files of all layers.
    pub fn layers_size(&self) -> u64 {
        self.index.lock().layers.values().map(|info| info.size).sum()
    }
}

/// The name under which `reference` is stored as a tag.
pub(super) fn tag_key(reference: &Reference) -> Result<String> {
    if reference.digest.is_some() {
        return Err(Error::bad_parameter("refusing to create a tag with a digest reference"));
    }
    Ok(reference.to_string())
}

/// `No such image: NAME:latest`.
pub(super) fn no_such(name: &str) -> Error {
    let digits = name.strip_prefix("sha256:").unwrap_or(name);
    if let Some(id) = Digest::parse_hex(digits) {
        return Error::no_such("image", id);
    }
    match Reference::parse(name) {
        Ok(reference) => Error::no_such("image", reference),
        // The beginning of an id with its algorithm is a name of its own kind.
        Err(_) if name.starts_with("sha256:") => Error::no_such("image", name),
        Err(why) => Error::new(Kind::BadParameter, why),
    }
}

fn quarantine(path: &Path, error: &Error) {
    if error.os_error().is_some() {
        // It could not be read; that may pass.
        crate::error!("image is not shown: {error}");
        return;
    }
    match state_file::set_aside(path) {
        Ok(aside) => {
            crate::error!("image is damaged, kept as {}: {error}", aside.display());
        }
        Err(second) => crate::error!("image is damaged: {error}; {second}"),
    }
}
