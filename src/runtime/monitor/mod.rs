//! The monitor: one small process per container, one thread, one poll loop.
//!
//! It holds the container's streams, writes the log, serves attached clients, and records the
//! exit, so that the daemon may die and come back.
//!
//! ```text
//! Preparing ──prepared──> Prepared ──go──> Starting ──exec──> Running ──init reaped──> Draining
//!     │                       │                │                                          │
//!     ├──────failed, lost─────┴────────────────┴────> Failed ──go, init reaped──┐    all read
//!     │                                                                         v         v
//!     └──control closed or kill before go──> Abandoned                   exit.json, told: Told
//!                                                │                                        │
//!                                       init reaped: end      published: Closing, then the end
//! ```
//!
//! - Nothing runs before `go`, and the daemon says `go` only when the start is on disk.
//! - Order at the end: log complete, `exit.json` durable, daemon told, streams of clients closed,
//!   mounts gone, connections of the daemon closed.
//! - No packet, client or daemon can stop it; it ends when the run has ended.

mod client;
mod detach;
mod dns;
mod exec;
mod facts;
mod input;
mod proxy;
mod requests;
mod session;
#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use dns::NameServer;
use exec::{Execs, Part};
use proxy::Proxy;
use requests::Connection;
use session::{Event, Session};

use super::cgroup;
use super::handle::{EXIT_FILE, Exit};
use super::init::{self, Message, Spawned, Stdio};
use super::launch::{Launch, Namespace};
use super::proto::Reply;
use crate::base::{Context, Kind, Result, Timestamp, atomic_file, step};
use crate::sys::poll::{Interest, PollSet, Ready};
use crate::sys::{memory, pipe, process, signal, socket};

/// After the end of init: for its output to end. Only processes outside the container's pid
/// namespace can still hold it open.
const DRAIN: Duration = Duration::from_secs(2);
/// The same when the container shares another pid namespace: what it left behind lives on.
const DRAIN_SHARED: Duration = Duration::from_millis(500);
/// For the daemon to publish an exit before clients see the end of their streams. One that dies
/// is not waited for; one that hangs is.
const PUBLISH: Duration = Duration::from_secs(5);
/// Longest message of init in bytes.
const MAX_MESSAGE: usize = 16 * 1024;

/// Plays the monitor: argument 1 is the run directory, descriptor 0 the control connection,
/// descriptor 1 the listening socket. Gives the exit code.
pub fn main() -> u8 {
    let Some(run_dir) = std::env::args_os().nth(1).map(PathBuf::from) else {
        crate::error!("a monitor is started by the daemon alone");
        return 1;
    };
    match run(&run_dir) {
        Ok(()) => 0,
        Err(error) => {
            crate::error!("monitor of {}: {error}", run_dir.display());
            1
        }
    }
}

fn run(run_dir: &Path) -> Result<()> {
    memory::keep_small();
    // What the daemon was started with by accident must not live as long as the container.
    process::close_all_but(&[]);
    let control = pipe::inherited(0)?;
    let listener = pipe::inherited(1)?;
    let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
    process::duplicate_onto(null.as_fd(), 0)?;
    process::duplicate_onto(null.as_fd(), 1)?;
    drop(null);
    process::new_session().context(|| "leave the daemon's session".into())?;
    // The end of a host's day sends SIGTERM to all; the exits of containers are still to be
    // recorded then.
    for number in [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM, libc::SIGPIPE] {
        signal::ignore(number)?;
    }
    std::env::set_current_dir("/")?;
    let launch = Launch::read(run_dir)?;
    atomic_file::set_reserve(launch.reserve.clone());
    // Before init is cloned: it goes along.
    cgroup::enter_outside(&launch.monitor_dirs);
    let mut monitor = Monitor::new(launch, control, listener, init::spawn)?;
    monitor.serve()
}

