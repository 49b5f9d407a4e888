//! The use cases; owns all shared state.
//!
//! Lock order: container map, one container's slot, images, network, volumes, events. Never take
//! an earlier one while holding a later. A lock is held for memory work only.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crate::base::{Digest, Id, Result, Timestamp};
use crate::container::{Record, State};
use crate::image::{Image, ImportSpec, Removed};
use crate::model::{Endpoint, HostConfig, LogConfig, Reference, RunConfig, Signal};
pub use crate::runtime::handle::{AttachOptions, Attacher};

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
    /// Default logging of containers.
    pub log: LogConfig,
    /// Labels of this daemon.
    pub labels: Vec<String>,
}

/// The engine. Shared by all connection threads.
pub struct Engine {}

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

/// A wait that has been registered: nothing that happens from now on is missed.
pub struct Waiter {}

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

/// A subscription to events.
pub struct EventStream {}

impl EventStream {
    /// The next event; `None` at the end of the asked time.
    ///
    /// # Errors
    /// `ClientGone`; `Internal` when the reader was so slow that events were dropped.
    pub fn next(&mut self, _patience: Patience<'_>) -> Result<Option<Event>> {
        todo!()
    }
}

impl Waiter {
    /// Blocks until it has come about: exit code, and why the program could not be started.
    ///
    /// # Errors
    /// `ClientGone`, `TimedOut`.
    pub fn wait(self, _patience: Patience<'_>) -> Result<(i32, Option<String>)> {
        todo!()
    }
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

impl Engine {
    /// Opens the data root, adopts what still runs, cleans up what does not.
    ///
    /// # Errors
    /// When the root is in use by another daemon or cannot be read. A damaged container or image
    /// is quarantined and logged instead.
    pub fn open(_options: Options) -> Result<Arc<Engine>> {
        todo!()
    }

    /// The state of the whole.
    pub fn info(&self) -> Info {
        todo!()
    }

    /// A request that will soon start a container has begun to arrive: what can be begun early
    /// (the grace period of cgroup v1) is begun in the background. Returns at once.
    pub fn expect_start(&self) {
        todo!()
    }

    /// Creates a container.
    ///
    /// # Errors
    /// `NotFound` for the image, `Conflict` for the name, `BadParameter` for the rest.
    pub fn create(&self, _request: CreateRequest) -> Result<Created> {
        todo!()
    }

    /// The container that `name` means: full id, name, unique id prefix, in this order.
    ///
    /// # Errors
    /// `No such container: NAME`; `BadParameter` for an ambiguous prefix.
    pub fn get(&self, _name: &str) -> Result<Snapshot> {
        todo!()
    }

    /// Containers, newest first.
    ///
    /// # Errors
    /// `BadParameter` for an unknown filter.
    pub fn list(&self, _query: &ListQuery) -> Result<Vec<Snapshot>> {
        todo!()
    }

    /// Bytes in the container's writable layer, and in its whole root.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn size(&self, _name: &str) -> Result<(u64, u64)> {
        todo!()
    }

    /// Starts a container.
    ///
    /// # Errors
    /// `NotModified` when it runs; `ProgramNotFound` and its like when the program cannot be
    /// started; every step taken is undone then.
    pub fn start(&self, _name: &str, _patience: Patience<'_>) -> Result<()> {
        todo!()
    }

    /// Stops a container.
    ///
    /// # Errors
    /// `NotModified` when it does not run.
    pub fn stop(&self, _name: &str, _how: StopHow, _patience: Patience<'_>) -> Result<()> {
        todo!()
    }

    /// Stops and starts.
    ///
    /// # Errors
    /// Those of [`Engine::stop`] and [`Engine::start`], but for `NotModified`.
    pub fn restart(&self, _name: &str, _how: StopHow, _patience: Patience<'_>) -> Result<()> {
        todo!()
    }

    /// Sends a signal.
    ///
    /// # Errors
    /// `Conflict` when it does not run.
    pub fn kill(&self, _name: &str, _signal: Signal) -> Result<()> {
        todo!()
    }

