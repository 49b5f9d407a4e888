//! Starting a container.

use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::time::Duration;

use super::adopt::settle;
use super::claim::Claim;
use super::slot::Slot;
use super::{Engine, Patience};
use crate::base::{Error, Kind, Result, Timestamp, guard, step};
use crate::container::{Ask, DiskState, Record, State};
use crate::model::Attachment;
use crate::runtime::handle::{Handle, StartFailure, read_exit};
use crate::warn;

/// How long a monitor may take to end after it was told to kill.
const KILL_TIME: Duration = Duration::from_secs(10);

/// A program that runs.
struct Begun {
    pid: i32,
    since: Timestamp,
    networks: Arc<[Attachment]>,
    /// Lets the supervising thread begin.
    supervisor: Sender<()>,
}

/// A start that came to nothing.
struct Failed {
    error: Error,
    /// What the container shows from now on.
    state: State,
}

impl Engine {
    /// Starts a container.
    ///
    /// # Errors
    /// `NotModified` when it runs; `ProgramNotFound` and its like when the program cannot be
    /// started; every step taken is undone then.
    pub fn start(&self, name: &str, patience: Patience<'_>) -> Result<()> {
        let slot = self.slot(name)?;
        if matches!(slot.snapshot().state, State::Running { paused: true, .. }) {
            return Err(Error::conflict("cannot start a paused container, try unpause instead"));
        }
        self.start_slot(&slot, name, Ask::Start, patience)
    }

    /// Starts it for the user (`Start`) or for its restart policy (`StartAgain`).
    pub(super) fn start_slot(
        &self,
        slot: &Arc<Slot>,
        name: &str,
        ask: Ask,
        patience: Patience<'_>,
    ) -> Result<()> {
        let claim = Claim::take(slot, ask, name, patience, || ())?;
        match self.begin(&claim, ask) {
            Ok(Begun { pid, since, networks, supervisor }) => {
                let places = Arc::clone(&networks);
                claim.publish(|inner| {
                    inner.state = State::Running { since, pid, paused: false };
                    inner.networks = networks;
                    inner.health = super::health::at_start(&inner.record.config);
                    inner.killed = false;
                    inner.unwanted = false;
                    if ask == Ask::Start {
                        inner.attempts = 0;
                    }
                    self.emit_container("start", &inner.record, &[]);
                });
                // Only now: the end of this run cannot be shown before its beginning.
                if supervisor.send(()).is_err() {
                    warn!("container {} runs unwatched: its thread has ended", slot.id.short());
                }
                self.watch_health(slot);
                self.neighbours_changed(&places);
                Ok(())
            }
            Err(Failed { error, state }) => {
                self.give_up(claim, ask, &error, state);
                Err(error)
            }
        }
    }

    /// Takes all steps up to the running program. On error each one already taken is undone,
    /// last first.
    fn begin(&self, claim: &Claim, ask: Ask) -> Result<Begun, Failed> {
        let before = claim.record();
        let id = &before.id;
        let mut record = (*before).clone();
        record.run += 1;
        let fail = |error| failed(error, claim.before());

        // Dying before the record says `Starting`, adopt finds nothing begun: it releases by id
        // what is not of a running container.
        let held = guard((), |()| self.release(id));
        let prepared = self.prepare(&record).map_err(fail)?;
        step::done("start.prepared");
        let spawned = Handle::spawn(&prepared.launch).map_err(fail)?;
        let monitor = guard(Arc::new(spawned), |monitor| monitor.abandon());
        step::done("start.spawned");

        // Durable before go(): dying after this line, adopt finds run N and settles it by its
        // exit.json or its living monitor. The monitor gives up by itself when we die before go().
        claim
            .slot
            .save(&self.layout, |saved| {
                saved.run = record.run;
                saved.state = DiskState::Starting;
                saved.stopped_by_user = false;
                saved.restart_count = match ask {
                    Ask::StartAgain => saved.restart_count.saturating_add(1),
                    _ => 0,
                };
            })
            .map_err(fail)?;
        step::done("start.recorded");
        let recorded = guard((), |()| self.take_back(claim, &before));
        let supervisor =
            self.prepare_supervisor(&claim.slot, &monitor, record.run).map_err(fail)?;
        // Before go(): its first question is answered.
        self.serve_names(&monitor, &prepared.launch).map_err(fail)?;
        // Before go(): they must miss nothing.
        hand_over_attachers(&claim.slot, &monitor);
        step::done("start.handed-over");

        let went = monitor.go();
        step::done("start.gone");
        match went {
            Ok(Ok((pid, since))) => {
                recorded.keep();
                monitor.keep();
                held.keep();
                let networks = prepared.launch.networks.into();
                Ok(Begun { pid, since, networks, supervisor })
            }
            Ok(Err(StartFailure { kind, message })) => {
                // This run has an exit.json: on disk it stays as it is, and adopt sees the same.
                recorded.keep();
                Err(self.failed_run(claim, Error::new(kind, message)))
            }
            Err(error) => {
                monitor.kill(KILL_TIME);
                if read_exit(&self.layout.io(id)).is_some_and(|exit| exit.run == record.run) {
                    recorded.keep();
                    return Err(self.failed_run(claim, error));
                }
                Err(fail(error))
            }
        }
    }

