//! Health checks: one thread for all containers, there only while one that has a check runs.
//!
//! - It sleeps until the next check is due, or one that runs says something; nothing is polled.
//! - A check is an exec without a place among the execs: no id, and no events but that of a status
//!   that has changed.
//! - What the checks came to is kept in memory, and in the run directory for the next daemon.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Engine;
use super::slot::{Inner, Slot};
use crate::base::{Context, Lock, Result, Timestamp};
use crate::container::State;
use crate::container::health::{self, Plan};
use crate::model::{Health, HealthResult, HealthStatus, RunConfig};
use crate::runtime::handle::{ExecLink, ExecNews, Handle};
use crate::runtime::health as file;
use crate::runtime::init::Exec;
use crate::sys::poll::{EventFd, Interest, PollSet};
use crate::warn;

/// Checks that run at once; more wait. After a start of the daemon all are due.
const TOGETHER: usize = 16;
/// Bytes that are read of what a check says.
const READ: usize = 8192;

/// What all health checks share.
#[derive(Default)]
pub(super) struct Checks {
    waiting: Lock<Waiting>,
    /// Held while a file is written, and while a run directory is removed: a file that came in
    /// between would keep the directory. It lies in memory, so nothing slow is done meanwhile.
    files: Lock<()>,
}

/// Containers on their way to the thread.
#[derive(Default)]
struct Waiting {
    new: Vec<Arc<Slot>>,
    /// Wakes the thread, while there is one.
    bell: Option<Arc<EventFd>>,
}

/// One run of a container that is checked.
struct Watch {
    slot: Arc<Slot>,
    exits: u64,
    /// When the run began. The clock of the day may be set meanwhile, as it is on hosts that do not
    /// know it at first.
    began: Instant,
    plan: Plan,
    due: Instant,
    running: Option<Running>,
}

/// A check that runs.
struct Running {
    link: ExecLink,
    output: UnixStream,
    said: Vec<u8>,
    /// The output has not ended.
    speaks: bool,
    began: Timestamp,
    /// How long the container had run by then.
    age: Duration,
    deadline: Instant,
}

/// The health of a container whose run begins; none for one that is not checked.
pub(super) fn at_start(config: &RunConfig) -> Option<Arc<Health>> {
    health::is_checked(config).then(Arc::default)
}

impl Inner {
    /// The run has ended: nothing that does not run is healthy.
    pub(super) fn end_health(&mut self) {
        if let Some(health) = &mut self.health {
            Arc::make_mut(health).status = HealthStatus::Unhealthy;
        }
    }
}

impl Engine {
    /// Has a container checked from now on, if it is to be.
    pub(super) fn watch_health(&self, slot: &Arc<Slot>) {
        if slot.lock().health.is_none() {
            return;
        }
        let begun = {
            let mut waiting = self.checks.waiting.lock();
            waiting.new.push(Arc::clone(slot));
            match &waiting.bell {
                Some(bell) => {
                    bell.notify();
                    return;
                }
                None => EventFd::new().map(|bell| {
                    let bell = Arc::new(bell);
                    waiting.bell = Some(Arc::clone(&bell));
                    bell
                }),
            }
        };
        let engine = self.me();
        let begun = begun.context(|| "make an eventfd".into()).and_then(|bell| {
            self.spawn_thread("health", move || {
                if let Err(error) = engine.check_all(&bell) {
                    warn!("health checks have ended: {error}");
                    engine.checks.waiting.lock().bell = None;
                }
            })
        });
        if let Err(error) = begun {
            warn!("container {} is not checked: {error}", slot.id.short());
            *self.checks.waiting.lock() = Waiting::default();
        }
    }

    /// Calls `remove`, which takes a run directory away, while no file is written.
    pub(super) fn without_health_files<T>(&self, remove: impl FnOnce() -> T) -> T {
        let _ordered = self.checks.files.lock();
        remove()
    }

    /// A run of a container that is checked has ended.
    pub(super) fn health_ended(&self) {
        if let Some(bell) = &self.checks.waiting.lock().bell {
            bell.notify();
        }
    }

