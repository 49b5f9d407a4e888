//! Freezing a container's processes and letting them go on.
//!
//! - The freezer is asked without a lock; `freezing` keeps a second one, and signals that need the
//!   processes thawed, waiting meanwhile.
//! - What is frozen cannot die: whoever sends a signal that is to end the program thaws it, and
//!   nothing is frozen once it was sent SIGKILL.

use std::sync::Arc;

use super::slot::{Inner, Slot};
use super::{Engine, Patience};
use crate::base::{Error, Result, guard};
use crate::container::State;
use crate::warn;

impl Engine {
    /// Stops all processes of a container where they stand.
    ///
    /// # Errors
    /// `Conflict` when it does not run or is frozen already; `NotImplemented` without a freezer.
    pub fn pause(&self, name: &str, patience: Patience<'_>) -> Result<()> {
        self.set_paused(&self.slot(name)?, true, patience)
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// `Conflict` when it does not run or is not frozen.
    pub fn unpause(&self, name: &str, patience: Patience<'_>) -> Result<()> {
        self.set_paused(&self.slot(name)?, false, patience)
    }

    /// Lets a container go on that has been sent its last signal. Nothing happens to one that is
    /// not frozen.
    pub(super) fn thaw(&self, slot: &Arc<Slot>) {
        let paused = |inner: &mut Inner| {
            (!inner.freezing).then_some(matches!(inner.state, State::Running { paused: true, .. }))
        };
        // Freezing has a deadline of its own.
        if slot.watch(Patience::default(), paused).unwrap_or(false) {
            if let Err(error) = self.set_paused(slot, false, Patience::default()) {
                crate::debug!("thaw container {}: {error}", slot.id.short());
            }
        }
    }

    fn set_paused(&self, slot: &Arc<Slot>, wanted: bool, patience: Patience<'_>) -> Result<()> {
        let exits = slot.watch(patience, |inner| {
            (!inner.freezing).then(|| {
                check(inner, wanted)?;
                inner.freezing = true;
                Ok::<_, Error>(inner.exits)
            })
        })??;
        let _over = guard((), |()| {
            let mut inner = slot.lock();
            inner.freezing = false;
            inner.changed();
        });
        // Dying in here, adopt asks the monitor which of the two it has become.
        let frozen = self.cgroups.freeze(&slot.id, wanted);
        let mut guarded = slot.lock();
        let inner = &mut *guarded;
        match &mut inner.state {
            State::Running { paused, .. } if inner.exits == exits => {
                frozen?;
                *paused = wanted;
                let action = if wanted { "pause" } else { "unpause" };
                self.emit_container(action, &inner.record, &[]);
                inner.changed();
                Ok(())
            }
            _ => {
                drop(guarded);
                // The run ended meanwhile; if the next one has begun, it was not meant.
                if wanted && frozen.is_ok() {
                    if let Err(error) = self.cgroups.freeze(&slot.id, false) {
                        warn!("thaw container {}: {error}", slot.id.short());
                    }
                }
                Err(not_running(slot))
            }
        }
    }
}

/// Whether it can be frozen, or thawed, now.
fn check(inner: &Inner, wanted: bool) -> Result<()> {
    let id = &inner.record.id;
    match inner.state {
        State::Running { paused: true, .. } if wanted => {
            Err(Error::conflict(format!("Container {id} is already paused")))
        }
        State::Running { paused: false, .. } if !wanted => {
            Err(Error::conflict(format!("Container {id} is not paused")))
        }
        State::Running { .. } if wanted && (inner.killed || inner.stop.is_some()) => {
            Err(Error::conflict(format!("Container {id} is being stopped")))
        }
        State::Running { .. } => Ok(()),
        State::Restarting { .. } if wanted => Err(Error::conflict(format!(
            "Container {id} is restarting, wait until the container is running"
        ))),
        _ if wanted => Err(Error::conflict(format!("Container {id} is not running"))),
        _ => Err(Error::conflict(format!("Container {id} is not paused"))),
    }
}

fn not_running(slot: &Slot) -> Error {
    Error::conflict(format!("Container {} is not running", slot.id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;
    use crate::engine::tests::record;

    #[test]
    fn what_runs_can_be_frozen_unless_it_is_dying() {
        let running = |paused| State::Running { since: Timestamp::ZERO, pid: 1, paused };
        let slot = Slot::new(Arc::new(record("web")), running(false));
        let mut inner = slot.lock();
        assert!(check(&inner, true).is_ok());
        let text = |inner: &Inner, wanted| check(inner, wanted).unwrap_err().to_string();
        let id = slot.id.to_string();
        assert_eq!(text(&inner, false), format!("Container {id} is not paused"));
        inner.state = running(true);
        assert_eq!(text(&inner, true), format!("Container {id} is already paused"));
        assert!(check(&inner, false).is_ok());
        inner.state = running(false);
        inner.killed = true;
        assert_eq!(text(&inner, true), format!("Container {id} is being stopped"));
        inner.state = State::Created { code: 0, error: None };
        assert_eq!(text(&inner, true), format!("Container {id} is not running"));
    }
}
