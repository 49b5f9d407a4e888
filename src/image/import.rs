//! Importing: from a tar to an image that is listed.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::config::{self, Draft};
use super::ingest::{self, Ingested};
use super::store::{Store, tag_key};
use super::{History, Image, ImportSpec};
use crate::base::{Context, Digest, Error, Result, Timestamp, atomic_file, guard, step};

impl Store {
    /// Makes a one-layer image of a tar: plain, gzip, bzip2, xz or zstd. Durable on return.
    /// `arrived` is told the bytes read so far.
    ///
    /// # Errors
    /// When the tar is short, damaged, hostile, or the disk is full; nothing is left then.
    pub fn import(
        &self,
        tar: &mut dyn Read,
        spec: &ImportSpec,
        arrived: &dyn Fn(u64),
    ) -> Result<Arc<Image>> {
        let comment = match spec.message.as_str() {
            "" => "Imported from -",
            message => message,
        };
        self.register(None, tar, spec, comment, arrived)
    }

    /// Makes an image of `base`'s layers and one more. See [`Store::import`].
    pub(super) fn register(
        &self,
        base: Option<&Image>,
        tar: &mut dyn Read,
        spec: &ImportSpec,
        comment: &str,
        arrived: &dyn Fn(u64),
    ) -> Result<Arc<Image>> {
        let platform = spec.platform.as_deref().unwrap_or_else(|| config::host_platform());
        if platform.split('/').count() > 3 || platform.split('/').any(str::is_empty) {
            return Err(Error::bad_parameter(format!("invalid platform: {platform}")));
        }
        let below = base.map(|base| base.layers.clone()).unwrap_or_default();
        if below.len() >= config::MAX_LAYERS {
            return Err(Error::bad_parameter("an image has at most 500 layers"));
        }
        let name = spec.reference.as_ref().map(tag_key).transpose()?;
        let mut ingested = ingest::ingest(&self.layers, tar, arrived)?;
        if !self.index.lock().layers.contains_key(&ingested.diff_id) {
            self.layers.seal(&ingested.stage, ingested.summary)?;
            ingested.sealed = true;
        }
        // Dying here: the sweep of the next open removes the stage.
        step::done("import.layer-staged");

        let created = Timestamp::now();
        let mut history = base.map(|base| base.history.clone()).unwrap_or_default();
        history.push(History {
            created: Some(created),
            created_by: String::new(),
            comment: comment.to_owned(),
            empty_layer: false,
        });
        let mut diff_ids: Vec<Digest> = below.iter().map(|layer| layer.diff_id).collect();
        diff_ids.push(ingested.diff_id);
        let config = &spec.config;
        let draft = Draft { config, platform, author: "", created, history, diff_ids };
        let bytes = draft.to_bytes()?;
        self.publish(&ingested, &bytes, base.map(|base| base.id), name.as_deref())
    }

    /// Shows a new image: layer, config, name, in this order.
    fn publish(
        &self,
        ingested: &Ingested,
        bytes: &[u8],
        parent: Option<Digest>,
        name: Option<&str>,
    ) -> Result<Arc<Image>> {
        let image = config::parse(bytes)?;
        let _save = self.save.lock();
        if parent.is_some_and(|parent| self.by_id(&parent).is_none()) {
            return Err(Error::conflict("the image below was removed meanwhile"));
        }
        let placed = guard(self.place(ingested)?, |new| {
            if new {
                self.drop_layers(&[ingested.diff_id]);
            }
        });
        // Dying here: the next open removes the layer, since no image names it.
        step::done("import.layer-placed");

        let path = self.config_path(&image.id);
        atomic_file::write(&path, bytes, 0o600).context(|| format!("write {}", path.display()))?;
        let written = guard((), |()| remove_config(&path));
        // Dying here: the image is whole and listed without a name.
        step::done("import.config-written");

        let mut references = self.index.lock().references.clone();
        if let Some(parent) = parent {
            references.set_parent(image.id, parent);
        }
        if let Some(name) = name {
            references.set(name, image.id);
        }
        if parent.is_some() || name.is_some() {
            references.write(&self.images)?;
        }
        // Dying here: all is done.
        step::done("import.reference-written");

        let image = {
            let mut index = self.index.lock();
            index.references = references;
            index.add(image).ok_or_else(|| Error::internal("a layer of the image is missing"))?
        };
        written.keep();
        placed.keep();
        Ok(image)
    }

    /// Gives a layer its name, unless it is here already; true says that it is new.
    fn place(&self, ingested: &Ingested) -> Result<bool> {
        let Ingested { stage, diff_id, summary, sealed } = ingested;
        if self.index.lock().layers.contains_key(diff_id) {
            return Ok(false);
        }
        if !sealed {
            // It was here when it had been unpacked, and has been removed since.
            self.layers.seal(stage, *summary)?;
        }
        let info = self.layers.place(stage, diff_id, *summary)?;
        self.index.lock().layers.insert(*diff_id, info);
        Ok(true)
    }
}

fn remove_config(path: &Path) {
    if let Err(error) = std::fs::remove_file(path) {
        crate::warn!("remove {}: {error}", path.display());
    }
}
