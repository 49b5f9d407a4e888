//! Names of images, and which image was built from which: `images/references.json`.
//!
//! One file, replaced as a whole. Names of images that are missing stay: the image may be
//! damaged today and whole again after a pull.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::base::order::Ordered;
use crate::base::{Context, Digest, Result, Timestamp, atomic_file, is_shortage};

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
    /// Reads the file below `dir`. One that does not parse is set aside, since nothing may keep
    /// the store from opening.
    pub(super) fn read(dir: &Path) -> Result<References> {
        let path = dir.join(FILE);
        let bytes = match std::fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(References::default());
            }
            Err(error) if is_shortage(&error) => {
                return Err(error).context(|| format!("read {}", path.display()));
            }
            bytes => bytes,
        };
        // A bad block is damage as well.
        let disk = match bytes.and_then(|bytes| Ok(serde_json::from_slice::<Disk>(&bytes)?)) {
            Ok(disk) if disk.version == VERSION => disk,
            outcome => {
                let why = match outcome {
                    Ok(disk) => format!("version {} is not known", disk.version),
                    Err(error) => error.to_string(),
                };
                let aside = set_aside(&path)?;
                crate::error!(
                    "{} is damaged ({why}); names of images are lost, the file is kept as {}",
                    path.display(),
                    aside.display()
                );
                return Ok(References::default());
            }
        };
        let mut references = References::default();
        for (name, image) in disk.references {
            references.set(&name, image);
        }
        for (child, parent) in disk.parents {
            if let Some(child) = Digest::parse(&child) {
                references.parents.insert(child, parent);
            }
        }
        Ok(references)
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

/// Renames a damaged file so that it is kept and read no more.
pub(super) fn set_aside(path: &Path) -> Result<PathBuf> {
    let mut name = path.as_os_str().to_owned();
    let now = Timestamp::now();
    name.push(format!(".damaged-{}-{:09}", now.seconds, now.nanos));
    let aside = PathBuf::from(name);
    std::fs::rename(path, &aside).context(|| format!("set {} aside", path.display()))?;
    Ok(aside)
}
