//! The daemon's end of execs: each has a connection of its own to the monitor.
//!
//! The client of an exec sees the end of its streams when this connection is closed: whoever holds
//! it publishes the end first.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use super::{ANSWER, AttachOptions, Attacher, Handle, START, ask, connect, is_gone};
use crate::base::{Context, Error, Kind, Result};
use crate::model::Signal;
use crate::runtime::init::Exec;
use crate::runtime::proto::{self, ExecRequest, HEALTH, Refusal, Reply, Request};
use crate::sys::poll::{self, Interest};

/// An exec that was asked for.
pub struct ExecLink(OwnedFd);

/// What is told of an exec.
#[derive(Debug)]
pub enum ExecNews {
    /// Its program runs, with this pid on the host.
    Started(i32),
    /// Its program could not be started; the client has been told why.
    Failed(Error),
    /// It has ended with this code.
    Ended(i32),
}

/// An exec of before this daemon.
pub struct KnownExec {
    /// What it runs, without its environment and long arguments.
    pub exec: Exec,
    /// What its client wanted.
    pub options: AttachOptions,
    /// Bytes of the detach sequence.
    pub detach_keys: Vec<u8>,
    /// Its pid on the host, while it runs.
    pub pid: i32,
    /// Its exit code, once it has ended.
    pub code: Option<i32>,
}

impl ExecLink {
    /// What is told next; with `now`, `None` when that has not come yet.
    ///
    /// # Errors
    /// When the monitor ended without telling, or could not serve the request.
    pub fn next(&self, now: bool) -> Result<Option<ExecNews>> {
        let gone = || Error::conflict("the container is not running");
        loop {
            let received = match proto::receive::<Reply>(self.0.as_fd(), now) {
                Err(error) if now && error.kind() == std::io::ErrorKind::WouldBlock => {
                    return Ok(None);
                }
                received => received.context(|| "wait for an exec".into())?.ok_or_else(gone)?,
            };
            return Ok(Some(match received.message {
                Some(Reply::Started { pid, .. }) => ExecNews::Started(pid),
                Some(Reply::Failed { code: 127, message }) => {
                    ExecNews::Failed(Error::new(Kind::ProgramNotFound, message))
                }
                Some(Reply::Failed { message, .. }) => {
                    ExecNews::Failed(Error::new(Kind::ProgramNotExecutable, message))
                }
                Some(Reply::ExecEnded { code }) => ExecNews::Ended(code),
                Some(Reply::Refused { why: Refusal::NotRunning }) => {
                    return Err(Error::conflict("the container is not running"));
                }
                Some(Reply::Refused { .. }) => {
                    return Err(Error::conflict("an exec of this name runs already"));
                }
                Some(Reply::Unsupported) => {
                    return Err(Error::not_implemented(
                        "this container was started by an older version that cannot do this; \
                         start it again",
                    ));
                }
                _ => continue,
            }));
        }
    }

    /// Blocks until the program runs: its pid.
    ///
    /// # Errors
    /// Why it could not be started.
    pub fn started(&self) -> Result<i32> {
        let ready = poll::wait(&[(self.0.as_fd(), Interest::READ)], Some(Instant::now() + START))?;
        if !ready[0].any() {
            return Err(Error::new(Kind::TimedOut, "the monitor does not answer"));
        }
        match self.next(false)? {
            Some(ExecNews::Started(pid)) => Ok(pid),
            Some(ExecNews::Failed(error)) => Err(error),
            _ => Err(Error::internal("the monitor gave an unexpected answer")),
        }
    }

    /// Blocks until it has ended: its exit code.
    ///
    /// # Errors
    /// When the monitor ended without telling.
    pub fn wait(&self) -> Result<i32> {
        loop {
            if let Some(ExecNews::Ended(code)) = self.next(false)? {
                return Ok(code);
            }
        }
    }
}

