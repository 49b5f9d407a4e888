//! The state of a container in memory, and who may do what in it.
//!
//! ```text
//!            create                      start            go has succeeded
//!   (nothing) ----> Created ---------------------> Starting ----> Running
//!                     ^  |                          |    ^           |
//!                     |  | remove                   |    |start      | the program ended
//!                     |  v                  failed  |    |           v
//!                     | Removing <------- Exited <--+--- | ------- Exited
//!                     |    |   remove                    +-----------+
//!       failed first  |    | gone from disk
//!              start  +----+--> (nothing)
//! ```
//!
//! While `Running`, a stop may be under way; that is no state of its own to clients. With a restart
//! policy `Restarting` stands in for `Exited` until the next start.

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
        /// Exit code of the last run; `None` when nobody saw its end.
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

impl State {
    /// The word of the API for it.
    pub fn word(&self) -> &'static str {
        match self {
            // A container on its way up is what it was to clients: not yet running.
            State::Created { .. } | State::Starting => "created",
            State::Running { paused: false, .. } => "running",
            State::Running { paused: true, .. } => "paused",
            State::Restarting { .. } => "restarting",
            State::Exited { .. } => "exited",
            State::Removing => "removing",
        }
    }

    /// Whether the program runs, frozen or not.
    pub fn is_running(&self) -> bool {
        matches!(self, State::Running { .. })
    }

    /// What is going on, as far as it matters to somebody who asks for something.
    pub fn activity(&self, stopping: bool) -> Activity {
        match self {
            State::Created { .. } | State::Exited { .. } => Activity::Idle,
            State::Restarting { .. } => Activity::BackOff,
            State::Starting => Activity::Starting,
            State::Running { .. } if stopping => Activity::Stopping,
            State::Running { .. } => Activity::Running,
            State::Removing => Activity::Removing,
        }
    }
}

/// What is going on with a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Nothing: created or exited.
    Idle,
    /// It will be started again in a moment.
    BackOff,
    /// A start is under way.
    Starting,
    /// The program runs.
    Running,
    /// The program runs, and a stop is under way.
    Stopping,
    /// A removal is under way.
    Removing,
    /// It is gone.
    Gone,
}

/// What somebody asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Start it.
    Start,
    /// Start it as its restart policy wants, if it still waits for that.
    StartAgain,
    /// Stop it.
    Stop,
    /// Deliver a signal.
    Kill,
    /// Remove it.
    Remove,
    /// Kill it if need be, and remove it.
    ForceRemove,
}

/// What is done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The one who asks does it.
    Claim,
    /// It is asked again when something has changed.
    Wait,
    /// Somebody else is at it: see that one through.
    Join,
    /// A signal is sent at once.
    Deliver,
    /// The next start is called off.
    CallOff,
    /// A kill is sent at once, then it is asked again when something has changed.
    KillAndWait,
    /// It already is as asked for.
    Already,
    /// It has to run for this.
    NotRunning,
    /// It must not run for this.
    StillRunning,
    /// Somebody else removes it.
    BeingRemoved,
    /// There is no such container.
    NoSuch,
}

impl Activity {
    /// The table of who waits, joins or fails.
    pub fn verdict(self, ask: Ask) -> Verdict {
        match (self, ask) {
            (Activity::BackOff, Ask::StartAgain) => Verdict::Claim,
            (Activity::Gone, Ask::ForceRemove) | (_, Ask::StartAgain) => Verdict::Already,
            (Activity::Gone, _) => Verdict::NoSuch,

            (Activity::Idle, Ask::Start | Ask::Remove | Ask::ForceRemove) => Verdict::Claim,
            (Activity::Idle, Ask::Stop) => Verdict::Already,
            (Activity::Idle, Ask::Kill) => Verdict::NotRunning,

            (Activity::BackOff, Ask::Start | Ask::ForceRemove) => Verdict::Claim,
            (Activity::BackOff, Ask::Stop | Ask::Kill) => Verdict::CallOff,
            (Activity::BackOff, Ask::Remove) => Verdict::StillRunning,

            (Activity::Starting, Ask::Remove) => Verdict::StillRunning,
            (Activity::Starting, _) => Verdict::Wait,

            (Activity::Running, Ask::Start) => Verdict::Already,
            (Activity::Running, Ask::Stop) => Verdict::Claim,

            (Activity::Stopping, Ask::Start) => Verdict::Wait,
            (Activity::Stopping, Ask::Stop) => Verdict::Join,

            (Activity::Running | Activity::Stopping, Ask::Kill) => Verdict::Deliver,
            (Activity::Running | Activity::Stopping, Ask::Remove) => Verdict::StillRunning,
            (Activity::Running | Activity::Stopping, Ask::ForceRemove) => Verdict::KillAndWait,

            (Activity::Removing, Ask::Start | Ask::ForceRemove) => Verdict::Wait,
            (Activity::Removing, Ask::Stop | Ask::Kill) => Verdict::NoSuch,
            (Activity::Removing, Ask::Remove) => Verdict::BeingRemoved,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_while_something_is_going_on() {
        use Verdict::*;
        let table = [
            // start, stop, kill, remove, remove -f
            (Activity::Idle, [Claim, Already, NotRunning, Claim, Claim]),
            (Activity::BackOff, [Claim, CallOff, CallOff, StillRunning, Claim]),
            (Activity::Starting, [Wait, Wait, Wait, StillRunning, Wait]),
            (Activity::Running, [Already, Claim, Deliver, StillRunning, KillAndWait]),
            (Activity::Stopping, [Wait, Join, Deliver, StillRunning, KillAndWait]),
            (Activity::Removing, [Wait, NoSuch, NoSuch, BeingRemoved, Wait]),
            (Activity::Gone, [NoSuch, NoSuch, NoSuch, NoSuch, Already]),
        ];
        let asks = [Ask::Start, Ask::Stop, Ask::Kill, Ask::Remove, Ask::ForceRemove];
        for (activity, expected) in table {
            for (ask, verdict) in asks.into_iter().zip(expected) {
                assert_eq!(activity.verdict(ask), verdict, "{activity:?} {ask:?}");
            }
            let again = if activity == Activity::BackOff { Claim } else { Already };
            assert_eq!(activity.verdict(Ask::StartAgain), again, "{activity:?}");
        }
    }
}
