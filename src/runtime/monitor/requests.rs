//! What the daemon asks: on the control connection, and on one connection per request.
//!
//! A packet that makes no sense is refused and changes nothing.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use super::dns::{NameServer, Sockets};
use super::{Monitor, Phase, facts};
use crate::model::Signal;
use crate::runtime::dns::names;
use crate::runtime::handle::Attacher;
use crate::runtime::proto::{self, ExecRequest, MAIN, Received, Refusal, Reply, Request};
use crate::sys::poll::{self, Interest};
use crate::sys::{signal, socket};

/// Connections served at once; more wait in the backlog.
pub(super) const MAX_CONNECTIONS: usize = 64;
/// Pause after a connection that could not be taken.
const DEAF: Duration = Duration::from_millis(200);

/// A connection to our socket.
pub(super) struct Connection {
    socket: OwnedFd,
    open: bool,
    /// It is told of the exit.
    watches: bool,
}

impl Connection {
    pub(super) fn is_open(&self) -> bool {
        self.open
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Monitor {
    /// Takes connections of root; nobody else has business here.
    pub(super) fn accept(&mut self) {
        while self.connections.len() < MAX_CONNECTIONS {
            let socket = match socket::accept(self.listener.as_fd()) {
                Ok(socket) => socket,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // Out of descriptors: the listener would be ready all the time.
                Err(_) => {
                    self.deaf_until = Some(Instant::now() + DEAF);
                    return;
                }
            };
            let root = socket::peer_credentials(socket.as_fd()).is_ok_and(|peer| peer.uid == 0);
            if root {
                self.connections.push(Connection { socket, open: true, watches: false });
            }
        }
    }

    pub(super) fn read_control(&mut self) {
        match proto::receive::<Request>(self.control.as_fd(), true) {
            Ok(Some(Received { message: Some(Request::Go), .. })) => {
                crate::base::step::done("monitor-go");
                self.go = true;
            }
            Ok(Some(_)) => self.tell_control(&Reply::Unsupported),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) | Ok(None) => {
                self.control_open = false;
                if !self.go {
                    self.abandon();
                }
            }
        }
    }

    /// The daemon is gone, or wants this run no more, before anything has run.
    fn abandon(&mut self) {
        self.kill_init();
        self.phase = Phase::Abandoned;
    }

    pub(super) fn read_connection(&mut self, index: usize) {
        let received = match proto::receive::<Request>(self.connections[index].as_fd(), true) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(_) | Ok(None) => return self.end_connection(index),
            Ok(Some(received)) => received,
        };
        let received = match received {
            Received { message: Some(Request::Exec(asked)), extra, fds } => {
                let client = fds.into_iter().next().map(|socket| (socket, extra));
                return self.start_exec(index, asked, client);
            }
            Received { message: Some(Request::WatchExec { session }), .. } => {
                return self.watch_exec(index, &session);
            }
            other => other,
        };
        let watch = matches!(received.message, Some(Request::Watch | Request::Kill));
        let reply = self.answer(received);
        self.send(index, &reply);
        if watch {
            self.connections[index].watches = true;
            if let Phase::Told { exit, .. } | Phase::Closing { exit } = &self.phase {
                let told = Reply::Exited { exit: exit.clone() };
                self.send(index, &told);
            }
        }
    }

    /// The other end has said all. A daemon that has published the exit still listens.
    fn end_connection(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        connection.open = false;
        if connection.watches && matches!(self.phase, Phase::Told { .. }) {
            self.published.extend(connection.socket.try_clone());
        }
    }

    fn send(&mut self, index: usize, reply: &Reply) {
        let connection = &mut self.connections[index];
        // Who does not take its answer is not waiting for it.
        connection.open &= proto::send(connection.as_fd(), reply, &[], &[], true).is_ok();
    }

