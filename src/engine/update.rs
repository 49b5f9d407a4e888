//! Changing the limits and the restart policy of a container, running or not.
//!
//! - On record first, then to the kernel: a start that is under way meanwhile may have made the
//!   cgroups by the record of before, and gets the new limits once it runs.
//! - What the kernel refuses is taken back.

use std::sync::Arc;

use super::create::unsupported;
use super::slot::{Inner, Slot};
use super::{Engine, Patience};
use crate::base::{Context, Error, Result, guard};
use crate::container::{Activity, Change, limits};
use crate::model::HostConfig;
use crate::runtime::launch::Launch;
use crate::warn;

impl Engine {
    /// Changes limits and restart policy. Returns what could not be honoured, as sentences.
    ///
    /// # Errors
    /// `BadParameter` for limits that make no sense, `Conflict` for those that contradict others
    /// or when it is being removed; those of the kernel, after which all is as before.
    pub fn update(
        &self,
        name: &str,
        change: &Change,
        patience: Patience<'_>,
    ) -> Result<Vec<String>> {
        let slot = self.slot(name)?;
        let cannot = || format!("Cannot update container {}", slot.id);
        slot.watch(patience, |inner| {
            (!inner.updating).then(|| {
                check(inner, name).context(cannot)?;
                inner.updating = true;
                Ok::<_, Error>(())
            })
        })??;
        let _over = guard((), |()| {
            let mut inner = slot.lock();
            inner.updating = false;
            inner.changed();
        });
        let before = slot.record().host.clone();
        let after = change.apply(&before).context(cannot)?;
        limits::check(&after, self.cpus)?;
        slot.save(&self.layout, |record| record.host = after.clone())?;
        // Dying from here on, the next start of the container has the new limits, and nobody has
        // been told of them.
        let limited = self.limit(&slot, &after);
        if limited.is_err() {
            self.take_limits_back(&slot, before);
        }
        limited.context(cannot)?;
        self.emit_container("update", &slot.record(), &[]);
        Ok(unsupported(self.cgroups.support(), &after))
    }

    /// Tells the kernel, if the container runs; waits for a start that is under way.
    fn limit(&self, slot: &Arc<Slot>, host: &HostConfig) -> Result<()> {
        let runs = slot.watch(Patience::default(), |inner| match inner.activity() {
            Activity::Starting => None,
            activity => Some(matches!(activity, Activity::Running | Activity::Stopping)),
        })?;
        if !runs {
            return Ok(());
        }
        let update = self.cgroups.update(&slot.id, host);
        match update.and_then(|dirs| Launch::set_cgroups(&self.run_dir(&slot.id), dirs)) {
            // It has ended meanwhile, and its cgroups have gone with it.
            Err(_) if !slot.snapshot().state.is_running() => Ok(()),
            result => result,
        }
    }

    fn take_limits_back(&self, slot: &Arc<Slot>, before: HostConfig) {
        if let Err(error) = self.limit(slot, &before) {
            crate::debug!("take the limits of container {} back: {error}", slot.id.short());
        }
        if let Err(error) = slot.save(&self.layout, |record| record.host = before) {
            warn!("{error}; its next start will have limits that were refused");
        }
    }
}

fn check(inner: &Inner, name: &str) -> Result<()> {
    match inner.activity() {
        Activity::Gone => Err(Error::no_such("container", name)),
        Activity::Removing => {
            Err(Error::conflict("container is marked for removal and cannot be \"update\""))
        }
        _ => Ok(()),
    }
}