/// How far the run has come.
#[derive(Debug)]
enum Phase {
    Preparing,
    Prepared,
    Starting,
    Running { since: Timestamp },
    Draining { since: Timestamp, code: i32, finished: Timestamp, until: Instant },
    Failed { code: i32, message: String },
    Abandoned,
    Told { exit: Exit, until: Instant },
    Closing { exit: Exit },
    Over,
}

/// What a descriptor in the poll set stands for.
#[derive(Debug, Clone, Copy)]
enum Token {
    Control,
    Listener,
    Connection(usize),
    Channel,
    Init,
    Main(Event),
    Exec(usize, Part),
    Names(dns::Part),
    Proxy,
}

struct Monitor {
    run: u64,
    io_dir: PathBuf,
    cgroup_dirs: Vec<PathBuf>,
    shares_pids: bool,
    phase: Phase,
    /// The daemon has said `go`.
    go: bool,
    /// The daemon's connection from the spawn. Its end tells that the mounts are gone.
    control: OwnedFd,
    /// The daemon still holds its end of it.
    control_open: bool,
    listener: OwnedFd,
    /// Connections are not taken before.
    deaf_until: Option<Instant>,
    connections: Vec<Connection>,
    /// Init, while it is not reaped: its pid, and what tells of its end.
    init: Option<(i32, OwnedFd)>,
    /// The process that made init, when it was not we.
    helper: Option<i32>,
    /// The container's mounts, until the exit is published. With the last process they would be
    /// unmounted before its end is seen, and that writes all that the host's file system has not
    /// written yet.
    mounts: Option<File>,
    /// Connections of daemons that have published the exit, and wait for the mounts to go.
    published: Vec<OwnedFd>,
    /// Init's channel, until its end.
    channel: Option<OwnedFd>,
    main: Session,
    execs: Execs,
    proxy: Proxy,
    run_dir: PathBuf,
    /// Serves names, on networks that users have made.
    names: Option<Box<NameServer>>,
}

/// What the init of a run or of an exec says next.
enum Said {
    /// Nothing yet.
    Nothing,
    /// Nothing more: it has become the program, or has ended. The channel is closed.
    Goodbye,
    /// This, and the descriptors that came with it.
    Message(Message, Vec<OwnedFd>),
}

/// Takes the next message from `channel`, without waiting.
fn next_message(channel: &mut Option<OwnedFd>) -> Said {
    while let Some(open) = channel {
        let packet = match socket::receive_packet(open.as_fd(), MAX_MESSAGE, true) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Said::Nothing,
            Err(_) | Ok(None) => {
                *channel = None;
                return Said::Goodbye;
            }
            Ok(Some(packet)) => packet,
        };
        match serde_json::from_slice(&packet.bytes) {
            Ok(message) => return Said::Message(message, packet.fds),
            Err(error) => crate::warn!("odd message of init: {error}"),
        }
    }
    Said::Nothing
}

impl Monitor {
    /// Sets init on its way with `spawn`.
    fn new(
        launch: Launch,
        control: OwnedFd,
        listener: OwnedFd,
        spawn: impl FnOnce(&Launch, Option<Stdio>) -> Result<Spawned>,
    ) -> Result<Monitor> {
        let (main, stdio) = Session::new(&launch)?;
        let mut monitor = Monitor {
            run: launch.run,
            shares_pids: launch.namespaces.pid != Namespace::New,
            phase: Phase::Preparing,
            go: false,
            control,
            control_open: true,
            listener,
            deaf_until: None,
            connections: Vec::new(),
            init: None,
            helper: None,
            mounts: None,
            published: Vec::new(),
            channel: None,
            main,
            execs: Execs::default(),
            names: None,
            proxy: Proxy::default(),
            run_dir: launch.run_dir.clone(),
            io_dir: launch.io_dir.clone(),
            cgroup_dirs: launch.cgroup_dirs.clone(),
        };
        match spawn(&launch, stdio) {
            Ok(Spawned { pid, channel }) => {
                monitor.init = Some((pid, signal::end_of_child(pid)?));
                monitor.channel = Some(channel);
            }
            Err(error) => monitor.fail(128, error.to_string()),
        }
        // After the clone: init must not hold the ports.
        if let Err(error) = monitor.proxy.set(&launch.forwards) {
            monitor.fail(128, format!("ports cannot be published: {error}"));
        }
        Ok(monitor)
    }