    fn answer(&mut self, received: Received<Request>) -> Reply {
        let Received { message, extra, fds } = received;
        let refused = |why| Reply::Refused { why };
        let Some(request) = message else { return refused(Refusal::Malformed) };
        if let Request::Attach { session, .. }
        | Request::Signal { session, .. }
        | Request::Resize { session, .. } = &request
        {
            if session != MAIN {
                return self.answer_of_exec(&request);
            }
        }
        match request {
            // Nothing has run and nothing will: there is no run to be adopted.
            Request::Watch if matches!(self.phase, Phase::Abandoned) => {
                refused(Refusal::NotRunning)
            }
            Request::Watch | Request::Status => self.status(),
            Request::Attach { options, detach_keys, .. } => match fds.into_iter().next() {
                Some(socket) => {
                    self.main.attach(Attacher { socket, early: extra, options, detach_keys });
                    Reply::Done
                }
                None => refused(Refusal::Malformed),
            },
            Request::Signal { number, .. } => match (&self.phase, &self.init) {
                (Phase::Running { .. }, Some((pid, _))) => {
                    let sent = Signal::from_number(number)
                        .ok_or(io::ErrorKind::InvalidInput.into())
                        .and_then(|signal| signal::kill(*pid, signal.number()));
                    if sent.is_ok() { Reply::Done } else { refused(Refusal::Malformed) }
                }
                _ => refused(Refusal::NotRunning),
            },
            Request::Resize { .. } if self.has_ended() => refused(Refusal::NotRunning),
            Request::Resize { rows, columns, .. } => match self.main.resize(rows, columns) {
                Ok(true) => Reply::Done,
                Ok(false) => refused(Refusal::NoTerminal),
                Err(_) => refused(Refusal::NotRunning),
            },
            // They are of no use to a program that has ended.
            Request::Publish { .. } if self.has_ended() => refused(Refusal::NotRunning),
            Request::Publish { forwards } => match self.proxy.set(&forwards) {
                Ok(()) => Reply::Done,
                Err(error) => Reply::Failed { code: 128, message: error.to_string() },
            },
            Request::Kill => {
                if self.go {
                    self.kill_init()
                } else {
                    self.abandon()
                }
                Reply::Done
            }
            Request::Names => self.serve_names(fds),
            Request::Execs => Reply::Execs { sessions: self.execs.names() },
            Request::Go | Request::Exec(_) | Request::WatchExec { .. } | Request::Unknown => {
                Reply::Unsupported
            }
        }
    }

    /// Serves names by these sockets, unless it is done already.
    fn serve_names(&mut self, fds: Vec<OwnedFd>) -> Reply {
        let Some(sockets) = Sockets::from(fds) else {
            return Reply::Refused { why: Refusal::Malformed };
        };
        if self.is_init_gone() {
            return Reply::Refused { why: Refusal::NotRunning };
        }
        let dir = self.run_dir.parent().unwrap_or(&self.run_dir).join(names::DIR);
        match NameServer::new(sockets, &self.run_dir, &dir) {
            Ok(server) => {
                self.names = Some(Box::new(server));
                Reply::Done
            }
            Err(error) => Reply::Failed { code: 1, message: error.to_string() },
        }
    }

    /// Starts an exec. The connection becomes its own: it does not count among the others.
    fn start_exec(&mut self, index: usize, asked: ExecRequest, client: Option<(OwnedFd, Vec<u8>)>) {
        let (Phase::Running { .. }, Some((init, _))) = (&self.phase, &self.init) else {
            return self.send(index, &Reply::Refused { why: Refusal::NotRunning });
        };
        let taken = asked.session == MAIN || self.execs.find(&asked.session).is_some();
        if taken || asked.exec.args.is_empty() {
            return self.send(index, &Reply::Refused { why: Refusal::Malformed });
        }
        let watcher = self.connections[index].socket.try_clone();
        let started = watcher
            .map_err(Into::into)
            .and_then(|watcher| self.execs.start((&self.run_dir, *init), asked, watcher, client));
        match started {
            Ok(()) => self.connections[index].open = false,
            Err(error) => {
                self.send(index, &Reply::Failed { code: 126, message: error.to_string() });
            }
        }
    }

