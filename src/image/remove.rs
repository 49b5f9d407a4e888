//! Removing images, as `rmi` does.
//!
//! What is to go is decided first, in memory; then it goes: configs, names, layers. A full disk
//! does not stop it: when there is no room to write the names, room is made first.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::layers::Discarded;
use super::references::References;
use super::store::{Index, Meaning, Store, no_such};
use super::{Image, Removed};
use crate::base::order::Ordered;
use crate::base::{Context, Digest, Error, Id, Kind, Result, atomic_file, step};

/// Who keeps an image: the short id of a container, and whether it runs.
type InUse<'a> = &'a dyn Fn(&Digest) -> Option<(String, bool)>;

/// What is to be done.
struct Decision {
    references: References,
    /// Images to delete, children before parents.
    doomed: Vec<Arc<Image>>,
    done: Vec<Removed>,
}

/// Why an image cannot go.
struct Obstacle {
    /// Force does not help.
    hard: bool,
    /// A container is the reason.
    used: bool,
    why: String,
}

impl Store {
    /// Removes `name` as `rmi` does: a reference is untagged; the image goes with its last name,
    /// or by id. `in_use` tells the container that keeps an image (its short id, and whether it
    /// runs); `force` removes several names by id and images of stopped containers. It is called
    /// without a lock that readers take.
    ///
    /// # Errors
    /// `Conflict` in Docker's words.
    pub fn remove(
        &self,
        name: &str,
        force: bool,
        prune_parents: bool,
        in_use: InUse<'_>,
    ) -> Result<Vec<Removed>> {
        let save = self.save.lock();
        let (image, meaning, view) = {
            let index = self.index.lock();
            let (image, meaning) = index.resolve(name).ok_or_else(|| no_such(name))?;
            (image, meaning, View::of(&index))
        };
        let known = view.containers.clone();
        let decision = view.decide(name, &image, &meaning, force, prune_parents, in_use)?;
        let Decision { references, doomed, done } = decision;
        if doomed.is_empty() {
            references.write(&self.images)?;
            // Dying here: the name is gone.
            step::done("untag.reference-written");
            self.index.lock().references = references;
            return Ok(done);
        }
        let (discarded, layers) = self.delete(&doomed, references, &known)?;
        drop(save);
        for discarded in discarded {
            discarded.delete();
        }
        // Dying here or earlier: the next open has swept the rest.
        step::done("remove.layers-deleted");
        Ok(done.into_iter().chain(layers.into_iter().map(Removed::Deleted)).collect())
    }

    /// Deletes images. Returns what is left to delete of their layers, and the layers, topmost
    /// first.
    fn delete(
        &self,
        doomed: &[Arc<Image>],
        references: References,
        known: &HashSet<Id>,
    ) -> Result<(Vec<Discarded>, Vec<Digest>)> {
        self.hide(doomed, known)?;
        if let Err(error) = self.remove_configs(doomed) {
            let mut index = self.index.lock();
            for image in doomed.iter().filter(|image| self.config_path(&image.id).exists()) {
                index.images.insert(image.id, Arc::clone(image));
            }
            return Err(error);
        }
        // Dying here: the images are gone; their names mean nothing and are not shown, and the
        // next open removes the layers.
        step::done("remove.config-removed");

        let layers = {
            let mut index = self.index.lock();
            index.references = references.clone();
            index.unneeded(doomed)
        };
        let written = references.write(&self.images);
        if written.is_ok() {
            // Dying here: as before.
            step::done("remove.references-written");
        }
        let mut discarded = self.discard_layers(&layers);
        // Dying here: the sweep of the next open deletes what has lost its name.
        step::done("remove.layers-moved");

        if let Err(error) = written {
            if error.kind() == Kind::NoSpace {
                discarded.drain(..).for_each(Discarded::delete);
            }
            if let Err(error) = references.write(&self.images) {
                // Names of images that are gone do no harm.
                crate::warn!("{error}");
            }
        }
        Ok((discarded, layers))
    }

