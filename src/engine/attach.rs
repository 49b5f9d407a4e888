//! Attaching clients to a container's streams, and its terminal's size.
//!
//! The client's socket is handed to the monitor, which does all the work. Who comes before a run
//! is held and handed over by the start. Who asks for the log of a container that has ended gets
//! it from here, then the end.

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::slot::Slot;
use super::{Attacher, Engine, Patience, Snapshot};
use crate::base::{Context, Error, Kind, Result};
use crate::container::State;
use crate::model::LogDriver;
use crate::runtime::handle::Handle;
use crate::runtime::log::{Query, Reader};
use crate::sys::poll::{self, Interest};

/// Most attachers that wait for one container to be started.
const MAX_HELD: usize = 256;
/// How long the end of a run may take to be shown after its monitor has gone.
const END_TIME: Duration = Duration::from_secs(10);

/// Where an attacher goes.
enum Place {
    /// To the monitor of the run that is under way.
    Monitor(Arc<Handle>, u64),
    /// It waits for the next run.
    Held,
    /// It gets the log and the end.
    Replay,
}

impl Engine {
    /// Whether a client may attach now; called before the connection is taken over.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` for a paused or restarting one.
    pub fn attach_check(&self, name: &str) -> Result<Snapshot> {
        let snapshot = self.get(name)?;
        match snapshot.state {
            State::Running { paused: true, .. } => Err(Error::conflict(format!(
                "container {name} is paused, unpause the container before attach"
            ))),
            State::Restarting { .. } => Err(Error::conflict(format!(
                "container {name} is restarting, wait until the container is running"
            ))),
            _ => Ok(snapshot),
        }
    }

    /// Attaches a client: handed to the monitor at once, or held until the next run of a
    /// container that does not run. Who asks an ended one for its log gets that and the end
    /// instead of being held.
    ///
    /// # Errors
    /// `NotFound`, or the monitor is gone.
    pub fn attach(&self, name: &str, attacher: Attacher) -> Result<()> {
        let slot = self.slot(name)?;
        self.emit_container("attach", &slot.record(), &[]);
        let again = attacher.socket.try_clone().context(|| "attach".into())?;
        let Attacher { early, options, detach_keys, .. } = &attacher;
        let (early, options, detach_keys) = (early.clone(), *options, detach_keys.clone());
        let (monitor, exits) = match place(&slot, attacher)? {
            (Place::Held, _) => return Ok(()),
            (Place::Replay, Some(attacher)) => {
                self.replay(&slot, attacher);
                return Ok(());
            }
            (Place::Monitor(monitor, exits), Some(attacher)) => match monitor.attach(attacher) {
                Ok(()) => return Ok(()),
                Err(error) => {
                    crate::debug!("attach to container {}: {error}", slot.id.short());
                    (monitor, exits)
                }
            },
            (_, None) => return Ok(()),
        };
        // The run has ended under our hands: its end is shown in a moment.
        drop(monitor);
        let soon = Patience { deadline: Some(Instant::now() + END_TIME), client: None };
        slot.watch(soon, |inner| (inner.exits > exits || inner.gone).then_some(()))?;
        self.replay(&slot, Attacher { socket: again, early, options, detach_keys });
        Ok(())
    }

    /// Sends the log if it was asked for. The end of the connection is the end of the session,
    /// also where the log cannot be read any further: among its lines the client is told nothing.
    fn replay(&self, slot: &Slot, attacher: Attacher) {
        let Attacher { socket, early: _, options, detach_keys: _ } = attacher;
        if !options.logs || slot.record().host.log.driver == LogDriver::None {
            return;
        }
        let query = Query {
            stdout: options.stdout,
            stderr: options.stderr,
            framed: options.framed,
            ..Query::default()
        };
        let mut out = File::from(socket);
        let reader = Reader::open(&self.layout.io(&slot.id), &query);
        match reader.and_then(|mut reader| reader.copy_to(&mut out)) {
            Ok(()) => {}
            Err(error) if error.kind() == Kind::ClientGone => {}
            Err(error) => crate::error!("attach to container {}: {error}", slot.id.short()),
        }
    }

    /// Sets the size of the terminal.
    ///
    /// # Errors
    /// `Conflict` when it does not run.
    pub fn resize(&self, name: &str, rows: u16, columns: u16) -> Result<()> {
        let slot = self.slot(name)?;
        let not_running = || Error::conflict(format!("container {} is not running", slot.id));
        let monitor = {
            let inner = slot.lock();
            let runs = matches!(inner.state, State::Running { .. } | State::Starting);
            inner.monitor.clone().filter(|_| runs).ok_or_else(not_running)?
        };
        monitor.resize(rows, columns).map_err(|error| match error.kind() {
            Kind::Conflict if slot.record().config.tty => not_running(),
            _ => error,
        })?;
        let size = [("height", rows.to_string()), ("width", columns.to_string())];
        self.emit_container("resize", &slot.record(), &size);
        Ok(())
    }
}