    /// Takes over what a daemon before us has found out. A check of its, which nobody would end,
    /// is killed.
    pub(super) fn adopt_health(&self, slot: &Slot, monitor: &Handle) {
        let Some(mut health) = at_start(&slot.record().config) else { return };
        if let Some(found) = file::read(&self.run_dir(&slot.id)) {
            health = Arc::new(found);
        }
        slot.lock().health = Some(health);
        if let Err(error) = monitor.kill_health_check() {
            crate::debug!("container {}: no health check runs: {error}", slot.id.short());
        }
    }

    /// The thread: ends when there is nothing left to be checked.
    fn check_all(&self, bell: &EventFd) -> Result<()> {
        let mut watches: Vec<Watch> = Vec::new();
        let mut set = PollSet::new();
        loop {
            bell.drain();
            let new = std::mem::take(&mut self.checks.waiting.lock().new);
            watches.extend(new.into_iter().filter_map(Watch::new));
            watches.retain(Watch::lives);
            if watches.is_empty() {
                let mut waiting = self.checks.waiting.lock();
                if waiting.new.is_empty() {
                    waiting.bell = None;
                    return Ok(());
                }
                continue;
            }
            self.begin_checks(&mut watches);
            set.clear();
            set.push(bell.as_fd(), Interest::READ);
            for running in watches.iter().filter_map(|watch| watch.running.as_ref()) {
                set.push(running.link.as_fd(), Interest::READ);
                if running.speaks {
                    set.push(running.output.as_fd(), Interest::READ);
                }
            }
            set.wait(next_deadline(&watches)).context(|| "wait for health checks".into())?;
            for watch in &mut watches {
                self.see_to(watch);
            }
        }
    }

    fn begin_checks(&self, watches: &mut [Watch]) {
        let mut running = watches.iter().filter(|watch| watch.running.is_some()).count();
        let now = Instant::now();
        for watch in watches {
            if running == TOGETHER {
                return;
            }
            if watch.running.is_some() || watch.due > now {
                continue;
            }
            match watch.begin() {
                Ok(Some(begun)) => {
                    watch.running = Some(begun);
                    running += 1;
                }
                // Paused: it can say nothing.
                Ok(None) => watch.due = now + watch.plan.interval,
                Err(error) => {
                    let at = Timestamp::now();
                    let output = error.to_string();
                    let result = HealthResult { start: at, end: at, code: -1, output };
                    self.conclude(watch, result, watch.began.elapsed());
                }
            }
        }
    }

    /// Reads what the check of a container says, and takes the result when there is one.
    fn see_to(&self, watch: &mut Watch) {
        let Some(running) = &mut watch.running else { return };
        running.listen();
        let (code, said) = match running.link.next(true) {
            Ok(Some(ExecNews::Ended(code))) => {
                running.listen();
                (code, None)
            }
            Ok(Some(ExecNews::Failed(error))) | Err(error) => (-1, Some(error.to_string())),
            Ok(None | Some(ExecNews::Started(_))) if Instant::now() < running.deadline => return,
            Ok(_) => {
                let said = String::from_utf8_lossy(&running.said);
                let text = format!("Health check exceeded timeout ({:?})", watch.plan.timeout);
                let text = if said.is_empty() { text } else { format!("{text}: {said}") };
                watch.give_up();
                (-1, Some(text))
            }
        };
        // The connection goes with it, so that the monitor can forget the check.
        let Some(Running { said: heard, began, age, .. }) = watch.running.take() else { return };
        let output = said.unwrap_or_else(|| String::from_utf8_lossy(&heard).into_owned());
        let end = Timestamp::now();
        self.conclude(watch, HealthResult { start: began, end, code, output }, age);
    }

    /// Adds a result, and tells of a status that has changed. It is written before anybody can see
    /// it, so that the next daemon knows no less than was told.
    fn conclude(&self, watch: &mut Watch, result: HealthResult, age: Duration) {
        let inner = watch.slot.lock();
        let Some(mut shared) = inner.health.clone() else { return };
        // What was frozen in the middle of it has not failed.
        let goes_on = matches!(inner.state, State::Running { paused: false, .. });
        let counts = goes_on && inner.exits == watch.exits;
        drop(inner);
        if counts {
            let changed = watch.plan.judge(Arc::make_mut(&mut shared), result, age);
            self.keep_health(&watch.slot, &shared);
            let mut inner = watch.slot.lock();
            if watch.is_of(&inner) {
                if changed {
                    let action = format!("health_status: {}", shared.status.word());
                    self.emit_container(&action, &inner.record, &[]);
                }
                inner.health = Some(Arc::clone(&shared));
            }
        }
        watch.due = Instant::now() + watch.plan.pause(&shared, watch.began.elapsed());
    }