    /// From here on nobody finds the images, unless a container has got hold of one since the
    /// decision began, which knew of the containers `known`.
    fn hide(&self, doomed: &[Arc<Image>], known: &HashSet<Id>) -> Result<()> {
        let mut index = self.index.lock();
        for image in doomed {
            let new = |(container, pinned): &(&Id, &Digest)| {
                **pinned == image.id && !known.contains(*container)
            };
            if let Some((container, _)) = index.pins.iter().find(new) {
                let why = format!("image is being used by running container {}", container.short());
                return Err(conflict(image, &Obstacle { hard: true, used: true, why }));
            }
        }
        for image in doomed {
            index.images.remove(&image.id);
        }
        Ok(())
    }

    fn remove_configs(&self, doomed: &[Arc<Image>]) -> Result<()> {
        for image in doomed {
            let path = self.config_path(&image.id);
            std::fs::remove_file(&path).context(|| format!("remove {}", path.display()))?;
        }
        atomic_file::sync_dir(&self.images).context(|| format!("sync {}", self.images.display()))
    }
}

impl Index {
    /// Layers of `gone` that no image needs any more, topmost first.
    fn unneeded(&self, gone: &[Arc<Image>]) -> Vec<Digest> {
        let layers = |image: &Arc<Image>| -> Vec<Digest> {
            image.layers.iter().rev().map(|layer| layer.diff_id).collect()
        };
        let mut seen: HashSet<Digest> = self.images.values().flat_map(layers).collect();
        gone.iter().flat_map(layers).filter(|id| seen.insert(*id)).collect()
    }
}

/// The store as it is when a removal is decided; `save` is held, so it stays so.
struct View {
    references: References,
    /// Images with a parent: child and parent.
    families: Vec<(Digest, Digest)>,
    images: HashMap<Digest, Arc<Image>>,
    /// Containers that have images.
    containers: HashSet<Id>,
}

impl View {
    fn of(index: &Index) -> View {
        let family = |image: &Arc<Image>| image.parent.map(|parent| (image.id, parent));
        View {
            references: index.references.clone(),
            families: index.images.values().filter_map(family).collect(),
            images: index.images.clone(),
            containers: index.pins.keys().cloned().collect(),
        }
    }

    fn decide(
        mut self,
        name: &str,
        image: &Arc<Image>,
        meaning: &Meaning,
        force: bool,
        prune_parents: bool,
        in_use: InUse<'_>,
    ) -> Result<Decision> {
        let names: Vec<String> = self.references.names(&image.id).cloned().collect();
        let mut done = Vec::new();
        let by_reference = match meaning {
            Meaning::Reference(key) => {
                if !force && is_single(&names) {
                    if let Some((container, _)) = in_use(&image.id) {
                        return Err(Error::conflict(format!(
                            "conflict: unable to remove repository reference \"{name}\" (must \
                             force) - container {container} is using its referenced image {}",
                            short(&image.id)
                        )));
                    }
                }
                self.untag(key, &mut done);
                self.untag_lone_digests(key, &image.id, &mut done);
                if self.references.names(&image.id).next().is_some() {
                    return Ok(Decision { references: self.references, doomed: Vec::new(), done });
                }
                true
            }
            Meaning::Id => {
                if is_single(&names) {
                    if let Some(obstacle) = self.obstacle(image, force, true, in_use) {
                        return Err(conflict(image, &obstacle));
                    }
                    names.iter().for_each(|name| self.untag(name, &mut done));
                }
                false
            }
        };
        let doomed = self.doom(image, force, prune_parents, by_reference, &mut done, in_use)?;
        Ok(Decision { references: self.references, doomed, done })
    }