    /// Registers a wait.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn wait(&self, _name: &str, _condition: WaitCondition) -> Result<Waiter> {
        todo!()
    }

    /// Removes a container. Gone from disk on return.
    ///
    /// # Errors
    /// `Conflict` when it runs and `force` is not given.
    pub fn remove(&self, _name: &str, _how: RemoveHow, _patience: Patience<'_>) -> Result<()> {
        todo!()
    }

    /// Renames a container.
    ///
    /// # Errors
    /// `Conflict` for a taken name, `BadParameter` for an illegal one.
    pub fn rename(&self, _name: &str, _new: &str) -> Result<()> {
        todo!()
    }

    /// Whether a client may attach now; called before the connection is taken over.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` for a paused or restarting one.
    pub fn attach_check(&self, _name: &str) -> Result<Snapshot> {
        todo!()
    }

    /// Attaches a client: handed to the monitor at once, or held until the first run of a
    /// container that was created and not started. For an ended one: the log if asked for, then
    /// the end.
    ///
    /// # Errors
    /// `NotFound`, or the monitor is gone.
    pub fn attach(&self, _name: &str, _attacher: Attacher) -> Result<()> {
        todo!()
    }

    /// Sets the size of the terminal.
    ///
    /// # Errors
    /// `Conflict` when it does not run.
    pub fn resize(&self, _name: &str, _rows: u16, _columns: u16) -> Result<()> {
        todo!()
    }

    /// Writes the log to `out` until its end, or, with `follow`, the end of the container.
    ///
    /// # Errors
    /// `NotFound`; `NotImplemented` with log driver `none`; those of `out`; `ClientGone`.
    pub fn logs(
        &self,
        _name: &str,
        _query: &LogQuery,
        _out: &mut dyn Write,
        _patience: Patience<'_>,
    ) -> Result<()> {
        todo!()
    }

    /// Processes of a container as `ps` would show them: titles, rows. Host pids.
    ///
    /// # Errors
    /// `Conflict` when it does not run; `BadParameter` for unknown options.
    pub fn top(&self, _name: &str, _ps_args: &str) -> Result<(Vec<String>, Vec<Vec<String>>)> {
        todo!()
    }

    /// Subscribes to events.
    ///
    /// # Errors
    /// `BadParameter` for an unknown filter.
    pub fn events(&self, _query: EventQuery) -> Result<EventStream> {
        todo!()
    }

    /// Images, newest first. Filters: `dangling label before since until reference`.
    ///
    /// # Errors
    /// `BadParameter` for an unknown filter.
    pub fn images(&self, _filters: &Filters) -> Result<Vec<Arc<Image>>> {
        todo!()
    }

    /// The image that `name` means.
    ///
    /// # Errors
    /// `No such image: NAME`.
    pub fn image(&self, _name: &str) -> Result<Arc<Image>> {
        todo!()
    }

    /// `repo:tag` names of an image, sorted.
    pub fn image_names(&self, _id: &Digest) -> Vec<String> {
        todo!()
    }

    /// Number of containers that use an image.
    pub fn image_users(&self, _id: &Digest) -> usize {
        todo!()
    }

    /// Imports a tar.
    ///
    /// # Errors
    /// Those of [`crate::image::Store::import`].
    pub fn import(
        &self,
        _tar: &mut dyn Read,
        _spec: &ImportSpec,
        _arrived: &dyn Fn(u64),
    ) -> Result<Arc<Image>> {
        todo!()
    }

    /// Names an image.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn tag(&self, _name: &str, _reference: &Reference) -> Result<()> {
        todo!()
    }

    /// Removes an image as `rmi` does.
    ///
    /// # Errors
    /// `NotFound`, `Conflict`.
    pub fn remove_image(&self, _name: &str, _force: bool, _prune: bool) -> Result<Vec<Removed>> {
        todo!()
    }
}
