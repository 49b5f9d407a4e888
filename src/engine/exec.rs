//! Execs: programs that run in a container beside its main one.
//!
//! - The monitor runs them; a small thread per running exec is blocked in the monitor's word.
//! - Nothing grows: of those that do not run the newest [`KEPT`] are remembered, in [`BYTES`], and
//!   none longer than its container; one that was not started ends with the run it was made for.
//! - A daemon that was away asks the monitor which run and how the last ones ended.

use std::collections::VecDeque;
use std::sync::Arc;

use super::launch::last_capability;
use super::slot::{Inner, Slot};
use super::{Attacher, Engine};
use crate::base::{Error, Id, Kind, Lock, Result};
use crate::container::{State, capabilities};
use crate::model::HostConfig;
use crate::runtime::handle::{ExecLink, Handle, KnownExec};
use crate::runtime::init::Exec;
use crate::warn;

/// Execs that do not run and are still known.
const KEPT: usize = 256;
/// Bytes of arguments and variables that those may hold.
const BYTES: usize = 1 << 20;
/// Of a long command line, events show so many bytes.
const SHOWN: usize = 1024;
/// Code of an exec whose end nobody saw.
const LOST: i32 = 255;

/// What is to run, and for whom.
#[derive(Debug, Clone)]
pub struct ExecConfig {
    /// What is to run.
    pub exec: Exec,
    /// All capabilities.
    pub privileged: bool,
    /// Standard output goes to the client.
    pub stdout: bool,
    /// Standard error goes to the client.
    pub stderr: bool,
    /// Bytes of the detach sequence.
    pub detach_keys: Vec<u8>,
    /// Rows and columns of the terminal.
    pub size: Option<(u16, u16)>,
}

/// How far an exec has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecState {
    /// It waits to be started.
    Created,
    /// It runs, or is about to; 0 while the pid is not known.
    Running(i32),
    /// It has ended with this code.
    Ended(i32),
}

/// An exec at one moment.
#[derive(Debug, Clone)]
pub struct ExecSnapshot {
    /// Its id.
    pub id: Id,
    /// Its container.
    pub container: Id,
    /// What it runs.
    pub config: ExecConfig,
    /// How far it has come.
    pub state: ExecState,
}

/// All execs, oldest first.
#[derive(Default)]
pub(super) struct Execs(Lock<VecDeque<ExecSnapshot>>);

impl Execs {
    fn add(&self, exec: ExecSnapshot) {
        let mut all = self.0.lock();
        all.push_back(exec);
        // Those that have ended go first.
        let ended = |exec: &ExecSnapshot| matches!(exec.state, ExecState::Ended(_));
        let at_rest = |exec: &ExecSnapshot| !matches!(exec.state, ExecState::Running(_));
        loop {
            let resting = || all.iter().filter(|exec| at_rest(exec));
            let bytes: usize = resting().map(ExecSnapshot::bytes).sum();
            if resting().count() <= KEPT && bytes <= BYTES {
                return;
            }
            // The one that was just made is wanted, whatever its size.
            let others = all.len() - 1;
            let others = || all.iter().take(others);
            let oldest = others().position(ended).or_else(|| others().position(at_rest));
            let Some(oldest) = oldest else { return };
            all.remove(oldest);
        }
    }

    fn set(&self, id: &Id, state: ExecState) {
        if let Some(exec) = self.0.lock().iter_mut().find(|exec| exec.id == *id) {
            exec.state = state;
            if let ExecState::Ended(_) = state {
                exec.config.exec.env = Vec::new();
            }
        }
    }

    /// A run of the container has ended: what was to be started in it cannot be any more.
    pub(super) fn end_of_run(&self, container: &Id) {
        self.0
            .lock()
            .retain(|exec| exec.container != *container || exec.state != ExecState::Created);
    }

    /// The container is gone.
    pub(super) fn forget(&self, container: &Id) {
        self.0.lock().retain(|exec| exec.container != *container);
    }
}

impl ExecSnapshot {
    fn bytes(&self) -> usize {
        let Exec { args, env, .. } = &self.config.exec;
        args.iter().chain(env).map(|text| text.len() + size_of::<String>()).sum()
    }

    /// `exec_create: sh -c …`
    fn action(&self, word: &str) -> String {
        let mut line = format!("{word}: {}", self.config.exec.args.join(" "));
        let mut end = SHOWN.min(line.len());
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        line.truncate(end);
        line
    }
}

impl Engine {
    /// Makes an exec in a running container.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it does not run or is paused; `BadParameter` without a program.
    pub fn exec_create(&self, name: &str, mut config: ExecConfig) -> Result<Id> {
        let slot = self.slot(name)?;
        if config.exec.args.is_empty() {
            return Err(Error::bad_parameter("No exec command specified"));
        }
        if config.privileged {
            let host = HostConfig { privileged: true, ..HostConfig::default() };
            config.exec.capabilities = Some(capabilities::granted(&host, last_capability()));
        }
        let id = Id::random();
        let (container, state) = (slot.id.clone(), ExecState::Created);
        let exec = ExecSnapshot { id: id.clone(), container, config, state };
        let action = exec.action("exec_create");
        // Under the slot's lock: the end of the run finds it.
        let inner = slot.lock();
        runs(&slot, &inner)?;
        self.execs.add(exec);
        self.emit_container(&action, &inner.record, &[("execID", id.to_string())]);
        Ok(id)
    }

