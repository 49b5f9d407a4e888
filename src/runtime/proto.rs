//! Messages between daemon and monitor.
//!
//! One message is one packet on a SOCK_SEQPACKET unix socket: JSON, with descriptors beside it
//! where noted. An old monitor may meet a new daemon and the other way round: messages and fields
//! are added, never changed; an unknown request is answered with `Unsupported`.
//!
//! ```text
//! control (made at spawn):    daemon --Go--> monitor, which answers Started or Failed;
//!                             later, once: Exited
//! watch (made at adoption):   Watch --> Status; later, once: Exited
//! request (one per call):     Status, Attach, Signal, Resize, Kill, Execs --> its answer
//! exec (one per exec):        Exec --> Started or Failed; later ExecEnded
//!                             WatchExec --> Exec; later, if it runs still: ExecEnded
//! ```
//!
//! A closed control connection before `Go` means that nothing is to run.

use std::io::{self, IoSlice};
use std::os::fd::{BorrowedFd, OwnedFd};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::handle::{AttachOptions, Exit};
use super::init::Exec;
use crate::base::Timestamp;
use crate::sys::socket;

/// Longest packet in bytes; what the kernel's default buffer of a socket takes.
const MAX_PACKET: usize = 160 * 1024;

/// The session of the container's main process; each exec has one of its own.
pub(crate) const MAIN: &str = "main";
/// The session of a health check: nobody asks for its end later.
pub(crate) const HEALTH: &str = "health";

fn main_session() -> String {
    MAIN.into()
}

/// What the daemon asks for.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub(crate) enum Request {
    /// Let the prepared program start. On the control connection only.
    Go,
    /// Answer with `Status`, and tell this connection of the exit from now on.
    Watch,
    /// Answer with `Status`.
    Status,
    /// Attach the client whose socket is beside the packet. Input that it has sent already
    /// follows the JSON as bytes.
    Attach {
        /// Which session.
        #[serde(default = "main_session")]
        session: String,
        /// What it wants.
        options: AttachOptions,
        /// Bytes of the detach sequence.
        #[serde(default)]
        detach_keys: Vec<u8>,
    },
    /// Send a signal to the first process of the main session, or to the process group of an
    /// exec.
    Signal {
        /// Which session.
        #[serde(default = "main_session")]
        session: String,
        /// Number of the signal.
        number: i32,
    },
    /// Set the size of the terminal.
    Resize {
        /// Which session.
        #[serde(default = "main_session")]
        session: String,
        /// Rows.
        rows: u16,
        /// Columns.
        columns: u16,
    },
    /// Run a program beside the main one, as a session of its own; the client's socket is beside
    /// the packet, if there is one, and input that it has sent already follows the JSON. Answered
    /// with `Started` or `Failed`, then with `ExecEnded`.
    Exec(ExecRequest),
    /// Answer with `Execs`.
    Execs,
    /// Answer with `Exec`, or refuse; tell this connection, and no other, of its end.
    WatchExec {
        /// Which session.
        session: String,
    },
    /// Kill init, started or not. This connection is told of the exit, if there is one, and stays
    /// open until the monitor has ended.
    Kill,
    /// What a newer daemon may ask.
    #[serde(other)]
    Unknown,
}

/// An exec, as it is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ExecRequest {
    /// Name of the new session.
    pub(crate) session: String,
    /// What is to run.
    pub(crate) exec: Exec,
    /// What the client wants.
    pub(crate) options: AttachOptions,
    /// Bytes of the detach sequence.
    #[serde(default)]
    pub(crate) detach_keys: Vec<u8>,
    /// Rows and columns of the terminal.
    #[serde(default)]
    pub(crate) size: Option<(u16, u16)>,
}

/// What the monitor answers or tells.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub(crate) enum Reply {
    /// It is done.
    Done,
    /// How things stand.
    Status {
        /// The run that is watched.
        run: u64,
        /// The monitor's own pid.
        monitor_pid: i32,
        /// The program's pid, once started.
        #[serde(default)]
        init_pid: Option<i32>,
        /// When it was started.
        #[serde(default)]
        started_at: Option<Timestamp>,
        /// Frozen by the freezer.
        #[serde(default)]
        paused: bool,
    },
    /// The program runs.
    Started {
        /// Its pid on the host.
        pid: i32,
        /// Since when.
        at: Timestamp,
    },
    /// The program could not be started; `exit.json` says so as well.
    Failed {
        /// 126, 127 or 128.
        code: i32,
        /// Why, for people.
        message: String,
    },
    /// The run has ended; `exit.json` says the same.
    Exited {
        /// How.
        exit: Exit,
    },
    /// An exec has ended. Its client sees the end of its streams when the connection is closed.
    ExecEnded {
        /// The program's exit code.
        code: i32,
    },
    /// The sessions of execs that run, and of those that ended last.
    Execs {
        /// Their names.
        sessions: Vec<String>,
    },
    /// How an exec stands.
    Exec {
        /// As it was asked for, but for the environment and long arguments.
        asked: ExecRequest,
        /// Its pid on the host, while it runs.
        pid: i32,
        /// Its exit code, once it has ended.
        code: Option<i32>,
    },
    /// A client has left a session by its detach keys.
    Detached {
        /// Which session.
        session: String,
    },
    /// It cannot be done.
    Refused {
        /// Why.
        why: Refusal,
    },
    /// The request is not known to this monitor.
    Unsupported,
    /// What a newer monitor may tell.
    #[serde(other)]
    Unknown,
}

