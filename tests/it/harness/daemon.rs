//! A daemon of one's own.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use super::leaks::{Baseline, Leaks};
use super::{
    Cli, Reply, SOON, Terminal, Wire, busybox_tar, send_signal, sys, wait_for, wait_until,
};

/// The program under test: what cargo has built, or what `SKIFF_TEST_BINARY` names.
pub fn skiff() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    let built = || env!("CARGO_BIN_EXE_skiff").to_owned();
    PATH.get_or_init(|| std::env::var("SKIFF_TEST_BINARY").unwrap_or_else(|_| built()))
}

/// How a daemon is to be started.
#[derive(Default)]
pub struct Setup {
    flags: Vec<String>,
    env: Vec<(String, String)>,
    no_image: bool,
    script: String,
    root: Option<String>,
    wrapper: Vec<String>,
}

impl Setup {
    pub fn new() -> Setup {
        Setup::default()
    }

    pub fn flag(mut self, flag: &str) -> Setup {
        self.flags.push(flag.to_owned());
        self
    }

    /// Without the fixture image.
    pub fn no_image(mut self) -> Setup {
        self.no_image = true;
        self
    }

    /// Runs this in the daemon's namespaces and its directory before the first daemon is there.
    pub fn prepare(mut self, script: &str) -> Setup {
        self.script = format!("{script};");
        self
    }

    /// With the root on a file system in memory of its own, mounted with these options. Only the
    /// daemon's namespaces see it: [`Daemon::seen`].
    pub fn root_in_memory(mut self, options: &str) -> Setup {
        self.root = Some(options.to_owned());
        self
    }

    /// With a variable for the daemon.
    pub fn env(mut self, name: &str, value: &str) -> Setup {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    #[track_caller]
    pub fn start(self) -> Daemon {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let base = std::env::var("SKIFF_TEST_DIR").unwrap_or_else(|_| "/var/tmp".to_owned());
        let dir = PathBuf::from(format!("{base}/skiff-it-{}-{number}", std::process::id()));
        fs::create_dir(&dir).unwrap();

        // Keeps the namespaces while one daemon follows another.
        let root = dir.join("root").display().to_string();
        let mount = self.root.as_ref().map(|options| {
            format!("mkdir {root}; mount -t tmpfs -o {options} tmpfs {root} || exit 1;")
        });
        let script = format!(
            "busybox ip link set lo up; {} {} echo; exec sleep 100000",
            mount.unwrap_or_default(),
            self.script
        );
        let mut keeper = Command::new("unshare");
        keeper.args(["--net", "--mount", "--propagation", "private", "sh", "-c", &script]);
        keeper.current_dir(&dir).stdin(Stdio::null()).stdout(Stdio::piped());
        sys::die_with_parent(&mut keeper);
        let mut keeper = keeper.spawn().expect("unshare is installed, and we are root");
        let mut line = [0];
        keeper.stdout.as_mut().unwrap().read_exact(&mut line).unwrap();

        let no_image = self.no_image;
        let mut daemon = Daemon { dir, keeper, child: None, setup: self, baseline: None };
        daemon.launch();
        if !no_image {
            daemon.import("busybox", busybox_tar());
        }
        daemon.baseline = Some(Baseline::of(&daemon));
        daemon
    }
}

/// A daemon with namespaces, root, socket and directory of its own; all of it goes with this value.
pub struct Daemon {
    dir: PathBuf,
    keeper: Child,
    child: Option<Child>,
    setup: Setup,
    baseline: Option<Baseline>,
}

impl Daemon {
    /// Started, with the fixture image as `busybox`.
    #[track_caller]
    pub fn start() -> Daemon {
        Setup::new().start()
    }

    /// The temporary directory: `root`, `run`, `skiff.sock`, `log`; a test may add to it.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn root(&self) -> PathBuf {
        self.dir.join("root")
    }