/// Decides where the attacher goes; one that is held is kept, any other given back.
fn place(slot: &Slot, attacher: Attacher) -> Result<(Place, Option<Attacher>)> {
    let mut inner = slot.lock();
    let under_way = matches!(inner.state, State::Running { .. } | State::Starting);
    let monitor = inner.monitor.clone().filter(|_| under_way);
    if let Some(monitor) = monitor {
        return Ok((Place::Monitor(monitor, inner.exits), Some(attacher)));
    }
    let ended = match inner.state {
        State::Exited { .. } => true,
        // Its program could not be started: in old versions that was a run like any other.
        State::Created { code, .. } => code != 0 && attacher.options.once,
        _ => false,
    };
    let gone = inner.gone || matches!(inner.state, State::Removing);
    let options = attacher.options;
    if gone || !options.stream || (ended && (options.logs || options.once)) {
        return Ok((Place::Replay, Some(attacher)));
    }
    inner.held.retain(|held| !has_left(held));
    if inner.held.len() >= MAX_HELD {
        return Err(Error::new(
            Kind::Unavailable,
            format!("too many clients wait for container {} to be started", slot.id.short()),
        ));
    }
    inner.held.push(attacher);
    Ok((Place::Held, None))
}

/// Whether the client has closed both directions. One that ended its input alone still waits for
/// output.
fn has_left(attacher: &Attacher) -> bool {
    use std::os::fd::AsFd;
    let socket = attacher.socket.as_fd();
    poll::wait(&[(socket, Interest::GONE)], Some(Instant::now()))
        .is_ok_and(|ready| ready[0].hung_up())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::base::Timestamp;
    use crate::engine::AttachOptions;
    use crate::engine::tests::record;

    fn attacher(logs: bool, stream: bool) -> (Attacher, UnixStream) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let options = AttachOptions {
            stdin: true,
            stdout: true,
            stderr: true,
            logs,
            stream,
            framed: true,
            once: false,
        };
        let socket = ours.into();
        (Attacher { socket, early: Vec::new(), options, detach_keys: Vec::new() }, theirs)
    }

    fn slot(state: State) -> Slot {
        Slot::new(Arc::new(record("web")), state)
    }

    #[test]
    fn who_comes_before_a_run_is_held_and_who_left_is_forgotten() {
        let slot = slot(State::Created { code: 0, error: None });
        for _ in 0..1000 {
            let (one, client) = attacher(false, true);
            assert!(matches!(place(&slot, one).unwrap(), (Place::Held, None)));
            drop(client);
        }
        assert_eq!(slot.lock().held.len(), 1);
        let clients: Vec<_> = (0..MAX_HELD).map(|_| attacher(true, true)).collect();
        let mut kept = Vec::new();
        for (one, client) in clients {
            place(&slot, one).unwrap();
            client.shutdown(std::net::Shutdown::Write).unwrap();
            kept.push(client);
        }
        let (one, _client) = attacher(false, true);
        assert_eq!(place(&slot, one).err().unwrap().kind(), Kind::Unavailable);
    }

    #[test]
    fn an_ended_container_replays_its_log_or_holds_for_its_next_run() {
        let slot = slot(State::Exited {
            code: Some(0),
            oom_killed: false,
            started_at: Timestamp::ZERO,
            finished_at: Timestamp::ZERO,
            error: None,
        });
        let kind = |logs, stream| place(&slot, attacher(logs, stream).0).unwrap().0;
        assert!(matches!(kind(true, true), Place::Replay));
        assert!(matches!(kind(true, false), Place::Replay));
        assert!(matches!(kind(false, true), Place::Held));
        let (mut old, _client) = attacher(false, true);
        old.options.once = true;
        assert!(matches!(place(&slot, old).unwrap().0, Place::Replay));
        slot.lock().state = State::Created { code: 127, error: None };
        let (mut old, _client) = attacher(false, true);
        assert!(matches!(kind(false, true), Place::Held));
        old.options.once = true;
        assert!(matches!(place(&slot, old).unwrap().0, Place::Replay));
        slot.lock().state = State::Removing;
        assert!(matches!(kind(false, true), Place::Replay));
    }
}