    /// Writes what the next daemon is to know. Without its run directory the run has ended, and
    /// there is nobody to be told.
    fn keep_health(&self, slot: &Slot, health: &Health) {
        let _ordered = self.checks.files.lock();
        if let Err(error) = file::write(&self.run_dir(&slot.id), health) {
            crate::debug!("{error}");
        }
    }
}

/// When there is something to do without anybody saying so.
fn next_deadline(watches: &[Watch]) -> Option<Instant> {
    let running = || watches.iter().filter_map(|watch| watch.running.as_ref());
    let room = running().count() < TOGETHER;
    let due = watches.iter().filter(|watch| room && watch.running.is_none());
    running().map(|running| running.deadline).chain(due.map(|watch| watch.due)).min()
}

impl Watch {
    /// `None` for a container whose run has ended already.
    fn new(slot: Arc<Slot>) -> Option<Watch> {
        let inner = slot.lock();
        let plan = health::plan(&inner.record.config)?;
        let (State::Running { since, .. }, Some(health)) = (&inner.state, &inner.health) else {
            return None;
        };
        let (since, exits, now) = (*since, inner.exits, Timestamp::now());
        let last = health.log.last().map_or(since, |result| result.end);
        let pause = plan.pause(health, now.since(since)).saturating_sub(now.since(last));
        drop(inner);
        let began = Instant::now();
        let due = began + pause;
        let began = began.checked_sub(now.since(since)).unwrap_or(began);
        Some(Watch { slot, exits, began, plan, due, running: None })
    }

    /// Whether the run goes on.
    fn lives(&self) -> bool {
        self.is_of(&self.slot.lock())
    }

    fn is_of(&self, inner: &Inner) -> bool {
        inner.exits == self.exits && matches!(inner.state, State::Running { .. })
    }

    fn monitor(&self) -> Option<Arc<Handle>> {
        let inner = self.slot.lock();
        let frozen = matches!(inner.state, State::Running { paused: true, .. });
        inner.monitor.clone().filter(|_| !frozen)
    }

    /// Begins a check; `None` while the container is paused.
    fn begin(&self) -> Result<Option<Running>> {
        let Some(monitor) = self.monitor() else { return Ok(None) };
        let (output, theirs) = UnixStream::pair().context(|| "make a socket pair".into())?;
        output.set_nonblocking(true)?;
        let exec = Exec {
            args: self.plan.command.clone(),
            env: Vec::new(),
            cwd: String::new(),
            user: String::new(),
            tty: false,
            open_stdin: false,
            capabilities: None,
        };
        Ok(Some(Running {
            link: monitor.check_health(exec, theirs.into())?,
            output,
            said: Vec::new(),
            speaks: true,
            began: Timestamp::now(),
            age: self.began.elapsed(),
            deadline: Instant::now() + self.plan.timeout,
        }))
    }

    /// Kills a check that takes too long.
    fn give_up(&self) {
        let Some(monitor) = self.slot.lock().monitor.clone() else { return };
        if let Err(error) = monitor.kill_health_check() {
            crate::debug!("container {}: end a health check: {error}", self.slot.id.short());
        }
    }
}

impl Running {
    /// Reads what has been said; the beginning is kept, the rest must not hold the program up.
    fn listen(&mut self) {
        let mut piece = [0; READ];
        // A bound, for one that never rests.
        for _ in 0..32 {
            match self.output.read(&mut piece) {
                Ok(count) if count > 0 => {
                    let room = READ.saturating_sub(self.said.len());
                    self.said.extend_from_slice(&piece[..count.min(room)]);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => {
                    self.speaks = false;
                    return;
                }
            }
        }
    }
}
