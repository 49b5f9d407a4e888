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
//! request (one per call):     Status, Attach, Signal, Resize, Publish, Names, Kill, Execs
//!                             --> its answer
//! exec (one per exec):        Exec --> Started or Failed; later ExecEnded
//!                             WatchExec --> Exec; later, if it runs still: ExecEnded
//! ```
//!
//! A closed control connection before `Go` means that nothing is to run. After `Exited` the daemon
//! shuts its direction of control or watch down when it has published the exit, and the monitor
//! ends the connection when the container's mounts are gone.

use std::io::{self, IoSlice};
use std::os::fd::{BorrowedFd, OwnedFd};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::handle::{AttachOptions, Exit};
use super::init::Exec;
use crate::base::{Timestamp, fields};
use crate::model::Forward;
use crate::sys::socket;

/// Longest packet in bytes; what the kernel's default buffer of a socket takes.
const MAX_PACKET: usize = 160 * 1024;

/// The session of the container's main process; each exec has one of its own.
pub(crate) const MAIN: &str = "main";
/// The session of a health check: nobody asks for its end later.
pub(crate) const HEALTH: &str = "health";

/// What the daemon asks for.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case", try_from = "RequestFields")]
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
        session: String,
        /// What it wants.
        options: AttachOptions,
        /// Bytes of the detach sequence.
        detach_keys: Vec<u8>,
    },
    /// Send a signal to the first process of the main session, or to the process group of an
    /// exec.
    Signal {
        /// Which session.
        session: String,
        /// Number of the signal.
        number: i32,
    },
    /// Set the size of the terminal.
    Resize {
        /// Which session.
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
    /// Serve names by the sockets beside the packet: datagrams, streams, and the network namespace
    /// that they were opened in.
    Names,
    /// Lead these published ports on to the container, and no others.
    Publish {
        /// All of them.
        forwards: Vec<Forward>,
    },
    /// Kill init, started or not. This connection is told of the exit, if there is one.
    Kill,
    /// What a newer daemon may ask.
    Unknown,
}

fields! {
    /// The fields of all requests.
    #[derive(Default)]
    struct RequestFields {
        request: String,
        session: Option<String>,
        options: Option<AttachOptions>,
        detach_keys: Vec<u8>,
        number: Option<i32>,
        rows: Option<u16>,
        columns: Option<u16>,
        exec: Option<Exec>,
        size: Option<(u16, u16)>,
        forwards: Option<Vec<Forward>>,
    }
}

impl TryFrom<RequestFields> for Request {
    type Error = &'static str;

    fn try_from(fields: RequestFields) -> Result<Request, Self::Error> {
        let RequestFields { request, session, options, detach_keys, number, .. } = fields;
        let RequestFields { rows, columns, exec, size, forwards, .. } = fields;
        let asked = session.clone();
        let session = session.unwrap_or_else(|| MAIN.into());
        Ok(match request.as_str() {
            "" => return Err("no request"),
            "go" => Request::Go,
            "watch" => Request::Watch,
            "status" => Request::Status,
            "attach" => {
                Request::Attach { session, options: options.ok_or("no options")?, detach_keys }
            }
            "signal" => Request::Signal { session, number: number.ok_or("no number")? },
            "resize" => Request::Resize {
                session,
                rows: rows.ok_or("no rows")?,
                columns: columns.ok_or("no columns")?,
            },
            "exec" => Request::Exec(ExecRequest {
                session: asked.ok_or("no session")?,
                exec: exec.ok_or("no exec")?,
                options: options.ok_or("no options")?,
                detach_keys,
                size,
            }),
            "execs" => Request::Execs,
            "watch-exec" => Request::WatchExec { session: asked.ok_or("no session")? },
            "names" => Request::Names,
            "publish" => Request::Publish { forwards: forwards.ok_or("no forwards")? },
            "kill" => Request::Kill,
            _ => Request::Unknown,
        })
    }
}

fields! {
    /// An exec, as it is asked for.
    #[derive(Debug, Clone, PartialEq, Default, Serialize)]
    pub(crate) struct ExecRequest {
        /// Name of the new session.
        pub(crate) session: String,
        /// What is to run.
        pub(crate) exec: Exec,
        /// What the client wants.
        pub(crate) options: AttachOptions,
        /// Bytes of the detach sequence.
        pub(crate) detach_keys: Vec<u8>,
        /// Rows and columns of the terminal.
        pub(crate) size: Option<(u16, u16)>,
    }
}

/// What the monitor answers or tells.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case", try_from = "ReplyFields")]
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
        init_pid: Option<i32>,
        /// When it was started.
        started_at: Option<Timestamp>,
        /// Frozen by the freezer.
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
    Unknown,
}

fields! {
    /// The fields of all replies.
    #[derive(Default)]
    struct ReplyFields {
        reply: String,
        run: Option<u64>,
        monitor_pid: Option<i32>,
        init_pid: Option<i32>,
        started_at: Option<Timestamp>,
        paused: bool,
        pid: Option<i32>,
        at: Option<Timestamp>,
        code: Option<i32>,
        message: String,
        exit: Option<Exit>,
        sessions: Vec<String>,
        asked: Option<ExecRequest>,
        session: String,
        why: Option<Refusal>,
    }
}

impl TryFrom<ReplyFields> for Reply {
    type Error = &'static str;

    fn try_from(fields: ReplyFields) -> Result<Reply, Self::Error> {
        let pid = fields.pid.ok_or("no pid");
        let code = fields.code.ok_or("no code");
        Ok(match fields.reply.as_str() {
            "" => return Err("no reply"),
            "done" => Reply::Done,
            "status" => Reply::Status {
                run: fields.run.ok_or("no run")?,
                monitor_pid: fields.monitor_pid.ok_or("no pid")?,
                init_pid: fields.init_pid,
                started_at: fields.started_at,
                paused: fields.paused,
            },
            "started" => Reply::Started { pid: pid?, at: fields.at.ok_or("no time")? },
            "failed" => Reply::Failed { code: code?, message: fields.message },
            "exited" => Reply::Exited { exit: fields.exit.ok_or("no exit")? },
            "exec-ended" => Reply::ExecEnded { code: code? },
            "execs" => Reply::Execs { sessions: fields.sessions },
            "exec" => {
                Reply::Exec { asked: fields.asked.ok_or("no exec")?, pid: pid?, code: fields.code }
            }
            "detached" => Reply::Detached { session: fields.session },
            "refused" => Reply::Refused { why: fields.why.ok_or("no reason")? },
            "unsupported" => Reply::Unsupported,
            _ => Reply::Unknown,
        })
    }
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
        check(r#"{"request":"names"}"#, Request::Names);
        check(
            r#"{"request":"signal","number":9}"#,
            Request::Signal { session: MAIN.into(), number: 9 },
        );
        check(
            r#"{"request":"resize","session":"e1","rows":24,"columns":80}"#,
            Request::Resize { session: "e1".into(), rows: 24, columns: 80 },
        );
        let forward = Forward {
            listen: [127, 0, 0, 1].into(),
            first: 8080,
            to: [172, 17, 0, 2].into(),
            ports: "80/tcp".parse().unwrap(),
        };
        let publish = || Request::Publish { forwards: vec![forward] };
        check(&serde_json::to_string(&publish()).unwrap(), publish());
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
