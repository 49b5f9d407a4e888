//! Claim, work, publish: how long operations on one container keep out of each other's way.
//!
//! A claim puts the container into `Starting` or `Removing`, as the table in
//! `container::state` allows; the work runs without a lock; publishing shows what came of it. A
//! claim that is dropped before that restores the state of before.

use std::sync::Arc;
use std::time::Duration;

use super::Patience;
use super::policy::called_off;
use super::slot::{Inner, Slot};
use crate::base::{Error, Kind, Result};
use crate::container::{Ask, Record, State, Verdict};
use crate::model::Signal;
use crate::runtime::handle::Handle;

/// The right to work on a container.
pub(super) struct Claim {
    pub(super) slot: Arc<Slot>,
    /// The state to go back to.
    before: Option<State>,
}

impl Claim {
    /// Claims the container for `ask`, one of `Start`, `StartAgain`, `Remove`, `ForceRemove`. What has to be
    /// killed for it is sent SIGKILL; `after_kill` is called after that.
    ///
    /// # Errors
    /// As the table says; `ClientGone` and `TimedOut` while waiting.
    pub(super) fn take(
        slot: &Arc<Slot>,
        ask: Ask,
        name: &str,
        patience: Patience<'_>,
        after_kill: impl Fn(),
    ) -> Result<Claim> {
        let working = match ask {
            Ask::Start | Ask::StartAgain => State::Starting,
            _ => State::Removing,
        };
        let mut killed = None;
        loop {
            // What is to be done about it is decided under the lock and done without it.
            let step = slot.watch(patience, |inner| match inner.activity().verdict(ask) {
                Verdict::Claim => {
                    let before = std::mem::replace(&mut inner.state, working.clone());
                    inner.changed();
                    Some(Ok(Step::Claimed(before)))
                }
                Verdict::KillAndWait if killed == Some(inner.exits) => None,
                Verdict::KillAndWait => {
                    killed = Some(inner.exits);
                    inner.killed = true;
                    inner.unwanted = true;
                    inner.monitor.clone().map(|monitor| Ok(Step::Kill(monitor)))
                }
                Verdict::Wait => None,
                verdict => Some(Err(refusal(verdict, name, inner))),
            })??;
            match step {
                Step::Claimed(before) => {
                    return Ok(Claim { slot: Arc::clone(slot), before: Some(before) });
                }
                Step::Kill(monitor) => {
                    // Ended already is as good; a monitor that does not answer is forced.
                    if monitor.signal(Signal::KILL).is_err() {
                        monitor.kill(Duration::from_secs(10));
                    }
                    after_kill();
                }
            }
        }
    }

    /// The container's record.
    pub(super) fn record(&self) -> Arc<Record> {
        self.slot.record()
    }

    /// The state before the claim.
    pub(super) fn before(&self) -> &State {
        self.before.as_ref().expect("a claim has its state of before until it is published")
    }

    /// Shows what came of the work, and ends the claim.
    pub(super) fn publish(mut self, show: impl FnOnce(&mut Inner)) {
        self.before = None;
        let mut inner = self.slot.lock();
        show(&mut inner);
        inner.changed();
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some(before) = self.before.take() {
            let mut inner = self.slot.lock();
            // Who was to start it again has seen the claim and left.
            inner.state = called_off(&before);
            inner.changed();
        }
    }
}

enum Step {
    Claimed(State),
    Kill(Arc<Handle>),
}

/// The error for a verdict that lets nothing be done.
pub(super) fn refusal(verdict: Verdict, name: &str, inner: &Inner) -> Error {
    let id = &inner.record.id;
    match verdict {
        Verdict::Already => Error::new(Kind::NotModified, format!("container {id} already is so")),
        Verdict::NotRunning => Error::conflict(format!("container {id} is not running")),
        Verdict::StillRunning => {
            let why = match inner.state {
                State::Running { paused: true, .. } => "is paused and must be unpaused first",
                State::Restarting { .. } => {
                    "is restarting: stop the container before removing or force remove"
                }
                _ => "is running: stop the container before removing or force remove",
            };
            Error::conflict(format!("cannot remove container \"{name}\": container {why}"))
        }
        Verdict::BeingRemoved => {
            Error::conflict(format!("removal of container {name} is already in progress"))
        }
        Verdict::NoSuch => Error::no_such("container", name),
        Verdict::Claim
        | Verdict::Wait
        | Verdict::Join
        | Verdict::Deliver
        | Verdict::CallOff
        | Verdict::KillAndWait => {
            Error::internal(format!("container {name}: {verdict:?} is no refusal"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;
    use crate::engine::tests::record;

    fn slot(state: State) -> Arc<Slot> {
        Arc::new(Slot::new(Arc::new(record("web")), state))
    }

    fn created() -> State {
        State::Created { code: 0, error: None }
    }

    fn running() -> State {
        State::Running { since: Timestamp::ZERO, pid: 1, paused: false }
    }

    fn take(slot: &Arc<Slot>, ask: Ask) -> Result<Claim> {
        Claim::take(slot, ask, "web", Patience::default(), || ())
    }

    #[test]
    fn a_claim_that_is_dropped_restores_the_state() {
        let slot = slot(created());
        let claim = take(&slot, Ask::Start).unwrap();
        assert_eq!(slot.snapshot().state, State::Starting);
        drop(claim);
        assert_eq!(slot.snapshot().state, created());
        take(&slot, Ask::Remove).unwrap().publish(|inner| inner.tell_gone(0));
        assert_eq!(take(&slot, Ask::Start).err().unwrap().kind(), Kind::NotFound);
        assert_eq!(take(&slot, Ask::ForceRemove).err().unwrap().kind(), Kind::NotModified);
    }

    #[test]
    fn two_starts_one_claims_the_other_waits_and_finds_it_running() {
        let slot = slot(created());
        let claim = take(&slot, Ask::Start).unwrap();
        let other = Arc::clone(&slot);
        let thread = std::thread::spawn(move || take(&other, Ask::Start).err().unwrap().kind());
        claim.publish(|inner| inner.state = running());
        assert_eq!(thread.join().unwrap(), Kind::NotModified);
    }

    #[test]
    fn of_many_starts_after_failures_each_gets_its_turn() {
        let slot = slot(created());
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let slot = Arc::clone(&slot);
                std::thread::spawn(move || drop(take(&slot, Ask::Start).unwrap()))
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(slot.snapshot().state, created());
    }

    #[test]
    fn removal_of_a_running_container_is_refused_in_dockers_words() {
        let slot = slot(running());
        let error = take(&slot, Ask::Remove).err().unwrap();
        assert_eq!(
            error.to_string(),
            "cannot remove container \"web\": container is running: stop the container before \
             removing or force remove"
        );
        let slot = self::slot(created());
        let _claim = take(&slot, Ask::Remove).unwrap();
        assert_eq!(
            take(&slot, Ask::Remove).err().unwrap().to_string(),
            "removal of container web is already in progress"
        );
    }
}
