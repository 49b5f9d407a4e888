//! A whole monitor in a thread, with a shell in the place of init.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::thread::JoinHandle;

use super::*;
use crate::base::{Error, Id};
use crate::model::LogConfig;
use crate::runtime::handle::AttachOptions;
use crate::runtime::launch::{Namespaces, Rootfs};
use crate::runtime::log::Dir;
use crate::runtime::proto::{self, Received, Request};
use crate::sys::{poll, tty};

const SESSION: &str = proto::MAIN;
const OUTPUT: AttachOptions = AttachOptions {
    stdin: false,
    stdout: true,
    stderr: true,
    logs: false,
    stream: true,
    framed: false,
    once: false,
};
const BOTH: AttachOptions = AttachOptions { stdin: true, ..OUTPUT };

fn launch(dir: &Path) -> Launch {
    Launch {
        id: Id::random(),
        run: 7,
        args: vec!["sh".into()],
        env: Vec::new(),
        cwd: "/".into(),
        user: String::new(),
        groups: Vec::new(),
        tty: false,
        open_stdin: false,
        stdin_once: false,
        rootfs: Rootfs::Dir { path: "/".into() },
        mounts: Vec::new(),
        hostname: String::new(),
        domainname: String::new(),
        namespaces: Namespaces::default(),
        capabilities: Vec::new(),
        seccomp: false,
        no_new_privileges: false,
        privileged: false,
        readonly_rootfs: false,
        masked_paths: Vec::new(),
        readonly_paths: Vec::new(),
        devices: Vec::new(),
        ulimits: Vec::new(),
        sysctls: Vec::new(),
        oom_score_adj: None,
        shm_size: 0,
        cgroup_dirs: Vec::new(),
        cgroup_v2: false,
        monitor_dirs: Vec::new(),
        init: false,
        networks: Vec::new(),
        forwards: Vec::new(),
        log: LogConfig::default(),
        io_dir: dir.to_owned(),
        reserve: dir.join("reserve"),
        run_dir: dir.to_owned(),
    }
}

/// A monitor whose program is `script`, run by a shell once it may go.
struct Rig {
    dir: Dir,
    control: OwnedFd,
    socket: PathBuf,
    thread: Option<JoinHandle<()>>,
}

impl Rig {
    fn new(name: &str, script: &str, change: impl FnOnce(&mut Launch)) -> Rig {
        Rig::with_first_stage(name, script, None, change)
    }

    fn with_first_stage(
        name: &str,
        script: &str,
        first: Option<FirstStage>,
        change: impl FnOnce(&mut Launch),
    ) -> Rig {
        let dir = Dir::new(&format!("monitor-{name}"));
        let mut launch = launch(&dir.0);
        change(&mut launch);
        let socket = dir.0.join("monitor.sock");
        let listener = socket::packet_listen(&socket).unwrap();
        pipe::set_nonblocking(listener.as_fd()).unwrap();
        let (control, theirs) = socket::packet_pair().unwrap();
        // The shell waits for the word on descriptor 9, which is the channel's stand-in.
        let script = script.to_owned();
        let spawn =
            move |launch: &Launch, stdio: Option<Stdio>| Ok(fake(launch, stdio, &script, first));
        let thread = std::thread::spawn(move || {
            let mut monitor = Monitor::new(launch, theirs, listener, spawn).unwrap();
            monitor.serve().unwrap();
        });
        Rig { dir, control, socket, thread: Some(thread) }
    }

    fn tell(&self, request: &Request) {
        proto::send(self.control.as_fd(), request, &[], &[], false).unwrap();
    }

    fn hear(&self) -> Reply {
        let Received { message, .. } =
            proto::receive(self.control.as_fd(), false).unwrap().expect("the monitor lives");
        message.unwrap()
    }

    fn go(&self) -> i32 {
        self.tell(&Request::Go);
        match self.hear() {
            Reply::Started { pid, .. } => pid,
            other => panic!("{other:?}"),
        }
    }

