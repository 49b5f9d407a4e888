//! One container in memory, and how others wait for what happens to it.
//!
//! - The slot's lock is held for memory work only. Who waits does so on an eventfd of its own,
//!   beside the socket of its client; every change rings all of them.
//! - `exits` counts the ends of runs: who waits for the end of this run sees it even when the
//!   next run has begun before it looked.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::{Arc, MutexGuard};
use std::time::Instant;

use super::{Attacher, Patience, Snapshot, WaitCondition};
use crate::base::{Context, Error, Id, Kind, Lock, Result, guard};
use crate::container::{Activity, Layout, Record, State};
use crate::model::{Attachment, Health};
use crate::runtime::handle::Handle;
use crate::sys::poll::{self, EventFd, Interest};

/// A container.
pub(super) struct Slot {
    pub(super) id: Id,
    inner: Lock<Inner>,
    /// Orders writes of the record; the only lock that is held while a disk is waited for.
    save: Lock<()>,
}

/// What a container's lock protects.
pub(super) struct Inner {
    pub(super) record: Arc<Record>,
    pub(super) state: State,
    /// A stop is under way.
    pub(super) stop: Option<Stop>,
    /// The monitor of the run that is under way.
    pub(super) monitor: Option<Arc<Handle>>,
    /// The places on networks that the run has.
    pub(super) networks: Arc<[Attachment]>,
    /// Attachers who wait for the next run.
    pub(super) held: Vec<Attacher>,
    pub(super) waiters: Vec<(WaitCondition, Arc<Outcome>)>,
    pub(super) exits: u64,
    /// The freezer has been asked and has not answered yet.
    pub(super) freezing: bool,
    /// Its limits are being changed.
    pub(super) updating: bool,
    /// What health checks have come to since the last start; none where there are no checks.
    pub(super) health: Option<Arc<Health>>,
    /// The run that is under way has been sent SIGKILL.
    pub(super) killed: bool,
    /// The user wants the run that is under way to end: no policy starts the container again.
    pub(super) unwanted: bool,
    /// Starts in a row by the restart policy after short runs.
    pub(super) attempts: u32,
    /// A restart is under way: the end of the run does not remove the container.
    pub(super) restarts: u32,
    /// No longer among the containers.
    pub(super) gone: bool,
    bells: Vec<Arc<EventFd>>,
}

/// A stop that is under way.
pub(super) struct Stop {
    /// When it kills; never when `None`. Joining stops may bring it forward.
    pub(super) kill_at: Option<Instant>,
}

/// What a registered wait gets to know.
pub(super) struct Outcome {
    result: Lock<Option<(i32, Option<String>)>>,
    bell: EventFd,
}

impl Slot {
    pub(super) fn new(record: Arc<Record>, state: State) -> Slot {
        let id = record.id.clone();
        let inner = Inner {
            record,
            state,
            stop: None,
            monitor: None,
            networks: Arc::default(),
            held: Vec::new(),
            waiters: Vec::new(),
            exits: 0,
            freezing: false,
            updating: false,
            health: None,
            killed: false,
            unwanted: false,
            attempts: 0,
            restarts: 0,
            gone: false,
            bells: Vec::new(),
        };
        Slot { id, inner: Lock::new(inner), save: Lock::new(()) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock()
    }

    /// The container as it is now.
    pub(super) fn snapshot(&self) -> Snapshot {
        let inner = self.lock();
        Snapshot {
            record: Arc::clone(&inner.record),
            state: inner.state.clone(),
            networks: Arc::clone(&inner.networks),
            health: inner.health.clone(),
        }
    }

    /// The record as it is now.
    pub(super) fn record(&self) -> Arc<Record> {
        Arc::clone(&self.lock().record)
    }

    /// Changes the record, on disk first and then for all to see.
    ///
    /// # Errors
    /// Those of the disk; the record is then as it was.
    pub(super) fn save(&self, layout: &Layout, change: impl FnOnce(&mut Record)) -> Result<()> {
        let _ordered = self.save.lock();
        let mut record = (*self.record()).clone();
        change(&mut record);
        layout.write(&record)?;
        self.lock().record = Arc::new(record);
        Ok(())
    }

    /// Blocks until `ready` gives something. It is asked at once, and again after each change.
    ///
    /// Ends early when `patience` does.
    pub(super) fn watch<T>(
        &self,
        patience: Patience<'_>,
        mut ready: impl FnMut(&mut Inner) -> Option<T>,
    ) -> Result<T> {
        if let Some(found) = ready(&mut self.lock()) {
            return Ok(found);
        }
        let bell = Arc::new(new_bell()?);
        self.lock().bells.push(Arc::clone(&bell));
        let _silence = guard((), |()| {
            self.lock().bells.retain(|other| !Arc::ptr_eq(other, &bell));
        });
        loop {
            bell.drain();
            if let Some(found) = ready(&mut self.lock()) {
                return Ok(found);
            }
            patience.wait_for(&bell)?;
        }
    }
}

impl Inner {
    pub(super) fn activity(&self) -> Activity {
        if self.gone { Activity::Gone } else { self.state.activity(self.stop.is_some()) }
    }