    /// Decides which images go: this one, and with `prune_parents` those above it that nothing
    /// needs. When an obstacle is met where only a name was to go, the image stays.
    fn doom(
        &mut self,
        image: &Arc<Image>,
        force: bool,
        prune_parents: bool,
        by_reference: bool,
        done: &mut Vec<Removed>,
        in_use: InUse<'_>,
    ) -> Result<Vec<Arc<Image>>> {
        let mut doomed = Vec::new();
        let (mut next, mut force, mut quiet) = (Some(Arc::clone(image)), force, by_reference);
        while let Some(image) = next.take() {
            if let Some(obstacle) = self.obstacle(&image, force, false, in_use) {
                let named = self.references.names(&image.id).next().is_some();
                if quiet && (obstacle.used || named || self.has_children(&image.id)) {
                    break;
                }
                return Err(conflict(&image, &obstacle));
            }
            let names: Vec<String> = self.references.names(&image.id).cloned().collect();
            names.iter().for_each(|name| self.untag(name, done));
            self.references.forget(&image.id);
            self.families.retain(|(child, _)| *child != image.id);
            done.push(Removed::Deleted(image.id));
            if prune_parents {
                next = image.parent.and_then(|parent| self.images.get(&parent).cloned());
            }
            doomed.push(image);
            (force, quiet) = (false, true);
        }
        Ok(doomed)
    }

    fn untag(&mut self, name: &str, done: &mut Vec<Removed>) {
        self.references.remove(name);
        done.push(Removed::Untagged(name.to_owned()));
    }

    /// When only digests of the same repository are left of an image's names, they go as well.
    fn untag_lone_digests(&mut self, key: &str, image: &Digest, done: &mut Vec<Removed>) {
        let left: Vec<String> = self.references.names(image).cloned().collect();
        let lone = |name: &String| name.contains('@') && repository(name) == repository(key);
        if !key.contains('@') && left.iter().all(lone) {
            left.iter().for_each(|name| self.untag(name, done));
        }
    }

    fn has_children(&self, id: &Digest) -> bool {
        self.families.iter().any(|(_, parent)| parent == id)
    }

    /// What keeps an image. With `force` only what is hard; `named` says that its names may go.
    fn obstacle(
        &self,
        image: &Image,
        force: bool,
        named: bool,
        in_use: InUse<'_>,
    ) -> Option<Obstacle> {
        if self.has_children(&image.id) {
            let why = "image has dependent child images".to_owned();
            return Some(Obstacle { hard: true, used: false, why });
        }
        let user = in_use(&image.id);
        if let Some((container, true)) = &user {
            let why = format!("image is being used by running container {container}");
            return Some(Obstacle { hard: true, used: true, why });
        }
        if force {
            return None;
        }
        if !named && self.references.names(&image.id).next().is_some() {
            let why = "image is referenced in multiple repositories".to_owned();
            return Some(Obstacle { hard: false, used: false, why });
        }
        user.map(|(container, _)| {
            let why = format!("image is being used by stopped container {container}");
            Obstacle { hard: false, used: true, why }
        })
    }
}

fn conflict(image: &Image, obstacle: &Obstacle) -> Error {
    let force = if obstacle.hard { "cannot be forced" } else { "must be forced" };
    let (id, why) = (short(&image.id), &obstacle.why);
    Error::conflict(format!("conflict: unable to delete {id} ({force}) - {why}"))
}

fn short(id: &Digest) -> String {
    id.hex()[..12].to_owned()
}

/// The repository of a stored name.
fn repository(name: &str) -> &str {
    match name.split_once('@') {
        Some((repository, _)) => repository,
        None => name.rsplit_once(':').map_or(name, |(repository, _)| repository),
    }
}

/// Whether names are one tag at most, with digests of its repository alone: what an id may take
/// along.
fn is_single(names: &[String]) -> bool {
    let repositories = names.iter().map(|name| repository(name)).into_set();
    let tags = names.iter().filter(|name| !name.contains('@')).count();
    names.len() <= 1 || (repositories.len() == 1 && tags <= 1)
}