impl AsFd for ExecLink {
    /// Readable when there is something to be told.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Handle {
    /// Asks for a program to be run beside the main one as session `name`, for `client` or for
    /// nobody.
    ///
    /// # Errors
    /// `Conflict` when the container has ended.
    pub fn exec(
        &self,
        name: &str,
        exec: Exec,
        client: Option<Attacher>,
        size: Option<(u16, u16)>,
    ) -> Result<ExecLink> {
        let gone = || Error::conflict("the container is not running");
        let Some(connection) = connect(&self.socket)? else { return Err(gone()) };
        let nothing = AttachOptions {
            stdin: false,
            stdout: false,
            stderr: false,
            logs: false,
            stream: true,
            framed: true,
            once: false,
        };
        let (socket, early, options, detach_keys) = match client {
            Some(Attacher { socket, early, options, detach_keys }) => {
                (Some(socket), early, options, detach_keys)
            }
            None => (None, Vec::new(), nothing, Vec::new()),
        };
        let session = name.to_owned();
        let request = Request::Exec(ExecRequest { session, exec, options, detach_keys, size });
        let fds: Vec<BorrowedFd<'_>> = socket.iter().map(AsFd::as_fd).collect();
        match proto::send(connection.as_fd(), &request, &early, &fds, false) {
            Err(error) if is_gone(&error) => return Err(gone()),
            sent => sent.context(|| "ask a monitor for an exec".into())?,
        }
        Ok(ExecLink(connection))
    }

    /// Asks for a health check; its output, both streams as they come, goes to `output`.
    ///
    /// # Errors
    /// `Conflict` when the container has ended.
    pub fn check_health(&self, exec: Exec, output: OwnedFd) -> Result<ExecLink> {
        let options = AttachOptions {
            stdin: false,
            stdout: true,
            stderr: true,
            logs: false,
            stream: true,
            framed: false,
            once: false,
        };
        let client =
            Attacher { socket: output, early: Vec::new(), options, detach_keys: Vec::new() };
        self.exec(HEALTH, exec, Some(client), None)
    }

    /// Kills the health check that runs, and what it has started.
    ///
    /// # Errors
    /// `Conflict` when none runs.
    pub fn kill_health_check(&self) -> Result<()> {
        let number = Signal::KILL.number();
        self.request(&Request::Signal { session: HEALTH.into(), number }, &[], &[])
    }

    /// Sets the size of the terminal of exec `name`.
    ///
    /// # Errors
    /// `Conflict` when it has none or has ended.
    pub fn resize_exec(&self, name: &str, rows: u16, columns: u16) -> Result<()> {
        self.request(&Request::Resize { session: name.to_owned(), rows, columns }, &[], &[])
    }

    /// The names of the execs that run, and of those that ended last.
    ///
    /// # Errors
    /// When the monitor is gone. An old one knows of none.
    pub fn execs(&self) -> Result<Vec<String>> {
        let Some(connection) = connect(&self.socket)? else { return Ok(Vec::new()) };
        let deadline = Instant::now() + ANSWER;
        match ask(connection.as_fd(), &Request::Execs, &[], &[], deadline)? {
            Some(Reply::Execs { mut sessions }) => {
                sessions.retain(|name| name != HEALTH);
                Ok(sessions)
            }
            _ => Ok(Vec::new()),
        }
    }

    /// An exec that a daemon before us has started. Its end is told by the link, if it runs still.
    ///
    /// # Errors
    /// When the monitor is gone.
    pub fn watch_exec(&self, name: &str) -> Result<Option<(KnownExec, ExecLink)>> {
        let Some(connection) = connect(&self.socket)? else { return Ok(None) };
        let deadline = Instant::now() + ANSWER;
        let request = Request::WatchExec { session: name.to_owned() };
        match ask(connection.as_fd(), &request, &[], &[], deadline)? {
            Some(Reply::Exec { asked, pid, code }) => {
                let ExecRequest { session: _, exec, options, detach_keys, size: _ } = asked;
                let known = KnownExec { exec, options, detach_keys, pid, code };
                Ok(Some((known, ExecLink(connection))))
            }
            _ => Ok(None),
        }
    }
}
