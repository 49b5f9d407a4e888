//! The daemon's end of a monitor.
//!
//! Two kinds of connection: the *control* connection, made at spawn or at adoption, on which the
//! monitor tells of readiness and exit; and short *request* connections to its socket, one per
//! call, so that calls never wait for each other. Every call has a deadline.

mod exec;

use std::ffi::OsStr;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::launch::Launch;
use super::proto::{self, MAIN, Refusal, Reply, Request};
use crate::base::{Context, Error, Id, Kind, Lock, Result, Timestamp, fields};
use crate::model::{Forward, Signal};
use crate::sys::{pipe, poll, signal, socket};

pub use self::exec::{ExecLink, ExecNews, KnownExec};

/// Name of the monitor's socket in the run directory.
const SOCKET: &str = "monitor.sock";
/// Name of the file that tells how the newest run ended, in the `io` directory.
pub(super) const EXIT_FILE: &str = "exit.json";

/// For a request to be answered. The monitor never waits for anything but the disk; a small host
/// under load can take its time for that.
const ANSWER: Duration = Duration::from_secs(30);
/// For all of a container's preparations, from cgroups to two hundred layers, and its exec.
const START: Duration = Duration::from_secs(120);
/// For a monitor that has been given up to end.
const ABANDON: Duration = Duration::from_secs(10);
/// For a container's mounts to go, which writes what its file system has not written yet.
const UNMOUNT: Duration = Duration::from_secs(10);
/// For a monitor to end after its last message, before a thread is spent on waiting for it.
const LAST_BREATH: Duration = Duration::from_millis(50);

fields! {
    /// How a run ended. Also the content of `exit.json`, which the monitor writes durably before it
    /// closes the streams of attachers and tells the daemon.
    #[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
    pub struct Exit {
        /// The run that ended.
        pub run: u64,
        /// Exit code: the program's own, or 128 + signal.
        pub code: i32,
        /// Whether the kernel killed a process of the container for want of memory.
        pub oom_killed: bool,
        /// When the program was started.
        pub started_at: Timestamp,
        /// When it ended.
        pub finished_at: Timestamp,
        /// Why the program could not be started, when it never ran (code is then 126, 127 or 128).
        pub error: Option<String>,
    }
}

/// A program that could not be started; the answer to [`Handle::go`].
#[derive(Debug, Clone)]
pub struct StartFailure {
    /// `ProgramNotFound` (127), `ProgramNotExecutable` (126) or `Internal` (128).
    pub kind: Kind,
    /// What went wrong, for people.
    pub message: String,
}