    /// Lets a daemon that did not start an exec see it through.
    fn watch_exec(&mut self, index: usize, session: &str) {
        let Some(reply) = self.execs.status(session) else {
            return self.send(index, &Reply::Refused { why: Refusal::NoSession });
        };
        self.send(index, &reply);
        if let Reply::Exec { code: None, .. } = reply {
            let watcher = self.connections[index].socket.try_clone();
            if let (Ok(watcher), Some(exec)) = (watcher, self.execs.find(session)) {
                exec.set_watcher(watcher);
            }
            self.connections[index].open = false;
        }
    }

    /// What is asked of an exec that runs.
    fn answer_of_exec(&mut self, request: &Request) -> Reply {
        let refused = |why| Reply::Refused { why };
        match request {
            Request::Resize { session, rows, columns } => match self.execs.find(session) {
                None => refused(Refusal::NoSession),
                Some(exec) => match exec.session.resize(*rows, *columns) {
                    Ok(true) => Reply::Done,
                    Ok(false) => refused(Refusal::NoTerminal),
                    Err(_) => refused(Refusal::NotRunning),
                },
            },
            Request::Signal { session, number } => {
                let sent = match (self.execs.find(session), Signal::from_number(*number)) {
                    (Some(exec), Some(signal)) => exec.signal(signal),
                    _ => return refused(Refusal::NoSession),
                };
                if sent.is_ok() { Reply::Done } else { refused(Refusal::NotRunning) }
            }
            _ => refused(Refusal::NoSession),
        }
    }

    fn has_ended(&self) -> bool {
        !matches!(
            self.phase,
            Phase::Preparing | Phase::Prepared | Phase::Starting | Phase::Running { .. }
        )
    }

    fn status(&self) -> Reply {
        let (init_pid, started_at) = match (&self.phase, &self.init) {
            (Phase::Running { since }, Some((pid, _))) => (Some(*pid), Some(*since)),
            _ => (None, None),
        };
        Reply::Status {
            run: self.run,
            monitor_pid: i32::try_from(std::process::id()).expect("pids are below 2^22"),
            init_pid,
            started_at,
            paused: facts::frozen(&self.cgroup_dirs),
        }
    }

    /// Whether a daemon holds on to us, and has thus not published the exit yet.
    pub(super) fn is_watched(&self) -> bool {
        self.control_open || self.connections.iter().any(|connection| connection.watches)
    }

    /// Tells the daemon that has spawned us.
    pub(super) fn tell_control(&mut self, reply: &Reply) {
        if self.control_open {
            if let Err(error) = proto::send(self.control.as_fd(), reply, &[], &[], true) {
                crate::debug!("tell the daemon: {error}");
                self.control_open = false;
            }
        }
    }

    /// Tells of clients that have asked to go by their detach keys. Nobody listens before the
    /// program runs; and a daemon that does not read is told no more than leaves room for the exit.
    pub(super) fn tell_detached(&mut self) {
        if !matches!(self.phase, Phase::Running { .. }) {
            return;
        }
        let mut sessions = self.execs.take_detached();
        sessions.extend((0..self.main.take_detached()).map(|_| MAIN.into()));
        for session in sessions {
            let told = Reply::Detached { session };
            if self.control_open && has_room(self.control.as_fd()) {
                self.tell_control(&told);
            }
            for index in 0..self.connections.len() {
                let connection = &self.connections[index];
                if connection.watches && has_room(connection.as_fd()) {
                    self.send(index, &told);
                }
            }
        }
    }

    /// Tells every daemon that wants to know.
    pub(super) fn tell(&mut self, reply: &Reply) {
        self.tell_control(reply);
        for index in 0..self.connections.len() {
            if self.connections[index].watches {
                self.send(index, reply);
            }
        }
    }
}

/// Whether at most a quarter of what a socket may hold waits to be read: only then the kernel
/// calls it writable.
fn has_room(socket: BorrowedFd<'_>) -> bool {
    poll::wait(&[(socket, Interest::WRITE)], Some(Instant::now()))
        .is_ok_and(|ready| ready[0].writable())
}
