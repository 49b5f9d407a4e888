//! Waiting for the end of a container.

use std::sync::Arc;

use super::slot::{Outcome, Slot};
use super::{Engine, Patience, WaitCondition};
use crate::base::Result;
use crate::container::State;

/// Exit code that is told for a run whose end nobody saw, as Docker does after a crash.
pub const UNKNOWN_CODE: i32 = 255;

/// A wait that has been registered: nothing that happens from now on is missed.
pub struct Waiter {
    slot: Arc<Slot>,
    outcome: Arc<Outcome>,
}

impl Waiter {
    /// Blocks until it has come about: exit code, and why the program could not be started.
    ///
    /// # Errors
    /// `ClientGone`, `TimedOut`.
    pub fn wait(self, patience: Patience<'_>) -> Result<(i32, Option<String>)> {
        self.outcome.get(patience)
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let is_ours = |other: &Arc<Outcome>| Arc::ptr_eq(other, &self.outcome);
        self.slot.lock().waiters.retain(|(_, other)| !is_ours(other));
    }
}

impl Engine {
    /// Registers a wait.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn wait(&self, name: &str, condition: WaitCondition) -> Result<Waiter> {
        let slot = self.slot(name)?;
        let outcome = Arc::new(Outcome::new()?);
        let mut inner = slot.lock();
        let over = match condition {
            WaitCondition::NotRunning => {
                use State::{Restarting, Running, Starting};
                !matches!(inner.state, Running { .. } | Starting | Restarting { .. })
            }
            WaitCondition::NextExit => false,
            WaitCondition::Removed => inner.gone,
        };
        if over || inner.gone {
            let (code, error) = last_exit(&inner.state);
            outcome.set(code, error);
        } else {
            inner.waiters.push((condition, Arc::clone(&outcome)));
        }
        drop(inner);
        Ok(Waiter { slot, outcome })
    }
}

/// Code and failure of the last run; zero when there was none.
pub(super) fn last_exit(state: &State) -> (i32, Option<String>) {
    match state {
        State::Created { code, error } => (*code, error.clone()),
        State::Exited { code, error, .. } | State::Restarting { code, error, .. } => {
            (code.unwrap_or(UNKNOWN_CODE), error.clone())
        }
        State::Starting | State::Running { .. } | State::Removing => (0, None),
    }
}