fields! {
    /// What an attacher wants.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
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
        /// The session ends with the client's input (unless that ends the program's), and an ended
        /// container is not waited for, as in versions 1.0 to 1.6.
        pub once: bool,
    }
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
///
/// Once the run has ended, dropping it tells the monitor that the exit has been published:
/// attached clients, who ask for the exit when their stream ends, see that end only then (or a
/// moment later when nobody drops it).
pub struct Handle {
    control: OwnedFd,
    socket: PathBuf,
    pid: i32,
    /// Our own child; a monitor that was adopted is somebody else's.
    child: Lock<Option<Child>>,
}

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
    pub fn spawn(launch: &Launch) -> Result<Handle> {
        launch.write()?;
        let socket = launch.run_dir.join(SOCKET);
        // One that a killed monitor of an earlier run has left.
        match std::fs::remove_file(&socket) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(error).context(|| format!("remove {}", socket.display()));
            }
            _ => {}
        }
        let listener =
            socket::packet_listen(&socket).context(|| format!("listen at {}", socket.display()))?;
        pipe::set_nonblocking(listener.as_fd())?;
        let (control, theirs) = socket::packet_pair()?;
        let child = Command::new(super::exe::monitor_exe()?)
            .arg0(super::MONITOR_NAME)
            .arg(&launch.run_dir)
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| is_passed_on(name)))
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::from(listener))
            .spawn()
            .context(|| "start a monitor".into())?;
        let pid = i32::try_from(child.id()).expect("pids are below 2^22");
        Ok(Handle { control, socket, pid, child: Lock::new(Some(child)) })
    }

    /// Connects to the monitor whose run directory is `run_dir`, if one lives there.
    ///
    /// `None` also when its run ended while we looked: read `exit.json` after this.
    ///
    /// # Errors
    /// When a monitor is there but does not answer within the deadline.
    pub fn connect(run_dir: &Path, id: &Id) -> Result<Option<(Handle, Status)>> {
        let socket = run_dir.join(SOCKET);
        let Some(control) = connect(&socket)? else { return Ok(None) };
        let deadline = Instant::now() + ANSWER;
        let what = || format!("adopt the monitor of {}", id.short());
        match ask(control.as_fd(), &Request::Watch, &[], &[], deadline) {
            Ok(Some(Reply::Status { run, monitor_pid, init_pid, started_at, paused })) => {
                let handle = Handle { control, socket, pid: monitor_pid, child: Lock::new(None) };
                Ok(Some((handle, Status { run, init_pid, started_at, paused })))
            }
            Ok(None | Some(Reply::Refused { .. })) => Ok(None),
            Ok(Some(_)) => Err(Error::internal("unexpected answer")).context(what),
            Err(error) => Err(error).context(what),
        }
    }

    /// The monitor's own process.
    pub fn monitor_pid(&self) -> i32 {
        self.pid
    }

    /// Waits until all is prepared and starts the program. Returns the pid of init on the host
    /// once exec has succeeded, with the time of the start; else why it could not be started,
    /// after `exit.json` has been written.
    ///
    /// # Errors
    /// When the monitor died or did not answer within the deadline.
    pub fn go(&self) -> Result<Result<(i32, Timestamp), StartFailure>> {
        let deadline = Instant::now() + START;
        match ask(self.control.as_fd(), &Request::Go, &[], &[], deadline)? {
            Some(Reply::Started { pid, at }) => Ok(Ok((pid, at))),
            Some(Reply::Failed { code, message }) => {
                let kind = match code {
                    127 => Kind::ProgramNotFound,
                    126 => Kind::ProgramNotExecutable,
                    _ => Kind::Internal,
                };
                Ok(Err(StartFailure { kind, message }))
            }
            Some(_) => Err(Error::internal("the monitor gave an unexpected answer")),
            None => Err(Error::internal("the monitor ended before it started the program")),
        }
    }

    /// Attaches a client. Before `go` it misses nothing.
    ///
    /// # Errors
    /// When the monitor is gone.
    pub fn attach(&self, attacher: Attacher) -> Result<()> {
        let Attacher { socket, early, options, detach_keys } = attacher;
        let request = Request::Attach { session: MAIN.into(), options, detach_keys };
        self.request(&request, &early, &[socket.as_fd()])
    }

    /// Lets the monitor serve names by these sockets: datagrams and streams, which were opened in
    /// the network namespace given.
    ///
    /// # Errors
    /// `Conflict` when the container is on its way out; when the monitor is gone.
    pub fn serve_names(&self, sockets: [BorrowedFd<'_>; 3]) -> Result<()> {
        self.request(&Request::Names, &[], &sockets)
    }

    /// Sends `signal` to the init of the container.
    ///
    /// # Errors
    /// `Conflict` when it has ended already.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let request = Request::Signal { session: MAIN.into(), number: signal.number() };
        self.request(&request, &[], &[])
    }

    /// Sets the size of the terminal.
    ///
    /// # Errors
    /// `Conflict` when it has none or has ended.
    pub fn resize(&self, rows: u16, columns: u16) -> Result<()> {
        self.request(&Request::Resize { session: MAIN.into(), rows, columns }, &[], &[])
    }

    /// Has these published ports led on to the container, and no others.
    ///
    /// # Errors
    /// When one of them cannot be had; then all is as before. `Conflict` when it has ended.
    pub fn publish(&self, forwards: Vec<Forward>) -> Result<()> {
        self.request(&Request::Publish { forwards }, &[], &[])
    }

    /// Blocks until the run has ended and its exit is on disk. Meanwhile `detached` is told of
    /// clients that leave by their detach keys: `None` leaves the main session, else it is that of
    /// an exec. Called by one thread only, the
    /// one that supervises this container.
    ///
    /// # Errors
    /// When the monitor died without telling (killed, out of memory).
    pub fn wait_exit(&self, detached: &mut dyn FnMut(Option<&str>)) -> Result<Exit> {
        loop {
            let received = proto::receive::<Reply>(self.control.as_fd(), false)
                .context(|| "wait for the end of the container".into())?;
            match received {
                Some(received) => match received.message {
                    Some(Reply::Exited { exit }) => return Ok(exit),
                    Some(Reply::Detached { session }) => {
                        detached(Some(&*session).filter(|session| *session != MAIN));
                    }
                    _ => {}
                },
                None => return Err(Error::internal("the container's monitor has died")),
            }
        }
    }

    /// The exit has been published: attached clients may see the end of their streams, and the
    /// container's mounts may go. Dropping says so too.
    pub fn published(&self) {
        socket::shutdown(self.control.as_fd(), Shutdown::Write);
    }

    /// Waits, once the exit has been published, for the container's mounts to go.
    pub fn wait_unmounted(&self) {
        if !ends_by(self.control.as_fd(), Instant::now() + UNMOUNT) {
            crate::warn!("monitor {} does not let its mounts go", self.pid);
        }
    }

    /// Gives a monitor up that has not been told to `go`: it ends, and nothing has run.
    pub fn abandon(&self) {
        socket::shutdown(self.control.as_fd(), Shutdown::Write);
        if !ends_by(self.control.as_fd(), Instant::now() + ABANDON) {
            crate::warn!("monitor {} does not end", self.pid);
        }
    }

    /// Kills the container's processes and waits, at most `deadline`, for the exit to be recorded
    /// (or, before `go`, for the monitor to end: nothing has run then).
    pub fn kill(&self, deadline: Duration) {
        let deadline = Instant::now() + deadline;
        let Ok(Some(connection)) = connect(&self.socket) else { return };
        match ask(connection.as_fd(), &Request::Kill, &[], &[], deadline) {
            Ok(Some(_)) if !has_exited_by(connection.as_fd(), deadline) => {
                crate::warn!("monitor {} tells of no end after a kill", self.pid);
            }
            Ok(_) => {}
            Err(error) => crate::warn!("kill by way of monitor {}: {error}", self.pid),
        }
    }

    fn request(&self, request: &Request, extra: &[u8], fds: &[BorrowedFd<'_>]) -> Result<()> {
        let gone = || Error::conflict("the container is not running");
        let Some(connection) = connect(&self.socket)? else { return Err(gone()) };
        let deadline = Instant::now() + ANSWER;
        match ask(connection.as_fd(), request, extra, fds, deadline)? {
            None | Some(Reply::Refused { why: Refusal::NotRunning }) => Err(gone()),
            Some(Reply::Done) => Ok(()),
            Some(Reply::Refused { why: Refusal::NoTerminal }) => {
                Err(Error::conflict("the container has no terminal"))
            }
            Some(Reply::Refused { why: Refusal::NoSession }) => {
                Err(Error::conflict("the exec is not running"))
            }
            Some(Reply::Failed { message, .. }) => Err(Error::internal(message)),
            Some(Reply::Unsupported) => Err(Error::not_implemented(
                "this container was started by an older version that cannot do this; start it again",
            )),
            Some(other) => Err(Error::internal(format!("the monitor answered {other:?}"))),
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        socket::shutdown(self.control.as_fd(), Shutdown::Write);
        let Some(mut child) = self.child.lock().take() else { return };
        // Usually it ends at once. It stays while it delivers the last output to slow clients,
        // and for the whole run when we only forget it.
        let ended = signal::end_of_child(self.pid).and_then(|end| {
            let deadline = Instant::now() + LAST_BREATH;
            poll::wait(&[(end.as_fd(), poll::Interest::READ)], Some(deadline))
        });
        if ended.is_ok_and(|ready| ready[0].any()) {
            reap(&mut child);
        } else {
            std::thread::spawn(move || reap(&mut child));
        }
    }
}

fn reap(child: &mut Child) {
    if let Err(error) = child.wait() {
        crate::warn!("wait for monitor {}: {error}", child.id());
    }
}

/// What a monitor's environment keeps of ours: the time zone, and what tests set.
fn is_passed_on(name: &OsStr) -> bool {
    name == "TZ" || name.as_encoded_bytes().starts_with(b"SKIFF_")
}

/// A new connection to a monitor; `None` when nobody listens.
fn connect(socket: &Path) -> Result<Option<OwnedFd>> {
    match socket::packet_connect(socket, ANSWER) {
        Ok(connection) => Ok(Some(connection)),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Ok(None),
            _ => Err(error).context(|| format!("connect to {}", socket.display())),
        },
    }
}

