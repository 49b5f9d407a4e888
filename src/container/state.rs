//! The state of a container in memory.

use crate::base::Timestamp;

/// What a container is doing.
#[derive(Debug, Clone, PartialEq)]
pub enum State {
    /// Never started; with the failure of the last attempt, if there was one.
    Created {
        /// Exit code of the attempt: 126, 127 or 128.
        code: i32,
        /// Why it failed.
        error: Option<String>,
    },
    /// On its way up.
    Starting,
    /// Its program runs.
    Running {
        /// Since when.
        since: Timestamp,
        /// Init's pid on the host.
        pid: i32,
        /// Frozen.
        paused: bool,
    },
    /// Ended; a restart policy will start it again at a time.
    Restarting {
        /// Exit code of the last run.
        code: i32,
        /// When the last run began.
        started_at: Timestamp,
        /// When it ended.
        finished_at: Timestamp,
    },
    /// Ended.
    Exited {
        /// Its exit code; `None` when nobody saw its end.
        code: Option<i32>,
        /// The kernel killed it for want of memory.
        oom_killed: bool,
        /// When the last run began.
        started_at: Timestamp,
        /// When it ended.
        finished_at: Timestamp,
        /// Why it could not be started, if so.
        error: Option<String>,
    },
    /// Being removed.
    Removing,
}
