//! Execs: programs that run in a container beside its main one.
//!
//! - The monitor runs them; a small thread per running exec is blocked in the monitor's word.
//! - Nothing grows: the newest [`KEPT`] that do not run are remembered, without their variables.

use std::collections::VecDeque;
use std::sync::Arc;

use super::launch::last_capability;
use super::slot::Slot;
use super::{Attacher, Engine};
use crate::base::{Error, Id, Kind, Lock, Result};
use crate::container::{State, capabilities};
use crate::model::HostConfig;
use crate::runtime::handle::{ExecEnd, Handle};
use crate::runtime::init::Exec;
use crate::warn;

/// Execs that do not run and are still known.
const KEPT: usize = 256;
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
        let at_rest = |exec: &ExecSnapshot| !matches!(exec.state, ExecState::Running(_));
        if all.iter().filter(|exec| at_rest(exec)).count() > KEPT {
            if let Some(oldest) = all.iter().position(at_rest) {
                all.remove(oldest);
            }
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
}

impl Engine {
    /// Makes an exec in a running container.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it does not run or is paused; `BadParameter` without a program.
    pub fn exec_create(&self, name: &str, mut config: ExecConfig) -> Result<Id> {
        let slot = self.slot(name)?;
        runs(&slot)?;
        if config.exec.args.is_empty() {
            return Err(Error::bad_parameter("No exec command specified"));
        }
        if config.privileged {
            let host = HostConfig { privileged: true, ..HostConfig::default() };
            config.exec.capabilities = Some(capabilities::granted(&host, last_capability()));
        }
        let id = Id::random();
        let action = format!("exec_create: {}", config.exec.args.join(" "));
        self.emit_container(&action, &slot.record(), &[("execID", id.to_string())]);
        let (container, state) = (slot.id.clone(), ExecState::Created);
        self.execs.add(ExecSnapshot { id: id.clone(), container, config, state });
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
        runs(&*self.slot(exec.container.as_str())?)?;
        Ok(exec)
    }

    /// Starts an exec for `client`, or for nobody; returns once its program runs.
    ///
    /// # Errors
    /// Those of [`Engine::exec_check`]; a program that cannot be run, which the client has been
    /// told as well.
    pub fn exec_start(&self, id: &str, client: Option<Attacher>) -> Result<()> {
        let exec = self.exec_check(id)?;
        let slot = self.slot(exec.container.as_str())?;
        let monitor = runs(&slot)?;
        self.claim_exec(&exec.id)?;
        let name = exec.id.as_str();
        let started = monitor.exec(name, exec.config.exec.clone(), client, |code| {
            self.execs.set(&exec.id, ExecState::Ended(code));
        });
        let (running, pid) = match started {
            Ok(started) => started,
            Err(error) => {
                if !matches!(error.kind(), Kind::ProgramNotFound | Kind::ProgramNotExecutable) {
                    self.execs.set(&exec.id, ExecState::Ended(126));
                }
                return Err(error);
            }
        };
        self.execs.set(&exec.id, ExecState::Running(pid));
        let action = format!("exec_start: {}", exec.config.exec.args.join(" "));
        self.emit_container(&action, &slot.record(), &[("execID", exec.id.to_string())]);
        let (engine, id) = (self.me(), exec.id.clone());
        self.spawn_thread("exec", move || engine.see_through(&slot, &id, running))
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

    fn see_through(&self, slot: &Slot, id: &Id, running: ExecEnd) {
        let code = running.wait().unwrap_or_else(|error| {
            warn!("exec {} in container {}: {error}", id.short(), slot.id.short());
            LOST
        });
        self.execs.set(id, ExecState::Ended(code));
        let more = [("execID", id.to_string()), ("exitCode", code.to_string())];
        self.emit_container("exec_die", &slot.record(), &more);
        // The client sees the end of its streams from now on.
        drop(running);
    }

    /// Sets the size of an exec's terminal.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it does not run or has no terminal.
    pub fn exec_resize(&self, id: &str, rows: u16, columns: u16) -> Result<()> {
        let exec = self.exec_inspect(id)?;
        let slot = self.slot(exec.container.as_str())?;
        runs(&slot)?.resize_exec(id, rows, columns)
    }
}

/// The monitor of a container that can run an exec.
fn runs(slot: &Slot) -> Result<Arc<Handle>> {
    let inner = slot.lock();
    match (&inner.state, &inner.monitor) {
        (State::Running { paused: true, .. }, _) => Err(Error::conflict(format!(
            "Container {} is paused, unpause the container before exec",
            slot.id
        ))),
        (State::Running { .. }, Some(monitor)) => Ok(Arc::clone(monitor)),
        _ => Err(Error::conflict(format!("container {} is not running", slot.id))),
    }
}
