//! Images as users see them: list, import, tag, remove. The store does the work.

use std::io::Read;
use std::sync::Arc;

use super::{Engine, Filters, filter};
use crate::base::{Digest, Result, Timestamp, atomic_file};
use crate::image::{Image, ImportSpec, Removed};
use crate::model::Reference;

const FILTERS: &[&str] = &["before", "dangling", "label", "reference", "since", "until"];

impl Engine {
    /// Images, newest first. Filters: `dangling label before since until reference`.
    ///
    /// # Errors
    /// `BadParameter` for an unknown filter.
    pub fn images(&self, filters: &Filters) -> Result<Vec<Arc<Image>>> {
        let invalid = filter::invalid;
        filter::check_keys(filters, FILTERS)?;
        let values = |key: &str| filters.get(key).map_or(&[][..], Vec::as_slice);
        let created = |key: &str| -> Result<Vec<Timestamp>> {
            let made =
                |name: &String| Ok(self.images.get(name)?.created.unwrap_or(Timestamp::ZERO));
            values(key).iter().map(made).collect()
        };
        let (before, since) = (created("before")?, created("since")?);
        let until = filter::until(filters)?;
        let mut dangling = Vec::new();
        for text in values("dangling") {
            dangling.push(match text.as_str() {
                "true" | "1" => true,
                "false" | "0" => false,
                _ => return Err(invalid(&format!("dangling={text}"))),
            });
        }
        let keeps = |image: &Arc<Image>| {
            let at = image.created.unwrap_or(Timestamp::ZERO);
            let names = self.images.names(&image.id);
            let any = |key: &str, fits: &dyn Fn(&str) -> bool| {
                values(key).is_empty() || values(key).iter().any(|value| fits(value))
            };
            (before.is_empty() || before.iter().any(|other| at < *other))
                && (since.is_empty() || since.iter().any(|other| at > *other))
                && until.is_none_or(|until| at < until)
                && (dangling.is_empty() || dangling.contains(&names.is_empty()))
                && filter::has_labels(filters, "label", &image.config.labels)
                && any("reference", &|pattern| names.iter().any(|name| refers(pattern, name)))
        };
        Ok(self.images.list().into_iter().filter(keeps).collect())
    }

    /// The image that `name` means.
    ///
    /// # Errors
    /// `No such image: NAME`.
    pub fn image(&self, name: &str) -> Result<Arc<Image>> {
        self.images.get(name)
    }

    /// `repo:tag` names of an image, sorted.
    pub fn image_names(&self, id: &Digest) -> Vec<String> {
        self.images.names(id)
    }

    /// Those of [`Engine::image_names`] that a list with these filters shows: with patterns of
    /// references, the matching ones alone.
    pub fn listed_names(&self, id: &Digest, filters: &Filters) -> Vec<String> {
        let mut names = self.image_names(id);
        if let Some(patterns) = filters.get("reference") {
            names.retain(|name| patterns.iter().any(|pattern| refers(pattern, name)));
        }
        names
    }

    /// Number of containers that use an image.
    pub fn image_users(&self, id: &Digest) -> usize {
        self.containers.lock().names.values().filter(|(_, image)| image == id).count()
    }

    /// Imports a tar.
    ///
    /// # Errors
    /// Those of [`crate::image::Store::import`].
    pub fn import(
        &self,
        tar: &mut dyn Read,
        spec: &ImportSpec,
        arrived: &dyn Fn(u64),
    ) -> Result<Arc<Image>> {
        let image = self.images.import(tar, spec, arrived)?;
        let name =
            spec.reference.as_ref().map_or_else(|| image.id.to_string(), Reference::to_string);
        self.emit_image("import", &image.id.to_string(), &name);
        Ok(image)
    }

    /// Names an image.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn tag(&self, name: &str, reference: &Reference) -> Result<()> {
        let image = self.images.get(name)?;
        self.images.tag(&image.id, reference)?;
        self.emit_image("tag", &image.id.to_string(), &reference.to_string());
        Ok(())
    }

    /// Takes a name away and leaves the image, even without any.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn untag(&self, image: &Image, name: &str) -> Result<()> {
        self.images.untag(name)?;
        self.emit_image("untag", &image.id.to_string(), name);
        Ok(())
    }

    /// Removes an image as `rmi` does.
    ///
    /// # Errors
    /// `NotFound`, `Conflict`.
    pub fn remove_image(&self, name: &str, force: bool, prune: bool) -> Result<Vec<Removed>> {
        let image = self.images.get(name)?;
        let removed = self.images.remove(name, force, prune, &|id| self.image_user(id))?;
        atomic_file::make_reserve();
        for step in &removed {
            match step {
                Removed::Untagged(reference) => {
                    self.emit_image("untag", &image.id.to_string(), reference);
                }
                // Layers are deleted with their image and are nobody's event.
                Removed::Deleted(id) if *id == image.id || Some(*id) == image.parent => {
                    self.emit_image("delete", &id.to_string(), &id.to_string());
                }
                Removed::Deleted(_) => {}
            }
        }
        Ok(removed)
    }

    /// A container that keeps an image: its short id, and whether it runs. Running ones first.
    fn image_user(&self, image: &Digest) -> Option<(String, bool)> {
        // One that is being made has a name and is in no list yet.
        let made = {
            let containers = self.containers.lock();
            containers.names.values().find(|(_, used)| used == image).map(|(id, _)| id.clone())
        };
        let running =
            self.snapshots().into_iter().find(|s| s.record.image == *image && s.state.is_running());
        match running {
            Some(snapshot) => Some((snapshot.record.id.short().to_owned(), true)),
            None => made.map(|id| (id.short().to_owned(), false)),
        }
    }
}

/// Whether a pattern `repo[:tag]` with `*` and `?` means `name`; without a tag it means all tags.
/// As with file names, a `*` does not cross a slash.
fn refers(pattern: &str, name: &str) -> bool {
    let repository = name.rsplit_once(':').map_or(name, |(repository, _)| repository);
    glob(pattern.as_bytes(), name.as_bytes()) || glob(pattern.as_bytes(), repository.as_bytes())
}

fn glob(pattern: &[u8], text: &[u8]) -> bool {
    // The last star and what it had taken: on a mismatch it takes one byte more.
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if *byte == text[t] || (*byte == b'?' && text[t] != b'/') => {
                (p, t) = (p + 1, t + 1);
            }
            _ => match star {
                Some((at, taken)) if text[taken] != b'/' => {
                    star = Some((at, taken + 1));
                    (p, t) = (at + 1, taken + 1);
                }
                _ => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reference_patterns_match_as_file_names_do() {
        let check = |pattern: &str, name: &str, expected: bool| {
            assert_eq!(refers(pattern, name), expected, "{pattern} {name}");
        };
        check("busybox", "busybox:1.36", true);
        check("busybox:1.36", "busybox:1.36", true);
        check("busybox:1", "busybox:1.36", false);
        check("busy*", "busybox:1.36", true);
        check("*", "me/app:x", false);
        check("*/*", "me/app:x", true);
        check("me/a?p", "me/app:x", true);
        check("*:x", "app:x", true);
        check("a*b*c", "aXbYbZc", true);
        check("a*b*c", "aXbYbZ", false);
    }
}