    pub fn run_root(&self) -> PathBuf {
        self.dir.join("run")
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.join("skiff.sock")
    }

    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.as_ref().expect("the daemon runs").id()).unwrap()
    }

    pub fn keeper_pid(&self) -> i32 {
        i32::try_from(self.keeper.id()).unwrap()
    }

    /// Starts the daemon process and waits until it answers.
    #[track_caller]
    fn launch(&mut self) {
        assert!(self.spawn(), "the daemon ended at once:\n{}", self.log());
    }

    /// Starts the daemon process; whether it came to answer (false: it ended before).
    fn spawn(&mut self) -> bool {
        let log = File::options().create(true).append(true).open(self.dir.join("log")).unwrap();
        let mut words = self.setup.wrapper.clone();
        words.push("nsenter".to_owned());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        let target = self.keeper.id().to_string();
        command.args(["--target", &target, "--net", "--mount", skiff(), "-d", "-D"]);
        command.arg("-g").arg(self.root()).arg("--exec-root").arg(self.run_root());
        command.arg("-H").arg(self.host()).arg("-p").arg(self.dir.join("pid"));
        command.args(&self.setup.flags);
        command.envs(self.setup.env.iter().map(|(n, v)| (n, v)));
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        sys::die_with_parent(&mut command);
        self.child = Some(command.spawn().expect("nsenter is installed"));
        let mut up = false;
        let settled = wait_for(SOON, || {
            up = self.answers();
            up || self.ended()
        });
        assert!(settled, "the daemon does not answer:\n{}", self.log());
        up
    }

    fn answers(&self) -> bool {
        // It may end while it is asked.
        let ask = |mut socket: UnixStream| {
            let mut answer = String::new();
            socket.set_read_timeout(Some(SOON))?;
            socket.write_all(b"GET /_ping HTTP/1.0\r\n\r\n")?;
            socket.read_to_string(&mut answer).map(|_| answer)
        };
        let answer = UnixStream::connect(self.socket()).and_then(ask);
        answer.is_ok_and(|text| text.split(' ').nth(1) == Some("200"))
    }

    /// Whether the daemon process has ended.
    pub fn ended(&mut self) -> bool {
        self.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some())
    }

    /// kill -9, and no more.
    #[track_caller]
    pub fn kill9(&mut self) {
        let mut child = self.child.take().expect("the daemon runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// The polite end, by SIGTERM: its exit code.
    #[track_caller]
    pub fn terminate(&mut self) -> i32 {
        send_signal(self.pid(), libc::SIGTERM);
        wait_until("the daemon ends after SIGTERM", || self.ended());
        self.child.take().unwrap().wait().unwrap().code().unwrap_or(-1)
    }

    /// A new daemon on the same state; the old one, if it still runs, is killed.
    #[track_caller]
    pub fn restart(&mut self) {
        if !self.ended() {
            self.kill9();
        }
        self.launch();
    }

    /// A variable for the daemons of later starts.
    pub fn set_env(&mut self, name: &str, value: &str) {
        self.setup.env.push((name.to_owned(), value.to_owned()));
    }

    /// A flag for the daemons of later starts.
    pub fn set_flag(&mut self, flag: &str) {
        self.setup.flags.push(flag.to_owned());
    }

    /// A program that later daemons are started through, with its arguments; empty is none.
    pub fn start_through(&mut self, words: &[&str]) {
        self.setup.wrapper = words.iter().map(|word| (*word).to_owned()).collect();
    }

    /// A path as the daemon's namespaces see it.
    pub fn seen(&self, path: &Path) -> PathBuf {
        let own = format!("/proc/{}/root", self.keeper.id());
        Path::new(&own).join(path.strip_prefix("/").unwrap())
    }

    /// Removes all variables from the environment of later daemons.
    pub fn clear_env(&mut self) {
        self.setup.env.clear();
    }

    /// Starts the daemon; whether it came to answer (false: it ended, as crash tests want).
    pub fn try_start(&mut self) -> bool {
        self.spawn()
    }

    /// Our command line, talking to this daemon.
    pub fn cli<S: AsRef<str>>(&self, args: impl IntoIterator<Item = S>) -> Cli {
        let args: Vec<String> = args.into_iter().map(|a| a.as_ref().to_owned()).collect();
        Cli::new(skiff()).args(["-H", &self.host()]).args(args)
    }

    /// Runs our command line, which must succeed: its standard output without the last newline.
    #[track_caller]
    pub fn ok<S: AsRef<str>>(&self, args: impl IntoIterator<Item = S>) -> String {
        self.cli(args).output().ok()
    }

    /// Our command line on a terminal.
    pub fn terminal(&self, args: &[&str]) -> Terminal {
        self.terminal_of_size(args, 24, 80)
    }

    pub fn terminal_of_size(&self, args: &[&str], rows: u16, columns: u16) -> Terminal {
        let mut all = vec!["-H".to_owned(), self.host()];
        all.extend(args.iter().map(|a| (*a).to_owned()));
        Terminal::start(skiff(), &all, rows, columns)
    }

    /// A connection of one's own.
    #[track_caller]
    pub fn wire(&self) -> Wire {
        Wire::connect(&self.socket()).unwrap()
    }

    /// A request without a body.
    #[track_caller]
    pub fn api(&self, method: &str, path: &str) -> Reply {
        self.send(method, path, "application/json", b"")
    }

    /// A request with a JSON body.
    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, "application/json", body.to_string().as_bytes())
    }

    #[track_caller]
    pub fn send(&self, method: &str, path: &str, kind: &str, body: &[u8]) -> Reply {
        let mut wire = self.wire();
        let length = body.len();
        wire.send(format!(
            "{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\
             Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
        ));
        wire.send(body);
        wire.reply_to(method)
    }

    /// Imports a tar under a name: the image's id.
    #[track_caller]
    pub fn import(&self, name: &str, tar: &[u8]) -> String {
        let path = format!("/images/create?fromSrc=-&repo={name}");
        let reply = self.send("POST", &path, "application/x-tar", tar);
        assert_eq!(reply.status, 200, "import {name}: {}", reply.text());
        let text = reply.text();
        let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        let last: Value = serde_json::from_str(last).unwrap_or_default();
        match last["status"].as_str() {
            Some(id) if last["error"].is_null() => id.to_owned(),
            _ => panic!("import {name}: {text}"),
        }
    }

    /// Creates a container by API: its id.
    #[track_caller]
    pub fn create(&self, body: &Value) -> String {
        let reply = self.post("/containers/create", body).expect(201);
        reply["Id"].as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub fn inspect(&self, name: &str) -> Value {
        self.api("GET", &format!("/containers/{name}/json")).expect(200)
    }

    /// `State.Status` of a container.
    #[track_caller]
    pub fn status(&self, name: &str) -> String {
        self.inspect(name)["State"]["Status"].as_str().unwrap().to_owned()
    }

    /// Waits until a container has this status.
    #[track_caller]
    pub fn wait_status(&self, name: &str, status: &str) {
        wait_until(&format!("{name} is {status}"), || self.status(name) == status);
    }

    /// Fails when anything is left of containers that have ended; then removes all containers
    /// and fails when anything is left at all: mounts, cgroups, links, processes, files,
    /// descriptors, threads.
    #[track_caller]
    pub fn assert_nothing_left_behind(&self) {
        let containers = self.api("GET", "/containers/json?all=1").expect(200);
        let containers = containers.as_array().unwrap();
        let id_of = |c: &Value| c["Id"].as_str().unwrap().to_owned();
        let ended = containers.iter().filter(|c| c["State"] == "exited" || c["State"] == "created");
        for id in ended.map(id_of) {
            Leaks::of_ended(self, &id).assert_none();
        }
        for id in containers.iter().map(id_of) {
            let reply = self.api("DELETE", &format!("/containers/{id}?force=1&v=1"));
            assert_eq!(reply.status, 204, "remove {id}: {}", reply.text());
        }
        let ids: Vec<String> = containers.iter().map(id_of).collect();
        Leaks::of_daemon(self, self.baseline.as_ref().unwrap(), &ids).assert_none();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("the daemon's log:\n{}", lines[lines.len().saturating_sub(60)..].join("\n"));
        }
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
        super::leaks::clean_up(self);
        drop(self.keeper.kill());
        drop(self.keeper.wait());
        // A process that was just killed may still write: once more, then leave it be.
        if fs::remove_dir_all(&self.dir).is_err() {
            wait_for(SOON, || fs::remove_dir_all(&self.dir).is_ok() || !self.dir.exists());
        }
    }
}
