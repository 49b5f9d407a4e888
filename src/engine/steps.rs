//! The named steps at which crash tests kill the daemon.

/// Every step that `base::step::done` is called with in the engine and in `container`. After a
/// death at any of them a new start finds: what was answered is there, nothing half-made is
/// listed, nothing of a dead run is left behind.
pub const STEPS: &[&str] = &[
    // The new container's directory is whole under its temporary name.
    "create.made",
    // It is there under its own name, durably.
    "create.recorded",
    // Run directory and cgroups are made.
    "start.prepared",
    // The monitor has been spawned and waits.
    "start.spawned",
    // `Starting{run}` is on disk.
    "start.recorded",
    // Attachers have been handed to the monitor.
    "start.handed-over",
    // The program runs.
    "start.gone",
    // The monitor has told the end, which is on disk.
    "exit.told",
    // Cgroups, work directory and run directory are gone.
    "exit.released",
    // The container's directory is out of sight, durably.
    "remove.discarded",
    // Its files are deleted.
    "remove.deleted",
    // Its record has the new name.
    "rename.recorded",
];