/// Why a request cannot be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Refusal {
    /// The program does not run: not yet, or no more.
    NotRunning,
    /// The session has no terminal.
    NoTerminal,
    /// There is no such session.
    NoSession,
    /// The packet makes no sense.
    Malformed,
    /// What a newer monitor may say.
    #[serde(other)]
    Other,
}

/// A message with what came beside it.
#[derive(Debug)]
pub(crate) struct Received<T> {
    /// The message; `None` for a packet that makes no sense.
    pub(crate) message: Option<T>,
    /// Bytes behind the JSON.
    pub(crate) extra: Vec<u8>,
    /// Descriptors.
    pub(crate) fds: Vec<OwnedFd>,
}

/// Sends `message` as one packet; `extra` bytes and descriptors go beside it. With `now` it fails
/// with EAGAIN instead of waiting.
pub(crate) fn send<T: Serialize>(
    socket: BorrowedFd<'_>,
    message: &T,
    extra: &[u8],
    fds: &[BorrowedFd<'_>],
    now: bool,
) -> io::Result<()> {
    let json = serde_json::to_vec(message)?;
    // JSON text holds no NUL, so the first one ends it.
    let (end, extra): (&[u8], &[u8]) = if extra.is_empty() { (&[], &[]) } else { (&[0], extra) };
    if json.len() + extra.len() >= MAX_PACKET {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the message is too long"));
    }
    let parts = [IoSlice::new(&json), IoSlice::new(end), IoSlice::new(extra)];
    socket::send_packet(socket, &parts, fds, now)
}

/// Receives one packet; `None` at the end of the connection.
pub(crate) fn receive<T: DeserializeOwned>(
    socket: BorrowedFd<'_>,
    now: bool,
) -> io::Result<Option<Received<T>>> {
    let Some(packet) = socket::receive_packet(socket, MAX_PACKET, now)? else { return Ok(None) };
    let mut json = packet.bytes;
    let extra = match json.iter().position(|&byte| byte == 0) {
        Some(end) => {
            let extra = json.split_off(end + 1);
            json.truncate(end);
            extra
        }
        None => Vec::new(),
    };
    Ok(Some(Received { message: serde_json::from_slice(&json).ok(), extra, fds: packet.fds }))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    fn round_trip(json: &str) -> Option<Request> {
        let (a, b) = socket::packet_pair().unwrap();
        socket::send_packet(a.as_fd(), &[IoSlice::new(json.as_bytes())], &[], true).unwrap();
        receive(b.as_fd(), true).unwrap().unwrap().message
    }

    #[test]
    fn messages_keep_their_shape() {
        let check = |json: &str, expected: Request| {
            assert_eq!(round_trip(json), Some(expected), "{json}");
        };
        check(r#"{"request":"go"}"#, Request::Go);
        check(r#"{"request":"watch","new":1}"#, Request::Watch);
        check(
            r#"{"request":"signal","number":9}"#,
            Request::Signal { session: MAIN.into(), number: 9 },
        );
        check(
            r#"{"request":"resize","session":"e1","rows":24,"columns":80}"#,
            Request::Resize { session: "e1".into(), rows: 24, columns: 80 },
        );
        check(r#"{"request":"dance","partner":"x"}"#, Request::Unknown);
    }

    #[test]
    fn garbage_is_told_from_messages() {
        for garbage in ["x", "{}", "[]", "{\"request\":7}", "\0\0", "{\"request\":\"signal\"}"] {
            assert_eq!(round_trip(garbage), None, "{garbage:?}");
        }
    }

    #[test]
    fn bytes_and_descriptors_travel_beside() {
        let (a, b) = socket::packet_pair().unwrap();
        let options = AttachOptions {
            stdin: true,
            stdout: true,
            stderr: false,
            logs: false,
            stream: true,
            framed: true,
            once: false,
        };
        let request = Request::Attach { session: MAIN.into(), options, detach_keys: vec![16, 17] };
        send(a.as_fd(), &request, b"\0early\0", &[a.as_fd()], true).unwrap();
        let got = receive::<Request>(b.as_fd(), true).unwrap().unwrap();
        assert_eq!(got.message, Some(request));
        assert_eq!(got.extra, b"\0early\0");
        assert_eq!(got.fds.len(), 1);
        assert!(send(a.as_fd(), &Request::Go, &vec![1; MAX_PACKET], &[], true).is_err());
        send(a.as_fd(), &Request::Go, &vec![1; MAX_PACKET - 1000], &[], true).unwrap();
    }
}