/// Whether a monitor has ended, perhaps without having read what it was sent.
fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

/// Sends a request and waits for its answer; `None` when the monitor ended instead.
fn ask(
    connection: BorrowedFd<'_>,
    request: &Request,
    extra: &[u8],
    fds: &[BorrowedFd<'_>],
    deadline: Instant,
) -> Result<Option<Reply>> {
    match proto::send(connection, request, extra, fds, false) {
        Err(error) if is_gone(&error) => return Ok(None),
        result => result.context(|| "ask a monitor".into())?,
    }
    let ready = poll::wait(&[(connection, poll::Interest::READ)], Some(deadline))?;
    if !ready[0].any() {
        return Err(Error::new(Kind::TimedOut, "the monitor does not answer"));
    }
    match proto::receive::<Reply>(connection, true) {
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error).context(|| "ask a monitor".into()),
        Ok(None) => Ok(None),
        Ok(Some(received)) => Ok(Some(received.message.unwrap_or(Reply::Unknown))),
    }
}

/// Whether the other end of `connection` is gone by `deadline`; messages are dropped.
fn ends_by(connection: BorrowedFd<'_>, deadline: Instant) -> bool {
    while let Some(message) = next_by(connection, deadline) {
        if message.is_none() {
            return true;
        }
    }
    false
}