    fn ask(&self, request: &Request, extra: &[u8], fds: &[BorrowedFd<'_>]) -> Reply {
        let connection = socket::packet_connect(&self.socket, Duration::from_secs(10)).unwrap();
        proto::send(connection.as_fd(), request, extra, fds, false).unwrap();
        proto::receive(connection.as_fd(), false).unwrap().unwrap().message.unwrap()
    }

    fn attach(&self, options: AttachOptions, early: &[u8]) -> UnixStream {
        let (near, far) = UnixStream::pair().unwrap();
        let request =
            Request::Attach { session: SESSION.into(), options, detach_keys: vec![16, 17] };
        assert_eq!(self.ask(&request, early, &[far.as_fd()]), Reply::Done);
        near
    }

    /// Waits for the end; the exit as the daemon hears it, which is that on disk.
    fn exit(mut self) -> (Exit, String) {
        // Clients that have left by their detach keys are told of as well.
        let exit = loop {
            match self.hear() {
                Reply::Detached { .. } => {}
                Reply::Exited { exit } => break exit,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(crate::runtime::handle::read_exit(&self.dir.0).as_ref(), Some(&exit));
        socket::shutdown(self.control.as_fd(), Shutdown::Write);
        self.thread.take().unwrap().join().unwrap();
        let log = crate::runtime::log::read_all(&self.dir.0);
        (exit, log)
    }
}

// The monitor reaps the child by its pid.
#[allow(clippy::zombie_processes)]
/// What stands for init: a shell that starts when it is told to.
fn fake(launch: &Launch, stdio: Option<Stdio>, script: &str, first: Option<FirstStage>) -> Spawned {
    let (channel, theirs) = socket::packet_pair().unwrap();
    let mut command = Command::new("/bin/sh");
    // It starts at once and stops itself; SIGCONT is the word to go.
    command.args(["-c", &format!("kill -STOP $$\n{script}")]);
    let mut master = None;
    match stdio {
        Some(Stdio { stdin, stdout, stderr }) => {
            command.stdin(stdin).stdout(stdout).stderr(stderr);
        }
        None => {
            let (ours, slave) = tty::tests::pty();
            let copy = || slave.try_clone().unwrap();
            command.stdin(if launch.open_stdin {
                copy().into()
            } else {
                std::process::Stdio::null()
            });
            command.stdout(copy()).stderr(copy());
            master = Some(ours);
        }
    }
    let child = command.spawn().unwrap();
    drop(command);
    let pid = i32::try_from(child.id()).unwrap();
    let spawned = first.as_ref().map_or(pid, |(first, _)| *first);
    std::thread::spawn(move || {
        if let Some((_, ready)) = first {
            ready.recv().unwrap();
        }
        let prepared = serde_json::to_vec(&Message::Prepared { pid }).unwrap();
        let fds: Vec<BorrowedFd<'_>> = master.iter().map(AsFd::as_fd).collect();
        socket::send_packet(theirs.as_fd(), &[IoSlice::new(&prepared)], &fds, false).unwrap();
        drop(master.take());
        if socket::receive_packet(theirs.as_fd(), 9, false).unwrap().is_some() {
            wait_until(|| {
                let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
                stat.contains(") T ")
            });
            signal::kill(pid, libc::SIGCONT).unwrap();
        }
    });
    Spawned { pid: spawned, channel }
}

/// A process that the monitor takes for init until the shell is prepared, which waits for a word.
type FirstStage = (i32, std::sync::mpsc::Receiver<()>);

fn wait_until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn read_all(mut stream: UnixStream) -> String {
    let mut text = Vec::new();
    stream.read_to_end(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

fn read_some(stream: &mut UnixStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

#[test]
fn output_is_logged_and_the_exit_recorded() {
    let rig = Rig::new("plain", "echo out; echo err >&2; echo end; exit 3", |_| {});
    let client = rig.attach(OUTPUT, b"");
    let half = rig.attach(AttachOptions { stdout: false, framed: true, ..OUTPUT }, b"");
    let pid = rig.go();
    assert!(pid > 0);
    let (exit, log) = rig.exit();
    assert_eq!((exit.run, exit.code, exit.oom_killed), (7, 3, false));
    assert!(exit.error.is_none() && exit.finished_at >= exit.started_at);
    let sorted = |text: String| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    assert_eq!(sorted(log), ["end", "err", "out"]);
    assert_eq!(sorted(read_all(client)), ["end", "err", "out"]);
    assert_eq!(read_all(half), "\x02\0\0\0\0\0\0\x04err\n");
}

#[test]
fn nothing_runs_when_the_daemon_goes_before_go() {
    let mut rig = Rig::new("abandoned", "echo ran", |_| {});
    let client = rig.attach(OUTPUT, b"");
    socket::shutdown(rig.control.as_fd(), Shutdown::Both);
    rig.thread.take().unwrap().join().unwrap();
    assert_eq!(read_all(client), "");
    assert_eq!(crate::runtime::log::read_all(&rig.dir.0), "");
    assert_eq!(crate::runtime::handle::read_exit(&rig.dir.0), None);
}

/// Whether somebody has a socket at this address.
fn is_taken(at: std::net::SocketAddr) -> bool {
    std::net::UdpSocket::bind(at).is_err()
}

// The monitor reaps the child by its pid.
#[allow(clippy::zombie_processes)]
#[test]
fn names_are_served_whenever_the_first_stage_ends() {
    for asked_before in [true, false] {
        let (ready, word) = std::sync::mpsc::channel();
        let first = Command::new("cat").stdin(std::process::Stdio::piped()).spawn();
        let mut first = first.unwrap();
        let pid = i32::try_from(first.id()).unwrap();
        let name = format!("stages-{asked_before}");
        let rig = Rig::with_first_stage(&name, "exec sleep 1000", Some((pid, word)), |_| {});
        let datagrams = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let streams = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let inside = File::open("/proc/self/ns/net").unwrap();
        let at = datagrams.local_addr().unwrap();
        let ask = || {
            let fds = [datagrams.as_fd(), streams.as_fd(), inside.as_fd()];
            assert_eq!(rig.ask(&Request::Names, &[], &fds), Reply::Done);
        };
        let end_first = |first: &mut std::process::Child| {
            drop(first.stdin.take());
            wait_until(|| !Path::new(&format!("/proc/{pid}")).exists());
        };
        if asked_before {
            ask();
            end_first(&mut first);
        } else {
            end_first(&mut first);
            ask();
        }
        ready.send(()).unwrap();
        rig.go();
        drop((datagrams, streams));
        assert!(is_taken(at));
        let kill = Request::Signal { session: SESSION.into(), number: libc::SIGKILL };
        assert_eq!(rig.ask(&kill, &[], &[]), Reply::Done);
        rig.exit();
        assert!(!is_taken(at), "it ends with the program");
    }
}

#[test]
fn a_failed_start_is_recorded_after_go() {
    let dir = Dir::new("monitor-failed");
    let listener = socket::packet_listen(&dir.0.join("monitor.sock")).unwrap();
    pipe::set_nonblocking(listener.as_fd()).unwrap();
    let (control, theirs) = socket::packet_pair().unwrap();
    let launch = launch(&dir.0);
    let thread = std::thread::spawn(move || {
        let spawn = |_: &Launch, _| Err(Error::internal("no clones today"));
        Monitor::new(launch, theirs, listener, spawn).unwrap().serve().unwrap();
    });
    proto::send(control.as_fd(), &Request::Go, &[], &[], false).unwrap();
    let reply: Received<Reply> = proto::receive(control.as_fd(), false).unwrap().unwrap();
    let message = "no clones today".to_owned();
    assert_eq!(reply.message, Some(Reply::Failed { code: 128, message: message.clone() }));
    let exit = crate::runtime::handle::read_exit(&dir.0).unwrap();
    assert_eq!((exit.code, exit.error), (128, Some(message)));
    drop(control);
    thread.join().unwrap();
}

#[test]
fn replay_and_stream_lose_and_double_nothing() {
    let script =
        "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; read x; printf tail";
    let rig = Rig::new("replay", script, |launch| launch.open_stdin = true);
    rig.go();
    let all = AttachOptions { logs: true, ..OUTPUT };
    let clients: Vec<_> = (0..20)
        .map(|number| {
            std::thread::sleep(Duration::from_millis(3));
            let framed = number % 2 == 1;
            let client = rig.attach(AttachOptions { framed, ..all }, b"");
            std::thread::spawn(move || if framed { unframed(client) } else { read_all(client) })
        })
        .collect();
    drop(rig.attach(BOTH, b"x\n"));
    let (exit, log) = rig.exit();
    assert_eq!(exit.code, 0);
    let expected: String = (0..20_000).map(|n| format!("line {n}\n")).collect::<String>() + "tail";
    assert!(log == expected);
    for client in clients {
        assert!(client.join().unwrap() == expected);
    }
}

fn unframed(mut client: UnixStream) -> String {
    let mut text = Vec::new();
    let mut header = [0; 8];
    while client.read_exact(&mut header).is_ok() {
        assert_eq!(header[..4], [1, 0, 0, 0]);
        let length = u32::from_be_bytes(header[4..].try_into().unwrap());
        text.extend(read_some(&mut client, length as usize));
    }
    String::from_utf8(text).unwrap()
}

#[test]
fn a_slow_client_slows_the_program_and_a_gone_one_does_not() {
    let script = "i=0; while [ $i -lt 60000 ]; do echo line number $i of many; i=$((i+1)); done";
    let rig = Rig::new("slow", script, |_| {});
    let slow = rig.attach(OUTPUT, b"");
    let gone = rig.attach(OUTPUT, b"");
    let quick = rig.attach(OUTPUT, b"");
    rig.go();
    drop(gone);
    let quick = std::thread::spawn(move || read_all(quick).len());
    // The program cannot end: its output waits for the slow client.
    let event = Interest::READ;
    let deadline = Some(Instant::now() + Duration::from_millis(700));
    assert!(!poll::wait(&[(rig.control.as_fd(), event)], deadline).unwrap()[0].any());
    let slow = std::thread::spawn(move || read_all(slow).len());
    let (exit, log) = rig.exit();
    assert_eq!(exit.code, 0);
    assert_eq!(log.lines().count(), 60_000);
    assert_eq!((slow.join().unwrap(), quick.join().unwrap()), (log.len(), log.len()));
}

#[test]
fn the_exit_does_not_wait_for_a_slow_client_who_still_gets_all() {
    let rig = Rig::new("tail", "yes | head -c 400000; kill -9 $$", |_| {});
    let slow = rig.attach(OUTPUT, b"");
    rig.go();
    let mut rig = rig;
    let Reply::Exited { exit } = rig.hear() else { panic!("no exit") };
    assert_eq!(exit.code, 137);
    socket::shutdown(rig.control.as_fd(), Shutdown::Write);
    assert_eq!(read_all(slow).len(), 400_000);
    rig.thread.take().unwrap().join().unwrap();
}

#[test]
fn input_comes_in_order_and_ends_with_the_first_client_if_once() {
    let rig = Rig::new("stdin", "cat; echo eof", |launch| {
        launch.open_stdin = true;
        launch.stdin_once = true;
    });
    let mut client = rig.attach(BOTH, b"early ");
    rig.go();
    client.write_all(b"and late\n").unwrap();
    assert_eq!(read_some(&mut client, 15), b"early and late\n");
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(client), "eof\n");
    assert_eq!(rig.exit().0.code, 0);
}

#[test]
fn a_half_close_ends_that_clients_input_alone() {
    let rig = Rig::new("halfclose", "while read x; do echo got $x; done", |launch| {
        launch.open_stdin = true;
    });
    let mut first = rig.attach(BOTH, b"");
    let mut second = rig.attach(BOTH, b"");
    rig.go();
    first.write_all(b"1\n").unwrap();
    assert_eq!(read_some(&mut first, 6), b"got 1\n");
    first.shutdown(Shutdown::Write).unwrap();
    second.write_all(b"2\n").unwrap();
    assert_eq!(read_some(&mut first, 6), b"got 2\n");
    assert_eq!(read_some(&mut second, 12), b"got 1\ngot 2\n");
    assert_eq!(rig.ask(&Request::Kill, &[], &[]), Reply::Done);
    assert_eq!(rig.exit().0.code, 137);
    assert_eq!(read_all(first), "");
}

#[test]
fn much_passes_both_ways() {
    let rig = Rig::new("both-ways", "cat", |launch| {
        launch.open_stdin = true;
        launch.stdin_once = true;
    });
    let mut client = rig.attach(BOTH, b"");
    let mut sender = client.try_clone().unwrap();
    rig.go();
    let line = "0123456789abcde\n";
    let count = 2_000_000 / line.len();
    let sending = std::thread::spawn(move || {
        for _ in 0..count {
            sender.write_all(line.as_bytes()).unwrap();
        }
        sender.shutdown(Shutdown::Write).unwrap();
    });
    let mut got = Vec::new();
    client.read_to_end(&mut got).unwrap();
    sending.join().unwrap();
    assert!(got == line.repeat(count).as_bytes());
    assert_eq!(rig.exit().0.code, 0);
}

#[test]
fn a_client_that_writes_and_goes_is_heard() {
    let rig = Rig::new("write-and-go", "cat", |launch| {
        launch.open_stdin = true;
        launch.stdin_once = true;
    });
    let mut client = rig.attach(BOTH, b"");
    client.write_all(b"last words\n").unwrap();
    drop(client);
    rig.go();
    assert_eq!(rig.exit().1, "last words\n");
}

#[test]
fn a_terminal_has_a_size_echoes_and_can_be_detached_from() {
    let rig = Rig::new("tty", "stty -echo; stty size; read x; echo got $x; read y", |launch| {
        launch.tty = true;
        launch.open_stdin = true;
    });
    let size = |rows| Request::Resize { session: SESSION.into(), rows, columns: 100 };
    assert_eq!(rig.ask(&size(24), &[], &[]), Reply::Done);
    let mut client = rig.attach(BOTH, b"");
    let mut other = rig.attach(BOTH, b"");
    rig.go();
    assert_eq!(read_some(&mut client, 8), b"24 100\r\n");
    client.write_all(b"hello\n").unwrap();
    assert_eq!(read_some(&mut client, 11), b"got hello\r\n");
    client.write_all(b"\x10").unwrap();
    client.write_all(b"\x11").unwrap();
    assert_eq!(read_all(client), "");
    assert_eq!(read_some(&mut other, 19), b"24 100\r\ngot hello\r\n");
    other.write_all(b"x\n").unwrap();
    assert_eq!(read_all(other), "");
    assert_eq!(rig.exit().0.code, 0);
}

#[test]
fn requests_that_cannot_be_served_are_refused() {
    let rig = Rig::new("refused", "read x; exit 1", |launch| launch.open_stdin = true);
    let refused = |why| Reply::Refused { why };
    use crate::runtime::proto::Refusal;
    let term = Request::Signal { session: SESSION.into(), number: 15 };
    assert_eq!(rig.ask(&term, &[], &[]), refused(Refusal::NotRunning));
    let resize = Request::Resize { session: SESSION.into(), rows: 1, columns: 1 };
    assert_eq!(rig.ask(&resize, &[], &[]), refused(Refusal::NoTerminal));
    let other = Request::Signal { session: "x".into(), number: 15 };
    assert_eq!(rig.ask(&other, &[], &[]), refused(Refusal::NoSession));
    let attach = Request::Attach { session: SESSION.into(), options: BOTH, detach_keys: vec![] };
    assert_eq!(rig.ask(&attach, &[], &[]), refused(Refusal::Malformed));
    assert_eq!(rig.ask(&Request::Go, &[], &[]), Reply::Unsupported);
    let pid = rig.go();
    let Reply::Status { run: 7, init_pid, started_at: Some(_), paused: false, .. } =
        rig.ask(&Request::Status, &[], &[])
    else {
        panic!("no status")
    };
    assert_eq!(init_pid, Some(pid));
    assert_eq!(rig.ask(&term, &[], &[]), Reply::Done);
    assert_eq!(rig.exit().0.code, 143);
}

#[test]
fn garbage_does_not_harm_it() {
    let rig = Rig::new("garbage", "read x; echo fine", |launch| launch.open_stdin = true);
    rig.go();
    let mut seed = 1u64;
    for _ in 0..300 {
        let connection = socket::packet_connect(&rig.socket, Duration::from_secs(10)).unwrap();
        let mut packet = br#"{"request":"attach","options":{"stdin":true,"rows":-1}}"#.to_vec();
        for _ in 0..4 {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let at = (seed >> 33) as usize % packet.len();
            packet[at] = seed.to_be_bytes()[4];
        }
        packet.truncate((seed >> 40) as usize % 60 + 1);
        let fds = [connection.as_fd()];
        let fds = if seed & (1 << 30) == 0 { &fds[..] } else { &[] };
        // Some are cut off before their answer is read.
        drop(socket::send_packet(connection.as_fd(), &[IoSlice::new(&packet)], fds, false));
        if seed & (1 << 31) == 0 {
            drop(socket::receive_packet(connection.as_fd(), 9999, false));
        }
    }
    let mut client = rig.attach(BOTH, b"x\n");
    assert_eq!(read_some(&mut client, 5), b"fine\n");
    assert_eq!(rig.exit().0.code, 0);
}

#[test]
fn a_watcher_is_told_of_the_exit_and_the_first_daemon_may_die() {
    let rig = Rig::new("watch", "read x; exit 9", |launch| launch.open_stdin = true);
    rig.go();
    socket::shutdown(rig.control.as_fd(), Shutdown::Both);
    let id = Id::random();
    let (handle, status) =
        crate::runtime::handle::Handle::connect(&rig.dir.0, &id).unwrap().unwrap();
    assert_eq!(status.run, 7);
    assert_eq!(handle.monitor_pid().unsigned_abs(), std::process::id());
    let mut client = rig.attach(BOTH, b"x\n");
    let exit = handle.wait_exit(&mut |_| ()).unwrap();
    assert_eq!(exit.code, 9);
    // The end of the stream waits for the publication.
    let now = Instant::now();
    drop(handle);
    assert_eq!(client.read(&mut [0; 9]).unwrap(), 0);
    assert!(now.elapsed() < PUBLISH);
    let mut rig = rig;
    rig.thread.take().unwrap().join().unwrap();
    assert!(crate::runtime::handle::Handle::connect(&rig.dir.0, &id).unwrap().is_none());
}

#[test]
fn a_thousand_clients_come_and_go_and_leave_nothing() {
    let rig = Rig::new("thousand", "read x", |launch| {
        launch.tty = true;
        launch.open_stdin = true;
    });
    rig.go();
    // Our own descriptors are the monitor's: it is a thread here. Other tests have theirs, so
    // only those that a monitor would keep are counted: one each for a thousand clients.
    let count = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = count();
    for round in 0..1000 {
        let mut client = rig.attach(BOTH, b"");
        if round % 2 == 0 {
            client.write_all(b"\x10\x11").unwrap();
            assert_eq!(read_all(client), "");
        }
    }
    wait_until(|| count() < before + 200);
    let _last = rig.attach(BOTH, b"x\n");
    assert_eq!(rig.exit().0.code, 0);
}