    /// An exec as it is now.
    ///
    /// # Errors
    /// `NotFound`, also for one that was forgotten.
    pub fn exec_inspect(&self, id: &str) -> Result<ExecSnapshot> {
        let all = self.execs.0.lock();
        let found = all.iter().find(|exec| exec.id.as_str() == id);
        found.cloned().ok_or_else(|| Error::no_such("exec instance", id))
    }

    /// Ids of the execs of container `id` that have not ended.
    pub fn execs_of(&self, id: &Id) -> Vec<Id> {
        let all = self.execs.0.lock();
        let open = |exec: &&ExecSnapshot| {
            exec.container == *id && !matches!(exec.state, ExecState::Ended(_))
        };
        all.iter().filter(open).map(|exec| exec.id.clone()).collect()
    }

    /// Whether an exec may be started now; called before a connection is taken over.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it was started before, or its container cannot run it.
    pub fn exec_check(&self, id: &str) -> Result<ExecSnapshot> {
        let exec = self.exec_inspect(id)?;
        match exec.state {
            ExecState::Created => {}
            ExecState::Running(_) => {
                return Err(Error::conflict(format!("exec command {id} is already running")));
            }
            ExecState::Ended(_) => {
                return Err(Error::conflict(format!("exec command {id} has already run")));
            }
        }
        let slot = self.slot(exec.container.as_str())?;
        runs(&slot, &slot.lock())?;
        Ok(exec)
    }

    /// Starts an exec for `client`, or for nobody; returns once its program runs. `size` is that
    /// of its terminal, if it is told now.
    ///
    /// # Errors
    /// Those of [`Engine::exec_check`]; a program that cannot be run, which the client has been
    /// told as well.
    pub fn exec_start(
        &self,
        id: &str,
        client: Option<Attacher>,
        size: Option<(u16, u16)>,
    ) -> Result<()> {
        let exec = self.exec_check(id)?;
        let slot = self.slot(exec.container.as_str())?;
        let monitor = runs(&slot, &slot.lock())?;
        self.claim_exec(&exec.id)?;
        let ExecConfig { exec: mut what, size: asked, .. } = exec.config.clone();
        // Nobody would ever end it.
        what.open_stdin &= client.is_some();
        // Known before the client sees the end of its streams, which is when the link goes.
        let failed = |error: &Error| {
            let code = if error.kind() == Kind::ProgramNotFound { 127 } else { 126 };
            self.execs.set(&exec.id, ExecState::Ended(code));
        };
        let link =
            monitor.exec(exec.id.as_str(), what, client, size.or(asked)).inspect_err(failed)?;
        let pid = link.started().inspect_err(failed)?;
        self.execs.set(&exec.id, ExecState::Running(pid));
        let more = [("execID", exec.id.to_string())];
        self.emit_container(&exec.action("exec_start"), &slot.record(), &more);
        self.watch_exec(slot, exec.id, link)
    }

    fn claim_exec(&self, id: &Id) -> Result<()> {
        let mut all = self.execs.0.lock();
        match all.iter_mut().find(|exec| exec.id == *id) {
            Some(exec) if exec.state == ExecState::Created => {
                exec.state = ExecState::Running(0);
                Ok(())
            }
            _ => Err(Error::conflict(format!("exec command {id} is already running"))),
        }
    }

    /// Sees an exec through to its end, on a thread of its own.
    fn watch_exec(&self, slot: Arc<Slot>, id: Id, link: ExecLink) -> Result<()> {
        let engine = self.me();
        self.spawn_thread("exec", move || {
            let code = link.wait().unwrap_or_else(|error| {
                warn!("exec {} in container {}: {error}", id.short(), slot.id.short());
                LOST
            });
            engine.execs.set(&id, ExecState::Ended(code));
            let more = [("execID", id.to_string()), ("exitCode", code.to_string())];
            engine.emit_container("exec_die", &slot.record(), &more);
            // The client sees the end of its streams from now on.
            drop(link);
        })
    }

    /// Takes over the execs of a container that has outlived the daemon before us.
    ///
    /// # Errors
    /// A shortage of descriptors or memory: the execs go on, and the next daemon may have them.
    pub(super) fn adopt_execs(&self, slot: &Arc<Slot>, monitor: &Handle) -> Result<()> {
        let adopted = monitor.execs().and_then(|names| {
            let mut ids = names.iter().filter_map(|name| Id::parse(name));
            ids.try_for_each(|id| self.adopt_exec(slot, monitor, id))
        });
        match adopted {
            Err(error) if error.is_shortage() => return Err(error),
            Err(error) => warn!("execs of container {}: {error}", slot.id.short()),
            Ok(()) => {}
        }
        Ok(())
    }