/// Whether the monitor has told of the exit, or is gone, by `deadline`.
fn has_exited_by(connection: BorrowedFd<'_>, deadline: Instant) -> bool {
    while let Some(message) = next_by(connection, deadline) {
        if matches!(message, None | Some(Reply::Exited { .. })) {
            return true;
        }
    }
    false
}

/// The next message, or `Some(None)` for the end of the connection; `None` at the deadline.
#[allow(clippy::option_option)] // Two different ends.
fn next_by(connection: BorrowedFd<'_>, deadline: Instant) -> Option<Option<Reply>> {
    let ready = poll::wait(&[(connection, poll::Interest::READ)], Some(deadline)).ok()?;
    ready[0].any().then(|| match proto::receive::<Reply>(connection, true) {
        Ok(Some(received)) => Some(received.message.unwrap_or(Reply::Unknown)),
        _ => None,
    })
}

/// Reads `exit.json` of a container's `io` directory, if there is a readable one.
pub fn read_exit(io_dir: &Path) -> Option<Exit> {
    try_read_exit(io_dir).ok().flatten()
}

/// As [`read_exit`], telling apart what is not there from what could not be read just now.
///
/// # Errors
/// Those of reading the file, but for a missing one.
pub fn try_read_exit(io_dir: &Path) -> io::Result<Option<Exit>> {
    let path = io_dir.join(EXIT_FILE);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes)
            .inspect_err(|error| crate::warn!("{} is damaged: {error}", path.display()))
            .ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_exit_file_is_none() {
        let dir = std::env::temp_dir().join(format!("skiff-exit-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        assert_eq!(read_exit(&dir), None);
        let exit = Exit {
            run: 3,
            code: 137,
            oom_killed: true,
            started_at: Timestamp::now(),
            finished_at: Timestamp::now(),
            error: None,
        };
        let whole = serde_json::to_vec(&exit).unwrap();
        for length in 0..whole.len() {
            std::fs::write(dir.join(EXIT_FILE), &whole[..length]).unwrap();
            assert_eq!(read_exit(&dir), None);
        }
        std::fs::write(dir.join(EXIT_FILE), vec![0; 100]).unwrap();
        assert_eq!(read_exit(&dir), None);
        std::fs::write(dir.join(EXIT_FILE), &whole).unwrap();
        assert_eq!(read_exit(&dir), Some(exit));
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
