//! What nobody needs any more, and how much room everything takes.

use std::collections::HashMap;

use super::{Engine, Filters, ListQuery, Patience, Snapshot, filter};
use crate::base::{Digest, Id, Kind, Result};
use crate::container::{Ask, State};
use crate::sys::poll;

use super::claim::Claim;

const FILTERS: &[&str] = &["label", "label!", "until"];

/// What a `prune` has done.
#[derive(Debug, Clone, Default)]
pub struct Pruned {
    /// What it has removed.
    pub ids: Vec<Id>,
    /// Bytes of files that are gone.
    pub reclaimed: u64,
}

/// How an image shares the room that it takes.
#[derive(Debug, Clone, Copy, Default)]
pub struct ImageUsage {
    /// Containers that are made of it.
    pub containers: usize,
    /// Bytes of layers that other images have, too.
    pub shared: u64,
}

impl Engine {
    /// Removes all containers that do not run, as far as the filters `label`, `label!` and
    /// `until` choose them. One that somebody starts or removes meanwhile is passed over.
    ///
    /// # Errors
    /// `BadParameter` for a filter; `ClientGone`; those of a removal.
    pub fn prune_containers(&self, filters: &Filters, patience: Patience<'_>) -> Result<Pruned> {
        filter::check_keys(filters, FILTERS)?;
        let until = filter::until(filters)?;
        let mut pruned = Pruned::default();
        for Snapshot { record, state, .. } in self.snapshots() {
            let at_rest = matches!(state, State::Created { .. } | State::Exited { .. });
            let labels = &record.config.labels;
            let chosen = until.is_none_or(|until| record.created <= until)
                && filter::has_labels(filters, "label", labels)
                && !(filters.contains_key("label!")
                    && filter::has_labels(filters, "label!", labels));
            if !at_rest || !chosen {
                continue;
            }
            if patience.client.is_some_and(poll::hung_up) {
                break;
            }
            let id = &record.id;
            let removed = self.slot(id.as_str()).and_then(|slot| {
                let claim = Claim::take(&slot, Ask::Remove, id.as_str(), patience, || ())?;
                let (size, _) = self.size(id.as_str())?;
                self.discard(claim).map(|()| size)
            });
            match removed {
                Ok(size) => {
                    pruned.ids.push(id.clone());
                    pruned.reclaimed += size;
                }
                Err(error) if matches!(error.kind(), Kind::Conflict | Kind::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        self.emit_prune("container", pruned.reclaimed);
        Ok(pruned)
    }

    /// Bytes of the files of all layers, each counted once.
    pub fn layers_size(&self) -> u64 {
        self.images.layers_size()
    }

    /// What each image shares and who uses it.
    pub fn image_usage(&self) -> HashMap<Digest, ImageUsage> {
        let images = self.images.list();
        let mut holders: HashMap<Digest, usize> = HashMap::new();
        for image in &images {
            let mut own: Vec<Digest> = image.layers.iter().map(|layer| layer.diff_id).collect();
            own.sort_unstable();
            own.dedup();
            for layer in own {
                *holders.entry(layer).or_default() += 1;
            }
        }
        let mut usage: HashMap<Digest, ImageUsage> = HashMap::new();
        for image in &images {
            let shared = image.layers.iter().filter(|layer| holders[&layer.diff_id] > 1);
            let shared = shared.map(|layer| layer.size).sum();
            usage.insert(image.id, ImageUsage { containers: 0, shared });
        }
        for (_, image) in self.containers.lock().names.values() {
            usage.entry(*image).or_default().containers += 1;
        }
        usage
    }

    /// All containers, newest first.
    ///
    /// # Errors
    /// None.
    pub fn all_containers(&self) -> Result<Vec<Snapshot>> {
        self.list(&ListQuery { all: true, ..ListQuery::default() })
    }
}