    fn adopt_exec(&self, slot: &Arc<Slot>, monitor: &Handle, id: Id) -> Result<()> {
        let Some((known, link)) = monitor.watch_exec(id.as_str())? else { return Ok(()) };
        let KnownExec { exec, options, detach_keys, pid, code } = known;
        let config = ExecConfig {
            privileged: exec.capabilities.is_some(),
            exec,
            stdout: options.stdout,
            stderr: options.stderr,
            detach_keys,
            size: None,
        };
        let state = code.map_or(ExecState::Running(pid), ExecState::Ended);
        let container = slot.id.clone();
        self.execs.add(ExecSnapshot { id: id.clone(), container, config, state });
        match code {
            None => self.watch_exec(Arc::clone(slot), id, link),
            Some(_) => Ok(()),
        }
    }

    /// Sets the size of an exec's terminal.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it does not run or has no terminal.
    pub fn exec_resize(&self, id: &str, rows: u16, columns: u16) -> Result<()> {
        let exec = self.exec_inspect(id)?;
        let slot = self.slot(exec.container.as_str())?;
        let monitor = runs(&slot, &slot.lock())?;
        monitor.resize_exec(id, rows, columns)
    }
}

/// The monitor of a container that can run an exec.
fn runs(slot: &Slot, inner: &Inner) -> Result<Arc<Handle>> {
    match (&inner.state, &inner.monitor) {
        (State::Running { paused: true, .. }, _) => Err(Error::conflict(format!(
            "Container {} is paused, unpause the container before exec",
            slot.id
        ))),
        (State::Restarting { .. }, _) => Err(Error::conflict(format!(
            "Container {} is restarting, wait until the container is running",
            slot.id
        ))),
        (State::Running { .. }, Some(monitor)) => Ok(Arc::clone(monitor)),
        _ => Err(Error::conflict(format!("container {} is not running", slot.id))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exec(container: &Id, state: ExecState, arg: &str) -> ExecSnapshot {
        let exec = Exec {
            args: vec!["sh".into(), arg.into()],
            env: vec!["A=b".into()],
            cwd: String::new(),
            user: String::new(),
            tty: false,
            open_stdin: false,
            capabilities: None,
        };
        let config = ExecConfig {
            exec,
            privileged: false,
            stdout: true,
            stderr: true,
            detach_keys: Vec::new(),
            size: None,
        };
        ExecSnapshot { id: Id::random(), container: container.clone(), config, state }
    }

    fn count(execs: &Execs, which: impl Fn(&ExecState) -> bool) -> usize {
        execs.0.lock().iter().filter(|exec| which(&exec.state)).count()
    }

    #[test]
    fn nothing_grows_and_what_runs_is_never_forgotten() {
        let (execs, id) = (Execs::default(), Id::random());
        for n in 0..1000 {
            let state = if n % 10 == 0 { ExecState::Running(1) } else { ExecState::Ended(0) };
            execs.add(exec(&id, state, "x"));
        }
        assert_eq!(count(&execs, |s| matches!(s, ExecState::Running(_))), 100);
        assert_eq!(count(&execs, |s| matches!(s, ExecState::Ended(_))), KEPT);
        // Those that wait to be started outlive those that have ended.
        for _ in 0..KEPT {
            execs.add(exec(&id, ExecState::Created, "x"));
        }
        assert_eq!(count(&execs, |s| *s == ExecState::Created), KEPT);
        let long = "x".repeat(BYTES);
        for _ in 0..3 {
            execs.add(exec(&id, ExecState::Created, &long));
        }
        assert_eq!(count(&execs, |s| *s == ExecState::Created), 1);
    }

    #[test]
    fn the_end_of_a_run_and_of_a_container_end_its_execs() {
        let (execs, one, other) = (Execs::default(), Id::random(), Id::random());
        for id in [&one, &other] {
            execs.add(exec(id, ExecState::Created, "x"));
            execs.add(exec(id, ExecState::Ended(3), "x"));
        }
        execs.end_of_run(&one);
        assert_eq!(execs.0.lock().len(), 3);
        execs.forget(&one);
        assert!(execs.0.lock().iter().all(|exec| exec.container == other));
        assert_eq!(execs.0.lock().len(), 2);
    }

    #[test]
    fn an_ended_exec_keeps_no_variables() {
        let (execs, id) = (Execs::default(), Id::random());
        let one = exec(&id, ExecState::Running(1), "x");
        execs.add(one.clone());
        execs.set(&one.id, ExecState::Ended(7));
        let all = execs.0.lock();
        assert_eq!((all[0].state, all[0].config.exec.env.len()), (ExecState::Ended(7), 0));
    }

    #[test]
    fn events_show_the_beginning_of_a_long_line() {
        let one = exec(&Id::random(), ExecState::Created, "a b");
        assert_eq!(one.action("exec_create"), "exec_create: sh a b");
        let one = exec(&Id::random(), ExecState::Created, &"ä".repeat(SHOWN));
        assert_eq!(one.action("exec_start").len(), SHOWN - 1);
    }
}
