//! Seeing a run through to its end: one small thread per running container, blocked in its
//! monitor's word.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Engine;
use super::adopt::{lost, settle};
use super::slot::Slot;
use super::wait::last_exit;
use crate::base::{Timestamp, step};
use crate::container::{DiskState, State};
use crate::runtime::handle::{Handle, read_exit};
use crate::warn;

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
        // Waits for the monitor's end, and so for the end of its mounts: the next run, not the
        // removal, needs them gone.
        drop(monitor);
        self.start_again(slot);
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