    /// Serves until the run is over.
    fn serve(&mut self) -> Result<()> {
        let (mut set, mut tokens, mut events) = (PollSet::new(), Vec::new(), Vec::new());
        while !matches!(self.phase, Phase::Over) {
            set.clear();
            tokens.clear();
            events.clear();
            self.watch(&mut set, &mut tokens, &mut events);
            set.wait(self.deadline()).context(|| "wait for events".into())?;
            for (index, token) in tokens.iter().enumerate() {
                let ready = set.ready(index);
                if ready.any() {
                    self.handle(*token, ready);
                }
            }
            let now = Instant::now();
            self.deaf_until.take_if(|end| *end <= now);
            self.connections.retain(Connection::is_open);
            self.main.settle(now);
            self.execs.settle(now);
            if let Some(names) = &mut self.names {
                names.settle(now);
            }
            self.proxy.settle(now);
            self.tell_detached();
            while self.advance() {}
        }
        Ok(())
    }

    fn watch(&self, set: &mut PollSet, tokens: &mut Vec<Token>, events: &mut Vec<Event>) {
        let mut add = |fd: BorrowedFd<'_>, token| {
            set.push(fd, Interest::READ);
            tokens.push(token);
        };
        if self.control_open {
            add(self.control.as_fd(), Token::Control);
        }
        if self.connections.len() < requests::MAX_CONNECTIONS && self.deaf_until.is_none() {
            add(self.listener.as_fd(), Token::Listener);
        }
        for (index, connection) in self.connections.iter().enumerate() {
            add(connection.as_fd(), Token::Connection(index));
        }
        // Before init's end: what it has said last comes first.
        if let Some(channel) = &self.channel {
            add(channel.as_fd(), Token::Channel);
        }
        if let Some((_, end)) = &self.init {
            add(end.as_fd(), Token::Init);
        }
        if let Some(proxy) = self.proxy.descriptor() {
            add(proxy, Token::Proxy);
        }
        self.main.watch(set, events);
        tokens.extend(events.iter().map(|event| Token::Main(*event)));
        self.execs.watch(set, |index, part| tokens.push(Token::Exec(index, part)));
        if let Some(names) = &self.names {
            names.watch(set, |part| tokens.push(Token::Names(part)));
        }
    }

    fn deadline(&self) -> Option<Instant> {
        let own = match self.phase {
            Phase::Draining { until, .. } | Phase::Told { until, .. } => Some(until),
            _ => None,
        };
        own.into_iter()
            .chain(self.deaf_until)
            .chain(self.main.deadline())
            .chain(self.execs.deadline())
            .chain(self.names.as_ref().and_then(|names| names.deadline()))
            .chain(self.proxy.deadline())
            .min()
    }

    fn handle(&mut self, token: Token, ready: Ready) {
        match token {
            Token::Control => self.read_control(),
            Token::Listener => self.accept(),
            Token::Connection(index) => self.read_connection(index),
            Token::Channel => self.read_channel(),
            Token::Init => self.reap(),
            Token::Main(event) => self.main.handle(event, ready),
            Token::Exec(index, part) => self.execs.handle(index, part, ready),
            Token::Names(part) => {
                if let Some(names) = &mut self.names {
                    names.handle(part, ready);
                }
            }
            Token::Proxy => self.proxy.serve(),
        }
    }

    /// Takes the next step that is due; false when there is none.
    fn advance(&mut self) -> bool {
        let init_gone = self.is_init_gone();
        let phase = std::mem::replace(&mut self.phase, Phase::Over);
        let (next, moved) = match phase {
            Phase::Prepared if self.go => (self.let_go(), true),
            Phase::Failed { code, message } if self.go && init_gone => {
                (self.record_failure(code, message), true)
            }
            Phase::Abandoned if init_gone => {
                self.main.finish_output();
                self.main.close();
                (Phase::Over, false)
            }
            Phase::Draining { since, code, finished, until }
                if self.main.is_drained() || until <= Instant::now() =>
            {
                (self.record_exit(since, code, finished), true)
            }
            Phase::Told { exit, until } if !self.is_watched() || until <= Instant::now() => {
                self.main.close();
                self.unmount();
                (Phase::Closing { exit }, true)
            }
            Phase::Closing { .. } if self.main.is_empty() && self.execs.is_empty() => {
                (Phase::Over, false)
            }
            same => (same, false),
        };
        self.phase = next;
        moved
    }

    /// Whether there is no init, nor a process that may become it: the channel's end is that of all
    /// of those.
    fn is_init_gone(&self) -> bool {
        self.init.is_none() && self.channel.is_none()
    }

    /// Lets the prepared init exec.
    fn let_go(&mut self) -> Phase {
        let Some(channel) = &self.channel else { return Phase::Prepared };
        match socket::send_packet(channel.as_fd(), &[IoSlice::new(&[1])], &[], true) {
            Ok(()) => Phase::Starting,
            // Its end comes by the channel.
            Err(error) => {
                crate::debug!("let init go: {error}");
                Phase::Prepared
            }
        }
    }

    /// Reads what init says.
    fn read_channel(&mut self) {
        while self.channel.is_some() {
            match next_message(&mut self.channel) {
                Said::Nothing => return,
                Said::Goodbye => return self.channel_ended(),
                Said::Message(Message::Prepared { pid }, fds) => {
                    if let Err(error) = self.prepared(pid, fds) {
                        self.fail(128, format!("take over the prepared container: {error}"));
                    }
                }
                Said::Message(Message::Cloned { .. }, _) => {}
                Said::Message(Message::Failed { code, message }, _) => self.fail(code, message),
            }
        }
    }

    fn prepared(&mut self, pid: i32, fds: Vec<OwnedFd>) -> io::Result<()> {
        if self.init.as_ref().is_none_or(|(known, _)| *known != pid) {
            // What we have spawned was a first stage, which may have ended already.
            let init = (pid, signal::end_of_child(pid)?);
            self.helper = self.init.replace(init).map(|(helper, _)| helper);
        }
        if let Some(master) = fds.into_iter().next() {
            self.main.set_terminal(master)?;
        }
        if matches!(self.phase, Phase::Preparing) {
            self.phase = Phase::Prepared;
        }
        Ok(())
    }

    /// Init has executed the program, or has died on the way.
    fn channel_ended(&mut self) {
        match self.phase {
            Phase::Starting => {
                let since = Timestamp::now();
                self.phase = Phase::Running { since };
                self.main.started();
                if let Some((pid, _)) = self.init {
                    self.tell_control(&Reply::Started { pid, at: since });
                    // One that has ended meanwhile has unmounted all itself.
                    self.mounts = File::open(format!("/proc/{pid}/ns/mnt")).ok();
                }
                self.reap_helper();
            }
            Phase::Preparing | Phase::Prepared => {
                self.fail(128, "the container's init ended before it was ready".into());
            }
            _ => {}
        }
    }

    fn fail(&mut self, code: i32, message: String) {
        self.kill_init();
        if matches!(self.phase, Phase::Preparing | Phase::Prepared | Phase::Starting) {
            self.phase = Phase::Failed { code, message };
        }
    }

    fn kill_init(&self) {
        if let Some(channel) = &self.channel {
            // A second stage that has not told its pid yet ends instead of waiting for the word.
            socket::shutdown(channel.as_fd(), Shutdown::Write);
        }
        if let Some((pid, _)) = self.init {
            // Not reaped yet, so the pid is still its own; it may be on its way out.
            if let Err(error) = signal::kill(pid, libc::SIGKILL) {
                crate::warn!("kill init {pid}: {error}");
            }
        }
    }

    fn reap_helper(&mut self) {
        if let Some(pid) = self.helper {
            if !matches!(signal::reap(pid), Ok(None)) {
                self.helper = None;
            }
        }
    }

    /// Init, or the process that was to make it, has ended.
    fn reap(&mut self) {
        // What it said last was sent before it ended.
        self.read_channel();
        self.reap_helper();
        let Some((pid, _)) = self.init else { return };
        let code = match signal::reap(pid) {
            Ok(Some(code)) => code,
            Ok(None) => return,
            // Cannot be: nobody else reaps our children.
            Err(error) => {
                crate::warn!("reap init {pid}: {error}");
                128
            }
        };
        self.init = None;
        if !self.is_init_gone() {
            // A first stage, whose second one is on its way.
            return;
        }
        // Its sockets would keep the network of the dead alive.
        self.names = None;
        // Its next run may want them before all of this one's output is read.
        self.proxy.close();
        if let Phase::Running { since } = self.phase {
            let drain = if self.shares_pids { DRAIN_SHARED } else { DRAIN };
            let (finished, until) = (Timestamp::now(), Instant::now() + drain);
            self.phase = Phase::Draining { since, code, finished, until };
            self.main.process_ended();
            self.execs.kill_all();
        }
    }

    /// The run is over and all its output is read.
    fn record_exit(&mut self, started_at: Timestamp, code: i32, finished_at: Timestamp) -> Phase {
        self.main.finish_output();
        let oom_killed = facts::oom_killed(&self.cgroup_dirs);
        let exit = Exit { run: self.run, code, oom_killed, started_at, finished_at, error: None };
        self.record(&exit);
        self.tell(&Reply::Exited { exit: exit.clone() });
        Phase::Told { exit, until: Instant::now() + PUBLISH }
    }

    /// Lets the container's mounts go, however long clients still take for their output.
    fn unmount(&mut self) {
        // Returns when they are unmounted, if nobody else holds them.
        self.mounts = None;
        socket::shutdown(self.control.as_fd(), Shutdown::Write);
        self.published.clear();
    }

    /// The program could not be started, and the daemon waits to hear why.
    fn record_failure(&mut self, code: i32, message: String) -> Phase {
        self.main.process_ended();
        self.main.finish_output();
        let exit = Exit {
            run: self.run,
            code,
            oom_killed: false,
            started_at: Timestamp::ZERO,
            finished_at: Timestamp::now(),
            error: Some(message.clone()),
        };
        self.record(&exit);
        self.tell_control(&Reply::Failed { code, message });
        self.tell(&Reply::Exited { exit: exit.clone() });
        Phase::Told { exit, until: Instant::now() + PUBLISH }
    }

    /// Writes `exit.json`. Dying before it is written, we leave a run without a monitor, whose
    /// code adopt calls unknown; dying after, adopt finds the exit.
    fn record(&self, exit: &Exit) {
        step::done("exit-reaped");
        if let Err(error) = write_exit(&self.io_dir, exit) {
            // The daemon is told all the same: only its next start will not know the code.
            crate::error!("record the exit in {}: {error}", self.io_dir.display());
        }
        step::done("exit-recorded");
    }
}

fn write_exit(io_dir: &Path, exit: &Exit) -> Result<()> {
    let bytes = serde_json::to_vec(exit).expect("an exit has no map with odd keys");
    let path = io_dir.join(EXIT_FILE);
    let written = atomic_file::write_anew(&path, &bytes, 0o640).context(|| EXIT_FILE.into());
    match written {
        // The oldest log gives way: who asks how a run ended needs an answer more.
        Err(error) if error.kind() == Kind::NoSpace && super::log::drop_oldest(io_dir) => {
            atomic_file::write_anew(&path, &bytes, 0o640).context(|| EXIT_FILE.into())
        }
        written => written,
    }
}
