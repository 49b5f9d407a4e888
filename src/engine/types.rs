//! What the callers of the engine give and get: plain values.

use std::collections::BTreeMap;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crate::base::{Id, Timestamp};
use crate::container::{Record, State};
use crate::model::{
    Attachment, Endpoint, FirewallChoice, Health, HostConfig, LogConfig, RunConfig, Signal,
};

/// What the engine is opened with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Data root.
    pub root: PathBuf,
    /// Directory of run-time files.
    pub run_root: PathBuf,
    /// `-r`: restart containers that were running and have no policy.
    pub restart: bool,
    /// DNS servers for containers.
    pub dns: Vec<String>,
    /// `-b`.
    pub bridge: String,
    /// Who is to keep the packet rules.
    pub firewall: FirewallChoice,
    /// Default logging of containers.
    pub log: LogConfig,
    /// Labels of this daemon.
    pub labels: Vec<String>,
}

/// How long a call may wait, and whose going away ends the wait.
#[derive(Debug, Clone, Copy, Default)]
pub struct Patience<'a> {
    /// Gives up then, with `TimedOut`.
    pub deadline: Option<Instant>,
    /// Gives up when this socket's peer has gone, with `ClientGone`.
    pub client: Option<BorrowedFd<'a>>,
}

/// A container at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Its record.
    pub record: Arc<Record>,
    /// Its state.
    pub state: State,
    /// Its places on networks, while it runs; the first one is its way out.
    pub networks: Arc<[Attachment]>,
    /// What health checks have come to; none where there are no checks, or no start yet.
    pub health: Option<Arc<Health>>,
}

/// What a container is to be made of.
#[derive(Debug, Clone, Default)]
pub struct CreateRequest {
    /// Wished name; `None` makes one up.
    pub name: Option<String>,
    /// What is to run; merged with the image's.
    pub config: RunConfig,
    /// What the host grants. `log` is the daemon's default where the request named none.
    pub host: HostConfig,
    /// Whether the request chose a log configuration.
    pub log_given: bool,
    /// Networks asked for.
    pub endpoints: BTreeMap<String, Endpoint>,
    /// `os/arch[/variant]` asked for.
    pub platform: Option<String>,
}

/// A made container.
#[derive(Debug, Clone)]
pub struct Created {
    /// Its id.
    pub id: Id,
    /// What could not be honoured, as sentences.
    pub warnings: Vec<String>,
}

/// Which containers a list shows.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    /// Stopped ones as well.
    pub all: bool,
    /// At most so many, newest first, in any state; 0 is no limit.
    pub limit: usize,
    /// `id name label status ancestor before since exited …`; same key or, other keys and.
    pub filters: Filters,
}

/// Filters by key.
pub type Filters = BTreeMap<String, Vec<String>>;

/// What a `wait` waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitCondition {
    /// Not running; at once when it does not run.
    NotRunning,
    /// The end of the next run (or of this one).
    NextExit,
    /// Gone.
    Removed,
}

/// How a `stop` or `restart` ends the program.
#[derive(Debug, Clone, Copy, Default)]
pub struct StopHow {
    /// Instead of the container's own stop signal.
    pub signal: Option<Signal>,
    /// Seconds before SIGKILL; -1 for ever; `None` is the container's own, else 10.
    pub timeout: Option<i64>,
}

/// How a container is removed.
#[derive(Debug, Clone, Copy, Default)]
pub struct RemoveHow {
    /// Kill it first.
    pub force: bool,
    /// Its anonymous volumes, too.
    pub volumes: bool,
}

/// Which part of a log is wanted.
#[derive(Debug, Clone, Default)]
pub struct LogQuery {
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// Go on with what comes.
    pub follow: bool,
    /// Put the time before each line.
    pub timestamps: bool,
    /// Not older than.
    pub since: Option<Timestamp>,
    /// Not newer than.
    pub until: Option<Timestamp>,
    /// Only the last lines.
    pub tail: Option<u64>,
    /// Eight-byte stdcopy headers; false is raw.
    pub framed: bool,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// `container`, `image`, `network`, `volume`, `daemon`.
    pub kind: &'static str,
    /// `create`, `start`, `die`, `kill`, …
    pub action: String,
    /// Id of what it happened to.
    pub id: String,
    /// `name`, `image`, `exitCode`, `signal`, labels, …
    pub attributes: BTreeMap<String, String>,
    /// When.
    pub time: Timestamp,
}

/// Which events are wanted.
#[derive(Debug, Clone, Default)]
pub struct EventQuery {
    /// Those of before, from then on.
    pub since: Option<Timestamp>,
    /// End there.
    pub until: Option<Timestamp>,
    /// `type event container image label …`.
    pub filters: Filters,
}

/// The state of the whole, for `info`.
#[derive(Debug, Clone, Default)]
pub struct Info {
    /// A random id of this installation.
    pub id: String,
    /// Containers by state.
    pub running: usize,
    /// Frozen ones.
    pub paused: usize,
    /// All others.
    pub stopped: usize,
    /// Images.
    pub images: usize,
    /// `overlay2` or `vfs`.
    pub driver: String,
    /// Name and value pairs about the driver.
    pub driver_status: Vec<(String, String)>,
    /// `1` or `2`.
    pub cgroup_version: String,
    /// Memory limits work.
    pub memory_limit: bool,
    /// Swap limits work.
    pub swap_limit: bool,
    /// CPU shares and quota work.
    pub cpu_shares: bool,
    /// Cpusets work.
    pub cpuset: bool,
    /// Process limits work.
    pub pids_limit: bool,
    /// Seccomp filters work.
    pub seccomp: bool,
    /// IPv4 forwarding is on.
    pub ipv4_forwarding: bool,
    /// Sentences about what is missing.
    pub warnings: Vec<String>,
    /// Data root.
    pub root: PathBuf,
    /// Kernel release.
    pub kernel: String,
    /// `PRETTY_NAME` of the host.
    pub operating_system: String,
    /// `x86_64`, `aarch64`, `armv7l`.
    pub architecture: String,
    /// Processors.
    pub cpus: usize,
    /// Bytes of memory.
    pub memory: u64,
    /// Host name.
    pub name: String,
    /// Debug lines are on.
    pub debug: bool,
    /// Open descriptors of the daemon.
    pub fds: usize,
    /// Threads of the daemon.
    pub threads: usize,
    /// Subscribers to events.
    pub event_listeners: usize,
    /// Labels of this daemon.
    pub labels: Vec<String>,
}
