//! Names of images, and which image was built from which: `images/references.json`.
//!
//! One file, replaced as a whole. Names of images that are missing stay: the image may be
//! damaged today and whole again after a pull.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::base::order::Ordered;
use crate::base::{Context, Digest, Result, atomic_file, state_file};

const FILE: &str = "references.json";
const VERSION: u32 = 1;

/// The file.
#[derive(Serialize, Deserialize)]
struct Disk {
    version: u32,
    references: BTreeMap<String, Digest>,
    #[serde(default)]
    parents: BTreeMap<String, Digest>,
}

/// Names and parents of images.
#[derive(Debug, Clone, Default)]
pub(super) struct References {
    by_name: BTreeMap<String, Digest>,
    by_image: HashMap<Digest, BTreeSet<String>>,
    parents: BTreeMap<Digest, Digest>,
}

impl References {
    /// Reads the file below `dir`, as [`state_file::read`] does: damage does not keep the store from
    /// opening.
    pub(super) fn read(dir: &Path) -> Result<References> {
        let mut references = References::default();
        state_file::read(&dir.join(FILE), "names of images are lost", &mut |bytes| {
            references.fill(serde_json::from_slice(bytes)?)
        })?;
        Ok(references)
    }

    fn fill(&mut self, disk: Disk) -> io::Result<()> {
        if disk.version != VERSION {
            return Err(io::Error::other(format!("version {} is not known", disk.version)));
        }
        for (name, image) in disk.references {
            self.set(&name, image);
        }
        for (child, parent) in disk.parents {
            if let Some(child) = Digest::parse(&child) {
                self.parents.insert(child, parent);
            }
        }
        Ok(())
    }

    /// Writes the file below `dir`, durably.
    pub(super) fn write(&self, dir: &Path) -> Result<()> {
        let parents = self.parents.iter().map(|(child, parent)| (child.to_string(), *parent));
        let disk = Disk {
            version: VERSION,
            references: self.by_name.clone(),
            parents: parents.into_map(),
        };
        let bytes = serde_json::to_vec(&disk).map_err(io::Error::from)?;
        let path = dir.join(FILE);
        atomic_file::write(&path, &bytes, 0o600).context(|| format!("write {}", path.display()))
    }

    /// The image called `name`.
    pub(super) fn get(&self, name: &str) -> Option<Digest> {
        self.by_name.get(name).copied()
    }

    /// Names of an image, sorted.
    pub(super) fn names(&self, image: &Digest) -> impl Iterator<Item = &String> {
        self.by_image.get(image).into_iter().flatten()
    }

    /// Names `image`; the name is taken from whatever had it.
    pub(super) fn set(&mut self, name: &str, image: Digest) {
        self.remove(name);
        self.by_name.insert(name.to_owned(), image);
        self.by_image.entry(image).or_default().insert(name.to_owned());
    }

    /// Forgets a name.
    pub(super) fn remove(&mut self, name: &str) {
        let Some(image) = self.by_name.remove(name) else { return };
        if let Some(names) = self.by_image.get_mut(&image) {
            names.remove(name);
            if names.is_empty() {
                self.by_image.remove(&image);
            }
        }
    }

    /// The image that `image` was built from.
    pub(super) fn parent(&self, image: &Digest) -> Option<Digest> {
        self.parents.get(image).copied()
    }

    /// Notes what `image` was built from.
    pub(super) fn set_parent(&mut self, image: Digest, parent: Digest) {
        self.parents.insert(image, parent);
    }

    /// Forgets what `image` was built from.
    pub(super) fn forget(&mut self, image: &Digest) {
        self.parents.remove(image);
    }
}