    /// Writes the record of before again: nothing has run.
    fn take_back(&self, claim: &Claim, before: &Record) {
        let written = claim.slot.save(&self.layout, |saved| {
            saved.run = before.run;
            saved.state = before.state.clone();
            saved.stopped_by_user = before.stopped_by_user;
            saved.restart_count = before.restart_count;
        });
        if let Err(error) = written {
            warn!("{error}; the next start of the daemon will not know how its last run ended");
        }
    }

    /// The outcome of a run that the monitor has settled before the program ran.
    fn failed_run(&self, claim: &Claim, error: Error) -> Failed {
        let record = claim.record();
        match settle(&record, read_exit(&self.layout.io(&record.id))) {
            Some(state) => Failed { error, state },
            None => failed(error, claim.before()),
        }
    }

    /// Shows a failed start and lets go of all who wait for its run.
    fn give_up(&self, claim: Claim, ask: Ask, error: &Error, state: State) {
        let slot = Arc::clone(&claim.slot);
        // Dropped without the lock: the one waits for its monitor to end, the others close.
        let (mut monitor, mut held) = (None, Vec::new());
        claim.publish(|inner| {
            let (code, _) = super::wait::last_exit(&state);
            inner.state = match ask {
                Ask::StartAgain => inner.after_failed_start(state),
                _ => state,
            };
            monitor = inner.monitor.take();
            held.append(&mut inner.held);
            // Why it failed is told by the start itself; today's client would show it twice.
            inner.tell_exit(code, None);
        });
        drop((monitor, held));
        crate::debug!("start of container {}: {error}", slot.id.short());
        self.remove_if_automatic(&slot);
    }

    /// The thread that will see this run through; it waits to be let off, and ends when it never
    /// is.
    fn prepare_supervisor(
        &self,
        slot: &Arc<Slot>,
        monitor: &Arc<Handle>,
        run: u64,
    ) -> Result<Sender<()>> {
        let (let_off, may_begin) = mpsc::channel();
        let (engine, slot, monitor) = (self.me(), Arc::clone(slot), Arc::clone(monitor));
        self.spawn_thread("supervise", move || {
            if may_begin.recv().is_ok() {
                engine.supervise(&slot, monitor, run);
            }
        })?;
        Ok(let_off)
    }
}

/// Makes the monitor known to those who attach from now on, and hands over those who waited.
fn hand_over_attachers(slot: &Slot, monitor: &Arc<Handle>) {
    let held = {
        let mut inner = slot.lock();
        inner.monitor = Some(Arc::clone(monitor));
        std::mem::take(&mut inner.held)
    };
    for attacher in held {
        if let Err(error) = monitor.attach(attacher) {
            crate::debug!("attach to container {}: {error}", slot.id.short());
        }
    }
}

/// The state after a start that failed before its run was on record.
fn failed(error: Error, before: &State) -> Failed {
    let code = match error.kind() {
        Kind::ProgramNotFound => 127,
        Kind::ProgramNotExecutable => 126,
        _ => 128,
    };
    let text = Some(error.to_string());
    let state = match before {
        State::Exited { oom_killed, started_at, finished_at, .. }
        | State::Restarting { oom_killed, started_at, finished_at, .. } => State::Exited {
            code: Some(code),
            oom_killed: *oom_killed,
            started_at: *started_at,
            finished_at: *finished_at,
            error: text,
        },
        _ => State::Created { code, error: text },
    };
    Failed { error, state }
}
