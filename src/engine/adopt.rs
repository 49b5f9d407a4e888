//! After a start of the daemon: find what still runs, settle what has ended, clean up.
//!
//! - A record that says `Starting` of run N is settled by run N's `exit.json`, else by its living
//!   monitor, else its end is unknown.
//! - What belongs to no running container is released by id: processes, cgroups, work and run
//!   directories. Only what carries the id of one of our containers is touched, or what is in our
//!   own run directory.
//! - A daemon that is short of descriptors, memory or threads does not start, rather than take
//!   what runs for dead.

use std::collections::HashSet;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::slot::Slot;
use super::{Engine, policy};
use crate::base::{Context, Id, Result, Timestamp, is_shortage, tree};
use crate::container::dir::Found;
use crate::container::{DiskState, Record, State};
use crate::model::{Attachment, NetworkMode};
use crate::runtime::handle::{Exit, Handle, Status, try_read_exit};
use crate::runtime::launch::Launch;
use crate::warn;

/// What [`State::Exited`] says when nobody saw the end.
const UNKNOWN_END: &str = "exit code unknown: the container ended while nobody watched it";

/// How long a monitor may take to bring a program up that the daemon before us let go.
const RISE_TIME: Duration = Duration::from_secs(2);

/// How a container was found.
enum Fate {
    /// Nothing of it runs.
    AtRest(State),
    /// Its monitor answered.
    Lives(Arc<Handle>, Status),
    /// It ran, and nobody can tell how that ended.
    Unknown,
}

impl Engine {
    /// Reads all records, takes over what runs, releases what does not.
    pub(super) fn adopt(&self) -> Result<()> {
        let Found { records, rubbish } = self.layout.load()?;
        let mut run_dirs = self.run_dirs();
        for (record, _) in &records {
            if let Err(error) = self.cgroups.remember_parent(&record.host.cgroup_parent) {
                warn!("container {}: {error}", record.id.short());
            }
        }
        let groups: HashSet<Id> = self.cgroups.ids().into_iter().collect();
        let mut waiting = Vec::new();
        let mut dead = Vec::new();
        for (mut record, worked) in records {
            let id = record.id.clone();
            let has_run_dir = run_dirs.remove(&id);
            let fate = self.fate(&record, has_run_dir)?;
            if !matches!(fate, Fate::Lives(..)) && (worked || has_run_dir || groups.contains(&id)) {
                self.release(&id);
            }
            // A daemon that sees the end of a run leaves nothing of it.
            let unseen = worked || has_run_dir || matches!(fate, Fate::Unknown);
            let (mut state, monitor) = match fate {
                Fate::AtRest(state) => (state, None),
                Fate::Lives(monitor, status) => (running(&status, &record), Some(monitor)),
                Fate::Unknown => (self.lose(&mut record), None),
            };
            let again = policy::wants_at_boot(&record, &state, unseen, self.options.restart);
            if again && policy::is_active(&record) {
                state = policy::restarting(state);
            }
            if matches!(state, State::Exited { .. }) && record.host.auto_remove {
                dead.push(id);
            }
            let slot = self.take_over(Arc::new(record), state, monitor)?;
            waiting.extend(again.then_some(slot));
        }
        // Cgroups alone tell nothing: those of other daemons on this host are beside ours.
        for id in run_dirs {
            warn!("container {} is unknown: what is left of its run is removed", id.short());
            self.release(&id);
        }
        let engine = Weak::clone(&self.me);
        self.networks.settle(Box::new(move || {
            engine.upgrade().map(|engine| engine.running()).unwrap_or_default()
        }))?;
        self.serve_ports();
        self.refresh_names();
        self.watch_resolvers();
        self.sweep(rubbish);
        for id in dead {
            let slot = self.slot(id.as_str())?;
            self.remove_if_automatic(&slot);
        }
        self.start_all(waiting)
    }

