//! The execs: sessions beside the main one, each with a process of its own.
//!
//! ```text
//! Preparing ──prepared, let go──> Starting ──exec──> Running ──reaped──> Draining
//!     └────────failed, lost──────────┴────────────────────────┐             │ all read
//!                                                             v             v
//!                                                        told: Told ──published──> Closing
//! ```
//!
//! - The daemon's connection that asked for an exec hears of its start and its end; the client
//!   sees the end of its streams when the daemon has closed that connection, or is gone.
//! - How the newest [`REMEMBERED`] execs ended is kept for a daemon that was away.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use super::session::{Event, Session};
use super::{DRAIN_SHARED, MAX_MESSAGE, PUBLISH};
use crate::base::{Result, Timestamp};
use crate::runtime::init::{self, Exec, Message, Spawned};
use crate::runtime::log::Stream;
use crate::runtime::proto::{self, Reply};
use crate::sys::poll::{Interest, PollSet, Ready};
use crate::sys::{signal, socket};

/// Ends that are kept.
const REMEMBERED: usize = 64;
/// Execs at once: each holds up to eight descriptors.
const MAX_EXECS: usize = 100;

#[derive(Debug)]
enum Stage {
    Preparing,
    Starting,
    Running,
    Draining { code: i32, until: Instant },
    Told { until: Instant },
    Closing,
}

/// What of an exec was waited for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    Channel,
    Process,
    Watcher,
    Session(Event),
}

/// One exec.
pub(super) struct Running {
    name: String,
    pub(super) session: Session,
    stage: Stage,
    process: Option<(i32, OwnedFd)>,
    helper: Option<i32>,
    channel: Option<OwnedFd>,
    /// The daemon's connection.
    watcher: Option<OwnedFd>,
}

/// All execs.
#[derive(Default)]
pub(super) struct Execs {
    running: Vec<Running>,
    ended: VecDeque<(String, i32)>,
}

impl Execs {
    /// Sets a new exec on its way; `attach` gives it its clients.
    ///
    /// # Errors
    /// When there are too many, or no pipe or process can be made.
    pub(super) fn start(
        &mut self,
        (run_dir, init): (&Path, i32),
        (name, exec): (String, &Exec),
        watcher: OwnedFd,
        attach: impl FnOnce(&mut Session),
    ) -> Result<()> {
        if self.running.len() >= MAX_EXECS {
            return Err(crate::base::Error::conflict("too many execs run in this container"));
        }
        let (mut session, stdio) = Session::of_exec(exec)?;
        let Spawned { pid, channel } = init::spawn_exec(run_dir, init, exec, stdio)?;
        attach(&mut session);
        self.running.push(Running {
            name,
            session,
            stage: Stage::Preparing,
            process: Some((pid, signal::end_of_child(pid)?)),
            helper: None,
            channel: Some(channel),
            watcher: Some(watcher),
        });
        Ok(())
    }

    pub(super) fn find(&mut self, name: &str) -> Option<&mut Running> {
        self.running.iter_mut().find(|exec| exec.name == name)
    }

    /// How exec `name` ended.
    pub(super) fn end_of(&self, name: &str) -> Option<i32> {
        self.ended.iter().find(|(other, _)| other == name).map(|(_, code)| *code)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// The main process has ended: those outside of its pid namespace would live on.
    pub(super) fn kill_all(&self) {
        self.running.iter().for_each(Running::kill);
    }

    pub(super) fn watch(&self, set: &mut PollSet, mut add: impl FnMut(usize, Part)) {
        let mut events = Vec::new();
        for (index, exec) in self.running.iter().enumerate() {
            let mut push = |fd: &OwnedFd, part| {
                set.push(fd.as_fd(), Interest::READ);
                add(index, part);
            };
            exec.channel.iter().for_each(|fd| push(fd, Part::Channel));
            exec.process.iter().for_each(|(_, fd)| push(fd, Part::Process));
            exec.watcher.iter().for_each(|fd| push(fd, Part::Watcher));
            events.clear();
            exec.session.watch(set, &mut events);
            events.iter().for_each(|event| add(index, Part::Session(*event)));
        }
    }

    pub(super) fn handle(&mut self, index: usize, part: Part, ready: Ready) {
        let exec = &mut self.running[index];
        match part {
            Part::Channel => exec.read_channel(),
            Part::Process => exec.reap(),
            // It has said all that it had to say.
            Part::Watcher => exec.watcher = None,
            Part::Session(event) => exec.session.handle(event, ready),
        }
    }

    /// To be called after each round of events.
    pub(super) fn settle(&mut self, now: Instant) {
        let ended = &mut self.ended;
        self.running.retain_mut(|exec| {
            exec.session.settle(now);
            if let Some(code) = exec.advance(now) {
                if ended.len() == REMEMBERED {
                    ended.pop_front();
                }
                ended.push_back((exec.name.clone(), code));
            }
            !matches!(exec.stage, Stage::Closing) || !exec.session.is_empty()
        });
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.running.iter().filter_map(Running::deadline).min()
    }
}

impl Running {
    /// Its process, while it runs.
    pub(super) fn pid(&self) -> Option<i32> {
        self.process.as_ref().map(|(pid, _)| *pid)
    }

