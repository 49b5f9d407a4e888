//! Removing containers.

use std::path::PathBuf;
use std::sync::Arc;

use super::claim::Claim;
use super::slot::Slot;
use super::wait::last_exit;
use super::{Engine, Patience, RemoveHow};
use crate::base::{Kind, Result, atomic_file, step, tree};
use crate::container::Ask;
use crate::warn;

impl Engine {
    /// Removes a container. Gone from disk on return.
    ///
    /// # Errors
    /// `Conflict` when it runs and `force` is not given.
    pub fn remove(&self, name: &str, how: RemoveHow, patience: Patience<'_>) -> Result<()> {
        // Anonymous volumes do not exist yet, so there are none to be removed or kept.
        let RemoveHow { force, volumes: _ } = how;
        let slot = self.slot(name)?;
        let ask = if force { Ask::ForceRemove } else { Ask::Remove };
        match Claim::take(&slot, ask, name, patience, || self.thaw(&slot)) {
            Ok(claim) => self.discard(claim),
            Err(error) if force && error.kind() == Kind::NotModified => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Takes a claimed container away: one durable rename, then its files are deleted. Who waits
    /// for its end is told when the disk has its room back.
    pub(super) fn discard(&self, claim: Claim) -> Result<()> {
        let slot = Arc::clone(&claim.slot);
        let (code, _) = last_exit(claim.before());
        // Dying before the rename, adopt finds the container as it was; dying after, a `.trash-`
        // directory, which it deletes.
        let trash = self.layout.discard(&slot.id)?;
        step::done("remove.discarded");
        {
            let mut containers = self.containers.lock();
            containers.by_id.remove(&slot.id);
            containers.names.retain(|_, (owner, _)| *owner != slot.id);
        }
        self.images.unpin(&slot.id);
        self.execs.forget(&slot.id);
        delete_all(&[trash]);
        claim.publish(|inner| {
            inner.held.clear();
            self.emit_container("destroy", &inner.record, &[]);
            inner.tell_gone(code);
        });
        Ok(())
    }

    /// Removes a container that asked to be removed at its end, unless a restart is under way or
    /// somebody has started it again.
    pub(super) fn remove_if_automatic(&self, slot: &Arc<Slot>) {
        {
            let inner = slot.lock();
            if !inner.record.host.auto_remove || inner.restarts > 0 {
                return;
            }
        }
        let name = slot.id.as_str();
        let removed = Claim::take(slot, Ask::Remove, name, Patience::default(), || ());
        if let Err(error) = removed.and_then(|claim| self.discard(claim)) {
            // Running again, or somebody else is removing it.
            if !matches!(error.kind(), Kind::Conflict | Kind::NotFound) {
                warn!("remove container {}: {error}", slot.id.short());
            }
        }
    }

    /// Deletes what a daemon that died had begun to make or to delete, on a thread of its own.
    pub(super) fn sweep(&self, rubbish: Vec<PathBuf>) {
        if rubbish.is_empty() {
            return;
        }
        let paths = rubbish.clone();
        if let Err(error) = self.spawn_thread("delete", move || delete_all(&paths)) {
            crate::debug!("{error}; deleting at once");
            delete_all(&rubbish);
        }
    }
}

fn delete_all(paths: &[PathBuf]) {
    for path in paths {
        if let Err(error) = tree::remove(path) {
            warn!("remove {}: {error}; the next start tries again", path.display());
        }
    }
    atomic_file::make_reserve();
    step::done("remove.deleted");
}
