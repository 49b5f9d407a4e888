//! After a start of the daemon: find what still runs, settle what has ended, clean up.
//!
//! - A record that says `Starting` of run N is settled by run N's `exit.json`, else by its living
//!   monitor, else its end is unknown.
//! - What belongs to no running container is released by id: processes, cgroups, work and run
//!   directories. Only what carries the id of one of our containers is touched, or what is in our
//!   own run directory.

use std::collections::HashSet;
use std::sync::Arc;

use super::slot::Slot;
use super::{Engine, Patience};
use crate::base::{Id, Kind, Result, Timestamp, tree};
use crate::container::dir::Found;
use crate::container::{Record, State};
use crate::runtime::handle::{Exit, Handle, Status, read_exit};
use crate::warn;

/// What [`State::Exited`] says when nobody saw the end.
const UNKNOWN_END: &str = "exit code unknown: the container ended while nobody watched it";

/// How a container was found.
enum Fate {
    /// Nothing of it runs.
    AtRest(State),
    /// Its monitor answered.
    Lives(Arc<Handle>, Status),
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
        let mut again = Vec::new();
        let mut dead = Vec::new();
        for (record, worked) in records {
            let record = Arc::new(record);
            let id = record.id.clone();
            let has_run_dir = run_dirs.remove(&id);
            let has_groups = groups.contains(&id);
            let fate = self.fate(&record, has_run_dir);
            if matches!(fate, Fate::AtRest(_)) && (worked || has_run_dir || has_groups) {
                self.release(&id);
            }
            // A monitor may have ended between the two looks: its exit.json is there by now.
            let fate = match fate {
                Fate::AtRest(State::Exited { code: None, .. }) => self.at_rest(&record),
                fate => fate,
            };
            if let Fate::AtRest(State::Exited { code, .. }) = &fate {
                if record.host.auto_remove {
                    dead.push(id.clone());
                } else if code.is_none() && self.options.restart && record.host.restart.is_none() {
                    again.push(id.clone());
                }
            }
            self.take_over(record, fate);
        }
        // Cgroups alone tell nothing: those of other daemons on this host are beside ours.
        for id in run_dirs {
            warn!("container {} is unknown: what is left of its run is removed", id.short());
            self.release(&id);
        }
        self.delete(rubbish);
        for id in dead {
            let slot = self.slot(id.as_str())?;
            self.remove_if_automatic(&slot);
        }
        self.start_again(again)
    }

    fn fate(&self, record: &Record, has_run_dir: bool) -> Fate {
        if !record.has_run() {
            return Fate::AtRest(State::Created { code: 0, error: None });
        }
        let settled = self.at_rest(record);
        if !has_run_dir || !matches!(settled, Fate::AtRest(State::Exited { code: None, .. })) {
            return settled;
        }
        // Twice: one that is starved of time may miss the first deadline.
        for _ in 0..2 {
            match Handle::connect(&self.run_dir(&record.id), &record.id) {
                Ok(Some((monitor, status))) if status.run == record.run => {
                    return Fate::Lives(Arc::new(monitor), status);
                }
                // It may have ended while we looked.
                Ok(_) => return self.at_rest(record),
                Err(error) => warn!("container {}: {error}", record.id.short()),
            }
        }
        settled
    }

    fn at_rest(&self, record: &Record) -> Fate {
        Fate::AtRest(settle(record, read_exit(&self.layout.io(&record.id))))
    }

    /// Puts a container among the others; one that lives gets its supervising thread.
    fn take_over(&self, record: Arc<Record>, fate: Fate) {
        self.images.pin(&record.image, &record.id);
        let (state, monitor) = match fate {
            Fate::AtRest(state) => (state, None),
            Fate::Lives(monitor, status) => {
                let since = status.started_at.unwrap_or(record.created);
                let pid = status.init_pid.unwrap_or(0);
                (State::Running { since, pid, paused: status.paused }, Some(monitor))
            }
        };
        let slot = Arc::new(Slot::new(Arc::clone(&record), state));
        slot.lock().monitor.clone_from(&monitor);
        {
            let mut containers = self.containers.lock();
            let owner = (record.id.clone(), record.image);
            if let Some((other, _)) = containers.names.insert(record.name.clone(), owner) {
                warn!("containers {} and {} have one name", other.short(), record.id.short());
            }
            containers.by_id.insert(record.id.clone(), Arc::clone(&slot));
        }
        let Some(monitor) = monitor else { return };
        let (engine, watched) = (self.me(), Arc::clone(&slot));
        let run = record.run;
        let supervised = self.spawn_thread("supervise", move || {
            engine.supervise(&watched, &monitor, run);
        });
        if let Err(error) = supervised {
            warn!("container {} runs unwatched: {error}", record.id.short());
        }
    }

    /// `-r`: containers that were made without a restart policy and whose end nobody saw, as after
    /// a power cut, are started again.
    fn start_again(&self, ids: Vec<Id>) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let engine = self.me();
        self.spawn_thread("restart", move || {
            for id in ids {
                match engine.start(id.as_str(), Patience::default()) {
                    Ok(()) => {}
                    Err(error) if matches!(error.kind(), Kind::NotModified | Kind::NotFound) => {}
                    Err(error) => warn!("start container {} again: {error}", id.short()),
                }
            }
        })
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

/// The state of a container at rest whose record says that run `record.run` was allowed to begin,
/// by what its `exit.json` says.
pub(super) fn settle(record: &Record, exit: Option<Exit>) -> State {
    let Some(exit) = exit.filter(|exit| exit.run == record.run) else {
        return State::Exited {
            code: None,
            oom_killed: false,
            started_at: record.created,
            finished_at: Timestamp::now(),
            error: Some(UNKNOWN_END.to_owned()),
        };
    };
    let Exit { run, code, oom_killed, started_at, finished_at, error } = exit;
    match error {
        // The first run came to nothing: the container has never been started.
        Some(error) if run == 1 => State::Created { code, error: Some(error) },
        error => State::Exited { code: Some(code), oom_killed, started_at, finished_at, error },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::DiskState;
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
        record.state = DiskState::Starting;
        let code = |exit: Option<Exit>| match settle(&record, exit) {
            State::Exited { code, error, .. } => (code, error),
            state => panic!("{state:?}"),
        };
        assert_eq!(code(Some(exit(2, 3, None))), (Some(3), None));
        assert_eq!(code(Some(exit(1, 3, None))), (None, Some(UNKNOWN_END.into())));
        assert_eq!(code(None), (None, Some(UNKNOWN_END.into())));
        assert_eq!(code(Some(exit(2, 127, Some("no x")))), (Some(127), Some("no x".into())));
    }

    #[test]
    fn a_first_run_that_failed_leaves_the_container_created() {
        let mut record = record("web");
        record.run = 1;
        let state = settle(&record, Some(exit(1, 127, Some("no x"))));
        assert_eq!(state, State::Created { code: 127, error: Some("no x".into()) });
    }
}