    /// Fails when this process is short of something: that says nothing about the container,
    /// which must not be taken for dead then.
    fn fate(&self, record: &Record, has_run_dir: bool) -> Result<Fate> {
        if let Some(state) = self.settled(record)? {
            return Ok(Fate::AtRest(state));
        }
        if !has_run_dir {
            return Ok(Fate::Unknown);
        }
        let began = Instant::now();
        let mut failures = 0;
        loop {
            match Handle::connect(&self.run_dir(&record.id), &record.id) {
                Ok(Some((monitor, status))) if status.run == record.run => {
                    // On its way up or giving up, since the daemon before us died at that moment.
                    if status.started_at.is_some() || began.elapsed() > RISE_TIME {
                        return Ok(Fate::Lives(Arc::new(monitor), status));
                    }
                    std::thread::sleep(Duration::from_millis(10));
                }
                Ok(_) => break,
                Err(error) if error.is_shortage() => {
                    return Err(error)
                        .context(|| format!("take over container {}", record.id.short()));
                }
                Err(error) => {
                    warn!("container {}: {error}", record.id.short());
                    failures += 1;
                    // One that is starved of time may miss the first deadline.
                    if failures == 2 {
                        break;
                    }
                }
            }
        }
        // It may have ended while we looked: its exit.json is there by now.
        Ok(self.settled(record)?.map_or(Fate::Unknown, Fate::AtRest))
    }

    /// As [`settle`], by the `exit.json` on disk. One that cannot be read counts as missing.
    fn settled(&self, record: &Record) -> Result<Option<State>> {
        let id = record.id.short();
        let exit = match try_read_exit(&self.layout.io(&record.id)) {
            Ok(exit) => exit,
            Err(error) if is_shortage(&error) => {
                return Err(error).context(|| format!("read how container {id} ended"));
            }
            Err(error) => {
                warn!("read how container {id} ended: {error}");
                None
            }
        };
        Ok(settle(record, exit))
    }

    /// Puts on record that nobody knows how the run ended. Dying here, the next start does so.
    fn lose(&self, record: &mut Record) -> State {
        let finished_at = Timestamp::now();
        let started_at = self.layout.written_at(&record.id).unwrap_or(record.created);
        record.state = DiskState::Lost { started_at, finished_at };
        if let Err(error) = self.layout.write(record) {
            warn!("{error}");
        }
        lost(started_at, finished_at)
    }

    /// Puts a container among the others; one that lives gets its supervising thread.
    fn take_over(
        &self,
        record: Arc<Record>,
        state: State,
        monitor: Option<Arc<Handle>>,
    ) -> Result<Arc<Slot>> {
        self.images.pin(&record.image, &record.id);
        let slot = Arc::new(Slot::new(Arc::clone(&record), state));
        let networks = match &monitor {
            Some(_) => self.take_over_networks(&record)?,
            None => Arc::default(),
        };
        {
            let mut inner = slot.lock();
            inner.networks = networks;
            inner.monitor.clone_from(&monitor);
            inner.unwanted = record.stopped_by_user;
        }
        {
            let mut containers = self.containers.lock();
            let owner = (record.id.clone(), record.image);
            if let Some((other, _)) = containers.names.insert(record.name.clone(), owner) {
                warn!("containers {} and {} have one name", other.short(), record.id.short());
            }
            containers.by_id.insert(record.id.clone(), Arc::clone(&slot));
        }
        let Some(monitor) = monitor else { return Ok(slot) };
        self.adopt_execs(&slot, &monitor)?;
        self.adopt_health(&slot, &monitor);
        self.watch_health(&slot);
        let (engine, watched) = (self.me(), Arc::clone(&slot));
        let run = record.run;
        // Nobody would see the end of one that is not watched.
        self.spawn_thread("supervise", move || engine.supervise(&watched, monitor, run))
            .context(|| format!("watch container {}", record.id.short()))?;
        Ok(slot)
    }

    /// What a running container holds on networks, by its launch file.
    fn take_over_networks(&self, record: &Record) -> Result<Arc<[Attachment]>> {
        let own = matches!(record.host.network_mode, NetworkMode::Default | NetworkMode::Named(_));
        if !own {
            return Ok(Arc::default());
        }
        match Launch::read(&self.run_dir(&record.id)) {
            Ok(launch) => {
                self.networks.adopt(&record.id, &launch.networks);
                Ok(launch.networks.into())
            }
            Err(error) if error.is_shortage() => Err(error),
            Err(error) => {
                warn!("container {}: its place in the network: {error}", record.id.short());
                Ok(Arc::default())
            }
        }
    }

