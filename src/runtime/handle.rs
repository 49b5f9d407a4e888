//! The daemon's end of a monitor.
//!
//! Two kinds of connection: the *control* connection, made at spawn or at adoption, on which the
//! monitor tells of readiness and exit; and short *request* connections to its socket, one per
//! call, so that calls never wait for each other. Every call has a deadline.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::launch::Launch;
use crate::base::{Id, Kind, Result, Timestamp};
use crate::model::Signal;

/// How a run ended. Also the content of `exit.json`, which the monitor writes durably before it
/// closes the streams of attachers and tells the daemon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The run that ended.
    pub run: u64,
    /// Exit code: the program's own, or 128 + signal.
    pub code: i32,
    /// Whether the kernel killed a process of the container for want of memory.
    #[serde(default)]
    pub oom_killed: bool,
    /// When the program was started.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Timestamp,
    /// Why the program could not be started, when it never ran (code is then 126, 127 or 128).
    #[serde(default)]
    pub error: Option<String>,
}

/// A program that could not be started; the answer to [`Handle::go`].
#[derive(Debug, Clone)]
pub struct StartFailure {
    /// `ProgramNotFound` (127), `ProgramNotExecutable` (126) or `Internal` (128).
    pub kind: Kind,
    /// What went wrong, for people.
    pub message: String,
}

/// What an attacher wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachOptions {
    /// Bytes from the client go to the program.
    pub stdin: bool,
    /// Standard output (or the terminal) goes to the client.
    pub stdout: bool,
    /// Standard error goes to the client.
    pub stderr: bool,
    /// Replay the whole log first, without a gap to the live stream.
    pub logs: bool,
    /// Stream live output; false ends after the replay.
    pub stream: bool,
    /// Eight-byte stdcopy headers before each piece; false is raw.
    pub framed: bool,
}

/// One client to be attached: its socket, the bytes that it sent ahead, and what it wants.
#[derive(Debug)]
pub struct Attacher {
    /// The client's socket itself, or one end of a socketpair that a thread pumps.
    pub socket: OwnedFd,
    /// Input that arrived with the request's head.
    pub early: Vec<u8>,
    /// What it wants.
    pub options: AttachOptions,
    /// Bytes of the detach sequence; empty is none. Only looked for with a terminal.
    pub detach_keys: Vec<u8>,
}

/// A running (or about to run) container's monitor. Cheap to share behind an `Arc`.
pub struct Handle {}

/// What a monitor answers about itself.
#[derive(Debug, Clone)]
pub struct Status {
    /// The run that it watches.
    pub run: u64,
    /// The init process on the host, once started.
    pub init_pid: Option<i32>,
    /// When the program was started.
    pub started_at: Option<Timestamp>,
    /// Whether somebody stopped it for a while (freezer).
    pub paused: bool,
}

impl Handle {
    /// Writes the launch file and spawns a monitor for it. Returns at once: the monitor prepares
    /// namespaces and mounts while the caller writes its record; what fails there is told by
    /// [`Handle::go`].
    ///
    /// # Errors
    /// When the launch file cannot be written or the monitor cannot be spawned.
    pub fn spawn(_launch: &Launch) -> Result<Handle> {
        todo!()
    }

    /// Connects to the monitor whose run directory is `run_dir`, if one lives there.
    ///
    /// # Errors
    /// When a monitor is there but does not answer within the deadline.
    pub fn connect(_run_dir: &Path, _id: &Id) -> Result<Option<(Handle, Status)>> {
        todo!()
    }

    /// The monitor's own process.
    pub fn monitor_pid(&self) -> i32 {
        todo!()
    }

    /// Waits until all is prepared and starts the program. Returns the pid of init on the host once exec has succeeded, with the
    /// time of the start; else why it could not be started, after `exit.json` has been written.
    ///
    /// # Errors
    /// When the monitor died or did not answer within the deadline.
    pub fn go(&self) -> Result<Result<(i32, Timestamp), StartFailure>> {
        todo!()
    }

    /// Attaches a client. Before `go` it misses nothing.
    ///
    /// # Errors
    /// When the monitor is gone.
    pub fn attach(&self, _attacher: Attacher) -> Result<()> {
        todo!()
    }

    /// Sends `signal` to the init of the container.
    ///
    /// # Errors
    /// `Conflict` when it has ended already.
    pub fn signal(&self, _signal: Signal) -> Result<()> {
        todo!()
    }

    /// Sets the size of the terminal.
    ///
    /// # Errors
    /// `Conflict` when it has none or has ended.
    pub fn resize(&self, _rows: u16, _columns: u16) -> Result<()> {
        todo!()
    }

    /// Blocks until the run has ended and its exit is on disk. Called by one thread only, the
    /// one that supervises this container.
    ///
    /// # Errors
    /// When the monitor died without telling (killed, out of memory).
    pub fn wait_exit(&self) -> Result<Exit> {
        todo!()
    }

    /// Gives a monitor up that has not been told to `go`: it ends, and nothing has run.
    pub fn abandon(&self) {
        todo!()
    }

    /// Kills the container's processes and waits, at most `deadline`, for its monitor to end.
    pub fn kill(&self, _deadline: Duration) {
        todo!()
    }
}

/// Reads `exit.json` of a container's `io` directory, if there is a readable one.
pub fn read_exit(_io_dir: &Path) -> Option<Exit> {
    todo!()
}