    fn deadline(&self) -> Option<Instant> {
        let own = match self.stage {
            Stage::Draining { until, .. } | Stage::Told { until } => Some(until),
            _ => None,
        };
        own.into_iter().chain(self.session.deadline()).min()
    }

    fn kill(&self) {
        if let Some((pid, _)) = &self.process {
            // Not reaped yet, so the pid is still its own; it may be on its way out.
            if let Err(error) = signal::kill(*pid, libc::SIGKILL) {
                crate::warn!("kill exec {pid}: {error}");
            }
        }
    }

    fn tell(&mut self, reply: &Reply) {
        self.watcher.take_if(|fd| proto::send(fd.as_fd(), reply, &[], &[], true).is_err());
    }

    /// Takes the step that is due; gives the code of an exec that has just ended.
    fn advance(&mut self, now: Instant) -> Option<i32> {
        match self.stage {
            // Its process is reaped before it is forgotten.
            Stage::Draining { code, until }
                if (self.session.is_drained() && self.process.is_none()) || until <= now =>
            {
                self.session.finish_output();
                self.tell(&Reply::ExecEnded { code });
                self.stage = Stage::Told { until: now + PUBLISH };
                self.close_when_published(now);
                Some(code)
            }
            Stage::Told { .. } => {
                self.close_when_published(now);
                None
            }
            _ => None,
        }
    }

    fn close_when_published(&mut self, now: Instant) {
        let Stage::Told { until } = self.stage else { return };
        if self.watcher.is_none() || until <= now {
            self.watcher = None;
            self.session.close();
            self.stage = Stage::Closing;
        }
    }

    fn read_channel(&mut self) {
        while let Some(channel) = &self.channel {
            let packet = match socket::receive_packet(channel.as_fd(), MAX_MESSAGE, true) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) | Ok(None) => {
                    self.channel = None;
                    return self.channel_ended();
                }
                Ok(Some(packet)) => packet,
            };
            match serde_json::from_slice(&packet.bytes) {
                Ok(Message::Prepared { pid }) => {
                    if let Err(error) = self.prepared(pid, packet.fds) {
                        self.fail(126, &format!("take the prepared exec over: {error}"));
                    }
                }
                Ok(Message::Cloned { pid }) => {
                    if let Err(error) = self.born(pid) {
                        crate::warn!("watch exec {pid}: {error}");
                    }
                }
                Ok(Message::Failed { code, message }) => self.fail(code, &message),
                Err(error) => crate::warn!("odd message of an exec: {error}"),
            }
        }
    }

    /// The second stage is there; told by both stages, in any order. It has to be reaped before
    /// its pid namespace can end.
    fn born(&mut self, pid: i32) -> io::Result<()> {
        if self.helper.is_none() && self.process.as_ref().is_none_or(|(known, _)| *known != pid) {
            let process = (pid, signal::end_of_child(pid)?);
            self.helper = self.process.replace(process).map(|(helper, _)| helper);
        }
        Ok(())
    }

    fn prepared(&mut self, pid: i32, fds: Vec<OwnedFd>) -> io::Result<()> {
        self.born(pid)?;
        if let Some(master) = fds.into_iter().next() {
            self.session.set_terminal(master)?;
        }
        if let Some(channel) = &self.channel {
            socket::send_packet(channel.as_fd(), &[IoSlice::new(&[1])], &[], true)?;
            self.stage = Stage::Starting;
        }
        Ok(())
    }

    /// It has executed the program, or has died on the way.
    fn channel_ended(&mut self) {
        self.reap_helper();
        match self.stage {
            Stage::Starting => {
                self.stage = Stage::Running;
                self.session.started();
                let pid = self.pid().unwrap_or(0);
                self.tell(&Reply::Started { pid, at: Timestamp::now() });
            }
            Stage::Preparing => self.fail(126, "the exec ended before it was ready"),
            _ => {}
        }
    }

    /// The client reads why, as clients of Docker know it.
    fn fail(&mut self, code: i32, message: &str) {
        if !matches!(self.stage, Stage::Preparing | Stage::Starting) {
            return;
        }
        self.kill();
        // Whatever else went wrong is 126, as a failed exec is in Docker.
        let code = if code == 127 { 127 } else { 126 };
        let message = format!("OCI runtime exec failed: {message}");
        self.session.process_ended();
        self.session.say(Stream::Stderr, format!("{message}\r\n").as_bytes());
        self.tell(&Reply::Failed { code, message });
        self.stage = Stage::Draining { code, until: Instant::now() + DRAIN_SHARED };
    }

    fn reap_helper(&mut self) {
        if let Some(pid) = self.helper {
            if !matches!(signal::reap(pid), Ok(None)) {
                self.helper = None;
            }
        }
    }

    fn reap(&mut self) {
        // What it said last was sent before it ended.
        self.read_channel();
        self.reap_helper();
        let Some((pid, _)) = self.process else { return };
        let code = match signal::reap(pid) {
            Ok(Some(code)) => code,
            Ok(None) => return,
            Err(error) => {
                crate::warn!("reap exec {pid}: {error}");
                126
            }
        };
        self.process = None;
        if matches!(self.stage, Stage::Running) {
            self.session.process_ended();
            // What it left behind lives on, and may hold the output open.
            let until = Instant::now() + Duration::from_millis(500);
            self.stage = Stage::Draining { code, until };
        }
    }
}
