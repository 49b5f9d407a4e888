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
use std::time::Instant;

use super::session::{Event, Session};
use super::{DRAIN_SHARED, PUBLISH, Said, next_message};
use crate::base::{Result, Timestamp};
use crate::model::Signal;
use crate::runtime::handle::Attacher;
use crate::runtime::init::{self, Message, Spawned};
use crate::runtime::log::Stream;
use crate::runtime::proto::{self, ExecRequest, HEALTH, Reply};
use crate::sys::poll::{Interest, PollSet, Ready};
use crate::sys::{signal, socket};

/// Ends that are kept.
const REMEMBERED: usize = 64;
/// Bytes of arguments that are kept; of longer ones the program's name alone.
const ARGUMENTS: usize = 1024;
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
    First,
    Second,
    Watcher,
    Session(Event),
}

/// One exec.
pub(super) struct Running {
    /// Without its environment and long arguments.
    asked: ExecRequest,
    pub(super) session: Session,
    stage: Stage,
    /// The first stage, not reaped yet. It is never killed: it would take the second's pid along.
    first: Option<(i32, OwnedFd)>,
    /// The second stage, which becomes the program, not reaped yet. Its pid namespace, and so the
    /// container, cannot end before it is.
    second: Option<(i32, OwnedFd)>,
    /// Its pid, once it was told.
    pid: Option<i32>,
    /// How it ended.
    code: Option<i32>,
    channel: Option<OwnedFd>,
    /// The daemon's connection.
    watcher: Option<OwnedFd>,
}

/// All execs.
#[derive(Default)]
pub(super) struct Execs {
    running: Vec<Running>,
    ended: VecDeque<(ExecRequest, i32)>,
}

impl Execs {
    /// The sessions whose clients have asked to go since the last call, each once per client.
    pub(super) fn take_detached(&mut self) -> Vec<String> {
        let mut names = Vec::new();
        for exec in &mut self.running {
            let count = exec.session.take_detached();
            names.extend(std::iter::repeat_n(exec.asked.session.clone(), count));
        }
        names
    }

    /// Sets a new exec on its way, with the client's socket and what it has sent already.
    ///
    /// # Errors
    /// When there are too many, or no pipe or process can be made.
    pub(super) fn start(
        &mut self,
        (run_dir, init): (&Path, i32),
        mut asked: ExecRequest,
        watcher: OwnedFd,
        client: Option<(OwnedFd, Vec<u8>)>,
    ) -> Result<()> {
        if self.running.len() >= MAX_EXECS {
            return Err(crate::base::Error::conflict("too many execs run in this container"));
        }
        let (mut session, stdio) = Session::of_exec(&asked.exec)?;
        if let Some((rows, columns)) = asked.size {
            session.resize(rows, columns)?;
        }
        let Spawned { pid, channel } = init::spawn_exec(run_dir, init, &asked.exec, stdio)?;
        if let Some((socket, early)) = client {
            let (options, detach_keys) = (asked.options, asked.detach_keys.clone());
            session.attach(Attacher { socket, early, options, detach_keys });
        }
        shorten(&mut asked);
        self.running.push(Running {
            asked,
            session,
            stage: Stage::Preparing,
            first: Some((pid, signal::end_of_child(pid)?)),
            second: None,
            pid: None,
            code: None,
            channel: Some(channel),
            watcher: Some(watcher),
        });
        Ok(())
    }

    pub(super) fn find(&mut self, name: &str) -> Option<&mut Running> {
        self.running.iter_mut().find(|exec| exec.asked.session == name)
    }

    /// Names of all that run or are remembered.
    pub(super) fn names(&self) -> Vec<String> {
        let ended = self.ended.iter().map(|(asked, _)| asked);
        let all = self.running.iter().map(|exec| &exec.asked).chain(ended);
        all.map(|asked| asked.session.clone()).collect()
    }

    /// How exec `name` stands.
    pub(super) fn status(&mut self, name: &str) -> Option<Reply> {
        if let Some((asked, code)) = self.ended.iter().find(|(asked, _)| asked.session == name) {
            return Some(Reply::Exec { asked: asked.clone(), pid: 0, code: Some(*code) });
        }
        let exec = self.find(name)?;
        let pid = exec.second.as_ref().map_or(0, |(pid, _)| *pid);
        Some(Reply::Exec { asked: exec.asked.clone(), pid, code: None })
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
            exec.first.iter().for_each(|(_, fd)| push(fd, Part::First));
            exec.second.iter().for_each(|(_, fd)| push(fd, Part::Second));
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
            Part::First => exec.reap_first(),
            Part::Second => exec.reap_second(),
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
            let code = exec.advance(now).filter(|_| exec.asked.session != HEALTH);
            if let Some(code) = code {
                if ended.len() == REMEMBERED {
                    ended.pop_front();
                }
                ended.push_back((exec.asked.clone(), code));
            }
            !exec.is_over()
        });
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.running.iter().filter_map(Running::deadline).min()
    }
}