    /// Wakes all who watch. To be called after every change that somebody may wait for.
    pub(super) fn changed(&self) {
        for bell in &self.bells {
            bell.notify();
        }
    }

    /// Tells the end of a run to those who wait for it.
    pub(super) fn tell_exit(&mut self, code: i32, error: Option<&str>) {
        self.exits += 1;
        self.tell(code, error, |condition| condition != WaitCondition::Removed);
    }

    /// Tells those who still wait that the container is gone, with the code of its last run.
    pub(super) fn tell_gone(&mut self, code: i32) {
        self.gone = true;
        self.tell(code, None, |_| true);
    }

    fn tell(&mut self, code: i32, error: Option<&str>, whom: impl Fn(WaitCondition) -> bool) {
        self.waiters.retain(|(condition, outcome)| {
            if whom(*condition) {
                outcome.set(code, error.map(str::to_owned));
            }
            !whom(*condition)
        });
        self.changed();
    }
}

impl Outcome {
    pub(super) fn new() -> Result<Outcome> {
        Ok(Outcome { result: Lock::new(None), bell: new_bell()? })
    }

    /// Makes it known.
    pub(super) fn set(&self, code: i32, error: Option<String>) {
        *self.result.lock() = Some((code, error));
        self.bell.notify();
    }

    /// Blocks until it is known.
    pub(super) fn get(&self, patience: Patience<'_>) -> Result<(i32, Option<String>)> {
        loop {
            self.bell.drain();
            if let Some(known) = self.result.lock().clone() {
                return Ok(known);
            }
            patience.wait_for(&self.bell)?;
        }
    }
}

impl AsFd for Outcome {
    /// Readable as soon as it is known, as long as nobody has asked for it.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

fn new_bell() -> Result<EventFd> {
    EventFd::new().context(|| "make an eventfd".into())
}

impl Patience<'_> {
    /// Blocks until `bell` rings.
    ///
    /// # Errors
    /// `TimedOut` at the deadline, `ClientGone` when the client has gone.
    pub(super) fn wait_for(&self, bell: &EventFd) -> Result<()> {
        let mut fds = vec![(bell.as_fd(), Interest::READ)];
        if let Some(client) = self.client {
            fds.push((client, poll::hang_up_interest(client)));
        }
        let ready = poll::wait(&fds, self.deadline).context(|| "wait".into())?;
        if ready[0].any() {
            return Ok(());
        }
        match ready.get(1) {
            Some(client) if client.any() => {
                Err(Error::new(Kind::ClientGone, "the client has gone"))
            }
            _ => Err(Error::new(Kind::TimedOut, "the time to wait is over")),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    use super::*;
    use crate::engine::tests::record;

    fn slot() -> Arc<Slot> {
        let state = State::Created { code: 0, error: None };
        Arc::new(Slot::new(Arc::new(record("web")), state))
    }

    #[test]
    fn a_watch_sees_each_change_and_leaves_no_bell_behind() {
        let slot = slot();
        let other = Arc::clone(&slot);
        let thread = std::thread::spawn(move || {
            other.watch(Patience::default(), |inner| (inner.exits == 3).then_some(inner.exits))
        });
        for _ in 0..3 {
            slot.lock().tell_exit(0, None);
        }
        assert_eq!(thread.join().unwrap().unwrap(), 3);
        assert!(slot.lock().bells.is_empty());
    }

    #[test]
    fn a_watch_ends_with_its_deadline_or_its_client() {
        let slot = slot();
        let late =
            Patience { deadline: Some(Instant::now() + Duration::from_millis(5)), client: None };
        assert_eq!(slot.watch(late, |_| None::<()>).unwrap_err().kind(), Kind::TimedOut);
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(theirs);
        let left = Patience { deadline: None, client: Some(ours.as_fd()) };
        assert_eq!(slot.watch(left, |_| None::<()>).unwrap_err().kind(), Kind::ClientGone);
    }

    #[test]
    fn waiters_get_the_end_that_they_wait_for() {
        let slot = slot();
        let register = |condition| {
            let outcome = Arc::new(Outcome::new().unwrap());
            slot.lock().waiters.push((condition, Arc::clone(&outcome)));
            outcome
        };
        let next = register(WaitCondition::NextExit);
        let removed = register(WaitCondition::Removed);
        slot.lock().tell_exit(3, Some("why"));
        slot.lock().tell_exit(4, None);
        assert_eq!(next.get(Patience::default()).unwrap(), (3, Some("why".into())));
        slot.lock().tell_gone(4);
        assert_eq!(removed.get(Patience::default()).unwrap(), (4, None));
        assert!(slot.lock().waiters.is_empty());
    }
}
