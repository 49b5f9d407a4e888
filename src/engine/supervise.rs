//! Seeing a run through to its end: one small thread per running container, blocked in its
//! monitor's word.

use std::sync::{Arc, Condvar};
use std::time::{Duration, Instant};

use super::Engine;
use super::adopt::{lost, settle};
use super::slot::Slot;
use super::wait::last_exit;
use crate::base::guard::guard;
use crate::base::{Lock, Timestamp, step};
use crate::container::{DiskState, State};
use crate::runtime::handle::{Handle, read_exit};
use crate::warn;

/// How many runs are being ended.
#[derive(Default)]
pub(super) struct Endings {
    open: Lock<usize>,
    none: Condvar,
}

impl Endings {
    /// Counts one until the guard is dropped.
    fn begin(&self) -> impl Drop + '_ {
        *self.open.lock() += 1;
        guard(self, |endings| {
            let mut open = endings.open.lock();
            *open -= 1;
            if *open == 0 {
                endings.none.notify_all();
            }
        })
    }

    /// Whether there was a moment without any within `time`.
    fn wait_for_none(&self, time: Duration) -> bool {
        let deadline = Instant::now() + time;
        let mut open = self.open.lock();
        while *open > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            open = Lock::wait(&self.none, open, left);
        }
        true
    }
}

impl Engine {
    /// Waits for the end of run `run`, releases what it held, and shows the end. Then it starts
    /// the container again, if its policy says so.
    pub(super) fn supervise(&self, slot: &Arc<Slot>, monitor: Arc<Handle>, run: u64) {
        let began = Instant::now();
        let told = monitor.wait_exit(&mut |exec| match exec {
            None => self.emit_container("detach", &slot.record(), &[]),
            Some(id) => {
                self.emit_container("exec_detach", &slot.record(), &[("execID", id.to_owned())]);
            }
        });
        step::done("exit.told");
        let ending = self.endings.begin();
        if let Err(error) = &told {
            warn!("container {}: {error}", slot.id.short());
        }
        let places = std::mem::take(&mut slot.lock().networks);
        // Before anybody gets its address, and before anybody is told: who asks for its name next
        // finds none.
        self.neighbours_changed(&places);
        // Kills what a monitor that died has left running. Dying in here, adopt finds exit.json
        // and releases the rest.
        self.release(&slot.id);
        step::done("exit.released");
        let exit = told.ok().or_else(|| read_exit(&self.layout.io(&slot.id)));
        let exit = exit.filter(|exit| exit.run == run);
        let state = settle(&slot.record(), exit).unwrap_or_else(|| self.lose_run(slot));
        self.show_exit(slot, state, began.elapsed());
        // Attached clients see the end of their streams from now on.
        monitor.published();
        self.remove_if_automatic(slot);
        // The next run needs them gone, not the removal; who unmounts the data root after us needs
        // the monitor gone as well.
        monitor.wait_unmounted();
        drop(monitor);
        drop(ending);
        self.start_again(slot);
    }

    /// Waits, at most `time`, for runs whose end has been seen to be done with: until then their
    /// mounts hold the data root.
    pub fn finish_endings(&self, time: Duration) {
        if !self.endings.wait_for_none(time) {
            warn!("the file systems of containers that have ended are still being unmounted");
        }
    }

    /// Puts on record that nobody knows how the run ended. Dying here, adopt does the same.
    fn lose_run(&self, slot: &Slot) -> State {
        let finished_at = Timestamp::now();
        let started_at = match slot.snapshot().state {
            State::Running { since, .. } => since,
            _ => finished_at,
        };
        let saved = slot.save(&self.layout, |record| {
            record.state = DiskState::Lost { started_at, finished_at };
        });
        if let Err(error) = saved {
            warn!("{error}");
        }
        lost(started_at, finished_at)
    }

    /// Shows the end of a run, and tells it to those who wait.
    fn show_exit(&self, slot: &Slot, state: State, length: Duration) {
        let (code, error) = last_exit(&state);
        let oom_killed = matches!(state, State::Exited { oom_killed: true, .. });
        let mut inner = slot.lock();
        inner.state = inner.after_run(state, length);
        inner.stop = None;
        inner.monitor = None;
        self.execs.end_of_run(&slot.id);
        inner.networks = Arc::default();
        if inner.health.is_some() {
            inner.end_health();
            self.health_ended();
        }
        // Before anybody is told: what they do next must come after it in the events.
        if oom_killed {
            self.emit_container("oom", &inner.record, &[]);
        }
        let (code_text, seconds) = (code.to_string(), length.as_secs().to_string());
        let more = [("exitCode", code_text), ("execDuration", seconds)];
        self.emit_container("die", &inner.record, &more);
        inner.tell_exit(code, error.as_deref());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_are_waited_for() {
        let endings = Endings::default();
        assert!(endings.wait_for_none(Duration::ZERO));
        let (first, second) = (endings.begin(), endings.begin());
        assert!(!endings.wait_for_none(Duration::from_millis(5)));
        drop(first);
        assert!(!endings.wait_for_none(Duration::from_millis(5)));
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| endings.wait_for_none(Duration::from_secs(60)));
            drop(second);
            assert!(waiter.join().unwrap());
        });
    }
}