    /// Containers that have a run directory. Anything else in there is not ours.
    fn run_dirs(&self) -> HashSet<Id> {
        let entries = std::fs::read_dir(&self.options.run_root).into_iter().flatten().flatten();
        let mut ids = HashSet::new();
        for entry in entries {
            let name = entry.file_name();
            let Some(id) = name.to_str().and_then(Id::parse) else { continue };
            match std::fs::read_dir(entry.path()) {
                Ok(_) => drop(ids.insert(id)),
                Err(_) => drop(tree::remove(&entry.path())),
            }
        }
        ids
    }
}

fn running(status: &Status, record: &Record) -> State {
    State::Running {
        since: status.started_at.unwrap_or(record.created),
        pid: status.init_pid.unwrap_or(0),
        paused: status.paused,
    }
}

/// The state of a container at rest, by its record and the `exit.json` that it has. `None` when
/// its run was allowed to begin and nobody has told its end.
pub(super) fn settle(record: &Record, exit: Option<Exit>) -> Option<State> {
    match record.state {
        DiskState::Created => Some(State::Created { code: 0, error: None }),
        DiskState::Lost { started_at, finished_at } => Some(lost(started_at, finished_at)),
        DiskState::Starting => {
            let exit = exit.filter(|exit| exit.run == record.run)?;
            let Exit { run, code, oom_killed, started_at, finished_at, error } = exit;
            Some(match error {
                // The first run came to nothing: the container has never been started.
                Some(error) if run == 1 => State::Created { code, error: Some(error) },
                error => {
                    State::Exited { code: Some(code), oom_killed, started_at, finished_at, error }
                }
            })
        }
    }
}

pub(super) fn lost(started_at: Timestamp, finished_at: Timestamp) -> State {
    let error = Some(UNKNOWN_END.to_owned());
    State::Exited { code: None, oom_killed: false, started_at, finished_at, error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::record;

    fn exit(run: u64, code: i32, error: Option<&str>) -> Exit {
        Exit {
            run,
            code,
            oom_killed: false,
            started_at: Timestamp { seconds: 5, nanos: 0 },
            finished_at: Timestamp { seconds: 9, nanos: 0 },
            error: error.map(str::to_owned),
        }
    }

    #[test]
    fn a_run_is_settled_by_its_own_exit_alone() {
        let mut record = record("web");
        record.run = 2;
        let created = State::Created { code: 0, error: None };
        assert_eq!(settle(&record, Some(exit(2, 3, None))), Some(created));
        record.state = DiskState::Starting;
        let code = |exit: Option<Exit>| match settle(&record, exit) {
            Some(State::Exited { code, error, .. }) => Some((code, error)),
            Some(state) => panic!("{state:?}"),
            None => None,
        };
        assert_eq!(code(Some(exit(2, 3, None))), Some((Some(3), None)));
        assert_eq!(code(Some(exit(1, 3, None))), None);
        assert_eq!(code(None), None);
        assert_eq!(code(Some(exit(2, 127, Some("no x")))), Some((Some(127), Some("no x".into()))));
    }

    #[test]
    fn a_lost_run_stays_lost() {
        let mut record = record("web");
        let (started_at, finished_at) = (record.created, Timestamp::now());
        record.state = DiskState::Lost { started_at, finished_at };
        let state = settle(&record, Some(exit(0, 3, None))).unwrap();
        assert_eq!(state, lost(started_at, finished_at));
        assert_eq!(super::super::wait::last_exit(&state).0, 255);
    }

    #[test]
    fn a_first_run_that_failed_leaves_the_container_created() {
        let mut record = record("web");
        record.run = 1;
        record.state = DiskState::Starting;
        let state = settle(&record, Some(exit(1, 127, Some("no x"))));
        assert_eq!(state, Some(State::Created { code: 127, error: Some("no x".into()) }));
    }
}