/// Takes away what would let a monitor grow.
fn shorten(asked: &mut ExecRequest) {
    let exec = &mut asked.exec;
    exec.env = Vec::new();
    if exec.args.iter().map(String::len).sum::<usize>() > ARGUMENTS {
        exec.args.truncate(1);
        exec.args[0] = exec.args[0].chars().take(ARGUMENTS / 4).collect();
    }
}

/// How a child that was waited for has ended; none for one that has not.
fn reaped(pid: i32) -> Option<i32> {
    signal::reap(pid).unwrap_or_else(|error| {
        crate::warn!("reap exec {pid}: {error}");
        Some(126)
    })
}

impl Running {
    /// Sends a signal to its process group, which it leads as soon as its program runs.
    pub(super) fn signal(&self, signal: Signal) -> io::Result<()> {
        match (&self.second, &self.stage) {
            (Some((pid, _)), Stage::Running) => signal::kill_group(*pid, signal.number()),
            (Some((pid, _)), _) => signal::kill(*pid, signal.number()),
            (None, _) => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Who is told of the end from now on, in place of any other.
    pub(super) fn set_watcher(&mut self, watcher: OwnedFd) {
        self.watcher = Some(watcher);
    }

    fn deadline(&self) -> Option<Instant> {
        let own = match self.stage {
            Stage::Draining { until, .. } | Stage::Told { until } => Some(until),
            _ => None,
        };
        own.into_iter().chain(self.session.deadline()).min()
    }

    fn kill(&self) {
        if let Some((pid, _)) = &self.second {
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
            Stage::Draining { code, until }
                if (self.session.is_drained() && self.second.is_none()) || until <= now =>
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
        while self.channel.is_some() {
            match next_message(&mut self.channel) {
                Said::Nothing => return,
                Said::Goodbye => return self.channel_ended(),
                Said::Message(Message::Prepared { pid }, fds) => {
                    if let Err(error) = self.prepared(pid, fds) {
                        self.fail(126, &format!("take the prepared exec over: {error}"));
                    }
                }
                Said::Message(Message::Cloned { pid }, _) => {
                    if let Err(error) = self.born(pid) {
                        crate::warn!("watch exec {pid}: {error}");
                    }
                }
                Said::Message(Message::Failed { code, message }, _) => self.fail(code, &message),
            }
        }
    }

    /// The second stage is there; told by both stages, in any order.
    fn born(&mut self, pid: i32) -> io::Result<()> {
        if self.pid.is_none() {
            self.second = Some((pid, signal::end_of_child(pid)?));
            self.pid = Some(pid);
            if matches!(self.stage, Stage::Draining { .. } | Stage::Told { .. } | Stage::Closing) {
                self.kill();
            }
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
        match self.stage {
            Stage::Starting => {
                self.stage = Stage::Running;
                self.session.started();
                let pid = self.pid.unwrap_or(0);
                self.tell(&Reply::Started { pid, at: Timestamp::now() });
                self.drain();
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

    fn reap_first(&mut self) {
        // What it said last was sent before it ended.
        self.read_channel();
        self.first.take_if(|(pid, _)| reaped(*pid).is_some());
    }

    fn reap_second(&mut self) {
        self.read_channel();
        let code = self.second.as_ref().and_then(|(pid, _)| reaped(*pid));
        if code.is_some() {
            self.second = None;
            self.code = code;
            self.drain();
        }
    }

    /// Nothing is left to be done for it.
    fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Closing)
            && self.session.is_empty()
            && self.first.is_none()
            && self.second.is_none()
    }

    /// Begins to drain the output of a program that ran and has ended. The first stage, which
    /// holds the channel as well, may end after it.
    fn drain(&mut self) {
        if let (Stage::Running, Some(code)) = (&self.stage, self.code) {
            self.session.process_ended();
            // What it left behind lives on, and may hold the output open.
            self.stage = Stage::Draining { code, until: Instant::now() + DRAIN_SHARED };
        }
    }
}
